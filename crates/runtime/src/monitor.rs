//! Monitors: a thin lock in the object's header, for one thread at a time, with waiting in a table beside the heap.
//!
//! The synchronisation word: bit 31 marks a hash code (30 bits below); else bits 0 to 15 are the owner's number and bits 16 to 29 the
//! recursion. A word with bit 30 is the number of an inflated monitor.

use crate::exceptions::{Exception, Result};
use crate::icalls::threads::{self, Interruption};
use crate::object::ObjectRef;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const HASH: u32 = 1 << 31;
const INFLATED: u32 = 1 << 30;
const RECURSION_ONE: u32 = 1 << 16;
const OWNER_MASK: u32 = RECURSION_ONE - 1;

/// A monitor of its own: contended, waited on, or of an object whose hash code takes the header's word.
struct Inflated {
    state: Mutex<State>,
    entering: Condvar,
    waiting: Condvar,
    hash: u32,
}

#[derive(Default)]
struct State {
    owner: u32,
    recursion: u32,
    /// Counts pulses, and how many of them are for all or for one waiter.
    waiters: u64,
    released: u64,
}

/// Monitors in which threads are blocked, one entry for each thread.
static BLOCKED: Mutex<Vec<&'static Inflated>> = Mutex::new(Vec::new());
static MONITORS: Mutex<Vec<&'static Inflated>> = Mutex::new(Vec::new());
static NEXT_THREAD: AtomicU32 = AtomicU32::new(1);
static NEXT_HASH: AtomicU32 = AtomicU32::new(0x1234_5678);

thread_local! {
    static NUMBER: u32 = NEXT_THREAD.fetch_add(1, Ordering::Relaxed) & OWNER_MASK;
}

fn own_number() -> u32 {
    NUMBER.with(|number| *number)
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
            return inflated(word).hash as i32;
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

fn inflated(word: u32) -> &'static Inflated {
    MONITORS.lock()[(word & (INFLATED - 1)) as usize]
}

/// Replaces the word, which is `word` now, by a monitor in the table. Another word is left alone.
fn inflate(object: ObjectRef, word: u32) {
    let mut state = State::default();
    let hash = if word & HASH != 0 { word & !HASH } else { next_hash() };
    if word & (HASH | INFLATED) == 0 && word != 0 {
        state.owner = word & OWNER_MASK;
        state.recursion = word >> 16;
    }
    let monitor = Inflated { state: Mutex::new(state), entering: Condvar::new(), waiting: Condvar::new(), hash };
    let mut monitors = MONITORS.lock();
    let number = monitors.len() as u32;
    let sync = &object.header().sync;
    if word & INFLATED == 0 && sync.compare_exchange(word, number | INFLATED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
        monitors.push(Box::leak(Box::new(monitor)));
    }
}

/// The object's monitor in the table.
fn monitor_of(object: ObjectRef) -> &'static Inflated {
    loop {
        let word = object.header().sync.load(Ordering::Acquire);
        if word & INFLATED != 0 && word & HASH == 0 {
            return inflated(word);
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
        return while_blocked(monitor, || {
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
fn while_blocked<T>(monitor: &'static Inflated, wait: impl FnOnce() -> std::result::Result<T, Interruption>) -> Result<T> {
    BLOCKED.lock().push(monitor);
    let result = threads::while_waiting(wait);
    let mut blocked = BLOCKED.lock();
    if let Some(index) = blocked.iter().rposition(|known| std::ptr::eq(*known, monitor)) {
        blocked.swap_remove(index);
    }
    drop(blocked);
    result.map_err(Interruption::into_exception)
}

/// Wakes all threads that are blocked in monitors, so that they look for interruptions.
pub fn wake_blocked() {
    let blocked: Vec<&'static Inflated> = BLOCKED.lock().clone();
    for monitor in blocked {
        let _state = monitor.state.lock();
        monitor.entering.notify_all();
        monitor.waiting.notify_all();
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
        state.owner = 0;
        monitor.entering.notify_one();
    }
    Ok(())
}

/// Whether the current thread is in the object's monitor.
pub fn is_entered(object: ObjectRef) -> bool {
    let word = object.header().sync.load(Ordering::Acquire);
    match word {
        0 => false,
        word if word & HASH != 0 => false,
        word if word & INFLATED != 0 => inflated(word).state.lock().owner == own_number(),
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
    let ticket = state.waiters;
    state.waiters += 1;
    state.owner = 0;
    monitor.entering.notify_one();
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    while_blocked(monitor, || {
        let mut result = Ok(true);
        while state.released <= ticket {
            if let Some(interruption) = threads::take_interruption() {
                result = Err(interruption);
            } else if wait_until(&monitor.waiting, &mut state, deadline) && state.released <= ticket {
                result = Ok(false);
            } else {
                continue;
            }
            // Its ticket is void: a later pulse must reach somebody who still waits.
            state.released += u64::from(state.released == ticket);
            break;
        }
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
    state.released = if all { state.waiters } else { state.waiters.min(state.released + 1) };
    monitor.waiting.notify_all();
    Ok(())
}
