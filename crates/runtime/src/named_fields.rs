//! Reading and writing fields of objects and structures by name. For classes with far more fields than the runtime should describe one by one, or
//! outside the core library, and for what is not hot: a field's offset is looked up by class and name. Fields that are hot: `metadata`.

use crate::exceptions::{Exception, Result};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::runtime;
use il::types::{FieldLocation, TypeId};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Offset of a field by class and name. Instance fields of value types count from the value.
type Offsets = FxHashMap<(TypeId, &'static str), u32>;

static OFFSETS: LazyLock<RwLock<Offsets>> = LazyLock::new(RwLock::default);

/// Offset of an instance field that a class or one of its bases declares; an error if there is none.
pub fn offset_of(class: TypeId, name: &'static str) -> Result<u32> {
    let known = OFFSETS.read().get(&(class, name)).copied();
    if let Some(offset) = known {
        return Ok(offset);
    }
    let types = &runtime().types;
    let field = types.find_inherited_field(class, name)?;
    match field.map(|field| types.field_location(field)).transpose()? {
        Some(FieldLocation::Instance { offset }) => {
            OFFSETS.write().insert((class, name), offset);
            Ok(offset)
        }
        _ => Err(Exception::engine(format!("{} has no field {name}", types.type_name(class)))),
    }
}

/// A structure in an array, or an object: something with named fields. It lives on the stack only, which keeps the object in place.
#[derive(Clone, Copy)]
pub struct Fields {
    owner: ObjectRef,
    class: TypeId,
    address: *const u8,
}

impl Fields {
    /// The fields of an object; an error for null.
    pub fn of(object: ObjectRef) -> Result<Fields> {
        let object = object.check()?;
        Ok(Fields { owner: object, class: object.type_id(), address: object.at(0) })
    }

    /// The object, or the array that the structure is in.
    pub fn object(self) -> ObjectRef {
        self.owner
    }

    fn read<T: Copy>(self, name: &'static str) -> Result<T> {
        let offset = offset_of(self.class, name)?;
        // SAFETY: there is a field at this offset; its type is the caller's promise.
        Ok(unsafe { self.address.add(offset as usize).cast::<T>().read_unaligned() })
    }

    /// A reference, possibly null.
    pub fn reference(self, name: &'static str) -> Result<ObjectRef> {
        self.read(name)
    }

    /// The fields of the object that a field refers to; `None` for null.
    pub fn inner(self, name: &'static str) -> Result<Option<Fields>> {
        self.reference(name)?.non_null().map(Fields::of).transpose()
    }

    /// An `int` or an enumeration over it.
    pub fn int(self, name: &'static str) -> Result<i32> {
        self.read(name)
    }

    /// A `long`.
    pub fn long(self, name: &'static str) -> Result<i64> {
        self.read(name)
    }

    /// A `bool`.
    pub fn flag(self, name: &'static str) -> Result<bool> {
        Ok(self.read::<u8>(name)? != 0)
    }

    /// A pointer or handle.
    pub fn word(self, name: &'static str) -> Result<usize> {
        self.read(name)
    }

    fn write<T: Copy>(self, name: &'static str, value: T) -> Result<()> {
        let offset = offset_of(self.class, name)?;
        // SAFETY: a field of an object; its type is the caller's promise.
        unsafe { self.owner.write(offset, value) };
        Ok(())
    }

    /// Writes a pointer or handle.
    pub fn set_word(self, name: &'static str, value: usize) -> Result<()> {
        self.write(name, value)
    }

    /// Writes an `int`.
    pub fn set_int(self, name: &'static str, value: i32) -> Result<()> {
        self.write(name, value)
    }

    /// Writes a `bool`.
    pub fn set_flag(self, name: &'static str, value: bool) -> Result<()> {
        self.write(name, u8::from(value))
    }

    /// Writes a string.
    pub fn set_text(self, name: &'static str, value: &str) -> Result<()> {
        self.set_reference(name, StringRef::new(value)?.object())
    }

    /// Writes a reference.
    pub fn set_reference(self, name: &'static str, value: ObjectRef) -> Result<()> {
        let offset = offset_of(self.class, name)?;
        // SAFETY: a reference field of an object.
        unsafe { self.owner.write_ref(offset, value) };
        Ok(())
    }

    /// A string; empty for null.
    pub fn text(self, name: &'static str) -> Result<String> {
        Ok(self.reference(name)?.as_string().map_or_else(String::new, StringRef::text))
    }

    /// The bytes of a `byte[]`; `None` for null.
    pub fn bytes(self, name: &'static str) -> Result<Option<Vec<u8>>> {
        let array = self.reference(name)?.as_array().filter(|array| array.element_size() == 1);
        // SAFETY: elements of one byte; nobody writes to such an array while the runtime reads it.
        Ok(array.map(|array| unsafe { array.slice::<u8>() }.to_vec()))
    }

    /// The non-null elements of an array of references; none for null.
    pub fn elements(self, name: &'static str) -> Result<Elements> {
        Ok(Elements { array: self.reference(name)?.as_array(), index: 0 })
    }

    /// The structures of an array; none for null.
    pub fn structures(self, name: &'static str) -> Result<impl DoubleEndedIterator<Item = Fields> + use<>> {
        let array = self.reference(name)?.as_array();
        Ok((0..array.map_or(0, ArrayRef::len)).filter_map(move |index| {
            let array = array?;
            let address = array.data::<u8>().wrapping_add(index * array.element_size());
            Some(Fields { owner: array.object(), class: array.element_type(), address })
        }))
    }
}

/// Elements of an array of references, without nulls.
#[derive(Clone, Copy)]
pub struct Elements {
    array: Option<ArrayRef>,
    index: usize,
}

impl Elements {
    /// Those of an array that may be null.
    pub fn of(array: ArrayRef) -> Elements {
        Elements { array: array.object().as_array(), index: 0 }
    }
}

impl Iterator for Elements {
    type Item = ObjectRef;

    fn next(&mut self) -> Option<ObjectRef> {
        let array = self.array?;
        while self.index < array.len() {
            self.index += 1;
            if let Some(element) = array.get_ref(self.index - 1).non_null() {
                return Some(element);
            }
        }
        None
    }
}
