//! If-conversion: a branch around next to nothing becomes a `select`.
//!
//! Only integers and pointers of at most pointer width are selected, for that is what targets have an instruction for, and
//! only a few cheap computations are done that one of the ways would not have done.

use super::rewrite::{apply_aliases, compute_reachable, ensure_reachable, is_pure, set_jump};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Value};
use crate::function::Function;
use crate::instruction::{Aux, BlockCall, Instruction, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "if-conversion",
    mono_aliases: &["cmov"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// Most instructions (constants aside) that are moved before the branch.
const MAX_MOVED: usize = 2;
/// Most selects instead of one branch.
const MAX_SELECTS: usize = 2;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    apply_aliases(function);
    ensure_reachable(function, control_flow);
    let mut changed = false;
    // Inner ifs first, so that an outer one may see a single block. Edges change only within what has been looked at.
    for &block in control_flow.reverse_post_order().iter().rev() {
        changed |= convert(function, control_flow, block);
    }
    if changed {
        compute_reachable(function, control_flow);
    }
    changed
}

/// One way from the branch to where the ways meet.
struct Arm {
    /// The block on the way, unless the branch goes straight to the join.
    middle: Option<Block>,
    join: Block,
    args: SmallVec<[Value; 2]>,
    /// Instructions that would be moved, constants aside.
    cost: usize,
}

fn arm(function: &Function, control_flow: &ControlFlow, block: Block, call: &BlockCall) -> Arm {
    let direct = Arm { middle: None, join: call.block, args: call.args.clone(), cost: 0 };
    let data = &function.blocks[call.block];
    let predecessors = control_flow.predecessors(call.block);
    if predecessors.len() != 1 || control_flow.roots().contains(&call.block) {
        return direct;
    }
    let terminator = &function.insts[function.terminator(call.block)];
    let same_region = data.region == function.blocks[block].region;
    if terminator.opcode != Opcode::Jump || !same_region || !data.params.is_empty() {
        return direct;
    }
    let mut cost = 0;
    for &inst in &data.insts[..data.insts.len() - 1] {
        let instruction = &function.insts[inst];
        let expensive = matches!(instruction.opcode, Opcode::Fdiv | Opcode::Fsqrt) || instruction.ty.is_float();
        if !is_pure(instruction) || expensive {
            return direct;
        }
        cost += usize::from(instruction.opcode != Opcode::Iconst);
    }
    let next = &terminator.targets()[0];
    Arm { middle: Some(call.block), join: next.block, args: next.args.clone(), cost }
}

fn convert(function: &mut Function, control_flow: &ControlFlow, block: Block) -> bool {
    let branch = function.terminator(block);
    if function.insts[branch].opcode != Opcode::Brif {
        return false;
    }
    let targets = function.insts[branch].targets();
    // A way that was converted before ends in a jump by now, so its own blocks are gone from it.
    let taken = arm(function, control_flow, block, &targets[0]);
    let other = arm(function, control_flow, block, &targets[1]);
    if taken.join != other.join {
        return false;
    }
    let differ: SmallVec<[bool; 4]> = taken.args.iter().zip(&other.args).map(|(a, b)| a != b).collect();
    let selects = differ.iter().filter(|&&differ| differ).count();
    let selectable = taken.args.iter().zip(&differ).all(|(&value, &differ)| {
        let ty = function.value_type(value);
        !differ || ((ty.is_int() || ty.is_managed()) && ty.bytes(function.pointer_bytes) <= function.pointer_bytes)
    });
    if !selectable || selects > MAX_SELECTS || taken.cost + other.cost > MAX_MOVED {
        return false;
    }
    let condition = function.insts[branch].args[0];
    let source = function.insts[branch].source;
    function.blocks[block].insts.pop();
    for middle in [taken.middle, other.middle].into_iter().flatten() {
        let insts = std::mem::take(&mut function.blocks[middle].insts);
        let (&last, moved) = insts.split_last().expect("a complete block has a terminator");
        function.blocks[block].insts.extend_from_slice(moved);
        // Unreachable from here on, but still a block until it is dropped.
        function.blocks[middle].insts.push(last);
    }
    let mut args: SmallVec<[Value; 2]> = SmallVec::new();
    for (&a, &b) in taken.args.iter().zip(&other.args) {
        if a == b {
            args.push(a);
            continue;
        }
        let mut select = Instruction::new(Opcode::Select, function.value_type(a), &[condition, a, b], Aux::None);
        select.source = source;
        let inst = function.append(block, select);
        args.push(function.result(inst));
    }
    function.blocks[block].insts.push(branch);
    set_jump(function, block, BlockCall { block: taken.join, args });
    true
}
