//! Arithmetic, comparisons and branches (ECMA-335 III.1.5, tables III.2 to III.6).
//!
//! Floats of 32 bits stay so among themselves, as in Mono on amd64; mixed operands are 64 bits wide.

use super::stack::{Operand, Shape};
use super::{Importer, Outcome, invalid};
use crate::abi::HelperId;
use il::instruction::{Opcode as Il, SwitchTargets};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Aux, BlockCall, FloatCompare, IntCompare, Opcode, TrapCode};

/// Opcodes of an operation on integers and on floats.
fn binary_opcodes(il: Il) -> Option<(Opcode, Option<Opcode>)> {
    Some(match il {
        Il::Add => (Opcode::Iadd, Some(Opcode::Fadd)),
        Il::Sub => (Opcode::Isub, Some(Opcode::Fsub)),
        Il::Mul => (Opcode::Imul, Some(Opcode::Fmul)),
        Il::Div => (Opcode::Sdiv, Some(Opcode::Fdiv)),
        Il::DivUn => (Opcode::Udiv, None),
        Il::Rem => (Opcode::Srem, None),
        Il::RemUn => (Opcode::Urem, None),
        Il::And => (Opcode::Iand, None),
        Il::Or => (Opcode::Ior, None),
        Il::Xor => (Opcode::Ixor, None),
        Il::AddOvf => (Opcode::SaddOverflow, None),
        Il::AddOvfUn => (Opcode::UaddOverflow, None),
        Il::SubOvf => (Opcode::SsubOverflow, None),
        Il::SubOvfUn => (Opcode::UsubOverflow, None),
        Il::MulOvf => (Opcode::SmulOverflow, None),
        Il::MulOvfUn => (Opcode::UmulOverflow, None),
        _ => return None,
    })
}

/// Comparison of integers and of floats for an opcode.
fn comparison(il: Il) -> Option<(IntCompare, FloatCompare)> {
    Some(match il {
        Il::Ceq | Il::Beq => (IntCompare::Eq, FloatCompare::Oeq),
        Il::BneUn => (IntCompare::Ne, FloatCompare::Une),
        Il::Cgt | Il::Bgt => (IntCompare::Sgt, FloatCompare::Ogt),
        Il::CgtUn | Il::BgtUn => (IntCompare::Ugt, FloatCompare::Ugt),
        Il::Clt | Il::Blt => (IntCompare::Slt, FloatCompare::Olt),
        Il::CltUn | Il::BltUn => (IntCompare::Ult, FloatCompare::Ult),
        Il::Bge => (IntCompare::Sge, FloatCompare::Oge),
        Il::BgeUn => (IntCompare::Uge, FloatCompare::Uge),
        Il::Ble => (IntCompare::Sle, FloatCompare::Ole),
        Il::BleUn => (IntCompare::Ule, FloatCompare::Ule),
        _ => return None,
    })
}

fn scalar(operand: Operand) -> Outcome<Type> {
    match operand.shape {
        Shape::Scalar(ty) => Ok(ty),
        Shape::Struct(_) => Err(invalid("arithmetic on a structure")),
    }
}

/// As [`scalar`], for what cannot be done with references.
fn number(operand: Operand) -> Outcome<Type> {
    match scalar(operand)? {
        Type::Ref => Err(invalid("arithmetic on a reference")),
        ty => Ok(ty),
    }
}

impl<'a> Importer<'a, '_> {
    /// Both operands in one type. Pointers count as native integers.
    fn unify(&mut self, a: Operand, b: Operand) -> Outcome<(Value, Value, Type)> {
        let (left, right) = (scalar(a)?, scalar(b)?);
        let number = |ty: Type| if ty.is_managed() { Type::Iptr } else { ty };
        let ty = match (number(left), number(right)) {
            (left, right) if left == right => left,
            (left, right) if left.is_float() && right.is_float() => Type::F64,
            (left, right) if left.is_float() || right.is_float() => return Err(invalid("a float and an integer")),
            (Type::I64, _) | (_, Type::I64) => Type::I64,
            _ => Type::Iptr,
        };
        let x = self.convert_scalar(a, ty)?;
        let y = self.convert_scalar(b, ty)?;
        Ok((x, y, ty))
    }

    pub(super) fn import_binary(&mut self, il: Il) -> Outcome {
        let Some((integer, float)) = binary_opcodes(il) else { return Err(invalid("not a binary operation")) };
        let b = self.pop()?;
        let a = self.pop()?;
        let (left, right) = (number(a)?, number(b)?);
        let managed = left == Type::Mptr || right == Type::Mptr;
        let (x, y, ty) = self.unify(a, b)?;
        if ty.is_float() {
            let value = match (il, float) {
                (Il::Rem, _) => {
                    let helper = if ty == Type::F32 { HelperId::Frem32 } else { HelperId::Frem64 };
                    self.helper_value(helper, &[x, y])
                }
                (_, Some(opcode)) => self.b.emit(opcode, ty, &[x, y], Aux::None),
                _ => return Err(invalid("an integer operation on floats")),
            };
            self.push_scalar(value);
            return Ok(());
        }
        // A managed pointer plus or minus a number is one; the difference of two is a number.
        let both = left.is_managed() && right.is_managed();
        let sum = matches!(il, Il::Add | Il::Sub | Il::AddOvf | Il::AddOvfUn | Il::SubOvf | Il::SubOvfUn);
        let result = if managed && sum && !both && ty == Type::Iptr { Type::Mptr } else { ty };
        let (x, y) = if result == Type::Mptr {
            let keep =
                |operand: Operand, number: Value| if operand.shape == Shape::Scalar(Type::I32) { number } else { operand.value };
            (keep(a, x), keep(b, y))
        } else {
            (x, y)
        };
        let value = self.b.emit(integer, result, &[x, y], Aux::None);
        self.push_scalar(value);
        Ok(())
    }

    pub(super) fn import_shift(&mut self, il: Il) -> Outcome {
        let amount = self.pop_scalar(Type::I32)?;
        let operand = self.pop()?;
        let ty = match number(operand)? {
            ty if ty.is_managed() => Type::Iptr,
            ty if ty.is_int() => ty,
            _ => return Err(invalid("a shift of a float")),
        };
        let value = self.convert_scalar(operand, ty)?;
        let opcode = match il {
            Il::Shl => Opcode::Ishl,
            Il::Shr => Opcode::Sshr,
            _ => Opcode::Ushr,
        };
        let value = self.b.emit(opcode, ty, &[value, amount], Aux::None);
        self.push_scalar(value);
        Ok(())
    }

    pub(super) fn import_unary(&mut self, il: Il) -> Outcome {
        let operand = self.pop()?;
        let ty = number(operand)?;
        let ty = if ty.is_managed() { Type::Iptr } else { ty };
        let value = self.convert_scalar(operand, ty)?;
        let opcode = match (il, ty.is_float()) {
            (Il::Neg, true) => Opcode::Fneg,
            (Il::Neg, false) => Opcode::Ineg,
            (Il::Not, false) => Opcode::Inot,
            _ => return Err(invalid("not of a float")),
        };
        let value = self.b.emit(opcode, ty, &[value], Aux::None);
        self.push_scalar(value);
        Ok(())
    }

    pub(super) fn import_ckfinite(&mut self) -> Outcome {
        let operand = self.pop()?;
        let ty = scalar(operand)?;
        if !ty.is_float() {
            return Err(invalid("ckfinite of an integer"));
        }
        // x - x is 0 for finite x, else NaN.
        let difference = self.b.fsub(operand.value, operand.value);
        let bad = self.b.fcmp(FloatCompare::Une, difference, difference);
        self.b.trap_if(bad, TrapCode::Arithmetic);
        self.push_scalar(operand.value);
        Ok(())
    }

    fn compare(&mut self, il: Il) -> Outcome<Value> {
        let Some((integer, float)) = comparison(il) else { return Err(invalid("not a comparison")) };
        let b = self.pop()?;
        let a = self.pop()?;
        // References and pointers are compared as they are.
        if let (Shape::Scalar(left), Shape::Scalar(right)) = (a.shape, b.shape) {
            if left.is_pointer_sized() && right.is_pointer_sized() {
                return Ok(self.b.icmp(integer, a.value, b.value));
            }
        }
        // Mono widens neither for a comparison.
        match (scalar(a)?, scalar(b)?) {
            (Type::I32, Type::I64) | (Type::I64, Type::I32) => return Err(invalid("integers of different sizes are compared")),
            (Type::Ref, _) | (_, Type::Ref) => return Err(invalid("a reference is compared with a number")),
            _ => {}
        }
        let (x, y, ty) = self.unify(a, b)?;
        Ok(if ty.is_float() { self.b.fcmp(float, x, y) } else { self.b.icmp(integer, x, y) })
    }

    pub(super) fn import_compare(&mut self, il: Il) -> Outcome {
        let value = self.compare(il)?;
        self.push_scalar(value);
        Ok(())
    }

    pub(super) fn import_compare_branch(&mut self, il: Il, target: u32, next: u32) -> Outcome {
        let condition = self.compare(il)?;
        self.branch_if(condition, target, next)
    }

    pub(super) fn import_bool_branch(&mut self, if_true: bool, target: u32, next: u32) -> Outcome {
        let operand = self.pop()?;
        let value = operand.value;
        let condition = match scalar(operand)? {
            Type::I32 if if_true => value,
            ty if ty.is_float() => return Err(invalid("a float decides on a branch")),
            ty => {
                let zero = self.b.iconst(ty, 0);
                let compare = if if_true { IntCompare::Ne } else { IntCompare::Eq };
                self.b.icmp(compare, value, zero)
            }
        };
        self.branch_if(condition, target, next)
    }

    fn branch_if(&mut self, condition: Value, target: u32, next: u32) -> Outcome {
        if target == next {
            return self.branch_to(next);
        }
        self.spill_stack()?;
        let then = self.target(self.clone, target)?;
        let otherwise = self.target(self.clone, next)?;
        self.b.brif(condition, then, &[], otherwise, &[]);
        self.note_filled(self.clone, [target, next]);
        Ok(())
    }

    pub(super) fn import_switch(&mut self, targets: SwitchTargets<'_>, next: u32) -> Outcome {
        let index = self.pop()?;
        if index.shape == Shape::Scalar(Type::I64) {
            return Err(invalid("a switch on a long integer"));
        }
        let index = self.convert_scalar(index, Type::I32)?;
        self.spill_stack()?;
        let clone = self.clone;
        let default = self.target(clone, next)?;
        let mut cases = Vec::with_capacity(targets.len());
        for target in targets.iter() {
            let block = self.target(clone, target)?;
            cases.push(BlockCall::new(block, &[]));
        }
        self.b.br_table(index, BlockCall::new(default, &[]), cases);
        let mut all: Vec<u32> = targets.iter().chain([next]).collect();
        all.sort_unstable();
        all.dedup();
        self.note_filled(clone, all);
        Ok(())
    }
}
