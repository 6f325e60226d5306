//! Where parameters and results live.
//!
//! Native code: all parameters on the stack in words, structures copied there; results in eax and edx, floats on the x87 stack,
//! structures through a hidden first parameter, which the callee pops. The conventions `StdCall` and `ThisCall` let the callee pop everything, and the
//! latter has its first integer in ecx. Source: *System V Application Binary Interface, Intel386
//! Architecture Processor Supplement*, chapter 3.
//!
//! Managed code: the first two integers in ecx and edx, the first four floats in xmm0 to xmm3, everything else on the stack in order,
//! in words; results in eax, edx and xmm0, xmm1. The caller pops.

use crate::family::convention::{CallLayout, Location};
use ir::mach::{CodegenError, StructPassing, StructShape, StructUse};
use ir::signature::{CallConvention, ParamKind, Signature};
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// Integer argument registers of managed code by hardware number: ecx, edx.
pub const INTEGER_ARGUMENTS: [u8; 2] = [1, 2];
/// How many of xmm0… carry arguments of managed code.
pub const FLOAT_ARGUMENTS: u8 = 4;
/// Integer result registers: eax, edx.
const INTEGER_RESULTS: [u8; 2] = [0, 2];
/// Vector registers that carry results of managed code: xmm0, xmm1.
const FLOAT_RESULTS: u8 = 2;
/// Register of a `GenericContext` parameter: ebx.
pub const CONTEXT_REGISTER: u8 = 3;
/// Register of an `InterfaceKey` parameter: eax.
pub const KEY_REGISTER: u8 = 0;
const WORD: u32 = 4;
/// Structures up to this size are passed in pieces by managed code.
const LARGEST_IN_PIECES: u32 = 16;

/// Places parameters and results of `signature`.
pub fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError> {
    let native = signature.convention != CallConvention::Managed;
    let this_in_register = signature.convention == CallConvention::ThisCall;
    let mut state = Assignment { native, this_in_register, ..Assignment::default() };
    // The native convention's hidden parameter comes first wherever the signature lists it.
    let hidden = native.then(|| signature.params.iter().position(|param| param.kind == ParamKind::StructReturn)).flatten();
    let hidden_location = hidden.map(|_| state.integer());
    let mut params = SmallVec::new();
    for (index, param) in signature.params.iter().enumerate() {
        params.push(match (param.kind, hidden_location) {
            (_, Some(location)) if Some(index) == hidden => location,
            (ParamKind::GenericContext, _) => Location::General(CONTEXT_REGISTER),
            (ParamKind::InterfaceKey, _) => Location::General(KEY_REGISTER),
            (ParamKind::StructByValue { size, .. }, _) => Location::StackCopy { offset: state.stack(size), size },
            (_, _) => match param.ty {
                Type::F32 | Type::F64 | Type::V128 => state.vector(param.ty),
                _ => state.integer(),
            },
        });
    }
    let (mut integers, mut vectors) = (0, 0);
    let mut results = SmallVec::new();
    for &ty in &signature.results {
        let is_vector = matches!(ty, Type::F32 | Type::F64 | Type::V128);
        let location = match is_vector {
            true if native => (vectors == 0).then_some(Location::X87),
            true => (vectors < FLOAT_RESULTS).then_some(Location::Vector(vectors)),
            false => INTEGER_RESULTS.get(integers).map(|&register| Location::General(register)),
        };
        let error = || CodegenError { message: format!("signature {signature} has more results than registers") };
        results.push(location.ok_or_else(error)?);
        vectors += u8::from(is_vector);
        integers += usize::from(!is_vector);
    }
    let pops = match signature.convention {
        CallConvention::StdCall | CallConvention::ThisCall => state.stack_bytes,
        _ if hidden.is_some() => WORD,
        _ => 0,
    };
    Ok(CallLayout { params, results, stack_bytes: state.stack_bytes, pops, vector_count: 0 })
}

#[derive(Default)]
struct Assignment {
    native: bool,
    /// The first integer of native code goes to ecx.
    this_in_register: bool,
    integers: usize,
    vectors: u8,
    stack_bytes: u32,
}

impl Assignment {
    fn integer(&mut self) -> Location {
        if std::mem::take(&mut self.this_in_register) {
            return Location::General(INTEGER_ARGUMENTS[0]);
        }
        match INTEGER_ARGUMENTS.get(self.integers) {
            Some(&register) if !self.native => {
                self.integers += 1;
                Location::General(register)
            }
            _ => Location::Stack(self.stack(WORD)),
        }
    }
    fn vector(&mut self, ty: Type) -> Location {
        if !self.native && self.vectors < FLOAT_ARGUMENTS {
            self.vectors += 1;
            return Location::Vector(self.vectors - 1);
        }
        Location::Stack(self.stack(ty.bytes(WORD)))
    }
    fn stack(&mut self, size: u32) -> u32 {
        let offset = self.stack_bytes;
        self.stack_bytes += size.next_multiple_of(WORD);
        offset
    }
}

/// How a structure is passed. Native code copies it to the stack and gives it back through memory; managed code passes small ones
/// in pieces of the types of their fields.
pub fn pass_struct(shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing {
    let native = convention != CallConvention::Managed;
    match (native, usage) {
        // C compilers return one without fields through memory, too.
        (true, StructUse::Result) => return StructPassing::Reference,
        _ if shape.size == 0 => return StructPassing::Nothing,
        (true, StructUse::Param) => return StructPassing::Stack,
        _ => {}
    }
    let misaligned = shape.fields.iter().any(|&(offset, access)| offset % access.bytes(WORD).min(WORD) != 0);
    if shape.size > LARGEST_IN_PIECES || misaligned {
        return StructPassing::Reference;
    }
    let pieces = pieces(shape);
    let fits = |pieces: &[(Type, u32)]| {
        let (floats, integers): (Vec<Type>, Vec<Type>) =
            pieces.iter().map(|piece| piece.0).partition(|ty| matches!(ty, Type::F32 | Type::F64 | Type::V128));
        let words: u32 = integers.iter().map(|ty| ty.bytes(WORD) / WORD).sum();
        floats.len() <= usize::from(FLOAT_RESULTS) && words as usize <= INTEGER_RESULTS.len()
    };
    if usage == StructUse::Result && !fits(&pieces) {
        return StructPassing::Reference;
    }
    StructPassing::Pieces(pieces)
}

/// The pieces of a structure: fields of 8 or 16 bytes as they are, all else in words.
fn pieces(shape: &StructShape) -> SmallVec<[(Type, u32); 4]> {
    let mut pieces = SmallVec::new();
    let mut offset = 0;
    while offset < shape.size {
        let touches = |from: u32, bytes: u32| {
            let inside = move |&&(at, access): &&(u32, Access)| at < from + bytes && at + access.bytes(WORD) > from;
            shape.fields.iter().filter(inside)
        };
        let whole = |from: u32| {
            let (_, access) = shape.fields.iter().find(|field| field.0 == from)?;
            let Access::Full(ty) = *access else { return None };
            (touches(from, ty.bytes(WORD)).count() == 1).then_some(ty)
        };
        let ty = whole(offset).unwrap_or(Type::I32);
        pieces.push((ty, offset));
        offset += ty.bytes(WORD);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::signature::Param;

    fn shape(size: u32, fields: &[(u32, Access)]) -> StructShape {
        StructShape { size, align: 4, fields: fields.to_vec() }
    }

    #[test]
    fn small_structures_are_passed_in_pieces() {
        let pass = |shape: &StructShape, usage| pass_struct(shape, CallConvention::Managed, usage);
        let full = Access::Full;
        let pieces = |list: &[(Type, u32)]| StructPassing::Pieces(SmallVec::from_slice(list));
        let (param, result) = (StructUse::Param, StructUse::Result);
        let pair = shape(8, &[(0, full(Type::F32)), (4, full(Type::Ref))]);
        assert_eq!(pass(&pair, result), pieces(&[(Type::F32, 0), (Type::Ref, 4)]));
        let long = shape(8, &[(0, full(Type::I64))]);
        assert_eq!(pass(&long, result), pieces(&[(Type::I64, 0)]));
        // An explicit layout whose fields overlap.
        let union = shape(8, &[(0, full(Type::F64)), (0, full(Type::I32))]);
        assert_eq!(pass(&union, param), pieces(&[(Type::I32, 0), (Type::I32, 4)]));
        let bytes = shape(3, &[(0, Access::U8), (1, Access::U8), (2, Access::U8)]);
        assert_eq!(pass(&bytes, param), pieces(&[(Type::I32, 0)]));
        let decimal = shape(16, &[(0, full(Type::I32)), (4, full(Type::I32)), (8, full(Type::I64))]);
        assert_eq!(pass(&decimal, param), pieces(&[(Type::I32, 0), (Type::I32, 4), (Type::I64, 8)]));
        assert_eq!(pass(&decimal, result), StructPassing::Reference);
        assert_eq!(pass_struct(&pair, CallConvention::Native, param), StructPassing::Stack);
        assert_eq!(pass_struct(&pair, CallConvention::Native, result), StructPassing::Reference);
        let empty = shape(0, &[]);
        assert_eq!(pass_struct(&empty, CallConvention::Native, param), StructPassing::Nothing);
        assert_eq!(pass_struct(&empty, CallConvention::Native, result), StructPassing::Reference);
    }

    #[test]
    fn parameters_are_placed_in_order() {
        let mut signature = Signature::new(CallConvention::Managed);
        for ty in [Type::Ref, Type::F64, Type::I32, Type::I32, Type::F32] {
            signature.params.push(Param::normal(ty));
        }
        signature.params.push(Param { ty: Type::Iptr, kind: ParamKind::GenericContext });
        let layout = call_layout(&signature).unwrap();
        use Location::*;
        assert_eq!(layout.params[..], [General(1), Vector(0), General(2), Stack(0), Vector(1), General(CONTEXT_REGISTER)]);
        assert_eq!((layout.stack_bytes, layout.pops), (4, 0));

        let mut native = Signature::new(CallConvention::Native);
        native.params.push(Param::normal(Type::F64));
        native.params.push(Param { ty: Type::Iptr, kind: ParamKind::StructReturn });
        native.params.push(Param { ty: Type::Iptr, kind: ParamKind::StructByValue { size: 6, align: 2 } });
        let layout = call_layout(&native).unwrap();
        assert_eq!(layout.params[..], [Stack(4), Stack(0), StackCopy { offset: 12, size: 6 }]);
        assert_eq!((layout.stack_bytes, layout.pops), (20, 4));

        let callee_pops = |convention: CallConvention, types: &[Type]| {
            let mut signature = Signature::new(convention);
            signature.params.extend(types.iter().map(|&ty| Param::normal(ty)));
            let layout = call_layout(&signature).unwrap();
            (layout.params.to_vec(), layout.stack_bytes, layout.pops)
        };
        let (word, double) = (Type::I32, Type::F64);
        assert_eq!(callee_pops(CallConvention::StdCall, &[word, double]), (vec![Stack(0), Stack(4)], 12, 12));
        assert_eq!(callee_pops(CallConvention::ThisCall, &[word, word]), (vec![General(1), Stack(0)], 4, 4));
        assert_eq!(callee_pops(CallConvention::ThisCall, &[double, word]), (vec![Stack(0), General(1)], 8, 8));
    }
}
