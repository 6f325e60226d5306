//! Removes other names for a value: aliases, parameters that always get the same value, and twins among the parameters
//! of one block.

use super::rewrite::{apply_aliases, ensure_reachable, remove_params};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Value};
use crate::function::{Function, ValueDef};
use crate::pass_manager::{Level, Pass, PassContext};

/// The pass.
pub static PASS: Pass = Pass {
    name: "copy-propagation",
    mono_aliases: &["copyprop"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    let mut changed = ensure_reachable(function, control_flow);
    let mut again = true;
    while again {
        again = false;
        for &block in control_flow.reverse_post_order() {
            if control_flow.roots().contains(&block) {
                continue;
            }
            for index in 0..function.blocks[block].params.len() {
                let param = function.blocks[block].params[index];
                if matches!(function.values[param].def, ValueDef::Alias(_)) {
                    continue;
                }
                let original = match single_source(function, control_flow, block, index) {
                    Some(source) => Some(source),
                    None => twin(function, control_flow, block, index),
                };
                if let Some(original) = original {
                    function.alias(param, original);
                    again = true;
                }
            }
        }
        changed |= again;
    }
    for &block in control_flow.reverse_post_order() {
        let is_alias: smallvec::SmallVec<[bool; 8]> =
            function.blocks[block].params.iter().map(|&param| matches!(function.values[param].def, ValueDef::Alias(_))).collect();
        if is_alias.contains(&true) {
            // The parameters themselves stay aliases: `remove_params` renumbers only those that it keeps.
            let branches: smallvec::SmallVec<[_; 4]> = control_flow.predecessors(block).iter().map(|edge| edge.1).collect();
            remove_params(function, block, &branches, |index| is_alias.get(index).copied().unwrap_or(false));
        }
    }
    apply_aliases(function);
    changed
}

/// Calls `visit` with parameter number `index`'s argument on each edge into `block`.
fn for_each_source(
    function: &Function,
    control_flow: &ControlFlow,
    block: Block,
    index: usize,
    mut visit: impl FnMut(Value) -> bool,
) -> bool {
    control_flow.predecessors(block).iter().all(|&(_, branch)| {
        let targets = function.insts[branch].targets();
        targets.iter().filter(|target| target.block == block).all(|target| visit(function.resolve(target.args[index])))
    })
}

/// The one value, other than itself, that a parameter gets.
fn single_source(function: &Function, control_flow: &ControlFlow, block: Block, index: usize) -> Option<Value> {
    let param = function.blocks[block].params[index];
    let mut source = None;
    let single =
        for_each_source(function, control_flow, block, index, |value| value == param || *source.get_or_insert(value) == value);
    source.filter(|_| single)
}

/// An earlier parameter of the same block that gets the same values on all edges.
fn twin(function: &Function, control_flow: &ControlFlow, block: Block, index: usize) -> Option<Value> {
    let params = &function.blocks[block].params;
    let param = params[index];
    (0..index).find_map(|other_index| {
        let other = params[other_index];
        if function.values[other].def != ValueDef::Param(block, other_index as u32)
            || function.value_type(other) != function.value_type(param)
        {
            return None;
        }
        let same = control_flow.predecessors(block).iter().all(|&(_, branch)| {
            let targets = function.insts[branch].targets();
            targets.iter().filter(|target| target.block == block).all(|target| {
                let (a, b) = (function.resolve(target.args[index]), function.resolve(target.args[other_index]));
                a == b || (a == param && b == other)
            })
        });
        same.then_some(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::{Aux, BlockCall, Instruction, Opcode};
    use crate::signature::{CallConvention, Signature};
    use crate::types::Type;
    use smallvec::smallvec;

    #[test]
    fn loop_invariant_parameters_go() {
        let mut function = Function::new("test", 8, Signature::new(CallConvention::Managed));
        let (entry, head) = (function.add_block(), function.add_block());
        let x = function.add_block_param(entry, Type::I32);
        let p = function.add_block_param(head, Type::I32);
        let jump = |args| Aux::Targets(vec![BlockCall { block: head, args }]);
        function.append(entry, Instruction::new(Opcode::Jump, Type::I32, &[], jump(smallvec![x])));
        function.append(head, Instruction::new(Opcode::Jump, Type::I32, &[], jump(smallvec![p])));
        assert!(run(&mut function, &mut ControlFlow::default()));
        assert!(function.blocks[head].params.is_empty());
        assert_eq!(function.resolve(p), x);
    }
}
