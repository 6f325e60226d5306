//! Indirect loads and stores, structure copies, blocks of memory (ECMA-335 III.3, III.4).

use super::generics::TypeRef;
use super::stack::Use;
use super::{Importer, Outcome, invalid};
use crate::abi::HelperId;
use crate::emit::Destination;
use crate::signature::storage_access;
use il::instruction::Opcode as Il;
use il::types::{Storage, TypeId};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Alias, Memory, MemoryFlags};
use ir::types::Access;

/// What an indirect access without a token moves.
pub(super) fn indirect_access(il: Il) -> Option<Access> {
    Some(match il {
        Il::LdindI1 | Il::LdelemI1 => Access::I8,
        Il::LdindU1 | Il::StindI1 | Il::LdelemU1 | Il::StelemI1 => Access::U8,
        Il::LdindI2 | Il::LdelemI2 => Access::I16,
        Il::LdindU2 | Il::StindI2 | Il::LdelemU2 | Il::StelemI2 => Access::U16,
        Il::LdindI4 | Il::LdindU4 | Il::StindI4 | Il::LdelemI4 | Il::LdelemU4 | Il::StelemI4 => Access::Full(Type::I32),
        Il::LdindI8 | Il::StindI8 | Il::LdelemI8 | Il::StelemI8 => Access::Full(Type::I64),
        Il::LdindI | Il::StindI | Il::LdelemI | Il::StelemI => Access::Full(Type::Iptr),
        Il::LdindR4 | Il::StindR4 | Il::LdelemR4 | Il::StelemR4 => Access::Full(Type::F32),
        Il::LdindR8 | Il::StindR8 | Il::LdelemR8 | Il::StelemR8 => Access::Full(Type::F64),
        Il::LdindRef | Il::StindRef | Il::LdelemRef | Il::StelemRef => Access::Full(Type::Ref),
        _ => return None,
    })
}

impl<'a> Importer<'a, '_> {
    /// An access with the prefixes of the current instruction.
    pub(super) fn access(&self, access: Access, alias: Alias) -> Memory {
        let mut flags = MemoryFlags::empty();
        flags.set(MemoryFlags::VOLATILE, self.prefixes.volatile);
        flags.set(MemoryFlags::UNALIGNED, self.prefixes.unaligned);
        Memory { access, offset: 0, flags, alias: if self.prefixes.volatile { Alias::Any } else { alias } }
    }

    pub(super) fn import_load_indirect(&mut self, il: Il) -> Outcome {
        let access = indirect_access(il).ok_or_else(|| invalid("not a load"))?;
        let address = self.pop_address()?;
        let memory = self.access(access, Alias::Any);
        let value = self.b.load(memory, address);
        self.push_scalar(value);
        Ok(())
    }

    pub(super) fn import_store_indirect(&mut self, il: Il) -> Outcome {
        let access = indirect_access(il).ok_or_else(|| invalid("not a store"))?;
        let value = self.pop_scalar(access.value_type())?;
        let address = self.pop_address()?;
        self.settle()?;
        let memory = self.access(access, Alias::Any);
        self.store_scalar(memory, Destination::Anywhere(address), value);
        Ok(())
    }

    /// Stores a scalar, a reference with what the collector needs.
    pub(crate) fn store_scalar(&mut self, memory: Memory, destination: Destination, value: Value) {
        let address = destination.address();
        if memory.access != Access::Full(Type::Ref) {
            self.b.store(memory, address, value);
            return;
        }
        match destination {
            Destination::Object(object, _) => self.b.store_ref(memory, object, address, value),
            Destination::Anywhere(_) => {
                let null = self.b.null();
                self.b.store_ref(memory, null, address, value);
            }
        }
    }

    /// Pushes what lies at `address` plus the offset of `memory`, which is of type `ty`.
    pub(crate) fn load_at(&mut self, ty: TypeId, address: Value, memory: Memory, borrowed: bool) -> Outcome {
        match self.types.storage(ty)? {
            Storage::Struct { size, align } => {
                self.env.depend_on_layout(ty);
                let address = if memory.offset == 0 { address } else { self.b.offset_addr(address, i64::from(memory.offset)) };
                if borrowed {
                    self.push_borrowed(ty, address);
                } else {
                    let temporary = self.struct_temporary(size, align);
                    self.b.copy_memory(temporary, address, size);
                    self.push_struct(ty, temporary);
                }
            }
            storage => {
                let access = storage_access(storage).ok_or_else(|| invalid("a value of type void"))?;
                let value = self.b.load(Memory { access, ..memory }, address);
                self.push_typed(ty, value)?;
            }
        }
        Ok(())
    }

    /// Stores a popped value of type `ty`.
    pub(crate) fn store_at(&mut self, ty: TypeRef, destination: Destination, memory: Memory, value: Value) -> Outcome {
        match self.types.storage(ty.ty)? {
            Storage::Struct { size, .. } => {
                self.env.depend_on_layout(ty.ty);
                let offset = i64::from(memory.offset);
                let at = |importer: &mut Self, address: Value| {
                    if offset == 0 { address } else { importer.b.offset_addr(address, offset) }
                };
                let destination = match destination {
                    Destination::Object(object, address) => Destination::Object(object, at(self, address)),
                    Destination::Anywhere(address) => Destination::Anywhere(at(self, address)),
                };
                let method_table = match self.types.class(ty.ty)?.contains_references {
                    // Only then it may be asked for; the lookup is cheap to leave unused.
                    true if ty.open.is_some() => Some(self.method_table(ty)?),
                    _ => None,
                };
                self.code.copy_struct(destination, value, ty.ty, size, |code| {
                    Ok(match method_table {
                        Some(method_table) => method_table,
                        None => code.cell(crate::env::CellRequest::MethodTable(ty.ty), Type::Iptr),
                    })
                })?;
            }
            storage => {
                let access = storage_access(storage).ok_or_else(|| invalid("a value of type void"))?;
                self.store_scalar(Memory { access, ..memory }, destination, value);
            }
        }
        Ok(())
    }

    pub(super) fn import_ldobj(&mut self, token: il::Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let address = self.pop_address()?;
        let memory = self.access(Access::U8, Alias::Any);
        self.load_at(ty.ty, address, memory, false)
    }

    pub(super) fn import_stobj(&mut self, token: il::Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let (value, _) = self.pop_for(ty.ty, Use::Passed)?;
        let address = self.pop_address()?;
        self.settle()?;
        let memory = self.access(Access::U8, Alias::Any);
        self.store_at(ty, Destination::Anywhere(address), memory, value)
    }

    pub(super) fn import_cpobj(&mut self, token: il::Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let source = self.pop_address()?;
        let destination = self.pop_address()?;
        self.settle()?;
        let memory = self.access(Access::U8, Alias::Any);
        self.load_at(ty.ty, source, memory, true)?;
        let (value, _) = self.pop_for(ty.ty, Use::Passed)?;
        self.store_at(ty, Destination::Anywhere(destination), memory, value)
    }

    pub(super) fn import_initobj(&mut self, token: il::Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let address = self.pop_address()?;
        self.settle()?;
        match self.types.storage(ty.ty)? {
            Storage::Struct { size, .. } => self.b.zero_memory(address, size),
            Storage::Void => return Err(invalid("initobj of void")),
            storage => {
                // A null reference needs no barrier.
                if let Some(access) = storage_access(storage) {
                    let zero = self.b.zero(access.value_type());
                    let memory = self.access(access, Alias::Any);
                    self.b.store(memory, address, zero);
                }
            }
        }
        Ok(())
    }

    pub(super) fn import_cpblk(&mut self) -> Outcome {
        let bytes = self.pop()?;
        let source = self.pop_address()?;
        let destination = self.pop_address()?;
        self.settle()?;
        let bytes = self.unsigned_size(bytes)?;
        self.helper(HelperId::CopyBlock, &[destination, source, bytes]);
        Ok(())
    }

    pub(super) fn import_initblk(&mut self) -> Outcome {
        let bytes = self.pop()?;
        let byte = self.pop_scalar(Type::I32)?;
        let destination = self.pop_address()?;
        self.settle()?;
        let bytes = self.unsigned_size(bytes)?;
        self.helper(HelperId::FillBlock, &[destination, byte, bytes]);
        Ok(())
    }

    /// A size that is unsigned where it has 32 bits.
    fn unsigned_size(&mut self, operand: super::stack::Operand) -> Outcome<Value> {
        match operand.shape {
            super::stack::Shape::Scalar(Type::I32) => Ok(self.b.zext(Type::Iptr, operand.value)),
            _ => self.convert_scalar(operand, Type::Iptr),
        }
    }

    pub(super) fn import_localloc(&mut self) -> Outcome {
        let size = self.pop()?;
        let size = self.unsigned_size(size)?;
        let address = self.b.emit(ir::Opcode::StackAlloc, Type::Iptr, &[size], ir::Aux::None);
        if self.body.init_locals {
            let zero = self.b.iconst(Type::I32, 0);
            self.helper(HelperId::FillBlock, &[address, zero, size]);
        }
        self.push_scalar(address);
        Ok(())
    }

    pub(super) fn import_sizeof(&mut self, token: il::Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let size = self.types.storage(ty.ty)?.size(self.types.layout());
        self.env.depend_on_layout(ty.ty);
        let value = self.b.iconst(Type::I32, i64::from(size));
        self.push_scalar(value);
        Ok(())
    }
}
