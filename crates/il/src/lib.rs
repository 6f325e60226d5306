//! Reader of PE/CLI assemblies and the type system over them.
//!
//! The metadata half goes from bytes to rows, signatures and instructions, and knows no types:
//! [`pe`] finds the parts of a file, [`heaps`] and [`tables`] read its metadata, [`signature`], [`attributes`],
//! [`method_body`] and [`instruction`] decode what rows point to, [`assembly`] puts a file's parts together and
//! [`resolve`] finds files by assembly name; [`debug`] reads symbol files and [`version_info`] version resources; [`writer`] makes an image from rows. The other half, [`types`], builds types on top.
//!
//! Nothing here knows an instruction set. No input, however broken, may cause a panic: all lengths and indices are
//! checked and lead to an [`Error`].

pub mod assembly;
pub mod attributes;
pub mod binding;
mod cursor;
pub mod debug;
pub mod error;
pub mod heaps;
pub mod instruction;
pub mod method_body;
pub mod pe;
pub mod resolve;
pub mod signature;
pub mod tables;
pub mod types;
pub mod version_info;
pub mod writer;

pub use assembly::{Assembly, AssemblyName, DisplayName, ProcessorArchitecture, Version};
pub use error::{Error, ErrorKind, Result};
pub use resolve::AssemblyResolver;
pub use tables::{Metadata, TableId, Token};
