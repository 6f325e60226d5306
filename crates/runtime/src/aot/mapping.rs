//! Mapping an image once more, for another domain: the system's loader maps a file but once, and the cells of an image belong to one domain.
//! Nothing in an image is relocated, so that its segments are all there is to it.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;

#[cfg(target_pointer_width = "32")]
use libc::{Elf32_Ehdr as Header, Elf32_Phdr as ProgramHeader};
#[cfg(target_pointer_width = "64")]
use libc::{Elf64_Ehdr as Header, Elf64_Phdr as ProgramHeader};

/// Permission bits of a segment.
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;

/// Maps `file` as it is mapped at `base` already; gives the new base. The mapping stays for good.
///
/// # Safety
/// An image that passed its checks is mapped at `base`, and `file` is the image's.
pub unsafe fn map_again(base: *const u8, file: &File) -> Result<usize> {
    // SAFETY: the first segment of an image holds its ELF header and the program headers.
    let segments: Vec<&ProgramHeader> = unsafe {
        let header = &*base.cast::<Header>();
        let headers = base.add(header.e_phoff as usize).cast::<ProgramHeader>();
        let all = std::slice::from_raw_parts(headers, usize::from(header.e_phnum));
        all.iter().filter(|segment| segment.p_type == libc::PT_LOAD).collect()
    };
    // SAFETY: a plain question.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let end = segments.iter().map(|segment| (segment.p_vaddr + segment.p_memsz) as usize).max().unwrap_or(0);
    // SAFETY: fresh address space.
    let new_base = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(std::ptr::null_mut(), end.next_multiple_of(page), libc::PROT_NONE, flags, -1, 0)
    };
    if new_base == libc::MAP_FAILED {
        return Err(Error::last_os_error());
    }
    for segment in segments {
        let start = segment.p_vaddr as usize / page * page;
        let before = segment.p_vaddr as usize - start;
        let in_file = (before + segment.p_filesz as usize).next_multiple_of(page);
        let in_memory = (before + segment.p_memsz as usize).next_multiple_of(page);
        let mut access = libc::PROT_READ;
        access |= if segment.p_flags & EXECUTE != 0 { libc::PROT_EXEC } else { 0 };
        access |= if segment.p_flags & WRITE != 0 { libc::PROT_WRITE } else { 0 };
        // SAFETY: all of it lies in the address space reserved above.
        unsafe {
            let place = new_base.cast::<u8>().add(start);
            let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
            let offset = (segment.p_offset as usize - before) as libc::off_t;
            if libc::mmap(place.cast(), in_file, access, flags, file.as_raw_fd(), offset) == libc::MAP_FAILED {
                return Err(Error::last_os_error());
            }
            if in_memory > in_file && libc::mprotect(place.add(in_file).cast(), in_memory - in_file, access) != 0 {
                return Err(Error::last_os_error());
            }
            if segment.p_memsz > segment.p_filesz {
                let content = before + segment.p_filesz as usize;
                std::ptr::write_bytes(place.add(content), 0, in_file - content);
            }
        }
    }
    Ok(new_base as usize)
}
