//! gdb finds its way from native code through compiled code, by name, to the program's start.

use std::path::{Path, PathBuf};
use std::process::Command;

const CLASS_LIBRARY: &str = "/usr/lib/mono/4.5/mscorlib.dll";
const PROGRAM: &str = "
class Program {
  static void Speak(int times) { for (int i = 0; i < times; i++) System.Console.WriteLine(\"spoken\"); }
  static void Main() { Speak(2); }
}";

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// The frames of a breakpoint in the first `write` of the program.
fn frames(saki: &Path, folder: &Path, options: &[&str]) -> Vec<String> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set pagination off"]);
    gdb.args(["-ex", "starti", "-ex", "catch syscall write", "-ex", "continue", "-ex", "bt", "--args"]);
    let text = run(gdb.arg(saki).args(options).arg("p.exe").current_dir(folder));
    let frames: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
    assert!(!frames.is_empty(), "{text}");
    frames
}

#[test]
fn a_back_trace_crosses_compiled_code() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("debugger");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("images")).expect("the target folder is writable");
    let saki = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from);
    std::fs::write(folder.join("p.cs"), PROGRAM).expect("writable");
    run(Command::new("mcs").args(["-nologo", "p.cs"]).current_dir(&folder));
    for assembly in ["p.exe", CLASS_LIBRARY] {
        let name = Path::new(assembly).file_name().expect("a name").to_string_lossy();
        let option = format!("--aot=outfile=images/{name}.so");
        // Without inlining every method has its frame.
        run(Command::new(&saki).args(["-O=-inline", &option, assembly]).current_dir(&folder));
    }

    let with_images = frames(&saki, &folder, &["--aot-path=images"]);
    let place = |name: &str| with_images.iter().position(|frame| frame.contains(name));
    let names = ["Console:WriteLine (", "Program:Speak (", "Program:Main (", " main "];
    let places: Vec<Option<usize>> = names.iter().map(|name| place(name)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{names:?} at {places:?} in\n{}", with_images.join("\n"));

    // Code in the heap has no names, but does not hide what called it.
    let just_in_time = frames(&saki, &folder, &["-O=-aot"]);
    assert!(just_in_time.iter().any(|frame| frame.contains("compiled_just_in_time")), "{}", just_in_time.join("\n"));
    assert!(just_in_time.last().is_some_and(|frame| frame.contains(" main ")), "{}", just_in_time.join("\n"));
}
