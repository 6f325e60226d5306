//! Fields of class library objects that the runtime reads and writes: found by name once, then by offset.

use crate::object::ObjectRef;
use crate::runtime;
use il::types::FieldLocation;
use std::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;

/// An instance field of a class of the core library, by name. Made as a `static`.
pub struct KnownField {
    namespace: &'static str,
    class: &'static str,
    name: &'static str,
    offset: AtomicU32,
}

impl KnownField {
    /// Names a field. A class that does not have it is noticed at the first use.
    pub const fn new(namespace: &'static str, class: &'static str, name: &'static str) -> KnownField {
        KnownField { namespace, class, name, offset: AtomicU32::new(UNKNOWN) }
    }

    /// Offset in bytes from the object's start (for value types: from the value's).
    ///
    /// # Panics
    /// If the core library has no such field: it is then none that this runtime can work with.
    #[inline]
    pub fn offset(&self) -> u32 {
        match self.offset.load(Ordering::Relaxed) {
            UNKNOWN => self.find(),
            offset => offset,
        }
    }

    #[cold]
    fn find(&self) -> u32 {
        let types = &runtime().types;
        let found = types
            .find_type(types.corlib(), self.namespace, self.class)
            .and_then(|class| class.map_or(Ok(None), |class| types.find_field(class, self.name)))
            .and_then(|field| field.map_or(Ok(None), |field| types.field_location(field).map(Some)));
        let Ok(Some(FieldLocation::Instance { offset })) = found else {
            panic!("the core library has no field {}.{}.{}", self.namespace, self.class, self.name);
        };
        self.offset.store(offset, Ordering::Relaxed);
        offset
    }

    /// Reads the field. `object` must not be null and must have it, as a `T`.
    #[inline]
    pub fn get<T: Copy>(&self, object: ObjectRef) -> T {
        object.header();
        // SAFETY: a field of the class; `T` is the caller's promise.
        unsafe { object.read(self.offset()) }
    }

    /// Writes the field, which holds no reference. Likewise.
    #[inline]
    pub fn set<T: Copy>(&self, object: ObjectRef, value: T) {
        object.header();
        // SAFETY: a field of the class; `T` is the caller's promise.
        unsafe { object.write(self.offset(), value) }
    }

    /// Writes the field, which is a reference. Likewise.
    #[inline]
    pub fn set_ref(&self, object: ObjectRef, value: ObjectRef) {
        object.header();
        // SAFETY: a reference field of the class.
        unsafe { object.write_ref(self.offset(), value) }
    }
}
