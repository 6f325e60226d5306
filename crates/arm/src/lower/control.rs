//! Control: selection, checks, calls, block ends, entries.

use super::{
    Context, Lowering, condition, constant, emit_compare, emit_flags, float_size, is_immediate, reg, result, source, temp,
};
use crate::convention::{CallLayout, Location, call_layout};
use crate::encoding::{Condition, DataOp};
use crate::instructions::{Amode, Base, CallInfo, CallTarget, Inst, Memory, Source};
use crate::registers::{R0, Reg};
use ir::entity::{Inst as IrInst, Value};
use ir::instruction::{Aux, IntCompare, Opcode, TrapCode};
use ir::mach::CodegenError;
use ir::mach::registers::PReg;
use ir::mach::vcode::MachBlock;
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// Values with the registers that they travel in.
type Fixed = SmallVec<[(Reg, PReg); 8]>;

pub(super) fn lower(lowering: &Lowering<'_>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    match context.data(inst).opcode {
        Opcode::Select => select(context, inst),
        Opcode::BoundsCheck => {
            let (index, length) = (context.arg(inst, 0), context.arg(inst, 1));
            let cond = emit_compare(context, IntCompare::Uge, index, length);
            context.emit(Inst::TrapIf { cond, code: TrapCode::IndexOutOfRange });
        }
        Opcode::TrapIf => {
            let Aux::Trap(code) = context.data(inst).aux else { return Ok(()) };
            let cond = condition(context, context.arg(inst, 0));
            context.emit(Inst::TrapIf { cond, code });
        }
        _ => return call(lowering, context, inst),
    }
    Ok(())
}

fn select(context: &mut Context<'_>, inst: IrInst) {
    let ty = context.data(inst).ty;
    let (a, b) = (context.arg(inst, 1), context.arg(inst, 2));
    let dst = result(context, inst);
    if ty.is_float() {
        let (if_true, if_false) = (reg(context, a), reg(context, b));
        let cond = condition(context, context.arg(inst, 0));
        return context.emit(Inst::ConditionalMoveFloat { cond, size: float_size(ty), dst, if_false, if_true });
    }
    let immediate = |context: &Context<'_>, value: Value| constant(context, value).is_some_and(is_immediate);
    // The one that can be an immediate is moved over the other.
    let negate = immediate(context, b) && !immediate(context, a);
    let (moved, kept) = if negate { (b, a) } else { (a, b) };
    let if_true = if immediate(context, moved) { source(context, moved) } else { Source::Register(reg(context, moved)) };
    let if_false = reg(context, kept);
    let cond = condition(context, context.arg(inst, 0));
    let cond = if negate { cond.inverted() } else { cond };
    context.emit(Inst::ConditionalMove { cond, dst, if_false, if_true });
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
    lowering.outgoing.set(lowering.outgoing.get().max(layout.stack_bytes));
    let first_arg = usize::from(callee.is_none());
    let uses = pass_arguments(context, inst, first_arg, &layout, Base::Outgoing);
    let target = match callee {
        Some(callee) => CallTarget::Symbol(callee),
        None => CallTarget::Register(reg(context, context.arg(inst, 0))),
    };
    let results: SmallVec<[Value; 2]> = context.function.results[inst].iter().copied().collect();
    let (defs, unpacked) = defined_registers(context, &results, &layout.results);
    let publish = signature.convention.publishes_frame();
    let info = CallInfo { target, uses, defs, publish, convention: signature.convention };
    context.emit(Inst::Call(Box::new(info)));
    unpacked.into_iter().for_each(|inst| context.emit(inst));
    Ok(())
}

/// Puts arguments from number `first` on where the callee expects them, those on the stack into `area`; gives those in registers.
fn pass_arguments(context: &mut Context<'_>, inst: IrInst, first: usize, layout: &CallLayout, area: Base) -> Fixed {
    let args: SmallVec<[Value; 8]> = (0..layout.params.len()).map(|number| context.arg(inst, first + number)).collect();
    for (&arg, location) in args.iter().zip(&layout.params) {
        if let Location::Stack(offset) = *location {
            let source = reg(context, arg);
            let memory = Memory::safe(Amode::new(area, offset as i32));
            context.emit(Inst::Store { access: Access::Full(context.value_type(arg)), memory, source });
        }
    }
    argument_registers(context, &args, &layout.params)
}

/// The function's own arguments on the stack were all read at its entry, so those of the callee can take their place in any order.
fn tail_call(context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    let (signature, callee) = match context.data(inst).aux {
        Aux::Call { signature, callee } => (signature, Some(callee)),
        Aux::CallIndirect(signature) => (signature, None),
        _ => return Ok(()),
    };
    let layout = call_layout(&context.function.signatures[signature])?;
    let uses = pass_arguments(context, inst, usize::from(callee.is_none()), &layout, Base::Incoming);
    let target = match callee {
        Some(callee) => CallTarget::Symbol(callee),
        None => CallTarget::Register(reg(context, context.arg(inst, 0))),
    };
    context.emit(Inst::TailCall { target, uses });
    Ok(())
}

/// The registers of values that are passed on, singles that share a register packed together.
fn argument_registers(context: &mut Context<'_>, values: &[Value], locations: &[Location]) -> Fixed {
    let mut uses = Fixed::new();
    for (&value, location) in values.iter().zip(locations) {
        match *location {
            Location::General(register) => uses.push((reg(context, value), PReg::int(register))),
            Location::Double(register) => {
                let lower = reg(context, value);
                let upper = locations.iter().position(|other| *other == Location::UpperSingle(register));
                let whole = match upper {
                    Some(upper) => {
                        let upper = reg(context, values[upper]);
                        let dst = temp(context, Type::F64);
                        context.emit(Inst::PackSingles { dst, lower, upper });
                        dst
                    }
                    None => lower,
                };
                uses.push((whole, PReg::float(register)));
            }
            Location::UpperSingle(_) | Location::Stack(_) => {}
        }
    }
    uses
}

/// The registers in which values arrive, and what takes singles apart that share one.
fn defined_registers(context: &mut Context<'_>, values: &[Value], locations: &[Location]) -> (Fixed, SmallVec<[Inst; 4]>) {
    let mut defs = Fixed::new();
    let mut unpacked = SmallVec::new();
    for (&value, location) in values.iter().zip(locations) {
        match *location {
            Location::General(register) => defs.push((context.def(value).into(), PReg::int(register))),
            Location::Double(register) => {
                let dst: Reg = context.def(value).into();
                let upper = locations.iter().position(|other| *other == Location::UpperSingle(register));
                let whole = match upper {
                    Some(upper) => {
                        let src = temp(context, Type::F64);
                        unpacked.push(Inst::UnpackSingle { upper: false, dst, src });
                        unpacked.push(Inst::UnpackSingle { upper: true, dst: context.def(values[upper]).into(), src });
                        src
                    }
                    None => dst,
                };
                defs.push((whole, PReg::float(register)));
            }
            Location::UpperSingle(_) | Location::Stack(_) => {}
        }
    }
    (defs, unpacked)
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
            let cond = condition(context, context.arg(inst, 0));
            context.emit(Inst::JumpIf { cond, taken: targets[0], otherwise: targets[1] });
        }
        (Opcode::BrTable, _) if targets.len() == 1 => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::BrTable, _) => br_table(context, inst, targets),
        (Opcode::Return, _) => {
            let layout = call_layout(context.function.signature())?;
            let values: SmallVec<[Value; 2]> = (0..layout.results.len()).map(|index| context.arg(inst, index)).collect();
            let uses = argument_registers(context, &values, &layout.results);
            context.emit(Inst::Return { uses });
        }
        (Opcode::TailCall | Opcode::TailCallIndirect, _) => tail_call(context, inst)?,
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
fn br_table(context: &mut Context<'_>, inst: IrInst, targets: &[MachBlock]) {
    let cases = (targets.len() - 1) as u32;
    let index = reg(context, context.arg(inst, 0));
    let limit = if is_immediate(cases) {
        Source::Immediate(cases)
    } else {
        let limit = temp(context, Type::I32);
        context.emit(Inst::Constant { dst: limit, value: cases });
        Source::Register(limit)
    };
    let clamped = temp(context, Type::I32);
    emit_flags(context, DataOp::Cmp, index, limit);
    context.emit(Inst::ConditionalMove { cond: Condition::Hs, dst: clamped, if_false: index, if_true: limit });
    let targets = targets[1..].iter().chain(&targets[..1]).copied().collect();
    context.emit(Inst::JumpTable { index: clamped, targets });
}

pub(super) fn lower_entry(context: &mut Context<'_>, params: &[Value]) -> Result<(), CodegenError> {
    let CallLayout { params: locations, .. } = call_layout(context.function.signature())?;
    if locations.len() != params.len() {
        return Err(CodegenError { message: "the entry block's parameters are not the signature's".to_string() });
    }
    let halves = |location: &Location| match location {
        Location::Double(register) | Location::UpperSingle(register) => Some(*register),
        _ => None,
    };
    // One that shares its register is wanted as soon as the other is.
    let wanted = |index: usize| {
        let same = |other: usize| {
            other == index || halves(&locations[other]).is_some_and(|half| Some(half) == halves(&locations[index]))
        };
        (0..params.len()).any(|other| same(other) && context.is_used(params[other]))
    };
    let used: SmallVec<[usize; 8]> = (0..params.len()).filter(|&index| wanted(index)).collect();
    let values: SmallVec<[Value; 8]> = used.iter().map(|&index| params[index]).collect();
    let locations: SmallVec<[Location; 8]> = used.iter().map(|&index| locations[index]).collect();
    let (defs, unpacked) = defined_registers(context, &values, &locations);
    context.emit(Inst::Params { defs });
    unpacked.into_iter().for_each(|inst| context.emit(inst));
    for (&param, location) in values.iter().zip(&locations) {
        if let Location::Stack(offset) = *location {
            let dst: Reg = context.def(param).into();
            let memory = Memory::safe(Amode::new(Base::Incoming, offset as i32));
            context.emit(Inst::Load { access: Access::Full(context.value_type(param)), dst, memory });
        }
    }
    Ok(())
}

/// The exception is in r0.
pub(super) fn lower_handler_entry(context: &mut Context<'_>, params: &[Value]) {
    let used: SmallVec<[Value; 1]> = params.iter().filter(|&&param| context.is_used(param)).copied().collect();
    let defs = used.into_iter().map(|param| (context.def(param).into(), R0)).collect();
    context.emit(Inst::Params { defs });
}
