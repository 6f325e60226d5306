//! Starting programs: which file is Saki for a machine, what it takes to run that file here, and what comes out.

use super::compare::{End, Outcome};
use super::{Configuration, DEFAULT, DiffOptions, Mode};
use crate::target::{self, Target};
use ir::mach::Architecture;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A program that runs longer than this hangs.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Likewise when it is interpreted.
const INTERPRETER_TIME_LIMIT: Duration = Duration::from_secs(3000);

/// How to run programs for a machine on another one: words before the program, and the files that this needs. The first one that can is taken.
struct Runner {
    architecture: Architecture,
    host: Architecture,
    needs: &'static [&'static str],
    words: &'static [&'static str],
    /// Where libraries are found, if the last word says so; else the variable `LD_LIBRARY_PATH` does.
    library_path: Option<&'static str>,
}

const RUNNERS: &[Runner] = &[
    Runner {
        architecture: Architecture::X86,
        host: Architecture::Amd64,
        needs: &["/lib/ld-linux.so.2"],
        words: &[],
        library_path: None,
    },
    Runner {
        architecture: Architecture::X86,
        host: Architecture::Amd64,
        needs: &["/usr/i686-linux-gnu/lib/ld-linux.so.2"],
        words: &["/usr/i686-linux-gnu/lib/ld-linux.so.2", "--library-path"],
        library_path: Some("/usr/i686-linux-gnu/lib"),
    },
    Runner {
        architecture: Architecture::Arm,
        host: Architecture::Amd64,
        needs: &["/usr/bin/qemu-arm", "/usr/arm-linux-gnueabihf/lib/ld-linux-armhf.so.3"],
        words: &["/usr/bin/qemu-arm", "-L", "/usr/arm-linux-gnueabihf"],
        library_path: None,
    },
];

/// The running `saki`.
fn own() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|error| format!("cannot find the running saki: {error}"))
}

/// A command that starts Saki for a machine. A foreign one finds the native libraries of `program` in the folder beside it that is called as the target.
fn saki(target: &Target, program: &Path) -> Result<Command, String> {
    let own = own()?;
    let host = target::host();
    if target.architecture == host.architecture {
        return Ok(Command::new(own));
    }
    let variable = format!("SAKI_{}", target.name().to_uppercase());
    let built = || own.ancestors().map(|folder| folder.join(target.rust_triple).join("release/saki")).find(|path| path.exists());
    let file = match std::env::var_os(&variable) {
        Some(file) if Path::new(&file).exists() => PathBuf::from(file),
        Some(file) => return Err(format!("{variable}={} is not there", file.to_string_lossy())),
        None => built().ok_or_else(|| {
            format!(
                "no saki for {0}: build it (cargo build --release -p saki --target={0}) or set {variable}",
                target.rust_triple
            )
        })?,
    };
    let mut runners =
        RUNNERS.iter().filter(|runner| runner.architecture == target.architecture && runner.host == host.architecture);
    let needs: Vec<String> = runners.clone().map(|runner| runner.needs.join(" and ")).collect();
    let runner = runners.find(|runner| runner.needs.iter().all(|file| Path::new(file).exists()));
    let runner = runner.ok_or_else(|| format!("cannot run {} programs here without {}", target.name(), needs.join(", or ")))?;
    let libraries = program.with_file_name(target.name());
    let mut words = runner.words.iter().map(OsString::from).collect::<Vec<_>>();
    if let Some(path) = runner.library_path {
        words.push(format!("{path}:{}", libraries.display()).into());
    }
    words.push(file.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if runner.library_path.is_none() {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    Ok(command)
}

/// Runs the program on Mono.
pub fn mono(options: &DiffOptions) -> Result<Outcome, String> {
    let mut command = Command::new("mono");
    command.arg(&options.program).args(&options.arguments);
    let (mut outcome, errors) = watch(command, TIME_LIMIT)?;
    outcome.exception = unhandled_exception(&errors);
    Ok(outcome)
}

/// A folder for images that lasts as long as this value.
pub struct Workshop {
    folder: PathBuf,
}

impl Workshop {
    /// A new folder.
    pub fn open() -> Result<Workshop, String> {
        let folder = std::env::temp_dir().join(format!("saki-diff-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Workshop { folder })
    }

    /// Runs the program as a configuration says.
    pub fn run(&self, configuration: &Configuration, options: &DiffOptions) -> Result<Outcome, String> {
        let mut command = saki(configuration.target, &options.program)?;
        let set = match configuration.optimizations.as_str() {
            DEFAULT => String::new(),
            set => format!("{set},"),
        };
        match configuration.mode {
            Mode::Interpreter => {
                command.arg("--interpreter");
            }
            Mode::Jit => {
                command.arg(format!("-O={set}-aot"));
            }
            Mode::Aot => {
                let images = self.compile(configuration, &set, &options.program)?;
                let path = |folder: &Path| folder.display().to_string();
                command.arg(format!("-O={set}aot")).arg("--stats").arg(format!("--aot-path={}", path(&images)));
            }
        }
        command.arg(&options.program).args(&options.arguments);
        let limit = if configuration.mode == Mode::Interpreter { INTERPRETER_TIME_LIMIT } else { TIME_LIMIT };
        let (mut outcome, errors) = watch(command, limit)?;
        outcome.exception = unhandled_exception(&errors);
        if configuration.mode == Mode::Aot && outcome.end != End::TimeLimit && refuses_image(&errors) {
            return Err("the image was not used; MONO_LOG_LEVEL=info MONO_LOG_MASK=aot says why".to_owned());
        }
        Ok(outcome)
    }

    /// Compiles the program ahead of time; gives the folder of its image.
    fn compile(&self, configuration: &Configuration, set: &str, program: &Path) -> Result<PathBuf, String> {
        let folder = self.folder.join(configuration.name().replace([' ', ','], "_"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut command = Command::new(own()?);
        command.arg(format!("-O={set}aot")).arg(format!("--target={}", configuration.target.name()));
        command.arg(format!("--aot=outfile={}/{name}.so", folder.display())).arg(program);
        let (outcome, errors) = watch(command, TIME_LIMIT)?;
        match outcome.end {
            End::Code(0) => Ok(folder),
            end => Err(format!("--aot ended with {end}: {}", errors.lines().last().unwrap_or_default())),
        }
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command to its end, for at most so long; gives its standard error too.
fn watch(mut command: Command, limit: Duration) -> Result<(Outcome, String), String> {
    let started = Instant::now();
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
    let readers = (child.stdout.take().map(read_aside), child.stderr.take().map(read_aside));
    let end = loop {
        let status = child.try_wait().map_err(|error| format!("cannot wait for {name}: {error}"))?;
        match status {
            Some(status) => break status.code().map_or_else(|| End::Signal(status.signal().unwrap_or(0)), End::Code),
            None if started.elapsed() > limit => {
                // One that has just ended by itself is late too.
                let _ = child.kill();
                let _ = child.wait();
                break End::TimeLimit;
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let time = started.elapsed();
    let text = |reader: Option<JoinHandle<Vec<u8>>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let (output, errors) = (text(readers.0), text(readers.1));
    Ok((Outcome { end, output, exception: None, time }, String::from_utf8_lossy(&errors).into_owned()))
}

fn read_aside(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks gives what came before it; that then differs.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// Class and message of the exception that a standard error reports, without its trace.
fn unhandled_exception(errors: &str) -> Option<String> {
    let (_, report) = errors.split_once("Unhandled Exception:\n")?;
    // An emulator adds a line of its own when a signal ends the program.
    let ends = ["  at ", "[ERROR]", "qemu: uncaught target signal"];
    let lines = report.lines().take_while(|line| !ends.iter().any(|end| line.starts_with(end)));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// Whether the statistics on a standard error, if any, say that no image was used.
fn refuses_image(errors: &str) -> bool {
    errors.contains("\nMethods from AOT ") && !errors.contains("\nMethods from each AOT image\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_read_without_their_traces() {
        let errors = "x\nUnhandled Exception:\nSystem.Exception: one\ntwo\n  at A.B ()\n[ERROR] FATAL UNHANDLED EXCEPTION: …";
        assert_eq!(unhandled_exception(errors).as_deref(), Some("System.Exception: one\ntwo"));
        let aborted = "\nUnhandled Exception:\nSystem.Exception: one\nqemu: uncaught target signal 6 (Aborted) - core dumped\n";
        assert_eq!(unhandled_exception(aborted).as_deref(), Some("System.Exception: one"));
        assert_eq!(unhandled_exception("x"), None);
    }

    #[test]
    fn statistics_tell_whether_an_image_was_used() {
        assert!(refuses_image("JIT statistics\nMethods from AOT      : 0\n\nMetadata statistics\n"));
        assert!(!refuses_image("JIT statistics\nMethods from AOT      : 2\n\nMethods from each AOT image\np  : 2 of 3\n"));
        assert!(!refuses_image("Unhandled Exception:\n"));
    }

    #[test]
    fn a_command_is_watched_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; kill -9 $$"]);
        let (outcome, errors) = watch(command, TIME_LIMIT).unwrap();
        assert_eq!((outcome.end, outcome.output.as_slice(), errors.as_str()), (End::Signal(9), &b"out\n"[..], "err\n"));
        assert!(watch(Command::new("/nowhere"), TIME_LIMIT).unwrap_err().starts_with("cannot start /nowhere: "));
    }
}
