//! What `--aot` tells its user: progress on a terminal, and statistics.

use compiler::ahead::AheadAssembly;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A compilation that takes longer than this shows how far it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Methods between two updates.
const STEP: usize = 256;

/// The line on a terminal that says how far a compilation is.
pub struct Progress {
    start: Instant,
    is_terminal: bool,
    shown: AtomicBool,
}

impl Progress {
    /// Begins now.
    pub fn new() -> Progress {
        Progress { start: Instant::now(), is_terminal: std::io::stderr().is_terminal(), shown: AtomicBool::new(false) }
    }

    /// `done` of `known` methods are compiled.
    pub fn update(&self, done: usize, known: usize) {
        if self.is_terminal && done % STEP == 0 && self.start.elapsed() > PATIENCE {
            self.shown.store(true, Ordering::Relaxed);
            // A terminal that is gone does not matter.
            let _ = write!(std::io::stderr(), "\r{done} of {known} methods");
        }
    }

    /// Removes the line.
    pub fn finish(&self) {
        if self.shown.load(Ordering::Relaxed) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The text of `stats` about the code.
pub fn statistics(assembly: &AheadAssembly) -> String {
    let sum = |size: fn(&compiler::ahead::AheadPiece) -> usize| assembly.pieces.iter().map(size).sum::<usize>();
    let methods = assembly.pieces.iter().filter(|piece| piece.key.is_some()).count();
    let instances = assembly.pieces.iter().filter(|piece| is_instance(piece)).count();
    let cell_bytes: usize = assembly.cells.iter().map(Vec::len).sum();
    let times = assembly.times;
    let rows = [
        ("methods", methods),
        ("  of them generic instances", instances),
        ("import stubs", assembly.pieces.len() - methods),
        ("cells", assembly.cells.len()),
        ("bytes of code", sum(|piece| piece.code.bytes.len())),
        ("bytes of cell descriptions", cell_bytes),
    ];
    let mut text = String::new();
    for (name, number) in rows {
        text += &format!("{number:>12}  {name}\n");
    }
    let phases = [
        ("s import (all threads)", times.import),
        ("s passes (all threads)", times.passes),
        ("s code generation (all threads)", times.codegen),
        ("s compilation", assembly.wall[0]),
        ("s merging", assembly.wall[1]),
    ];
    for (name, time) in phases {
        text += &format!("{:>12.3}  {name}\n", time.as_secs_f64());
    }
    text += &format!("{:>12}  rounds of discovery\n", assembly.rounds);
    text
}

/// The text of `stats` about the file.
pub fn file_statistics(file: &[u8], write_time: Duration) -> String {
    let section = aot_writer::elf::find_notes(file).map_or(0, |notes| notes.section_length);
    let mut text = format!("{section:>12}  bytes of tables\n{:>12}  bytes of the file\n", file.len());
    text += &format!("{:>12.3}  s writing\n", write_time.as_secs_f64());
    if let Some(peak) = peak_memory() {
        text += &format!("{peak:>12}  KiB of memory at most\n");
    }
    text
}

fn is_instance(piece: &compiler::ahead::AheadPiece) -> bool {
    matches!(piece.key, Some(compiler::ahead::PieceKey::Instance(_)))
}

/// Most memory that this process used so far, in KiB.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
