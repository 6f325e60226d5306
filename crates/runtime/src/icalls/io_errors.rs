//! `System.IO.MonoIOError`: error numbers of Windows, as the class library expects them, from those of the system.

/// No error.
pub(super) const SUCCESS: i32 = 0;
/// `ERROR_FILE_NOT_FOUND`
pub(super) const FILE_NOT_FOUND: i32 = 2;
/// `ERROR_PATH_NOT_FOUND`
pub(super) const PATH_NOT_FOUND: i32 = 3;
/// `ERROR_ACCESS_DENIED`
pub(super) const ACCESS_DENIED: i32 = 5;
/// `ERROR_INVALID_HANDLE`
pub(super) const INVALID_HANDLE: i32 = 6;
/// `ERROR_GEN_FAILURE`
const GENERAL_FAILURE: i32 = 31;
/// `ERROR_SHARING_VIOLATION`
pub(super) const SHARING_VIOLATION: i32 = 32;
/// `ERROR_LOCK_VIOLATION`
pub(super) const LOCK_VIOLATION: i32 = 33;
/// `ERROR_INVALID_PARAMETER`
pub(super) const INVALID_PARAMETER: i32 = 87;
/// `ERROR_ALREADY_EXISTS`
pub(super) const ALREADY_EXISTS: i32 = 183;

const BY_ERRNO: &[(i32, i32)] = &[
    (libc::EACCES, ACCESS_DENIED),
    (libc::EPERM, ACCESS_DENIED),
    (libc::EROFS, ACCESS_DENIED),
    (libc::EAGAIN, SHARING_VIOLATION),
    (libc::EBUSY, LOCK_VIOLATION),
    (libc::EEXIST, 80),
    (libc::EINVAL, 25),
    (libc::ESPIPE, 25),
    (libc::EISDIR, 82),
    (libc::ENFILE, 4),
    (libc::EMFILE, 4),
    (libc::ENOENT, FILE_NOT_FOUND),
    (libc::ENOSPC, 39),
    (libc::ENOTEMPTY, 145),
    (libc::ENOEXEC, 11),
    (libc::ENAMETOOLONG, 206),
    (libc::EINPROGRESS, 997),
    (libc::EINTR, 997),
    (libc::ENOSYS, 50),
    (libc::EBADF, INVALID_HANDLE),
    (libc::EIO, INVALID_HANDLE),
    (libc::EPIPE, 29),
    (libc::ELOOP, 1921),
    (libc::ENODEV, 55),
    (libc::ENXIO, 55),
    (libc::ENOTDIR, PATH_NOT_FOUND),
    (libc::EXDEV, 17),
];

/// The number for an `errno`.
pub(super) fn of_errno(errno: i32) -> i32 {
    BY_ERRNO.iter().find(|pair| pair.0 == errno).map_or(GENERAL_FAILURE, |pair| pair.1)
}
