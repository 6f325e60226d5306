//! A function in SSA form: the arenas and the ways to change them.
//!
//! Invariants (checked by the verifier): every block ends in its one terminator; a use is dominated
//! by its definition; a handler's entry block is reached from nowhere inside the function and no value
//! of outside is used in blocks that only a handler reaches: what must survive goes through stack slots.

use crate::entity::{Arena, Block, Inst, Region, SideTable, SigRef, StackSlot, Symbol, Value};
use crate::inline_sites::InlineSite;
use crate::instruction::{Instruction, Results};
use crate::signature::Signature;
use crate::types::Type;
use crate::{Aux, Opcode};
use smallvec::SmallVec;

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ValueDef {
    /// Result number `.1` of an instruction.
    Result(Inst, u32),
    /// Parameter number `.1` of a block.
    Param(Block, u32),
    /// Another name for a value, left behind by a pass.
    Alias(Value),
}

/// A value's type and definition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueData {
    /// Type.
    pub ty: Type,
    /// Definition.
    pub def: ValueDef,
}

/// A basic block.
#[derive(Clone, Default, Debug)]
pub struct BlockData {
    /// Parameters. The entry block's are the function's; a handler's entry has the exception (`ref`) as its one parameter
    /// (filters and catches; finally and fault have none).
    pub params: Vec<Value>,
    /// Instructions in order; the last is the terminator.
    pub insts: Vec<Inst>,
    /// The innermost protected region that the block lies in.
    pub region: Option<Region>,
    /// Rarely run: laid out after the others and spilled into first.
    pub cold: bool,
}

/// A place in the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StackSlotData {
    /// Bytes.
    pub size: u32,
    /// Alignment in bytes, a power of two up to 16.
    pub align: u32,
    /// Handlers read or write it, so it must stay in memory over every instruction that may raise.
    pub in_handler: bool,
}

/// What a symbol is. The numbers are given by whoever builds the function, and come back in relocations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum SymbolRef {
    /// Code of a method that is called directly (near).
    Method(u32),
    /// A function of the runtime, called through a table.
    Helper(u16),
    /// A pointer-sized cell of the image or of the JIT's data area; calls go through it, `cell` reads it.
    Cell(u32),
    /// Read-only data that comes with the code.
    RoData(u32),
    /// Code that publishes its caller's frame and goes on to a helper (`StubKind::Publish`): a shorter way to call it. Only
    /// back ends name it, and only in relocations of images.
    Publisher(u16),
    /// A publisher that keeps all registers but the first integer result (`Backend::preserver`): for helpers that are rarely called, so that the
    /// usual way pays nothing for the call. Where `Publisher` may be.
    Preserver(u16),
    /// Code that fills the cell of this number and gives its content, without arguments (`Backend::resolvers`). Where `Publisher` may be.
    Resolver(u32),
}

/// A symbol and its name for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymbolData {
    /// What it is.
    pub target: SymbolRef,
    /// Name in dumps; need not be unique.
    pub name: String,
}

/// A protected region with its handlers, tried in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegionData {
    /// The region around it, tried after it.
    pub parent: Option<Region>,
    /// Handlers in the order of the method's clauses.
    pub handlers: Vec<Handler>,
}

/// A handler of a protected region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handler {
    /// What it handles.
    pub kind: HandlerKind,
    /// Its first block. For a catch with a filter: the handler that runs if the filter says 1.
    pub entry: Block,
}

/// Kinds of handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandlerKind {
    /// Catches exceptions of a type, which the runtime reads from the method's clause with this number.
    Catch(u32),
    /// Catches if the filter that begins at this block says so.
    Filter(Block),
    /// Runs on the way out by an exception.
    Finally,
    /// Likewise.
    Fault,
}

/// A function.
#[derive(Clone, Default, Debug)]
pub struct Function {
    /// Name for people.
    pub name: String,
    /// Bytes of a pointer on the target, 4 or 8.
    pub pointer_bytes: u32,
    /// Its signature.
    pub signature: Option<Signature>,
    /// Values.
    pub values: Arena<Value, ValueData>,
    /// Instructions.
    pub insts: Arena<Inst, Instruction>,
    /// Results of instructions.
    pub results: SideTable<Inst, SmallVec<[Value; 2]>>,
    /// Blocks.
    pub blocks: Arena<Block, BlockData>,
    /// Blocks in the order of the text and of the code; the first is the entry. Blocks not in here are dead.
    pub layout: Vec<Block>,
    /// Stack slots.
    pub slots: Arena<StackSlot, StackSlotData>,
    /// Signatures of calls.
    pub signatures: Arena<SigRef, Signature>,
    /// Symbols.
    pub symbols: Arena<Symbol, SymbolData>,
    /// Protected regions.
    pub regions: Arena<Region, RegionData>,
    /// Calls in whose place bodies stand, in the order of the source positions of these.
    pub inline_sites: Vec<InlineSite>,
    /// Whether an instruction may use an alias.
    pub(crate) has_aliases: bool,
}

impl Function {
    /// An empty function for a target with pointers of `pointer_bytes`.
    pub fn new(name: impl Into<String>, pointer_bytes: u32, signature: Signature) -> Function {
        Function { name: name.into(), pointer_bytes, signature: Some(signature), ..Function::default() }
    }
    /// The function's own signature.
    pub fn signature(&self) -> &Signature {
        self.signature.as_ref().expect("a function is made with a signature")
    }
    /// The entry block.
    pub fn entry(&self) -> Block {
        self.layout[0]
    }
    /// A new block at the end of the layout.
    pub fn add_block(&mut self) -> Block {
        let block = self.blocks.push(BlockData::default());
        self.layout.push(block);
        block
    }
    /// A new parameter at the end of `block`'s list.
    pub fn add_block_param(&mut self, block: Block, ty: Type) -> Value {
        let index = self.blocks[block].params.len() as u32;
        let value = self.values.push(ValueData { ty, def: ValueDef::Param(block, index) });
        self.blocks[block].params.push(value);
        value
    }
    /// Makes an instruction with its results, in no block yet.
    pub fn make_inst(&mut self, instruction: Instruction) -> Inst {
        let results: SmallVec<[Type; 2]> = match instruction.opcode.info().results {
            Results::None => SmallVec::new(),
            Results::One => SmallVec::from_slice(&[instruction.ty]),
            Results::Signature => match instruction.aux {
                Aux::Call { signature, .. } | Aux::CallIndirect(signature) => self.signatures[signature].results.clone(),
                _ => SmallVec::new(),
            },
        };
        let inst = self.insts.push(instruction);
        if !results.is_empty() {
            self.results[inst] = results
                .iter()
                .enumerate()
                .map(|(index, &ty)| self.values.push(ValueData { ty, def: ValueDef::Result(inst, index as u32) }))
                .collect();
        }
        inst
    }
    /// Makes an instruction and appends it to `block`.
    pub fn append(&mut self, block: Block, instruction: Instruction) -> Inst {
        let inst = self.make_inst(instruction);
        self.blocks[block].insts.push(inst);
        inst
    }
    /// The one result of `inst`.
    pub fn result(&self, inst: Inst) -> Value {
        self.results[inst][0]
    }
    /// The last instruction of `block`, which is its terminator once the block is complete.
    pub fn terminator(&self, block: Block) -> Inst {
        *self.blocks[block].insts.last().expect("a complete block has a terminator")
    }
    /// `value`, or what it is another name for.
    pub fn resolve(&self, mut value: Value) -> Value {
        while let ValueDef::Alias(original) = self.values[value].def {
            value = original;
        }
        value
    }
    /// Makes `value` another name for `original`, which is of the same type. The definition of `value` stays where it is and
    /// has no uses any more.
    pub fn alias(&mut self, value: Value, original: Value) {
        let original = self.resolve(original);
        debug_assert!(original != value, "{value} would become its own alias");
        self.values[value].def = ValueDef::Alias(original);
        self.has_aliases = true;
    }
    /// Makes every use name its value itself instead of an alias.
    pub fn resolve_aliases(&mut self) {
        if !std::mem::take(&mut self.has_aliases) {
            return;
        }
        for inst in self.insts.keys() {
            for index in 0..self.insts[inst].args.len() {
                let value = self.resolve(self.insts[inst].args[index]);
                self.insts[inst].args[index] = value;
            }
            for target in 0..self.insts[inst].targets().len() {
                for index in 0..self.insts[inst].targets()[target].args.len() {
                    let value = self.resolve(self.insts[inst].targets()[target].args[index]);
                    self.insts[inst].targets_mut()[target].args[index] = value;
                }
            }
        }
    }
    /// Brings the definitions of `block`'s parameters in line with its list, after some were removed or moved.
    pub fn renumber_params(&mut self, block: Block) {
        for index in 0..self.blocks[block].params.len() {
            let param = self.blocks[block].params[index];
            self.values[param].def = ValueDef::Param(block, index as u32);
        }
    }
    /// Type of a value.
    pub fn value_type(&self, value: Value) -> Type {
        self.values[value].ty
    }
    /// The instruction that defines `value`, unless it is a parameter.
    pub fn def_inst(&self, value: Value) -> Option<Inst> {
        match self.values[self.resolve(value)].def {
            ValueDef::Result(inst, _) => Some(inst),
            _ => None,
        }
    }
    /// The constant that `value` is, if it is an `iconst`.
    pub fn int_constant(&self, value: Value) -> Option<i64> {
        let instruction = &self.insts[self.def_inst(value)?];
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Iconst, Aux::Int(constant)) => Some(*constant),
            _ => None,
        }
    }
    /// The reference that an address was computed from, whose object it lies in; without one, the managed pointer.
    pub fn base_of(&self, address: Value) -> Value {
        let mut value = self.resolve(address);
        while let Some(inst) = self.def_inst(value) {
            let instruction = &self.insts[inst];
            let is_address =
                instruction.ty.is_managed() && matches!(instruction.opcode, Opcode::Iadd | Opcode::Isub | Opcode::Bitcast);
            match instruction.args.first() {
                Some(&inner) if is_address && self.value_type(inner).is_managed() => value = self.resolve(inner),
                _ => break,
            }
        }
        value
    }
    /// Width in bits of an integer or pointer type on the target.
    pub fn bits(&self, ty: Type) -> u32 {
        ty.bytes(self.pointer_bytes) * 8
    }
    /// Adds a signature, or finds it.
    pub fn add_signature(&mut self, signature: Signature) -> SigRef {
        let known = self.signatures.iter().find(|(_, known)| **known == signature).map(|(key, _)| key);
        known.unwrap_or_else(|| self.signatures.push(signature))
    }
    /// Adds a symbol, or finds it.
    pub fn add_symbol(&mut self, target: SymbolRef, name: impl FnOnce() -> String) -> Symbol {
        let known = self.symbols.iter().find(|(_, known)| known.target == target).map(|(key, _)| key);
        known.unwrap_or_else(|| self.symbols.push(SymbolData { target, name: name() }))
    }
}
