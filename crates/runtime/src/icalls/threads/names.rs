//! Names of threads. A program gives a thread one name at most; that of the thread pool's threads does not count, and comes back.

use super::internal_field;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::native_text::counted_units;
use crate::icalls::raising;
use crate::object::{ObjectRef, StringRef};
use parking_lot::Mutex;

static CHARS: KnownField = internal_field("name_chars");
static LENGTH: KnownField = internal_field("name_length");
static FLAGS: KnownField = internal_field("flags");

/// Bit of the flags: the program has given the name.
const IS_FINAL: usize = 1;
const POOL_THREAD: &str = "Thread Pool Worker";

/// Held while a name is read or replaced.
static NAMES: Mutex<()> = Mutex::new(());

/// The name in an `InternalThread`; `None` without one.
pub(super) fn name_of(internal: ObjectRef) -> Option<Vec<u16>> {
    let _guard = NAMES.lock();
    let chars: *const u16 = CHARS.get(internal);
    // SAFETY: `store` put an area of that many units there, which nobody frees meanwhile.
    (!chars.is_null()).then(|| unsafe { counted_units(chars, LENGTH.get(internal)) }.to_vec())
}

/// Replaces the name; the caller holds the lock.
fn store(internal: ObjectRef, name: &[u16]) -> Result<()> {
    // SAFETY: an area with room for the units, and the one before, which only the object knows.
    unsafe {
        let copy = libc::malloc(2 * name.len() + 2) as *mut u16;
        if copy.is_null() {
            return Err(Exception::out_of_memory());
        }
        std::ptr::copy_nonoverlapping(name.as_ptr(), copy, name.len());
        libc::free(CHARS.get::<*mut u16>(internal).cast());
        LENGTH.set(internal, name.len() as i32);
        CHARS.set(internal, copy);
    }
    Ok(())
}

/// Frees the name of an `InternalThread` that ends.
pub(super) fn forget(internal: ObjectRef) {
    let name: *mut u16 = CHARS.get(internal);
    CHARS.set(internal, std::ptr::null_mut::<u16>());
    // SAFETY: the object owned the memory, and gives it up here.
    unsafe { libc::free(name.cast()) };
}

/// Gives a thread of the pool the name that it has before each piece of work.
pub(super) fn name_pool_thread(internal: ObjectRef) {
    let _guard = NAMES.lock();
    let flags: usize = FLAGS.get(internal);
    // Only a program gives another one.
    if flags & IS_FINAL == 0 && !CHARS.get::<*const u16>(internal).is_null() {
        return;
    }
    let name: Vec<u16> = POOL_THREAD.encode_utf16().collect();
    FLAGS.set(internal, flags & !IS_FINAL);
    // Without memory for it the thread has no name, or its last one.
    let _ = store(internal, &name);
}

pub(super) extern "C" fn get_name(internal: ObjectRef) -> StringRef {
    raising(|| match name_of(internal.check()?) {
        Some(name) => StringRef::from_units(&name),
        None => Ok(StringRef::NULL),
    })
}

pub(super) extern "C" fn set_name(internal: ObjectRef, name: *const u16, length: i32) {
    raising(|| {
        let internal = internal.check()?;
        let _guard = NAMES.lock();
        let flags: usize = FLAGS.get(internal);
        if flags & IS_FINAL != 0 {
            return Err(Exception::invalid_operation("Thread.Name can only be set once."));
        }
        if name.is_null() {
            return Ok(());
        }
        // SAFETY: the caller passes a pinned string with its length.
        store(internal, unsafe { counted_units(name, length) })?;
        FLAGS.set(internal, flags | IS_FINAL);
        Ok(())
    })
}
