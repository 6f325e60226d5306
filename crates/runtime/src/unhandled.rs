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
        for frame in stack_trace::frames(exception) {
            text.push_str(&format!("\n  at {}", stack_trace::line(&frame)));
        }
    }
    text
}

/// Exit code after an exception that nothing handled.
const UNHANDLED: i32 = 1;

/// Reports an exception that nothing handles and ends the process with exit code 1.
pub fn report_and_exit(exception: ObjectRef) -> ! {
    report_and_exit_with(exception, UNHANDLED)
}

/// The same with another exit code.
pub fn report_and_exit_with(exception: ObjectRef, exit_code: i32) -> ! {
    begin_report();
    // A program with handlers of its own is left to report as it likes.
    let handled = icalls::app_domains::raise_unhandled_exception(exception);
    // After an overflow there is no room for managed code that is yet to be compiled.
    let overflow = exception.type_id() == runtime().types.well_known().stack_overflow_exception;
    let text = if overflow { describe_without_managed_code(exception) } else { describe(exception) };
    if !handled {
        write_unhandled(if overflow { "StackOverflowException" } else { &text });
    }
    report_end(&text);
    runtime().exit_at_once(exit_code)
}

/// Reports an exception that ends the process as an error of the program does not: no handler is asked, and the exit code stays.
pub fn report_quietly_and_exit(exception: ObjectRef) -> ! {
    begin_report();
    report_end(&describe(exception));
    runtime().exit_at_once(icalls::environment::exit_code())
}

fn begin_report() {
    if REPORTING.replace(true) {
        fatal("an exception was thrown while another one was reported");
    }
}

fn write_unhandled(text: &str) {
    // If standard error is gone there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("\nUnhandled Exception:\n{text}\n").as_bytes());
}

fn report_end(text: &str) {
    let _ = std::io::stderr().write_all(format!("[ERROR] FATAL UNHANDLED EXCEPTION: {text}\n").as_bytes());
}

/// `Environment.FailFast`: says so on standard output, as Mono does, and ends the process by SIGABRT. Nothing of the program runs any more
/// but `ToString` of the exception.
pub fn fail_fast(message: Option<&str>, exception: Option<ObjectRef>) -> ! {
    let text = match message {
        Some(message) => format!("CLR: Managed code called FailFast, saying \"{message}\"\n"),
        None => "CLR: Managed code called FailFast without specifying a reason.\n".to_owned(),
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    if let Some(exception) = exception {
        write_unhandled(&describe(exception));
    }
    // SAFETY: ends the process.
    unsafe { libc::abort() }
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
