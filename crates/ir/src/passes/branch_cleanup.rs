//! Branch cleanup: branches with one outcome become jumps, ways through empty blocks get shorter, chains of blocks
//! become one block.
//!
//! Blocks are only joined if they lie in the same protected region, and entries of handlers stay as they are.

use super::rewrite::{apply_aliases, compute_reachable, count_uses, ensure_reachable, set_jump};
use crate::control_flow::{ControlFlow, handler_entries};
use crate::entity::{Block, Entity, Value};
use crate::function::Function;
use crate::instruction::{Aux, BlockCall, Instruction, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};

/// The pass.
pub static PASS: Pass = Pass {
    name: "branch-cleanup",
    mono_aliases: &["branch"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// How many empty blocks in a row a branch is led past. Empty endless loops are what makes a limit necessary.
const MAX_HOPS: usize = 8;

/// How many blocks in a row are joined, limited for the same reason.
const MAX_STEPS: usize = 1000;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    apply_aliases(function);
    let mut changed = ensure_reachable(function, control_flow);
    let mut state = State::new(function);
    for index in 0..function.layout.len() {
        let block = function.layout[index];
        if state.edges[block.index()] == 0 {
            continue;
        }
        for _ in 0..MAX_STEPS {
            if !(state.shorten(function, block) | state.simplify_branch(function, block) | state.merge(function, block)) {
                break;
            }
            changed = true;
        }
    }
    if changed {
        apply_aliases(function);
        compute_reachable(function, control_flow);
    }
    changed
}

struct State {
    /// By block: number of edges into it; roots have one more.
    edges: Vec<u32>,
    is_root: Vec<bool>,
    /// By value. Not kept up to date for what the pass adds: nothing that it adds uses a parameter of an empty block.
    uses: Vec<u32>,
}

impl State {
    fn new(function: &Function) -> State {
        let mut is_root = vec![false; function.blocks.len()];
        is_root[function.entry().index()] = true;
        for region in function.regions.keys() {
            handler_entries(function, region).for_each(|entry| is_root[entry.index()] = true);
        }
        let mut edges: Vec<u32> = is_root.iter().map(|&root| u32::from(root)).collect();
        for &block in &function.layout {
            for target in function.insts[function.terminator(block)].targets() {
                edges[target.block.index()] += 1;
            }
        }
        State { edges, is_root, uses: count_uses(function) }
    }

    /// Drops an edge, and with the last edge into a block all edges out of it.
    fn drop_edge(&mut self, function: &Function, target: Block) {
        let mut worklist = vec![target];
        while let Some(block) = worklist.pop() {
            if self.edges[block.index()] == 0 {
                continue;
            }
            self.edges[block.index()] -= 1;
            if self.edges[block.index()] == 0 {
                worklist.extend(function.insts[function.terminator(block)].targets().iter().map(|target| target.block));
            }
        }
    }

    /// Whether `block` is nothing but its terminator, and nobody else uses its parameters.
    fn is_empty(&self, function: &Function, block: Block) -> bool {
        let data = &function.blocks[block];
        if data.insts.len() != 1 || self.is_root[block.index()] {
            return false;
        }
        let terminator = &function.insts[data.insts[0]];
        data.params.iter().all(|&param| {
            let mut own = 0;
            super::rewrite::for_each_use(terminator, |value| own += u32::from(function.resolve(value) == param));
            self.uses.get(param.index()).is_some_and(|&uses| uses == own)
        })
    }

    /// Leads the branches of `block` past empty blocks.
    fn shorten(&mut self, function: &mut Function, block: Block) -> bool {
        let branch = function.terminator(block);
        let mut changed = false;
        for index in 0..function.insts[branch].targets().len() {
            for _ in 0..MAX_HOPS {
                let call = function.insts[branch].targets()[index].clone();
                let Some(next) = self.next_target(function, &call) else { break };
                self.edges[next.block.index()] += 1;
                function.insts[branch].targets_mut()[index] = next;
                self.drop_edge(function, call.block);
                changed = true;
            }
        }
        changed
    }

    /// Where control goes on after `call`, if that block is empty and it is clear.
    fn next_target(&self, function: &Function, call: &BlockCall) -> Option<BlockCall> {
        let middle = call.block;
        if !self.is_empty(function, middle) {
            return None;
        }
        let params = &function.blocks[middle].params;
        let substitute = |value: Value| {
            let value = function.resolve(value);
            params.iter().position(|&param| param == value).map_or(value, |index| function.resolve(call.args[index]))
        };
        let terminator = &function.insts[function.terminator(middle)];
        let next = match terminator.opcode {
            Opcode::Jump => &terminator.targets()[0],
            Opcode::Brif => {
                let condition = function.int_constant(substitute(terminator.args[0]))?;
                &terminator.targets()[usize::from(condition == 0)]
            }
            _ => return None,
        };
        if next.block == middle {
            return None;
        }
        Some(BlockCall { block: next.block, args: next.args.iter().map(|&value| substitute(value)).collect() })
    }

    /// Makes a branch with one outcome a jump.
    fn simplify_branch(&mut self, function: &mut Function, block: Block) -> bool {
        let branch = &function.insts[function.terminator(block)];
        let targets = branch.targets();
        let chosen = match branch.opcode {
            Opcode::Brif | Opcode::BrTable if targets.iter().all(|target| *target == targets[0]) => 0,
            Opcode::Brif => match function.int_constant(branch.args[0]) {
                Some(condition) => usize::from(condition == 0),
                None => return false,
            },
            Opcode::BrTable => match function.int_constant(branch.args[0]) {
                Some(index) if (index as u32 as usize) < targets.len() - 1 => index as u32 as usize + 1,
                Some(_) => 0,
                None => return false,
            },
            _ => return false,
        };
        let target = targets[chosen].clone();
        let dropped: Vec<Block> =
            targets.iter().enumerate().filter(|&(index, _)| index != chosen).map(|(_, target)| target.block).collect();
        set_jump(function, block, target);
        for target in dropped {
            self.drop_edge(function, target);
        }
        true
    }

    /// Joins `block` with the block that it jumps to, if that has no other way in.
    fn merge(&mut self, function: &mut Function, block: Block) -> bool {
        let branch = function.terminator(block);
        let Instruction { opcode: Opcode::Jump, aux: Aux::Targets(targets), .. } = &function.insts[branch] else {
            return false;
        };
        let call = targets[0].clone();
        let next = call.block;
        let same_region = function.blocks[next].region == function.blocks[block].region;
        if next == block || self.edges[next.index()] != 1 || self.is_root[next.index()] || !same_region {
            return false;
        }
        for (index, &argument) in call.args.iter().enumerate() {
            let param = function.blocks[next].params[index];
            function.alias(param, argument);
        }
        function.blocks[next].params.clear();
        function.blocks[block].insts.pop();
        // The joined block keeps a terminator, so that walks over the layout still find one until it is dropped.
        let insts = function.blocks[next].insts.clone();
        function.blocks[block].insts.extend(insts);
        self.edges[next.index()] = 0;
        true
    }
}
