//! Building functions: a cursor at the end of a block, one method for each common instruction, and SSA construction for
//! variables while the code is read.
//!
//! Variables follow Braun, Buchwald, Hack, Leißa, Mallon and Zwinkau: *Simple and Efficient Construction of Static Single
//! Assignment Form* (CC 2013), with block parameters in place of phis. Use of a variable in a block whose predecessors are not
//! all known ([`FunctionBuilder::seal_block`]) makes a parameter; parameters that turn out to be trivial go away in
//! [`FunctionBuilder::finish`].

use crate::control_flow::ControlFlow;
use crate::entity::{Block, Inst, SideTable, SigRef, StackSlot, Symbol, Value};
use crate::function::{Function, StackSlotData};
use crate::instruction::{
    Allocation, Aux, BlockCall, FloatCompare, Instruction, IntCompare, Memory, Opcode, SourceOffset, TrapCode,
};
use crate::types::Type;
use crate::verify::check_types;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

/// A variable of the source program; see [`FunctionBuilder::declare_variable`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Variable(u32);

/// An edge: target number `index` of the terminator `inst` of `block`.
#[derive(Clone, Copy, Debug)]
struct Edge {
    block: Block,
    inst: Inst,
    index: u32,
}

/// Builds one function. Blocks are filled one at a time: a terminator ends the current one.
pub struct FunctionBuilder<'a> {
    /// The function. Slots, signatures, symbols, regions and the `region` and `cold` fields of blocks may be changed directly;
    /// terminators may not, since the builder keeps the edges.
    pub function: &'a mut Function,
    current: Option<Block>,
    source: SourceOffset,
    variables: Vec<Type>,
    definitions: FxHashMap<(Block, Variable), Value>,
    predecessors: SideTable<Block, Vec<Edge>>,
    sealed: SideTable<Block, bool>,
    /// Parameters for variables of blocks that are not sealed: their edges carry no arguments for them yet.
    incomplete: SideTable<Block, Vec<(Variable, Value)>>,
    /// Parameters whose arguments are still to be looked up.
    pending: Vec<(Block, Variable, Value)>,
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $opcode:ident;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Value, b: Value) -> Value {
            let ty = self.function.value_type(a);
            self.emit(Opcode::$opcode, ty, &[a, b], Aux::None)
        })*
    };
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident $opcode:ident;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Value) -> Value {
            let ty = self.function.value_type(a);
            self.emit(Opcode::$opcode, ty, &[a], Aux::None)
        })*
    };
}

macro_rules! convert {
    ($($(#[$doc:meta])* $name:ident $opcode:ident;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, ty: Type, a: Value) -> Value {
            self.emit(Opcode::$opcode, ty, &[a], Aux::None)
        })*
    };
}

impl<'a> FunctionBuilder<'a> {
    /// A builder for `function`, which has no blocks yet.
    pub fn new(function: &'a mut Function) -> FunctionBuilder<'a> {
        FunctionBuilder {
            function,
            current: None,
            source: SourceOffset::UNKNOWN,
            variables: Vec::new(),
            definitions: FxHashMap::default(),
            predecessors: SideTable::new(),
            sealed: SideTable::new(),
            incomplete: SideTable::new(),
            pending: Vec::new(),
        }
    }

    // Blocks

    /// A new block at the end of the layout. The first one made is the function's entry; nothing may branch to it.
    pub fn create_block(&mut self) -> Block {
        self.function.add_block()
    }
    /// Gives the entry block the function's parameters, and returns them.
    pub fn append_function_params(&mut self, block: Block) -> SmallVec<[Value; 8]> {
        let types: SmallVec<[Type; 8]> = self.function.signature().params.iter().map(|param| param.ty).collect();
        types.into_iter().map(|ty| self.append_block_param(block, ty)).collect()
    }
    /// A new parameter of `block`, for which every branch to it gives an argument. Before any variable is used in `block`
    /// and before anything branches to it.
    pub fn append_block_param(&mut self, block: Block, ty: Type) -> Value {
        debug_assert!(self.incomplete[block].is_empty(), "{block} already has parameters for variables");
        debug_assert!(self.predecessors[block].is_empty(), "{block} already has predecessors");
        self.function.add_block_param(block, ty)
    }
    /// Goes on at the end of `block`, which has no terminator.
    pub fn switch_to_block(&mut self, block: Block) {
        debug_assert!(!self.is_filled(block), "{block} has its terminator");
        self.current = Some(block);
    }
    /// The block that instructions are appended to; `None` after a terminator.
    pub fn current_block(&self) -> Option<Block> {
        self.current
    }
    /// Whether `block` has its terminator.
    pub fn is_filled(&self, block: Block) -> bool {
        let last = self.function.blocks[block].insts.last();
        last.is_some_and(|&last| self.function.insts[last].opcode.is_terminator())
    }
    /// Whether anything branches to `block` so far.
    pub fn has_predecessors(&self, block: Block) -> bool {
        !self.predecessors[block].is_empty()
    }
    /// The IL offset of the instructions that follow.
    pub fn set_source(&mut self, source: SourceOffset) {
        self.source = source;
    }
    /// The IL offset set last.
    pub fn source(&self) -> SourceOffset {
        self.source
    }
    /// Says that all branches to `block` have been made. Seal as early as possible: it keeps parameters few.
    pub fn seal_block(&mut self, block: Block) {
        if std::mem::replace(&mut self.sealed[block], true) {
            return;
        }
        let incomplete = std::mem::take(&mut self.incomplete[block]);
        if self.predecessors[block].is_empty() {
            self.undefined_params(block, &incomplete);
            return;
        }
        for (variable, param) in incomplete {
            self.complete_param(block, variable, param);
        }
        self.fill_pending();
    }
    /// Seals every block that is not sealed yet.
    pub fn seal_all_blocks(&mut self) {
        for block in self.function.blocks.keys() {
            self.seal_block(block);
        }
    }
    /// Ends the construction: seals all blocks, drops unreachable ones, trivial parameters and aliases.
    pub fn finish(mut self) {
        self.seal_all_blocks();
        let control_flow = ControlFlow::new(self.function);
        self.function.layout.retain(|&block| control_flow.is_reachable(block));
        for block in self.function.blocks.keys() {
            self.predecessors[block].retain(|edge| control_flow.is_reachable(edge.block));
        }
        self.remove_trivial_params(&control_flow);
        self.function.resolve_aliases();
    }

    // Variables

    /// A new variable. Where it is read before it is written (also in handlers, which see nothing of the body's values)
    /// it is zero.
    pub fn declare_variable(&mut self, ty: Type) -> Variable {
        self.variables.push(ty);
        Variable(self.variables.len() as u32 - 1)
    }
    /// The type of a variable.
    pub fn variable_type(&self, variable: Variable) -> Type {
        self.variables[variable.0 as usize]
    }
    /// From here on in the current block `variable` is `value`.
    pub fn def_variable(&mut self, variable: Variable, value: Value) {
        debug_assert_eq!(self.variable_type(variable), self.function.value_type(value), "type of {variable:?}");
        let block = self.expect_block();
        self.definitions.insert((block, variable), value);
    }
    /// The value of `variable` here.
    pub fn use_variable(&mut self, variable: Variable) -> Value {
        let block = self.expect_block();
        let value = self.look_up(block, variable);
        self.fill_pending();
        value
    }

    fn expect_block(&self) -> Block {
        self.current.expect("code is appended to a block that is not ended")
    }

    /// The value of `variable` at the end of `block`. New parameters go to `pending` rather than into a recursion,
    /// whose depth the source program would set.
    fn look_up(&mut self, block: Block, variable: Variable) -> Value {
        let ty = self.variables[variable.0 as usize];
        let mut chain: SmallVec<[Block; 16]> = SmallVec::new();
        let mut current = block;
        let value = loop {
            if let Some(&value) = self.definitions.get(&(current, variable)) {
                break value;
            }
            if !self.sealed[current] {
                let param = self.function.add_block_param(current, ty);
                self.incomplete[current].push((variable, param));
                break param;
            }
            // A longer chain than there are blocks is a dead loop.
            if self.predecessors[current].is_empty() || chain.len() > self.function.blocks.len() {
                break self.zero_at_start(current, ty);
            }
            if self.predecessors[current].len() > 1 {
                let param = self.function.add_block_param(current, ty);
                self.complete_param(current, variable, param);
                break param;
            }
            chain.push(current);
            current = self.predecessors[current][0].block;
        };
        self.definitions.insert((current, variable), value);
        for block in chain {
            self.definitions.insert((block, variable), value);
        }
        value
    }

    /// Makes room for the arguments of `param` in all edges; `fill_pending` finds them.
    fn complete_param(&mut self, block: Block, variable: Variable, param: Value) {
        for index in 0..self.predecessors[block].len() {
            self.edge_args(block, index).push(param);
        }
        self.pending.push((block, variable, param));
    }

    /// Nothing branches to `block`, so the variables that were read in it are zero.
    fn undefined_params(&mut self, block: Block, params: &[(Variable, Value)]) {
        for &(variable, param) in params {
            let zero = self.zero_at_start(block, self.variable_type(variable));
            self.function.alias(param, zero);
        }
        // They were added last.
        let kept = self.function.blocks[block].params.len() - params.len();
        self.function.blocks[block].params.truncate(kept);
    }

    fn edge_args(&mut self, block: Block, index: usize) -> &mut SmallVec<[Value; 2]> {
        let edge = self.predecessors[block][index];
        &mut self.function.insts[edge.inst].targets_mut()[edge.index as usize].args
    }

    fn fill_pending(&mut self) {
        while let Some((block, variable, param)) = self.pending.pop() {
            let place = self.function.blocks[block].params.iter().position(|&other| other == param);
            let place = place.expect("parameters stay until the end");
            for index in 0..self.predecessors[block].len() {
                let value = self.look_up(self.predecessors[block][index].block, variable);
                self.edge_args(block, index)[place] = value;
            }
        }
    }

    /// A zero at the start of `block`.
    fn zero_at_start(&mut self, block: Block, ty: Type) -> Value {
        let insts = match ty {
            Type::V128 => {
                // No instruction makes a zero vector: read one from memory.
                let slot = self.function.slots.push(StackSlotData { size: 16, align: 16, in_handler: false });
                let address = Instruction::new(Opcode::StackAddr, Type::Iptr, &[], Aux::Slot(slot, 0));
                let address_inst = self.function.make_inst(address);
                let address = self.function.result(address_inst);
                let zero = Instruction::new(Opcode::ZeroMemory, Type::I32, &[address], Aux::Int(16));
                let memory = Memory::frame(Type::V128);
                let load = Instruction::new(Opcode::Load, ty, &[address], Aux::Memory(memory));
                vec![address_inst, self.function.make_inst(zero), self.function.make_inst(load)]
            }
            _ => {
                let opcode = if ty.is_float() { Opcode::Fconst } else { Opcode::Iconst };
                vec![self.function.make_inst(Instruction::new(opcode, ty, &[], Aux::Int(0)))]
            }
        };
        let value = self.function.result(insts[insts.len() - 1]);
        self.function.blocks[block].insts.splice(0..0, insts);
        value
    }

    /// Removes parameters whose arguments are all one value (or the parameter itself), until there are none.
    fn remove_trivial_params(&mut self, control_flow: &ControlFlow) {
        let mut changed = true;
        while changed {
            changed = false;
            for &block in control_flow.reverse_post_order() {
                if control_flow.roots().contains(&block) || self.function.blocks[block].params.is_empty() {
                    continue;
                }
                let params = self.function.blocks[block].params.clone();
                let mut removed = false;
                // From behind, so that the places of the others stay.
                for place in (0..params.len()).rev() {
                    if let Some(value) = self.only_argument(block, place, params[place]) {
                        self.function.alias(params[place], value);
                        self.function.blocks[block].params.remove(place);
                        for index in 0..self.predecessors[block].len() {
                            self.edge_args(block, index).remove(place);
                        }
                        removed = true;
                    }
                }
                if removed {
                    self.function.renumber_params(block);
                    changed = true;
                }
            }
        }
    }

    fn only_argument(&self, block: Block, place: usize, param: Value) -> Option<Value> {
        let mut only = None;
        for edge in &self.predecessors[block] {
            let argument = self.function.insts[edge.inst].targets()[edge.index as usize].args[place];
            let argument = self.function.resolve(argument);
            if argument == param || only == Some(argument) {
                continue;
            }
            if only.is_some() {
                return None;
            }
            only = Some(argument);
        }
        only
    }

    // Instructions

    /// Appends any instruction, with the current source offset, and keeps track of edges.
    pub fn append(&mut self, mut instruction: Instruction) -> Inst {
        instruction.source = self.source;
        let types = check_types(self.function, &instruction);
        debug_assert!(types.is_ok(), "{}: {}", instruction.opcode.name(), types.unwrap_err());
        let block = self.expect_block();
        let terminator = instruction.opcode.is_terminator();
        let inst = self.function.append(block, instruction);
        if terminator {
            let targets = self.function.insts[inst].targets();
            for (index, target) in targets.iter().enumerate() {
                debug_assert!(!self.sealed[target.block], "branch to {}, which is sealed", target.block);
                self.predecessors[target.block].push(Edge { block, inst, index: index as u32 });
            }
            self.current = None;
        }
        inst
    }
    /// Appends an instruction that has one result.
    pub fn emit(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let inst = self.append(Instruction::new(opcode, ty, args, aux));
        self.function.result(inst)
    }
    fn emit_effect(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) {
        self.append(Instruction::new(opcode, ty, args, aux));
    }

    /// An integer or pointer constant.
    pub fn iconst(&mut self, ty: Type, value: i64) -> Value {
        let value = if self.function.bits(ty) == 32 { i64::from(value as i32) } else { value };
        self.emit(Opcode::Iconst, ty, &[], Aux::Int(value))
    }
    /// A null reference.
    pub fn null(&mut self) -> Value {
        self.iconst(Type::Ref, 0)
    }
    /// A 32-bit float constant.
    pub fn f32const(&mut self, value: f32) -> Value {
        self.emit(Opcode::Fconst, Type::F32, &[], Aux::Int(i64::from(value.to_bits())))
    }
    /// A 64-bit float constant.
    pub fn f64const(&mut self, value: f64) -> Value {
        self.emit(Opcode::Fconst, Type::F64, &[], Aux::Int(value.to_bits() as i64))
    }
    /// Zero of any type but `v128`.
    pub fn zero(&mut self, ty: Type) -> Value {
        debug_assert!(ty != Type::V128);
        let opcode = if ty.is_float() { Opcode::Fconst } else { Opcode::Iconst };
        self.emit(opcode, ty, &[], Aux::Int(0))
    }
    /// Address of a symbol.
    pub fn symbol_addr(&mut self, symbol: Symbol) -> Value {
        self.emit(Opcode::SymbolAddr, Type::Iptr, &[], Aux::Symbol(symbol))
    }
    /// Content of a lazily filled cell.
    pub fn cell(&mut self, ty: Type, symbol: Symbol) -> Value {
        self.emit(Opcode::Cell, ty, &[], Aux::Symbol(symbol))
    }
    /// A new stack slot.
    pub fn create_slot(&mut self, size: u32, align: u32) -> StackSlot {
        self.function.slots.push(StackSlotData { size, align, in_handler: false })
    }
    /// Address in a slot, as `mptr`.
    pub fn stack_addr(&mut self, slot: StackSlot, offset: i32) -> Value {
        self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(slot, offset))
    }
    /// The current thread's structure.
    pub fn thread(&mut self) -> Value {
        self.emit(Opcode::Thread, Type::Iptr, &[], Aux::None)
    }
    /// Address plus a constant, as `mptr`; the address itself if it is zero and the type fits.
    pub fn offset_addr(&mut self, address: Value, offset: i64) -> Value {
        if offset == 0 && self.function.value_type(address) == Type::Mptr {
            return address;
        }
        let offset = self.iconst(Type::Iptr, offset);
        self.emit(Opcode::Iadd, Type::Mptr, &[address, offset], Aux::None)
    }
    /// Address plus an `iptr`, as `mptr`.
    pub fn add_addr(&mut self, address: Value, offset: Value) -> Value {
        self.emit(Opcode::Iadd, Type::Mptr, &[address, offset], Aux::None)
    }

    binary! {
        /// a + b, wrapping; of the type of `a`
        iadd Iadd;
        /// a - b, wrapping; of the type of `a`
        isub Isub;
        /// a × b, wrapping
        imul Imul;
        /// a / b signed; may raise
        sdiv Sdiv;
        /// a / b unsigned; may raise
        udiv Udiv;
        /// a % b signed; may raise
        srem Srem;
        /// a % b unsigned; may raise
        urem Urem;
        /// a & b
        iand Iand;
        /// a | b
        ior Ior;
        /// a ^ b
        ixor Ixor;
        /// a << b
        ishl Ishl;
        /// a >> b signed
        sshr Sshr;
        /// a >> b unsigned
        ushr Ushr;
        /// a + b; raises on signed overflow
        sadd_overflow SaddOverflow;
        /// a + b; raises on unsigned overflow
        uadd_overflow UaddOverflow;
        /// a - b; raises on signed overflow
        ssub_overflow SsubOverflow;
        /// a - b; raises on unsigned overflow
        usub_overflow UsubOverflow;
        /// a × b; raises on signed overflow
        smul_overflow SmulOverflow;
        /// a × b; raises on unsigned overflow
        umul_overflow UmulOverflow;
        /// a + b of floats
        fadd Fadd;
        /// a - b of floats
        fsub Fsub;
        /// a × b of floats
        fmul Fmul;
        /// a / b of floats
        fdiv Fdiv;
    }

    unary! {
        /// -a, wrapping
        ineg Ineg;
        /// !a
        inot Inot;
        /// -a of a float
        fneg Fneg;
        /// |a| of a float
        fabs Fabs;
        /// Square root
        fsqrt Fsqrt;
        /// Low 8 bits, sign-extended
        sext8 Sext8;
        /// Low 16 bits, sign-extended
        sext16 Sext16;
        /// Low 8 bits, zero-extended
        zext8 Zext8;
        /// Low 16 bits, zero-extended
        zext16 Zext16;
    }

    convert! {
        /// Sign-extends to `ty`
        sext Sext;
        /// Zero-extends to `ty`
        zext Zext;
        /// The low bits as `ty`
        trunc Trunc;
        /// The same bits as `ty`
        bitcast Bitcast;
        /// Signed integer → float
        sint_to_float SintToFloat;
        /// Unsigned integer → float
        uint_to_float UintToFloat;
        /// Float → signed integer
        float_to_sint FloatToSint;
        /// Float → unsigned integer
        float_to_uint FloatToUint;
    }

    /// f32 → f64
    pub fn fpromote(&mut self, a: Value) -> Value {
        self.emit(Opcode::Fpromote, Type::F64, &[a], Aux::None)
    }
    /// f64 → f32
    pub fn fdemote(&mut self, a: Value) -> Value {
        self.emit(Opcode::Fdemote, Type::F32, &[a], Aux::None)
    }
    /// Compares integers or pointers: `i32` 0 or 1.
    pub fn icmp(&mut self, compare: IntCompare, a: Value, b: Value) -> Value {
        self.emit(Opcode::Icmp, Type::I32, &[a, b], Aux::IntCompare(compare))
    }
    /// Compares floats: `i32` 0 or 1.
    pub fn fcmp(&mut self, compare: FloatCompare, a: Value, b: Value) -> Value {
        self.emit(Opcode::Fcmp, Type::I32, &[a, b], Aux::FloatCompare(compare))
    }
    /// `a` if `condition` is not 0, else `b`.
    pub fn select(&mut self, condition: Value, a: Value, b: Value) -> Value {
        let ty = self.function.value_type(a);
        self.emit(Opcode::Select, ty, &[condition, a, b], Aux::None)
    }

    /// Loads.
    pub fn load(&mut self, memory: Memory, address: Value) -> Value {
        self.emit(Opcode::Load, memory.access.value_type(), &[address], Aux::Memory(memory))
    }
    /// Stores anything but a reference into the heap.
    pub fn store(&mut self, memory: Memory, address: Value, value: Value) {
        self.emit_effect(Opcode::Store, memory.access.value_type(), &[address, value], Aux::Memory(memory));
    }
    /// Stores a reference at `address` (plus the offset of `memory`) into `object`, with the write barrier.
    pub fn store_ref(&mut self, memory: Memory, object: Value, address: Value, value: Value) {
        self.emit_effect(Opcode::StoreRef, Type::Ref, &[object, address, value], Aux::Memory(memory));
    }
    /// Copies bytes.
    pub fn copy_memory(&mut self, destination: Value, source: Value, bytes: u32) {
        self.emit_effect(Opcode::CopyMemory, Type::I32, &[destination, source], Aux::Int(i64::from(bytes)));
    }
    /// Zeroes bytes.
    pub fn zero_memory(&mut self, destination: Value, bytes: u32) {
        self.emit_effect(Opcode::ZeroMemory, Type::I32, &[destination], Aux::Int(i64::from(bytes)));
    }
    /// Raises `NullReference` if `value` is null.
    pub fn null_check(&mut self, value: Value) {
        let ty = self.function.value_type(value);
        self.emit_effect(Opcode::NullCheck, ty, &[value], Aux::None);
    }
    /// Raises `IndexOutOfRange` unless `index` is below `length`, unsigned.
    pub fn bounds_check(&mut self, index: Value, length: Value) {
        let ty = self.function.value_type(index);
        self.emit_effect(Opcode::BoundsCheck, ty, &[index, length], Aux::None);
    }
    /// Raises if `condition` is not 0.
    pub fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.emit_effect(Opcode::TrapIf, Type::I32, &[condition], Aux::Trap(code));
    }
    /// A new object.
    pub fn new_object(&mut self, method_table: Value, allocation: Allocation) -> Value {
        self.emit(Opcode::NewObject, Type::Ref, &[method_table], Aux::Allocation(allocation))
    }
    /// A new vector of `length` (`iptr`) elements.
    pub fn new_array(&mut self, method_table: Value, length: Value, allocation: Allocation) -> Value {
        self.emit(Opcode::NewArray, Type::Ref, &[method_table, length], Aux::Allocation(allocation))
    }

    /// Calls `callee`; the results.
    pub fn call(&mut self, signature: SigRef, callee: Symbol, args: &[Value]) -> SmallVec<[Value; 2]> {
        let inst = self.append(Instruction::new(Opcode::Call, Type::I32, args, Aux::Call { signature, callee }));
        self.function.results[inst].clone()
    }
    /// Calls the code at `address`; the results.
    pub fn call_indirect(&mut self, signature: SigRef, address: Value, args: &[Value]) -> SmallVec<[Value; 2]> {
        let mut all: SmallVec<[Value; 8]> = smallvec![address];
        all.extend_from_slice(args);
        let inst = self.append(Instruction::new(Opcode::CallIndirect, Type::I32, &all, Aux::CallIndirect(signature)));
        self.function.results[inst].clone()
    }

    // Block ends

    /// Calls `callee` in the place of this function.
    pub fn tail_call(&mut self, signature: SigRef, callee: Symbol, args: &[Value]) {
        self.terminate(Opcode::TailCall, args, Aux::Call { signature, callee });
    }
    /// Calls the code at `address` in the place of this function.
    pub fn tail_call_indirect(&mut self, signature: SigRef, address: Value, args: &[Value]) {
        let mut all: SmallVec<[Value; 8]> = smallvec![address];
        all.extend_from_slice(args);
        self.terminate(Opcode::TailCallIndirect, &all, Aux::CallIndirect(signature));
    }
    /// Goes to `block`.
    pub fn jump(&mut self, block: Block, args: &[Value]) {
        self.terminate(Opcode::Jump, &[], Aux::Targets(vec![BlockCall::new(block, args)]));
    }
    /// To the first target if `condition` (`i32`) is not 0, else to the second.
    pub fn brif(&mut self, condition: Value, then_block: Block, then_args: &[Value], else_block: Block, else_args: &[Value]) {
        let targets = vec![BlockCall::new(then_block, then_args), BlockCall::new(else_block, else_args)];
        self.terminate(Opcode::Brif, &[condition], Aux::Targets(targets));
    }
    /// To `cases[index]`, or to `default` if there is none.
    pub fn br_table(&mut self, index: Value, default: BlockCall, cases: impl IntoIterator<Item = BlockCall>) {
        let targets = std::iter::once(default).chain(cases).collect();
        self.terminate(Opcode::BrTable, &[index], Aux::Targets(targets));
    }
    /// Returns.
    pub fn return_(&mut self, values: &[Value]) {
        self.terminate(Opcode::Return, values, Aux::None);
    }
    /// Raises.
    pub fn trap(&mut self, code: TrapCode) {
        self.terminate(Opcode::Trap, &[], Aux::Trap(code));
    }
    /// Control does not get here.
    pub fn unreachable(&mut self) {
        self.terminate(Opcode::Unreachable, &[], Aux::None);
    }
    /// End of a finally or fault handler entered by the unwinder.
    pub fn end_finally(&mut self) {
        self.terminate(Opcode::EndFinally, &[], Aux::None);
    }
    /// End of a filter.
    pub fn end_filter(&mut self, verdict: Value) {
        self.terminate(Opcode::EndFilter, &[verdict], Aux::None);
    }
    fn terminate(&mut self, opcode: Opcode, args: &[Value], aux: Aux) {
        self.append(Instruction::new(opcode, Type::I32, args, aux));
    }
}
