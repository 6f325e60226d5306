//! Relations between types as reflection sees them: generic definitions and parameters have bases and interfaces, too.

use super::parameters::{OpenContext, parameter_of};
use crate::exceptions::Result;
use crate::{casts, runtime};
use il::types::{TypeId, TypeKind};

/// Longest chain of constraints that lead from parameter to parameter.
const CONSTRAINT_LIMIT: u32 = 32;

/// What a pointer, by-ref or function pointer lacks: members, a base, interfaces.
pub(super) fn is_bare(ty: TypeId) -> bool {
    matches!(runtime().types.kind(ty), TypeKind::Pointer(_) | TypeKind::ByRef(_) | TypeKind::FunctionPointer(_))
}

/// The base class.
pub(super) fn base_type(ty: TypeId) -> Result<Option<TypeId>> {
    let types = &runtime().types;
    if is_bare(ty) {
        return Ok(None);
    }
    if let Some(parameter) = parameter_of(ty) {
        let bound = parameter
            .constraints()?
            .into_iter()
            .find(|&bound| parameter_of(bound).is_none() && types.header(bound).is_ok_and(|header| !header.is_interface()));
        return Ok(Some(bound.unwrap_or(TypeId::OBJECT)));
    }
    Ok(types.header(ty)?.parent.map(|parent| OpenContext::of_type(ty).reveal(parent)))
}

/// All interfaces.
pub(super) fn interfaces(ty: TypeId) -> Result<Vec<TypeId>> {
    if is_bare(ty) {
        return Ok(Vec::new());
    }
    if let Some(parameter) = parameter_of(ty) {
        let mut found = Vec::new();
        for bound in parameter.constraints()? {
            if runtime().types.header(bound).is_ok_and(|header| header.is_interface()) {
                found.push(bound);
            }
            for inherited in if parameter_of(bound).is_some() { Vec::new() } else { interfaces(bound)? } {
                if !found.contains(&inherited) {
                    found.push(inherited);
                }
            }
        }
        return Ok(found);
    }
    let context = OpenContext::of_type(ty);
    Ok(runtime().types.interfaces(ty)?.iter().map(|&interface| context.reveal(interface)).collect())
}

/// Whether a value of type `from` may be assigned to a location of type `to`, as `Type.IsAssignableFrom` sees it.
pub(super) fn is_assignable(from: TypeId, to: TypeId) -> Result<bool> {
    is_assignable_within(from, to, 0)
}

fn is_assignable_within(from: TypeId, to: TypeId, level: u32) -> Result<bool> {
    let types = &runtime().types;
    if from == to {
        return Ok(true);
    }
    match (types.kind(from), types.kind(to)) {
        (TypeKind::ByRef(from), TypeKind::ByRef(to)) => return Ok(from == to),
        (TypeKind::ByRef(_), _) | (_, TypeKind::ByRef(_)) => return Ok(false),
        (TypeKind::Pointer(_) | TypeKind::FunctionPointer(_), _) => return Ok(to == TypeId::U || to == TypeId::I),
        (_, TypeKind::Pointer(_) | TypeKind::FunctionPointer(_)) => return Ok(false),
        _ => {}
    }
    if let Some(parameter) = parameter_of(from) {
        if to == TypeId::OBJECT || level > CONSTRAINT_LIMIT {
            return Ok(to == TypeId::OBJECT);
        }
        for bound in parameter.constraints()? {
            if is_assignable_within(bound, to, level + 1)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    if parameter_of(to).is_some() {
        return Ok(false);
    }
    if super::parameters::is_definition(from) {
        let mut current = base_type(from)?;
        while let Some(base) = current {
            if base == to {
                return Ok(true);
            }
            current = base_type(base)?;
        }
        return Ok(to == TypeId::OBJECT || interfaces(from)?.contains(&to));
    }
    Ok(casts::is_assignable(from, to))
}

/// Whether `base` is among the base classes of `ty`, itself not counted.
pub(super) fn is_subclass(ty: TypeId, base: TypeId) -> Result<bool> {
    if ty == base {
        return Ok(false);
    }
    let mut current = base_type(ty)?;
    while let Some(ancestor) = current {
        if ancestor == base {
            return Ok(true);
        }
        current = base_type(ancestor)?;
    }
    Ok(base == TypeId::OBJECT)
}
