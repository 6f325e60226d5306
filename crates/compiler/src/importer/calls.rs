//! Calls of all kinds (ECMA-335 III.3.19 ff., III.4.2).

use super::generics::{MethodRef, TypeRef};
use super::stack::{Operand, Origin, Shape, Use};
use super::variable_arguments::promoted;
use super::{Failure, Importer, Outcome, invalid};
use crate::abi::HelperId;
use crate::env::CellRequest;
use crate::intrinsics;
use crate::signature::{AbiSignature, ContextSource, abi_signature, context_source, method_signature, with_argument_list};
use il::Token;
use il::signature::CallConvention as Convention;
use il::types::{MethodId, MethodKind, MethodSignature, TypeId};
use ir::Type;
use ir::entity::{SigRef, Symbol, Value};
use ir::instruction::{Instruction, Memory, Opcode};
use ir::signature::{CallConvention, Param, ParamKind};
use ir::types::Access;
use smallvec::SmallVec;

/// A method whose function pointer was loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoadedFunction {
    pub method: MethodRef,
}

/// Values that a call passes.
pub(super) type Arguments = SmallVec<[Value; 8]>;

/// What a call calls, as the function under construction names it.
enum Target {
    Symbol(Symbol),
    Code(Value),
}

/// What a call calls.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    /// The code of this canonical method.
    Method(MethodId),
    /// The code at an address.
    Code(Value),
    /// An interface method: code of a dispatch slot, and the key.
    Interface(Value, Value),
}

impl<'a> Importer<'a, '_> {
    /// Pops the arguments after `this`, last first; in order with whether the callee may change them.
    pub(super) fn pop_arguments(&mut self, abi: &AbiSignature) -> Outcome<Vec<(Value, bool)>> {
        let mut values = Vec::with_capacity(abi.params.len());
        for param in abi.params.iter().skip(usize::from(abi.has_this)).rev() {
            values.push(self.pop_for(param.ty, Use::Passed)?);
        }
        values.reverse();
        Ok(values)
    }

    /// Emits a call; the result as by `Emitter::take_result`. If it is a tail call, there is none, and the block is ended.
    pub(super) fn emit_call(
        &mut self,
        callee: Callee,
        abi: &AbiSignature,
        this: Option<Value>,
        arguments: &[(Value, bool)],
        context: Option<Value>,
    ) -> Outcome<Option<Value>> {
        let all = this.map(|this| (this, true)).into_iter().chain(arguments.iter().copied());
        if self.tail.take_wanted() {
            let all: SmallVec<[(Value, bool); 8]> = all.clone().collect();
            if let Some(copies) = self.plan_tail_call(abi, &all) {
                let args = self.tail_call_arguments(abi, &all, &copies);
                let (signature, target, args) = self.call_target(callee, abi, args, context)?;
                match target {
                    Target::Symbol(symbol) => self.b.tail_call(signature, symbol, &args),
                    Target::Code(code) => self.b.tail_call_indirect(signature, code, &args),
                }
                return Ok(None);
            }
        }
        let mut args = Arguments::new();
        let mut result_address = None;
        for (index, (value, owned)) in all.enumerate() {
            if self.wants_result_address(abi, index) {
                result_address = self.push_result_address(&mut args, abi);
            }
            self.push_argument(&mut args, &abi.params[index], value, owned);
        }
        if self.wants_result_address(abi, abi.params.len()) {
            result_address = self.push_result_address(&mut args, abi);
        }
        let (signature, target, args) = self.call_target(callee, abi, args, context)?;
        let results = match target {
            Target::Symbol(symbol) => self.b.call(signature, symbol, &args),
            Target::Code(code) => self.b.call_indirect(signature, code, &args),
        };
        Ok(self.take_result(abi, &results, result_address))
    }

    /// Where a call goes, with its signature there; adds to the arguments what is no parameter in IL.
    fn call_target(
        &mut self,
        callee: Callee,
        abi: &AbiSignature,
        mut args: Arguments,
        context: Option<Value>,
    ) -> Outcome<(SigRef, Target, Arguments)> {
        let mut signature = abi.signature.clone();
        let target = match callee {
            Callee::Method(method) => {
                if abi.has_context {
                    args.push(context.ok_or_else(|| invalid("a shared method without context"))?);
                }
                Target::Symbol(self.method_symbol(method))
            }
            Callee::Code(code) => {
                // Code found by dispatch sets the context itself.
                if context.is_none() {
                    signature.params.retain(|param| param.kind != ParamKind::GenericContext);
                }
                args.extend(context);
                Target::Code(code)
            }
            Callee::Interface(code, key) => {
                signature.params.retain(|param| param.kind != ParamKind::GenericContext);
                signature.params.push(Param { ty: Type::Iptr, kind: ParamKind::InterfaceKey });
                args.push(key);
                Target::Code(code)
            }
        };
        Ok((self.b.function.add_signature(signature), target, args))
    }

    /// Pushes a call's result, of the type that the caller sees.
    pub(super) fn push_result(&mut self, ty: TypeId, result: Option<Value>) -> Outcome {
        match result {
            Some(value) => self.push_typed(ty, value),
            None => Ok(()),
        }
    }

    pub(super) fn import_call(&mut self, token: Token, is_virtual: bool) -> Outcome {
        let callee = self.resolve_method(token)?;
        let callee = self.take_variable_arguments(callee, token)?;
        if let MethodKind::Array(_) = self.types.method(callee.method).kind {
            return self.call_array_method(callee);
        }
        if let Some(constraint) = self.prefixes.constrained {
            if is_virtual {
                return self.call_constrained(callee, constraint);
            }
        }
        if self.flags.intrinsics && intrinsics::expand(self, callee)? {
            return Ok(());
        }
        self.call(callee, is_virtual)
    }

    /// A call with `this` and arguments on the stack.
    pub(super) fn call(&mut self, callee: MethodRef, is_virtual: bool) -> Outcome {
        let data = self.types.method(callee.method);
        let result_type = self.types.method_signature(callee.method)?.ret;
        let canonical = self.types.canonical_method(callee.method);
        let abi = method_signature(self.env, canonical)?;
        let arguments = self.pop_arguments(&abi)?;
        if data.is_static() || !abi.has_this {
            self.settle()?;
            let context = self.context_argument(callee)?;
            let result = self.emit_call(Callee::Method(canonical), &abi, None, &arguments, context)?;
            return self.push_result(result_type, result);
        }
        let this = self.pop()?;
        self.settle()?;
        let owner_is_value = self.types.is_value_type(data.owner);
        let this_value = match this.shape {
            Shape::Scalar(ty) if !ty.is_pointer_sized() => return Err(invalid("`this` is a number")),
            Shape::Struct(_) => return Err(invalid("`this` is a structure")),
            _ if owner_is_value => self.convert_scalar(this, Type::Mptr)?,
            _ => self.convert_scalar(this, Type::Ref)?,
        };
        let this = Operand { value: this_value, ..this };
        if self.types.header(data.owner)?.is_delegate() && self.types.method_name(callee.method) == "Invoke" {
            let result = self.call_delegate(this_value, &abi, &arguments)?;
            return self.push_result(result_type, result);
        }
        // Within an interface, Mono takes `call` of an abstract method for `callvirt`.
        let own = self.types.method(self.method).owner;
        let is_virtual = is_virtual || data.is_abstract() && self.types.is_interface(data.owner) && self.types.is_interface(own);
        if is_virtual && data.is_virtual() && !owner_is_value {
            let result = self.call_virtual(callee, this, &abi, &arguments)?;
            return self.push_result(result_type, result);
        }
        if is_virtual && this.origin != Origin::NotNull {
            self.b.null_check(this_value);
        }
        if data.is_abstract() {
            let error = il::Error::new(il::ErrorKind::BadImage, "a direct call of an abstract method");
            return Err(Failure::Method(error.with_name(self.types.method_full_name(callee.method))));
        }
        let context = self.context_argument(callee)?;
        let result = self.emit_call(Callee::Method(canonical), &abi, Some(this_value), &arguments, context)?;
        self.push_result(result_type, result)
    }

    /// The implementation that a virtual call certainly reaches.
    fn devirtualize(&self, callee: MethodRef, this: Operand) -> Option<MethodId> {
        let data = self.types.method(callee.method);
        if callee.open.is_some() || !data.method_args.is_empty() {
            return None;
        }
        let class = this.class.filter(|&class| !self.types.contains_canon(class) && self.types.element_type(class).is_none())?;
        let header = self.types.header(class).ok()?;
        if !(this.exact || header.is_sealed()) || header.is_interface() || header.is_abstract() && !header.is_sealed() {
            return None;
        }
        let found = self.types.resolve_virtual(class, callee.method).ok()?;
        let target = self.types.method(found);
        self.env.depend_on_layout(class);
        (!target.is_abstract() && !self.types.is_value_type(target.owner)).then_some(found)
    }

    fn call_virtual(
        &mut self,
        callee: MethodRef,
        this: Operand,
        abi: &AbiSignature,
        arguments: &[(Value, bool)],
    ) -> Outcome<Option<Value>> {
        let data = self.types.method(callee.method);
        let owner = self.types.header(data.owner)?;
        let (is_interface, is_sealed) = (owner.is_interface(), owner.is_sealed());
        if let Some(target) = self.devirtualize(callee, this) {
            if this.origin != Origin::NotNull {
                self.b.null_check(this.value);
            }
            let target = MethodRef { method: target, open: None };
            let canonical = self.types.canonical_method(target.method);
            let abi = method_signature(self.env, canonical)?;
            let context = self.context_argument(target)?;
            return self.emit_call(Callee::Method(canonical), &abi, Some(this.value), arguments, context);
        }
        if !is_interface && (data.is_final() || is_sealed) && !data.is_abstract() {
            if this.origin != Origin::NotNull {
                self.b.null_check(this.value);
            }
            let canonical = self.types.canonical_method(callee.method);
            let context = self.context_argument(callee)?;
            return self.emit_call(Callee::Method(canonical), abi, Some(this.value), arguments, context);
        }
        if !data.method_args.is_empty() {
            let handle = self.method_cell(callee, CellRequest::MethodHandle, Type::Iptr)?;
            self.b.null_check(this.value);
            let code = self.helper_value(HelperId::VirtualCode, &[this.value, handle]);
            return self.emit_call(Callee::Code(code), abi, Some(this.value), arguments, None);
        }
        if is_interface {
            let key = self.method_cell(callee, CellRequest::InterfaceKey, Type::Iptr)?;
            let slot = self.types.imt_slot(callee.method);
            let method_table = self.load_method_table(this.value);
            let offset = self.abi.method_table_interface_slots() + (slot * self.abi.pointer_bytes) as i32;
            let code = self.load_slot(method_table, offset);
            return self.emit_call(Callee::Interface(code, key), abi, Some(this.value), arguments, None);
        }
        let Some(slot) = self.types.vtable_slot(callee.method)? else {
            return Err(invalid("a virtual method without slot"));
        };
        self.env.depend_on_layout(data.owner);
        let method_table = self.load_method_table(this.value);
        let offset = self.abi.method_table_slots() + (slot * self.abi.pointer_bytes) as i32;
        let code = self.load_slot(method_table, offset);
        self.emit_call(Callee::Code(code), abi, Some(this.value), arguments, None)
    }

    /// A code pointer of a method table. It changes when the method gets its code, so it is no constant.
    fn load_slot(&mut self, method_table: Value, offset: i32) -> Value {
        let memory = self.changing_field(offset);
        self.b.load(memory, method_table)
    }

    /// `Invoke` of a delegate: its code takes the delegate as `this`.
    fn call_delegate(&mut self, delegate: Value, abi: &AbiSignature, arguments: &[(Value, bool)]) -> Outcome<Option<Value>> {
        let offset = self.delegate_field("invoke_impl")?;
        let memory = Memory::any(Type::Iptr).at(offset);
        let code = self.b.load(memory, delegate);
        self.emit_call(Callee::Code(code), abi, Some(delegate), arguments, None)
    }

    /// Offset of a field of `System.Delegate`.
    fn delegate_field(&self, name: &str) -> Outcome<i32> {
        let delegate = self.types.well_known().delegate;
        self.env.depend_on_layout(delegate);
        Ok(crate::wrappers::instance_field(self.types, delegate, name)?)
    }

    // Constrained calls (III.2.1)

    fn call_constrained(&mut self, callee: MethodRef, constraint: Token) -> Outcome {
        let ty = self.resolve_type(constraint)?;
        let canonical = self.types.canonical_method(callee.method);
        let abi = method_signature(self.env, canonical)?;
        let depth = abi.params.len();
        let Some(place) = self.stack.len().checked_sub(depth) else { return Err(invalid("the evaluation stack is empty")) };
        let pointer = self.stack[place];
        let address = self.convert_scalar(pointer, Type::Mptr)?;
        if self.types.is_reference_type(ty.ty) {
            let object = self.b.load(Memory::any(Type::Ref), address);
            self.stack[place] = Operand {
                shape: Shape::Scalar(Type::Ref),
                value: object,
                class: Some(ty.ty).filter(|_| ty.open.is_none()),
                exact: false,
                origin: Origin::Unknown,
            };
            if self.flags.intrinsics && intrinsics::expand(self, callee)? {
                return Ok(());
            }
            return self.call(callee, true);
        }
        self.stack[place].value = address;
        self.stack[place].shape = Shape::Scalar(Type::Mptr);
        self.env.depend_on_layout(ty.ty);
        if self.depends_on_arguments(ty, callee)? {
            return self.call_constrained_late(ty, callee, &abi);
        }
        let found = self.types.resolve_virtual(ty.ty, callee.method)?;
        if self.types.method(found).owner == ty.ty {
            return self.call_own(found, ty, callee);
        }
        // Inherited from Object, ValueType or Enum, or a default implementation: called on a boxed copy.
        let memory = Memory::any(Type::I32);
        self.load_at(ty.ty, address, memory, false)?;
        self.box_value(ty)?;
        let boxed = self.pop()?;
        self.stack[place] = Operand { class: Some(ty.ty), exact: true, ..boxed };
        if self.flags.intrinsics && intrinsics::expand(self, callee)? {
            return Ok(());
        }
        self.stack[place].class = None;
        self.call(callee, true)
    }

    /// Whether only the exact type arguments tell which method of a value type a constrained call in shared code reaches.
    fn depends_on_arguments(&self, ty: TypeRef, callee: MethodRef) -> Outcome<bool> {
        let data = self.types.method(callee.method);
        if !data.method_args.is_empty() {
            return Ok(ty.open.is_some() || callee.open.is_some());
        }
        if callee.open.is_none() || !self.types.is_interface(data.owner) {
            return Ok(false);
        }
        let interface = self.types.generic_definition_type(data.owner);
        let is_meant = |&&declared: &&TypeId| self.types.generic_definition_type(declared) == interface;
        // Two interfaces of the definition may be one over canonical arguments.
        let declared = self.types.interfaces(self.types.generic_definition_type(ty.ty))?.iter().filter(is_meant).count();
        Ok(declared != 1 || !self.types.interfaces(ty.ty)?.contains(&data.owner))
    }

    /// A constrained call on a value type whose method is found at run time.
    fn call_constrained_late(&mut self, ty: TypeRef, callee: MethodRef, abi: &AbiSignature) -> Outcome {
        let result_type = self.types.method_signature(callee.method)?.ret;
        let arguments = self.pop_arguments(abi)?;
        let address = self.pop_address()?;
        self.settle()?;
        let table = self.method_table(ty)?;
        let handle = self.method_cell(callee, CellRequest::MethodHandle, Type::Iptr)?;
        let pointer_bytes = self.abi.pointer_bytes;
        let place = self.struct_temporary(pointer_bytes, pointer_bytes);
        self.b.store(Memory::any(Type::Mptr), place, address);
        let code = self.helper_value(HelperId::ConstrainedCode, &[table, handle, place]);
        let this = self.b.load(Memory::any(Type::Ref), place);
        // A tail call would leave the frame whose variable may be `this`.
        self.tail.wanted = false;
        let result = self.emit_call(Callee::Code(code), abi, Some(this), &arguments, None)?;
        self.push_result(result_type, result)
    }

    /// A value type's own implementation, called on its address.
    fn call_own(&mut self, found: MethodId, ty: TypeRef, callee: MethodRef) -> Outcome {
        let canonical = self.types.canonical_method(found);
        let abi = method_signature(self.env, canonical)?;
        let result_type = self.types.method_signature(callee.method)?.ret;
        let arguments = self.pop_arguments(&abi)?;
        let this = self.pop_address()?;
        let this = self.as_pointer(this, Type::Mptr);
        self.settle()?;
        let context = match context_source(self.types, canonical) {
            Some(ContextSource::ClassParameter) => Some(self.method_table(ty)?),
            _ => self.context_argument(MethodRef { method: found, open: None })?,
        };
        let result = self.emit_call(Callee::Method(canonical), &abi, Some(this), &arguments, context)?;
        self.push_result(result_type, result)
    }

    // Methods of arrays

    fn call_array_method(&mut self, callee: MethodRef) -> Outcome {
        // The address of an element is checked against the exact array type unless the prefix says otherwise; the wrapper does it.
        let result_type = self.types.method_signature(callee.method)?.ret;
        let abi = method_signature(self.env, callee.method)?;
        let arguments = self.pop_arguments(&abi)?;
        let this = self.pop_reference()?;
        self.settle()?;
        let array = self.owner_of(callee);
        let result = self.array_access(this.value, array, callee.method, &arguments)?;
        self.push_result(result_type, result)
    }

    // Through pointers

    pub(super) fn import_calli(&mut self, token: Token) -> Outcome {
        let mut signature = self.types.stand_alone_signature(self.assembly, token, &self.context)?;
        let code = self.pop()?;
        let code = self.convert_scalar(code, Type::Iptr)?;
        match signature.convention {
            Convention::Default => {}
            Convention::VarArg => {
                let open = self.types.stand_alone_signature(self.assembly, token, &self.open_context())?;
                self.push_argument_list(signature.variable(), open.variable())?;
                signature = with_argument_list(&signature);
            }
            _ => return self.call_native_pointer(code, signature),
        }
        let this = (signature.has_this && !signature.explicit_this).then_some(TypeId::OBJECT);
        let abi = abi_signature(self.env, CallConvention::Managed, this, &signature, false)?;
        let arguments = self.pop_arguments(&abi)?;
        let this = if abi.has_this {
            let operand = self.pop()?;
            Some(match operand.shape {
                Shape::Scalar(ty) if ty.is_pointer_sized() => self.as_pointer(operand.value, Type::Ref),
                _ => return Err(invalid("`this` is no reference")),
            })
        } else {
            None
        };
        self.settle()?;
        let result = self.emit_call(Callee::Code(code), &abi, this, &arguments, None)?;
        self.push_result(signature.ret, result)
    }

    /// Calls native code by the rules of imported functions.
    fn call_native_pointer(&mut self, code: Value, mut signature: MethodSignature) -> Outcome {
        if signature.has_this && !signature.explicit_this {
            signature.params = std::iter::once(&TypeId::I).chain(&signature.params).copied().collect();
        }
        signature.has_this = false;
        let ret = signature.ret;
        let method = self.types.native_pointer_method(promoted(signature));
        let abi = method_signature(self.env, method)?;
        let mut arguments = vec![(code, true)];
        for param in abi.params[1..].iter().rev() {
            arguments.push(self.pop_for(param.ty, Use::Passed)?);
        }
        arguments[1..].reverse();
        self.settle()?;
        let result = self.emit_call(Callee::Method(method), &abi, None, &arguments, None)?;
        self.push_result(ret, result)
    }

    pub(super) fn import_ldftn(&mut self, token: Token) -> Outcome {
        let method = self.resolve_method(token)?;
        let code = self.method_cell(method, CellRequest::FunctionPointer, Type::Iptr)?;
        self.push_function(method, code);
        Ok(())
    }

    fn push_function(&mut self, method: MethodRef, code: Value) {
        self.functions.push(LoadedFunction { method });
        let origin = Origin::Function(self.functions.len() - 1);
        self.push(Operand { shape: Shape::Scalar(Type::Iptr), value: code, class: None, exact: false, origin });
    }

    pub(super) fn import_ldvirtftn(&mut self, token: Token) -> Outcome {
        let method = self.resolve_method(token)?;
        let object = self.pop_reference()?;
        let data = self.types.method(method.method);
        self.b.null_check(object.value);
        let code = if data.is_virtual() {
            let handle = self.method_cell(method, CellRequest::MethodHandle, Type::Iptr)?;
            self.helper_value(HelperId::VirtualCode, &[object.value, handle])
        } else {
            self.method_cell(method, CellRequest::FunctionPointer, Type::Iptr)?
        };
        self.push_function(method, code);
        Ok(())
    }

    /// Pushes all arguments of the method at hand.
    pub(crate) fn load_arguments(&mut self) -> Outcome {
        for index in 0..self.args.len() {
            let argument = self.args[index];
            self.load_local(argument)?;
        }
        Ok(())
    }

    /// Calls the method at hand by the rules of call sites, with its arguments on the stack, and returns the result.
    pub(crate) fn call_own_method(&mut self, method: MethodId) -> Outcome {
        self.call(MethodRef { method, open: None }, false)?;
        self.import_ret()
    }

    /// Calls code at an address.
    pub(crate) fn call_code(
        &mut self,
        code: Value,
        abi: &AbiSignature,
        this: Option<Value>,
        arguments: &[(Value, bool)],
    ) -> Outcome<Option<Value>> {
        self.emit_call(Callee::Code(code), abi, this, arguments, None)
    }

    /// Calls a static method that is not generic and takes scalars.
    pub(crate) fn call_static(&mut self, method: MethodId, arguments: &[Value]) -> Outcome<Option<Value>> {
        let abi = method_signature(self.env, method)?;
        let arguments: Vec<(Value, bool)> = arguments.iter().map(|&value| (value, true)).collect();
        self.emit_call(Callee::Method(method), &abi, None, &arguments, None)
    }

    pub(super) fn import_jmp(&mut self, token: Token) -> Outcome {
        if !self.stack.is_empty() {
            return Err(invalid("the evaluation stack is not empty"));
        }
        self.load_arguments()?;
        let callee = self.resolve_method(token)?;
        self.call(callee, false)?;
        self.import_ret()
    }

    pub(crate) fn import_ret(&mut self) -> Outcome {
        if self.b.current_block().is_none() {
            return Ok(());
        }
        let ty = self.abi_signature.result.ty;
        let value = if ty == TypeId::VOID { None } else { Some(self.pop_for(ty, Use::Assigned)?.0) };
        if !self.stack.is_empty() {
            return Err(invalid("the evaluation stack is not empty at the return"));
        }
        self.release_lock();
        self.finish_with(value)
    }

    /// Returns a value as by `Emitter::take_result`. Nothing happens after a tail call.
    pub(crate) fn finish_with(&mut self, value: Option<Value>) -> Outcome {
        if self.b.current_block().is_none() {
            return Ok(());
        }
        let abi = self.abi_signature.clone();
        let address = self.result_address.map(|variable| self.b.use_variable(variable));
        self.return_value(&abi, value, address);
        Ok(())
    }

    /// Loads a scalar field of the structure or object at `address`.
    pub(super) fn load_scalar(&mut self, ty: Type, address: Value, offset: i32) -> Value {
        let memory = Memory { access: Access::Full(ty), ..Memory::any(ty) }.at(offset);
        self.b.load(memory, address)
    }

    /// A full memory barrier.
    pub(crate) fn fence(&mut self) {
        self.b.append(Instruction::new(Opcode::Fence, Type::I32, &[], ir::Aux::None));
    }
}
