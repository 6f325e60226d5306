//! A hash table from type names to rows that holds row numbers only; the names stay in the string heap.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Open addressing with linear probing; a slot is a row, 0 when free.
///
/// The hash covers the name and the enclosing type. The namespace is left out: few types differ in nothing else, and building
/// the table need not read it.
#[derive(Debug)]
pub(super) struct TypeIndex {
    slots: Box<[u32]>,
}

impl TypeIndex {
    /// Enters rows 1 to `count` by enclosing row (0 for none) and name.
    pub(super) fn build<'a>(count: u32, key_of: impl Fn(u32) -> (u32, &'a [u8])) -> TypeIndex {
        let capacity = (count as usize * 2).next_power_of_two().max(2);
        let mut slots = vec![0; capacity].into_boxed_slice();
        for row in 1..=count {
            let (enclosing, name) = key_of(row);
            let mut slot = hash(enclosing, name) & (capacity - 1);
            while slots[slot] != 0 {
                slot = (slot + 1) & (capacity - 1);
            }
            slots[slot] = row;
        }
        TypeIndex { slots }
    }

    /// The first row entered under the name for which `is_match` holds.
    pub(super) fn find(&self, enclosing: u32, name: &str, is_match: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(enclosing, name.as_bytes()) & mask;
        // At least half of the slots are free, so the probing ends.
        loop {
            match self.slots[slot] {
                0 => return None,
                row if is_match(row) => return Some(row),
                _ => slot = (slot + 1) & mask,
            }
        }
    }
}

fn hash(enclosing: u32, name: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write_u32(enclosing);
    hasher.write(name);
    hasher.finish() as usize
}
