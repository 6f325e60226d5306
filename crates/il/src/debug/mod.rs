//! Symbol files: which source line an IL offset came from.
//!
//! Two formats: Mono's own ([`mdb`], beside the assembly as `NAME.exe.mdb`) and portable PDB ([`portable_pdb`], beside it as
//! `NAME.pdb` or embedded in it). Opening finds the file, checks that it belongs to the assembly and reads the names of
//! documents; the lines of a method are decoded when asked for. Knows the assembly only as a file with an identity.

mod mdb;
mod portable_pdb;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::assembly::Assembly;
use crate::error::{Error, ErrorKind, Result};
use mdb::MonoSymbols;
use portable_pdb::PortableSymbols;

/// Bytes of all documents' names together. A small broken file can ask for very many by repeating a long one.
const MAX_NAME_BYTES: usize = 16 << 20;

/// Kind of a debug directory entry that embeds portable symbols.
const EMBEDDED_SYMBOLS: u32 = 17;

/// The lines of one assembly's methods.
#[derive(Debug)]
pub struct SymbolFile {
    documents: Vec<String>,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Mono(MonoSymbols),
    Portable(PortableSymbols),
}

/// From an IL offset on (to the next point's), instructions belong to this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequencePoint {
    /// Offset in the method's IL, in bytes.
    pub il_offset: u32,
    /// Which source file, for [`SymbolFile::document`].
    pub document: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

impl SymbolFile {
    /// Finds the symbols of an assembly: embedded ones, then a portable PDB, then Mono's format. `None` if there are none, or
    /// only those of another build.
    ///
    /// # Errors
    /// If a file that should be the right one cannot be read or is broken.
    pub fn open_for(assembly: &Assembly) -> Result<Option<SymbolFile>> {
        if let Some(entry) = assembly.image().debug_entries().find(|entry| entry.kind == EMBEDDED_SYMBOLS) {
            let bytes = portable_pdb::decompress(entry.data).map_err(|error| error.with_file(assembly.file()))?;
            return SymbolFile::from_portable(bytes).map(Some).map_err(|error| error.with_file(assembly.file()));
        }
        let Some(path) = assembly.path() else { return Ok(None) };
        if let Some(view) = assembly.image().debug_entries().find_map(|entry| entry.code_view()) {
            let portable = path.with_extension("pdb");
            if let Some(bytes) = read(&portable)? {
                // A file of the Windows format is none that we could read.
                if portable_pdb::identity(&bytes).is_some_and(|identity| identity == view.guid) {
                    return SymbolFile::from_portable(bytes).map(Some).map_err(|error| located(error, &portable));
                }
            }
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".mdb");
        let mono = Path::new(&name);
        match read(mono)? {
            Some(bytes) if mdb::identity(&bytes).is_some_and(|identity| identity == assembly.mvid()) => {
                SymbolFile::from_mono(bytes).map(Some).map_err(|error| located(error, mono))
            }
            _ => Ok(None),
        }
    }

    fn from_portable(bytes: Vec<u8>) -> Result<SymbolFile> {
        let (symbols, documents) = PortableSymbols::new(bytes)?;
        Ok(SymbolFile { documents, format: Format::Portable(symbols) })
    }

    fn from_mono(bytes: Vec<u8>) -> Result<SymbolFile> {
        let (symbols, documents) = MonoSymbols::new(bytes)?;
        Ok(SymbolFile { documents, format: Format::Mono(symbols) })
    }

    /// The points of a method, by its row in MethodDef, in rising order of IL offsets. Those that compilers hide from users
    /// are left out. Empty for a method without source, or if what is said of it is broken.
    pub fn sequence_points(&self, method_row: u32) -> Vec<SequencePoint> {
        let points = match &self.format {
            Format::Mono(symbols) => symbols.sequence_points(method_row),
            Format::Portable(symbols) => symbols.sequence_points(method_row),
        };
        let mut points = points.unwrap_or_default();
        points.retain(|point| (point.document as usize) < self.documents.len());
        // Writers sort them already; a broken file must not break a caller's search.
        points.sort_by_key(|point| point.il_offset);
        points
    }

    /// The point that an IL offset of a method belongs to.
    pub fn find(&self, method_row: u32, il_offset: u32) -> Option<SequencePoint> {
        let points = self.sequence_points(method_row);
        let after = points.partition_point(|point| point.il_offset <= il_offset);
        points.get(after.checked_sub(1)?).copied()
    }

    /// Path of a source file as the compiler wrote it; empty for a number that no point has.
    pub fn document(&self, index: u32) -> &str {
        self.documents.get(index as usize).map_or("", String::as_str)
    }

    /// Paths of all source files, in the order of their numbers.
    pub fn documents(&self) -> &[String] {
        &self.documents
    }
}

/// Adds a document's name.
fn add_document(documents: &mut Vec<String>, total_bytes: &mut usize, name: String) -> Result<()> {
    *total_bytes = total_bytes.saturating_add(name.len());
    if *total_bytes > MAX_NAME_BYTES {
        return Err(Error::bad_image("the names of source files are too long"));
    }
    documents.push(name);
    Ok(())
}

/// A file's bytes, or `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(located(Error::new(ErrorKind::FileLoad, format!("cannot read the symbol file: {error}")), path)),
    }
}

fn located(error: Error, path: &Path) -> Error {
    error.with_file(&path.to_string_lossy().into())
}
