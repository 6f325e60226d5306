//! Instance and static fields, and when class initialisers run (ECMA-335 III.4.10 ff., I.8.9.5, II.10.5.3).

use super::generics::{FieldRef, TypeRef};
use super::stack::{Operand, Origin, Shape, Use};
use super::{Importer, Outcome, field_number, invalid};
use crate::abi::HelperId;
use crate::emit::Destination;
use crate::env::CellRequest;
use crate::signature::storage_access;
use il::Token;
use il::types::{FieldLocation, StaticHolder, Storage, TypeId, type_attributes};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Alias, Memory, MemoryFlags};
use ir::types::Access;

/// A static field's place: base address and what an access of it looks like.
struct StaticPlace {
    base: Value,
    memory: Memory,
}

/// Beyond this offset a null reference is not certain to fault.
const GUARD_BYTES: u32 = 4096;

impl<'a> Importer<'a, '_> {
    /// The type of a field in the code at hand; its open form is only needed for structures with references.
    fn field_type(&self, field: FieldRef) -> Outcome<TypeRef> {
        let ty = self.types.field_type(field.field)?;
        let open = match field.owner.open {
            Some(owner) if self.types.contains_canon(ty) => {
                let data = self.types.field(field.field);
                let class = self.types.class(owner)?;
                let open = class.fields.iter().copied().find(|&other| self.types.field(other).row == data.row);
                open.map(|open| self.types.field_type(open)).transpose()?
            }
            _ => None,
        };
        Ok(TypeRef { ty, open })
    }

    fn field_alias(&self, field: FieldRef) -> Alias {
        // Fields of explicit layout may overlap.
        let explicit = self
            .types
            .header(field.owner.ty)
            .is_ok_and(|header| header.attributes & type_attributes::LAYOUT == type_attributes::EXPLICIT_LAYOUT);
        if explicit { Alias::Any } else { Alias::Field(field_number(self.types, field.field)) }
    }

    fn instance_offset(&self, field: FieldRef) -> Outcome<Option<u32>> {
        self.env.depend_on_layout(field.owner.ty);
        Ok(match self.types.field_location(field.field)? {
            FieldLocation::Instance { offset } => Some(offset),
            _ => None,
        })
    }

    /// The access of an instance field at `offset`; checks for null where a fault is not certain.
    fn instance_access(&mut self, base: Value, offset: u32, field: FieldRef) -> Outcome<Memory> {
        if offset >= GUARD_BYTES {
            self.b.null_check(base);
        }
        let memory = self.access(Access::U8, self.field_alias(field)).at(offset as i32);
        Ok(Memory { flags: memory.flags | self.alignment_flags(field, offset)?, ..memory })
    }

    /// What says that a field may lie at an address that is not aligned for it: its own offset is not, or its structure is packed, so that
    /// nothing around it need be aligned.
    fn alignment_flags(&self, field: FieldRef, offset: u32) -> Outcome<MemoryFlags> {
        let layout = self.types.layout();
        let wanted = self.types.storage(self.types.field_type(field.field)?)?.align(layout);
        let packed = match self.types.storage(field.owner.ty)? {
            Storage::Struct { align, .. } => align < wanted,
            _ => false,
        };
        let aligned = !packed && offset % wanted == 0;
        Ok(if aligned { MemoryFlags::empty() } else { MemoryFlags::UNALIGNED })
    }

    pub(super) fn import_ldfld(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        let ty = self.types.field_type(field.field)?;
        let Some(offset) = self.instance_offset(field)? else {
            self.pop()?;
            return self.load_static(field);
        };
        let operand = self.pop()?;
        if let Shape::Struct(_) = operand.shape {
            let memory = self.frame_access(Access::U8, offset as i32);
            let memory = Memory { flags: memory.flags | self.alignment_flags(field, offset)?, ..memory };
            return self.load_at(ty, operand.value, memory, operand.origin == Origin::Borrowed);
        }
        if self.may_be_proxy(field.owner.ty, &operand) {
            let address = self.remote_field_copy(field.field, operand.value, offset)?;
            let memory = self.access(Access::U8, Alias::Any);
            return self.load_at(ty, address, memory, false);
        }
        let base = self.field_base(operand)?;
        let memory = self.instance_access(base, offset, field)?;
        self.load_at(ty, base, memory, false)
    }

    fn field_base(&mut self, operand: Operand) -> Outcome<Value> {
        match operand.shape {
            Shape::Scalar(ty) if ty.is_pointer_sized() => Ok(operand.value),
            _ => Err(invalid("a field of a number")),
        }
    }

    pub(super) fn import_ldflda(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        let Some(offset) = self.instance_offset(field)? else {
            self.pop()?;
            return self.load_static_address(field);
        };
        let operand = self.pop()?;
        if self.may_be_proxy(field.owner.ty, &operand) {
            let address = self.remote_field_address(field.field, operand.value, offset)?;
            self.push_scalar(address);
            return Ok(());
        }
        let base = match operand.shape {
            Shape::Struct(_) => {
                self.tail.addresses_frame = true;
                operand.value
            }
            _ => self.field_base(operand)?,
        };
        // The address of a field of null raises here; an unmanaged or managed pointer is not checked before it is used.
        if operand.shape == Shape::Scalar(Type::Ref) && operand.origin != Origin::NotNull {
            self.b.null_check(base);
        }
        let unmanaged = operand.shape == Shape::Scalar(Type::Iptr);
        let address = if unmanaged {
            let offset = self.b.iconst(Type::Iptr, i64::from(offset));
            self.b.iadd(base, offset)
        } else {
            self.b.offset_addr(base, i64::from(offset))
        };
        self.push_scalar(address);
        Ok(())
    }

    pub(super) fn import_stfld(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        let ty = self.field_type(field)?;
        let (value, _) = self.pop_for(ty.ty, Use::Assigned)?;
        let Some(offset) = self.instance_offset(field)? else {
            self.pop()?;
            self.settle()?;
            return self.store_static(field, ty, value);
        };
        let operand = self.pop()?;
        self.settle()?;
        let base = self.field_base(operand)?;
        let destination = match operand.shape {
            Shape::Scalar(Type::Ref) => Destination::Object(base, base),
            _ => Destination::Anywhere(base),
        };
        if self.may_be_proxy(field.owner.ty, &operand) {
            return self.store_remote_field(field.field, base, value, |importer| {
                let memory = importer.instance_access(base, offset, field)?;
                importer.store_at(ty, destination, memory, value)
            });
        }
        let memory = self.instance_access(base, offset, field)?;
        self.store_at(ty, destination, memory, value)
    }

    // Static fields

    pub(super) fn import_ldsfld(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        self.load_static(field)
    }
    pub(super) fn import_ldsflda(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        self.load_static_address(field)
    }
    pub(super) fn import_stsfld(&mut self, token: Token) -> Outcome {
        let field = self.resolve_field(token)?;
        let ty = self.field_type(field)?;
        let (value, _) = self.pop_for(ty.ty, Use::Passed)?;
        self.settle()?;
        self.store_static(field, ty, value)
    }

    fn load_static(&mut self, field: FieldRef) -> Outcome {
        let ty = self.types.field_type(field.field)?;
        let place = self.static_place(field)?;
        self.load_at(ty, place.base, place.memory, false)
    }
    fn load_static_address(&mut self, field: FieldRef) -> Outcome {
        let place = self.static_place(field)?;
        let address = self.b.offset_addr(place.base, i64::from(place.memory.offset));
        self.push_scalar(address);
        Ok(())
    }
    fn store_static(&mut self, field: FieldRef, ty: TypeRef, value: Value) -> Outcome {
        let place = self.static_place(field)?;
        let access = storage_access(self.types.storage(ty.ty)?);
        if access == Some(Access::Full(Type::Ref)) {
            // It lies outside of the heap, in a root, which every collection looks at: there is nothing to remember.
            self.b.store(Memory { access: Access::Full(Type::Ref), ..place.memory }, place.base, value);
            return Ok(());
        }
        self.store_at(ty, Destination::Anywhere(place.base), place.memory, value)
    }

    fn static_place(&mut self, field: FieldRef) -> Outcome<StaticPlace> {
        let owner = field.owner;
        let location = self.types.field_location(field.field)?;
        self.env.depend_on_layout(owner.ty);
        let plain = !self.needs_initializer(owner.ty)?;
        let data = if plain { CellRequest::StaticsWithoutInitializer } else { CellRequest::Statics };
        let references = if plain { CellRequest::ReferenceStaticsWithoutInitializer } else { CellRequest::ReferenceStatics };
        let alias = self.field_alias(field);
        let boxed_payload = self.abi.boxed_payload();
        let mut memory = self.access(Access::U8, alias);
        memory.flags |= MemoryFlags::NO_TRAP;
        let (base, offset, boxed) = match location {
            FieldLocation::Static { offset } => (self.type_cell(owner, data, Type::Iptr)?, offset, false),
            FieldLocation::ReferenceStatic { offset } => (self.type_cell(owner, references, Type::Iptr)?, offset, false),
            FieldLocation::BoxedStatic { offset } => (self.type_cell(owner, references, Type::Iptr)?, offset, true),
            FieldLocation::LocalStatic { holder, offset } => {
                // The area of references comes first, then that of the other fields.
                let size = self.types.statics(owner.ty)?.local_reference_size;
                let size = size.next_multiple_of(16);
                (self.local_statics(holder, owner, plain)?, size + offset, false)
            }
            FieldLocation::LocalReferenceStatic { holder, offset } => (self.local_statics(holder, owner, plain)?, offset, false),
            FieldLocation::LocalBoxedStatic { holder, offset } => (self.local_statics(holder, owner, plain)?, offset, true),
            FieldLocation::Rva { .. } => {
                let base = self.cell(CellRequest::FieldData(field.field), Type::Iptr);
                (base, 0, false)
            }
            FieldLocation::Literal | FieldLocation::Instance { .. } => {
                return Err(invalid("the field is not static"));
            }
        };
        if boxed {
            let slot = Memory { access: Access::Full(Type::Ref), flags: MemoryFlags::NO_TRAP, ..memory }.at(offset as i32);
            let object = self.b.load(Memory { alias: Alias::Any, ..slot }, base);
            return Ok(StaticPlace { base: object, memory: memory.at(boxed_payload) });
        }
        Ok(StaticPlace { base, memory: memory.at(offset as i32) })
    }

    fn local_statics(&mut self, holder: StaticHolder, owner: TypeRef, plain: bool) -> Outcome<Value> {
        let method_table = if plain { self.method_table(owner)? } else { self.touch_class(owner)? };
        let helper = match holder {
            StaticHolder::Thread => HelperId::ThreadStatics,
            StaticHolder::Context => HelperId::ContextStatics,
        };
        Ok(self.helper_value(helper, &[method_table]))
    }

    // Class initialisers

    /// Whether an access to statics of `ty` from here may be the one that runs its initialiser.
    fn needs_initializer(&self, ty: TypeId) -> Outcome<bool> {
        let Some(cctor) = self.types.class_initializer(ty)? else { return Ok(false) };
        if self.env.is_initialized(ty) {
            return Ok(false);
        }
        let own = self.types.method(self.method).owner;
        if own != ty {
            return Ok(true);
        }
        // In its own initialiser it runs; with a precise one every method of the class has seen to it.
        let inside = self.types.generic_definition(self.method) == self.types.generic_definition(cctor);
        // (Instance methods of value types have not: an instance can exist without a constructor.)
        let precise = !self.types.header(ty)?.is_before_field_init();
        let is_static = self.types.method(self.method).is_static();
        let checked = is_static || self.types.method_name(self.method) == ".ctor" || !self.types.is_value_type(ty);
        Ok(!(inside || precise && checked))
    }

    /// Whether a constructor of `ty` that is called from here may be what runs its initialiser.
    pub(super) fn is_initialized_by_constructor(&self, ty: TypeId) -> Outcome<bool> {
        Ok(!self.types.header(ty)?.is_before_field_init() && self.needs_initializer(ty)?)
    }

    /// The prologue's check in methods that trigger a precise initialiser.
    pub(super) fn check_class_initializer(&mut self) -> Outcome {
        let owner = self.types.method(self.method).owner;
        if self.types.header(owner)?.is_before_field_init() || self.env.is_initialized(owner) {
            return Ok(());
        }
        let Some(cctor) = self.types.class_initializer(owner)? else { return Ok(()) };
        let is_static = !self.types.method_signature(self.method)?.has_this;
        let name = self.types.method_name(self.method);
        let own = self.types.generic_definition(self.method) == self.types.generic_definition(cctor);
        if !own && (is_static || name == ".ctor") {
            let class = self.own_class();
            self.touch_class(class)?;
        }
        Ok(())
    }
}
