//! Bodies for the inliner: imports small callees on demand and keeps them.

use crate::env::MethodEnv;
use crate::importer::{ImportFlags, ImportedMethod, import_method};
use il::instruction::{Decoder, Opcode, Operand};
use il::tables::{MemberRefRow, TableId};
use il::types::{MethodId, TypeSystem};
use ir::Function;
use ir::entity::Symbol;
use ir::function::SymbolRef;
use ir::inline_sites::InlineSite;
use ir::pass_manager::{InlineBody, InlineBudget, InlineSource};
use ir::passes::inlining::is_acceptable_to;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Bytes of IL up to which a callee is always inlined.
const ALWAYS_BYTES: u32 = 16;
/// Bytes of IL up to which a callee is offered to the inliner.
const OFFER_BYTES: u32 = 40;

/// A method that may stand in place of calls of it.
#[derive(Clone)]
pub struct ImportedBody {
    /// For the inliner.
    pub body: InlineBody,
    /// Methods behind the symbols that it calls.
    pub callees: Vec<(SymbolRef, MethodId)>,
}

/// Imports one body in an environment; `None` if the method may not be inlined anywhere.
pub type ImportBody<'a> = dyn Fn(&dyn MethodEnv) -> Option<ImportedBody> + 'a;

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

    /// The sites of a function that was compiled with these bodies, with the methods themselves.
    pub fn inline_sites(&self, function: &Function) -> Vec<InlineSite<MethodId>> {
        let method = |site: &InlineSite| self.callees[&function.symbols[site.callee].target];
        function.inline_sites.iter().map(|site| site.with_callee(method(site))).collect()
    }

    /// The methods that the code now depends on.
    pub fn into_inlined(self) -> Vec<MethodId> {
        self.inlined
    }

    fn import(&mut self, callee: MethodId) -> Option<InlineBody> {
        if callee == self.caller || !self.env.may_inline(self.caller, callee) {
            return None;
        }
        let flags = self.flags;
        let import = |env: &dyn MethodEnv| import_body(env, callee, flags);
        let ImportedBody { body, callees } = self.env.shared_body(callee, &import).unwrap_or_else(|| import(self.env))?;
        self.callees.extend(callees);
        Some(body)
    }
}

/// Imports a method if it may stand in place of calls of it.
fn import_body(env: &dyn MethodEnv, callee: MethodId, flags: ImportFlags) -> Option<ImportedBody> {
    let types = env.types();
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
    let ImportedMethod { function, callees, .. } = import_method(env, callee, flags).ok()?;
    if callees.values().any(|&callee| asks_for_its_caller(types, callee) || asks_who_called(types, callee)) {
        return None;
    }
    let always = aggressive || size <= ALWAYS_BYTES;
    if !function.regions.is_empty() || uses_frame(&function) || !always && !is_acceptable_to(&function, &InlineBudget::default())
    {
        return None;
    }
    let body = InlineBody { function: Arc::new(function), always, symbols: None };
    Some(ImportedBody { body, callees: callees.into_iter().collect() })
}

/// What a method calls to learn about itself or its caller, by type and name: it keeps its frame.
const ASKING: [(&str, &str); 6] = [
    ("System.Diagnostics.StackFrame", ".ctor"),
    ("System.Diagnostics.StackTrace", ".ctor"),
    ("System.Reflection.Assembly", "GetCallingAssembly"),
    ("System.Reflection.Assembly", "GetExecutingAssembly"),
    ("System.Reflection.MethodBase", "GetCurrentMethod"),
    ("System.Type", "GetType"),
];

fn asks_for_its_caller(types: &TypeSystem, method: MethodId) -> bool {
    let data = types.method(method);
    let name = types.method_name(method);
    data.assembly == types.corlib()
        && ASKING.iter().any(|&(ty, asking)| asking == name && types.reflection_name(data.owner) == ty)
}

/// Whether a method asks for the assembly of its caller, which then keeps its frame too. Compares names only.
fn asks_who_called(types: &TypeSystem, method: MethodId) -> bool {
    let assembly = types.method(method).assembly;
    if assembly == types.corlib() {
        return false;
    }
    let Ok(Some(body)) = types.method_body(method) else { return false };
    let metadata = types.metadata(assembly);
    Decoder::new(body.il).flatten().any(|instruction| {
        let Operand::Token(token) = instruction.operand else { return false };
        instruction.opcode == Opcode::Call
            && token.table() == Some(TableId::MemberRef)
            && metadata.row_of::<MemberRefRow>(token).is_ok_and(|row| metadata.string(row.name) == "GetCallingAssembly")
    })
}

/// Whether the IL throws by itself: what leads to an exception only is not worth a copy.
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
