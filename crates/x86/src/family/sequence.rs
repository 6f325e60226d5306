//! Code of fixed shape under construction, for stubs.

use ir::function::SymbolRef;
use ir::mach::{CallSite, CompiledCode, FrameInfo, Reloc, RelocKind};

/// A sequence under construction. Whoever writes to `bytes` tells it about fields that were just written.
#[derive(Default)]
pub struct Sequence {
    /// The code.
    pub bytes: Vec<u8>,
    relocs: Vec<Reloc>,
    call_sites: Vec<CallSite>,
    /// Of the call that the stack walker knows the stub by.
    pub return_offset: u32,
}

impl Sequence {
    /// An empty sequence.
    pub fn new() -> Sequence {
        Sequence { bytes: Vec::with_capacity(64), ..Sequence::default() }
    }
    /// The bytes so far.
    pub fn offset(&self) -> u32 {
        self.bytes.len() as u32
    }
    /// The 32-bit field that was just written becomes the distance from the code's end to `target`.
    pub fn reloc(&mut self, target: SymbolRef) {
        self.reloc_from(target, self.offset());
    }
    /// The same, to `displacement` bytes behind `target`.
    pub fn reloc_behind(&mut self, target: SymbolRef, displacement: i32) {
        self.reloc(target);
        if let Some(reloc) = self.relocs.last_mut() {
            reloc.addend += displacement;
        }
    }
    /// The 32-bit field that was just written becomes the distance from the offset `anchor` to `target`.
    pub fn reloc_from(&mut self, target: SymbolRef, anchor: u32) {
        let offset = self.offset() - 4;
        let addend = offset.wrapping_sub(anchor) as i32;
        self.relocs.push(Reloc { offset, kind: RelocKind::PcRelative32, target, addend });
    }
    /// The call that was just written is the one that the stack walker knows the stub by.
    pub fn returns_here(&mut self) {
        self.return_offset = self.offset();
        self.call_sites.push(CallSite { return_offset: self.return_offset, region: None });
    }
    /// The code with its frame.
    pub fn finish(self, frame: FrameInfo) -> CompiledCode {
        CompiledCode {
            code_len: self.offset(),
            bytes: self.bytes,
            align: 16,
            relocs: self.relocs,
            call_sites: self.call_sites,
            frame,
            ..CompiledCode::default()
        }
    }
}
