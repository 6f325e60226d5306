//! Where parameters and results live: the hard-float procedure call standard for native code, and the managed convention.
//!
//! Source: *Procedure Call Standard for the Arm Architecture* (AAPCS32), sections 6 and 7. Both conventions pass integers in r0 to r3. Native code packs
//! singles into halves of d0 to d7 and aligns 64-bit values; managed code gives each float a register of its own and aligns nothing.

use crate::registers::{CONTEXT, KEY};
use ir::mach::{CodegenError, StructPassing, StructShape, StructUse};
use ir::signature::{CallConvention, ParamKind, Signature};
use ir::types::{Access, Type};
use smallvec::SmallVec;

/// How many of r0… carry arguments.
pub const INTEGER_ARGUMENTS: u8 = 4;
/// How many of d0… carry arguments.
pub const FLOAT_ARGUMENTS: u8 = 8;
/// How many of r0… carry results.
const INTEGER_RESULTS: u8 = 2;
/// How many floats a result may consist of: those of a homogeneous aggregate in native code, two in managed code.
const NATIVE_FLOAT_RESULTS: u8 = 4;
const MANAGED_FLOAT_RESULTS: u8 = 2;
/// Bytes of a structure that managed code passes in pieces.
const MANAGED_PARAM_LIMIT: u32 = 16;

/// Where a parameter or result is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// General register by number.
    General(u8),
    /// Double register by number; a single is in its lower half.
    Double(u8),
    /// The upper half of this double register (native convention only).
    UpperSingle(u8),
    /// At this offset in the argument area (stack pointer at the call; frame pointer + 8 in the callee).
    Stack(u32),
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
}

/// Places parameters and results of `signature`.
pub fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError> {
    if signature.convention == CallConvention::Variadic && signature.results.iter().any(|ty| ty.is_float()) {
        return Err(error("returns a float from a function with variable arguments", signature));
    }
    let native = signature.convention != CallConvention::Managed;
    let mut state = Assignment { native, ..Assignment::default() };
    // The native convention's hidden parameter comes first wherever the signature lists it.
    let hidden = native.then(|| signature.params.iter().position(|param| param.kind == ParamKind::StructReturn)).flatten();
    let hidden_location = hidden.map(|_| state.integer());
    let mut params: SmallVec<[Location; 8]> = SmallVec::new();
    while let Some(param) = signature.params.get(params.len()) {
        let index = params.len();
        if let ParamKind::FirstPiece { pieces, align } = param.kind {
            params.extend(state.structure(param.ty, u32::from(pieces), u32::from(align)));
            continue;
        }
        params.push(match (param.kind, hidden_location) {
            (ParamKind::StructReturn, Some(location)) if Some(index) == hidden => location,
            (ParamKind::GenericContext, _) => Location::General(CONTEXT.number()),
            (ParamKind::InterfaceKey, _) => Location::General(KEY.number()),
            (ParamKind::StructByValue { .. }, _) => {
                return Err(error("passes a structure as a whole, which this machine passes in pieces", signature));
            }
            (kind, _) => match param.ty {
                Type::F32 | Type::F64 => state.float(param.ty),
                Type::V128 | Type::I64 => {
                    return Err(error("passes a value of a type that the machine does not have", signature));
                }
                _ => {
                    if kind == ParamKind::PairLow {
                        state.align_pair();
                    }
                    state.integer()
                }
            },
        });
    }
    Ok(CallLayout { params, results: results(signature, native)?, stack_bytes: state.stack_bytes })
}

fn results(signature: &Signature, native: bool) -> Result<SmallVec<[Location; 2]>, CodegenError> {
    let mut results = SmallVec::new();
    let (mut integers, mut floats) = (0, 0);
    for &ty in &signature.results {
        results.push(match ty {
            // The singles of a homogeneous aggregate lie side by side.
            Type::F32 if native && floats % 2 != 0 => Location::UpperSingle(floats / 2),
            Type::F32 if native => Location::Double(floats / 2),
            Type::F32 | Type::F64 => Location::Double(floats),
            _ => Location::General(integers),
        });
        if ty.is_float() {
            floats += 1;
        } else {
            integers += 1;
        }
    }
    let float_results = if native { NATIVE_FLOAT_RESULTS } else { MANAGED_FLOAT_RESULTS };
    if integers > INTEGER_RESULTS || floats > float_results {
        return Err(error("has more results than registers", signature));
    }
    Ok(results)
}

fn error(what: &str, signature: &Signature) -> CodegenError {
    CodegenError { message: format!("signature {signature} {what}") }
}

/// The place of a single by the number of its half register.
fn half_register(number: u32) -> Location {
    let register = (number / 2) as u8;
    if number % 2 == 0 { Location::Double(register) } else { Location::UpperSingle(register) }
}

#[derive(Default)]
struct Assignment {
    native: bool,
    integers: u8,
    /// Halves of double registers that are taken, as bits.
    singles: u32,
    floats_on_stack: bool,
    stack_bytes: u32,
}

impl Assignment {
    fn integer(&mut self) -> Location {
        if self.integers < INTEGER_ARGUMENTS {
            self.integers += 1;
            return Location::General(self.integers - 1);
        }
        self.stack(4, 4)
    }
    /// A pair begins at an even register, or aligned on the stack. It is never split between the two.
    fn align_pair(&mut self) {
        if !self.native {
            return;
        }
        self.integers = self.integers.next_multiple_of(2);
        if self.integers >= INTEGER_ARGUMENTS {
            self.stack_bytes = self.stack_bytes.next_multiple_of(8);
        }
    }
    fn float(&mut self, ty: Type) -> Location {
        if self.native { self.floats(ty, 1)[0] } else { self.managed_float(ty.bytes(4)) }
    }
    /// Consecutive floats: one, or the elements of a homogeneous aggregate (rules C.1 and C.2). They take the lowest registers that are free side by
    /// side, which may lie before others that are taken. After the first that has to go to the stack no register is taken any more.
    fn floats(&mut self, ty: Type, count: u32) -> SmallVec<[Location; 4]> {
        let (bytes, halves) = (ty.bytes(4), ty.bytes(4) / 4);
        let mask = (1 << (count * halves)) - 1;
        let end = 2 * u32::from(FLOAT_ARGUMENTS);
        let mut starts = (0..end).step_by(halves as usize);
        let free = starts.find(|start| start + count * halves <= end && self.singles >> start & mask == 0);
        match free {
            Some(start) if !self.floats_on_stack => {
                self.singles |= mask << start;
                (0..count).map(|index| half_register(start + index * halves)).collect()
            }
            _ => {
                self.floats_on_stack = true;
                (0..count).map(|_| self.stack(bytes, bytes)).collect()
            }
        }
    }
    /// A structure of native code: the words of one that is no homogeneous aggregate follow rules C.3 to C.8, by which it may lie half in registers
    /// only if nothing is on the stack yet.
    fn structure(&mut self, first: Type, pieces: u32, align: u32) -> SmallVec<[Location; 4]> {
        if first.is_float() {
            return self.floats(first, pieces);
        }
        if align >= 8 {
            self.integers = self.integers.next_multiple_of(2);
        }
        let left = u32::from(INTEGER_ARGUMENTS - self.integers);
        if pieces > left && (left == 0 || self.stack_bytes > 0) {
            self.integers = INTEGER_ARGUMENTS;
            self.stack_bytes = self.stack_bytes.next_multiple_of(align.clamp(4, 8));
        }
        (0..pieces).map(|_| self.integer()).collect()
    }
    fn managed_float(&mut self, bytes: u32) -> Location {
        let register = self.singles.count_ones() as u8;
        if register < FLOAT_ARGUMENTS {
            self.singles |= 1 << register;
            return Location::Double(register);
        }
        self.stack(bytes, 4)
    }
    fn stack(&mut self, bytes: u32, align: u32) -> Location {
        let offset = self.stack_bytes.next_multiple_of(align);
        self.stack_bytes = offset + bytes;
        Location::Stack(offset)
    }
}

/// How a structure is passed or returned.
pub fn pass_struct(shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing {
    if shape.size == 0 {
        return StructPassing::Nothing;
    }
    let native = convention != CallConvention::Managed;
    let float_limit = match (convention, usage) {
        // The base standard knows no homogeneous aggregates.
        (CallConvention::Variadic, _) => 0,
        (CallConvention::Managed, StructUse::Result) => MANAGED_FLOAT_RESULTS,
        _ => NATIVE_FLOAT_RESULTS,
    };
    if let Some(pieces) = homogeneous_floats(shape, float_limit) {
        return StructPassing::Pieces(pieces);
    }
    let limit = match (native, usage) {
        (true, StructUse::Param) => u32::MAX,
        (true, StructUse::Result) => 4,
        (false, StructUse::Param) => MANAGED_PARAM_LIMIT,
        (false, StructUse::Result) => 4 * u32::from(INTEGER_RESULTS),
    };
    if shape.size > limit {
        return StructPassing::Reference;
    }
    StructPassing::Pieces((0..shape.size).step_by(4).map(|start| (word_type(shape, start), start)).collect())
}

/// The elements of a homogeneous floating-point aggregate (AAPCS32, section 5.1.5.2) of at most `limit` elements.
fn homogeneous_floats(shape: &StructShape, limit: u8) -> Option<SmallVec<[(Type, u32); 4]>> {
    let Some(&(_, Access::Full(ty @ (Type::F32 | Type::F64)))) = shape.fields.first() else { return None };
    let bytes = ty.bytes(4);
    let count = shape.fields.len() as u32;
    let dense = shape.fields.iter().enumerate().all(|(index, &field)| field == (index as u32 * bytes, Access::Full(ty)));
    (dense && count <= u32::from(limit) && shape.size == count * bytes)
        .then(|| shape.fields.iter().map(|&(offset, _)| (ty, offset)).collect())
}

/// The type of the word at `start`: a reference keeps its type, so that a structure around one field costs nothing.
fn word_type(shape: &StructShape, start: u32) -> Type {
    let mut inside = shape.fields.iter().filter(|(offset, _)| (start..start + 4).contains(offset));
    match (inside.next(), inside.next()) {
        (Some(&(offset, Access::Full(ty))), None) if offset == start && ty.is_pointer_sized() => ty,
        _ => Type::I32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::signature::Param;

    fn layout(convention: CallConvention, params: &[Type]) -> CallLayout {
        let mut signature = Signature::new(convention);
        for &ty in params {
            if ty == Type::I64 {
                signature.params.push(Param { ty: Type::I32, kind: ParamKind::PairLow });
                signature.params.push(Param::normal(Type::I32));
            } else {
                signature.params.push(Param::normal(ty));
            }
        }
        call_layout(&signature).unwrap()
    }

    #[test]
    fn native_pairs_are_aligned() {
        use Location::*;
        let at = |params: &[Type]| layout(CallConvention::Native, params).params.to_vec();
        assert_eq!(at(&[Type::I32, Type::I64]), [General(0), General(2), General(3)]);
        assert_eq!(
            at(&[Type::I32, Type::I32, Type::I32, Type::I64, Type::I32, Type::I64]),
            [General(0), General(1), General(2), Stack(0), Stack(4), Stack(8), Stack(16), Stack(20)]
        );
        let managed = layout(CallConvention::Managed, &[Type::I32, Type::I64, Type::I64]);
        assert_eq!(managed.params.to_vec(), [General(0), General(1), General(2), General(3), Stack(0)]);
        assert_eq!(managed.stack_bytes, 4);
    }

    #[test]
    fn native_singles_fill_gaps() {
        use Location::*;
        let at = |params: &[Type]| layout(CallConvention::Native, params).params.to_vec();
        let (single, double) = (Type::F32, Type::F64);
        assert_eq!(at(&[single, double, single, single]), [Double(0), Double(1), UpperSingle(0), Double(2)]);
        // The ninth double closes the registers, though a half is free.
        let mut many = vec![single];
        many.extend([double; 8]);
        many.push(single);
        assert_eq!(at(&many)[7..], [Double(7), Stack(0), Stack(8)]);
        let managed = layout(CallConvention::Managed, &[single, double, Type::Ref]);
        assert_eq!(managed.params.to_vec(), [Double(0), Double(1), General(0)]);
    }

    #[test]
    fn native_structures_stay_together() {
        use Location::*;
        let at = |params: &[Param]| {
            let mut signature = Signature::new(CallConvention::Native);
            signature.params.extend_from_slice(params);
            call_layout(&signature).unwrap().params.to_vec()
        };
        let structure = |ty: Type, pieces: u16, align: u16| {
            let first = Param { ty, kind: ParamKind::FirstPiece { pieces, align } };
            std::iter::once(first).chain((1..pieces).map(move |_| Param::normal(ty)))
        };
        let (single, double, word) = (Param::normal(Type::F32), Param::normal(Type::F64), Param::normal(Type::I32));
        let list = |before: &[Param], ty: Type, pieces: u16, align: u16, after: &[Param]| {
            at(&before.iter().copied().chain(structure(ty, pieces, align)).chain(after.iter().copied()).collect::<Vec<_>>())
        };
        // A pair of singles does not fill a gap of one, the next single does.
        let gap = list(&[single, double], Type::F32, 2, 4, &[single]);
        assert_eq!(gap, [Double(0), Double(1), Double(2), UpperSingle(2), UpperSingle(0)]);
        // Four doubles after six are on the stack as a whole, and so is all after them.
        let end = list(&[double; 6], Type::F64, 4, 8, &[double, single]);
        assert_eq!(end[6..], [Stack(0), Stack(8), Stack(16), Stack(24), Stack(32), Stack(40)]);
        // Half in registers only if nothing is on the stack yet.
        assert_eq!(list(&[word; 3], Type::I32, 2, 4, &[word])[3..], [General(3), Stack(0), Stack(4)]);
        assert_eq!(
            list(&[double; 9], Type::I32, 5, 4, &[word])[8..],
            [Stack(0), Stack(8), Stack(12), Stack(16), Stack(20), Stack(24), Stack(28)]
        );
        assert_eq!(list(&[word], Type::I32, 4, 8, &[word]), [General(0), General(2), General(3), Stack(0), Stack(4), Stack(8)]);
        assert_eq!(list(&[word; 5], Type::I32, 2, 8, &[word])[4..], [Stack(0), Stack(8), Stack(12), Stack(16)]);
    }

    #[test]
    fn structures_go_in_pieces() {
        let full = Access::Full;
        let shape = |size: u32, align: u32, fields: &[(u32, Access)]| StructShape { size, align, fields: fields.to_vec() };
        let pieces = |list: &[(Type, u32)]| StructPassing::Pieces(SmallVec::from_slice(list));
        let (managed, native) = (CallConvention::Managed, CallConvention::Native);
        let point = shape(16, 8, &[(0, full(Type::F64)), (8, full(Type::F64))]);
        let doubles = pieces(&[(Type::F64, 0), (Type::F64, 8)]);
        for convention in [managed, native] {
            for usage in [StructUse::Param, StructUse::Result] {
                assert_eq!(pass_struct(&point, convention, usage), doubles);
            }
        }
        let mixed = shape(12, 4, &[(0, full(Type::Ref)), (4, Access::U8), (8, full(Type::F32))]);
        let words = pieces(&[(Type::Ref, 0), (Type::I32, 4), (Type::I32, 8)]);
        assert_eq!(pass_struct(&mixed, managed, StructUse::Param), words);
        assert_eq!(pass_struct(&mixed, native, StructUse::Param), words);
        assert_eq!(pass_struct(&mixed, native, StructUse::Result), StructPassing::Reference);
        let long = shape(8, 8, &[(0, full(Type::I64))]);
        assert_eq!(pass_struct(&long, managed, StructUse::Result), pieces(&[(Type::I32, 0), (Type::I32, 4)]));
        assert_eq!(pass_struct(&long, native, StructUse::Param), pieces(&[(Type::I32, 0), (Type::I32, 4)]));
        assert_eq!(pass_struct(&long, native, StructUse::Result), StructPassing::Reference);
    }
}
