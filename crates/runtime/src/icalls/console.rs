//! Setting a terminal up for `System.Console`, and putting it back at exit. What is written to it comes from managed code.

use super::{InternalCall, icall, raising, store_out};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use il::types::TypeId;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// Number of control characters that the class library knows; their order is that of Linux.
const CONTROL_CHARACTERS: usize = 17;

/// Columns in the upper half, lines in the lower half; -1 if unknown. Managed code reads it through its address.
static SIZE: AtomicI32 = AtomicI32::new(-1);
static SAVED: OnceLock<Saved> = OnceLock::new();

/// How the terminal was, and what to write to leave it.
struct Saved {
    settings: libc::termios,
    teardown: Vec<u8>,
}

extern "C" fn update_size() {
    // SAFETY: zero is a valid value of the structure, which the call fills.
    let (outcome, size) = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(0, libc::TIOCGWINSZ, &mut size), size)
    };
    if outcome == 0 {
        SIZE.store((i32::from(size.ws_col) << 16) | i32::from(size.ws_row), Ordering::Relaxed);
        return;
    }
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let (columns, lines) = (number("COLUMNS"), number("LINES"));
    SIZE.store(if columns != 0 && lines != 0 { (columns << 16) | lines } else { -1 }, Ordering::Relaxed);
}

extern "C" fn restore() {
    let Some(saved) = SAVED.get() else { return };
    // SAFETY: the text and the settings are whole.
    unsafe {
        // A terminal that is gone needs no restoring.
        let _ = libc::write(1, saved.teardown.as_ptr().cast(), saved.teardown.len());
        libc::tcflush(0, libc::TCIFLUSH);
        libc::tcsetattr(0, libc::TCSANOW, &saved.settings);
    }
}

/// Keys arrive one by one from here on. Gives the control characters and the address of the terminal's size.
extern "C" fn set_up(_keypad: StringRef, teardown: StringRef, characters: *mut ObjectRef, size: *mut *const AtomicI32) -> bool {
    raising(|| {
        update_size();
        let array = ArrayRef::new(TypeId::U8, CONTROL_CHARACTERS)?;
        store_out(characters, array.object());
        // SAFETY: managed code passes places for both results; zero is a valid value of the structure, which the first call fills.
        unsafe {
            *size = &raw const SIZE;
            let mut settings: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(0, &mut settings) != 0 {
                return Ok(false);
            }
            let original = settings;
            settings.c_lflag &= !libc::ICANON;
            settings.c_iflag &= !(libc::IXON | libc::IXOFF);
            settings.c_cc[libc::VMIN] = 1;
            settings.c_cc[libc::VTIME] = 0;
            if libc::tcsetattr(0, libc::TCSANOW, &settings) != 0 {
                return Ok(false);
            }
            std::ptr::copy_nonoverlapping(settings.c_cc.as_ptr(), array.data::<u8>(), CONTROL_CHARACTERS);
            let teardown = if teardown.is_null() { Vec::new() } else { teardown.text().into_bytes() };
            if SAVED.set(Saved { settings: original, teardown }).is_ok() {
                libc::atexit(restore);
            }
        }
        Ok(true)
    })
}

pub(super) const TABLE: &[InternalCall] = &[icall("System.ConsoleDriver:TtySetup", set_up as *const ())];
