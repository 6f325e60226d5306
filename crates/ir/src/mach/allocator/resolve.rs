//! Lays out spill slots, answers each operand with its place and inserts the moves.

use super::liveness::{Point, gap};
use super::parallel_moves::{ParallelMove, resolve};
use super::{Allocator, Place};
use crate::mach::CodegenError;
use crate::mach::registers::{Allocation, Constraint, OperandKind, PRegSet, SpillSlot, VReg};
use crate::mach::vcode::{AllocationResult, Edit, EditPoint, MachInst};

/// Order of the groups of moves in one gap.
const BLOCK_START: u8 = 0;
const SPLIT: u8 = 1;
const PARAM_STORE: u8 = 2;
const OPERAND: u8 = 3;
const BLOCK_END: u8 = 4;
const AFTER: u8 = 5;

struct Places {
    /// By vreg: first of its pieces; one more at the end.
    start: Vec<u32>,
    /// Pieces of vregs, sorted.
    pieces: Vec<(u32, Point, Point, Allocation)>,
    /// By vreg: its slot, if it has one. It holds the vreg from its definition on.
    slots: Vec<Option<SpillSlot>>,
}

impl Places {
    fn at(&self, vreg: VReg, point: Point) -> Result<Allocation, CodegenError> {
        let pieces = &self.pieces[self.start[vreg.index()] as usize..self.start[vreg.index() + 1] as usize];
        let index = pieces.partition_point(|piece| piece.2 <= point);
        match pieces.get(index) {
            Some(piece) if piece.1 <= point => Ok(piece.3),
            _ => Err(CodegenError { message: format!("{vreg} has no place at point {point}") }),
        }
    }
}

struct Moves {
    list: Vec<((u32, u8), ParallelMove)>,
}

impl Moves {
    fn push(&mut self, inst: u32, group: u8, from: Allocation, to: Allocation, ty: crate::types::Type) {
        if from != to {
            self.list.push(((inst, group), ParallelMove { from, to, ty }));
        }
    }
}

/// Turns the bundles' places into the result.
pub(super) fn finish<I: MachInst>(allocator: Allocator<'_, I>) -> Result<AllocationResult, CodegenError> {
    let (places, spill_bytes) = lay_out(&allocator);
    let mut moves = Moves { list: Vec::new() };
    let allocations = operands(&allocator, &places, &mut moves)?;
    splits(&allocator, &places, &mut moves);
    edges(&allocator, &places, &mut moves)?;
    Ok(sequence(allocator, moves, allocations, spill_bytes))
}

/// Gives slots to spill sets: sets that never live at once share one.
fn lay_out<I: MachInst>(allocator: &Allocator<'_, I>) -> (Places, u32) {
    const UNUSED: u32 = u32::MAX;
    let code = allocator.code;
    let vregs = code.vreg_types.len();
    let mut set_of = vec![UNUSED; vregs];
    let mut spilled = vec![false; vregs];
    for bundle in &allocator.bundles {
        for range in &bundle.ranges {
            let vreg = range.vreg.index();
            set_of[vreg] = bundle.spill_set;
            spilled[vreg] |= bundle.place == Place::Stack || allocator.live.needs_slot[vreg];
        }
    }
    // By set: first and last point of its spilled vregs, and bytes.
    let mut sets = vec![(UNUSED, 0, 0u32); allocator.spill_sets as usize];
    for vreg in 0..vregs {
        if !spilled[vreg] {
            continue;
        }
        let set = &mut sets[set_of[vreg] as usize];
        let ranges = &allocator.live.ranges[vreg];
        set.0 = set.0.min(ranges[0].0);
        set.1 = set.1.max(ranges[ranges.len() - 1].1);
        let pointer_bytes = allocator.file.pointer_bytes;
        set.2 = set.2.max(code.vreg_types[vreg].bytes(pointer_bytes).max(pointer_bytes).next_power_of_two());
    }
    let mut order: Vec<u32> = (0..sets.len() as u32).filter(|&set| sets[set as usize].0 != UNUSED).collect();
    order.sort_unstable_by_key(|&set| sets[set as usize].0);
    let mut offsets = vec![0u32; sets.len()];
    // By log2 of the size: slots in use as a heap by end, and free ones.
    let mut active: [std::collections::BinaryHeap<std::cmp::Reverse<(Point, u32)>>; 5] = Default::default();
    let mut bytes = 0u32;
    for set in order {
        let (from, to, size) = sets[set as usize];
        let active = &mut active[size.trailing_zeros() as usize];
        let reuse = match active.peek() {
            Some(std::cmp::Reverse((end, offset))) if *end <= from => Some(*offset),
            _ => None,
        };
        let offset = match reuse {
            Some(offset) => {
                active.pop();
                offset
            }
            None => {
                let offset = bytes.next_multiple_of(size);
                bytes = offset + size;
                offset
            }
        };
        active.push(std::cmp::Reverse((to, offset)));
        offsets[set as usize] = offset;
    }
    let slots: Vec<Option<SpillSlot>> =
        (0..vregs).map(|vreg| spilled[vreg].then(|| SpillSlot(offsets[set_of[vreg] as usize]))).collect();
    let mut pieces: Vec<(u32, Point, Point, Allocation)> = Vec::new();
    for bundle in &allocator.bundles {
        for range in &bundle.ranges {
            let vreg = range.vreg.index();
            let place = match bundle.place {
                Place::Reg(register) => Allocation::Reg(register),
                _ => slots[vreg].map_or(Allocation::None, Allocation::Stack),
            };
            pieces.push((vreg as u32, range.from, range.to, place));
        }
    }
    pieces.sort_unstable();
    let mut start = vec![0u32; vregs + 1];
    for piece in &pieces {
        start[piece.0 as usize + 1] += 1;
    }
    for index in 1..start.len() {
        start[index] += start[index - 1];
    }
    (Places { start, pieces, slots }, bytes.next_multiple_of(8))
}

/// Answers all operands, with the moves to and from fixed registers, reused inputs, and stores of spilled definitions.
fn operands<I: MachInst>(
    allocator: &Allocator<'_, I>,
    places: &Places,
    moves: &mut Moves,
) -> Result<Vec<Allocation>, CodegenError> {
    let live = &allocator.live;
    let code = allocator.code;
    let mut allocations = vec![Allocation::None; live.operands.len()];
    for inst in 0..code.insts.len() as u32 {
        let range = live.operand_start[inst as usize] as usize..live.operand_start[inst as usize + 1] as usize;
        let mut reuse: Option<(usize, Allocation)> = None;
        for index in range.clone() {
            let operand = live.operands[index];
            let ty = code.vreg_type(operand.vreg);
            if operand.kind != OperandKind::Def {
                continue;
            }
            let early = operand.position == crate::mach::registers::Position::Early
                || matches!(operand.constraint, Constraint::ReuseInput(_));
            let home = places.at(operand.vreg, gap(inst) + if early { 1 } else { 2 })?;
            let at = match operand.constraint {
                Constraint::Fixed(register) => Allocation::Reg(register),
                Constraint::Stack => places.slots[operand.vreg.index()].map_or(home, Allocation::Stack),
                _ => home,
            };
            if let Constraint::ReuseInput(input) = operand.constraint {
                reuse = Some((range.start + input as usize, home));
            }
            allocations[index] = at;
            moves.push(inst, AFTER, at, home, ty);
            if let Some(slot) = places.slots[operand.vreg.index()] {
                moves.push(inst, AFTER, at, Allocation::Stack(slot), ty);
            }
        }
        for index in range.clone() {
            let operand = live.operands[index];
            if operand.kind != OperandKind::Use {
                continue;
            }
            let ty = code.vreg_type(operand.vreg);
            let home = places.at(operand.vreg, gap(inst))?;
            let at = match operand.constraint {
                _ if reuse.is_some_and(|reuse| reuse.0 == index) => reuse.map_or(home, |reuse| reuse.1),
                Constraint::Fixed(register) => Allocation::Reg(register),
                Constraint::Stack => places.slots[operand.vreg.index()].map_or(home, Allocation::Stack),
                _ => home,
            };
            if !matches!(operand.constraint, Constraint::Stack) {
                moves.push(inst, OPERAND, home, at, ty);
            }
            allocations[index] = at;
        }
    }
    Ok(allocations)
}

/// Moves between the pieces of a vreg within blocks. What goes to a slot is there already.
fn splits<I: MachInst>(allocator: &Allocator<'_, I>, places: &Places, moves: &mut Moves) {
    let code = allocator.code;
    for pair in places.pieces.windows(2) {
        let ((vreg, _, end, from), (next, start, _, to)) = (pair[0], pair[1]);
        if vreg != next || end != start || matches!(to, Allocation::Stack(_)) {
            continue;
        }
        let inst = start >> 2;
        let is_block_start =
            inst as usize >= code.insts.len() || code.blocks[allocator.live.block_of[inst as usize] as usize].insts.start == inst;
        if !is_block_start {
            moves.push(inst, SPLIT, from, to, code.vreg_types[vreg as usize]);
        }
    }
}

/// Moves on edges: to block parameters, and where a vreg changes its place between blocks.
fn edges<I: MachInst>(allocator: &Allocator<'_, I>, places: &Places, moves: &mut Moves) -> Result<(), CodegenError> {
    let code = allocator.code;
    for (index, block) in code.blocks.iter().enumerate() {
        for &param in &block.params {
            if let Some(slot) = places.slots[param.index()] {
                let home = places.at(param, gap(block.insts.start))?;
                moves.push(block.insts.start, PARAM_STORE, home, Allocation::Stack(slot), code.vreg_type(param));
            }
        }
        for edge in &block.successors {
            let target = &code.blocks[edge.block.index()];
            let (inst, group) =
                if target.predecessors.len() == 1 { (target.insts.start, BLOCK_START) } else { (block.insts.end - 1, BLOCK_END) };
            if group == BLOCK_END && block.successors.len() > 1 {
                return Err(CodegenError { message: format!("the edge from mb{index} to mb{} is critical", edge.block.0) });
            }
            for (&param, &arg) in target.params.iter().zip(&edge.args) {
                let from = places.at(arg, gap(block.insts.end) - 1)?;
                let to = places.at(param, gap(target.insts.start))?;
                moves.push(inst, group, from, to, code.vreg_type(param));
            }
        }
    }
    // Vregs that live into a block: their pieces that begin at or span block starts. Only those that have several pieces can differ.
    let starts: Vec<Point> = code.blocks.iter().map(|block| gap(block.insts.start)).collect();
    for vreg in 0..code.vreg_types.len() {
        let pieces = &places.pieces[places.start[vreg] as usize..places.start[vreg + 1] as usize];
        if pieces.len() < 2 || pieces.iter().all(|piece| piece.3 == pieces[0].3) {
            continue;
        }
        let Some(handle) = allocator.live.vregs[vreg] else { continue };
        for &(_, from, to, place) in pieces {
            let first = starts.partition_point(|&start| start < from);
            for (offset, &start) in starts[first..].iter().enumerate() {
                if start >= to {
                    break;
                }
                let target = &code.blocks[first + offset];
                if matches!(place, Allocation::Stack(_)) || target.params.contains(&handle) {
                    continue;
                }
                for &predecessor in &target.predecessors {
                    let block = &code.blocks[predecessor.index()];
                    let source = places.at(handle, gap(block.insts.end) - 1)?;
                    let (inst, group) = if target.predecessors.len() == 1 {
                        (target.insts.start, BLOCK_START)
                    } else {
                        (block.insts.end - 1, BLOCK_END)
                    };
                    moves.push(inst, group, source, place, code.vreg_types[vreg]);
                }
            }
        }
    }
    Ok(())
}

/// Orders each group of moves.
fn sequence<I: MachInst>(
    allocator: Allocator<'_, I>,
    mut moves: Moves,
    allocations: Vec<Allocation>,
    spill_bytes: u32,
) -> AllocationResult {
    moves.list.sort_by_key(|each| each.0);
    let emergency = spill_bytes.next_multiple_of(16);
    let mut result =
        AllocationResult { allocations, operand_start: Vec::new(), edits: Vec::new(), spill_bytes, written: PRegSet::EMPTY };
    let mut group: Vec<ParallelMove> = Vec::new();
    let mut index = 0;
    while index < moves.list.len() {
        let key = moves.list[index].0;
        group.clear();
        while let Some(each) = moves.list.get(index).filter(|each| each.0 == key) {
            group.push(each.1);
            index += 1;
        }
        let point = if key.1 == AFTER { EditPoint::after(key.0) } else { EditPoint::before(key.0) };
        let edits = &mut result.edits;
        if resolve(&mut group, allocator.file, SpillSlot(emergency), &mut |edit| edits.push((point, edit))) {
            result.spill_bytes = emergency + 16;
        }
    }
    for (_, edit) in &result.edits {
        match *edit {
            Edit::Move { to: Allocation::Reg(register), .. } => result.written.insert(register),
            Edit::Swap(a, b) => result.written = result.written.with(a).with(b),
            Edit::Move { .. } => {}
        }
    }
    for (operand, allocation) in allocator.live.operands.iter().zip(&result.allocations) {
        if let (OperandKind::Def, Allocation::Reg(register)) = (operand.kind, allocation) {
            result.written.insert(*register);
        }
    }
    for (set, _) in &allocator.live.clobbers {
        result.written = result.written.union(*set);
    }
    result.operand_start = allocator.live.operand_start;
    result
}
