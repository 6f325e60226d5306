//! Text of floating-point numbers, for the class library's `Number` class.

use super::{InternalCall, icall};
use std::ffi::c_char;

/// Writes a number by a format of the C library into the buffer; gives the length of the text.
extern "C" fn double_to_string(value: f64, format: *const c_char, buffer: *mut c_char, length: i32) -> i32 {
    // SAFETY: the class library passes a format for one number, which ends with a 0, and a buffer of this size.
    unsafe { libc::snprintf(buffer, length.max(0) as usize, format, value) }
}

pub(super) const TABLE: &[InternalCall] =
    &[icall("Interop/Sys:DoubleToString (double,byte*,byte*,int)", double_to_string as *const ())];
