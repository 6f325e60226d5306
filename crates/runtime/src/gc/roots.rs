//! Roots outside of heap and stacks: areas of reference slots (static fields, tables of literals).

use mmtk::util::Address;
use mmtk::vm::slot::SimpleSlot;
use parking_lot::Mutex;

static RANGES: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Registers `words` reference slots from `start` as roots.
///
/// # Safety
/// Until it is removed, the area stays mapped and every slot in it holds null or a reference.
pub unsafe fn add_root_range(start: *const usize, words: usize) {
    if words > 0 {
        RANGES.lock().push((start as usize, words));
    }
}

/// Takes the area that begins at `start` out again.
pub fn remove_root_range(start: *const usize) {
    RANGES.lock().retain(|(begin, _)| *begin != start as usize);
}

/// All slots that hold a reference.
pub(super) fn root_slots() -> Vec<SimpleSlot> {
    let mut slots = Vec::new();
    for &(start, words) in RANGES.lock().iter() {
        for index in 0..words {
            let address = start + index * size_of::<usize>();
            // SAFETY: registered areas stay mapped, see `add_root_range`; no thread writes during a collection.
            if unsafe { (address as *const usize).read() } != 0 {
                // SAFETY: a plain number.
                slots.push(SimpleSlot::from_address(unsafe { Address::from_usize(address) }));
            }
        }
    }
    slots
}
