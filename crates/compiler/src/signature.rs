//! From CIL signatures to SSA signatures: how each argument and result travels.
//!
//! The back end decides how structures are passed; this module only lists the pieces in the order `this`, result address,
//! parameters, generic context.

use crate::env::MethodEnv;
use crate::marshal::NativeForm;
use crate::marshal::signature::NativeSignature;
use il::types::{MethodId, MethodSignature, Storage, TypeId, TypeSystem};
use ir::Type;
use ir::mach::{StructPassing, StructShape, StructUse};
use ir::signature::{CallConvention, Param, ParamKind, Signature};
use ir::types::Access;
use smallvec::{SmallVec, smallvec};

/// How one CIL value is passed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Passing {
    /// Not at all (`void`, empty structures).
    Nothing,
    /// As one SSA value.
    Scalar(Access),
    /// In pieces: types with their byte offsets in the structure.
    Pieces(SmallVec<[(Type, u32); 4]>),
    /// As the address of memory that belongs to the callee for the call; a result through the `StructReturn` parameter.
    Reference,
    /// Copied to the argument area (native convention).
    Stack,
}

/// A CIL value with the way it is passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Its CIL type.
    pub ty: TypeId,
    /// What a location of that type holds.
    pub storage: Storage,
    /// How it travels.
    pub passing: Passing,
}

/// A method's or call site's signature, in SSA terms and in CIL terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AbiSignature {
    /// What the back end sees.
    pub signature: Signature,
    /// Arguments with `this` first.
    pub params: Vec<Passed>,
    /// The result.
    pub result: Passed,
    /// Whether the first of `params` is `this`.
    pub has_this: bool,
    /// Whether the generic context follows the parameters.
    pub has_context: bool,
}

/// Where shared code finds its generic context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextSource {
    /// The method table of `this` leads to that of the method's class.
    This,
    /// A parameter holds the method table of the class.
    ClassParameter,
    /// A parameter holds the method's dictionary.
    MethodParameter,
}

/// The memory access for a location, unless it is `void` or a structure.
pub fn storage_access(storage: Storage) -> Option<Access> {
    Some(match storage {
        Storage::Void | Storage::Struct { .. } => return None,
        Storage::I1 => Access::I8,
        Storage::U1 => Access::U8,
        Storage::I2 => Access::I16,
        Storage::U2 => Access::U16,
        Storage::I4 | Storage::U4 => Access::Full(Type::I32),
        Storage::I8 | Storage::U8 => Access::Full(Type::I64),
        Storage::R4 => Access::Full(Type::F32),
        Storage::R8 => Access::Full(Type::F64),
        Storage::NativeInt | Storage::NativeUInt => Access::Full(Type::Iptr),
        Storage::Ref => Access::Full(Type::Ref),
        Storage::ManagedPointer => Access::Full(Type::Mptr),
    })
}

/// The scalar fields of a structure as the back end wants them.
pub fn struct_shape(types: &TypeSystem, ty: TypeId, size: u32, align: u32) -> il::Result<StructShape> {
    let fields = types.flattened_fields(ty)?;
    let fields = fields.into_iter().filter_map(|(offset, storage)| Some((offset, storage_access(storage)?))).collect();
    Ok(StructShape { size, align, fields })
}

fn passed(env: &dyn MethodEnv, ty: TypeId, convention: CallConvention, usage: StructUse) -> il::Result<Passed> {
    let types = env.types();
    let storage = types.storage(ty)?;
    let passing = match storage {
        Storage::Void => Passing::Nothing,
        Storage::Struct { size, align } => {
            env.depend_on_layout(ty);
            passing_of(env.backend().pass_struct(&struct_shape(types, ty, size, align)?, convention, usage))
        }
        scalar => storage_access(scalar).map_or(Passing::Nothing, Passing::Scalar),
    };
    Ok(Passed { ty, storage, passing })
}

/// Breaks a CIL signature down. `this` is the type of the `this` argument as a location (a reference or managed pointer).
pub fn abi_signature(
    env: &dyn MethodEnv,
    convention: CallConvention,
    this: Option<TypeId>,
    signature: &MethodSignature,
    has_context: bool,
) -> il::Result<AbiSignature> {
    let mut params = Vec::with_capacity(signature.params.len() + 1);
    for ty in this.into_iter().chain(signature.params.iter().copied()) {
        params.push(passed(env, ty, convention, StructUse::Param)?);
    }
    let result = passed(env, signature.ret, convention, StructUse::Result)?;
    Ok(lower(convention, params, result, this.is_some(), has_context))
}

/// The native side of a call between managed and native code. Its `Passed` name the managed types.
pub fn native_abi(env: &dyn MethodEnv, native: &NativeSignature) -> AbiSignature {
    let passed = |ty: TypeId, form: &NativeForm, usage: StructUse| {
        let passing = match form.storage {
            Storage::Struct { size, align } => {
                // An empty structure of C has no bytes.
                let size = if form.fields.is_empty() { 0 } else { size };
                let shape = StructShape { size, align, fields: form.fields.clone() };
                passing_of(env.backend().pass_struct(&shape, native.convention, usage))
            }
            scalar => storage_access(scalar).map_or(Passing::Nothing, Passing::Scalar),
        };
        Passed { ty, storage: form.storage, passing }
    };
    let params = native.params.iter().map(|param| passed(param.ty, &param.form, StructUse::Param)).collect();
    let result = passed(native.result.ty, &native.result.form, StructUse::Result);
    lower(native.convention, params, result, false, false)
}

fn passing_of(passing: StructPassing) -> Passing {
    match passing {
        StructPassing::Pieces(pieces) => Passing::Pieces(pieces),
        StructPassing::Reference => Passing::Reference,
        StructPassing::Stack => Passing::Stack,
        StructPassing::Nothing => Passing::Nothing,
    }
}

/// Lists the pieces of all parameters.
fn lower(convention: CallConvention, params: Vec<Passed>, result: Passed, has_this: bool, has_context: bool) -> AbiSignature {
    let mut lowered = Signature::new(convention);
    let is_native = convention != CallConvention::Managed;
    let returns_struct = result.passing == Passing::Reference;
    let hidden = Param { ty: Type::Iptr, kind: ParamKind::StructReturn };
    // Native code has the hidden parameter first, managed code after `this`.
    let hidden_place = usize::from(has_this && convention == CallConvention::Managed);
    for (index, param) in params.iter().enumerate() {
        if returns_struct && index == hidden_place {
            lowered.params.push(hidden);
        }
        match &param.passing {
            Passing::Nothing => {}
            Passing::Scalar(access) => lowered.params.push(Param::normal(access.value_type())),
            Passing::Pieces(pieces) => {
                let first = lowered.params.len();
                lowered.params.extend(pieces.iter().map(|&(ty, _)| Param::normal(ty)));
                if let (true, 2.., Storage::Struct { align, .. }) = (is_native, pieces.len(), param.storage) {
                    lowered.params[first].kind = ParamKind::FirstPiece { pieces: pieces.len() as u16, align: align as u16 };
                }
            }
            Passing::Reference => lowered.params.push(Param::normal(Type::Mptr)),
            Passing::Stack => {
                let Storage::Struct { size, align } = param.storage else { continue };
                lowered.params.push(Param { ty: Type::Mptr, kind: ParamKind::StructByValue { size, align } });
            }
        }
    }
    if returns_struct && hidden_place >= params.len() {
        lowered.params.push(hidden);
    }
    if has_context {
        lowered.params.push(Param { ty: Type::Iptr, kind: ParamKind::GenericContext });
    }
    lowered.results = match &result.passing {
        Passing::Scalar(access) => smallvec![access.value_type()],
        Passing::Pieces(pieces) => pieces.iter().map(|&(ty, _)| ty).collect(),
        _ => SmallVec::new(),
    };
    AbiSignature { signature: lowered, params, result, has_this, has_context }
}

/// Where the code of `method` (a canonical one) finds its generic context, if it needs one.
pub fn context_source(types: &TypeSystem, method: MethodId) -> Option<ContextSource> {
    if !types.is_shared(method) {
        return None;
    }
    let data = types.method(method);
    if data.method_args.iter().any(|&argument| types.contains_canon(argument)) {
        return Some(ContextSource::MethodParameter);
    }
    if !types.contains_canon(data.owner) {
        return None;
    }
    let is_static = !types.method_signature(method).is_ok_and(|signature| signature.has_this);
    // The object of a default interface method does not tell which instance of the interface was called: it may have several.
    let by_parameter = is_static || types.is_value_type(data.owner) || types.is_interface(data.owner);
    Some(if by_parameter { ContextSource::ClassParameter } else { ContextSource::This })
}

/// Type of the `this` argument of `method` as a location, if it has one.
pub fn this_type(types: &TypeSystem, method: MethodId) -> il::Result<Option<TypeId>> {
    if !types.method_signature(method)?.has_this {
        return Ok(None);
    }
    let owner = types.method(method).owner;
    Ok(Some(if types.is_value_type(owner) { types.by_ref(owner) } else { owner }))
}

/// The managed signature of a canonical method: that of its code. The last parameter of a method with variable arguments is the address of an
/// argument list (`abi::ObjectLayout::argument_list_entries`).
pub fn method_signature(env: &dyn MethodEnv, method: MethodId) -> il::Result<AbiSignature> {
    let types = env.types();
    let needs_context =
        matches!(context_source(types, method), Some(ContextSource::ClassParameter | ContextSource::MethodParameter));
    let this = this_type(types, method)?;
    let signature = types.method_signature(method)?;
    match takes_argument_list(types, method)? {
        true => abi_signature(env, CallConvention::Managed, this, &with_argument_list(signature), needs_context),
        false => abi_signature(env, CallConvention::Managed, this, signature, needs_context),
    }
}

/// Whether a method gets variable arguments in an argument list (`abi::ObjectLayout::argument_list_entries`). Imported ones get them as C does.
pub fn takes_argument_list(types: &TypeSystem, method: MethodId) -> il::Result<bool> {
    let convention = types.method_signature(method)?.convention;
    Ok(convention == il::signature::CallConvention::VarArg && !types.method(method).is_pinvoke())
}

/// A signature without its variable arguments, with the address of the argument list in their place.
pub fn with_argument_list(signature: &MethodSignature) -> MethodSignature {
    let params = signature.fixed().iter().copied().chain([TypeId::I]).collect();
    MethodSignature { params, fixed_params: None, ..signature.clone() }
}
