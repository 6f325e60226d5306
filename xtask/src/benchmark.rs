//! `cargo xtask bench`: the benchmark programs, Saki beside Mono and whatever else is there.

use crate::conformance::tool_folder;
use crate::shell::{build_saki, run as run_command, saki};
use std::process::Command;

/// Hands its arguments to the runner in the folder that `SAKI_BENCH` names.
pub fn run(arguments: &[String]) -> Result<(), String> {
    build_saki()?;
    let mut runner = Command::new(tool_folder("SAKI_BENCH", "bench").join("run"));
    if !arguments.iter().any(|word| word == "--runtime") {
        runner.args(["--runtime", "mono", "--runtime"]).arg(format!("saki={} {{exe}}", saki().display()));
    }
    run_command(runner.args(arguments))
}
