//! Loop-invariant code motion: what gives the same in every iteration is computed before the loop.
//!
//! Pure computations may go wherever they stand. Loads, checks and lazily filled cells only go if the first iteration
//! surely gets to them before it does anything that can be seen, so that an exception comes when it would have come.
//!
//! A loop that could never end by itself if a load left it waits for another thread: such loads stay, volatile or not.

use super::rewrite::{apply_aliases, ensure_reachable, is_pure};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, Loop, Value};
use crate::function::{Function, ValueDef};
use crate::instruction::{Alias, Aux, BlockCall, Effects, Instruction, MemoryFlags, Opcode};
use crate::loops::LoopForest;
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::Type;
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "loop-invariant-motion",
    mono_aliases: &["loop"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    let unreachable = ensure_reachable(function, control_flow);
    if !control_flow.has_back_edge() {
        return unreachable;
    }
    apply_aliases(function);
    control_flow.ensure(function);
    let mut forest = LoopForest::new(function, control_flow);
    if forest.loops.is_empty() {
        return unreachable;
    }
    let added = add_preheaders(function, control_flow, &forest);
    if added {
        control_flow.compute(function);
        forest = LoopForest::new(function, control_flow);
    }
    let mut blocks = vec![None; function.values.len()];
    for &block in &function.layout {
        for &inst in &function.blocks[block].insts {
            function.results[inst].iter().for_each(|result| blocks[result.index()] = Some(block));
        }
        function.blocks[block].params.iter().for_each(|param| blocks[param.index()] = Some(block));
    }
    let moved = vec![false; function.insts.len()];
    let mut motion = Motion { control_flow, forest: &forest, blocks, moved, waited_for: Vec::new() };
    motion.waited_for = forest.loops.keys().flat_map(|around| motion.waited_for(function, around)).collect();
    let mut changed = added | unreachable;
    for around in forest.loops.keys() {
        changed |= motion.hoist(function, around);
    }
    changed
}

/// The block before `header` that only leads there.
fn preheader(function: &Function, control_flow: &ControlFlow, forest: &LoopForest, around: Loop) -> Option<Block> {
    let header = forest.loops[around].header;
    let mut outside = control_flow.predecessors(header).iter().filter(|edge| !forest.contains(around, edge.0));
    let (block, branch) = *outside.next()?;
    let fits = outside.next().is_none()
        && function.insts[branch].opcode == Opcode::Jump
        && function.blocks[block].region == function.blocks[header].region;
    fits.then_some(block)
}

/// Gives every loop a block before its header. True if one was missing.
fn add_preheaders(function: &mut Function, control_flow: &ControlFlow, forest: &LoopForest) -> bool {
    let mut added = false;
    for around in forest.loops.keys() {
        let header = forest.loops[around].header;
        if control_flow.roots().contains(&header) || preheader(function, control_flow, forest, around).is_some() {
            continue;
        }
        let block = function.add_block();
        function.blocks[block].region = function.blocks[header].region;
        function.blocks[block].cold = function.blocks[header].cold;
        let mut args: SmallVec<[Value; 2]> = SmallVec::new();
        for index in 0..function.blocks[header].params.len() {
            let ty = function.value_type(function.blocks[header].params[index]);
            args.push(function.add_block_param(block, ty));
        }
        let aux = Aux::Targets(vec![BlockCall { block: header, args }]);
        function.append(block, Instruction::new(Opcode::Jump, Type::I32, &[], aux));
        for &(predecessor, branch) in control_flow.predecessors(header) {
            if !forest.contains(around, predecessor) {
                let targets = function.insts[branch].targets_mut();
                targets.iter_mut().filter(|target| target.block == header).for_each(|target| target.block = block);
            }
        }
        // In front of the header, where it falls through.
        function.layout.pop();
        let place = function.layout.iter().position(|&other| other == header).unwrap_or(function.layout.len());
        function.layout.insert(place, block);
        added = true;
    }
    added
}

/// What a loop does to memory.
struct LoopEffects {
    /// Calls, fences and the like: anything may have changed.
    everything: bool,
    written: Vec<Alias>,
}

impl LoopEffects {
    fn of(function: &Function, forest: &LoopForest, around: Loop) -> LoopEffects {
        let mut effects = LoopEffects { everything: false, written: Vec::new() };
        for &block in &forest.loops[around].blocks {
            for &inst in &function.blocks[block].insts {
                let instruction = &function.insts[inst];
                match (instruction.opcode, &instruction.aux) {
                    (Opcode::NewObject | Opcode::NewArray, _) => {}
                    (Opcode::Load, Aux::Memory(memory)) => effects.everything |= memory.flags.contains(MemoryFlags::VOLATILE),
                    (Opcode::Store | Opcode::StoreRef, Aux::Memory(memory)) => {
                        if !effects.written.contains(&memory.alias) {
                            effects.written.push(memory.alias);
                        }
                    }
                    _ => {
                        let kinds = Effects::READ | Effects::WRITE | Effects::CALL;
                        effects.everything |= instruction.effects().intersects(kinds);
                    }
                }
            }
        }
        effects
    }

    fn may_change(&self, alias: Alias) -> bool {
        let vague = |alias: Alias| matches!(alias, Alias::Any | Alias::Stack);
        self.everything || self.written.iter().any(|&written| written == alias || vague(written) || vague(alias))
    }
}

struct Motion<'a> {
    control_flow: &'a ControlFlow,
    forest: &'a LoopForest,
    /// By value: the block that it is defined in.
    blocks: Vec<Option<Block>>,
    /// By instruction: it has left the loop that is worked on.
    moved: Vec<bool>,
    /// Loads that stay where they are.
    waited_for: Vec<Inst>,
}

impl Motion<'_> {
    fn hoist(&mut self, function: &mut Function, around: Loop) -> bool {
        let Some(target) = preheader(function, self.control_flow, self.forest, around) else { return false };
        let region = function.blocks[target].region;
        let effects = LoopEffects::of(function, self.forest, around);
        let mut hoisted: Vec<Inst> = Vec::new();
        // The next block that the first iteration surely comes to, as long as nothing seen so far can be noticed.
        let mut sure = Some(self.forest.loops[around].header);
        for &block in &self.forest.loops[around].blocks {
            let mut is_sure = sure == Some(block) && function.blocks[block].region == region;
            for &inst in &function.blocks[block].insts {
                let instruction = &function.insts[inst];
                if instruction.opcode.is_terminator() {
                    break;
                }
                let may_move = if is_pure(instruction) {
                    !is_free(instruction)
                } else {
                    is_sure && is_invariant_effect(instruction, &effects) && !self.waited_for.contains(&inst)
                };
                if may_move && self.has_invariant_args(function, around, instruction) {
                    self.take(function, target, inst, &mut hoisted);
                    continue;
                }
                let quiet = is_pure(instruction)
                    || (instruction.opcode == Opcode::Load && !instruction.effects().contains(Effects::TRAP));
                is_sure &= quiet;
            }
            let terminator = &function.insts[function.terminator(block)];
            if sure == Some(block) {
                let next = terminator.targets().first().map(|target| target.block);
                let follows = is_sure && terminator.opcode == Opcode::Jump;
                sure = next.filter(|&next| follows && self.control_flow.predecessors(next).len() == 1);
            }
        }
        if hoisted.is_empty() {
            return false;
        }
        for &block in &self.forest.loops[around].blocks {
            let moved = &self.moved;
            function.blocks[block].insts.retain(|inst| !moved[inst.index()]);
        }
        for &inst in &hoisted {
            self.moved[inst.index()] = false;
        }
        let place = function.blocks[target].insts.len() - 1;
        function.blocks[target].insts.splice(place..place, hoisted);
        true
    }

    /// The loads that alone decide about an exit of the loop: what they give changes only if another thread stores there. A program that
    /// waits so, `while (!done) {}`, ends under Mono, which looks at memory again each time.
    fn waited_for(&self, function: &Function, around: Loop) -> Vec<Inst> {
        let effects = LoopEffects::of(function, self.forest, around);
        let mut loads = Vec::new();
        for &block in &self.forest.loops[around].blocks {
            let terminator = &function.insts[function.terminator(block)];
            let leaves = terminator.targets().iter().any(|target| !self.forest.contains(around, target.block));
            if leaves && terminator.targets().len() > 1 {
                loads.extend(self.memory_alone(function, around, &terminator.args, &effects).unwrap_or_default());
            }
        }
        loads
    }

    /// The loads that `values` come from, if they are the same in each iteration as long as nothing but the loop writes to memory.
    fn memory_alone(&self, function: &Function, around: Loop, values: &[Value], effects: &LoopEffects) -> Option<Vec<Inst>> {
        let mut loads = Vec::new();
        let mut seen: Vec<Value> = values.to_vec();
        let mut next = 0;
        while let Some(&value) = seen.get(next) {
            next += 1;
            if self.is_outside(around, value) {
                continue;
            }
            let ValueDef::Result(inst, _) = function.values[value].def else { return None };
            let instruction = &function.insts[inst];
            if !is_pure(instruction) && !is_invariant_effect(instruction, effects) {
                return None;
            }
            if instruction.opcode == Opcode::Load {
                loads.push(inst);
            }
            for &argument in &instruction.args {
                if !seen.contains(&argument) {
                    seen.push(argument);
                }
            }
        }
        Some(loads)
    }

    fn is_outside(&self, around: Loop, value: Value) -> bool {
        self.blocks[value.index()].is_some_and(|block| !self.forest.contains(around, block))
    }

    fn has_invariant_args(&self, function: &Function, around: Loop, instruction: &Instruction) -> bool {
        instruction.args.iter().all(|&value| {
            self.is_outside(around, value)
                || matches!(function.values[value].def, ValueDef::Result(inst, _) if is_free(&function.insts[inst]))
        })
    }

    /// Moves `inst` and the constants that it needs.
    fn take(&mut self, function: &Function, target: Block, inst: Inst, hoisted: &mut Vec<Inst>) {
        for &argument in &function.insts[inst].args {
            if let ValueDef::Result(definition, _) = function.values[argument].def {
                let inside = self.blocks[argument.index()].is_some_and(|block| !self.control_flow.dominates(block, target));
                if inside && !self.moved[definition.index()] {
                    self.take(function, target, definition, hoisted);
                }
            }
        }
        self.moved[inst.index()] = true;
        hoisted.push(inst);
        for result in &function.results[inst] {
            self.blocks[result.index()] = Some(target);
        }
    }
}

/// Constants and addresses of the frame and of symbols: not worth a register over a loop for their own sake.
fn is_free(instruction: &Instruction) -> bool {
    matches!(instruction.opcode, Opcode::Iconst | Opcode::Fconst | Opcode::StackAddr | Opcode::SymbolAddr)
}

/// Whether `instruction`, if it surely runs, may run once before the loop instead.
fn is_invariant_effect(instruction: &Instruction, effects: &LoopEffects) -> bool {
    match (instruction.opcode, &instruction.aux) {
        (Opcode::Load, Aux::Memory(memory)) => {
            !memory.flags.contains(MemoryFlags::VOLATILE)
                && (memory.flags.contains(MemoryFlags::READ_ONLY) || !effects.may_change(memory.alias))
        }
        (Opcode::Cell | Opcode::NullCheck | Opcode::BoundsCheck | Opcode::TrapIf, _) => true,
        // Arithmetic that may raise.
        _ => instruction.opcode.info().effects - Effects::COMMUTES == Effects::TRAP,
    }
}
