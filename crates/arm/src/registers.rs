//! The registers and what they are for.
//!
//! An f64 lives in a d register, an f32 in the low half of one (`s2n` of `dn`), so that the allocator sees one class of 16
//! registers, all that VFPv3-D16 has.

use ir::mach::registers::{Allocation, PReg, PRegSet, RegisterFile, SpillSlot, VReg};
use ir::signature::CallConvention;

/// r0: first argument, first result, and the exception at a handler's entry.
pub const R0: PReg = PReg::int(0);
/// r1: second argument, second result.
pub const R1: PReg = PReg::int(1);
/// r2: third argument.
pub const R2: PReg = PReg::int(2);
/// r3: fourth argument.
pub const R3: PReg = PReg::int(3);
/// r8: interface key. No argument register; a callee may ignore it, so it does not survive calls of managed code.
pub const KEY: PReg = PReg::int(8);
/// r9: generic context, likewise.
pub const CONTEXT: PReg = PReg::int(9);
/// r10: the current thread's structure, in all managed code. Native code keeps it.
pub const THREAD: PReg = PReg::int(10);
/// r11: frame pointer.
pub const FP: PReg = PReg::int(11);
/// r12 (ip): scratch of single instructions' sequences, of moves between spill slots, of stubs and thunks. Targets of indirect
/// calls go through it.
pub const IP: PReg = PReg::int(12);
/// Stack pointer.
pub const SP: PReg = PReg::int(13);
/// Return address at calls; in bodies, which have all saved it, a second scratch register.
pub const LR: PReg = PReg::int(14);
/// Program counter; reads as the instruction's address plus 8.
pub const PC: PReg = PReg::int(15);
/// d15: left to moves between spill slots.
pub const FLOAT_SCRATCH: PReg = PReg::float(15);

/// Registers that managed code saves, in the order of their places in the frame, from the frame pointer down: `push` puts the highest
/// number highest.
pub const CALLEE_SAVED: [PReg; 4] = [PReg::int(7), PReg::int(6), PReg::int(5), PReg::int(4)];

/// DWARF number of d0 (*DWARF for the Arm Architecture*, section 4.1).
pub const DWARF_D0: u16 = 256;

/// The DWARF number of a register.
pub fn dwarf_number(register: PReg) -> u16 {
    match register.class() {
        ir::mach::registers::RegClass::Int => u16::from(register.number()),
        ir::mach::registers::RegClass::Float => DWARF_D0 + u16::from(register.number()),
    }
}

/// The number of the s register that an f32 in `register` occupies.
pub fn single_number(register: PReg) -> u8 {
    register.number() * 2
}

/// Registers that a call of this convention destroys. Managed code keeps r4 to r7 only; native code (AAPCS, section 6.1) also r8,
/// r9 and d8 to d15.
pub fn call_clobbers(convention: CallConvention) -> PRegSet {
    let native = [R0, R1, R2, R3, IP, LR].into_iter().chain((0..8).map(PReg::float)).collect::<PRegSet>();
    match convention {
        CallConvention::Managed => (8..16).map(PReg::float).chain([KEY, CONTEXT]).fold(native, PRegSet::with),
        _ => native,
    }
}

/// The register file as the allocator sees it.
pub fn register_file() -> RegisterFile {
    RegisterFile {
        allocatable: [[0, 1, 2, 3, 8, 9, 4, 5, 6, 7].map(PReg::int).to_vec(), (0..15).map(PReg::float).collect()],
        callee_saved: PRegSet::of(&CALLEE_SAVED),
        narrow: PRegSet::EMPTY,
        scratch: [Some(IP), Some(FLOAT_SCRATCH)],
        pointer_bytes: 4,
    }
}

/// A register of an instruction: virtual until the allocator has run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reg {
    /// Before allocation.
    Virtual(VReg),
    /// After it.
    Physical(PReg),
    /// After it, where an operand may as well be in memory.
    Spill(SpillSlot),
}

impl Reg {
    /// Hardware number after allocation: of the r or d register.
    pub fn number(self) -> u8 {
        match self {
            Reg::Physical(register) => register.number(),
            Reg::Virtual(_) | Reg::Spill(_) => {
                debug_assert!(false, "{self:?} is not a physical register");
                0
            }
        }
    }
    /// What the allocator chose, or `self` if it chose nothing.
    #[inline]
    pub fn allocated(self, allocation: Option<&Allocation>) -> Reg {
        match allocation {
            Some(Allocation::Reg(physical)) => Reg::Physical(*physical),
            Some(Allocation::Stack(slot)) => Reg::Spill(*slot),
            _ => self,
        }
    }
}

impl From<VReg> for Reg {
    fn from(register: VReg) -> Reg {
        Reg::Virtual(register)
    }
}

impl std::fmt::Debug for Reg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 16] =
            ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "fp", "ip", "sp", "lr", "pc"];
        match self {
            Reg::Virtual(register) => write!(f, "{register}"),
            Reg::Physical(register) if register.class() == ir::mach::registers::RegClass::Int => {
                f.write_str(NAMES[register.number() as usize])
            }
            Reg::Physical(register) => write!(f, "d{}", register.number()),
            Reg::Spill(slot) => write!(f, "[spill+{}]", slot.0),
        }
    }
}
