//! Sending and receiving.

use super::addresses::NativeAddress;
use super::errors;
use super::waiting::repeated;
use super::{finish, store_error};
use crate::exceptions::Result;
use crate::icalls::raising;
use crate::icalls::{native_text, store_out};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use smallvec::{SmallVec, smallvec};
use std::fs::File;
use std::io::Read;

/// Bits of `SocketFlags` that mean something, and the system's.
const FLAGS: [(i32, i32); 3] = [(1, libc::MSG_OOB), (2, libc::MSG_PEEK), (4, libc::MSG_DONTROUTE)];
/// Bits that the system does without: `MaxIOVectorLength` and `Partial`.
const IGNORED_FLAGS: i32 = 0x10 | 0x8000;
/// How much of a file is sent at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A piece of memory (`WSABUF`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Buffer {
    length: i32,
    address: *mut u8,
}

/// Pieces of memory as the system wants them.
type Vectors = SmallVec<[libc::iovec; 1]>;

/// The system's flags for a call that must not wait; an error number for unknown bits.
fn native_flags(flags: i32) -> std::result::Result<i32, i32> {
    let known = FLAGS.iter().fold(IGNORED_FLAGS, |known, pair| known | pair.0);
    if flags & !known != 0 {
        return Err(errors::NOT_SUPPORTED);
    }
    let bits = FLAGS.iter().filter(|pair| flags & pair.0 != 0).fold(0, |bits, pair| bits | pair.1);
    Ok(bits | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

fn vectors(buffers: *const Buffer, count: i32) -> Vectors {
    if buffers.is_null() || count <= 0 {
        return Vectors::new();
    }
    // SAFETY: the caller passes so many structures, which it keeps in place, as it does the memory that they name.
    let buffers = unsafe { std::slice::from_raw_parts(buffers, count as usize) };
    buffers.iter().map(|buffer| libc::iovec { iov_base: buffer.address.cast(), iov_len: buffer.length.max(0) as usize }).collect()
}

fn message(vectors: &mut Vectors, address: Option<&mut NativeAddress>) -> libc::msghdr {
    // SAFETY: zero is a valid value of the structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = vectors.len() as _;
    if let Some(address) = address {
        message.msg_name = address.pointer().cast();
        message.msg_namelen = address.length;
    }
    message
}

fn receive_message(
    socket: isize,
    vectors: &mut Vectors,
    mut address: Option<&mut NativeAddress>,
    flags: i32,
    waits: bool,
) -> std::result::Result<usize, i32> {
    let flags = native_flags(flags)?;
    let mut message = message(vectors, address.as_deref_mut());
    // SAFETY: the memory behind the message outlives the call.
    let received = repeated(socket as i32, libc::POLLIN, waits, || unsafe { libc::recvmsg(socket as i32, &mut message, flags) })?;
    if let Some(address) = address {
        address.length = message.msg_namelen;
    }
    Ok(received)
}

/// Sends all, if the call may wait; else as much as there is room for.
fn send_message(
    socket: isize,
    vectors: &mut Vectors,
    mut address: Option<&mut NativeAddress>,
    flags: i32,
    waits: bool,
) -> std::result::Result<usize, i32> {
    let flags = native_flags(flags)?;
    let mut total = 0;
    loop {
        let message = message(vectors, address.as_deref_mut());
        // SAFETY: the memory behind the message outlives the call.
        let sent = repeated(socket as i32, libc::POLLOUT, waits, || unsafe { libc::sendmsg(socket as i32, &message, flags) })?;
        total += sent;
        advance(vectors, sent);
        if vectors.is_empty() || !waits {
            return Ok(total);
        }
    }
}

/// Drops the first bytes of the pieces, and pieces without any.
fn advance(vectors: &mut Vectors, mut bytes: usize) {
    let is_done = |vector: &&libc::iovec| {
        let is_done = vector.iov_len <= bytes;
        if is_done {
            bytes -= vector.iov_len;
        }
        is_done
    };
    let done = vectors.iter().take_while(is_done).count();
    vectors.drain(..done);
    if let Some(first) = vectors.first_mut() {
        first.iov_base = first.iov_base.wrapping_byte_add(bytes);
        first.iov_len -= bytes;
    }
}

fn one(buffer: *mut u8, count: i32) -> Vectors {
    smallvec![libc::iovec { iov_base: buffer.cast(), iov_len: count.max(0) as usize }]
}

fn count_or_error(result: std::result::Result<usize, i32>, error: *mut i32) -> i32 {
    finish(result.map(|count| count as i32), error, 0)
}

pub(super) extern "C" fn receive(socket: isize, buffer: *mut u8, count: i32, flags: i32, error: *mut i32, waits: u8) -> i32 {
    raising(|| Ok(count_or_error(receive_message(socket, &mut one(buffer, count), None, flags, waits != 0), error)))
}

pub(super) extern "C" fn receive_buffers(
    socket: isize,
    buffers: *const Buffer,
    count: i32,
    flags: i32,
    error: *mut i32,
    waits: u8,
) -> i32 {
    raising(|| Ok(count_or_error(receive_message(socket, &mut vectors(buffers, count), None, flags, waits != 0), error)))
}

pub(super) extern "C" fn receive_from(
    socket: isize,
    buffer: *mut u8,
    count: i32,
    flags: i32,
    address: *mut ObjectRef,
    error: *mut i32,
    waits: u8,
) -> i32 {
    raising(|| {
        let mut sender = NativeAddress::empty();
        let received = receive_message(socket, &mut one(buffer, count), Some(&mut sender), flags, waits != 0);
        if received.is_ok() {
            let sender = if sender.length > 0 { sender.to_object()? } else { None };
            store_out(address, sender.unwrap_or(ObjectRef::NULL));
        }
        Ok(count_or_error(received, error))
    })
}

pub(super) extern "C" fn send(socket: isize, buffer: *mut u8, count: i32, flags: i32, error: *mut i32, waits: u8) -> i32 {
    raising(|| Ok(count_or_error(send_message(socket, &mut one(buffer, count), None, flags, waits != 0), error)))
}

pub(super) extern "C" fn send_buffers(
    socket: isize,
    buffers: *const Buffer,
    count: i32,
    flags: i32,
    error: *mut i32,
    waits: u8,
) -> i32 {
    raising(|| Ok(count_or_error(send_message(socket, &mut vectors(buffers, count), None, flags, waits != 0), error)))
}

pub(super) extern "C" fn send_to(
    socket: isize,
    buffer: *mut u8,
    count: i32,
    flags: i32,
    address: ObjectRef,
    error: *mut i32,
    waits: u8,
) -> i32 {
    raising(|| {
        let sent = NativeAddress::of_object(address)?
            .and_then(|mut address| send_message(socket, &mut one(buffer, count), Some(&mut address), flags, waits != 0));
        Ok(count_or_error(sent, error))
    })
}

/// Sends an array, a file and another array, of which each may be null.
pub(super) extern "C" fn send_file(
    socket: isize,
    file: StringRef,
    before: ArrayRef,
    after: ArrayRef,
    _flags: i32,
    error: *mut i32,
    _waits: u8,
) -> bool {
    /// `ERROR_FILE_NOT_FOUND`
    const NOT_FOUND: i32 = 2;
    let array = |array: ArrayRef| -> std::result::Result<usize, i32> {
        if array.is_null() {
            return Ok(0);
        }
        let sent = send_message(socket, &mut one(array.data(), array.len() as i32), None, 0, true);
        std::hint::black_box(&array);
        sent
    };
    let contents = |file: &mut File| -> std::result::Result<(), i32> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match native_text::blocking(|| file.read(&mut chunk)) {
                Ok(0) => return Ok(()),
                Ok(count) => send_message(socket, &mut one(chunk.as_mut_ptr(), count as i32), None, 0, true)?,
                Err(error) => return Err(errors::of_errno(error.raw_os_error().unwrap_or(0))),
            };
        }
    };
    raising(|| -> Result<bool> {
        let mut opened = match file.object().as_string().map(|file| File::open(file.text())) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(_)) => {
                store_error(error, NOT_FOUND);
                return Ok(false);
            }
        };
        let outcome = array(before).and_then(|_| opened.as_mut().map_or(Ok(()), contents)).and_then(|()| array(after));
        Ok(finish(outcome.map(|_| true), error, false))
    })
}
