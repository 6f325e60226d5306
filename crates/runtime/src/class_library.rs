//! Classes and methods that the runtime itself uses, by name. The class libraries that it is made for have them; where one is missing, what needs it
//! fails with its name. Fields by name: `fields` (known ones of the core library) and `named_fields`.

use crate::exceptions::{Exception, Result};
use crate::object::ObjectRef;
use crate::runtime;
use il::types::{AssemblyId, MethodId, TypeId};
use std::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;

/// A class of the core library, by name, that is looked up once. Made as a `static`, where it is needed often.
pub struct KnownClass {
    namespace: &'static str,
    name: &'static str,
    number: AtomicU32,
}

impl KnownClass {
    /// Names a class.
    pub const fn new(namespace: &'static str, name: &'static str) -> KnownClass {
        KnownClass { namespace, name, number: AtomicU32::new(UNKNOWN) }
    }

    /// The class.
    #[inline]
    pub fn get(&self) -> Result<TypeId> {
        match self.number.load(Ordering::Relaxed) {
            UNKNOWN => self.find(),
            number => Ok(TypeId(number)),
        }
    }

    #[cold]
    fn find(&self) -> Result<TypeId> {
        let class = core_class(self.namespace, self.name)?;
        self.number.store(class.0, Ordering::Relaxed);
        Ok(class)
    }

    /// Whether an object, not null, is exactly of this class.
    #[inline]
    pub fn is_class_of(&self, object: ObjectRef) -> bool {
        self.get().is_ok_and(|class| object.type_id() == class)
    }
}

/// A class of the core library.
pub fn core_class(namespace: &str, name: &str) -> Result<TypeId> {
    class_in(runtime().types.corlib(), namespace, name)
}

/// A class of an assembly.
pub fn class_in(assembly: AssemblyId, namespace: &str, name: &str) -> Result<TypeId> {
    let types = &runtime().types;
    let found = types.find_type(assembly, namespace, name)?;
    found.ok_or_else(|| Exception::engine(format!("{} lacks {namespace}.{name}", types.assembly(assembly).file())))
}

/// A method that a class declares; `params` are the types of its parameters, needed where it has several of the name.
pub fn declared_method(class: TypeId, name: &str, params: Option<&[TypeId]>) -> Result<MethodId> {
    let types = &runtime().types;
    let found = types.find_method(class, name, params)?;
    found.ok_or_else(|| Exception::engine(format!("{} lacks {name}", types.reflection_name(class))))
}
