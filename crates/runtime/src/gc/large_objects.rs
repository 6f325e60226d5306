//! Large objects that a thread has found by an address within: their start is looked for page by page, and who stores into an array
//! by reference does so again and again.

use std::ops::Range;

/// How many are known at a time.
const COUNT: usize = 4;

/// Where the last ones lie that were found. They stay there until the next collection, after which they may be gone.
#[derive(Default)]
pub(super) struct LargeObjects {
    ranges: [Range<usize>; COUNT],
    /// The one whose place the next takes.
    next: usize,
    /// How many collections had been made when they were found.
    collections: usize,
}

impl LargeObjects {
    /// Start of the one that holds `address`, if it is known; `collections` have been made.
    pub(super) fn find(&self, address: usize, collections: usize) -> Option<usize> {
        let found = self.ranges.iter().find(|range| range.contains(&address))?;
        (self.collections == collections).then_some(found.start)
    }

    /// Notes one that was found.
    pub(super) fn add(&mut self, range: Range<usize>, collections: usize) {
        if self.collections != collections {
            *self = LargeObjects { collections, ..LargeObjects::default() };
        }
        self.ranges[self.next] = range;
        self.next = (self.next + 1) % COUNT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_until_the_next_collection() {
        let mut objects = LargeObjects::default();
        for start in (0x1000..).step_by(0x1000).take(COUNT + 1) {
            objects.add(start..start + 0x800, 7);
        }
        assert_eq!(objects.find(0x1000, 7), None);
        assert_eq!(objects.find(0x2004, 7), Some(0x2000));
        assert_eq!(objects.find(0x2800, 7), None);
        assert_eq!(objects.find(0x2004, 8), None);
        objects.add(0x9000..0xa000, 8);
        assert_eq!((objects.find(0x2004, 8), objects.find(0x9fff, 8)), (None, Some(0x9000)));
    }
}
