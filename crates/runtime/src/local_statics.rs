//! Static fields of which each thread or each context of remoting has its own: areas that are made at the first access.

use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::icalls::app_domains;
use crate::method_table::{MethodTable, method_table};
use crate::object::{self, ObjectRef};
use crate::thread::{RECENT_AREAS, Thread};
use crate::{gc, runtime};
use il::types::StaticHolder;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Areas by address of the method table. References come first in each, and the collector knows them as roots.
pub type Areas = FxHashMap<usize, Box<[u128]>>;

/// Address of a `Box` of the context's areas, or 0.
static CONTEXT_AREAS: KnownField = KnownField::new("System.Runtime.Remoting.Contexts", "Context", "static_data");
/// Held while a context's areas are looked up or changed: several threads may be in one context.
static CONTEXTS: Mutex<()> = Mutex::new(());

/// The area of a class's fields for the current thread or context: first that of references, then, from the next multiple of 16
/// bytes on, that of the other fields.
pub fn area(holder: StaticHolder, table: &MethodTable) -> Result<usize> {
    match holder {
        StaticHolder::Thread => thread_area(table),
        StaticHolder::Context => context_area(table),
    }
}

fn thread_area(table: &MethodTable) -> Result<usize> {
    let thread = Thread::current();
    let key = std::ptr::from_ref(table) as usize;
    let recent = &mut thread.recent_static_areas[table.type_id as usize % RECENT_AREAS];
    if recent.0 == key && recent.1 != 0 {
        return Ok(recent.1);
    }
    let area = match thread.static_areas.get(&key) {
        Some(area) => area.as_ptr() as usize,
        None => {
            let memory = allocate(table)?;
            let area = memory.as_ptr() as usize;
            Thread::current().static_areas.insert(key, memory);
            fill_boxes(table, area)?;
            area
        }
    };
    Thread::current().recent_static_areas[table.type_id as usize % RECENT_AREAS] = (key, area);
    Ok(area)
}

/// The areas of a context, with [`CONTEXTS`] held. They stay where they are until it is released.
fn areas_of(context: ObjectRef) -> &'static mut Areas {
    let mut known = CONTEXT_AREAS.get::<usize>(context);
    if known == 0 {
        known = std::ptr::from_mut(Box::leak(Box::<Areas>::default())) as usize;
        CONTEXT_AREAS.set(context, known);
    }
    // SAFETY: made here, and freed only when nothing refers to the context any more; the caller has the lock for as long as it uses it.
    unsafe { &mut *(known as *mut Areas) }
}

fn context_area(table: &MethodTable) -> Result<usize> {
    let context = app_domains::current_context()?;
    let key = std::ptr::from_ref(table) as usize;
    let known = {
        let _lock = CONTEXTS.lock();
        areas_of(context).get(&key).map(|area| area.as_ptr() as usize)
    };
    if let Some(area) = known {
        return Ok(area);
    }
    let memory = allocate(table)?;
    let area = memory.as_ptr() as usize;
    fill_boxes(table, area)?;
    let _lock = CONTEXTS.lock();
    let areas = areas_of(context);
    match areas.get(&key) {
        // Another thread was faster.
        Some(other) => {
            gc::remove_root_range(memory.as_ptr().cast());
            Ok(other.as_ptr() as usize)
        }
        None => {
            areas.insert(key, memory);
            Ok(area)
        }
    }
}

/// The end of a context that is being finalised.
pub fn release_context(context: ObjectRef) {
    let _lock = CONTEXTS.lock();
    let known = CONTEXT_AREAS.get::<usize>(context);
    if known != 0 {
        CONTEXT_AREAS.set(context, 0usize);
        // SAFETY: made by `areas_of`, and from now on nothing refers to it.
        let areas = unsafe { Box::from_raw(known as *mut Areas) };
        release(&areas);
    }
}

/// Lets go of what areas refer to, before they are freed.
pub fn release(areas: &Areas) {
    for area in areas.values() {
        gc::remove_root_range(area.as_ptr().cast());
    }
}

/// Memory for an area, in which nothing is yet.
fn allocate(table: &MethodTable) -> Result<Box<[u128]>> {
    let layout = runtime().types.statics(table.ty())?;
    let references = (layout.local_reference_size as usize).next_multiple_of(16);
    let words = (references + layout.local_data_size as usize).div_ceil(size_of::<u128>()) + 1;
    let memory = vec![0u128; words].into_boxed_slice();
    // SAFETY: zeroed, and removed before it is freed (`release`); only references are stored in its first part.
    unsafe { gc::add_root_range(memory.as_ptr().cast(), references / size_of::<usize>()) };
    Ok(memory)
}

/// Puts the boxes of value types with references in place.
fn fill_boxes(table: &MethodTable, area: usize) -> Result<()> {
    for &(offset, ty) in &runtime().types.statics(table.ty())?.local_boxed {
        let object = object::allocate(method_table(ty)?)?;
        // SAFETY: the layout's offsets lie in the area.
        unsafe { ((area + offset as usize) as *mut ObjectRef).write(object) };
    }
    Ok(())
}
