//! Relations between types as reflection sees them: generic definitions and parameters have bases and interfaces, too.

use super::parameters::{OpenContext, Parameter, is_definition, is_open, parameter_of};
use crate::exceptions::Result;
use crate::{casts, runtime};
use il::types::{TypeId, TypeKind};

/// Deepest nesting of arrays, and longest chain of constraints that lead from parameter to parameter.
const LEVEL_LIMIT: u32 = 32;

/// `GenericParameterAttributes`: special constraints.
pub(super) mod constraint {
    pub(in super::super) const REFERENCE: u16 = 4;
    pub(in super::super) const VALUE: u16 = 8;
    pub(in super::super) const CONSTRUCTOR: u16 = 0x10;
}

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
    let types = &runtime().types;
    match (types.kind(from), types.kind(to)) {
        (TypeKind::ByRef(from), TypeKind::ByRef(to)) => is_target_assignable(*from, *to),
        (TypeKind::ByRef(_), _) | (_, TypeKind::ByRef(_)) => Ok(false),
        _ => is_assignable_within(from, to, 0),
    }
}

/// Whether a reference to a `from` is one to a `to`. Mono asks for numbers of one size, for the same structure, or for any references.
fn is_target_assignable(from: TypeId, to: TypeId) -> Result<bool> {
    let types = &runtime().types;
    let underlying = |ty| if is_bare(ty) { Ok(ty) } else { types.enum_underlying(ty) };
    let (from, to) = (underlying(from)?, underlying(to)?);
    let is_number = |ty| ty != TypeId::VOID && types.primitive_of(ty).is_some();
    if is_number(to) {
        let size = |ty| types.storage(ty).map(|storage| storage.size(types.layout()));
        return Ok(is_number(from) && size(from)? == size(to)?);
    }
    if let Some(target) = parameter_of(to) {
        return Ok(parameter_of(from).is_some_and(|source| {
            source.columns.number == target.columns.number
                && source.declaring_method().is_some() == target.declaring_method().is_some()
        }));
    }
    if matches!(types.kind(to), TypeKind::Pointer(_) | TypeKind::FunctionPointer(_)) {
        return Ok(std::mem::discriminant(types.kind(from)) == std::mem::discriminant(types.kind(to)));
    }
    if parameter_of(from).is_some() {
        return Ok(false);
    }
    Ok(if types.is_value_type(to) { from == to } else { !types.is_value_type(from) })
}

fn is_assignable_within(from: TypeId, to: TypeId, level: u32) -> Result<bool> {
    let types = &runtime().types;
    if from == to {
        return Ok(true);
    }
    if is_bare(from) || is_bare(to) || level > LEVEL_LIMIT {
        return Ok(false);
    }
    match (parameter_of(from), parameter_of(to)) {
        (Some(source), Some(target)) => return is_parameter_assignable(&source, &target, to, level),
        (None, Some(_)) => return Ok(false),
        (Some(source), None) => {
            for bound in source.constraints()? {
                if is_assignable_within(bound, to, level + 1)? {
                    return Ok(true);
                }
            }
            return is_subclass(from, to);
        }
        (None, None) => {}
    }
    if !is_open(from) && !is_open(to) {
        return Ok(casts::is_assignable(from, to));
    }
    match (types.kind(from), types.kind(to)) {
        (TypeKind::SzArray(source), TypeKind::SzArray(target)) => return is_element_assignable(*source, *target, level),
        (TypeKind::Array { element: source, rank }, TypeKind::Array { element: target, rank: wanted }) => {
            return Ok(rank == wanted && is_element_assignable(*source, *target, level)?);
        }
        _ => {}
    }
    if to == TypeId::OBJECT || is_subclass(from, to)? || interfaces(from)?.contains(&to) {
        return Ok(true);
    }
    // Variance.
    Ok(!is_definition(from) && casts::is_assignable(from, to))
}

/// Whether the type parameter `source` may be assigned to `target`, which is the type `to`: all that the target's constraints ask for must
/// follow from those of the source, and one of these must lead to the target.
fn is_parameter_assignable(source: &Parameter, target: &Parameter, to: TypeId, level: u32) -> Result<bool> {
    let types = &runtime().types;
    if source.declaring_method().is_some() != target.declaring_method().is_some() {
        return Ok(false);
    }
    let constraints = source.constraints()?;
    let is_class = |&bound: &TypeId| types.header(bound).is_ok_and(|header| !header.is_interface());
    let bounds =
        |by_value| constraints.iter().filter(|&bound| is_class(bound)).any(|&bound| types.is_value_type(bound) == by_value);
    let (wanted, given) = (target.columns.flags, source.columns.flags);
    let is_reference = given & constraint::REFERENCE != 0 || bounds(false);
    let is_value = given & constraint::VALUE != 0 || bounds(true);
    if wanted & constraint::REFERENCE != 0 && !is_reference
        || wanted & constraint::VALUE != 0 && !is_value
        || wanted & constraint::CONSTRUCTOR != 0 && given & constraint::CONSTRUCTOR == 0 && !is_value
    {
        return Ok(false);
    }
    let leads_to = |to: TypeId| -> Result<bool> {
        for &bound in &constraints {
            if is_assignable_within(bound, to, level + 1)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    for asked in target.constraints()? {
        let is_source = parameter_of(asked).is_some_and(|asked| asked.assembly == source.assembly && asked.row == source.row);
        if !is_source && !leads_to(asked)? {
            return Ok(false);
        }
    }
    leads_to(to)
}

/// Whether an array of `source` is one of `target`, one of which is open.
fn is_element_assignable(source: TypeId, target: TypeId, level: u32) -> Result<bool> {
    let types = &runtime().types;
    if parameter_of(source).is_none() && types.is_value_type(source) && !types.is_value_type(target) {
        return Ok(false);
    }
    // A parameter that has an interface, or another parameter for its constraint, may stand for a structure.
    if let Some(parameter) = parameter_of(source) {
        let is_interface = parameter_of(target).is_some() || types.header(target).is_ok_and(|header| header.is_interface());
        if is_interface && parameter.columns.flags & constraint::REFERENCE == 0 {
            return Ok(false);
        }
    }
    is_assignable_within(source, target, level + 1)
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
