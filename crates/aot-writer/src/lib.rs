//! The AOT image: its format, the writer that makes an ELF shared object of it, and the reader that the loader uses.
//!
//! Knows no IL and no types: methods and cells come with keys that are just bytes here. Begin with [`image::ObjectImage`]
//! (what goes in) and [`elf::write`] (what comes out); [`reader`] is the way back; [`tables`] describes the format.

pub mod call_frame;
pub mod debug_lines;
pub mod debugger;
pub mod elf;
pub mod image;
pub mod info;
pub mod lines;
pub mod reader;
pub mod tables;
pub mod varint;
mod veneers;

pub use image::{CodePiece, Dependency, ImageIdentity, MethodKey, ObjectImage};
pub use reader::{Image, ImageError};
