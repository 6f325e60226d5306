//! The addresses of the heap on 32 bits, kept free of everything else that a process maps.
//!
//! The heap and what MMTk notes about it lie at fixed addresses, and MMTk maps both piece by piece as the heap grows, each only if nothing is there. With
//! many threads or libraries the system would put stacks and files there first. So all of it is mapped without access at the start, which takes
//! no memory, and this module's `mmap`, which stands in the place of the C library's for all Rust and C code of the process, lets MMTk's mappings
//! replace that. MMTk 0.32 has no other way to be told of a range that is reserved for it.

use std::ffi::c_void;
use std::ops::Range;
use std::sync::OnceLock;

/// What is reserved.
static RESERVED: OnceLock<Vec<Range<usize>>> = OnceLock::new();

/// A heap smaller than this is not worth reserving.
const LEAST_BYTES: usize = 64 << 20;

/// log2 of the unit in which the system call takes file offsets, on every machine.
const LOG_OFFSET_UNIT: u32 = 12;

/// Keeps addresses for the heap, and says where they end: if something is there already (systems whose programs end at 0xc000_0000 map
/// libraries from there downwards), only the lower half of the range is kept, or the half of that. Where nothing can be kept, the whole range is given.
/// `notes` tells where what MMTk notes of a part of the heap will be; each of these is kept if it is free.
pub(super) fn reserve(heap: Range<usize>, notes: impl Fn(&Range<usize>) -> Vec<Range<usize>>) -> usize {
    let mut part = heap.clone();
    while part.len() >= LEAST_BYTES {
        if map_without_access(&part) {
            let mut reserved = notes(&part);
            reserved.retain(map_without_access);
            reserved.push(part.clone());
            assert!(RESERVED.set(reserved).is_ok(), "the heap is reserved once");
            return part.end;
        }
        part.end -= part.len() / 2;
    }
    heap.end
}

fn map_without_access(range: &Range<usize>) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: maps what nobody has mapped, or fails.
    let mapped = unsafe { libc::mmap(range.start as *mut c_void, range.len(), libc::PROT_NONE, flags, -1, 0) };
    let is_there = mapped as usize == range.start;
    if !is_there && mapped != libc::MAP_FAILED {
        // Emulators that do not know the flag choose another place.
        // SAFETY: what was just mapped.
        unsafe { libc::munmap(mapped, range.len()) };
    }
    is_there
}

fn is_reserved(address: usize, length: usize) -> bool {
    let Some(reserved) = RESERVED.get() else { return false };
    reserved.iter().any(|range| range.contains(&address) && length <= range.end - address)
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
