//! Type tests, boxing and unboxing (ECMA-335 III.4.1, III.4.3, III.4.6, III.4.32, III.4.33).

use super::generics::TypeRef;
use super::stack::{Operand, Origin, Shape, Use};
use super::{Importer, Outcome, invalid};
use crate::abi::HelperId;
use crate::emit::Destination;
use il::Token;
use il::instruction::{Decoder, Opcode};
use il::types::{ClassKind, Storage, TypeId};
use ir::Type;
use ir::entity::{Block, Value};
use ir::instruction::{Alias, IntCompare, Memory, MemoryFlags};
use ir::types::Access;

/// How a type test can be done inline.
enum Test {
    /// The method table must be this one.
    Exact,
    /// The display must have it at this depth.
    Display(u32),
    /// Only the runtime knows.
    Helper,
}

impl<'a> Importer<'a, '_> {
    fn test_kind(&self, ty: TypeRef) -> Outcome<Test> {
        if ty.open.is_some() && ty.ty == TypeId::CANON || self.types.element_type(ty.ty).is_some() && !self.is_exact_class(ty.ty)
        {
            return Ok(Test::Helper);
        }
        if self.is_exact_class(ty.ty) {
            return Ok(Test::Exact);
        }
        let header = self.types.header(ty.ty)?;
        Ok(match header.kind {
            ClassKind::Class => Test::Display(header.depth),
            ClassKind::ValueType | ClassKind::Enum if self.types.nullable_argument(ty.ty).is_none() => Test::Exact,
            _ => Test::Helper,
        })
    }

    pub(super) fn import_isinst(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let object = self.pop_reference()?;
        if object.exact && ty.open.is_none() {
            if let Some(class) = object.class.filter(|&class| !self.types.contains_canon(class)) {
                let fits = self.types.is_assignable(class, ty.ty)?;
                let value = if fits { object.value } else { self.b.null() };
                self.push_reference(value, Some(class), fits);
                return Ok(());
            }
        }
        // `isinst Nullable<T>` tests for T.
        let ty = self.without_nullable(ty);
        let value = self.is_instance(object.value, ty)?;
        self.push_reference(value, Some(ty.ty).filter(|_| ty.open.is_none()), false);
        Ok(())
    }

    fn without_nullable(&self, ty: TypeRef) -> TypeRef {
        match self.types.nullable_argument(ty.ty) {
            Some(argument) => TypeRef { ty: argument, open: ty.open.and_then(|open| self.types.nullable_argument(open)) },
            None => ty,
        }
    }

    /// The object if it is an instance of `ty`, else null.
    fn is_instance(&mut self, object: Value, ty: TypeRef) -> Outcome<Value> {
        let method_table = self.method_table(ty)?;
        // Whether a proxy can be cast its own object decides.
        let test = if self.types.is_marshal_by_ref(ty.ty) { Test::Helper } else { self.test_kind(ty)? };
        if let Test::Helper = test {
            let (merge, result) = self.merge_block(Type::Ref);
            let is_null = self.is_null(object);
            let call = self.new_block();
            self.b.brif(is_null, merge, &[object], call, &[]);
            self.enter(call);
            let found = self.helper_value(HelperId::IsInstance, &[method_table, object]);
            self.b.jump(merge, &[found]);
            self.enter(merge);
            return Ok(result);
        }
        let (merge, result) = self.merge_block(Type::Ref);
        let null = self.b.null();
        let is_null = self.is_null(object);
        let check = self.new_block();
        self.b.brif(is_null, merge, &[null], check, &[]);
        self.enter(check);
        let fits = self.fits(object, method_table, &test, merge, null);
        let value = self.b.select(fits, object, null);
        self.b.jump(merge, &[value]);
        self.enter(merge);
        Ok(result)
    }

    /// Whether the class of a non-null object fits; goes to `fail` with `argument` where it is certain that it does not.
    fn fits(&mut self, object: Value, method_table: Value, test: &Test, fail: Block, argument: Value) -> Value {
        let actual = self.load_method_table(object);
        let Test::Display(depth) = *test else { return self.b.icmp(IntCompare::Eq, actual, method_table) };
        let memory = self.runtime_field(Type::I32, self.abi.method_table_depth());
        let actual_depth = self.b.load(Memory { access: Access::U16, ..memory }, actual);
        let wanted = self.b.iconst(Type::I32, i64::from(depth));
        let too_shallow = self.b.icmp(IntCompare::Ult, actual_depth, wanted);
        let next = self.new_block();
        self.b.brif(too_shallow, fail, &[argument], next, &[]);
        self.enter(next);
        let memory = self.runtime_field(Type::Iptr, self.abi.method_table_display());
        let display = self.b.load(memory, actual);
        let memory = self.runtime_field(Type::Iptr, ((depth - 1) * self.abi.pointer_bytes) as i32);
        let ancestor = self.b.load(memory, display);
        self.b.icmp(IntCompare::Eq, ancestor, method_table)
    }

    pub(super) fn import_castclass(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let object = self.pop_reference()?;
        self.cast_class(object, ty)
    }

    fn cast_class(&mut self, object: Operand, ty: TypeRef) -> Outcome {
        let known = object.class.filter(|&class| ty.open.is_none() && !self.types.contains_canon(class));
        let is_null = self.b.function.int_constant(object.value) == Some(0);
        if is_null || known.is_some_and(|class| self.types.is_assignable(class, ty.ty).unwrap_or(false)) {
            let class = known.unwrap_or(ty.ty);
            self.push_reference(object.value, Some(class), object.exact);
            return Ok(());
        }
        let ty = self.without_nullable(ty);
        let method_table = self.method_table(ty)?;
        let object = object.value;
        let (merge, result) = self.merge_block(Type::Ref);
        let slow = self.cold_block();
        let argument = self.b.append_block_param(slow, Type::Ref);
        let is_null = self.is_null(object);
        let check = self.new_block();
        self.b.brif(is_null, merge, &[object], check, &[]);
        self.enter(check);
        match self.test_kind(ty)? {
            Test::Helper => self.b.jump(slow, &[object]),
            test => {
                let fits = self.fits(object, method_table, &test, slow, object);
                self.b.brif(fits, merge, &[object], slow, &[object]);
            }
        }
        self.enter(slow);
        let cast = self.helper_value(HelperId::CastClass, &[method_table, argument]);
        self.b.jump(merge, &[cast]);
        self.enter(merge);
        self.push_reference(result, Some(ty.ty).filter(|_| ty.open.is_none()), false);
        Ok(())
    }

    // Boxing

    /// `next` is the offset of the next instruction.
    pub(super) fn import_box(&mut self, token: Token, next: u32) -> Outcome {
        let ty = self.resolve_type(token)?;
        if self.types.is_reference_type(ty.ty) {
            // Boxing a reference does nothing.
            let operand = self.pop_reference()?;
            self.push(operand);
            return Ok(());
        }
        if self.types.is_by_ref_like(ty.ty) {
            return Err(self.misused_by_ref_like(ty.ty));
        }
        if self.types.nullable_argument(ty.ty).is_none() && self.asks_for_null(next) {
            // Generic code compares with null so, of which a boxed value is never any: no object is needed to say so.
            self.pop_for(ty.ty, Use::Assigned)?;
            let there = self.b.iconst(Type::I32, 1);
            self.push_scalar(there);
            return Ok(());
        }
        self.box_value(ty)
    }

    /// Whether the instruction at `offset` does nothing but ask whether the reference on the stack is null. Nothing else leads to it.
    fn asks_for_null(&self, offset: u32) -> bool {
        let next = Decoder::at(self.body.il, offset).next();
        let is_branch = matches!(next, Some(Ok(next)) if matches!(next.general().0, Opcode::Brtrue | Opcode::Brfalse));
        is_branch && !self.scan.blocks.contains_key(&offset)
    }

    /// Boxes the value on the stack, which is of value type `ty`.
    pub(super) fn box_value(&mut self, ty: TypeRef) -> Outcome {
        let (value, _) = self.pop_for(ty.ty, Use::Assigned)?;
        let method_table = self.method_table(ty)?;
        if self.types.nullable_argument(ty.ty).is_some() {
            let boxed = self.helper_value(HelperId::BoxNullable, &[method_table, value]);
            self.push_reference(boxed, None, false);
            return Ok(());
        }
        let object = self.allocate(ty.ty, method_table)?;
        let memory =
            Memory { access: Access::U8, offset: self.abi.boxed_payload(), flags: MemoryFlags::NO_TRAP, alias: Alias::Any };
        self.store_at(ty, Destination::Object(object, object), memory, value)?;
        self.push_reference(object, Some(ty.ty), true);
        Ok(())
    }

    /// The address of the payload of a boxed `ty`.
    fn unbox_address(&mut self, object: Operand, ty: TypeRef) -> Outcome<Value> {
        let payload = i64::from(self.abi.boxed_payload());
        if object.exact && object.class == Some(ty.ty) && ty.open.is_none() {
            return Ok(self.b.offset_addr(object.value, payload));
        }
        let method_table = self.method_table(ty)?;
        // Null faults here, which is what is asked for.
        let actual = self.load_method_table(object.value);
        let same = self.b.icmp(IntCompare::Eq, actual, method_table);
        let (merge, result) = self.merge_block(Type::Mptr);
        let address = self.b.offset_addr(object.value, payload);
        let slow = self.cold_block();
        self.b.brif(same, merge, &[address], slow, &[]);
        self.enter(slow);
        // An enumeration and its underlying type unbox as each other.
        let address = self.helper_value(HelperId::Unbox, &[method_table, object.value]);
        self.b.jump(merge, &[address]);
        self.enter(merge);
        Ok(result)
    }

    pub(super) fn import_unbox(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let object = self.pop_reference()?;
        if self.types.is_reference_type(ty.ty) {
            return Err(invalid("unbox of a reference type"));
        }
        let address = if self.types.nullable_argument(ty.ty).is_some() {
            self.tail.addresses_frame = true;
            self.unbox_nullable(object.value, ty)?
        } else {
            self.unbox_address(object, ty)?
        };
        self.push_scalar(address);
        Ok(())
    }

    fn unbox_nullable(&mut self, object: Value, ty: TypeRef) -> Outcome<Value> {
        let Storage::Struct { size, align } = self.types.storage(ty.ty)? else {
            return Err(invalid("a nullable that is no structure"));
        };
        let temporary = self.struct_temporary(size, align);
        let method_table = self.method_table(ty)?;
        self.helper(HelperId::UnboxNullable, &[method_table, temporary, object]);
        Ok(temporary)
    }

    pub(super) fn import_unbox_any(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let object = self.pop_reference()?;
        if self.types.is_reference_type(ty.ty) {
            return self.cast_class(object, ty);
        }
        if self.types.nullable_argument(ty.ty).is_some() {
            let address = self.unbox_nullable(object.value, ty)?;
            self.push_struct(ty.ty, address);
            return Ok(());
        }
        let address = self.unbox_address(object, ty)?;
        let memory = Memory { flags: MemoryFlags::NO_TRAP, ..Memory::any(Type::I32) };
        self.load_at(ty.ty, address, memory, false)
    }

    // Duplicates and typed references

    pub(super) fn import_dup(&mut self) -> Outcome {
        let mut operand = self.pop()?;
        if let Shape::Struct(_) = operand.shape {
            // Both name the same memory now, so neither may be changed.
            operand.origin = Origin::Borrowed;
        }
        self.push(operand);
        self.push(operand);
        Ok(())
    }
}
