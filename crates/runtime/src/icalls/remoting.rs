//! Calls through transparent proxies become messages of the class library's remoting, and back: what a proxy's stubs, `RealProxy`,
//! `RemotingServices` and `MonoMethodMessage` ask of the runtime.

use super::reflection::fields::{self, Place};
use super::reflection::{invocation, method_object, method_of, type_of};
use super::{InternalCall, icall, owner_of, raising, store_out};
use super::{app_domains, domain_calls};
use crate::class_library::{core_class, declared_method};
use crate::com::objects;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::method_table::{MethodTable, method_table};
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{delegates, domain, domain_copy, handles, metadata, methods, proxies, runtime};
use compiler::abi::method_table_flags;
use il::tables::ParamRow;
use il::types::{FieldId, MethodId, TypeId, TypeKind};
use smallvec::SmallVec;

const MESSAGING: &str = "System.Runtime.Remoting.Messaging";
const PROXIES: &str = "System.Runtime.Remoting.Proxies";
const ACTIVATION: &str = "System.Runtime.Remoting.Activation";

static CLASS_TO_PROXY: KnownField = KnownField::new(PROXIES, "RealProxy", "class_to_proxy");
static TARGET_CONTEXT: KnownField = KnownField::new(PROXIES, "RealProxy", "_targetContext");
static SERVER: KnownField = KnownField::new(PROXIES, "RealProxy", "_server");

static MESSAGE_METHOD: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "method");
static MESSAGE_ARGUMENTS: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "args");
static MESSAGE_NAMES: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "names");
static MESSAGE_ARGUMENT_TYPES: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "arg_types");
static MESSAGE_KIND: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "call_type");
static MESSAGE_RESULT: KnownField = KnownField::new(MESSAGING, "MonoMethodMessage", "asyncResult");

/// How a message's call is made (`CallType`).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum CallKind {
    /// At once.
    Synchronous = 0,
    /// `BeginInvoke`
    Begin = 1,
    /// `EndInvoke`
    End = 2,
}

/// `arg_types` of a message: passed in, passed out, copied back.
mod argument_kinds {
    pub const IN: u8 = 1;
    pub const OUT: u8 = 2;
    pub const COPY_BACK: u8 = 4;
}

/// `ParamAttributes.Out`
const PARAM_OUT: u16 = 2;

/// What an object of another domain is to the current one: a copy, or a proxy if its class is one that is passed by reference.
pub(super) fn pass_from_its_domain(object: ObjectRef) -> Result<ObjectRef> {
    let home = domain::current();
    let Some(object) = object.non_null() else { return Ok(object) };
    let domain = object.method_table().class().domain;
    if std::ptr::eq(domain, home) {
        return Ok(object);
    }
    let serializer = core_class("System.Runtime.Remoting.Channels", "CADSerializer")?;
    let (serialize, deserialize) =
        (declared_method(serializer, "SerializeObject", None)?, declared_method(serializer, "DeserializeObject", None)?);
    let serialized =
        domain::enter(domain, || invoke::call(serialize, &[Argument::reference(object)]).map_err(Exception::into_object));
    let stream = match serialized {
        // SAFETY: the method gives a stream.
        Ok(stream) => domain_copy::copy(unsafe { ObjectRef::from_raw(stream as *mut _) }, home)?,
        Err(exception) => return Err(Exception::from_object(domain_copy::copy(exception, home)?)),
    };
    let object = invoke::call(deserialize, &[Argument::reference(stream)])?;
    // SAFETY: the method gives an object.
    Ok(unsafe { ObjectRef::from_raw(object as *mut _) })
}

/// `IRemotingTypeInfo`
pub fn type_info_interface() -> Result<TypeId> {
    core_class("System.Runtime.Remoting", "IRemotingTypeInfo")
}

/// Asks a `RealProxy` whether its proxy can be cast to a type.
pub fn can_cast_to(real_proxy: ObjectRef, to: TypeId, proxy: ObjectRef) -> Result<bool> {
    let ask = declared_method(type_info_interface()?, "CanCastTo", None)?;
    let arguments = [Argument::reference(handles::type_object(to)?), Argument::reference(proxy)];
    Ok(invoke::call_virtual(ask, real_proxy, &arguments)? & 0xff != 0)
}

/// Which parameters of a method, from 0, have the attribute `[Out]`.
pub(super) fn out_parameters(method: MethodId, count: usize) -> Vec<bool> {
    let types = &runtime().types;
    let data = types.method(method);
    let metadata = types.metadata(data.assembly);
    let mut outs = vec![false; count];
    let Some(row) = data.row() else { return outs };
    let list = metadata.params_of(row);
    for index in 0..list.len() as u32 {
        let Some(param) = list.get(index).and_then(|row| metadata.row::<ParamRow>(row).ok()) else { continue };
        if let Some(out) = (param.sequence as usize).checked_sub(1).and_then(|position| outs.get_mut(position)) {
            *out = param.flags & PARAM_OUT != 0;
        }
    }
    outs
}

/// Fills a message for a call of `method`; its arguments are null but for the values of `outs`, one for each passed by reference.
fn initialize_message(message: ObjectRef, method: MethodId, outs: ArrayRef) -> Result<ArrayRef> {
    let types = &runtime().types;
    let params = &types.method_signature(method)?.params;
    MESSAGE_METHOD.set_ref(message, method_object(method, None)?);
    let arguments = ArrayRef::new(TypeId::OBJECT, params.len())?;
    let kinds = ArrayRef::new(TypeId::U1, params.len())?;
    let names = ArrayRef::new(TypeId::STRING, params.len())?;
    let known_names = metadata::parameter_names(method);
    let is_out = out_parameters(method, params.len());
    let mut next_out = 0;
    for (index, &param) in params.iter().enumerate() {
        let name = known_names.get(index).map_or("", String::as_str);
        names.set_ref(index, StringRef::new(name)?.object());
        let by_reference = matches!(types.kind(param), TypeKind::ByRef(_));
        if by_reference && !outs.is_null() && next_out < outs.len() {
            arguments.set_ref(index, outs.get_ref(next_out));
            next_out += 1;
        }
        let kind = match (by_reference, is_out[index]) {
            (true, true) => argument_kinds::OUT,
            (true, false) => argument_kinds::OUT | argument_kinds::IN,
            (false, true) => argument_kinds::IN | argument_kinds::COPY_BACK,
            (false, false) => argument_kinds::IN,
        };
        // SAFETY: an array of that many bytes.
        unsafe { kinds.data::<u8>().add(index).write(kind) };
    }
    MESSAGE_ARGUMENTS.set_ref(message, arguments.object());
    MESSAGE_NAMES.set_ref(message, names.object());
    MESSAGE_ARGUMENT_TYPES.set_ref(message, kinds.object());
    Ok(arguments)
}

extern "C" fn init_message(this: ObjectRef, method: ObjectRef, outs: ArrayRef) {
    raising(|| initialize_message(this.check()?, method_of(method)?, outs).map(|_| ()));
}

/// Address and type of the variable that an argument at `place` stands for: that behind it, if it is passed by reference.
///
/// # Safety
/// There is an argument of type `ty` at `place`.
pub(super) unsafe fn variable(ty: TypeId, place: usize) -> (usize, TypeId) {
    match runtime().types.kind(ty) {
        // SAFETY: the caller's promise.
        TypeKind::ByRef(target) => (unsafe { (place as *const usize).read() }, *target),
        _ => (place, ty),
    }
}

/// A message for a call with the arguments at these addresses.
///
/// # Safety
/// They are of the types of the method's parameters.
pub(super) unsafe fn message(
    method: MethodId,
    arguments: *const usize,
    kind: CallKind,
    asynchronous: ObjectRef,
) -> Result<ObjectRef> {
    let params = &runtime().types.method_signature(method)?.params;
    let message = object::allocate(method_table(core_class(MESSAGING, "MonoMethodMessage")?)?)?;
    let values = initialize_message(message, method, ArrayRef::NULL)?;
    for (index, &param) in params.iter().enumerate() {
        // SAFETY: the caller's promise.
        let value = unsafe {
            let (address, ty) = variable(param, arguments.add(index).read());
            fields::load(ty, address as *const u8)?
        };
        values.set_ref(index, value);
    }
    MESSAGE_KIND.set(message, kind as i32);
    MESSAGE_RESULT.set_ref(message, asynchronous);
    Ok(message)
}

/// Sends a message through a `RealProxy`: the result and the values of the arguments passed by reference.
pub(super) fn send(real_proxy: ObjectRef, message: ObjectRef) -> Result<(ObjectRef, ArrayRef)> {
    let mut exception = ObjectRef::NULL;
    let mut outs = ObjectRef::NULL;
    let private_invoke = declared_method(core_class(PROXIES, "RealProxy")?, "PrivateInvoke", None)?;
    let arguments = [
        Argument::reference(real_proxy),
        Argument::reference(message),
        Argument::integer(&raw mut exception as i64),
        Argument::integer(&raw mut outs as i64),
    ];
    let result = invoke::call(private_invoke, &arguments)?;
    if !exception.is_null() {
        return Err(Exception::from_object(exception));
    }
    // SAFETY: the method gives a reference.
    let result = unsafe { ObjectRef::from_raw(result as *mut _) };
    Ok((result, outs.as_array().unwrap_or(ArrayRef::NULL)))
}

/// Stores the values that came back into the variables that were passed by reference, and into arrays marked as `[Out]`.
///
/// # Safety
/// The arguments are of the types of the method's parameters.
pub(super) unsafe fn store_outs(method: MethodId, arguments: *const usize, outs: ArrayRef) -> Result<()> {
    if outs.is_null() {
        return Ok(());
    }
    let types = &runtime().types;
    let params = &types.method_signature(method)?.params;
    let is_out = out_parameters(method, params.len());
    let mut next = 0;
    for (index, &param) in params.iter().enumerate() {
        let by_reference = matches!(types.kind(param), TypeKind::ByRef(_));
        if !(by_reference || is_out[index]) {
            continue;
        }
        if next >= outs.len() {
            break;
        }
        let value = outs.get_ref(next);
        next += 1;
        // SAFETY: the caller's promise.
        let (address, ty) = unsafe { variable(param, arguments.add(index).read()) };
        if by_reference {
            let place = Place { owner: owner_of(address), address: address as *mut u8 };
            // SAFETY: likewise.
            unsafe { fields::store(ty, place, value)? };
            continue;
        }
        // SAFETY: likewise.
        let target = unsafe { (address as *const ObjectRef).read() };
        if let (true, Some(target), Some(value)) = (types.is_reference_type(ty), target.as_array(), value.as_array()) {
            copy_array(target, value)?;
        }
    }
    Ok(())
}

/// `Array.Copy` of a whole array.
fn copy_array(target: ArrayRef, source: ArrayRef) -> Result<()> {
    let types = &runtime().types;
    let params = [types.well_known().array, types.well_known().array, TypeId::I4];
    let copy = declared_method(types.well_known().array, "Copy", Some(&params))?;
    let length = source.len().min(target.len());
    let arguments =
        [Argument::reference(source.object()), Argument::reference(target.object()), Argument::integer(length as i64)];
    invoke::call(copy, &arguments).map(|_| ())
}

/// The object behind a proxy if it lives in the current context, so that calls need no message.
fn local_server(proxy: ObjectRef) -> Option<ObjectRef> {
    if !runtime().types.is_context_bound(proxy.type_id()) {
        return None;
    }
    let real_proxy = proxies::real_proxy(proxy);
    let context: ObjectRef = TARGET_CONTEXT.get(real_proxy);
    let is_here = app_domains::current_context().is_ok_and(|current| current == context);
    SERVER.get::<ObjectRef>(real_proxy).non_null().filter(|_| is_here)
}

/// Whether a method is `Object.Equals`: an object bound to a context is itself in its methods, and a proxy for all others.
fn compares_references(method: MethodId) -> bool {
    let types = &runtime().types;
    let data = types.method(method);
    data.owner == TypeId::OBJECT && !data.is_static() && types.method_name(method) == "Equals"
}

/// Whether an object is a proxy for `server`.
fn stands_for(object: ObjectRef, server: ObjectRef) -> bool {
    proxies::is_proxy(object) && SERVER.get::<ObjectRef>(proxies::real_proxy(object)) == server
}

/// Calls an exact method on the object behind a proxy.
///
/// # Safety
/// The arguments and the variable at `result` are of the method's types.
pub unsafe fn call(proxy: ObjectRef, method: MethodId, arguments: *const usize, result: *mut u8) -> Result<()> {
    let types = &runtime().types;
    let signature = types.method_signature(method)?;
    let real_proxy = proxies::real_proxy(proxy);
    if objects::of_real_proxy(real_proxy).is_some() {
        // SAFETY: the caller's promise.
        return unsafe { objects::call(real_proxy, method, arguments, result) };
    }
    if let Some(server) = local_server(proxy) {
        let exact = match types.method(method).is_virtual() {
            true => methods::resolve_virtual(server.type_id(), method)?,
            false => method,
        };
        let this = (&raw const server).cast::<u8>();
        let compares = compares_references(exact);
        // SAFETY: the caller's promise; what is compared with is an object.
        let others = (0..signature.params.len()).map(|index| unsafe {
            let place = arguments.add(index).read() as *const u8;
            if compares && stands_for(place.cast::<ObjectRef>().read(), server) { this } else { place }
        });
        let all: SmallVec<[*const u8; 8]> = std::iter::once(this).chain(others).collect();
        // SAFETY: likewise.
        return unsafe { invoke::call_raw(exact, &all, result) };
    }
    if domain_calls::is_elsewhere(real_proxy) {
        // SAFETY: the caller's promise.
        return unsafe { domain_calls::call(real_proxy, method, arguments, result) };
    }
    // SAFETY: likewise.
    unsafe {
        let message = message(method, arguments, CallKind::Synchronous, ObjectRef::NULL)?;
        let (value, outs) = send(real_proxy, message)?;
        store_outs(method, arguments, outs)?;
        if signature.ret == TypeId::VOID {
            return Ok(());
        }
        // Null is no value, unless it may be missing.
        if types.is_value_type(signature.ret) && types.nullable_argument(signature.ret).is_none() {
            value.check()?;
        }
        fields::store(signature.ret, Place { owner: ObjectRef::NULL, address: result }, value)
    }
}

/// The arguments of `Object.FieldGetter` and `FieldSetter`: names of the class and the field, and the value.
fn field_message(name: &str, field: FieldId, value: ObjectRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let accessor = declared_method(TypeId::OBJECT, name, None)?;
    let message = object::allocate(method_table(core_class(MESSAGING, "MonoMethodMessage")?)?)?;
    let arguments = initialize_message(message, accessor, ArrayRef::NULL)?;
    let owner = types.reflection_name(types.field(field).owner);
    arguments.set_ref(0, StringRef::new(&owner)?.object());
    arguments.set_ref(1, StringRef::new(types.field_name(field))?.object());
    arguments.set_ref(2, value);
    Ok(message)
}

/// The address of a field of the object behind a proxy, which must be in the current context.
pub fn field_address(proxy: ObjectRef, field: FieldId) -> Result<*mut u8> {
    if let Some(server) = local_server(proxy) {
        return Ok(fields::place_of(field, server)?.address);
    }
    let is_in_domain = !SERVER.get::<ObjectRef>(proxies::real_proxy(proxy)).is_null();
    let place = if is_in_domain { "context" } else { "appdomain" };
    Err(Exception::invalid_operation(&format!("Attempt to load field address from object in another {place}.")))
}

/// The value of a field of the object behind a proxy.
pub(super) fn field_value(proxy: ObjectRef, field: FieldId) -> Result<ObjectRef> {
    match local_server(proxy) {
        Some(server) => {
            let source = fields::place_of(field, server)?;
            // SAFETY: the place of the field.
            unsafe { fields::load(runtime().types.field_type(field)?, source.address) }
        }
        None => {
            let message = field_message("FieldGetter", field, ObjectRef::NULL)?;
            let (_, outs) = send(proxies::real_proxy(proxy), message)?;
            Ok(if outs.is_null() || outs.is_empty() { ObjectRef::NULL } else { outs.get_ref(0) })
        }
    }
}

/// Sets a field of the object behind a proxy.
pub(super) fn set_field_value(proxy: ObjectRef, field: FieldId, value: ObjectRef) -> Result<()> {
    match local_server(proxy) {
        // SAFETY: the place of the field.
        Some(server) => unsafe { fields::store(runtime().types.field_type(field)?, fields::place_of(field, server)?, value) },
        None => send(proxies::real_proxy(proxy), field_message("FieldSetter", field, value)?).map(|_| ()),
    }
}

/// Loads a field of the object behind a proxy.
///
/// # Safety
/// `value` is the address of a variable of the field's type outside of the heap.
pub unsafe fn load_field(proxy: ObjectRef, field: FieldId, value: *mut u8) -> Result<()> {
    let loaded = field_value(proxy, field)?;
    let place = Place { owner: ObjectRef::NULL, address: value };
    // SAFETY: the caller's promise.
    unsafe { fields::store(runtime().types.field_type(field)?, place, loaded) }
}

/// Stores a field of the object behind a proxy.
///
/// # Safety
/// `value` is the address of a value of the field's type.
pub unsafe fn store_field(proxy: ObjectRef, field: FieldId, value: *const u8) -> Result<()> {
    // SAFETY: the caller's promise.
    let value = unsafe { fields::load(runtime().types.field_type(field)?, value)? };
    set_field_value(proxy, field, value)
}

/// What `newobj` makes: an object, or a proxy where the class library wants one in its place.
pub fn new_object(table: &MethodTable) -> Result<ObjectRef> {
    if table.has(method_table_flags::BEGINS_AS_PROXY) {
        let create = declared_method(core_class(ACTIVATION, "ActivationServices")?, "CreateProxyForType", None)?;
        let made = invoke::call(create, &[Argument::reference(handles::type_object(table.ty())?)])?;
        // SAFETY: the method gives a reference.
        if let Some(proxy) = unsafe { ObjectRef::from_raw(made as *mut _) }.non_null() {
            return Ok(proxy);
        }
    }
    object::allocate(table)
}

extern "C" fn transparent_proxy(this: ObjectRef, _class_name: StringRef) -> ObjectRef {
    raising(|| {
        let this = this.check()?;
        proxies::create(this, type_of(CLASS_TO_PROXY.get(this))?)
    })
}

extern "C" fn proxied_type(proxy: ObjectRef) -> ObjectRef {
    raising(|| handles::type_object(proxies::shown_type(proxy.check()?)))
}

extern "C" fn is_transparent_proxy(object: ObjectRef) -> bool {
    proxies::is_proxy(object)
}

extern "C" fn virtual_method(ty: ObjectRef, method: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let (class, method) = (type_of(ty)?, method_of(method)?);
        let data = types.method(method);
        let found = match data.is_virtual() && !data.is_final() {
            true => methods::resolve_virtual(class, method).ok(),
            false => types.derives_from(class, data.owner).then_some(method),
        };
        found.map_or(Ok(ObjectRef::NULL), |found| method_object(found, None))
    })
}

/// The field that a `FieldGetter` or `FieldSetter` call is about.
fn field_named(object: ObjectRef, name: ObjectRef) -> Result<FieldId> {
    let types = &runtime().types;
    let name = name.as_string().ok_or_else(Exception::null_reference)?.text();
    let field = types.find_inherited_field(object.type_id(), &name)?;
    field.ok_or_else(|| Exception::new("System", "MissingFieldException", name))
}

/// Calls a method on the object that a message is for; gives the result and the values of the arguments passed by reference.
extern "C" fn execute(method: ObjectRef, this: ObjectRef, arguments: ArrayRef, outs: *mut ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let method = method_of(method)?;
        if types.method(method).owner == TypeId::OBJECT && matches!(types.method_name(method), "FieldGetter" | "FieldSetter") {
            let this = if proxies::is_proxy(this) { SERVER.get(proxies::real_proxy(this)) } else { this };
            let field = field_named(this.check()?, arguments.argument("parameters")?.get_ref(1))?;
            let (ty, place) = (types.field_type(field)?, fields::place_of(field, this)?);
            let is_getter = types.method_name(method) == "FieldGetter";
            let values = ArrayRef::new(TypeId::OBJECT, usize::from(is_getter))?;
            // SAFETY: the place of the field.
            unsafe {
                match is_getter {
                    true => values.set_ref(0, fields::load(ty, place.address)?),
                    false => fields::store(ty, place, arguments.get_ref(2))?,
                }
            }
            store_out(outs, values.object());
            return Ok(ObjectRef::NULL);
        }
        let exact = match types.method(method).is_virtual() && !this.is_null() && !proxies::is_proxy(this) {
            true => methods::resolve_virtual(this.type_id(), method)?,
            false => method,
        };
        if compares_references(exact) && stands_for(arguments.argument("parameters")?.get_ref(0), this) {
            arguments.set_ref(0, this);
        }
        let result = invocation::call(exact, this, arguments)?;
        let params = &types.method_signature(method)?.params;
        let by_reference: SmallVec<[usize; 4]> =
            (0..params.len()).filter(|&index| matches!(types.kind(params[index]), TypeKind::ByRef(_))).collect();
        let values = ArrayRef::new(TypeId::OBJECT, by_reference.len())?;
        for (place, index) in by_reference.into_iter().enumerate() {
            values.set_ref(place, arguments.get_ref(index));
        }
        store_out(outs, values.object());
        Ok(result)
    })
}

/// Whether `new` of a class asks the class library for a proxy, because its instances are to live elsewhere.
extern "C" fn enable_proxy_activation(ty: ObjectRef, enable: u8) {
    raising(|| {
        let ty = type_of(ty)?;
        let table = method_table(ty)?;
        match enable != 0 || runtime().types.begins_as_proxy(ty) {
            true => table.set(method_table_flags::BEGINS_AS_PROXY),
            false => table.clear(method_table_flags::BEGINS_AS_PROXY),
        }
        Ok(())
    });
}

/// `BeginInvoke` and `EndInvoke` of a delegate whose target is a proxy for an object elsewhere: the proxy, for which the class library does
/// what is asynchronous.
pub(super) fn remote_target(delegate: ObjectRef) -> Option<ObjectRef> {
    let target: ObjectRef = delegates::TARGET.get(delegate);
    (proxies::is_proxy(target) && local_server(target).is_none()).then_some(target)
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Runtime.Remoting.Activation.ActivationServices:EnableProxyActivation", enable_proxy_activation as *const ()),
    icall("System.Runtime.Remoting.Messaging.MonoMethodMessage:InitMessage", init_message as *const ()),
    icall("System.Runtime.Remoting.Proxies.RealProxy:InternalGetProxyType (object)", proxied_type as *const ()),
    icall("System.Runtime.Remoting.Proxies.RealProxy:InternalGetTransparentProxy (string)", transparent_proxy as *const ()),
    icall("System.Runtime.Remoting.RemotingServices:GetVirtualMethod", virtual_method as *const ()),
    icall("System.Runtime.Remoting.RemotingServices:InternalExecute", execute as *const ()),
    icall("System.Runtime.Remoting.RemotingServices:IsTransparentProxy (object)", is_transparent_proxy as *const ()),
];
