//! The register allocator: live ranges are gathered in bundles (coalescing), bundles take registers by priority, evict lighter
//! ones, are split or spilled.
//!
//! Operands fixed to a register do not constrain a bundle: the register is reserved for the operand at its instruction and
//! a move brings the value there unless the bundle lives in it anyway. A vreg that is spilled anywhere is stored once, where it is
//! defined; from then on its slot holds it.

pub mod liveness;
pub mod loops;
pub mod parallel_moves;
mod resolve;

use super::CodegenError;
use super::registers::{Constraint, PReg, PRegSet, RegClass, RegisterFile, VReg};
use super::vcode::{AllocationResult, MachInst, VCode};
use liveness::{Liveness, Point, Site, gap};
use smallvec::SmallVec;
use std::collections::BinaryHeap;

/// Weight of bundles that cannot be split any more.
const MINIMAL_WEIGHT: f32 = 1e30;
/// Weight of those among them that only some registers will do for, so that they come before the others.
const NARROW_MINIMAL_WEIGHT: f32 = 2e30;
/// After so many splits a bundle falls apart into its uses.
const MAX_SPLITS: u8 = 6;
/// Bundles of more ranges than this are not merged further.
const MAX_MERGED: usize = 256;

/// Allocates registers. With `split_hard` live ranges are moved out of loops when split.
pub fn allocate<I: MachInst>(code: &VCode<I>, file: &RegisterFile, split_hard: bool) -> Result<AllocationResult, CodegenError> {
    let liveness = Liveness::compute(code)?;
    let mut allocator = Allocator {
        code,
        file,
        live: liveness,
        bundles: Vec::new(),
        queue: BinaryHeap::new(),
        taken: vec![Vec::new(); PReg::COUNT],
        spill_sets: 0,
        split_hard,
    };
    allocator.build_bundles();
    allocator.run()?;
    resolve::finish(allocator)
}

/// A live range of a vreg in a bundle.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: Point,
    to: Point,
    vreg: VReg,
}

/// Ranges that share one place.
#[derive(Clone, Debug)]
struct Bundle {
    ranges: SmallVec<[Range; 2]>,
    hints: SmallVec<[PReg; 2]>,
    spill_set: u32,
    weight: f32,
    splits: u8,
    /// Something in it needs a register of the narrow set.
    narrow: bool,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Open,
    Reg(PReg),
    Stack,
    Gone,
}

impl Bundle {
    fn from(&self) -> Point {
        self.ranges[0].from
    }
    fn to(&self) -> Point {
        self.ranges[self.ranges.len() - 1].to
    }
    fn is_minimal(&self) -> bool {
        self.from() >> 2 == (self.to() - 1) >> 2
    }
    fn class(&self) -> RegClass {
        self.ranges[0].vreg.class()
    }
}

/// What is in the way of a bundle in one register.
enum Probe {
    Free,
    /// These lighter bundles, with the heaviest one's weight.
    Evictable(SmallVec<[u32; 4]>, f32),
    /// Something that stays, from this point on.
    Blocked(Point),
}

struct Allocator<'a, I> {
    code: &'a VCode<I>,
    file: &'a RegisterFile,
    live: Liveness,
    bundles: Vec<Bundle>,
    queue: BinaryHeap<(u32, std::cmp::Reverse<u32>)>,
    /// By register: ranges with their bundles, sorted.
    taken: Vec<Vec<(Point, Point, u32)>>,
    spill_sets: u32,
    split_hard: bool,
}

impl<I: MachInst> Allocator<'_, I> {
    fn build_bundles(&mut self) {
        let mut bundle_of = vec![u32::MAX; self.live.ranges.len()];
        for (index, bundle) in bundle_of.iter_mut().enumerate() {
            let Some(vreg) = self.live.vregs[index] else { continue };
            let ranges: SmallVec<[Range; 2]> =
                self.live.ranges[index].iter().map(|&(from, to)| Range { from, to, vreg }).collect();
            if ranges.is_empty() {
                continue;
            }
            let mut hints = SmallVec::new();
            for hint in self.live.sites(index).iter().filter_map(|site| site.hint) {
                if hints.len() < 4 && !hints.contains(&hint) {
                    hints.push(hint);
                }
            }
            *bundle = self.bundles.len() as u32;
            self.bundles.push(Bundle { ranges, hints, spill_set: 0, weight: 0.0, splits: 0, narrow: false, place: Place::Open });
        }
        for inst in 0..self.code.insts.len() {
            let operands = self.live.operand_start[inst] as usize..self.live.operand_start[inst + 1] as usize;
            for index in operands.clone() {
                if let Constraint::ReuseInput(input) = self.live.operands[index].constraint {
                    let from = self.live.operands[operands.start + input as usize].vreg;
                    self.merge(&mut bundle_of, self.live.operands[index].vreg, from);
                }
            }
        }
        for block in &self.code.blocks {
            for edge in &block.successors {
                for (&param, &arg) in self.code.blocks[edge.block.index()].params.iter().zip(&edge.args) {
                    self.merge(&mut bundle_of, param, arg);
                }
            }
        }
        for inst in &self.code.insts {
            if let Some((to, from)) = inst.as_move() {
                self.merge(&mut bundle_of, to, from);
            }
        }
        for index in 0..self.bundles.len() {
            if self.bundles[index].place == Place::Open {
                self.bundles[index].spill_set = self.spill_sets;
                self.spill_sets += 1;
                self.enqueue(index as u32);
            }
        }
    }

    /// Merges the bundles of two vregs if they never live at once.
    fn merge(&mut self, bundle_of: &mut [u32], a: VReg, b: VReg) {
        let mut find = |vreg: VReg| {
            let mut bundle = bundle_of[vreg.index()];
            while let Some(&Bundle { place: Place::Gone, spill_set, .. }) = self.bundles.get(bundle as usize) {
                bundle = spill_set;
            }
            bundle_of[vreg.index()] = bundle;
            bundle
        };
        let (mut a_bundle, mut b_bundle) = (find(a), find(b));
        if a_bundle == b_bundle || a.class() != b.class() || a_bundle == u32::MAX || b_bundle == u32::MAX {
            return;
        }
        if self.bundles[a_bundle as usize].ranges.len() < self.bundles[b_bundle as usize].ranges.len() {
            std::mem::swap(&mut a_bundle, &mut b_bundle);
        }
        let (left, right) = (&self.bundles[a_bundle as usize].ranges, &self.bundles[b_bundle as usize].ranges);
        if left.len() + right.len() > MAX_MERGED {
            return;
        }
        let (mut i, mut j) = (0, 0);
        while i < left.len() && j < right.len() {
            if left[i].to <= right[j].from {
                i += 1;
            } else if right[j].to <= left[i].from {
                j += 1;
            } else {
                return;
            }
        }
        let other = std::mem::take(&mut self.bundles[b_bundle as usize].ranges);
        let hints = std::mem::take(&mut self.bundles[b_bundle as usize].hints);
        self.bundles[b_bundle as usize].place = Place::Gone;
        // Until spill sets are numbered the field says where a merged bundle went.
        self.bundles[b_bundle as usize].spill_set = a_bundle;
        let into = &mut self.bundles[a_bundle as usize];
        into.ranges.extend(other);
        into.ranges.sort_unstable_by_key(|range| range.from);
        for hint in hints {
            if into.hints.len() < 4 && !into.hints.contains(&hint) {
                into.hints.push(hint);
            }
        }
    }

    /// Sites of a vreg that lie in `[from, to)`.
    fn sites_in(&self, range: Range) -> &[Site] {
        let sites = self.live.sites(range.vreg.index());
        let first = sites.partition_point(|site| gap(site.inst) + 3 < range.from);
        let last = sites.partition_point(|site| gap(site.inst) < range.to);
        &sites[first..last.max(first)]
    }

    fn enqueue(&mut self, index: u32) {
        let bundle = &self.bundles[index as usize];
        let mut weight = 0.0;
        let mut length = 0;
        let mut narrow = false;
        for &range in &bundle.ranges {
            length += range.to - range.from;
            let sites = self.sites_in(range);
            weight += sites.iter().map(|site| if site.register { site.weight * 2.0 } else { site.weight }).sum::<f32>();
            narrow |= sites.iter().any(|site| site.narrow && self.needs_register(range, site));
        }
        let minimal = bundle.is_minimal()
            && bundle.ranges.iter().any(|&range| self.sites_in(range).iter().any(|site| self.needs_register(range, site)));
        let bundle = &mut self.bundles[index as usize];
        bundle.narrow = narrow;
        bundle.weight = match (minimal, narrow) {
            (true, true) => NARROW_MINIMAL_WEIGHT,
            (true, false) => MINIMAL_WEIGHT,
            _ => weight / (length as f32 + 8.0),
        };
        bundle.place = Place::Open;
        self.queue.push((length, std::cmp::Reverse(index)));
    }

    fn run(&mut self) -> Result<(), CodegenError> {
        while let Some((_, std::cmp::Reverse(index))) = self.queue.pop() {
            if self.bundles[index as usize].place == Place::Open {
                self.place(index)?;
            }
        }
        Ok(())
    }

    fn place(&mut self, index: u32) -> Result<(), CodegenError> {
        let class = self.bundles[index as usize].class();
        let blocked = self.clobbered(index);
        let allocatable = &self.file.allocatable[class.index()];
        let mut candidates: SmallVec<[PReg; 20]> = SmallVec::new();
        for &hint in &self.bundles[index as usize].hints {
            if allocatable.contains(&hint) {
                candidates.push(hint);
            }
        }
        for &register in allocatable {
            if !candidates.contains(&register) {
                candidates.push(register);
            }
        }
        let mut furthest = 0;
        let mut best: Option<(PReg, SmallVec<[u32; 4]>, f32)> = None;
        let narrow = self.bundles[index as usize].narrow;
        for register in candidates {
            if narrow && !self.file.narrow.contains(register) {
                continue;
            }
            if blocked.contains(register) {
                furthest = furthest.max(self.first_clobber(index, register));
                continue;
            }
            match self.probe(index, register) {
                Probe::Free => {
                    self.assign(index, register);
                    return Ok(());
                }
                Probe::Evictable(bundles, weight) => {
                    if best.as_ref().is_none_or(|best| weight < best.2) {
                        best = Some((register, bundles, weight));
                    }
                }
                Probe::Blocked(point) => furthest = furthest.max(point),
            }
        }
        if let Some((register, bundles, _)) = best {
            for other in bundles {
                self.evict(other);
            }
            self.assign(index, register);
            return Ok(());
        }
        self.split(index, furthest)
    }

    /// Registers that instructions within the bundle destroy.
    fn clobbered(&self, index: u32) -> PRegSet {
        let mut set = PRegSet::EMPTY;
        for (clobbers, insts) in &self.live.clobbers {
            if clobbers.difference(set).is_empty() {
                continue;
            }
            if self.bundles[index as usize].ranges.iter().any(|range| first_clobber_in(insts, *range).is_some()) {
                set = set.union(*clobbers);
            }
        }
        set
    }

    fn first_clobber(&self, index: u32, register: PReg) -> Point {
        let sets = self.live.clobbers.iter().filter(|(set, _)| set.contains(register));
        let points = sets.filter_map(|(_, insts)| {
            self.bundles[index as usize].ranges.iter().find_map(|range| first_clobber_in(insts, *range))
        });
        points.min().unwrap_or(0)
    }

    fn probe(&self, index: u32, register: PReg) -> Probe {
        let bundle = &self.bundles[index as usize];
        let mut conflicts: SmallVec<[u32; 4]> = SmallVec::new();
        let mut heaviest: f32 = 0.0;
        let reservations = &self.live.reservations[register.index()];
        let taken = &self.taken[register.index()];
        for range in &bundle.ranges {
            let first = reservations.partition_point(|each| each.to <= range.from);
            for each in &reservations[first..] {
                if each.from >= range.to {
                    break;
                }
                if each.owner != range.vreg {
                    return Probe::Blocked(each.from);
                }
            }
            let first = taken.partition_point(|each| each.1 <= range.from);
            for &(from, _, other) in &taken[first..] {
                if from >= range.to {
                    break;
                }
                let weight = self.bundles[other as usize].weight;
                if weight >= bundle.weight {
                    return Probe::Blocked(from.max(range.from));
                }
                heaviest = heaviest.max(weight);
                if !conflicts.contains(&other) {
                    conflicts.push(other);
                }
            }
        }
        if conflicts.is_empty() { Probe::Free } else { Probe::Evictable(conflicts, heaviest) }
    }

    fn assign(&mut self, index: u32, register: PReg) {
        self.bundles[index as usize].place = Place::Reg(register);
        let taken = &mut self.taken[register.index()];
        for range in &self.bundles[index as usize].ranges {
            let at = taken.partition_point(|each| each.0 < range.from);
            taken.insert(at, (range.from, range.to, index));
        }
    }

    fn evict(&mut self, index: u32) {
        let Place::Reg(register) = self.bundles[index as usize].place else { return };
        let taken = &mut self.taken[register.index()];
        for range in &self.bundles[index as usize].ranges {
            let at = taken.partition_point(|each| each.0 < range.from);
            taken.remove(at);
        }
        self.enqueue(index);
    }

    /// Splits a bundle that found no register, or spills it if nothing in it needs one.
    fn split(&mut self, index: u32, furthest: Point) -> Result<(), CodegenError> {
        let bundle = &self.bundles[index as usize];
        let mut needs: Vec<u32> = Vec::new();
        for &range in &bundle.ranges {
            needs.extend(self.sites_in(range).iter().filter(|site| self.needs_register(range, site)).map(|site| site.inst));
        }
        needs.sort_unstable();
        needs.dedup();
        let (Some(&first), Some(&last)) = (needs.first(), needs.last()) else {
            self.bundles[index as usize].place = Place::Stack;
            return Ok(());
        };
        if bundle.is_minimal() {
            return self.cut_minimal(index, first);
        }
        if bundle.splits >= MAX_SPLITS {
            // Each use gets a piece of its own, in one go.
            let mut rest = index;
            for inst in needs {
                let (before, from) = self.cut(rest, gap(inst));
                self.spill(before);
                let (piece, after) = self.cut(from.unwrap_or(u32::MAX), gap(inst + 1));
                if let Some(piece) = piece {
                    self.enqueue(piece);
                }
                match after {
                    Some(after) => rest = after,
                    None => return Ok(()),
                }
            }
            self.spill(Some(rest));
            return Ok(());
        }
        let (from, to) = (bundle.from(), bundle.to());
        let mut at = self.out_of_loop(from, furthest) & !3;
        if at <= gap(first) || at >= to {
            at = gap(first + 1);
        }
        if at >= to || (first == last && gap(first) > from) {
            at = gap(first);
        }
        let (left, right) = self.cut(index, at);
        for piece in [left, right].into_iter().flatten() {
            self.trim(piece);
        }
        Ok(())
    }

    /// In splitting mode: a point before the loop that `point` is in and `from` is not.
    fn out_of_loop(&self, from: Point, point: Point) -> Point {
        let block_at = |point: Point| {
            let inst = ((point >> 2) as usize).min(self.code.insts.len() - 1);
            self.live.block_of[inst] as usize
        };
        if !self.split_hard {
            return point;
        }
        let depth = self.code.blocks[block_at(from)].loop_depth;
        let mut block = block_at(point);
        if self.code.blocks[block].loop_depth <= depth {
            return point;
        }
        while block > 0 && self.code.blocks[block - 1].loop_depth > depth {
            block -= 1;
        }
        let start = gap(self.code.blocks[block].insts.start);
        if start > from { start } else { point }
    }

    fn needs_register(&self, range: Range, site: &Site) -> bool {
        site.register && gap(site.inst) < range.to && range.from <= gap(site.inst) + 2
    }

    /// Spills what lies before the first and after the last use.
    fn trim(&mut self, index: u32) {
        let bundle = &self.bundles[index as usize];
        let mut span: Option<(u32, u32)> = None;
        for &range in &bundle.ranges {
            for site in self.sites_in(range) {
                let (first, last) = span.unwrap_or((site.inst, site.inst));
                span = Some((first.min(site.inst), last.max(site.inst)));
            }
        }
        let Some((first, last)) = span else {
            self.spill(Some(index));
            return;
        };
        let (before, rest) = self.cut(index, gap(first));
        self.spill(before);
        let Some(rest) = rest else { return };
        let (piece, after) = self.cut(rest, gap(last + 1));
        self.spill(after);
        if let Some(piece) = piece {
            self.enqueue(piece);
        }
    }

    fn spill(&mut self, index: Option<u32>) {
        if let Some(index) = index {
            self.bundles[index as usize].place = Place::Stack;
        }
    }

    /// Cuts a bundle in two at a point; the first part keeps the index.
    fn cut(&mut self, index: u32, at: Point) -> (Option<u32>, Option<u32>) {
        let Some(bundle) = self.bundles.get_mut(index as usize) else { return (None, None) };
        if at <= bundle.from() {
            return (None, Some(index));
        }
        if at >= bundle.to() {
            return (Some(index), None);
        }
        bundle.splits = bundle.splits.saturating_add(1);
        let first = bundle.ranges.partition_point(|range| range.to <= at);
        let mut ranges: SmallVec<[Range; 2]> = bundle.ranges.drain(first..).collect();
        if ranges[0].from < at {
            bundle.ranges.push(Range { to: at, ..ranges[0] });
            ranges[0].from = at;
        }
        let right = Bundle { ranges, hints: bundle.hints.clone(), place: Place::Open, ..*bundle };
        self.bundles.push(right);
        (Some(index), Some(self.bundles.len() as u32 - 1))
    }

    /// A piece within one instruction that found no register although its weight is the highest: what lives through a call but is
    /// needed in a register before it lives on in its slot.
    fn cut_minimal(&mut self, index: u32, inst: u32) -> Result<(), CodegenError> {
        let late = gap(inst) + 2;
        let bundle = &self.bundles[index as usize];
        if bundle.ranges.len() > 1 {
            let at = bundle.ranges[1].from;
            let (left, right) = self.cut(index, at);
            for piece in [left, right].into_iter().flatten() {
                self.enqueue(piece);
            }
            return Ok(());
        }
        let sites = self.sites_in(bundle.ranges[0]);
        let early_only = sites.iter().all(|site| site.inst != inst || site.point <= late);
        if bundle.from() < late && bundle.to() > late && early_only {
            let (piece, rest) = self.cut(index, late);
            self.spill(rest);
            if let Some(piece) = piece {
                self.enqueue(piece);
            }
            return Ok(());
        }
        let message = format!("instruction {inst} ({:?}) needs more registers than there are", self.code.insts[inst as usize]);
        Err(CodegenError { message })
    }
}

fn first_clobber_in(insts: &[u32], range: Range) -> Option<Point> {
    // A clobber takes the points late and behind.
    let first = insts.partition_point(|&inst| gap(inst + 1) <= range.from);
    insts.get(first).map(|&inst| gap(inst) + 2).filter(|&point| point < range.to)
}

#[cfg(test)]
mod tests;
