//! Symbol files: traces name source lines, and images tell debuggers about them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = "using System;
using System.Collections.Generic;
class Program {
  static int Fail<T>(T value) {
    if (value != null)
      throw new InvalidOperationException();
    return 1;
  }
  static int Main() {
    try {
      new List<string> { \"a\" }.ForEach(text =>
        Fail(text));
    } catch (InvalidOperationException error) {
      Console.WriteLine(error.StackTrace);
    }
    var frame = new System.Diagnostics.StackFrame(true);
    Console.WriteLine(frame.GetFileName() + \"|\" + frame.GetFileLineNumber());
    return Fail(new object());
  }
}
";

/// A folder with the program, compiled with a symbol file.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    std::fs::write(folder.join("p.cs"), PROGRAM).expect("writable");
    let status = Command::new("mcs").args(["-debug", "p.cs"]).current_dir(&folder).status().expect("mcs is installed");
    assert!(status.success());
    folder
}

fn saki(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_saki"));
    command.args(arguments).current_dir(folder).env("XDG_CACHE_HOME", folder).output().expect("saki starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What stands between ` in ` and the line's end, of each line of a trace that has it.
fn places(trace: &str) -> Vec<&str> {
    trace.lines().filter_map(|line| line.rsplit_once(" in ")).map(|(_, place)| place.trim_end()).collect()
}

/// Checks what a run with `--debug` prints.
fn check_traces(folder: &Path) {
    let run = saki(folder, &["--debug", "p.exe"]);
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    let file = folder.join("p.cs");
    let at = |line: u32| format!("{}:{line}", file.display());
    let found = places(&out);
    assert_eq!(found[..2], [at(6), at(12)], "{out}");
    // The frame of the class library has no symbol file.
    assert!(found[2].starts_with('<') && found[2].ends_with(">:0"), "{out}");
    assert_eq!(found[3..], [at(11)], "{out}");
    assert!(out.ends_with(&format!("{}|16\n", file.display())), "{out}");
    assert_eq!(places(&err)[..2], [at(6), at(18)], "{err}");
}

#[test]
fn traces_name_lines() {
    let folder = folder("trace-lines");
    check_traces(&folder);
    let plain = text(&saki(&folder, &["p.exe"]).stdout);
    assert!(!plain.contains("p.cs") && plain.contains(">:0"), "{plain}");
    // A broken file is as good as none.
    let symbols = std::fs::read(folder.join("p.exe.mdb")).expect("mcs wrote it");
    std::fs::write(folder.join("p.exe.mdb"), &symbols[..symbols.len() / 2]).expect("writable");
    let broken = saki(&folder, &["--debug", "p.exe"]);
    assert_eq!((broken.status.code(), text(&broken.stdout)), (Some(1), plain));
}

#[test]
fn images_have_lines_for_debuggers() {
    let folder = folder("image-lines");
    let compile = |options: &str| {
        let done = saki(&folder, &[&format!("--aot={options}"), "p.exe"]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        std::fs::read(folder.join("p.exe.so")).expect("written")
    };
    assert!(!compile("nodebug").windows(6).any(|window| window == b".debug"));
    assert!(compile("threads=1") == compile("threads=2"), "the images differ");
    let readelf = Command::new("readelf").args(["--debug-dump=decodedline", "-W", "p.exe.so"]).current_dir(&folder).output();
    let table = text(&readelf.expect("readelf is installed (binutils)").stdout);
    for line in ["6", "12", "16", "18"] {
        let has_line = |row: &str| row.split_whitespace().take(2).eq(["p.cs", line]);
        assert!(table.lines().any(has_line), "line {line}: {table}");
    }
    check_traces(&folder);
}
