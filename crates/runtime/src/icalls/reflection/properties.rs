//! Internal calls of `RuntimePropertyInfo`.

use super::Handle;
use super::constants::constant;
use super::members::{GETTER, SETTER, accessor};
use super::methods::modifier_types;
use super::objects::{Kind, allocate, cached, method_object, method_of, type_array};
use super::parameters::OpenContext;
use crate::class_library::KnownClass;
use crate::emit::tokens;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{handles, runtime};
use il::signature::PropertySig;
use il::tables::PropertyRow;
use il::types::{AssemblyId, MethodId, TypeId, method_attributes};
use il::{TableId, Token};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

const REFLECTION: &str = "System.Reflection";

pub(super) static PROPERTY_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimePropertyInfo");
static CLASS: KnownField = KnownField::new(REFLECTION, "RuntimePropertyInfo", "klass");
static HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimePropertyInfo", "prop");
static INFO_PARENT: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "parent");
static INFO_DECLARING: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "declaring_type");
static INFO_NAME: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "name");
static INFO_GETTER: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "get_method");
static INFO_SETTER: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "set_method");
static INFO_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "MonoPropertyInfo", "attrs");

/// Numbers for members that the type system has none for: a row on a type.
#[derive(Default)]
pub(super) struct RowHandles {
    numbers: FxHashMap<(TypeId, u32), u32>,
    all: Vec<(TypeId, u32)>,
}

/// The handle of a row on a type.
pub(super) fn row_handle(handles: &RwLock<RowHandles>, owner: TypeId, row: u32) -> Handle {
    let mut handles = handles.write();
    let next = handles.all.len() as u32;
    let number = *handles.numbers.entry((owner, row)).or_insert(next);
    if number == next {
        handles.all.push((owner, row));
    }
    number as usize + 1
}

/// The row on a type that a handle stands for.
pub(super) fn row_of_handle(handles: &RwLock<RowHandles>, handle: Handle) -> Result<(TypeId, u32)> {
    let found = handle.checked_sub(1).and_then(|number| handles.read().all.get(number).copied());
    found.ok_or_else(|| Exception::argument("handle", "The handle is invalid."))
}

static HANDLES: LazyLock<RwLock<RowHandles>> = LazyLock::new(RwLock::default);

/// The handle of a property of a type.
pub(super) fn property_handle(owner: TypeId, row: u32) -> Handle {
    row_handle(&HANDLES, owner, row)
}

/// A property, found.
pub(super) struct Property {
    pub(super) owner: TypeId,
    pub(super) assembly: AssemblyId,
    pub(super) row: u32,
}

impl Property {
    /// Its token.
    pub(super) fn token(&self) -> Token {
        Token::new(TableId::Property, self.row)
    }

    /// Its getter or setter.
    pub(super) fn accessor(&self, semantics: u16) -> Option<MethodId> {
        accessor(self.owner, self.assembly, self.token(), semantics)
    }
}

fn property_of_handle(handle: Handle) -> Result<Property> {
    let (owner, row) = row_of_handle(&HANDLES, handle)?;
    let (assembly, _) =
        runtime().types.definition_of(owner).ok_or_else(|| Exception::engine("a property of a type without definition"))?;
    Ok(Property { owner, assembly, row })
}

/// The property of a `RuntimePropertyInfo`.
pub(super) fn property_of(object: ObjectRef) -> Result<Property> {
    property_of_handle(HANDLE.get(object.check()?))
}

/// Type and name of the property of a `RuntimePropertyInfo`.
pub fn property_type_and_name(object: ObjectRef) -> Result<(TypeId, String)> {
    let types = &runtime().types;
    let property = property_of(object)?;
    let metadata = types.metadata(property.assembly);
    let columns: PropertyRow = metadata.row(property.row)?;
    let signature = PropertySig::parse(metadata.blob(columns.signature)?)?;
    let ty = types.type_from_signature(property.assembly, &signature.ty, &types.type_context(property.owner))?;
    Ok((ty, metadata.string(columns.name).to_owned()))
}

/// The method whose parameters a member has: the method itself, or an accessor of a property.
pub(super) fn method_of_member(member: ObjectRef) -> Result<MethodId> {
    if !member.is_null() && PROPERTY_INFO.is_class_of(member) {
        let property = property_of(member)?;
        let method = property.accessor(GETTER).or_else(|| property.accessor(SETTER));
        return method.ok_or_else(|| Exception::engine("a property without accessors"));
    }
    method_of(member)
}

/// The `PropertyInfo` of a handle, asked of the type `reflected`.
pub(super) fn property_object(handle: Handle, reflected: TypeId) -> Result<ObjectRef> {
    cached(Kind::Property, handle as u32, reflected.0, || {
        let object = allocate("RuntimePropertyInfo")?;
        CLASS.set(object, handles::from_type(reflected));
        HANDLE.set(object, handle);
        Ok(object)
    })
}

extern "C" fn from_handle(handle: Handle, ty: Handle) -> ObjectRef {
    raising(|| {
        let property = property_of_handle(handle)?;
        property_object(handle, handles::to_type(ty).unwrap_or(property.owner))
    })
}

extern "C" fn property_info(this: ObjectRef, info: *mut u8, wanted: i32) {
    /// `PInfo`
    const ATTRIBUTES: i32 = 1;
    const GET_METHOD: i32 = 2;
    const SET_METHOD: i32 = 4;
    const REFLECTED_TYPE: i32 = 8;
    const DECLARING_TYPE: i32 = 16;
    const NAME: i32 = 32;
    raising(|| {
        let types = &runtime().types;
        let property = property_of(this)?;
        let reflected = handles::to_type(CLASS.get(this)).unwrap_or(property.owner);
        let metadata = types.metadata(property.assembly);
        let columns: PropertyRow = metadata.row(property.row)?;
        let at = |field: &KnownField| info.wrapping_add(field.offset() as usize);
        let put = |field: &KnownField, object: ObjectRef| store_out(at(field).cast(), object);
        let is_seen = |&method: &MethodId| {
            let is_private = types.method(method).attributes & method_attributes::ACCESS == method_attributes::PRIVATE;
            !is_private || property.owner == reflected
        };
        let method = |semantics| match property.accessor(semantics).filter(is_seen) {
            Some(method) => method_object(method, Some(reflected)),
            None => Ok(ObjectRef::NULL),
        };
        if wanted & ATTRIBUTES != 0 {
            // SAFETY: an `out` parameter of this structure.
            unsafe { at(&INFO_ATTRIBUTES).cast::<u32>().write(u32::from(columns.flags)) };
        }
        if wanted & GET_METHOD != 0 {
            put(&INFO_GETTER, method(GETTER)?);
        }
        if wanted & SET_METHOD != 0 {
            put(&INFO_SETTER, method(SETTER)?);
        }
        if wanted & REFLECTED_TYPE != 0 {
            put(&INFO_PARENT, handles::type_object(reflected)?);
        }
        if wanted & DECLARING_TYPE != 0 {
            put(&INFO_DECLARING, handles::type_object(property.owner)?);
        }
        if wanted & NAME != 0 {
            put(&INFO_NAME, StringRef::new(metadata.string(columns.name))?.object());
        }
        Ok(())
    })
}

extern "C" fn default_value(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let property = property_of(this)?;
        constant(property.assembly, property.token(), None)?
            .ok_or_else(|| Exception::invalid_operation("The property has no constant value."))
    })
}

extern "C" fn metadata_token(this: ObjectRef) -> u32 {
    raising(|| {
        let property = property_of(this)?;
        Ok(tokens::shown(property.assembly, property.token()).0)
    })
}

extern "C" fn type_modifiers(this: ObjectRef, optional: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let property = property_of(this)?;
        let metadata = types.metadata(property.assembly);
        let signature = PropertySig::parse(metadata.blob(metadata.row::<PropertyRow>(property.row)?.signature)?)?;
        let context = OpenContext::of_type(property.owner);
        type_array(types.well_known().type_, &modifier_types(property.assembly, &signature.ty, optional != 0, &context)?)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.RuntimePropertyInfo:internal_from_handle_type", from_handle as *const ()),
    icall("System.Reflection.RuntimePropertyInfo:get_property_info", property_info as *const ()),
    icall("System.Reflection.RuntimePropertyInfo:get_default_value", default_value as *const ()),
    icall("System.Reflection.RuntimePropertyInfo:get_metadata_token", metadata_token as *const ()),
    icall("System.Reflection.RuntimePropertyInfo:GetTypeModifiers", type_modifiers as *const ()),
];
