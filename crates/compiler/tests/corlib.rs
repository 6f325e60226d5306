//! Imports every method of the core library and verifies the functions.
//!
//! `IMPORT_LIST=1` prints each failure; `IMPORT_ONLY=name` imports the methods whose full name contains the text and prints
//! them; `IMPORT_ASSEMBLY=file` imports another assembly; `IMPORT_PASSES=1` also inlines and runs the passes, verifying after each.

use compiler::abi::Abi;
use compiler::env::{CellAnswer, CellRequest, DirectCall, GenericLookup, MethodEnv};
use compiler::inline_source::MethodBodies;
use compiler::{ImportFlags, import_method};
use il::AssemblyResolver;
use il::types::{DataLayout, MethodId, TypeId, TypeSystem};
use ir::function::{Function, SymbolRef};
use ir::mach::*;
use ir::pass_manager::{PassContext, PassManager, PassOptions};
use ir::signature::CallConvention;
use ir::types::Access;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Mutex;

const CORLIB: &str = "/usr/lib/mono/4.5/mscorlib.dll";

/// Passes structures of up to 16 bytes in pieces; makes no code.
struct NoBackend;

impl Backend for NoBackend {
    fn architecture(&self) -> Architecture {
        Architecture::Amd64
    }
    fn compile(&self, _: &Function, _: &CodegenOptions) -> Result<CompiledCode, CodegenError> {
        Err(CodegenError { message: "no code".into() })
    }
    fn compile_verbose(&self, _: &Function, _: &CodegenOptions) -> Result<(CompiledCode, CompileDump), CodegenError> {
        Err(CodegenError { message: "no code".into() })
    }
    fn pass_struct(&self, shape: &StructShape, _: CallConvention, _: StructUse) -> StructPassing {
        if shape.size > 16 {
            return StructPassing::Reference;
        }
        let float = shape.fields.iter().all(|(_, access)| *access == Access::Full(ir::Type::F64));
        let ty = if float { ir::Type::F64 } else { ir::Type::I64 };
        StructPassing::Pieces((0..shape.size.div_ceil(8)).map(|word| (ty, 8 * word)).collect())
    }
    fn stub(&self, _: StubKind, _: &CodegenOptions) -> Stub {
        Stub { code: CompiledCode::default(), return_offset: 0 }
    }
    fn thunk(&self, _: u64, _: SymbolRef) -> CompiledCode {
        CompiledCode::default()
    }
    fn dispatch(&self, _: &[(u64, SymbolRef)], _: SymbolRef) -> CompiledCode {
        CompiledCode::default()
    }
    fn apply_reloc(&self, _: RelocKind, _: &mut [u8], _: u64, _: u64, _: i32) -> Result<(), CodegenError> {
        Ok(())
    }
    fn disassemble(&self, _: &[u8], _: u64) -> String {
        String::new()
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        DwarfRegisters { frame_pointer: 6, stack_pointer: 7, return_address: 16 }
    }
    fn host_features(&self) -> u64 {
        0
    }
}

/// Numbers things in the order in which they are asked for.
struct Numbers<T>(Mutex<BTreeMap<T, u32>>);

impl<T: Ord + Hash> Numbers<T> {
    fn of(&self, item: T) -> u32 {
        let mut map = self.0.lock().unwrap();
        let next = map.len() as u32;
        *map.entry(item).or_insert(next)
    }
}

struct TestEnv {
    types: TypeSystem,
    cells: Numbers<CellRequest>,
    lookups: Numbers<(MethodId, bool, CellRequest)>,
    errors: Mutex<BTreeMap<String, u32>>,
}

impl MethodEnv for TestEnv {
    fn types(&self) -> &TypeSystem {
        &self.types
    }
    fn backend(&self) -> &dyn Backend {
        &NoBackend
    }
    fn abi(&self) -> Abi {
        Abi { pointer_bytes: 8 }
    }
    fn cell(&self, request: CellRequest) -> CellAnswer {
        CellAnswer::Cell(SymbolRef::Cell(self.cells.of(request)))
    }
    fn generic_lookup(&self, lookup: GenericLookup) -> u32 {
        self.lookups.of((lookup.within, lookup.from_method_dictionary, lookup.request))
    }
    fn deferred_error(&self, error: &il::Error) -> u32 {
        *self.errors.lock().unwrap().entry(format!("{:?}: {error}", error.kind())).or_default() += 1;
        0
    }
    fn direct_call(&self, method: MethodId) -> DirectCall {
        DirectCall::Near(SymbolRef::Method(method.0))
    }
    fn may_inline(&self, _: MethodId, _: MethodId) -> bool {
        true
    }
    fn depend_on_layout(&self, _: TypeId) {}
    fn is_initialized(&self, _: TypeId) -> bool {
        false
    }
    fn is_jit(&self) -> bool {
        true
    }
}

/// The method over canonical arguments.
fn canonical(types: &TypeSystem, owner: TypeId, method: MethodId) -> MethodId {
    let count = types.generic_params(owner).map_or(0, |params| params.len());
    let owner = if count == 0 { owner } else { types.instance(owner, &vec![TypeId::CANON; count]) };
    let args = vec![TypeId::CANON; types.method(method).generic_param_count as usize];
    types.instantiate_method(method, owner, &args)
}

#[test]
fn imports_the_core_library() {
    if !std::path::Path::new(CORLIB).exists() {
        return;
    }
    let resolver = AssemblyResolver::new("/usr/lib/mono/4.5");
    let types = TypeSystem::new(DataLayout::AMD64, resolver).expect("the core library loads");
    let env = TestEnv { types, cells: Numbers(Mutex::default()), lookups: Numbers(Mutex::default()), errors: Mutex::default() };
    let types = &env.types;
    let corlib = match std::env::var("IMPORT_ASSEMBLY") {
        Ok(path) => types.load_file(std::path::Path::new(&path)).expect("the assembly loads"),
        Err(_) => types.corlib(),
    };
    let only = std::env::var("IMPORT_ONLY").ok();
    let list = std::env::var("IMPORT_LIST").is_ok();
    let with_passes = std::env::var("IMPORT_PASSES").is_ok();
    let passes = PassManager::new(PassOptions { verify: true, ..PassOptions::default() }, Box::new(std::io::sink()));
    let rows = types.metadata(corlib).row_count(il::TableId::TypeDef);
    let (mut total, mut failed) = (0u32, 0u32);
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let start = std::time::Instant::now();
    for row in 1..=rows {
        let owner = types.type_definition(corlib, row);
        for method in types.methods_of(owner) {
            if types.method(method).is_abstract() {
                continue;
            }
            let method = canonical(types, owner, method);
            let name = types.method_full_name(method);
            if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            total += 1;
            let attempt =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| import_method(&env, method, ImportFlags::default())));
            let Ok(outcome) = attempt else {
                println!("panic in {name}");
                *reasons.entry("panic".into()).or_default() += 1;
                failed += 1;
                continue;
            };
            let reason = match outcome {
                Err(error) => error.to_string(),
                Ok(imported) => {
                    if only.is_some() {
                        println!("{}", imported.function);
                    }
                    let mut function = imported.function;
                    match ir::verify::verify(&function) {
                        Ok(()) if !with_passes => continue,
                        Ok(()) => {
                            let mut bodies = MethodBodies::new(&env, ImportFlags::default(), method, imported.callees);
                            let mut context = PassContext { inline: Some(&mut bodies), ..PassContext::default() };
                            let run = std::panic::AssertUnwindSafe(|| passes.run(&mut function, &mut context));
                            match std::panic::catch_unwind(run) {
                                Ok(Ok(())) => continue,
                                Ok(Err(error)) => format!("pass {}: {}", error.pass, error.errors.errors[0].message),
                                Err(_) => "panic in a pass".into(),
                            }
                        }
                        Err(errors) => errors.errors[0].message.clone(),
                    }
                }
            };
            failed += 1;
            if list {
                println!("{name}: {reason}");
            }
            *reasons.entry(reason).or_default() += 1;
        }
    }
    println!("{total} methods, {failed} failed, {:?}", start.elapsed());
    for (reason, count) in &reasons {
        println!("{count:6} {reason}");
    }
    println!("deferred errors:");
    for (error, count) in env.errors.lock().unwrap().iter() {
        println!("{count:6} {error}");
    }
    assert!(failed * 1000 <= total, "{failed} of {total} methods failed");
}
