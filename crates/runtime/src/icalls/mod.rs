//! Internal calls: the functions of the runtime that the class libraries bind by name.
//!
//! **The table.** Each file of this folder serves one class or area and ends in a `pub(super) const TABLE: &[InternalCall]`, which
//! [`TABLES`] below lists. An entry is the method's full name in Mono's spelling (that of `TypeSystem::method_full_name`: `string`,
//! `int`, `intptr`, `System.IO.MonoIOError&`, `Outer/Inner`) and the function. Lookup tries the name with its parameters, then
//! without them (`System.Math:Sin`), so that one entry can serve all overloads. A method without an entry raises
//! `System.MissingMethodException` naming it when it is called.
//!
//! **Signature.** `unsafe extern "C" fn` is not needed: a plain `extern "C" fn` with the parameters of the metadata in order, `this`
//! first. How each is passed:
//! - `object` and other classes: [`ObjectRef`]; `string`: [`StringRef`]; arrays: [`ArrayRef`]. All may be null: `x.argument("x")?`
//!   raises `ArgumentNullException`, `x.check()?` raises `NullReferenceException`, and `x.non_null()` gives an `Option`.
//! - `int` `i32`, `uint` `u32`, `long` `i64`, …, `double` `f64`, `intptr` `isize`, pointers `*mut T`, `bool` parameters `u8` (any value
//!   but 0 is true), `bool` results `bool`, `char` `u16`. Enumerations as their underlying integer.
//! - by-ref (`ref`, `out`): `*mut T`; a reference behind it is stored by [`store_out`], never plainly. `this` of a value type: `*mut T`.
//! - value types: a `#[repr(C)]` structure by value. Handles (`RuntimeTypeHandle` and its like) are structures of one pointer: `usize`.
//! - generic methods and methods of generic types get no hidden context here; they are intrinsics of the compiler instead.
//!
//! **Raising.** A body that can fail is a closure given to [`raising`]; it uses `?` on `Result<_, Exception>` and everything it owns is
//! dropped before the exception leaves. Never call [`crate::exceptions::throw`] with something alive that needs a drop, and never panic:
//! a panic ends the process. Exceptions are made by `Exception::argument_null("name")`, `Exception::argument("name", "message")`,
//! `Exception::argument_out_of_range("name")`, `Exception::new("System.IO", "IOException", "message")` and so on; calling managed code
//! (`crate::invoke`) gives `Err` with what it threw.
//!
//! **References.** A reference in a local variable, argument or array on the stack keeps its object alive and in place. A reference in a
//! `Vec`, `Box` or static does not: see [`crate::roots`]. Fields of managed objects are reached through a
//! [`crate::fields::KnownField`], a static that finds its offset by name once.
//!
//! **Handles.** `RuntimeTypeHandle`, `RuntimeMethodHandle`, `RuntimeFieldHandle` hold a number of the type system plus 1:
//! [`crate::handles`] converts. `Type` objects ↔ types: `crate::handles::{type_object, type_of}`.
//!
//! Five examples (the first and second take no risk; the third fails; the fourth works on objects; the fifth fills an `out`):
//! ```ignore
//! extern "C" fn sin(x: f64) -> f64 {
//!     x.sin()
//! }
//! extern "C" fn tick_count() -> i32 {
//!     crate::clock::milliseconds() as i32
//! }
//! extern "C" fn fast_allocate_string(length: i32) -> StringRef {
//!     raising(|| {
//!         let length = usize::try_from(length).map_err(|_| Exception::out_of_memory())?;
//!         StringRef::with_length(length)
//!     })
//! }
//! static MESSAGE: KnownField = KnownField::new("System", "Exception", "_message");
//! extern "C" fn message_of(exception: ObjectRef) -> ObjectRef {
//!     raising(|| Ok(MESSAGE.get(exception.check()?)))
//! }
//! extern "C" fn name_of(object: ObjectRef, name: *mut ObjectRef) -> bool {
//!     raising(|| {
//!         let text = runtime().types.type_name(object.check()?.type_id());
//!         store_out(name, StringRef::new(&text)?.object());
//!         Ok(true)
//!     })
//! }
//! pub(super) const TABLE: &[InternalCall] = &[
//!     icall("System.Math:Sin (double)", sin as *const ()),
//!     icall("System.Environment:get_TickCount ()", tick_count as *const ()),
//!     icall("string:FastAllocateString (int)", fast_allocate_string as *const ()),
//!     …
//! ];
//! ```

pub mod app_domains;
mod arrays;
pub mod assembly_events;
pub mod async_results;
pub mod collector;
mod com;
pub mod compression;
mod console;
mod cultures;
mod diagnostics;
mod domain_calls;
mod drives;
mod emit;
pub mod environment;
mod file_versions;
mod files;
mod globalization;
mod host_names;
mod interlocked;
mod io_errors;
mod key_files;
mod marshal;
mod math;
mod memory_maps;
mod monitors;
mod native_text;
mod normalization;
mod numbers;
mod objects;
mod paths;
mod performance_counters;
mod principals;
mod process_modules;
mod processes;
pub mod reflection;
pub mod remoting;
mod sockets;
mod state_dumps;
pub mod system_native;
mod thread_pool;
pub mod threads;
pub mod typed_references;
mod wait_handles;

use crate::abort;
use crate::exceptions::{self, Exception, Result};
use crate::gc;
use crate::object::{ObjectRef, store_reference};
use crate::stack_guard;
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use rustc_hash::FxHashMap;
use std::sync::OnceLock;

/// One internal call.
#[derive(Clone, Copy)]
pub struct InternalCall {
    /// Full name in Mono's spelling, with parameters or, for all overloads, without.
    pub name: &'static str,
    /// The function.
    pub address: *const (),
}

// SAFETY: the address is that of a function.
unsafe impl Sync for InternalCall {}

/// An entry of a table.
pub const fn icall(name: &'static str, address: *const ()) -> InternalCall {
    InternalCall { name, address }
}

/// The tables of all files.
static TABLES: &[&[InternalCall]] = &[
    app_domains::TABLE,
    arrays::TABLE,
    async_results::TABLE,
    collector::TABLE,
    com::TABLE,
    console::TABLE,
    diagnostics::TABLE,
    drives::TABLE,
    emit::TABLE,
    environment::TABLE,
    file_versions::TABLE,
    files::TABLE,
    globalization::TABLE,
    host_names::TABLE,
    interlocked::TABLE,
    key_files::TABLE,
    marshal::TABLE,
    math::TABLE,
    memory_maps::TABLE,
    monitors::TABLE,
    normalization::TABLE,
    numbers::TABLE,
    objects::TABLE,
    paths::TABLE,
    performance_counters::TABLE,
    principals::TABLE,
    process_modules::TABLE,
    processes::TABLE,
    remoting::TABLE,
    sockets::TABLE,
    state_dumps::TABLE,
    thread_pool::TABLE,
    threads::TABLE,
    typed_references::TABLE,
    wait_handles::TABLE,
    reflection::assemblies::TABLE,
    reflection::attribute_data::TABLE,
    reflection::attributes::TABLE,
    reflection::delegates::TABLE,
    reflection::enums::TABLE,
    reflection::events::TABLE,
    reflection::fields::TABLE,
    reflection::invocation::TABLE,
    reflection::members::TABLE,
    reflection::methods::TABLE,
    reflection::modules::TABLE,
    reflection::native::TABLE,
    reflection::properties::TABLE,
    reflection::runtime_types::TABLE,
    reflection::security_levels::TABLE,
    reflection::type_handles::TABLE,
    reflection::values::TABLE,
];

/// Native code of the internal call with this full name, if there is one.
pub fn find(full_name: &str) -> Option<usize> {
    static INDEX: OnceLock<FxHashMap<&'static str, usize>> = OnceLock::new();
    let index = INDEX
        .get_or_init(|| TABLES.iter().flat_map(|table| table.iter()).map(|entry| (entry.name, entry.address as usize)).collect());
    let without_params = || full_name.split(" (").next().and_then(|name| index.get(name));
    index.get(full_name).or_else(without_params).copied()
}

/// Runs the body of an internal call; if it fails, raises its exception in the managed caller. So it does if too little is left of the
/// stack, or the thread is to be aborted;
/// and it lets a collection begin: a thread that calls the runtime again and again may never be found outside of it.
#[inline]
pub fn raising<T>(body: impl FnOnce() -> Result<T>) -> T {
    stack_guard::check();
    match body() {
        Ok(value) => {
            let thread = Thread::current();
            thread.heap().poll();
            if abort::is_requested() {
                raise_abort();
            }
            value
        }
        Err(exception) => exceptions::raise(exception),
    }
}

#[cold]
fn raise_abort() {
    if let Err(exception) = abort::check_after_call() {
        exceptions::raise(exception);
    }
}

/// Stores a reference through an `out` or `ref` parameter. A null address is ignored.
pub(crate) fn store_out(address: *mut ObjectRef, value: ObjectRef) {
    if !address.is_null() {
        // SAFETY: compiled code passes the address of a variable of reference type; where it lies is not known.
        unsafe { store_unknown(address, value) }
    }
}

/// The object that an address lies in, or null if it lies outside of the heap.
pub fn owner_of(address: usize) -> ObjectRef {
    if !gc::is_in_heap(address) {
        return ObjectRef::NULL;
    }
    let object = gc::find_object(Thread::current().heap(), address).unwrap_or(std::ptr::null_mut());
    // SAFETY: the collector gives live objects.
    unsafe { ObjectRef::from_raw(object.cast()) }
}

/// Stores a reference at an address that may lie in the heap, a frame or elsewhere.
///
/// # Safety
/// `address` is that of a variable of reference type.
pub unsafe fn store_unknown(address: *mut ObjectRef, value: ObjectRef) {
    // A null needs no remembering, so nobody asks for its owner.
    let owner = if value.is_null() { ObjectRef::NULL } else { owner_of(address as usize) };
    // SAFETY: the caller's promise.
    unsafe { store_reference(owner, address, value) }
}

/// What an internal call without an entry runs: raises with its full name.
pub extern "C" fn missing() {
    raising(|| -> Result<()> {
        let caller = Walk::from_runtime(Thread::current()).find_map(|step| match step {
            Step::Frame(frame) => frame.method(),
            Step::Entry { .. } => None,
        });
        let name = caller.map_or_else(String::new, |method| crate::runtime().types.method_full_name(method));
        Err(Exception::missing_method(format!("Internal call '{name}' is not implemented")))
    })
}
