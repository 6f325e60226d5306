//! Methods as the running process knows them: entry cells, code compiled at the first call, and the adapters between ways of calling:
//! virtual slots, interface slots, boxed receivers, shared code that wants its generic context.

use crate::code_map::CodeKind;
use crate::domain::{self, Domain};
use crate::emit::{releasing, resolving};
use crate::exceptions::{Exception, Result};
use crate::id_table::IdTable;
use crate::invoke::CallShape;
use crate::method_table::{MethodTable, method_table};
use crate::object::{ABI, ObjectRef};
use crate::{aot, compile, handles, lookup_answers, proxies, runtime, stubs};
use compiler::abi::method_table_flags as flags;
use compiler::signature::{ContextSource, context_source};
use il::types::{MethodId, TypeId};
use ir::function::SymbolRef;
use ir::mach::StubKind;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// What the process knows of a method. Zero means: not made yet.
#[derive(Default)]
pub struct MethodRecord {
    /// Number of the entry cell plus 1.
    entry_cell: AtomicU32,
    /// Address of the thunk that the entry cell held first.
    thunk: AtomicUsize,
    /// Address of the code.
    code: AtomicUsize,
    /// Address for a call that passes no generic context.
    function_pointer: AtomicUsize,
    /// Address for a call with a boxed receiver.
    unboxing: AtomicUsize,
    /// Generic dictionary.
    dictionary: AtomicUsize,
    /// Code of what a virtual call of it reaches, by the object's method table: see [`lookup_answers`].
    virtual_code: AtomicUsize,
    /// How the runtime's calls of it travel.
    call_shape: AtomicPtr<CallShape>,
    /// Whether reflection may call it, as far as that depends on the method alone.
    is_invocable: AtomicBool,
}

/// The tables of this module.
#[derive(Default)]
pub struct Methods {
    records: IdTable<MethodRecord>,
    slot_thunks: IdTable<AtomicUsize>,
    interface_thunks: IdTable<AtomicUsize>,
    /// Code for (class, method) of `ldvirtftn` and generic virtual calls, where the method's record has no place for it.
    virtual_code: Mutex<FxHashMap<(TypeId, MethodId), usize>>,
}

fn record(method: MethodId) -> &'static MethodRecord {
    domain::current().methods.records.entry(method.0)
}

/// Fills a word that is made once; a value that lost a race is left unused.
pub fn once(word: &AtomicUsize, make: impl FnOnce() -> Result<usize>) -> Result<usize> {
    match word.load(Ordering::Acquire) {
        0 => {
            let made = make()?;
            match word.compare_exchange(0, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => Ok(made),
                Err(other) => Ok(other),
            }
        }
        value => Ok(value),
    }
}

/// Number of the cell that holds the address of a method's code, or of the thunk that compiles it.
pub fn entry_cell(method: MethodId) -> u32 {
    let runtime = runtime();
    let method = runtime.types.canonical_method(method);
    let record = record(method);
    match record.entry_cell.load(Ordering::Acquire) {
        0 => {
            let _guard = domain::current().methods_lock.lock();
            match record.entry_cell.load(Ordering::Acquire) {
                0 => {
                    let number = runtime.code.new_cell();
                    // Without memory for a thunk there is none for code either; a call then ends the process.
                    let thunk = stubs::method_thunk(runtime, method).unwrap_or(0);
                    record.thunk.store(thunk, Ordering::Release);
                    runtime.code.cell(number).store(thunk, Ordering::Release);
                    record.entry_cell.store(number + 1, Ordering::Release);
                    number
                }
                number => number - 1,
            }
        }
        number => number - 1,
    }
}

/// The code of a method, compiled now if need be. It expects a generic context if the method's code is shared so.
pub fn code(method: MethodId) -> Result<usize> {
    let runtime = runtime();
    let method = runtime.types.canonical_method(method);
    let record = record(method);
    match record.code.load(Ordering::Acquire) {
        0 => {
            let address = match aot::find(method) {
                Some(address) => address,
                None => {
                    resolving::ask_for_types_of(method)?;
                    compile::compile(method)?
                }
            };
            record.code.store(address, Ordering::Release);
            runtime.code.cell(entry_cell(method)).store(address, Ordering::Release);
            Ok(address)
        }
        address => Ok(address),
    }
}

/// How calls of a method's code by the runtime travel.
pub fn call_shape(method: MethodId) -> Result<&'static CallShape> {
    let known = &record(method).call_shape;
    // SAFETY: null or a shape, which are kept for good.
    if let Some(shape) = unsafe { known.load(Ordering::Acquire).as_ref() } {
        return Ok(shape);
    }
    let shape = CallShape::of(method)?;
    known.store(std::ptr::from_ref(shape).cast_mut(), Ordering::Release);
    Ok(shape)
}

/// Whether reflection may call a method, as far as that depends on the method alone; `check` tells, once it says yes.
pub fn check_invocable(method: MethodId, check: impl FnOnce() -> Result<()>) -> Result<()> {
    let known = &record(method).is_invocable;
    if !known.load(Ordering::Acquire) {
        check()?;
        known.store(true, Ordering::Release);
    }
    Ok(())
}

/// The code of a method if it was compiled.
pub fn existing_code(method: MethodId) -> Option<usize> {
    let method = runtime().types.canonical_method(method);
    let address = domain::current().methods.records.get(method.0)?.code.load(Ordering::Acquire);
    if address == 0 { None } else { Some(address) }
}

/// An address that leads to a method's code without compiling it now.
pub fn jump_entry(method: MethodId) -> Result<usize> {
    if let Some(code) = existing_code(method) {
        return Ok(code);
    }
    let runtime = runtime();
    let code = runtime.backend.dispatch(&[], SymbolRef::Cell(entry_cell(method)));
    stubs::publish_for(runtime, CodeKind::Stub, &code, Some(method))
}

/// Forgets how a dynamic method is called and its code, if it has any, and gives the code's address. What else was made for the number of the method, an entry cell
/// and code that jumps through it, serves the next one.
///
/// # Safety
/// Nobody calls the method any more.
pub unsafe fn forget_code(domain: &Domain, method: MethodId) -> Option<usize> {
    let record = domain.methods.records.get(method.0)?;
    if let Some(cell) = record.entry_cell.load(Ordering::Acquire).checked_sub(1) {
        runtime().code.cell(cell).store(record.thunk.load(Ordering::Acquire), Ordering::Release);
    }
    record.call_shape.store(std::ptr::null_mut(), Ordering::Release);
    record.is_invocable.store(false, Ordering::Release);
    let code = record.code.swap(0, Ordering::AcqRel);
    let _ = record.function_pointer.compare_exchange(code, 0, Ordering::AcqRel, Ordering::Acquire);
    Some(code).filter(|&code| code != 0)
}

/// Publishes a stub of the back end.
pub fn stub(kind: StubKind) -> Result<usize> {
    let runtime = runtime();
    let stub = runtime.backend.stub(kind, &runtime.codegen_options());
    stubs::publish_stub(runtime, CodeKind::Stub, &stub)
}

fn filled_cell(value: usize) -> u32 {
    let runtime = runtime();
    let number = runtime.code.new_cell();
    runtime.code.cell(number).store(value, Ordering::Release);
    number
}

/// The generic context that the shared code of an exact method wants in its register, if it does.
pub fn context_argument(method: MethodId) -> Result<Option<usize>> {
    let types = &runtime().types;
    let canonical = types.canonical_method(method);
    Ok(match context_source(types, canonical) {
        Some(ContextSource::ClassParameter) => Some(std::ptr::from_ref(method_table(types.method(method).owner)?) as usize),
        Some(ContextSource::MethodParameter) => Some(dictionary(method)),
        Some(ContextSource::This) | None => None,
    })
}

/// Address of code for an exact method that needs no more than its ordinary arguments (`ldftn`).
pub fn function_pointer(method: MethodId) -> Result<usize> {
    once(&record(method).function_pointer, || match context_argument(method)? {
        None => jump_entry(method),
        Some(context) => stub(StubKind::WithContext {
            context: SymbolRef::Cell(filled_cell(context)),
            target: SymbolRef::Cell(entry_cell(method)),
        }),
    })
}

/// Address of code for an exact method of a value type that gets its receiver boxed.
pub fn unboxing_entry(method: MethodId) -> Result<usize> {
    once(&record(method).unboxing, || {
        let types = &runtime().types;
        let source = context_source(types, types.canonical_method(method));
        let target = match source {
            Some(ContextSource::MethodParameter) => filled_cell(function_pointer(method)?),
            _ => entry_cell(method),
        };
        stub(StubKind::Unbox {
            payload: ABI.boxed_payload(),
            context_from_object: source == Some(ContextSource::ClassParameter),
            target: SymbolRef::Cell(target),
        })
    })
}

/// Address of code for an exact method that is called on an object of its class.
fn receiver_entry(method: MethodId) -> Result<usize> {
    let types = &runtime().types;
    if types.is_value_type(types.method(method).owner) {
        return unboxing_entry(method);
    }
    match context_source(types, types.canonical_method(method)) {
        Some(ContextSource::MethodParameter | ContextSource::ClassParameter) => function_pointer(method),
        _ => code(method),
    }
}

/// Likewise on objects with this method table.
fn entry_on(table: &MethodTable, method: MethodId) -> Result<usize> {
    if table.has(flags::PROXY) { proxies::code(method) } else { receiver_entry(method) }
}

/// Generic dictionary of an exact method: null, its handle.
pub fn dictionary(method: MethodId) -> usize {
    let made = || Ok(Vec::leak(vec![0usize, handles::from_method(method)]).as_ptr() as usize);
    once(&record(method).dictionary, made).unwrap_or(0)
}

/// The key of an interface method in the key register.
pub fn interface_key(method: MethodId) -> usize {
    method.0 as usize + 1
}

fn thunk_of(table: &IdTable<AtomicUsize>, index: u32, resolve_cell: usize) -> usize {
    let made = || {
        let runtime = runtime();
        stubs::thunk(runtime, u64::from(index), runtime.stubs().resolve_cells[resolve_cell])
    };
    once(table.entry(index), made).unwrap_or(0)
}

/// What interface slot `index` of a fresh method table holds.
pub fn interface_thunk(index: u32) -> usize {
    thunk_of(&domain::current().methods.interface_thunks, index, 2)
}

/// What virtual slot `index` of a fresh method table holds: the parent's code if it is the same method, else a thunk.
pub fn initial_slot(table: &MethodTable, parent: Option<&MethodTable>, index: u32, method: MethodId) -> usize {
    let types = &runtime().types;
    let inherited = parent
        .filter(|parent| index < parent.slot_count && parent.ty() != table.ty())
        .filter(|parent| types.vtable(parent.ty()).is_ok_and(|parent| parent.slots.get(index as usize) == Some(&method)));
    match inherited {
        Some(parent) => parent.slot(index).load(Ordering::Acquire),
        None => thunk_of(&domain::current().methods.slot_thunks, index, 1),
    }
}

/// Helper of the stub for first calls.
pub fn resolve_method(token: usize) -> Result<usize> {
    let method = MethodId(token as u32);
    releasing::keeping(method, || code(method))
}

/// Helper of the stub for virtual slots: finds the method of the receiver's class and fills the slot.
pub fn resolve_slot(slot: u32, receiver: ObjectRef) -> Result<usize> {
    let table = receiver.check()?.method_table();
    let vtable = runtime().types.vtable(table.ty())?;
    let method = *vtable.slots.get(slot as usize).ok_or_else(|| Exception::engine("a virtual slot beyond the class's"))?;
    let code = entry_on(table, method)?;
    table.slot(slot).store(code, Ordering::Release);
    Ok(code)
}

/// Helper of the stub for interface slots: finds the method of the receiver's class and makes a dispatcher for the slot.
pub fn resolve_interface(slot: u32, receiver: ObjectRef, key: usize) -> Result<usize> {
    let runtime = runtime();
    let table = receiver.check()?.method_table();
    let interface_method = MethodId((key - 1) as u32);
    let method = match runtime.types.resolve_interface_method(table.ty(), interface_method) {
        // An interface that the proxy has and its class has not.
        Err(_) if table.has(flags::PROXY) => interface_method,
        found => found?,
    };
    let code = entry_on(table, method)?;
    let mut users = table.class().interface_users.lock();
    if !users.iter().any(|user| user.0 == slot && user.1 == key) {
        users.push((slot, key, method));
    }
    let entries: Result<Vec<(u64, SymbolRef)>> = users
        .iter()
        .filter(|user| user.0 == slot)
        .map(|&(_, key, method)| Ok((key as u64, SymbolRef::Cell(filled_cell(entry_on(table, method)?)))))
        .collect();
    let miss = filled_cell(interface_thunk(slot));
    let dispatch = runtime.backend.dispatch(&entries?, SymbolRef::Cell(miss));
    let address = stubs::publish(runtime, CodeKind::Stub, &dispatch)?;
    table.interface_slots[slot as usize].store(address, Ordering::Release);
    Ok(code)
}

/// Code of a virtual, interface or generic virtual method for this object (`ldvirtftn`, generic virtual calls).
pub fn virtual_code(object: ObjectRef, method: MethodId) -> Result<usize> {
    let table = object.check()?.method_table();
    let class = table.ty();
    if table.has(flags::PROXY) {
        // The message names a generic method of an interface as it was called.
        let data = runtime().types.method(method);
        let is_as_called = data.generic_param_count > 0 && runtime().types.is_interface(data.owner);
        return proxies::code(if is_as_called { method } else { resolve_virtual(class, method).unwrap_or(method) });
    }
    if let Some(code) = known_virtual_code(object, method) {
        return Ok(code);
    }
    let known = domain::current().methods.virtual_code.lock().get(&(class, method)).copied();
    let code = match known {
        Some(code) => code,
        None => {
            let code = receiver_entry(resolve_virtual(class, method)?)?;
            domain::current().methods.virtual_code.lock().insert((class, method), code);
            code
        }
    };
    lookup_answers::add(&record(method).virtual_code, std::ptr::from_ref(table) as usize, code);
    Ok(code)
}

/// What [`virtual_code`] has given before for an object that is not null, if it is at hand.
pub fn known_virtual_code(object: ObjectRef, method: MethodId) -> Option<usize> {
    lookup_answers::find(&record(method).virtual_code, std::ptr::from_ref(object.method_table()) as usize)
}

/// What a virtual call of `method` on an object of `class` reaches, if that is known to be where `code` came from; else `method`.
pub fn known_override(class: TypeId, method: MethodId, code: usize) -> MethodId {
    let known = domain::current().methods.virtual_code.lock().get(&(class, method)).copied();
    if known == Some(code) { resolve_virtual(class, method).unwrap_or(method) } else { method }
}

/// The method that a virtual call of `method` reaches on an object of `class`.
pub fn resolve_virtual(class: TypeId, method: MethodId) -> Result<MethodId> {
    Ok(runtime().types.resolve_virtual(class, method)?)
}
