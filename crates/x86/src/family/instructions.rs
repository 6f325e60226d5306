//! The machine instructions that lowering chooses from, with virtual or physical registers.
//!
//! [`Inst::visit_registers`] is the one place that says which registers an instruction reads and writes and under which
//! constraints: operand collection, rewriting after allocation and printing all go through it.

use super::registers::{AX, CX, DI, DX, Reg, SI};
use ir::entity::{StackSlot, Symbol};
use ir::instruction::{TrapCode, Window};
use ir::mach::pipeline::TargetInst;
use ir::mach::registers::{Allocation, Operand, PReg, PRegSet, Role, VReg};
use ir::mach::vcode::{MachBlock, MachInst};
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// Operand size of integer instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// 8 bits: memory operands only.
    S8,
    /// 16 bits: memory operands only.
    S16,
    /// 32 bits; clears the upper half of a destination register.
    S32,
    /// 64 bits.
    S64,
}

/// Index register with its scale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Index {
    /// Register.
    pub register: Reg,
    /// Shift: 0 to 3.
    pub shift: u8,
}

/// What an address is relative to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// A register.
    Register(Reg),
    /// Nothing: there is an index.
    None,
    /// A stack slot. There may be an index.
    Slot(StackSlot),
    /// The argument area of calls that this function makes.
    Outgoing,
    /// The argument area that the caller filled.
    Incoming,
    /// The thread structure.
    Thread,
    /// The frame pointer.
    Frame,
    /// A symbol, or for helpers and cells the place that holds the pointer. No index. The register is the function's data base
    /// ([`Inst::DataBase`]) on a machine without addresses relative to the instruction pointer.
    Symbol(Symbol, Option<Reg>),
    /// A constant of this many bytes in the code's pool, likewise.
    Constant(u8, u128, Option<Reg>),
}

/// An addressing mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amode {
    /// Base.
    pub base: Base,
    /// Index, if any.
    pub index: Option<Index>,
    /// Displacement.
    pub displacement: i32,
}

impl Amode {
    /// base + displacement
    pub fn new(base: Base, displacement: i32) -> Amode {
        Amode { base, index: None, displacement }
    }
    /// register + displacement
    pub fn register(register: Reg, displacement: i32) -> Amode {
        Amode::new(Base::Register(register), displacement)
    }
    /// The same address further on.
    pub fn offset(self, by: i32) -> Amode {
        Amode { displacement: self.displacement.wrapping_add(by), ..self }
    }
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        match &mut self.base {
            Base::Register(register) | Base::Symbol(_, Some(register)) | Base::Constant(_, _, Some(register)) => {
                visit(register, Role::Use);
            }
            _ => {}
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

/// A source: register or memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegMem {
    /// Register.
    Reg(Reg),
    /// Memory.
    Mem(Memory),
}

impl RegMem {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        match self {
            RegMem::Reg(register) => visit(register, Role::UseAny),
            RegMem::Mem(memory) => memory.address.visit(visit),
        }
    }
}

/// A source: register, memory or sign-extended immediate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Register.
    Reg(Reg),
    /// Memory.
    Mem(Memory),
    /// Immediate.
    Imm(i32),
}

impl Source {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        match self {
            Source::Reg(register) => visit(register, Role::UseAny),
            Source::Mem(memory) => memory.address.visit(visit),
            Source::Imm(_) => {}
        }
    }
    /// Beside a memory operand: no second one.
    fn visit_register(&mut self, role: Role, visit: &mut dyn FnMut(&mut Reg, Role)) {
        if let Source::Reg(register) = self {
            visit(register, role);
        }
    }
}

/// Two-operand integer operations; the number is the opcode extension and row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum AluOp {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
}

/// Shifts and rotates; the number is the opcode extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum ShiftOp {
    Rol = 0,
    Ror = 1,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// One-operand operations on the destination; the number is the opcode extension in group `F7`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Not = 2,
    Neg = 3,
}

/// Bit counts and searches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum BitOp {
    Popcnt,
    Lzcnt,
    Tzcnt,
    Bsf,
    Bsr,
}

/// Comparison that sets flags only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompareOp {
    /// Difference.
    Cmp,
    /// Conjunction.
    Test,
}

/// Conditions by their number in opcodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    O = 0,
    No = 1,
    B = 2,
    Ae = 3,
    E = 4,
    Ne = 5,
    Be = 6,
    A = 7,
    S = 8,
    Ns = 9,
    P = 10,
    Np = 11,
    L = 12,
    Ge = 13,
    Le = 14,
    G = 15,
}

impl Cond {
    const ALL: [Cond; 16] = {
        use Cond::*;
        [O, No, B, Ae, E, Ne, Be, A, S, Ns, P, Np, L, Ge, Le, G]
    };
    /// The opposite condition.
    pub fn negate(self) -> Cond {
        Cond::ALL[(self as u8 ^ 1) as usize]
    }
}

/// When a conditional branch is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Test {
    /// One condition.
    If(Cond),
    /// Equal and not unordered, after a float comparison.
    OrderedEqual,
    /// Not equal or unordered.
    UnorderedNotEqual,
}

/// What a vector-register operation with two sources does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum XmmOp {
    Add,
    Sub,
    Mul,
    Div,
    Sqrt,
    And,
    AndNot,
    Or,
    Xor,
    /// All ones in the low lane if equal.
    CompareEqual,
    /// All ones in the low lane if unordered or not equal.
    CompareNotEqual,
}

/// Which exception and where to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallTarget {
    /// A method by relative displacement, or a helper or cell through its place, for which there may be a data base
    /// ([`Inst::DataBase`]).
    Symbol(Symbol, Option<Reg>),
    /// An address in a register.
    Register(Reg),
    /// Through memory at base + displacement.
    Memory(Reg, i32),
    /// The resolver of a cell.
    Resolver(u32),
}

/// A call with its fixed operands.
#[derive(Clone, PartialEq, Debug)]
pub struct CallInfo {
    /// Target.
    pub target: CallTarget,
    /// The register that a target's own register must be in, if not any.
    pub target_register: Option<PReg>,
    /// Arguments in registers.
    pub uses: SmallVec<[(Reg, PReg); 8]>,
    /// Results.
    pub defs: SmallVec<[(Reg, PReg); 2]>,
    /// Publishes the frame to the thread before the call.
    pub publish: bool,
    /// The callee is a helper's preserver, which destroys hardly anything.
    pub preserves: bool,
    /// Number of vector registers that carry arguments, for al, if the callee may be variadic.
    pub vector_count: Option<u8>,
    /// Registers that it destroys.
    pub clobbers: PRegSet,
    /// Bytes of arguments that the callee pops.
    pub pops: u32,
}

/// A machine instruction.
#[derive(Clone, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Inst {
    /// dst = lhs op rhs
    Alu { op: AluOp, size: Size, dst: Reg, lhs: Reg, rhs: Source },
    /// memory = memory op source (register or immediate)
    AluMemory { op: AluOp, size: Size, memory: Memory, source: Source },
    /// dst = lhs × rhs
    Multiply { size: Size, dst: Reg, lhs: Reg, rhs: RegMem },
    /// dst = lhs × immediate
    MultiplyImmediate { size: Size, dst: Reg, lhs: RegMem, immediate: i32 },
    /// high:low = lhs × rhs
    MultiplyWide { size: Size, signed: bool, high: Reg, low: Reg, lhs: Reg, rhs: Reg },
    /// quotient, remainder = lhs / rhs. `check_overflow`: a divisor of -1 is possible and raises for the minimum; `check_zero`: 0 is
    /// possible and faults.
    Divide { size: Size, signed: bool, quotient: Reg, remainder: Reg, lhs: Reg, rhs: Reg, check_overflow: bool, check_zero: bool },
    /// dst = op src
    Unary { op: UnaryOp, size: Size, dst: Reg, src: Reg },
    /// dst = src shifted by a constant
    ShiftImmediate { op: ShiftOp, size: Size, dst: Reg, src: Reg, amount: u8 },
    /// dst = src shifted by cl
    Shift { op: ShiftOp, size: Size, dst: Reg, src: Reg, amount: Reg },
    /// dst = src shifted by any register (BMI2)
    ShiftExtended { op: ShiftOp, size: Size, dst: Reg, src: Reg, amount: Reg },
    /// dst = src with its bytes reversed
    ByteSwap { size: Size, dst: Reg, src: Reg },
    /// dst = bit count
    BitCount { op: BitOp, size: Size, dst: Reg, src: Reg },
    /// dst = address
    Lea { size: Size, dst: Reg, address: Amode },
    /// dst = constant (sign-extended from 32 bits where `size` says so)
    Constant { size: Size, dst: Reg, value: i64 },
    /// dst = src between registers of one class
    Move { ty: Type, dst: Reg, src: Reg },
    /// dst = an address in the code that data is reached from (32 bits); see [`Base::Symbol`]
    DataBase { dst: Reg },
    /// dst = the thread structure's address or the frame pointer
    MovePinned { dst: Reg, from: Base },
    /// dst = memory, widened
    Load { access: Access, extend_to_64: bool, dst: Reg, memory: Memory },
    /// memory = source (register or immediate)
    Store { access: Access, memory: Memory, source: Source },
    /// dst = src, widened from the access's width (i8, u8, i16, u16 to 32 bits; i32 to 64 bits signed, or unsigned if `access` is `ref`)
    Extend { kind: Extension, dst: Reg, src: Reg },
    /// flags = lhs ? rhs
    Compare { op: CompareOp, size: Size, lhs: Reg, rhs: Source },
    /// flags = memory ? rhs (register or immediate)
    CompareMemory { op: CompareOp, size: Size, memory: Memory, rhs: Source },
    /// dst = 1 if the condition holds, else 0
    SetCondition { cond: Cond, dst: Reg },
    /// dst = if cond { if_true } else { if_false }
    ConditionalMove { cond: Cond, size: Size, dst: Reg, if_false: Reg, if_true: Reg },
    /// The same for vector registers.
    ConditionalMoveXmm { cond: Cond, dst: Reg, if_false: Reg, if_true: Reg },
    /// Exchanges: old value of memory to dst
    AtomicExchange { access: Access, dst: Reg, src: Reg, memory: Memory },
    /// Adds: old value of memory to dst
    AtomicAdd { access: Access, dst: Reg, src: Reg, memory: Memory },
    /// Compares and exchanges through rax
    AtomicCompareExchange { access: Access, dst: Reg, expected: Reg, replacement: Reg, memory: Memory },
    /// Full barrier
    Fence,
    /// dst = lhs op rhs in vector registers; `ty` F32, F64 or V128
    Xmm { op: XmmOp, ty: Type, dst: Reg, lhs: Reg, rhs: RegMem },
    /// dst = op src
    XmmUnary { op: XmmOp, ty: Type, dst: Reg, src: Reg },
    /// dst = 0.0
    XmmZero { dst: Reg },
    /// dst = src converted between f32 and f64 (`ty`: of the result)
    FloatConvert { ty: Type, dst: Reg, src: Reg },
    /// dst (`ty`) = signed integer
    IntToFloat { size: Size, ty: Type, dst: Reg, src: RegMem },
    /// dst = `ty` truncated to a signed integer
    FloatToInt { size: Size, ty: Type, dst: Reg, src: Reg },
    /// dst (`ty`) = unsigned 64-bit integer
    UintToFloat { ty: Type, dst: Reg, src: Reg, temp1: Reg, temp2: Reg },
    /// dst = `ty` truncated to an unsigned 64-bit integer; `limit` is 2^63 in a register
    FloatToUint { ty: Type, dst: Reg, src: Reg, limit: Reg, temp: Reg },
    /// dst = the low half of `ty` truncated to a signed 64-bit integer, by way of the x87 and 16 bytes of memory (32 bits)
    FloatToUintX87 { ty: Type, dst: Reg, src: Reg, memory: Memory },
    /// Pops the x87 stack to memory.
    StoreX87 { ty: Type, memory: Memory },
    /// Pushes memory on the x87 stack.
    LoadX87 { ty: Type, memory: Memory },
    /// dst = bits of src; between classes, by the size of `ty`
    MoveBits { to_xmm: bool, size: Size, dst: Reg, src: Reg },
    /// flags = lhs ? rhs
    CompareFloat { ty: Type, lhs: Reg, rhs: RegMem },
    /// `rep movsb` (`copy`) or `rep stosb` of `count` bytes; destination rdi, source rsi or zero in rax, count rcx
    Repeat { copy: bool, destination: Reg, source: Reg, count: Reg, end_destination: Reg, end_source: Reg, end_count: Reg },
    /// Moves the stack pointer; dst = address
    StackAlloc { dst: Reg, size: Reg, temp: Reg },
    /// Fault if the address is null
    NullCheck { object: Reg },
    /// dst = `size` bytes from the allocation window with method table and length stored, or null
    TryAllocate { window: Window, dst: Reg, end: Reg, method_table: Reg, size: Source, length: Option<(Access, Source)> },
    /// Call
    Call(Box<CallInfo>),
    /// Raises if the condition holds
    TrapIf { test: Test, code: TrapCode },
    /// Raises
    Trap { code: TrapCode },
    /// `ud2` where control does not get
    Unreachable,
    /// Function's parameters in registers
    Params { defs: SmallVec<[(Reg, PReg); 8]> },
    /// Jump
    Jump { target: MachBlock },
    /// Conditional branch
    JumpIf { test: Test, taken: MachBlock, otherwise: MachBlock },
    /// dst = address in jump table number `table`; `index` is below its length, and zero-extended
    JumpTableEntry { dst: Reg, index: Reg, temp: Reg, table: u32, base: Option<Reg> },
    /// Switch: goes to `entry`, an address that came from the table
    JumpTable { entry: Reg, table: u32, targets: Box<[MachBlock]> },
    /// Return, popping bytes of arguments
    Return { uses: SmallVec<[(Reg, PReg); 2]>, pops: u32 },
    /// Gives the frame up and jumps to a method, or to the code at an address in a register that the epilogue leaves alone
    TailCall { target: CallTarget, target_register: PReg, uses: SmallVec<[(Reg, PReg); 8]> },
    /// Calls the helper `helper` of the options with `argument`, if its register is known to be the argument's; does not return.
    EndHandler { helper: u16, argument: Option<(Reg, PReg)>, clobbers: PRegSet },
}

/// Widening between registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Extension {
    Signed8,
    Unsigned8,
    Signed16,
    Unsigned16,
    Signed32,
    Unsigned32,
}

impl Inst {
    /// Calls `visit` with every register. A [`Role::DefReuseFirst`] refers to the operand visited first, always a `Use`.
    pub fn visit_registers(&mut self, visit: &mut dyn FnMut(&mut Reg, Role)) {
        use Role::*;
        match self {
            Inst::Alu { dst, lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
                visit(dst, DefReuseFirst);
            }
            Inst::Multiply { dst, lhs, rhs, .. } | Inst::Xmm { dst, lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
                visit(dst, DefReuseFirst);
            }
            Inst::AluMemory { size, memory, source, .. } => {
                memory.address.visit(visit);
                source.visit_register(size.use_role(), visit);
            }
            Inst::Store { access, memory, source } => {
                memory.address.visit(visit);
                source.visit_register(use_role(*access), visit);
            }
            Inst::MultiplyImmediate { dst, lhs, .. } => {
                lhs.visit(visit);
                visit(dst, Def);
            }
            Inst::MultiplyWide { high, low, lhs, rhs, .. } => {
                visit(lhs, UseFixed(AX));
                visit(rhs, Use);
                visit(low, DefFixed(AX));
                visit(high, DefFixed(DX));
            }
            Inst::Divide { quotient, remainder, lhs, rhs, .. } => {
                // rdx is written before the divisor is read.
                visit(lhs, UseFixed(AX));
                visit(rhs, UseLate);
                visit(quotient, DefFixed(AX));
                visit(remainder, DefFixed(DX));
            }
            Inst::Unary { dst, src, .. } | Inst::ShiftImmediate { dst, src, .. } | Inst::ByteSwap { dst, src, .. } => {
                visit(src, Use);
                visit(dst, DefReuseFirst);
            }
            Inst::Shift { dst, src, amount, .. } => {
                visit(src, Use);
                visit(amount, UseFixed(CX));
                visit(dst, DefReuseFirst);
            }
            Inst::ShiftExtended { dst, src, amount, .. } => {
                visit(src, Use);
                visit(amount, Use);
                visit(dst, Def);
            }
            Inst::BitCount { dst, src, .. }
            | Inst::Move { dst, src, .. }
            | Inst::FloatConvert { dst, src, .. }
            | Inst::FloatToInt { dst, src, .. }
            | Inst::XmmUnary { dst, src, .. }
            | Inst::MoveBits { dst, src, .. } => {
                visit(src, Use);
                visit(dst, Def);
            }
            Inst::Extend { kind, dst, src } => {
                visit(src, if matches!(kind, Extension::Signed8 | Extension::Unsigned8) { UseByte } else { Use });
                visit(dst, Def);
            }
            Inst::Lea { dst, address, .. } => {
                address.visit(visit);
                visit(dst, Def);
            }
            Inst::Constant { dst, .. } | Inst::DataBase { dst } | Inst::MovePinned { dst, .. } | Inst::XmmZero { dst } => {
                visit(dst, Def)
            }
            Inst::SetCondition { dst, .. } => visit(dst, DefByte),
            Inst::Load { dst, memory, .. } => {
                memory.address.visit(visit);
                visit(dst, Def);
            }
            Inst::Compare { lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
            }
            Inst::CompareMemory { size, memory, rhs, .. } => {
                memory.address.visit(visit);
                rhs.visit_register(size.use_role(), visit);
            }
            Inst::ConditionalMove { dst, if_false, if_true, .. } | Inst::ConditionalMoveXmm { dst, if_false, if_true, .. } => {
                visit(if_false, Use);
                visit(if_true, Use);
                visit(dst, DefReuseFirst);
            }
            Inst::AtomicExchange { access, dst, src, memory } | Inst::AtomicAdd { access, dst, src, memory } => {
                visit(src, use_role(*access));
                memory.address.visit(visit);
                visit(dst, DefReuseFirst);
            }
            Inst::AtomicCompareExchange { access, dst, expected, replacement, memory } => {
                visit(expected, UseFixed(AX));
                visit(replacement, use_role(*access));
                memory.address.visit(visit);
                visit(dst, DefFixed(AX));
            }
            Inst::IntToFloat { dst, src, .. } => {
                src.visit(visit);
                visit(dst, Def);
            }
            Inst::UintToFloat { dst, src, temp1, temp2, .. } => {
                visit(src, Use);
                visit(dst, DefEarly);
                visit(temp1, DefEarly);
                visit(temp2, DefEarly);
            }
            Inst::FloatToUint { dst, src, limit, temp, .. } => {
                visit(src, Use);
                visit(limit, Use);
                visit(dst, DefEarly);
                visit(temp, DefEarly);
            }
            Inst::FloatToUintX87 { dst, src, memory, .. } => {
                visit(src, Use);
                memory.address.visit(visit);
                visit(dst, DefEarly);
            }
            Inst::StoreX87 { memory, .. } | Inst::LoadX87 { memory, .. } => memory.address.visit(visit),
            Inst::CompareFloat { lhs, rhs, .. } => {
                visit(lhs, Use);
                rhs.visit(visit);
            }
            Inst::Repeat { copy, destination, source, count, end_destination, end_source, end_count } => {
                let source_register = if *copy { SI } else { AX };
                visit(destination, UseFixed(DI));
                visit(source, UseFixed(source_register));
                visit(count, UseFixed(CX));
                visit(end_destination, DefFixed(DI));
                visit(end_source, DefFixed(source_register));
                visit(end_count, DefFixed(CX));
            }
            Inst::StackAlloc { dst, size, temp } => {
                visit(size, Use);
                visit(dst, Def);
                visit(temp, DefEarly);
            }
            Inst::NullCheck { object } => visit(object, Use),
            Inst::TryAllocate { dst, end, method_table, size, length, .. } => {
                visit(method_table, Use);
                size.visit_register(Use, visit);
                if let Some((_, length)) = length {
                    length.visit_register(Use, visit);
                }
                visit(dst, DefEarly);
                visit(end, DefEarly);
            }
            Inst::Call(call) => {
                for (register, fixed) in &mut call.uses {
                    visit(register, UseFixed(*fixed));
                }
                let role = call.target_register.map_or(Use, UseFixed);
                match &mut call.target {
                    CallTarget::Register(register) | CallTarget::Memory(register, _) => visit(register, role),
                    CallTarget::Symbol(_, Some(base)) => visit(base, Use),
                    CallTarget::Symbol(_, None) | CallTarget::Resolver(_) => {}
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
            Inst::Return { uses, .. } => {
                for (register, fixed) in uses {
                    visit(register, UseFixed(*fixed));
                }
            }
            Inst::TailCall { target, target_register, uses } => {
                for (register, fixed) in uses {
                    visit(register, UseFixed(*fixed));
                }
                if let CallTarget::Register(register) = target {
                    visit(register, UseFixed(*target_register));
                }
            }
            Inst::JumpTableEntry { dst, index, temp, base, .. } => {
                visit(index, Use);
                if let Some(base) = base {
                    visit(base, Use);
                }
                visit(dst, DefEarly);
                visit(temp, DefEarly);
            }
            Inst::JumpTable { entry, .. } => visit(entry, Use),
            Inst::EndHandler { argument: Some((argument, fixed)), .. } => visit(argument, UseFixed(*fixed)),
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
            Inst::Call(call) => call.clobbers,
            Inst::EndHandler { clobbers, .. } => *clobbers,
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
            Inst::Jump { target: block } => *block = target(*block),
            Inst::JumpIf { taken, otherwise, .. } => (*taken, *otherwise) = (target(*taken), target(*otherwise)),
            Inst::JumpTable { targets, .. } => targets.iter_mut().for_each(|block| *block = target(*block)),
            _ => {}
        }
    }
}

impl Size {
    fn use_role(self) -> Role {
        if self == Size::S8 { Role::UseByte } else { Role::Use }
    }
}

/// How a store of this width reads its register.
fn use_role(access: Access) -> Role {
    if matches!(access, Access::I8 | Access::U8) { Role::UseByte } else { Role::Use }
}
