//! Kernel-like objects that threads wait for: events, mutexes, semaphores, processes. One lock serves them all. Threads queue for what they wait for, and
//! whoever changes an object hands it to them in their order: who was woken has it already, and nobody wakes who gets nothing. Waits for other things,
//! of which somebody tells (`wake_watchers`), and sleep are here, too, since all of them can be interrupted.

use super::native_text::counted_units;
use super::threads::{self, Interruption};
use super::{InternalCall, icall, io_errors, raising};
use crate::exceptions::Exception;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `WaitHandle.WaitTimeout`
const TIMED_OUT: i32 = 0x102;
const WAIT_FAILED: i32 = 0x7fff_ffff;
/// Added to the index of a mutex whose owner ended without releasing it.
const ABANDONED: i32 = 0x80;
/// How often one looks at processes that are no children.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Handles begin here, so that none is also a file descriptor.
const FIRST_HANDLE: isize = 0x10_0000;

/// What a handle stands for.
enum Waitable {
    Event { manual: bool, set: bool },
    Mutex { owner: u64, count: u32, abandoned: bool },
    Semaphore { count: i32, maximum: i32 },
    Process { number: i32, state: ProcessState },
}

/// What is known of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessState {
    /// A child, of whose end [`process_ended`] will tell.
    Running,
    /// A child that ended with an exit code.
    Ended(i32),
    /// No child: one has to look whether it is still there.
    Foreign,
}

struct Object {
    waitable: Waitable,
    /// Handles to it; a named object can have several.
    handles: u32,
    name: Option<String>,
    /// The numbers of threads that wait for it, first come first served.
    queue: VecDeque<u64>,
}

/// A thread that waits.
struct Blocked {
    /// What for; nothing if it is no objects.
    handles: SmallVec<[isize; 4]>,
    all: bool,
    /// Whether it looks for something else, of which [`wake_watchers`] tells.
    is_watching: bool,
    /// What the wait gives, once it got what it waits for; then it is in no queue any more.
    result: Option<i32>,
    /// Told of a result, and of interruptions.
    woken: Arc<Condvar>,
}

#[derive(Default)]
struct World {
    objects: FxHashMap<isize, Object>,
    names: FxHashMap<String, isize>,
    /// Those of the objects that are mutexes.
    mutexes: FxHashSet<isize>,
    /// By the threads' numbers.
    blocked: FxHashMap<u64, Blocked>,
    next: isize,
}

static WORLD: Mutex<Option<World>> = Mutex::new(None);

fn with_world<T>(action: impl FnOnce(&mut World) -> T) -> T {
    action(WORLD.lock().get_or_insert_with(World::default))
}

/// Wakes all waiting threads, so that they look for interruptions.
pub(super) fn wake_all() {
    with_world(|world| world.wake(|_| true));
}

/// Wakes those that wait in [`wait_until`], so that they look again.
pub(super) fn wake_watchers() {
    with_world(|world| world.wake(|blocked| blocked.is_watching));
}

impl World {
    /// A handle for a new object, or for the one that has the name already; says which.
    fn create(&mut self, name: &[u16], waitable: Waitable) -> (isize, bool) {
        let name = if name.is_empty() { None } else { Some(String::from_utf16_lossy(name)) };
        if let Some(&handle) = name.as_ref().and_then(|name| self.names.get(name)) {
            if let Some(object) = self.objects.get_mut(&handle) {
                object.handles += 1;
                return (handle, false);
            }
        }
        self.next += 1;
        let handle = FIRST_HANDLE + self.next;
        if let Some(name) = &name {
            self.names.insert(name.clone(), handle);
        }
        if matches!(waitable, Waitable::Mutex { .. }) {
            self.mutexes.insert(handle);
        }
        self.objects.insert(handle, Object { waitable, handles: 1, name, queue: VecDeque::new() });
        (handle, true)
    }

    /// Closes a handle. An object that is gone counts as signalled.
    fn close(&mut self, handle: isize) {
        let Some(object) = self.objects.get_mut(&handle) else { return };
        object.handles -= 1;
        if object.handles > 0 {
            return;
        }
        self.mutexes.remove(&handle);
        let Some(object) = self.objects.remove(&handle) else { return };
        if let Some(name) = object.name {
            self.names.remove(&name);
        }
        for thread in object.queue {
            self.hand_over(thread);
        }
    }

    /// Changes the object of a handle, then hands it to those that wait for it. Gives what `change` gives, or nothing where there is no such object.
    fn change<T>(&mut self, handle: isize, change: impl FnOnce(&mut Waitable) -> T) -> Option<T> {
        let object = self.objects.get_mut(&handle)?;
        let result = change(&mut object.waitable);
        if !object.queue.is_empty() {
            self.serve(handle);
        }
        Some(result)
    }

    /// Hands an object to those that wait for it as long as it is signalled. A mutex is not handed over: who releases it often takes it again at once,
    /// and would wait for its turn each time; so the first who could have it is woken and tries.
    fn serve(&mut self, handle: isize) {
        let is_mutex = self.mutexes.contains(&handle);
        let mut passed_over = 0;
        while let Some(&thread) = self.objects.get(&handle).and_then(|object| object.queue.get(passed_over)) {
            if !self.is_signalled(handle, thread) {
                return;
            }
            if is_mutex && self.wake_if_served(thread) {
                return;
            }
            // Some need more than this object.
            if is_mutex || !self.hand_over(thread) {
                passed_over += 1;
            }
        }
    }

    /// Wakes a waiting thread if all that it waits for is there.
    fn wake_if_served(&self, thread: u64) -> bool {
        let Some(blocked) = self.blocked.get(&thread) else { return false };
        let can_end = !blocked.all || blocked.handles.iter().all(|&handle| self.is_signalled(handle, thread));
        if can_end {
            blocked.woken.notify_one();
        }
        can_end
    }

    /// After a thread that was woken for a mutex took none, or another object: the next may have it.
    fn pass_on_mutexes(&mut self, handles: &[isize]) {
        for &handle in handles {
            if self.mutexes.contains(&handle) {
                self.serve(handle);
            }
        }
    }

    /// Gives a waiting thread what it waits for, if all of that is there.
    fn hand_over(&mut self, thread: u64) -> bool {
        let Some(blocked) = self.blocked.get_mut(&thread) else { return false };
        let (handles, all) = (std::mem::take(&mut blocked.handles), blocked.all);
        let result = self.attempt(&handles, all, thread);
        if result.is_some() {
            self.leave_queues(&handles, thread);
        }
        if let Some(blocked) = self.blocked.get_mut(&thread) {
            (blocked.handles, blocked.result) = (handles, result);
            if result.is_some() {
                blocked.woken.notify_one();
            }
        }
        result.is_some()
    }

    /// Notes that a thread waits. It has the lock until it waits for what this gives, and calls [`World::unblock`] afterwards.
    fn block(&mut self, thread: u64, handles: &[isize], all: bool, is_watching: bool) -> Arc<Condvar> {
        for handle in handles {
            match self.objects.get_mut(handle) {
                Some(object) if !object.queue.contains(&thread) => object.queue.push_back(thread),
                _ => {}
            }
        }
        let woken = Arc::new(Condvar::new());
        let handles = SmallVec::from_slice(handles);
        self.blocked.insert(thread, Blocked { handles, all, is_watching, result: None, woken: woken.clone() });
        woken
    }

    /// Wakes some of those that wait.
    fn wake(&self, is_meant: impl Fn(&Blocked) -> bool) {
        for blocked in self.blocked.values().filter(|blocked| is_meant(blocked)) {
            blocked.woken.notify_one();
        }
    }

    /// Ends a thread's wait; gives its result if there is one.
    fn unblock(&mut self, thread: u64) -> Option<i32> {
        let blocked = self.blocked.remove(&thread)?;
        if blocked.result.is_none() {
            self.leave_queues(&blocked.handles, thread);
        }
        blocked.result
    }

    fn leave_queues(&mut self, handles: &[isize], thread: u64) {
        for handle in handles {
            if let Some(object) = self.objects.get_mut(handle) {
                object.queue.retain(|&waiting| waiting != thread);
            }
        }
    }

    fn is_signalled(&self, handle: isize, thread: u64) -> bool {
        match self.objects.get(&handle).map(|object| &object.waitable) {
            Some(Waitable::Event { set, .. }) => *set,
            Some(Waitable::Mutex { owner, .. }) => *owner == 0 || *owner == thread,
            Some(Waitable::Semaphore { count, .. }) => *count > 0,
            Some(Waitable::Process { state: ProcessState::Foreign, number }) => !is_process_alive(*number),
            Some(Waitable::Process { state, .. }) => *state != ProcessState::Running,
            None => true,
        }
    }

    /// What a successful wait does to the object; gives whether a mutex was abandoned.
    fn take(&mut self, handle: isize, thread: u64) -> bool {
        match self.objects.get_mut(&handle).map(|object| &mut object.waitable) {
            Some(Waitable::Event { manual, set }) => {
                *set = *manual;
                false
            }
            Some(Waitable::Mutex { owner, count, abandoned }) => {
                *owner = thread;
                *count += 1;
                std::mem::take(abandoned)
            }
            Some(Waitable::Semaphore { count, .. }) => {
                *count -= 1;
                false
            }
            Some(Waitable::Process { .. }) | None => false,
        }
    }

    /// Whether one of these can become signalled without anybody telling.
    fn must_be_polled(&self, handles: &[isize]) -> bool {
        let is_foreign = |handle| {
            let object: Option<&Object> = self.objects.get(handle);
            object.is_some_and(|object| matches!(object.waitable, Waitable::Process { state: ProcessState::Foreign, .. }))
        };
        handles.iter().any(is_foreign)
    }

    /// One attempt: the result of the wait, if it is over.
    fn attempt(&mut self, handles: &[isize], all: bool, thread: u64) -> Option<i32> {
        if all {
            if !handles.iter().all(|&handle| self.is_signalled(handle, thread)) {
                return None;
            }
            let abandoned: Vec<bool> = handles.iter().map(|&handle| self.take(handle, thread)).collect();
            return Some(abandoned.iter().position(|abandoned| *abandoned).map_or(0, |index| ABANDONED + index as i32));
        }
        let index = (0..handles.len()).find(|&index| self.is_signalled(handles[index], thread))?;
        let abandoned = self.take(handles[index], thread);
        Some(if abandoned { ABANDONED + index as i32 } else { index as i32 })
    }
}

/// How long a wait may take: a negative number of milliseconds is for ever.
pub(super) fn deadline_of(milliseconds: i32) -> Option<Instant> {
    u64::try_from(milliseconds).ok().map(|milliseconds| Instant::now() + Duration::from_millis(milliseconds))
}

/// Waits until `attempt` gives something. It is asked whenever [`wake_watchers`] or [`wake_all`] was called, and may use neither.
pub(super) fn wait_until<T>(
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<T>,
) -> std::result::Result<Option<T>, Interruption> {
    wait_outside_queues(true, deadline, attempt)
}

/// Waits until the time has come.
pub(super) fn sleep(deadline: Option<Instant>) -> std::result::Result<(), Interruption> {
    wait_outside_queues(false, deadline, || None::<()>).map(|_| ())
}

fn wait_outside_queues<T>(
    is_watching: bool,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> Option<T>,
) -> std::result::Result<Option<T>, Interruption> {
    let thread = threads::current_number();
    threads::while_waiting(|| {
        let mut guard = WORLD.lock();
        let mut woken = None;
        let outcome = loop {
            if let Some(interruption) = threads::take_interruption() {
                break Err(interruption);
            }
            if let Some(result) = attempt() {
                break Ok(Some(result));
            }
            if is_over(deadline) {
                break Ok(None);
            }
            let block = || guard.get_or_insert_with(World::default).block(thread, &[], false, is_watching);
            pause(woken.get_or_insert_with(block), &mut guard, deadline);
        };
        guard.as_mut().and_then(|world| world.unblock(thread));
        outcome
    })
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Gives up the lock until the thread is woken or the time has come.
fn pause(woken: &Condvar, guard: &mut MutexGuard<'_, Option<World>>, deadline: Option<Instant>) {
    match deadline {
        None => woken.wait(guard),
        Some(deadline) => drop(woken.wait_until(guard, deadline)),
    }
}

fn wait_for(handles: &[isize], all: bool, milliseconds: i32) -> std::result::Result<i32, Interruption> {
    let deadline = deadline_of(milliseconds);
    let thread = threads::current_number();
    threads::while_waiting(|| {
        let mut guard = WORLD.lock();
        let world = guard.get_or_insert_with(World::default);
        if let Some(interruption) = threads::take_interruption() {
            return Err(interruption);
        }
        if let Some(result) = world.attempt(handles, all, thread) {
            return Ok(result);
        }
        if is_over(deadline) {
            return Ok(TIMED_OUT);
        }
        let must_poll = world.must_be_polled(handles);
        let woken = world.block(thread, handles, all, false);
        loop {
            let poll = must_poll.then(|| Instant::now() + POLL_INTERVAL);
            pause(&woken, &mut guard, deadline.into_iter().chain(poll).min());
            let world = guard.get_or_insert_with(World::default);
            let has_result = world.blocked.get(&thread).is_none_or(|blocked| blocked.result.is_some()) || world.hand_over(thread);
            let interruption = if has_result { None } else { threads::take_interruption() };
            let ends = has_result || interruption.is_some() || is_over(deadline);
            let result = if ends { world.unblock(thread) } else { None };
            world.pass_on_mutexes(handles);
            if ends {
                return interruption.map_or(Ok(result.unwrap_or(TIMED_OUT)), Err);
            }
        }
    })
}

extern "C" fn wait(handles: *const isize, count: i32, all: u8, milliseconds: i32) -> i32 {
    raising(|| {
        if handles.is_null() || count <= 0 {
            return Ok(WAIT_FAILED);
        }
        // SAFETY: the caller passes an array of so many handles, which it keeps in place.
        let handles = unsafe { std::slice::from_raw_parts(handles, count as usize) };
        if all != 0 && (1..handles.len()).any(|index| handles[..index].contains(&handles[index])) {
            return Err(Exception::default_of("System", "DuplicateWaitObjectException"));
        }
        wait_for(handles, all != 0, milliseconds).map_err(Interruption::into_exception)
    })
}

extern "C" fn signal_and_wait(signal: isize, handle: isize, milliseconds: i32) -> i32 {
    raising(|| {
        let change = |object: &mut Waitable| match object {
            Waitable::Event { set, .. } => *set = true,
            Waitable::Semaphore { count, .. } => *count += 1,
            Waitable::Mutex { owner, count, .. } => {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    *owner = 0;
                }
            }
            Waitable::Process { .. } => {}
        };
        with_world(|world| world.change(signal, change));
        wait_for(&[handle], false, milliseconds).map_err(Interruption::into_exception)
    })
}

extern "C" fn create_event(manual: u8, initial: u8, name: *const u16, length: i32, error: *mut i32) -> isize {
    // SAFETY: the caller passes a pinned string with its length.
    let name = unsafe { counted_units(name, length) };
    let (handle, is_new) = with_world(|world| world.create(name, Waitable::Event { manual: manual != 0, set: initial != 0 }));
    super::files::set_error(error, if is_new { io_errors::SUCCESS } else { io_errors::ALREADY_EXISTS });
    handle
}

fn change_event(handle: isize, value: bool) -> bool {
    let change = |object: &mut Waitable| match object {
        Waitable::Event { set, .. } => {
            *set = value;
            true
        }
        _ => false,
    };
    with_world(|world| world.change(handle, change)).unwrap_or(false)
}

extern "C" fn set_event(handle: isize) -> bool {
    change_event(handle, true)
}

extern "C" fn reset_event(handle: isize) -> bool {
    change_event(handle, false)
}

/// Closes a handle of any kind.
pub(super) extern "C" fn close_handle(handle: isize) {
    with_world(|world| world.close(handle));
}

/// Notes that a handle is to be closed once more; gives whether it is one of these.
pub(super) fn duplicate(handle: isize) -> bool {
    with_world(|world| match world.objects.get_mut(&handle) {
        Some(object) => {
            object.handles += 1;
            true
        }
        None => false,
    })
}

/// A handle for a process, and where its end is to be noted.
pub(super) fn create_process(number: i32, state: ProcessState) -> (isize, ProcessWatch) {
    let (handle, _) = with_world(|world| world.create(&[], Waitable::Process { number, state }));
    (handle, ProcessWatch(handle))
}

/// Where the end of a child is to be noted.
pub(super) struct ProcessWatch(isize);

/// Notes the end of a child; if its handle was closed meanwhile, nothing.
pub(super) fn process_ended(watch: &ProcessWatch, exit_code: i32) {
    let change = |object: &mut Waitable| {
        if let Waitable::Process { state, .. } = object {
            *state = ProcessState::Ended(exit_code);
        }
    };
    with_world(|world| world.change(watch.0, change));
}

/// Number and state of the process of a handle.
pub(super) fn process_of(handle: isize) -> Option<(i32, ProcessState)> {
    with_world(|world| match world.objects.get(&handle)?.waitable {
        Waitable::Process { number, state } => Some((number, state)),
        _ => None,
    })
}

/// Whether there is a process with this number that has not ended.
pub(super) fn is_process_alive(number: i32) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(number, 0) == 0 || super::native_text::last_errno() == libc::EPERM }
}

fn open_named(name: *const u16, length: i32, error: *mut i32) -> isize {
    // SAFETY: the caller passes a pinned string with its length.
    let name = String::from_utf16_lossy(unsafe { counted_units(name, length) });
    let handle = with_world(|world| {
        let handle = *world.names.get(&name)?;
        world.objects.get_mut(&handle)?.handles += 1;
        Some(handle)
    });
    super::files::set_error(error, if handle.is_some() { io_errors::SUCCESS } else { io_errors::FILE_NOT_FOUND });
    handle.unwrap_or(0)
}

extern "C" fn open_object(name: *const u16, length: i32, _rights: i32, error: *mut i32) -> isize {
    open_named(name, length, error)
}

extern "C" fn create_mutex(initially_owned: u8, name: *const u16, length: i32, created: *mut bool) -> isize {
    let (owner, count) = if initially_owned != 0 { (threads::current_number(), 1) } else { (0, 0) };
    // SAFETY: the caller passes a pinned string with its length.
    let name = unsafe { counted_units(name, length) };
    let (handle, is_new) = with_world(|world| world.create(name, Waitable::Mutex { owner, count, abandoned: false }));
    // SAFETY: the address of the caller's variable.
    unsafe { created.write(is_new) };
    handle
}

extern "C" fn release_mutex(handle: isize) -> bool {
    let thread = threads::current_number();
    let change = |object: &mut Waitable| match object {
        Waitable::Mutex { owner, count, .. } if *owner == thread => {
            *count -= 1;
            if *count == 0 {
                *owner = 0;
            }
            true
        }
        // Whoever finds a mutex abandoned may release it.
        Waitable::Mutex { abandoned: true, .. } => true,
        _ => false,
    };
    with_world(|world| world.change(handle, change)).unwrap_or(false)
}

/// Gives up the mutexes of a thread that ends.
pub(super) fn abandon_mutexes(thread: u64) {
    let give_up = |object: &mut Waitable| match object {
        Waitable::Mutex { owner, count, abandoned } if *owner == thread => (*owner, *count, *abandoned) = (0, 0, true),
        _ => {}
    };
    with_world(|world| {
        let mutexes: Vec<isize> = world.mutexes.iter().copied().collect();
        for mutex in mutexes {
            world.change(mutex, give_up);
        }
    });
}

extern "C" fn create_semaphore(initial: i32, maximum: i32, name: *const u16, length: i32, error: *mut i32) -> isize {
    // SAFETY: the caller passes a pinned string with its length.
    let name = unsafe { counted_units(name, length) };
    let (handle, is_new) = with_world(|world| world.create(name, Waitable::Semaphore { count: initial, maximum }));
    super::files::set_error(error, if is_new { io_errors::SUCCESS } else { io_errors::ALREADY_EXISTS });
    handle
}

extern "C" fn release_semaphore(handle: isize, release: i32, previous: *mut i32) -> bool {
    let change = |object: &mut Waitable| match object {
        Waitable::Semaphore { count, maximum } => {
            // SAFETY: the address of the caller's variable.
            unsafe { previous.write(*count) };
            let fits = count.checked_add(release).is_some_and(|sum| sum <= *maximum);
            if fits {
                *count += release;
            }
            fits
        }
        _ => false,
    };
    with_world(|world| world.change(handle, change)).unwrap_or(false)
}

impl Interruption {
    /// The exception that an interrupted wait raises.
    pub fn into_exception(self) -> Exception {
        match self {
            Interruption::Interrupted => {
                Exception::new("System.Threading", "ThreadInterruptedException", "Thread was interrupted from a waiting state.")
            }
            Interruption::Aborted => crate::abort::exception(),
        }
    }
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Threading.Mutex:CreateMutex_icall (bool,char*,int,bool&)", create_mutex as *const ()),
    icall("System.Threading.Mutex:OpenMutex_icall", open_object as *const ()),
    icall("System.Threading.Mutex:ReleaseMutex_internal (intptr)", release_mutex as *const ()),
    icall("System.Threading.NativeEventCalls:CloseEvent_internal (intptr)", close_handle as *const ()),
    icall("System.Threading.NativeEventCalls:CreateEvent_icall (bool,bool,char*,int,int&)", create_event as *const ()),
    icall("System.Threading.NativeEventCalls:OpenEvent_icall", open_object as *const ()),
    icall("System.Threading.NativeEventCalls:ResetEvent_internal (intptr)", reset_event as *const ()),
    icall("System.Threading.NativeEventCalls:SetEvent_internal (intptr)", set_event as *const ()),
    icall("System.Threading.Semaphore:CreateSemaphore_icall (int,int,char*,int,int&)", create_semaphore as *const ()),
    icall("System.Threading.Semaphore:OpenSemaphore_icall", open_object as *const ()),
    icall("System.Threading.Semaphore:ReleaseSemaphore_internal (intptr,int,int&)", release_semaphore as *const ()),
    icall("System.Threading.WaitHandle:SignalAndWait_Internal (intptr,intptr,int)", signal_and_wait as *const ()),
    icall("System.Threading.WaitHandle:Wait_internal (intptr*,int,bool,int)", wait as *const ()),
];
