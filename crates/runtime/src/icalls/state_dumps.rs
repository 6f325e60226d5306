//! `Mono.Runtime`: dumps of the process's state for reports of crashes, and the log of how far the making of such a dump has got.

use super::threads::{self, ThreadTrace};
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::object::{ObjectRef, StringRef};
use crate::runtime;
use crate::stack_trace;
use crate::state_dump::{self, DumpedException, StackHashes};
use parking_lot::Mutex;
use std::ffi::{CStr, OsStr, c_char};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

static INNER: KnownField = KnownField::new("System", "Exception", "_innerException");

/// How many exceptions within each other a dump shows.
const MAX_EXCEPTIONS: usize = 15;
/// Files that dumps with the same hash may have.
const MAX_FILES: usize = 10_000;

/// Stages of a dump (`Mono.Runtime.CrashReportLogLevel`).
#[derive(Clone, Copy)]
enum Stage {
    Setup = 1,
    Suspension = 2,
    ManagedStacks = 4,
    Writing = 5,
    Written = 6,
    CleaningUp = 9,
    Done = 10,
}
/// The last stage there is.
const LAST_STAGE: i32 = 11;

/// The folder in which empty files tell which stages dumps have reached.
static LOG: Mutex<Option<PathBuf>> = Mutex::new(None);

fn stage_file(folder: &Path, stage: i32) -> PathBuf {
    folder.join(format!("crash_stage_{stage}"))
}

fn log(stage: Stage) {
    if let Some(folder) = &*LOG.lock() {
        // A dump goes on where its progress cannot be noted.
        let _ = File::create(stage_file(folder, stage as i32));
    }
}

/// The path at a C string; `None` for a null pointer.
///
/// # Safety
/// The pointer is null or leads to a C string.
unsafe fn path_at(text: *const c_char) -> Option<PathBuf> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| PathBuf::from(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes())))
}

extern "C" fn enable_log(folder: *const c_char) {
    // SAFETY: the class library passes a C string or null.
    *LOG.lock() = unsafe { path_at(folder) };
}

extern "C" fn check_log(folder: *const c_char, clear: u8) -> i32 {
    // SAFETY: the class library passes a C string or null.
    let Some(folder) = (unsafe { path_at(folder) }) else { return 0 };
    let reached = (1..=LAST_STAGE).rev().find(|&stage| stage_file(&folder, stage).exists());
    if clear != 0 {
        (1..=LAST_STAGE).for_each(|stage| drop(fs::remove_file(stage_file(&folder, stage))));
    }
    reached.unwrap_or(0)
}

/// Stores the hashes that go with a dump.
fn store(hashes: StackHashes, portable: *mut u64, exact: *mut u64) {
    // SAFETY: compiled code passes the addresses of variables.
    unsafe {
        portable.write_unaligned(hashes.portable);
        exact.write_unaligned(hashes.exact);
    }
}

fn dump_threads(gather: impl FnOnce() -> Result<Vec<ThreadTrace>>, portable: *mut u64, exact: *mut u64) -> Result<StringRef> {
    let threads = gather()?;
    let own = threads.iter().find(|thread| thread.is_current());
    store(own.map(|thread| StackHashes::of(&thread.frames)).unwrap_or_default(), portable, exact);
    StringRef::new(&state_dump::of_threads(&threads))
}

extern "C" fn dump_current_thread(portable: *mut u64, exact: *mut u64) -> StringRef {
    raising(|| dump_threads(|| Ok(threads::own_trace()?.into_iter().collect()), portable, exact))
}

extern "C" fn dump_all_threads(portable: *mut u64, exact: *mut u64) -> StringRef {
    raising(|| {
        log(Stage::Setup);
        log(Stage::Suspension);
        let gather = || {
            let threads = threads::all_traces()?;
            log(Stage::ManagedStacks);
            log(Stage::Writing);
            Ok(threads)
        };
        let text = dump_threads(gather, portable, exact)?;
        [Stage::Written, Stage::CleaningUp, Stage::Done].into_iter().for_each(log);
        Ok(text)
    })
}

extern "C" fn dump_exception(exception: ObjectRef, portable: *mut u64, exact: *mut u64) -> StringRef {
    raising(|| {
        log(Stage::Setup);
        let mut exceptions = Vec::new();
        let mut next = exception.non_null();
        while let Some(exception) = next.filter(|_| exceptions.len() < MAX_EXCEPTIONS) {
            let class = runtime().types.reflection_name(exception.type_id());
            exceptions.push(DumpedException { class, frames: stack_trace::frames(exception) });
            next = INNER.get::<ObjectRef>(exception).non_null();
        }
        log(Stage::ManagedStacks);
        let hashes = StackHashes::of(exceptions.iter().flat_map(|exception| &exception.frames));
        store(hashes, portable, exact);
        log(Stage::Writing);
        let text = StringRef::new(&state_dump::of_exceptions(&exceptions, hashes))?;
        log(Stage::Written);
        Ok(text)
    })
}

extern "C" fn write_dump(text: *const c_char, portable: u64, _exact: u64) {
    if text.is_null() {
        return;
    }
    // SAFETY: the class library passes a C string.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let create = |number| File::options().write(true).create_new(true).open(format!("mono_crash.{portable:x}.{number}.json"));
    let exists = |file: &io::Result<File>| file.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists);
    let file = (0..MAX_FILES).map(create).find(|file| !exists(file));
    if let Some(Ok(mut file)) = file {
        // Whoever asks for the file is handling an error and does not expect another one.
        let _ = file.write_all(text);
    }
}

/// Frames of native code are not shown, whatever libraries they are of.
extern "C" fn report_library(_path: *const c_char, _name: *const c_char) {}

extern "C" fn report_all_libraries() {}

/// As under Mono, no addresses of native code are kept.
extern "C" fn native_stack_trace(exception: ObjectRef) -> StringRef {
    raising(|| exception.argument("exception").and_then(|_| StringRef::new("")))
}

/// Nothing is reported to anybody but the program.
extern "C" fn no_telemetry() {
    raising(|| {
        let message = "Merp support is currently only supported on OSX.";
        Err::<(), _>(Exception::new("System", "PlatformNotSupportedException", message))
    });
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Mono.Runtime:AnnotateMicrosoftTelemetry_internal", no_telemetry as *const ()),
    icall("Mono.Runtime:CheckCrashReportLog_internal", check_log as *const ()),
    icall("Mono.Runtime:DisableMicrosoftTelemetry ()", no_telemetry as *const ()),
    icall("Mono.Runtime:DumpStateSingle_internal", dump_current_thread as *const ()),
    icall("Mono.Runtime:DumpStateTotal_internal", dump_all_threads as *const ()),
    icall("Mono.Runtime:EnableCrashReportLog_internal", enable_log as *const ()),
    icall("Mono.Runtime:EnableMicrosoftTelemetry_internal", no_telemetry as *const ()),
    icall("Mono.Runtime:ExceptionToState_internal", dump_exception as *const ()),
    icall("Mono.Runtime:GetNativeStackTrace", native_stack_trace as *const ()),
    icall("Mono.Runtime:RegisterReportingForAllNativeLibs_internal ()", report_all_libraries as *const ()),
    icall("Mono.Runtime:RegisterReportingForNativeLib_internal", report_library as *const ()),
    icall("Mono.Runtime:SendMicrosoftTelemetry_internal", no_telemetry as *const ()),
    icall("Mono.Runtime:WriteStateToFile_internal", write_dump as *const ()),
];
