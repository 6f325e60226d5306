//! Calling methods with arguments as objects: `MethodBase.Invoke`, and what custom attributes need.
//!
//! Arguments are first all put in place in memory that the collector scans, where they stay alive: not in the caller's array, whose elements other
//! threads may replace when they have been checked. Then their addresses are taken, and nothing is allocated from there until the call.

use super::fields::{pointer_in, pointer_object};
use super::objects::method_of;
use super::parameters::is_open;
use super::relations::{is_assignable, is_bare};
use crate::class_init::ensure_initialized;
use crate::domain::{self, Domain};
use crate::emit::assemblies::can_run;
use crate::exceptions::{Exception, Result};
use crate::icalls::{InternalCall, domain_calls, icall, raising, remoting, store_out};
use crate::invoke::StructureArea;
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, write_barrier};
use crate::thread::Thread;
use crate::{casts, domain_copy, helpers, invoke, methods, proxies, runtime};
use il::types::{ArrayMethod, LoadContext, MethodId, MethodKind, TypeId, TypeKind};
use smallvec::SmallVec;

/// Where the value of an argument is when the call is made.
#[derive(Clone, Copy)]
enum Source {
    /// The reference itself, in its slot.
    Slot,
    /// The payload of the boxed value in the slot.
    Payload,
    /// The address of the slot.
    SlotAddress,
    /// The address of the payload of the boxed value in the slot.
    PayloadAddress,
}

/// An argument by reference whose new value goes back into the caller's array.
struct WriteBack {
    index: usize,
    /// A nullable or pointer, to be boxed again; others are in the array already.
    ty: TypeId,
}

/// The slots of the arguments, within a [`StructureArea`]. The objects in them stay where they are.
#[derive(Clone, Copy)]
struct Slots(*mut u64);

impl Slots {
    fn address(self, index: usize) -> *mut ObjectRef {
        self.0.wrapping_add(index).cast()
    }

    fn get(self, index: usize) -> ObjectRef {
        // SAFETY: callers pass the index of an argument.
        unsafe { self.address(index).read() }
    }

    fn set(self, index: usize, value: ObjectRef) {
        // SAFETY: likewise.
        unsafe { self.address(index).write(value) };
    }
}

/// `System.Reflection` exceptions of calls that do not fit.
fn target_exception(message: &str) -> Exception {
    Exception::new("System.Reflection", "TargetException", message)
}

/// A zeroed box of a value type, or a raw one of a nullable.
fn empty_box(ty: TypeId) -> Result<ObjectRef> {
    object::allocate(method_table(ty)?)
}

/// A box with a copy of a value, for a parameter of type `ty`.
fn box_for(ty: TypeId, value: ObjectRef) -> Result<ObjectRef> {
    let holder = empty_box(ty)?;
    let table = method_table(ty)?;
    if runtime().types.nullable_argument(ty).is_some() {
        // SAFETY: a fresh raw box of the nullable.
        unsafe { helpers::store_nullable(table, holder, holder.payload(), value)? };
    } else if !value.is_null() {
        let class = table.class();
        if !casts::can_unbox(table, value) && value.method_table().class().value_size != class.value_size {
            return Err(cannot_convert(value, ty));
        }
        // SAFETY: both are boxes of values of this size.
        unsafe {
            object::copy_value(holder, holder.payload(), value.payload(), class.value_size as usize, &class.value_references);
        }
    }
    Ok(holder)
}

fn cannot_convert(value: ObjectRef, ty: TypeId) -> Exception {
    let types = &runtime().types;
    let (from, to) = (types.reflection_name(value.type_id()), types.reflection_name(ty));
    let message = format!("Object of type '{from}' cannot be converted to type '{to}'.");
    Exception::new("System", "ArgumentException", message)
}

/// Puts an argument in place in slot `index`; `arguments` is the caller's array.
fn place_argument(
    ty: TypeId,
    index: usize,
    arguments: ArrayRef,
    slots: Slots,
    write_backs: &mut SmallVec<[WriteBack; 2]>,
) -> Result<Source> {
    let types = &runtime().types;
    let value = arguments.get_ref(index);
    if let TypeKind::ByRef(target) = *types.kind(ty) {
        write_backs.push(WriteBack { index, ty: target });
        if is_bare(target) {
            slots.set(index, super::constants::boxed(TypeId::U, pointer_in(value)?)?);
            return Ok(Source::PayloadAddress);
        }
        if !types.is_value_type(target) {
            check_reference(value, target)?;
            slots.set(index, value);
            return Ok(Source::SlotAddress);
        }
        slots.set(index, box_for(target, value)?);
        return Ok(Source::PayloadAddress);
    }
    if is_bare(ty) {
        slots.set(index, super::constants::boxed(TypeId::U, pointer_in(value)?)?);
        return Ok(Source::Payload);
    }
    if types.is_value_type(ty) {
        let fits = !value.is_null() && types.nullable_argument(ty).is_none() && casts::can_unbox(method_table(ty)?, value);
        slots.set(index, if fits { value } else { box_for(ty, value)? });
        return Ok(Source::Payload);
    }
    check_reference(value, ty)?;
    slots.set(index, value);
    Ok(Source::Slot)
}

fn check_reference(value: ObjectRef, ty: TypeId) -> Result<()> {
    if value.is_null() || is_assignable(value.type_id(), ty)? { Ok(()) } else { Err(cannot_convert(value, ty)) }
}

/// Calls exactly `method` with an object for `this` (of value types: boxed; ignored if static) and the arguments in an array (null: none),
/// into which arguments by reference come back. The result is boxed; of `void` it is null.
pub(in crate::icalls) fn call(method: MethodId, this: ObjectRef, arguments: ArrayRef) -> Result<ObjectRef> {
    call_code(method, || methods::code(method), this, arguments)
}

/// As [`call`], with the method's code or what stands for it, which is asked for when the arguments fit.
fn call_code(method: MethodId, code: impl FnOnce() -> Result<usize>, this: ObjectRef, arguments: ArrayRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let declaration = types.method(method);
    let signature = types.method_signature(method)?;
    let mut area = StructureArea::default();
    area.reserve(signature.params.len());
    let slots = Slots(area.take(signature.params.len()));
    let mut write_backs = SmallVec::new();
    let mut sources: SmallVec<[Source; 8]> = SmallVec::new();
    for (index, &param) in signature.params.iter().enumerate() {
        sources.push(place_argument(param, index, arguments, slots, &mut write_backs)?);
    }
    let result = match signature.ret {
        TypeId::VOID => ObjectRef::NULL,
        ty if is_bare(ty) => empty_box(TypeId::U)?,
        ty if types.is_value_type(ty) => empty_box(ty)?,
        _ => ObjectRef::NULL,
    };
    ensure_initialized(method_table(declaration.owner)?)?;
    let code = code()?;
    let context = methods::context_argument(method)?;

    let by_address = types.is_value_type(declaration.owner);
    // The method of a nullable wants that and not the value in it, as which it is boxed.
    let this = match types.nullable_argument(declaration.owner) {
        Some(_) if !declaration.is_static() && this.type_id() != declaration.owner => box_for(declaration.owner, this)?,
        _ => this,
    };
    let receiver = if by_address && !this.is_null() { this.payload::<u8>() as usize } else { this.raw() as usize };
    let mut addresses: SmallVec<[usize; 8]> = SmallVec::new();
    for (index, source) in sources.iter().enumerate() {
        addresses.push(match source {
            Source::SlotAddress => slots.address(index) as usize,
            Source::PayloadAddress => slots.get(index).payload::<u8>() as usize,
            Source::Slot | Source::Payload => 0,
        });
    }
    let mut pointers: SmallVec<[*const u8; 8]> = SmallVec::new();
    if !declaration.is_static() {
        pointers.push((&raw const receiver).cast());
    }
    for (index, source) in sources.iter().enumerate() {
        pointers.push(match source {
            Source::Slot => slots.address(index).cast(),
            Source::Payload => slots.get(index).payload::<u8>(),
            Source::SlotAddress | Source::PayloadAddress => (&raw const addresses[index]).cast(),
        });
    }
    let mut reference = ObjectRef::NULL;
    let place = if result.is_null() { (&raw mut reference).cast::<u8>() } else { result.payload::<u8>() };
    // SAFETY: the arguments were brought to the method's types, and there is room for its result.
    unsafe { invoke::call_code(method, code, context, &pointers, place)? };
    for WriteBack { index, ty } in write_backs {
        let holder = slots.get(index);
        let value = match types.kind(ty) {
            // SAFETY: the holder is a boxed pointer.
            TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => pointer_object(ty, unsafe { holder.unbox() })?,
            // SAFETY: the holder is a raw box of this nullable.
            _ if types.nullable_argument(ty).is_some() => unsafe { helpers::box_nullable(method_table(ty)?, holder.payload())? },
            _ => holder,
        };
        arguments.set_ref(index, value);
    }
    finish_result(signature.ret, result, reference)
}

/// The result as an object: `holder` is a box with it, or else it is `reference`.
fn finish_result(ty: TypeId, holder: ObjectRef, reference: ObjectRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    if holder.is_null() {
        return Ok(if ty == TypeId::VOID { ObjectRef::NULL } else { reference });
    }
    write_barrier(holder);
    match *types.kind(ty) {
        // SAFETY: the box holds the address of a variable of this type.
        TypeKind::ByRef(target) => unsafe { super::fields::load(target, holder.unbox::<*const u8>()) },
        // SAFETY: the box holds a pointer.
        TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => pointer_object(ty, unsafe { holder.unbox() }),
        // SAFETY: the box holds the nullable as it is.
        _ if types.nullable_argument(ty).is_some() => unsafe { helpers::box_nullable(method_table(ty)?, holder.payload()) },
        _ => Ok(holder),
    }
}

/// Checks before a call that are no fault of the method; an error here is not wrapped by the class library.
fn check_call(method: MethodId, this: ObjectRef, arguments: ArrayRef, is_constructor: bool) -> Result<()> {
    let types = &runtime().types;
    let declaration = types.method(method);
    methods::check_invocable(method, || check_method(method))?;
    if !(declaration.is_static() || is_constructor && this.is_null()) {
        if this.is_null() {
            return Err(target_exception("Non-static method requires a target."));
        }
        let fits = is_assignable(this.type_id(), declaration.owner)?;
        if !(fits || proxies::is_proxy(this) && proxies::can_cast(declaration.owner, this)?) {
            return Err(target_exception("Object does not match target type."));
        }
    }
    let given = if arguments.is_null() { 0 } else { arguments.len() };
    let signature = types.method_signature(method)?;
    if given != signature.params.len() {
        let class = "TargetParameterCountException";
        return Err(Exception::new(
            "System.Reflection",
            class,
            "Number of parameters specified does not match the expected number.",
        ));
    }
    if is_constructor && this.is_null() && !declaration.is_static() && types.header(declaration.owner)?.is_abstract() {
        return Err(target_exception("Cannot invoke constructor of an abstract class."));
    }
    if matches!(types.kind(signature.ret), TypeKind::ByRef(_)) {
        return Err(Exception::not_supported("Cannot invoke method returning ByRef type via reflection"));
    }
    // A class that cannot be laid out.
    method_table(declaration.owner)?;
    Ok(())
}

/// The part of these checks that comes first and depends on the method alone.
fn check_method(method: MethodId) -> Result<()> {
    let types = &runtime().types;
    let declaration = types.method(method);
    if types.load_context(declaration.assembly) == LoadContext::Reflection {
        return Err(Exception::invalid_operation(
            "It is illegal to invoke a method on a type loaded using the ReflectionOnly api.",
        ));
    }
    if !can_run(declaration.assembly)? {
        return Err(Exception::not_supported("Cannot invoke a method in a dynamic assembly without run access."));
    }
    let is_open = declaration.generic_param_count as usize != declaration.method_args.len()
        || is_open(declaration.owner)
        || declaration.method_args.iter().any(|&arg| is_open(arg));
    if is_open {
        return Err(Exception::invalid_operation(
            "Late bound operations cannot be performed on types or methods for which ContainsGenericParameters is true.",
        ));
    }
    Ok(())
}

/// Calls a method in another domain with copies of the arguments; gives a copy of its result or of its exception.
fn call_in_domain(
    target: &'static Domain,
    method: MethodId,
    this: ObjectRef,
    arguments: ArrayRef,
) -> Result<(ObjectRef, ObjectRef)> {
    let home = domain::current();
    let this = domain_copy::copy(this, target)?;
    let arguments = domain_copy::copy(arguments.object(), target)?.as_array().unwrap_or(ArrayRef::NULL);
    match domain_calls::run_in(target, || call(method, this, arguments))? {
        Ok(result) => Ok((domain_copy::copy(result, home)?, ObjectRef::NULL)),
        Err(exception) => Ok((ObjectRef::NULL, domain_copy::copy(exception, home)?)),
    }
}

extern "C" fn invoke_method(
    this_method: ObjectRef,
    this: ObjectRef,
    arguments: ArrayRef,
    exception: *mut ObjectRef,
) -> ObjectRef {
    raising(|| {
        store_out(exception, ObjectRef::NULL);
        let types = &runtime().types;
        let method = method_of(this_method)?;
        if let Some(target) = Thread::current().next_domain.take() {
            let (result, raised) = call_in_domain(target, method, this, arguments)?;
            store_out(exception, raised);
            return Ok(result);
        }
        if let Err(misuse) = check_call(method, this, arguments, false) {
            store_out(exception, misuse.into_object());
            return Ok(ObjectRef::NULL);
        }
        let declaration = types.method(method);
        if !declaration.is_static() && proxies::is_proxy(this) {
            let is_of_class = declaration.is_virtual() && is_assignable(this.type_id(), declaration.owner)?;
            let method = if is_of_class { methods::resolve_virtual(this.type_id(), method)? } else { method };
            return call_code(method, || proxies::code(method), this, arguments);
        }
        if declaration.is_static() || !declaration.is_virtual() {
            return call(method, this, arguments);
        }
        call(methods::resolve_virtual(this.type_id(), method)?, this, arguments)
    })
}

/// The constructor of arrays: lengths, or pairs of lower bound and length.
fn new_array(ty: TypeId, kind: ArrayMethod, arguments: ArrayRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let rank = types.array_rank(ty).unwrap_or(1);
    let integers: Vec<i32> = (0..arguments.len())
        .map(|index| {
            let value = arguments.get_ref(index).check()?;
            // SAFETY: a boxed 32-bit integer.
            if value.type_id() == TypeId::I4 { Ok(unsafe { value.unbox() }) } else { Err(Exception::invalid_cast()) }
        })
        .collect::<Result<_>>()?;
    let has_bounds = matches!(kind, ArrayMethod::Constructor(count) if count == 2 * rank);
    let table = method_table(ty)?;
    if matches!(types.kind(ty), TypeKind::SzArray(_)) {
        return Ok(object::allocate_vector_of(table, &integers)?.object());
    }
    let dimensions: Vec<(i32, i32)> = match has_bounds {
        true => integers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
        false => integers.iter().map(|&length| (0, length)).collect(),
    };
    Ok(object::allocate_array(table, &dimensions)?.object())
}

/// Creates an object by a constructor.
pub(super) fn construct(constructor: MethodId, arguments: ArrayRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let declaration = types.method(constructor);
    if let MethodKind::Array(kind) = declaration.kind {
        return new_array(declaration.owner, kind, arguments);
    }
    if declaration.owner == TypeId::STRING {
        // Strings are made by static methods with the constructors' parameters.
        let params = &types.method_signature(constructor)?.params;
        let create = types
            .find_method(TypeId::STRING, "Ctor", Some(params))?
            .ok_or_else(|| Exception::missing_method("System.String has no such constructor"))?;
        return call(create, ObjectRef::NULL, arguments);
    }
    let table = method_table(declaration.owner)?;
    ensure_initialized(table)?;
    let object = remoting::new_object(table)?;
    call(constructor, object, arguments)?;
    Ok(match types.nullable_argument(declaration.owner) {
        // SAFETY: the object is a raw box of the nullable.
        Some(_) => unsafe { helpers::box_nullable(table, object.payload())? },
        None => object,
    })
}

extern "C" fn invoke_constructor(
    constructor: ObjectRef,
    this: ObjectRef,
    arguments: ArrayRef,
    exception: *mut ObjectRef,
) -> ObjectRef {
    raising(|| {
        store_out(exception, ObjectRef::NULL);
        let types = &runtime().types;
        let method = method_of(constructor)?;
        if let Err(misuse) = check_call(method, this, arguments, true) {
            store_out(exception, misuse.into_object());
            return Ok(ObjectRef::NULL);
        }
        if types.method(method).is_static() {
            ensure_initialized(method_table(types.method(method).owner)?)?;
            return Ok(ObjectRef::NULL);
        }
        if this.is_null() {
            return construct(method, arguments);
        }
        call(method, this, arguments)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.RuntimeMethodInfo:InternalInvoke", invoke_method as *const ()),
    icall(
        "System.Reflection.RuntimeConstructorInfo:InternalInvoke (object,object[],System.Exception&)",
        invoke_constructor as *const (),
    ),
];
