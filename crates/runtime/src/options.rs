//! What the command line and the environment decide about a run.

use crate::aot::AotOptions;
use crate::gc::GcOptions;
use crate::method_patterns::MethodPatterns;
use ir::pass_manager::PassOptions;
use std::path::PathBuf;

/// Options of the runtime.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the class libraries.
    pub framework: PathBuf,
    /// Folders in which the program's own libraries are looked for.
    pub application_folders: Vec<PathBuf>,
    /// Images.
    pub aot: AotOptions,
    /// Settings of the heap.
    pub gc: GcOptions,
    /// Which passes run and what is dumped of them.
    pub passes: PassOptions,
    /// Allocate registers with more effort.
    pub optimize_allocation: bool,
    /// Prove register allocations.
    pub check_allocation: bool,
    /// Read symbol files, so that traces name source lines.
    pub debug: bool,
    /// Interpret all methods instead of compiling them.
    pub interpreter: bool,
    /// Print calls and returns of the methods that this expression chooses.
    pub trace: Option<String>,
    /// Write the name of each method that is compiled, and where its code is, to standard output.
    pub trace_compilation: bool,
    /// The same only for methods that these fit.
    pub trace_compilation_of: MethodPatterns,
    /// Write statistics to standard error at the end.
    pub statistics: bool,
    /// Write the place of all compiled code to `/tmp/perf-PID.map`, for perf.
    pub jit_map: bool,
    /// Write the machine code of methods whose full name contains this to standard error.
    pub dump_code: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            framework: PathBuf::from("/usr/lib/mono/4.5"),
            application_folders: Vec::new(),
            aot: AotOptions::default(),
            gc: GcOptions {
                minimum_heap: minimum_heap(),
                maximum_heap: maximum_heap(),
                nursery: None,
                threads: COLLECTOR_THREADS,
            },
            passes: PassOptions::default(),
            optimize_allocation: false,
            check_allocation: cfg!(debug_assertions),
            debug: false,
            interpreter: false,
            trace: None,
            trace_compilation: false,
            trace_compilation_of: MethodPatterns::default(),
            statistics: false,
            jit_map: false,
            dump_code: None,
        }
    }
}

/// Bytes of the machine's memory.
pub(crate) fn physical_memory() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    (pages.max(0) as u64).saturating_mul(size.max(0) as u64)
}

/// MMTk's threads meet before each of some twenty stages of a collection, which with two of them takes ten times as long as all else does
/// where little lives.
const COLLECTOR_THREADS: usize = 1;

/// A sixteenth of the machine's memory, up to 128 MiB: collections of young objects are then rare enough.
fn minimum_heap() -> usize {
    (physical_memory() / 16).clamp(16 << 20, 128 << 20) as usize
}

/// Most of the machine's memory, in bytes.
fn maximum_heap() -> usize {
    let limit = if size_of::<usize>() == 8 { 32 << 30 } else { 1 << 30 };
    (physical_memory() / 4 * 3).clamp(64 << 20, limit) as usize
}
