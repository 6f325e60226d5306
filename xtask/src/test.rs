//! `cargo xtask test`: everything that can be tested on this machine.

use crate::shell::{root, run as run_command};
use std::process::Command;

/// Sets up, then runs all tests of the workspace. Optimised, since they compile whole class libraries; with debug assertions, since
/// those are half of the checks.
pub fn run(arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    crate::shell::build_saki()?;
    println!("running the tests of the workspace");
    run_cargo(arguments)
}

fn run_cargo(arguments: &[String]) -> Result<(), String> {
    run_command(
        Command::new("cargo")
            .current_dir(root())
            .args(["test", "--workspace", "--no-fail-fast"])
            .args(arguments)
            .env("SAKI", crate::shell::saki()),
    )
}
