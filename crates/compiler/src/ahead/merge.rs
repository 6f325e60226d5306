//! Putting the separately compiled methods together: one numbering of cells, calls bound to pieces or import stubs, and the list of
//! assemblies that all of it relies on.

use super::{AheadPiece, CompiledPiece, Key, PieceKey, clauses};
use crate::abi::HelperId;
use crate::description::{CellDescription, DescriptionWriter};
use crate::env::CellRequest;
use il::types::{AssemblyId, MethodId, TypeId, TypeSystem};
use ir::function::SymbolRef;
use ir::mach::{Backend, CodegenOptions, StubKind};
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) struct Merged {
    pub pieces: Vec<AheadPiece>,
    pub cells: Vec<Vec<u8>>,
    pub dependencies: Vec<AssemblyId>,
}

/// Cells by description, numbered in the order of their first use.
#[derive(Default)]
struct CellTable {
    numbers: FxHashMap<Vec<u8>, u32>,
    count: u32,
}

impl CellTable {
    fn number(&mut self, description: Vec<u8>) -> u32 {
        let next = self.count;
        let number = *self.numbers.entry(description).or_insert(next);
        self.count = next + u32::from(number == next);
        number
    }

    fn into_list(self) -> Vec<Vec<u8>> {
        let mut list = vec![Vec::new(); self.count as usize];
        for (description, number) in self.numbers {
            list[number as usize] = description;
        }
        list
    }
}

/// Code that methods share.
enum ImageStub {
    /// Goes to a method outside of the image.
    Import(MethodId),
    /// Goes to a helper.
    Publish(u16),
}

pub(super) fn merge(
    types: &TypeSystem,
    assembly: AssemblyId,
    compiled: Vec<CompiledPiece>,
    backend: &dyn Backend,
    options: &CodegenOptions,
) -> Merged {
    let dependencies = dependencies(types, assembly, &compiled);
    let mut number = |id: AssemblyId| match dependencies.iter().position(|&known| known == id) {
        Some(position) => position as u32 + 1,
        None => 0,
    };
    let mut writer = DescriptionWriter::new(types, &mut number);
    let mut cells = CellTable::default();
    let mut symbols: FxHashMap<MethodId, u32> =
        compiled.iter().enumerate().map(|(index, piece)| (piece.method, index as u32)).collect();
    let first_stub = compiled.len();
    let mut stubs: Vec<ImageStub> = Vec::new();
    let mut publishers: FxHashMap<u16, u32> = FxHashMap::default();
    let mut pieces = Vec::with_capacity(first_stub);
    for piece in compiled {
        let CompiledPiece { method, key, name, mut code, regions, catch_types, record, .. } = piece;
        let mut known: FxHashMap<u32, u32> = FxHashMap::default();
        for reloc in &mut code.relocs {
            reloc.target = match reloc.target {
                SymbolRef::Cell(local) => SymbolRef::Cell(*known.entry(local).or_insert_with(|| {
                    writer.cell(&record.cells[local as usize]);
                    cells.number(writer.take())
                })),
                SymbolRef::Method(local) => {
                    let callee = record.callees[local as usize];
                    SymbolRef::Method(*symbols.entry(callee).or_insert_with(|| {
                        stubs.push(ImageStub::Import(callee));
                        (first_stub + stubs.len() - 1) as u32
                    }))
                }
                SymbolRef::Publisher(helper) => SymbolRef::Method(*publishers.entry(helper).or_insert_with(|| {
                    stubs.push(ImageStub::Publish(helper));
                    (first_stub + stubs.len() - 1) as u32
                })),
                other => other,
            };
        }
        let key = match key {
            Key::Definition(row) => PieceKey::Definition(row),
            Key::Instance => {
                writer.method(method);
                PieceKey::Instance(writer.take())
            }
        };
        let clauses = clauses::encode(&mut writer, &regions, &catch_types);
        let declaration = types.method(method);
        let origin = declaration.row().map(|row| (declaration.assembly, row));
        pieces.push(AheadPiece { name, key: Some(key), code, origin, clauses });
    }
    for stub in stubs {
        let (name, kind) = match stub {
            ImageStub::Import(method) => {
                writer.cell(&CellDescription::Request(CellRequest::MethodEntry(method)));
                let cell = SymbolRef::Cell(cells.number(writer.take()));
                let name = format!("(import) {}", types.method_full_name(method));
                (name, StubKind::Import { cell, resolve: HelperId::EnterImport as u16 })
            }
            ImageStub::Publish(helper) => {
                let name = HelperId::ALL.get(usize::from(helper)).map_or("?", |helper| helper.info().name);
                (format!("(helper) {name}"), StubKind::Publish { helper })
            }
        };
        let code = backend.stub(kind, options).code;
        pieces.push(AheadPiece { name, key: None, code, origin: None, clauses: Vec::new() });
    }
    Merged { pieces, cells: cells.into_list(), dependencies }
}

/// All assemblies that descriptions name or that inlined bodies and layouts come from, sorted by full name, without `own`. The core library
/// is always among them.
fn dependencies(types: &TypeSystem, own: AssemblyId, pieces: &[CompiledPiece]) -> Vec<AssemblyId> {
    let mut used: FxHashSet<AssemblyId> = FxHashSet::default();
    used.insert(types.corlib());
    let mut layouts: FxHashSet<TypeId> = FxHashSet::default();
    let mut number = |id: AssemblyId| {
        used.insert(id);
        0
    };
    let mut writer = DescriptionWriter::new(types, &mut number);
    for piece in pieces {
        layouts.extend(&piece.record.layouts);
        piece.catch_types.iter().for_each(|&ty| writer.ty(ty));
        piece.inlined.iter().for_each(|&method| writer.method(method));
        if piece.key == Key::Instance {
            writer.method(piece.method);
        }
        for reloc in &piece.code.relocs {
            match reloc.target {
                SymbolRef::Cell(number) => writer.cell(&piece.record.cells[number as usize]),
                SymbolRef::Method(number) => writer.method(piece.record.callees[number as usize]),
                SymbolRef::Helper(_) | SymbolRef::RoData(_) | SymbolRef::Publisher(_) => {}
            }
        }
        writer.take();
    }
    add_layouts(types, layouts, &mut used);
    used.remove(&own);
    let mut named: Vec<(String, AssemblyId)> = used.into_iter().map(|id| (types.assembly(id).name().to_string(), id)).collect();
    named.sort();
    named.into_iter().map(|(_, id)| id).collect()
}

/// The layout of a class rests on those of its parents and of the value types in its fields.
fn add_layouts(types: &TypeSystem, layouts: FxHashSet<TypeId>, used: &mut FxHashSet<AssemblyId>) {
    let mut seen = layouts.clone();
    let mut pending: Vec<TypeId> = layouts.into_iter().collect();
    while let Some(ty) = pending.pop() {
        let Some((assembly, _)) = types.definition_of(ty) else { continue };
        used.insert(assembly);
        let parent = types.header(ty).ok().and_then(|header| header.parent);
        let fields = types.fields_of(ty).unwrap_or_default();
        let values = fields.iter().filter_map(|&field| types.field_type(field).ok()).filter(|&ty| types.is_value_type(ty));
        for next in parent.into_iter().chain(values) {
            if seen.insert(next) {
                pending.push(next);
            }
        }
    }
}
