//! Threads that run managed code: the structure that compiled code reaches through its thread register, and what else belongs to one.

use crate::abort::Abortable;
use crate::domain::Domain;
use crate::gc::{self, AllocationWindow, ThreadHeap};
use crate::local_statics;
use crate::object::{ABI, ObjectRef};
use crate::stack_guard::StackGuard;
use crate::stack_walk::{Activation, FilterActivation};
use ir::mach::LandingContext;
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// A thread. Its first fields are those that [`compiler::abi`] fixes.
#[repr(C)]
pub struct Thread {
    /// Where compiled code allocates.
    pub window: AllocationWindow,
    /// Stack pointer of the innermost managed frame that called into the runtime.
    pub last_managed_sp: usize,
    /// Address at which that frame goes on, on machines that do not push it.
    pub last_managed_pc: usize,
    /// Lowest stack pointer with which the runtime's helpers run, see [`crate::stack_guard`].
    pub stack_limit: usize,
    /// Table of static fields of this thread.
    pub statics: usize,
    /// Stack pointer of the innermost running filter.
    pub filter_sp: usize,
    /// The address of this structure, for machines on which compiled code reaches it through a segment register.
    self_pointer: usize,
    /// Whether the thread is to be aborted: one of [`compiler::abi::abort_states`].
    pub abort_state: AtomicU32,

    /// The collector's part.
    heap: *mut ThreadHeap,
    /// Innermost entry from native into managed code.
    pub activation: *const Activation,
    /// Innermost running filter.
    pub filter: *const FilterActivation,
    /// Where the exception goes that is leaving managed code, if that is beyond the native code around.
    pub passing_target: Option<crate::unwind::Target>,
    /// What unwinding is doing, while finally handlers run.
    pub unwind: Vec<crate::unwind::Unwind>,
    /// Areas of thread static fields.
    pub static_areas: local_statics::Areas,
    /// The areas that were asked for last, by the low bits of the class's number.
    pub recent_static_areas: [(usize, usize); RECENT_AREAS],
    /// The domain that it is in.
    pub domain: &'static Domain,
    /// The domain in which the next method called by reflection is to run, if it is another.
    pub next_domain: Option<&'static Domain>,
    /// Roots that hold the thread's `Thread` objects in domains that it has left, by their numbers.
    pub thread_objects: FxHashMap<i32, *mut ObjectRef>,
    /// References that belong to the thread: an area of [`ROOTS`] slots.
    pub roots: *mut ObjectRef,
    /// Lowest mapped address of the stack.
    pub stack_low: usize,
    /// Highest address of the stack.
    pub stack_high: usize,
    /// Frame pointer of the frame that caught the exception of an abort.
    pub abort_frame: usize,
    /// `errno` of the last P/Invoke that asked to keep it.
    pub last_error: i32,
    /// What notices that the stack is used up.
    pub stack_guard: StackGuard,
    /// Where the thread lands after an overflow of the stack.
    pub landing: LandingContext,
    /// Memory on which signal handlers run.
    signal_stack: Vec<u64>,
    /// By what other threads reach this one, if they can.
    pub abortable: Option<Arc<Abortable>>,
}

/// Length of [`Thread::recent_static_areas`].
pub const RECENT_AREAS: usize = 8;
/// Slots of [`Thread::roots`].
pub const ROOTS: usize = 8;
/// Slot of the `System.Threading.InternalThread` object.
pub const ROOT_THREAD_OBJECT: usize = 0;
/// Slot of the exception that leaves managed code at the innermost activation.
pub const ROOT_EXCEPTION: usize = 1;

/// Slot of the `System.Threading.Thread` object.
pub const ROOT_MANAGED_THREAD: usize = 2;
/// Slot of the `Context` that the thread is in, or null for the default one.
pub const ROOT_CONTEXT: usize = 3;
/// Slot of the exception by which the thread is being aborted.
pub const ROOT_ABORT: usize = 4;

const _: () = {
    assert!(std::mem::offset_of!(Thread, window) == ABI.thread_allocation_cursor() as usize);
    assert!(std::mem::offset_of!(Thread, last_managed_sp) == ABI.thread_layout().last_managed_sp as usize);
    assert!(std::mem::offset_of!(Thread, last_managed_pc) == ABI.thread_layout().last_managed_pc as usize);
    assert!(std::mem::offset_of!(Thread, stack_limit) == ABI.thread_layout().stack_limit as usize);
    assert!(std::mem::offset_of!(Thread, statics) == ABI.thread_statics() as usize);
    assert!(std::mem::offset_of!(Thread, filter_sp) == ABI.thread_filter_sp() as usize);
    assert!(std::mem::offset_of!(Thread, abort_state) == ABI.thread_abort_state() as usize);
    assert!(std::mem::offset_of!(Thread, self_pointer) == ABI.thread_layout().self_pointer as usize);
};

thread_local! {
    static CURRENT: Cell<*mut Thread> = const { Cell::new(std::ptr::null_mut()) };
}

/// A thread that is attached; ends with it.
struct Attached;

impl Drop for Attached {
    fn drop(&mut self) {
        let Some(thread) = Thread::try_current() else { return };
        // It is in native code if that ends it.
        thread.heap().suspend_native();
        thread.detach();
    }
}

thread_local! {
    static ATTACHED: Cell<Option<Attached>> = const { Cell::new(None) };
}

/// Runs native code, which may wait or call back, while collections go on without this thread and others may look at its stack. Nothing of the
/// caller's may need a drop: an exception may pass over it.
pub fn in_native_code<T>(body: impl FnOnce() -> T) -> T {
    let heap = Thread::current().heap();
    heap.enter_native();
    let result = body();
    heap.leave_native();
    result
}

impl Thread {
    /// The current thread.
    ///
    /// # Panics
    /// If it is not attached.
    #[inline]
    pub fn current() -> &'static mut Thread {
        let thread = CURRENT.get();
        assert!(!thread.is_null(), "the thread is not attached to the runtime");
        // SAFETY: the structure lives until `detach`, and only its own thread gets at it here. No reference is held over a call that makes another:
        // users take it for a field access.
        unsafe { &mut *thread }
    }

    /// The current thread, if it is attached. Usable in a signal handler.
    pub fn try_current() -> Option<&'static mut Thread> {
        // SAFETY: as in `current`.
        unsafe { CURRENT.get().as_mut() }
    }

    /// Makes the current thread one that runs managed code.
    pub fn attach() -> &'static mut Thread {
        if let Some(thread) = Thread::try_current() {
            return thread;
        }
        let (stack_low, stack_high) = stack_bounds();
        let (stack_guard, stack_limit) = StackGuard::install(stack_low..stack_high);
        let thread = Box::leak(Box::new(Thread {
            window: AllocationWindow::default(),
            last_managed_sp: 0,
            last_managed_pc: 0,
            stack_limit,
            statics: 0,
            filter_sp: 0,
            self_pointer: 0,
            abort_state: AtomicU32::new(0),
            abort_frame: 0,
            heap: std::ptr::null_mut(),
            activation: std::ptr::null(),
            filter: std::ptr::null(),
            passing_target: None,
            unwind: Vec::new(),
            static_areas: local_statics::Areas::default(),
            recent_static_areas: [(0, 0); RECENT_AREAS],
            domain: crate::runtime().root_domain(),
            next_domain: None,
            thread_objects: FxHashMap::default(),
            roots: crate::roots::allocate_area(ROOTS),
            stack_low,
            stack_high,
            last_error: 0,
            stack_guard,
            landing: LandingContext { pc: 0, fp: 0, sp: 0, exception: 0 },
            signal_stack: Vec::new(),
            abortable: None,
        }));
        thread.self_pointer = std::ptr::from_ref(thread) as usize;
        set_thread_register(thread);
        // SAFETY: the window is part of a structure that is freed after it is detached.
        thread.heap = unsafe { gc::attach(&raw mut thread.window, stack_high) };
        CURRENT.set(thread);
        crate::traps::use_alternate_stack(&mut thread.signal_stack);
        thread
    }

    /// The end of what [`Thread::attach`] began: the current thread, which is this one, runs no managed code any more.
    pub fn detach(&'static mut self) {
        if let Some(abortable) = self.abortable.take() {
            abortable.end();
        }
        // While this thread still runs for the collector, which so does not look at roots.
        // SAFETY: made with these lengths, and this thread's own.
        unsafe {
            crate::roots::free_area(self.roots, ROOTS);
            for (_, slot) in self.thread_objects.drain() {
                crate::roots::free_area(slot, 1);
            }
        }
        local_statics::release(&self.static_areas);
        gc::detach(self.heap());
        CURRENT.set(std::ptr::null_mut());
        crate::traps::leave_alternate_stack();
        self.stack_guard.remove();
        // SAFETY: made by `Box::leak` in `attach`. Others reach it by its `Abortable`, which has ended.
        drop(unsafe { Box::from_raw(self) });
    }

    /// The current thread, which native code made: attached if it was not, and until it ends.
    pub fn attach_for_callback() -> &'static mut Thread {
        if let Some(thread) = Thread::try_current() {
            return thread;
        }
        let thread = Thread::attach_until_exit();
        if let Err(exception) = crate::icalls::threads::become_background() {
            crate::unhandled::report_and_exit(exception.into_object());
        }
        thread.heap().enter_native();
        thread
    }

    /// Attaches the current thread until [`Thread::end_attachment`], or until it ends, be it within native code (`pthread_exit`).
    pub fn attach_until_exit() -> &'static mut Thread {
        let thread = Thread::attach();
        ATTACHED.set(Some(Attached));
        thread
    }

    /// The end of [`Thread::attach_until_exit`].
    pub fn end_attachment() {
        ATTACHED.set(None);
    }

    /// The collector's part, for other threads.
    pub fn shared_heap(&self) -> &ThreadHeap {
        // SAFETY: set by `attach`, lives as long as the thread.
        unsafe { &*self.heap }
    }

    /// The collector's part.
    #[inline]
    pub fn heap(&mut self) -> &'static mut ThreadHeap {
        // SAFETY: set by `attach`, lives as long as the thread.
        unsafe { &mut *self.heap }
    }

    /// A slot of the thread's root area.
    pub fn root(&self, index: usize) -> ObjectRef {
        assert!(index < ROOTS);
        // SAFETY: the area has ROOTS slots.
        unsafe { self.roots.add(index).read() }
    }

    /// Sets a slot of the thread's root area.
    pub fn set_root(&self, index: usize, object: ObjectRef) {
        assert!(index < ROOTS);
        // SAFETY: the area has ROOTS slots.
        unsafe { self.roots.add(index).write(object) }
    }
}

/// Elsewhere the thread register is a general one, which the stubs load.
#[cfg(not(target_arch = "x86"))]
fn set_thread_register(_thread: &Thread) {}

/// Makes segment fs of this thread begin at the structure (the C library's own is gs).
#[cfg(target_arch = "x86")]
fn set_thread_register(thread: &Thread) {
    use std::sync::atomic::{AtomicI32, Ordering};

    /// The kernel's `struct user_desc`.
    #[repr(C)]
    struct UserDescriptor {
        entry_number: i32,
        base: usize,
        limit: u32,
        flags: u32,
    }
    /// Bits of `flags`: 32-bit segment, limit in pages, useable.
    const FLAGS: u32 = 1 | 1 << 4 | 1 << 6;
    /// The entry of the descriptor table that the first thread got: the kernel keeps one table per thread, so all use the same.
    static ENTRY: AtomicI32 = AtomicI32::new(-1);

    let mut descriptor = UserDescriptor {
        entry_number: ENTRY.load(Ordering::Relaxed),
        base: std::ptr::from_ref(thread) as usize,
        limit: 0xf_ffff,
        flags: FLAGS,
    };
    // SAFETY: the kernel reads the descriptor and writes its entry number; the selector loaded is that of this entry, for user mode.
    unsafe {
        let status = libc::syscall(libc::SYS_set_thread_area, &raw mut descriptor);
        assert!(status == 0, "the kernel gives no segment for the thread: {}", std::io::Error::last_os_error());
        let selector = (descriptor.entry_number << 3 | 3) as u16;
        std::arch::asm!("mov fs, {0:x}", in(reg) selector, options(nomem, nostack, preserves_flags));
    }
    ENTRY.store(descriptor.entry_number, Ordering::Relaxed);
}

fn stack_bounds() -> (usize, usize) {
    // SAFETY: glibc fills the attributes of the calling thread; they are destroyed after use.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) == 0 {
            libc::pthread_attr_getstack(&attributes, &mut low, &mut size);
            libc::pthread_attr_destroy(&mut attributes);
        }
        (low as usize, low as usize + size)
    }
}
