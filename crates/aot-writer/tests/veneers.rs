//! Calls over all of an image whose code is longer than a call reaches.

use aot_writer::image::{CodePiece, ImageIdentity, MethodKey, ObjectImage};
use aot_writer::tables::Field;
use aot_writer::{elf, reader};
use arm::Arm;
use ir::function::SymbolRef;
use ir::mach::{Architecture, CompiledCode, Reloc, RelocKind};

/// ARM: `bl`, its distance still empty.
const CALL: u32 = 0xeb00_0000;
/// ARM: the two instructions of a veneer, `ldr ip, [pc]` and `add pc, pc, ip`.
const VENEER: [u32; 2] = [0xe59f_c000, 0xe08f_f00c];
const PIECES: u32 = 7;
const PIECE_BYTES: usize = 9 << 20;

fn image() -> ObjectImage {
    // Each calls all at its start and at its end.
    let calls = |start: u32| (0..PIECES).map(move |target| (start + 4 * target, target));
    let piece = |symbol: u32| {
        let mut bytes = vec![0; PIECE_BYTES];
        let mut relocs = Vec::new();
        for (offset, target) in calls(0).chain(calls(PIECE_BYTES as u32 - 4 * PIECES)) {
            bytes[offset as usize..offset as usize + 4].copy_from_slice(&CALL.to_le_bytes());
            relocs.push(Reloc { offset, kind: RelocKind::ArmBranch24, target: SymbolRef::Method(target), addend: 0 });
        }
        let code = CompiledCode { code_len: bytes.len() as u32, bytes, align: 4, relocs, ..CompiledCode::default() };
        CodePiece {
            symbol,
            name: format!("piece {symbol}"),
            key: Some(MethodKey::Definition(symbol + 1)),
            code,
            clauses: Vec::new(),
            inline_sites: Vec::new(),
        }
    };
    ObjectImage {
        identity: ImageIdentity {
            architecture: Architecture::Arm,
            cpu_features: 0,
            abi: 1,
            assembly: 2,
            options: String::new(),
            dependencies: Vec::new(),
        },
        name: "large.dll.so".into(),
        code: (0..PIECES).map(piece).collect(),
        cells: Vec::new(),
        inlined_methods: Vec::new(),
        read_only_data: Vec::new(),
        helper_count: 0,
        extra: Vec::new(),
        source_lines: None,
    }
}

#[test]
fn calls_reach_everything() {
    let file = elf::write(&image(), &Arm).unwrap();
    let read = reader::open(&file).unwrap();
    // The text's place in the file is its address.
    let text = &file[read.field(Field::TextAddress) as usize..][..read.field(Field::TextLength) as usize];
    let word = |offset: u32| u32::from_le_bytes(text[offset as usize..][..4].try_into().unwrap());
    let starts: Vec<u32> = (1..=PIECES).map(|row| read.definition(row).unwrap().code_offset).collect();
    let mut veneers = 0;
    for &start in &starts {
        for first in [start, start + PIECE_BYTES as u32 - 4 * PIECES] {
            for (index, &target) in starts.iter().enumerate() {
                let place = first + 4 * index as u32;
                let call = word(place);
                assert_eq!(call & 0xff00_0000, CALL);
                let mut reached = (place + 8).wrapping_add_signed((call << 8) as i32 >> 6);
                if [word(reached), word(reached + 4)] == VENEER {
                    veneers += 1;
                    assert!(!read.method_at(reached).unwrap().is_method);
                    reached = (reached + 12).wrapping_add(word(reached + 8));
                }
                assert_eq!(reached, target, "call {index} at {place:#x}");
            }
        }
    }
    assert!(veneers > 0);
}
