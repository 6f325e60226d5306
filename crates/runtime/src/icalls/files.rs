//! `System.IO.MonoIO` on open files: handles are file descriptors.

use super::io_errors::{self as errors, of_errno};
use super::native_text::{blocking, last_errno, path_of, terminated_units};
use super::{InternalCall, icall};
use crate::object::ArrayRef;
use parking_lot::Mutex;
use std::ffi::{CStr, CString};

/// Bits of `System.IO.FileAccess`.
const ACCESS_READ: i32 = 1;
const ACCESS_WRITE: i32 = 2;
/// Bits of `System.IO.FileShare`.
const SHARE_NONE: i32 = 0;
const SHARE_READ: i32 = 1;
const SHARE_WRITE: i32 = 2;
/// Bit of `System.IO.FileOptions`.
const DELETE_ON_CLOSE: i32 = 0x0400_0000;
/// Values of `System.IO.MonoFileType`.
const TYPE_UNKNOWN: i32 = 0;
const TYPE_DISK: i32 = 1;
const TYPE_CHARACTER: i32 = 2;
const TYPE_PIPE: i32 = 3;

const NO_HANDLE: isize = -1;

/// A file that this process opened: who shares it how, and what is to be deleted in the end.
struct OpenFile {
    descriptor: i32,
    device: u64,
    inode: u64,
    share: i32,
    delete: Option<CString>,
}

static OPEN_FILES: Mutex<Vec<OpenFile>> = Mutex::new(Vec::new());

/// Stores an error number where the caller wants it.
pub(super) fn set_error(error: *mut i32, value: i32) {
    if !error.is_null() {
        // SAFETY: the address of a variable of the caller.
        unsafe { error.write(value) };
    }
}

/// Notes success or the error of the last system call; gives whether it was a success.
pub(super) fn outcome(error: *mut i32, success: bool) -> bool {
    set_error(error, if success { errors::SUCCESS } else { of_errno(last_errno()) });
    success
}

/// Likewise for a call with a path: a missing folder is another error than a missing file.
pub(super) fn path_outcome(error: *mut i32, success: bool, path: &CStr) -> bool {
    let value = if success { errors::SUCCESS } else { path_error(last_errno(), path) };
    set_error(error, value);
    success
}

fn path_error(errno: i32, path: &CStr) -> i32 {
    if errno == libc::ENOENT {
        let text = path.to_string_lossy();
        let parent = match text.rfind('/') {
            Some(0) => "/",
            Some(end) => &text[..end],
            None => ".",
        };
        if !std::path::Path::new(parent).exists() {
            return errors::PATH_NOT_FOUND;
        }
    }
    of_errno(errno)
}

/// The file's state, or `None` with `errno` set.
pub(super) fn stat_of(descriptor: i32) -> Option<libc::stat64> {
    // SAFETY: zero is a valid value of the structure, and the call fills it.
    unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        if libc::fstat64(descriptor, &mut stat) == 0 { Some(stat) } else { None }
    }
}

/// Whether the one who opened a file first forbids this way of opening, or would be forbidden by it. As in Mono, what later ones share does not
/// matter unless it is nothing.
fn is_sharing_violated(stat: &libc::stat64, access: i32, share: i32) -> bool {
    let files = OPEN_FILES.lock();
    let first = files.iter().find(|file| file.device == stat.st_dev as u64 && file.inode == stat.st_ino as u64);
    first.is_some_and(|first| match first.share {
        own if own == SHARE_NONE || share == SHARE_NONE => true,
        SHARE_READ => access != ACCESS_READ,
        SHARE_WRITE => access != ACCESS_WRITE,
        _ => false,
    })
}

extern "C" fn open(path: *const u16, mode: i32, access: i32, share: i32, options: i32, error: *mut i32) -> isize {
    // SAFETY: the caller passes a pinned string, which ends with a 0.
    let path = path_of(unsafe { terminated_units(path) });
    let access_flags = match access {
        ACCESS_READ => libc::O_RDONLY,
        ACCESS_WRITE => libc::O_WRONLY,
        _ => libc::O_RDWR,
    };
    // Values of FileMode. Truncation waits until sharing was checked.
    let mode_flags = match mode {
        1 => libc::O_CREAT | libc::O_EXCL,
        2 | 4 | 6 => libc::O_CREAT,
        3 | 5 => 0,
        _ => {
            set_error(error, errors::INVALID_PARAMETER);
            return NO_HANDLE;
        }
    };
    let flags = access_flags | mode_flags | libc::O_CLOEXEC;
    // SAFETY: a path that ends with a 0.
    let descriptor = blocking(|| unsafe { libc::open64(path.as_ptr(), flags, 0o666) });
    if !path_outcome(error, descriptor >= 0, &path) {
        return NO_HANDLE;
    }
    let Some(stat) = stat_of(descriptor) else {
        outcome(error, false);
        return NO_HANDLE;
    };
    let is_regular = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    let refuse = |value: i32| {
        set_error(error, value);
        // SAFETY: our own descriptor.
        unsafe { libc::close(descriptor) };
        NO_HANDLE
    };
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return refuse(errors::ACCESS_DENIED);
    }
    if is_regular && is_sharing_violated(&stat, access, share) {
        return refuse(errors::SHARING_VIOLATION);
    }
    // SAFETY: our own descriptor.
    if matches!(mode, 2 | 5) && is_regular && unsafe { libc::ftruncate64(descriptor, 0) } != 0 {
        return refuse(of_errno(last_errno()));
    }
    if is_regular {
        let delete = if options & DELETE_ON_CLOSE != 0 { Some(path) } else { None };
        let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
        OPEN_FILES.lock().push(OpenFile { descriptor, device, inode, share, delete });
    }
    descriptor as isize
}

extern "C" fn close(handle: isize, error: *mut i32) -> bool {
    let descriptor = handle as i32;
    let forgotten = {
        let mut files = OPEN_FILES.lock();
        files.iter().position(|file| file.descriptor == descriptor).map(|index| files.swap_remove(index))
    };
    if let Some(path) = forgotten.and_then(|file| file.delete) {
        // SAFETY: a path that ends with a 0. If it is gone already, that is what was wanted.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    // SAFETY: the program's own descriptor.
    outcome(error, unsafe { libc::close(descriptor) } == 0)
}

/// The part of a byte array that a read or write is about.
fn range(array: ArrayRef, offset: i32, count: i32, error: *mut i32) -> Option<(*mut u8, usize)> {
    if array.is_null() || offset < 0 || count < 0 || offset as usize + count as usize > array.len() {
        set_error(error, errors::INVALID_PARAMETER);
        return None;
    }
    Some((array.data::<u8>().wrapping_add(offset as usize), count as usize))
}

fn retried(mut call: impl FnMut() -> isize) -> isize {
    loop {
        let result = call();
        if result >= 0 || last_errno() != libc::EINTR {
            return result;
        }
    }
}

extern "C" fn read(handle: isize, array: ArrayRef, offset: i32, count: i32, error: *mut i32) -> i32 {
    let Some((data, count)) = range(array, offset, count, error) else { return -1 };
    // SAFETY: an area of the array, which the reference kept in this frame pins.
    let result = blocking(|| retried(|| unsafe { libc::read(handle as i32, data.cast(), count) }));
    std::hint::black_box(&array);
    outcome(error, result >= 0);
    result as i32
}

extern "C" fn write(handle: isize, array: ArrayRef, offset: i32, count: i32, error: *mut i32) -> i32 {
    let Some((data, count)) = range(array, offset, count, error) else { return -1 };
    // SAFETY: an area of the array, which the reference kept in this frame pins.
    let result = blocking(|| retried(|| unsafe { libc::write(handle as i32, data.cast(), count) }));
    std::hint::black_box(&array);
    outcome(error, result >= 0);
    result as i32
}

/// `Interop.Sys.Read`: the error stays in `errno`.
extern "C" fn read_pointer(handle: isize, data: *mut u8, count: i32) -> i32 {
    // SAFETY: the caller's buffer has this size and stays in place.
    blocking(|| retried(|| unsafe { libc::read(handle as i32, data.cast(), count.max(0) as usize) })) as i32
}

/// `FileSystemWatcher.InternalSupportsFSW`: changes are noticed by the watcher of the class library that uses `SystemNative_INotifyInit`.
extern "C" fn watcher_kind() -> i32 {
    const CORE_FX: i32 = 6;
    CORE_FX
}

extern "C" fn seek(handle: isize, offset: i64, origin: i32, error: *mut i32) -> i64 {
    let whence = match origin {
        0 => libc::SEEK_SET,
        1 => libc::SEEK_CUR,
        _ => libc::SEEK_END,
    };
    // SAFETY: no memory is involved.
    let result = unsafe { libc::lseek64(handle as i32, offset, whence) };
    outcome(error, result >= 0);
    result
}

extern "C" fn flush(handle: isize, error: *mut i32) -> bool {
    // SAFETY: no memory is involved.
    let result = blocking(|| unsafe { libc::fsync(handle as i32) });
    // Pipes and terminals need no flush.
    outcome(error, result == 0 || last_errno() == libc::EINVAL)
}

extern "C" fn get_length(handle: isize, error: *mut i32) -> i64 {
    let stat = stat_of(handle as i32);
    outcome(error, stat.is_some());
    stat.map_or(-1, |stat| stat.st_size as i64)
}

extern "C" fn set_length(handle: isize, length: i64, error: *mut i32) -> bool {
    // SAFETY: no memory is involved.
    outcome(error, unsafe { libc::ftruncate64(handle as i32, length) } == 0)
}

extern "C" fn file_type(handle: isize, error: *mut i32) -> i32 {
    let Some(stat) = stat_of(handle as i32) else {
        outcome(error, false);
        return TYPE_UNKNOWN;
    };
    set_error(error, errors::SUCCESS);
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR | libc::S_IFLNK => TYPE_DISK,
        libc::S_IFCHR => TYPE_CHARACTER,
        libc::S_IFIFO | libc::S_IFSOCK => TYPE_PIPE,
        _ => TYPE_UNKNOWN,
    }
}

extern "C" fn set_file_time(handle: isize, _creation: i64, access: i64, write: i64, error: *mut i32) -> bool {
    let time = |value: i64| {
        if value < 0 {
            return libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT };
        }
        let (seconds, nanoseconds) = super::environment::unix_of_file_time(value);
        libc::timespec { tv_sec: seconds as libc::time_t, tv_nsec: nanoseconds as _ }
    };
    let times = [time(access), time(write)];
    // SAFETY: two times.
    outcome(error, unsafe { libc::futimens(handle as i32, times.as_ptr()) } == 0)
}

fn set_lock(handle: isize, kind: i32, position: i64, length: i64, error: *mut i32) {
    // SAFETY: zero is a valid value of the structure.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = libc::off_t::try_from(position).unwrap_or(libc::off_t::MAX);
    // No end stands for one that the type cannot name.
    lock.l_len = libc::off_t::try_from(length).unwrap_or(0);
    // SAFETY: the structure outlives the call.
    let result = unsafe { libc::fcntl(handle as i32, libc::F_SETLK, &lock) };
    let value = match (result, last_errno()) {
        (0, _) => errors::SUCCESS,
        (_, libc::EACCES | libc::EAGAIN) => errors::LOCK_VIOLATION,
        (_, errno) => of_errno(errno),
    };
    set_error(error, value);
}

extern "C" fn lock(handle: isize, position: i64, length: i64, error: *mut i32) {
    set_lock(handle, i32::from(libc::F_WRLCK), position, length, error);
}

extern "C" fn unlock(handle: isize, position: i64, length: i64, error: *mut i32) {
    set_lock(handle, i32::from(libc::F_UNLCK), position, length, error);
}

extern "C" fn create_pipe(read: *mut isize, write: *mut isize, error: *mut i32) -> bool {
    let mut descriptors = [0i32; 2];
    // SAFETY: two descriptors are stored.
    let success = unsafe { libc::pipe2(descriptors.as_mut_ptr(), libc::O_CLOEXEC) } == 0;
    if outcome(error, success) {
        // SAFETY: addresses of the caller's variables.
        unsafe {
            read.write(descriptors[0] as isize);
            write.write(descriptors[1] as isize);
        }
    }
    success
}

extern "C" fn duplicate_handle(
    _source_process: isize,
    source: isize,
    _target_process: isize,
    target: *mut isize,
    _access: i32,
    inherit: i32,
    _options: i32,
    error: *mut i32,
) -> bool {
    if super::wait_handles::duplicate(source) {
        // SAFETY: the address of the caller's variable.
        unsafe { target.write(source) };
        return outcome(error, true);
    }
    let command = if inherit != 0 { libc::F_DUPFD } else { libc::F_DUPFD_CLOEXEC };
    // SAFETY: no memory is involved.
    let copy = unsafe { libc::fcntl(source as i32, command, 0) };
    if outcome(error, copy >= 0) {
        // SAFETY: address of the caller's variable.
        unsafe { target.write(copy as isize) };
    }
    copy >= 0
}

extern "C" fn cancel(_handle: isize, error: *mut i32) -> bool {
    set_error(error, errors::SUCCESS);
    true
}

extern "C" fn standard_input() -> isize {
    0
}

extern "C" fn standard_output() -> isize {
    1
}

extern "C" fn standard_error() -> isize {
    2
}

extern "C" fn is_terminal(handle: isize) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::isatty(handle as i32) == 1 }
}

/// Milliseconds to wait for a key; says whether there is one.
extern "C" fn key_available(milliseconds: i32) -> i32 {
    let mut poll = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure that outlives the call.
    let ready = blocking(|| unsafe { libc::poll(&mut poll, 1, milliseconds) });
    let mut count = 0i32;
    // SAFETY: stores a number.
    if ready > 0 && unsafe { libc::ioctl(0, libc::FIONREAD, &mut count) } == 0 { count } else { 0 }
}

fn change_terminal(flag: libc::tcflag_t, on: u8) -> bool {
    // SAFETY: zero is a valid value of the structure, which the first call fills.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(0, &mut settings) != 0 {
            return false;
        }
        if on != 0 {
            settings.c_lflag |= flag;
        } else {
            settings.c_lflag &= !flag;
        }
        libc::tcsetattr(0, libc::TCSANOW, &settings) == 0
    }
}

extern "C" fn set_echo(on: u8) -> bool {
    change_terminal(libc::ECHO, on)
}

extern "C" fn set_break(on: u8) -> bool {
    change_terminal(libc::IGNBRK as libc::tcflag_t, 1 - on.min(1))
}

extern "C" fn directory_separator() -> u16 {
    u16::from(b'/')
}

extern "C" fn path_separator() -> u16 {
    u16::from(b':')
}

extern "C" fn dump_handles() {}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Interop/Sys:Read (intptr,byte*,int)", read_pointer as *const ()),
    icall("System.ConsoleDriver:InternalKeyAvailable (int)", key_available as *const ()),
    icall("System.ConsoleDriver:Isatty (intptr)", is_terminal as *const ()),
    icall("System.ConsoleDriver:SetBreak (bool)", set_break as *const ()),
    icall("System.ConsoleDriver:SetEcho (bool)", set_echo as *const ()),
    icall("System.IO.FileSystemWatcher:InternalSupportsFSW ()", watcher_kind as *const ()),
    icall("System.IO.MonoIO:Cancel_internal (intptr,System.IO.MonoIOError&)", cancel as *const ()),
    icall("System.IO.MonoIO:Close (intptr,System.IO.MonoIOError&)", close as *const ()),
    icall("System.IO.MonoIO:CreatePipe (intptr&,intptr&,System.IO.MonoIOError&)", create_pipe as *const ()),
    icall("System.IO.MonoIO:DumpHandles ()", dump_handles as *const ()),
    icall(
        "System.IO.MonoIO:DuplicateHandle (intptr,intptr,intptr,intptr&,int,int,int,System.IO.MonoIOError&)",
        duplicate_handle as *const (),
    ),
    icall("System.IO.MonoIO:Flush (intptr,System.IO.MonoIOError&)", flush as *const ()),
    icall("System.IO.MonoIO:GetFileType (intptr,System.IO.MonoIOError&)", file_type as *const ()),
    icall("System.IO.MonoIO:GetLength (intptr,System.IO.MonoIOError&)", get_length as *const ()),
    icall("System.IO.MonoIO:Lock (intptr,long,long,System.IO.MonoIOError&)", lock as *const ()),
    icall("System.IO.MonoIO:Open", open as *const ()),
    icall("System.IO.MonoIO:Read (intptr,byte[],int,int,System.IO.MonoIOError&)", read as *const ()),
    icall("System.IO.MonoIO:Seek (intptr,long,System.IO.SeekOrigin,System.IO.MonoIOError&)", seek as *const ()),
    icall("System.IO.MonoIO:SetFileTime (intptr,long,long,long,System.IO.MonoIOError&)", set_file_time as *const ()),
    icall("System.IO.MonoIO:SetLength (intptr,long,System.IO.MonoIOError&)", set_length as *const ()),
    icall("System.IO.MonoIO:Unlock (intptr,long,long,System.IO.MonoIOError&)", unlock as *const ()),
    icall("System.IO.MonoIO:Write (intptr,byte[],int,int,System.IO.MonoIOError&)", write as *const ()),
    icall("System.IO.MonoIO:get_AltDirectorySeparatorChar ()", directory_separator as *const ()),
    icall("System.IO.MonoIO:get_ConsoleError ()", standard_error as *const ()),
    icall("System.IO.MonoIO:get_ConsoleInput ()", standard_input as *const ()),
    icall("System.IO.MonoIO:get_ConsoleOutput ()", standard_output as *const ()),
    icall("System.IO.MonoIO:get_DirectorySeparatorChar ()", directory_separator as *const ()),
    icall("System.IO.MonoIO:get_PathSeparator ()", path_separator as *const ()),
    icall("System.IO.MonoIO:get_VolumeSeparatorChar ()", directory_separator as *const ()),
];
