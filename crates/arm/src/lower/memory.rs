//! Memory: addresses, loads and stores, copies, atomics, allocation, the dynamic stack.

use super::{Context, Lowering, Reach, address, memory_operand, producer, reg, result, source, temp};
use crate::encoding::{ExtendOp, FloatSize};
use crate::instructions::{Amode, AtomicOp, Base, Inst, Memory, UnaryOp};
use crate::registers::Reg;
use ir::entity::{Inst as IrInst, Symbol, Value};
use ir::instruction::{Aux, MemoryFlags, Opcode};
use ir::types::{Access, Type};

/// Blocks up to this size are copied and zeroed by single moves.
const UNROLL_LIMIT: u32 = 64;
/// How many words of a copy are in registers at once.
const COPY_GROUP: usize = 4;

const WORD: Access = Access::Full(Type::I32);
const DOUBLE: Access = Access::Full(Type::F64);

pub(super) fn lower(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) {
    let data = context.data(inst);
    match (data.opcode, &data.aux) {
        (Opcode::SymbolAddr, &Aux::Symbol(symbol)) => {
            let dst = result(context, inst);
            context.emit(Inst::SymbolAddress { dst, symbol });
        }
        (Opcode::StackAddr, &Aux::Slot(slot, offset)) => {
            let dst = result(context, inst);
            context.emit(Inst::Address { dst, address: Amode::new(Base::Slot(slot), offset) });
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
            let (access, flags) = (memory.access, memory.flags);
            load(context, inst, access, flags);
            if flags.contains(MemoryFlags::VOLATILE) {
                context.emit(Inst::Fence);
            }
        }
        (Opcode::Store, Aux::Memory(memory)) => {
            let (access, flags) = (memory.access, memory.flags);
            if flags.contains(MemoryFlags::VOLATILE) {
                context.emit(Inst::Fence);
            }
            store(context, inst, access, flags);
        }
        (Opcode::CopyMemory, &Aux::Int(bytes)) => copy(context, inst, bytes as u32),
        (Opcode::ZeroMemory, &Aux::Int(bytes)) => zero(context, inst, bytes as u32),
        (Opcode::AtomicAdd | Opcode::AtomicExchange, Aux::Memory(memory)) => {
            let op = if data.opcode == Opcode::AtomicAdd { AtomicOp::Add } else { AtomicOp::Exchange };
            let access = memory.access;
            let (address, faults) = atomic_address(context, inst);
            let operand = reg(context, context.arg(inst, 1));
            let temp = temp(context, Type::I32);
            let dst = result(context, inst);
            context.emit(Inst::AtomicUpdate { op, access, dst, operand, address, faults, temp });
        }
        (Opcode::AtomicCompareExchange, Aux::Memory(memory)) => {
            let access = memory.access;
            let (address, faults) = atomic_address(context, inst);
            let expected = reg(context, context.arg(inst, 1));
            let expected = match access {
                Access::I8 | Access::U8 => widened(context, ExtendOp::Uxtb, expected),
                Access::I16 | Access::U16 => widened(context, ExtendOp::Uxth, expected),
                Access::Full(_) => expected,
            };
            let replacement = reg(context, context.arg(inst, 2));
            let dst = result(context, inst);
            context.emit(Inst::AtomicCompareExchange { access, dst, expected, replacement, address, faults });
        }
        (Opcode::StackAlloc, _) => {
            lowering.dynamic_stack.set(true);
            let size = reg(context, context.arg(inst, 0));
            let dst = result(context, inst);
            context.emit(Inst::StackAlloc { dst, size });
        }
        (Opcode::TryAllocate, &Aux::Window(window)) => {
            let has_length = data.args.len() > 2;
            let method_table = reg(context, context.arg(inst, 0));
            let size = source(context, context.arg(inst, 1));
            let length = has_length.then(|| reg(context, context.arg(inst, 2)));
            let end = temp(context, Type::Iptr);
            let dst = result(context, inst);
            context.emit(Inst::TryAllocate { window, dst, end, method_table, size, length });
        }
        (Opcode::NullCheck, _) => {
            let object = reg(context, context.arg(inst, 0));
            context.emit(Inst::NullCheck { object });
        }
        _ => context.emit(Inst::Fence),
    }
}

fn widened(context: &mut Context<'_>, op: ExtendOp, src: Reg) -> Reg {
    let dst = temp(context, Type::I32);
    context.emit(Inst::Unary { op: UnaryOp::Extend(op), dst, src });
    dst
}

/// The register with the address of an atomic operation, which has no displacement, and whether a fault means a null reference.
fn atomic_address(context: &mut Context<'_>, inst: IrInst) -> (Reg, bool) {
    let Memory { address, faults } = memory_operand(context, inst, Reach::Float);
    let register = match address {
        Amode { base: Base::Register(register), index: None, displacement: 0 } => register,
        address => {
            let dst = temp(context, Type::Mptr);
            context.emit(Inst::Address { dst, address });
            dst
        }
    };
    (register, faults)
}

fn load(context: &mut Context<'_>, inst: IrInst, access: Access, flags: MemoryFlags) {
    let dst = result(context, inst);
    if let (4, false, Some((symbol, offset))) = (access.bytes(4), access.value_type().is_float(), symbol_place(context, inst)) {
        return context.emit(Inst::LoadSymbol { dst, symbol, offset });
    }
    let memory = memory_operand(context, inst, Reach::of(access));
    let word = |context: &mut Context<'_>, offset: u32| {
        let dst = temp(context, Type::I32);
        context.emit(Inst::Load { access: WORD, dst, memory: part(memory, offset) });
        dst
    };
    // Loads of float registers want an aligned address.
    match access {
        Access::Full(Type::F64) if flags.contains(MemoryFlags::UNALIGNED) => {
            let (low, high) = (word(context, 0), word(context, 4));
            context.emit(Inst::MoveToDouble { dst, low, high });
        }
        Access::Full(Type::F32) if flags.contains(MemoryFlags::UNALIGNED) => {
            let src = word(context, 0);
            context.emit(Inst::MoveToFloat { dst, src });
        }
        _ => context.emit(Inst::Load { access, dst, memory }),
    }
}

/// The symbol that a load reads, and the byte offset in it.
fn symbol_place(context: &Context<'_>, inst: IrInst) -> Option<(Symbol, i32)> {
    let Aux::Memory(memory) = context.data(inst).aux else { return None };
    let place = producer(context, context.arg(inst, 0))?;
    match context.data(place).aux {
        Aux::Symbol(symbol) => Some((symbol, memory.offset)),
        _ => None,
    }
}

fn store(context: &mut Context<'_>, inst: IrInst, access: Access, flags: MemoryFlags) {
    let mut value = context.arg(inst, 1);
    // Widening before a narrow store changes nothing.
    while let Some(inst) = producer(context, value) {
        let cut = match context.data(inst).opcode {
            Opcode::Sext8 | Opcode::Zext8 => matches!(access, Access::I8 | Access::U8),
            Opcode::Sext16 | Opcode::Zext16 => !matches!(access, Access::Full(_)),
            _ => false,
        };
        if !cut {
            break;
        }
        value = context.arg(inst, 0);
    }
    let memory = memory_operand(context, inst, Reach::of_store(access));
    let source = reg(context, value);
    match access {
        Access::Full(Type::F64) if flags.contains(MemoryFlags::UNALIGNED) => {
            let (low, high) = (temp(context, Type::I32), temp(context, Type::I32));
            context.emit(Inst::MoveFromDouble { low, high, src: source });
            context.emit(Inst::Store { access: WORD, memory, source: low });
            context.emit(Inst::Store { access: WORD, memory: part(memory, 4), source: high });
        }
        Access::Full(Type::F32) if flags.contains(MemoryFlags::UNALIGNED) => {
            let bits = temp(context, Type::I32);
            context.emit(Inst::MoveFromFloat { dst: bits, src: source });
            context.emit(Inst::Store { access: WORD, memory, source: bits });
        }
        _ => context.emit(Inst::Store { access, memory, source }),
    }
}

/// The memory at `value`, which may be null unless it is in the frame.
fn block(context: &mut Context<'_>, value: Value) -> Memory {
    let address = address(context, value, 0, Reach::Float);
    Memory { address, faults: matches!(address.base, Base::Register(_)) }
}

fn part(memory: Memory, offset: u32) -> Memory {
    Memory { address: memory.address.offset(offset as i32), ..memory }
}

/// Whether float registers may be moved to and from there.
fn is_word_aligned(context: &Context<'_>, memory: Memory) -> bool {
    let aligned = match memory.address.base {
        Base::Slot(slot) => context.function.slots[slot].align >= 4,
        Base::Outgoing | Base::Incoming | Base::Thread | Base::Frame => true,
        Base::Register(_) => false,
    };
    aligned && memory.address.displacement % 4 == 0
}

/// Offsets and accesses that together cover `bytes`, the widest first; the last may overlap the one before.
fn pieces(bytes: u32, doubles: bool) -> Vec<(u32, Access)> {
    let mut pieces = Vec::new();
    let mut offset = 0;
    if doubles {
        while bytes - offset >= 8 {
            pieces.push((offset, DOUBLE));
            offset += 8;
        }
    }
    while bytes - offset >= 4 {
        pieces.push((offset, WORD));
        offset += 4;
    }
    match bytes - offset {
        // One overlapping move instead of two smaller ones.
        3 if bytes > 4 => pieces.push((bytes - 4, WORD)),
        rest => {
            if rest >= 2 {
                pieces.push((offset, Access::U16));
            }
            if rest % 2 != 0 {
                pieces.push((bytes - 1, Access::U8));
            }
        }
    }
    pieces
}

fn copy(context: &mut Context<'_>, inst: IrInst, bytes: u32) {
    let (destination, from) = (context.arg(inst, 0), context.arg(inst, 1));
    let (to, from, start) = if bytes > UNROLL_LIMIT {
        let (destination, source) = (reg(context, destination), reg(context, from));
        let (offset, moved) = (temp(context, Type::Iptr), temp(context, Type::I32));
        context.emit(Inst::CopyLoop { destination, source, bytes: bytes & !3, offset, temp: moved });
        let memory = |register: Reg| Memory { address: Amode::new(Base::Register(register), 0), faults: true };
        (memory(destination), memory(source), bytes & !3)
    } else {
        (block(context, destination), block(context, from), 0)
    };
    let doubles = is_word_aligned(context, to) && is_word_aligned(context, from);
    for group in pieces(bytes - start, doubles).chunks(COPY_GROUP) {
        let moved: Vec<Reg> = group.iter().map(|(_, access)| temp(context, access.value_type())).collect();
        for (&(offset, access), &dst) in group.iter().zip(&moved) {
            context.emit(Inst::Load { access, dst, memory: part(from, start + offset) });
        }
        for (&(offset, access), &source) in group.iter().zip(&moved) {
            context.emit(Inst::Store { access, memory: part(to, start + offset), source });
        }
    }
}

fn zero(context: &mut Context<'_>, inst: IrInst, bytes: u32) {
    let destination = context.arg(inst, 0);
    let zero_word = |context: &mut Context<'_>| {
        let dst = temp(context, Type::I32);
        context.emit(Inst::Constant { dst, value: 0 });
        dst
    };
    let mut word = None;
    let (to, start) = if bytes > UNROLL_LIMIT {
        let destination = reg(context, destination);
        let (zero, offset) = (zero_word(context), temp(context, Type::Iptr));
        word = Some(zero);
        context.emit(Inst::ZeroLoop { destination, zero, bytes: bytes & !3, offset });
        (Memory { address: Amode::new(Base::Register(destination), 0), faults: true }, bytes & !3)
    } else {
        (block(context, destination), 0)
    };
    let double = (bytes - start >= 16 && is_word_aligned(context, to)).then(|| {
        let dst = temp(context, Type::F64);
        context.emit(Inst::FloatConstant { size: FloatSize::F64, dst, bits: 0 });
        dst
    });
    for (offset, access) in pieces(bytes - start, double.is_some()) {
        let source = match double {
            Some(double) if access == DOUBLE => double,
            _ => *word.get_or_insert_with(|| zero_word(context)),
        };
        context.emit(Inst::Store { access, memory: part(to, start + offset), source });
    }
}
