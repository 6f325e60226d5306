//! The world as the AOT compiler's importer sees it: nothing is known but metadata, and every answer is recorded.

use crate::abi::Abi;
use crate::description::CellDescription;
use crate::env::{CellAnswer, CellRequest, DirectCall, GenericLookup, MethodEnv};
use crate::inline_source::{ImportBody, ImportedBody};
use il::types::{MethodId, TypeId, TypeSystem, method_impl_attributes};
use ir::function::SymbolRef;
use ir::mach::Backend;
use ir::pass_manager::InlineBody;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What the code of one method refers to. Symbols in the code are numbers in these lists.
#[derive(Default)]
pub struct Record {
    /// Cells.
    pub cells: Vec<CellDescription>,
    /// Methods that are called directly.
    pub callees: Vec<MethodId>,
    /// Types whose layouts the code relies on.
    pub layouts: FxHashSet<TypeId>,
    /// What each cell was requested as; lookups and errors by numbers of this record.
    requests: Vec<CellRequest>,
    cell_numbers: FxHashMap<CellRequest, u32>,
    callee_numbers: FxHashMap<MethodId, u32>,
    lookups: Vec<GenericLookup>,
    errors: Vec<il::Error>,
}

/// A body for inlining whose symbols are numbers in a record of its own.
struct SharedBody {
    body: InlineBody,
    record: Record,
}

/// Bodies for inlining, kept from one method to the next and for all threads. What they hold does not depend on who asks first.
pub struct SharedBodies {
    /// Whether symbols get names for dumps.
    names_symbols: bool,
    shards: [RwLock<Shard>; SHARDS],
}

/// The verdicts on some methods.
type Shard = FxHashMap<MethodId, Option<Arc<SharedBody>>>;

/// Number of locks; threads seldom want the same.
const SHARDS: usize = 16;

impl SharedBodies {
    /// No bodies yet.
    pub fn new(names_symbols: bool) -> SharedBodies {
        SharedBodies { names_symbols, shards: Default::default() }
    }

    fn of(&self, callee: MethodId, import: impl FnOnce() -> Option<SharedBody>) -> Option<Arc<SharedBody>> {
        let shard = &self.shards[callee.0 as usize % SHARDS];
        if let Some(known) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&callee) {
            return known.clone();
        }
        // Two threads may both come here; they find the same.
        let body = import().map(Arc::new);
        shard.write().unwrap_or_else(PoisonError::into_inner).insert(callee, body.clone());
        body
    }
}

/// Environment of the compilation of one method.
pub struct AheadEnvironment<'a> {
    types: &'a TypeSystem,
    backend: &'a dyn Backend,
    bodies: &'a SharedBodies,
    /// One thread compiles the method; the lock only makes the environment shareable, as the seam wants it.
    record: Mutex<Record>,
}

impl<'a> AheadEnvironment<'a> {
    /// An environment with an empty record.
    pub fn new(types: &'a TypeSystem, backend: &'a dyn Backend, bodies: &'a SharedBodies) -> AheadEnvironment<'a> {
        AheadEnvironment { types, backend, bodies, record: Mutex::default() }
    }

    /// What was asked for.
    pub fn into_record(self) -> Record {
        self.record.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks again for all that a body refers to, and gives the body with its symbols here.
    fn adopt(&self, shared: &SharedBody) -> ImportedBody {
        self.record().layouts.extend(&shared.record.layouts);
        let mut callees = Vec::new();
        let symbols = shared.body.function.symbols.values().map(|symbol| match symbol.target {
            SymbolRef::Cell(number) => self.adopt_cell(&shared.record, shared.record.requests[number as usize]),
            SymbolRef::Method(number) => {
                let method = shared.record.callees[number as usize];
                let symbol = self.callee(method);
                callees.push((symbol, method));
                symbol
            }
            other => other,
        });
        let symbols: Arc<[SymbolRef]> = symbols.collect();
        ImportedBody { body: InlineBody { symbols: Some(symbols), ..shared.body.clone() }, callees }
    }

    fn adopt_cell(&self, record: &Record, request: CellRequest) -> SymbolRef {
        self.cell_symbol(match request {
            CellRequest::GenericLookup(number) => {
                CellRequest::GenericLookup(self.generic_lookup(record.lookups[number as usize]))
            }
            CellRequest::DeferredError(number) => {
                CellRequest::DeferredError(self.deferred_error(&record.errors[number as usize]))
            }
            request => request,
        })
    }

    fn cell_symbol(&self, request: CellRequest) -> SymbolRef {
        let mut record = self.record();
        let number = match record.cell_numbers.get(&request) {
            Some(&number) => number,
            None => {
                let number = record.cells.len() as u32;
                let description = record.describe(request);
                record.cells.push(description);
                record.requests.push(request);
                record.cell_numbers.insert(request, number);
                number
            }
        };
        SymbolRef::Cell(number)
    }

    fn callee(&self, method: MethodId) -> SymbolRef {
        let mut record = self.record();
        let next = record.callees.len() as u32;
        let number = *record.callee_numbers.entry(method).or_insert(next);
        if number == next {
            record.callees.push(method);
        }
        SymbolRef::Method(number)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn describe(&self, request: CellRequest) -> CellDescription {
        match request {
            CellRequest::GenericLookup(number) => CellDescription::Lookup(self.lookups[number as usize]),
            CellRequest::DeferredError(number) => {
                let error = &self.errors[number as usize];
                CellDescription::Error(error.kind(), error.message().to_owned(), error.name().map(str::to_owned))
            }
            request => CellDescription::Request(request),
        }
    }
}

impl MethodEnv for AheadEnvironment<'_> {
    fn types(&self) -> &TypeSystem {
        self.types
    }
    fn backend(&self) -> &dyn Backend {
        self.backend
    }
    fn abi(&self) -> Abi {
        Abi::of(self.backend.architecture())
    }
    fn cell(&self, request: CellRequest) -> CellAnswer {
        CellAnswer::Cell(self.cell_symbol(request))
    }
    fn generic_lookup(&self, lookup: GenericLookup) -> u32 {
        let lookups = &mut self.record().lookups;
        if let Some(known) = lookups.iter().position(|known| *known == lookup) {
            return known as u32;
        }
        lookups.push(lookup);
        lookups.len() as u32 - 1
    }
    fn deferred_error(&self, error: &il::Error) -> u32 {
        let errors = &mut self.record().errors;
        errors.push(error.clone());
        errors.len() as u32 - 1
    }
    fn direct_call(&self, method: MethodId) -> DirectCall {
        DirectCall::Near(self.callee(method))
    }
    fn may_inline(&self, _caller: MethodId, callee: MethodId) -> bool {
        self.types.method(callee).impl_attributes & method_impl_attributes::NO_INLINING == 0
    }
    fn depend_on_layout(&self, ty: TypeId) {
        self.record().layouts.insert(ty);
    }
    fn is_initialized(&self, ty: TypeId) -> bool {
        self.depend_on_layout(ty);
        self.types.class_initializer(ty).is_ok_and(|initializer| initializer.is_none())
    }
    fn is_jit(&self) -> bool {
        false
    }
    fn names_symbols(&self) -> bool {
        self.bodies.names_symbols
    }
    fn shared_body(&self, callee: MethodId, import: &ImportBody<'_>) -> Option<Option<ImportedBody>> {
        let shared = self.bodies.of(callee, || {
            let alone = AheadEnvironment::new(self.types, self.backend, self.bodies);
            let body = import(&alone)?.body;
            Some(SharedBody { body, record: alone.into_record() })
        });
        Some(shared.map(|shared| self.adopt(&shared)))
    }
}
