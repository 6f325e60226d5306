//! `cargo xtask test`: everything that can be tested on this machine.

use crate::shell::{root, run as run_command};
use std::process::Command;

/// Sets up, then runs all tests of the workspace. In the release profile: they compile whole class libraries, and what is tested is what
/// is shipped. The checks of debug builds (verifying the intermediate representation and register allocations) are asked for
/// by the tests that want them.
pub fn run(arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    println!("building and running the tests of the workspace (a first build takes some minutes)");
    run_command(
        Command::new("cargo").current_dir(root()).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(arguments),
    )
}
