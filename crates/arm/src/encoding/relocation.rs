//! Writes references to the outside.

use super::control::branch_field;
use ir::mach::RelocKind;

/// Writes the field at the start of `bytes`, which will lie at `field`, for a target at `target` + `addend`. Says why it cannot.
pub fn apply_reloc(kind: RelocKind, bytes: &mut [u8], field: u64, target: u64, addend: i32) -> Result<(), &'static str> {
    let word = bytes.first_chunk_mut::<4>().ok_or("a relocation lies outside of the code")?;
    // Addresses have 32 bits and distances wrap around.
    let distance = (target as u32).wrapping_add(addend as u32).wrapping_sub(field as u32) as i32;
    *word = match kind {
        RelocKind::ArmPoolRelative32 => distance.to_le_bytes(),
        RelocKind::ArmBranch24 => {
            let bits = branch_field(i64::from(distance) - 8).ok_or("a branch does not reach its target")?;
            (u32::from_le_bytes(*word) & 0xff00_0000 | bits).to_le_bytes()
        }
        _ => return Err("a relocation of another machine"),
    };
    Ok(())
}
