//! The options after `--aot=`: ours, and those of Mono's that mean nothing here.

use crate::target::{self, Target};
use std::path::PathBuf;

/// What `--aot=` asks for.
#[derive(Clone, Debug)]
pub struct AotOptions {
    /// Where to write, instead of beside the assembly.
    pub outfile: Option<PathBuf>,
    /// A rule for `make`, to be written there.
    pub depfile: Option<PathBuf>,
    /// The machine, instead of this one or what `--target` says.
    pub target: Option<&'static Target>,
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

fn set<T>(place: &mut T, value: T) -> Result<(), String> {
    *place = value;
    Ok(())
}

/// Our options. A name that ends with `=` takes a value.
const OPTIONS: &[(&str, Setter)] = &[
    ("outfile=", |options, value| set(&mut options.outfile, Some(PathBuf::from(value)))),
    ("depfile=", |options, value| set(&mut options.depfile, Some(PathBuf::from(value)))),
    ("threads=", |options, value| match value.parse() {
        Ok(number @ 1..=1024) => set(&mut options.threads, number),
        _ => Err(format!("AOT : threads= takes a number from 1, not '{value}'.")),
    }),
    ("mtriple=", |options, value| {
        set(&mut options.target, Some(target::find(value).map_err(|message| format!("AOT : {message}"))?))
    }),
    ("stats", |options, _| set(&mut options.stats, true)),
    ("print-skipped", |options, _| set(&mut options.print_skipped, true)),
    ("print-skipped-methods", |options, _| set(&mut options.print_skipped, true)),
    ("verbose", |options, _| set(&mut options.verbose, true)),
    ("nodebug", |options, _| set(&mut options.lines, false)),
    ("asmonly", |options, _| set(&mut options.text_only, true)),
    ("save-temps", |options, _| set(&mut options.save_text, true)),
    ("keep-temps", |options, _| set(&mut options.save_text, true)),
    // Nothing here depends on anything but the input.
    ("deterministic", |_, _| Ok(())),
];

/// Mono's options that have no meaning here.
const WITHOUT_EFFECT: &[&str] = &[
    "full",
    "hybrid",
    "static",
    "bitcode",
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
    "readonly-value=",
    "info",
    "dedup-skip",
    "dedup-include=",
    "no-instances",
    "log-generics",
    "log-instances",
    "log-instances=",
    "msym-dir=",
    "no-opt",
];

/// The text of `--aot=help`, in Mono's layout.
pub fn help() -> String {
    let names = OPTIONS.iter().map(|(name, _)| *name).chain(WITHOUT_EFFECT.iter().copied());
    let list: String = names.map(|name| format!("    {name}\n")).collect();
    format!("Supported options for --aot:\n{list}    help/?\n")
}

/// Whether the list asks for [`help`].
pub fn asks_for_help(text: &str) -> bool {
    text.split(',').any(|word| matches!(word, "help" | "?"))
}

/// Parses the comma separated list; gives the options, and those of Mono's that were ignored.
///
/// # Errors
/// One line for standard error.
pub fn parse(text: &str) -> Result<(AotOptions, Vec<String>), String> {
    let mut options = AotOptions {
        outfile: None,
        target: None,
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
        let (options, ignored) =
            parse("outfile=a,b.so,threads=3,nodebug,full,mtriple=armv7-linux-gnueabihf").unwrap_or_else(|error| {
                assert_eq!(error, "AOT : Unknown argument 'b.so'.");
                parse("outfile=a.so,threads=3,nodebug,full,mtriple=armv7-linux-gnueabihf").unwrap()
            });
        assert_eq!(options.outfile, Some(PathBuf::from("a.so")));
        assert_eq!((options.threads, options.lines), (3, false));
        assert_eq!(ignored, ["full"]);
        assert_eq!(options.target.map(Target::name), Some("arm"));
        assert!(parse("mtriple=vax").unwrap_err().starts_with("AOT : Unknown target 'vax'; known ones: x86 ("));
        assert_eq!(parse("foo").unwrap_err(), "AOT : Unknown argument 'foo'.");
        assert_eq!(parse("outfile").unwrap_err(), "AOT : Unknown argument 'outfile'.");
        assert!(parse("threads=0").is_err());
    }

    #[test]
    fn the_document_lists_what_has_no_effect() {
        let document = include_str!("../../../../docs/command-line.md");
        let (_, list) = document.split_once("Mono's other options").expect("the paragraph is there");
        let list = list.split("\n## ").next().unwrap_or_default();
        let (_, list) = list.split_once(":\n\n").expect("a list follows");
        let documented: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(documented, WITHOUT_EFFECT);
        let ours = document.split("## `--aot").nth(1).expect("the section is there");
        for (name, _) in
            OPTIONS.iter().filter(|(name, _)| !["deterministic", "keep-temps", "print-skipped-methods"].contains(name))
        {
            assert!(ours.contains(&format!("`{name}")), "{name} is not documented");
        }
    }
}
