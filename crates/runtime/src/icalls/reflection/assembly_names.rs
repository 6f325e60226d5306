//! Assembly names in native memory (`Mono.MonoAssemblyName`).

use super::native::{free, native_string};
use crate::exceptions::{Exception, Result};
use il::tables::AssemblyRow;
use il::types::AssemblyId;
use il::{Assembly, AssemblyName, DisplayName};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::ffi::c_char;
use std::sync::LazyLock;

/// Hexadecimal digits of a token with the final zero.
const TOKEN_BYTES: usize = 17;
/// `AssemblyHashAlgorithm.SHA1`
const SHA1: u32 = 0x8004;

/// `Mono.MonoAssemblyName`
#[repr(C)]
pub struct NativeAssemblyName {
    name: *mut c_char,
    culture: *mut c_char,
    hash_value: *mut c_char,
    /// The whole key as a blob, with its compressed length in front.
    public_key: *mut u8,
    public_key_token: [u8; TOKEN_BYTES],
    hash_algorithm: u32,
    hash_length: u32,
    flags: u32,
    major: u16,
    minor: u16,
    build: u16,
    revision: u16,
    architecture: u16,
}

impl NativeAssemblyName {
    /// The name of a file that is an assembly.
    pub fn of_file(file: &Assembly) -> Result<NativeAssemblyName> {
        let mut name = NativeAssemblyName::new(file.name())?;
        if let Ok(row) = file.metadata().row::<AssemblyRow>(1) {
            name.hash_algorithm = row.hash_algorithm;
        }
        name.architecture = file.architecture() as u16;
        Ok(name)
    }

    /// A name as a program wrote it: the class library tells what is not given from what is neutral.
    pub fn of_display(display: &DisplayName) -> Result<NativeAssemblyName> {
        let mut name = NativeAssemblyName::new(&display.name)?;
        if !display.has_culture {
            free(std::mem::replace(&mut name.culture, std::ptr::null_mut()));
        }
        name.hash_algorithm = 0;
        name.architecture = display.architecture as u16;
        Ok(name)
    }

    /// A name with its texts in memory of `malloc`.
    pub fn new(name: &AssemblyName) -> Result<NativeAssemblyName> {
        let mut public_key_token = [0; TOKEN_BYTES];
        if let Some(token) = name.token() {
            let digits = token.iter().flat_map(|byte| [byte >> 4, byte & 15]);
            for (place, digit) in public_key_token.iter_mut().zip(digits) {
                *place = b"0123456789abcdef"[digit as usize];
            }
        }
        let version = name.version;
        Ok(NativeAssemblyName {
            name: native_string(&name.name)?,
            culture: native_string(&name.culture)?,
            hash_value: std::ptr::null_mut(),
            public_key: key_blob(&name.public_key)?,
            public_key_token,
            hash_algorithm: SHA1,
            hash_length: 0,
            flags: name.flags,
            major: version.major,
            minor: version.minor,
            build: version.build,
            revision: version.revision,
            architecture: 0,
        })
    }

    /// Frees the texts.
    pub fn clear(&mut self) {
        free(std::mem::replace(&mut self.name, std::ptr::null_mut()));
        free(std::mem::replace(&mut self.culture, std::ptr::null_mut()));
        free(std::mem::replace(&mut self.hash_value, std::ptr::null_mut()));
        free(std::mem::replace(&mut self.public_key, std::ptr::null_mut()));
    }
}

/// A public key with its compressed length (ECMA-335 II.23.2) in memory of `malloc`; null for an empty one.
fn key_blob(key: &[u8]) -> Result<*mut u8> {
    if key.is_empty() {
        return Ok(std::ptr::null_mut());
    }
    let length = key.len();
    let mut blob = match length {
        0..=0x7f => vec![length as u8],
        _ => vec![0x80 | (length >> 8) as u8, length as u8],
    };
    blob.extend_from_slice(key);
    // SAFETY: plain allocation.
    let memory = unsafe { libc::malloc(blob.len()) }.cast::<u8>();
    if memory.is_null() {
        return Err(Exception::out_of_memory());
    }
    // SAFETY: fresh memory of this size.
    unsafe { std::ptr::copy_nonoverlapping(blob.as_ptr(), memory, blob.len()) };
    Ok(memory)
}

/// The name of a loaded assembly, which stays for good.
pub(super) fn name_of_loaded(assembly: AssemblyId) -> Result<*mut NativeAssemblyName> {
    static NAMES: LazyLock<Mutex<FxHashMap<AssemblyId, usize>>> = LazyLock::new(Mutex::default);
    if let Some(&known) = NAMES.lock().get(&assembly) {
        return Ok(known as *mut NativeAssemblyName);
    }
    let types = &crate::runtime().types;
    let name = NativeAssemblyName::of_file(types.assembly(assembly))?;
    let address = Box::into_raw(Box::new(name)) as usize;
    Ok(*NAMES.lock().entry(assembly).or_insert(address) as *mut NativeAssemblyName)
}

/// A name that the class library frees as a whole.
pub(super) fn allocate(name: &AssemblyName) -> Result<*mut NativeAssemblyName> {
    let name = NativeAssemblyName::new(name)?;
    // SAFETY: plain allocation.
    let memory = unsafe { libc::malloc(size_of::<NativeAssemblyName>()) }.cast::<NativeAssemblyName>();
    if memory.is_null() {
        return Err(Exception::out_of_memory());
    }
    // SAFETY: fresh memory of this size.
    unsafe { memory.write(name) };
    Ok(memory)
}
