//! VFPv3-D16: floating point.
//!
//! The size of an operation says whether its registers are s or d registers; conversions say it for each side.

use super::memory::BlockMode;
use super::{Condition, field};

/// Size of a float.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FloatSize {
    /// In an s register.
    F32,
    /// In a d register.
    F64,
}

impl FloatSize {
    /// Both.
    pub const ALL: [FloatSize; 2] = [FloatSize::F32, FloatSize::F64];
    /// The register that a float of this size in `dn` is in: `s2n` or `dn`.
    pub fn register(self, double: u8) -> u8 {
        match self {
            FloatSize::F32 => double * 2,
            FloatSize::F64 => double,
        }
    }
    fn bits(self) -> u32 {
        match self {
            FloatSize::F32 => 0,
            FloatSize::F64 => 1 << 8,
        }
    }
    /// The bits of a register number: four at `shift`, the fifth at `extra`.
    fn split(self, register: u8, shift: u32, extra: u32) -> u32 {
        debug_assert!(register < 32);
        let register = u32::from(register);
        match self {
            FloatSize::F32 => register >> 1 << shift | (register & 1) << extra,
            FloatSize::F64 => (register & 15) << shift | register >> 4 << extra,
        }
    }
    fn destination(self, register: u8) -> u32 {
        self.split(register, 12, 22)
    }
    fn first(self, register: u8) -> u32 {
        self.split(register, 16, 7)
    }
    fn second(self, register: u8) -> u32 {
        self.split(register, 0, 5)
    }
}

/// Operations on two floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FloatOp {
    /// Adds `first * second` to the destination, rounding twice.
    Vmla = 0x0e00_0a00,
    /// Subtracts `first * second` from the destination, rounding twice.
    Vmls = 0x0e00_0a40,
    /// `first * second`
    Vmul = 0x0e20_0a00,
    /// `-(first * second)`
    Vnmul = 0x0e20_0a40,
    /// `first + second`
    Vadd = 0x0e30_0a00,
    /// `first - second`
    Vsub = 0x0e30_0a40,
    /// `first / second`
    Vdiv = 0x0e80_0a00,
}

impl FloatOp {
    /// All of them.
    pub const ALL: [FloatOp; 7] =
        [FloatOp::Vmla, FloatOp::Vmls, FloatOp::Vmul, FloatOp::Vnmul, FloatOp::Vadd, FloatOp::Vsub, FloatOp::Vdiv];
    /// Mnemonic.
    pub fn name(self) -> &'static str {
        match self {
            FloatOp::Vmla => "vmla",
            FloatOp::Vmls => "vmls",
            FloatOp::Vmul => "vmul",
            FloatOp::Vnmul => "vnmul",
            FloatOp::Vadd => "vadd",
            FloatOp::Vsub => "vsub",
            FloatOp::Vdiv => "vdiv",
        }
    }
}

/// An operation on two floats.
pub fn float_binary(condition: Condition, op: FloatOp, size: FloatSize, destination: u8, first: u8, second: u8) -> u32 {
    condition.bits() | op as u32 | size.bits() | size.destination(destination) | size.first(first) | size.second(second)
}

/// Operations on one float.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FloatUnaryOp {
    /// Copies.
    Vmov = 0x0eb0_0a40,
    /// Clears the sign.
    Vabs = 0x0eb0_0ac0,
    /// Flips the sign.
    Vneg = 0x0eb1_0a40,
    /// Square root.
    Vsqrt = 0x0eb1_0ac0,
}

impl FloatUnaryOp {
    /// All of them.
    pub const ALL: [FloatUnaryOp; 4] = [FloatUnaryOp::Vmov, FloatUnaryOp::Vabs, FloatUnaryOp::Vneg, FloatUnaryOp::Vsqrt];
    /// Mnemonic.
    pub fn name(self) -> &'static str {
        match self {
            FloatUnaryOp::Vmov => "vmov",
            FloatUnaryOp::Vabs => "vabs",
            FloatUnaryOp::Vneg => "vneg",
            FloatUnaryOp::Vsqrt => "vsqrt",
        }
    }
}

/// An operation on one float.
pub fn float_unary(condition: Condition, op: FloatUnaryOp, size: FloatSize, destination: u8, source: u8) -> u32 {
    condition.bits() | op as u32 | size.bits() | size.destination(destination) | size.second(source)
}

/// Compares for [`flags_from_float`]. With `signals`, quiet NaNs raise the invalid flag too, which nobody looks at.
pub fn float_compare(condition: Condition, size: FloatSize, signals: bool, first: u8, second: u8) -> u32 {
    let code = 0x0eb4_0a40 | u32::from(signals) << 7;
    condition.bits() | code | size.bits() | size.destination(first) | size.second(second)
}

/// Compares with positive zero, likewise.
pub fn float_compare_zero(condition: Condition, size: FloatSize, signals: bool, first: u8) -> u32 {
    let code = 0x0eb5_0a40 | u32::from(signals) << 7;
    condition.bits() | code | size.bits() | size.destination(first)
}

/// `vmrs APSR_nzcv, FPSCR`: moves the outcome of a comparison to the flags: less N, equal Z C, greater C, unordered C V.
pub fn flags_from_float(condition: Condition) -> u32 {
    condition.bits() | 0x0ef1_fa10
}

/// A constant that fits into `vmov`: a sign, 4 bits of mantissa, and an exponent of -3 to 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FloatImmediate(u8);

impl FloatImmediate {
    /// The f32 with these bits, if it fits.
    pub fn from_f32(bits: u32) -> Option<FloatImmediate> {
        FloatImmediate::from_f64(f64::from(f32::from_bits(bits)).to_bits())
    }
    /// The f64 with these bits, if it fits.
    pub fn from_f64(bits: u64) -> Option<FloatImmediate> {
        let exponent = (bits >> 52) as u32 & 0x7ff;
        if bits << 16 != 0 || !(0x3fc..=0x403).contains(&exponent) {
            return None;
        }
        Some(FloatImmediate(((bits >> 63) << 7 | bits >> 48 & 0x7f) as u8))
    }
}

/// `vmov` of a constant.
pub fn float_constant(condition: Condition, size: FloatSize, destination: u8, value: FloatImmediate) -> u32 {
    let (high, low) = (u32::from(value.0 >> 4), u32::from(value.0 & 15));
    condition.bits() | 0x0eb0_0a00 | size.bits() | size.destination(destination) | high << 16 | low
}

/// Conversions. To integers they round toward zero, saturate, and give 0 of NaN. Integers are in s registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Convert {
    /// f32 to f64.
    F32ToF64,
    /// f64 to f32.
    F64ToF32,
    /// Signed 32 bits to float.
    SignedTo(FloatSize),
    /// Unsigned 32 bits to float.
    UnsignedTo(FloatSize),
    /// Float to signed 32 bits.
    ToSigned(FloatSize),
    /// Float to unsigned 32 bits.
    ToUnsigned(FloatSize),
}

/// A conversion. Each register is an s or a d register by its side's type.
pub fn float_convert(condition: Condition, convert: Convert, destination: u8, source: u8) -> u32 {
    use FloatSize::{F32, F64};
    // The size bit is that of the float; between floats, of the source.
    let (code, size, to, from) = match convert {
        Convert::F32ToF64 => (0x0eb7_0ac0, F32, F64, F32),
        Convert::F64ToF32 => (0x0eb7_0ac0, F64, F32, F64),
        Convert::SignedTo(size) => (0x0eb8_0ac0, size, size, F32),
        Convert::UnsignedTo(size) => (0x0eb8_0a40, size, size, F32),
        Convert::ToSigned(size) => (0x0ebd_0ac0, size, F32, size),
        Convert::ToUnsigned(size) => (0x0ebc_0ac0, size, F32, size),
    };
    condition.bits() | code | size.bits() | to.destination(destination) | from.second(source)
}

/// `vldr`; the offset is a multiple of 4 within 1020.
pub fn float_load(condition: Condition, size: FloatSize, destination: u8, base: u8, offset: i32) -> u32 {
    float_store(condition, size, destination, base, offset) | 1 << 20
}

/// `vstr`, likewise.
pub fn float_store(condition: Condition, size: FloatSize, source: u8, base: u8, offset: i32) -> u32 {
    debug_assert!(offset % 4 == 0 && offset.abs() <= 1020, "an offset of {offset}");
    let up = u32::from(offset >= 0) << 23;
    condition.bits() | 0x0d00_0a00 | size.bits() | up | field(base, 16) | size.destination(source) | offset.unsigned_abs() >> 2
}

/// `vldm` of `count` registers from `first` on; only `IncrementAfter`, and `DecrementBefore` with `write_back`.
pub fn float_load_many(
    condition: Condition,
    mode: BlockMode,
    size: FloatSize,
    base: u8,
    write_back: bool,
    first: u8,
    count: u8,
) -> u32 {
    float_store_many(condition, mode, size, base, write_back, first, count) | 1 << 20
}

/// `vstm`, likewise.
pub fn float_store_many(
    condition: Condition,
    mode: BlockMode,
    size: FloatSize,
    base: u8,
    write_back: bool,
    first: u8,
    count: u8,
) -> u32 {
    debug_assert!(mode == BlockMode::IncrementAfter || mode == BlockMode::DecrementBefore && write_back);
    debug_assert!(count > 0);
    let words = u32::from(count) << u32::from(size == FloatSize::F64);
    condition.bits()
        | 0x0c00_0a00
        | mode.bits()
        | size.bits()
        | u32::from(write_back) << 21
        | field(base, 16)
        | size.destination(first)
        | words
}

/// `vpush` of `count` registers from `first` on, the first to the lowest address.
pub fn float_push(condition: Condition, size: FloatSize, first: u8, count: u8) -> u32 {
    float_store_many(condition, BlockMode::DecrementBefore, size, 13, true, first, count)
}

/// `vpop`, likewise.
pub fn float_pop(condition: Condition, size: FloatSize, first: u8, count: u8) -> u32 {
    float_load_many(condition, BlockMode::IncrementAfter, size, 13, true, first, count)
}

/// `vmov sn, rt`
pub fn move_core_to_single(condition: Condition, single: u8, core: u8) -> u32 {
    condition.bits() | 0x0e00_0a10 | FloatSize::F32.first(single) | field(core, 12)
}

/// `vmov rt, sn`
pub fn move_single_to_core(condition: Condition, core: u8, single: u8) -> u32 {
    move_core_to_single(condition, single, core) | 1 << 20
}

/// `vmov dm, low, high`
pub fn move_core_pair_to_double(condition: Condition, double: u8, low: u8, high: u8) -> u32 {
    condition.bits() | 0x0c40_0b10 | FloatSize::F64.second(double) | field(low, 12) | field(high, 16)
}

/// `vmov low, high, dm`
pub fn move_double_to_core_pair(condition: Condition, low: u8, high: u8, double: u8) -> u32 {
    move_core_pair_to_double(condition, double, low, high) | 1 << 20
}
