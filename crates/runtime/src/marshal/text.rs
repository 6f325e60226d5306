//! Strings in native memory, which `malloc` gives.

use crate::exceptions::{Exception, Result};
use crate::object::StringRef;
use compiler::marshal::Text;
use std::ffi::{CStr, c_char};

/// Bytes of the length in front of a BSTR's text.
pub const BSTR_PREFIX: usize = 4;

/// Memory of `malloc`; raises when there is none. An area of no bytes has an address, too.
pub fn allocate(size: usize) -> Result<*mut u8> {
    // SAFETY: any size is allowed.
    let address = unsafe { libc::malloc(size.max(1)) } as *mut u8;
    if address.is_null() { Err(Exception::out_of_memory()) } else { Ok(address) }
}

/// Frees memory of [`allocate`], or nothing.
pub fn free(address: *mut u8) {
    // SAFETY: null or an area of `malloc`.
    unsafe { libc::free(address.cast()) };
}

/// Frees a text of this form, or nothing.
pub fn free_text(text: Text, address: *mut u8) {
    match text {
        Text::Utf8 | Text::Utf16 => free(address),
        Text::Bstr | Text::AnsiBstr if address.is_null() => {}
        Text::Bstr | Text::AnsiBstr => free(address.wrapping_sub(BSTR_PREFIX)),
    }
}

/// The bytes of a text in this form, with the final 0.
pub fn encoded(text: Text, units: &[u16]) -> Vec<u8> {
    match text {
        Text::Utf16 | Text::Bstr => units.iter().chain(&[0]).flat_map(|unit| unit.to_ne_bytes()).collect(),
        Text::Utf8 | Text::AnsiBstr => {
            let mut bytes = String::from_utf16_lossy(units).into_bytes();
            bytes.push(0);
            bytes
        }
    }
}

/// A native copy of a text.
pub fn native_copy(text: Text, units: &[u16]) -> Result<*mut u8> {
    let bytes = encoded(text, units);
    let (prefix, terminator) = match text {
        Text::Utf8 => (0, 1),
        Text::Utf16 => (0, 2),
        Text::Bstr => (BSTR_PREFIX, 2),
        Text::AnsiBstr => (BSTR_PREFIX, 1),
    };
    let area = allocate(prefix + bytes.len())?;
    // SAFETY: the area has room for the length and the bytes.
    unsafe {
        if prefix != 0 {
            area.cast::<u32>().write_unaligned((bytes.len() - terminator) as u32);
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), area.add(prefix), bytes.len());
        Ok(area.add(prefix))
    }
}

/// A native copy of a string; null for null.
pub fn native_string(text: Text, string: StringRef) -> Result<*mut u8> {
    if string.is_null() { Ok(std::ptr::null_mut()) } else { native_copy(text, string.units()) }
}

/// The string at `address`; null for null.
///
/// # Safety
/// `address` is null or that of a text in this form.
pub unsafe fn managed_string(text: Text, address: *const u8) -> Result<StringRef> {
    if address.is_null() {
        return Ok(StringRef::NULL);
    }
    // SAFETY: the caller's promise; a BSTR has its length in bytes in front.
    unsafe {
        let prefix = || address.sub(BSTR_PREFIX).cast::<u32>().read_unaligned() as usize;
        match text {
            Text::Utf8 => StringRef::new(&CStr::from_ptr(address.cast::<c_char>()).to_string_lossy()),
            Text::AnsiBstr => StringRef::new(&String::from_utf8_lossy(std::slice::from_raw_parts(address, prefix()))),
            Text::Utf16 => {
                let units = address.cast::<u16>();
                let length = (0..).take_while(|&index| units.add(index).read_unaligned() != 0).count();
                units_to_string(units, length)
            }
            Text::Bstr => units_to_string(address.cast(), prefix() / 2),
        }
    }
}

/// # Safety
/// There are so many units.
unsafe fn units_to_string(units: *const u16, length: usize) -> Result<StringRef> {
    // SAFETY: the caller's promise.
    let units: Vec<u16> = (0..length).map(|index| unsafe { units.add(index).read_unaligned() }).collect();
    StringRef::from_units(&units)
}

/// Bytes of a unit.
pub fn unit_bytes(text: Text) -> usize {
    if matches!(text, Text::Utf16 | Text::Bstr) { 2 } else { 1 }
}

/// The string in an area of `count` units: up to the first 0, or all of it.
///
/// # Safety
/// There are so many units.
pub unsafe fn string_in_place(text: Text, address: *const u8, count: usize) -> Result<StringRef> {
    // SAFETY: the caller's promise.
    unsafe {
        if text == Text::Utf16 {
            let units = address.cast::<u16>();
            let length = (0..count).take_while(|&index| units.add(index).read_unaligned() != 0).count();
            return units_to_string(units, length);
        }
        // As Mono does, the last byte does not count.
        let bytes = std::slice::from_raw_parts(address, count.saturating_sub(1));
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        StringRef::new(&String::from_utf8_lossy(&bytes[..end]))
    }
}

/// Fills an area of `count` units, the last of which stays 0.
///
/// # Safety
/// There is room for so many units.
pub unsafe fn fill_in_place(text: Text, string: StringRef, address: *mut u8, count: usize) {
    let unit = unit_bytes(text);
    let bytes = if string.is_null() { Vec::new() } else { encoded(text, string.units()) };
    let length = bytes.len().min(count.saturating_sub(1) * unit);
    // SAFETY: the caller's promise.
    unsafe {
        std::ptr::write_bytes(address, 0, count * unit);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), address, length);
    }
}
