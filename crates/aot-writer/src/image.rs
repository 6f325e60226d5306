//! An image before it is written.

use crate::debug_lines::SourceLines;
use ir::function::SymbolRef;
use ir::inline_sites::InlineSite;
use ir::mach::{Architecture, CompiledCode};

/// Everything that goes into an image. The order of all lists is the order in the file: the caller sorts.
#[derive(Clone, Debug)]
pub struct ObjectImage {
    /// What the image is for.
    pub identity: ImageIdentity,
    /// Name of the shared object.
    pub name: String,
    /// Code, in the order of the text.
    pub code: Vec<CodePiece>,
    /// What each cell asks for: `SymbolRef::Cell(n)` is cell `n`.
    pub cells: Vec<Vec<u8>>,
    /// Descriptions of the methods that inline sites name by number.
    pub inlined_methods: Vec<Vec<u8>>,
    /// Read-only data: `SymbolRef::RoData(n)` is datum `n`. Aligned to 16.
    pub read_only_data: Vec<Vec<u8>>,
    /// Number of helpers: `SymbolRef::Helper(n)` is cell `n` of a table before the others.
    pub helper_count: u32,
    /// Descriptions of generic lookups and deferred errors that cells refer to, as the caller likes.
    pub extra: Vec<u8>,
    /// Where the code came from, for debuggers; nothing at run time needs it.
    pub source_lines: Option<SourceLines>,
}

/// What an image was made from and for. It is used only where all of this fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageIdentity {
    /// Target.
    pub architecture: Architecture,
    /// CPU features that the code uses, as the back end numbers them.
    pub cpu_features: u64,
    /// Fingerprint of layouts and helpers that code and runtime agree on.
    pub abi: u64,
    /// Hash of the content of the assembly.
    pub assembly: u128,
    /// The optimisations, for people.
    pub options: String,
    /// Other assemblies whose content the code relies on.
    pub dependencies: Vec<Dependency>,
}

/// An assembly that the code relies on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dependency {
    /// Full name.
    pub name: String,
    /// Hash of its content.
    pub content: u128,
}

/// A piece of code: a method or a stub.
#[derive(Clone, Debug)]
pub struct CodePiece {
    /// The number by which `SymbolRef::Method` refers to it.
    pub symbol: u32,
    /// Name in the symbol table.
    pub name: String,
    /// Which method it is; stubs have no key.
    pub key: Option<MethodKey>,
    /// Its code.
    pub code: CompiledCode,
    /// What the runtime needs of its catch clauses, as the caller likes.
    pub clauses: Vec<u8>,
    /// The calls in whose place bodies stand, with numbers of their methods in [`ObjectImage::inlined_methods`].
    pub inline_sites: Vec<InlineSite<u32>>,
}

/// How the loader finds a method.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MethodKey {
    /// A method of the assembly that is no generic instance, by its row.
    Definition(u32),
    /// Any other, by a canonical description.
    Instance(Vec<u8>),
}

impl ObjectImage {
    /// Bytes of a cell.
    pub fn pointer_bytes(&self) -> u32 {
        self.identity.architecture.pointer_bytes()
    }
    /// Total number of cells, those of the helpers included.
    pub fn total_cells(&self) -> u32 {
        self.helper_count + self.cells.len() as u32
    }
    /// Place of a symbol's cell in the table of all cells.
    pub fn cell_index(&self, symbol: SymbolRef) -> Option<u32> {
        match symbol {
            SymbolRef::Helper(helper) => Some(u32::from(helper)),
            SymbolRef::Cell(cell) => Some(self.helper_count + cell),
            SymbolRef::Method(_)
            | SymbolRef::RoData(_)
            | SymbolRef::Publisher(_)
            | SymbolRef::Preserver(_)
            | SymbolRef::Resolver(_) => None,
        }
    }
}
