//! Marshalling descriptors as `MarshalAsAttribute` objects.

use super::type_names::{Lookup, find_type};
use crate::class_library::core_class;
use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::object::{self, ObjectRef, StringRef};
use crate::{handles, runtime};
use il::Token;
use il::attributes::{MarshalDescriptor, native};
use il::types::{AssemblyId, LoadContext};

const NAMESPACE: &str = "System.Runtime.InteropServices";
const CLASS: &str = "MarshalAsAttribute";

static UNMANAGED_TYPE: KnownField = KnownField::new(NAMESPACE, CLASS, "utype");
static ELEMENT_TYPE: KnownField = KnownField::new(NAMESPACE, CLASS, "ArraySubType");
static VARIANT_TYPE: KnownField = KnownField::new(NAMESPACE, CLASS, "SafeArraySubType");
static SIZE: KnownField = KnownField::new(NAMESPACE, CLASS, "SizeConst");
static SIZE_PARAMETER: KnownField = KnownField::new(NAMESPACE, CLASS, "SizeParamIndex");
static IDENTITY_PARAMETER: KnownField = KnownField::new(NAMESPACE, CLASS, "IidParameterIndex");
static MARSHALER: KnownField = KnownField::new(NAMESPACE, CLASS, "MarshalType");
static MARSHALER_TYPE: KnownField = KnownField::new(NAMESPACE, CLASS, "MarshalTypeRef");
static COOKIE: KnownField = KnownField::new(NAMESPACE, CLASS, "MarshalCookie");

/// The attribute for the descriptor of a field or parameter; null if there is none.
pub(super) fn marshal_object(assembly: AssemblyId, parent: Token) -> Result<ObjectRef> {
    let types = &runtime().types;
    let metadata = types.metadata(assembly);
    let Some(row) = metadata.field_marshal(parent) else { return Ok(ObjectRef::NULL) };
    let descriptor = MarshalDescriptor::parse(metadata.blob(row.native_type)?)?;
    let object = object::allocate(method_table(core_class(NAMESPACE, CLASS)?)?)?;
    let set_kind = |kind: u8| UNMANAGED_TYPE.set(object, i32::from(kind));
    let set_element = |element: Option<u8>| ELEMENT_TYPE.set(object, i32::from(element.unwrap_or(0)));
    match descriptor {
        MarshalDescriptor::Simple(kind) => set_kind(kind),
        MarshalDescriptor::Array { element, size_param, element_count } => {
            set_kind(native::ARRAY);
            set_element(element);
            SIZE_PARAMETER.set(object, size_param.unwrap_or(0) as i16);
            SIZE.set(object, element_count.unwrap_or(0));
        }
        MarshalDescriptor::FixedString { size } => {
            set_kind(native::FIXED_STRING);
            SIZE.set(object, size);
        }
        MarshalDescriptor::FixedArray { count, element } => {
            set_kind(native::FIXED_ARRAY);
            set_element(element);
            SIZE.set(object, count);
        }
        MarshalDescriptor::SafeArray { variant_type, .. } => {
            set_kind(native::SAFE_ARRAY);
            VARIANT_TYPE.set(object, variant_type.unwrap_or(0));
        }
        MarshalDescriptor::Interface { kind, identity_param } => {
            set_kind(kind);
            IDENTITY_PARAMETER.set(object, identity_param.unwrap_or(0));
        }
        MarshalDescriptor::Custom { marshaler, cookie } => {
            set_kind(native::CUSTOM_MARSHALER);
            MARSHALER.set_ref(object, StringRef::new(&marshaler)?.object());
            COOKIE.set_ref(object, StringRef::new(&cookie)?.object());
            let lookup = Lookup {
                assemblies: &[assembly, types.corlib()],
                ignore_case: false,
                context: LoadContext::Execution,
                asks: false,
                allows_missing: false,
            };
            if let Ok(Some(ty)) = find_type(&marshaler, &lookup) {
                MARSHALER_TYPE.set_ref(object, handles::type_object(ty)?);
            }
        }
    }
    Ok(object)
}
