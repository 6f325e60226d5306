//! Identity and inheritance of types: the first levels of loading. The layout of fields is in [`super::fields`].

use smallvec::SmallVec;

use super::*;
use crate::error::{Error, Result};
use crate::tables::{TableId, Token, TypeDefRow};

/// Deepest nesting of generic instances that is loaded; deeper ones come from infinite expansion.
pub const NESTING_LIMIT: u32 = 60;
/// Longest chain of base classes or interfaces.
const INHERITANCE_LIMIT: u32 = 400;

/// `TypeAttributes` (ECMA-335 II.23.1.15), as far as the type system looks at them.
pub mod type_attributes {
    /// Mask of the visibility.
    pub const VISIBILITY: u32 = 7;
    /// Mask of the layout.
    pub const LAYOUT: u32 = 0x18;
    /// Fields in order.
    pub const SEQUENTIAL_LAYOUT: u32 = 8;
    /// Fields at given offsets.
    pub const EXPLICIT_LAYOUT: u32 = 0x10;
    /// Interface.
    pub const INTERFACE: u32 = 0x20;
    /// Abstract.
    pub const ABSTRACT: u32 = 0x80;
    /// Sealed.
    pub const SEALED: u32 = 0x100;
    /// Stands for a class of another object system (COM).
    pub const IMPORT: u32 = 0x1000;
    /// The class initialiser may run early.
    pub const BEFORE_FIELD_INIT: u32 = 0x10_0000;
}

/// What sort of class a type is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassKind {
    /// An ordinary class.
    Class,
    /// A value type that is no enumeration; built-in types too.
    ValueType,
    /// An enumeration.
    Enum,
    /// An interface.
    Interface,
    /// A delegate.
    Delegate,
    /// A vector or array with bounds.
    Array,
}

/// The identity of a type: what is known without loading its members.
#[derive(Clone, Debug)]
pub struct ClassHeader {
    /// The type.
    pub id: TypeId,
    /// The generic definition of an instance, else the type itself.
    pub definition: TypeId,
    /// Assembly of the definition; of arrays the core library.
    pub assembly: AssemblyId,
    /// Row in its TypeDef table; of arrays that of `System.Array`.
    pub row: u32,
    /// See [`type_attributes`].
    pub attributes: u32,
    /// Base class; `object` and interfaces have none.
    pub parent: Option<TypeId>,
    /// What sort of class it is.
    pub kind: ClassKind,
    /// Number of classes from `object` (which has 1) to here; 1 for interfaces.
    pub depth: u32,
}

impl ClassHeader {
    /// A value type, enumerations included.
    pub fn is_value_type(&self) -> bool {
        matches!(self.kind, ClassKind::ValueType | ClassKind::Enum)
    }
    /// An enumeration.
    pub fn is_enum(&self) -> bool {
        self.kind == ClassKind::Enum
    }
    /// An interface.
    pub fn is_interface(&self) -> bool {
        self.kind == ClassKind::Interface
    }
    /// A delegate.
    pub fn is_delegate(&self) -> bool {
        self.kind == ClassKind::Delegate
    }
    /// An array of any sort.
    pub fn is_array(&self) -> bool {
        self.kind == ClassKind::Array
    }
    /// No instance can be created.
    pub fn is_abstract(&self) -> bool {
        self.attributes & type_attributes::ABSTRACT != 0
    }
    /// No class can derive from it.
    pub fn is_sealed(&self) -> bool {
        self.attributes & type_attributes::SEALED != 0
    }
    /// The class initialiser may run at any time before the first access to a static field.
    pub fn is_before_field_init(&self) -> bool {
        self.attributes & type_attributes::BEFORE_FIELD_INIT != 0
    }
}

/// The interfaces of a type.
#[derive(Debug, Default)]
pub(crate) struct Interfaces {
    /// All, inherited ones first, each once.
    pub(crate) all: Box<[TypeId]>,
    /// Those that the type itself lists, and what they extend; may repeat inherited ones.
    pub(crate) declared: Box<[TypeId]>,
}

impl TypeSystem {
    /// Identity of a class, interface, value type or array. Pointers, by-refs and function pointers have none (an error);
    /// generic parameters and the stand-in of shared code count as subclasses of `object`.
    #[inline]
    pub fn header(&self, t: TypeId) -> Result<&ClassHeader> {
        self.entry(t).header.get_or(|| self.load_header(t, 0))
    }

    fn header_below(&self, t: TypeId, level: u32) -> Result<&ClassHeader> {
        self.entry(t).header.get_or(|| self.load_header(t, level))
    }

    fn load_header(&self, t: TypeId, level: u32) -> Result<ClassHeader> {
        if level > INHERITANCE_LIMIT {
            return Err(self.load_error(t, "the chain of base types has no end"));
        }
        if self.nesting_depth(t) > NESTING_LIMIT {
            return Err(self.load_error(t, "generic types nest too deep (infinite expansion)"));
        }
        match self.kind(t) {
            TypeKind::SzArray(_) | TypeKind::Array { .. } => {
                let base = self.header_below(self.well_known.array, level + 1)?;
                let attributes = (base.attributes | type_attributes::SEALED) & !type_attributes::ABSTRACT;
                let parent = Some(base.id);
                Ok(ClassHeader {
                    id: t,
                    definition: t,
                    attributes,
                    parent,
                    kind: ClassKind::Array,
                    depth: base.depth + 1,
                    ..*base
                })
            }
            TypeKind::Canon | TypeKind::Var(_) | TypeKind::MVar(_) => {
                let object = self.header_below(TypeId::OBJECT, level + 1)?;
                Ok(ClassHeader { id: t, definition: t, parent: Some(TypeId::OBJECT), depth: 2, ..*object })
            }
            TypeKind::Pointer(_) | TypeKind::ByRef(_) | TypeKind::FunctionPointer(_) => {
                Err(self.load_error(t, "a pointer is not a class"))
            }
            _ => self.load_class_header(t, level),
        }
    }

    fn load_class_header(&self, t: TypeId, level: u32) -> Result<ClassHeader> {
        let (assembly, row) = self.definition_of(t).ok_or_else(|| self.load_error(t, "not a class"))?;
        if !self.is_filled(assembly) {
            return Err(Error::unfinished_type());
        }
        let type_def: TypeDefRow = self.metadata(assembly).row(row)?;
        let context = self.type_context(t);
        let is_interface = type_def.flags & type_attributes::INTERFACE != 0;
        let parent = match type_def.extends.is_null() {
            true => None,
            false => Some(self.resolve_type(assembly, type_def.extends, &context)?),
        };
        let known = &self.well_known;
        // Classes that stand for ones of COM derive from the class of COM objects, whatever they say.
        let is_imported = type_def.flags & type_attributes::IMPORT != 0 && !is_interface;
        let parent = if is_imported && parent == Some(TypeId::OBJECT) { Some(known.com_object) } else { parent };
        let (kind, depth) = match parent {
            _ if is_interface => (ClassKind::Interface, 1),
            None => (ClassKind::Class, 1),
            Some(parent) => {
                let base = self.header_below(parent, level + 1)?;
                if base.is_interface() || base.is_array() {
                    return Err(self.load_error(t, "the base type is not a class"));
                }
                if base.is_sealed() {
                    return Err(self.load_error(t, "the base type is sealed"));
                }
                let kind = match parent {
                    p if p == known.enum_ => ClassKind::Enum,
                    p if p == known.value_type && t != known.enum_ => ClassKind::ValueType,
                    p if p == known.multicast_delegate => ClassKind::Delegate,
                    _ => ClassKind::Class,
                };
                (kind, base.depth + 1)
            }
        };
        if let TypeKind::Instance { definition, args } = self.kind(t) {
            if self.generic_params(*definition)?.len() != args.len() {
                return Err(self.load_error(t, "wrong number of type arguments"));
            }
            if args.iter().any(|&arg| arg == TypeId::VOID || matches!(self.kind(arg), TypeKind::ByRef(_))) {
                return Err(self.load_error(t, "void or a by-ref is no type argument"));
            }
            if args.iter().any(|&arg| self.is_by_ref_like(arg)) {
                return Err(self.load_error(t, "a type that lives on the stack only is no type argument"));
            }
        }
        let parent = parent.filter(|_| !is_interface);
        let definition = self.generic_definition_type(t);
        Ok(ClassHeader { id: t, definition, assembly, row, attributes: type_def.flags, parent, kind, depth })
    }

    /// `GenericParamAttributes` (ECMA-335 II.23.1.7) of each generic parameter of a type definition.
    pub fn generic_params(&self, definition: TypeId) -> Result<&[u16]> {
        let params = self.entry(definition).generic_params.get_or(|| match *self.kind(definition) {
            TypeKind::Class { assembly, row } => {
                let params = self.metadata(assembly).generic_params_of(Token::new(TableId::TypeDef, row));
                Ok(params.map(|(_, param)| param.flags).collect())
            }
            _ => Ok(Box::default()),
        })?;
        Ok(params)
    }

    /// All interfaces of a type, those of its base classes first, and all that these extend.
    pub fn interfaces(&self, t: TypeId) -> Result<&[TypeId]> {
        Ok(&self.interface_lists(t, 0)?.all)
    }

    /// The interfaces that the type itself declares, with all that these extend.
    pub fn declared_interfaces(&self, t: TypeId) -> Result<&[TypeId]> {
        Ok(&self.interface_lists(t, 0)?.declared)
    }

    fn interface_lists(&self, t: TypeId, level: u32) -> Result<&Interfaces> {
        self.entry(t).interfaces.get_or(|| self.load_interfaces(t, level))
    }

    fn load_interfaces(&self, t: TypeId, level: u32) -> Result<Interfaces> {
        if level > INHERITANCE_LIMIT {
            return Err(self.load_error(t, "the chain of interfaces has no end"));
        }
        let header = self.header(t)?;
        let mut declared: SmallVec<[TypeId; 8]> = SmallVec::new();
        let mut add = |interface: TypeId| {
            if !declared.contains(&interface) {
                declared.push(interface);
            }
        };
        match *self.kind(t) {
            TypeKind::SzArray(element) => {
                let is_pointer = matches!(self.kind(element), TypeKind::Pointer(_) | TypeKind::FunctionPointer(_));
                if !is_pointer {
                    self.well_known.vector_interfaces.iter().for_each(|&definition| add(self.instance(definition, &[element])));
                }
            }
            TypeKind::Class { .. } | TypeKind::Instance { .. } | TypeKind::Primitive(_) => {
                let context = self.type_context(t);
                for token in self.metadata(header.assembly).interfaces_of(header.row) {
                    let interface = self.resolve_type(header.assembly, token, &context)?;
                    if !self.header(interface)?.is_interface() {
                        return Err(self.load_error(t, "it implements a type that is not an interface"));
                    }
                    add(interface);
                    self.interface_lists(interface, level + 1)?.all.iter().copied().for_each(&mut add);
                }
            }
            _ => {}
        }
        let mut all: SmallVec<[TypeId; 16]> = SmallVec::new();
        if let Some(parent) = header.parent {
            all.extend_from_slice(&self.interface_lists(parent, level + 1)?.all);
        }
        for &interface in &declared {
            if !all.contains(&interface) {
                all.push(interface);
            }
        }
        Ok(Interfaces { all: all.into_vec().into(), declared: declared.into_vec().into() })
    }

    /// Whether values of it are references to heap objects. Generic parameters are not known to be.
    #[inline]
    pub fn is_reference_type(&self, t: TypeId) -> bool {
        match self.kind(t) {
            TypeKind::Class { .. } | TypeKind::Instance { .. } => !self.is_value_type(t),
            TypeKind::SzArray(_) | TypeKind::Array { .. } | TypeKind::Canon => true,
            _ => false,
        }
    }

    /// Whether it is a value type: built-in, structure or enumeration. `false` as well when it cannot be loaded.
    #[inline]
    pub fn is_value_type(&self, t: TypeId) -> bool {
        match self.kind(t) {
            TypeKind::Primitive(_) | TypeKind::TypedReference => true,
            TypeKind::Class { .. } => self.header(t).is_ok_and(ClassHeader::is_value_type),
            // An instance is one when its definition is: this needs no argument to be loadable.
            TypeKind::Instance { definition, .. } => self.is_value_type(*definition),
            _ => false,
        }
    }

    /// Whether it is a structure marked as one that lives on the stack only. Looks at the definition alone: a class may derive from
    /// an instance over itself, which must not lead back to it.
    pub fn is_by_ref_like(&self, t: TypeId) -> bool {
        let definition = self.definition_of(t).filter(|_| !matches!(self.kind(t), TypeKind::Primitive(_)));
        definition.is_some_and(|(assembly, row)| self.has_attribute(assembly, row, "IsByRefLikeAttribute"))
    }

    /// Whether it is an enumeration.
    pub fn is_enum(&self, t: TypeId) -> bool {
        matches!(self.kind(t), TypeKind::Class { .. } | TypeKind::Instance { .. })
            && self.header(t).is_ok_and(ClassHeader::is_enum)
    }

    /// Whether it is an interface.
    pub fn is_interface(&self, t: TypeId) -> bool {
        matches!(self.kind(t), TypeKind::Class { .. } | TypeKind::Instance { .. })
            && self.header(t).is_ok_and(ClassHeader::is_interface)
    }

    /// `T` of `Nullable<T>`.
    pub fn nullable_argument(&self, t: TypeId) -> Option<TypeId> {
        match self.kind(t) {
            TypeKind::Instance { definition, args } if *definition == self.well_known.nullable => args.first().copied(),
            _ => None,
        }
    }

    /// A [`crate::ErrorKind::TypeLoad`] error about a type.
    #[cold]
    pub(crate) fn load_error(&self, t: TypeId, message: &str) -> Error {
        let error = Error::type_load(message).with_name(self.type_name(t));
        match self.definition_of(t) {
            Some((assembly, _)) => error.with_file(self.metadata(assembly).file()),
            None => error,
        }
    }
}
