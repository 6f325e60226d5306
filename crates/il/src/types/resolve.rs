//! From tokens and signatures to types, methods and fields.
//!
//! What a row means is worked out once with its generic parameters left open and kept; a generic context is then filled in by
//! substitution.

use smallvec::SmallVec;

use super::intern::IdCell;
use super::*;
use crate::error::{Error, Result};
use crate::signature::{MemberSig, MethodSig, StandAloneSig, TypeSig};
use crate::tables::{MemberRefRow, MethodDefRow, MethodSpecRow, StandAloneSigRow, TableId, Token, TypeSpecRow};

/// What a token names (`ldtoken`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Member {
    /// A type.
    Type(TypeId),
    /// A method.
    Method(MethodId),
    /// A field.
    Field(FieldId),
}

impl TypeSystem {
    /// The type of a TypeDef, TypeRef or TypeSpec.
    pub fn resolve_type(&self, assembly: AssemblyId, token: Token, context: &GenericContext<'_>) -> Result<TypeId> {
        let row = token.row();
        match token.table() {
            Some(TableId::TypeDef) if self.metadata(assembly).has_row(token) => Ok(self.type_definition(assembly, row)),
            Some(TableId::TypeRef) => self.resolve_type_ref(assembly, row),
            Some(TableId::TypeSpec) => Ok(self.substitute(self.open_type_spec(assembly, row)?, context)),
            _ => Err(self.bad_token(assembly, token, "not a type")),
        }
    }

    fn open_type_spec(&self, assembly: AssemblyId, row: u32) -> Result<TypeId> {
        let cell = self.loaded(assembly).type_specs.get(row as usize);
        if let Some(id) = cell.and_then(IdCell::get) {
            return Ok(TypeId(id));
        }
        let metadata = self.metadata(assembly);
        let spec: TypeSpecRow = metadata.row(row)?;
        let signature = TypeSig::parse(metadata.blob(spec.signature)?);
        let signature = signature.map_err(|error| metadata.locate(error).with_token(Token::new(TableId::TypeSpec, row)))?;
        let found = self.type_from_signature(assembly, &signature, &GenericContext::EMPTY)?;
        if let Some(cell) = cell {
            cell.set(found.0);
        }
        Ok(found)
    }

    /// The type that a signature spells, without custom modifiers.
    pub fn type_from_signature(&self, assembly: AssemblyId, signature: &TypeSig, context: &GenericContext<'_>) -> Result<TypeId> {
        let inner = |sig: &TypeSig| self.type_from_signature(assembly, sig, context);
        Ok(match signature {
            TypeSig::Void => TypeId::VOID,
            TypeSig::Boolean => TypeId::BOOLEAN,
            TypeSig::Char => TypeId::CHAR,
            TypeSig::I1 => TypeId::I1,
            TypeSig::U1 => TypeId::U1,
            TypeSig::I2 => TypeId::I2,
            TypeSig::U2 => TypeId::U2,
            TypeSig::I4 => TypeId::I4,
            TypeSig::U4 => TypeId::U4,
            TypeSig::I8 => TypeId::I8,
            TypeSig::U8 => TypeId::U8,
            TypeSig::R4 => TypeId::R4,
            TypeSig::R8 => TypeId::R8,
            TypeSig::I => TypeId::I,
            TypeSig::U => TypeId::U,
            TypeSig::String => TypeId::STRING,
            TypeSig::Object => TypeId::OBJECT,
            TypeSig::TypedByRef => TypeId::TYPED_REFERENCE,
            TypeSig::Class(token) | TypeSig::ValueType(token) => self.resolve_nested(assembly, *token, context)?,
            TypeSig::Ptr(target) => self.pointer(inner(target)?),
            TypeSig::ByRef(target) => self.by_ref(inner(target)?),
            TypeSig::SzArray(element) => self.sz_array(inner(element)?),
            TypeSig::Array(element, shape) => self.array(inner(element)?, shape.rank),
            TypeSig::GenericInst { definition, arguments, .. } => {
                let definition = self.resolve_nested(assembly, *definition, context)?;
                let args = arguments.iter().map(inner).collect::<Result<SmallVec<[TypeId; 4]>>>()?;
                self.instance(definition, &args)
            }
            TypeSig::Var(number) => match context.type_args.get(*number as usize) {
                Some(&arg) => arg,
                None => self.var(*number),
            },
            TypeSig::MVar(number) => match context.method_args.get(*number as usize) {
                Some(&arg) => arg,
                None => self.mvar(*number),
            },
            TypeSig::FnPtr(method) => self.function_pointer(self.signature_from(assembly, method, context)?),
            TypeSig::Modified { inner: modified, .. } => inner(modified)?,
            TypeSig::Pinned(pinned) => inner(pinned)?,
        })
    }

    /// A token within a signature. A TypeSpec there could lead to itself through its own signature.
    fn resolve_nested(&self, assembly: AssemblyId, token: Token, context: &GenericContext<'_>) -> Result<TypeId> {
        if token.table() != Some(TableId::TypeSpec) {
            return self.resolve_type(assembly, token, context);
        }
        let metadata = self.metadata(assembly);
        let spec: TypeSpecRow = metadata.row_of(token)?;
        match TypeSig::parse(metadata.blob(spec.signature)?)? {
            TypeSig::Class(inner) | TypeSig::ValueType(inner) if inner.table() != Some(TableId::TypeSpec) => {
                self.resolve_type(assembly, inner, context)
            }
            _ => Err(self.bad_token(assembly, token, "a signature refers to a constructed type")),
        }
    }

    /// A method's signature with all types resolved.
    pub fn signature_from(&self, assembly: AssemblyId, sig: &MethodSig, context: &GenericContext<'_>) -> Result<MethodSignature> {
        let ty = |sig: &TypeSig| self.type_from_signature(assembly, sig, context);
        Ok(MethodSignature {
            params: sig.params.iter().map(ty).collect::<Result<Box<[TypeId]>>>()?,
            ret: ty(&sig.ret)?,
            has_this: sig.has_this,
            explicit_this: sig.explicit_this,
            convention: sig.convention,
            generic_param_count: sig.generic_param_count,
            fixed_params: sig.sentinel,
        })
    }

    /// The method of a MethodDef, MemberRef or MethodSpec.
    pub fn resolve_method(&self, assembly: AssemblyId, token: Token, context: &GenericContext<'_>) -> Result<MethodId> {
        Ok(self.substitute_method(self.open_method(assembly, token)?, context))
    }

    fn open_method(&self, assembly: AssemblyId, token: Token) -> Result<MethodId> {
        match token.table() {
            Some(TableId::MethodDef) => self.method_definition(assembly, token.row()),
            Some(TableId::MemberRef) => match self.open_member_ref(assembly, token.row())? {
                Member::Method(method) => Ok(method),
                _ => Err(self.bad_token(assembly, token, "a field where a method is expected")),
            },
            Some(TableId::MethodSpec) => self.open_method_spec(assembly, token.row()),
            _ => Err(self.bad_token(assembly, token, "not a method")),
        }
    }

    fn open_method_spec(&self, assembly: AssemblyId, row: u32) -> Result<MethodId> {
        let cell = self.loaded(assembly).method_specs.get(row as usize);
        if let Some(id) = cell.and_then(IdCell::get) {
            return Ok(MethodId(id));
        }
        let metadata = self.metadata(assembly);
        let token = Token::new(TableId::MethodSpec, row);
        let spec: MethodSpecRow = metadata.row(row)?;
        if spec.method.table() == Some(TableId::MethodSpec) {
            return Err(self.bad_token(assembly, token, "an instance of an instance"));
        }
        let definition = self.open_method(assembly, spec.method)?;
        let sigs = TypeSig::parse_method_spec(metadata.blob(spec.instantiation)?);
        let sigs = sigs.map_err(|error| metadata.locate(error).with_token(token))?;
        let types = sigs.iter().map(|sig| self.type_from_signature(assembly, sig, &GenericContext::EMPTY));
        let args = types.collect::<Result<SmallVec<[TypeId; 4]>>>()?;
        let method = self.method(definition);
        if method.generic_param_count as usize != args.len() {
            return Err(self.bad_token(assembly, token, "wrong number of type arguments of a generic method"));
        }
        let found = self.instantiate_method(definition, method.owner, &args);
        if let Some(cell) = cell {
            cell.set(found.0);
        }
        Ok(found)
    }

    /// The field of a Field or MemberRef.
    pub fn resolve_field(&self, assembly: AssemblyId, token: Token, context: &GenericContext<'_>) -> Result<FieldId> {
        let open = match token.table() {
            Some(TableId::Field) => self.field_definition(assembly, token.row())?,
            Some(TableId::MemberRef) => match self.open_member_ref(assembly, token.row())? {
                Member::Field(field) => field,
                _ => return Err(self.bad_token(assembly, token, "a method where a field is expected")),
            },
            _ => return Err(self.bad_token(assembly, token, "not a field")),
        };
        let field = self.field(open);
        if !self.contains_type_variables(field.owner) {
            return Ok(open);
        }
        let owner = self.substitute(field.owner, context);
        let index = field.index as usize;
        self.fields_of(owner)?.get(index).copied().ok_or_else(|| self.bad_token(assembly, token, "no such field"))
    }

    /// The field of a Field row on the open type that declares it.
    pub fn field_definition(&self, assembly: AssemblyId, row: u32) -> Result<FieldId> {
        let metadata = self.metadata(assembly);
        let owner = metadata.owner_of_field(row);
        let fields = match owner {
            0 => &[],
            owner => self.fields_of(self.type_definition(assembly, owner))?,
        };
        let first = fields.first().map_or(0, |&f| self.field(f).row);
        let guess = fields.get(row.wrapping_sub(first) as usize).copied().filter(|&f| self.field(f).row == row);
        let found = guess.or_else(|| fields.iter().copied().find(|&f| self.field(f).row == row));
        found.ok_or_else(|| self.bad_token(assembly, Token::new(TableId::Field, row), "no such field"))
    }

    /// Whatever a token names, as for `ldtoken`.
    pub fn resolve_member(&self, assembly: AssemblyId, token: Token, context: &GenericContext<'_>) -> Result<Member> {
        match token.table() {
            Some(TableId::TypeDef | TableId::TypeRef | TableId::TypeSpec) => {
                self.resolve_type(assembly, token, context).map(Member::Type)
            }
            Some(TableId::Field) => self.resolve_field(assembly, token, context).map(Member::Field),
            Some(TableId::MethodDef | TableId::MethodSpec) => self.resolve_method(assembly, token, context).map(Member::Method),
            Some(TableId::MemberRef) => match self.open_member_ref(assembly, token.row())? {
                Member::Field(_) => self.resolve_field(assembly, token, context).map(Member::Field),
                _ => self.resolve_method(assembly, token, context).map(Member::Method),
            },
            _ => Err(self.bad_token(assembly, token, "neither a type nor a member")),
        }
    }

    /// The signature of a call: the method's own, or that of a MemberRef with variable arguments with all arguments.
    pub fn call_site_signature(
        &self,
        assembly: AssemblyId,
        token: Token,
        context: &GenericContext<'_>,
    ) -> Result<MethodSignature> {
        if let Some(row) = token.row_in(TableId::MemberRef) {
            let metadata = self.metadata(assembly);
            let member: MemberRefRow = metadata.row(row)?;
            if let MemberSig::Method(sig) = MemberSig::parse(metadata.blob(member.signature)?)? {
                if sig.sentinel.is_some() {
                    return self.signature_from(assembly, &sig, context);
                }
            }
        }
        Ok(self.method_signature(self.resolve_method(assembly, token, context)?)?.clone())
    }

    /// The signature that a `calli` names.
    pub fn stand_alone_signature(
        &self,
        assembly: AssemblyId,
        token: Token,
        context: &GenericContext<'_>,
    ) -> Result<MethodSignature> {
        let metadata = self.metadata(assembly);
        let row: StandAloneSigRow = metadata.row_of(token)?;
        let sig = StandAloneSig::parse(metadata.blob(row.signature)?);
        match sig.map_err(|error| metadata.locate(error).with_token(token))? {
            StandAloneSig::Method(sig) => self.signature_from(assembly, &sig, context),
            _ => Err(self.bad_token(assembly, token, "not a method's signature")),
        }
    }

    fn open_member_ref(&self, assembly: AssemblyId, row: u32) -> Result<Member> {
        let cell = self.loaded(assembly).member_refs.get(row as usize);
        if let Some(packed) = cell.and_then(IdCell::get) {
            let is_field = packed & 1 != 0;
            return Ok(if is_field { Member::Field(FieldId(packed >> 1)) } else { Member::Method(MethodId(packed >> 1)) });
        }
        let token = Token::new(TableId::MemberRef, row);
        let found = self.find_member(assembly, row).map_err(|error| self.metadata(assembly).locate(error).with_token(token))?;
        if let Some(cell) = cell {
            cell.set(match found {
                Member::Field(field) => field.0 << 1 | 1,
                Member::Method(method) => method.0 << 1,
                Member::Type(t) => t.0,
            });
        }
        Ok(found)
    }

    fn find_member(&self, assembly: AssemblyId, row: u32) -> Result<Member> {
        let metadata = self.metadata(assembly);
        let member: MemberRefRow = metadata.row(row)?;
        let name = metadata.string(member.name);
        let owner = match member.class.table() {
            // A call with variable arguments of a method of this module.
            Some(TableId::MethodDef) => {
                let method = self.open_method(assembly, member.class)?;
                let is_variadic = self.method_signature(method)?.convention == CallConvention::VarArg;
                return match is_variadic {
                    true => Ok(Member::Method(method)),
                    false => Err(Error::bad_image("a MemberRef within a method without variable arguments")),
                };
            }
            // Members of the module itself.
            Some(TableId::ModuleRef) => self.type_definition(assembly, 1),
            _ => self.resolve_type(assembly, member.class, &GenericContext::EMPTY)?,
        };
        match MemberSig::parse(metadata.blob(member.signature)?)? {
            MemberSig::Field(sig) => {
                let wanted = self.type_from_signature(assembly, &sig, &GenericContext::EMPTY)?;
                self.find_field_in_bases(owner, name, wanted).map(Member::Field)
            }
            MemberSig::Method(sig) => {
                let mut wanted = self.signature_from(assembly, &sig, &GenericContext::EMPTY)?;
                if let Some(fixed) = wanted.fixed_params.take() {
                    wanted.params = wanted.params.iter().copied().take(fixed as usize).collect();
                }
                let found = self.find_method_in_bases(owner, name, &wanted)?;
                self.with_same_modifiers(found, assembly, metadata.blob(member.signature)?).map(Member::Method)
            }
        }
    }

    /// Finds a field by name in `owner` and its base classes; `wanted` is its type in terms of the open definition.
    fn find_field_in_bases(&self, owner: TypeId, name: &str, wanted: TypeId) -> Result<FieldId> {
        let mut open = self.generic_definition_type(owner);
        let mut current = owner;
        loop {
            for (index, &f) in self.fields_of(open)?.iter().enumerate() {
                if self.field_name(f) == name && self.field_type(f)? == wanted {
                    return Ok(self.fields_of(current)?[index]);
                }
            }
            match self.header(open)?.parent {
                Some(parent) => {
                    open = parent;
                    current = self.substitute(parent, &self.type_context(owner));
                }
                None => return Err(self.missing_field(owner, name, wanted)),
            }
        }
    }

    /// Finds a method by name and signature in `owner`, its base classes, and for an interface what it extends; `wanted` is the
    /// signature in terms of the open definition.
    pub fn find_method_in_bases(&self, owner: TypeId, name: &str, wanted: &MethodSignature) -> Result<MethodId> {
        if let Some(method) = self.find_array_method(owner, name, wanted) {
            return Ok(method);
        }
        let context = self.type_context(owner);
        let definition = self.generic_definition_type(owner);
        let mut current = Some(definition);
        while let Some(open) = current {
            if let Some(row) = self.find_declared(open, name, wanted)? {
                let owner = if open == definition { owner } else { self.substitute(open, &context) };
                return Ok(self.method_on(owner, row));
            }
            current = self.header(open)?.parent;
        }
        if self.header(definition)?.is_interface() {
            for &base in self.interfaces(definition)?.iter().chain([&TypeId::OBJECT]) {
                if let Some(row) = self.find_declared(base, name, wanted)? {
                    return Ok(self.method_on(self.substitute(base, &context), row));
                }
            }
        }
        Err(self.missing_method(owner, name, wanted))
    }

    /// MethodDef row of a method that a type itself declares.
    pub(crate) fn find_declared(&self, owner: TypeId, name: &str, wanted: &MethodSignature) -> Result<Option<u32>> {
        let Some((assembly, type_row)) = self.definition_of(owner) else {
            return Ok(None);
        };
        let metadata = self.metadata(assembly);
        for row in metadata.methods_of(type_row) {
            let method: MethodDefRow = metadata.row(row)?;
            if metadata.string_bytes(method.name) == name.as_bytes() {
                // An overload that cannot be loaded does not hide the others.
                if self.method_signature(self.method_on(owner, row)).is_ok_and(|signature| signature.matches(wanted)) {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }

    fn find_array_method(&self, owner: TypeId, name: &str, wanted: &MethodSignature) -> Option<MethodId> {
        self.array_rank(owner)?;
        let kind = match name {
            ".ctor" => ArrayMethod::Constructor(wanted.params.len() as u32),
            "Get" => ArrayMethod::Get,
            "Set" => ArrayMethod::Set,
            "Address" => ArrayMethod::Address,
            _ => return None,
        };
        Some(self.array_method(owner, kind))
    }

    #[cold]
    fn bad_token(&self, assembly: AssemblyId, token: Token, message: &str) -> Error {
        self.metadata(assembly).locate(Error::bad_image(message).with_token(token))
    }
}
