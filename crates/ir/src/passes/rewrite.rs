//! Small changes to a function that many passes make.

use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, Value};
use crate::function::{Function, HandlerKind, ValueDef};
use crate::instruction::{Aux, BlockCall, Effects, Instruction, MemoryFlags, Opcode};
use crate::types::Type;
use smallvec::SmallVec;

/// Replaces every use of an alias by what it stands for.
pub fn apply_aliases(function: &mut Function) {
    if !std::mem::take(&mut function.has_aliases) {
        return;
    }
    let Function { values, insts, blocks, layout, .. } = function;
    let resolve = |value: &mut Value| {
        while let ValueDef::Alias(original) = values[*value].def {
            *value = original;
        }
    };
    for &block in layout.iter() {
        for &inst in &blocks[block].insts {
            let instruction = &mut insts[inst];
            instruction.args.iter_mut().for_each(resolve);
            for target in instruction.targets_mut() {
                target.args.iter_mut().for_each(resolve);
            }
        }
    }
}

/// Calls `visit` with every value that `instruction` uses, branch arguments included.
pub fn for_each_use(instruction: &Instruction, mut visit: impl FnMut(Value)) {
    instruction.args.iter().copied().for_each(&mut visit);
    for target in instruction.targets() {
        target.args.iter().copied().for_each(&mut visit);
    }
}

/// How often each value is used, by the value's index.
pub fn count_uses(function: &Function) -> Vec<u32> {
    let mut uses = vec![0; function.values.len()];
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            for_each_use(&function.insts[inst], |value| {
                uses[function.resolve(value).index()] += 1;
            });
        }
    }
    uses
}

/// Whether `instruction` only computes its result: no effect at all, so it may be removed, merged and moved to any place
/// where its arguments are there.
pub fn is_pure(instruction: &Instruction) -> bool {
    let effects = instruction.effects();
    !effects.intersects(Effects::READ | Effects::WRITE | Effects::TRAP | Effects::CALL | Effects::TERMINATOR)
}

/// Whether `instruction` may be removed if its result is not used. An allocation may: what it can raise is only that
/// memory ran out.
pub fn is_removable(instruction: &Instruction) -> bool {
    match instruction.opcode {
        Opcode::Load => match &instruction.aux {
            Aux::Memory(memory) => memory.flags.contains(MemoryFlags::NO_TRAP) && !memory.flags.contains(MemoryFlags::VOLATILE),
            _ => false,
        },
        Opcode::NewObject => matches!(&instruction.aux, Aux::Allocation(allocation) if allocation.fast),
        _ => is_pure(instruction),
    }
}

/// Replaces the terminator of `block` by a jump.
pub fn set_jump(function: &mut Function, block: Block, target: BlockCall) {
    let inst = function.terminator(block);
    let instruction = &mut function.insts[inst];
    instruction.opcode = Opcode::Jump;
    instruction.ty = Type::I32;
    instruction.args.clear();
    instruction.aux = Aux::Targets(vec![target]);
}

/// Removes the parameters of `block` for which `remove` says so (by their number), and the arguments passed to them.
/// `branches` are the terminators that may branch to `block`.
pub fn remove_params(function: &mut Function, block: Block, branches: &[Inst], remove: impl Fn(usize) -> bool) {
    let mut kept = 0;
    for index in 0..function.blocks[block].params.len() {
        if remove(index) {
            continue;
        }
        let value = function.blocks[block].params[index];
        function.blocks[block].params[kept] = value;
        function.values[value].def = ValueDef::Param(block, kept as u32);
        kept += 1;
    }
    function.blocks[block].params.truncate(kept);
    for (number, &branch) in branches.iter().enumerate() {
        // A branch with two edges into the block is listed twice.
        if branches[..number].contains(&branch) {
            continue;
        }
        for target in function.insts[branch].targets_mut() {
            if target.block == block {
                let args: SmallVec<[Value; 2]> =
                    target.args.iter().enumerate().filter(|&(index, _)| !remove(index)).map(|(_, &value)| value).collect();
                target.args = args;
            }
        }
    }
}

/// Computes order and edges of the control flow and takes unreachable blocks out of the layout and handlers of regions without a reachable
/// block out of their regions. True if there were any. Passes that change block parameters start with this, so that every
/// branch they have to adapt is among the predecessors.
pub fn compute_reachable(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    control_flow.invalidate();
    ensure_reachable(function, control_flow)
}

/// The same at the start of a pass: what the pass before has left is used if it still holds.
pub fn ensure_reachable(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    control_flow.ensure_edges(function);
    if control_flow.reverse_post_order().len() == function.layout.len() {
        return false;
    }
    function.layout.retain(|&block| control_flow.is_reachable(block));
    for region in function.regions.values_mut() {
        region.handlers.retain(|handler| {
            control_flow.is_reachable(handler.entry)
                && match handler.kind {
                    HandlerKind::Filter(filter) => control_flow.is_reachable(filter),
                    _ => true,
                }
        });
    }
    true
}

/// Marks blocks that can only lead to cold ones or to an exception. The entry is never cold. Needs the order only.
pub fn mark_cold(function: &mut Function, control_flow: &ControlFlow) {
    for &block in control_flow.reverse_post_order().iter().rev() {
        if function.blocks[block].cold || block == function.entry() {
            continue;
        }
        let terminator = &function.insts[function.terminator(block)];
        let ends = matches!(terminator.opcode, Opcode::Trap | Opcode::Unreachable);
        let targets = terminator.targets();
        // A target that comes before in the order is not decided yet, and counts as not cold.
        let leads = !targets.is_empty() && targets.iter().all(|target| function.blocks[target.block].cold);
        function.blocks[block].cold = ends || leads;
    }
}
