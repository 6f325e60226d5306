//! Block layout: the order of the code. Loops are contiguous, ways that end in an exception and other cold blocks come last.

use super::rewrite::{ensure_reachable, mark_cold};
use crate::control_flow::ControlFlow;
use crate::entity::Block;
use crate::function::Function;
use crate::loops::LoopForest;
use crate::pass_manager::{Level, Pass, PassContext};

/// The pass.
pub static PASS: Pass = Pass {
    name: "block-layout",
    mono_aliases: &["branch"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    let changed = ensure_reachable(function, control_flow);
    if function.layout.len() < 3 {
        return changed;
    }
    mark_cold(function, control_flow);
    control_flow.ensure(function);
    let forest = LoopForest::new(function, control_flow);
    let order = control_flow.reverse_post_order();
    // By index in the order: headers of the loops around the block from outside in, then the block itself. Sorted by that,
    // the blocks of a loop stand where its header stands.
    let number = |block: Block| control_flow.order_of(block).unwrap_or(usize::MAX);
    let mut keyed: Vec<(smallvec::SmallVec<[usize; 4]>, Block)> = order
        .iter()
        .map(|&block| {
            let mut key = smallvec::SmallVec::new();
            key.push(number(block));
            let mut around = forest.innermost(block);
            while let Some(current) = around {
                key.push(number(forest.loops[current].header));
                around = forest.loops[current].parent;
            }
            key.reverse();
            (key, block)
        })
        .collect();
    keyed.sort();
    let hot = keyed.iter().map(|entry| entry.1).filter(|&block| !function.blocks[block].cold);
    let cold = keyed.iter().map(|entry| entry.1).filter(|&block| function.blocks[block].cold);
    let layout: Vec<Block> = hot.chain(cold).collect();
    let moved = layout != function.layout;
    function.layout = layout;
    changed | moved
}
