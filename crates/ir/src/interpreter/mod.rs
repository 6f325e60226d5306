//! Executes functions: the meaning of the IR in its plainest form.
//!
//! [`Evaluator`] does single instructions, and has two users. [`interpret`] runs a whole function in the world of a [`Host`]: tests
//! run a function so before and after passes and compare; [`FlatHost`] is a small host. Exceptions go through the regions of the function in
//! one pass there: a filter runs when it is reached, after the finally handlers within. [`shell`] makes a function of the IR
//! that runs another by way of the evaluator, with calls and handlers of its own: so real programs are interpreted.

mod arithmetic;
mod evaluate;
mod flat_host;
mod layout;
pub mod shell;

pub use evaluate::{Evaluator, Next, is_external};
pub use flat_host::{FlatHost, Native};
pub use layout::FrameLayout;

use crate::entity::{Block, Inst, Region, Value};
use crate::function::{Function, HandlerKind, SymbolRef};
use crate::instruction::{Allocation, Aux, Instruction, Opcode, TrapCode, Window};
use crate::signature::Signature;
use crate::types::{Access, Type};
use arithmetic::from_int;
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

/// What single instructions see of the world. A memory access that fails is a `NullReference` trap.
pub trait World {
    /// Reads memory; whether it is there.
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool;
    /// Writes memory; whether it is there.
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool;
    /// Address of a symbol.
    fn symbol_address(&mut self, symbol: SymbolRef) -> u64;
    /// Address of the thread's structure.
    fn thread(&mut self) -> u64;
}

/// The world outside a function.
pub trait Host: World {
    /// Memory of the frame, until [`release_stack`](Self::release_stack).
    fn allocate_stack(&mut self, size: u64, align: u64) -> Result<u64, Abrupt>;
    /// The top of the stack.
    fn stack_mark(&self) -> u64;
    /// Gives back what was allocated since `mark`.
    fn release_stack(&mut self, mark: u64);
    /// Content of a lazily filled cell.
    fn cell(&mut self, symbol: SymbolRef) -> Result<u64, Abrupt>;
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
    let layout = FrameLayout::new(function);
    let mark = host.stack_mark();
    let slots = match layout.slot_bytes {
        0 => mark,
        bytes => host.allocate_stack(u64::from(bytes), 16)?,
    };
    let mut values = vec![0; layout.cell_count as usize];
    let evaluator = Evaluator { function, layout: &layout, values: &mut values, slots, world: &mut *host };
    let result = Activation { evaluator, steps }.run(args);
    host.release_stack(mark);
    result
}

/// How a run of blocks ended.
enum End {
    Return(BitsList),
    Finally,
    Filter(bool),
}

/// How an instruction ended.
enum Outcome {
    Next(Next),
    End(End),
}

struct Activation<'a, 'h> {
    evaluator: Evaluator<'a, dyn Host + 'h>,
    steps: &'a mut u64,
}

fn stop<T>(message: impl Into<String>) -> Result<T, Abrupt> {
    Err(Abrupt::Stop(message.into()))
}

impl Activation<'_, '_> {
    fn run(&mut self, args: &[Bits]) -> Result<BitsList, Abrupt> {
        let function = self.evaluator.function;
        let entry = function.entry();
        if function.blocks[entry].params.len() != args.len() {
            return stop(format!("{} arguments for {}", args.len(), function.name));
        }
        self.evaluator.enter(entry, args);
        match self.run_from(entry)? {
            End::Return(results) => Ok(results),
            End::Finally | End::Filter(_) => stop("end of a handler that was not entered"),
        }
    }

    /// Runs blocks until one ends the function or the handler, taking exceptions to handlers.
    fn run_from(&mut self, start: Block) -> Result<End, Abrupt> {
        let mut block = start;
        loop {
            match self.run_block(block) {
                Ok(Outcome::Next(Next::Block(next))) => block = next,
                Ok(Outcome::End(end)) => return Ok(end),
                Ok(Outcome::Next(Next::Following)) => return stop(format!("{block} has no end")),
                Err(Abrupt::Stop(message)) => return Err(Abrupt::Stop(message)),
                Err(abrupt) => block = self.handle(block, abrupt)?,
            }
        }
    }

    /// The handler that takes an exception raised in `block`, entered; or the exception again.
    fn handle(&mut self, block: Block, abrupt: Abrupt) -> Result<Block, Abrupt> {
        let function = self.evaluator.function;
        let mut region: Option<Region> = function.blocks[block].region;
        if region.is_none() {
            return Err(abrupt);
        }
        let exception = match abrupt {
            Abrupt::Trap(code) => self.evaluator.world.exception(code),
            Abrupt::Exception(exception) => exception,
            Abrupt::Stop(_) => return Err(abrupt),
        };
        while let Some(current) = region {
            for handler in &function.regions[current].handlers {
                let caught = match handler.kind {
                    HandlerKind::Catch(clause) => self.evaluator.world.catches(clause, exception),
                    HandlerKind::Filter(filter) => {
                        self.evaluator.enter(filter, &[Bits::from(exception)]);
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
                    self.evaluator.enter(handler.entry, &[Bits::from(exception)]);
                    return Ok(handler.entry);
                }
            }
            region = function.regions[current].parent;
        }
        Err(abrupt)
    }

    fn run_block(&mut self, block: Block) -> Result<Outcome, Abrupt> {
        let function = self.evaluator.function;
        for &inst in &function.blocks[block].insts {
            match self.steps.checked_sub(1) {
                Some(left) => *self.steps = left,
                None => return stop("the limit of steps is reached"),
            }
            match self.execute(inst)? {
                Outcome::Next(Next::Following) => {}
                other => return Ok(other),
            }
        }
        Ok(Outcome::Next(Next::Following))
    }

    fn execute(&mut self, inst: Inst) -> Result<Outcome, Abrupt> {
        let instruction = &self.evaluator.function.insts[inst];
        if !is_external(instruction.opcode) {
            return self.evaluator.step(inst).map(Outcome::Next);
        }
        Ok(match (instruction.opcode, &instruction.args) {
            (Opcode::Return, args) => Outcome::End(End::Return(self.evaluator.list(args).into_iter().collect())),
            (Opcode::TailCall | Opcode::TailCallIndirect, _) => Outcome::End(End::Return(self.external(instruction)?)),
            (Opcode::EndFinally, _) => Outcome::End(End::Finally),
            (Opcode::EndFilter, args) => Outcome::End(End::Filter(self.evaluator.int(args[0]) as i32 == 1)),
            (Opcode::Unreachable, _) => return stop("unreachable code was reached"),
            _ => {
                let results = self.external(instruction)?;
                Outcome::Next(self.evaluator.set_results(inst, &results)?)
            }
        })
    }

    /// What the host does; gives the results.
    fn external(&mut self, instruction: &Instruction) -> Result<BitsList, Abrupt> {
        let evaluator = &mut self.evaluator;
        let function = evaluator.function;
        let args = &instruction.args;
        let result = match (instruction.opcode, &instruction.aux) {
            (Opcode::Call | Opcode::TailCall, &Aux::Call { signature, callee }) => {
                let callee = Callee::Symbol(function.symbols[callee].target);
                let args = evaluator.list(args);
                return evaluator.world.call(callee, &function.signatures[signature], &args);
            }
            (Opcode::CallIndirect | Opcode::TailCallIndirect, &Aux::CallIndirect(signature)) => {
                let callee = Callee::Address(evaluator.address(args[0]));
                let args = evaluator.list(&args[1..]);
                return evaluator.world.call(callee, &function.signatures[signature], &args);
            }
            (Opcode::Cell, &Aux::Symbol(symbol)) => {
                let content = evaluator.world.cell(function.symbols[symbol].target)?;
                Some(evaluator.pointer(content))
            }
            (Opcode::NewObject, Aux::Allocation(allocation)) => {
                let object = evaluator.world.new_object(evaluator.address(args[0]), allocation)?;
                Some(evaluator.pointer(object))
            }
            (Opcode::NewArray, Aux::Allocation(allocation)) => {
                let array = evaluator.world.new_array(evaluator.address(args[0]), evaluator.int(args[1]), allocation)?;
                Some(evaluator.pointer(array))
            }
            (Opcode::TryAllocate, Aux::Window(window)) => Some(self.try_allocate(args, window)?),
            (Opcode::StoreRef, Aux::Memory(memory)) => evaluator.store(args[1], memory, evaluator.bits(args[2]))?,
            (Opcode::StackAlloc, _) => {
                let address = evaluator.world.allocate_stack(evaluator.address(args[0]), 16)?;
                Some(evaluator.pointer(address))
            }
            (Opcode::FrameAddr, _) => Some(evaluator.pointer(evaluator.world.stack_mark())),
            (Opcode::AtomicAdd, Aux::Memory(memory)) => {
                let old = evaluator.load(args[0], memory)?;
                let sum = (old as u64 as i64).wrapping_add(evaluator.int(args[1]));
                evaluator.store(args[0], memory, from_int(sum, 64))?;
                Some(old)
            }
            (Opcode::AtomicExchange, Aux::Memory(memory)) => {
                let old = evaluator.load(args[0], memory)?;
                evaluator.store(args[0], memory, evaluator.bits(args[1]))?;
                Some(old)
            }
            (Opcode::AtomicCompareExchange, Aux::Memory(memory)) => {
                let old = evaluator.load(args[0], memory)?;
                if old == evaluator.bits(args[1]) {
                    evaluator.store(args[0], memory, evaluator.bits(args[2]))?;
                }
                Some(old)
            }
            (Opcode::Fence, _) => None,
            (opcode, _) => return stop(format!("{} is not executable", opcode.name())),
        };
        Ok(result.into_iter().collect())
    }

    fn try_allocate(&mut self, args: &[Value], window: &Window) -> Result<Bits, Abrupt> {
        let evaluator = &mut self.evaluator;
        let pointer = Access::Full(Type::Iptr);
        let thread = evaluator.world.thread();
        let field = |base: u64, offset: i32| base.wrapping_add_signed(i64::from(offset));
        let cursor = evaluator.read(field(thread, window.cursor), pointer)?;
        let limit = evaluator.read(field(thread, window.limit), pointer)?;
        let (object, end) = (cursor as u64, (cursor as u64).wrapping_add(evaluator.address(args[1])));
        if end > limit as u64 {
            return Ok(0);
        }
        evaluator.write(field(object, window.method_table), pointer, evaluator.bits(args[0]))?;
        if let Some(&length) = args.get(2) {
            let access = Access::Full(evaluator.function.value_type(length));
            evaluator.write(field(object, window.length), access, evaluator.bits(length))?;
        }
        evaluator.write(field(thread, window.cursor), pointer, evaluator.pointer(end))?;
        Ok(cursor)
    }
}
