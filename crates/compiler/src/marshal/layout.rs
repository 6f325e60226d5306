//! Where the fields of a structure or of a class with a layout lie in native memory.

use super::{Conversion, EXPLICIT_LAYOUT, LAYOUT_MASK, Place, SEQUENTIAL_LAYOUT, STRING_FORMAT_MASK, UNICODE_CLASS};
use il::attributes::MarshalDescriptor;
use il::types::{AssemblyId, FieldId, TypeId, TypeKind, TypeSystem};
use il::{Error, ErrorKind, Result, TableId, Token};
use std::cell::Cell;

/// How a type's fields are placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// As the runtime likes: there is no native form.
    Auto,
    /// In the order of their declaration.
    Sequential,
    /// Where they say.
    Explicit,
}

/// A structure in native memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeLayout {
    /// Bytes.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// The fields, inherited ones first.
    pub fields: Vec<NativeField>,
}

/// A field in native memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeField {
    /// The field.
    pub field: FieldId,
    /// Its offset in managed memory: from the start of the object, or of the value.
    pub managed_offset: u32,
    /// Its offset in native memory.
    pub native_offset: u32,
    /// What it becomes.
    pub conversion: Conversion,
}

const MANAGED_CHARACTER_BYTES: u32 = 2;

/// Deepest nesting of structures in each other.
const DEPTH_LIMIT: u32 = 64;

thread_local! {
    /// How deep in structures this thread is: a class may hold a field of its own type.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// How a type's fields are placed.
pub fn kind(types: &TypeSystem, ty: TypeId) -> Result<Kind> {
    if !matches!(types.kind(ty), TypeKind::Class { .. } | TypeKind::Instance { .. }) {
        return Ok(Kind::Sequential);
    }
    Ok(match types.header(ty)?.attributes & LAYOUT_MASK {
        SEQUENTIAL_LAYOUT => Kind::Sequential,
        EXPLICIT_LAYOUT => Kind::Explicit,
        _ => Kind::Auto,
    })
}

/// Where text fields of a type are UTF-16.
fn is_unicode(types: &TypeSystem, ty: TypeId) -> Result<bool> {
    Ok(types.header(ty)?.attributes & STRING_FORMAT_MASK == UNICODE_CLASS)
}

/// The native layout of a value type or class.
///
/// # Errors
/// [`ErrorKind::MarshalDirective`] if a field has no native form, or types contain each other without end.
pub fn native_layout(types: &TypeSystem, ty: TypeId) -> Result<NativeLayout> {
    let depth = DEPTH.get();
    if depth > DEPTH_LIMIT {
        let error = Error::new(ErrorKind::MarshalDirective, "the structure contains itself");
        return Err(error.with_name(types.type_name(ty)));
    }
    DEPTH.set(depth + 1);
    let layout = lay_out(types, ty);
    DEPTH.set(depth);
    layout
}

fn lay_out(types: &TypeSystem, ty: TypeId) -> Result<NativeLayout> {
    let header = types.header(ty)?;
    let metadata = types.metadata(header.assembly);
    let mut result = match header.parent {
        Some(parent) if !header.is_value_type() && parent != TypeId::OBJECT => lay_out(types, parent)?,
        _ => NativeLayout { size: 0, align: 1, fields: Vec::new() },
    };
    let explicit = kind(types, ty)? == Kind::Explicit;
    let declared = metadata.class_layout(header.row);
    let packing = declared.as_ref().map_or(0, |row| u32::from(row.packing_size));
    let place = Place { unicode: is_unicode(types, ty)?, field: true, assembly: header.assembly };
    let start = result.size;
    let mut end = start;
    for (field, managed_offset) in types.instance_fields(ty)? {
        let declaration = types.field(field);
        let token = Token::new(TableId::Field, declaration.row);
        let descriptor = descriptor(types, declaration.assembly, token)?;
        let (ty, count) = match fixed_characters(types, types.field_type(field)?)? {
            Some(count) => (TypeId::CHAR, count),
            None => (types.field_type(field)?, 1),
        };
        let conversion = super::conversion(types, ty, descriptor.as_ref(), place)?;
        let form = conversion.native_form(types)?;
        let align = if packing == 0 { form.align } else { form.align.min(packing) };
        result.align = result.align.max(align);
        let native_offset = match metadata.field_offset(declaration.row).filter(|_| explicit) {
            Some(offset) => start + offset,
            None => end.next_multiple_of(align.max(1)),
        };
        end = end.max(native_offset + form.size * count);
        result.fields.extend((0..count).map(|index| NativeField {
            field,
            managed_offset: managed_offset + index * MANAGED_CHARACTER_BYTES,
            native_offset: native_offset + index * form.size,
            conversion: conversion.clone(),
        }));
    }
    // A class's own size comes on top of what it inherits.
    let wanted = declared.map_or(0, |row| row.class_size).saturating_add(if explicit { 0 } else { start });
    if explicit && wanted != 0 && wanted >= end && packing == 0 {
        result.size = wanted;
        return Ok(result);
    }
    result.size = end.max(wanted).max(1).next_multiple_of(result.align);
    Ok(result)
}

/// How many characters a fixed buffer of C# has: a structure with one field, to whose size its layout adds. In native memory they are as
/// characters are in the structure around it.
fn fixed_characters(types: &TypeSystem, ty: TypeId) -> Result<Option<u32>> {
    let TypeKind::Class { assembly, row } = *types.kind(ty) else { return Ok(None) };
    if !types.has_attribute(assembly, row, "UnsafeValueTypeAttribute") {
        return Ok(None);
    }
    let Some((element, _)) = types.instance_fields(ty)?.next() else { return Ok(None) };
    let size = types.storage(ty)?.size(types.layout());
    Ok((types.field_type(element)? == TypeId::CHAR).then_some(size / MANAGED_CHARACTER_BYTES))
}

/// The marshalling descriptor of a field or parameter.
pub(super) fn descriptor(types: &TypeSystem, assembly: AssemblyId, token: Token) -> Result<Option<MarshalDescriptor>> {
    let metadata = types.metadata(assembly);
    match metadata.field_marshal(token) {
        Some(row) => Ok(Some(MarshalDescriptor::parse(metadata.blob(row.native_type)?)?)),
        None => Ok(None),
    }
}
