//! `cargo xtask conformance apps`: programs that Debian's packages bring, under Mono and under Saki: exit code, output and
//! every file that they write must be the same, byte for byte but for what is different in each of Mono's own runs.

use crate::shell::{build_saki, capture, root, run as run_command, saki, target_folder};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program with what it is given. It runs in a folder of its own that holds `inputs`.
struct Application {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// The file whose text is its standard input.
    standard_input: Option<PathBuf>,
    /// Copied to where it runs, under these names.
    inputs: Vec<(PathBuf, &'static str)>,
    /// Lines of output that begin so hold a time or a date.
    changing_lines: &'static [&'static str],
}

/// What a run left: exit code, standard output, and what files hold by their path.
#[derive(PartialEq)]
struct Outcome {
    exit_code: Option<i32>,
    output: String,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

const TOOLS: &str = "/usr/lib/mono/4.5";
/// What some of the programs of the tests need besides the libraries that the compiler refers to by itself.
const REMOTING: &str = "-r:System.Runtime.Remoting.dll";
const NUNIT: &str = "/usr/lib/nunit/nunit-console.exe";
const NUNIT_FRAMEWORK: &str = "/usr/lib/cli/nunit.framework-2.6.3/nunit.framework.dll";

/// Copies of each program of `tests/programs` in one source, so that the compiler has as much to do as with itself.
const COPIES: usize = 60;

/// Runs them all; arguments are parts of names that choose. The error counts what differs.
pub fn run(chosen: &[String]) -> Result<(), String> {
    crate::packages::install()?;
    crate::packages::install_from(crate::packages::APPLICATIONS)?;
    build_saki()?;
    let folder = target_folder().join("applications");
    let prepared = folder.join("inputs");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&prepared).map_err(|error| format!("{}: {error}", prepared.display()))?;
    let (mut agree, mut differ) = (0, 0);
    for application in applications(&prepared)? {
        if !chosen.is_empty() && !chosen.iter().any(|part| application.name.contains(part)) {
            continue;
        }
        let expected = run_under(&application, "mono", &folder.join("run"))?;
        let actual = run_under(&application, &saki().to_string_lossy(), &folder.join("run"))?;
        match difference(&expected, &actual) {
            None => agree += 1,
            Some(difference) => {
                differ += 1;
                println!("{}: {difference}", application.name);
            }
        }
    }
    println!("{agree} of {} runs of applications are the same as under Mono", agree + differ);
    if differ == 0 { Ok(()) } else { Err(format!("{differ} differ")) }
}

fn applications(prepared: &Path) -> Result<Vec<Application>, String> {
    let sources = sources()?;
    let ours = root().join("tests/applications");
    let mut list = Vec::new();
    for source in &sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        list.push(
            tool("mcs", &["-unsafe", REMOTING, "-out:out.exe", "in.cs"], vec![(source.clone(), "in.cs")])
                .named(&format!("mcs {name}")),
        );
        let (assembly, text) = (prepared.join(format!("{name}.exe")), prepared.join(format!("{name}.il")));
        run_command(
            Command::new("mcs").args(["-unsafe", "-warn:0", REMOTING, &format!("-out:{}", assembly.display())]).arg(source),
        )?;
        let (listing, _) = capture(Command::new("monodis").arg(&assembly))?;
        write(&text, &listing.stdout)?;
        list.push(tool("ilasm", &["-output:out.exe", "in.il"], vec![(text, "in.il")]).named(&format!("ilasm {name}")));
    }
    let large = prepared.join("large.cs");
    write(&large, large_source(&sources)?.as_bytes())?;
    let library = prepared.join("library.dll");
    let unit_tests = prepared.join("unit_tests.dll");
    run_command(Command::new("mcs").args(["-target:library", &format!("-out:{}", library.display())]).arg(ours.join("unit.cs")))?;
    let reference = format!("-r:{NUNIT_FRAMEWORK}");
    let output = format!("-out:{}", unit_tests.display());
    run_command(Command::new("mcs").args(["-target:library", &reference, &output]).arg(ours.join("unit_tests.cs")))?;

    list.push(
        tool("mcs", &["-unsafe", REMOTING, "-target:library", "-out:out.dll", "in.cs"], vec![(large, "in.cs")])
            .named("mcs large"),
    );
    list.push(tool("ikdasm", &[&format!("{TOOLS}/System.Core.dll")], vec![]));
    list.push(tool("mono-api-info", &[&format!("{TOOLS}/mscorlib.dll")], vec![]));
    list.push(tool("monop", &["-r:System.Core", "System.Linq.Enumerable"], vec![]));
    list.push(tool("monop", &["-a", "System.String"], vec![]).named("monop string"));
    list.push(tool("gacutil", &["-l"], vec![]));
    list.push(tool("sgen", &["/a:library.dll", "/t:Point", "/f"], vec![(library.clone(), "library.dll")]));
    list.push(tool("xsd", &["library.dll"], vec![(library, "library.dll")]));
    list.push(Application { standard_input: Some(ours.join("session.csx")), ..tool("csharp", &[], vec![]) });
    list.push(Application {
        name: "nunit-console".to_owned(),
        program: NUNIT.into(),
        changing_lines: &["Tests run:"],
        ..tool(
            "",
            &["-nologo", "-nodots", "-noresult", "tests.dll"],
            vec![(unit_tests, "tests.dll"), (NUNIT_FRAMEWORK.into(), "nunit.framework.dll")],
        )
    });
    list.push(Application {
        changing_lines: &["Build started", "Time Elapsed"],
        ..tool(
            "xbuild",
            &["/nologo", "in.csproj"],
            vec![(ours.join("project.csproj"), "in.csproj"), (ours.join("unit.cs"), "unit.cs")],
        )
    });
    Ok(list)
}

/// A program of Mono's tools.
fn tool(name: &str, arguments: &[&str], inputs: Vec<(PathBuf, &'static str)>) -> Application {
    Application {
        name: name.to_owned(),
        program: Path::new(TOOLS).join(format!("{name}.exe")),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
        standard_input: None,
        inputs,
        changing_lines: &[],
    }
}

impl Application {
    fn named(self, name: &str) -> Application {
        Application { name: name.to_owned(), ..self }
    }
}

/// The C# programs of the tests, in order.
fn sources() -> Result<Vec<PathBuf>, String> {
    let folder = root().join("tests/programs");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut sources: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "cs"));
    sources.sort();
    Ok(sources)
}

/// The programs many times over, each in a namespace of its own.
fn large_source(sources: &[PathBuf]) -> Result<String, String> {
    let mut text = String::new();
    for (number, source) in sources.iter().enumerate() {
        let program = fs::read_to_string(source).map_err(|error| format!("{}: {error}", source.display()))?;
        if program.contains("[assembly:") || program.contains("[module:") {
            continue;
        }
        for copy in 0..COPIES {
            text.push_str(&format!("namespace Program{number}Copy{copy} {{\n{program}\n}}\n"));
        }
    }
    Ok(text)
}

fn run_under(application: &Application, runtime: &str, folder: &Path) -> Result<Outcome, String> {
    // The same folder for each, since names of files appear in what is written.
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (from, to) in &application.inputs {
        fs::copy(from, folder.join(to)).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    // Through the shell, which joins the two outputs in the order in which they are written.
    let input = application.standard_input.clone().unwrap_or_else(|| "/dev/null".into());
    let mut command = Command::new("timeout");
    command.args(["300", "sh", "-c", "exec \"$@\" 2>&1 < \"$INPUT\"", "sh", runtime]);
    command.arg(&application.program).args(&application.arguments).current_dir(folder).env("INPUT", input).env("TERM", "dumb");
    let (ended, _) = capture(&mut command)?;
    let mut files = BTreeMap::new();
    collect_files(folder, folder, &mut files)?;
    let output = String::from_utf8_lossy(&ended.stdout).into_owned();
    let is_steady = |line: &&str| !application.changing_lines.iter().any(|start| line.trim_start().starts_with(start));
    let steady: Vec<&str> = output.lines().filter(is_steady).collect();
    Ok(Outcome { exit_code: ended.status.code(), output: steady.join("\n"), files })
}

fn collect_files(folder: &Path, base: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<(), String> {
    let at = |error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        if path.is_dir() {
            collect_files(&path, base, files)?;
            continue;
        }
        let mut bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        mask_module_identity(&mut bytes);
        files.insert(path.strip_prefix(base).unwrap_or(&path).to_path_buf(), bytes);
    }
    Ok(())
}

/// Clears what a compiler makes anew for each assembly: the time in the header (PE format, COFF header) and the first entry of
/// the `#GUID` stream (ECMA-335 II.24.2.5), the module version identifier. Files of other kinds stay as they are.
fn mask_module_identity(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    if !bytes.starts_with(b"MZ") {
        return;
    }
    if let Some(time) = word(bytes, 0x3c).and_then(|header| bytes.get_mut(header + 8..header + 12)) {
        time.fill(0);
    }
    let Some(metadata) = bytes.windows(4).position(|window| window == b"BSJB") else { return };
    let name = b"#GUID\0";
    let headers = metadata..bytes.len().min(metadata + 256);
    let Some(stream) = bytes[headers].windows(name.len()).position(|window| window == name) else { return };
    // A stream's header is its offset, its size, its name.
    if let Some(identifier) =
        word(bytes, metadata + stream - 8).and_then(|offset| bytes.get_mut(metadata + offset..metadata + offset + 16))
    {
        identifier.fill(0);
    }
}

/// What differs first, in a line or two.
fn difference(expected: &Outcome, actual: &Outcome) -> Option<String> {
    let lines = expected.output.lines().zip(actual.output.lines().chain(std::iter::repeat("(end)")));
    if let Some((left, right)) = lines.into_iter().find(|(left, right)| left != right) {
        return Some(format!("output differs\n  mono: {left}\n  saki: {right}"));
    }
    if expected.output != actual.output {
        let extra = actual.output.lines().nth(expected.output.lines().count()).unwrap_or_default();
        return Some(format!("output goes on\n  saki: {extra}"));
    }
    if expected.exit_code != actual.exit_code {
        return Some(format!("exit code {:?}, not {:?}", actual.exit_code, expected.exit_code));
    }
    let names = expected.files.keys().chain(actual.files.keys());
    let different = names.into_iter().find(|&name| expected.files.get(name) != actual.files.get(name))?;
    Some(format!("the file {} differs", different.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
