//! Registers, operands with their constraints, and allocations: the vocabulary between back ends and the register allocator.
//!
//! Nothing here knows a machine; a back end describes its own in a [`RegisterFile`].

use std::fmt;

/// Register classes. A vreg lives in registers of its own class only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum RegClass {
    /// General-purpose registers.
    Int,
    /// Floating-point and vector registers.
    Float,
}

impl RegClass {
    /// Both classes, in order.
    pub const ALL: [RegClass; 2] = [RegClass::Int, RegClass::Float];
    /// 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A physical register: class and hardware number (below 32).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PReg(u8);

impl PReg {
    /// One more than the largest index.
    pub const COUNT: usize = 64;
    /// The register of `class` with this hardware number.
    pub const fn new(class: RegClass, number: u8) -> PReg {
        debug_assert!(number < 32);
        PReg((class as u8) << 5 | number)
    }
    /// The general-purpose register with this hardware number.
    pub const fn int(number: u8) -> PReg {
        PReg::new(RegClass::Int, number)
    }
    /// The float register with this hardware number.
    pub const fn float(number: u8) -> PReg {
        PReg::new(RegClass::Float, number)
    }
    /// Its class.
    pub const fn class(self) -> RegClass {
        if self.0 < 32 { RegClass::Int } else { RegClass::Float }
    }
    /// Its hardware number.
    pub const fn number(self) -> u8 {
        self.0 & 31
    }
    /// Dense index over both classes.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
    /// The register with this dense index.
    pub const fn from_index(index: usize) -> PReg {
        debug_assert!(index < PReg::COUNT);
        PReg(index as u8)
    }
}

impl fmt::Debug for PReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.class() == RegClass::Int { 'r' } else { 'f' }, self.number())
    }
}

impl fmt::Display for PReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A set of physical registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PRegSet(u64);

impl PRegSet {
    /// No register.
    pub const EMPTY: PRegSet = PRegSet(0);
    /// These registers.
    pub fn of(registers: &[PReg]) -> PRegSet {
        registers.iter().copied().collect()
    }
    /// The set with one more.
    pub const fn with(self, register: PReg) -> PRegSet {
        PRegSet(self.0 | 1 << register.0)
    }
    /// The set without one.
    pub const fn without(self, register: PReg) -> PRegSet {
        PRegSet(self.0 & !(1 << register.0))
    }
    /// Adds one.
    pub fn insert(&mut self, register: PReg) {
        *self = self.with(register);
    }
    /// Whether it is in the set.
    pub const fn contains(self, register: PReg) -> bool {
        self.0 >> register.0 & 1 != 0
    }
    /// What is in either.
    pub const fn union(self, other: PRegSet) -> PRegSet {
        PRegSet(self.0 | other.0)
    }
    /// What is in both.
    pub const fn intersection(self, other: PRegSet) -> PRegSet {
        PRegSet(self.0 & other.0)
    }
    /// What is in `self` only.
    pub const fn difference(self, other: PRegSet) -> PRegSet {
        PRegSet(self.0 & !other.0)
    }
    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }
    /// The registers by ascending index.
    pub fn iter(self) -> impl Iterator<Item = PReg> {
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let index = bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
            (index < 64).then_some(PReg(index as u8))
        })
    }
}

impl FromIterator<PReg> for PRegSet {
    fn from_iter<T: IntoIterator<Item = PReg>>(registers: T) -> PRegSet {
        registers.into_iter().fold(PRegSet::EMPTY, PRegSet::with)
    }
}

impl fmt::Debug for PRegSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A virtual register: an SSA value of the machine code, defined once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VReg(u32);

impl VReg {
    /// The vreg with this index in class `class`.
    pub fn new(index: usize, class: RegClass) -> VReg {
        VReg((index as u32) << 1 | class as u32)
    }
    /// Index, dense over both classes.
    pub fn index(self) -> usize {
        (self.0 >> 1) as usize
    }
    /// Its class.
    pub fn class(self) -> RegClass {
        if self.0 & 1 == 0 { RegClass::Int } else { RegClass::Float }
    }
}

impl fmt::Debug for VReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}{}", self.index(), if self.class() == RegClass::Int { "" } else { "f" })
    }
}

impl fmt::Display for VReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Where an operand may be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Constraint {
    /// A register or a spill slot.
    Any,
    /// Any register of the class.
    Reg,
    /// Any register of [`RegisterFile::narrow`]. An input whose register a result reuses hands that on to the result.
    Narrow,
    /// A spill slot.
    Stack,
    /// This register.
    Fixed(PReg),
    /// A definition in the same register as the instruction's operand with this number, which is an early use.
    ReuseInput(u8),
}

/// Whether an operand is read or written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperandKind {
    /// Read.
    Use,
    /// Written.
    Def,
}

/// When an operand is read or written. Uses are normally early and definitions late, so that they can share a
/// register. A late use is kept apart from all definitions, an early definition from all uses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Position {
    /// Before the instruction writes its late definitions.
    Early,
    /// After it has read its early uses.
    Late,
}

/// An operand of a machine instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Operand {
    /// The vreg.
    pub vreg: VReg,
    /// Where it may be.
    pub constraint: Constraint,
    /// Read or written.
    pub kind: OperandKind,
    /// When.
    pub position: Position,
}

/// How an instruction of a back end uses a register: the usual operands by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Read before anything is written.
    Use,
    /// The same, from a [narrow](RegisterFile::narrow) register.
    UseByte,
    /// The same, from a spill slot if need be.
    UseAny,
    /// Read from this very register.
    UseFixed(PReg),
    /// Read even after results are written, so never shared with one.
    UseLate,
    /// Written at the end.
    Def,
    /// The same, to a narrow register.
    DefByte,
    /// Written to this very register.
    DefFixed(PReg),
    /// Written at the end to the register of the first operand visited.
    DefReuseFirst,
    /// Written while other operands are still read.
    DefEarly,
}

impl Role {
    /// The operand of `vreg` in this role.
    pub fn operand(self, vreg: VReg) -> Operand {
        let (constraint, kind, position) = match self {
            Role::Use => (Constraint::Reg, OperandKind::Use, Position::Early),
            Role::UseByte => (Constraint::Narrow, OperandKind::Use, Position::Early),
            Role::UseAny => (Constraint::Any, OperandKind::Use, Position::Early),
            Role::UseFixed(register) => (Constraint::Fixed(register), OperandKind::Use, Position::Early),
            Role::UseLate => (Constraint::Reg, OperandKind::Use, Position::Late),
            Role::Def => (Constraint::Reg, OperandKind::Def, Position::Late),
            Role::DefByte => (Constraint::Narrow, OperandKind::Def, Position::Late),
            Role::DefFixed(register) => (Constraint::Fixed(register), OperandKind::Def, Position::Late),
            Role::DefReuseFirst => (Constraint::ReuseInput(0), OperandKind::Def, Position::Late),
            Role::DefEarly => (Constraint::Reg, OperandKind::Def, Position::Early),
        };
        Operand { vreg, constraint, kind, position }
    }
}

impl Operand {
    /// A use with this constraint at the normal time.
    pub fn new_use(vreg: VReg, constraint: Constraint) -> Operand {
        Operand { vreg, constraint, kind: OperandKind::Use, position: Position::Early }
    }
    /// A definition with this constraint at the normal time.
    pub fn new_def(vreg: VReg, constraint: Constraint) -> Operand {
        Operand { vreg, constraint, kind: OperandKind::Def, position: Position::Late }
    }
    /// A use in any register.
    pub fn reg_use(vreg: VReg) -> Operand {
        Operand::new_use(vreg, Constraint::Reg)
    }
    /// A use in a register that no definition of the instruction shares.
    pub fn reg_use_late(vreg: VReg) -> Operand {
        Operand { position: Position::Late, ..Operand::reg_use(vreg) }
    }
    /// A use in a register or spill slot.
    pub fn any_use(vreg: VReg) -> Operand {
        Operand::new_use(vreg, Constraint::Any)
    }
    /// A use in one register.
    pub fn fixed_use(vreg: VReg, register: PReg) -> Operand {
        Operand::new_use(vreg, Constraint::Fixed(register))
    }
    /// A definition in any register.
    pub fn reg_def(vreg: VReg) -> Operand {
        Operand::new_def(vreg, Constraint::Reg)
    }
    /// A definition in a register that no use shares; also for temporaries.
    pub fn reg_def_early(vreg: VReg) -> Operand {
        Operand { position: Position::Early, ..Operand::reg_def(vreg) }
    }
    /// A definition in a register or spill slot.
    pub fn any_def(vreg: VReg) -> Operand {
        Operand::new_def(vreg, Constraint::Any)
    }
    /// A definition in one register.
    pub fn fixed_def(vreg: VReg, register: PReg) -> Operand {
        Operand::new_def(vreg, Constraint::Fixed(register))
    }
    /// A definition in the register of operand number `input`.
    pub fn reuse_def(vreg: VReg, input: u8) -> Operand {
        Operand::new_def(vreg, Constraint::ReuseInput(input))
    }
}

/// A spill slot, by its byte offset from the start of the frame's spill area.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct SpillSlot(pub u32);

/// Where an operand is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Allocation {
    /// Nowhere.
    #[default]
    None,
    /// In a register.
    Reg(PReg),
    /// In a spill slot.
    Stack(SpillSlot),
}

impl Allocation {
    /// The register, if it is in one.
    pub fn as_reg(self) -> Option<PReg> {
        match self {
            Allocation::Reg(register) => Some(register),
            _ => None,
        }
    }
    /// The spill slot, if it is in one.
    pub fn as_stack(self) -> Option<SpillSlot> {
        match self {
            Allocation::Stack(slot) => Some(slot),
            _ => None,
        }
    }
}

impl fmt::Debug for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allocation::None => f.write_str("none"),
            Allocation::Reg(register) => write!(f, "{register}"),
            Allocation::Stack(slot) => write!(f, "spill+{}", slot.0),
        }
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The registers of a machine as the allocator sees them.
#[derive(Clone, Debug)]
pub struct RegisterFile {
    /// Registers that vregs may live in, by class, those to take first in front. Neither the scratch registers nor stack, frame and
    /// thread pointer are among them.
    pub allocatable: [Vec<PReg>; 2],
    /// Registers that a function must leave as it found them.
    pub callee_saved: PRegSet,
    /// The general registers that some instructions are limited to ([`Constraint::Narrow`]).
    pub narrow: PRegSet,
    /// By class: a register that belongs to the moves between spill slots and the breaking of cycles. Without one, the allocator emits
    /// [`Edit::Swap`](super::vcode::Edit::Swap) for cycles and lets moves from slot to slot stand as they are.
    pub scratch: [Option<PReg>; 2],
    /// Bytes of a pointer: size of an integer's spill slot unless its type is larger.
    pub pointer_bytes: u32,
}
