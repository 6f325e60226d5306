//! `cargo xtask conformance`: Mono's own test suites, by the runner that builds and judges them.

use crate::shell::{build_saki, run as run_command, saki};
use std::path::PathBuf;
use std::process::Command;

/// The word `apps` runs whole applications. Otherwise hands its arguments to the runner in the folder that `SAKI_SUITES` names (`../shared/tools/mono-suites` beside the checkout if it
/// is not set), with the release build of `saki` as the runtime unless they name one.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [first, names @ ..] if first == "apps" => crate::applications::run(names),
        _ => run_suites(arguments),
    }
}

fn run_suites(arguments: &[String]) -> Result<(), String> {
    build_saki()?;
    let mut runner = Command::new(tool_folder("SAKI_SUITES", "mono-suites").join("run"));
    if !arguments.iter().any(|word| word == "--runtime") {
        runner.arg("--runtime").arg(saki());
    }
    run_command(runner.args(arguments))
}

/// The folder of a tool: from the variable, or beside the checkout.
pub fn tool_folder(variable: &str, name: &str) -> PathBuf {
    let beside = || crate::shell::root().join("../shared/tools").join(name);
    std::env::var_os(variable).map_or_else(beside, PathBuf::from)
}
