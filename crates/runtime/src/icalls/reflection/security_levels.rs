//! What reflection says of code's security level: what the attributes of the core library's members say. All other code is transparent.

use super::objects::{field_of, method_of, type_of};
use crate::exceptions::Result;
use crate::icalls::{InternalCall, icall, raising};
use crate::object::ObjectRef;
use crate::runtime;
use il::types::{AssemblyId, TypeId};
use il::{TableId, Token};

/// A level as `get_core_clr_security_level` gives it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Transparent = 0,
    SafeCritical = 1,
    Critical = 2,
}

/// What the attributes on one member or type say.
fn own_level(assembly: AssemblyId, token: Token) -> Level {
    let types = &runtime().types;
    let has = |name| types.has_custom_attribute(assembly, token, "System.Security", name);
    if assembly != types.corlib() {
        Level::Transparent
    } else if has("SecurityCriticalAttribute") {
        Level::Critical
    } else if has("SecuritySafeCriticalAttribute") {
        Level::SafeCritical
    } else {
        Level::Transparent
    }
}

/// The level of a type: its own, or that of the one around it.
fn class_level(ty: TypeId) -> Level {
    let types = &runtime().types;
    let mut class = Some(ty);
    while let Some(current) = class {
        let Some((assembly, row)) = types.definition_of(current) else { break };
        let level = own_level(assembly, Token::new(TableId::TypeDef, row));
        if level != Level::Transparent {
            return level;
        }
        class = types.declaring_type(current);
    }
    Level::Transparent
}

/// The level of a member: its own, or that of its type.
fn member_level(assembly: AssemblyId, token: Option<Token>, owner: TypeId) -> Level {
    match token.map_or(Level::Transparent, |token| own_level(assembly, token)) {
        Level::Transparent => class_level(owner),
        own => own,
    }
}

fn level(of: impl FnOnce() -> Result<Level>) -> i32 {
    raising(|| of().map(|level| level as i32))
}

extern "C" fn of_type(this: ObjectRef) -> i32 {
    level(|| Ok(class_level(type_of(this)?)))
}

extern "C" fn of_method(this: ObjectRef) -> i32 {
    level(|| {
        let method = runtime().types.method(method_of(this)?);
        let token = method.row().map(|row| Token::new(TableId::MethodDef, row));
        Ok(member_level(method.assembly, token, method.owner))
    })
}

extern "C" fn of_field(this: ObjectRef) -> i32 {
    level(|| {
        let field = runtime().types.field(field_of(this)?);
        Ok(member_level(field.assembly, Some(Token::new(TableId::Field, field.row)), field.owner))
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.RuntimeType:get_core_clr_security_level", of_type as *const ()),
    icall("System.Reflection.RuntimeConstructorInfo:get_core_clr_security_level", of_method as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:get_core_clr_security_level", of_field as *const ()),
    icall("System.Reflection.RuntimeMethodInfo:get_core_clr_security_level", of_method as *const ()),
];
