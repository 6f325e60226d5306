//! From the point where instructions of a machine are chosen: what all back ends share.
//!
//! This module holds the seam to a back end ([`Backend`]) and what comes out of one
//! ([`CompiledCode`]). Nothing here knows an instruction set.

pub mod allocator;
pub mod buffer;
pub mod checker;
pub mod frame;
pub mod lower;
pub mod pipeline;
pub mod registers;
pub mod vcode;

use crate::entity::Region;
use crate::function::{Function, SymbolRef};
use crate::instruction::{SourceOffset, TrapCode};
use crate::signature::{CallConvention, Signature};
use crate::types::Type;
use smallvec::SmallVec;

/// A target machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Architecture {
    /// 32-bit x86 with SSE2.
    X86,
    /// 64-bit x86.
    Amd64,
    /// 32-bit ARM, hard float.
    Arm,
}

impl Architecture {
    /// Its name in options and paths.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86 => "x86",
            Architecture::Amd64 => "amd64",
            Architecture::Arm => "arm",
        }
    }
    /// Bytes of a pointer.
    pub fn pointer_bytes(self) -> u32 {
        match self {
            Architecture::Amd64 => 8,
            Architecture::X86 | Architecture::Arm => 4,
        }
    }
}

/// How code reaches what is outside of it. Both make position-independent code without patching.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkModel {
    /// In the code heap: method calls, helpers and cells all lie within reach of a relative reference.
    Jit,
    /// In an image: likewise, and nothing but relative references may appear.
    Pic,
}

/// Byte offsets in the runtime's thread structure that compiled code uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadLayout {
    /// Where a frame publishes its stack pointer before a call of convention `Native`. The return address of that call
    /// is just below it on machines that push it.
    pub last_managed_sp: i32,
    /// Where such a frame publishes the address after the call, on machines that do not push it.
    pub last_managed_pc: i32,
    /// The lowest address that the stack may grow to; prologues of large frames compare with it.
    pub stack_limit: i32,
    /// Where the structure holds its own address, for machines that reach it through a segment register.
    pub self_pointer: i32,
}

/// Settings of one compilation.
#[derive(Clone, Copy, Debug)]
pub struct CodegenOptions {
    /// Link model.
    pub link: LinkModel,
    /// Offsets in the thread structure.
    pub thread: ThreadLayout,
    /// Split live ranges and try harder (`-O=all`) instead of allocating registers fast.
    pub optimize_allocation: bool,
    /// Prove the register allocation by the symbolic checker (debug builds, tests).
    pub check_allocation: bool,
    /// CPU features beyond the baseline, as bits that the back end defines.
    pub cpu_features: u64,
    /// Helper that a raised `TrapCode` without hardware trap goes to: called with the code as its one argument, does not return.
    pub raise_trap: u16,
    /// Helper that `end_finally` calls; does not return.
    pub resume_unwind: u16,
    /// Helper that `end_filter` calls with the verdict; does not return.
    pub end_filter: u16,
    /// Helper that fills a cell, of which it gets the address and whose content it gives, if back ends may call it as [`SymbolRef::Resolver`].
    pub cell_resolver: Option<u16>,
}

/// The code of one method with everything that a code sink and the unwinder need.
#[derive(Clone, Default, Debug)]
pub struct CompiledCode {
    /// Machine code, then its constants.
    pub bytes: Vec<u8>,
    /// Alignment of the start, a power of two.
    pub align: u32,
    /// Length of the instructions at the start of `bytes`.
    pub code_len: u32,
    /// References to the outside.
    pub relocs: Vec<Reloc>,
    /// Instructions that may fault or trap, sorted by offset.
    pub traps: Vec<TrapSite>,
    /// Calls, sorted by return address.
    pub call_sites: Vec<CallSite>,
    /// Source positions, sorted by offset; each holds up to the next.
    pub lines: Vec<(u32, SourceOffset)>,
    /// Where the collector may not stop a thread, sorted and disjoint: offsets of the first instruction that may not be the next one to run, and
    /// of the first that may again.
    pub uninterruptible: Vec<(u32, u32)>,
    /// Where the protected region changes, sorted: from an offset on it is this one. Before the first there is none.
    pub region_changes: Vec<(u32, Option<Region>)>,
    /// Constants amid the instructions: where each run of them starts and ends.
    pub islands: Vec<(u32, u32)>,
    /// How to unwind.
    pub frame: FrameInfo,
    /// Entry points of handlers.
    pub handlers: Vec<HandlerSite>,
}

/// A reference from code to a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reloc {
    /// Where in `bytes`.
    pub offset: u32,
    /// How to write it.
    pub kind: RelocKind,
    /// To what. For `Helper` and `Cell` the address meant is that of the cell that holds the pointer.
    pub target: SymbolRef,
    /// Added to the target's address.
    pub addend: i32,
}

/// How a reference is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RelocKind {
    /// 32 bits, relative to the address of the field itself (the addend corrects for the end of the instruction).
    PcRelative32,
    /// ARM `bl`/`b`: 24 bits of words.
    ArmBranch24,
    /// Target address minus the address of the field's anchor, 32 bits in a constant pool.
    ArmPoolRelative32,
}

impl RelocKind {
    /// Bytes between field and target that can be encoded, in both directions.
    pub fn reach(self) -> u32 {
        match self {
            RelocKind::PcRelative32 | RelocKind::ArmPoolRelative32 => i32::MAX as u32,
            // 24 bits of words, less the distance at which pc reads.
            RelocKind::ArmBranch24 => (1 << 25) - 8,
        }
    }
}

/// A place at which a fault means an exception.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrapSite {
    /// Offset of the faulting instruction.
    pub offset: u32,
    /// Which exception. For `DivideByZero` the runtime looks at the divisor's trap to tell it from overflow only where the machine
    /// does not: back ends check for MIN / -1 themselves.
    pub code: TrapCode,
    /// Protected region that it lies in.
    pub region: Option<Region>,
}

/// A call, known by its return address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSite {
    /// Offset of the instruction after the call.
    pub return_offset: u32,
    /// Protected region that it lies in.
    pub region: Option<Region>,
}

/// Where a handler's code begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandlerSite {
    /// The region that it protects.
    pub region: Region,
    /// Its number among the region's handlers.
    pub index: u32,
    /// Offset of the filter's code, for a catch with a filter.
    pub filter_offset: Option<u32>,
    /// Offset of the handler's code.
    pub handler_offset: u32,
}

/// What the unwinder must know of a frame. All frames keep the frame-pointer chain: the saved frame pointer is at
/// `[fp]` and the return address above it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct FrameInfo {
    /// Frame pointer minus stack pointer in the body (without `stack_alloc`).
    pub frame_size: u32,
    /// Size of the area at the stack pointer for outgoing arguments; a filter must find as much free above its stack pointer.
    pub outgoing_size: u32,
    /// Where the current stack pointer is kept, as an offset from the frame pointer, if the function uses `stack_alloc` or has filters.
    /// In such a function the frame pointer minus the stack pointer varies, so the frame pointer also lies in memory at the stack
    /// pointer + `outgoing_size`, at every call.
    pub saved_sp_offset: Option<i32>,
    /// Callee-saved registers with their places as offsets from the frame pointer, by DWARF number. A function with handlers
    /// saves all of them.
    pub saved_registers: Vec<(u16, i32)>,
    /// Offset after the prologue's push of the frame pointer, after its move, and after the prologue.
    pub prologue: [u32; 3],
    /// Offsets at which an epilogue's pop of the frame pointer is done and only the return is left.
    pub epilogues: Vec<u32>,
}

/// A structure as the calling convention sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StructShape {
    /// Bytes.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// Its scalar fields, nested ones flattened, with byte offsets, in order. Narrow ones by their access.
    pub fields: Vec<(u32, crate::types::Access)>,
}

/// How a structure is passed or returned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StructPassing {
    /// In pieces: each a value of this type, loaded from this byte offset (the last may be cut to the structure's size:
    /// the caller's slot must be readable that far).
    Pieces(SmallVec<[(Type, u32); 4]>),
    /// As the address of a copy that the callee may keep for the call: a parameter of kind `Normal` (managed convention).
    /// As a result: by a `StructReturn` parameter.
    Reference,
    /// Copied to the argument area: a parameter of kind `StructByValue` (native convention).
    Stack,
    /// Empty: not passed at all.
    Nothing,
}

/// Whether a structure is a parameter or a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StructUse {
    /// Parameter.
    Param,
    /// Result.
    Result,
}

/// Why a function could not be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodegenError {
    /// One sentence with the function's name left out.
    pub message: String,
}

impl std::fmt::Display for CodegenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CodegenError {}

/// Small pieces of code that the runtime needs for each machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StubKind {
    /// `extern "C" fn(code, thread, integer_args: *const usize, float_args: *const u64, stack_args: *const usize, stack_words: usize, results: *mut u64)`
    /// (integer and stack arguments are words, floats and results 8 bytes each; `integer_args` are the convention's integer argument registers,
    /// then generic context and interface key):
    /// enters managed code from native code. Saves the callee-saved registers and the thread's `last_managed_sp` in a frame that the
    /// walker knows by the return address in it (its offset is in [`Stub::return_offset`]), loads the argument registers, copies the stack
    /// arguments, sets the thread register, calls, stores integer and float result registers to `results` (two and two), restores `last_managed_sp`.
    EnterManaged,
    /// Jumped to with everything in place for a call of which only the callee is not known yet. A thunk before it has pushed
    /// or loaded a pointer-sized token (see [`Backend::thunk`]). Saves all argument registers (also key and context), publishes the frame, calls helper
    /// `extern "C" fn(thread, token, saved: *mut SavedArguments) -> code`, restores them and jumps to the code.
    Resolve {
        /// The helper's number.
        helper: u16,
    },
    /// `extern "C" fn(thread, context: *const LandingContext) -> !`: sets frame and stack pointer, puts the exception into the register
    /// in which handlers expect it, sets the thread register and jumps.
    Land,
    /// `extern "C" fn(thread, context: *const LandingContext) -> i32`: runs a filter on top of the current stack with the frame pointer of its function; returns what
    /// `end_filter` gives it. Leaves [`FrameInfo::outgoing_size`] bytes (given as `sp`) and the frame pointer (see [`FrameInfo::saved_sp_offset`])
    /// above the filter's stack pointer.
    RunFilter {
        /// Offset in the thread structure of the innermost filter's stack pointer, which `EndFilter` goes back to. Its old content is
        /// restored when the filter returns.
        filter_sp: i32,
    },
    /// Sets the generic context register to what is in the cell `context` and jumps through the cell `target`: turns shared code into
    /// code of one instance (function pointers, delegates, virtual slots).
    WithContext {
        /// Cell that holds the context.
        context: SymbolRef,
        /// Cell that holds the code.
        target: SymbolRef,
    },
    /// Entry of a value type's method in its method table: moves `this` from the object to its payload, which lies `payload` bytes
    /// in, and jumps through the cell `target`. With `context_from_object` it first sets the generic context register to the object's method table.
    Unbox {
        /// Offset of the payload.
        payload: i32,
        /// Shared code that wants its class as context.
        context_from_object: bool,
        /// Cell that holds the code.
        target: SymbolRef,
    },
    /// Jumps to the code in `cell`; while that is empty, leaves the cell's address as token and jumps through the cell of the helper `resolve`
    /// to a `Resolve` stub. For calls out of an image.
    Import {
        /// Cell of the callee's code.
        cell: SymbolRef,
        /// Number of the helper.
        resolve: u16,
    },
    /// Called in place of a native helper: publishes the caller's frame as the caller would and jumps to the helper.
    Publish {
        /// The helper's number.
        helper: u16,
    },
    /// `Invoke` of a delegate that is closed over its first argument: loads code and target from the delegate (which is in the place of `this`) at these offsets,
    /// puts the target in the place of `this` and jumps to the code.
    InvokeClosed {
        /// Offset of the code in the delegate.
        code: i32,
        /// Offset of the target in the delegate.
        target: i32,
    },
    /// Native code calls it; a thunk before it has pushed or loaded a token as for `Resolve`. Saves the argument registers of native code in an
    /// area, calls helper `extern "C" fn(token, area) -> ending`, loads the result registers from the area and returns. What is where
    /// says [`Backend::callback_layout`].
    Callback {
        /// The helper's number.
        helper: u16,
    },
    /// The helper of `end_filter`: finds the innermost `RunFilter` frame (its stack pointer is kept in the thread at
    /// `ThreadLayout`'s neighbour given here) and returns from it with the verdict.
    EndFilter {
        /// Offset in the thread structure of the innermost filter's stack pointer.
        filter_sp: i32,
    },
}

/// Numbers of argument registers of the managed convention; further arguments go to the stack, a word each, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRegisters {
    /// Integer registers.
    pub integers: u32,
    /// Float registers.
    pub floats: u32,
}

/// What a [`StubKind::Resolve`] stub hands to its helper: the argument registers that the helper may look at. Back ends lay their
/// own saved registers after these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct SavedArguments {
    /// The interface key register.
    pub key: usize,
    /// The generic context register.
    pub context: usize,
    /// The first integer argument: `this` of an instance method.
    pub this: usize,
}

/// Byte offsets from the start of the area that a [`StubKind::Callback`] stub hands to its helper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackLayout {
    /// Of each parameter; of a structure passed by value the offset of its copy.
    pub params: SmallVec<[u32; 8]>,
    /// Of each result.
    pub results: SmallVec<[u32; 2]>,
    /// Of the address that is returned of a structure that the callee leaves in memory.
    pub struct_return: u32,
    /// What the helper must return.
    pub ending: usize,
}

/// Where `Land` and `RunFilter` go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct LandingContext {
    /// Code address.
    pub pc: usize,
    /// Frame pointer.
    pub fp: usize,
    /// Stack pointer (`RunFilter`: bytes to leave free above instead).
    pub sp: usize,
    /// The exception object.
    pub exception: usize,
}

/// A stub's code.
#[derive(Clone, Debug)]
pub struct Stub {
    /// Its code with relocations.
    pub code: CompiledCode,
    /// Offset of the return address by which the stack walker knows the stub's frame.
    pub return_offset: u32,
}

/// A table of small pieces of code, one for each cell.
#[derive(Clone, Debug)]
pub struct Resolvers {
    /// The table, with what its entries share behind it. Cell 0 is the target of a relocation; the others follow it.
    pub code: CompiledCode,
    /// Bytes of an entry.
    pub entry_bytes: u32,
}

/// The whole surface of a target machine.
pub trait Backend: Send + Sync {
    /// Which machine.
    fn architecture(&self) -> Architecture;

    /// Compiles a function on which all passes, expansion and, on 32 bits, legalisation have run.
    fn compile(&self, function: &Function, options: &CodegenOptions) -> Result<CompiledCode, CodegenError>;

    /// The same in readable form, for dumps: lowered code before register allocation, after it, and disassembly.
    fn compile_verbose(&self, function: &Function, options: &CodegenOptions)
    -> Result<(CompiledCode, CompileDump), CodegenError>;

    /// How many argument registers [`StubKind::EnterManaged`] loads. Its integer array holds that many words, then the context
    /// register's and the key register's.
    fn entry_registers(&self) -> EntryRegisters {
        EntryRegisters { integers: 6, floats: 8 }
    }

    /// Whether processors with these features (bits of `CodegenOptions::cpu_features`) divide integers. Where they do not, the
    /// back end is given calls in place of divisions.
    fn divides(&self, _cpu_features: u64) -> bool {
        true
    }

    /// How a structure is passed or returned.
    fn pass_struct(&self, shape: &StructShape, convention: CallConvention, usage: StructUse) -> StructPassing;

    /// Where a [`StubKind::Callback`] stub keeps parameters and results of a native signature, after legalisation.
    fn callback_layout(&self, signature: &Signature) -> Result<CallbackLayout, CodegenError>;

    /// Code of a stub.
    fn stub(&self, kind: StubKind, options: &CodegenOptions) -> Stub;

    /// Code of a thunk that leaves `token` for a `Resolve` stub and jumps to it through a cell, which `stub_cell` names.
    fn thunk(&self, token: u64, stub_cell: SymbolRef) -> CompiledCode;

    /// Code that [`SymbolRef::Preserver`] of a helper means. `None` on machines whose code never names it.
    fn preserver(&self, _helper: u16, _options: &CodegenOptions) -> Option<CompiledCode> {
        None
    }

    /// The code that [`SymbolRef::Resolver`] of the first `count` cells means. `None` on machines whose code never names it, or without
    /// [`CodegenOptions::cell_resolver`].
    fn resolvers(&self, _count: u32, _options: &CodegenOptions) -> Option<Resolvers> {
        None
    }

    /// Code that jumps to `target` wherever it lies and keeps all registers that carry something into a method. `None` on machines whose calls reach
    /// all of an image.
    fn veneer(&self, _target: SymbolRef) -> Option<CompiledCode> {
        None
    }

    /// Code of an interface dispatch stub: compares the key register with each key and jumps to the code in the cell beside it;
    /// falls through to a jump through `miss`.
    fn dispatch(&self, entries: &[(u64, SymbolRef)], miss: SymbolRef) -> CompiledCode;

    /// Writes a relocation: `field_address` and `target_address` are final; fails if it does not reach.
    fn apply_reloc(
        &self,
        kind: RelocKind,
        bytes: &mut [u8],
        field_address: u64,
        target_address: u64,
        addend: i32,
    ) -> Result<(), CodegenError>;

    /// Disassembles code for people, one instruction a line, addresses from `address`.
    fn disassemble(&self, bytes: &[u8], address: u64) -> String;

    /// DWARF numbers of frame pointer, stack pointer and return address column, for call frame information.
    fn dwarf_registers(&self) -> DwarfRegisters;

    /// Features of this very host, as bits for `CodegenOptions::cpu_features`; 0 if it is another machine.
    fn host_features(&self) -> u64;
}

/// DWARF register numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DwarfRegisters {
    /// Frame pointer.
    pub frame_pointer: u16,
    /// Stack pointer.
    pub stack_pointer: u16,
    /// Return address.
    pub return_address: u16,
}

/// Text of the steps of code generation.
#[derive(Clone, Default, Debug)]
pub struct CompileDump {
    /// Machine instructions with virtual registers.
    pub lowered: String,
    /// With physical registers.
    pub allocated: String,
    /// Disassembly of the bytes.
    pub disassembly: String,
}
