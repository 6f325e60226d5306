//! The SSA intermediate representation, its analyses and passes, and the machine-independent
//! half of code generation.
//!
//! `ir` knows neither metadata nor any instruction set. A [`Function`] names the outside world
//! only through [`Symbol`]s whose meaning the code that built the function keeps. Start with
//! [`function`] and [`instruction`]; [`mach`] begins where a back end has chosen instructions.

pub mod builder;
pub mod control_flow;
pub mod entity;
pub mod expand;
pub mod function;
pub mod inline_sites;
pub mod instruction;
pub mod interpreter;
pub mod legalize;
pub mod liveness;
pub mod loops;
pub mod mach;
pub mod parse;
pub mod pass_manager;
pub mod passes;
pub mod print;
pub mod signature;
pub mod tail_calls;
pub mod types;
pub mod verify;

pub use builder::{FunctionBuilder, Variable};
pub use control_flow::ControlFlow;
pub use entity::{Block, Inst, Region, SigRef, StackSlot, Symbol, Value};
pub use function::Function;
pub use instruction::{Aux, Instruction, Opcode};
pub use signature::Signature;
pub use types::Type;
