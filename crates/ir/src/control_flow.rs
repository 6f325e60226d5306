//! Predecessors, reverse post-order and dominators.
//!
//! Handlers of protected regions are entered by the unwinder only, so their entries are roots of their own, beside the
//! function's entry, below a virtual root. No value therefore dominates its way from the body into a handler, nor across
//! the point where both meet again.

use crate::Function;
use crate::entity::{Block, Entity, Inst, Region};
use crate::function::HandlerKind;

/// Marks blocks that cannot be reached.
const NONE: u32 = u32::MAX;

/// Predecessors, order and dominators of the reachable blocks of one function. Stale as soon as an edge changes.
#[derive(Clone, Default, Debug)]
pub struct ControlFlow {
    /// Reachable blocks in reverse post-order.
    order: Vec<Block>,
    /// By block: index into `order`, or `NONE`.
    number: Vec<u32>,
    /// By block: first of its entries in `edges`; one more at the end.
    edge_start: Vec<u32>,
    /// Sources of edges, grouped by target.
    edges: Vec<(Block, Inst)>,
    /// By index in `order`: index of the immediate dominator, or `NONE` for roots.
    dominator: Vec<u32>,
    /// By index in `order`: pre-order number in the dominator tree, and the last one below it.
    interval: Vec<(u32, u32)>,
    /// Entry of the function, then entries of handlers and filters that can be entered.
    roots: Vec<Block>,
    stack: Vec<(Block, u32)>,
    known: Known,
}

/// How much of a [`ControlFlow`] is that of the function as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
enum Known {
    #[default]
    Nothing,
    Edges,
    Dominators,
}

impl ControlFlow {
    /// The control flow of `function`.
    pub fn new(function: &Function) -> ControlFlow {
        let mut control_flow = ControlFlow::default();
        control_flow.compute(function);
        control_flow
    }

    /// Computes everything anew, in the same memory.
    pub fn compute(&mut self, function: &Function) {
        self.compute_edges(function);
        self.ensure(function);
    }

    /// Says that edges may have changed, so that [`ensure`](Self::ensure) has to compute.
    pub fn invalidate(&mut self) {
        self.known = Known::Nothing;
    }

    /// Computes what is missing since the function's edges changed.
    pub fn ensure(&mut self, function: &Function) {
        self.ensure_edges(function);
        if self.known < Known::Dominators {
            self.find_dominators();
            self.known = Known::Dominators;
        }
    }

    /// The same, without dominators.
    pub fn ensure_edges(&mut self, function: &Function) {
        if self.known < Known::Edges {
            self.compute_edges(function);
        }
    }

    /// Computes roots, order and edges anew, which is all that some need: questions about dominators must not be asked then.
    pub fn compute_edges(&mut self, function: &Function) {
        self.known = Known::Edges;
        self.dominator.clear();
        self.interval.clear();
        self.number.clear();
        self.number.resize(function.blocks.len(), NONE);
        self.order.clear();
        self.roots.clear();
        if function.layout.is_empty() {
            return;
        }
        self.find_roots(function);
        self.find_order(function);
        self.find_edges(function);
    }

    /// Finds the handlers that protect anything reachable.
    fn find_roots(&mut self, function: &Function) {
        const SEEN: u32 = 0;
        if function.regions.is_empty() {
            self.roots.push(function.entry());
            return;
        }
        let mut region_seen = vec![false; function.regions.len()];
        let mut worklist = vec![function.entry()];
        self.roots.push(function.entry());
        self.number[function.entry().index()] = SEEN;
        while let Some(block) = worklist.pop() {
            for target in successors(function, block) {
                if self.number[target.index()] == NONE {
                    self.number[target.index()] = SEEN;
                    worklist.push(target);
                }
            }
            let mut region = function.blocks[block].region;
            while let Some(current) = region {
                if std::mem::replace(&mut region_seen[current.index()], true) {
                    break;
                }
                for entry in handler_entries(function, current) {
                    if !self.roots.contains(&entry) {
                        self.roots.push(entry);
                        if self.number[entry.index()] == NONE {
                            self.number[entry.index()] = SEEN;
                            worklist.push(entry);
                        }
                    }
                }
                region = function.regions[current].parent;
            }
        }
        // In the order of the regions, whatever the order in which blocks were found.
        self.roots[1..].sort_unstable();
        self.number.fill(NONE);
    }

    fn find_order(&mut self, function: &Function) {
        // Post-order of the last root first: reversed, the function's entry leads.
        const OPEN: u32 = 0;
        for index in (0..self.roots.len()).rev() {
            let root = self.roots[index];
            if self.number[root.index()] != NONE {
                continue;
            }
            self.number[root.index()] = OPEN;
            self.stack.push((root, successor_count(function, root)));
            while let Some((block, left)) = self.stack.last_mut() {
                if *left == 0 {
                    self.order.push(*block);
                    self.stack.pop();
                    continue;
                }
                // The last target first, so that in the reversed order the first one (taken if true) comes first.
                *left -= 1;
                let target = successor(function, *block, *left);
                if self.number[target.index()] == NONE {
                    self.number[target.index()] = OPEN;
                    self.stack.push((target, successor_count(function, target)));
                }
            }
        }
        self.order.reverse();
        for (index, block) in self.order.iter().enumerate() {
            self.number[block.index()] = index as u32;
        }
    }

    fn find_edges(&mut self, function: &Function) {
        self.edge_start.clear();
        self.edge_start.resize(function.blocks.len() + 1, 0);
        for &block in &self.order {
            for target in successors(function, block) {
                self.edge_start[target.index()] += 1;
            }
        }
        let mut total = 0;
        for start in &mut self.edge_start {
            total += *start;
            *start = total;
        }
        self.edges.clear();
        self.edges.resize(total as usize, (Block::from_index(0), Inst::from_index(0)));
        // Filled from behind, so that each group ends up in reverse post-order of the sources.
        for &block in self.order.iter().rev() {
            for target in successors(function, block).rev() {
                let place = &mut self.edge_start[target.index()];
                *place -= 1;
                self.edges[*place as usize] = (block, function.terminator(block));
            }
        }
    }

    /// Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm.
    fn find_dominators(&mut self) {
        let count = self.order.len();
        // Index `count` stands for the virtual root while this runs: the meet of unrelated blocks.
        let root = count as u32;
        let mut is_root = vec![false; count];
        self.roots.iter().for_each(|root| is_root[self.number[root.index()] as usize] = true);
        let has_back_edge = self.has_back_edge();
        self.dominator.clear();
        self.dominator.resize(count, NONE);
        let mut changed = true;
        while changed {
            changed = false;
            for (index, &is_root) in is_root.iter().enumerate() {
                let new = if is_root { root } else { self.meet_of_predecessors(index, root) };
                if self.dominator[index] != new {
                    self.dominator[index] = new;
                    // Without back edges one sweep sees all predecessors before each block.
                    changed = has_back_edge;
                }
            }
        }
        for dominator in &mut self.dominator {
            if *dominator == root {
                *dominator = NONE;
            }
        }
        self.number_tree();
    }

    fn meet_of_predecessors(&self, index: usize, root: u32) -> u32 {
        let mut meet = NONE;
        for &(predecessor, _) in self.predecessors(self.order[index]) {
            let other = self.number[predecessor.index()];
            if self.dominator[other as usize] == NONE {
                continue;
            }
            meet = if meet == NONE { other } else { self.meet(meet, other, root) };
        }
        meet
    }

    fn meet(&self, mut a: u32, mut b: u32, root: u32) -> u32 {
        while a != b {
            if a == root || b == root {
                return root;
            }
            if a > b {
                a = self.dominator[a as usize];
            } else {
                b = self.dominator[b as usize];
            }
        }
        a
    }

    /// Gives every tree node an interval, without a walk: sizes bottom-up, then places top-down.
    fn number_tree(&mut self) {
        let count = self.order.len();
        let mut size = vec![1u32; count];
        for index in (0..count).rev() {
            let dominator = self.dominator[index];
            if dominator != NONE {
                size[dominator as usize] += size[index];
            }
        }
        // `next[n]`: where the next child of n begins; at `count`, of the virtual root.
        let mut next = vec![0u32; count + 1];
        self.interval.clear();
        for index in 0..count {
            let dominator = self.dominator[index];
            let parent = if dominator == NONE { count } else { dominator as usize };
            let start = next[parent];
            next[parent] += size[index];
            next[index] = start + 1;
            self.interval.push((start, start + size[index] - 1));
        }
    }

    /// Reachable blocks in reverse post-order; the first is the function's entry.
    pub fn reverse_post_order(&self) -> &[Block] {
        &self.order
    }
    /// Entry of the function, then entries of filters and handlers that can be entered.
    pub fn roots(&self) -> &[Block] {
        &self.roots
    }
    /// Whether an edge leads back in the order, as one in every loop does.
    pub fn has_back_edge(&self) -> bool {
        self.order.iter().enumerate().any(|(index, &block)| {
            self.predecessors(block).iter().any(|edge| self.order_of(edge.0).is_some_and(|before| before >= index))
        })
    }
    /// Whether `block` can be reached, handlers of reachable regions included.
    pub fn is_reachable(&self, block: Block) -> bool {
        self.number.get(block.index()).is_some_and(|&number| number != NONE)
    }
    /// Index of `block` in the reverse post-order.
    pub fn order_of(&self, block: Block) -> Option<usize> {
        self.number.get(block.index()).filter(|&&number| number != NONE).map(|&number| number as usize)
    }
    /// Sources of the edges into `block`, once for each edge, with their terminators; of reachable blocks only.
    pub fn predecessors(&self, block: Block) -> &[(Block, Inst)] {
        let index = block.index();
        &self.edges[self.edge_start[index] as usize..self.edge_start[index + 1] as usize]
    }
    /// The closest dominator of `block` other than itself; `None` for roots, for blocks that several roots reach and
    /// for unreachable ones.
    pub fn immediate_dominator(&self, block: Block) -> Option<Block> {
        let dominator = self.dominator[self.order_of(block)?];
        (dominator != NONE).then(|| self.order[dominator as usize])
    }
    /// Whether every way to `b` leads through `a` (or they are the same). False if one of them is unreachable.
    pub fn dominates(&self, a: Block, b: Block) -> bool {
        match (self.order_of(a), self.order_of(b)) {
            (Some(a), Some(b)) => {
                let (start, end) = self.interval[a];
                (start..=end).contains(&self.interval[b].0)
            }
            _ => false,
        }
    }
    /// The closest block that dominates both, if there is one.
    pub fn common_dominator(&self, a: Block, b: Block) -> Option<Block> {
        let mut current = a;
        while !self.dominates(current, b) {
            current = self.immediate_dominator(current)?;
        }
        Some(current)
    }
    /// Reachable blocks such that each comes after its dominator (which a reverse post-order is), with its dominator.
    pub fn dominator_tree(&self) -> impl DoubleEndedIterator<Item = (Block, Option<Block>)> + '_ {
        self.order.iter().zip(&self.dominator).map(|(&block, &dominator)| (block, self.order.get(dominator as usize).copied()))
    }
}

/// Targets of `block`'s terminator, once for each edge. A block that is still open has none.
pub fn successors(function: &Function, block: Block) -> impl DoubleEndedIterator<Item = Block> + '_ {
    let last = function.blocks[block].insts.last();
    last.into_iter().flat_map(|&last| function.insts[last].targets()).map(|target| target.block)
}

fn successor_count(function: &Function, block: Block) -> u32 {
    function.blocks[block].insts.last().map_or(0, |&last| function.insts[last].targets().len() as u32)
}

fn successor(function: &Function, block: Block, index: u32) -> Block {
    function.insts[function.terminator(block)].targets()[index as usize].block
}

/// Blocks at which the unwinder enters the handlers of `region`: filters and handlers.
pub fn handler_entries(function: &Function, region: Region) -> impl Iterator<Item = Block> + '_ {
    function.regions[region].handlers.iter().flat_map(|handler| {
        let filter = match handler.kind {
            HandlerKind::Filter(filter) => Some(filter),
            _ => None,
        };
        filter.into_iter().chain([handler.entry])
    })
}
