//! Internal calls of fields: `RuntimeFieldInfo`, `FieldInfo`, `RuntimeFieldHandle`.

use super::Handle;
use super::constants::constant;
use super::marshalling::marshal_object;
use super::methods::modifier_types;
use super::objects::{allocate, field_object, field_of, reflected_type_of_field, type_array};
use super::parameters::OpenContext;
use super::relations::is_bare;
use crate::class_init::ensure_initialized;
use crate::class_library::KnownClass;
use crate::emit::tokens;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::typed_references::referent;
use crate::icalls::{InternalCall, icall, owner_of, raising, remoting};
use crate::method_table::{ensure_statics, method_table};
use crate::object::{self, ArrayRef, ObjectRef, store_reference};
use crate::{casts, handles, helpers, local_statics, metadata, proxies, runtime};
use il::signature::TypeSig;
use il::tables::FieldRow;
use il::types::{FieldId, FieldLocation, LoadContext, TypeId, TypeKind};
use il::{TableId, Token};
use std::sync::atomic::Ordering;

static POINTER: KnownClass = KnownClass::new("System.Reflection", "Pointer");
static POINTER_VALUE: KnownField = KnownField::new("System.Reflection", "Pointer", "_ptr");
static POINTER_TYPE: KnownField = KnownField::new("System.Reflection", "Pointer", "_ptrType");

/// A place in memory: its address, and the heap object that it lies in (null if in none).
#[derive(Clone, Copy)]
pub(in crate::icalls) struct Place {
    pub(in crate::icalls) owner: ObjectRef,
    pub(in crate::icalls) address: *mut u8,
}

/// Where the value of a field is; `object` holds it if it is of an instance. Runs the class initialiser of static fields.
pub(in crate::icalls) fn place_of(field: FieldId, object: ObjectRef) -> Result<Place> {
    let types = &runtime().types;
    let location = types.field_location(field)?;
    let owner = types.field(field).owner;
    if let FieldLocation::Instance { offset } = location {
        let object = object.check()?;
        let start = if types.is_value_type(owner) { object.payload::<u8>() } else { object.at(0) };
        return Ok(Place { owner: object, address: start.wrapping_add(offset as usize) });
    }
    let table = method_table(owner)?;
    ensure_statics(table)?;
    ensure_initialized(table)?;
    let outside = |area: usize, offset: u32| Place { owner: ObjectRef::NULL, address: (area + offset as usize) as *mut u8 };
    let in_box = |area: usize, offset: u32| {
        // SAFETY: the area of references holds a box at this offset.
        let holder = unsafe { ((area + offset as usize) as *const ObjectRef).read() };
        Place { owner: holder, address: holder.payload() }
    };
    let references = || table.reference_statics.load(Ordering::Acquire);
    Ok(match location {
        FieldLocation::Static { offset } => outside(table.statics.load(Ordering::Acquire), offset),
        FieldLocation::ReferenceStatic { offset } => outside(references(), offset),
        FieldLocation::BoxedStatic { offset } => in_box(references(), offset),
        FieldLocation::LocalReferenceStatic { holder, offset } => outside(local_statics::area(holder, table)?, offset),
        FieldLocation::LocalBoxedStatic { holder, offset } => in_box(local_statics::area(holder, table)?, offset),
        FieldLocation::LocalStatic { holder, offset } => {
            // The area of references comes first, then that of the other fields.
            let references = types.statics(owner)?.local_reference_size.next_multiple_of(16);
            outside(local_statics::area(holder, table)?, references + offset)
        }
        FieldLocation::Rva { .. } => outside(metadata::field_data(field)?, 0),
        FieldLocation::Instance { .. } | FieldLocation::Literal => {
            return Err(Exception::new("System", "FieldAccessException", "The field has no storage."));
        }
    })
}

/// The value at an address as an object.
///
/// # Safety
/// There is a value of type `ty`.
pub(in crate::icalls) unsafe fn load(ty: TypeId, address: *const u8) -> Result<ObjectRef> {
    let types = &runtime().types;
    // SAFETY: the caller's promise.
    unsafe {
        match types.kind(ty) {
            TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => pointer_object(ty, address.cast::<usize>().read_unaligned()),
            _ if types.is_value_type(ty) => object::box_value(method_table(ty)?, address),
            _ => Ok(address.cast::<ObjectRef>().read()),
        }
    }
}

/// A pointer as a `System.Reflection.Pointer`.
pub(super) fn pointer_object(ty: TypeId, value: usize) -> Result<ObjectRef> {
    let type_object = handles::type_object(ty)?;
    let object = allocate("Pointer")?;
    POINTER_VALUE.set(object, value);
    POINTER_TYPE.set_ref(object, type_object);
    Ok(object)
}

/// The pointer in a `Pointer`, or in a boxed `IntPtr` or `UIntPtr`; null gives 0.
pub(super) fn pointer_in(object: ObjectRef) -> Result<usize> {
    if object.is_null() {
        return Ok(0);
    }
    if POINTER.is_class_of(object) {
        return Ok(POINTER_VALUE.get(object));
    }
    match object.type_id() {
        // SAFETY: a boxed native integer.
        TypeId::I | TypeId::U => Ok(unsafe { object.unbox() }),
        _ => Err(Exception::new("System", "ArgumentException", "The object is no pointer.")),
    }
}

/// Stores an object's value, unboxed if need be.
///
/// # Safety
/// The place is that of a variable of type `ty`.
pub(in crate::icalls) unsafe fn store(ty: TypeId, place: Place, value: ObjectRef) -> Result<()> {
    let types = &runtime().types;
    if is_bare(ty) {
        let pointer = pointer_in(value)?;
        // SAFETY: the caller's promise.
        unsafe { place.address.cast::<usize>().write_unaligned(pointer) };
        return Ok(());
    }
    if !types.is_value_type(ty) {
        // SAFETY: the caller's promise.
        unsafe { store_reference(place.owner, place.address.cast(), value) };
        return Ok(());
    }
    let table = method_table(ty)?;
    if types.nullable_argument(ty).is_some() {
        // SAFETY: the caller's promise.
        return unsafe { helpers::store_nullable(table, place.owner, place.address, value) };
    }
    let class = table.class();
    // SAFETY: the caller's promise; a boxed value of the class has its size.
    unsafe {
        if value.is_null() {
            std::ptr::write_bytes(place.address, 0, class.value_size as usize);
        } else if casts::can_unbox(table, value) || value.method_table().class().value_size == class.value_size {
            object::copy_value(place.owner, place.address, value.payload(), class.value_size as usize, &class.value_references);
        } else {
            return Err(Exception::invalid_cast());
        }
    }
    Ok(())
}

fn token_of(field: FieldId) -> Token {
    Token::new(TableId::Field, runtime().types.field(field).row)
}

/// The value of a field as an object; constants as their enumeration.
pub(super) fn value_of(field: FieldId, object: ObjectRef) -> Result<ObjectRef> {
    let types = &runtime().types;
    let declaration = types.field(field);
    let ty = types.field_type(field)?;
    if declaration.is_literal() {
        let as_type = Some(ty).filter(|&ty| !is_bare(ty) && types.header(ty).is_ok_and(|header| header.is_enum()));
        return Ok(constant(declaration.assembly, token_of(field), as_type)?.unwrap_or(ObjectRef::NULL));
    }
    if !declaration.is_static() && proxies::is_proxy(object) {
        return remoting::field_value(object, field);
    }
    let place = place_of(field, object)?;
    // SAFETY: the field's own place.
    unsafe { load(ty, place.address) }
}

/// Sets a field from an object.
pub(super) fn set_value(field: FieldId, object: ObjectRef, value: ObjectRef) -> Result<()> {
    let types = &runtime().types;
    if types.field(field).is_literal() {
        return Err(Exception::new("System", "FieldAccessException", "Cannot set a constant field"));
    }
    if !types.field(field).is_static() && proxies::is_proxy(object) {
        return remoting::set_field_value(object, field, value);
    }
    let ty = types.field_type(field)?;
    let place = place_of(field, object)?;
    // SAFETY: the field's own place.
    unsafe { store(ty, place, value) }
}

/// The value of a static field of a core class, such as `DBNull.Value`.
pub(super) fn core_static(class: &KnownClass, name: &str) -> Result<ObjectRef> {
    match runtime().types.find_field(class.id()?, name)? {
        Some(field) => value_of(field, ObjectRef::NULL),
        None => Err(Exception::engine(format!("the core library lacks a field {name}"))),
    }
}

extern "C" fn from_handle(field: Handle, ty: Handle) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let Some(field) = handles::to_field(field) else { return Ok(ObjectRef::NULL) };
        let Some(reflected) = handles::to_type(ty) else { return field_object(field, None) };
        // The handle may be that of the definition's field and the type an instance.
        let declaration = types.field(field);
        let mut current = Some(reflected);
        while let Some(class) = current {
            if class == declaration.owner {
                return field_object(field, Some(reflected));
            }
            if types.generic_definition_type(class) == declaration.owner {
                let field = types.fields_of(class)?[declaration.index as usize];
                return field_object(field, Some(reflected));
            }
            current = super::relations::base_type(class)?;
        }
        Ok(ObjectRef::NULL)
    })
}

extern "C" fn parent_type(this: ObjectRef, declaring: u8) -> ObjectRef {
    raising(|| {
        let owner = runtime().types.field(field_of(this)?).owner;
        let reflected = if declaring != 0 { None } else { reflected_type_of_field(this) };
        handles::type_object(reflected.unwrap_or(owner))
    })
}

/// A field's type as reflection shows it.
fn shown_type(field: FieldId) -> Result<TypeId> {
    let types = &runtime().types;
    Ok(OpenContext::of_type(types.field(field).owner).reveal(types.field_type(field)?))
}

extern "C" fn resolve_type(this: ObjectRef) -> ObjectRef {
    raising(|| handles::type_object(shown_type(field_of(this)?)?))
}

/// Refuses to `get` or `set` a field of an assembly that is only to be looked at.
fn check_context(field: FieldId, access: &str) -> Result<()> {
    let types = &runtime().types;
    match types.load_context(types.field(field).assembly) {
        LoadContext::Execution => Ok(()),
        LoadContext::Reflection => Err(Exception::invalid_operation(&format!(
            "It is illegal to {access} the value on a field on a type loaded using the ReflectionOnly methods."
        ))),
    }
}

extern "C" fn get_value(this: ObjectRef, object: ObjectRef) -> ObjectRef {
    raising(|| {
        let field = field_of(this)?;
        check_context(field, "get")?;
        value_of(field, object)
    })
}

extern "C" fn set(this: ObjectRef, object: ObjectRef, value: ObjectRef) {
    raising(|| {
        let field = field_of(this)?;
        check_context(field, "set")?;
        set_value(field, object, value)
    })
}

extern "C" fn raw_constant(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let field = field_of(this)?;
        constant(runtime().types.field(field).assembly, token_of(field), None)?
            .ok_or_else(|| Exception::invalid_operation("The field has no constant value."))
    })
}

extern "C" fn offset(this: ObjectRef) -> i32 {
    raising(|| {
        let types = &runtime().types;
        let field = field_of(this)?;
        let declaration = types.field(field);
        // As declared, which does not count the header of objects.
        if let Some(declared) = types.metadata(declaration.assembly).field_offset(declaration.row) {
            return Ok(declared as i32);
        }
        match types.field_location(field)? {
            FieldLocation::Instance { offset } => Ok(offset as i32),
            _ => Err(Exception::invalid_operation("The field is not of an instance.")),
        }
    })
}

extern "C" fn metadata_token(this: ObjectRef) -> u32 {
    raising(|| {
        let field = field_of(this)?;
        Ok(tokens::shown(runtime().types.field(field).assembly, token_of(field)).0)
    })
}

extern "C" fn type_modifiers(this: ObjectRef, optional: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let field = types.field(field_of(this)?);
        let metadata = types.metadata(field.assembly);
        let signature = TypeSig::parse_field(metadata.blob(metadata.row::<FieldRow>(field.row)?.signature)?)?;
        let context = OpenContext::of_type(field.owner);
        type_array(types.well_known().type_, &modifier_types(field.assembly, &signature, optional != 0, &context)?)
    })
}

extern "C" fn marshal_info(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let field = field_of(this)?;
        marshal_object(runtime().types.field(field).assembly, token_of(field))
    })
}

/// The field's place within the value that a typed reference points to.
fn direct_place(field: ObjectRef, reference: *mut u8) -> Result<(TypeId, Place)> {
    let types = &runtime().types;
    let field = field_of(field)?;
    let FieldLocation::Instance { offset } = types.field_location(field)? else {
        return Err(Exception::argument("field", "The field is not of an instance."));
    };
    let variable = referent(reference);
    let start = match types.is_value_type(types.field(field).owner) {
        true => variable,
        // SAFETY: the variable holds a reference.
        false => unsafe { variable.cast::<ObjectRef>().read() }.check()?.at(0),
    };
    let address = start.wrapping_add(offset as usize);
    Ok((types.field_type(field)?, Place { owner: owner_of(address as usize), address }))
}

extern "C" fn get_direct(field: ObjectRef, _ty: ObjectRef, reference: *mut u8, _context: ObjectRef) -> ObjectRef {
    raising(|| {
        let (ty, place) = direct_place(field, reference)?;
        // SAFETY: the field's own place.
        unsafe { load(ty, place.address) }
    })
}

extern "C" fn set_direct(field: ObjectRef, _ty: ObjectRef, reference: *mut u8, value: ObjectRef, _context: ObjectRef) {
    raising(|| {
        let (ty, place) = direct_place(field, reference)?;
        // SAFETY: the field's own place.
        unsafe { store(ty, place, value) }
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.FieldInfo:internal_from_handle_type", from_handle as *const ()),
    icall("System.Reflection.FieldInfo:get_marshal_info", marshal_info as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:GetParentType", parent_type as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:ResolveType", resolve_type as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:GetValueInternal", get_value as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:UnsafeGetValue", get_value as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:SetValueInternal", set as *const ()),
    icall("System.RuntimeFieldHandle:SetValueInternal", set as *const ()),
    icall("System.RuntimeFieldHandle:GetValueDirect", get_direct as *const ()),
    icall("System.RuntimeFieldHandle:SetValueDirect", set_direct as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:GetRawConstantValue", raw_constant as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:GetFieldOffset", offset as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:get_metadata_token", metadata_token as *const ()),
    icall("System.Reflection.RuntimeFieldInfo:GetTypeModifiers", type_modifiers as *const ()),
];
