//! Ephemerons: pairs of a key and a value in arrays that keep the value alive only as long as something else keeps the key
//! (`ConditionalWeakTable`).
//!
//! The arrays are registered. Scanning passes over their elements (`method_table_flags::SPECIAL_SCAN`); they are looked at after tracing, in
//! collections of young objects too, so that they need no remembering.

use super::object_model::{ABI, ObjectShape, read};
use mmtk::util::{Address, ObjectReference};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An element of an ephemeron array: `System.Runtime.CompilerServices.Ephemeron`.
#[repr(C)]
struct Ephemeron {
    key: usize,
    value: usize,
}

/// Addresses of the arrays, which are not kept alive by standing here.
static ARRAYS: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// Address of the root that holds the object which takes the place of dead keys.
static TOMBSTONE: AtomicUsize = AtomicUsize::new(0);

/// Makes an array's elements ephemerons. The keys of dead ones become the object in the root `tombstone`.
///
/// # Safety
/// `array` is a vector of `Ephemeron`; `tombstone` is a root for good that holds an object.
pub unsafe fn register_ephemeron_array(array: *mut u8, tombstone: *const usize) {
    TOMBSTONE.store(tombstone as usize, Ordering::Release);
    ARRAYS.lock().push(array as usize);
}

/// The object that a slot with this content refers to.
pub(super) fn object_at(address: usize) -> Option<ObjectReference> {
    // SAFETY: a plain number; slots hold references or 0.
    ObjectReference::from_raw_address(unsafe { Address::from_usize(address) })
}

/// The object's address after the collection, if it is known to live so far.
pub(super) fn survivor(address: usize) -> Option<usize> {
    let object = object_at(address).filter(|object| object.is_reachable())?;
    Some(object.get_forwarded_object().unwrap_or(object).to_raw_address().as_usize())
}

/// Calls `action` with each ephemeron that has a key, of an array at its address after the collection.
fn for_each_ephemeron(array: usize, mut action: impl FnMut(&mut Ephemeron)) {
    let start = array as *const u8;
    // SAFETY: a registered array that lives is a vector of `Ephemeron`, and no thread but this one runs.
    let ephemerons = unsafe {
        let (length, base) = (read::<u32>(start, ABI.length()) as usize, ObjectShape::of(start).base_size());
        std::slice::from_raw_parts_mut(start.add(base).cast::<Ephemeron>().cast_mut(), length)
    };
    ephemerons.iter_mut().filter(|ephemeron| ephemeron.key != 0).for_each(&mut action);
}

/// After tracing: traces the values of which the keys live by now. Says whether there were any that were not known to live, so that
/// more keys may live when tracing is done.
pub(super) fn trace_values(mut trace: impl FnMut(ObjectReference) -> ObjectReference) -> bool {
    let mut traced = false;
    for array in ARRAYS.lock().iter().filter_map(|&array| survivor(array)) {
        for_each_ephemeron(array, |ephemeron| {
            let (Some(_), Some(value)) = (survivor(ephemeron.key), object_at(ephemeron.value)) else { return };
            if !value.is_reachable() {
                ephemeron.value = trace(value).to_raw_address().as_usize();
                traced = true;
            }
        });
    }
    traced
}

/// When nothing more is traced: buries the dead, and follows the rest.
pub(super) fn finish() {
    let mut arrays = ARRAYS.lock();
    let tombstone = match TOMBSTONE.load(Ordering::Acquire) {
        0 => return,
        // SAFETY: a root, which was traced already.
        slot => unsafe { *(slot as *const usize) },
    };
    arrays.retain_mut(|array| {
        let Some(address) = survivor(*array) else { return false };
        *array = address;
        for_each_ephemeron(address, |ephemeron| {
            (ephemeron.key, ephemeron.value) = match survivor(ephemeron.key) {
                Some(key) => (key, survivor(ephemeron.value).unwrap_or(0)),
                None => (tombstone, 0),
            };
        });
        true
    });
}
