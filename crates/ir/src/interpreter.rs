//! Executes functions: the meaning of the IR in its plainest form.
//!
//! Tests run a function before and after passes and compare. Memory, calls and objects are the [`Host`]'s; [`FlatHost`] is a
//! small one. Exceptions go through the regions of the function in one pass: a filter runs when it is reached, after the
//! finally handlers within.

use crate::entity::{Block, Entity, Inst, Region, StackSlot, Value};
use crate::function::{Function, HandlerKind, SymbolRef};
use crate::instruction::{Allocation, Aux, BlockCall, FloatCompare, Instruction, IntCompare, Memory, Opcode, TrapCode, Window};
use crate::signature::Signature;
use crate::types::{Access, Type};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The bits of a value. Integers and pointers are sign-extended to 64 bits, an `f32` fills the low half of them; only vectors
/// use the rest.
pub type Bits = u128;

/// Results of a function.
pub type BitsList = SmallVec<[Bits; 2]>;

/// Why an instruction does not complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Abrupt {
    /// One of the exceptions that code raises itself.
    Trap(TrapCode),
    /// An exception object.
    Exception(u64),
    /// The interpreter cannot go on: the function is broken, or the limit of steps is reached.
    Stop(String),
}

/// Who is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Callee {
    /// A symbol of the function.
    Symbol(SymbolRef),
    /// Code at an address.
    Address(u64),
}

/// The world outside a function. A memory access that fails is a `NullReference` trap.
pub trait Host {
    /// Reads memory; whether it is there.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes memory; whether it is there.
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool;
    /// Memory of the frame, until [`release_stack`](Self::release_stack).
    fn allocate_stack(&mut self, size: u64, align: u64) -> Result<u64, Abrupt>;
    /// The top of the stack.
    fn stack_mark(&self) -> u64;
    /// Gives back what was allocated since `mark`.
    fn release_stack(&mut self, mark: u64);
    /// Address of a symbol.
    fn symbol_address(&mut self, symbol: SymbolRef) -> u64;
    /// Content of a lazily filled cell.
    fn cell(&mut self, symbol: SymbolRef) -> Result<u64, Abrupt>;
    /// Address of the thread's structure.
    fn thread(&mut self) -> u64;
    /// Calls.
    fn call(&mut self, callee: Callee, signature: &Signature, args: &[Bits]) -> Result<BitsList, Abrupt>;
    /// A new zeroed object.
    fn new_object(&mut self, method_table: u64, allocation: &Allocation) -> Result<u64, Abrupt>;
    /// A new zeroed array.
    fn new_array(&mut self, method_table: u64, length: i64, allocation: &Allocation) -> Result<u64, Abrupt>;
    /// The exception object for a trap.
    fn exception(&mut self, code: TrapCode) -> u64;
    /// Whether the method's clause with this number catches `exception`.
    fn catches(&mut self, clause: u32, exception: u64) -> bool;
}

/// Runs `function`, for at most `steps` instructions, which are counted down.
pub fn interpret(function: &Function, host: &mut dyn Host, args: &[Bits], steps: &mut u64) -> Result<BitsList, Abrupt> {
    let mark = host.stack_mark();
    let mut frame = Frame { function, host, values: vec![0; function.values.len()], slots: Vec::new(), steps };
    let result = frame.run(args);
    host.release_stack(mark);
    result
}

/// How a run of blocks ended.
enum End {
    Return(BitsList),
    Finally,
    Filter(bool),
}

/// Where control goes after an instruction.
enum Next {
    Following,
    Block(Block),
    End(End),
}

struct Frame<'a> {
    function: &'a Function,
    host: &'a mut dyn Host,
    values: Vec<Bits>,
    slots: Vec<u64>,
    steps: &'a mut u64,
}

fn stop<T>(message: impl Into<String>) -> Result<T, Abrupt> {
    Err(Abrupt::Stop(message.into()))
}

impl Frame<'_> {
    fn run(&mut self, args: &[Bits]) -> Result<BitsList, Abrupt> {
        for slot in self.function.slots.values() {
            let address = self.host.allocate_stack(u64::from(slot.size), u64::from(slot.align))?;
            self.slots.push(address);
        }
        let entry = self.function.entry();
        if self.function.blocks[entry].params.len() != args.len() {
            return stop(format!("{} arguments for {}", args.len(), self.function.name));
        }
        self.enter(entry, args);
        match self.run_from(entry)? {
            End::Return(results) => Ok(results),
            End::Finally | End::Filter(_) => stop("end of a handler that was not entered"),
        }
    }

    fn enter(&mut self, block: Block, args: &[Bits]) {
        let params = &self.function.blocks[block].params;
        for (&param, &arg) in params.iter().zip(args) {
            self.values[param.index()] = arg;
        }
    }

    /// Runs blocks until one ends the function or the handler, taking exceptions to handlers.
    fn run_from(&mut self, start: Block) -> Result<End, Abrupt> {
        let mut block = start;
        loop {
            match self.run_block(block) {
                Ok(Next::Block(next)) => block = next,
                Ok(Next::End(end)) => return Ok(end),
                Ok(Next::Following) => return stop(format!("{block} has no end")),
                Err(Abrupt::Stop(message)) => return Err(Abrupt::Stop(message)),
                Err(abrupt) => block = self.handle(block, abrupt)?,
            }
        }
    }

    /// The handler that takes an exception raised in `block`, entered; or the exception again.
    fn handle(&mut self, block: Block, abrupt: Abrupt) -> Result<Block, Abrupt> {
        let mut region: Option<Region> = self.function.blocks[block].region;
        if region.is_none() {
            return Err(abrupt);
        }
        let exception = match abrupt {
            Abrupt::Trap(code) => self.host.exception(code),
            Abrupt::Exception(exception) => exception,
            Abrupt::Stop(_) => return Err(abrupt),
        };
        while let Some(current) = region {
            for handler in &self.function.regions[current].handlers {
                let caught = match handler.kind {
                    HandlerKind::Catch(clause) => self.host.catches(clause, exception),
                    HandlerKind::Filter(filter) => {
                        self.enter(filter, &[Bits::from(exception)]);
                        // An exception within a filter counts as a no (ECMA-335 I.12.4.2.5).
                        match self.run_from(filter) {
                            Ok(End::Filter(verdict)) => verdict,
                            Ok(_) => return stop("a filter ends otherwise than by end_filter"),
                            Err(Abrupt::Stop(message)) => return Err(Abrupt::Stop(message)),
                            Err(_) => false,
                        }
                    }
                    HandlerKind::Finally | HandlerKind::Fault => match self.run_from(handler.entry)? {
                        End::Finally => false,
                        _ => return stop("a finally handler ends otherwise than by end_finally"),
                    },
                };
                if caught {
                    self.enter(handler.entry, &[Bits::from(exception)]);
                    return Ok(handler.entry);
                }
            }
            region = self.function.regions[current].parent;
        }
        Err(abrupt)
    }

    fn run_block(&mut self, block: Block) -> Result<Next, Abrupt> {
        let function = self.function;
        for &inst in &function.blocks[block].insts {
            match self.steps.checked_sub(1) {
                Some(left) => *self.steps = left,
                None => return stop("the limit of steps is reached"),
            }
            match self.execute(inst)? {
                Next::Following => {}
                next => return Ok(next),
            }
        }
        Ok(Next::Following)
    }

    fn bits(&self, value: Value) -> Bits {
        self.values[self.function.resolve(value).index()]
    }
    fn int(&self, value: Value) -> i64 {
        self.bits(value) as u64 as i64
    }
    /// An address without the sign extension.
    fn address(&self, value: Value) -> u64 {
        zero_extend(self.int(value), self.function.bits(Type::Iptr))
    }
    fn float(&self, value: Value) -> f64 {
        float_of(self.int(value), self.function.value_type(value))
    }
    fn list(&self, values: &[Value]) -> SmallVec<[Bits; 4]> {
        values.iter().map(|&value| self.bits(value)).collect()
    }
    fn pointer(&self, address: u64) -> Bits {
        from_int(address as i64, self.function.bits(Type::Iptr))
    }

    fn branch(&mut self, target: &BlockCall) -> Next {
        let args = self.list(&target.args);
        self.enter(target.block, &args);
        Next::Block(target.block)
    }

    fn execute(&mut self, inst: Inst) -> Result<Next, Abrupt> {
        let function = self.function;
        let instruction = &function.insts[inst];
        let args = &instruction.args;
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Jump, Aux::Targets(targets)) => return Ok(self.branch(&targets[0])),
            (Opcode::Brif, Aux::Targets(targets)) => {
                let target = usize::from(self.int(args[0]) as i32 == 0);
                return Ok(self.branch(&targets[target]));
            }
            (Opcode::BrTable, Aux::Targets(targets)) => {
                let index = self.int(args[0]) as u32 as usize;
                return Ok(self.branch(targets.get(index + 1).unwrap_or(&targets[0])));
            }
            (Opcode::Return, _) => return Ok(Next::End(End::Return(self.list(args).into_iter().collect()))),
            (Opcode::Trap, &Aux::Trap(code)) => return Err(Abrupt::Trap(code)),
            (Opcode::Unreachable, _) => return stop("unreachable code was reached"),
            (Opcode::EndFinally, _) => return Ok(Next::End(End::Finally)),
            (Opcode::EndFilter, _) => return Ok(Next::End(End::Filter(self.int(args[0]) as i32 == 1))),
            (Opcode::Call, &Aux::Call { signature, callee }) => {
                let callee = Callee::Symbol(function.symbols[callee].target);
                let results = self.host.call(callee, &function.signatures[signature], &self.list(args))?;
                return self.set_results(inst, &results);
            }
            (Opcode::CallIndirect, &Aux::CallIndirect(signature)) => {
                let callee = Callee::Address(self.address(args[0]));
                let results = self.host.call(callee, &function.signatures[signature], &self.list(&args[1..]))?;
                return self.set_results(inst, &results);
            }
            _ => {}
        }
        match self.effect(instruction)? {
            Some(result) => self.set_results(inst, &[result]),
            None => Ok(Next::Following),
        }
    }

    fn set_results(&mut self, inst: Inst, results: &[Bits]) -> Result<Next, Abrupt> {
        let names = &self.function.results[inst];
        if names.len() != results.len() {
            return stop(format!("{} results for {}", results.len(), self.function.display_inst(inst)));
        }
        for (name, &result) in names.iter().zip(results) {
            self.values[name.index()] = result;
        }
        Ok(Next::Following)
    }

    /// Instructions that touch the host; the others are pure.
    fn effect(&mut self, instruction: &Instruction) -> Result<Option<Bits>, Abrupt> {
        let args = &instruction.args;
        let trap_if = |condition: bool, code| if condition { Err(Abrupt::Trap(code)) } else { Ok(None) };
        Ok(match (instruction.opcode, &instruction.aux) {
            (Opcode::SymbolAddr, &Aux::Symbol(symbol)) => {
                let address = self.host.symbol_address(self.function.symbols[symbol].target);
                Some(self.pointer(address))
            }
            (Opcode::Cell, &Aux::Symbol(symbol)) => {
                let content = self.host.cell(self.function.symbols[symbol].target)?;
                Some(self.pointer(content))
            }
            (Opcode::StackAddr, &Aux::Slot(slot, offset)) => Some(self.slot_address(slot, offset)),
            (Opcode::Thread, _) => {
                let thread = self.host.thread();
                Some(self.pointer(thread))
            }
            (Opcode::FrameAddr, _) => {
                let mark = self.host.stack_mark();
                Some(self.pointer(mark))
            }
            (Opcode::Load, Aux::Memory(memory)) => Some(self.load(args[0], memory)?),
            (Opcode::Store, Aux::Memory(memory)) => self.store(args[0], memory, self.bits(args[1]))?,
            (Opcode::StoreRef, Aux::Memory(memory)) => self.store(args[1], memory, self.bits(args[2]))?,
            (Opcode::AtomicAdd, Aux::Memory(memory)) => {
                let old = self.load(args[0], memory)?;
                let sum = (old as u64 as i64).wrapping_add(self.int(args[1]));
                self.store(args[0], memory, from_int(sum, 64))?;
                Some(old)
            }
            (Opcode::AtomicExchange, Aux::Memory(memory)) => {
                let old = self.load(args[0], memory)?;
                self.store(args[0], memory, self.bits(args[1]))?;
                Some(old)
            }
            (Opcode::AtomicCompareExchange, Aux::Memory(memory)) => {
                let old = self.load(args[0], memory)?;
                if old == self.bits(args[1]) {
                    self.store(args[0], memory, self.bits(args[2]))?;
                }
                Some(old)
            }
            (Opcode::CopyMemory, &Aux::Int(bytes)) => {
                let mut buffer = vec![0; bytes as usize];
                let (to, from) = (self.address(args[0]), self.address(args[1]));
                let good = self.host.read(from, &mut buffer) && self.host.write(to, &buffer);
                trap_if(!good && bytes > 0, TrapCode::NullReference)?
            }
            (Opcode::ZeroMemory, &Aux::Int(bytes)) => {
                let good = self.host.write(self.address(args[0]), &vec![0; bytes as usize]);
                trap_if(!good && bytes > 0, TrapCode::NullReference)?
            }
            (Opcode::StackAlloc, _) => {
                let address = self.host.allocate_stack(self.address(args[0]), 16)?;
                Some(self.pointer(address))
            }
            (Opcode::Fence, _) => None,
            (Opcode::NullCheck, _) => trap_if(self.int(args[0]) == 0, TrapCode::NullReference)?,
            (Opcode::BoundsCheck, _) => {
                let inside = (self.int(args[0]) as u64) < self.int(args[1]) as u64;
                trap_if(!inside, TrapCode::IndexOutOfRange)?
            }
            (Opcode::TrapIf, &Aux::Trap(code)) => trap_if(self.int(args[0]) as i32 != 0, code)?,
            (Opcode::NewObject, Aux::Allocation(allocation)) => {
                let object = self.host.new_object(self.address(args[0]), allocation)?;
                Some(self.pointer(object))
            }
            (Opcode::NewArray, Aux::Allocation(allocation)) => {
                let array = self.host.new_array(self.address(args[0]), self.int(args[1]), allocation)?;
                Some(self.pointer(array))
            }
            (Opcode::TryAllocate, Aux::Window(window)) => Some(self.try_allocate(args, window)?),
            _ => Some(self.pure(instruction)?),
        })
    }

    fn try_allocate(&mut self, args: &[Value], window: &Window) -> Result<Bits, Abrupt> {
        let pointer = Access::Full(Type::Iptr);
        let thread = self.host.thread();
        let field = |base: u64, offset: i32| base.wrapping_add_signed(i64::from(offset));
        let cursor = self.read(field(thread, window.cursor), pointer)?;
        let limit = self.read(field(thread, window.limit), pointer)?;
        let (object, end) = (cursor as u64, (cursor as u64).wrapping_add(self.address(args[1])));
        if end > limit as u64 {
            return Ok(0);
        }
        self.write(field(object, window.method_table), pointer, self.bits(args[0]))?;
        if let Some(&length) = args.get(2) {
            let access = Access::Full(self.function.value_type(length));
            self.write(field(object, window.length), access, self.bits(length))?;
        }
        self.write(field(thread, window.cursor), pointer, self.pointer(end))?;
        Ok(cursor)
    }

    fn slot_address(&self, slot: StackSlot, offset: i32) -> Bits {
        self.pointer(self.slots[slot.index()].wrapping_add_signed(i64::from(offset)))
    }

    fn place(&self, address: Value, memory: &Memory) -> u64 {
        let address = self.int(address).wrapping_add(i64::from(memory.offset));
        zero_extend(address, self.function.bits(Type::Iptr))
    }

    fn load(&mut self, address: Value, memory: &Memory) -> Result<Bits, Abrupt> {
        self.read(self.place(address, memory), memory.access)
    }

    fn read(&mut self, address: u64, access: Access) -> Result<Bits, Abrupt> {
        let mut bytes = [0; 16];
        let width = access.bytes(self.function.pointer_bytes) as usize;
        if !self.host.read(address, &mut bytes[..width]) {
            return Err(Abrupt::Trap(TrapCode::NullReference));
        }
        let bits = Bits::from_le_bytes(bytes);
        Ok(match access {
            Access::U8 | Access::U16 | Access::Full(Type::V128 | Type::F32) => bits,
            _ => from_int(bits as u64 as i64, width as u32 * 8),
        })
    }

    fn store(&mut self, address: Value, memory: &Memory, bits: Bits) -> Result<Option<Bits>, Abrupt> {
        self.write(self.place(address, memory), memory.access, bits)
    }

    fn write(&mut self, address: u64, access: Access, bits: Bits) -> Result<Option<Bits>, Abrupt> {
        let width = access.bytes(self.function.pointer_bytes) as usize;
        let good = self.host.write(address, &bits.to_le_bytes()[..width]);
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

/// Two integers of `width` bits; the result is right in its low `width` bits.
fn integer_binary(opcode: Opcode, width: u32, a: i64, b: i64) -> Result<i64, Abrupt> {
    use Opcode::*;
    let (unsigned_a, unsigned_b) = (zero_extend(a, width), zero_extend(b, width));
    let (wide_a, wide_b) = (i128::from(a), i128::from(b));
    let shift = (b as u32) & (width - 1);
    let checked_signed = |wide: i128| match i64::try_from(wide) {
        Ok(narrow) if sign_extend(narrow, width) == narrow => Ok(narrow),
        _ => Err(Abrupt::Trap(TrapCode::Overflow)),
    };
    let checked_unsigned = |wide: Option<u64>| match wide {
        Some(narrow) if narrow == zero_extend(narrow as i64, width) => Ok(narrow as i64),
        _ => Err(Abrupt::Trap(TrapCode::Overflow)),
    };
    if matches!(opcode, Sdiv | Udiv | Srem | Urem) {
        if b == 0 {
            return Err(Abrupt::Trap(TrapCode::DivideByZero));
        }
        if matches!(opcode, Sdiv | Srem) && b == -1 && a == sign_extend(1 << (width - 1), width) {
            return Err(Abrupt::Trap(TrapCode::Overflow));
        }
    }
    Ok(match opcode {
        Iadd => a.wrapping_add(b),
        Isub => a.wrapping_sub(b),
        Imul => a.wrapping_mul(b),
        SmulHigh => ((wide_a * wide_b) >> width) as i64,
        UmulHigh => ((u128::from(unsigned_a) * u128::from(unsigned_b)) >> width) as i64,
        Sdiv => a / b,
        Udiv => (unsigned_a / unsigned_b) as i64,
        Srem => a % b,
        Urem => (unsigned_a % unsigned_b) as i64,
        Iand => a & b,
        Ior => a | b,
        Ixor => a ^ b,
        Ishl => a << shift,
        Sshr => a >> shift,
        Ushr => (unsigned_a >> shift) as i64,
        Rotl => (unsigned_a << shift | unsigned_a.checked_shr(width - shift).unwrap_or(0)) as i64,
        SaddOverflow => checked_signed(wide_a + wide_b)?,
        SsubOverflow => checked_signed(wide_a - wide_b)?,
        SmulOverflow => checked_signed(wide_a * wide_b)?,
        UaddOverflow => checked_unsigned(unsigned_a.checked_add(unsigned_b))?,
        UsubOverflow => checked_unsigned(unsigned_a.checked_sub(unsigned_b))?,
        UmulOverflow => checked_unsigned(unsigned_a.checked_mul(unsigned_b))?,
        _ => return stop(format!("{} is not executable", opcode.name())),
    })
}

fn sign_extend(value: i64, width: u32) -> i64 {
    value << (64 - width) >> (64 - width)
}

fn zero_extend(value: i64, width: u32) -> u64 {
    (value as u64) << (64 - width) >> (64 - width)
}

fn from_int(value: i64, width: u32) -> Bits {
    let value = if width < 64 { sign_extend(value, width) } else { value };
    Bits::from(value as u64)
}

fn float_of(bits: i64, ty: Type) -> f64 {
    if ty == Type::F32 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits as u64) }
}

fn from_float_bits(bits: i64, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from(bits as u32) } else { Bits::from(bits as u64) }
}

/// Rounded to `ty`. For one operation on two `f32`, rounding by way of `f64` gives the same as rounding once.
fn from_float(value: f64, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from((value as f32).to_bits()) } else { Bits::from(value.to_bits()) }
}

/// An integer, rounded once.
fn from_wide(value: i128, ty: Type) -> Bits {
    if ty == Type::F32 { Bits::from((value as f32).to_bits()) } else { Bits::from((value as f64).to_bits()) }
}

fn float_to_sint(value: f64, width: u32) -> i64 {
    let limit = (1u64 << (width - 1)) as f64;
    let truncated = value.trunc();
    if truncated >= -limit && truncated < limit { truncated as i64 } else { sign_extend(1 << (width - 1), width) }
}

/// As Mono on amd64. 32 bits: the low half of the signed 64-bit conversion. 64 bits: the signed conversion below 2^63;
/// from there on, and for NaN, the conversion of what is above it, with the top bit flipped.
fn float_to_uint(value: f64, width: u32) -> i64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if width == 64 && (value.is_nan() || value >= HALF) {
        return float_to_sint(value - HALF, 64) ^ i64::MIN;
    }
    float_to_sint(value, 64)
}

/// Sign-extended integers keep their unsigned order too.
fn compare_ints(compare: IntCompare, a: i64, b: i64) -> bool {
    let (unsigned_a, unsigned_b) = (a as u64, b as u64);
    match compare {
        IntCompare::Eq => a == b,
        IntCompare::Ne => a != b,
        IntCompare::Slt => a < b,
        IntCompare::Sle => a <= b,
        IntCompare::Sgt => a > b,
        IntCompare::Sge => a >= b,
        IntCompare::Ult => unsigned_a < unsigned_b,
        IntCompare::Ule => unsigned_a <= unsigned_b,
        IntCompare::Ugt => unsigned_a > unsigned_b,
        IntCompare::Uge => unsigned_a >= unsigned_b,
    }
}

fn compare_floats(compare: FloatCompare, a: f64, b: f64) -> bool {
    let unordered = a.is_nan() || b.is_nan();
    match compare {
        FloatCompare::Oeq => a == b,
        FloatCompare::Une => a != b,
        FloatCompare::Olt => a < b,
        FloatCompare::Ole => a <= b,
        FloatCompare::Ogt => a > b,
        FloatCompare::Oge => a >= b,
        FloatCompare::Ueq => unordered || a == b,
        FloatCompare::One => !unordered && a != b,
        FloatCompare::Ult => unordered || a < b,
        FloatCompare::Ule => unordered || a <= b,
        FloatCompare::Ugt => unordered || a > b,
        FloatCompare::Uge => unordered || a >= b,
    }
}

/// A function outside the IR, for [`FlatHost::natives`]: arguments in, results out.
pub type Native = fn(&mut FlatHost, &[Bits]) -> BitsList;

/// A small world for tests: one flat memory, functions by symbol, and a record of what else was called.
pub struct FlatHost {
    memory: Vec<u8>,
    stack_top: u64,
    heap_top: u64,
    /// Bodies of callees; indirect calls find them by [`Host::symbol_address`].
    pub functions: FxHashMap<SymbolRef, std::sync::Arc<Function>>,
    /// What answers calls of symbols that are no functions of the IR.
    pub natives: FxHashMap<SymbolRef, Native>,
    /// Calls of symbols without a body, which give zeros.
    pub calls: Vec<(Callee, Vec<Bits>)>,
    /// Instructions that may still be executed in callees.
    pub steps: u64,
    symbols: Vec<SymbolRef>,
    depth: u32,
}

impl FlatHost {
    /// Lowest address that is there.
    pub const BASE: u64 = 0x1_0000;
    /// Bytes of stack, which come first; then symbols and the heap.
    const STACK: u64 = 0x4_0000;
    const SYMBOLS: u64 = Self::BASE + Self::STACK;
    /// Bytes for each symbol.
    const SYMBOL_SIZE: u64 = 64;
    const HEAP: u64 = Self::SYMBOLS + 0x1_0000;
    const END: u64 = Self::HEAP + 0x10_0000;
    /// Exception objects of traps: this plus the code.
    pub const EXCEPTIONS: u64 = 0x100;

    /// A world of zeros.
    pub fn new() -> FlatHost {
        FlatHost {
            memory: vec![0; (Self::END - Self::BASE) as usize],
            stack_top: Self::BASE,
            heap_top: Self::HEAP,
            functions: FxHashMap::default(),
            natives: FxHashMap::default(),
            calls: Vec::new(),
            steps: 1_000_000,
            symbols: Vec::new(),
            depth: 0,
        }
    }
    fn range(&self, address: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(address.checked_sub(Self::BASE)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.memory.len()).then_some(start..end)
    }
    /// Zeroed memory of the heap.
    pub fn allocate(&mut self, size: u64) -> Result<u64, Abrupt> {
        let address = self.heap_top;
        match address.checked_add(size).and_then(|end| end.checked_next_multiple_of(8)) {
            Some(end) if end <= Self::END => {
                self.heap_top = end;
                Ok(address)
            }
            _ => stop("the heap is full"),
        }
    }
}

impl Default for FlatHost {
    fn default() -> Self {
        FlatHost::new()
    }
}

impl Host for FlatHost {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let range = self.range(address, bytes.len());
        range.map(|range| bytes.copy_from_slice(&self.memory[range])).is_some()
    }
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let range = self.range(address, bytes.len());
        range.map(|range| self.memory[range].copy_from_slice(bytes)).is_some()
    }
    fn allocate_stack(&mut self, size: u64, align: u64) -> Result<u64, Abrupt> {
        let start = self.stack_top.next_multiple_of(align.max(1));
        match start.checked_add(size) {
            Some(end) if end <= Self::SYMBOLS => {
                self.stack_top = end;
                // Not zero, so that reading what was never written shows.
                let range = self.range(start, size as usize).unwrap_or_default();
                self.memory[range].fill(0xa5);
                Ok(start)
            }
            _ => Err(Abrupt::Trap(TrapCode::StackOverflow)),
        }
    }
    fn stack_mark(&self) -> u64 {
        self.stack_top
    }
    fn release_stack(&mut self, mark: u64) {
        self.stack_top = mark;
    }
    fn symbol_address(&mut self, symbol: SymbolRef) -> u64 {
        let index = self.symbols.iter().position(|&known| known == symbol).unwrap_or_else(|| {
            self.symbols.push(symbol);
            self.symbols.len() - 1
        });
        Self::SYMBOLS + index as u64 * Self::SYMBOL_SIZE
    }
    fn cell(&mut self, symbol: SymbolRef) -> Result<u64, Abrupt> {
        Ok(self.symbol_address(symbol))
    }
    fn thread(&mut self) -> u64 {
        Self::HEAP - Self::SYMBOL_SIZE * 8
    }
    fn call(&mut self, callee: Callee, signature: &Signature, args: &[Bits]) -> Result<BitsList, Abrupt> {
        let symbol = match callee {
            Callee::Symbol(symbol) => Some(symbol),
            Callee::Address(0) => return Err(Abrupt::Trap(TrapCode::NullReference)),
            Callee::Address(address) => {
                let index = address.checked_sub(Self::SYMBOLS).map(|offset| (offset / Self::SYMBOL_SIZE) as usize);
                index.and_then(|index| self.symbols.get(index).copied())
            }
        };
        if let Some(&native) = symbol.and_then(|symbol| self.natives.get(&symbol)) {
            return Ok(native(self, args));
        }
        let Some(function) = symbol.and_then(|symbol| self.functions.get(&symbol).cloned()) else {
            self.calls.push((callee, args.to_vec()));
            return Ok(signature.results.iter().map(|_| 0).collect());
        };
        // The interpreter recurses on the host's own stack.
        if self.depth >= 200 {
            return Err(Abrupt::Trap(TrapCode::StackOverflow));
        }
        self.depth += 1;
        let mut steps = self.steps;
        let result = interpret(&function, self, args, &mut steps);
        self.steps = steps.min(self.steps);
        self.depth -= 1;
        result
    }
    fn new_object(&mut self, method_table: u64, allocation: &Allocation) -> Result<u64, Abrupt> {
        let object = self.allocate(u64::from(allocation.base_size))?;
        self.write(object, &method_table.to_le_bytes());
        Ok(object)
    }
    fn new_array(&mut self, method_table: u64, length: i64, allocation: &Allocation) -> Result<u64, Abrupt> {
        let bytes = u64::try_from(length).ok().and_then(|length| length.checked_mul(u64::from(allocation.element_size)));
        let Some(bytes) = bytes.and_then(|bytes| bytes.checked_add(u64::from(allocation.base_size))) else {
            return Err(Abrupt::Trap(TrapCode::Overflow));
        };
        let array = self.allocate(bytes)?;
        self.write(array, &method_table.to_le_bytes());
        self.write(array + 8, &length.to_le_bytes());
        Ok(array)
    }
    fn exception(&mut self, code: TrapCode) -> u64 {
        Self::EXCEPTIONS + code as u64
    }
    fn catches(&mut self, _clause: u32, _exception: u64) -> bool {
        true
    }
}
