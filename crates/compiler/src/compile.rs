//! The pipeline of one method: import, passes with expansion, code generation.

use crate::abi::legalize_options;
use crate::env::MethodEnv;
use crate::guard::guarded;
use crate::importer::{ImportError, ImportFlags, ImportedMethod, import_method};
use crate::inline_source::MethodBodies;
use il::types::{MethodId, TypeId};
use ir::Function;
use ir::expand::ExpandOptions;
use ir::function::RegionData;
use ir::inline_sites::InlineSite;
use ir::legalize::LegalizeOptions;
use ir::mach::{CodegenError, CodegenOptions, CompiledCode};
use ir::pass_manager::{PassContext, PassError, PassManager, PassReport};
use std::fmt;
use std::time::{Duration, Instant};

/// How to compile.
pub struct CompileOptions<'a> {
    /// What the importer may do.
    pub import: ImportFlags,
    /// Runs the passes; shared by all threads.
    pub passes: &'a PassManager,
    /// How object operations are expanded.
    pub expand: &'a ExpandOptions,
    /// Settings of the back end.
    pub codegen: CodegenOptions,
}

/// Machine code of a method and what belongs to it.
#[derive(Clone, Debug)]
pub struct CompiledMethod {
    /// The code.
    pub code: CompiledCode,
    /// The protected regions that its sites name.
    pub regions: Vec<RegionData>,
    /// The caught type of each catch handler's number.
    pub catch_types: Vec<TypeId>,
    /// Methods whose IL is part of the code.
    pub inlined: Vec<MethodId>,
    /// The calls in whose place their bodies stand.
    pub inline_sites: Vec<InlineSite<MethodId>>,
    /// Where the time went.
    pub times: CompileTimes,
    /// What the passes did.
    pub passes: PassReport,
}

/// Wall time of the steps.
#[derive(Clone, Copy, Default, Debug)]
pub struct CompileTimes {
    /// IL to SSA.
    pub import: Duration,
    /// Passes, with the import of inlined bodies.
    pub passes: Duration,
    /// Code generation.
    pub codegen: Duration,
}

/// Why there is no code.
#[derive(Debug)]
pub enum CompileError {
    /// The method has no function.
    Import(ImportError),
    /// A pass broke the function.
    Pass(PassError),
    /// The back end gave up.
    Codegen(CodegenError),
    /// The compiler broke an assumption of its own, see [`guard`](crate::guard).
    Internal(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Import(error) => error.fmt(f),
            CompileError::Pass(error) => error.fmt(f),
            CompileError::Codegen(error) => error.fmt(f),
            CompileError::Internal(message) => write!(f, "internal error: {message}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// Compiles a canonical method.
pub fn compile_method(
    env: &dyn MethodEnv,
    method: MethodId,
    options: &CompileOptions<'_>,
) -> Result<CompiledMethod, CompileError> {
    guarded(|| import_and_compile(env, method, options)).unwrap_or_else(|message| Err(CompileError::Internal(message)))
}

fn import_and_compile(
    env: &dyn MethodEnv,
    method: MethodId,
    options: &CompileOptions<'_>,
) -> Result<CompiledMethod, CompileError> {
    let start = Instant::now();
    let imported = import_method(env, method, options.import).map_err(CompileError::Import)?;
    let import = start.elapsed();
    let mut compiled = compile_imported(env, method, imported, options)?;
    compiled.times.import = import;
    Ok(compiled)
}

/// Compiles what was imported or made otherwise (stubs of delegates).
pub fn compile_imported(
    env: &dyn MethodEnv,
    method: MethodId,
    imported: ImportedMethod,
    options: &CompileOptions<'_>,
) -> Result<CompiledMethod, CompileError> {
    let ImportedMethod { mut function, catch_types, callees, .. } = imported;
    let start = Instant::now();
    let mut bodies = MethodBodies::new(env, options.import, method, callees);
    let legalize = legalize_options(!env.backend().divides(options.codegen.cpu_features));
    let report = run_passes(&mut function, &mut bodies, options, &legalize)?;
    let passes = start.elapsed();
    let start = Instant::now();
    let code = env.backend().compile(&function, &options.codegen).map_err(CompileError::Codegen)?;
    let times = CompileTimes { import: Duration::ZERO, passes, codegen: start.elapsed() };
    let regions = function.regions.values().cloned().collect();
    let inline_sites = bodies.inline_sites(&function);
    Ok(CompiledMethod { code, regions, catch_types, inlined: bodies.into_inlined(), inline_sites, times, passes: report })
}

fn run_passes(
    function: &mut Function,
    bodies: &mut MethodBodies<'_>,
    options: &CompileOptions<'_>,
    legalize: &LegalizeOptions,
) -> Result<PassReport, CompileError> {
    let scratch = options.passes.take_scratch();
    let (expand, legalize) = (Some(options.expand), Some(legalize));
    let mut context = PassContext { inline: Some(bodies), expand, legalize, scratch, report: PassReport::default() };
    let outcome = options.passes.run(function, &mut context);
    options.passes.return_scratch(context.scratch);
    outcome.map_err(CompileError::Pass)?;
    Ok(context.report)
}
