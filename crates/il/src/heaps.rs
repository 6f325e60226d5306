//! The metadata heaps: strings, blobs, user strings and GUIDs (ECMA-335 II.24.2.3 to 5).

use std::ffi::CStr;

use crate::cursor::Cursor;
use crate::error::{Error, Result};

/// An offset into `#Strings`; 0 is the empty string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StringIndex(pub u32);

/// An offset into `#Blob`; 0 is the empty blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobIndex(pub u32);

/// A one-based index into `#GUID`; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuidIndex(pub u32);

impl StringIndex {
    /// Whether it stands for the empty string.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl BlobIndex {
    /// Whether it stands for the empty blob.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
}

/// The bytes of a string up to its zero. Index 0 is empty even if the heap is.
pub(crate) fn string(heap: &[u8], index: StringIndex) -> Result<&[u8]> {
    let start = index.0 as usize;
    // `CStr` searches a word at a time.
    match heap.get(start..).and_then(|rest| CStr::from_bytes_until_nul(rest).ok()) {
        Some(text) => Ok(text.to_bytes()),
        None if start == 0 => Ok(&[]),
        None => Err(Error::bad_image("index outside the string heap").with_offset(start)),
    }
}

/// The bytes of a blob behind its length. Index 0 is empty even if the heap is.
pub(crate) fn blob(heap: &[u8], index: u32) -> Result<&[u8]> {
    if index == 0 {
        return Ok(&[]);
    }
    let mut cursor = Cursor::at(heap, index as usize);
    let length = cursor.compressed_u32()?;
    cursor.take(length as usize)
}

/// The 16 bytes of a GUID.
pub(crate) fn guid(heap: &[u8], index: GuidIndex) -> Result<[u8; 16]> {
    let Some(number) = index.0.checked_sub(1) else {
        return Ok([0; 16]);
    };
    let start = (number as usize).saturating_mul(16);
    Cursor::at(heap, start).array()
}

/// The longest valid prefix of text that should be UTF-8.
pub(crate) fn valid_prefix(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}
