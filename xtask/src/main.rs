//! Set-up, tests, demo and other chores: `cargo xtask COMMAND`.

mod applications;
mod benchmark;
mod class_libraries;
mod conformance;
mod cross;
mod demo;
mod packages;
mod services;
mod shell;
mod stress;
mod test;

use std::process::ExitCode;

/// A chore: name, arguments, what it is for, and its function.
type Chore = (&'static str, &'static str, &'static str, fn(&[String]) -> Result<(), String>);

const CHORES: &[Chore] = &[
    (
        "demo",
        "",
        "sets up, builds, compiles the class library and a sample ahead of time, runs it and shows what happened",
        demo::run,
    ),
    (
        "test",
        "[--target amd64|x86|arm] [CARGO TEST ARGUMENTS]",
        "sets up and runs all tests of this machine, or those for x86 (natively) or ARM (under qemu-arm)",
        test::run,
    ),
    ("setup", "", "installs the packages that tests and demo need (Debian, root)", |_| packages::install()),
    ("toolchain", "", "installs what building for x86 and ARM needs", cross::install_toolchain),
    ("build", "[--target amd64|x86|arm] [CARGO BUILD ARGUMENTS]", "builds saki for a target", cross::build),
    ("cross", "amd64|x86|arm CARGO-ARGUMENTS", "runs cargo with the toolchain of a target", cross::cross),
    ("environment", "x86|arm", "prints the variables that «cross» sets, for a shell", cross::print_environment),
    (
        "conformance",
        "apps [NAMES] | classes [--images] [--target NAME] [NAMES] | [passes] [--target NAME] [OPTIONS OF THE SUITES' RUNNER]",
        "runs programs of Debian's packages or the class library's tests beside Mono, or Mono's own suites with their runner (SAKI_SUITES names its folder), mini also with each pass off and alone",
        conformance::run,
    ),
    (
        "stress",
        "[--target NAME] [--minutes=N] [--seconds=N] [--seed=N] [NAMES]",
        "runs the programs of tests/stress in random order under random settings, and watches for failures, hangs and leaks",
        stress::run,
    ),
    (
        "bench",
        "[OPTIONS OF THE BENCHMARKS' RUNNER]",
        "runs the benchmarks beside Mono (SAKI_BENCH names their folder)",
        benchmark::run,
    ),
    (
        "services",
        "[NAME]",
        "measures what services of the runtime and its class library cost, beside Mono: all, or those whose names contain NAME",
        services::run,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore = arguments.first().and_then(|name| CHORES.iter().find(|(known, ..)| known == name));
    let Some((_, _, _, run)) = chore else {
        println!("usage: cargo xtask COMMAND\n");
        for (name, words, purpose, _) in CHORES {
            println!("    {:<50} {purpose}", format!("{name} {words}"));
        }
        return ExitCode::from(u8::from(!arguments.is_empty()));
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
