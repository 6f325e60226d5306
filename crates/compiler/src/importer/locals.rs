//! Where arguments and local variables live.
//!
//! Structures are slots. Scalars are SSA variables, unless their address is taken or handlers share them; an argument that is never
//! assigned and that handlers read is both, so that the body works with the value.

use super::scan::Usage;
use super::stack::{Operand, Origin, Shape, Use};
use super::{Importer, Outcome, invalid};
use crate::signature::{Passing, storage_access};
use il::types::{Storage, TypeId};
use ir::Type;
use ir::builder::Variable;
use ir::entity::{StackSlot, Value};
use ir::instruction::{Alias, Memory};
use ir::types::Access;

/// An argument or local variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    pub ty: TypeId,
    storage: Storage,
    home: Home,
    /// `this`, which is never null in what matters here (the caller has checked).
    not_null: bool,
    /// Its slot's address escapes.
    address_taken: bool,
}

#[derive(Clone, Copy, Debug)]
enum Home {
    Variable(Variable),
    /// A value that is never assigned, with a copy in memory for handlers.
    Backed(Variable, StackSlot),
    Slot(StackSlot),
    /// A structure in memory that the caller provided; the variable holds the address.
    ByAddress(Variable),
}

impl Local {
    /// A variable whose value handlers find in memory.
    pub(super) fn backed_variable(&self) -> Option<(Variable, StackSlot)> {
        match self.home {
            Home::Backed(variable, slot) => Some((variable, slot)),
            _ => None,
        }
    }
}

impl<'a> Importer<'a, '_> {
    /// A copy of `value` in memory for handlers, if there are any.
    pub(super) fn back_up(&mut self, value: Value) -> Outcome<Option<StackSlot>> {
        if self.body.clauses.is_empty() {
            return Ok(None);
        }
        let ty = self.b.function.value_type(value);
        let bytes = ty.bytes(self.abi.pointer_bytes);
        let slot = self.new_slot(bytes, bytes);
        self.b.function.slots[slot].in_handler = true;
        let address = self.b.stack_addr(slot, 0);
        self.b.store(Memory::frame(ty), address, value);
        Ok(Some(slot))
    }

    /// Gives each argument its place from the function's parameters.
    pub(super) fn place_arguments(&mut self, params: &[Value]) -> Outcome {
        let abi_signature = self.abi_signature.clone();
        let mut params = params.iter().copied();
        let mut next = || params.next().ok_or_else(|| invalid("the signature has too few parameters"));
        let mut this = None;
        for (index, passed) in abi_signature.params.iter().enumerate() {
            if self.wants_result_address(&abi_signature, index) {
                let address = next()?;
                self.place_result_address(address)?;
            }
            let usage = self.scan.args[index];
            let is_this = index == 0 && abi_signature.has_this;
            let in_handler = usage.shared_with_handler(true);
            let (storage, ty) = (passed.storage, passed.ty);
            let home = match (&passed.passing, storage) {
                (Passing::Scalar(access), _) => {
                    let value = next()?;
                    if is_this {
                        this = Some(value);
                    }
                    self.scalar_home(*access, value, usage, in_handler)?
                }
                (Passing::Reference | Passing::Stack, _) if !in_handler => {
                    let address = next()?;
                    let variable = self.b.declare_variable(Type::Mptr);
                    self.b.def_variable(variable, address);
                    self.note_incoming_copy(variable, storage);
                    Home::ByAddress(variable)
                }
                (passing, Storage::Struct { size, align }) => {
                    let slot = self.new_slot(size, align);
                    self.b.function.slots[slot].in_handler = in_handler;
                    let destination = self.b.stack_addr(slot, 0);
                    match passing {
                        Passing::Pieces(pieces) => {
                            for &(ty, offset) in pieces {
                                let memory = self.frame_access(Access::Full(ty), offset as i32);
                                self.b.store(memory, destination, next()?);
                            }
                        }
                        Passing::Nothing => self.b.zero_memory(destination, size),
                        _ => {
                            let source = next()?;
                            self.b.copy_memory(destination, source, size);
                        }
                    }
                    Home::Slot(slot)
                }
                _ => return Err(invalid("a parameter cannot be void")),
            };
            let not_null = is_this && storage == Storage::Ref && !usage.stored && !usage.address_taken;
            self.args.push(Local { ty, storage, home, not_null, address_taken: usage.address_taken });
        }
        if self.wants_result_address(&abi_signature, abi_signature.params.len()) {
            let address = next()?;
            self.place_result_address(address)?;
        }
        let context = if abi_signature.has_context { Some(next()?) } else { None };
        self.place_context(context, this)
    }

    fn place_result_address(&mut self, address: Value) -> Outcome {
        let variable = self.b.declare_variable(Type::Iptr);
        self.b.def_variable(variable, address);
        self.result_address = Some(variable);
        self.result_address_slot = self.back_up(address)?;
        Ok(())
    }

    fn scalar_home(&mut self, access: Access, value: Value, usage: Usage, in_handler: bool) -> Outcome<Home> {
        let ty = access.value_type();
        if usage.address_taken || in_handler && usage.stored {
            let bytes = access.bytes(self.abi.pointer_bytes);
            let slot = self.new_slot(bytes, bytes);
            self.b.function.slots[slot].in_handler = in_handler;
            let address = self.b.stack_addr(slot, 0);
            let memory = self.local_access(access, usage.address_taken);
            self.b.store(memory, address, value);
            return Ok(Home::Slot(slot));
        }
        let variable = self.b.declare_variable(ty);
        self.b.def_variable(variable, value);
        if in_handler {
            if let Some(slot) = self.back_up(value)? {
                return Ok(Home::Backed(variable, slot));
            }
        }
        Ok(Home::Variable(variable))
    }

    /// Gives each local variable its place. References and managed pointers are zeroed even without `.locals init`.
    pub(super) fn place_locals(&mut self, types: &[TypeId]) -> Outcome {
        for (index, &ty) in types.iter().enumerate() {
            let usage = self.scan.locals[index];
            let storage = match self.types.storage(ty) {
                Ok(storage) => storage,
                // Fails where the variable is used.
                Err(_) => Storage::Void,
            };
            let in_handler = usage.shared_with_handler(false);
            let home = match storage_access(storage) {
                None => {
                    let (size, align) = match storage {
                        Storage::Struct { size, align } => (size, align),
                        _ => (1, 1),
                    };
                    let slot = self.new_slot(size, align);
                    self.b.function.slots[slot].in_handler = in_handler;
                    let is_used = usage.address_taken || usage.place != super::scan::Place::Nowhere;
                    let references = matches!(storage, Storage::Struct { .. })
                        && self.types.class(ty).is_ok_and(|class| class.contains_references);
                    if is_used && (self.body.init_locals || references) {
                        let address = self.b.stack_addr(slot, 0);
                        self.b.zero_memory(address, size);
                    }
                    Home::Slot(slot)
                }
                Some(access) => {
                    if usage.address_taken || in_handler {
                        let bytes = access.bytes(self.abi.pointer_bytes);
                        let slot = self.new_slot(bytes, bytes);
                        self.b.function.slots[slot].in_handler = in_handler;
                        let address = self.b.stack_addr(slot, 0);
                        let memory = self.local_access(access, usage.address_taken);
                        let zero = self.b.zero(access.value_type());
                        self.b.store(memory, address, zero);
                        Home::Slot(slot)
                    } else {
                        // Reads before any write give zero.
                        Home::Variable(self.b.declare_variable(access.value_type()))
                    }
                }
            };
            self.locals.push(Local { ty, storage, home, not_null: false, address_taken: usage.address_taken });
        }
        Ok(())
    }

    fn local_access(&self, access: Access, address_taken: bool) -> Memory {
        let alias = if address_taken { Alias::Any } else { Alias::Stack };
        Memory { alias, ..self.frame_access(access, 0) }
    }

    pub(super) fn argument(&self, number: u16) -> Outcome<Local> {
        self.args.get(usize::from(number)).copied().ok_or_else(|| invalid("there is no such argument"))
    }
    pub(super) fn local(&self, number: u16) -> Outcome<Local> {
        self.locals.get(usize::from(number)).copied().ok_or_else(|| invalid("there is no such local variable"))
    }

    pub(crate) fn load_local(&mut self, local: Local) -> Outcome {
        if local.storage == Storage::Void {
            self.types.storage(local.ty)?;
        }
        let Some(access) = storage_access(local.storage) else {
            let address = self.local_address(local)?;
            self.push_borrowed(local.ty, address);
            return Ok(());
        };
        let value = match local.home {
            Home::Variable(variable) | Home::Backed(variable, _) | Home::ByAddress(variable) => self.b.use_variable(variable),
            Home::Slot(slot) => {
                let address = self.b.stack_addr(slot, 0);
                let memory = self.local_access(access, local.address_taken);
                self.b.load(memory, address)
            }
        };
        let origin = if local.not_null { Origin::NotNull } else { Origin::Unknown };
        let class = (local.storage == Storage::Ref).then_some(local.ty);
        self.push(Operand { shape: Shape::Scalar(access.value_type()), value, class, exact: false, origin });
        Ok(())
    }

    pub(super) fn store_local(&mut self, local: Local) -> Outcome {
        let (value, _) = self.pop_for(local.ty, Use::Assigned)?;
        self.settle()?;
        match (local.home, storage_access(local.storage)) {
            (Home::Variable(variable), Some(_)) => self.b.def_variable(variable, value),
            (Home::Slot(slot), Some(access)) => {
                let address = self.b.stack_addr(slot, 0);
                let memory = self.local_access(access, local.address_taken);
                self.b.store(memory, address, value);
            }
            (_, None) => {
                let address = self.local_address(local)?;
                if let Storage::Struct { size, .. } = local.storage {
                    self.b.copy_memory(address, value, size);
                }
            }
            _ => return Err(invalid("an argument without storage is assigned")),
        }
        Ok(())
    }

    /// The address of a variable that lives in memory.
    pub(super) fn local_address(&mut self, local: Local) -> Outcome<Value> {
        if local.storage == Storage::Void {
            self.types.storage(local.ty)?;
        }
        match local.home {
            Home::Slot(slot) => Ok(self.b.stack_addr(slot, 0)),
            Home::ByAddress(variable) => Ok(self.b.use_variable(variable)),
            _ => Err(invalid("the address of a variable in a register")),
        }
    }
}
