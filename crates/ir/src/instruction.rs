//! Instructions: an opcode, value arguments and one auxiliary operand.
//!
//! All instructions have the same shape, so that printer, parser, verifier and passes go by the
//! table in [`Opcode::info`] instead of by one case each.

use crate::entity::{Block, SigRef, StackSlot, Symbol, Value};
use crate::types::{Access, Type};
use bitflags::bitflags;
use smallvec::SmallVec;

/// Arguments of an instruction or of a branch.
pub type Values = SmallVec<[Value; 4]>;

/// One instruction. Its results are kept by the [`Function`](crate::Function).
#[derive(Clone, PartialEq, Debug)]
pub struct Instruction {
    /// What it does.
    pub opcode: Opcode,
    /// The type of its one result, or, without a result, the type that it works on
    /// (for opcodes that work on one; else `I32`).
    pub ty: Type,
    /// Value arguments.
    pub args: Values,
    /// What it needs beside values.
    pub aux: Aux,
    /// Where it comes from, for line tables and stack traces.
    pub source: SourceOffset,
}

/// Offset into the IL of the method, or `UNKNOWN`. What was inlined has numbers above all of these, which
/// [`inline_sites`](crate::inline_sites) explains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceOffset(pub u32);

impl SourceOffset {
    /// No source position.
    pub const UNKNOWN: SourceOffset = SourceOffset(u32::MAX);
}

/// A branch target with the arguments for its parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockCall {
    /// Target.
    pub block: Block,
    /// One value for each parameter of `block`.
    pub args: SmallVec<[Value; 2]>,
}

impl BlockCall {
    /// A branch target.
    pub fn new(block: Block, args: &[Value]) -> BlockCall {
        BlockCall { block, args: SmallVec::from_slice(args) }
    }
}

/// The part of an instruction that is no value.
#[derive(Clone, PartialEq, Debug)]
pub enum Aux {
    /// Nothing.
    None,
    /// `iconst`: the value, sign-extended from the type's width. `fconst`: the bits (of an `f32` in the low half).
    /// `copy_memory`, `zero_memory`: the number of bytes.
    Int(i64),
    /// `icmp`.
    IntCompare(IntCompare),
    /// `fcmp`.
    FloatCompare(FloatCompare),
    /// `load`, `store`, `store_ref`, atomics.
    Memory(Memory),
    /// `stack_addr`: slot and byte offset in it.
    Slot(StackSlot, i32),
    /// `symbol_addr`, `cell`.
    Symbol(Symbol),
    /// `call`, `tail_call`: a direct callee.
    Call {
        /// Signature.
        signature: SigRef,
        /// Callee; a method is called directly, a cell or helper through its address in memory.
        callee: Symbol,
    },
    /// `call_indirect`, `tail_call_indirect`: the address is the first argument.
    CallIndirect(SigRef),
    /// `trap`, `trap_if`: which exception.
    Trap(TrapCode),
    /// `jump` one target; `brif` two (taken if not zero, else); `br_table` the default, then the cases from 0.
    Targets(Vec<BlockCall>),
    /// `new_object`, `new_array`: what the allocation sequence needs.
    Allocation(Allocation),
    /// `try_allocate`: where its fields lie.
    Window(Window),
}

/// A memory access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Width and widening.
    pub access: Access,
    /// Added to the address argument.
    pub offset: i32,
    /// What is known of it.
    pub flags: MemoryFlags,
    /// Which memory it can alias.
    pub alias: Alias,
}

impl Memory {
    /// An access to the whole of a `ty`, of which nothing is known.
    pub fn any(ty: Type) -> Memory {
        Memory { access: Access::Full(ty), offset: 0, flags: MemoryFlags::empty(), alias: Alias::Any }
    }
    /// An access to a stack slot whose address does not escape.
    pub fn frame(ty: Type) -> Memory {
        Memory { access: Access::Full(ty), offset: 0, flags: MemoryFlags::NO_TRAP, alias: Alias::Stack }
    }
    /// The same at another offset.
    pub fn at(self, offset: i32) -> Memory {
        Memory { offset, ..self }
    }
}

bitflags! {
    /// What is known of a memory access.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct MemoryFlags: u8 {
        /// Cannot fault: the address is known to be good. Without it a fault is a `NullReferenceException`,
        /// and the access may be neither removed nor moved over a side effect.
        const NO_TRAP = 1;
        /// Neither removed, moved nor merged, and ordered (acquire for loads, release for stores).
        const VOLATILE = 2;
        /// The address may be misaligned for the access.
        const UNALIGNED = 4;
        /// The memory never changes once it can be read (array lengths, method tables).
        const READ_ONLY = 8;
    }
}

/// Alias classes: accesses of different classes never touch the same memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Alias {
    /// May be anything.
    Any,
    /// An object's header: method table pointer, array or string length.
    Header,
    /// The instance or static field with this number (given by the importer; the same field has the same number).
    Field(u32),
    /// Array elements of this access width and kind.
    Element(Access),
    /// Structures of the runtime (method tables, thread, dictionaries).
    Runtime,
    /// The frame: stack slots whose address does not escape.
    Stack,
}

/// What an allocation allocates; sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation {
    /// `new_object`: the whole object. `new_array`: offset of the first element.
    pub base_size: u32,
    /// `new_array`: bytes for each element. Else 0.
    pub element_size: u32,
    /// Whether the fast path may be used (no finaliser, not too large, size known).
    pub fast: bool,
}

/// Byte offsets of what `try_allocate` reads and writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// In the thread's structure: address of the next free byte (`iptr`).
    pub cursor: i32,
    /// In the thread's structure: end of the free bytes (`iptr`).
    pub limit: i32,
    /// In the object: its method table.
    pub method_table: i32,
    /// In the object: its length, if it has one.
    pub length: i32,
}

/// Exceptions that code raises without calling a helper.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum TrapCode {
    /// `NullReferenceException`
    NullReference = 0,
    /// `IndexOutOfRangeException`
    IndexOutOfRange = 1,
    /// `DivideByZeroException`
    DivideByZero = 2,
    /// `OverflowException`
    Overflow = 3,
    /// `ArrayTypeMismatchException`
    ArrayTypeMismatch = 4,
    /// `InvalidCastException`
    InvalidCast = 5,
    /// `ArithmeticException` (`ckfinite`)
    Arithmetic = 6,
    /// The stack is used up.
    StackOverflow = 7,
    /// Code that cannot be reached was reached: an error of the compiler.
    Unreachable = 8,
}

impl TrapCode {
    /// All codes; the index is the number.
    pub const ALL: [TrapCode; 9] = [
        TrapCode::NullReference,
        TrapCode::IndexOutOfRange,
        TrapCode::DivideByZero,
        TrapCode::Overflow,
        TrapCode::ArrayTypeMismatch,
        TrapCode::InvalidCast,
        TrapCode::Arithmetic,
        TrapCode::StackOverflow,
        TrapCode::Unreachable,
    ];
    /// Its spelling in the text syntax.
    pub fn name(self) -> &'static str {
        match self {
            TrapCode::NullReference => "null_reference",
            TrapCode::IndexOutOfRange => "index_out_of_range",
            TrapCode::DivideByZero => "divide_by_zero",
            TrapCode::Overflow => "overflow",
            TrapCode::ArrayTypeMismatch => "array_type_mismatch",
            TrapCode::InvalidCast => "invalid_cast",
            TrapCode::Arithmetic => "arithmetic",
            TrapCode::StackOverflow => "stack_overflow",
            TrapCode::Unreachable => "unreachable",
        }
    }
}

/// Integer comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IntCompare {
    /// equal
    Eq,
    /// not equal
    Ne,
    /// signed less
    Slt,
    /// signed less or equal
    Sle,
    /// signed greater
    Sgt,
    /// signed greater or equal
    Sge,
    /// unsigned less
    Ult,
    /// unsigned less or equal
    Ule,
    /// unsigned greater
    Ugt,
    /// unsigned greater or equal
    Uge,
}

impl IntCompare {
    /// All, in order of declaration.
    pub const ALL: [IntCompare; 10] = [
        IntCompare::Eq,
        IntCompare::Ne,
        IntCompare::Slt,
        IntCompare::Sle,
        IntCompare::Sgt,
        IntCompare::Sge,
        IntCompare::Ult,
        IntCompare::Ule,
        IntCompare::Ugt,
        IntCompare::Uge,
    ];
    /// Its spelling in the text syntax.
    pub fn name(self) -> &'static str {
        ["eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"][self as usize]
    }
    /// True where `self` is false.
    pub fn negate(self) -> IntCompare {
        use IntCompare::*;
        match self {
            Eq => Ne,
            Ne => Eq,
            Slt => Sge,
            Sle => Sgt,
            Sgt => Sle,
            Sge => Slt,
            Ult => Uge,
            Ule => Ugt,
            Ugt => Ule,
            Uge => Ult,
        }
    }
    /// The same with the operands swapped.
    pub fn swap(self) -> IntCompare {
        use IntCompare::*;
        match self {
            Eq => Eq,
            Ne => Ne,
            Slt => Sgt,
            Sle => Sge,
            Sgt => Slt,
            Sge => Sle,
            Ult => Ugt,
            Ule => Uge,
            Ugt => Ult,
            Uge => Ule,
        }
    }
}

/// Floating-point comparison. `O…`: false if an operand is NaN; `U…`: true if one is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FloatCompare {
    /// ordered and equal
    Oeq,
    /// unordered or not equal
    Une,
    /// ordered and less
    Olt,
    /// ordered and less or equal
    Ole,
    /// ordered and greater
    Ogt,
    /// ordered and greater or equal
    Oge,
    /// unordered or equal
    Ueq,
    /// ordered and not equal
    One,
    /// unordered or less
    Ult,
    /// unordered or less or equal
    Ule,
    /// unordered or greater
    Ugt,
    /// unordered or greater or equal
    Uge,
}

impl FloatCompare {
    /// All, in order of declaration.
    pub const ALL: [FloatCompare; 12] = [
        FloatCompare::Oeq,
        FloatCompare::Une,
        FloatCompare::Olt,
        FloatCompare::Ole,
        FloatCompare::Ogt,
        FloatCompare::Oge,
        FloatCompare::Ueq,
        FloatCompare::One,
        FloatCompare::Ult,
        FloatCompare::Ule,
        FloatCompare::Ugt,
        FloatCompare::Uge,
    ];
    /// Its spelling in the text syntax.
    pub fn name(self) -> &'static str {
        ["oeq", "une", "olt", "ole", "ogt", "oge", "ueq", "one", "ult", "ule", "ugt", "uge"][self as usize]
    }
    /// True where `self` is false.
    pub fn negate(self) -> FloatCompare {
        use FloatCompare::*;
        match self {
            Oeq => Une,
            Une => Oeq,
            Olt => Uge,
            Ole => Ugt,
            Ogt => Ule,
            Oge => Ult,
            Ueq => One,
            One => Ueq,
            Ult => Oge,
            Ule => Ogt,
            Ugt => Ole,
            Uge => Olt,
        }
    }
    /// The same with the operands swapped.
    pub fn swap(self) -> FloatCompare {
        use FloatCompare::*;
        match self {
            Olt => Ogt,
            Ole => Oge,
            Ogt => Olt,
            Oge => Ole,
            Ult => Ugt,
            Ule => Uge,
            Ugt => Ult,
            Uge => Ule,
            same => same,
        }
    }
}

/// How many results an opcode has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Results {
    /// None.
    None,
    /// One, of the instruction's `ty`.
    One,
    /// Those of the signature.
    Signature,
}

bitflags! {
    /// What an opcode does besides computing its results.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Effects: u8 {
        /// Reads memory.
        const READ = 1;
        /// Writes memory.
        const WRITE = 2;
        /// May raise an exception (for memory accesses: unless `NO_TRAP`).
        const TRAP = 4;
        /// Calls.
        const CALL = 8;
        /// Ends a block.
        const TERMINATOR = 16;
        /// Operands commute.
        const COMMUTES = 32;
    }
}

/// What an opcode's auxiliary operand is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuxKind {
    /// `Aux::None`
    None,
    /// `Aux::Int`
    Int,
    /// `Aux::IntCompare`
    IntCompare,
    /// `Aux::FloatCompare`
    FloatCompare,
    /// `Aux::Memory`
    Memory,
    /// `Aux::Slot`
    Slot,
    /// `Aux::Symbol`
    Symbol,
    /// `Aux::Call`
    Call,
    /// `Aux::CallIndirect`
    CallIndirect,
    /// `Aux::Trap`
    Trap,
    /// `Aux::Targets`
    Targets,
    /// `Aux::Allocation`
    Allocation,
    /// `Aux::Window`
    Window,
}

/// The row of an opcode in the table.
#[derive(Clone, Copy, Debug)]
pub struct OpcodeInfo {
    /// Spelling in the text syntax.
    pub name: &'static str,
    /// Number of value arguments, or `None` if it varies.
    pub args: Option<u8>,
    /// Results.
    pub results: Results,
    /// Kind of `aux`.
    pub aux: AuxKind,
    /// Effects.
    pub effects: Effects,
}

macro_rules! opcodes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $args:tt $results:ident $aux:ident [$($effect:ident)*];)*) => {
        /// What an instruction does. The comments name arguments and meaning.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Opcode { $($(#[$doc])* $variant,)* }

        const OPCODES: &[OpcodeInfo] = &[$(OpcodeInfo {
            name: $name,
            args: opcodes!(@args $args),
            results: Results::$results,
            aux: AuxKind::$aux,
            effects: Effects::empty()$(.union(Effects::$effect))*,
        },)*];

        impl Opcode {
            /// All opcodes, in order of declaration.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant,)*];
        }
    };
    (@args *) => { None };
    (@args $count:literal) => { Some($count) };
}

opcodes! {
    // Constants and addresses
    /// Integer constant, or null for `ref` and `mptr`.
    Iconst "iconst" 0 One Int [];
    /// Float constant by its bits.
    Fconst "fconst" 0 One Int [];
    /// Address of a symbol: a method's code, a cell's or a read-only datum's place.
    SymbolAddr "symbol_addr" 0 One Symbol [];
    /// Content of a lazily filled cell. If it is still zero, the runtime is called to fill it, which
    /// may run a class initialiser or raise. Idempotent: once it gave a value it always gives that one.
    Cell "cell" 0 One Symbol [READ TRAP CALL];
    /// Address in a stack slot; `mptr` or `iptr`.
    StackAddr "stack_addr" 0 One Slot [];
    /// The current thread's structure (`iptr`).
    Thread "thread" 0 One None [];
    /// The frame pointer of this function (`iptr`).
    FrameAddr "frame_addr" 0 One None [];

    // Integers: i32, i64, iptr; iadd and isub also on mptr (address arithmetic)
    /// a + b, wrapping. With `mptr` or `ref` result: address plus `iptr`.
    Iadd "iadd" 2 One None [COMMUTES];
    /// a - b, wrapping
    Isub "isub" 2 One None [];
    /// a × b, wrapping
    Imul "imul" 2 One None [COMMUTES];
    /// High half of the signed product
    SmulHigh "smul_high" 2 One None [COMMUTES];
    /// High half of the unsigned product
    UmulHigh "umul_high" 2 One None [COMMUTES];
    /// a / b signed; raises on 0, and `Overflow` on MIN / -1
    Sdiv "sdiv" 2 One None [TRAP];
    /// a / b unsigned; raises on 0
    Udiv "udiv" 2 One None [TRAP];
    /// a % b signed; raises on 0, and `Overflow` on MIN % -1
    Srem "srem" 2 One None [TRAP];
    /// a % b unsigned; raises on 0
    Urem "urem" 2 One None [TRAP];
    /// a & b
    Iand "iand" 2 One None [COMMUTES];
    /// a | b
    Ior "ior" 2 One None [COMMUTES];
    /// a ^ b
    Ixor "ixor" 2 One None [COMMUTES];
    /// a << b; b is an `i32` of which the low 5 or 6 bits count
    Ishl "ishl" 2 One None [];
    /// a >> b signed; b likewise
    Sshr "sshr" 2 One None [];
    /// a >> b unsigned; b likewise
    Ushr "ushr" 2 One None [];
    /// Rotate left; b likewise
    Rotl "rotl" 2 One None [];
    /// -a, wrapping
    Ineg "ineg" 1 One None [];
    /// !a
    Inot "inot" 1 One None [];
    /// Leading zeros; the width for 0
    Clz "clz" 1 One None [];
    /// Trailing zeros; the width for 0
    Ctz "ctz" 1 One None [];
    /// Number of one bits
    Popcnt "popcnt" 1 One None [];
    /// Byte swap
    Bswap "bswap" 1 One None [];
    /// a + b signed; raises `Overflow`
    SaddOverflow "sadd_ovf" 2 One None [TRAP COMMUTES];
    /// a + b unsigned; raises `Overflow`
    UaddOverflow "uadd_ovf" 2 One None [TRAP COMMUTES];
    /// a - b signed; raises `Overflow`
    SsubOverflow "ssub_ovf" 2 One None [TRAP];
    /// a - b unsigned; raises `Overflow`
    UsubOverflow "usub_ovf" 2 One None [TRAP];
    /// a × b signed; raises `Overflow`
    SmulOverflow "smul_ovf" 2 One None [TRAP COMMUTES];
    /// a × b unsigned; raises `Overflow`
    UmulOverflow "umul_ovf" 2 One None [TRAP COMMUTES];

    // Floats: f32, f64
    /// a + b
    Fadd "fadd" 2 One None [COMMUTES];
    /// a - b
    Fsub "fsub" 2 One None [];
    /// a × b
    Fmul "fmul" 2 One None [COMMUTES];
    /// a / b
    Fdiv "fdiv" 2 One None [];
    /// -a (flips the sign bit)
    Fneg "fneg" 1 One None [];
    /// |a| (clears the sign bit)
    Fabs "fabs" 1 One None [];
    /// Square root
    Fsqrt "fsqrt" 1 One None [];

    // Comparison and selection
    /// Compares two integers, references or pointers; `i32` 0 or 1
    Icmp "icmp" 2 One IntCompare [];
    /// Compares two floats; `i32` 0 or 1
    Fcmp "fcmp" 2 One FloatCompare [];
    /// `c, a, b`: a if c (`i32`) is not 0, else b; both are always computed
    Select "select" 3 One None [];

    // Conversions; the argument's type and `ty` say from what to what
    /// Low 8 bits of an i32, sign-extended to `ty` = i32
    Sext8 "sext8" 1 One None [];
    /// Low 16 bits likewise
    Sext16 "sext16" 1 One None [];
    /// Low 8 bits, zero-extended
    Zext8 "zext8" 1 One None [];
    /// Low 16 bits, zero-extended
    Zext16 "zext16" 1 One None [];
    /// Sign-extends i32 → i64 or iptr, iptr → i64 (a plain copy where widths are equal)
    Sext "sext" 1 One None [];
    /// Zero-extends i32 → i64 or iptr, iptr → i64 (likewise)
    Zext "zext" 1 One None [];
    /// i64 or iptr → i32, i64 → iptr: the low bits (likewise)
    Trunc "trunc" 1 One None [];
    /// The same bits as another type of the same width: i32↔f32, i64↔f64, iptr↔ref↔mptr
    Bitcast "bitcast" 1 One None [];
    /// f32 → f64
    Fpromote "fpromote" 1 One None [];
    /// f64 → f32, rounded
    Fdemote "fdemote" 1 One None [];
    /// Signed integer → float
    SintToFloat "sint_to_float" 1 One None [];
    /// Unsigned integer → float
    UintToFloat "uint_to_float" 1 One None [];
    /// Float → signed integer, truncated. Out of range or NaN: the minimum of `ty`
    FloatToSint "float_to_sint" 1 One None [];
    /// Float → unsigned integer, truncated. Out of range, as Mono's conv.u4 / conv.u8 on amd64. 32 bits: the low half of the
    /// signed 64-bit conversion. 64 bits: below 2^63 (negatives too) the signed conversion; else, and for NaN, the signed
    /// conversion of value - 2^63 with the top bit flipped (so NaN and 2^64 give 0)
    FloatToUint "float_to_uint" 1 One None [];

    // Memory
    /// `address`: loads
    Load "load" 1 One Memory [READ TRAP];
    /// `address, value`: stores; not a reference into the heap (see `store_ref`)
    Store "store" 2 None Memory [WRITE TRAP];
    /// `object, address, value`: stores a reference into `object` at `address` + offset, with the write barrier.
    /// `object` may be null if the owner is not known; `address` may then be anywhere.
    StoreRef "store_ref" 3 None Memory [WRITE TRAP];
    /// `destination, source`: copies `Aux::Int` bytes that hold no references into the heap or whose destination is the frame;
    /// the areas are the same or disjoint
    CopyMemory "copy_memory" 2 None Int [READ WRITE TRAP];
    /// `destination`: zeroes `Aux::Int` bytes
    ZeroMemory "zero_memory" 1 None Int [WRITE TRAP];
    /// `address, value`: atomically adds; gives the old value
    AtomicAdd "atomic_add" 2 One Memory [READ WRITE TRAP];
    /// `address, value`: atomically exchanges; gives the old value
    AtomicExchange "atomic_exchange" 2 One Memory [READ WRITE TRAP];
    /// `address, expected, replacement`: gives the old value
    AtomicCompareExchange "atomic_compare_exchange" 3 One Memory [READ WRITE TRAP];
    /// `size` (iptr): allocates that many bytes of the frame until the function returns, aligned to 16, not zeroed (`localloc`)
    StackAlloc "stack_alloc" 1 One None [READ WRITE TRAP];
    /// Full memory barrier
    Fence "fence" 0 None None [READ WRITE];

    // Objects and checks
    /// `value`: raises `NullReference` if null; gives nothing
    NullCheck "null_check" 1 None None [TRAP];
    /// `index, length`: raises `IndexOutOfRange` unless index < length, unsigned; same integer type
    BoundsCheck "bounds_check" 2 None None [TRAP];
    /// `condition`: raises if not 0
    TrapIf "trap_if" 1 None Trap [TRAP];
    /// `method table`: a new zeroed object (`ref`)
    NewObject "new_object" 1 One Allocation [READ WRITE TRAP CALL];
    /// `method table, length (iptr)`: a new zeroed vector (`ref`); raises on a negative or huge length
    NewArray "new_array" 2 One Allocation [READ WRITE TRAP CALL];
    /// `method table, size (iptr)` or `method table, size, length (i32 or iptr)`: takes `size` zeroed bytes from the thread's allocation
    /// window, or gives null if the window has less. Method table and length are stored before the cursor moves, and
    /// the collector does not stop the thread in between (see `CompiledCode::uninterruptible`).
    TryAllocate "try_allocate" * One Window [READ WRITE];

    // Calls
    /// Direct call
    Call "call" * Signature Call [READ WRITE TRAP CALL];
    /// `address, arguments…`
    CallIndirect "call_indirect" * Signature CallIndirect [READ WRITE TRAP CALL];

    // Block ends
    /// Goes to its target
    Jump "jump" 0 None Targets [TERMINATOR];
    /// `condition`: to the first target if not 0, else to the second
    Brif "brif" 1 None Targets [TERMINATOR];
    /// `index` (i32): to target index + 1, or to target 0 if there is none
    BrTable "br_table" 1 None Targets [TERMINATOR];
    /// Returns the values
    Return "return" * None None [TERMINATOR];
    /// Gives the frame up and goes on in the callee, whose results are the function's. No argument may point into the frame
    TailCall "tail_call" * None Call [READ WRITE TRAP CALL TERMINATOR];
    /// `address, arguments…`: likewise
    TailCallIndirect "tail_call_indirect" * None CallIndirect [READ WRITE TRAP CALL TERMINATOR];
    /// Raises
    Trap "trap" 0 None Trap [TERMINATOR TRAP];
    /// Control does not get here (after a call that does not return)
    Unreachable "unreachable" 0 None None [TERMINATOR];
    /// End of a finally or fault handler entered by the unwinder: unwinding goes on
    EndFinally "end_finally" 0 None None [TERMINATOR TRAP CALL];
    /// `verdict` (i32): end of a filter; 1 if its handler is to catch
    EndFilter "end_filter" 1 None None [TERMINATOR];
}

impl Opcode {
    /// Its row in the table.
    pub fn info(self) -> &'static OpcodeInfo {
        &OPCODES[self as usize]
    }
    /// Spelling in the text syntax.
    pub fn name(self) -> &'static str {
        self.info().name
    }
    /// Whether it ends a block.
    pub fn is_terminator(self) -> bool {
        self.info().effects.contains(Effects::TERMINATOR)
    }
    /// Whether it is a call to other code as far as registers are concerned (before expansion also
    /// allocations and cells).
    pub fn is_call(self) -> bool {
        self.info().effects.contains(Effects::CALL)
    }
}

impl Instruction {
    /// An instruction without a source position.
    pub fn new(opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Instruction {
        Instruction { opcode, ty, args: Values::from_slice(args), aux, source: SourceOffset::UNKNOWN }
    }
    /// The effects of this very instruction: `NO_TRAP` accesses do not trap.
    pub fn effects(&self) -> Effects {
        let effects = self.opcode.info().effects;
        match &self.aux {
            Aux::Memory(memory) if memory.flags.contains(MemoryFlags::NO_TRAP) => effects - Effects::TRAP,
            _ => effects,
        }
    }
    /// Branch targets; empty unless it branches.
    pub fn targets(&self) -> &[BlockCall] {
        match &self.aux {
            Aux::Targets(targets) => targets,
            _ => &[],
        }
    }
    /// Branch targets, mutable.
    pub fn targets_mut(&mut self) -> &mut [BlockCall] {
        match &mut self.aux {
            Aux::Targets(targets) => targets,
            _ => &mut [],
        }
    }
}
