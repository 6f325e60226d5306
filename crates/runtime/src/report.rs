//! What a run tells about itself when asked: statistics (`--stats`), the map of compiled code (`--jitmap`), lines of `-v`.

use crate::{Runtime, gc};
use parking_lot::Mutex;
use std::fmt::Arguments;
use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static COMPILED_METHODS: AtomicU64 = AtomicU64::new(0);
static COMPILED_BYTES: AtomicU64 = AtomicU64::new(0);
static COMPILE_NANOSECONDS: AtomicU64 = AtomicU64::new(0);
static IMAGE_METHODS: AtomicU64 = AtomicU64::new(0);

/// Notes that a method was compiled: bytes of its code, and the time it took.
pub fn count_compilation(bytes: usize, time: Duration) {
    COMPILED_METHODS.fetch_add(1, Ordering::Relaxed);
    COMPILED_BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    COMPILE_NANOSECONDS.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
}

/// Notes that a method's code was found in an image.
pub fn count_image_method() {
    IMAGE_METHODS.fetch_add(1, Ordering::Relaxed);
}

/// Writes a line to standard output; a reader that is gone does not matter.
pub fn print(line: Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The statistics so far, one figure a line.
pub fn statistics() -> String {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let milliseconds = value(&COMPILE_NANOSECONDS) as f64 / 1e6;
    format!(
        "Saki statistics\n\
         Methods compiled just in time:  {}\n\
         Methods from AOT images:        {}\n\
         Bytes of compiled code:         {}\n\
         Compile time (ms):              {milliseconds:.2}\n\
         Collections:                    {}\n\
         Heap bytes in use:              {}\n",
        value(&COMPILED_METHODS),
        value(&IMAGE_METHODS),
        value(&COMPILED_BYTES),
        gc::collection_count(),
        gc::used_bytes(),
    )
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
