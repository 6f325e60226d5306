//! `System.Diagnostics.Process`: starting, watching and ending other processes. Handles are those of [`super::wait_handles`]; facts about
//! processes come from `/proc`.

use super::native_text::blocking;
use super::wait_handles::{self, ProcessState};
use super::{InternalCall, icall, io_errors, raising};
use crate::class_library::class_in;
use crate::exceptions::{Exception, Result};
use crate::named_fields::{Fields, offset_of};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::runtime;
use il::types::TypeId;
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Exit code of a process that runs (Windows's `STILL_ACTIVE`).
const STILL_ACTIVE: i32 = 259;
/// Added to the number of the signal that ended a process.
const SIGNALLED: i32 = 128;

/// What a program is started with.
struct Start {
    file: String,
    arguments: String,
    directory: String,
    /// `NAME=value`; `None` leaves the environment as it is.
    environment: Option<Vec<String>>,
    /// Descriptors for the standard streams; `None` leaves them as they are.
    streams: Option<[isize; 3]>,
}

/// The structure `Process.ProcInfo` of the library to which `start_info` belongs.
fn information_type(start_info: ObjectRef) -> Result<TypeId> {
    let types = &runtime().types;
    let missing = || Exception::engine("the class library has no System.Diagnostics.Process.ProcInfo");
    let (assembly, _) = types.definition_of(start_info.type_id()).ok_or_else(missing)?;
    let process = class_in(assembly, "System.Diagnostics", "Process")?;
    types.nested_type(process, "ProcInfo").ok_or_else(missing)
}

/// Starts what `start_info` describes and fills `information`; an error's number goes into its field for the process's number, negated.
fn start(start_info: ObjectRef, streams: Option<[isize; 3]>, information: *mut u8) -> Result<bool> {
    let start_info = start_info.argument("startInfo")?;
    let structure = information_type(start_info)?;
    let offsets = [offset_of(structure, "process_handle")?, offset_of(structure, "pid")?, offset_of(structure, "envVariables")?];
    let [handle_at, number_at, environment_at] = offsets.map(|offset| information.wrapping_add(offset as usize));
    // SAFETY: a field of the caller's structure, which is an array of strings.
    let environment: ObjectRef = unsafe { environment_at.cast::<ObjectRef>().read() };
    let texts =
        |array: ArrayRef| (0..array.len()).filter_map(|index| array.get_ref(index).as_string().map(StringRef::text)).collect();
    let settings = Fields::of(start_info)?;
    let request = Start {
        file: settings.text("fileName")?,
        arguments: settings.text("arguments")?,
        directory: settings.text("directory")?,
        environment: environment.as_array().map(texts),
        streams,
    };
    let started = launch(&request);
    let (handle, number) = started.unwrap_or_else(|error| (0, -error));
    // SAFETY: fields of the caller's structure.
    unsafe {
        handle_at.cast::<isize>().write(handle);
        number_at.cast::<i32>().write(number);
    }
    Ok(started.is_ok())
}

/// Starts a program; gives its handle and number, or an error number of Windows.
fn launch(request: &Start) -> std::result::Result<(isize, i32), i32> {
    let mut words = shlex::split(&request.arguments).ok_or(io_errors::INVALID_PARAMETER)?;
    let mut program = find_program(&request.file).ok_or(io_errors::FILE_NOT_FOUND)?;
    if is_assembly(&program) {
        words.insert(0, program.to_string_lossy().into_owned());
        program = std::env::current_exe().map_err(|_| io_errors::FILE_NOT_FOUND)?;
    }
    let mut command = Command::new(&program);
    command.args(words);
    if program.file_name() == Path::new(&request.file).file_name() {
        command.arg0(&request.file);
    }
    if !request.directory.is_empty() {
        command.current_dir(&request.directory);
    }
    if let Some(environment) = &request.environment {
        command.env_clear().envs(environment.iter().filter_map(|entry| entry.split_once('=')));
    }
    if let Some([input, output, error]) = request.streams {
        command.stdin(stream(input)?).stdout(stream(output)?).stderr(stream(error)?);
    }
    let mut child =
        blocking(|| command.spawn()).map_err(|error| io_errors::of_errno(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let number = child.id() as i32;
    let (handle, watched) = wait_handles::create_process(number, ProcessState::Running);
    // One thread for each child waits for its end.
    let watch = move || {
        let code = child.wait().map_or(-1, exit_code);
        wait_handles::process_ended(&watched, code);
    };
    match std::thread::Builder::new().name("child process".to_owned()).stack_size(128 << 10).spawn(watch) {
        Ok(_) => Ok((handle, number)),
        Err(_) => Err(io_errors::INVALID_HANDLE),
    }
}

/// A copy of a descriptor for a child, which closes it when the child has started.
fn stream(descriptor: isize) -> std::result::Result<Stdio, i32> {
    let descriptor = i32::try_from(descriptor).ok().filter(|descriptor| *descriptor >= 0).ok_or(io_errors::INVALID_HANDLE)?;
    // SAFETY: the caller keeps it open during this call; one that is closed already makes the copy fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let copy: OwnedFd = borrowed.try_clone_to_owned().map_err(|_| io_errors::INVALID_HANDLE)?;
    Ok(Stdio::from(copy))
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal)).unwrap_or(-1)
}

/// The file that a name means: a path as it is, a plain name here or along `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_file() {
        return fs::canonicalize(&direct).ok().filter(|_| direct.is_relative()).or(Some(direct));
    }
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// Whether a file is a CIL program, which runs under this runtime as its parent does.
fn is_assembly(path: &Path) -> bool {
    il::assembly::Assembly::open(path).is_ok()
}

extern "C" fn create_process(start_info: ObjectRef, input: isize, output: isize, error: isize, information: *mut u8) -> bool {
    raising(|| start(start_info, Some([input, output, error]), information))
}

extern "C" fn shell_execute(start_info: ObjectRef, information: *mut u8) -> bool {
    raising(|| start(start_info, None, information))
}

/// The process of a handle.
pub(super) fn number_of(handle: isize) -> Option<i32> {
    wait_handles::process_of(handle).map(|(number, _)| number)
}

extern "C" fn current_process() -> isize {
    open_process(std::process::id() as i32)
}

extern "C" fn close_process(handle: isize) -> bool {
    wait_handles::close_handle(handle);
    true
}

extern "C" fn exit_code_of(handle: isize, code: *mut i32) -> bool {
    let process = wait_handles::process_of(handle);
    let value = match process {
        Some((_, ProcessState::Ended(value))) => value,
        Some((number, ProcessState::Foreign)) if !wait_handles::is_process_alive(number) => -1,
        _ => STILL_ACTIVE,
    };
    // SAFETY: the address of the caller's variable.
    unsafe { code.write(value) };
    process.is_some()
}

extern "C" fn terminate_process(handle: isize, code: i32) -> bool {
    let signal = if code == -1 { libc::SIGKILL } else { libc::SIGTERM };
    // SAFETY: no memory is involved.
    number_of(handle).is_some_and(|number| unsafe { libc::kill(number, signal) } == 0)
}

extern "C" fn open_process(number: i32) -> isize {
    if number > 0 && wait_handles::is_process_alive(number) {
        wait_handles::create_process(number, ProcessState::Foreign).0
    } else {
        0
    }
}

extern "C" fn all_processes() -> ArrayRef {
    raising(|| {
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let numbers: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        let array = ArrayRef::new(TypeId::I4, numbers.len())?;
        // SAFETY: a new array of so many integers.
        unsafe { array.slice_mut::<i32>() }.copy_from_slice(&numbers);
        Ok(array)
    })
}

extern "C" fn process_name(handle: isize) -> StringRef {
    raising(|| {
        let Some(number) = number_of(handle) else { return Ok(StringRef::NULL) };
        let program = fs::read_link(format!("/proc/{number}/exe")).ok();
        let file_name = program.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        let name = file_name.or_else(|| Some(fs::read_to_string(format!("/proc/{number}/comm")).ok()?.trim_end().to_owned()));
        name.map_or(Ok(StringRef::NULL), |name| StringRef::new(&name))
    })
}

/// Columns of `/proc/PID/stat` after the name, from 0.
const STAT_PARENT: usize = 1;
const STAT_USER_TIME: usize = 11;
const STAT_SYSTEM_TIME: usize = 12;
const STAT_START_TIME: usize = 19;

fn stat_column(number: i32, column: usize) -> Option<i64> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(column)?.parse().ok()
}

/// A line of `/proc/PID/status`.
fn status_line(number: i32, name: &str) -> Option<i64> {
    value_of_line(&format!("/proc/{number}/status"), name)
}

/// A line `NAME: VALUE` of a file of the system's, in bytes or as a number.
pub(super) fn value_of_line(file: &str, name: &str) -> Option<i64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let mut words = line.split_whitespace();
    let value: i64 = words.next()?.parse().ok()?;
    Some(if words.next() == Some("kB") { value << 10 } else { value })
}

/// The length of a clock tick in units of 100 ns.
fn tick() -> i64 {
    // SAFETY: no memory is involved.
    10_000_000 / unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as i64
}

/// Finds a fact about the process with a number.
type FindFact = fn(i32) -> Option<i64>;

/// What `GetProcessData` is asked for, with how to find it.
const DATA: &[(i32, FindFact)] = &[
    (0, |number| status_line(number, "Threads")),
    (1, |number| Some(stat_column(number, STAT_USER_TIME)? * tick())),
    (2, |number| Some(stat_column(number, STAT_SYSTEM_TIME)? * tick())),
    (3, |number| Some((stat_column(number, STAT_USER_TIME)? + stat_column(number, STAT_SYSTEM_TIME)?) * tick())),
    (4, |number| status_line(number, "VmRSS")),
    (5, |number| status_line(number, "VmHWM")),
    (6, |number| status_line(number, "VmData")),
    (7, |number| status_line(number, "VmSize")),
    (8, |number| status_line(number, "VmPeak")),
    (9, |number| stat_column(number, 9)),
    (10, |number| stat_column(number, STAT_START_TIME).map(|ticks| ticks * tick())),
    (11, |number| stat_column(number, STAT_PARENT)),
    (12, |number| status_line(number, "VmSwap")),
];

extern "C" fn process_data(number: i32, data: i32, error: *mut i32) -> i64 {
    let value = DATA.iter().find(|(known, _)| *known == data).and_then(|(_, find)| find(number));
    super::files::set_error(error, if value.is_some() { 0 } else { 1 });
    value.unwrap_or(0)
}

/// Seconds from 1601, when file times begin, to 1970.
const SECONDS_TO_UNIX: i64 = 11_644_473_600;

extern "C" fn process_times(handle: isize, creation: *mut i64, exit: *mut i64, kernel: *mut i64, user: *mut i64) -> bool {
    let Some(number) = number_of(handle) else { return false };
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot: i64 = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
    let start = stat_column(number, STAT_START_TIME).unwrap_or(0) * tick();
    // SAFETY: addresses of the caller's variables.
    unsafe {
        creation.write((SECONDS_TO_UNIX + boot) * 10_000_000 + start);
        exit.write(0);
        kernel.write(stat_column(number, STAT_SYSTEM_TIME).unwrap_or(0) * tick());
        user.write(stat_column(number, STAT_USER_TIME).unwrap_or(0) * tick());
    }
    true
}

/// Priority classes of Windows with the niceness from which on each is reported, most urgent first.
const PRIORITIES: &[(i32, i32)] = &[(0x80, -20), (0x8000, -10), (0x20, 0), (0x4000, 1), (0x40, 11)];

extern "C" fn priority_class(handle: isize) -> i32 {
    let Some(number) = number_of(handle) else { return 0 };
    // SAFETY: no memory is involved.
    let niceness = unsafe { libc::getpriority(libc::PRIO_PROCESS, number as libc::id_t) };
    PRIORITIES.iter().rev().find(|(_, from)| niceness >= *from).map_or(0, |(class, _)| *class)
}

extern "C" fn set_priority_class(handle: isize, class: i32) -> bool {
    let niceness = PRIORITIES.iter().find(|(known, _)| *known == class).map(|(_, niceness)| *niceness);
    let (Some(number), Some(niceness)) = (number_of(handle), niceness) else { return false };
    // SAFETY: no memory is involved.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, number as libc::id_t, niceness) == 0 }
}

extern "C" fn working_set_size(_handle: isize, minimum: *mut isize, maximum: *mut isize) -> bool {
    // SAFETY: addresses of the caller's variables.
    unsafe {
        minimum.write(0);
        maximum.write(0);
    }
    true
}

extern "C" fn set_working_set_size(_handle: isize, _minimum: isize, _maximum: isize) -> bool {
    true
}

extern "C" fn wait_for_input_idle(_handle: isize, _milliseconds: i32) -> i32 {
    -1
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Microsoft.Win32.NativeMethods:CloseProcess (intptr)", close_process as *const ()),
    icall("Microsoft.Win32.NativeMethods:GetCurrentProcess ()", current_process as *const ()),
    icall("Microsoft.Win32.NativeMethods:GetExitCodeProcess (intptr,int&)", exit_code_of as *const ()),
    icall("Microsoft.Win32.NativeMethods:GetPriorityClass (intptr)", priority_class as *const ()),
    icall("Microsoft.Win32.NativeMethods:GetProcessTimes", process_times as *const ()),
    icall("Microsoft.Win32.NativeMethods:GetProcessWorkingSetSize", working_set_size as *const ()),
    icall("Microsoft.Win32.NativeMethods:SetPriorityClass (intptr,int)", set_priority_class as *const ()),
    icall("Microsoft.Win32.NativeMethods:SetProcessWorkingSetSize", set_working_set_size as *const ()),
    icall("Microsoft.Win32.NativeMethods:TerminateProcess (intptr,int)", terminate_process as *const ()),
    icall("Microsoft.Win32.NativeMethods:WaitForInputIdle (intptr,int)", wait_for_input_idle as *const ()),
    icall("System.Diagnostics.Process:CreateProcess_internal", create_process as *const ()),
    icall("System.Diagnostics.Process:GetProcessData (int,int,int&)", process_data as *const ()),
    icall("System.Diagnostics.Process:GetProcess_internal (int)", open_process as *const ()),
    icall("System.Diagnostics.Process:GetProcesses_internal ()", all_processes as *const ()),
    icall("System.Diagnostics.Process:ProcessName_icall (intptr)", process_name as *const ()),
    icall("System.Diagnostics.Process:ShellExecuteEx_internal", shell_execute as *const ()),
];
