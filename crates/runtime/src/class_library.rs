//! Classes and methods that the runtime itself uses, by name. The class libraries that it is made for have them; where one is missing, what needs it
//! fails with its name. Fields by name: `fields` (known ones of the core library) and `named_fields`.

use crate::exceptions::{Exception, Result};
use crate::runtime;
use il::types::{AssemblyId, MethodId, TypeId};

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
