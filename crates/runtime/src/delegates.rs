//! Delegates: what their constructor stores. `Invoke` jumps through `invoke_impl`, which is one of a few pieces of code.

use crate::class_library::declared_method;
use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::object::{self, ObjectRef};
use crate::{compile, handles, methods, runtime};
use compiler::DelegateStub;
use il::types::{MethodId, Storage, TypeId};
use ir::mach::StubKind;
use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxHashMap, FxHashSet};
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
    /// What delegates of a class over a method look like, by class, handle of the method, and whether there is a target.
    shapes: RwLock<FxHashMap<(TypeId, usize, bool), Shape>>,
}

/// What a delegate's constructor finds out.
#[derive(Clone, Copy)]
struct Shape {
    /// Whether it passes its target on.
    closed: bool,
    /// Code that takes the target boxed, in place of the method's own.
    unboxing: Option<usize>,
    /// What `Invoke` jumps to.
    invoke: usize,
    /// Whether the method is virtual and the target may override it.
    is_virtual: bool,
    /// Whether a delegate made by the constructor has to have a target.
    needs_target: bool,
}

impl DelegateStubs {
    /// Forgets what delegates over these methods look like.
    pub fn forget(&self, methods: &FxHashSet<MethodId>) {
        self.shapes
            .write()
            .retain(|&(_, handle, _), _| handles::to_method(handle).is_none_or(|method| !methods.contains(&method)));
    }
}

/// The `Invoke` method of a delegate class.
pub fn invoke_method(class: TypeId) -> Result<MethodId> {
    declared_method(class, "Invoke", None)
}

fn closed_invoke() -> Result<usize> {
    let kind = StubKind::InvokeClosed { code: CODE.offset() as i32, target: TARGET.offset() as i32 };
    methods::once(&domain::current().delegate_stubs.closed, || methods::stub(kind))
}

fn stub_for(class: TypeId, stub: DelegateStub) -> Result<usize> {
    let (runtime, domain) = (runtime(), domain::current());
    let invoke = runtime.types.canonical_method(invoke_method(class)?);
    if let Some(&code) = domain.delegate_stubs.by_invoke.lock().get(&(invoke, stub)) {
        return Ok(code);
    }
    let code = compile::compile_delegate_stub(invoke, stub)?;
    domain.delegate_stubs.by_invoke.lock().insert((invoke, stub), code);
    Ok(code)
}

/// Initialises a delegate as its constructor does: over an instance method only with an object. `code` is that of `ldftn` or `ldvirtftn` and `handle` the method's, or 0 if the compiler does not know it.
pub fn initialize(delegate: ObjectRef, target: ObjectRef, code: usize, handle: usize) -> Result<()> {
    if code == 0 {
        return Err(Exception::argument_null("method"));
    }
    if set_up(delegate, target, code, handle)?.needs_target && target.is_null() {
        return Err(Exception::argument("this", "Delegate to an instance method cannot have null 'this'."));
    }
    Ok(())
}

/// Likewise, but `this` of an instance method may be null, too.
pub fn initialize_over_any(delegate: ObjectRef, target: ObjectRef, code: usize, handle: usize) -> Result<()> {
    set_up(delegate, target, code, handle).map(|_| ())
}

fn set_up(delegate: ObjectRef, target: ObjectRef, code: usize, handle: usize) -> Result<Shape> {
    let delegate = delegate.check()?;
    let key = (delegate.type_id(), handle, !target.is_null());
    let shapes = &domain::current().delegate_stubs.shapes;
    let known = shapes.read().get(&key).copied();
    let shape = match known {
        Some(shape) => shape,
        None => {
            let shape = find_shape(key.0, handle, key.2)?;
            shapes.write().insert(key, shape);
            shape
        }
    };
    if shape.closed && !target.is_null() {
        TARGET.set_ref(delegate, target);
    }
    // The code of `ldvirtftn` is that of the target's own method, which is then what the delegate is of.
    let handle = match handles::to_method(handle).filter(|_| shape.is_virtual && !target.is_null()) {
        Some(method) => handles::from_method(methods::known_override(target.type_id(), method, code)),
        None => handle,
    };
    CODE.set(delegate, shape.unboxing.unwrap_or(code));
    METHOD.set(delegate, handle);
    INVOKE.set(delegate, shape.invoke);
    Ok(shape)
}

fn find_shape(class: TypeId, handle: usize, has_target: bool) -> Result<Shape> {
    let types = &runtime().types;
    let mut unboxing = None;
    let mut closed = has_target;
    let mut is_virtual = false;
    let mut needs_target = false;
    let mut stub = DelegateStub::OpenStatic;
    if let Some(method) = handles::to_method(handle) {
        let data = types.method(method);
        let signature = types.method_signature(method)?;
        let wanted = types.method_signature(invoke_method(class)?)?.params.len();
        if !data.is_static() {
            closed = signature.params.len() == wanted;
            needs_target = closed;
            let by_address = types.is_value_type(data.owner);
            is_virtual = data.is_virtual() && closed && !by_address;
            if closed && by_address {
                unboxing = Some(methods::unboxing_entry(method)?);
            }
            stub = if data.is_virtual() && !by_address { DelegateStub::OpenVirtual } else { DelegateStub::OpenInstance };
        } else {
            closed = signature.params.len() == wanted + 1;
            if closed && matches!(types.storage(signature.ret)?, Storage::Struct { .. }) {
                stub = DelegateStub::ClosedStatic;
            }
        }
    }
    let invoke = match (closed, stub) {
        (true, DelegateStub::ClosedStatic) | (false, _) => stub_for(class, stub)?,
        (true, _) => closed_invoke()?,
    };
    Ok(Shape { closed, unboxing, invoke, is_virtual, needs_target })
}

/// A delegate that calls the native function at `pointer`.
pub fn over_native(class: TypeId, pointer: usize) -> Result<ObjectRef> {
    let invoke = stub_for(class, DelegateStub::Native)?;
    let delegate = object::allocate(method_table(class)?)?;
    CODE.set(delegate, pointer);
    METHOD.set(delegate, handles::from_method(invoke_method(class)?));
    INVOKE.set(delegate, invoke);
    Ok(delegate)
}

/// A new delegate of the same class that calls all of its `delegates`, which the class library sets.
pub fn allocate_multicast(like: ObjectRef) -> Result<ObjectRef> {
    let like = like.check()?;
    let invoke = stub_for(like.type_id(), DelegateStub::Multicast)?;
    let delegate = object::allocate(like.method_table())?;
    INVOKE.set(delegate, invoke);
    Ok(delegate)
}
