//! Register numbers, and a register as instructions hold it.

use ir::mach::registers::{Allocation, PReg, RegClass, SpillSlot, VReg};

/// rax, eax: first result; free at calls of known code.
pub const AX: PReg = PReg::int(0);
/// rcx, ecx: shift counts.
pub const CX: PReg = PReg::int(1);
/// rdx, edx: second result.
pub const DX: PReg = PReg::int(2);
/// rbx, ebx.
pub const BX: PReg = PReg::int(3);
/// Stack pointer.
pub const SP: PReg = PReg::int(4);
/// Frame pointer.
pub const BP: PReg = PReg::int(5);
/// rsi, esi.
pub const SI: PReg = PReg::int(6);
/// rdi, edi.
pub const DI: PReg = PReg::int(7);

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
    #[inline]
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
        // Without a width, since both machines share this.
        const NAMES: [&str; 16] =
            ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
        match self {
            Reg::Virtual(register) => write!(f, "{register}"),
            Reg::Physical(register) if register.class() == RegClass::Int => f.write_str(NAMES[register.number() as usize & 15]),
            Reg::Physical(register) => write!(f, "xmm{}", register.number()),
            Reg::Spill(slot) => write!(f, "[spill+{}]", slot.0),
        }
    }
}
