//! What a machine of the family gives to the shared way of a function ([`ir::mach::pipeline`]).

use super::Family;
use super::disassemble::disassemble;
use super::emit::Emitter;
use super::instructions::Inst;
use super::lower::Lowering;
use ir::Function;
use ir::mach::frame::FrameNeeds;
use ir::mach::pipeline::{BodyNeeds, Target};
use ir::mach::registers::RegisterFile;
use ir::mach::{CodegenError, CodegenOptions};
use ir::signature::Signature;
use std::marker::PhantomData;

/// The steps of machine `F`.
#[derive(Clone, Copy, Default, Debug)]
pub struct Steps<F>(PhantomData<F>);

impl<F> Steps<F> {
    /// The steps.
    pub const NEW: Steps<F> = Steps(PhantomData);
}

impl<F: Family> Target for Steps<F> {
    type Inst = Inst;
    type Lowering<'a> = Lowering<'a, F>;
    type Emitter<'a> = Emitter<'a, F>;

    fn lowering<'a>(&self, function: &'a Function, options: &'a CodegenOptions) -> Lowering<'a, F> {
        Lowering::new(function, options)
    }
    fn body_needs(&self, lowering: &Lowering<'_, F>) -> BodyNeeds {
        lowering.body_needs()
    }
    fn register_file(&self) -> RegisterFile {
        F::register_file()
    }
    fn emitter<'a>(
        &self,
        function: &'a Function,
        options: &'a CodegenOptions,
        needs: &FrameNeeds,
        block_count: usize,
    ) -> Emitter<'a, F> {
        Emitter::new(function, options, needs, block_count)
    }
    fn stack_argument_bytes(&self, signature: &Signature) -> Result<u32, CodegenError> {
        Ok(F::call_layout(signature)?.stack_bytes)
    }
    fn disassemble(&self, bytes: &[u8], address: u64) -> String {
        disassemble(8 * F::POINTER_BYTES, bytes, address)
    }
}
