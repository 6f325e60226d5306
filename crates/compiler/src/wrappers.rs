//! Code of methods without IL: internal calls, P/Invokes, methods of delegates and of arrays.

use crate::abi::HelperId;
use crate::com_calls::{com_method, imported_class_method, is_imported_class};
use crate::emit::Emitter;
use crate::env::{CellRequest, MethodEnv};
use crate::importer::generics::TypeRef;
use crate::importer::stack::Use;
use crate::importer::{Failure, ImportError, ImportedMethod, Importer, method_error};
use crate::marshal::signature::native_signature;
use crate::native_calls::{call_native, imported_function};
use crate::signature::{AbiSignature, Passing, abi_signature, method_signature, storage_access, this_type};
use il::method_body::MethodBody;
use il::types::{FieldLocation, MethodId, MethodKind, Storage, TypeId, TypeSystem};
use il::{Error, ErrorKind, Token};
use ir::entity::Value;
use ir::instruction::{Alias, IntCompare, Memory};
use ir::signature::CallConvention;
use ir::types::Access;
use ir::{Function, Type};

/// Code that a delegate's `invoke_impl` may point to, one for each signature of `Invoke`. Delegates closed over their
/// first argument use the back end's `InvokeClosed` stub instead, wherever the other arguments stay in their places.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DelegateStub {
    /// Calls `method_ptr` without the delegate: static methods.
    OpenStatic,
    /// Likewise an instance method, on the first argument.
    OpenInstance,
    /// Calls what a virtual call of `method` on the first argument reaches.
    OpenVirtual,
    /// Calls `method_ptr` with `m_target` before the arguments: static methods.
    ClosedStatic,
    /// Calls each of `delegates` and gives the last result.
    Multicast,
    /// Calls the native function at `method_ptr`.
    Native,
}

/// Byte offset of an instance field, by name.
pub(crate) fn instance_field(types: &TypeSystem, ty: TypeId, name: &str) -> il::Result<i32> {
    let missing = || Error::new(ErrorKind::MissingField, "field not found").with_name(format!("{}.{name}", types.type_name(ty)));
    let field = types.find_field(ty, name)?.ok_or_else(missing)?;
    match types.field_location(field)? {
        FieldLocation::Instance { offset } => Ok(offset as i32),
        _ => Err(missing()),
    }
}

/// Builds a function by means of an importer without IL.
pub(crate) fn build(
    env: &dyn MethodEnv,
    method: MethodId,
    name: String,
    build: impl FnOnce(&mut Importer<'_, '_>) -> Result<(), Failure>,
) -> Result<ImportedMethod, ImportError> {
    let body = MethodBody { max_stack: 0, init_locals: false, locals: Token::NULL, il: &[], clauses: Box::default() };
    let abi = method_signature(env, method)?;
    let mut function = Function::new(name, env.abi().pointer_bytes, abi.signature.clone());
    let emitter = Emitter::new(env, &mut function, method);
    let mut importer = Importer::without_il(emitter, &body, abi).map_err(method_error)?;
    match build(&mut importer) {
        Ok(()) => {}
        Err(Failure::Instruction(error)) => importer.raise_deferred(&error),
        Err(failure) => return Err(method_error(failure)),
    }
    let finished = importer.code.finish();
    finished.order_blocks(&mut function);
    Ok(ImportedMethod { function, catch_types: Vec::new(), callees: finished.callees, il_size: 0, inline_always: false })
}

/// The function of a method without IL.
pub(crate) fn import_wrapper(env: &dyn MethodEnv, method: MethodId) -> Result<ImportedMethod, ImportError> {
    let types = env.types();
    let data = types.method(method);
    let name = types.method_full_name(method);
    if let MethodKind::Array(_) = data.kind {
        return build(env, method, name, array_method);
    }
    if let MethodKind::NativePointer { .. } = data.kind {
        return build(env, method, name, native_pointer);
    }
    if data.is_pinvoke() {
        return build(env, method, name, imported_function);
    }
    if (data.is_internal_call() || data.is_runtime()) && is_imported_class(types, data.owner)? {
        return build(env, method, name, imported_class_method);
    }
    if data.is_internal_call() {
        return build(env, method, name, internal_call);
    }
    if types.header(data.owner)?.is_delegate() {
        return match types.method_name(method) {
            "Invoke" => build(env, method, name, |importer| {
                importer.load_arguments()?;
                importer.call_own_method(method)
            }),
            ".ctor" => build(env, method, name, delegate_constructor),
            "BeginInvoke" => build(env, method, name, begin_invoke),
            "EndInvoke" => build(env, method, name, end_invoke),
            other => {
                let message = format!("{other} of delegates");
                build(env, method, name, |_| Err(Failure::Instruction(Error::new(ErrorKind::NotSupported, message))))
            }
        };
    }
    if data.is_runtime() {
        let message = format!("Unrecognizable runtime implemented method '{name}'\n");
        return Err(ImportError::Invalid(Error::invalid_program(message)));
    }
    let reason = if data.is_abstract() { "an abstract method has no code" } else { "the method has no body" };
    Err(ImportError::NotSupported(format!("{reason}: {name}")))
}

/// The function of a delegate stub for this `Invoke` method.
pub fn import_delegate_stub(env: &dyn MethodEnv, invoke: MethodId, stub: DelegateStub) -> Result<ImportedMethod, ImportError> {
    let name = format!("(wrapper delegate-invoke) {}", env.types().method_full_name(invoke));
    match stub {
        DelegateStub::Multicast => build(env, invoke, name, multicast),
        DelegateStub::Native => build(env, invoke, name, native_target),
        single => build(env, invoke, name, |importer| single_target(importer, single)),
    }
}

/// Pops all arguments of the wrapped method; `this` comes first.
pub(crate) fn all_arguments(importer: &mut Importer<'_, '_>) -> Result<Vec<(Value, bool)>, Failure> {
    importer.load_arguments()?;
    let types: Vec<TypeId> = importer.abi_signature.params.iter().map(|param| param.ty).collect();
    let mut values = Vec::with_capacity(types.len());
    for ty in types.into_iter().rev() {
        values.push(importer.pop_for(ty, Use::Passed)?);
    }
    values.reverse();
    Ok(values)
}

fn delegate_constructor(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let arguments = all_arguments(importer)?;
    let handle = importer.b.iconst(Type::Iptr, 0);
    let [(this, _), (target, _), (code, _)] = arguments[..] else {
        return Err(Failure::Method(Error::invalid_program("a delegate's constructor takes an object and a pointer")));
    };
    importer.helper(HelperId::InitializeDelegate, &[this, target, code, handle]);
    importer.finish_with(None)
}

/// The delegate, and the address of an array with the addresses of all other arguments.
fn argument_addresses(importer: &mut Importer<'_, '_>) -> Result<(Value, Value), Failure> {
    let arguments = all_arguments(importer)?;
    let storages: Vec<Storage> = importer.abi_signature.params.iter().map(|param| param.storage).collect();
    Ok((arguments[0].0, address_list(importer, &arguments[1..], &storages[1..])))
}

/// The address of an array with the addresses of arguments.
pub(crate) fn address_list(importer: &mut Importer<'_, '_>, arguments: &[(Value, bool)], storages: &[Storage]) -> Value {
    let pointer_bytes = importer.abi.pointer_bytes;
    let list = importer.new_slot(pointer_bytes * arguments.len().max(1) as u32, pointer_bytes);
    for (index, (&(value, _), &storage)) in arguments.iter().zip(storages).enumerate() {
        let place = match storage_access(storage) {
            Some(access) => {
                let place = scalar_place(importer, access);
                let memory = importer.frame_access(access, 0);
                importer.b.store(memory, place, value);
                place
            }
            None => value,
        };
        let place = importer.as_pointer(place, Type::Iptr);
        let entry = importer.b.stack_addr(list, 0);
        let memory = importer.frame_access(Access::Full(Type::Iptr), (pointer_bytes * index as u32) as i32);
        importer.b.store(memory, entry, place);
    }
    importer.b.stack_addr(list, 0)
}

/// Memory in the frame for a scalar.
pub(crate) fn scalar_place(importer: &mut Importer<'_, '_>, access: Access) -> Value {
    let bytes = access.bytes(importer.abi.pointer_bytes);
    importer.struct_temporary(bytes, bytes)
}

fn begin_invoke(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let (delegate, addresses) = argument_addresses(importer)?;
    let result = importer.helper_value(HelperId::BeginInvoke, &[delegate, addresses]);
    importer.finish_with(Some(result))
}

fn end_invoke(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let (delegate, addresses) = argument_addresses(importer)?;
    finish_with_result_of(importer, |importer, place| {
        importer.helper(HelperId::EndInvoke, &[delegate, addresses, place]);
    })
}

/// The function that calls `method` on the object behind a proxy; `handle` is that of the exact method.
pub fn import_proxy_stub(env: &dyn MethodEnv, method: MethodId, handle: usize) -> Result<ImportedMethod, ImportError> {
    let name = format!("(wrapper remoting-invoke) {}", env.types().method_full_name(method));
    build(env, method, name, |importer| {
        let (proxy, addresses) = argument_addresses(importer)?;
        let handle = importer.b.iconst(Type::Iptr, handle as i64);
        finish_with_result_of(importer, |importer, place| {
            importer.helper(HelperId::CallProxy, &[proxy, handle, addresses, place]);
        })
    })
}

/// The function that calls a method of an interface on a COM object, which it gets as `this`.
pub fn import_com_stub(env: &dyn MethodEnv, method: MethodId) -> Result<ImportedMethod, ImportError> {
    let name = format!("(wrapper cominterop) {}", env.types().method_full_name(method));
    build(env, method, name, com_method)
}

/// Returns what `call` leaves at the address that it is given.
fn finish_with_result_of(
    importer: &mut Importer<'_, '_>,
    call: impl FnOnce(&mut Importer<'_, '_>, Value),
) -> Result<(), Failure> {
    let place = result_place(importer);
    call(importer, place);
    let result = result_at(importer, place);
    importer.finish_with(result)
}

/// Memory in the frame for the result of the method at hand, or null if it has none.
pub(crate) fn result_place(importer: &mut Importer<'_, '_>) -> Value {
    match importer.abi_signature.result.storage {
        Storage::Struct { size, align } => importer.struct_temporary(size, align),
        storage => match storage_access(storage) {
            Some(access) => scalar_place(importer, access),
            None => importer.b.zero(Type::Mptr),
        },
    }
}

/// The result that was left at [`result_place`], as by `Emitter::take_result`.
pub(crate) fn result_at(importer: &mut Importer<'_, '_>, place: Value) -> Option<Value> {
    match importer.abi_signature.result.storage {
        Storage::Struct { .. } => Some(place),
        storage => {
            let memory = importer.frame_access(storage_access(storage)?, 0);
            Some(importer.b.load(memory, place))
        }
    }
}

fn single_target(importer: &mut Importer<'_, '_>, stub: DelegateStub) -> Result<(), Failure> {
    let types = importer.types;
    let mut arguments = all_arguments(importer)?;
    let delegate = arguments.remove(0).0;
    let mut signature = types.method_signature(importer.method)?.clone();
    let field = |name: &str| instance_field(types, types.well_known().delegate, name);
    let (mut this_class, mut this) = (None, None);
    match stub {
        DelegateStub::OpenInstance | DelegateStub::OpenVirtual => {
            let Some((&first, rest)) = signature.params.split_first() else {
                return Err(Failure::Method(Error::invalid_program("a delegate without an argument for an instance method")));
            };
            this_class = Some(first);
            signature.params = rest.into();
            this = Some(arguments.remove(0).0);
        }
        DelegateStub::ClosedStatic => {
            signature.params = std::iter::once(TypeId::OBJECT).chain(signature.params.iter().copied()).collect();
            let target = importer.b.load(Memory::any(Type::Ref).at(field("m_target")?), delegate);
            arguments.insert(0, (target, true));
        }
        DelegateStub::OpenStatic | DelegateStub::Multicast | DelegateStub::Native => {}
    }
    let code = match (stub, this) {
        (DelegateStub::OpenVirtual, Some(this)) => {
            let handle = importer.b.load(Memory::any(Type::Iptr).at(field("method")?), delegate);
            importer.helper_value(HelperId::VirtualCode, &[this, handle])
        }
        _ => importer.b.load(Memory::any(Type::Iptr).at(field("method_ptr")?), delegate),
    };
    let abi = abi_signature(importer.env, CallConvention::Managed, this_class, &signature, false)?;
    importer.want_tail_call();
    let result = importer.call_code(code, &abi, this, &arguments)?;
    importer.finish_with(result)
}

fn native_pointer(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let native = native_signature(importer.types, importer.method)?;
    let arguments = all_arguments(importer)?;
    call_native(importer, &native, arguments[0].0, &arguments[1..])
}

fn native_target(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let types = importer.types;
    let native = native_signature(types, importer.method)?;
    let arguments = all_arguments(importer)?;
    let offset = instance_field(types, types.well_known().delegate, "method_ptr")?;
    let code = importer.b.load(Memory::any(Type::Iptr).at(offset), arguments[0].0);
    call_native(importer, &native, code, &arguments[1..])
}

fn multicast(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let types = importer.types;
    let arguments = all_arguments(importer)?;
    let abi = importer.abi_signature.clone();
    let list_offset = instance_field(types, types.well_known().multicast_delegate, "delegates")?;
    let code_offset = instance_field(types, types.well_known().delegate, "invoke_impl")?;
    let list = importer.b.load(Memory::any(Type::Ref).at(list_offset), arguments[0].0);
    let length = importer.load_length(list);
    let start = importer.b.iconst(Type::I32, 0);
    let (body, index) = importer.merge_block(Type::I32);
    importer.b.jump(body, &[start]);
    importer.switch(body);
    let wide = importer.b.zext(Type::Iptr, index);
    let pointer_bytes = importer.abi.pointer_bytes;
    let size = importer.b.iconst(Type::Iptr, i64::from(pointer_bytes));
    let place = importer.b.imul(wide, size);
    let address = importer.b.add_addr(list, place);
    let memory = Memory { alias: Alias::Element(Access::Full(Type::Ref)), ..Memory::any(Type::Ref) };
    let data = importer.abi.vector_data();
    let delegate = importer.b.load(memory.at(data), address);
    let code = importer.b.load(Memory::any(Type::Iptr).at(code_offset), delegate);
    // The arguments serve again for the next delegate.
    let kept: Vec<(Value, bool)> = arguments[1..].iter().map(|&(value, _)| (value, false)).collect();
    let result = importer.call_code(code, &abi, Some(delegate), &kept)?;
    let one = importer.b.iconst(Type::I32, 1);
    let next = importer.b.iadd(index, one);
    let more = importer.b.icmp(IntCompare::Slt, next, length);
    let done = importer.new_block();
    importer.b.brif(more, body, &[next], done, &[]);
    importer.b.seal_block(body);
    importer.enter(done);
    importer.finish_with(result)
}

fn array_method(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let arguments = all_arguments(importer)?;
    let method = importer.method;
    let array = TypeRef::exact(importer.types.method(method).owner);
    let result = importer.array_access(arguments[0].0, array, method, &arguments[1..])?;
    importer.finish_with(result)
}

fn internal_call(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    importer.guard_against_proxies()?;
    let (types, method) = (importer.types, importer.method);
    let arguments = all_arguments(importer)?;
    let signature = types.method_signature(method)?;
    let abi = abi_signature(importer.env, CallConvention::Native, this_type(types, method)?, signature, false)?;
    let code = importer.cell(CellRequest::InternalCall(method), Type::Iptr);
    let (this, rest) = if abi.has_this { (Some(arguments[0].0), &arguments[1..]) } else { (None, &arguments[..]) };
    let result = importer.call_code(code, &abi, this, rest)?;
    let result = native_result(importer, &abi, result);
    importer.finish_with(result)
}

/// Native code leaves the upper bits of narrow results undefined.
pub(crate) fn native_result(importer: &mut Importer<'_, '_>, abi: &AbiSignature, result: Option<Value>) -> Option<Value> {
    match (&abi.result.passing, result) {
        (Passing::Scalar(access), Some(value)) => Some(importer.narrow(value, *access)),
        (_, result) => result,
    }
}
