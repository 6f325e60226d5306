//! The texts of `--help`, `--help-devel` and `--version`.

/// `--help`
pub const USAGE: &str = "\
Usage is: saki [options] program [program-options]

Development:
    --aot[=<options>]      Compiles the assemblies to native code (FILE.so beside each);
                           options are listed in docs/command-line.md
    --debug[=<options>]    Enables debugging support: file names and lines in stack traces
    --target=NAME          With --aot: makes code for x86, amd64, arm, or a triple
    --trace[=EXPR]         Prints calls and returns; EXPR lists all, program, N:Namespace, T:Type,
                           M:Type:Method or an assembly, `-' before an item excludes it
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
          saki diff [diff-options] program [program-options]

Comparison of runs (saki diff):
    --targets=LIST         Machines: x86, amd64, arm
    --modes=LIST           jit, aot, interp
    --opt=LIST             Sets of optimizations, with `+' for the commas of -O=; `default'
    --mono                 Compares with mono

Code generation:
    --compile METHOD       Just compiles METHOD (Namespace.Type:Name) of the assembly
    --compile-all          Compiles all methods of the assembly
    --print-before=PASS    Prints the intermediate representation before PASS (`all' for every pass)
    --print-after=PASS     The same after PASS
    --dump-code=TEXT       Prints the machine code of methods whose full name contains TEXT
    --time-passes          Prints the time that each pass took
    --interpreter          Interprets methods as imported, without any pass, instead of compiling them
    --opt-bisect-limit=N   Runs the first N passes only, counted over all methods, and names them
";

/// What each name of `-O=` stands for: Saki's passes, then Mono's names, in Mono's words.
const OPTIMIZATIONS: &[(&str, &str)] = &[
    ("all", "All of them"),
    ("inlining", "Inline method calls"),
    ("copy-propagation", "Use the origin of copied values"),
    ("constant-propagation", "Follow constants through branches"),
    ("constant-folding", "Compute operations on constants"),
    ("branch-cleanup", "Merge blocks and drop needless branches"),
    ("scalar-replacement", "Keep the fields of local structures in registers"),
    ("value-numbering", "Compute equal values once"),
    ("null-check-removal", "Drop null checks that cannot fail"),
    ("bounds-check-removal", "Drop array bound checks that cannot fail"),
    ("if-conversion", "Conditional moves instead of short branches"),
    ("loop-inversion", "Test loop conditions at the end"),
    ("loop-invariant-motion", "Move constant work out of loops"),
    ("legalize", "Split 64-bit integers where machines have none"),
    ("dead-code", "Drop what nothing uses"),
    ("block-layout", "Place blocks so that few jumps are taken"),
    ("expand", "Lower object operations"),
    ("peephole", "Peephole postpass"),
    ("branch", "Branch optimizations"),
    ("inline", "Inline method calls"),
    ("cfold", "Constant folding"),
    ("consprop", "Constant propagation"),
    ("copyprop", "Copy propagation"),
    ("deadce", "Dead code elimination"),
    ("linears", "Linear scan global reg allocation"),
    ("cmov", "Conditional moves"),
    ("shared", "Emit per-domain code"),
    ("sched", "Instruction scheduling"),
    ("intrins", "Intrinsic method implementations"),
    ("tailc", "Tail recursion and tailcalls"),
    ("loop", "Loop related optimizations"),
    ("fcmov", "Fast x86 FP compares"),
    ("leaf", "Leaf procedures optimizations"),
    ("aot", "Usage of Ahead Of Time compiled code"),
    ("precomp", "Precompile all methods before executing Main"),
    ("abcrem", "Array bound checks removal"),
    ("ssapre", "SSA based Partial Redundancy Elimination (obsolete)"),
    ("exception", "Optimize exception catch blocks"),
    ("ssa", "Use plain SSA form"),
    ("float32", "Use 32 bit float arithmetic if possible"),
    ("sse2", "SSE2 instructions on x86"),
    ("gsharedvt", "Generic sharing for valuetypes"),
    ("gshared", "Generic Sharing"),
    ("simd", "Simd intrinsics"),
    ("unsafe", "Remove bound checks and perform other dangerous changes"),
    ("alias-analysis", "Alias analysis of locals"),
];

/// `--list-opt`, in Mono's layout.
pub fn optimizations() -> String {
    let describe = |name: &str| OPTIMIZATIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    let names = ir::pass_manager::OptimizationFlags::valid_names();
    names.into_iter().map(|name| format!("{:27}{name:<10} {}\n", "", describe(name))).collect()
}

/// `--version`
pub fn version() -> String {
    format!(
        "Saki CIL compiler and runtime version {}\n\
         \tArchitecture:  {}\n\
         \tClass library: Mono 4.5 profile\n\
         \tGC:            MMTk sticky Immix, conservative stacks\n",
        env!("CARGO_PKG_VERSION"),
        crate::target::host().name(),
    )
}
