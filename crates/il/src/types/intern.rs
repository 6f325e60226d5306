//! Append-only arenas with interning: an element never moves, ids are dense, and reading one takes no lock.

use parking_lot::RwLock;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::error::Result;

const SHARDS: usize = 16;

/// Hash of a key for [`Interner::intern`].
pub(crate) fn hash_of(key: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

type Shard = RwLock<FxHashMap<u64, SmallVec<[u32; 2]>>>;

/// An arena whose elements can be found again by hash and comparison, so that a lookup needs no owned key.
pub(crate) struct Interner<T> {
    items: boxcar::Vec<T>,
    shards: [Shard; SHARDS],
}

impl<T> Interner<T> {
    pub(crate) fn new() -> Interner<T> {
        Interner { items: boxcar::Vec::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }

    /// The element with this id; ids come from this arena only, hence an unknown one is a caller's bug.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &T {
        &self.items[id as usize]
    }

    pub(crate) fn len(&self) -> u32 {
        self.items.count() as u32
    }

    /// Adds an element that nobody looks up by content.
    pub(crate) fn push(&self, make: impl FnOnce(u32) -> T) -> u32 {
        self.items.push_with(|index| make(index as u32)) as u32
    }

    /// The id of the element with this hash for which `is_same` holds, made by `make` (which gets the id) if there is none.
    pub(crate) fn intern(&self, hash: u64, is_same: impl Fn(&T) -> bool, make: impl FnOnce(u32) -> T) -> u32 {
        let shard = &self.shards[(hash >> 59) as usize % SHARDS];
        let find = |ids: &SmallVec<[u32; 2]>| ids.iter().copied().find(|&id| is_same(self.get(id)));
        if let Some(id) = shard.read().get(&hash).and_then(find) {
            return id;
        }
        let mut map = shard.write();
        let ids = map.entry(hash).or_default();
        if let Some(id) = find(ids) {
            return id;
        }
        let id = self.push(make);
        ids.push(id);
        id
    }
}

/// A value that is put in once, readable without a lock, and can be taken out when nobody uses it any more.
pub(crate) struct Slot<T> {
    pointer: AtomicPtr<T>,
    owned: PhantomData<T>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { pointer: AtomicPtr::default(), owned: PhantomData }
    }
}

impl<T> Slot<T> {
    /// The value, if there is one.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // SAFETY: null, or a box of this slot's own, which only `clear` takes away.
        unsafe { self.pointer.load(Ordering::Acquire).as_ref() }
    }

    /// Puts a value in; says whether there was none. The first one stays.
    pub(crate) fn set(&self, value: T) -> bool {
        let value = Box::into_raw(Box::new(value));
        let is_first = self.pointer.compare_exchange(std::ptr::null_mut(), value, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !is_first {
            // SAFETY: made above and never shared.
            drop(unsafe { Box::from_raw(value) });
        }
        is_first
    }

    /// Drops the value.
    ///
    /// # Safety
    /// Nobody holds a reference to it.
    pub(crate) unsafe fn clear(&self) {
        let value = self.pointer.swap(std::ptr::null_mut(), Ordering::AcqRel);
        if !value.is_null() {
            // SAFETY: a box made by `set`, and the caller's promise.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

impl<T> From<T> for Slot<T> {
    fn from(value: T) -> Self {
        let slot = Slot::default();
        slot.set(value);
        slot
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        // SAFETY: references to the value do not outlive the slot.
        unsafe { self.clear() };
    }
}

/// A result computed on first use. Unlike `OnceLock::get_or_init`, the computation runs without a lock: it may come back to the
/// same cell (recursive types) and may run twice in parallel; the first result stays.
pub(crate) struct Lazy<T> {
    cell: Slot<Result<T>>,
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Lazy { cell: Slot::default() }
    }
}

impl<T> Lazy<T> {
    /// The value, computed now if need be. Errors are kept as well.
    #[inline]
    pub(crate) fn get_or(&self, compute: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(Ok(value)) = self.cell.get() {
            return Ok(value);
        }
        self.fill(compute)
    }

    /// Whether the value is there.
    pub(crate) fn is_loaded(&self) -> bool {
        matches!(self.cell.get(), Some(Ok(_)))
    }

    /// Forgets the value, which is computed again when it is asked for.
    ///
    /// # Safety
    /// Nobody holds a reference to it.
    pub(crate) unsafe fn forget(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.cell.clear() };
    }

    #[cold]
    fn fill(&self, compute: impl FnOnce() -> Result<T>) -> Result<&T> {
        if self.cell.get().is_none() {
            // Whoever was first wins; the computation is a function of the metadata alone.
            match compute() {
                Err(error) if error.is_unfinished() => return Err(error),
                computed => {
                    self.cell.set(computed);
                }
            }
        }
        match self.cell.get() {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(error.clone()),
            None => unreachable!("the cell was just set"),
        }
    }
}

/// An id that may not be known yet, readable without a lock.
#[derive(Default)]
pub(crate) struct IdCell(AtomicU32);

impl IdCell {
    #[inline]
    pub(crate) fn get(&self) -> Option<u32> {
        self.0.load(Ordering::Acquire).checked_sub(1)
    }

    pub(crate) fn set(&self, id: u32) {
        self.0.store(id + 1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn get_or(&self, compute: impl FnOnce() -> u32) -> u32 {
        match self.get() {
            Some(id) => id,
            None => {
                let id = compute();
                self.set(id);
                id
            }
        }
    }
}

/// One [`IdCell`] per row of a table.
pub(crate) fn id_cells(count: usize) -> Box<[IdCell]> {
    std::iter::repeat_with(IdCell::default).take(count).collect()
}
