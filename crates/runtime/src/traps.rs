//! Faults in compiled code become exceptions: a signal handler on a stack of its own finds the trap site of the faulting instruction and
//! lets the thread go on in a routine that throws. Faults anywhere else end the process.

use crate::code_map::CodeRange;
use crate::exceptions::Exception;
use crate::thread::Thread;
use crate::{Runtime, abort, unwind};
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
    code: &'static CodeRange,
    cause: Cause,
    pc: usize,
    fp: usize,
    sp: usize,
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives whole structures; the runtime is never freed.
    let (runtime, info, context) =
        unsafe { (RUNTIME.load(Ordering::Acquire).as_ref(), &*info, &mut *context.cast::<libc::ucontext_t>()) };
    let (pc, _, sp) = registers(context);
    let (Some(runtime), Some(thread)) = (runtime, Thread::try_current()) else { die(signal, pc) };
    if signal == libc::SIGSEGV {
        // SAFETY: this signal carries an address.
        let address = unsafe { info.si_addr() } as usize;
        if is_stack_overflow(thread, address, sp) {
            stack_overflow();
        }
    }
    let Some((code, (trap, _))) = runtime.code_map.find(pc).and_then(|code| Some((code, code.trap(pc)?))) else {
        die(signal, pc)
    };
    if trap == TrapCode::StackOverflow {
        stack_overflow();
    }
    // Code that wrote over its own frame may have lost the stack.
    if !(thread.stack_low..thread.stack_high).contains(&sp) {
        die(signal, pc);
    }
    go_on_raising(context, code, Cause::Trap(trap));
}

/// Makes the thread, which was interrupted in compiled code, raise an exception as if the instruction had.
pub fn go_on_raising(context: &mut libc::ucontext_t, code: &'static CodeRange, cause: Cause) {
    let (pc, fp, sp) = registers(context);
    // Lies below the frame, where the routine will not write: it is read before anything else happens.
    let place = (((sp - 256) & !15) - size_of::<Fault>() - 4096) & !15;
    // SAFETY: the thread is in managed code, which leaves the runtime's reserve below its stack pointer.
    unsafe { (place as *mut Fault).write(Fault { code, cause, pc, fp, sp }) };
    redirect(context, raise as *const () as usize, place, place);
}

fn is_stack_overflow(thread: &Thread, address: usize, sp: usize) -> bool {
    let low = thread.stack_low;
    let is_near = |place: usize| address.abs_diff(place) < STACK_GUARD_BYTES;
    is_near(low) && is_near(sp)
}

extern "C" fn raise(fault: *const Fault) -> ! {
    // SAFETY: written by the signal handler for this call.
    let Fault { code, cause, pc, fp, sp } = unsafe { fault.read() };
    match cause {
        Cause::Trap(trap) => unwind::raise_at_fault(code, pc, fp, sp, Exception::of_trap(trap)),
        Cause::Abort => abort::raise_at(code, pc, fp, sp),
    }
}

fn write_error(text: &[u8]) {
    // SAFETY: write is async-signal-safe.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

/// Reports the end of the stack as Mono does and ends the process with exit code 1: no managed code can run any more.
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
