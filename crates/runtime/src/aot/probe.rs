//! Finding an assembly's image and making sure that it is the right one.

use super::build::content_hash_of_file;
use super::image::{self, LoadedImage};
use super::log::{self, Level};
use super::{abi_fingerprint, content_hash};
use crate::runtime;
use aot_writer::reader::{self, Image};
use aot_writer::tables::{FORMAT_VERSION, Field};
use il::AssemblyName;
use il::types::{AssemblyId, LoadContext};
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why an image is refused whose tables make no sense, though its hash is right.
const DAMAGED: &str = "it is damaged";
/// Where images lie that are not beside their assembly.
const SYSTEM_CACHE: &str = "/usr/lib/saki/aot";

/// Looks for a usable image of an assembly, in Mono's order.
pub fn load(assembly: AssemblyId) -> Option<&'static LoadedImage> {
    let path = runtime().types.assembly(assembly).path()?.to_owned();
    for candidate in candidates(&path) {
        match File::open(&candidate) {
            Ok(file) => match open(assembly, &candidate, &file) {
                Ok(image) => {
                    log::write(Level::Info, format_args!(": image '{}' found.", candidate.display()));
                    return Some(image);
                }
                Err(reason) => {
                    log::write(Level::Info, format_args!(": module {} is unusable: {reason}.", candidate.display()));
                }
            },
            Err(error) => {
                let name = candidate.display();
                let text = error.to_string();
                // Rust appends the number.
                let reason = text.split(" (os error").next().unwrap_or_default();
                log::write(
                    Level::Info,
                    format_args!(": image '{name}' not found: {name}: cannot open shared object file: {reason}"),
                );
            }
        }
    }
    None
}

/// The files to try.
fn candidates(assembly: &Path) -> Vec<PathBuf> {
    let with_suffix = |path: &Path| {
        let mut name: OsString = path.as_os_str().to_owned();
        name.push(".so");
        PathBuf::from(name)
    };
    let mut list = vec![with_suffix(assembly)];
    let Some(name) = assembly.file_name() else { return list };
    let name = with_suffix(Path::new(name));
    let runtime = runtime();
    let architecture = runtime.backend.architecture().name();
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from).or_else(home);
    list.extend(cache.map(|cache| cache.join("saki/aot").join(architecture).join(&name)));
    list.push(Path::new(SYSTEM_CACHE).join(architecture).join(&name));
    list.extend(runtime.options.aot.paths.iter().map(|path| path.join(&name)));
    list
}

/// Checks a file and maps it with the system's loader. Images are replaced by renaming, never written in place.
fn open(assembly: AssemblyId, path: &Path, file: &File) -> Result<&'static LoadedImage, String> {
    reader::verify(file).map_err(|error| error.message)?;
    let mapping = Mapping::new(path)?;
    // SAFETY: the section is that of a file which passed its checks.
    let image = unsafe { image::at(mapping.section) }.ok_or_else(|| DAMAGED.to_owned())?;
    let dependencies = check(assembly, path, &image)?;
    let section = mapping.keep();
    LoadedImage::new(assembly, section, dependencies, file.try_clone().ok()).ok_or_else(|| DAMAGED.to_owned())
}

/// Whether the image is made for this runtime and for the very assemblies that this process uses; gives these in the image's order.
fn check(assembly: AssemblyId, path: &Path, image: &Image<'_>) -> Result<Vec<AssemblyId>, String> {
    let runtime = runtime();
    if image.field(Field::Version) != FORMAT_VERSION {
        return Err("wrong file format version".to_owned());
    }
    if image.field(Field::Architecture) != runtime.backend.architecture() as u32 {
        return Err("it is for another architecture".to_owned());
    }
    if image.abi() != abi_fingerprint(runtime.backend.architecture()) {
        return Err("it was made for another version of Saki".to_owned());
    }
    if image.cpu_features() & !runtime.backend.host_features() != 0 {
        return Err("it needs CPU features that this machine lacks".to_owned());
    }
    let (own, _, dependencies) = image.identity().ok_or(DAMAGED)?;
    if own != hash(assembly) {
        return Err("doesn't match assembly".to_owned());
    }
    let mut numbered = vec![assembly];
    for (number, dependency) in dependencies.into_iter().enumerate() {
        let name = AssemblyName::parse(&dependency.name).map_err(|error| error.to_string())?;
        log::write(Level::Debug, format_args!(": module {} wants to load image {number}: {}", path.display(), name.name));
        let missing = |error| format!("it depends on {}: {error}", dependency.name);
        let id = runtime.types.probe_by_name(LoadContext::Execution, &name, Some(assembly)).map_err(missing)?;
        if hash(id) != dependency.content {
            return Err(format!("it was compiled against another {}", dependency.name));
        }
        numbered.push(id);
    }
    Ok(numbered)
}

/// Hash of an assembly's file.
fn hash(assembly: AssemblyId) -> u128 {
    let runtime = runtime();
    let images = &runtime.root_domain().images;
    if let Some(&known) = images.hashes.lock().get(&assembly) {
        return known;
    }
    let assembly_file = runtime.types.assembly(assembly);
    // Through a buffer: in the mapping all of it would stay in memory.
    let hash = match assembly_file.path().map(content_hash_of_file) {
        Some(Ok(hash)) => hash,
        _ => content_hash(assembly_file.image().bytes()),
    };
    images.hashes.lock().insert(assembly, hash);
    hash
}

/// A file that the system's loader has mapped. Gone with the value, if it is not kept.
struct Mapping {
    handle: *mut libc::c_void,
    /// Where its section `.saki` lies.
    section: *const u8,
}

impl Mapping {
    /// Maps a file.
    fn new(path: &Path) -> Result<Mapping, String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| "its path contains a zero".to_owned())?;
        // SAFETY: the file is an image of ours, which runs no code when it is loaded.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: a message, if there is one, is valid until this thread calls the loader again.
            let message = unsafe { libc::dlerror().as_ref().map(|message| CStr::from_ptr(message)) };
            return Err(message.unwrap_or(c"it cannot be loaded").to_string_lossy().into_owned());
        }
        let mut mapping = Mapping { handle, section: std::ptr::null() };
        // SAFETY: the handle was given just above.
        mapping.section = unsafe { libc::dlsym(handle, c"saki_image".as_ptr()) }.cast_const().cast();
        if mapping.section.is_null() { Err("it has no section .saki".to_owned()) } else { Ok(mapping) }
    }

    /// Leaves the file mapped for good; gives the address of its section.
    fn keep(self) -> *const u8 {
        let section = self.section;
        std::mem::forget(self);
        section
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mapping: it was not kept. A failure leaves it mapped, which does no harm.
        unsafe { libc::dlclose(self.handle) };
    }
}
