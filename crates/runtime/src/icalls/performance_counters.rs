//! `System.Diagnostics.PerformanceCounter` and its categories: this runtime counts nothing, so there is no category and each counter stands at 0.
//! Programs that only keep counters, as `System.Web` does, go on.

use super::native_text::string_array;
use super::{InternalCall, icall, raising};
use crate::object::{ArrayRef, StringRef};

extern "C" fn open(
    _category: *const u16,
    _category_length: i32,
    _counter: *const u16,
    _counter_length: i32,
    _instance: *const u16,
    _instance_length: i32,
    kind: *mut i32,
    is_custom: *mut bool,
) -> isize {
    // SAFETY: addresses of the caller's variables.
    unsafe {
        kind.write(0);
        is_custom.write(false);
    }
    0
}

extern "C" fn sample(_counter: isize, _only_value: u8, _sample: *mut u8) -> bool {
    false
}

extern "C" fn update(_counter: isize, _increments: u8, _value: i64) -> i64 {
    0
}

extern "C" fn close(_counter: isize) {}

extern "C" fn delete(_category: *const u16, _length: i32) -> bool {
    false
}

extern "C" fn help(_category: *const u16, _length: i32) -> StringRef {
    StringRef::NULL
}

extern "C" fn exists(_name: *const u16, _name_length: i32, _category: *const u16, _category_length: i32) -> bool {
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
    no_names()
}

extern "C" fn names_in(_category: *const u16, _length: i32) -> ArrayRef {
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
    icall("System.Diagnostics.PerformanceCounterCategory:GetCounterNames_icall (char*,int)", names_in as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:GetInstanceNames_icall (char*,int)", names_in as *const ()),
    icall("System.Diagnostics.PerformanceCounterCategory:InstanceExistsInternal_icall", exists as *const ()),
];
