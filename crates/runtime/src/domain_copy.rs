//! Copies of objects in another domain: for the arguments, results and exceptions of the calls with which the class library's remoting
//! gets from one domain into another. What a program sends was serialised before; what is copied here are the envelopes.

use crate::domain::{self, Domain};
use crate::exceptions::Result;
use crate::gc::{self, AllocationKind, HandleKind};
use crate::icalls::reflection::{assembly_object, assembly_of_object, method_object, method_of};
use crate::method_table::method_table;
use crate::object::{self, ABI, ObjectRef, write_barrier};
use crate::{handles, proxies, runtime};
use compiler::abi::method_table_flags as flags;

/// An object of `target` with the same content as `object` and all it refers to; itself if it is of that domain already. Delegates and
/// proxies become null.
pub fn copy(object: ObjectRef, target: &'static Domain) -> Result<ObjectRef> {
    domain::enter(target, || {
        let mut copies = Copies(Vec::new());
        copies.copy(object)
    })
}

/// What was copied so far: handles of originals and copies.
struct Copies(Vec<(usize, usize)>);

impl Copies {
    fn known(&self, object: ObjectRef) -> Option<ObjectRef> {
        let &(_, copy) = self.0.iter().find(|entry| gc::handle_target(entry.0) == object.raw().cast())?;
        // SAFETY: the target of a handle that is alive.
        Some(unsafe { ObjectRef::from_raw(gc::handle_target(copy).cast()) })
    }

    fn copy(&mut self, object: ObjectRef) -> Result<ObjectRef> {
        if object.is_null() || std::ptr::eq(object.method_table().class().domain, domain::current()) {
            return Ok(object);
        }
        if proxies::is_proxy(object) || object.method_table().has(flags::DELEGATE) {
            return Ok(ObjectRef::NULL);
        }
        if let Some(member) = same_member(object)? {
            return Ok(member);
        }
        if let Some(known) = self.known(object) {
            return Ok(known);
        }
        let table = method_table(object.type_id())?;
        let copy = object::allocate_of_kind(table, object.size(), AllocationKind::Default)?;
        let handle = |object: ObjectRef| gc::allocate_handle(object.raw().cast(), HandleKind::Normal);
        self.0.push((handle(object), handle(copy)));
        let start = ABI.object_fields() as u32;
        // SAFETY: both objects have this size.
        unsafe { std::ptr::copy_nonoverlapping(object.at::<u8>(start), copy.at::<u8>(start), object.size() - start as usize) };
        write_barrier(copy);
        let map = table.reference_map();
        for &offset in &map.instance {
            self.replace(copy, offset)?;
        }
        if !map.element.is_empty() {
            for index in 0..object.length() {
                for &offset in &map.element {
                    self.replace(copy, table.base_size + index * table.component_size + offset)?;
                }
            }
        }
        Ok(copy)
    }

    /// Makes a reference in a copy one to a copy.
    fn replace(&mut self, copy: ObjectRef, offset: u32) -> Result<()> {
        // SAFETY: the offset is from the class's map of references.
        unsafe {
            let value = self.copy(copy.read(offset))?;
            copy.write_ref(offset, value);
        }
        Ok(())
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        for &(original, copy) in &self.0 {
            gc::free_handle(original);
            gc::free_handle(copy);
        }
    }
}

/// The object that stands for the same type, method or assembly, if the object stands for one.
fn same_member(object: ObjectRef) -> Result<Option<ObjectRef>> {
    let types = &runtime().types;
    if object.type_id() == types.well_known().runtime_type {
        return handles::type_of(object).map(handles::type_object).transpose();
    }
    Ok(match types.simple_name(object.type_id()) {
        ("System.Reflection", "RuntimeMethodInfo" | "RuntimeConstructorInfo") => Some(method_object(method_of(object)?, None)?),
        ("System.Reflection", "RuntimeAssembly") => Some(assembly_object(assembly_of_object(object)?)?),
        _ => None,
    })
}
