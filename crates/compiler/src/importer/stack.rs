//! The evaluation stack during import, and how it is carried from block to block (ECMA-335 III.1.5, III.1.8.1.3).
//!
//! Scalars are SSA values; a structure is the address of a place in the frame. At the end of a block what is left on the stack goes
//! into variables (one for each depth and type) or slots.

use super::{Importer, Outcome, invalid};
use il::types::{Storage, TypeId};
use ir::Type;
use ir::entity::Value;

/// What an entry of the stack is, as far as merges are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// An SSA value of this type.
    Scalar(Type),
    /// A structure.
    Struct(TypeId),
}

/// Where the value of an entry comes from, for patterns over two instructions and lazy copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    Unknown,
    /// A structure that is still in a variable or in memory that later instructions may change.
    Borrowed,
    /// `ldftn`, `ldvirtftn`: index into the importer's list of functions.
    Function(usize),
    /// `ldtoken` of a type: index likewise.
    TypeToken(super::generics::TypeRef),
    /// The `this` argument, which is not null.
    NotNull,
    /// `ldc.r8`: the bits of the number.
    Double(u64),
}

/// An entry of the evaluation stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub shape: Shape,
    /// The scalar, or the address of the structure.
    pub value: Value,
    /// References: what is known of the class.
    pub class: Option<TypeId>,
    /// Whether `class` is the exact class.
    pub exact: bool,
    pub origin: Origin,
}

/// What becomes of a value that is popped. Mono checks each in its own way; where it is strict about what compilers emit, or lenient with one kind
/// of machine only, this is lenient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// It is stored in a variable or a field of an object, boxed or returned.
    Assigned,
    /// It is an argument, or stored in a static field or through an address.
    Passed,
}

impl Use {
    /// Whether a scalar may be used so for a location. The rules are wider than those of ECMA-335 I.8.7.3.
    fn fits(self, actual: Type, storage: Storage) -> bool {
        let is_passed = self == Use::Passed;
        match storage {
            Storage::Ref => actual == Type::Ref,
            // Pointer arithmetic with long integers gives long integers.
            Storage::ManagedPointer => matches!(actual, Type::Mptr | Type::Iptr | Type::I64) || actual == Type::Ref && !is_passed,
            Storage::NativeInt | Storage::NativeUInt => !actual.is_float() && (actual != Type::Ref || is_passed),
            Storage::I8 | Storage::U8 => {
                matches!(actual, Type::I64 | Type::Iptr | Type::Mptr) || actual == Type::I32 && is_passed
            }
            Storage::R4 | Storage::R8 => actual.is_float(),
            Storage::Void | Storage::Struct { .. } => false,
            _ => matches!(actual, Type::I32 | Type::Iptr | Type::Mptr),
        }
    }
}

/// Whether the stack of another predecessor fits; scalars are converted.
pub(super) fn shapes_match(known: &[Shape], other: &[Shape]) -> bool {
    known.len() == other.len()
        && known.iter().zip(other).all(|pair| match pair {
            (Shape::Scalar(a), Shape::Scalar(b)) => a == b || a.is_float() == b.is_float(),
            (a, b) => a == b,
        })
}

impl<'a> Importer<'a, '_> {
    pub(crate) fn push(&mut self, operand: Operand) {
        self.stack.push(operand);
    }
    pub(crate) fn push_scalar(&mut self, value: Value) {
        let ty = self.b.function.value_type(value);
        let shape = Shape::Scalar(ty);
        self.push(Operand { shape, value, class: None, exact: false, origin: Origin::Unknown });
    }
    /// Pushes a reference of which the class is known.
    pub(crate) fn push_reference(&mut self, value: Value, class: Option<TypeId>, exact: bool) {
        self.push(Operand { shape: Shape::Scalar(Type::Ref), value, class, exact, origin: Origin::Unknown });
    }
    /// Pushes a structure whose memory nothing else changes.
    pub(crate) fn push_struct(&mut self, ty: TypeId, address: Value) {
        self.push(Operand { shape: Shape::Struct(ty), value: address, class: None, exact: false, origin: Origin::Unknown });
    }
    /// Pushes a structure that is copied only if something may change it.
    pub(crate) fn push_borrowed(&mut self, ty: TypeId, address: Value) {
        self.push(Operand { shape: Shape::Struct(ty), value: address, class: None, exact: false, origin: Origin::Borrowed });
    }
    /// Pushes what a location of type `ty` gives: the scalar, or the address of the structure.
    pub(crate) fn push_typed(&mut self, ty: TypeId, value: Value) -> Outcome {
        match self.types.storage(ty)? {
            Storage::Struct { .. } => self.push_struct(ty, value),
            Storage::Ref => self.push_reference(value, Some(ty), false),
            _ => self.push_scalar(value),
        }
        Ok(())
    }

    /// The topmost entry.
    pub(crate) fn top(&self) -> Option<Operand> {
        self.stack.last().copied()
    }
    pub(crate) fn pop(&mut self) -> Outcome<Operand> {
        self.stack.pop().ok_or_else(|| invalid("the evaluation stack is empty"))
    }
    /// Pops a scalar and converts it as far as CIL allows.
    pub(crate) fn pop_scalar(&mut self, ty: Type) -> Outcome<Value> {
        if ty == Type::Ref {
            return Ok(self.pop_reference()?.value);
        }
        let operand = self.pop()?;
        self.convert_scalar(operand, ty)
    }
    /// Pops a reference with what is known of it. Nothing else is taken for one.
    pub(crate) fn pop_reference(&mut self) -> Outcome<Operand> {
        let operand = self.pop()?;
        match operand.shape {
            Shape::Scalar(Type::Ref) => Ok(operand),
            _ => Err(invalid("a reference is expected")),
        }
    }
    /// Pops an address of any kind.
    pub(crate) fn pop_address(&mut self) -> Outcome<Value> {
        let operand = self.pop()?;
        match operand.shape {
            Shape::Scalar(ty) if ty.is_pointer_sized() => Ok(operand.value),
            Shape::Scalar(Type::I64 | Type::I32) => self.convert_scalar(operand, Type::Iptr),
            _ => Err(invalid("an address is expected")),
        }
    }

    /// A scalar as another type: implicit conversions of ECMA-335 III.1.6.
    pub(crate) fn convert_scalar(&mut self, operand: Operand, ty: Type) -> Outcome<Value> {
        let Shape::Scalar(from) = operand.shape else { return Err(invalid("a structure where a scalar is expected")) };
        let value = operand.value;
        if from == ty {
            return Ok(value);
        }
        Ok(match (from, ty) {
            (Type::F32, Type::F64) => self.b.fpromote(value),
            (Type::F64, Type::F32) => self.b.fdemote(value),
            (from, to) if from.is_float() || to.is_float() => return Err(invalid(format!("{from} where {to} is expected"))),
            (from, to) if from.is_pointer_sized() && to.is_pointer_sized() => self.as_pointer(value, to),
            (_, to) if to.is_pointer_sized() => self.as_pointer(value, to),
            (Type::I32, Type::I64) => self.b.sext(Type::I64, value),
            (Type::I64, Type::I32) => self.b.trunc(Type::I32, value),
            (from, to) => {
                let number = if from.is_int() { value } else { self.as_pointer(value, Type::Iptr) };
                if to == Type::I64 { self.b.sext(Type::I64, number) } else { self.b.trunc(Type::I32, number) }
            }
        })
    }

    /// Pops a value for a location of type `ty`: the scalar, or the address of the structure (with whether it may be changed).
    pub(crate) fn pop_for(&mut self, ty: TypeId, usage: Use) -> Outcome<(Value, bool)> {
        let operand = self.pop()?;
        self.operand_for(operand, ty, usage)
    }
    pub(crate) fn operand_for(&mut self, operand: Operand, ty: TypeId, usage: Use) -> Outcome<(Value, bool)> {
        let storage = self.types.storage(ty)?;
        match (operand.shape, crate::signature::storage_access(storage)) {
            (Shape::Struct(actual), None) if storage != Storage::Void => {
                let is_other = usage == Use::Assigned && actual != ty;
                if is_other && self.types.canonical_type(actual) != self.types.canonical_type(ty) {
                    return Err(invalid("another structure is expected"));
                }
                Ok((operand.value, operand.origin != Origin::Borrowed))
            }
            (Shape::Scalar(actual), Some(access)) if usage.fits(actual, storage) => {
                let value = self.convert_scalar(operand, access.value_type())?;
                Ok((self.narrow(value, access), true))
            }
            _ => Err(invalid("a value of another type is expected")),
        }
    }

    /// Copies structures that are still borrowed, before something that may change them.
    pub(crate) fn settle(&mut self) -> Outcome {
        for index in 0..self.stack.len() {
            let operand = self.stack[index];
            if let (Origin::Borrowed, Shape::Struct(ty)) = (operand.origin, operand.shape) {
                let storage = self.types.storage(ty)?;
                let copy = self.copy_to_temporary(operand.value, storage);
                self.stack[index] = Operand { value: copy, origin: Origin::Unknown, ..operand };
            }
        }
        Ok(())
    }

    /// Stores what is on the stack where the next block looks for it.
    pub(crate) fn spill_stack(&mut self) -> Outcome {
        if self.stack.is_empty() {
            return Ok(());
        }
        self.settle()?;
        // Copies out of slots come first, since a slot of another depth may be overwritten.
        if self.stack.iter().filter(|operand| matches!(operand.shape, Shape::Struct(_))).count() > 1 {
            for index in 0..self.stack.len() {
                let operand = self.stack[index];
                if let Shape::Struct(ty) = operand.shape {
                    let storage = self.types.storage(ty)?;
                    self.stack[index].value = self.copy_to_temporary(operand.value, storage);
                }
            }
        }
        for depth in 0..self.stack.len() {
            let operand = self.stack[depth];
            match operand.shape {
                Shape::Scalar(ty) => {
                    let home = self.merged_type(ty);
                    let value = self.convert_scalar(operand, home)?;
                    let variable = self.stack_variable(depth, home);
                    self.b.def_variable(variable, value);
                    self.stack[depth] = Operand { shape: Shape::Scalar(home), value, ..operand };
                }
                Shape::Struct(ty) => {
                    let Storage::Struct { size, align } = self.types.storage(ty)? else { continue };
                    let slot = match self.stack_slots.get(&(depth, ty)) {
                        Some(&slot) => slot,
                        None => self.new_slot(size, align),
                    };
                    self.stack_slots.insert((depth, ty), slot);
                    let destination = self.b.stack_addr(slot, 0);
                    self.b.copy_memory(destination, operand.value, size);
                }
            }
        }
        Ok(())
    }

    /// The type in which a scalar crosses blocks: predecessors may leave any of one family.
    fn merged_type(&self, ty: Type) -> Type {
        match ty {
            Type::F32 => Type::F64,
            other => other,
        }
    }

    fn stack_variable(&mut self, depth: usize, ty: Type) -> ir::builder::Variable {
        if let Some(&variable) = self.stack_variables.get(&(depth, ty)) {
            return variable;
        }
        let variable = self.b.declare_variable(ty);
        self.stack_variables.insert((depth, ty), variable);
        variable
    }

    /// Takes the stack over at the start of a block.
    pub(crate) fn reload_stack(&mut self, shapes: &[Shape]) {
        self.stack.clear();
        for (depth, &shape) in shapes.iter().enumerate() {
            match shape {
                Shape::Scalar(ty) => {
                    let variable = self.stack_variable(depth, ty);
                    let value = self.b.use_variable(variable);
                    self.push_scalar(value);
                }
                Shape::Struct(ty) => {
                    if let Some(&slot) = self.stack_slots.get(&(depth, ty)) {
                        let address = self.b.stack_addr(slot, 0);
                        self.push_struct(ty, address);
                    }
                }
            }
        }
    }

    /// Stores the stack once more in the types that a known block expects.
    pub(crate) fn adapt_stack(&mut self, shapes: &[Shape]) -> Outcome {
        for (depth, &shape) in shapes.iter().enumerate() {
            let operand = self.stack[depth];
            if let (Shape::Scalar(wanted), Shape::Scalar(actual)) = (shape, operand.shape) {
                if wanted != actual {
                    let value = self.convert_scalar(operand, wanted)?;
                    let variable = self.stack_variable(depth, wanted);
                    self.b.def_variable(variable, value);
                }
            }
        }
        Ok(())
    }
}
