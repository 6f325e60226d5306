//! Small typed indices into the arenas of a function, and the arenas.
//!
//! The `Display` of an index is its spelling in the text syntax (`v3`, `block0`, …).

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// An index of type `u32` into one arena.
pub trait Entity: Copy + Eq + fmt::Debug {
    /// The entity at `index`.
    fn from_index(index: usize) -> Self;
    /// Its place in the arena.
    fn index(self) -> usize;
}

macro_rules! entity {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl Entity for $name {
            fn from_index(index: usize) -> Self {
                debug_assert!(index < u32::MAX as usize);
                $name(index as u32)
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

entity!(/** An SSA value: an instruction's result or a block's parameter. */ Value, "v");
entity!(/** An instruction. */ Inst, "inst");
entity!(/** A basic block with parameters. */ Block, "block");
entity!(/** A fixed place in the frame. */ StackSlot, "ss");
entity!(/** A call signature. */ SigRef, "sig");
entity!(/** Something outside the function: a method, a helper, a cell, read-only data. */ Symbol, "sym");
entity!(/** A protected region of exception handling. */ Region, "eh");
entity!(/** A natural loop. */ Loop, "loop");

/// An arena that hands out `K` for each `V` pushed.
#[derive(Clone)]
pub struct Arena<K, V> {
    items: Vec<V>,
    key: PhantomData<K>,
}

impl<K: Entity, V> Arena<K, V> {
    /// An empty arena.
    pub fn new() -> Self {
        Arena { items: Vec::new(), key: PhantomData }
    }
    /// Appends `value` and returns its key.
    pub fn push(&mut self, value: V) -> K {
        self.items.push(value);
        K::from_index(self.items.len() - 1)
    }
    /// The key that the next `push` will return.
    pub fn next_key(&self) -> K {
        K::from_index(self.items.len())
    }
    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
    /// All keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = K> + ExactSizeIterator + use<K, V> {
        (0..self.items.len()).map(K::from_index)
    }
    /// All values in order of their keys.
    pub fn values(&self) -> std::slice::Iter<'_, V> {
        self.items.iter()
    }
    /// All values in order of their keys, mutable.
    pub fn values_mut(&mut self) -> std::slice::IterMut<'_, V> {
        self.items.iter_mut()
    }
    /// Keys with values.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> {
        self.items.iter().enumerate().map(|(index, value)| (K::from_index(index), value))
    }
    /// The value of `key`, if it is one of this arena's.
    pub fn get(&self, key: K) -> Option<&V> {
        self.items.get(key.index())
    }
    /// Drops all entities and keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<K: Entity, V> Default for Arena<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Entity, V> Index<K> for Arena<K, V> {
    type Output = V;
    fn index(&self, key: K) -> &V {
        &self.items[key.index()]
    }
}

impl<K: Entity, V> IndexMut<K> for Arena<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        &mut self.items[key.index()]
    }
}

impl<K: Entity + fmt::Debug, V: fmt::Debug> fmt::Debug for Arena<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// A dense side table over entities of another arena; absent entries read as `V::default()`.
#[derive(Clone, Debug)]
pub struct SideTable<K, V> {
    items: Vec<V>,
    default: V,
    key: PhantomData<K>,
}

impl<K: Entity, V: Clone + Default> SideTable<K, V> {
    /// A table in which every entry is the default.
    pub fn new() -> Self {
        SideTable { items: Vec::new(), default: V::default(), key: PhantomData }
    }
    /// A table with room for `len` entries, all of them the default.
    pub fn with_len(len: usize) -> Self {
        SideTable { items: vec![V::default(); len], default: V::default(), key: PhantomData }
    }
    /// Sets every entry back to the default and keeps the memory.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<K: Entity, V: Clone + Default> Default for SideTable<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Entity, V: Clone + Default> Index<K> for SideTable<K, V> {
    type Output = V;
    fn index(&self, key: K) -> &V {
        self.items.get(key.index()).unwrap_or(&self.default)
    }
}

impl<K: Entity, V: Clone + Default> IndexMut<K> for SideTable<K, V> {
    fn index_mut(&mut self, key: K) -> &mut V {
        if key.index() >= self.items.len() {
            self.items.resize(key.index() + 1, self.default.clone());
        }
        &mut self.items[key.index()]
    }
}
