//! `--trace`: prints calls and returns of managed methods and the ways of exceptions, in Mono's words.
//!
//! Methods that match are compiled just in time with a call of a helper at their entry and before each return, which find arguments
//! and results in a stack slot: a cell for each SSA parameter, then one for each SSA result. While tracing, images are not used and
//! nothing is inlined, so that every call shows.

mod values;

use crate::code_map::CodeRange;
use crate::jit_env::JitEnv;
use crate::object::ObjectRef;
use crate::stack_walk::Frame;
use crate::thread::Thread;
use crate::{invoke, report, runtime};
use compiler::abi::HelperId;
use compiler::signature::{AbiSignature, method_signature};
use il::types::MethodId;
use ir::entity::{Region, StackSlot};
use ir::function::{HandlerKind, StackSlotData, SymbolRef};
use ir::instruction::Memory;
use ir::signature::{CallConvention, Param, Signature};
use ir::tail_calls::split_tail_call;
use ir::{Aux, Block, Function, Instruction, Opcode, Type, Value};
use smallvec::SmallVec;
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::Instant;
use values::{CELL_BYTES, Cells};

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
    let params: SmallVec<[Value; 8]> = function.blocks[entry].params.iter().copied().collect();
    let cells = params.len() + function.signature().results.len();
    let size = cells.max(1) as u32 * CELL_BYTES;
    let slot = function.slots.push(StackSlotData { size, align: CELL_BYTES, in_handler: false });
    insert(function, entry, 0, HelperId::TraceEnter, method, slot, (&params, 0));
    for block in function.layout.clone() {
        // What leaves no frame behind could not be followed.
        split_tail_call(function, block);
        let Some(&last) = function.blocks[block].insts.last() else { continue };
        if function.insts[last].opcode == Opcode::Return {
            let place = function.blocks[block].insts.len() - 1;
            let results = function.insts[last].args.clone();
            insert(function, block, place, HelperId::TraceLeave, method, slot, (&results, params.len()));
        }
    }
}

/// Puts a call of `helper` at a place of a block, and before it the stores of values into the cells of `slot` from a number on.
fn insert(
    function: &mut Function,
    block: Block,
    place: usize,
    helper: HelperId,
    method: MethodId,
    slot: StackSlot,
    (values, first_cell): (&[Value], usize),
) {
    let address = Instruction::new(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(slot, 0));
    let mut instructions = vec![function.make_inst(address)];
    let base = function.result(instructions[0]);
    for (index, &value) in values.iter().enumerate() {
        let memory = Memory::any(function.value_type(value)).at(((first_cell + index) as u32 * CELL_BYTES) as i32);
        let store = Instruction::new(Opcode::Store, Type::I32, &[base, value], Aux::Memory(memory));
        instructions.push(function.make_inst(store));
    }
    let mut signature = Signature::new(CallConvention::Native);
    signature.params.extend([Param::normal(Type::Iptr), Param::normal(Type::Mptr)]);
    let signature = function.add_signature(signature);
    let callee = function.add_symbol(SymbolRef::Helper(helper as u16), || helper.info().name.to_owned());
    let number = Instruction::new(Opcode::Iconst, Type::Iptr, &[], Aux::Int(i64::from(method.0)));
    instructions.push(function.make_inst(number));
    let number = function.result(instructions[instructions.len() - 1]);
    let call = Instruction::new(Opcode::Call, Type::I32, &[number, base], Aux::Call { signature, callee });
    instructions.push(function.make_inst(call));
    function.blocks[block].insts.splice(place..place, instructions);
}

fn line(word: &str, method: MethodId, depth: u32, values: &str) {
    let name = runtime().types.method_full_name(method);
    let seconds = START.elapsed().as_secs_f64();
    report::print(format_args!("[{:#x}: {seconds:.5} {depth}] {word}: {name}{values}", thread_number()));
}

fn thread_number() -> usize {
    std::ptr::from_ref(Thread::current()) as usize
}

/// How a method's values travel. Code that was compiled has a signature.
fn signature(method: MethodId) -> Option<AbiSignature> {
    method_signature(&JitEnv { runtime: runtime() }, method).ok()
}

/// The helper at the entry of a traced method; `cells` hold its SSA parameters.
///
/// # Safety
/// It is called by instrumented code only, with the cells of that very method.
pub unsafe extern "C" fn enter(method: usize, cells: *const u8) {
    let method = MethodId(method as u32);
    let text = signature(method).map_or_else(String::new, |abi| {
        // SAFETY: the promise of the caller.
        let cells = unsafe { Cells::new(cells) };
        values::arguments(&abi, method, cells)
    });
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    line("ENTER", method, depth, &format!("({text})"));
}

/// The helper before its return. As in Mono, methods that an exception leaves do not get here, and the depth stays as they left it.
///
/// # Safety
/// As for [`enter`], with the results in the cells.
pub unsafe extern "C" fn leave(method: usize, cells: *const u8) {
    let method = MethodId(method as u32);
    let text = signature(method).map_or_else(String::new, |abi| {
        // SAFETY: the promise of the caller.
        let cells = unsafe { Cells::new(cells) };
        values::result(&abi, cells)
    });
    let depth = DEPTH.get().saturating_sub(1);
    DEPTH.set(depth);
    line("LEAVE", method, depth, &text);
}

/// Says that an exception was thrown, if calls are traced.
pub fn exception_thrown(exception: ObjectRef) {
    if runtime().options.trace.is_none() {
        return;
    }
    let message = message(exception).unwrap_or_else(|| "(null)".to_owned());
    let class = runtime().types.reflection_name(exception.type_id());
    report::print(format_args!("[{:#x}:] EXCEPTION handling: {class}: {message}", thread_number()));
}

/// What the property `Message` says.
fn message(exception: ObjectRef) -> Option<String> {
    let types = &runtime().types;
    let class = types.find_type(types.corlib(), "System", "Exception").ok()??;
    let getter = types.find_method(class, "get_Message", Some(&[])).ok()??;
    let text = invoke::call_virtual(getter, exception, &[]).ok()?;
    // SAFETY: the result of the property is a string or null.
    let text = unsafe { ObjectRef::from_raw(text as *mut _) };
    text.as_string().map(|text| text.text())
}

/// Says that an exception goes to a handler of a traced method.
pub fn handler_chosen(frame: &Frame, region: Region, index: u32) {
    let Some(expression) = &runtime().options.trace else { return };
    let Some(method) = frame.method().filter(|&method| matches(expression, method)) else { return };
    let handler = frame.code.region(region).and_then(|data| data.handlers.get(index as usize));
    let what = match handler.map(|handler| handler.kind) {
        Some(HandlerKind::Finally) => "finally",
        Some(HandlerKind::Fault) => "fault",
        _ => "catch found at",
    };
    let clause = clause_number(frame, method, region, index).unwrap_or(index as usize);
    let name = runtime().types.method_full_name(method);
    report::print(format_args!("EXCEPTION: {what} clause {clause} of {name}"));
}

/// The number of a handler among the clauses of its method: handlers around an instruction come in the order of the clauses around it.
fn clause_number(frame: &Frame, method: MethodId, region: Region, index: u32) -> Option<usize> {
    let body = runtime().types.method_body(method).ok()??;
    let offset = frame.code.il_offset(frame.trace_address())?;
    let before = handlers_before(frame.code, frame.region()?, region)? + index as usize;
    let around = body.clauses.iter().enumerate().filter(|(_, clause)| (clause.try_start..clause.try_end).contains(&offset));
    around.map(|(number, _)| number).nth(before)
}

/// Number of handlers in the regions from `inner` outwards to `outer`, which does not count.
fn handlers_before(code: &CodeRange, inner: Region, outer: Region) -> Option<usize> {
    let mut count = 0;
    let mut region = inner;
    while region != outer {
        let data = code.region(region)?;
        count += data.handlers.len();
        region = data.parent?;
    }
    Some(count)
}
