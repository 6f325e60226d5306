//! References that live outside of heap and stacks: areas for static fields and slots that keep an object for good. All are
//! carved from few large chunks, each of which the collector knows as one range.

use crate::gc;
use crate::object::ObjectRef;
use parking_lot::Mutex;

const CHUNK_WORDS: usize = 8 << 10;

struct Chunk {
    next: usize,
    end: usize,
}

static CURRENT: Mutex<Chunk> = Mutex::new(Chunk { next: 0, end: 0 });

/// An area of `words` null references that the collector scans, for the life of the process.
pub fn allocate_area(words: usize) -> *mut ObjectRef {
    let mut chunk = CURRENT.lock();
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

/// Keeps an object alive for good; gives the slot in which the collector updates its address.
pub fn keep(object: ObjectRef) -> *mut ObjectRef {
    let slot = allocate_area(1);
    // SAFETY: a fresh slot of the area.
    unsafe { slot.write(object) };
    slot
}
