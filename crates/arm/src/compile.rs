//! What the shared way of a function asks of this machine.

use crate::Arm;
use crate::convention::call_layout;
use crate::disassemble::disassemble;
use crate::emit::Emitter;
use crate::frame;
use crate::instructions::Inst;
use crate::lower::Lowering;
use crate::registers::register_file;
use ir::Function;
use ir::mach::frame::FrameNeeds;
use ir::mach::pipeline::{BodyNeeds, Target};
use ir::mach::registers::RegisterFile;
use ir::mach::{CodegenError, CodegenOptions};
use ir::signature::Signature;

impl Target for Arm {
    type Inst = Inst;
    type Lowering<'a> = Lowering<'a>;
    type Emitter<'a> = Emitter<'a>;

    fn lowering<'a>(&self, _function: &'a Function, options: &'a CodegenOptions) -> Lowering<'a> {
        Lowering::new(options)
    }
    fn body_needs(&self, lowering: &Lowering<'_>) -> BodyNeeds {
        // The stack pointer is aligned to 8 everywhere, calls or not.
        BodyNeeds { outgoing: lowering.outgoing.get(), dynamic_stack: lowering.dynamic_stack.get(), calls: true }
    }
    fn register_file(&self) -> RegisterFile {
        register_file()
    }
    fn emitter<'a>(
        &self,
        function: &'a Function,
        options: &'a CodegenOptions,
        needs: &FrameNeeds,
        block_count: usize,
    ) -> Emitter<'a> {
        Emitter::new(function, options, frame::layout(function, needs), block_count)
    }
    fn stack_argument_bytes(&self, signature: &Signature) -> Result<u32, CodegenError> {
        Ok(call_layout(signature)?.stack_bytes)
    }
    fn disassemble(&self, bytes: &[u8], address: u64) -> String {
        disassemble(bytes, address)
    }
}
