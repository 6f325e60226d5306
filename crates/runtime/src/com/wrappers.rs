//! Managed objects in native code: an object's interfaces as tables of functions.
//!
//! All interfaces of an object share one [`Wrapper`] with the count of references that native code holds. While that is 0 the object may
//! be collected; native code that was given an interface for the time of a call does not count. Tables are made once for each type,
//! their methods are callbacks ([`crate::marshal::callbacks`]).

use super::{Identity, codes, dispatch_interface, unknown_interface};
use crate::domain::{self, Domain};
use crate::exceptions::{Exception, Result};
use crate::gc::{self, HandleKind};
use crate::icalls::reflection::{Lookup, find_type};
use crate::marshal::callbacks;
use crate::object::{Object, ObjectRef};
use crate::thread::Thread;
use crate::{monitor, runtime};
use il::types::{LoadContext, MethodId, TypeId, com_slots};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// What native code knows of an interface: a pointer to this.
#[repr(C)]
pub struct NativeInterface {
    table: *const usize,
    wrapper: *const Wrapper,
}

/// What native code knows of an object.
struct Wrapper {
    references: Mutex<References>,
    domain: &'static Domain,
}

struct References {
    count: i32,
    /// Handle of the object: weak as long as the count is 0.
    handle: usize,
}

/// All wrappers. Their addresses are kept as numbers, since pointers belong to one thread.
#[derive(Default)]
struct Wrappers {
    by_hash: FxHashMap<i32, Vec<Entry>>,
    /// The wrapper of each interface.
    by_interface: FxHashMap<usize, usize>,
    tables: FxHashMap<TypeId, usize>,
    count: usize,
    /// Number of wrappers at which to look for those of objects that are gone.
    look_at: usize,
}

struct Entry {
    wrapper: usize,
    interfaces: Vec<(TypeId, usize)>,
}

static WRAPPERS: Mutex<Option<Wrappers>> = Mutex::new(None);

fn with_wrappers<R>(action: impl FnOnce(&mut Wrappers) -> R) -> R {
    action(WRAPPERS.lock().get_or_insert_with(Wrappers::default))
}

impl Wrapper {
    fn object(&self) -> ObjectRef {
        let references = self.references.lock();
        // SAFETY: a handle holds an object or null.
        unsafe { ObjectRef::from_raw(gc::handle_target(references.handle) as *mut Object) }
    }

    /// Adds to the count, and keeps the object alive while that is not 0.
    fn change(&self, by: i32) -> i32 {
        let mut references = self.references.lock();
        let before = references.count;
        references.count += by;
        if (before == 0) != (references.count == 0) {
            let kind = if references.count == 0 { HandleKind::Weak } else { HandleKind::Normal };
            let handle = gc::allocate_handle(gc::handle_target(references.handle), kind);
            gc::free_handle(std::mem::replace(&mut references.handle, handle));
        }
        references.count
    }

    fn is_unused(&self) -> bool {
        let references = self.references.lock();
        references.count == 0 && gc::handle_target(references.handle).is_null()
    }
}

/// # Safety
/// The address is that of a wrapper that is still in the table.
unsafe fn wrapper_at<'a>(address: usize) -> &'a Wrapper {
    // SAFETY: the caller's promise.
    unsafe { &*(address as *const Wrapper) }
}

impl Wrappers {
    fn find(&mut self, object: ObjectRef) -> Option<&mut Entry> {
        let entries = self.by_hash.get_mut(&monitor::hash_code(object))?;
        // SAFETY: entries of the table.
        entries.iter_mut().find(|entry| unsafe { wrapper_at(entry.wrapper) }.object() == object)
    }

    fn add(&mut self, object: ObjectRef) {
        const FIRST_LOOK: usize = 64;
        if self.count >= self.look_at.max(FIRST_LOOK) {
            self.remove_unused();
            self.look_at = 2 * self.count;
        }
        let handle = gc::allocate_handle(object.raw().cast(), HandleKind::Weak);
        let domain = object.method_table().class().domain;
        let wrapper = Box::new(Wrapper { references: Mutex::new(References { count: 0, handle }), domain });
        let entry = Entry { wrapper: Box::into_raw(wrapper) as usize, interfaces: Vec::new() };
        self.by_hash.entry(monitor::hash_code(object)).or_default().push(entry);
        self.count += 1;
    }

    fn remove_unused(&mut self) {
        for entries in self.by_hash.values_mut() {
            entries.retain(|entry| {
                // SAFETY: an entry of the table.
                if !unsafe { wrapper_at(entry.wrapper) }.is_unused() {
                    return true;
                }
                // SAFETY: made by `Box::into_raw`; native code holds no reference to the object, which is gone.
                unsafe {
                    gc::free_handle(wrapper_at(entry.wrapper).references.lock().handle);
                    drop(Box::from_raw(entry.wrapper as *mut Wrapper));
                    for &(_, interface) in &entry.interfaces {
                        self.by_interface.remove(&interface);
                        drop(Box::from_raw(interface as *mut NativeInterface));
                    }
                }
                self.count -= 1;
                false
            });
        }
        self.by_hash.retain(|_, entries| !entries.is_empty());
    }
}

/// The interface of a managed object that a type stands for. It counts as no reference.
pub fn interface_of(object: ObjectRef, ty: TypeId) -> Result<usize> {
    let found = |wrappers: &mut Wrappers| {
        let entry = wrappers.find(object)?;
        entry.interfaces.iter().find(|interface| interface.0 == ty).map(|interface| interface.1)
    };
    if let Some(known) = with_wrappers(found) {
        return Ok(known);
    }
    let table = table_of(ty)?;
    with_wrappers(|wrappers| {
        if let Some(known) = found(wrappers) {
            return Ok(known);
        }
        if wrappers.find(object).is_none() {
            wrappers.add(object);
        }
        let missing = || Exception::engine("a wrapper that was just made is gone");
        let entry = wrappers.find(object).ok_or_else(missing)?;
        let (table, wrapper) = (table as *const usize, entry.wrapper);
        let interface = Box::into_raw(Box::new(NativeInterface { table, wrapper: wrapper as *const Wrapper })) as usize;
        entry.interfaces.push((ty, interface));
        wrappers.by_interface.insert(interface, wrapper);
        Ok(interface)
    })
}

/// Likewise for a type of managed code, which may name another as its interface (`ComDefaultInterface`).
pub fn interface_of_type(object: ObjectRef, ty: TypeId) -> Result<usize> {
    let types = &runtime().types;
    let default = match (types.com_default_interface(ty), types.definition_of(ty)) {
        (Some(name), Some((assembly, _))) => {
            let assemblies = &[assembly, types.corlib()];
            find_type(
                name,
                &Lookup { assemblies, ignore_case: false, context: LoadContext::Execution, asks: false, allows_missing: false },
            )?
        }
        _ => None,
    };
    interface_of(object, default.unwrap_or(ty))
}

/// The `IDispatch` of a managed object.
pub fn dispatch_of(object: ObjectRef) -> Result<usize> {
    match has_dispatch(object.type_id())? {
        true => interface_of(object, dispatch_interface()?),
        false => Err(super::exception_of(codes::NO_INTERFACE)?),
    }
}

/// Whether objects of a class have `IDispatch`. Mono looks at one bit of the visibility, which nested classes have, too, unless they are public.
fn has_dispatch(class: TypeId) -> Result<bool> {
    const PUBLIC: u32 = 1;
    let types = &runtime().types;
    Ok(types.header(class)?.attributes & PUBLIC != 0 && types.is_com_visible(class)?)
}

/// The managed object behind an interface, or null if it is none of one. An object of another domain is as good as a native one.
pub fn object_of(interface: usize) -> ObjectRef {
    with_wrappers(|wrappers| {
        let Some(&wrapper) = wrappers.by_interface.get(&interface) else { return ObjectRef::NULL };
        // SAFETY: an entry of the table.
        let wrapper = unsafe { wrapper_at(wrapper) };
        if std::ptr::eq(wrapper.domain, domain::current()) { wrapper.object() } else { ObjectRef::NULL }
    })
}

/// The object behind an interface that native code calls, and its domain.
///
/// # Safety
/// It is one of a managed object, and native code holds a reference to it.
pub unsafe fn target_of(interface: usize) -> (ObjectRef, &'static Domain) {
    // SAFETY: the caller's promise.
    let wrapper = unsafe { &*(*(interface as *const NativeInterface)).wrapper };
    (wrapper.object(), wrapper.domain)
}

/// The table of a type's interface: `IUnknown`, `IDispatch` where it has that, and its methods.
fn table_of(ty: TypeId) -> Result<usize> {
    if let Some(known) = with_wrappers(|wrappers| wrappers.tables.get(&ty).copied()) {
        return Ok(known);
    }
    let mut slots: Vec<usize> =
        vec![query_interface as *const () as usize, add_reference as *const () as usize, release as *const () as usize];
    let (first, methods) = layout_of(ty)?;
    if first == com_slots::DISPATCH {
        slots.extend([
            count_type_infos as *const () as usize,
            type_info as *const () as usize,
            numbers_of_names as *const () as usize,
            invoke as *const () as usize,
        ]);
    }
    for method in methods {
        slots.push(callbacks::com_method_pointer(method)?);
    }
    let table = Vec::leak(slots).as_ptr() as usize;
    Ok(with_wrappers(|wrappers| *wrappers.tables.entry(ty).or_insert(table)))
}

/// Number of the first slot of a type's interface that is its own, and the methods from there: all in their order, also those of a class,
/// which Mono takes for an interface as it is.
fn layout_of(ty: TypeId) -> Result<(u32, Vec<MethodId>)> {
    let types = &runtime().types;
    let mut interface = ty;
    if types.is_class_interface(ty) {
        interface = types.declared_interfaces(ty)?.first().copied().unwrap_or(ty);
    }
    if interface == unknown_interface()? {
        return Ok((com_slots::UNKNOWN, Vec::new()));
    }
    Ok((types.first_com_slot(interface), types.methods_of(interface)))
}

/// What native code calls of an object itself: `body` gets the object's wrapper and the object.
///
/// # Safety
/// Native code passes an interface of a managed object.
unsafe fn from_native<R>(interface: *const NativeInterface, body: impl FnOnce(&Wrapper, ObjectRef) -> R) -> R {
    let suspended = Thread::attach_for_callback().heap().suspend_native();
    // SAFETY: the caller's promise.
    let wrapper = unsafe { &*(*interface).wrapper };
    let result = domain::enter(wrapper.domain, || body(wrapper, wrapper.object()));
    Thread::current().heap().resume_native(suspended);
    result
}

extern "C" fn add_reference(interface: *const NativeInterface) -> i32 {
    // SAFETY: native code passes an interface that a table of ours came with.
    unsafe { from_native(interface, |wrapper, _| wrapper.change(1)) }
}

extern "C" fn release(interface: *const NativeInterface) -> i32 {
    // SAFETY: likewise.
    unsafe { from_native(interface, |wrapper, _| wrapper.change(-1)) }
}

extern "C" fn query_interface(interface: *const NativeInterface, identity: *const Identity, result: *mut usize) -> i32 {
    if identity.is_null() || result.is_null() {
        return codes::NULL_POINTER;
    }
    // SAFETY: likewise, and addresses of an identity and of a pointer.
    unsafe {
        result.write(0);
        let identity = identity.read_unaligned();
        from_native(interface, |wrapper, object| match find_interface(object, &identity) {
            Ok(Some(found)) => {
                wrapper.change(1);
                result.write(found);
                codes::OK
            }
            _ => codes::NO_INTERFACE,
        })
    }
}

/// The interface of an object with this identity.
fn find_interface(object: ObjectRef, identity: &Identity) -> Result<Option<usize>> {
    let types = &runtime().types;
    let class = object.check()?.type_id();
    let is_wanted = |ty: TypeId| types.com_guid(ty).as_ref() == Some(identity);
    let (unknown, dispatch) = (unknown_interface()?, dispatch_interface()?);
    if is_wanted(unknown) {
        return interface_of(object, unknown).map(Some);
    }
    if is_wanted(dispatch) {
        return if has_dispatch(class)? { interface_of(object, dispatch).map(Some) } else { Ok(None) };
    }
    let mut current = Some(class);
    while let Some(class) = current {
        if let Some(&found) = types.declared_interfaces(class)?.iter().find(|&&interface| is_wanted(interface)) {
            return interface_of(object, found).map(Some);
        }
        current = types.header(class)?.parent;
    }
    Ok(None)
}

extern "C" fn count_type_infos(_interface: *const NativeInterface, count: *mut u32) -> i32 {
    if count.is_null() {
        return codes::INVALID_ARGUMENT;
    }
    // SAFETY: native code passes the address of a number.
    unsafe { count.write(1) };
    codes::OK
}

extern "C" fn type_info(_interface: *const NativeInterface, _number: u32, _language: u32, _result: *mut usize) -> i32 {
    codes::NOT_IMPLEMENTED
}

extern "C" fn numbers_of_names(
    interface: *const NativeInterface,
    _reserved: *const Identity,
    names: *const *const u16,
    count: u32,
    _language: u32,
    numbers: *mut i32,
) -> i32 {
    const UNKNOWN: i32 = -1;
    let count = count as usize;
    // SAFETY: native code passes so many names that end with a 0, and room for as many numbers.
    unsafe {
        from_native(interface, |_, object| {
            let mut code = codes::OK;
            for index in 0..count {
                let name = names.add(index).read();
                let length = (0..).take_while(|&unit| name.add(unit).read_unaligned() != 0).count();
                let units: Vec<u16> = (0..length).map(|unit| name.add(unit).read_unaligned()).collect();
                let number = dispatch_number(object, &String::from_utf16_lossy(&units));
                if number.is_none() {
                    code = codes::UNKNOWN_NAME;
                }
                numbers.add(index).write(number.unwrap_or(UNKNOWN));
            }
            code
        })
    }
}

/// The number of the method of this name of an object's class.
fn dispatch_number(object: ObjectRef, name: &str) -> Option<i32> {
    let types = &runtime().types;
    let mut current = Some(object.non_null()?.type_id());
    while let Some(class) = current {
        if let Some(method) = types.find_method(class, name, None).ok()? {
            return Some(types.dispatch_number(method));
        }
        current = types.header(class).ok()?.parent;
    }
    None
}

/// `IDispatch.Invoke`, which Mono has not either: only the first argument matters.
extern "C" fn invoke(_interface: *const NativeInterface) -> i32 {
    codes::NOT_IMPLEMENTED
}
