//! Scalar replacement: stack slots whose address does not escape become SSA values, structures field by field.
//!
//! A slot is cut into pieces, the disjoint ranges that loads and stores access. Copies between slots hand the cuts of one
//! on to the other, so that they become moves of pieces. Copies to and from other memory become loads and stores of
//! pieces. A slot with overlapping cuts, or with too many, stays as it is.

use super::rewrite::{apply_aliases, ensure_reachable};
use super::stack_slots::{find_slot_uses, slot_address};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, StackSlot, Value};
use crate::function::Function;
use crate::instruction::{Alias, Aux, Instruction, Memory, MemoryFlags, Opcode, SourceOffset};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::{Access, Type};
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "scalar-replacement",
    mono_aliases: &["ssa"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// The most pieces of one slot: beyond, copies in memory are cheaper than so many values.
const MAX_PIECES: usize = 16;

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    if function.slots.is_empty() {
        return false;
    }
    apply_aliases(function);
    let changed = ensure_reachable(function, control_flow);
    let mut cuts = Cuts::new(function);
    cuts.collect(function);
    if cuts.number_variables() == 0 {
        return changed;
    }
    let live = live_on_entry(function, control_flow, &cuts);
    let variables = cuts.types.len();
    let mut promotion = Promotion {
        cuts,
        current: Vec::new(),
        ends: vec![Vec::new(); function.blocks.len()],
        out: Vec::new(),
        source: SourceOffset::UNKNOWN,
    };
    let mut joins: Vec<(Block, usize)> = Vec::new();
    for (order, &block) in control_flow.reverse_post_order().iter().enumerate() {
        promotion.enter(function, control_flow, block, order, &live[order], &mut joins);
        let insts = std::mem::take(&mut function.blocks[block].insts);
        promotion.out.reserve(insts.len());
        for &inst in &insts {
            promotion.visit(function, inst);
        }
        function.blocks[block].insts = std::mem::take(&mut promotion.out);
        promotion.ends[block.index()] = std::mem::take(&mut promotion.current);
    }
    debug_assert!(promotion.ends.iter().all(|end| end.is_empty() || end.len() == variables));
    promotion.pass_arguments(function, control_flow, &joins);
    apply_aliases(function);
    true
}

/// A range of a slot that becomes one value.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: i64,
    bytes: i64,
    access: Access,
    variable: usize,
}

/// How the slots are cut into pieces.
struct Cuts {
    pieces: Vec<SmallVec<[Piece; 4]>>,
    /// By slot: stays in memory.
    stays: Vec<bool>,
    /// By variable.
    types: Vec<Type>,
    pointer_bytes: u32,
}

impl Cuts {
    fn new(function: &Function) -> Cuts {
        let stays = find_slot_uses(function)
            .escapes
            .iter()
            .zip(function.slots.values())
            .map(|(&escapes, data)| escapes || data.in_handler)
            .collect();
        let pieces = vec![SmallVec::new(); function.slots.len()];
        Cuts { pieces, stays, types: Vec::new(), pointer_bytes: function.pointer_bytes }
    }

    /// The slot and offset that `address` means, if that slot is promoted.
    fn place(&self, function: &Function, address: Value) -> Option<(StackSlot, i64)> {
        slot_address(function, address)
            .filter(|(slot, _)| !self.stays[slot.index()])
            .map(|(slot, offset)| (slot, i64::from(offset)))
    }

    /// Cuts out a piece. True if it is new. A slot in which it does not fit stays in memory.
    fn cut(&mut self, function: &Function, slot: StackSlot, offset: i64, access: Access) -> bool {
        let bytes = i64::from(access.bytes(self.pointer_bytes));
        if self.stays[slot.index()] {
            return false;
        }
        let pieces = &mut self.pieces[slot.index()];
        let place = pieces.partition_point(|piece| piece.offset < offset);
        if let Some(piece) = pieces.get(place).filter(|piece| piece.offset == offset && piece.bytes == bytes) {
            // Widening happens when a narrow piece is loaded, so signedness does not matter here.
            debug_assert!(piece.bytes == bytes);
            return false;
        }
        let overlaps = pieces.get(place).is_some_and(|next| next.offset < offset + bytes)
            || (place > 0 && pieces[place - 1].offset + pieces[place - 1].bytes > offset);
        let outside = offset < 0 || offset + bytes > i64::from(function.slots[slot].size);
        if overlaps || outside || pieces.len() == MAX_PIECES || access == Access::Full(Type::V128) {
            self.stays[slot.index()] = true;
            return true;
        }
        pieces.insert(place, Piece { offset, bytes, access, variable: 0 });
        true
    }

    /// The pieces of `slot` between `offset` and `offset + bytes`. If one is only partly in there, the slot stays.
    fn within(&mut self, slot: StackSlot, offset: i64, bytes: i64) -> SmallVec<[Piece; 8]> {
        let mut found = SmallVec::new();
        for piece in &self.pieces[slot.index()] {
            let (start, end) = (piece.offset.max(offset), (piece.offset + piece.bytes).min(offset + bytes));
            if start >= end {
                continue;
            }
            if end - start != piece.bytes {
                self.stays[slot.index()] = true;
            }
            found.push(*piece);
        }
        found
    }

    fn collect(&mut self, function: &Function) {
        let mut areas: Vec<Inst> = Vec::new();
        for &block in &function.layout {
            for &inst in &function.blocks[block].insts {
                let instruction = &function.insts[inst];
                match (instruction.opcode, &instruction.aux) {
                    (Opcode::Load | Opcode::Store | Opcode::StoreRef, Aux::Memory(memory)) => {
                        let address = instruction.args[usize::from(instruction.opcode == Opcode::StoreRef)];
                        let Some((slot, offset)) = self.place(function, address) else { continue };
                        if memory.flags.contains(MemoryFlags::VOLATILE) {
                            self.stays[slot.index()] = true;
                        }
                        self.cut(function, slot, offset + i64::from(memory.offset), memory.access);
                    }
                    (Opcode::CopyMemory | Opcode::ZeroMemory, _) => areas.push(inst),
                    _ => {}
                }
            }
        }
        // Each round either adds a piece or lets a slot stay, both of which are limited.
        let mut again = true;
        while again {
            let before = self.stays.iter().filter(|&&stays| stays).count();
            again = false;
            for &inst in &areas {
                again |= self.hand_on(function, &function.insts[inst]);
            }
            again |= before != self.stays.iter().filter(|&&stays| stays).count();
        }
    }

    /// Applies what a copy or zeroing means for the cuts. True if there is a new piece.
    fn hand_on(&mut self, function: &Function, instruction: &Instruction) -> bool {
        let Aux::Int(bytes) = instruction.aux else { return false };
        let destination = self.place(function, instruction.args[0]);
        let source = instruction.args.get(1).and_then(|&address| self.place(function, address));
        let mut changed = false;
        match (destination, source) {
            (Some((to, to_offset)), Some((from, from_offset))) => {
                for piece in self.within(from, from_offset, bytes) {
                    changed |= self.cut(function, to, piece.offset - from_offset + to_offset, piece.access);
                }
                for piece in self.within(to, to_offset, bytes) {
                    changed |= self.cut(function, from, piece.offset - to_offset + from_offset, piece.access);
                }
            }
            (Some((to, offset)), None) => {
                self.within(to, offset, bytes);
            }
            (None, Some((from, offset))) => {
                // All bytes count here, also those that nobody looked at one by one.
                let mut at = offset;
                let end = offset + bytes;
                while at < end && !self.stays[from.index()] {
                    let pieces = self.within(from, at, end - at);
                    let next = pieces.first().map_or(end, |piece| piece.offset);
                    if next <= at {
                        at = next + pieces[0].bytes;
                        continue;
                    }
                    let access = self.filler(at, next - at);
                    changed |= self.cut(function, from, at, access);
                    at += i64::from(access.bytes(self.pointer_bytes));
                }
            }
            (None, None) => {}
        }
        changed
    }

    /// The widest access at `offset` that is aligned and no longer than `room`.
    fn filler(&self, offset: i64, room: i64) -> Access {
        let choices = [Access::Full(Type::Iptr), Access::Full(Type::I32), Access::U16];
        let fits = |access: &Access| {
            let bytes = i64::from(access.bytes(self.pointer_bytes));
            offset % bytes == 0 && bytes <= room
        };
        choices.into_iter().find(fits).unwrap_or(Access::U8)
    }

    /// Numbers the pieces of promoted slots and says how many there are.
    fn number_variables(&mut self) -> usize {
        for (pieces, &stays) in self.pieces.iter_mut().zip(&self.stays) {
            if stays {
                pieces.clear();
            }
            for piece in pieces {
                piece.variable = self.types.len();
                self.types.push(piece.access.value_type());
            }
        }
        self.types.len()
    }

    /// Calls `visit` with each variable that `instruction` reads (`false`) or overwrites (`true`), reads first.
    fn for_each_access(&self, function: &Function, instruction: &Instruction, mut visit: impl FnMut(usize, bool)) {
        let mut area = |address: Value, offset: i64, bytes: i64, write: bool| {
            let Some((slot, base)) = self.place(function, address) else { return };
            let start = base + offset;
            let inside = |piece: &&Piece| piece.offset >= start && piece.offset < start + bytes;
            self.pieces[slot.index()].iter().filter(inside).for_each(|piece| visit(piece.variable, write));
        };
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Load, Aux::Memory(memory)) => area(instruction.args[0], memory.offset.into(), 1, false),
            (Opcode::Store, Aux::Memory(memory)) => area(instruction.args[0], memory.offset.into(), 1, true),
            (Opcode::StoreRef, Aux::Memory(memory)) => area(instruction.args[1], memory.offset.into(), 1, true),
            (Opcode::CopyMemory, &Aux::Int(bytes)) => {
                area(instruction.args[1], 0, bytes, false);
                area(instruction.args[0], 0, bytes, true);
            }
            (Opcode::ZeroMemory, &Aux::Int(bytes)) => area(instruction.args[0], 0, bytes, true),
            _ => {}
        }
    }
}

/// By index in the reverse post-order: the variables that may be read before they are written, as bits.
fn live_on_entry(function: &Function, control_flow: &ControlFlow, cuts: &Cuts) -> Vec<Vec<u64>> {
    let words = cuts.types.len().div_ceil(64);
    let order = control_flow.reverse_post_order();
    let mut read = vec![vec![0u64; words]; order.len()];
    let mut written = vec![vec![0u64; words]; order.len()];
    for (index, &block) in order.iter().enumerate() {
        for &inst in &function.blocks[block].insts {
            cuts.for_each_access(function, &function.insts[inst], |variable, write| {
                let (word, bit) = (variable / 64, 1 << (variable % 64));
                if write {
                    written[index][word] |= bit;
                } else if written[index][word] & bit == 0 {
                    read[index][word] |= bit;
                }
            });
        }
    }
    let mut live = read;
    let mut changed = true;
    while changed {
        changed = false;
        for (index, &block) in order.iter().enumerate().rev() {
            for target in function.insts[function.terminator(block)].targets() {
                let Some(successor) = control_flow.order_of(target.block) else { continue };
                for word in 0..words {
                    let new = live[index][word] | (live[successor][word] & !written[index][word]);
                    changed |= new != live[index][word];
                    live[index][word] = new;
                }
            }
        }
    }
    live
}

struct Promotion {
    cuts: Cuts,
    /// By variable: its value at the current place, if it has one.
    current: Vec<Option<Value>>,
    /// By block: values at its end.
    ends: Vec<Vec<Option<Value>>>,
    /// The new instruction list of the block.
    out: Vec<Inst>,
    source: SourceOffset,
}

impl Promotion {
    fn enter(
        &mut self,
        function: &mut Function,
        control_flow: &ControlFlow,
        block: Block,
        order: usize,
        live: &[u64],
        joins: &mut Vec<(Block, usize)>,
    ) {
        let predecessors = control_flow.predecessors(block);
        let is_root = control_flow.roots().contains(&block);
        let known = |predecessor: Block| control_flow.order_of(predecessor).is_some_and(|other| other < order);
        let all_known = !is_root && predecessors.iter().all(|edge| known(edge.0));
        self.current = vec![None; self.cuts.types.len()];
        for variable in 0..self.cuts.types.len() {
            if live[variable / 64] & (1 << (variable % 64)) == 0 || is_root {
                continue;
            }
            let first = self.ends[predecessors[0].0.index()].get(variable).copied().flatten();
            let same = all_known && predecessors.iter().all(|edge| self.ends[edge.0.index()][variable] == first);
            self.current[variable] = if same {
                first
            } else {
                joins.push((block, variable));
                Some(function.add_block_param(block, self.cuts.types[variable]))
            };
        }
    }

    /// Adds the arguments for the parameters that `enter` made, in the same order.
    fn pass_arguments(&mut self, function: &mut Function, control_flow: &ControlFlow, joins: &[(Block, usize)]) {
        for &(block, variable) in joins {
            for (edge, &(predecessor, branch)) in control_flow.predecessors(block).iter().enumerate() {
                if control_flow.predecessors(block)[..edge].iter().any(|earlier| earlier.0 == predecessor) {
                    continue;
                }
                let value = match self.ends[predecessor.index()][variable] {
                    Some(value) => value,
                    None => {
                        // Never written on this way: what the frame held, for which zero is as good as anything.
                        let zero = self.zero(function, variable);
                        let inst = self.out.pop().expect("a constant was just made");
                        let place = function.blocks[predecessor].insts.len() - 1;
                        function.blocks[predecessor].insts.insert(place, inst);
                        self.ends[predecessor.index()][variable] = Some(zero);
                        zero
                    }
                };
                for target in function.insts[branch].targets_mut() {
                    if target.block == block {
                        target.args.push(value);
                    }
                }
            }
        }
    }

    fn emit(&mut self, function: &mut Function, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Inst {
        let mut instruction = Instruction::new(opcode, ty, args, aux);
        instruction.source = self.source;
        let inst = function.make_inst(instruction);
        self.out.push(inst);
        inst
    }

    fn zero(&mut self, function: &mut Function, variable: usize) -> Value {
        let ty = self.cuts.types[variable];
        let opcode = if ty.is_float() { Opcode::Fconst } else { Opcode::Iconst };
        let inst = self.emit(function, opcode, ty, &[], Aux::Int(0));
        function.result(inst)
    }

    fn get(&mut self, function: &mut Function, variable: usize) -> Value {
        match self.current[variable] {
            Some(value) => function.resolve(value),
            None => {
                let zero = self.zero(function, variable);
                self.current[variable] = Some(zero);
                zero
            }
        }
    }

    /// The same bits as another type of the same width.
    fn convert(&mut self, function: &mut Function, value: Value, to: Type) -> Value {
        let from = function.value_type(value);
        if from == to {
            return value;
        }
        let as_integer = |ty: Type| match ty {
            Type::F32 => Type::I32,
            Type::F64 => Type::I64,
            Type::Ref | Type::Mptr => Type::Iptr,
            other => other,
        };
        let (from_integer, to_integer) = (as_integer(from), as_integer(to));
        if from_integer == to_integer {
            let inst = self.emit(function, Opcode::Bitcast, to, &[value], Aux::None);
            return function.result(inst);
        }
        let value = self.convert(function, value, from_integer);
        // Plain copies, for the widths are equal.
        let opcode = if from_integer < to_integer && from_integer != Type::I64 { Opcode::Sext } else { Opcode::Trunc };
        let opcode = if (from_integer, to_integer) == (Type::Iptr, Type::I64) { Opcode::Sext } else { opcode };
        let inst = self.emit(function, opcode, to_integer, &[value], Aux::None);
        let value = function.result(inst);
        self.convert(function, value, to)
    }

    fn pieces(&self, slot: StackSlot, offset: i64, bytes: i64) -> SmallVec<[Piece; 8]> {
        let inside = |piece: &&Piece| piece.offset >= offset && piece.offset < offset + bytes;
        self.cuts.pieces[slot.index()].iter().filter(inside).copied().collect()
    }

    fn visit(&mut self, function: &mut Function, inst: Inst) {
        let Instruction { opcode, source, .. } = function.insts[inst];
        self.source = source;
        let args = function.insts[inst].args.clone();
        match (opcode, function.insts[inst].aux.clone()) {
            (Opcode::Load, Aux::Memory(memory)) => {
                let Some((slot, base)) = self.cuts.place(function, args[0]) else { return self.out.push(inst) };
                let piece = self.pieces(slot, base + i64::from(memory.offset), 1)[0];
                let value = self.get(function, piece.variable);
                let value = self.convert(function, value, memory.access.value_type());
                let widening = match memory.access {
                    Access::I8 => Some(Opcode::Sext8),
                    Access::U8 => Some(Opcode::Zext8),
                    Access::I16 => Some(Opcode::Sext16),
                    Access::U16 => Some(Opcode::Zext16),
                    Access::Full(_) => None,
                };
                let value = match widening {
                    Some(opcode) => {
                        let inst = self.emit(function, opcode, Type::I32, &[value], Aux::None);
                        function.result(inst)
                    }
                    None => value,
                };
                let result = function.result(inst);
                function.alias(result, value);
            }
            (Opcode::Store | Opcode::StoreRef, Aux::Memory(memory)) => {
                let address = args[args.len() - 2];
                let Some((slot, base)) = self.cuts.place(function, address) else { return self.out.push(inst) };
                let piece = self.pieces(slot, base + i64::from(memory.offset), 1)[0];
                let value = function.resolve(args[args.len() - 1]);
                let value = self.convert(function, value, self.cuts.types[piece.variable]);
                self.current[piece.variable] = Some(value);
            }
            (Opcode::ZeroMemory, Aux::Int(bytes)) => {
                let Some((slot, base)) = self.cuts.place(function, args[0]) else { return self.out.push(inst) };
                for piece in self.pieces(slot, base, bytes) {
                    let zero = self.zero(function, piece.variable);
                    self.current[piece.variable] = Some(zero);
                }
            }
            (Opcode::CopyMemory, Aux::Int(bytes)) => self.copy(function, inst, bytes),
            _ => self.out.push(inst),
        }
    }

    fn copy(&mut self, function: &mut Function, inst: Inst, bytes: i64) {
        let (to, from) = (function.insts[inst].args[0], function.insts[inst].args[1]);
        match (self.cuts.place(function, to), self.cuts.place(function, from)) {
            (Some((slot, base)), Some((source_slot, source_base))) => {
                let sources = self.pieces(source_slot, source_base, bytes);
                let targets = self.pieces(slot, base, bytes);
                debug_assert_eq!(sources.len(), targets.len());
                let values: SmallVec<[Value; 8]> = sources.iter().map(|piece| self.get(function, piece.variable)).collect();
                for (&value, target) in values.iter().zip(&targets) {
                    let value = self.convert(function, value, self.cuts.types[target.variable]);
                    self.current[target.variable] = Some(value);
                }
            }
            (Some((slot, base)), None) => {
                let pieces = self.pieces(slot, base, bytes);
                if pieces.is_empty() && bytes > 0 && slot_address(function, from).is_none() {
                    // Nobody wants the bytes, but the address may be null.
                    let aux = self.access(function, from, 0, Access::U8);
                    self.emit(function, Opcode::Load, Type::I32, &[from], aux);
                }
                for piece in pieces {
                    let aux = self.access(function, from, piece.offset - base, piece.access);
                    let load = self.emit(function, Opcode::Load, self.cuts.types[piece.variable], &[from], aux);
                    self.current[piece.variable] = Some(function.result(load));
                }
            }
            (None, Some((slot, base))) => {
                for piece in self.pieces(slot, base, bytes) {
                    let value = self.get(function, piece.variable);
                    // Where a reference may go by a copy, no barrier is needed.
                    let (access, value) = match piece.access {
                        Access::Full(ty) if ty.is_managed() => {
                            (Access::Full(Type::Iptr), self.convert(function, value, Type::Iptr))
                        }
                        access => (access, value),
                    };
                    let aux = self.access(function, to, piece.offset - base, access);
                    self.emit(function, Opcode::Store, access.value_type(), &[to, value], aux);
                }
            }
            (None, None) => self.out.push(inst),
        }
    }

    /// An access to memory that is not promoted.
    fn access(&self, function: &Function, address: Value, offset: i64, access: Access) -> Aux {
        let mut flags = MemoryFlags::empty();
        flags.set(MemoryFlags::NO_TRAP, slot_address(function, address).is_some());
        let misplaced = offset % i64::from(access.bytes(function.pointer_bytes)) != 0;
        // A copy says nothing of how its addresses are aligned, and machines that are strict at all are so with floats.
        let strict = matches!(access, Access::Full(Type::F32 | Type::F64)) && slot_address(function, address).is_none();
        flags.set(MemoryFlags::UNALIGNED, misplaced || strict);
        Aux::Memory(Memory { access, offset: offset as i32, flags, alias: Alias::Any })
    }
}
