//! Tail calls that cannot be: back to calls that return.
//!
//! A tail call leaves its stack arguments where the caller's own caller put this function's, so it can have no more of them. How
//! many there are is only known when everything is in the types of the machine, so the decision comes last.

use crate::entity::Block;
use crate::function::Function;
use crate::instruction::{Aux, Instruction, Opcode};
use crate::signature::Signature;
use crate::types::Type;

/// The call that does the same and comes back, if the opcode is a tail call.
pub fn plain_call(opcode: Opcode) -> Option<Opcode> {
    match opcode {
        Opcode::TailCall => Some(Opcode::Call),
        Opcode::TailCallIndirect => Some(Opcode::CallIndirect),
        _ => None,
    }
}

/// Blocks that end in a tail call with a signature that is not `possible`.
pub fn impossible_tail_calls(function: &Function, possible: impl Fn(&Signature) -> bool) -> Vec<Block> {
    let is_impossible = |block: &Block| match function.insts[function.terminator(*block)] {
        Instruction { opcode: Opcode::TailCall, aux: Aux::Call { signature, .. }, .. }
        | Instruction { opcode: Opcode::TailCallIndirect, aux: Aux::CallIndirect(signature), .. } => {
            !possible(&function.signatures[signature])
        }
        _ => false,
    };
    function.layout.iter().copied().filter(is_impossible).collect()
}

/// Makes a call and a return of the tail call at the end of `block`. Nothing happens if there is none.
pub fn split_tail_call(function: &mut Function, block: Block) {
    let mut instruction = function.insts[function.terminator(block)].clone();
    let Some(plain) = plain_call(instruction.opcode) else { return };
    let source = instruction.source;
    instruction.opcode = plain;
    function.blocks[block].insts.pop();
    let call = function.append(block, instruction);
    let results = function.results[call].clone();
    let mut end = Instruction::new(Opcode::Return, Type::I32, &results, Aux::None);
    end.source = source;
    function.append(block, end);
}
