//! Error numbers of Windows sockets, as the class library expects them, from those of the system.

/// `WSAEINTR`
pub(super) const INTERRUPTED: i32 = 10004;
/// `WSAEFAULT`
pub(super) const FAULT: i32 = 10014;
/// `WSAEINVAL`
pub(super) const INVALID: i32 = 10022;
/// `WSAEWOULDBLOCK`
pub(super) const WOULD_BLOCK: i32 = 10035;
/// `WSAENOTSOCK`
pub(super) const NOT_A_SOCKET: i32 = 10038;
/// `WSAENOPROTOOPT`
pub(super) const NO_SUCH_OPTION: i32 = 10042;
/// `WSAEOPNOTSUPP`
pub(super) const NOT_SUPPORTED: i32 = 10045;
/// `WSAEAFNOSUPPORT`
pub(super) const NO_SUCH_FAMILY: i32 = 10047;
/// `WSASYSCALLFAILURE`
const SYSTEM_CALL_FAILURE: i32 = 10107;

const BY_ERRNO: &[(i32, i32)] = &[
    (0, 0),
    (libc::EACCES, 10013),
    (libc::EPERM, 10013),
    (libc::EROFS, 10013),
    (libc::EADDRINUSE, 10048),
    (libc::EADDRNOTAVAIL, 10049),
    (libc::EAFNOSUPPORT, NO_SUCH_FAMILY),
    (libc::EAGAIN, WOULD_BLOCK),
    (libc::EALREADY, 10037),
    (libc::EBADF, NOT_A_SOCKET),
    (libc::ENOTSOCK, NOT_A_SOCKET),
    (libc::ECONNABORTED, 10053),
    (libc::ECONNREFUSED, 10061),
    (libc::ENOENT, 10061),
    (libc::ECONNRESET, 10054),
    (libc::EDESTADDRREQ, 10039),
    (libc::EFAULT, FAULT),
    (libc::EHOSTUNREACH, 10065),
    (libc::EINPROGRESS, 10036),
    (libc::EINTR, INTERRUPTED),
    (libc::EINVAL, INVALID),
    (libc::EISCONN, 10056),
    (libc::ELOOP, 10062),
    (libc::EMFILE, 10024),
    (libc::EMSGSIZE, 10040),
    (libc::ENAMETOOLONG, 10063),
    (libc::EIO, 10050),
    (libc::ENETDOWN, 10050),
    (libc::ENODEV, 10050),
    (libc::ENXIO, 10050),
    (libc::ENETUNREACH, 10051),
    (libc::ENOBUFS, 10055),
    (libc::ENOMEM, 10055),
    (libc::ENOPROTOOPT, NO_SUCH_OPTION),
    (libc::ENOTCONN, 10057),
    (libc::EOPNOTSUPP, NOT_SUPPORTED),
    (libc::EPIPE, 10058),
    (libc::EPFNOSUPPORT, 10046),
    (libc::EPROTONOSUPPORT, 10043),
    (libc::EPROTOTYPE, 10041),
    (libc::ESOCKTNOSUPPORT, 10044),
    (libc::ETIMEDOUT, 10060),
];

/// The number for an `errno`.
pub(super) fn of_errno(errno: i32) -> i32 {
    BY_ERRNO.iter().find(|pair| pair.0 == errno).map_or(SYSTEM_CALL_FAILURE, |pair| pair.1)
}

/// The number of the last system call's error.
pub(super) fn last() -> i32 {
    of_errno(crate::icalls::native_text::last_errno())
}
