//! From the IR to instructions: which opcode goes to which group, and what all groups share: operands, addresses, conditions.

mod control;
pub mod float;
mod integer;
mod memory;

use super::Family;
use super::emit::is_called_directly;
use super::instructions::{
    AluOp, Amode, Base, CompareOp, Cond, Extension, Index, Inst, Memory, RegMem, Size, Source, Test, UnaryOp,
};
use super::registers::Reg;
use ir::Function;
use ir::entity::{Block, Inst as IrInst, SideTable, Symbol, Value};
use ir::function::{HandlerKind, SymbolRef};
use ir::instruction::{Aux, FloatCompare, IntCompare, MemoryFlags, Opcode};
use ir::mach::lower::{LowerBackend, LowerContext};
use ir::mach::pipeline::BodyNeeds;
use ir::mach::vcode::MachBlock;
use ir::mach::{CodegenError, CodegenOptions, LinkModel};
use ir::types::{Access, Type};
use std::cell::Cell;
use std::marker::PhantomData;

/// `CodegenOptions::cpu_features`: `popcnt`.
pub const FEATURE_POPCNT: u64 = 1;
/// `lzcnt`.
pub const FEATURE_LZCNT: u64 = 2;
/// BMI1: `tzcnt`.
pub const FEATURE_BMI1: u64 = 4;
/// BMI2: `shlx`, `shrx`, `sarx`.
pub const FEATURE_BMI2: u64 = 8;

/// What lowering works with.
pub type Context<'f> = LowerContext<'f, Inst>;

/// Lowers one function.
pub struct Lowering<'a, F> {
    pub(crate) options: &'a CodegenOptions,
    needs: Cell<BodyNeeds>,
    tables: Cell<u32>,
    /// The data base that is made at the function's entry, once something has asked for it.
    data_base: Cell<Option<Reg>>,
    /// By block: whether it is reached from a handler, where nothing that was made at the entry is known. Empty without handlers.
    after_handlers: SideTable<Block, bool>,
    family: PhantomData<F>,
}

impl<'a, F: Family> Lowering<'a, F> {
    /// The lowering of a function.
    pub fn new(function: &Function, options: &'a CodegenOptions) -> Lowering<'a, F> {
        Lowering {
            options,
            needs: Cell::default(),
            tables: Cell::new(0),
            data_base: Cell::new(None),
            after_handlers: if F::RIP_RELATIVE { SideTable::new() } else { blocks_after_handlers(function) },
            family: PhantomData,
        }
    }
    /// What was found out about the frame.
    pub fn body_needs(&self) -> BodyNeeds {
        self.needs.get()
    }
    pub(crate) fn feature(&self, bit: u64) -> bool {
        self.options.cpu_features & bit != 0
    }
    /// There is a call with so many bytes of arguments.
    pub(crate) fn note_call(&self, outgoing: u32) {
        let needs = self.needs.get();
        self.needs.set(BodyNeeds { outgoing: needs.outgoing.max(outgoing), calls: true, ..needs });
    }
    /// There is a call of a helper with one argument.
    pub(crate) fn note_raise(&self) {
        self.note_call(if F::HELPER_ARGUMENT.is_none() { F::POINTER_BYTES } else { 0 });
    }
    /// Memory of so many bytes at the stack pointer that is used between calls.
    pub(crate) fn scratch_memory(&self, bytes: u32) -> Memory {
        let needs = self.needs.get();
        self.needs.set(BodyNeeds { outgoing: needs.outgoing.max(bytes), ..needs });
        Memory::safe(Amode::new(Base::Outgoing, 0))
    }
    fn note_dynamic_stack(&self) {
        self.needs.set(BodyNeeds { dynamic_stack: true, ..self.needs.get() });
    }

    /// The register that data is reached from; none where it is reached from the instruction pointer. It is made at the function's
    /// entry; where that is not known or not worth it, just here.
    pub(crate) fn data_base(&self, context: &mut Context<'_>) -> Option<Reg> {
        if F::RIP_RELATIVE {
            return None;
        }
        if self.after_handlers[context.current_block()] || context.is_cold() {
            let dst = temp(context, Type::Iptr);
            context.emit(Inst::DataBase { dst });
            return Some(dst);
        }
        if self.data_base.get().is_none() {
            self.data_base.set(Some(temp(context, Type::Iptr)));
        }
        self.data_base.get()
    }
    /// The base for a call of `symbol`, if the call needs one.
    pub(crate) fn call_base(&self, context: &mut Context<'_>, symbol: Symbol, publish: bool) -> Option<Reg> {
        let target = context.function.symbols[symbol].target;
        let by_publisher = publish && self.options.link == LinkModel::Pic && matches!(target, SymbolRef::Helper(_));
        if is_called_directly(target) || by_publisher { None } else { self.data_base(context) }
    }
}

/// By block: whether it is reached from a handler's entry.
fn blocks_after_handlers(function: &Function) -> SideTable<Block, bool> {
    let mut reached = SideTable::new();
    let handlers = function.regions.values().flat_map(|region| &region.handlers);
    let mut worklist: Vec<Block> = Vec::new();
    for handler in handlers {
        worklist.push(handler.entry);
        if let HandlerKind::Filter(block) = handler.kind {
            worklist.push(block);
        }
    }
    while let Some(block) = worklist.pop() {
        if !std::mem::replace(&mut reached[block], true) {
            let terminator = &function.insts[function.terminator(block)];
            worklist.extend(terminator.targets().iter().map(|target| target.block));
        }
    }
    reached
}

impl<F: Family> LowerBackend for Lowering<'_, F> {
    type Inst = Inst;

    fn lower(&self, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
        use Opcode::*;
        match context.data(inst).opcode {
            Iconst | Iadd | Isub | Imul | SmulHigh | UmulHigh | Sdiv | Udiv | Srem | Urem | Iand | Ior | Ixor | Ishl | Sshr
            | Ushr | Rotl | Ineg | Inot | Clz | Ctz | Popcnt | Bswap | SaddOverflow | UaddOverflow | SsubOverflow
            | UsubOverflow | SmulOverflow | UmulOverflow | Icmp | Sext8 | Sext16 | Zext8 | Zext16 | Sext | Zext | Trunc => {
                integer::lower(self, context, inst);
            }
            Fconst | Fadd | Fsub | Fmul | Fdiv | Fneg | Fabs | Fsqrt | Fcmp | Bitcast | Fpromote | Fdemote | SintToFloat
            | FloatToSint => float::lower(self, context, inst),
            UintToFloat => F::lower_uint_to_float(self, context, inst),
            FloatToUint => F::lower_float_to_uint(self, context, inst),
            SymbolAddr
            | StackAddr
            | Thread
            | FrameAddr
            | Load
            | Store
            | CopyMemory
            | ZeroMemory
            | AtomicAdd
            | AtomicExchange
            | AtomicCompareExchange
            | StackAlloc
            | Fence
            | NullCheck
            | TryAllocate => memory::lower(self, context, inst),
            Select | BoundsCheck | TrapIf | Call | CallIndirect => control::lower(self, context, inst)?,
            Cell | StoreRef | NewObject | NewArray | Jump | Brif | BrTable | Return | TailCall | TailCallIndirect | Trap
            | Unreachable | EndFinally | EndFilter => {
                let message = format!("{} is not expected in lowering", context.data(inst).opcode.name());
                return Err(CodegenError { message });
            }
        }
        Ok(())
    }

    fn lower_branch(&self, context: &mut Context<'_>, inst: IrInst, targets: &[MachBlock]) -> Result<(), CodegenError> {
        control::lower_branch(self, context, inst, targets)
    }

    fn lower_entry(&self, context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
        control::lower_entry(self, context, params)
    }

    fn lower_handler_entry(&self, context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
        control::lower_handler_entry(context, params);
        Ok(())
    }

    fn jump(&self, target: MachBlock) -> Inst {
        Inst::Jump { target }
    }
}

/// Operand size of a type.
pub(crate) fn size_of<F: Family>(ty: Type) -> Size {
    if ty.bytes(F::POINTER_BYTES) == 4 { Size::S32 } else { Size::S64 }
}

/// The register of a value.
pub fn reg(context: &mut Context<'_>, value: Value) -> Reg {
    context.reg(value).into()
}

/// A new temporary.
pub fn temp(context: &mut Context<'_>, ty: Type) -> Reg {
    context.temp(ty).into()
}

/// The register of the one result.
pub fn result(context: &mut Context<'_>, inst: IrInst) -> Reg {
    context.result(inst, 0).into()
}

/// A constant that fits into an immediate.
pub(crate) fn immediate(context: &Context<'_>, value: Value) -> Option<i32> {
    i32::try_from(context.int_constant(value)?).ok()
}

/// A register, or the memory that the value is loaded from just here, if that is as wide as the value.
pub(crate) fn reg_or_memory<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> RegMem {
    match full_load(lowering, context, value) {
        Some(memory) => RegMem::Mem(memory),
        None => RegMem::Reg(reg(context, value)),
    }
}

/// An immediate, memory or a register.
pub(crate) fn source<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> Source {
    if let Some(value) = immediate(context, value) {
        return Source::Imm(value);
    }
    match reg_or_memory(lowering, context, value) {
        RegMem::Reg(register) => Source::Reg(register),
        RegMem::Mem(memory) => Source::Mem(memory),
    }
}

/// Folds the load of all bits of `value`.
fn full_load<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> Option<Memory> {
    let load = context.foldable_load(value)?;
    let Aux::Memory(memory) = context.data(load).aux else { return None };
    matches!(memory.access, Access::Full(_)).then(|| fold_load(lowering, context, load))
}

/// Folds a load that `foldable_load` gave.
pub(crate) fn fold_load<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, load: IrInst) -> Memory {
    context.sink(load);
    memory_operand(lowering, context, load)
}

/// Whether a load, store or atomic operation may meet null.
pub(crate) fn may_fault(context: &Context<'_>, inst: IrInst) -> bool {
    !matches!(context.data(inst).aux, Aux::Memory(memory) if memory.flags.contains(MemoryFlags::NO_TRAP))
}

/// The memory operand of a load, store or atomic operation.
pub(crate) fn memory_operand<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) -> Memory {
    let address_value = context.arg(inst, 0);
    let offset = match context.data(inst).aux {
        Aux::Memory(memory) => memory.offset,
        _ => 0,
    };
    Memory { address: address(lowering, context, address_value, offset), faults: may_fault(context, inst) }
}

/// The addressing mode of `value` + `offset`, with as much of its computation folded in as fits.
pub(crate) fn address<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value, offset: i32) -> Amode {
    let mut displacement = offset;
    let mut index: Option<(Value, u8)> = None;
    let mut current = value;
    // Follows the base downwards; every step leaves an equal address.
    let base = loop {
        let Some(inst) = context.producer(current) else { break None };
        let data = context.data(inst);
        match (data.opcode, &data.aux) {
            (Opcode::Iadd, _) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                if let Some(sum) = add_constant(context, b, displacement) {
                    (displacement, current) = (sum, a);
                } else if let Some(sum) = add_constant(context, a, displacement) {
                    (displacement, current) = (sum, b);
                } else if index.is_none() {
                    // The side that is scaled becomes the index; without one, the side that is no pointer.
                    let (kept, scaled) = match (scaled_index(context, a), scaled_index(context, b)) {
                        (Some(scaled), None) => (b, scaled),
                        (_, Some(scaled)) => (a, scaled),
                        (None, None) if context.value_type(b).is_int() => (a, (b, 0, 0)),
                        (None, None) => (b, (a, 0, 0)),
                    };
                    let (scaled, shift, more) = scaled;
                    let Some(sum) = displacement.checked_add(more) else { break None };
                    (index, displacement, current) = (Some((scaled, shift)), sum, kept);
                } else {
                    break None;
                }
            }
            (Opcode::Isub, _) => {
                let negative = context.int_constant(context.arg(inst, 1)).and_then(i64::checked_neg);
                match negative.and_then(|negative| i32::try_from(i64::from(displacement) + negative).ok()) {
                    Some(sum) => (displacement, current) = (sum, context.arg(inst, 0)),
                    None => break None,
                }
            }
            (Opcode::Bitcast, _)
                if context.value_type(context.arg(inst, 0)).bytes(F::POINTER_BYTES) == F::POINTER_BYTES
                    && is_general(context, inst) =>
            {
                current = context.arg(inst, 0);
            }
            (Opcode::StackAddr, &Aux::Slot(slot, offset)) => {
                displacement = displacement.wrapping_add(offset);
                break Some(Base::Slot(slot));
            }
            (Opcode::Zext | Opcode::Sext | Opcode::Trunc, _) if is_copy::<F>(context, inst) => current = context.arg(inst, 0),
            (Opcode::SymbolAddr, &Aux::Symbol(symbol)) if index.is_none() => {
                break Some(Base::Symbol(symbol, lowering.data_base(context)));
            }
            (Opcode::Thread, _) => break Some(Base::Thread),
            (Opcode::FrameAddr, _) => break Some(Base::Frame),
            _ => break None,
        }
    };
    let base = base.unwrap_or_else(|| Base::Register(address_register(context, current)));
    let index = index.map(|(value, shift)| Index { register: address_register(context, value), shift });
    Amode { base, index, displacement }
}

/// Whether the conversion changes nothing, as those between integers and pointers on 32 bits, of which all indices there are full.
fn is_copy<F: Family>(context: &Context<'_>, inst: IrInst) -> bool {
    F::WORD == Size::S32
        && context.value_type(context.arg(inst, 0)).bytes(F::POINTER_BYTES) == context.data(inst).ty.bytes(F::POINTER_BYTES)
}

fn is_general(context: &Context<'_>, bitcast: IrInst) -> bool {
    !context.value_type(context.arg(bitcast, 0)).is_float() && !context.data(bitcast).ty.is_float()
}

/// `displacement` plus a constant value, if it still fits.
fn add_constant(context: &Context<'_>, value: Value, displacement: i32) -> Option<i32> {
    i32::try_from(context.int_constant(value)?.checked_add(i64::from(displacement))?).ok()
}

/// `value` as (index, shift, displacement), if it is a shift or product that an addressing mode can do.
fn scaled_index(context: &Context<'_>, value: Value) -> Option<(Value, u8, i32)> {
    let inst = context.producer(value)?;
    let constant = context.int_constant(*context.data(inst).args.get(1)?)?;
    let shift = match (context.data(inst).opcode, constant) {
        (Opcode::Ishl, 0..=3) => constant as u8,
        (Opcode::Imul, 2) => 1,
        (Opcode::Imul, 4) => 2,
        (Opcode::Imul, 8) => 3,
        _ => return None,
    };
    let scaled = context.arg(inst, 0);
    // (x + c) << s is (x << s) + (c << s).
    if let Some(sum) = context.producer(scaled).filter(|&sum| context.data(sum).opcode == Opcode::Iadd) {
        if let Some(constant) = context.int_constant(context.arg(sum, 1)) {
            if let Some(displacement) = constant.checked_mul(1 << shift).and_then(|product| i32::try_from(product).ok()) {
                return Some((context.arg(sum, 0), shift, displacement));
            }
        }
    }
    Some((scaled, shift, 0))
}

/// The register of a part of an address: a zero extension is nothing where the upper half is zero anyway.
fn address_register(context: &mut Context<'_>, value: Value) -> Reg {
    if let Some(inst) = context.producer(value).filter(|&inst| context.data(inst).opcode == Opcode::Zext) {
        let narrow = context.arg(inst, 0);
        if is_zero_extended(context.function, narrow) && context.int_constant(narrow).is_none() {
            return reg(context, narrow);
        }
    }
    reg(context, value)
}

/// Whether the instruction that computes this 32-bit value also clears the upper half of its register. True of all 32-bit
/// operations; not of copies from wider values, parameters, results of calls and conversions made by wider ones.
pub fn is_zero_extended(function: &Function, value: Value) -> bool {
    use Opcode::*;
    if function.value_type(value) != Type::I32 {
        return false;
    }
    let Some(inst) = function.def_inst(value) else { return false };
    !matches!(function.insts[inst].opcode, Trunc | Bitcast | Call | CallIndirect | AtomicCompareExchange | Cell | FloatToUint)
}

/// The condition code of an integer comparison.
pub(crate) fn int_cond(compare: IntCompare) -> Cond {
    match compare {
        IntCompare::Eq => Cond::E,
        IntCompare::Ne => Cond::Ne,
        IntCompare::Slt => Cond::L,
        IntCompare::Sle => Cond::Le,
        IntCompare::Sgt => Cond::G,
        IntCompare::Sge => Cond::Ge,
        IntCompare::Ult => Cond::B,
        IntCompare::Ule => Cond::Be,
        IntCompare::Ugt => Cond::A,
        IntCompare::Uge => Cond::Ae,
    }
}

/// Emits what sets the flags for `value` not being 0, and says which.
pub(crate) fn condition<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> Test {
    let mut negate = false;
    let mut value = value;
    while let Some(inst) = context.producer(value) {
        match context.data(inst).aux {
            Aux::IntCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                // A condition compared with zero is itself or its opposite.
                if let (IntCompare::Eq | IntCompare::Ne, Some(0)) = (compare, context.int_constant(b)) {
                    let is_condition = context
                        .producer(a)
                        .is_some_and(|inner| matches!(context.data(inner).opcode, Opcode::Icmp | Opcode::Fcmp));
                    if is_condition {
                        negate ^= compare == IntCompare::Eq;
                        value = a;
                        continue;
                    }
                }
                let compare = if negate { compare.negate() } else { compare };
                return Test::If(int_cond(emit_compare(lowering, context, compare, a, b)));
            }
            Aux::FloatCompare(compare) => {
                let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
                let compare = if negate { compare.negate() } else { compare };
                return emit_float_compare(lowering, context, compare, a, b);
            }
            _ => break,
        }
    }
    let compare = match context.producer(value) {
        Some(inst) if context.data(inst).opcode == Opcode::Iand => {
            let (a, b) = (context.arg(inst, 0), context.arg(inst, 1));
            emit_test(lowering, context, a, b);
            IntCompare::Ne
        }
        _ => {
            let size = size_of::<F>(context.value_type(value));
            let lhs = reg(context, value);
            context.emit(Inst::Compare { op: CompareOp::Cmp, size, lhs, rhs: Source::Imm(0) });
            IntCompare::Ne
        }
    };
    Test::If(int_cond(if negate { compare.negate() } else { compare }))
}

/// Emits the comparison and returns the condition to look for, which is swapped if the operands are.
pub(crate) fn emit_compare<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    compare: IntCompare,
    a: Value,
    b: Value,
) -> IntCompare {
    if context.int_constant(a).is_some() && context.int_constant(b).is_none() {
        return emit_compare(lowering, context, compare.swap(), b, a);
    }
    let size = size_of::<F>(context.value_type(a));
    let op = CompareOp::Cmp;
    if let Some(constant) = immediate(context, b) {
        if constant == 0 {
            if let Some(and) = context.producer(a).filter(|&inst| context.data(inst).opcode == Opcode::Iand) {
                let (x, y) = (context.arg(and, 0), context.arg(and, 1));
                emit_test(lowering, context, x, y);
                return compare;
            }
            // A union, as that of the two words of a pair, tells by its own flags.
            let either = context.producer(a).filter(|&inst| context.data(inst).opcode == Opcode::Ior && !context.is_used(a));
            if let (Some(or), IntCompare::Eq | IntCompare::Ne) = (either, compare) {
                let (x, y) = (context.arg(or, 0), context.arg(or, 1));
                let (dst, lhs) = (temp(context, context.value_type(a)), reg(context, x));
                let rhs = source(lowering, context, y);
                context.emit(Inst::Alu { op: AluOp::Or, size, dst, lhs, rhs });
                return compare;
            }
        }
        if let Some((memory, size)) = comparable_load(lowering, context, compare, a, constant) {
            context.emit(Inst::CompareMemory { op, size, memory, rhs: Source::Imm(constant) });
            return compare;
        }
        let lhs = reg(context, a);
        context.emit(Inst::Compare { op, size, lhs, rhs: Source::Imm(constant) });
        return compare;
    }
    if let Some(memory) = full_load(lowering, context, a) {
        let rhs = Source::Reg(reg(context, b));
        context.emit(Inst::CompareMemory { op, size, memory, rhs });
        return compare;
    }
    let lhs = reg(context, a);
    let rhs = source(lowering, context, b);
    context.emit(Inst::Compare { op, size, lhs, rhs });
    compare
}

/// Folds the load of `value` into a comparison with `constant`, at the width of the access where that comes to the same.
fn comparable_load<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    compare: IntCompare,
    value: Value,
    constant: i32,
) -> Option<(Memory, Size)> {
    use IntCompare::*;
    let load = context.foldable_load(value)?;
    let Aux::Memory(memory) = context.data(load).aux else { return None };
    let size = match memory.access {
        Access::Full(ty) if !ty.is_float() && ty != Type::V128 => size_of::<F>(ty),
        Access::U8 if (0..256).contains(&constant) && matches!(compare, Eq | Ne | Ult | Ule | Ugt | Uge) => Size::S8,
        Access::I8 if (-128..128).contains(&constant) && matches!(compare, Eq | Ne | Slt | Sle | Sgt | Sge) => Size::S8,
        // Only immediates of one byte: the prefix that changes an immediate's length stalls decoders.
        Access::U16 if (0..128).contains(&constant) && matches!(compare, Eq | Ne | Ult | Ule | Ugt | Uge) => Size::S16,
        Access::I16 if (-128..128).contains(&constant) && matches!(compare, Eq | Ne | Slt | Sle | Sgt | Sge) => Size::S16,
        _ => return None,
    };
    Some((fold_load(lowering, context, load), size))
}

/// Emits `test a, b`.
fn emit_test<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, a: Value, b: Value) {
    let size = size_of::<F>(context.value_type(a));
    let op = CompareOp::Test;
    let (a, b) = if context.int_constant(a).is_some() { (b, a) } else { (a, b) };
    if let Some(constant) = immediate(context, b) {
        if let Some(memory) = full_load(lowering, context, a) {
            return context.emit(Inst::CompareMemory { op, size, memory, rhs: Source::Imm(constant) });
        }
    }
    let lhs = reg(context, a);
    let rhs = source(lowering, context, b);
    context.emit(Inst::Compare { op, size, lhs, rhs });
}

/// Emits the comparison of floats; unordered operands set the flags as "below" and "equal" at once.
pub(crate) fn emit_float_compare<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    compare: FloatCompare,
    a: Value,
    b: Value,
) -> Test {
    use FloatCompare::*;
    let (swap, test) = match compare {
        Oeq => (false, Test::OrderedEqual),
        Une => (false, Test::UnorderedNotEqual),
        Ogt => (false, Test::If(Cond::A)),
        Oge => (false, Test::If(Cond::Ae)),
        Olt => (true, Test::If(Cond::A)),
        Ole => (true, Test::If(Cond::Ae)),
        Ult => (false, Test::If(Cond::B)),
        Ule => (false, Test::If(Cond::Be)),
        Ugt => (true, Test::If(Cond::B)),
        Uge => (true, Test::If(Cond::Be)),
        Ueq => (false, Test::If(Cond::E)),
        One => (false, Test::If(Cond::Ne)),
    };
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let ty = context.value_type(a);
    let lhs = reg(context, a);
    let rhs = float::operand(lowering, context, b);
    context.emit(Inst::CompareFloat { ty, lhs, rhs });
    test
}

/// Emits a register-to-register extension.
pub(crate) fn emit_extend(context: &mut Context<'_>, kind: Extension, dst: Reg, src: Reg) {
    context.emit(Inst::Extend { kind, dst, src });
}

/// Emits a one-operand operation.
pub(crate) fn emit_unary(context: &mut Context<'_>, op: UnaryOp, size: Size, dst: Reg, src: Reg) {
    context.emit(Inst::Unary { op, size, dst, src });
}
