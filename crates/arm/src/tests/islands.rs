//! Large code: constants stay in reach of their instructions, labels of their branches.

use crate::encoding::*;
use ir::function::SymbolRef;
use ir::mach::buffer::{Label, MachBuffer};

const AL: Condition = Condition::Al;

/// Where the literal of the load at `offset` lies.
fn literal(bytes: &[u8], offset: u32) -> u32 {
    let word = word(bytes, offset);
    let up = word & 1 << 23 != 0;
    let distance = match word >> 24 & 0xf {
        0b0101 => word & 0xfff,
        0b1101 => (word & 0xff) * 4,
        _ => panic!("{word:#x} at {offset} is no load"),
    };
    assert!(up);
    offset + 8 + distance
}

/// Where the branch at `offset` goes.
fn branch_target(bytes: &[u8], offset: u32) -> u32 {
    let word = word(bytes, offset);
    assert_eq!(word >> 24 & 0xf, 0b1010, "no branch at {offset}");
    offset.wrapping_add(8).wrapping_add_signed((word << 8) as i32 >> 6)
}

fn word(bytes: &[u8], offset: u32) -> u32 {
    u32::from_le_bytes(bytes[offset as usize..][..4].try_into().unwrap())
}

/// A function of `count` groups of instructions, each of which branches to the start, the end and loads constants in its own way.
fn check(count: u32) -> usize {
    let mut buffer = MachBuffer::<ArmEncoding>::new();
    let start = buffer.bind_new();
    let end = buffer.new_label();
    let mut doubles: Vec<(Label, u64)> = Vec::new();
    let mut cells: Vec<(Label, u32)> = Vec::new();
    let mut branches: Vec<(Label, Label)> = Vec::new();
    for group in 0..count {
        island_if_needed(&mut buffer, 64);
        // Few doubles among many addresses, and the other way round.
        if group % 7 == 0 || group % 1000 > 900 {
            let bits = u64::from(group / 3) << 32 | 5;
            doubles.push((buffer.bind_new(), bits));
            load_double(&mut buffer, 3, bits);
        }
        if group % 1000 < 950 {
            cells.push((buffer.bind_new(), group));
            load_cell(&mut buffer, 2, SymbolRef::Cell(group), 0);
        }
        let target = if group % 2 == 0 { start } else { end };
        branches.push((buffer.bind_new(), target));
        put_branch(&mut buffer, Condition::Ne, target);
        if group % 13 == 0 {
            put_branch(&mut buffer, AL, end);
            island_after_jump(&mut buffer);
        }
    }
    buffer.bind(end);
    let finished = buffer.finish().unwrap();
    let bytes = &finished.code.bytes;
    for (place, bits) in doubles {
        let at = literal(bytes, finished.label_offset(place));
        assert_eq!(u64::from(word(bytes, at + 4)) << 32 | u64::from(word(bytes, at)), bits);
    }
    assert_eq!(finished.code.relocs.len(), cells.len());
    let mut relocs = finished.code.relocs.clone();
    relocs.sort_by_key(|reloc| reloc.offset);
    for (place, cell) in cells {
        let place = finished.label_offset(place);
        let at = literal(bytes, place);
        let found = relocs.binary_search_by_key(&at, |reloc| reloc.offset).expect("a relocation where the load looks");
        let reloc = relocs[found];
        assert_eq!(reloc.target, SymbolRef::Cell(cell));
        // With the code at 0x1000 and the cell at 0x9000_0000, the second instruction reaches the cell from its own pc.
        let (code, target) = (0x1000u32, 0x9000_0000u32);
        let mut field = [0; 4];
        apply_reloc(reloc.kind, &mut field, (code + at).into(), target.into(), reloc.addend).unwrap();
        let pc = code + place + 4 + 8;
        assert_eq!(pc.wrapping_add(u32::from_le_bytes(field)), target);
    }
    for (place, target) in branches {
        assert_eq!(branch_target(bytes, finished.label_offset(place)), finished.label_offset(target));
    }
    bytes.len()
}

#[test]
fn constants_stay_in_reach_and_labels_may_be_far() {
    assert!(check(5) < 200);
    assert!(check(6_000) > 64 << 10);
    assert!(check(300_000) > 4 << 20);
}

#[test]
fn branches_out_of_reach_are_errors() {
    let mut buffer = MachBuffer::<ArmEncoding>::new();
    let end = buffer.new_label();
    put_branch(&mut buffer, AL, end);
    for _ in 0..1 << 23 {
        buffer.put4(nop());
    }
    buffer.bind(end);
    assert!(buffer.finish().is_ok());
    let kind = ir::mach::RelocKind::ArmBranch24;
    let mut word = branch_link(AL, 0).to_le_bytes();
    assert!(apply_reloc(kind, &mut word, 0x1000, 0x1000 + 8 + (1 << 25) - 4, 0).is_ok());
    assert_eq!(u32::from_le_bytes(word), branch_link(AL, (1 << 25) - 4));
    for target in [0x1000 + 8 + (1 << 25), 0x1002] {
        assert!(apply_reloc(kind, &mut word, 0x1000, target, 0).is_err());
    }
    assert!(apply_reloc(kind, &mut word[..3], 0x1000, 0x1000, 0).is_err());
}
