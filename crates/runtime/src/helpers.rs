//! The functions that compiled code calls by number: the table and the implementations. Each is `extern "C"`; one that raises returns a
//! `Result` from its body to [`raising`], so that nothing needs a drop when the exception leaves.

use crate::class_init::ensure_initialized;
use crate::exceptions::{Exception, Result};
use crate::icalls::{async_results, owner_of, raising, remoting, store_unknown};
use crate::marshal::callbacks;
use crate::marshal::calls::Call;
use crate::method_table::{MethodTable, ensure_statics};
use crate::object::{self, ObjectRef};
use crate::thread::Thread;
use crate::{
    abort, aot, casts, cells, com, delegates, domain, generic_dictionary, handles, local_statics, methods, monitor, proxies,
    runtime, stack_guard, unwind, wrapped_exceptions,
};
use compiler::abi::HelperId;
use il::types::{StaticHolder, TypeKind};
use ir::instruction::TrapCode;
use ir::mach::SavedArguments;
use std::sync::atomic::{AtomicI64, Ordering};

type Table = &'static MethodTable;

/// The address of each helper but those that are stubs.
pub static TABLE: &[(HelperId, Address)] = &[
    (HelperId::ResolveCell, Address(resolve_cell as *const ())),
    (HelperId::GenericLookup, Address(generic_lookup as *const ())),
    (HelperId::VirtualCode, Address(virtual_code as *const ())),
    (HelperId::ConstrainedCode, Address(constrained_code as *const ())),
    (HelperId::InitializeClass, Address(initialize_class as *const ())),
    (HelperId::ThreadStatics, Address(thread_statics as *const ())),
    (HelperId::ContextStatics, Address(context_statics as *const ())),
    (HelperId::NewObject, Address(new_object as *const ())),
    (HelperId::NewArray, Address(new_array as *const ())),
    (HelperId::NewMultiArray, Address(new_multi_array as *const ())),
    (HelperId::BoxNullable, Address(box_value as *const ())),
    (HelperId::UnboxNullable, Address(unbox_nullable as *const ())),
    (HelperId::Box, Address(box_value as *const ())),
    (HelperId::WriteBarrier, Address(write_barrier as *const ())),
    (HelperId::StoreReference, Address(store_reference as *const ())),
    (HelperId::CopyValue, Address(copy_value as *const ())),
    (HelperId::StoreElement, Address(store_element as *const ())),
    (HelperId::IsInstance, Address(is_instance as *const ())),
    (HelperId::CastClass, Address(cast_class as *const ())),
    (HelperId::Unbox, Address(unbox as *const ())),
    (HelperId::CheckElementAddress, Address(check_element_address as *const ())),
    (HelperId::Throw, Address(throw as *const ())),
    (HelperId::Rethrow, Address(rethrow as *const ())),
    (HelperId::RaiseTrap, Address(raise_trap as *const ())),
    (HelperId::RaiseDeferred, Address(raise_deferred as *const ())),
    (HelperId::ResumeUnwind, Address(resume_unwind as *const ())),
    (HelperId::InitializeDelegate, Address(initialize_delegate as *const ())),
    (HelperId::BeginInvoke, Address(begin_invoke as *const ())),
    (HelperId::EndInvoke, Address(end_invoke as *const ())),
    (HelperId::TypeObject, Address(type_object as *const ())),
    (HelperId::GetType, Address(get_type as *const ())),
    (HelperId::ProxyCode, Address(proxy_code as *const ())),
    (HelperId::CallProxy, Address(call_proxy as *const ())),
    (HelperId::RemoteFieldAddress, Address(remote_field_address as *const ())),
    (HelperId::LoadRemoteField, Address(load_remote_field as *const ())),
    (HelperId::StoreRemoteField, Address(store_remote_field as *const ())),
    (HelperId::Frem64, Address(frem64 as *const ())),
    (HelperId::Frem32, Address(frem32 as *const ())),
    (HelperId::DivI32, Address(div_i32 as *const ())),
    (HelperId::DivU32, Address(div_u32 as *const ())),
    (HelperId::RemI32, Address(rem_i32 as *const ())),
    (HelperId::RemU32, Address(rem_u32 as *const ())),
    (HelperId::DivI64, Address(div_i64 as *const ())),
    (HelperId::DivU64, Address(div_u64 as *const ())),
    (HelperId::RemI64, Address(rem_i64 as *const ())),
    (HelperId::RemU64, Address(rem_u64 as *const ())),
    (HelperId::HighProductI64, Address(high_product_i64 as *const ())),
    (HelperId::HighProductU64, Address(high_product_u64 as *const ())),
    (HelperId::I64ToF32, Address(i64_to_f32 as *const ())),
    (HelperId::U64ToF32, Address(u64_to_f32 as *const ())),
    (HelperId::F64ToI64, Address(f64_to_i64 as *const ())),
    (HelperId::F64ToU64, Address(f64_to_u64 as *const ())),
    (HelperId::AtomicLoadI64, Address(atomic_load_i64 as *const ())),
    (HelperId::AtomicStoreI64, Address(atomic_store_i64 as *const ())),
    (HelperId::AtomicAddI64, Address(atomic_add_i64 as *const ())),
    (HelperId::AtomicExchangeI64, Address(atomic_exchange_i64 as *const ())),
    (HelperId::AtomicCompareExchangeI64, Address(atomic_compare_exchange_i64 as *const ())),
    (HelperId::CopyBlock, Address(copy_block as *const ())),
    (HelperId::FillBlock, Address(fill_block as *const ())),
    (HelperId::MonitorEnter, Address(monitor_enter as *const ())),
    (HelperId::MonitorExit, Address(monitor_exit as *const ())),
    (HelperId::EnterNative, Address(enter_native as *const ())),
    (HelperId::LeaveNative, Address(leave_native as *const ())),
    (HelperId::MarshalArguments, Address(marshal_arguments as *const ())),
    (HelperId::MarshalResults, Address(marshal_results as *const ())),
    (HelperId::ComInterface, Address(com_interface as *const ())),
    (HelperId::EnterCallback, Address(callbacks::enter as *const ())),
    (HelperId::ResolveMethod, Address(resolve_method as *const ())),
    (HelperId::ResolveSlot, Address(resolve_slot as *const ())),
    (HelperId::ResolveInterface, Address(resolve_interface as *const ())),
    (HelperId::ResolveImport, Address(resolve_import as *const ())),
    (HelperId::TraceEnter, Address(crate::trace::enter as *const ())),
    (HelperId::TraceLeave, Address(crate::trace::leave as *const ())),
    (HelperId::Interpret, Address(crate::interpreter::interpret as *const ())),
    (HelperId::PauseInterpreter, Address(crate::interpreter::pause as *const ())),
    (HelperId::AbortPoint, Address(abort_point as *const ())),
];

/// A function's address.
#[derive(Clone, Copy)]
pub struct Address(pub *const ());

// SAFETY: the address of a function.
unsafe impl Sync for Address {}

// Late binding

extern "C" fn resolve_cell(address: usize) -> usize {
    raising(|| cells::resolve_cell_at(address))
}

extern "C" fn generic_lookup(context: usize, cell: usize) -> usize {
    raising(|| generic_dictionary::lookup(context, cell))
}

extern "C" fn virtual_code(object: ObjectRef, handle: usize) -> usize {
    if let (Some(object), Some(method)) = (object.non_null(), handles::to_method(handle)) {
        if let Some(code) = methods::known_virtual_code(object, method) {
            return code;
        }
    }
    raising(|| {
        let method = handles::to_method(handle).ok_or_else(Exception::null_reference)?;
        methods::virtual_code(object, method)
    })
}

extern "C" fn constrained_code(table: Table, handle: usize, place: *mut usize) -> usize {
    raising(|| {
        let method = handles::to_method(handle).ok_or_else(Exception::null_reference)?;
        let found = methods::resolve_virtual(table.ty(), method)?;
        if runtime().types.method(found).owner == table.ty() {
            return methods::function_pointer(found);
        }
        // SAFETY: compiled code passes a place of its frame with the address of a value of this class.
        let boxed = unsafe { object::box_value(table, place.read() as *const u8)? };
        // SAFETY: likewise.
        unsafe { place.cast::<ObjectRef>().write(boxed) };
        methods::virtual_code(boxed, method)
    })
}

extern "C" fn initialize_class(table: Table) {
    raising(|| {
        ensure_statics(table)?;
        ensure_initialized(table).map(|_| ())
    });
}

extern "C" fn thread_statics(table: Table) -> usize {
    raising(|| local_statics::area(StaticHolder::Thread, table))
}

extern "C" fn context_statics(table: Table) -> usize {
    raising(|| local_statics::area(StaticHolder::Context, table))
}

// Allocation

extern "C" fn new_object(table: Table) -> ObjectRef {
    raising(|| remoting::new_object(table))
}

extern "C" fn new_array(table: Table, length: isize) -> ObjectRef {
    raising(|| {
        let length = usize::try_from(length).map_err(|_| Exception::overflow())?;
        Ok(object::allocate_vector(table, length)?.object())
    })
}

/// As many 32-bit arguments as dimensions are lengths; twice as many are (lower bound, length) pairs.
extern "C" fn new_multi_array(table: Table, count: i32, arguments: *const i32) -> ObjectRef {
    raising(|| {
        // SAFETY: the caller's array of that many numbers.
        let arguments = unsafe { std::slice::from_raw_parts(arguments, count as usize) };
        let rank = runtime().types.array_rank(table.ty()).unwrap_or(1) as usize;
        if rank == 1 && matches!(runtime().types.kind(table.ty()), TypeKind::SzArray(_)) {
            return Ok(object::allocate_vector_of(table, arguments)?.object());
        }
        let dimensions: smallvec::SmallVec<[(i32, i32); 4]> = if arguments.len() == rank {
            arguments.iter().map(|&length| (0, length)).collect()
        } else {
            arguments.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
        };
        Ok(object::allocate_array(table, &dimensions)?.object())
    })
}

extern "C" fn box_value(table: Table, value: *const u8) -> ObjectRef {
    // SAFETY: compiled code passes the address of a value of this class.
    raising(|| unsafe { object::box_value(table, value) })
}

/// Where the parts of a nullable lie: (flag, value).
fn nullable_parts(table: &MethodTable) -> Result<(u32, u32)> {
    let types = &runtime().types;
    let mut parts = (0, 0);
    for (field, offset) in types.instance_fields(table.ty())? {
        match types.field_name(field) {
            "has_value" | "hasValue" => parts.0 = offset,
            _ => parts.1 = offset,
        }
    }
    Ok(parts)
}

/// Boxes the value of a nullable, or gives null.
///
/// # Safety
/// `value` points to a nullable of the class `table`.
pub unsafe fn box_nullable(table: &MethodTable, value: *const u8) -> Result<ObjectRef> {
    let (flag, content) = nullable_parts(table)?;
    let element = table.element().ok_or_else(|| Exception::engine("a nullable without its class"))?;
    // SAFETY: the caller's promise.
    unsafe {
        if value.add(flag as usize).read() == 0 {
            return Ok(ObjectRef::NULL);
        }
        object::box_value(element, value.add(content as usize))
    }
}

extern "C" fn unbox_nullable(table: Table, destination: *mut u8, object: ObjectRef) {
    // SAFETY: the destination is a nullable of this class.
    raising(|| unsafe { store_nullable(table, owner_of(destination as usize), destination, object) });
}

/// Stores an object or null as a nullable of the class `table`. A null `owner` means that the place is not in the heap.
///
/// # Safety
/// The destination is a nullable of this class, in `owner`.
pub unsafe fn store_nullable(table: &MethodTable, owner: ObjectRef, destination: *mut u8, object: ObjectRef) -> Result<()> {
    let (flag, content) = nullable_parts(table)?;
    let element = table.element().ok_or_else(|| Exception::engine("a nullable without its class"))?;
    // SAFETY: the caller's promise.
    unsafe {
        std::ptr::write_bytes(destination, 0, table.class().value_size as usize);
        if object.is_null() {
            return Ok(());
        }
        // Enumerations do not count as their underlying type here.
        if !std::ptr::eq(object.method_table(), element) {
            return Err(Exception::invalid_cast());
        }
        let class = element.class();
        let place = destination.add(content as usize);
        object::copy_value(owner, place, object.payload(), class.value_size as usize, &class.value_references);
        destination.add(flag as usize).write(1);
    }
    Ok(())
}

// References into the heap

extern "C" fn write_barrier(object: ObjectRef, _value: ObjectRef) {
    if !object.is_null() {
        object::write_barrier(object);
    }
}

extern "C" fn store_reference(address: *mut ObjectRef, value: ObjectRef) {
    // SAFETY: compiled code passes the address of a variable of reference type.
    unsafe { store_unknown(address, value) }
}

extern "C" fn copy_value(table: Table, destination: *mut u8, source: *const u8) {
    let class = table.class();
    let owner = owner_of(destination as usize);
    // SAFETY: compiled code passes addresses of values of this class.
    unsafe { object::copy_value(owner, destination, source, class.value_size as usize, &class.value_references) }
}

extern "C" fn store_element(array: ObjectRef, index: isize, value: ObjectRef) {
    raising(|| {
        let array_ref = array.check()?.as_array().ok_or_else(Exception::null_reference)?;
        if index as usize >= array_ref.len() {
            return Err(Exception::index_out_of_range());
        }
        if !casts::can_store(array, value)? {
            return Err(Exception::array_type_mismatch());
        }
        array_ref.set_ref(index as usize, value);
        Ok(())
    });
}

// Casts

extern "C" fn is_instance(table: Table, object: ObjectRef) -> ObjectRef {
    if object.is_null() {
        return object;
    }
    match casts::is_instance(table, object) {
        Ok(true) => object,
        Ok(false) => ObjectRef::NULL,
        Err(exception) => crate::exceptions::raise(exception),
    }
}

extern "C" fn cast_class(table: Table, object: ObjectRef) -> ObjectRef {
    raising(|| casts::cast_class(table, object))
}

extern "C" fn unbox(table: Table, object: ObjectRef) -> *mut u8 {
    raising(|| {
        let object = object.check()?;
        if casts::can_unbox(table, object) { Ok(object.payload()) } else { Err(Exception::invalid_cast()) }
    })
}

extern "C" fn check_element_address(table: Table, array: ObjectRef) {
    raising(|| {
        let same = std::ptr::eq(array.check()?.method_table(), table);
        if same { Ok(()) } else { Err(Exception::array_type_mismatch()) }
    });
}

// Exceptions

extern "C" fn throw(object: ObjectRef) -> ! {
    unwind::throw(exception_of(object))
}

extern "C" fn rethrow(object: ObjectRef) -> ! {
    unwind::rethrow(exception_of(object))
}

/// The exception that throwing an object raises.
fn exception_of(object: ObjectRef) -> ObjectRef {
    let exception = if object.is_null() { Err(Exception::null_reference()) } else { wrapped_exceptions::wrap(object) };
    exception.unwrap_or_else(Exception::into_object)
}

extern "C" fn raise_trap(code: i32) -> ! {
    let trap = TrapCode::ALL.get(code as usize).copied().unwrap_or(TrapCode::Unreachable);
    crate::exceptions::raise(Exception::of_trap(trap))
}

extern "C" fn raise_deferred(cell: usize) -> ! {
    let error = || match cells::request_at(cell).ok()? {
        compiler::env::CellRequest::DeferredError(number) => domain::current().cells.error(number),
        _ => None,
    };
    let exception = error().map_or_else(|| Exception::engine("an unknown deferred error"), Exception::from);
    crate::exceptions::raise(exception.in_caller())
}

extern "C" fn resume_unwind() -> ! {
    unwind::resume()
}

// Delegates, reflection

extern "C" fn initialize_delegate(delegate: ObjectRef, target: ObjectRef, code: usize, handle: usize) {
    raising(|| delegates::initialize(delegate, target, code, handle));
}

extern "C" fn begin_invoke(delegate: ObjectRef, arguments: *const usize) -> ObjectRef {
    // SAFETY: compiled code passes the addresses of all arguments.
    raising(|| unsafe { async_results::begin(delegate, arguments) })
}

extern "C" fn end_invoke(delegate: ObjectRef, arguments: *const usize, result: *mut u8) {
    // SAFETY: likewise, and that of a variable for the result.
    raising(|| unsafe { async_results::end(delegate, arguments, result) });
}

extern "C" fn type_object(table: Table) -> ObjectRef {
    raising(|| handles::type_object(table.ty()))
}

extern "C" fn get_type(object: ObjectRef) -> ObjectRef {
    raising(|| handles::type_object(proxies::shown_type(object.check()?)))
}

// Transparent proxies

extern "C" fn proxy_code(proxy: ObjectRef, handle: usize, context: usize) -> usize {
    raising(|| {
        let method = handles::to_method(handle).ok_or_else(Exception::null_reference)?;
        proxies::code(proxies::exact_method(proxy, method, context)?)
    })
}

extern "C" fn call_proxy(proxy: ObjectRef, handle: usize, arguments: *const usize, result: *mut u8) {
    raising(|| {
        let method = handles::to_method(handle).ok_or_else(Exception::null_reference)?;
        // SAFETY: compiled code passes the addresses of all arguments and that of a variable for the result.
        unsafe { remoting::call(proxy, method, arguments, result) }
    });
}

extern "C" fn remote_field_address(proxy: ObjectRef, handle: usize) -> *mut u8 {
    raising(|| {
        let field = handles::to_field(handle).ok_or_else(Exception::null_reference)?;
        remoting::field_address(proxy, field)
    })
}

extern "C" fn load_remote_field(proxy: ObjectRef, handle: usize, value: *mut u8) {
    raising(|| {
        let field = handles::to_field(handle).ok_or_else(Exception::null_reference)?;
        // SAFETY: compiled code passes the address of a variable of the field's type.
        unsafe { remoting::load_field(proxy, field, value) }
    });
}

extern "C" fn store_remote_field(proxy: ObjectRef, handle: usize, value: *const u8) {
    raising(|| {
        let field = handles::to_field(handle).ok_or_else(Exception::null_reference)?;
        // SAFETY: likewise.
        unsafe { remoting::store_field(proxy, field, value) }
    });
}

// Arithmetic

extern "C" fn frem64(a: f64, b: f64) -> f64 {
    a % b
}
extern "C" fn frem32(a: f32, b: f32) -> f32 {
    a % b
}
extern "C" fn div_i32(a: i32, b: i32) -> i32 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}
extern "C" fn div_u32(a: u32, b: u32) -> u32 {
    a.checked_div(b).unwrap_or(0)
}
extern "C" fn rem_i32(a: i32, b: i32) -> i32 {
    if b == 0 { 0 } else { a.wrapping_rem(b) }
}
extern "C" fn rem_u32(a: u32, b: u32) -> u32 {
    a.checked_rem(b).unwrap_or(0)
}
extern "C" fn div_i64(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}
extern "C" fn div_u64(a: u64, b: u64) -> u64 {
    a.checked_div(b).unwrap_or(0)
}
extern "C" fn rem_i64(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_rem(b) }
}
extern "C" fn rem_u64(a: u64, b: u64) -> u64 {
    a.checked_rem(b).unwrap_or(0)
}
extern "C" fn high_product_i64(a: i64, b: i64) -> i64 {
    ((i128::from(a) * i128::from(b)) >> 64) as i64
}
extern "C" fn high_product_u64(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}
extern "C" fn i64_to_f32(a: i64) -> f32 {
    a as f32
}
extern "C" fn u64_to_f32(a: u64) -> f32 {
    a as f32
}
/// Out of range and NaN give the minimum.
extern "C" fn f64_to_i64(a: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&a) { a as i64 } else { i64::MIN }
}
/// From 2^63 on, and for NaN, the conversion of what is above it, with the top bit flipped.
extern "C" fn f64_to_u64(a: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if a < LIMIT { f64_to_i64(a) } else { f64_to_i64(a - LIMIT) ^ i64::MIN }
}
// The addresses were good when compiled code tried them, and `long`s that are accessed so are aligned on machines that insist on it.
extern "C" fn atomic_load_i64(address: &AtomicI64) -> i64 {
    address.load(Ordering::SeqCst)
}
extern "C" fn atomic_store_i64(address: &AtomicI64, value: i64) {
    address.store(value, Ordering::SeqCst);
}
extern "C" fn atomic_add_i64(address: &AtomicI64, value: i64) -> i64 {
    address.fetch_add(value, Ordering::SeqCst)
}
extern "C" fn atomic_exchange_i64(address: &AtomicI64, value: i64) -> i64 {
    address.swap(value, Ordering::SeqCst)
}
extern "C" fn atomic_compare_exchange_i64(address: &AtomicI64, expected: i64, replacement: i64) -> i64 {
    address.compare_exchange(expected, replacement, Ordering::SeqCst, Ordering::SeqCst).unwrap_or_else(|current| current)
}

// Memory

extern "C" fn copy_block(destination: *mut u8, source: *const u8, bytes: usize) {
    // SAFETY: as far as the program's own code is.
    unsafe { std::ptr::copy(source, destination, bytes) }
}
extern "C" fn fill_block(destination: *mut u8, byte: i32, bytes: usize) {
    // SAFETY: likewise.
    unsafe { std::ptr::write_bytes(destination, byte as u8, bytes) }
}

// Monitors

extern "C" fn monitor_enter(object: ObjectRef) {
    raising(|| monitor::enter(object.argument("obj")?));
}
extern "C" fn monitor_exit(object: ObjectRef) {
    raising(|| monitor::exit(object.argument("obj")?));
}

// Native calls

/// The references at the address are in the caller's frame; that they are passed keeps them there.
extern "C" fn enter_native(_kept: *const ObjectRef) {
    stack_guard::check();
    Thread::current().heap().enter_native();
}
extern "C" fn leave_native(keep_error: i32) {
    let thread = Thread::current();
    if keep_error != 0 {
        thread.last_error = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    }
    thread.heap().leave_native();
    raising(abort::check);
}

extern "C" fn abort_point(is_catch: i32) {
    raising(|| abort::check_after_handler(is_catch != 0));
}

extern "C" fn marshal_arguments(method: usize, arguments: *const *mut u8, area: *mut u8) {
    // SAFETY: compiled code passes the method's arguments and an area of its native signature.
    raising(|| unsafe { Call::new(method, arguments, area)?.convert_arguments() })
}

extern "C" fn marshal_results(method: usize, arguments: *const *mut u8, area: *mut u8, native: *mut u8, managed: *mut u8) {
    // SAFETY: likewise, after the call, with places for its results.
    raising(|| unsafe { Call::new(method, arguments, area)?.convert_results(native, managed) })
}

extern "C" fn com_interface(object: ObjectRef, handle: usize) -> usize {
    raising(|| {
        let method = handles::to_method(handle).ok_or_else(Exception::null_reference)?;
        com::objects::interface_with(object, method)
    })
}

// Stubs

extern "C" fn resolve_method(_thread: *mut Thread, token: usize, _saved: *const SavedArguments) -> usize {
    raising(|| methods::resolve_method(token))
}

extern "C" fn resolve_slot(_thread: *mut Thread, token: usize, saved: *const SavedArguments) -> usize {
    // SAFETY: the stub saved the arguments; the first of a virtual call is its receiver.
    raising(|| methods::resolve_slot(token as u32, unsafe { ObjectRef::from_raw((*saved).this as *mut _) }))
}

extern "C" fn resolve_interface(_thread: *mut Thread, token: usize, saved: *const SavedArguments) -> usize {
    // SAFETY: likewise; the key register names the interface method.
    raising(|| unsafe { methods::resolve_interface(token as u32, ObjectRef::from_raw((*saved).this as *mut _), (*saved).key) })
}

extern "C" fn resolve_import(_thread: *mut Thread, token: usize, _saved: *const SavedArguments) -> usize {
    raising(|| aot::resolve_import(token))
}
