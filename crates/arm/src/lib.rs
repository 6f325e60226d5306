//! The back end for 32-bit ARM (A32 of armv7-a, VFPv3-D16, hard float): everything behind [`ir::mach::Backend`].
//!
//! The way of a function is in [`compile`]: [`lower`] chooses [`instructions`], the shared allocator assigns [`registers`], [`frame`] and
//! [`emit`] make words through [`encoding`]. [`convention`] says where parameters are; [`stubs`] holds the fixed pieces that the
//! runtime needs. Nothing here knows metadata or the runtime's structures beyond the offsets in `CodegenOptions`.

pub mod compile;
pub mod convention;
pub mod disassemble;
pub mod emit;
pub mod encoding;
pub mod frame;
pub mod instructions;
pub mod lower;
pub mod registers;
pub mod stubs;

#[cfg(test)]
mod tests;

use ir::Function;
use ir::function::SymbolRef;
use ir::mach::{
    Architecture, Backend, CallbackLayout, CodegenError, CodegenOptions, CompileDump, CompiledCode, DwarfRegisters,
    EntryRegisters, RelocKind, StructPassing, StructShape, StructUse, Stub, StubKind, pipeline,
};
use ir::signature::{CallConvention, Signature};

/// Bit of `CodegenOptions::cpu_features`: `sdiv` and `udiv`.
pub const FEATURE_DIVIDE: u64 = 1;

/// The back end for 32-bit ARM.
#[derive(Clone, Copy, Default, Debug)]
pub struct Arm;

impl Backend for Arm {
    fn architecture(&self) -> Architecture {
        Architecture::Arm
    }
    fn compile(&self, function: &Function, options: &CodegenOptions) -> Result<CompiledCode, CodegenError> {
        pipeline::compile(self, function, options, None)
    }
    fn compile_verbose(
        &self,
        function: &Function,
        options: &CodegenOptions,
    ) -> Result<(CompiledCode, CompileDump), CodegenError> {
        let mut dump = CompileDump::default();
        let code = pipeline::compile(self, function, options, Some(&mut dump))?;
        Ok((code, dump))
    }
    fn entry_registers(&self) -> EntryRegisters {
        EntryRegisters { integers: 4, floats: 8 }
    }
    fn divides(&self, cpu_features: u64) -> bool {
        cpu_features & FEATURE_DIVIDE != 0
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
    fn veneer(&self, target: SymbolRef) -> Option<CompiledCode> {
        Some(stubs::veneer(target))
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
        encoding::apply_reloc(kind, bytes, field_address, target_address, addend)
            .map_err(|message| CodegenError { message: message.to_string() })
    }
    fn disassemble(&self, bytes: &[u8], address: u64) -> String {
        disassemble::disassemble(bytes, address)
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        DwarfRegisters { frame_pointer: 11, stack_pointer: 13, return_address: 14 }
    }
    fn host_features(&self) -> u64 {
        host_features()
    }
}

#[cfg(target_arch = "arm")]
fn host_features() -> u64 {
    /// `HWCAP_IDIVA` of Linux's `asm/hwcap.h` for ARM.
    const DIVIDES: libc::c_ulong = 1 << 17;
    // SAFETY: reads what the kernel gave the process at its start.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP) };
    if capabilities & DIVIDES != 0 { FEATURE_DIVIDE } else { 0 }
}

#[cfg(not(target_arch = "arm"))]
fn host_features() -> u64 {
    0
}
