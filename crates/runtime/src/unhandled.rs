//! The ends of a process: unhandled exceptions, as Mono reports them, and errors of the runtime itself.

use crate::exceptions;
use crate::fields::KnownField;
use crate::invoke;
use crate::object::{ObjectRef, StringRef};
use crate::{icalls, runtime, stack_trace};
use il::types::TypeId;
use std::cell::Cell;
use std::io::Write;

thread_local! {
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// The text of `ToString`, or as much of it as can be had if that fails.
pub fn describe(exception: ObjectRef) -> String {
    let types = &runtime().types;
    let text = types
        .find_method(TypeId::OBJECT, "ToString", Some(&[]))
        .map_err(exceptions::Exception::from)
        .and_then(|method| method.ok_or_else(|| exceptions::Exception::engine("object has no ToString")))
        .and_then(|method| invoke::call_virtual(method, exception, &[]))
        .map(|result: usize| {
            // SAFETY: the result of `ToString` is a string or null.
            let text = unsafe { StringRef::from_object(ObjectRef::from_raw(result as *mut _)) };
            text.text()
        });
    text.unwrap_or_else(|_| describe_without_managed_code(exception))
}

static MESSAGE: KnownField = KnownField::new("System", "Exception", "_message");
static INNER: KnownField = KnownField::new("System", "Exception", "_innerException");

/// What `ToString` would say, for when it cannot run.
fn describe_without_managed_code(exception: ObjectRef) -> String {
    let mut text = exceptions::class_name(exception);
    if exceptions::is_exception(exception) {
        if let Some(message) = MESSAGE.get::<ObjectRef>(exception).as_string() {
            text.push_str(&format!(": {}", message.text()));
        }
        if let Some(inner) = INNER.get::<ObjectRef>(exception).non_null() {
            let inner = describe_without_managed_code(inner);
            text.push_str(&format!(" ---> {inner}\n  --- End of inner exception stack trace ---"));
        }
        for frame in stack_trace::addresses(exception).into_iter().filter_map(stack_trace::frame_at) {
            text.push_str(&format!("\n  at {}", stack_trace::line(&frame)));
        }
    }
    text
}

/// Reports an exception that nothing handles and ends the process with exit code 1.
pub fn report_and_exit(exception: ObjectRef) -> ! {
    if REPORTING.replace(true) {
        fatal("an exception was thrown while another one was reported");
    }
    // A program with handlers of its own is left to report as it likes.
    let handled = icalls::app_domains::raise_unhandled_exception(exception).unwrap_or(false);
    // After an overflow there is no room for managed code that is yet to be compiled.
    let overflow = exception.type_id() == runtime().types.well_known().stack_overflow_exception;
    let text = if overflow { describe_without_managed_code(exception) } else { describe(exception) };
    let shown = if overflow { "StackOverflowException" } else { &text };
    let mut out = std::io::stderr().lock();
    if !handled {
        // If standard error is gone there is nobody to tell.
        let _ = write!(out, "\nUnhandled Exception:\n{shown}\n");
    }
    let _ = writeln!(out, "[ERROR] FATAL UNHANDLED EXCEPTION: {text}");
    let _ = out.flush();
    drop(out);
    runtime().exit_at_once(1)
}

/// Ends the process because of an error of the runtime itself, with exit code 1.
pub fn fatal(message: &str) -> ! {
    let _ = writeln!(std::io::stderr(), "saki: internal error: {message}");
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(1) }
}

/// From here on a panic ends the process as [`fatal`] does, unless it is one in a guarded compilation: no frame of managed code could be
/// unwound for it. To be called before anything is compiled.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = compiler::guard::describe(info);
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            let _ = writeln!(std::io::stderr(), "{}", std::backtrace::Backtrace::force_capture());
        }
        fatal(&message)
    }));
}
