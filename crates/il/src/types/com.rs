//! What metadata says of COM (ECMA-335 knows the flag `Import` only; the rest are attributes of `System.Runtime.InteropServices`).

use super::*;
use crate::cursor::Cursor;
use crate::error::Result;
use crate::tables::{TableId, Token};

const INTEROP: &str = "System.Runtime.InteropServices";

/// Slots of `IUnknown` and of `IDispatch`, which every table of a COM interface begins with.
pub mod com_slots {
    /// `IUnknown`'s.
    pub const UNKNOWN: u32 = 3;
    /// `IDispatch`'s, which begin with `IUnknown`'s.
    pub const DISPATCH: u32 = 7;
}

/// `ComInterfaceType.InterfaceIsIUnknown`
const IS_UNKNOWN: u16 = 1;

/// The arguments in an attribute's value, behind its prolog.
fn arguments(value: &[u8]) -> Option<&[u8]> {
    value.get(2..)
}

/// The first argument, an enumeration or a `short`.
fn number(value: &[u8]) -> Option<u16> {
    let bytes = arguments(value)?.get(..2)?;
    Some(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// The first argument, a text or the name of a type.
fn text(value: &[u8]) -> Option<&str> {
    let mut cursor = Cursor::new(arguments(value)?);
    let length = cursor.compressed_u32().ok()?;
    std::str::from_utf8(cursor.take(length as usize).ok()?).ok()
}

/// The bytes of an identity written as `00000000-0000-0000-0000-000000000000`: its first three numbers with the low byte first.
fn parse_guid(text: &str) -> Option<[u8; 16]> {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let digits: Vec<u8> = text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    if digits.len() != 2 * ORDER.len() {
        return None;
    }
    Some(ORDER.map(|index| digits[2 * index] << 4 | digits[2 * index + 1]))
}

impl TypeSystem {
    /// Whether a class stands for one of COM, or derives from such a one: its instances are `System.__ComObject`s.
    pub fn is_com_class(&self, class: TypeId) -> bool {
        let com_object = self.well_known.com_object;
        class != com_object && self.derives_from(class, com_object)
    }

    /// Whether `new` of a class may give a transparent proxy: of one bound to a context or of COM it always may, of another that is
    /// passed by reference if a program has it activated elsewhere.
    pub fn may_begin_as_proxy(&self, class: TypeId) -> bool {
        self.is_marshal_by_ref(class) || self.begins_as_proxy(class)
    }

    /// Whether the class library decides for each `new` of a class whether it gives a transparent proxy.
    pub fn begins_as_proxy(&self, class: TypeId) -> bool {
        self.is_context_bound(class) || self.is_com_class(class)
    }

    fn interop_attribute(&self, ty: TypeId, name: &str) -> Option<&[u8]> {
        let (assembly, row) = self.definition_of(ty)?;
        self.custom_attribute(assembly, Token::new(TableId::TypeDef, row), INTEROP, name)
    }

    /// A type's identity, if it has the attribute `Guid`.
    pub fn com_guid(&self, ty: TypeId) -> Option<[u8; 16]> {
        self.interop_attribute(ty, "GuidAttribute").and_then(text).and_then(parse_guid)
    }

    /// Whether a type is marked as a COM interface of some sort (`InterfaceType`).
    pub fn has_interface_type(&self, ty: TypeId) -> bool {
        self.interop_attribute(ty, "InterfaceTypeAttribute").is_some()
    }

    /// Whether a type is visible to COM: it is unless `ComVisible (false)` says so and it implements no imported interface.
    pub fn is_com_visible(&self, ty: TypeId) -> Result<bool> {
        let hidden = |value: &[u8]| arguments(value).and_then(|bytes| bytes.first()) == Some(&0);
        if !self.interop_attribute(ty, "ComVisibleAttribute").is_some_and(hidden) {
            return Ok(true);
        }
        for &interface in self.declared_interfaces(ty)? {
            if self.header(interface)?.attributes & type_attributes::IMPORT != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn interop_attribute_of_method(&self, method: MethodId, name: &str) -> Option<&[u8]> {
        let data = self.method(method);
        self.custom_attribute(data.assembly, Token::new(TableId::MethodDef, data.row()?), INTEROP, name)
    }

    /// Name of the type in a class's attribute `ComDefaultInterface`.
    pub fn com_default_interface(&self, ty: TypeId) -> Option<&str> {
        self.interop_attribute(ty, "ComDefaultInterfaceAttribute").and_then(text)
    }

    /// Whether an interface stands for a class (`CoClass`), whose interface is then the first that it extends.
    pub fn is_class_interface(&self, ty: TypeId) -> bool {
        self.interop_attribute(ty, "CoClassAttribute").is_some()
    }

    /// The number that a method has in `IDispatch` (`DispId`, else its token).
    pub fn dispatch_number(&self, method: MethodId) -> i32 {
        let value = self.interop_attribute_of_method(method, "DispIdAttribute").and_then(arguments);
        let number = value.and_then(|bytes| bytes.get(..4)?.try_into().ok());
        let token = Token::new(TableId::MethodDef, self.method(method).row().unwrap_or(0));
        number.map_or(token.0 as i32, i32::from_le_bytes)
    }

    /// Number of slots before the first method of an interface.
    pub fn first_com_slot(&self, interface: TypeId) -> u32 {
        match self.interop_attribute(interface, "InterfaceTypeAttribute").and_then(number) {
            Some(IS_UNKNOWN) => com_slots::UNKNOWN,
            _ => com_slots::DISPATCH,
        }
    }

    /// The method of an interface that a call of `method` on a COM object means: the method itself, or the one that it implements in its class.
    pub fn com_method(&self, method: MethodId) -> Result<Option<MethodId>> {
        let data = self.method(method);
        if self.header(data.owner)?.is_interface() {
            return Ok(Some(method));
        }
        if data.is_static() {
            return Ok(None);
        }
        for &interface in self.declared_interfaces(data.owner)? {
            for candidate in self.methods_of(interface) {
                if self.method(candidate).is_virtual()
                    && self.resolve_interface_method(data.owner, candidate).is_ok_and(|found| found == method)
                {
                    return Ok(Some(candidate));
                }
            }
        }
        Ok(None)
    }

    /// The slot of an interface's method in the table of its COM interface.
    pub fn com_slot(&self, method: MethodId) -> u32 {
        let owner = self.method(method).owner;
        let methods = self.methods_of(owner).into_iter().filter(|&method| self.method(method).is_virtual());
        self.first_com_slot(owner) + methods.take_while(|&other| other != method).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_have_their_numbers_low_byte_first() {
        let bytes = [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(parse_guid("00112233-4455-6677-8899-aabbccddeeff"), Some(bytes));
        assert_eq!(parse_guid("00112233-4455-6677-8899-aabbccddee"), None);
        assert_eq!(parse_guid(""), None);
    }

    #[test]
    fn values_of_attributes_are_not_trusted() {
        assert_eq!(number(&[1, 0]), None);
        assert_eq!(number(&[1, 0, 2, 0, 0, 0, 0, 0]), Some(2));
        assert_eq!(text(&[1, 0, 3, b'a', b'b']), None);
        assert_eq!(text(&[1, 0, 2, b'a', b'b', 0, 0]), Some("ab"));
        assert_eq!(text(&[1, 0, 0xff]), None);
    }
}
