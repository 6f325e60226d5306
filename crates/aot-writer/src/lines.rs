//! Source positions of code as stack traces ask for them, and the inline sites that these are in, packed.

use crate::varint::{Cursor, read_pair, write_pair, write_unsigned};
use ir::inline_sites::{InlineSite, frames, site_at};
use ir::instruction::SourceOffset;
use ir::mach::CompiledCode;

/// Lines begin at multiples of this many bytes, where that makes no difference.
const LINE_GRAIN: u32 = 4;
/// Added to differences between source positions, which mostly rise a little.
const SOURCE_BIAS: i64 = 4;
/// In the number before the lines, below that of the lines: they begin at multiples of the grain.
const COARSE: u64 = 1;
/// Likewise: inline sites follow.
const WITH_SITES: u64 = 2;
/// Bits below the number of lines.
const FLAG_BITS: u32 = 2;

/// A source position that stack traces ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NeededLine {
    /// The last offset that asks for the position before; -1 for the first.
    after: i64,
    /// The first offset that asks for this one.
    first: u32,
    source: SourceOffset,
}

impl NeededLine {
    /// The last multiple of the grain from which on the position may hold.
    fn grain(&self) -> Option<u32> {
        let start = self.first / LINE_GRAIN * LINE_GRAIN;
        (i64::from(start) > self.after).then_some(start)
    }
}

/// The source positions of a piece of code that stack traces ask for, and the sites that these are in. Positions are numbered anew, so
/// that they are dense.
pub struct Lines {
    needed: Vec<NeededLine>,
    /// Sites, with methods by number.
    pub sites: Vec<InlineSite<u32>>,
}

impl Lines {
    /// Those of `code`.
    pub fn of(code: &CompiledCode, sites: &[InlineSite<u32>]) -> Lines {
        let mut lines = Lines { needed: needed_lines(code), sites: Vec::new() };
        if !sites.is_empty() {
            lines.keep_used(sites);
        }
        lines
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.needed.is_empty()
    }

    /// Keeps the sites that the positions are in.
    fn keep_used(&mut self, sites: &[InlineSite<u32>]) {
        // How many positions of each site, and of the function itself, are in use: up to the last one.
        let (mut extents, mut own) = (vec![0; sites.len()], 0);
        for line in &self.needed {
            for (site, offset) in frames(sites, line.source).filter(|&(_, offset)| offset != SourceOffset::UNKNOWN) {
                let extent = site.map_or(&mut own, |site| &mut extents[site]);
                *extent = offset.0.saturating_add(1).max(*extent);
            }
        }
        let mut end = own;
        let mut next = |extent: &u32| {
            let first = end;
            end = end.saturating_add(*extent);
            first
        };
        let firsts: Vec<u32> = extents.iter().map(&mut next).collect();
        let renumbered = |position| match site_at(sites, position) {
            Some(site) => SourceOffset(firsts[site].saturating_add(position.0 - sites[site].first)),
            None => position,
        };
        for line in &mut self.needed {
            line.source = renumbered(line.source);
        }
        let used = (0..sites.len()).filter(|&site| extents[site] != 0);
        self.sites = used
            .map(|site| InlineSite { callee: sites[site].callee, first: firsts[site], call: renumbered(sites[site].call) })
            .collect();
    }

    /// Appends them.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let coarse = self.needed.iter().all(|line| line.grain().is_some());
        let unit = if coarse { LINE_GRAIN } else { 1 };
        let flags = if coarse { COARSE } else { 0 } | if self.sites.is_empty() { 0 } else { WITH_SITES };
        write_unsigned(out, (self.needed.len() as u64) << FLAG_BITS | flags);
        if !self.sites.is_empty() {
            self.write_sites(out);
        }
        let (mut last, mut last_source) = (0, 0i64);
        for line in &self.needed {
            let offset = line.grain().filter(|_| coarse).unwrap_or(line.first) / unit;
            let source = number(line.source);
            write_pair(out, (offset - last).into(), source - last_source - SOURCE_BIAS);
            (last, last_source) = (offset, source);
        }
    }

    fn write_sites(&self, out: &mut Vec<u8>) {
        write_unsigned(out, self.sites.len() as u64);
        let (mut last, mut last_call) = (0, 0);
        for site in &self.sites {
            write_unsigned(out, site.callee.into());
            write_pair(out, (site.first - last).into(), number(site.call) - last_call);
            (last, last_call) = (site.first, number(site.call));
        }
    }
}

/// A position as it is written: the unknown one becomes 0, which is nearer to the others.
fn number(position: SourceOffset) -> i64 {
    position.0.wrapping_add(1).into()
}

/// What [`number`] made a number of.
fn position(number: i64) -> Option<SourceOffset> {
    Some(SourceOffset(u32::try_from(number).ok()?.wrapping_sub(1)))
}

/// The source positions that stack traces ask for: those of calls and of instructions that trap.
fn needed_lines(code: &CompiledCode) -> Vec<NeededLine> {
    // Stack traces look for the last byte of a call.
    let mut places: Vec<u32> = code.call_sites.iter().map(|site| site.return_offset.saturating_sub(1)).collect();
    places.extend(code.traps.iter().map(|site| site.offset));
    places.sort_unstable();
    let mut needed: Vec<NeededLine> = Vec::new();
    let mut lines = code.lines.iter().peekable();
    let mut current = None;
    let mut after = -1;
    for place in places {
        while let Some(&(_, source)) = lines.next_if(|line| line.0 <= place) {
            current = Some(source);
        }
        if let Some(source) = current {
            if needed.last().is_none_or(|last| last.source != source) {
                needed.push(NeededLine { after, first: place, source });
            }
        }
        after = place.into();
    }
    needed
}

/// Reads what [`Lines`] wrote.
pub(crate) fn read_lines(
    cursor: &mut Cursor<'_>,
    lines: &mut Vec<(u32, SourceOffset)>,
    sites: &mut Vec<InlineSite<u32>>,
) -> Option<()> {
    let header = cursor.unsigned()?;
    if header & WITH_SITES != 0 {
        let (mut first, mut call) = (0u32, 0i64);
        for _ in 0..cursor.unsigned()? {
            let callee = cursor.unsigned32()?;
            let (distance, difference) = read_pair(cursor)?;
            first = first.checked_add(u32::try_from(distance).ok()?)?;
            call = call.checked_add(difference)?;
            sites.push(InlineSite { callee, first, call: position(call)? });
        }
    }
    let unit = if header & COARSE != 0 { LINE_GRAIN } else { 1 };
    let (mut last, mut source) = (0u32, 0i64);
    for _ in 0..header >> FLAG_BITS {
        let (distance, difference) = read_pair(cursor)?;
        last = last.checked_add(u32::try_from(distance).ok()?)?;
        source = source.checked_add(difference)?.checked_add(SOURCE_BIAS)?;
        lines.push((last.checked_mul(unit)?, position(source)?));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::{decode_info, encode_info};
    use ir::instruction::TrapCode;
    use ir::mach::{CallSite, FrameInfo, TrapSite};

    #[test]
    fn stack_traces_find_the_same_lines() {
        let line = |offset, source| (offset, SourceOffset(source));
        let call = |return_offset| CallSite { return_offset, region: None };
        let lines = vec![line(0, 0), line(3, 700), line(9, 5), line(40, u32::MAX), line(60, 9)];
        for traps in [vec![], vec![TrapSite { offset: 3, code: TrapCode::NullReference, region: None }]] {
            let code = CompiledCode {
                code_len: 64,
                lines: lines.clone(),
                call_sites: [3, 9, 20, 31, 60, 64].map(call).to_vec(),
                traps: traps.clone(),
                ..CompiledCode::default()
            };
            let mut bytes = Vec::new();
            encode_info(&mut bytes, &code, 72, 0, &Lines::of(&code, &[]), &[]);
            let read = decode_info(&bytes, 72, |_| Some(FrameInfo::default())).unwrap().code;
            assert_eq!((read.code_len, &read.traps), (64, &traps));
            let at = |lines: &[(u32, SourceOffset)], place| lines[lines.partition_point(|line| line.0 <= place) - 1].1;
            let places = code.call_sites.iter().map(|site| site.return_offset - 1).chain(traps.iter().map(|site| site.offset));
            for place in places {
                assert_eq!(at(&read.lines, place), at(&lines, place), "at {place} of {:?}", read.lines);
            }
        }
    }

    #[test]
    fn stack_traces_find_the_same_inlined_frames() {
        let line = |offset, source| (offset, SourceOffset(source));
        let call = |return_offset| CallSite { return_offset, region: None };
        let site = |callee, first, call| InlineSite { callee, first, call: SourceOffset(call) };
        // Nothing asks for the second and the last one.
        let sites = [site(3, 1000, 20), site(4, 1100, 30), site(5, 2000, 1007), site(3, 2010, u32::MAX), site(9, 2050, 7)];
        let code = CompiledCode {
            code_len: 64,
            lines: vec![line(0, 20), line(3, 2005), line(9, 1001), line(12, 1105), line(14, 40), line(20, 2012)],
            call_sites: [3, 8, 11, 16, 40].map(call).to_vec(),
            ..CompiledCode::default()
        };
        let lines = Lines::of(&code, &sites);
        assert_eq!(lines.sites.iter().map(|site| site.callee).collect::<Vec<_>>(), [3, 5, 3]);
        let mut bytes = Vec::new();
        encode_info(&mut bytes, &code, 64, 0, &lines, &[]);
        let read = decode_info(&bytes, 64, |_| Some(FrameInfo::default())).unwrap();
        let at = |lines: &[(u32, SourceOffset)], sites: &[InlineSite<u32>], place| {
            let position = lines[lines.partition_point(|line| line.0 <= place) - 1].1;
            frames(sites, position).map(|(site, offset)| (site.map(|site| sites[site].callee), offset)).collect::<Vec<_>>()
        };
        for place in code.call_sites.iter().map(|site| site.return_offset - 1) {
            assert_eq!(at(&read.code.lines, &read.inline_sites, place), at(&code.lines, &sites, place), "at {place}");
        }
        for length in 0..bytes.len() {
            assert!(decode_info(&bytes[..length], 64, |_| Some(FrameInfo::default())).is_none());
        }
    }
}
