//! What the fuzz targets run: one function for each kind of input from outside. A function returns whatever the bytes are; a panic is a bug.
//!
//! The targets in `fuzz/` feed them with libFuzzer; `tests/regressions.rs` feeds them with every input that once broke one.

use aot_writer::reader::{EntryKey, Image};
use il::Assembly;
use il::resolve::{AssemblyResolver, DEFAULT_FRAMEWORK};
use il::tables::TableId;
use il::types::{AssemblyId, DataLayout, LoadContext, TypeId, TypeSystem};
use ir::pass_manager::{PassContext, PassManager, PassOptions};
use std::path::Path;
use std::sync::OnceLock;

/// A target: its name, which is also that of its folder of regressions, and what it runs.
pub type Entry = (&'static str, fn(&[u8]));

/// All targets.
pub const ENTRIES: &[Entry] = &[("assembly", assembly), ("image", image), ("function", function)];

/// Reads an assembly and loads each of its types, with all signatures, layouts, virtual tables, bodies and locals.
pub fn assembly(bytes: &[u8]) {
    let _ = il::version_info::VersionInfo::of_file(bytes);
    let Ok(read) = Assembly::from_bytes(bytes.into(), "fuzz.dll") else { return };
    for (row, _) in read.resources() {
        let _ = read.resource(row);
    }
    read.image().debug_entries().for_each(|entry| drop(entry.code_view()));
    let framework = Path::new(DEFAULT_FRAMEWORK);
    if !framework.join("mscorlib.dll").is_file() {
        return;
    }
    // A system of its own for each input: what one assembly defines must not be seen by the next.
    let Ok(types) = TypeSystem::new(DataLayout::AMD64, AssemblyResolver::new(framework)) else { return };
    let Ok(id) = types.load_bytes(LoadContext::Execution, bytes, "fuzz.dll") else { return };
    for row in types.metadata(id).row_numbers(TableId::TypeDef) {
        let _ = load_type(&types, types.type_definition(id, row));
    }
    load_bodies(&types, id);
}

fn load_type(types: &TypeSystem, ty: TypeId) -> il::Result<()> {
    types.header(ty)?;
    types.class(ty)?;
    types.statics(ty)?;
    for &field in types.fields_of(ty)? {
        let _ = types.field_location(field);
    }
    for method in types.methods_of(ty) {
        let _ = types.method_signature(method);
    }
    types.vtable(ty)?;
    types.interfaces(ty)?;
    Ok(())
}

fn load_bodies(types: &TypeSystem, id: AssemblyId) {
    for row in types.metadata(id).row_numbers(TableId::MethodDef) {
        let Ok(method) = types.method_definition(id, row) else { continue };
        if let Ok(Some(body)) = types.method_body(method) {
            body.instructions().for_each(drop);
            let _ = types.locals(method, &body);
        }
    }
}

/// Looks up all that a section `.saki` has. (Whole images are hashed before a byte of them is believed, so that fuzzing them finds nothing.)
pub fn image(bytes: &[u8]) {
    /// Numbers asked for beyond the counts that the header gives, which may be huge.
    const ROWS: u32 = 1 << 12;
    let Ok(image) = Image::from_section(bytes) else { return };
    image.identity();
    image.extra();
    for row in 0..ROWS {
        image.definition(row);
        image.cell(row);
        let Some(method) = image.method(row) else { continue };
        image.info(method);
        image.method_at(method.code_offset);
        if let Some(EntryKey::Instance(key)) = image.key(method) {
            image.instance(key);
        }
    }
}

/// Reads functions as text; what is read is printed and read again to the same, and what is valid stays so through all passes.
pub fn function(bytes: &[u8]) {
    static PASSES: OnceLock<PassManager> = OnceLock::new();
    let passes = PASSES.get_or_init(|| PassManager::new(PassOptions::default(), Box::new(std::io::sink())));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(functions) = ir::parse::parse_functions(text) else { return };
    for mut function in functions {
        let printed = function.to_string();
        let again = ir::parse::parse_function(&printed).expect("printed text is read again");
        assert_eq!(printed, again.to_string(), "printing is not stable");
        if ir::verify::verify(&function).is_ok() {
            let mut context = PassContext { scratch: passes.take_scratch(), ..PassContext::default() };
            passes.run(&mut function, &mut context).expect("passes keep a valid function valid");
            ir::verify::verify(&function).expect("passes keep a valid function valid");
            passes.return_scratch(context.scratch);
        }
    }
}
