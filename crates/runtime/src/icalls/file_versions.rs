//! `System.Diagnostics.FileVersionInfo`: what the version resource of a file says.

use super::native_text::{counted_units, path_of};
use super::{InternalCall, cultures, icall, raising};
use crate::named_fields::Fields;
use crate::object::ObjectRef;
use il::version_info::{VersionInfo, file_flags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Fields and the keys of their texts.
const TEXTS: [(&str, &str); 12] = [
    ("comments", "Comments"),
    ("companyname", "CompanyName"),
    ("filedescription", "FileDescription"),
    ("fileversion", "FileVersion"),
    ("internalname", "InternalName"),
    ("legalcopyright", "LegalCopyright"),
    ("legaltrademarks", "LegalTrademarks"),
    ("originalfilename", "OriginalFilename"),
    ("productname", "ProductName"),
    ("productversion", "ProductVersion"),
    ("privatebuild", "PrivateBuild"),
    ("specialbuild", "SpecialBuild"),
];
const FLAGS: [(&str, u32); 5] = [
    ("isdebug", file_flags::DEBUG),
    ("ispatched", file_flags::PATCHED),
    ("isprerelease", file_flags::PRERELEASE),
    ("isprivatebuild", file_flags::PRIVATE_BUILD),
    ("isspecialbuild", file_flags::SPECIAL_BUILD),
];
const FILE_PARTS: [&str; 4] = ["filemajorpart", "fileminorpart", "filebuildpart", "fileprivatepart"];
const PRODUCT_PARTS: [&str; 4] = ["productmajorpart", "productminorpart", "productbuildpart", "productprivatepart"];
/// Language number of no language.
const INVARIANT: u16 = 0x7f;

fn language_name(number: u16) -> &'static str {
    if number == INVARIANT {
        return "Invariant Language (Invariant Country)";
    }
    cultures::english_name(i32::from(number)).unwrap_or_default()
}

extern "C" fn version_info(this: ObjectRef, name: *const u16, length: i32) {
    raising(|| {
        let fields = Fields::of(this)?;
        // SAFETY: the caller passes a pinned string with its length.
        let name = unsafe { counted_units(name, length) };
        fields.set_text("filename", &String::from_utf16_lossy(name))?;
        let path = path_of(name);
        let Ok(bytes) = std::fs::read(OsStr::from_bytes(path.as_bytes())) else { return Ok(()) };
        let Some(info) = VersionInfo::of_file(&bytes) else { return Ok(()) };
        for (field, key) in TEXTS {
            fields.set_text(field, info.string(key).unwrap_or_default())?;
        }
        for (field, flag) in FLAGS {
            fields.set_flag(field, info.flags & flag != 0)?;
        }
        for (names, parts) in [(FILE_PARTS, info.file_version), (PRODUCT_PARTS, info.product_version)] {
            for (field, part) in names.into_iter().zip(parts) {
                fields.set_int(field, i32::from(part))?;
            }
        }
        if let Some(language) = info.language {
            fields.set_text("language", language_name(language))?;
        }
        Ok(())
    })
}

pub(super) const TABLE: &[InternalCall] =
    &[icall("System.Diagnostics.FileVersionInfo:GetVersionInfo_icall (char*,int)", version_info as *const ())];
