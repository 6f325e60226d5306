//! What a run tells about itself when asked: statistics (`--stats`), the map of compiled code (`--jitmap`), lines of `-v`.

use crate::{Runtime, gc, method_table, runtime};
use il::types::MethodId;
use parking_lot::Mutex;
use std::fmt::{Arguments, Write as _};
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static COMPILED_METHODS: AtomicU64 = AtomicU64::new(0);
static COMPILED_BYTES: AtomicU64 = AtomicU64::new(0);
static COMPILE_NANOSECONDS: AtomicU64 = AtomicU64::new(0);
static START: OnceLock<Instant> = OnceLock::new();
static START_UP: OnceLock<Duration> = OnceLock::new();

/// Notes that the process has started. Times are counted from the first call.
pub fn process_started() {
    START.get_or_init(Instant::now);
}

/// Notes that `Main` is about to be called.
pub fn main_called() {
    START_UP.get_or_init(|| START.get_or_init(Instant::now).elapsed());
}

/// Notes that a method was compiled: bytes of its code, and the time it took.
pub fn count_compilation(bytes: usize, time: Duration) {
    COMPILED_METHODS.fetch_add(1, Ordering::Relaxed);
    COMPILED_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    COMPILE_NANOSECONDS.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}

/// Writes a line to standard output; a reader that is gone does not matter.
pub fn print(line: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A method's name with the type of its result before it, as in the lines of `-v`.
pub fn name_with_result(method: MethodId) -> String {
    let types = &runtime().types;
    let result = types.method_signature(method).map_or_else(|_| "?".to_owned(), |signature| types.type_name(signature.ret));
    format!("{result} {}", types.method_full_name(method))
}

/// The statistics so far, one figure a line, in Mono's layout. Where a counter means what one of Mono's means, it has its name.
pub fn statistics(runtime: &Runtime) -> String {
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let jitted = value(&COMPILED_METHODS);
    let images: Vec<_> = runtime.code_map.images.iter().collect();
    let mut text = String::new();
    let mut section = |title: &str, rows: &[(&str, String)]| {
        text.push_str(title);
        for (name, value) in rows {
            // Writing to a string does not fail.
            let _ = write!(text, "\n{name:<36}: {value}");
        }
        text.push_str("\n\n");
    };
    section(
        "JIT statistics",
        &[
            ("Compiled methods", jitted.to_string()),
            ("Methods from AOT", images.iter().map(|image| u64::from(image.used_methods())).sum::<u64>().to_string()),
            ("Total time spent JITting", milliseconds(Duration::from_nanos(value(&COMPILE_NANOSECONDS)))),
            ("Native code size", value(&COMPILED_BYTES).to_string()),
        ],
    );
    let names: Vec<String> = images.iter().map(|image| runtime.types.assembly(image.assembly).name().name.to_string()).collect();
    let uses = images.iter().map(|image| format!("{} of {}", image.used_methods(), image.method_count()));
    let rows: Vec<(&str, String)> = names.iter().map(String::as_str).zip(uses).collect();
    if !rows.is_empty() {
        section("Methods from each AOT image", &rows);
    }
    section(
        "Metadata statistics",
        &[
            ("Assemblies", runtime.types.assembly_count().to_string()),
            ("Methods", runtime.types.method_count().to_string()),
            ("Initialized classes", runtime.types.loaded_class_count().to_string()),
            ("Used classes", method_table::count().to_string()),
        ],
    );
    let [young_collections, full_collections] = gc::collection_counts();
    section(
        "GC statistics",
        &[
            ("Minor GC collections", young_collections.to_string()),
            ("Major GC collections", full_collections.to_string()),
            ("GC heap bytes in use", gc::used_bytes().to_string()),
        ],
    );
    let total = START.get().map(Instant::elapsed).unwrap_or_default();
    section(
        "Runtime statistics",
        &[("Time before Main", milliseconds(START_UP.get().copied().unwrap_or(total))), ("Total Time", milliseconds(total))],
    );
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Adds a line to the map of compiled code, if one is wanted.
pub fn map_code(runtime: &Runtime, address: usize, length: usize, name: impl FnOnce() -> String) {
    static MAP: OnceLock<Option<Mutex<File>>> = OnceLock::new();
    if !runtime.options.jit_map {
        return;
    }
    let open = || File::create(format!("/tmp/perf-{}.map", std::process::id())).ok().map(Mutex::new);
    if let Some(map) = MAP.get_or_init(open) {
        // A full disk costs the map, not the program.
        let _ = writeln!(map.lock(), "{address:x} {length:x} {}", name());
    }
}
