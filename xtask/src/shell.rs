//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What is got from elsewhere is kept here: in the user's cache folder.
pub fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("saki")
}

/// The release build of the `saki` command.
pub fn saki() -> PathBuf {
    target_folder().join("release").join("saki")
}

/// Whether a command of this name is on the path.
pub fn has_command(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Runs a command with its output shown; an error if it fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", describe(command)))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} ended with {status}", describe(command))),
    }
}

/// Runs a command and keeps its output.
pub fn capture(command: &mut Command) -> Result<(Output, Duration), String> {
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", describe(command)))?;
    Ok((output, started.elapsed()))
}

/// Has `compiler`, the beginning of a command that runs `saki`, make an image of an assembly at `-O=all` in a folder, which is made if need be.
pub fn make_image(mut compiler: Command, assembly: &Path, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let image = folder.join(format!("{}.so", assembly.file_name().unwrap_or_default().to_string_lossy()));
    compiler.args(["-O=all", &format!("--aot=outfile={}", image.display())]).arg(assembly);
    let (output, _) = capture(&mut compiler)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", describe(&compiler), String::from_utf8_lossy(&output.stderr))),
    }
}

/// The command line for messages.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Builds the release `saki`.
pub fn build_saki() -> Result<(), String> {
    println!("building saki (a first build takes some minutes)");
    run(Command::new("cargo").current_dir(root()).args(["build", "--release", "--package", "saki"]))
}
