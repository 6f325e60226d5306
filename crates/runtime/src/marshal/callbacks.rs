//! Delegates as functions that native code calls, and delegates made of native functions.
//!
//! Each such delegate gets a thunk that knows its number and goes to one stub, which saves what the caller passed and calls [`enter`].
//! The table does not keep delegates alive; the number of one that is gone serves again. Methods of COM interfaces are in the same table,
//! one entry for all objects: what is their own is in [`super::com_callbacks`].

use super::calls::number;
use super::values::{elements_to_native, managed_array, object_to_native, to_managed, to_native};
use super::{com_callbacks, custom};
use crate::domain::{self, Domain};
use crate::exceptions::{self, Exception, Result};
use crate::fields::KnownField;
use crate::gc::{self, HandleKind};
use crate::id_table::IdTable;
use crate::invoke::{CallShape, StructureArea, call_from_native};
use crate::jit_env::JitEnv;
use crate::object::{Object, ObjectRef};
use crate::thread::Thread;
use crate::{com, delegates, methods, runtime, stubs, unhandled};
use compiler::marshal::Conversion;
use compiler::marshal::signature::{NativeParam, NativeSignature};
use compiler::signature::{AbiSignature, Passed, Passing, native_abi};
use il::types::{MethodId, Storage, TypeId};
use ir::Type;
use ir::legalize::split_signature;
use ir::mach::CallbackLayout;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

static TRAMPOLINE: KnownField = KnownField::new("System", "Delegate", "delegate_trampoline");

const WORD: u32 = size_of::<usize>() as u32;

/// The functions that native code may call.
#[derive(Default)]
pub struct Callbacks {
    /// By number. Calls read them without a lock; who holds that of the table writes them.
    entries: IdTable<Entry>,
    table: Mutex<Table>,
    /// What was found out about methods that native code calls.
    functions: Mutex<FxHashMap<MethodId, &'static Function>>,
}

#[derive(Default)]
struct Table {
    /// Number of the entries.
    count: usize,
    by_address: FxHashMap<usize, usize>,
    /// Addresses of the methods of COM interfaces.
    com_methods: FxHashMap<MethodId, usize>,
    /// Number of entries at which to look for ones that are not used any more.
    look_at: usize,
}

/// A function that native code may call. A number is given to another delegate only when the former is gone, and nobody may call its function.
#[derive(Default)]
struct Entry {
    /// Of the thunk.
    address: AtomicUsize,
    /// Weak handle of a delegate, the entry's own for good; 0 for a method of a COM interface.
    handle: AtomicUsize,
    /// Where that has the delegate's address.
    delegate: AtomicPtr<AtomicUsize>,
    /// Null if the arguments of the COM method cannot be converted, which is raised when it is called.
    function: AtomicPtr<Function>,
    /// The delegate's domain.
    domain: AtomicPtr<Domain>,
    /// The number of the COM method.
    method: AtomicU32,
}

/// What is the same for all delegates of a class, or all objects with a COM interface.
pub(super) struct Function {
    /// `Invoke` of the delegates, or the method.
    pub(super) method: MethodId,
    pub(super) signature: Arc<NativeSignature>,
    /// Whether all values are small and the same on both sides.
    is_plain: bool,
    /// How the method is called.
    shape: &'static CallShape,
    params: Vec<Param>,
    result: Vec<Move>,
    /// Words for the managed result.
    result_words: usize,
    /// Words for both forms of all arguments and of the result.
    pub(super) words: usize,
    /// Where the caller's address for a structure is, and where it goes as the result.
    struct_return: Option<(u32, u32)>,
    /// What the stub wants to know.
    pub(super) ending: usize,
}

/// How a parameter is taken.
struct Param {
    /// The parts of the native value.
    moves: Vec<Move>,
    native_words: usize,
    /// Words for the managed value; none if it is the native one.
    managed_words: usize,
    /// Words for what a `ref` parameter refers to that has to be converted.
    target_words: usize,
}

/// Most parameters, and most bytes of a value, of a function that is called the short way.
const PLAIN_PARAMS: usize = 8;
const PLAIN_BYTES: u32 = size_of::<u64>() as u32;

/// A part of a value: its offset in the stub's area, in the value, and its bytes.
#[derive(Clone, Copy)]
struct Move {
    area: u32,
    value: u32,
    bytes: u32,
}

impl Entry {
    /// The delegate, or null if it is gone; `None` if the entry is that of a COM method.
    fn delegate(&self) -> Option<ObjectRef> {
        // SAFETY: null or the place of a handle that is never freed.
        let place = unsafe { self.delegate.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: a handle holds an object or null.
        Some(unsafe { ObjectRef::from_raw(place.load(Ordering::Acquire) as *mut Object) })
    }

    /// Makes the entry that of a delegate of the current domain.
    fn set_delegate(&self, delegate: ObjectRef, function: &'static Function) {
        self.function.store(std::ptr::from_ref(function).cast_mut(), Ordering::Relaxed);
        self.domain.store(std::ptr::from_ref(domain::current()).cast_mut(), Ordering::Relaxed);
        // Who sees the delegate sees its function, too.
        match self.handle.load(Ordering::Relaxed) {
            0 => {
                let handle = gc::allocate_handle(delegate.raw().cast(), HandleKind::Weak);
                self.handle.store(handle, Ordering::Relaxed);
                self.delegate.store(gc::handle_place(handle).cast_mut(), Ordering::Release);
            }
            handle => gc::set_handle_target(handle, delegate.raw().cast()),
        }
    }
}

impl Callbacks {
    /// A number for another delegate: that of one that is gone, with its thunk.
    fn unused(&self, table: &mut Table) -> Option<&Entry> {
        const FIRST_LOOK: usize = 64;
        if table.count < table.look_at.max(FIRST_LOOK) {
            return None;
        }
        let unused = (0..table.count)
            .map(|index| self.entries.entry(index as u32))
            .find(|entry| entry.delegate().is_some_and(ObjectRef::is_null));
        if unused.is_none() {
            table.look_at = 2 * table.count;
        }
        unused
    }

    /// A new entry, with a thunk.
    fn add(&self, table: &mut Table) -> Result<&Entry> {
        let index = table.count;
        let address = stubs::thunk(runtime(), index as u64, runtime().stubs().callback_cell)?;
        let entry = self.entries.entry(index as u32);
        entry.address.store(address, Ordering::Relaxed);
        table.count += 1;
        table.by_address.insert(address, index);
        Ok(entry)
    }

    /// The delegate whose thunk is at `address`.
    fn delegate_at(&self, address: usize) -> Option<ObjectRef> {
        let table = self.table.lock();
        let index = *table.by_address.get(&address)?;
        self.entries.entry(index as u32).delegate()?.non_null()
    }
}

/// The address at which native code may call a delegate, always the same for one.
pub fn function_pointer(delegate: ObjectRef) -> Result<usize> {
    let callbacks = &runtime().marshalling.callbacks;
    let known: usize = TRAMPOLINE.get(delegate);
    if known != 0 {
        // A clone has the address of its original.
        if callbacks.delegate_at(known) == Some(delegate) {
            return Ok(known);
        }
    }
    let function = function_of(delegates::invoke_method(delegate.type_id())?)?;
    let mut table = callbacks.table.lock();
    let entry = match callbacks.unused(&mut table) {
        Some(entry) => entry,
        None => callbacks.add(&mut table)?,
    };
    entry.set_delegate(delegate, function);
    let address = entry.address.load(Ordering::Relaxed);
    drop(table);
    TRAMPOLINE.set(delegate, address);
    Ok(address)
}

/// A delegate that calls the function at `pointer`: the one that the pointer was made from, of whatever class, if there is such a one.
pub fn delegate_for(pointer: usize, class: TypeId) -> Result<ObjectRef> {
    match runtime().marshalling.callbacks.delegate_at(pointer) {
        Some(known) => Ok(known),
        None => delegates::over_native(class, pointer),
    }
}

/// The address at which native code may call a method of a COM interface, whose object it passes first.
pub fn com_method_pointer(method: MethodId) -> Result<usize> {
    let callbacks = &runtime().marshalling.callbacks;
    if let Some(&known) = callbacks.table.lock().com_methods.get(&method) {
        return Ok(known);
    }
    let function = function_of(method).map_or(std::ptr::null_mut(), |function| std::ptr::from_ref(function).cast_mut());
    let mut table = callbacks.table.lock();
    let entry = callbacks.add(&mut table)?;
    entry.method.store(method.0, Ordering::Relaxed);
    entry.function.store(function, Ordering::Release);
    let address = entry.address.load(Ordering::Relaxed);
    Ok(*table.com_methods.entry(method).or_insert(address))
}

/// What native code's calls of a method need, found out once.
fn function_of(method: MethodId) -> Result<&'static Function> {
    let functions = &runtime().marshalling.callbacks.functions;
    if let Some(known) = functions.lock().get(&method) {
        return Ok(known);
    }
    let function = find_function(method)?;
    Ok(functions.lock().entry(method).or_insert_with(|| Box::leak(Box::new(function))))
}

fn find_function(method: MethodId) -> Result<Function> {
    let runtime = runtime();
    let signature = super::signature(method)?;
    check_sizes(&signature)?;
    let abi = native_abi(&JitEnv { runtime }, &signature);
    let mut lowered = abi.signature.clone();
    if WORD == 4 {
        split_signature(&mut lowered);
    }
    let layout = runtime.backend.callback_layout(&lowered).map_err(|error| Exception::not_supported(&error.message))?;
    placed(method, signature, &abi, &layout)
}

/// Refuses arrays whose length is to come from what is no number.
fn check_sizes(signature: &NativeSignature) -> Result<()> {
    const NO_NUMBERS: &[Storage] = &[Storage::R4, Storage::R8, Storage::ManagedPointer];
    let is_number = |param: &NativeParam| match &param.conversion {
        Conversion::Same(ty) => runtime()
            .types
            .storage(*ty)
            .is_ok_and(|storage| !NO_NUMBERS.contains(&storage) && !matches!(storage, Storage::Struct { .. })),
        Conversion::Pointer { target, .. } => matches!(**target, Conversion::Same(_)),
        _ => false,
    };
    for param in &signature.params {
        if let Conversion::Array { size_param: Some(index), .. } = param.conversion {
            if !signature.params.get(index as usize).is_some_and(is_number) {
                let message = "SizeParamIndex does not name a parameter that is a number.";
                return Err(Exception::new("System.Runtime.InteropServices", "MarshalDirectiveException", message));
            }
        }
    }
    Ok(())
}

/// The registers or words that hold a value of this type.
fn parts(ty: Type, offset: u32) -> impl Iterator<Item = (u32, u32)> {
    let bytes = ty.bytes(WORD);
    let (count, step) = if ty == Type::I64 && WORD == 4 { (2, WORD) } else { (1, bytes) };
    (0..count).map(move |index| (offset + index * step, step))
}

fn placed(method: MethodId, signature: Arc<NativeSignature>, abi: &AbiSignature, layout: &CallbackLayout) -> Result<Function> {
    let mut places = layout.params.iter().copied();
    let returned = layout.struct_return;
    let struct_return = (abi.result.passing == Passing::Reference).then(|| places.next().map(|place| (place, returned)));
    let mut params = Vec::with_capacity(signature.params.len());
    for (param, passed) in signature.params.iter().zip(&abi.params) {
        let is_same = matches!(param.conversion, Conversion::Same(_));
        let managed_bytes = managed_bytes(param.ty)?;
        params.push(Param {
            moves: moves(passed, &mut places),
            native_words: words(param.form.size.max(if is_same { managed_bytes } else { 0 })),
            managed_words: if is_same { 0 } else { words(managed_bytes) },
            target_words: target_type(param).map_or(Ok(0), |ty| self::managed_bytes(ty).map(words))?,
        });
    }
    let result = moves(&abi.result, &mut layout.results.iter().copied());
    let result_words = words(managed_bytes(signature.result.ty)?);
    let arguments = params.iter().map(|param| param.native_words + param.managed_words + param.target_words);
    let words = arguments.sum::<usize>() + result_words + words(signature.result.form.size);
    let shape = methods::call_shape(method)?;
    let struct_return = struct_return.flatten();
    let is_small = |param: &NativeParam| param.form.size <= PLAIN_BYTES && matches!(param.conversion, Conversion::Same(_));
    let is_plain = struct_return.is_none()
        && params.len() <= PLAIN_PARAMS
        && signature.params.iter().all(is_small)
        && (signature.result.ty == TypeId::VOID || is_small(&signature.result));
    Ok(Function { method, signature, is_plain, shape, params, result, result_words, words, struct_return, ending: layout.ending })
}

fn moves(passed: &Passed, places: &mut impl Iterator<Item = u32>) -> Vec<Move> {
    let mut list = Vec::new();
    let mut add = |ty: Type, offset: u32| {
        for ((value, bytes), area) in parts(ty, offset).zip(&mut *places) {
            list.push(Move { area, value, bytes });
        }
    };
    match (&passed.passing, passed.storage) {
        (Passing::Scalar(access), _) => add(access.value_type(), 0),
        (Passing::Pieces(pieces), _) => pieces.iter().for_each(|&(ty, offset)| add(ty, offset)),
        (Passing::Stack, Storage::Struct { size, .. }) => {
            list.extend(places.next().map(|area| Move { area, value: 0, bytes: size }));
        }
        _ => {}
    }
    list
}

/// Native code calls the delegate with this number: `area` holds what it passed and takes the result. Gives what the stub wants to know
/// for its return.
pub(crate) extern "C" fn enter(number: usize, area: *mut u8) -> usize {
    let thread = Thread::attach_for_callback();
    let suspended = thread.heap().suspend_native();
    // SAFETY: the stub of the delegate's number saved its arguments.
    match unsafe { run(number, area) } {
        Ok(ending) => {
            Thread::current().heap().resume_native(suspended);
            ending
        }
        Err(exception) if Thread::current().last_managed_sp == 0 => unhandled::report_and_exit(exception.into_object()),
        // Abandons the native frames down to the managed ones that called them.
        Err(exception) => exceptions::raise(exception),
    }
}

/// The arguments of a call in progress.
pub(super) type Arguments = SmallVec<[Argument; 6]>;

/// A managed argument of a call in progress.
pub(super) struct Argument {
    /// Where the argument is: the native value itself if it is the same in managed code.
    pub(super) managed: *mut u8,
    /// Where the value is that a `ref` argument refers to, if it was converted.
    target: *mut u8,
    /// The native value.
    pub(super) native: *mut u8,
}

unsafe fn run(index: usize, area: *mut u8) -> Result<usize> {
    let entry = runtime().marshalling.callbacks.entries.get(index as u32);
    let entry = entry.ok_or_else(|| Exception::engine("a callback that does not exist"))?;
    let delegate = entry.delegate();
    // SAFETY: null or a function, which are kept for good.
    let function = unsafe { entry.function.load(Ordering::Relaxed).as_ref() };
    // SAFETY: null or a domain, which are kept for good.
    let domain = unsafe { entry.domain.load(Ordering::Relaxed).as_ref() };
    match (delegate, function, domain) {
        (Some(delegate), Some(function), Some(domain)) => {
            // SAFETY: the caller's promise.
            domain::enter(domain, || unsafe { call(function, delegate, area) })
        }
        _ => {
            let method = MethodId(entry.method.load(Ordering::Relaxed));
            let function = function.map_or_else(|| function_of(method), Ok)?;
            // SAFETY: likewise.
            unsafe { com_callbacks::run(function, area) }
        }
    }
}

/// Calls the delegate with what lies in the stub's area.
unsafe fn call(function: &Function, delegate: ObjectRef, area: *mut u8) -> Result<usize> {
    if delegate.is_null() {
        unhandled::fatal("native code called a delegate that has been collected");
    }
    let signature = &function.signature;
    if function.is_plain {
        // SAFETY: the caller's promise.
        return unsafe { call_plain(function, delegate, area) };
    }
    let mut memory = StructureArea::default();
    memory.reserve(function.words);
    // SAFETY: the caller's promise.
    let arguments = unsafe { take_arguments(function, area, &mut memory) };
    // SAFETY: each argument has memory for both of its forms.
    unsafe {
        for (param, argument) in signature.params.iter().zip(&arguments) {
            convert(signature, param, argument, &arguments)?;
        }
        let result = memory.take(function.result_words).cast::<u8>();
        let this = delegate.raw();
        let mut addresses: SmallVec<[*const u8; 8]> = smallvec![(&raw const this).cast::<u8>()];
        addresses.extend(arguments.iter().map(|argument| argument.managed.cast_const()));
        call_from_native(function.shape, delegates::INVOKE.get(delegate), &addresses, result)?;
        for (param, argument) in signature.params.iter().zip(&arguments) {
            if param.output {
                bring_back(param, argument)?;
            }
            clean_up(&param.conversion, argument.managed)?;
        }
        give_result(function, result, area, &mut memory)?;
        clean_up(&signature.result.conversion, result)?;
    }
    Ok(function.ending)
}

/// Likewise, where nothing has to be converted.
unsafe fn call_plain(function: &Function, delegate: ObjectRef, area: *mut u8) -> Result<usize> {
    let this = delegate.raw();
    let mut values = [0u64; PLAIN_PARAMS];
    let mut addresses = [(&raw const this).cast::<u8>(); 1 + PLAIN_PARAMS];
    for (index, param) in function.params.iter().enumerate() {
        let value = (&raw mut values[index]).cast::<u8>();
        addresses[1 + index] = value;
        // SAFETY: the layout's offsets lie in the stub's area or the caller's arguments; a value is at most as large as its place.
        unsafe { copy_parts(&param.moves, value, PLAIN_BYTES, |part| (area.add(part.area as usize), true)) };
    }
    let mut result = 0u64;
    let native = (&raw mut result).cast::<u8>();
    // SAFETY: the arguments are those of the signature, and the result fits.
    unsafe {
        call_from_native(function.shape, delegates::INVOKE.get(delegate), &addresses[..=function.params.len()], native)?;
        widen(&function.signature.result, native);
        copy_parts(&function.result, native, PLAIN_BYTES, |part| (area.add(part.area as usize), false));
    }
    Ok(function.ending)
}

/// The arguments in the stub's area, with memory for their managed forms.
///
/// # Safety
/// The stub saved arguments of the function's signature.
pub(super) unsafe fn take_arguments(function: &Function, area: *mut u8, memory: &mut StructureArea) -> Arguments {
    let params = function.signature.params.iter().zip(&function.params);
    let take = |(native_param, param): (&NativeParam, &Param)| {
        let native = memory.take(param.native_words).cast::<u8>();
        let size = native_param.form.size;
        // SAFETY: the layout's offsets lie in the stub's area or the caller's arguments; the value has room for its parts.
        unsafe { copy_parts(&param.moves, native, size, |part| (area.add(part.area as usize), true)) };
        let managed = if param.managed_words == 0 { native } else { memory.take(param.managed_words).cast::<u8>() };
        let target = match param.target_words {
            0 => std::ptr::null_mut(),
            words => memory.take(words).cast::<u8>(),
        };
        Argument { managed, target, native }
    };
    params.map(take).collect()
}

/// The type behind a `ref` argument that has to be converted.
fn target_type(param: &NativeParam) -> Option<TypeId> {
    match &param.conversion {
        Conversion::Pointer { target, by_ref: true } if !matches!(**target, Conversion::Same(_)) => {
            runtime().types.element_type(param.ty)
        }
        _ => None,
    }
}

pub(super) fn managed_bytes(ty: TypeId) -> Result<u32> {
    let types = &runtime().types;
    Ok(types.storage(ty)?.size(types.layout()))
}

/// Words of 8 bytes that hold so many bytes and can be read in whole registers up to the end.
pub(super) fn words(bytes: u32) -> usize {
    bytes as usize / size_of::<u64>() + 1
}

/// Copies parts of a value of `size` bytes; `place` gives the other side and whether that is the source.
unsafe fn copy_parts(moves: &[Move], value: *mut u8, size: u32, place: impl Fn(&Move) -> (*mut u8, bool)) {
    for part in moves {
        let bytes = part.bytes.min(size.saturating_sub(part.value)) as usize;
        let (other, inwards) = place(part);
        // SAFETY: the caller's promise.
        unsafe {
            let value = value.add(part.value as usize);
            let (from, to) = if inwards { (other, value) } else { (value, other) };
            match bytes {
                // Registers, without a call.
                4 => to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned()),
                8 => to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned()),
                _ => std::ptr::copy_nonoverlapping(from, to, bytes),
            }
        }
    }
}

pub(super) unsafe fn convert(
    signature: &NativeSignature,
    param: &NativeParam,
    argument: &Argument,
    arguments: &[Argument],
) -> Result<()> {
    let (native, managed) = (argument.native, argument.managed);
    // SAFETY: the caller's promise; native code passes values of the signature.
    unsafe {
        match &param.conversion {
            Conversion::Same(_) => Ok(()),
            Conversion::Array { element, element_type, size_param, count } => {
                let address = native.cast::<*const u8>().read();
                if size_param.is_none() && count.is_none() {
                    return to_managed(&param.conversion, native, managed);
                }
                if address.is_null() {
                    return Ok(());
                }
                let other = size_param.and_then(|index| Some((signature.params.get(index as usize)?, index as usize)));
                let counted = other.map_or(0, |(param, index)| number(param, arguments[index].native));
                let array = managed_array(element, *element_type, address, counted + count.unwrap_or(0) as usize)?;
                managed.cast::<ObjectRef>().write(array.object());
                Ok(())
            }
            Conversion::Pointer { target, by_ref: true } if !argument.target.is_null() => {
                let address = native.cast::<*const u8>().read();
                if address.is_null() && param.input && matches!(**target, Conversion::ClassPointer(_)) {
                    return Err(Exception::argument_null("ptr"));
                }
                let is_reference = |ty| runtime().types.storage(ty).is_ok_and(|storage| storage == Storage::Ref);
                if address.is_null() && target_type(param).is_some_and(is_reference) {
                    managed.cast::<*mut u8>().write(argument.target);
                }
                if address.is_null() {
                    return Ok(());
                }
                managed.cast::<*mut u8>().write(argument.target);
                if param.input { to_managed(target, address, argument.target) } else { Ok(()) }
            }
            conversion => to_managed(conversion, native, managed),
        }
    }
}

/// Tells a custom marshaler that its object is not needed any more.
pub(super) unsafe fn clean_up(conversion: &Conversion, managed: *const u8) -> Result<()> {
    if let Conversion::Custom { .. } = conversion {
        // SAFETY: the caller's promise: there is a reference.
        let object = unsafe { managed.cast::<ObjectRef>().read() };
        if !object.is_null() {
            custom::clean_up_managed(conversion, object)?;
        }
    }
    Ok(())
}

/// Writes what the delegate changed.
pub(super) unsafe fn bring_back(param: &NativeParam, argument: &Argument) -> Result<()> {
    // SAFETY: the caller's promise; native code passes addresses that may be written to where a value comes back.
    unsafe {
        let address = argument.native.cast::<*mut u8>().read();
        if address.is_null() {
            return Ok(());
        }
        let object = || argument.managed.cast::<ObjectRef>().read().non_null();
        match &param.conversion {
            Conversion::Pointer { target, by_ref: true } if !argument.target.is_null() => {
                to_native(target, argument.target, address, true)?;
                give_reference(target, address);
                Ok(())
            }
            Conversion::ClassPointer(_) => object().map_or(Ok(()), |object| object_to_native(object, address)),
            Conversion::Array { element, element_type, .. } => match object().and_then(ObjectRef::as_array) {
                Some(array) => elements_to_native(element, *element_type, array, address, array.len()),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

pub(super) unsafe fn give_result(
    function: &Function,
    managed: *const u8,
    area: *mut u8,
    memory: &mut StructureArea,
) -> Result<()> {
    let result = &function.signature.result;
    if result.ty == TypeId::VOID {
        return Ok(());
    }
    // SAFETY: the caller's promise; the caller of the callback gave room for a structure.
    unsafe {
        if let Some((place, returned)) = function.struct_return {
            let address = area.add(place as usize).cast::<*mut u8>().read_unaligned();
            to_native(&result.conversion, managed, address, true)?;
            area.add(returned as usize).cast::<*mut u8>().write_unaligned(address);
            return Ok(());
        }
        let native = memory.take(words(result.form.size)).cast::<u8>();
        if let Conversion::Same(_) = result.conversion {
            std::ptr::copy_nonoverlapping(managed, native, result.form.size as usize);
        } else {
            to_native(&result.conversion, managed, native, true)?;
            give_reference(&result.conversion, native);
        }
        // Callers may look at the whole register of a narrow result.
        widen(result, native);
        let size = words(result.form.size) as u32 * size_of::<u64>() as u32;
        copy_parts(&function.result, native, size, |part| (area.add(part.area as usize), false));
    }
    Ok(())
}

/// The caller owns a reference to each COM object that comes back to it.
///
/// # Safety
/// There is the native form of such a value.
pub(super) unsafe fn give_reference(conversion: &Conversion, native: *const u8) {
    if let Conversion::Interface(_) = conversion {
        // SAFETY: the caller's promise.
        unsafe {
            let interface = native.cast::<usize>().read_unaligned();
            if interface != 0 {
                com::add_reference(interface);
            }
        }
    }
}

/// Fills a whole 32-bit register from a narrow integer.
///
/// # Safety
/// There is a result at `native`, with room for a register.
unsafe fn widen(result: &NativeParam, native: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = match result.form.storage {
            Storage::I1 => i32::from(native.cast::<i8>().read()),
            Storage::U1 => i32::from(native.read()),
            Storage::I2 => i32::from(native.cast::<i16>().read()),
            Storage::U2 => i32::from(native.cast::<u16>().read()),
            _ => return,
        };
        native.cast::<i32>().write(value);
    }
}
