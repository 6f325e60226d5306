//! Creation of objects, tokens as values, typed references, elements of arrays with bounds (ECMA-335 III.4.16 ff., II.14.2).

use super::calls::Callee;
use super::generics::{MethodRef, TypeRef, unknown_type};
use super::stack::{Operand, Origin, Shape, Use};
use super::{Failure, Importer, Outcome, invalid};
use crate::abi::HelperId;
use crate::emit::Destination;
use crate::env::CellRequest;
use crate::signature::{method_signature, storage_access};
use crate::wrappers::instance_field;
use il::Token;
use il::types::{ArrayMethod, Member, MethodId, MethodKind, Storage, TypeId};
use ir::Type;
use ir::entity::Value;
use ir::instruction::{Alias, IntCompare, Memory, MemoryFlags, TrapCode};
use ir::types::Access;

impl<'a> Importer<'a, '_> {
    pub(super) fn import_newobj(&mut self, token: Token) -> Outcome {
        let constructor = self.resolve_method(token)?;
        let constructor = self.take_variable_arguments(constructor, token)?;
        let data = self.types.method(constructor.method);
        let owner = self.owner_of(constructor);
        if let MethodKind::Array(ArrayMethod::Constructor(count)) = data.kind {
            return self.new_array_with_bounds(owner, count);
        }
        if owner.ty == TypeId::STRING {
            return self.new_string(constructor);
        }
        let header = self.types.header(owner.ty)?;
        if header.is_delegate() {
            self.types.check_implementations(owner.ty).map_err(|error| unknown_type(&error))?;
            return self.new_delegate(owner);
        }
        self.types.check_implementations(owner.ty)?;
        if header.is_abstract() {
            let error = il::Error::new(il::ErrorKind::MemberAccess, "Cannot create an abstract class");
            return Err(Failure::Method(error.with_name(self.types.type_name(owner.ty))));
        }
        let is_value_type = header.is_value_type();
        let canonical = self.types.canonical_method(constructor.method);
        let abi = method_signature(self.env, canonical)?;
        let arguments = self.pop_arguments(&abi)?;
        self.settle()?;
        if is_value_type {
            let storage = self.types.storage(owner.ty)?;
            let (size, align) = match storage {
                Storage::Struct { size, align } => (size, align),
                scalar => (scalar.size(self.types.layout()), scalar.align(self.types.layout())),
            };
            let temporary = self.struct_temporary(size, align);
            self.b.zero_memory(temporary, size);
            let context = self.context_argument(constructor)?;
            self.emit_call(Callee::Method(canonical), &abi, Some(temporary), &arguments, context)?;
            return match storage_access(storage) {
                Some(access) => {
                    let memory = self.frame_access(access, 0);
                    let value = self.b.load(memory, temporary);
                    self.push_typed(owner.ty, value)
                }
                None => {
                    self.push_struct(owner.ty, temporary);
                    Ok(())
                }
            };
        }
        // Where the initialiser fails there is to be no object, as its finaliser could tell.
        let is_touched = self.types.class(owner.ty)?.has_finalizer && self.is_initialized_by_constructor(owner.ty)?;
        let method_table = if is_touched { self.touch_class(owner)? } else { self.method_table(owner)? };
        let object = self.allocate(owner.ty, method_table)?;
        let context = self.context_argument(constructor)?;
        self.emit_call(Callee::Method(canonical), &abi, Some(object), &arguments, context)?;
        self.push_reference(object, Some(owner.ty), true);
        Ok(())
    }

    /// Constructors of strings stand for the methods `CreateString` of the same parameters.
    fn new_string(&mut self, constructor: MethodRef) -> Outcome {
        let params = &self.types.method_signature(constructor.method)?.params;
        let create = self.types.find_method(TypeId::STRING, "CreateString", Some(params))?;
        let create = create.ok_or_else(|| {
            il::Error::new(il::ErrorKind::MissingMethod, "method not found").with_name("System.String:CreateString")
        })?;
        let abi = method_signature(self.env, create)?;
        let arguments = self.pop_arguments(&abi)?;
        self.settle()?;
        let this = abi.has_this.then(|| self.b.null());
        let result = self.emit_call(Callee::Method(create), &abi, this, &arguments, None)?;
        let string = result.ok_or_else(|| invalid("CreateString gives nothing"))?;
        self.push_reference(string, Some(TypeId::STRING), true);
        Ok(())
    }

    fn new_delegate(&mut self, owner: TypeRef) -> Outcome {
        let code = self.pop()?;
        let target = self.pop_scalar(Type::Ref)?;
        self.settle()?;
        let mut is_abstract = false;
        let handle = match code.origin {
            Origin::Function(index) => {
                let method = self.functions[index].method;
                is_abstract = self.types.method(method.method).is_abstract();
                self.method_cell(method, CellRequest::MethodHandle, Type::Iptr)?
            }
            _ => self.b.iconst(Type::Iptr, 0),
        };
        let code = match is_abstract {
            // `ldftn` of a method without code of its own: the delegate calls what the target has for it.
            true => {
                self.b.null_check(target);
                self.helper_value(HelperId::VirtualCode, &[target, handle])
            }
            false => self.convert_scalar(code, Type::Iptr)?,
        };
        let method_table = self.method_table(owner)?;
        let object = self.allocate(owner.ty, method_table)?;
        self.helper(HelperId::InitializeDelegate, &[object, target, code, handle]);
        self.push_reference(object, Some(owner.ty), true);
        Ok(())
    }

    /// `new T[a, b]` and its kin: the 32-bit arguments go to memory.
    fn new_array_with_bounds(&mut self, array: TypeRef, count: u32) -> Outcome {
        let slot = self.new_slot(4 * count, 4);
        for index in (0..count).rev() {
            let value = self.pop_scalar(Type::I32)?;
            let address = self.b.stack_addr(slot, 0);
            let memory = self.frame_access(Access::Full(Type::I32), 4 * index as i32);
            self.b.store(memory, address, value);
        }
        let method_table = self.method_table(array)?;
        let count = self.b.iconst(Type::I32, i64::from(count));
        let address = self.b.stack_addr(slot, 0);
        let object = self.helper_value(HelperId::NewMultiArray, &[method_table, count, address]);
        self.push_reference(object, Some(array.ty), true);
        Ok(())
    }

    /// `Get`, `Set` or `Address` of an array with bounds.
    pub(crate) fn array_access(
        &mut self,
        array: Value,
        ty: TypeRef,
        method: MethodId,
        arguments: &[(Value, bool)],
    ) -> Outcome<Option<Value>> {
        let MethodKind::Array(kind) = self.types.method(method).kind else { return Err(invalid("not a method of an array")) };
        let Some(element) = self.types.element_type(ty.ty) else { return Err(invalid("not an array")) };
        let element = TypeRef { ty: element, open: ty.open.and_then(|open| self.types.element_type(open)) };
        let storage = self.types.storage(element.ty)?;
        let has_bounds = matches!(self.types.kind(ty.ty), il::types::TypeKind::Array { .. });
        let rank = arguments.len() - usize::from(kind == ArrayMethod::Set);
        let size = storage.size(self.types.layout());
        let index = self.linear_index(array, &arguments[..rank], has_bounds);
        let element_size = self.b.iconst(Type::Iptr, i64::from(size));
        let offset = self.b.imul(index, element_size);
        let address = self.b.add_addr(array, offset);
        let data = if has_bounds { self.abi.array_data(rank as u32) } else { self.abi.vector_data() };
        let memory = Memory { access: Access::U8, offset: data, flags: MemoryFlags::NO_TRAP, alias: Alias::Any };
        match kind {
            ArrayMethod::Get => {
                self.load_at(element.ty, address, memory, false)?;
                Ok(Some(self.pop()?.value))
            }
            ArrayMethod::Set => {
                let value = arguments[rank].0;
                if self.types.is_reference_type(element.ty) {
                    self.check_stored_class(array, value)?;
                }
                self.store_at(element, Destination::Object(array, address), memory, value)?;
                Ok(None)
            }
            ArrayMethod::Address => {
                if self.types.is_reference_type(element.ty) && !self.prefixes.readonly {
                    let method_table = self.method_table(ty)?;
                    self.helper(HelperId::CheckElementAddress, &[method_table, array]);
                }
                Ok(Some(self.b.offset_addr(address, i64::from(data))))
            }
            ArrayMethod::Constructor(_) => Err(invalid("a constructor of an array is called")),
        }
    }

    /// Raises `ArrayTypeMismatch` if an array's element class does not take `value`.
    fn check_stored_class(&mut self, array: Value, value: Value) -> Outcome {
        if self.b.function.int_constant(value) == Some(0) {
            return Ok(());
        }
        let is_null = self.is_null(value);
        let done = self.new_block();
        let check = self.new_block();
        self.b.brif(is_null, done, &[], check, &[]);
        self.enter(check);
        let method_table = self.load_method_table(array);
        let memory = self.runtime_field(Type::Iptr, self.abi.method_table_element());
        let element = self.b.load(memory, method_table);
        let fits = self.helper_value(HelperId::IsInstance, &[element, value]);
        let mismatch = self.is_null(fits);
        self.b.trap_if(mismatch, TrapCode::ArrayTypeMismatch);
        self.b.jump(done, &[]);
        self.enter(done);
        Ok(())
    }

    /// Row-major index of an element, checked in each dimension.
    fn linear_index(&mut self, array: Value, indices: &[(Value, bool)], has_bounds: bool) -> Value {
        let mut linear = None;
        for (dimension, &(index, _)) in indices.iter().enumerate() {
            let (length, index) = if has_bounds {
                let offset = self.abi.array_bounds() + 8 * dimension as i32;
                let length_field = self.header_field(Type::I32, offset);
                let bound_field = self.header_field(Type::I32, offset + 4);
                let length = self.b.load(length_field, array);
                let bound = self.b.load(bound_field, array);
                (length, self.b.isub(index, bound))
            } else {
                (self.load_length(array), index)
            };
            self.b.bounds_check(index, length);
            let index = self.b.zext(Type::Iptr, index);
            linear = Some(match linear {
                None => index,
                Some(before) => {
                    let length = self.b.zext(Type::Iptr, length);
                    let scaled = self.b.imul(before, length);
                    self.b.iadd(scaled, index)
                }
            });
        }
        match linear {
            Some(linear) => linear,
            None => self.b.iconst(Type::Iptr, 0),
        }
    }

    // Tokens

    pub(super) fn import_ldstr(&mut self, offset: u32) -> Outcome {
        let request = CellRequest::String(self.assembly, offset);
        let value = self.cell(request, Type::Ref);
        self.push(Operand {
            shape: Shape::Scalar(Type::Ref),
            value,
            class: Some(TypeId::STRING),
            exact: true,
            origin: Origin::NotNull,
        });
        Ok(())
    }

    pub(super) fn import_ldtoken(&mut self, token: Token) -> Outcome {
        let member = self.types.resolve_member(self.assembly, token, &self.context)?;
        let known = self.types.well_known();
        let (value, handle_type, origin) = match member {
            Member::Type(_) => {
                let ty = self.resolve_type_token(token)?;
                // An enumeration without a value is found out here.
                self.types.enum_underlying(ty.ty)?;
                let handle = self.type_cell(ty, CellRequest::TypeHandle, Type::Iptr)?;
                (handle, known.runtime_type_handle, Origin::TypeToken(ty))
            }
            Member::Method(method) => {
                let method = self.method_ref(method, token)?;
                let handle = self.method_cell(method, CellRequest::MethodHandle, Type::Iptr)?;
                (handle, known.runtime_method_handle, Origin::Unknown)
            }
            Member::Field(_) => {
                let field = self.resolve_field(token)?;
                let handle = self.field_handle(field, token)?;
                (handle, known.runtime_field_handle, Origin::Unknown)
            }
        };
        let bytes = self.abi.pointer_bytes;
        let temporary = self.struct_temporary(bytes, bytes);
        let memory = self.frame_access(Access::Full(Type::Iptr), 0);
        self.b.store(memory, temporary, value);
        self.push(Operand { shape: Shape::Struct(handle_type), value: temporary, class: None, exact: false, origin });
        Ok(())
    }

    // Typed references: fields `type`, `Value` and `Type` of System.TypedReference

    fn typed_reference_field(&self, name: &str) -> Outcome<i32> {
        Ok(instance_field(self.types, TypeId::TYPED_REFERENCE, name)?)
    }

    pub(super) fn import_mkrefany(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let address = self.pop_address()?;
        let Storage::Struct { size, align } = self.types.storage(TypeId::TYPED_REFERENCE)? else {
            return Err(invalid("typed references are no structures"));
        };
        let temporary = self.struct_temporary(size, align);
        self.store_typed_reference(temporary, 0, ty, address)?;
        self.push_struct(TypeId::TYPED_REFERENCE, temporary);
        Ok(())
    }

    /// Makes a typed reference to `address` in the frame, `offset` bytes behind `place`.
    pub(super) fn store_typed_reference(&mut self, place: Value, offset: i32, ty: TypeRef, address: Value) -> Outcome {
        let handle = self.type_cell(ty, CellRequest::TypeHandle, Type::Iptr)?;
        let method_table = self.method_table(ty)?;
        let address = self.as_pointer(address, Type::Iptr);
        for (name, value) in [("type", handle), ("Value", address), ("Type", method_table)] {
            let offset = offset + self.typed_reference_field(name)?;
            let memory = self.frame_access(Access::Full(Type::Iptr), offset);
            self.b.store(memory, place, value);
        }
        Ok(())
    }

    pub(super) fn import_refanyval(&mut self, token: Token) -> Outcome {
        let ty = self.resolve_type(token)?;
        let (reference, _) = self.pop_for(TypeId::TYPED_REFERENCE, Use::Passed)?;
        let wanted = self.method_table(ty)?;
        let offset = self.typed_reference_field("Type")?;
        let actual = self.load_scalar(Type::Iptr, reference, offset);
        let differs = self.b.icmp(IntCompare::Ne, actual, wanted);
        self.b.trap_if(differs, TrapCode::InvalidCast);
        let offset = self.typed_reference_field("Value")?;
        let address = self.load_scalar(Type::Iptr, reference, offset);
        let address = self.as_pointer(address, Type::Mptr);
        self.push_scalar(address);
        Ok(())
    }

    pub(super) fn import_refanytype(&mut self) -> Outcome {
        let (reference, _) = self.pop_for(TypeId::TYPED_REFERENCE, Use::Passed)?;
        let offset = self.typed_reference_field("type")?;
        let handle = self.load_scalar(Type::Iptr, reference, offset);
        let bytes = self.abi.pointer_bytes;
        let temporary = self.struct_temporary(bytes, bytes);
        let memory = self.frame_access(Access::Full(Type::Iptr), 0);
        self.b.store(memory, temporary, handle);
        let ty = self.types.well_known().runtime_type_handle;
        self.push_struct(ty, temporary);
        Ok(())
    }
}
