//! Global value numbering: computations, loads and checks that a dominating one has done already are not done again, and
//! loads after stores take the stored value.
//!
//! One walk in reverse post-order over a table of what was computed where. Memory is versioned by alias class: a load is
//! the same as an earlier one if its class has had the same version since. Where paths meet, a class keeps its version if
//! all of them bring the same; at loop heads and handlers every class begins anew.

use super::rewrite::{apply_aliases, is_pure};
use super::stack_slots::{find_slot_uses, slot_address};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, StackSlot, Value};
use crate::function::Function;
use crate::instruction::{Alias, Aux, Effects, Instruction, Memory, MemoryFlags, Opcode};
use crate::pass_manager::{Level, Pass, PassContext, Scratch};
use crate::types::{Access, Type};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "value-numbering",
    mono_aliases: &["alias-analysis"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| {
        let Scratch { control_flow, numbering, .. } = &mut context.scratch;
        run(function, control_flow, numbering)
    },
};

/// Memory of the pass that is kept from run to run.
#[derive(Default)]
pub struct Tables {
    known: FxHashMap<Key, Known>,
    ends: Vec<[u32; CLASSES]>,
}

/// Runs the pass with `memory` to work in. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow, memory: &mut Tables) -> bool {
    apply_aliases(function);
    control_flow.ensure(function);
    let slots = find_slot_uses(function);
    let mut numbering = Numbering {
        known: &mut memory.known,
        escapes: slots.escapes,
        memory: [0; CLASSES],
        next_version: 1,
        changed: false,
        control_flow,
        block: function.entry(),
    };
    numbering.known.clear();
    let ends = &mut memory.ends;
    ends.clear();
    ends.resize(numbering.control_flow.reverse_post_order().len(), [0; CLASSES]);
    for order in 0..ends.len() {
        let block = numbering.control_flow.reverse_post_order()[order];
        numbering.block = block;
        numbering.enter(order, ends);
        let mut insts = std::mem::take(&mut function.blocks[block].insts);
        insts.retain(|&inst| numbering.visit(function, inst));
        function.blocks[block].insts = insts;
        ends[order] = numbering.memory;
    }
    let changed = numbering.changed;
    if changed {
        apply_aliases(function);
    }
    changed
}

/// Alias classes are sorted into this many versions; classes that share one clobber each other for nothing, no more.
const CLASSES: usize = 32;
/// What may alias anything; its version changes with every write.
const ANY: usize = 0;
const HEADER: usize = 1;
const RUNTIME: usize = 2;
const ELEMENTS: usize = 3;
const ELEMENT_CLASSES: usize = 5;
const FIELDS: usize = ELEMENTS + ELEMENT_CLASSES;
const FIELD_CLASSES: usize = 16;
/// Slots whose address does not escape: nothing but direct accesses changes them.
const SLOTS: usize = FIELDS + FIELD_CLASSES;
const SLOT_CLASSES: usize = CLASSES - SLOTS;

fn slot_class(slot: StackSlot) -> usize {
    SLOTS + slot.index() % SLOT_CLASSES
}

/// A number for each access.
fn access_number(access: Access) -> u32 {
    match access {
        Access::I8 => 0,
        Access::U8 => 1,
        Access::I16 => 2,
        Access::U16 => 3,
        Access::Full(ty) => 4 + ty as u32,
    }
}

/// What makes two computations the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    opcode: Opcode,
    ty: Type,
    args: [u32; 3],
    aux: u64,
    /// Version of the memory that is read, or 0.
    version: u32,
}

/// Where something was computed, and what it gave.
#[derive(Clone, Copy)]
struct Known {
    block: Block,
    /// Nothing for checks.
    value: Option<Value>,
    /// The value was stored by a narrow store and must be widened to be what a load gives.
    narrow: bool,
}

struct Numbering<'a> {
    known: &'a mut FxHashMap<Key, Known>,
    escapes: Vec<bool>,
    /// Versions at the current place.
    memory: [u32; CLASSES],
    next_version: u32,
    changed: bool,
    control_flow: &'a ControlFlow,
    block: Block,
}

impl Numbering<'_> {
    fn enter(&mut self, order: usize, ends: &[[u32; CLASSES]]) {
        let predecessors = self.control_flow.predecessors(self.block);
        let is_root = self.control_flow.roots().contains(&self.block);
        let mut memory = None;
        for &(predecessor, _) in predecessors {
            let before = self.control_flow.order_of(predecessor).filter(|&before| before < order && !is_root);
            let Some(before) = before else {
                memory = None;
                break;
            };
            match &mut memory {
                None => memory = Some(ends[before]),
                Some(merged) => {
                    for (class, version) in merged.iter_mut().enumerate() {
                        if *version != ends[before][class] {
                            *version = 0;
                        }
                    }
                }
            }
        }
        self.memory = memory.unwrap_or([0; CLASSES]);
        for class in 0..CLASSES {
            if self.memory[class] == 0 {
                self.memory[class] = self.fresh();
            }
        }
    }

    fn fresh(&mut self) -> u32 {
        self.next_version += 1;
        self.next_version
    }

    /// The class of an access at `address`.
    fn class(&self, function: &Function, address: Value, alias: Alias) -> usize {
        if let Some((slot, _)) = slot_address(function, address) {
            return if self.escapes[slot.index()] { ANY } else { slot_class(slot) };
        }
        match alias {
            Alias::Any | Alias::Stack => ANY,
            Alias::Header => HEADER,
            Alias::Runtime => RUNTIME,
            Alias::Element(access) => ELEMENTS + access_number(access) as usize % ELEMENT_CLASSES,
            Alias::Field(number) => FIELDS + number as usize % FIELD_CLASSES,
        }
    }

    fn clobber(&mut self, class: usize) {
        if class == ANY {
            // All but the slots.
            for other in 0..SLOTS {
                self.memory[other] = self.fresh();
            }
        } else {
            self.memory[class] = self.fresh();
            if class < SLOTS {
                self.memory[ANY] = self.fresh();
            }
        }
    }

    fn clobber_everything(&mut self) {
        for class in 0..CLASSES {
            self.memory[class] = self.fresh();
        }
    }

    /// Whether `inst` stays.
    fn visit(&mut self, function: &mut Function, inst: Inst) -> bool {
        for index in 0..function.insts[inst].args.len() {
            let argument = function.resolve(function.insts[inst].args[index]);
            function.insts[inst].args[index] = argument;
        }
        let instruction = &function.insts[inst];
        match instruction.opcode {
            Opcode::Load => self.visit_load(function, inst),
            Opcode::Store | Opcode::StoreRef => {
                self.visit_store(function, inst);
                true
            }
            Opcode::Cell => {
                let key = key_of(instruction, 0);
                if self.reuse(function, inst, key) {
                    return false;
                }
                // It may run a class initialiser.
                self.clobber(ANY);
                true
            }
            Opcode::NullCheck | Opcode::BoundsCheck | Opcode::TrapIf => {
                let key = key_of(instruction, 0);
                !self.reuse(function, inst, key)
            }
            // New memory is not what anything known so far has read.
            Opcode::NewObject | Opcode::NewArray | Opcode::StackAlloc => true,
            Opcode::CopyMemory | Opcode::ZeroMemory => {
                match slot_address(function, instruction.args[0]) {
                    Some((slot, _)) if !self.escapes[slot.index()] => self.clobber(slot_class(slot)),
                    _ => self.clobber(ANY),
                }
                true
            }
            Opcode::Call | Opcode::CallIndirect => {
                self.clobber(ANY);
                true
            }
            _ => {
                let effects = instruction.effects();
                if effects.contains(Effects::TERMINATOR) {
                    return true;
                }
                if effects.intersects(Effects::READ | Effects::WRITE | Effects::CALL) {
                    self.clobber_everything();
                    return true;
                }
                debug_assert!(is_pure(instruction) || effects.contains(Effects::TRAP));
                let key = key_of(instruction, 0);
                !self.reuse(function, inst, key)
            }
        }
    }

    /// If `key` was computed on all ways to here, makes the result of `inst` another name for that. Else remembers it.
    fn reuse(&mut self, function: &mut Function, inst: Inst, key: Key) -> bool {
        let value = function.results[inst].first().copied();
        let new = Known { block: self.block, value, narrow: false };
        if let Some(known) = self.known.get(&key) {
            if self.control_flow.dominates(known.block, self.block) {
                let narrow = known.narrow;
                match (value, known.value) {
                    (Some(value), Some(original)) if narrow => {
                        self.widen(function, inst, original);
                        self.known.insert(key, Known { block: self.block, value: Some(value), narrow: false });
                        return false;
                    }
                    (Some(value), Some(original)) => {
                        if function.value_type(value) != function.value_type(original) {
                            return false;
                        }
                        function.alias(value, original);
                    }
                    _ => {}
                }
                self.changed = true;
                return true;
            }
        }
        self.known.insert(key, new);
        false
    }

    /// Makes the narrow load `inst` a widening of what was stored.
    fn widen(&mut self, function: &mut Function, inst: Inst, stored: Value) {
        let instruction = &mut function.insts[inst];
        let Aux::Memory(memory) = instruction.aux else { return };
        instruction.opcode = match memory.access {
            Access::I8 => Opcode::Sext8,
            Access::U8 => Opcode::Zext8,
            Access::I16 => Opcode::Sext16,
            _ => Opcode::Zext16,
        };
        instruction.args = SmallVec::from_slice(&[stored]);
        instruction.aux = Aux::None;
        self.changed = true;
    }

    fn visit_load(&mut self, function: &mut Function, inst: Inst) -> bool {
        let instruction = &function.insts[inst];
        let Aux::Memory(memory) = instruction.aux else { return true };
        if memory.flags.contains(MemoryFlags::VOLATILE) {
            // Acquire: later loads may not take what was read before it.
            self.clobber_everything();
            return true;
        }
        let class = self.class(function, instruction.args[0], memory.alias);
        let version = if memory.flags.contains(MemoryFlags::READ_ONLY) { 0 } else { self.memory[class] };
        let key = key_of(instruction, version);
        !self.reuse(function, inst, key)
    }

    fn visit_store(&mut self, function: &Function, inst: Inst) {
        let instruction = &function.insts[inst];
        let Aux::Memory(memory) = instruction.aux else { return };
        let (address, value) = match instruction.args[..] {
            [address, value] => (address, value),
            [_, address, value] => (address, value),
            _ => return,
        };
        let class = self.class(function, address, memory.alias);
        self.clobber(class);
        if memory.flags.contains(MemoryFlags::VOLATILE) {
            return;
        }
        let narrow = !matches!(memory.access, Access::Full(_));
        let accesses: &[Access] = match memory.access {
            Access::I8 | Access::U8 => &[Access::I8, Access::U8],
            Access::I16 | Access::U16 => &[Access::I16, Access::U16],
            ref full => std::slice::from_ref(full),
        };
        for &access in accesses {
            let memory = Memory { access, ..memory };
            let load = Instruction::new(Opcode::Load, access.value_type(), &[address], Aux::Memory(memory));
            let key = key_of(&load, self.memory[class]);
            self.known.insert(key, Known { block: self.block, value: Some(value), narrow });
        }
    }
}

fn key_of(instruction: &Instruction, version: u32) -> Key {
    let mut args = [u32::MAX; 3];
    for (place, value) in args.iter_mut().zip(&instruction.args) {
        *place = value.index() as u32;
    }
    if instruction.opcode.info().effects.contains(Effects::COMMUTES) && args[0] > args[1] {
        args.swap(0, 1);
    }
    let pair = |high: usize, low: u32| ((high as u64) << 32) | u64::from(low);
    let aux = match instruction.aux {
        Aux::Int(value) => value as u64,
        Aux::IntCompare(compare) => compare as u64,
        Aux::FloatCompare(compare) => compare as u64,
        Aux::Memory(memory) => pair(access_number(memory.access) as usize, memory.offset as u32),
        Aux::Slot(slot, offset) => pair(slot.index(), offset as u32),
        Aux::Symbol(symbol) => symbol.index() as u64,
        Aux::Trap(code) => code as u64,
        _ => 0,
    };
    Key { opcode: instruction.opcode, ty: instruction.ty, args, aux, version }
}
