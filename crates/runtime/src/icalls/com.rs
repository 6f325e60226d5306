//! COM: `Marshal`'s part of it, `System.__ComObject`, `Mono.Interop.ComInteropProxy`; and what Mono lacks of the Windows Runtime.

use super::reflection::{method_of, type_of};
use super::{InternalCall, icall, raising};
use crate::com::{self, Identity, objects, wrappers};
use crate::exceptions::{Exception, Result};
use crate::method_table::method_table;
use crate::object::{self, ObjectRef};
use crate::runtime;
use compiler::marshal::Interface;

extern "C" fn add_reference(interface: usize) -> i32 {
    // SAFETY: the program passes a COM interface, which the class library has compared with null.
    raising(|| Ok(unsafe { com::add_reference(interface) }))
}

extern "C" fn release(interface: usize) -> i32 {
    // SAFETY: the program passes a COM interface, which the class library has compared with null.
    raising(|| Ok(unsafe { com::release(interface) }))
}

extern "C" fn query_interface(interface: usize, identity: *const Identity, result: *mut usize) -> i32 {
    // SAFETY: the program passes a COM interface, which the class library has compared with null.
    raising(|| Ok(unsafe { com::query_interface(interface, identity, result) }))
}

extern "C" fn unknown_of(object: ObjectRef) -> usize {
    raising(|| com::native_interface(object, Interface::Unknown))
}

extern "C" fn dispatch_of(object: ObjectRef) -> usize {
    raising(|| com::native_interface(object, Interface::Dispatch))
}

extern "C" fn wrapper_of(object: ObjectRef, ty: ObjectRef) -> usize {
    raising(|| match object.non_null() {
        Some(object) => wrappers::interface_of_type(object, type_of(ty)?),
        None => Ok(0),
    })
}

extern "C" fn wrapped_object(interface: usize) -> ObjectRef {
    wrappers::object_of(interface)
}

extern "C" fn is_com_object(object: ObjectRef) -> bool {
    objects::behind_proxy(object).is_some()
}

extern "C" fn release_object(object: ObjectRef) -> i32 {
    raising(|| Ok(objects::release_object(object)))
}

extern "C" fn slot_of_method(method: ObjectRef) -> i32 {
    raising(|| {
        let types = &runtime().types;
        let declared = types.com_method(method_of(method)?)?;
        let declared = declared.ok_or_else(|| Exception::invalid_operation("The method is none of an interface."))?;
        Ok(types.com_slot(declared) as i32)
    })
}

extern "C" fn create_object(ty: ObjectRef) -> ObjectRef {
    raising(|| object::allocate(method_table(type_of(ty)?)?))
}

extern "C" fn release_interfaces(this: ObjectRef) {
    raising(|| {
        objects::release_interfaces(this.check()?);
        Ok(())
    });
}

extern "C" fn interface_of(this: ObjectRef, ty: ObjectRef, throws: u8) -> usize {
    raising(|| match objects::find_interface(this.check()?, type_of(ty)?)? {
        Ok(found) => Ok(found),
        Err(code) if throws != 0 => Err(com::exception_of(code)?),
        Err(_) => Ok(0),
    })
}

extern "C" fn find_proxy(unknown: usize) -> ObjectRef {
    objects::find_proxy(unknown)
}

extern "C" fn add_proxy(unknown: usize, proxy: ObjectRef) {
    raising(|| {
        objects::add_proxy(unknown, proxy.check()?);
        Ok(())
    });
}

/// Raises Mono's exception for what it has not either.
fn not_implemented(name: &str) -> Result<usize> {
    Err(Exception::not_implemented(&format!("System.Runtime.InteropServices.{name} internal call is not implemented.")))
}

macro_rules! unsupported {
    ($($function:ident $name:literal;)*) => {
        $(extern "C" fn $function() -> usize {
            raising(|| not_implemented($name))
        })*
    };
}

unsupported! {
    restricted_error "WindowsRuntime.UnsafeNativeMethods.GetRestrictedErrorInfo";
    originate_exception "WindowsRuntime.UnsafeNativeMethods.RoOriginateLanguageException";
    report_error "WindowsRuntime.UnsafeNativeMethods.RoReportUnhandledError";
    windows_runtime_code "Marshal.GetHRForException_WinRT";
    raw_unknown "Marshal.GetRawIUnknownForComObjectNoAddRef";
    activation_factory "Marshal.GetNativeActivationFactory";
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Mono.Interop.ComInteropProxy:AddProxy", add_proxy as *const ()),
    icall("Mono.Interop.ComInteropProxy:FindProxy", find_proxy as *const ()),
    icall("System.Runtime.InteropServices.Marshal:AddRefInternal", add_reference as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetCCW", wrapper_of as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetComSlotForMethodInfoInternal", slot_of_method as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetHRForException_WinRT", windows_runtime_code as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetIDispatchForObjectInternal", dispatch_of as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetIUnknownForObjectInternal", unknown_of as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetNativeActivationFactory", activation_factory as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetObjectForCCW", wrapped_object as *const ()),
    icall("System.Runtime.InteropServices.Marshal:GetRawIUnknownForComObjectNoAddRef", raw_unknown as *const ()),
    icall("System.Runtime.InteropServices.Marshal:IsComObject", is_com_object as *const ()),
    icall("System.Runtime.InteropServices.Marshal:QueryInterfaceInternal", query_interface as *const ()),
    icall("System.Runtime.InteropServices.Marshal:ReleaseComObjectInternal", release_object as *const ()),
    icall("System.Runtime.InteropServices.Marshal:ReleaseInternal", release as *const ()),
    icall(
        "System.Runtime.InteropServices.WindowsRuntime.UnsafeNativeMethods:GetRestrictedErrorInfo",
        restricted_error as *const (),
    ),
    icall(
        "System.Runtime.InteropServices.WindowsRuntime.UnsafeNativeMethods:RoOriginateLanguageException",
        originate_exception as *const (),
    ),
    icall("System.Runtime.InteropServices.WindowsRuntime.UnsafeNativeMethods:RoReportUnhandledError", report_error as *const ()),
    icall("System.__ComObject:CreateRCW", create_object as *const ()),
    icall("System.__ComObject:GetInterfaceInternal", interface_of as *const ()),
    icall("System.__ComObject:ReleaseInterfaces", release_interfaces as *const ()),
];
