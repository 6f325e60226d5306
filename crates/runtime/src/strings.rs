//! Interned strings: literals and `String.Intern`. They never move, so that cells may hold their addresses.

use crate::domain;
use crate::exceptions::Result;
use crate::gc::AllocationKind;
use crate::method_table::method_table;
use crate::object::{self, ABI, ObjectRef, StringRef};
use crate::roots;
use il::types::TypeId;
use rustc_hash::FxHashMap;

/// The interned strings by content.
#[derive(Default)]
pub struct InternedStrings {
    by_content: FxHashMap<Box<[u16]>, usize>,
}

/// The one interned string with this content.
pub fn intern(units: &[u16]) -> Result<StringRef> {
    if let Some(known) = find(units) {
        return Ok(known);
    }
    let table = method_table(TypeId::STRING)?;
    let size = table.base_size as usize + 2 * units.len() + 2;
    let object = object::allocate_of_kind(table, size, AllocationKind::Immortal)?;
    // SAFETY: a fresh string with room for the units.
    let string = unsafe {
        object.write(ABI.length() as u32, units.len() as u32);
        let string = StringRef::from_object(object);
        string.units_mut().copy_from_slice(units);
        string
    };
    roots::keep(object);
    let mut strings = domain::current().interned.lock();
    let kept = *strings.by_content.entry(units.into()).or_insert(object.raw() as usize);
    drop(strings);
    // SAFETY: `string` or another immortal string of the table.
    Ok(if kept == string.object().raw() as usize { string } else { unsafe { at(kept) } })
}

/// The interned string with this content, if there is one.
pub fn find(units: &[u16]) -> Option<StringRef> {
    let strings = domain::current().interned.lock();
    // SAFETY: interned strings never move or die.
    strings.by_content.get(units).map(|&address| unsafe { at(address) })
}

/// # Safety
/// The address of an immortal string.
unsafe fn at(address: usize) -> StringRef {
    // SAFETY: the caller's promise.
    unsafe { StringRef::from_object(ObjectRef::from_raw(address as *mut _)) }
}
