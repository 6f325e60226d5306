//! Marshalling by classes that implement `System.Runtime.InteropServices.ICustomMarshaler`.

use super::values::find_method;
use crate::class_library::{core_class, declared_method};
use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::gc::{self, HandleKind};
use crate::icalls::reflection::{Lookup, find_type};
use crate::invoke::{self, Argument};
use crate::object::{Object, ObjectRef, StringRef};
use crate::runtime;
use compiler::marshal::Conversion;
use il::types::{AssemblyId, LoadContext, MethodId, TypeId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Handles of the marshalers made so far, by domain, class and cookie.
type Instances = FxHashMap<(i32, TypeId, Box<str>), usize>;

static INSTANCES: Mutex<Option<Instances>> = Mutex::new(None);

fn object_at(address: usize) -> ObjectRef {
    // SAFETY: results of methods that return references, and targets of handles.
    unsafe { ObjectRef::from_raw(address as *mut Object) }
}

/// The class that a descriptor names.
fn marshaler_class(name: &str, assembly: AssemblyId) -> Result<TypeId> {
    let corlib = runtime().types.corlib();
    let found = find_type(
        name,
        &Lookup {
            assemblies: &[assembly, corlib],
            ignore_case: false,
            context: LoadContext::Execution,
            asks: false,
            allows_missing: false,
        },
    )?;
    found.ok_or_else(|| Exception::new("System", "TypeLoadException", format!("Could not load type '{name}'")))
}

/// The marshaler of a conversion: what its class's `GetInstance` gave for the cookie.
fn instance(conversion: &Conversion) -> Result<ObjectRef> {
    let Conversion::Custom { marshaler, assembly, cookie, .. } = conversion else {
        return Err(Exception::engine("not a custom marshaler"));
    };
    let class = marshaler_class(marshaler, *assembly)?;
    let key = (domain::current().id, class, cookie.clone());
    if let Some(&handle) = INSTANCES.lock().get_or_insert_with(Instances::default).get(&key) {
        return Ok(object_at(gc::handle_target(handle) as usize));
    }
    let missing = || {
        let message = format!(
            "Custom marshaler '{}' does not implement a static GetInstance method that takes a single string parameter and \
             returns an ICustomMarshaler.",
            runtime().types.reflection_name(class)
        );
        Exception::new("System", "ApplicationException", message)
    };
    let getter = find_method(class, "GetInstance", Some(&[TypeId::STRING])).map_err(|_| missing())?;
    if !runtime().types.method(getter).is_static() {
        return Err(missing());
    }
    let cookie = StringRef::new(cookie)?;
    let object = object_at(invoke::call(getter, &[Argument::reference(cookie.object())])?);
    if object.is_null() {
        let message = format!(
            "A call to GetInstance() for custom marshaler '{}' returned null, which is not allowed.",
            runtime().types.reflection_name(class)
        );
        return Err(Exception::new("System", "ApplicationException", message));
    }
    let handle = gc::allocate_handle(object.raw().cast(), HandleKind::Normal);
    INSTANCES.lock().get_or_insert_with(Instances::default).insert(key, handle);
    Ok(object)
}

fn interface_method(name: &str) -> Result<MethodId> {
    declared_method(core_class("System.Runtime.InteropServices", "ICustomMarshaler")?, name, None)
}

fn call(conversion: &Conversion, name: &str, argument: Argument) -> Result<usize> {
    invoke::call_virtual(interface_method(name)?, instance(conversion)?, &[argument])
}

/// `MarshalManagedToNative`
pub fn to_native(conversion: &Conversion, object: ObjectRef) -> Result<usize> {
    call(conversion, "MarshalManagedToNative", Argument::reference(object))
}

/// `MarshalNativeToManaged`
pub fn to_managed(conversion: &Conversion, address: usize) -> Result<ObjectRef> {
    call(conversion, "MarshalNativeToManaged", Argument::integer(address as i64)).map(object_at)
}

/// `CleanUpNativeData`
pub fn clean_up_native(conversion: &Conversion, address: usize) -> Result<()> {
    call(conversion, "CleanUpNativeData", Argument::integer(address as i64)).map(|_| ())
}

/// `CleanUpManagedData`
pub fn clean_up_managed(conversion: &Conversion, object: ObjectRef) -> Result<()> {
    call(conversion, "CleanUpManagedData", Argument::reference(object)).map(|_| ())
}
