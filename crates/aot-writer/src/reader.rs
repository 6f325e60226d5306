//! Reading an image back: checks everything before it is trusted, and every access.

use crate::elf::{BUILD_ID_BYTES, find_notes};
use crate::image::Dependency;
use crate::tables::{
    DEFINITION, FIELD_COUNT, Field, HEADER_BYTES, INSTANCE, MAGIC, METHOD_ENTRY, STUB, decode_code_length, decode_info,
    instance_hash,
};
use crate::varint::Cursor;
use ir::mach::CompiledCode;
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// Why an image cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageError {
    /// What is wrong, without the file's name.
    pub message: String,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ImageError {}

fn bad(message: impl Into<String>) -> ImageError {
    ImageError { message: message.into() }
}

/// A method in an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MethodEntry {
    /// Its number.
    pub index: u32,
    /// Offset of its code in the text.
    pub code_offset: u32,
    /// Length of its instructions.
    pub code_length: u32,
    /// Whether it is a method and not a stub.
    pub is_method: bool,
    info: u32,
    kind: u32,
}

/// The key of a method in an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKey<'a> {
    /// Row of a method of the assembly that is no generic instance.
    Definition(u32),
    /// Description of any other.
    Instance(&'a [u8]),
}

/// The section `.saki` of a file that passed all checks.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    section: &'a [u8],
    header: [u32; FIELD_COUNT],
}

/// Checks a whole file: that it is an image, complete and unchanged since it was written. Gives its section.
pub fn open(file: &[u8]) -> Result<Image<'_>, ImageError> {
    let notes = find_notes(file).ok_or_else(|| bad("not an AOT image of Saki"))?;
    let mut hash = Xxh3::new();
    let after = notes.build_id + BUILD_ID_BYTES;
    hash.update(&file[..notes.build_id]);
    hash.update(&[0; BUILD_ID_BYTES]);
    hash.update(&file[after..]);
    if hash.digest128().to_le_bytes() != file[notes.build_id..after] {
        return Err(bad("damaged: the content does not match its build-id"));
    }
    let section = file.get(notes.section..notes.section + notes.section_length).ok_or_else(|| bad("truncated"))?;
    Image::from_section(section)
}

impl<'a> Image<'a> {
    /// The image of a section.
    pub fn from_section(section: &'a [u8]) -> Result<Image<'a>, ImageError> {
        if section.len() < HEADER_BYTES || section[..MAGIC.len()] != MAGIC {
            return Err(bad("the section .saki has no header"));
        }
        let mut header = [0; FIELD_COUNT];
        for (index, number) in header.iter_mut().enumerate() {
            *number = read_u32(section, MAGIC.len() + 4 * index).ok_or_else(|| bad("the header is cut"))?;
        }
        Ok(Image { section, header })
    }
    /// A number of the header.
    pub fn field(&self, field: Field) -> u32 {
        self.header[field as usize]
    }
    /// CPU features that the code uses.
    pub fn cpu_features(&self) -> u64 {
        u64::from(self.field(Field::FeaturesHigh)) << 32 | u64::from(self.field(Field::FeaturesLow))
    }
    /// Fingerprint of the ABI.
    pub fn abi(&self) -> u64 {
        u64::from(self.field(Field::AbiHigh)) << 32 | u64::from(self.field(Field::AbiLow))
    }
    /// Hash of the assembly, options, and dependencies.
    pub fn identity(&self) -> Option<(u128, &'a str, Vec<Dependency>)> {
        let bytes = self.slice(self.field(Field::Identity), self.field(Field::IdentityLength))?;
        let (assembly, rest) = bytes.split_first_chunk::<16>()?;
        let mut cursor = Cursor::new(rest);
        let options = std::str::from_utf8(cursor.bytes()?).ok()?;
        let mut dependencies = Vec::new();
        for _ in 0..cursor.unsigned()? {
            let name = std::str::from_utf8(cursor.bytes()?).ok()?.to_owned();
            let (content, rest) = cursor.rest().split_first_chunk::<16>()?;
            dependencies.push(Dependency { name, content: u128::from_le_bytes(*content) });
            cursor = Cursor::new(rest);
        }
        Some((u128::from_le_bytes(*assembly), options, dependencies))
    }
    /// The method of a MethodDef row.
    pub fn definition(&self, row: u32) -> Option<MethodEntry> {
        if row == 0 || row > self.field(Field::DefinitionCount) {
            return None;
        }
        let number = read_u32(self.section, self.field(Field::Definitions) as usize + 4 * (row as usize - 1))?;
        self.method(number.checked_sub(1)?)
    }
    /// The method of an instance's key.
    pub fn instance(&self, key: &[u8]) -> Option<MethodEntry> {
        let table = self.field(Field::Instances) as usize;
        let count = read_u32(self.section, table)? as usize;
        let entry = |index: usize, word: usize| read_u32(self.section, table + 4 + 12 * index + 4 * word);
        let hash = instance_hash(key);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = (low + high) / 2;
            match entry(middle, 0)? < hash {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        while low < count && entry(low, 0)? == hash {
            let blobs = self.slice(self.field(Field::Blobs), self.field(Field::BlobsLength))?;
            let stored = Cursor::new(blobs.get(entry(low, 2)? as usize..)?).bytes()?;
            if stored == key {
                return self.method(entry(low, 1)?);
            }
            low += 1;
        }
        None
    }
    /// The method with a number.
    pub fn method(&self, index: u32) -> Option<MethodEntry> {
        if index >= self.field(Field::MethodCount) {
            return None;
        }
        let offset = self.field(Field::Methods) as usize + METHOD_ENTRY * index as usize;
        let word = |number: usize| read_u32(self.section, offset + 4 * number);
        Some(MethodEntry {
            index,
            code_offset: word(0)?,
            code_length: decode_code_length(self.infos()?.get(word(1)? as usize..)?)?,
            info: word(1)?,
            is_method: word(2)? & 3 != STUB,
            kind: word(2)?,
        })
    }
    /// Which method an entry is; stubs are none.
    pub fn key(&self, method: MethodEntry) -> Option<EntryKey<'a>> {
        match method.kind & 3 {
            DEFINITION => Some(EntryKey::Definition(method.kind >> 2)),
            INSTANCE => {
                let blobs = self.slice(self.field(Field::Blobs), self.field(Field::BlobsLength))?;
                Cursor::new(blobs.get((method.kind >> 2) as usize..)?).bytes().map(EntryKey::Instance)
            }
            _ => None,
        }
    }
    /// The method or stub whose code contains an offset into the text.
    pub fn method_at(&self, code_offset: u32) -> Option<MethodEntry> {
        let (mut low, mut high) = (0, self.field(Field::MethodCount));
        while low < high {
            let middle = low + (high - low) / 2;
            let start = read_u32(self.section, self.field(Field::Methods) as usize + METHOD_ENTRY * middle as usize)?;
            match start <= code_offset {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let entry = self.method(low.checked_sub(1)?)?;
        (code_offset - entry.code_offset <= entry.code_length).then_some(entry)
    }
    /// What the unwinder needs of a method, and its clauses.
    pub fn info(&self, method: MethodEntry) -> Option<(CompiledCode, &'a [u8])> {
        decode_info(self.infos()?.get(method.info as usize..)?)
    }
    /// What a cell asks for; the helpers' cells do not count.
    pub fn cell(&self, index: u32) -> Option<&'a [u8]> {
        if index >= self.field(Field::CellCount) {
            return None;
        }
        let table = self.field(Field::Cells) as usize;
        let start = read_u32(self.section, table + 4 * index as usize)?;
        let end = read_u32(self.section, table + 4 * index as usize + 4)?;
        let blobs = self.slice(self.field(Field::Blobs), self.field(Field::BlobsLength))?;
        blobs.get(start as usize..end as usize)
    }
    /// The caller's extra bytes.
    pub fn extra(&self) -> &'a [u8] {
        self.slice(self.field(Field::Extra), self.field(Field::ExtraLength)).unwrap_or_default()
    }

    fn infos(&self) -> Option<&'a [u8]> {
        self.slice(self.field(Field::Infos), self.field(Field::InfosLength))
    }

    fn slice(&self, offset: u32, length: u32) -> Option<&'a [u8]> {
        let start = offset as usize;
        self.section.get(start..start.checked_add(length as usize)?)
    }
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}
