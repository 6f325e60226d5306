//! `System.IO.MonoIO` on paths: attributes, folders, moving, copying, deleting.

use super::environment::file_time_of_unix;
use super::files::{outcome, path_outcome, set_error};
use super::native_text::{blocking, path_of, terminated_units};
use super::{InternalCall, icall, io_errors as errors, raising};
use crate::object::StringRef;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bits of `System.IO.FileAttributes`.
const READ_ONLY: i32 = 1;
const HIDDEN: i32 = 2;
const DIRECTORY: i32 = 0x10;
const NORMAL: i32 = 0x80;
const REPARSE_POINT: i32 = 0x400;
const NO_ATTRIBUTES: i32 = -1;
const EXECUTE_BY_ALL: i32 = i32::MIN;

/// `System.IO.MonoIOStat`
#[repr(C)]
struct FileStat {
    attributes: i32,
    length: i64,
    creation_time: i64,
    access_time: i64,
    write_time: i64,
}

/// The path in a string that the class library passes by its address.
pub(super) fn path_argument(path: *const u16) -> CString {
    // SAFETY: the caller passes a pinned string, which ends with a 0.
    path_of(unsafe { terminated_units(path) })
}

pub(super) fn as_path(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

type StatCall = unsafe extern "C" fn(*const std::ffi::c_char, *mut libc::stat64) -> i32;

fn stat_by(call: StatCall, path: &CStr) -> Option<libc::stat64> {
    // SAFETY: zero is a valid value of the structure, which the call fills.
    unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        if call(path.as_ptr(), &mut stat) == 0 { Some(stat) } else { None }
    }
}

/// The file's state (of a dangling link: the link's own) and its attributes.
fn examine(path: &CStr) -> Option<(libc::stat64, i32)> {
    let link = stat_by(libc::lstat64, path)?;
    let stat = stat_by(libc::stat64, path).unwrap_or(link);
    let mut attributes = 0;
    // SAFETY: a path that ends with a 0.
    if unsafe { libc::access(path.as_ptr(), libc::W_OK) } != 0 {
        attributes |= READ_ONLY;
    }
    if as_path(path).file_name().is_some_and(|name| name.as_bytes().starts_with(b".")) {
        attributes |= HIDDEN;
    }
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        attributes |= DIRECTORY;
    } else if attributes == 0 {
        attributes = NORMAL;
    }
    if link.st_mode & libc::S_IFMT == libc::S_IFLNK {
        attributes |= REPARSE_POINT;
    }
    Some((stat, attributes))
}

extern "C" fn get_attributes(path: *const u16, error: *mut i32) -> i32 {
    let path = path_argument(path);
    let found = examine(&path);
    path_outcome(error, found.is_some(), &path);
    found.map_or(NO_ATTRIBUTES, |found| found.1)
}

extern "C" fn set_attributes(path: *const u16, attributes: i32, error: *mut i32) -> bool {
    let path = path_argument(path);
    let Some(stat) = stat_by(libc::stat64, &path) else { return path_outcome(error, false, &path) };
    let mut mode = stat.st_mode & 0o7777;
    if attributes & READ_ONLY != 0 {
        mode &= !0o222;
    } else {
        mode |= libc::S_IWUSR;
    }
    // A bit of Mono's own: whoever may read the file may execute it.
    if attributes & EXECUTE_BY_ALL != 0 {
        mode |= (mode & 0o444) >> 2;
    }
    // SAFETY: a path that ends with a 0.
    let result = unsafe { libc::chmod(path.as_ptr(), mode) };
    path_outcome(error, result == 0, &path)
}

extern "C" fn get_stat(path: *const u16, output: *mut FileStat, error: *mut i32) -> bool {
    let path = path_argument(path);
    let found = examine(&path);
    if let Some((stat, attributes)) = found {
        let write_time = file_time_of_unix(stat.st_mtime as i64, stat.st_mtime_nsec as i64);
        let change_time = file_time_of_unix(stat.st_ctime as i64, stat.st_ctime_nsec as i64);
        let filled = FileStat {
            attributes,
            length: if attributes & DIRECTORY != 0 { 0 } else { stat.st_size as i64 },
            creation_time: write_time.min(change_time),
            access_time: file_time_of_unix(stat.st_atime as i64, stat.st_atime_nsec as i64),
            write_time,
        };
        // SAFETY: the address of a structure.
        unsafe { output.write(filled) };
    }
    path_outcome(error, found.is_some(), &path)
}

extern "C" fn current_directory(error: *mut i32) -> StringRef {
    raising(|| match std::env::current_dir() {
        Ok(path) => {
            set_error(error, errors::SUCCESS);
            StringRef::new(&path.to_string_lossy())
        }
        Err(_) => {
            outcome(error, false);
            Ok(StringRef::NULL)
        }
    })
}

extern "C" fn set_current_directory(path: *const u16, error: *mut i32) -> bool {
    let path = path_argument(path);
    // SAFETY: a path that ends with a 0.
    path_outcome(error, unsafe { libc::chdir(path.as_ptr()) } == 0, &path)
}

extern "C" fn create_directory(path: *const u16, error: *mut i32) -> bool {
    let path = path_argument(path);
    // SAFETY: a path that ends with a 0.
    path_outcome(error, unsafe { libc::mkdir(path.as_ptr(), 0o777) } == 0, &path)
}

extern "C" fn remove_directory(path: *const u16, error: *mut i32) -> bool {
    let path = path_argument(path);
    // SAFETY: a path that ends with a 0.
    path_outcome(error, unsafe { libc::rmdir(path.as_ptr()) } == 0, &path)
}

extern "C" fn delete_file(path: *const u16, error: *mut i32) -> bool {
    let path = path_argument(path);
    // SAFETY: a path that ends with a 0.
    path_outcome(error, unsafe { libc::unlink(path.as_ptr()) } == 0, &path)
}

extern "C" fn move_file(source: *const u16, target: *const u16, error: *mut i32) -> bool {
    let (source, target) = (path_argument(source), path_argument(target));
    if stat_by(libc::lstat64, &target).is_some() {
        set_error(error, errors::ALREADY_EXISTS);
        return false;
    }
    // SAFETY: two paths that end with a 0.
    path_outcome(error, unsafe { libc::rename(source.as_ptr(), target.as_ptr()) } == 0, &source)
}

extern "C" fn copy_file(source: *const u16, target: *const u16, overwrite: u8, error: *mut i32) -> bool {
    let (source, target) = (path_argument(source), path_argument(target));
    if overwrite == 0 && stat_by(libc::lstat64, &target).is_some() {
        set_error(error, errors::ALREADY_EXISTS);
        return false;
    }
    let copied = blocking(|| std::fs::copy(as_path(&source), as_path(&target)));
    match copied {
        Ok(_) => set_error(error, errors::SUCCESS),
        Err(ref failure) => set_error(error, errors::of_errno(failure.raw_os_error().unwrap_or(0))),
    }
    copied.is_ok()
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.IO.MonoIO:CopyFile (char*,char*,bool,System.IO.MonoIOError&)", copy_file as *const ()),
    icall("System.IO.MonoIO:CreateDirectory (char*,System.IO.MonoIOError&)", create_directory as *const ()),
    icall("System.IO.MonoIO:DeleteFile (char*,System.IO.MonoIOError&)", delete_file as *const ()),
    icall("System.IO.MonoIO:GetCurrentDirectory (System.IO.MonoIOError&)", current_directory as *const ()),
    icall("System.IO.MonoIO:GetFileAttributes (char*,System.IO.MonoIOError&)", get_attributes as *const ()),
    icall("System.IO.MonoIO:GetFileStat (char*,System.IO.MonoIOStat&,System.IO.MonoIOError&)", get_stat as *const ()),
    icall("System.IO.MonoIO:MoveFile (char*,char*,System.IO.MonoIOError&)", move_file as *const ()),
    icall("System.IO.MonoIO:RemoveDirectory (char*,System.IO.MonoIOError&)", remove_directory as *const ()),
    icall("System.IO.MonoIO:SetCurrentDirectory (char*,System.IO.MonoIOError&)", set_current_directory as *const ()),
    icall("System.IO.MonoIO:SetFileAttributes", set_attributes as *const ()),
];
