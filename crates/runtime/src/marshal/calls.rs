//! The values of a call of native code: arguments before it, results after it.
//!
//! Compiled code hands over the addresses of the managed arguments and an area of its frame for the native ones, laid out by
//! [`NativeSignature`].

use super::text::free_text;
use super::values::{self, elements_to_managed, managed_array, object_to_managed, release, to_managed, to_native};
use crate::exceptions::{Exception, Result};
use crate::icalls::store_unknown;
use crate::invoke::{self, Argument};
use crate::object::{ABI, ArrayRef, ObjectRef};
use crate::{com, handles, runtime};
use compiler::marshal::signature::{NativeParam, NativeSignature};
use compiler::marshal::{Conversion, Text};
use il::types::{Storage, TypeId, TypeKind};
use std::sync::Arc;

/// A call of native code in progress.
pub struct Call {
    signature: Arc<NativeSignature>,
    arguments: *const *mut u8,
    area: *mut u8,
}

/// # Safety
/// There is a reference at `address`.
unsafe fn reference_at(address: *const u8) -> ObjectRef {
    // SAFETY: the caller's promise.
    unsafe { address.cast::<ObjectRef>().read_unaligned() }
}

fn out_handle(conversion: &Conversion) -> Option<(TypeId, bool)> {
    match conversion {
        Conversion::SafeHandle(ty) => Some((*ty, true)),
        Conversion::CriticalHandle(ty) => Some((*ty, false)),
        _ => None,
    }
}

impl Call {
    /// A call of what a method handle means.
    ///
    /// # Safety
    /// `arguments` has the addresses of arguments of its signature, `area` is laid out by it.
    pub unsafe fn new(handle: usize, arguments: *const *mut u8, area: *mut u8) -> Result<Call> {
        let method = handles::to_method(handle).ok_or_else(|| Exception::engine("a native call without a method"))?;
        Ok(Call { signature: super::signature(method)?, arguments, area })
    }

    fn managed(&self, index: usize) -> *mut u8 {
        // SAFETY: there is an address for each parameter.
        unsafe { self.arguments.add(index).read() }
    }

    fn native(&self, param: &NativeParam) -> *mut u8 {
        self.area.wrapping_add(param.offset as usize)
    }

    /// Fills the area. What was done is undone if it fails.
    pub fn convert_arguments(&self) -> Result<()> {
        for (index, param) in self.signature.params.iter().enumerate() {
            // SAFETY: the area has room for each native value.
            if let Err(exception) = unsafe { self.convert_argument(index, param) } {
                for (index, param) in self.signature.params[..index].iter().enumerate() {
                    // SAFETY: as below.
                    unsafe { self.finish_argument(index, param)? };
                }
                return Err(exception);
            }
        }
        Ok(())
    }

    unsafe fn convert_argument(&self, index: usize, param: &NativeParam) -> Result<()> {
        let (managed, native) = (self.managed(index), self.native(param));
        // SAFETY: the caller's promise to `new`.
        unsafe {
            if let Some(address) = shared_memory(param, managed) {
                native.cast::<usize>().write(address);
                return Ok(());
            }
            if let Conversion::SafeHandle(_) = param.conversion {
                add_reference(reference_at(managed))?;
            }
            if let (Conversion::Pointer { target, by_ref: true }, false) = (&param.conversion, param.input) {
                if let Some((ty, _)) = out_handle(target) {
                    // Fails before the call if there can be no handle after it.
                    let object = values::construct(ty)?;
                    store_unknown(managed.cast::<*mut ObjectRef>().read(), object);
                }
            }
            if matches!(param.conversion, Conversion::Custom { .. }) && !param.input {
                native.cast::<usize>().write(0);
                return Ok(());
            }
            to_native(&param.conversion, managed, native, param.input)
        }
    }

    /// Brings back the results and frees what the native values own.
    ///
    /// # Safety
    /// The area is as the call left it, the native result lies at `native`, and there is room for the managed one at `managed`.
    pub unsafe fn convert_results(&self, native: *mut u8, managed: *mut u8) -> Result<()> {
        let result = &self.signature.result;
        // SAFETY: the caller's promise.
        unsafe {
            if result.ty != TypeId::VOID {
                if runtime().types.storage(result.ty)? == Storage::Ref {
                    managed.cast::<ObjectRef>().write(ObjectRef::NULL);
                }
                to_managed(&result.conversion, native, managed)?;
                match result.conversion {
                    Conversion::Interface(_) => give_back(native),
                    Conversion::Text(_) | Conversion::ClassPointer(_) | Conversion::Custom { .. } => {
                        release(&result.conversion, native, 0)?
                    }
                    _ => {}
                }
            }
            for (index, param) in self.signature.params.iter().enumerate() {
                if param.output {
                    self.update(index, param)?;
                }
                self.finish_argument(index, param)?;
            }
        }
        Ok(())
    }

    /// Brings an argument back.
    unsafe fn update(&self, index: usize, param: &NativeParam) -> Result<()> {
        let (managed, native) = (self.managed(index), self.native(param));
        // SAFETY: the caller's promise to `convert_results`.
        unsafe {
            if shared_memory(param, managed).is_some() {
                return Ok(());
            }
            let address = native.cast::<*mut u8>().read();
            match &param.conversion {
                Conversion::Builder(text) => values::update_builder(*text, address, reference_at(managed)),
                Conversion::ClassPointer(_) => match reference_at(managed).non_null() {
                    Some(object) => object_to_managed(address, object),
                    None => Ok(()),
                },
                Conversion::Array { element, element_type, .. } => match reference_at(managed).as_array() {
                    Some(array) => elements_to_managed(element, *element_type, address, array, array.len()),
                    None => Ok(()),
                },
                Conversion::AsAny { text } => update_any(*text, address, reference_at(managed)),
                // The object is the marshaler's own: the caller sees nothing of it.
                Conversion::Custom { .. } if address.is_null() => Ok(()),
                Conversion::Custom { .. } => super::custom::to_managed(&param.conversion, address as usize).map(|_| ()),
                Conversion::Pointer { target, by_ref: true } => {
                    self.update_target(target, address, managed.cast::<*mut u8>().read())
                }
                _ => Ok(()),
            }
        }
    }

    /// Brings back what a `ref` or `out` parameter refers to.
    unsafe fn update_target(&self, target: &Conversion, native: *mut u8, managed: *mut u8) -> Result<()> {
        // SAFETY: the caller's promise to `convert_results`.
        unsafe {
            match target {
                Conversion::Same(_) => Ok(()),
                Conversion::SafeHandle(ty) => {
                    let (handle, old) = (native.cast::<usize>().read(), reference_at(managed));
                    let object = match old.non_null() {
                        Some(old) if values::safe_handle(old)? == handle => return Ok(()),
                        // One that was made for the purpose.
                        Some(old) if !self.had_input(target) => old,
                        _ => values::construct(*ty)?,
                    };
                    values::set_safe_handle(object, handle);
                    store_unknown(managed.cast(), object);
                    Ok(())
                }
                Conversion::Array { element, element_type, size_param, count } => {
                    let address = native.cast::<*mut u8>().read();
                    if address.is_null() {
                        store_unknown(managed.cast(), ObjectRef::NULL);
                        return Ok(());
                    }
                    let old = reference_at(managed).as_array();
                    let length = match self.element_count(*size_param, *count) {
                        Some(length) => length,
                        None => old.map_or(0, ArrayRef::len),
                    };
                    let array = match old.filter(|array| array.len() == length) {
                        Some(array) => {
                            elements_to_managed(element, *element_type, address, array, length)?;
                            array
                        }
                        None => managed_array(element, *element_type, address, length)?,
                    };
                    store_unknown(managed.cast(), array.object());
                    Ok(())
                }
                Conversion::Interface(_) => {
                    to_managed(target, native, managed)?;
                    give_back(native);
                    Ok(())
                }
                Conversion::ClassPointer(_) => {
                    let address = native.cast::<*mut u8>().read();
                    match reference_at(managed).non_null() {
                        Some(object) if !address.is_null() => object_to_managed(address, object),
                        _ => to_managed(target, native, managed),
                    }
                }
                _ => to_managed(target, native, managed),
            }
        }
    }

    fn had_input(&self, target: &Conversion) -> bool {
        self.signature.params.iter().any(|param| match &param.conversion {
            Conversion::Pointer { target: own, .. } => std::ptr::eq(&**own, target) && param.input,
            _ => false,
        })
    }

    /// The number of elements that the descriptor of an array tells.
    fn element_count(&self, size_param: Option<u32>, count: Option<u32>) -> Option<usize> {
        let Some(param) = size_param.and_then(|index| self.signature.params.get(index as usize)) else {
            return count.map(|count| count as usize);
        };
        // SAFETY: the area holds native values.
        let value = unsafe { number(param, self.native(param)) };
        Some(value + count.unwrap_or(0) as usize)
    }

    /// Frees what an argument needed.
    unsafe fn finish_argument(&self, index: usize, param: &NativeParam) -> Result<()> {
        let (managed, native) = (self.managed(index), self.native(param));
        // SAFETY: the caller's promise to `convert_results`.
        unsafe {
            if shared_memory(param, managed).is_some() {
                return Ok(());
            }
            match &param.conversion {
                Conversion::SafeHandle(_) => drop_reference(reference_at(managed)),
                Conversion::Pointer { by_ref: true, target } => {
                    let array = match **target {
                        Conversion::Array { .. } => reference_at(managed.cast::<*mut u8>().read()).as_array(),
                        _ => None,
                    };
                    release(&param.conversion, native, array.map_or(0, ArrayRef::len))
                }
                Conversion::Array { .. } => {
                    release(&param.conversion, native, reference_at(managed).as_array().map_or(0, ArrayRef::len))
                }
                // Texts behind their length are freed by what they are.
                Conversion::Text(text) => {
                    free_text(*text, native.cast::<*mut u8>().read());
                    Ok(())
                }
                conversion => release(conversion, native, 0),
            }
        }
    }
}

/// Gives back the reference to a COM object that native code passed with an interface.
///
/// # Safety
/// There is an interface or null at `native`.
unsafe fn give_back(native: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let interface = native.cast::<usize>().read_unaligned();
        if interface != 0 {
            com::release(interface);
        }
    }
}

/// The value of an integer parameter that counts elements.
///
/// # Safety
/// Its native form is at `native`.
pub unsafe fn number(param: &NativeParam, native: *const u8) -> usize {
    let (size, native) = match &param.conversion {
        Conversion::Pointer { target, by_ref: true } => {
            let size = values::native_size(target).unwrap_or(0);
            // SAFETY: the caller's promise.
            (size, unsafe { native.cast::<*const u8>().read_unaligned() })
        }
        _ => (param.form.size as usize, native),
    };
    if native.is_null() {
        return 0;
    }
    let mut value = 0usize;
    // SAFETY: the low bytes come first on all supported hosts; a count is an integer of that size.
    unsafe { std::ptr::copy_nonoverlapping(native, (&raw mut value).cast::<u8>(), size.min(size_of::<usize>())) };
    value
}

/// The address of managed memory that native code sees as it is: of the characters of a string, or of an array's elements.
///
/// # Safety
/// There is an argument at `managed`.
unsafe fn shared_memory(param: &NativeParam, managed: *const u8) -> Option<usize> {
    let data = match &param.conversion {
        Conversion::Text(Text::Utf16) => |object: ObjectRef| object.at::<u8>(ABI.string_chars() as u32),
        Conversion::Array { element, .. } if matches!(**element, Conversion::Same(_)) => {
            debug_assert!(matches!(runtime().types.kind(param.ty), TypeKind::SzArray(_) | TypeKind::Array { .. }));
            |object: ObjectRef| object.as_array().map_or(std::ptr::null_mut(), ArrayRef::data::<u8>)
        }
        _ => return None,
    };
    // SAFETY: the caller's promise.
    let object = unsafe { reference_at(managed) };
    Some(object.non_null().map_or(0, |object| data(object) as usize))
}

unsafe fn update_any(text: Text, native: *mut u8, object: ObjectRef) -> Result<()> {
    let types = &runtime().types;
    // SAFETY: the caller knows what was passed.
    unsafe {
        if object.is_null() || object.as_string().is_some() {
            return Ok(());
        }
        if let Some(array) = object.as_array() {
            let element = array.element_type();
            return elements_to_managed(&Conversion::Same(element), element, native, array, array.len());
        }
        if types.simple_name(object.type_id()) == ("System.Text", "StringBuilder") {
            return values::update_builder(text, native, object);
        }
        object_to_managed(native, object)
    }
}

fn add_reference(handle: ObjectRef) -> Result<()> {
    let handle = handle.argument("handle")?;
    let mut added = 0u8;
    let method = values::find_method(handle.type_id(), "DangerousAddRef", None)?;
    invoke::call(method, &[Argument::reference(handle), Argument::integer(&raw mut added as i64)])?;
    Ok(())
}

fn drop_reference(handle: ObjectRef) -> Result<()> {
    let method = values::find_method(handle.type_id(), "DangerousRelease", None)?;
    invoke::call(method, &[Argument::reference(handle)])?;
    Ok(())
}
