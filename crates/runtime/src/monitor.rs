//! Monitors: a thin lock in the object's header, for one thread at a time, with waiting in a table beside the heap.
//!
//! The synchronisation word: bit 31 marks a hash code (30 bits below); else bits 0 to 15 are the owner's number and bits 16 to 29 the
//! recursion. A word with bit 30 is the number of an inflated monitor, which is dropped some time after its object is dead.

use crate::exceptions::{Exception, Result};
use crate::gc;
use crate::icalls::threads::{self, Interruption};
use crate::id_table::IdTable;
use crate::object::ObjectRef;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const HASH: u32 = 1 << 31;
const INFLATED: u32 = 1 << 30;
const RECURSION_ONE: u32 = 1 << 16;
const OWNER_MASK: u32 = RECURSION_ONE - 1;

/// A monitor of its own: contended, waited on, or of an object whose hash code takes the header's word.
struct Inflated {
    state: Mutex<State>,
    entering: Condvar,
    hash: u32,
}

#[derive(Default)]
struct State {
    owner: u32,
    recursion: u32,
    /// The threads that wait for a pulse, in their order: what wakes each of them.
    queue: VecDeque<Arc<Condvar>>,
    /// Those that got one. They are woken when the monitor is free: before, they could do nothing.
    pulsed: VecDeque<Arc<Condvar>>,
}

impl State {
    /// Frees the monitor; gives who comes next, if that is one that got a pulse.
    fn release(&mut self) -> Option<Arc<Condvar>> {
        self.owner = 0;
        self.pulsed.pop_front()
    }
}

impl Inflated {
    /// Wakes who comes next, else one that wants to enter.
    fn wake(&self, next: Option<Arc<Condvar>>) {
        next.as_deref().unwrap_or(&self.entering).notify_one();
    }
}

/// The monitors beside the heap. Those of dead objects are looked for when the table has become twice as large as after the last look.
struct Table {
    entries: Vec<Option<Entry>>,
    /// Numbers of the empty entries.
    free: Vec<usize>,
    /// Entries in use at which dead objects are looked for.
    sweep_at: usize,
}

struct Entry {
    monitor: Arc<Inflated>,
    /// The weak handle by which the object is seen to be dead. It tracks resurrection, since finalisers may lock.
    object: usize,
}

/// No dead objects are looked for as long as the table is smaller.
const FIRST_SWEEP: usize = 1024;

/// Monitors in which threads are blocked, one entry for each thread.
static BLOCKED: Mutex<Vec<Arc<Inflated>>> = Mutex::new(Vec::new());
static MONITORS: RwLock<Table> = RwLock::new(Table { entries: Vec::new(), free: Vec::new(), sweep_at: FIRST_SWEEP });
/// Where the monitors of the table are, for those that use one: without its lock, which all threads would share.
static PLACES: LazyLock<IdTable<AtomicPtr<Inflated>>> = LazyLock::new(IdTable::new);
static NEXT_HASH: AtomicU32 = AtomicU32::new(0x1234_5678);
/// Numbers of threads that have ended, the first of them first, and the lowest that no thread had yet.
static NUMBERS: Mutex<(VecDeque<u32>, u32)> = Mutex::new((VecDeque::new(), 1));

/// The number of a thread in thin locks, given back at the thread's end. 0 means nobody.
struct Number(u32);

impl Number {
    /// # Panics
    /// If more threads run than a header's word can tell apart.
    fn new() -> Number {
        let (free, fresh) = &mut *NUMBERS.lock();
        // Numbers are used again late, so that few locks that a thread never left are taken for another's.
        if let Some(number) = free.pop_front() {
            return Number(number);
        }
        let number = *fresh;
        assert!(number <= OWNER_MASK, "more than {OWNER_MASK} threads use monitors");
        *fresh += 1;
        Number(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        NUMBERS.lock().0.push_back(self.0);
    }
}

thread_local! {
    static NUMBER: Number = Number::new();
}

fn own_number() -> u32 {
    NUMBER.with(|number| number.0)
}

impl Table {
    fn insert(&mut self, entry: Entry) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        if let Some(place) = PLACES.entry_within(number as u32) {
            place.store(Arc::as_ptr(&entry.monitor).cast_mut(), Ordering::Release);
        }
        self.entries[number] = Some(entry);
        number as u32
    }

    /// Drops the monitors of dead objects if there may be many.
    fn sweep_if_due(&mut self) {
        if self.entries.len() - self.free.len() < self.sweep_at {
            return;
        }
        for (number, place) in self.entries.iter_mut().enumerate() {
            if let Some(dead) = place.take_if(|entry| gc::handle_target(entry.object).is_null()) {
                gc::free_handle(dead.object);
                self.free.push(number);
            }
        }
        self.sweep_at = FIRST_SWEEP.max((self.entries.len() - self.free.len()) * 2);
    }
}

/// The object's hash code, the same for its life.
pub fn hash_code(object: ObjectRef) -> i32 {
    let sync = &object.header().sync;
    loop {
        let word = sync.load(Ordering::Acquire);
        if word & HASH != 0 {
            return (word & !HASH) as i32;
        }
        if word & INFLATED != 0 {
            return inflated(object, word).hash as i32;
        }
        if word == 0 {
            let hash = next_hash();
            if sync.compare_exchange(0, hash | HASH, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return hash as i32;
            }
        } else {
            inflate(object, word);
        }
    }
}

fn next_hash() -> u32 {
    let seed = NEXT_HASH.fetch_add(0x9e37_79b9, Ordering::Relaxed);
    let mixed = (seed ^ seed >> 15).wrapping_mul(0x2c1b_3c6d);
    (mixed ^ mixed >> 12) & (INFLATED - 1)
}

/// The monitor of an object. Both live as long as this does.
struct Held {
    object: ObjectRef,
    monitor: ManuallyDrop<Arc<Inflated>>,
}

impl Deref for Held {
    type Target = Arc<Inflated>;

    fn deref(&self) -> &Arc<Inflated> {
        &self.monitor
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Until here the collector finds the object on the stack, so the table keeps its monitor.
        std::hint::black_box(&self.object);
    }
}

/// The monitor of an object with this word.
fn inflated(object: ObjectRef, word: u32) -> Held {
    let number = word & (INFLATED - 1);
    let place = PLACES.get(number).map(|place| place.load(Ordering::Acquire).cast_const());
    let address = place.unwrap_or_else(|| {
        let table = MONITORS.read();
        let entry = table.entries[number as usize].as_ref();
        Arc::as_ptr(&entry.expect("a live object's monitor is in the table").monitor)
    });
    // SAFETY: the table counts this monitor for as long as the object lives, and what is made here gives up no count.
    Held { object, monitor: ManuallyDrop::new(unsafe { Arc::from_raw(address) }) }
}

/// Replaces the word, which is `word` now, by a monitor in the table. Another word is left alone.
fn inflate(object: ObjectRef, word: u32) {
    if word & (HASH | INFLATED) == INFLATED {
        return;
    }
    let mut state = State::default();
    let hash = if word & HASH != 0 { word & !HASH } else { next_hash() };
    if word & HASH == 0 && word != 0 {
        state.owner = word & OWNER_MASK;
        state.recursion = word >> 16;
    }
    let monitor = Arc::new(Inflated { state: Mutex::new(state), entering: Condvar::new(), hash });
    let handle = gc::allocate_handle(object.raw().cast(), gc::HandleKind::WeakTrackResurrection);
    let mut table = MONITORS.write();
    table.sweep_if_due();
    let number = table.insert(Entry { monitor, object: handle });
    let sync = &object.header().sync;
    if sync.compare_exchange(word, number | INFLATED, Ordering::AcqRel, Ordering::Acquire).is_err() {
        table.entries[number as usize] = None;
        table.free.push(number as usize);
        gc::free_handle(handle);
    }
}

/// The object's monitor in the table.
fn monitor_of(object: ObjectRef) -> Held {
    loop {
        let word = object.header().sync.load(Ordering::Acquire);
        if word & INFLATED != 0 && word & HASH == 0 {
            return inflated(object, word);
        }
        inflate(object, word);
    }
}

/// Enters the object's monitor.
pub fn enter(object: ObjectRef) -> Result<()> {
    try_enter(object, None).map(|_| ())
}

/// Enters the object's monitor unless that takes longer than `timeout`; says whether it did.
pub fn try_enter(object: ObjectRef, timeout: Option<Duration>) -> Result<bool> {
    let own = own_number();
    let sync = &object.header().sync;
    let word = sync.load(Ordering::Acquire);
    if word == 0 && sync.compare_exchange(0, own, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        return Ok(true);
    }
    if word & (HASH | INFLATED) == 0 && word & OWNER_MASK == own && word < INFLATED - RECURSION_ONE {
        let again = word + RECURSION_ONE;
        if sync.compare_exchange(word, again, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return Ok(true);
        }
    }
    let monitor = monitor_of(object);
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut state = monitor.state.lock();
    if state.owner == own {
        state.recursion += 1;
        return Ok(true);
    }
    if state.owner != 0 {
        return while_blocked(&monitor, || {
            while state.owner != 0 {
                if let Some(interruption) = threads::take_interruption() {
                    drop(state);
                    return Err(interruption);
                }
                let timed_out = wait_until(&monitor.entering, &mut state, deadline);
                if timed_out && state.owner != 0 {
                    drop(state);
                    return Ok(false);
                }
            }
            state.owner = own;
            drop(state);
            Ok(true)
        });
    }
    state.owner = own;
    Ok(true)
}

/// Waits for a change; says whether the time is over.
fn wait_until(change: &Condvar, state: &mut MutexGuard<'_, State>, deadline: Option<Instant>) -> bool {
    match deadline {
        None => {
            change.wait(state);
            false
        }
        Some(deadline) => change.wait_until(state, deadline).timed_out(),
    }
}

/// Runs a wait for a change of a monitor, during which collections go on, and [`wake_blocked`] wakes the thread.
fn while_blocked<T>(monitor: &Arc<Inflated>, wait: impl FnOnce() -> std::result::Result<T, Interruption>) -> Result<T> {
    BLOCKED.lock().push(monitor.clone());
    let result = threads::while_waiting(wait);
    let mut blocked = BLOCKED.lock();
    if let Some(index) = blocked.iter().rposition(|known| Arc::ptr_eq(known, monitor)) {
        blocked.swap_remove(index);
    }
    drop(blocked);
    result.map_err(Interruption::into_exception)
}

/// Wakes all threads that are blocked in monitors, so that they look for interruptions.
pub fn wake_blocked() {
    let blocked: Vec<Arc<Inflated>> = BLOCKED.lock().clone();
    for monitor in blocked {
        let state = monitor.state.lock();
        monitor.entering.notify_all();
        for woken in &state.queue {
            woken.notify_one();
        }
    }
}

fn not_owner() -> Exception {
    Exception::new(
        "System.Threading",
        "SynchronizationLockException",
        "Object synchronization method was called from an unsynchronized block of code.",
    )
}

/// Leaves the object's monitor.
pub fn exit(object: ObjectRef) -> Result<()> {
    let own = own_number();
    let sync = &object.header().sync;
    loop {
        let word = sync.load(Ordering::Acquire);
        if word & (HASH | INFLATED) != 0 {
            break;
        }
        if word == 0 || word & OWNER_MASK != own {
            return Err(not_owner());
        }
        let next = word.saturating_sub(RECURSION_ONE);
        if sync.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return Ok(());
        }
    }
    let monitor = monitor_of(object);
    let mut state = monitor.state.lock();
    if state.owner != own {
        return Err(not_owner());
    }
    if state.recursion > 0 {
        state.recursion -= 1;
    } else {
        let next = state.release();
        drop(state);
        monitor.wake(next);
    }
    Ok(())
}

/// Whether the current thread is in the object's monitor.
pub fn is_entered(object: ObjectRef) -> bool {
    let word = object.header().sync.load(Ordering::Acquire);
    match word {
        0 => false,
        word if word & HASH != 0 => false,
        word if word & INFLATED != 0 => inflated(object, word).state.lock().owner == own_number(),
        word => word & OWNER_MASK == own_number(),
    }
}

/// `Monitor.Wait`: leaves the monitor until a pulse; says whether one came before the timeout.
pub fn wait(object: ObjectRef, timeout: Option<Duration>) -> Result<bool> {
    let own = own_number();
    let monitor = monitor_of(object);
    let mut state = monitor.state.lock();
    if state.owner != own {
        return Err(not_owner());
    }
    let recursion = std::mem::take(&mut state.recursion);
    let woken = Arc::new(Condvar::new());
    state.queue.push_back(woken.clone());
    monitor.wake(state.release());
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    while_blocked(&monitor, || {
        let mut result = Ok(true);
        let is_queued = |state: &State| state.queue.iter().any(|waiting| Arc::ptr_eq(waiting, &woken));
        while is_queued(&state) {
            if let Some(interruption) = threads::take_interruption() {
                result = Err(interruption);
            } else if wait_until(&woken, &mut state, deadline) && is_queued(&state) {
                result = Ok(false);
            } else {
                continue;
            }
            // A later pulse must reach somebody who still waits.
            state.queue.retain(|waiting| !Arc::ptr_eq(waiting, &woken));
            break;
        }
        state.pulsed.retain(|waiting| !Arc::ptr_eq(waiting, &woken));
        while state.owner != 0 {
            monitor.entering.wait(&mut state);
        }
        state.owner = own;
        state.recursion = recursion;
        drop(state);
        result
    })
}

/// `Monitor.Pulse` and `PulseAll`.
pub fn pulse(object: ObjectRef, all: bool) -> Result<()> {
    let monitor = monitor_of(object);
    let mut state = monitor.state.lock();
    if state.owner != own_number() {
        return Err(not_owner());
    }
    let pulsed = if all { state.queue.len() } else { state.queue.len().min(1) };
    let State { queue, pulsed: woken, .. } = &mut *state;
    woken.extend(queue.drain(..pulsed));
    Ok(())
}
