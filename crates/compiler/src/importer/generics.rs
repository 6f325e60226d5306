//! What tokens mean, and how shared generic code gets at what depends on its type arguments.
//!
//! Shared code is imported once over [`TypeId::CANON`]. A token whose meaning mentions it is resolved twice: over the canonical
//! arguments for layouts and signatures, and *open*, in terms of type variables, for the lookup at run time.

use super::{Failure, Importer, Outcome};
use crate::abi::{HelperId, lookup_answers};
use crate::env::CellRequest;
use crate::signature::{ContextSource, context_source};
use il::types::{FieldId, GenericContext, MethodId, TypeId, TypeSystem};
use il::{Error, ErrorKind, Token};
use ir::Type;
use ir::builder::Variable;
use ir::entity::{StackSlot, Value};
use ir::instruction::{IntCompare, MemoryFlags};
use rustc_hash::FxHashMap;
use std::marker::PhantomData;

/// A type in the code at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TypeRef {
    /// Exact, or over canonical arguments.
    pub ty: TypeId,
    /// The same in terms of type variables, if it takes a lookup.
    pub open: Option<TypeId>,
}

impl TypeRef {
    /// A type that needs no lookup.
    pub fn exact(ty: TypeId) -> TypeRef {
        TypeRef { ty, open: None }
    }
}

/// A method in the code at hand; likewise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MethodRef {
    pub method: MethodId,
    pub open: Option<MethodId>,
}

/// A field in the code at hand; `owner` likewise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FieldRef {
    pub field: FieldId,
    pub owner: TypeRef,
}

/// The generic context of the method that is imported.
pub(super) struct GenericState<'a> {
    source: Option<ContextSource>,
    /// The context value, from the entry block on.
    context: Option<(Variable, Option<StackSlot>)>,
    /// The object from which the context is read where it is wanted.
    this: Option<Value>,
    /// Lookups made in the current block.
    known: FxHashMap<CellRequest, Value>,
    types: PhantomData<&'a TypeSystem>,
}

impl<'a> GenericState<'a> {
    pub fn new(types: &'a TypeSystem, method: MethodId) -> GenericState<'a> {
        GenericState {
            source: context_source(types, method),
            context: None,
            this: None,
            known: FxHashMap::default(),
            types: PhantomData,
        }
    }
    pub fn has_method_dictionary(&self) -> bool {
        self.source == Some(ContextSource::MethodParameter)
    }
    /// Values of the block before are not to be used any more.
    pub fn forget_block(&mut self) {
        self.known.clear();
    }
    /// The context's variable with its place for handlers.
    pub fn backed_context(&self) -> Option<(Variable, StackSlot)> {
        self.context.and_then(|(variable, slot)| Some((variable, slot?)))
    }
}

impl<'a> Importer<'a, '_> {
    /// Takes the context from its parameter or from `this`, in the entry block.
    pub(super) fn place_context(&mut self, parameter: Option<Value>, this: Option<Value>) -> Outcome {
        let value = match (self.generic.source, parameter, this) {
            (None, ..) => return Ok(()),
            (Some(ContextSource::This), _, Some(this)) => {
                if self.body.clauses.is_empty() {
                    // `this` itself is within reach of every block, so the context is read where it is wanted.
                    self.generic.this = Some(this);
                    return Ok(());
                }
                self.context_of_this(this)?
            }
            (Some(_), Some(parameter), _) => parameter,
            _ => return Err(super::invalid("shared code without a generic context")),
        };
        let variable = self.b.declare_variable(Type::Iptr);
        self.b.def_variable(variable, value);
        let slot = self.back_up(value)?;
        self.generic.context = Some((variable, slot));
        Ok(())
    }

    /// The method table of the method's class, found through the object.
    fn context_of_this(&mut self, this: Value) -> Outcome<Value> {
        let owner = self.types.method(self.method).owner;
        let depth = self.types.header(owner)?.depth;
        let method_table = self.load_method_table(this);
        let display_field = self.runtime_field(Type::Iptr, self.abi.method_table_display());
        let display = self.b.load(display_field, method_table);
        let place = self.runtime_field(Type::Iptr, ((depth - 1) * self.abi.pointer_bytes) as i32);
        Ok(self.b.load(place, display))
    }

    /// The generic context of the code at hand.
    pub(super) fn generic_context(&mut self) -> Outcome<Value> {
        match (self.generic.context, self.generic.this) {
            (Some((variable, _)), _) => Ok(self.b.use_variable(variable)),
            (None, Some(this)) => self.context_of_this(this),
            (None, None) => Err(super::invalid("a type variable without a generic context")),
        }
    }

    // Tokens

    /// What leaves the variables open that the context of a lookup knows. A class's method table says nothing of the method's own
    /// arguments: without a dictionary these are exact.
    pub(super) fn open_context(&self) -> GenericContext<'a> {
        if self.generic.has_method_dictionary() {
            GenericContext::EMPTY
        } else {
            GenericContext { type_args: &[], method_args: self.context.method_args }
        }
    }

    /// The type of an operand.
    pub(super) fn resolve_type(&self, token: Token) -> Outcome<TypeRef> {
        match self.types.resolve_type(self.assembly, token, &self.context) {
            Ok(ty) => self.type_ref(ty, token),
            Err(error) => Err(unknown_type(&error)),
        }
    }

    /// As [`Importer::resolve_type`], for what names the type that it lacks (`ldtoken`, clauses).
    pub(super) fn resolve_type_token(&self, token: Token) -> Outcome<TypeRef> {
        self.type_ref(self.types.resolve_type(self.assembly, token, &self.context)?, token)
    }

    fn type_ref(&self, ty: TypeId, token: Token) -> Outcome<TypeRef> {
        self.types.check_implementations(ty)?;
        let open =
            if self.needs_lookup(ty) { Some(self.types.resolve_type(self.assembly, token, &self.open_context())?) } else { None };
        Ok(TypeRef { ty, open })
    }

    pub(super) fn resolve_method(&self, token: Token) -> Outcome<MethodRef> {
        let method = self.types.resolve_method(self.assembly, token, &self.context)?;
        if !self.types.can_access_method(self.method, method) {
            let (member, from) = (self.types.member_name(method), self.types.member_name(self.method));
            let message = format!("Method `{member}' is inaccessible from method `{from}'");
            return Err(Error::new(ErrorKind::MethodAccess, message).into());
        }
        self.method_ref(method, token)
    }

    pub(super) fn method_ref(&self, method: MethodId, token: Token) -> Outcome<MethodRef> {
        for &argument in &self.types.method(method).method_args {
            if self.types.is_by_ref_like(argument) {
                return Err(self.misused_by_ref_like(argument));
            }
        }
        if let Err(error) = self.types.method_signature(method) {
            return Err(match error.kind() {
                ErrorKind::FileNotFound | ErrorKind::FileLoad | ErrorKind::TypeLoad => unknown_type(&error),
                _ => error.into(),
            });
        }
        let open = if self.generic.source.is_some() && self.types.is_shared(method) {
            Some(self.types.resolve_method(self.assembly, token, &self.open_context())?)
        } else {
            None
        };
        Ok(MethodRef { method, open })
    }

    /// The error for a type of the stack alone where a type argument or an object would be made of it.
    pub(super) fn misused_by_ref_like(&self, ty: TypeId) -> Failure {
        let error = Error::bad_image("a type that lives on the stack only cannot be boxed, nor be a type argument");
        Failure::Method(error.with_name(self.types.type_name(ty)))
    }

    pub(super) fn resolve_field(&self, token: Token) -> Outcome<FieldRef> {
        let field = self.types.resolve_field(self.assembly, token, &self.context)?;
        let owner = self.types.field(field).owner;
        if !self.types.can_access_field(self.method, field) {
            let (owner, name) = (self.types.type_name(owner), self.types.field_name(field));
            let from = self.types.method_full_name(self.method);
            let message = format!("Field `{owner}:{name}' is inaccessible from method `{from}'\n");
            return Err(Error::new(ErrorKind::FieldAccess, message).into());
        }
        let open = if self.needs_lookup(owner) {
            let open = self.types.resolve_field(self.assembly, token, &self.open_context())?;
            Some(self.types.field(open).owner)
        } else {
            None
        };
        Ok(FieldRef { field, owner: TypeRef { ty: owner, open } })
    }

    pub(super) fn needs_lookup(&self, ty: TypeId) -> bool {
        self.generic.source.is_some() && self.types.contains_canon(ty)
    }

    /// The method's own class.
    pub(super) fn own_class(&self) -> TypeRef {
        let owner = self.types.method(self.method).owner;
        let open = self.needs_lookup(owner).then(|| {
            let definition = self.types.generic_definition_type(owner);
            let count = self.types.type_args(owner).len() as u32;
            let variables: Vec<TypeId> = (0..count).map(|number| self.types.var(number)).collect();
            self.types.instance(definition, &variables)
        });
        TypeRef { ty: owner, open }
    }

    /// The vector type of an element type.
    pub(super) fn vector_of(&self, element: TypeRef) -> TypeRef {
        let open = element.open.map(|open| self.types.sz_array(open));
        TypeRef { ty: self.types.sz_array(element.ty), open }
    }

    /// The class that declares a method.
    pub(super) fn owner_of(&self, method: MethodRef) -> TypeRef {
        let open = method.open.map(|open| self.types.method(open).owner);
        let ty = self.types.method(method.method).owner;
        TypeRef { ty, open: open.filter(|_| self.types.contains_canon(ty)) }
    }

    // Values

    /// The value of a request about a type, looked up if need be.
    pub(crate) fn type_cell(&mut self, ty: TypeRef, request: fn(TypeId) -> CellRequest, result: Type) -> Outcome<Value> {
        match ty.open {
            None => Ok(self.cell(request(ty.ty), result)),
            Some(open) => self.lookup(request(open), result),
        }
    }

    /// The value of a request about a method, looked up if need be.
    pub(super) fn method_cell(
        &mut self,
        method: MethodRef,
        request: fn(MethodId) -> CellRequest,
        result: Type,
    ) -> Outcome<Value> {
        match method.open {
            None => Ok(self.cell(request(method.method), result)),
            Some(open) => self.lookup(request(open), result),
        }
    }

    /// The handle of the field that `token` names.
    pub(super) fn field_handle(&mut self, field: FieldRef, token: Token) -> Outcome<Value> {
        if field.owner.open.is_none() {
            return Ok(self.cell(CellRequest::FieldHandle(field.field), Type::Iptr));
        }
        let open = self.types.resolve_field(self.assembly, token, &self.open_context())?;
        self.lookup(CellRequest::FieldHandle(open), Type::Iptr)
    }

    pub(crate) fn method_table(&mut self, ty: TypeRef) -> Outcome<Value> {
        self.type_cell(ty, CellRequest::MethodTable, Type::Iptr)
    }

    fn lookup(&mut self, request: CellRequest, result: Type) -> Outcome<Value> {
        let number = self.lookup_number(request);
        if let Some(&value) = self.generic.known.get(&request) {
            return Ok(value);
        }
        let context = self.generic_context()?;
        let cell = self.cell_address(CellRequest::GenericLookup(number));
        let value = self.look_up(context, cell);
        let value = self.as_pointer(value, result);
        // Within one block of IL the instructions that follow may sit in blocks that it does not dominate only if it was made in a
        // side branch; lookups are never made there.
        self.generic.known.insert(request, value);
        Ok(value)
    }

    /// The answer that a lookup's cell gives for a context: from the table that it leads to, or by the helper.
    fn look_up(&mut self, context: Value, cell: Value) -> Value {
        let (merge, answer) = self.merge_block(Type::Iptr);
        let (probe, found, ask) = (self.new_block(), self.new_block(), self.cold_block());
        let memory = self.changing_field(0);
        let table = self.b.load(memory, cell);
        let is_missing = self.is_null(table);
        self.b.brif(is_missing, ask, &[], probe, &[]);
        self.enter(probe);
        let memory = self.runtime_field(Type::Iptr, lookup_answers::MASK);
        let mask = self.b.load(memory, table);
        let shift = self.b.iconst(Type::I32, i64::from(lookup_answers::SHIFT));
        let folded = self.b.ushr(context, shift);
        let folded = self.b.ixor(context, folded);
        let offset = self.b.iand(folded, mask);
        let place = self.b.iadd(table, offset);
        // The answer is read after the context.
        let mut memory = self.changing_field(self.abi.lookup_place_context());
        memory.flags |= MemoryFlags::VOLATILE;
        let known = self.b.load(memory, place);
        let is_known = self.b.icmp(IntCompare::Eq, known, context);
        self.b.brif(is_known, found, &[], ask, &[]);
        self.enter(found);
        let memory = self.changing_field(self.abi.lookup_place_answer());
        let value = self.b.load(memory, place);
        self.b.jump(merge, &[value]);
        self.enter(ask);
        let value = self.helper_value(HelperId::GenericLookup, &[context, cell]);
        self.b.jump(merge, &[value]);
        self.enter(merge);
        answer
    }

    /// The context argument for a call of `callee`, if its code needs one.
    pub(super) fn context_argument(&mut self, callee: MethodRef) -> Outcome<Option<Value>> {
        let canonical = self.types.canonical_method(callee.method);
        Ok(match context_source(self.types, canonical) {
            None | Some(ContextSource::This) => None,
            Some(ContextSource::ClassParameter) => {
                let owner = self.owner_of(callee);
                Some(self.method_table(owner)?)
            }
            Some(ContextSource::MethodParameter) => Some(self.method_cell(callee, CellRequest::MethodDictionary, Type::Iptr)?),
        })
    }
}

/// What Mono says where a type that an instruction needs cannot be found; the reason is the error's name.
#[cold]
pub(super) fn unknown_type(error: &Error) -> Failure {
    Error::type_load("Failure has occurred while loading a type.").with_name(error.to_string()).into()
}
