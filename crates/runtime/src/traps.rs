//! Faults in compiled code become exceptions: a signal handler on a stack of its own finds the trap site of the faulting instruction and
//! lets the thread go on in a routine that throws. Faults anywhere else end the process.

use crate::exceptions::Exception;
use crate::stack_walk::Walk;
use crate::thread::Thread;
use crate::{Runtime, abort, stack_guard, unwind};
use ir::instruction::TrapCode;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Bytes of the alternate signal stack.
const SIGNAL_STACK_BYTES: usize = 64 << 10;
/// Faults this far below the stack pointer or around the end of the stack mean that the stack is used up, in bytes.
const STACK_GUARD_BYTES: usize = 256 << 10;

static RUNTIME: AtomicPtr<Runtime> = AtomicPtr::new(std::ptr::null_mut());

/// Installs the handlers.
pub fn install(runtime: &'static Runtime) {
    RUNTIME.store(std::ptr::from_ref(runtime).cast_mut(), Ordering::Release);
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP] {
        // SAFETY: a zeroed sigaction with handler and flags set is valid; the handler is async-signal-safe up to where it ends the process.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fault as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Gives the current thread a stack for signal handlers, in `memory`, which is to stay until [`leave_alternate_stack`].
pub fn use_alternate_stack(memory: &mut Vec<u64>) {
    memory.resize(SIGNAL_STACK_BYTES / 8, 0);
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIGNAL_STACK_BYTES };
    // SAFETY: memory of that size, which stays.
    unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
}

/// From now on signal handlers run on the current thread's own stack.
pub fn leave_alternate_stack() {
    let stack = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: takes the alternate stack away; no handler runs on it here.
    unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
}

/// Program counter, frame pointer and stack pointer of a context.
#[cfg(target_arch = "x86_64")]
pub fn registers(context: &libc::ucontext_t) -> (usize, usize, usize) {
    let registers = &context.uc_mcontext.gregs;
    let register = |index: libc::c_int| registers[index as usize] as usize;
    (register(libc::REG_RIP), register(libc::REG_RBP), register(libc::REG_RSP))
}

/// Makes the thread go on in `routine` with a pointer argument, on its own stack below `sp`.
#[cfg(target_arch = "x86_64")]
fn redirect(context: &mut libc::ucontext_t, routine: usize, argument: usize, sp: usize) {
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_RIP as usize] = routine as i64;
    registers[libc::REG_RDI as usize] = argument as i64;
    // As after a call: the return address's place is below a multiple of 16.
    registers[libc::REG_RSP as usize] = ((sp - 256) & !15) as i64 - 8;
}

/// Where a function that is about to run its first instruction returns to, and the stack pointer then.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn return_address(context: &libc::ucontext_t) -> (usize, usize) {
    let (_, _, sp) = registers(context);
    // SAFETY: the stack pointer at the entry of a function is that of the return address.
    (unsafe { (sp as *const usize).read() }, sp + size_of::<usize>())
}

/// Where a function that is about to run its first instruction returns to, and the stack pointer then.
#[cfg(target_arch = "arm")]
fn return_address(context: &libc::ucontext_t) -> (usize, usize) {
    (context.uc_mcontext.arm_lr as usize, context.uc_mcontext.arm_sp as usize)
}

/// Program counter, frame pointer and stack pointer of a context.
#[cfg(target_arch = "x86")]
pub fn registers(context: &libc::ucontext_t) -> (usize, usize, usize) {
    let registers = &context.uc_mcontext.gregs;
    let register = |index: libc::c_int| registers[index as usize] as usize;
    (register(libc::REG_EIP), register(libc::REG_EBP), register(libc::REG_ESP))
}

#[cfg(target_arch = "x86")]
fn redirect(context: &mut libc::ucontext_t, routine: usize, argument: usize, sp: usize) {
    // As after a call: the argument lies at a multiple of 16, below it the place of the return address.
    let sp = ((sp - 256) & !15) - 4;
    // SAFETY: below the thread's stack pointer.
    unsafe { (sp as *mut usize).add(1).write(argument) };
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_EIP as usize] = routine as i32;
    registers[libc::REG_ESP as usize] = sp as i32;
}

/// Program counter, frame pointer and stack pointer of a context.
#[cfg(target_arch = "arm")]
pub fn registers(context: &libc::ucontext_t) -> (usize, usize, usize) {
    let registers = &context.uc_mcontext;
    (registers.arm_pc as usize, registers.arm_fp as usize, registers.arm_sp as usize)
}

#[cfg(target_arch = "arm")]
fn redirect(context: &mut libc::ucontext_t, routine: usize, argument: usize, sp: usize) {
    let registers = &mut context.uc_mcontext;
    registers.arm_pc = routine as _;
    registers.arm_r0 = argument as _;
    registers.arm_sp = ((sp - 256) & !15) as _;
}

/// Why the throwing routine throws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The instruction faulted.
    Trap(TrapCode),
    /// The thread is aborted.
    Abort,
}

/// What the throwing routine is told.
struct Fault {
    cause: Cause,
    walk: Walk,
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives whole structures; the runtime is never freed.
    let (runtime, info, context) =
        unsafe { (RUNTIME.load(Ordering::Acquire).as_ref(), &*info, &mut *context.cast::<libc::ucontext_t>()) };
    let (pc, fp, sp) = registers(context);
    let (Some(runtime), Some(thread)) = (runtime, Thread::try_current()) else { die(signal, pc) };
    if signal == libc::SIGSEGV {
        // SAFETY: this signal carries an address.
        let address = (info.si_code != SI_KERNEL).then(|| unsafe { info.si_addr() } as usize);
        if thread.stack_guard.is_reached(address, sp) {
            return on_guard(runtime, thread, context, address.is_some());
        }
        if is_stack_overflow(thread, address.unwrap_or(sp), sp) {
            stack_overflow();
        }
    }
    let Some((code, (trap, _))) = runtime.code_map.find(pc).and_then(|code| Some((code, code.trap(pc)?))) else {
        die(signal, pc)
    };
    // Code that wrote over its own frame may have lost the stack.
    if !(thread.stack_low..thread.stack_high).contains(&sp) {
        die(signal, pc);
    }
    go_on_raising(context, Walk::from_fault(thread, code, pc, fp, sp), Cause::Trap(trap));
}

/// `si_code` of a signal that tells of no access but that another signal found no room on the stack.
const SI_KERNEL: libc::c_int = 0x80;

/// The stack has been used up to its guard, by an instruction or for a signal. A method's instruction raises; all else goes on first, see
/// [`stack_guard::note_reached`]. A signal that was lost comes again.
fn on_guard(runtime: &Runtime, thread: &mut Thread, context: &mut libc::ucontext_t, by_instruction: bool) {
    let (pc, fp, sp) = registers(context);
    let code = runtime.code_map.find(pc).filter(|code| by_instruction && code.method().is_some());
    let walk = code.and_then(|code| {
        // The first instruction of a method saves the caller's frame pointer; the next one makes it the method's own.
        if pc == code.start {
            let (address, above) = return_address(context);
            return Walk::from_return(thread, address, fp, above);
        }
        Some(Walk::from_fault(thread, code, pc, fp, sp))
    });
    match walk {
        Some(walk) => {
            stack_guard::begin_raising(thread);
            go_on_raising(context, walk, Cause::Trap(TrapCode::StackOverflow));
        }
        None => stack_guard::note_reached(thread),
    }
}

/// Makes the thread, which was interrupted in compiled code where `walk` begins, raise an exception as if the instruction had.
pub fn go_on_raising(context: &mut libc::ucontext_t, walk: Walk, cause: Cause) {
    let (_, _, sp) = registers(context);
    // Lies below the frame, where the routine will not write: it is read before anything else happens.
    let place = (((sp - 256) & !15) - size_of::<Fault>() - 4096) & !15;
    // SAFETY: the thread is in managed code, which leaves the runtime's reserve below its stack pointer.
    unsafe { (place as *mut Fault).write(Fault { cause, walk }) };
    redirect(context, raise as *const () as usize, place, place);
}

fn is_stack_overflow(thread: &Thread, address: usize, sp: usize) -> bool {
    let low = thread.stack_low;
    let is_near = |place: usize| address.abs_diff(place) < STACK_GUARD_BYTES;
    is_near(low) && is_near(sp)
}

extern "C" fn raise(fault: *const Fault) -> ! {
    // SAFETY: written by the signal handler for this call.
    let Fault { cause, walk } = unsafe { fault.read() };
    match cause {
        Cause::Trap(trap) => unwind::raise_at_fault(walk, Exception::of_trap(trap)),
        Cause::Abort => abort::raise_at(walk),
    }
}

fn write_error(text: &[u8]) {
    // SAFETY: write is async-signal-safe.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// Native code has used up the stack, the reserve and all: reports it and ends the process with exit code 1.
fn stack_overflow() -> ! {
    write_error(
        b"\nUnhandled Exception:\nStackOverflowException\n\
        [ERROR] FATAL UNHANDLED EXCEPTION: System.StackOverflowException: The requested operation caused a stack overflow.\n",
    );
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(1) }
}

/// A fault that no exception stands for, in native code or through a wild pointer: reports it and ends the process with exit code 1.
fn die(signal: libc::c_int, pc: usize) -> ! {
    let mut text = *b"saki: fault at 0x0000000000000000, signal 00\n";
    let digits = b"0123456789abcdef";
    for index in 0..16 {
        text[17 + index] = digits[(pc as u64 >> (60 - 4 * index)) as usize & 15];
    }
    text[42] = b'0' + (signal / 10) as u8;
    text[43] = b'0' + (signal % 10) as u8;
    write_error(&text);
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(1) }
}
