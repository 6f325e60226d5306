//! The interned types: constructors, parts, and substitution of generic parameters.

use std::sync::Arc;

use smallvec::SmallVec;

use super::class::Interfaces;
use super::intern::{IdCell, Lazy, hash_of};
use super::*;

/// Which of the kinds that substitution and sharing care about occur somewhere within a type.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mentions(u8);

impl Mentions {
    pub(crate) const VARIABLES: u8 = 1;
    pub(crate) const CANON: u8 = 2;

    pub(crate) fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// An interned type with what was loaded of it so far, in levels.
pub(crate) struct TypeEntry {
    pub(crate) kind: TypeKind,
    pub(crate) mentions: Mentions,
    /// How deep generic instances nest.
    pub(crate) nesting: u16,
    sz_array: IdCell,
    by_ref: IdCell,
    pub(crate) header: Lazy<ClassHeader>,
    pub(crate) interfaces: Lazy<Interfaces>,
    pub(crate) generic_params: Lazy<Box<[u16]>>,
    pub(crate) fields: Lazy<Box<[FieldId]>>,
    pub(crate) class: Lazy<Class>,
    pub(crate) statics: Lazy<Statics>,
    pub(crate) vtable: Lazy<VTable>,
    /// There if the class was found to implement its interfaces.
    pub(crate) complete: Lazy<()>,
    pub(crate) methods: std::sync::OnceLock<Box<[IdCell]>>,
    pub(crate) canonical: IdCell,
}

impl TypeEntry {
    fn new(kind: TypeKind, mentions: Mentions, nesting: u16) -> TypeEntry {
        TypeEntry {
            kind,
            mentions,
            nesting,
            sz_array: IdCell::default(),
            by_ref: IdCell::default(),
            header: Lazy::default(),
            interfaces: Lazy::default(),
            generic_params: Lazy::default(),
            fields: Lazy::default(),
            class: Lazy::default(),
            statics: Lazy::default(),
            vtable: Lazy::default(),
            complete: Lazy::default(),
            methods: std::sync::OnceLock::new(),
            canonical: IdCell::default(),
        }
    }
}

/// A discriminant and the parts of a kind, for hashing without an owned [`TypeKind`].
#[derive(Hash)]
enum Key<'a> {
    Primitive(Primitive),
    TypedReference,
    Canon,
    Class(AssemblyId, u32),
    Instance(TypeId, &'a [TypeId]),
    SzArray(TypeId),
    Array(TypeId, u32),
    Pointer(TypeId),
    ByRef(TypeId),
    FunctionPointer(&'a MethodSignature),
    Var(u32),
    MVar(u32),
}

impl Key<'_> {
    fn of(kind: &TypeKind) -> Key<'_> {
        match kind {
            TypeKind::Primitive(primitive) => Key::Primitive(*primitive),
            TypeKind::TypedReference => Key::TypedReference,
            TypeKind::Canon => Key::Canon,
            TypeKind::Class { assembly, row } => Key::Class(*assembly, *row),
            TypeKind::Instance { definition, args } => Key::Instance(*definition, args),
            TypeKind::SzArray(element) => Key::SzArray(*element),
            TypeKind::Array { element, rank } => Key::Array(*element, *rank),
            TypeKind::Pointer(element) => Key::Pointer(*element),
            TypeKind::ByRef(element) => Key::ByRef(*element),
            TypeKind::FunctionPointer(signature) => Key::FunctionPointer(signature),
            TypeKind::Var(number) => Key::Var(*number),
            TypeKind::MVar(number) => Key::MVar(*number),
        }
    }
}

impl TypeSystem {
    #[inline]
    pub(crate) fn entry(&self, t: TypeId) -> &TypeEntry {
        self.types.get(t.0)
    }

    /// Number of types interned so far; their ids are those below it.
    pub fn type_count(&self) -> u32 {
        self.types.len()
    }

    /// Number of types whose instance layout was asked for so far.
    pub fn loaded_class_count(&self) -> usize {
        (0..self.type_count()).filter(|&id| self.types.get(id).class.is_loaded()).count()
    }

    /// What a type is.
    #[inline]
    pub fn kind(&self, t: TypeId) -> &TypeKind {
        &self.entry(t).kind
    }

    /// The built-in type that it is, if it is one.
    #[inline]
    pub fn primitive_of(&self, t: TypeId) -> Option<Primitive> {
        Primitive::ALL.get(t.index()).copied()
    }

    /// Interns a kind that owns its parts.
    pub(crate) fn intern_kind(&self, kind: TypeKind) -> TypeId {
        let hash = hash_of(Key::of(&kind));
        let (mentions, nesting) = self.summary(&kind);
        let candidate = &kind;
        TypeId(self.types.intern(hash, |entry| entry.kind == *candidate, |_| TypeEntry::new(kind.clone(), mentions, nesting)))
    }

    fn summary(&self, kind: &TypeKind) -> (Mentions, u16) {
        let mut bits = 0;
        let mut nesting = 0;
        let mut add = |t: TypeId| {
            let entry = self.entry(t);
            bits |= entry.mentions.0;
            nesting = nesting.max(entry.nesting);
        };
        match kind {
            TypeKind::Var(_) | TypeKind::MVar(_) => return (Mentions(Mentions::VARIABLES), 0),
            TypeKind::Canon => return (Mentions(Mentions::CANON), 0),
            TypeKind::Instance { args, .. } => {
                args.iter().for_each(|&arg| add(arg));
                nesting = nesting.saturating_add(1);
            }
            TypeKind::SzArray(t) | TypeKind::Array { element: t, .. } | TypeKind::Pointer(t) | TypeKind::ByRef(t) => {
                add(*t);
                nesting = nesting.saturating_add(1);
            }
            TypeKind::FunctionPointer(signature) => {
                add(signature.ret);
                signature.params.iter().for_each(|&param| add(param));
            }
            TypeKind::Primitive(_) | TypeKind::TypedReference | TypeKind::Class { .. } => {}
        }
        (Mentions(bits), nesting)
    }

    /// The type of a row of an assembly's TypeDef table: a class, or the generic definition. The row must exist.
    #[inline]
    pub fn type_definition(&self, assembly: AssemblyId, row: u32) -> TypeId {
        match self.loaded(assembly).type_defs.get(row as usize) {
            Some(cell) => TypeId(cell.get_or(|| self.intern_kind(TypeKind::Class { assembly, row }).0)),
            None => self.intern_kind(TypeKind::Class { assembly, row }),
        }
    }

    /// Assembly and TypeDef row of a class, a generic instance's definition or a built-in type.
    pub fn definition_of(&self, t: TypeId) -> Option<(AssemblyId, u32)> {
        match *self.kind(t) {
            TypeKind::Class { assembly, row } => Some((assembly, row)),
            TypeKind::Instance { definition, .. } => self.definition_of(definition),
            TypeKind::Primitive(_) | TypeKind::TypedReference => {
                self.built_in_rows.get(t.index()).map(|&row| (self.corlib(), row))
            }
            _ => None,
        }
    }

    /// The generic definition of an instance; any other type itself.
    #[inline]
    pub fn generic_definition_type(&self, t: TypeId) -> TypeId {
        match self.kind(t) {
            TypeKind::Instance { definition, .. } => *definition,
            _ => t,
        }
    }

    /// The arguments of an instance; of other types none.
    #[inline]
    pub fn type_args(&self, t: TypeId) -> &[TypeId] {
        match self.kind(t) {
            TypeKind::Instance { args, .. } => args,
            _ => &[],
        }
    }

    /// The context of members of `t`: its type arguments.
    #[inline]
    pub fn type_context(&self, t: TypeId) -> GenericContext<'_> {
        GenericContext { type_args: self.type_args(t), method_args: &[] }
    }

    /// What an array consists of, or a pointer points to.
    pub fn element_type(&self, t: TypeId) -> Option<TypeId> {
        match *self.kind(t) {
            TypeKind::SzArray(element)
            | TypeKind::Array { element, .. }
            | TypeKind::Pointer(element)
            | TypeKind::ByRef(element) => Some(element),
            _ => None,
        }
    }

    /// Number of dimensions of an array, 1 for a vector; of other types `None`.
    pub fn array_rank(&self, t: TypeId) -> Option<u32> {
        match *self.kind(t) {
            TypeKind::SzArray(_) => Some(1),
            TypeKind::Array { rank, .. } => Some(rank),
            _ => None,
        }
    }

    /// One-dimensional array from 0.
    pub fn sz_array(&self, element: TypeId) -> TypeId {
        TypeId(self.entry(element).sz_array.get_or(|| self.intern_kind(TypeKind::SzArray(element)).0))
    }

    /// Array of `rank` dimensions with lower bounds.
    pub fn array(&self, element: TypeId, rank: u32) -> TypeId {
        self.intern_kind(TypeKind::Array { element, rank })
    }

    /// Managed pointer.
    pub fn by_ref(&self, target: TypeId) -> TypeId {
        TypeId(self.entry(target).by_ref.get_or(|| self.intern_kind(TypeKind::ByRef(target)).0))
    }

    /// Unmanaged pointer.
    pub fn pointer(&self, target: TypeId) -> TypeId {
        self.intern_kind(TypeKind::Pointer(target))
    }

    /// An instance of a generic definition. Without arguments it is the definition itself.
    pub fn instance(&self, definition: TypeId, args: &[TypeId]) -> TypeId {
        if args.is_empty() {
            return definition;
        }
        let hash = hash_of(Key::Instance(definition, args));
        let is_same = |entry: &TypeEntry| match &entry.kind {
            TypeKind::Instance { definition: other, args: other_args } => *other == definition && **other_args == *args,
            _ => false,
        };
        let make = |_| {
            let kind = TypeKind::Instance { definition, args: args.into() };
            let (mentions, nesting) = self.summary(&kind);
            TypeEntry::new(kind, mentions, nesting)
        };
        TypeId(self.types.intern(hash, is_same, make))
    }

    /// Parameter `number` of the enclosing generic type.
    pub fn var(&self, number: u32) -> TypeId {
        self.intern_kind(TypeKind::Var(number))
    }

    /// Parameter `number` of the enclosing generic method.
    pub fn mvar(&self, number: u32) -> TypeId {
        self.intern_kind(TypeKind::MVar(number))
    }

    /// Function pointer.
    pub fn function_pointer(&self, signature: MethodSignature) -> TypeId {
        self.intern_kind(TypeKind::FunctionPointer(Arc::new(signature)))
    }

    /// Whether a parameter of a generic type or method occurs in it.
    #[inline]
    pub fn contains_type_variables(&self, t: TypeId) -> bool {
        self.entry(t).mentions.has(Mentions::VARIABLES)
    }

    /// Whether the stand-in of shared code occurs in it.
    #[inline]
    pub fn contains_canon(&self, t: TypeId) -> bool {
        self.entry(t).mentions.has(Mentions::CANON)
    }

    /// How deep generic instances and arrays nest in it; a bound on it stops infinite expansion.
    pub fn nesting_depth(&self, t: TypeId) -> u32 {
        u32::from(self.entry(t).nesting)
    }

    /// `t` with the parameters of generic types and methods replaced as the context says.
    pub fn substitute(&self, t: TypeId, context: &GenericContext<'_>) -> TypeId {
        let entry = self.entry(t);
        if !entry.mentions.has(Mentions::VARIABLES) {
            return t;
        }
        match &entry.kind {
            TypeKind::Var(number) => context.type_args.get(*number as usize).copied().unwrap_or(t),
            TypeKind::MVar(number) => context.method_args.get(*number as usize).copied().unwrap_or(t),
            TypeKind::Instance { definition, args } => {
                let args: SmallVec<[TypeId; 4]> = args.iter().map(|&arg| self.substitute(arg, context)).collect();
                self.instance(*definition, &args)
            }
            TypeKind::SzArray(element) => self.sz_array(self.substitute(*element, context)),
            TypeKind::Array { element, rank } => self.array(self.substitute(*element, context), *rank),
            TypeKind::Pointer(element) => self.pointer(self.substitute(*element, context)),
            TypeKind::ByRef(element) => self.by_ref(self.substitute(*element, context)),
            TypeKind::FunctionPointer(signature) => self.function_pointer(self.substitute_signature(signature, context)),
            TypeKind::Primitive(_) | TypeKind::TypedReference | TypeKind::Class { .. } | TypeKind::Canon => t,
        }
    }

    /// [`TypeSystem::substitute`] for all types of a signature.
    pub fn substitute_signature(&self, signature: &MethodSignature, context: &GenericContext<'_>) -> MethodSignature {
        MethodSignature {
            params: signature.params.iter().map(|&param| self.substitute(param, context)).collect(),
            ret: self.substitute(signature.ret, context),
            ..signature.clone()
        }
    }
}
