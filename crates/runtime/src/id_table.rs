//! Growing tables indexed by dense ids, readable without a lock (also in a signal handler). Entries never move.

use std::sync::atomic::{AtomicPtr, Ordering};

const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNKS: usize = 1 << 12;

/// A table of up to four million entries, made in chunks as they are asked for. `T::default()` is what an entry starts as.
pub struct IdTable<T> {
    chunks: Box<[AtomicPtr<T>]>,
}

impl<T: Default + Sync> Default for IdTable<T> {
    fn default() -> Self {
        IdTable::new()
    }
}

impl<T: Default + Sync> IdTable<T> {
    /// An empty table.
    pub fn new() -> IdTable<T> {
        IdTable { chunks: std::iter::repeat_with(AtomicPtr::default).take(CHUNKS).collect() }
    }

    /// The entry `id`, if anybody has asked for one near it with [`IdTable::entry`].
    #[inline]
    pub fn get(&self, id: u32) -> Option<&T> {
        let chunk = self.chunks.get((id >> CHUNK_BITS) as usize)?.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a chunk has CHUNK initialised entries, is shared only by reference and lives as long as the table.
        Some(unsafe { &*chunk.add(id as usize & (CHUNK - 1)) })
    }

    /// The entry `id`, made if need be.
    #[inline]
    pub fn entry(&self, id: u32) -> &T {
        match self.get(id) {
            Some(entry) => entry,
            None => self.grow(id),
        }
    }

    /// The entry `id`, made if need be; nothing beyond the table's four million.
    pub fn entry_within(&self, id: u32) -> Option<&T> {
        ((id >> CHUNK_BITS) < CHUNKS as u32).then(|| self.entry(id))
    }

    #[cold]
    fn grow(&self, id: u32) -> &T {
        let slot = &self.chunks[(id >> CHUNK_BITS) as usize];
        let fresh: Box<[T]> = std::iter::repeat_with(T::default).take(CHUNK).collect();
        let fresh = Box::into_raw(fresh) as *mut T;
        if slot.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: another thread was first; ours was never shared.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(fresh, CHUNK)) });
        }
        self.get(id).expect("the chunk was just made")
    }
}

impl<T> Drop for IdTable<T> {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            let chunk = chunk.load(Ordering::Relaxed);
            if !chunk.is_null() {
                // SAFETY: made by `grow` from a box of this length.
                drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(chunk, CHUNK)) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn entries_stay_where_they_are() {
        let table: IdTable<AtomicU32> = IdTable::new();
        assert!(table.get(5000).is_none());
        let first = table.entry(5000);
        first.store(7, Ordering::Relaxed);
        table.entry(100_000);
        assert!(table.entry_within(CHUNKS as u32 * CHUNK as u32 - 1).is_some());
        assert!(table.entry_within(CHUNKS as u32 * CHUNK as u32).is_none());
        assert!(std::ptr::eq(first, table.entry(5000)));
        assert_eq!(table.get(5000).map(|entry| entry.load(Ordering::Relaxed)), Some(7));
    }
}
