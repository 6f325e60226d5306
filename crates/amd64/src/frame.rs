//! Frame layout, prologue and epilogue.
//!
//! From the frame pointer down: callee-saved registers, the current stack pointer where it varies, stack slots, spill slots,
//! (the frame pointer once more where the stack pointer varies,) outgoing arguments at the stack pointer.

use crate::emit::Amd64Encoding;
use crate::encoding::Sink;
use crate::encoding::{Opcode, Place, Width, encode};
use crate::registers::{CALLEE_SAVED, RBP, dwarf_number};
use dynasmrt::{DynasmApi, dynasm};
use ir::Function;
use ir::mach::FrameInfo;
use ir::mach::buffer::{Label, MachBuffer};
use ir::mach::registers::{PReg, PRegSet};

/// Frames from this size on touch every page of theirs in order, so that the guard page is not skipped.
const PAGE: u32 = 4096;

/// Where everything lies; offsets are from the frame pointer.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Saved registers.
    pub saved: Vec<(PReg, i32)>,
    /// Where the stack pointer is kept if it varies.
    pub saved_sp: Option<i32>,
    /// By stack slot.
    pub slots: Vec<i32>,
    /// Start of the spill area.
    pub spills: i32,
    /// Bytes of outgoing arguments.
    pub outgoing: u32,
    /// Frame pointer minus stack pointer.
    pub size: u32,
}

/// What decides about a frame.
pub struct FrameNeeds {
    /// Registers that the body writes.
    pub written: PRegSet,
    /// Bytes of spill slots.
    pub spill_bytes: u32,
    /// Bytes of outgoing arguments.
    pub outgoing: u32,
    /// The function uses `stack_alloc` or has filters.
    pub dynamic: bool,
    /// The function has handlers.
    pub handlers: bool,
}

impl Frame {
    /// Lays out a frame.
    pub fn new(function: &Function, needs: &FrameNeeds) -> Frame {
        let mut frame = Frame { outgoing: needs.outgoing.next_multiple_of(16), ..Frame::default() };
        let mut depth = 0u32;
        for register in CALLEE_SAVED {
            if needs.handlers || needs.written.contains(register) {
                depth += 8;
                frame.saved.push((register, -(depth as i32)));
            }
        }
        if needs.dynamic {
            depth += 8;
            frame.saved_sp = Some(-(depth as i32));
        }
        for slot in function.slots.values() {
            depth = (depth + slot.size.max(1)).next_multiple_of(slot.align.clamp(1, 16));
            frame.slots.push(-(depth as i32));
        }
        depth = (depth + needs.spill_bytes).next_multiple_of(if needs.spill_bytes > 0 { 16 } else { 1 });
        frame.spills = -(depth as i32);
        if needs.dynamic {
            depth += 16;
        }
        frame.size = depth.next_multiple_of(16) + frame.outgoing;
        frame
    }

    /// Emits the prologue.
    pub fn prologue(&self, buffer: &mut MachBuffer<Amd64Encoding>) -> [Label; 3] {
        let mut bytes = Vec::with_capacity(32);
        dynasm!(Sink(&mut bytes) ; .arch x64 ; push rbp);
        buffer.put_bytes(&bytes);
        let pushed = buffer.bind_new();
        bytes.clear();
        dynasm!(Sink(&mut bytes) ; .arch x64 ; mov rbp, rsp);
        buffer.put_bytes(&bytes);
        let moved = buffer.bind_new();
        bytes.clear();
        // The saved registers lie just below the frame pointer, so that pushing them is shortest.
        for &(register, _) in &self.saved {
            stack_instruction(&mut bytes, 0x50, register);
        }
        let mut left = self.below_saved();
        while left > PAGE {
            dynasm!(Sink(&mut bytes) ; .arch x64 ; sub rsp, PAGE as i32 ; test [rsp], esp);
            left -= PAGE;
        }
        match left as i32 {
            0 => {}
            left @ 1..=127 => dynasm!(Sink(&mut bytes) ; .arch x64 ; sub rsp, BYTE left as i8),
            left => dynasm!(Sink(&mut bytes) ; .arch x64 ; sub rsp, left),
        }
        if let Some(saved_sp) = self.saved_sp {
            let outgoing = self.outgoing as i32;
            dynasm!(Sink(&mut bytes)
                ; .arch x64
                ; mov [rbp + saved_sp], rsp
                ; mov [rsp + outgoing], rbp
            );
        }
        buffer.put_bytes(&bytes);
        [pushed, moved, buffer.bind_new()]
    }

    /// Emits an epilogue with its return; the label is where only the return is left.
    pub fn epilogue(&self, buffer: &mut MachBuffer<Amd64Encoding>) -> Label {
        let mut bytes = Vec::with_capacity(24);
        match self.pops() {
            true => {
                if let left @ 1.. = self.below_saved() as i32 {
                    dynasm!(Sink(&mut bytes) ; .arch x64 ; add rsp, BYTE left as i8);
                }
                for &(register, _) in self.saved.iter().rev() {
                    stack_instruction(&mut bytes, 0x58, register);
                }
                dynasm!(Sink(&mut bytes) ; .arch x64 ; pop rbp);
            }
            false => {
                for &(register, offset) in &self.saved {
                    let place = Place::Memory { base: RBP.number(), index: None, displacement: offset };
                    encode(&mut bytes, Opcode::one(0x8b), Width::Wide, register.number(), place);
                }
                dynasm!(Sink(&mut bytes) ; .arch x64 ; leave);
            }
        }
        buffer.put_bytes(&bytes);
        let label = buffer.bind_new();
        bytes.clear();
        dynasm!(Sink(&mut bytes) ; .arch x64 ; ret);
        buffer.put_bytes(&bytes);
        label
    }

    /// Bytes below the saved registers.
    fn below_saved(&self) -> u32 {
        self.size - 8 * self.saved.len() as u32
    }

    /// Whether the epilogue pops the saved registers: where that is possible and shorter than loading them.
    fn pops(&self) -> bool {
        let enough = match self.below_saved() {
            0 => 0,
            1..=127 => 2,
            _ => return false,
        };
        self.saved_sp.is_none() && self.saved.len() >= enough
    }

    /// What the unwinder must know; offsets of the code are filled in when it is finished.
    pub fn info(&self) -> FrameInfo {
        FrameInfo {
            frame_size: self.size,
            outgoing_size: self.outgoing,
            saved_sp_offset: self.saved_sp,
            saved_registers: self.saved.iter().map(|&(register, offset)| (dwarf_number(register), offset)).collect(),
            ..FrameInfo::default()
        }
    }
}

/// Appends `push` (0x50) or `pop` (0x58) of a register.
fn stack_instruction(bytes: &mut Vec<u8>, opcode: u8, register: PReg) {
    let number = register.number();
    if number >= 8 {
        bytes.push(0x41);
    }
    bytes.push(opcode | number & 7);
}
