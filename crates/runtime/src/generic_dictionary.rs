//! What shared generic code asks of its context: an open request, made exact by the context's type arguments.

use crate::cells;
use crate::exceptions::{Exception, Result};
use crate::method_table::MethodTable;
use crate::{aot, domain, handles, lookup_answers, runtime};
use compiler::env::{CellRequest, GenericLookup};
use il::types::{FieldId, GenericContext, MethodId, TypeId};
use parking_lot::RwLock;
use rustc_hash::FxHashMap;

/// Answers given before, by (context, number of the lookup): for those that have no place at their cell.
#[derive(Default)]
pub struct LookupCache {
    answers: RwLock<FxHashMap<(usize, u32), usize>>,
}

/// Looks up what the cell at `cell_address` asks for in `context`: a method table or a method's dictionary. What stays so is kept at
/// the cell.
pub fn lookup(context: usize, cell_address: usize) -> Result<usize> {
    let cell = aot::place(cell_address);
    let runtime = runtime();
    let domain = domain::current();
    let CellRequest::GenericLookup(number) = cells::request_at(cell_address)? else {
        return Err(Exception::engine("a generic lookup through a cell of another kind"));
    };
    if let Some(&answer) = domain.lookup_cache.answers.read().get(&(context, number)) {
        lookup_answers::add(cell, context, answer);
        return Ok(answer);
    }
    let lookup = domain.cells.lookup(number).ok_or_else(|| Exception::engine("an unknown generic lookup"))?;
    let exact = match exact_context(context, &lookup)? {
        Context::Method(method) => substitute(lookup.request, &runtime.types.method_context(method))?,
        Context::Class(class) => {
            let type_args = runtime.types.type_args(class);
            substitute(lookup.request, &GenericContext { type_args, method_args: &[] })?
        }
    };
    let resolved = cells::resolve(exact)?;
    if resolved.stays {
        domain.lookup_cache.answers.write().insert((context, number), resolved.value);
        lookup_answers::add(cell, context, resolved.value);
    }
    Ok(resolved.value)
}

enum Context {
    Method(MethodId),
    Class(TypeId),
}

fn exact_context(context: usize, lookup: &GenericLookup) -> Result<Context> {
    let types = &runtime().types;
    if lookup.from_method_dictionary {
        // SAFETY: shared code passes its context, here a method's dictionary: null, then the method's handle.
        let handle = unsafe { (context as *const usize).add(1).read() };
        return handles::to_method(handle).map(Context::Method).ok_or_else(|| Exception::engine("a dictionary without a method"));
    }
    // The method table may be that of a derived class.
    let wanted = types.generic_definition_type(types.method(lookup.within).owner);
    // SAFETY: shared code passes its context, here a method table.
    let mut table = Some(unsafe { &*(context as *const MethodTable) });
    while let Some(current) = table {
        if types.generic_definition_type(current.ty()) == wanted {
            return Ok(Context::Class(current.ty()));
        }
        table = current.parent();
    }
    Err(Exception::engine(format!("no context for {}", types.method_full_name(lookup.within))))
}

fn substitute(request: CellRequest, context: &GenericContext) -> Result<CellRequest> {
    let types = &runtime().types;
    let ty = |ty: TypeId| types.substitute(ty, context);
    let method = |method: MethodId| types.substitute_method(method, context);
    let field = |field: FieldId| types.substitute_field(field, context);
    Ok(match request {
        CellRequest::MethodTable(t) => CellRequest::MethodTable(ty(t)),
        CellRequest::InitializedMethodTable(t) => CellRequest::InitializedMethodTable(ty(t)),
        CellRequest::Statics(t) => CellRequest::Statics(ty(t)),
        CellRequest::ReferenceStatics(t) => CellRequest::ReferenceStatics(ty(t)),
        CellRequest::StaticsWithoutInitializer(t) => CellRequest::StaticsWithoutInitializer(ty(t)),
        CellRequest::ReferenceStaticsWithoutInitializer(t) => CellRequest::ReferenceStaticsWithoutInitializer(ty(t)),
        CellRequest::TypeHandle(t) => CellRequest::TypeHandle(ty(t)),
        CellRequest::TypeObject(t) => CellRequest::TypeObject(ty(t)),
        CellRequest::MethodEntry(m) => CellRequest::MethodEntry(method(m)),
        CellRequest::FunctionPointer(m) => CellRequest::FunctionPointer(method(m)),
        CellRequest::MethodHandle(m) => CellRequest::MethodHandle(method(m)),
        CellRequest::InterfaceKey(m) => CellRequest::InterfaceKey(method(m)),
        CellRequest::MethodDictionary(m) => CellRequest::MethodDictionary(method(m)),
        CellRequest::InternalCall(m) => CellRequest::InternalCall(method(m)),
        CellRequest::PlatformInvoke(m) => CellRequest::PlatformInvoke(method(m)),
        CellRequest::FieldHandle(f) => CellRequest::FieldHandle(field(f)?),
        CellRequest::FieldData(f) => CellRequest::FieldData(field(f)?),
        CellRequest::String(..) | CellRequest::GenericLookup(_) | CellRequest::DeferredError(_) => request,
    })
}
