//! Handles: references that native code and `GCHandle` hold, strong, pinned or weak.

use super::ephemerons::{object_at, survivor};
use mmtk::util::{Address, ObjectReference};
use mmtk::vm::slot::SimpleSlot;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kinds of handles, numbered as `System.Runtime.InteropServices.GCHandleType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandleKind {
    /// Does not keep its target; forgets it when only a finaliser could still reach it.
    Weak,
    /// Does not keep its target; forgets it after its finaliser ran.
    WeakTrackResurrection,
    /// Keeps its target.
    Normal,
    /// Keeps its target where it is.
    Pinned,
}

struct Entry {
    kind: HandleKind,
    /// Address of the object or 0. Boxed, so that the collector has a slot that stays.
    target: Box<AtomicUsize>,
}

struct Handles {
    entries: Vec<Option<Entry>>,
    /// Indices of the empty entries.
    free: Vec<usize>,
}

impl Handles {
    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut().flatten()
    }
}

static HANDLES: Mutex<Handles> = Mutex::new(Handles { entries: Vec::new(), free: Vec::new() });

/// A new handle for `target` (or null). Never 0.
pub fn allocate_handle(target: *mut u8, kind: HandleKind) -> usize {
    let mut handles = HANDLES.lock();
    let entry = Some(Entry { kind, target: Box::new(AtomicUsize::new(target as usize)) });
    match handles.free.pop() {
        Some(free) => {
            handles.entries[free] = entry;
            free + 1
        }
        None => {
            handles.entries.push(entry);
            handles.entries.len()
        }
    }
}

/// The target, or null if it is gone or there is no such handle.
pub fn handle_target(handle: usize) -> *mut u8 {
    with_entry(handle, |entry| entry.target.load(Ordering::Acquire) as *mut u8).unwrap_or(std::ptr::null_mut())
}

/// Where the target's address is, to be read without a lock; null if there is no such handle. It stays there until the handle is freed.
pub fn handle_place(handle: usize) -> *const AtomicUsize {
    with_entry(handle, |entry| std::ptr::from_ref(&*entry.target)).unwrap_or(std::ptr::null())
}

/// Gives the handle another target.
pub fn set_handle_target(handle: usize, target: *mut u8) {
    with_entry(handle, |entry| entry.target.store(target as usize, Ordering::Release));
}

/// The kind, or `None` if there is no such handle.
pub fn handle_kind(handle: usize) -> Option<HandleKind> {
    with_entry(handle, |entry| entry.kind)
}

/// Frees the handle.
pub fn free_handle(handle: usize) {
    let Some(index) = handle.checked_sub(1) else { return };
    let mut handles = HANDLES.lock();
    if handles.entries.get_mut(index).and_then(Option::take).is_some() {
        handles.free.push(index);
    }
}

fn with_entry<R>(handle: usize, action: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    let index = handle.checked_sub(1)?;
    HANDLES.lock().entries.get_mut(index)?.as_mut().map(action)
}

/// Slots of the strong handles, and targets of the pinned ones.
pub(super) fn strong_roots() -> (Vec<SimpleSlot>, Vec<ObjectReference>) {
    let mut slots = Vec::new();
    let mut pinned = Vec::new();
    for entry in HANDLES.lock().iter_mut() {
        let Some(object) = object_at(entry.target.load(Ordering::Relaxed)) else { continue };
        match entry.kind {
            HandleKind::Normal => slots.push(SimpleSlot::from_address(Address::from_mut_ptr(entry.target.as_ptr()))),
            HandleKind::Pinned => pinned.push(object),
            HandleKind::Weak | HandleKind::WeakTrackResurrection => {}
        }
    }
    (slots, pinned)
}

/// After tracing: forgets or follows the targets of weak handles of a kind.
pub(super) fn update_weak(kind: HandleKind) {
    for entry in HANDLES.lock().iter_mut().filter(|entry| entry.kind == kind) {
        let target = entry.target.load(Ordering::Relaxed);
        if target == 0 {
            continue;
        }
        let survivor = survivor(target).unwrap_or_else(|| {
            if kind == HandleKind::WeakTrackResurrection {
                super::finalizers::expect_notice();
            }
            0
        });
        entry.target.store(survivor, Ordering::Relaxed);
    }
}
