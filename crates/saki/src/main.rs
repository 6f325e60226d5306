//! The saki command: from the command line to what does the work, and back to an exit code.

mod aot;
mod diff;
mod gc_parameters;
mod options;
mod target;
mod usage;

use gc_parameters::GcParameters;
use options::{Command, Settings, UsageError};
use runtime::{MethodPatterns, Options};
use std::path::Path;
use std::process::ExitCode;

/// Compilation makes and drops many small vectors, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runtime::report::process_started();
    runtime::unhandled::report_panics();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let code = match options::with_environment(words).and_then(|words| options::parse(&words)) {
        Ok((command, settings)) => execute(command, settings),
        Err(UsageError { message, exit_code }) => {
            match message.as_str() {
                "" => print!("{}", usage::USAGE),
                line => eprintln!("{line}"),
            }
            exit_code
        }
    };
    ExitCode::from(code as u8)
}

fn execute(command: Command, settings: Settings) -> i32 {
    match command {
        Command::Run { program, arguments } => run(&program, &arguments, &settings),
        Command::CompileMethod { method, program } => compile_method(&program, &method, &settings),
        Command::CompileAll { program } => compile_all(&program, &settings),
        Command::Aot { files, options } => aot::run(&files, &options, &settings),
        Command::Diff(options) => diff::run(&options, &settings),
        Command::Version => print_text(&usage::version()),
        Command::VersionNumber => print_text(&format!("{}\n", env!("CARGO_PKG_VERSION"))),
        Command::Help => print_text(usage::USAGE),
        Command::HelpDeveloper => print_text(usage::USAGE_DEVELOPER),
        Command::ListOptimizations => print_text(&usage::optimizations()),
    }
}

fn print_text(text: &str) -> i32 {
    print!("{text}");
    0
}

fn runtime_options(program: &Path, settings: &Settings) -> Options {
    let mut options = Options::default();
    options.application_folders.extend(program.canonicalize().ok().and_then(|path| path.parent().map(Path::to_path_buf)));
    options.passes.flags = settings.optimizations;
    options.passes.print_before.clone_from(&settings.print_before);
    options.passes.print_after.clone_from(&settings.print_after);
    options.passes.opt_bisect_limit = settings.opt_bisect_limit;
    options.passes.time_passes = settings.time_passes;
    options.aot.enabled = settings.optimizations.mono("aot") && settings.trace.is_none() && !settings.interpreter;
    options.aot.paths.clone_from(&settings.aot_path);
    options.debug = settings.debug;
    options.interpreter = settings.interpreter;
    options.trace_compilation = settings.verbose > 0;
    options.trace.clone_from(&settings.trace);
    let patterns = std::env::var("MONO_VERBOSE_METHOD").unwrap_or_default();
    options.trace_compilation_of = MethodPatterns::parse(&patterns);
    options.statistics = settings.statistics;
    options.jit_map = settings.jit_map;
    options.dump_code.clone_from(&settings.dump_code);
    options
}

/// How many nurseries fit into a heap of limited size.
const NURSERIES_PER_HEAP: u64 = 16;

/// Starts the runtime and loads the program; a failure is reported and gives the exit code.
fn load(program: &Path, settings: &Settings) -> Result<(&'static runtime::Runtime, il::types::AssemblyId), i32> {
    let host = target::host();
    if let Some(other) = settings.target.filter(|target| target.architecture != host.architecture) {
        eprintln!("--target={} is for --aot; programs run on {} here", other.name(), host.name());
        return Err(1);
    }
    if !program.exists() {
        eprintln!("Cannot open assembly '{}': No such file or directory.", program.display());
        return Err(2);
    }
    let parameters = GcParameters::from_environment();
    eprint!("{}", parameters.messages);
    if parameters.is_wrong {
        return Err(1);
    }
    let mut options = runtime_options(program, settings);
    if let Some(heap) = parameters.max_heap {
        options.gc.maximum_heap = heap as usize;
        options.gc.minimum_heap = options.gc.minimum_heap.min(heap as usize);
    }
    // Near the end of a small heap a large nursery would have it collected again and again for little.
    let nursery = parameters.nursery.or(parameters.max_heap.map(|heap| heap / NURSERIES_PER_HEAP));
    options.gc.nursery = nursery.map(|size| size as usize);
    let runtime = runtime::start(options, (host.backend)()).map_err(|error| {
        eprintln!("saki: {error}");
        1
    })?;
    let assembly = runtime.load_program(program).map_err(|exception| {
        let reason = exception.describe();
        eprintln!("Cannot open assembly '{}': File does not contain a valid CIL image. ({reason})", program.display());
        2
    })?;
    Ok((runtime, assembly))
}

fn run(program: &Path, arguments: &[String], settings: &Settings) -> i32 {
    match load(program, settings) {
        Ok((runtime, assembly)) if runtime.types.assembly(assembly).entry_point().is_none() => {
            let path = program.canonicalize().unwrap_or_else(|_| program.to_path_buf());
            eprintln!("Assembly '{}' doesn't have an entry point.", path.display());
            1
        }
        Ok((runtime, assembly)) => runtime.finish(runtime.run_main(assembly, arguments)),
        Err(code) => code,
    }
}

/// `--compile-all`: compiles all methods of an assembly.
fn compile_all(program: &Path, settings: &Settings) -> i32 {
    let (runtime, assembly) = match load(program, settings) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match runtime.compile_all(assembly) {
        Ok(failed) => {
            for (method, exception) in &failed {
                let name = runtime.types.method_full_name(*method);
                println!("Compilation of {name} failed with exception '{}'", exception.describe());
            }
            i32::from(!failed.is_empty())
        }
        Err(exception) => {
            eprintln!("{}", exception.describe());
            1
        }
    }
}

/// Mono's exit code where `--compile` finds no method.
const NO_SUCH_METHOD: i32 = 3;

/// `--compile`: compiles all methods of that name and says where their code is.
fn compile_method(program: &Path, name: &str, settings: &Settings) -> i32 {
    if !name.contains(':') {
        eprintln!("Invalid method name {name}");
        return NO_SUCH_METHOD;
    }
    let (runtime, assembly) = match load(program, settings) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match runtime.compile_named(assembly, name) {
        Ok(0) => {
            eprintln!("Cannot find method {name}");
            NO_SUCH_METHOD
        }
        Ok(_) => 0,
        Err(exception) => {
            eprintln!("{name}: {}", exception.describe());
            1
        }
    }
}
