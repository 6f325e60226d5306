//! Append-only arenas with interning: an element never moves, ids are dense, and reading one takes no lock.

use parking_lot::RwLock;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

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

/// A result computed on first use. Unlike `OnceLock::get_or_init`, the computation runs without a lock: it may come back to the
/// same cell (recursive types) and may run twice in parallel; the first result stays.
pub(crate) struct Lazy<T> {
    cell: OnceLock<Result<Box<T>>>,
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Lazy { cell: OnceLock::new() }
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

    #[cold]
    fn fill(&self, compute: impl FnOnce() -> Result<T>) -> Result<&T> {
        if self.cell.get().is_none() {
            let computed = compute().map(Box::new);
            // Whoever was first wins; the computation is a function of the metadata alone.
            let _ = self.cell.set(computed);
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
