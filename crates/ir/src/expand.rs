//! The last step on the IR before lowering: object operations become plain instructions with inline fast paths and cold
//! blocks that call helpers.
//!
//! It knows no runtime: sequences are put together from the data in [`ExpandOptions`].

use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Inst, SideTable, Symbol, Value};
use crate::function::{BlockData, Function, SymbolRef};
use crate::instruction::{
    Alias, Allocation, Aux, BlockCall, Instruction, IntCompare, Memory, MemoryFlags, Opcode, SourceOffset, Window,
};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::passes::mark_cold;
use crate::signature::{CallConvention, Param, Signature};
use crate::types::{Access, Type};
use rustc_hash::FxHashSet;

/// Expands `cell`, `new_object`, `new_array` and `store_ref`.
pub static PASS: Pass = Pass { name: "expand", mono_aliases: &[], default_level: Level::Required, run };

/// How to expand. Helpers are numbers of `SymbolRef::Helper`.
#[derive(Clone, Debug)]
pub struct ExpandOptions {
    /// `(iptr cell address) -> iptr`: fills the cell and returns its content.
    pub resolve_cell: u16,
    /// `(iptr method table) -> ref`
    pub new_object: u16,
    /// `(iptr method table, iptr length) -> ref`
    pub new_array: u16,
    /// Inline allocation, if there is any.
    pub alloc: Option<BumpAllocation>,
    /// The write barrier.
    pub barrier: Barrier,
    /// `(mptr address, ref value)`: stores with the barrier where the owner is not known.
    pub store_ref_unknown: u16,
    /// Offset of the method table pointer in an object.
    pub method_table_offset: i32,
    /// Offset of the length in an array.
    pub array_length_offset: i32,
    /// Width of an array's length.
    pub array_length: Access,
}

/// Allocation by moving a cursor in the thread's structure. The memory between cursor and limit is zeroed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BumpAllocation {
    /// Offset of the cursor in the thread's structure.
    pub cursor_offset: i32,
    /// Offset of the limit.
    pub limit_offset: i32,
    /// Largest size in bytes that is allocated so.
    pub max_fast_size: u32,
    /// Sizes are rounded up to this, a power of two.
    pub alignment: u32,
}

/// A bit for each object, in a table beside the heap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SideBit {
    /// Where the byte for address 0 would be.
    pub base: MetadataBase,
    /// Byte of an object: base + (address >> this).
    pub byte_shift: u32,
    /// Bit in the byte: (address >> this) & 7.
    pub bit_shift: u32,
}

/// What a store of a reference does for the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Barrier {
    /// Nothing.
    None,
    /// If the object's bit in a side table of bits is set, the slow helper is called after the store.
    ObjectRemembering {
        /// Set if the object is not remembered yet.
        unlogged: SideBit,
        /// `(ref object, ref value)`
        slow_helper: u16,
    },
}

/// How code finds the base address of the side table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetadataBase {
    /// A constant.
    Constant(i64),
    /// The content of a filled cell (`SymbolRef::Cell`).
    Cell(u32),
    /// A field of the thread's structure at this offset.
    Thread(i32),
}

impl ExpandOptions {
    /// Options with every fast path, for tests of the sequences.
    pub fn for_tests() -> ExpandOptions {
        ExpandOptions {
            resolve_cell: 1,
            new_object: 2,
            new_array: 3,
            store_ref_unknown: 4,
            alloc: Some(BumpAllocation { cursor_offset: 16, limit_offset: 24, max_fast_size: 256, alignment: 8 }),
            barrier: Barrier::ObjectRemembering {
                unlogged: SideBit { base: MetadataBase::Constant(0x1000_0000), byte_shift: 6, bit_shift: 3 },
                slow_helper: 5,
            },
            method_table_offset: 0,
            array_length_offset: 8,
            array_length: Access::Full(Type::Iptr),
        }
    }
}

fn run(function: &mut Function, context: &mut PassContext<'_>) -> bool {
    let Some(options) = context.expand else { return false };
    let control_flow = &mut context.scratch.control_flow;
    control_flow.ensure(function);
    mark_cold(function, control_flow);
    let unremembered = initializing_stores(function, control_flow);
    let nulls = null_params(function);
    let start = Block::from_index(0);
    let expanded = Expander { function, options, current: start, source: SourceOffset::UNKNOWN, unremembered, nulls }.run();
    context.count("expanded object operations", expanded);
    expanded > 0
}

/// Stores into a new object of references that were there before it was allocated. If a collection comes between
/// the allocation and the store, it promotes both, so that there is nothing to remember.
fn initializing_stores(function: &Function, control_flow: &ControlFlow) -> FxHashSet<Inst> {
    let insts = function.layout.iter().flat_map(|&block| function.blocks[block].insts.iter().map(move |&inst| (block, inst)));
    let stores: Vec<Inst> =
        insts.filter(|&(_, inst)| function.insts[inst].opcode == Opcode::StoreRef).map(|each| each.1).collect();
    if stores.is_empty() {
        return FxHashSet::default();
    }
    // By value: block and place in it of the definition.
    let mut places: SideTable<Value, Option<(Block, usize)>> = SideTable::with_len(function.values.len());
    for &block in &function.layout {
        let data = &function.blocks[block];
        data.params.iter().for_each(|&param| places[param] = Some((block, 0)));
        for (index, &inst) in data.insts.iter().enumerate() {
            function.results[inst].iter().for_each(|&result| places[result] = Some((block, index + 1)));
        }
    }
    let is_initializing = |&store: &Inst| {
        let args = &function.insts[store].args;
        let (object, value) = (function.resolve(args[0]), function.resolve(args[2]));
        let Some(allocation) = function.def_inst(object) else { return false };
        if !matches!(function.insts[allocation].opcode, Opcode::NewObject | Opcode::NewArray) {
            return false;
        }
        match (places[value], places[object]) {
            (Some((old, before)), Some((new, after))) if old == new => before < after,
            (Some((old, _)), Some((new, _))) => control_flow.dominates(old, new),
            _ => false,
        }
    };
    stores.into_iter().filter(is_initializing).collect()
}

/// Block parameters that are null on every way: passes that copy loop headers make such of constants, and a constant null as the
/// object of a `store_ref` means that the address may lie anywhere.
fn null_params(function: &Function) -> FxHashSet<Value> {
    let params =
        function.layout.iter().filter(|&&block| block != function.entry()).flat_map(|&block| &function.blocks[block].params);
    let mut nulls: FxHashSet<Value> = params.copied().filter(|&param| function.value_type(param) == Type::Ref).collect();
    let mut changed = !nulls.is_empty();
    while changed {
        changed = false;
        for &block in &function.layout {
            for target in function.blocks[block].insts.last().map_or(&[][..], |&last| function.insts[last].targets()) {
                for (param, &argument) in function.blocks[target.block].params.iter().zip(&target.args) {
                    let argument = function.resolve(argument);
                    if !nulls.contains(&argument) && function.int_constant(argument) != Some(0) {
                        changed |= nulls.remove(param);
                    }
                }
            }
        }
    }
    nulls
}

/// Opcodes that this pass removes.
fn is_expanded(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::Cell | Opcode::NewObject | Opcode::NewArray | Opcode::StoreRef)
}

/// Rewrites one block after the other: its instructions are moved over one by one, and where a sequence branches, what
/// follows goes into a new block.
struct Expander<'a> {
    function: &'a mut Function,
    options: &'a ExpandOptions,
    /// The block that instructions are appended to.
    current: Block,
    source: SourceOffset,
    /// Stores of references that need no barrier.
    unremembered: FxHashSet<Inst>,
    /// Block parameters that are always null.
    nulls: FxHashSet<Value>,
}

impl Expander<'_> {
    fn run(mut self) -> u64 {
        let mut expanded = 0;
        let is_expanded_inst = |&inst: &Inst| is_expanded(self.function.insts[inst].opcode);
        if !self.function.layout.iter().any(|&block| self.function.blocks[block].insts.iter().any(is_expanded_inst)) {
            return 0;
        }
        let mut layout = Vec::with_capacity(self.function.layout.len());
        for block in std::mem::take(&mut self.function.layout) {
            layout.push(block);
            let insts = &self.function.blocks[block].insts;
            if !insts.iter().any(|&inst| is_expanded(self.function.insts[inst].opcode)) {
                continue;
            }
            let insts = std::mem::take(&mut self.function.blocks[block].insts);
            self.current = block;
            for inst in insts {
                if is_expanded(self.function.insts[inst].opcode) {
                    expanded += 1;
                    self.expand(inst);
                } else {
                    self.function.blocks[self.current].insts.push(inst);
                }
            }
            // New blocks come right behind the one that they were cut from.
            layout.append(&mut self.function.layout);
        }
        self.function.layout = layout;
        if expanded > 0 {
            self.function.resolve_aliases();
        }
        expanded
    }

    fn expand(&mut self, inst: Inst) {
        let instruction = self.function.insts[inst].clone();
        self.source = instruction.source;
        let args = &instruction.args;
        let result = match (instruction.opcode, &instruction.aux) {
            (Opcode::Cell, &Aux::Symbol(symbol)) => self.cell(instruction.ty, symbol),
            (Opcode::NewObject, Aux::Allocation(allocation)) => self.new_object(args[0], allocation),
            (Opcode::NewArray, Aux::Allocation(allocation)) => self.new_array(args[0], args[1], allocation),
            (Opcode::StoreRef, Aux::Memory(memory)) => {
                return self.store_ref(args[0], args[1], args[2], *memory, self.unremembered.contains(&inst));
            }
            // An instruction whose auxiliary operand is not its own is the verifier's to report.
            _ => return self.function.blocks[self.current].insts.push(inst),
        };
        let old = self.function.result(inst);
        self.function.alias(old, result);
    }

    // Small instructions

    fn append(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Inst {
        let mut instruction = Instruction::new(opcode, ty, args, aux);
        instruction.source = self.source;
        self.function.append(self.current, instruction)
    }
    fn emit(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let inst = self.append(opcode, ty, args, aux);
        self.function.result(inst)
    }
    fn binary(&mut self, opcode: Opcode, ty: Type, a: Value, b: Value) -> Value {
        self.emit(opcode, ty, &[a, b], Aux::None)
    }
    /// Constants of 32 bits are sign-extended.
    fn constant(&mut self, ty: Type, value: i64) -> Value {
        let value = if self.function.bits(ty) == 32 { i64::from(value as i32) } else { value };
        self.emit(Opcode::Iconst, ty, &[], Aux::Int(value))
    }
    fn load(&mut self, access: Access, address: Value, offset: i32) -> Value {
        let memory = Memory { access, offset, flags: MemoryFlags::NO_TRAP, alias: Alias::Runtime };
        self.emit(Opcode::Load, access.value_type(), &[address], Aux::Memory(memory))
    }
    /// An `iptr` with the same bits.
    fn as_iptr(&mut self, value: Value) -> Value {
        match self.function.value_type(value) {
            Type::Iptr => value,
            _ => self.emit(Opcode::Bitcast, Type::Iptr, &[value], Aux::None),
        }
    }

    /// Whether the code is to be short rather than fast.
    fn is_cold(&self) -> bool {
        self.function.blocks[self.current].cold
    }

    /// A block in the same region as the current one.
    fn new_block(&mut self, cold: bool) -> Block {
        let BlockData { region, cold: current_cold, .. } = self.function.blocks[self.current];
        let block = self.function.add_block();
        self.function.blocks[block].region = region;
        self.function.blocks[block].cold = cold || current_cold;
        block
    }
    fn jump(&mut self, target: Block, args: &[Value]) {
        self.append(Opcode::Jump, Type::I32, &[], Aux::Targets(vec![BlockCall::new(target, args)]));
    }
    fn branch(&mut self, condition: Value, then: BlockCall, otherwise: BlockCall) {
        self.append(Opcode::Brif, Type::I32, &[condition], Aux::Targets(vec![then, otherwise]));
    }
    fn call_helper(&mut self, helper: u16, name: &str, args: &[Value], result: Option<Type>) -> Option<Value> {
        let mut signature = Signature::new(CallConvention::Native);
        signature.params.extend(args.iter().map(|&arg| Param::normal(self.function.value_type(arg))));
        signature.results.extend(result);
        let signature = self.function.add_signature(signature);
        let callee = self.function.add_symbol(SymbolRef::Helper(helper), || name.to_string());
        let inst = self.append(Opcode::Call, Type::I32, args, Aux::Call { signature, callee });
        self.function.results[inst].first().copied()
    }

    // Sequences

    /// Loads the cell; zero means that the runtime is still to fill it.
    fn cell(&mut self, ty: Type, symbol: Symbol) -> Value {
        let address = self.emit(Opcode::SymbolAddr, Type::Iptr, &[], Aux::Symbol(symbol));
        if self.is_cold() {
            let resolved = self.call_helper(self.options.resolve_cell, "resolve_cell", &[address], Some(Type::Iptr));
            let resolved = resolved.expect("the helper has a result");
            return match ty {
                Type::Iptr => resolved,
                _ => self.emit(Opcode::Bitcast, ty, &[resolved], Aux::None),
            };
        }
        let content = self.load(Access::Full(Type::Iptr), address, 0);
        let zero = self.constant(Type::Iptr, 0);
        let filled = self.emit(Opcode::Icmp, Type::I32, &[content, zero], Aux::IntCompare(IntCompare::Ne));
        let done = self.new_block(false);
        let result = self.function.add_block_param(done, Type::Iptr);
        let slow = self.new_block(true);
        self.branch(filled, BlockCall::new(done, &[content]), BlockCall::new(slow, &[]));
        self.current = slow;
        let resolved = self.call_helper(self.options.resolve_cell, "resolve_cell", &[address], Some(Type::Iptr));
        self.jump(done, resolved.as_slice());
        self.current = done;
        match ty {
            Type::Iptr => result,
            _ => self.emit(Opcode::Bitcast, ty, &[result], Aux::None),
        }
    }

    fn new_object(&mut self, method_table: Value, allocation: &Allocation) -> Value {
        let helper = self.options.new_object;
        let size = i64::from(allocation.base_size);
        let bump = match self.options.alloc {
            Some(bump) if allocation.fast && allocation.base_size <= bump.max_fast_size && !self.is_cold() => bump,
            _ => {
                let object = self.call_helper(helper, "new_object", &[method_table], Some(Type::Ref));
                return object.expect("the helper has a result");
            }
        };
        let size = self.constant(Type::Iptr, bump.round_up(size));
        let (done, slow) = (self.new_block(false), self.new_block(true));
        let result = self.function.add_block_param(done, Type::Ref);
        self.try_allocate(&bump, &[method_table, size], done, slow);
        self.current = slow;
        let object = self.call_helper(helper, "new_object", &[method_table], Some(Type::Ref));
        self.jump(done, object.as_slice());
        self.current = done;
        result
    }

    fn new_array(&mut self, method_table: Value, length: Value, allocation: &Allocation) -> Value {
        let helper = self.options.new_array;
        let bump = match self.options.alloc {
            Some(bump) if allocation.fast && allocation.base_size < bump.max_fast_size && !self.is_cold() => bump,
            _ => {
                let array = self.call_helper(helper, "new_array", &[method_table, length], Some(Type::Ref));
                return array.expect("the helper has a result");
            }
        };
        let (done, slow) = (self.new_block(false), self.new_block(true));
        let result = self.function.add_block_param(done, Type::Ref);
        let size = self.array_size(&bump, length, allocation, slow);
        let stored = match (self.options.array_length.value_type(), self.function.int_constant(length)) {
            (Type::Iptr, _) => length,
            (ty, Some(constant)) => self.constant(ty, constant),
            (ty, None) => self.emit(Opcode::Trunc, ty, &[length], Aux::None),
        };
        self.try_allocate(&bump, &[method_table, size, stored], done, slow);
        self.current = slow;
        let array = self.call_helper(helper, "new_array", &[method_table, length], Some(Type::Ref));
        self.jump(done, array.as_slice());
        self.current = done;
        result
    }

    /// Rounded size in bytes of an array. Long ones, and negative lengths with them, go to `slow`.
    fn array_size(&mut self, bump: &BumpAllocation, length: Value, allocation: &Allocation, slow: Block) -> Value {
        let element = i64::from(allocation.element_size);
        let base = i64::from(allocation.base_size);
        let room = i64::from(bump.max_fast_size) - base;
        if let Some(constant) = self.function.int_constant(length) {
            if constant >= 0 && constant.checked_mul(element).is_some_and(|bytes| bytes <= room) {
                return self.constant(Type::Iptr, bump.round_up(base + constant * element));
            }
        }
        let max_length = self.constant(Type::Iptr, room / element.max(1));
        let fits = self.emit(Opcode::Icmp, Type::I32, &[length, max_length], Aux::IntCompare(IntCompare::Ule));
        let small = self.new_block(false);
        self.branch(fits, BlockCall::new(small, &[]), BlockCall::new(slow, &[]));
        self.current = small;
        let bytes = match element {
            1 => length,
            _ if element.count_ones() == 1 => {
                let shift = self.constant(Type::I32, i64::from(element.trailing_zeros()));
                self.binary(Opcode::Ishl, Type::Iptr, length, shift)
            }
            _ => {
                let element = self.constant(Type::Iptr, element);
                self.binary(Opcode::Imul, Type::Iptr, length, element)
            }
        };
        let mask = i64::from(bump.alignment) - 1;
        if element & mask == 0 {
            let base = self.constant(Type::Iptr, bump.round_up(base));
            return self.binary(Opcode::Iadd, Type::Iptr, bytes, base);
        }
        let base = self.constant(Type::Iptr, base + mask);
        let sum = self.binary(Opcode::Iadd, Type::Iptr, bytes, base);
        let mask = self.constant(Type::Iptr, !mask);
        self.binary(Opcode::Iand, Type::Iptr, sum, mask)
    }

    /// Takes memory from the thread's window and goes to `done` with it, or to `slow`.
    fn try_allocate(&mut self, bump: &BumpAllocation, args: &[Value], done: Block, slow: Block) {
        let window = Window {
            cursor: bump.cursor_offset,
            limit: bump.limit_offset,
            method_table: self.options.method_table_offset,
            length: self.options.array_length_offset,
        };
        let object = self.emit(Opcode::TryAllocate, Type::Ref, args, Aux::Window(window));
        let null = self.constant(Type::Ref, 0);
        let allocated = self.emit(Opcode::Icmp, Type::I32, &[object, null], Aux::IntCompare(IntCompare::Ne));
        self.branch(allocated, BlockCall::new(done, &[object]), BlockCall::new(slow, &[]));
    }

    /// The thread may be stopped for a collection at each instruction of this. Between the store and the test `object` may be old and
    /// `value` young and not remembered; but the slow path uses `value`, so that it is in a register or spill slot until
    /// the test has been made, where the collector finds and promotes it: then there is nothing left to remember.
    fn store_ref(&mut self, object: Value, address: Value, value: Value, memory: Memory, plain_store: bool) {
        let plain = |expander: &mut Self| {
            expander.append(Opcode::Store, Type::Ref, &[address, value], Aux::Memory(memory));
        };
        // A null needs no remembering: it leads to no young object.
        if plain_store || self.options.barrier == Barrier::None || self.function.int_constant(value) == Some(0) {
            return plain(self);
        }
        let object = self.owner(object, address);
        if self.is_null(object) || self.is_cold() {
            let address = self.field_address(address, memory.offset);
            self.call_helper(self.options.store_ref_unknown, "store_ref_unknown", &[address, value], None);
            return;
        }
        plain(self);
        let (unlogged, slow_helper) = match self.options.barrier {
            Barrier::None => return,
            Barrier::ObjectRemembering { unlogged, slow_helper } => (unlogged, slow_helper),
        };
        let object_bits = self.as_iptr(object);
        let (place, bit) = self.side_bit(unlogged, object_bits);
        let byte = self.load(Access::U8, place, 0);
        let shifted = self.binary(Opcode::Ushr, Type::I32, byte, bit);
        let one = self.constant(Type::I32, 1);
        let unlogged = self.binary(Opcode::Iand, Type::I32, shifted, one);
        let (done, slow) = (self.new_block(false), self.new_block(true));
        self.branch(unlogged, BlockCall::new(slow, &[]), BlockCall::new(done, &[]));
        self.current = slow;
        self.call_helper(slow_helper, "write_barrier", &[object, value], None);
        self.jump(done, &[]);
        self.current = done;
    }

    /// The object that a store at `address` goes into, as `object` says, or else as it follows from how the address was computed; null if the
    /// address may lie anywhere.
    fn owner(&self, object: Value, address: Value) -> Value {
        let object = self.function.resolve(object);
        let base = self.function.base_of(address);
        if self.is_null(object) && self.function.value_type(base) == Type::Ref { base } else { object }
    }

    fn is_null(&self, object: Value) -> bool {
        self.function.int_constant(object) == Some(0) || self.nulls.contains(&object)
    }

    /// Address of the byte (`iptr`) and number of the bit in it (`i32`) for the object at `object` (`iptr`).
    fn side_bit(&mut self, table: SideBit, object: Value) -> (Value, Value) {
        let base = self.metadata_base(table.base);
        let shift = self.constant(Type::I32, i64::from(table.byte_shift));
        let index = self.binary(Opcode::Ushr, Type::Iptr, object, shift);
        let place = self.binary(Opcode::Iadd, Type::Iptr, base, index);
        let low = self.emit(Opcode::Trunc, Type::I32, &[object], Aux::None);
        let shift = self.constant(Type::I32, i64::from(table.bit_shift));
        let low = self.binary(Opcode::Ushr, Type::I32, low, shift);
        let seven = self.constant(Type::I32, 7);
        (place, self.binary(Opcode::Iand, Type::I32, low, seven))
    }

    /// `address` + `offset` as an `mptr`, which the helpers take.
    fn field_address(&mut self, address: Value, offset: i32) -> Value {
        if offset != 0 {
            let offset = self.constant(Type::Iptr, i64::from(offset));
            return self.binary(Opcode::Iadd, Type::Mptr, address, offset);
        }
        match self.function.value_type(address) {
            Type::Mptr => address,
            _ => self.emit(Opcode::Bitcast, Type::Mptr, &[address], Aux::None),
        }
    }

    fn metadata_base(&mut self, base: MetadataBase) -> Value {
        match base {
            MetadataBase::Constant(base) => self.constant(Type::Iptr, base),
            MetadataBase::Cell(number) => {
                let symbol = self.function.add_symbol(SymbolRef::Cell(number), || "side metadata".to_string());
                let address = self.emit(Opcode::SymbolAddr, Type::Iptr, &[], Aux::Symbol(symbol));
                self.load(Access::Full(Type::Iptr), address, 0)
            }
            MetadataBase::Thread(offset) => {
                let thread = self.emit(Opcode::Thread, Type::Iptr, &[], Aux::None);
                self.load(Access::Full(Type::Iptr), thread, offset)
            }
        }
    }
}

impl BumpAllocation {
    fn round_up(&self, bytes: i64) -> i64 {
        let mask = i64::from(self.alignment) - 1;
        (bytes + mask) & !mask
    }
}
