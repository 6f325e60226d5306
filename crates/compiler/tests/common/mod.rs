//! An environment without a runtime: nothing has run, every cell is to be filled, all code lies in one image.

use compiler::abi::{Abi, HelperId, data_layout};
use compiler::env::{CellAnswer, CellRequest, DirectCall, GenericLookup, MethodEnv};
use il::AssemblyResolver;
use il::types::{AssemblyId, MethodId, TypeId, TypeSystem, method_impl_attributes};
use ir::expand::{Barrier, BumpAllocation, ExpandOptions, MetadataBase, SideBit};
use ir::function::SymbolRef;
use ir::mach::Backend;
use ir::types::{Access, Type};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// Folder of the class libraries.
pub const LIBRARIES: &str = "/usr/lib/mono/4.5";

/// Numbers things in the order in which they are asked for.
struct Numbers<T>(Mutex<BTreeMap<T, u32>>);

impl<T: Ord> Numbers<T> {
    fn of(&self, item: T) -> u32 {
        let mut map = self.0.lock().unwrap();
        let next = map.len() as u32;
        *map.entry(item).or_insert(next)
    }
}

/// The environment.
pub struct TestEnv {
    types: TypeSystem,
    backend: Box<dyn Backend>,
    cells: Numbers<CellRequest>,
    lookups: Numbers<(MethodId, bool, CellRequest)>,
    /// Give symbols names.
    pub names_symbols: bool,
    /// How often each error was deferred to run time.
    pub errors: Mutex<BTreeMap<String, u32>>,
}

impl TestEnv {
    /// An environment over the class libraries; `None` if there are none.
    pub fn new(backend: Box<dyn Backend>) -> Option<TestEnv> {
        if !Path::new(LIBRARIES).join("mscorlib.dll").exists() {
            return None;
        }
        let types = TypeSystem::new(data_layout(backend.architecture()), AssemblyResolver::new(LIBRARIES))
            .expect("the core library loads");
        let (cells, lookups) = (Numbers(Mutex::default()), Numbers(Mutex::default()));
        Some(TestEnv { types, backend, cells, lookups, names_symbols: true, errors: Mutex::default() })
    }

    /// As the runtime expands object operations, with addresses of the test's own.
    pub fn expand_options(&self) -> ExpandOptions {
        let abi = self.abi();
        ExpandOptions {
            resolve_cell: HelperId::ResolveCell as u16,
            new_object: HelperId::NewObject as u16,
            new_array: HelperId::NewArray as u16,
            alloc: Some(BumpAllocation {
                cursor_offset: abi.thread_allocation_cursor(),
                limit_offset: abi.thread_allocation_limit(),
                max_fast_size: 4096,
                alignment: 8,
            }),
            barrier: Barrier::ObjectRemembering {
                unlogged: SideBit { base: MetadataBase::Constant(0x2000_0000), byte_shift: 6, bit_shift: 3 },
                slow_helper: HelperId::WriteBarrier as u16,
            },
            store_ref_unknown: HelperId::StoreReference as u16,
            method_table_offset: abi.object_method_table(),
            array_length_offset: abi.length(),
            array_length: Access::Full(Type::I32),
        }
    }

    /// All methods with code of an assembly, over canonical arguments.
    pub fn methods(&self, assembly: AssemblyId) -> Vec<MethodId> {
        let types = &self.types;
        let rows = types.metadata(assembly).row_count(il::TableId::TypeDef);
        let owners = (1..=rows).map(|row| types.type_definition(assembly, row));
        let methods = owners.flat_map(|owner| types.methods_of(owner).into_iter().map(move |method| (owner, method)));
        methods
            .filter(|&(_, method)| !types.method(method).is_abstract())
            .filter(|&(owner, method)| !wants_value_types(types, owner, method))
            .map(|(owner, method)| canonical(types, owner, method))
            .collect()
    }
}

/// Whether a parameter of a generic method or its class is for value types only (`GenericParamAttributes`, ECMA-335 II.23.1.7): then nothing
/// runs the method over canonical arguments.
fn wants_value_types(types: &TypeSystem, owner: TypeId, method: MethodId) -> bool {
    const VALUE: u16 = 8;
    let data = types.method(method);
    let own = data.row().map(|row| types.metadata(data.assembly).generic_params_of(il::Token::new(il::TableId::MethodDef, row)));
    types.generic_params(owner).is_ok_and(|flags| flags.iter().any(|flags| flags & VALUE != 0))
        || own.is_some_and(|mut own| own.any(|(_, param)| param.flags & VALUE != 0))
}

/// The method over canonical arguments.
fn canonical(types: &TypeSystem, owner: TypeId, method: MethodId) -> MethodId {
    let count = types.generic_params(owner).map_or(0, |params| params.len());
    let owner = if count == 0 { owner } else { types.instance(owner, &vec![TypeId::CANON; count]) };
    let args = vec![TypeId::CANON; types.method(method).generic_param_count as usize];
    types.instantiate_method(method, owner, &args)
}

impl MethodEnv for TestEnv {
    fn types(&self) -> &TypeSystem {
        &self.types
    }
    fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
    fn abi(&self) -> Abi {
        Abi::of(self.backend.architecture())
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
    fn may_inline(&self, _: MethodId, callee: MethodId) -> bool {
        let method = self.types.method(callee);
        method.impl_attributes & method_impl_attributes::NO_INLINING == 0 && self.is_initialized(method.owner)
    }
    fn depend_on_layout(&self, _: TypeId) {}
    fn is_initialized(&self, ty: TypeId) -> bool {
        self.types.class_initializer(ty).is_ok_and(|initializer| initializer.is_none())
    }
    fn is_jit(&self) -> bool {
        false
    }
    fn names_symbols(&self) -> bool {
        self.names_symbols
    }
}
