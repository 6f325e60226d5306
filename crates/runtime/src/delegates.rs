//! Delegates: what their constructor stores. `Invoke` jumps through `invoke_impl`, which is one of three pieces of code.

use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::object::{self, ObjectRef};
use crate::{compile, handles, methods, runtime};
use compiler::DelegateStub;
use il::types::{MethodId, TypeId};
use ir::mach::StubKind;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::atomic::AtomicUsize;

/// The code that is called in the end.
pub static CODE: KnownField = KnownField::new("System", "Delegate", "method_ptr");
/// How `Invoke` gets there.
pub static INVOKE: KnownField = KnownField::new("System", "Delegate", "invoke_impl");
/// The object that it is closed over.
pub static TARGET: KnownField = KnownField::new("System", "Delegate", "m_target");
/// Handle of the method.
pub static METHOD: KnownField = KnownField::new("System", "Delegate", "method");

/// The pieces of code made so far.
#[derive(Default)]
pub struct DelegateStubs {
    closed: AtomicUsize,
    by_invoke: Mutex<FxHashMap<(MethodId, DelegateStub), usize>>,
}

/// The `Invoke` method of a delegate class.
pub fn invoke_method(class: TypeId) -> Result<MethodId> {
    let found = runtime().types.find_method(class, "Invoke", None)?;
    found.ok_or_else(|| Exception::engine("a delegate class lacks Invoke"))
}

fn closed_invoke() -> Result<usize> {
    let kind = StubKind::InvokeClosed { code: CODE.offset() as i32, target: TARGET.offset() as i32 };
    methods::once(&runtime().delegate_stubs.closed, || methods::stub(kind))
}

fn stub_for(class: TypeId, stub: DelegateStub) -> Result<usize> {
    let runtime = runtime();
    let invoke = runtime.types.canonical_method(invoke_method(class)?);
    if let Some(&code) = runtime.delegate_stubs.by_invoke.lock().get(&(invoke, stub)) {
        return Ok(code);
    }
    let code = compile::compile_delegate_stub(invoke, stub)?;
    runtime.delegate_stubs.by_invoke.lock().insert((invoke, stub), code);
    Ok(code)
}

/// Initialises a delegate. `code` is that of `ldftn` or `ldvirtftn` and `handle` the method's, or 0 if the compiler does not know it.
pub fn initialize(delegate: ObjectRef, target: ObjectRef, code: usize, handle: usize) -> Result<()> {
    let delegate = delegate.check()?;
    let types = &runtime().types;
    let class = delegate.type_id();
    let mut code = code;
    let mut closed = !target.is_null();
    if let Some(method) = handles::to_method(handle) {
        let data = types.method(method);
        if !data.is_static() {
            closed = types.method_signature(method)?.params.len() == types.method_signature(invoke_method(class)?)?.params.len();
            if closed && target.is_null() {
                return Err(Exception::argument("this", "Delegate to an instance method cannot have null 'this'."));
            }
            if closed && types.is_value_type(data.owner) {
                code = methods::unboxing_entry(method)?;
            }
        } else {
            let wanted = types.method_signature(invoke_method(class)?)?.params.len();
            closed = types.method_signature(method)?.params.len() == wanted + 1;
        }
    }
    let invoke = if closed { closed_invoke()? } else { stub_for(class, DelegateStub::OpenStatic)? };
    TARGET.set_ref(delegate, if closed { target } else { ObjectRef::NULL });
    CODE.set(delegate, code);
    METHOD.set(delegate, handle);
    INVOKE.set(delegate, invoke);
    Ok(())
}

/// A new delegate of the same class that calls all of its `delegates`, which the class library sets.
pub fn allocate_multicast(like: ObjectRef) -> Result<ObjectRef> {
    let like = like.check()?;
    let invoke = stub_for(like.type_id(), DelegateStub::Multicast)?;
    let delegate = object::allocate(like.method_table())?;
    INVOKE.set(delegate, invoke);
    Ok(delegate)
}
