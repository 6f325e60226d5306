//! The x86 back end: everything behind [`ir::mach::Backend`] for 32-bit x86 with SSE2; and in [`family`] what it shares with amd64.
//!
//! What is the machine's own: [`convention`] says where parameters are, [`registers`] which registers there are, [`lower`] chooses
//! instructions where 32 bits need others, [`stubs`] holds the fixed pieces that the runtime needs. `I64` values never get here: they are pairs by then.

pub mod convention;
pub mod family;
pub mod lower;
pub mod registers;
pub mod stubs;

#[cfg(test)]
mod tests;

use family::Family;
use family::compile::Steps;
use family::convention::CallLayout;
use family::disassemble::disassemble;
use family::encoding::Place;
use family::instructions::Size;
use family::lower::{Context, Lowering};
use family::registers::AX;
use ir::Function;
use ir::entity::Inst as IrInst;
use ir::function::SymbolRef;
use ir::mach::registers::{PReg, PRegSet, RegisterFile};
use ir::mach::{
    Architecture, Backend, CallbackLayout, CodegenError, CodegenOptions, CompileDump, CompiledCode, DwarfRegisters,
    EntryRegisters, RelocKind, Resolvers, StructPassing, StructShape, StructUse, Stub, StubKind, pipeline,
};
use ir::signature::{CallConvention, ParamKind, Signature};
use ir::types::{Access, Type};

/// The back end for x86.
#[derive(Clone, Copy, Default, Debug)]
pub struct X86;

/// The steps of a compilation, for whoever wants to see them one by one.
pub const STEPS: Steps<X86> = Steps::NEW;

impl Family for X86 {
    const WORD: Size = Size::S32;
    const POINTER_BYTES: u32 = 4;
    const RIP_RELATIVE: bool = false;
    const BYTE_REGISTERS: u8 = 4;
    const CALLEE_SAVED: &'static [PReg] = &registers::CALLEE_SAVED;
    const LEAF_ALIGN: u32 = 4;
    const BLOCK_MOVES: [(u32, Access); 5] = [
        (16, Access::Full(Type::V128)),
        (8, Access::Full(Type::F64)),
        (4, Access::Full(Type::I32)),
        (2, Access::U16),
        (1, Access::U8),
    ];
    const HELPER_ARGUMENT: Option<PReg> = None;
    const CALL_TARGET: Option<PReg> = None;
    const VARIADIC_CALL_TARGET: Option<PReg> = None;
    const PRESERVER_CLOBBERS: PRegSet = PRegSet::EMPTY.with(AX);

    fn register_file() -> RegisterFile {
        registers::register_file()
    }
    fn call_clobbers(convention: CallConvention) -> PRegSet {
        registers::call_clobbers(convention)
    }
    fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError> {
        convention::call_layout(signature)
    }
    fn tail_call_target(signature: &Signature) -> PReg {
        // Who is called by a key sets the context himself.
        let has_key = signature.params.iter().any(|param| param.kind == ParamKind::InterfaceKey);
        PReg::int(if has_key { convention::CONTEXT_REGISTER } else { convention::KEY_REGISTER })
    }
    fn dwarf_number(register: PReg) -> u16 {
        registers::dwarf_number(register)
    }
    fn thread_place(index: Option<(u8, u8)>, displacement: i32) -> Place {
        Place::Segment { index, displacement }
    }
    fn thread_register() -> Option<PReg> {
        None
    }
    fn lower_uint_to_float(lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst) {
        lower::uint_to_float(lowering, context, inst);
    }
    fn lower_float_to_uint(lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst) {
        lower::float_to_uint(lowering, context, inst);
    }
}

impl Backend for X86 {
    fn architecture(&self) -> Architecture {
        Architecture::X86
    }
    fn compile(&self, function: &Function, options: &CodegenOptions) -> Result<CompiledCode, CodegenError> {
        pipeline::compile(&STEPS, function, options, None)
    }
    fn compile_verbose(
        &self,
        function: &Function,
        options: &CodegenOptions,
    ) -> Result<(CompiledCode, CompileDump), CodegenError> {
        let mut dump = CompileDump::default();
        let code = pipeline::compile(&STEPS, function, options, Some(&mut dump))?;
        Ok((code, dump))
    }
    fn entry_registers(&self) -> EntryRegisters {
        EntryRegisters { integers: convention::INTEGER_ARGUMENTS.len() as u32, floats: u32::from(convention::FLOAT_ARGUMENTS) }
    }
    fn pass_struct(&self, shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing {
        convention::pass_struct(shape, convention, usage)
    }
    fn callback_layout(&self, signature: &Signature) -> Result<CallbackLayout, CodegenError> {
        stubs::callback_layout(signature)
    }
    fn stub(&self, kind: StubKind, options: &CodegenOptions) -> Stub {
        stubs::stub(kind, options)
    }
    fn thunk(&self, token: u64, stub_cell: SymbolRef) -> CompiledCode {
        stubs::thunk(token, stub_cell)
    }
    fn preserver(&self, helper: u16, options: &CodegenOptions) -> Option<CompiledCode> {
        Some(stubs::preserver(helper, options))
    }
    fn resolvers(&self, count: u32, options: &CodegenOptions) -> Option<Resolvers> {
        options.cell_resolver.map(|helper| stubs::resolvers(count, helper, options))
    }
    fn dispatch(&self, entries: &[(u64, SymbolRef)], miss: SymbolRef) -> CompiledCode {
        stubs::dispatch(entries, miss)
    }
    fn apply_reloc(
        &self,
        kind: RelocKind,
        bytes: &mut [u8],
        field_address: u64,
        target_address: u64,
        addend: i32,
    ) -> Result<(), CodegenError> {
        family::apply_reloc(kind, bytes, field_address, target_address, addend, Self::POINTER_BYTES)
    }
    fn disassemble(&self, bytes: &[u8], address: u64) -> String {
        disassemble(32, bytes, address)
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        DwarfRegisters { frame_pointer: 5, stack_pointer: 4, return_address: 8 }
    }
    fn host_features(&self) -> u64 {
        if cfg!(target_arch = "x86") { family::host_features() } else { 0 }
    }
}
