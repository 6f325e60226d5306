//! Interpretation amid compiled code: a *shell* is a function that stands for another one, with its signature, protected regions, calls
//! and results. It keeps the other's values and slots in its frame and leaves all else to the evaluator, which comes back when
//! an instruction is external or raises.
//!
//! So interpreted functions call and are called, are unwound, walked and scanned as compiled ones are, on every target, and
//! the evaluator needs no stack of its own. Whoever runs the shell provides [`ShellOptions::interpret`].

use super::{Abrupt, Bits, Evaluator, FrameLayout, Next, World, is_external};
use crate::entity::{Block, Entity, Inst, Region, StackSlot, Value};
use crate::function::{BlockData, Function, Handler, HandlerKind, RegionData, StackSlotData, SymbolRef};
use crate::instruction::{Alias, Aux, BlockCall, Effects, Instruction, Memory, MemoryFlags, Opcode, SourceOffset};
use crate::signature::{CallConvention, Param, Signature};
use crate::types::{Access, Type};
use rustc_hash::FxHashMap;

/// Helpers that a shell calls, as numbers of `SymbolRef::Helper`.
#[derive(Clone, Copy, Debug)]
pub struct ShellOptions {
    /// `(iptr frame, iptr program) -> i32`, a leaf: runs [`Program::run`] and gives its result.
    pub interpret: u16,
    /// `()`: for whoever asked the interpreter to pause.
    pub pause: u16,
    /// `(i32 trap code)`: raises.
    pub raise_trap: u16,
}

/// The first bytes of an interpreted function's frame; then come its cells, then its slots.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameHeader {
    /// Where the evaluator goes on: number of an instruction in [`Program`].
    position: u32,
    /// What the instruction that raised raised.
    trap: u32,
}

/// The frame as the evaluator sees it.
pub struct FrameParts<'a> {
    /// The header.
    pub header: &'a mut FrameHeader,
    /// The cells.
    pub values: &'a mut [Bits],
    /// Address of the slots.
    pub slots: u64,
}

/// Offset of the trap code in a frame, in bytes.
const TRAP_OFFSET: i32 = 4;
/// Bytes of a cell.
const CELL_BYTES: u32 = size_of::<Bits>() as u32;
/// Exit of the shell at which the pause helper is called.
pub const PAUSE: u32 = 0;
/// No exit, no position.
const NONE: u32 = u32::MAX;

/// Where the evaluator leaves to at an instruction.
#[derive(Clone, Copy, Debug)]
struct Exits {
    /// Because it is external.
    external: u32,
    /// Because it raises.
    raise: u32,
}

/// A function prepared for interpretation.
#[derive(Debug)]
pub struct Program {
    function: Function,
    layout: FrameLayout,
    /// All instructions of the layout in order; positions are indices into it.
    insts: Vec<(Inst, Exits)>,
    /// By block: position of its first instruction.
    starts: Vec<u32>,
    /// By position of a block's first instruction.
    blocks: FxHashMap<u32, Block>,
    exit_count: u32,
}

impl Program {
    /// Prepares a function.
    pub fn new(mut function: Function) -> Program {
        function.resolve_aliases();
        let layout = FrameLayout::new(&function);
        let mut starts = vec![NONE; function.blocks.len()];
        let (mut insts, mut blocks) = (Vec::new(), FxHashMap::default());
        let mut exit_count = PAUSE + 1;
        let mut new_exit = || {
            exit_count += 1;
            exit_count - 1
        };
        let mut raises = FxHashMap::default();
        for &block in &function.layout {
            let data = &function.blocks[block];
            starts[block.index()] = insts.len() as u32;
            blocks.insert(insts.len() as u32, block);
            for &inst in &data.insts {
                let instruction = &function.insts[inst];
                let mut exits = Exits { external: NONE, raise: NONE };
                if is_external(instruction.opcode) {
                    exits.external = new_exit();
                } else if instruction.effects().contains(Effects::TRAP) {
                    exits.raise = *raises.entry((data.region, instruction.source)).or_insert_with(&mut new_exit);
                }
                insts.push((inst, exits));
            }
        }
        Program { function, layout, insts, starts, blocks, exit_count }
    }

    /// Number of cells in a frame.
    pub fn cell_count(&self) -> usize {
        self.layout.cell_count as usize
    }

    fn cell_offset(&self, cell: usize) -> i32 {
        (size_of::<FrameHeader>() as u32 + cell as u32 * CELL_BYTES) as i32
    }

    /// Offset of the slots in a frame, in bytes.
    pub fn slots_offset(&self) -> usize {
        self.cell_offset(self.cell_count()) as usize
    }

    /// Goes on where the frame says, until the shell must do something; gives the exit of the shell. `must_pause` is asked at every branch.
    ///
    /// # Errors
    /// What is wrong with the function.
    pub fn run(&self, frame: FrameParts<'_>, world: &mut impl World, must_pause: impl Fn() -> bool) -> Result<u32, String> {
        let FrameParts { header, values, slots } = frame;
        let function = &self.function;
        let mut evaluator = Evaluator { function, layout: &self.layout, values, slots, world };
        let mut position = header.position;
        // The shell wrote no more than the bytes of their types.
        match self.blocks.get(&position) {
            Some(&block) => function.blocks[block].params.iter().for_each(|&param| evaluator.extend(param)),
            None => {
                let done = self.insts[position as usize - 1].0;
                function.results[done].iter().for_each(|&result| evaluator.extend(result));
            }
        }
        loop {
            let (inst, exits) = self.insts[position as usize];
            let outcome = match exits.external {
                NONE => evaluator.step(inst),
                exit => match self.filled_cell(&mut evaluator, inst) {
                    Some(content) => evaluator.set_results(inst, &[content]),
                    None => {
                        header.position = position + 1;
                        return Ok(exit);
                    }
                },
            };
            match outcome {
                Ok(Next::Following) => position += 1,
                Ok(Next::Block(block)) => {
                    position = self.starts[block.index()];
                    if must_pause() {
                        header.position = position;
                        return Ok(PAUSE);
                    }
                }
                Err(Abrupt::Trap(code)) if exits.raise != NONE => {
                    header.trap = code as u32;
                    header.position = position;
                    return Ok(exits.raise);
                }
                Err(abrupt) => {
                    return Err(format!("{}: {}: {abrupt:?}", function.name, function.display_inst(inst)));
                }
            }
        }
    }

    /// Content of the cell that an instruction reads, if it reads one that is filled.
    fn filled_cell(&self, evaluator: &mut Evaluator<'_, impl World>, inst: Inst) -> Option<Bits> {
        let Aux::Symbol(symbol) = self.function.insts[inst].aux else { return None };
        let place = evaluator.world.symbol_address(self.function.symbols[symbol].target);
        evaluator.read(place, Access::Full(Type::Iptr)).ok().filter(|&content| content != 0)
    }

    /// The shell, which names this program by its address.
    pub fn shell(&self, options: &ShellOptions, address: i64) -> Function {
        let original = &self.function;
        let mut shell = Function::new(original.name.clone(), original.pointer_bytes, original.signature().clone());
        // With the same numbers, so that calls can be taken over as they are.
        shell.signatures = original.signatures.clone();
        shell.symbols = original.symbols.clone();
        let size = self.slots_offset() as u32 + self.layout.slot_bytes;
        let frame = shell.slots.push(StackSlotData { size, align: 16, in_handler: true });
        let (entry, dispatch) = (shell.add_block(), shell.add_block());
        let mut builder = ShellBuilder { program: self, shell, frame, dispatch, options };
        builder.enter(entry, original.entry());
        builder.take_over_regions();
        builder.dispatch(address);
        builder.shell
    }
}

struct ShellBuilder<'a> {
    program: &'a Program,
    shell: Function,
    frame: StackSlot,
    dispatch: Block,
    options: &'a ShellOptions,
}

impl ShellBuilder<'_> {
    fn append(&mut self, block: Block, instruction: Instruction, source: SourceOffset) -> Inst {
        self.shell.append(block, Instruction { source, ..instruction })
    }

    fn value(&mut self, block: Block, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let inst = self.append(block, Instruction::new(opcode, ty, args, aux), SourceOffset::UNKNOWN);
        self.shell.result(inst)
    }

    fn jump(&mut self, block: Block, target: Block) {
        let aux = Aux::Targets(vec![BlockCall::new(target, &[])]);
        self.append(block, Instruction::new(Opcode::Jump, Type::I32, &[], aux), SourceOffset::UNKNOWN);
    }

    fn frame_memory(ty: Type) -> Aux {
        Aux::Memory(Memory { access: Access::Full(ty), offset: 0, flags: MemoryFlags::NO_TRAP, alias: Alias::Any })
    }

    fn load(&mut self, block: Block, ty: Type, offset: i32) -> Value {
        let place = self.value(block, Opcode::StackAddr, Type::Iptr, &[], Aux::Slot(self.frame, offset));
        self.value(block, Opcode::Load, ty, &[place], Self::frame_memory(ty))
    }

    fn store(&mut self, block: Block, ty: Type, offset: i32, value: Value) {
        let place = self.value(block, Opcode::StackAddr, Type::Iptr, &[], Aux::Slot(self.frame, offset));
        let store = Instruction::new(Opcode::Store, ty, &[place, value], Self::frame_memory(ty));
        self.append(block, store, SourceOffset::UNKNOWN);
    }

    fn helper(&mut self, block: Block, helper: u16, convention: CallConvention, args: &[Value], result: Option<Type>) -> Inst {
        let params = args.iter().map(|&arg| Param::normal(self.shell.value_type(arg))).collect();
        let signature = self.shell.add_signature(Signature { convention, params, results: result.into_iter().collect() });
        let callee = self.shell.add_symbol(SymbolRef::Helper(helper), || format!("helper {helper}"));
        let call = Instruction::new(Opcode::Call, Type::I32, args, Aux::Call { signature, callee });
        self.append(block, call, SourceOffset::UNKNOWN)
    }

    /// Fills a block that is entered from outside with as many parameters as `target` of the program has: the evaluator goes on there.
    fn enter(&mut self, block: Block, target: Block) {
        let original = &self.program.function;
        for &param in &original.blocks[target].params {
            let ty = original.value_type(param);
            let value = self.shell.add_block_param(block, ty);
            let offset = self.program.cell_offset(self.program.layout.cell(param));
            self.store(block, ty, offset, value);
        }
        let start = i64::from(self.program.starts[target.index()]);
        let position = self.value(block, Opcode::Iconst, Type::I32, &[], Aux::Int(start));
        self.store(block, Type::I32, 0, position);
        self.jump(block, self.dispatch);
    }

    /// The regions with the same numbers, and a block for each handler and filter.
    fn take_over_regions(&mut self) {
        let original = &self.program.function;
        let mut entries: FxHashMap<Block, Block> = FxHashMap::default();
        for data in original.regions.values() {
            let mut entry = |builder: &mut Self, target: Block| match entries.get(&target) {
                Some(&block) => block,
                None => {
                    let block = builder.shell.add_block();
                    builder.shell.blocks[block].region = original.blocks[target].region;
                    // One that nothing can enter may have been dropped.
                    match builder.program.starts[target.index()] {
                        NONE => {
                            let end = Instruction::new(Opcode::Unreachable, Type::I32, &[], Aux::None);
                            builder.append(block, end, SourceOffset::UNKNOWN);
                        }
                        _ => builder.enter(block, target),
                    }
                    entries.insert(target, block);
                    block
                }
            };
            let mut handlers = Vec::new();
            for handler in &data.handlers {
                let kind = match handler.kind {
                    HandlerKind::Filter(filter) => HandlerKind::Filter(entry(self, filter)),
                    kind => kind,
                };
                handlers.push(Handler { kind, entry: entry(self, handler.entry) });
            }
            self.shell.regions.push(RegionData { parent: data.parent, handlers });
        }
    }

    /// The block that calls the evaluator, and the exits.
    fn dispatch(&mut self, address: i64) {
        let mut exits: Vec<Option<Block>> = vec![None; self.program.exit_count as usize];
        exits[PAUSE as usize] = Some(self.pause());
        for &block in &self.program.function.layout {
            let data = &self.program.function.blocks[block];
            let start = self.program.starts[block.index()] as usize;
            for &(inst, Exits { external, raise }) in &self.program.insts[start..start + data.insts.len()] {
                if external != NONE {
                    exits[external as usize] = Some(self.external(inst, data));
                }
                if raise != NONE && exits[raise as usize].is_none() {
                    let source = self.program.function.insts[inst].source;
                    exits[raise as usize] = Some(self.raise(data.region, source));
                }
            }
        }
        let dispatch = self.dispatch;
        let frame = self.value(dispatch, Opcode::StackAddr, Type::Iptr, &[], Aux::Slot(self.frame, 0));
        let program = self.value(dispatch, Opcode::Iconst, Type::Iptr, &[], Aux::Int(address));
        let interpret = self.options.interpret;
        let call = self.helper(dispatch, interpret, CallConvention::Leaf, &[frame, program], Some(Type::I32));
        let exit = self.shell.result(call);
        // The default comes first; it also serves exit 0.
        let targets = [exits[PAUSE as usize]].into_iter().chain(exits).flatten();
        let targets = Aux::Targets(targets.map(|block| BlockCall::new(block, &[])).collect());
        self.append(dispatch, Instruction::new(Opcode::BrTable, Type::I32, &[exit], targets), SourceOffset::UNKNOWN);
    }

    fn pause(&mut self) -> Block {
        let block = self.shell.add_block();
        self.helper(block, self.options.pause, CallConvention::Native, &[], None);
        self.jump(block, self.dispatch);
        block
    }

    /// Does what an external instruction does, with arguments from the frame and results into it.
    fn external(&mut self, inst: Inst, data: &BlockData) -> Block {
        let program = self.program;
        let original = &program.function;
        let block = self.shell.add_block();
        self.shell.blocks[block].region = data.region;
        let mut instruction = original.insts[inst].clone();
        for arg in &mut instruction.args {
            let ty = original.value_type(*arg);
            *arg = match original.int_constant(*arg) {
                // Constants stay such: that the owner in a `store_ref` is null means more than a null at run time.
                Some(constant) => self.value(block, Opcode::Iconst, ty, &[], Aux::Int(constant)),
                None => self.load(block, ty, program.cell_offset(program.layout.read_cell(*arg))),
            };
        }
        let is_end = instruction.opcode.is_terminator();
        let source = instruction.source;
        let done = self.append(block, instruction, source);
        if is_end {
            return block;
        }
        for (index, &result) in original.results[inst].iter().enumerate() {
            let value = self.shell.results[done][index];
            self.store(block, original.value_type(result), program.cell_offset(program.layout.cell(result)), value);
        }
        self.jump(block, self.dispatch);
        block
    }

    fn raise(&mut self, region: Option<Region>, source: SourceOffset) -> Block {
        let block = self.shell.add_block();
        self.shell.blocks[block].region = region;
        let code = self.load(block, Type::I32, TRAP_OFFSET);
        let call = self.helper(block, self.options.raise_trap, CallConvention::Native, &[code], None);
        self.shell.insts[call].source = source;
        self.append(block, Instruction::new(Opcode::Unreachable, Type::I32, &[], Aux::None), source);
        block
    }
}
