//! Methods of the core library that become instructions: one line each in [`TABLE`].

use crate::abi::HelperId;
use crate::env::{CellRequest, MethodEnv};
use crate::importer::generics::{MethodRef, TypeRef};
use crate::importer::stack::Origin;
use crate::importer::stack::Use;
use crate::importer::{Failure, ImportError, ImportFlags, ImportedMethod, Importer};
use crate::wrappers;
use il::types::{MethodId, Storage, TypeId};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Alias, Aux, Memory, MemoryFlags, Opcode};
use ir::types::Access;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// What a method does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Intrinsic {
    /// A unary opcode on a float.
    Float(Opcode),
    /// Rounding of a literal, halves away from zero: so Mono's compiler does it, other than the method.
    RoundLiteral,
    /// Nothing; the arguments are dropped.
    Nothing,
    /// Length of a string.
    StringLength,
    /// Character of a string, with bounds check.
    StringChar,
    /// Length of a vector; other arrays are left to the method.
    VectorLength,
    /// A constant of the target's layout: offset of a string's characters.
    StringDataOffset,
    /// Atomic exchange, sum or comparison; the access is that of the first parameter's target.
    Exchange,
    Add,
    CompareExchange,
    /// Atomic addition of a constant; gives the new value.
    Step(i64),
    /// An atomic or volatile read.
    Read,
    /// A volatile write.
    Write,
    /// A full barrier.
    Fence,
    /// Type object of a type token.
    TypeFromHandle,
    /// Exact type of an object.
    GetType,
    /// Whether the type argument is or holds references.
    ContainsReferences,
    /// `ref T` or `T` seen as another type: no code at all.
    Same,
    /// Element of a vector without bounds check.
    UncheckedLoad,
    /// Likewise, store.
    UncheckedStore,
    /// Conversion of an element, without code for scalars of one size.
    UncheckedMove,
    /// `sizeof` the type argument.
    SizeOf,
    /// Constructor of the structure that holds a managed pointer; its IL only raises.
    PointerSet,
    /// The managed pointer that it holds; likewise.
    PointerGet,
    /// Address of a vector's first element; the IL goes by another runtime's layout of arrays.
    VectorData,
    /// Copies an element of a vector to where a pointer points.
    ElementGet,
    /// Copies to an element of a vector.
    ElementSet,
}

impl Intrinsic {
    /// Whether the method's own body is of no use, internal call or not.
    fn replaces_body(self) -> bool {
        matches!(self, PointerSet | PointerGet | VectorData)
    }
}

use Intrinsic::*;

/// Class (with namespace), method, number of parameters, meaning.
const TABLE: &[(&str, &str, &str, usize, Intrinsic)] = &[
    ("System", "Object", ".ctor", 0, Nothing),
    ("System", "Object", "GetType", 0, GetType),
    ("System", "Math", "Sqrt", 1, Float(Opcode::Fsqrt)),
    ("System", "Math", "Abs", 1, Float(Opcode::Fabs)),
    ("System", "Math", "Round", 1, RoundLiteral),
    ("System", "MathF", "Sqrt", 1, Float(Opcode::Fsqrt)),
    ("System", "MathF", "Abs", 1, Float(Opcode::Fabs)),
    ("System", "String", "get_Length", 0, StringLength),
    ("System", "String", "get_Chars", 1, StringChar),
    ("System", "Array", "get_Length", 0, VectorLength),
    ("System", "Array", "UnsafeLoad", 2, UncheckedLoad),
    ("System", "Array", "UnsafeStore", 3, UncheckedStore),
    ("System", "Array", "UnsafeMov", 1, UncheckedMove),
    ("System", "Type", "GetTypeFromHandle", 1, TypeFromHandle),
    ("System.Runtime.CompilerServices", "RuntimeHelpers", "get_OffsetToStringData", 0, StringDataOffset),
    ("System.Runtime.CompilerServices", "RuntimeHelpers", "IsReferenceOrContainsReferences", 0, ContainsReferences),
    ("System.Runtime.CompilerServices", "Unsafe", "As", 1, Same),
    ("System.Runtime.CompilerServices", "Unsafe", "AsRef", 1, Same),
    ("System.Runtime.CompilerServices", "Unsafe", "SizeOf", 0, SizeOf),
    ("System.Runtime.CompilerServices", "JitHelpers", "UnsafeCast", 1, Same),
    ("System.Runtime.CompilerServices", "JitHelpers", "UnsafeEnumCast", 1, UncheckedMove),
    ("System.Runtime.CompilerServices", "JitHelpers", "UnsafeEnumCastLong", 1, UncheckedMove),
    ("System", "Array", "GetRawSzArrayData", 0, VectorData),
    ("System", "Array", "GetGenericValueImpl", 2, ElementGet),
    ("System", "Array", "SetGenericValueImpl", 2, ElementSet),
    ("System", "ByReference`1", ".ctor", 1, PointerSet),
    ("System", "ByReference`1", "get_Value", 0, PointerGet),
    ("System.Threading", "Interlocked", "Add", 2, Add),
    ("System.Threading", "Interlocked", "Increment", 1, Step(1)),
    ("System.Threading", "Interlocked", "Decrement", 1, Step(-1)),
    ("System.Threading", "Interlocked", "Exchange", 2, Exchange),
    ("System.Threading", "Interlocked", "CompareExchange", 3, CompareExchange),
    ("System.Threading", "Interlocked", "Read", 1, Read),
    ("System.Threading", "Interlocked", "MemoryBarrier", 0, Fence),
    ("System.Threading", "Thread", "MemoryBarrier", 0, Fence),
    ("System.Threading", "Thread", "VolatileRead", 1, Read),
    ("System.Threading", "Thread", "VolatileWrite", 2, Write),
    ("System.Threading", "Volatile", "Read", 1, Read),
    ("System.Threading", "Volatile", "Write", 2, Write),
];

type Key = (&'static str, &'static str, &'static str, usize);

/// The table, by name.
static BY_NAME: LazyLock<FxHashMap<Key, Intrinsic>> = LazyLock::new(|| {
    TABLE.iter().map(|&(namespace, class, name, count, what)| ((namespace, class, name, count), what)).collect()
});

fn find(importer_env: &dyn MethodEnv, method: MethodId) -> il::Result<Option<Intrinsic>> {
    let types = importer_env.types();
    let data = types.method(method);
    if data.assembly != types.corlib() {
        return Ok(None);
    }
    let (namespace, class) = types.simple_name(data.owner);
    let count = types.method_signature(method)?.params.len();
    Ok(BY_NAME.get(&(namespace, class, types.method_name(method), count)).copied())
}

/// The body of a method that has no IL and is an intrinsic: for calls that are no direct calls.
pub(crate) fn import_body(
    env: &dyn MethodEnv,
    method: MethodId,
    _flags: ImportFlags,
) -> Result<Option<ImportedMethod>, ImportError> {
    let types = env.types();
    let is_internal_call = types.method(method).is_internal_call();
    if find(env, method)?.is_none_or(|intrinsic| !is_internal_call && !intrinsic.replaces_body()) {
        return Ok(None);
    }
    let mut expanded = false;
    let imported = wrappers::build(env, method, types.method_full_name(method), |importer| {
        importer.load_arguments()?;
        expanded = expand(importer, MethodRef { method, open: None })?;
        if expanded {
            return importer.import_ret();
        }
        importer.b.trap(ir::instruction::TrapCode::Unreachable);
        Ok(())
    })?;
    Ok(expanded.then_some(imported))
}

/// The location type behind the first parameter, if it is a scalar that machines exchange atomically.
fn atomic_access(importer: &Importer<'_, '_>, method: MethodId) -> Result<Option<(Access, TypeId)>, Failure> {
    let types = importer.types;
    let signature = types.method_signature(method)?;
    let Some(target) = signature.params.first().and_then(|&param| types.element_type(param)) else { return Ok(None) };
    let access = crate::signature::storage_access(types.storage(target)?);
    Ok(access.map(|access| (access, target)))
}

/// Puts instructions in place of a call with its arguments on the stack. False if it stays a call; the stack is then as before.
pub(crate) fn expand(importer: &mut Importer<'_, '_>, callee: MethodRef) -> Result<bool, Failure> {
    let Some(intrinsic) = find(importer.env, callee.method)? else { return Ok(false) };
    let types = importer.types;
    let method = callee.method;
    let integer = |access: Access| matches!(access, Access::Full(ty) if ty.is_int());
    match intrinsic {
        Nothing => {
            importer.pop()?;
        }
        Float(opcode) => {
            let ty = match types.storage(types.method_signature(method)?.params[0])? {
                Storage::R8 => Type::F64,
                Storage::R4 => Type::F32,
                _ => return Ok(false),
            };
            let value = importer.pop_scalar(ty)?;
            let value = importer.b.emit(opcode, ty, &[value], Aux::None);
            importer.push_scalar(value);
        }
        RoundLiteral => {
            let Some(Origin::Double(bits)) = importer.top().map(|top| top.origin) else { return Ok(false) };
            importer.pop()?;
            let value = importer.b.f64const(f64::from_bits(bits).round());
            importer.push_scalar(value);
        }
        StringLength => {
            let string = importer.pop_scalar(Type::Ref)?;
            let length = importer.load_length(string);
            importer.push_scalar(length);
        }
        StringChar => {
            let index = importer.pop_scalar(Type::I32)?;
            let string = importer.pop_scalar(Type::Ref)?;
            let length = importer.load_length(string);
            importer.b.bounds_check(index, length);
            let index = importer.b.zext(Type::Iptr, index);
            let two = importer.b.iconst(Type::Iptr, 2);
            let offset = importer.b.imul(index, two);
            let address = importer.b.add_addr(string, offset);
            let memory = Memory {
                access: Access::U16,
                offset: importer.abi.string_chars(),
                flags: MemoryFlags::NO_TRAP,
                alias: Alias::Any,
            };
            let value = importer.b.load(memory, address);
            importer.push_scalar(value);
        }
        VectorLength => {
            let Some(top) = importer.top() else { return Ok(false) };
            let is_vector = top.class.is_some_and(|class| matches!(types.kind(class), il::types::TypeKind::SzArray(_)));
            if !is_vector {
                return Ok(false);
            }
            let array = importer.pop_scalar(Type::Ref)?;
            let length = importer.load_length(array);
            importer.push_scalar(length);
        }
        StringDataOffset => {
            let offset = importer.abi.string_chars();
            let value = importer.b.iconst(Type::I32, i64::from(offset));
            importer.push_scalar(value);
        }
        Exchange | Add | CompareExchange | Step(_) => {
            let Some((access, _)) = atomic_access(importer, method)?.filter(|&(access, _)| integer(access)) else {
                return Ok(false);
            };
            atomic(importer, intrinsic, access)?;
        }
        Read | Write => {
            let Some((access, target)) = atomic_access(importer, method)? else { return Ok(false) };
            let value = if intrinsic == Write { Some(importer.pop_scalar(access.value_type())?) } else { None };
            let address = importer.pop_address()?;
            let memory = Memory { access, offset: 0, flags: MemoryFlags::VOLATILE, alias: Alias::Any };
            match value {
                None => {
                    let value = importer.b.load(memory, address);
                    importer.push_typed(target, value)?;
                }
                Some(value) => {
                    importer.settle()?;
                    importer.store_scalar(memory, crate::emit::Destination::Anywhere(address), value);
                }
            }
        }
        Fence => importer.fence(),
        TypeFromHandle => {
            let Some(Origin::TypeToken(ty)) = importer.top().map(|top| top.origin) else { return Ok(false) };
            importer.pop()?;
            let object = importer.type_cell(ty, CellRequest::TypeObject, Type::Ref)?;
            importer.push_reference(object, Some(types.well_known().runtime_type), false);
        }
        GetType => {
            let object = importer.pop_scalar(Type::Ref)?;
            importer.b.null_check(object);
            let ty = importer.helper_value(HelperId::GetType, &[object]);
            importer.push_reference(ty, Some(types.well_known().runtime_type), false);
        }
        ContainsReferences => {
            let ty = type_argument(importer, callee, 0)?;
            let yes = match types.storage(ty.ty)? {
                Storage::Ref => true,
                Storage::Struct { .. } => types.class(ty.ty)?.contains_references,
                _ => false,
            };
            let value = importer.b.iconst(Type::I32, i64::from(yes));
            importer.push_scalar(value);
        }
        SizeOf => {
            let ty = type_argument(importer, callee, 0)?;
            let size = types.storage(ty.ty)?.size(types.layout());
            let value = importer.b.iconst(Type::I32, i64::from(size));
            importer.push_scalar(value);
        }
        PointerSet => {
            let value = importer.pop_scalar(Type::Mptr)?;
            let address = importer.pop_address()?;
            let value = importer.b.bitcast(Type::Iptr, value);
            importer.b.store(Memory::any(Type::Iptr), address, value);
        }
        PointerGet => {
            let address = importer.pop_address()?;
            let value = importer.b.load(Memory::any(Type::Mptr), address);
            importer.push_scalar(value);
        }
        VectorData => {
            let array = importer.pop_scalar(Type::Ref)?;
            importer.b.null_check(array);
            let offset = i64::from(importer.abi.vector_data());
            let data = importer.b.offset_addr(array, offset);
            importer.push_scalar(data);
        }
        ElementGet | ElementSet => {
            let element = type_argument(importer, callee, 0)?;
            let pointer = importer.pop_address()?;
            let index = importer.pop_scalar(Type::I32)?;
            let array = importer.pop_scalar(Type::Ref)?;
            importer.settle()?;
            let memory = Memory::any(Type::I32);
            if intrinsic == ElementGet {
                importer.unchecked_element(array, index, element, None)?;
                let (value, _) = importer.pop_for(element.ty, Use::Passed)?;
                importer.store_at(element, crate::emit::Destination::Anywhere(pointer), memory, value)?;
            } else {
                importer.load_at(element.ty, pointer, memory, false)?;
                let (value, _) = importer.pop_for(element.ty, Use::Passed)?;
                importer.unchecked_element(array, index, element, Some(value))?;
            }
        }
        Same => {
            let result = types.method_signature(method)?.ret;
            let (value, _) = importer.pop_for(result, Use::Passed)?;
            importer.push_typed(result, value)?;
        }
        UncheckedMove => {
            let result = types.method_signature(method)?.ret;
            if matches!(types.storage(result)?, Storage::Struct { .. }) {
                return Ok(false);
            }
            let (value, _) = importer.pop_for(result, Use::Passed)?;
            importer.push_typed(result, value)?;
        }
        UncheckedLoad | UncheckedStore => {
            let element = type_argument(importer, callee, 0)?;
            let value = if intrinsic == UncheckedStore { Some(importer.pop_for(element.ty, Use::Passed)?.0) } else { None };
            let index = importer.pop_scalar(Type::I32)?;
            let array = importer.pop_scalar(Type::Ref)?;
            importer.settle()?;
            importer.unchecked_element(array, index, element, value)?;
        }
    }
    Ok(true)
}

/// The type argument `index` of a generic method.
fn type_argument(importer: &Importer<'_, '_>, callee: MethodRef, index: usize) -> Result<TypeRef, Failure> {
    let types = importer.types;
    let ty = types.method(callee.method).method_args.get(index).copied();
    let ty = ty.ok_or_else(|| crate::importer::invalid("a type argument is missing"))?;
    let open = callee.open.and_then(|open| types.method(open).method_args.get(index).copied());
    Ok(TypeRef { ty, open: open.filter(|_| types.contains_canon(ty)) })
}

fn atomic(importer: &mut Importer<'_, '_>, intrinsic: Intrinsic, access: Access) -> Result<(), Failure> {
    let ty = access.value_type();
    let memory = Memory { access, offset: 0, flags: MemoryFlags::VOLATILE, alias: Alias::Any };
    let emit =
        |importer: &mut Importer<'_, '_>, opcode: Opcode, args: &[Value]| importer.b.emit(opcode, ty, args, Aux::Memory(memory));
    let value = match intrinsic {
        CompareExchange => {
            let expected = importer.pop_scalar(ty)?;
            let replacement = importer.pop_scalar(ty)?;
            let address = importer.pop_address()?;
            importer.settle()?;
            emit(importer, Opcode::AtomicCompareExchange, &[address, expected, replacement])
        }
        Exchange => {
            let replacement = importer.pop_scalar(ty)?;
            let address = importer.pop_address()?;
            importer.settle()?;
            emit(importer, Opcode::AtomicExchange, &[address, replacement])
        }
        _ => {
            let amount = match intrinsic {
                Step(amount) => importer.b.iconst(ty, amount),
                _ => importer.pop_scalar(ty)?,
            };
            let address = importer.pop_address()?;
            importer.settle()?;
            let old = emit(importer, Opcode::AtomicAdd, &[address, amount]);
            importer.b.iadd(old, amount)
        }
    };
    importer.push_scalar(value);
    Ok(())
}
