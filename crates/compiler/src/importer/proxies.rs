//! What compiled code does about transparent proxies, which have the class of the object that they stand for but none of its fields.
//!
//! A proxy never gets into the body of a method of its class: an instance method of a class that proxies may stand for
//! (`MarshalByRefObject` and what derives from it) looks at its receiver first. So it does not matter how it was called.
//! Fields are looked at where they are accessed from elsewhere than through the method's own `this`.

use super::stack::{Operand, Origin, Shape};
use super::{Importer, Outcome};
use crate::abi::{HelperId, method_table_flags};
use crate::env::CellRequest;
use il::types::{FieldId, TypeId};
use ir::Type;
use ir::entity::Value;
use ir::signature::{ParamKind, Signature};
use smallvec::SmallVec;

impl Importer<'_, '_> {
    /// At the start of an instance method that proxies may be called with: passes such a call on, as it is, to the proxy's code.
    pub(crate) fn guard_against_proxies(&mut self) -> Outcome {
        let owner = self.types.method(self.method).owner;
        if !self.abi_signature.has_this || !self.types.is_marshal_by_ref(owner) {
            return Ok(());
        }
        let Some(&entry) = self.b.function.layout.first() else { return Ok(()) };
        let params: SmallVec<[Value; 8]> = self.b.function.blocks[entry].params.iter().copied().collect();
        let is_proxy = self.is_proxy(params[0]);
        let (pass_on, body) = (self.cold_block(), self.new_block());
        self.b.brif(is_proxy, pass_on, &[], body, &[]);
        self.enter(pass_on);
        let request = CellRequest::MethodHandle(self.method);
        let handle = self.cell(request, Type::Iptr);
        let signature = self.abi_signature.signature.clone();
        let is_context = |kind: ParamKind| kind == ParamKind::GenericContext;
        let context = signature.params.iter().zip(&params).find(|(param, _)| is_context(param.kind)).map(|(_, &value)| value);
        let context = context.unwrap_or_else(|| self.b.iconst(Type::Iptr, 0));
        let code = self.helper_value(HelperId::ProxyCode, &[params[0], handle, context]);
        let passed: SmallVec<[Value; 8]> =
            signature.params.iter().zip(&params).filter(|(param, _)| !is_context(param.kind)).map(|(_, &value)| value).collect();
        let params = signature.params.iter().copied().filter(|param| !is_context(param.kind)).collect();
        let signature = self.b.function.add_signature(Signature { params, ..signature });
        let results = self.b.call_indirect(signature, code, &passed);
        self.b.return_(&results);
        self.enter(body);
        Ok(())
    }

    /// Whether an object that is not null is a proxy.
    fn is_proxy(&mut self, object: Value) -> Value {
        let method_table = self.load_method_table(object);
        let memory = self.runtime_field(Type::I32, self.abi.method_table_flags());
        let flags = self.b.load(memory, method_table);
        let proxy = self.b.iconst(Type::I32, i64::from(method_table_flags::PROXY));
        self.b.iand(flags, proxy)
    }

    /// Whether the object of a field access may be a proxy.
    pub(super) fn may_be_proxy(&self, owner: TypeId, object: &Operand) -> bool {
        let is_known = object.exact && !self.types.may_begin_as_proxy(owner);
        object.shape == Shape::Scalar(Type::Ref)
            && object.origin != Origin::NotNull
            && !is_known
            && self.types.is_marshal_by_ref(owner)
    }

    /// The address of a field at `offset` of an object that may be a proxy. `load` makes it for a proxy from that and the field's handle.
    fn field_address_behind(
        &mut self,
        field: FieldId,
        object: Value,
        offset: u32,
        load: impl FnOnce(&mut Self, Value) -> Outcome<Value>,
    ) -> Outcome<Value> {
        let (merge, address) = self.merge_block(Type::Mptr);
        let is_proxy = self.is_proxy(object);
        let (remote, local) = (self.cold_block(), self.new_block());
        self.b.brif(is_proxy, remote, &[], local, &[]);
        self.enter(remote);
        let handle = self.cell(CellRequest::FieldHandle(field), Type::Iptr);
        let behind = load(self, handle)?;
        self.b.jump(merge, &[behind]);
        self.enter(local);
        let own = self.b.offset_addr(object, i64::from(offset));
        self.b.jump(merge, &[own]);
        self.enter(merge);
        Ok(address)
    }

    /// The address of a field at `offset` of an object that may be a proxy.
    pub(super) fn remote_field_address(&mut self, field: FieldId, object: Value, offset: u32) -> Outcome<Value> {
        self.field_address_behind(field, object, offset, |importer, handle| {
            Ok(importer.helper_value(HelperId::RemoteFieldAddress, &[object, handle]))
        })
    }

    /// The address of the value of a field at `offset` of an object that may be a proxy: then that of a copy.
    pub(super) fn remote_field_copy(&mut self, field: FieldId, object: Value, offset: u32) -> Outcome<Value> {
        self.field_address_behind(field, object, offset, |importer, handle| {
            let copy = importer.field_temporary(field)?;
            importer.helper(HelperId::LoadRemoteField, &[object, handle, copy]);
            Ok(importer.as_pointer(copy, Type::Mptr))
        })
    }

    /// Stores a field of an object that may be a proxy, which `store` does for one that is none. `value` is as popped.
    pub(super) fn store_remote_field(
        &mut self,
        field: FieldId,
        object: Value,
        value: Value,
        store: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let merge = self.new_block();
        let is_proxy = self.is_proxy(object);
        let (remote, local) = (self.cold_block(), self.new_block());
        self.b.brif(is_proxy, remote, &[], local, &[]);
        self.enter(remote);
        let storage = self.types.storage(self.types.field_type(field)?)?;
        let copy = match crate::signature::storage_access(storage) {
            Some(access) => {
                let copy = self.field_temporary(field)?;
                let memory = self.frame_access(access, 0);
                self.b.store(memory, copy, value);
                copy
            }
            None => value,
        };
        let handle = self.cell(CellRequest::FieldHandle(field), Type::Iptr);
        self.helper(HelperId::StoreRemoteField, &[object, handle, copy]);
        self.b.jump(merge, &[]);
        self.enter(local);
        store(self)?;
        self.b.jump(merge, &[]);
        self.enter(merge);
        Ok(())
    }

    /// Memory in the frame for a field's value.
    fn field_temporary(&mut self, field: FieldId) -> Outcome<Value> {
        let storage = self.types.storage(self.types.field_type(field)?)?;
        let layout = self.types.layout();
        let (size, align) = (storage.size(layout), storage.align(layout));
        Ok(self.struct_temporary(size, align))
    }
}
