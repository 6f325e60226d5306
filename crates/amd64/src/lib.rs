//! The amd64 back end: everything behind [`ir::mach::Backend`] for 64-bit x86.
//!
//! The way of a function is in [`compile`]: [`lower`] chooses [`instructions`], the shared allocator assigns [`registers`], [`frame`] and
//! [`emit`] make bytes through [`encoding`]. [`convention`] says where parameters are; [`stubs`] holds the fixed pieces that the
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
    Architecture, Backend, CodegenError, CodegenOptions, CompileDump, CompiledCode, DwarfRegisters, RelocKind, StructPassing,
    StructShape, StructUse, Stub, StubKind,
};
use ir::signature::CallConvention;

/// The back end for amd64.
#[derive(Clone, Copy, Default, Debug)]
pub struct Amd64;

impl Backend for Amd64 {
    fn architecture(&self) -> Architecture {
        Architecture::Amd64
    }
    fn compile(&self, function: &Function, options: &CodegenOptions) -> Result<CompiledCode, CodegenError> {
        compile::compile(function, options, None)
    }
    fn compile_verbose(
        &self,
        function: &Function,
        options: &CodegenOptions,
    ) -> Result<(CompiledCode, CompileDump), CodegenError> {
        let mut dump = CompileDump::default();
        let code = compile::compile(function, options, Some(&mut dump))?;
        Ok((code, dump))
    }
    fn pass_struct(&self, shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing {
        convention::pass_struct(shape, convention, usage)
    }
    fn stub(&self, kind: StubKind, options: &CodegenOptions) -> Stub {
        stubs::stub(kind, options)
    }
    fn thunk(&self, token: u64, stub_cell: SymbolRef) -> CompiledCode {
        stubs::thunk(token, stub_cell)
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
        let error = |message: &str| CodegenError { message: message.to_string() };
        if kind != RelocKind::PcRelative32 {
            return Err(error("a relocation of another machine"));
        }
        let distance = target_address.wrapping_add(addend as i64 as u64).wrapping_sub(field_address) as i64;
        let distance = i32::try_from(distance).map_err(|_| error("a relocation does not reach its target"))?;
        let field = bytes.get_mut(..4).ok_or_else(|| error("a relocation lies outside of the code"))?;
        field.copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }
    fn disassemble(&self, bytes: &[u8], address: u64) -> String {
        disassemble::disassemble(bytes, address)
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        DwarfRegisters { frame_pointer: 6, stack_pointer: 7, return_address: 16 }
    }
    fn host_features(&self) -> u64 {
        host_features()
    }
}

#[cfg(target_arch = "x86_64")]
fn host_features() -> u64 {
    let mut features = 0;
    let mut add = |present: bool, bit: u64| features |= if present { bit } else { 0 };
    add(std::is_x86_feature_detected!("popcnt"), lower::FEATURE_POPCNT);
    add(std::is_x86_feature_detected!("lzcnt"), lower::FEATURE_LZCNT);
    add(std::is_x86_feature_detected!("bmi1"), lower::FEATURE_BMI1);
    add(std::is_x86_feature_detected!("bmi2"), lower::FEATURE_BMI2);
    features
}

#[cfg(not(target_arch = "x86_64"))]
fn host_features() -> u64 {
    0
}
