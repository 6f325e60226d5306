//! The end of a thread's stack: how an overflow is noticed in time, and what there is left to raise its exception on.
//!
//! Above the lowest address of the stack lie three areas. The *reserve* at the bottom is for raising: the runtime's own functions and the
//! handlers that run before the stack is unwound. The *guard* above it faults at each access, and a fault of a method's instruction there
//! becomes `StackOverflowException`. The third one is for native code alone: a helper that is called with less than that raises the
//! exception before it does anything ([`check`]). Native code that gets to the guard nevertheless, since it is called without such a
//! check, goes on without it, and the next helper raises.
//!
//! From the time of an overflow the guard is open. It is closed again when a handler above it has been reached.

use crate::exceptions::{self, Exception};
use crate::thread::Thread;
use ir::instruction::TrapCode;
use std::ops::Range;

/// Bytes of the three areas together, which a thread's stack is to have more than the program asks for.
pub const ROOM: usize = 512 << 10;
/// Stacks smaller than this have smaller areas, in bytes.
const USUAL_STACK: usize = 3 * ROOM / 2;
/// Stacks smaller than this have none, in bytes.
const SMALLEST_STACK: usize = 128 << 10;
/// The areas begin and end at multiples of this, which is no smaller than a page.
const STEP: usize = 4096;

/// What becomes of accesses to the guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// There is no guard, or the system did not give one.
    Absent,
    /// They fault.
    Closed,
    /// They do not since native code has been there: the next helper is to look.
    Reached,
    /// They do not since an overflow is being raised.
    Open,
}

/// The guard of one thread.
#[derive(Debug)]
pub struct StackGuard {
    /// Lowest address of the stack.
    low: usize,
    guard: Range<usize>,
    /// Lowest stack pointer with which helpers may be called.
    limit: usize,
    state: State,
}

impl StackGuard {
    /// Sets up the guard of the current thread, whose stack is `stack`; gives the limit for [`check`].
    pub fn install(stack: Range<usize>) -> (StackGuard, usize) {
        let size = stack.len();
        let room = if size >= USUAL_STACK { ROOM } else { size / 4 };
        let aligned = |address: usize| (address + STEP - 1) & !(STEP - 1);
        let start = aligned(stack.start + room / 2);
        let guard = start..aligned(start + room / 8);
        let mut this = StackGuard { low: stack.start, guard, limit: stack.start + room, state: State::Absent };
        if size >= SMALLEST_STACK && this.map() {
            this.state = State::Closed;
        }
        let limit = if this.state == State::Absent { 0 } else { this.limit };
        (this, limit)
    }

    /// Makes the guard fault for the first time. Says whether the system allowed it.
    fn map(&self) -> bool {
        if self.protect(libc::PROT_NONE) {
            return true;
        }
        // The stack of the first thread grows when it is touched: nothing is there yet. What is mapped here ends its growth.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
        let (low, length) = (self.low as *mut libc::c_void, self.guard.end - self.low);
        // SAFETY: replaces nothing; a system without MAP_FIXED_NOREPLACE takes the address as a wish, and then the memory is given back.
        unsafe {
            let memory = libc::mmap(low, length, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if memory != libc::MAP_FAILED && memory != low {
                libc::munmap(memory, length);
            }
            memory == low && self.protect(libc::PROT_NONE)
        }
    }

    /// Whether the system did it.
    fn protect(&self, protection: libc::c_int) -> bool {
        // SAFETY: a part of the thread's stack that nothing uses while it is protected.
        unsafe { libc::mprotect(self.guard.start as *mut libc::c_void, self.guard.len(), protection) == 0 }
    }

    /// Takes the guard away; the stack may go to another thread.
    pub fn remove(&mut self) {
        if std::mem::replace(&mut self.state, State::Absent) == State::Closed {
            self.protect(libc::PROT_READ | libc::PROT_WRITE);
        }
    }

    /// Whether an access to `address` faulted because of the guard; without an address, whether a signal would have got there with this stack
    /// pointer.
    pub fn is_reached(&self, address: Option<usize>, sp: usize) -> bool {
        /// What the kernel needs for a signal at most, in bytes.
        const SIGNAL_FRAME: usize = 32 << 10;
        let near = self.guard.start..self.guard.end + SIGNAL_FRAME;
        let reaches = address.map_or_else(|| near.contains(&sp), |address| self.guard.contains(&address));
        self.state == State::Closed && reaches
    }

    fn open(&mut self, state: State) {
        if self.state == State::Closed {
            // The first thread's stack does not grow any more when there is memory in use below: it is to reach down to the guard before.
            // SAFETY: in the thread's stack.
            unsafe { (self.guard.end as *const u8).read_volatile() };
            self.protect(libc::PROT_READ | libc::PROT_WRITE);
        }
        self.state = state;
    }
}

/// Native code of the thread has got to the guard: it goes on, and the next helper looks. Safe in a signal handler.
pub fn note_reached(thread: &mut Thread) {
    thread.stack_guard.open(State::Reached);
    thread.stack_limit = usize::MAX;
}

/// An overflow is about to be raised: from here on there is the reserve as well. Safe in a signal handler.
pub fn begin_raising(thread: &mut Thread) {
    thread.stack_guard.open(State::Open);
    // Half of the reserve is for the runtime alone: who uses up the rest gets another exception.
    let guard = &thread.stack_guard;
    thread.stack_limit = guard.low + (guard.guard.start - guard.low) / 2;
}

/// Whether the guard is to be closed when the thread goes on with this stack pointer, the frames below being gone.
pub fn is_to_be_closed(thread: &Thread, sp: usize) -> bool {
    let guard = &thread.stack_guard;
    matches!(guard.state, State::Open | State::Reached) && sp >= guard.guard.end
}

/// The guard faults again. Nothing in it may be in use: see [`run_below`].
pub fn close(thread: &mut Thread) {
    if thread.stack_guard.protect(libc::PROT_NONE) {
        thread.stack_guard.state = State::Closed;
        thread.stack_limit = thread.stack_guard.limit;
    }
}

/// Calls `routine` with a stack pointer below the guard. All frames of the thread below the one that `routine` goes to may be lost.
pub fn run_below(thread: &Thread, routine: extern "C" fn() -> !) -> ! {
    let here = 0u8;
    // Whoever runs below the guard already stays there.
    let top = thread.stack_guard.guard.start.min(std::ptr::from_ref(&here) as usize);
    // As before a call: aligned, and clear of what the caller keeps below its stack pointer.
    let sp = (top - 4096) & !15;
    // SAFETY: the reserve is below the guard, and this does not come back.
    unsafe { call_with_stack(sp, routine) }
}

#[cfg(target_arch = "x86_64")]
unsafe fn call_with_stack(sp: usize, routine: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise of a stack.
    unsafe { std::arch::asm!("mov rsp, {0}", "call {1}", "ud2", in(reg) sp, in(reg) routine, options(noreturn)) }
}

#[cfg(target_arch = "x86")]
unsafe fn call_with_stack(sp: usize, routine: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise of a stack.
    unsafe { std::arch::asm!("mov esp, {0}", "call {1}", "ud2", in(reg) sp, in(reg) routine, options(noreturn)) }
}

#[cfg(target_arch = "arm")]
unsafe fn call_with_stack(sp: usize, routine: extern "C" fn() -> !) -> ! {
    // SAFETY: the caller's promise of a stack.
    unsafe { std::arch::asm!("mov sp, {0}", "blx {1}", "udf #0", in(reg) sp, in(reg) routine, options(noreturn)) }
}

/// Whether there is enough room for what a helper may do, or would be with so many bytes more.
#[inline]
pub fn has_room_above(bytes: usize) -> bool {
    let here = 0u8;
    std::ptr::from_ref(&here) as usize + bytes >= Thread::current().stack_limit
}

/// Raises `StackOverflowException` in the managed code that called the running helper if there is not enough room for what it may do.
#[inline]
pub fn check() {
    if !has_room_above(0) {
        look();
    }
}

#[cold]
#[inline(never)]
fn look() {
    let thread = Thread::current();
    let here = 0u8;
    if thread.stack_guard.state == State::Reached && std::ptr::from_ref(&here) as usize >= thread.stack_guard.limit {
        close(thread);
        return;
    }
    begin_raising(thread);
    exceptions::raise(Exception::of_trap(TrapCode::StackOverflow))
}
