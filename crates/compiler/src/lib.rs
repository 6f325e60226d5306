//! From CIL to SSA: the importer, what it asks of the world, and what there is to compile.
//!
//! It knows the type system (`il`) and the intermediate representation (`ir`), but no instruction set and no
//! runtime: everything else it learns through [`env::MethodEnv`]. [`abi`] fixes what compiled code and the runtime agree on;
//! [`compile`] has the one function that drives a method from IL to machine code.

pub mod abi;
pub mod ahead;
mod com_calls;
pub mod compile;
pub mod description;
mod emit;
pub mod env;
pub mod guard;
pub mod importer;
pub mod inline_source;
mod intrinsics;
pub mod marshal;
mod native_calls;
pub mod signature;
mod wrappers;

pub use compile::{CompileOptions, CompiledMethod, compile_method};
pub use importer::{ImportError, ImportFlags, ImportedMethod, import_method};
pub use wrappers::{DelegateStub, import_com_stub, import_delegate_stub, import_proxy_stub};
