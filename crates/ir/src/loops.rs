//! The forest of natural loops.
//!
//! A loop is a header and all blocks from which a back edge to it (an edge whose target dominates its source) can be
//! reached without passing the header. Cycles with several entries are no loops here.

use crate::Function;
use crate::control_flow::ControlFlow;
use crate::entity::{Arena, Block, Loop, SideTable};
use smallvec::SmallVec;

/// One loop.
#[derive(Clone, Debug)]
pub struct LoopData {
    /// The one block by which it is entered.
    pub header: Block,
    /// Sources of the back edges.
    pub latches: SmallVec<[Block; 2]>,
    /// All its blocks, those of inner loops included, in reverse post-order; the header is the first.
    pub blocks: Vec<Block>,
    /// The loop around it.
    pub parent: Option<Loop>,
    /// 1 for outermost loops.
    pub depth: u32,
}

/// All loops of a function. Inner loops come before outer ones.
#[derive(Clone, Default, Debug)]
pub struct LoopForest {
    /// The loops.
    pub loops: Arena<Loop, LoopData>,
    innermost: SideTable<Block, Option<Loop>>,
}

impl LoopForest {
    /// The loops of `function`.
    pub fn new(function: &Function, control_flow: &ControlFlow) -> LoopForest {
        let mut forest = LoopForest { loops: Arena::new(), innermost: SideTable::with_len(function.blocks.len()) };
        // Inner headers come later in reverse post-order than those around them.
        for &header in control_flow.reverse_post_order().iter().rev() {
            let latches: SmallVec<[Block; 2]> = control_flow
                .predecessors(header)
                .iter()
                .map(|edge| edge.0)
                .filter(|&block| control_flow.dominates(header, block))
                .collect();
            if !latches.is_empty() {
                forest.add(control_flow, header, latches);
            }
        }
        forest.fill(control_flow);
        forest
    }

    /// Walks backwards from the latches; a known loop on the way is an inner one and is stepped over.
    fn add(&mut self, control_flow: &ControlFlow, header: Block, latches: SmallVec<[Block; 2]>) {
        let mut worklist = latches.to_vec();
        let new = self.loops.push(LoopData { header, latches, blocks: Vec::new(), parent: None, depth: 0 });
        self.innermost[header] = Some(new);
        while let Some(block) = worklist.pop() {
            let entered = match self.innermost[block] {
                None => {
                    self.innermost[block] = Some(new);
                    block
                }
                Some(inner) => {
                    let outermost = self.outermost(inner);
                    if outermost == new {
                        continue;
                    }
                    self.loops[outermost].parent = Some(new);
                    self.loops[outermost].header
                }
            };
            worklist.extend(control_flow.predecessors(entered).iter().map(|edge| edge.0));
        }
    }

    fn outermost(&self, mut inner: Loop) -> Loop {
        while let Some(parent) = self.loops[inner].parent {
            inner = parent;
        }
        inner
    }

    fn fill(&mut self, control_flow: &ControlFlow) {
        for &block in control_flow.reverse_post_order() {
            let mut current = self.innermost[block];
            while let Some(around) = current {
                self.loops[around].blocks.push(block);
                current = self.loops[around].parent;
            }
        }
        for current in self.loops.keys().rev() {
            self.loops[current].depth = self.loops[current].parent.map_or(0, |parent| self.loops[parent].depth) + 1;
        }
    }

    /// The innermost loop that `block` is in.
    pub fn innermost(&self, block: Block) -> Option<Loop> {
        self.innermost[block]
    }
    /// How many loops `block` is in.
    pub fn depth(&self, block: Block) -> u32 {
        self.innermost[block].map_or(0, |innermost| self.loops[innermost].depth)
    }
    /// Whether `block` is in `around`, or in a loop within it.
    pub fn contains(&self, around: Loop, block: Block) -> bool {
        let mut current = self.innermost[block];
        while let Some(inner) = current {
            if inner == around {
                return true;
            }
            current = self.loops[inner].parent;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_function;

    #[test]
    fn nested_loops() {
        let function = parse_function(
            "function \"f\" pointer 8 managed (i32) {\nblock0(v0: i32):\n jump block1\nblock1:\n jump block2\nblock2:\n \
             brif v0 block2, block3\nblock3:\n brif v0 block1, block4\nblock4:\n return\n}",
        )
        .unwrap();
        let control_flow = ControlFlow::new(&function);
        let forest = LoopForest::new(&function, &control_flow);
        let depths: Vec<u32> = function.layout.iter().map(|&block| forest.depth(block)).collect();
        assert_eq!(depths, [0, 1, 2, 1, 0]);
        let outer = forest.innermost(function.layout[1]).unwrap();
        assert_eq!(forest.loops[outer].blocks, function.layout[1..4]);
        assert!(forest.contains(outer, function.layout[2]) && !forest.contains(outer, function.layout[4]));
    }
}
