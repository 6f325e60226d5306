//! Calls that may have to wait. The socket is asked without waiting first; then `poll` waits, which any signal interrupts: so a thread can be
//! aborted, and one that closes the socket wakes those that wait for it (`cancel_blocking_socket_operation`).

use super::errors;
use crate::abort;
use crate::icalls::native_text::{blocking, last_errno};
use std::time::{Duration, Instant};

/// Whether a socket that a thread waits for was made one without waiting: the class library does so before it closes it.
fn is_being_closed(socket: i32) -> bool {
    // SAFETY: no memory is involved.
    let flags = unsafe { libc::fcntl(socket, libc::F_GETFL) };
    flags < 0 || flags & libc::O_NONBLOCK != 0
}

/// As [`wait_ready`], after a signal came that may have asked to end the wait.
pub(super) fn wait_on(socket: i32, events: i16, timeout: Option<Duration>) -> Result<(), i32> {
    if is_to_end(socket) { Err(errors::INTERRUPTED) } else { wait_ready(socket, events, timeout) }
}

/// Whether a wait that a signal interrupted is over.
fn is_to_end(socket: i32) -> bool {
    abort::is_requested() || is_being_closed(socket)
}

/// Waits until the socket is ready for `events`; the number of the error otherwise.
pub(super) fn wait_ready(socket: i32, events: i16, timeout: Option<Duration>) -> Result<(), i32> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    loop {
        let milliseconds = match deadline {
            None => -1,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
                i32::try_from(left).unwrap_or(i32::MAX)
            }
        };
        let mut poll = libc::pollfd { fd: socket, events, revents: 0 };
        // SAFETY: one structure that outlives the call.
        match unsafe { libc::poll(&mut poll, 1, milliseconds) } {
            // As the system says where it waits itself.
            0 => return Err(errors::WOULD_BLOCK),
            1.. => return Ok(()),
            _ if last_errno() != libc::EINTR => return Err(errors::last()),
            _ if is_to_end(socket) => return Err(errors::INTERRUPTED),
            _ => {}
        }
    }
}

/// The time that an operation of the socket may take (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
fn timeout_of(socket: i32, option: i32) -> Option<Duration> {
    // SAFETY: zero is a valid value of the structure, which the call fills.
    let time = unsafe {
        let mut time: libc::timeval = std::mem::zeroed();
        let mut size = size_of::<libc::timeval>() as libc::socklen_t;
        libc::getsockopt(socket, libc::SOL_SOCKET, option, (&raw mut time).cast(), &mut size);
        time
    };
    let time = Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    if time.is_zero() { None } else { Some(time) }
}

/// Repeats a system call that does not wait until it succeeds or fails for good; `waits`: and waits for it as long as the socket may.
pub(super) fn repeated(socket: i32, events: i16, waits: bool, mut call: impl FnMut() -> isize) -> Result<usize, i32> {
    let option = if events & libc::POLLIN != 0 { libc::SO_RCVTIMEO } else { libc::SO_SNDTIMEO };
    blocking(|| {
        loop {
            if let Ok(result) = usize::try_from(call()) {
                return Ok(result);
            }
            match last_errno() {
                libc::EINTR => {}
                libc::EAGAIN if waits => wait_ready(socket, events, timeout_of(socket, option))?,
                errno => return Err(errors::of_errno(errno)),
            }
        }
    })
}
