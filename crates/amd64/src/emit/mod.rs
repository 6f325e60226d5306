//! From instructions with physical registers to bytes.

mod float;

use crate::encoding::{Opcode, Place, Sink, Width, encode, encode_vex_0f38};
use crate::frame::Frame;
use crate::instructions::{
    AluOp, Amode, Base, BitOp, CallTarget, CompareOp, Cond, Extension, Inst, Memory, RegMem, ShiftOp, Size, Source, Test,
};
use crate::registers::{RBP, RCX, RSP, Reg, THREAD};
use dynasmrt::{DynasmApi, dynasm};
use ir::Function;
use ir::entity::Region;
use ir::function::SymbolRef;
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::buffer::{Encoding, Label, MachBuffer};
use ir::mach::registers::{Allocation, PReg, RegClass, SpillSlot};
use ir::mach::vcode::{Edit, MachBlock};
use ir::mach::{CodegenOptions, LinkModel, RelocKind};
use ir::types::{Access, Type};

/// How amd64 refers to labels.
#[derive(Clone, Copy, Debug)]
pub struct Amd64Encoding;

/// A branch whose form depends on the distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Branch {
    /// `jmp`; vanishes before its target.
    Jump,
    /// `jcc`
    If(Cond),
}

/// A displacement relative to the end of the instruction, which comes this many bytes after the field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RipField {
    trailing: u8,
}

impl Encoding for Amd64Encoding {
    type Branch = Branch;
    type Fixup = RipField;
    fn branch_lengths(branch: Branch) -> &'static [u8] {
        match branch {
            Branch::Jump => &[0, 2, 5],
            Branch::If(_) => &[2, 6],
        }
    }
    fn branch_reaches(_branch: Branch, length: u8, distance: i64) -> bool {
        if length == 2 { i8::try_from(distance).is_ok() } else { i32::try_from(distance).is_ok() }
    }
    fn encode_branch(branch: Branch, length: u8, distance: i64, out: &mut Vec<u8>) {
        match (branch, length) {
            (Branch::Jump, 2) => out.extend_from_slice(&[0xeb, distance as u8]),
            (Branch::If(cond), 2) => out.extend_from_slice(&[0x70 | cond as u8, distance as u8]),
            (Branch::Jump, _) => out.push(0xe9),
            (Branch::If(cond), _) => out.extend_from_slice(&[0x0f, 0x80 | cond as u8]),
        }
        if length > 2 {
            out.extend_from_slice(&(distance as i32).to_le_bytes());
        }
    }
    fn apply_fixup(fixup: RipField, bytes: &mut [u8], field: usize, target: usize) -> bool {
        let distance = target as i64 - (field as i64 + 4 + i64::from(fixup.trailing));
        let Ok(distance) = i32::try_from(distance) else { return false };
        let old = i32::from_le_bytes([bytes[field], bytes[field + 1], bytes[field + 2], bytes[field + 3]]);
        bytes[field..field + 4].copy_from_slice(&distance.wrapping_add(old).to_le_bytes());
        true
    }
}

/// A raise out of line.
struct ColdTrap {
    label: Label,
    code: TrapCode,
    region: Option<Region>,
    source: SourceOffset,
}

/// What an address relative to the instruction pointer means.
#[derive(Clone, Copy)]
enum Anchor {
    None,
    Symbol(SymbolRef, i32),
    Label(Label, i32),
}

/// Emits one function.
pub struct Emitter<'a> {
    /// Code so far.
    pub buffer: MachBuffer<Amd64Encoding>,
    /// Where the epilogues' returns are.
    pub epilogues: Vec<Label>,
    function: &'a Function,
    options: &'a CodegenOptions,
    frame: &'a Frame,
    first_block: Label,
    tables: Vec<(u32, Label)>,
    traps: Vec<ColdTrap>,
    region: Option<Region>,
    source: SourceOffset,
    scratch: Vec<u8>,
}

impl<'a> Emitter<'a> {
    /// An emitter for a function of `block_count` blocks.
    pub fn new(function: &'a Function, options: &'a CodegenOptions, frame: &'a Frame, block_count: usize) -> Emitter<'a> {
        let mut buffer = MachBuffer::new();
        let first_block = buffer.new_labels(block_count);
        Emitter {
            buffer,
            epilogues: Vec::new(),
            function,
            options,
            frame,
            first_block,
            tables: Vec::new(),
            traps: Vec::new(),
            region: None,
            source: SourceOffset::UNKNOWN,
            scratch: Vec::new(),
        }
    }

    /// The label of a block.
    pub fn block_label(&self, block: MachBlock) -> Label {
        MachBuffer::<Amd64Encoding>::nth_label(self.first_block, block.index())
    }
    /// Begins a block.
    pub fn begin_block(&mut self, block: MachBlock, region: Option<Region>) {
        self.region = region;
        self.buffer.set_region(region);
        self.buffer.bind(self.block_label(block));
    }
    /// Sets the position of what follows.
    pub fn set_source(&mut self, source: SourceOffset) {
        self.source = source;
        self.buffer.set_source(source);
    }
    /// Emits the raises that were left out of line.
    pub fn finish(&mut self) {
        for trap in std::mem::take(&mut self.traps) {
            self.buffer.set_region(trap.region);
            self.set_source(trap.source);
            self.buffer.bind(trap.label);
            self.raise(trap.code);
        }
    }

    /// Calls the helper that raises.
    fn raise(&mut self, code: TrapCode) {
        let mut bytes = std::mem::take(&mut self.scratch);
        dynasm!(Sink(&mut bytes) ; .arch x64 ; mov edi, code as u8 as i32);
        self.flush(bytes);
        self.call_published(self.options.raise_trap);
    }
    fn flush(&mut self, mut bytes: Vec<u8>) {
        self.buffer.put_bytes(&bytes);
        bytes.clear();
        self.scratch = bytes;
    }
    fn publish(&mut self) {
        let place = Place::Memory { base: THREAD.number(), index: None, displacement: self.options.thread.last_managed_sp };
        self.put(Opcode::one(0x89), Width::Wide, RSP.number(), (place, Anchor::None), &[]);
    }
    /// Calls a helper that may look at the stack.
    fn call_published(&mut self, helper: u16) {
        match self.options.link {
            // In images, of which there is much code, by the way of a stub that all code shares.
            LinkModel::Pic => self.call_near(SymbolRef::Publisher(helper)),
            LinkModel::Jit => {
                self.publish();
                self.call_place(SymbolRef::Helper(helper));
            }
        }
    }
    fn call_near(&mut self, target: SymbolRef) {
        self.buffer.put1(0xe8);
        self.buffer.reloc(self.buffer.raw_offset(), RelocKind::PcRelative32, target, -4);
        self.buffer.put4(0);
        self.buffer.call_site();
    }
    fn call_place(&mut self, target: SymbolRef) {
        self.put(Opcode::one(0xff), Width::Narrow, 2, (Place::RipRelative, Anchor::Symbol(target, 0)), &[]);
        self.buffer.call_site();
    }

    fn spill(&self, slot: SpillSlot) -> Place {
        Place::Memory { base: RBP.number(), index: None, displacement: self.frame.spills + slot.0 as i32 }
    }

    fn address(&mut self, address: &Amode) -> (Place, Anchor) {
        let index = address.index.map(|index| (index.register.number(), index.shift));
        let displacement = address.displacement;
        let relative = |base: PReg, offset: i32| {
            (Place::Memory { base: base.number(), index, displacement: displacement.wrapping_add(offset) }, Anchor::None)
        };
        match address.base {
            Base::Register(register) => (Place::Memory { base: register.number(), index, displacement }, Anchor::None),
            Base::None => {
                let (index, shift) = index.unwrap_or((0, 0));
                (Place::Scaled { index, shift, displacement }, Anchor::None)
            }
            Base::Slot(slot) => relative(RBP, self.frame.slots[ir::entity::Entity::index(slot)]),
            Base::Outgoing => relative(RSP, 0),
            Base::Incoming => relative(RBP, 16),
            Base::Thread => relative(THREAD, 0),
            Base::Frame => relative(RBP, 0),
            Base::Symbol(symbol) => (Place::RipRelative, Anchor::Symbol(self.function.symbols[symbol].target, displacement)),
            Base::Constant(bytes, value) => {
                let size = usize::from(bytes);
                let label = self.buffer.constant(&value.to_le_bytes()[..size], size as u32);
                (Place::RipRelative, Anchor::Label(label, displacement))
            }
        }
    }
    fn place(&mut self, operand: &RegMem) -> (Place, Anchor) {
        match operand {
            RegMem::Reg(register) => (self.register_place(*register), Anchor::None),
            RegMem::Mem(memory) => self.address(&memory.address),
        }
    }
    fn register_place(&self, register: Reg) -> Place {
        match register {
            Reg::Spill(slot) => self.spill(slot),
            register => Place::Register(register.number()),
        }
    }
    fn fault_site(&mut self, memory: &Memory) {
        if memory.faults {
            self.buffer.trap(TrapCode::NullReference);
        }
    }
    fn operand_fault(&mut self, operand: &RegMem) {
        if let RegMem::Mem(memory) = operand {
            self.fault_site(memory);
        }
    }

    /// Puts one instruction: opcode, register field, place, immediate bytes.
    fn put(&mut self, opcode: Opcode, width: Width, register: u8, (place, anchor): (Place, Anchor), immediate: &[u8]) {
        let mut bytes = std::mem::take(&mut self.scratch);
        let field = encode(&mut bytes, opcode, width, register, place);
        bytes.extend_from_slice(immediate);
        if let Some(field) = field {
            let raw = self.buffer.raw_offset() + field as u32;
            match anchor {
                Anchor::Symbol(target, displacement) => {
                    let addend = displacement - 4 - immediate.len() as i32;
                    self.buffer.reloc(raw, RelocKind::PcRelative32, target, addend);
                }
                Anchor::Label(label, displacement) => {
                    bytes[field..field + 4].copy_from_slice(&displacement.to_le_bytes());
                    self.buffer.fixup(raw, RipField { trailing: immediate.len() as u8 }, label);
                }
                Anchor::None => {}
            }
        }
        self.flush(bytes);
    }
    fn put_registers(&mut self, opcode: Opcode, width: Width, register: u8, other: u8) {
        self.put(opcode, width, register, (Place::Register(other), Anchor::None), &[]);
    }
    fn branch(&mut self, cond: Cond, label: Label) {
        self.buffer.branch(Branch::If(cond), label);
    }

    fn trap_label(&mut self, code: TrapCode) -> Label {
        let (region, source) = (self.region, self.source);
        let known = |trap: &&ColdTrap| (trap.code, trap.region, trap.source) == (code, region, source);
        if let Some(trap) = self.traps.iter().rev().take(4).find(known) {
            return trap.label;
        }
        let label = self.buffer.new_label();
        self.traps.push(ColdTrap { label, code, region, source });
        label
    }

    /// Emits what the allocator inserted.
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Swap(a, b) => self.put_registers(Opcode::one(0x87), Width::Wide, a.number(), b.number()),
            Edit::Move { from: Allocation::Reg(from), to: Allocation::Reg(to), .. } => self.move_registers(to, from),
            Edit::Move { from: Allocation::Stack(from), to: Allocation::Reg(to), ty } => {
                let (opcode, width) = spill_load(ty);
                self.put(opcode, width, to.number(), (self.spill(from), Anchor::None), &[]);
            }
            Edit::Move { from: Allocation::Reg(from), to: Allocation::Stack(to), ty } => {
                let (opcode, width) = spill_store(ty);
                self.put(opcode, width, from.number(), (self.spill(to), Anchor::None), &[]);
            }
            Edit::Move { from: Allocation::Stack(from), to: Allocation::Stack(to), .. } => {
                self.put(Opcode::one(0xff), Width::Narrow, 6, (self.spill(from), Anchor::None), &[]);
                self.put(Opcode::one(0x8f), Width::Narrow, 0, (self.spill(to), Anchor::None), &[]);
            }
            Edit::Move { .. } => debug_assert!(false, "a move without a place"),
        }
    }

    fn move_registers(&mut self, to: PReg, from: PReg) {
        if to == from {
            return;
        }
        match to.class() {
            RegClass::Int => self.put_registers(Opcode::one(0x8b), Width::Wide, to.number(), from.number()),
            RegClass::Float => self.put_registers(Opcode::two(0x28), Width::Narrow, to.number(), from.number()),
        }
    }

    /// Emits an instruction with physical registers.
    pub fn inst(&mut self, inst: &Inst) {
        match inst {
            Inst::Alu { op, size, dst, lhs, rhs } => {
                debug_assert!(dst == lhs);
                self.alu(*op, *size, dst.number(), rhs);
            }
            Inst::AluMemory { op, size, memory, source } => self.alu_memory(*op, *size, memory, source),
            Inst::Multiply { size, dst, rhs, .. } => {
                let place = self.place(rhs);
                self.operand_fault(rhs);
                self.put(Opcode::two(0xaf), width(*size), dst.number(), place, &[]);
            }
            Inst::MultiplyImmediate { size, dst, lhs, immediate } => {
                let place = self.place(lhs);
                self.operand_fault(lhs);
                match i8::try_from(*immediate) {
                    Ok(short) => self.put(Opcode::one(0x6b), width(*size), dst.number(), place, &[short as u8]),
                    Err(_) => self.put(Opcode::one(0x69), width(*size), dst.number(), place, &immediate.to_le_bytes()),
                }
            }
            Inst::MultiplyWide { size, signed, rhs, .. } => {
                let extension = if *signed { 5 } else { 4 };
                self.put_registers(Opcode::one(0xf7), width(*size), extension, rhs.number());
            }
            Inst::Divide { size, signed, rhs, check_overflow, check_zero, .. } => {
                self.divide(*size, *signed, rhs.number(), *check_overflow, *check_zero);
            }
            Inst::Unary { op, size, dst, .. } => {
                self.put_registers(Opcode::one(0xf7), width(*size), *op as u8, dst.number());
            }
            Inst::ShiftImmediate { op, size, dst, amount, .. } => {
                let place = (Place::Register(dst.number()), Anchor::None);
                match amount {
                    1 => self.put(Opcode::one(0xd1), width(*size), *op as u8, place, &[]),
                    amount => self.put(Opcode::one(0xc1), width(*size), *op as u8, place, &[*amount]),
                }
            }
            Inst::Shift { op, size, dst, amount, .. } => {
                debug_assert!(amount.number() == RCX.number());
                self.put_registers(Opcode::one(0xd3), width(*size), *op as u8, dst.number());
            }
            Inst::ShiftExtended { op, size, dst, src, amount } => {
                let prefix = match op {
                    ShiftOp::Shl => 0x66,
                    ShiftOp::Shr => 0xf2,
                    _ => 0xf3,
                };
                let mut bytes = std::mem::take(&mut self.scratch);
                let opcode = Opcode::one(0xf7).with_prefix(prefix);
                let place = Place::Register(src.number());
                encode_vex_0f38(&mut bytes, opcode, *size == Size::S64, dst.number(), amount.number(), place);
                self.flush(bytes);
            }
            Inst::ByteSwap { size, dst, .. } => {
                let mut bytes = std::mem::take(&mut self.scratch);
                match size {
                    Size::S64 => dynasm!(Sink(&mut bytes) ; .arch x64 ; bswap Rq(dst.number())),
                    _ => dynasm!(Sink(&mut bytes) ; .arch x64 ; bswap Rd(dst.number())),
                }
                self.flush(bytes);
            }
            Inst::BitCount { op, size, dst, src } => {
                let opcode = match op {
                    BitOp::Popcnt => Opcode::sse(0xf3, 0xb8),
                    BitOp::Lzcnt => Opcode::sse(0xf3, 0xbd),
                    BitOp::Tzcnt => Opcode::sse(0xf3, 0xbc),
                    BitOp::Bsf => Opcode::two(0xbc),
                    BitOp::Bsr => Opcode::two(0xbd),
                };
                self.put_registers(opcode, width(*size), dst.number(), src.number());
            }
            Inst::Lea { size, dst, address } if self.add_in_place(*size, *dst, address) => {}
            Inst::Lea { size, dst, address } => {
                let place = self.address(address);
                self.put(Opcode::one(0x8d), width(*size), dst.number(), place, &[]);
            }
            Inst::Constant { size, dst, value } => self.constant(*size, dst.number(), *value),
            Inst::Move { ty, dst, src } => match (ty, dst, src) {
                (_, dst, src) if dst == src => {}
                (Type::I32, ..) => self.put_registers(Opcode::one(0x8b), Width::Narrow, dst.number(), src.number()),
                (_, Reg::Physical(to), Reg::Physical(from)) => self.move_registers(*to, *from),
                _ => debug_assert!(false, "a move between registers"),
            },
            Inst::MovePinned { dst, from } => {
                let register = if *from == Base::Thread { THREAD } else { RBP };
                self.put_registers(Opcode::one(0x8b), Width::Wide, dst.number(), register.number());
            }
            Inst::Load { access, extend_to_64, dst, memory } => self.load(*access, *extend_to_64, dst.number(), memory),
            Inst::Store { access, memory, source } => self.store(*access, memory, source),
            Inst::Extend { kind, dst, src } => self.extend(*kind, dst.number(), src.number()),
            Inst::Compare { op, size, lhs, rhs } => self.compare(*op, *size, lhs.number(), rhs),
            Inst::CompareMemory { op, size, memory, rhs } => self.compare_memory(*op, *size, memory, rhs),
            Inst::SetCondition { cond, dst } => {
                let dst = dst.number();
                self.put_registers(Opcode::two(0x90 | *cond as u8), Width::Byte(false, true), 0, dst);
                self.put_registers(Opcode::two(0xb6), Width::Byte(false, true), dst, dst);
            }
            Inst::ConditionalMove { cond, size, dst, if_true, .. } => {
                self.put_registers(Opcode::two(0x40 | *cond as u8), width(*size), dst.number(), if_true.number());
            }
            Inst::ConditionalMoveXmm { cond, dst, if_true, .. } => {
                let skip = self.buffer.new_label();
                self.branch(cond.negate(), skip);
                self.put_registers(Opcode::two(0x28), Width::Narrow, dst.number(), if_true.number());
                self.buffer.bind(skip);
            }
            Inst::AtomicExchange { access, dst, memory, .. } => {
                let place = self.address(&memory.address);
                self.fault_site(memory);
                self.put_sized(0x87, *access, dst.number(), place);
                self.widen(*access, dst.number());
            }
            Inst::AtomicAdd { access, dst, memory, .. } => {
                let place = self.address(&memory.address);
                self.fault_site(memory);
                self.buffer.put1(0xf0);
                self.put_sized_two(0xc1, *access, dst.number(), place);
                self.widen(*access, dst.number());
            }
            Inst::AtomicCompareExchange { access, dst, replacement, memory, .. } => {
                let place = self.address(&memory.address);
                self.fault_site(memory);
                self.buffer.put1(0xf0);
                self.put_sized_two(0xb1, *access, replacement.number(), place);
                self.widen(*access, dst.number());
            }
            // `lock or dword [rsp], 0`: orders like `mfence` and is faster.
            Inst::Fence => self.buffer.put_bytes(&[0xf0, 0x83, 0x0c, 0x24, 0x00]),
            Inst::NullCheck { object } => {
                self.buffer.trap(TrapCode::NullReference);
                let number = object.number();
                let place = Place::Memory { base: number, index: None, displacement: 0 };
                self.put(Opcode::one(0x39), Width::Narrow, number, (place, Anchor::None), &[]);
            }
            Inst::StackAlloc { dst, size, temp } => self.stack_alloc(dst.number(), size.number(), temp.number()),
            Inst::Repeat { copy, .. } => {
                self.buffer.trap(TrapCode::NullReference);
                self.buffer.put_bytes(if *copy { &[0xf3, 0xa4] } else { &[0xf3, 0xaa] });
            }
            Inst::Params { .. } => {}
            Inst::Call(call) => {
                let helper = match call.target {
                    CallTarget::Symbol(symbol) => match self.function.symbols[symbol].target {
                        SymbolRef::Helper(helper) => Some(helper),
                        _ => None,
                    },
                    _ => None,
                };
                if let (true, Some(helper)) = (call.publish, helper) {
                    return self.call_published(helper);
                }
                if call.publish {
                    self.publish();
                }
                if let Some(count) = call.vector_count {
                    self.constant(Size::S32, 0, i64::from(count));
                }
                self.call(call.target);
            }
            Inst::EndHandler { helper, .. } => {
                self.call_published(*helper);
            }
            Inst::TrapIf { test, code } => {
                let label = self.trap_label(*code);
                match test {
                    Test::If(cond) => self.branch(*cond, label),
                    Test::UnorderedNotEqual => {
                        self.branch(Cond::Ne, label);
                        self.branch(Cond::P, label);
                    }
                    Test::OrderedEqual => {
                        let skip = self.buffer.new_label();
                        self.branch(Cond::P, skip);
                        self.branch(Cond::E, label);
                        self.buffer.bind(skip);
                    }
                }
            }
            Inst::Trap { code } => self.raise(*code),
            Inst::Unreachable => {
                self.buffer.trap(TrapCode::Unreachable);
                self.buffer.put_bytes(&[0x0f, 0x0b]);
            }
            Inst::Jump { target } => self.buffer.branch(Branch::Jump, self.block_label(*target)),
            Inst::JumpIf { .. } => debug_assert!(false, "conditional branches know the block that follows"),
            Inst::JumpTableEntry { dst, index, temp, table } => {
                let label = self.buffer.new_label();
                self.tables.push((*table, label));
                let (dst, temp) = (dst.number(), temp.number());
                self.put(Opcode::one(0x8d), Width::Wide, temp, (Place::RipRelative, Anchor::Label(label, 0)), &[]);
                let entry = Place::Memory { base: temp, index: Some((index.number(), 2)), displacement: 0 };
                self.put(Opcode::one(0x63), Width::Wide, dst, (entry, Anchor::None), &[]);
                self.put_registers(Opcode::one(0x03), Width::Wide, dst, temp);
            }
            Inst::JumpTable { entry, table, targets } => {
                self.put_registers(Opcode::one(0xff), Width::Narrow, 4, entry.number());
                let Some(&(_, base)) = self.tables.iter().find(|known| known.0 == *table) else { return };
                self.buffer.bind(base);
                for &target in targets {
                    self.buffer.put_difference(self.block_label(target), base);
                }
            }
            Inst::Return { .. } => {
                let label = self.frame.epilogue(&mut self.buffer);
                self.epilogues.push(label);
            }
            Inst::Xmm { .. }
            | Inst::XmmUnary { .. }
            | Inst::XmmZero { .. }
            | Inst::FloatConvert { .. }
            | Inst::IntToFloat { .. }
            | Inst::FloatToInt { .. }
            | Inst::UintToFloat { .. }
            | Inst::FloatToUint { .. }
            | Inst::MoveBits { .. }
            | Inst::CompareFloat { .. } => self.float_inst(inst),
        }
    }

    /// A conditional branch before block `next`.
    pub fn jump_if(&mut self, test: Test, taken: MachBlock, otherwise: MachBlock, next: Option<MachBlock>) {
        let (taken_label, otherwise_label) = (self.block_label(taken), self.block_label(otherwise));
        let last = match test {
            Test::If(cond) if Some(taken) == next => {
                self.branch(cond.negate(), otherwise_label);
                taken_label
            }
            Test::If(cond) => {
                self.branch(cond, taken_label);
                otherwise_label
            }
            Test::OrderedEqual if Some(otherwise) != next => {
                self.branch(Cond::Ne, otherwise_label);
                self.branch(Cond::P, otherwise_label);
                taken_label
            }
            Test::OrderedEqual => {
                self.branch(Cond::P, otherwise_label);
                self.branch(Cond::E, taken_label);
                otherwise_label
            }
            Test::UnorderedNotEqual => {
                self.branch(Cond::Ne, taken_label);
                self.branch(Cond::P, taken_label);
                otherwise_label
            }
        };
        self.buffer.branch(Branch::Jump, last);
    }

    fn call(&mut self, target: CallTarget) {
        match target {
            CallTarget::Symbol(symbol) => match self.function.symbols[symbol].target {
                target @ (SymbolRef::Method(_) | SymbolRef::RoData(_) | SymbolRef::Publisher(_)) => {
                    return self.call_near(target);
                }
                target => return self.call_place(target),
            },
            CallTarget::Register(register) => {
                self.put_registers(Opcode::one(0xff), Width::Narrow, 2, register.number());
            }
            CallTarget::Memory(register, displacement) => {
                let place = Place::Memory { base: register.number(), index: None, displacement };
                self.put(Opcode::one(0xff), Width::Narrow, 2, (place, Anchor::None), &[]);
            }
        }
        self.buffer.call_site();
    }

    /// An address computed onto one of its own parts is a plain addition. Lowering puts no address between a comparison and what
    /// looks at its flags.
    fn add_in_place(&mut self, size: Size, dst: Reg, address: &Amode) -> bool {
        let Base::Register(base) = address.base else { return false };
        match address.index {
            None if base == dst => self.group1(0, size, (Place::Register(dst.number()), Anchor::None), address.displacement),
            Some(index) if index.shift == 0 && address.displacement == 0 && (base == dst || index.register == dst) => {
                let other = if base == dst { index.register } else { base };
                self.put_registers(Opcode::one(0x03), width(size), dst.number(), other.number());
            }
            _ => return false,
        }
        true
    }

    fn alu(&mut self, op: AluOp, size: Size, dst: u8, rhs: &Source) {
        match rhs {
            Source::Imm(value) => self.group1(op as u8, size, (Place::Register(dst), Anchor::None), *value),
            Source::Reg(register) => {
                let place = self.register_place(*register);
                self.put(Opcode::one((op as u8) << 3 | 3), width(size), dst, (place, Anchor::None), &[]);
            }
            Source::Mem(memory) => {
                let place = self.address(&memory.address);
                self.fault_site(memory);
                self.put(Opcode::one((op as u8) << 3 | 3), width(size), dst, place, &[]);
            }
        }
    }

    /// The instructions of group 1 with an immediate: `extension` 7 is `cmp`.
    fn group1(&mut self, extension: u8, size: Size, place: (Place, Anchor), value: i32) {
        match (size, i8::try_from(value)) {
            (Size::S8, _) => self.put(Opcode::one(0x80), Width::Byte(false, true), extension, place, &[value as u8]),
            (_, Ok(short)) => self.put(prefixed(0x83, size), width(size), extension, place, &[short as u8]),
            (Size::S16, _) => {
                let immediate = (value as i16).to_le_bytes();
                match i8::try_from(value as i16) {
                    Ok(short) => self.put(prefixed(0x83, size), width(size), extension, place, &[short as u8]),
                    Err(_) => self.put(prefixed(0x81, size), width(size), extension, place, &immediate),
                }
            }
            // The accumulator has a form without ModRM.
            (Size::S32, _) if place.0 == Place::Register(0) => {
                self.buffer.put1(extension << 3 | 5);
                self.buffer.put4(value as u32);
            }
            _ => self.put(Opcode::one(0x81), width(size), extension, place, &value.to_le_bytes()),
        }
    }

    fn alu_memory(&mut self, op: AluOp, size: Size, memory: &Memory, source: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match source {
            Source::Imm(value) => self.group1(op as u8, size, place, *value),
            Source::Reg(register) => match size {
                Size::S8 => self.put(Opcode::one((op as u8) << 3), Width::Byte(true, false), register.number(), place, &[]),
                _ => self.put(prefixed((op as u8) << 3 | 1, size), width(size), register.number(), place, &[]),
            },
            Source::Mem(_) => debug_assert!(false, "two memory operands"),
        }
    }

    fn compare(&mut self, op: CompareOp, size: Size, lhs: u8, rhs: &Source) {
        let place = (Place::Register(lhs), Anchor::None);
        match (op, rhs) {
            (CompareOp::Cmp, Source::Imm(0)) => self.put_registers(Opcode::one(0x85), width(size), lhs, lhs),
            (CompareOp::Cmp, Source::Imm(value)) => self.group1(7, size, place, *value),
            (CompareOp::Test, Source::Imm(value)) => self.test_immediate(size, place, *value),
            (_, Source::Reg(register)) => {
                let other = (self.register_place(*register), Anchor::None);
                let byte = if op == CompareOp::Cmp { 0x3b } else { 0x85 };
                self.put(Opcode::one(byte), width(size), lhs, other, &[]);
            }
            (_, Source::Mem(memory)) => {
                let other = self.address(&memory.address);
                self.fault_site(memory);
                let byte = if op == CompareOp::Cmp { 0x3b } else { 0x85 };
                self.put(Opcode::one(byte), width(size), lhs, other, &[]);
            }
        }
    }

    fn test_immediate(&mut self, size: Size, place: (Place, Anchor), value: i32) {
        match (size, place.0) {
            // Low bytes of registers can be tested alone where the sign is not asked for.
            (Size::S32 | Size::S64, Place::Register(_)) if (0..128).contains(&value) => {
                self.put(Opcode::one(0xf6), Width::Byte(false, true), 0, place, &[value as u8]);
            }
            (Size::S8, _) => self.put(Opcode::one(0xf6), Width::Byte(false, true), 0, place, &[value as u8]),
            (Size::S16, _) => self.put(prefixed(0xf7, size), width(size), 0, place, &(value as u16).to_le_bytes()),
            _ => self.put(Opcode::one(0xf7), width(size), 0, place, &value.to_le_bytes()),
        }
    }

    fn compare_memory(&mut self, op: CompareOp, size: Size, memory: &Memory, rhs: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match (op, rhs) {
            (CompareOp::Cmp, Source::Imm(value)) => self.group1(7, size, place, *value),
            (CompareOp::Test, Source::Imm(value)) => self.test_immediate(size, place, *value),
            (_, Source::Reg(register)) => {
                let wide = if op == CompareOp::Cmp { 0x39 } else { 0x85 };
                match size {
                    Size::S8 => self.put(Opcode::one(wide - 1), Width::Byte(true, false), register.number(), place, &[]),
                    _ => self.put(prefixed(wide, size), width(size), register.number(), place, &[]),
                }
            }
            (_, Source::Mem(_)) => debug_assert!(false, "two memory operands"),
        }
    }

    fn constant(&mut self, size: Size, dst: u8, value: i64) {
        let value = if size == Size::S64 { value } else { i64::from(value as u32) };
        if value == 0 {
            return self.put_registers(Opcode::one(0x33), Width::Narrow, dst, dst);
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        if let Ok(value) = u32::try_from(value) {
            dynasm!(Sink(&mut bytes) ; .arch x64 ; mov Rd(dst), value as i32);
        } else if let Ok(value) = i32::try_from(value) {
            encode(&mut bytes, Opcode::one(0xc7), Width::Wide, 0, Place::Register(dst));
            bytes.extend_from_slice(&value.to_le_bytes());
        } else {
            dynasm!(Sink(&mut bytes) ; .arch x64 ; mov Rq(dst), QWORD value);
        }
        self.flush(bytes);
    }

    fn load(&mut self, access: Access, extend_to_64: bool, dst: u8, memory: &Memory) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        let wide = if extend_to_64 { Width::Wide } else { Width::Narrow };
        let (opcode, width) = match access {
            Access::I8 => (Opcode::two(0xbe), wide),
            Access::U8 => (Opcode::two(0xb6), Width::Narrow),
            Access::I16 => (Opcode::two(0xbf), wide),
            Access::U16 => (Opcode::two(0xb7), Width::Narrow),
            Access::Full(Type::I32) if extend_to_64 => (Opcode::one(0x63), Width::Wide),
            Access::Full(Type::I32) => (Opcode::one(0x8b), Width::Narrow),
            Access::Full(ty @ (Type::F32 | Type::F64)) => (Opcode::sse(scalar_prefix(ty), 0x10), Width::Narrow),
            Access::Full(Type::V128) => (Opcode::two(0x10), Width::Narrow),
            Access::Full(_) => (Opcode::one(0x8b), Width::Wide),
        };
        self.put(opcode, width, dst, place, &[]);
    }

    fn store(&mut self, access: Access, memory: &Memory, source: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match source {
            Source::Imm(value) => match access {
                Access::I8 | Access::U8 => self.put(Opcode::one(0xc6), Width::Narrow, 0, place, &[*value as u8]),
                Access::I16 | Access::U16 => {
                    let opcode = Opcode::one(0xc7).with_prefix(0x66);
                    self.put(opcode, Width::Narrow, 0, place, &(*value as u16).to_le_bytes());
                }
                Access::Full(ty) => {
                    let width = if ty.bytes(8) == 8 { Width::Wide } else { Width::Narrow };
                    self.put(Opcode::one(0xc7), width, 0, place, &value.to_le_bytes());
                }
            },
            Source::Reg(register) => match access {
                Access::Full(ty @ (Type::F32 | Type::F64)) => {
                    self.put(Opcode::sse(scalar_prefix(ty), 0x11), Width::Narrow, register.number(), place, &[]);
                }
                Access::Full(Type::V128) => self.put(Opcode::two(0x11), Width::Narrow, register.number(), place, &[]),
                access => self.put_sized(0x89, access, register.number(), place),
            },
            Source::Mem(_) => debug_assert!(false, "two memory operands"),
        }
    }

    /// A one-byte opcode whose byte form is one less, at the width of an integer access.
    fn put_sized(&mut self, byte: u8, access: Access, register: u8, place: (Place, Anchor)) {
        match access {
            Access::I8 | Access::U8 => self.put(Opcode::one(byte - 1), Width::Byte(true, false), register, place, &[]),
            Access::I16 | Access::U16 => {
                self.put(Opcode::one(byte).with_prefix(0x66), Width::Narrow, register, place, &[]);
            }
            Access::Full(ty) => {
                let width = if ty.bytes(8) == 8 { Width::Wide } else { Width::Narrow };
                self.put(Opcode::one(byte), width, register, place, &[]);
            }
        }
    }

    /// The same after `0F`.
    fn put_sized_two(&mut self, byte: u8, access: Access, register: u8, place: (Place, Anchor)) {
        match access {
            Access::I8 | Access::U8 => self.put(Opcode::two(byte - 1), Width::Byte(true, false), register, place, &[]),
            Access::I16 | Access::U16 => {
                self.put(Opcode::two(byte).with_prefix(0x66), Width::Narrow, register, place, &[]);
            }
            Access::Full(ty) => {
                let width = if ty.bytes(8) == 8 { Width::Wide } else { Width::Narrow };
                self.put(Opcode::two(byte), width, register, place, &[]);
            }
        }
    }

    /// Widens what an instruction left in the low part of a register.
    fn widen(&mut self, access: Access, register: u8) {
        match access {
            Access::I8 => self.extend(Extension::Signed8, register, register),
            Access::U8 => self.extend(Extension::Unsigned8, register, register),
            Access::I16 => self.extend(Extension::Signed16, register, register),
            Access::U16 => self.extend(Extension::Unsigned16, register, register),
            Access::Full(_) => {}
        }
    }

    fn extend(&mut self, kind: Extension, dst: u8, src: u8) {
        let (opcode, width) = match kind {
            Extension::Signed8 => (Opcode::two(0xbe), Width::Byte(false, true)),
            Extension::Unsigned8 => (Opcode::two(0xb6), Width::Byte(false, true)),
            Extension::Signed16 => (Opcode::two(0xbf), Width::Narrow),
            Extension::Unsigned16 => (Opcode::two(0xb7), Width::Narrow),
            Extension::Signed32 => (Opcode::one(0x63), Width::Wide),
            Extension::Unsigned32 => (Opcode::one(0x8b), Width::Narrow),
        };
        self.put_registers(opcode, width, dst, src);
    }

    fn divide(&mut self, size: Size, signed: bool, rhs: u8, check_overflow: bool, check_zero: bool) {
        if signed && check_overflow {
            // Only for -1 the dividend matters: subtracting 1 overflows for the minimum alone.
            let good = self.buffer.new_label();
            let overflow = self.trap_label(TrapCode::Overflow);
            self.group1(7, size, (Place::Register(rhs), Anchor::None), -1);
            self.branch(Cond::Ne, good);
            self.group1(7, size, (Place::Register(0), Anchor::None), 1);
            self.branch(Cond::O, overflow);
            self.buffer.bind(good);
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        match (signed, size) {
            (true, Size::S64) => dynasm!(Sink(&mut bytes) ; .arch x64 ; cqo),
            (true, _) => dynasm!(Sink(&mut bytes) ; .arch x64 ; cdq),
            (false, _) => dynasm!(Sink(&mut bytes) ; .arch x64 ; xor edx, edx),
        }
        self.flush(bytes);
        if check_zero {
            self.buffer.trap(TrapCode::DivideByZero);
        }
        self.put_registers(Opcode::one(0xf7), width(size), if signed { 7 } else { 6 }, rhs);
    }

    fn stack_alloc(&mut self, dst: u8, size: u8, temp: u8) {
        let again = self.buffer.new_label();
        let rest = self.buffer.new_label();
        let mut bytes = std::mem::take(&mut self.scratch);
        dynasm!(Sink(&mut bytes)
            ; .arch x64
            ; lea Rq(temp), [Rq(size) + 15]
            ; and Rq(temp), BYTE -16
        );
        self.flush(bytes);
        // Every page is touched in order, so that the guard page is not skipped.
        self.buffer.bind(again);
        let mut bytes = std::mem::take(&mut self.scratch);
        dynasm!(Sink(&mut bytes) ; .arch x64 ; cmp Rq(temp), 4096);
        self.flush(bytes);
        self.branch(Cond::B, rest);
        let mut bytes = std::mem::take(&mut self.scratch);
        dynasm!(Sink(&mut bytes)
            ; .arch x64
            ; sub rsp, 4096
            ; test [rsp], esp
            ; sub Rq(temp), 4096
        );
        self.flush(bytes);
        self.buffer.branch(Branch::Jump, again);
        self.buffer.bind(rest);
        let outgoing = self.frame.outgoing as i32;
        let saved_sp = self.frame.saved_sp.unwrap_or(0);
        let mut bytes = std::mem::take(&mut self.scratch);
        // Above the outgoing arguments lies the frame pointer, then a word for alignment.
        dynasm!(Sink(&mut bytes)
            ; .arch x64
            ; sub rsp, Rq(temp)
            ; mov [rbp + saved_sp], rsp
            ; mov [rsp + outgoing], rbp
            ; lea Rq(dst), [rsp + outgoing + 16]
        );
        self.flush(bytes);
    }
}

fn width(size: Size) -> Width {
    if size == Size::S64 { Width::Wide } else { Width::Narrow }
}

/// A one-byte opcode with the operand size prefix where it is wanted.
fn prefixed(byte: u8, size: Size) -> Opcode {
    if size == Size::S16 { Opcode::one(byte).with_prefix(0x66) } else { Opcode::one(byte) }
}

/// The mandatory prefix of scalar operations.
fn scalar_prefix(ty: Type) -> u8 {
    if ty == Type::F32 { 0xf3 } else { 0xf2 }
}

fn spill_load(ty: Type) -> (Opcode, Width) {
    match ty {
        Type::F32 | Type::F64 => (Opcode::sse(scalar_prefix(ty), 0x10), Width::Narrow),
        Type::V128 => (Opcode::two(0x28), Width::Narrow),
        _ => (Opcode::one(0x8b), Width::Wide),
    }
}

fn spill_store(ty: Type) -> (Opcode, Width) {
    match ty {
        Type::F32 | Type::F64 => (Opcode::sse(scalar_prefix(ty), 0x11), Width::Narrow),
        Type::V128 => (Opcode::two(0x29), Width::Narrow),
        _ => (Opcode::one(0x89), Width::Wide),
    }
}
