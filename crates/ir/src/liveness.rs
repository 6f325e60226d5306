//! Which values are live at the boundaries of blocks.

use crate::Function;
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Value};

/// Sets of values live at the start and the end of reachable blocks.
///
/// A block's parameters are defined in it, hence not live into it; branch arguments are used by the branch, hence not
/// live out of its block unless something else needs them. Values live into the handlers of a region do not exist.
#[derive(Clone, Default, Debug)]
pub struct Liveness {
    /// Words for one set.
    words: usize,
    /// By block number: bit sets one behind the other.
    live_in: Vec<u64>,
    live_out: Vec<u64>,
}

impl Liveness {
    /// Liveness in `function`.
    pub fn new(function: &Function, control_flow: &ControlFlow) -> Liveness {
        let words = function.values.len().div_ceil(64);
        let len = words * function.blocks.len();
        let mut liveness = Liveness { words, live_in: vec![0; len], live_out: vec![0; len] };
        let mut defined = vec![0; len];
        // `live_in` starts as the upward exposed uses.
        for &block in control_flow.reverse_post_order() {
            liveness.scan(function, block, &mut defined);
        }
        let mut changed = true;
        while changed {
            changed = false;
            for &block in control_flow.reverse_post_order().iter().rev() {
                changed |= liveness.flow(function, block, &defined);
            }
        }
        liveness
    }

    fn scan(&mut self, function: &Function, block: Block, defined: &mut [u64]) {
        let start = block.index() * self.words;
        let (defined, live) = (&mut defined[start..start + self.words], &mut self.live_in[start..start + self.words]);
        let data = &function.blocks[block];
        for &param in &data.params {
            insert(defined, param);
        }
        for &inst in &data.insts {
            let instruction = &function.insts[inst];
            let targets = instruction.targets().iter().flat_map(|target| &target.args);
            for &used in instruction.args.iter().chain(targets) {
                let used = function.resolve(used);
                if !contains(defined, used) {
                    insert(live, used);
                }
            }
            for &result in &function.results[inst] {
                insert(defined, result);
            }
        }
    }

    /// Carries the sets of the successors over `block`; whether its own grew.
    fn flow(&mut self, function: &Function, block: Block, defined: &[u64]) -> bool {
        let start = block.index() * self.words;
        for target in function.insts[function.terminator(block)].targets() {
            let from = target.block.index() * self.words;
            for word in 0..self.words {
                self.live_out[start + word] |= self.live_in[from + word];
            }
        }
        let mut changed = false;
        let sets = start..start + self.words;
        let passed = self.live_out[sets.clone()].iter().zip(&defined[sets.clone()]);
        for (live_in, (live_out, defined)) in self.live_in[sets].iter_mut().zip(passed) {
            let live = *live_in | (live_out & !defined);
            changed |= live != *live_in;
            *live_in = live;
        }
        changed
    }

    /// Whether `value` is live at the start of `block`.
    pub fn is_live_in(&self, block: Block, value: Value) -> bool {
        contains(self.set(&self.live_in, block), value)
    }
    /// Whether `value` is live at the end of `block`.
    pub fn is_live_out(&self, block: Block, value: Value) -> bool {
        contains(self.set(&self.live_out, block), value)
    }
    /// Values live at the start of `block`.
    pub fn live_in(&self, block: Block) -> impl Iterator<Item = Value> + '_ {
        values(self.set(&self.live_in, block))
    }
    /// Values live at the end of `block`.
    pub fn live_out(&self, block: Block) -> impl Iterator<Item = Value> + '_ {
        values(self.set(&self.live_out, block))
    }
    fn set<'a>(&self, sets: &'a [u64], block: Block) -> &'a [u64] {
        &sets[block.index() * self.words..][..self.words]
    }
}

fn insert(set: &mut [u64], value: Value) {
    set[value.index() / 64] |= 1 << (value.index() % 64);
}

fn contains(set: &[u64], value: Value) -> bool {
    set.get(value.index() / 64).is_some_and(|word| word >> (value.index() % 64) & 1 != 0)
}

fn values(set: &[u64]) -> impl Iterator<Item = Value> + '_ {
    set.iter().enumerate().flat_map(|(index, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            (bit < 64).then(|| Value::from_index(index * 64 + bit))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_function;

    #[test]
    fn live_around_a_loop() {
        let function = parse_function(
            "function \"f\" pointer 8 managed (i32, i32) -> i32 {\nblock0(v0: i32, v1: i32):\n jump block1(v0)\n\
             block1(v2: i32):\n v3 = iadd.i32 v2, v1\n brif v3 block1(v3), block2\nblock2:\n return v3\n}",
        )
        .unwrap();
        let control_flow = ControlFlow::new(&function);
        let liveness = Liveness::new(&function, &control_flow);
        let names = |values: Vec<Value>| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(liveness.live_in(function.layout[1]).collect()), ["v1"]);
        assert_eq!(names(liveness.live_out(function.layout[1]).collect()), ["v1", "v3"]);
        assert_eq!(names(liveness.live_in(function.layout[0]).collect()), [""; 0]);
    }
}
