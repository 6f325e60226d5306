//! Where values and stack slots of an interpreted function are: cells and bytes of its frame.

use crate::entity::{Block, Entity, Inst, StackSlot, Value};
use crate::function::Function;

/// The frame of an interpreted function. A value used only in the block that defines it shares its cell with others of that kind, so that
/// frames stay small.
#[derive(Clone, Debug)]
pub struct FrameLayout {
    /// By value: where its definition leaves it.
    cells: Vec<u32>,
    /// By value: where it is read. Differs for another name of a value, whose own definition may still run.
    read_cells: Vec<u32>,
    /// By instruction: where its first result goes.
    result_cells: Vec<u32>,
    /// Number of cells.
    pub cell_count: u32,
    /// By slot, in bytes.
    slot_offsets: Vec<u32>,
    /// Bytes of all slots, a multiple of 16.
    pub slot_bytes: u32,
}

/// No cell yet.
const NONE: u32 = u32::MAX;

/// Where the uses of a value are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uses {
    Nowhere,
    /// In one block; the last at this instruction.
    Within(Block, u32),
    Anywhere,
}

impl FrameLayout {
    /// The frame of `function`.
    pub fn new(function: &Function) -> FrameLayout {
        let mut cells = vec![NONE; function.values.len()];
        let uses = find_uses(function);
        let mut cell_count = 0;
        // Values that outlive their block come first, each with a cell of its own; parameters always do.
        for &block in &function.layout {
            let data = &function.blocks[block];
            let results = data.insts.iter().flat_map(|&inst| &function.results[inst]);
            let outlives = |value: &&Value| !matches!(uses[value.index()], Uses::Within(home, _) if home == block);
            let lasting = results.filter(outlives).filter(|value| uses[value.index()] != Uses::Nowhere);
            for value in data.params.iter().chain(lasting) {
                cells[value.index()] = cell_count;
                cell_count += 1;
            }
        }
        let shared_from = cell_count;
        let mut free = Vec::new();
        for &block in &function.layout {
            free.clear();
            free.extend((shared_from..cell_count).rev());
            for (index, &inst) in function.blocks[block].insts.iter().enumerate() {
                for &arg in &function.insts[inst].args {
                    let value = function.resolve(arg).index();
                    let ends = uses[value] == Uses::Within(block, index as u32) && cells[value] >= shared_from;
                    if ends && !free.contains(&cells[value]) {
                        free.push(cells[value]);
                    }
                }
                let mut unused = Vec::new();
                for result in &function.results[inst] {
                    if cells[result.index()] != NONE {
                        continue;
                    }
                    let cell = free.pop().unwrap_or_else(|| {
                        cell_count += 1;
                        cell_count - 1
                    });
                    cells[result.index()] = cell;
                    if uses[result.index()] == Uses::Nowhere {
                        unused.push(cell);
                    }
                }
                free.append(&mut unused);
            }
        }
        let read_cells = function.values.keys().map(|value| cells[function.resolve(value).index()]).collect();
        let first_result = |inst| function.results[inst].first().map_or(NONE, |result| cells[result.index()]);
        let result_cells = function.insts.keys().map(first_result).collect();
        let mut slot_bytes = 0;
        let place = |bytes: &mut u32, size: u32, align: u32| {
            let offset = bytes.next_multiple_of(align.max(1));
            *bytes = offset + size;
            offset
        };
        let slot_offsets = function.slots.values().map(|slot| place(&mut slot_bytes, slot.size, slot.align)).collect();
        FrameLayout { cells, read_cells, result_cells, cell_count, slot_offsets, slot_bytes: slot_bytes.next_multiple_of(16) }
    }

    /// The cell that a value is written to.
    pub fn cell(&self, value: Value) -> usize {
        self.cells[value.index()] as usize
    }

    /// The cell of an instruction's one result.
    pub fn result_cell(&self, inst: Inst) -> usize {
        self.result_cells[inst.index()] as usize
    }

    /// The cell that a value is read from.
    pub fn read_cell(&self, value: Value) -> usize {
        self.read_cells[value.index()] as usize
    }

    /// Byte offset of a slot.
    pub fn slot(&self, slot: StackSlot) -> u32 {
        self.slot_offsets[slot.index()]
    }
}

fn find_uses(function: &Function) -> Vec<Uses> {
    let mut uses = vec![Uses::Nowhere; function.values.len()];
    for &block in &function.layout {
        for (index, &inst) in function.blocks[block].insts.iter().enumerate() {
            let instruction = &function.insts[inst];
            let passed = instruction.targets().iter().flat_map(|target| &target.args);
            for &arg in instruction.args.iter().chain(passed) {
                let value = &mut uses[function.resolve(arg).index()];
                *value = match *value {
                    Uses::Nowhere => Uses::Within(block, index as u32),
                    Uses::Within(home, _) if home == block => Uses::Within(block, index as u32),
                    _ => Uses::Anywhere,
                };
            }
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_function;

    #[test]
    fn what_lives_at_once_has_cells_of_its_own() {
        let text = "function \"f\" pointer 8 managed (i32) -> i32 {\n ss0 = slot 5 align 1\n ss1 = slot 8 align 8\nblock0(v0: i32):\n \
            v1 = iconst.i32 1\n v2 = iconst.i32 2\n v3 = iadd.i32 v1, v2\n v4 = iadd.i32 v3, v0\n jump block1\n\
            block1:\n v5 = iadd.i32 v4, v0\n return v5\n}";
        let layout = FrameLayout::new(&parse_function(text).expect("a good function"));
        let cells: Vec<u32> = layout.cells.clone();
        // The parameter and what the other block uses; two constants; the sums in cells that are free again.
        assert_eq!((cells[0], cells[4], layout.cell_count), (0, 1, 4));
        assert!(cells[1] != cells[2] && cells[1..4].iter().chain(&cells[5..]).all(|&cell| cell == 2 || cell == 3));
        assert_eq!((layout.slot_offsets.as_slice(), layout.slot_bytes), ([0, 8].as_slice(), 16));
    }
}
