//! Words of the A32 instruction set, as functions from operands to `u32`.
//!
//! Source: *ARM Architecture Reference Manual, ARMv7-A and ARMv7-R edition* (DDI 0406C), chapters A5 and A8. Registers are hardware
//! numbers: r0 to r15, d0 to d15, s0 to s31 (the f32 in `dn` is `s2n`). Operands that an instruction has no room for are the
//! caller's fault: `new` functions and ranges say what fits, debug builds assert it.

mod control;
mod data;
mod float;
mod labels;
mod memory;
mod relocation;

pub use control::{blx, branch, branch_link, bx, clrex, dmb_ish, nop, udf};
pub use data::{
    DataOp, ExtendOp, ModifiedImmediate, MultiplyOp, Operand2, ReverseOp, Shift, bfc, bfi, clz, compare, constant, data, extend,
    long_multiply, mls, mov, mov_shifted, movt, movw, mul, multiply_add, mvn, reverse, sbfx, sdiv, ubfx, udiv,
};
pub use float::{
    Convert, FloatImmediate, FloatOp, FloatSize, FloatUnaryOp, flags_from_float, float_binary, float_compare, float_compare_zero,
    float_constant, float_convert, float_load, float_load_many, float_pop, float_push, float_store, float_store_many,
    float_unary, move_core_pair_to_double, move_core_to_single, move_double_to_core_pair, move_single_to_core,
};
pub use labels::{
    ArmEncoding, LabelUse, island_after_jump, island_if_needed, jump_through_cell, load_cell, load_double, put_branch,
    symbol_address,
};
pub use memory::{
    Address, BlockMode, ExclusiveSize, Indexing, Offset, Transfer, load_exclusive, load_many, pop, push, store_exclusive,
    store_many, transfer,
};
pub use relocation::apply_reloc;

/// What the flags must be for an instruction to run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Condition {
    /// Equal.
    Eq,
    /// Not equal, or unordered.
    Ne,
    /// Carry set: unsigned higher or same; of floats greater, equal or unordered.
    Hs,
    /// Carry clear: unsigned lower; of floats less.
    Lo,
    /// Negative; of floats less.
    Mi,
    /// Positive or zero; of floats greater, equal or unordered.
    Pl,
    /// Overflow; of floats unordered.
    Vs,
    /// No overflow; of floats ordered.
    Vc,
    /// Unsigned higher; of floats greater or unordered.
    Hi,
    /// Unsigned lower or same; of floats less or equal.
    Ls,
    /// Signed greater or equal; of floats likewise.
    Ge,
    /// Signed less; of floats less or unordered.
    Lt,
    /// Signed greater; of floats likewise.
    Gt,
    /// Signed less or equal; of floats less, equal or unordered.
    Le,
    /// Always.
    Al,
}

impl Condition {
    /// All of them, by code.
    pub const ALL: [Condition; 15] = [
        Condition::Eq,
        Condition::Ne,
        Condition::Hs,
        Condition::Lo,
        Condition::Mi,
        Condition::Pl,
        Condition::Vs,
        Condition::Vc,
        Condition::Hi,
        Condition::Ls,
        Condition::Ge,
        Condition::Lt,
        Condition::Gt,
        Condition::Le,
        Condition::Al,
    ];
    /// The opposite; `Al` has none and stays.
    pub fn inverted(self) -> Condition {
        match self {
            Condition::Al => Condition::Al,
            other => Condition::ALL[other as usize ^ 1],
        }
    }
    /// Suffix of mnemonics.
    pub fn name(self) -> &'static str {
        ["eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", ""][self as usize]
    }
    /// In bits 28 to 31.
    fn bits(self) -> u32 {
        (self as u32) << 28
    }
}

/// A register number moved to bit `shift`.
fn field(register: u8, shift: u32) -> u32 {
    debug_assert!(register < 16, "no register {register}");
    u32::from(register) << shift
}
