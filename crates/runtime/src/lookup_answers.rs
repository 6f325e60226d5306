//! The answers that a lookup of shared generic code has got before, by context: a table that the lookup's cell leads to. Compiled code
//! searches it itself (`importer::generics` of the compiler), without a lock. The same serves generic virtual calls: the code of a method
//! by the method table of the object.

use compiler::abi::lookup_answers::SHIFT;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A table grows while contexts share places in it, up to this many.
const MAX_PLACES: usize = 1024;
const FIRST_PLACES: usize = 4;

const PLACE_WORDS: usize = 2;
const PLACE_BYTES: usize = PLACE_WORDS * size_of::<usize>();

/// A table in the layout of [`compiler::abi::lookup_answers`]: the mask, then a context and an answer for each of a power of two of
/// places. Nothing is ever replaced in it, and none is ever freed, as others may be reading it.
#[derive(Clone, Copy)]
struct Answers {
    mask: &'static AtomicUsize,
    places: &'static [[AtomicUsize; PLACE_WORDS]],
}

impl Answers {
    fn new(places: usize) -> Answers {
        let words: Vec<AtomicUsize> = (0..1 + PLACE_WORDS * places).map(|_| AtomicUsize::new(0)).collect();
        words[0].store((places - 1) * PLACE_BYTES, Ordering::Relaxed);
        // SAFETY: a table that was just made.
        unsafe { Answers::at(words.leak().as_ptr() as usize) }
    }

    /// # Safety
    /// There is a table.
    unsafe fn at(address: usize) -> Answers {
        // SAFETY: the caller's promise: the mask tells the number of places behind it.
        unsafe {
            let mask = &*(address as *const AtomicUsize);
            let places = mask.load(Ordering::Relaxed) / PLACE_BYTES + 1;
            let first = (address + size_of::<usize>()) as *const [AtomicUsize; PLACE_WORDS];
            Answers { mask, places: std::slice::from_raw_parts(first, places) }
        }
    }

    /// The table that a cell leads to.
    fn of(cell: &AtomicUsize) -> Option<Answers> {
        let address = cell.load(Ordering::Acquire);
        // SAFETY: the cell of a lookup is empty or holds a table.
        (address != 0).then(|| unsafe { Answers::at(address) })
    }

    fn place(&self, context: usize) -> &'static [AtomicUsize; PLACE_WORDS] {
        &self.places[((context ^ context >> SHIFT) & self.mask.load(Ordering::Relaxed)) / PLACE_BYTES]
    }

    /// Whether the answer has, or gets, its place.
    fn add(&self, context: usize, answer: usize) -> bool {
        let [present, place] = self.place(context);
        let other = present.load(Ordering::Relaxed);
        if other == 0 {
            place.store(answer, Ordering::Relaxed);
            present.store(context, Ordering::Release);
        }
        other == 0 || other == context
    }

    /// The smallest larger table that has these answers and another one; of those of the largest, the first.
    fn grown(&self, context: usize, answer: usize) -> Answers {
        let known = self.places.iter().map(|[context, answer]| (context.load(Ordering::Relaxed), answer.load(Ordering::Relaxed)));
        let all: Vec<(usize, usize)> = known.filter(|&(context, _)| context != 0).chain([(context, answer)]).collect();
        let distinct = |mask: usize| {
            let mut places: Vec<usize> = all.iter().map(|&(context, _)| (context ^ context >> SHIFT) & mask).collect();
            places.sort_unstable();
            places.windows(2).all(|pair| pair[0] != pair[1])
        };
        let mut places = 2 * self.places.len();
        while places < MAX_PLACES && !distinct((places - 1) * PLACE_BYTES) {
            places *= 2;
        }
        let grown = Answers::new(places);
        for (context, answer) in all {
            grown.add(context, answer);
        }
        grown
    }

    /// Whether there is no place for a context, nor will be.
    fn is_full_for(&self, context: usize) -> bool {
        self.places.len() == MAX_PLACES && self.place(context)[0].load(Ordering::Relaxed) != 0
    }
}

/// The answer in a context, if it is known.
pub fn find(cell: &AtomicUsize, context: usize) -> Option<usize> {
    let [present, answer] = Answers::of(cell)?.place(context);
    (present.load(Ordering::Acquire) == context).then(|| answer.load(Ordering::Relaxed))
}

/// Keeps the answer in a context, if there is a place for it.
pub fn add(cell: &AtomicUsize, context: usize, answer: usize) {
    static ADDING: Mutex<()> = Mutex::new(());
    if Answers::of(cell).is_some_and(|known| known.is_full_for(context)) {
        return;
    }
    let _adding = ADDING.lock();
    let table = match Answers::of(cell) {
        Some(known) if known.is_full_for(context) || known.add(context, answer) => return,
        Some(known) => known.grown(context, answer),
        None => {
            let first = Answers::new(FIRST_PLACES);
            first.add(context, answer);
            first
        }
    };
    cell.store(std::ptr::from_ref(table.mask) as usize, Ordering::Release);
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
        }
        // Some share a place even in the largest table, and none has the answer of another.
        let answers: Vec<_> = (1..200).map(|number| find(&cell, number * 0x70)).collect();
        assert!(answers.iter().enumerate().all(|(index, answer)| answer.is_none_or(|answer| answer == index + 1)));
        let known = answers.iter().flatten().count();
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
