//! Runs compiled functions on the host, and compares disassembly with what lowering should choose.

mod encoding;
mod execution;
mod patterns;

use crate::X86;

/// On every host; `execution` runs them as well where the host is the target.
#[test]
fn random_functions_compile() {
    backend_testing::random::functions(&X86, 0, None);
}
