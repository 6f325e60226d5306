//! `Mono.Security.Cryptography.KeyPairPersistence`: who may read the files that keep keys. Other files need nothing of this.

use super::paths::{as_path, path_argument};
use super::{InternalCall, icall};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// Whether a file is there and grants none of these permissions.
fn grants_none(path: *const u16, permissions: u32) -> bool {
    fs::metadata(as_path(&path_argument(path))).is_ok_and(|found| found.permissions().mode() & permissions == 0)
}

/// Gives a file the permissions of files, or a folder those of both kinds.
fn protect(path: *const u16, of_files: u32, more_of_folders: u32) -> bool {
    let path = path_argument(path);
    let path = as_path(&path);
    let Ok(found) = fs::metadata(path) else { return false };
    let mode = if found.is_dir() { of_files | more_of_folders } else { of_files };
    fs::set_permissions(path, Permissions::from_mode(mode)).is_ok()
}

extern "C" fn can_secure(_path: *const u16) -> bool {
    true
}

extern "C" fn is_machine_protected(path: *const u16) -> bool {
    grants_none(path, 0o022)
}

extern "C" fn is_user_protected(path: *const u16) -> bool {
    grants_none(path, 0o077)
}

extern "C" fn protect_machine(path: *const u16) -> bool {
    protect(path, 0o644, 0o111)
}

extern "C" fn protect_user(path: *const u16) -> bool {
    protect(path, 0o600, 0o100)
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("Mono.Security.Cryptography.KeyPairPersistence:_CanSecure", can_secure as *const ()),
    icall("Mono.Security.Cryptography.KeyPairPersistence:_IsMachineProtected", is_machine_protected as *const ()),
    icall("Mono.Security.Cryptography.KeyPairPersistence:_IsUserProtected", is_user_protected as *const ()),
    icall("Mono.Security.Cryptography.KeyPairPersistence:_ProtectMachine", protect_machine as *const ()),
    icall("Mono.Security.Cryptography.KeyPairPersistence:_ProtectUser", protect_user as *const ()),
];
