//! The seam between the importer and the world: what compiled code may assume, and how it names what is bound later.
//!
//! The JIT answers from the running process, the AOT compiler records every answer: the record is the image's list
//! of cells and of dependencies.

use crate::abi::Abi;
use crate::inline_source::{ImportBody, ImportedBody};
use il::types::{AssemblyId, FieldId, MethodId, TypeId, TypeSystem};
use ir::function::SymbolRef;
use ir::mach::Backend;

/// Something that code needs at run time and that is not known, or not fixed, when it is compiled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum CellRequest {
    /// The method table of a type, ready for allocation, casts and virtual calls. Does not run the class initialiser.
    MethodTable(TypeId),
    /// The method table; as long as the class initialiser has not run, reading the cell runs it.
    InitializedMethodTable(TypeId),
    /// Base of the static fields without references; reading it runs the class initialiser.
    Statics(TypeId),
    /// Base of the static fields with references; likewise.
    ReferenceStatics(TypeId),
    /// Base of the static fields without references, where the class initialiser needs no run (it has none, or runs now).
    StaticsWithoutInitializer(TypeId),
    /// Likewise with references.
    ReferenceStaticsWithoutInitializer(TypeId),
    /// The interned string of a `ldstr`.
    String(AssemblyId, u32),
    /// Address of a method's code for a direct call: never zero, a thunk compiles the method at its first call.
    MethodEntry(MethodId),
    /// Address of a method's code as `ldftn` gives it.
    FunctionPointer(MethodId),
    /// The runtime's record of a method (`RuntimeMethodHandle`, `ldvirtftn`, delegates, reflection).
    MethodHandle(MethodId),
    /// The runtime's record of a field (`RuntimeFieldHandle`).
    FieldHandle(FieldId),
    /// Handle of a type (`RuntimeTypeHandle`'s value): for `ldtoken`.
    TypeHandle(TypeId),
    /// The System.RuntimeType object of a type.
    TypeObject(TypeId),
    /// Key of an interface method.
    InterfaceKey(MethodId),
    /// Generic dictionary of a method instance: the context argument of its shared code.
    MethodDictionary(MethodId),
    /// Address of a field's initial data in its file.
    FieldData(FieldId),
    /// Native code of an internal call. Never zero: a missing one raises with its full name.
    InternalCall(MethodId),
    /// Native code of a P/Invoke. Never zero: the first call resolves it.
    PlatformInvoke(MethodId),
    /// What a lookup in a generic context looks for; see [`GenericLookup`]. The number is given by [`MethodEnv::generic_lookup`].
    GenericLookup(u32),
    /// What [`MethodEnv::deferred_error`] was told.
    DeferredError(u32),
}

/// How the code gets what it asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CellAnswer {
    /// It is this value, for the life of the code (JIT only).
    Constant(i64),
    /// It will be in this cell. Unless the request says «never zero», an empty cell must be read by the `cell` opcode.
    Cell(SymbolRef),
}

/// What shared code looks up in its generic context. Types and methods are *open*: in terms of the type variables of the
/// shared method's generic definition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GenericLookup {
    /// The method (generic definition on its generic owner) whose variables the request uses.
    pub within: MethodId,
    /// Whether the context is a method's dictionary; else it is a class's method table.
    pub from_method_dictionary: bool,
    /// What to look up: one of the requests for a type or method, open.
    pub request: CellRequest,
}

/// A call's target as the environment sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectCall {
    /// Code in the same image: called directly.
    Near(SymbolRef),
    /// Through a cell that is never zero.
    ThroughCell(SymbolRef),
}

/// All that the importer and the passes know of the world outside of a method.
pub trait MethodEnv: Sync {
    /// The type system.
    fn types(&self) -> &TypeSystem;
    /// The target.
    fn backend(&self) -> &dyn Backend;
    /// Layouts of objects and runtime structures.
    fn abi(&self) -> Abi;
    /// How to get at something at run time.
    fn cell(&self, request: CellRequest) -> CellAnswer;
    /// Registers a lookup in a generic context and gives it a number for `CellRequest::GenericLookup`.
    fn generic_lookup(&self, lookup: GenericLookup) -> u32;
    /// Registers an error that was met at compile time, to be raised when the code gets there.
    fn deferred_error(&self, error: &il::Error) -> u32;
    /// How to call a method's code directly.
    fn direct_call(&self, method: MethodId) -> DirectCall;
    /// Whether `callee`'s IL may become part of `caller`'s code (same version bubble, not `NoInlining`, its class needs no initialiser run).
    fn may_inline(&self, caller: MethodId, callee: MethodId) -> bool;
    /// Notes that the code depends on the layout of a type (its fields' offsets, size, vtable slots).
    fn depend_on_layout(&self, ty: TypeId);
    /// Whether the class initialiser of a type has certainly run already, so that no check is needed.
    fn is_initialized(&self, ty: TypeId) -> bool;
    /// Whether the code is for the JIT, so that type checks of JIT-only features need not be deferred.
    fn is_jit(&self) -> bool;
    /// Whether symbols get names for dumps. They take time to put together.
    fn names_symbols(&self) -> bool {
        true
    }
    /// The body of `callee` for inlining, imported by `import` at its first use and kept from one caller to the next. `None` if
    /// this environment keeps none: the caller imports it for itself.
    fn shared_body(&self, callee: MethodId, import: &ImportBody<'_>) -> Option<Option<ImportedBody>> {
        let _ = (callee, import);
        None
    }
}
