//! Signature blobs as owned trees (ECMA-335 II.23.2).
//!
//! Parsing checks form only: whether a token names a row that exists is for whoever follows it.

use crate::cursor::Cursor;
use crate::error::Result;
use crate::tables::{TableId, Token};

/// Element type bytes (II.23.1.16).
#[allow(missing_docs)] // The names are those of the standard.
pub mod element {
    pub const END: u8 = 0x00;
    pub const VOID: u8 = 0x01;
    pub const BOOLEAN: u8 = 0x02;
    pub const CHAR: u8 = 0x03;
    pub const I1: u8 = 0x04;
    pub const U1: u8 = 0x05;
    pub const I2: u8 = 0x06;
    pub const U2: u8 = 0x07;
    pub const I4: u8 = 0x08;
    pub const U4: u8 = 0x09;
    pub const I8: u8 = 0x0a;
    pub const U8: u8 = 0x0b;
    pub const R4: u8 = 0x0c;
    pub const R8: u8 = 0x0d;
    pub const STRING: u8 = 0x0e;
    pub const PTR: u8 = 0x0f;
    pub const BYREF: u8 = 0x10;
    pub const VALUETYPE: u8 = 0x11;
    pub const CLASS: u8 = 0x12;
    pub const VAR: u8 = 0x13;
    pub const ARRAY: u8 = 0x14;
    pub const GENERICINST: u8 = 0x15;
    pub const TYPEDBYREF: u8 = 0x16;
    pub const I: u8 = 0x18;
    pub const U: u8 = 0x19;
    pub const FNPTR: u8 = 0x1b;
    pub const OBJECT: u8 = 0x1c;
    pub const SZARRAY: u8 = 0x1d;
    pub const MVAR: u8 = 0x1e;
    pub const CMOD_REQD: u8 = 0x1f;
    pub const CMOD_OPT: u8 = 0x20;
    pub const SENTINEL: u8 = 0x41;
    pub const PINNED: u8 = 0x45;
    /// In custom attributes: a `System.Type`.
    pub const SYSTEM_TYPE: u8 = 0x50;
    /// In custom attributes: a boxed value with its type.
    pub const BOXED: u8 = 0x51;
    /// In custom attributes: a field.
    pub const FIELD: u8 = 0x53;
    /// In custom attributes: a property.
    pub const PROPERTY: u8 = 0x54;
    /// In custom attributes: an enum.
    pub const ENUM: u8 = 0x55;
}

/// Deepest nesting of a type that is accepted; the recursion of parsing is bounded by it.
const DEPTH_LIMIT: u32 = 100;

/// A type as a signature spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TypeSig {
    /// No value; only as a return type or behind a pointer.
    Void,
    /// `bool`.
    Boolean,
    /// A UTF-16 code unit.
    Char,
    /// `sbyte`.
    I1,
    /// `byte`.
    U1,
    /// `short`.
    I2,
    /// `ushort`.
    U2,
    /// `int`.
    I4,
    /// `uint`.
    U4,
    /// `long`.
    I8,
    /// `ulong`.
    U8,
    /// `float`.
    R4,
    /// `double`.
    R8,
    /// `System.IntPtr`.
    I,
    /// `System.UIntPtr`.
    U,
    /// `System.String`.
    String,
    /// `System.Object`.
    Object,
    /// `System.TypedReference`.
    TypedByRef,
    /// A reference type by TypeDef, TypeRef or TypeSpec.
    Class(Token),
    /// A value type by TypeDef, TypeRef or TypeSpec.
    ValueType(Token),
    /// An unmanaged pointer.
    Ptr(Box<TypeSig>),
    /// A managed pointer.
    ByRef(Box<TypeSig>),
    /// A vector: one dimension, lower bound 0.
    SzArray(Box<TypeSig>),
    /// An array with a shape.
    Array(Box<TypeSig>, ArrayShape),
    /// An instance of a generic type.
    GenericInst {
        /// TypeDef or TypeRef of the definition.
        definition: Token,
        /// The signature says value type.
        is_value_type: bool,
        /// The type arguments.
        arguments: Box<[TypeSig]>,
    },
    /// A generic parameter of the type.
    Var(u32),
    /// A generic parameter of the method.
    MVar(u32),
    /// A function pointer.
    FnPtr(Box<MethodSig>),
    /// A type with one custom modifier; more modifiers nest, the outermost came first.
    Modified {
        /// `modreq`, not `modopt`.
        required: bool,
        /// TypeDef, TypeRef or TypeSpec.
        modifier: Token,
        /// The type that is modified.
        inner: Box<TypeSig>,
    },
    /// A pinned local variable.
    Pinned(Box<TypeSig>),
}

/// Rank and bounds of an array (II.23.2.13).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrayShape {
    /// Number of dimensions, at least 1.
    pub rank: u32,
    /// Sizes of the first dimensions.
    pub sizes: Box<[u32]>,
    /// Lower bounds of the first dimensions.
    pub lower_bounds: Box<[i32]>,
}

/// How a method is called (II.23.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallConvention {
    /// Managed.
    Default,
    /// Native, C.
    C,
    /// Native, stdcall.
    StdCall,
    /// Native, thiscall.
    ThisCall,
    /// Native, fastcall.
    FastCall,
    /// Managed with a variable argument list.
    VarArg,
    /// Native in the platform's own convention, possibly with modifiers.
    Unmanaged,
    /// Native with a variable argument list.
    NativeVarArg,
}

/// A method's signature (II.23.2.1 to 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MethodSig {
    /// There is a `this` argument.
    pub has_this: bool,
    /// `this` is the first of `params`.
    pub explicit_this: bool,
    /// How it is called.
    pub convention: CallConvention,
    /// Number of generic parameters, 0 when not generic.
    pub generic_param_count: u32,
    /// Types of the parameters.
    pub params: Box<[TypeSig]>,
    /// Type of the result.
    pub ret: TypeSig,
    /// At a vararg call: the number of fixed parameters, those from here on being variable.
    pub sentinel: Option<u32>,
}

/// A property's signature (II.23.2.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PropertySig {
    /// The property is of an instance.
    pub has_this: bool,
    /// Its type.
    pub ty: TypeSig,
    /// Types of the index parameters.
    pub params: Box<[TypeSig]>,
}

/// What a MemberRef's signature is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MemberSig {
    /// Of a field.
    Field(TypeSig),
    /// Of a method.
    Method(MethodSig),
}

/// What a StandAloneSig is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StandAloneSig {
    /// Types of local variables.
    Locals(Box<[TypeSig]>),
    /// Target of a `calli`.
    Method(MethodSig),
    /// A field's type (some compilers emit them for debuggers).
    Field(TypeSig),
}

/// Kinds of signatures in the low bits of the first byte.
const KIND_MASK: u8 = 0x0f;
const KIND_FIELD: u8 = 0x06;
const KIND_LOCALS: u8 = 0x07;
const KIND_PROPERTY: u8 = 0x08;
const KIND_METHOD_SPEC: u8 = 0x0a;
const FLAG_GENERIC: u8 = 0x10;
const FLAG_HAS_THIS: u8 = 0x20;
const FLAG_EXPLICIT_THIS: u8 = 0x40;

impl TypeSig {
    /// Parses a TypeSpec's blob (II.23.2.14).
    pub fn parse(blob: &[u8]) -> Result<TypeSig> {
        type_sig(&mut Cursor::new(blob), 0)
    }

    /// Parses a Field's blob (II.23.2.4).
    pub fn parse_field(blob: &[u8]) -> Result<TypeSig> {
        let mut cursor = Cursor::new(blob);
        if cursor.u8()? & KIND_MASK != KIND_FIELD {
            return Err(cursor.error("not a field signature"));
        }
        type_sig(&mut cursor, 0)
    }

    /// Parses the blob of a StandAloneSig with local variables (II.23.2.6).
    pub fn parse_locals(blob: &[u8]) -> Result<Box<[TypeSig]>> {
        let mut cursor = Cursor::new(blob);
        if cursor.u8()? != KIND_LOCALS {
            return Err(cursor.error("not a signature of local variables"));
        }
        let count = cursor.compressed_u32()?;
        type_list(&mut cursor, count, 0)
    }

    /// Parses a MethodSpec's blob: the type arguments (II.23.2.15).
    pub fn parse_method_spec(blob: &[u8]) -> Result<Box<[TypeSig]>> {
        let mut cursor = Cursor::new(blob);
        if cursor.u8()? != KIND_METHOD_SPEC {
            return Err(cursor.error("not a signature of a generic method's instance"));
        }
        let count = cursor.compressed_u32()?;
        type_list(&mut cursor, count, 0)
    }

    /// The type without modifiers and pinning around it.
    pub fn unmodified(&self) -> &TypeSig {
        let mut ty = self;
        while let TypeSig::Modified { inner, .. } | TypeSig::Pinned(inner) = ty {
            ty = inner;
        }
        ty
    }

    /// Whether a generic parameter of a type or method occurs anywhere.
    pub fn has_generic_params(&self) -> bool {
        match self {
            TypeSig::Var(_) | TypeSig::MVar(_) => true,
            TypeSig::Ptr(inner)
            | TypeSig::ByRef(inner)
            | TypeSig::SzArray(inner)
            | TypeSig::Array(inner, _)
            | TypeSig::Pinned(inner)
            | TypeSig::Modified { inner, .. } => inner.has_generic_params(),
            TypeSig::GenericInst { arguments, .. } => arguments.iter().any(TypeSig::has_generic_params),
            TypeSig::FnPtr(method) => method.ret.has_generic_params() || method.params.iter().any(TypeSig::has_generic_params),
            _ => false,
        }
    }
}

impl MethodSig {
    /// Parses the signature of a MethodDef, MemberRef or `calli` (II.23.2.1 to 3).
    pub fn parse(blob: &[u8]) -> Result<MethodSig> {
        method_sig(&mut Cursor::new(blob), 0)
    }
}

impl PropertySig {
    /// Parses a Property's blob.
    pub fn parse(blob: &[u8]) -> Result<PropertySig> {
        let mut cursor = Cursor::new(blob);
        let first = cursor.u8()?;
        if first & KIND_MASK != KIND_PROPERTY {
            return Err(cursor.error("not a property signature"));
        }
        let count = cursor.compressed_u32()?;
        let ty = type_sig(&mut cursor, 0)?;
        Ok(PropertySig { has_this: first & FLAG_HAS_THIS != 0, ty, params: type_list(&mut cursor, count, 0)? })
    }
}

impl MemberSig {
    /// Parses a MemberRef's blob.
    pub fn parse(blob: &[u8]) -> Result<MemberSig> {
        if blob.first().is_some_and(|first| first & KIND_MASK == KIND_FIELD) {
            TypeSig::parse_field(blob).map(MemberSig::Field)
        } else {
            MethodSig::parse(blob).map(MemberSig::Method)
        }
    }
}

impl StandAloneSig {
    /// Parses a StandAloneSig's blob.
    pub fn parse(blob: &[u8]) -> Result<StandAloneSig> {
        match blob.first().map(|first| first & KIND_MASK) {
            Some(KIND_LOCALS) => TypeSig::parse_locals(blob).map(StandAloneSig::Locals),
            Some(KIND_FIELD) => TypeSig::parse_field(blob).map(StandAloneSig::Field),
            _ => MethodSig::parse(blob).map(StandAloneSig::Method),
        }
    }
}

fn convention(kind: u8) -> Option<CallConvention> {
    Some(match kind {
        0x0 => CallConvention::Default,
        0x1 => CallConvention::C,
        0x2 => CallConvention::StdCall,
        0x3 => CallConvention::ThisCall,
        0x4 => CallConvention::FastCall,
        0x5 => CallConvention::VarArg,
        0x9 => CallConvention::Unmanaged,
        0xb => CallConvention::NativeVarArg,
        _ => return None,
    })
}

fn method_sig(cursor: &mut Cursor<'_>, depth: u32) -> Result<MethodSig> {
    let first = cursor.u8()?;
    let Some(convention) = convention(first & KIND_MASK) else {
        return Err(cursor.error("not a method signature"));
    };
    let generic_param_count = if first & FLAG_GENERIC != 0 { cursor.compressed_u32()? } else { 0 };
    let count = cursor.compressed_u32()?;
    let ret = type_sig(cursor, depth)?;
    let mut params = Vec::with_capacity(bounded_count(cursor, count)?);
    let mut sentinel = None;
    for index in 0..count {
        if cursor.peek_u8()? == element::SENTINEL {
            cursor.skip(1)?;
            if sentinel.replace(index).is_some() {
                return Err(cursor.error("two sentinels in a signature"));
            }
        }
        params.push(type_sig(cursor, depth)?);
    }
    Ok(MethodSig {
        has_this: first & FLAG_HAS_THIS != 0,
        explicit_this: first & FLAG_EXPLICIT_THIS != 0,
        convention,
        generic_param_count,
        params: params.into_boxed_slice(),
        ret,
        sentinel,
    })
}

/// A count of elements that each take at least one byte, refused if there are fewer bytes than that.
fn bounded_count(cursor: &Cursor<'_>, count: u32) -> Result<usize> {
    let count = count as usize;
    if count > cursor.remaining() { Err(cursor.error("count exceeds the signature")) } else { Ok(count) }
}

fn type_list(cursor: &mut Cursor<'_>, count: u32, depth: u32) -> Result<Box<[TypeSig]>> {
    let mut types = Vec::with_capacity(bounded_count(cursor, count)?);
    for _ in 0..count {
        types.push(type_sig(cursor, depth)?);
    }
    Ok(types.into_boxed_slice())
}

/// Reads a compressed TypeDefOrRefOrSpec token (II.23.2.8).
pub(crate) fn type_token(cursor: &mut Cursor<'_>) -> Result<Token> {
    let coded = cursor.compressed_u32()?;
    let table = match coded & 3 {
        0 => TableId::TypeDef,
        1 => TableId::TypeRef,
        2 => TableId::TypeSpec,
        _ => return Err(cursor.error("invalid type token in a signature")),
    };
    Ok(Token::new(table, coded >> 2))
}

pub(crate) fn type_sig(cursor: &mut Cursor<'_>, depth: u32) -> Result<TypeSig> {
    if depth > DEPTH_LIMIT {
        return Err(cursor.error("signature is nested too deeply"));
    }
    let depth = depth + 1;
    let boxed = |cursor: &mut Cursor<'_>| type_sig(cursor, depth).map(Box::new);
    Ok(match cursor.u8()? {
        element::VOID => TypeSig::Void,
        element::BOOLEAN => TypeSig::Boolean,
        element::CHAR => TypeSig::Char,
        element::I1 => TypeSig::I1,
        element::U1 => TypeSig::U1,
        element::I2 => TypeSig::I2,
        element::U2 => TypeSig::U2,
        element::I4 => TypeSig::I4,
        element::U4 => TypeSig::U4,
        element::I8 => TypeSig::I8,
        element::U8 => TypeSig::U8,
        element::R4 => TypeSig::R4,
        element::R8 => TypeSig::R8,
        element::I => TypeSig::I,
        element::U => TypeSig::U,
        element::STRING => TypeSig::String,
        element::OBJECT => TypeSig::Object,
        element::TYPEDBYREF => TypeSig::TypedByRef,
        element::CLASS => TypeSig::Class(type_token(cursor)?),
        element::VALUETYPE => TypeSig::ValueType(type_token(cursor)?),
        element::PTR => TypeSig::Ptr(boxed(cursor)?),
        element::BYREF => TypeSig::ByRef(boxed(cursor)?),
        element::SZARRAY => TypeSig::SzArray(boxed(cursor)?),
        element::PINNED => TypeSig::Pinned(boxed(cursor)?),
        element::VAR => TypeSig::Var(cursor.compressed_u32()?),
        element::MVAR => TypeSig::MVar(cursor.compressed_u32()?),
        element::FNPTR => TypeSig::FnPtr(Box::new(method_sig(cursor, depth)?)),
        element::ARRAY => TypeSig::Array(boxed(cursor)?, array_shape(cursor)?),
        element::GENERICINST => generic_instance(cursor, depth)?,
        code @ (element::CMOD_REQD | element::CMOD_OPT) => {
            TypeSig::Modified { required: code == element::CMOD_REQD, modifier: type_token(cursor)?, inner: boxed(cursor)? }
        }
        code => return Err(cursor.error(format!("invalid element type {code:#04x}"))),
    })
}

fn generic_instance(cursor: &mut Cursor<'_>, depth: u32) -> Result<TypeSig> {
    let is_value_type = match cursor.u8()? {
        element::CLASS => false,
        element::VALUETYPE => true,
        _ => return Err(cursor.error("instance of what is no generic type")),
    };
    let definition = type_token(cursor)?;
    let count = cursor.compressed_u32()?;
    if count == 0 {
        return Err(cursor.error("generic instance without arguments"));
    }
    Ok(TypeSig::GenericInst { definition, is_value_type, arguments: type_list(cursor, count, depth)? })
}

fn array_shape(cursor: &mut Cursor<'_>) -> Result<ArrayShape> {
    let rank = cursor.compressed_u32()?;
    if rank == 0 {
        return Err(cursor.error("array of rank 0"));
    }
    let size_count = cursor.compressed_u32()?;
    let mut sizes = Vec::with_capacity(bounded_count(cursor, size_count)?);
    for _ in 0..size_count {
        sizes.push(cursor.compressed_u32()?);
    }
    let bound_count = cursor.compressed_u32()?;
    let mut lower_bounds = Vec::with_capacity(bounded_count(cursor, bound_count)?);
    for _ in 0..bound_count {
        lower_bounds.push(cursor.compressed_i32()?);
    }
    if size_count > rank || bound_count > rank {
        return Err(cursor.error("more array bounds than dimensions"));
    }
    Ok(ArrayShape { rank, sizes: sizes.into(), lower_bounds: lower_bounds.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_method_with_nested_types() {
        // instance List<!0>[] modopt(TypeRef 1) M<T>(ref !!0, int32[0...,0...])
        let blob = [0x30, 1, 2, 0x20, 0x05, 0x1d, 0x15, 0x12, 0x09, 1, 0x13, 0, 0x10, 0x1e, 0, 0x14, 0x08, 2, 0, 2, 0, 0];
        let sig = MethodSig::parse(&blob).unwrap();
        assert!(sig.has_this && !sig.explicit_this);
        assert_eq!(sig.generic_param_count, 1);
        let TypeSig::Modified { required: false, modifier, inner } = &sig.ret else { panic!("{:?}", sig.ret) };
        assert_eq!(*modifier, Token::new(TableId::TypeRef, 1));
        assert!(
            matches!(&**inner, TypeSig::SzArray(list) if matches!(&**list, TypeSig::GenericInst { arguments, .. } if **arguments == [TypeSig::Var(0)]))
        );
        assert_eq!(sig.params[0], TypeSig::ByRef(Box::new(TypeSig::MVar(0))));
        assert!(matches!(&sig.params[1], TypeSig::Array(_, shape) if shape.rank == 2 && *shape.lower_bounds == [0, 0]));
    }

    #[test]
    fn sentinel_splits_variable_arguments() {
        let sig = MethodSig::parse(&[0x05, 2, 0x01, 0x0e, 0x41, 0x08]).unwrap();
        assert_eq!((sig.convention, sig.sentinel, sig.params.len()), (CallConvention::VarArg, Some(1), 2));
    }

    #[test]
    fn deep_and_long_garbage_is_refused() {
        assert!(TypeSig::parse(&[element::PTR; 10_000]).is_err());
        assert!(TypeSig::parse(&[element::FNPTR, 0, 1].repeat(5_000)).is_err());
        assert!(TypeSig::parse_locals(&[7, 0xdf, 0xff, 0xff, 0xff]).is_err());
        assert!(MethodSig::parse(&[]).is_err());
    }
}
