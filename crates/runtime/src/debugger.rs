//! Tells debuggers about the code heap, by the interface that gdb and lldb have for code made at run time: they put a breakpoint into
//! `__jit_debug_register_code` and read `__jit_debug_descriptor` when it is hit.

use aot_writer::call_frame::FrameRules;
use aot_writer::debugger::{CodeArea, describe};
use ir::mach::Backend;
use std::cell::UnsafeCell;

/// The name of frames in the code heap.
const AREA_NAME: &str = "compiled_just_in_time";
/// The action of an announcement.
const JIT_REGISTER: u32 = 1;

/// An entry of the list of files; the debugger fixes its shape.
#[repr(C)]
struct Entry {
    next: *mut Entry,
    previous: *mut Entry,
    file: *const u8,
    bytes: u64,
}

/// The head of the list; the debugger fixes its shape.
#[repr(C)]
struct Descriptor {
    version: u32,
    action: u32,
    relevant: *mut Entry,
    first: *mut Entry,
}

#[repr(transparent)]
struct Shared(UnsafeCell<Descriptor>);

// SAFETY: written once, while the runtime starts; read by debuggers only.
unsafe impl Sync for Shared {}

#[unsafe(no_mangle)]
static __jit_debug_descriptor: Shared =
    Shared(UnsafeCell::new(Descriptor { version: 1, action: 0, relevant: std::ptr::null_mut(), first: std::ptr::null_mut() }));

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn __jit_debug_register_code() {
    // Keeps the function and its calls.
    std::hint::black_box(__jit_debug_descriptor.0.get());
}

/// Announces the code heap, given by its start and bytes. Once in a process, when the runtime starts.
pub fn announce(area: (usize, usize), backend: &dyn Backend) {
    let rules = FrameRules::new(backend.architecture(), backend.dwarf_registers());
    let area = CodeArea { name: AREA_NAME, start: area.0 as u64, length: area.1 as u64 };
    // Without the file there is just nothing to be seen.
    let Ok(file) = describe(area, backend.architecture(), &rules) else { return };
    let file: &'static [u8] = Vec::leak(file);
    let entry =
        Entry { next: std::ptr::null_mut(), previous: std::ptr::null_mut(), file: file.as_ptr(), bytes: file.len() as u64 };
    let entry = Box::into_raw(Box::new(entry));
    // SAFETY: nobody else writes; the entry and its file live as long as the process.
    unsafe { *__jit_debug_descriptor.0.get() = Descriptor { version: 1, action: JIT_REGISTER, relevant: entry, first: entry } };
    __jit_debug_register_code();
}
