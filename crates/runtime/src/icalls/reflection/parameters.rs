//! Generic parameters as reflection shows them: types with a name and an owner.
//!
//! In the type system a parameter is a mere position (`TypeKind::Var`, `TypeKind::MVar`). The positions from [`NAMED`] on, which no
//! generic type reaches, stand for rows of GenericParam tables here; substitution leaves them alone, so that they can be type
//! arguments like any other type.

use crate::runtime;
use il::tables::GenericParamRow;
use il::types::{AssemblyId, GenericContext, MethodId, TypeId, TypeKind};
use il::{TableId, Token};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// The first position that stands for a named parameter.
const NAMED: u32 = 1 << 16;

/// A named parameter: a row of a GenericParam table.
#[derive(Clone, Copy)]
pub(super) struct Parameter {
    pub(super) assembly: AssemblyId,
    pub(super) row: u32,
    pub(super) columns: GenericParamRow,
}

#[derive(Default)]
struct Parameters {
    numbers: FxHashMap<(AssemblyId, u32), u32>,
    all: Vec<Parameter>,
}

static PARAMETERS: LazyLock<RwLock<Parameters>> = LazyLock::new(RwLock::default);

/// The named parameter that a type is.
pub(super) fn parameter_of(ty: TypeId) -> Option<Parameter> {
    let (TypeKind::Var(number) | TypeKind::MVar(number)) = *runtime().types.kind(ty) else {
        return None;
    };
    PARAMETERS.read().all.get(number.checked_sub(NAMED)? as usize).copied()
}

impl Parameter {
    /// The generic type that declares it; of a method's parameter the type that declares the method.
    pub(super) fn declaring_type(&self) -> Option<TypeId> {
        let types = &runtime().types;
        match self.columns.owner.table() {
            Some(TableId::TypeDef) => Some(types.type_definition(self.assembly, self.columns.owner.row())),
            _ => self.declaring_method().map(|method| types.method(method).owner),
        }
    }

    /// The generic method that declares it, if one does.
    pub(super) fn declaring_method(&self) -> Option<MethodId> {
        let row = self.columns.owner.row_in(TableId::MethodDef)?;
        runtime().types.method_definition(self.assembly, row).ok()
    }

    /// Its constraints, revealed.
    pub(super) fn constraints(&self) -> il::Result<Vec<TypeId>> {
        let types = &runtime().types;
        let context = match self.declaring_method() {
            Some(method) => OpenContext::of_method(method),
            None => self.declaring_type().map_or_else(OpenContext::default, OpenContext::of_type),
        };
        let tokens = types.metadata(self.assembly).generic_param_constraints(self.row);
        tokens.map(|token| Ok(context.reveal(types.resolve_type(self.assembly, token, &GenericContext::EMPTY)?))).collect()
    }
}

fn named(assembly: AssemblyId, row: u32, columns: GenericParamRow) -> TypeId {
    let known = PARAMETERS.read().numbers.get(&(assembly, row)).copied();
    let number = known.unwrap_or_else(|| {
        let mut parameters = PARAMETERS.write();
        let next = parameters.all.len() as u32;
        let number = *parameters.numbers.entry((assembly, row)).or_insert(next);
        if number == next {
            parameters.all.push(Parameter { assembly, row, columns });
        }
        number
    });
    let types = &runtime().types;
    let is_of_method = columns.owner.table() == Some(TableId::MethodDef);
    if is_of_method { types.mvar(NAMED + number) } else { types.var(NAMED + number) }
}

fn all_of(assembly: AssemblyId, owner: Token) -> Vec<TypeId> {
    let mut rows: Vec<_> = runtime().types.metadata(assembly).generic_params_of(owner).collect();
    rows.sort_by_key(|(_, columns)| columns.number);
    rows.into_iter().map(|(row, columns)| named(assembly, row, columns)).collect()
}

/// The parameters of a generic definition; none of any other type.
pub(super) fn type_parameters(definition: TypeId) -> Vec<TypeId> {
    let types = &runtime().types;
    // Most have none, which the type system knows without looking for them.
    let is_plain = |assembly| types.is_filled(assembly) && types.generic_params(definition).is_ok_and(<[u16]>::is_empty);
    match *types.kind(definition) {
        TypeKind::Class { assembly, .. } if is_plain(assembly) => Vec::new(),
        TypeKind::Class { assembly, row } => all_of(assembly, Token::new(TableId::TypeDef, row)),
        _ => Vec::new(),
    }
}

/// The parameters of a generic method, whether it has arguments or not.
pub(super) fn method_parameters(method: MethodId) -> Vec<TypeId> {
    let method = runtime().types.method(method);
    match method.row() {
        Some(row) if method.generic_param_count > 0 => all_of(method.assembly, Token::new(TableId::MethodDef, row)),
        _ => Vec::new(),
    }
}

/// What the positions of open signatures stand for.
#[derive(Default)]
pub(super) struct OpenContext {
    type_args: Vec<TypeId>,
    method_args: Vec<TypeId>,
}

impl OpenContext {
    /// Within the members of a type: its arguments, or its own parameters.
    pub(super) fn of_type(ty: TypeId) -> OpenContext {
        let types = &runtime().types;
        let type_args = match types.kind(ty) {
            TypeKind::Instance { args, .. } => args.to_vec(),
            _ => type_parameters(ty),
        };
        OpenContext { type_args, method_args: Vec::new() }
    }

    /// Within a method.
    pub(super) fn of_method(method: MethodId) -> OpenContext {
        let declaration = runtime().types.method(method);
        let method_args = match declaration.method_args.is_empty() {
            true => method_parameters(method),
            false => declaration.method_args.to_vec(),
        };
        OpenContext { method_args, ..OpenContext::of_type(declaration.owner) }
    }

    /// As the type system wants it.
    pub(super) fn generic(&self) -> GenericContext<'_> {
        GenericContext { type_args: &self.type_args, method_args: &self.method_args }
    }

    /// A type of an open signature as reflection shows it.
    pub(super) fn reveal(&self, ty: TypeId) -> TypeId {
        let types = &runtime().types;
        if !types.contains_type_variables(ty) {
            return ty;
        }
        self_instance_to_definition(types.substitute(ty, &self.generic()))
    }
}

/// A definition applied to its own parameters is the definition, as an argument, too.
pub(super) fn self_instance_to_definition(ty: TypeId) -> TypeId {
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::Instance { definition, args } => {
            if args.iter().all(|&arg| parameter_of(arg).is_some()) && **args == *type_parameters(*definition) {
                return *definition;
            }
            if !types.contains_type_variables(ty) {
                return ty;
            }
            let args: Vec<TypeId> = args.iter().map(|&arg| self_instance_to_definition(arg)).collect();
            types.instance(*definition, &args)
        }
        TypeKind::SzArray(element) => types.sz_array(self_instance_to_definition(*element)),
        TypeKind::Array { element, rank } => types.array(self_instance_to_definition(*element), *rank),
        TypeKind::Pointer(target) => types.pointer(self_instance_to_definition(*target)),
        TypeKind::ByRef(target) => types.by_ref(self_instance_to_definition(*target)),
        _ => ty,
    }
}

/// Whether a type has parameters without arguments in it: `Type.ContainsGenericParameters`.
pub(super) fn is_open(ty: TypeId) -> bool {
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::Var(_) | TypeKind::MVar(_) => true,
        TypeKind::Instance { args, .. } => args.iter().any(|&arg| is_open(arg)),
        TypeKind::SzArray(inner) | TypeKind::Array { element: inner, .. } | TypeKind::Pointer(inner) | TypeKind::ByRef(inner) => {
            is_open(*inner)
        }
        TypeKind::Class { .. } => is_definition(ty),
        _ => false,
    }
}

/// Whether a type is a generic definition.
pub(super) fn is_definition(ty: TypeId) -> bool {
    let types = &runtime().types;
    matches!(types.kind(ty), TypeKind::Class { .. }) && types.generic_params(ty).is_ok_and(|params| !params.is_empty())
}

/// A type as the type system's signatures spell it: with positions in place of named parameters, and of definitions that are arguments.
pub fn hide(ty: TypeId) -> TypeId {
    let types = &runtime().types;
    if !is_open(ty) {
        return ty;
    }
    match types.kind(ty) {
        TypeKind::Var(_) | TypeKind::MVar(_) => match parameter_of(ty) {
            Some(parameter) if parameter.columns.owner.table() == Some(TableId::MethodDef) => {
                types.mvar(u32::from(parameter.columns.number))
            }
            Some(parameter) => types.var(u32::from(parameter.columns.number)),
            None => ty,
        },
        TypeKind::Instance { definition, args } => {
            let args: Vec<TypeId> = args.iter().map(|&arg| hide_argument(arg)).collect();
            types.instance(*definition, &args)
        }
        TypeKind::SzArray(element) => types.sz_array(hide(*element)),
        TypeKind::Array { element, rank } => types.array(hide(*element), *rank),
        TypeKind::Pointer(target) => types.pointer(hide(*target)),
        TypeKind::ByRef(target) => types.by_ref(hide(*target)),
        _ => ty,
    }
}

/// Within a signature a definition stands for its instance over its own parameters.
pub(super) fn hide_argument(ty: TypeId) -> TypeId {
    match is_definition(ty) {
        true => {
            let parameters: Vec<TypeId> = type_parameters(ty).into_iter().map(hide).collect();
            runtime().types.instance(ty, &parameters)
        }
        false => hide(ty),
    }
}
