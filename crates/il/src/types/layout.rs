//! Target data layouts, the fixed layout of heap objects, and what kinds of storage locations there are.

/// What of a target decides about the layout of types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DataLayout {
    /// Bytes of a pointer: 4 or 8.
    pub pointer_bytes: u32,
    /// Alignment of 64-bit integers in structures.
    pub int64_align: u32,
    /// Alignment of 64-bit floats in structures.
    pub double_align: u32,
    /// Name of the target.
    pub name: &'static str,
}

impl DataLayout {
    /// 64-bit x86.
    pub const AMD64: DataLayout = DataLayout { pointer_bytes: 8, int64_align: 8, double_align: 8, name: "amd64" };
    /// 32-bit x86, System V: 64-bit scalars are aligned to 4 in structures.
    pub const X86: DataLayout = DataLayout { pointer_bytes: 4, int64_align: 4, double_align: 4, name: "x86" };
    /// 32-bit ARM, AAPCS.
    pub const ARM: DataLayout = DataLayout { pointer_bytes: 4, int64_align: 8, double_align: 8, name: "arm" };

    /// All of them.
    pub const ALL: [DataLayout; 3] = [DataLayout::AMD64, DataLayout::X86, DataLayout::ARM];

    /// The layout of heap objects.
    pub const fn object(self) -> ObjectLayout {
        ObjectLayout { pointer_bytes: self.pointer_bytes }
    }
}

/// Offsets in heap objects, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectLayout {
    /// 4 or 8.
    pub pointer_bytes: u32,
}

impl ObjectLayout {
    /// The pointer to the method table.
    pub const fn method_table(self) -> u32 {
        0
    }
    /// The 32-bit synchronisation word.
    pub const fn sync_word(self) -> u32 {
        self.pointer_bytes
    }
    /// First byte that instance fields may take.
    pub const fn first_field(self) -> u32 {
        self.pointer_bytes + 4
    }
    /// The 32-bit length of arrays and strings.
    pub const fn length(self) -> u32 {
        self.pointer_bytes + 4
    }
    /// First UTF-16 unit of a string.
    pub const fn string_chars(self) -> u32 {
        self.pointer_bytes + 8
    }
    /// First element of a vector.
    pub const fn vector_data(self) -> u32 {
        16
    }
    /// Pairs of 32-bit (length, lower bound) of an array with bounds.
    pub const fn array_bounds(self) -> u32 {
        16
    }
    /// First element of an array with bounds.
    pub const fn array_data(self, rank: u32) -> u32 {
        16 + 8 * rank
    }
    /// Payload of a boxed value type.
    pub const fn boxed_payload(self) -> u32 {
        2 * self.pointer_bytes
    }
}

/// What a location (field, element, parameter, local) of a type holds; enumerations are reduced to their underlying type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Storage {
    /// Nothing (a `void` result).
    Void,
    /// Signed byte.
    I1,
    /// Unsigned byte, also `bool`.
    U1,
    /// Signed 16-bit integer.
    I2,
    /// Unsigned 16-bit integer, also `char`.
    U2,
    /// Signed 32-bit integer.
    I4,
    /// Unsigned 32-bit integer.
    U4,
    /// Signed 64-bit integer.
    I8,
    /// Unsigned 64-bit integer.
    U8,
    /// 32-bit float.
    R4,
    /// 64-bit float.
    R8,
    /// Signed native integer.
    NativeInt,
    /// Unsigned native integer, unmanaged pointer, function pointer.
    NativeUInt,
    /// Object reference.
    Ref,
    /// Managed pointer.
    ManagedPointer,
    /// A value type.
    Struct {
        /// Bytes, at least 1.
        size: u32,
        /// Alignment in bytes, a power of two.
        align: u32,
    },
}

impl Storage {
    /// Size in bytes under `layout`.
    pub const fn size(self, layout: &DataLayout) -> u32 {
        match self {
            Storage::Void => 0,
            Storage::I1 | Storage::U1 => 1,
            Storage::I2 | Storage::U2 => 2,
            Storage::I4 | Storage::U4 | Storage::R4 => 4,
            Storage::I8 | Storage::U8 | Storage::R8 => 8,
            Storage::NativeInt | Storage::NativeUInt | Storage::Ref | Storage::ManagedPointer => layout.pointer_bytes,
            Storage::Struct { size, .. } => size,
        }
    }

    /// Alignment in bytes within structures and objects under `layout`.
    pub const fn align(self, layout: &DataLayout) -> u32 {
        match self {
            Storage::I8 | Storage::U8 => layout.int64_align,
            Storage::R8 => layout.double_align,
            Storage::Void => 1,
            Storage::Struct { align, .. } => align,
            other => other.size(layout),
        }
    }
}

/// `value` rounded up to a multiple of `align`, a power of two.
pub(crate) const fn align_up(value: u32, align: u32) -> u32 {
    (value + align - 1) & !(align - 1)
}
