//! Source lines of compiled code, from the symbol files of the assemblies that it comes from.

use aot_writer::debug_lines::{SourceLines, SourceRow, source_rows};
use compiler::ahead::AheadPiece;
use il::debug::SymbolFile;
use il::types::{AssemblyId, TypeSystem};
use ir::inline_sites::outermost;
use std::collections::HashMap;

/// The lines of all pieces, in their order; nothing if the assembly has no symbol file.
pub fn source_lines(types: &TypeSystem, assembly: AssemblyId, pieces: &[AheadPiece]) -> Option<SourceLines> {
    let own = open(types, assembly)?;
    let mut collector =
        Collector { types, symbols: HashMap::from([(assembly, Some(own))]), numbers: HashMap::new(), files: Vec::new() };
    let pieces = pieces.iter().map(|piece| collector.rows(piece)).collect();
    Some(SourceLines { unit: types.assembly(assembly).file().to_string(), files: collector.files, pieces })
}

/// An assembly's symbols. Code does not need them, so what is wrong with them is said, and that is all.
fn open(types: &TypeSystem, assembly: AssemblyId) -> Option<SymbolFile> {
    SymbolFile::open_for(types.assembly(assembly)).unwrap_or_else(|error| {
        eprintln!("AOT : no source lines: {error}");
        None
    })
}

struct Collector<'a> {
    types: &'a TypeSystem,
    symbols: HashMap<AssemblyId, Option<SymbolFile>>,
    /// Numbers of files, by the number of the document in its assembly.
    numbers: HashMap<(AssemblyId, u32), u32>,
    files: Vec<String>,
}

impl Collector<'_> {
    fn rows(&mut self, piece: &AheadPiece) -> Vec<SourceRow> {
        let Some((assembly, row)) = piece.origin else { return Vec::new() };
        let symbols = self.symbols.entry(assembly).or_insert_with(|| open(self.types, assembly));
        let Some(symbols) = symbols else { return Vec::new() };
        let mut points = Vec::new();
        for point in symbols.sequence_points(row) {
            let file = *self.numbers.entry((assembly, point.document)).or_insert_with(|| {
                self.files.push(symbols.document(point.document).to_owned());
                self.files.len() as u32 - 1
            });
            points.push((point.il_offset, file, point.line, point.column));
        }
        // What was inlined belongs to the line of its call.
        let own = piece.code.lines.iter().map(|&(offset, source)| (offset, outermost(&piece.inline_sites, source)));
        source_rows(&own.collect::<Vec<_>>(), &points)
    }
}
