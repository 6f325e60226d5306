//! Memory: addresses, loads and stores, read-modify-write, copies, atomics, the dynamic stack.

use super::{Context, Lowering, address, immediate, may_fault, memory_operand, reg, result, temp};
use crate::family::Family;
use crate::family::instructions::{AluOp, Amode, Base, Inst, Memory, Size, Source};
use crate::family::registers::Reg;
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, MemoryFlags, Opcode};
use ir::types::{Access, Type};

/// Blocks up to this size are copied and zeroed by single moves.
const UNROLL_LIMIT: u32 = 160;

pub(super) fn lower<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) {
    let data = context.data(inst);
    match (data.opcode, &data.aux) {
        (Opcode::SymbolAddr, &Aux::Symbol(symbol)) => {
            let dst = result(context, inst);
            let base = lowering.data_base(context);
            context.emit(Inst::Lea { size: F::WORD, dst, address: Amode::new(Base::Symbol(symbol, base), 0) });
        }
        (Opcode::StackAddr, &Aux::Slot(slot, offset)) => {
            let dst = result(context, inst);
            context.emit(Inst::Lea { size: F::WORD, dst, address: Amode::new(Base::Slot(slot), offset) });
        }
        (Opcode::Thread, _) => {
            let dst = result(context, inst);
            context.emit(Inst::MovePinned { dst, from: Base::Thread });
        }
        (Opcode::FrameAddr, _) => {
            let dst = result(context, inst);
            context.emit(Inst::MovePinned { dst, from: Base::Frame });
        }
        (Opcode::Load, Aux::Memory(memory)) => {
            let access = memory.access;
            let dst = result(context, inst);
            let memory = memory_operand(lowering, context, inst);
            context.emit(Inst::Load { access, extend_to_64: false, dst, memory });
        }
        (Opcode::Store, Aux::Memory(memory)) => {
            let access = memory.access;
            store(lowering, context, inst, access);
        }
        (Opcode::CopyMemory, &Aux::Int(bytes)) => {
            let (destination, source) = (context.arg(inst, 0), context.arg(inst, 1));
            copy(lowering, context, destination, source, bytes as u32);
        }
        (Opcode::ZeroMemory, &Aux::Int(bytes)) => zero(lowering, context, inst, bytes as u32),
        (Opcode::AtomicAdd | Opcode::AtomicExchange, Aux::Memory(memory)) => {
            let (opcode, access) = (data.opcode, memory.access);
            let src = reg(context, context.arg(inst, 1));
            let memory = memory_operand(lowering, context, inst);
            let dst = result(context, inst);
            context.emit(match opcode {
                Opcode::AtomicAdd => Inst::AtomicAdd { access, dst, src, memory },
                _ => Inst::AtomicExchange { access, dst, src, memory },
            });
        }
        (Opcode::AtomicCompareExchange, Aux::Memory(memory)) => {
            let access = memory.access;
            let expected = reg(context, context.arg(inst, 1));
            let replacement = reg(context, context.arg(inst, 2));
            let memory = memory_operand(lowering, context, inst);
            let dst = result(context, inst);
            context.emit(Inst::AtomicCompareExchange { access, dst, expected, replacement, memory });
        }
        (Opcode::StackAlloc, _) => {
            lowering.note_dynamic_stack();
            let size = reg(context, context.arg(inst, 0));
            let temp = temp(context, Type::Iptr);
            let dst = result(context, inst);
            context.emit(Inst::StackAlloc { dst, size, temp });
        }
        (Opcode::NullCheck, _) => {
            let object = reg(context, context.arg(inst, 0));
            context.emit(Inst::NullCheck { object });
        }
        (Opcode::TryAllocate, &Aux::Window(window)) => {
            let args = data.args.len();
            let method_table = reg(context, context.arg(inst, 0));
            let size = register_or_immediate(context, context.arg(inst, 1));
            let length = (args > 2).then(|| {
                let length = context.arg(inst, 2);
                (Access::Full(context.value_type(length)), register_or_immediate(context, length))
            });
            let end = temp(context, Type::Iptr);
            let dst = result(context, inst);
            context.emit(Inst::TryAllocate { window, dst, end, method_table, size, length });
        }
        _ => context.emit(Inst::Fence),
    }
}

fn register_or_immediate(context: &mut Context<'_>, value: Value) -> Source {
    match immediate(context, value) {
        Some(value) => Source::Imm(value),
        None => Source::Reg(reg(context, value)),
    }
}

fn store<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, access: Access) {
    let mut value = context.arg(inst, 1);
    if read_modify_write(lowering, context, inst, value, access) {
        return;
    }
    // Widening before a narrow store changes nothing.
    while let Some(producer) = context.producer(value) {
        let cut = match context.data(producer).opcode {
            Opcode::Sext8 | Opcode::Zext8 => matches!(access, Access::I8 | Access::U8),
            Opcode::Sext16 | Opcode::Zext16 => !matches!(access, Access::Full(_)),
            _ => false,
        };
        if !cut {
            break;
        }
        value = context.arg(producer, 0);
    }
    let memory = memory_operand(lowering, context, inst);
    let source = register_or_immediate(context, value);
    context.emit(Inst::Store { access, memory, source });
}

/// `x.f = x.f op y` as one instruction on memory.
fn read_modify_write<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    inst: IrInst,
    value: Value,
    access: Access,
) -> bool {
    if matches!(access, Access::Full(Type::F32 | Type::F64 | Type::V128)) || !context.is_single_use(value) {
        return false;
    }
    let Some(producer) = context.producer(value) else { return false };
    let (op, commutes) = match context.data(producer).opcode {
        Opcode::Iadd => (AluOp::Add, true),
        Opcode::Isub => (AluOp::Sub, false),
        Opcode::Iand => (AluOp::And, true),
        Opcode::Ior => (AluOp::Or, true),
        Opcode::Ixor => (AluOp::Xor, true),
        _ => return false,
    };
    let Aux::Memory(stored) = context.data(inst).aux else { return false };
    if stored.flags.contains(MemoryFlags::VOLATILE) {
        return false;
    }
    let (a, b) = (context.arg(producer, 0), context.arg(producer, 1));
    let address_value = context.arg(inst, 0);
    let loads_same = |context: &Context<'_>, value: Value| {
        let load = context.foldable_load(value)?;
        let Aux::Memory(loaded) = context.data(load).aux else { return None };
        let same_width = loaded.access.bytes(F::POINTER_BYTES) == stored.access.bytes(F::POINTER_BYTES);
        (same_width && loaded.offset == stored.offset && context.arg(load, 0) == address_value).then_some(load)
    };
    let (load, other) = match (loads_same(context, a), loads_same(context, b)) {
        (Some(load), _) => (load, b),
        (None, Some(load)) if commutes => (load, a),
        _ => return false,
    };
    if a == b {
        return false;
    }
    context.sink(load);
    let size = match stored.access.bytes(F::POINTER_BYTES) {
        1 => Size::S8,
        2 => Size::S16,
        4 => Size::S32,
        _ => F::WORD,
    };
    // The store cannot fault where the load did not, and may be marked so; the two are one access now.
    let memory = Memory { faults: may_fault(context, load), ..memory_operand(lowering, context, inst) };
    let source = register_or_immediate(context, other);
    context.emit(Inst::AluMemory { op, size, memory, source });
    true
}

/// The memory at `value`, which may be null unless it is in the frame.
fn block<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, value: Value) -> Memory {
    let address = address(lowering, context, value, 0);
    Memory { address, faults: !matches!(address.base, Base::Slot(_) | Base::Thread | Base::Frame) }
}

fn part(memory: Memory, offset: u32) -> Memory {
    Memory { address: memory.address.offset(offset as i32), ..memory }
}

/// Offsets and accesses that together cover `bytes`, the widest first; the last may overlap the one before.
fn pieces<F: Family>(bytes: u32) -> Vec<(u32, Access)> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    for (width, access) in F::BLOCK_MOVES {
        while bytes - offset >= width {
            pieces.push((offset, access));
            offset += width;
        }
        // One overlapping move instead of several smaller ones.
        if offset > 0
            && bytes > offset
            && (bytes - offset).count_ones() > 1
            && bytes >= width
            && pieces.last().is_some_and(|last| last.1 == access)
        {
            pieces.push((bytes - width, access));
            return pieces;
        }
    }
    pieces
}

/// Emits a copy of `bytes` from the address `source` to `destination`.
pub(super) fn copy<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    destination: Value,
    source: Value,
    bytes: u32,
) {
    if bytes > UNROLL_LIMIT {
        let destination = reg(context, destination);
        let source = reg(context, source);
        return repeat(context, true, destination, source, bytes);
    }
    let to = block(lowering, context, destination);
    copy_to(lowering, context, to, source, bytes);
}

/// Emits a copy of `bytes` from the address `source` to memory.
pub(super) fn copy_to<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, to: Memory, source: Value, bytes: u32) {
    let from = block(lowering, context, source);
    for (offset, access) in pieces::<F>(bytes) {
        let moved = temp(context, access.value_type());
        context.emit(Inst::Load { access, extend_to_64: false, dst: moved, memory: part(from, offset) });
        context.emit(Inst::Store { access, memory: part(to, offset), source: Source::Reg(moved) });
    }
}

fn zero<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, bytes: u32) {
    let destination = context.arg(inst, 0);
    if bytes > UNROLL_LIMIT {
        let destination = reg(context, destination);
        let zero = temp(context, Type::I32);
        context.emit(Inst::Constant { size: Size::S32, dst: zero, value: 0 });
        return repeat(context, false, destination, zero, bytes);
    }
    let to = block(lowering, context, destination);
    let pieces = pieces::<F>(bytes);
    let in_vector = |access: Access| matches!(access, Access::Full(Type::V128 | Type::F64));
    let vector = pieces.iter().any(|&(_, access)| in_vector(access)).then(|| {
        let dst = temp(context, Type::V128);
        context.emit(Inst::XmmZero { dst });
        dst
    });
    for (offset, access) in pieces {
        let source = match vector {
            Some(vector) if in_vector(access) => Source::Reg(vector),
            _ => Source::Imm(0),
        };
        context.emit(Inst::Store { access, memory: part(to, offset), source });
    }
}

/// `rep movsb` or `rep stosb`, which modern machines do by whole lines.
fn repeat(context: &mut Context<'_>, copy: bool, destination: Reg, source: Reg, bytes: u32) {
    let count = temp(context, Type::Iptr);
    context.emit(Inst::Constant { size: Size::S32, dst: count, value: i64::from(bytes) });
    let [end_destination, end_source, end_count] = [(); 3].map(|()| temp(context, Type::Iptr));
    context.emit(Inst::Repeat { copy, destination, source, count, end_destination, end_source, end_count });
}

/// The address that a call goes to, if it is in memory that is read at the call: base value and displacement.
pub(super) fn call_memory<F: Family>(context: &mut Context<'_>, value: Value) -> Option<(Reg, i32)> {
    let load = context.foldable_load(value)?;
    let Aux::Memory(memory) = context.data(load).aux else { return None };
    if !memory.flags.contains(MemoryFlags::NO_TRAP) || memory.access.bytes(F::POINTER_BYTES) != F::POINTER_BYTES {
        return None;
    }
    let base = context.arg(load, 0);
    context.sink(load);
    Some((reg(context, base), memory.offset))
}
