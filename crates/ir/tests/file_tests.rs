//! Runs passes over functions in text files: `tests/files/PASS/NAME.sir`.
//!
//! A file has a line `; run: PASS[, PASS…]`, functions, a line `; expect:` and the text expected after the passes. The
//! environment variable `BLESS=1` writes what came out into the files. Output is verified as well.

use ir::parse::parse_functions;
use ir::pass_manager::{Pass, PassContext, find_pass};
use ir::verify::verify;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const DIVIDER: &str = "; expect:\n";

/// What comes out of the text before the divider.
fn run(source: &str) -> Result<String, String> {
    let names = source.lines().find_map(|line| line.strip_prefix("; run:")).ok_or("no line `; run: PASS`")?;
    let passes: Vec<&Pass> = names
        .split(',')
        .map(|name| find_pass(name.trim()).ok_or_else(|| format!("there is no pass `{}`", name.trim())))
        .collect::<Result<_, _>>()?;
    let expand = ir::expand::ExpandOptions::for_tests();
    let mut output = String::new();
    for mut function in parse_functions(source).map_err(|error| error.to_string())? {
        verify(&function).map_err(|errors| format!("input: {errors}"))?;
        let mut context = PassContext { expand: Some(&expand), ..PassContext::default() };
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
