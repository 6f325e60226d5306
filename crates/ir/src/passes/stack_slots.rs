//! Which stack slots are only accessed directly, so that no pointer to them gets away.

use super::rewrite::for_each_use;
use crate::entity::{Entity, StackSlot, Value};
use crate::function::Function;
use crate::instruction::{Aux, Instruction, Opcode};

/// What is known of each stack slot, by its index.
pub struct SlotUses {
    /// Its address is used for something other than a direct access.
    pub escapes: Vec<bool>,
    /// It is read somewhere, or escapes.
    pub is_read: Vec<bool>,
}

/// The slot and offset that `value` is the address of.
pub fn slot_address(function: &Function, value: Value) -> Option<(StackSlot, i32)> {
    match function.insts[function.def_inst(value)?].aux {
        Aux::Slot(slot, offset) => Some((slot, offset)),
        _ => None,
    }
}

/// Whether argument number `index` of `instruction` is an address that is only read, only written, or neither.
fn access_of(instruction: &Instruction, index: usize) -> Option<Opcode> {
    match (instruction.opcode, index) {
        (Opcode::Load, 0) | (Opcode::CopyMemory, 1) => Some(Opcode::Load),
        (Opcode::Store, 0) | (Opcode::StoreRef, 1) | (Opcode::CopyMemory, 0) | (Opcode::ZeroMemory, 0) => Some(Opcode::Store),
        _ => None,
    }
}

/// Looks at all uses of stack addresses.
pub fn find_slot_uses(function: &Function) -> SlotUses {
    let count = function.slots.len();
    let mut uses = SlotUses { escapes: vec![false; count], is_read: vec![false; count] };
    if count == 0 {
        return uses;
    }
    for (slot, data) in function.slots.iter() {
        uses.is_read[slot.index()] = data.in_handler;
    }
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let instruction = &function.insts[inst];
            let mut index = 0;
            for_each_use(instruction, |value| {
                let access = access_of(instruction, index);
                index += 1;
                if let Some((slot, _)) = slot_address(function, value) {
                    uses.escapes[slot.index()] |= access.is_none();
                    uses.is_read[slot.index()] |= access != Some(Opcode::Store);
                }
            });
        }
    }
    uses
}
