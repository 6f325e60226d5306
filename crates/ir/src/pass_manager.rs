//! Passes, the names that switch them, and the one place that runs them.
//!
//! A [`Pass`] is a row of data around a plain function. Verifying, dumping, timing, counting and bisecting
//! happen around the passes, in [`PassManager::run`], never inside them.

use crate::Function;
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Inst, Symbol, Value};
use crate::expand::ExpandOptions;
use crate::function::SymbolRef;
use crate::legalize::LegalizeOptions;
use crate::passes::{PASSES, PIPELINE, value_numbering};
use crate::verify::{VerifierErrors, verify};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A pass over one function.
#[derive(Clone, Copy)]
pub struct Pass {
    /// Kebab-case name: serves `-O=`, dumps, timing, statistics and tests.
    pub name: &'static str,
    /// Mono's `-O=` names that switch this pass too.
    pub mono_aliases: &'static [&'static str],
    /// When it runs.
    pub default_level: Level,
    /// Changes the function and says whether it did.
    pub run: fn(&mut Function, &mut PassContext<'_>) -> bool,
}

/// When a pass runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Always: what comes after relies on it. No flag turns it off and bisection does not count it.
    Required,
    /// Unless turned off.
    Default,
    /// Only if asked for by name or with `-O=all`.
    All,
}

/// Bodies for the inliner. The answer carries the policy, so that the pass itself knows no methods.
pub trait InlineSource {
    /// The body to put in place of a call of `callee` (a symbol of `caller`), or `None` to keep the call.
    /// Symbols of the body mean the same things as in the caller if their `SymbolRef`s are equal.
    fn body(&mut self, caller: &Function, callee: Symbol) -> Option<InlineBody>;
    /// How much may be inlined.
    fn budget(&self) -> InlineBudget {
        InlineBudget::default()
    }
}

/// The answer of an [`InlineSource`].
#[derive(Clone)]
pub struct InlineBody {
    /// The callee, in SSA form, not yet expanded.
    pub function: Arc<Function>,
    /// Inline whatever its size (`AggressiveInlining`, trivial accessors).
    pub always: bool,
    /// What the body's symbols are in the caller, by number; without it they are what the body says.
    pub symbols: Option<Arc<[SymbolRef]>>,
}

/// Limits of inlining, in instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InlineBudget {
    /// The largest callee that is inlined without being asked for.
    pub callee: u32,
    /// The size that a caller may grow to.
    pub caller: u32,
    /// How deep inlined bodies are searched for further calls.
    pub depth: u32,
}

impl Default for InlineBudget {
    fn default() -> Self {
        InlineBudget { callee: 24, caller: 2000, depth: 4 }
    }
}

/// What passes share while a function is worked on; kept from one function to the next for its memory.
#[derive(Default)]
pub struct PassContext<'a> {
    /// Bodies for the inliner, if there is to be inlining.
    pub inline: Option<&'a mut dyn InlineSource>,
    /// How objects, cells and barriers are expanded; without it they stay as they are.
    pub expand: Option<&'a ExpandOptions>,
    /// The helpers for what 32-bit machines lack; without it 64-bit integers stay as they are.
    pub legalize: Option<&'a LegalizeOptions>,
    /// Counters and times of all functions so far.
    pub report: PassReport,
    /// Memory to reuse. Contents are unspecified when a pass starts.
    pub scratch: Scratch,
}

impl PassContext<'_> {
    /// Adds to a statistics counter.
    pub fn count(&mut self, counter: &'static str, amount: u64) {
        *self.report.counters.entry(counter).or_default() += amount;
    }
}

/// Vectors that passes may reuse.
#[derive(Default)]
pub struct Scratch {
    /// Block order and dominators; call [`ControlFlow::ensure`] before use. Whoever runs a pass invalidates it when edges
    /// changed, as [`PassManager`] does after every pass that changed something.
    pub control_flow: ControlFlow,
    /// Any instructions.
    pub insts: Vec<Inst>,
    /// Any blocks.
    pub blocks: Vec<Block>,
    /// Any values.
    pub values: Vec<Value>,
    /// Any numbers, such as one for each value.
    pub numbers: Vec<u32>,
    /// The tables of value numbering.
    pub(crate) numbering: value_numbering::Tables,
}

/// What the passes did: `--time-passes` and `--stats`.
#[derive(Clone, Default, Debug)]
pub struct PassReport {
    /// Counters by name.
    pub counters: BTreeMap<&'static str, u64>,
    /// By pass: how often it ran, how often it changed something, and for how long.
    pub passes: BTreeMap<&'static str, PassTime>,
}

/// One row of [`PassReport::passes`].
#[derive(Clone, Copy, Default, Debug)]
pub struct PassTime {
    /// Executions.
    pub runs: u64,
    /// Executions that changed the function.
    pub changes: u64,
    /// Wall time, zero unless asked for.
    pub time: Duration,
}

impl PassReport {
    /// Adds another thread's figures.
    pub fn merge(&mut self, other: &PassReport) {
        for (name, amount) in &other.counters {
            *self.counters.entry(name).or_default() += amount;
        }
        for (name, row) in &other.passes {
            let own = self.passes.entry(name).or_default();
            own.runs += row.runs;
            own.changes += row.changes;
            own.time += row.time;
        }
    }
}

impl fmt::Display for PassReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, row) in &self.passes {
            writeln!(f, "{:>10.3} ms {:>8} runs {:>8} changes  {name}", row.time.as_secs_f64() * 1e3, row.runs, row.changes)?;
        }
        for (name, amount) in &self.counters {
            writeln!(f, "{amount:>10} {name}")?;
        }
        Ok(())
    }
}

/// Mono's `-O=` names. Those that no pass lists as an alias only set a flag, which others may ask for with
/// [`OptimizationFlags::mono`].
pub const MONO_NAMES: &[&str] = &[
    "peephole",
    "branch",
    "inline",
    "cfold",
    "consprop",
    "copyprop",
    "deadce",
    "linears",
    "cmov",
    "shared",
    "sched",
    "intrins",
    "tailc",
    "loop",
    "fcmov",
    "leaf",
    "aot",
    "precomp",
    "abcrem",
    "ssapre",
    "exception",
    "ssa",
    "float32",
    "sse2",
    "gsharedvt",
    "gshared",
    "simd",
    "unsafe",
    "alias-analysis",
];

/// Names that `all` does not turn on, as with Mono: they change what code means, not how fast it is.
const NOT_IN_ALL: &[&str] = &["precomp", "unsafe", "gsharedvt"];
/// Mono's names that are off unless asked for.
const NOT_BY_DEFAULT: &[&str] = &["precomp", "unsafe", "gsharedvt", "leaf", "ssapre", "float32"];

/// Which passes and flags are on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptimizationFlags {
    /// Bit `n`: `PASSES[n]`.
    passes: u64,
    /// Bit `n`: `MONO_NAMES[n]`.
    mono: u64,
}

impl Default for OptimizationFlags {
    fn default() -> Self {
        OptimizationFlags {
            passes: pass_mask(|pass| pass.default_level != Level::All),
            mono: mono_mask(|name| !NOT_BY_DEFAULT.contains(&name)),
        }
    }
}

fn pass_mask(choose: impl Fn(&Pass) -> bool) -> u64 {
    PASSES.iter().enumerate().filter(|(_, pass)| choose(pass)).fold(0, |mask, (index, _)| mask | 1 << index)
}

fn mono_mask(choose: impl Fn(&str) -> bool) -> u64 {
    MONO_NAMES.iter().enumerate().filter(|(_, name)| choose(name)).fold(0, |mask, (index, _)| mask | 1 << index)
}

impl OptimizationFlags {
    /// Every pass and every harmless flag on: `-O=all`.
    pub fn all() -> Self {
        OptimizationFlags { passes: pass_mask(|_| true), mono: mono_mask(|name| !NOT_IN_ALL.contains(&name)) }
    }
    /// Only what is required: `-O=-all`.
    pub fn none() -> Self {
        OptimizationFlags { passes: pass_mask(|pass| pass.default_level == Level::Required), mono: 0 }
    }
    /// Applies the text after `-O=`: names separated by commas, `-` before a name turns it off, the last one wins.
    /// An unknown name gives a message that lists the valid ones.
    pub fn apply(&mut self, text: &str) -> Result<(), String> {
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, on) = match item.strip_prefix('-') {
                Some(name) => (name, false),
                None => (item, true),
            };
            if name == "all" {
                *self = if on { Self::all() } else { Self::none() };
                continue;
            }
            let passes = pass_mask(|pass| pass.name == name || pass.mono_aliases.contains(&name));
            let mono = mono_mask(|known| known == name);
            if passes == 0 && mono == 0 {
                return Err(format!("Invalid optimization name `{name}'; valid names: {}", Self::valid_names().join(", ")));
            }
            if on {
                self.passes |= passes;
                self.mono |= mono;
            } else {
                self.passes &= !passes | Self::none().passes;
                self.mono &= !mono;
            }
        }
        Ok(())
    }
    /// All names that [`apply`](Self::apply) takes: `all`, our passes, then Mono's names.
    pub fn valid_names() -> Vec<&'static str> {
        let mut names = vec!["all"];
        names.extend(PASSES.iter().map(|pass| pass.name));
        for name in MONO_NAMES {
            if !names.contains(name) {
                names.push(name);
            }
        }
        names
    }
    /// Whether the pass of this name is on.
    pub fn pass(&self, name: &str) -> bool {
        self.passes & pass_mask(|pass| pass.name == name) != 0
    }
    /// Whether Mono's flag of this name is on.
    pub fn mono(&self, name: &str) -> bool {
        self.mono & mono_mask(|known| known == name) != 0
    }
}

/// The registered pass of this name.
pub fn find_pass(name: &str) -> Option<&'static Pass> {
    PASSES.iter().copied().find(|pass| pass.name == name)
}

/// What to run and what to watch.
#[derive(Clone, Debug)]
pub struct PassOptions {
    /// Which passes run.
    pub flags: OptimizationFlags,
    /// Verify after every pass that changed something.
    pub verify: bool,
    /// Names of passes before which the function is printed; `all` means each.
    pub print_before: Vec<String>,
    /// Names of passes after which the function is printed; `all` means each.
    pub print_after: Vec<String>,
    /// Measure time.
    pub time_passes: bool,
    /// Run only the first so many executions of passes that are not required.
    pub opt_bisect_limit: Option<u64>,
}

impl Default for PassOptions {
    fn default() -> Self {
        PassOptions {
            flags: OptimizationFlags::default(),
            verify: cfg!(debug_assertions),
            print_before: Vec::new(),
            print_after: Vec::new(),
            time_passes: false,
            opt_bisect_limit: None,
        }
    }
}

impl PassOptions {
    /// Whether functions are printed, so that names in them matter.
    pub fn prints(&self) -> bool {
        !self.print_before.is_empty() || !self.print_after.is_empty()
    }
}

/// A pass left a broken function behind.
#[derive(Debug)]
pub struct PassError {
    /// The pass; `input` if the function was broken before the first.
    pub pass: &'static str,
    /// What is wrong.
    pub errors: VerifierErrors,
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after pass {}: {}", self.pass, self.errors)
    }
}

impl std::error::Error for PassError {}

fn is_on(options: &PassOptions, pass: &Pass) -> bool {
    pass.default_level == Level::Required || options.flags.pass(pass.name)
}

/// Runs the pipeline. Shared by all compiling threads; what belongs to one thread is in its [`PassContext`].
pub struct PassManager {
    options: PassOptions,
    /// The passes of [`PIPELINE`] that are on.
    pipeline: Vec<&'static Pass>,
    /// Counted executions so far, for bisection.
    executions: AtomicU64,
    /// Memory that nobody uses at the moment.
    scratch: Mutex<Vec<Scratch>>,
    sink: Mutex<Box<dyn Write + Send>>,
}

impl PassManager {
    /// A manager that writes dumps and bisection lines to `sink`.
    pub fn new(options: PassOptions, sink: Box<dyn Write + Send>) -> PassManager {
        let pipeline = PIPELINE.iter().copied().filter(|pass| is_on(&options, pass)).collect();
        PassManager { options, pipeline, executions: AtomicU64::new(0), scratch: Mutex::default(), sink: Mutex::new(sink) }
    }
    /// Its options.
    pub fn options(&self) -> &PassOptions {
        &self.options
    }
    /// Memory for a [`PassContext`], used before if there is any.
    pub fn take_scratch(&self) -> Scratch {
        self.scratch.lock().ok().and_then(|mut unused| unused.pop()).unwrap_or_default()
    }
    /// Takes the memory of a context back.
    pub fn return_scratch(&self, scratch: Scratch) {
        if let Ok(mut unused) = self.scratch.lock() {
            unused.push(scratch);
        }
    }
    /// Runs the passes of [`PIPELINE`] that are on.
    pub fn run(&self, function: &mut Function, context: &mut PassContext<'_>) -> Result<(), PassError> {
        self.run_passes(&self.pipeline, function, context)
    }
    /// Runs these passes, whatever the flags say.
    pub fn run_passes(
        &self,
        pipeline: &[&'static Pass],
        function: &mut Function,
        context: &mut PassContext<'_>,
    ) -> Result<(), PassError> {
        if self.options.verify {
            verify(function).map_err(|errors| PassError { pass: "input", errors })?;
        }
        // How often the function changed so far, and by pass, how often it had changed when the pass was done. A pass that
        // finds the function as it left it has nothing to do.
        context.scratch.control_flow.invalidate();
        let mut version = 1u32;
        let mut left_at = [0u32; 64];
        for pass in pipeline {
            let number = PASSES.iter().position(|known| std::ptr::eq(*known, *pass));
            let unchanged = number.is_some_and(|number| left_at[number] == version);
            if unchanged || !self.bisect(pass, function) {
                continue;
            }
            version += u32::from(self.run_one(pass, function, context)?);
            if let Some(number) = number {
                left_at[number] = version;
            }
        }
        Ok(())
    }

    /// Counts an execution and says whether it is within the limit.
    fn bisect(&self, pass: &Pass, function: &Function) -> bool {
        let Some(limit) = self.options.opt_bisect_limit else { return true };
        if pass.default_level == Level::Required {
            return true;
        }
        let number = self.executions.fetch_add(1, Ordering::Relaxed) + 1;
        let run = number <= limit;
        let verb = if run { "running" } else { "NOT running" };
        self.write(format_args!("BISECT: {verb} pass ({number}) {} on {}\n", pass.name, function.name));
        run
    }

    /// Runs a pass and says whether it changed anything.
    fn run_one(&self, pass: &'static Pass, function: &mut Function, context: &mut PassContext<'_>) -> Result<bool, PassError> {
        let wants = |names: &[String]| names.iter().any(|name| name == pass.name || name == "all");
        if wants(&self.options.print_before) {
            self.write(format_args!("; {} before {}\n{function}\n", function.name, pass.name));
        }
        let start = self.options.time_passes.then(Instant::now);
        let changed = (pass.run)(function, context);
        if changed {
            context.scratch.control_flow.invalidate();
        }
        let row = context.report.passes.entry(pass.name).or_default();
        row.runs += 1;
        row.changes += u64::from(changed);
        row.time += start.map_or(Duration::ZERO, |start| start.elapsed());
        if wants(&self.options.print_after) {
            self.write(format_args!("; {} after {}\n{function}\n", function.name, pass.name));
        }
        if self.options.verify && changed {
            verify(function).map_err(|errors| PassError { pass: pass.name, errors })?;
        }
        Ok(changed)
    }

    /// Writes a diagnostic. A sink that is closed must not stop a compilation, so errors are dropped.
    fn write(&self, text: fmt::Arguments<'_>) {
        if let Ok(mut sink) = self.sink.lock() {
            let _ = sink.write_fmt(text);
        }
    }
}
