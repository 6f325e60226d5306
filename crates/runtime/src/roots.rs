//! References that live outside of heap and stacks: areas for static fields and slots that keep an object for good. All are
//! carved from few large chunks, each of which the collector knows as one range.

use crate::gc;
use crate::object::ObjectRef;
use parking_lot::Mutex;

const CHUNK_WORDS: usize = 8 << 10;

struct Chunk {
    next: usize,
    end: usize,
    /// Areas that were given back, with their lengths in words. There are few lengths.
    free: Vec<(usize, usize)>,
}

static CURRENT: Mutex<Chunk> = Mutex::new(Chunk { next: 0, end: 0, free: Vec::new() });

/// An area of `words` null references that the collector scans until it is given to [`free_area`].
pub fn allocate_area(words: usize) -> *mut ObjectRef {
    let mut chunk = CURRENT.lock();
    if let Some(index) = chunk.free.iter().rposition(|&(_, length)| length == words) {
        return chunk.free.swap_remove(index).0 as *mut ObjectRef;
    }
    let bytes = words * size_of::<usize>();
    if chunk.end - chunk.next < bytes {
        let length = words.max(CHUNK_WORDS);
        let memory: &'static mut [usize] = Vec::leak(vec![0usize; length]);
        chunk.next = memory.as_ptr() as usize;
        chunk.end = chunk.next + length * size_of::<usize>();
        // SAFETY: leaked, zeroed, and only references are ever stored in it.
        unsafe { gc::add_root_range(memory.as_ptr(), length) };
    }
    let area = chunk.next;
    chunk.next += bytes;
    area as *mut ObjectRef
}

/// Gives back an area of [`allocate_area`].
///
/// # Safety
/// The area has this length, nobody uses it any more, and the caller is a thread that the collector waits for.
pub unsafe fn free_area(area: *mut ObjectRef, words: usize) {
    for index in 0..words {
        // SAFETY: a slot of the area.
        unsafe { area.add(index).write(ObjectRef::NULL) };
    }
    CURRENT.lock().free.push((area as usize, words));
}

/// Keeps an object alive for good; gives the slot in which the collector updates its address.
pub fn keep(object: ObjectRef) -> *mut ObjectRef {
    let slot = allocate_area(1);
    // SAFETY: a fresh slot of the area.
    unsafe { slot.write(object) };
    slot
}
