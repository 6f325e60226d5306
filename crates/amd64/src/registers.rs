//! The registers and what they are for.

use ir::mach::registers::{PReg, PRegSet, RegisterFile, SpillSlot, VReg};

/// rax: first result; free at calls, so indirect calls go through it.
pub const RAX: PReg = PReg::int(0);
/// rcx: shift counts.
pub const RCX: PReg = PReg::int(1);
/// rdx: second result.
pub const RDX: PReg = PReg::int(2);
/// rbx.
pub const RBX: PReg = PReg::int(3);
/// Stack pointer.
pub const RSP: PReg = PReg::int(4);
/// Frame pointer.
pub const RBP: PReg = PReg::int(5);
/// rsi.
pub const RSI: PReg = PReg::int(6);
/// rdi: first argument.
pub const RDI: PReg = PReg::int(7);
/// r11: interface key; target of indirect calls of native code.
pub const R11: PReg = PReg::int(11);
/// r15: the current thread's structure, in all managed code.
pub const THREAD: PReg = PReg::int(15);
/// Left to moves between spill slots.
pub const FLOAT_SCRATCH: PReg = PReg::float(15);

/// Registers that managed code saves, in the order of their places in the frame.
pub const CALLEE_SAVED: [PReg; 4] = [RBX, PReg::int(12), PReg::int(13), PReg::int(14)];
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
        scratch: [None, Some(FLOAT_SCRATCH)],
        pointer_bytes: 8,
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
    /// Hardware number after allocation.
    pub fn number(self) -> u8 {
        match self {
            Reg::Physical(register) => register.number(),
            Reg::Virtual(_) | Reg::Spill(_) => {
                debug_assert!(false, "{self:?} is not a physical register");
                0
            }
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
            ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
        match self {
            Reg::Virtual(register) => write!(f, "{register}"),
            Reg::Physical(register) if register.class() == ir::mach::registers::RegClass::Int => {
                f.write_str(NAMES[register.number() as usize])
            }
            Reg::Physical(register) => write!(f, "xmm{}", register.number()),
            Reg::Spill(slot) => write!(f, "[spill+{}]", slot.0),
        }
    }
}
