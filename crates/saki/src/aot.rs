//! The command `--aot`: compiles assemblies ahead of time and writes their images.

mod lines;
mod options;
mod report;

use crate::options::Settings;
use crate::target;
use aot_writer::image::{CodePiece, Dependency, ImageIdentity, MethodKey, ObjectImage};
use compiler::abi::{Abi, HelperId, data_layout};
use compiler::ahead::{self, AheadAssembly, AheadOptions, AheadPiece, PieceKey};
use compiler::{CompileOptions, ImportFlags};
use il::AssemblyResolver;
use il::types::{AssemblyId, TypeSystem};
use ir::mach::Backend;
use ir::pass_manager::{PassManager, PassOptions};
use options::AotOptions;
use report::Progress;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Compiles each file; gives the exit code.
pub fn run(files: &[PathBuf], text: &str, settings: &Settings) -> i32 {
    if options::asks_for_help(text) {
        print!("{}", options::help());
        return 0;
    }
    let (options, ignored) = match options::parse(text) {
        Ok(parsed) => parsed,
        Err(message) => {
            eprintln!("{message}");
            return 1;
        }
    };
    if !ignored.is_empty() {
        eprintln!("AOT : without effect here: {}", ignored.join(", "));
    }
    if options.outfile.is_some() && files.len() > 1 {
        eprintln!("AOT : outfile= takes one assembly only.");
        return 1;
    }
    let backend = (options.target.or(settings.target).unwrap_or_else(target::host).backend)();
    for file in files {
        if let Err(message) = compile_file(file, &options, settings, &*backend) {
            eprintln!("{message}");
            return 1;
        }
    }
    0
}

fn compile_file(file: &Path, options: &AotOptions, settings: &Settings, backend: &dyn Backend) -> Result<(), String> {
    let path = file.canonicalize().map_err(|_| format!("Can not open image {}", file.display()))?;
    let cannot_open = |error: il::Error| format!("Can not open image {}: {error}", file.display());
    let (types, assembly) = load(&path, backend).map_err(cannot_open)?;
    println!("Saki Ahead of Time compiler - compiling assembly {}", path.display());
    let codegen = runtime::aot::image_codegen_options(backend.architecture(), settings.optimizations.mono("ssa"));
    let expand = runtime::compile::expand_options(Abi::of(backend.architecture()));
    let passes = PassManager::new(
        PassOptions {
            flags: settings.optimizations,
            print_before: settings.print_before.clone(),
            print_after: settings.print_after.clone(),
            time_passes: settings.time_passes,
            opt_bisect_limit: settings.opt_bisect_limit,
            ..PassOptions::default()
        },
        Box::new(std::io::stderr()),
    );
    let progress = Progress::new();
    let ahead_options = AheadOptions {
        compile: CompileOptions { import: ImportFlags::default(), passes: &passes, expand: &expand, codegen },
        backend,
        threads: options.threads,
        lines: options.lines,
        progress: &|done, known| progress.update(done, known),
    };
    let mut compiled = ahead::compile_assembly(&types, assembly, &ahead_options).map_err(|error| error.to_string())?;
    progress.finish();
    report_methods(&compiled, options);

    let start = Instant::now();
    let output = options.outfile.clone().unwrap_or_else(|| with_suffix(&path, ".so"));
    if options.text_only || options.save_text {
        let text = disassembly(&compiled, backend);
        write_aside(&with_suffix(&path, ".s"), text.as_bytes())?;
    }
    if let Some(depfile) = &options.depfile {
        write_aside(depfile, make_rule(&types, assembly, &compiled, &output).as_bytes())?;
    }
    let statistics = options.stats.then(|| report::statistics(&compiled));
    let mut bytes = Vec::new();
    if !options.text_only {
        let name = output.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let image = object_image(&types, assembly, &mut compiled, backend, name, options, settings);
        bytes = aot_writer::elf::write(&image, backend).map_err(|error| format!("AOT : {error}"))?;
        write_aside(&output, &bytes)?;
    }
    let write_time = start.elapsed();
    let milliseconds = |time: std::time::Duration| time.as_millis();
    println!(
        "JIT time: {} ms, Generation time: {} ms, Write time: {} ms.",
        milliseconds(compiled.wall[0]),
        milliseconds(compiled.wall[1]),
        milliseconds(write_time)
    );
    if let Some(text) = statistics {
        print!("{text}{}", report::file_statistics(&bytes, write_time));
    }
    if settings.time_passes {
        print!("{}", compiled.passes);
    }
    Ok(())
}

/// The type system with an assembly in it. The core library is its own.
fn load(path: &Path, backend: &dyn Backend) -> il::Result<(TypeSystem, AssemblyId)> {
    let mut resolver = AssemblyResolver::from_environment(il::resolve::DEFAULT_FRAMEWORK, |name| std::env::var_os(name));
    resolver.application_paths.extend(path.parent().map(Path::to_path_buf));
    let layout = data_layout(backend.architecture());
    let is_core = il::Assembly::open(path)?.name().name.as_ref() == "mscorlib";
    let types = match is_core {
        true => TypeSystem::with_corlib(layout, resolver, path)?,
        false => TypeSystem::new(layout, resolver)?,
    };
    let assembly = types.load_file(path)?;
    Ok((types, assembly))
}

fn report_methods(compiled: &AheadAssembly, options: &AotOptions) {
    if options.verbose {
        for piece in compiled.pieces.iter().filter(|piece| piece.key.is_some()) {
            println!("{} [{} bytes]", piece.name, piece.code.code_len);
        }
    }
    if options.print_skipped {
        for skipped in &compiled.skipped {
            println!("Skipped: {}: {}", skipped.name, skipped.reason);
        }
    }
    println!("Compiled: {}/{}", compiled.candidates - compiled.skipped.len(), compiled.candidates);
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a file whole or not at all: beside it first, then in its place.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let aside = with_suffix(path, &format!(".{}.tmp", std::process::id()));
    std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, path)).map_err(|error| {
        // What could not be written may not be there either.
        let _ = std::fs::remove_file(&aside);
        format!("AOT : cannot write {}: {error}", path.display())
    })
}

/// The image; takes code and cells out of `compiled`.
fn object_image(
    types: &TypeSystem,
    assembly: AssemblyId,
    compiled: &mut AheadAssembly,
    backend: &dyn Backend,
    name: String,
    options: &AotOptions,
    settings: &Settings,
) -> ObjectImage {
    let content = |id: AssemblyId| runtime::aot::content_hash(types.assembly(id).image().bytes());
    let dependency = |&id: &AssemblyId| Dependency { name: types.assembly(id).name().to_string(), content: content(id) };
    let source_lines = options.lines.then(|| lines::source_lines(types, assembly, &compiled.pieces)).flatten();
    let mut names = symbol_names(&compiled.pieces);
    if source_lines.is_none() {
        names = without_unique_namespaces(&names);
    }
    let code = std::mem::take(&mut compiled.pieces).into_iter().zip(names).enumerate().map(|(symbol, (piece, name))| CodePiece {
        symbol: symbol as u32,
        name,
        key: piece.key.map(|key| match key {
            PieceKey::Definition(row) => MethodKey::Definition(row),
            PieceKey::Instance(key) => MethodKey::Instance(key),
        }),
        code: piece.code,
        clauses: piece.clauses,
        inline_sites: piece.inline_sites,
    });
    ObjectImage {
        identity: ImageIdentity {
            architecture: backend.architecture(),
            cpu_features: 0,
            abi: runtime::aot::abi_fingerprint(backend.architecture()),
            assembly: content(assembly),
            options: format!("{:?}", settings.optimizations),
            dependencies: compiled.dependencies.iter().map(dependency).collect(),
        },
        name,
        code: code.collect(),
        cells: std::mem::take(&mut compiled.cells),
        inlined_methods: std::mem::take(&mut compiled.inlined_methods),
        read_only_data: Vec::new(),
        helper_count: HelperId::ALL.len() as u32,
        extra: Vec::new(),
        source_lines,
    }
}

/// Names in the symbol table: with parameters only where a method is overloaded, and their types without namespaces.
fn symbol_names(pieces: &[AheadPiece]) -> Vec<String> {
    let short = |piece: &AheadPiece| piece.name.rfind(" (").unwrap_or(piece.name.len());
    let mut uses: HashMap<&str, u32> = HashMap::new();
    for piece in pieces {
        *uses.entry(&piece.name[..short(piece)]).or_default() += 1;
    }
    let name = |piece: &AheadPiece| match &piece.name[..short(piece)] {
        unique if uses[unique] == 1 => unique.to_owned(),
        overloaded => overloaded.to_owned() + &without_namespaces(&piece.name[overloaded.len()..]),
    };
    pieces.iter().map(name).collect()
}

/// Names without the namespaces of their classes, where the class's own name says which one it is. They take a tenth of an image that has no
/// other information for debuggers.
fn without_unique_namespaces(names: &[String]) -> Vec<String> {
    // The first namespace in which a class is found; none if there are others.
    let mut namespaces: HashMap<&str, Option<&str>> = HashMap::new();
    for (namespace, class, _) in names.iter().map(|name| split_name(name)) {
        let known = namespaces.entry(class).or_insert(Some(namespace));
        *known = known.filter(|&known| known == namespace);
    }
    let short = |name: &String| match split_name(name) {
        (_, class, rest) if namespaces[class].is_some() => rest.to_owned(),
        _ => name.clone(),
    };
    names.iter().map(short).collect()
}

/// Namespace and outermost class of a method's name, and the name without the namespace.
fn split_name(name: &str) -> (&str, &str, &str) {
    let end = name.find(['<', '/', ':', '[', '(', ' ']).unwrap_or(name.len());
    match name[..end].rfind('.') {
        Some(point) => (&name[..point], &name[point + 1..end], &name[point + 1..]),
        None => ("", &name[..end], name),
    }
}

/// A list of types without what stands before the last point of each.
fn without_namespaces(types: &str) -> String {
    let mut short = String::with_capacity(types.len());
    let mut start = 0;
    for letter in types.chars() {
        if letter == '.' {
            short.truncate(start);
            continue;
        }
        short.push(letter);
        if matches!(letter, ' ' | ',' | '<' | '(' | '[') {
            start = short.len();
        }
    }
    short
}

fn disassembly(compiled: &AheadAssembly, backend: &dyn Backend) -> String {
    let mut text = String::new();
    for piece in &compiled.pieces {
        let code = &piece.code.bytes[..piece.code.code_len as usize];
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}:\n{}", piece.name, backend.disassemble(code, 0));
    }
    text
}

/// A rule for `make`: the image depends on the assembly and on all that it was compiled against.
fn make_rule(types: &TypeSystem, assembly: AssemblyId, compiled: &AheadAssembly, output: &Path) -> String {
    let escape = |path: &Path| path.to_string_lossy().replace('$', "$$").replace(' ', "\\ ");
    let mut rule = format!("{}:", escape(output));
    for &id in std::iter::once(&assembly).chain(&compiled.dependencies) {
        if let Some(path) = types.assembly(id).path() {
            let _ = write!(rule, " {}", escape(path));
        }
    }
    rule.push('\n');
    rule
}
