//! Images: the same bytes whatever the number of threads, used where they fit, refused where they do not.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = "
using System; using System.Collections.Generic;
struct Pair { public int A, B; }
class Program {
  static int depth;
  static int Divide(int a, int b) { try { return a / b; } catch (DivideByZeroException) { return -1; } finally { depth++; } }
  static int Main() {
    var list = new List<Pair>();
    for (int i = 0; i < 10; i++) list.Add(new Pair { A = i, B = 2 * i });
    int sum = 0;
    foreach (var pair in list) sum += pair.B;
    sum += Divide(6, 3) + Divide(1, 0) + depth;
    Func<int, int> add = y => y + sum;
    return add(EXTRA);
  }
}";

/// An empty folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

fn saki(folder: &Path, arguments: &[&str]) -> Output {
    // The release build that `cargo xtask test` made, or the one that belongs to this test.
    let saki = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from);
    let mut command = Command::new(saki);
    command.args(arguments).current_dir(folder).env("XDG_CACHE_HOME", folder);
    command.env("MONO_LOG_LEVEL", "info").env("MONO_LOG_MASK", "aot").output().expect("saki starts")
}

fn compile(folder: &Path, extra: u32) {
    std::fs::write(folder.join("p.cs"), PROGRAM.replace("EXTRA", &extra.to_string())).expect("writable");
    let status = Command::new("mcs").arg("p.cs").current_dir(folder).status().expect("mcs is installed");
    assert!(status.success());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let folder = folder("threads");
    let library = "/usr/lib/mono/4.5/Mono.Security.dll";
    let files = ["1", "2"].map(|threads| {
        let output = folder.join(threads).join("image.so");
        std::fs::create_dir_all(output.parent().expect("in a folder")).expect("writable");
        let option = format!("--aot=threads={threads},outfile={}", output.display());
        let done = saki(&folder, &[&option, library]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        std::fs::read(output).expect("written")
    });
    assert!(files[0] == files[1], "the images differ");
}

#[test]
fn a_program_runs_from_its_image_unless_it_changed() {
    let folder = folder("stale");
    compile(&folder, 10);
    assert!(saki(&folder, &["--aot", "p.exe"]).status.success());
    let run = saki(&folder, &["p.exe"]);
    assert_eq!(run.status.code(), Some(103), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("p.exe.so' found."), "{}", text(&run.stdout));

    compile(&folder, 11);
    let run = saki(&folder, &["p.exe"]);
    assert_eq!(run.status.code(), Some(104), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("p.exe.so is unusable: doesn't match assembly."), "{}", text(&run.stdout));
}

/// As in Mono, `--compile-all` shows what the compiler does with methods that an image has.
#[test]
fn all_methods_are_compiled_despite_an_image() {
    let folder = folder("all");
    compile(&folder, 10);
    assert!(saki(&folder, &["--aot", "p.exe"]).status.success());
    let run = saki(&folder, &["-v", "--compile-all", "p.exe"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    assert!(text(&run.stdout).contains("converting method int Program:Divide (int,int)"), "{}", text(&run.stdout));
}

#[test]
fn wrong_options_and_files_are_one_line() {
    let folder = folder("wrong");
    for (arguments, message) in
        [(["--aot=foo", "p.exe"], "AOT : Unknown argument 'foo'.\n"), (["--aot", "nope.exe"], "Can not open image nope.exe\n")]
    {
        let done = saki(&folder, &arguments);
        assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(1), message));
    }
}
