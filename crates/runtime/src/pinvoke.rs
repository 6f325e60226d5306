//! Finding the native functions that programs import: in the built-in tables first, then in the libraries that the names lead to.

use crate::dll_map::DllMap;
use crate::exceptions::Exception;
use crate::metadata::Import;
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use crate::{embedding, exceptions, icalls, metadata, runtime};
use il::types::{AssemblyId, MethodId};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::ffi::{CString, c_void};
use std::path::Path;
use std::sync::{Arc, OnceLock};

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

/// Functions of `System.Native`, `libmono-native`, `MonoPosixHelper` and their like.
static TABLES: &[&[BuiltIn]] = &[icalls::compression::TABLE, icalls::system_native::TABLE];

/// The library that means the process itself: the runtime, and what is loaded.
const PROCESS: &str = "__Internal";

/// Libraries that [`TABLES`] stands for.
const BUILT_IN_LIBRARIES: &[&str] =
    &["System.Native", "libSystem.Native", "libmono-native", "mono-native", "libMonoPosixHelper", "MonoPosixHelper"];

/// What `$mono_libdir` means in configuration files.
const LIBRARY_FOLDER: &str = "/usr/lib";

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

/// What a method imports, after the entries of configuration files.
fn import_of(method: MethodId) -> Option<Import> {
    let import = metadata::import(method)?;
    let assembly = runtime().types.method(method).assembly;
    let mapped = assembly_map(assembly).lookup(&import.library, &import.entry_point);
    let mapped = mapped.or_else(|| DllMap::global().lookup(&import.library, &import.entry_point));
    Some(match mapped {
        Some((library, entry_point)) => {
            Import { library: library.replace("$mono_libdir", LIBRARY_FOLDER), entry_point, ..import }
        }
        None => import,
    })
}

/// Whether a native library is there for this machine, after the entries of Mono's configuration.
pub fn is_installed(library: &str) -> bool {
    let mapped = DllMap::global().lookup(library, "").map(|(library, _)| library.replace("$mono_libdir", LIBRARY_FOLDER));
    open(mapped.as_deref().unwrap_or(library), None).is_some()
}

/// The entries of the configuration file beside an assembly.
fn assembly_map(assembly: AssemblyId) -> Arc<DllMap> {
    static MAPS: Mutex<Option<FxHashMap<AssemblyId, Arc<DllMap>>>> = Mutex::new(None);
    let mut maps = MAPS.lock();
    let read = || {
        let Some(path) = runtime().types.assembly(assembly).path() else { return Arc::default() };
        let mut name = path.as_os_str().to_owned();
        name.push(".config");
        Arc::new(DllMap::read(Path::new(&name)))
    };
    maps.get_or_insert_with(FxHashMap::default).entry(assembly).or_insert_with(read).clone()
}

/// The function of the runtime that stands for an imported one.
fn built_in_function(library: &str, entry: &str) -> Option<usize> {
    if library == PROCESS {
        let function = embedding::TABLE.iter().find(|function| function.name == entry)?;
        return Some(function.address as usize);
    }
    if !is_built_in(library) {
        return None;
    }
    static INDEX: OnceLock<FxHashMap<&'static str, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        TABLES.iter().flat_map(|table| table.iter()).map(|function| (function.name, function.address as usize)).collect()
    });
    index.get(entry).copied()
}

fn is_built_in(library: &str) -> bool {
    BUILT_IN_LIBRARIES.contains(&library)
}

fn find(method: MethodId) -> Option<usize> {
    // The class library's own come first: no file need be read for them.
    let written = metadata::import(method)?;
    if let Some(address) = built_in_function(&written.library, &written.entry_point) {
        return Some(address);
    }
    let import = import_of(method)?;
    let folder = runtime().types.assembly(runtime().types.method(method).assembly).path().and_then(Path::parent);
    let handle = open(&import.library, folder)?;
    let name = import.entry_point.as_str();
    let suffix = if import.unicode { 'W' } else { 'A' };
    let find = |name: &str| symbol(handle, name);
    let suffixed = || if import.exact { None } else { find(&format!("{name}{suffix}")) };
    if import.unicode { suffixed().or_else(|| find(name)) } else { find(name).or_else(suffixed) }
}

fn symbol(handle: usize, name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: a handle of dlopen and a name.
    let address = unsafe { libc::dlsym(handle as *mut c_void, name.as_ptr()) } as usize;
    if address == 0 { None } else { Some(address) }
}

/// Opens a library by the names that Mono tries; `folder` is that of the assembly that imports it.
fn open(library: &str, folder: Option<&Path>) -> Option<usize> {
    static OPEN: Mutex<Option<FxHashMap<String, usize>>> = Mutex::new(None);
    if let Some(&known) = OPEN.lock().get_or_insert_with(FxHashMap::default).get(library) {
        return Some(known);
    }
    let found = candidates(library, folder).iter().find_map(|name| {
        let name = name.as_ref().map(|name| CString::new(name.as_str()).ok());
        let pointer = match &name {
            Some(Some(name)) => name.as_ptr(),
            Some(None) => return None,
            None => std::ptr::null(),
        };
        // SAFETY: a name or null for the process itself; loading a library may run its initialisers, which the program asked for.
        let handle = unsafe { libc::dlopen(pointer, libc::RTLD_LAZY | libc::RTLD_GLOBAL) } as usize;
        if handle == 0 { None } else { Some(handle) }
    })?;
    OPEN.lock().get_or_insert_with(FxHashMap::default).insert(library.to_string(), found);
    Some(found)
}

/// File names for a library, in order; `None` is the process itself.
fn candidates(library: &str, folder: Option<&Path>) -> Vec<Option<String>> {
    if library == PROCESS {
        return vec![None];
    }
    if let Some(&(_, file)) = ALIASES.iter().find(|alias| alias.0 == library) {
        return vec![Some(file.to_string())];
    }
    let stem = library.strip_suffix(".dll").unwrap_or(library);
    let mut names = vec![library.to_string(), format!("{stem}.so"), format!("lib{stem}.so"), format!("lib{stem}")];
    if let Some(file) = library.strip_prefix(LIBRARY_FOLDER).and_then(|rest| rest.strip_prefix('/')) {
        // What lies there may be for another machine whose programs the system runs, too; then the loader's paths may know better.
        names.push(file.to_string());
    }
    if !library.contains('/') {
        let program = runtime().program_folder();
        let folders = folder.into_iter().chain([program.as_path()]);
        let local: Vec<String> =
            folders.flat_map(|folder| names.iter().map(|name| folder.join(name).to_string_lossy().into_owned())).collect();
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
    let folder = caller.and_then(|method| runtime().types.assembly(runtime().types.method(method).assembly).path()?.parent());
    let exception = match caller.and_then(import_of) {
        Some(import) if is_built_in(&import.library) || open(&import.library, folder).is_some() => {
            Exception::new("System", "EntryPointNotFoundException", import.entry_point)
        }
        Some(import) => Exception::new("System", "DllNotFoundException", import.library),
        None => Exception::default_of("System", "EntryPointNotFoundException"),
    };
    icalls::raising(|| -> exceptions::Result<()> { Err(exception) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_mono_are_also_looked_for_where_the_loader_does() {
        let names = candidates("/usr/lib/libmono-btls-shared.so", None);
        assert_eq!(names.first(), Some(&Some("/usr/lib/libmono-btls-shared.so".to_owned())));
        assert_eq!(names.last(), Some(&Some("libmono-btls-shared.so".to_owned())));
        assert!(!candidates("/opt/libother.so", None).contains(&Some("libother.so".to_owned())));
    }
}
