//! Putting the separately compiled methods together: one numbering of cells, calls bound to pieces or import stubs, and the list of
//! assemblies that all of it relies on.

use super::environment::Record;
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
    pub inlined_methods: Vec<Vec<u8>>,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum ImageStub {
    /// Goes to a method outside of the image.
    Import(MethodId),
    /// Goes to a helper.
    Publish(u16),
    /// Goes to a helper and keeps the registers.
    Preserve(u16),
    /// The table of resolvers of all cells.
    Resolvers,
}

/// What the pieces that were merged so far refer to.
struct Merger<'a> {
    writer: DescriptionWriter<'a>,
    cells: CellTable,
    /// Numbers of the compiled methods.
    methods: FxHashMap<MethodId, u32>,
    /// Stubs in the order of their first use; their numbers follow those of the methods.
    stubs: Vec<ImageStub>,
    stub_numbers: FxHashMap<ImageStub, u32>,
    /// Descriptions of the methods of inline sites, in the order of their first use.
    inlined_methods: Vec<Vec<u8>>,
    inlined_numbers: FxHashMap<MethodId, u32>,
}

impl Merger<'_> {
    /// A symbol of a piece as one of the image. Resolvers keep the numbers of their cells until all of them are known.
    fn symbol(&mut self, record: &Record, numbers: &mut FxHashMap<u32, u32>, symbol: SymbolRef) -> SymbolRef {
        match symbol {
            SymbolRef::Cell(local) => SymbolRef::Cell(self.cell(record, numbers, local)),
            SymbolRef::Resolver(local) => {
                self.stub(ImageStub::Resolvers);
                SymbolRef::Resolver(self.cell(record, numbers, local))
            }
            SymbolRef::Method(local) => {
                let callee = record.callees[local as usize];
                SymbolRef::Method(match self.methods.get(&callee) {
                    Some(&number) => number,
                    None => self.stub(ImageStub::Import(callee)),
                })
            }
            SymbolRef::Publisher(helper) => SymbolRef::Method(self.stub(ImageStub::Publish(helper))),
            SymbolRef::Preserver(helper) => SymbolRef::Method(self.stub(ImageStub::Preserve(helper))),
            other => other,
        }
    }

    /// Number of a piece's cell; `numbers` remembers those of the piece.
    fn cell(&mut self, record: &Record, numbers: &mut FxHashMap<u32, u32>, local: u32) -> u32 {
        *numbers.entry(local).or_insert_with(|| {
            self.writer.cell(&record.cells[local as usize]);
            self.cells.number(self.writer.take())
        })
    }

    /// Number of the method of an inline site.
    fn inlined_method(&mut self, method: MethodId) -> u32 {
        *self.inlined_numbers.entry(method).or_insert_with(|| {
            self.writer.method(method);
            self.inlined_methods.push(self.writer.take());
            self.inlined_methods.len() as u32 - 1
        })
    }

    fn stub(&mut self, stub: ImageStub) -> u32 {
        let next = (self.methods.len() + self.stubs.len()) as u32;
        let number = *self.stub_numbers.entry(stub).or_insert(next);
        if number == next {
            self.stubs.push(stub);
        }
        number
    }

    /// Code of all stubs, and how far apart resolvers are.
    fn stub_pieces(&mut self, types: &TypeSystem, backend: &dyn Backend, options: &CodegenOptions) -> (Vec<AheadPiece>, u32) {
        let entry_of = |method| CellDescription::Request(CellRequest::MethodEntry(method));
        let stubs = std::mem::take(&mut self.stubs);
        let targets: Vec<u32> = stubs
            .iter()
            .map(|&stub| match stub {
                ImageStub::Import(method) => {
                    self.writer.cell(&entry_of(method));
                    self.cells.number(self.writer.take())
                }
                _ => 0,
            })
            .collect();
        let helper_name = |helper: u16| HelperId::ALL.get(usize::from(helper)).map_or("?", |helper| helper.info().name);
        let mut distance = 0;
        let code = stubs.into_iter().zip(targets).map(|(stub, cell)| {
            let (name, code) = match stub {
                ImageStub::Import(method) => {
                    let kind = StubKind::Import { cell: SymbolRef::Cell(cell), resolve: HelperId::EnterImport as u16 };
                    (format!("(import) {}", types.method_full_name(method)), backend.stub(kind, options).code)
                }
                ImageStub::Publish(helper) => {
                    let code = backend.stub(StubKind::Publish { helper }, options).code;
                    (format!("(helper) {}", helper_name(helper)), code)
                }
                ImageStub::Preserve(helper) => {
                    let code = backend.preserver(helper, options).unwrap_or_default();
                    (format!("(rare helper) {}", helper_name(helper)), code)
                }
                ImageStub::Resolvers => {
                    let resolvers = backend.resolvers(self.cells.count, options);
                    distance = resolvers.as_ref().map_or(0, |resolvers| resolvers.entry_bytes);
                    ("(resolvers)".to_owned(), resolvers.map(|resolvers| resolvers.code).unwrap_or_default())
                }
            };
            AheadPiece { name, key: None, code, origin: None, clauses: Vec::new(), inline_sites: Vec::new() }
        });
        (code.collect(), distance)
    }
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
    let mut merger = Merger {
        writer: DescriptionWriter::new(types, &mut number),
        cells: CellTable::default(),
        methods: compiled.iter().enumerate().map(|(index, piece)| (piece.method, index as u32)).collect(),
        stubs: Vec::new(),
        stub_numbers: FxHashMap::default(),
        inlined_methods: Vec::new(),
        inlined_numbers: FxHashMap::default(),
    };
    let mut pieces = Vec::with_capacity(compiled.len());
    let mut numbers: FxHashMap<u32, u32> = FxHashMap::default();
    for piece in compiled {
        let CompiledPiece { method, key, name, mut code, regions, catch_types, inline_sites, record, .. } = piece;
        numbers.clear();
        for reloc in &mut code.relocs {
            reloc.target = merger.symbol(&record, &mut numbers, reloc.target);
        }
        let key = match key {
            Key::Definition(row) => PieceKey::Definition(row),
            Key::Instance => {
                merger.writer.method(method);
                PieceKey::Instance(merger.writer.take())
            }
        };
        let clauses = clauses::encode(&mut merger.writer, &regions, &catch_types, &code.region_changes);
        let declaration = types.method(method);
        let origin = declaration.row().map(|row| (declaration.assembly, row));
        let inline_sites = inline_sites.iter().map(|site| site.with_callee(merger.inlined_method(site.callee))).collect();
        pieces.push(AheadPiece { name, key: Some(key), code, origin, clauses, inline_sites });
    }
    let resolvers = merger.stub_numbers.get(&ImageStub::Resolvers).copied();
    let (stubs, distance) = merger.stub_pieces(types, backend, options);
    pieces.extend(stubs);
    if let Some(resolvers) = resolvers {
        for reloc in pieces.iter_mut().flat_map(|piece| &mut piece.code.relocs) {
            if let SymbolRef::Resolver(cell) = reloc.target {
                reloc.target = SymbolRef::Method(resolvers);
                reloc.addend += (cell * distance) as i32;
            }
        }
    }
    Merged { pieces, cells: merger.cells.into_list(), inlined_methods: merger.inlined_methods, dependencies }
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
    let mut seen: FxHashSet<MethodId> = FxHashSet::default();
    for piece in pieces {
        layouts.extend(&piece.record.layouts);
        piece.catch_types.iter().for_each(|&ty| writer.ty(ty));
        let own = (piece.key == Key::Instance).then_some(piece.method);
        for method in piece.inlined.iter().copied().chain(own) {
            if seen.insert(method) {
                writer.method(method);
            }
        }
        let mut last = None;
        for reloc in &piece.code.relocs {
            match reloc.target {
                // Most are named twice in a row.
                SymbolRef::Cell(number) | SymbolRef::Resolver(number) if last != Some(number) => {
                    writer.cell(&piece.record.cells[number as usize]);
                    last = Some(number);
                }
                SymbolRef::Method(number) => {
                    let callee = piece.record.callees[number as usize];
                    if seen.insert(callee) {
                        writer.method(callee);
                    }
                }
                _ => {}
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
