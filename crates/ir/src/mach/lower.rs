//! The driver that turns a function into [`VCode`], shared by all back ends.
//!
//! It walks each block from its end, so that a back end has seen all uses of a value when it comes to its definition:
//! pure instructions are lowered only if somebody asked for their register, a consumer may fold its producers, and
//! constants are made anew at each use. Critical edges get blocks of their own.

use super::CodegenError;
use super::registers::VReg;
use super::vcode::{BlockInfo, Edge, MachBlock, MachInst, VCode, class_of};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, SideTable, Value};
use crate::function::{Function, HandlerKind, ValueDef};
use crate::instruction::{Alias, Aux, Effects, Instruction, MemoryFlags, Opcode, SourceOffset};
use crate::types::Type;
use smallvec::SmallVec;

/// What a back end tells the driver.
pub trait LowerBackend {
    /// Its instructions.
    type Inst: MachInst;
    /// Lowers an instruction that is no terminator: asks for operands with [`LowerContext::reg`], defines results with
    /// [`LowerContext::def`], emits in order of execution.
    fn lower(&self, context: &mut LowerContext<'_, Self::Inst>, inst: Inst) -> Result<(), CodegenError>;
    /// Lowers a terminator to instructions of which only the last is a terminator. `targets` stand for the instruction's targets
    /// one by one.
    fn lower_branch(
        &self,
        context: &mut LowerContext<'_, Self::Inst>,
        inst: Inst,
        targets: &[MachBlock],
    ) -> Result<(), CodegenError>;
    /// Emits the definitions of the function's parameters ([`LowerContext::def`] of those that [`LowerContext::is_used`]).
    fn lower_entry(&self, context: &mut LowerContext<'_, Self::Inst>, params: &[Value]) -> Result<(), CodegenError>;
    /// Emits the definition of the exception at the start of a handler or filter.
    fn lower_handler_entry(&self, context: &mut LowerContext<'_, Self::Inst>, params: &[Value]) -> Result<(), CodegenError>;
    /// An unconditional jump without operands.
    fn jump(&self, target: MachBlock) -> Self::Inst;
}

/// How often a value is needed.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Uses {
    #[default]
    None,
    One,
    Many,
}

/// What a back end works with while it lowers.
pub struct LowerContext<'f, I> {
    /// The function.
    pub function: &'f Function,
    registers: SideTable<Value, Option<VReg>>,
    vreg_types: Vec<Type>,
    uses: SideTable<Value, Uses>,
    /// Where each instruction stands.
    places: SideTable<Inst, Place>,
    sunk: SideTable<Inst, bool>,
    /// Source position of the load that was folded into the current instruction and may trap.
    load_source: Option<SourceOffset>,
    current: Inst,
    cold: bool,
    emitted: Vec<I>,
    constants: SmallVec<[(Inst, VReg); 4]>,
}

impl<I> LowerContext<'_, I> {
    /// An instruction's data.
    pub fn data(&self, inst: Inst) -> &Instruction {
        &self.function.insts[inst]
    }
    /// The instruction's argument number `index`, aliases resolved.
    pub fn arg(&self, inst: Inst, index: usize) -> Value {
        self.function.resolve(self.function.insts[inst].args[index])
    }
    /// Type of a value.
    pub fn value_type(&self, value: Value) -> Type {
        self.function.value_type(value)
    }
    /// The block of what is being lowered; for a constant that of its definition.
    pub fn current_block(&self) -> Block {
        Block::from_index(self.places[self.current].block as usize)
    }
    /// The constant that a value is, if it is an `iconst`.
    pub fn int_constant(&self, value: Value) -> Option<i64> {
        self.function.int_constant(value)
    }
    /// A new vreg for a value of this type.
    pub fn temp(&mut self, ty: Type) -> VReg {
        self.vreg_types.push(ty);
        VReg::new(self.vreg_types.len() - 1, class_of(ty))
    }
    /// The vreg that holds `value`, as an operand of what is being lowered. From now on its producer will be lowered;
    /// a constant is made anew in front of the current instruction.
    pub fn reg(&mut self, value: Value) -> VReg {
        let value = self.function.resolve(value);
        if let ValueDef::Result(inst, _) = self.function.values[value].def {
            if inst != self.current && is_constant(self.function.insts[inst].opcode) {
                if let Some(known) = self.constants.iter().find(|known| known.0 == inst) {
                    return known.1;
                }
                let vreg = self.temp(self.value_type(value));
                self.constants.push((inst, vreg));
                return vreg;
            }
        }
        self.def(value)
    }
    /// The vreg to define for `value`: a result of the current instruction or a parameter.
    pub fn def(&mut self, value: Value) -> VReg {
        if let Some(vreg) = self.registers[value] {
            return vreg;
        }
        let vreg = self.temp(self.value_type(value));
        self.registers[value] = Some(vreg);
        vreg
    }
    /// The vreg to define for the current instruction's result number `index`.
    pub fn result(&mut self, inst: Inst, index: usize) -> VReg {
        self.def(self.function.results[inst][index])
    }
    /// Whether what is being lowered stands in a block that rarely runs.
    pub fn is_cold(&self) -> bool {
        self.cold
    }
    /// Whether anything has asked for the register of `value`.
    pub fn is_used(&self, value: Value) -> bool {
        self.registers[value].is_some()
    }
    /// Appends a machine instruction.
    pub fn emit(&mut self, inst: I) {
        self.emitted.push(inst);
    }
    /// The instruction that makes `value`, if it is free of effects, so that a consumer may do its work again (as part of an address,
    /// a comparison in a branch, an immediate).
    pub fn producer(&self, value: Value) -> Option<Inst> {
        let inst = self.function.def_inst(value)?;
        let effects = self.function.insts[inst].effects();
        (effects - Effects::COMMUTES).is_empty().then_some(inst)
    }
    /// Whether `value` has one use only, which also is the only one of all it goes into.
    pub fn is_single_use(&self, value: Value) -> bool {
        self.uses[self.function.resolve(value)] == Uses::One
    }
    /// The load that makes `value`, if the current instruction is its only use and no effect lies between. Whoever folds it
    /// must call [`LowerContext::sink`].
    pub fn foldable_load(&self, value: Value) -> Option<Inst> {
        let inst = self.function.def_inst(value)?;
        let data = &self.function.insts[inst];
        let plain = data.opcode == Opcode::Load
            && matches!(&data.aux, Aux::Memory(memory) if !memory.flags.contains(MemoryFlags::VOLATILE));
        let result = self.function.resolve(value);
        (plain && self.is_single_use(value) && self.registers[result].is_none() && self.may_sink(inst)).then_some(inst)
    }

    /// Whether the load `inst` may move down to the current instruction.
    fn may_sink(&self, inst: Inst) -> bool {
        let (from, to) = (self.places[inst], self.places[self.current]);
        let traps = self.function.insts[inst].effects().contains(Effects::TRAP);
        from.block == to.block
            && from.effects == to.effects
            && (!traps || from.unchecked_loads == to.unchecked_loads && self.may_give_source(inst))
    }
    /// Whether what is emitted for the current instruction may get the source position of `load`, at which it traps.
    fn may_give_source(&self, load: Inst) -> bool {
        let (source, current) = (self.function.insts[load].source, &self.function.insts[self.current]);
        let has_own = current.effects().intersects(Effects::CALL | Effects::TRAP);
        self.load_source.is_none_or(|other| other == source) && (!has_own || current.source == source)
    }
    /// The load `inst` was folded into the current instruction and is not lowered itself.
    pub fn sink(&mut self, inst: Inst) {
        self.sunk[inst] = true;
        let data = &self.function.insts[inst];
        if data.effects().contains(Effects::TRAP) {
            self.load_source = Some(data.source);
        }
    }
}

/// Where an instruction stands, seen from those that may move.
#[derive(Clone, Copy, Default)]
struct Place {
    block: u32,
    /// Number of side effects before it in the block.
    effects: u32,
    /// Number of loads before it in the block that never trap: perhaps because an earlier load of the same object would have.
    unchecked_loads: u32,
}

/// Whether the instruction is a load that may rely on an earlier one to trap.
fn is_unchecked_load(data: &Instruction) -> bool {
    match &data.aux {
        Aux::Memory(memory) => {
            data.opcode == Opcode::Load && memory.flags.contains(MemoryFlags::NO_TRAP) && memory.alias != Alias::Stack
        }
        _ => false,
    }
}

/// Instructions that are repeated at each use instead of keeping a register.
fn is_constant(opcode: Opcode) -> bool {
    use Opcode::*;
    matches!(opcode, Iconst | Fconst | SymbolAddr | StackAddr | FrameAddr | Thread)
}

/// Whether nothing may be moved over the instruction.
fn is_barrier(data: &Instruction) -> bool {
    match &data.aux {
        Aux::Memory(memory) if data.opcode == Opcode::Load => memory.flags.contains(MemoryFlags::VOLATILE),
        _ => data.effects().intersects(Effects::WRITE | Effects::CALL | Effects::TRAP | Effects::TERMINATOR),
    }
}

/// What becomes a block of machine code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Block(Block),
    /// The edge from a block by its target number.
    Edge(Block, u32),
}

/// The function in instructions of the back end's machine, with the machine block of each IR block.
pub struct Lowered<I> {
    /// The code.
    pub code: VCode<I>,
    /// Machine blocks of IR blocks; none for unreachable ones.
    pub blocks: SideTable<Block, Option<MachBlock>>,
}

/// Lowers a function. It must have all its passes, expansion and legalisation behind it.
pub fn lower_function<B: LowerBackend>(function: &Function, backend: &B) -> Result<Lowered<B::Inst>, CodegenError> {
    let mut flow = ControlFlow::default();
    flow.compute_edges(function);
    if !flow.predecessors(function.entry()).is_empty() {
        return Err(CodegenError { message: "the entry block is the target of a branch".to_string() });
    }
    let mut driver = Driver {
        backend,
        flow: &flow,
        context: LowerContext {
            function,
            registers: SideTable::with_len(function.values.len()),
            vreg_types: Vec::with_capacity(function.values.len()),
            uses: SideTable::with_len(function.values.len()),
            places: SideTable::with_len(function.insts.len()),
            sunk: SideTable::new(),
            load_source: None,
            current: Inst::from_index(0),
            cold: false,
            emitted: Vec::new(),
            constants: SmallVec::new(),
        },
        order: Vec::new(),
        blocks: SideTable::with_len(function.blocks.len()),
        targets: SideTable::with_len(function.blocks.len()),
        reversed: Vec::with_capacity(function.insts.len() * 2),
        infos: Vec::new(),
        handlers: SideTable::new(),
    };
    driver.count_uses();
    driver.lay_out();
    driver.lower()?;
    Ok(driver.finish())
}

struct Driver<'f, B: LowerBackend> {
    backend: &'f B,
    flow: &'f ControlFlow,
    context: LowerContext<'f, B::Inst>,
    order: Vec<Source>,
    blocks: SideTable<Block, Option<MachBlock>>,
    /// By block: the machine blocks that its terminator's targets became.
    targets: SideTable<Block, SmallVec<[MachBlock; 2]>>,
    /// Instructions with their sources, each block back to front.
    reversed: Vec<Option<(B::Inst, SourceOffset)>>,
    infos: Vec<BlockInfo>,
    handlers: SideTable<Block, bool>,
}

impl<B: LowerBackend> Driver<'_, B> {
    /// Counts uses, and numbers instructions by the side effects before them.
    fn count_uses(&mut self) {
        let function = self.context.function;
        let mut worklist: Vec<Value> = Vec::new();
        for &block in &function.layout {
            if self.flow.order_of(block).is_none() {
                continue;
            }
            let mut place = Place { block: block.index() as u32, ..Place::default() };
            for &inst in &function.blocks[block].insts {
                let data = &function.insts[inst];
                self.context.places[inst] = place;
                place.effects += u32::from(is_barrier(data));
                place.unchecked_loads += u32::from(is_unchecked_load(data));
                let targets = data.targets().iter().flat_map(|target| target.args.iter());
                for &value in data.args.iter().chain(targets) {
                    let uses = &mut self.context.uses[function.resolve(value)];
                    match uses {
                        Uses::None => *uses = Uses::One,
                        Uses::One => {
                            *uses = Uses::Many;
                            worklist.push(function.resolve(value));
                        }
                        Uses::Many => {}
                    }
                }
            }
        }
        // What goes into a value that may be computed again at several uses has several uses itself.
        while let Some(value) = worklist.pop() {
            if let Some(inst) = self.context.producer(value) {
                for &arg in &function.insts[inst].args {
                    let arg = function.resolve(arg);
                    if std::mem::replace(&mut self.context.uses[arg], Uses::Many) != Uses::Many {
                        worklist.push(arg);
                    }
                }
            }
        }
    }

    /// Decides about the order of the blocks and splits critical edges.
    fn lay_out(&mut self) {
        let function = self.context.function;
        for (_, region) in function.regions.iter() {
            for handler in &region.handlers {
                self.handlers[handler.entry] = true;
                if let HandlerKind::Filter(filter) = handler.kind {
                    self.handlers[filter] = true;
                }
            }
        }
        for cold in [false, true] {
            for (position, &block) in function.layout.iter().enumerate() {
                let is_cold = function.blocks[block].cold && position != 0;
                if is_cold != cold || self.flow.order_of(block).is_none() {
                    continue;
                }
                self.blocks[block] = Some(MachBlock(self.order.len() as u32));
                self.order.push(Source::Block(block));
                let terminator = &function.insts[function.terminator(block)];
                if terminator.opcode == Opcode::Jump {
                    continue;
                }
                let targets = terminator.targets();
                let mut split: Vec<(u32, MachBlock)> = Vec::new();
                for (index, target) in targets.iter().enumerate() {
                    let machine = if self.flow.predecessors(target.block).len() < 2 {
                        // Filled in when all blocks have their numbers.
                        MachBlock(u32::MAX)
                    } else if let Some(known) = split.iter().find(|known| targets[known.0 as usize] == *target) {
                        known.1
                    } else {
                        let edge = MachBlock(self.order.len() as u32);
                        self.order.push(Source::Edge(block, index as u32));
                        split.push((index as u32, edge));
                        edge
                    };
                    self.targets[block].push(machine);
                }
            }
        }
        for index in 0..self.order.len() {
            if let Source::Block(block) = self.order[index] {
                let targets = function.insts[function.terminator(block)].targets();
                self.targets[block].resize(targets.len(), MachBlock(u32::MAX));
                for (number, target) in targets.iter().enumerate() {
                    if self.targets[block][number].0 == u32::MAX {
                        self.targets[block][number] = self.blocks[target.block].unwrap_or(MachBlock(0));
                    }
                }
            }
        }
        let empty = BlockInfo {
            insts: 0..0,
            params: Vec::new(),
            successors: Vec::new(),
            predecessors: Vec::new(),
            cold: false,
            loop_depth: 0,
            handler_entry: false,
            region: None,
            origin: None,
        };
        self.infos = vec![empty; self.order.len()];
    }

    fn lower(&mut self) -> Result<(), CodegenError> {
        let reachable: Vec<Block> =
            self.context.function.layout.iter().copied().filter(|&block| self.flow.order_of(block).is_some()).collect();
        let mut by_order = reachable;
        by_order.sort_by_key(|&block| std::cmp::Reverse(self.flow.order_of(block)));
        let mut edges: SideTable<Block, SmallVec<[(u32, u32); 2]>> = SideTable::with_len(self.context.function.blocks.len());
        for (index, &source) in self.order.iter().enumerate() {
            if let Source::Edge(block, target) = source {
                edges[block].push((index as u32, target));
            }
        }
        for block in by_order {
            for &(index, target) in &edges[block] {
                self.lower_edge(MachBlock(index), block, target)?;
            }
            self.lower_block(block)?;
        }
        Ok(())
    }

    /// The arguments of a branch target that its block wants.
    fn edge(&mut self, machine: MachBlock, block: Block, target: u32) -> Edge {
        let function = self.context.function;
        let call = &function.insts[function.terminator(block)].targets()[target as usize];
        let params = &function.blocks[call.block].params;
        let wanted = params.iter().zip(&call.args).filter(|(param, _)| self.context.uses[**param] != Uses::None);
        let values: SmallVec<[Value; 4]> = wanted.map(|(_, &arg)| arg).collect();
        Edge { block: machine, args: values.into_iter().map(|arg| self.context.reg(arg)).collect() }
    }

    fn lower_edge(&mut self, machine: MachBlock, block: Block, target: u32) -> Result<(), CodegenError> {
        let function = self.context.function;
        let start = self.reversed.len() as u32;
        let terminator = function.terminator(block);
        self.context.current = terminator;
        let destination = function.insts[terminator].targets()[target as usize].block;
        let Some(to) = self.blocks[destination] else {
            return Err(CodegenError { message: "a branch to a block that is not in the layout".to_string() });
        };
        let edge = self.edge(to, block, target);
        self.context.emit(self.backend.jump(to));
        self.flush(SourceOffset::UNKNOWN)?;
        let info = &mut self.infos[machine.index()];
        info.insts = start..self.reversed.len() as u32;
        info.successors.push(edge);
        info.cold = function.blocks[block].cold || function.blocks[destination].cold;
        info.region = function.blocks[block].region;
        Ok(())
    }

    fn lower_block(&mut self, block: Block) -> Result<(), CodegenError> {
        let function = self.context.function;
        let data = &function.blocks[block];
        let Some(machine) = self.blocks[block] else { return Ok(()) };
        let start = self.reversed.len() as u32;
        let terminator = function.terminator(block);
        self.context.current = terminator;
        self.context.cold = data.cold;
        let targets = self.targets[block].clone();
        let mut successors: Vec<Edge> = Vec::new();
        for (number, &target) in targets.iter().enumerate() {
            if successors.iter().any(|known| known.block == target) {
                continue;
            }
            let edge = match self.order[target.index()] {
                Source::Edge(..) => Edge { block: target, args: Vec::new() },
                Source::Block(_) => self.edge(target, block, number as u32),
            };
            successors.push(edge);
        }
        self.backend.lower_branch(&mut self.context, terminator, &targets)?;
        self.flush(function.insts[terminator].source)?;
        for &inst in data.insts.iter().rev().skip(1) {
            self.lower_inst(inst)?;
        }
        let is_handler = self.handlers[block];
        if block == function.entry() {
            self.context.current = terminator;
            self.backend.lower_entry(&mut self.context, &data.params)?;
            self.flush(SourceOffset::UNKNOWN)?;
        } else if is_handler {
            self.context.current = terminator;
            self.backend.lower_handler_entry(&mut self.context, &data.params)?;
            self.flush(SourceOffset::UNKNOWN)?;
        } else {
            let wanted = data.params.iter().filter(|param| self.context.uses[**param] != Uses::None);
            let wanted: SmallVec<[Value; 4]> = wanted.copied().collect();
            self.infos[machine.index()].params = wanted.into_iter().map(|param| self.context.def(param)).collect();
        }
        let info = &mut self.infos[machine.index()];
        info.insts = start..self.reversed.len() as u32;
        info.successors = successors;
        info.cold = data.cold;
        info.handler_entry = is_handler;
        info.region = data.region;
        info.origin = Some(block);
        Ok(())
    }

    fn lower_inst(&mut self, inst: Inst) -> Result<(), CodegenError> {
        let function = self.context.function;
        let data = &function.insts[inst];
        let needed = data.effects().intersects(Effects::WRITE | Effects::CALL | Effects::TRAP)
            || is_barrier(data)
            || function.results[inst].iter().any(|&result| self.context.registers[result].is_some());
        if self.context.sunk[inst] || !needed {
            return Ok(());
        }
        self.context.current = inst;
        self.backend.lower(&mut self.context, inst)?;
        self.flush(data.source)
    }

    /// Moves what was emitted for one instruction to the code, with the constants that it needs in front.
    fn flush(&mut self, source: SourceOffset) -> Result<(), CodegenError> {
        let source = self.context.load_source.take().unwrap_or(source);
        self.reversed.extend(self.context.emitted.drain(..).rev().map(|inst| Some((inst, source))));
        let current = self.context.current;
        while let Some((constant, vreg)) = self.context.constants.pop() {
            let result = self.context.function.result(constant);
            self.context.registers[result] = Some(vreg);
            self.context.current = constant;
            self.backend.lower(&mut self.context, constant)?;
            self.reversed.extend(self.context.emitted.drain(..).rev().map(|inst| Some((inst, source))));
            self.context.registers[result] = None;
        }
        self.context.current = current;
        Ok(())
    }

    fn finish(mut self) -> Lowered<B::Inst> {
        let mut insts = Vec::with_capacity(self.reversed.len());
        let mut sources = Vec::with_capacity(self.reversed.len());
        for info in &mut self.infos {
            let start = insts.len() as u32;
            let block = &mut self.reversed[info.insts.start as usize..info.insts.end as usize];
            for (inst, source) in block.iter_mut().rev().filter_map(Option::take) {
                insts.push(inst);
                sources.push(source);
            }
            info.insts = start..insts.len() as u32;
        }
        let mut code = VCode { insts, sources, blocks: self.infos, vreg_types: self.context.vreg_types };
        code.compute_predecessors();
        super::allocator::loops::compute_loop_depths(&mut code);
        Lowered { code, blocks: self.blocks }
    }
}
