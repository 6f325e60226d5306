//! Compares encodings with an assembler's, runs compiled functions where the host is ARM, and compares disassembly with what lowering
//! should choose.

mod encoding;
mod execution;
mod islands;
mod patterns;

use crate::{Arm, FEATURE_DIVIDE};

/// On every host; `execution` runs them as well where the host is the target.
#[test]
fn random_functions_compile() {
    backend_testing::random::functions(&Arm, FEATURE_DIVIDE, None);
}
