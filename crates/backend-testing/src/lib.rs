//! Test support: what the tests of every back end share. Knows no machine but by its [`Backend`].
//!
//! [`Loaded`] runs what a back end compiled; [`cases`] are the functions that every machine must get right, [`random`] makes more of them and
//! [`patterns`] compares disassembly with what is expected. The tests in `crates/{amd64,x86,arm}/src/tests` say how a machine is called, and add what
//! only it has.

pub mod cases;
mod loaded;
pub mod patterns;
pub mod random;

pub use loaded::Loaded;

use ir::Function;
use ir::mach::{Backend, CodegenOptions, CompiledCode, LinkModel, ThreadLayout};
use ir::parse::parse_function;

/// What a test's raise helper adds to the code of a trap: the result of a function that raised.
pub const TRAP: u32 = 0x1000_0000;

/// A function in executable memory that takes integers and the bits of floats, and gives its first integer and its first float result. The result
/// of one that raises is [`TRAP`] + the trap's code.
pub type Call = Box<dyn Fn(&[i32], &[u64]) -> (u32, u64)>;

/// Options with everything checked, and a thread structure of four words at its beginning.
pub fn options(backend: &dyn Backend, cpu_features: u64) -> CodegenOptions {
    let word = backend.architecture().pointer_bytes() as i32;
    CodegenOptions {
        link: LinkModel::Jit,
        thread: ThreadLayout { last_managed_sp: 0, last_managed_pc: word, stack_limit: 2 * word, self_pointer: 3 * word },
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
///
/// # Panics
/// If the text is wrong.
pub fn parse(backend: &dyn Backend, signature: &str, body: &str) -> Function {
    let pointer = backend.architecture().pointer_bytes();
    let text = format!("function \"test\" pointer {pointer} {signature} {{\n{body}\n}}\n");
    parse_function(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Compiles.
///
/// # Panics
/// If that fails: with the function.
pub fn compile(backend: &dyn Backend, function: &Function, options: &CodegenOptions) -> CompiledCode {
    backend.compile(function, options).unwrap_or_else(|error| panic!("{error} in\n{function}"))
}
