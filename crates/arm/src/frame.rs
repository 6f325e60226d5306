//! Prologue and epilogue.
//!
//! A frame begins with `push {fp, lr}`; below lie the callee-saved registers, pushed at once, then what [`ir::mach::frame`] lays out.

use crate::encoding::{
    Address, ArmEncoding, Condition, DataOp, Indexing, ModifiedImmediate, Offset, Operand2, Transfer, constant, data, mov, pop,
    push, put_branch, transfer,
};
use crate::registers::{CALLEE_SAVED, FP, IP, LR, PC, SP};
use ir::Function;
use ir::mach::buffer::{Label, MachBuffer};
use ir::mach::frame::{FrameLayout, FrameNeeds, FrameRules};
use ir::mach::registers::PReg;

/// Frames from this size on touch every page of theirs in order, so that the guard page is not skipped.
const PAGE: u32 = 4096;

/// Larger frames touch their pages in a loop.
const UNROLLED_PAGES: u32 = 8;

/// Offset from the frame pointer to the arguments on the stack.
pub const INCOMING_ARGUMENTS: i32 = 8;

/// Lays out a frame.
pub fn layout(function: &Function, needs: &FrameNeeds) -> FrameLayout {
    let rules = FrameRules { callee_saved: &CALLEE_SAVED, word: 4, above: 8, align: 8, leaf_align: 8 };
    FrameLayout::new(function, needs, &rules)
}

/// Emits the prologue. The labels are those of `FrameInfo::prologue`.
pub fn prologue(frame: &FrameLayout, buffer: &mut MachBuffer<ArmEncoding>) -> [Label; 3] {
    let always = Condition::Al;
    buffer.put4(push(always, bit(FP) | bit(LR)));
    let pushed = buffer.bind_new();
    buffer.put4(mov(always, FP.number(), Operand2::Register(SP.number())));
    let moved = buffer.bind_new();
    if !frame.saved.is_empty() {
        buffer.put4(push(always, saved_bits(frame)));
    }
    let mut left = below_saved(frame);
    let pages = left.saturating_sub(1) / PAGE;
    if pages > UNROLLED_PAGES {
        touch_pages(buffer, pages);
        left -= pages * PAGE;
    }
    while left > PAGE {
        add_constant(buffer, SP.number(), SP.number(), -(PAGE as i32));
        buffer.put4(transfer(always, Transfer::Ldr, IP.number(), Address::at(SP.number(), 0)));
        left -= PAGE;
    }
    add_constant(buffer, SP.number(), SP.number(), -(left as i32));
    if let Some(saved_sp) = frame.saved_sp {
        store(buffer, SP, FP, saved_sp);
        store(buffer, FP, SP, frame.outgoing as i32);
    }
    [pushed, moved, buffer.bind_new()]
}

/// Moves the stack pointer down by `pages` and reads from each.
fn touch_pages(buffer: &mut MachBuffer<ArmEncoding>, pages: u32) {
    let always = Condition::Al;
    for word in constant(always, IP.number(), pages) {
        buffer.put4(word);
    }
    let next = buffer.bind_new();
    add_constant(buffer, SP.number(), SP.number(), -(PAGE as i32));
    buffer.put4(transfer(always, Transfer::Ldr, LR.number(), Address::at(SP.number(), 0)));
    let one = Operand2::Immediate(ModifiedImmediate::ONE);
    buffer.put4(data(always, DataOp::Sub, true, IP.number(), IP.number(), one));
    put_branch(buffer, Condition::Ne, next);
}

/// Emits an epilogue with its return, which is one instruction with the pop of the frame pointer.
pub fn epilogue(frame: &FrameLayout, buffer: &mut MachBuffer<ArmEncoding>) {
    release(frame, buffer);
    buffer.put4(pop(Condition::Al, saved_bits(frame) | bit(FP) | bit(PC)));
}

/// Emits an epilogue without its return: what follows finds stack and return address as they were at the entry. Leaves ip alone.
pub fn release_all(frame: &FrameLayout, buffer: &mut MachBuffer<ArmEncoding>) {
    release(frame, buffer);
    buffer.put4(pop(Condition::Al, saved_bits(frame) | bit(FP) | bit(LR)));
}

/// Moves the stack pointer up to the saved registers.
fn release(frame: &FrameLayout, buffer: &mut MachBuffer<ArmEncoding>) {
    if below_saved(frame) > 0 || frame.saved_sp.is_some() {
        add_constant(buffer, SP.number(), FP.number(), -4 * frame.saved.len() as i32);
    }
}

/// Bytes below the saved registers.
fn below_saved(frame: &FrameLayout) -> u32 {
    frame.size - 4 * frame.saved.len() as u32
}

fn saved_bits(frame: &FrameLayout) -> u16 {
    frame.saved.iter().fold(0, |bits, &(register, _)| bits | bit(register))
}

fn bit(register: PReg) -> u16 {
    1 << register.number()
}

/// `destination = source + value`. Takes ip for constants that need more than two instructions; not for `source` ip then.
pub fn add_constant(buffer: &mut MachBuffer<ArmEncoding>, destination: u8, source: u8, value: i32) {
    let always = Condition::Al;
    let (op, size) = if value < 0 { (DataOp::Sub, value.unsigned_abs()) } else { (DataOp::Add, value.unsigned_abs()) };
    if size == 0 {
        if destination != source {
            buffer.put4(mov(always, destination, Operand2::Register(source)));
        }
    } else if let Some(operand) = Operand2::immediate(size) {
        buffer.put4(data(always, op, false, destination, source, operand));
    } else if let Some((first, second)) = ModifiedImmediate::split(size) {
        buffer.put4(data(always, op, false, destination, source, Operand2::Immediate(first)));
        buffer.put4(data(always, op, false, destination, destination, Operand2::Immediate(second)));
    } else {
        for word in constant(always, IP.number(), size) {
            buffer.put4(word);
        }
        buffer.put4(data(always, op, false, destination, source, Operand2::Register(IP.number())));
    }
}

/// Stores a register at `base` + `offset`; ip is lost where that is out of reach.
fn store(buffer: &mut MachBuffer<ArmEncoding>, register: PReg, base: PReg, offset: i32) {
    let address = if offset.abs() <= Transfer::Str.reach() {
        Address::at(base.number(), offset)
    } else {
        for word in constant(Condition::Al, IP.number(), offset.unsigned_abs()) {
            buffer.put4(word);
        }
        let offset = if offset < 0 { Offset::Minus(IP.number()) } else { Offset::Register(IP.number()) };
        Address { base: base.number(), offset, indexing: Indexing::None }
    };
    buffer.put4(transfer(Condition::Al, Transfer::Str, register.number(), address));
}
