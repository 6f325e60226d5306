//! The machine instructions that lowering chooses from, with virtual or physical registers.
//!
//! [`Inst::visit_registers`] is the one place that says which registers an instruction reads and writes and under which
//! constraints: operand collection, rewriting after allocation and printing all go through it.

use crate::encoding::{Condition, DataOp, ExtendOp, FloatOp, FloatSize, FloatUnaryOp, ReverseOp, Shift};
use crate::registers::{R0, Reg, call_clobbers};
use ir::entity::{StackSlot, Symbol};
use ir::instruction::{TrapCode, Window};
use ir::mach::pipeline::TargetInst;
use ir::mach::registers::{Allocation, Operand, PReg, PRegSet, Role, VReg};
use ir::mach::vcode::{MachBlock, MachInst};
use ir::signature::CallConvention;
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// The flexible second operand of data processing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A constant that [`ModifiedImmediate`](crate::encoding::ModifiedImmediate) can encode.
    Immediate(u32),
    /// A register.
    Register(Reg),
    /// A register shifted by 1 to 31 bits.
    Shifted(Reg, Shift, u8),
}

impl Source {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        match self {
            Source::Register(register) | Source::Shifted(register, ..) => visit(register, Role::Use),
            Source::Immediate(_) => {}
        }
    }
}

/// What an address is relative to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// A register.
    Register(Reg),
    /// A stack slot.
    Slot(StackSlot),
    /// The argument area of calls that this function makes.
    Outgoing,
    /// The argument area that the caller filled.
    Incoming,
    /// The pinned thread register.
    Thread,
    /// The frame pointer.
    Frame,
}

/// Index register with its shift to the left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Index {
    /// Register.
    pub register: Reg,
    /// Shift: 0 to 31.
    pub shift: u8,
}

/// An addressing mode: base and index, or base and displacement. Emission splits displacements that do not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amode {
    /// Base; a register if there is an index.
    pub base: Base,
    /// Index, if any; the displacement is then 0.
    pub index: Option<Index>,
    /// Displacement in bytes.
    pub displacement: i32,
}

impl Amode {
    /// base + displacement
    pub fn new(base: Base, displacement: i32) -> Amode {
        Amode { base, index: None, displacement }
    }
    /// The same address further on; not with an index.
    pub fn offset(self, by: i32) -> Amode {
        Amode { displacement: self.displacement.wrapping_add(by), ..self }
    }
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        if let Base::Register(register) = &mut self.base {
            visit(register, Role::Use);
        }
        if let Some(index) = &mut self.index {
            visit(&mut index.register, Role::Use);
        }
    }
}

/// A memory operand and what a fault in it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Address.
    pub address: Amode,
    /// Whether a fault is a `NullReferenceException` (else it cannot fault).
    pub faults: bool,
}

impl Memory {
    /// Memory that cannot fault.
    pub fn safe(address: Amode) -> Memory {
        Memory { address, faults: false }
    }
}

/// Operations on one general register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// Leading zeros.
    Clz,
    /// Bits or bytes in reverse order.
    Reverse(ReverseOp),
    /// Widening of the low 8 or 16 bits.
    Extend(ExtendOp),
}

/// What an atomic read-modify-write puts in place of the old value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtomicOp {
    /// Old value plus operand.
    Add,
    /// The operand.
    Exchange,
}

/// Where a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallTarget {
    /// A method by relative branch, or a helper or cell through its place.
    Symbol(Symbol),
    /// An address.
    Register(Reg),
}

/// A call with its fixed operands.
#[derive(Clone, PartialEq, Debug)]
pub struct CallInfo {
    /// Target.
    pub target: CallTarget,
    /// Arguments in registers.
    pub uses: SmallVec<[(Reg, PReg); 8]>,
    /// Results.
    pub defs: SmallVec<[(Reg, PReg); 8]>,
    /// Publishes the frame to the thread before the call.
    pub publish: bool,
    /// The callee's convention, which says what registers it destroys.
    pub convention: CallConvention,
}

/// A machine instruction.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Inst {
    /// dst = lhs op rhs; with `set_flags` also the flags
    Alu { op: DataOp, set_flags: bool, dst: Reg, lhs: Reg, rhs: Source },
    /// dst = src, or its complement
    MoveSource { invert: bool, dst: Reg, src: Source },
    /// dst = src shifted by the low 8 bits of `amount`
    Shift { shift: Shift, dst: Reg, src: Reg, amount: Reg },
    /// dst = constant
    Constant { dst: Reg, value: u32 },
    /// dst = lhs × rhs
    Multiply { dst: Reg, lhs: Reg, rhs: Reg },
    /// dst = addend + lhs × rhs, or addend - lhs × rhs
    MultiplyAdd { subtract: bool, dst: Reg, lhs: Reg, rhs: Reg, addend: Reg },
    /// high:low = lhs × rhs
    MultiplyWide { signed: bool, high: Reg, low: Reg, lhs: Reg, rhs: Reg },
    /// dst = lhs / rhs; 0 for a divisor of 0
    Divide { signed: bool, dst: Reg, lhs: Reg, rhs: Reg },
    /// dst = op src
    Unary { op: UnaryOp, dst: Reg, src: Reg },
    /// dst = the low `width` bits of src
    LowBits { dst: Reg, src: Reg, width: u8 },
    /// dst = address
    Address { dst: Reg, address: Amode },
    /// dst = address of a symbol, or for helpers and cells of the place that holds the pointer
    SymbolAddress { dst: Reg, symbol: Symbol },
    /// dst = word at this offset from that address
    LoadSymbol { dst: Reg, symbol: Symbol, offset: i32 },
    /// dst = src between registers of one class
    Move { ty: Type, dst: Reg, src: Reg },
    /// dst = the pinned thread register or the frame pointer
    MovePinned { dst: Reg, from: Base },
    /// dst = memory, widened
    Load { access: Access, dst: Reg, memory: Memory },
    /// memory = source
    Store { access: Access, memory: Memory, source: Reg },
    /// flags = lhs ? rhs; with `only_if` they stay as they are unless that condition holds
    Compare { op: DataOp, only_if: Condition, lhs: Reg, rhs: Source },
    /// dst = 1 if the condition holds, else 0
    SetCondition { cond: Condition, dst: Reg },
    /// dst = if cond { if_true } else { if_false }
    ConditionalMove { cond: Condition, dst: Reg, if_false: Reg, if_true: Source },
    /// The same for floats.
    ConditionalMoveFloat { cond: Condition, size: FloatSize, dst: Reg, if_false: Reg, if_true: Reg },
    /// old value of memory at `address` to dst, and a new one to memory, between barriers
    AtomicUpdate { op: AtomicOp, access: Access, dst: Reg, operand: Reg, address: Reg, faults: bool, temp: Reg },
    /// The same, with the replacement if the old value is the expected one, of which the upper bits are clear for narrow accesses.
    AtomicCompareExchange { access: Access, dst: Reg, expected: Reg, replacement: Reg, address: Reg, faults: bool },
    /// Full barrier
    Fence,
    /// dst = constant by its bits
    FloatConstant { size: FloatSize, dst: Reg, bits: u64 },
    /// dst = lhs op rhs
    Float { op: FloatOp, size: FloatSize, dst: Reg, lhs: Reg, rhs: Reg },
    /// dst = op src
    FloatUnary { op: FloatUnaryOp, size: FloatSize, dst: Reg, src: Reg },
    /// dst of this size = src of the other
    FloatConvert { size: FloatSize, dst: Reg, src: Reg },
    /// dst = 32-bit integer
    IntToFloat { signed: bool, size: FloatSize, dst: Reg, src: Reg },
    /// dst = src truncated to a signed integer; `limit` is 2^31
    FloatToInt { size: FloatSize, dst: Reg, src: Reg, limit: Reg },
    /// dst = low half of src truncated to a signed 64-bit integer
    FloatToLowWord { size: FloatSize, dst: Reg, src: Reg, temps: [Reg; 2] },
    /// flags = lhs ? rhs, or ? 0; with `unordered_equal` unordered operands count as equal
    CompareFloat { size: FloatSize, lhs: Reg, rhs: Option<Reg>, unordered_equal: bool },
    /// A float of 32 bits from a general register
    MoveToFloat { dst: Reg, src: Reg },
    /// and back
    MoveFromFloat { dst: Reg, src: Reg },
    /// A double from two general registers
    MoveToDouble { dst: Reg, low: Reg, high: Reg },
    /// and back
    MoveFromDouble { low: Reg, high: Reg, src: Reg },
    /// dst = two singles in the halves of a double register
    PackSingles { dst: Reg, lower: Reg, upper: Reg },
    /// dst = the single in one half of a double register
    UnpackSingle { upper: bool, dst: Reg, src: Reg },
    /// Copies `bytes` bytes, a multiple of 4, by a loop
    CopyLoop { destination: Reg, source: Reg, bytes: u32, offset: Reg, temp: Reg },
    /// Zeroes likewise; `zero` is 0
    ZeroLoop { destination: Reg, zero: Reg, bytes: u32, offset: Reg },
    /// Moves the stack pointer; dst = address
    StackAlloc { dst: Reg, size: Reg },
    /// dst = `size` bytes from the thread's allocation window, or null
    TryAllocate { window: Window, dst: Reg, end: Reg, method_table: Reg, size: Source, length: Option<Reg> },
    /// Fault if the address is null
    NullCheck { object: Reg },
    /// Call
    Call(Box<CallInfo>),
    /// Raises if the condition holds
    TrapIf { cond: Condition, code: TrapCode },
    /// Raises
    Trap { code: TrapCode },
    /// `udf` where control does not get
    Unreachable,
    /// Function's parameters in registers
    Params { defs: SmallVec<[(Reg, PReg); 8]> },
    /// Jump
    Jump { target: MachBlock },
    /// Conditional branch
    JumpIf { cond: Condition, taken: MachBlock, otherwise: MachBlock },
    /// Switch by `index`, which is below the number of targets
    JumpTable { index: Reg, targets: Box<[MachBlock]> },
    /// Return
    Return { uses: SmallVec<[(Reg, PReg); 8]> },
    /// Gives the frame up and jumps
    TailCall { target: CallTarget, uses: SmallVec<[(Reg, PReg); 8]> },
    /// Calls the helper `helper` of the options with `argument` in r0; does not return.
    EndHandler { helper: u16, argument: Option<Reg> },
}

impl Inst {
    /// Calls `visit` with every register. A [`Role::DefReuseFirst`] refers to the operand visited first, always a `Use`.
    pub fn visit_registers(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        use Role::*;
        match self {
            Inst::Alu { dst, lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
                visit(dst, Def);
            }
            Inst::MoveSource { dst, src, .. } => {
                src.visit(visit);
                visit(dst, Def);
            }
            Inst::Shift { dst, src, amount, .. } => {
                visit(src, Use);
                visit(amount, Use);
                visit(dst, Def);
            }
            Inst::Multiply { dst, lhs, rhs } | Inst::Divide { dst, lhs, rhs, .. } | Inst::Float { dst, lhs, rhs, .. } => {
                visit(lhs, Use);
                visit(rhs, Use);
                visit(dst, Def);
            }
            Inst::MultiplyAdd { dst, lhs, rhs, addend, .. } => {
                visit(lhs, Use);
                visit(rhs, Use);
                visit(addend, Use);
                visit(dst, Def);
            }
            Inst::MultiplyWide { high, low, lhs, rhs, .. } => {
                visit(lhs, Use);
                visit(rhs, Use);
                visit(low, Def);
                visit(high, Def);
            }
            Inst::Unary { dst, src, .. }
            | Inst::LowBits { dst, src, .. }
            | Inst::Move { dst, src, .. }
            | Inst::FloatUnary { dst, src, .. }
            | Inst::FloatConvert { dst, src, .. }
            | Inst::IntToFloat { dst, src, .. }
            | Inst::MoveToFloat { dst, src }
            | Inst::MoveFromFloat { dst, src }
            | Inst::UnpackSingle { dst, src, .. } => {
                visit(src, Use);
                visit(dst, Def);
            }
            Inst::Address { dst, address } => {
                address.visit(visit);
                visit(dst, Def);
            }
            Inst::Constant { dst, .. }
            | Inst::SymbolAddress { dst, .. }
            | Inst::LoadSymbol { dst, .. }
            | Inst::MovePinned { dst, .. }
            | Inst::SetCondition { dst, .. }
            | Inst::FloatConstant { dst, .. } => visit(dst, Def),
            Inst::Load { dst, memory, .. } => {
                memory.address.visit(visit);
                visit(dst, Def);
            }
            Inst::Store { memory, source, .. } => {
                memory.address.visit(visit);
                visit(source, Use);
            }
            Inst::Compare { lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
            }
            Inst::ConditionalMove { dst, if_false, if_true, .. } => {
                visit(if_false, Use);
                if_true.visit(visit);
                visit(dst, DefReuseFirst);
            }
            Inst::ConditionalMoveFloat { dst, if_false, if_true, .. } => {
                visit(if_false, Use);
                visit(if_true, Use);
                visit(dst, DefReuseFirst);
            }
            Inst::AtomicUpdate { dst, operand, address, temp, .. } => {
                visit(operand, Use);
                visit(address, Use);
                visit(dst, DefEarly);
                visit(temp, DefEarly);
            }
            Inst::AtomicCompareExchange { dst, expected, replacement, address, .. } => {
                visit(expected, Use);
                visit(replacement, Use);
                visit(address, Use);
                visit(dst, DefEarly);
            }
            Inst::FloatToInt { dst, src, limit, .. } => {
                visit(src, Use);
                visit(limit, Use);
                visit(dst, Def);
            }
            Inst::FloatToLowWord { dst, src, temps, .. } => {
                visit(src, Use);
                visit(dst, DefEarly);
                temps.iter_mut().for_each(|temp| visit(temp, DefEarly));
            }
            Inst::CompareFloat { lhs, rhs, .. } => {
                visit(lhs, Use);
                if let Some(rhs) = rhs {
                    visit(rhs, Use);
                }
            }
            Inst::MoveToDouble { dst, low, high } => {
                visit(low, Use);
                visit(high, Use);
                visit(dst, Def);
            }
            Inst::MoveFromDouble { low, high, src } => {
                visit(src, Use);
                visit(low, Def);
                visit(high, Def);
            }
            Inst::PackSingles { dst, lower, upper } => {
                visit(lower, Use);
                visit(upper, Use);
                visit(dst, DefEarly);
            }
            Inst::CopyLoop { destination, source, offset, temp, .. } => {
                visit(destination, Use);
                visit(source, Use);
                visit(offset, DefEarly);
                visit(temp, DefEarly);
            }
            Inst::ZeroLoop { destination, zero, offset, .. } => {
                visit(destination, Use);
                visit(zero, Use);
                visit(offset, DefEarly);
            }
            Inst::StackAlloc { dst, size } => {
                visit(size, Use);
                visit(dst, DefEarly);
            }
            Inst::TryAllocate { dst, end, method_table, size, length, .. } => {
                visit(method_table, Use);
                size.visit(visit);
                if let Some(length) = length {
                    visit(length, Use);
                }
                visit(dst, DefEarly);
                visit(end, DefEarly);
            }
            Inst::NullCheck { object } => visit(object, Use),
            Inst::Call(call) => {
                for (register, fixed) in &mut call.uses {
                    visit(register, UseFixed(*fixed));
                }
                if let CallTarget::Register(register) = &mut call.target {
                    visit(register, Use);
                }
                for (register, fixed) in &mut call.defs {
                    visit(register, DefFixed(*fixed));
                }
            }
            Inst::Params { defs } => {
                for (register, fixed) in defs {
                    visit(register, DefFixed(*fixed));
                }
            }
            Inst::Return { uses } => {
                for (register, fixed) in uses {
                    visit(register, UseFixed(*fixed));
                }
            }
            Inst::TailCall { target, uses } => {
                for (register, fixed) in uses {
                    visit(register, UseFixed(*fixed));
                }
                if let CallTarget::Register(register) = target {
                    visit(register, Use);
                }
            }
            Inst::JumpTable { index, .. } => visit(index, Use),
            Inst::EndHandler { argument: Some(argument), .. } => visit(argument, UseFixed(R0)),
            Inst::EndHandler { argument: None, .. }
            | Inst::Fence
            | Inst::TrapIf { .. }
            | Inst::Trap { .. }
            | Inst::Unreachable
            | Inst::Jump { .. }
            | Inst::JumpIf { .. } => {}
        }
    }
}

impl MachInst for Inst {
    fn operands(&self, collect: &mut dyn FnMut(Operand)) {
        // Visiting may change registers; here it does not, and instructions are small.
        self.clone().visit_registers(&mut |register, role| {
            let Reg::Virtual(vreg) = *register else { return };
            collect(role.operand(vreg));
        });
    }
    fn clobbers(&self) -> PRegSet {
        match self {
            Inst::Call(call) => call_clobbers(call.convention),
            Inst::EndHandler { .. } => call_clobbers(CallConvention::Native),
            _ => PRegSet::EMPTY,
        }
    }
    fn as_move(&self) -> Option<(VReg, VReg)> {
        match *self {
            Inst::Move { dst: Reg::Virtual(to), src: Reg::Virtual(from), .. } => Some((to, from)),
            _ => None,
        }
    }
    fn is_terminator(&self) -> bool {
        matches!(
            self,
            Inst::Jump { .. }
                | Inst::JumpIf { .. }
                | Inst::JumpTable { .. }
                | Inst::Return { .. }
                | Inst::TailCall { .. }
                | Inst::Trap { .. }
                | Inst::Unreachable
                | Inst::EndHandler { .. }
        )
    }
    fn is_call(&self) -> bool {
        matches!(self, Inst::Call(_) | Inst::EndHandler { .. })
    }
}

impl TargetInst for Inst {
    fn assign(&mut self, allocations: &[Allocation]) {
        let mut next = allocations.iter();
        self.visit_registers(&mut |register, _| *register = register.allocated(next.next()));
    }
    fn jump_target(&self) -> Option<MachBlock> {
        match self {
            Inst::Jump { target } => Some(*target),
            _ => None,
        }
    }
    fn retarget(&mut self, target: &dyn Fn(MachBlock) -> MachBlock) {
        match self {
            Inst::Jump { target: to } => *to = target(*to),
            Inst::JumpIf { taken, otherwise, .. } => {
                *taken = target(*taken);
                *otherwise = target(*otherwise);
            }
            Inst::JumpTable { targets, .. } => targets.iter_mut().for_each(|to| *to = target(*to)),
            _ => {}
        }
    }
}
