//! The options after `--aot=`: ours, and those of Mono's that mean nothing here.

use std::path::PathBuf;

/// What `--aot=` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AotOptions {
    /// Where to write, instead of beside the assembly.
    pub outfile: Option<PathBuf>,
    /// A rule for `make`, to be written there.
    pub depfile: Option<PathBuf>,
    /// Number of threads.
    pub threads: usize,
    /// Print sizes and times.
    pub stats: bool,
    /// Name the methods left to the JIT.
    pub print_skipped: bool,
    /// Name each method.
    pub verbose: bool,
    /// Keep source positions.
    pub lines: bool,
    /// Write the code as text and no image.
    pub text_only: bool,
    /// Write the code as text too.
    pub save_text: bool,
}

type Setter = fn(&mut AotOptions, &str) -> Result<(), String>;

/// Our options. A name that ends with `=` takes a value.
const OPTIONS: &[(&str, Setter)] = &[
    ("outfile=", |options, value| Ok(options.outfile = Some(PathBuf::from(value)))),
    ("depfile=", |options, value| Ok(options.depfile = Some(PathBuf::from(value)))),
    ("threads=", |options, value| match value.parse() {
        Ok(number @ 1..=1024) => Ok(options.threads = number),
        _ => Err(format!("AOT : threads= takes a number from 1, not '{value}'.")),
    }),
    ("stats", |options, _| Ok(options.stats = true)),
    ("print-skipped", |options, _| Ok(options.print_skipped = true)),
    ("verbose", |options, _| Ok(options.verbose = true)),
    ("nodebug", |options, _| Ok(options.lines = false)),
    ("asmonly", |options, _| Ok(options.text_only = true)),
    ("save-temps", |options, _| Ok(options.save_text = true)),
    ("keep-temps", |options, _| Ok(options.save_text = true)),
    // Nothing here depends on anything but the input.
    ("deterministic", |_, _| Ok(())),
];

/// Mono's options that have no meaning here.
const WITHOUT_EFFECT: &[&str] = &[
    "full",
    "hybrid",
    "static",
    "llvmonly",
    "interp",
    "full-interp",
    "llvm",
    "llvm-outfile=",
    "llvm-path=",
    "llvmopts=",
    "llvmllc=",
    "clangxx=",
    "temp-path=",
    "write-symbols",
    "no-write-symbols",
    "metadata-only",
    "bind-to-runtime-version",
    "asmwriter",
    "dwarfdebug",
    "soft-debug",
    "gen-seq-points-file",
    "gen-seq-points-file=",
    "direct-pinvoke",
    "direct-icalls",
    "no-direct-calls",
    "data-outfile=",
    "profile=",
    "profile-only",
    "mtriple=",
    "mattr=",
    "mcpu=",
    "nopagetrampolines",
    "ntrampolines=",
    "nrgctx-trampolines=",
    "nrgctx-fetch-trampolines=",
    "nimt-trampolines=",
    "ngsharedvt-trampolines=",
    "nftnptr-arg-trampolines=",
    "nunbox-arbitrary-trampolines=",
    "tool-prefix=",
    "ld-flags=",
    "as-options=",
    "readonly-value=",
    "info",
    "dedup",
    "dedup-skip",
    "dedup-include=",
    "instances=",
    "no-instances",
    "log-generics",
    "log-instances",
    "log-instances=",
    "internal-logs",
    "msym-dir=",
    "mangle-file=",
    "no-opt",
    "autoreg",
    "allow-errors",
];

/// Parses the comma separated list; gives the options, and those of Mono's that were ignored.
///
/// # Errors
/// One line for standard error.
pub fn parse(text: &str) -> Result<(AotOptions, Vec<String>), String> {
    let mut options = AotOptions {
        outfile: None,
        depfile: None,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        stats: false,
        print_skipped: false,
        verbose: false,
        lines: true,
        text_only: false,
        save_text: false,
    };
    let mut ignored = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        // With the `=`, so that the tables tell which options take a value.
        let (name, value) = word.split_at(word.find('=').map_or(word.len(), |place| place + 1));
        match OPTIONS.iter().find(|(known, _)| *known == name) {
            Some((_, set)) => set(&mut options, value)?,
            None if WITHOUT_EFFECT.contains(&name) => ignored.push(word.to_owned()),
            None => return Err(format!("AOT : Unknown argument '{word}'.")),
        }
    }
    Ok((options, ignored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ours_monos_or_wrong() {
        let (options, ignored) = parse("outfile=a,b.so,threads=3,nodebug,full,mtriple=armv7").unwrap_or_else(|error| {
            assert_eq!(error, "AOT : Unknown argument 'b.so'.");
            parse("outfile=a.so,threads=3,nodebug,full,mtriple=armv7").unwrap()
        });
        assert_eq!(options.outfile, Some(PathBuf::from("a.so")));
        assert_eq!((options.threads, options.lines), (3, false));
        assert_eq!(ignored, ["full", "mtriple=armv7"]);
        assert_eq!(parse("foo").unwrap_err(), "AOT : Unknown argument 'foo'.");
        assert_eq!(parse("outfile").unwrap_err(), "AOT : Unknown argument 'outfile'.");
        assert!(parse("threads=0").is_err());
    }
}
