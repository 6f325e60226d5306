//! `System.IO.MemoryMappedFiles.MemoryMapImpl`: files and memory that several views share. Handles are numbers of the two tables here.

use super::native_text::{counted_units, last_errno, path_of};
use super::{InternalCall, icall};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::LazyLock;

/// What the class library takes for errors.
mod errors {
    pub(super) const CAPACITY_BELOW_FILE_SIZE: i32 = 2;
    pub(super) const FILE_NOT_FOUND: i32 = 3;
    pub(super) const FILE_EXISTS: i32 = 4;
    pub(super) const CANNOT_OPEN: i32 = 6;
    pub(super) const CAPACITY_WITHOUT_FILE: i32 = 7;
    pub(super) const CANNOT_MAP: i32 = 9;
    pub(super) const ACCESS_DENIED: i32 = 10;
    pub(super) const CAPACITY_BEYOND_ADDRESS_SPACE: i32 = 11;
}

/// Values of `FileMode`.
mod modes {
    pub(super) const CREATE_NEW: i32 = 1;
    pub(super) const CREATE: i32 = 2;
    pub(super) const OPEN: i32 = 3;
    pub(super) const OPEN_OR_CREATE: i32 = 4;
    pub(super) const TRUNCATE: i32 = 5;
}

/// Values of `MemoryMappedFileAccess`.
mod access_kinds {
    pub(super) const READ: i32 = 1;
    pub(super) const WRITE: i32 = 2;
    pub(super) const COPY_ON_WRITE: i32 = 3;
    pub(super) const READ_EXECUTE: i32 = 4;
    pub(super) const READ_WRITE_EXECUTE: i32 = 5;
}

type Result<T> = std::result::Result<T, i32>;

/// A file to be mapped, possibly with a name under which the process finds it.
struct Mapping {
    file: File,
    capacity: u64,
    name: Option<String>,
    /// How often it was opened and not closed.
    uses: u32,
}

/// A part of one in memory.
struct View {
    address: usize,
    length: usize,
}

#[derive(Default)]
struct Tables {
    mappings: FxHashMap<isize, Mapping>,
    views: FxHashMap<isize, View>,
    last: isize,
}

static TABLES: LazyLock<Mutex<Tables>> = LazyLock::new(Mutex::default);

impl Tables {
    fn add(&mut self, file: File, capacity: u64, name: Option<String>) -> isize {
        self.last += 1;
        self.mappings.insert(self.last, Mapping { file, capacity, name, uses: 1 });
        self.last
    }
}

fn page_bytes() -> u64 {
    // SAFETY: no memory is involved.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

fn is_writable(access: i32) -> bool {
    !matches!(access, access_kinds::READ | access_kinds::READ_EXECUTE)
}

fn of_io_error(error: &Error) -> i32 {
    match error.kind() {
        ErrorKind::NotFound => errors::FILE_NOT_FOUND,
        ErrorKind::AlreadyExists => errors::FILE_EXISTS,
        ErrorKind::PermissionDenied => errors::ACCESS_DENIED,
        _ => errors::CANNOT_OPEN,
    }
}

/// Makes the file as large as it is to be; gives the capacity. One without bytes may be opened, but not mapped.
fn sized(file: &File, capacity: i64) -> Result<u64> {
    let size = file.metadata().map_err(|error| of_io_error(&error))?.len();
    let capacity = u64::try_from(capacity).ok().filter(|&capacity| capacity > 0).unwrap_or(size);
    if capacity < size {
        return Err(errors::CAPACITY_BELOW_FILE_SIZE);
    }
    if capacity > size {
        file.set_len(capacity).map_err(|_| errors::CANNOT_OPEN)?;
    }
    Ok(capacity)
}

fn open_path(path: &Path, mode: i32, capacity: i64, access: i32) -> Result<(File, u64)> {
    match (mode, path.metadata()) {
        (modes::CREATE_NEW, Ok(_)) => return Err(errors::FILE_EXISTS),
        (modes::CREATE_NEW, Err(_)) if capacity <= 0 => return Err(errors::CAPACITY_BELOW_FILE_SIZE),
        // The size that counts is the one before the file is emptied.
        (_, Ok(old)) if capacity > 0 && (capacity as u64) < old.len() => return Err(errors::CAPACITY_BELOW_FILE_SIZE),
        _ => {}
    }
    let mut options = File::options();
    options.read(true).write(is_writable(access) || mode != modes::OPEN);
    match mode {
        modes::CREATE_NEW => options.create_new(true),
        modes::CREATE => options.create(true).truncate(true),
        modes::TRUNCATE => options.truncate(true),
        modes::OPEN_OR_CREATE => options.create(true),
        _ => &mut options,
    };
    let file = options.open(path).map_err(|error| of_io_error(&error))?;
    let capacity = sized(&file, capacity)?;
    Ok((file, capacity))
}

/// Memory without a file; `name` may be that of one in use.
fn open_memory(name: Option<String>, mode: i32, capacity: i64) -> Result<(isize, u64)> {
    let mut tables = TABLES.lock();
    let known = tables.mappings.iter_mut().find(|(_, mapping)| name.is_some() && mapping.name == name);
    match (known, mode) {
        (Some(_), modes::CREATE_NEW) => return Err(errors::FILE_EXISTS),
        (Some((&handle, mapping)), _) => {
            mapping.uses += 1;
            return Ok((handle, mapping.capacity));
        }
        (None, modes::OPEN) => return Err(errors::FILE_NOT_FOUND),
        (None, _) => {}
    }
    let capacity = u64::try_from(capacity).ok().filter(|&capacity| capacity > 0).ok_or(errors::CAPACITY_WITHOUT_FILE)?;
    if usize::try_from(capacity).is_err() {
        return Err(errors::CAPACITY_BEYOND_ADDRESS_SPACE);
    }
    // SAFETY: a name that ends with a 0; the descriptor has no other owner.
    let file = unsafe {
        match libc::memfd_create(c"memory map".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(errors::CANNOT_OPEN),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.set_len(capacity).map_err(|_| errors::CANNOT_OPEN)?;
    Ok((tables.add(file, capacity, name), capacity))
}

/// A name of the caller's.
///
/// # Safety
/// `name` is null or points to so many units.
unsafe fn name_of(name: *const u16, length: i32) -> Option<String> {
    // SAFETY: the caller's promise.
    if name.is_null() { None } else { Some(String::from_utf16_lossy(unsafe { counted_units(name, length) })) }
}

/// Stores capacity or error; gives the handle.
fn finish(outcome: Result<(isize, u64)>, capacity: *mut i64, error: *mut i32) -> isize {
    // SAFETY: addresses of the caller's variables.
    unsafe {
        match outcome {
            Ok((handle, size)) => {
                capacity.write(size as i64);
                error.write(0);
                handle
            }
            Err(number) => {
                error.write(number);
                0
            }
        }
    }
}

extern "C" fn open_file(
    path: *const u16,
    path_length: i32,
    mode: i32,
    name: *const u16,
    name_length: i32,
    capacity: *mut i64,
    access: i32,
    _options: i32,
    error: *mut i32,
) -> isize {
    // SAFETY: the caller passes pinned strings with their lengths, and the address of a variable.
    let (path, name, wanted) = unsafe {
        let path = if path.is_null() { None } else { Some(path_of(counted_units(path, path_length))) };
        (path, name_of(name, name_length), capacity.read())
    };
    let outcome = match path {
        None => open_memory(name, mode, wanted),
        Some(path) => open_path(Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())), mode, wanted, access)
            .map(|(file, capacity)| (TABLES.lock().add(file, capacity, name), capacity)),
    };
    finish(outcome, capacity, error)
}

/// For a file that the program has open already.
extern "C" fn open_handle(
    handle: isize,
    name: *const u16,
    name_length: i32,
    capacity: *mut i64,
    _access: i32,
    _options: i32,
    error: *mut i32,
) -> isize {
    // SAFETY: the caller passes a pinned string with its length, and the address of a variable. The descriptor is a copy.
    let (name, wanted, copy) =
        unsafe { (name_of(name, name_length), capacity.read(), libc::fcntl(handle as i32, libc::F_DUPFD_CLOEXEC, 0)) };
    let outcome = if copy < 0 {
        Err(of_io_error(&Error::from_raw_os_error(last_errno())))
    } else {
        // SAFETY: the descriptor has no other owner.
        let file = unsafe { File::from_raw_fd(copy) };
        sized(&file, wanted).map(|capacity| (TABLES.lock().add(file, capacity, name), capacity))
    };
    finish(outcome, capacity, error)
}

extern "C" fn close(handle: isize) {
    let mut tables = TABLES.lock();
    if let Some(mapping) = tables.mappings.get_mut(&handle) {
        mapping.uses -= 1;
        if mapping.uses == 0 {
            tables.mappings.remove(&handle);
        }
    }
}

extern "C" fn set_inheritable(handle: isize, inheritability: i32) {
    if let Some(mapping) = TABLES.lock().mappings.get(&handle) {
        let flags = if inheritability != 0 { 0 } else { libc::FD_CLOEXEC };
        // SAFETY: no memory is involved.
        unsafe { libc::fcntl(mapping.file.as_raw_fd(), libc::F_SETFD, flags) };
    }
}

/// Protection and flags of an access.
fn protection(access: i32) -> (i32, i32) {
    const WRITABLE: i32 = libc::PROT_READ | libc::PROT_WRITE;
    match access {
        access_kinds::READ => (libc::PROT_READ, libc::MAP_SHARED),
        access_kinds::WRITE => (libc::PROT_WRITE, libc::MAP_SHARED),
        access_kinds::COPY_ON_WRITE => (WRITABLE, libc::MAP_PRIVATE),
        access_kinds::READ_EXECUTE => (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_SHARED),
        access_kinds::READ_WRITE_EXECUTE => (WRITABLE | libc::PROT_EXEC, libc::MAP_SHARED),
        _ => (WRITABLE, libc::MAP_SHARED),
    }
}

/// Maps `size` bytes (0: all the rest) from `offset` on; handle of the view, address of the first byte, and size.
fn map_view(handle: isize, offset: u64, size: u64, access: i32) -> Result<(isize, usize, u64)> {
    let mut tables = TABLES.lock();
    let mapping = tables.mappings.get(&handle).ok_or(errors::CANNOT_MAP)?;
    let file_size = mapping.file.metadata().map_err(|_| errors::CANNOT_MAP)?.len();
    let end = if size == 0 { mapping.capacity } else { offset.saturating_add(size) };
    if end > file_size || offset > end {
        return Err(errors::ACCESS_DENIED);
    }
    // A view of all the rest reaches to the end of the last page.
    let size = if size == 0 { end.next_multiple_of(page_bytes()) - offset } else { size };
    let before = offset % page_bytes();
    let length = usize::try_from(size + before).map_err(|_| errors::CANNOT_MAP)?;
    let (protection, flags) = protection(access);
    // SAFETY: a new area, of which nobody knows yet.
    let address = unsafe {
        libc::mmap64(
            std::ptr::null_mut(),
            length,
            protection,
            flags,
            mapping.file.as_raw_fd(),
            (offset - before) as libc::off64_t,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(errors::CANNOT_MAP);
    }
    let address = address as usize;
    tables.last += 1;
    let view = tables.last;
    tables.views.insert(view, View { address, length });
    Ok((view, address + before as usize, size))
}

extern "C" fn map(handle: isize, offset: i64, size: *mut i64, access: i32, view: *mut isize, address: *mut usize) -> i32 {
    // SAFETY: addresses of the caller's variables.
    unsafe {
        match map_view(handle, offset as u64, size.read() as u64, access) {
            Ok((new, start, length)) => {
                view.write(new);
                address.write(start);
                size.write(length as i64);
                0
            }
            Err(number) => number,
        }
    }
}

extern "C" fn flush(view: isize) {
    if let Some(view) = TABLES.lock().views.get(&view) {
        // SAFETY: a mapped area.
        unsafe { libc::msync(view.address as *mut _, view.length, libc::MS_SYNC) };
    }
}

extern "C" fn unmap(view: isize) -> bool {
    let view = TABLES.lock().views.remove(&view);
    // SAFETY: a mapped area; that no view is used after it is closed is the program's part.
    view.is_some_and(|view| unsafe { libc::munmap(view.address as *mut _, view.length) } == 0)
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:CloseMapping (intptr)", close as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:ConfigureHandleInheritability", set_inheritable as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:Flush (intptr)", flush as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:MapInternal", map as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:OpenFileInternal", open_file as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:OpenHandleInternal", open_handle as *const ()),
    icall("System.IO.MemoryMappedFiles.MemoryMapImpl:Unmap (intptr)", unmap as *const ()),
];
