//! The buffer that machine code is emitted to: labels, branches that are shortened where they reach, constants after the code,
//! traps, call sites, relocations and lines.
//!
//! A branch takes no bytes until the end: [`MachBuffer::finish`] chooses each one's form, starting with the
//! shortest and growing until all reach. So forward branches get short forms too. Everything recorded
//! keeps the number of branches before it beside its raw offset and moves along. A machine without
//! forms to choose from uses fixups only.
//!
//! Such a machine may also have instructions that reach only a short way to their constants ([`Encoding::constant_reach`]): it asks
//! [`MachBuffer::needs_island`] before each instruction and puts the constants amid the code in time.

use super::{CallSite, CodegenError, CompiledCode, Reloc, RelocKind, TrapSite};
use crate::entity::Region;
use crate::function::SymbolRef;
use crate::instruction::{SourceOffset, TrapCode};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

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
    /// How far after its field a constant may lie (`u32::MAX` where it does not matter): decides about islands. There are few
    /// different answers.
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

/// A constant that is not put yet.
#[derive(Clone, Debug)]
struct Constant {
    bytes: SmallVec<[u8; 16]>,
    align: u32,
    label: Label,
    /// The least reach of its fields.
    reach: u32,
    /// What fills it, if it is an address; the field is set when it is put.
    address: Option<UnplacedReloc>,
}

impl Constant {
    /// Bytes that it may take with its alignment.
    fn room(&self) -> u32 {
        // Code on machines with islands is aligned to 4.
        self.bytes.len() as u32 + self.align.saturating_sub(4)
    }
}

/// The constants that are not put yet and have a field of this reach and none of less.
#[derive(Clone, Copy, Debug)]
struct ReachClass {
    reach: u32,
    /// Room that they take.
    room: u32,
    /// Before this offset the last of them must lie.
    deadline: u32,
}

/// A relocation before offsets are final.
#[derive(Clone, Copy, Debug)]
struct UnplacedReloc {
    field: Place,
    kind: RelocKind,
    target: SymbolRef,
    addend: i32,
    /// What the addend is relative to, unless it is the field.
    anchor: Option<Label>,
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
    relocs: Vec<UnplacedReloc>,
    lines: Vec<(Place, SourceOffset)>,
    uninterruptible: Vec<(Place, Place)>,
    region_changes: Vec<(Place, Option<Region>)>,
    islands: Vec<(Place, Place)>,
    /// Constants that are not put yet.
    constants: Vec<Constant>,
    /// Index among them by label.
    constant_indices: FxHashMap<Label, u32>,
    /// Index among them by content and alignment.
    known_constants: FxHashMap<(SmallVec<[u8; 16]>, u32), u32>,
    /// By ascending reach; constants of unlimited reach have no class.
    reach_classes: SmallVec<[ReachClass; 4]>,
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
            uninterruptible: Vec::new(),
            region_changes: Vec::new(),
            islands: Vec::new(),
            constants: Vec::new(),
            constant_indices: FxHashMap::default(),
            known_constants: FxHashMap::default(),
            reach_classes: SmallVec::new(),
            region: None,
            align: 4,
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
        if reach != u32::MAX {
            self.limit_reach(label, field, reach);
        }
        self.fixups.push((Place { raw: field, branches: self.branches.len() as u32 }, fixup, label));
    }
    /// Appends 32 bits: the distance from `base` to `label`; for jump tables.
    pub fn put_difference(&mut self, label: Label, base: Label) {
        self.differences.push((self.here(), label, base));
        self.put4(0);
    }

    /// Adds the distance from `base` to `label` to the field at raw offset `field`, in bytes put (or about to be put) since the last branch.
    pub fn difference(&mut self, field: u32, label: Label, base: Label) {
        self.differences.push((Place { raw: field, branches: self.branches.len() as u32 }, label, base));
    }

    /// The label of a constant that will lie after the code or in the next island; equal constants share one. `align` is a power
    /// of two up to 16.
    pub fn constant(&mut self, bytes: &[u8], align: u32) -> Label {
        let key = (SmallVec::from_slice(bytes), align);
        if let Some(&index) = self.known_constants.get(&key) {
            return self.constants[index as usize].label;
        }
        let label = self.add_constant(key.0.clone(), align, None);
        self.known_constants.insert(key, self.constants.len() as u32 - 1);
        label
    }
    /// The label of a 32-bit constant, likewise, that a relocation of kind `kind` fills with the address of `target` + `addend`
    /// relative to the place of `anchor`. The anchor must be bound in the end.
    pub fn address_constant(&mut self, kind: RelocKind, target: SymbolRef, addend: i32, anchor: Label) -> Label {
        let address = UnplacedReloc { field: UNBOUND, kind, target, addend, anchor: Some(anchor) };
        self.add_constant(SmallVec::from_slice(&[0; 4]), 4, Some(address))
    }
    fn add_constant(&mut self, bytes: SmallVec<[u8; 16]>, align: u32, address: Option<UnplacedReloc>) -> Label {
        let label = self.new_label();
        self.constant_indices.insert(label, self.constants.len() as u32);
        self.constants.push(Constant { bytes, align, label, reach: u32::MAX, address });
        label
    }
    /// A field at `field` wants to reach the constant of this label.
    fn limit_reach(&mut self, label: Label, field: u32, reach: u32) {
        let Some(&index) = self.constant_indices.get(&label) else { return };
        let constant = &mut self.constants[index as usize];
        let (room, old) = (constant.room(), constant.reach);
        if reach < old {
            constant.reach = reach;
            if let Some(class) = self.reach_classes.iter_mut().find(|class| class.reach == old) {
                class.room -= room;
            }
        }
        let end = field.saturating_add(reach);
        match self.reach_classes.binary_search_by_key(&reach, |class| class.reach) {
            Ok(index) => {
                let class = &mut self.reach_classes[index];
                class.deadline = class.deadline.min(end);
                class.room += if reach < old { room } else { 0 };
            }
            Err(index) => self.reach_classes.insert(index, ReachClass { reach, room, deadline: end }),
        }
    }
    /// Whether the constants must be put here or before, if `upcoming` more bytes follow before the next chance. These must include
    /// what goes around an island and the constants that they will ask for.
    pub fn needs_island(&self, upcoming: u32) -> bool {
        let mut end = self.raw_offset().saturating_add(upcoming);
        self.reach_classes.iter().any(|class| {
            end = end.saturating_add(class.room);
            end >= class.deadline
        })
    }
    /// Puts the constants here, amid the code, those first that must be near; the back end branches around them. Only for
    /// machines without branches of variable length.
    pub fn put_island(&mut self) {
        debug_assert!(self.branches.is_empty());
        let mut constants = std::mem::take(&mut self.constants);
        constants.sort_by_key(|constant| constant.reach);
        let start = self.here();
        for constant in constants {
            self.align_raw(constant.align);
            self.bind(constant.label);
            if let Some(address) = constant.address {
                self.relocs.push(UnplacedReloc { field: self.here(), ..address });
            }
            self.put_bytes(&constant.bytes);
        }
        let end = self.here();
        if start != end {
            self.islands.push((start, end));
        }
        self.constant_indices.clear();
        self.known_constants.clear();
        self.reach_classes.clear();
    }
    fn align_raw(&mut self, align: u32) {
        while self.bytes.len() as u32 % align != 0 {
            self.bytes.push(0);
        }
    }

    /// The protected region of what follows.
    pub fn set_region(&mut self, region: Option<Region>) {
        if region != self.region {
            let here = self.here();
            self.region_changes.push((here, region));
        }
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
    /// What follows, up to [`MachBuffer::end_uninterruptible`], may not be interrupted by the collector.
    pub fn begin_uninterruptible(&mut self) {
        let here = self.here();
        self.uninterruptible.push((here, here));
    }
    /// The end of that.
    pub fn end_uninterruptible(&mut self) {
        let here = self.here();
        if let Some(last) = self.uninterruptible.last_mut() {
            last.1 = here;
        }
    }
    /// A reference to the outside in the field at raw offset `field`, in bytes put (or about to be put) since the last branch.
    pub fn reloc(&mut self, field: u32, kind: RelocKind, target: SymbolRef, addend: i32) {
        let field = Place { raw: field, branches: self.branches.len() as u32 };
        self.relocs.push(UnplacedReloc { field, kind, target, addend, anchor: None });
    }
    /// The same for a field that is to hold the distance from `anchor` to the target: for data reached from a register.
    pub fn reloc_from(&mut self, field: u32, kind: RelocKind, target: SymbolRef, addend: i32, anchor: Label) {
        let field = Place { raw: field, branches: self.branches.len() as u32 };
        self.relocs.push(UnplacedReloc { field, kind, target, addend, anchor: Some(anchor) });
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
        constants.sort_by_key(|constant| (constant.reach, std::cmp::Reverse(constant.align)));
        let mut align = self.align;
        let mut unplaced: Vec<(u32, UnplacedReloc)> = self.relocs.iter().map(|&reloc| (at(reloc.field), reloc)).collect();
        for constant in constants {
            align = align.max(constant.align);
            bytes.resize(bytes.len().next_multiple_of(constant.align as usize), 0);
            labels[constant.label.0 as usize] = bytes.len() as u32;
            unplaced.extend(constant.address.map(|reloc| (bytes.len() as u32, reloc)));
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
                return Err(error("a distance refers to a label that was never bound"));
            }
            let field = at(place) as usize;
            let old = u32::from_le_bytes([bytes[field], bytes[field + 1], bytes[field + 2], bytes[field + 3]]);
            bytes[field..field + 4].copy_from_slice(&label.wrapping_sub(base).wrapping_add(old).to_le_bytes());
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
        let mut relocs = Vec::with_capacity(unplaced.len());
        for (offset, UnplacedReloc { kind, target, addend, anchor, .. }) in unplaced {
            let from_anchor = match anchor.map(|anchor| labels[anchor.0 as usize]) {
                None => 0,
                Some(u32::MAX) => return Err(error("a relocation is relative to a label that was never bound")),
                Some(anchor) => offset.wrapping_sub(anchor) as i32,
            };
            relocs.push(Reloc { offset, kind, target, addend: addend.wrapping_add(from_anchor) });
        }
        let places = |ranges: &[(Place, Place)]| ranges.iter().map(|&(start, end)| (at(start), at(end))).collect();
        let code = CompiledCode {
            bytes,
            align,
            code_len,
            relocs,
            traps,
            call_sites,
            lines,
            uninterruptible: places(&self.uninterruptible),
            region_changes: self.region_changes.iter().map(|&(place, region)| (at(place), region)).collect(),
            islands: places(&self.islands),
            ..CompiledCode::default()
        };
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
                    // A jump to itself goes back, though it would have no length.
                    let is_forward = place.branches as usize > index;
                    let fits =
                        if length == 0 { is_forward && distance == 0 } else { E::branch_reaches(branch, length, distance) };
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
