//! `cargo xtask conformance classes`: the tests of Mono's class library, under Mono and under Saki. Their sources and those of the test framework
//! (NUnitLite) are in Debian's source package; they run against the class library that is installed.

use crate::cross::{self, TARGETS, Target};
use crate::shell::{cache_folder, capture, make_image, root, run as run_command, target_folder};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "mono-6.8.0.105+dfsg";
const SOURCE: &str = "http://deb.debian.org/debian/pool/main/m/mono/mono_6.8.0.105+dfsg.orig.tar.xz";
const SOURCE_SHA256: &str = "6cde75aefc19c55c4dcdae7f22a1f67bdc30f47e41079054bebafeaee3c4d900";
/// What is taken out of it.
const PARTS: [&str; 3] = ["mcs/class", "external", "mono/mini/TestHelpers.cs"];
const LIBRARY: &str = "/usr/lib/mono/4.5";
/// Folders of `mcs/class` whose tests are run if no other ones are asked for.
const FOLDERS: &[&str] = &[
    "corlib",
    "System",
    "System.Core",
    "System.XML",
    "System.Xml.Linq",
    "System.Data",
    "System.Data.DataSetExtensions",
    "System.Data.Linq",
    "System.Configuration",
    "System.Numerics",
    "System.Security",
    "System.Runtime.Remoting",
    "System.Runtime.Serialization",
    "System.Runtime.Caching",
    "System.Threading.Tasks.Dataflow",
    "System.Transactions",
    "System.ComponentModel.DataAnnotations",
    "System.IdentityModel",
    "System.IO.Compression",
    "System.Json",
    "System.Net.Http",
    "System.ServiceModel.Web",
    "System.Web.Services",
    "System.Xaml",
    "WindowsBase",
    "Mono.CSharp",
    "Mono.Posix",
    "Mono.Security",
];
/// Folders whose tests begin with another name than they.
const NAMES: &[(&str, &str)] = &[("System.XML", "System.Xml")];
/// What Mono's makefiles define, and the compiler's options that all of them have.
const OPTIONS: &[&str] = &[
    "-nologo",
    "-target:library",
    "-unsafe",
    "-debug",
    "-langversion:7.2",
    "-noconfig",
    "-codepage:65001",
    "-warn:0",
    "-r:System.dll",
    "-r:System.Core.dll",
    "-r:Mono.Posix.dll",
    "-d:NET_4_0;NET_4_5;NET_4_6;MONO;WIN_PLATFORM",
    "-d:MONO_FEATURE_THREAD_ABORT;MONO_FEATURE_MULTIPLE_APPDOMAINS;MONO_FEATURE_THREAD_SUSPEND_RESUME",
];
/// Categories that Mono's makefiles leave out.
const EXCLUDED: &str = "-exclude:NotOnMac,MacNotWorking,CAS,NotWorking,LinuxNotWorking,MobileNotWorking";
/// Seconds for one assembly's tests.
const TIME: &str = "900";

/// Runs them; arguments name folders of `mcs/class`, `--target NAME` whose `saki` runs them, and `--images` has all compiled ahead of time at
/// `-O=all`. What passes under Mono is kept beside the tests. The error counts the tests that pass under Mono alone.
pub fn run(arguments: &[String]) -> Result<(), String> {
    let (target, mut chosen) = cross::take_target(arguments)?;
    let target = target.unwrap_or(&TARGETS[0]);
    let from_images = chosen.iter().any(|word| word == "--images");
    chosen.retain(|word| word != "--images");
    crate::packages::install()?;
    crate::packages::install_from(crate::packages::DOWNLOADS)?;
    let host = cross::release_saki(&TARGETS[0])?;
    let runtime = cross::release_saki(target)?;
    let source = unpacked_source()?;
    let folder = target_folder().join("class-libraries");
    fs::create_dir_all(folder.join("mono")).map_err(|error| format!("{}: {error}", folder.display()))?;
    build_framework(&source, &folder)?;
    let images = from_images.then(|| Images { compiler: host, target, folder: folder.join(format!("images-{}", target.name)) });
    let mut saki: Vec<String> = target.runner().split_whitespace().map(str::to_owned).collect();
    saki.push(runtime.display().to_string());
    if let Some(images) = &images {
        images.make(&class_libraries()?)?;
        images.make(&["nunitlite.dll", "runner.exe"].map(|file| folder.join(file)))?;
        saki.push(format!("--aot-path={}", images.folder.display()));
    }
    let folders: Vec<&str> = match &chosen[..] {
        [] => FOLDERS.to_vec(),
        _ => chosen.iter().map(String::as_str).collect(),
    };
    let (mut passed, mut all) = (0, 0);
    for name in folders {
        let tests = build_tests(&source, name, &folder)?;
        if let Some(images) = &images {
            images.make(&[folder.join(format!("{tests}.dll"))])?;
        }
        let expected = passed_under_mono(&source, name, &tests, &folder)?;
        let place = folder.join(format!("run-{}{}", target.name, if from_images { "-images" } else { "" }));
        let actual = run_tests(&source, name, &tests, &saki, &folder, &place)?;
        let missing: Vec<&String> = expected.difference(&actual).collect();
        println!("{name}: {} of the {} tests that pass under Mono", expected.len() - missing.len(), expected.len());
        missing.iter().for_each(|test| println!("  {test}"));
        passed += expected.len() - missing.len();
        all += expected.len();
    }
    println!("{passed} of {all} tests of the class library that pass under Mono");
    if passed == all { Ok(()) } else { Err(format!("{} fail", all - passed)) }
}

/// Where images of a target go.
struct Images {
    compiler: PathBuf,
    target: &'static Target,
    folder: PathBuf,
}

impl Images {
    fn make(&self, assemblies: &[PathBuf]) -> Result<(), String> {
        assemblies.iter().try_for_each(|assembly| {
            let mut compiler = Command::new(&self.compiler);
            compiler.arg(format!("--target={}", self.target.name));
            make_image(compiler, assembly, &self.folder)
        })
    }
}

/// The class libraries that are installed.
fn class_libraries() -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    for folder in [LIBRARY, &format!("{LIBRARY}/Facades")] {
        for entry in fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))? {
            found.push(entry.map_err(|error| format!("{folder}: {error}"))?.path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "dll"));
    Ok(found)
}

/// The names of the tests that pass under Mono: of the first run, which is kept.
fn passed_under_mono(source: &Path, name: &str, tests: &str, folder: &Path) -> Result<BTreeSet<String>, String> {
    let kept = folder.join("mono").join(tests);
    if let Ok(text) = fs::read_to_string(&kept) {
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let passed = run_tests(source, name, tests, &["mono".to_owned()], folder, &folder.join("run-mono"))?;
    let text: String = passed.iter().flat_map(|test| [test, "\n"]).collect();
    fs::write(&kept, text).map_err(|error| format!("{}: {error}", kept.display()))?;
    Ok(passed)
}

/// The unpacked source package, got at the first use.
fn unpacked_source() -> Result<PathBuf, String> {
    let cache = cache_folder().join("mono-source");
    let unpacked = cache.join(VERSION);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    println!("getting {SOURCE} (117 MB)");
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let archive = cache.join("mono.tar.xz");
    run_command(Command::new("curl").args(["-sSfL", "-o"]).arg(&archive).arg(SOURCE))?;
    let (sum, _) = capture(Command::new("sha256sum").arg(&archive))?;
    if !String::from_utf8_lossy(&sum.stdout).starts_with(SOURCE_SHA256) {
        return Err(format!("{SOURCE} is not what it was: another SHA-256"));
    }
    let partial = cache.join("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).map_err(|error| format!("{}: {error}", partial.display()))?;
    let parts = PARTS.map(|part| format!("{VERSION}/{part}"));
    run_command(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&partial).args(parts))?;
    fs::rename(partial.join(VERSION), &unpacked).map_err(|error| format!("{}: {error}", unpacked.display()))?;
    Ok(unpacked)
}

/// NUnitLite and the program that runs tests with it.
fn build_framework(source: &Path, folder: &Path) -> Result<(), String> {
    let ours = root().join("tests/class-libraries");
    let mut sources = Vec::new();
    collect(&source.join("external/nunit-lite/NUnitLite-1.0.0/src/framework"), &mut sources)?;
    sources.retain(|path| !path.to_string_lossy().contains("Silverlight"));
    let mut library = Command::new("mcs");
    library.args(["-nologo", "-warn:0", "-target:library", "-out:nunitlite.dll"]);
    library.arg("-d:NUNITLITE;NUNIT;CLR_2_0;CLR_4_0;NET_4_5;MONO;TRACE").arg(ours.join("support.cs"));
    run_command(library.args(sources).current_dir(folder))?;
    let mut program = Command::new("mcs");
    program.args(["-nologo", "-r:nunitlite.dll", "-out:runner.exe"]).arg(ours.join("runner.cs"));
    run_command(program.current_dir(folder))
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<(), String> {
    let at = |error| format!("{}: {error}", folder.display());
    let mut paths =
        fs::read_dir(folder).map_err(at)?.map(|entry| Ok(entry.map_err(at)?.path())).collect::<Result<Vec<_>, String>>()?;
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => collect(&path, sources)?,
            false if path.extension().is_some_and(|extension| extension == "cs") => sources.push(path),
            false => {}
        }
    }
    Ok(())
}

/// The first part of the names of a folder's test files.
fn stem(folder: &str) -> &str {
    NAMES.iter().find(|entry| entry.0 == folder).map_or(folder, |entry| entry.1)
}

/// Compiles the tests of a folder of `mcs/class`; gives their assembly's name.
fn build_tests(source: &Path, name: &str, folder: &Path) -> Result<String, String> {
    let place = source.join("mcs/class").join(name);
    let read =
        |file: &str| fs::read_to_string(place.join(file)).map_err(|error| format!("{}: {error}", place.join(file).display()));
    let tests = format!("{}_test", stem(name));
    let assembly = if name == "corlib" { "mscorlib" } else { stem(name) };
    let makefile = Makefile::parse(&read("Makefile")?);
    let references = makefile.words("TEST_LIB_REFS").chain(makefile.words("LIB_REFS")).chain([assembly]);
    let references: BTreeSet<String> = references
        .map(|name| name.rsplit(['=', '/']).next().unwrap_or(name))
        .filter(|name| *name != "mscorlib" && Path::new(LIBRARY).join(format!("{name}.dll")).exists())
        .map(|name| format!("-r:{LIBRARY}/{name}.dll"))
        .collect();
    let is_option =
        |word: &&str| word.starts_with('-') && !word.contains("$(") && !word.contains("-r:") && *word != "-warnaserror";
    let mut compiler = Command::new("mcs");
    compiler.args(OPTIONS).arg(format!("-out:{}", folder.join(format!("{tests}.dll")).display()));
    compiler.arg(format!("-r:{}", folder.join("nunitlite.dll").display())).args(references);
    compiler.args(makefile.words("TEST_MCS_FLAGS").filter(is_option).filter(|option| has_its_resource(option, &place)));
    for resource in makefile.words("TEST_RESOURCE_FILES").filter(|file| place.join(file).exists()) {
        compiler.arg(format!("-resource:{resource},{resource}"));
    }
    let specific = format!("net_4_x_{tests}.dll.sources");
    let list = if place.join(&specific).exists() { specific } else { format!("{tests}.dll.sources") };
    let mut sources = Vec::new();
    listed_sources(&place, &list, &mut sources)?;
    let mut seen = BTreeSet::new();
    sources.retain(|source| seen.insert(source.clone()));
    run_command(compiler.args(sources).current_dir(&place))?;
    Ok(tests)
}

/// Whether a compiler's option is no resource, or one whose file the source package has.
fn has_its_resource(option: &str, place: &Path) -> bool {
    let file = option.strip_prefix("-resource:").and_then(|resource| resource.split(',').next());
    file.is_none_or(|file| place.join(file).exists())
}

/// The files of a list: names below `Test`, of which some have patterns, and lists that it includes.
fn listed_sources(place: &Path, list: &str, sources: &mut Vec<PathBuf>) -> Result<(), String> {
    let path = place.join(list);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(included) = line.strip_prefix("#include ") {
            listed_sources(place, included.trim(), sources)?;
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let file = Path::new("Test").join(line.split(':').next().unwrap_or(line));
        match file.to_string_lossy().contains('*') {
            true => sources.extend(matching(place, &file)?),
            false if place.join(&file).exists() => sources.push(file),
            false => {}
        }
    }
    Ok(())
}

/// The C# files of a folder whose names begin as a pattern does.
fn matching(place: &Path, pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let (folder, name) = (pattern.parent().unwrap_or(Path::new("")), pattern.file_name().unwrap_or_default().to_string_lossy());
    let (start, end) = name.split_once('*').unwrap_or((&name, ""));
    let entries = fs::read_dir(place.join(folder)).map_err(|error| format!("{}: {error}", pattern.display()))?;
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
    let mut found: Vec<PathBuf> =
        names.filter(|name| name.starts_with(start) && name.ends_with(end)).map(|name| folder.join(name)).collect();
    found.sort();
    Ok(found)
}

/// Runs the tests of an assembly in a folder `place` of their own; gives the names of those that pass. What runs when the time is up does not.
fn run_tests(
    source: &Path,
    name: &str,
    tests: &str,
    runtime: &[String],
    folder: &Path,
    place: &Path,
) -> Result<BTreeSet<String>, String> {
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place).map_err(|error| format!("{}: {error}", place.display()))?;
    for file in ["nunitlite.dll", "runner.exe", &format!("{tests}.dll"), &format!("{tests}.dll.mdb")] {
        fs::copy(folder.join(file), place.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let data = source.join("mcs/class").join(name).join("Test");
    std::os::unix::fs::symlink(&data, place.join("Test")).map_err(|error| format!("{}: {error}", data.display()))?;
    let results = place.join("results");
    let mut command = Command::new("timeout");
    command.arg(TIME).args(runtime).args(["runner.exe", tests, "-noheader", EXCLUDED]).current_dir(place);
    command.env("SAKI_TEST_RESULTS", &results).env("MONO_TESTS_IN_PROGRESS", "yes");
    capture(&mut command)?;
    let text = fs::read_to_string(&results).map_err(|error| format!("{}: {error}", results.display()))?;
    let mut state: BTreeMap<&str, bool> = BTreeMap::new();
    for (word, test) in text.lines().filter_map(|line| line.split_once(' ')) {
        match word {
            "began" => state.insert(test, false),
            "ended" => state.insert(test, true),
            _ => state.insert(test, false),
        };
    }
    Ok(state.into_iter().filter(|&(_, has_passed)| has_passed).map(|(test, _)| test.to_owned()).collect())
}

/// The variables of a makefile, all that is ever added to each.
struct Makefile(BTreeMap<String, String>);

impl Makefile {
    fn parse(text: &str) -> Makefile {
        let mut variables: BTreeMap<String, String> = BTreeMap::new();
        for line in text.replace("\\\n", " ").lines() {
            if let Some((name, value)) = line.split_once('=') {
                let entry = variables.entry(name.trim_end_matches([':', '+', ' ', '\t']).trim().to_owned()).or_default();
                entry.push(' ');
                entry.push_str(value);
            }
        }
        Makefile(variables)
    }

    fn words(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flat_map(|value| value.split_whitespace())
    }
}
