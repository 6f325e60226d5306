//! References from instructions to labels, constants and symbols.
//!
//! What lies outside of the code is reached by a word among the constants that holds its distance from the instruction that uses
//! it, so code and constants need no change wherever they are loaded.

use super::Condition;
use super::control::{branch, branch_field};
use super::data::{DataOp, Operand2, data};
use super::float::{FloatSize, float_load};
use super::memory::{Address, Transfer, transfer};
use crate::registers::PC;
use ir::function::SymbolRef;
use ir::mach::RelocKind;
use ir::mach::buffer::{Encoding, Label, MachBuffer};
use std::convert::Infallible;

/// How far ahead of an instruction pc reads in it.
const PC_AHEAD: i32 = 8;

/// How A32 refers to labels. Branches reach 32 MB and have one form, so there are none of variable length.
#[derive(Clone, Copy, Debug)]
pub struct ArmEncoding;

/// The instruction that a label's place is written into. It was encoded with a distance of 0, upwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LabelUse {
    /// `b`, `bl`: 24 bits of words.
    Branch,
    /// `ldr`, `ldrb` from pc: 12 bits and a sign.
    Load,
    /// `vldr` from pc: 8 bits of words and a sign.
    FloatLoad,
}

impl LabelUse {
    /// The largest distance up, from the instruction's own address plus 8.
    fn reach(self) -> i64 {
        match self {
            LabelUse::Branch => super::control::BRANCH_REACH,
            LabelUse::Load => 4095,
            LabelUse::FloatLoad => 1020,
        }
    }
}

impl Encoding for ArmEncoding {
    type Branch = Infallible;
    type Fixup = LabelUse;
    fn branch_lengths(branch: Infallible) -> &'static [u8] {
        match branch {}
    }
    fn branch_reaches(branch: Infallible, _length: u8, _distance: i64) -> bool {
        match branch {}
    }
    fn encode_branch(branch: Infallible, _length: u8, _distance: i64, _out: &mut Vec<u8>) {
        match branch {}
    }
    fn apply_fixup(fixup: LabelUse, bytes: &mut [u8], field: usize, target: usize) -> bool {
        let Some(word) = bytes.get_mut(field..).and_then(|bytes| bytes.first_chunk_mut::<4>()) else { return false };
        let distance = target as i64 - (field as i64 + i64::from(PC_AHEAD));
        let size = distance.unsigned_abs() as u32;
        if distance > fixup.reach() {
            return false;
        }
        // The bit for upwards is set already.
        let downwards = if distance < 0 { 1 << 23 } else { 0 };
        let bits = match fixup {
            LabelUse::Branch => match branch_field(distance) {
                Some(bits) => bits,
                None => return false,
            },
            _ if distance < -fixup.reach() => return false,
            LabelUse::Load => downwards ^ size,
            LabelUse::FloatLoad if size % 4 != 0 => return false,
            LabelUse::FloatLoad => downwards ^ size >> 2,
        };
        *word = (u32::from_le_bytes(*word) ^ bits).to_le_bytes();
        true
    }
    fn constant_reach(fixup: LabelUse) -> u32 {
        match fixup {
            LabelUse::Branch => u32::MAX,
            // From the instruction's own address.
            fixup => fixup.reach() as u32 + PC_AHEAD as u32,
        }
    }
}

/// Puts the pending constants here, with a branch around them, if one of them could get out of reach within the next `upcoming`
/// bytes of code. To be asked before each sequence that may not be torn apart.
pub fn island_if_needed(buffer: &mut MachBuffer<ArmEncoding>, upcoming: u32) {
    if buffer.needs_island(room_for(upcoming)) {
        let past = buffer.new_label();
        put_branch(buffer, Condition::Al, past);
        buffer.put_island();
        buffer.bind(past);
    }
}

/// Puts the pending constants here if they are due soon. For places that no instruction falls through to.
pub fn island_after_jump(buffer: &mut MachBuffer<ArmEncoding>) {
    /// An island here saves the branch around one within this distance.
    const SOON: u32 = 512;
    if buffer.needs_island(SOON) {
        buffer.put_island();
    }
}

/// Instructions, the constants that they may ask for (at most 8 bytes each of 4), and the branch around the island.
fn room_for(upcoming: u32) -> u32 {
    3 * upcoming + 4
}

/// `b` to a label.
pub fn put_branch(buffer: &mut MachBuffer<ArmEncoding>, condition: Condition, label: Label) {
    buffer.fixup(buffer.raw_offset(), LabelUse::Branch, label);
    buffer.put4(branch(condition, 0));
}

/// Loads an f64 with these bits from the constants.
pub fn load_double(buffer: &mut MachBuffer<ArmEncoding>, destination: u8, bits: u64) {
    let literal = buffer.constant(&bits.to_le_bytes(), 4);
    buffer.fixup(buffer.raw_offset(), LabelUse::FloatLoad, literal);
    buffer.put4(float_load(Condition::Al, FloatSize::F64, destination, PC.number(), 0));
}

/// Loads the word at `target` + `addend`: what is in a cell. Two instructions.
pub fn load_cell(buffer: &mut MachBuffer<ArmEncoding>, destination: u8, target: SymbolRef, addend: i32) {
    load_distance(buffer, destination, target, addend);
    buffer.put4(transfer(Condition::Al, Transfer::Ldr, destination, Address::indexed(PC.number(), destination, 0)));
}

/// The address of `target` + `addend`. Two instructions.
pub fn symbol_address(buffer: &mut MachBuffer<ArmEncoding>, destination: u8, target: SymbolRef, addend: i32) {
    load_distance(buffer, destination, target, addend);
    let source = Operand2::Register(destination);
    buffer.put4(data(Condition::Al, DataOp::Add, false, destination, PC.number(), source));
}

/// Jumps to the code in the cell `target`. `scratch` is lost.
pub fn jump_through_cell(buffer: &mut MachBuffer<ArmEncoding>, scratch: u8, target: SymbolRef) {
    load_distance(buffer, scratch, target, 0);
    buffer.put4(transfer(Condition::Al, Transfer::Ldr, PC.number(), Address::indexed(PC.number(), scratch, 0)));
}

/// Loads the distance of `target` + `addend` from what pc reads as in the instruction that follows.
fn load_distance(buffer: &mut MachBuffer<ArmEncoding>, destination: u8, target: SymbolRef, addend: i32) {
    let user = buffer.new_label();
    let literal = buffer.address_constant(RelocKind::ArmPoolRelative32, target, addend.wrapping_sub(PC_AHEAD), user);
    buffer.fixup(buffer.raw_offset(), LabelUse::Load, literal);
    buffer.put4(transfer(Condition::Al, Transfer::Ldr, destination, Address::at(PC.number(), 0)));
    buffer.bind(user);
}
