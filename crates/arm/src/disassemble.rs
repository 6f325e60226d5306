//! Disassembly for dumps and tests.

use capstone::arch::BuildsCapstone;
use capstone::arch::arm::ArchMode;
use capstone::{CsResult, prelude::Capstone};
use std::fmt::Write;

/// One instruction a line: address, then the text. Words that are none, as constants amid the code often are, are shown as such.
pub fn disassemble(bytes: &[u8], address: u64) -> String {
    let mut text = String::new();
    let Ok(decoder) = decoder() else { return text };
    for (index, word) in bytes.chunks(4).enumerate() {
        let address = address + 4 * index as u64;
        // Writing to a string does not fail.
        let _ = write!(text, "{address:6x}  ");
        let _ = match decode(&decoder, word, address) {
            Some(line) => writeln!(text, "{line}"),
            None => writeln!(text, ".word {:#010x}", word.iter().rev().fold(0u32, |all, &byte| all << 8 | u32::from(byte))),
        };
    }
    text
}

fn decoder() -> CsResult<Capstone> {
    Capstone::new().arm().mode(ArchMode::Arm).build()
}

fn decode(decoder: &Capstone, word: &[u8], address: u64) -> Option<String> {
    let decoded = decoder.disasm_count(word, address, 1).ok()?;
    let instruction = decoded.first()?;
    let operands = instruction.op_str().unwrap_or_default();
    let mnemonic = instruction.mnemonic()?;
    Some(if operands.is_empty() { mnemonic.to_string() } else { format!("{mnemonic} {operands}") })
}
