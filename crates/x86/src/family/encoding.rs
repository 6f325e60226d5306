//! The bytes of instructions with a register and a register-or-memory operand, by ModRM.
//!
//! Most of the instruction set is one opcode and this operand pair, and addresses take their shortest form only if chosen when
//! registers and displacement are known; so these few functions serve all of it. Stubs, which are sequences of fixed shape, are
//! written with `dynasm!` instead. Knows registers by hardware number only.

use dynasmrt::{AssemblyOffset, DynasmApi};

/// A byte vector that `dynasm!` writes to. Offsets are those of the vector.
pub struct Sink<'a>(pub &'a mut Vec<u8>);

impl Extend<u8> for Sink<'_> {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.0.extend(bytes);
    }
}

impl<'b> Extend<&'b u8> for Sink<'_> {
    fn extend<T: IntoIterator<Item = &'b u8>>(&mut self, bytes: T) {
        self.0.extend(bytes);
    }
}

impl DynasmApi for Sink<'_> {
    fn offset(&self) -> AssemblyOffset {
        AssemblyOffset(self.0.len())
    }
    fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }
    fn align(&mut self, alignment: usize, with: u8) {
        while self.0.len() % alignment != 0 {
            self.0.push(with);
        }
    }
}

/// An opcode with its mandatory prefix and escape bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opcode {
    prefix: u8,
    /// 0: one-byte opcodes; 1: `0F`; 2: `0F 38`; 3: `0F 3A`.
    map: u8,
    byte: u8,
}

impl Opcode {
    /// A one-byte opcode.
    #[inline]
    pub const fn one(byte: u8) -> Opcode {
        Opcode { prefix: 0, map: 0, byte }
    }
    /// An opcode after `0F`.
    #[inline]
    pub const fn two(byte: u8) -> Opcode {
        Opcode { prefix: 0, map: 1, byte }
    }
    /// An opcode after `0F`, with a mandatory prefix (0 for none).
    #[inline]
    pub const fn sse(prefix: u8, byte: u8) -> Opcode {
        Opcode { prefix, map: 1, byte }
    }
    /// The same with a prefix (operand size or mandatory).
    #[inline]
    pub const fn with_prefix(self, prefix: u8) -> Opcode {
        Opcode { prefix, ..self }
    }
}

/// An operand that ModRM can name, with hardware register numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A register.
    Register(u8),
    /// base + index × 2^shift + displacement
    Memory {
        /// Base register.
        base: u8,
        /// Index register (not 4) and shift.
        index: Option<(u8, u8)>,
        /// Displacement.
        displacement: i32,
    },
    /// index × 2^shift + displacement
    Scaled {
        /// Index register (not 4).
        index: u8,
        /// Shift.
        shift: u8,
        /// Displacement.
        displacement: i32,
    },
    /// Relative to the end of the instruction (64 bits only); the field is written as 0.
    RipRelative,
    /// base + index × 2^shift + a 32-bit field that is written as 0
    Field {
        /// Base register (not 4).
        base: u8,
        /// Index register (not 4) and shift.
        index: Option<(u8, u8)>,
    },
    /// fs:index × 2^shift + displacement (32 bits only)
    Segment {
        /// Index register (not 4) and shift.
        index: Option<(u8, u8)>,
        /// Displacement.
        displacement: i32,
    },
}

/// Prefix that makes an address relative to the segment register fs.
const SEGMENT_FS: u8 = 0x64;

impl Place {
    /// base + displacement
    #[inline]
    pub const fn base(base: u8, displacement: i32) -> Place {
        Place::Memory { base, index: None, displacement }
    }
    /// Registers that extend the index and base fields.
    #[inline]
    fn index_and_base(self) -> (u8, u8) {
        match self {
            Place::Register(register) => (0, register),
            Place::Memory { base, index, .. } | Place::Field { base, index } => (index.map_or(0, |(index, _)| index), base),
            Place::Scaled { index, .. } => (index, 0),
            Place::Segment { index, .. } => (index.map_or(0, |(index, _)| index), 0),
            Place::RipRelative => (0, 0),
        }
    }
}

/// Operand width as it enters the encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// No `REX.W`.
    Narrow,
    /// `REX.W`.
    Wide,
    /// No `REX.W`, and byte registers: 4 to 7 need a `REX` to mean `spl` to `dil`. The first flag is for the register operand,
    /// the second for a register in the place of memory.
    Byte(bool, bool),
}

/// Encodes `opcode` with the register field `register` (or opcode extension) and `place`. Returns the offset of the displacement
/// field if the operand has one to be filled in.
pub fn encode(bytes: &mut Vec<u8>, opcode: Opcode, width: Width, register: u8, place: Place) -> Option<usize> {
    if let Place::Segment { .. } = place {
        bytes.push(SEGMENT_FS);
    }
    if opcode.prefix != 0 {
        bytes.push(opcode.prefix);
    }
    let (index, base) = place.index_and_base();
    let wide = (width == Width::Wide) as u8;
    let rex = 0x40 | wide << 3 | (register >> 3) << 2 | (index >> 3) << 1 | base >> 3;
    let byte_register = match width {
        Width::Byte(in_register, in_place) => {
            (in_register && (4..8).contains(&register))
                || (in_place && matches!(place, Place::Register(register) if (4..8).contains(&register)))
        }
        _ => false,
    };
    if rex != 0x40 || byte_register {
        bytes.push(rex);
    }
    match opcode.map {
        0 => {}
        1 => bytes.push(0x0f),
        2 => bytes.extend_from_slice(&[0x0f, 0x38]),
        _ => bytes.extend_from_slice(&[0x0f, 0x3a]),
    }
    bytes.push(opcode.byte);
    encode_place(bytes, register, place)
}

/// Encodes the VEX form of an opcode of map 2 (`0F 38`), such as `shlx`: `operand` is the register in `VEX.vvvv`.
pub fn encode_vex_0f38(
    bytes: &mut Vec<u8>,
    opcode: Opcode,
    wide: bool,
    register: u8,
    operand: u8,
    place: Place,
) -> Option<usize> {
    let (index, base) = place.index_and_base();
    let prefix = match opcode.prefix {
        0x66 => 1,
        0xf3 => 2,
        0xf2 => 3,
        _ => 0,
    };
    bytes.push(0xc4);
    bytes.push((!(register >> 3) & 1) << 7 | (!(index >> 3) & 1) << 6 | (!(base >> 3) & 1) << 5 | 2);
    bytes.push((wide as u8) << 7 | (!operand & 15) << 3 | prefix);
    bytes.push(opcode.byte);
    encode_place(bytes, register, place)
}

fn encode_place(bytes: &mut Vec<u8>, register: u8, place: Place) -> Option<usize> {
    let field = (register & 7) << 3;
    match place {
        Place::Register(register) => bytes.push(0xc0 | field | register & 7),
        Place::Memory { base, index, displacement } => {
            // rbp and r13 as base without displacement would mean something else.
            let mode = if displacement == 0 && base & 7 != 5 {
                0
            } else if i8::try_from(displacement).is_ok() {
                1
            } else {
                2
            };
            match index {
                Some((index, shift)) => {
                    bytes.push(mode << 6 | field | 4);
                    bytes.push(shift << 6 | (index & 7) << 3 | base & 7);
                }
                // rsp and r12 as base need a SIB byte.
                None if base & 7 == 4 => bytes.extend_from_slice(&[mode << 6 | field | 4, 0x24]),
                None => bytes.push(mode << 6 | field | base & 7),
            }
            match mode {
                0 => {}
                1 => bytes.push(displacement as u8),
                _ => bytes.extend_from_slice(&displacement.to_le_bytes()),
            }
        }
        Place::Field { base, index } => {
            match index {
                Some((index, shift)) => bytes.extend_from_slice(&[0x84 | field, shift << 6 | (index & 7) << 3 | base & 7]),
                None => bytes.push(0x80 | field | base & 7),
            }
            let offset = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            return Some(offset);
        }
        Place::Segment { index: None, displacement } => {
            bytes.push(field | 5);
            bytes.extend_from_slice(&displacement.to_le_bytes());
        }
        Place::Segment { index: Some((index, shift)), displacement } | Place::Scaled { index, shift, displacement } => {
            bytes.push(field | 4);
            bytes.push(shift << 6 | (index & 7) << 3 | 5);
            bytes.extend_from_slice(&displacement.to_le_bytes());
        }
        Place::RipRelative => {
            bytes.push(field | 5);
            let offset = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            return Some(offset);
        }
    }
    None
}
