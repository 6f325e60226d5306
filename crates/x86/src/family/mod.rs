//! What the two x86s share: instruction forms and their bytes, lowering, frames. Everything that differs between them is in
//! [`Family`], of which each has one implementation; all code here is generic over it and so made anew for each, without indirection.

pub mod compile;
pub mod convention;
pub mod disassemble;
pub mod emit;
pub mod encoding;
pub mod frame;
pub mod instructions;
pub mod lower;
pub mod registers;
pub mod sequence;

use convention::CallLayout;
use encoding::Place;
use instructions::Size;
use ir::entity::Inst as IrInst;
use ir::mach::registers::{PReg, PRegSet, RegisterFile};
use ir::mach::{CodegenError, RelocKind};
use ir::signature::{CallConvention, Signature};
use ir::types::Access;
use lower::{Context, Lowering};

/// A machine of the family.
pub trait Family: Copy + Default + Send + Sync + 'static {
    /// Operand size of a pointer.
    const WORD: Size;
    /// Bytes of a pointer.
    const POINTER_BYTES: u32;
    /// Whether memory can be addressed relative to the instruction pointer. If not, data is reached from a register that
    /// holds an address in the code.
    const RIP_RELATIVE: bool;
    /// How many general registers, from number 0 on, have a name for their low byte.
    const BYTE_REGISTERS: u8;
    /// Registers that managed code saves, in the order of their places in the frame.
    const CALLEE_SAVED: &'static [PReg];
    /// Alignment of frames that call nothing.
    const LEAF_ALIGN: u32;
    /// What blocks of memory are moved by: widths with their accesses, the widest first.
    const BLOCK_MOVES: [(u32, Access); 5];
    /// Where helpers expect their first argument; on the stack if in no register.
    const HELPER_ARGUMENT: Option<PReg>;
    /// The register of the target of an indirect call, if it may not be in any.
    const CALL_TARGET: Option<PReg>;
    /// The same for calls that use al for the number of vector arguments.
    const VARIADIC_CALL_TARGET: Option<PReg>;

    /// Registers that preservers of helpers and resolvers of cells destroy.
    const PRESERVER_CLOBBERS: PRegSet;

    /// The register file as the allocator sees it.
    fn register_file() -> RegisterFile;
    /// Registers that a call destroys.
    fn call_clobbers(convention: CallConvention) -> PRegSet;
    /// Places parameters and results of `signature`.
    fn call_layout(signature: &Signature) -> Result<CallLayout, CodegenError>;
    /// A register that carries no argument of `signature` and that an epilogue leaves alone: for the target of a tail call.
    fn tail_call_target(signature: &Signature) -> PReg;
    /// The DWARF number of a general register.
    fn dwarf_number(register: PReg) -> u16;
    /// A place in the thread structure.
    fn thread_place(index: Option<(u8, u8)>, displacement: i32) -> Place;
    /// The register that holds the thread structure's address, if there is one.
    fn thread_register() -> Option<PReg>;
    /// Lowers `uint_to_float`.
    fn lower_uint_to_float(lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst);
    /// Lowers `float_to_uint`.
    fn lower_float_to_uint(lowering: &Lowering<'_, Self>, context: &mut Context<'_>, inst: IrInst);
}

/// Writes a relocation of the family's one kind into `bytes`.
pub fn apply_reloc(
    kind: RelocKind,
    bytes: &mut [u8],
    field_address: u64,
    target_address: u64,
    addend: i32,
    pointer_bytes: u32,
) -> Result<(), CodegenError> {
    let error = |message: &str| CodegenError { message: message.to_string() };
    if kind != RelocKind::PcRelative32 {
        return Err(error("a relocation of another machine"));
    }
    let distance = target_address.wrapping_add(addend as i64 as u64).wrapping_sub(field_address) as i64;
    // Where all addresses have 32 bits, all are in reach.
    let reaches = pointer_bytes == 4 || i32::try_from(distance).is_ok();
    if !reaches {
        return Err(error("a relocation does not reach its target"));
    }
    let field = bytes.get_mut(..4).ok_or_else(|| error("a relocation lies outside of the code"))?;
    field.copy_from_slice(&(distance as i32).to_le_bytes());
    Ok(())
}

/// Features of the host as bits of [`lower`]; 0 if it is no x86.
pub fn host_features() -> u64 {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let present = [
        (std::is_x86_feature_detected!("popcnt"), lower::FEATURE_POPCNT),
        (std::is_x86_feature_detected!("lzcnt"), lower::FEATURE_LZCNT),
        (std::is_x86_feature_detected!("bmi1"), lower::FEATURE_BMI1),
        (std::is_x86_feature_detected!("bmi2"), lower::FEATURE_BMI2),
    ];
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let present: [(bool, u64); 0] = [];
    present.into_iter().filter(|&(is_there, _)| is_there).fold(0, |features, (_, bit)| features | bit)
}
