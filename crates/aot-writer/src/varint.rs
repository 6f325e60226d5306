//! Numbers in as few bytes as they need (LEB128), and byte strings behind their length.

/// Appends an unsigned number.
pub fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number.
pub fn write_signed(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a signed number in DWARF's encoding (two's complement), which [`Cursor::signed`] does not read.
pub fn write_signed_leb(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 && byte & 0x40 == 0 || value == -1 && byte & 0x40 != 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Appends a byte string.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_unsigned(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an unsigned and a signed number that both are small as a rule: bytes of three bits of the one and four of the other.
pub fn write_pair(out: &mut Vec<u8>, mut first: u64, second: i64) {
    let mut second = ((second << 1) ^ (second >> 63)) as u64;
    loop {
        let byte = (first as u8 & 7) << 4 | second as u8 & 15;
        (first, second) = (first >> 3, second >> 4);
        if first == 0 && second == 0 {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// What [`write_pair`] wrote; both of at most 48 bits.
pub fn read_pair(cursor: &mut Cursor<'_>) -> Option<(u64, i64)> {
    let (mut first, mut second) = (0u64, 0u64);
    for step in 0..16 {
        let byte = cursor.byte()?;
        first |= u64::from(byte >> 4 & 7) << (3 * step);
        second |= u64::from(byte & 15) << (4 * step);
        if byte & 0x80 == 0 {
            return Some((first, (second >> 1) as i64 ^ -((second & 1) as i64)));
        }
    }
    None
}

/// Reads from a slice; `None` where it ends too early or a number is too large.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes }
    }
    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }
    /// An unsigned number.
    pub fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    /// An unsigned number of at most 32 bits.
    pub fn unsigned32(&mut self) -> Option<u32> {
        u32::try_from(self.unsigned()?).ok()
    }
    /// A signed number.
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
    /// A byte string.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        if length > self.rest.len() {
            return None;
        }
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: [(u64, i64); 4] = [(0, 0), (7, -8), (8, 8), (u32::MAX as u64, -(1 << 32))];

    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 1 << 32];
        let mut out = Vec::new();
        for number in numbers {
            write_signed(&mut out, number);
            write_unsigned(&mut out, number as u64);
        }
        for (first, second) in PAIRS {
            write_pair(&mut out, first, second);
        }
        write_bytes(&mut out, b"end");
        let mut cursor = Cursor::new(&out);
        for number in numbers {
            assert_eq!(cursor.signed(), Some(number));
            assert_eq!(cursor.unsigned(), Some(number as u64));
        }
        for pair in PAIRS {
            assert_eq!(read_pair(&mut cursor), Some(pair));
        }
        assert_eq!(cursor.bytes(), Some(&b"end"[..]));
        assert!(cursor.is_empty());
    }

    #[test]
    fn cut_input_is_refused() {
        assert_eq!(Cursor::new(&[0x80]).unsigned(), None);
        assert_eq!(Cursor::new(&[0xff; 11]).unsigned(), None);
        assert_eq!(Cursor::new(&[5, 1, 2]).bytes(), None);
    }
}
