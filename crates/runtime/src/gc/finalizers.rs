//! Objects with finalisers: known from their allocation, queued when nothing else reaches them.

use mmtk::util::{Address, ObjectReference};
use mmtk::vm::slot::SimpleSlot;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

struct Finalizers {
    /// Objects whose finaliser is to run some day.
    registered: Registered,
    /// Unreachable ones, kept alive until their finaliser ran. Boxed for the sake of stable slots.
    ready: VecDeque<Box<usize>>,
    /// Those of them whose turn comes after all others.
    last: VecDeque<Box<usize>>,
    /// Registrations since the last collection.
    fresh: usize,
}

/// Objects in the order of their registration. An object may stand here more than once.
struct Registered {
    entries: Vec<Entry>,
    /// The last entry of each object, from the first time that one was looked for further back until the next collection, which moves objects.
    places: Option<FxHashMap<usize, usize>>,
}

struct Entry {
    /// Address of the object; 0 after it was taken out.
    object: usize,
    /// The object's entry before, while the places are known.
    before: Option<usize>,
}

/// Most objects whose finaliser is suppressed are among so many that were registered last.
const NEAR: usize = 16;

impl Registered {
    const fn new() -> Registered {
        Registered { entries: Vec::new(), places: None }
    }

    fn add(&mut self, object: usize) {
        let before = self.places.as_mut().and_then(|places| places.insert(object, self.entries.len()));
        self.entries.push(Entry { object, before });
    }

    /// Takes out the last entry of an object, if it has one.
    fn remove(&mut self, object: usize) {
        if self.places.is_none() {
            let far = self.entries.len().saturating_sub(NEAR);
            if let Some(near) = self.entries[far..].iter().rposition(|entry| entry.object == object) {
                self.entries.remove(far + near);
                return;
            }
            let mut places = FxHashMap::default();
            for (place, entry) in self.entries.iter_mut().enumerate() {
                entry.before = places.insert(entry.object, place);
            }
            self.places = Some(places);
        }
        let Some(places) = &mut self.places else { return };
        let Some(place) = places.remove(&object) else { return };
        if let Some(before) = self.entries[place].before {
            places.insert(object, before);
        }
        self.entries[place].object = 0;
        while self.entries.last().is_some_and(|entry| entry.object == 0) {
            self.entries.pop();
        }
        if self.entries.len() <= NEAR {
            self.places = None;
        }
    }

    /// All of them; from here on there are none.
    fn take(&mut self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let entries = std::mem::replace(self, Registered::new()).entries;
        entries.into_iter().map(|entry| entry.object).filter(|&object| object != 0)
    }
}

/// So many registrations bring about a collection of young objects: what finalisers free is seldom the heap's.
const MANY_FRESH: usize = 1 << 16;

static NOTICE: OnceLock<fn()> = OnceLock::new();
/// The running collection queued objects.
static QUEUED: AtomicBool = AtomicBool::new(false);
static FINALIZERS: Mutex<Finalizers> =
    Mutex::new(Finalizers { registered: Registered::new(), ready: VecDeque::new(), last: VecDeque::new(), fresh: 0 });

/// Notes that the finaliser of `object` is to run when it becomes unreachable. Says whether there were so many that a collection is due.
pub fn register_finalizer(object: *mut u8) -> bool {
    let mut finalizers = FINALIZERS.lock();
    finalizers.registered.add(object as usize);
    finalizers.fresh += 1;
    finalizers.fresh > MANY_FRESH
}

/// `GC.SuppressFinalize`.
pub fn suppress_finalizer(object: *mut u8) {
    FINALIZERS.lock().registered.remove(object as usize);
}

/// The next object whose finaliser is due; those of which `is_last` says so come after all others. From here on only the caller's stack
/// keeps it.
pub fn take_finalizable(is_last: impl Fn(*mut u8) -> bool) -> Option<*mut u8> {
    let mut finalizers = FINALIZERS.lock();
    while let Some(object) = finalizers.ready.pop_front() {
        let address = *object as *mut u8;
        if !is_last(address) {
            return Some(address);
        }
        finalizers.last.push_back(object);
    }
    finalizers.last.pop_front().map(|object| *object as *mut u8)
}

/// Queues all objects with finalisers, reachable or not: first those of which `is_first` says so, and the younger before the older.
pub fn queue_all_finalizers(is_first: impl Fn(*mut u8) -> bool) {
    let mut finalizers = FINALIZERS.lock();
    let registered = finalizers.registered.take();
    let (first, last): (Vec<usize>, Vec<usize>) = registered.rev().partition(|&object| is_first(object as *mut u8));
    finalizers.ready.extend(first.into_iter().chain(last).map(Box::new));
}

/// Queues the objects with finalisers of which `is_wanted` says so, reachable or not, the younger before the older.
pub fn queue_finalizers(is_wanted: impl Fn(*mut u8) -> bool) {
    let mut finalizers = FINALIZERS.lock();
    let (wanted, others): (Vec<usize>, Vec<usize>) =
        finalizers.registered.take().partition(|&object| is_wanted(object as *mut u8));
    others.into_iter().for_each(|object| finalizers.registered.add(object));
    finalizers.ready.extend(wanted.into_iter().rev().map(Box::new));
}

/// Asks for the notice after the next collection, even if that queues no objects.
pub fn expect_notice() {
    QUEUED.store(true, Ordering::Relaxed);
}

/// Sets what is called after a collection that queued objects; it is called by a collector thread while the others run again.
pub fn set_finalization_notice(notice: fn()) {
    let _ = NOTICE.set(notice);
}

/// After the threads go on: gives the notice if objects were queued.
pub(super) fn notify() {
    if QUEUED.swap(false, Ordering::Relaxed) {
        if let Some(notice) = NOTICE.get() {
            notice();
        }
    }
}

/// Slots of the queue.
pub(super) fn queue_roots() -> Vec<SimpleSlot> {
    let slot = |object: &mut Box<usize>| SimpleSlot::from_address(Address::from_mut_ptr(&raw mut **object));
    let finalizers = &mut *FINALIZERS.lock();
    finalizers.ready.iter_mut().chain(&mut finalizers.last).map(slot).collect()
}

/// After tracing: queues what is unreachable, tracing it with `trace`, and follows the rest. Says whether anything was queued.
pub(super) fn queue_unreachable(mut trace: impl FnMut(ObjectReference) -> ObjectReference) -> bool {
    let mut finalizers = FINALIZERS.lock();
    let registered = finalizers.registered.take();
    finalizers.fresh = 0;
    let mut queued = false;
    for address in registered {
        // SAFETY: a plain number; registered addresses are objects.
        let Some(object) = ObjectReference::from_raw_address(unsafe { Address::from_usize(address) }) else { continue };
        if object.is_reachable() {
            let object = object.get_forwarded_object().unwrap_or(object);
            finalizers.registered.add(object.to_raw_address().as_usize());
        } else {
            queued = true;
            finalizers.ready.push_back(Box::new(trace(object).to_raw_address().as_usize()));
        }
    }
    QUEUED.fetch_or(queued, Ordering::Relaxed);
    queued
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_registration_of_an_object_is_taken_out() {
        let mut registered = Registered::new();
        (1..100).for_each(|object| registered.add(object));
        registered.add(5);
        registered.remove(99); // near
        registered.remove(7);
        registered.remove(7);
        registered.add(7);
        registered.remove(5);
        registered.remove(1000);
        let left: Vec<usize> = registered.take().collect();
        let expected: Vec<usize> = (1..99).filter(|&object| object != 7).chain([7]).collect();
        assert_eq!(left, expected);
        assert_eq!(registered.take().next(), None);
    }

    #[test]
    fn an_object_may_be_registered_more_than_once() {
        let mut registered = Registered::new();
        [3, 4, 3].into_iter().chain(10..10 + NEAR).for_each(|object| registered.add(object));
        registered.remove(3);
        registered.remove(3);
        registered.remove(3);
        registered.add(3);
        assert_eq!(registered.take().next(), Some(4));
    }
}
