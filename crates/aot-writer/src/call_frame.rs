//! Call frame information: `.eh_frame` and its search table, so that debuggers and profilers unwind compiled code.
//!
//! Every frame has the same shape (saved frame pointer, return address above it), and prologues differ little. So the rules are in the
//! CIEs, one for each kind of prologue, and a method's entry is just a range. Epilogues have no rules: debuggers look at the
//! instructions there. Formats: Linux Standard Base, "Exception Frames"; DWARF 4, section 6.4.

use crate::varint::{write_signed_leb, write_unsigned};
use ir::mach::{Architecture, CompiledCode, DwarfRegisters};
use rustc_hash::FxHashMap;

const DW_CFA_ADVANCE_LOC: u8 = 0x40;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_OFFSET_EXTENDED: u8 = 0x05;
const DW_CFA_ADVANCE_LOC1: u8 = 0x02;
const DW_CFA_ADVANCE_LOC4: u8 = 0x04;
const DW_CFA_DEF_CFA: u8 = 0x0c;
const DW_CFA_DEF_CFA_REGISTER: u8 = 0x0d;
const DW_CFA_DEF_CFA_OFFSET: u8 = 0x0e;
const DW_EH_PE_PCREL_SDATA4: u8 = 0x1b;
const DW_EH_PE_DATAREL_SDATA4: u8 = 0x3b;
const DW_EH_PE_UDATA4: u8 = 0x03;

/// The two sections.
#[derive(Clone, Debug, Default)]
pub struct CallFrames {
    /// `.eh_frame`
    pub frames: Vec<u8>,
    /// `.eh_frame_hdr`
    pub header: Vec<u8>,
}

/// What the unwinder of a machine goes by.
#[derive(Clone, Copy, Debug)]
pub struct FrameRules {
    /// Register numbers.
    pub registers: DwarfRegisters,
    /// Bytes of a pointer.
    pub word: u32,
    /// Whether a call pushes the return address (x86); else the prologue stores it above the frame pointer (ARM).
    pub call_pushes: bool,
    /// Least common factor of instruction lengths.
    pub code_alignment: u32,
}

impl FrameRules {
    /// The rules of a target.
    pub fn new(architecture: Architecture, registers: DwarfRegisters) -> FrameRules {
        let arm = architecture == Architecture::Arm;
        FrameRules { registers, word: architecture.pointer_bytes(), call_pushes: !arm, code_alignment: if arm { 4 } else { 1 } }
    }
}

/// Encodes the frames of code pieces at text offsets. `text`, `frames` and `header` are the addresses of the sections.
pub fn encode<'a>(
    pieces: impl ExactSizeIterator<Item = (u32, &'a CompiledCode)>,
    rules: &FrameRules,
    text: u32,
    frames_address: u32,
    header_address: u32,
) -> CallFrames {
    let count = pieces.len();
    let mut frames = Vec::with_capacity(64 + 17 * count);
    let mut table: Vec<(u32, u32)> = Vec::with_capacity(count);
    let mut kinds: FxHashMap<Vec<u8>, u32> = FxHashMap::default();
    for (offset, code) in pieces {
        let instructions = encode_instructions(code, rules);
        let kind = *kinds.entry(instructions).or_insert_with_key(|instructions| encode_cie(&mut frames, instructions, rules));
        let start = frames.len();
        let position = frames_address + start as u32;
        table.push((text + offset, position));
        frames.extend_from_slice(&[0; 4]);
        push_u32(&mut frames, start as u32 + 4 - kind);
        push_u32(&mut frames, (text + offset).wrapping_sub(position + 8));
        push_u32(&mut frames, code.bytes.len() as u32);
        frames.push(0); // no augmentation data
        finish_entry(&mut frames, start);
    }
    push_u32(&mut frames, 0);

    let mut header = vec![1, DW_EH_PE_PCREL_SDATA4, DW_EH_PE_UDATA4, DW_EH_PE_DATAREL_SDATA4];
    push_u32(&mut header, frames_address.wrapping_sub(header_address + 4));
    push_u32(&mut header, count as u32);
    for (code, frame) in table {
        push_u32(&mut header, code.wrapping_sub(header_address));
        push_u32(&mut header, frame.wrapping_sub(header_address));
    }
    CallFrames { frames, header }
}

/// Appends a CIE and gives its offset.
fn encode_cie(out: &mut Vec<u8>, instructions: &[u8], rules: &FrameRules) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; 8]); // length, CIE id 0
    out.push(1); // version
    out.extend_from_slice(b"zR\0");
    write_unsigned(out, rules.code_alignment.into());
    write_signed_leb(out, -i64::from(rules.word));
    write_unsigned(out, rules.registers.return_address.into());
    write_unsigned(out, 1);
    out.push(DW_EH_PE_PCREL_SDATA4);
    let pushed = if rules.call_pushes { rules.word } else { 0 };
    out.push(DW_CFA_DEF_CFA);
    write_unsigned(out, rules.registers.stack_pointer.into());
    write_unsigned(out, pushed.into());
    if rules.call_pushes {
        out.push(DW_CFA_OFFSET | rules.registers.return_address as u8);
        write_unsigned(out, 1);
    }
    out.extend_from_slice(instructions);
    finish_entry(out, start);
    start as u32
}

/// The rules of a prologue. The canonical frame address is two words above the frame pointer: above the return address.
fn encode_instructions(code: &CompiledCode, rules: &FrameRules) -> Vec<u8> {
    let mut instructions = Vec::new();
    let out = &mut instructions;
    let frame = &code.frame;
    let [pushed, moved, saved] = frame.prologue;
    if moved == 0 {
        return instructions; // a stub without a frame
    }
    let mut position = 0;
    advance(out, &mut position, pushed, rules);
    out.push(DW_CFA_DEF_CFA_OFFSET);
    write_unsigned(out, u64::from(2 * rules.word));
    offset_rule(out, rules.registers.frame_pointer, 2);
    if !rules.call_pushes {
        offset_rule(out, rules.registers.return_address, 1);
    }
    advance(out, &mut position, moved, rules);
    out.push(DW_CFA_DEF_CFA_REGISTER);
    write_unsigned(out, rules.registers.frame_pointer.into());
    if !frame.saved_registers.is_empty() {
        advance(out, &mut position, saved, rules);
        for &(register, offset) in &frame.saved_registers {
            let below_cfa = 2 * rules.word as i32 - offset;
            offset_rule(out, register, (below_cfa / rules.word as i32) as u64);
        }
    }
    instructions
}

fn offset_rule(out: &mut Vec<u8>, register: u16, words: u64) {
    if register < 0x40 {
        out.push(DW_CFA_OFFSET | register as u8);
    } else {
        out.push(DW_CFA_OFFSET_EXTENDED);
        write_unsigned(out, register.into());
    }
    write_unsigned(out, words);
}

fn advance(out: &mut Vec<u8>, position: &mut u32, to: u32, rules: &FrameRules) {
    let delta = (to - *position) / rules.code_alignment;
    *position = to;
    match delta {
        0 => {}
        1..=0x3f => out.push(DW_CFA_ADVANCE_LOC | delta as u8),
        0x40..=0xff => out.extend_from_slice(&[DW_CFA_ADVANCE_LOC1, delta as u8]),
        _ => {
            out.push(DW_CFA_ADVANCE_LOC4);
            push_u32(out, delta);
        }
    }
}

/// Writes an entry's length. Entries are not padded: all readers take them where they are, and there are many.
fn finish_entry(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn push_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}
