//! The command `diff`: runs one program on several machines, in several modes and with several sets of optimizations, and says whether
//! all runs agree.

mod compare;
mod launch;

use crate::options::Settings;
use crate::target::{self, Target};
use compare::{Outcome, Row};
use launch::Workshop;
use std::collections::HashSet;
use std::path::PathBuf;

/// How code comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// All of it just in time.
    Jit,
    /// The program's ahead of time.
    Aot,
    /// None: the intermediate representation is interpreted as imported, so that sets of optimizations make no difference.
    Interpreter,
}

/// Modes with their names in `--modes=`.
const MODES: &[(&str, Mode)] = &[("jit", Mode::Jit), ("aot", Mode::Aot), ("interp", Mode::Interpreter)];

/// The name of the set of optimizations that no `-O=` asks for.
const DEFAULT: &str = "default";

/// What to run.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    targets: Vec<&'static Target>,
    modes: Vec<Mode>,
    /// Texts after `-O=`, or [`DEFAULT`].
    optimizations: Vec<String>,
    mono: bool,
    program: PathBuf,
    arguments: Vec<String>,
}

impl DiffOptions {
    /// Parses the words after `diff`. Options may also stand behind the program, up to a word `--`.
    ///
    /// # Errors
    /// One line for standard error.
    pub fn parse(words: &[String]) -> Result<DiffOptions, String> {
        let mut options = DiffOptions {
            targets: vec![target::host()],
            modes: vec![Mode::Jit, Mode::Aot],
            optimizations: [DEFAULT, "-all", "all"].map(str::to_owned).to_vec(),
            mono: false,
            program: PathBuf::new(),
            arguments: Vec::new(),
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let list = |value: &str| -> Vec<String> { value.split(',').map(str::to_owned).collect() };
            match word.split_once('=').unwrap_or((word, "")) {
                ("--", "") => {
                    options.arguments.extend(rest.by_ref().cloned());
                }
                ("--mono", "") => options.mono = true,
                ("--targets", value) => {
                    options.targets = list(value).iter().map(|name| target::find(name)).collect::<Result<_, _>>()?;
                }
                ("--modes", value) => options.modes = list(value).iter().map(|name| mode(name)).collect::<Result<_, _>>()?,
                ("--opt", value) => options.optimizations = list(value).iter().map(|set| set.replace('+', ",")).collect(),
                (name, _) if options.program.as_os_str().is_empty() => {
                    if name.starts_with('-') {
                        return Err(format!("Unknown command line option: '{word}'"));
                    }
                    options.program = PathBuf::from(word);
                }
                _ => options.arguments.push(word.clone()),
            }
        }
        if options.program.as_os_str().is_empty() {
            return Err("diff needs a program: saki diff PROGRAM [ARGUMENTS]".to_owned());
        }
        let mut flags = ir::pass_manager::OptimizationFlags::default();
        options.optimizations.iter().filter(|set| *set != DEFAULT).try_for_each(|set| flags.apply(set))?;
        Ok(options)
    }

    /// All combinations, in the order of the options.
    fn configurations(&self) -> Vec<Configuration> {
        let mut list = Vec::new();
        let unoptimized = [String::new()];
        for &target in &self.targets {
            for &mode in &self.modes {
                let sets = if mode == Mode::Interpreter { unoptimized.as_slice() } else { &self.optimizations };
                list.extend(sets.iter().map(|set| Configuration { target, mode, optimizations: set.clone() }));
            }
        }
        list
    }
}

fn mode(name: &str) -> Result<Mode, String> {
    let known: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
    let mode = MODES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode);
    mode.ok_or_else(|| format!("Unknown mode '{name}'; known ones: {}", known.join(", ")))
}

/// One way to run a program.
#[derive(Clone, Debug)]
struct Configuration {
    target: &'static Target,
    mode: Mode,
    optimizations: String,
}

impl Configuration {
    fn name(&self) -> String {
        let mode = MODES.iter().find(|(_, mode)| *mode == self.mode).map_or("", |(name, _)| name);
        format!("{} {mode} {}", self.target.name(), self.optimizations).trim_end().to_owned()
    }
}

/// Runs all configurations and prints the table; gives the exit code, which is 0 only if all agree.
pub fn run(options: &DiffOptions, settings: &Settings) -> i32 {
    if !options.program.exists() {
        eprintln!("Cannot open assembly '{}': No such file or directory.", options.program.display());
        return 2;
    }
    let workshop = match Workshop::open() {
        Ok(workshop) => workshop,
        Err(message) => {
            eprintln!("saki diff: {message}");
            return 1;
        }
    };
    let mut rows: Vec<Row> = Vec::new();
    // Several runs may lack the same.
    let mut complaints = HashSet::new();
    let mut add = |name: String, outcome: Result<Outcome, String>| {
        if let Some(message) = outcome.as_ref().err().filter(|&message| complaints.insert(message.clone())) {
            eprintln!("saki diff: {name}: {message}");
        }
        if settings.verbose > 0 {
            eprintln!("saki diff: {name} done");
        }
        rows.push(Row { name, outcome });
    };
    if options.mono {
        add("mono".to_owned(), launch::mono(options));
    }
    for configuration in options.configurations() {
        add(configuration.name(), workshop.run(&configuration, options));
    }
    print!("{}", compare::table(&rows));
    match compare::first_difference(&rows) {
        Some(text) => print!("\n{text}"),
        None => println!("\nall agree"),
    }
    i32::from(!compare::all_agree(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<DiffOptions, String> {
        DiffOptions::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_stand_before_and_behind_the_program() {
        let options = parse("--targets=x86,arm p.exe one --modes=jit --opt=all+-inlining,default --mono -- --mono").unwrap();
        assert_eq!(options.program, PathBuf::from("p.exe"));
        assert_eq!(options.arguments, ["one", "--mono"]);
        assert!(options.mono);
        let names: Vec<String> = options.configurations().iter().map(Configuration::name).collect();
        assert_eq!(names, ["x86 jit all,-inlining", "x86 jit default", "arm jit all,-inlining", "arm jit default"]);
    }

    #[test]
    fn the_interpreter_runs_once_for_all_sets_of_optimizations() {
        let options = parse("--targets=x86,arm --modes=interp,jit --opt=all,-all p.exe").unwrap();
        let names: Vec<String> = options.configurations().iter().map(Configuration::name).collect();
        assert_eq!(names, ["x86 interp", "x86 jit all", "x86 jit -all", "arm interp", "arm jit all", "arm jit -all"]);
    }

    #[test]
    fn wrong_words_are_named() {
        let cases = [
            ("--foo p.exe", "Unknown command line option: '--foo'"),
            ("--targets=vax p.exe", "Unknown target 'vax'"),
            ("--modes=fast p.exe", "Unknown mode 'fast'; known ones: jit, aot, interp"),
            ("--opt=foo p.exe", "Invalid optimization name `foo'"),
            ("--mono", "diff needs a program"),
        ];
        for (line, message) in cases {
            let error = parse(line).map(|_| ()).unwrap_err();
            assert!(error.starts_with(message), "{line}: {error}");
        }
    }
}
