//! The metadata of one image: its tables by row and its heaps (ECMA-335 II.22, II.24).
//!
//! Opening reads the row counts and computes where each table lies; rows are read when asked for. What a row refers to
//! need not exist: every access is checked.

mod lookup;
mod rows;
mod schema;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::heaps::{self, BlobIndex, GuidIndex, StringIndex};
use crate::pe::Image;

pub use rows::*;
pub use schema::{ALL_TABLES, CodedIndex, ColumnKind, MAX_COLUMNS, SCHEMA, TABLE_COUNT, TableId};

/// A table number in the high byte and a one-based row in the other three.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u32);

impl Token {
    /// Names nothing.
    pub const NULL: Token = Token(0);
    /// The high byte of a user string's token; its "row" is an offset into `#US`.
    pub const USER_STRING: u8 = 0x70;

    /// The token of a row. Bits of the row beyond 24 are lost; no table can have as many rows.
    pub const fn new(table: TableId, row: u32) -> Token {
        Token((table as u32) << 24 | row & 0xff_ffff)
    }

    /// The table, unless the token is of a user string or invalid.
    pub fn table(self) -> Option<TableId> {
        TableId::from_number(self.table_number())
    }

    /// The high byte.
    pub const fn table_number(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// The one-based row; 0 names nothing.
    pub const fn row(self) -> u32 {
        self.0 & 0xff_ffff
    }

    /// Whether it names nothing (in whatever table).
    pub const fn is_null(self) -> bool {
        self.row() == 0
    }

    /// The row, if it is one of this table.
    pub fn row_in(self, table: TableId) -> Option<u32> {
        (self.table_number() == table as u8 && !self.is_null()).then(|| self.row())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

/// A column of a table in one file: where in the row, how wide, and what it means.
#[derive(Clone, Copy, Debug)]
struct Column {
    offset: u8,
    /// 2 or 4.
    width: u8,
    kind: ColumnKind,
}

/// A table in one file.
#[derive(Clone, Copy, Debug)]
struct TableLayout {
    /// File offset of the first row.
    start: usize,
    row_count: u32,
    row_size: u32,
    /// The writer says that it is sorted by its key.
    is_sorted: bool,
    columns: [Column; MAX_COLUMNS],
}

/// The columns of one row, as [`Row::read`] sees them.
pub struct RowReader<'a> {
    bytes: &'a [u8],
    columns: &'a [Column; MAX_COLUMNS],
}

/// A Rust type that a column's value is read as.
pub trait Cell {
    /// Makes it from the raw value.
    fn from_raw(raw: u32, kind: ColumnKind) -> Self;
}

/// The metadata of one image. Cheap to open; immutable.
#[derive(Debug)]
pub struct Metadata {
    image: Image,
    tables: [TableLayout; TABLE_COUNT],
}

impl Cell for u16 {
    #[inline]
    fn from_raw(raw: u32, _: ColumnKind) -> Self {
        raw as u16
    }
}

impl Cell for u32 {
    #[inline]
    fn from_raw(raw: u32, _: ColumnKind) -> Self {
        raw
    }
}

impl Cell for StringIndex {
    #[inline]
    fn from_raw(raw: u32, _: ColumnKind) -> Self {
        StringIndex(raw)
    }
}

impl Cell for BlobIndex {
    #[inline]
    fn from_raw(raw: u32, _: ColumnKind) -> Self {
        BlobIndex(raw)
    }
}

impl Cell for GuidIndex {
    #[inline]
    fn from_raw(raw: u32, _: ColumnKind) -> Self {
        GuidIndex(raw)
    }
}

impl Cell for Token {
    /// A coded index with a tag that stands for no table gives a token whose `table()` is `None`.
    #[inline]
    fn from_raw(raw: u32, kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Coded(family) => {
                let bits = family.tag_bits();
                let tag = raw & ((1 << bits) - 1);
                let number = family.tags().get(tag as usize).copied().unwrap_or(u8::MAX);
                let row = raw >> bits;
                if row == 0 { Token::NULL } else { Token(u32::from(number) << 24 | row & 0xff_ffff) }
            }
            ColumnKind::Row(table) => Token::new(table, raw),
            _ => Token(raw),
        }
    }
}

impl RowReader<'_> {
    /// The value of a column.
    #[inline]
    pub fn cell<C: Cell>(&self, column: usize) -> C {
        let column = &self.columns[column];
        C::from_raw(read_cell(self.bytes, column), column.kind)
    }
}

/// Reads a column of a row's bytes. The bytes are as long as the row, so the fall-backs never apply.
#[inline]
fn read_cell(row: &[u8], column: &Column) -> u32 {
    let start = usize::from(column.offset);
    if column.width == 2 {
        row.get(start..start + 2).map_or(0, |bytes| u32::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    } else {
        row.get(start..start + 4).map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

impl Metadata {
    /// Lays out the tables of an image.
    pub fn new(image: Image) -> Result<Metadata> {
        let stream = image.streams().tables.clone();
        let tables = table_layouts(&image.bytes()[..stream.end], stream).map_err(|error| error.with_file(image.file()))?;
        Ok(Metadata { image, tables })
    }

    /// The file.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The file's path for messages.
    pub fn file(&self) -> &Arc<str> {
        self.image.file()
    }

    /// Number of rows of a table.
    #[inline]
    pub fn row_count(&self, table: TableId) -> u32 {
        self.tables[table as usize].row_count
    }

    /// All one-based row numbers of a table.
    pub fn row_numbers(&self, table: TableId) -> Range<u32> {
        1..self.row_count(table) + 1
    }

    /// Whether a token names an existing row.
    pub fn has_row(&self, token: Token) -> bool {
        token.table().is_some_and(|table| !token.is_null() && token.row() <= self.row_count(table))
    }

    /// Reads a row by its one-based number.
    #[inline]
    pub fn row<R: Row>(&self, row: u32) -> Result<R> {
        let layout = &self.tables[R::TABLE as usize];
        match self.row_bytes(layout, row) {
            Some(bytes) => Ok(R::read(&RowReader { bytes, columns: &layout.columns })),
            None => Err(self.no_such_row(Token::new(R::TABLE, row))),
        }
    }

    /// Reads the row that a token names; the token must be of the row type's table.
    pub fn row_of<R: Row>(&self, token: Token) -> Result<R> {
        match token.row_in(R::TABLE) {
            Some(row) => self.row(row),
            None => Err(self.no_such_row(token)),
        }
    }

    /// All rows of a table in order, with their one-based numbers.
    pub fn rows<R: Row>(&self) -> impl Iterator<Item = (u32, R)> {
        let layout = &self.tables[R::TABLE as usize];
        (1..layout.row_count + 1).filter_map(move |row| {
            let bytes = self.row_bytes(layout, row)?;
            Some((row, R::read(&RowReader { bytes, columns: &layout.columns })))
        })
    }

    /// The raw value of a column; `None` when there is no such row.
    #[inline]
    pub(crate) fn raw_cell(&self, table: TableId, row: u32, column: usize) -> Option<u32> {
        let layout = &self.tables[table as usize];
        self.row_bytes(layout, row).map(|bytes| read_cell(bytes, &layout.columns[column]))
    }

    #[inline]
    fn row_bytes(&self, layout: &TableLayout, row: u32) -> Option<&[u8]> {
        let index = row.wrapping_sub(1);
        if index >= layout.row_count {
            return None;
        }
        let start = layout.start + index as usize * layout.row_size as usize;
        self.image.bytes().get(start..start + layout.row_size as usize)
    }

    #[cold]
    fn no_such_row(&self, token: Token) -> Error {
        Error::bad_image("there is no such row").with_file(self.file()).with_token(token)
    }

    /// A string of the heap. Broken text is cut before its first invalid byte; an index outside the heap gives an empty one.
    pub fn string(&self, index: StringIndex) -> &str {
        heaps::valid_prefix(self.string_bytes(index))
    }

    /// The bytes of a string, empty for an index outside the heap.
    pub fn string_bytes(&self, index: StringIndex) -> &[u8] {
        heaps::string(self.heap(&self.image.streams().strings), index).unwrap_or_default()
    }

    /// Whether a string of the heap is this text. Cheaper than reading the string, whose length is unknown.
    pub fn string_is(&self, index: StringIndex, text: &str) -> bool {
        let heap = self.heap(&self.image.streams().strings);
        let rest = heap.get(index.0 as usize..).unwrap_or_default();
        match rest.strip_prefix(text.as_bytes()) {
            // A zero within the text would match two strings that follow each other.
            Some(after) => after.first().is_none_or(|byte| *byte == 0) && !text.as_bytes().contains(&0),
            None => false,
        }
    }

    /// A string of the heap; an error if the index or the text is invalid.
    pub fn checked_string(&self, index: StringIndex) -> Result<&str> {
        let bytes = heaps::string(self.heap(&self.image.streams().strings), index).map_err(|error| self.locate(error))?;
        std::str::from_utf8(bytes)
            .map_err(|_| Error::bad_image("string is not UTF-8").with_offset(index.0 as usize).with_file(self.file()))
    }

    /// A blob.
    pub fn blob(&self, index: BlobIndex) -> Result<&[u8]> {
        heaps::blob(self.heap(&self.image.streams().blobs), index.0).map_err(|error| self.locate(error))
    }

    /// The UTF-16 bytes (little-endian, possibly unpaired surrogates) of a user string by its offset in `#US`.
    pub fn user_string(&self, offset: u32) -> Result<&[u8]> {
        let blob = heaps::blob(self.heap(&self.image.streams().user_strings), offset).map_err(|error| self.locate(error))?;
        // The last byte tells whether the text needs care in comparisons; it is no part of it.
        Ok(&blob[..blob.len() & !1])
    }

    /// A GUID; index 0 gives zeros.
    pub fn guid(&self, index: GuidIndex) -> Result<[u8; 16]> {
        heaps::guid(self.heap(&self.image.streams().guids), index).map_err(|error| self.locate(error))
    }

    fn heap(&self, range: &Range<usize>) -> &[u8] {
        self.image.bytes().get(range.clone()).unwrap_or_default()
    }

    /// Adds the file to an error.
    pub fn locate(&self, error: Error) -> Error {
        error.with_file(self.file())
    }
}

/// Reads the header of the tables stream (II.24.2.6) and computes every table's place.
fn table_layouts(bytes: &[u8], stream: Range<usize>) -> Result<[TableLayout; TABLE_COUNT]> {
    if stream.is_empty() {
        return Err(Error::bad_image("no tables stream"));
    }
    let mut cursor = Cursor::at(bytes, stream.start);
    cursor.skip(6)?;
    let heap_sizes = cursor.u8()?;
    cursor.skip(1)?;
    let present = cursor.u64()?;
    let sorted = cursor.u64()?;
    if present >> TABLE_COUNT != 0 {
        return Err(cursor.error("unknown tables"));
    }
    let mut row_counts = [0_u32; TABLE_COUNT];
    for (number, row_count) in row_counts.iter_mut().enumerate() {
        if present >> number & 1 != 0 {
            *row_count = cursor.u32()?;
            if *row_count > 0xff_ffff {
                return Err(cursor.error("table has too many rows"));
            }
        }
    }
    // Bit 6 of the heap sizes: an extra word follows (edit-and-continue).
    if heap_sizes & 0x40 != 0 {
        cursor.skip(4)?;
    }

    let unused = Column { offset: 0, width: 4, kind: ColumnKind::U32 };
    let empty = TableLayout { start: 0, row_count: 0, row_size: 0, is_sorted: false, columns: [unused; MAX_COLUMNS] };
    let mut tables = [empty; TABLE_COUNT];
    let mut start = cursor.position();
    for (number, layout) in tables.iter_mut().enumerate() {
        let mut offset = 0;
        for (column, kind) in layout.columns.iter_mut().zip(SCHEMA[number]) {
            let width = column_width(*kind, heap_sizes, &row_counts);
            *column = Column { offset, width, kind: *kind };
            offset += width;
        }
        layout.start = start;
        layout.row_count = row_counts[number];
        layout.row_size = u32::from(offset);
        layout.is_sorted = sorted >> number & 1 != 0;
        let size = u64::from(layout.row_count) * u64::from(layout.row_size);
        if size > (bytes.len() - start) as u64 {
            return Err(Error::bad_image("table exceeds the tables stream")
                .with_token(Token::new(ALL_TABLES[number], layout.row_count))
                .with_offset(start));
        }
        start += size as usize;
    }
    Ok(tables)
}

/// Width of a column in bytes: 2 if every index fits into that.
pub(crate) fn column_width(kind: ColumnKind, heap_sizes: u8, row_counts: &[u32; TABLE_COUNT]) -> u8 {
    let is_wide = match kind {
        ColumnKind::U16 => false,
        ColumnKind::U32 => true,
        ColumnKind::String => heap_sizes & 1 != 0,
        ColumnKind::Guid => heap_sizes & 2 != 0,
        ColumnKind::Blob => heap_sizes & 4 != 0,
        ColumnKind::Row(table) => list_size(table, row_counts) > 0xffff,
        ColumnKind::Coded(family) => {
            let most = family.tags().iter().filter_map(|number| row_counts.get(usize::from(*number))).max();
            most.is_some_and(|most| *most >= 1 << (16 - family.tag_bits()))
        }
    };
    if is_wide { 4 } else { 2 }
}

/// What a row index into a table counts: with a pointer table, an index may be into that one.
fn list_size(table: TableId, row_counts: &[u32; TABLE_COUNT]) -> u32 {
    let rows = row_counts[table as usize];
    match lookup::pointer_table(table) {
        Some(pointers) => rows.max(row_counts[pointers as usize]),
        None => rows,
    }
}
