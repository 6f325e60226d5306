//! Loads and stores of general registers.

use super::{Condition, Shift, field};

/// A load or store of one register (`Ldrd`, `Strd`: of an even one and the next).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Transfer {
    /// Loads a word.
    Ldr,
    /// Stores a word.
    Str,
    /// Loads a byte with zeros.
    Ldrb,
    /// Stores a byte.
    Strb,
    /// Loads a half with zeros.
    Ldrh,
    /// Stores a half.
    Strh,
    /// Loads a byte with its sign.
    Ldrsb,
    /// Loads a half with its sign.
    Ldrsh,
    /// Loads two words; the address must be a multiple of 4.
    Ldrd,
    /// Stores two words, likewise.
    Strd,
}

impl Transfer {
    /// All of them.
    pub const ALL: [Transfer; 10] = [
        Transfer::Ldr,
        Transfer::Str,
        Transfer::Ldrb,
        Transfer::Strb,
        Transfer::Ldrh,
        Transfer::Strh,
        Transfer::Ldrsb,
        Transfer::Ldrsh,
        Transfer::Ldrd,
        Transfer::Strd,
    ];
    /// Mnemonic.
    pub fn name(self) -> &'static str {
        ["ldr", "str", "ldrb", "strb", "ldrh", "strh", "ldrsb", "ldrsh", "ldrd", "strd"][self as usize]
    }
    /// The largest constant offset, up and down. Only those that have 4095 shift a register offset.
    pub fn reach(self) -> i32 {
        match self {
            Transfer::Ldr | Transfer::Str | Transfer::Ldrb | Transfer::Strb => 4095,
            _ => 255,
        }
    }
    /// Bits that are the same in all forms.
    fn bits(self) -> u32 {
        match self {
            Transfer::Ldr => 0x0410_0000,
            Transfer::Str => 0x0400_0000,
            Transfer::Ldrb => 0x0450_0000,
            Transfer::Strb => 0x0440_0000,
            Transfer::Ldrh => 0x0010_00b0,
            Transfer::Strh => 0x0000_00b0,
            Transfer::Ldrsb => 0x0010_00d0,
            Transfer::Ldrsh => 0x0010_00f0,
            Transfer::Ldrd => 0x0000_00d0,
            Transfer::Strd => 0x0000_00f0,
        }
    }
}

/// What is added to a base register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Offset {
    /// A constant within [`Transfer::reach`].
    Constant(i32),
    /// A register.
    Register(u8),
    /// A register is subtracted.
    Minus(u8),
    /// A register shifted by a constant.
    Shifted(u8, Shift, u8),
}

/// When the offset counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Indexing {
    /// `[base, offset]`: the base stays.
    None,
    /// `[base, offset]!`: the base becomes the address.
    Before,
    /// `[base], offset`: the base is the address and the offset is added to it afterwards.
    After,
}

/// An address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    /// Register.
    pub base: u8,
    /// Added to it.
    pub offset: Offset,
    /// When.
    pub indexing: Indexing,
}

impl Address {
    /// `[base, #offset]`
    pub fn at(base: u8, offset: i32) -> Address {
        Address { base, offset: Offset::Constant(offset), indexing: Indexing::None }
    }
    /// `[base, index, lsl #shift]`
    pub fn indexed(base: u8, index: u8, shift: u8) -> Address {
        let offset = if shift == 0 { Offset::Register(index) } else { Offset::Shifted(index, Shift::Lsl, shift) };
        Address { base, offset, indexing: Indexing::None }
    }
}

/// A load or store.
pub fn transfer(condition: Condition, op: Transfer, register: u8, address: Address) -> u32 {
    const UP: u32 = 1 << 23;
    let indexing = match address.indexing {
        Indexing::None => 1 << 24,
        Indexing::Before => 1 << 24 | 1 << 21,
        Indexing::After => 0,
    };
    let short = op.reach() == 255;
    let offset = match address.offset {
        Offset::Constant(value) => {
            debug_assert!(value.abs() <= op.reach(), "an offset of {value}");
            let size = value.unsigned_abs();
            let bits = if short { 1 << 22 | (size >> 4) << 8 | size & 15 } else { size };
            bits | if value >= 0 { UP } else { 0 }
        }
        Offset::Register(index) => UP | by_register(short) | field(index, 0),
        Offset::Minus(index) => by_register(short) | field(index, 0),
        Offset::Shifted(index, shift, amount) => {
            debug_assert!(!short || amount == 0, "no shifted offset here");
            UP | by_register(short) | field(index, 0) | shift.by_constant(amount)
        }
    };
    condition.bits() | op.bits() | indexing | offset | field(address.base, 16) | field(register, 12)
}

fn by_register(short: bool) -> u32 {
    if short { 0 } else { 1 << 25 }
}

/// Which way a load or store of several registers goes, and whether it starts at the base or beside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum BlockMode {
    /// Down, from the base on.
    DecrementAfter,
    /// Up, from the base on.
    IncrementAfter,
    /// Down, below the base.
    DecrementBefore,
    /// Up, above the base.
    IncrementBefore,
}

impl BlockMode {
    /// All of them, by code.
    pub const ALL: [BlockMode; 4] =
        [BlockMode::DecrementAfter, BlockMode::IncrementAfter, BlockMode::DecrementBefore, BlockMode::IncrementBefore];
    /// Suffix of mnemonics.
    pub fn name(self) -> &'static str {
        ["da", "ia", "db", "ib"][self as usize]
    }
    pub(super) fn bits(self) -> u32 {
        (self as u32) << 23
    }
}

/// `ldm`: `registers` is a set of bits; the lowest register comes from the lowest address.
pub fn load_many(condition: Condition, mode: BlockMode, base: u8, write_back: bool, registers: u16) -> u32 {
    store_many(condition, mode, base, write_back, registers) | 1 << 20
}

/// `stm`, likewise.
pub fn store_many(condition: Condition, mode: BlockMode, base: u8, write_back: bool, registers: u16) -> u32 {
    debug_assert!(registers != 0);
    condition.bits() | 0x0800_0000 | mode.bits() | u32::from(write_back) << 21 | field(base, 16) | u32::from(registers)
}

/// Pushes a set of registers, the lowest to the lowest address.
pub fn push(condition: Condition, registers: u16) -> u32 {
    if registers.is_power_of_two() {
        let address = Address { base: 13, offset: Offset::Constant(-4), indexing: Indexing::Before };
        return transfer(condition, Transfer::Str, registers.trailing_zeros() as u8, address);
    }
    store_many(condition, BlockMode::DecrementBefore, 13, true, registers)
}

/// Pops a set of registers. With pc in it, it returns (also to Thumb code).
pub fn pop(condition: Condition, registers: u16) -> u32 {
    if registers.is_power_of_two() {
        let address = Address { base: 13, offset: Offset::Constant(4), indexing: Indexing::After };
        return transfer(condition, Transfer::Ldr, registers.trailing_zeros() as u8, address);
    }
    load_many(condition, BlockMode::IncrementAfter, 13, true, registers)
}

/// How much an exclusive load or store moves, by code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ExclusiveSize {
    /// `ldrex`
    Word,
    /// `ldrexd`: an even register and the next; the address must be a multiple of 8.
    Double,
    /// `ldrexb`
    Byte,
    /// `ldrexh`
    Half,
}

impl ExclusiveSize {
    /// All of them, by code.
    pub const ALL: [ExclusiveSize; 4] = [ExclusiveSize::Word, ExclusiveSize::Double, ExclusiveSize::Byte, ExclusiveSize::Half];
    /// Suffix of mnemonics.
    pub fn name(self) -> &'static str {
        ["", "d", "b", "h"][self as usize]
    }
}

/// `ldrex` and its kin: loads and marks the address.
pub fn load_exclusive(condition: Condition, size: ExclusiveSize, register: u8, base: u8) -> u32 {
    condition.bits() | 0x0190_0f9f | (size as u32) << 21 | field(base, 16) | field(register, 12)
}

/// `strex` and its kin: stores if the mark is still there; `status` gets 0 then, else 1, and must be none of the others.
pub fn store_exclusive(condition: Condition, size: ExclusiveSize, status: u8, register: u8, base: u8) -> u32 {
    debug_assert!(status != register && status != base);
    condition.bits() | 0x0180_0f90 | (size as u32) << 21 | field(base, 16) | field(status, 12) | field(register, 0)
}
