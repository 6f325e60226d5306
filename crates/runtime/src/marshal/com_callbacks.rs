//! Methods of managed objects that native code calls through COM.
//!
//! What the method throws becomes an error code, unless it keeps its signature and has no place for one; only what cannot be converted is
//! raised in the managed code that called the native one.

use super::callbacks::{
    Argument, Function, bring_back, clean_up, convert, give_reference, give_result, managed_bytes, take_arguments, words,
};
use super::values::{native_size, to_native};
use crate::com::{self, codes};
use crate::exceptions::Result;
use crate::invoke::{self, StructureArea};
use crate::object::ObjectRef;
use crate::{domain, methods, runtime, unhandled};
use compiler::marshal::Conversion;
use compiler::marshal::signature::keeps_signature;
use il::types::TypeId;

/// Calls the method with what lies in the stub's area.
///
/// # Safety
/// The stub saved arguments of the function's signature, the first of which is an interface of a managed object.
pub(super) unsafe fn run(function: &Function, area: *mut u8) -> Result<usize> {
    let mut memory = StructureArea::default();
    memory.reserve(function.words + words(managed_bytes(returned_type(function)?)?));
    // SAFETY: the caller's promise.
    unsafe {
        let arguments = take_arguments(function, area, &mut memory);
        let (object, home) = com::wrappers::target_of(arguments[0].native.cast::<usize>().read());
        if object.is_null() {
            unhandled::fatal("native code called an object that has been collected");
        }
        domain::enter(home, || call(function, object, &arguments, area, &mut memory))
    }
}

/// What the method returns in managed code.
fn returned_type(function: &Function) -> Result<TypeId> {
    Ok(runtime().types.method_signature(function.method)?.ret)
}

unsafe fn call(
    function: &Function,
    object: ObjectRef,
    arguments: &[Argument],
    area: *mut u8,
    memory: &mut StructureArea,
) -> Result<usize> {
    let types = &runtime().types;
    let (method, params) = (function.method, &function.signature.params);
    let keeps = keeps_signature(types, method);
    let returned = returned_type(function)?;
    // The last of the native parameters may be the address of the result.
    let count = 1 + types.method_signature(method)?.params.len();
    let passed = || params[1..count].iter().zip(&arguments[1..count]);
    let result = memory.take(words(managed_bytes(returned)?)).cast::<u8>();
    // SAFETY: each argument has memory for both of its forms, and so has the result.
    unsafe {
        for (param, argument) in passed() {
            convert(&function.signature, param, argument, arguments)?;
        }
        let this = object.raw();
        let mut addresses = vec![(&raw const this).cast::<u8>()];
        addresses.extend(passed().map(|(_, argument)| argument.managed.cast_const()));
        let code = match types.method(method).is_virtual() {
            true => methods::virtual_code(object, method)?,
            false => methods::code(method)?,
        };
        let code = match invoke::call_code(method, code, None, &addresses, result) {
            Ok(()) => codes::OK,
            Err(exception) => com::code_of(exception)?,
        };
        for (param, argument) in passed() {
            if param.output {
                bring_back(param, argument)?;
            }
            clean_up(&param.conversion, argument.managed)?;
        }
        if let (Some(param), Some(argument)) = (params.get(count), arguments.get(count)) {
            return_through(&param.conversion, argument, result, code == codes::OK)?;
        }
        match (keeps, code) {
            (true, codes::OK) => give_result(function, result, area, memory)?,
            (true, _) => {
                let has_room = returned == TypeId::I4 || returned == TypeId::U4;
                std::ptr::write_bytes(result, 0, managed_bytes(returned)? as usize);
                if has_room {
                    result.cast::<i32>().write(code);
                }
                give_result(function, result, area, memory)?;
            }
            (false, _) => give_result(function, (&raw const code).cast(), area, memory)?,
        }
    }
    Ok(function.ending)
}

/// Writes a result to where the caller wants it, if it does.
unsafe fn return_through(conversion: &Conversion, argument: &Argument, result: *const u8, succeeded: bool) -> Result<()> {
    let Conversion::Pointer { target, .. } = conversion else { return Ok(()) };
    // SAFETY: native code passes the address of a variable, or null.
    unsafe {
        let place = argument.native.cast::<*mut u8>().read();
        match (&**target, succeeded) {
            _ if place.is_null() => {}
            (_, true) => {
                to_native(target, result, place, true)?;
                give_reference(target, place);
            }
            (Conversion::Same(_), false) => {}
            (_, false) => std::ptr::write_bytes(place, 0, native_size(target)?),
        }
    }
    Ok(())
}
