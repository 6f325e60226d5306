//! Views of heap objects: references, strings and arrays. The one place that reads and writes objects from Rust.
//!
//! A reference held in a local variable, an argument or a register keeps its object alive and in place, because stacks are
//! scanned conservatively. A reference in Rust's own heap (a `Vec`, a `HashMap`, a static) does neither: for that there are
//! [`crate::roots`].

use crate::exceptions::{Exception, Result};
use crate::gc::{self, AllocationKind};
use crate::method_table::{MethodTable, method_table};
use crate::runtime;
use crate::thread::Thread;
use compiler::abi::{Abi, method_table_flags as flags};
use il::types::{TypeId, TypeKind};
use std::sync::atomic::AtomicU32;

/// The layouts of this very process.
pub const ABI: Abi = Abi { pointer_bytes: size_of::<usize>() as u32 };

/// The header that all heap objects begin with.
#[repr(C)]
pub struct Object {
    /// Its class.
    pub method_table: *const MethodTable,
    /// Thin lock, hash code or index of an inflated lock.
    pub sync: AtomicU32,
}

const _: () = assert!(std::mem::offset_of!(Object, sync) == ABI.object_sync() as usize);

/// A reference to a heap object, or null. Also what compiled code passes to and takes from internal calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct ObjectRef(*mut Object);

/// A reference to a `System.String`, or null.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct StringRef(ObjectRef);

/// A reference to an array of any kind, or null.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct ArrayRef(ObjectRef);

// SAFETY: a reference is an address; what it may be used for is decided where it is used.
unsafe impl Send for ObjectRef {}
// SAFETY: as above.
unsafe impl Sync for ObjectRef {}

impl Default for ObjectRef {
    fn default() -> Self {
        ObjectRef::NULL
    }
}

impl ObjectRef {
    /// The null reference.
    pub const NULL: ObjectRef = ObjectRef(std::ptr::null_mut());

    /// The object at `address`.
    ///
    /// # Safety
    /// `address` is null or that of a live heap object.
    #[inline]
    pub const unsafe fn from_raw(address: *mut Object) -> ObjectRef {
        ObjectRef(address)
    }

    /// Its address.
    #[inline]
    pub const fn raw(self) -> *mut Object {
        self.0
    }

    /// Whether it is null.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Itself, unless it is null.
    #[inline]
    pub fn non_null(self) -> Option<ObjectRef> {
        if self.is_null() { None } else { Some(self) }
    }

    /// Itself, or the `NullReferenceException` to raise.
    #[inline]
    pub fn check(self) -> Result<ObjectRef> {
        self.non_null().ok_or_else(Exception::null_reference)
    }

    /// Itself, or the `ArgumentNullException` that names the parameter.
    #[inline]
    pub fn argument(self, name: &str) -> Result<ObjectRef> {
        self.non_null().ok_or_else(|| Exception::argument_null(name))
    }

    /// The header. Must not be null.
    #[inline]
    pub fn header(self) -> &'static Object {
        assert!(!self.is_null(), "a null reference was used by the runtime");
        // SAFETY: a non-null reference points to a live object, which the conservatively scanned reference keeps in place.
        unsafe { &*self.0 }
    }

    /// The class. Must not be null.
    #[inline]
    pub fn method_table(self) -> &'static MethodTable {
        // SAFETY: objects point to method tables, which live forever.
        unsafe { &*self.header().method_table }
    }

    /// The class's type. Must not be null.
    #[inline]
    pub fn type_id(self) -> TypeId {
        TypeId(self.method_table().type_id)
    }

    /// Address `offset` bytes from the object's start.
    #[inline]
    pub fn at<T>(self, offset: u32) -> *mut T {
        (self.0 as *mut u8).wrapping_add(offset as usize) as *mut T
    }

    /// Reads the field at `offset` from the object's start.
    ///
    /// # Safety
    /// Not null, and there is a `T` at this offset.
    #[inline]
    pub unsafe fn read<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.at::<T>(offset).read_unaligned() }
    }

    /// Writes a field that holds no reference.
    ///
    /// # Safety
    /// Not null, and there is a `T` at this offset.
    #[inline]
    pub unsafe fn write<T: Copy>(self, offset: u32, value: T) {
        // SAFETY: the caller's promise.
        unsafe { self.at::<T>(offset).write_unaligned(value) }
    }

    /// Writes a field that is a reference, with the write barrier.
    ///
    /// # Safety
    /// Not null, and there is a reference at this offset.
    #[inline]
    pub unsafe fn write_ref(self, offset: u32, value: ObjectRef) {
        // SAFETY: the caller's promise.
        unsafe { store_reference(self, self.at(offset), value) }
    }

    /// Address of a boxed value's payload. Must not be null.
    #[inline]
    pub fn payload<T>(self) -> *mut T {
        self.at(ABI.boxed_payload() as u32)
    }

    /// Reads a boxed value.
    ///
    /// # Safety
    /// Not null, and a boxed value of `T`'s layout.
    pub unsafe fn unbox<T: Copy>(self) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.read(ABI.boxed_payload() as u32) }
    }

    /// Size of the object in bytes. Must not be null.
    pub fn size(self) -> usize {
        // SAFETY: a live object with its method table.
        unsafe { gc::object_size(std::ptr::from_ref(self.header()).cast()) }
    }

    /// The length field of an array or string. Must not be null and must be one.
    #[inline]
    pub fn length(self) -> u32 {
        // SAFETY: the caller knows it is an array or string.
        unsafe { self.read(ABI.length() as u32) }
    }

    /// As a string, if it is one.
    pub fn as_string(self) -> Option<StringRef> {
        if !self.is_null() && self.method_table().has(flags::STRING) { Some(StringRef(self)) } else { None }
    }

    /// As an array, if it is one.
    pub fn as_array(self) -> Option<ArrayRef> {
        if !self.is_null() && self.method_table().has(flags::VECTOR | flags::ARRAY) { Some(ArrayRef(self)) } else { None }
    }
}

/// Stores a reference into an object with the write barrier. A null `owner` means that `slot` does not lie in the heap.
///
/// # Safety
/// `slot` is a reference field of `owner`.
#[inline]
pub unsafe fn store_reference(owner: ObjectRef, slot: *mut ObjectRef, value: ObjectRef) {
    // SAFETY: the caller's promise.
    unsafe { slot.write(value) };
    if !owner.is_null() {
        write_barrier(owner);
    }
}

/// Allocates a zeroed object of a class that is no array or string; raises when memory is used up.
pub fn allocate(table: &MethodTable) -> Result<ObjectRef> {
    allocate_sized(table, table.base_size as usize)
}

/// Largest object in bytes; a little below the range of a 32-bit length.
const MAX_OBJECT_BYTES: u64 = if size_of::<usize>() == 8 { 1 << 36 } else { 1 << 30 };

fn allocate_sized(table: &MethodTable, size: usize) -> Result<ObjectRef> {
    allocate_of_kind(table, size, AllocationKind::Default)
}

/// Allocates `size` zeroed bytes as an object of `table`, to live where `kind` says.
pub fn allocate_of_kind(table: &MethodTable, size: usize, kind: AllocationKind) -> Result<ObjectRef> {
    let memory = gc::allocate(Thread::current().heap(), size, kind).ok_or_else(Exception::out_of_memory)?;
    let object = memory as *mut Object;
    // SAFETY: fresh zeroed memory of at least the header's size.
    unsafe { (*object).method_table = table };
    if table.has(flags::WEAK_FIELDS) {
        gc::register_weak_fields(memory);
    }
    if table.has(flags::FINALIZER) && gc::register_finalizer(memory) {
        gc::collect(Thread::current().heap(), false);
    }
    Ok(ObjectRef(object))
}

/// Allocates a zeroed vector of the array class `table`.
pub fn allocate_vector(table: &MethodTable, length: usize) -> Result<ArrayRef> {
    if length > i32::MAX as usize {
        return Err(Exception::overflow());
    }
    let size = table.base_size as u64 + table.component_size as u64 * length as u64;
    if size > MAX_OBJECT_BYTES {
        return Err(Exception::out_of_memory());
    }
    let object = allocate_sized(table, size as usize)?;
    // SAFETY: arrays have a length field.
    unsafe { object.write(ABI.length() as u32, length as u32) };
    Ok(ArrayRef(object))
}

/// Allocates a vector of the array class `table` from one length, or from two a vector of vectors.
pub fn allocate_vector_of(table: &MethodTable, lengths: &[i32]) -> Result<ArrayRef> {
    let [length, inner @ ..] = lengths else { return Err(Exception::overflow()) };
    let array = allocate_vector(table, usize::try_from(*length).map_err(|_| Exception::overflow())?)?;
    if inner.is_empty() || array.is_empty() {
        return Ok(array);
    }
    let types = &runtime().types;
    let element = types.element_type(table.ty()).filter(|&element| matches!(types.kind(element), TypeKind::SzArray(_)));
    let element = method_table(element.ok_or_else(Exception::overflow)?)?;
    for index in 0..array.len() {
        array.set_ref(index, allocate_vector_of(element, inner)?.object());
    }
    Ok(array)
}

/// Allocates an array of several dimensions; `dimensions` are (lower bound, length) pairs.
pub fn allocate_array(table: &MethodTable, dimensions: &[(i32, i32)]) -> Result<ArrayRef> {
    let mut count: u64 = 1;
    for &(_, length) in dimensions {
        if length < 0 {
            return Err(Exception::overflow());
        }
        count = count.saturating_mul(length as u64);
    }
    if count > i32::MAX as u64 {
        return Err(Exception::out_of_memory());
    }
    let array = allocate_vector(table, count as usize)?;
    for (index, &(lower, length)) in dimensions.iter().enumerate() {
        let offset = ABI.array_bounds() as u32 + 8 * index as u32;
        // SAFETY: the class's base size has room for the bounds of its rank.
        unsafe {
            array.0.write(offset, length);
            array.0.write(offset + 4, lower);
        }
    }
    Ok(array)
}

/// Boxes the value at `value`. Nullables become their value or null.
///
/// # Safety
/// `value` points to a value of the class `table`.
pub unsafe fn box_value(table: &MethodTable, value: *const u8) -> Result<ObjectRef> {
    if table.has(flags::NULLABLE) {
        // SAFETY: the caller's promise.
        return unsafe { crate::helpers::box_nullable(table, value) };
    }
    let object = allocate(table)?;
    let class = table.class();
    // SAFETY: the payload lies in the fresh object.
    unsafe { copy_value(object, object.payload(), value, class.value_size as usize, &class.value_references) };
    Ok(object)
}

/// Copies a value of `size` bytes with references at `reference_offsets` into `owner` at `destination` (null owner: anywhere
/// outside of the heap).
///
/// # Safety
/// Both areas are of this size and the references are where the offsets say.
pub unsafe fn copy_value(owner: ObjectRef, destination: *mut u8, source: *const u8, size: usize, reference_offsets: &[u32]) {
    // SAFETY: the caller's promise; the areas may be the same.
    unsafe {
        std::ptr::copy(source, destination, size);
        if !owner.is_null() {
            for &offset in reference_offsets {
                let slot = destination.add(offset as usize) as *mut ObjectRef;
                if !slot.read().is_null() {
                    write_barrier(owner);
                    return;
                }
            }
        }
    }
}

/// What the collector wants to know after references were stored into `owner`, which is not null.
pub fn write_barrier(owner: ObjectRef) {
    // SAFETY: a non-null reference is that of a live object.
    unsafe { gc::write_barrier(Thread::current().heap(), owner.raw() as *mut u8) }
}

impl StringRef {
    /// The null reference.
    pub const NULL: StringRef = StringRef(ObjectRef::NULL);

    /// `object` as a string.
    ///
    /// # Safety
    /// It is null or a string.
    #[inline]
    pub const unsafe fn from_object(object: ObjectRef) -> StringRef {
        StringRef(object)
    }

    /// A new string from UTF-8.
    pub fn new(text: &str) -> Result<StringRef> {
        if text.is_ascii() {
            let string = StringRef::with_length(text.len())?;
            // SAFETY: nobody else knows the fresh string.
            let units = unsafe { string.units_mut() };
            for (unit, byte) in units.iter_mut().zip(text.bytes()) {
                *unit = byte as u16;
            }
            return Ok(string);
        }
        let units: Vec<u16> = text.encode_utf16().collect();
        StringRef::from_units(&units)
    }

    /// A new string from UTF-16 units.
    pub fn from_units(units: &[u16]) -> Result<StringRef> {
        let string = StringRef::with_length(units.len())?;
        // SAFETY: nobody else knows the fresh string.
        unsafe { string.units_mut() }.copy_from_slice(units);
        Ok(string)
    }

    /// A new string of zero units, to be filled by [`StringRef::units_mut`] before anybody else sees it.
    pub fn with_length(length: usize) -> Result<StringRef> {
        let table = method_table(TypeId::STRING)?;
        if length > 0x3fff_ffdf {
            return Err(Exception::out_of_memory());
        }
        let object = allocate_sized(table, table.base_size as usize + 2 * length + 2)?;
        // SAFETY: strings have a length field.
        unsafe { object.write(ABI.length() as u32, length as u32) };
        Ok(StringRef(object))
    }

    /// Whether it is null.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// As an object.
    #[inline]
    pub const fn object(self) -> ObjectRef {
        self.0
    }

    /// Its UTF-16 units. Must not be null.
    #[inline]
    pub fn units(self) -> &'static [u16] {
        let length = self.0.length() as usize;
        // SAFETY: a string has as many units as its length says; the reference keeps it in place.
        unsafe { std::slice::from_raw_parts(self.0.at(ABI.string_chars() as u32), length) }
    }

    /// Its units, to be written.
    ///
    /// # Safety
    /// Not null, and nobody else reads or writes it now.
    pub unsafe fn units_mut(self) -> &'static mut [u16] {
        let length = self.0.length() as usize;
        // SAFETY: as in `units`, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.at(ABI.string_chars() as u32), length) }
    }

    /// Itself, or the `ArgumentNullException` that names the parameter.
    pub fn argument(self, name: &str) -> Result<StringRef> {
        self.0.argument(name).map(StringRef)
    }

    /// Its text; unpaired surrogates become U+FFFD. Null gives an empty text.
    pub fn text(self) -> String {
        if self.is_null() { String::new() } else { String::from_utf16_lossy(self.units()) }
    }
}

impl ArrayRef {
    /// The null reference.
    pub const NULL: ArrayRef = ArrayRef(ObjectRef::NULL);

    /// `object` as an array.
    ///
    /// # Safety
    /// It is null or an array.
    #[inline]
    pub const unsafe fn from_object(object: ObjectRef) -> ArrayRef {
        ArrayRef(object)
    }

    /// A new vector of `length` zeroed elements of type `element`.
    pub fn new(element: TypeId, length: usize) -> Result<ArrayRef> {
        let ty = crate::runtime().types.sz_array(element);
        allocate_vector(method_table(ty)?, length)
    }

    /// Whether it is null.
    #[inline]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// As an object.
    #[inline]
    pub const fn object(self) -> ObjectRef {
        self.0
    }

    /// Itself, or the `ArgumentNullException` that names the parameter.
    pub fn argument(self, name: &str) -> Result<ArrayRef> {
        self.0.argument(name).map(ArrayRef)
    }

    /// Number of elements, of all dimensions together. Must not be null.
    #[inline]
    pub fn len(self) -> usize {
        self.0.length() as usize
    }

    /// Whether it has no elements. Must not be null.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Number of dimensions. Must not be null.
    pub fn rank(self) -> u32 {
        let table = self.0.method_table();
        if table.has(flags::VECTOR) { 1 } else { (table.base_size - ABI.array_bounds() as u32) / 8 }
    }

    /// (lower bound, length) of a dimension. Must not be null, and `dimension` less than the rank.
    pub fn dimension(self, dimension: u32) -> (i32, i32) {
        if self.0.method_table().has(flags::VECTOR) {
            return (0, self.len() as i32);
        }
        let offset = ABI.array_bounds() as u32 + 8 * dimension;
        // SAFETY: arrays with bounds have a pair for each dimension.
        unsafe { (self.0.read(offset + 4), self.0.read(offset)) }
    }

    /// Type of the elements. Must not be null.
    pub fn element_type(self) -> TypeId {
        crate::runtime().types.element_type(self.0.type_id()).expect("an array has an element type")
    }

    /// Bytes of an element. Must not be null.
    pub fn element_size(self) -> usize {
        self.0.method_table().component_size as usize
    }

    /// Address of the first element. Must not be null.
    #[inline]
    pub fn data<T>(self) -> *mut T {
        self.0.at(self.0.method_table().base_size)
    }

    /// Its elements.
    ///
    /// # Safety
    /// Not null; elements have `T`'s layout; nobody writes them meanwhile.
    pub unsafe fn slice<T>(self) -> &'static [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.data(), self.len()) }
    }

    /// Its elements, to be written; not for references (see [`ArrayRef::set_ref`]).
    ///
    /// # Safety
    /// Not null; elements have `T`'s layout and hold no references; nobody else reads or writes them meanwhile.
    pub unsafe fn slice_mut<T>(self) -> &'static mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data(), self.len()) }
    }

    /// Element `index` of an array of references. Must not be null.
    pub fn get_ref(self, index: usize) -> ObjectRef {
        assert!(index < self.len() && self.element_size() == size_of::<ObjectRef>());
        // SAFETY: the index is in range and elements are pointer-sized.
        unsafe { self.data::<ObjectRef>().add(index).read() }
    }

    /// Stores an element of an array of references, without a type check. Must not be null.
    pub fn set_ref(self, index: usize, value: ObjectRef) {
        assert!(index < self.len() && self.element_size() == size_of::<ObjectRef>());
        // SAFETY: the index is in range and elements are references.
        unsafe { store_reference(self.0, self.data::<ObjectRef>().add(index), value) }
    }
}
