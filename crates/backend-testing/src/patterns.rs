//! What lowering chooses for typical code, compared as disassembly with a file of expectations. With the variable `BLESS` the file is rewritten.

use crate::{compile, options, parse};
use ir::mach::{Backend, CompiledCode};
use std::fmt::Write;
use std::path::Path;

/// A piece of code: its name, the signature of a function and its blocks.
pub type Pattern = (&'static str, &'static str, &'static str);

/// Compares the code of each pattern, then `stubs`, with the file `src/tests/patterns.txt` of the crate whose folder is given.
///
/// # Panics
/// If they differ, or a pattern does not compile.
pub fn compare(backend: &dyn Backend, features: u64, patterns: &[Pattern], stubs: &[(&str, CompiledCode)], crate_folder: &str) {
    let mut text = String::new();
    let mut list = |name: &str, bytes: &[u8]| {
        let _ = writeln!(text, "; {name}\n{}", backend.disassemble(bytes, 0));
    };
    for (name, signature, body) in patterns {
        let code = compile(backend, &parse(backend, signature, body), &options(backend, features));
        list(name, &code.bytes[..code.code_len as usize]);
    }
    for (name, code) in stubs {
        list(name, &code.bytes);
    }
    let path = Path::new(crate_folder).join("src/tests/patterns.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "run with BLESS=1 if the new code is better");
}
