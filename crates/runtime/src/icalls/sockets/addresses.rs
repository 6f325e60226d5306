//! `System.Net.SocketAddress` and the system's socket addresses. Both begin with the family, then come the port in network order and the
//! address; families have other numbers, and an IPv6 address ends with its scope, lowest byte first.

use super::errors;
use crate::class_library::class_in;
use crate::exceptions::Result;
use crate::icalls::native_text::last_errno;
use crate::method_table::method_table;
use crate::named_fields::Fields;
use crate::object::{self, ArrayRef, ObjectRef};
use crate::runtime;
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use il::types::TypeId;

/// `AddressFamily` and the system's numbers.
const FAMILIES: [(i32, i32); 4] = [(0, libc::AF_UNSPEC), (1, libc::AF_UNIX), (2, libc::AF_INET), (23, libc::AF_INET6)];
/// Bytes of a `SocketAddress` of IPv4: family, port and address.
const IPV4_BYTES: usize = 8;
/// Of IPv6: family, port, flow, address and scope.
const IPV6_BYTES: usize = 28;
const PORT: usize = 2;
const IPV4_ADDRESS: usize = 4;
const IPV6_FLOW: usize = 4;
const IPV6_ADDRESS: usize = 8;
const IPV6_SCOPE: usize = 24;
/// Where the path of a Unix socket begins.
const PATH: usize = 2;

/// An address as the system has it.
pub(super) struct NativeAddress {
    pub(super) storage: libc::sockaddr_storage,
    pub(super) length: libc::socklen_t,
}

/// The system's number of an `AddressFamily`.
pub(super) fn native_family(family: i32) -> Option<i32> {
    FAMILIES.iter().find(|pair| pair.0 == family).map(|pair| pair.1)
}

impl NativeAddress {
    /// Room for any address.
    pub(super) fn empty() -> NativeAddress {
        // SAFETY: zero is a valid value of the structure.
        NativeAddress { storage: unsafe { std::mem::zeroed() }, length: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    /// The address, for system calls.
    pub(super) fn pointer(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    fn bytes(&self) -> &[u8] {
        let length = (self.length as usize).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: plain memory of at least this size.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), length) }
    }

    fn set<T>(&mut self, value: T) {
        // SAFETY: the storage holds an address of any family.
        unsafe { (&raw mut self.storage).cast::<T>().write(value) };
        self.length = size_of::<T>() as libc::socklen_t;
    }

    /// Of a `SocketAddress`; `Err` with the number of the error if the system knows none such.
    pub(super) fn of_object(address: ObjectRef) -> Result<std::result::Result<NativeAddress, i32>> {
        let bytes = Fields::of(address)?.bytes("m_Buffer")?.unwrap_or_default();
        Ok(NativeAddress::of_bytes(&bytes))
    }

    fn of_bytes(bytes: &[u8]) -> std::result::Result<NativeAddress, i32> {
        let mut native = NativeAddress::empty();
        let family = i32::from(u16::from_le_bytes(bytes.get(..2).and_then(|pair| pair.try_into().ok()).ok_or(errors::FAULT)?));
        let family = native_family(family).ok_or(errors::NO_SUCH_FAMILY)?;
        let port = |bytes: &[u8]| u16::from_ne_bytes([bytes[PORT], bytes[PORT + 1]]);
        let word = |bytes: &[u8], at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        match family {
            libc::AF_INET if bytes.len() >= IPV4_BYTES => {
                // SAFETY: zero is a valid value of the structure.
                let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                address.sin_family = family as libc::sa_family_t;
                address.sin_port = port(bytes);
                address.sin_addr.s_addr = u32::from_ne_bytes(word(bytes, IPV4_ADDRESS));
                native.set(address);
            }
            libc::AF_INET6 if bytes.len() >= IPV6_BYTES => {
                // SAFETY: zero is a valid value of the structure.
                let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                address.sin6_family = family as libc::sa_family_t;
                address.sin6_port = port(bytes);
                address.sin6_flowinfo = u32::from_ne_bytes(word(bytes, IPV6_FLOW));
                address.sin6_addr.s6_addr.copy_from_slice(&bytes[IPV6_ADDRESS..IPV6_SCOPE]);
                address.sin6_scope_id = u32::from_le_bytes(word(bytes, IPV6_SCOPE));
                native.set(address);
            }
            libc::AF_UNIX => {
                // SAFETY: zero is a valid value of the structure.
                let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
                let path = &bytes[PATH..];
                if path.len() > address.sun_path.len() {
                    return Err(errors::FAULT);
                }
                address.sun_family = family as libc::sa_family_t;
                for (place, &byte) in address.sun_path.iter_mut().zip(path) {
                    *place = byte as _;
                }
                native.set(address);
                native.length = (PATH + path.len()) as libc::socklen_t;
            }
            libc::AF_INET | libc::AF_INET6 => return Err(errors::FAULT),
            _ => return Err(errors::NO_SUCH_FAMILY),
        }
        Ok(native)
    }

    /// As a `SocketAddress`; `None` for a family that the class library does not know.
    pub(super) fn to_object(&self) -> Result<Option<ObjectRef>> {
        let native = self.bytes();
        let native_family = i32::from(self.storage.ss_family);
        let Some(&(family, _)) = FAMILIES.iter().find(|pair| pair.1 == native_family) else { return Ok(None) };
        let size = match native_family {
            libc::AF_INET => IPV4_BYTES,
            libc::AF_INET6 => IPV6_BYTES,
            _ => native.len(),
        };
        let buffer = ArrayRef::new(TypeId::U1, size)?;
        // SAFETY: a fresh array of bytes.
        let bytes = unsafe { buffer.slice_mut::<u8>() };
        for (place, &byte) in bytes.iter_mut().zip(native) {
            *place = byte;
        }
        for (place, byte) in bytes.iter_mut().zip((family as u16).to_le_bytes()) {
            *place = byte;
        }
        if native_family == libc::AF_INET6 {
            // SAFETY: the family says that it is this structure.
            let scope = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() }.sin6_scope_id;
            bytes[IPV6_SCOPE..].copy_from_slice(&scope.to_le_bytes());
        }
        let address = object::allocate(method_table(class_beside_caller("System.Net", "SocketAddress")?)?)?;
        let fields = Fields::of(address)?;
        fields.set_int("m_Size", size as i32)?;
        fields.set_reference("m_Buffer", buffer.object())?;
        Ok(Some(address))
    }
}

/// What asks the system for an address of a socket.
type AddressQuery = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

/// The `SocketAddress` that a query gives, or an error number.
pub(super) fn queried(socket: i32, query: AddressQuery) -> Result<std::result::Result<ObjectRef, i32>> {
    let mut address = NativeAddress::empty();
    let pointer = address.pointer();
    // SAFETY: room for any address and its length.
    if unsafe { query(socket, pointer, &mut address.length) } != 0 {
        return Ok(Err(errors::of_errno(last_errno())));
    }
    Ok(address.to_object()?.ok_or(errors::NO_SUCH_FAMILY))
}

/// A class of the assembly that declares the running internal call.
pub(super) fn class_beside_caller(namespace: &str, name: &str) -> Result<TypeId> {
    let types = &runtime().types;
    let method = Walk::from_runtime(Thread::current()).find_map(|step| match step {
        Step::Frame(frame) => frame.method(),
        Step::Entry { .. } => None,
    });
    class_in(method.map_or(types.corlib(), |method| types.method(method).assembly), namespace, name)
}
