//! Native objects in managed code: `System.__ComObject`, which a `Mono.Interop.ComInteropProxy` stands before.
//!
//! Managed code only ever sees the transparent proxy. A call on it comes here ([`call`]) and goes on to the `__ComObject`: to its own
//! methods as they are, to an interface through a stub (`compiler::com_calls`) that calls the native function. The object asks for
//! each interface once and keeps it until it is released or collected.

use super::{Identity, codes, exception_of, query_interface, release};
use crate::class_library::core_class;
use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::gc::{self, HandleKind};
use crate::invoke::{self, Argument};
use crate::marshal::values::find_method;
use crate::object::{Object, ObjectRef};
use crate::{compile, methods, proxies, runtime};
use il::types::{MethodId, TypeId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::OnceLock;

static UNKNOWN: KnownField = KnownField::new("System", "__ComObject", "iunknown");
static TABLE: KnownField = KnownField::new("System", "__ComObject", "hash_table");
static COM_OBJECT: KnownField = KnownField::new("Mono.Interop", "ComInteropProxy", "com_object");
static REFERENCES: KnownField = KnownField::new("Mono.Interop", "ComInteropProxy", "ref_count");

/// What is known of native objects.
#[derive(Default)]
struct Known {
    /// Weak handles of the proxies, by domain and `IUnknown`.
    proxies: FxHashMap<(i32, usize), usize>,
    /// The interfaces of each object, by the number in its field `hash_table`.
    interfaces: FxHashMap<usize, FxHashMap<TypeId, usize>>,
    last_number: usize,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

fn with_known<R>(action: impl FnOnce(&mut Known) -> R) -> R {
    action(KNOWN.lock().get_or_insert_with(Known::default))
}

fn proxy_class() -> Result<TypeId> {
    static CLASS: OnceLock<TypeId> = OnceLock::new();
    if let Some(&class) = CLASS.get() {
        return Ok(class);
    }
    let class = core_class("Mono.Interop", "ComInteropProxy")?;
    Ok(*CLASS.get_or_init(|| class))
}

/// The `__ComObject` of a `RealProxy`, if it is one of COM.
pub fn of_real_proxy(real_proxy: ObjectRef) -> Option<ObjectRef> {
    let real_proxy = real_proxy.non_null()?;
    (real_proxy.type_id() == proxy_class().ok()?).then(|| COM_OBJECT.get(real_proxy))
}

/// The `__ComObject` behind a transparent proxy, if the object is one for a native object.
pub fn behind_proxy(object: ObjectRef) -> Option<ObjectRef> {
    proxies::is_proxy(object).then(|| of_real_proxy(proxies::real_proxy(object))).flatten()
}

fn separated() -> Exception {
    let message = "COM object that has been separated from its underlying RCW cannot be used.";
    Exception::new("System.Runtime.InteropServices", "InvalidComObjectException", message)
}

/// The `IUnknown` of a `__ComObject`.
pub fn unknown(com_object: ObjectRef) -> Result<usize> {
    match UNKNOWN.get(com_object) {
        0 => Err(separated()),
        unknown => Ok(unknown),
    }
}

/// An interface of a `__ComObject`, or the error code of the native object.
pub fn find_interface(com_object: ObjectRef, interface: TypeId) -> Result<std::result::Result<usize, i32>> {
    let unknown = unknown(com_object)?;
    let number: usize = TABLE.get(com_object);
    let known = with_known(|known| known.interfaces.get(&number).and_then(|table| table.get(&interface)).copied());
    if let Some(known) = known {
        return Ok(Ok(known));
    }
    let identity: Identity = runtime().types.com_guid(interface).unwrap_or_default();
    let mut found = 0;
    // SAFETY: the object's own interface.
    let code = unsafe { query_interface(unknown, &identity, &mut found) };
    if code < 0 {
        return Ok(Err(code));
    }
    if found == 0 {
        return Ok(Err(codes::NO_INTERFACE));
    }
    let first = with_known(|known| {
        let mut number: usize = TABLE.get(com_object);
        if number == 0 {
            known.last_number += 1;
            number = known.last_number;
            TABLE.set(com_object, number);
        }
        *known.interfaces.entry(number).or_default().entry(interface).or_insert(found)
    });
    if first != found {
        // SAFETY: another thread was faster, and the object keeps one of each.
        unsafe { release(found) };
    }
    Ok(Ok(first))
}

/// An interface of a `__ComObject`; raises what the native object's error code means.
pub fn interface(com_object: ObjectRef, interface: TypeId) -> Result<usize> {
    match find_interface(com_object, interface)? {
        Ok(found) => Ok(found),
        Err(code) => Err(exception_of(code)?),
    }
}

/// The interface that a call of `method` on a `__ComObject` goes to.
pub fn interface_with(com_object: ObjectRef, method: MethodId) -> Result<usize> {
    let types = &runtime().types;
    let owner = types.method(method).owner;
    let Some(declared) = types.com_method(method)? else {
        let (name, class) = (types.method_name(method), types.simple_name(owner).1);
        let message = format!("Method '{name}' in ComImport class '{class}' must implement an interface method.");
        return Err(Exception::invalid_operation(&message));
    };
    interface(com_object.check()?, types.method(declared).owner)
}

/// Gives up a `__ComObject`'s references to the native object. Does nothing if it asked for no interface yet.
pub fn release_interfaces(com_object: ObjectRef) {
    let (number, unknown): (usize, usize) = (TABLE.get(com_object), UNKNOWN.get(com_object));
    if number != 0 {
        release_references(com_object, number, unknown);
    }
}

/// Gives up the references of all `__ComObject`s that are left at the end of the process.
pub fn release_all() {
    let proxies: Vec<usize> = with_known(|known| known.proxies.values().copied().collect());
    for handle in proxies {
        let Some(proxy) = proxy_of(handle).non_null() else { continue };
        let Some(com_object) = COM_OBJECT.get::<ObjectRef>(proxy).non_null() else { continue };
        let unknown = UNKNOWN.get(com_object);
        if unknown != 0 {
            release_references(com_object, TABLE.get(com_object), unknown);
        }
    }
}

fn release_references(com_object: ObjectRef, number: usize, unknown: usize) {
    TABLE.set(com_object, 0usize);
    UNKNOWN.set(com_object, 0usize);
    let key = (com_object.method_table().class().domain.id, unknown);
    let interfaces = with_known(|known| {
        // Another object may have taken the place of one that is finalised only now.
        let is_own = |&handle: &usize| {
            let proxy = proxy_of(handle);
            proxy.is_null() || COM_OBJECT.get::<ObjectRef>(proxy) == com_object
        };
        if known.proxies.get(&key).is_some_and(is_own) {
            known.proxies.remove(&key).into_iter().for_each(gc::free_handle);
        }
        known.interfaces.remove(&number).unwrap_or_default()
    });
    let owned: SmallVec<[usize; 8]> = interfaces.into_values().chain([unknown]).collect();
    for interface in owned {
        // SAFETY: the object owns a reference to each.
        unsafe { release(interface) };
    }
}

/// `Marshal.ReleaseComObject`: how many uses of the object in managed code are left.
pub fn release_object(object: ObjectRef) -> i32 {
    let Some(com_object) = behind_proxy(object) else { return -1 };
    let real_proxy = proxies::real_proxy(object);
    let left = REFERENCES.get::<i32>(real_proxy) - 1;
    if left < 0 {
        return -1;
    }
    REFERENCES.set(real_proxy, left);
    if left == 0 {
        release_interfaces(com_object);
    }
    left
}

fn proxy_of(handle: usize) -> ObjectRef {
    // SAFETY: a handle holds an object or null.
    unsafe { ObjectRef::from_raw(gc::handle_target(handle) as *mut Object) }
}

/// The `ComInteropProxy` of the native object with this `IUnknown`, or null.
pub fn find_proxy(unknown: usize) -> ObjectRef {
    let key = (domain::current().id, unknown);
    with_known(|known| {
        let Some(&handle) = known.proxies.get(&key) else { return ObjectRef::NULL };
        let proxy = proxy_of(handle);
        if proxy.is_null() {
            known.proxies.remove(&key);
            gc::free_handle(handle);
        }
        proxy
    })
}

/// Makes a `ComInteropProxy` known as that of the native object with this `IUnknown`.
pub fn add_proxy(unknown: usize, proxy: ObjectRef) {
    let handle = gc::allocate_handle(proxy.raw().cast(), HandleKind::Weak);
    let before = with_known(|known| known.proxies.insert((domain::current().id, unknown), handle));
    before.into_iter().for_each(gc::free_handle);
}

/// Calls an exact method on the `__ComObject` of a proxy.
///
/// # Safety
/// The arguments and the variable at `result` are of the method's types.
pub unsafe fn call(real_proxy: ObjectRef, method: MethodId, arguments: *const usize, result: *mut u8) -> Result<()> {
    let types = &runtime().types;
    let com_object: ObjectRef = COM_OBJECT.get(real_proxy);
    let data = types.method(method);
    let count = types.method_signature(method)?.params.len();
    // SAFETY: the caller's promise.
    let others = (0..count).map(|index| unsafe { arguments.add(index).read() as *const u8 });
    let all: SmallVec<[*const u8; 8]> = std::iter::once((&raw const com_object).cast::<u8>()).chain(others).collect();
    if types.header(data.owner)?.is_interface() {
        let code = stub(method)?;
        // SAFETY: likewise.
        return unsafe { invoke::call_code(method, code, None, &all, result) };
    }
    let exact = match data.is_virtual() {
        true => methods::resolve_virtual(com_object.type_id(), method)?,
        false => method,
    };
    // SAFETY: likewise.
    unsafe { invoke::call_raw(exact, &all, result)? };
    if types.method_name(method) == ".ctor" {
        let cache = find_method(proxy_class()?, "CacheProxy", None)?;
        invoke::call(cache, &[Argument::reference(real_proxy)])?;
    }
    Ok(())
}

/// The code that calls a method of an interface on the `__ComObject` that it gets as `this`.
fn stub(method: MethodId) -> Result<usize> {
    let stubs = &domain::current().proxies.com_stubs;
    if let Some(&known) = stubs.lock().get(&method) {
        return Ok(known);
    }
    let made = compile::compile_com_stub(method)?;
    Ok(*stubs.lock().entry(method).or_insert(made))
}
