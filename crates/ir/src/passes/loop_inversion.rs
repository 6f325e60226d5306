//! Loop inversion: `while (c) body` becomes `if (c) do body while (c)`, which takes one branch less in each iteration and
//! lets invariant loads and checks of the body leave the loop.
//!
//! The header's test is copied in front of the loop. What the header defines has two definitions then, and goes to the
//! body and to the exit as block parameters; constants are made anew there.

use super::rewrite::{apply_aliases, ensure_reachable, for_each_use};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, Loop, Value};
use crate::function::Function;
use crate::instruction::{Aux, BlockCall, Effects, Instruction, Opcode};
use crate::loops::LoopForest;
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::Type;

/// The pass.
pub static PASS: Pass = Pass {
    name: "loop-inversion",
    mono_aliases: &["loop"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// The longest header that is copied, in instructions.
const MAX_HEADER: usize = 10;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    let unreachable = ensure_reachable(function, control_flow);
    if !control_flow.has_back_edge() {
        return unreachable;
    }
    apply_aliases(function);
    control_flow.ensure(function);
    let mut forest = LoopForest::new(function, control_flow);
    let headers: Vec<Block> = forest.loops.values().map(|data| data.header).collect();
    let mut changed = unreachable;
    let mut stale = false;
    for header in headers {
        // Every inversion changes the edges.
        if stale {
            control_flow.compute(function);
            forest = LoopForest::new(function, control_flow);
            stale = false;
        }
        let around = forest.loops.iter().find(|(_, data)| data.header == header).map(|(key, _)| key);
        if let Some(plan) = around.and_then(|around| Plan::new(function, control_flow, &forest, around)) {
            plan.carry_out(function, control_flow, &forest);
            changed = true;
            stale = true;
        }
    }
    changed
}

struct Plan {
    around: Loop,
    header: Block,
    /// Number of the header's target in the loop (0 or 1); the other one leaves it.
    inside: usize,
}

impl Plan {
    fn new(function: &Function, control_flow: &ControlFlow, forest: &LoopForest, around: Loop) -> Option<Plan> {
        let header = forest.loops[around].header;
        let insts = &function.blocks[header].insts;
        let branch = &function.insts[*insts.last()?];
        if branch.opcode != Opcode::Brif || insts.len() > MAX_HEADER || control_flow.roots().contains(&header) {
            return None;
        }
        let stays = |index: usize| forest.contains(around, branch.targets()[index].block);
        let inside = match (stays(0), stays(1)) {
            (true, false) => 0,
            (false, true) => 1,
            _ => return None,
        };
        // A header that branches back to itself tests at its end already, and so does one that does the work of the loop.
        let has_call = insts.iter().any(|&inst| function.insts[inst].effects().contains(Effects::CALL | Effects::WRITE));
        if branch.targets()[inside].block == header || has_call {
            return None;
        }
        Some(Plan { around, header, inside })
    }

    fn carry_out(self, function: &mut Function, control_flow: &mut ControlFlow, forest: &LoopForest) {
        let branch = function.terminator(self.header);
        let outside: Vec<Inst> = control_flow
            .predecessors(self.header)
            .iter()
            .filter(|edge| !forest.contains(self.around, edge.0))
            .map(|edge| edge.1)
            .collect();
        // Both ways out of the header get a block of their own, which takes the parameters.
        let body = split_edge(function, branch, self.inside);
        let exit = split_edge(function, branch, 1 - self.inside);
        control_flow.compute(function);
        let defined = header_values(function, self.header);
        if !self.pass_values(function, control_flow, &defined, body, exit) {
            return;
        }
        let copy = copy_header(function, self.header, &defined);
        for branch in outside {
            let targets = function.insts[branch].targets_mut();
            targets.iter_mut().filter(|target| target.block == self.header).for_each(|target| target.block = copy);
        }
    }

    /// Makes parameters of `body` and `exit` for what the header defines and others use. False (and nothing changed) if
    /// something is used where neither of them dominates.
    fn pass_values(
        &self,
        function: &mut Function,
        control_flow: &ControlFlow,
        defined: &[Value],
        body: Block,
        exit: Block,
    ) -> bool {
        let sides = [body, exit];
        let side_of = |block: Block| sides.iter().position(|&side| control_flow.dominates(side, block));
        let is_defined = |value: Value| defined.iter().position(|&other| other == value);
        let mut used = vec![[false; 2]; defined.len()];
        for &block in control_flow.reverse_post_order() {
            if block == self.header {
                continue;
            }
            for &inst in &function.blocks[block].insts {
                let mut fine = true;
                for_each_use(&function.insts[inst], |value| {
                    if let Some(index) = is_defined(value) {
                        match side_of(block) {
                            Some(side) => used[index][side] = true,
                            None => fine = false,
                        }
                    }
                });
                if !fine {
                    return false;
                }
            }
        }
        let mut renamed = vec![[None; 2]; defined.len()];
        let branch = function.terminator(self.header);
        for (index, &value) in defined.iter().enumerate() {
            for side in 0..2 {
                if !used[index][side] {
                    continue;
                }
                if let Some(copy) = copy_constant(function, value, sides[side]) {
                    renamed[index][side] = Some(copy);
                    continue;
                }
                renamed[index][side] = Some(function.add_block_param(sides[side], function.value_type(value)));
                let targets = function.insts[branch].targets_mut();
                targets.iter_mut().filter(|target| target.block == sides[side]).for_each(|target| target.args.push(value));
            }
        }
        for &block in control_flow.reverse_post_order() {
            let Some(side) = side_of(block).filter(|_| block != self.header) else { continue };
            for index in 0..function.blocks[block].insts.len() {
                let instruction = &mut function.insts[function.blocks[block].insts[index]];
                let rename = |value: &mut Value| {
                    if let Some(new) = is_defined(*value).and_then(|index| renamed[index][side]) {
                        *value = new;
                    }
                };
                instruction.args.iter_mut().for_each(rename);
                for target in instruction.targets_mut() {
                    target.args.iter_mut().for_each(rename);
                }
            }
        }
        true
    }
}

/// If `value` is a constant: another one at the begin of `block`. Passed as a parameter it would not be known as one any more, and
/// the null that stands for an unknown owner in `store_ref` has to be.
fn copy_constant(function: &mut Function, value: Value, block: Block) -> Option<Value> {
    let inst = function.def_inst(value)?;
    if !matches!(function.insts[inst].opcode, Opcode::Iconst | Opcode::Fconst) {
        return None;
    }
    let copy = function.make_inst(function.insts[inst].clone());
    function.blocks[block].insts.insert(0, copy);
    Some(function.result(copy))
}

/// Parameters and results of `header`.
fn header_values(function: &Function, header: Block) -> Vec<Value> {
    let data = &function.blocks[header];
    let results = data.insts.iter().flat_map(|&inst| function.results[inst].iter().copied());
    data.params.iter().copied().chain(results).collect()
}

/// Puts an empty block on the edge number `index` of `branch`.
fn split_edge(function: &mut Function, branch: Inst, index: usize) -> Block {
    let call = function.insts[branch].targets()[index].clone();
    let block = function.add_block();
    function.blocks[block].region = function.blocks[call.block].region;
    function.blocks[block].cold = function.blocks[call.block].cold;
    function.append(block, Instruction::new(Opcode::Jump, Type::I32, &[], Aux::Targets(vec![call])));
    function.insts[branch].targets_mut()[index] = BlockCall { block, args: Default::default() };
    block
}

/// A copy of `header`, whose `defined` values are replaced by the copy's own.
fn copy_header(function: &mut Function, header: Block, defined: &[Value]) -> Block {
    let copy = function.add_block();
    function.blocks[copy].region = function.blocks[header].region;
    function.blocks[copy].cold = function.blocks[header].cold;
    let mut copies: Vec<Value> = Vec::with_capacity(defined.len());
    for index in 0..function.blocks[header].params.len() {
        let ty = function.value_type(function.blocks[header].params[index]);
        copies.push(function.add_block_param(copy, ty));
    }
    for index in 0..function.blocks[header].insts.len() {
        let mut instruction = function.insts[function.blocks[header].insts[index]].clone();
        let rename = |value: &mut Value| {
            if let Some(place) = defined.iter().position(|other| other == value) {
                *value = copies[place];
            }
        };
        instruction.args.iter_mut().for_each(rename);
        for target in instruction.targets_mut() {
            target.args.iter_mut().for_each(rename);
        }
        let inst = function.append(copy, instruction);
        copies.extend(function.results[inst].iter().copied());
    }
    debug_assert_eq!(copies.len(), defined.len());
    debug_assert!(copy.index() > header.index());
    copy
}
