//! Proves a register allocation: walks all paths with the set of vregs that each place holds, and requires that every use
//! finds its own vreg.

use super::CodegenError;
use super::registers::{Allocation, Constraint, Operand, OperandKind, Position, RegisterFile, VReg};
use super::vcode::{AllocationResult, Edit, EditPoint, MachBlock, MachInst, VCode};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

type Held = SmallVec<[VReg; 2]>;

/// What each place holds. A place that is absent holds nothing known.
type State = FxHashMap<Allocation, Held>;

/// Checks that `result` is right for `code`.
pub fn check<I: MachInst>(code: &VCode<I>, file: &RegisterFile, result: &AllocationResult) -> Result<(), CodegenError> {
    let mut entries: Vec<Option<State>> = vec![None; code.blocks.len()];
    let mut worklist: Vec<MachBlock> = Vec::new();
    for block in code.block_indices() {
        if block.0 == 0 || code.blocks[block.index()].predecessors.is_empty() {
            entries[block.index()] = Some(State::default());
            worklist.push(block);
        }
    }
    // First the states until they are stable, then the uses.
    while let Some(block) = worklist.pop() {
        let Some(mut state) = entries[block.index()].clone() else { continue };
        walk(code, file, result, block, &mut state, false)?;
        for edge in &code.blocks[block.index()].successors {
            let mut out = state.clone();
            for held in out.values_mut() {
                let pairs = code.blocks[edge.block.index()].params.iter().zip(&edge.args);
                let params: Held = pairs.filter(|(_, arg)| held.contains(arg)).map(|(param, _)| *param).collect();
                held.retain(|vreg| !code.blocks[edge.block.index()].params.contains(vreg));
                held.extend(params);
            }
            let entry = &mut entries[edge.block.index()];
            let changed = match entry {
                None => {
                    *entry = Some(out);
                    true
                }
                Some(known) => meet(known, &out),
            };
            if changed {
                worklist.push(edge.block);
            }
        }
    }
    for block in code.block_indices() {
        if let Some(mut state) = entries[block.index()].clone() {
            walk(code, file, result, block, &mut state, true)?;
        }
    }
    Ok(())
}

/// Keeps what both hold; whether that changed `known`.
fn meet(known: &mut State, other: &State) -> bool {
    let mut changed = false;
    known.retain(|place, held| {
        let before = held.len();
        match other.get(place) {
            Some(also) => held.retain(|vreg| also.contains(vreg)),
            None => held.clear(),
        }
        changed |= held.len() != before;
        !held.is_empty()
    });
    changed
}

fn walk<I: MachInst>(
    code: &VCode<I>,
    file: &RegisterFile,
    result: &AllocationResult,
    block: MachBlock,
    state: &mut State,
    verify: bool,
) -> Result<(), CodegenError> {
    let info = &code.blocks[block.index()];
    let mut edit = result.edits.partition_point(|edit| edit.0 < EditPoint::before(info.insts.start));
    let mut operands: SmallVec<[Operand; 8]> = SmallVec::new();
    for inst in info.insts.clone() {
        apply_edits(result, &mut edit, EditPoint::before(inst), state);
        operands.clear();
        code.insts[inst as usize].operands(&mut |operand| operands.push(operand));
        let allocations = result.inst_allocations(inst);
        if verify {
            verify_inst(code, file, inst, &operands, allocations, state)?;
        }
        for register in code.insts[inst as usize].clobbers().iter() {
            state.remove(&Allocation::Reg(register));
        }
        for (operand, &allocation) in operands.iter().zip(allocations) {
            if operand.kind == OperandKind::Def {
                for held in state.values_mut() {
                    held.retain(|vreg| *vreg != operand.vreg);
                }
                state.insert(allocation, SmallVec::from_slice(&[operand.vreg]));
            }
        }
        apply_edits(result, &mut edit, EditPoint::after(inst), state);
    }
    Ok(())
}

fn apply_edits(result: &AllocationResult, next: &mut usize, point: EditPoint, state: &mut State) {
    while let Some((at, edit)) = result.edits.get(*next) {
        if *at != point {
            return;
        }
        *next += 1;
        match *edit {
            Edit::Move { from, to, .. } => {
                let held = state.get(&from).cloned().unwrap_or_default();
                state.insert(to, held);
            }
            Edit::Swap(a, b) => {
                let (a, b) = (Allocation::Reg(a), Allocation::Reg(b));
                let (of_a, of_b) = (state.remove(&a), state.remove(&b));
                state.insert(a, of_b.unwrap_or_default());
                state.insert(b, of_a.unwrap_or_default());
            }
        }
    }
}

fn verify_inst<I: MachInst>(
    code: &VCode<I>,
    file: &RegisterFile,
    inst: u32,
    operands: &[Operand],
    allocations: &[Allocation],
    state: &State,
) -> Result<(), CodegenError> {
    let error = |message: String| CodegenError {
        message: format!("register allocation of instruction {inst} ({:?}): {message}", code.insts[inst as usize]),
    };
    let reused = operands.iter().find_map(|operand| match operand.constraint {
        Constraint::ReuseInput(input) => Some(input as usize),
        _ => None,
    });
    for (index, (operand, &allocation)) in operands.iter().zip(allocations).enumerate() {
        let fits = match (operand.constraint, allocation) {
            (_, Allocation::None) => false,
            (Constraint::Any, _) => true,
            (Constraint::Reg, Allocation::Reg(register)) => {
                register.class() == operand.vreg.class() && file.allocatable[register.class().index()].contains(&register)
            }
            (Constraint::Narrow, Allocation::Reg(register)) => file.narrow.contains(register),
            (Constraint::Stack, Allocation::Stack(_)) => true,
            (Constraint::Fixed(fixed), _) => allocation == Allocation::Reg(fixed),
            (Constraint::ReuseInput(input), Allocation::Reg(_)) => allocations.get(input as usize) == Some(&allocation),
            _ => reused == Some(index),
        };
        if !fits {
            return Err(error(format!("operand {index} is in {allocation}")));
        }
        if operand.kind == OperandKind::Use && !state.get(&allocation).is_some_and(|held| held.contains(&operand.vreg)) {
            let held = state.get(&allocation);
            return Err(error(format!("operand {index} reads {} from {allocation}, which holds {held:?}", operand.vreg)));
        }
    }
    // Nothing written may be where something else is written or still to be read.
    for (index, operand) in operands.iter().enumerate().filter(|(_, operand)| operand.kind == OperandKind::Def) {
        for (other_index, other) in operands.iter().enumerate() {
            if other_index == index || allocations[index] != allocations[other_index] {
                continue;
            }
            let is_reuse = matches!(operand.constraint, Constraint::ReuseInput(input) if input as usize == other_index);
            let overlaps = other.kind == OperandKind::Def
                || other.position == Position::Late
                || operand.position == Position::Early
                || matches!(operand.constraint, Constraint::ReuseInput(_));
            if overlaps && !is_reuse {
                return Err(error(format!("operands {index} and {other_index} share {}", allocations[index])));
            }
        }
    }
    Ok(())
}
