//! Data processing, multiplication, division and bit fields.

use super::{Condition, field};
use smallvec::{SmallVec, smallvec};

/// Operations of the data-processing group, by code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum DataOp {
    /// `first & second`
    And,
    /// `first ^ second`
    Eor,
    /// `first - second`
    Sub,
    /// `second - first`
    Rsb,
    /// `first + second`
    Add,
    /// `first + second + carry`
    Adc,
    /// `first - second - !carry`
    Sbc,
    /// `second - first - !carry`
    Rsc,
    /// Flags of `first & second`.
    Tst,
    /// Flags of `first ^ second`.
    Teq,
    /// Flags of `first - second`.
    Cmp,
    /// Flags of `first + second`.
    Cmn,
    /// `first | second`
    Orr,
    /// `second`
    Mov,
    /// `first & !second`
    Bic,
    /// `!second`
    Mvn,
}

impl DataOp {
    /// All of them, by code.
    pub const ALL: [DataOp; 16] = [
        DataOp::And,
        DataOp::Eor,
        DataOp::Sub,
        DataOp::Rsb,
        DataOp::Add,
        DataOp::Adc,
        DataOp::Sbc,
        DataOp::Rsc,
        DataOp::Tst,
        DataOp::Teq,
        DataOp::Cmp,
        DataOp::Cmn,
        DataOp::Orr,
        DataOp::Mov,
        DataOp::Bic,
        DataOp::Mvn,
    ];
    /// Mnemonic.
    pub fn name(self) -> &'static str {
        ["and", "eor", "sub", "rsb", "add", "adc", "sbc", "rsc", "tst", "teq", "cmp", "cmn", "orr", "mov", "bic", "mvn"]
            [self as usize]
    }
    /// Whether it only sets flags.
    pub fn only_compares(self) -> bool {
        matches!(self, DataOp::Tst | DataOp::Teq | DataOp::Cmp | DataOp::Cmn)
    }
    /// Whether it has no first operand.
    pub fn is_move(self) -> bool {
        matches!(self, DataOp::Mov | DataOp::Mvn)
    }
}

/// A constant that fits into a data-processing instruction: 8 bits rotated right by an even number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ModifiedImmediate(u16);

impl ModifiedImmediate {
    /// 0.
    pub const ZERO: ModifiedImmediate = ModifiedImmediate(0);
    /// 1.
    pub const ONE: ModifiedImmediate = ModifiedImmediate(1);
    /// The encoding of `value` with the smallest rotation, if there is any.
    pub fn new(value: u32) -> Option<ModifiedImmediate> {
        (0..16u16).find_map(|rotation| {
            let bits = value.rotate_left(2 * u32::from(rotation));
            (bits < 256).then_some(ModifiedImmediate(rotation << 8 | bits as u16))
        })
    }
    /// The constant.
    pub fn value(self) -> u32 {
        u32::from(self.0 & 0xff).rotate_right(2 * u32::from(self.0 >> 8))
    }
    /// Splits a constant of up to 16 significant bits in a row into two that fit, for two additions or subtractions.
    pub fn split(value: u32) -> Option<(ModifiedImmediate, ModifiedImmediate)> {
        let low = 0xff << (value.trailing_zeros() & 30);
        Some((ModifiedImmediate::new(value & low)?, ModifiedImmediate::new(value & !low)?))
    }
}

/// How a register operand is shifted, by code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Shift {
    /// Left.
    Lsl,
    /// Right, zeros come in.
    Lsr,
    /// Right, the sign comes in.
    Asr,
    /// Around to the right.
    Ror,
}

impl Shift {
    /// All of them, by code.
    pub const ALL: [Shift; 4] = [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror];
    /// Mnemonic.
    pub fn name(self) -> &'static str {
        ["lsl", "lsr", "asr", "ror"][self as usize]
    }
    /// Bits 5 to 11 of a shift by a constant: 0 to 31, for `Lsr` and `Asr` also 32; an amount of 0 is no shift, whatever the kind.
    pub(super) fn by_constant(self, amount: u8) -> u32 {
        debug_assert!(amount < 32 || amount == 32 && matches!(self, Shift::Lsr | Shift::Asr), "a shift by {amount}");
        match amount {
            0 => 0,
            amount => u32::from(amount & 31) << 7 | (self as u32) << 5,
        }
    }
}

/// The second operand of a data-processing instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operand2 {
    /// A constant.
    Immediate(ModifiedImmediate),
    /// A register.
    Register(u8),
    /// A register shifted by a constant (0 to 31; `Lsr` and `Asr` also 32; 0 is no shift).
    Shifted(u8, Shift, u8),
    /// A register shifted by the low byte of another; no operand of such an instruction may be pc.
    ShiftedBy(u8, Shift, u8),
    /// A register shifted right by one, carry comes in.
    Rrx(u8),
}

impl Operand2 {
    /// The constant, if it fits.
    pub fn immediate(value: u32) -> Option<Operand2> {
        ModifiedImmediate::new(value).map(Operand2::Immediate)
    }
    fn bits(self) -> u32 {
        match self {
            Operand2::Immediate(immediate) => 1 << 25 | u32::from(immediate.0),
            Operand2::Register(register) => field(register, 0),
            Operand2::Shifted(register, shift, amount) => field(register, 0) | shift.by_constant(amount),
            Operand2::ShiftedBy(register, shift, by) => field(register, 0) | field(by, 8) | (shift as u32) << 5 | 1 << 4,
            Operand2::Rrx(register) => field(register, 0) | 0b11 << 5,
        }
    }
}

/// Any data-processing instruction. Operations that only compare ignore `destination` and always set the flags; moves ignore `first`.
pub fn data(condition: Condition, op: DataOp, set_flags: bool, destination: u8, first: u8, second: Operand2) -> u32 {
    let set_flags = set_flags || op.only_compares();
    let destination = if op.only_compares() { 0 } else { destination };
    let first = if op.is_move() { 0 } else { first };
    condition.bits() | (op as u32) << 21 | u32::from(set_flags) << 20 | field(first, 16) | field(destination, 12) | second.bits()
}

/// `tst`, `teq`, `cmp` or `cmn`
pub fn compare(condition: Condition, op: DataOp, first: u8, second: Operand2) -> u32 {
    debug_assert!(op.only_compares());
    data(condition, op, true, 0, first, second)
}

/// `mov`
pub fn mov(condition: Condition, destination: u8, source: Operand2) -> u32 {
    data(condition, DataOp::Mov, false, destination, 0, source)
}

/// `mvn`
pub fn mvn(condition: Condition, destination: u8, source: Operand2) -> u32 {
    data(condition, DataOp::Mvn, false, destination, 0, source)
}

/// `lsl`, `lsr`, `asr` or `ror` by a constant, which are forms of `mov`.
pub fn mov_shifted(condition: Condition, destination: u8, source: u8, shift: Shift, amount: u8) -> u32 {
    mov(condition, destination, Operand2::Shifted(source, shift, amount))
}

/// `movw`: sets the whole register.
pub fn movw(condition: Condition, destination: u8, value: u16) -> u32 {
    condition.bits() | 0x0300_0000 | field(destination, 12) | split_half(value)
}

/// `movt`: sets the upper half.
pub fn movt(condition: Condition, destination: u8, value: u16) -> u32 {
    condition.bits() | 0x0340_0000 | field(destination, 12) | split_half(value)
}

fn split_half(value: u16) -> u32 {
    u32::from(value >> 12) << 16 | u32::from(value & 0xfff)
}

/// The shortest sequence that puts a constant into a register without touching the flags: one instruction or two.
pub fn constant(condition: Condition, destination: u8, value: u32) -> SmallVec<[u32; 2]> {
    if let Some(source) = Operand2::immediate(value) {
        return smallvec![mov(condition, destination, source)];
    }
    if let Some(source) = Operand2::immediate(!value) {
        return smallvec![mvn(condition, destination, source)];
    }
    let mut words = smallvec![movw(condition, destination, value as u16)];
    if value > 0xffff {
        words.push(movt(condition, destination, (value >> 16) as u16));
    }
    words
}

/// Low 32 bits of a product.
pub fn mul(condition: Condition, destination: u8, first: u8, second: u8) -> u32 {
    condition.bits() | 0x0000_0090 | field(destination, 16) | field(second, 8) | field(first, 0)
}

/// `mla`: `first * second + addend`
pub fn multiply_add(condition: Condition, destination: u8, first: u8, second: u8, addend: u8) -> u32 {
    condition.bits() | 0x0020_0090 | field(destination, 16) | field(addend, 12) | field(second, 8) | field(first, 0)
}

/// `mls`: `minuend - first * second`
pub fn mls(condition: Condition, destination: u8, first: u8, second: u8, minuend: u8) -> u32 {
    condition.bits() | 0x0060_0090 | field(destination, 16) | field(minuend, 12) | field(second, 8) | field(first, 0)
}

/// Multiplications with a result of 64 bits, by code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MultiplyOp {
    /// Unsigned; adds both old halves of the result.
    Umaal = 0b010,
    /// Unsigned.
    Umull = 0b100,
    /// Unsigned; adds the old result.
    Umlal = 0b101,
    /// Signed.
    Smull = 0b110,
    /// Signed; adds the old result.
    Smlal = 0b111,
}

/// A multiplication with a result of 64 bits. `low` and `high` must differ.
pub fn long_multiply(condition: Condition, op: MultiplyOp, low: u8, high: u8, first: u8, second: u8) -> u32 {
    debug_assert!(low != high);
    condition.bits() | (op as u32) << 21 | 0x90 | field(high, 16) | field(low, 12) | field(second, 8) | field(first, 0)
}

/// Signed division; by zero gives 0, MIN by -1 gives MIN. Not on all processors.
pub fn sdiv(condition: Condition, destination: u8, dividend: u8, divisor: u8) -> u32 {
    condition.bits() | 0x0710_f010 | field(destination, 16) | field(divisor, 8) | field(dividend, 0)
}

/// Unsigned division; by zero gives 0. Not on all processors.
pub fn udiv(condition: Condition, destination: u8, dividend: u8, divisor: u8) -> u32 {
    condition.bits() | 0x0730_f010 | field(destination, 16) | field(divisor, 8) | field(dividend, 0)
}

/// Leading zeros; 32 of 0.
pub fn clz(condition: Condition, destination: u8, source: u8) -> u32 {
    condition.bits() | 0x016f_0f10 | field(destination, 12) | field(source, 0)
}

/// Reversals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReverseOp {
    /// Of all bits.
    Rbit = 0x06ff_0f30,
    /// Of all bytes.
    Rev = 0x06bf_0f30,
    /// Of the bytes in each half.
    Rev16 = 0x06bf_0fb0,
    /// Of the bytes of the low half, whose sign is extended.
    Revsh = 0x06ff_0fb0,
}

/// A reversal.
pub fn reverse(condition: Condition, op: ReverseOp, destination: u8, source: u8) -> u32 {
    condition.bits() | op as u32 | field(destination, 12) | field(source, 0)
}

/// Extensions of narrow integers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExtendOp {
    /// Sign of 8 bits.
    Sxtb = 0x06af_0070,
    /// Sign of 16 bits.
    Sxth = 0x06bf_0070,
    /// 8 bits with zeros.
    Uxtb = 0x06ef_0070,
    /// 16 bits with zeros.
    Uxth = 0x06ff_0070,
}

/// An extension.
pub fn extend(condition: Condition, op: ExtendOp, destination: u8, source: u8) -> u32 {
    condition.bits() | op as u32 | field(destination, 12) | field(source, 0)
}

fn bit_range(lsb: u8, width: u8) {
    debug_assert!(width > 0 && lsb + width <= 32, "no bits {lsb} to {}", lsb + width);
}

/// Replaces `width` bits from `lsb` on with the low bits of `source`.
pub fn bfi(condition: Condition, destination: u8, source: u8, lsb: u8, width: u8) -> u32 {
    bit_range(lsb, width);
    let last = u32::from(lsb + width - 1);
    condition.bits() | 0x07c0_0010 | last << 16 | field(destination, 12) | u32::from(lsb) << 7 | field(source, 0)
}

/// Clears `width` bits from `lsb` on.
pub fn bfc(condition: Condition, destination: u8, lsb: u8, width: u8) -> u32 {
    bfi(condition, destination, 15, lsb, width)
}

/// `width` bits from `lsb` on, with zeros.
pub fn ubfx(condition: Condition, destination: u8, source: u8, lsb: u8, width: u8) -> u32 {
    bit_field(condition, 0x07e0_0050, destination, source, lsb, width)
}

/// `width` bits from `lsb` on, with their sign.
pub fn sbfx(condition: Condition, destination: u8, source: u8, lsb: u8, width: u8) -> u32 {
    bit_field(condition, 0x07a0_0050, destination, source, lsb, width)
}

fn bit_field(condition: Condition, code: u32, destination: u8, source: u8, lsb: u8, width: u8) -> u32 {
    bit_range(lsb, width);
    condition.bits() | code | u32::from(width - 1) << 16 | field(destination, 12) | u32::from(lsb) << 7 | field(source, 0)
}
