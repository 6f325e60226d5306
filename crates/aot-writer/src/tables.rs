//! The format of the section `.saki`: what the loader reads.
//!
//! A header of fixed-width little-endian numbers, then tables at offsets from the section's start that the header names:
//!
//! | table | entries |
//! |---|---|
//! | methods | [`METHOD_ENTRY`] bytes each, sorted by code offset: code offset, info offset, kind and key |
//! | definitions | u32 for each row of the assembly's MethodDef table, from row 1: index into methods + 1, or 0 |
//! | instances | u32 count, then (u32 hash, u32 method index, u32 offset of the key) sorted by hash |
//! | cells | u32 for each cell but the helpers' and one more: offset into blobs |
//! | blobs | descriptions of cells; instance keys |
//! | infos | per method, packed: length, frame, calls, traps, handlers, lines, clauses ([`encode_info`]) |
//! | identity | packed: assembly hash, options, dependencies |
//! | extra | the caller's |

use crate::image::{ImageIdentity, MethodKey, ObjectImage};
use crate::varint::{Cursor, write_bytes, write_signed, write_unsigned};
use ir::entity::{Entity, Region};
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::{CallSite, CompiledCode, FrameInfo, HandlerSite, TrapSite};
use xxhash_rust::xxh3::xxh3_64;

/// Version of the format.
pub const FORMAT_VERSION: u32 = 2;
/// First bytes of the section.
pub const MAGIC: [u8; 8] = *b"SAKIIMG\0";
/// Bytes of an entry of the table of methods.
pub const METHOD_ENTRY: usize = 12;
/// Kind of a method entry, in the low two bits of its last word: a stub.
pub const STUB: u32 = 0;
/// A method of the assembly; the row is above.
pub const DEFINITION: u32 = 1;
/// An instance; the offset of its key in the blobs is above.
pub const INSTANCE: u32 = 2;

/// Numbers in the header after [`MAGIC`], each a u32, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub enum Field {
    /// [`FORMAT_VERSION`].
    Version,
    /// `Architecture`, by number.
    Architecture,
    /// CPU features, low and high.
    FeaturesLow,
    /// Likewise.
    FeaturesHigh,
    /// Fingerprint of the ABI, low and high.
    AbiLow,
    /// Likewise.
    AbiHigh,
    /// Address of this section relative to the image's base.
    SectionAddress,
    /// Length of this section.
    SectionLength,
    /// Address of the text.
    TextAddress,
    /// Its length.
    TextLength,
    /// Address of the helper cells, which the other cells follow.
    CellsAddress,
    /// Number of helper cells.
    HelperCount,
    /// Number of other cells.
    CellCount,
    /// Number of entries in methods.
    MethodCount,
    /// Offset of the table of methods.
    Methods,
    /// Offset of definitions.
    Definitions,
    /// Number of definitions.
    DefinitionCount,
    /// Offset of instances.
    Instances,
    /// Offset of cells.
    Cells,
    /// Offset and length of blobs.
    Blobs,
    /// Likewise.
    BlobsLength,
    /// Offset and length of infos.
    Infos,
    /// Likewise.
    InfosLength,
    /// Offset and length of the identity.
    Identity,
    /// Likewise.
    IdentityLength,
    /// Offset and length of extra.
    Extra,
    /// Likewise.
    ExtraLength,
}

/// Number of header fields.
pub const FIELD_COUNT: usize = Field::ExtraLength as usize + 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = MAGIC.len() + 4 * FIELD_COUNT;

/// Where the parts of an image lie, as addresses relative to its base.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placement {
    /// The section `.saki`.
    pub section: u32,
    /// The text.
    pub text: u32,
    /// Its length.
    pub text_length: u32,
    /// The cells.
    pub cells: u32,
}

/// Offsets of the code pieces from the start of the text, and the text's length.
pub fn lay_out_code(image: &ObjectImage) -> (Vec<u32>, u32) {
    let mut offsets = Vec::with_capacity(image.code.len());
    let mut position = 0u32;
    for piece in &image.code {
        position = align(position, piece.code.align.max(1));
        offsets.push(position);
        position += piece.code.bytes.len() as u32;
    }
    (offsets, position)
}

/// `value`, rounded up to a power of two.
pub fn align(value: u32, to: u32) -> u32 {
    (value + to - 1) & !(to - 1)
}

/// Number of an architecture in files.
pub fn architecture_number(image: &ImageIdentity) -> u32 {
    image.architecture as u32
}

/// Encodes the section. The length does not depend on `placement`.
pub fn encode_section(image: &ObjectImage, code_offsets: &[u32], placement: &Placement) -> Vec<u8> {
    let mut blobs = Vec::new();
    let mut cells = Vec::with_capacity(4 * image.cells.len() + 4);
    for cell in &image.cells {
        push(&mut cells, blobs.len() as u32);
        blobs.extend_from_slice(cell);
    }
    push(&mut cells, blobs.len() as u32);

    let mut methods = Vec::new();
    let mut infos = Vec::new();
    let mut definitions: Vec<u32> = Vec::new();
    let mut instances: Vec<(u32, u32, u32)> = Vec::new();
    for (index, (piece, &offset)) in image.code.iter().zip(code_offsets).enumerate() {
        let kind = match &piece.key {
            None => STUB,
            Some(MethodKey::Definition(row)) => row << 2 | DEFINITION,
            Some(MethodKey::Instance(_)) => (blobs.len() as u32) << 2 | INSTANCE,
        };
        for number in [offset, infos.len() as u32, kind] {
            push(&mut methods, number);
        }
        encode_info(&mut infos, &piece.code, &piece.clauses);
        match &piece.key {
            None => {}
            Some(MethodKey::Definition(row)) => {
                let row = *row as usize;
                if definitions.len() < row {
                    definitions.resize(row, 0);
                }
                definitions[row - 1] = index as u32 + 1;
            }
            Some(MethodKey::Instance(key)) => {
                instances.push((instance_hash(key), index as u32, blobs.len() as u32));
                write_bytes(&mut blobs, key);
            }
        }
    }
    instances.sort_unstable();
    let mut instance_bytes = Vec::new();
    push(&mut instance_bytes, instances.len() as u32);
    for (hash, index, key) in instances {
        for number in [hash, index, key] {
            push(&mut instance_bytes, number);
        }
    }
    let definition_bytes: Vec<u8> = definitions.iter().flat_map(|number| number.to_le_bytes()).collect();
    let identity = encode_identity(&image.identity);

    let mut header = [0u32; FIELD_COUNT];
    let mut body = Vec::new();
    let mut place = |bytes: &[u8]| {
        body.resize(align(body.len() as u32, 8) as usize, 0);
        let offset = (HEADER_BYTES.next_multiple_of(8) + body.len()) as u32;
        body.extend_from_slice(bytes);
        (offset, bytes.len() as u32)
    };
    header[Field::Methods as usize] = place(&methods).0;
    header[Field::Definitions as usize] = place(&definition_bytes).0;
    header[Field::Instances as usize] = place(&instance_bytes).0;
    header[Field::Cells as usize] = place(&cells).0;
    (header[Field::Blobs as usize], header[Field::BlobsLength as usize]) = place(&blobs);
    (header[Field::Infos as usize], header[Field::InfosLength as usize]) = place(&infos);
    (header[Field::Identity as usize], header[Field::IdentityLength as usize]) = place(&identity);
    (header[Field::Extra as usize], header[Field::ExtraLength as usize]) = place(&image.extra);
    let total = HEADER_BYTES.next_multiple_of(8) + body.len();
    let plain = [
        (Field::Version, FORMAT_VERSION),
        (Field::Architecture, architecture_number(&image.identity)),
        (Field::FeaturesLow, image.identity.cpu_features as u32),
        (Field::FeaturesHigh, (image.identity.cpu_features >> 32) as u32),
        (Field::AbiLow, image.identity.abi as u32),
        (Field::AbiHigh, (image.identity.abi >> 32) as u32),
        (Field::SectionAddress, placement.section),
        (Field::SectionLength, total as u32),
        (Field::TextAddress, placement.text),
        (Field::TextLength, placement.text_length),
        (Field::CellsAddress, placement.cells),
        (Field::HelperCount, image.helper_count),
        (Field::CellCount, image.cells.len() as u32),
        (Field::MethodCount, image.code.len() as u32),
        (Field::DefinitionCount, definitions.len() as u32),
    ];
    for (field, number) in plain {
        header[field as usize] = number;
    }
    let mut section = Vec::with_capacity(total);
    section.extend_from_slice(&MAGIC);
    for number in header {
        push(&mut section, number);
    }
    section.resize(HEADER_BYTES.next_multiple_of(8), 0);
    section.extend_from_slice(&body);
    section
}

fn push(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Hash of an instance's key.
pub fn instance_hash(key: &[u8]) -> u32 {
    xxh3_64(key) as u32
}

fn encode_identity(identity: &ImageIdentity) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&identity.assembly.to_le_bytes());
    write_bytes(&mut out, identity.options.as_bytes());
    write_unsigned(&mut out, identity.dependencies.len() as u64);
    for dependency in &identity.dependencies {
        write_bytes(&mut out, dependency.name.as_bytes());
        out.extend_from_slice(&dependency.content.to_le_bytes());
    }
    out
}

fn write_region(out: &mut Vec<u8>, region: Option<Region>) {
    write_unsigned(out, region.map_or(0, |region| region.index() as u64 + 1));
}

fn read_region(cursor: &mut Cursor<'_>) -> Option<Option<Region>> {
    let number = cursor.unsigned32()?;
    Some(number.checked_sub(1).map(|index| Region::from_index(index as usize)))
}

/// Bits of the first number of an info: which parts follow.
mod parts {
    pub const OUTGOING: u64 = 1;
    pub const SAVED_SP: u64 = 1 << 1;
    pub const SAVED_REGISTERS: u64 = 1 << 2;
    pub const CALLS: u64 = 1 << 3;
    pub const TRAPS: u64 = 1 << 4;
    pub const HANDLERS: u64 = 1 << 5;
    pub const LINES: u64 = 1 << 6;
    pub const CLAUSES: u64 = 1 << 7;
}

/// Appends what the unwinder needs of a piece of code, packed: offsets as differences to the one before. Calls outside of protected
/// regions and source positions at which nothing can be raised are left out.
pub fn encode_info(out: &mut Vec<u8>, code: &CompiledCode, clauses: &[u8]) {
    let frame = &code.frame;
    let calls: Vec<&CallSite> = code.call_sites.iter().filter(|site| site.region.is_some()).collect();
    let lines = needed_lines(code);
    let present = [
        (parts::OUTGOING, frame.outgoing_size != 0),
        (parts::SAVED_SP, frame.saved_sp_offset.is_some()),
        (parts::SAVED_REGISTERS, !frame.saved_registers.is_empty()),
        (parts::CALLS, !calls.is_empty()),
        (parts::TRAPS, !code.traps.is_empty()),
        (parts::HANDLERS, !code.handlers.is_empty()),
        (parts::LINES, !lines.is_empty()),
        (parts::CLAUSES, !clauses.is_empty()),
    ];
    write_unsigned(out, code.code_len.into());
    write_unsigned(out, frame.frame_size.into());
    // A byte of its own: all the bits are used.
    out.push(present.iter().filter(|part| part.1).map(|part| part.0 as u8).sum());
    if frame.outgoing_size != 0 {
        write_unsigned(out, frame.outgoing_size.into());
    }
    if let Some(offset) = frame.saved_sp_offset {
        write_signed(out, offset.into());
    }
    if !frame.saved_registers.is_empty() {
        write_unsigned(out, frame.saved_registers.len() as u64);
        for &(register, offset) in &frame.saved_registers {
            write_unsigned(out, register.into());
            write_signed(out, offset.into());
        }
    }
    if !calls.is_empty() {
        write_unsigned(out, calls.len() as u64);
        let mut last = 0;
        for site in calls {
            write_unsigned(out, u64::from(site.return_offset - last));
            write_region(out, site.region);
            last = site.return_offset;
        }
    }
    if !code.traps.is_empty() {
        write_unsigned(out, code.traps.len() as u64);
        let mut last = 0;
        for site in &code.traps {
            // Most are null references outside of regions; only the others say more.
            let special = site.code != TrapCode::NullReference || site.region.is_some();
            write_unsigned(out, u64::from(site.offset - last) << 1 | u64::from(special));
            if special {
                out.push(site.code as u8);
                write_region(out, site.region);
            }
            last = site.offset;
        }
    }
    if !code.handlers.is_empty() {
        write_unsigned(out, code.handlers.len() as u64);
        for site in &code.handlers {
            write_unsigned(out, site.region.index() as u64);
            write_unsigned(out, site.index.into());
            write_unsigned(out, site.filter_offset.map_or(0, |offset| u64::from(offset) + 1));
            write_unsigned(out, site.handler_offset.into());
        }
    }
    if !lines.is_empty() {
        write_unsigned(out, lines.len() as u64);
        let (mut last, mut last_source) = (0, 0i64);
        for (offset, source) in lines {
            // The unknown position becomes 0, which is nearer to the others.
            let source = i64::from(source.0.wrapping_add(1));
            write_unsigned(out, u64::from(offset - last));
            write_signed(out, source - last_source);
            (last, last_source) = (offset, source);
        }
    }
    if !clauses.is_empty() {
        write_bytes(out, clauses);
    }
}

/// The source positions that stack traces ask for: those of calls and of instructions that trap.
fn needed_lines(code: &CompiledCode) -> Vec<(u32, SourceOffset)> {
    let mut ends: Vec<u32> = code.call_sites.iter().map(|site| site.return_offset).collect();
    ends.extend(code.traps.iter().map(|site| site.offset + 1));
    ends.sort_unstable();
    let mut needed: Vec<(u32, SourceOffset)> = Vec::new();
    let mut lines = code.lines.iter().peekable();
    let mut current = None;
    for end in ends {
        while let Some(&line) = lines.next_if(|line| line.0 < end) {
            current = Some(line);
        }
        if let Some(line) = current {
            if needed.last().is_none_or(|last| last.1 != line.1) {
                needed.push(line);
            }
        }
    }
    needed
}

/// Length of a method's instructions, from the start of what [`encode_info`] wrote.
pub fn decode_code_length(bytes: &[u8]) -> Option<u32> {
    Cursor::new(bytes).unsigned32()
}

/// What [`encode_info`] wrote: the code without its bytes, and the clauses. `None` if it is damaged.
pub fn decode_info(bytes: &[u8]) -> Option<(CompiledCode, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    let mut code = CompiledCode { code_len: cursor.unsigned32()?, ..CompiledCode::default() };
    code.frame = FrameInfo { frame_size: cursor.unsigned32()?, ..FrameInfo::default() };
    let present = u64::from(cursor.byte()?);
    let has = |part: u64| present & part != 0;
    if has(parts::OUTGOING) {
        code.frame.outgoing_size = cursor.unsigned32()?;
    }
    if has(parts::SAVED_SP) {
        code.frame.saved_sp_offset = Some(i32::try_from(cursor.signed()?).ok()?);
    }
    for _ in 0..count(&mut cursor, has(parts::SAVED_REGISTERS))? {
        let register = u16::try_from(cursor.unsigned()?).ok()?;
        code.frame.saved_registers.push((register, i32::try_from(cursor.signed()?).ok()?));
    }
    let mut last = 0u32;
    for _ in 0..count(&mut cursor, has(parts::CALLS))? {
        last = last.checked_add(cursor.unsigned32()?)?;
        code.call_sites.push(CallSite { return_offset: last, region: read_region(&mut cursor)? });
    }
    last = 0;
    for _ in 0..count(&mut cursor, has(parts::TRAPS))? {
        let number = cursor.unsigned()?;
        last = last.checked_add(u32::try_from(number >> 1).ok()?)?;
        let (trap, region) = match number & 1 {
            0 => (TrapCode::NullReference, None),
            _ => (*TrapCode::ALL.get(usize::from(cursor.byte()?))?, read_region(&mut cursor)?),
        };
        code.traps.push(TrapSite { offset: last, code: trap, region });
    }
    for _ in 0..count(&mut cursor, has(parts::HANDLERS))? {
        code.handlers.push(HandlerSite {
            region: Region::from_index(cursor.unsigned32()? as usize),
            index: cursor.unsigned32()?,
            filter_offset: cursor.unsigned32()?.checked_sub(1),
            handler_offset: cursor.unsigned32()?,
        });
    }
    last = 0;
    let mut source = 0i64;
    for _ in 0..count(&mut cursor, has(parts::LINES))? {
        last = last.checked_add(cursor.unsigned32()?)?;
        source = source.checked_add(cursor.signed()?)?;
        code.lines.push((last, SourceOffset(u32::try_from(source).ok()?.wrapping_sub(1))));
    }
    let clauses = if has(parts::CLAUSES) { cursor.bytes()? } else { &[] };
    Some((code, clauses))
}

/// How many entries follow: none if the part is not there.
fn count(cursor: &mut Cursor<'_>, present: bool) -> Option<u64> {
    if present { cursor.unsigned() } else { Some(0) }
}
