//! `cargo xtask test`: everything that is tested, on the host, then on x86 natively and on ARM under `qemu-arm`. `--target` picks one of them.

use crate::cross::{self, TARGETS, Target};
use crate::shell::{root, run as run_command};
use std::process::Command;
use std::time::Instant;

/// The crates whose own tests run on a foreign target, besides its back end: what else depends on the machine.
const MACHINE_DEPENDENT: &[&str] = &["runtime"];

/// Sets up, then tests on the target that `--target` names, else on all; other arguments go to the host's `cargo test`. A target is tested even if
/// the one before failed. In the release profile: the tests compile whole class libraries, and what is tested is what is shipped. The checks of debug
/// builds (verifying the intermediate representation and register allocations) are asked for by the tests that want them.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (target, rest) = cross::take_target(arguments)?;
    crate::packages::install()?;
    let mut failed = Vec::new();
    for target in TARGETS.iter().filter(|known| target.is_none_or(|target| target.name == known.name)) {
        let started = Instant::now();
        let result = if target.is_foreign() { test_foreign(target) } else { test_host(&rest) };
        println!("testing for {} took {} s", target.name, started.elapsed().as_secs());
        if let Err(message) = result {
            failed.push(format!("{}: {message}", target.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

fn test_host(arguments: &[String]) -> Result<(), String> {
    println!("building and running the tests of the workspace (a first build takes some minutes)");
    let mut host = Command::new("cargo");
    host.current_dir(root()).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(arguments);
    run_command(&mut host)
}

/// The tests of the machine's back end and of what else depends on it, built for it; then all programs on its `saki`.
fn test_foreign(target: &Target) -> Result<(), String> {
    println!("testing for {}", target.name);
    let saki = cross::release_saki(target)?;
    let packages = MACHINE_DEPENDENT.iter().chain([&target.name]).flat_map(|package| ["--package", package]);
    // No documentation tests: rustdoc belongs to the host's toolchain.
    let units = run_command(target.cargo().args(["test", "--release", "--no-fail-fast", "--lib", "--tests"]).args(packages));
    let mut programs = TARGETS[0].cargo();
    programs.args(["test", "--release", "--package", "saki", "--test", "programs"]);
    programs.env("SAKI", saki).env("SAKI_RUNNER", target.runner());
    programs.env("SAKI_TARGET", target.name).env("SAKI_CC", target.c_compiler());
    units.and(run_command(&mut programs))
}
