//! Machine code before and after register allocation: instructions of one machine over virtual registers, in blocks.
//!
//! Nothing here knows an instruction set; a back end's instructions are behind [`MachInst`].

use super::registers::{Allocation, Operand, PReg, PRegSet, RegClass, VReg};
use crate::entity::Region;
use crate::instruction::SourceOffset;
use crate::types::Type;
use std::fmt::Debug;
use std::ops::Range;

/// A machine instruction.
pub trait MachInst: Clone + Debug {
    /// Hands each operand to `collect`, always in the same order. [`AllocationResult::allocations`] answers in that order.
    fn operands(&self, collect: &mut dyn FnMut(Operand));
    /// Registers that it destroys beside those it defines, after its early uses are read. May contain registers of its
    /// definitions.
    fn clobbers(&self) -> PRegSet {
        PRegSet::EMPTY
    }
    /// `(to, from)` if it is a plain copy of a whole vreg, of which the operands are a `Reg` or `Any` definition and use. Such
    /// copies vanish where both end up in one place: then the back end emits nothing.
    fn as_move(&self) -> Option<(VReg, VReg)> {
        None
    }
    /// Whether it ends a block. Terminators define nothing.
    fn is_terminator(&self) -> bool;
    /// Whether it calls, so that the function is no leaf.
    fn is_call(&self) -> bool {
        false
    }
}

/// A block of machine code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct MachBlock(pub u32);

impl MachBlock {
    /// Its index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An edge to a block with the arguments for its parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Where to.
    pub block: MachBlock,
    /// One vreg for each parameter.
    pub args: Vec<VReg>,
}

/// A block.
#[derive(Clone, Debug)]
pub struct BlockInfo {
    /// Its instructions; the last one is its terminator.
    pub insts: Range<u32>,
    /// Parameters. The entry block and handlers' entries have none: instructions define what they begin with.
    pub params: Vec<VReg>,
    /// Edges out of it, each target once. A block with several successors has only successors of which it is the one
    /// predecessor (critical edges are split).
    pub successors: Vec<Edge>,
    /// Blocks with an edge to it, each once.
    pub predecessors: Vec<MachBlock>,
    /// Rarely run.
    pub cold: bool,
    /// How many loops it lies in.
    pub loop_depth: u32,
    /// Entered by the unwinder.
    pub handler_entry: bool,
    /// Protected region.
    pub region: Option<Region>,
    /// Block of the IR that it was made from; none for a split edge.
    pub origin: Option<crate::entity::Block>,
}

/// A function in machine instructions. Blocks stand in the order of the code; block 0 is the entry.
#[derive(Clone, Debug)]
pub struct VCode<I> {
    /// All instructions, block after block.
    pub insts: Vec<I>,
    /// IL offset of each instruction.
    pub sources: Vec<SourceOffset>,
    /// Blocks.
    pub blocks: Vec<BlockInfo>,
    /// Type of each vreg.
    pub vreg_types: Vec<Type>,
}

impl<I: MachInst> VCode<I> {
    /// Blocks in the order of the code.
    pub fn block_indices(&self) -> impl DoubleEndedIterator<Item = MachBlock> + use<I> {
        (0..self.blocks.len() as u32).map(MachBlock)
    }
    /// Type of a vreg.
    pub fn vreg_type(&self, vreg: VReg) -> Type {
        self.vreg_types[vreg.index()]
    }
    /// Computes the predecessors from the successors.
    pub fn compute_predecessors(&mut self) {
        for block in &mut self.blocks {
            block.predecessors.clear();
        }
        for index in 0..self.blocks.len() {
            for edge in 0..self.blocks[index].successors.len() {
                let target = self.blocks[index].successors[edge].block;
                let predecessors = &mut self.blocks[target.index()].predecessors;
                if predecessors.last() != Some(&MachBlock(index as u32)) {
                    predecessors.push(MachBlock(index as u32));
                }
            }
        }
    }
    /// The code in readable form, with allocations and edits if there are any.
    pub fn print(&self, result: Option<&AllocationResult>) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        let mut edit = 0;
        for (index, block) in self.blocks.iter().enumerate() {
            let _ = write!(text, "mb{index}({:?})", block.params);
            let _ =
                writeln!(text, "{}{}:", if block.cold { " cold" } else { "" }, if block.handler_entry { " handler" } else { "" });
            for inst in block.insts.clone() {
                let mut print_edits = |text: &mut String, point: EditPoint| {
                    let Some(result) = result else { return };
                    while edit < result.edits.len() && result.edits[edit].0 <= point {
                        let _ = writeln!(text, "    {:?}", result.edits[edit].1);
                        edit += 1;
                    }
                };
                print_edits(&mut text, EditPoint::before(inst));
                let _ = write!(text, "  {inst}: {:?}", self.insts[inst as usize]);
                if let Some(result) = result {
                    let _ = write!(text, "  {:?}", result.inst_allocations(inst));
                }
                text.push('\n');
                print_edits(&mut text, EditPoint::after(inst));
            }
            for edge in &block.successors {
                let _ = writeln!(text, "    -> mb{}({:?})", edge.block.0, edge.args);
            }
        }
        text
    }
}

/// The class of registers that values of a type live in.
pub fn class_of(ty: Type) -> RegClass {
    match ty {
        Type::F32 | Type::F64 | Type::V128 => RegClass::Float,
        _ => RegClass::Int,
    }
}

/// A place between instructions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EditPoint(u32);

impl EditPoint {
    /// Just before instruction number `inst`.
    pub fn before(inst: u32) -> EditPoint {
        EditPoint(inst << 1)
    }
    /// Just after it.
    pub fn after(inst: u32) -> EditPoint {
        EditPoint(inst << 1 | 1)
    }
    /// The instruction.
    pub fn inst(self) -> u32 {
        self.0 >> 1
    }
    /// Whether it is after the instruction.
    pub fn is_after(self) -> bool {
        self.0 & 1 != 0
    }
}

/// What the allocator inserts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Copies a value of type `ty` (integer registers whole). Both places are slots only if there is no scratch register.
    Move {
        /// From.
        from: Allocation,
        /// To.
        to: Allocation,
        /// Type of the vreg.
        ty: Type,
    },
    /// Exchanges two registers (only if there is no scratch register of the class).
    Swap(PReg, PReg),
}

/// What the register allocator found.
#[derive(Clone, Default, Debug)]
pub struct AllocationResult {
    /// Allocations of all operands, instruction after instruction.
    pub allocations: Vec<Allocation>,
    /// Index of each instruction's first operand in `allocations`; one more at the end.
    pub operand_start: Vec<u32>,
    /// Moves to insert, sorted by place, in order of execution.
    pub edits: Vec<(EditPoint, Edit)>,
    /// Bytes of the spill area, a multiple of 8; slots are aligned to their size (of at most 16) from its start.
    pub spill_bytes: u32,
    /// Registers written anywhere: by allocation, moves or clobbers. The prologue saves those that are callee-saved.
    pub written: PRegSet,
}

impl AllocationResult {
    /// Allocations of the operands of instruction number `inst`.
    pub fn inst_allocations(&self, inst: u32) -> &[Allocation] {
        &self.allocations[self.operand_start[inst as usize] as usize..self.operand_start[inst as usize + 1] as usize]
    }
}
