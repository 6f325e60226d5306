//! What all threads are doing: their stacks, as `Thread.Mono_GetStackTraces` gives them.

use super::{ATTACHED, INTERNAL, Record, class, current_record, current_thread, names, new_thread};
use crate::domain;
use crate::exceptions::Result;
use crate::icalls::{raising, store_out};
use crate::inspection;
use crate::object::{ArrayRef, ObjectRef};
use crate::stack_trace::{self, TracedFrame};
use crate::thread::{ROOT_MANAGED_THREAD, Thread};
use std::sync::{Arc, Weak};

/// A thread and its frames.
pub struct ThreadTrace {
    /// `Thread.Name`; empty for none.
    pub name: String,
    /// The runtime's structure of it, and the C library's.
    pub addresses: (usize, usize),
    /// Its managed frames, the innermost first.
    pub frames: Vec<TracedFrame>,
}

impl ThreadTrace {
    /// Whether it is the thread that asks.
    pub fn is_current(&self) -> bool {
        self.addresses.0 == std::ptr::from_ref(&*Thread::current()) as usize
    }
}

/// What a look at a thread finds.
enum Sight {
    /// It is in another application domain.
    Elsewhere,
    /// No object stands for it yet.
    Unnamed,
    Seen(ObjectRef, (usize, usize), Vec<usize>),
}

/// Looks at a thread, and gives its `Thread` object, too; `None` if it has ended, does not stand still, or is in another domain.
fn trace_of(record: &Arc<Record>) -> Result<Option<(ObjectRef, ThreadTrace)>> {
    let own_domain = domain::current();
    let mut new = ObjectRef::NULL;
    loop {
        let sight = inspection::look_at(&record.abortable, |thread, addresses| {
            if thread.domain.id != own_domain.id {
                return Sight::Elsewhere;
            }
            if thread.root(ROOT_MANAGED_THREAD).is_null() {
                if new.is_null() {
                    return Sight::Unnamed;
                }
                thread.set_root(ROOT_MANAGED_THREAD, new);
            }
            let places = (std::ptr::from_ref(thread) as usize, thread.shared_heap().native_thread() as usize);
            Sight::Seen(thread.root(ROOT_MANAGED_THREAD), places, addresses)
        });
        match sight {
            Some(Sight::Seen(thread, places, frames)) => {
                let name = names::name_of(INTERNAL.get(thread)).map_or_else(String::new, |name| String::from_utf16_lossy(&name));
                let frames = frames.into_iter().flat_map(stack_trace::frames_at);
                let frames = frames.filter(|frame| !stack_trace::is_hidden(frame.method)).collect();
                return Ok(Some((thread, ThreadTrace { name, addresses: places, frames })));
            }
            Some(Sight::Unnamed) => new = new_thread(record.clone())?,
            Some(Sight::Elsewhere) | None => return Ok(None),
        }
    }
}

/// The current thread.
pub fn own_trace() -> Result<Option<ThreadTrace>> {
    current_thread()?;
    Ok(trace_of(&current_record())?.map(|(_, trace)| trace))
}

/// The threads of the current domain.
pub fn all_traces() -> Result<Vec<ThreadTrace>> {
    let mut traces = Vec::new();
    for_each_trace(|_, trace| {
        traces.push(trace);
        Ok(())
    })?;
    Ok(traces)
}

/// Gives `each` the `Thread` objects of the current domain, one by one, with what the threads are doing.
fn for_each_trace(mut each: impl FnMut(ObjectRef, ThreadTrace) -> Result<()>) -> Result<()> {
    let records: Vec<Arc<Record>> = ATTACHED.lock().iter().filter_map(Weak::upgrade).collect();
    for record in records {
        if let Some((thread, trace)) = trace_of(&record)? {
            each(thread, trace)?;
        }
    }
    Ok(())
}

/// An array with one more element.
fn with_element(array: ArrayRef, element: ObjectRef) -> Result<ArrayRef> {
    let longer = ArrayRef::new(array.element_type(), array.len() + 1)?;
    (0..array.len()).for_each(|index| longer.set_ref(index, array.get_ref(index)));
    longer.set_ref(array.len(), element);
    Ok(longer)
}

pub(super) extern "C" fn stack_traces(threads: *mut ObjectRef, stacks: *mut ObjectRef) {
    raising(|| {
        let mut found = ArrayRef::new(class("Thread")?, 0)?;
        let mut frames = ArrayRef::new(il::types::TypeId::OBJECT, 0)?;
        for_each_trace(|thread, trace| {
            found = with_element(found, thread)?;
            frames = with_element(frames, stack_trace::frame_objects(&trace.frames, 0, true)?.object())?;
            Ok(())
        })?;
        store_out(threads, found.object());
        store_out(stacks, frames.object());
        Ok(())
    });
}
