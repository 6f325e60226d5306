//! `System.Array` and `System.Buffer`.

use super::reflection::refuse_element;
use super::{InternalCall, icall, raising};
use crate::casts;
use crate::exceptions::{Exception, Result};
use crate::method_table::{MethodTable, method_table};
use crate::object::{self, ArrayRef, ObjectRef, copy_value, store_reference, write_barrier};
use crate::{handles, runtime};
use compiler::abi::method_table_flags as flags;
use il::types::{Primitive, TypeId, TypeKind};

extern "C" fn get_rank(this: ArrayRef) -> i32 {
    raising(|| {
        this.object().check()?;
        Ok(this.rank() as i32)
    })
}

fn dimension(this: ArrayRef, dimension: i32) -> Result<(i32, i32)> {
    this.object().check()?;
    if dimension < 0 || dimension as u32 >= this.rank() {
        return Err(Exception::index_out_of_range());
    }
    Ok(this.dimension(dimension as u32))
}

extern "C" fn get_length(this: ArrayRef, index: i32) -> i32 {
    raising(|| Ok(dimension(this, index)?.1))
}

extern "C" fn get_lower_bound(this: ArrayRef, index: i32) -> i32 {
    raising(|| Ok(dimension(this, index)?.0))
}

/// Address of element `position` counted over all dimensions.
fn element_address(array: ArrayRef, position: usize) -> Result<*mut u8> {
    if position >= array.len() {
        return Err(Exception::index_out_of_range());
    }
    Ok(array.data::<u8>().wrapping_add(position * array.element_size()))
}

fn get_element(array: ArrayRef, position: usize) -> Result<ObjectRef> {
    let address = element_address(array, position)?;
    let element = array.element_type();
    match runtime().types.kind(element) {
        TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => {
            Err(Exception::not_supported("Type is not supported: an element of pointer type."))
        }
        _ if runtime().types.is_value_type(element) => {
            // SAFETY: an element of this class.
            unsafe { object::box_value(method_table(element)?, address) }
        }
        // SAFETY: an element of an array of references.
        _ => Ok(unsafe { (address as *const ObjectRef).read() }),
    }
}

/// A number on its way from one primitive type to a wider one.
#[derive(Clone, Copy)]
enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// # Safety
/// There is a value of the type at the address.
unsafe fn read_number(kind: Primitive, address: *const u8) -> Option<Number> {
    // SAFETY: the caller's promise.
    unsafe {
        Some(match kind {
            Primitive::U1 => Number::Unsigned(u64::from(address.read())),
            Primitive::I1 => Number::Signed(i64::from((address as *const i8).read())),
            Primitive::U2 | Primitive::Char => Number::Unsigned(u64::from((address as *const u16).read())),
            Primitive::I2 => Number::Signed(i64::from((address as *const i16).read())),
            Primitive::U4 => Number::Unsigned(u64::from((address as *const u32).read())),
            Primitive::I4 => Number::Signed(i64::from((address as *const i32).read())),
            Primitive::U8 => Number::Unsigned((address as *const u64).read_unaligned()),
            Primitive::I8 => Number::Signed((address as *const i64).read_unaligned()),
            Primitive::R4 => Number::Float(f64::from((address as *const f32).read())),
            Primitive::R8 => Number::Float((address as *const f64).read_unaligned()),
            _ => return None,
        })
    }
}

/// Primitive types that values of a primitive type may be stored as without loss (the table of `Array.SetValue`).
fn widens_to(from: Primitive, to: Primitive) -> bool {
    use Primitive::{Char, I1, I2, I4, I8, R4, R8, U1, U2, U4, U8};
    match from {
        U1 => matches!(to, Char | U2 | I2 | U4 | I4 | U8 | I8 | R4 | R8),
        I1 => matches!(to, I2 | I4 | I8 | R4 | R8),
        U2 | Char => matches!(to, U2 | Char | U4 | I4 | U8 | I8 | R4 | R8),
        I2 => matches!(to, I4 | I8 | R4 | R8),
        U4 => matches!(to, U8 | I8 | R4 | R8),
        I4 => matches!(to, I8 | R4 | R8),
        U8 | I8 => matches!(to, R4 | R8),
        R4 => to == R8,
        _ => false,
    }
}

/// # Safety
/// There is room for a value of the type at the address.
unsafe fn write_number(kind: Primitive, address: *mut u8, number: Number) {
    let bits = match number {
        Number::Signed(value) => value,
        Number::Unsigned(value) => value as i64,
        Number::Float(value) => value as i64,
    };
    let float = match number {
        Number::Signed(value) => value as f64,
        Number::Unsigned(value) => value as f64,
        Number::Float(value) => value,
    };
    // SAFETY: the caller's promise.
    unsafe {
        match kind {
            Primitive::U2 | Primitive::I2 | Primitive::Char => (address as *mut i16).write(bits as i16),
            Primitive::U4 | Primitive::I4 => (address as *mut i32).write(bits as i32),
            Primitive::R4 => (address as *mut f32).write(float as f32),
            Primitive::R8 => (address as *mut f64).write_unaligned(float),
            _ => (address as *mut i64).write_unaligned(bits),
        }
    }
}

fn underlying(ty: TypeId) -> Result<TypeId> {
    let types = &runtime().types;
    if types.is_enum(ty) { Ok(types.enum_underlying(ty)?) } else { Ok(ty) }
}

/// # Safety
/// `address` is an element of `array` of the nullable type `element`, and `value` a boxed value of the class `content`.
unsafe fn store_nullable(
    array: ArrayRef,
    address: *mut u8,
    element: TypeId,
    content: &MethodTable,
    value: ObjectRef,
) -> Result<()> {
    let types = &runtime().types;
    let class = content.class();
    for (field, offset) in types.instance_fields(element)? {
        // SAFETY: the caller's promise; the fields lie in the element.
        unsafe {
            let place = address.add(offset as usize);
            if types.field_type(field)? == TypeId::BOOLEAN && matches!(types.field_name(field), "has_value" | "hasValue") {
                place.write(1);
            } else {
                copy_value(array.object(), place, value.payload(), class.value_size as usize, &class.value_references);
            }
        }
    }
    Ok(())
}

fn set_element(array: ArrayRef, position: usize, value: ObjectRef) -> Result<()> {
    let address = element_address(array, position)?;
    let types = &runtime().types;
    let element = array.element_type();
    if !types.is_value_type(element) {
        if !casts::can_store(array.object(), value)? {
            return Err(Exception::new("System", "InvalidCastException", "Object cannot be stored in an array of this type."));
        }
        // SAFETY: an element of an array of references.
        unsafe { store_reference(array.object(), address.cast(), value) };
        return Ok(());
    }
    let table = method_table(element)?;
    let size = array.element_size();
    if value.is_null() {
        // SAFETY: the element's own bytes; a zeroed value is a valid one.
        unsafe { std::ptr::write_bytes(address, 0, size) };
        return Ok(());
    }
    let class = table.class();
    let content = table.element().filter(|_| table.has(flags::NULLABLE));
    if let (Some(content), true) = (content, content.map_or(Ok(false), |content| casts::is_instance(content, value))?) {
        // SAFETY: a nullable's element: the content stands where the boxed value says, the flag where the layout says.
        return unsafe { store_nullable(array, address, element, content, value) };
    }
    if value.type_id() == element || casts::can_unbox(table, value) {
        // SAFETY: the boxed value has the element's class or its underlying type.
        unsafe { copy_value(array.object(), address, value.payload(), class.value_size as usize, &class.value_references) };
        return Ok(());
    }
    let cannot_widen = || Exception::argument("value", "not a widening conversion");
    let source = types.primitive_of(underlying(value.type_id())?);
    let target = types.primitive_of(underlying(element)?);
    let (Some(source), Some(target)) = (source, target) else {
        return Err(Exception::new("System", "InvalidCastException", "Object cannot be stored in an array of this type."));
    };
    // SAFETY: a boxed value of the source type; room for one of the target type.
    unsafe {
        let number = read_number(source, value.payload()).ok_or_else(cannot_widen)?;
        if !widens_to(source, target) {
            return Err(cannot_widen());
        }
        write_number(target, address, number);
    }
    Ok(())
}

/// Position of an element given by one index for each dimension.
fn position_of(array: ArrayRef, indices: ArrayRef) -> Result<usize> {
    array.object().check()?;
    indices.argument("indices")?;
    if indices.len() != array.rank() as usize {
        return Err(Exception::new(
            "System",
            "ArgumentException",
            "Only single dimensional arrays are supported for the requested action.",
        ));
    }
    // SAFETY: an array of integers.
    let indices = unsafe { indices.slice::<i32>() };
    let mut position = 0usize;
    for (number, &index) in indices.iter().enumerate() {
        let (lower, length) = array.dimension(number as u32);
        let offset = index.wrapping_sub(lower);
        if index < lower || offset >= length {
            return Err(Exception::index_out_of_range());
        }
        position = position * length as usize + offset as usize;
    }
    Ok(position)
}

extern "C" fn get_value(this: ArrayRef, indices: ArrayRef) -> ObjectRef {
    raising(|| get_element(this, position_of(this, indices)?))
}

extern "C" fn set_value(this: ArrayRef, value: ObjectRef, indices: ArrayRef) {
    raising(|| set_element(this, position_of(this, indices)?, value))
}

extern "C" fn get_value_at(this: ArrayRef, position: i32) -> ObjectRef {
    raising(|| {
        this.object().check()?;
        get_element(this, position as usize)
    })
}

extern "C" fn set_value_at(this: ArrayRef, value: ObjectRef, position: i32) {
    raising(|| {
        this.object().check()?;
        set_element(this, position as usize, value)
    })
}

/// Whether `count` elements from `index` lie in an array of `length`.
fn contains(length: usize, index: i32, count: i32) -> bool {
    index >= 0 && count >= 0 && index as usize + count as usize <= length
}

/// Copies if no element needs a check or conversion; says whether it did.
extern "C" fn fast_copy(source: ArrayRef, source_index: i32, target: ArrayRef, target_index: i32, count: i32) -> bool {
    raising(|| {
        source.object().check()?;
        target.object().check()?;
        let (from, to) = (source.object().method_table(), target.object().method_table());
        let ranges_fit = contains(source.len(), source_index, count) && contains(target.len(), target_index, count);
        if source.rank() != target.rank() || !from.has(flags::VECTOR) || !to.has(flags::VECTOR) || !ranges_fit {
            return Ok(false);
        }
        if !std::ptr::eq(from, to) {
            let types = &runtime().types;
            let (have, want) = (source.element_type(), target.element_type());
            let are_references = types.is_reference_type(have) && types.is_reference_type(want);
            if have != want && !(are_references && casts::is_assignable(have, want)) {
                return Ok(false);
            }
        }
        let size = source.element_size();
        // SAFETY: both ranges were checked; they may overlap.
        unsafe {
            std::ptr::copy(
                source.data::<u8>().add(source_index as usize * size),
                target.data::<u8>().add(target_index as usize * size),
                count as usize * size,
            );
        }
        if count > 0 && to.has(flags::HAS_REFERENCES) {
            write_barrier(target.object());
        }
        Ok(true)
    })
}

extern "C" fn clear(array: ArrayRef, index: i32, count: i32) {
    raising(|| {
        array.object().check()?;
        if !contains(array.len(), index, count) {
            return Err(Exception::index_out_of_range());
        }
        let size = array.element_size();
        // SAFETY: the range was checked; zero is a valid value of every element.
        unsafe { std::ptr::write_bytes(array.data::<u8>().add(index as usize * size), 0, count as usize * size) };
        Ok(())
    })
}

extern "C" fn create_instance(element: ObjectRef, lengths: ArrayRef, bounds: ArrayRef) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let element = handles::type_of(element).ok_or_else(|| Exception::argument_null("elementType"))?;
        lengths.argument("lengths")?;
        let element = if let TypeKind::ByRef(target) = *types.kind(element) { target } else { element };
        if element == TypeId::VOID || types.contains_type_variables(element) {
            return Err(Exception::not_supported("Array type can not be void"));
        }
        refuse_element(element)?;
        // SAFETY: arrays of integers.
        let lengths = unsafe { lengths.slice::<i32>() };
        // SAFETY: as above.
        let bounds = if bounds.is_null() { &[][..] } else { unsafe { bounds.slice::<i32>() } };
        if lengths.is_empty() {
            return Err(Exception::argument("lengths", "Arrays must contain >= 1 elements."));
        }
        if lengths.iter().any(|length| *length < 0) {
            return Err(Exception::argument_out_of_range("lengths"));
        }
        let pairs: Vec<(i32, i32)> =
            lengths.iter().enumerate().map(|(index, &length)| (bounds.get(index).copied().unwrap_or(0), length)).collect();
        match pairs[..] {
            [(0, length)] => ArrayRef::new(element, length as usize),
            _ => object::allocate_array(method_table(types.array(element, pairs.len() as u32))?, &pairs),
        }
    })
}

/// Bytes of an array of primitive elements, or -1 for others.
fn byte_length(array: ArrayRef) -> Result<i32> {
    let element = underlying(array.element_type())?;
    let is_primitive = runtime().types.primitive_of(element).is_some() && runtime().types.is_value_type(element);
    Ok(if is_primitive { (array.len() * array.element_size()) as i32 } else { -1 })
}

extern "C" fn buffer_length(array: ArrayRef) -> i32 {
    raising(|| byte_length(array.argument("array")?))
}

extern "C" fn block_copy(source: ArrayRef, source_offset: i32, target: ArrayRef, target_offset: i32, count: i32) -> bool {
    raising(|| {
        let (source, target) = (source.argument("src")?, target.argument("dest")?);
        let (have, room) = (byte_length(source)?, byte_length(target)?);
        if have < 0
            || room < 0
            || !contains(have as usize, source_offset, count)
            || !contains(room as usize, target_offset, count)
        {
            return Ok(false);
        }
        // SAFETY: both ranges were checked; they may overlap.
        unsafe {
            std::ptr::copy(
                source.data::<u8>().add(source_offset as usize),
                target.data::<u8>().add(target_offset as usize),
                count as usize,
            );
        }
        Ok(true)
    })
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Array:ClearInternal (System.Array,int,int)", clear as *const ()),
    icall("System.Array:CreateInstanceImpl (System.Type,int[],int[])", create_instance as *const ()),
    icall("System.Array:FastCopy (System.Array,int,System.Array,int,int)", fast_copy as *const ()),
    icall("System.Array:GetLength (int)", get_length as *const ()),
    icall("System.Array:GetLowerBound (int)", get_lower_bound as *const ()),
    icall("System.Array:GetRank ()", get_rank as *const ()),
    icall("System.Array:GetValue (int[])", get_value as *const ()),
    icall("System.Array:GetValueImpl (int)", get_value_at as *const ()),
    icall("System.Array:SetValue (object,int[])", set_value as *const ()),
    icall("System.Array:SetValueImpl (object,int)", set_value_at as *const ()),
    icall("System.Buffer:InternalBlockCopy (System.Array,int,System.Array,int,int)", block_copy as *const ()),
    icall("System.Buffer:_ByteLength (System.Array)", buffer_length as *const ()),
];
