//! `System.Net.Dns`: names and addresses of machines, by the system's resolver.

use super::native_text::{blocking, string_array};
use super::{InternalCall, icall, raising, store_out};
use crate::exceptions::Result;
use crate::object::{ObjectRef, StringRef};
use std::ffi::{CStr, CString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Values of the hint: one family only.
const IPV4_ONLY: i32 = 1;
const IPV6_ONLY: i32 = 2;
/// Longest name with its end mark (`NI_MAXHOST`).
const NAME_BYTES: usize = 1025;

/// An address in the system's form.
///
/// # Safety
/// `address` is null or points to an address of its family.
unsafe fn address_of(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller's promise.
    unsafe {
        match i32::from(address.as_ref()?.sa_family) {
            libc::AF_INET => {
                let address = address.cast::<libc::sockaddr_in>().read_unaligned();
                Some(Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes()).into())
            }
            libc::AF_INET6 => {
                let address = address.cast::<libc::sockaddr_in6>().read_unaligned();
                Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}

fn is_wanted(address: &IpAddr, hint: i32) -> bool {
    match hint {
        IPV4_ONLY => address.is_ipv4(),
        IPV6_ONLY => address.is_ipv6(),
        _ => true,
    }
}

/// The machine's own addresses in its networks, those of IPv4 first.
fn own_addresses(hint: i32) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut first = std::ptr::null_mut();
    // SAFETY: the system gives a list, which is freed once.
    unsafe {
        if libc::getifaddrs(&mut first) != 0 {
            return found;
        }
        let mut next = first;
        while let Some(entry) = next.as_ref() {
            let is_up = entry.ifa_flags & libc::IFF_UP as u32 != 0 && entry.ifa_flags & libc::IFF_LOOPBACK as u32 == 0;
            found.extend(address_of(entry.ifa_addr).filter(|address| is_up && is_wanted(address, hint)));
            next = entry.ifa_next;
        }
        libc::freeifaddrs(first);
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// The canonical name and the addresses of a name.
fn resolve(name: &CStr, hint: i32) -> Option<(String, Vec<IpAddr>)> {
    // SAFETY: zero is a valid value of the structure.
    let mut wanted: libc::addrinfo = unsafe { std::mem::zeroed() };
    wanted.ai_socktype = libc::SOCK_STREAM;
    wanted.ai_flags = libc::AI_CANONNAME;
    wanted.ai_family = match hint {
        IPV4_ONLY => libc::AF_INET,
        IPV6_ONLY => libc::AF_INET6,
        _ => libc::AF_UNSPEC,
    };
    let mut first = std::ptr::null_mut();
    // SAFETY: a name that ends with a 0, and a list that is freed once.
    blocking(|| unsafe {
        if libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &wanted, &mut first) != 0 {
            return None;
        }
        let mut canonical = name.to_string_lossy().into_owned();
        let mut found: Vec<IpAddr> = Vec::new();
        let mut next = first;
        while let Some(entry) = next.as_ref() {
            if !entry.ai_canonname.is_null() {
                canonical = CStr::from_ptr(entry.ai_canonname).to_string_lossy().into_owned();
            }
            found.extend(address_of(entry.ai_addr).filter(|address| !found.contains(address)));
            next = entry.ai_next;
        }
        libc::freeaddrinfo(first);
        Some((canonical, found))
    })
}

fn own_name() -> Option<CString> {
    let mut name = [0u8; NAME_BYTES];
    // SAFETY: room for the name, and the last byte stays 0.
    let outcome = unsafe { libc::gethostname(name.as_mut_ptr().cast(), NAME_BYTES - 1) };
    if outcome == 0 { CStr::from_bytes_until_nul(&name).ok().map(CStr::to_owned) } else { None }
}

/// Where a caller wants name, aliases (of which there are none) and addresses.
struct Results {
    name: *mut ObjectRef,
    aliases: *mut ObjectRef,
    addresses: *mut ObjectRef,
}

impl Results {
    fn store(&self, found: Option<(String, Vec<IpAddr>)>) -> Result<bool> {
        let Some((name, addresses)) = found else { return Ok(false) };
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        store_out(self.name, StringRef::new(&name)?.object());
        store_out(self.aliases, string_array::<&str>(&[])?.object());
        store_out(self.addresses, string_array(&addresses)?.object());
        Ok(true)
    }
}

extern "C" fn by_name(
    host: StringRef,
    name: *mut ObjectRef,
    aliases: *mut ObjectRef,
    addresses: *mut ObjectRef,
    hint: i32,
) -> bool {
    raising(|| {
        let Ok(host) = CString::new(host.argument("host")?.text()) else { return Ok(false) };
        let is_own = host.is_empty() || own_name().is_some_and(|own| own == host);
        let own = if is_own { own_addresses(hint) } else { Vec::new() };
        let found = match own.is_empty() {
            true => resolve(&host, hint),
            false => Some((host.to_string_lossy().into_owned(), own)),
        };
        Results { name, aliases, addresses }.store(found)
    })
}

/// The name of an address.
fn name_of(address: IpAddr) -> Option<CString> {
    let mut name = [0u8; NAME_BYTES];
    let room = (name.as_mut_ptr().cast(), NAME_BYTES as libc::socklen_t);
    let none = std::ptr::null_mut();
    // SAFETY: addresses of the given lengths, made from zero, which is a valid value of both structures; room for the name.
    let outcome = blocking(|| unsafe {
        match address {
            IpAddr::V4(address) => {
                let mut native: libc::sockaddr_in = std::mem::zeroed();
                native.sin_family = libc::AF_INET as libc::sa_family_t;
                native.sin_addr.s_addr = u32::from_ne_bytes(address.octets());
                let length = size_of_val(&native) as libc::socklen_t;
                libc::getnameinfo((&raw const native).cast(), length, room.0, room.1, none, 0, 0)
            }
            IpAddr::V6(address) => {
                let mut native: libc::sockaddr_in6 = std::mem::zeroed();
                native.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                native.sin6_addr.s6_addr = address.octets();
                let length = size_of_val(&native) as libc::socklen_t;
                libc::getnameinfo((&raw const native).cast(), length, room.0, room.1, none, 0, 0)
            }
        }
    });
    if outcome == 0 { CStr::from_bytes_until_nul(&name).ok().map(CStr::to_owned) } else { None }
}

extern "C" fn by_address(
    address: StringRef,
    name: *mut ObjectRef,
    aliases: *mut ObjectRef,
    addresses: *mut ObjectRef,
    hint: i32,
) -> bool {
    raising(|| {
        let address = address.argument("addr")?.text().parse::<IpAddr>().ok();
        let found = address.and_then(name_of).and_then(|name| resolve(&name, hint));
        Results { name, aliases, addresses }.store(found)
    })
}

extern "C" fn host_name(name: *mut ObjectRef) -> bool {
    raising(|| match own_name() {
        Some(own) => {
            store_out(name, StringRef::new(&own.to_string_lossy())?.object());
            Ok(true)
        }
        None => Ok(false),
    })
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Net.Dns:GetHostByAddr_internal", by_address as *const ()),
    icall("System.Net.Dns:GetHostByName_internal", by_name as *const ()),
    icall("System.Net.Dns:GetHostName_internal (string&)", host_name as *const ()),
];
