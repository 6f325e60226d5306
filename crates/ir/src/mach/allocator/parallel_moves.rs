//! Puts moves that happen at once into a sequence.

use crate::mach::registers::{Allocation, RegisterFile, SpillSlot};
use crate::mach::vcode::Edit;
use crate::types::Type;

/// A move that happens at once with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParallelMove {
    /// From.
    pub from: Allocation,
    /// To.
    pub to: Allocation,
    /// Type of the vreg.
    pub ty: Type,
}

/// Orders `moves`, of which no two have the same destination (but equal ones are fine), so that each source is read before it is
/// overwritten. `emergency` is a slot of 16 bytes that only this uses; the result says whether it did.
pub fn resolve(moves: &mut Vec<ParallelMove>, file: &RegisterFile, emergency: SpillSlot, out: &mut dyn FnMut(Edit)) -> bool {
    moves.retain(|each| each.from != each.to);
    moves.sort_unstable_by_key(|each| (each.to, each.from));
    moves.dedup_by_key(|each| each.to);
    let mut used_emergency = false;
    // A slot to slot move goes through the scratch register.
    let mut emit = |each: ParallelMove| {
        let scratch = file.scratch[crate::mach::vcode::class_of(each.ty).index()];
        match (each.from, each.to, scratch) {
            (Allocation::Stack(_), Allocation::Stack(_), Some(scratch)) => {
                let scratch = Allocation::Reg(scratch);
                out(Edit::Move { from: each.from, to: scratch, ty: each.ty });
                out(Edit::Move { from: scratch, to: each.to, ty: each.ty });
            }
            _ => out(Edit::Move { from: each.from, to: each.to, ty: each.ty }),
        }
    };
    while !moves.is_empty() {
        let mut index = 0;
        let mut progress = false;
        while index < moves.len() {
            let to = moves[index].to;
            if moves.iter().any(|other| other.from == to) {
                index += 1;
            } else {
                emit(moves.swap_remove(index));
                progress = true;
            }
        }
        if !progress {
            // Only cycles are left: what is about to be overwritten first is kept in the emergency slot.
            let first = moves[0];
            let keep = Allocation::Stack(emergency);
            // The type that the value at the destination has is that of the move which reads it.
            let reader = moves.iter().position(|other| other.from == first.to).unwrap_or(0);
            let in_registers = moves.iter().all(|each| each.from.as_reg().is_some() && each.to.as_reg().is_some());
            let keep = match file.scratch[crate::mach::vcode::class_of(moves[reader].ty).index()] {
                Some(scratch) if in_registers => Allocation::Reg(scratch),
                _ => {
                    used_emergency = true;
                    keep
                }
            };
            emit(ParallelMove { from: first.to, to: keep, ty: moves[reader].ty });
            for each in moves.iter_mut().filter(|each| each.from == first.to) {
                each.from = keep;
            }
        }
    }
    used_emergency
}
