//! Calling managed code from the runtime: `Main`, class initialisers, reflection. An exception that leaves it comes back as an error.

use crate::exceptions::{Exception, Result};
use crate::jit_env::JitEnv;
use crate::object::ObjectRef;
use crate::stack_walk::Activation;
use crate::thread::{ROOT_EXCEPTION, Thread};
use crate::{methods, runtime};
use compiler::signature::{AbiSignature, Passing, method_signature};
use il::types::{MethodId, Storage};
use ir::Type;
use ir::types::Access;
use smallvec::SmallVec;

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

/// What is placed for a call.
#[derive(Default)]
struct Placed {
    integers: SmallVec<[u64; 10]>,
    floats: SmallVec<[u64; 8]>,
    stack: SmallVec<[u64; 8]>,
}

struct Limits {
    integers: usize,
    floats: usize,
}

impl Placed {
    fn push(&mut self, limits: &Limits, ty: Type, bits: u64) {
        let (registers, limit) = match ty {
            Type::F32 | Type::F64 | Type::V128 => (&mut self.floats, limits.floats),
            _ if self.integers.len() < limits.integers => {
                self.integers.push(bits);
                return;
            }
            _ => {
                self.stack.push(bits);
                return;
            }
        };
        if registers.len() < limit { registers.push(bits) } else { self.stack.push(bits) }
    }
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
            Access::Full(ty) => match ty.bytes(size_of::<usize>() as u32) {
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
    // SAFETY: the caller's promise; the low bytes come first on all supported hosts.
    unsafe {
        let size = access.bytes(size_of::<usize>() as u32) as usize;
        std::ptr::copy_nonoverlapping((&raw const bits).cast::<u8>(), address, size);
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
    let runtime = runtime();
    let abi = method_signature(&JitEnv { runtime }, runtime.types.canonical_method(method))?;
    // SAFETY: the caller's promise.
    unsafe { call_with(&abi, code, context, args, result) }
}

unsafe fn call_with(abi: &AbiSignature, code: usize, context: Option<usize>, args: &[*const u8], result: *mut u8) -> Result<()> {
    let runtime = runtime();
    if args.len() != abi.params.len() {
        return Err(Exception::engine("a method was called with another number of arguments"));
    }
    let registers = runtime.backend.entry_registers();
    let limits = Limits { integers: registers.integers as usize, floats: registers.floats as usize };
    let mut placed = Placed::default();
    // Structures passed by address belong to the callee: it gets copies.
    let mut copies: SmallVec<[Vec<u64>; 2]> = SmallVec::new();
    let hidden_place = usize::from(abi.has_this);
    for index in 0..=abi.params.len() {
        if index == hidden_place && abi.result.passing == Passing::Reference {
            placed.push(&limits, Type::Iptr, result as u64);
        }
        let Some(param) = abi.params.get(index) else { break };
        let address = args[index];
        match &param.passing {
            Passing::Nothing => {}
            // SAFETY: the caller's promise.
            Passing::Scalar(access) => placed.push(&limits, access.value_type(), unsafe { load(*access, address) }),
            Passing::Pieces(pieces) => {
                let copy = copy_of(param.storage, address);
                for &(ty, offset) in pieces {
                    // SAFETY: the copy is readable in whole words.
                    let bits = unsafe { load(Access::Full(ty), copy.as_ptr().cast::<u8>().add(offset as usize)) };
                    placed.push(&limits, ty, bits);
                }
            }
            Passing::Reference | Passing::Stack => {
                let copy = copy_of(param.storage, address);
                placed.push(&limits, Type::Mptr, copy.as_ptr() as u64);
                copies.push(copy);
            }
        }
    }
    placed.integers.resize(limits.integers, 0);
    placed.integers.push(context.unwrap_or(0) as u64);
    placed.integers.push(0);
    placed.floats.resize(limits.floats.max(1), 0);
    let mut results = [0u64; 4];
    // SAFETY: the arguments are placed as the code's convention wants them.
    unsafe { enter(code, &placed, &mut results)? };
    drop(copies);
    // SAFETY: the caller's promise.
    unsafe { store_result(abi, &results, result) };
    Ok(())
}

fn copy_of(storage: Storage, address: *const u8) -> Vec<u64> {
    let size = storage.size(runtime().types.layout()) as usize;
    let mut copy = vec![0u64; size.div_ceil(8) + 1];
    // SAFETY: the caller of `call_code` gave the address of a value of this size.
    unsafe { std::ptr::copy_nonoverlapping(address, copy.as_mut_ptr().cast::<u8>(), size) };
    copy
}

unsafe fn store_result(abi: &AbiSignature, results: &[u64; 4], result: *mut u8) {
    let is_float = |ty: Type| matches!(ty, Type::F32 | Type::F64);
    match &abi.result.passing {
        Passing::Scalar(access) => {
            let bits = results[if is_float(access.value_type()) { 2 } else { 0 }];
            // SAFETY: the caller's promise.
            unsafe { store(*access, result, bits) };
        }
        Passing::Pieces(pieces) => {
            let size = abi.result.storage.size(runtime().types.layout()) as usize;
            let mut whole = vec![0u64; size.div_ceil(8) + 1];
            let (mut integers, mut floats) = (0, 2);
            for &(ty, offset) in pieces {
                let next = if is_float(ty) { &mut floats } else { &mut integers };
                // SAFETY: pieces lie in the structure, which the copy holds in whole words.
                unsafe { store(Access::Full(ty), whole.as_mut_ptr().cast::<u8>().add(offset as usize), results[*next]) };
                *next += 1;
            }
            // SAFETY: the caller's promise.
            unsafe { std::ptr::copy_nonoverlapping(whole.as_ptr().cast::<u8>(), result, size) };
        }
        _ => {}
    }
}

unsafe fn enter(code: usize, placed: &Placed, results: &mut [u64; 4]) -> Result<()> {
    let thread = Thread::current();
    let activation =
        Activation { previous: thread.activation, managed_sp: thread.last_managed_sp, managed_pc: thread.last_managed_pc };
    let filter = thread.filter;
    thread.filter = std::ptr::null();
    thread.activation = &activation;
    let (integers, floats, stack) = (placed.integers.as_ptr(), placed.floats.as_ptr(), placed.stack.as_ptr());
    // SAFETY: the caller's promise; the stub restores what native code relies on.
    unsafe {
        (runtime().stubs().enter)(code, thread, integers, floats, stack, placed.stack.len(), results.as_mut_ptr());
    }
    let thread = Thread::current();
    thread.activation = activation.previous;
    thread.filter = filter;
    thread.last_managed_pc = activation.managed_pc;
    let exception = thread.root(ROOT_EXCEPTION);
    if exception.is_null() {
        return Ok(());
    }
    thread.set_root(ROOT_EXCEPTION, ObjectRef::NULL);
    Err(Exception::from_object(exception))
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
    let code = methods::code(method)?;
    let context = methods::context_argument(method)?;
    call_words(method, code, context, args)
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
