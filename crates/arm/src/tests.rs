//! Compares encodings with an assembler's, runs compiled functions where the host is ARM, and compares disassembly with what lowering
//! should choose.

mod encoding;
mod execution;
mod islands;
mod patterns;
mod random;

use crate::Arm;
use ir::Function;
use ir::mach::{Backend, CodegenOptions, CompiledCode, LinkModel, ThreadLayout};
use ir::parse::parse_function;

/// Options with everything checked.
pub(crate) fn options(cpu_features: u64) -> CodegenOptions {
    CodegenOptions {
        link: LinkModel::Jit,
        thread: ThreadLayout { last_managed_sp: 0, last_managed_pc: 4, stack_limit: 8, self_pointer: 12 },
        optimize_allocation: false,
        check_allocation: true,
        cpu_features,
        raise_trap: 0,
        resume_unwind: 1,
        end_filter: 2,
        cell_resolver: None,
    }
}

/// A function of one signature and some blocks.
pub(crate) fn parse(signature: &str, body: &str) -> Function {
    let text = format!("function \"test\" pointer 4 {signature} {{\n{body}\n}}\n");
    parse_function(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Compiles, showing the steps if that fails.
pub(crate) fn compile(function: &Function, cpu_features: u64) -> CompiledCode {
    Arm.compile(function, &options(cpu_features)).unwrap_or_else(|error| panic!("{error} in\n{function}"))
}
