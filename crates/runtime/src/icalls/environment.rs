//! `System.Environment`, clocks, the debugger's class and other small questions about process and machine.

use super::native_text::{counted_units, last_errno, path_of, string_array};
use super::{InternalCall, icall, raising};
use crate::exceptions::Exception;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{pinvoke, runtime};
use std::ffi::{CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the class libraries' configuration is.
const MACHINE_CONFIG: &str = "/etc/mono/4.5/machine.config";
/// `PlatformID.Unix`.
const PLATFORM_UNIX: i32 = 4;
/// 100 ns units from 1601 to 1970.
const FILE_TIME_OF_UNIX_EPOCH: i64 = 116_444_736_000_000_000;

static COMMAND_LINE: OnceLock<Vec<String>> = OnceLock::new();
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);
static EXITING: AtomicBool = AtomicBool::new(false);
static SHUTTING_DOWN: AtomicBool = AtomicBool::new(false);

/// Sets what `Environment.GetCommandLineArgs` gives: the program's path, then its arguments. Only the first call counts.
pub fn set_command_line(arguments: Vec<String>) {
    let _ = COMMAND_LINE.set(arguments);
}

/// What the program set as `Environment.ExitCode`: that of a process whose `Main` gives none.
pub fn exit_code() -> i32 {
    EXIT_CODE.load(Ordering::Relaxed)
}

/// Sets what [`exit_code`] gives.
pub extern "C" fn set_exit_code(code: i32) {
    EXIT_CODE.store(code, Ordering::Relaxed);
}

/// Says whether the process is not ending yet; from now on it is.
pub fn begin_exit() -> bool {
    !EXITING.swap(true, Ordering::Relaxed)
}

/// From here on `Environment.HasShutdownStarted` is true.
pub fn begin_shutdown() {
    SHUTTING_DOWN.store(true, Ordering::Relaxed);
}

/// 100 ns units since 1601, as in `DateTime.ToFileTime`.
pub(super) fn file_time_of_unix(seconds: i64, nanoseconds: i64) -> i64 {
    FILE_TIME_OF_UNIX_EPOCH + seconds * 10_000_000 + nanoseconds / 100
}

/// The reverse: (seconds, nanoseconds) since 1970.
pub(super) fn unix_of_file_time(time: i64) -> (i64, i64) {
    let units = time - FILE_TIME_OF_UNIX_EPOCH;
    (units.div_euclid(10_000_000), units.rem_euclid(10_000_000) * 100)
}

/// 100 ns units of a clock that never goes back.
pub(super) fn monotonic_100ns() -> i64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since_start = START.get_or_init(Instant::now).elapsed().as_nanos() as i64 / 100;
    boot_100ns() + since_start
}

/// Time since the machine's start when the process first asked, so that tick counts resemble those of other processes.
fn boot_100ns() -> i64 {
    static AT_START: OnceLock<i64> = OnceLock::new();
    *AT_START.get_or_init(|| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call fills the structure.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_sec as i64 * 10_000_000 + time.tv_nsec as i64 / 100
    })
}

extern "C" fn system_time_as_file_time() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    file_time_of_unix(since_epoch.as_secs() as i64, i64::from(since_epoch.subsec_nanos()))
}

extern "C" fn tick_count() -> i32 {
    (monotonic_100ns() / 10_000) as i32
}

extern "C" fn time_monotonic_100ns() -> i64 {
    monotonic_100ns()
}

extern "C" fn exit(code: i32) {
    runtime().exit(code)
}

extern "C" fn get_exit_code() -> i32 {
    exit_code()
}

extern "C" fn has_shutdown_started() -> bool {
    SHUTTING_DOWN.load(Ordering::Relaxed)
}

extern "C" fn platform() -> i32 {
    PLATFORM_UNIX
}

extern "C" fn new_line() -> StringRef {
    raising(|| StringRef::new("\n"))
}

fn system_name() -> libc::utsname {
    // SAFETY: zero is a valid value of the structure, and the call fills it.
    unsafe {
        let mut name: libc::utsname = std::mem::zeroed();
        libc::uname(&mut name);
        name
    }
}

fn fixed_text(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first four numbers of the kernel's release: what `Version` can hold.
fn version_of(release: &str) -> String {
    let mut numbers: Vec<String> = release
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .take(4)
        .map(|part| part.parse::<i32>().unwrap_or(0).to_string())
        .collect();
    numbers.resize(4, "0".to_string());
    numbers.join(".")
}

extern "C" fn os_version_string() -> StringRef {
    raising(|| StringRef::new(&version_of(&fixed_text(&system_name().release))))
}

extern "C" fn machine_name() -> StringRef {
    raising(|| StringRef::new(&fixed_text(&system_name().nodename)))
}

extern "C" fn user_name() -> StringRef {
    raising(|| {
        let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        // SAFETY: getpwuid gives null or a record whose texts end with a 0; it is read at once.
        let entry = || unsafe { libc::getpwuid(libc::getuid()).as_ref().map(|entry| super::native_text::c_text(entry.pw_name)) };
        StringRef::new(&entry().or(name.ok()).unwrap_or_default())
    })
}

extern "C" fn home() -> StringRef {
    raising(|| StringRef::new(&std::env::var("HOME").unwrap_or_default()))
}

extern "C" fn command_line_arguments() -> ArrayRef {
    raising(|| string_array(COMMAND_LINE.get().map_or(&[][..], |arguments| arguments)))
}

extern "C" fn environment_variable(name: *const c_char) -> StringRef {
    raising(|| {
        if name.is_null() {
            return Ok(StringRef::NULL);
        }
        // SAFETY: a text that ends with a 0; the result is copied at once.
        let bytes = unsafe { std::ffi::CStr::from_ptr(name) }.to_bytes();
        if bytes.is_empty() || bytes.contains(&b'=') {
            return Ok(StringRef::NULL);
        }
        match std::env::var_os(OsStr::from_bytes(bytes)) {
            Some(value) => StringRef::new(&value.to_string_lossy()),
            None => Ok(StringRef::NULL),
        }
    })
}

extern "C" fn set_environment_variable(name: *const u16, name_length: i32, value: *const u16, value_length: i32) {
    // SAFETY: the caller passes pinned strings with their lengths.
    let (name, units) = unsafe { (path_of(counted_units(name, name_length)), counted_units(value, value_length)) };
    let text = path_of(units);
    // SAFETY: the C library copies both. Other threads of native code that read the environment meanwhile are the program's affair.
    unsafe {
        if text.is_empty() {
            libc::unsetenv(name.as_ptr());
        } else {
            libc::setenv(name.as_ptr(), text.as_ptr(), 1);
        }
    }
}

extern "C" fn environment_variable_names() -> ArrayRef {
    raising(|| {
        let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        string_array(&names)
    })
}

extern "C" fn fail_fast(message: StringRef, exception: ObjectRef, _source: StringRef) {
    let text = message.object().non_null().map(|_| message.text());
    crate::unhandled::fail_fast(text.as_deref(), exception.non_null())
}

/// How many processors the process may use: found out once, since that means reading files of the system and thread pools ask with each piece of work.
pub(super) extern "C" fn processor_count() -> i32 {
    static COUNT: LazyLock<i32> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, |count| count.get() as i32));
    *COUNT
}

extern "C" fn is_64_bit_operating_system() -> bool {
    cfg!(target_pointer_width = "64")
}

extern "C" fn page_size() -> i32 {
    // SAFETY: a question without side effects.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as i32 }
}

extern "C" fn machine_config_path() -> StringRef {
    raising(|| StringRef::new(MACHINE_CONFIG))
}

/// The folder in which callers look for `mono/gac`.
extern "C" fn gac_path() -> StringRef {
    raising(|| StringRef::new("/usr/lib"))
}

extern "C" fn no_string() -> StringRef {
    StringRef::NULL
}

extern "C" fn logical_drives() -> ArrayRef {
    raising(|| string_array(&["/"]))
}

extern "C" fn windows_folder_path(_folder: i32) -> StringRef {
    raising(|| StringRef::new(""))
}

extern "C" fn nothing() {}

extern "C" fn no() -> bool {
    false
}

/// Certificates and encrypted connections are the work of a library of Mono's.
extern "C" fn is_btls_installed() -> bool {
    pinvoke::is_installed("libmono-btls-shared")
}

extern "C" fn temporary_path() -> StringRef {
    raising(|| {
        let folder = ["TMPDIR", "TMP", "TEMP"].iter().find_map(|name| std::env::var(name).ok());
        StringRef::new(&folder.unwrap_or_else(|| "/tmp".to_string()))
    })
}

extern "C" fn current_process_id() -> i32 {
    std::process::id() as i32
}

extern "C" fn debugger_log(_level: i32, _category: StringRef, _message: StringRef) {}

extern "C" fn display_name() -> StringRef {
    raising(|| StringRef::new(crate::state_dump::RUNTIME_VERSION))
}

extern "C" fn architecture() -> StringRef {
    raising(|| {
        StringRef::new(match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        })
    })
}

extern "C" fn os_name() -> StringRef {
    raising(|| StringRef::new(std::env::consts::OS))
}

/// Fills `length` bytes at `data` with random numbers of the system.
pub(super) fn random_bytes(data: *mut u8, length: usize) -> bool {
    let mut done = 0;
    while done < length {
        // SAFETY: the area has `length` bytes.
        let count = unsafe { libc::getrandom(data.add(done).cast(), length - done, 0) };
        if count < 0 {
            if last_errno() == libc::EINTR {
                continue;
            }
            return false;
        }
        done += count as usize;
    }
    true
}

extern "C" fn random_open() -> bool {
    true
}

/// Any number but 0 stands for the one generator that there is.
extern "C" fn random_initialize(_seed: *const u8, _length: isize) -> isize {
    1
}

extern "C" fn random_get_bytes(handle: isize, data: *mut u8, length: isize) -> isize {
    raising(|| {
        if random_bytes(data, length as usize) {
            Ok(handle)
        } else {
            Err(Exception::new("System.Security.Cryptography", "CryptographicException", "Couldn't access random source."))
        }
    })
}

extern "C" fn random_close(_handle: isize) {}

/// Name and number of the encoding that the locale's environment variables ask for.
extern "C" fn code_page(number: *mut i32) -> StringRef {
    raising(|| {
        let is_utf8 = locale().is_some_and(|locale| {
            let upper = locale.to_ascii_uppercase();
            upper.ends_with("UTF-8") || upper.ends_with("UTF8")
        });
        // The C library knows only the locales that are installed; of others it stays with ASCII.
        let (page, name) = if is_utf8 && locale_is_installed() { (3, "utf_8") } else { (1, "ascii") };
        // SAFETY: the address of a variable.
        unsafe { number.write(page) };
        StringRef::new(name)
    })
}

/// The locale that the environment names.
pub(super) fn locale() -> Option<String> {
    ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn locale_is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let Some(name) = locale().and_then(|name| CString::new(name).ok()) else { return false };
        // SAFETY: a text that ends with a 0; the object is freed at once.
        unsafe {
            let found = libc::newlocale(libc::LC_CTYPE_MASK, name.as_ptr(), std::ptr::null_mut());
            if found.is_null() {
                return false;
            }
            libc::freelocale(found);
        }
        true
    })
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Microsoft.Win32.NativeMethods:GetCurrentProcessId ()", current_process_id as *const ()),
    icall("Mono.Runtime:GetDisplayName ()", display_name as *const ()),
    icall("Mono.Runtime:mono_runtime_install_handlers ()", nothing as *const ()),
    icall("Mono.Net.Security.MonoTlsProviderFactory:IsBtlsSupported ()", is_btls_installed as *const ()),
    icall("System.CLRConfig:CheckThrowUnobservedTaskExceptions ()", no as *const ()),
    icall("System.Configuration.DefaultConfig:get_bundled_machine_config ()", no_string as *const ()),
    icall("System.Configuration.DefaultConfig:get_machine_config_path ()", machine_config_path as *const ()),
    icall("System.Web.Util.ICalls:GetMachineConfigPath ()", machine_config_path as *const ()),
    icall("System.Configuration.InternalConfigurationHost:get_bundled_app_config ()", no_string as *const ()),
    icall("System.Configuration.InternalConfigurationHost:get_bundled_machine_config ()", no_string as *const ()),
    icall("System.DateTime:GetSystemTimeAsFileTime ()", system_time_as_file_time as *const ()),
    icall("System.Diagnostics.Debugger:IsAttached_internal ()", no as *const ()),
    icall("System.Diagnostics.Debugger:IsLogging ()", no as *const ()),
    icall("System.Diagnostics.Debugger:Log (int,string,string)", debugger_log as *const ()),
    icall("System.Diagnostics.Stopwatch:GetTimestamp ()", time_monotonic_100ns as *const ()),
    icall("System.Environment:Exit (int)", exit as *const ()),
    icall("System.Environment:FailFast (string,System.Exception,string)", fail_fast as *const ()),
    icall("System.Environment:GetCommandLineArgs ()", command_line_arguments as *const ()),
    icall("System.Environment:GetEnvironmentVariableNames ()", environment_variable_names as *const ()),
    icall("System.Environment:GetIs64BitOperatingSystem ()", is_64_bit_operating_system as *const ()),
    icall("System.Environment:GetLogicalDrivesInternal ()", logical_drives as *const ()),
    icall("System.Environment:GetMachineConfigPath ()", machine_config_path as *const ()),
    icall("System.Environment:GetNewLine ()", new_line as *const ()),
    icall("System.Environment:GetOSVersionString ()", os_version_string as *const ()),
    icall("System.Environment:GetPageSize ()", page_size as *const ()),
    icall("System.Environment:GetWindowsFolderPath (int)", windows_folder_path as *const ()),
    icall("System.Environment:InternalSetEnvironmentVariable (char*,int,char*,int)", set_environment_variable as *const ()),
    icall("System.Environment:get_ExitCode ()", get_exit_code as *const ()),
    icall("System.Environment:get_HasShutdownStarted ()", has_shutdown_started as *const ()),
    icall("System.Environment:get_MachineName ()", machine_name as *const ()),
    icall("System.Environment:get_Platform ()", platform as *const ()),
    icall("System.Environment:get_ProcessorCount ()", processor_count as *const ()),
    icall("System.Environment:get_TickCount ()", tick_count as *const ()),
    icall("System.Environment:get_UserName ()", user_name as *const ()),
    icall("System.Environment:get_bundled_machine_config ()", no_string as *const ()),
    icall("System.Environment:internalBroadcastSettingChange ()", nothing as *const ()),
    icall("System.Environment:internalGetEnvironmentVariable_native (intptr)", environment_variable as *const ()),
    icall("System.Environment:internalGetGacPath ()", gac_path as *const ()),
    icall("System.Environment:internalGetHome ()", home as *const ()),
    icall("System.Environment:set_ExitCode (int)", set_exit_code as *const ()),
    icall("System.IO.Path:get_temp_path ()", temporary_path as *const ()),
    icall("System.Runtime.InteropServices.RuntimeInformation:GetOSName ()", os_name as *const ()),
    icall("System.Runtime.InteropServices.RuntimeInformation:GetRuntimeArchitecture ()", architecture as *const ()),
    icall("System.Security.Cryptography.RNGCryptoServiceProvider:RngClose (intptr)", random_close as *const ()),
    icall(
        "System.Security.Cryptography.RNGCryptoServiceProvider:RngGetBytes (intptr,byte*,intptr)",
        random_get_bytes as *const (),
    ),
    icall("System.Security.Cryptography.RNGCryptoServiceProvider:RngInitialize (byte*,intptr)", random_initialize as *const ()),
    icall("System.Security.Cryptography.RNGCryptoServiceProvider:RngOpen ()", random_open as *const ()),
    icall("System.Text.EncodingHelper:InternalCodePage (int&)", code_page as *const ()),
    icall("System.Threading.Timer:GetTimeMonotonic ()", time_monotonic_100ns as *const ()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_times_go_both_ways() {
        assert_eq!(file_time_of_unix(0, 0), 116_444_736_000_000_000);
        assert_eq!(unix_of_file_time(file_time_of_unix(-3, 700)), (-3, 700));
    }

    #[test]
    fn kernel_releases_become_versions() {
        assert_eq!(version_of("6.18.44-669-generic"), "6.18.44.669");
        assert_eq!(version_of("5.4"), "5.4.0.0");
    }
}
