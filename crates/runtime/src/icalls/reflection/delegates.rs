//! Internal calls of `System.Delegate`.

use super::objects::{method_object, method_of, type_of};
use crate::exceptions::Exception;
use crate::icalls::{InternalCall, icall, raising};
use crate::method_table::method_table;
use crate::object::{self, ObjectRef};
use crate::{delegates, handles, methods, runtime};

extern "C" fn create(ty: ObjectRef, target: ObjectRef, method: ObjectRef, _throw_on_failure: u8) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let class = type_of(ty)?;
        let mut method = method_of(method)?;
        if !types.header(class)?.is_delegate() {
            return Err(Exception::argument("type", "Type must derive from Delegate."));
        }
        let declaration = types.method(method);
        if declaration.generic_param_count as usize != declaration.method_args.len() {
            let message = " Cannot bind to the target method because its signature differs from that of the delegate type";
            return Err(Exception::argument("method", message));
        }
        // A delegate over an object calls what a virtual call would reach.
        if declaration.is_virtual() && !target.is_null() {
            method = methods::resolve_virtual(target.type_id(), method)?;
        }
        let code = methods::function_pointer(method)?;
        let delegate = object::allocate(method_table(class)?)?;
        delegates::initialize_over_any(delegate, target, code, handles::from_method(method))?;
        Ok(delegate)
    })
}

extern "C" fn virtual_method(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let this = this.check()?;
        let Some(mut method) = handles::to_method(delegates::METHOD.get(this)) else { return Ok(ObjectRef::NULL) };
        let target: ObjectRef = delegates::TARGET.get(this);
        if types.method(method).is_virtual() && !target.is_null() {
            method = methods::resolve_virtual(target.type_id(), method)?;
        }
        method_object(method, None)
    })
}

extern "C" fn allocate_like(delegate: ObjectRef) -> ObjectRef {
    raising(|| delegates::allocate_multicast(delegate))
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.Delegate:CreateDelegate_internal", create as *const ()),
    icall("System.Delegate:GetVirtualMethod_internal", virtual_method as *const ()),
    icall("System.Delegate:AllocDelegateLike_internal", allocate_like as *const ()),
];
