//! `System.Diagnostics.PerformanceCounter` and its categories: this runtime counts nothing itself, so the only counters are those that programs
//! keep: `System.Web`'s. A counter of another category stands at 0.

use super::native_text::{counted_units, string_array};
use super::{InternalCall, icall, raising};
use crate::object::{ArrayRef, StringRef};
use std::sync::atomic::{AtomicI64, Ordering};

/// `PerformanceCounterType` of the counters here, and of one that is not known (`NumberOfItemsHEX32`).
const ITEMS_32: i32 = 0x1_0000;
const ITEMS_64: i32 = 0x1_0100;
const UNKNOWN: i32 = 0;

/// A counter that programs set.
struct Counter {
    name: &'static str,
    kind: i32,
    value: AtomicI64,
}

/// The category of [`COUNTERS`].
const CATEGORY: &str = "ASP.NET";
static COUNTERS: [Counter; 2] = [
    Counter { name: "Requests Queued", kind: ITEMS_64, value: AtomicI64::new(0) },
    Counter { name: "Requests Total", kind: ITEMS_32, value: AtomicI64::new(0) },
];

/// A name that the class library passes by its address; null is no name.
fn text_of(name: *const u16, length: i32) -> String {
    // SAFETY: the caller of the internal call passes so many units.
    String::from_utf16_lossy(unsafe { counted_units(name, length) })
}

fn find(name: &str) -> Option<usize> {
    COUNTERS.iter().position(|counter| counter.name == name)
}

/// The counter of a handle, which is its number from 1.
fn counter(handle: isize) -> Option<&'static Counter> {
    COUNTERS.get(usize::try_from(handle).ok()?.checked_sub(1)?)
}

extern "C" fn open(
    category: *const u16,
    category_length: i32,
    name: *const u16,
    name_length: i32,
    _instance: *const u16,
    _instance_length: i32,
    kind: *mut i32,
    is_custom: *mut bool,
) -> isize {
    let is_known = text_of(category, category_length) == CATEGORY;
    let found = find(&text_of(name, name_length)).filter(|_| is_known);
    // SAFETY: addresses of the caller's variables.
    unsafe {
        kind.write(found.map_or(UNKNOWN, |index| COUNTERS[index].kind));
        // Others cannot be written.
        is_custom.write(is_known);
    }
    found.map_or(0, |index| index as isize + 1)
}

/// Fills a `CounterSample`: seven 64-bit numbers, of which the first is the value, then the counter's type.
extern "C" fn sample(handle: isize, _only_value: u8, sample: *mut u8) -> bool {
    const KIND: usize = 7 * size_of::<i64>();
    let Some(counter) = counter(handle) else { return false };
    // SAFETY: the address of the caller's structure.
    unsafe {
        sample.cast::<i64>().write_unaligned(counter.value.load(Ordering::Relaxed));
        sample.add(KIND).cast::<i32>().write(counter.kind);
    }
    true
}

extern "C" fn update(handle: isize, increments: u8, value: i64) -> i64 {
    let Some(counter) = counter(handle) else { return 0 };
    if increments != 0 {
        return counter.value.fetch_add(value, Ordering::Relaxed).wrapping_add(value);
    }
    counter.value.store(value, Ordering::Relaxed);
    value
}

extern "C" fn close(_counter: isize) {}

extern "C" fn delete(_category: *const u16, _length: i32) -> bool {
    false
}

extern "C" fn help(_category: *const u16, _length: i32) -> StringRef {
    StringRef::NULL
}

/// Whether a counter is in a category; without a counter, whether there is the category.
extern "C" fn exists(name: *const u16, name_length: i32, category: *const u16, category_length: i32) -> bool {
    let is_known = text_of(category, category_length) == CATEGORY;
    is_known && (name.is_null() || find(&text_of(name, name_length)).is_some())
}

extern "C" fn instance_exists(_name: *const u16, _name_length: i32, _category: *const u16, _category_length: i32) -> bool {
    false
}

extern "C" fn create(
    _category: *const u16,
    _category_length: i32,
    _help: *const u16,
    _help_length: i32,
    _kind: i32,
    _counters: ArrayRef,
) -> bool {
    false
}

fn no_names() -> ArrayRef {
    raising(|| string_array::<&str>(&[]))
}

extern "C" fn category_names() -> ArrayRef {
    raising(|| string_array(&[CATEGORY]))
}

extern "C" fn counter_names(category: *const u16, length: i32) -> ArrayRef {
    let names = COUNTERS.each_ref().map(|counter| counter.name);
    if text_of(category, length) == CATEGORY { raising(|| string_array(&names)) } else { no_names() }
}

extern "C" fn instance_names(_category: *const u16, _length: i32) -> ArrayRef {
    no_names()
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Diagnostics.PerformanceCounter:FreeData (intptr)", close as *const ()),
    icall("System.Diagnostics.PerformanceCounter:GetImpl_icall", open as *const ()),
    icall("System.Diagnostics.PerformanceCounter:GetSample", sample as *const ()),
    icall("System.Diagnostics.PerformanceCounter:UpdateValue (intptr,bool,long)", update as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CategoryDelete_icall (char*,int)", delete as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CategoryHelp_icall (char*,int)", help as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:CounterCategoryExists_icall", exists as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:Create_icall", create as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetCategoryNames ()", category_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetCounterNames_icall (char*,int)", counter_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetInstanceNames_icall (char*,int)", instance_names as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:InstanceExistsInternal_icall", instance_exists as *const ()),
];
