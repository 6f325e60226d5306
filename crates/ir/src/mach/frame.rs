//! Lays out a frame below the frame pointer: saved registers, the current stack pointer where it varies, stack slots, spill
//! slots, (the frame pointer once more where the stack pointer varies,) outgoing arguments at the stack pointer.

use super::FrameInfo;
use super::registers::{PReg, PRegSet, SpillSlot};
use crate::function::Function;

/// What decides about the frame of a function.
#[derive(Clone, Copy, Default, Debug)]
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
    /// The function calls.
    pub calls: bool,
}

/// What decides about the frames of a machine.
#[derive(Clone, Copy, Debug)]
pub struct FrameRules<'a> {
    /// Registers that managed code saves, in the order of their places.
    pub callee_saved: &'a [PReg],
    /// Bytes of a register.
    pub word: u32,
    /// Bytes from the frame pointer up to the next address that is aligned to 16 in every frame.
    pub above: u32,
    /// Alignment of the stack pointer at calls.
    pub align: u32,
    /// The same in functions that call nothing.
    pub leaf_align: u32,
}

/// Where everything lies; offsets are from the frame pointer.
#[derive(Clone, Debug, Default)]
pub struct FrameLayout {
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

impl FrameLayout {
    /// Lays out the frame of `function`. A function with handlers saves all callee-saved registers.
    pub fn new(function: &Function, needs: &FrameNeeds, rules: &FrameRules<'_>) -> FrameLayout {
        let mut frame = FrameLayout::default();
        // Bytes below the aligned address above the frame pointer.
        let mut depth = rules.above;
        let offset = |depth: u32| rules.above as i32 - depth as i32;
        for &register in rules.callee_saved {
            if needs.handlers || needs.written.contains(register) {
                depth += rules.word;
                frame.saved.push((register, offset(depth)));
            }
        }
        if needs.dynamic {
            depth += rules.word;
            frame.saved_sp = Some(offset(depth));
        }
        for slot in function.slots.values() {
            depth = (depth + slot.size.max(1)).next_multiple_of(slot.align.clamp(1, 16));
            frame.slots.push(offset(depth));
        }
        depth = (depth + needs.spill_bytes).next_multiple_of(if needs.spill_bytes > 0 { 16 } else { 1 });
        frame.spills = offset(depth);
        if needs.dynamic {
            depth += 16;
        }
        // What `stack_alloc` gives lies above the outgoing arguments and is aligned to 16.
        frame.outgoing = needs.outgoing.next_multiple_of(if needs.dynamic { 16 } else { rules.word });
        let align = if needs.calls || needs.dynamic { rules.align } else { rules.leaf_align };
        depth = (depth + frame.outgoing).next_multiple_of(align);
        frame.size = depth - rules.above;
        frame
    }

    /// Place of a spill slot.
    #[inline]
    pub fn spill_offset(&self, slot: SpillSlot) -> i32 {
        self.spills + slot.0 as i32
    }

    /// What the unwinder must know; offsets of the code are filled in when it is finished.
    pub fn info(&self, dwarf_number: impl Fn(PReg) -> u16) -> FrameInfo {
        FrameInfo {
            frame_size: self.size,
            outgoing_size: self.outgoing,
            saved_sp_offset: self.saved_sp,
            saved_registers: self.saved.iter().map(|&(register, offset)| (dwarf_number(register), offset)).collect(),
            ..FrameInfo::default()
        }
    }
}
