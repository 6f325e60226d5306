//! Functions of Mono's embedding interface, as far as programs import them from the process itself (`__Internal`).

use crate::pinvoke::{BuiltIn, built_in};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The functions by name.
pub const TABLE: &[BuiltIn] = &[built_in("mono_path_canonicalize", path_canonicalize as *const ())];

/// The path from the root, without `.`, `..` and needless separators. Looks at no file, so links stay.
fn canonical(path: &Path) -> PathBuf {
    let folder = std::env::current_dir().unwrap_or_default();
    let mut canonical = PathBuf::from("/");
    for component in folder.join(path).components() {
        match component {
            Component::Normal(name) => canonical.push(name),
            Component::ParentDir => {
                canonical.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    canonical
}

/// `char *mono_path_canonicalize (const char *path)`: the caller frees the result.
extern "C" fn path_canonicalize(path: *const c_char) -> *mut c_char {
    if path.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: a text that ends with a 0.
    let path = unsafe { CStr::from_ptr(path) };
    let canonical = canonical(Path::new(OsStr::from_bytes(path.to_bytes())));
    let text = CString::new(canonical.into_os_string().into_vec()).unwrap_or_default();
    // SAFETY: likewise; the copy belongs to the C library, whose `free` ends it.
    unsafe { libc::strdup(text.as_ptr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_mono_makes_them() {
        for (path, expected) in [
            ("/", "/"),
            ("///a", "/a"),
            ("/a//b/", "/a/b"),
            ("/a/b/..", "/a"),
            ("/a/../../..", "/"),
            ("/../../foo", "/foo"),
            ("/a/.../.b/./c", "/a/.../.b/c"),
            ("/a/..b/c", "/a/..b/c"),
        ] {
            assert_eq!(canonical(Path::new(path)), Path::new(expected), "{path}");
        }
        let folder = std::env::current_dir().unwrap();
        assert_eq!(canonical(Path::new("")), folder);
        assert_eq!(canonical(Path::new("./x/../y")), folder.join("y"));
    }
}
