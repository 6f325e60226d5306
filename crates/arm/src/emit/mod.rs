//! From instructions with physical registers to words.
//!
//! ip and lr are free within the sequence of one instruction; the address of a far place is always made in lr, since ip may hold what
//! the allocator moves.

mod float;
mod memory;

use crate::encoding::{
    ArmEncoding, Condition, DataOp, MultiplyOp, Operand2, Shift, Transfer, blx, branch, branch_link, bx, clz, compare, constant,
    data, dmb_ish, extend, island_after_jump, island_if_needed, load_cell, long_multiply, mls, mov, mov_shifted, mul,
    multiply_add, mvn, put_branch, reverse, sdiv, symbol_address, ubfx, udf, udiv,
};
use crate::frame;
use crate::instructions::{Base, CallInfo, CallTarget, Inst, Source, UnaryOp};
use crate::registers::{FP, IP, LR, PC, R0, SP, THREAD, dwarf_number};
use ir::Function;
use ir::entity::{Region, Symbol};
use ir::function::SymbolRef;
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::buffer::{Label, MachBuffer};
use ir::mach::frame::FrameLayout;
use ir::mach::pipeline::Emit;
use ir::mach::registers::{Allocation, RegClass};
use ir::mach::vcode::{Edit, MachBlock};
use ir::mach::{CodegenOptions, FrameInfo, LinkModel, RelocKind};

/// Always.
const AL: Condition = Condition::Al;
/// More bytes than any instruction's sequence but a jump table takes.
const LONGEST_SEQUENCE: u32 = 160;

/// A raise out of line.
struct ColdTrap {
    label: Label,
    code: TrapCode,
    region: Option<Region>,
    source: SourceOffset,
}

/// Emits one function.
pub struct Emitter<'a> {
    buffer: MachBuffer<ArmEncoding>,
    function: &'a Function,
    options: &'a CodegenOptions,
    frame: FrameLayout,
    first_block: Label,
    traps: Vec<ColdTrap>,
    /// Where the jumps behind epilogues are.
    epilogues: Vec<Label>,
    region: Option<Region>,
    source: SourceOffset,
}

impl<'a> Emitter<'a> {
    /// An emitter for a function of `block_count` blocks.
    pub fn new(function: &'a Function, options: &'a CodegenOptions, frame: FrameLayout, block_count: usize) -> Emitter<'a> {
        let mut buffer = MachBuffer::new();
        let first_block = buffer.new_labels(block_count);
        let (region, source) = (None, SourceOffset::UNKNOWN);
        Emitter { buffer, function, options, frame, first_block, traps: Vec::new(), epilogues: Vec::new(), region, source }
    }

    fn put(&mut self, word: u32) {
        self.buffer.put4(word);
    }
    fn put_all(&mut self, words: impl IntoIterator<Item = u32>) {
        words.into_iter().for_each(|word| self.buffer.put4(word));
    }
    fn branch(&mut self, cond: Condition, label: Label) {
        put_branch(&mut self.buffer, cond, label);
    }

    /// Calls the helper that raises.
    fn raise(&mut self, code: TrapCode) {
        self.put_all(constant(AL, R0.number(), code as u32));
        self.call_published(self.options.raise_trap);
        island_after_jump(&mut self.buffer);
    }
    /// Calls a helper that may look at the stack.
    fn call_published(&mut self, helper: u16) {
        match self.options.link {
            // In images, of which there is much code, by the way of a stub that all code shares.
            LinkModel::Pic => self.call_near(SymbolRef::Publisher(helper)),
            LinkModel::Jit => {
                load_cell(&mut self.buffer, IP.number(), SymbolRef::Helper(helper), 0);
                self.publish();
                self.call_register(IP.number());
            }
        }
    }
    /// Tells the thread where the frame is that calls, and the address after the next instruction, which is the call.
    fn publish(&mut self) {
        let thread = self.options.thread;
        self.transfer(Transfer::Str, SP.number(), THREAD.number(), thread.last_managed_sp);
        // pc reads as two instructions ahead: the call; the address after it is one more.
        self.put(data(AL, DataOp::Add, false, LR.number(), PC.number(), immediate(4)));
        self.transfer(Transfer::Str, LR.number(), THREAD.number(), thread.last_managed_pc);
    }
    fn call_near(&mut self, target: SymbolRef) {
        self.buffer.reloc(self.buffer.raw_offset(), RelocKind::ArmBranch24, target, 0);
        self.put(branch_link(AL, 0));
        self.buffer.call_site();
    }
    fn call_register(&mut self, register: u8) {
        self.put(blx(AL, register));
        self.buffer.call_site();
    }
    fn call(&mut self, call: &CallInfo) {
        let target = match call.target {
            CallTarget::Symbol(symbol) => self.symbol(symbol),
            CallTarget::Register(register) => {
                if call.publish {
                    self.publish();
                }
                return self.call_register(register.number());
            }
        };
        match target {
            SymbolRef::Helper(helper) if call.publish => self.call_published(helper),
            SymbolRef::Helper(_) | SymbolRef::Cell(_) => {
                load_cell(&mut self.buffer, IP.number(), target, 0);
                if call.publish {
                    self.publish();
                }
                self.call_register(IP.number());
            }
            _ => {
                if call.publish {
                    self.publish();
                }
                self.call_near(target);
            }
        }
    }
    fn tail_call(&mut self, target: CallTarget) {
        // The register that the target is in may be one that the epilogue restores.
        let near = match target {
            CallTarget::Register(register) => {
                self.put(mov(AL, IP.number(), Operand2::Register(register.number())));
                None
            }
            CallTarget::Symbol(symbol) => match self.symbol(symbol) {
                target @ (SymbolRef::Helper(_) | SymbolRef::Cell(_)) => {
                    load_cell(&mut self.buffer, IP.number(), target, 0);
                    None
                }
                target => Some(target),
            },
        };
        frame::release_all(&self.frame, &mut self.buffer);
        let label = self.buffer.bind_new();
        self.epilogues.push(label);
        match near {
            Some(target) => {
                self.buffer.reloc(self.buffer.raw_offset(), RelocKind::ArmBranch24, target, 0);
                self.put(branch(AL, 0));
            }
            None => self.put(bx(AL, IP.number())),
        }
        island_after_jump(&mut self.buffer);
    }
    fn symbol(&self, symbol: Symbol) -> SymbolRef {
        self.function.symbols[symbol].target
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

    /// Emits a conditional branch before block `next`.
    fn jump_if(&mut self, cond: Condition, taken: MachBlock, otherwise: MachBlock, next: Option<MachBlock>) {
        if Some(taken) == next {
            return self.branch(cond.inverted(), self.block_label(otherwise));
        }
        self.branch(cond, self.block_label(taken));
        self.jump(otherwise, next);
    }
    fn jump(&mut self, target: MachBlock, next: Option<MachBlock>) {
        if Some(target) != next {
            self.branch(AL, self.block_label(target));
            island_after_jump(&mut self.buffer);
        }
    }
    /// `pc` reads as two instructions ahead: the first branch lies there, behind one word that never runs.
    fn jump_table(&mut self, index: u8, targets: &[MachBlock]) {
        self.put(data(AL, DataOp::Add, false, PC.number(), PC.number(), Operand2::Shifted(index, Shift::Lsl, 2)));
        self.put(udf(0));
        for &target in targets {
            self.branch(AL, self.block_label(target));
        }
        island_after_jump(&mut self.buffer);
    }

    /// dst = src shifted, negated or as it is
    fn move_source(&mut self, invert: bool, dst: u8, src: &Source) {
        match src {
            Source::Shifted(register, shift, amount) if !invert => {
                self.put(mov_shifted(AL, dst, register.number(), *shift, *amount));
            }
            src if invert => self.put(mvn(AL, dst, operand(src))),
            src => self.put(mov(AL, dst, operand(src))),
        }
    }
    fn unary(&mut self, op: UnaryOp, dst: u8, src: u8) {
        self.put(match op {
            UnaryOp::Clz => clz(AL, dst, src),
            UnaryOp::Reverse(op) => reverse(AL, op, dst, src),
            UnaryOp::Extend(op) => extend(AL, op, dst, src),
        });
    }
}

impl Emit for Emitter<'_> {
    type Inst = Inst;
    type Encoding = ArmEncoding;

    fn prologue(&mut self) -> [Label; 3] {
        frame::prologue(&self.frame, &mut self.buffer)
    }
    fn block_label(&self, block: MachBlock) -> Label {
        MachBuffer::<ArmEncoding>::nth_label(self.first_block, block.index())
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
        island_if_needed(&mut self.buffer, LONGEST_SEQUENCE);
        let Edit::Move { from, to, ty } = edit else { return debug_assert!(false, "an exchange in spite of scratch registers") };
        match (from, to) {
            (Allocation::Reg(from), Allocation::Reg(to)) if from.class() == RegClass::Int => {
                self.put(mov(AL, to.number(), Operand2::Register(from.number())));
            }
            (Allocation::Reg(from), Allocation::Reg(to)) => self.move_float(ty, to.number(), from.number()),
            (Allocation::Stack(slot), Allocation::Reg(to)) => {
                self.move_slot(true, ty, to.number(), self.frame.spill_offset(slot));
            }
            (Allocation::Reg(from), Allocation::Stack(slot)) => {
                self.move_slot(false, ty, from.number(), self.frame.spill_offset(slot));
            }
            _ => debug_assert!(false, "a move without a register"),
        }
    }

    fn inst(&mut self, inst: &Inst, next: Option<MachBlock>) {
        let upcoming = match inst {
            Inst::JumpTable { targets, .. } => LONGEST_SEQUENCE + 4 * targets.len() as u32,
            _ => LONGEST_SEQUENCE,
        };
        island_if_needed(&mut self.buffer, upcoming);
        match inst {
            Inst::Alu { op, set_flags, dst, lhs, rhs } => {
                self.put(data(AL, *op, *set_flags, dst.number(), lhs.number(), operand(rhs)));
            }
            Inst::MoveSource { invert, dst, src } => self.move_source(*invert, dst.number(), src),
            Inst::Shift { shift, dst, src, amount } => {
                self.put(mov(AL, dst.number(), Operand2::ShiftedBy(src.number(), *shift, amount.number())));
            }
            Inst::Constant { dst, value } => self.put_all(constant(AL, dst.number(), *value)),
            Inst::Multiply { dst, lhs, rhs } => self.put(mul(AL, dst.number(), lhs.number(), rhs.number())),
            Inst::MultiplyAdd { subtract, dst, lhs, rhs, addend } => {
                let encode = if *subtract { mls } else { multiply_add };
                self.put(encode(AL, dst.number(), lhs.number(), rhs.number(), addend.number()));
            }
            Inst::MultiplyWide { signed, high, low, lhs, rhs } => {
                let op = if *signed { MultiplyOp::Smull } else { MultiplyOp::Umull };
                self.put(long_multiply(AL, op, low.number(), high.number(), lhs.number(), rhs.number()));
            }
            Inst::Divide { signed, dst, lhs, rhs } => {
                let encode = if *signed { sdiv } else { udiv };
                self.put(encode(AL, dst.number(), lhs.number(), rhs.number()));
            }
            Inst::Unary { op, dst, src } => self.unary(*op, dst.number(), src.number()),
            Inst::LowBits { dst, src, width } => self.put(ubfx(AL, dst.number(), src.number(), 0, *width)),
            Inst::Address { dst, address } => self.address(dst.number(), address),
            Inst::SymbolAddress { dst, symbol } => {
                let target = self.symbol(*symbol);
                symbol_address(&mut self.buffer, dst.number(), target, 0);
            }
            Inst::LoadSymbol { dst, symbol, offset } => {
                let target = self.symbol(*symbol);
                load_cell(&mut self.buffer, dst.number(), target, *offset);
            }
            Inst::Move { dst, src, .. } if dst == src => {}
            Inst::Move { ty, dst, src } if ty.is_float() => self.move_float(*ty, dst.number(), src.number()),
            Inst::Move { dst, src, .. } => self.put(mov(AL, dst.number(), Operand2::Register(src.number()))),
            Inst::MovePinned { dst, from } => {
                let register = if *from == Base::Thread { THREAD } else { FP };
                self.put(mov(AL, dst.number(), Operand2::Register(register.number())));
            }
            Inst::Load { access, dst, memory } => self.load(*access, dst.number(), memory),
            Inst::Store { access, memory, source } => self.store(*access, memory, source.number()),
            Inst::Compare { op, only_if, lhs, rhs } => self.put(compare(*only_if, *op, lhs.number(), operand(rhs))),
            Inst::SetCondition { cond, dst } => {
                self.put(mov(cond.inverted(), dst.number(), immediate(0)));
                self.put(mov(*cond, dst.number(), immediate(1)));
            }
            Inst::ConditionalMove { cond, dst, if_true, .. } => self.put(mov(*cond, dst.number(), operand(if_true))),
            Inst::AtomicUpdate { op, access, dst, operand, address, faults, temp } => {
                let registers = [dst, operand, address, temp].map(|register| register.number());
                self.atomic_update(*op, *access, registers, *faults);
            }
            Inst::AtomicCompareExchange { access, dst, expected, replacement, address, faults } => {
                let registers = [dst, expected, replacement, address].map(|register| register.number());
                self.atomic_compare_exchange(*access, registers, *faults);
            }
            Inst::Fence => self.put(dmb_ish()),
            Inst::CopyLoop { destination, source, bytes, offset, temp } => {
                let (source, temp) = (Some(source.number()), temp.number());
                self.repeat(destination.number(), source, *bytes, offset.number(), temp);
            }
            Inst::ZeroLoop { destination, zero, bytes, offset } => {
                self.repeat(destination.number(), None, *bytes, offset.number(), zero.number());
            }
            Inst::StackAlloc { dst, size } => self.stack_alloc(dst.number(), size.number()),
            Inst::TryAllocate { window, dst, end, method_table, size, length } => {
                self.try_allocate(window, [*dst, *end], *method_table, size, *length);
            }
            Inst::NullCheck { object } => {
                self.buffer.trap(TrapCode::NullReference);
                self.transfer(Transfer::Ldr, IP.number(), object.number(), 0);
            }
            Inst::Params { .. } => {}
            Inst::Call(info) => self.call(info),
            Inst::EndHandler { helper, .. } => {
                self.call_published(*helper);
                island_after_jump(&mut self.buffer);
            }
            Inst::TrapIf { cond, code } => {
                let label = self.trap_label(*code);
                self.branch(*cond, label);
            }
            Inst::Trap { code } => self.raise(*code),
            Inst::Unreachable => {
                self.buffer.trap(TrapCode::Unreachable);
                self.put(udf(0));
            }
            Inst::Jump { target } => self.jump(*target, next),
            Inst::JumpIf { cond, taken, otherwise } => self.jump_if(*cond, *taken, *otherwise, next),
            Inst::JumpTable { index, targets } => self.jump_table(index.number(), targets),
            Inst::Return { .. } => {
                frame::epilogue(&self.frame, &mut self.buffer);
                island_after_jump(&mut self.buffer);
            }
            Inst::TailCall { target, .. } => self.tail_call(*target),
            Inst::ConditionalMoveFloat { .. }
            | Inst::FloatConstant { .. }
            | Inst::Float { .. }
            | Inst::FloatUnary { .. }
            | Inst::FloatConvert { .. }
            | Inst::IntToFloat { .. }
            | Inst::FloatToInt { .. }
            | Inst::FloatToLowWord { .. }
            | Inst::CompareFloat { .. }
            | Inst::MoveToFloat { .. }
            | Inst::MoveFromFloat { .. }
            | Inst::MoveToDouble { .. }
            | Inst::MoveFromDouble { .. }
            | Inst::PackSingles { .. }
            | Inst::UnpackSingle { .. } => self.float_inst(inst),
        }
    }

    fn finish(&mut self) {
        for trap in std::mem::take(&mut self.traps) {
            island_if_needed(&mut self.buffer, LONGEST_SEQUENCE);
            self.buffer.set_region(trap.region);
            self.set_source(trap.source);
            self.buffer.bind(trap.label);
            self.raise(trap.code);
        }
    }

    fn into_parts(self) -> (MachBuffer<ArmEncoding>, FrameInfo, Vec<Label>) {
        // A return is one instruction with the pop of the frame pointer, so that only tail calls leave anything to note.
        (self.buffer, self.frame.info(dwarf_number), self.epilogues)
    }
}

/// The second operand of a source. Lowering gives encodable constants only.
fn operand(source: &Source) -> Operand2 {
    match source {
        Source::Immediate(value) => immediate(*value),
        Source::Register(register) => Operand2::Register(register.number()),
        Source::Shifted(register, shift, amount) => Operand2::Shifted(register.number(), *shift, *amount),
    }
}

/// An encodable constant.
fn immediate(value: u32) -> Operand2 {
    Operand2::immediate(value).unwrap_or_else(|| {
        debug_assert!(false, "{value:#x} is no immediate");
        Operand2::Register(IP.number())
    })
}
