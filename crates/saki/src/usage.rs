//! The texts of `--help`, `--help-devel` and `--version`.

/// `--help`
pub const USAGE: &str = "\
Usage is: saki [options] program [program-options]

Development:
    --aot[=<options>]      Compiles the assemblies to native code (FILE.so beside each);
                           options are listed in docs/command-line.md
    --debug[=<options>]    Enables debugging support: file names and lines in stack traces
    --trace[=EXPR]         Prints calls and returns; EXPR names a type or method
    --jitmap               Writes a map of compiled methods to /tmp/perf-PID.map
    --help-devel           Shows more options, for those who work on code generation

Runtime:
    --verbose, -v          Increases the verbosity level
    --help, -h             Shows this text
    --version, -V          Shows version information
    --version=number       Shows the version number
    --optimize=OPT, -O=OPT Turns optimizations on and off: a comma separated list of names,
                           `all', and `-NAME'; the last one wins
    --list-opt             Lists the optimizations
    --stats                Prints statistics when the program ends
    --full-aot             Compiles nothing at run time
    --aot-path=PATH        Additional folders in which AOT images are looked for

Accepted for the sake of Mono's users, without effect:
    --runtime=VERSION --gc=NAME --config FILE --attach=OPTIONS --llvm --nollvm --server --desktop
";

/// `--help-devel`
pub const USAGE_DEVELOPER: &str = "\
Usage is: saki [options] program [program-options]

Code generation:
    --compile METHOD       Just compiles METHOD (Namespace.Type:Name) of the assembly
    --print-before=PASS    Prints the intermediate representation before PASS (`all' for every pass)
    --print-after=PASS     The same after PASS
    --dump-code=TEXT       Prints the machine code of methods whose full name contains TEXT
    --time-passes          Prints the time that each pass took
    --opt-bisect-limit=N   Runs the first N passes only, counted over all methods, and names them
";

/// `--version`
pub fn version() -> String {
    format!(
        "Saki CIL compiler and runtime version {}\n\
         \tArchitecture:  {}\n\
         \tClass library: Mono 4.5 profile\n\
         \tGC:            MMTk sticky Immix, conservative stacks\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
    )
}
