//! Compiles every method of an assembly, outside of a runtime, and reports failures, times and sizes.
//!
//! `compile_assembly [FILE] [--target=amd64|x86|arm] [-O=LIST] [--threads=N] [--verify] [--check] [--only=TEXT] [--print=PASS] [--dump] [--slowest=N]`
//!
//! Times are CPU times. The target is amd64 unless it is named. `--verify` verifies the IR after every pass, `--check` proves every register allocation, `--only` takes
//! the methods whose full name contains the text, `--print` prints them after a pass, `--dump` disassembles them.
//! Panics count as failures if the profile unwinds.

#[path = "../tests/common/mod.rs"]
mod common;

use amd64::Amd64;
use arm::Arm;
use common::TestEnv;
use compiler::abi::{HelperId, legalize_options};
use compiler::env::MethodEnv;
use compiler::inline_source::MethodBodies;
use compiler::{ImportFlags, import_method};
use il::types::MethodId;
use ir::expand::ExpandOptions;
use ir::legalize::LegalizeOptions;
use ir::mach::pipeline::{self, Target};
use ir::mach::{Backend, CodegenOptions, LinkModel};
use ir::pass_manager::{PassContext, PassManager, PassOptions, PassReport};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use x86::X86;

const STEPS: [&str; 5] = ["import", "passes", "lower", "allocate", "emit"];

struct Settings {
    file: Option<String>,
    target: String,
    passes: PassOptions,
    threads: usize,
    check: bool,
    only: Option<String>,
    dump: bool,
    slowest: usize,
}

fn settings() -> Result<Settings, String> {
    let mut settings = Settings {
        file: None,
        target: "amd64".to_string(),
        passes: PassOptions { verify: false, time_passes: true, ..PassOptions::default() },
        threads: 1,
        check: false,
        only: None,
        dump: false,
        slowest: 10,
    };
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{text}: {error}"));
    for argument in std::env::args().skip(1) {
        match argument.split_once('=').unwrap_or((&argument, "")) {
            ("--target", name) => settings.target = name.to_string(),
            ("-O", list) => settings.passes.flags.apply(list)?,
            ("--threads", count) => settings.threads = number(count)?.max(1),
            ("--slowest", count) => settings.slowest = number(count)?,
            ("--only", text) => settings.only = Some(text.to_string()),
            ("--print", pass) => settings.passes.print_after.push(pass.to_string()),
            ("--verify", _) => settings.passes.verify = true,
            ("--check", _) => settings.check = true,
            ("--dump", _) => settings.dump = true,
            (option, _) if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ => settings.file = Some(argument),
        }
    }
    Ok(settings)
}

/// CPU time of this thread so far.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours, which the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Measures consecutive steps.
struct Clock(Duration);

impl Clock {
    fn lap(&mut self) -> Duration {
        let now = cpu_time();
        now - std::mem::replace(&mut self.0, now)
    }
}

/// What one thread found out.
#[derive(Default)]
struct Report {
    compiled: usize,
    steps: [Duration; STEPS.len()],
    total: Duration,
    code_bytes: usize,
    instructions: usize,
    relocations: usize,
    passes: PassReport,
    failures: BTreeMap<String, (usize, String)>,
    methods: Vec<(Duration, usize, MethodId)>,
}

impl Report {
    fn fail(&mut self, reason: String, method: String) {
        self.failures.entry(reason).or_insert((0, method)).0 += 1;
    }
    fn merge(&mut self, other: Report) {
        self.compiled += other.compiled;
        for (sum, time) in self.steps.iter_mut().zip(other.steps) {
            *sum += time;
        }
        self.total += other.total;
        self.code_bytes += other.code_bytes;
        self.instructions += other.instructions;
        self.relocations += other.relocations;
        self.passes.merge(&other.passes);
        for (reason, (count, method)) in other.failures {
            self.failures.entry(reason).or_insert((0, method)).0 += count;
        }
        self.methods.extend(other.methods);
    }
}

struct Compilation<'a, T> {
    env: &'a TestEnv,
    settings: &'a Settings,
    target: T,
    manager: PassManager,
    expand: ExpandOptions,
    legalize: LegalizeOptions,
    codegen: CodegenOptions,
}

impl<T: Target + Sync> Compilation<'_, T> {
    fn method(&self, method: MethodId, context_report: &mut PassReport, report: &mut Report) -> Result<usize, String> {
        let flags = ImportFlags { intrinsics: self.settings.passes.flags.mono("intrins"), ..ImportFlags::default() };
        let mut clock = Clock(cpu_time());
        let imported = import_method(self.env, method, flags).map_err(|error| format!("import: {error}"))?;
        let mut function = imported.function;
        report.steps[0] += clock.lap();
        let mut bodies = MethodBodies::new(self.env, flags, method, imported.callees);
        let (expand, legalize) = (Some(&self.expand), Some(&self.legalize));
        let mut context = PassContext { inline: Some(&mut bodies), expand, legalize, ..PassContext::default() };
        std::mem::swap(&mut context.report, context_report);
        let passes = self.manager.run(&mut function, &mut context).map_err(|error| format!("passes: {error}"));
        std::mem::swap(&mut context.report, context_report);
        passes?;
        report.steps[1] += clock.lap();
        if self.settings.dump {
            return self.dump(&function);
        }
        let target = &self.target;
        let lowered = pipeline::lower(target, &function, &self.codegen).map_err(|error| format!("lower: {error}"))?;
        report.steps[2] += clock.lap();
        let allocation = pipeline::allocate(target, &lowered, &self.codegen).map_err(|error| format!("allocate: {error}"))?;
        report.steps[3] += clock.lap();
        let code =
            pipeline::emit(target, &function, &self.codegen, &lowered, &allocation).map_err(|error| format!("emit: {error}"))?;
        report.steps[4] += clock.lap();
        report.instructions += lowered.lowered.code.insts.len();
        report.relocations += code.relocs.len();
        report.code_bytes += code.bytes.len();
        Ok(code.bytes.len())
    }

    fn dump(&self, function: &ir::Function) -> Result<usize, String> {
        let (code, dump) = self.env.backend().compile_verbose(function, &self.codegen).map_err(|error| error.to_string())?;
        println!("{}\n{function}\n{}\n{}\n{}", function.name, dump.lowered, dump.allocated, dump.disassembly);
        Ok(code.bytes.len())
    }

    fn work(&self, methods: &[MethodId], next: &AtomicUsize) -> Report {
        let mut report = Report::default();
        let mut passes = PassReport::default();
        while let Some(&method) = methods.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = cpu_time();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.method(method, &mut passes, &mut report)));
            let time = cpu_time() - start;
            report.total += time;
            let name = || self.env.types().method_full_name(method);
            match outcome {
                Ok(Ok(bytes)) => {
                    report.compiled += 1;
                    report.methods.push((time, bytes, method));
                }
                Ok(Err(reason)) => report.fail(reason, name()),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
                    report.fail(format!("panic: {}", text.unwrap_or("?")), name());
                }
            }
        }
        report.passes = passes;
        report
    }
}

fn main() -> Result<(), String> {
    let settings = settings()?;
    match settings.target.as_str() {
        "amd64" => run(&settings, Box::new(Amd64), amd64::STEPS),
        "x86" => run(&settings, Box::new(X86), x86::STEPS),
        "arm" => run(&settings, Box::new(Arm), Arm),
        other => Err(format!("unknown target {other}")),
    }
}

fn run<T: Target + Sync>(settings: &Settings, backend: Box<dyn Backend>, target: T) -> Result<(), String> {
    let mut env = TestEnv::new(backend).ok_or("there are no class libraries")?;
    env.names_symbols = settings.dump || !settings.passes.print_after.is_empty();
    let env = env;
    let types = env.types();
    let assembly = match &settings.file {
        Some(path) => types.load_file(path.as_ref()).map_err(|error| error.to_string())?,
        None => types.corlib(),
    };
    let mut methods = env.methods(assembly);
    if let Some(only) = &settings.only {
        methods.retain(|&method| types.method_full_name(method).contains(only.as_str()));
    }
    let flags = settings.passes.flags;
    let compilation = Compilation {
        env: &env,
        settings,
        target,
        manager: PassManager::new(settings.passes.clone(), Box::new(std::io::stdout())),
        expand: env.expand_options(),
        legalize: legalize_options(!env.backend().divides(0)),
        codegen: CodegenOptions {
            link: LinkModel::Pic,
            thread: env.abi().thread_layout(),
            optimize_allocation: flags.pass("loop-invariant-motion"),
            check_allocation: settings.check,
            cpu_features: 0,
            raise_trap: HelperId::RaiseTrap as u16,
            resume_unwind: HelperId::ResumeUnwind as u16,
            end_filter: HelperId::EndFilter as u16,
            cell_resolver: None,
        },
    };
    let next = AtomicUsize::new(0);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let work = || compilation.work(&methods, &next);
        let threads: Vec<_> = (0..settings.threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            report.merge(thread.join().expect("workers catch panics"));
        }
    });
    print(&report, &env, settings.slowest);
    Ok(())
}

fn print(report: &Report, env: &TestEnv, slowest: usize) {
    let failed: usize = report.failures.values().map(|failure| failure.0).sum();
    let per_method = report.total.as_secs_f64() * 1e6 / report.compiled.max(1) as f64;
    println!("{} methods compiled, {failed} failed", report.compiled);
    println!("{:.3} s of CPU, {per_method:.1} µs a method", report.total.as_secs_f64());
    for (name, time) in STEPS.iter().zip(report.steps) {
        println!("{:>10.3} ms {name}", time.as_secs_f64() * 1e3);
    }
    let (bytes, instructions) = (report.code_bytes, report.instructions);
    println!("{bytes} bytes of code, {instructions} machine instructions, {} relocations", report.relocations);
    print!("{}", report.passes);
    let mut methods = report.methods.clone();
    methods.sort_unstable_by_key(|method| std::cmp::Reverse(method.0));
    for (time, bytes, method) in methods.iter().take(slowest) {
        println!("{:>10.3} ms {bytes:>8} bytes {}", time.as_secs_f64() * 1e3, env.types().method_full_name(*method));
    }
    let mut failures: Vec<_> = report.failures.iter().collect();
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.1.0));
    for (reason, (count, method)) in failures {
        println!("{count:>6} {reason} (such as {method})");
    }
}
