//! From instructions with physical registers to bytes.

mod allocation;
mod float;
mod integer;

use self::allocation::FailedAllocation;
use super::Family;
use super::encoding::{Opcode, Place, Width, encode, encode_vex_0f38};
use super::frame::{Frame, PAGE, touch_stack};
use super::instructions::{Amode, Base, BitOp, CallInfo, CallTarget, Cond, Inst, Memory, RegMem, ShiftOp, Size, Test};
use super::registers::{BP, CX, Reg, SP};
use ir::Function;
use ir::entity::{Entity, Region};
use ir::function::SymbolRef;
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::buffer::{Encoding, Label, MachBuffer};
use ir::mach::frame::FrameNeeds;
use ir::mach::pipeline::Emit;
use ir::mach::registers::{Allocation, PReg, RegClass, SpillSlot};
use ir::mach::vcode::{Edit, MachBlock};
use ir::mach::{CodegenOptions, FrameInfo, LinkModel, RelocKind};
use ir::types::Type;

/// How the family refers to labels.
#[derive(Clone, Copy, Debug)]
pub struct FamilyEncoding;

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

impl Encoding for FamilyEncoding {
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

/// What goes into the field of an operand that has one.
#[derive(Clone, Copy)]
enum Anchor {
    None,
    /// The distance to a symbol plus a displacement.
    Symbol(SymbolRef, i32),
    /// The distance to a label plus a displacement.
    Label(Label, i32),
}

/// An operand for [`Emitter::put`].
type Operand = (Place, Anchor);

/// Emits one function.
pub struct Emitter<'a, F> {
    buffer: MachBuffer<FamilyEncoding>,
    /// Where the epilogues' returns or jumps are.
    epilogues: Vec<Label>,
    function: &'a Function,
    options: &'a CodegenOptions,
    frame: Frame<F>,
    first_block: Label,
    /// Where the data base points to (without addresses relative to the instruction pointer).
    data_label: Label,
    data_label_bound: bool,
    tables: Vec<(u32, Label)>,
    traps: Vec<ColdTrap>,
    failed_allocations: Vec<FailedAllocation>,
    region: Option<Region>,
    source: SourceOffset,
    scratch: Vec<u8>,
}

impl<'a, F: Family> Emitter<'a, F> {
    /// An emitter for a function of `block_count` blocks.
    pub fn new(function: &'a Function, options: &'a CodegenOptions, needs: &FrameNeeds, block_count: usize) -> Emitter<'a, F> {
        let mut buffer = MachBuffer::new();
        let first_block = buffer.new_labels(block_count);
        let data_label = buffer.new_label();
        Emitter {
            buffer,
            epilogues: Vec::new(),
            function,
            options,
            frame: Frame::new(function, needs),
            first_block,
            data_label,
            data_label_bound: false,
            tables: Vec::new(),
            traps: Vec::new(),
            failed_allocations: Vec::new(),
            region: None,
            source: SourceOffset::UNKNOWN,
            scratch: Vec::new(),
        }
    }

    /// Calls the helper that raises.
    fn raise(&mut self, code: TrapCode) {
        let code = u32::from(code as u8);
        match F::HELPER_ARGUMENT {
            Some(register) => {
                self.buffer.put1(0xb8 | register.number());
                self.buffer.put4(code);
            }
            // Lowering made room for it.
            None => {
                let argument = (Place::base(SP.number(), 0), Anchor::None);
                self.put(Opcode::one(0xc7), Width::Narrow, 0, argument, &code.to_le_bytes());
            }
        }
        self.call_published(self.options.raise_trap, None);
    }
    fn flush(&mut self, mut bytes: Vec<u8>) {
        self.buffer.put_bytes(&bytes);
        bytes.clear();
        self.scratch = bytes;
    }
    fn publish(&mut self) {
        let place = F::thread_place(None, self.options.thread.last_managed_sp);
        self.put(Opcode::one(0x89), word::<F>(), SP.number(), (place, Anchor::None), &[]);
    }
    /// Calls a helper that may look at the stack. `base`: the data base, if it is in a register.
    fn call_published(&mut self, helper: u16, base: Option<Reg>) {
        match self.options.link {
            // In images, of which there is much code, by the way of a stub that all code shares.
            LinkModel::Pic => self.call_near(SymbolRef::Publisher(helper)),
            LinkModel::Jit => {
                self.publish();
                self.call_place(SymbolRef::Helper(helper), base);
            }
        }
    }
    fn call_near(&mut self, target: SymbolRef) {
        self.buffer.put1(0xe8);
        self.buffer.reloc(self.buffer.raw_offset(), RelocKind::PcRelative32, target, -4);
        self.buffer.put4(0);
        self.buffer.call_site();
    }
    /// Calls through the place of a symbol. Without a data base where one is needed, one is made: for calls that do not return and
    /// so may destroy a register.
    fn call_place(&mut self, target: SymbolRef, base: Option<Reg>) {
        let anchor = Anchor::Symbol(target, 0);
        match base {
            _ if F::RIP_RELATIVE => self.put(Opcode::one(0xff), Width::Narrow, 2, (Place::RipRelative, anchor), &[]),
            Some(base) => self.put(Opcode::one(0xff), Width::Narrow, 2, (data_place(base), anchor), &[]),
            None => {
                let base = Reg::Physical(CX);
                self.data_base(base);
                self.put(Opcode::one(0xff), Width::Narrow, 2, (data_place(base), anchor), &[]);
            }
        }
        self.buffer.call_site();
    }

    /// Sets a register to where [`Emitter::data_label`] lies.
    fn data_base(&mut self, dst: Reg) {
        // A call to the next instruction leaves its address on the stack. Processors know this pair and keep their return predictions.
        self.buffer.put_bytes(&[0xe8, 0, 0, 0, 0]);
        let here = match self.data_label_bound {
            true => self.buffer.bind_new(),
            false => {
                self.data_label_bound = true;
                self.buffer.bind(self.data_label);
                self.data_label
            }
        };
        self.buffer.put1(0x58 | dst.number());
        if here != self.data_label {
            let address = (Place::Field { base: dst.number(), index: None }, Anchor::None);
            let field = self.buffer.raw_offset() + 2;
            self.put(Opcode::one(0x8d), Width::Narrow, dst.number(), address, &[]);
            self.buffer.difference(field, self.data_label, here);
        }
    }

    fn spill(&self, slot: SpillSlot) -> Place {
        Place::base(BP.number(), self.frame.layout.spill_offset(slot))
    }

    fn address(&mut self, address: &Amode) -> Operand {
        let index = address.index.map(|index| (index.register.number(), index.shift));
        let displacement = address.displacement;
        let relative = |base: PReg, offset: i32| {
            (Place::Memory { base: base.number(), index, displacement: displacement.wrapping_add(offset) }, Anchor::None)
        };
        let data = |base: Option<Reg>| base.map_or(Place::RipRelative, data_place);
        match address.base {
            Base::Register(register) => (Place::Memory { base: register.number(), index, displacement }, Anchor::None),
            Base::None => {
                let (index, shift) = index.unwrap_or((0, 0));
                (Place::Scaled { index, shift, displacement }, Anchor::None)
            }
            Base::Slot(slot) => relative(BP, self.frame.layout.slots[slot.index()]),
            Base::Outgoing => relative(SP, 0),
            Base::Incoming => relative(BP, 2 * F::POINTER_BYTES as i32),
            Base::Thread => (F::thread_place(index, displacement), Anchor::None),
            Base::Frame => relative(BP, 0),
            Base::Symbol(symbol, base) => (data(base), Anchor::Symbol(self.function.symbols[symbol].target, displacement)),
            Base::Constant(bytes, value, base) => {
                let size = usize::from(bytes);
                let label = self.buffer.constant(&value.to_le_bytes()[..size], size as u32);
                (data(base), Anchor::Label(label, displacement))
            }
        }
    }
    fn place(&mut self, operand: &RegMem) -> Operand {
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
    fn put(&mut self, opcode: Opcode, width: Width, register: u8, (place, anchor): Operand, immediate: &[u8]) {
        let mut bytes = std::mem::take(&mut self.scratch);
        let field = encode(&mut bytes, opcode, width, register, place);
        bytes.extend_from_slice(immediate);
        if let Some(field) = field {
            let raw = self.buffer.raw_offset() + field as u32;
            match anchor {
                Anchor::Symbol(target, displacement) if F::RIP_RELATIVE => {
                    let addend = displacement - 4 - immediate.len() as i32;
                    self.buffer.reloc(raw, RelocKind::PcRelative32, target, addend);
                }
                Anchor::Symbol(target, displacement) => {
                    self.buffer.reloc_from(raw, RelocKind::PcRelative32, target, displacement, self.data_label);
                }
                Anchor::Label(label, displacement) => {
                    bytes[field..field + 4].copy_from_slice(&displacement.to_le_bytes());
                    match F::RIP_RELATIVE {
                        true => self.buffer.fixup(raw, RipField { trailing: immediate.len() as u8 }, label),
                        false => self.buffer.difference(raw, label, self.data_label),
                    }
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

    fn move_registers(&mut self, to: PReg, from: PReg) {
        if to == from {
            return;
        }
        match to.class() {
            RegClass::Int => self.put_registers(Opcode::one(0x8b), word::<F>(), to.number(), from.number()),
            RegClass::Float => self.put_registers(Opcode::two(0x28), Width::Narrow, to.number(), from.number()),
        }
    }

    /// Emits an instruction but a conditional branch.
    fn simple_inst(&mut self, inst: &Inst) {
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
                debug_assert!(amount.number() == CX.number());
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
                let rex = 0x40 | u8::from(*size == Size::S64) << 3 | dst.number() >> 3;
                if rex != 0x40 {
                    self.buffer.put1(rex);
                }
                self.buffer.put_bytes(&[0x0f, 0xc8 | dst.number() & 7]);
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
            Inst::DataBase { dst } => self.data_base(*dst),
            Inst::MovePinned { dst, from } => {
                let place = match from {
                    Base::Thread => match F::thread_register() {
                        Some(register) => Place::Register(register.number()),
                        None => F::thread_place(None, self.options.thread.self_pointer),
                    },
                    _ => Place::Register(BP.number()),
                };
                self.put(Opcode::one(0x8b), word::<F>(), dst.number(), (place, Anchor::None), &[]);
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
            Inst::TryAllocate { window, dst, end, method_table, size, length } => {
                self.try_allocate(window, [*dst, *end], *method_table, size, length.as_ref());
            }
            Inst::StackAlloc { dst, size, temp } => self.stack_alloc(dst.number(), size.number(), temp.number()),
            Inst::Repeat { copy, .. } => {
                self.buffer.trap(TrapCode::NullReference);
                self.buffer.put_bytes(if *copy { &[0xf3, 0xa4] } else { &[0xf3, 0xaa] });
            }
            Inst::Params { .. } => {}
            Inst::Call(call) => self.call(call),
            Inst::EndHandler { helper, .. } => self.call_published(*helper, None),
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
            Inst::JumpTableEntry { dst, index, temp, table, base } => {
                let label = self.buffer.new_label();
                self.tables.push((*table, label));
                self.jump_table_entry(dst.number(), index.number(), temp.number(), label, *base);
            }
            Inst::JumpTable { entry, table, targets } => {
                self.put_registers(Opcode::one(0xff), Width::Narrow, 4, entry.number());
                let Some(&(_, label)) = self.tables.iter().find(|known| known.0 == *table) else { return };
                self.buffer.bind(label);
                let base = if F::RIP_RELATIVE { label } else { self.data_label };
                for &target in targets {
                    self.buffer.put_difference(self.block_label(target), base);
                }
            }
            Inst::Return { pops, .. } => {
                let label = self.frame.epilogue(&mut self.buffer, *pops);
                self.epilogues.push(label);
            }
            Inst::TailCall { target, .. } => self.tail_call(*target),
            Inst::Xmm { .. }
            | Inst::XmmUnary { .. }
            | Inst::XmmZero { .. }
            | Inst::FloatConvert { .. }
            | Inst::IntToFloat { .. }
            | Inst::FloatToInt { .. }
            | Inst::UintToFloat { .. }
            | Inst::FloatToUint { .. }
            | Inst::FloatToUintX87 { .. }
            | Inst::StoreX87 { .. }
            | Inst::LoadX87 { .. }
            | Inst::MoveBits { .. }
            | Inst::CompareFloat { .. } => self.float_inst(inst),
        }
    }

    /// A conditional branch before block `next`.
    fn jump_if(&mut self, test: Test, taken: MachBlock, otherwise: MachBlock, next: Option<MachBlock>) {
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

    /// dst = the address that the jump table at `label` has at `index`.
    fn jump_table_entry(&mut self, dst: u8, index: u8, temp: u8, label: Label, base: Option<Reg>) {
        let anchor = Anchor::Label(label, 0);
        match base {
            None => {
                self.put(Opcode::one(0x8d), Width::Wide, temp, (Place::RipRelative, anchor), &[]);
                let entry = Place::Memory { base: temp, index: Some((index, 2)), displacement: 0 };
                self.put(Opcode::one(0x63), Width::Wide, dst, (entry, Anchor::None), &[]);
                self.put_registers(Opcode::one(0x03), Width::Wide, dst, temp);
            }
            Some(base) => {
                let entry = Place::Field { base: base.number(), index: Some((index, 2)) };
                self.put(Opcode::one(0x8b), Width::Narrow, dst, (entry, anchor), &[]);
                self.put_registers(Opcode::one(0x03), Width::Narrow, dst, base.number());
            }
        }
    }

    fn call(&mut self, call: &CallInfo) {
        let (symbol, base) = match call.target {
            CallTarget::Symbol(symbol, base) => (Some(self.function.symbols[symbol].target), base),
            _ => (None, None),
        };
        match symbol {
            Some(SymbolRef::Helper(helper)) if call.preserves => self.call_near(SymbolRef::Preserver(helper)),
            Some(SymbolRef::Helper(helper)) if call.publish => self.call_published(helper, base),
            _ => {
                if call.publish {
                    self.publish();
                }
                if let Some(count) = call.vector_count {
                    self.constant(Size::S32, 0, i64::from(count));
                }
                self.call_target(call.target);
            }
        }
        // What the callee popped belongs to the frame. Where the frame pointer tells the place, it does not matter whether the callee did.
        if call.pops > 0 && self.frame.layout.saved_sp.is_none() {
            let place = Place::base(BP.number(), -(self.frame.layout.size as i32));
            self.put(Opcode::one(0x8d), width(F::WORD), SP.number(), (place, Anchor::None), &[]);
        } else if call.pops > 0 {
            self.group1(5, F::WORD, (Place::Register(SP.number()), Anchor::None), call.pops as i32);
        }
    }

    fn call_target(&mut self, target: CallTarget) {
        let place = match target {
            CallTarget::Symbol(symbol, base) => {
                return match self.function.symbols[symbol].target {
                    target if is_called_directly(target) => self.call_near(target),
                    target => self.call_place(target, base),
                };
            }
            CallTarget::Resolver(cell) => return self.call_near(SymbolRef::Resolver(cell)),
            CallTarget::Register(register) => Place::Register(register.number()),
            CallTarget::Memory(register, displacement) => Place::base(register.number(), displacement),
        };
        self.put(Opcode::one(0xff), Width::Narrow, 2, (place, Anchor::None), &[]);
        self.buffer.call_site();
    }

    fn tail_call(&mut self, target: CallTarget) {
        let label = self.frame.release(&mut self.buffer);
        self.epilogues.push(label);
        match target {
            CallTarget::Symbol(symbol, _) => {
                self.buffer.put1(0xe9);
                let target = self.function.symbols[symbol].target;
                self.buffer.reloc(self.buffer.raw_offset(), RelocKind::PcRelative32, target, -4);
                self.buffer.put4(0);
            }
            CallTarget::Register(register) => self.put_registers(Opcode::one(0xff), Width::Narrow, 4, register.number()),
            CallTarget::Memory(..) | CallTarget::Resolver(_) => debug_assert!(false, "a tail call reads its target before"),
        }
    }

    fn stack_alloc(&mut self, dst: u8, size: u8, temp: u8) {
        let again = self.buffer.new_label();
        let rest = self.buffer.new_label();
        let (stack_pointer, temporary) = ((Place::Register(SP.number()), Anchor::None), (Place::Register(temp), Anchor::None));
        self.put(Opcode::one(0x8d), word::<F>(), temp, (Place::base(size, 15), Anchor::None), &[]);
        self.group1(4, F::WORD, temporary, -16);
        // Every page is touched in order, so that the guard page is not skipped.
        self.buffer.bind(again);
        self.group1(7, F::WORD, temporary, PAGE as i32);
        self.branch(Cond::B, rest);
        self.group1(5, F::WORD, stack_pointer, PAGE as i32);
        let mut bytes = std::mem::take(&mut self.scratch);
        touch_stack(&mut bytes);
        self.flush(bytes);
        self.group1(5, F::WORD, temporary, PAGE as i32);
        self.buffer.branch(Branch::Jump, again);
        self.buffer.bind(rest);
        self.put_registers(Opcode::one(0x29), word::<F>(), temp, SP.number());
        let mut bytes = std::mem::take(&mut self.scratch);
        self.frame.keep_stack_pointer(&mut bytes);
        self.flush(bytes);
        // Above the outgoing arguments lies the frame pointer, then what keeps the result aligned.
        let result = Place::base(SP.number(), self.frame.layout.outgoing as i32 + 16);
        self.put(Opcode::one(0x8d), word::<F>(), dst, (result, Anchor::None), &[]);
    }
}

impl<F: Family> Emit for Emitter<'_, F> {
    type Inst = Inst;
    type Encoding = FamilyEncoding;

    fn prologue(&mut self) -> [Label; 3] {
        self.frame.prologue(&mut self.buffer)
    }
    fn block_label(&self, block: MachBlock) -> Label {
        MachBuffer::<FamilyEncoding>::nth_label(self.first_block, block.index())
    }
    fn begin_block(&mut self, block: MachBlock, region: Option<Region>) {
        self.region = region;
        self.buffer.set_region(region);
        self.buffer.bind(self.block_label(block));
    }
    fn set_source(&mut self, source: SourceOffset) {
        self.source = source;
        self.buffer.set_source(source);
    }
    fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Swap(a, b) => self.put_registers(Opcode::one(0x87), word::<F>(), a.number(), b.number()),
            Edit::Move { from: Allocation::Reg(from), to: Allocation::Reg(to), .. } => self.move_registers(to, from),
            Edit::Move { from: Allocation::Stack(from), to: Allocation::Reg(to), ty } => {
                let (opcode, width) = spill_load::<F>(ty);
                self.put(opcode, width, to.number(), (self.spill(from), Anchor::None), &[]);
            }
            Edit::Move { from: Allocation::Reg(from), to: Allocation::Stack(to), ty } => {
                let (opcode, width) = spill_store::<F>(ty);
                self.put(opcode, width, from.number(), (self.spill(to), Anchor::None), &[]);
            }
            Edit::Move { from: Allocation::Stack(from), to: Allocation::Stack(to), .. } => {
                self.put(Opcode::one(0xff), Width::Narrow, 6, (self.spill(from), Anchor::None), &[]);
                self.put(Opcode::one(0x8f), Width::Narrow, 0, (self.spill(to), Anchor::None), &[]);
            }
            Edit::Move { .. } => debug_assert!(false, "a move without a place"),
        }
    }
    fn inst(&mut self, inst: &Inst, next: Option<MachBlock>) {
        match inst {
            Inst::JumpIf { test, taken, otherwise } => self.jump_if(*test, *taken, *otherwise, next),
            inst => self.simple_inst(inst),
        }
    }
    fn finish(&mut self) {
        self.finish_allocations();
        for trap in std::mem::take(&mut self.traps) {
            self.buffer.set_region(trap.region);
            self.set_source(trap.source);
            self.buffer.bind(trap.label);
            self.raise(trap.code);
        }
    }
    fn into_parts(self) -> (MachBuffer<FamilyEncoding>, FrameInfo, Vec<Label>) {
        let info = self.frame.info();
        (self.buffer, info, self.epilogues)
    }
}

/// Whether calls of the symbol go to it by a relative displacement, not through its place.
pub(crate) fn is_called_directly(target: SymbolRef) -> bool {
    !matches!(target, SymbolRef::Helper(_) | SymbolRef::Cell(_))
}

/// The place of data that is reached from a data base.
fn data_place(base: Reg) -> Place {
    Place::Field { base: base.number(), index: None }
}

/// The width of a pointer.
fn word<F: Family>() -> Width {
    width(F::WORD)
}

/// The width of a value of an integer or pointer type.
fn type_width<F: Family>(ty: Type) -> Width {
    if ty.bytes(F::POINTER_BYTES) == 8 { Width::Wide } else { Width::Narrow }
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

fn spill_load<F: Family>(ty: Type) -> (Opcode, Width) {
    match ty {
        Type::F32 | Type::F64 => (Opcode::sse(scalar_prefix(ty), 0x10), Width::Narrow),
        Type::V128 => (Opcode::two(0x28), Width::Narrow),
        _ => (Opcode::one(0x8b), word::<F>()),
    }
}

fn spill_store<F: Family>(ty: Type) -> (Opcode, Width) {
    match ty {
        Type::F32 | Type::F64 => (Opcode::sse(scalar_prefix(ty), 0x11), Width::Narrow),
        Type::V128 => (Opcode::two(0x29), Width::Narrow),
        _ => (Opcode::one(0x89), word::<F>()),
    }
}
