//! Bodies for the inliner: imports small callees on demand and keeps them.

use crate::env::MethodEnv;
use crate::importer::{ImportFlags, ImportedMethod, import_method};
use il::instruction::{Decoder, Opcode};
use il::types::MethodId;
use ir::Function;
use ir::entity::Symbol;
use ir::function::SymbolRef;
use ir::pass_manager::{InlineBody, InlineSource};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes of IL up to which a callee is always inlined.
const ALWAYS_BYTES: u32 = 16;
/// Bytes of IL up to which a callee is offered to the inliner.
const OFFER_BYTES: u32 = 40;

/// The inliner's view of one compilation.
pub struct MethodBodies<'a> {
    env: &'a dyn MethodEnv,
    flags: ImportFlags,
    caller: MethodId,
    /// Methods behind the symbols of the caller and of all bodies handed out.
    callees: FxHashMap<SymbolRef, MethodId>,
    bodies: FxHashMap<MethodId, Option<InlineBody>>,
    /// The methods whose bodies were handed out.
    inlined: Vec<MethodId>,
}

impl<'a> MethodBodies<'a> {
    /// For the compilation of `caller`, whose direct calls are `callees`.
    pub fn new(
        env: &'a dyn MethodEnv,
        flags: ImportFlags,
        caller: MethodId,
        callees: FxHashMap<SymbolRef, MethodId>,
    ) -> MethodBodies<'a> {
        MethodBodies { env, flags, caller, callees, bodies: FxHashMap::default(), inlined: Vec::new() }
    }

    /// The methods that the code now depends on.
    pub fn into_inlined(self) -> Vec<MethodId> {
        self.inlined
    }

    fn import(&mut self, callee: MethodId) -> Option<InlineBody> {
        if callee == self.caller || !self.env.may_inline(self.caller, callee) {
            return None;
        }
        let types = self.env.types();
        let data = types.method(callee);
        if data.is_synchronized() || data.is_pinvoke() || data.is_internal_call() {
            return None;
        }
        let body = types.method_body(callee).ok()??;
        let size = body.il.len() as u32;
        let aggressive = data.impl_attributes & il::types::method_impl_attributes::AGGRESSIVE_INLINING != 0;
        if !body.clauses.is_empty() || size > OFFER_BYTES && !aggressive || throws(body.il) {
            return None;
        }
        let ImportedMethod { function, callees, .. } = import_method(self.env, callee, self.flags).ok()?;
        if !function.regions.is_empty() || uses_frame(&function) {
            return None;
        }
        self.callees.extend(callees);
        Some(InlineBody { function: Arc::new(function), always: aggressive || size <= ALWAYS_BYTES })
    }
}

/// Whether the IL throws by itself: such a method keeps its frame, so that traces show it.
fn throws(il: &[u8]) -> bool {
    Decoder::new(il).any(|decoded| decoded.is_ok_and(|instruction| instruction.opcode == Opcode::Throw))
}

/// Whether the body only makes sense in a frame of its own: its stack grows at run time.
fn uses_frame(function: &Function) -> bool {
    let blocks = function.layout.iter().flat_map(|&block| &function.blocks[block].insts);
    blocks.into_iter().any(|&inst| matches!(function.insts[inst].opcode, ir::Opcode::StackAlloc | ir::Opcode::FrameAddr))
}

impl InlineSource for MethodBodies<'_> {
    fn body(&mut self, caller: &Function, callee: Symbol) -> Option<InlineBody> {
        let method = *self.callees.get(&caller.symbols[callee].target)?;
        if let Some(known) = self.bodies.get(&method) {
            return known.clone();
        }
        let body = self.import(method);
        if body.is_some() {
            self.inlined.push(method);
        }
        self.bodies.insert(method, body.clone());
        body
    }
}
