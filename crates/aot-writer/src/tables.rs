//! The format of the section `.saki`: what the loader reads.
//!
//! A header of fixed-width little-endian numbers, then tables at offsets from the section's start that the header names:
//!
//! | table | entries |
//! |---|---|
//! | groups | for each [`GROUP`] methods, [`GROUP_ENTRY`] bytes: code offset, offset in methods, row of the last definition before |
//! | methods | per method, packed: length of the rest, distance to the code of the next one, kind and key, info ([`encode_info`]) |
//! | frames | u32 count, u32 offsets of all of them and of their end behind that, then the frames ([`encode_frame`]) |
//! | instances | u32 count, then (u32 hash, u32 method index) sorted by hash |
//! | cells | u32 for each cell but the helpers' and one more: offset into blobs |
//! | blobs | descriptions of cells |
//! | inlined | descriptions of the methods of inline sites, packed, by how many sites name them |
//! | identity | packed: assembly hash, options, dependencies |
//! | extra | the caller's |

use crate::image::{ImageIdentity, MethodKey, ObjectImage};
use crate::info::{encode_frame, encode_info};
use crate::lines::Lines;
use crate::varint::{write_bytes, write_unsigned};
use ir::mach::FrameInfo;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use xxhash_rust::xxh3::xxh3_64;

/// Version of the format.
pub const FORMAT_VERSION: u32 = 6;
/// First bytes of the section.
pub const MAGIC: [u8; 8] = *b"SAKIIMG\0";
/// Number of methods that are found by one entry of the table of groups.
pub const GROUP: u32 = 16;
/// Bytes of an entry of the table of groups.
pub const GROUP_ENTRY: usize = 12;
/// Kind of a method, in the low two bits of its number: a stub.
pub const STUB: u32 = 0;
/// A method of the assembly; how far its row is behind that of the last definition is above.
pub const DEFINITION: u32 = 1;
/// An instance; the key follows.
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
    /// Offset of the table of groups.
    Groups,
    /// Offset and length of the methods.
    Methods,
    /// Likewise.
    MethodsLength,
    /// Offset of the frames.
    Frames,
    /// Offset of instances.
    Instances,
    /// Offset of cells.
    Cells,
    /// Offset and length of blobs.
    Blobs,
    /// Likewise.
    BlobsLength,
    /// Offset and length of the inlined methods.
    Inlined,
    /// Likewise.
    InlinedLength,
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

/// Whether definitions come in the order of their rows.
pub fn rows_rise(image: &ObjectImage) -> bool {
    let rows = image.code.iter().filter_map(|piece| match piece.key {
        Some(MethodKey::Definition(row)) => Some(row),
        _ => None,
    });
    rows.is_sorted_by(|before, after| before < after)
}

/// Number of an architecture in files.
pub fn architecture_number(image: &ImageIdentity) -> u32 {
    image.architecture as u32
}

/// Encodes the section, but for where the parts of the image lie, see [`place_section`]. Rows of definitions rise.
pub fn encode_section(image: &ObjectImage, code_offsets: &[u32], text_length: u32) -> Vec<u8> {
    let mut blobs = Vec::new();
    let mut cells = Vec::with_capacity(4 * image.cells.len() + 4);
    for cell in &image.cells {
        push(&mut cells, blobs.len() as u32);
        blobs.extend_from_slice(cell);
    }
    push(&mut cells, blobs.len() as u32);

    let mut lines: Vec<Lines> = image.code.iter().map(|piece| Lines::of(&piece.code, &piece.inline_sites)).collect();
    let inlined = number_inlined(&image.inlined_methods, &mut lines);
    let mut groups = Vec::new();
    let mut methods = Vec::new();
    let mut record = Vec::new();
    let mut frames = Frames::default();
    let mut instances: Vec<(u32, u32)> = Vec::new();
    let mut last_row = 0;
    let ends = code_offsets.iter().copied().skip(1).chain([text_length]);
    for (index, (((piece, lines), &offset), end)) in image.code.iter().zip(&lines).zip(code_offsets).zip(ends).enumerate() {
        if index as u32 % GROUP == 0 {
            for number in [offset, methods.len() as u32, last_row] {
                push(&mut groups, number);
            }
        }
        record.clear();
        write_unsigned(&mut record, u64::from(end - offset));
        match &piece.key {
            None => write_unsigned(&mut record, STUB.into()),
            Some(MethodKey::Definition(row)) => {
                write_unsigned(&mut record, u64::from(row - last_row) << 2 | u64::from(DEFINITION));
                last_row = *row;
            }
            Some(MethodKey::Instance(key)) => {
                write_unsigned(&mut record, INSTANCE.into());
                write_bytes(&mut record, key);
                instances.push((instance_hash(key), index as u32));
            }
        }
        encode_info(&mut record, &piece.code, end - offset, frames.number(&piece.code.frame), lines, &piece.clauses);
        write_bytes(&mut methods, &record);
    }
    instances.sort_unstable();
    let mut instance_bytes = Vec::new();
    push(&mut instance_bytes, instances.len() as u32);
    for (hash, index) in instances {
        push(&mut instance_bytes, hash);
        push(&mut instance_bytes, index);
    }
    let identity = encode_identity(&image.identity);

    let mut header = [0u32; FIELD_COUNT];
    let mut body = Vec::new();
    let mut place = |bytes: &[u8]| {
        body.resize(align(body.len() as u32, 8) as usize, 0);
        let offset = (HEADER_BYTES.next_multiple_of(8) + body.len()) as u32;
        body.extend_from_slice(bytes);
        (offset, bytes.len() as u32)
    };
    header[Field::Groups as usize] = place(&groups).0;
    (header[Field::Methods as usize], header[Field::MethodsLength as usize]) = place(&methods);
    header[Field::Frames as usize] = place(&frames.encode()).0;
    header[Field::Instances as usize] = place(&instance_bytes).0;
    header[Field::Cells as usize] = place(&cells).0;
    (header[Field::Blobs as usize], header[Field::BlobsLength as usize]) = place(&blobs);
    (header[Field::Inlined as usize], header[Field::InlinedLength as usize]) = place(&inlined);
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
        (Field::SectionLength, total as u32),
        (Field::TextLength, text_length),
        (Field::HelperCount, image.helper_count),
        (Field::CellCount, image.cells.len() as u32),
        (Field::MethodCount, image.code.len() as u32),
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

/// Numbers the methods of all sites by how many name them, so that most numbers are short, and gives the descriptions in that order.
fn number_inlined(methods: &[Vec<u8>], lines: &mut [Lines]) -> Vec<u8> {
    let mut uses = vec![0u32; methods.len()];
    lines.iter().flat_map(|lines| &lines.sites).for_each(|site| uses[site.callee as usize] += 1);
    let mut order: Vec<u32> = (0..methods.len() as u32).filter(|&method| uses[method as usize] != 0).collect();
    order.sort_by_key(|&method| (Reverse(uses[method as usize]), method));
    let mut numbers = vec![0; methods.len()];
    let mut out = Vec::new();
    for (number, &method) in order.iter().enumerate() {
        numbers[method as usize] = number as u32;
        write_bytes(&mut out, &methods[method as usize]);
    }
    for site in lines.iter_mut().flat_map(|lines| &mut lines.sites) {
        site.callee = numbers[site.callee as usize];
    }
    out
}

/// Writes into a section where the parts of the image lie.
pub fn place_section(section: &mut [u8], placement: &Placement) {
    let places = [
        (Field::SectionAddress, placement.section),
        (Field::TextAddress, placement.text),
        (Field::CellsAddress, placement.cells),
    ];
    for (field, address) in places {
        let start = MAGIC.len() + 4 * field as usize;
        section[start..start + 4].copy_from_slice(&address.to_le_bytes());
    }
}

/// Different frames, encoded, in the order of their first use.
#[derive(Default)]
struct Frames {
    numbers: FxHashMap<Vec<u8>, u32>,
    list: Vec<Vec<u8>>,
}

impl Frames {
    fn number(&mut self, frame: &FrameInfo) -> u32 {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, frame);
        let next = self.list.len() as u32;
        *self.numbers.entry(bytes).or_insert_with_key(|bytes| {
            self.list.push(bytes.clone());
            next
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, self.list.len() as u32);
        let mut end = 0;
        push(&mut out, end);
        for frame in &self.list {
            end += frame.len() as u32;
            push(&mut out, end);
        }
        out.extend(self.list.iter().flatten());
        out
    }
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
