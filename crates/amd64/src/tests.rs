//! Runs compiled functions on the host, and compares disassembly with what lowering should choose.

mod execution;
mod patterns;

use crate::Amd64;

/// On every host; `execution` runs them as well where the host is the target.
#[test]
fn random_functions_compile() {
    backend_testing::random::functions(&Amd64, 0, None);
}
