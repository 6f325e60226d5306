//! The addresses of the heap on 32 bits, kept free of everything else that a process maps.
//!
//! The heap lies at fixed addresses, and MMTk maps it piece by piece as it grows, each only if nothing is there. With many threads or libraries the
//! system would put stacks and files there first. So the whole range is mapped without access at the start, which takes no memory, and this module's
//! `mmap`, which stands in the place of the C library's for all Rust and C code of the process, lets MMTk's mappings replace that. MMTk 0.32 has no
//! other way to be told of a range that is reserved for it.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is reserved; nothing before [`reserve`].
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// A heap smaller than this is not worth reserving.
const LEAST_BYTES: usize = 64 << 20;

/// log2 of the unit in which the system call takes file offsets, on every machine.
const LOG_OFFSET_UNIT: u32 = 12;

/// Keeps addresses for the heap, and says where they end: if something is there already (systems whose programs end at 0xc000_0000 map
/// libraries from there downwards), only the lower half of the range is kept, or the half of that. Where nothing can be kept, the whole range is given.
pub(super) fn reserve(start: usize, end: usize) -> usize {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    let mut bytes = end - start;
    while bytes >= LEAST_BYTES {
        // SAFETY: maps what nobody has mapped, or fails.
        let mapped = unsafe { libc::mmap(start as *mut c_void, bytes, libc::PROT_NONE, flags, -1, 0) };
        if mapped as usize == start {
            START.store(start, Ordering::Relaxed);
            END.store(start + bytes, Ordering::Release);
            return start + bytes;
        }
        bytes /= 2;
    }
    end
}

fn is_reserved(address: usize, length: usize) -> bool {
    let end = END.load(Ordering::Acquire);
    address >= START.load(Ordering::Relaxed) && address < end && length <= end - address
}

/// The C library's `mmap`; what may replace nothing may still replace the reservation. MMTk alone maps at fixed addresses within it, each once.
///
/// # Safety
/// As for `mmap`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: i32,
    mut flags: i32,
    file: i32,
    offset: libc::off_t,
) -> *mut c_void {
    if flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE && is_reserved(address as usize, length) {
        flags = flags & !libc::MAP_FIXED_NOREPLACE | libc::MAP_FIXED;
    }
    if offset & ((1 << LOG_OFFSET_UNIT) - 1) != 0 {
        // SAFETY: the calling thread's own variable.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return libc::MAP_FAILED;
    }
    let units = offset >> LOG_OFFSET_UNIT;
    // SAFETY: the caller's promise; the call sets `errno` as the C library's function does.
    unsafe { libc::syscall(libc::SYS_mmap2, address, length, protection, flags, file, units) as *mut c_void }
}
