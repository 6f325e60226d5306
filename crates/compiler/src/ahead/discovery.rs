//! What an assembly's image consists of: all its methods, shared code of its generic ones, and the instances over value types that
//! its code needs.
//!
//! Instances over reference types alone live in the image of the assembly that defines them. Those with a value type among their arguments
//! are compiled into every image that needs them.

use super::environment::Record;
use super::{CompiledPiece, Key};
use crate::description::CellDescription;
use crate::env::CellRequest;
use il::tables::Metadata;
use il::types::{AssemblyId, MethodId, MethodKind, TypeId, TypeKind, TypeSystem};
use il::{TableId, Token};
use ir::function::SymbolRef;

/// How deep generic instances may nest; deeper ones are left to the JIT.
const NESTING_LIMIT: u32 = 4;
/// `GenericParamAttributes.NotNullableValueTypeConstraint`
const VALUE_TYPE_CONSTRAINT: u16 = 8;

/// The methods that an image starts with: one for each row of the MethodDef table that can have code of its own.
pub fn roots(types: &TypeSystem, assembly: AssemblyId) -> Vec<MethodId> {
    let metadata = types.metadata(assembly);
    let rows = metadata.row_numbers(TableId::MethodDef);
    rows.filter_map(|row| root(types, metadata, assembly, row)).filter(|&method| has_code(types, method)).collect()
}

/// The method of a row, or its shared instance if it is generic.
fn root(types: &TypeSystem, metadata: &Metadata, assembly: AssemblyId, row: u32) -> Option<MethodId> {
    let definition = types.method_definition(assembly, row).ok()?;
    let method = types.method(definition);
    let owner_params = types.generic_params(method.owner).ok()?;
    let own_params: Vec<u16> = match method.generic_param_count {
        0 => Vec::new(),
        _ => metadata.generic_params_of(Token::new(TableId::MethodDef, row)).map(|(_, param)| param.flags).collect(),
    };
    if owner_params.is_empty() && own_params.is_empty() {
        return Some(definition);
    }
    if owner_params.iter().chain(&own_params).any(|flags| flags & VALUE_TYPE_CONSTRAINT != 0) {
        return None;
    }
    let owner = types.instance(method.owner, &vec![TypeId::CANON; owner_params.len()]);
    Some(types.instantiate_method(definition, owner, &vec![TypeId::CANON; own_params.len()]))
}

/// Whether there is anything to compile.
pub fn has_code(types: &TypeSystem, method: MethodId) -> bool {
    let data = types.method(method);
    let is_asynchronous = || matches!(types.method_name(method), "BeginInvoke" | "EndInvoke");
    !(data.is_abstract() || data.is_runtime() && is_asynchronous())
}

/// How an image of `assembly` names a canonical method that belongs into it; `None` if it does not.
pub fn key(types: &TypeSystem, assembly: AssemblyId, method: MethodId) -> Option<Key> {
    let data = types.method(method);
    let row = match data.kind {
        MethodKind::Definition { row } => row,
        MethodKind::Array(_) | MethodKind::NativePointer { .. } => return None,
        MethodKind::Variadic { .. } => return (data.assembly == assembly).then_some(Key::Instance),
    };
    let type_args = types.type_args(data.owner);
    let mut args = type_args.iter().chain(&data.method_args).peekable();
    if args.peek().is_none() {
        let is_generic = data.generic_param_count != 0 || types.generic_params(data.owner).map_or(true, |list| !list.is_empty());
        return (data.assembly == assembly && !is_generic).then_some(Key::Definition(row));
    }
    if data.method_args.len() != data.generic_param_count as usize {
        return None;
    }
    let mut only_references = true;
    for &arg in args {
        if types.contains_type_variables(arg) || types.nesting_depth(arg) > NESTING_LIMIT {
            return None;
        }
        only_references &= arg == TypeId::CANON;
    }
    (data.assembly == assembly || !only_references).then_some(Key::Instance)
}

/// The methods that the code of a piece may need, in the order in which it names them; with repetitions.
pub fn needs(types: &TypeSystem, piece: &CompiledPiece) -> Vec<MethodId> {
    let mut found = Vec::new();
    for reloc in &piece.code.relocs {
        match reloc.target {
            SymbolRef::Method(number) => found.push(piece.record.callees[number as usize]),
            SymbolRef::Cell(number) | SymbolRef::Resolver(number) => cell_needs(types, &piece.record, number, &mut found),
            SymbolRef::Helper(_) | SymbolRef::RoData(_) | SymbolRef::Publisher(_) | SymbolRef::Preserver(_) => {}
        }
    }
    found
}

fn cell_needs(types: &TypeSystem, record: &Record, number: u32, found: &mut Vec<MethodId>) {
    let CellDescription::Request(request) = record.cells[number as usize] else { return };
    match request {
        CellRequest::MethodTable(ty) | CellRequest::InitializedMethodTable(ty) => instance_methods(types, ty, found),
        CellRequest::Statics(ty) | CellRequest::ReferenceStatics(ty) => {
            let initializer = types.class_initializer(ty);
            found.extend(initializer.ok().flatten().map(|method| types.canonical_method(method)));
        }
        CellRequest::MethodEntry(method)
        | CellRequest::FunctionPointer(method)
        | CellRequest::MethodHandle(method)
        | CellRequest::MethodDictionary(method) => found.push(types.canonical_method(method)),
        _ => {}
    }
}

/// The virtual methods and class initialisers of a generic instance and of those that it extends.
fn instance_methods(types: &TypeSystem, ty: TypeId, found: &mut Vec<MethodId>) {
    let mut class = Some(types.canonical_type(ty));
    while let Some(current) = class {
        if matches!(types.kind(current), TypeKind::Instance { .. }) && !types.contains_type_variables(current) {
            found.extend(types.methods_of(current).into_iter().filter(|&method| {
                let data = types.method(method);
                let is_initializer = data.is_static() && types.method_name(method) == ".cctor";
                (data.is_virtual() && data.generic_param_count == 0 || is_initializer) && has_code(types, method)
            }));
        }
        class = types.header(current).ok().and_then(|header| header.parent).map(|parent| types.canonical_type(parent));
    }
}
