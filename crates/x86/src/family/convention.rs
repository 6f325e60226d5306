//! Where calls put parameters and results: the vocabulary. The rules are each machine's own.

use smallvec::SmallVec;

/// Where a parameter or result is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// General register by number.
    General(u8),
    /// Vector register by number.
    Vector(u8),
    /// At this offset in the argument area (stack pointer at the call; frame pointer + two words in the callee).
    Stack(u32),
    /// A copy of a structure of `size` bytes at this offset.
    StackCopy {
        /// Offset in the argument area.
        offset: u32,
        /// Bytes.
        size: u32,
    },
    /// On the x87 stack: a float result of native code on 32 bits.
    X87,
}

/// The places of everything that a call passes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallLayout {
    /// One for each parameter, in order.
    pub params: SmallVec<[Location; 8]>,
    /// One for each result.
    pub results: SmallVec<[Location; 2]>,
    /// Bytes of the argument area, a multiple of the word.
    pub stack_bytes: u32,
    /// Bytes of arguments that the callee pops.
    pub pops: u32,
    /// Vector registers used, which variadic native functions of amd64 want in al.
    pub vector_count: u8,
}
