//! What all threads are doing: their stacks, as `Thread.Mono_GetStackTraces` gives them.

use super::{ATTACHED, INTERNAL, MANAGED_ID, Record, new_thread};
use crate::exceptions::Result;
use crate::icalls::{raising, store_out};
use crate::inspection;
use crate::object::{ArrayRef, ObjectRef};
use crate::stack_trace::{self, TracedFrame};
use crate::thread::ROOT_MANAGED_THREAD;
use crate::{domain, exceptions, runtime};
use std::sync::{Arc, Weak};

/// A thread and its frames.
pub struct ThreadTrace {
    /// Its `Thread` object.
    pub thread: ObjectRef,
    /// Its managed frames, the innermost first.
    pub frames: Vec<TracedFrame>,
}

impl ThreadTrace {
    /// `Thread.ManagedThreadId`
    pub fn number(&self) -> i32 {
        MANAGED_ID.get(INTERNAL.get::<ObjectRef>(self.thread))
    }
}

/// What a look at a thread finds.
enum Sight {
    /// It is in another application domain.
    Elsewhere,
    /// No object stands for it yet.
    Unnamed,
    Seen(ObjectRef, Vec<usize>),
}

/// Looks at a thread; `None` if it has ended, does not stand still, or is in another domain.
fn trace_of(record: &Arc<Record>) -> Result<Option<ThreadTrace>> {
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
            Sight::Seen(thread.root(ROOT_MANAGED_THREAD), addresses)
        });
        match sight {
            Some(Sight::Seen(thread, addresses)) => {
                let frames = addresses.into_iter().flat_map(stack_trace::frames_at);
                let frames = frames.filter(|frame| !stack_trace::is_hidden(frame.method)).collect();
                return Ok(Some(ThreadTrace { thread, frames }));
            }
            Some(Sight::Unnamed) => new = new_thread(record.clone())?,
            Some(Sight::Elsewhere) | None => return Ok(None),
        }
    }
}

/// Gives `each` the threads of the current domain, one by one.
pub fn thread_traces(mut each: impl FnMut(ThreadTrace) -> Result<()>) -> Result<()> {
    let records: Vec<Arc<Record>> = {
        let mut attached = ATTACHED.lock();
        attached.retain(|record| record.strong_count() != 0);
        attached.iter().filter_map(Weak::upgrade).collect()
    };
    for record in records {
        if let Some(trace) = trace_of(&record)? {
            each(trace)?;
        }
    }
    Ok(())
}

fn class(namespace: &str, name: &str) -> Result<il::types::TypeId> {
    let types = &runtime().types;
    let found = types.find_type(types.corlib(), namespace, name)?;
    found.ok_or_else(|| exceptions::Exception::engine(format!("the core library lacks {namespace}.{name}")))
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
        let mut found = ArrayRef::new(class("System.Threading", "Thread")?, 0)?;
        let mut frames = ArrayRef::new(il::types::TypeId::OBJECT, 0)?;
        thread_traces(|trace| {
            found = with_element(found, trace.thread)?;
            frames = with_element(frames, stack_trace::frame_objects(&trace.frames, 0, true)?.object())?;
            Ok(())
        })?;
        store_out(threads, found.object());
        store_out(stacks, frames.object());
        Ok(())
    });
}
