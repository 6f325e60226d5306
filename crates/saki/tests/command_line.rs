//! The command line as docs/command-line.md describes it: exit codes, and one clear line for what is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

const SOURCE: &str = r#"
using System;
class Program {
    static int Main(string[] arguments) {
        Console.WriteLine("hello");
        if (arguments.Length == 1) Environment.Exit(7);
        if (arguments.Length == 2) throw new Exception("boo");
        return 3;
    }
}"#;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = folder().join("command_line.cs");
        std::fs::write(&source, SOURCE).expect("a writable folder");
        let status = Command::new("mcs").arg("-nologo").arg(&source).status().expect("mcs is installed (mono-mcs)");
        assert!(status.success());
        source.with_extension("exe")
    })
}

fn saki(words: &[&str]) -> (i32, String, String) {
    let command = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from);
    let output: Output = Command::new(command).args(words).stdin(Stdio::null()).output().expect("saki starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn exit_codes_of_programs() {
    let program = program().to_str().expect("a plain path");
    for (arguments, code) in [(&[][..], 3), (&["1"], 7), (&["1", "2"], 1)] {
        let (found, out, _) = saki(&[&[program], arguments].concat());
        assert_eq!((found, out.as_str()), (code, "hello\n"), "{arguments:?}");
    }
    let (_, _, errors) = saki(&[program, "1", "2"]);
    assert!(errors.contains("Unhandled Exception:\nSystem.Exception: boo"), "{errors}");
}

#[test]
fn wrong_command_lines_are_one_line() {
    let program = program().to_str().expect("a plain path");
    let damaged = folder().join("command_line_damaged.exe");
    std::fs::write(&damaged, "MZ").expect("a writable folder");
    let damaged = damaged.to_str().expect("a plain path");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--foo", program], 1, "Unknown command line option: '--foo'"),
        (&["-O=foo", program], 1, "`foo`; valid names: all, "),
        (&["missing.exe"], 2, "Cannot open assembly 'missing.exe': No such file or directory."),
        (&[damaged], 2, "File does not contain a valid CIL image."),
        (&["--aot", "missing.dll"], 1, "Can not open image missing.dll"),
        (&["--compile", "Program:Missing", program], 1, "Cannot find method Program:Missing"),
    ];
    for (words, code, message) in cases {
        let (found, _, errors) = saki(words);
        assert_eq!((found, errors.lines().count()), (*code, 1), "{words:?}: {errors}");
        assert!(errors.contains(message), "{words:?}: {errors}");
    }
    let (code, out, _) = saki(&[]);
    assert!(code == 1 && out.starts_with("Usage is: saki"), "{out}");
}

#[test]
fn every_optimization_is_described() {
    let (code, out, _) = saki(&["--list-opt"]);
    assert_eq!(code, 0);
    for line in out.lines() {
        assert!(line.split_whitespace().count() > 1, "{line}");
    }
}

#[test]
fn reports_of_a_run() {
    let program = program().to_str().expect("a plain path");
    let (code, out, errors) = saki(&["--stats", program]);
    assert_eq!((code, out.as_str()), (3, "hello\n"));
    assert!(errors.contains("Methods compiled just in time:"), "{errors}");
    let (_, out, _) = saki(&["-v", program]);
    assert!(out.contains("converting method int Program:Main") || out.contains("converting method Program:Main"), "{out}");
    assert!(out.contains(" emitted at 0x"), "{out}");
}

#[test]
fn traces_name_the_methods_that_the_expression_chooses() {
    let program = program().to_str().expect("a plain path");
    let (code, out, _) = saki(&["--trace=program", program]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, lines.len()), (3, 3), "{out}");
    assert!(lines[0].ends_with("0] ENTER: Program:Main (string[])()"), "{out}");
    assert_eq!(lines[1], "hello");
    assert!(lines[2].ends_with("0] LEAVE: Program:Main (string[])"), "{out}");
    let (_, out, _) = saki(&["--trace=program,-T:Program", program]);
    assert_eq!(out, "hello\n");
}
