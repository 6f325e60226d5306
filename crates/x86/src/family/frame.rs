//! Prologue and epilogue. The layout between them is [`ir::mach::frame`]'s.

use super::Family;
use super::emit::FamilyEncoding;
use super::encoding::{Opcode, Place, Width, encode};
use super::instructions::Size;
use super::registers::{BP, SP};
use ir::Function;
use ir::mach::FrameInfo;
use ir::mach::buffer::{Label, MachBuffer};
use ir::mach::frame::{FrameLayout, FrameNeeds, FrameRules};
use ir::mach::registers::PReg;
use std::marker::PhantomData;

/// Frames from this size on touch every page of theirs in order, so that the guard page is not skipped.
pub const PAGE: u32 = 4096;

/// The frame of one function.
#[derive(Clone, Debug)]
pub struct Frame<F> {
    /// Where everything lies.
    pub layout: FrameLayout,
    family: PhantomData<F>,
}

impl<F: Family> Frame<F> {
    /// The width of a register.
    const WORD: Width = if matches!(F::WORD, Size::S64) { Width::Wide } else { Width::Narrow };

    /// Lays out a frame. Return address and saved frame pointer lie above what is aligned to 16.
    pub fn new(function: &Function, needs: &FrameNeeds) -> Frame<F> {
        let rules = FrameRules {
            callee_saved: F::CALLEE_SAVED,
            word: F::POINTER_BYTES,
            above: 2 * F::POINTER_BYTES,
            align: 16,
            leaf_align: F::LEAF_ALIGN,
        };
        Frame { layout: FrameLayout::new(function, needs, &rules), family: PhantomData }
    }

    /// What the unwinder must know; offsets of the code are filled in when it is finished.
    pub fn info(&self) -> FrameInfo {
        self.layout.info(F::dwarf_number)
    }

    /// Emits the prologue.
    pub fn prologue(&self, buffer: &mut MachBuffer<FamilyEncoding>) -> [Label; 3] {
        let mut bytes = Vec::with_capacity(32);
        stack_instruction(&mut bytes, PUSH, BP);
        buffer.put_bytes(&bytes);
        let pushed = buffer.bind_new();
        bytes.clear();
        encode(&mut bytes, STORE, Self::WORD, SP.number(), Place::Register(BP.number()));
        buffer.put_bytes(&bytes);
        let moved = buffer.bind_new();
        bytes.clear();
        // The saved registers lie just below the frame pointer, so that pushing them is shortest.
        for &(register, _) in &self.layout.saved {
            stack_instruction(&mut bytes, PUSH, register);
        }
        let mut left = self.below_saved();
        while left > PAGE {
            Self::adjust_stack(&mut bytes, SUBTRACT, PAGE);
            touch_stack(&mut bytes);
            left -= PAGE;
        }
        if left > 0 {
            Self::adjust_stack(&mut bytes, SUBTRACT, left);
        }
        self.keep_stack_pointer(&mut bytes);
        buffer.put_bytes(&bytes);
        [pushed, moved, buffer.bind_new()]
    }

    /// Where the stack pointer varies: stores it in its place, and the frame pointer above the outgoing arguments.
    pub fn keep_stack_pointer(&self, bytes: &mut Vec<u8>) {
        if let Some(saved_sp) = self.layout.saved_sp {
            encode(bytes, STORE, Self::WORD, SP.number(), Place::base(BP.number(), saved_sp));
            encode(bytes, STORE, Self::WORD, BP.number(), Place::base(SP.number(), self.layout.outgoing as i32));
        }
    }

    /// Emits an epilogue with its return, which pops `pops` bytes of arguments; the label is where only the return is left.
    pub fn epilogue(&self, buffer: &mut MachBuffer<FamilyEncoding>, pops: u32) -> Label {
        let label = self.release(buffer);
        match pops {
            0 => buffer.put1(0xc3),
            pops => {
                buffer.put1(0xc2);
                buffer.put2(pops as u16);
            }
        }
        label
    }

    /// Emits an epilogue without its return: what follows finds the stack as it was at the entry.
    pub fn release(&self, buffer: &mut MachBuffer<FamilyEncoding>) -> Label {
        let mut bytes = Vec::with_capacity(24);
        match self.pops_saved() {
            true => {
                if let left @ 1.. = self.below_saved() {
                    Self::adjust_stack(&mut bytes, ADD, left);
                }
                for &(register, _) in self.layout.saved.iter().rev() {
                    stack_instruction(&mut bytes, POP, register);
                }
                stack_instruction(&mut bytes, POP, BP);
            }
            false => {
                for &(register, offset) in &self.layout.saved {
                    encode(&mut bytes, Opcode::one(0x8b), Self::WORD, register.number(), Place::base(BP.number(), offset));
                }
                bytes.push(0xc9); // leave
            }
        }
        buffer.put_bytes(&bytes);
        buffer.bind_new()
    }

    /// Appends the addition to or subtraction from the stack pointer.
    fn adjust_stack(bytes: &mut Vec<u8>, operation: u8, by: u32) {
        let place = Place::Register(SP.number());
        match i8::try_from(by as i32) {
            Ok(short) => {
                encode(bytes, Opcode::one(0x83), Self::WORD, operation, place);
                bytes.push(short as u8);
            }
            Err(_) => {
                encode(bytes, Opcode::one(0x81), Self::WORD, operation, place);
                bytes.extend_from_slice(&by.to_le_bytes());
            }
        }
    }

    /// Bytes below the saved registers.
    fn below_saved(&self) -> u32 {
        self.layout.size - F::POINTER_BYTES * self.layout.saved.len() as u32
    }

    /// Whether the epilogue pops the saved registers: where that is possible and shorter than loading them.
    fn pops_saved(&self) -> bool {
        let enough = match self.below_saved() {
            0 => 0,
            1..=127 => 2,
            _ => return false,
        };
        self.layout.saved_sp.is_none() && self.layout.saved.len() >= enough
    }
}

const STORE: Opcode = Opcode::one(0x89);
const PUSH: u8 = 0x50;
const POP: u8 = 0x58;
/// Opcode extensions of the arithmetic with immediates.
const ADD: u8 = 0;
const SUBTRACT: u8 = 5;

/// Appends `push` or `pop` of a register.
fn stack_instruction(bytes: &mut Vec<u8>, opcode: u8, register: PReg) {
    let number = register.number();
    if number >= 8 {
        bytes.push(0x41);
    }
    bytes.push(opcode | number & 7);
}

/// Appends `test [sp], esp`, which faults where the stack ends.
pub fn touch_stack(bytes: &mut Vec<u8>) {
    encode(bytes, Opcode::one(0x85), Width::Narrow, SP.number(), Place::base(SP.number(), 0));
}
