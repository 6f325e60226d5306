//! `cargo xtask conformance`: Mono's own test suites, by the runner that builds and judges them.

use crate::cross::{self, TARGETS, Target};
use crate::shell::{capture, run as run_command};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The word `apps` runs whole applications, `classes` the tests of the class library, `passes` the suite `mini` with each pass of the middle-end off and with each alone. Otherwise hands its
/// arguments to the runner in the folder that `SAKI_SUITES` names (`../shared/tools/mono-suites` beside the checkout if it is not set), with the
/// release build of `saki` for the target as the runtime unless they name one.
pub fn run(arguments: &[String]) -> Result<(), String> {
    match arguments {
        [first, names @ ..] if first == "apps" => crate::applications::run(names),
        [first, names @ ..] if first == "classes" => crate::class_libraries::run(names),
        [first, rest @ ..] if first == "passes" => run_passes(rest),
        _ => run_suites(arguments),
    }
}

fn run_suites(arguments: &[String]) -> Result<(), String> {
    let (target, rest) = cross::take_target(arguments)?;
    let mut runner = runner();
    if !rest.iter().any(|word| word == "--runtime") {
        let target = target.unwrap_or(&TARGETS[0]);
        let saki = cross::release_saki(target)?;
        runner.args(["--arch", target.name, "--runtime", &runtime(target, &saki, "")]);
    }
    run_command(runner.args(rest))
}

fn run_passes(arguments: &[String]) -> Result<(), String> {
    let (target, rest) = cross::take_target(arguments)?;
    let target = target.unwrap_or(&TARGETS[0]);
    // All of them have the same passes; the host's tells of them sooner.
    let passes = passes(&cross::release_saki(&TARGETS[0])?)?;
    let saki = cross::release_saki(target)?;
    let mut failed = Vec::new();
    for pass in passes {
        for choice in [format!("all,-{pass}"), format!("-all,{pass}")] {
            println!("-O={choice}");
            let runtime = runtime(target, &saki, &format!("-O={choice},-aot"));
            let arguments = ["--suite", "mini", "--methods", "--arch", target.name, "--runtime", &runtime];
            if let Err(message) = run_command(runner().args(arguments).args(&rest)) {
                failed.push(message);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// The names of the passes: what `--list-opt` lists and `--print-before` takes.
fn passes(saki: &Path) -> Result<Vec<String>, String> {
    let (listing, _) = capture(Command::new(saki).arg("--list-opt"))?;
    let listing = String::from_utf8_lossy(&listing.stdout);
    let names = listing.lines().filter_map(|line| line.split_whitespace().next()).filter(|&name| name != "all");
    let is_pass = |name: &&str| {
        let tried = capture(Command::new(saki).args([&format!("--print-before={name}"), "--version"]));
        tried.is_ok_and(|(output, _)| output.status.success())
    };
    Ok(names.filter(is_pass).map(str::to_owned).collect())
}

/// The command that runs a program on the target's `saki` with these options.
fn runtime(target: &Target, saki: &Path, options: &str) -> String {
    if !target.is_foreign() {
        return format!("{} {options}", saki.display());
    }
    // The suites' native libraries are where their runner says in `LD_LIBRARY_PATH`, which the loader's option would hide.
    let words = target.runner().replace("--library-path ", "--library-path $LD_LIBRARY_PATH:");
    format!("sh -c 'exec {words} {} {options} \"$@\"' sh", saki.display())
}

/// The suites' runner.
fn runner() -> Command {
    Command::new(tool_folder("SAKI_SUITES", "mono-suites").join("run"))
}

/// The folder of a tool: from the variable, or beside the checkout.
pub fn tool_folder(variable: &str, name: &str) -> PathBuf {
    let beside = || crate::shell::root().join("../shared/tools").join(name);
    std::env::var_os(variable).map_or_else(beside, PathBuf::from)
}
