//! The world as the JIT's importer sees it: what is known already is a constant, all else a cell.

use crate::domain;
use crate::emit::releasing;
use crate::object::ABI;
use crate::{Runtime, handles, method_table, methods};
use compiler::abi::{Abi, method_table_flags as flags};
use compiler::env::{CellAnswer, CellRequest, DirectCall, GenericLookup, MethodEnv};
use il::types::{MethodId, TypeId, TypeSystem};
use ir::function::SymbolRef;
use ir::mach::Backend;
use std::sync::atomic::Ordering;

/// The running process as an environment for compilation.
pub struct JitEnv<'a> {
    /// The process.
    pub runtime: &'a Runtime,
}

impl JitEnv<'_> {
    /// The value of a request, if it is known now and holds no reference into the heap.
    fn known(&self, request: CellRequest) -> Option<usize> {
        let initialized = |ty| method_table::existing(ty).filter(|table| table.has(flags::INITIALIZED));
        let address = |table| std::ptr::from_ref::<method_table::MethodTable>(table) as usize;
        match request {
            CellRequest::MethodTable(ty) => method_table::existing(ty).map(address),
            CellRequest::InitializedMethodTable(ty) => initialized(ty).map(address),
            CellRequest::Statics(ty) => initialized(ty).map(|table| table.statics.load(Ordering::Acquire)),
            CellRequest::ReferenceStatics(ty) => initialized(ty).map(|table| table.reference_statics.load(Ordering::Acquire)),
            CellRequest::MethodHandle(method) => Some(handles::from_method(method)),
            CellRequest::FieldHandle(field) => Some(handles::from_field(field)),
            CellRequest::TypeHandle(ty) => Some(handles::from_type(ty)),
            CellRequest::InterfaceKey(method) => Some(methods::interface_key(method)),
            CellRequest::MethodDictionary(method) => Some(methods::dictionary(method)),
            _ => None,
        }
        .filter(|&value| value != 0)
    }
}

impl MethodEnv for JitEnv<'_> {
    fn types(&self) -> &TypeSystem {
        &self.runtime.types
    }
    fn backend(&self) -> &dyn Backend {
        &*self.runtime.backend
    }
    fn abi(&self) -> Abi {
        ABI
    }
    fn cell(&self, request: CellRequest) -> CellAnswer {
        match self.known(request) {
            Some(value) => CellAnswer::Constant(value as i64),
            None => CellAnswer::Cell(SymbolRef::Cell(domain::current().cells.number(request))),
        }
    }
    fn generic_lookup(&self, lookup: GenericLookup) -> u32 {
        domain::current().cells.add_lookup(lookup)
    }
    fn deferred_error(&self, error: &il::Error) -> u32 {
        domain::current().cells.add_error(error.clone())
    }
    fn direct_call(&self, method: MethodId) -> DirectCall {
        DirectCall::ThroughCell(SymbolRef::Cell(methods::entry_cell(method)))
    }
    fn may_inline(&self, _caller: MethodId, callee: MethodId) -> bool {
        let method = self.runtime.types.method(callee);
        method.impl_attributes & NO_INLINING == 0
            && self.runtime.options.trace.is_none()
            && self.is_initialized(method.owner)
            // Traces would name it when its number has gone to another.
            && !releasing::may_be_released(callee)
    }
    fn depend_on_layout(&self, _ty: TypeId) {}
    fn is_initialized(&self, ty: TypeId) -> bool {
        match method_table::existing(ty) {
            Some(table) => table.has(flags::INITIALIZED),
            None => self.runtime.types.class_initializer(ty).is_ok_and(|initializer| initializer.is_none()),
        }
    }
    fn is_jit(&self) -> bool {
        true
    }
    fn names_symbols(&self) -> bool {
        self.runtime.options.passes.prints()
    }
}

/// `MethodImplAttributes.NoInlining`
const NO_INLINING: u16 = 8;
