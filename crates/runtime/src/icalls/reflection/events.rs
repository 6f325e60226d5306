//! Internal calls of events: `EventInfo`, `RuntimeEventInfo`.

use super::Handle;
use super::members::accessor;
use super::objects::{Kind, allocate, cached, method_object, object_array};
use super::properties::{RowHandles, row_handle, row_of_handle};
use crate::class_library::{KnownClass, core_class};
use crate::emit::tokens;
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::{InternalCall, icall, raising, store_out};
use crate::object::{ObjectRef, StringRef};
use crate::{handles, runtime};
use il::tables::EventRow;
use il::types::{AssemblyId, MethodId, TypeId};
use il::{TableId, Token};
use parking_lot::RwLock;
use std::sync::LazyLock;

const REFLECTION: &str = "System.Reflection";

pub(super) static EVENT_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimeEventInfo");
static CLASS: KnownField = KnownField::new(REFLECTION, "RuntimeEventInfo", "klass");
static HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeEventInfo", "handle");
static INFO_DECLARING: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "declaring_type");
static INFO_REFLECTED: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "reflected_type");
static INFO_NAME: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "name");
static INFO_ADD: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "add_method");
static INFO_REMOVE: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "remove_method");
static INFO_RAISE: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "raise_method");
static INFO_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "attrs");
static INFO_OTHERS: KnownField = KnownField::new(REFLECTION, "MonoEventInfo", "other_methods");

/// `MethodSemanticsAttributes`
const OTHER: u16 = 4;
const ADD: u16 = 8;
const REMOVE: u16 = 0x10;
const RAISE: u16 = 0x20;

static HANDLES: LazyLock<RwLock<RowHandles>> = LazyLock::new(RwLock::default);

/// The handle of an event of a type.
pub(super) fn event_handle(owner: TypeId, row: u32) -> Handle {
    row_handle(&HANDLES, owner, row)
}

/// Declaring type, its assembly and Event row of a handle.
fn event_of_handle(handle: Handle) -> Result<(TypeId, AssemblyId, u32)> {
    let (owner, row) = row_of_handle(&HANDLES, handle)?;
    let (assembly, _) =
        runtime().types.definition_of(owner).ok_or_else(|| Exception::engine("an event of a type without definition"))?;
    Ok((owner, assembly, row))
}

/// Assembly and token of a `RuntimeEventInfo`.
pub(super) fn token_of_event(object: ObjectRef) -> Result<(AssemblyId, Token)> {
    let (_, assembly, row) = event_of_handle(HANDLE.get(object.check()?))?;
    Ok((assembly, Token::new(TableId::Event, row)))
}

extern "C" fn from_handle(handle: Handle, ty: Handle) -> ObjectRef {
    raising(|| {
        let (owner, ..) = event_of_handle(handle)?;
        let reflected = handles::to_type(ty).unwrap_or(owner);
        cached(Kind::Event, handle as u32, reflected.0, || {
            let object = allocate("RuntimeEventInfo")?;
            CLASS.set(object, handles::from_type(reflected));
            HANDLE.set(object, handle);
            Ok(object)
        })
    })
}

extern "C" fn event_info(this: ObjectRef, info: *mut u8) {
    raising(|| {
        let types = &runtime().types;
        let (owner, assembly, row) = event_of_handle(HANDLE.get(this.check()?))?;
        let token = Token::new(TableId::Event, row);
        let reflected = handles::to_type(CLASS.get(this)).unwrap_or(owner);
        let metadata = types.metadata(assembly);
        let columns: EventRow = metadata.row(row)?;
        let at = |field: &KnownField| info.wrapping_add(field.offset() as usize);
        let put = |field: &KnownField, object: ObjectRef| store_out(at(field).cast(), object);
        for (field, semantics) in [(&INFO_ADD, ADD), (&INFO_REMOVE, REMOVE), (&INFO_RAISE, RAISE)] {
            if let Some(method) = accessor(owner, assembly, token, semantics) {
                put(field, method_object(method, Some(reflected))?);
            }
        }
        let others: Vec<MethodId> = metadata
            .method_semantics_of(token)
            .filter(|row| row.semantics & OTHER != 0)
            .map(|row| types.method_on(owner, row.method))
            .collect();
        if !others.is_empty() {
            let class = core_class(REFLECTION, "MethodInfo")?;
            let array = object_array(class, others.len(), |index| method_object(others[index], Some(reflected)))?;
            put(&INFO_OTHERS, array.object());
        }
        put(&INFO_DECLARING, handles::type_object(owner)?);
        put(&INFO_REFLECTED, handles::type_object(reflected)?);
        put(&INFO_NAME, StringRef::new(metadata.string(columns.name))?.object());
        // SAFETY: an `out` parameter of this structure.
        unsafe { at(&INFO_ATTRIBUTES).cast::<u32>().write(u32::from(columns.flags)) };
        Ok(())
    })
}

extern "C" fn metadata_token(this: ObjectRef) -> u32 {
    raising(|| {
        let (assembly, token) = token_of_event(this)?;
        Ok(tokens::shown(assembly, token).0)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Reflection.EventInfo:internal_from_handle_type", from_handle as *const ()),
    icall("System.Reflection.RuntimeEventInfo:get_event_info", event_info as *const ()),
    icall("System.Reflection.RuntimeEventInfo:get_metadata_token", metadata_token as *const ()),
];
