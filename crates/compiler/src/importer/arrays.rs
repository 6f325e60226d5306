//! Vectors: `newarr`, `ldlen`, elements and their addresses (ECMA-335 III.4.8 ff.).

use super::generics::TypeRef;
use super::memory::indirect_access;
use super::stack::{Operand, Use};
use super::{Importer, Outcome, invalid};
use crate::abi::HelperId;
use crate::emit::Destination;
use crate::signature::storage_access;
use il::Token;
use il::instruction::Opcode as Il;
use il::types::{Storage, TypeId};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Alias, Allocation, Memory, MemoryFlags};
use ir::types::Access;

/// The alias class of elements: signedness makes no difference, and native integers may be seen as plain ones.
fn element_alias(access: Access, pointer_bytes: u32) -> Alias {
    Alias::Element(match access {
        Access::I8 => Access::U8,
        Access::I16 => Access::U16,
        Access::Full(Type::Iptr) if pointer_bytes == 8 => Access::Full(Type::I64),
        Access::Full(Type::Iptr) => Access::Full(Type::I32),
        other => other,
    })
}

impl<'a> Importer<'a, '_> {
    pub(super) fn import_newarr(&mut self, token: Token) -> Outcome {
        let element = self.resolve_type(token)?;
        if element.ty == TypeId::VOID {
            return Err(invalid("an array of void"));
        }
        let length = self.pop()?;
        let length = self.convert_scalar(length, Type::Iptr)?;
        let array = self.vector_of(element);
        let element_size = self.types.element_size(array.ty)?;
        self.env.depend_on_layout(array.ty);
        let method_table = self.method_table(array)?;
        let base_size = self.abi.vector_data() as u32;
        let value = self.b.new_array(method_table, length, Allocation { base_size, element_size, fast: true });
        self.push_reference(value, Some(array.ty), true);
        Ok(())
    }

    pub(super) fn import_ldlen(&mut self) -> Outcome {
        let array = self.pop_scalar(Type::Ref)?;
        let length = self.load_length(array);
        let length = self.b.zext(Type::Iptr, length);
        self.push_scalar(length);
        Ok(())
    }

    /// Checks `index` against the length of `array`; the index as a native integer.
    fn check_index(&mut self, array: Value, index: Operand) -> Outcome<Value> {
        let length = self.load_length(array);
        match index.shape {
            super::stack::Shape::Scalar(Type::I32) => {
                self.b.bounds_check(index.value, length);
                Ok(self.b.zext(Type::Iptr, index.value))
            }
            _ => {
                let index = self.convert_scalar(index, Type::Iptr)?;
                let length = self.b.zext(Type::Iptr, length);
                self.b.bounds_check(index, length);
                Ok(index)
            }
        }
    }

    /// Address of element `index` minus the offset of the data.
    fn element_address(&mut self, array: Value, index: Value, size: u32) -> Value {
        let offset = if size == 1 {
            index
        } else {
            let size = self.b.iconst(Type::Iptr, i64::from(size));
            self.b.imul(index, size)
        };
        self.b.add_addr(array, offset)
    }

    fn element_access(&self, access: Access) -> Memory {
        let alias = element_alias(access, self.abi.pointer_bytes);
        Memory { access, offset: self.abi.vector_data(), flags: MemoryFlags::NO_TRAP, alias }
    }

    pub(super) fn import_ldelem(&mut self, il: Il, token: Option<Token>) -> Outcome {
        let element = token.map(|token| self.resolve_type(token)).transpose()?;
        let index = self.pop()?;
        let operand = self.pop_reference()?;
        let array = operand.value;
        let index = self.check_index(array, index)?;
        let storage = element.map(|element| self.types.storage(element.ty)).transpose()?;
        let access = storage.map_or_else(|| indirect_access(il), storage_access);
        match (access, element) {
            (Some(access), _) => {
                let address = self.element_address(array, index, access.bytes(self.abi.pointer_bytes));
                let memory = self.element_access(access);
                let value = self.b.load(memory, address);
                if access == Access::Full(Type::Ref) {
                    let known = operand.class.and_then(|class| self.types.element_type(class));
                    self.push_reference(value, element.map(|element| element.ty).or(known), false);
                } else {
                    self.push_scalar(value);
                }
            }
            (None, Some(element)) => {
                let size = self.struct_size(element.ty)?;
                let address = self.element_address(array, index, size);
                let memory = Memory { alias: Alias::Any, ..self.element_access(Access::U8) };
                self.load_at(element.ty, address, memory, false)?;
            }
            (None, None) => return Err(invalid("not an element load")),
        }
        Ok(())
    }

    fn struct_size(&self, ty: TypeId) -> Outcome<u32> {
        self.env.depend_on_layout(ty);
        match self.types.storage(ty)? {
            Storage::Struct { size, .. } => Ok(size),
            _ => Err(invalid("elements of type void")),
        }
    }

    pub(super) fn import_stelem(&mut self, il: Il, token: Option<Token>) -> Outcome {
        let element = token.map(|token| self.resolve_type(token)).transpose()?;
        let storage = element.map(|element| self.types.storage(element.ty)).transpose()?;
        let access = storage.map_or_else(|| indirect_access(il), storage_access);
        let value = self.pop()?;
        let index = self.pop()?;
        let operand = self.pop_reference()?;
        let array = operand.value;
        self.settle()?;
        match (access, element) {
            (Some(Access::Full(Type::Ref)), _) => self.store_reference_element(operand, index, value),
            (Some(access), _) => {
                let value = self.convert_scalar(value, access.value_type())?;
                let index = self.check_index(array, index)?;
                let address = self.element_address(array, index, access.bytes(self.abi.pointer_bytes));
                let memory = self.element_access(access);
                self.b.store(memory, address, value);
                Ok(())
            }
            (None, Some(element)) => {
                let (value, _) = self.operand_for(value, element.ty, Use::Passed)?;
                let size = self.struct_size(element.ty)?;
                let index = self.check_index(array, index)?;
                let address = self.element_address(array, index, size);
                let memory = Memory { alias: Alias::Any, ..self.element_access(Access::U8) };
                self.store_at(element, Destination::Object(array, address), memory, value)
            }
            (None, None) => Err(invalid("not an element store")),
        }
    }

    /// Stores a reference; the type check is left out where it cannot fail.
    fn store_reference_element(&mut self, array: Operand, index: Operand, value: Operand) -> Outcome {
        let reference = self.convert_scalar(value, Type::Ref)?;
        let is_null = self.b.function.int_constant(reference) == Some(0);
        let element = array.class.and_then(|class| self.types.element_type(class));
        let safe = is_null
            || match (element, value.class) {
                // An array that was just made, or whose elements have no subclasses, holds what its type says.
                (Some(element), Some(class)) => {
                    let exact = array.exact || self.is_exact_class(element);
                    let fits = class == element || self.types.is_assignable(class, element).unwrap_or(false);
                    exact && fits && !self.types.contains_canon(element)
                }
                _ => false,
            };
        if !safe {
            let index = match index.shape {
                super::stack::Shape::Scalar(Type::I32) => self.b.sext(Type::Iptr, index.value),
                _ => self.convert_scalar(index, Type::Iptr)?,
            };
            self.helper(HelperId::StoreElement, &[array.value, index, reference]);
            return Ok(());
        }
        let index = self.check_index(array.value, index)?;
        let address = self.element_address(array.value, index, self.abi.pointer_bytes);
        let memory = self.element_access(Access::Full(Type::Ref));
        if is_null {
            self.b.store(memory, address, reference);
        } else {
            self.b.store_ref(memory, array.value, address, reference);
        }
        Ok(())
    }

    /// Whether an instance of `ty` can have no other class than `ty`.
    pub(super) fn is_exact_class(&self, ty: TypeId) -> bool {
        if self.types.contains_canon(ty) {
            return false;
        }
        match self.types.element_type(ty) {
            // An array of a class holds arrays of its subclasses; value types of one size pass for each other.
            Some(element) => self.types.is_reference_type(element) && self.is_exact_class(element),
            None => {
                self.types.header(ty).is_ok_and(|header| header.is_sealed() && !header.is_interface() && !header.is_delegate())
            }
        }
    }

    /// Loads or stores an element without any check.
    pub(crate) fn unchecked_element(&mut self, array: Value, index: Value, element: TypeRef, value: Option<Value>) -> Outcome {
        let storage = self.types.storage(element.ty)?;
        let index = self.b.zext(Type::Iptr, index);
        let address = self.element_address(array, index, storage.size(self.types.layout()));
        let memory = match storage_access(storage) {
            Some(access) => self.element_access(access),
            None => Memory { alias: Alias::Any, ..self.element_access(Access::U8) },
        };
        match value {
            None => self.load_at(element.ty, address, memory, false),
            Some(value) => self.store_at(element, Destination::Object(array, address), memory, value),
        }
    }

    pub(super) fn import_ldelema(&mut self, token: Token) -> Outcome {
        let element = self.resolve_type(token)?;
        let index = self.pop()?;
        let operand = self.pop_reference()?;
        let array = operand.value;
        let index = self.check_index(array, index)?;
        let checked = self.types.is_reference_type(element.ty)
            && !self.prefixes.readonly
            && !(operand.exact && operand.class == Some(self.types.sz_array(element.ty)));
        if checked {
            let wanted: TypeRef = self.vector_of(element);
            let method_table = self.method_table(wanted)?;
            self.helper(HelperId::CheckElementAddress, &[method_table, array]);
        }
        let size = self.types.storage(element.ty)?.size(self.types.layout());
        let address = self.element_address(array, index, size);
        let data = i64::from(self.abi.vector_data());
        let address = self.b.offset_addr(address, data);
        self.push_scalar(address);
        Ok(())
    }
}
