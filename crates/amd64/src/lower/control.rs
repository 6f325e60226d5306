//! Control: selection, checks, calls, block ends, entries.

use super::memory::{call_memory, copy_to};
use super::{Context, Lowering, condition, emit_compare, immediate, int_cond, reg, result, size_of, temp};
use crate::convention::{Location, call_layout};
use crate::instructions::{Amode, Base, CallInfo, CallTarget, CompareOp, Cond, Inst, Memory, Size, Source, Test};
use crate::registers::{RAX, Reg};
use ir::entity::{Inst as IrInst, Value};
use ir::function::SymbolRef;
use ir::instruction::{Aux, IntCompare, Opcode, TrapCode};
use ir::mach::CodegenError;
use ir::mach::registers::PReg;
use ir::mach::vcode::MachBlock;
use ir::signature::CallConvention;
use ir::types::{Access, Type};
use smallvec::SmallVec;

pub(super) fn lower(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    match context.data(inst).opcode {
        Opcode::Select => select(context, inst),
        Opcode::BoundsCheck => {
            let (index, length) = (context.arg(inst, 0), context.arg(inst, 1));
            let cond = int_cond(emit_compare(context, IntCompare::Uge, index, length));
            context.emit(Inst::TrapIf { test: Test::If(cond), code: TrapCode::IndexOutOfRange });
        }
        Opcode::TrapIf => {
            let Aux::Trap(code) = context.data(inst).aux else { return Ok(()) };
            let test = condition(context, context.arg(inst, 0));
            context.emit(Inst::TrapIf { test, code });
        }
        _ => return call(lowering, context, inst),
    }
    Ok(())
}

fn select(context: &mut Context<'_>, inst: IrInst) {
    let ty = context.data(inst).ty;
    let if_true = reg(context, context.arg(inst, 1));
    let if_false = reg(context, context.arg(inst, 2));
    let dst = result(context, inst);
    let test = condition(context, context.arg(inst, 0));
    let conditional = |cond: Cond, dst: Reg, if_false: Reg, if_true: Reg| match ty {
        Type::F32 | Type::F64 | Type::V128 => Inst::ConditionalMoveXmm { cond, dst, if_false, if_true },
        _ => Inst::ConditionalMove { cond, size: size_of(ty), dst, if_false, if_true },
    };
    match test {
        Test::If(cond) => context.emit(conditional(cond, dst, if_false, if_true)),
        // Parity is asked for by a second move.
        Test::OrderedEqual => {
            let middle = temp(context, ty);
            context.emit(conditional(Cond::Ne, middle, if_true, if_false));
            context.emit(conditional(Cond::P, dst, middle, if_false));
        }
        Test::UnorderedNotEqual => {
            let middle = temp(context, ty);
            context.emit(conditional(Cond::Ne, middle, if_false, if_true));
            context.emit(conditional(Cond::P, dst, middle, if_true));
        }
    }
}

fn call(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    let (signature, callee) = match context.data(inst).aux {
        Aux::Call { signature, callee } => (signature, Some(callee)),
        Aux::CallIndirect(signature) => (signature, None),
        _ => return Ok(()),
    };
    let function = context.function;
    let signature = &function.signatures[signature];
    let layout = call_layout(signature)?;
    let native = signature.convention == CallConvention::Native;
    lowering.outgoing.set(lowering.outgoing.get().max(layout.stack_bytes));
    let first_arg = usize::from(callee.is_none());
    let mut info = CallInfo {
        target: CallTarget::Symbol(callee.unwrap_or(ir::entity::Entity::from_index(0))),
        uses: SmallVec::new(),
        defs: SmallVec::new(),
        publish: native,
        vector_count: None,
    };
    for (number, location) in layout.params.iter().enumerate() {
        let arg = context.arg(inst, first_arg + number);
        match *location {
            Location::General(register) => info.uses.push((reg(context, arg), PReg::int(register))),
            Location::Vector(register) => info.uses.push((reg(context, arg), PReg::float(register))),
            Location::Stack(offset) => {
                let memory = Memory::safe(Amode::new(Base::Outgoing, offset as i32));
                let source = match immediate(context, arg) {
                    Some(value) => Source::Imm(value),
                    None => Source::Reg(reg(context, arg)),
                };
                let access = Access::Full(context.value_type(arg));
                context.emit(Inst::Store { access, memory, source });
            }
            Location::StackCopy { offset, size } => {
                copy_to(context, Memory::safe(Amode::new(Base::Outgoing, offset as i32)), arg, size);
            }
        }
    }
    let may_be_variadic = match callee {
        Some(callee) => !matches!(function.symbols[callee].target, SymbolRef::Helper(_)),
        None => true,
    };
    if native && may_be_variadic && layout.vector_count > 0 {
        info.vector_count = Some(layout.vector_count);
    }
    if callee.is_none() {
        let address = context.arg(inst, 0);
        // The address is read after stores to the argument area, which is no memory that it could lie in.
        info.target = match call_memory(context, address) {
            Some((base, displacement)) => CallTarget::Memory(base, displacement),
            None => CallTarget::Register(reg(context, address)),
        };
    }
    for (index, location) in layout.results.iter().enumerate() {
        let register: Reg = context.result(inst, index).into();
        info.defs.push((register, fixed(*location)));
    }
    context.emit(Inst::Call(Box::new(info)));
    Ok(())
}

/// The register of a location that is one.
fn fixed(location: Location) -> PReg {
    match location {
        Location::General(register) => PReg::int(register),
        Location::Vector(register) => PReg::float(register),
        Location::Stack(_) | Location::StackCopy { .. } => RAX,
    }
}

pub(super) fn lower_branch(
    lowering: &Lowering<'_>,
    context: &mut Context<'_>,
    inst: IrInst,
    targets: &[MachBlock],
) -> Result<(), CodegenError> {
    let data = context.data(inst);
    match (data.opcode, &data.aux) {
        (Opcode::Jump, _) => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::Brif, _) if targets[0] == targets[1] => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::Brif, _) => {
            let test = condition(context, context.arg(inst, 0));
            context.emit(Inst::JumpIf { test, taken: targets[0], otherwise: targets[1] });
        }
        (Opcode::BrTable, _) if targets.len() == 1 => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::BrTable, _) => br_table(lowering, context, inst, targets),
        (Opcode::Return, _) => {
            let layout = call_layout(context.function.signature())?;
            let mut uses = SmallVec::new();
            for (index, location) in layout.results.iter().enumerate() {
                uses.push((reg(context, context.arg(inst, index)), fixed(*location)));
            }
            context.emit(Inst::Return { uses });
        }
        (Opcode::Trap, &Aux::Trap(code)) => context.emit(Inst::Trap { code }),
        (Opcode::EndFinally, _) => {
            context.emit(Inst::EndHandler { helper: lowering.options.resume_unwind, argument: None });
        }
        (Opcode::EndFilter, _) => {
            let argument = Some(reg(context, context.arg(inst, 0)));
            context.emit(Inst::EndHandler { helper: lowering.options.end_filter, argument });
        }
        _ => context.emit(Inst::Unreachable),
    }
    Ok(())
}

/// The default target stands behind the cases in the table, and all larger indices are cut to it: no branch but one.
fn br_table(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst, targets: &[MachBlock]) {
    let table = lowering.tables.get();
    lowering.tables.set(table + 1);
    let cases = (targets.len() - 1) as i32;
    let index = reg(context, context.arg(inst, 0));
    let (limit, clamped) = (temp(context, Type::I32), temp(context, Type::I32));
    let (entry, temporary) = (temp(context, Type::I64), temp(context, Type::I64));
    context.emit(Inst::Constant { size: Size::S32, dst: limit, value: i64::from(cases) });
    context.emit(Inst::Compare { op: CompareOp::Cmp, size: Size::S32, lhs: index, rhs: Source::Imm(cases) });
    context.emit(Inst::ConditionalMove { cond: Cond::B, size: Size::S32, dst: clamped, if_false: limit, if_true: index });
    context.emit(Inst::JumpTableEntry { dst: entry, index: clamped, temp: temporary, table });
    let targets = targets[1..].iter().chain(&targets[..1]).copied().collect();
    context.emit(Inst::JumpTable { entry, table, targets });
}

pub(super) fn lower_entry(context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
    let layout = call_layout(context.function.signature())?;
    if layout.params.len() != params.len() {
        return Err(CodegenError { message: "the entry block's parameters are not the signature's".to_string() });
    }
    let mut defs: SmallVec<[(Reg, PReg); 8]> = SmallVec::new();
    for (&param, location) in params.iter().zip(&layout.params) {
        if let (true, Location::General(_) | Location::Vector(_)) = (context.is_used(param), location) {
            defs.push((context.def(param).into(), fixed(*location)));
        }
    }
    context.emit(Inst::Params { defs });
    for (&param, location) in params.iter().zip(&layout.params) {
        if !context.is_used(param) {
            continue;
        }
        let dst: Reg = context.def(param).into();
        match *location {
            Location::Stack(offset) => {
                let access = Access::Full(context.value_type(param));
                let memory = Memory::safe(Amode::new(Base::Incoming, offset as i32));
                context.emit(Inst::Load { access, extend_to_64: false, dst, memory });
            }
            Location::StackCopy { offset, .. } => {
                let address = Amode::new(Base::Incoming, offset as i32);
                context.emit(Inst::Lea { size: Size::S64, dst, address });
            }
            Location::General(_) | Location::Vector(_) => {}
        }
    }
    Ok(())
}

/// The exception is in rax.
pub(super) fn lower_handler_entry(context: &mut Context<'_>, params: &[Value]) {
    let defs = params.iter().filter(|&&param| context.is_used(param)).copied().collect::<SmallVec<[Value; 1]>>();
    let defs = defs.into_iter().map(|param| (context.def(param).into(), RAX)).collect();
    context.emit(Inst::Params { defs });
}
