//! Aborting threads (`Thread.Abort`): a request waits until the thread is at a place where the exception may be raised.
//!
//! A signal finds the thread in compiled code, at any instruction: handlers only need frame pointer and stack pointer, so each is as good as
//! a faulting one. Elsewhere (in the runtime, in native code, amid an allocation or a prologue) it goes on and is asked again. Finally and
//! fault handlers, filters and class initialisers of all its frames are let run to their end, as by Mono: code at their end looks for the
//! request ([`HelperId::AbortPoint`](compiler::abi::HelperId::AbortPoint)). Waits and returns from native code and internal
//! calls look, too.
//!
//! Knows nothing of `System.Threading.Thread`: see `icalls::threads`.

use crate::code_map::CodeRange;
use crate::exceptions::{Exception, Result};
use crate::object::ObjectRef;
use crate::stack_trace::TraceStart;
use crate::stack_walk::{Frame, Step, Walk};
use crate::thread::{ROOT_ABORT, Thread};
use crate::{runtime, traps, unwind};
use compiler::abi::abort_states::{NONE, RAISED, REQUESTED};
use il::instruction::{Decoder, Opcode, Operand};
use il::method_body::ClauseKind;
use il::types::{MethodId, TypeId};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

/// How long the asking thread waits before it asks again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// What other threads need to abort one, as long as anybody knows it.
#[derive(Default)]
pub struct Abortable(Mutex<Progress>);

/// Where a thread is in its life.
#[derive(Default)]
enum Progress {
    /// It does not run yet; whether it is to be aborted when it does.
    #[default]
    Waiting,
    Requested,
    Running(Place),
    Ended,
}

#[derive(Clone, Copy)]
struct Place {
    native: libc::pthread_t,
    thread: &'static Thread,
}

// SAFETY: of the thread structure, which is there as long as the thread runs, only the atomic state is used by other threads.
unsafe impl Send for Place {}

/// Threads that were asked and have not raised the exception.
static PENDING: Mutex<Vec<Arc<Abortable>>> = Mutex::new(Vec::new());
static IS_ASKING: AtomicBool = AtomicBool::new(false);

impl Abortable {
    /// The current thread is this one.
    pub fn begin(self: &Arc<Abortable>) {
        Thread::current().abortable = Some(self.clone());
        let thread: &'static Thread = Thread::current();
        // SAFETY: pthread_self has no preconditions.
        let native = unsafe { libc::pthread_self() };
        let before = std::mem::replace(&mut *self.0.lock(), Progress::Running(Place { native, thread }));
        if matches!(before, Progress::Requested) {
            thread.abort_state.store(REQUESTED, Ordering::Release);
        }
    }

    /// The thread, which is the current one, runs no managed code any more.
    pub fn end(&self) {
        *self.0.lock() = Progress::Ended;
        // Nobody can any more.
        Thread::current().shared_heap().end_suspensions();
        reset();
    }

    /// Asks the thread to abort itself.
    pub fn request(self: &Arc<Abortable>) {
        let mut progress = self.0.lock();
        match &*progress {
            Progress::Waiting => *progress = Progress::Requested,
            Progress::Running(place) => {
                let state = &place.thread.abort_state;
                let _ = state.compare_exchange(NONE, REQUESTED, Ordering::AcqRel, Ordering::Acquire);
            }
            Progress::Requested | Progress::Ended => return,
        }
        drop(progress);
        self.ask();
        PENDING.lock().push(self.clone());
        if !IS_ASKING.swap(true, Ordering::AcqRel)
            && std::thread::Builder::new().name("saki-abort".into()).spawn(ask_again).is_err()
        {
            IS_ASKING.store(false, Ordering::Release);
        }
    }

    /// Does something with the thread, which does not end meanwhile, if it has begun and not ended.
    pub fn with_thread<T>(&self, action: impl FnOnce(&Thread) -> T) -> Option<T> {
        match &*self.0.lock() {
            Progress::Running(place) => Some(action(place.thread)),
            _ => None,
        }
    }

    /// Whether the thread was asked to abort itself and has not called that off.
    pub fn is_in_progress(&self) -> bool {
        self.with_thread(|thread| thread.abort_state.load(Ordering::Acquire) != NONE).unwrap_or(false)
    }

    /// Whether the thread was asked to abort itself and has not heard.
    pub fn is_pending(&self) -> bool {
        self.with_thread(|thread| thread.abort_state.load(Ordering::Acquire) == REQUESTED).unwrap_or(false)
    }

    /// Interrupts a system call that the thread may be in, without asking for anything.
    pub fn disturb(&self) {
        install();
        if let Progress::Running(place) = &*self.0.lock() {
            // SAFETY: a running thread ends only after it took itself out of its progress, which is locked.
            unsafe { libc::pthread_kill(place.native, signal()) };
        }
    }

    /// Sends the signal, if there is a request to be met; says whether there is.
    fn ask(&self) -> bool {
        match &*self.0.lock() {
            Progress::Running(place) if place.thread.abort_state.load(Ordering::Acquire) == REQUESTED => {
                // SAFETY: a running thread ends only after it took itself out of its progress, which is locked.
                unsafe { libc::pthread_kill(place.native, signal()) };
                true
            }
            Progress::Requested => true,
            _ => false,
        }
    }
}

/// Asks until all have heard.
fn ask_again() {
    let mut pause = FIRST_PAUSE;
    loop {
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
        let mut pending = PENDING.lock();
        pending.retain(|abortable| abortable.ask());
        if pending.is_empty() {
            IS_ASKING.store(false, Ordering::Release);
            return;
        }
    }
}

/// The real-time signal that asks.
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 5
}

/// Installs the signal handler, once.
pub fn install() {
    static ONCE: Once = Once::new();
    // SAFETY: a zeroed sigaction with handler and flags set is a valid one.
    ONCE.call_once(|| unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(signal(), &action, std::ptr::null_mut());
    });
}

/// Runs on the stack of the thread. Where it goes on after the first tests, the thread was stopped in compiled code: it is in no
/// function that holds a lock or amid an allocation of memory, so the walk may do what it likes.
extern "C" fn on_signal(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(thread) = Thread::try_current() else { return };
    if thread.abort_state.load(Ordering::Acquire) != REQUESTED {
        return;
    }
    // SAFETY: the kernel gives a whole context.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let (pc, fp, sp) = traps::registers(context);
    let map = &runtime().code_map;
    if !map.is_interruptible(pc) {
        return;
    }
    let Some(code) = map.find(pc).filter(|code| has_frame(thread, code, pc, fp, sp)) else { return };
    let walk = Walk::from_fault(thread, code, pc, fp, sp);
    if is_allowed(walk) && !is_taking_lock(walk) {
        traps::go_on_raising(context, walk, traps::Cause::Abort);
    }
}

/// Instructions of a prologue up to where the frame pointer is the function's own, in bytes.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
const FRAME_POINTER_SET: usize = if size_of::<usize>() == 8 { 4 } else { 3 };
#[cfg(target_arch = "arm")]
const FRAME_POINTER_SET: usize = 8;

/// Whether an instruction leaves the function: the frame pointer may be the caller's already.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn leaves(_code: &CodeRange, pc: usize) -> bool {
    // SAFETY: a place in code.
    matches!(unsafe { (pc as *const u8).read() }, 0xc2 | 0xc3)
}

/// Whether an instruction leaves the function: a jump out of it, or one through a register or memory.
#[cfg(target_arch = "arm")]
fn leaves(code: &CodeRange, pc: usize) -> bool {
    // SAFETY: a place in code.
    let word = unsafe { (pc as *const u32).read() };
    let is_branch = word & 0x0f00_0000 == 0x0a00_0000;
    let target = pc.wrapping_add_signed(8 + ((word << 8) as i32 >> 6) as isize);
    let is_indirect = word & 0x0fff_fff0 == 0x012f_ff10 || word & 0x0c10_f000 == 0x0410_f000;
    is_branch && !(code.start..code.end).contains(&target) || is_indirect
}

/// Whether the function's frame is whole at this instruction: neither in its prologue nor in an epilogue.
pub fn has_frame(thread: &Thread, code: &CodeRange, pc: usize, fp: usize, sp: usize) -> bool {
    let on_stack = |place: usize| (thread.stack_low..thread.stack_high).contains(&place);
    if pc < code.start + FRAME_POINTER_SET || leaves(code, pc) || !on_stack(sp) || !on_stack(fp) || fp < sp {
        return false;
    }
    let in_prologue = pc < code.start + code.frame.prologue[2] as usize;
    !in_prologue && crate::stack_walk::body_sp(code, fp) == sp
}

/// Whether none of the frames runs what must come to its end.
fn is_allowed(walk: Walk) -> bool {
    let types = &runtime().types;
    walk.into_iter().all(|step| {
        let Step::Frame(frame) = step else { return true };
        let Some(method) = frame.method() else { return true };
        if types.method_name(method) == ".cctor" {
            return false;
        }
        // What belongs to no instruction is the runtime's own, such as giving back the lock of a synchronized method.
        frame.code.regions.is_empty() || !is_in_cleanup(&frame).unwrap_or(true)
    })
}

/// Whether the thread may just have got a lock that only the `try` block right behind gives back: in `Monitor.Enter (object)`, or between
/// the call and the block.
fn is_taking_lock(mut walk: Walk) -> bool {
    let Some(Step::Frame(frame)) = walk.next() else { return false };
    let Some(method) = frame.method() else { return false };
    is_monitor_enter(method) || is_behind_monitor_enter(&frame, method).unwrap_or(false)
}

/// The frame's position in IL is that of the first instruction of the statement that it runs, of which the call is the last.
fn is_behind_monitor_enter(frame: &Frame, method: MethodId) -> Option<bool> {
    let types = &runtime().types;
    let body = types.method_body(method).ok()??;
    let is_guard =
        |offset| body.clauses.iter().any(|clause| matches!(clause.kind, ClauseKind::Finally) && clause.try_start == offset);
    if body.clauses.is_empty() {
        return None;
    }
    let mut statement = Decoder::at(body.il, frame.code.il_offset(frame.trace_address())?).map_while(il::Result::ok).peekable();
    while let Some(instruction) = statement.next() {
        while statement.next_if(|next| next.opcode == Opcode::Nop).is_some() {}
        match (instruction.opcode, instruction.operand) {
            (Opcode::Call, Operand::Token(token)) if is_guard(statement.peek()?.offset) => {
                let assembly = types.method(method).assembly;
                return Some(is_monitor_enter(types.resolve_method(assembly, token, &types.method_context(method)).ok()?));
            }
            (Opcode::Call | Opcode::Callvirt | Opcode::Calli, _) | (_, Operand::Target(_) | Operand::Switch(_)) => return None,
            _ => {}
        }
    }
    None
}

/// Whether a method is `Monitor.Enter (object)`.
fn is_monitor_enter(method: MethodId) -> bool {
    static METHOD: OnceLock<Option<MethodId>> = OnceLock::new();
    let find = || {
        let types = &runtime().types;
        let class = types.find_type(types.corlib(), "System.Threading", "Monitor").ok()??;
        types.find_method(class, "Enter", Some(&[TypeId::OBJECT])).ok()?
    };
    *METHOD.get_or_init(find) == Some(method)
}

/// Whether a frame is in a finally or fault handler or a filter; `None` if that cannot be told.
fn is_in_cleanup(frame: &Frame) -> Option<bool> {
    let body = runtime().types.method_body(frame.method()?).ok()??;
    let offset = frame.code.il_offset(frame.trace_address())?;
    Some(body.clauses.iter().any(|clause| match clause.kind {
        ClauseKind::Finally | ClauseKind::Fault => (clause.handler_start..clause.handler_end).contains(&offset),
        ClauseKind::Filter(start) => (start..clause.handler_start).contains(&offset),
        ClauseKind::Catch(_) => false,
    }))
}

/// Whether the current thread is to be aborted and was not yet.
#[inline]
pub fn is_requested() -> bool {
    Thread::current().abort_state.load(Ordering::Acquire) == REQUESTED
}

/// Whether the current thread, which is in the runtime, is to be aborted and may be.
pub fn is_due() -> bool {
    is_requested() && is_allowed(Walk::from_runtime(Thread::current()))
}

/// Raises the exception if the current thread, which is in the runtime, is to be aborted and may be.
pub fn check() -> Result<()> {
    if is_due() { Err(exception()) } else { Ok(()) }
}

/// The same at the end of an internal call, whose effect the program has not seen yet.
pub fn check_after_call() -> Result<()> {
    if is_due() && !is_taking_lock(Walk::from_runtime(Thread::current())) { Err(exception()) } else { Ok(()) }
}

/// At the end of a handler: the same, and raises it again at the end of the one that caught it.
pub fn check_after_handler(is_catch: bool) -> Result<()> {
    let thread = Thread::current();
    if thread.abort_state.load(Ordering::Acquire) != RAISED {
        return check();
    }
    let caller = Walk::from_runtime(thread).next();
    let Some(Step::Frame(frame)) = caller.filter(|_| is_catch) else { return Ok(()) };
    if frame.fp >= thread.abort_frame { Err(exception()) } else { Ok(()) }
}

/// The exception of the current thread, from here on raised.
pub fn exception() -> Exception {
    Exception::from_object(exception_object())
}

fn exception_object() -> ObjectRef {
    let thread = Thread::current();
    thread.abort_state.store(RAISED, Ordering::Release);
    let known = thread.root(ROOT_ABORT);
    if !known.is_null() {
        return known;
    }
    let object = Exception::default_of("System.Threading", "ThreadAbortException").into_object();
    Thread::current().set_root(ROOT_ABORT, object);
    object
}

/// Raises it at the instruction that a signal interrupted, from which `walk` begins: called on the thread's own stack.
pub fn raise_at(walk: Walk) -> ! {
    let object = exception_object();
    let thread = Thread::current();
    unwind::throw_from(thread, object, walk, TraceStart::Fresh)
}

/// Notes which frame catches the exception of an abort.
pub fn note_caught(thread: &mut Thread, exception: ObjectRef, fp: usize) {
    if thread.abort_state.load(Ordering::Relaxed) == RAISED && thread.root(ROOT_ABORT) == exception {
        thread.abort_frame = fp;
    }
}

/// Whether the current thread is to be aborted, or is being aborted.
pub fn is_in_progress() -> bool {
    Thread::current().abort_state.load(Ordering::Acquire) != NONE
}

/// `Thread.ResetAbort`, and the end of what an abort ends.
pub fn reset() {
    let thread = Thread::current();
    thread.abort_state.store(NONE, Ordering::Release);
    thread.set_root(ROOT_ABORT, ObjectRef::NULL);
}
