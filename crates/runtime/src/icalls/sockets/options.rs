//! Options of sockets: names of the class library, names of the system, and the objects that some of them have for values.

use super::addresses::class_beside_caller;
use super::{errors, finish};
use crate::exceptions::Result;
use crate::icalls::{raising, store_out};
use crate::method_table::method_table;
use crate::named_fields::Fields;
use crate::object::{self, ArrayRef, ObjectRef};
use il::types::TypeId;
use parking_lot::Mutex;

/// Values of `SocketOptionLevel`.
mod levels {
    pub(super) const IP: i32 = 0;
    pub(super) const TCP: i32 = 6;
    pub(super) const UDP: i32 = 17;
    pub(super) const IPV6: i32 = 41;
    pub(super) const SOCKET: i32 = 0xffff;
}

/// Values of `SocketOptionName` whose values are no plain numbers, or are not what the system calls so.
mod names {
    pub(super) const REUSE_ADDRESS: i32 = 4;
    pub(super) const EXCLUSIVE_ADDRESS_USE: i32 = -5;
    pub(super) const LINGER: i32 = 0x80;
    pub(super) const DONT_LINGER: i32 = -129;
    pub(super) const SEND_TIMEOUT: i32 = 0x1005;
    pub(super) const RECEIVE_TIMEOUT: i32 = 0x1006;
    pub(super) const SEND_BUFFER: i32 = 0x1001;
    pub(super) const RECEIVE_BUFFER: i32 = 0x1002;
    pub(super) const MULTICAST_INTERFACE: i32 = 9;
    pub(super) const ERROR: i32 = 0x1007;
    pub(super) const ADD_MEMBERSHIP: i32 = 12;
    pub(super) const DROP_MEMBERSHIP: i32 = 13;
    pub(super) const DONT_FRAGMENT: i32 = 14;
}

/// Level and name of the class library, level and name of the system.
const OPTIONS: &[(i32, i32, i32, i32)] = &[
    (levels::SOCKET, 1, libc::SOL_SOCKET, libc::SO_DEBUG),
    (levels::SOCKET, 2, libc::SOL_SOCKET, libc::SO_ACCEPTCONN),
    (levels::SOCKET, names::REUSE_ADDRESS, libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (levels::SOCKET, names::EXCLUSIVE_ADDRESS_USE, libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (levels::SOCKET, 8, libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (levels::SOCKET, 0x10, libc::SOL_SOCKET, libc::SO_DONTROUTE),
    (levels::SOCKET, 0x20, libc::SOL_SOCKET, libc::SO_BROADCAST),
    (levels::SOCKET, names::LINGER, libc::SOL_SOCKET, libc::SO_LINGER),
    (levels::SOCKET, names::DONT_LINGER, libc::SOL_SOCKET, libc::SO_LINGER),
    (levels::SOCKET, 0x100, libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (levels::SOCKET, names::SEND_BUFFER, libc::SOL_SOCKET, libc::SO_SNDBUF),
    (levels::SOCKET, names::RECEIVE_BUFFER, libc::SOL_SOCKET, libc::SO_RCVBUF),
    (levels::SOCKET, 0x1003, libc::SOL_SOCKET, libc::SO_SNDLOWAT),
    (levels::SOCKET, 0x1004, libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (levels::SOCKET, names::SEND_TIMEOUT, libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    (levels::SOCKET, names::RECEIVE_TIMEOUT, libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    (levels::SOCKET, names::ERROR, libc::SOL_SOCKET, libc::SO_ERROR),
    (levels::SOCKET, 0x1008, libc::SOL_SOCKET, libc::SO_TYPE),
    (levels::IP, 1, libc::IPPROTO_IP, libc::IP_OPTIONS),
    (levels::IP, 2, libc::IPPROTO_IP, libc::IP_HDRINCL),
    (levels::IP, 3, libc::IPPROTO_IP, libc::IP_TOS),
    (levels::IP, 4, libc::IPPROTO_IP, libc::IP_TTL),
    (levels::IP, names::MULTICAST_INTERFACE, libc::IPPROTO_IP, libc::IP_MULTICAST_IF),
    (levels::IP, 10, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL),
    (levels::IP, 11, libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP),
    (levels::IP, names::ADD_MEMBERSHIP, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
    (levels::IP, names::DROP_MEMBERSHIP, libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP),
    (levels::IP, names::DONT_FRAGMENT, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (levels::IP, 19, libc::IPPROTO_IP, libc::IP_PKTINFO),
    (levels::IPV6, 4, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (levels::IPV6, 9, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF),
    (levels::IPV6, 10, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS),
    (levels::IPV6, 11, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_LOOP),
    (levels::IPV6, names::ADD_MEMBERSHIP, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
    (levels::IPV6, names::DROP_MEMBERSHIP, libc::IPPROTO_IPV6, libc::IPV6_DROP_MEMBERSHIP),
    (levels::IPV6, 19, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    (levels::IPV6, 21, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (levels::IPV6, 27, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (levels::TCP, 1, libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (levels::UDP, 1, libc::SOL_SOCKET, libc::SO_NO_CHECK),
];

/// Level and name of the system.
fn native_option(level: i32, name: i32) -> std::result::Result<(i32, i32), i32> {
    let found = OPTIONS.iter().find(|option| (option.0, option.1) == (level, name));
    found.map(|option| (option.2, option.3)).ok_or(errors::NO_SUCH_OPTION)
}

/// Reads an option into `value`; its size.
fn get_into(socket: i32, option: (i32, i32), value: *mut u8, size: usize) -> std::result::Result<usize, i32> {
    let mut size = size as libc::socklen_t;
    // SAFETY: the caller's memory of this size.
    let outcome = unsafe { libc::getsockopt(socket, option.0, option.1, value.cast(), &mut size) };
    if outcome == 0 { Ok(size as usize) } else { Err(errors::last()) }
}

fn get<T: Copy>(socket: i32, option: (i32, i32), mut value: T) -> std::result::Result<T, i32> {
    get_into(socket, option, (&raw mut value).cast(), size_of::<T>())?;
    Ok(value)
}

/// A number that the system tells.
pub(super) fn number(socket: i32, option: (i32, i32)) -> std::result::Result<i32, i32> {
    get(socket, option, 0)
}

/// Sets an option to a value of the system's.
pub(super) fn set<T>(socket: i32, option: (i32, i32), value: &T) -> std::result::Result<(), i32> {
    // SAFETY: a value of this size.
    let outcome = unsafe {
        libc::setsockopt(socket, option.0, option.1, std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t)
    };
    if outcome == 0 { Ok(()) } else { Err(errors::last()) }
}

/// The last errors of sockets, which the kernel forgets when it has told them.
static LAST_ERRORS: Mutex<Vec<(i32, i32)>> = Mutex::new(Vec::new());

/// The error that a socket had last, given what the kernel says of it now: 0 if there was none since that.
fn last_error(socket: i32, now: i32) -> i32 {
    let mut known = LAST_ERRORS.lock();
    let place = known.iter().position(|entry| entry.0 == socket);
    match (now, place) {
        (0, Some(place)) => known[place].1,
        (0, None) => 0,
        (_, Some(place)) => {
            known[place].1 = now;
            now
        }
        (_, None) => {
            known.push((socket, now));
            now
        }
    }
}

/// A socket is closed, so that its number may soon be another's.
pub(super) fn forget_error(socket: i32) {
    LAST_ERRORS.lock().retain(|entry| entry.0 != socket);
}

/// A value as the class library sees it.
enum Value {
    Number(i32),
    Linger(libc::linger),
}

fn value_of(socket: i32, level: i32, name: i32) -> std::result::Result<Value, i32> {
    let option = native_option(level, name)?;
    if level == levels::SOCKET {
        match name {
            names::LINGER | names::DONT_LINGER => {
                let linger = get(socket, option, libc::linger { l_onoff: 0, l_linger: 0 })?;
                let without = Value::Number(i32::from(linger.l_onoff == 0));
                return Ok(if name == names::LINGER { Value::Linger(linger) } else { without });
            }
            names::SEND_TIMEOUT | names::RECEIVE_TIMEOUT => {
                let time = get(socket, option, libc::timeval { tv_sec: 0, tv_usec: 0 })?;
                return Ok(Value::Number((time.tv_sec as i64 * 1000 + time.tv_usec as i64 / 1000) as i32));
            }
            _ => {}
        }
    }
    let number: i32 = get(socket, option, 0)?;
    Ok(Value::Number(match (level, name) {
        (levels::SOCKET, names::ERROR) => last_error(socket, errors::of_errno(number)),
        (levels::SOCKET, names::EXCLUSIVE_ADDRESS_USE) => i32::from(number == 0),
        (levels::IP, names::DONT_FRAGMENT) => i32::from(number == libc::IP_PMTUDISC_DO),
        _ => number,
    }))
}

pub(super) extern "C" fn get_object(socket: isize, level: i32, name: i32, value: *mut ObjectRef, error: *mut i32) {
    raising(|| {
        let found = match value_of(socket as i32, level, name) {
            Ok(Value::Number(number)) => {
                // SAFETY: the address of an `int`.
                let boxed = unsafe { object::box_value(method_table(TypeId::I4)?, (&raw const number).cast()) }?;
                store_out(value, boxed);
                Ok(())
            }
            Ok(Value::Linger(linger)) => {
                let object = object::allocate(method_table(class_beside_caller("System.Net.Sockets", "LingerOption")?)?)?;
                let fields = Fields::of(object)?;
                fields.set_flag("enabled", linger.l_onoff != 0)?;
                fields.set_int("lingerTime", linger.l_linger)?;
                store_out(value, object);
                Ok(())
            }
            Err(number) => Err(number),
        };
        finish(found, error, ());
        Ok(())
    })
}

/// Fills an array with the value as the system has it.
pub(super) extern "C" fn get_bytes(socket: isize, level: i32, name: i32, value: *mut ObjectRef, error: *mut i32) {
    // SAFETY: the address of the caller's variable.
    let array = unsafe { value.read() }.as_array().ok_or(errors::FAULT);
    let outcome = array.and_then(|array| {
        native_option(level, name).and_then(|option| get_into(socket as i32, option, array.data(), array.len()))
    });
    finish(outcome.map(|_| ()), error, ());
}

/// The address in an `IPAddress`: four bytes, or the numbers of an IPv6 one.
fn ipv4(address: Option<Fields>) -> Result<libc::in_addr> {
    let word = address.map_or(Ok(0), |address| address.int("_addressOrScopeId"))?;
    Ok(libc::in_addr { s_addr: word as u32 })
}

fn ipv6(address: Option<Fields>) -> Result<libc::in6_addr> {
    let mut bytes = [0; 16];
    let numbers = address.map_or(Ok(ObjectRef::NULL), |address| address.reference("_numbers"))?;
    if let Some(numbers) = numbers.as_array() {
        // SAFETY: an array of 16-bit numbers.
        let numbers = unsafe { numbers.slice::<u16>() };
        for (pair, number) in bytes.chunks_exact_mut(2).zip(numbers) {
            pair.copy_from_slice(&number.to_be_bytes());
        }
    }
    Ok(libc::in6_addr { s6_addr: bytes })
}

/// `setsockopt` with the value of an object: `LingerOption`, `MulticastOption` or `IPv6MulticastOption`.
fn set_object(socket: i32, level: i32, name: i32, value: ObjectRef) -> Result<std::result::Result<(), i32>> {
    let fields = Fields::of(value)?;
    let option = match native_option(level, name) {
        Ok(option) => option,
        Err(number) => return Ok(Err(number)),
    };
    Ok(match (level, name) {
        (levels::SOCKET, names::LINGER) => {
            let linger = libc::linger { l_onoff: i32::from(fields.flag("enabled")?), l_linger: fields.int("lingerTime")? };
            set(socket, option, &linger)
        }
        (levels::IP, names::ADD_MEMBERSHIP | names::DROP_MEMBERSHIP) => {
            let request = libc::ip_mreqn {
                imr_multiaddr: ipv4(fields.inner("group")?)?,
                imr_address: ipv4(fields.inner("localAddress")?)?,
                imr_ifindex: fields.int("ifIndex")?,
            };
            set(socket, option, &request)
        }
        (levels::IPV6, names::ADD_MEMBERSHIP | names::DROP_MEMBERSHIP) => {
            let request = libc::ipv6_mreq {
                ipv6mr_multiaddr: ipv6(fields.inner("m_Group")?)?,
                ipv6mr_interface: fields.long("m_Interface")? as _,
            };
            set(socket, option, &request)
        }
        _ => Err(errors::INVALID),
    })
}

/// The opposite of `DontLinger`.
fn linger_unless(without: bool) -> libc::linger {
    libc::linger { l_onoff: i32::from(!without), l_linger: 0 }
}

fn set_bytes(socket: i32, level: i32, name: i32, bytes: ArrayRef) -> std::result::Result<(), i32> {
    let option = native_option(level, name)?;
    // SAFETY: the array's memory.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.data::<u8>(), bytes.len()) };
    if (level, name) == (levels::SOCKET, names::DONT_LINGER) {
        let &[without] = bytes else { return Err(errors::INVALID) };
        return set(socket, option, &linger_unless(without != 0));
    }
    // SAFETY: memory of this size.
    let outcome = unsafe { libc::setsockopt(socket, option.0, option.1, bytes.as_ptr().cast(), bytes.len() as libc::socklen_t) };
    if outcome == 0 { Ok(()) } else { Err(errors::last()) }
}

fn set_number(socket: i32, level: i32, name: i32, value: i32) -> std::result::Result<(), i32> {
    let option = native_option(level, name)?;
    match (level, name) {
        (levels::SOCKET, names::DONT_LINGER) => set(socket, option, &linger_unless(value != 0)),
        (levels::SOCKET, names::LINGER) => set(socket, option, &libc::linger { l_onoff: value, l_linger: 0 }),
        (levels::SOCKET, names::SEND_TIMEOUT | names::RECEIVE_TIMEOUT) => {
            let value = value.max(0);
            let time = libc::timeval { tv_sec: (value / 1000) as _, tv_usec: (value % 1000 * 1000) as _ };
            set(socket, option, &time)
        }
        (levels::SOCKET, names::EXCLUSIVE_ADDRESS_USE) => set(socket, option, &i32::from(value == 0)),
        (levels::SOCKET, names::REUSE_ADDRESS) => {
            set(socket, option, &value)?;
            // On Windows this lets several sockets share a port. A kernel that cannot do so has no more to give.
            let kind: i32 = get(socket, (libc::SOL_SOCKET, libc::SO_TYPE), 0)?;
            if matches!(kind, libc::SOCK_DGRAM | libc::SOCK_STREAM) {
                let _ = set(socket, (libc::SOL_SOCKET, libc::SO_REUSEPORT), &value);
            }
            Ok(())
        }
        // The kernel doubles what it is told.
        (levels::SOCKET, names::SEND_BUFFER | names::RECEIVE_BUFFER) => set(socket, option, &(value / 2)),
        (levels::IP, names::MULTICAST_INTERFACE) => {
            // In the order of the network: an address, or in its last three bytes the number of an interface.
            let any = libc::in_addr { s_addr: 0 };
            let host = i32::from_be(value);
            let request = match host as u32 >> 24 {
                0 => libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: host },
                _ => libc::ip_mreqn { imr_multiaddr: any, imr_address: libc::in_addr { s_addr: value as u32 }, imr_ifindex: 0 },
            };
            set(socket, option, &request)
        }
        (levels::IP, names::DONT_FRAGMENT) => {
            let discovery = if value != 0 { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
            set(socket, option, &discovery)
        }
        _ => set(socket, option, &value),
    }
}

pub(super) extern "C" fn set_option(
    socket: isize,
    level: i32,
    name: i32,
    object: ObjectRef,
    bytes: ArrayRef,
    number: i32,
    error: *mut i32,
) {
    let socket = socket as i32;
    raising(|| {
        let outcome = if !object.is_null() {
            set_object(socket, level, name, object)?
        } else if !bytes.is_null() {
            set_bytes(socket, level, name, bytes)
        } else {
            set_number(socket, level, name, number)
        };
        finish(outcome, error, ());
        Ok(())
    })
}
