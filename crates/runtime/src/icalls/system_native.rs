//! Functions of `System.Native`, which the class libraries import: thin covers of system calls with the structures and numbers of that
//! library instead of the system's own. All set `errno` on failure and give -1 or null.

use super::files::stat_of;
use super::native_text::last_errno;
use crate::pinvoke::{BuiltIn, built_in};
use std::ffi::{c_char, c_void};

/// (error number of the system, that of the library).
const ERRORS: &[(i32, i32)] = &[
    (libc::E2BIG, 0x10001),
    (libc::EACCES, 0x10002),
    (libc::EADDRINUSE, 0x10003),
    (libc::EADDRNOTAVAIL, 0x10004),
    (libc::EAFNOSUPPORT, 0x10005),
    (libc::EAGAIN, 0x10006),
    (libc::EALREADY, 0x10007),
    (libc::EBADF, 0x10008),
    (libc::EBADMSG, 0x10009),
    (libc::EBUSY, 0x1000a),
    (libc::ECANCELED, 0x1000b),
    (libc::ECHILD, 0x1000c),
    (libc::ECONNABORTED, 0x1000d),
    (libc::ECONNREFUSED, 0x1000e),
    (libc::ECONNRESET, 0x1000f),
    (libc::EDEADLK, 0x10010),
    (libc::EDESTADDRREQ, 0x10011),
    (libc::EDOM, 0x10012),
    (libc::EDQUOT, 0x10013),
    (libc::EEXIST, 0x10014),
    (libc::EFAULT, 0x10015),
    (libc::EFBIG, 0x10016),
    (libc::EHOSTUNREACH, 0x10017),
    (libc::EIDRM, 0x10018),
    (libc::EILSEQ, 0x10019),
    (libc::EINPROGRESS, 0x1001a),
    (libc::EINTR, 0x1001b),
    (libc::EINVAL, 0x1001c),
    (libc::EIO, 0x1001d),
    (libc::EISCONN, 0x1001e),
    (libc::EISDIR, 0x1001f),
    (libc::ELOOP, 0x10020),
    (libc::EMFILE, 0x10021),
    (libc::EMLINK, 0x10022),
    (libc::EMSGSIZE, 0x10023),
    (libc::EMULTIHOP, 0x10024),
    (libc::ENAMETOOLONG, 0x10025),
    (libc::ENETDOWN, 0x10026),
    (libc::ENETRESET, 0x10027),
    (libc::ENETUNREACH, 0x10028),
    (libc::ENFILE, 0x10029),
    (libc::ENOBUFS, 0x1002a),
    (libc::ENODEV, 0x1002c),
    (libc::ENOENT, 0x1002d),
    (libc::ENOEXEC, 0x1002e),
    (libc::ENOLCK, 0x1002f),
    (libc::ENOLINK, 0x10030),
    (libc::ENOMEM, 0x10031),
    (libc::ENOMSG, 0x10032),
    (libc::ENOPROTOOPT, 0x10033),
    (libc::ENOSPC, 0x10034),
    (libc::ENOSYS, 0x10037),
    (libc::ENOTCONN, 0x10038),
    (libc::ENOTDIR, 0x10039),
    (libc::ENOTEMPTY, 0x1003a),
    (libc::ENOTSOCK, 0x1003c),
    (libc::ENOTSUP, 0x1003d),
    (libc::ENOTTY, 0x1003e),
    (libc::ENXIO, 0x1003f),
    (libc::EOVERFLOW, 0x10040),
    (libc::EPERM, 0x10042),
    (libc::EPIPE, 0x10043),
    (libc::EPROTO, 0x10044),
    (libc::EPROTONOSUPPORT, 0x10045),
    (libc::EPROTOTYPE, 0x10046),
    (libc::ERANGE, 0x10047),
    (libc::EROFS, 0x10048),
    (libc::ESPIPE, 0x10049),
    (libc::ESRCH, 0x1004a),
    (libc::ESTALE, 0x1004b),
    (libc::ETIMEDOUT, 0x1004d),
    (libc::ETXTBSY, 0x1004e),
    (libc::EXDEV, 0x1004f),
    (libc::ESOCKTNOSUPPORT, 0x1005e),
    (libc::EPFNOSUPPORT, 0x10060),
    (libc::ESHUTDOWN, 0x1006c),
    (libc::EHOSTDOWN, 0x10070),
    (libc::ENODATA, 0x10071),
];
/// Number for errors that the library has none for; they are kept below it.
const UNKNOWN_ERROR: i32 = 0x1ffff;

extern "C" fn error_from_system(errno: i32) -> i32 {
    if errno == 0 {
        return 0;
    }
    ERRORS.iter().find(|pair| pair.0 == errno).map_or(UNKNOWN_ERROR, |pair| pair.1)
}

extern "C" fn error_to_system(error: i32) -> i32 {
    if error == 0 {
        return 0;
    }
    ERRORS.iter().find(|pair| pair.1 == error).map_or(-1, |pair| pair.0)
}

/// Writes the text of an error into the buffer and gives the buffer.
extern "C" fn error_text(errno: i32, buffer: *mut c_char, size: i32) -> *mut c_char {
    // SAFETY: the caller's buffer has this size.
    unsafe {
        if libc::strerror_r(errno, buffer, size.max(0) as usize) != 0 && size > 0 {
            buffer.write(0);
        }
    }
    buffer
}

extern "C" fn random_bytes(buffer: *mut u8, length: i32) {
    super::environment::random_bytes(buffer, length.max(0) as usize);
}

/// `Interop.Sys.FileStatus`
#[repr(C)]
struct FileStatus {
    flags: i32,
    mode: i32,
    user: u32,
    group: u32,
    size: i64,
    access_time: i64,
    access_nanoseconds: i64,
    write_time: i64,
    write_nanoseconds: i64,
    change_time: i64,
    change_nanoseconds: i64,
    birth_time: i64,
    birth_nanoseconds: i64,
    device: i64,
    inode: i64,
    user_flags: u32,
}

fn status_of(stat: &libc::stat64) -> FileStatus {
    FileStatus {
        flags: 0,
        mode: stat.st_mode as i32,
        user: stat.st_uid,
        group: stat.st_gid,
        size: stat.st_size as i64,
        access_time: stat.st_atime as i64,
        access_nanoseconds: stat.st_atime_nsec as i64,
        write_time: stat.st_mtime as i64,
        write_nanoseconds: stat.st_mtime_nsec as i64,
        change_time: stat.st_ctime as i64,
        change_nanoseconds: stat.st_ctime_nsec as i64,
        birth_time: 0,
        birth_nanoseconds: 0,
        device: stat.st_dev as i64,
        inode: stat.st_ino as i64,
        user_flags: 0,
    }
}

type StatCall = unsafe extern "C" fn(*const c_char, *mut libc::stat64) -> i32;

/// # Safety
/// `path` ends with a 0 and there is room for the structure.
unsafe fn stat_by(call: StatCall, path: *const c_char, output: *mut FileStatus) -> i32 {
    // SAFETY: the caller's promise; zero is a valid value of the structure, which the call fills.
    unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        let result = call(path, &mut stat);
        if result == 0 {
            output.write(status_of(&stat));
        }
        result
    }
}

extern "C" fn stat(path: *const c_char, output: *mut FileStatus) -> i32 {
    // SAFETY: the caller passes a text that ends with a 0 and the address of a structure.
    unsafe { stat_by(libc::stat64, path, output) }
}

extern "C" fn link_stat(path: *const c_char, output: *mut FileStatus) -> i32 {
    // SAFETY: as above.
    unsafe { stat_by(libc::lstat64, path, output) }
}

extern "C" fn file_stat(descriptor: isize, output: *mut FileStatus) -> i32 {
    match stat_of(descriptor as i32) {
        Some(stat) => {
            // SAFETY: the address of a structure.
            unsafe { output.write(status_of(&stat)) };
            0
        }
        None => -1,
    }
}

/// `Interop.Sys.DirectoryEntry`
#[repr(C)]
struct DirectoryEntry {
    name: *const c_char,
    /// -1: the name ends with a 0.
    name_length: i32,
    kind: i32,
}

extern "C" fn open_directory(path: *const c_char) -> *mut c_void {
    // SAFETY: a text that ends with a 0.
    unsafe { libc::opendir(path).cast() }
}

/// Size of the buffer that [`read_directory`] wants: none, entries stay in the directory's own.
extern "C" fn directory_buffer_size() -> i32 {
    0
}

/// Stores the next entry. 0: there is one, -1: there is none, more: an error number.
extern "C" fn read_directory(directory: *mut c_void, _buffer: *mut u8, _size: i32, output: *mut DirectoryEntry) -> i32 {
    // SAFETY: a directory of `opendir`; the entry stays until the next call on it. The class library reads one directory from one
    // thread at a time.
    unsafe {
        *libc::__errno_location() = 0;
        let entry = libc::readdir64(directory.cast());
        if entry.is_null() {
            output.write(DirectoryEntry { name: std::ptr::null(), name_length: 0, kind: 0 });
            let errno = last_errno();
            return if errno == 0 { -1 } else { errno };
        }
        let name = (&raw const (*entry).d_name) as *const c_char;
        output.write(DirectoryEntry { name, name_length: -1, kind: i32::from((*entry).d_type) });
    }
    0
}

extern "C" fn close_directory(directory: *mut c_void) -> i32 {
    // SAFETY: a directory of `opendir`, which is not used again.
    unsafe { libc::closedir(directory.cast()) }
}

extern "C" fn read_link(path: *const c_char, buffer: *mut c_char, size: i32) -> i32 {
    // SAFETY: a text that ends with a 0 and a buffer of this size.
    unsafe { libc::readlink(path, buffer, size.max(0) as usize) as i32 }
}

extern "C" fn change_mode(path: *const c_char, mode: i32) -> i32 {
    // SAFETY: a text that ends with a 0.
    unsafe { libc::chmod(path, mode as libc::mode_t) }
}

extern "C" fn make_directory(path: *const c_char, mode: i32) -> i32 {
    // SAFETY: a text that ends with a 0.
    unsafe { libc::mkdir(path, mode as libc::mode_t) }
}

/// Copies content, permissions and times from one open file to another.
extern "C" fn copy_file(source: isize, target: isize) -> i32 {
    let (source, target) = (source as i32, target as i32);
    let Some(stat) = stat_of(source) else { return -1 };
    let mut buffer = vec![0u8; 64 << 10];
    loop {
        // SAFETY: the buffer has this size.
        let count = unsafe { libc::read(source, buffer.as_mut_ptr().cast(), buffer.len()) };
        if count < 0 {
            return -1;
        }
        if count == 0 {
            break;
        }
        let mut rest = &buffer[..count as usize];
        while !rest.is_empty() {
            // SAFETY: the rest of the buffer.
            let written = unsafe { libc::write(target, rest.as_ptr().cast(), rest.len()) };
            if written < 0 {
                return -1;
            }
            rest = &rest[written as usize..];
        }
    }
    let times = [
        libc::timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        libc::timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    ];
    // SAFETY: two times. That a file system keeps no times or permissions is no error.
    unsafe {
        libc::futimens(target, times.as_ptr());
        libc::fchmod(target, stat.st_mode & 0o777);
    }
    0
}

/// Seconds, as (access, write).
extern "C" fn set_times(path: *const c_char, times: *const [i64; 2]) -> i32 {
    // SAFETY: the address of a structure of two numbers.
    let [access, write] = unsafe { times.read() };
    set_times_of(path, (access, 0), (write, 0))
}

/// (seconds, microseconds) of access and write.
extern "C" fn set_precise_times(path: *const c_char, times: *const [i64; 4]) -> i32 {
    // SAFETY: the address of a structure of four numbers.
    let [access, access_micro, write, write_micro] = unsafe { times.read() };
    set_times_of(path, (access, access_micro), (write, write_micro))
}

fn set_times_of(path: *const c_char, access: (i64, i64), write: (i64, i64)) -> i32 {
    let time = |(seconds, micro): (i64, i64)| libc::timespec { tv_sec: seconds as libc::time_t, tv_nsec: (micro * 1000) as _ };
    let times = [time(access), time(write)];
    // SAFETY: a text that ends with a 0, two times.
    unsafe { libc::utimensat(libc::AT_FDCWD, path, times.as_ptr(), 0) }
}

extern "C" fn close(descriptor: isize) -> i32 {
    // SAFETY: the program's own descriptor.
    unsafe { libc::close(descriptor as i32) }
}

extern "C" fn start_watching() -> isize {
    // SAFETY: no memory is involved.
    unsafe { libc::inotify_init1(libc::IN_CLOEXEC) as isize }
}

extern "C" fn add_watch(descriptor: isize, path: *const c_char, mask: u32) -> i32 {
    // SAFETY: a text that ends with a 0. Events have the system's numbers.
    unsafe { libc::inotify_add_watch(descriptor as i32, path, mask) }
}

extern "C" fn remove_watch(descriptor: isize, watch: i32) -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::inotify_rm_watch(descriptor as i32, watch) }
}

extern "C" fn lock_file(descriptor: isize, operation: i32) -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::flock(descriptor as i32, operation) }
}

extern "C" fn read(descriptor: isize, buffer: *mut u8, count: i32) -> i32 {
    // SAFETY: the caller's buffer has this size.
    unsafe { libc::read(descriptor as i32, buffer.cast(), count.max(0) as usize) as i32 }
}

extern "C" fn write(descriptor: isize, buffer: *const u8, count: i32) -> i32 {
    // SAFETY: the caller's buffer has this size.
    unsafe { libc::write(descriptor as i32, buffer.cast(), count.max(0) as usize) as i32 }
}

extern "C" fn no_flags() -> i32 {
    0
}

extern "C" fn set_flags(_path: *const c_char, _flags: u32) -> i32 {
    // SAFETY: the thread's own variable.
    unsafe { *libc::__errno_location() = libc::ENOTSUP };
    -1
}

extern "C" fn initialize() {}

/// The functions by name.
pub const TABLE: &[BuiltIn] = &[
    built_in("SystemNative_ChMod", change_mode as *const ()),
    built_in("SystemNative_Close", close as *const ()),
    built_in("SystemNative_CloseDir", close_directory as *const ()),
    built_in("SystemNative_ConvertErrorPalToPlatform", error_to_system as *const ()),
    built_in("SystemNative_ConvertErrorPlatformToPal", error_from_system as *const ()),
    built_in("SystemNative_CopyFile", copy_file as *const ()),
    built_in("SystemNative_FLock", lock_file as *const ()),
    built_in("SystemNative_FStat2", file_stat as *const ()),
    built_in("SystemNative_GetEGid", libc::getegid as *const ()),
    built_in("SystemNative_GetEUid", libc::geteuid as *const ()),
    built_in("SystemNative_GetNonCryptographicallySecureRandomBytes", random_bytes as *const ()),
    built_in("SystemNative_GetReadDirRBufferSize", directory_buffer_size as *const ()),
    built_in("SystemNative_INotifyAddWatch", add_watch as *const ()),
    built_in("SystemNative_INotifyInit", start_watching as *const ()),
    built_in("SystemNative_INotifyRemoveWatch", remove_watch as *const ()),
    built_in("SystemNative_LChflags", set_flags as *const ()),
    built_in("SystemNative_LChflagsCanSetHiddenFlag", no_flags as *const ()),
    built_in("SystemNative_LStat2", link_stat as *const ()),
    built_in("SystemNative_Link", libc::link as *const ()),
    built_in("SystemNative_MkDir", make_directory as *const ()),
    built_in("SystemNative_OpenDir", open_directory as *const ()),
    built_in("SystemNative_Read", read as *const ()),
    built_in("SystemNative_ReadDirR", read_directory as *const ()),
    built_in("SystemNative_ReadLink", read_link as *const ()),
    built_in("SystemNative_Rename", libc::rename as *const ()),
    built_in("SystemNative_RmDir", libc::rmdir as *const ()),
    built_in("SystemNative_Stat2", stat as *const ()),
    built_in("SystemNative_StrErrorR", error_text as *const ()),
    built_in("SystemNative_Symlink", libc::symlink as *const ()),
    built_in("SystemNative_UTime", set_times as *const ()),
    built_in("SystemNative_UTimes", set_precise_times as *const ()),
    built_in("SystemNative_Unlink", libc::unlink as *const ()),
    built_in("SystemNative_Write", write as *const ()),
    built_in("mono_pal_init", initialize as *const ()),
];
