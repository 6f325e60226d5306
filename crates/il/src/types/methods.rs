//! Methods: interning, instantiation, signatures and bodies.

use smallvec::SmallVec;

use super::intern::{IdCell, Lazy, hash_of, id_cells};
use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::method_body::MethodBody;
use crate::signature::{MethodSig, TypeSig};
use crate::tables::{MethodDefRow, StandAloneSigRow, TableId, Token};

/// `MethodAttributes` (ECMA-335 II.23.1.10), as far as the type system looks at them.
pub mod method_attributes {
    /// Mask of the accessibility.
    pub const ACCESS: u16 = 7;
    /// Accessible within the class.
    pub const PRIVATE: u16 = 1;
    /// Accessible within the assembly, for derived classes only.
    pub const FAMILY_AND_ASSEMBLY: u16 = 2;
    /// Accessible within the assembly.
    pub const ASSEMBLY: u16 = 3;
    /// Accessible everywhere.
    pub const PUBLIC: u16 = 6;
    /// Static.
    pub const STATIC: u16 = 0x10;
    /// Cannot be overridden.
    pub const FINAL: u16 = 0x20;
    /// Virtual.
    pub const VIRTUAL: u16 = 0x40;
    /// Gets a slot of its own.
    pub const NEW_SLOT: u16 = 0x100;
    /// Has no body.
    pub const ABSTRACT: u16 = 0x400;
    /// Implemented by native code.
    pub const PINVOKE: u16 = 0x2000;
    /// Its name has a meaning for the runtime.
    pub const RT_SPECIAL_NAME: u16 = 0x1000;
    /// Its name has a meaning.
    pub const SPECIAL_NAME: u16 = 0x800;
}

/// `MethodImplAttributes` (ECMA-335 II.23.1.11), as far as the type system looks at them.
pub mod method_impl_attributes {
    /// Mask of the kind of code.
    pub const CODE_TYPE: u16 = 3;
    /// The runtime supplies the code.
    pub const RUNTIME: u16 = 3;
    /// Not to be inlined.
    pub const NO_INLINING: u16 = 8;
    /// Holds the lock of `this` or of the type while it runs.
    pub const SYNCHRONIZED: u16 = 0x20;
    /// Its native form returns what it returns, not an error code with the result behind a pointer.
    pub const PRESERVE_SIG: u16 = 0x80;
    /// Should be inlined.
    pub const AGGRESSIVE_INLINING: u16 = 0x100;
    /// Bound to a function of the runtime by its name.
    pub const INTERNAL_CALL: u16 = 0x1000;
}

/// The methods that arrays have without a definition (ECMA-335 II.14.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArrayMethod {
    /// Constructor with this number of `int` arguments: a length per dimension, or pairs of lower bound and length; vectors of
    /// vectors also take one length per level.
    Constructor(u32),
    /// `Get(indices…)`
    Get,
    /// `Set(indices…, value)`
    Set,
    /// `Address(indices…)`
    Address,
}

impl ArrayMethod {
    /// Its name in member references.
    pub fn name(self) -> &'static str {
        match self {
            ArrayMethod::Constructor(_) => ".ctor",
            ArrayMethod::Get => "Get",
            ArrayMethod::Set => "Set",
            ArrayMethod::Address => "Address",
        }
    }
}

/// Where a method comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MethodKind {
    /// A row of the MethodDef table.
    Definition {
        /// The row.
        row: u32,
    },
    /// A method of arrays.
    Array(ArrayMethod),
    /// An imported method with variable arguments as one call site calls it (II.15.5): each list of arguments is a signature of its own, and a method.
    Variadic {
        /// The row of its definition.
        row: u32,
        /// All arguments, as those of a function pointer of this type.
        signature: TypeId,
    },
    /// The call of native code at an address, which is the first argument.
    NativePointer {
        /// The other arguments, as those of a function pointer of this type.
        signature: TypeId,
    },
}

/// A method of a type, with its own type arguments if it is an instance of a generic method.
#[derive(Clone, Debug)]
pub struct Method {
    /// The method.
    pub id: MethodId,
    /// The type that declares it, instantiated.
    pub owner: TypeId,
    /// Assembly of the declaration.
    pub assembly: AssemblyId,
    /// Where it comes from.
    pub kind: MethodKind,
    /// See [`method_attributes`].
    pub attributes: u16,
    /// See [`method_impl_attributes`].
    pub impl_attributes: u16,
    /// Number of its own generic parameters.
    pub generic_param_count: u32,
    /// Arguments for its own generic parameters; none: it is not generic, or open.
    pub method_args: Box<[TypeId]>,
}

impl Method {
    /// Row in the MethodDef table, of methods that have one.
    pub fn row(&self) -> Option<u32> {
        match self.kind {
            MethodKind::Definition { row } | MethodKind::Variadic { row, .. } => Some(row),
            MethodKind::Array(_) | MethodKind::NativePointer { .. } => None,
        }
    }
    /// Static.
    pub fn is_static(&self) -> bool {
        self.attributes & method_attributes::STATIC != 0
    }
    /// Virtual.
    pub fn is_virtual(&self) -> bool {
        self.attributes & method_attributes::VIRTUAL != 0
    }
    /// Abstract.
    pub fn is_abstract(&self) -> bool {
        self.attributes & method_attributes::ABSTRACT != 0
    }
    /// Cannot be overridden.
    pub fn is_final(&self) -> bool {
        self.attributes & method_attributes::FINAL != 0
    }
    /// Bound to a function of the runtime by its name.
    pub fn is_internal_call(&self) -> bool {
        self.impl_attributes & method_impl_attributes::INTERNAL_CALL != 0
    }
    /// Implemented by native code.
    pub fn is_pinvoke(&self) -> bool {
        self.attributes & method_attributes::PINVOKE != 0
    }
    /// The runtime supplies the code (delegates).
    pub fn is_runtime(&self) -> bool {
        self.impl_attributes & method_impl_attributes::CODE_TYPE == method_impl_attributes::RUNTIME
    }
    /// Holds a lock while it runs.
    pub fn is_synchronized(&self) -> bool {
        self.impl_attributes & method_impl_attributes::SYNCHRONIZED != 0
    }
}

/// A local variable of a method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// Its type.
    pub ty: TypeId,
    /// What it points to must not move.
    pub is_pinned: bool,
}

pub(crate) struct MethodEntry {
    method: Method,
    signature: Lazy<MethodSignature>,
    pub(crate) interface_slot: IdCell,
    canonical: IdCell,
    mentions_variables: bool,
}

impl TypeSystem {
    fn method_entry(&self, m: MethodId) -> &MethodEntry {
        self.methods.get(m.0)
    }

    /// A method's declaration.
    #[inline]
    pub fn method(&self, m: MethodId) -> &Method {
        &self.methods.get(m.0).method
    }

    /// Number of methods interned so far; their ids are those below it.
    pub fn method_count(&self) -> u32 {
        self.methods.len()
    }

    fn new_definition(&self, id: u32, owner: TypeId, assembly: AssemblyId, row: u32, args: &[TypeId]) -> MethodEntry {
        let metadata = self.metadata(assembly);
        // A row that does not exist gives a method without a signature and a body, which is an error upon use.
        let (attributes, impl_attributes, generic_param_count) = match metadata.row::<MethodDefRow>(row) {
            Ok(method) => {
                // The signature's first byte says whether the method is generic, the next is the number of parameters.
                let count = match metadata.blob(method.signature) {
                    Ok([first, ..]) if first & 0x10 != 0 => metadata.generic_param_count(Token::new(TableId::MethodDef, row)),
                    _ => 0,
                };
                (method.flags, method.impl_flags, count)
            }
            Err(_) => (0, 0, 0),
        };
        let kind = MethodKind::Definition { row };
        let method = Method {
            id: MethodId(id),
            owner,
            assembly,
            kind,
            attributes,
            impl_attributes,
            generic_param_count,
            method_args: args.into(),
        };
        self.new_entry(method)
    }

    fn new_entry(&self, method: Method) -> MethodEntry {
        let mentions_variables =
            self.contains_type_variables(method.owner) || method.method_args.iter().any(|&arg| self.contains_type_variables(arg));
        MethodEntry {
            method,
            signature: Lazy::default(),
            interface_slot: IdCell::default(),
            canonical: IdCell::default(),
            mentions_variables,
        }
    }

    /// The method of a MethodDef row within an instantiation of the type that declares it; generic methods stay open.
    pub fn method_on(&self, owner: TypeId, row: u32) -> MethodId {
        let Some((assembly, type_row)) = self.definition_of(owner) else {
            return self.method_on(TypeId::OBJECT, row);
        };
        let rows = self.metadata(assembly).methods_of(type_row);
        let make = || {
            let hash = hash_of((owner, row));
            let is_same = |entry: &MethodEntry| {
                let method = &entry.method;
                method.owner == owner && method.kind == MethodKind::Definition { row } && method.method_args.is_empty()
            };
            self.methods.intern(hash, is_same, |id| self.new_definition(id, owner, assembly, row, &[]))
        };
        let Some(range) = rows.as_range().filter(|range| range.contains(&row)) else {
            return MethodId(make());
        };
        let cells = self.entry(owner).methods.get_or_init(|| id_cells(range.len()));
        MethodId(cells[(row - range.start) as usize].get_or(make))
    }

    /// The method of a MethodDef row on the open type that declares it.
    pub fn method_definition(&self, assembly: AssemblyId, row: u32) -> Result<MethodId> {
        let metadata = self.metadata(assembly);
        match metadata.owner_of_method(row) {
            0 => Err(metadata.locate(Error::bad_image("no such method")).with_token(Token::new(TableId::MethodDef, row))),
            type_row => Ok(self.method_on(self.type_definition(assembly, type_row), row)),
        }
    }

    /// A method of an array type that has no definition.
    pub fn array_method(&self, array: TypeId, kind: ArrayMethod) -> MethodId {
        let kind = MethodKind::Array(kind);
        let hash = hash_of((array, kind));
        let is_same = |entry: &MethodEntry| entry.method.owner == array && entry.method.kind == kind;
        MethodId(self.methods.intern(hash, is_same, |id| {
            let special = match kind {
                MethodKind::Array(ArrayMethod::Constructor(_)) => {
                    method_attributes::RT_SPECIAL_NAME | method_attributes::SPECIAL_NAME
                }
                _ => 0,
            };
            self.new_entry(Method {
                id: MethodId(id),
                owner: array,
                assembly: self.corlib(),
                kind,
                attributes: method_attributes::PUBLIC | special,
                impl_attributes: method_impl_attributes::RUNTIME,
                generic_param_count: 0,
                method_args: Box::default(),
            })
        }))
    }

    /// An imported method with variable arguments, called with the arguments of `signature`.
    pub fn variadic_method(&self, definition: MethodId, signature: MethodSignature) -> MethodId {
        let method = self.method(definition);
        let Some(row) = method.row() else { return definition };
        let kind = MethodKind::Variadic { row, signature: self.function_pointer(signature) };
        let hash = hash_of((method.owner, kind));
        let is_same = |entry: &MethodEntry| entry.method.owner == method.owner && entry.method.kind == kind;
        MethodId(self.methods.intern(hash, is_same, |id| self.new_entry(Method { id: MethodId(id), kind, ..method.clone() })))
    }

    /// The method that calls native code at an address with the arguments of `signature`.
    pub fn native_pointer_method(&self, signature: MethodSignature) -> MethodId {
        let kind = MethodKind::NativePointer { signature: self.function_pointer(signature) };
        let is_same = |entry: &MethodEntry| entry.method.kind == kind;
        MethodId(self.methods.intern(hash_of(kind), is_same, |id| {
            self.new_entry(Method {
                id: MethodId(id),
                owner: TypeId::OBJECT,
                assembly: self.corlib(),
                kind,
                attributes: method_attributes::PUBLIC | method_attributes::STATIC,
                impl_attributes: 0,
                generic_param_count: 0,
                method_args: Box::default(),
            })
        }))
    }

    /// The method that `definition` is on another instantiation `owner` of its type, with `args` for its own generic parameters.
    pub fn instantiate_method(&self, definition: MethodId, owner: TypeId, args: &[TypeId]) -> MethodId {
        let method = self.method(definition);
        let row = match method.kind {
            MethodKind::Definition { row } => row,
            MethodKind::Array(kind) => return self.array_method(owner, kind),
            // Native code is not generic (II.15.5.2).
            MethodKind::Variadic { .. } | MethodKind::NativePointer { .. } => return definition,
        };
        if args.is_empty() {
            return self.method_on(owner, row);
        }
        let hash = hash_of((owner, row, args));
        let kind = method.kind;
        let is_same = |entry: &MethodEntry| {
            let other = &entry.method;
            other.owner == owner && other.kind == kind && *other.method_args == *args
        };
        let assembly = method.assembly;
        MethodId(self.methods.intern(hash, is_same, |id| self.new_definition(id, owner, assembly, row, args)))
    }

    /// A method without its instantiation: on the open type, without arguments of its own.
    pub fn generic_definition(&self, m: MethodId) -> MethodId {
        let method = self.method(m);
        let owner = self.generic_definition_type(method.owner);
        if owner == method.owner && method.method_args.is_empty() { m } else { self.instantiate_method(m, owner, &[]) }
    }

    /// A method with the generic parameters in its owner and arguments replaced as the context says.
    #[inline]
    pub fn substitute_method(&self, m: MethodId, context: &GenericContext<'_>) -> MethodId {
        let entry = self.method_entry(m);
        if !entry.mentions_variables {
            return m;
        }
        let args: SmallVec<[TypeId; 4]> = entry.method.method_args.iter().map(|&arg| self.substitute(arg, context)).collect();
        self.instantiate_method(m, self.substitute(entry.method.owner, context), &args)
    }

    /// The context of a method's signature and body.
    pub fn method_context(&self, m: MethodId) -> GenericContext<'_> {
        let method = self.method(m);
        GenericContext { type_args: self.type_args(method.owner), method_args: &method.method_args }
    }

    /// A method's name.
    pub fn method_name(&self, m: MethodId) -> &str {
        let method = self.method(m);
        match method.kind {
            MethodKind::Definition { row } | MethodKind::Variadic { row, .. } => {
                let metadata = self.metadata(method.assembly);
                metadata.row::<MethodDefRow>(row).map_or("", |row| metadata.string(row.name))
            }
            MethodKind::Array(kind) => kind.name(),
            MethodKind::NativePointer { .. } => "wrapper_native_indirect",
        }
    }

    /// A method's signature with the generic arguments filled in.
    #[inline]
    pub fn method_signature(&self, m: MethodId) -> Result<&MethodSignature> {
        let entry = self.method_entry(m);
        entry.signature.get_or(|| self.load_signature(&entry.method))
    }

    /// Forgets the signature of a method.
    ///
    /// # Safety
    /// Nobody holds a reference to it.
    pub(crate) unsafe fn forget_signature(&self, m: MethodId) {
        // SAFETY: the caller's promise.
        unsafe { self.method_entry(m).signature.forget() };
    }

    fn load_signature(&self, method: &Method) -> Result<MethodSignature> {
        match method.kind {
            MethodKind::Definition { row } => {
                let metadata = self.metadata(method.assembly);
                let blob = metadata.blob(metadata.row::<MethodDefRow>(row)?.signature)?;
                let context = self.method_context(method.id);
                let signature = MethodSig::parse(blob).and_then(|sig| match sig.has_this == method.is_static() {
                    true => Err(Error::bad_image("flags and signature of a method disagree on whether it is static")),
                    false => self.signature_from(method.assembly, &sig, &context),
                });
                signature.map_err(|error| metadata.locate(error).with_token(Token::new(TableId::MethodDef, row)))
            }
            MethodKind::Array(kind) => self.array_method_signature(method.owner, kind),
            MethodKind::Variadic { signature, .. } => self.pointed_signature(signature).cloned(),
            MethodKind::NativePointer { signature } => {
                let signature = self.pointed_signature(signature)?;
                let params = std::iter::once(&TypeId::I).chain(&signature.params).copied().collect();
                Ok(MethodSignature { params, ..signature.clone() })
            }
        }
    }

    /// The signature of a function pointer's type.
    fn pointed_signature(&self, pointer: TypeId) -> Result<&MethodSignature> {
        match self.kind(pointer) {
            TypeKind::FunctionPointer(signature) => Ok(signature),
            _ => Err(self.load_error(pointer, "not a function pointer")),
        }
    }

    fn array_method_signature(&self, array: TypeId, kind: ArrayMethod) -> Result<MethodSignature> {
        let (Some(element), Some(rank)) = (self.element_type(array), self.array_rank(array)) else {
            return Err(self.load_error(array, "not an array"));
        };
        let indices = match kind {
            ArrayMethod::Constructor(count) => count,
            _ => rank,
        };
        let mut params = vec![TypeId::I4; indices as usize];
        let ret = match kind {
            ArrayMethod::Constructor(_) => TypeId::VOID,
            ArrayMethod::Get => element,
            ArrayMethod::Address => self.by_ref(element),
            ArrayMethod::Set => {
                params.push(element);
                TypeId::VOID
            }
        };
        Ok(MethodSignature::managed(params, ret, true))
    }

    /// A method's body; `None` if it is abstract or its code is not IL.
    pub fn method_body(&self, m: MethodId) -> Result<Option<MethodBody<'_>>> {
        let method = self.method(m);
        match method.kind {
            MethodKind::Definition { row } => self.metadata(method.assembly).method_body(row),
            MethodKind::Array(_) | MethodKind::Variadic { .. } | MethodKind::NativePointer { .. } => Ok(None),
        }
    }

    /// The local variables of a method's body, with the generic arguments filled in.
    pub fn locals(&self, m: MethodId, body: &MethodBody<'_>) -> Result<Vec<Local>> {
        if body.locals.is_null() {
            return Ok(Vec::new());
        }
        let method = self.method(m);
        let metadata = self.metadata(method.assembly);
        let row: StandAloneSigRow = metadata.row_of(body.locals)?;
        let context = self.method_context(m);
        let types = TypeSig::parse_locals(metadata.blob(row.signature)?);
        let types = types.map_err(|error| metadata.locate(error).with_token(body.locals))?;
        let local = |sig: &TypeSig| {
            let is_pinned = is_pinned(sig);
            Ok(Local { ty: self.type_from_signature(method.assembly, sig, &context)?, is_pinned })
        };
        types.iter().map(local).collect()
    }

    /// All methods that a type declares, in metadata order.
    pub fn methods_of(&self, t: TypeId) -> Vec<MethodId> {
        match self.definition_of(t) {
            Some((assembly, row)) => self.metadata(assembly).methods_of(row).map(|row| self.method_on(t, row)).collect(),
            None => Vec::new(),
        }
    }

    /// The method of this name (and parameters, if given) that a type declares itself.
    pub fn find_method(&self, t: TypeId, name: &str, params: Option<&[TypeId]>) -> Result<Option<MethodId>> {
        let Some((assembly, row)) = self.definition_of(t) else {
            return Ok(None);
        };
        let metadata = self.metadata(assembly);
        for row in metadata.methods_of(row) {
            if metadata.string(metadata.row::<MethodDefRow>(row)?.name) == name {
                let m = self.method_on(t, row);
                match params {
                    Some(params) if *self.method_signature(m)?.params != *params => {}
                    _ => return Ok(Some(m)),
                }
            }
        }
        Ok(None)
    }

    /// The type with reference types among its generic arguments replaced by [`TypeId::CANON`]: types with equal results share
    /// code. Open generic parameters stay.
    pub fn canonical_type(&self, t: TypeId) -> TypeId {
        let entry = self.entry(t);
        match &entry.kind {
            TypeKind::Instance { definition, args } => TypeId(entry.canonical.get_or(|| {
                let args: SmallVec<[TypeId; 4]> = args.iter().map(|&arg| self.canonical_argument(arg)).collect();
                self.instance(*definition, &args).0
            })),
            TypeKind::SzArray(element) => self.sz_array(self.canonical_argument(*element)),
            TypeKind::Array { element, rank } => self.array(self.canonical_argument(*element), *rank),
            TypeKind::ByRef(target) => self.by_ref(self.canonical_argument(*target)),
            TypeKind::Pointer(target) => self.pointer(self.canonical_type(*target)),
            _ => t,
        }
    }

    /// What stands for a type argument in shared code: [`TypeId::CANON`] for reference types.
    pub fn canonical_argument(&self, t: TypeId) -> TypeId {
        if self.is_reference_type(t) { TypeId::CANON } else { self.canonical_type(t) }
    }

    /// The method whose code this one shares; itself if it shares none.
    pub fn canonical_method(&self, m: MethodId) -> MethodId {
        let entry = self.method_entry(m);
        let method = &entry.method;
        MethodId(entry.canonical.get_or(|| {
            let owner = self.canonical_type(method.owner);
            let args: SmallVec<[TypeId; 4]> = method.method_args.iter().map(|&arg| self.canonical_argument(arg)).collect();
            self.instantiate_method(m, owner, &args).0
        }))
    }

    /// Whether this is a method of shared code: its owner or arguments mention [`TypeId::CANON`].
    pub fn is_shared(&self, m: MethodId) -> bool {
        let method = self.method(m);
        self.contains_canon(method.owner) || method.method_args.iter().any(|&arg| self.contains_canon(arg))
    }

    /// A [`ErrorKind::MissingMethod`] error, in Mono's words.
    #[cold]
    pub(crate) fn missing_method(&self, owner: TypeId, name: &str, wanted: &MethodSignature) -> Error {
        let params: Vec<String> = wanted.params.iter().map(|&param| self.type_name(param)).collect();
        let (ret, member) = (self.type_name(wanted.ret), self.missing_member_name(owner, name));
        let message = format!("Method not found: {ret} {member}({})", params.join(","));
        Error::new(ErrorKind::MissingMethod, message).with_name(format!("{}.{name}", self.reflection_name(owner)))
    }

    /// `Namespace.Class.Member`, with the first dot though there is no namespace.
    pub(crate) fn missing_member_name(&self, owner: TypeId, name: &str) -> String {
        let (namespace, class) = self.simple_name(owner);
        format!("{namespace}.{class}.{name}")
    }
}

/// Whether a local variable's type says `pinned`, under modifiers.
fn is_pinned(sig: &TypeSig) -> bool {
    match sig {
        TypeSig::Pinned(_) => true,
        TypeSig::Modified { inner, .. } => is_pinned(inner),
        _ => false,
    }
}
