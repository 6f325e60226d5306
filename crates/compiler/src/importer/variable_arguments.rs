//! Variable arguments (ECMA-335 I.12.3.2.3, III.3.4).
//!
//! A call of a managed method puts them into its frame and makes an *argument list* there, the number of them and a typed reference to each, whose
//! address is the callee's last parameter. That is all that `arglist` and `System.ArgIterator` need. An imported method gets them as C passes
//! them: each call site calls a method of its own, with all arguments in its signature.

use super::generics::{MethodRef, TypeRef};
use super::stack::Use;
use super::{Importer, Outcome, invalid};
use crate::signature::{storage_access, takes_argument_list};
use crate::wrappers::scalar_place;
use il::Token;
use il::signature::CallConvention as Convention;
use il::types::{MethodSignature, Storage, TypeId, TypeKind};
use ir::Type;
use ir::entity::Value;
use ir::types::Access;

/// A signature with the variable arguments that C passes where such ones are given: `float` becomes `double`.
pub(super) fn promoted(signature: MethodSignature) -> MethodSignature {
    let promote = |&ty: &TypeId| if ty == TypeId::R4 { TypeId::R8 } else { ty };
    let params = signature.fixed().iter().copied().chain(signature.variable().iter().map(promote)).collect();
    MethodSignature { params, ..signature }
}

impl<'a> Importer<'a, '_> {
    /// What a call of `callee` calls: if that takes variable arguments, with their list in their place on the stack, or a method that takes
    /// just these.
    pub(super) fn take_variable_arguments(&mut self, callee: MethodRef, token: Token) -> Outcome<MethodRef> {
        if self.types.method_signature(callee.method)?.convention != Convention::VarArg {
            return Ok(callee);
        }
        let site = self.types.call_site_signature(self.assembly, token, &self.context)?;
        if takes_argument_list(self.types, callee.method)? {
            let open = self.types.call_site_signature(self.assembly, token, &self.open_context())?;
            self.push_argument_list(site.variable(), open.variable())?;
            return Ok(callee);
        }
        Ok(MethodRef { method: self.types.variadic_method(callee.method, promoted(site)), open: None })
    }

    /// Replaces variable arguments on the stack by the address of their list. `open`: their types in terms of type variables.
    pub(super) fn push_argument_list(&mut self, types: &[TypeId], open: &[TypeId]) -> Outcome {
        // The callee gets addresses in this frame.
        self.tail.wanted = false;
        let pointer_bytes = self.abi.pointer_bytes;
        let entries = self.abi.argument_list_entries();
        let entry_size = self.types.storage(TypeId::TYPED_REFERENCE)?.size(self.types.layout());
        let list = self.struct_temporary(entries as u32 + entry_size * types.len() as u32, pointer_bytes);
        for (index, (&ty, &open)) in types.iter().zip(open).enumerate().rev() {
            // A typed reference to what is passed by reference is one to the target.
            let target = |ty: TypeId| match self.types.kind(ty) {
                TypeKind::ByRef(target) => Some(*target),
                _ => None,
            };
            let (target, open, address) = match (target(ty), target(open)) {
                (Some(target), Some(open)) => (target, open, self.pop_for(ty, Use::Passed)?.0),
                _ => (ty, open, self.pop_to_frame(ty)?),
            };
            let target = TypeRef { ty: target, open: Some(open).filter(|_| self.needs_lookup(target)) };
            self.store_typed_reference(list, entries + (entry_size * index as u32) as i32, target, address)?;
        }
        let count = self.b.iconst(Type::Iptr, types.len() as i64);
        let memory = self.frame_access(Access::Full(Type::Iptr), 0);
        self.b.store(memory, list, count);
        let list = self.as_pointer(list, Type::Iptr);
        self.push_scalar(list);
        Ok(())
    }

    /// Pops a value into memory of its own in the frame; its address.
    fn pop_to_frame(&mut self, ty: TypeId) -> Outcome<Value> {
        let (value, owned) = self.pop_for(ty, Use::Passed)?;
        let storage = self.types.storage(ty)?;
        match storage_access(storage) {
            Some(access) => {
                let place = scalar_place(self, access);
                let memory = self.frame_access(access, 0);
                self.b.store(memory, place, value);
                Ok(place)
            }
            None if owned => Ok(value),
            None => Ok(self.copy_to_temporary(value, storage)),
        }
    }

    /// The handle of the method's own argument list.
    pub(super) fn import_arglist(&mut self) -> Outcome {
        let list = match takes_argument_list(self.types, self.method)? {
            true => self.args.last().copied(),
            false => None,
        };
        self.load_local(list.ok_or_else(|| invalid("arglist in a method without variable arguments"))?)?;
        let list = self.pop_scalar(Type::Iptr)?;
        let ty = self.types.well_known().runtime_argument_handle;
        let Storage::Struct { size, align } = self.types.storage(ty)? else { return Err(invalid("handles are no structures")) };
        let handle = self.struct_temporary(size, align);
        let memory = self.frame_access(Access::Full(Type::Iptr), 0);
        self.b.store(memory, handle, list);
        self.push_struct(ty, handle);
        Ok(())
    }
}
