//! Text that internal calls pass as pointers, and the way into and out of blocking system calls. Knows no class of the library.

use crate::exceptions::Result;
use crate::object::{ArrayRef, StringRef};
use crate::thread::in_native_code;
use il::types::TypeId;
use std::ffi::{CStr, CString, c_char};

/// UTF-16 units of a text that ends with a 0. Null gives none.
///
/// # Safety
/// `text` is null or points to units that end with a 0 and stay as they are while the result is in use.
pub(super) unsafe fn terminated_units<'a>(text: *const u16) -> &'a [u16] {
    if text.is_null() {
        return &[];
    }
    let mut length = 0;
    // SAFETY: the caller's promise: there is a 0 before the end of the area.
    unsafe {
        while *text.add(length) != 0 {
            length += 1;
        }
        std::slice::from_raw_parts(text, length)
    }
}

/// `length` UTF-16 units from `text`. Null gives none.
///
/// # Safety
/// `text` is null or points to so many units, which stay as they are while the result is in use.
pub(super) unsafe fn counted_units<'a>(text: *const u16, length: i32) -> &'a [u16] {
    if text.is_null() || length <= 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(text, length as usize) }
}

/// A path for the operating system, which ends at the first 0.
pub(super) fn path_of(units: &[u16]) -> CString {
    let units = units.split(|unit| *unit == 0).next().unwrap_or_default();
    CString::new(String::from_utf16_lossy(units)).unwrap_or_default()
}

/// Text of a C string; what is no UTF-8 becomes U+FFFD. Null gives an empty text.
///
/// # Safety
/// `text` is null or points to bytes that end with a 0.
pub(super) unsafe fn c_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A managed array of strings.
pub(super) fn string_array<T: AsRef<str>>(texts: &[T]) -> Result<ArrayRef> {
    let array = ArrayRef::new(TypeId::STRING, texts.len())?;
    for (index, text) in texts.iter().enumerate() {
        array.set_ref(index, StringRef::new(text.as_ref())?.object());
    }
    Ok(array)
}

/// The error number of the last system call of this thread.
pub(super) fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Runs something that may take long while collections go on without this thread. It may touch no object, except memory of objects to
/// which the caller's frame has a reference in memory.
pub(super) fn blocking<T>(action: impl FnOnce() -> T) -> T {
    in_native_code(action)
}
