//! Reading an image back: checks everything before it is trusted, and every access.

use crate::elf::{BUILD_ID_BYTES, find_notes};
use crate::image::Dependency;
use crate::info::{CodeInfo, decode_code_length, decode_frame, decode_info, is_interruptible};
use crate::tables::{DEFINITION, FIELD_COUNT, Field, GROUP, GROUP_ENTRY, HEADER_BYTES, INSTANCE, MAGIC, STUB, instance_hash};
use crate::varint::Cursor;
use ir::mach::FrameInfo;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::ops::Range;
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
    /// Distance to the next piece of code.
    span: u32,
    /// Offset of the info in methods.
    info: u32,
    /// [`STUB`], [`DEFINITION`] or [`INSTANCE`].
    kind: u32,
    /// Row of a definition, or the number of bytes of an instance's key, which lie before the info.
    key: u32,
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

/// Bytes of a file that are hashed at a time.
const CHUNK: usize = 1 << 16;

/// Reads a whole file and checks that it is an image, complete and unchanged since it was written. Through a buffer: a mapping would
/// keep all of the file in memory.
pub fn verify(mut file: impl Read) -> Result<(), ImageError> {
    let mut buffer = vec![0; CHUNK];
    let mut fill = |buffer: &mut [u8]| {
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(bad(error.to_string())),
            }
        }
        Ok(filled)
    };
    let mut filled = fill(&mut buffer)?;
    let notes = find_notes(&buffer[..filled]).ok_or_else(|| bad("not an AOT image of Saki"))?;
    let mut expected = [0; BUILD_ID_BYTES];
    let id = &mut buffer[notes.build_id..notes.build_id + BUILD_ID_BYTES];
    expected.copy_from_slice(id);
    id.fill(0);
    let mut hash = Xxh3::new();
    while filled != 0 {
        hash.update(&buffer[..filled]);
        filled = fill(&mut buffer)?;
    }
    if hash.digest128().to_le_bytes() != expected {
        return Err(bad("damaged: the content does not match its build-id"));
    }
    Ok(())
}

/// Checks a whole file as [`verify`] does and gives its section.
pub fn open(file: &[u8]) -> Result<Image<'_>, ImageError> {
    verify(file)?;
    let notes = find_notes(file).ok_or_else(|| bad("not an AOT image of Saki"))?;
    let end = notes.section.checked_add(notes.section_length);
    let section = end.and_then(|end| file.get(notes.section..end)).ok_or_else(|| bad("truncated"))?;
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
        let group = self.last_group(2, |row_before| row_before < row)?;
        let entry = self.group(group)?.find(|entry| entry.kind == DEFINITION && entry.key >= row)?;
        (entry.key == row).then_some(entry)
    }
    /// The method of an instance's key.
    pub fn instance(&self, key: &[u8]) -> Option<MethodEntry> {
        let table = self.field(Field::Instances) as usize;
        let count = self.word(table, 0)? as usize;
        // Behind the count, two words each.
        let entry = |index: usize, word: usize| self.word(table, index.checked_mul(2)?.checked_add(1 + word)?);
        let hash = instance_hash(key);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            match entry(middle, 0)? < hash {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        while low < count && entry(low, 0)? == hash {
            let method = self.method(entry(low, 1)?)?;
            if self.key(method) == Some(EntryKey::Instance(key)) {
                return Some(method);
            }
            low += 1;
        }
        None
    }
    /// The method with a number.
    pub fn method(&self, index: u32) -> Option<MethodEntry> {
        self.group(index / GROUP)?.nth((index % GROUP) as usize)
    }
    /// Which method an entry is; stubs are none.
    pub fn key(&self, method: MethodEntry) -> Option<EntryKey<'a>> {
        match method.kind {
            DEFINITION => Some(EntryKey::Definition(method.key)),
            INSTANCE => {
                let start = method.info.checked_sub(method.key)? as usize;
                self.methods()?.get(start..method.info as usize).map(EntryKey::Instance)
            }
            _ => None,
        }
    }
    /// The method or stub whose code contains an offset into the text.
    pub fn method_at(&self, code_offset: u32) -> Option<MethodEntry> {
        let group = self.last_group(0, |start| start <= code_offset)?;
        let entry = self.group(group)?.take_while(|entry| entry.code_offset <= code_offset).last()?;
        (code_offset - entry.code_offset <= entry.code_length).then_some(entry)
    }
    /// What the unwinder needs of a method.
    pub fn info(&self, method: MethodEntry) -> Option<CodeInfo<'a>> {
        decode_info(self.methods()?.get(method.info as usize..)?, method.span, |number| self.frame(number))
    }
    /// Whether the collector may stop a thread at an offset into the text. Takes no memory.
    pub fn is_interruptible(&self, method: MethodEntry, code_offset: u32) -> bool {
        let info = self.methods().and_then(|methods| methods.get(method.info as usize..));
        let offset = code_offset - method.code_offset;
        method.is_method && info.and_then(|info| is_interruptible(info, offset)).unwrap_or(false)
    }
    /// What a cell asks for; the helpers' cells do not count.
    pub fn cell(&self, index: u32) -> Option<&'a [u8]> {
        if index >= self.field(Field::CellCount) {
            return None;
        }
        let table = self.field(Field::Cells) as usize;
        let start = self.word(table, index as usize)?;
        let end = self.word(table, (index as usize).checked_add(1)?)?;
        let blobs = self.slice(self.field(Field::Blobs), self.field(Field::BlobsLength))?;
        blobs.get(start as usize..end as usize)
    }
    /// Description of a method that inline sites name by this number. Those that many sites name come first.
    pub fn inlined_method(&self, number: u32) -> Option<&'a [u8]> {
        let mut cursor = Cursor::new(self.slice(self.field(Field::Inlined), self.field(Field::InlinedLength))?);
        for _ in 0..number {
            cursor.bytes()?;
        }
        cursor.bytes()
    }
    /// The caller's extra bytes.
    pub fn extra(&self) -> &'a [u8] {
        self.slice(self.field(Field::Extra), self.field(Field::ExtraLength)).unwrap_or_default()
    }

    fn methods(&self) -> Option<&'a [u8]> {
        self.slice(self.field(Field::Methods), self.field(Field::MethodsLength))
    }

    /// A number of a group's entry.
    fn group_word(&self, group: u32, word: usize) -> Option<u32> {
        let words = (group as usize).checked_mul(GROUP_ENTRY / 4)?.checked_add(word)?;
        self.word(self.field(Field::Groups) as usize, words)
    }

    /// A word of a table.
    fn word(&self, table: usize, index: usize) -> Option<u32> {
        read_u32(self.section, table.checked_add(index.checked_mul(4)?)?)
    }

    /// The last group whose number at `word`, which rises from group to group, is as wanted.
    fn last_group(&self, word: usize, is_wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut low, mut high) = (0, self.field(Field::MethodCount).div_ceil(GROUP));
        while low < high {
            let middle = low + (high - low) / 2;
            match is_wanted(self.group_word(middle, word)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.checked_sub(1)
    }

    /// The methods of a group, as far as they can be read.
    fn group(&self, group: u32) -> Option<GroupEntries<'a>> {
        let first = group.checked_mul(GROUP)?;
        Some(GroupEntries {
            methods: self.methods()?,
            code_offset: self.group_word(group, 0)?,
            position: self.group_word(group, 1)?,
            row: self.group_word(group, 2)?,
            indices: first..first.saturating_add(GROUP).min(self.field(Field::MethodCount)),
        })
    }

    fn frame(&self, number: u32) -> Option<FrameInfo> {
        let table = self.field(Field::Frames) as usize;
        let (count, number) = (self.word(table, 0)? as usize, number as usize);
        if number >= count {
            return None;
        }
        let frames = table.checked_add(count.checked_add(2)?.checked_mul(4)?)?;
        let end = frames.checked_add(self.word(table, number + 2)? as usize)?;
        decode_frame(self.section.get(frames.checked_add(self.word(table, number + 1)? as usize)?..end)?)
    }

    fn slice(&self, offset: u32, length: u32) -> Option<&'a [u8]> {
        let start = offset as usize;
        self.section.get(start..start.checked_add(length as usize)?)
    }
}

/// Reads the methods of a group one after the other.
struct GroupEntries<'a> {
    methods: &'a [u8],
    /// Of the next method.
    code_offset: u32,
    /// Where the next method's record begins.
    position: u32,
    /// Of the last definition.
    row: u32,
    indices: Range<u32>,
}

impl Iterator for GroupEntries<'_> {
    type Item = MethodEntry;

    fn next(&mut self) -> Option<MethodEntry> {
        let index = self.indices.next()?;
        let rest = self.methods.get(self.position as usize..)?;
        let mut cursor = Cursor::new(rest);
        let record = cursor.bytes()?;
        let end = self.methods.len() - cursor.rest().len();
        let mut cursor = Cursor::new(record);
        let span = cursor.unsigned32()?;
        let number = cursor.unsigned32()?;
        let kind = number & 3;
        let key = match kind {
            STUB => 0,
            DEFINITION => {
                self.row = self.row.checked_add(number >> 2)?;
                self.row
            }
            _ => cursor.bytes()?.len() as u32,
        };
        let code_offset = self.code_offset;
        self.code_offset = code_offset.checked_add(span)?;
        self.position = end as u32;
        Some(MethodEntry {
            index,
            code_offset,
            code_length: decode_code_length(cursor.rest(), span)?,
            is_method: kind != STUB,
            span,
            info: (end - cursor.rest().len()) as u32,
            kind,
            key,
        })
    }
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}
