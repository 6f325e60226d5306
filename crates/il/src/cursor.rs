//! Bounds-checked little-endian reading of a byte slice, the base of all decoders of this crate.

use crate::error::{Error, Result};

/// A position in a byte slice. Reading past the end is an error that carries the offset.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, position: 0 }
    }

    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        Cursor { bytes, position }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// Bytes left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// A [`crate::ErrorKind::BadImage`] error at the present position.
    #[cold]
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::bad_image(message).with_offset(self.position)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let taken = self.position.checked_add(length).and_then(|end| self.bytes.get(self.position..end));
        match taken {
            Some(taken) => {
                self.position += length;
                Ok(taken)
            }
            None => Err(self.error("unexpected end of data")),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn skip(&mut self, length: usize) -> Result<()> {
        self.take(length).map(|_| ())
    }

    pub(crate) fn peek_u8(&self) -> Result<u8> {
        self.bytes.get(self.position).copied().ok_or_else(|| self.error("unexpected end of data"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        let byte = self.peek_u8()?;
        self.position += 1;
        Ok(byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned compressed integer (ECMA-335 II.23.2).
    pub(crate) fn compressed_u32(&mut self) -> Result<u32> {
        let first = self.peek_u8()?;
        if first & 0x80 == 0 {
            self.position += 1;
            Ok(u32::from(first))
        } else if first & 0xc0 == 0x80 {
            let bytes: [u8; 2] = self.array()?;
            Ok(u32::from(u16::from_be_bytes(bytes) & 0x3fff))
        } else if first & 0xe0 == 0xc0 {
            let bytes: [u8; 4] = self.array()?;
            Ok(u32::from_be_bytes(bytes) & 0x1fff_ffff)
        } else {
            Err(self.error("invalid compressed integer"))
        }
    }

    /// A signed compressed integer: the sign is rotated into the lowest bit (ECMA-335 II.23.2).
    pub(crate) fn compressed_i32(&mut self) -> Result<i32> {
        let start = self.position;
        let raw = self.compressed_u32()?;
        let value_bits = match self.position - start {
            1 => 6,
            2 => 13,
            _ => 28,
        };
        let magnitude = (raw >> 1) as i32;
        Ok(if raw & 1 == 0 { magnitude } else { magnitude - (1 << value_bits) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_integers_of_the_standard() {
        // The examples of ECMA-335 II.23.2.
        let unsigned: [(&[u8], u32); 6] = [
            (&[0x03], 0x03),
            (&[0x7f], 0x7f),
            (&[0x80, 0x80], 0x80),
            (&[0xae, 0x57], 0x2e57),
            (&[0xbf, 0xff], 0x3fff),
            (&[0xdf, 0xff, 0xff, 0xff], 0x1fff_ffff),
        ];
        for (bytes, value) in unsigned {
            assert_eq!(Cursor::new(bytes).compressed_u32().unwrap(), value);
        }
        let signed: [(&[u8], i32); 7] = [
            (&[0x06], 3),
            (&[0x7b], -3),
            (&[0x80, 0x80], 64),
            (&[0x01], -64),
            (&[0xc0, 0x00, 0x40, 0x00], 8192),
            (&[0x80, 0x01], -8192),
            (&[0xc0, 0x00, 0x00, 0x01], -268435456),
        ];
        for (bytes, value) in signed {
            assert_eq!(Cursor::new(bytes).compressed_i32().unwrap(), value, "{bytes:x?}");
        }
    }
}
