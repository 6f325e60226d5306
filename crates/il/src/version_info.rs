//! The version resource of a PE file, native or not: texts and numbers that compilers note for the file manager (`VS_VERSIONINFO`,
//! Microsoft Portable Executable and Common Object File Format, section 6.9, and the Win32 reference for the structures).

use crate::cursor::Cursor;
use crate::error::Result;

/// What the resource says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionInfo {
    /// The four parts of the file's version.
    pub file_version: [u16; 4],
    /// Those of the product's.
    pub product_version: [u16; 4],
    /// Bits of [`file_flags`].
    pub flags: u32,
    /// Keys and values of the first string table, such as `CompanyName`.
    pub strings: Vec<(String, String)>,
    /// Language number of the first translation.
    pub language: Option<u16>,
}

/// Bits of [`VersionInfo::flags`] (`VS_FF_`).
pub mod file_flags {
    /// Has debugging information.
    pub const DEBUG: u32 = 0x1;
    /// A development version.
    pub const PRERELEASE: u32 = 0x2;
    /// Differs from the original of the same version.
    pub const PATCHED: u32 = 0x4;
    /// Not built by the usual procedure.
    pub const PRIVATE_BUILD: u32 = 0x8;
    /// A variation of the original of the same version.
    pub const SPECIAL_BUILD: u32 = 0x20;
}

/// Number of the resource type.
const RT_VERSION: u32 = 16;
const RESOURCE_DIRECTORY: usize = 2;
const FIXED_SIGNATURE: u32 = 0xfeef_04bd;
/// A directory entry that leads to another directory.
const SUBDIRECTORY: u32 = 0x8000_0000;

impl VersionInfo {
    /// Reads that of a file; `None` for a file without one, or that is no PE file.
    pub fn of_file(bytes: &[u8]) -> Option<VersionInfo> {
        let mut info = VersionInfo::default();
        let block = find_resource(bytes).ok()??;
        info.read_root(block).ok()?;
        Some(info)
    }

    /// The value of a key.
    pub fn string(&self, key: &str) -> Option<&str> {
        self.strings.iter().find(|(candidate, _)| candidate == key).map(|(_, value)| value.as_str())
    }

    fn read_root(&mut self, bytes: &[u8]) -> Result<()> {
        let root = Block::read(bytes)?;
        let mut fixed = Cursor::new(root.value);
        if fixed.u32()? != FIXED_SIGNATURE {
            return Err(fixed.error("version resource without signature"));
        }
        fixed.skip(4)?;
        let mut version = || -> Result<[u16; 4]> {
            let (high, low) = (fixed.u32()?, fixed.u32()?);
            Ok([(high >> 16) as u16, high as u16, (low >> 16) as u16, low as u16])
        };
        self.file_version = version()?;
        self.product_version = version()?;
        let mask = fixed.u32()?;
        self.flags = fixed.u32()? & mask;
        for part in root.children() {
            match part.key.as_str() {
                "StringFileInfo" => {
                    let strings = part.children().take(1).flat_map(|table| table.children().collect::<Vec<_>>());
                    self.strings.extend(strings.map(|entry| (entry.key.clone(), entry.text())));
                }
                "VarFileInfo" => {
                    let translation = part.children().find(|entry| entry.key == "Translation");
                    self.language = translation.and_then(|entry| Cursor::new(entry.value).u16().ok());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// One of the nested blocks of which the resource consists: length, length of the value, kind, key, value, blocks within.
struct Block<'a> {
    key: String,
    value: &'a [u8],
    inner: &'a [u8],
    length: usize,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8]) -> Result<Block<'a>> {
        let mut cursor = Cursor::new(bytes);
        let length = cursor.u16()? as usize;
        let value_length = cursor.u16()? as usize;
        let is_text = cursor.u16()? == 1;
        let mut key = Vec::new();
        loop {
            match cursor.u16()? {
                0 => break,
                unit => key.push(unit),
            }
        }
        let whole = bytes.get(..length).ok_or_else(|| cursor.error("version resource is cut short"))?;
        let value_start = cursor.position().next_multiple_of(4).min(length);
        // Lengths of texts count characters.
        let value_end = (value_start + if is_text { 2 * value_length } else { value_length }).min(length);
        let inner = value_end.next_multiple_of(4).min(length);
        Ok(Block { key: String::from_utf16_lossy(&key), value: &whole[value_start..value_end], inner: &whole[inner..], length })
    }

    /// The blocks within, as far as they are well-formed.
    fn children(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut rest = self.inner;
        std::iter::from_fn(move || {
            let block = Block::read(rest).ok().filter(|block| block.length > 0)?;
            rest = rest.get(block.length.next_multiple_of(4)..).unwrap_or_default();
            Some(block)
        })
    }

    /// The value as a text, up to its end mark.
    fn text(&self) -> String {
        let units = self.value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        String::from_utf16_lossy(&units.take_while(|&unit| unit != 0).collect::<Vec<_>>())
    }
}

/// The bytes of the first version resource.
fn find_resource(file: &[u8]) -> Result<Option<&[u8]>> {
    let mut cursor = Cursor::new(file);
    if cursor.take(2)? != b"MZ" {
        return Ok(None);
    }
    let header = Cursor::at(file, 0x3c).u32()? as usize;
    let mut cursor = Cursor::at(file, header);
    if cursor.take(4)? != b"PE\0\0" {
        return Ok(None);
    }
    cursor.skip(2)?;
    let section_count = cursor.u16()?;
    cursor.skip(12)?;
    let optional_size = cursor.u16()? as usize;
    cursor.skip(2)?;
    let optional = cursor.position();
    let directories = if cursor.u16()? == 0x20b { 112 } else { 96 };
    let mut directory = Cursor::at(file, optional + directories + 8 * RESOURCE_DIRECTORY);
    let rva = directory.u32()?;
    if rva == 0 {
        return Ok(None);
    }
    let mut sections = Cursor::at(file, optional + optional_size);
    for _ in 0..section_count {
        sections.skip(12)?;
        let (address, raw_size, offset) = (sections.u32()?, sections.u32()?, sections.u32()?);
        sections.skip(16)?;
        if (address..address.saturating_add(raw_size)).contains(&rva) {
            let section = Cursor::at(file, offset as usize).take(raw_size as usize)?;
            return version_in(section, (rva - address) as usize, address);
        }
    }
    Ok(None)
}

/// Walks the three levels of the directory: type, name, language.
fn version_in(section: &[u8], root: usize, section_rva: u32) -> Result<Option<&[u8]>> {
    let mut position = root;
    for level in 0..3 {
        let mut directory = Cursor::at(section, position);
        directory.skip(12)?;
        let entries = u32::from(directory.u16()?) + u32::from(directory.u16()?);
        let mut target = None;
        for _ in 0..entries {
            let (name, offset) = (directory.u32()?, directory.u32()?);
            if level > 0 || name == RT_VERSION {
                target = Some(offset);
                break;
            }
        }
        let Some(offset) = target.filter(|offset| (offset & SUBDIRECTORY != 0) == (level < 2)) else { return Ok(None) };
        position = root.saturating_add((offset & !SUBDIRECTORY) as usize);
    }
    let mut entry = Cursor::at(section, position);
    let (rva, size) = (entry.u32()?, entry.u32()?);
    match rva.checked_sub(section_rva) {
        Some(offset) => Cursor::at(section, offset as usize).take(size as usize).map(Some),
        None => Ok(None),
    }
}
