//! `System.Reflection.Emit`: from the class library's builder objects to assemblies of the type system.
//!
//! The class library keeps in managed objects what a program defines. Here these are read ([`objects`]), what they refer to is
//! named in the type system's terms ([`references`]), and a metadata image is written ([`module`], [`bodies`], [`attributes`]) that
//! the type system then takes like any other assembly. So nothing behind it knows of builders.
//!
//! A dynamic method, and each type of a dynamic assembly, has an image of its own ([`dynamic_methods`], [`types`]): what it refers to
//! may be unfinished, and gets its meaning when it is used. To what exists already the image is bound by number, not by name.
//! [`releasing`] frees dynamic methods, [`resolving`] asks the program to finish what code needs.
//! [`files`] writes all types of a module into one image, for `AssemblyBuilder.Save`. [`signatures`] gives
//! programs the signatures that they describe. What must outlive a call: [`tokens`] knows the tokens that were given out, [`registry`] which builder a type
//! or assembly belongs to.

pub mod assemblies;
pub mod attributes;
pub mod bodies;
pub mod dynamic_methods;
pub mod files;
pub mod module;
pub mod objects;
pub mod references;
pub mod registry;
pub mod releasing;
pub mod resolving;
pub mod signatures;
pub mod tokens;
pub mod types;
