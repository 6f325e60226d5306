//! Runs passes over functions in text files: `tests/files/PASS/NAME.sir`.
//!
//! A file has a line `; run: PASS[, PASS…]`, functions, a line `; expect:` and the text expected after the passes. The
//! environment variable `BLESS=1` writes what came out into the files. Output is verified as well.
//!
//! Where `inlining` is among the passes, the first function is compiled, and the others are bodies for calls of their name.

use ir::Function;
use ir::entity::Symbol;
use ir::expand::ExpandOptions;
use ir::legalize::LegalizeOptions;
use ir::parse::parse_functions;
use ir::pass_manager::{InlineBody, InlineSource, Pass, PassContext, find_pass};
use ir::verify::verify;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIVIDER: &str = "; expect:\n";

/// The functions of a file behind the first, by their names.
#[derive(Default)]
struct Bodies(Vec<Arc<Function>>);

impl InlineSource for Bodies {
    fn body(&mut self, caller: &Function, callee: Symbol) -> Option<InlineBody> {
        let name = &caller.symbols[callee].name;
        let function = self.0.iter().find(|body| body.name == *name)?.clone();
        Some(InlineBody { function, always: false, symbols: None })
    }
}

/// What comes out of the text before the divider.
fn run(source: &str) -> Result<String, String> {
    let names = source.lines().find_map(|line| line.strip_prefix("; run:")).ok_or("no line `; run: PASS`")?;
    let passes: Vec<&Pass> = names
        .split(',')
        .map(|name| find_pass(name.trim()).ok_or_else(|| format!("there is no pass `{}`", name.trim())))
        .collect::<Result<_, _>>()?;
    let (expand, legalize) = (ExpandOptions::for_tests(), LegalizeOptions::for_tests());
    let mut output = String::new();
    let mut functions = parse_functions(source).map_err(|error| error.to_string())?;
    for function in &functions {
        verify(function).map_err(|errors| format!("input: {errors}"))?;
    }
    let mut bodies = Bodies::default();
    if passes.iter().any(|pass| pass.name == "inlining") {
        bodies.0 = functions.drain(1..).map(Arc::new).collect();
    }
    for mut function in functions {
        let (expand, legalize) = (Some(&expand), Some(&legalize));
        let mut context = PassContext { expand, legalize, inline: Some(&mut bodies), ..PassContext::default() };
        for pass in &passes {
            context.scratch.control_flow.invalidate();
            (pass.run)(&mut function, &mut context);
            verify(&function).map_err(|errors| format!("after {}: {errors}\n{function}", pass.name))?;
        }
        write!(output, "{function}").map_err(|error| error.to_string())?;
    }
    Ok(output)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "sir") {
            files.push(path);
        }
    }
    files.sort();
}

#[test]
fn files() {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files"), &mut files);
    let mut failures = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("test files can be read");
        let (source, expected) = text.split_once(DIVIDER).unwrap_or((&text, ""));
        let result = match run(source) {
            Ok(actual) if actual == expected => continue,
            Ok(actual) if bless => {
                let separator = if source.ends_with('\n') { "" } else { "\n" };
                std::fs::write(&file, format!("{source}{separator}{DIVIDER}{actual}")).expect("test files can be written");
                continue;
            }
            Ok(actual) => format!("expected:\n{expected}\nactual:\n{actual}"),
            Err(error) => error,
        };
        writeln!(failures, "{}:\n{result}", file.display()).expect("strings can be written");
    }
    assert!(failures.is_empty(), "{failures}");
}
