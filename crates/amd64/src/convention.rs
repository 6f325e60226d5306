//! Where parameters and results live: System V for native code, and the managed convention, which is built on it.
//!
//! Source: *System V Application Binary Interface, AMD64 Architecture Processor Supplement*, section 3.2.

use ir::mach::{CodegenError, StructPassing, StructShape, StructUse};
use ir::signature::{CallConvention, Param, ParamKind, Signature};
use ir::types::{Access, Type};
use smallvec::SmallVec;
use x86::family::convention::{CallLayout, Location};

/// Integer argument registers by hardware number: rdi, rsi, rdx, rcx, r8, r9.
pub const INTEGER_ARGUMENTS: [u8; 6] = [7, 6, 2, 1, 8, 9];
/// How many of xmm0… carry arguments.
pub const FLOAT_ARGUMENTS: u8 = 8;
/// Integer result registers: rax, rdx.
const INTEGER_RESULTS: [u8; 2] = [0, 2];
/// Register of a `GenericContext` parameter: r10.
pub const CONTEXT_REGISTER: u8 = 10;
/// Register of an `InterfaceKey` parameter: r11.
pub const KEY_REGISTER: u8 = 11;

/// Places parameters and results of `signature`.
pub fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError> {
    let native = signature.convention != CallConvention::Managed;
    let mut state = Assignment::default();
    // The native convention's hidden parameter comes first wherever the signature lists it.
    let hidden = native.then(|| signature.params.iter().position(|param| param.kind == ParamKind::StructReturn)).flatten();
    let hidden_location = hidden.map(|_| state.integer());
    let mut params = SmallVec::new();
    for (index, param) in signature.params.iter().enumerate() {
        if let ParamKind::FirstPiece { pieces, align } = param.kind {
            let end = signature.params.len().min(index + usize::from(pieces));
            state.begin_structure(&signature.params[index..end], u32::from(align));
        }
        params.push(match param.kind {
            _ if Some(index) == hidden => hidden_location.unwrap_or(Location::General(INTEGER_ARGUMENTS[0])),
            ParamKind::GenericContext => Location::General(CONTEXT_REGISTER),
            ParamKind::InterfaceKey => Location::General(KEY_REGISTER),
            ParamKind::StructByValue { size, align } => Location::StackCopy { offset: state.stack(size, align.max(8)), size },
            ParamKind::Normal | ParamKind::StructReturn | ParamKind::PairLow | ParamKind::FirstPiece { .. } => match param.ty {
                Type::F32 | Type::F64 | Type::V128 => state.vector(param.ty),
                _ => state.integer(),
            },
        });
    }
    let mut results = SmallVec::new();
    let (mut integers, mut vectors) = (0, 0);
    for &ty in &signature.results {
        if is_vector(ty) {
            results.push(Location::Vector(vectors));
            vectors += 1;
        } else {
            let register = INTEGER_RESULTS.get(integers).ok_or_else(|| too_many_results(signature))?;
            results.push(Location::General(*register));
            integers += 1;
        }
    }
    if vectors > 2 {
        return Err(too_many_results(signature));
    }
    Ok(CallLayout { params, results, stack_bytes: state.stack_bytes, pops: 0, vector_count: state.vectors })
}

fn is_vector(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V128)
}

fn too_many_results(signature: &Signature) -> CodegenError {
    CodegenError { message: format!("signature {signature} has more results than registers") }
}

#[derive(Default)]
struct Assignment {
    integers: usize,
    vectors: u8,
    stack_bytes: u32,
    /// How many of the next pieces belong to a structure that lies on the stack.
    pieces_on_stack: usize,
}

impl Assignment {
    /// A structure for which the registers that are left do not suffice goes to the stack as a whole, and leaves them to others (section 3.2.3).
    fn begin_structure(&mut self, pieces: &[Param], align: u32) {
        let vectors = pieces.iter().filter(|piece| is_vector(piece.ty)).count();
        let fits = self.integers + pieces.len() - vectors <= INTEGER_ARGUMENTS.len()
            && usize::from(self.vectors) + vectors <= usize::from(FLOAT_ARGUMENTS);
        if !fits {
            self.pieces_on_stack = pieces.len();
            self.stack_bytes = self.stack_bytes.next_multiple_of(align.max(8));
        }
    }
    fn takes_register(&mut self) -> bool {
        let on_stack = self.pieces_on_stack > 0;
        self.pieces_on_stack -= usize::from(on_stack);
        !on_stack
    }
    fn integer(&mut self) -> Location {
        match (self.takes_register(), INTEGER_ARGUMENTS.get(self.integers)) {
            (true, Some(&register)) => {
                self.integers += 1;
                Location::General(register)
            }
            _ => Location::Stack(self.stack(8, 8)),
        }
    }
    fn vector(&mut self, ty: Type) -> Location {
        if self.takes_register() && self.vectors < FLOAT_ARGUMENTS {
            self.vectors += 1;
            return Location::Vector(self.vectors - 1);
        }
        let bytes = if ty == Type::V128 { 16 } else { 8 };
        Location::Stack(self.stack(bytes, bytes))
    }
    fn stack(&mut self, size: u32, align: u32) -> u32 {
        let offset = self.stack_bytes.next_multiple_of(align);
        self.stack_bytes = offset + size.next_multiple_of(8);
        offset
    }
}

/// Classifies a structure by its eightbytes.
pub fn pass_struct(shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing {
    if shape.size == 0 {
        return StructPassing::Nothing;
    }
    let misaligned = shape.fields.iter().any(|&(offset, access)| offset % access.bytes(8).min(8) != 0);
    if shape.size > 16 || misaligned {
        let copied = usage == StructUse::Param && convention != CallConvention::Managed;
        return if copied { StructPassing::Stack } else { StructPassing::Reference };
    }
    if let [(0, Access::Full(Type::V128))] = shape.fields[..] {
        return StructPassing::Pieces(SmallVec::from_slice(&[(Type::V128, 0)]));
    }
    let pieces = (0..shape.size).step_by(8).map(|start| (eightbyte_type(shape, start), start));
    StructPassing::Pieces(pieces.collect())
}

/// The type of the piece at `start`.
fn eightbyte_type(shape: &StructShape, start: u32) -> Type {
    let inside = |&&(offset, _): &&(u32, Access)| (start..start + 8).contains(&offset);
    let bytes = (shape.size - start).min(8);
    let mut fields = shape.fields.iter().filter(inside).peekable();
    let all_float =
        fields.peek().is_some() && fields.clone().all(|(_, access)| matches!(access, Access::Full(Type::F32 | Type::F64)));
    match (all_float, bytes > 4) {
        (true, true) => Type::F64,
        (true, false) => Type::F32,
        (false, false) => Type::I32,
        // A reference keeps its type, so that a structure around one field costs nothing.
        (false, true) => match (fields.next(), fields.next()) {
            (Some(&(_, Access::Full(ty))), None) if ty.is_pointer_sized() => ty,
            _ => Type::I64,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: u32, fields: &[(u32, Access)]) -> StructShape {
        StructShape { size, align: 8, fields: fields.to_vec() }
    }

    #[test]
    fn structures_are_classified_by_eightbytes() {
        let pass = |shape: &StructShape| pass_struct(shape, CallConvention::Managed, StructUse::Param);
        let full = Access::Full;
        let pieces = |list: &[(Type, u32)]| StructPassing::Pieces(SmallVec::from_slice(list));
        assert_eq!(pass(&shape(8, &[(0, full(Type::F32)), (4, full(Type::F32))])), pieces(&[(Type::F64, 0)]));
        assert_eq!(
            pass(&shape(12, &[(0, full(Type::F32)), (4, full(Type::I32)), (8, full(Type::F32))])),
            pieces(&[(Type::I64, 0), (Type::F32, 8)])
        );
        assert_eq!(pass(&shape(16, &[(0, full(Type::Ref)), (8, full(Type::F64))])), pieces(&[(Type::Ref, 0), (Type::F64, 8)]));
        assert_eq!(pass(&shape(3, &[(0, Access::U8), (1, Access::U8), (2, Access::U8)])), pieces(&[(Type::I32, 0)]));
        let large = shape(24, &[(0, full(Type::I64)), (8, full(Type::I64)), (16, full(Type::I64))]);
        assert_eq!(pass(&large), StructPassing::Reference);
        assert_eq!(pass_struct(&large, CallConvention::Native, StructUse::Param), StructPassing::Stack);
        assert_eq!(pass_struct(&large, CallConvention::Native, StructUse::Result), StructPassing::Reference);
    }

    #[test]
    fn parameters_are_placed_in_order() {
        let mut signature = Signature::new(CallConvention::Managed);
        for _ in 0..7 {
            signature.params.push(Param::normal(Type::I64));
        }
        signature.params.push(Param::normal(Type::F32));
        signature.params.push(Param { ty: Type::Iptr, kind: ParamKind::GenericContext });
        let layout = call_layout(&signature).unwrap();
        assert_eq!(layout.params[0], Location::General(7));
        assert_eq!(layout.params[6], Location::Stack(0));
        assert_eq!(layout.params[7], Location::Vector(0));
        assert_eq!(layout.params[8], Location::General(CONTEXT_REGISTER));
        assert_eq!(layout.stack_bytes, 8);
    }

    #[test]
    fn native_structures_stay_together() {
        use Location::*;
        let mut signature = Signature::new(CallConvention::Native);
        signature.params.extend([Param::normal(Type::I32); 5]);
        signature.params.push(Param { ty: Type::I64, kind: ParamKind::FirstPiece { pieces: 2, align: 8 } });
        signature.params.extend([Param::normal(Type::I64), Param::normal(Type::I32), Param::normal(Type::F64)]);
        // One register is left, so the structure is on the stack, and the next integer takes the register.
        let layout = call_layout(&signature).unwrap();
        assert_eq!(layout.params[5..], [Stack(0), Stack(8), General(INTEGER_ARGUMENTS[5]), Vector(0)]);
        assert_eq!(layout.stack_bytes, 16);
    }
}
