//! The types of SSA values and of memory accesses.

use std::fmt;

/// The type of an SSA value. There are no 8- and 16-bit values: narrow integers exist in memory
/// only ([`Access`]) and are widened when loaded, as on the CIL stack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Type {
    /// 32-bit integer; also the type of conditions (0 or 1).
    I32,
    /// 64-bit integer.
    I64,
    /// Native integer or unmanaged pointer: as wide as the target's pointers.
    Iptr,
    /// Reference to the start of a heap object, or null.
    Ref,
    /// Managed pointer: into an object, a frame or unmanaged memory, or null.
    Mptr,
    /// 32-bit float. Results are rounded to it by every operation.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
}

impl Type {
    /// Size in bytes where pointers have `pointer_bytes`.
    pub fn bytes(self, pointer_bytes: u32) -> u32 {
        match self {
            Type::I32 | Type::F32 => 4,
            Type::I64 | Type::F64 => 8,
            Type::Iptr | Type::Ref | Type::Mptr => pointer_bytes,
            Type::V128 => 16,
        }
    }
    /// Whether it is one of the integer types (pointers to the heap are not).
    pub fn is_int(self) -> bool {
        matches!(self, Type::I32 | Type::I64 | Type::Iptr)
    }
    /// Whether it is as wide as a pointer.
    pub fn is_pointer_sized(self) -> bool {
        matches!(self, Type::Iptr | Type::Ref | Type::Mptr)
    }
    /// Whether it is `f32` or `f64`.
    pub fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64)
    }
    /// Whether the collector must find it: `ref` or `mptr`.
    pub fn is_managed(self) -> bool {
        matches!(self, Type::Ref | Type::Mptr)
    }
    /// Its spelling in the text syntax.
    pub fn name(self) -> &'static str {
        match self {
            Type::I32 => "i32",
            Type::I64 => "i64",
            Type::Iptr => "iptr",
            Type::Ref => "ref",
            Type::Mptr => "mptr",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::V128 => "v128",
        }
    }
    /// All types, in the order of their declaration.
    pub const ALL: [Type; 8] = [Type::I32, Type::I64, Type::Iptr, Type::Ref, Type::Mptr, Type::F32, Type::F64, Type::V128];
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a memory access moves: width, and how a narrow integer is widened to `i32` when loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// Signed 16-bit integer.
    I16,
    /// Unsigned 16-bit integer.
    U16,
    /// The whole of an SSA type.
    Full(Type),
}

impl Access {
    /// Size in bytes where pointers have `pointer_bytes`.
    pub fn bytes(self, pointer_bytes: u32) -> u32 {
        match self {
            Access::I8 | Access::U8 => 1,
            Access::I16 | Access::U16 => 2,
            Access::Full(ty) => ty.bytes(pointer_bytes),
        }
    }
    /// The SSA type of the value loaded or stored.
    pub fn value_type(self) -> Type {
        match self {
            Access::Full(ty) => ty,
            _ => Type::I32,
        }
    }
    /// Its spelling in the text syntax (`i8`, `u16`, `f64`, …).
    pub fn name(self) -> &'static str {
        match self {
            Access::I8 => "i8",
            Access::U8 => "u8",
            Access::I16 => "i16",
            Access::U16 => "u16",
            Access::Full(ty) => ty.name(),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
