//! The small pieces of generated code that the runtime works with, made by the back end at start or when first needed.

use crate::code_heap::CodeLife;
use crate::code_map::{CodeKind, CodeRange};
use crate::emit::releasing;
use crate::exceptions::Result;
use crate::object::ABI;
use crate::{Runtime, helpers, report};
use compiler::abi::HelperId;
use il::types::MethodId;
use ir::function::SymbolRef;
use ir::mach::{CompiledCode, LandingContext, Stub, StubKind};
use std::sync::atomic::Ordering;

use crate::thread::Thread;

/// Enters managed code: code, thread, integer, float and stack arguments, number of stack words, results.
pub type EnterManaged = unsafe extern "C" fn(usize, *mut Thread, *const usize, *const u64, *const usize, usize, *mut u64);
/// Goes on in a handler.
pub type Land = unsafe extern "C" fn(*mut Thread, *const LandingContext) -> !;
/// Runs a filter.
pub type RunFilter = unsafe extern "C" fn(*mut Thread, *const LandingContext) -> i32;

/// Addresses of the stubs.
#[derive(Clone, Copy, Debug)]
pub struct Stubs {
    /// Code of `EnterManaged`.
    pub enter: EnterManaged,
    /// Address to which managed code called by it returns.
    pub enter_return: usize,
    /// Code of `Land`.
    pub land: Land,
    /// Code of `RunFilter`.
    pub run_filter: RunFilter,
    /// Code of `EndFilter`.
    pub end_filter: usize,
    /// Cells that hold the `Resolve` stubs: for methods, virtual slots, interface slots.
    pub resolve_cells: [u32; 3],
    /// Cell that holds the `Callback` stub.
    pub callback_cell: u32,
}

/// Publishes a stub's code.
pub fn publish_stub(runtime: &Runtime, kind: CodeKind, stub: &Stub) -> Result<usize> {
    publish(runtime, kind, &stub.code)
}

/// Publishes code that belongs to no method.
pub fn publish(runtime: &Runtime, kind: CodeKind, code: &CompiledCode) -> Result<usize> {
    publish_for(runtime, kind, code, None)
}

/// Likewise; it leads to the code of a dynamic method, if `method` is one.
pub fn publish_for(runtime: &Runtime, kind: CodeKind, code: &CompiledCode, method: Option<MethodId>) -> Result<usize> {
    let keeps = method.filter(|&method| releasing::may_be_released(method));
    let register = |address| {
        let mut range = CodeRange::new(address, kind, code, Vec::new(), Vec::new(), Vec::new());
        range.keeps = keeps;
        runtime.code_map.add(range);
    };
    let address = runtime.code.publish(&*runtime.backend, code, CodeLife::Process, register)?;
    report::map_code(runtime, address, code.code_len as usize, || "stub".to_owned());
    Ok(address)
}

/// Makes the stubs and fills the helpers' cells.
pub fn make(runtime: &Runtime) -> Result<Stubs> {
    let options = runtime.codegen_options();
    for &(helper, address) in helpers::TABLE {
        runtime.code.helper_cell(helper as u16).store(address.0 as usize, Ordering::Relaxed);
    }
    let stub = |kind: StubKind, code_kind: CodeKind| -> Result<(usize, usize)> {
        let stub = runtime.backend.stub(kind, &options);
        let address = publish_stub(runtime, code_kind, &stub)?;
        Ok((address, address + stub.return_offset as usize))
    };
    let (enter, enter_return) = stub(StubKind::EnterManaged, CodeKind::EnterManaged)?;
    let (land, _) = stub(StubKind::Land, CodeKind::Stub)?;
    let (run_filter, _) = stub(StubKind::RunFilter { filter_sp: ABI.thread_filter_sp() }, CodeKind::Stub)?;
    let (end_filter, _) = stub(StubKind::EndFilter { filter_sp: ABI.thread_filter_sp() }, CodeKind::Stub)?;
    runtime.code.helper_cell(HelperId::EndFilter as u16).store(end_filter, Ordering::Relaxed);
    let (enter_import, _) = stub(StubKind::Resolve { helper: HelperId::ResolveImport as u16 }, CodeKind::Stub)?;
    runtime.code.helper_cell(HelperId::EnterImport as u16).store(enter_import, Ordering::Relaxed);
    let mut resolve_cells = [0; 3];
    let helpers = [HelperId::ResolveMethod, HelperId::ResolveSlot, HelperId::ResolveInterface];
    for (cell, helper) in resolve_cells.iter_mut().zip(helpers) {
        let (address, _) = stub(StubKind::Resolve { helper: helper as u16 }, CodeKind::Stub)?;
        *cell = runtime.code.new_cell();
        runtime.code.cell(*cell).store(address, Ordering::Relaxed);
    }
    let (callback, _) = stub(StubKind::Callback { helper: HelperId::EnterCallback as u16 }, CodeKind::Stub)?;
    let callback_cell = runtime.code.new_cell();
    runtime.code.cell(callback_cell).store(callback, Ordering::Relaxed);
    // SAFETY: the back end made code of these signatures.
    unsafe {
        Ok(Stubs {
            enter: std::mem::transmute::<usize, EnterManaged>(enter),
            enter_return,
            land: std::mem::transmute::<usize, Land>(land),
            run_filter: std::mem::transmute::<usize, RunFilter>(run_filter),
            end_filter,
            resolve_cells,
            callback_cell,
        })
    }
}

/// The thunk that compiles a method at its first call.
pub fn method_thunk(runtime: &Runtime, method: MethodId) -> Result<usize> {
    let code = runtime.backend.thunk(u64::from(method.0), SymbolRef::Cell(runtime.stubs().resolve_cells[0]));
    publish_for(runtime, CodeKind::Stub, &code, Some(method))
}

/// A thunk that leaves `token` for the `Resolve` stub in a cell.
pub fn thunk(runtime: &Runtime, token: u64, resolve_cell: u32) -> Result<usize> {
    let code = runtime.backend.thunk(token, SymbolRef::Cell(resolve_cell));
    publish(runtime, CodeKind::Stub, &code)
}
