//! The file around the metadata: PE headers, sections, the CLI header and the metadata streams (ECMA-335 II.24.2, II.25).
//!
//! Nothing is copied; everything found is a byte range of the file. Knows nothing of tables.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::{MmapMut, MmapOptions};

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::Token;

/// The bytes of a file: mapped, or in memory.
enum FileBytes {
    Mapped(MmapMut),
    InMemory(Arc<[u8]>),
}

/// A PE file with a CLI header. All ranges in it were checked against the file's length.
pub struct Image {
    bytes: FileBytes,
    file: Arc<str>,
    machine: u16,
    is_pe32_plus: bool,
    is_dll: bool,
    subsystem: u16,
    time_stamp: u32,
    sections: Box<[Section]>,
    debug_directory: Directory,
    cli: CliHeader,
    metadata: Range<usize>,
    runtime_version: Range<usize>,
    streams: Streams,
}

struct Section {
    virtual_address: u32,
    virtual_size: u32,
    raw_offset: u32,
    raw_size: u32,
}

/// An address and a size relative to the image's base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Relative virtual address.
    pub rva: u32,
    /// Size in bytes.
    pub size: u32,
}

/// The CLI header (II.25.3.3).
#[derive(Clone, Copy, Debug)]
pub struct CliHeader {
    /// Version of the runtime's format, e.g. 2 and 5.
    pub runtime_version: (u16, u16),
    /// Where the metadata is.
    pub metadata: Directory,
    /// Bits of [`cli_flags`].
    pub flags: u32,
    /// MethodDef or File; a null token for none, or if the entry point is native.
    pub entry_point: Token,
    /// Where the resources are.
    pub resources: Directory,
    /// Hash of the file for the strong name.
    pub strong_name: Directory,
    /// Addresses of methods filled in by the loader of mixed-mode images.
    pub vtable_fixups: Directory,
}

/// Bits of [`CliHeader::flags`].
pub mod cli_flags {
    /// Holds only IL.
    pub const IL_ONLY: u32 = 0x1;
    /// Wants a 32-bit process.
    pub const REQUIRES_32_BIT: u32 = 0x2;
    /// Carries a strong name.
    pub const STRONG_NAME_SIGNED: u32 = 0x8;
    /// The entry point is native.
    pub const NATIVE_ENTRY_POINT: u32 = 0x10;
    /// Prefers a 32-bit process.
    pub const PREFERS_32_BIT: u32 = 0x2_0000;
}

/// File ranges of the metadata streams; absent ones are empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    pub(crate) tables: Range<usize>,
    /// The stream is `#-`: tables may stand unordered and with pointer tables.
    pub(crate) is_uncompressed: bool,
    pub(crate) strings: Range<usize>,
    pub(crate) user_strings: Range<usize>,
    pub(crate) guids: Range<usize>,
    pub(crate) blobs: Range<usize>,
    /// `#Pdb`, which only symbol files have.
    pub(crate) symbols: Range<usize>,
}

/// An entry of the debug directory.
#[derive(Clone, Copy, Debug)]
pub struct DebugEntry<'a> {
    /// Format: 2 CodeView, 16 reproducible, 17 embedded portable symbols, 19 checksum.
    pub kind: u32,
    /// Time stamp or content hash.
    pub time_stamp: u32,
    /// Version, first part.
    pub major: u16,
    /// Version, second part.
    pub minor: u16,
    /// The entry's bytes.
    pub data: &'a [u8],
}

/// The contents of a CodeView debug entry: which symbol file belongs to the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeView {
    /// Identity of the symbol file.
    pub guid: [u8; 16],
    /// How often it was written anew.
    pub age: u32,
    /// Its path on the machine that built it.
    pub path: String,
}

/// Size of an entry of the debug directory.
const DEBUG_ENTRY_SIZE: usize = 28;
/// Entries of the optional header's directory table that matter here.
const DEBUG_DIRECTORY: u32 = 6;
const CLI_DIRECTORY: u32 = 14;
/// File header flag.
const IMAGE_FILE_DLL: u16 = 0x2000;
/// The most sections the PE loader takes.
const MAX_SECTIONS: u16 = 96;

impl Image {
    /// Maps a file and reads its headers.
    ///
    /// The file must not be cut short while it is mapped: as with every mapped file, a read beyond its new end
    /// ends the process.
    pub fn open(path: &Path) -> Result<Image> {
        let name: Arc<str> = path.to_string_lossy().into();
        let io_error = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::FileNotFound,
                _ => ErrorKind::FileLoad,
            };
            Error::new(kind, format!("cannot open file: {error}")).with_name(&*name).with_file(&name)
        };
        let file = File::open(path).map_err(io_error)?;
        // The data of static fields lies in the file (ECMA-335 II.16.3.1), and programs may assign them: what is written goes to a
        // copy of the page.
        // SAFETY: the map is private to this image; that the file stays whole is the caller's part (above).
        let map = unsafe { MmapOptions::new().map_copy(&file) }.map_err(io_error)?;
        Image::parse(FileBytes::Mapped(map), name)
    }

    /// Reads the headers of an image in memory; `name` stands for the file in messages.
    pub fn from_bytes(bytes: Arc<[u8]>, name: &str) -> Result<Image> {
        Image::parse(FileBytes::InMemory(bytes), name.into())
    }

    fn parse(bytes: FileBytes, file: Arc<str>) -> Result<Image> {
        let headers = Headers::parse(bytes.as_slice()).map_err(|error| error.with_file(&file))?;
        Ok(Image {
            bytes,
            file,
            machine: headers.machine,
            is_pe32_plus: headers.is_pe32_plus,
            is_dll: headers.is_dll,
            subsystem: headers.subsystem,
            time_stamp: headers.time_stamp,
            sections: headers.sections,
            debug_directory: headers.debug_directory,
            cli: headers.cli,
            metadata: headers.metadata,
            runtime_version: headers.runtime_version,
            streams: headers.streams,
        })
    }

    /// The whole file.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The file's path, or the name given with its bytes.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The CLI header.
    pub fn cli_header(&self) -> &CliHeader {
        &self.cli
    }

    /// Machine number of the file header: 0x14c for portable images, 0x8664 for amd64.
    pub fn machine(&self) -> u16 {
        self.machine
    }

    /// Whether the optional header is the one of 64-bit images.
    pub fn is_pe32_plus(&self) -> bool {
        self.is_pe32_plus
    }

    /// Whether it is marked as a library.
    pub fn is_dll(&self) -> bool {
        self.is_dll
    }

    /// Windows subsystem: 2 graphical, 3 console.
    pub fn subsystem(&self) -> u16 {
        self.subsystem
    }

    /// Time stamp of the file header.
    pub fn time_stamp(&self) -> u32 {
        self.time_stamp
    }

    /// Size in memory that the optional header gives.
    pub fn memory_size(&self) -> u32 {
        const HEADER_ADDRESS: usize = 0x3c;
        const SIZE_OFFSET: usize = 24 + 56;
        let header = Cursor::at(self.bytes(), HEADER_ADDRESS).u32();
        header.and_then(|header| Cursor::at(self.bytes(), header as usize + SIZE_OFFSET).u32()).unwrap_or(0)
    }

    /// The metadata, from its root on.
    pub fn metadata_bytes(&self) -> &[u8] {
        &self.bytes()[self.metadata.clone()]
    }

    /// The version text of the metadata root, such as `v4.0.30319`.
    pub fn runtime_version(&self) -> &str {
        let bytes = &self.bytes()[self.runtime_version.clone()];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The file's bytes from an address to the end of its section. The part of a section without bytes in the file
    /// (all zero when loaded) is not included.
    pub fn at_rva(&self, rva: u32) -> Result<&[u8]> {
        self.rva_range(rva).map(|range| &self.bytes()[range])
    }

    /// `length` bytes of the file from an address.
    pub fn slice_at_rva(&self, rva: u32, length: u32) -> Result<&[u8]> {
        self.at_rva(rva)?
            .get(..length as usize)
            .ok_or_else(|| Error::bad_image(format!("{length} bytes at RVA {rva:#x} exceed the section")).with_file(&self.file))
    }

    fn rva_range(&self, rva: u32) -> Result<Range<usize>> {
        section_range(&self.sections, rva, self.bytes().len()).map_err(|error| error.with_file(&self.file))
    }

    /// The bytes of the resources directory.
    pub fn resources(&self) -> Result<&[u8]> {
        let directory = self.cli.resources;
        if directory.size == 0 { Ok(&[]) } else { self.slice_at_rva(directory.rva, directory.size) }
    }

    /// The entries of the debug directory; those with ranges outside the file are left out.
    pub fn debug_entries(&self) -> impl Iterator<Item = DebugEntry<'_>> {
        let directory = self.debug_directory;
        let bytes = match directory.size {
            0 => &[][..],
            size => self.slice_at_rva(directory.rva, size).unwrap_or_default(),
        };
        bytes.chunks_exact(DEBUG_ENTRY_SIZE).filter_map(|entry| self.debug_entry(entry).ok())
    }

    fn debug_entry(&self, entry: &[u8]) -> Result<DebugEntry<'_>> {
        let mut cursor = Cursor::at(entry, 4);
        let time_stamp = cursor.u32()?;
        let (major, minor) = (cursor.u16()?, cursor.u16()?);
        let kind = cursor.u32()?;
        let size = cursor.u32()? as usize;
        let _rva = cursor.u32()?;
        let offset = cursor.u32()? as usize;
        Ok(DebugEntry { kind, time_stamp, major, minor, data: Cursor::at(self.bytes(), offset).take(size)? })
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Image({})", self.file)
    }
}

impl FileBytes {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            FileBytes::Mapped(map) => map,
            FileBytes::InMemory(bytes) => bytes,
        }
    }
}

impl DebugEntry<'_> {
    /// Decodes an entry of kind CodeView in the `RSDS` form.
    pub fn code_view(&self) -> Option<CodeView> {
        let mut cursor = Cursor::new(self.data);
        if self.kind != 2 || cursor.take(4).ok()? != b"RSDS" {
            return None;
        }
        let guid = cursor.array().ok()?;
        let age = cursor.u32().ok()?;
        let path = cursor.take(cursor.remaining()).ok()?;
        let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
        Some(CodeView { guid, age, path: String::from_utf8_lossy(&path[..end]).into_owned() })
    }
}

/// What the headers say, before it is joined with the bytes.
struct Headers {
    machine: u16,
    is_pe32_plus: bool,
    is_dll: bool,
    subsystem: u16,
    time_stamp: u32,
    sections: Box<[Section]>,
    debug_directory: Directory,
    cli: CliHeader,
    metadata: Range<usize>,
    runtime_version: Range<usize>,
    streams: Streams,
}

impl Headers {
    fn parse(bytes: &[u8]) -> Result<Headers> {
        if !bytes.starts_with(b"MZ") {
            return Err(Error::bad_image("not a PE file").with_offset(0));
        }
        let pe_offset = Cursor::at(bytes, 0x3c).u32()? as usize;
        let mut cursor = Cursor::at(bytes, pe_offset);
        if cursor.take(4)? != b"PE\0\0" {
            return Err(Error::bad_image("not a PE file").with_offset(pe_offset));
        }
        let machine = cursor.u16()?;
        let section_count = cursor.u16()?;
        let time_stamp = cursor.u32()?;
        cursor.skip(8)?;
        let optional_size = cursor.u16()?;
        let characteristics = cursor.u16()?;

        let optional_start = cursor.position();
        let optional = cursor.take(usize::from(optional_size))?;
        let is_pe32_plus = match Cursor::new(optional).u16()? {
            0x10b => false,
            0x20b => true,
            magic => return Err(Error::bad_image(format!("invalid PE magic {magic:#x}")).with_offset(optional_start)),
        };
        let subsystem = Cursor::at(optional, 68).u16()?;
        let directories_offset = if is_pe32_plus { 112 } else { 96 };
        let directory_count = Cursor::at(optional, directories_offset - 4).u32()?;
        let directory = |index: u32| match index < directory_count {
            true => Directory::read(&mut Cursor::at(optional, directories_offset + 8 * index as usize)),
            false => Ok(Directory::default()),
        };
        let debug_directory = directory(DEBUG_DIRECTORY)?;
        let cli_directory = directory(CLI_DIRECTORY)?;

        if section_count > MAX_SECTIONS {
            return Err(Error::bad_image("too many sections").with_offset(pe_offset));
        }
        let sections: Box<[Section]> = (0..section_count).map(|_| Section::read(&mut cursor)).collect::<Result<_>>()?;
        if cli_directory.rva == 0 {
            return Err(Error::bad_image("no CLI header: not a managed assembly").with_offset(optional_start));
        }
        let cli_range = section_range(&sections, cli_directory.rva, bytes.len())?;
        let cli = CliHeader::read(&mut Cursor::at(bytes, cli_range.start))?;
        let metadata = section_range(&sections, cli.metadata.rva, bytes.len())?;
        let size = cli.metadata.size as usize;
        if size > metadata.len() {
            return Err(Error::bad_image("metadata exceeds its section").with_offset(metadata.start));
        }
        let metadata = metadata.start..metadata.start + size;
        let (runtime_version, streams) = metadata_root(bytes, metadata.clone())?;
        Ok(Headers {
            machine,
            is_pe32_plus,
            is_dll: characteristics & IMAGE_FILE_DLL != 0,
            subsystem,
            time_stamp,
            sections,
            debug_directory,
            cli,
            metadata,
            runtime_version,
            streams,
        })
    }
}

impl Directory {
    fn read(cursor: &mut Cursor<'_>) -> Result<Directory> {
        Ok(Directory { rva: cursor.u32()?, size: cursor.u32()? })
    }
}

impl Section {
    fn read(cursor: &mut Cursor<'_>) -> Result<Section> {
        cursor.skip(8)?;
        let virtual_size = cursor.u32()?;
        let virtual_address = cursor.u32()?;
        let raw_size = cursor.u32()?;
        let raw_offset = cursor.u32()?;
        cursor.skip(16)?;
        Ok(Section { virtual_address, virtual_size, raw_offset, raw_size })
    }
}

impl CliHeader {
    fn read(cursor: &mut Cursor<'_>) -> Result<CliHeader> {
        cursor.skip(4)?;
        let runtime_version = (cursor.u16()?, cursor.u16()?);
        let metadata = Directory::read(cursor)?;
        let flags = cursor.u32()?;
        let entry_point = cursor.u32()?;
        let resources = Directory::read(cursor)?;
        let strong_name = Directory::read(cursor)?;
        cursor.skip(8)?;
        let vtable_fixups = Directory::read(cursor)?;
        let is_native = flags & cli_flags::NATIVE_ENTRY_POINT != 0;
        let entry_point = if is_native { Token::NULL } else { Token(entry_point) };
        Ok(CliHeader { runtime_version, metadata, flags, entry_point, resources, strong_name, vtable_fixups })
    }
}

/// The file range from an address to the end of the bytes its section has in the file.
fn section_range(sections: &[Section], rva: u32, file_length: usize) -> Result<Range<usize>> {
    for section in sections {
        // Some writers leave the virtual size 0; the raw size counts then.
        let extent = section.virtual_size.max(section.raw_size);
        let Some(distance) = rva.checked_sub(section.virtual_address) else { continue };
        if distance >= extent {
            continue;
        }
        let start = (section.raw_offset as usize).saturating_add(distance as usize);
        let end = (section.raw_offset as usize).saturating_add(section.raw_size as usize).min(file_length);
        if distance >= section.raw_size || start >= end {
            return Err(Error::bad_image(format!("RVA {rva:#x} has no bytes in the file")).with_offset(start));
        }
        return Ok(start..end);
    }
    Err(Error::bad_image(format!("RVA {rva:#x} lies in no section")))
}

/// Reads the metadata root: the range of the version text, and the streams (II.24.2.1 and 2).
pub(crate) fn metadata_root(bytes: &[u8], metadata: Range<usize>) -> Result<(Range<usize>, Streams)> {
    let mut cursor = Cursor::at(&bytes[..metadata.end], metadata.start);
    if cursor.u32()? != 0x424a_5342 {
        return Err(Error::bad_image("invalid signature of the metadata root").with_offset(metadata.start));
    }
    cursor.skip(8)?;
    let version_length = cursor.u32()? as usize;
    let version_start = cursor.position();
    cursor.skip(version_length)?;
    cursor.skip(2)?;
    let stream_count = cursor.u16()?;
    let mut streams = Streams::default();
    for _ in 0..stream_count {
        let header = cursor.position();
        let offset = cursor.u32()? as usize;
        let size = cursor.u32()? as usize;
        let start = metadata.start.checked_add(offset);
        let range = match start.and_then(|start| Some(start..start.checked_add(size)?)) {
            Some(range) if range.end <= metadata.end => range,
            _ => return Err(Error::bad_image("metadata stream exceeds the metadata").with_offset(header)),
        };
        // A name is at most 32 bytes with its zero, padded to a multiple of 4.
        let rest = cursor.take(cursor.remaining().min(32))?;
        let Some(name_length) = rest.iter().position(|byte| *byte == 0) else {
            return Err(Error::bad_image("unterminated name of a metadata stream").with_offset(header));
        };
        cursor = Cursor::at(&bytes[..metadata.end], header + 8 + (name_length + 4) / 4 * 4);
        match &rest[..name_length] {
            b"#~" => streams.tables = range,
            b"#-" => {
                streams.tables = range;
                streams.is_uncompressed = true;
            }
            b"#Strings" => streams.strings = range,
            b"#US" => streams.user_strings = range,
            b"#GUID" => streams.guids = range,
            b"#Blob" => streams.blobs = range,
            b"#Pdb" => streams.symbols = range,
            // Other streams concern nobody here.
            _ => {}
        }
    }
    Ok((version_start..version_start + version_length, streams))
}
