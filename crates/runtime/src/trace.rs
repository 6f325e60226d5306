//! `--trace`: prints calls and returns of managed methods, in Mono's words but without argument values.
//!
//! Methods that match are compiled just in time with a call of a helper at their entry and before each return. While tracing, images are
//! not used and nothing is inlined, so that every call shows.

use crate::report;
use crate::runtime;
use compiler::abi::HelperId;
use il::types::MethodId;
use ir::function::SymbolRef;
use ir::signature::{CallConvention, Param, Signature};
use ir::{Aux, Function, Instruction, Opcode, Type};
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether an expression of `--trace` chooses a method: a comma separated list, of which the last item that fits decides. Items are
/// `all`, `program`, `N:Namespace`, `T:Type`, `M:Type:Method` or an assembly's name; `-` before an item excludes. Nothing means `all`.
pub fn matches(expression: &str, method: MethodId) -> bool {
    let types = &runtime().types;
    let data = types.method(method);
    let (namespace, _) = types.simple_name(data.owner);
    let full_name = types.method_full_name(method);
    let assembly = types.assembly(data.assembly);
    let fits = |item: &str| match item.split_once(':') {
        Some(("N", wanted)) => namespace == wanted,
        Some(("T", wanted)) => full_name.split_once(':').is_some_and(|(ty, _)| ty == wanted),
        Some(("M", wanted)) => full_name == wanted || full_name.split(" (").next() == Some(wanted),
        Some(_) => false,
        None => match item {
            "all" => true,
            "program" => assembly.path() == runtime().program(),
            name => &*assembly.name().name == name,
        },
    };
    let mut chosen = expression.is_empty();
    for item in expression.split(',').filter(|item| !item.is_empty()) {
        match item.strip_prefix('-') {
            Some(excluded) if fits(excluded) => chosen = false,
            None if fits(item) => chosen = true,
            _ => {}
        }
    }
    chosen
}

/// Puts the helper calls into a method that was just imported.
pub fn instrument(function: &mut Function, method: MethodId) {
    let entry = function.entry();
    insert(function, entry, 0, HelperId::TraceEnter, method);
    for block in function.layout.clone() {
        let Some(&last) = function.blocks[block].insts.last() else { continue };
        if function.insts[last].opcode == Opcode::Return {
            let place = function.blocks[block].insts.len() - 1;
            insert(function, block, place, HelperId::TraceLeave, method);
        }
    }
}

fn insert(function: &mut Function, block: ir::Block, place: usize, helper: HelperId, method: MethodId) {
    let mut signature = Signature::new(CallConvention::Native);
    signature.params.push(Param::normal(Type::Iptr));
    let signature = function.add_signature(signature);
    let callee = function.add_symbol(SymbolRef::Helper(helper as u16), || helper.info().name.to_owned());
    let number = function.make_inst(Instruction::new(Opcode::Iconst, Type::Iptr, &[], Aux::Int(i64::from(method.0))));
    let argument = function.result(number);
    let call = function.make_inst(Instruction::new(Opcode::Call, Type::I32, &[argument], Aux::Call { signature, callee }));
    function.blocks[block].insts.splice(place..place, [number, call]);
}

fn line(word: &str, method: usize, depth: u32) {
    let name = runtime().types.method_full_name(MethodId(method as u32));
    let thread = std::ptr::from_ref(crate::thread::Thread::current()) as usize;
    let arguments = if word == "ENTER" { "()" } else { "" };
    report::print(format_args!("[{thread:#x}: {:.5} {depth}] {word}: {name}{arguments}", START.elapsed().as_secs_f64()));
}

/// The helper at the entry of a traced method.
pub extern "C" fn enter(method: usize) {
    DEPTH.with(|depth| {
        line("ENTER", method, depth.get());
        depth.set(depth.get() + 1);
    });
}

/// The helper before its return. Methods that an exception leaves do not get here.
pub extern "C" fn leave(method: usize) {
    DEPTH.with(|depth| {
        depth.set(depth.get().saturating_sub(1));
        line("LEAVE", method, depth.get());
    });
}
