//! Classes and methods that the runtime itself uses, by name. The class libraries that it is made for have them; where one is missing, what needs it
//! fails with its name. Fields by name: `fields` (known ones of the core library) and `named_fields`.

use crate::exceptions::{Exception, Result};
use crate::object::ObjectRef;
use crate::runtime;
use il::types::{AssemblyId, MethodId, TypeId};
use std::sync::atomic::{AtomicU32, Ordering};

const UNKNOWN: u32 = u32::MAX;

/// A class of the core library that is asked for often: looked for by its name once. Made as a `static`.
pub struct KnownClass {
    namespace: &'static str,
    name: &'static str,
    id: AtomicU32,
}

impl KnownClass {
    /// Names a class. That there is none is noticed at the first use.
    pub const fn new(namespace: &'static str, name: &'static str) -> KnownClass {
        KnownClass { namespace, name, id: AtomicU32::new(UNKNOWN) }
    }

    /// The class.
    #[inline]
    pub fn id(&self) -> Result<TypeId> {
        match self.id.load(Ordering::Relaxed) {
            UNKNOWN => {
                let class = core_class(self.namespace, self.name)?;
                self.id.store(class.0, Ordering::Relaxed);
                Ok(class)
            }
            id => Ok(TypeId(id)),
        }
    }

    /// Whether an object is of this class and of no derived one.
    #[inline]
    pub fn is_class_of(&self, object: ObjectRef) -> bool {
        self.id().is_ok_and(|class| object.type_id() == class)
    }
}

/// Likewise a method of such a class, the only one of its name. Made as a `static`.
pub struct KnownMethod {
    class: KnownClass,
    name: &'static str,
    id: AtomicU32,
}

impl KnownMethod {
    /// Names a method. That there is none is noticed at the first use.
    pub const fn new(namespace: &'static str, class: &'static str, name: &'static str) -> KnownMethod {
        KnownMethod { class: KnownClass::new(namespace, class), name, id: AtomicU32::new(UNKNOWN) }
    }

    /// The method.
    #[inline]
    pub fn id(&self) -> Result<MethodId> {
        match self.id.load(Ordering::Relaxed) {
            UNKNOWN => {
                let method = declared_method(self.class.id()?, self.name, None)?;
                self.id.store(method.0, Ordering::Relaxed);
                Ok(method)
            }
            id => Ok(MethodId(id)),
        }
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
