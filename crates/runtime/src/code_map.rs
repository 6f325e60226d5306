//! From a code address to what is known of it: which method or stub, how to unwind, which handlers, which source line. Reads take no
//! lock, so that signal handlers and the collector's threads may ask.

use crate::aot::ImageList;
use crate::code_heap::GRANULE_BYTES;
use crate::id_table::IdTable;
use crate::runtime;
use il::types::{MethodId, TypeId};
use ir::entity::{Entity, Region};
use ir::function::RegionData;
use ir::inline_sites::{InlineSite, frames, outermost};
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::{CompiledCode, FrameInfo, HandlerSite};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// What a range of code is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeKind {
    /// A method.
    Method(MethodId),
    /// A stub with a frame like a method's.
    Stub,
    /// The stub that enters managed code: managed frames end at it.
    EnterManaged,
}

/// A method whose body stands in another's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InlinedMethod {
    /// Itself.
    Known(MethodId),
    /// By its number in the image that the code is in.
    InImage(u32),
}

/// A range of code.
#[derive(Debug)]
pub struct CodeRange {
    /// First address.
    pub start: usize,
    /// Address after its last instruction.
    pub end: usize,
    /// What it is.
    pub kind: CodeKind,
    /// The dynamic method that lives as long as a thread may come to an address in it.
    pub keeps: Option<MethodId>,
    /// How many bytes it takes, with its constants.
    pub bytes: usize,
    /// How to unwind.
    pub frame: FrameInfo,
    /// Protected regions.
    pub regions: Vec<RegionData>,
    /// Caught types by the numbers of catch handlers.
    pub catch_types: Vec<TypeId>,
    call_sites: Vec<(u32, Option<Region>)>,
    traps: Vec<(u32, TrapCode, Option<Region>)>,
    handlers: Vec<HandlerSite>,
    lines: Vec<(u32, SourceOffset)>,
    inline_sites: Vec<InlineSite<InlinedMethod>>,
    uninterruptible: Vec<(u32, u32)>,
    region_changes: Vec<(u32, Option<Region>)>,
}

impl CodeRange {
    /// The range of `code`, placed at `start`.
    pub fn new(
        start: usize,
        kind: CodeKind,
        code: &CompiledCode,
        regions: Vec<RegionData>,
        catch_types: Vec<TypeId>,
        inline_sites: Vec<InlineSite<InlinedMethod>>,
    ) -> CodeRange {
        CodeRange {
            start,
            end: start + code.code_len as usize,
            kind,
            keeps: None,
            bytes: code.bytes.len(),
            frame: code.frame.clone(),
            regions,
            catch_types,
            call_sites: code.call_sites.iter().map(|site| (site.return_offset, site.region)).collect(),
            traps: code.traps.iter().map(|site| (site.offset, site.code, site.region)).collect(),
            handlers: code.handlers.clone(),
            lines: code.lines.clone(),
            inline_sites,
            uninterruptible: code.uninterruptible.clone(),
            region_changes: code.region_changes.clone(),
        }
    }

    /// The method, if it is one.
    pub fn method(&self) -> Option<MethodId> {
        match self.kind {
            CodeKind::Method(method) => Some(method),
            _ => None,
        }
    }

    /// The protected region of the call that returns to `address`.
    pub fn region_of_call(&self, address: usize) -> Option<Region> {
        let offset = (address - self.start) as u32;
        let index = self.call_sites.binary_search_by_key(&offset, |site| site.0).ok()?;
        self.call_sites[index].1
    }

    /// The protected region of the instruction at `address`.
    pub fn region_at(&self, address: usize) -> Option<Region> {
        let offset = (address - self.start) as u32;
        let begun = self.region_changes.partition_point(|change| change.0 <= offset);
        self.region_changes[begun.checked_sub(1)?].1
    }

    /// What a fault at `address` means, and its protected region.
    pub fn trap(&self, address: usize) -> Option<(TrapCode, Option<Region>)> {
        let offset = (address - self.start) as u32;
        let index = self.traps.binary_search_by_key(&offset, |site| site.0).ok()?;
        Some((self.traps[index].1, self.traps[index].2))
    }

    /// Whether the collector may stop a thread that is about to run the instruction at `address`: in methods, but not amid
    /// an allocation.
    pub fn is_interruptible(&self, address: usize) -> bool {
        let offset = (address - self.start) as u32;
        let begun = self.uninterruptible.partition_point(|range| range.0 <= offset);
        let inside = begun > 0 && offset < self.uninterruptible[begun - 1].1;
        self.method().is_some() && !inside
    }

    /// Where handler number `index` of a region is.
    pub fn handler(&self, region: Region, index: u32) -> Option<&HandlerSite> {
        self.handlers.iter().find(|site| site.region == region && site.index == index)
    }

    /// A region's data.
    pub fn region(&self, region: Region) -> Option<&RegionData> {
        self.regions.get(region.index())
    }

    /// Source position of the instruction before `address` (of the call that returns there).
    fn position(&self, address: usize) -> SourceOffset {
        let offset = (address - self.start) as u32;
        let after = self.lines.partition_point(|line| line.0 < offset);
        let line = after.checked_sub(1).and_then(|index| self.lines.get(index));
        line.map_or(SourceOffset::UNKNOWN, |line| line.1)
    }

    /// Where in the method's own IL the instruction before `address` is. What was inlined is where its call was.
    pub fn il_offset(&self, address: usize) -> Option<u32> {
        known(outermost(&self.inline_sites, self.position(address)))
    }

    /// The method whose code the instruction before `address` is and its offset there, then, if that was inlined, the method that called it, and so
    /// on, the range's own method last.
    pub fn frames(&self, address: usize) -> impl Iterator<Item = (MethodId, Option<u32>)> + '_ {
        let frames = frames(&self.inline_sites, self.position(address));
        frames.filter_map(move |(site, offset)| {
            let method = match site.map(|site| self.inline_sites[site].callee) {
                None => self.method(),
                Some(InlinedMethod::Known(method)) => Some(method),
                Some(InlinedMethod::InImage(number)) => runtime().code_map.images.at(self.start)?.inlined_method(number),
            };
            Some((method?, known(offset)))
        })
    }
}

fn known(offset: SourceOffset) -> Option<u32> {
    (offset != SourceOffset::UNKNOWN).then_some(offset.0)
}

/// All ranges: those of the code heap that stay, in rising order; those that may be freed, by the granules that they lie in; and the images.
#[derive(Default)]
pub struct CodeMap {
    /// Code that lies elsewhere.
    pub images: ImageList,
    /// Start of the code heap.
    base: usize,
    ranges: IdTable<AtomicPtr<CodeRange>>,
    count: AtomicU32,
    granules: IdTable<AtomicPtr<CodeRange>>,
}

impl CodeMap {
    /// An empty map for a code heap that starts at `base`.
    pub fn new(base: usize) -> CodeMap {
        CodeMap { base, ..CodeMap::default() }
    }

    /// The granules from one address to another.
    fn granules(&self, start: usize, end: usize) -> impl Iterator<Item = u32> {
        let number = |address: usize| (address - self.base) / GRANULE_BYTES;
        (number(start)..=number(end)).map(|number| number as u32)
    }

    /// Adds a range of code that may be freed.
    pub fn add_freed(&self, range: CodeRange) {
        let granules = self.granules(range.start, range.end);
        let range = Box::into_raw(Box::new(range));
        granules.for_each(|granule| self.granules.entry(granule).store(range, Ordering::Release));
    }

    /// Takes a range of code that may be freed out again; gives the length of the code.
    ///
    /// # Safety
    /// Nobody looks for an address in it, or holds what was found.
    pub unsafe fn remove(&self, start: usize) -> Option<usize> {
        let first = self.granules(start, start).next().and_then(|granule| self.granules.get(granule));
        let range = first.map_or(std::ptr::null_mut(), |entry| entry.load(Ordering::Acquire));
        if range.is_null() {
            return None;
        }
        // SAFETY: made by `add_freed`; all entries that lead to it are emptied before it is dropped, and the caller's promise.
        let range = unsafe { Box::from_raw(range) };
        for granule in self.granules(range.start, range.end) {
            self.granules.entry(granule).store(std::ptr::null_mut(), Ordering::Release);
        }
        Some(range.bytes)
    }

    fn find_freed(&self, address: usize) -> Option<&'static CodeRange> {
        let granule = u32::try_from(address.checked_sub(self.base)? / GRANULE_BYTES).ok()?;
        // SAFETY: in the map, hence not freed; who may come to an address in it keeps it there (`remove`).
        let range = unsafe { self.granules.get(granule)?.load(Ordering::Acquire).as_ref() }?;
        (range.start..=range.end).contains(&address).then_some(range)
    }

    /// The range of the code heap that holds `address`; takes no memory and no lock.
    pub fn find_in_heap(&self, address: usize) -> Option<&'static CodeRange> {
        self.find_freed(address).or_else(|| self.find_permanent(address))
    }

    /// Adds a range behind all others. Calls come one at a time (see `CodeHeap::publish`).
    pub fn add(&self, range: CodeRange) {
        let index = self.count.load(Ordering::Relaxed);
        self.ranges.entry(index).store(Box::into_raw(Box::new(range)), Ordering::Release);
        self.count.store(index + 1, Ordering::Release);
    }

    fn range(&self, index: u32) -> Option<&'static CodeRange> {
        // SAFETY: these ranges are never freed.
        self.ranges.get(index).and_then(|entry| unsafe { entry.load(Ordering::Acquire).as_ref() })
    }

    /// The range that holds `address`; a return address may be the one just after its end.
    pub fn find(&self, address: usize) -> Option<&'static CodeRange> {
        self.find_in_heap(address).or_else(|| self.images.at(address)?.range(address))
    }

    /// Whether the collector may stop a thread that is about to run the instruction at an address. Takes no memory and no lock,
    /// whatever was asked for before.
    pub fn is_interruptible(&self, address: usize) -> bool {
        match self.find_in_heap(address) {
            Some(range) => range.is_interruptible(address),
            None => self.images.at(address).is_some_and(|image| image.is_interruptible(address)),
        }
    }

    fn find_permanent(&self, address: usize) -> Option<&'static CodeRange> {
        let (mut low, mut high) = (0, self.count.load(Ordering::Acquire));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.range(middle)?.start <= address { low = middle + 1 } else { high = middle }
        }
        let range = self.range(low.checked_sub(1)?)?;
        if address < range.end {
            return Some(range);
        }
        if address == range.end { Some(range) } else { None }
    }

    /// The range of the call that returns to `address`.
    pub fn find_call(&self, address: usize) -> Option<&'static CodeRange> {
        self.find(address.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_ranges_and_lines() {
        let map = CodeMap::default();
        let code = CompiledCode {
            code_len: 16,
            lines: vec![(0, SourceOffset(1)), (8, SourceOffset(5)), (12, SourceOffset(23))],
            uninterruptible: vec![(4, 7)],
            ..Default::default()
        };
        let inlined = InlinedMethod::Known(MethodId(9));
        let sites = vec![InlineSite { callee: inlined, first: 20, call: SourceOffset(6) }];
        map.add(CodeRange::new(0x1000, CodeKind::Method(MethodId(1)), &code, Vec::new(), Vec::new(), sites.clone()));
        map.add(CodeRange::new(0x1010, CodeKind::Method(MethodId(2)), &code, Vec::new(), Vec::new(), sites.clone()));
        assert_eq!(map.find(0x100f).and_then(CodeRange::method), Some(MethodId(1)));
        assert_eq!(map.find(0x1010).and_then(CodeRange::method), Some(MethodId(2)));
        assert_eq!(map.find_call(0x1010).and_then(CodeRange::method), Some(MethodId(1)));
        assert!(map.find(0xfff).is_none() && map.find(0x1021).is_none());
        map.add_freed(CodeRange::new(0x2000, CodeKind::Method(MethodId(3)), &code, Vec::new(), Vec::new(), sites.clone()));
        assert_eq!([0x1fff, 0x2000, 0x2010, 0x2011].map(|address| map.find(address).is_some()), [false, true, true, false]);
        // SAFETY: nobody else knows this map.
        unsafe { map.remove(0x2000) };
        assert!(map.find(0x2000).is_none());
        let range = map.find(0x1004).expect("in the first range");
        let interruptible = [0x1003, 0x1004, 0x1006, 0x1007, 0x2000].map(|address| map.is_interruptible(address));
        assert_eq!(interruptible, [true, false, false, true, false]);
        assert_eq!((range.il_offset(0x1008), range.il_offset(0x1009)), (Some(1), Some(5)));
        assert_eq!(range.il_offset(0x100d), Some(6));
        let frames: Vec<_> = range.frames(0x100d).collect();
        assert_eq!(frames, [(MethodId(9), Some(3)), (MethodId(1), Some(6))]);
    }
}
