//! Threads as the collector sees them: their allocation windows, their stacks, and how they are stopped.
//!
//! A thread stops at once if a signal finds it in code that may be interrupted anywhere (compiled code, see
//! [`set_interruptible_test`]); elsewhere it is let go and asked again, until it is found there, waits for this collection
//! itself, or has said that it runs native code that touches no object.

use super::binding::{Saki, mmtk};
use super::large_objects::LargeObjects;
use super::object_model::object_size;
use crate::traps;
use mmtk::Mutator;
use mmtk::memory_manager;
use mmtk::util::Address;
use mmtk::util::alloc::ImmixAllocator;
use mmtk::util::metadata::side_metadata::GLOBAL_SIDE_METADATA_BASE_ADDRESS;
use mmtk::util::opaque_pointer::{VMMutatorThread, VMThread};
use mmtk::{AllocationSemantics, util::alloc::AllocatorSelector};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// The part of a thread's structure in which compiled code allocates: it takes memory from `cursor` as long as that stays
/// below `limit`. The memory is zeroed.
#[repr(C)]
#[derive(Debug, Default)]
pub struct AllocationWindow {
    /// Next free byte.
    pub cursor: usize,
    /// End of the window.
    pub limit: usize,
}

/// What a thread is doing, as far as the collector cares.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Runs compiled code or the runtime.
    Running = 0,
    /// Runs native code that touches no object, or waits: its stack below `stopped_at` does not change.
    Native = 1,
    /// Waits in the signal handler or for the end of the collection.
    Stopped = 2,
}

/// Who suspends a thread.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suspender {
    /// The program, by `Thread.Suspend`.
    Program = 1,
    /// The runtime, to look at its stack.
    Inspection = 2,
}

/// What a thread left when native code called it back.
#[derive(Clone, Copy)]
pub struct NativeState {
    registers: [usize; SAVED_REGISTERS],
    stopped_at: usize,
}

/// The collector's side of a thread. Lives as long as the thread, at one address.
pub struct ThreadHeap {
    mutator: UnsafeCell<Box<Mutator<Saki>>>,
    window: *mut AllocationWindow,
    /// Where the objects begin that have no valid-object bit yet.
    unpublished: usize,
    /// Where the window began, and how many bytes the thread allocated outside of it.
    window_start: usize,
    allocated: u64,
    selector: AllocatorSelector,
    /// Large objects in which the thread has stored lately.
    pub(super) large_objects: LargeObjects,
    stack_base: usize,
    stopped_at: AtomicUsize,
    /// Callee-saved registers at the time of `enter_native`: references of frames further up may live in them alone.
    saved_registers: UnsafeCell<[usize; SAVED_REGISTERS]>,
    /// Native memory that is scanned like the stack.
    ambiguous_ranges: UnsafeCell<Vec<Range<usize>>>,
    state: AtomicU32,
    /// Who wants it to stand, collection or not: bits of [`Suspender`].
    suspenders: AtomicU32,
    /// Program counter, frame pointer and stack pointer where the signal has stopped it; 0 elsewhere.
    interrupted_at: [AtomicUsize; 3],
    native_thread: libc::pthread_t,
}

// SAFETY: the registry hands out references for stopped threads only; `state` orders the accesses.
unsafe impl Sync for ThreadHeap {}
// SAFETY: likewise.
unsafe impl Send for ThreadHeap {}

static THREADS: Mutex<Vec<&'static ThreadHeap>> = Mutex::new(Vec::new());
static STOPPING: AtomicBool = AtomicBool::new(false);
static RESUMED: Condvar = Condvar::new();
static RESUME_LOCK: Mutex<()> = Mutex::new(());
static INTERRUPTIBLE: OnceLock<fn(usize) -> bool> = OnceLock::new();

thread_local! {
    static CURRENT: AtomicPtr<ThreadHeap> = const { AtomicPtr::new(std::ptr::null_mut()) };
}

/// Sets the test whether a thread may be stopped at a program counter. Must be safe in a signal handler.
pub fn set_interruptible_test(test: fn(usize) -> bool) {
    if INTERRUPTIBLE.set(test).is_ok() {
        install_handler();
    }
}

/// Makes the current thread known to the collector. `stack_base` is the highest address of its stack.
///
/// # Safety
/// `window` is valid until [`detach`], and the current thread's.
pub unsafe fn attach(window: *mut AllocationWindow, stack_base: usize) -> &'static mut ThreadHeap {
    let selector = memory_manager::get_allocator_mapping(mmtk(), AllocationSemantics::Default);
    let heap = Box::leak(Box::new_uninit());
    let tls = super::tls_of(heap.as_ptr() as usize);
    // SAFETY: pthread_self has no preconditions.
    let native_thread = unsafe { libc::pthread_self() };
    let mut threads = registry_between_collections();
    let heap = heap.write(ThreadHeap {
        mutator: UnsafeCell::new(memory_manager::bind_mutator(mmtk(), tls)),
        window,
        unpublished: 0,
        window_start: 0,
        allocated: 0,
        selector,
        large_objects: LargeObjects::default(),
        stack_base,
        stopped_at: AtomicUsize::new(0),
        saved_registers: UnsafeCell::new([0; SAVED_REGISTERS]),
        ambiguous_ranges: UnsafeCell::new(Vec::new()),
        state: AtomicU32::new(State::Running as u32),
        suspenders: AtomicU32::new(0),
        interrupted_at: [const { AtomicUsize::new(0) }; 3],
        native_thread,
    });
    let pointer: *mut ThreadHeap = heap;
    CURRENT.with(|current| current.store(pointer, Ordering::Relaxed));
    // SAFETY: leaked; the registry only reads it while its thread is stopped.
    threads.push(unsafe { &*pointer });
    // SAFETY: the thread itself is the only user while it runs.
    unsafe { &mut *pointer }
}

/// Forgets the current thread.
pub fn detach(heap: &'static mut ThreadHeap) {
    heap.retire_window();
    let pointer: *mut ThreadHeap = heap;
    heap.enter_native();
    let mut threads = registry_between_collections();
    threads.retain(|known| !std::ptr::addr_eq(*known, pointer));
    memory_manager::destroy_mutator(heap.mutator());
    drop(threads);
    CURRENT.with(|current| current.store(std::ptr::null_mut(), Ordering::Relaxed));
    // SAFETY: made by `Box::leak` in `attach`, and out of the registry now.
    drop(unsafe { Box::from_raw(pointer) });
}

/// The registry, at a time when no collection runs: none begins as long as it is locked. The caller is not in it, or in native code.
fn registry_between_collections() -> MutexGuard<'static, Vec<&'static ThreadHeap>> {
    loop {
        let threads = THREADS.lock();
        if !STOPPING.load(Ordering::SeqCst) {
            return threads;
        }
        drop(threads);
        wait_while_stopping();
    }
}

impl ThreadHeap {
    /// MMTk's side of the thread.
    pub(super) fn mutator(&self) -> &'static mut Mutator<Saki> {
        // SAFETY: used by the thread itself while it runs and by the collector while it is stopped; both end before the thread does.
        unsafe { &mut *std::ptr::from_mut::<Mutator<Saki>>(&mut *self.mutator.get()) }
    }

    pub(super) fn tls(&self) -> VMMutatorThread {
        super::tls_of(std::ptr::from_ref(self) as usize)
    }

    fn window(&self) -> &'static mut AllocationWindow {
        // SAFETY: valid until `detach`, see `attach`; used by one thread at a time like the mutator.
        unsafe { &mut *self.window }
    }

    /// From now on the words at these addresses are scanned as if they stood on the thread's stack.
    ///
    /// # Safety
    /// The memory is there until [`ThreadHeap::remove_ambiguous_range`].
    pub unsafe fn add_ambiguous_range(&mut self, range: Range<usize>) {
        self.ambiguous_ranges.get_mut().push(range);
    }

    /// The end of that for the range that was added last.
    pub fn remove_ambiguous_range(&mut self) {
        self.ambiguous_ranges.get_mut().pop();
    }

    /// Takes `size` bytes from the window.
    pub(super) fn bump(&mut self, size: usize) -> Option<*mut u8> {
        let window = self.window();
        let end = window.cursor.checked_add(size)?;
        if window.cursor == 0 || end > window.limit {
            return None;
        }
        let address = window.cursor;
        window.cursor = end;
        Some(address as *mut u8)
    }

    /// Gives every object in the window its valid-object bit.
    pub(super) fn publish_window(&mut self) {
        let cursor = self.window().cursor;
        let mut address = self.unpublished;
        while address < cursor {
            // SAFETY: the window is zeroed memory in which objects follow each other without gaps.
            unsafe {
                if (address as *const usize).read() == 0 {
                    break; // allocated, its method table not yet stored
                }
                set_valid_object_bit(address);
                address += object_size(address as *const u8);
            }
        }
        self.unpublished = address;
    }

    /// Gives the window back to MMTk's allocator.
    pub fn retire_window(&mut self) {
        self.publish_window();
        if let Some(allocator) = self.immix_allocator() {
            let window = self.window();
            if window.cursor != 0 {
                self.allocated += (window.cursor - self.window_start) as u64;
                // SAFETY: plain numbers that came from this bump pointer.
                let (cursor, limit) = unsafe { (Address::from_usize(window.cursor), Address::from_usize(window.limit)) };
                allocator.bump_pointer.reset(cursor, limit);
            }
        }
        *self.window() = AllocationWindow::default();
        self.window_start = 0;
        self.unpublished = 0;
    }

    /// Takes over what is left of the allocator's bump area.
    pub(super) fn adopt_window(&mut self) {
        let Some(allocator) = self.immix_allocator() else { return };
        let (cursor, limit) = (allocator.bump_pointer.cursor.as_usize(), allocator.bump_pointer.limit.as_usize());
        *self.window() = AllocationWindow { cursor, limit };
        self.window_start = cursor;
        self.unpublished = cursor;
    }

    /// Counts an object that was allocated outside of a window.
    pub(super) fn count_allocated(&mut self, size: usize) {
        self.allocated += size as u64;
    }

    /// Bytes of all objects that the thread has allocated so far.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated + (self.window().cursor - self.window_start) as u64
    }

    fn immix_allocator(&self) -> Option<&'static mut ImmixAllocator<Saki>> {
        match self.selector {
            AllocatorSelector::Immix(_) => {
                // SAFETY: the selector says that there is an Immix allocator at this place.
                Some(unsafe { self.mutator().allocator_impl_mut::<ImmixAllocator<Saki>>(self.selector) })
            }
            _ => None,
        }
    }

    /// The thread is about to run code that touches no object, or to wait. Until [`ThreadHeap::leave_native`] collections go on without it.
    #[inline(never)]
    pub fn enter_native(&self) {
        let here = 0usize;
        // SAFETY: the collector reads the registers only while the thread is in native code.
        unsafe { *self.saved_registers.get() = callee_saved_registers() };
        self.stopped_at.store(std::ptr::from_ref(&here) as usize, Ordering::Relaxed);
        self.state.store(State::Native as u32, Ordering::SeqCst);
    }

    /// From now on the thread is to stand until [`ThreadHeap::resume`]. It stands as soon as [`ThreadHeap::is_standing`] says so.
    pub fn suspend(&self, suspender: Suspender) {
        self.suspenders.fetch_or(suspender as u32, Ordering::SeqCst);
    }

    /// Whether the thread stands, or will before it runs compiled code again; if not, it is asked to.
    ///
    /// # Safety
    /// The thread has not ended and does not before this returns.
    pub unsafe fn is_standing(&self) -> bool {
        let stands = self.state.load(Ordering::SeqCst) != State::Running as u32;
        if !stands {
            // SAFETY: the caller's promise.
            unsafe { libc::pthread_kill(self.native_thread, stop_signal()) };
        }
        stands
    }

    /// The end of [`ThreadHeap::suspend`].
    pub fn resume(&self, suspender: Suspender) {
        let guard = RESUME_LOCK.lock();
        self.suspenders.fetch_and(!(suspender as u32), Ordering::SeqCst);
        if !self.has_to_stand() {
            self.run_again();
        }
        RESUMED.notify_all();
        drop(guard);
    }

    /// The thread, which is the current one, runs no managed code any more: nobody has to suspend it.
    pub fn end_suspensions(&self) {
        self.suspenders.store(0, Ordering::SeqCst);
    }

    /// Program counter, frame pointer and stack pointer of a thread that stands within compiled code; `None` of one that stands in native code
    /// or in the runtime.
    pub fn interrupted_registers(&self) -> Option<(usize, usize, usize)> {
        let [pc, fp, sp] = [0, 1, 2].map(|index: usize| self.interrupted_at[index].load(Ordering::SeqCst));
        (pc != 0).then_some((pc, fp, sp))
    }

    fn run_again(&self) {
        let stopped = State::Stopped as u32;
        if self.state.compare_exchange(stopped, State::Running as u32, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            // SAFETY: a system call that only compares the address with those at which threads wait.
            unsafe { libc::syscall(libc::SYS_futex, self.state.as_ptr(), FUTEX_WAKE, 1) };
        }
    }

    /// Whether the thread has to stand, for a collection or because the program wants it.
    #[inline]
    fn has_to_stand(&self) -> bool {
        STOPPING.load(Ordering::SeqCst) || self.suspenders.load(Ordering::SeqCst) != 0
    }

    /// The native thread.
    pub fn native_thread(&self) -> libc::pthread_t {
        self.native_thread
    }

    /// Whether a collection, or whoever suspends it, waits for this thread, which runs.
    pub fn is_awaited(&self) -> bool {
        self.has_to_stand() && self.state.load(Ordering::Relaxed) == State::Running as u32
    }

    /// Lets a collection begin that waits for this thread, which has been in the runtime for a while.
    #[inline]
    pub fn poll(&self) {
        if self.has_to_stand() {
            self.enter_native();
            self.leave_native();
        }
    }

    /// Native code calls managed code: as [`ThreadHeap::leave_native`], and gives what to go back to, if the thread was in native code.
    pub fn suspend_native(&self) -> Option<NativeState> {
        if self.state.load(Ordering::SeqCst) != State::Native as u32 {
            return None;
        }
        // SAFETY: the registers were stored by this thread.
        let registers = unsafe { *self.saved_registers.get() };
        let state = NativeState { registers, stopped_at: self.stopped_at.load(Ordering::Relaxed) };
        self.leave_native();
        Some(state)
    }

    /// The managed code that native code called returns to it. What the frames above had in registers is the same as before, whatever
    /// the native frames between did.
    pub fn resume_native(&self, state: Option<NativeState>) {
        let Some(state) = state else { return };
        // SAFETY: the collector reads the registers only while the thread is in native code.
        unsafe { *self.saved_registers.get() = state.registers };
        self.stopped_at.store(state.stopped_at, Ordering::Relaxed);
        self.state.store(State::Native as u32, Ordering::SeqCst);
    }

    /// The end of that: waits for a running collection, and for the end of a suspension.
    pub fn leave_native(&self) {
        loop {
            self.state.store(State::Running as u32, Ordering::SeqCst);
            if !self.has_to_stand() {
                return;
            }
            self.state.store(State::Native as u32, Ordering::SeqCst);
            let mut guard = RESUME_LOCK.lock();
            while self.has_to_stand() {
                RESUMED.wait(&mut guard);
            }
        }
    }
}

/// # Safety
/// `address` is that of an object in MMTk's heap, in a line that only this thread allocates in.
unsafe fn set_valid_object_bit(address: usize) {
    // Valid-object bits are the first of MMTk's global side metadata.
    let byte = (GLOBAL_SIDE_METADATA_BASE_ADDRESS.as_usize() + (address >> super::SIDE_BYTE_SHIFT)) as *mut u8;
    // SAFETY: MMTk maps the bits together with the heap; one byte stands for a part of the thread's own line.
    unsafe { *byte |= 1 << ((address >> super::SIDE_BIT_SHIFT) & 7) };
}

fn wait_while_stopping() {
    let mut guard = RESUME_LOCK.lock();
    while STOPPING.load(Ordering::SeqCst) {
        RESUMED.wait(&mut guard);
    }
}

/// Calls `action` with the stack pointer after the registers that may hold references of callers are on the stack.
#[inline(never)]
fn with_registers_on_stack(action: impl FnOnce(usize)) {
    let registers = callee_saved_registers();
    action(registers.as_ptr() as usize);
    std::hint::black_box(&registers);
}

/// A thread that asked for a collection waits for its end.
pub(super) fn block_until_resumed(tls: VMMutatorThread) {
    let heap = heap_of(tls.0);
    with_registers_on_stack(|stack_pointer| {
        heap.stopped_at.store(stack_pointer, Ordering::Relaxed);
        heap.state.store(State::Stopped as u32, Ordering::SeqCst);
        let mut guard = RESUME_LOCK.lock();
        // The collection may not have begun yet: it begins by setting STOPPING, and ends by the state that `resume_all` sets.
        while heap.state.load(Ordering::SeqCst) == State::Stopped as u32 {
            RESUMED.wait(&mut guard);
        }
    });
}

/// Stops all threads; returns when they stand.
pub(super) fn stop_all() {
    STOPPING.store(true, Ordering::SeqCst);
    let threads = THREADS.lock();
    loop {
        let mut running = false;
        for thread in threads.iter() {
            if thread.state.load(Ordering::SeqCst) == State::Running as u32 {
                running = true;
                if INTERRUPTIBLE.get().is_some() {
                    // SAFETY: a thread leaves the registry before it ends, and the registry is locked.
                    unsafe { libc::pthread_kill(thread.native_thread, stop_signal()) };
                }
            }
        }
        if !running {
            break;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    for thread in threads.iter() {
        let heap: *const ThreadHeap = *thread;
        // SAFETY: the thread stands, so the collector is the only user.
        unsafe { (*heap.cast_mut()).retire_window() };
    }
}

/// Lets all threads go on.
pub(super) fn resume_all() {
    let guard = RESUME_LOCK.lock();
    STOPPING.store(false, Ordering::SeqCst);
    for thread in THREADS.lock().iter() {
        if thread.suspenders.load(Ordering::SeqCst) == 0 {
            thread.run_again();
        }
    }
    RESUMED.notify_all();
    drop(guard);
}

/// The real-time signal that stops threads.
fn stop_signal() -> libc::c_int {
    libc::SIGRTMIN() + 4
}

fn install_handler() {
    // SAFETY: a zeroed sigaction with handler and flags set is a valid one; the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = stop_handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(stop_signal(), &action, std::ptr::null_mut());
    }
}

extern "C" fn stop_handler(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    if context.is_null() {
        return;
    }
    let heap = CURRENT.with(|current| current.load(Ordering::Relaxed));
    // SAFETY: the pointer is the thread's own, valid until `detach`; the kernel gives a whole context.
    let (heap, (pc, fp, sp)) = match unsafe { (heap.as_ref(), traps::registers(&*context.cast())) } {
        (Some(heap), registers) => (heap, registers),
        (None, _) => return,
    };
    let interruptible = INTERRUPTIBLE.get().is_some_and(|test| test(pc));
    if !interruptible || !heap.has_to_stand() || heap.state.load(Ordering::SeqCst) != State::Running as u32 {
        return;
    }
    // The kernel saved the registers on this stack, above this frame: scanning from here finds them.
    let here = 0usize;
    heap.stopped_at.store(std::ptr::from_ref(&here) as usize, Ordering::Relaxed);
    let note = |registers: [usize; 3]| {
        heap.interrupted_at.iter().zip(registers).for_each(|(place, register)| place.store(register, Ordering::SeqCst));
    };
    note([pc, fp, sp]);
    heap.state.store(State::Stopped as u32, Ordering::SeqCst);
    while heap.state.load(Ordering::SeqCst) == State::Stopped as u32 {
        // SAFETY: a system call, which is async-signal-safe; it returns at once if the state is another by now.
        unsafe { libc::syscall(libc::SYS_futex, heap.state.as_ptr(), FUTEX_WAIT, State::Stopped as u32, NO_TIME_LIMIT) };
    }
    note([0; 3]);
}

/// Operations of `futex(2)`, among the threads of one process.
const FUTEX_WAIT: libc::c_int = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
const FUTEX_WAKE: libc::c_int = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
const NO_TIME_LIMIT: *const libc::timespec = std::ptr::null();

fn heap_of(tls: VMThread) -> &'static ThreadHeap {
    // SAFETY: mutator identities are addresses of ThreadHeaps, which live until `detach`.
    unsafe { &*(tls.0.to_address().to_ptr::<ThreadHeap>()) }
}

pub(super) fn is_mutator(tls: VMThread) -> bool {
    let address = tls.0.to_address().as_usize();
    CURRENT.with(|current| current.load(Ordering::Relaxed) as usize == address)
        || THREADS.lock().iter().any(|thread| std::ptr::from_ref(*thread) as usize == address)
}

pub(super) fn mutator(tls: VMMutatorThread) -> &'static mut Mutator<Saki> {
    heap_of(tls.0).mutator()
}

pub(super) fn mutators() -> Vec<&'static mut Mutator<Saki>> {
    THREADS.lock().iter().map(|thread| thread.mutator()).collect()
}

/// Number of words that [`callee_saved_registers`] gives.
const SAVED_REGISTERS: usize = 8;

/// The registers that calls preserve, which a function in native code may hold for its callers.
#[cfg(target_arch = "x86_64")]
fn callee_saved_registers() -> [usize; SAVED_REGISTERS] {
    let mut saved = [0; SAVED_REGISTERS];
    // SAFETY: stores six registers to memory of that size.
    unsafe {
        std::arch::asm!(
            "mov [{0}], rbx", "mov [{0} + 8], rbp", "mov [{0} + 16], r12", "mov [{0} + 24], r13", "mov [{0} + 32], r14", "mov [{0} + 40], r15",
            in(reg) saved.as_mut_ptr(), options(nostack, preserves_flags)
        );
    }
    saved
}

/// The registers that calls preserve, which a function in native code may hold for its callers.
#[cfg(target_arch = "x86")]
fn callee_saved_registers() -> [usize; SAVED_REGISTERS] {
    let mut saved = [0; SAVED_REGISTERS];
    // SAFETY: stores four registers to memory of that size.
    unsafe {
        std::arch::asm!(
            "mov [{0}], ebx", "mov [{0} + 4], esi", "mov [{0} + 8], edi", "mov [{0} + 12], ebp",
            in(reg) saved.as_mut_ptr(), options(nostack, preserves_flags)
        );
    }
    saved
}

/// The registers that calls preserve, which a function in native code may hold for its callers.
#[cfg(target_arch = "arm")]
fn callee_saved_registers() -> [usize; SAVED_REGISTERS] {
    let mut saved = [0; SAVED_REGISTERS];
    // SAFETY: stores eight registers to memory of that size.
    unsafe { std::arch::asm!("stm {0}, {{r4-r11}}", in(reg) saved.as_mut_ptr(), options(nostack, preserves_flags)) };
    saved
}

/// Calls `action` with every word on a stopped thread's stack, and with the registers that it left in native code.
pub(super) fn for_each_stack_word(tls: VMMutatorThread, mut action: impl FnMut(usize)) {
    let heap = heap_of(tls.0);
    // SAFETY: the thread stands.
    for register in unsafe { *heap.saved_registers.get() } {
        action(register);
    }
    let stack = heap.stopped_at.load(Ordering::Relaxed) & !(size_of::<usize>() - 1)..heap.stack_base;
    // SAFETY: as above.
    let ranges = unsafe { &*heap.ambiguous_ranges.get() };
    for address in std::iter::once(&stack).chain(ranges).flat_map(|range| range.clone().step_by(size_of::<usize>())) {
        // SAFETY: between the stack pointer of a stopped thread and its base the stack is mapped; so are the ranges, see `add_ambiguous_range`.
        action(unsafe { (address as *const usize).read_volatile() });
    }
}
