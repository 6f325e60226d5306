//! Makes a PE/CLI image from rows and heaps: the counterpart of [`crate::tables`] and [`crate::pe`] (ECMA-335 II.22, II.24, II.25).
//!
//! Whoever fills it decides what the rows say; this file knows only how they are stored. Tables that the standard wants sorted are
//! sorted here. Method bodies and signatures come as bytes ([`signatures`] and [`bodies`] help to make them).

pub mod bodies;
mod native_resources;
pub mod signatures;

pub use native_resources::NativeResource;

use rustc_hash::FxHashMap;

use crate::tables::{ALL_TABLES, CodedIndex, ColumnKind, MAX_COLUMNS, SCHEMA, TABLE_COUNT, TableId, Token};
use signatures::push_compressed;

/// Where the section with code and metadata lies in memory and in the file.
const SECTION_RVA: u32 = 0x2000;
const SECTION_OFFSET: u32 = 0x200;
const SECTION_ALIGNMENT: u32 = 0x2000;
const FILE_ALIGNMENT: u32 = 0x200;
const CLI_HEADER_SIZE: u32 = 72;
/// Address of the first method body.
const CODE_RVA: u32 = SECTION_RVA + CLI_HEADER_SIZE;
/// What most compilers write; Mono asks for it.
const RUNTIME_VERSION: &[u8; 12] = b"v4.0.30319\0\0";
/// The tables that must be sorted, by the column that they are sorted by and then by the one behind it (II.22).
const SORTED: [(TableId, usize); 14] = [
    (TableId::InterfaceImpl, 0),
    (TableId::Constant, 1),
    (TableId::CustomAttribute, 0),
    (TableId::FieldMarshal, 0),
    (TableId::DeclSecurity, 1),
    (TableId::ClassLayout, 2),
    (TableId::FieldLayout, 1),
    (TableId::MethodSemantics, 2),
    (TableId::MethodImpl, 0),
    (TableId::ImplMap, 1),
    (TableId::FieldRva, 1),
    (TableId::NestedClass, 0),
    (TableId::GenericParam, 2),
    (TableId::GenericParamConstraint, 0),
];

/// Cells of a row: numbers, heap indices, rows, and for coded indices tokens.
type Cells = [u32; MAX_COLUMNS];

/// What the file's headers say.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// MethodDef of the entry point, or null.
    pub entry_point: Token,
    /// A library.
    pub is_dll: bool,
    /// A program without a console.
    pub is_graphical: bool,
    /// See [`crate::pe::cli_flags`].
    pub flags: u32,
    /// Bytes to be left for the signature of a strong name.
    pub signature_bytes: u32,
}

impl Default for FileFacts {
    fn default() -> FileFacts {
        FileFacts {
            entry_point: Token::NULL,
            is_dll: true,
            is_graphical: false,
            flags: crate::pe::cli_flags::IL_ONLY,
            signature_bytes: 0,
        }
    }
}

/// A heap whose equal entries are stored once.
#[derive(Debug)]
struct Heap {
    bytes: Vec<u8>,
    known: FxHashMap<Box<[u8]>, u32>,
}

impl Heap {
    fn new() -> Heap {
        // Index 0 stands for nothing in all heaps of this kind.
        Heap { bytes: vec![0], known: FxHashMap::default() }
    }

    /// The index of an entry, whose stored form `store` writes.
    fn add(&mut self, entry: &[u8], store: impl FnOnce(&mut Vec<u8>)) -> u32 {
        if let Some(&index) = self.known.get(entry) {
            return index;
        }
        let index = self.bytes.len() as u32;
        store(&mut self.bytes);
        self.known.insert(entry.into(), index);
        index
    }
}

/// An image in the making.
#[derive(Debug)]
pub struct ImageWriter {
    tables: [Vec<Cells>; TABLE_COUNT],
    strings: Heap,
    blobs: Heap,
    user_strings: Heap,
    guids: Vec<u8>,
    code: Vec<u8>,
    resources: Vec<u8>,
    /// Resources of the operating system, which go to a section of their own.
    pub native_resources: Vec<NativeResource>,
    /// For the headers.
    pub facts: FileFacts,
}

impl ImageWriter {
    /// An image with one row in Module and nothing else.
    pub fn new(module_name: &str) -> ImageWriter {
        let mut writer = ImageWriter {
            tables: std::array::from_fn(|_| Vec::new()),
            strings: Heap::new(),
            blobs: Heap::new(),
            user_strings: Heap::new(),
            guids: Vec::new(),
            code: Vec::new(),
            resources: Vec::new(),
            native_resources: Vec::new(),
            facts: FileFacts::default(),
        };
        let name = writer.string(module_name);
        writer.add_row(TableId::Module, &[0, name]);
        writer
    }

    /// Sets the identity of this build.
    pub fn set_mvid(&mut self, mvid: [u8; 16]) {
        self.guids.extend(mvid);
        let index = self.guids.len() as u32 / 16;
        self.set_cell(TableId::Module, 1, 2, index);
    }

    /// Index of a string.
    pub fn string(&mut self, text: &str) -> u32 {
        // What follows a zero could not be read back.
        let text = text.split('\0').next().unwrap_or_default().as_bytes();
        if text.is_empty() {
            return 0;
        }
        self.strings.add(text, |bytes| {
            bytes.extend(text);
            bytes.push(0);
        })
    }

    /// Index of a blob.
    pub fn blob(&mut self, blob: &[u8]) -> u32 {
        if blob.is_empty() {
            return 0;
        }
        self.blobs.add(blob, |bytes| {
            push_compressed(bytes, blob.len() as u32);
            bytes.extend(blob);
        })
    }

    /// Token of a user string.
    pub fn user_string(&mut self, units: &[u16]) -> Token {
        let text: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        // The last byte tells whether a unit needs more care than ASCII (II.24.2.4).
        let is_plain = |unit: &u16| matches!(unit, 0x09..=0x0d | 0x20..=0x26 | 0x28..=0x2c | 0x2e..=0x7e);
        let index = self.user_strings.add(&text, |bytes| {
            push_compressed(bytes, text.len() as u32 + 1);
            bytes.extend(&text);
            bytes.push(u8::from(!units.iter().all(is_plain)));
        });
        Token(u32::from(Token::USER_STRING) << 24 | index)
    }

    /// Appends a row; missing cells are 0. Coded indices are given as tokens, rows of one table as numbers.
    pub fn add_row(&mut self, table: TableId, cells: &[u32]) -> u32 {
        let mut row = [0; MAX_COLUMNS];
        row[..cells.len()].copy_from_slice(cells);
        self.tables[table as usize].push(row);
        self.row_count(table)
    }

    /// Number of rows so far.
    pub fn row_count(&self, table: TableId) -> u32 {
        self.tables[table as usize].len() as u32
    }

    /// A cell of a row that exists.
    pub fn cell(&self, table: TableId, row: u32, column: usize) -> u32 {
        self.tables[table as usize][row as usize - 1][column]
    }

    /// Changes a cell of a row that exists.
    pub fn set_cell(&mut self, table: TableId, row: u32, column: usize, value: u32) {
        self.tables[table as usize][row as usize - 1][column] = value;
    }

    /// Address of a method body.
    pub fn add_body(&mut self, body: &[u8]) -> u32 {
        self.add_code(body, 4)
    }

    /// Address of a field's initial value.
    pub fn add_data(&mut self, data: &[u8]) -> u32 {
        self.add_code(data, 8)
    }

    fn add_code(&mut self, bytes: &[u8], alignment: usize) -> u32 {
        self.code.resize(self.code.len().next_multiple_of(alignment), 0);
        let rva = CODE_RVA + self.code.len() as u32;
        self.code.extend(bytes);
        rva
    }

    /// Offset of a resource in the image's resources.
    pub fn add_resource(&mut self, contents: &[u8]) -> u32 {
        self.resources.resize(self.resources.len().next_multiple_of(8), 0);
        let offset = self.resources.len() as u32;
        self.resources.extend((contents.len() as u32).to_le_bytes());
        self.resources.extend(contents);
        offset
    }

    /// The file.
    pub fn finish(mut self) -> Vec<u8> {
        self.sort_tables();
        let metadata = self.metadata();
        self.code.resize(self.code.len().next_multiple_of(8), 0);
        let resources_rva = CODE_RVA + self.code.len() as u32;
        self.resources.resize(self.resources.len().next_multiple_of(8), 0);
        let signature_rva = resources_rva + self.resources.len() as u32;
        let signature_bytes = self.facts.signature_bytes;
        let metadata_rva = signature_rva + signature_bytes.next_multiple_of(8);
        let section_size = metadata_rva + metadata.len() as u32 - SECTION_RVA;

        let native_rva = SECTION_RVA + section_size.next_multiple_of(SECTION_ALIGNMENT);
        let native_resources = match self.native_resources.as_slice() {
            [] => Vec::new(),
            resources => native_resources::encode(resources, native_rva),
        };
        let mut file = self.headers(section_size, native_resources.len() as u32);
        let resources = if self.resources.is_empty() { (0, 0) } else { (resources_rva, self.resources.len() as u32) };
        push_u32s(&mut file, &[CLI_HEADER_SIZE, 2 | 5 << 16, metadata_rva, metadata.len() as u32, self.facts.flags]);
        let signature = if signature_bytes == 0 { (0, 0) } else { (signature_rva, signature_bytes) };
        push_u32s(&mut file, &[self.facts.entry_point.0, resources.0, resources.1, signature.0, signature.1]);
        file.resize((SECTION_OFFSET + CLI_HEADER_SIZE) as usize, 0);
        file.extend(&self.code);
        file.extend(&self.resources);
        file.resize(file.len() + signature_bytes.next_multiple_of(8) as usize, 0);
        for part in [metadata, native_resources] {
            file.extend(part);
            file.resize(file.len().next_multiple_of(FILE_ALIGNMENT as usize), 0);
        }
        file
    }

    /// All that lies before the sections (II.25.2): that with code and metadata, and that of native resources unless it is empty.
    fn headers(&self, section_size: u32, native_size: u32) -> Vec<u8> {
        const EXECUTABLE: u16 = 0x0102;
        const DLL: u16 = 0x2000;
        const PE_OFFSET: u32 = 0x80;
        const DIRECTORIES: usize = 16;
        const RESOURCE_DIRECTORY: usize = 2;
        const CLI_DIRECTORY: usize = 14;
        let raw_size = section_size.next_multiple_of(FILE_ALIGNMENT);
        let native_rva = SECTION_RVA + section_size.next_multiple_of(SECTION_ALIGNMENT);
        let native_raw_size = native_size.next_multiple_of(FILE_ALIGNMENT);
        let image_size = native_rva + native_size.next_multiple_of(SECTION_ALIGNMENT);
        let section_count = if native_size == 0 { 1 } else { 2 };
        let mut file = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0\xb8\0\0\0\0\0\0\0\x40".to_vec();
        file.resize(0x3c, 0);
        push_u32s(&mut file, &[PE_OFFSET]);
        file.resize(PE_OFFSET as usize, 0);
        file.extend(b"PE\0\0");
        let characteristics = EXECUTABLE | if self.facts.is_dll { DLL } else { 0 };
        push_u16s(&mut file, &[0x14c, section_count, 0, 0, 0, 0, 0, 0, 0xe0, characteristics]);
        push_u16s(&mut file, &[0x10b, 0x30]);
        push_u32s(&mut file, &[raw_size, native_raw_size, 0, 0, SECTION_RVA, 0, 0x40_0000, SECTION_ALIGNMENT, FILE_ALIGNMENT]);
        push_u16s(&mut file, &[4, 0, 0, 0, 4, 0, 0, 0]);
        push_u32s(&mut file, &[image_size, SECTION_OFFSET, 0]);
        push_u16s(&mut file, &[if self.facts.is_graphical { 2 } else { 3 }, 0x8540]);
        push_u32s(&mut file, &[0x10_0000, 0x1000, 0x10_0000, 0x1000, 0, DIRECTORIES as u32]);
        let mut directories = [0; 2 * DIRECTORIES];
        directories[2 * CLI_DIRECTORY] = SECTION_RVA;
        directories[2 * CLI_DIRECTORY + 1] = CLI_HEADER_SIZE;
        if native_size != 0 {
            directories[2 * RESOURCE_DIRECTORY] = native_rva;
            directories[2 * RESOURCE_DIRECTORY + 1] = native_size;
        }
        push_u32s(&mut file, &directories);
        file.extend(b".text\0\0\0");
        push_u32s(&mut file, &[section_size, SECTION_RVA, raw_size, SECTION_OFFSET, 0, 0, 0, 0x6000_0020]);
        if native_size != 0 {
            let offset = SECTION_OFFSET + raw_size;
            file.extend(b".rsrc\0\0\0");
            push_u32s(&mut file, &[native_size, native_rva, native_raw_size, offset, 0, 0, 0, 0x4000_0040]);
        }
        file.resize(SECTION_OFFSET as usize, 0);
        file
    }

    fn sort_tables(&mut self) {
        for (table, column) in SORTED {
            let key = |row: &Cells| (stored(SCHEMA[table as usize][column], row[column]), row[0]);
            if table != TableId::GenericParam {
                self.tables[table as usize].sort_by_key(key);
                continue;
            }
            // Other tables name rows of this one.
            let rows = std::mem::take(&mut self.tables[table as usize]);
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by_key(|&index| key(&rows[index]));
            let mut new_rows = vec![0; rows.len() + 1];
            for (new, &old) in order.iter().enumerate() {
                new_rows[old + 1] = new as u32 + 1;
            }
            self.tables[table as usize] = order.iter().map(|&index| rows[index]).collect();
            for row in &mut self.tables[TableId::GenericParamConstraint as usize] {
                row[0] = new_rows[row[0] as usize];
            }
            for row in &mut self.tables[TableId::CustomAttribute as usize] {
                if let Some(old) = Token(row[0]).row_in(TableId::GenericParam) {
                    row[0] = Token::new(TableId::GenericParam, new_rows[old as usize]).0;
                }
            }
        }
        // The loop may have changed keys of a table that it had sorted already.
        let key = |row: &Cells| stored(ColumnKind::Coded(CodedIndex::HasCustomAttribute), row[0]);
        self.tables[TableId::CustomAttribute as usize].sort_by_key(key);
    }

    /// The metadata root with its streams (II.24.2).
    fn metadata(&mut self) -> Vec<u8> {
        let tables = self.tables_stream();
        let streams: [(&[u8], &[u8]); 5] = [
            (b"#~\0\0", &tables),
            (b"#Strings\0\0\0\0", &self.strings.bytes),
            (b"#US\0", &self.user_strings.bytes),
            (b"#GUID\0\0\0", &self.guids),
            (b"#Blob\0\0\0", &self.blobs.bytes),
        ];
        let mut root = b"BSJB\x01\0\x01\0\0\0\0\0".to_vec();
        push_u32s(&mut root, &[RUNTIME_VERSION.len() as u32]);
        root.extend(RUNTIME_VERSION);
        push_u16s(&mut root, &[0, streams.len() as u16]);
        let mut offset = root.len() + streams.iter().map(|(name, _)| 8 + name.len()).sum::<usize>();
        for (name, bytes) in streams {
            let size = bytes.len().next_multiple_of(4);
            push_u32s(&mut root, &[offset as u32, size as u32]);
            root.extend(name);
            offset += size;
        }
        for (_, bytes) in streams {
            root.extend(bytes);
            root.resize(root.len().next_multiple_of(4), 0);
        }
        root
    }

    /// The tables (II.24.2.6). All indices are stored in the narrowest width that the standard allows.
    fn tables_stream(&self) -> Vec<u8> {
        let wide = |size: usize, bit: u8| if size > 0xffff { bit } else { 0 };
        let heap_sizes = wide(self.strings.bytes.len(), 1) | wide(self.guids.len() / 16, 2) | wide(self.blobs.bytes.len(), 4);
        let row_counts: [u32; TABLE_COUNT] = std::array::from_fn(|number| self.tables[number].len() as u32);
        let present = ALL_TABLES.iter().filter(|&&table| row_counts[table as usize] != 0);
        let present = present.fold(0u64, |bits, &table| bits | 1 << table as u32);
        let sorted = SORTED.iter().fold(0u64, |bits, &(table, _)| bits | 1 << table as u32);
        let mut stream = vec![0, 0, 0, 0, 2, 0, heap_sizes, 1];
        stream.extend(present.to_le_bytes());
        stream.extend(sorted.to_le_bytes());
        row_counts.iter().filter(|&&count| count != 0).for_each(|count| stream.extend(count.to_le_bytes()));
        for (number, rows) in self.tables.iter().enumerate() {
            let columns = SCHEMA[number];
            let widths: Vec<u8> =
                columns.iter().map(|&kind| crate::tables::column_width(kind, heap_sizes, &row_counts)).collect();
            for row in rows {
                for ((&kind, &width), &cell) in columns.iter().zip(&widths).zip(row) {
                    let value = stored(kind, cell);
                    if width == 2 { stream.extend((value as u16).to_le_bytes()) } else { stream.extend(value.to_le_bytes()) }
                }
            }
        }
        stream
    }
}

/// A cell as it is stored: tokens become coded indices.
fn stored(kind: ColumnKind, cell: u32) -> u32 {
    let ColumnKind::Coded(family) = kind else { return cell };
    let token = Token(cell);
    let tag = family.tags().iter().position(|&number| number == token.table_number()).unwrap_or(0) as u32;
    if token.is_null() { 0 } else { token.row() << family.tag_bits() | tag }
}

fn push_u32s(bytes: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn push_u16s(bytes: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembly::Assembly;
    use crate::tables::{GenericParamRow, TypeDefRow};

    #[test]
    fn what_is_written_can_be_read() {
        let mut writer = ImageWriter::new("made.dll");
        writer.set_mvid([7; 16]);
        let names = [writer.string("<Module>"), writer.string("N"), writer.string("T"), writer.string("f")];
        writer.add_row(TableId::TypeDef, &[0, names[0], 0, 0, 1, 1]);
        writer.add_row(TableId::TypeDef, &[1, names[2], names[1], 0, 1, 1]);
        let rva = writer.add_body(&bodies::MethodCode { il: vec![0x2a], max_stack: 1, ..Default::default() }.encode());
        let signature = writer.blob(&[0, 0, 1]);
        writer.add_row(TableId::MethodDef, &[rva, 0, 0x16, names[3], signature, 1]);
        let owner = |table| Token::new(table, if table == TableId::TypeDef { 2 } else { 1 }).0;
        writer.add_row(TableId::GenericParam, &[0, 0, owner(TableId::TypeDef), names[2]]);
        writer.add_row(TableId::GenericParam, &[0, 0, owner(TableId::MethodDef), names[3]]);
        let text = writer.user_string(&[0x41]);

        let assembly = Assembly::from_bytes(writer.finish().into(), "made").unwrap();
        let metadata = assembly.metadata();
        assert_eq!((assembly.module_name(), assembly.mvid()), ("made.dll", [7; 16]));
        let row = assembly.find_type("N", "T").unwrap();
        assert_eq!(metadata.row::<TypeDefRow>(row).unwrap().flags, 1);
        assert_eq!(metadata.method_body(1).unwrap().unwrap().il, [0x2a]);
        assert_eq!(metadata.user_string(text.row()).unwrap(), [0x41, 0]);
        // Sorted by owner, the method's comes first.
        let params: Vec<_> = metadata.rows::<GenericParamRow>().map(|(_, row)| metadata.string(row.name)).collect();
        assert_eq!(params, ["f", "T"]);
    }
}
