//! Which part of the importer handles which opcode.

use super::stack::Origin;
use super::{Importer, Outcome, Prefixes, invalid};
use il::Token;
use il::instruction::{Instruction, Opcode as Il, Operand};
use ir::Type;

fn token(operand: Operand<'_>) -> Outcome<Token> {
    match operand {
        Operand::Token(token) => Ok(token),
        _ => Err(invalid("a token is missing")),
    }
}

impl<'a> Importer<'a, '_> {
    /// Imports one instruction. Prefixes add up until the instruction that they belong to.
    pub(super) fn import_instruction(&mut self, instruction: &Instruction<'a>) -> Outcome {
        let (opcode, operand) = instruction.general();
        match (opcode, operand) {
            (Il::Volatile, _) => self.prefixes.volatile = true,
            (Il::Unaligned, _) => self.prefixes.unaligned = true,
            (Il::Readonly, _) => self.prefixes.readonly = true,
            (Il::Constrained, Operand::Token(token)) => self.prefixes.constrained = Some(token),
            (Il::Tail, _) => self.prefixes.tail = true,
            (Il::No, _) => {}
            _ => {
                let outcome = self.import_operation(opcode, operand, instruction);
                self.prefixes = Prefixes::default();
                self.tail.wanted = false;
                return outcome;
            }
        }
        Ok(())
    }

    fn import_operation(&mut self, opcode: Il, operand: Operand<'a>, instruction: &Instruction<'a>) -> Outcome {
        use Il::*;
        self.tail.wanted = match opcode {
            Call | Callvirt | Calli => self.prefixes.tail && self.is_before_return(instruction.next),
            Jmp => true,
            _ => false,
        };
        match opcode {
            Nop | Break => Ok(()),
            Ldarg | Ldarga | Starg | Ldloc | Ldloca | Stloc => self.import_variable(opcode, operand),
            Ldnull => {
                let null = self.b.null();
                self.push_reference(null, None, false);
                Ok(())
            }
            LdcI4 | LdcI8 | LdcR4 | LdcR8 => self.import_constant(operand),
            Dup => self.import_dup(),
            Pop => self.pop().map(|_| ()),
            Jmp => self.import_jmp(token(operand)?),
            Call => self.import_call(token(operand)?, false),
            Callvirt => self.import_call(token(operand)?, true),
            Calli => self.import_calli(token(operand)?),
            Ret => self.import_ret(),
            Br | Leave | Brfalse | Brtrue | Beq | Bge | Bgt | Ble | Blt | BneUn | BgeUn | BgtUn | BleUn | BltUn => {
                let Operand::Target(target) = operand else { return Err(invalid("a branch without target")) };
                match opcode {
                    Br => self.branch_to(target),
                    Leave => self.import_leave(target),
                    Brfalse | Brtrue => self.import_bool_branch(opcode == Brtrue, target, instruction.next),
                    _ => self.import_compare_branch(opcode, target, instruction.next),
                }
            }
            Switch => match operand {
                Operand::Switch(targets) => self.import_switch(targets, instruction.next),
                _ => Err(invalid("a switch without targets")),
            },
            LdindI1 | LdindU1 | LdindI2 | LdindU2 | LdindI4 | LdindU4 | LdindI8 | LdindI | LdindR4 | LdindR8 | LdindRef => {
                self.import_load_indirect(opcode)
            }
            StindRef | StindI1 | StindI2 | StindI4 | StindI8 | StindI | StindR4 | StindR8 => self.import_store_indirect(opcode),
            Add | Sub | Mul | Div | DivUn | Rem | RemUn | And | Or | Xor | AddOvf | AddOvfUn | MulOvf | MulOvfUn | SubOvf
            | SubOvfUn => self.import_binary(opcode),
            Shl | Shr | ShrUn => self.import_shift(opcode),
            Neg | Not => self.import_unary(opcode),
            Ceq | Cgt | CgtUn | Clt | CltUn => self.import_compare(opcode),
            Ckfinite => self.import_ckfinite(),
            Cpobj => self.import_cpobj(token(operand)?),
            Ldobj => self.import_ldobj(token(operand)?),
            Stobj => self.import_stobj(token(operand)?),
            Initobj => self.import_initobj(token(operand)?),
            Cpblk => self.import_cpblk(),
            Initblk => self.import_initblk(),
            Localloc => self.import_localloc(),
            Sizeof => self.import_sizeof(token(operand)?),
            Ldstr => match operand {
                Operand::String(offset) => self.import_ldstr(offset),
                _ => Err(invalid("a string is missing")),
            },
            Newobj => self.import_newobj(token(operand)?),
            Castclass => self.import_castclass(token(operand)?),
            Isinst => self.import_isinst(token(operand)?),
            Unbox => self.import_unbox(token(operand)?),
            UnboxAny => self.import_unbox_any(token(operand)?),
            Box => self.import_box(token(operand)?, instruction.next),
            Throw => self.import_throw(),
            Rethrow => self.import_rethrow(),
            Endfinally => self.import_endfinally(),
            Endfilter => self.import_endfilter(),
            Ldfld => self.import_ldfld(token(operand)?),
            Ldflda => self.import_ldflda(token(operand)?),
            Stfld => self.import_stfld(token(operand)?),
            Ldsfld => self.import_ldsfld(token(operand)?),
            Ldsflda => self.import_ldsflda(token(operand)?),
            Stsfld => self.import_stsfld(token(operand)?),
            Newarr => self.import_newarr(token(operand)?),
            Ldlen => self.import_ldlen(),
            Ldelema => self.import_ldelema(token(operand)?),
            Ldelem => self.import_ldelem(opcode, Some(token(operand)?)),
            LdelemI1 | LdelemU1 | LdelemI2 | LdelemU2 | LdelemI4 | LdelemU4 | LdelemI8 | LdelemI | LdelemR4 | LdelemR8
            | LdelemRef => self.import_ldelem(opcode, None),
            Stelem => self.import_stelem(opcode, Some(token(operand)?)),
            StelemI | StelemI1 | StelemI2 | StelemI4 | StelemI8 | StelemR4 | StelemR8 | StelemRef => {
                self.import_stelem(opcode, None)
            }
            Ldtoken => self.import_ldtoken(token(operand)?),
            Ldftn => self.import_ldftn(token(operand)?),
            Ldvirtftn => self.import_ldvirtftn(token(operand)?),
            Mkrefany => self.import_mkrefany(token(operand)?),
            Refanyval => self.import_refanyval(token(operand)?),
            Refanytype => self.import_refanytype(),
            Arglist => self.import_arglist(),
            _ => self.import_convert(opcode),
        }
    }

    fn import_variable(&mut self, opcode: Il, operand: Operand<'_>) -> Outcome {
        let Operand::Variable(number) = operand else { return Err(invalid("a variable's number is missing")) };
        let local = match opcode {
            Il::Ldarg | Il::Ldarga | Il::Starg => self.argument(number)?,
            _ => self.local(number)?,
        };
        match opcode {
            Il::Ldarg | Il::Ldloc => self.load_local(local),
            Il::Starg | Il::Stloc => self.store_local(local),
            _ => {
                let address = self.local_address(local)?;
                self.push_scalar(address);
                Ok(())
            }
        }
    }

    fn import_constant(&mut self, operand: Operand<'_>) -> Outcome {
        let value = match operand {
            Operand::I32(value) => self.b.iconst(Type::I32, i64::from(value)),
            Operand::I64(value) => self.b.iconst(Type::I64, value),
            Operand::R4(value) => self.b.f32const(value),
            Operand::R8(value) => self.b.f64const(value),
            _ => return Err(invalid("a constant is missing")),
        };
        self.push_scalar(value);
        if let (Operand::R8(number), Some(top)) = (operand, self.stack.last_mut()) {
            top.origin = Origin::Double(number.to_bits());
        }
        Ok(())
    }
}
