//! Bytes of signatures (ECMA-335 II.23.2), from types of the type system.

use crate::signature::{CallConvention, element};
use crate::tables::{TableId, Token};
use crate::types::{MethodSignature, Primitive, TypeId, TypeKind, TypeSystem};

/// Gives the tokens of the classes that occur in signatures.
pub trait TypeTokens {
    /// TypeDef or TypeRef of a class or generic definition.
    fn class_token(&mut self, class: TypeId) -> Token;
    /// Whether it is a value type.
    fn is_value_type(&self, class: TypeId) -> bool;
}

/// Appends a compressed number, less than 2^29 (II.23.2).
pub fn push_compressed(bytes: &mut Vec<u8>, value: u32) {
    match value {
        0..=0x7f => bytes.push(value as u8),
        0x80..=0x3fff => bytes.extend((value as u16 | 0x8000).to_be_bytes()),
        _ => bytes.extend((value | 0xc000_0000).to_be_bytes()),
    }
}

/// Appends a class's token in its compressed form.
pub fn push_type_token(bytes: &mut Vec<u8>, token: Token) {
    let tag = match token.table() {
        Some(TableId::TypeDef) => 0,
        Some(TableId::TypeRef) => 1,
        _ => 2,
    };
    push_compressed(bytes, token.row() << 2 | tag);
}

/// Appends a type.
pub fn push_type(bytes: &mut Vec<u8>, types: &TypeSystem, tokens: &mut dyn TypeTokens, ty: TypeId) {
    let class_kind =
        |tokens: &mut dyn TypeTokens, class| if tokens.is_value_type(class) { element::VALUETYPE } else { element::CLASS };
    match types.kind(ty) {
        TypeKind::Primitive(primitive) => bytes.push(primitive_element(*primitive)),
        TypeKind::TypedReference => bytes.push(element::TYPEDBYREF),
        TypeKind::Canon => bytes.push(element::OBJECT),
        TypeKind::Class { .. } => match ty {
            TypeId::OBJECT => bytes.push(element::OBJECT),
            TypeId::STRING => bytes.push(element::STRING),
            _ => {
                bytes.push(class_kind(tokens, ty));
                push_type_token(bytes, tokens.class_token(ty));
            }
        },
        TypeKind::Instance { definition, args } => {
            bytes.push(element::GENERICINST);
            bytes.push(class_kind(tokens, *definition));
            push_type_token(bytes, tokens.class_token(*definition));
            push_compressed(bytes, args.len() as u32);
            args.iter().for_each(|&arg| push_type(bytes, types, tokens, arg));
        }
        TypeKind::SzArray(inner) => {
            bytes.push(element::SZARRAY);
            push_type(bytes, types, tokens, *inner);
        }
        TypeKind::Array { element: inner, rank } => {
            bytes.push(element::ARRAY);
            push_type(bytes, types, tokens, *inner);
            // No sizes, and lower bounds of 0 for all dimensions, as compilers write it.
            push_compressed(bytes, *rank);
            bytes.push(0);
            push_compressed(bytes, *rank);
            bytes.resize(bytes.len() + *rank as usize, 0);
        }
        TypeKind::Pointer(inner) => {
            bytes.push(element::PTR);
            push_type(bytes, types, tokens, *inner);
        }
        TypeKind::ByRef(inner) => {
            bytes.push(element::BYREF);
            push_type(bytes, types, tokens, *inner);
        }
        TypeKind::FunctionPointer(signature) => {
            bytes.push(element::FNPTR);
            push_method(bytes, types, tokens, signature);
        }
        TypeKind::Var(number) => {
            bytes.push(element::VAR);
            push_compressed(bytes, *number);
        }
        TypeKind::MVar(number) => {
            bytes.push(element::MVAR);
            push_compressed(bytes, *number);
        }
    }
}

/// Appends the part of a method's signature before the types: convention and counts.
pub fn push_method_head(bytes: &mut Vec<u8>, signature: &MethodSignature) {
    const GENERIC: u8 = 0x10;
    const HAS_THIS: u8 = 0x20;
    const EXPLICIT_THIS: u8 = 0x40;
    let convention = match signature.convention {
        CallConvention::Default => 0,
        CallConvention::C => 1,
        CallConvention::StdCall => 2,
        CallConvention::ThisCall => 3,
        CallConvention::FastCall => 4,
        CallConvention::VarArg => 5,
        CallConvention::Unmanaged => 9,
        CallConvention::NativeVarArg => 11,
    };
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let is_generic = signature.generic_param_count != 0;
    let flags = flag(is_generic, GENERIC) | flag(signature.has_this, HAS_THIS) | flag(signature.explicit_this, EXPLICIT_THIS);
    bytes.push(convention | flags);
    if is_generic {
        push_compressed(bytes, signature.generic_param_count);
    }
    push_compressed(bytes, signature.params.len() as u32);
}

/// Appends a method's signature.
pub fn push_method(bytes: &mut Vec<u8>, types: &TypeSystem, tokens: &mut dyn TypeTokens, signature: &MethodSignature) {
    push_method_head(bytes, signature);
    push_type(bytes, types, tokens, signature.ret);
    for (index, &param) in signature.params.iter().enumerate() {
        if signature.fixed_params == Some(index as u32) {
            bytes.push(element::SENTINEL);
        }
        push_type(bytes, types, tokens, param);
    }
}

/// Appends the instantiation of a generic method (II.23.2.15).
pub fn push_method_instance(bytes: &mut Vec<u8>, types: &TypeSystem, tokens: &mut dyn TypeTokens, args: &[TypeId]) {
    const GENERIC_INSTANCE: u8 = 0x0a;
    bytes.push(GENERIC_INSTANCE);
    push_compressed(bytes, args.len() as u32);
    args.iter().for_each(|&arg| push_type(bytes, types, tokens, arg));
}

/// The element type byte of a primitive type (II.23.1.16).
pub fn primitive_element(primitive: Primitive) -> u8 {
    match primitive {
        Primitive::Void => element::VOID,
        Primitive::Boolean => element::BOOLEAN,
        Primitive::Char => element::CHAR,
        Primitive::I1 => element::I1,
        Primitive::U1 => element::U1,
        Primitive::I2 => element::I2,
        Primitive::U2 => element::U2,
        Primitive::I4 => element::I4,
        Primitive::U4 => element::U4,
        Primitive::I8 => element::I8,
        Primitive::U8 => element::U8,
        Primitive::R4 => element::R4,
        Primitive::R8 => element::R8,
        Primitive::I => element::I,
        Primitive::U => element::U,
    }
}
