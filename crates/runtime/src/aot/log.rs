//! Mono's log of how images are looked for: `MONO_LOG_LEVEL` and `MONO_LOG_MASK`.

use crate::report;
use std::fmt::Arguments;
use std::sync::OnceLock;

/// How much is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Nothing.
    Off,
    /// Which images are used.
    Info,
    /// Each method too.
    Debug,
}

/// The level that the environment asks for.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let mask = variable("MONO_LOG_MASK");
        let is_meant = mask.is_empty() || mask.split(',').any(|word| word == "aot" || word == "all");
        match variable("MONO_LOG_LEVEL").as_str() {
            "debug" if is_meant => Level::Debug,
            "info" if is_meant => Level::Info,
            _ => Level::Off,
        }
    })
}

/// Writes a line if the level is at least `wanted`.
pub fn write(wanted: Level, line: Arguments<'_>) {
    if level() >= wanted {
        report::print(format_args!("Mono: AOT{line}"));
    }
}
