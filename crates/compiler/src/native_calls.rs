//! Calls of native functions: P/Invokes and delegates made of function pointers.
//!
//! What is passed as it is, or nearly so, is converted here; every other signature goes through two helpers, one before and one after the
//! call, that convert all values between the managed arguments and an area of native ones in the frame.

use crate::abi::HelperId;
use crate::env::CellRequest;
use crate::importer::{Failure, Importer};
use crate::marshal::signature::{AREA_ALIGNMENT, NativeParam, NativeSignature, native_signature};
use crate::marshal::{Conversion, Text};
use crate::signature::{Passing, native_abi, storage_access};
use crate::wrappers::{address_list, all_arguments, native_result, result_at, result_place};
use il::types::{MethodId, Storage, TypeId, TypeKind, TypeSystem};
use il::{Error, ErrorKind};
use ir::Type;
use ir::entity::Value;
use ir::instruction::IntCompare;
use ir::types::Access;
use smallvec::SmallVec;

/// What an argument needs that is converted in line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Simple {
    /// Nothing.
    Same,
    /// A copy of the string in UTF-8, freed after the call.
    Utf8,
    /// Address of the string's characters.
    Utf16,
    /// Address of the first element.
    Vector,
}

fn simple(types: &TypeSystem, param: &NativeParam) -> Option<Simple> {
    match &param.conversion {
        Conversion::Same(_) => Some(Simple::Same),
        Conversion::Pointer { target, by_ref: true } if matches!(**target, Conversion::Same(_)) => Some(Simple::Same),
        Conversion::Boolean { native: Storage::I4, .. } => Some(Simple::Same),
        Conversion::Text(Text::Utf8) => Some(Simple::Utf8),
        Conversion::Text(Text::Utf16) => Some(Simple::Utf16),
        Conversion::Array { element, .. } if matches!(types.kind(param.ty), TypeKind::SzArray(_)) => {
            matches!(**element, Conversion::Same(_)).then_some(Simple::Vector)
        }
        _ => None,
    }
}

fn has_simple_result(result: &NativeParam) -> bool {
    matches!(result.conversion, Conversion::Same(_) | Conversion::Boolean { native: Storage::I4, .. })
}

/// A static method of `System.Runtime.InteropServices.Marshal`.
pub(crate) fn marshal_method(types: &TypeSystem, name: &str, param: TypeId) -> il::Result<MethodId> {
    let missing = || Error::new(ErrorKind::MissingMethod, "method not found").with_name(format!("Marshal:{name}"));
    let class = types.find_type(types.corlib(), "System.Runtime.InteropServices", "Marshal")?.ok_or_else(missing)?;
    types.find_method(class, name, Some(&[param]))?.ok_or_else(missing)
}

/// The code of a P/Invoke.
pub(crate) fn imported_function(importer: &mut Importer<'_, '_>) -> Result<(), Failure> {
    let native = native_signature(importer.types, importer.method)?;
    let arguments = all_arguments(importer)?;
    let request = CellRequest::PlatformInvoke(importer.method);
    let code = importer.cell(request, Type::Iptr);
    call_native(importer, &native, code, &arguments)
}

/// Calls native code with the arguments of the method at hand, and returns the result.
pub(crate) fn call_native(
    importer: &mut Importer<'_, '_>,
    native: &NativeSignature,
    code: Value,
    arguments: &[(Value, bool)],
) -> Result<(), Failure> {
    let types = importer.types;
    for param in native.params.iter().chain([&native.result]) {
        if let Storage::Struct { .. } = param.form.storage {
            importer.env.depend_on_layout(param.ty);
        }
    }
    let kinds: Option<Vec<Simple>> = native.params.iter().map(|param| simple(types, param)).collect();
    let result = match kinds {
        Some(kinds) if has_simple_result(&native.result) => call_simple(importer, native, code, arguments, &kinds)?,
        _ => {
            let place = result_place(importer);
            call_through_area(importer, native, code, arguments, place)?;
            result_at(importer, place)
        }
    };
    importer.finish_with(result)
}

/// The call itself, with native arguments.
fn call(
    importer: &mut Importer<'_, '_>,
    native: &NativeSignature,
    code: Value,
    arguments: &[(Value, bool)],
    kept: Value,
) -> Result<Option<Value>, Failure> {
    let abi = native_abi(importer.env, native);
    importer.helper(HelperId::EnterNative, &[kept]);
    let result = importer.call_code(code, &abi, None, arguments)?;
    let keep_error = importer.b.iconst(Type::I32, i64::from(native.keeps_error));
    importer.helper(HelperId::LeaveNative, &[keep_error]);
    Ok(native_result(importer, &abi, result))
}

fn call_simple(
    importer: &mut Importer<'_, '_>,
    native: &NativeSignature,
    code: Value,
    arguments: &[(Value, bool)],
    kinds: &[Simple],
) -> Result<Option<Value>, Failure> {
    let types = importer.types;
    let mut copies: SmallVec<[Value; 4]> = SmallVec::new();
    let mut objects: SmallVec<[Value; 4]> = SmallVec::new();
    let mut converted = arguments.to_vec();
    for (argument, &kind) in converted.iter_mut().zip(kinds) {
        let offset = match kind {
            Simple::Same => continue,
            Simple::Utf8 => {
                let convert = marshal_method(types, "StringToHGlobalAnsi", TypeId::STRING)?;
                let copy = importer.call_static(convert, &[argument.0])?;
                copies.extend(copy);
                argument.0 = copy.unwrap_or(argument.0);
                continue;
            }
            Simple::Utf16 => importer.abi.string_chars(),
            Simple::Vector => importer.abi.vector_data(),
        };
        objects.push(argument.0);
        argument.0 = data_address(importer, argument.0, offset);
    }
    for (argument, param) in converted.iter_mut().zip(&native.params) {
        if param.form.storage == Storage::NativeInt {
            argument.0 = importer.as_pointer(argument.0, Type::Iptr);
        }
    }
    let kept = keep(importer, &objects);
    let result = call(importer, native, code, &converted, kept)?;
    if !copies.is_empty() {
        let free = marshal_method(types, "FreeHGlobal", TypeId::I)?;
        for copy in copies {
            importer.call_static(free, &[copy])?;
        }
    }
    Ok(match (&native.result.conversion, result) {
        (Conversion::Boolean { .. }, Some(value)) => {
            let zero = importer.b.iconst(Type::I32, 0);
            Some(importer.b.icmp(IntCompare::Ne, value, zero))
        }
        (_, result) => result,
    })
}

/// Puts references into the frame, where the collector finds them while native code runs.
fn keep(importer: &mut Importer<'_, '_>, objects: &[Value]) -> Value {
    if objects.is_empty() {
        return importer.b.iconst(Type::Iptr, 0);
    }
    let pointer_bytes = importer.abi.pointer_bytes;
    let slot = importer.new_slot(pointer_bytes * objects.len() as u32, pointer_bytes);
    for (index, &object) in objects.iter().enumerate() {
        let address = importer.b.stack_addr(slot, 0);
        let memory = importer.frame_access(Access::Full(Type::Ref), (pointer_bytes * index as u32) as i32);
        importer.b.store(memory, address, object);
    }
    let address = importer.b.stack_addr(slot, 0);
    importer.as_pointer(address, Type::Iptr)
}

/// Converts the arguments, calls, and leaves the managed result at `place`.
pub(crate) fn call_through_area(
    importer: &mut Importer<'_, '_>,
    native: &NativeSignature,
    code: Value,
    arguments: &[(Value, bool)],
    place: Value,
) -> Result<(), Failure> {
    let types = importer.types;
    let storages = native.params.iter().map(|param| types.storage(param.ty)).collect::<il::Result<Vec<Storage>>>()?;
    let request = CellRequest::MethodHandle(importer.method);
    let handle = importer.cell(request, Type::Iptr);
    let list = address_list(importer, arguments, &storages);
    let list = importer.as_pointer(list, Type::Iptr);
    let area = importer.struct_temporary(native.area_size, AREA_ALIGNMENT);
    let area_address = importer.as_pointer(area, Type::Iptr);
    importer.helper(HelperId::MarshalArguments, &[handle, list, area_address]);
    let abi = native_abi(importer.env, native);
    let mut values = Vec::with_capacity(native.params.len());
    for (param, passed) in native.params.iter().zip(&abi.params) {
        let value = match &passed.passing {
            Passing::Scalar(access) => {
                let memory = importer.frame_access(*access, param.offset as i32);
                importer.b.load(memory, area)
            }
            _ => importer.b.offset_addr(area, i64::from(param.offset)),
        };
        values.push((value, false));
    }
    let result = call(importer, native, code, &values, list)?;
    let native_place = match (result, storage_access(native.result.form.storage)) {
        (Some(value), Some(access)) => {
            let memory = importer.frame_access(access, native.result.offset as i32);
            importer.b.store(memory, area, value);
            importer.b.offset_addr(area, i64::from(native.result.offset))
        }
        (Some(structure), None) => structure,
        (None, _) => area,
    };
    let native_place = importer.as_pointer(native_place, Type::Iptr);
    let place_address = importer.as_pointer(place, Type::Iptr);
    importer.helper(HelperId::MarshalResults, &[handle, list, area_address, native_place, place_address]);
    Ok(())
}

/// Address of the data of a string or vector, or null for null.
fn data_address(importer: &mut Importer<'_, '_>, object: Value, offset: i32) -> Value {
    let is_null = importer.is_null(object);
    let address = importer.b.offset_addr(object, i64::from(offset));
    let address = importer.as_pointer(address, Type::Iptr);
    let null = importer.b.iconst(Type::Iptr, 0);
    importer.b.select(is_null, null, address)
}
