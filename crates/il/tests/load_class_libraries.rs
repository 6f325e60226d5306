//! Loads every type of the installed class libraries for every data layout, and resolves every token of `mscorlib`'s code.

use std::path::{Path, PathBuf};

use il::ErrorKind;
use il::instruction::Operand;
use il::resolve::{AssemblyResolver, DEFAULT_FRAMEWORK};
use il::tables::{TableId, Token};
use il::types::{AssemblyId, DataLayout, TypeId, TypeSystem};

fn system(layout: DataLayout) -> Option<TypeSystem> {
    let framework = Path::new(DEFAULT_FRAMEWORK);
    if !framework.join("mscorlib.dll").is_file() {
        eprintln!("no class libraries in {DEFAULT_FRAMEWORK}");
        return None;
    }
    Some(TypeSystem::new(layout, AssemblyResolver::new(framework)).unwrap())
}

fn library_files() -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dll" || extension == "exe");
    let entries = std::fs::read_dir(DEFAULT_FRAMEWORK).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(is_library).collect();
    files.sort();
    files
}

#[derive(Default, Debug)]
struct Counts {
    assemblies: usize,
    types: usize,
    slots: usize,
    interface_methods: usize,
    /// Types that need an assembly which is not installed.
    unavailable: usize,
    errors: Vec<String>,
}

/// Loads a type at all levels; for a class that can have instances, resolves all methods of all its interfaces.
fn load_type(ts: &TypeSystem, t: TypeId, counts: &mut Counts) -> il::Result<()> {
    let header = ts.header(t)?;
    let class = ts.class(t)?;
    assert!(class.value_size > 0 && class.align.is_power_of_two());
    assert!(class.reference_offsets.iter().all(|offset| offset % ts.layout().pointer_bytes == 0), "{}", ts.type_name(t));
    for (field, offset) in ts.instance_fields(t)? {
        let storage = ts.storage(ts.field_type(field)?)?;
        assert!(offset + storage.size(ts.layout()) <= if class.is_value_type() { class.value_size } else { class.fields_end });
    }
    ts.statics(t)?;
    for &field in ts.fields_of(t)? {
        ts.field_location(field)?;
    }
    counts.slots += ts.vtable(t)?.slots.len();
    for method in ts.methods_of(t) {
        ts.method_signature(method)?;
    }
    let is_generic = !ts.generic_params(t)?.is_empty();
    if header.is_interface() || header.is_abstract() || is_generic {
        return Ok(());
    }
    for &interface in ts.interfaces(t)? {
        for method in ts.methods_of(interface) {
            if ts.method(method).is_virtual() {
                assert!(!ts.method(ts.resolve_interface_method(t, method)?).is_abstract());
                counts.interface_methods += 1;
            }
        }
    }
    Ok(())
}

/// Whether an assembly is not installed, be it the type's own reference or that of a field's type.
fn lacks_assembly(error: &il::Error) -> bool {
    error.kind() == ErrorKind::FileNotFound
        || error.kind() == ErrorKind::TypeLoad && error.message().contains("due to: Could not load file or assembly")
}

fn load_everything(layout: DataLayout) {
    let Some(ts) = system(layout) else { return };
    let mut counts = Counts::default();
    for file in library_files() {
        let assembly = match ts.load_file(&file) {
            Ok(assembly) => assembly,
            Err(error) => {
                counts.errors.push(format!("{}: {error}", file.display()));
                continue;
            }
        };
        counts.assemblies += 1;
        for row in ts.metadata(assembly).row_numbers(TableId::TypeDef) {
            let t = ts.type_definition(assembly, row);
            counts.types += 1;
            match load_type(&ts, t, &mut counts) {
                Ok(()) => {}
                Err(error) if lacks_assembly(&error) => counts.unavailable += 1,
                Err(error) => counts.errors.push(format!("{}: {error}", ts.type_name(t))),
            }
        }
    }
    let Counts { assemblies, types, slots, interface_methods, unavailable, errors } = counts;
    println!(
        "{}: {assemblies} assemblies, {types} types ({unavailable} need missing assemblies), {slots} slots, \
         {interface_methods} interface methods",
        layout.name
    );
    assert!(unavailable <= types / 1000, "{unavailable} types need assemblies that are not found");
    assert!(errors.is_empty(), "{} errors:\n{}", errors.len(), errors.join("\n"));
}

#[test]
fn every_type_loads_on_amd64() {
    load_everything(DataLayout::AMD64);
}

#[test]
fn every_type_loads_on_x86() {
    load_everything(DataLayout::X86);
}

#[test]
fn every_type_loads_on_arm() {
    load_everything(DataLayout::ARM);
}

fn resolve_token(ts: &TypeSystem, assembly: AssemblyId, token: Token, method: il::types::MethodId) -> il::Result<()> {
    let context = ts.method_context(method);
    if token.table() == Some(TableId::StandAloneSig) {
        return ts.stand_alone_signature(assembly, token, &context).map(drop);
    }
    ts.resolve_member(assembly, token, &context).map(drop)
}

#[test]
fn every_token_in_mscorlib_resolves() {
    let Some(ts) = system(DataLayout::AMD64) else { return };
    let assembly = ts.corlib();
    let mut errors = Vec::new();
    let (mut bodies, mut tokens) = (0, 0);
    for row in ts.metadata(assembly).row_numbers(TableId::MethodDef) {
        let method = ts.method_definition(assembly, row).unwrap();
        let Some(body) = ts.method_body(method).unwrap() else { continue };
        bodies += 1;
        if let Err(error) = ts.locals(method, &body) {
            errors.push(format!("{}: {error}", ts.method_full_name(method)));
        }
        for instruction in body.instructions() {
            if let Operand::Token(token) = instruction.unwrap().operand {
                tokens += 1;
                if let Err(error) = resolve_token(&ts, assembly, token, method) {
                    errors.push(format!("{}: {error}", ts.method_full_name(method)));
                }
            }
        }
    }
    println!("{bodies} bodies, {tokens} tokens");
    assert!(errors.is_empty(), "{} errors:\n{}", errors.len(), errors.join("\n"));
}
