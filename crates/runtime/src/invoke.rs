//! Calling managed code from the runtime: `Main`, class initialisers, reflection. An exception that leaves it comes back as an error.
//!
//! How the arguments of a method travel is found out once, as a [`CallShape`], which the method's record knows from then on.

use crate::emit::releasing;
use crate::exceptions::{Exception, Result};
use crate::icalls::typed_references::empty_list;
use crate::jit_env::JitEnv;
use crate::object::ObjectRef;
use crate::stack_walk::Activation;
use crate::thread::{ROOT_EXCEPTION, Thread};
use crate::{methods, runtime};
use compiler::signature::{Passed, Passing, method_signature, takes_argument_list};
use il::types::MethodId;
use ir::Type;
use ir::types::Access;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};
use std::sync::LazyLock;

/// An argument of at most a word: a reference, a pointer, an integer, or a float by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Argument(u64);

impl Argument {
    /// A reference.
    pub fn reference(object: ObjectRef) -> Argument {
        Argument(object.raw() as u64)
    }
    /// An integer or pointer.
    pub fn integer(value: i64) -> Argument {
        Argument(value as u64)
    }
}

const WORD: usize = size_of::<usize>();

/// How the arguments and the result of a call travel. There is one object for all methods that are called alike, kept for good.
#[derive(PartialEq, Eq, Hash)]
pub struct CallShape {
    /// Arguments with `this` first.
    params: Vec<Place>,
    result: Place,
    has_this: bool,
    /// Whether an argument list comes last that the runtime's own calls leave empty.
    takes_list: bool,
    /// Words for the structures that are passed by address.
    area: usize,
}

/// A value as calls see it.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    passing: Passing,
    /// In bytes.
    size: usize,
}

impl Place {
    fn new(passed: &Passed) -> Place {
        Place { passing: passed.passing.clone(), size: passed.storage.size(runtime().types.layout()) as usize }
    }

    fn is_by_address(&self) -> bool {
        matches!(self.passing, Passing::Reference | Passing::Stack)
    }
}

static SHAPES: LazyLock<Mutex<FxHashSet<&'static CallShape>>> = LazyLock::new(Mutex::default);

impl CallShape {
    /// The shape of calls of a method's code. [`methods::call_shape`] remembers it.
    pub fn of(method: MethodId) -> Result<&'static CallShape> {
        let runtime = runtime();
        let abi = method_signature(&JitEnv { runtime }, runtime.types.canonical_method(method))?;
        let params: Vec<Place> = abi.params.iter().map(Place::new).collect();
        let result = Place::new(&abi.result);
        let by_address = params.iter().chain([&result]).filter(|place| place.is_by_address());
        let area = by_address.map(|place| room_for(place.size)).sum();
        let takes_list = takes_argument_list(&runtime.types, method)?;
        let shape = CallShape { params, result, has_this: abi.has_this, takes_list, area };
        let mut shapes = SHAPES.lock();
        if let Some(known) = shapes.get(&shape) {
            return Ok(known);
        }
        let shape: &'static CallShape = Box::leak(Box::new(shape));
        shapes.insert(shape);
        Ok(shape)
    }
}

/// As many argument registers as no back end exceeds, of each kind.
const MOST_REGISTERS: usize = 8;
/// What follows the integer registers: the generic context and the key of an interface call.
const CONTEXT_REGISTERS: usize = 2;

/// What is placed for a call.
#[derive(Default)]
struct Placed {
    integers: [usize; MOST_REGISTERS + CONTEXT_REGISTERS],
    integer_count: usize,
    floats: [u64; MOST_REGISTERS],
    float_count: usize,
    stack: SmallVec<[usize; 8]>,
}

struct Limits {
    integers: usize,
    floats: usize,
}

impl Placed {
    #[inline]
    fn push(&mut self, limits: &Limits, ty: Type, bits: u64) {
        let is_float = is_float(ty);
        if is_float && self.float_count < limits.floats {
            self.floats[self.float_count] = bits;
            self.float_count += 1;
            return;
        }
        for part in words_of(ty, bits) {
            if !is_float && self.integer_count < limits.integers {
                self.integers[self.integer_count] = part;
                self.integer_count += 1;
            } else {
                self.stack.push(part);
            }
        }
    }
}

fn is_float(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V128)
}

/// The words that hold a value: one, or low and high word of 64 bits on a 32-bit machine.
fn words_of(ty: Type, bits: u64) -> impl Iterator<Item = usize> {
    let count = (ty.bytes(WORD as u32) as usize).div_ceil(WORD);
    (0..count.min(size_of::<u64>() / WORD)).map(move |index| (bits >> (8 * WORD * index)) as usize)
}

/// Reads a value as a location of this access holds it, widened.
///
/// # Safety
/// There is such a value.
unsafe fn load(access: Access, address: *const u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match access {
            Access::I8 => address.cast::<i8>().read() as i64 as u64,
            Access::U8 => u64::from(address.read()),
            Access::I16 => address.cast::<i16>().read_unaligned() as i64 as u64,
            Access::U16 => u64::from(address.cast::<u16>().read_unaligned()),
            Access::Full(ty) => match ty.bytes(WORD as u32) {
                4 => u64::from(address.cast::<u32>().read_unaligned()),
                _ => address.cast::<u64>().read_unaligned(),
            },
        }
    }
}

/// Writes the low bytes of a result.
///
/// # Safety
/// There is room for a value of this access.
unsafe fn store(access: Access, address: *mut u8, bits: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        match access.bytes(WORD as u32) {
            1 => address.write(bits as u8),
            2 => address.cast::<u16>().write_unaligned(bits as u16),
            4 => address.cast::<u32>().write_unaligned(bits as u32),
            _ => address.cast::<u64>().write_unaligned(bits),
        }
    }
}

/// Calls `code`, the code of `method`, with the values that `args` point to (`this` first) and stores the result at `result`.
///
/// # Safety
/// The arguments are of the method's types; `result` has room for its result, or may be anything for `void`.
pub unsafe fn call_code(
    method: MethodId,
    code: usize,
    context: Option<usize>,
    args: &[*const u8],
    result: *mut u8,
) -> Result<()> {
    let shape = methods::call_shape(method)?;
    if shape.takes_list {
        let list = empty_list();
        let mut args: SmallVec<[*const u8; 8]> = SmallVec::from_slice(args);
        args.push((&raw const list).cast());
        // SAFETY: the caller's promise.
        return unsafe { call_with(shape, code, context, &args, result, false) };
    }
    // SAFETY: the caller's promise.
    unsafe { call_with(shape, code, context, args, result, false) }
}

/// Likewise calls `code`, that of a delegate's `Invoke`, for native code.
///
/// # Safety
/// As for [`call_code`].
pub unsafe fn call_from_native(invoke: &CallShape, code: usize, args: &[*const u8], result: *mut u8) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { call_with(invoke, code, None, args, result, true) }
}

unsafe fn call_with(
    shape: &CallShape,
    code: usize,
    context: Option<usize>,
    args: &[*const u8],
    result: *mut u8,
    from_native: bool,
) -> Result<()> {
    let runtime = runtime();
    if args.len() != shape.params.len() {
        return Err(Exception::engine("a method was called with another number of arguments"));
    }
    let registers = runtime.backend.entry_registers();
    let limits = Limits { integers: registers.integers as usize, floats: registers.floats as usize };
    let mut placed = Placed::default();
    let mut area = StructureArea::default();
    if shape.area > 0 {
        area.reserve(shape.area);
    }
    // Compiled code takes the place of a result for part of a frame and uses no write barrier, so it may not be an object.
    let result_place = match shape.result.passing {
        Passing::Reference => area.take(room_for(shape.result.size)),
        _ => std::ptr::null_mut(),
    };
    let hidden_place = usize::from(shape.has_this);
    for index in 0..=shape.params.len() {
        if index == hidden_place && shape.result.passing == Passing::Reference {
            placed.push(&limits, Type::Iptr, result_place as u64);
        }
        let (Some(param), Some(&address)) = (shape.params.get(index), args.get(index)) else { break };
        match &param.passing {
            Passing::Nothing => {}
            // SAFETY: the caller's promise.
            Passing::Scalar(access) => placed.push(&limits, access.value_type(), unsafe { load(*access, address) }),
            Passing::Pieces(pieces) => {
                let copy = copy_of(param.size, address);
                for &(ty, offset) in pieces {
                    // SAFETY: the copy is readable in whole words.
                    let bits = unsafe { load(Access::Full(ty), copy.as_ptr().cast::<u8>().add(offset as usize)) };
                    placed.push(&limits, ty, bits);
                }
            }
            // Structures passed by address belong to the callee: it gets copies.
            Passing::Reference | Passing::Stack => {
                let copy = area.take(room_for(param.size));
                // SAFETY: the copy is at least as large as the value, whose address the caller gave.
                unsafe { std::ptr::copy_nonoverlapping(address, copy.cast::<u8>(), param.size) };
                placed.push(&limits, Type::Mptr, copy as u64);
            }
        }
    }
    placed.integers[limits.integers] = context.unwrap_or(0);
    let mut results = [0u64; 4];
    // SAFETY: the arguments are placed as the code's convention wants them.
    unsafe { enter(code, &placed, &mut results, from_native)? };
    // SAFETY: the caller's promise.
    unsafe {
        match shape.result.passing {
            Passing::Reference => {
                std::ptr::copy_nonoverlapping(result_place.cast::<u8>(), result, shape.result.size);
            }
            _ => store_result(shape, &results, result),
        }
    }
    Ok(())
}

/// Memory for structures that are passed by address. The collector finds the references in it: as long as it is small because it lies
/// on the stack, else because it is told.
#[derive(Default)]
pub(crate) struct StructureArea {
    memory: SmallVec<[u64; 32]>,
    used: usize,
}

impl StructureArea {
    /// Makes room for so many words, once. Then the area may not be moved any more.
    pub(crate) fn reserve(&mut self, words: usize) {
        self.memory.resize(words, 0);
        if self.memory.spilled() {
            let start = self.memory.as_ptr() as usize;
            // SAFETY: it stays there until it is dropped.
            unsafe { Thread::current().heap().add_ambiguous_range(start..start + words * size_of::<u64>()) };
        }
    }

    /// The next `words` words.
    pub(crate) fn take(&mut self, words: usize) -> *mut u64 {
        let taken = &mut self.memory[self.used..self.used + words];
        self.used += words;
        taken.as_mut_ptr()
    }
}

impl Drop for StructureArea {
    fn drop(&mut self) {
        if self.memory.spilled() {
            Thread::current().heap().remove_ambiguous_range();
        }
    }
}

/// Number of 64-bit words that hold a value of `size` bytes and can be read in whole registers up to its end.
fn room_for(size: usize) -> usize {
    size.div_ceil(size_of::<u64>()) + 1
}

fn copy_of(size: usize, address: *const u8) -> SmallVec<[u64; 8]> {
    let mut copy: SmallVec<[u64; 8]> = smallvec![0; room_for(size)];
    // SAFETY: the caller of `call_code` gave the address of a value of this size.
    unsafe { std::ptr::copy_nonoverlapping(address, copy.as_mut_ptr().cast::<u8>(), size) };
    copy
}

/// Result registers as `EnterManaged` stored them: integer words, then floats.
struct Results<'a> {
    integers: &'a [u64],
    floats: &'a [u64],
}

impl Results<'_> {
    /// The next piece of this type.
    fn take(&mut self, ty: Type) -> u64 {
        let (registers, count) = match is_float(ty) {
            true => (&mut self.floats, 1),
            false => (&mut self.integers, (ty.bytes(WORD as u32) as usize).div_ceil(WORD)),
        };
        let (taken, rest) = registers.split_at(count.min(registers.len()));
        *registers = rest;
        // The registers of a value of several are words, low first.
        taken.iter().enumerate().fold(0, |bits, (index, &word)| bits | word << (8 * WORD * index))
    }
}

unsafe fn store_result(shape: &CallShape, results: &[u64; 4], result: *mut u8) {
    let mut results = Results { integers: &results[..2], floats: &results[2..] };
    match &shape.result.passing {
        Passing::Scalar(access) => {
            // SAFETY: the caller's promise.
            unsafe { store(*access, result, results.take(access.value_type())) };
        }
        Passing::Pieces(pieces) => {
            let size = shape.result.size;
            let mut whole: SmallVec<[u64; 8]> = smallvec![0u64; room_for(size)];
            for &(ty, offset) in pieces {
                // SAFETY: pieces lie in the structure, which the copy holds in whole words.
                unsafe { store(Access::Full(ty), whole.as_mut_ptr().cast::<u8>().add(offset as usize), results.take(ty)) };
            }
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(whole.as_ptr().cast::<u8>(), result, size) };
        }
        _ => {}
    }
}

unsafe fn enter(code: usize, placed: &Placed, results: &mut [u64; 4], from_native: bool) -> Result<()> {
    let thread = Thread::current();
    let (managed_sp, managed_pc) = (thread.last_managed_sp, thread.last_managed_pc);
    let activation = Activation { previous: thread.activation, managed_sp, managed_pc, from_native, filter: thread.filter };
    thread.filter = std::ptr::null();
    thread.activation = &activation;
    let (integers, floats, stack) = (placed.integers.as_ptr(), placed.floats.as_ptr(), placed.stack.as_ptr());
    // SAFETY: the caller's promise; the stub restores what native code relies on.
    unsafe {
        (runtime().stubs().enter)(code, thread, integers, floats, stack, placed.stack.len(), results.as_mut_ptr());
    }
    let thread = Thread::current();
    thread.activation = activation.previous;
    thread.filter = activation.filter;
    thread.last_managed_pc = activation.managed_pc;
    let target = thread.passing_target.take();
    let exception = thread.root(ROOT_EXCEPTION);
    if exception.is_null() {
        return Ok(());
    }
    thread.set_root(ROOT_EXCEPTION, ObjectRef::NULL);
    Err(Exception::passing(exception, target))
}

/// Calls an exact method with the values that `args` point to, `this` first (of a value type: its address); stores the result.
///
/// # Safety
/// As for [`call_code`].
pub unsafe fn call_raw(method: MethodId, args: &[*const u8], result: *mut u8) -> Result<()> {
    let code = methods::code(method)?;
    let context = methods::context_argument(method)?;
    // SAFETY: the caller's promise.
    unsafe { call_code(method, code, context, args, result) }
}

/// Calls an exact method all of whose arguments are words, and gives its result if that is a word: a reference, a pointer, an integer.
pub fn call(method: MethodId, args: &[Argument]) -> Result<usize> {
    releasing::keeping(method, || {
        let code = methods::code(method)?;
        let context = methods::context_argument(method)?;
        call_words(method, code, context, args)
    })
}

/// Calls what a virtual call of `method` on `this` reaches, likewise.
pub fn call_virtual(method: MethodId, this: ObjectRef, args: &[Argument]) -> Result<usize> {
    let code = methods::virtual_code(this, method)?;
    let all: SmallVec<[Argument; 4]> = std::iter::once(Argument::reference(this)).chain(args.iter().copied()).collect();
    call_words(method, code, None, &all)
}

fn call_words(method: MethodId, code: usize, context: Option<usize>, args: &[Argument]) -> Result<usize> {
    let addresses: SmallVec<[*const u8; 4]> = args.iter().map(|argument| (&raw const argument.0).cast()).collect();
    let mut result = [0u64; 2];
    // SAFETY: the caller knows the method; words hold any scalar.
    unsafe { call_code(method, code, context, &addresses, result.as_mut_ptr().cast())? };
    Ok(result[0] as usize)
}
