//! The command line, in Mono's words: what stands before the program is Saki's, what follows it is the program's.
//!
//! Mono parses its options itself, in order, before anything runs; so do we, by one table.

use crate::diff::DiffOptions;
use crate::target::{self, Target};
use ir::pass_manager::OptimizationFlags;
use std::path::PathBuf;

/// What the user wants.
#[derive(Debug)]
pub enum Command {
    /// Run a program.
    Run {
        /// The program's file.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Compile assemblies ahead of time.
    Aot {
        /// The assemblies.
        files: Vec<PathBuf>,
        /// The text after `--aot=`, or nothing.
        options: String,
    },
    /// `diff`: run a program in several ways and compare.
    Diff(DiffOptions),
    /// Compile one method and say how that went.
    CompileMethod {
        /// `Namespace.Type:Method`, as Mono names methods.
        method: String,
        /// The assembly.
        program: PathBuf,
    },
    /// Compile all methods of an assembly.
    CompileAll {
        /// The assembly.
        program: PathBuf,
    },
    /// `--version`
    Version,
    /// `--version=number`
    VersionNumber,
    /// `--help`
    Help,
    /// `--help-devel`
    HelpDeveloper,
    /// `--list-opt`
    ListOptimizations,
}

/// Everything that the options before the program set.
#[derive(Debug)]
pub struct Settings {
    /// `-O=`
    pub optimizations: OptimizationFlags,
    /// Number of `-v`.
    pub verbose: u32,
    /// `--stats`
    pub statistics: bool,
    /// `--time-passes`
    pub time_passes: bool,
    /// `--print-before=`
    pub print_before: Vec<String>,
    /// `--print-after=`
    pub print_after: Vec<String>,
    /// `--opt-bisect-limit=`
    pub opt_bisect_limit: Option<u64>,
    /// `--dump-code=`: part of a method's name
    pub dump_code: Option<String>,
    /// `--jitmap`
    pub jit_map: bool,
    /// `--debug`
    pub debug: bool,
    /// `--trace`, with its expression
    pub trace: Option<String>,
    /// `--interpreter`
    pub interpreter: bool,
    /// `--target=`
    pub target: Option<&'static Target>,
    /// `--full-aot`
    pub full_aot: bool,
    /// `--aot-path=`, in order
    pub aot_path: Vec<PathBuf>,
}

/// A wrong command line: what to print on standard error, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError {
    /// One line; empty to print the usage on standard output instead.
    pub message: String,
    /// Exit code.
    pub exit_code: i32,
}

fn wrong(message: impl Into<String>) -> UsageError {
    UsageError { message: message.into(), exit_code: 1 }
}

/// How an option takes its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// None.
    No,
    /// Behind `=`.
    Equals,
    /// Behind `=`, if at all.
    Optional,
    /// The next word.
    Next,
}

type Setter = fn(&mut Parsed, &str) -> Result<(), UsageError>;

#[derive(Debug)]
struct Parsed {
    settings: Settings,
    aot: Option<String>,
    method: Option<String>,
    compile_all: bool,
    answer: Option<Command>,
}

/// All options: spelling, how a value comes, what it does. Those that mean nothing here are accepted as Mono's users write them.
const OPTIONS: &[(&str, Value, Setter)] = &[
    ("--aot", Value::Optional, |parsed, value| {
        let known = parsed.aot.get_or_insert_default();
        if !known.is_empty() && !value.is_empty() {
            known.push(',');
        }
        known.push_str(value);
        Ok(())
    }),
    ("--optimize", Value::Equals, set_optimizations),
    ("-O", Value::Equals, set_optimizations),
    ("--list-opt", Value::No, |parsed, _| answer(parsed, Command::ListOptimizations)),
    ("--version", Value::Optional, |parsed, value| match value {
        "" => answer(parsed, Command::Version),
        "number" => answer(parsed, Command::VersionNumber),
        other => Err(wrong(format!("Unknown command line option: '--version={other}'"))),
    }),
    ("-V", Value::No, |parsed, _| answer(parsed, Command::Version)),
    ("--help", Value::No, |parsed, _| answer(parsed, Command::Help)),
    ("-h", Value::No, |parsed, _| answer(parsed, Command::Help)),
    ("--help-devel", Value::No, |parsed, _| answer(parsed, Command::HelpDeveloper)),
    ("-v", Value::No, |parsed, _| verbose(parsed)),
    ("--verbose", Value::No, |parsed, _| verbose(parsed)),
    ("--stats", Value::No, |parsed, _| set(&mut parsed.settings.statistics, true)),
    ("--time-passes", Value::No, |parsed, _| set(&mut parsed.settings.time_passes, true)),
    ("--print-before", Value::Equals, |parsed, value| print_pass(&mut parsed.settings.print_before, value)),
    ("--print-after", Value::Equals, |parsed, value| print_pass(&mut parsed.settings.print_after, value)),
    ("--opt-bisect-limit", Value::Equals, |parsed, value| match value.parse() {
        Ok(limit) => set(&mut parsed.settings.opt_bisect_limit, Some(limit)),
        Err(_) => Err(wrong(format!("--opt-bisect-limit takes a number, not '{value}'"))),
    }),
    ("--dump-code", Value::Equals, |parsed, value| set(&mut parsed.settings.dump_code, Some(value.to_owned()))),
    ("--compile", Value::Next, |parsed, value| set(&mut parsed.method, Some(value.to_owned()))),
    ("--compile-all", Value::No, |parsed, _| set(&mut parsed.compile_all, true)),
    ("--jitmap", Value::No, |parsed, _| set(&mut parsed.settings.jit_map, true)),
    ("--debug", Value::Optional, |parsed, value| {
        parsed.settings.debug = true;
        match value.split(',').find(|word| !DEBUG_WORDS.contains(word)) {
            None => Ok(()),
            Some(word) => Err(wrong(format!("Invalid debug option `{word}', valid ones: casts, mdb-optimizations, gdb"))),
        }
    }),
    ("--trace", Value::Optional, |parsed, value| set(&mut parsed.settings.trace, Some(value.to_owned()))),
    ("--interpreter", Value::No, |parsed, _| set(&mut parsed.settings.interpreter, true)),
    ("--target", Value::Equals, |parsed, value| set(&mut parsed.settings.target, Some(target::find(value).map_err(wrong)?))),
    ("--full-aot", Value::No, |parsed, _| set(&mut parsed.settings.full_aot, true)),
    ("--aot-path", Value::Equals, |parsed, value| {
        parsed.settings.aot_path.extend(std::env::split_paths(value));
        Ok(())
    }),
    ("--runtime", Value::Equals, |_, _| Ok(())),
    ("--gc", Value::Equals, |_, value| match value {
        "sgen" | "boehm" => Ok(()),
        other => Err(wrong(format!("Unknown command line option: '--gc={other}'"))),
    }),
    ("--config", Value::Next, |_, _| Ok(())),
    ("--attach", Value::Equals, |_, _| Ok(())),
    ("--llvm", Value::No, |_, _| Ok(())),
    ("--nollvm", Value::No, |_, _| Ok(())),
    ("--server", Value::No, |_, _| Ok(())),
    ("--desktop", Value::No, |_, _| Ok(())),
];

/// Words behind `--debug=`. They mean nothing here.
const DEBUG_WORDS: &[&str] = &["", "casts", "mdb-optimizations", "gdb"];

fn answer(parsed: &mut Parsed, command: Command) -> Result<(), UsageError> {
    parsed.answer.get_or_insert(command);
    Ok(())
}

fn verbose(parsed: &mut Parsed) -> Result<(), UsageError> {
    parsed.settings.verbose += 1;
    Ok(())
}

fn set<T>(place: &mut T, value: T) -> Result<(), UsageError> {
    *place = value;
    Ok(())
}

fn set_optimizations(parsed: &mut Parsed, value: &str) -> Result<(), UsageError> {
    parsed.settings.optimizations.apply(value).map_err(wrong)
}

fn print_pass(list: &mut Vec<String>, value: &str) -> Result<(), UsageError> {
    for name in value.split(',') {
        if name != "all" && ir::pass_manager::find_pass(name).is_none() {
            return Err(wrong(format!("There is no pass `{name}'; --list-opt lists the passes")));
        }
        list.push(name.to_owned());
    }
    Ok(())
}

/// Puts what the variable `MONO_ENV_OPTIONS` holds before the words of the command line.
pub fn with_environment(mut words: Vec<String>) -> Result<Vec<String>, UsageError> {
    if let Some(value) = std::env::var_os("MONO_ENV_OPTIONS") {
        words.splice(0..0, split_words(&value.to_string_lossy())?);
    }
    Ok(words)
}

/// Words with white space between them, as Mono reads them: quotes of both sorts keep it together, and a backslash takes away the meaning of
/// what follows it, within quotes too.
fn split_words(text: &str) -> Result<Vec<String>, UsageError> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (' ' | '\t' | '\n', None) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            ('\\', _) => word.extend(characters.next()),
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            _ => word.push(character),
        }
    }
    if quote.is_some() {
        return Err(wrong(format!("Unmatched quotes in value: [{text}]")));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Parses the words after the command's own name.
pub fn parse(words: &[String]) -> Result<(Command, Settings), UsageError> {
    let mut parsed = Parsed {
        settings: Settings {
            optimizations: OptimizationFlags::default(),
            verbose: 0,
            statistics: false,
            time_passes: false,
            print_before: Vec::new(),
            print_after: Vec::new(),
            opt_bisect_limit: None,
            dump_code: None,
            jit_map: false,
            debug: false,
            trace: None,
            interpreter: false,
            target: None,
            full_aot: false,
            aot_path: Vec::new(),
        },
        aot: None,
        method: None,
        compile_all: false,
        answer: None,
    };
    let mut rest = words.iter();
    while let Some(word) = rest.as_slice().first().filter(|word| word.starts_with('-') && word.len() > 1) {
        rest.next();
        parse_option(&mut parsed, word, &mut rest)?;
        if parsed.answer.is_some() {
            break;
        }
    }
    if let Some(command) = parsed.answer {
        return Ok((command, parsed.settings));
    }
    let rest = rest.as_slice();
    if rest.first().is_some_and(|word| word == "diff") && !std::path::Path::new("diff").exists() {
        return Ok((Command::Diff(DiffOptions::parse(&rest[1..]).map_err(wrong)?), parsed.settings));
    }
    let Some((program, arguments)) = rest.split_first() else {
        return Err(UsageError { message: String::new(), exit_code: 1 });
    };
    let command = match (parsed.aot, parsed.method) {
        (Some(options), _) => Command::Aot { files: rest.iter().map(PathBuf::from).collect(), options },
        (None, Some(method)) => Command::CompileMethod { method, program: PathBuf::from(program) },
        (None, None) if parsed.compile_all => Command::CompileAll { program: PathBuf::from(program) },
        (None, None) => Command::Run { program: PathBuf::from(program), arguments: arguments.to_vec() },
    };
    Ok((command, parsed.settings))
}

fn parse_option<'a>(parsed: &mut Parsed, word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<(), UsageError> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let unknown = || wrong(format!("Unknown command line option: '{word}'"));
    let (_, kind, setter) = OPTIONS.iter().find(|(spelling, _, _)| *spelling == name).ok_or_else(unknown)?;
    match (kind, value) {
        (Value::No, None) => setter(parsed, ""),
        (Value::Optional, value) => setter(parsed, value.unwrap_or("")),
        (Value::Equals, Some(value)) => setter(parsed, value),
        (Value::Next, None) => {
            // As Mono does, the usage says what is missing.
            let value = rest.next().ok_or_else(|| wrong(""))?;
            setter(parsed, value)
        }
        (Value::Equals, None) | (Value::No | Value::Next, Some(_)) => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<(Command, Settings), UsageError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn options_end_at_the_program() {
        let (command, settings) = parse_words("-v -v --stats p.exe -v --aot").unwrap();
        let Command::Run { program, arguments } = command else { panic!("{command:?}") };
        assert_eq!(program, PathBuf::from("p.exe"));
        assert_eq!(arguments, ["-v", "--aot"]);
        assert_eq!((settings.verbose, settings.statistics), (2, true));
    }

    #[test]
    fn aot_takes_several_files_and_joins_its_options() {
        let (command, _) = parse_words("--aot=stats --aot=threads=2 -O=all a.dll b.dll").unwrap();
        let Command::Aot { files, options } = command else { panic!("{command:?}") };
        assert_eq!(files, [PathBuf::from("a.dll"), PathBuf::from("b.dll")]);
        assert_eq!(options, "stats,threads=2");
    }

    #[test]
    fn wrong_words_are_one_line_and_exit_1() {
        for line in [
            "--foo p.exe",
            "-O=foo p.exe",
            "-O p.exe",
            "--stats=1 p.exe",
            "--gc=x p.exe",
            "--debug=x p.exe",
            "--opt-bisect-limit=x p.exe",
        ] {
            let error = parse_words(line).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code, 1, "{line}");
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{line}: {}", error.message);
        }
        assert_eq!(parse_words("--foo").map(|_| ()).unwrap_err().message, "Unknown command line option: '--foo'");
    }

    #[test]
    fn words_of_the_environment_are_split_as_mono_does() {
        for (text, expected) in [
            ("", &[][..]),
            (" -v \t--stats\n", &["-v", "--stats"]),
            (r#"'a b' "c'd" e\ f \'g"#, &["a b", "c'd", "e f", "'g"]),
            (r#"--x='a "b"'c '' \"#, &["--x=a \"b\"c"]),
            (r#"'a\'b'"#, &["a'b"]),
        ] {
            assert_eq!(split_words(text).unwrap(), expected, "{text}");
        }
        assert_eq!(split_words("'a").unwrap_err().message, "Unmatched quotes in value: ['a]");
    }

    #[test]
    fn nothing_to_do_prints_the_usage() {
        for line in ["", "-v", "--compile", "--config"] {
            let error = parse_words(line).map(|_| ()).unwrap_err();
            assert_eq!((error.message.as_str(), error.exit_code), ("", 1), "{line}");
        }
    }
}
