//! The registers and what they are for.
//!
//! eax and edx hold results; ecx and edx arguments. ebx holds the generic context and eax the interface key, or else whatever a
//! stub needs for itself. esi and edi are kept over managed calls; native code keeps ebx too. The thread structure is reached
//! through the segment register fs, so it costs no register.

use crate::family::registers::{AX, BX, CX, DI, DX, SI};
use ir::mach::registers::{PReg, PRegSet, RegisterFile};
use ir::signature::CallConvention;

/// Left to moves between spill slots.
pub const FLOAT_SCRATCH: PReg = PReg::float(7);

/// Registers that managed code saves, in the order of their places in the frame.
pub const CALLEE_SAVED: [PReg; 2] = [SI, DI];
/// Those that native code expects to be saved, by DWARF number, in the order in which stubs push them.
pub const DWARF_CALLEE_SAVED: [u16; 3] = [3, 6, 7];

/// The DWARF number of a general register.
pub fn dwarf_number(register: PReg) -> u16 {
    u16::from(register.number())
}

/// Registers that a call destroys.
pub fn call_clobbers(convention: CallConvention) -> PRegSet {
    let clobbers: PRegSet = (0..8).map(PReg::float).chain([AX, CX, DX]).collect();
    if convention == CallConvention::Managed { clobbers.with(BX) } else { clobbers }
}

/// The register file as the allocator sees it. Cycles of general registers are broken by `xchg` and slots copied
/// by `push` and `pop`, so only vector registers give one up.
pub fn register_file() -> RegisterFile {
    RegisterFile {
        allocatable: [vec![AX, CX, DX, BX, SI, DI], (0..7).map(PReg::float).collect()],
        callee_saved: PRegSet::of(&CALLEE_SAVED),
        narrow: PRegSet::of(&[AX, CX, DX, BX]),
        scratch: [None, Some(FLOAT_SCRATCH)],
        pointer_bytes: 4,
    }
}
