//! `BeginInvoke` and `EndInvoke` of delegates: the call is a work item of the thread pool, the class library's `AsyncResult`, which
//! keeps the arguments first and then what came of the call.

use super::reflection::fields::{self, Place};
use super::reflection::invocation;
use super::remoting::{self, CallKind, variable};
use super::thread_pool::QUEUE_WORK_ITEM;
use super::{InternalCall, icall, owner_of, raising};
use crate::class_library::{KnownClass, KnownMethod, declared_method};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::object::{self, ArrayRef, ObjectRef};
use crate::{delegates, handles, method_table, proxies, runtime};
use il::types::{TypeId, TypeKind};

const SPACE: &str = "System.Runtime.Remoting.Messaging";

static ASYNC_RESULT: KnownClass = KnownClass::new(SPACE, "AsyncResult");
static COMPLETE: KnownMethod = KnownMethod::new(SPACE, "AsyncResult", "SyncProcessMessage");
static END: KnownMethod = KnownMethod::new(SPACE, "AsyncResult", "EndInvoke");
static STATE: KnownField = KnownField::new(SPACE, "AsyncResult", "async_state");
static DELEGATE: KnownField = KnownField::new(SPACE, "AsyncResult", "async_delegate");
static CALLBACK: KnownField = KnownField::new(SPACE, "AsyncResult", "async_callback");
static CALL: KnownField = KnownField::new(SPACE, "AsyncResult", "object_data");
static IS_ENDED: KnownField = KnownField::new(SPACE, "AsyncResult", "endinvoke_called");
static DELEGATES: KnownField = KnownField::new("System", "MulticastDelegate", "delegates");

/// Elements of the array in `object_data`: the arguments as objects, the result, the exception.
const ARGUMENTS: usize = 0;
const RESULT: usize = 1;
const EXCEPTION: usize = 2;

/// Starts a call. `arguments` are the addresses of those of `BeginInvoke`.
///
/// # Safety
/// They are of the types that the delegate's class declares.
pub unsafe fn begin(delegate: ObjectRef, arguments: *const usize) -> Result<ObjectRef> {
    let delegate = delegate.check()?;
    if !DELEGATES.get::<ObjectRef>(delegate).is_null() {
        return Err(Exception::argument("", "The delegate must have only one target"));
    }
    let types = &runtime().types;
    let params = &types.method_signature(delegates::invoke_method(delegate.type_id())?)?.params;
    // SAFETY: the caller's promise: the callback and the state come last.
    let extra = |index: usize| unsafe { *(arguments.add(params.len() + index).read() as *const ObjectRef) };
    let result = object::allocate(method_table::method_table(ASYNC_RESULT.id()?)?)?;
    DELEGATE.set_ref(result, delegate);
    CALLBACK.set_ref(result, extra(0));
    STATE.set_ref(result, extra(1));
    if let Some(proxy) = remoting::remote_target(delegate) {
        let method = handles::to_method(delegates::METHOD.get(delegate)).ok_or_else(Exception::null_reference)?;
        // SAFETY: the caller's promise.
        let message = unsafe { remoting::message(method, arguments, CallKind::Begin, result)? };
        remoting::send(proxies::real_proxy(proxy), message)?;
        return Ok(result);
    }
    let values = ArrayRef::new(TypeId::OBJECT, params.len())?;
    for (index, &param) in params.iter().enumerate() {
        // SAFETY: the caller's promise.
        let value = unsafe {
            let (address, ty) = variable(param, arguments.add(index).read());
            fields::load(ty, address as *const u8)?
        };
        values.set_ref(index, value);
    }
    let call = ArrayRef::new(TypeId::OBJECT, EXCEPTION + 1)?;
    call.set_ref(ARGUMENTS, values.object());
    CALL.set_ref(result, call.object());
    invoke::call(QUEUE_WORK_ITEM.id()?, &[Argument::reference(result), Argument::integer(0)])?;
    Ok(result)
}

/// Waits for a call and gives what came of it. `arguments` are the addresses of those of `EndInvoke`.
///
/// # Safety
/// They and the variable at `result` are of the types that the delegate's class declares.
pub unsafe fn end(delegate: ObjectRef, arguments: *const usize, result: *mut u8) -> Result<()> {
    let delegate = delegate.check()?;
    let types = &runtime().types;
    let signature = types.method_signature(delegates::invoke_method(delegate.type_id())?)?;
    let by_reference: Vec<usize> =
        (0..signature.params.len()).filter(|&index| matches!(types.kind(signature.params[index]), TypeKind::ByRef(_))).collect();
    // SAFETY: the caller's promise: the result of `BeginInvoke` comes last.
    let asynchronous = unsafe { *(arguments.add(by_reference.len()).read() as *const ObjectRef) };
    let invalid = |message: &str| Exception::new("System", "InvalidOperationException", message);
    if !ASYNC_RESULT.is_class_of(asynchronous.argument("result")?) || DELEGATE.get::<ObjectRef>(asynchronous) != delegate {
        return Err(invalid("The IAsyncResult object provided does not match this delegate."));
    }
    if IS_ENDED.get::<bool>(asynchronous) {
        return Err(invalid("Delegate EndInvoke method called more than once"));
    }
    IS_ENDED.set(asynchronous, true);
    if let Some(proxy) = remoting::remote_target(delegate) {
        let end = declared_method(delegate.type_id(), "EndInvoke", None)?;
        // SAFETY: the caller's promise.
        unsafe {
            let message = remoting::message(end, arguments, CallKind::End, asynchronous)?;
            let (value, outs) = remoting::send(proxies::real_proxy(proxy), message)?;
            remoting::store_outs(end, arguments, outs)?;
            if signature.ret == TypeId::VOID {
                return Ok(());
            }
            return fields::store(signature.ret, Place { owner: ObjectRef::NULL, address: result }, value);
        }
    }
    invoke::call(END.id()?, &[Argument::reference(asynchronous)])?;
    let call = CALL.get::<ObjectRef>(asynchronous).as_array();
    let call = call.ok_or_else(|| invalid("The IAsyncResult object provided does not match this delegate."))?;
    if let Some(exception) = call.get_ref(EXCEPTION).non_null() {
        return Err(Exception::from_object(exception));
    }
    if let Some(values) = call.get_ref(ARGUMENTS).as_array() {
        for (place, index) in by_reference.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let (address, ty) = variable(signature.params[index], arguments.add(place).read());
                let place = Place { owner: owner_of(address), address: address as *mut u8 };
                fields::store(ty, place, values.get_ref(index))?;
            }
        }
    }
    if signature.ret == TypeId::VOID {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    unsafe { fields::store(signature.ret, Place { owner: ObjectRef::NULL, address: result }, call.get_ref(RESULT)) }
}

/// `AsyncResult.Invoke`: does the work, on a thread of the pool.
extern "C" fn run(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let delegate: ObjectRef = DELEGATE.get::<ObjectRef>(this.check()?).check()?;
        let invoke = delegates::invoke_method(delegate.type_id())?;
        let Some(call) = CALL.get::<ObjectRef>(this).as_array() else {
            // A work item of the class library: the state is the only argument.
            let arguments = ArrayRef::new(TypeId::OBJECT, 1)?;
            arguments.set_ref(0, STATE.get(this));
            return invocation::call(invoke, delegate, arguments);
        };
        let values = call.get_ref(ARGUMENTS).as_array().ok_or_else(Exception::null_reference)?;
        match invocation::call(invoke, delegate, values) {
            Ok(result) => call.set_ref(RESULT, result),
            Err(exception) => call.set_ref(EXCEPTION, exception.into_object()),
        }
        // Marks it as completed, wakes who waits, and calls back.
        invoke::call(COMPLETE.id()?, &[Argument::reference(this), Argument::reference(ObjectRef::NULL)])?;
        Ok(call.get_ref(RESULT))
    })
}

pub(super) const TABLE: &[InternalCall] = &[icall("System.Runtime.Remoting.Messaging.AsyncResult:Invoke ()", run as *const ())];
