//! What the unwinder must know of a piece of code, packed: offsets as differences to the one before, frames by number.

use crate::lines::{Lines, read_lines};
use crate::varint::{Cursor, write_bytes, write_signed, write_unsigned};
use ir::entity::{Entity, Region};
use ir::inline_sites::InlineSite;
use ir::instruction::TrapCode;
use ir::mach::{CallSite, CompiledCode, FrameInfo, HandlerSite, TrapSite};

/// Bits of the number behind the ranges: which parts follow. The frame's number is above them.
mod parts {
    pub const CALLS: u64 = 1;
    pub const TRAPS: u64 = 1 << 1;
    pub const HANDLERS: u64 = 1 << 2;
    pub const LINES: u64 = 1 << 3;
    pub const CLAUSES: u64 = 1 << 4;
    pub const BITS: u32 = 5;
}

/// Appends a frame.
pub fn encode_frame(out: &mut Vec<u8>, frame: &FrameInfo) {
    write_unsigned(out, frame.frame_size.into());
    write_unsigned(out, u64::from(frame.outgoing_size) << 1 | u64::from(frame.saved_sp_offset.is_some()));
    if let Some(offset) = frame.saved_sp_offset {
        write_signed(out, offset.into());
    }
    for &(register, offset) in &frame.saved_registers {
        write_unsigned(out, register.into());
        write_signed(out, offset.into());
    }
}

/// What [`encode_frame`] wrote, all of it.
pub fn decode_frame(bytes: &[u8]) -> Option<FrameInfo> {
    let mut cursor = Cursor::new(bytes);
    let mut frame = FrameInfo { frame_size: cursor.unsigned32()?, ..FrameInfo::default() };
    let outgoing = cursor.unsigned()?;
    frame.outgoing_size = u32::try_from(outgoing >> 1).ok()?;
    if outgoing & 1 != 0 {
        frame.saved_sp_offset = Some(i32::try_from(cursor.signed()?).ok()?);
    }
    while !cursor.is_empty() {
        let register = u16::try_from(cursor.unsigned()?).ok()?;
        frame.saved_registers.push((register, i32::try_from(cursor.signed()?).ok()?));
    }
    Some(frame)
}

/// Appends what the unwinder needs of a piece of code that takes `span` bytes with all that follows it up to the next piece, and whose frame
/// has this number. Calls outside of protected regions and source positions at which nothing can be raised are left out.
pub fn encode_info(out: &mut Vec<u8>, code: &CompiledCode, span: u32, frame: u32, lines: &Lines, clauses: &[u8]) {
    let calls: Vec<&CallSite> = code.call_sites.iter().filter(|site| site.region.is_some()).collect();
    let present = [
        (parts::CALLS, !calls.is_empty()),
        (parts::TRAPS, !code.traps.is_empty()),
        (parts::HANDLERS, !code.handlers.is_empty()),
        (parts::LINES, !lines.is_empty()),
        (parts::CLAUSES, !clauses.is_empty()),
    ];
    write_unsigned(out, u64::from(span - code.code_len) << 1 | u64::from(!code.uninterruptible.is_empty()));
    write_ranges(out, &code.uninterruptible);
    write_unsigned(out, u64::from(frame) << parts::BITS | present.iter().filter(|part| part.1).map(|part| part.0).sum::<u64>());
    if !calls.is_empty() {
        write_unsigned(out, calls.len() as u64);
        let mut last = 0;
        for site in calls {
            write_unsigned(out, u64::from(site.return_offset - last));
            write_region(out, site.region);
            last = site.return_offset;
        }
    }
    if !code.traps.is_empty() {
        write_unsigned(out, code.traps.len() as u64);
        let mut last = 0;
        for site in &code.traps {
            // Most are null references outside of regions; only the others say more.
            let special = site.code != TrapCode::NullReference || site.region.is_some();
            write_unsigned(out, u64::from(site.offset - last) << 1 | u64::from(special));
            if special {
                out.push(site.code as u8);
                write_region(out, site.region);
            }
            last = site.offset;
        }
    }
    if !code.handlers.is_empty() {
        write_unsigned(out, code.handlers.len() as u64);
        for site in &code.handlers {
            write_unsigned(out, site.region.index() as u64);
            write_unsigned(out, site.index.into());
            write_unsigned(out, site.filter_offset.map_or(0, |offset| u64::from(offset) + 1));
            write_unsigned(out, site.handler_offset.into());
        }
    }
    if !lines.is_empty() {
        lines.write(out);
    }
    if !clauses.is_empty() {
        write_bytes(out, clauses);
    }
}

fn write_region(out: &mut Vec<u8>, region: Option<Region>) {
    write_unsigned(out, region.map_or(0, |region| region.index() as u64 + 1));
}

fn read_region(cursor: &mut Cursor<'_>) -> Option<Option<Region>> {
    let number = cursor.unsigned32()?;
    Some(number.checked_sub(1).map(|index| Region::from_index(index as usize)))
}

/// Appends ranges, if there are any.
fn write_ranges(out: &mut Vec<u8>, ranges: &[(u32, u32)]) {
    if ranges.is_empty() {
        return;
    }
    write_unsigned(out, ranges.len() as u64);
    let mut last = 0;
    for &(start, end) in ranges {
        write_unsigned(out, u64::from(start - last));
        write_unsigned(out, u64::from(end - start));
        last = end;
    }
}

/// Reads code length and uninterruptible ranges, which stand first, so that signal handlers come by them without memory of their own.
fn read_ranges(cursor: &mut Cursor<'_>, span: u32, mut visit: impl FnMut(u32, u32)) -> Option<u32> {
    let number = cursor.unsigned()?;
    let mut last = 0u32;
    for _ in 0..count(cursor, number & 1 != 0)? {
        let start = last.checked_add(cursor.unsigned32()?)?;
        last = start.checked_add(cursor.unsigned32()?)?;
        visit(start, last);
    }
    span.checked_sub(u32::try_from(number >> 1).ok()?)
}

/// Length of a piece's instructions, from the start of what [`encode_info`] wrote.
pub fn decode_code_length(bytes: &[u8], span: u32) -> Option<u32> {
    span.checked_sub(u32::try_from(Cursor::new(bytes).unsigned()? >> 1).ok()?)
}

/// Whether the collector may stop a thread that is about to run the instruction at `offset`. Takes no memory.
pub fn is_interruptible(bytes: &[u8], offset: u32) -> Option<bool> {
    let mut inside = false;
    read_ranges(&mut Cursor::new(bytes), u32::MAX, |start, end| inside |= (start..end).contains(&offset))?;
    Some(!inside)
}

/// What the unwinder needs of a piece of code.
#[derive(Debug)]
pub struct CodeInfo<'a> {
    /// The code without its bytes.
    pub code: CompiledCode,
    /// The inline sites that its lines name, with the numbers of their methods in the image.
    pub inline_sites: Vec<InlineSite<u32>>,
    /// The clauses.
    pub clauses: &'a [u8],
}

/// What [`encode_info`] wrote, with the frame from `frame` by number. `None` if it is damaged.
pub fn decode_info(bytes: &[u8], span: u32, frame: impl FnOnce(u32) -> Option<FrameInfo>) -> Option<CodeInfo<'_>> {
    let mut cursor = Cursor::new(bytes);
    let mut code = CompiledCode::default();
    let mut inline_sites = Vec::new();
    code.code_len = read_ranges(&mut cursor, span, |start, end| code.uninterruptible.push((start, end)))?;
    let present = cursor.unsigned()?;
    code.frame = frame(u32::try_from(present >> parts::BITS).ok()?)?;
    let has = |part: u64| present & part != 0;
    let mut last = 0u32;
    for _ in 0..count(&mut cursor, has(parts::CALLS))? {
        last = last.checked_add(cursor.unsigned32()?)?;
        code.call_sites.push(CallSite { return_offset: last, region: read_region(&mut cursor)? });
    }
    last = 0;
    for _ in 0..count(&mut cursor, has(parts::TRAPS))? {
        let number = cursor.unsigned()?;
        last = last.checked_add(u32::try_from(number >> 1).ok()?)?;
        let (trap, region) = match number & 1 {
            0 => (TrapCode::NullReference, None),
            _ => (*TrapCode::ALL.get(usize::from(cursor.byte()?))?, read_region(&mut cursor)?),
        };
        code.traps.push(TrapSite { offset: last, code: trap, region });
    }
    for _ in 0..count(&mut cursor, has(parts::HANDLERS))? {
        code.handlers.push(HandlerSite {
            region: Region::from_index(cursor.unsigned32()? as usize),
            index: cursor.unsigned32()?,
            filter_offset: cursor.unsigned32()?.checked_sub(1),
            handler_offset: cursor.unsigned32()?,
        });
    }
    if has(parts::LINES) {
        read_lines(&mut cursor, &mut code.lines, &mut inline_sites)?;
    }
    let clauses = if has(parts::CLAUSES) { cursor.bytes()? } else { &[] };
    Some(CodeInfo { code, inline_sites, clauses })
}

/// How many entries follow: none if the part is not there.
fn count(cursor: &mut Cursor<'_>, present: bool) -> Option<u64> {
    if present { cursor.unsigned() } else { Some(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uninterruptible_ranges_are_found_before_all_else() {
        let code = CompiledCode { code_len: 900, uninterruptible: vec![(4, 20), (300, 331)], ..CompiledCode::default() };
        let mut info = Vec::new();
        encode_info(&mut info, &code, 904, 0, &Lines::of(&code, &[]), b"clauses");
        let CodeInfo { code: read, clauses, .. } =
            decode_info(&info, 904, |_| Some(FrameInfo::default())).expect("nothing is damaged");
        assert_eq!((read.code_len, read.uninterruptible, clauses), (900, code.uninterruptible, &b"clauses"[..]));
        assert_eq!(decode_code_length(&info, 904), Some(900));
        let verdicts = [3, 4, 19, 20, 299, 330, 331].map(|offset| is_interruptible(&info, offset));
        assert_eq!(verdicts, [true, false, false, true, true, false, true].map(Some));
        assert_eq!(is_interruptible(&info[..3], 4), None);
    }
}
