//! Damaged input: whatever bytes an assembly or an image has, `saki` refuses it, reports an exception or runs it. It never dies by a
//! signal, never panics and never hangs.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CUTS: usize = 200;
const FLIPS: usize = 2000;
/// A compilation that takes longer hangs.
const COMPILE_LIMIT: Duration = Duration::from_secs(60);
/// A run that takes longer loops, which a changed constant or branch may make it do.
const RUN_LIMIT: Duration = Duration::from_secs(10);
/// Of so many runs, one may loop.
const RUNS_PER_LOOP: usize = 20;

/// What became of a process.
struct Outcome {
    /// `None`: it had to be stopped.
    status: Option<ExitStatus>,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// What no input may cause.
    fn crash(&self) -> Option<String> {
        let signal = self.status.and_then(|status| status.signal());
        let said = self.stderr.lines().chain(self.stdout.lines());
        let mut said = said.filter(|line| line.contains("panicked") || line.contains("internal error"));
        match (signal, said.next()) {
            (Some(signal), _) => Some(format!("signal {signal}: {}", self.stderr.trim())),
            (None, Some(line)) => Some(line.to_owned()),
            (None, None) => None,
        }
    }
}

fn saki(arguments: &[&str], limit: Duration) -> Outcome {
    // The release build that `cargo xtask test` made, or the one that belongs to this test.
    let program = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from);
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("saki starts");
    let stdout = read_aside(child.stdout.take().expect("piped"));
    let stderr = read_aside(child.stderr.take().expect("piped"));
    let started = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break Some(status),
            None if started.elapsed() > limit => {
                child.kill().expect("still there");
                child.wait().expect("killed");
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    Outcome { status, stdout: stdout.join().expect("a reader"), stderr: stderr.join().expect("a reader") }
}

fn read_aside(stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Changed programs may print without end.
        let _ = stream.take(1 << 20).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A damaged file and what was done to it.
struct Damaged {
    what: String,
    bytes: Vec<u8>,
}

/// The same damage in every run: cuts at equal distances, then single bytes changed at places that a xorshift generator chooses.
fn damage(whole: &[u8], cuts: usize, flips: usize) -> Vec<Damaged> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut cases = Vec::with_capacity(cuts + flips);
    for cut in 0..cuts {
        let length = whole.len() * cut / cuts;
        cases.push(Damaged { what: format!("cut to {length} bytes"), bytes: whole[..length].to_vec() });
    }
    for _ in 0..flips {
        let place = (random() % whole.len() as u64) as usize;
        let change = 1 + (random() % 255) as u8;
        let mut bytes = whole.to_vec();
        bytes[place] ^= change;
        cases.push(Damaged { what: format!("byte {place} changed by {change:#04x}"), bytes });
    }
    cases
}

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Compiles one of the programs of `tests/programs`.
fn compile(name: &str, folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs").join(format!("{name}.cs"));
    let executable = folder.join(format!("{name}.exe"));
    let output = Command::new("mcs")
        .args(["-nologo", "-unsafe", "-langversion:7.2", "-warn:0"])
        .arg(format!("-out:{}", executable.display()))
        .arg(source)
        .output()
        .expect("mcs is installed (mono-mcs)");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    executable
}

/// Does something with each case, two at a time, each in a folder of its own; fails with a list of what went wrong.
fn for_each(folder: &Path, cases: &[Damaged], check: impl Fn(&Path, &Damaged) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (next, failures, check) = (&next, &failures, &check);
            scope.spawn(move || {
                let folder = folder.join(worker.to_string());
                std::fs::create_dir_all(&folder).expect("writable");
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(what) = check(&folder, case) {
                        failures.lock().expect("no panic").push(format!("{}: {what}", case.what));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn compiling_damaged_assemblies() {
    let folder = folder("compile");
    let whole = std::fs::read(compile("exceptions", &folder)).expect("compiled");
    for_each(&folder, &damage(&whole, CUTS, FLIPS), |folder, case| {
        let file = folder.join("damaged.exe");
        std::fs::write(&file, &case.bytes).expect("writable");
        let option = format!("--aot=print-skipped,threads=1,outfile={}", folder.join("damaged.so").display());
        let outcome = saki(&[&option, &file.to_string_lossy()], COMPILE_LIMIT);
        match (outcome.crash(), outcome.status.and_then(|status| status.code())) {
            (Some(crash), _) => Err(crash),
            (None, None) => Err("hangs".to_owned()),
            (None, Some(0)) => Ok(()),
            (None, Some(1)) if !outcome.stderr.trim().is_empty() => Ok(()),
            (None, Some(code)) => Err(format!("exit code {code}: {}", outcome.stderr)),
        }
    });
}

#[test]
fn running_damaged_assemblies() {
    let folder = folder("run");
    let whole = std::fs::read(compile("exceptions", &folder)).expect("compiled");
    let cases = damage(&whole, CUTS / 10, FLIPS / 10);
    let loops = AtomicUsize::new(0);
    for_each(&folder, &cases, |folder, case| {
        let file = folder.join("damaged.exe");
        std::fs::write(&file, &case.bytes).expect("writable");
        let outcome = saki(&["-O=-aot", &file.to_string_lossy()], RUN_LIMIT);
        if outcome.status.is_none() {
            loops.fetch_add(1, Ordering::Relaxed);
        }
        outcome.crash().map_or(Ok(()), Err)
    });
    assert!(loops.into_inner() <= cases.len() / RUNS_PER_LOOP, "too many runs hang");
}

#[test]
fn damaged_images_are_refused() {
    let folder = folder("image");
    let program = compile("values", &folder);
    let image = folder.join("values.exe.so");
    let option = format!("--aot=outfile={}", image.display());
    let compiled = saki(&[&option, &program.to_string_lossy()], COMPILE_LIMIT);
    assert!(compiled.status.is_some_and(|status| status.success()), "{}", compiled.stderr);
    let whole = std::fs::read(&image).expect("written");
    assert!(aot_writer::reader::open(&whole).is_ok());
    let cases = damage(&whole, CUTS, FLIPS);
    for case in &cases {
        assert!(aot_writer::reader::open(&case.bytes).is_err(), "{}", case.what);
    }

    // The same refusal where it matters: the program runs all the same.
    let assembly = std::fs::read(&program).expect("compiled");
    let expected = saki(&["-O=-aot", &program.to_string_lossy()], RUN_LIMIT).stdout;
    assert!(!expected.is_empty());
    let sample: Vec<Damaged> = cases.into_iter().step_by((CUTS + FLIPS) / 20).collect();
    for_each(&folder, &sample, |folder, case| {
        let file = folder.join("values.exe");
        std::fs::write(&file, &assembly).expect("writable");
        std::fs::write(folder.join("values.exe.so"), &case.bytes).expect("writable");
        let outcome = saki(&[&file.to_string_lossy()], RUN_LIMIT);
        match outcome.crash() {
            Some(crash) => Err(crash),
            None if outcome.stdout != expected => Err(format!("prints something else: {}", outcome.stderr)),
            None => Ok(()),
        }
    });
}

/// Faults of all kinds; the command line chooses one.
const WILD_POINTERS: &str = "
.assembly extern mscorlib {}
.assembly wild {}
.class public Program {
  .method static void Jump() cil managed { ldc.i4 0x1234 conv.i calli void() ret }
  .method static void Store() cil managed { ldc.i8 0x123456789000 conv.i ldc.i4.1 stind.i4 ret }
  .method static void Call() cil managed { ldc.i8 0x123456789008 conv.i callvirt instance string object::ToString() pop ret }
  .method static void Cast() cil managed { .locals (native int x) ldc.i8 0x123456789008 conv.i stloc.0 ldloca 0 ldind.ref castclass string pop ret }
  .method static void Frame() cil managed { .locals (int32 x) ldloca 0 ldc.i4 0x41414141 ldc.i4 4000 initblk ret }
  .method static void Main(string[] a) cil managed {
    .entrypoint
    ldarg.0 ldc.i4.0 ldelem.ref call int32 int32::Parse(string)
    switch (J, S, C, K, F)
    ret
    J: call void Program::Jump() ret
    S: call void Program::Store() ret
    C: call void Program::Call() ret
    K: call void Program::Cast() ret
    F: call void Program::Frame() ret
  }
}";

#[test]
fn wild_pointers_are_reported() {
    let folder = folder("wild");
    let (source, program) = (folder.join("wild.il"), folder.join("wild.exe"));
    std::fs::write(&source, WILD_POINTERS).expect("writable");
    let assembled = Command::new("ilasm").arg(format!("/output:{}", program.display())).arg(&source).output();
    let assembled = assembled.expect("ilasm is installed (mono-utils or mono-devel)");
    assert!(assembled.status.success(), "{}", String::from_utf8_lossy(&assembled.stdout));
    for fault in ["0", "1", "2", "3", "4"] {
        let outcome = saki(&["-O=-aot", &program.to_string_lossy(), fault], COMPILE_LIMIT);
        let said = outcome.stderr.starts_with("saki: fault at 0x") || outcome.stderr.contains("System.NullReferenceException");
        let code = outcome.status.and_then(|status| status.code());
        assert!(code == Some(1) && said, "fault {fault}: {:?}: {}", outcome.status, outcome.stderr);
    }
}
