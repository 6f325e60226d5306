//! The buffer that machine code is emitted to: labels, branches that are shortened where they reach, constants after the code,
//! traps, call sites, relocations and lines.
//!
//! A branch takes no bytes until the end: [`MachBuffer::finish`] chooses each one's form, starting with the
//! shortest and growing until all reach. So forward branches get short forms too. Everything recorded
//! keeps the number of branches before it beside its raw offset and moves along. A machine without
//! forms to choose from uses fixups only.

use super::{CallSite, CodegenError, CompiledCode, Reloc, RelocKind, TrapSite};
use crate::entity::Region;
use crate::function::SymbolRef;
use crate::instruction::{SourceOffset, TrapCode};

/// A place in the code that branches and fixups refer to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(u32);

/// How a machine encodes references to labels.
pub trait Encoding {
    /// Kinds of branches of variable length.
    type Branch: Copy;
    /// Kinds of fields of fixed length that a label's place is written into.
    type Fixup: Copy;
    /// The lengths that a branch may have, ascending. Length 0 is for a jump that vanishes if it would go just behind itself.
    fn branch_lengths(branch: Self::Branch) -> &'static [u8];
    /// Whether the form of this length spans `distance`, from the branch's end to its target.
    fn branch_reaches(branch: Self::Branch, length: u8, distance: i64) -> bool;
    /// Appends the form of this length.
    fn encode_branch(branch: Self::Branch, length: u8, distance: i64, out: &mut Vec<u8>);
    /// Writes the field at `field`, of which the label is at `target`; both are offsets in `bytes`. False if it does not reach.
    fn apply_fixup(fixup: Self::Fixup, bytes: &mut [u8], field: usize, target: usize) -> bool;
    /// How far after its field a constant may lie (`u32::MAX` where it does not matter): decides about islands.
    fn constant_reach(_fixup: Self::Fixup) -> u32 {
        u32::MAX
    }
}

/// An offset before the lengths of branches are known: bytes and number of branches before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    raw: u32,
    branches: u32,
}

const UNBOUND: Place = Place { raw: u32::MAX, branches: 0 };

#[derive(Clone, Debug)]
struct Constant {
    bytes: Vec<u8>,
    align: u32,
    label: Label,
}

/// Code under construction.
pub struct MachBuffer<E: Encoding> {
    bytes: Vec<u8>,
    labels: Vec<Place>,
    branches: Vec<(u32, E::Branch, Label)>,
    fixups: Vec<(Place, E::Fixup, Label)>,
    differences: Vec<(Place, Label, Label)>,
    traps: Vec<(Place, TrapCode, Option<Region>)>,
    call_sites: Vec<(Place, Option<Region>)>,
    relocs: Vec<(Place, RelocKind, SymbolRef, i32)>,
    lines: Vec<(Place, SourceOffset)>,
    constants: Vec<Constant>,
    deadline: u32,
    region: Option<Region>,
    align: u32,
}

/// Where things came to lie; for what a back end records itself.
pub struct FinishedCode {
    /// The code; its frame and handlers are still empty.
    pub code: CompiledCode,
    labels: Vec<u32>,
}

impl FinishedCode {
    /// Final offset of a label.
    pub fn label_offset(&self, label: Label) -> u32 {
        self.labels[label.0 as usize]
    }
}

impl<E: Encoding> Default for MachBuffer<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Encoding> MachBuffer<E> {
    /// An empty buffer.
    pub fn new() -> Self {
        MachBuffer {
            bytes: Vec::new(),
            labels: Vec::new(),
            branches: Vec::new(),
            fixups: Vec::new(),
            differences: Vec::new(),
            traps: Vec::new(),
            call_sites: Vec::new(),
            relocs: Vec::new(),
            lines: Vec::new(),
            constants: Vec::new(),
            deadline: u32::MAX,
            region: None,
            align: 8,
        }
    }

    fn here(&self) -> Place {
        Place { raw: self.bytes.len() as u32, branches: self.branches.len() as u32 }
    }

    /// Bytes so far without branches of variable length: for estimates, and exact on machines that have none.
    pub fn raw_offset(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Appends one byte.
    pub fn put1(&mut self, byte: u8) {
        self.bytes.push(byte);
    }
    /// Appends 16 bits, little-endian.
    pub fn put2(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    /// Appends 32 bits, little-endian.
    pub fn put4(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    /// Appends 64 bits, little-endian.
    pub fn put8(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }
    /// Appends bytes.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A new label, not bound yet.
    pub fn new_label(&mut self) -> Label {
        self.labels.push(UNBOUND);
        Label(self.labels.len() as u32 - 1)
    }
    /// `count` new labels in a row; [`MachBuffer::nth_label`] gives the others. For blocks.
    pub fn new_labels(&mut self, count: usize) -> Label {
        let first = Label(self.labels.len() as u32);
        self.labels.resize(self.labels.len() + count, UNBOUND);
        first
    }
    /// Label number `index` of those that `new_labels` began with `first`.
    pub fn nth_label(first: Label, index: usize) -> Label {
        Label(first.0 + index as u32)
    }
    /// Binds a label to this place.
    pub fn bind(&mut self, label: Label) {
        debug_assert!(self.labels[label.0 as usize] == UNBOUND, "label bound twice");
        self.labels[label.0 as usize] = self.here();
    }
    /// A new label bound to this place.
    pub fn bind_new(&mut self) -> Label {
        let label = self.new_label();
        self.bind(label);
        label
    }

    /// A branch of variable length to `label` at this place. Appends no bytes itself.
    pub fn branch(&mut self, branch: E::Branch, label: Label) {
        self.branches.push((self.bytes.len() as u32, branch, label));
    }
    /// The field at raw offset `field`, in bytes put since the last branch, is to be filled in with `label`.
    pub fn fixup(&mut self, field: u32, fixup: E::Fixup, label: Label) {
        debug_assert!(self.branches.last().is_none_or(|branch| branch.0 <= field));
        let reach = E::constant_reach(fixup);
        if reach != u32::MAX && self.labels[label.0 as usize] == UNBOUND {
            self.deadline = self.deadline.min(field.saturating_add(reach));
        }
        self.fixups.push((Place { raw: field, branches: self.branches.len() as u32 }, fixup, label));
    }
    /// Appends 32 bits: the distance from `base` to `label`; for jump tables.
    pub fn put_difference(&mut self, label: Label, base: Label) {
        self.differences.push((self.here(), label, base));
        self.put4(0);
    }

    /// The label of a constant that will lie after the code; equal constants share one. `align` is a power of two up to 16.
    pub fn constant(&mut self, bytes: &[u8], align: u32) -> Label {
        if let Some(known) = self.constants.iter().find(|known| known.bytes == bytes && known.align >= align) {
            return known.label;
        }
        let label = self.new_label();
        self.constants.push(Constant { bytes: bytes.to_vec(), align, label });
        label
    }
    /// Whether the constants must be put here or before, if `upcoming` more bytes follow before the next chance.
    pub fn needs_island(&self, upcoming: u32) -> bool {
        let size: u32 = self.constants.iter().map(|constant| constant.bytes.len() as u32 + constant.align).sum();
        self.raw_offset().saturating_add(upcoming).saturating_add(size) >= self.deadline
    }
    /// Puts the constants here, amid the code; the back end branches around them. Only for machines without branches of
    /// variable length.
    pub fn put_island(&mut self) {
        for constant in std::mem::take(&mut self.constants) {
            self.align_raw(constant.align);
            self.bind(constant.label);
            self.put_bytes(&constant.bytes);
        }
        self.deadline = u32::MAX;
    }
    fn align_raw(&mut self, align: u32) {
        while self.bytes.len() as u32 % align != 0 {
            self.bytes.push(0);
        }
    }

    /// The protected region of what follows.
    pub fn set_region(&mut self, region: Option<Region>) {
        self.region = region;
    }
    /// The source position of what follows.
    pub fn set_source(&mut self, source: SourceOffset) {
        if self.lines.last().is_none_or(|last| last.1 != source) {
            let here = self.here();
            self.lines.push((here, source));
        }
    }
    /// The instruction that begins here may trap.
    pub fn trap(&mut self, code: TrapCode) {
        let here = self.here();
        self.traps.push((here, code, self.region));
    }
    /// A call ended just here.
    pub fn call_site(&mut self) {
        let here = self.here();
        self.call_sites.push((here, self.region));
    }
    /// A reference to the outside in the field at raw offset `field`, in bytes put (or about to be put) since the last branch.
    pub fn reloc(&mut self, field: u32, kind: RelocKind, target: SymbolRef, addend: i32) {
        self.relocs.push((Place { raw: field, branches: self.branches.len() as u32 }, kind, target, addend));
    }

    /// Chooses the forms of the branches, puts the constants and fills everything in. Fails on unbound labels and fields
    /// that do not reach.
    pub fn finish(self) -> Result<FinishedCode, CodegenError> {
        let error = |message: &str| CodegenError { message: message.to_string() };
        let pooled: Vec<bool> = {
            let mut pooled = vec![false; self.labels.len()];
            for constant in &self.constants {
                pooled[constant.label.0 as usize] = true;
            }
            pooled
        };
        let unbound = |label: Label| self.labels[label.0 as usize] == UNBOUND;
        if self.branches.iter().any(|branch| unbound(branch.2)) {
            return Err(error("a branch goes to a label that was never bound"));
        }
        let shift = self.relax();
        let at = |place: Place| place.raw + shift[place.branches as usize];

        let mut bytes = Vec::with_capacity(self.bytes.len() + *shift.last().unwrap_or(&0) as usize + 64);
        let mut copied = 0;
        for (index, &(raw, branch, label)) in self.branches.iter().enumerate() {
            bytes.extend_from_slice(&self.bytes[copied..raw as usize]);
            copied = raw as usize;
            let length = shift[index + 1] - shift[index];
            let end = raw + shift[index + 1];
            if length != 0 {
                let distance = i64::from(at(self.labels[label.0 as usize])) - i64::from(end);
                if !E::branch_reaches(branch, length as u8, distance) {
                    return Err(error("a branch does not reach its target"));
                }
                E::encode_branch(branch, length as u8, distance, &mut bytes);
            }
            if bytes.len() != end as usize {
                return Err(error("a branch has another length than promised"));
            }
        }
        bytes.extend_from_slice(&self.bytes[copied..]);
        let code_len = bytes.len() as u32;

        let mut labels: Vec<u32> = self.labels.iter().map(|&place| if place == UNBOUND { u32::MAX } else { at(place) }).collect();
        let mut constants: Vec<&Constant> = self.constants.iter().collect();
        constants.sort_by_key(|constant| std::cmp::Reverse(constant.align));
        let mut align = self.align;
        for constant in constants {
            align = align.max(constant.align);
            bytes.resize(bytes.len().next_multiple_of(constant.align as usize), 0);
            labels[constant.label.0 as usize] = bytes.len() as u32;
            bytes.extend_from_slice(&constant.bytes);
        }
        for &(place, fixup, label) in &self.fixups {
            let target = labels[label.0 as usize];
            if target == u32::MAX && !pooled[label.0 as usize] {
                return Err(error("a field refers to a label that was never bound"));
            }
            if !E::apply_fixup(fixup, &mut bytes, at(place) as usize, target as usize) {
                return Err(error("a field does not reach its label"));
            }
        }
        for &(place, label, base) in &self.differences {
            let (label, base) = (labels[label.0 as usize], labels[base.0 as usize]);
            if label == u32::MAX || base == u32::MAX {
                return Err(error("a jump table refers to a label that was never bound"));
            }
            let field = at(place) as usize;
            bytes[field..field + 4].copy_from_slice(&label.wrapping_sub(base).to_le_bytes());
        }

        let mut lines: Vec<(u32, SourceOffset)> = Vec::with_capacity(self.lines.len());
        for &(place, source) in &self.lines {
            let offset = at(place);
            // A position that covers no code is overwritten by the next.
            if lines.last().is_some_and(|last| last.0 == offset) {
                lines.pop();
            }
            if lines.last().is_none_or(|last| last.1 != source) {
                lines.push((offset, source));
            }
        }
        let mut traps: Vec<TrapSite> =
            self.traps.iter().map(|&(place, code, region)| TrapSite { offset: at(place), code, region }).collect();
        traps.sort_by_key(|trap| trap.offset);
        let mut call_sites: Vec<CallSite> =
            self.call_sites.iter().map(|&(place, region)| CallSite { return_offset: at(place), region }).collect();
        call_sites.sort_by_key(|site| site.return_offset);
        let relocs =
            self.relocs.iter().map(|&(place, kind, target, addend)| Reloc { offset: at(place), kind, target, addend }).collect();
        let code = CompiledCode { bytes, align, code_len, relocs, traps, call_sites, lines, ..CompiledCode::default() };
        Ok(FinishedCode { code, labels })
    }

    /// Bytes of the branches before each branch, and of all at the end. Forms only ever grow, so this ends.
    fn relax(&self) -> Vec<u32> {
        let mut form = vec![0u8; self.branches.len()];
        let mut shift = vec![0u32; self.branches.len() + 1];
        loop {
            for (index, &(_, branch, _)) in self.branches.iter().enumerate() {
                shift[index + 1] = shift[index] + u32::from(E::branch_lengths(branch)[form[index] as usize]);
            }
            let mut grown = false;
            for (index, &(raw, branch, label)) in self.branches.iter().enumerate() {
                let place = self.labels[label.0 as usize];
                let target = i64::from(place.raw) + i64::from(shift[place.branches as usize]);
                let distance = target - i64::from(raw) - i64::from(shift[index + 1]);
                let lengths = E::branch_lengths(branch);
                while (form[index] as usize) + 1 < lengths.len() {
                    let length = lengths[form[index] as usize];
                    let fits = if length == 0 { distance == 0 } else { E::branch_reaches(branch, length, distance) };
                    if fits {
                        break;
                    }
                    form[index] += 1;
                    grown = true;
                }
            }
            if !grown {
                return shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Toy;

    impl Encoding for Toy {
        type Branch = ();
        type Fixup = ();
        fn branch_lengths(_: ()) -> &'static [u8] {
            &[0, 2, 5]
        }
        fn branch_reaches(_: (), length: u8, distance: i64) -> bool {
            length == 5 || i8::try_from(distance).is_ok()
        }
        fn encode_branch(_: (), length: u8, distance: i64, out: &mut Vec<u8>) {
            out.push(if length == 2 { 0xEB } else { 0xE9 });
            out.extend_from_slice(&distance.to_le_bytes()[..length as usize - 1]);
        }
        fn apply_fixup(_: (), bytes: &mut [u8], field: usize, target: usize) -> bool {
            bytes[field..field + 4].copy_from_slice(&(target as u32).to_le_bytes());
            true
        }
    }

    #[test]
    fn branches_take_the_shortest_form_that_reaches() {
        for (gap, length) in [(0usize, 0usize), (1, 2), (127, 2), (128, 5)] {
            let mut buffer = MachBuffer::<Toy>::new();
            let label = buffer.new_label();
            buffer.branch((), label);
            buffer.put_bytes(&vec![0x90; gap]);
            buffer.bind(label);
            buffer.trap(TrapCode::Overflow);
            buffer.put1(0xCC);
            let finished = buffer.finish().unwrap();
            assert_eq!(finished.code.code_len as usize, length + gap + 1);
            assert_eq!(finished.label_offset(label) as usize, length + gap);
            assert_eq!(finished.code.traps[0].offset as usize, length + gap);
        }
    }

    #[test]
    fn backward_branches_and_constants() {
        let mut buffer = MachBuffer::<Toy>::new();
        let top = buffer.bind_new();
        let constant = buffer.constant(&[1, 2, 3, 4, 5, 6, 7, 8], 8);
        let field = buffer.raw_offset();
        buffer.put4(0);
        buffer.fixup(field, (), constant);
        buffer.branch((), top);
        let finished = buffer.finish().unwrap();
        assert_eq!(finished.code.bytes, [8, 0, 0, 0, 0xEB, 0xFA, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(finished.code.code_len, 6);
    }
}
