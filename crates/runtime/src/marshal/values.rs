//! One value between managed and native memory.
//!
//! Managed memory may lie in a heap object: references on the stack keep it in place meanwhile. References are stored with the
//! write barrier wherever they go.

use super::custom;
use super::text::{allocate, fill_in_place, free, free_text, managed_string, native_string, string_in_place};
use crate::class_library::{core_class, declared_method};
use crate::exceptions::{Exception, Result};
use crate::icalls::store_unknown;
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{com, fields::KnownField, runtime};
use compiler::marshal::{Conversion, Text, layout};
use il::types::{MethodId, Storage, TypeId};

static SAFE_HANDLE: KnownField = KnownField::new("System.Runtime.InteropServices", "SafeHandle", "handle");
static CRITICAL_HANDLE: KnownField = KnownField::new("System.Runtime.InteropServices", "CriticalHandle", "handle");
static HANDLE_REF: KnownField = KnownField::new("System.Runtime.InteropServices", "HandleRef", "_handle");

/// Bytes of a conversion's native form.
pub fn native_size(conversion: &Conversion) -> Result<usize> {
    Ok(conversion.native_form(&runtime().types)?.size as usize)
}

/// Bytes of a location of a type.
pub fn managed_size(ty: TypeId) -> Result<usize> {
    let types = &runtime().types;
    Ok(types.storage(ty)?.size(types.layout()) as usize)
}

/// The method of this name that a class declares or inherits.
pub fn find_method(class: TypeId, name: &str, params: Option<&[TypeId]>) -> Result<MethodId> {
    let types = &runtime().types;
    let mut current = Some(class);
    while let Some(ty) = current {
        if let Some(method) = types.find_method(ty, name, params)? {
            return Ok(method);
        }
        current = types.header(ty)?.parent;
    }
    Err(Exception::missing_method(format!("{}.{name}", types.reflection_name(class))))
}

/// A new object of a class by its constructor without parameters.
pub fn construct(class: TypeId) -> Result<ObjectRef> {
    let types = &runtime().types;
    if types.header(class)?.is_abstract() {
        let message = format!("Cannot create an instance of {} because it is an abstract class.", types.reflection_name(class));
        return Err(Exception::missing_method(message));
    }
    let constructor = types.find_method(class, ".ctor", Some(&[]))?;
    let constructor = constructor.ok_or_else(|| Exception::missing_method("paramterless constructor required"))?;
    let object = object::allocate(method_table(class)?)?;
    invoke::call(constructor, &[Argument::reference(object)])?;
    Ok(object)
}

/// # Safety
/// There is a reference at `managed`.
unsafe fn reference_at(managed: *const u8) -> ObjectRef {
    // SAFETY: the caller's promise.
    unsafe { managed.cast::<ObjectRef>().read_unaligned() }
}

/// # Safety
/// There is a word at `native`.
unsafe fn word_at(native: *const u8) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { native.cast::<*mut u8>().read_unaligned() }
}

/// # Safety
/// There is a word at `native`.
unsafe fn set_word(native: *mut u8, value: usize) {
    // SAFETY: the caller's promise.
    unsafe { native.cast::<usize>().write_unaligned(value) }
}

/// The handle in a `SafeHandle`.
pub fn safe_handle(object: ObjectRef) -> Result<usize> {
    Ok(SAFE_HANDLE.get(object.argument("handle")?))
}

/// Sets the handle in a `SafeHandle`.
pub fn set_safe_handle(object: ObjectRef, handle: usize) {
    SAFE_HANDLE.set(object, handle);
}

fn string_of(object: ObjectRef) -> StringRef {
    // SAFETY: the managed value is a `string`.
    unsafe { StringRef::from_object(object) }
}

/// Fills native memory from a managed value. With `fill` unset, what is behind pointers gets memory but no content.
///
/// # Safety
/// There is a value of the conversion's managed type at `managed`, and room for its native form at `native`.
pub unsafe fn to_native(conversion: &Conversion, managed: *const u8, native: *mut u8, fill: bool) -> Result<()> {
    // SAFETY: the caller's promise, here and in all branches; sizes are those of the conversion.
    unsafe {
        match conversion {
            Conversion::Same(ty) => std::ptr::copy(managed, native, managed_size(*ty)?),
            Conversion::Boolean { native: storage, truth } => {
                let value = if managed.read() != 0 { *truth } else { 0 };
                match storage {
                    Storage::U1 => native.write(value as u8),
                    Storage::I2 => native.cast::<i16>().write_unaligned(value as i16),
                    _ => native.cast::<i32>().write_unaligned(value),
                }
            }
            Conversion::Date(ty) => {
                let method = find_method(*ty, "ToOADate", Some(&[]))?;
                invoke::call_raw(method, &[(&raw const managed).cast()], native)?;
            }
            Conversion::NarrowChar => native.write(managed.cast::<u16>().read_unaligned() as u8),
            Conversion::Text(text) => {
                set_word(native, native_string(*text, string_of(reference_at(managed)))? as usize);
            }
            Conversion::Builder(text) => set_word(native, native_builder(*text, reference_at(managed), fill)? as usize),
            Conversion::FixedText { text, count } => {
                fill_in_place(*text, string_of(reference_at(managed)), native, *count as usize);
            }
            Conversion::Structure(ty) => fields_to_native(*ty, managed, native)?,
            Conversion::ClassInPlace(ty) => match reference_at(managed).non_null() {
                Some(object) => fields_to_native(*ty, object.raw().cast(), native)?,
                None => std::ptr::write_bytes(native, 0, native_size(conversion)?),
            },
            Conversion::ClassPointer(ty) => {
                let address = match reference_at(managed).non_null() {
                    Some(object) => native_object(*ty, object, fill)?,
                    None => std::ptr::null_mut(),
                };
                set_word(native, address as usize);
            }
            Conversion::Delegate(_) => {
                let pointer = match reference_at(managed).non_null() {
                    Some(delegate) => super::callbacks::function_pointer(delegate)?,
                    None => 0,
                };
                set_word(native, pointer);
            }
            Conversion::SafeHandle(_) => set_word(native, safe_handle(reference_at(managed))?),
            Conversion::CriticalHandle(_) => {
                set_word(native, CRITICAL_HANDLE.get(reference_at(managed).argument("handle")?));
            }
            Conversion::HandleRef(_) => set_word(native, word_at(managed.add(HANDLE_REF.offset() as usize)) as usize),
            Conversion::Array { element, element_type, .. } => {
                let address = match reference_at(managed).as_array() {
                    Some(array) => native_array(element, *element_type, array, fill)?,
                    None => std::ptr::null_mut(),
                };
                set_word(native, address as usize);
            }
            Conversion::FixedArray { element, element_type, count } => {
                let size = native_size(element)?;
                std::ptr::write_bytes(native, 0, size * *count as usize);
                if let Some(array) = reference_at(managed).as_array() {
                    elements_to_native(element, *element_type, array, native, array.len().min(*count as usize))?;
                }
            }
            Conversion::Custom { .. } => {
                let object = reference_at(managed);
                let address = if object.is_null() { 0 } else { custom::to_native(conversion, object)? };
                set_word(native, address);
            }
            Conversion::Interface(interface) => set_word(native, com::native_interface(reference_at(managed), *interface)?),
            Conversion::Variant => variant_to_native(reference_at(managed), native)?,
            Conversion::FieldVariant => {
                std::ptr::write_bytes(native, 0, native_size(conversion)?);
                if !reference_at(managed).is_null() {
                    return Err(refused(TypeId::OBJECT));
                }
            }
            Conversion::SafeArray => set_word(native, 0),
            Conversion::AsAny { text } => set_word(native, native_any(*text, reference_at(managed))? as usize),
            Conversion::Pointer { target, by_ref } => {
                let value = if *by_ref { word_at(managed) } else { managed.cast_mut() };
                if matches!(**target, Conversion::Same(_)) {
                    set_word(native, value as usize);
                    return Ok(());
                }
                let size = native_size(target)?;
                let place = allocate(size)?;
                std::ptr::write_bytes(place, 0, size);
                set_word(native, place as usize);
                if fill {
                    to_native(target, value, place, true)?;
                }
            }
        }
        Ok(())
    }
}

/// # Safety
/// `managed` is the start of an object or value of class `ty`; there is room for its native layout.
unsafe fn fields_to_native(ty: TypeId, managed: *const u8, native: *mut u8) -> Result<()> {
    let layout = super::layout(ty)?;
    // SAFETY: the caller's promise; the layout's offsets are inside.
    unsafe {
        std::ptr::write_bytes(native, 0, layout.size as usize);
        for field in &layout.fields {
            let (from, to) = (field.managed_offset as usize, field.native_offset as usize);
            to_native(&field.conversion, managed.add(from), native.add(to), true)?;
        }
    }
    Ok(())
}

/// Fills native memory from the fields of an object: of a class, or a boxed value.
///
/// # Safety
/// There is room for its native layout.
pub unsafe fn object_to_native(object: ObjectRef, native: *mut u8) -> Result<()> {
    // SAFETY: the object's own fields, and the caller's promise.
    unsafe { fields_to_native(object.type_id(), fields_of(object), native) }
}

/// Where offsets of fields of an object's class count from.
fn fields_of(object: ObjectRef) -> *mut u8 {
    if runtime().types.is_value_type(object.type_id()) { object.payload() } else { object.raw().cast() }
}

fn native_object(ty: TypeId, object: ObjectRef, fill: bool) -> Result<*mut u8> {
    let size = super::layout(ty)?.size as usize;
    let place = allocate(size)?;
    // SAFETY: fresh memory of that size; the object is of the class.
    unsafe {
        std::ptr::write_bytes(place, 0, size);
        if fill {
            fields_to_native(ty, object.raw().cast(), place)?;
        }
    }
    Ok(place)
}

/// Memory for the elements of an array and one more of zeros, which ends lists of strings.
unsafe fn native_array(element: &Conversion, element_type: TypeId, array: ArrayRef, fill: bool) -> Result<*mut u8> {
    let (size, count) = (native_size(element)?, array.len());
    let place = allocate(size * (count + 1))?;
    // SAFETY: fresh memory of that size.
    unsafe {
        std::ptr::write_bytes(place, 0, size * (count + 1));
        if fill {
            elements_to_native(element, element_type, array, place, count)?;
        }
    }
    Ok(place)
}

/// # Safety
/// The array has so many elements of that type, and there is room for them.
pub unsafe fn elements_to_native(
    element: &Conversion,
    element_type: TypeId,
    array: ArrayRef,
    native: *mut u8,
    count: usize,
) -> Result<()> {
    let (from, to) = (managed_size(element_type)?, native_size(element)?);
    for index in 0..count {
        // SAFETY: the caller's promise.
        unsafe { to_native(element, array.data::<u8>().add(index * from), native.add(index * to), true)? };
    }
    Ok(())
}

/// # Safety
/// The array has at least so many elements of that type, and so do the native ones.
pub unsafe fn elements_to_managed(
    element: &Conversion,
    element_type: TypeId,
    native: *const u8,
    array: ArrayRef,
    count: usize,
) -> Result<()> {
    let (to, from) = (managed_size(element_type)?, native_size(element)?);
    for index in 0..count {
        if let Conversion::Builder(text) = element {
            // SAFETY: the caller's promise.
            unsafe { update_builder(*text, word_at(native.add(index * from)), array.get_ref(index))? };
            continue;
        }
        // SAFETY: the caller's promise.
        unsafe { to_managed(element, native.add(index * from), array.data::<u8>().add(index * to))? };
    }
    Ok(())
}

/// A new array from native elements.
///
/// # Safety
/// There are so many at `native`.
pub unsafe fn managed_array(element: &Conversion, element_type: TypeId, native: *const u8, count: usize) -> Result<ArrayRef> {
    let array = ArrayRef::new(element_type, count)?;
    // SAFETY: the caller's promise, and the array's length.
    unsafe { elements_to_managed(element, element_type, native, array, count)? };
    Ok(array)
}

/// A buffer for a `StringBuilder` of its capacity.
fn native_builder(text: Text, builder: ObjectRef, fill: bool) -> Result<*mut u8> {
    /// Bytes of UTF-8 for a UTF-16 unit.
    const UTF8_BYTES: usize = 3;
    if builder.is_null() {
        return Ok(std::ptr::null_mut());
    }
    let class = builder.type_id();
    let this = [Argument::reference(builder)];
    let capacity = invoke::call(find_method(class, "get_Capacity", None)?, &this)? as u32 as usize;
    let content = invoke::call(find_method(class, "ToString", Some(&[]))?, &this)? as *mut object::Object;
    // SAFETY: `ToString` gives a string.
    let content = string_of(unsafe { ObjectRef::from_raw(content) });
    let bytes = super::text::encoded(text, if fill { content.units() } else { &[] });
    let unit = if text == Text::Utf16 { 2 } else { UTF8_BYTES };
    let size = bytes.len().max((capacity + 1) * unit);
    let buffer = allocate(size)?;
    // SAFETY: fresh memory of that size.
    unsafe {
        std::ptr::write_bytes(buffer, 0, size);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
    }
    Ok(buffer)
}

/// Makes a native text the content of a `StringBuilder`.
///
/// # Safety
/// `native` is null or a text of this form.
pub unsafe fn update_builder(text: Text, native: *const u8, builder: ObjectRef) -> Result<()> {
    if builder.is_null() || native.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let content = unsafe { managed_string(text, native)? };
    let class = builder.type_id();
    invoke::call(find_method(class, "Clear", Some(&[]))?, &[Argument::reference(builder)])?;
    let append = find_method(class, "Append", Some(&[TypeId::STRING]))?;
    invoke::call(append, &[Argument::reference(builder), Argument::reference(content.object())])?;
    Ok(())
}

fn no_conversion() -> Exception {
    Exception::new("System", "ArgumentException", "No PInvoke conversion exists for value passed to Object-typed parameter.")
}

fn native_any(text: Text, object: ObjectRef) -> Result<*mut u8> {
    if object.is_null() {
        return Ok(std::ptr::null_mut());
    }
    if let Some(string) = object.as_string() {
        return native_string(text, string);
    }
    let types = &runtime().types;
    if let Some(array) = object.as_array() {
        let element = array.element_type();
        let storage = types.storage(element)?;
        if matches!(storage, Storage::Ref) {
            return Err(refused(object.type_id()));
        }
        // SAFETY: an array of elements without references.
        return unsafe { native_array(&Conversion::Same(element), element, array, true) };
    }
    if types.simple_name(object.type_id()) == ("System.Text", "StringBuilder") {
        return native_builder(text, object, true);
    }
    if layout::kind(types, object.type_id())? == layout::Kind::Auto {
        return Err(no_conversion());
    }
    let layout = super::layout(object.type_id())?;
    let place = allocate(layout.size as usize)?;
    // SAFETY: fresh memory of the layout's size.
    unsafe { object_to_native(object, place)? };
    Ok(place)
}

/// Fills a variant by the class library's `Marshal.GetNativeVariantForObject`.
fn variant_to_native(object: ObjectRef, native: *mut u8) -> Result<()> {
    let method = com::marshal_method("GetNativeVariantForObject", &[TypeId::OBJECT, TypeId::I])?;
    invoke::call(method, &[Argument::reference(object), Argument::integer(native as i64)])?;
    Ok(())
}

/// The object in a variant, by `Marshal.GetObjectForNativeVariant`.
fn variant_to_managed(native: *const u8) -> Result<ObjectRef> {
    let method = com::marshal_method("GetObjectForNativeVariant", &[TypeId::I])?;
    let object = invoke::call(method, &[Argument::integer(native as i64)])?;
    // SAFETY: the method gives a reference.
    Ok(unsafe { ObjectRef::from_raw(object as *mut object::Object) })
}

/// Frees what a variant owns, by `System.Variant.Clear`.
fn clear_variant(native: *mut u8) -> Result<()> {
    invoke::call(declared_method(core_class("System", "Variant")?, "Clear", Some(&[]))?, &[Argument::integer(native as i64)])?;
    Ok(())
}

/// The object with this handle: the old one, or a new one of its class.
fn updated_handle(field: &KnownField, class: TypeId, old: ObjectRef, handle: *mut u8) -> Result<ObjectRef> {
    if !old.is_null() && field.get::<*mut u8>(old) == handle {
        return Ok(old);
    }
    let object = construct(class)?;
    field.set(object, handle);
    Ok(object)
}

fn refused(ty: TypeId) -> Exception {
    let name = runtime().types.reflection_name(ty);
    let message = format!("Cannot marshal a value of type {name}.");
    Exception::new("System.Runtime.InteropServices", "MarshalDirectiveException", message)
}

/// Fills a managed location from native memory.
///
/// # Safety
/// There is a native form at `native`, and a location of the conversion's managed type at `managed`.
pub unsafe fn to_managed(conversion: &Conversion, native: *const u8, managed: *mut u8) -> Result<()> {
    // SAFETY: the caller's promise, here and in all branches; sizes are those of the conversion.
    unsafe {
        let store = |value: ObjectRef| store_unknown(managed.cast(), value);
        match conversion {
            Conversion::Same(ty) => std::ptr::copy(native, managed, managed_size(*ty)?),
            Conversion::Boolean { native: storage, .. } => {
                let value = match storage {
                    Storage::U1 => native.read() != 0,
                    Storage::I2 => native.cast::<i16>().read_unaligned() != 0,
                    _ => native.cast::<i32>().read_unaligned() != 0,
                };
                managed.write(u8::from(value));
            }
            Conversion::Date(ty) => {
                let method = find_method(*ty, "FromOADate", None)?;
                invoke::call_raw(method, &[native], managed)?;
            }
            Conversion::NarrowChar => managed.cast::<u16>().write_unaligned(u16::from(native.read())),
            Conversion::Text(text) => store(managed_string(*text, word_at(native))?.object()),
            Conversion::Builder(text) => {
                let builder = match word_at(native) {
                    address if address.is_null() => ObjectRef::NULL,
                    address => {
                        let builder = construct(core_class("System.Text", "StringBuilder")?)?;
                        update_builder(*text, address, builder)?;
                        builder
                    }
                };
                store(builder);
            }
            Conversion::FixedText { text, count } => store(string_in_place(*text, native, *count as usize)?.object()),
            Conversion::Structure(ty) => fields_to_managed(*ty, native, managed)?,
            Conversion::ClassInPlace(ty) => store(managed_object(*ty, native)?),
            Conversion::ClassPointer(ty) => {
                let address = word_at(native);
                store(if address.is_null() { ObjectRef::NULL } else { managed_object(*ty, address)? });
            }
            Conversion::Delegate(ty) => {
                let pointer = word_at(native) as usize;
                store(if pointer == 0 { ObjectRef::NULL } else { super::callbacks::delegate_for(pointer, *ty)? });
            }
            Conversion::SafeHandle(ty) => store(updated_handle(&SAFE_HANDLE, *ty, reference_at(managed), word_at(native))?),
            Conversion::CriticalHandle(ty) => {
                store(updated_handle(&CRITICAL_HANDLE, *ty, reference_at(managed), word_at(native))?);
            }
            // Native code cannot change it.
            Conversion::HandleRef(_) => {}
            Conversion::Interface(interface) => store(com::managed_object(word_at(native) as usize, *interface)?),
            Conversion::Variant => store(variant_to_managed(native)?),
            Conversion::FieldVariant if word_at(native).is_null() => store(ObjectRef::NULL),
            Conversion::FieldVariant => return Err(refused(TypeId::OBJECT)),
            Conversion::SafeArray => store(ObjectRef::NULL),
            Conversion::Array { .. } => {
                let message = "An array of unknown length cannot be marshalled to managed code.";
                return Err(Exception::new("System.Runtime.InteropServices", "MarshalDirectiveException", message));
            }
            Conversion::FixedArray { element, element_type, count } => {
                store(managed_array(element, *element_type, native, *count as usize)?.object());
            }
            Conversion::Custom { .. } => {
                let address = word_at(native) as usize;
                store(if address == 0 { ObjectRef::NULL } else { custom::to_managed(conversion, address)? });
            }
            Conversion::AsAny { .. } => return Err(refused(TypeId::OBJECT)),
            Conversion::Pointer { target, by_ref } => {
                let address = word_at(native);
                match by_ref {
                    true => managed.cast::<*mut u8>().write_unaligned(address),
                    false if address.is_null() => return Err(Exception::null_reference()),
                    false => to_managed(target, address, managed)?,
                }
            }
        }
        Ok(())
    }
}

/// # Safety
/// `managed` is the start of an object or value of class `ty`; its native layout is at `native`.
unsafe fn fields_to_managed(ty: TypeId, native: *const u8, managed: *mut u8) -> Result<()> {
    let layout = super::layout(ty)?;
    for field in &layout.fields {
        let (to, from) = (field.managed_offset as usize, field.native_offset as usize);
        // SAFETY: the caller's promise; the layout's offsets are inside.
        unsafe { to_managed(&field.conversion, native.add(from), managed.add(to))? };
    }
    Ok(())
}

/// Fills the fields of an object, of a class or a boxed value, from native memory.
///
/// # Safety
/// Its native layout is at `native`.
pub unsafe fn object_to_managed(native: *const u8, object: ObjectRef) -> Result<()> {
    // SAFETY: the object's own fields, and the caller's promise.
    unsafe { fields_to_managed(object.type_id(), native, fields_of(object)) }
}

/// A new object of a class, or a boxed value, from native memory.
///
/// # Safety
/// Its native layout is at `native`.
pub unsafe fn managed_object(ty: TypeId, native: *const u8) -> Result<ObjectRef> {
    let object = object::allocate(method_table(ty)?)?;
    // SAFETY: the caller's promise.
    unsafe { object_to_managed(native, object)? };
    Ok(object)
}

/// Frees what the pointers in a native value own, and clears them. `count` is the number of elements, if it is that of an array.
///
/// # Safety
/// There is a native form at `native`; what it points to is memory of `malloc`.
pub unsafe fn release(conversion: &Conversion, native: *mut u8, count: usize) -> Result<()> {
    // SAFETY: the caller's promise, here and in all branches.
    unsafe {
        match conversion {
            Conversion::Text(text) | Conversion::Builder(text) => free_text(*text, word_at(native)),
            Conversion::FixedArray { element, count, .. } => return release_elements(element, native, *count as usize),
            Conversion::Structure(ty) | Conversion::ClassInPlace(ty) => return release_fields(*ty, native),
            Conversion::ClassPointer(ty) => {
                let address = word_at(native);
                if !address.is_null() {
                    release_fields(*ty, address)?;
                    free(address);
                }
            }
            Conversion::Array { element, .. } => {
                let address = word_at(native);
                if !address.is_null() {
                    release_elements(element, address, count)?;
                    free(address);
                }
            }
            Conversion::AsAny { .. } => free(word_at(native)),
            Conversion::Variant => {
                clear_variant(native)?;
                return Ok(());
            }
            Conversion::Pointer { target, .. } if !matches!(**target, Conversion::Same(_)) => {
                let address = word_at(native);
                if !address.is_null() {
                    release(target, address, count)?;
                    free(address);
                }
            }
            Conversion::Custom { .. } => {
                let address = word_at(native) as usize;
                if address != 0 {
                    custom::clean_up_native(conversion, address)?;
                }
            }
            _ => return Ok(()),
        }
        set_word(native, 0);
        Ok(())
    }
}

unsafe fn release_elements(element: &Conversion, native: *mut u8, count: usize) -> Result<()> {
    if matches!(element, Conversion::Same(_)) {
        return Ok(());
    }
    let size = native_size(element)?;
    for index in 0..count {
        // SAFETY: the caller of `release` knows that there are so many.
        unsafe { release(element, native.add(index * size), 0)? };
    }
    Ok(())
}

/// Frees what the fields of a structure own.
///
/// # Safety
/// The native layout of `ty` is at `native`.
pub unsafe fn release_fields(ty: TypeId, native: *mut u8) -> Result<()> {
    for field in &super::layout(ty)?.fields {
        // SAFETY: the caller's promise.
        unsafe { release(&field.conversion, native.add(field.native_offset as usize), 0)? };
    }
    Ok(())
}
