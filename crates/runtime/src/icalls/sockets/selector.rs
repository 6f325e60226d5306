//! `System.IOSelector`: one thread waits for all sockets with asynchronous operations, and puts the jobs of those that are ready into the
//! thread pool's queue.

use crate::domain::{self, Domain, DomainState};
use crate::exceptions::{Exception, Result};
use crate::gc::{self, HandleKind};
use crate::icalls::native_text::blocking;
use crate::icalls::thread_pool::QUEUE_WORK_ITEM;
use crate::icalls::{raising, threads};
use crate::invoke::{self, Argument};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use il::types::MethodId;
use parking_lot::Mutex;

/// Bits of `System.IOOperation`.
const READ: i32 = 1;
const WRITE: i32 = 2;

/// An operation that waits for its socket.
struct Job {
    socket: i32,
    operation: i32,
    /// Handle that keeps the `IOSelectorJob`.
    job: usize,
    domain: &'static Domain,
}

struct Selector {
    jobs: Vec<Job>,
    /// Jobs whose time has come.
    ready: Vec<Job>,
    /// An event descriptor that wakes the thread; none before the thread runs.
    wake: Option<i32>,
}

static SELECTOR: Mutex<Selector> = Mutex::new(Selector { jobs: Vec::new(), ready: Vec::new(), wake: None });

impl Selector {
    /// Starts the thread if need be.
    fn start(&mut self) -> Result<()> {
        if self.wake.is_some() {
            return Ok(());
        }
        // SAFETY: no memory is involved.
        let wake = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if wake < 0 || !threads::spawn(0, move || run(wake)) {
            return Err(Exception::engine("no thread for asynchronous operations of sockets"));
        }
        self.wake = Some(wake);
        Ok(())
    }

    fn wake(&self) {
        let one = 1u64;
        if let Some(wake) = self.wake {
            // SAFETY: eight bytes. A full counter wakes, too.
            unsafe { libc::write(wake, (&raw const one).cast(), size_of::<u64>()) };
        }
    }

    /// Makes the first job of each socket and operation that fits its events ready.
    fn take_ready(&mut self, polls: &[libc::pollfd]) {
        const FAILED: i16 = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        for poll in polls.iter().filter(|poll| poll.revents != 0) {
            for (operation, event) in [(READ, libc::POLLIN), (WRITE, libc::POLLOUT)] {
                if poll.revents & (event | FAILED) == 0 {
                    continue;
                }
                let fits = |job: &Job| job.socket == poll.fd && job.operation & operation != 0;
                if let Some(index) = self.jobs.iter().position(fits) {
                    let job = self.jobs.remove(index);
                    self.ready.push(job);
                }
            }
        }
    }

    /// What to wait for: each socket once, and the waker first.
    fn polls(&self, wake: i32) -> Vec<libc::pollfd> {
        let mut polls = vec![libc::pollfd { fd: wake, events: libc::POLLIN, revents: 0 }];
        for job in &self.jobs {
            let events = if job.operation & READ != 0 { libc::POLLIN } else { 0 }
                | if job.operation & WRITE != 0 { libc::POLLOUT } else { 0 };
            match polls.iter_mut().skip(1).find(|poll| poll.fd == job.socket) {
                Some(poll) => poll.events |= events,
                None => polls.push(libc::pollfd { fd: job.socket, events, revents: 0 }),
            }
        }
        polls
    }
}

/// The thread.
fn run(wake: i32) {
    let queue = match threads::become_background().and_then(|_| QUEUE_WORK_ITEM.id()) {
        Ok(queue) => queue,
        Err(exception) => return threads::end_with(exception),
    };
    loop {
        let mut polls = SELECTOR.lock().polls(wake);
        // SAFETY: so many structures, and room for a number.
        blocking(|| unsafe {
            libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, -1);
            let mut count = 0u64;
            libc::read(wake, (&raw mut count).cast(), size_of::<u64>());
        });
        let ready = {
            let mut selector = SELECTOR.lock();
            selector.take_ready(&polls[1..]);
            std::mem::take(&mut selector.ready)
        };
        for job in ready {
            dispatch(&job, queue);
            gc::free_handle(job.job);
        }
    }
}

/// Puts a job into the queue of its domain, unless that is gone.
fn dispatch(job: &Job, queue: MethodId) {
    if job.domain.state() != DomainState::Live {
        return;
    }
    domain::enter(job.domain, || {
        // SAFETY: the handle holds an object.
        let item = unsafe { ObjectRef::from_raw(gc::handle_target(job.job).cast()) };
        if let Err(exception) = invoke::call(queue, &[Argument::reference(item), Argument::integer(0)]) {
            threads::end_with(exception);
        }
    });
}

pub(super) extern "C" fn add(socket: isize, job: ObjectRef) {
    raising(|| {
        let operation = Fields::of(job)?.int("operation")?;
        let handle = gc::allocate_handle(job.raw().cast(), HandleKind::Normal);
        let mut selector = SELECTOR.lock();
        selector.start()?;
        selector.jobs.push(Job { socket: socket as i32, operation, job: handle, domain: domain::current() });
        selector.wake();
        Ok(())
    })
}

/// The socket is about to be closed: all its jobs run, and find it so.
pub(super) extern "C" fn remove(socket: isize) {
    let mut selector = SELECTOR.lock();
    let (removed, kept) = std::mem::take(&mut selector.jobs).into_iter().partition(|job: &Job| job.socket == socket as i32);
    selector.jobs = kept;
    let removed: Vec<Job> = removed;
    selector.ready.extend(removed);
    selector.wake();
}
