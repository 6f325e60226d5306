//! `cargo xtask test`: everything that is tested on this machine's own architecture. `cargo xtask test-targets`: the other two.

use crate::cross::{self, TARGETS, Target};
use crate::shell::{root, run as run_command};
use std::process::Command;

/// What is tested on a foreign target: the parts that depend on the machine, in test binaries of that machine; then `saki` as a whole.
struct Foreign {
    target: &'static str,
    packages: &'static [&'static str],
    /// Which ways of running the programs: filters of the tests in `crates/saki/tests/programs.rs`. Emulated machines are slow.
    ways: &'static [&'static str],
}

const FOREIGN: &[Foreign] = &[
    Foreign { target: "x86", packages: &["x86", "runtime"], ways: &[] },
    Foreign { target: "arm", packages: &["arm", "runtime"], ways: &["just_in_time_with_all_optimizations"] },
];

/// Sets up, then runs all tests of the workspace. In the release profile: they compile whole class libraries, and what is tested is
/// what is shipped. The checks of debug builds (verifying the intermediate representation and register allocations) are asked
/// for by the tests that want them.
pub fn run(arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    println!("building and running the tests of the workspace (a first build takes some minutes)");
    let mut host = Command::new("cargo");
    host.current_dir(root()).args(["test", "--release", "--workspace", "--no-fail-fast"]).args(arguments);
    run_command(&mut host)
}

/// Sets up the cross toolchain, then tests on x86 and ARM what depends on the machine.
pub fn run_foreign(_arguments: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    cross::install_toolchain(&[])?;
    let failures: Vec<String> = FOREIGN.iter().filter_map(|foreign| test_foreign(foreign).err()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nxtask: ")) }
}

fn test_foreign(foreign: &Foreign) -> Result<(), String> {
    let target = Target::named(foreign.target)?;
    println!("testing for {}", target.name);
    cross::build_saki(target, &["--release".to_owned()])?;
    let packages = foreign.packages.iter().flat_map(|package| ["--package", package]);
    // No documentation tests: rustdoc belongs to the host's toolchain.
    run_command(target.cargo().args(["test", "--release", "--no-fail-fast", "--lib", "--tests"]).args(packages))?;
    let mut programs = TARGETS[0].cargo();
    programs.args(["test", "--release", "--package", "saki", "--test", "programs", "--"]).args(foreign.ways);
    run_command(programs.env("SAKI", target.saki()).env("SAKI_RUNNER", target.runner()))
}
