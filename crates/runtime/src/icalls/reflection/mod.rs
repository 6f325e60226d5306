//! Internal calls of reflection: types, members, assemblies and modules as objects, invocation, custom attributes, enumerations.
//!
//! What reflection shows of generic definitions differs from what the type system stores: a member of `List<>` mentions the very
//! parameter `T` of `List<>`, which has a name and an owner. [`parameters`] has types for these; everything shown to a program goes
//! through [`parameters::OpenContext::reveal`] first.

mod answers;
pub(super) mod assemblies;
mod assembly_names;
pub(super) mod attribute_data;
pub(super) mod attributes;
mod constants;
pub(super) mod delegates;
pub(super) mod enums;
pub(super) mod events;
pub(super) mod fields;
pub(super) mod invocation;
mod marshalling;
pub(super) mod members;
pub(super) mod methods;
pub(super) mod modules;
mod names;
pub(super) mod native;
mod objects;
mod parameters;
pub(super) mod properties;
mod relations;
pub(super) mod runtime_types;
pub(super) mod security_levels;
pub(super) mod type_handles;
mod type_names;
pub(super) mod values;

pub use assemblies::calling_assembly;
pub use assembly_names::NativeAssemblyName;
pub use names::{assembly_name, qualified_type_name};
pub use objects::{
    ReflectionObjects, assembly_object, assembly_of_object, field_object, field_of, method_object, method_of, module_object,
    type_of,
};
pub use parameters::hide;
pub use properties::property_type_and_name;
pub use runtime_types::refuse_element;
pub use type_names::{Lookup, find_type};

/// Size of a native pointer array's element and the like: handles travel as pointers.
type Handle = usize;
