//! Transparent proxies: objects that pass for instances of a class while the calls of all their methods become messages.
//!
//! A proxy is laid out as the class library's `TransparentProxy` and has a method table of its own, with the number and the display
//! of the class it stands for, so that casts and type tests need no case for it. Its virtual and interface slots lead to stubs that pass
//! calls on; methods called directly check their receiver (see `importer::proxies` of the compiler) and come to the same stubs.
//! What becomes of a call there is the business of [`crate::icalls::remoting`].

use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::remoting;
use crate::method_table::{MethodTable, make_proxy};
use crate::object::{self, ObjectRef};
use crate::{casts, compile, handles, runtime};
use compiler::abi::method_table_flags as flags;
use compiler::signature::{ContextSource, context_source};
use il::types::{MethodId, TypeId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// A class and the interfaces beside those of the class.
type ProxiedTypes = (TypeId, Box<[TypeId]>);

/// What was made for proxies so far.
#[derive(Default)]
pub struct Proxies {
    /// Method tables.
    tables: Mutex<FxHashMap<ProxiedTypes, &'static MethodTable>>,
    /// The stub of each exact method.
    stubs: Mutex<FxHashMap<MethodId, usize>>,
    /// The stub of each method of an interface that calls a COM object.
    pub com_stubs: Mutex<FxHashMap<MethodId, usize>>,
}

const SPACE: &str = "System.Runtime.Remoting.Proxies";
static REAL_PROXY: KnownField = KnownField::new(SPACE, "TransparentProxy", "_rp");
static HAS_TYPE_INFO: KnownField = KnownField::new(SPACE, "TransparentProxy", "_custom_type_info");

/// Whether an object is a proxy.
pub fn is_proxy(object: ObjectRef) -> bool {
    !object.is_null() && object.method_table().has(flags::PROXY)
}

/// The `RealProxy` of a proxy.
pub fn real_proxy(proxy: ObjectRef) -> ObjectRef {
    REAL_PROXY.get(proxy)
}

/// The type that an object shows: of a proxy for an interface that interface.
pub fn shown_type(object: ObjectRef) -> TypeId {
    let table = object.method_table();
    let interface = if table.has(flags::PROXY) { table.class().proxied_interfaces.first().copied() } else { None };
    interface.unwrap_or(object.type_id())
}

fn table(class: TypeId, interfaces: Box<[TypeId]>) -> Result<&'static MethodTable> {
    let tables = &domain::current().proxies.tables;
    let key = (class, interfaces);
    if let Some(&known) = tables.lock().get(&key) {
        return Ok(known);
    }
    let made = make_proxy(class, &key.1)?;
    Ok(*tables.lock().entry(key).or_insert(made))
}

/// A proxy for a class, or for an interface: then it also is a `MarshalByRefObject`.
pub fn create(real_proxy: ObjectRef, class: TypeId) -> Result<ObjectRef> {
    let types = &runtime().types;
    let table = match types.header(class)?.is_interface() {
        true => table(types.well_known().marshal_by_ref_object, Box::new([class]))?,
        false => table(class, Box::default())?,
    };
    let proxy = object::allocate(table)?;
    REAL_PROXY.set_ref(proxy, real_proxy);
    HAS_TYPE_INFO.set(proxy, casts::is_assignable(real_proxy.type_id(), remoting::type_info_interface()?));
    Ok(proxy)
}

/// Whether a proxy that is not of type `to` by its class can be cast to it all the same. From then on it is of that type. Raises
/// what the proxy's own code for the purpose throws.
pub fn can_cast(to: TypeId, proxy: ObjectRef) -> Result<bool> {
    let class = proxy.method_table().class();
    if to == runtime().types.well_known().transparent_proxy {
        return Ok(true);
    }
    if class.proxied_interfaces.iter().any(|&interface| casts::is_assignable(interface, to)) {
        return Ok(true);
    }
    let has_type_info: bool = HAS_TYPE_INFO.get(proxy);
    Ok(has_type_info && remoting::can_cast_to(real_proxy(proxy), to, proxy)? && widen(proxy, to).is_ok())
}

fn widen(proxy: ObjectRef, to: TypeId) -> Result<()> {
    let class = proxy.method_table().class();
    let mut interfaces = class.proxied_interfaces.to_vec();
    let mut ty = class.ty;
    match runtime().types.header(to)?.is_interface() {
        true => interfaces.push(to),
        false => ty = to,
    }
    let table = table(ty, interfaces.into())?;
    // SAFETY: a live object; both tables describe the same layout.
    unsafe { (*proxy.raw()).method_table = table };
    Ok(())
}

/// The exact method that a call of the shared code of `method` on a proxy with this generic context means.
pub fn exact_method(proxy: ObjectRef, method: MethodId, context: usize) -> Result<MethodId> {
    let types = &runtime().types;
    match context_source(types, method) {
        Some(ContextSource::MethodParameter) if context != 0 => {
            // SAFETY: shared code passes its context, here a method's dictionary: null, then the method's handle.
            let handle = unsafe { (context as *const usize).add(1).read() };
            handles::to_method(handle).ok_or_else(|| Exception::engine("a dictionary without a method"))
        }
        Some(ContextSource::This) => {
            let data = types.method(method);
            let wanted = types.generic_definition_type(data.owner);
            let mut class = Some(proxy.type_id());
            while let Some(current) = class {
                if types.generic_definition_type(current) == wanted {
                    return Ok(types.instantiate_method(method, current, &data.method_args));
                }
                class = types.header(current)?.parent;
            }
            Ok(method)
        }
        _ => Ok(method),
    }
}

/// The code that calls an exact method on the object behind the proxy that it gets as `this`.
pub fn code(method: MethodId) -> Result<usize> {
    let stubs = &domain::current().proxies.stubs;
    if let Some(&known) = stubs.lock().get(&method) {
        return Ok(known);
    }
    let made = compile::compile_proxy_stub(method)?;
    Ok(*stubs.lock().entry(method).or_insert(made))
}
