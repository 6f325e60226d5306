//! DWARF for debuggers and profilers: which source line each piece of code came from, and the names of methods.
//!
//! One compile unit stands for the assembly, with a subprogram for each method and one line program. The sections are not
//! loaded, and addresses in them are those of the file (its base is 0), so nothing needs relocation.

use crate::image::ObjectImage;
use gimli::write::{
    Address, AttributeValue, Dwarf, EndianVec, FileId, LineProgram, LineString, Sections, Unit, UnitEntryId, Writer as _,
};
use gimli::{Encoding, Format, LineEncoding, LittleEndian, constants};
use ir::instruction::SourceOffset;
use ir::mach::CodegenError;
use rustc_hash::FxHashMap;

/// The version of DWARF that is written.
const VERSION: u16 = 5;
const PRODUCER: &str = concat!("Saki ", env!("CARGO_PKG_VERSION"));
/// What gets the file name's place where a compiler left none.
const UNNAMED: &str = "unnamed";

/// Where code came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLines {
    /// Path of the assembly.
    pub unit: String,
    /// Paths of source files.
    pub files: Vec<String>,
    /// For each piece of code, in their order, its rows. A piece without source has none.
    pub pieces: Vec<Vec<SourceRow>>,
}

/// From an offset in the code on, to the next row's, instructions belong to a source line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceRow {
    /// Offset in the piece's code. Offsets rise.
    pub code_offset: u32,
    /// Number of the file.
    pub file: u32,
    /// Line, from 1; 0 if the code belongs to none.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

/// A section for the file.
pub(crate) struct DebugSection {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Holds strings that linkers may merge.
    pub(crate) has_strings: bool,
}

/// Rows from the table that the back end made, and from the sequence points of the method: (IL offset, file, line, column),
/// rising by IL offset. Code without an IL offset belongs to no line, but for what comes before the first: that belongs to
/// the method's beginning, where debuggers look for it.
pub fn source_rows(lines: &[(u32, SourceOffset)], points: &[(u32, u32, u32, u32)]) -> Vec<SourceRow> {
    let mut rows: Vec<SourceRow> = Vec::new();
    for &(code_offset, source) in lines {
        let after = match source {
            SourceOffset::UNKNOWN => 0,
            SourceOffset(il_offset) => points.partition_point(|point| point.0 <= il_offset),
        };
        let row = match after.checked_sub(1).map(|index| points[index]) {
            Some((_, file, line, column)) => SourceRow { code_offset, file, line, column },
            // Within a piece, file 0 stands for any.
            None => SourceRow { code_offset, file: rows.last().map_or(0, |last| last.file), line: 0, column: 0 },
        };
        let is_new = |last: &SourceRow| (last.file, last.line, last.column) != (row.file, row.line, row.column);
        if rows.last().is_none_or(is_new) {
            rows.push(row);
        }
    }
    // Rows that say nothing at all are no rows.
    if rows.iter().all(|row| row.line == 0) {
        return Vec::new();
    }
    let begins_late = rows.first().is_some_and(|first| first.code_offset > 0);
    if let Some(&(_, file, line, column)) = points.first().filter(|_| begins_late) {
        rows.insert(0, SourceRow { code_offset: 0, file, line, column });
    }
    rows
}

/// The debug sections of an image whose text starts at `text`; none if nothing is known of its source.
pub(crate) fn encode(image: &ObjectImage, text: u32, code_offsets: &[u32]) -> Result<Vec<DebugSection>, CodegenError> {
    let Some(lines) = &image.source_lines else { return Ok(Vec::new()) };
    let mut dwarf = Dwarf::new();
    let encoding = Encoding { format: Format::Dwarf32, version: VERSION, address_size: image.pointer_bytes() as u8 };
    let (folder, name) = split_path(&lines.unit);
    let line_string = |dwarf: &mut Dwarf, text: &str| LineString::new(text, encoding, &mut dwarf.line_strings);
    let (unit_folder, unit_name) = (line_string(&mut dwarf, &folder), line_string(&mut dwarf, &name));
    let mut program = LineProgram::new(encoding, LineEncoding::default(), unit_folder, None, unit_name, None);
    let mut files = FileNumbers { numbers: FxHashMap::default() };

    let unit_id = dwarf.units.add(Unit::new(encoding, LineProgram::none()));
    let root = dwarf.units.get(unit_id).root();
    let mut text_end = text;
    for ((piece, &offset), rows) in image.code.iter().zip(code_offsets).zip(&lines.pieces) {
        let start = text + offset;
        let length = piece.code.code_len;
        text_end = text_end.max(start + length);
        let rows: Vec<SourceRow> = rows.iter().filter(|row| row.code_offset < length).copied().collect();
        if let Some(first) = rows.first() {
            program.begin_sequence(Some(Address::Constant((start + first.code_offset).into())));
            for row in &rows {
                let file = files.number(&mut program, &mut dwarf, encoding, &lines.files, row.file);
                let out = program.row();
                out.address_offset = u64::from(row.code_offset.saturating_sub(first.code_offset));
                out.file = file;
                out.line = row.line.into();
                out.column = row.column.into();
                program.generate_row();
            }
            program.end_sequence(u64::from(length - first.code_offset));
        }
        if piece.key.is_some() {
            let name = AttributeValue::StringRef(dwarf.strings.add(without_zeros(&piece.name)));
            let unit = dwarf.units.get_mut(unit_id);
            let method = unit.add(root, constants::DW_TAG_subprogram);
            let place = rows.iter().find(|row| row.line != 0).copied();
            let file = place.and_then(|row| files.numbers.get(&row.file).copied());
            describe_range(unit, method, name, start, length);
            if let (Some(row), Some(file)) = (place, file) {
                let entry = unit.get_mut(method);
                entry.set(constants::DW_AT_decl_file, AttributeValue::FileIndex(Some(file)));
                entry.set(constants::DW_AT_decl_line, AttributeValue::Udata(row.line.into()));
            }
        }
    }

    let producer = AttributeValue::StringRef(dwarf.strings.add(PRODUCER));
    let name = AttributeValue::StringRef(dwarf.strings.add(name));
    let folder = AttributeValue::StringRef(dwarf.strings.add(folder));
    let unit = dwarf.units.get_mut(unit_id);
    unit.line_program = program;
    describe_range(unit, root, name, text, text_end - text);
    let entry = unit.get_mut(root);
    entry.set(constants::DW_AT_producer, producer);
    entry.set(constants::DW_AT_comp_dir, folder);
    entry.set(constants::DW_AT_stmt_list, AttributeValue::LineProgramRef);

    let mut sections = Sections::new(EndianVec::new(LittleEndian));
    let failed = |failure: gimli::write::Error| CodegenError { message: format!("writing DWARF: {failure}") };
    dwarf.write(&mut sections).map_err(failed)?;
    let mut written = Vec::new();
    sections.for_each_mut(|id, section| {
        if section.len() != 0 {
            let has_strings = matches!(id, gimli::SectionId::DebugStr | gimli::SectionId::DebugLineStr);
            written.push(DebugSection { name: id.name(), bytes: section.take(), has_strings });
        }
        Ok::<(), CodegenError>(())
    })?;
    Ok(written)
}

/// Gives an entry a name and a range of code.
fn describe_range(unit: &mut Unit, entry: UnitEntryId, name: AttributeValue, start: u32, length: u32) {
    let entry = unit.get_mut(entry);
    entry.set(constants::DW_AT_name, name);
    entry.set(constants::DW_AT_low_pc, AttributeValue::Address(Address::Constant(start.into())));
    entry.set(constants::DW_AT_high_pc, AttributeValue::Udata(length.into()));
}

/// Numbers that the line program gives to files, which get into it when first used.
struct FileNumbers {
    numbers: FxHashMap<u32, FileId>,
}

impl FileNumbers {
    fn number(
        &mut self,
        program: &mut LineProgram,
        dwarf: &mut Dwarf,
        encoding: Encoding,
        files: &[String],
        file: u32,
    ) -> FileId {
        *self.numbers.entry(file).or_insert_with(|| {
            let (folder, name) = split_path(files.get(file as usize).map_or("", String::as_str));
            let folder = program.add_directory(LineString::new(folder, encoding, &mut dwarf.line_strings));
            program.add_file(LineString::new(name, encoding, &mut dwarf.line_strings), folder, None)
        })
    }
}

/// Folder and name of a path, neither of them empty nor with a zero, as DWARF wants them.
fn split_path(path: &str) -> (String, String) {
    let path = without_zeros(path);
    let (folder, name) = match path.rfind(['/', '\\']) {
        Some(0) => path.split_at(1),
        Some(place) => (&path[..place], &path[place + 1..]),
        None => (".", path.as_str()),
    };
    (folder.to_owned(), if name.is_empty() { UNNAMED.to_owned() } else { name.to_owned() })
}

fn without_zeros(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_join_both_tables() {
        let lines = [
            (0, SourceOffset::UNKNOWN),
            (4, SourceOffset(0)),
            (9, SourceOffset(1)),
            (12, SourceOffset(7)),
            (20, SourceOffset(3)),
        ];
        let points = [(0, 2, 10, 5), (6, 2, 11, 5)];
        let row = |code_offset, file, line, column| SourceRow { code_offset, file, line, column };
        let expected = vec![row(0, 0, 0, 0), row(4, 2, 10, 5), row(12, 2, 11, 5), row(20, 2, 10, 5)];
        assert_eq!(source_rows(&lines, &points), expected);
        assert_eq!(source_rows(&lines[3..4], &points), [row(0, 2, 10, 5), row(12, 2, 11, 5)]);
        assert_eq!(source_rows(&lines, &[]), []);
        assert_eq!(source_rows(&lines, &[(100, 0, 1, 1)]), []);
    }

    #[test]
    fn paths_have_two_parts() {
        let parts = |path| {
            let (folder, name) = split_path(path);
            format!("{folder}|{name}")
        };
        assert_eq!(
            ["/a/b.cs", "/b.cs", "b.cs", "c:\\a\\b.cs", "", "/a/", "a\0/b"].map(parts),
            ["/a|b.cs", "/|b.cs", ".|b.cs", "c:\\a|b.cs", ".|unnamed", "/a|unnamed", "a|b"]
        );
    }
}
