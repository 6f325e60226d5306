//! Call signatures: already broken down to SSA types, with the role of each parameter.
//!
//! Value types do not appear here: whoever builds a signature asks the back end how a structure
//! is passed (`Backend::pass_struct`) and lists the pieces.

use crate::types::Type;
use smallvec::SmallVec;
use std::fmt;

/// Which rules place parameters and results.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallConvention {
    /// Managed code to managed code.
    Managed,
    /// The platform's C convention. A call with it also publishes the caller's frame to the
    /// thread (`ThreadLayout::last_managed_sp`), so that the callee may walk the stack, collect or throw.
    Native,
    /// Like `Native`, for a function of C that takes variable arguments: those conventions that tell them apart treat all its arguments in
    /// another way. Only calls have it.
    Variadic,
    /// Like `Native`, but on x86 the callee pops its arguments.
    StdCall,
    /// Like `StdCall`, but on x86 the first integer is in ecx.
    ThisCall,
    /// A call to a small assembly stub or leaf helper: the C convention, but the frame is not published,
    /// and the callee neither walks the stack nor collects nor throws.
    Leaf,
}

impl CallConvention {
    /// All of them.
    pub const ALL: [CallConvention; 6] = [
        CallConvention::Managed,
        CallConvention::Native,
        CallConvention::Variadic,
        CallConvention::StdCall,
        CallConvention::ThisCall,
        CallConvention::Leaf,
    ];
    /// Its name in text.
    pub fn name(self) -> &'static str {
        match self {
            CallConvention::Managed => "managed",
            CallConvention::Native => "native",
            CallConvention::Variadic => "variadic",
            CallConvention::StdCall => "stdcall",
            CallConvention::ThisCall => "thiscall",
            CallConvention::Leaf => "leaf",
        }
    }
    /// Whether a call publishes its frame to the thread.
    pub fn publishes_frame(self) -> bool {
        !matches!(self, CallConvention::Managed | CallConvention::Leaf)
    }
}

/// The role of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParamKind {
    /// An ordinary parameter, or a piece of one.
    Normal,
    /// Address of the memory in which the callee leaves a structure that it returns. In the
    /// managed convention it follows `this`; in the native one it is the ABI's hidden parameter.
    StructReturn,
    /// A structure of `size` bytes copied into the outgoing argument area (native convention only); the
    /// value is its address.
    StructByValue {
        /// Bytes.
        size: u32,
        /// Alignment in bytes, a power of two.
        align: u32,
    },
    /// The low half of a 64-bit integer that legalisation split; the next parameter is its high half. Conventions that
    /// align such pairs (AAPCS) must know; others treat the two as ordinary parameters.
    PairLow,
    /// The first piece of a structure that is passed in `pieces` pieces (native conventions only); the others follow as ordinary
    /// parameters. Conventions that keep a structure together, or align it, must know.
    FirstPiece {
        /// How many, at least two.
        pieces: u16,
        /// Alignment of the structure in bytes, a power of two.
        align: u16,
    },
    /// Which interface method is called: lives in a register of its own that no other
    /// parameter uses, so that a dispatch stub can read it and any callee may ignore it.
    InterfaceKey,
    /// The generic context of shared code: in a register of its own, likewise.
    GenericContext,
}

/// One parameter of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Param {
    /// Type of the SSA value.
    pub ty: Type,
    /// Its role.
    pub kind: ParamKind,
}

impl Param {
    /// An ordinary parameter.
    pub fn normal(ty: Type) -> Param {
        Param { ty, kind: ParamKind::Normal }
    }
}

/// A call signature.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature {
    /// The rules.
    pub convention: CallConvention,
    /// Parameters in order.
    pub params: SmallVec<[Param; 6]>,
    /// Results in order; at most as many as the back end returns in registers (two).
    pub results: SmallVec<[Type; 2]>,
}

impl Signature {
    /// A signature without parameters and results.
    pub fn new(convention: CallConvention) -> Signature {
        Signature { convention, params: SmallVec::new(), results: SmallVec::new() }
    }
}

impl fmt::Display for CallConvention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Signature {
    /// `managed (ref, i32, context iptr) -> i32, f64`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.convention)?;
        for (index, param) in self.params.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match param.kind {
                ParamKind::Normal => {}
                ParamKind::StructReturn => f.write_str("sret ")?,
                ParamKind::StructByValue { size, align } => write!(f, "byval({size}, {align}) ")?,
                ParamKind::PairLow => f.write_str("low ")?,
                ParamKind::FirstPiece { pieces, align } => write!(f, "struct({pieces}, {align}) ")?,
                ParamKind::InterfaceKey => f.write_str("key ")?,
                ParamKind::GenericContext => f.write_str("context ")?,
            }
            write!(f, "{}", param.ty)?;
        }
        f.write_str(")")?;
        for (index, ty) in self.results.iter().enumerate() {
            write!(f, "{}{ty}", if index == 0 { " -> " } else { ", " })?;
        }
        Ok(())
    }
}
