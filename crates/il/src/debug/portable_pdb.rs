//! Portable PDB: metadata like an assembly's, with a stream `#Pdb` and tables of their own (Portable PDB v1.0, an addition to
//! ECMA-335 II.22). Read are the documents and the sequence points of methods.

use std::ops::Range;

use super::{MAX_NAME_BYTES, SequencePoint, add_document};
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::heaps;
use crate::pe::{self, Streams};

/// First bytes of embedded symbols, before the uncompressed length.
const EMBEDDED_MAGIC: &[u8] = b"MPDB";
/// More than this is no symbol file, whatever the length says.
const MAX_EMBEDDED_BYTES: usize = 1 << 30;

/// Numbers of the tables that are read; those of an assembly are below, all other symbol tables above.
const DOCUMENT: u32 = 0x30;
const METHOD_DEBUG_INFORMATION: u32 = 0x31;

/// A symbol file whose tables were checked.
#[derive(Debug)]
pub(super) struct PortableSymbols {
    bytes: Vec<u8>,
    blobs: Range<usize>,
    methods: MethodTable,
}

/// The table MethodDebugInformation: for the method of each row a document (0 for several) and a blob.
#[derive(Debug)]
struct MethodTable {
    start: usize,
    row_count: u32,
    document_width: usize,
    blob_width: usize,
}

/// The GUID by which a debug directory knows a file; `None` if it is no portable PDB.
pub(super) fn identity(bytes: &[u8]) -> Option<[u8; 16]> {
    let (_, streams) = pe::metadata_root(bytes, 0..bytes.len()).ok()?;
    Cursor::at(&bytes[..streams.symbols.end], streams.symbols.start).array().ok()
}

/// Unpacks an entry of the debug directory.
pub(super) fn decompress(data: &[u8]) -> Result<Vec<u8>> {
    let mut cursor = Cursor::new(data);
    if cursor.take(EMBEDDED_MAGIC.len())? != EMBEDDED_MAGIC {
        return Err(cursor.error("embedded symbols of an unknown form"));
    }
    let length = cursor.u32()? as usize;
    if length > MAX_EMBEDDED_BYTES {
        return Err(cursor.error("embedded symbols are too long"));
    }
    let packed = cursor.take(cursor.remaining())?;
    match miniz_oxide::inflate::decompress_to_vec_with_limit(packed, length) {
        Ok(bytes) if bytes.len() == length => Ok(bytes),
        _ => Err(Error::bad_image("embedded symbols cannot be unpacked")),
    }
}

impl PortableSymbols {
    /// Reads the tables; gives the paths of documents too.
    pub(super) fn new(bytes: Vec<u8>) -> Result<(PortableSymbols, Vec<String>)> {
        let (_, streams) = pe::metadata_root(&bytes, 0..bytes.len())?;
        let (documents, methods) = read_tables(&bytes, &streams)?;
        Ok((PortableSymbols { bytes, blobs: streams.blobs, methods }, documents))
    }

    pub(super) fn sequence_points(&self, method_row: u32) -> Result<Vec<SequencePoint>> {
        let table = &self.methods;
        let Some(index) = method_row.checked_sub(1).filter(|index| *index < table.row_count) else { return Ok(Vec::new()) };
        let row = table.start + index as usize * (table.document_width + table.blob_width);
        let mut cursor = Cursor::at(&self.bytes, row);
        let document = read_index(&mut cursor, table.document_width)?;
        let blob = read_index(&mut cursor, table.blob_width)?;
        decode_points(heaps::blob(&self.bytes[self.blobs.clone()], blob)?, document)
    }
}

/// Decodes a blob of sequence points; `document` is the row, or 0 if the blob says it itself.
fn decode_points(blob: &[u8], document: u32) -> Result<Vec<SequencePoint>> {
    let mut points = Vec::new();
    if blob.is_empty() {
        return Ok(points);
    }
    let mut cursor = Cursor::new(blob);
    let _local_signature = cursor.compressed_u32()?;
    let mut document = if document == 0 { cursor.compressed_u32()? } else { document };
    let mut il_offset = 0_u32;
    let mut start: Option<(u32, u32)> = None;
    let mut is_first = true;
    while !cursor.is_at_end() {
        let delta = cursor.compressed_u32()?;
        if delta == 0 && !is_first {
            document = cursor.compressed_u32()?;
            continue;
        }
        is_first = false;
        il_offset = il_offset.wrapping_add(delta);
        let lines = cursor.compressed_u32()?;
        let columns = if lines == 0 { cursor.compressed_u32()? as i32 } else { cursor.compressed_i32()? };
        if lines == 0 && columns == 0 {
            // A hidden point has no place.
            continue;
        }
        let (line, column) = match start {
            None => (cursor.compressed_u32()?, cursor.compressed_u32()?),
            Some((line, column)) => {
                (line.wrapping_add_signed(cursor.compressed_i32()?), column.wrapping_add_signed(cursor.compressed_i32()?))
            }
        };
        start = Some((line, column));
        points.push(SequencePoint { il_offset, document: document.wrapping_sub(1), line, column });
    }
    Ok(points)
}

/// Reads the header of the tables stream (ECMA-335 II.24.2.6) and the table of documents.
fn read_tables(bytes: &[u8], streams: &Streams) -> Result<(Vec<String>, MethodTable)> {
    if streams.symbols.is_empty() || streams.tables.is_empty() {
        return Err(Error::bad_image("not a portable PDB").with_offset(0));
    }
    let mut cursor = Cursor::at(&bytes[..streams.tables.end], streams.tables.start);
    cursor.skip(6)?;
    let heap_sizes = cursor.u8()?;
    cursor.skip(1)?;
    let present = cursor.u64()?;
    cursor.skip(8)?;
    if present & ((1 << DOCUMENT) - 1) != 0 {
        return Err(cursor.error("a symbol file has tables of an assembly"));
    }
    let (mut document_count, mut method_count) = (0, 0);
    for table in (DOCUMENT..u64::BITS).filter(|table| present >> table & 1 != 0) {
        let rows = cursor.u32()?;
        match table {
            DOCUMENT => document_count = rows,
            METHOD_DEBUG_INFORMATION => method_count = rows,
            _ => {}
        }
    }
    let width = |is_wide: bool| if is_wide { 4 } else { 2 };
    let guid_width = width(heap_sizes & 2 != 0);
    let blob_width = width(heap_sizes & 4 != 0);
    let blobs = &bytes[streams.blobs.clone()];
    let mut documents = Vec::new();
    let mut name_bytes = 0;
    for _ in 0..document_count {
        let name = read_index(&mut cursor, blob_width)?;
        // Hash algorithm, hash, language.
        cursor.skip(guid_width + blob_width + guid_width)?;
        add_document(&mut documents, &mut name_bytes, document_name(blobs, name)?)?;
    }
    let methods = MethodTable {
        start: cursor.position(),
        row_count: method_count,
        document_width: width(document_count > 0xffff),
        blob_width,
    };
    let row_size = methods.document_width + methods.blob_width;
    cursor.skip((method_count as usize).saturating_mul(row_size))?;
    Ok((documents, methods))
}

/// A name is a separator and the parts between, each a blob.
fn document_name(blobs: &[u8], index: u32) -> Result<String> {
    let parts = heaps::blob(blobs, index)?;
    let Some(&first) = parts.first() else { return Ok(String::new()) };
    // The separator is one character of UTF-8, or 0 for none.
    let separator_length = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    let mut cursor = Cursor::new(parts);
    let separator = String::from_utf8_lossy(cursor.take(separator_length)?).into_owned();
    let mut name = String::new();
    let mut is_first = true;
    while !cursor.is_at_end() {
        if !is_first && first != 0 {
            name.push_str(&separator);
        }
        is_first = false;
        name.push_str(&String::from_utf8_lossy(heaps::blob(blobs, cursor.compressed_u32()?)?));
        if name.len() > MAX_NAME_BYTES {
            return Err(cursor.error("the name of a source file is too long"));
        }
    }
    Ok(name)
}

fn read_index(cursor: &mut Cursor<'_>, width: usize) -> Result<u32> {
    if width == 2 { cursor.u16().map(u32::from) } else { cursor.u32() }
}
