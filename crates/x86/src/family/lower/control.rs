//! Control: selection, checks, calls, block ends, entries.

use super::memory::{call_memory, copy_to};
use super::{Context, Lowering, condition, emit_compare, immediate, int_cond, reg, result, size_of, temp};
use crate::family::Family;
use crate::family::convention::{CallLayout, Location};
use crate::family::emit::is_called_directly;
use crate::family::instructions::{Amode, Base, CallInfo, CallTarget, CompareOp, Cond, Inst, Memory, Size, Source, Test};
use crate::family::registers::{AX, Reg};
use ir::entity::{Inst as IrInst, Symbol, Value};
use ir::function::SymbolRef;
use ir::instruction::{Aux, IntCompare, Opcode, TrapCode};
use ir::mach::registers::PReg;
use ir::mach::vcode::MachBlock;
use ir::mach::{CodegenError, LinkModel};
use ir::signature::{CallConvention, Signature};
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// Values with the registers that they travel in.
type Fixed = SmallVec<[(Reg, PReg); 8]>;

pub(super) fn lower<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    match context.data(inst).opcode {
        Opcode::Select => select(lowering, context, inst),
        Opcode::BoundsCheck => {
            let (index, length) = (context.arg(inst, 0), context.arg(inst, 1));
            let cond = int_cond(emit_compare(lowering, context, IntCompare::Uge, index, length));
            lowering.note_raise();
            context.emit(Inst::TrapIf { test: Test::If(cond), code: TrapCode::IndexOutOfRange });
        }
        Opcode::TrapIf => {
            let Aux::Trap(code) = context.data(inst).aux else { return Ok(()) };
            let test = condition(lowering, context, context.arg(inst, 0));
            lowering.note_raise();
            context.emit(Inst::TrapIf { test, code });
        }
        _ => return call(lowering, context, inst),
    }
    Ok(())
}

fn select<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) {
    let ty = context.data(inst).ty;
    let if_true = reg(context, context.arg(inst, 1));
    let if_false = reg(context, context.arg(inst, 2));
    let dst = result(context, inst);
    let test = condition(lowering, context, context.arg(inst, 0));
    let conditional = |cond: Cond, dst: Reg, if_false: Reg, if_true: Reg| match ty {
        Type::F32 | Type::F64 | Type::V128 => Inst::ConditionalMoveXmm { cond, dst, if_false, if_true },
        _ => Inst::ConditionalMove { cond, size: size_of::<F>(ty), dst, if_false, if_true },
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

fn call<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    let (signature, callee) = match context.data(inst).aux {
        Aux::Call { signature, callee } => (signature, Some(callee)),
        Aux::CallIndirect(signature) => (signature, None),
        _ => return Ok(()),
    };
    let function = context.function;
    let signature = &function.signatures[signature];
    let layout = F::call_layout(signature)?;
    let native = signature.convention.publishes_frame();
    let first_arg = usize::from(callee.is_none());
    let mut info = CallInfo {
        target: CallTarget::Symbol(callee.unwrap_or(ir::entity::Entity::from_index(0)), None),
        target_register: None,
        uses: SmallVec::new(),
        defs: SmallVec::new(),
        publish: native,
        preserves: false,
        vector_count: None,
        clobbers: F::call_clobbers(signature.convention),
        pops: layout.pops,
    };
    if let Some(helper) = preserving_helper(lowering, context, signature, callee) {
        let result_fits = |location: &Location| *location == Location::General(AX.number());
        if layout.stack_bytes == 0 && layout.results.iter().all(result_fits) {
            info.preserves = true;
            info.clobbers = F::PRESERVER_CLOBBERS;
        }
        if let (true, Some(cell)) = (lowering.options.cell_resolver == Some(helper), cell_of_address(context, inst)) {
            info.target = CallTarget::Resolver(cell);
            info.publish = false;
            info.clobbers = F::PRESERVER_CLOBBERS;
            lowering.note_call(0);
            info.defs.push((context.result(inst, 0).into(), AX));
            context.emit(Inst::Call(Box::new(info)));
            return Ok(());
        }
    }
    lowering.note_call(layout.stack_bytes);
    info.uses = pass_arguments(lowering, context, inst, first_arg, &layout, Base::Outgoing);
    let may_be_variadic = match callee {
        Some(callee) => !matches!(function.symbols[callee].target, SymbolRef::Helper(_)),
        None => true,
    };
    let counts_vectors = match signature.convention {
        CallConvention::Variadic => F::VARIADIC_CALL_TARGET.is_some(),
        _ => native && may_be_variadic && layout.vector_count > 0,
    };
    if counts_vectors {
        info.vector_count = Some(layout.vector_count);
    }
    info.target_register = if info.vector_count.is_some() { F::VARIADIC_CALL_TARGET } else { F::CALL_TARGET };
    if let Some(callee) = callee {
        let base = if info.preserves { None } else { lowering.call_base(context, callee, native) };
        info.target = CallTarget::Symbol(callee, base);
    } else {
        let address = context.arg(inst, 0);
        // The address is read after stores to the argument area, which is no memory that it could lie in.
        info.target = match call_memory::<F>(context, address) {
            Some((base, displacement)) => CallTarget::Memory(base, displacement),
            None => CallTarget::Register(reg(context, address)),
        };
    }
    for (index, location) in layout.results.iter().enumerate() {
        if *location != Location::X87 {
            info.defs.push((context.result(inst, index).into(), fixed(*location)));
        }
    }
    context.emit(Inst::Call(Box::new(info)));
    for (index, location) in layout.results.iter().enumerate() {
        if *location == Location::X87 {
            let dst: Reg = context.result(inst, index).into();
            let ty = signature.results[index];
            let memory = lowering.scratch_memory(ty.bytes(F::POINTER_BYTES));
            context.emit(Inst::StoreX87 { ty, memory });
            context.emit(Inst::Load { access: Access::Full(ty), extend_to_64: false, dst, memory });
        }
    }
    Ok(())
}

/// Puts arguments from number `first` on where the callee expects them, those on the stack into `area`; gives those in registers.
fn pass_arguments<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    inst: IrInst,
    first: usize,
    layout: &CallLayout,
    area: Base,
) -> Fixed {
    let mut uses = Fixed::new();
    for (number, location) in layout.params.iter().enumerate() {
        let arg = context.arg(inst, first + number);
        match *location {
            Location::General(register) => uses.push((reg(context, arg), PReg::int(register))),
            Location::Vector(register) => uses.push((reg(context, arg), PReg::float(register))),
            Location::Stack(offset) => {
                let memory = Memory::safe(Amode::new(area, offset as i32));
                let source = match immediate(context, arg) {
                    Some(value) => Source::Imm(value),
                    None => Source::Reg(reg(context, arg)),
                };
                let access = Access::Full(context.value_type(arg));
                context.emit(Inst::Store { access, memory, source });
            }
            Location::StackCopy { offset, size } => {
                copy_to(lowering, context, Memory::safe(Amode::new(area, offset as i32)), arg, size);
            }
            // Only results.
            Location::X87 => {}
        }
    }
    uses
}

/// The function's own arguments on the stack were all read at its entry, so those of the callee can take their place in any order.
fn tail_call<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst) -> Result<(), CodegenError> {
    let (signature, callee) = match context.data(inst).aux {
        Aux::Call { signature, callee } => (signature, Some(callee)),
        Aux::CallIndirect(signature) => (signature, None),
        _ => return Ok(()),
    };
    let signature = &context.function.signatures[signature];
    let layout = F::call_layout(signature)?;
    let uses = pass_arguments(lowering, context, inst, usize::from(callee.is_none()), &layout, Base::Incoming);
    let target = match callee {
        None => CallTarget::Register(reg(context, context.arg(inst, 0))),
        Some(callee) if is_called_directly(context.function.symbols[callee].target) => CallTarget::Symbol(callee, None),
        Some(callee) => {
            let dst = temp(context, Type::Iptr);
            let memory = Memory::safe(Amode::new(Base::Symbol(callee, lowering.data_base(context)), 0));
            context.emit(Inst::Load { access: Access::Full(Type::Iptr), extend_to_64: false, dst, memory });
            CallTarget::Register(dst)
        }
    };
    context.emit(Inst::TailCall { target, target_register: F::tail_call_target(signature), uses });
    Ok(())
}

/// The helper that is called, if that goes through a stub of the image that keeps the registers, since it rarely happens. Not if it gives an object:
/// such helpers allocate, and in a collection that one of them makes, what lies dead in the kept registers would keep objects alive.
fn preserving_helper<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &Context<'_>,
    signature: &Signature,
    callee: Option<Symbol>,
) -> Option<u16> {
    let SymbolRef::Helper(helper) = context.function.symbols[callee?].target else { return None };
    let in_image = lowering.options.link == LinkModel::Pic;
    let allocates = signature.results.first() == Some(&Type::Ref);
    (in_image && context.is_cold() && !allocates && signature.convention == CallConvention::Native).then_some(helper)
}

/// The cell whose address is the only argument of a call.
fn cell_of_address(context: &Context<'_>, call: IrInst) -> Option<u32> {
    let [address] = context.data(call).args[..] else { return None };
    let address = context.data(context.producer(context.function.resolve(address))?);
    match address.aux {
        Aux::Symbol(symbol) if address.opcode == Opcode::SymbolAddr => match context.function.symbols[symbol].target {
            SymbolRef::Cell(cell) => Some(cell),
            _ => None,
        },
        _ => None,
    }
}

/// The register of a location that is one.
fn fixed(location: Location) -> PReg {
    match location {
        Location::General(register) => PReg::int(register),
        Location::Vector(register) => PReg::float(register),
        Location::Stack(_) | Location::StackCopy { .. } | Location::X87 => AX,
    }
}

pub(super) fn lower_branch<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    inst: IrInst,
    targets: &[MachBlock],
) -> Result<(), CodegenError> {
    let data = context.data(inst);
    match (data.opcode, &data.aux) {
        (Opcode::Jump, _) => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::Brif, _) if targets[0] == targets[1] => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::Brif, _) => {
            let test = condition(lowering, context, context.arg(inst, 0));
            context.emit(Inst::JumpIf { test, taken: targets[0], otherwise: targets[1] });
        }
        (Opcode::BrTable, _) if targets.len() == 1 => context.emit(Inst::Jump { target: targets[0] }),
        (Opcode::BrTable, _) => br_table(lowering, context, inst, targets),
        (Opcode::Return, _) => {
            let layout = F::call_layout(context.function.signature())?;
            let mut uses = SmallVec::new();
            for (index, location) in layout.results.iter().enumerate() {
                let value = reg(context, context.arg(inst, index));
                if *location == Location::X87 {
                    let ty = context.function.signature().results[index];
                    let memory = lowering.scratch_memory(ty.bytes(F::POINTER_BYTES));
                    context.emit(Inst::Store { access: Access::Full(ty), memory, source: Source::Reg(value) });
                    context.emit(Inst::LoadX87 { ty, memory });
                } else {
                    uses.push((value, fixed(*location)));
                }
            }
            context.emit(Inst::Return { uses, pops: layout.pops });
        }
        (Opcode::TailCall | Opcode::TailCallIndirect, _) => tail_call(lowering, context, inst)?,
        (Opcode::Trap, &Aux::Trap(code)) => {
            lowering.note_raise();
            context.emit(Inst::Trap { code });
        }
        (Opcode::EndFinally, _) => end_handler(lowering, context, lowering.options.resume_unwind, None),
        (Opcode::EndFilter, _) => {
            let verdict = reg(context, context.arg(inst, 0));
            end_handler(lowering, context, lowering.options.end_filter, Some(verdict));
        }
        _ => context.emit(Inst::Unreachable),
    }
    Ok(())
}

fn end_handler<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, helper: u16, argument: Option<Reg>) {
    lowering.note_raise();
    let clobbers = F::call_clobbers(CallConvention::Native);
    let argument = match (argument, F::HELPER_ARGUMENT) {
        (Some(argument), Some(register)) => Some((argument, register)),
        (Some(argument), None) => {
            let memory = Memory::safe(Amode::new(Base::Outgoing, 0));
            context.emit(Inst::Store { access: Access::Full(Type::I32), memory, source: Source::Reg(argument) });
            None
        }
        (None, _) => None,
    };
    context.emit(Inst::EndHandler { helper, argument, clobbers });
}

/// The default target stands behind the cases in the table, and all larger indices are cut to it: no branch but one.
fn br_table<F: Family>(lowering: &Lowering<'_, F>, context: &mut Context<'_>, inst: IrInst, targets: &[MachBlock]) {
    let table = lowering.tables.get();
    lowering.tables.set(table + 1);
    let cases = (targets.len() - 1) as i32;
    let index = reg(context, context.arg(inst, 0));
    let (limit, clamped) = (temp(context, Type::I32), temp(context, Type::I32));
    let (entry, temporary) = (temp(context, Type::Iptr), temp(context, Type::Iptr));
    context.emit(Inst::Constant { size: Size::S32, dst: limit, value: i64::from(cases) });
    context.emit(Inst::Compare { op: CompareOp::Cmp, size: Size::S32, lhs: index, rhs: Source::Imm(cases) });
    context.emit(Inst::ConditionalMove { cond: Cond::B, size: Size::S32, dst: clamped, if_false: limit, if_true: index });
    let base = lowering.data_base(context);
    context.emit(Inst::JumpTableEntry { dst: entry, index: clamped, temp: temporary, table, base });
    let targets = targets[1..].iter().chain(&targets[..1]).copied().collect();
    context.emit(Inst::JumpTable { entry, table, targets });
}

pub(super) fn lower_entry<F: Family>(
    lowering: &Lowering<'_, F>,
    context: &mut Context<'_>,
    params: &[Value],
) -> Result<(), CodegenError> {
    let layout = F::call_layout(context.function.signature())?;
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
                context.emit(Inst::Lea { size: F::WORD, dst, address });
            }
            Location::General(_) | Location::Vector(_) | Location::X87 => {}
        }
    }
    if let Some(dst) = lowering.data_base.get() {
        context.emit(Inst::DataBase { dst });
    }
    Ok(())
}

/// The exception is in the first result register.
pub(super) fn lower_handler_entry(context: &mut Context<'_>, params: &[Value]) {
    let defs = params.iter().filter(|&&param| context.is_used(param)).copied().collect::<SmallVec<[Value; 1]>>();
    let defs = defs.into_iter().map(|param| (context.def(param).into(), AX)).collect();
    context.emit(Inst::Params { defs });
}
