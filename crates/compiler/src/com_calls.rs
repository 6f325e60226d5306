//! Calls of COM objects: methods of classes that stand for ones of COM, and of interfaces, on a `System.__ComObject`.
//!
//! The object gives the interface that declares the method, whose table has the method's code. What crosses is as
//! [`native_signature`] says; an error code raises its exception.

use crate::abi::HelperId;
use crate::env::CellRequest;
use crate::importer::{Failure, Importer};
use crate::marshal::signature::{keeps_signature, native_signature};
use crate::native_calls::{call_native, call_through_area, marshal_method};
use crate::signature::storage_access;
use crate::wrappers::{all_arguments, result_at, result_place, scalar_place};
use il::Error;
use il::types::{Storage, TypeId, TypeSystem, type_attributes};
use ir::Type;
use ir::entity::Value;
use ir::instruction::Memory;
use ir::types::Access;

/// Whether a class stands for one of COM, so that its methods without IL are the object's.
pub(crate) fn is_imported_class(types: &TypeSystem, class: TypeId) -> il::Result<bool> {
    let header = types.header(class)?;
    Ok(header.attributes & type_attributes::IMPORT != 0 && !header.is_interface())
}

/// A method without IL of a class that stands for one of COM.
pub(crate) fn imported_class_method(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    importer.guard_against_proxies()?;
    let types = importer.types;
    let is_constructor = types.method_name(importer.method) == ".ctor";
    if is_constructor && types.method_signature(importer.method)?.params.is_empty() {
        let constructor = types.find_method(types.well_known().com_object, ".ctor", Some(&[]))?;
        let missing = || Failure::Method(Error::invalid_program("COM objects have no constructor"));
        importer.load_arguments()?;
        return importer.call_own_method(constructor.ok_or_else(missing)?);
    }
    com_method(importer)
}

/// A method of a COM interface.
pub(crate) fn com_method(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let (types, method) = (importer.types, importer.method);
    let mut arguments = all_arguments(importer)?;
    let handle = importer.cell(CellRequest::MethodHandle(method), Type::Iptr);
    let this = match types.method_signature(method)?.has_this {
        true => arguments.remove(0).0,
        false => importer.b.zero(Type::Ref),
    };
    // Raises if the method is none of an interface.
    let interface = importer.helper_value(HelperId::ComInterface, &[this, handle]);
    let declared = types.com_method(method)?.unwrap_or(method);
    importer.env.depend_on_layout(types.method(declared).owner);
    let table = load_pointer(importer, interface, 0);
    let code = load_pointer(importer, table, types.com_slot(declared));
    arguments.insert(0, (interface, false));
    let native = native_signature(types, method)?;
    if keeps_signature(types, method) {
        return call_native(importer, &native, code, &arguments);
    }
    let returned = result_place(importer);
    if native.params.len() > arguments.len() {
        // Native code that fails may leave it as it is.
        clear(importer, returned);
        let address = importer.as_pointer(returned, Type::Mptr);
        arguments.push((address, false));
    }
    let error_access = Access::Full(Type::I32);
    let error_place = scalar_place(importer, error_access);
    call_through_area(importer, &native, code, &arguments, error_place)?;
    let memory = importer.frame_access(error_access, 0);
    let error = importer.b.load(memory, error_place);
    importer.call_static(marshal_method(types, "ThrowExceptionForHR", TypeId::I4)?, &[error])?;
    let result = result_at(importer, returned);
    importer.finish_with(result)
}

/// The pointer with this number in a table.
fn load_pointer(importer: &mut Importer<'_, '_>, table: Value, index: u32) -> Value {
    let offset = index * importer.abi.pointer_bytes;
    importer.b.load(Memory::any(Type::Iptr).at(offset as i32), table)
}

/// Zeroes the place of the result.
fn clear(importer: &mut Importer<'_, '_>, place: Value) {
    let storage = importer.abi_signature.result.storage;
    match (storage, storage_access(storage)) {
        (_, Some(access)) => {
            let zero = importer.b.zero(access.value_type());
            let memory = importer.frame_access(access, 0);
            importer.b.store(memory, place, zero);
        }
        (Storage::Struct { size, .. }, None) => {
            let (zero, size) = (importer.b.iconst(Type::I32, 0), importer.b.iconst(Type::Iptr, i64::from(size)));
            let place = importer.as_pointer(place, Type::Mptr);
            importer.helper(HelperId::FillBlock, &[place, zero, size]);
        }
        _ => {}
    }
}
