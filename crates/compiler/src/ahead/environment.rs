//! The world as the AOT compiler's importer sees it: nothing is known but metadata, and every answer is recorded.

use crate::abi::Abi;
use crate::description::CellDescription;
use crate::env::{CellAnswer, CellRequest, DirectCall, GenericLookup, MethodEnv};
use il::types::{MethodId, TypeId, TypeSystem, method_impl_attributes};
use ir::function::SymbolRef;
use ir::mach::Backend;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the code of one method refers to. Symbols in the code are numbers in these lists.
#[derive(Default)]
pub struct Record {
    /// Cells.
    pub cells: Vec<CellDescription>,
    /// Methods that are called directly.
    pub callees: Vec<MethodId>,
    /// Types whose layouts the code relies on.
    pub layouts: FxHashSet<TypeId>,
    cell_numbers: FxHashMap<CellRequest, u32>,
    callee_numbers: FxHashMap<MethodId, u32>,
    lookups: Vec<GenericLookup>,
    errors: Vec<il::Error>,
}

/// Environment of the compilation of one method.
pub struct AheadEnvironment<'a> {
    types: &'a TypeSystem,
    backend: &'a dyn Backend,
    /// One thread compiles the method; the lock only makes the environment shareable, as the seam wants it.
    record: Mutex<Record>,
}

impl<'a> AheadEnvironment<'a> {
    /// An environment with an empty record.
    pub fn new(types: &'a TypeSystem, backend: &'a dyn Backend) -> AheadEnvironment<'a> {
        AheadEnvironment { types, backend, record: Mutex::default() }
    }

    /// What was asked for.
    pub fn into_record(self) -> Record {
        self.record.into_inner().unwrap_or_else(PoisonError::into_inner)
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
        Abi { pointer_bytes: self.backend.architecture().pointer_bytes() }
    }
    fn cell(&self, request: CellRequest) -> CellAnswer {
        let mut record = self.record();
        let number = match record.cell_numbers.get(&request) {
            Some(&number) => number,
            None => {
                let number = record.cells.len() as u32;
                let description = record.describe(request);
                record.cells.push(description);
                record.cell_numbers.insert(request, number);
                number
            }
        };
        CellAnswer::Cell(SymbolRef::Cell(number))
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
        let mut record = self.record();
        let next = record.callees.len() as u32;
        let number = *record.callee_numbers.entry(method).or_insert(next);
        if number == next {
            record.callees.push(method);
        }
        DirectCall::Near(SymbolRef::Method(number))
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
}
