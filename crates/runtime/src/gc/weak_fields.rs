//! Fields that do not keep their objects (`System.WeakAttribute`).
//!
//! The objects that have such fields are registered. Scanning passes over the fields; they are looked at after tracing, in collections of
//! young objects too, so that they need no remembering. As those of weak handles, their targets are forgotten before finalisers run.

use super::ephemerons::survivor;
use super::object_model::ObjectShape;
use parking_lot::Mutex;

/// Addresses of the objects, which are not kept alive by standing here.
static OBJECTS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Notes an object whose method table has `WEAK_FIELDS`.
pub fn register_weak_fields(object: *mut u8) {
    OBJECTS.lock().push(object as usize);
}

/// Forgets or follows what the weak fields of a live object refer to.
fn update_fields(object: usize) {
    let start = object as *mut u8;
    // SAFETY: a registered object that lives, at its address after the collection, and no thread but this one runs.
    unsafe {
        for &offset in &ObjectShape::of(start).references().weak {
            let slot = start.add(offset as usize).cast::<usize>();
            slot.write(survivor(slot.read()).unwrap_or(0));
        }
    }
}

/// After tracing: looks at the fields of the objects that live by now.
pub(super) fn update() {
    OBJECTS.lock().iter().filter_map(|&object| survivor(object)).for_each(update_fields);
}

/// When nothing more is traced: looks at those of the objects that only a finaliser reaches, and follows all that live.
pub(super) fn finish() {
    OBJECTS.lock().retain_mut(|object| {
        let Some(address) = survivor(*object) else { return false };
        update_fields(address);
        *object = address;
        true
    });
}
