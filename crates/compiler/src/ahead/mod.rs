//! Compiling an assembly ahead of time: discovery of its methods, compilation in parallel, and merging of what the methods refer to.
//!
//! The result does not depend on the number of threads: methods are compiled on their own, each with its own lists of cells
//! and callees, and merged in the order of metadata rows, then of instances by their descriptions. Numbers of types and methods, which do
//! depend on it, never reach the result.

pub mod clauses;
mod discovery;
mod environment;
mod merge;

use crate::compile::{CompileOptions, CompileTimes, compile_method};
use crate::description::DescriptionWriter;
use environment::{AheadEnvironment, Record, SharedBodies};
use il::types::{AssemblyId, MethodId, TypeId, TypeSystem};
use ir::function::RegionData;
use ir::inline_sites::InlineSite;
use ir::mach::{Backend, CompiledCode};
use ir::pass_manager::PassReport;
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Stack of the compiling threads, in bytes: deeply nested expressions are walked recursively.
const STACK_BYTES: usize = 64 << 20;

/// What to compile, and how.
pub struct AheadOptions<'a> {
    /// Of each method.
    pub compile: CompileOptions<'a>,
    /// The target.
    pub backend: &'a dyn Backend,
    /// Number of threads.
    pub threads: usize,
    /// Whether to keep source positions.
    pub lines: bool,
    /// Told after each method how many are done, and of how many that are known so far. From any thread.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// An assembly's native code. `SymbolRef::Method(n)` is piece `n`, `SymbolRef::Cell(n)` cell `n`.
pub struct AheadAssembly {
    /// Methods, then stubs.
    pub pieces: Vec<AheadPiece>,
    /// Descriptions of the cells.
    pub cells: Vec<Vec<u8>>,
    /// Descriptions of the methods that inline sites name by number.
    pub inlined_methods: Vec<Vec<u8>>,
    /// Assemblies whose content the code relies on. In descriptions the compiled assembly is number 0, these follow.
    pub dependencies: Vec<AssemblyId>,
    /// Methods that have no code here, with the reason.
    pub skipped: Vec<Skipped>,
    /// Number of methods that were to be compiled.
    pub candidates: usize,
    /// Number of rounds in which instances were discovered.
    pub rounds: usize,
    /// Time in methods, summed over threads.
    pub times: CompileTimes,
    /// Wall time of compilation and of merging.
    pub wall: [Duration; 2],
    /// What the passes did.
    pub passes: PassReport,
}

/// A method's or stub's code.
pub struct AheadPiece {
    /// Name for people.
    pub name: String,
    /// How the loader finds it; stubs have none.
    pub key: Option<PieceKey>,
    /// The code.
    pub code: CompiledCode,
    /// The method's declaration, by its assembly and row in MethodDef; stubs have none.
    pub origin: Option<(AssemblyId, u32)>,
    /// Its protected regions, see [`clauses`].
    pub clauses: Vec<u8>,
    /// The calls in whose place bodies stand, with numbers of their methods in [`AheadAssembly::inlined_methods`].
    pub inline_sites: Vec<InlineSite<u32>>,
}

/// How a method is found in an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PieceKey {
    /// By its row: a method of the assembly itself that is not generic.
    Definition(u32),
    /// By its description: any other.
    Instance(Vec<u8>),
}

/// A method that is left to the JIT.
pub struct Skipped {
    /// Full name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Which of the two kinds of [`PieceKey`] a method gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Definition(u32),
    Instance,
}

/// A compiled method, before merging.
struct CompiledPiece {
    method: MethodId,
    key: Key,
    name: String,
    code: CompiledCode,
    regions: Vec<RegionData>,
    catch_types: Vec<TypeId>,
    inlined: Vec<MethodId>,
    inline_sites: Vec<InlineSite<MethodId>>,
    record: Record,
    times: CompileTimes,
    passes: PassReport,
}

/// Loads all assemblies that one refers to, directly or not, in the order of references, so that their numbers do not depend on
/// threads. Missing ones are errors only where they are used.
fn load_references(types: &TypeSystem, assembly: AssemblyId) {
    let mut loaded = vec![assembly];
    let mut next = 0;
    while let Some(&current) = loaded.get(next) {
        next += 1;
        let count = types.assembly(current).references().count() as u32;
        for row in 1..=count {
            match types.resolve_reference(current, row) {
                Ok(id) if !loaded.contains(&id) => loaded.push(id),
                _ => {}
            }
        }
    }
}

/// Compiles all of an assembly.
///
/// # Errors
/// If the system gives no threads.
pub fn compile_assembly(
    types: &TypeSystem,
    assembly: AssemblyId,
    options: &AheadOptions<'_>,
) -> Result<AheadAssembly, rayon::ThreadPoolBuildError> {
    let start = Instant::now();
    load_references(types, assembly);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).stack_size(STACK_BYTES).build()?;
    let mut pending = discovery::roots(types, assembly);
    let mut seen: FxHashSet<MethodId> = pending.iter().copied().collect();
    let mut pieces = Vec::new();
    let mut skipped = Vec::new();
    let mut rounds = 0;
    let done = AtomicUsize::new(0);
    let bodies = SharedBodies::new(options.compile.passes.options().prints());
    while !pending.is_empty() {
        rounds += 1;
        let known = seen.len();
        let compile = |&method: &MethodId| {
            let result = compile_one(types, assembly, method, options, &bodies);
            (options.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, known);
            result
        };
        let results: Vec<_> = pool.install(|| pending.par_iter().map(compile).collect());
        let fresh = pieces.len();
        for result in results {
            match result {
                Ok(piece) => pieces.push(piece),
                Err(reason) => skipped.push(reason),
            }
        }
        pending = next_round(types, assembly, &pieces[fresh..], &mut seen);
    }
    let compiled = start.elapsed();
    let start = Instant::now();
    let candidates = seen.len();
    let mut times = CompileTimes::default();
    let mut passes = PassReport::default();
    for piece in &pieces {
        times.import += piece.times.import;
        times.passes += piece.times.passes;
        times.codegen += piece.times.codegen;
        passes.merge(&piece.passes);
    }
    let merged = merge::merge(types, assembly, pieces, options.backend, &options.compile.codegen);
    Ok(AheadAssembly {
        pieces: merged.pieces,
        cells: merged.cells,
        inlined_methods: merged.inlined_methods,
        dependencies: merged.dependencies,
        skipped,
        candidates,
        rounds,
        times,
        wall: [compiled, start.elapsed()],
        passes,
    })
}

fn compile_one(
    types: &TypeSystem,
    assembly: AssemblyId,
    method: MethodId,
    options: &AheadOptions<'_>,
    bodies: &SharedBodies,
) -> Result<CompiledPiece, Skipped> {
    let name = types.method_full_name(method);
    let Some(key) = discovery::key(types, assembly, method) else {
        return Err(Skipped { name, reason: "the instance is too deep, or not exact".to_owned() });
    };
    let environment = AheadEnvironment::new(types, options.backend, bodies);
    match compile_method(&environment, method, &options.compile) {
        Ok(compiled) => {
            let (mut code, mut inline_sites) = (compiled.code, compiled.inline_sites);
            if !options.lines {
                code.lines.clear();
                inline_sites.clear();
            }
            Ok(CompiledPiece {
                method,
                key,
                name,
                code,
                regions: compiled.regions,
                catch_types: compiled.catch_types,
                inlined: compiled.inlined,
                inline_sites,
                record: environment.into_record(),
                times: compiled.times,
                passes: compiled.passes,
            })
        }
        Err(error) => Err(Skipped { name, reason: error.to_string() }),
    }
}

/// Instances that the pieces need and that nobody has asked for before, ordered by their descriptions.
fn next_round(
    types: &TypeSystem,
    assembly: AssemblyId,
    pieces: &[CompiledPiece],
    seen: &mut FxHashSet<MethodId>,
) -> Vec<MethodId> {
    // All assemblies are loaded, so these numbers are the same in every run.
    let mut number = |id: AssemblyId| id.0;
    let mut writer = DescriptionWriter::new(types, &mut number);
    let mut found = Vec::new();
    for method in pieces.iter().flat_map(|piece| discovery::needs(types, piece)) {
        if !seen.contains(&method)
            && discovery::key(types, assembly, method).is_some()
            && discovery::has_code(types, method)
            && seen.insert(method)
        {
            writer.method(method);
            found.push((writer.take(), method));
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(_, method)| method).collect()
}
