//! The registers and what they are for.

use ir::mach::registers::{PReg, PRegSet, RegisterFile};
use x86::family::registers::BX;

/// r11: interface key; target of indirect calls of native code.
pub const R11: PReg = PReg::int(11);
/// r15: the current thread's structure, in all managed code.
pub const THREAD: PReg = PReg::int(15);
/// Left to moves between spill slots.
pub const FLOAT_SCRATCH: PReg = PReg::float(15);

/// Registers that managed code saves, in the order of their places in the frame.
pub const CALLEE_SAVED: [PReg; 4] = [BX, PReg::int(12), PReg::int(13), PReg::int(14)];
/// Those that native code expects to be saved, by DWARF number, in the order in which stubs push them.
pub const DWARF_CALLEE_SAVED: [u16; 5] = [3, 12, 13, 14, 15];

/// The DWARF number of a general register.
pub fn dwarf_number(register: PReg) -> u16 {
    [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15][register.number() as usize]
}

/// Registers that a call destroys.
pub fn call_clobbers() -> PRegSet {
    let integers = [0, 1, 2, 6, 7, 8, 9, 10, 11].map(PReg::int);
    (0..16).map(PReg::float).chain(integers).collect()
}

/// The register file as the allocator sees it. Cycles of general registers are broken by `xchg` and slots copied
/// by `push` and `pop`, so only vector registers give one up.
pub fn register_file() -> RegisterFile {
    RegisterFile {
        allocatable: [[0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 12, 13, 14].map(PReg::int).to_vec(), (0..15).map(PReg::float).collect()],
        callee_saved: PRegSet::of(&CALLEE_SAVED),
        // All of them have a name for their low byte.
        narrow: (0..16).map(PReg::int).collect(),
        scratch: [None, Some(FLOAT_SCRATCH)],
        pointer_bytes: 8,
    }
}
