//! Class initialisers (ECMA-335 II.10.5.3): each runs once, before what needs it; a thread that finds one running on another thread
//! waits, unless that would be a deadlock; a failed one fails again with the same exception.

use crate::exceptions::{self, Exception, Result};
use crate::icalls::threads;
use crate::method_table::{MethodTable, ensure_statics, method_table};
use crate::object::ObjectRef;
use crate::{abort, invoke, roots, runtime};
use compiler::abi::method_table_flags as flags;
use il::types::AssemblyId;
use parking_lot::{Condvar, Mutex};
use std::thread::ThreadId;

/// State of a class's initialiser.
pub struct Initializer {
    state: Mutex<State>,
}

enum State {
    /// Has not run.
    Waiting,
    /// Runs on this thread.
    Running(ThreadId),
    /// Ran, or there is none.
    Done,
    /// Threw: the slot holds the `TypeInitializationException`.
    Failed(usize),
}

/// Which thread waits for which: by this a cycle is found.
static WAITING: Mutex<Vec<(ThreadId, ThreadId)>> = Mutex::new(Vec::new());
static FINISHED: Condvar = Condvar::new();
static FINISHED_LOCK: Mutex<()> = Mutex::new(());

impl Initializer {
    /// The state of a fresh class.
    pub fn new(has_initializer: bool) -> Initializer {
        Initializer { state: Mutex::new(if has_initializer { State::Waiting } else { State::Done }) }
    }
}

/// Runs the class initialiser if it has not run. Says whether it is done; it is not if this very thread runs it further out.
pub fn ensure_initialized(table: &'static MethodTable) -> Result<bool> {
    if table.has(flags::INITIALIZED) {
        return Ok(true);
    }
    initialize(table)
}

#[cold]
fn initialize(table: &'static MethodTable) -> Result<bool> {
    ensure_statics(table)?;
    let own = std::thread::current().id();
    let initializer = &table.class().initializer;
    loop {
        let mut state = initializer.state.lock();
        match *state {
            State::Done => {
                table.set(flags::INITIALIZED);
                return Ok(true);
            }
            // SAFETY: the slot was made by `roots::keep`.
            State::Failed(slot) => return Err(Exception::from_object(unsafe { *(slot as *const ObjectRef) })),
            State::Running(owner) if owner == own => return Ok(false),
            State::Running(owner) => {
                drop(state);
                if would_deadlock(own, owner) {
                    return Ok(false);
                }
                wait(own, owner, initializer);
            }
            State::Waiting => {
                *state = State::Running(own);
                drop(state);
                let outcome = run(table);
                let mut state = initializer.state.lock();
                let result = match outcome {
                    Ok(()) => {
                        *state = State::Done;
                        table.set(flags::INITIALIZED);
                        abort::check().map(|()| true)
                    }
                    Err(Failure { exception, raised }) => {
                        *state = State::Failed(roots::keep(exception) as usize);
                        Err(Exception::from_object(raised))
                    }
                };
                drop(state);
                let _guard = FINISHED_LOCK.lock();
                FINISHED.notify_all();
                return result;
            }
        }
    }
}

/// What a class initialiser that threw leaves.
struct Failure {
    /// What is raised whenever the class is needed again.
    exception: ObjectRef,
    /// What is raised now: the same, unless the initialiser aborted its thread.
    raised: ObjectRef,
}

/// Runs a module's initialiser, the global `.cctor`, if it has not run.
pub fn ensure_module_initialized(assembly: AssemblyId) -> Result<()> {
    let global = runtime().types.type_definition(assembly, 1);
    ensure_initialized(method_table(global)?).map(|_| ())
}

fn run(table: &'static MethodTable) -> std::result::Result<(), Failure> {
    // The module's initialiser comes before those of its classes.
    match runtime().types.definition_of(table.ty()) {
        Some((assembly, row)) if row != 1 => {
            ensure_module_initialized(assembly).map_err(|exception| {
                let exception = exception.into_object();
                Failure { exception, raised: exception }
            })?;
        }
        _ => {}
    }
    let outcome = runtime().types.class_initializer(table.ty());
    let called = match outcome {
        Ok(Some(initializer)) => invoke::call(initializer, &[]).map(|_| ()),
        Ok(None) => Ok(()),
        Err(error) => Err(error.into()),
    };
    called.map_err(|exception| {
        let inner = exception.into_object();
        let exception = exceptions::type_initialization(table.ty(), inner).unwrap_or_else(Exception::into_object);
        Failure { exception, raised: if threads::is_abort(inner) { inner } else { exception } }
    })
}

fn would_deadlock(own: ThreadId, owner: ThreadId) -> bool {
    let waiting = WAITING.lock();
    let mut current = owner;
    while let Some(&(_, next)) = waiting.iter().find(|(waiter, _)| *waiter == current) {
        if next == own {
            return true;
        }
        current = next;
    }
    false
}

fn wait(own: ThreadId, owner: ThreadId, initializer: &Initializer) {
    WAITING.lock().push((own, owner));
    let heap = crate::thread::Thread::current().heap();
    heap.enter_native();
    let mut guard = FINISHED_LOCK.lock();
    while matches!(*initializer.state.lock(), State::Running(_)) {
        FINISHED.wait(&mut guard);
    }
    drop(guard);
    heap.leave_native();
    WAITING.lock().retain(|(waiter, _)| *waiter != own);
}
