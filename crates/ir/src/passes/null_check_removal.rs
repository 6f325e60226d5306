//! Null check removal: references that are known not to be null are not checked again, and a check right before an access
//! near the start of the object is left to the access, which faults by itself.

use super::rewrite::{apply_aliases, is_pure};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Inst, SideTable, Value};
use crate::function::{Function, ValueDef};
use crate::instruction::{Aux, Effects, Instruction, IntCompare, MemoryFlags, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};

/// The pass.
pub static PASS: Pass = Pass {
    name: "null-check-removal",
    mono_aliases: &[],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// Accesses below this offset from null always fault: the first page is never mapped.
const GUARD_BYTES: i32 = 4096;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    apply_aliases(function);
    control_flow.ensure(function);
    let mut state = State { known: SideTable::with_len(function.values.len()), control_flow, changed: false };
    for index in 0..state.control_flow.reverse_post_order().len() {
        let block = state.control_flow.reverse_post_order()[index];
        state.enter(function, block, index);
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        insts.retain(|&inst| state.visit(function, block, inst));
        let before = insts.len();
        fold_checks(function, &mut insts);
        state.changed |= insts.len() != before;
        function.blocks[block].insts = insts;
    }
    state.changed
}

struct State<'a> {
    /// The block from whose end on (or from within which on) the value is not null.
    known: SideTable<Value, Option<Block>>,
    control_flow: &'a ControlFlow,
    changed: bool,
}

impl State<'_> {
    fn is_known(&self, function: &Function, value: Value, block: Block) -> bool {
        if self.known[value].is_some_and(|known| self.control_flow.dominates(known, block)) {
            return true;
        }
        let Some(inst) = function.def_inst(value) else { return false };
        match function.insts[inst].opcode {
            Opcode::NewObject | Opcode::NewArray | Opcode::StackAddr | Opcode::SymbolAddr => true,
            Opcode::Bitcast => self.is_known(function, function.insts[inst].args[0], block),
            _ => false,
        }
    }

    fn learn(&mut self, value: Value, block: Block) {
        let dominated = self.known[value].is_some_and(|known| self.control_flow.dominates(known, block));
        if !dominated {
            self.known[value] = Some(block);
        }
    }

    /// What the way into `block` tells.
    fn enter(&mut self, function: &Function, block: Block, order: usize) {
        if self.control_flow.roots().contains(&block) {
            return;
        }
        let predecessors = self.control_flow.predecessors(block);
        if let [(_, branch)] = *predecessors {
            if let Some(value) = non_null_on_edge(function, branch, block) {
                self.learn(value, block);
            }
        }
        for (index, &param) in function.blocks[block].params.iter().enumerate() {
            if !function.value_type(param).is_managed() {
                continue;
            }
            let all = predecessors.iter().all(|&(predecessor, branch)| {
                let processed = self.control_flow.order_of(predecessor).is_some_and(|other| other < order);
                function.insts[branch].targets().iter().filter(|target| target.block == block).all(|target| {
                    let value = target.args[index];
                    // On a back edge only what is never null anywhere counts, or the parameter itself.
                    value == param || self.is_known_at(function, value, predecessor, processed)
                })
            });
            if all {
                self.learn(param, block);
            }
        }
    }

    fn is_known_at(&self, function: &Function, value: Value, block: Block, processed: bool) -> bool {
        if processed {
            return self.is_known(function, value, block);
        }
        match function.values[value].def {
            ValueDef::Result(inst, _) => matches!(function.insts[inst].opcode, Opcode::NewObject | Opcode::NewArray),
            _ => false,
        }
    }

    /// Whether `inst` stays.
    fn visit(&mut self, function: &mut Function, block: Block, inst: Inst) -> bool {
        let instruction = &function.insts[inst];
        if instruction.opcode == Opcode::NullCheck {
            let value = instruction.args[0];
            if self.is_known(function, value, block) {
                self.changed = true;
                return false;
            }
            self.learn(value, block);
            return true;
        }
        let Some((address, offset)) = plain_access(instruction) else { return true };
        let traps = instruction.effects().contains(Effects::TRAP);
        let base = function.base_of(address);
        if traps && self.is_known(function, base, block) {
            if let Aux::Memory(memory) = &mut function.insts[inst].aux {
                memory.flags |= MemoryFlags::NO_TRAP;
                self.changed = true;
            }
        } else if traps && address == base && (0..GUARD_BYTES).contains(&offset) {
            self.learn(base, block);
        }
        true
    }
}

/// Address and offset of a load or store.
fn plain_access(instruction: &Instruction) -> Option<(Value, i32)> {
    let Aux::Memory(memory) = &instruction.aux else { return None };
    let address = match instruction.opcode {
        Opcode::StoreRef => instruction.args[1],
        _ => instruction.args[0],
    };
    Some((address, memory.offset))
}

/// The value that is known not to be null where `branch` goes to `target`, and only there.
fn non_null_on_edge(function: &Function, branch: Inst, target: Block) -> Option<Value> {
    let instruction = &function.insts[branch];
    if instruction.opcode != Opcode::Brif {
        return None;
    }
    let compare = &function.insts[function.def_inst(instruction.args[0])?];
    let Aux::IntCompare(condition) = compare.aux else { return None };
    let side = match condition {
        IntCompare::Ne => 0,
        IntCompare::Eq => 1,
        _ => return None,
    };
    let [taken, other] = instruction.targets() else { return None };
    let only = if side == 0 { (taken, other) } else { (other, taken) };
    let is_null = function.int_constant(compare.args[1]) == Some(0);
    (only.0.block == target && only.1.block != target && is_null).then(|| function.resolve(compare.args[0]))
}

/// Drops checks of `insts` (of one block) that an access further down makes by itself.
fn fold_checks(function: &mut Function, insts: &mut Vec<Inst>) {
    let mut index = 0;
    while index < insts.len() {
        let instruction = &function.insts[insts[index]];
        if instruction.opcode == Opcode::NullCheck {
            let (value, source) = (instruction.args[0], instruction.source);
            if let Some(access) = faulting_access(function, &insts[index + 1..], value) {
                if let Aux::Memory(memory) = &mut function.insts[access].aux {
                    memory.flags -= MemoryFlags::NO_TRAP;
                    // The check of `this` belongs to the caller, the access to the method that was inlined.
                    function.insts[access].source = source;
                    insts.remove(index);
                    continue;
                }
            }
        }
        index += 1;
    }
}

/// The first access through `value`, if it is certain to fault on null before anything is to be seen.
fn faulting_access(function: &Function, insts: &[Inst], value: Value) -> Option<Inst> {
    for &inst in insts {
        let instruction = &function.insts[inst];
        if let Some((address, offset)) = plain_access(instruction) {
            let simple = matches!(instruction.opcode, Opcode::Load | Opcode::Store);
            if simple && address == value && (0..GUARD_BYTES).contains(&offset) {
                return Some(inst);
            }
            let harmless = instruction.opcode == Opcode::Load
                && function.base_of(address) != value
                && !instruction.effects().contains(Effects::TRAP)
                && matches!(&instruction.aux, Aux::Memory(memory) if !memory.flags.contains(MemoryFlags::VOLATILE));
            if !harmless {
                return None;
            }
        } else if !is_pure(instruction) {
            return None;
        }
    }
    None
}
