//! Branches, barriers and the rest.

use super::{Condition, field};

/// Largest distance of a branch in bytes, from its own address plus 8, up; one word more down.
pub const BRANCH_REACH: i64 = (1 << 25) - 4;

/// The 24-bit field for a distance from the branch's own address plus 8, if it reaches.
pub(super) fn branch_field(distance: i64) -> Option<u32> {
    let fits = distance % 4 == 0 && (-BRANCH_REACH - 4..=BRANCH_REACH).contains(&distance);
    fits.then_some((distance >> 2) as u32 & 0x00ff_ffff)
}

/// `b`; `distance` is from the branch's own address plus 8, 0 for one that a label will be written into.
pub fn branch(condition: Condition, distance: i32) -> u32 {
    debug_assert!(branch_field(distance.into()).is_some());
    condition.bits() | 0x0a00_0000 | branch_field(distance.into()).unwrap_or(0)
}

/// `bl`, likewise.
pub fn branch_link(condition: Condition, distance: i32) -> u32 {
    branch(condition, distance) | 1 << 24
}

/// Jumps to the address in a register; an odd one is Thumb code.
pub fn bx(condition: Condition, register: u8) -> u32 {
    condition.bits() | 0x012f_ff10 | field(register, 0)
}

/// Calls the address in a register, likewise.
pub fn blx(condition: Condition, register: u8) -> u32 {
    condition.bits() | 0x012f_ff30 | field(register, 0)
}

/// Does nothing.
pub fn nop() -> u32 {
    0xe320_f000
}

/// Permanently undefined; `code` is for whoever handles the fault.
pub fn udf(code: u16) -> u32 {
    0xe7f0_00f0 | u32::from(code >> 4) << 8 | u32::from(code & 15)
}

/// Orders all memory accesses before it against all after it, as other processors see them.
pub fn dmb_ish() -> u32 {
    0xf57f_f05b
}

/// Removes the mark of an exclusive load.
pub fn clrex() -> u32 {
    0xf57f_f01f
}
