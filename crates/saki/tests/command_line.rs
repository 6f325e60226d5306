//! The command line as docs/command-line.md describes it, side by side with Mono's: exit codes, one clear line for what is wrong, the
//! words of reports and logs.

use std::collections::BTreeSet;
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

/// Compiles a source to `command_line_NAME.exe`.
fn compile(name: &str, text: &str) -> PathBuf {
    let source = folder().join(format!("command_line_{name}.cs"));
    std::fs::write(&source, text).expect("a writable folder");
    let command = Command::new("mcs").args(["-nologo", "-unsafe", "-warn:0"]).arg(&source).status();
    assert!(command.expect("mcs is installed (mono-mcs)").success());
    source.with_extension("exe")
}

fn program() -> &'static str {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("program", SOURCE)).to_str().expect("a plain path")
}

/// The log that `MONO_LOG_MASK=aot` gives, as an environment.
const AOT_LOG: &[(&str, &str)] = &[("MONO_LOG_LEVEL", "debug"), ("MONO_LOG_MASK", "aot")];

fn run(command: &Path, words: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(command);
    let output: Output = command
        .args(words)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("saki is built, mono is installed (mono-mcs)");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn saki_path() -> PathBuf {
    std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from)
}

fn saki(words: &[&str]) -> (i32, String, String) {
    run(&saki_path(), words, &[])
}

fn mono(words: &[&str]) -> (i32, String, String) {
    run(Path::new("mono"), words, &[])
}

#[test]
fn exit_codes_of_programs() {
    for (arguments, code) in [(&[][..], 3), (&["1"], 7), (&["1", "2"], 1)] {
        let (found, out, _) = saki(&[&[program()], arguments].concat());
        assert_eq!((found, out.as_str()), (code, "hello\n"), "{arguments:?}");
        assert_eq!(mono(&[&[program()], arguments].concat()).0, code, "mono {arguments:?}");
    }
    let (_, _, errors) = saki(&[program(), "1", "2"]);
    assert!(errors.contains("Unhandled Exception:\nSystem.Exception: boo"), "{errors}");
}

#[test]
fn programs_start_programs() {
    let program = compile(
        "starter",
        "using System; using System.Diagnostics; class P { static int Main(string[] words) {
            if (words.Length > 0) { Console.WriteLine(string.Join(\"|\", words)); return words.Length; }
            var self = System.Reflection.Assembly.GetExecutingAssembly().Location;
            var start = new ProcessStartInfo(self, \"one 'two three' \\\"fo\\\\\\\"ur\\\"\") { UseShellExecute = false, RedirectStandardOutput = true };
            using (var child = Process.Start(start)) {
                Console.Write(child.StandardOutput.ReadToEnd());
                child.WaitForExit();
                return 10 + child.ExitCode;
            } } }",
    );
    let program = program.to_str().expect("a readable path");
    assert_eq!(saki(&[program]), (13, "one|two three|fo\"ur\n".to_owned(), String::new()));
    assert_eq!(saki(&[program]), mono(&[program]));
}

#[test]
fn wrong_command_lines_are_one_line_as_with_mono() {
    let damaged = folder().join("command_line_damaged.exe");
    std::fs::write(&damaged, "MZ").expect("a writable folder");
    let damaged = damaged.to_str().expect("a plain path");
    // What Mono says, Saki says too; it may add a reason or what is valid.
    let cases: &[&[&str]] = &[
        &["--foo", program()],
        &["--stats=3", program()],
        &["--version=foo"],
        &["-O", program()],
        &["-O=foo", program()],
        &["--gc=foo", program()],
        &["--aot-path", program()],
        &["--aot=foo", program()],
        &["--aot=outfile", program()],
        &["--aot", "missing.dll"],
        &["missing.exe"],
        &[damaged],
        &["--compile", "Program:Missing", program()],
        &["--compile", "Missing", program()],
    ];
    for words in cases {
        let (code, out, errors) = saki(words);
        let (wanted_code, mono_out, mono_errors) = mono(words);
        let wanted = if mono_errors.is_empty() { mono_out } else { mono_errors };
        assert_eq!((code, out.as_str(), errors.lines().count()), (wanted_code, "", 1), "{words:?}: {errors}");
        assert!(errors.starts_with(wanted.trim_end()), "{words:?}: {errors}, mono: {wanted}");
    }
    let (_, _, errors) = saki(&["-O=foo", program()]);
    assert!(errors.contains("valid names: all, "), "{errors}");
}

#[test]
fn answers_end_with_monos_exit_codes() {
    let cases: &[&[&str]] =
        &[&[], &["--compile"], &["--aot"], &["-v"], &["--help"], &["--help-devel"], &["--version"], &["-V"], &["--list-opt"]];
    for words in cases {
        let (code, out, errors) = saki(words);
        assert_eq!((code, errors.as_str()), (mono(words).0, ""), "{words:?}");
        assert!(!out.is_empty(), "{words:?}");
    }
    assert!(saki(&[]).1.starts_with("Usage is: saki [options] program [program-options]\n"));
}

#[test]
fn every_name_of_mono_is_an_optimization() {
    let names = |text: &str| text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    let (saki, mono): (BTreeSet<String>, BTreeSet<String>) = (names(&saki(&["--list-opt"]).1), names(&mono(&["--list-opt"]).1));
    assert!(mono.len() > 20 && mono.is_subset(&saki), "{:?}", mono.difference(&saki));
}

#[test]
fn every_aot_option_of_mono_is_known() {
    let options = |(code, out, _): (i32, String, String)| -> BTreeSet<String> {
        assert_eq!(code, 0);
        out.lines().skip(1).map(|line| line.trim().trim_end_matches('=').to_owned()).collect()
    };
    let (ours, monos) = (options(saki(&["--aot=help", program()])), options(mono(&["--aot=help", program()])));
    assert!(monos.len() > 20 && monos.is_subset(&ours), "{:?}", monos.difference(&ours));
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
fn statistics_have_monos_names_and_layout() {
    let (code, out, errors) = saki(&["--stats", program()]);
    assert_eq!((code, out.as_str()), (3, "hello\n"));
    let (_, mono, _) = mono(&["--stats", program()]);
    // The counter ends where the name of one of Mono's does, and the value is where Mono has it.
    let shared = [
        "Compiled methods",
        "Methods from AOT",
        "Total time spent JITting",
        "Native code size",
        "Total Time",
        "Minor GC collections",
        "Major GC collections",
    ];
    for name in shared {
        let counter = format!("\n{name:<36}: ");
        assert!(errors.contains(&counter) && mono.contains(&counter), "{name}: {errors}{mono}");
    }
    for name in ["Initialized classes", "Used classes", "GC heap bytes in use", "Time before Main"] {
        let line = errors.lines().find(|line| line.starts_with(&format!("{name:<36}: ")));
        let value = line.and_then(|line| line[38..].split(' ').next()?.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{name}: {errors}");
    }
}

/// Replaces numbers in hexadecimal by `ADDRESS`, and what differs from run to run in a traced line's head.
fn without_addresses(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(place) = rest.find("0x") {
        plain.push_str(&rest[..place]);
        rest = &rest[place + 2..];
        let digits = rest.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(rest.len());
        // Short ones are values of the program.
        let is_address = (6..16).contains(&digits);
        plain.push_str(if is_address { "ADDRESS" } else { "0x" });
        if !is_address {
            plain.push_str(&rest[..digits]);
        }
        rest = &rest[digits..];
    }
    plain + rest
}

/// The lines of a trace, each with its depth in the place of thread, time and depth.
fn traced(output: &str) -> Vec<String> {
    let plain = without_addresses(output);
    let line = |line: &str| match line.strip_prefix("[ADDRESS: ").and_then(|line| line.split_once("] ")) {
        Some((head, call)) => format!("[{}] {call}", head.split(' ').nth(1).unwrap_or_default()),
        None => line.to_owned(),
    };
    // Mono's start throws exceptions that ours does not.
    plain.lines().filter(|line| !line.contains("Culture") && !line.starts_with("Parameter name:")).map(line).collect()
}

#[test]
fn compiled_methods_are_named_as_by_mono() {
    let lines = |output: &str| -> Vec<String> {
        let plain = without_addresses(output);
        let chosen = plain.lines().filter(|line| line.contains("Program:Main"));
        chosen.map(|line| line.split(" (code length").next().unwrap_or_default().to_owned()).collect()
    };
    let (_, ours, _) = saki(&["-v", program()]);
    assert_eq!(lines(&ours), lines(&mono(&["-v", program()]).1));
    assert_eq!(lines(&ours).len(), 2);
}

const TRACED: &str = r#"
using System;
namespace Traced {
struct Point { public int X, Y; public Point(int x, int y) { X = x; Y = y; } public int Sum(int k) { return X + Y + k; } }
struct Big { public long A, B, C; }
struct Mixed { public double D; public int I; }
enum Color : byte { Red = 1, Green = 2 }
class Node { int q; public Node(int q) { this.q = q; } public int Get(int a) { return a + q; } public static T Same<T>(T x) { return x; } }
class Box<T> { T value; public Box(T v) { value = v; } public T Get() { return value; } }
class Program {
    static long Integers(sbyte a, byte b, short c, ushort d, uint e, long f, ulong g) { return f; }
    static double Floats(float a, double b) { return b; }
    static string Text(string a, object o, char c, bool b) { return a; }
    static Point Points(Point p, ref Point q) { return p; }
    static Big Large(int before, Big p, int after) { return p; }
    static Mixed Mix(Mixed m, float f) { return m; }
    static Color Enumeration(Color c) { return c; }
    static int[] Arrays(int[] p, string[] q, int[,] z) { return p; }
    static IntPtr Pointers(IntPtr r, UIntPtr z) { return r; }
    static object Any(object o) { return o; }
    static Type Reflected(Type t) { return t; }
    static void Thrower(int k) { if (k == 0) throw new InvalidOperationException("no"); Thrower(k - 1); }
    static int Catcher() { try { Thrower(2); } catch (ArgumentException) { return 4; } catch (InvalidOperationException) { return 5; } return 6; }
    static void Finally() { try { Thrower(0); } finally { Any(null); } }
    static bool Filter(Exception e) { return e.Message == "no"; }
    static void Filtered() { try { Finally(); } catch (Exception e) when (Filter(e)) { Any("caught"); } }
    static int Null(string s) { try { return s.Length; } catch (NullReferenceException) { return 1; } }
    static int Main() {
        var q = new Point(8, 9);
        Integers(-1, 255, -300, 65000, 4000000000, -5, 7); Floats(1.5f, 2.25); Floats(1e30f, double.NegativeInfinity);
        Text("hello \"q\"", null, 'x', true); Text(null, "obj", 'y', false); Points(new Point(1, 2), ref q);
        Large(1, new Big { A = 1, B = 2, C = -3 }, 2); Mix(new Mixed { D = 1, I = 2 }, 3); Enumeration(Color.Green);
        Arrays(new int[3], new[] { "a" }, new int[2, 2]); Arrays(null, null, null); Pointers((IntPtr)5, UIntPtr.Zero);
        Any(5); Any(7L); Any(true); Any(2.5); Any(Color.Red); Any(q); Any(new Node(3)); Any(new int[2]); Reflected(typeof(Node));
        Catcher(); Filtered(); Null(null); q.Sum(4); new Node(9).Get(1); Node.Same(5); Node.Same(q); Node.Same(2.5); new Box<int>(4).Get();
        return 4;
    }
}}"#;

#[test]
fn traces_are_monos() {
    let program = compile("traced", TRACED);
    let program = program.to_str().expect("a plain path");
    let (code, ours, _) = saki(&["--trace=N:Traced", program]);
    let (mono_code, monos, _) = mono(&["--trace=N:Traced", program]);
    assert_eq!((code, mono_code), (4, 4));
    let (ours, monos) = (traced(&ours), traced(&monos));
    for (number, (ours, monos)) in ours.iter().zip(&monos).enumerate() {
        assert_eq!(ours, monos, "line {}", number + 1);
    }
    assert_eq!(ours.len(), monos.len());
    assert!(ours.len() > 80);
}

const UNTRACED_BY_MONO: &str = r#"
using System.Collections.Generic;
class Program {
    static float Single(float f) { return f; }
    static int? Generic(List<int> list, int? number) { return number; }
    static void References(ref int a, ref int b, int c) {}
    static T Shared<T>(T value) { return value; }
    static void Main() { int a = 1; Single(2.5f); Generic(new List<int>(), 4); References(ref a, ref a, 3); Shared("text"); }
}"#;

#[test]
fn traces_show_values_that_mono_does_not() {
    let program = compile("untraced", UNTRACED_BY_MONO);
    let (_, out, _) = saki(&["--trace=M:Program:Single,T:Program,-M:Program:Main", program.to_str().expect("a plain path")]);
    let expected = "[0] ENTER: Program:Single (single)(2.500000)
[0] LEAVE: Program:Single (single)FP=2.500000
[0] ENTER: Program:Generic (System.Collections.Generic.List`1<int>,System.Nullable`1<int>)\
([System.Collections.Generic.List`1:ADDRESS], [01,00,00,00,04,00,00,00,])
[0] LEAVE: Program:Generic (System.Collections.Generic.List`1<int>,System.Nullable`1<int>)[01,00,00,00,04,00,00,00,]
[0] ENTER: Program:References (int&,int&,int)([BYREF:ADDRESS], [BYREF:ADDRESS], 3)
[0] LEAVE: Program:References (int&,int&,int)
[0] ENTER: Program:Shared<__Canon> (__Canon)([STRING:ADDRESS:text])
[0] LEAVE: Program:Shared<__Canon> (__Canon)[STRING:ADDRESS:text]";
    let out = traced(&out).join("\n");
    assert_eq!(out, expected);
}

#[test]
fn traces_name_the_methods_that_the_expression_chooses() {
    let (code, out, _) = saki(&["--trace=program", program()]);
    let lines = traced(&out);
    assert_eq!((code, lines.len()), (3, 3), "{out}");
    assert_eq!(lines[0], "[0] ENTER: Program:Main (string[])([System.String[]:[0]ADDRESS])");
    assert_eq!(lines[1..], ["hello", "[0] LEAVE: Program:Main (string[])result=3"]);
    let (_, out, _) = saki(&["--trace=program,-T:Program", program()]);
    assert_eq!(out, "hello\n");
}

/// What the log says about a program's image beside it, each line once.
fn image_log(command: &Path, program: &Path) -> Vec<String> {
    let name = program.to_str().expect("a plain path");
    let (_, out, _) = run(command, &[name], AOT_LOG);
    let folder = program.parent().expect("a folder").to_str().expect("a plain path");
    let mut lines: Vec<String> = Vec::new();
    for line in out.lines().filter(|line| line.starts_with("Mono: AOT: ") && line.contains(&format!("{name}.so"))) {
        let line = line.replace(folder, "FOLDER");
        // Mono looks twice.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn images_are_logged_in_monos_words() {
    let logs = [PathBuf::from("mono"), saki_path()].map(|command| {
        let folder = folder().join(format!("command_line_{}", command.file_name().expect("a name").to_string_lossy()));
        // What an earlier run left.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let copy = folder.join("logged.exe");
        let name = copy.to_str().expect("a plain path");
        std::fs::copy(program(), &copy).expect("a writable folder");
        let mut log = image_log(&command, &copy);
        assert_eq!(run(&command, &["--aot", name], &[]).0, 0);
        log.push("compiled".into());
        log.extend(image_log(&command, &copy).into_iter().filter(|line| !line.contains("wants to load")));
        let other = compile("other", "class Program { static int Main() { return 3; } }");
        std::fs::copy(other, &copy).expect("a writable folder");
        log.push("changed".into());
        log.extend(image_log(&command, &copy));
        log
    });
    assert_eq!(logs[0], logs[1]);
    assert_eq!(logs[1].len(), 5, "{:?}", logs[1]);
    assert!(logs[1][4].ends_with(" is unusable: doesn't match assembly."));
}

#[test]
fn images_are_made_for_other_machines() {
    let machines =
        [("i686-linux-gnu", "x86", 1, 3), ("x86_64-linux-gnu", "amd64", 2, 62), ("armv7-linux-gnueabihf", "arm", 1, 40)];
    let image = folder().join("command_line_target.so");
    let outfile = format!("--aot=outfile={}", image.display());
    for (triple, name, class, machine) in machines {
        let mut images = Vec::new();
        for words in [vec![format!("{outfile},mtriple={triple}")], vec![format!("--target={name}"), outfile.clone()]] {
            let words: Vec<&str> = words.iter().map(String::as_str).chain([program()]).collect();
            let (code, _, errors) = saki(&words);
            assert_eq!(code, 0, "{words:?}: {errors}");
            images.push(std::fs::read(&image).expect("the image was written"));
        }
        // The class and the machine of the ELF header.
        assert_eq!((images[0][4], images[0][18]), (class, machine), "{triple}");
        assert!(images[0] == images[1], "{triple}");
    }
    for (words, message) in [
        (["--target=vax", program()], "Unknown target 'vax'; known ones: x86 ("),
        (["--aot=mtriple=vax", program()], "AOT : Unknown target 'vax'; known ones: x86 ("),
    ] {
        let (code, _, errors) = saki(&words);
        assert!(code == 1 && errors.starts_with(message) && errors.lines().count() == 1, "{words:?}: {errors}");
    }
    let other = if cfg!(target_arch = "arm") { "--target=x86" } else { "--target=arm" };
    let (code, _, errors) = saki(&[other, program()]);
    assert!(code == 1 && errors.starts_with(&format!("{other} is for --aot; programs run on ")), "{errors}");
}

#[test]
fn diff_runs_a_program_in_all_ways() {
    let (code, out, errors) = saki(&["diff", "--modes=jit,aot", "--opt=all,-all", "--mono", program(), "one", "two"]);
    assert_eq!(code, 0, "{out}{errors}");
    let rows: Vec<&str> = out.lines().collect();
    assert_eq!((rows.len(), rows[6], rows[7]), (8, "", "all agree"), "{out}");
    assert!(rows[1].starts_with("mono ") && rows[1].ends_with("reference"), "{out}");
    assert!(rows[2..6].iter().all(|row| row.ends_with("same") && row.contains("  1  ") && row.contains(" 6 B ")), "{out}");
}

#[test]
fn diff_shows_the_first_difference() {
    let source = "class Program { static void Main() { System.Console.WriteLine(\"x\\n\" + System.DateTime.Now.Ticks); } }";
    let program = compile("ticks", source);
    let (code, out, errors) = saki(&["diff", "--modes=jit", "--opt=all,-all", program.to_str().expect("a plain path")]);
    assert_eq!((code, errors.as_str()), (1, ""));
    let rows: Vec<&str> = out.lines().collect();
    assert!(rows[2].ends_with("output differs") && rows[4] == "output, line 2", "{out}");
    assert!(rows[5].contains("jit all ") && rows[6].contains("jit -all: ") && rows[5] != rows[6], "{out}");
}

#[test]
fn diff_interprets() {
    let source = "class Program { static int Main(string[] args) { var list = new System.Collections.Generic.List<string>(args);
        list.ForEach(System.Console.WriteLine); try { list[9] = null; } catch (System.Exception e) when (list.Count == 2) {
        System.Console.WriteLine(e.Message); } finally { System.Console.WriteLine(\"done\"); } throw new System.Exception(); } }";
    let program = compile("interpreted", source);
    let path = program.to_str().expect("a plain path");
    let (code, out, errors) = saki(&["diff", "--modes=interp,jit", "--opt=all,-all", path, "one", "two"]);
    assert_eq!(code, 0, "{out}{errors}");
    let rows: Vec<&str> = out.lines().collect();
    assert_eq!((rows.len(), rows[5]), (6, "all agree"), "{out}");
    assert!(rows[1].contains(" interp  ") && rows[1].ends_with("reference"), "{out}");
    // No pass saw the method that was interpreted.
    let words = ["--interpreter", "--print-before=inlining", path, "one", "two"];
    let (code, out, errors) = saki(&words);
    assert!(code == 1 && out.starts_with("one\ntwo\n") && out.ends_with("done\n"), "{out}{errors}");
    assert!(!errors.contains(" before inlining"), "{errors}");
}

#[test]
fn diff_says_what_is_not_available() {
    let words = ["diff", "--modes=jit", "--opt=default", "--targets=arm,x86", program()];
    let (code, out, errors) = run(&saki_path(), &words, &[("SAKI_ARM", "/nowhere"), ("SAKI_X86", "/nowhere")]);
    assert!(code == 1 && errors.contains("/nowhere is not there"), "{out}{errors}");
}
