//! Walking the managed frames of a thread by the chain of frame pointers.

use crate::code_map::{CodeKind, CodeRange};
use crate::runtime;
use crate::thread::Thread;
use il::types::MethodId;
use ir::entity::Region;

const WORD: usize = size_of::<usize>();
/// How far above the stack pointer the frame pointer of a frame of varying size is looked for, in bytes.
const VARYING_FRAME_BYTES: usize = 1 << 20;

/// An entry from native into managed code, on the stack of the native function that made it.
#[derive(Debug)]
pub struct Activation {
    /// The one around it.
    pub previous: *const Activation,
    /// `last_managed_sp` at the entry: where the walk goes on.
    pub managed_sp: usize,
    /// Likewise `last_managed_pc`.
    pub managed_pc: usize,
    /// Whether native code has called a delegate, rather than the runtime a method.
    pub from_native: bool,
    /// The innermost filter in progress at the entry.
    pub filter: *const FilterActivation,
}

/// A filter in progress.
#[derive(Debug)]
pub struct FilterActivation {
    /// The one around it.
    pub previous: *const FilterActivation,
    /// Frame pointer of the function whose filter it is.
    pub fp: usize,
    /// Stack pointer of the frame that runs it: frames below belong to the filter.
    pub sp: usize,
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its code.
    pub code: &'static CodeRange,
    /// Where it goes on, or the faulting instruction.
    pub pc: usize,
    /// Whether `pc` is that of an instruction that faulted or was interrupted.
    pub faulting: bool,
    /// Frame pointer.
    pub fp: usize,
    /// Stack pointer in its body.
    pub sp: usize,
}

impl Frame {
    /// The method, unless it is a stub.
    pub fn method(&self) -> Option<MethodId> {
        self.code.method()
    }

    /// The innermost protected region that it is in.
    pub fn region(&self) -> Option<Region> {
        if self.faulting { self.code.region_at(self.pc) } else { self.code.region_of_call(self.pc) }
    }

    /// Address for traces: always one behind the instruction that is being executed.
    pub fn trace_address(&self) -> usize {
        if self.faulting { self.pc + 1 } else { self.pc }
    }
}

/// One step of a walk.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A frame of compiled code.
    Frame(Frame),
    /// Managed code was entered from native code here. The frame of the entry stub: its frame and stack pointer after the call.
    Entry {
        /// The entry.
        activation: *const Activation,
        /// Frame pointer of the stub.
        fp: usize,
        /// Its stack pointer after the call.
        sp: usize,
    },
}

/// A walk from the innermost frame outwards.
#[derive(Clone, Copy)]
pub struct Walk {
    next: Option<Frame>,
    /// Set when the next step is an entry.
    entry: Option<(usize, usize)>,
    activation: *const Activation,
    /// The highest address of the thread's stack.
    stack_high: usize,
}

impl Walk {
    /// The innermost entry that has not been passed.
    pub fn activation(&self) -> *const Activation {
        self.activation
    }

    fn empty(thread: &Thread) -> Walk {
        Walk { next: None, entry: None, activation: thread.activation, stack_high: thread.stack_high }
    }

    /// From the frame that called into the runtime.
    pub fn from_runtime(thread: &Thread) -> Walk {
        let next = frame_below(thread.last_managed_sp, thread.last_managed_pc, thread.stack_high);
        Walk { next, ..Walk::empty(thread) }
    }

    /// From a faulting instruction.
    pub fn from_fault(thread: &Thread, code: &'static CodeRange, pc: usize, fp: usize, sp: usize) -> Walk {
        Walk { next: Some(Frame { code, pc, faulting: true, fp, sp }), ..Walk::empty(thread) }
    }

    /// From an instruction that faulted before its function had a frame: from the caller, where it goes on at `pc`. `sp` is the stack pointer
    /// after the return. `None` if the caller is no compiled code.
    pub fn from_return(thread: &Thread, pc: usize, fp: usize, sp: usize) -> Option<Walk> {
        runtime().code_map.find_call(pc)?;
        let mut walk = Walk::empty(thread);
        walk.return_to(pc, fp, sp);
        Some(walk)
    }

    /// From a frame, that frame first.
    pub fn from_frame(thread: &Thread, frame: Frame) -> Walk {
        Walk { next: Some(frame), ..Walk::empty(thread) }
    }

    /// The next step is what a frame returns to.
    fn return_to(&mut self, pc: usize, fp: usize, sp: usize) {
        let Some(code) = runtime().code_map.find_call(pc) else { return };
        if code.kind == CodeKind::EnterManaged {
            self.entry = Some((fp, sp));
        } else {
            self.next = Some(Frame { code, pc, faulting: false, fp, sp: body_sp(code, fp) });
        }
    }
}

impl Iterator for Walk {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some((fp, sp)) = self.entry.take() {
            let activation = self.activation;
            // SAFETY: the thread's activations live on the stacks of native functions that have not returned.
            let around = unsafe { activation.as_ref() }?;
            self.activation = around.previous;
            self.next = frame_below(around.managed_sp, around.managed_pc, self.stack_high);
            return Some(Step::Entry { activation, fp, sp });
        }
        let frame = self.next.take()?;
        // SAFETY: all frames keep the frame-pointer chain: saved frame pointer, then return address.
        let (fp, pc) = unsafe { ((frame.fp as *const usize).read(), (frame.fp as *const usize).add(1).read()) };
        self.return_to(pc, fp, frame.fp + 2 * WORD);
        Some(Step::Frame(frame))
    }
}

/// Stack pointer in the body of a function with this frame pointer.
pub fn body_sp(code: &CodeRange, fp: usize) -> usize {
    match code.frame.saved_sp_offset {
        // SAFETY: a place in the function's frame.
        Some(offset) => unsafe { (fp.wrapping_add_signed(offset as isize) as *const usize).read() },
        None => fp - code.frame.frame_size as usize,
    }
}

/// The frame that made a call with this stack pointer; `pc` is 0 where the call pushed the return address below it.
fn frame_below(sp: usize, pc: usize, stack_high: usize) -> Option<Frame> {
    if sp == 0 {
        return None;
    }
    // SAFETY: a published stack pointer lies in the live part of the stack; the return address below it is not overwritten while the
    // call runs.
    let pc = if pc != 0 { pc } else { unsafe { (sp as *const usize).sub(1).read() } };
    let code = runtime().code_map.find_call(pc)?;
    let fp = match code.frame.saved_sp_offset {
        None => sp + code.frame.frame_size as usize,
        Some(offset) => varying_frame(sp, offset, stack_high)?,
    };
    Some(Frame { code, pc, faulting: false, fp, sp })
}

fn is_code(address: usize) -> bool {
    runtime().code.contains(address) || runtime().code_map.images.at(address).is_some()
}

/// The frame pointer of a frame that keeps its stack pointer at `offset` from it: the nearest place above where that holds.
fn varying_frame(sp: usize, offset: i32, stack_high: usize) -> Option<usize> {
    let mut fp = sp;
    while fp - sp < VARYING_FRAME_BYTES && fp + 2 * WORD < stack_high {
        let place = fp.wrapping_add_signed(offset as isize);
        // SAFETY: between the stack pointer and the base of the stack.
        unsafe {
            if place >= sp && (place as *const usize).read() == sp {
                let (saved, back) = ((fp as *const usize).read(), (fp as *const usize).add(1).read());
                if saved > fp && is_code(back) {
                    return Some(fp);
                }
            }
        }
        fp += WORD;
    }
    None
}
