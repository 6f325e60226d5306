//! `System.Net.Sockets.Socket`: handles are file descriptors, errors the numbers of Windows.

mod addresses;
mod errors;
mod options;
mod selector;
mod transfer;
mod waiting;

use super::native_text::blocking;
use super::{InternalCall, icall, raising, store_out, threads};
use crate::exceptions::Result;
use crate::named_fields::Fields;
use crate::object::{ArrayRef, ObjectRef};
use addresses::{NativeAddress, native_family, queried};
use std::time::{Duration, Instant};

/// `SocketType`
const DATAGRAM: i32 = 2;
/// Values of `SelectMode`.
const SELECT_READ: i32 = 0;
const SELECT_WRITE: i32 = 1;
/// Control codes of Windows.
mod controls {
    pub(super) const BLOCKING: u32 = 0x8004_667e;
    pub(super) const BYTES_TO_READ: u32 = 0x4004_667f;
    pub(super) const AT_MARK: u32 = 0x4004_7307;
    pub(super) const KEEP_ALIVE: u32 = 0x9800_0004;
}

fn store_error(error: *mut i32, value: i32) {
    if !error.is_null() {
        // SAFETY: the address of a variable of the caller.
        unsafe { error.write(value) };
    }
}

/// Stores success or the error where the caller wants it; gives the result, or the one for failures.
fn finish<T>(outcome: std::result::Result<T, i32>, error: *mut i32, failure: T) -> T {
    match outcome {
        Ok(value) => {
            store_error(error, 0);
            value
        }
        Err(number) => {
            store_error(error, number);
            failure
        }
    }
}

/// The result of a system call that is negative on failure.
fn checked(result: i32) -> std::result::Result<i32, i32> {
    if result < 0 { Err(errors::last()) } else { Ok(result) }
}

extern "C" fn create(_this: ObjectRef, family: i32, kind: i32, protocol: i32, error: *mut i32) -> isize {
    let open = || {
        let family = native_family(family).ok_or(errors::NO_SUCH_FAMILY)?;
        // Kinds and protocols have the same numbers; 41 and -1 stand for the usual one.
        let protocol = if matches!(protocol, -1 | 41) { 0 } else { protocol };
        // SAFETY: no memory is involved.
        let socket = checked(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })?;
        if kind != DATAGRAM {
            // A port is free again at once, as on Windows. Where that fails, it is not.
            let _ = options::set(socket, (libc::SOL_SOCKET, libc::SO_REUSEADDR), &1i32);
        }
        Ok(socket as isize)
    };
    finish(open(), error, -1)
}

extern "C" fn close(socket: isize, error: *mut i32) {
    options::forget_error(socket as i32);
    // Who still reads from it, reads its end.
    // SAFETY: the program's own descriptor.
    let outcome = unsafe {
        libc::shutdown(socket as i32, libc::SHUT_RD);
        libc::close(socket as i32)
    };
    finish(checked(outcome).map(|_| ()), error, ());
}

extern "C" fn set_blocking(socket: isize, waits: u8, error: *mut i32) {
    finish(make_blocking(socket as i32, waits != 0), error, ());
}

fn make_blocking(socket: i32, waits: bool) -> std::result::Result<(), i32> {
    // SAFETY: no memory is involved.
    let flags = checked(unsafe { libc::fcntl(socket, libc::F_GETFL) })?;
    let flags = if waits { flags & !libc::O_NONBLOCK } else { flags | libc::O_NONBLOCK };
    // SAFETY: no memory is involved.
    checked(unsafe { libc::fcntl(socket, libc::F_SETFL, flags) }).map(|_| ())
}

extern "C" fn available(socket: isize, error: *mut i32) -> i32 {
    let mut count = 0i32;
    // SAFETY: stores a number.
    finish(checked(unsafe { libc::ioctl(socket as i32, libc::FIONREAD, &mut count) }).map(|_| count), error, 0)
}

extern "C" fn local_address(socket: isize, _family: i32, error: *mut i32) -> ObjectRef {
    raising(|| Ok(finish(queried(socket as i32, libc::getsockname)?, error, ObjectRef::NULL)))
}

extern "C" fn remote_address(socket: isize, _family: i32, error: *mut i32) -> ObjectRef {
    raising(|| Ok(finish(queried(socket as i32, libc::getpeername)?, error, ObjectRef::NULL)))
}

extern "C" fn accept(socket: isize, error: *mut i32, waits: u8) -> isize {
    raising(|| {
        let socket = socket as i32;
        let accepted = if waits != 0 { blocking(|| waiting::wait_ready(socket, libc::POLLIN, None)) } else { Ok(()) };
        let accepted = accepted.and_then(|()| {
            waiting::repeated(socket, libc::POLLIN, waits != 0, || {
                // SAFETY: no address is asked for.
                let accepted = unsafe { libc::accept4(socket, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
                accepted as isize
            })
        });
        Ok(finish(accepted.map(|socket| socket as isize), error, -1))
    })
}

extern "C" fn bind(socket: isize, address: ObjectRef, error: *mut i32) {
    raising(|| {
        let outcome = NativeAddress::of_object(address)?.and_then(|mut address| {
            // SAFETY: an address of this length.
            checked(unsafe { libc::bind(socket as i32, address.pointer(), address.length) })
        });
        finish(outcome.map(|_| ()), error, ());
        Ok(())
    })
}

extern "C" fn listen(socket: isize, backlog: i32, error: *mut i32) {
    // SAFETY: no memory is involved.
    finish(checked(unsafe { libc::listen(socket as i32, backlog) }).map(|_| ()), error, ());
}

extern "C" fn connect(socket: isize, address: ObjectRef, error: *mut i32, waits: u8) {
    let socket = socket as i32;
    raising(|| {
        let outcome = NativeAddress::of_object(address)?.and_then(|mut address| {
            blocking(|| {
                // SAFETY: an address of this length.
                let connected = checked(unsafe { libc::connect(socket, address.pointer(), address.length) }).map(|_| ());
                // The system goes on connecting when a signal came.
                if connected != Err(errors::INTERRUPTED) || waits == 0 {
                    return connected;
                }
                waiting::wait_on(socket, libc::POLLOUT, None)?;
                match options::number(socket, (libc::SOL_SOCKET, libc::SO_ERROR))? {
                    0 => Ok(()),
                    errno => Err(errors::of_errno(errno)),
                }
            })
        });
        finish(outcome, error, ());
        Ok(())
    })
}

/// Ends the connection; with `reuse` the handle gets a fresh socket of the same kind.
extern "C" fn disconnect(socket: isize, _reuse: u8, error: *mut i32) {
    let socket = socket as i32;
    let renew = || {
        let option = |name| options::number(socket, (libc::SOL_SOCKET, name));
        let (family, kind, protocol) = (option(libc::SO_DOMAIN)?, option(libc::SO_TYPE)?, option(libc::SO_PROTOCOL)?);
        // SAFETY: no memory is involved; the second descriptor is closed at once.
        unsafe {
            libc::shutdown(socket, libc::SHUT_RDWR);
            let fresh = checked(libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol))?;
            let outcome = checked(libc::dup3(fresh, socket, libc::O_CLOEXEC)).map(|_| ());
            libc::close(fresh);
            outcome
        }
    };
    finish(renew(), error, ());
}

extern "C" fn shutdown(socket: isize, how: i32, error: *mut i32) {
    // The numbers are the same.
    // SAFETY: no memory is involved.
    finish(checked(unsafe { libc::shutdown(socket as i32, how) }).map(|_| ()), error, ());
}

/// Waits for several descriptors, microseconds or for ever (negative); says how many are ready.
fn poll_all(polls: &mut [libc::pollfd], microseconds: i32) -> std::result::Result<i32, i32> {
    let deadline = u64::try_from(microseconds).ok().map(|time| Instant::now() + Duration::from_micros(time));
    blocking(|| {
        loop {
            let left = deadline.map_or(-1, |deadline| {
                let left = deadline.saturating_duration_since(Instant::now());
                i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
            });
            // SAFETY: so many structures.
            match checked(unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, left) }) {
                Err(errors::INTERRUPTED) if !crate::abort::is_requested() => {}
                outcome => return outcome,
            }
        }
    })
}

fn events_of(mode: i32) -> i16 {
    match mode {
        SELECT_READ => libc::POLLIN,
        SELECT_WRITE => libc::POLLOUT,
        _ => libc::POLLPRI,
    }
}

extern "C" fn poll(socket: isize, mode: i32, microseconds: i32, error: *mut i32) -> bool {
    raising(|| {
        let mut polls = [libc::pollfd { fd: socket as i32, events: events_of(mode), revents: 0 }];
        let outcome = poll_all(&mut polls, microseconds).and_then(|count| match polls[0].revents & libc::POLLNVAL {
            0 => Ok(count > 0),
            _ => Err(errors::of_errno(libc::EBADF)),
        });
        Ok(finish(outcome, error, false))
    })
}

fn descriptor_of(socket: ObjectRef) -> Result<i32> {
    let handle = Fields::of(socket)?.inner("m_Handle")?;
    Ok(handle.map(|handle| handle.word("handle")).transpose()?.map_or(-1, |handle| handle as i32))
}

/// `sockets`: those to be read, null, those to be written, null, those asked for errors. It becomes an array of this form with those that
/// are ready.
extern "C" fn select(sockets: *mut ObjectRef, microseconds: i32, error: *mut i32) {
    raising(|| {
        // SAFETY: the address of the caller's variable.
        let Some(array) = unsafe { sockets.read() }.as_array() else { return Ok(()) };
        let mut polls = Vec::new();
        let mut mode = SELECT_READ;
        for index in 0..array.len() {
            match array.get_ref(index).non_null() {
                Some(socket) => polls.push(libc::pollfd { fd: descriptor_of(socket)?, events: events_of(mode), revents: 0 }),
                None => mode += 1,
            }
        }
        let outcome = poll_all(&mut polls, microseconds);
        if let Ok(count) = outcome {
            let ready = ArrayRef::new(array.element_type(), count as usize + mode as usize)?;
            let (mut place, mut next) = (0, 0);
            for index in 0..array.len() {
                let socket = array.get_ref(index);
                if !socket.is_null() {
                    next += 1;
                    if polls[next - 1].revents == 0 {
                        continue;
                    }
                    ready.set_ref(place, socket);
                }
                place += 1;
            }
            store_out(sockets, ready.object());
        }
        finish(outcome.map(|_| ()), error, ());
        Ok(())
    })
}

/// A 32-bit number in an array of bytes.
fn word_at(array: ArrayRef, index: usize) -> std::result::Result<u32, i32> {
    if array.is_null() {
        return Err(errors::FAULT);
    }
    // SAFETY: an array of bytes.
    let bytes = unsafe { array.slice::<u8>() }.get(4 * index..4 * index + 4);
    bytes.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes).ok_or(errors::FAULT)
}

fn io_control(socket: i32, code: u32, input: ArrayRef, output: ArrayRef) -> std::result::Result<i32, i32> {
    let number_of = |request: libc::Ioctl| {
        let mut number = 0i32;
        // SAFETY: stores a number.
        checked(unsafe { libc::ioctl(socket, request, &mut number) })?;
        if output.is_null() || output.len() < 4 {
            return Err(errors::FAULT);
        }
        // SAFETY: an array of at least four bytes.
        let bytes = unsafe { output.slice_mut::<u8>() };
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Ok(4)
    };
    match code {
        controls::BLOCKING => make_blocking(socket, word_at(input, 0)? == 0).map(|()| 0),
        controls::BYTES_TO_READ => number_of(libc::FIONREAD),
        controls::AT_MARK => number_of(SIOCATMARK),
        controls::KEEP_ALIVE => {
            let (is_on, time, interval) = (word_at(input, 0)?, word_at(input, 1)?, word_at(input, 2)?);
            options::set(socket, (libc::SOL_SOCKET, libc::SO_KEEPALIVE), &i32::from(is_on != 0))?;
            if is_on != 0 {
                // Milliseconds become whole seconds, at least one.
                let seconds = |milliseconds: u32| (milliseconds.div_ceil(1000).max(1)) as i32;
                options::set(socket, (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), &seconds(time))?;
                options::set(socket, (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL), &seconds(interval))?;
            }
            Ok(0)
        }
        // What the system says to a request that sockets do not know.
        _ => Err(errors::NOT_A_SOCKET),
    }
}

/// Whether the next byte is the urgent one (`linux/sockios.h`).
const SIOCATMARK: libc::Ioctl = 0x8905;

extern "C" fn control(socket: isize, code: i32, input: ArrayRef, output: ArrayRef, error: *mut i32) -> i32 {
    finish(io_control(socket as i32, code as u32, input, output), error, -1)
}

extern "C" fn duplicate(socket: isize, _process: i32, copy: *mut isize, error: *mut i32) -> bool {
    // SAFETY: no memory but the caller's variable is involved.
    let outcome = checked(unsafe { libc::fcntl(socket as i32, libc::F_DUPFD_CLOEXEC, 0) }).map(|descriptor| {
        // SAFETY: the address of the caller's variable.
        unsafe { copy.write(descriptor as isize) };
        true
    });
    finish(outcome, error, false)
}

extern "C" fn cancel(thread: ObjectRef) {
    raising(|| threads::disturb(thread))
}

extern "C" fn can_share_ports(_protocol: i32) -> bool {
    true
}

extern "C" fn last_error() -> i32 {
    errors::last()
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.IOSelector:Add (intptr,System.IOSelectorJob)", selector::add as *const ()),
    icall("System.IOSelector:Remove (intptr)", selector::remove as *const ()),
    icall("System.Net.Sockets.Socket:Accept_internal (intptr,int&,bool)", accept as *const ()),
    icall("System.Net.Sockets.Socket:Available_internal (intptr,int&)", available as *const ()),
    icall("System.Net.Sockets.Socket:Bind_internal (intptr,System.Net.SocketAddress,int&)", bind as *const ()),
    icall("System.Net.Sockets.Socket:Blocking_internal (intptr,bool,int&)", set_blocking as *const ()),
    icall("System.Net.Sockets.Socket:Close_internal (intptr,int&)", close as *const ()),
    icall("System.Net.Sockets.Socket:Connect_internal (intptr,System.Net.SocketAddress,int&,bool)", connect as *const ()),
    icall("System.Net.Sockets.Socket:Disconnect_internal (intptr,bool,int&)", disconnect as *const ()),
    icall("System.Net.Sockets.Socket:Duplicate_internal", duplicate as *const ()),
    icall("System.Net.Sockets.Socket:GetSocketOption_arr_internal", options::get_bytes as *const ()),
    icall("System.Net.Sockets.Socket:GetSocketOption_obj_internal", options::get_object as *const ()),
    icall("System.Net.Sockets.Socket:IOControl_internal (intptr,int,byte[],byte[],int&)", control as *const ()),
    icall("System.Net.Sockets.Socket:Listen_internal (intptr,int,int&)", listen as *const ()),
    icall("System.Net.Sockets.Socket:LocalEndPoint_internal (intptr,int,int&)", local_address as *const ()),
    icall("System.Net.Sockets.Socket:Poll_internal (intptr,System.Net.Sockets.SelectMode,int,int&)", poll as *const ()),
    icall("System.Net.Sockets.Socket:ReceiveFrom_internal", transfer::receive_from as *const ()),
    icall(
        "System.Net.Sockets.Socket:Receive_internal (intptr,System.Net.Sockets.Socket/WSABUF*,int,System.Net.Sockets.SocketFlags,int&,bool)",
        transfer::receive_buffers as *const (),
    ),
    icall(
        "System.Net.Sockets.Socket:Receive_internal (intptr,byte*,int,System.Net.Sockets.SocketFlags,int&,bool)",
        transfer::receive as *const (),
    ),
    icall("System.Net.Sockets.Socket:RemoteEndPoint_internal (intptr,int,int&)", remote_address as *const ()),
    icall("System.Net.Sockets.Socket:Select_internal (System.Net.Sockets.Socket[]&,int,int&)", select as *const ()),
    icall("System.Net.Sockets.Socket:SendFile_internal", transfer::send_file as *const ()),
    icall("System.Net.Sockets.Socket:SendTo_internal", transfer::send_to as *const ()),
    icall(
        "System.Net.Sockets.Socket:Send_internal (intptr,System.Net.Sockets.Socket/WSABUF*,int,System.Net.Sockets.SocketFlags,int&,bool)",
        transfer::send_buffers as *const (),
    ),
    icall(
        "System.Net.Sockets.Socket:Send_internal (intptr,byte*,int,System.Net.Sockets.SocketFlags,int&,bool)",
        transfer::send as *const (),
    ),
    icall("System.Net.Sockets.Socket:SetSocketOption_internal", options::set_option as *const ()),
    icall("System.Net.Sockets.Socket:Shutdown_internal", shutdown as *const ()),
    icall("System.Net.Sockets.Socket:Socket_internal", create as *const ()),
    icall("System.Net.Sockets.Socket:SupportsPortReuse (System.Net.Sockets.ProtocolType)", can_share_ports as *const ()),
    icall("System.Net.Sockets.Socket:cancel_blocking_socket_operation (System.Threading.Thread)", cancel as *const ()),
    icall("System.Net.Sockets.SocketException:WSAGetLastError_internal ()", last_error as *const ()),
];
