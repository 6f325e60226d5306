//! Every form of operand, encoded and then decoded by another hand.

use crate::family::encoding::{Opcode, Place, Width, encode};
use iced_x86::{Decoder, DecoderOptions, Instruction, Register};

const REGISTERS: [Register; 8] =
    [Register::EAX, Register::ECX, Register::EDX, Register::EBX, Register::ESP, Register::EBP, Register::ESI, Register::EDI];

/// `mov register, place` decoded.
fn decode(register: u8, place: Place) -> Instruction {
    let mut bytes = Vec::new();
    encode(&mut bytes, Opcode::one(0x8b), Width::Narrow, register, place);
    let mut decoder = Decoder::new(32, &bytes, DecoderOptions::NONE);
    let instruction = decoder.decode();
    assert!(!instruction.is_invalid() && instruction.len() == bytes.len(), "{place:?} gives {bytes:x?}");
    assert_eq!(instruction.op0_register(), REGISTERS[register as usize]);
    instruction
}

fn assert_memory(place: Place, base: Option<u8>, index: Option<(u8, u8)>, displacement: i32, segment: Register) {
    for register in 0..8 {
        let instruction = decode(register, place);
        assert_eq!(instruction.memory_base(), base.map_or(Register::None, |base| REGISTERS[base as usize]), "{place:?}");
        assert_eq!(instruction.memory_index(), index.map_or(Register::None, |index| REGISTERS[index.0 as usize]), "{place:?}");
        assert_eq!(instruction.memory_index_scale(), index.map_or(1, |index| 1 << index.1), "{place:?}");
        assert_eq!(instruction.memory_displacement32(), displacement as u32, "{place:?}");
        assert_eq!(instruction.segment_prefix(), segment, "{place:?}");
    }
}

#[test]
fn memory_operands_decode_to_what_was_encoded() {
    let indices = || (0..8u8).filter(|&index| index != 4).flat_map(|index| (0..4).map(move |shift| Some((index, shift))));
    for displacement in [0, 1, -128, 127, 128, -129, i32::MAX, i32::MIN] {
        for index in indices().chain([None]) {
            for base in 0..8 {
                let place = Place::Memory { base, index, displacement };
                assert_memory(place, Some(base), index, displacement, Register::None);
            }
            assert_memory(Place::Segment { index, displacement }, None, index, displacement, Register::FS);
            if let Some((index, shift)) = index {
                let place = Place::Scaled { index, shift, displacement };
                assert_memory(place, None, Some((index, shift)), displacement, Register::None);
            }
        }
    }
    for base in (0..8).filter(|&base| base != 4) {
        for index in indices().chain([None]) {
            assert_memory(Place::Field { base, index }, Some(base), index, 0, Register::None);
        }
    }
    for register in 0..8 {
        assert_eq!(decode(0, Place::Register(register)).op1_register(), REGISTERS[register as usize]);
    }
}
