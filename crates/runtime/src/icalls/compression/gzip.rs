//! The container of gzip (RFC 1952): the header, which is read byte by byte, and the trailer.

use crc32fast::Hasher;

/// The header that zlib writes: deflate, no name, no time (4 bytes), the default level, Unix.
pub const HEADER: [u8; FIXED_SIZE] = [MAGIC[0], MAGIC[1], DEFLATE, 0, 0, 0, 0, 0, 0, 3];
/// Length of the trailer: the checksum and the length, 4 bytes each.
pub const TRAILER_SIZE: usize = 8;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const DEFLATE: u8 = 8;
const FIXED_SIZE: usize = 10;

const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The data are no gzip data, or damaged.
#[derive(Debug, PartialEq)]
pub struct Corrupted;

/// What of the header comes next.
enum Part {
    /// The bytes that every header has, of which this many were read.
    Fixed(usize),
    /// The length of the extra field: the first byte if it was read.
    ExtraLength(Option<u8>),
    /// The extra field, of which this many bytes are left.
    Extra(u16),
    Name,
    Comment,
    /// The header's checksum: the first byte if it was read.
    Checksum(Option<u8>),
    End,
}

/// A header that is being read.
pub struct Header {
    part: Part,
    method: u8,
    flags: u8,
    checksum: Hasher,
}

impl Header {
    /// A header of which nothing was read.
    pub fn new() -> Header {
        Header { part: Part::Fixed(0), method: 0, flags: 0, checksum: Hasher::new() }
    }

    /// Takes the next byte of the header; gives whether it was the last.
    ///
    /// # Errors
    /// No gzip data, another method than deflate, or a wrong checksum; what is wrong is found at the same byte as by zlib.
    pub fn accept(&mut self, byte: u8) -> Result<bool, Corrupted> {
        let next = match self.part {
            Part::Fixed(index) => self.accept_fixed(index, byte)?,
            Part::ExtraLength(None) => Part::ExtraLength(Some(byte)),
            Part::ExtraLength(Some(low)) => match u16::from_le_bytes([low, byte]) {
                0 => self.after_extra(),
                length => Part::Extra(length),
            },
            Part::Extra(left) if left > 1 => Part::Extra(left - 1),
            Part::Extra(_) => self.after_extra(),
            Part::Name if byte == 0 => self.after_name(),
            Part::Name => Part::Name,
            Part::Comment if byte == 0 => self.after_comment(),
            Part::Comment => Part::Comment,
            Part::Checksum(None) => Part::Checksum(Some(byte)),
            Part::Checksum(Some(low)) => {
                if u16::from_le_bytes([low, byte]) != self.checksum.clone().finalize() as u16 {
                    return Err(Corrupted);
                }
                Part::End
            }
            Part::End => Part::End,
        };
        // The checksum is over all that comes before itself.
        if !matches!(self.part, Part::Checksum(_)) {
            self.checksum.update(&[byte]);
        }
        self.part = next;
        Ok(matches!(self.part, Part::End))
    }

    fn accept_fixed(&mut self, index: usize, byte: u8) -> Result<Part, Corrupted> {
        match index {
            0 => self.method = byte,
            1 if [self.method, byte] != MAGIC => return Err(Corrupted),
            2 => self.method = byte,
            3 if self.method != DEFLATE || byte & RESERVED != 0 => return Err(Corrupted),
            3 => self.flags = byte,
            _ => {}
        }
        Ok(match index + 1 {
            FIXED_SIZE if self.flags & HAS_EXTRA != 0 => Part::ExtraLength(None),
            FIXED_SIZE => self.after_extra(),
            next => Part::Fixed(next),
        })
    }

    fn after_extra(&self) -> Part {
        if self.flags & HAS_NAME != 0 { Part::Name } else { self.after_name() }
    }

    fn after_name(&self) -> Part {
        if self.flags & HAS_COMMENT != 0 { Part::Comment } else { self.after_comment() }
    }

    fn after_comment(&self) -> Part {
        if self.flags & HAS_CHECKSUM != 0 { Part::Checksum(None) } else { Part::End }
    }
}

/// Checksum and length of the uncompressed data.
#[derive(Default)]
pub struct Trailer {
    checksum: Hasher,
    length: u32,
}

impl Trailer {
    /// Adds uncompressed data.
    pub fn add(&mut self, data: &[u8]) {
        self.checksum.update(data);
        self.length = self.length.wrapping_add(data.len() as u32);
    }

    /// The trailer for what was added.
    pub fn bytes(&self) -> [u8; TRAILER_SIZE] {
        let mut bytes = [0; TRAILER_SIZE];
        bytes[..4].copy_from_slice(&self.checksum.clone().finalize().to_le_bytes());
        bytes[4..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a header to the reader; the length that it was found to have, if it has an end.
    fn read(bytes: &[u8]) -> Result<Option<usize>, Corrupted> {
        let mut header = Header::new();
        for (index, &byte) in bytes.iter().enumerate() {
            if header.accept(byte)? {
                return Ok(Some(index + 1));
            }
        }
        Ok(None)
    }

    #[test]
    fn plain_header_ends_after_its_fixed_part() {
        let mut bytes = HEADER.to_vec();
        bytes.push(7);
        assert_eq!(read(&bytes), Ok(Some(FIXED_SIZE)));
        assert_eq!(read(&bytes[..5]), Ok(None));
    }

    #[test]
    fn all_optional_parts_are_skipped() {
        let mut bytes = HEADER.to_vec();
        bytes[3] = HAS_CHECKSUM | HAS_EXTRA | HAS_NAME | HAS_COMMENT;
        bytes.extend(b"\x03\0xyzname\0comment\0");
        let checksum = crc32fast::hash(&bytes) as u16;
        bytes.extend(checksum.to_le_bytes());
        let length = bytes.len();
        bytes.push(7);
        assert_eq!(read(&bytes), Ok(Some(length)));
        bytes[length - 1] ^= 1;
        assert_eq!(read(&bytes), Err(Corrupted));
    }

    #[test]
    fn other_data_are_refused() {
        assert_eq!(read(b"P"), Ok(None));
        assert_eq!(read(b"PK"), Err(Corrupted));
        assert_eq!(read(b"\x1f\x8b\x07"), Ok(None));
        assert_eq!(read(b"\x1f\x8b\x07\0"), Err(Corrupted));
        assert_eq!(read(b"\x1f\x8b\x08\x80"), Err(Corrupted));
    }
}
