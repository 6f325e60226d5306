//! `cargo xtask stress`: the programs of `tests/stress` in random order under random settings. A run fails if its program finds something broken, ends by a
//! signal, takes too long or keeps growing. The seed is printed, and each failure with the command that repeats it.

use crate::cross::{self, TARGETS, Target};
use crate::shell::{capture, describe, has_command, make_image, root, run as run_command, target_folder};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The library that all programs are compiled with.
const HARNESS: &str = "Stress";
/// What a program prints last if all that it checked held.
const HELD: &str = "held";
/// Assemblies of which images are made.
const CLASS_LIBRARIES: &[&str] = &["mscorlib", "System", "System.Core"];
/// Seconds that a program may take beyond those for which it is asked to run: its last round, and more threads than processors.
const PATIENCE: u64 = 90;
/// Between two looks at a running program.
const SAMPLE: Duration = Duration::from_millis(50);
/// A program grows if its memory is larger at the end than after a third of its time by this factor, and by so many KiB.
const GROWTH: (f64, u64) = (1.5, 24 << 10);
/// It leaks if it does so again when it runs this many times as long.
const LONGER: u64 = 6;
/// Begins the comment by which a program is excused from that.
const GROWS: &str = "// grows: ";
/// No leak is told of runs that took fewer samples: they are still warming up.
const FEWEST_SAMPLES: usize = 100;

/// What the command line asks for.
struct Options {
    target: &'static Target,
    saki: Option<PathBuf>,
    minutes: f64,
    seconds: u64,
    seed: u64,
    /// Parts of names of programs, which choose.
    chosen: Vec<String>,
}

/// A program under some settings.
struct Run {
    program: String,
    settings: Vec<String>,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

/// Runs programs until the time is over. The error counts what failed.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::from(arguments)?;
    let folder = target_folder().join("stress").join(options.target.name);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let saki = match &options.saki {
        Some(saki) => saki.clone(),
        None => cross::release_saki(options.target)?,
    };
    let programs = compile_programs(&folder, &options.chosen)?;
    compile_images(&saki, options.target, &folder, &programs)?;
    println!("seed {}", options.seed);
    let mut random = Random(options.seed.max(1));
    let (started, limit) = (Instant::now(), Duration::from_secs_f64(options.minutes * 60.0));
    let (mut runs, mut failures) = (0, Vec::new());
    let mut left = Vec::new();
    while started.elapsed() < limit {
        if left.is_empty() {
            left.clone_from(&programs);
        }
        let program = left.swap_remove(random.below(left.len()));
        let run = Run::random(&mut random, program, &folder);
        let attempt = |seconds| execute(run.command(&saki, options.target, &folder, seconds), &folder, seconds);
        let words = run.in_words(&run.command(&saki, options.target, &folder, options.seconds));
        runs += 1;
        let is_known = may_grow(&run.program) || options.target.is_emulated();
        // Where a heap that has grown is the collector's choice it stays so however long the program runs.
        let again = |_| growth(&attempt(LONGER * options.seconds)?, false);
        let judge = |memory: Vec<u64>| growth(&memory, is_known).or_else(again);
        match attempt(options.seconds).and_then(judge) {
            Ok(note) => println!("{:>5} s  {words}\n         {note}", started.elapsed().as_secs()),
            Err(what) => {
                println!("{:>5} s  {words}\n         FAILED: {what}", started.elapsed().as_secs());
                failures.push((words, what));
            }
        }
    }
    println!("\n{} of {runs} runs failed, seed {}", failures.len(), options.seed);
    for (words, what) in &failures {
        println!("{words}\n    {}", what.lines().next().unwrap_or_default());
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("{} runs failed", failures.len())) }
}

impl Options {
    fn from(arguments: &[String]) -> Result<Options, String> {
        let (target, rest) = cross::take_target(arguments)?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut options = Options {
            target: target.unwrap_or(&TARGETS[0]),
            saki: None,
            minutes: 10.0,
            seconds: 10,
            seed: now.map_or(1, |time| time.as_secs()),
            chosen: Vec::new(),
        };
        for argument in &rest {
            let bad = || format!("{argument}: a number is missing");
            match argument.split_once('=') {
                Some(("--minutes", value)) => options.minutes = value.parse().map_err(|_| bad())?,
                Some(("--seconds", value)) => options.seconds = value.parse().map_err(|_| bad())?,
                Some(("--seed", value)) => options.seed = value.parse().map_err(|_| bad())?,
                Some(("--saki", value)) => options.saki = Some(value.into()),
                None if !argument.starts_with('-') => options.chosen.push(argument.clone()),
                _ => return Err(format!("unknown option {argument}")),
            }
        }
        Ok(options)
    }
}

/// Compiles the programs that are chosen; gives their names.
fn compile_programs(folder: &Path, chosen: &[String]) -> Result<Vec<String>, String> {
    let sources = root().join("tests/stress");
    let entries = fs::read_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()));
    let wanted = |name: &String| chosen.is_empty() || chosen.iter().any(|part| name.contains(part));
    let mut names: Vec<String> = names.filter(|name| name != HARNESS).filter(wanted).collect();
    names.sort();
    for name in &names {
        let mut compiler = Command::new("mcs");
        compiler.args(["-nologo", "-unsafe", "-langversion:7.2", "-warn:0", "-r:System.Core.dll"]);
        compiler.arg(format!("-out:{}", program_file(folder, name).display()));
        run_command(compiler.args([name.as_str(), HARNESS].map(|name| sources.join(format!("{name}.cs")))))?;
    }
    if names.is_empty() { Err("no such program".to_owned()) } else { Ok(names) }
}

fn program_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.exe"))
}

/// Makes images of the class libraries, and of the programs in a folder of their own, so that runs can use either alone.
fn compile_images(saki: &Path, target: &Target, folder: &Path, programs: &[String]) -> Result<(), String> {
    let libraries = CLASS_LIBRARIES.iter().map(|name| (PathBuf::from(format!("/usr/lib/mono/4.5/{name}.dll")), "libraries"));
    let programs = programs.iter().map(|name| (program_file(folder, name), "all"));
    for (assembly, kind) in libraries.chain(programs) {
        make_image(start(saki, target), &assembly, &folder.join(kind))?;
    }
    Ok(())
}

/// The beginning of a command that runs a target's `saki`.
fn start(saki: &Path, target: &Target) -> Command {
    let runner = target.runner();
    let mut words = runner.split_whitespace();
    match words.next() {
        None => Command::new(saki),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(saki);
            command
        }
    }
}

/// Passes that are left out alone; names as `saki --list-opt` gives them.
const PASSES: &[&str] = &[
    "inlining",
    "copy-propagation",
    "constant-propagation",
    "branch-cleanup",
    "scalar-replacement",
    "value-numbering",
    "null-check-removal",
    "bounds-check-removal",
    "if-conversion",
    "loop-inversion",
    "loop-invariant-motion",
    "dead-code",
    "block-layout",
];

impl Run {
    fn random(random: &mut Random, program: String, folder: &Path) -> Run {
        let images = |kinds: &[&str]| {
            let folders: Vec<String> = kinds.iter().map(|kind| format!("--aot-path={}", folder.join(kind).display())).collect();
            folders
        };
        let settings = match random.below(8) {
            0 | 1 => vec!["-O=-aot".to_owned()],
            2 => vec!["-O=-all,-aot".to_owned()],
            3 => vec!["-O=all,-aot".to_owned()],
            4 => vec![format!("-O=all,-{},-aot", PASSES[random.below(PASSES.len())])],
            5 => images(&["libraries"]),
            _ => images(&["libraries", "all"]),
        };
        let mut environment = Vec::new();
        match random.below(4) {
            // A collection every so many bytes, and at each safe point between; slow.
            0 => environment.push(("MMTK_STRESS_FACTOR", (20_000 << random.below(8)).to_string())),
            // A heap that is nearly full all the time.
            1 => environment.push(("MMTK_GC_TRIGGER", format!("FixedHeapSize:{}", 256 << 20))),
            _ => {}
        }
        if random.below(3) == 0 {
            environment.push(("MMTK_THREADS", (1 + random.below(4)).to_string()));
        }
        let threads = 1 + random.below(12);
        let seed = random.below(1_000_000);
        let arguments = vec![format!("threads={threads}"), format!("seed={seed}")];
        Run { program, settings, environment, arguments }
    }

    fn command(&self, saki: &Path, target: &Target, folder: &Path, seconds: u64) -> Command {
        let mut command = start(saki, target);
        command.args(&self.settings).arg(program_file(folder, &self.program));
        command.arg(format!("seconds={seconds}")).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The command line for a shell.
    fn in_words(&self, command: &Command) -> String {
        let variables: String = self.environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        variables + &describe(command)
    }
}

/// Whether it is known and said in the source that a program needs ever more memory.
fn may_grow(program: &str) -> bool {
    let source = root().join("tests/stress").join(format!("{program}.cs"));
    fs::read_to_string(source).is_ok_and(|text| text.lines().any(|line| line.starts_with(GROWS)))
}

/// Runs a command; gives its memory in the course of time, or what went wrong.
fn execute(mut command: Command, folder: &Path, seconds: u64) -> Result<Vec<u64>, String> {
    let (output, errors) = (folder.join("output"), folder.join("errors"));
    let file = |path: &Path| File::create(path).map_err(|error| format!("{}: {error}", path.display()));
    command.stdin(Stdio::null()).stdout(file(&output)?).stderr(file(&errors)?);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut memory = Vec::new();
    let ended = watch(&mut child, Duration::from_secs(seconds + PATIENCE), &mut memory);
    let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let Some(status) = ended? else {
        let stacks = backtraces(&child);
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("hangs\n{stacks}"));
    };
    if !status.success() || text(&output).lines().last() != Some(HELD) {
        return Err(format!("{status}; {}", text(&errors).trim()));
    }
    Ok(memory)
}

/// Waits for the end, and notes how much memory the process has (KiB) meanwhile. `None` if it takes too long.
fn watch(child: &mut Child, limit: Duration, memory: &mut Vec<u64>) -> Result<Option<ExitStatus>, String> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(Some(status));
        }
        memory.extend(resident(child.id()));
        sleep(SAMPLE);
    }
    Ok(None)
}

/// `VmRSS` of a process, in KiB.
fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Compares the least memory in the second third of a run with that in the last sixth: how much garbage comes on top tells nothing.
fn growth(memory: &[u64], is_known: bool) -> Result<String, String> {
    let least = |part: &[u64]| part.iter().copied().min().unwrap_or_default();
    let count = memory.len();
    let (warm, end) = (least(&memory[count / 3..count * 2 / 3]), least(&memory[count * 5 / 6..]));
    let note = format!("at least {} MiB after a third of the time, {} MiB at the end", warm >> 10, end >> 10);
    let (factor, difference) = GROWTH;
    let grows = end as f64 > warm as f64 * factor && end > warm + difference;
    if count >= FEWEST_SAMPLES && grows && !is_known { Err(format!("leaks: {note}")) } else { Ok(note) }
}

/// The stacks of all threads, if there is a debugger.
fn backtraces(child: &Child) -> String {
    if !has_command("gdb") {
        return String::new();
    }
    let mut debugger = Command::new("timeout");
    debugger.args(["60", "gdb", "-q", "-batch", "-ex", "thread apply all backtrace 40", "-p", &child.id().to_string()]);
    capture(&mut debugger).map_or_else(|error| error, |(output, _)| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Marsaglia's xorshift generator with 64 bits.
struct Random(u64);

impl Random {
    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}
