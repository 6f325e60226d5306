//! Looking at the stacks of other threads: each is suspended for as long as it takes to note its frames.

use crate::abort::{self, Abortable};
use crate::gc::Suspender;
use crate::runtime;
use crate::stack_walk::{Step, Walk};
use crate::thread::{Thread, in_native_code};
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long it takes at most until a thread that is suspended is asked again whether it stands.
const PAUSE: Duration = Duration::from_micros(50);
/// How long a thread is waited for that stays in the runtime, say to compile something.
const PATIENCE: Duration = Duration::from_secs(1);

/// Held by the thread that looks at others: two that suspended each other would stand for ever.
static INSPECTOR: Mutex<()> = Mutex::new(());

/// A walk over the frames of a thread, which stands; `None` where its innermost frame is not whole.
fn walk(thread: &Thread) -> Option<Walk> {
    let Some((pc, fp, sp)) = thread.shared_heap().interrupted_registers() else { return Some(Walk::from_runtime(thread)) };
    let code = runtime().code_map.find(pc)?;
    abort::has_frame(thread, code, pc, fp, sp).then(|| Walk::from_fault(thread, code, pc, fp, sp))
}

/// Addresses of frames as traces keep them.
fn addresses(walk: Walk) -> Vec<usize> {
    let frames = walk.filter_map(|step| match step {
        Step::Frame(frame) => Some(frame.trace_address()),
        Step::Entry { .. } => None,
    });
    frames.collect()
}

/// Suspends a thread, lets `look` see it and the addresses of its frames while it stands, and resumes it. `None` if it has not begun or has ended,
/// or does not stand in time. `look` allocates no objects: others may wait for the lock under which it runs. Called between other things
/// that the runtime does, not in native code, so that no collection runs beside `look`.
pub fn look_at<T>(thread: &Abortable, mut look: impl FnMut(&Thread, Vec<usize>) -> T) -> Option<T> {
    let own = std::ptr::from_ref(&*Thread::current());
    if thread.with_thread(|thread| std::ptr::eq(thread, own))? {
        return thread.with_thread(|thread| look(thread, addresses(Walk::from_runtime(thread))));
    }
    let _guard = in_native_code(|| INSPECTOR.lock());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = thread.with_thread(|thread| {
            thread.shared_heap().suspend(Suspender::Inspection);
            // SAFETY: the thread does not end while this looks at it.
            if !unsafe { thread.shared_heap().is_standing() } {
                return None;
            }
            let found = walk(thread).map(|walk| look(thread, addresses(walk)));
            thread.shared_heap().resume(Suspender::Inspection);
            found
        })?;
        if found.is_some() {
            return found;
        }
        if Instant::now() > deadline {
            thread.with_thread(|thread| thread.shared_heap().resume(Suspender::Inspection));
            return None;
        }
        in_native_code(|| std::thread::sleep(PAUSE));
    }
}
