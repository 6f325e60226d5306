//! Source positions of methods, from the symbol files of assemblies. Only with the option `debug`: files are then opened at the
//! first trace that meets the assembly.

use crate::runtime;
use il::debug::SymbolFile;
use il::types::{AssemblyId, MethodId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The symbol files opened so far; `None` for assemblies without a usable one.
#[derive(Default)]
pub struct Symbols {
    files: Mutex<FxHashMap<AssemblyId, Option<Arc<SymbolFile>>>>,
}

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourcePosition {
    /// Path of the file as the compiler wrote it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

impl Symbols {
    /// Where the instruction at an IL offset of a method comes from, if that is wanted and known.
    pub fn position(&self, method: MethodId, il_offset: u32) -> Option<SourcePosition> {
        let runtime = runtime();
        if !runtime.options.debug {
            return None;
        }
        let method = runtime.types.method(method);
        let symbols = self.file(method.assembly)?;
        let point = symbols.find(method.row()?, il_offset)?;
        Some(SourcePosition { file: symbols.document(point.document).to_owned(), line: point.line, column: point.column })
    }

    fn file(&self, assembly: AssemblyId) -> Option<Arc<SymbolFile>> {
        // A broken symbol file is as good as none: a trace must not fail.
        let open = || SymbolFile::open_for(runtime().types.assembly(assembly)).ok().flatten().map(Arc::new);
        self.files.lock().entry(assembly).or_insert_with(open).clone()
    }
}
