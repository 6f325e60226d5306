//! One instruction after the other: branches, memory, numbers. What needs more than that, see [`is_external`], is its user's.

use super::arithmetic::*;
use super::layout::FrameLayout;
use super::{Abrupt, Bits, World, stop};
use crate::entity::{Block, Inst, StackSlot, Value};
use crate::function::Function;
use crate::instruction::{Aux, BlockCall, Instruction, Memory, Opcode, TrapCode};
use crate::types::{Access, Type};
use smallvec::SmallVec;

/// Where control goes after an instruction.
pub enum Next {
    /// To the next instruction.
    Following,
    /// To the start of a block, whose parameters are set.
    Block(Block),
}

/// Whether an instruction calls, allocates, ends the function or a handler, or needs the machine: [`Evaluator::step`] does not do it.
pub fn is_external(opcode: Opcode) -> bool {
    use Opcode::*;
    matches!(
        opcode,
        Call | CallIndirect
            | Cell
            | NewObject
            | NewArray
            | TryAllocate
            | StoreRef
            | StackAlloc
            | FrameAddr
            | AtomicAdd
            | AtomicExchange
            | AtomicCompareExchange
            | Fence
            | Return
            | TailCall
            | TailCallIndirect
            | EndFinally
            | EndFilter
            | Unreachable
    )
}

/// A function amid its run.
pub struct Evaluator<'a, W: World + ?Sized> {
    /// The function.
    pub function: &'a Function,
    /// Its frame.
    pub layout: &'a FrameLayout,
    /// Its cells.
    pub values: &'a mut [Bits],
    /// Address of its slots.
    pub slots: u64,
    /// Memory and symbols.
    pub world: &'a mut W,
}

impl<W: World + ?Sized> Evaluator<'_, W> {
    pub(super) fn bits(&self, value: Value) -> Bits {
        self.values[self.layout.read_cell(value)]
    }
    pub(super) fn int(&self, value: Value) -> i64 {
        self.bits(value) as u64 as i64
    }
    /// An address without the sign extension.
    pub(super) fn address(&self, value: Value) -> u64 {
        zero_extend(self.int(value), self.function.bits(Type::Iptr))
    }
    fn float(&self, value: Value) -> f64 {
        float_of(self.int(value), self.function.value_type(value))
    }
    pub(super) fn list(&self, values: &[Value]) -> SmallVec<[Bits; 4]> {
        values.iter().map(|&value| self.bits(value)).collect()
    }
    pub(super) fn pointer(&self, address: u64) -> Bits {
        from_int(address as i64, self.function.bits(Type::Iptr))
    }

    /// Sets the parameters of a block.
    pub fn enter(&mut self, block: Block, args: &[Bits]) {
        for (&param, &arg) in self.function.blocks[block].params.iter().zip(args) {
            self.values[self.layout.cell(param)] = arg;
        }
    }

    /// Sets the results of an instruction.
    pub fn set_results(&mut self, inst: Inst, results: &[Bits]) -> Result<Next, Abrupt> {
        let names = &self.function.results[inst];
        if names.len() != results.len() {
            return stop(format!("{} results for {}", results.len(), self.function.display_inst(inst)));
        }
        for (&name, &result) in names.iter().zip(results) {
            self.values[self.layout.cell(name)] = result;
        }
        Ok(Next::Following)
    }

    /// Extends a value of which only the bytes of its type were written.
    pub fn extend(&mut self, value: Value) {
        let ty = self.function.value_type(value);
        let bits = &mut self.values[self.layout.cell(value)];
        *bits = match ty {
            Type::V128 => return,
            Type::F32 | Type::F64 => from_float_bits(*bits as i64, ty),
            _ => from_int(*bits as i64, self.function.bits(ty)),
        };
    }

    fn branch(&mut self, target: &BlockCall) -> Next {
        let args = self.list(&target.args);
        self.enter(target.block, &args);
        Next::Block(target.block)
    }

    /// Executes an instruction that is not external.
    pub fn step(&mut self, inst: Inst) -> Result<Next, Abrupt> {
        let instruction = &self.function.insts[inst];
        let args = &instruction.args;
        let raise_if = |condition: bool, code| if condition { Err(Abrupt::Trap(code)) } else { Ok(None) };
        let result = match (instruction.opcode, &instruction.aux) {
            (Opcode::Jump, Aux::Targets(targets)) => return Ok(self.branch(&targets[0])),
            (Opcode::Brif, Aux::Targets(targets)) => {
                let target = usize::from(self.int(args[0]) as i32 == 0);
                return Ok(self.branch(&targets[target]));
            }
            (Opcode::BrTable, Aux::Targets(targets)) => {
                let index = self.int(args[0]) as u32 as usize;
                return Ok(self.branch(targets.get(index + 1).unwrap_or(&targets[0])));
            }
            (Opcode::Trap, &Aux::Trap(code)) => return Err(Abrupt::Trap(code)),
            (Opcode::SymbolAddr, &Aux::Symbol(symbol)) => {
                let address = self.world.symbol_address(self.function.symbols[symbol].target);
                Some(self.pointer(address))
            }
            (Opcode::StackAddr, &Aux::Slot(slot, offset)) => Some(self.slot_address(slot, offset)),
            (Opcode::Thread, _) => {
                let thread = self.world.thread();
                Some(self.pointer(thread))
            }
            (Opcode::Load, Aux::Memory(memory)) => Some(self.load(args[0], memory)?),
            (Opcode::Store, Aux::Memory(memory)) => self.store(args[0], memory, self.bits(args[1]))?,
            (Opcode::CopyMemory, &Aux::Int(bytes)) => {
                let mut buffer = SmallVec::<[u8; 64]>::from_elem(0, bytes as usize);
                let (to, from) = (self.address(args[0]), self.address(args[1]));
                let good = self.world.read(from, &mut buffer) && self.world.write(to, &buffer);
                raise_if(!good && bytes > 0, TrapCode::NullReference)?
            }
            (Opcode::ZeroMemory, &Aux::Int(bytes)) => {
                let zeros = SmallVec::<[u8; 64]>::from_elem(0, bytes as usize);
                let good = self.world.write(self.address(args[0]), &zeros);
                raise_if(!good && bytes > 0, TrapCode::NullReference)?
            }
            (Opcode::NullCheck, _) => raise_if(self.int(args[0]) == 0, TrapCode::NullReference)?,
            (Opcode::BoundsCheck, _) => {
                let inside = (self.int(args[0]) as u64) < self.int(args[1]) as u64;
                raise_if(!inside, TrapCode::IndexOutOfRange)?
            }
            (Opcode::TrapIf, &Aux::Trap(code)) => raise_if(self.int(args[0]) as i32 != 0, code)?,
            _ => Some(self.pure(instruction)?),
        };
        if let Some(result) = result {
            self.values[self.layout.result_cell(inst)] = result;
        }
        Ok(Next::Following)
    }

    fn slot_address(&self, slot: StackSlot, offset: i32) -> Bits {
        let address = self.slots + u64::from(self.layout.slot(slot));
        self.pointer(address.wrapping_add_signed(i64::from(offset)))
    }

    fn place(&self, address: Value, memory: &Memory) -> u64 {
        let address = self.int(address).wrapping_add(i64::from(memory.offset));
        zero_extend(address, self.function.bits(Type::Iptr))
    }

    pub(super) fn load(&mut self, address: Value, memory: &Memory) -> Result<Bits, Abrupt> {
        self.read(self.place(address, memory), memory.access)
    }

    /// Reads what an access reads at an address.
    pub fn read(&mut self, address: u64, access: Access) -> Result<Bits, Abrupt> {
        let mut bytes = [0; 16];
        let width = access.bytes(self.function.pointer_bytes) as usize;
        if !self.world.read(address, &mut bytes[..width]) {
            return Err(Abrupt::Trap(TrapCode::NullReference));
        }
        let bits = Bits::from_le_bytes(bytes);
        Ok(match access {
            Access::U8 | Access::U16 | Access::Full(Type::V128 | Type::F32) => bits,
            _ => from_int(bits as u64 as i64, width as u32 * 8),
        })
    }

    pub(super) fn store(&mut self, address: Value, memory: &Memory, bits: Bits) -> Result<Option<Bits>, Abrupt> {
        self.write(self.place(address, memory), memory.access, bits)
    }

    pub(super) fn write(&mut self, address: u64, access: Access, bits: Bits) -> Result<Option<Bits>, Abrupt> {
        let width = access.bytes(self.function.pointer_bytes) as usize;
        let good = self.world.write(address, &bits.to_le_bytes()[..width]);
        if good { Ok(None) } else { Err(Abrupt::Trap(TrapCode::NullReference)) }
    }

    fn pure(&self, instruction: &Instruction) -> Result<Bits, Abrupt> {
        use Opcode::*;
        let (ty, args) = (instruction.ty, &instruction.args);
        let width = self.function.bits(ty);
        let int = |index: usize| self.int(args[index]);
        let float = |index: usize| self.float(args[index]);
        let source_width = || self.function.bits(self.function.value_type(args[0]));
        let result = match (instruction.opcode, &instruction.aux) {
            (Iconst, &Aux::Int(value)) => value,
            (Fconst, &Aux::Int(bits)) => return Ok(from_float_bits(bits, ty)),
            (Icmp, &Aux::IntCompare(compare)) => i64::from(compare_ints(compare, int(0), int(1))),
            (Fcmp, &Aux::FloatCompare(compare)) => i64::from(compare_floats(compare, float(0), float(1))),
            (Select, _) => return Ok(self.bits(args[if int(0) as i32 != 0 { 1 } else { 2 }])),
            (Fadd, _) => return Ok(from_float(float(0) + float(1), ty)),
            (Fsub, _) => return Ok(from_float(float(0) - float(1), ty)),
            (Fmul, _) => return Ok(from_float(float(0) * float(1), ty)),
            (Fdiv, _) => return Ok(from_float(float(0) / float(1), ty)),
            (Fsqrt, _) => return Ok(from_float(float(0).sqrt(), ty)),
            (Fneg, _) => return Ok(self.bits(args[0]) ^ 1 << (width - 1)),
            (Fabs, _) => return Ok(self.bits(args[0]) & !(1 << (width - 1))),
            (Fpromote | Fdemote, _) => return Ok(from_float(float(0), ty)),
            (SintToFloat, _) => return Ok(from_wide(i128::from(int(0)), ty)),
            (UintToFloat, _) => return Ok(from_wide(i128::from(zero_extend(int(0), source_width())), ty)),
            (FloatToSint, _) => float_to_sint(float(0), width),
            (FloatToUint, _) => float_to_uint(float(0), width),
            (Bitcast, _) if ty.is_float() => return Ok(from_float_bits(int(0), ty)),
            (Bitcast, _) if ty == Type::V128 => return Ok(self.bits(args[0])),
            (Bitcast | Sext | Trunc, _) => int(0),
            (Zext, _) => zero_extend(int(0), source_width()) as i64,
            (Sext8, _) => i64::from(int(0) as i8),
            (Sext16, _) => i64::from(int(0) as i16),
            (Zext8, _) => i64::from(int(0) as u8),
            (Zext16, _) => i64::from(int(0) as u16),
            (Ineg, _) => int(0).wrapping_neg(),
            (Inot, _) => !int(0),
            (Clz, _) => i64::from(zero_extend(int(0), width).leading_zeros()) - (64 - i64::from(width)),
            (Ctz, _) => i64::from(int(0).trailing_zeros().min(width)),
            (Popcnt, _) => i64::from(zero_extend(int(0), width).count_ones()),
            (Bswap, _) => (zero_extend(int(0), width).swap_bytes() >> (64 - width)) as i64,
            (opcode, _) => integer_binary(opcode, width, int(0), int(1))?,
        };
        Ok(from_int(result, width))
    }
}
