//! `System.IO.DriveInfo`: kinds and sizes of file systems.

use super::files::outcome;
use super::native_text::{blocking, counted_units, path_of};
use super::{InternalCall, icall, raising};
use crate::object::StringRef;
use std::ffi::CString;

/// `System.IO.DriveType`.
#[derive(Clone, Copy)]
enum DriveType {
    Unknown = 0,
    Fixed = 3,
    Network = 4,
    CdRom = 5,
    Ram = 6,
}

/// The file systems that Mono knows by what `statfs` calls them, with the names that it gives them.
const FILE_SYSTEMS: &[(u32, DriveType, &str)] = &[
    (0xadf5, DriveType::Fixed, "adfs"),
    (0xadff, DriveType::Fixed, "affs"),
    (0x5346414f, DriveType::Network, "afs"),
    (0x0187, DriveType::Ram, "autofs"),
    (0x6d4a556d, DriveType::Ram, "autofs4"),
    (0x73757245, DriveType::Network, "coda"),
    (0x28cd3d45, DriveType::Ram, "cramfs"),
    (0x453dcd28, DriveType::Ram, "cramfs"),
    (0xff534d42, DriveType::Network, "cifs"),
    (0x64626720, DriveType::Ram, "debugfs"),
    (0x62656572, DriveType::Ram, "sysfs"),
    (0x73636673, DriveType::Ram, "securityfs"),
    (0xf97cff8c, DriveType::Ram, "selinuxfs"),
    (0x858458f6, DriveType::Ram, "ramfs"),
    (0x73717368, DriveType::Fixed, "squashfs"),
    (0x414a53, DriveType::Fixed, "efs"),
    (0xef53, DriveType::Fixed, "ext"),
    (0xabba1974, DriveType::Network, "xenfs"),
    (0x9123683e, DriveType::Fixed, "btrfs"),
    (0x4244, DriveType::Fixed, "hfs"),
    (0x482b, DriveType::Fixed, "hfsplus"),
    (0xf995e849, DriveType::Fixed, "hpfs"),
    (0x958458f6, DriveType::Ram, "hugetlbfs"),
    (0x9660, DriveType::CdRom, "iso"),
    (0x72b6, DriveType::Fixed, "jffs2"),
    (0x09041934, DriveType::Ram, "anon_inode"),
    (0x3153464a, DriveType::Fixed, "jfs"),
    (0x137f, DriveType::Fixed, "minix"),
    (0x138f, DriveType::Fixed, "minix v2"),
    (0x2468, DriveType::Fixed, "minix2"),
    (0x2478, DriveType::Fixed, "minix2 v2"),
    (0x4d5a, DriveType::Fixed, "minix3"),
    (0x4d44, DriveType::Fixed, "msdos"),
    (0x564c, DriveType::Network, "ncp"),
    (0x6969, DriveType::Network, "nfs"),
    (0x5346544e, DriveType::Fixed, "ntfs"),
    (0x9fa1, DriveType::Ram, "openpromfs"),
    (0x9fa0, DriveType::Ram, "proc"),
    (0x002f, DriveType::Fixed, "qnx4"),
    (0x52654973, DriveType::Fixed, "reiserfs"),
    (0x7275, DriveType::Ram, "romfs"),
    (0x517b, DriveType::Network, "samba"),
    (0x27e0eb, DriveType::Ram, "cgroupfs"),
    (0xbad1dea, DriveType::Ram, "futexfs"),
    (0x012ff7b6, DriveType::Fixed, "sysv2"),
    (0x012ff7b5, DriveType::Fixed, "sysv4"),
    (0x01021994, DriveType::Ram, "tmpfs"),
    (0x1cd1, DriveType::Ram, "devpts"),
    (0x15013346, DriveType::CdRom, "udf"),
    (0x00011954, DriveType::Fixed, "ufs"),
    (0x54190100, DriveType::Fixed, "ufs"),
];

/// # Safety
/// `path` is null or points to `length` units, which stay as they are during the call.
unsafe fn path_argument(path: *const u16, length: i32) -> CString {
    // SAFETY: the caller's promise.
    path_of(unsafe { counted_units(path, length) })
}

/// The file system that holds a path, if it is a known one.
fn file_system(path: &CString) -> Option<(DriveType, &'static str)> {
    let magic = blocking(|| {
        // SAFETY: zero is a valid value of the structure, which the call fills; a path that ends with a 0.
        unsafe {
            let mut found: libc::statfs = std::mem::zeroed();
            (libc::statfs(path.as_ptr(), &mut found) == 0).then_some(found.f_type as u32)
        }
    })?;
    FILE_SYSTEMS.iter().find(|entry| entry.0 == magic).map(|entry| (entry.1, entry.2))
}

extern "C" fn drive_format(path: *const u16, length: i32) -> StringRef {
    // SAFETY: the caller passes a pinned string.
    let path = unsafe { path_argument(path, length) };
    raising(|| file_system(&path).map_or(Ok(StringRef::NULL), |found| StringRef::new(found.1)))
}

extern "C" fn drive_type(path: *const u16, length: i32) -> u32 {
    // SAFETY: the caller passes a pinned string.
    let path = unsafe { path_argument(path, length) };
    file_system(&path).map_or(DriveType::Unknown, |found| found.0) as u32
}

/// Sizes in bytes: free for users without privileges, of all, free for privileged ones.
extern "C" fn disk_free_space(
    path: *const u16,
    length: i32,
    available: *mut u64,
    total: *mut u64,
    free: *mut u64,
    error: *mut i32,
) -> bool {
    // SAFETY: the caller passes a pinned string.
    let path = unsafe { path_argument(path, length) };
    let found = blocking(|| {
        // SAFETY: zero is a valid value of the structure, which the call fills; a path that ends with a 0.
        unsafe {
            let mut found: libc::statvfs64 = std::mem::zeroed();
            (libc::statvfs64(path.as_ptr(), &mut found) == 0).then_some(found)
        }
    });
    let sizes = found
        .map_or([0; 3], |found| [found.f_bavail, found.f_blocks, found.f_bfree].map(|blocks| blocks * found.f_frsize as u64));
    // SAFETY: the addresses of variables.
    unsafe {
        available.write_unaligned(sizes[0]);
        total.write_unaligned(sizes[1]);
        free.write_unaligned(sizes[2]);
    }
    outcome(error, found.is_some())
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.IO.DriveInfo:GetDiskFreeSpaceInternal", disk_free_space as *const ()),
    icall("System.IO.DriveInfo:GetDriveFormatInternal", drive_format as *const ()),
    icall("System.IO.DriveInfo:GetDriveTypeInternal", drive_type as *const ()),
];
