//! Mono's symbol files, version 50.0: a header with a table of offsets, then sources and methods, each of them with a program
//! in the manner of DWARF that makes its line table.
//!
//! All numbers are little-endian; LEB128 ones are 7 bits a byte, at most 5 bytes, and negative ones are written as 32 bits.

use rustc_hash::FxHashMap;

use super::{SequencePoint, add_document};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::tables::{TableId, Token};

const MAGIC: u64 = 0x45e8_2623_fd7f_a614;
const VERSION: (u32, u32) = (50, 0);
/// Magic number, versions and the identity of the assembly.
const HEADER_BYTES: usize = 32;

/// Bit of a method's flags: columns follow its lines.
const HAS_COLUMNS: u32 = 1 << 1;

/// Opcodes of line programs (those of DWARF that are used, and one more).
mod opcode {
    pub const EXTENDED: u8 = 0;
    pub const COPY: u8 = 1;
    pub const ADVANCE_OFFSET: u8 = 2;
    pub const ADVANCE_LINE: u8 = 3;
    pub const SET_FILE: u8 = 4;
    pub const ADD_CONSTANT_OFFSET: u8 = 8;
    /// Extended: the end.
    pub const END_SEQUENCE: u8 = 1;
    /// Extended: the lines from here on are hidden, or shown again.
    pub const NEGATE_HIDDEN: u8 = 0x40;
}

/// A symbol file whose tables were checked.
#[derive(Debug)]
pub(super) struct MonoSymbols {
    bytes: Vec<u8>,
    program: ProgramForm,
    /// Offsets of a method's data and of its line program, by its row.
    methods: FxHashMap<u32, (u32, u32)>,
    /// Places in the list of documents, by source numbers.
    sources: FxHashMap<u32, u32>,
}

/// How special opcodes of the line programs are to be understood.
#[derive(Clone, Copy, Debug)]
struct ProgramForm {
    line_base: i32,
    line_range: u8,
    opcode_base: u8,
}

/// The MVID of the assembly that a file describes; `None` if it is no such file.
pub(super) fn identity(bytes: &[u8]) -> Option<[u8; 16]> {
    let mut cursor = Cursor::new(bytes);
    let fits = cursor.u64().ok()? == MAGIC && (cursor.u32().ok()?, cursor.u32().ok()?) == VERSION;
    if fits { cursor.array().ok() } else { None }
}

impl MonoSymbols {
    /// Reads the tables; gives the paths of sources too.
    pub(super) fn new(bytes: Vec<u8>) -> Result<(MonoSymbols, Vec<String>)> {
        if identity(&bytes).is_none() {
            return Err(Error::bad_image("not a Mono symbol file of version 50.0").with_offset(0));
        }
        let mut cursor = Cursor::at(&bytes, HEADER_BYTES);
        // Sizes of the file and its data section, then the table of compile units (their number, place and size).
        cursor.skip(4 * 6)?;
        let [source_count, source_table, _] = [cursor.u32()?, cursor.u32()?, cursor.u32()?];
        let [method_count, method_table, _] = [cursor.u32()?, cursor.u32()?, cursor.u32()?];
        // Types and scopes of anonymous methods.
        cursor.skip(4 * 4)?;
        let form_offset = cursor.position();
        let line_base = cursor.u32()? as i32;
        let (line_range, opcode_base) = (cursor.u32()?, cursor.u32()?);
        let program = match (u8::try_from(line_range), u8::try_from(opcode_base)) {
            (Ok(line_range @ 1..), Ok(opcode_base)) => ProgramForm { line_base, line_range, opcode_base },
            _ => return Err(Error::bad_image("invalid form of line programs").with_offset(form_offset)),
        };

        let mut documents = Vec::new();
        let mut name_bytes = 0;
        let mut sources = FxHashMap::default();
        let mut cursor = Cursor::at(&bytes, source_table as usize);
        for _ in 0..source_count {
            let (number, offset) = (cursor.u32()?, cursor.u32()?);
            let mut data = Cursor::at(&bytes, offset as usize);
            let length = leb128(&mut data)?;
            sources.insert(number, documents.len() as u32);
            let name = String::from_utf8_lossy(data.take(length as usize)?).into_owned();
            add_document(&mut documents, &mut name_bytes, name)?;
        }
        let mut methods = FxHashMap::default();
        let mut cursor = Cursor::at(&bytes, method_table as usize);
        for _ in 0..method_count {
            let (token, data, lines) = (Token(cursor.u32()?), cursor.u32()?, cursor.u32()?);
            if let Some(row) = token.row_in(TableId::MethodDef) {
                methods.insert(row, (data, lines));
            }
        }
        Ok((MonoSymbols { bytes, program, methods, sources }, documents))
    }

    pub(super) fn sequence_points(&self, method_row: u32) -> Result<Vec<SequencePoint>> {
        let Some(&(data, lines)) = self.methods.get(&method_row) else { return Ok(Vec::new()) };
        let mut cursor = Cursor::at(&self.bytes, data as usize);
        // Compile unit, local variables, namespace, blocks, variables of scopes, real name.
        for _ in 0..6 {
            leb128(&mut cursor)?;
        }
        let flags = leb128(&mut cursor)?;
        let mut cursor = Cursor::at(&self.bytes, lines as usize);
        let mut entries = self.run_program(&mut cursor)?;
        if flags & HAS_COLUMNS != 0 {
            for entry in &mut entries {
                entry.point.column = leb128(&mut cursor)?;
            }
        }
        Ok(entries.into_iter().filter(|entry| !entry.is_hidden).map(|entry| entry.point).collect())
    }

    fn run_program(&self, cursor: &mut Cursor<'_>) -> Result<Vec<Entry>> {
        let ProgramForm { line_base, line_range, opcode_base } = self.program;
        let mut entries = Vec::new();
        let (mut offset, mut line, mut source) = (0_u32, 1_u32, 1_u32);
        let (mut is_hidden, mut is_pending) = (false, false);
        loop {
            let code = cursor.u8()?;
            let mut adds_entry = false;
            match code {
                opcode::EXTENDED => {
                    let size = usize::from(cursor.u8()?);
                    let contents = cursor.take(size)?;
                    match contents.first() {
                        Some(&opcode::END_SEQUENCE) => {
                            if is_pending {
                                entries.push(self.entry(offset, line, source, is_hidden));
                            }
                            return Ok(entries);
                        }
                        Some(&opcode::NEGATE_HIDDEN) => is_hidden = !is_hidden,
                        Some(_) => {}
                        None => return Err(cursor.error("empty opcode of a line program")),
                    }
                }
                code if code >= opcode_base => {
                    let special = code - opcode_base;
                    offset = offset.wrapping_add(u32::from(special / line_range));
                    line = line.wrapping_add_signed(line_base.wrapping_add(i32::from(special % line_range)));
                    adds_entry = true;
                }
                opcode::COPY => adds_entry = true,
                opcode::ADVANCE_OFFSET => offset = offset.wrapping_add(leb128(cursor)?),
                opcode::ADVANCE_LINE => line = line.wrapping_add(leb128(cursor)?),
                opcode::SET_FILE => source = leb128(cursor)?,
                opcode::ADD_CONSTANT_OFFSET => offset = offset.wrapping_add(u32::from((u8::MAX - opcode_base) / line_range)),
                _ => return Err(cursor.error(format!("unknown opcode {code} of a line program"))),
            }
            if adds_entry {
                entries.push(self.entry(offset, line, source, is_hidden));
            }
            is_pending = !adds_entry;
        }
    }

    fn entry(&self, il_offset: u32, line: u32, source: u32, is_hidden: bool) -> Entry {
        // A source that is not there gets a number that no document has.
        let document = self.sources.get(&source).copied().unwrap_or(u32::MAX);
        Entry { point: SequencePoint { il_offset, document, line, column: 0 }, is_hidden }
    }
}

/// A row of a line table.
struct Entry {
    point: SequencePoint,
    is_hidden: bool,
}

fn leb128(cursor: &mut Cursor<'_>) -> Result<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = cursor.u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(cursor.error("number of more than 32 bits"))
}
