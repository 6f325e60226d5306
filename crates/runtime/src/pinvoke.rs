//! Finding the native functions that programs import: in the built-in tables first, then in the libraries that the names lead to.

use crate::exceptions::Exception;
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use crate::{exceptions, icalls, metadata, runtime};
use il::types::MethodId;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::ffi::{CString, c_void};
use std::sync::OnceLock;

/// A function of the runtime that stands for one of a native library.
#[derive(Clone, Copy)]
pub struct BuiltIn {
    /// The function's name.
    pub name: &'static str,
    /// Its address.
    pub address: *const (),
}

// SAFETY: the address of a function.
unsafe impl Sync for BuiltIn {}

/// An entry of a table of built-in functions.
pub const fn built_in(name: &'static str, address: *const ()) -> BuiltIn {
    BuiltIn { name, address }
}

/// Functions of `System.Native`, `libmono-native` and their like.
static TABLES: &[&[BuiltIn]] = &[crate::icalls::system_native::TABLE];

/// Libraries that [`TABLES`] stands for.
const BUILT_IN_LIBRARIES: &[&str] =
    &["System.Native", "libSystem.Native", "libmono-native", "mono-native", "libMonoPosixHelper", "MonoPosixHelper"];

/// Libraries whose names on other systems mean the C library or parts of it here.
const ALIASES: &[(&str, &str)] = &[
    ("libc", "libc.so.6"),
    ("c", "libc.so.6"),
    ("msvcrt", "libc.so.6"),
    ("msvcrt.dll", "libc.so.6"),
    ("libm", "libm.so.6"),
    ("libdl", "libdl.so.2"),
    ("libpthread", "libpthread.so.0"),
];

/// Native code of an imported method, or of a function that raises what is missing.
pub fn code(method: MethodId) -> usize {
    find(method).unwrap_or(missing as *const () as usize)
}

fn import_of(method: MethodId) -> Option<(String, String)> {
    metadata::import(method).map(|import| (import.library, import.entry_point))
}

fn find(method: MethodId) -> Option<usize> {
    let (library, entry) = import_of(method)?;
    if BUILT_IN_LIBRARIES.contains(&library.as_str()) {
        static INDEX: OnceLock<FxHashMap<&'static str, usize>> = OnceLock::new();
        let index = INDEX.get_or_init(|| {
            TABLES.iter().flat_map(|table| table.iter()).map(|function| (function.name, function.address as usize)).collect()
        });
        if let Some(&address) = index.get(entry.as_str()) {
            return Some(address);
        }
    }
    let handle = open(&library)?;
    symbol(handle, &entry).or_else(|| symbol(handle, &format!("{entry}A")))
}

fn symbol(handle: usize, name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: a handle of dlopen and a name.
    let address = unsafe { libc::dlsym(handle as *mut c_void, name.as_ptr()) } as usize;
    if address == 0 { None } else { Some(address) }
}

/// Opens a library by the names that Mono tries.
fn open(library: &str) -> Option<usize> {
    static OPEN: Mutex<Option<FxHashMap<String, Option<usize>>>> = Mutex::new(None);
    let mut guard = OPEN.lock();
    let open = guard.get_or_insert_with(FxHashMap::default);
    if let Some(&known) = open.get(library) {
        return known;
    }
    let found = candidates(library).iter().find_map(|name| {
        let name = name.as_ref().map(|name| CString::new(name.as_str()).ok());
        let pointer = match &name {
            Some(Some(name)) => name.as_ptr(),
            Some(None) => return None,
            None => std::ptr::null(),
        };
        // SAFETY: a name or null for the process itself; loading a library may run its initialisers, which the program asked for.
        let handle = unsafe { libc::dlopen(pointer, libc::RTLD_LAZY) } as usize;
        if handle == 0 { None } else { Some(handle) }
    });
    open.insert(library.to_string(), found);
    found
}

/// File names for a library, in order; `None` is the process itself.
fn candidates(library: &str) -> Vec<Option<String>> {
    if library == "__Internal" {
        return vec![None];
    }
    if let Some(&(_, file)) = ALIASES.iter().find(|alias| alias.0 == library) {
        return vec![Some(file.to_string())];
    }
    let stem = library.strip_suffix(".dll").unwrap_or(library);
    let mut names = vec![library.to_string(), format!("{stem}.so"), format!("lib{stem}.so"), format!("lib{stem}")];
    if !library.contains('/') {
        let folder = runtime().program_folder();
        let local: Vec<String> = names.iter().map(|name| folder.join(name).to_string_lossy().into_owned()).collect();
        names.splice(0..0, local);
    }
    names.into_iter().map(Some).collect()
}

/// What an imported method runs whose function was not found: raises with the names.
extern "C" fn missing() {
    // The caller announced native code, which there is none of.
    Thread::current().heap().leave_native();
    let caller = Walk::from_runtime(Thread::current()).find_map(|step| match step {
        Step::Frame(frame) => frame.method(),
        Step::Entry { .. } => None,
    });
    let exception = match caller.and_then(import_of) {
        Some((library, entry)) if open(&library).is_some() || BUILT_IN_LIBRARIES.contains(&library.as_str()) => {
            Exception::new("System", "EntryPointNotFoundException", entry)
        }
        Some((library, _)) => Exception::new("System", "DllNotFoundException", library),
        None => Exception::default_of("System", "EntryPointNotFoundException"),
    };
    icalls::raising(|| -> exceptions::Result<()> { Err(exception) })
}
