//! Dead code elimination: what no effect depends on goes: instructions, block parameters, unreachable blocks and handlers,
//! and writes to stack slots that nobody reads.

use super::rewrite::{ensure_reachable, for_each_use, is_removable, remove_params};
use super::stack_slots::{SlotUses, find_slot_uses, slot_address};
use crate::control_flow::ControlFlow;
use crate::entity::{Entity, Value};
use crate::function::{Function, ValueDef};
use crate::instruction::{Aux, Instruction, MemoryFlags, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};

/// The pass.
pub static PASS: Pass = Pass {
    name: "dead-code",
    mono_aliases: &["deadce"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| {
        let mut worklist = std::mem::take(&mut context.scratch.values);
        let changed = run(function, &mut context.scratch.control_flow, &mut worklist);
        context.scratch.values = worklist;
        changed
    },
};

/// Runs the pass with `worklist` as memory. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow, worklist: &mut Vec<Value>) -> bool {
    let mut changed = ensure_reachable(function, control_flow);
    let slots = find_slot_uses(function);
    worklist.clear();
    let mut live = Liveness { values: vec![false; function.values.len()], worklist };
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            let instruction = &function.insts[inst];
            if instruction.opcode.is_terminator() || !can_go(function, &slots, instruction) {
                // Branch arguments live only as long as the parameters do.
                instruction.args.iter().for_each(|&value| live.mark(function, value));
            }
        }
    }
    while let Some(value) = live.worklist.pop() {
        match function.values[value].def {
            ValueDef::Result(inst, _) => {
                for_each_use(&function.insts[inst], |argument| live.mark(function, argument));
            }
            ValueDef::Param(block, index) => {
                for &(_, branch) in control_flow.predecessors(block) {
                    for target in function.insts[branch].targets().iter().filter(|target| target.block == block) {
                        live.mark(function, target.args[index as usize]);
                    }
                }
            }
            ValueDef::Alias(_) => {}
        }
    }
    let live = live.values;
    for index in 0..function.layout.len() {
        let block = function.layout[index];
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        let before = insts.len();
        insts.retain(|&inst| {
            let instruction = &function.insts[inst];
            instruction.opcode.is_terminator()
                || !can_go(function, &slots, instruction)
                || function.results[inst].iter().any(|result| live[result.index()])
        });
        changed |= insts.len() != before;
        function.blocks[block].insts = insts;
        let params = &function.blocks[block].params;
        if params.iter().any(|param| !live[param.index()]) && !control_flow.roots().contains(&block) {
            let dead: smallvec::SmallVec<[bool; 8]> = params.iter().map(|param| !live[param.index()]).collect();
            let branches: smallvec::SmallVec<[_; 4]> = control_flow.predecessors(block).iter().map(|edge| edge.1).collect();
            remove_params(function, block, &branches, |index| dead[index]);
            changed = true;
        }
    }
    changed
}

struct Liveness<'a> {
    values: Vec<bool>,
    worklist: &'a mut Vec<Value>,
}

impl Liveness<'_> {
    fn mark(&mut self, function: &Function, value: Value) {
        let value = function.resolve(value);
        if !std::mem::replace(&mut self.values[value.index()], true) {
            self.worklist.push(value);
        }
    }
}

/// Whether `instruction` can go if its result is dead.
fn can_go(function: &Function, slots: &SlotUses, instruction: &Instruction) -> bool {
    let unread = |value: Value| slot_address(function, value).is_some_and(|(slot, _)| !slots.is_read[slot.index()]);
    match instruction.opcode {
        Opcode::Load => match &instruction.aux {
            // A load from the frame cannot fault, flagged or not.
            Aux::Memory(memory) if !memory.flags.contains(MemoryFlags::VOLATILE) => {
                memory.flags.contains(MemoryFlags::NO_TRAP) || slot_address(function, instruction.args[0]).is_some()
            }
            _ => false,
        },
        Opcode::Store | Opcode::ZeroMemory => unread(instruction.args[0]),
        Opcode::StoreRef => unread(instruction.args[1]),
        // The source must be readable for sure too.
        Opcode::CopyMemory => unread(instruction.args[0]) && slot_address(function, instruction.args[1]).is_some(),
        _ => is_removable(instruction),
    }
}
