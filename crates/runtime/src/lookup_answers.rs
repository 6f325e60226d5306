//! The answers that a lookup of shared generic code has got before, by context: a table that the lookup's cell leads to, read
//! without a lock.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A table grows while contexts share places in it, up to this many.
const MAX_PLACES: usize = 1024;
const FIRST_PLACES: usize = 4;

/// An answer, or nothing yet: both are 0.
#[derive(Default)]
struct Place {
    context: AtomicUsize,
    answer: AtomicUsize,
}

/// A table: a power of two of places, each context at one that its bits tell. Nothing is ever replaced in it.
struct Answers {
    places: Box<[Place]>,
}

impl Answers {
    fn new(places: usize) -> Answers {
        Answers { places: (0..places).map(|_| Place::default()).collect() }
    }

    fn place(&self, context: usize) -> &Place {
        &self.places[(context >> 4 ^ context >> 9) & (self.places.len() - 1)]
    }

    /// Whether the answer has, or gets, its place.
    fn add(&self, context: usize, answer: usize) -> bool {
        let place = self.place(context);
        let present = place.context.load(Ordering::Relaxed);
        if present == 0 {
            place.answer.store(answer, Ordering::Relaxed);
            place.context.store(context, Ordering::Release);
        }
        present == 0 || present == context
    }

    /// The smallest larger table that has these answers and another one; of those of the largest, the first.
    fn grown(&self, context: usize, answer: usize) -> Answers {
        let mut places = self.places.len();
        loop {
            places *= 2;
            let grown = Answers::new(places);
            let mut fit = true;
            for place in self.places.iter().filter(|place| place.context.load(Ordering::Relaxed) != 0) {
                fit &= grown.add(place.context.load(Ordering::Relaxed), place.answer.load(Ordering::Relaxed));
            }
            fit &= grown.add(context, answer);
            if fit || places == MAX_PLACES {
                return grown;
            }
        }
    }

    /// Whether there is no place for a context, nor will be.
    fn is_full_for(&self, context: usize) -> bool {
        self.places.len() == MAX_PLACES && self.place(context).context.load(Ordering::Relaxed) != 0
    }
}

fn answers(cell: &AtomicUsize) -> Option<&'static Answers> {
    // SAFETY: the cell of a lookup is empty or holds a table, which is never freed.
    unsafe { (cell.load(Ordering::Acquire) as *const Answers).as_ref() }
}

/// The answer in `context`, if it is known.
pub fn find(cell: &AtomicUsize, context: usize) -> Option<usize> {
    let place = answers(cell)?.place(context);
    (place.context.load(Ordering::Acquire) == context).then(|| place.answer.load(Ordering::Relaxed))
}

/// Keeps an answer, if there is a place for it.
pub fn add(cell: &AtomicUsize, context: usize, answer: usize) {
    static ADDING: Mutex<()> = Mutex::new(());
    if answers(cell).is_some_and(|known| known.is_full_for(context)) {
        return;
    }
    let _adding = ADDING.lock();
    let table = match answers(cell) {
        Some(known) if known.is_full_for(context) || known.add(context, answer) => return,
        Some(known) => known.grown(context, answer),
        None => {
            let first = Answers::new(FIRST_PLACES);
            first.add(context, answer);
            first
        }
    };
    // Others may be reading the table before: it stays.
    cell.store(Box::into_raw(Box::new(table)) as usize, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_found_by_their_contexts() {
        let cell = AtomicUsize::new(0);
        assert_eq!(find(&cell, 0x1000), None);
        for number in 1..200 {
            add(&cell, number * 0x70, number);
            assert_eq!(find(&cell, number * 0x70), Some(number));
        }
        let known = (1..200).filter(|&number| find(&cell, number * 0x70) == Some(number)).count();
        assert!(known > 150, "only {known} of 199 have a place");
        assert_eq!(find(&cell, 0x70 * 300), None);
    }

    #[test]
    fn a_full_table_keeps_what_it_has() {
        let cell = AtomicUsize::new(0);
        for number in 1..=4 * MAX_PLACES {
            add(&cell, number << 24, number);
        }
        assert_eq!(find(&cell, 1 << 24), Some(1));
        assert_eq!(find(&cell, 2 << 24), None);
    }
}
