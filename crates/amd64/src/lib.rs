//! The amd64 back end: everything behind [`ir::mach::Backend`] for 64-bit x86.
//!
//! The instructions, their lowering and their bytes are the x86 family's ([`x86::family`]). Here is what is the machine's own:
//! [`convention`] says where parameters are, [`registers`] which registers there are, [`lower`] chooses instructions where 64 bits have others,
//! [`stubs`] holds the fixed pieces that the runtime needs. Nothing here knows metadata or the runtime's structures beyond the offsets in
//! `CodegenOptions`.

pub mod convention;
pub mod lower;
pub mod registers;
pub mod stubs;

#[cfg(test)]
mod tests;

use ir::Function;
use ir::entity::Inst as IrInst;
use ir::function::SymbolRef;
use ir::mach::registers::{PReg, PRegSet, RegisterFile};
use ir::mach::{
    Architecture, Backend, CallbackLayout, CodegenError, CodegenOptions, CompileDump, CompiledCode, DwarfRegisters, RelocKind,
    Resolvers, StructPassing, StructShape, StructUse, Stub, StubKind, pipeline,
};
use ir::signature::{CallConvention, Signature};
use ir::types::{Access, Type};
use x86::family::compile::Steps;
use x86::family::convention::CallLayout;
use x86::family::disassemble::disassemble;
use x86::family::encoding::Place;
use x86::family::instructions::Size;
use x86::family::lower::{Context, Lowering};
use x86::family::registers::{AX, DI};
use x86::family::{self, Family};

/// The back end for amd64.
#[derive(Clone, Copy, Default, Debug)]
pub struct Amd64;

/// The steps of a compilation, for whoever wants to see them one by one.
pub const STEPS: Steps<Amd64> = Steps::NEW;

impl Family for Amd64 {
    const WORD: Size = Size::S64;
    const POINTER_BYTES: u32 = 8;
    const RIP_RELATIVE: bool = true;
    const BYTE_REGISTERS: u8 = 16;
    const CALLEE_SAVED: &'static [PReg] = &registers::CALLEE_SAVED;
    const LEAF_ALIGN: u32 = 16;
    const BLOCK_MOVES: [(u32, Access); 5] = [
        (16, Access::Full(Type::V128)),
        (8, Access::Full(Type::I64)),
        (4, Access::Full(Type::I32)),
        (2, Access::U16),
        (1, Access::U8),
    ];
    const HELPER_ARGUMENT: Option<PReg> = Some(DI);
    const CALL_TARGET: Option<PReg> = Some(AX);
    const VARIADIC_CALL_TARGET: Option<PReg> = Some(registers::R11);
    const PRESERVER_CLOBBERS: PRegSet = PRegSet::EMPTY.with(AX).with(registers::R11);

    fn register_file() -> RegisterFile {
        registers::register_file()
    }
    fn call_clobbers(_convention: CallConvention) -> PRegSet {
        registers::call_clobbers()
    }
    fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError> {
        convention::call_layout(signature)
    }
    fn tail_call_target(_signature: &Signature) -> PReg {
        AX
    }
    fn dwarf_number(register: PReg) -> u16 {
        registers::dwarf_number(register)
    }
    fn thread_place(index: Option<(u8, u8)>, displacement: i32) -> Place {
        Place::Memory { base: registers::THREAD.number(), index, displacement }
    }
    fn thread_register() -> Option<PReg> {
        Some(registers::THREAD)
    }
    fn lower_uint_to_float(_lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst) {
        lower::uint_to_float(context, inst);
    }
    fn lower_float_to_uint(lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst) {
        lower::float_to_uint(lowering, context, inst);
    }
}

impl Backend for Amd64 {
    fn architecture(&self) -> Architecture {
        Architecture::Amd64
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
        disassemble(64, bytes, address)
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        DwarfRegisters { frame_pointer: 6, stack_pointer: 7, return_address: 16 }
    }
    fn host_features(&self) -> u64 {
        if cfg!(target_arch = "x86_64") { family::host_features() } else { 0 }
    }
}
