//! Values of custom attributes (ECMA-335 II.23.3) and marshalling descriptors (II.23.4).
//!
//! An attribute's bytes do not say how wide its enums are; whoever asks provides that through [`EnumTypes`].

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::heaps::valid_prefix;
use crate::signature::{MethodSig, TypeSig, element};
use crate::tables::Token;

/// Knows the underlying types of enums: one of the integer or character codes of [`element`].
pub trait EnumTypes {
    /// Of an enum that the constructor's signature names.
    fn underlying_type_of(&self, enum_type: Token) -> Result<u8>;
    /// Of an enum that the attribute names as text, possibly with its assembly.
    fn underlying_type_by_name(&self, enum_type: &str) -> Result<u8>;
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    /// A primitive type or `System.String` by its code in [`element`].
    Primitive(u8),
    /// `System.Type`.
    Type,
    /// `System.Object`: each value brings its own type.
    Object,
    /// An enum of the constructor's signature.
    Enum(Token),
    /// An enum by name as written, with its underlying type.
    NamedEnum(Box<str>, u8),
    /// A vector.
    SzArray(Box<ArgumentType>),
}

/// The value of an argument. An enum's value is that of its underlying type.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The integer and float variants say what they are.
pub enum ArgumentValue {
    Boolean(bool),
    /// A UTF-16 code unit.
    Char(u16),
    I1(i8),
    U1(u8),
    I2(i16),
    U2(u16),
    I4(i32),
    U4(u32),
    I8(i64),
    U8(u64),
    R4(f32),
    R8(f64),
    /// A string or null.
    String(Option<Box<str>>),
    /// A type's name as reflection writes it, possibly with its assembly, or null.
    Type(Option<Box<str>>),
    /// Elements of a vector, or null.
    Array(Option<Box<[ArgumentValue]>>),
    /// A value behind `System.Object`, with its type.
    Boxed(Box<(ArgumentType, ArgumentValue)>),
}

/// A field or property that an attribute sets.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArgument {
    /// A field, not a property.
    pub is_field: bool,
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub ty: ArgumentType,
    /// The value.
    pub value: ArgumentValue,
}

/// The arguments of a custom attribute.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeArguments {
    /// Arguments of the constructor.
    pub fixed: Box<[ArgumentValue]>,
    /// Fields and properties to set.
    pub named: Box<[NamedArgument]>,
}

/// Deepest nesting of boxed arrays of boxed arrays and so on.
const DEPTH_LIMIT: u32 = 32;

impl AttributeArguments {
    /// Decodes an attribute's blob. An empty blob stands for a constructor without arguments.
    pub fn parse(blob: &[u8], constructor: &MethodSig, enums: &dyn EnumTypes) -> Result<AttributeArguments> {
        let mut cursor = Cursor::new(blob);
        if blob.is_empty() && constructor.params.is_empty() {
            return Ok(AttributeArguments { fixed: Box::default(), named: Box::default() });
        }
        if cursor.u16()? != 1 {
            return Err(cursor.error("custom attribute does not begin with its prolog"));
        }
        let mut fixed = Vec::with_capacity(constructor.params.len());
        for param in &constructor.params {
            let ty = argument_type(param, &cursor)?;
            fixed.push(value(&mut cursor, &ty, enums, 0)?);
        }
        // Some compilers leave out the count of named arguments when there are none.
        let named_count = if cursor.is_at_end() { 0 } else { cursor.u16()? };
        let mut named = Vec::new();
        for _ in 0..named_count {
            let is_field = match cursor.u8()? {
                element::FIELD => true,
                element::PROPERTY => false,
                _ => return Err(cursor.error("named argument is neither field nor property")),
            };
            let ty = named_type(&mut cursor, enums, 0)?;
            let name = string(&mut cursor)?.ok_or_else(|| cursor.error("named argument without a name"))?;
            let value = value(&mut cursor, &ty, enums, 0)?;
            named.push(NamedArgument { is_field, name, ty, value });
        }
        Ok(AttributeArguments { fixed: fixed.into(), named: named.into() })
    }
}

/// The first argument of an attribute whose constructor takes a string first.
pub(crate) fn first_string(blob: &[u8]) -> Option<Box<str>> {
    let mut cursor = Cursor::new(blob);
    match cursor.u16() {
        Ok(1) => string(&mut cursor).ok().flatten(),
        _ => None,
    }
}

/// The type of a constructor's parameter.
fn argument_type(sig: &TypeSig, cursor: &Cursor<'_>) -> Result<ArgumentType> {
    Ok(ArgumentType::Primitive(match sig.unmodified() {
        TypeSig::Boolean => element::BOOLEAN,
        TypeSig::Char => element::CHAR,
        TypeSig::I1 => element::I1,
        TypeSig::U1 => element::U1,
        TypeSig::I2 => element::I2,
        TypeSig::U2 => element::U2,
        TypeSig::I4 => element::I4,
        TypeSig::U4 => element::U4,
        TypeSig::I8 => element::I8,
        TypeSig::U8 => element::U8,
        TypeSig::R4 => element::R4,
        TypeSig::R8 => element::R8,
        TypeSig::String => element::STRING,
        TypeSig::Object => return Ok(ArgumentType::Object),
        // The only class that can stand here, strings and objects having codes of their own.
        TypeSig::Class(_) => return Ok(ArgumentType::Type),
        TypeSig::ValueType(token) => return Ok(ArgumentType::Enum(*token)),
        // Arrays of arrays, which no compiler writes, but Mono reads.
        TypeSig::SzArray(inner) => return Ok(ArgumentType::SzArray(Box::new(argument_type(inner, cursor)?))),
        _ => return Err(cursor.error("type cannot be an attribute's argument")),
    }))
}

/// The type of a named or boxed argument, as the blob spells it.
fn named_type(cursor: &mut Cursor<'_>, enums: &dyn EnumTypes, depth: u32) -> Result<ArgumentType> {
    if depth > DEPTH_LIMIT {
        return Err(cursor.error("custom attribute is nested too deeply"));
    }
    Ok(match cursor.u8()? {
        code @ (element::BOOLEAN..=element::R8 | element::STRING) => ArgumentType::Primitive(code),
        element::SYSTEM_TYPE => ArgumentType::Type,
        element::BOXED => ArgumentType::Object,
        element::SZARRAY => ArgumentType::SzArray(Box::new(named_type(cursor, enums, depth + 1)?)),
        element::ENUM => {
            let name = string(cursor)?.ok_or_else(|| cursor.error("enum without a name"))?;
            let underlying = enums.underlying_type_by_name(&name)?;
            ArgumentType::NamedEnum(name, underlying)
        }
        code => return Err(cursor.error(format!("invalid type {code:#04x} of an attribute's argument"))),
    })
}

fn value(cursor: &mut Cursor<'_>, ty: &ArgumentType, enums: &dyn EnumTypes, depth: u32) -> Result<ArgumentValue> {
    if depth > DEPTH_LIMIT {
        return Err(cursor.error("custom attribute is nested too deeply"));
    }
    match ty {
        ArgumentType::Primitive(code) => primitive(cursor, *code),
        ArgumentType::Enum(token) => primitive(cursor, enums.underlying_type_of(*token)?),
        ArgumentType::NamedEnum(_, underlying) => primitive(cursor, *underlying),
        ArgumentType::Type => string(cursor).map(ArgumentValue::Type),
        ArgumentType::Object => {
            let ty = named_type(cursor, enums, depth)?;
            let value = value(cursor, &ty, enums, depth + 1)?;
            Ok(ArgumentValue::Boxed(Box::new((ty, value))))
        }
        ArgumentType::SzArray(inner) => {
            let count = cursor.u32()?;
            if count == u32::MAX {
                return Ok(ArgumentValue::Array(None));
            }
            if count as usize > cursor.remaining() {
                return Err(cursor.error("array exceeds the custom attribute"));
            }
            let elements = (0..count).map(|_| value(cursor, inner, enums, depth + 1));
            elements.collect::<Result<_>>().map(|elements| ArgumentValue::Array(Some(elements)))
        }
    }
}

fn primitive(cursor: &mut Cursor<'_>, code: u8) -> Result<ArgumentValue> {
    Ok(match code {
        element::BOOLEAN => ArgumentValue::Boolean(cursor.u8()? != 0),
        element::CHAR => ArgumentValue::Char(cursor.u16()?),
        element::I1 => ArgumentValue::I1(cursor.u8()? as i8),
        element::U1 => ArgumentValue::U1(cursor.u8()?),
        element::I2 => ArgumentValue::I2(cursor.u16()? as i16),
        element::U2 => ArgumentValue::U2(cursor.u16()?),
        element::I4 => ArgumentValue::I4(cursor.u32()? as i32),
        element::U4 => ArgumentValue::U4(cursor.u32()?),
        element::I8 => ArgumentValue::I8(cursor.u64()? as i64),
        element::U8 => ArgumentValue::U8(cursor.u64()?),
        element::R4 => ArgumentValue::R4(f32::from_bits(cursor.u32()?)),
        element::R8 => ArgumentValue::R8(f64::from_bits(cursor.u64()?)),
        element::STRING => ArgumentValue::String(string(cursor)?),
        _ => return Err(cursor.error(format!("type {code:#04x} has no values in custom attributes"))),
    })
}

/// A string with its compressed length; 0xff stands for null. Broken text is cut.
fn string(cursor: &mut Cursor<'_>) -> Result<Option<Box<str>>> {
    if cursor.peek_u8()? == 0xff {
        cursor.skip(1)?;
        return Ok(None);
    }
    let length = cursor.compressed_u32()?;
    Ok(Some(valid_prefix(cursor.take(length as usize)?).into()))
}

/// Codes of native types (II.23.1.17 and `UnmanagedType`).
#[allow(missing_docs)]
pub mod native {
    pub const BOOLEAN: u8 = 0x02;
    pub const I1: u8 = 0x03;
    pub const U1: u8 = 0x04;
    pub const I2: u8 = 0x05;
    pub const U2: u8 = 0x06;
    pub const I4: u8 = 0x07;
    pub const U4: u8 = 0x08;
    pub const I8: u8 = 0x09;
    pub const U8: u8 = 0x0a;
    pub const R4: u8 = 0x0b;
    pub const R8: u8 = 0x0c;
    pub const CURRENCY: u8 = 0x0f;
    pub const BSTR: u8 = 0x13;
    pub const LPSTR: u8 = 0x14;
    pub const LPWSTR: u8 = 0x15;
    pub const LPTSTR: u8 = 0x16;
    pub const FIXED_STRING: u8 = 0x17;
    pub const IUNKNOWN: u8 = 0x19;
    pub const IDISPATCH: u8 = 0x1a;
    pub const STRUCT: u8 = 0x1b;
    pub const INTERFACE: u8 = 0x1c;
    pub const SAFE_ARRAY: u8 = 0x1d;
    pub const FIXED_ARRAY: u8 = 0x1e;
    pub const INT: u8 = 0x1f;
    pub const UINT: u8 = 0x20;
    pub const VB_BY_REF_STRING: u8 = 0x22;
    pub const ANSI_BSTR: u8 = 0x23;
    pub const TBSTR: u8 = 0x24;
    pub const VARIANT_BOOL: u8 = 0x25;
    pub const FUNCTION: u8 = 0x26;
    pub const AS_ANY: u8 = 0x28;
    pub const ARRAY: u8 = 0x2a;
    pub const LP_STRUCT: u8 = 0x2b;
    pub const CUSTOM_MARSHALER: u8 = 0x2c;
    pub const ERROR: u8 = 0x2d;
    pub const LPUTF8STR: u8 = 0x30;
    /// The element type of an array is not given.
    pub const MAX: u8 = 0x50;
}

/// How a field or parameter crosses to native code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarshalDescriptor {
    /// A native type by its code in [`native`].
    Simple(u8),
    /// A pointer to elements.
    Array {
        /// Native type of the elements, if given.
        element: Option<u8>,
        /// Parameter from 0 that holds the number of elements.
        size_param: Option<u32>,
        /// Number of elements, or of those added to the parameter's.
        element_count: Option<u32>,
    },
    /// Characters within the structure.
    FixedString {
        /// Size in characters with the final zero.
        size: u32,
    },
    /// Elements within the structure.
    FixedArray {
        /// Number of elements.
        count: u32,
        /// Native type of the elements, if given.
        element: Option<u8>,
    },
    /// A COM safe array.
    SafeArray {
        /// `VARTYPE` of the elements.
        variant_type: Option<u32>,
        /// Managed type of the elements.
        user_type: Option<Box<str>>,
    },
    /// A COM interface; the code is IUNKNOWN, IDISPATCH or INTERFACE.
    Interface {
        /// The code in [`native`].
        kind: u8,
        /// Parameter that holds the interface's identity.
        identity_param: Option<u32>,
    },
    /// A class written for the purpose.
    Custom {
        /// Name of the marshaler's type.
        marshaler: Box<str>,
        /// Text handed to it.
        cookie: Box<str>,
    },
}

impl MarshalDescriptor {
    /// Decodes a FieldMarshal's blob.
    pub fn parse(blob: &[u8]) -> Result<MarshalDescriptor> {
        let mut cursor = Cursor::new(blob);
        let cursor = &mut cursor;
        Ok(match cursor.u8()? {
            native::ARRAY => {
                let element = element_code(cursor)?;
                let (size_param, element_count) = (optional(cursor)?, optional(cursor)?);
                // Compilers write a parameter's number in any case; a factor of 0 behind it says that it does not count.
                let counts = optional(cursor)? != Some(0);
                MarshalDescriptor::Array { element, size_param: size_param.filter(|_| counts), element_count }
            }
            native::FIXED_STRING => MarshalDescriptor::FixedString { size: cursor.compressed_u32()? },
            native::FIXED_ARRAY => {
                MarshalDescriptor::FixedArray { count: cursor.compressed_u32()?, element: element_code(cursor)? }
            }
            native::SAFE_ARRAY => MarshalDescriptor::SafeArray {
                variant_type: optional(cursor)?,
                user_type: if cursor.is_at_end() { None } else { string(cursor)? },
            },
            kind @ (native::IUNKNOWN | native::IDISPATCH | native::INTERFACE) => {
                MarshalDescriptor::Interface { kind, identity_param: optional(cursor)? }
            }
            native::CUSTOM_MARSHALER => {
                // The first two strings, a type library and a native type, are unused.
                string(cursor)?;
                string(cursor)?;
                let mut text = || string(cursor).map(Option::unwrap_or_default);
                MarshalDescriptor::Custom { marshaler: text()?, cookie: text()? }
            }
            native::MAX.. => return Err(Error::new(ErrorKind::BadImage, "invalid native type").with_offset(0)),
            code => MarshalDescriptor::Simple(code),
        })
    }
}

fn optional(cursor: &mut Cursor<'_>) -> Result<Option<u32>> {
    if cursor.is_at_end() { Ok(None) } else { cursor.compressed_u32().map(Some) }
}

fn element_code(cursor: &mut Cursor<'_>) -> Result<Option<u8>> {
    let code = optional(cursor)?;
    Ok(code.and_then(|code| u8::try_from(code).ok()).filter(|code| *code != native::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every enum is an `int`.
    struct IntEnums;

    impl EnumTypes for IntEnums {
        fn underlying_type_of(&self, _: Token) -> Result<u8> {
            Ok(element::I4)
        }
        fn underlying_type_by_name(&self, _: &str) -> Result<u8> {
            Ok(element::I4)
        }
    }

    #[test]
    fn fixed_and_named_arguments() {
        // .ctor(string, object, int[]) with the property E set to an enum's value.
        let constructor = MethodSig::parse(&[0x20, 3, 0x01, 0x0e, 0x1c, 0x1d, 0x08]).unwrap();
        let mut blob = vec![1, 0, 1, b'a'];
        blob.extend([element::U1, 7, 0xff, 0xff, 0xff, 0xff, 1, 0]);
        blob.extend([element::PROPERTY, element::ENUM, 1, b'X', 1, b'E', 5, 0, 0, 0]);
        let arguments = AttributeArguments::parse(&blob, &constructor, &IntEnums).unwrap();
        assert_eq!(
            *arguments.fixed,
            [
                ArgumentValue::String(Some("a".into())),
                ArgumentValue::Boxed(Box::new((ArgumentType::Primitive(element::U1), ArgumentValue::U1(7)))),
                ArgumentValue::Array(None),
            ]
        );
        assert_eq!((&*arguments.named[0].name, &arguments.named[0].value), ("E", &ArgumentValue::I4(5)));
        for length in 1..blob.len() - 12 {
            assert!(AttributeArguments::parse(&blob[..length], &constructor, &IntEnums).is_err());
        }
    }

    #[test]
    fn marshalling_descriptors() {
        assert_eq!(MarshalDescriptor::parse(&[0x14]).unwrap(), MarshalDescriptor::Simple(native::LPSTR));
        assert_eq!(
            MarshalDescriptor::parse(&[0x2a, 0x50, 2]).unwrap(),
            MarshalDescriptor::Array { element: None, size_param: Some(2), element_count: None }
        );
        assert_eq!(MarshalDescriptor::parse(&[0x17, 0x80, 0x80]).unwrap(), MarshalDescriptor::FixedString { size: 128 });
        assert!(MarshalDescriptor::parse(&[]).is_err());
    }
}
