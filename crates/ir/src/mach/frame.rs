//! Lays out a frame: saved registers, spill area, stack slots and outgoing arguments, below the frame pointer.

use super::FrameInfo;
use super::registers::SpillSlot;
use crate::entity::{SideTable, StackSlot};
use crate::function::Function;

/// What a back end says about a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameRequest<'a> {
    /// Registers to save, as DWARF numbers with their bytes.
    pub saved: &'a [(u16, u32)],
    /// Bytes of the spill area.
    pub spill_bytes: u32,
    /// Bytes for outgoing arguments.
    pub outgoing_bytes: u32,
    /// Whether the stack pointer is kept for `stack_alloc`.
    pub keeps_sp: bool,
    /// Bytes of a pointer.
    pub pointer_bytes: u32,
    /// Bytes between the frame pointer and the next higher address aligned to `align`: what lies above it since the call.
    pub bytes_above: u32,
    /// Alignment of the stack pointer.
    pub align: u32,
}

/// A frame's layout. All offsets are from the frame pointer.
#[derive(Clone, Default, Debug)]
pub struct FrameLayout {
    /// What the unwinder needs; prologue and epilogue offsets are the back end's.
    pub info: FrameInfo,
    /// Lowest address of the spill area.
    pub spill_base: i32,
    /// Lowest address of each stack slot.
    pub slots: SideTable<StackSlot, i32>,
}

impl FrameLayout {
    /// Lays out the frame of `function`. The frame pointer is aligned to `align` after `bytes_above` are added.
    pub fn new(function: &Function, request: &FrameRequest<'_>) -> FrameLayout {
        let mut layout = FrameLayout::default();
        // Bytes below the aligned address above the frame pointer.
        let mut depth = request.bytes_above;
        let mut take = |bytes: u32, align: u32| {
            depth = (depth + bytes).next_multiple_of(align.max(1));
            request.bytes_above as i32 - depth as i32
        };
        for &(register, bytes) in request.saved {
            let offset = take(bytes, bytes);
            layout.info.saved_registers.push((register, offset));
        }
        if request.keeps_sp {
            layout.info.saved_sp_offset = Some(take(request.pointer_bytes, request.pointer_bytes));
        }
        layout.spill_base = take(request.spill_bytes, if request.spill_bytes == 0 { 1 } else { 16.min(request.align) });
        for (slot, data) in function.slots.iter() {
            layout.slots[slot] = take(data.size, data.align);
        }
        let bottom = take(request.outgoing_bytes, request.align);
        layout.info.frame_size = bottom.unsigned_abs();
        layout.info.outgoing_size = request.outgoing_bytes;
        layout
    }
    /// Place of a spill slot.
    pub fn spill_offset(&self, slot: SpillSlot) -> i32 {
        self.spill_base + slot.0 as i32
    }
}
