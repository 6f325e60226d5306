//! Throwing: a first pass over the frames finds the handler and runs filters; a second one runs finally and fault handlers on the way
//! to it, each by landing in its frame (ECMA-335 I.12.4.2.5). The first pass sees the frames beyond native ones that have called a delegate, too;
//! the second one leaves managed code there, and goes on when the exception is raised again where the native code was called.
//!
//! Landing abandons all native frames below the landing place, so nothing in them may need a drop. While a finally handler runs, what
//! remains to be done is kept in the thread; the handler's end comes back to [`resume`].

use crate::code_map::CodeRange;
use crate::exceptions::Exception;
use crate::gc::{self, HandleKind};
use crate::object::ObjectRef;
use crate::stack_trace::TraceStart;
use crate::stack_walk::{Activation, FilterActivation, Frame, Step, Walk};
use crate::thread::{ROOT_EXCEPTION, Thread};
use crate::wrapped_exceptions::seen_by;
use crate::{abort, casts, runtime, stack_guard, stack_trace, trace, unhandled};
use il::types::TypeId;
use ir::entity::Region;
use ir::function::HandlerKind;
use ir::mach::LandingContext;

/// Frames that an exception may pass.
const MAX_FRAMES: usize = 1 << 20;

/// Where an exception is going, maybe beyond native frames.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A handler.
    Handler {
        /// Frame pointer of its function.
        fp: usize,
        /// What it protects.
        region: Region,
        /// Its number there.
        index: u32,
    },
    /// Out of managed code.
    Entry {
        /// Where that was entered.
        activation: *const Activation,
    },
    /// Out of a filter: its verdict is no.
    Filter {
        /// Frame pointer of its function.
        fp: usize,
        /// Frames with a lower stack pointer belong to it.
        sp: usize,
    },
}

/// An exception on its way, interrupted by a finally or fault handler.
pub struct Unwind {
    /// Handle that keeps the exception.
    exception: usize,
    target: Target,
    frame: Frame,
    /// The region whose finally or fault handler runs.
    region: Region,
}

/// Throws `exception` from the managed code that called the running helper.
pub fn throw(exception: ObjectRef) -> ! {
    throw_starting(exception, TraceStart::Fresh)
}

/// The same with another start of the trace.
pub fn throw_starting(exception: ObjectRef, start: TraceStart) -> ! {
    let thread = Thread::current();
    let walk = Walk::from_runtime(thread);
    throw_from(thread, exception, walk, start)
}

/// Throws it again: the trace goes on where it ended.
pub fn rethrow(exception: ObjectRef) -> ! {
    throw_starting(exception, TraceStart::InLastFrame)
}

/// Throws what managed code threw that the running function of the runtime had called: to its target if that is known, else the frames from here
/// on follow in the trace.
pub fn pass_on(exception: ObjectRef, target: Option<Target>) -> ! {
    let thread = Thread::current();
    let walk = Walk::from_runtime(thread);
    match target {
        Some(target) => second_pass(thread, exception, target, walk, None),
        None => throw_from(thread, exception, walk, TraceStart::AfterLastFrame),
    }
}

/// Throws from the start of `walk`.
pub fn throw_from(thread: &mut Thread, exception: ObjectRef, walk: Walk, start: TraceStart) -> ! {
    trace::exception_thrown(exception);
    // A thread that does little but throw would hardly ever be found in compiled code.
    thread.heap().poll();
    let target = find_target(&mut *thread, exception, walk, start);
    second_pass(thread, exception, target, walk, None)
}

/// First pass.
fn find_target(thread: &mut Thread, exception: ObjectRef, mut walk: Walk, start: TraceStart) -> Target {
    let mut trace = stack_trace::Recorder::new(exception, start);
    let mut filter = thread.filter;
    for _ in 0..MAX_FRAMES {
        match walk.next() {
            Some(Step::Frame(frame)) => {
                // SAFETY: a running filter, on the stack of `run_filter`.
                if let Some(filter) = unsafe { filter.as_ref() }.filter(|filter| filter.fp == frame.fp && frame.sp < filter.sp) {
                    trace.store();
                    return Target::Filter { fp: filter.fp, sp: filter.sp };
                }
                trace.push(&frame);
                if let Some((region, index)) = find_handler(thread, exception, &frame, walk.activation(), &mut trace) {
                    trace.store();
                    return Target::Handler { fp: frame.fp, region, index };
                }
            }
            Some(Step::Entry { activation, .. }) => {
                // SAFETY: an entry of this thread that has not ended.
                let entry = unsafe { &*activation };
                trace.push_entry(entry);
                if !entry.from_native {
                    trace.store();
                    return Target::Entry { activation };
                }
                filter = entry.filter;
            }
            None => break,
        }
    }
    trace.store();
    unhandled::report_and_exit(exception)
}

/// The handler in a frame that takes the exception; `activation` is the entry around the frame.
fn find_handler(
    thread: &mut Thread,
    exception: ObjectRef,
    frame: &Frame,
    activation: *const Activation,
    trace: &mut stack_trace::Recorder,
) -> Option<(Region, u32)> {
    let mut region = frame.region();
    while let Some(current) = region {
        let data = frame.code.region(current)?;
        for (index, handler) in data.handlers.iter().enumerate() {
            let index = index as u32;
            let takes = match handler.kind {
                HandlerKind::Catch(number) => catches(frame.code, number, seen_by(frame.method(), exception)),
                HandlerKind::Filter(_) => {
                    trace.store();
                    let inner = std::mem::replace(&mut thread.activation, activation);
                    let verdict = run_filter(thread, exception, frame, current, index);
                    thread.activation = inner;
                    verdict
                }
                HandlerKind::Finally | HandlerKind::Fault => false,
            };
            if takes {
                return Some((current, index));
            }
        }
        region = data.parent;
    }
    None
}

fn catches(code: &CodeRange, number: u32, exception: ObjectRef) -> bool {
    code.catch_types.get(number as usize).is_some_and(|&ty: &TypeId| casts::is_assignable(exception.type_id(), ty))
}

fn run_filter(thread: &mut Thread, exception: ObjectRef, frame: &Frame, region: Region, index: u32) -> bool {
    let Some(pc) = frame.code.handler(region, index).and_then(|site| site.filter_offset) else { return false };
    let context = LandingContext {
        pc: frame.code.start + pc as usize,
        fp: frame.fp,
        sp: frame.code.frame.outgoing_size as usize,
        exception: seen_by(frame.method(), exception).raw() as usize,
    };
    let activation = FilterActivation { previous: thread.filter, fp: frame.fp, sp: std::ptr::from_ref(&context) as usize };
    let (managed_sp, managed_pc) = (thread.last_managed_sp, thread.last_managed_pc);
    thread.filter = &activation;
    let thread: *mut Thread = thread;
    // SAFETY: the context names a filter of a live frame of this thread.
    let verdict = unsafe { (runtime().stubs().run_filter)(thread, &context) };
    let thread = Thread::current();
    thread.filter = activation.previous;
    thread.last_managed_sp = managed_sp;
    thread.last_managed_pc = managed_pc;
    // What a filter leaves that was left by an exception is another number, see `leave_filter`.
    verdict == 1
}

/// Second pass, from the start of `walk`; `after` is the region of the first frame whose handler has just run.
fn second_pass(thread: &mut Thread, exception: ObjectRef, target: Target, walk: Walk, after: Option<Region>) -> ! {
    let mut first_region = after;
    for step in walk {
        match step {
            Step::Frame(frame) => {
                if let Target::Filter { fp, sp } = target {
                    if frame.fp == fp && frame.sp < sp {
                        leave_filter(thread);
                    }
                }
                let mut region = match first_region.take() {
                    Some(done) => frame.code.region(done).and_then(|data| data.parent),
                    None => frame.region(),
                };
                while let Some(current) = region {
                    let Some(data) = frame.code.region(current) else { break };
                    if let Target::Handler { fp, region, index } = target {
                        if fp == frame.fp && region == current {
                            land_in_handler(thread, exception, &frame, region, index);
                        }
                    }
                    let cleanup = |kind: &HandlerKind| matches!(kind, HandlerKind::Finally | HandlerKind::Fault);
                    if let Some(index) = data.handlers.iter().position(|handler| cleanup(&handler.kind)) {
                        forget_abandoned(thread, &frame, current);
                        trace::handler_chosen(&frame, current, index as u32);
                        let handle = gc::allocate_handle(exception.raw().cast(), HandleKind::Normal);
                        thread.unwind.push(Unwind { exception: handle, target, frame, region: current });
                        land_at(thread, exception, &frame, current, index as u32);
                    }
                    region = data.parent;
                }
            }
            Step::Entry { activation, fp, sp } => {
                let is_target = matches!(target, Target::Entry { activation: wanted } if std::ptr::eq(wanted, activation));
                thread.passing_target = if is_target { None } else { Some(target) };
                leave_managed(thread, exception, activation, fp, sp)
            }
        }
    }
    unhandled::fatal("an exception lost its handler between the two passes")
}

/// End of a finally or fault handler that [`second_pass`] landed in.
pub fn resume() -> ! {
    let thread = Thread::current();
    let caller = Walk::from_runtime(thread).next();
    let Some(Step::Frame(frame)) = caller else { unhandled::fatal("a handler ended outside of managed code") };
    while let Some(unwind) = thread.unwind.pop() {
        // SAFETY: the handle holds the exception.
        let exception = unsafe { ObjectRef::from_raw(gc::handle_target(unwind.exception).cast()) };
        gc::free_handle(unwind.exception);
        if unwind.frame.fp == frame.fp {
            let walk = Walk::from_frame(thread, unwind.frame);
            let (target, region) = (unwind.target, unwind.region);
            second_pass(thread, exception, target, walk, Some(region));
        }
    }
    unhandled::fatal("a finally handler ended without an exception on its way")
}

/// Drops interrupted exceptions whose finally handler is being left: those in frames below, and in regions within `region` of this frame.
fn forget_abandoned(thread: &mut Thread, frame: &Frame, region: Region) {
    while let Some(last) = thread.unwind.last() {
        let abandoned = last.frame.fp < frame.fp || last.frame.fp == frame.fp && is_within(frame.code, last.region, region);
        if !abandoned {
            break;
        }
        if let Some(unwind) = thread.unwind.pop() {
            gc::free_handle(unwind.exception);
        }
    }
}

fn is_within(code: &CodeRange, mut inner: Region, outer: Region) -> bool {
    loop {
        if inner == outer {
            return true;
        }
        match code.region(inner).and_then(|data| data.parent) {
            Some(parent) => inner = parent,
            None => return false,
        }
    }
}

fn land_in_handler(thread: &mut Thread, exception: ObjectRef, frame: &Frame, region: Region, index: u32) -> ! {
    forget_abandoned(thread, frame, region);
    trace::handler_chosen(frame, region, index);
    abort::note_caught(thread, exception, frame.fp);
    let context = landing_context(seen_by(frame.method(), exception), frame, region, index);
    land_above_guard(thread, context)
}

fn land_at(thread: &mut Thread, exception: ObjectRef, frame: &Frame, region: Region, index: u32) -> ! {
    land(thread, landing_context(exception, frame, region, index))
}

fn landing_context(exception: ObjectRef, frame: &Frame, region: Region, index: u32) -> LandingContext {
    let Some(site) = frame.code.handler(region, index) else { unhandled::fatal("a handler has no code") };
    let pc = frame.code.start + site.handler_offset as usize;
    LandingContext { pc, fp: frame.fp, sp: frame.sp, exception: exception.raw() as usize }
}

/// Lands where an exception ends; if it was an overflow of the stack, that is over.
fn land_above_guard(thread: &mut Thread, context: LandingContext) -> ! {
    if !stack_guard::is_to_be_closed(thread, context.sp) {
        land(thread, context);
    }
    thread.landing = context;
    stack_guard::run_below(thread, close_guard_and_land)
}

extern "C" fn close_guard_and_land() -> ! {
    let thread = Thread::current();
    stack_guard::close(thread);
    let context = thread.landing;
    land(thread, context)
}

fn land(thread: &mut Thread, context: LandingContext) -> ! {
    let thread: *mut Thread = thread;
    // SAFETY: the context names a place in a live frame of this thread; the native frames below hold nothing that needs a drop.
    unsafe { (runtime().stubs().land)(thread, &context) }
}

/// Goes on after the call in the entry stub, as if the managed code had returned; the exception waits in the thread.
fn leave_managed(thread: &mut Thread, exception: ObjectRef, activation: *const Activation, fp: usize, sp: usize) -> ! {
    while thread.unwind.last().is_some_and(|unwind| unwind.frame.fp < fp) {
        if let Some(unwind) = thread.unwind.pop() {
            gc::free_handle(unwind.exception);
        }
    }
    thread.set_root(ROOT_EXCEPTION, exception);
    thread.activation = activation;
    land_above_guard(thread, LandingContext { pc: runtime().stubs().enter_return, fp, sp, exception: 0 })
}

/// Ends the innermost filter. `Land` leaves the thread in the register of the verdict, which is therefore not 1.
fn leave_filter(thread: &mut Thread) -> ! {
    let pc = runtime().stubs().end_filter;
    land(thread, LandingContext { pc, fp: 0, sp: thread.filter_sp, exception: 0 })
}

/// Raises what `exception` describes at a faulting instruction, from which `walk` begins: called on the thread's own stack.
pub fn raise_at_fault(walk: Walk, exception: Exception) -> ! {
    // Making the exception runs managed code: the walk from there must find the faulting frame, which made no call.
    let object = exception.into_object();
    throw_from(Thread::current(), object, walk, TraceStart::Fresh)
}
