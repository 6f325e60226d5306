//! Live ranges of vregs over program points.
//!
//! Instruction `i` has four points: `4i` the gap before it (moves), `4i+1` early (uses are read), `4i+2` late
//! (definitions are written), `4i+3` just behind. Ranges are half-open. Each use is followed backwards to its definition,
//! so the cost is that of the ranges themselves.

use crate::mach::CodegenError;
use crate::mach::registers::{Constraint, Operand, OperandKind, PReg, PRegSet, Position, VReg};
use crate::mach::vcode::{MachBlock, MachInst, VCode};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A program point.
pub type Point = u32;

/// The gap before an instruction.
pub fn gap(inst: u32) -> Point {
    inst << 2
}

/// A read or write of a vreg.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The instruction.
    pub inst: u32,
    /// Last point at which it holds the vreg there plus one (use), or first (definition).
    pub point: Point,
    /// Must be a register of the vreg's own.
    pub register: bool,
    /// Must be one of the narrow set.
    pub narrow: bool,
    /// Preferred register.
    pub hint: Option<PReg>,
    /// How often it runs, by guess.
    pub weight: f32,
}

/// A register that an operand needs for itself for some points.
#[derive(Clone, Copy, Debug)]
pub struct Reservation {
    /// First point.
    pub from: Point,
    /// End.
    pub to: Point,
    /// Whose it is.
    pub owner: VReg,
}

/// What the allocator knows before it begins.
pub struct Liveness {
    /// Operands of all instructions.
    pub operands: Vec<Operand>,
    /// By instruction: first operand; one more at the end.
    pub operand_start: Vec<u32>,
    /// By vreg: ranges, sorted and disjoint.
    pub ranges: Vec<SmallVec<[(Point, Point); 2]>>,
    /// By vreg: its class is in the handle.
    pub vregs: Vec<Option<VReg>>,
    /// Definitions and uses, by vreg and point.
    sites: Vec<Site>,
    /// By vreg: its first site; one more at the end.
    site_start: Vec<u32>,
    /// By vreg: must have a slot.
    pub needs_slot: Vec<bool>,
    /// By register index: what operands fixed to it take, sorted.
    pub reservations: Vec<Vec<Reservation>>,
    /// Distinct clobber sets with the instructions that have them, sorted.
    pub clobbers: Vec<(PRegSet, Vec<u32>)>,
    /// By instruction: its block.
    pub block_of: Vec<u32>,
}

/// How often a block runs, by guess.
pub fn block_weight(cold: bool, depth: u32) -> f32 {
    if cold { 0.01 } else { 10f32.powi(depth as i32) }
}

impl Liveness {
    /// Collects operands and computes ranges.
    pub fn compute<I: MachInst>(code: &VCode<I>) -> Result<Liveness, CodegenError> {
        let vregs = code.vreg_types.len();
        let mut this = Liveness {
            operands: Vec::with_capacity(code.insts.len() * 3),
            operand_start: Vec::with_capacity(code.insts.len() + 1),
            ranges: vec![SmallVec::new(); vregs],
            vregs: vec![None; vregs],
            sites: Vec::new(),
            site_start: Vec::new(),
            needs_slot: vec![false; vregs],
            reservations: vec![Vec::new(); PReg::COUNT],
            clobbers: Vec::new(),
            block_of: vec![0; code.insts.len()],
        };
        // By vreg: block and first point of the definition.
        let mut definitions: Vec<Option<(u32, Point)>> = vec![None; vregs];
        // Uses, with the block and the end of the range.
        let mut uses: Vec<(VReg, u32, Point)> = Vec::new();
        let mut sites: Vec<(u32, Site)> = Vec::with_capacity(code.insts.len() * 3);
        this.collect(code, &mut definitions, &mut uses, &mut sites)?;
        this.extend(code, &definitions, &uses)?;
        this.sort_sites(vregs, &sites);
        for reservations in &mut this.reservations {
            reservations.sort_by_key(|reservation| reservation.from);
        }
        Ok(this)
    }

    /// Definition and uses of a vreg, sorted by point.
    pub fn sites(&self, vreg: usize) -> &[Site] {
        &self.sites[self.site_start[vreg] as usize..self.site_start[vreg + 1] as usize]
    }

    fn sort_sites(&mut self, vregs: usize, sites: &[(u32, Site)]) {
        self.site_start.resize(vregs + 1, 0);
        for (vreg, _) in sites {
            self.site_start[*vreg as usize] += 1;
        }
        let mut total = 0;
        for start in &mut self.site_start {
            total += *start;
            *start = total;
        }
        let Some(&(_, any)) = sites.first() else { return };
        self.sites.resize(sites.len(), any);
        // From behind, so that those of one vreg stay in order.
        for &(vreg, site) in sites.iter().rev() {
            let place = &mut self.site_start[vreg as usize];
            *place -= 1;
            self.sites[*place as usize] = site;
        }
        for pair in self.site_start.windows(2) {
            let sites = &mut self.sites[pair[0] as usize..pair[1] as usize];
            if !sites.is_sorted_by_key(|site| site.point) {
                sites.sort_by_key(|site| site.point);
            }
        }
    }

    fn collect<I: MachInst>(
        &mut self,
        code: &VCode<I>,
        definitions: &mut [Option<(u32, Point)>],
        uses: &mut Vec<(VReg, u32, Point)>,
        sites: &mut Vec<(u32, Site)>,
    ) -> Result<(), CodegenError> {
        let mut clobber_index: FxHashMap<PRegSet, usize> = FxHashMap::default();
        for (index, block) in code.blocks.iter().enumerate() {
            let index = index as u32;
            let weight = block_weight(block.cold, block.loop_depth);
            for &param in &block.params {
                self.vregs[param.index()] = Some(param);
                definitions[param.index()] = Some((index, gap(block.insts.start)));
            }
            for inst in block.insts.clone() {
                self.block_of[inst as usize] = index;
                let start = self.operands.len();
                self.operand_start.push(start as u32);
                let operands = &mut self.operands;
                code.insts[inst as usize].operands(&mut |operand| operands.push(operand));
                let mut reused: Option<usize> = None;
                for operand in &self.operands[start..] {
                    if let Constraint::ReuseInput(input) = operand.constraint {
                        reused = Some(start + input as usize);
                    }
                }
                for number in start..self.operands.len() {
                    let operand = self.operands[number];
                    let vreg = operand.vreg.index();
                    self.vregs[vreg] = Some(operand.vreg);
                    let early = gap(inst) + 1;
                    let point = match (operand.kind, operand.position) {
                        (OperandKind::Use, _) if reused == Some(number) => early,
                        (OperandKind::Use, Position::Early) => early + 1,
                        (OperandKind::Use, Position::Late) => gap(inst + 1),
                        (OperandKind::Def, _) if matches!(operand.constraint, Constraint::ReuseInput(_)) => early,
                        (OperandKind::Def, Position::Early) => early,
                        (OperandKind::Def, Position::Late) => early + 1,
                    };
                    let mut site = Site { inst, point, register: false, narrow: false, hint: None, weight };
                    match operand.constraint {
                        Constraint::Reg => site.register = reused != Some(number),
                        Constraint::Narrow => {
                            site.register = reused != Some(number);
                            site.narrow = site.register;
                        }
                        Constraint::ReuseInput(input) => {
                            site.register = true;
                            site.narrow = self.operands[start + input as usize].constraint == Constraint::Narrow;
                        }
                        Constraint::Fixed(register) => {
                            site.hint = Some(register);
                            let (from, to) = match operand.kind {
                                OperandKind::Use => (early, point),
                                OperandKind::Def => (point, gap(inst + 1)),
                            };
                            if from < to {
                                self.reservations[register.index()].push(Reservation { from, to, owner: operand.vreg });
                            }
                        }
                        Constraint::Stack => self.needs_slot[vreg] = true,
                        Constraint::Any => {}
                    }
                    sites.push((vreg as u32, site));
                    match operand.kind {
                        OperandKind::Use => uses.push((operand.vreg, index, point)),
                        OperandKind::Def => {
                            if definitions[vreg].replace((index, point)).is_some() {
                                return Err(CodegenError { message: format!("{} is defined twice", operand.vreg) });
                            }
                            self.ranges[vreg].push((point, gap(inst + 1)));
                        }
                    }
                }
                let clobbers = code.insts[inst as usize].clobbers();
                if !clobbers.is_empty() {
                    // A definition's register is reserved for it anyway.
                    let mut set = clobbers;
                    for operand in &self.operands[start..] {
                        if let (Constraint::Fixed(register), OperandKind::Def) = (operand.constraint, operand.kind) {
                            set = set.without(register);
                        }
                    }
                    let known = *clobber_index.entry(set).or_insert_with(|| {
                        self.clobbers.push((set, Vec::new()));
                        self.clobbers.len() - 1
                    });
                    self.clobbers[known].1.push(inst);
                }
            }
            for arg in block.successors.iter().flat_map(|edge| &edge.args) {
                self.vregs[arg.index()] = Some(*arg);
                uses.push((*arg, index, gap(block.insts.end)));
                let last = block.insts.end - 1;
                let site = Site { inst: last, point: gap(block.insts.end), register: false, narrow: false, hint: None, weight };
                sites.push((arg.index() as u32, site));
            }
        }
        self.operand_start.push(self.operands.len() as u32);
        Ok(())
    }

    fn extend<I: MachInst>(
        &mut self,
        code: &VCode<I>,
        definitions: &[Option<(u32, Point)>],
        uses: &[(VReg, u32, Point)],
    ) -> Result<(), CodegenError> {
        let mut start = vec![0u32; self.ranges.len() + 1];
        for (vreg, _, _) in uses {
            start[vreg.index() + 1] += 1;
        }
        for index in 1..start.len() {
            start[index] += start[index - 1];
        }
        let mut next = start.clone();
        let mut sorted = vec![(0u32, 0 as Point); uses.len()];
        for &(vreg, block, point) in uses {
            sorted[next[vreg.index()] as usize] = (block, point);
            next[vreg.index()] += 1;
        }
        let mut live_out = vec![u32::MAX; code.blocks.len()];
        let mut worklist: Vec<MachBlock> = Vec::new();
        for vreg in 0..self.ranges.len() {
            let Some((def_block, def_point)) = definitions[vreg] else {
                if start[vreg] != start[vreg + 1] {
                    return Err(CodegenError { message: format!("vreg {vreg} is used but not defined") });
                }
                continue;
            };
            let ranges = &mut self.ranges[vreg];
            for &(block, point) in &sorted[start[vreg] as usize..start[vreg + 1] as usize] {
                let info = &code.blocks[block as usize];
                if block == def_block {
                    ranges.push((def_point, point));
                    continue;
                }
                ranges.push((gap(info.insts.start), point));
                worklist.extend(&info.predecessors);
                let mut stranded = info.predecessors.is_empty();
                while let Some(block) = worklist.pop() {
                    if std::mem::replace(&mut live_out[block.index()], vreg as u32) == vreg as u32 {
                        continue;
                    }
                    let info = &code.blocks[block.index()];
                    let end = gap(info.insts.end);
                    if block.0 == def_block {
                        ranges.push((def_point, end));
                    } else {
                        ranges.push((gap(info.insts.start), end));
                        stranded |= info.predecessors.is_empty();
                        worklist.extend(&info.predecessors);
                    }
                }
                if stranded {
                    return Err(CodegenError { message: format!("vreg {vreg} is used where its definition does not reach") });
                }
            }
            if ranges.is_empty() {
                // A parameter without uses still is written on the edges.
                ranges.push((def_point, def_point + 1));
            }
            ranges.sort_unstable();
            let mut merged: SmallVec<[(Point, Point); 2]> = SmallVec::new();
            for &(from, to) in ranges.iter().filter(|range| range.0 < range.1) {
                match merged.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(to),
                    _ => merged.push((from, to)),
                }
            }
            *ranges = merged;
        }
        Ok(())
    }
}
