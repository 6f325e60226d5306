//! Object model, garbage collection, exceptions, internal calls and the AOT loader: the process that compiled code runs in.
//!
//! [`runtime`](mod@runtime) brings it up. [`object`] and [`method_table`] are the heap's shapes, [`gc`] its collector; [`code_heap`],
//! [`code_map`], [`stubs`], [`cells`] and [`methods`] are where code lives and how calls find it, [`jit_env`] and [`compile`] how it
//! is made, [`aot`] the code that was made before; [`unwind`], [`stack_walk`] and [`traps`] are exceptions; [`helpers`] and [`icalls`] what managed code calls.

mod abort;
pub mod aot;
pub mod casts;
pub mod cells;
pub mod class_init;
mod class_library;
pub mod code_heap;
pub mod code_map;
pub mod com;
pub mod compile;
pub mod debugger;
pub mod delegates;
mod dll_map;
pub mod domain;
pub mod domain_copy;
mod embedding;
pub mod emit;
pub mod exact_frames;
pub mod exceptions;
pub mod fields;
pub mod gc;
pub mod generic_dictionary;
pub mod handles;
pub mod helpers;
// The widths of libc's integer types differ from machine to machine.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
pub mod icalls;
pub mod id_table;
mod inspection;
pub mod interpreter;
pub mod invoke;
pub mod jit_env;
mod local_statics;
mod lookup_answers;
pub mod marshal;
pub mod metadata;
mod method_patterns;
pub mod method_table;
pub mod methods;
pub mod monitor;
pub mod named_fields;
pub mod object;
pub mod options;
pub mod pinvoke;
pub mod proxies;
pub mod report;
pub mod roots;
pub mod runtime;
pub mod stack_guard;
pub mod stack_trace;
pub mod stack_walk;
mod state_dump;
pub mod strings;
pub mod stubs;
pub mod symbols;
pub mod thread;
pub mod trace;
pub mod traps;
pub mod unhandled;
pub mod unwind;
pub mod wrapped_exceptions;

pub use method_patterns::MethodPatterns;
pub use options::Options;
pub use runtime::{Runtime, runtime, start};
