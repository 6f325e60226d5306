//! Handles, the kinds of types, signatures and generic contexts: the plain data of the type system.

use std::fmt;
use std::sync::Arc;

pub use crate::signature::CallConvention;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

handle!(
    /// An assembly loaded into a type system. Numbers follow the order of loading.
    AssemblyId
);
handle!(
    /// An interned type: equal types have equal ids. The first ones are fixed (see the constants).
    TypeId
);
handle!(
    /// An interned method: a definition within a type, with its own type arguments.
    MethodId
);
handle!(
    /// A field of a (possibly instantiated) type.
    FieldId
);

/// The built-in types of signatures that are not classes with an identity of their own elsewhere (ECMA-335 II.23.1.16).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Primitive {
    /// `System.Void`
    Void,
    /// `System.Boolean`
    Boolean,
    /// `System.Char`
    Char,
    /// `System.SByte`
    I1,
    /// `System.Byte`
    U1,
    /// `System.Int16`
    I2,
    /// `System.UInt16`
    U2,
    /// `System.Int32`
    I4,
    /// `System.UInt32`
    U4,
    /// `System.Int64`
    I8,
    /// `System.UInt64`
    U8,
    /// `System.Single`
    R4,
    /// `System.Double`
    R8,
    /// `System.IntPtr`
    I,
    /// `System.UIntPtr`
    U,
}

impl Primitive {
    /// All, in the order of their type ids.
    pub const ALL: [Primitive; 15] = [
        Primitive::Void,
        Primitive::Boolean,
        Primitive::Char,
        Primitive::I1,
        Primitive::U1,
        Primitive::I2,
        Primitive::U2,
        Primitive::I4,
        Primitive::U4,
        Primitive::I8,
        Primitive::U8,
        Primitive::R4,
        Primitive::R8,
        Primitive::I,
        Primitive::U,
    ];

    /// Its type.
    pub const fn type_id(self) -> TypeId {
        TypeId(self as u32)
    }

    /// Name of its class in namespace `System`.
    pub const fn class_name(self) -> &'static str {
        match self {
            Primitive::Void => "Void",
            Primitive::Boolean => "Boolean",
            Primitive::Char => "Char",
            Primitive::I1 => "SByte",
            Primitive::U1 => "Byte",
            Primitive::I2 => "Int16",
            Primitive::U2 => "UInt16",
            Primitive::I4 => "Int32",
            Primitive::U4 => "UInt32",
            Primitive::I8 => "Int64",
            Primitive::U8 => "UInt64",
            Primitive::R4 => "Single",
            Primitive::R8 => "Double",
            Primitive::I => "IntPtr",
            Primitive::U => "UIntPtr",
        }
    }
}

impl TypeId {
    /// `void`
    pub const VOID: TypeId = Primitive::Void.type_id();
    /// `bool`
    pub const BOOLEAN: TypeId = Primitive::Boolean.type_id();
    /// `char`
    pub const CHAR: TypeId = Primitive::Char.type_id();
    /// `sbyte`
    pub const I1: TypeId = Primitive::I1.type_id();
    /// `byte`
    pub const U1: TypeId = Primitive::U1.type_id();
    /// `short`
    pub const I2: TypeId = Primitive::I2.type_id();
    /// `ushort`
    pub const U2: TypeId = Primitive::U2.type_id();
    /// `int`
    pub const I4: TypeId = Primitive::I4.type_id();
    /// `uint`
    pub const U4: TypeId = Primitive::U4.type_id();
    /// `long`
    pub const I8: TypeId = Primitive::I8.type_id();
    /// `ulong`
    pub const U8: TypeId = Primitive::U8.type_id();
    /// `float`
    pub const R4: TypeId = Primitive::R4.type_id();
    /// `double`
    pub const R8: TypeId = Primitive::R8.type_id();
    /// `System.IntPtr`
    pub const I: TypeId = Primitive::I.type_id();
    /// `System.UIntPtr`
    pub const U: TypeId = Primitive::U.type_id();
    /// `System.TypedReference`
    pub const TYPED_REFERENCE: TypeId = TypeId(15);
    /// The stand-in for all reference types in shared generic code.
    pub const CANON: TypeId = TypeId(16);
    /// `System.Object`
    pub const OBJECT: TypeId = TypeId(17);
    /// `System.String`
    pub const STRING: TypeId = TypeId(18);
}

/// What a type is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TypeKind {
    /// A built-in type; it is the same type as its class in the core library.
    Primitive(Primitive),
    /// `System.TypedReference`.
    TypedReference,
    /// A type definition, not generic, or the generic definition itself (whose parameters are then [`TypeKind::Var`]).
    Class {
        /// Where it is defined.
        assembly: AssemblyId,
        /// Its row in the TypeDef table, from 1.
        row: u32,
    },
    /// A generic type with arguments, as many as it has parameters.
    Instance {
        /// The generic definition, a [`TypeKind::Class`].
        definition: TypeId,
        /// The arguments.
        args: Box<[TypeId]>,
    },
    /// One-dimensional array from 0.
    SzArray(TypeId),
    /// Array of `rank` dimensions with lower bounds.
    Array {
        /// Type of the elements.
        element: TypeId,
        /// Number of dimensions.
        rank: u32,
    },
    /// Unmanaged pointer.
    Pointer(TypeId),
    /// Managed pointer.
    ByRef(TypeId),
    /// Function pointer.
    FunctionPointer(Arc<MethodSignature>),
    /// Parameter of the enclosing generic type.
    Var(u32),
    /// Parameter of the enclosing generic method.
    MVar(u32),
    /// The stand-in for all reference types in shared generic code.
    Canon,
}

/// A method's signature with all types resolved.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MethodSignature {
    /// Types of the parameters, without `this`.
    pub params: Box<[TypeId]>,
    /// Type of the result.
    pub ret: TypeId,
    /// Whether there is a `this` argument.
    pub has_this: bool,
    /// Whether `this` is listed among `params` (function pointers only).
    pub explicit_this: bool,
    /// Calling convention.
    pub convention: CallConvention,
    /// Number of generic parameters of the method.
    pub generic_param_count: u32,
    /// At a call site with variable arguments: how many of `params` are fixed.
    pub fixed_params: Option<u32>,
}

impl MethodSignature {
    /// The parameters before the variable ones.
    pub fn fixed(&self) -> &[TypeId] {
        self.params.split_at_checked(self.fixed_count()).map_or(&self.params, |(fixed, _)| fixed)
    }
    /// The variable arguments of a call site.
    pub fn variable(&self) -> &[TypeId] {
        self.params.get(self.fixed_count()..).unwrap_or_default()
    }
    fn fixed_count(&self) -> usize {
        self.fixed_params.map_or(self.params.len(), |count| count as usize)
    }
    /// A managed signature without generic parameters and variable arguments.
    pub fn managed(params: Vec<TypeId>, ret: TypeId, has_this: bool) -> MethodSignature {
        MethodSignature {
            params: params.into(),
            ret,
            has_this,
            explicit_this: false,
            convention: CallConvention::Default,
            generic_param_count: 0,
            fixed_params: None,
        }
    }

    /// Whether two methods have the same signature, as far as overriding and member references care.
    pub fn matches(&self, other: &MethodSignature) -> bool {
        self.has_this == other.has_this
            && self.generic_param_count == other.generic_param_count
            && self.ret == other.ret
            && self.params == other.params
    }
}

/// What the generic parameters in a signature or in IL stand for. Parameters beyond the slices stay as they are, so that an
/// empty context leaves everything open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GenericContext<'a> {
    /// Arguments of the enclosing type.
    pub type_args: &'a [TypeId],
    /// Arguments of the enclosing method.
    pub method_args: &'a [TypeId],
}

impl GenericContext<'_> {
    /// No arguments.
    pub const EMPTY: GenericContext<'static> = GenericContext { type_args: &[], method_args: &[] };
}
