//! Veneers: what a call goes through whose target is out of its reach. They are pieces of code among the others, as near to the calls as
//! pieces allow (Procedure Call Standard for the Arm Architecture, section 5.3.1.1).

use crate::debug_lines::SourceLines;
use crate::image::{CodePiece, ObjectImage};
use crate::tables::lay_out_code;
use ir::function::SymbolRef;
use ir::mach::Backend;
use rustc_hash::FxHashMap;
use std::borrow::Cow;

/// Calls go straight to what lies this part of their reach away before there are veneers: the rest is for the veneers between.
const STRAIGHT: u32 = 2;
/// This part of the reach lies between two groups of veneers, or a single piece that is larger.
const GROUP_DISTANCE: u32 = 4;

/// The image with veneers for all far calls; as it is if there are none, or the machine needs none.
pub fn add<'a>(image: &'a ObjectImage, backend: &dyn Backend) -> Cow<'a, ObjectImage> {
    let (offsets, length) = lay_out_code(image);
    let relocs = image.code.iter().flat_map(|piece| &piece.code.relocs);
    let reach = relocs.map(|reloc| reloc.kind.reach()).min().unwrap_or(u32::MAX);
    if length <= reach / STRAIGHT {
        return Cow::Borrowed(image);
    }
    let places: FxHashMap<u32, u32> = image.code.iter().zip(&offsets).map(|(piece, &offset)| (piece.symbol, offset)).collect();
    let mut group = Group { next_symbol: places.keys().max().map_or(0, |last| last + 1), ..Group::default() };
    let mut group_start = 0;
    let mut code = Vec::with_capacity(image.code.len());
    // Rows of the source of each piece; veneers have none.
    let mut sources = image.source_lines.clone();
    let mut rows = Vec::new();
    for (index, (piece, &offset)) in image.code.iter().zip(&offsets).enumerate() {
        let mut piece = piece.clone();
        for reloc in &mut piece.code.relocs {
            let SymbolRef::Method(target) = reloc.target else { continue };
            let is_far = |&place: &u32| (offset + reloc.offset).abs_diff(place) > reloc.kind.reach() / STRAIGHT;
            if places.get(&target).is_some_and(is_far) {
                reloc.target = SymbolRef::Method(group.veneer_for(target, backend).unwrap_or(target));
            }
        }
        let end = offset + piece.code.bytes.len() as u32;
        code.push(piece);
        rows.push(sources.as_mut().and_then(|sources| sources.pieces.get_mut(index)).map(std::mem::take).unwrap_or_default());
        if end - group_start >= reach / GROUP_DISTANCE || index + 1 == image.code.len() {
            code.append(&mut group.take());
            rows.resize(code.len(), Vec::new());
            group_start = end;
        }
    }
    let source_lines = sources.map(|sources| SourceLines { pieces: rows, ..sources });
    Cow::Owned(ObjectImage { code, source_lines, ..image.clone() })
}

/// The veneers that the calls since the last group need.
#[derive(Default)]
struct Group {
    pieces: Vec<CodePiece>,
    /// Symbols of the veneers by their targets' symbols.
    known: FxHashMap<u32, u32>,
    next_symbol: u32,
}

impl Group {
    /// Symbol of a veneer that leads to a method.
    fn veneer_for(&mut self, target: u32, backend: &dyn Backend) -> Option<u32> {
        if let Some(&symbol) = self.known.get(&target) {
            return Some(symbol);
        }
        let code = backend.veneer(SymbolRef::Method(target))?;
        let symbol = self.next_symbol;
        self.pieces.push(CodePiece {
            symbol,
            name: "veneer".to_owned(),
            key: None,
            code,
            clauses: Vec::new(),
            inline_sites: Vec::new(),
        });
        self.known.insert(target, symbol);
        self.next_symbol += 1;
        Some(symbol)
    }

    /// All of them; the next group begins.
    fn take(&mut self) -> Vec<CodePiece> {
        self.known.clear();
        std::mem::take(&mut self.pieces)
    }
}
