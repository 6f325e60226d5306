//! The programs of `tests/programs`, each compiled by `mcs` or `ilasm` and run in several ways; what they print must be what Mono printed
//! (`NAME.expected`), and their exit code (or 128 and the signal that ended them) what a comment `// exit: N` says (else 0). `NAME.c` beside a
//! program is the native library that it calls.
//! A comment `// compiled only: WHY` keeps a program from being interpreted.
//!
//! They run on the host's `saki` that belongs to this test, or on another machine's (`cargo xtask test`) by these variables: `SAKI` is the command,
//! `SAKI_RUNNER` the words that start it here, `SAKI_TARGET` the machine's name, `SAKI_CC` its C compiler. Images are compiled by the host's `saki`.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const CLASS_LIBRARY: &str = "/usr/lib/mono/4.5/mscorlib.dll";
/// A program that runs longer than this hangs. None takes a tenth of it but those that are interpreted by an emulated interpreter.
const TIME_LIMIT: Duration = Duration::from_secs(300);

struct Program {
    name: String,
    executable: PathBuf,
    expected: Vec<u8>,
    exit_code: i32,
    compiled_only: bool,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const HOST_SAKI: &str = env!("CARGO_BIN_EXE_saki");

/// A setting of this test.
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// The command under test.
fn saki() -> Command {
    let path = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(HOST_SAKI), PathBuf::from);
    let runner = setting("SAKI_RUNNER");
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(path),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(path);
            command
        }
    }
}

/// Where programs, libraries and images of the machine under test go.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(setting("SAKI_TARGET"))
}

/// All programs, compiled once.
fn programs() -> &'static [Program] {
    static PROGRAMS: OnceLock<Vec<Program>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let sources = std::fs::read_dir(root().join("tests/programs")).expect("tests/programs is there");
        let sources: BTreeMap<String, PathBuf> = sources
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "cs" || extension == "il"))
            .map(|path| (path.file_stem().expect("a name").to_string_lossy().into_owned(), path))
            .collect();
        assert!(!sources.is_empty());
        std::fs::create_dir_all(folder()).expect("a writable folder");
        sources.into_iter().map(|(name, source)| compile(name, &source)).collect()
    })
}

fn compile(name: String, source: &Path) -> Program {
    let executable = folder().join(format!("{name}.exe"));
    let mut compiler = if source.extension().is_some_and(|extension| extension == "il") {
        let mut assembler = Command::new("ilasm");
        assembler.arg("/quiet").arg(format!("/output:{}", executable.display()));
        assembler
    } else {
        let mut compiler = Command::new("mcs");
        compiler.args([
            "-nologo",
            "-unsafe",
            "-langversion:7.2",
            "-warn:0",
            "-r:System.Core.dll",
            "-r:Microsoft.CSharp.dll",
            "-r:System.Runtime.Remoting.dll",
        ]);
        compiler.arg(format!("-out:{}", executable.display()));
        compiler
    };
    let output = compiler.arg(source).output().expect("mcs (mono-mcs) and ilasm (mono-devel) are installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let library = source.with_extension("c");
    if library.exists() {
        compile_library(&name, &library);
    }
    let text = std::fs::read_to_string(source).expect("a readable source");
    let exit_code =
        text.lines().find_map(|line| line.strip_prefix("// exit: ")).map_or(0, |code| code.parse().expect("a number"));
    let compiled_only = text.lines().any(|line| line.starts_with("// compiled only: "));
    let expected = std::fs::read(source.with_extension("expected")).expect("NAME.expected is there");
    Program { name, executable, expected, exit_code, compiled_only }
}

/// Compiles a program of `tests/stress`.
fn compile_stress(source: &Path, harness: &Path) -> Program {
    let name = format!("stress-{}", source.file_stem().expect("a name").to_string_lossy());
    let executable = folder().join(format!("{name}.exe"));
    let mut compiler = Command::new("mcs");
    compiler.args(["-nologo", "-unsafe", "-langversion:7.2", "-warn:0", "-r:System.Core.dll"]);
    let output =
        compiler.arg(format!("-out:{}", executable.display())).args([source, harness]).output().expect("mcs is installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Program { name, executable, expected: b"held\n".to_vec(), exit_code: 0, compiled_only: true }
}

/// Compiles the native library of a program.
fn compile_library(name: &str, source: &Path) {
    let compiler = std::env::var_os("SAKI_CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&folder().join(format!("lib{name}.so")), source])
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program; says what is wrong.
fn run(program: &Program, options: &[String]) -> Result<(), String> {
    let mut child = saki()
        .args(options)
        .arg(&program.executable)
        .current_dir(folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("saki does not start: {error}"))?;
    let started = Instant::now();
    let stdout = read_aside(child.stdout.take().expect("piped"));
    let stderr = read_aside(child.stderr.take().expect("piped"));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if started.elapsed() > TIME_LIMIT {
            let _ = child.kill();
            return Err("hangs".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (stdout, stderr) = (stdout.join().expect("a reader"), stderr.join().expect("a reader"));
    let exit_code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    if exit_code != Some(program.exit_code) {
        return Err(format!("{status}, not {}; {}", program.exit_code, String::from_utf8_lossy(&stderr).trim()));
    }
    if stdout != program.expected {
        let (expected, got) = (String::from_utf8_lossy(&program.expected), String::from_utf8_lossy(&stdout));
        let line = expected.lines().zip(got.lines()).position(|(a, b)| a != b);
        let number = line.unwrap_or_else(|| expected.lines().count().min(got.lines().count()));
        let show = |text: &str| text.lines().nth(number).unwrap_or("nothing").to_owned();
        return Err(format!("line {}: expected «{}», got «{}»", number + 1, show(&expected), show(&got)));
    }
    Ok(())
}

fn read_aside(mut stream: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks gives what came before; the comparison then fails.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

/// Runs all programs with these options, two at a time, and fails with a list of those that went wrong.
fn run_all(options: &[&str]) {
    run_these(&programs().iter().collect::<Vec<_>>(), options);
}

fn run_these(programs: &[&Program], options: &[&str]) {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(program) = programs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    if let Err(what) = run(program, &options) {
                        failures.lock().expect("no panic").push(format!("{}: {what}", program.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {} with {options:?}:\n{}", failures.len(), programs.len(), failures.join("\n"));
}

#[test]
fn just_in_time() {
    run_all(&["-O=-aot"]);
}

#[test]
fn just_in_time_without_optimizations() {
    run_all(&["-O=-all,-aot"]);
}

#[test]
fn just_in_time_with_all_optimizations() {
    run_all(&["-O=all,-aot"]);
}

/// Two rounds of each stress program, while the collector runs all the time (`cargo xtask stress` has more).
#[test]
fn under_stress() {
    let sources = root().join("tests/stress");
    let harness = sources.join("Stress.cs");
    std::fs::create_dir_all(folder()).expect("a writable folder");
    let entries =
        std::fs::read_dir(&sources).expect("tests/stress is there").map(|entry| entry.expect("a readable folder").path());
    let programs: Vec<Program> =
        entries.filter(|source| *source != harness).map(|source| compile_stress(&source, &harness)).collect();
    assert!(!programs.is_empty());
    run_these(&programs.iter().collect::<Vec<_>>(), &["-O=-aot"]);
}

#[test]
fn interpreted() {
    let programs: Vec<&Program> = programs().iter().filter(|program| !program.compiled_only).collect();
    run_these(&programs, &["--interpreter"]);
}

#[test]
fn ahead_of_time() {
    let images = folder().join("aot");
    std::fs::create_dir_all(&images).expect("a writable folder");
    let assemblies = programs().iter().map(|program| program.executable.as_path()).chain([Path::new(CLASS_LIBRARY)]);
    for assembly in assemblies {
        let image = images.join(format!("{}.so", assembly.file_name().expect("a name").to_string_lossy()));
        let target = setting("SAKI_TARGET");
        let output = Command::new(HOST_SAKI)
            .args((!target.is_empty()).then(|| format!("--target={target}")))
            .arg("-O=all")
            .arg(format!("--aot=outfile={}", image.display()))
            .arg(assembly)
            .output()
            .expect("saki starts");
        assert!(output.status.success(), "{}: {}", assembly.display(), String::from_utf8_lossy(&output.stderr));
    }
    run_all(&[&format!("--aot-path={}", images.display())]);
}
