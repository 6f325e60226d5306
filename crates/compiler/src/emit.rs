//! What importing IL and making wrappers have in common: a function under construction together with the environment, and the
//! sequences that both emit: cells, helper calls, struct copies, argument lists.

use crate::abi::{Abi, HelperId};
use crate::env::{CellAnswer, CellRequest, DirectCall, MethodEnv};
use crate::signature::{AbiSignature, Passed, Passing, storage_access};
use il::types::{MethodId, Storage, TypeId, TypeSystem};
use ir::builder::FunctionBuilder;
use ir::entity::{Block, Entity, Region, StackSlot, Symbol, Value};
use ir::function::SymbolRef;
use ir::instruction::{Alias, Allocation, Aux, IntCompare, Memory, MemoryFlags, Opcode};
use ir::signature::{CallConvention, Param, Signature};
use ir::types::Access;
use ir::{Function, Type};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

/// Largest object, in bytes, that compiled code allocates without a call.
const FAST_ALLOCATION_BYTES: u32 = 4096;
/// Structures with references of up to so many fields are copied into the heap field by field.
const COPIED_BY_FIELD: usize = 4;

/// A function under construction and the world that it is for.
pub(crate) struct Emitter<'a, 'f> {
    pub env: &'a dyn MethodEnv,
    pub types: &'a TypeSystem,
    pub abi: Abi,
    pub b: FunctionBuilder<'f>,
    /// The method whose code it is.
    pub method: MethodId,
    /// Region of blocks that are made from now on.
    pub region: Option<Region>,
    /// Methods behind the symbols of direct calls.
    pub callees: FxHashMap<SymbolRef, MethodId>,
    /// Blocks in the order in which they were filled.
    fill_order: Vec<Block>,
}

/// What is left of an [`Emitter`].
pub(crate) struct Finished {
    fill_order: Vec<Block>,
    pub callees: FxHashMap<SymbolRef, MethodId>,
}

impl Finished {
    /// Puts the blocks into the order in which they were filled, which is that of the IL.
    pub fn order_blocks(&self, function: &mut Function) {
        let mut place = vec![usize::MAX; function.blocks.len()];
        for (index, block) in self.fill_order.iter().enumerate() {
            place[block.index()] = index;
        }
        function.layout.sort_by_key(|block| place[block.index()]);
    }
}

/// Where a structure with references is stored.
#[derive(Clone, Copy)]
pub(crate) enum Destination {
    /// At an address in this object.
    Object(Value, Value),
    /// Anywhere.
    Anywhere(Value),
}

impl Destination {
    pub fn address(self) -> Value {
        match self {
            Destination::Object(_, address) | Destination::Anywhere(address) => address,
        }
    }
}

/// Aligns `size` up to `align`, a power of two.
fn align_up(size: u32, align: u32) -> u32 {
    (size + align - 1) & !(align - 1)
}

impl<'a, 'f> Emitter<'a, 'f> {
    pub fn new(env: &'a dyn MethodEnv, function: &'f mut Function, method: MethodId) -> Emitter<'a, 'f> {
        Emitter {
            env,
            types: env.types(),
            abi: env.abi(),
            b: FunctionBuilder::new(function),
            method,
            region: None,
            callees: FxHashMap::default(),
            fill_order: Vec::new(),
        }
    }

    // Blocks

    /// A new block in the current region.
    pub fn new_block(&mut self) -> Block {
        let block = self.b.create_block();
        self.b.function.blocks[block].region = self.region;
        block
    }
    /// A new rarely run block in the current region.
    pub fn cold_block(&mut self) -> Block {
        let block = self.new_block();
        self.b.function.blocks[block].cold = true;
        block
    }
    /// Goes on in `block`, to which nothing more will branch.
    pub fn enter(&mut self, block: Block) {
        self.b.seal_block(block);
        self.switch(block);
    }
    /// Goes on in `block`.
    pub fn switch(&mut self, block: Block) {
        self.fill_order.push(block);
        self.b.switch_to_block(block);
    }
    /// Ends the construction.
    pub fn finish(self) -> Finished {
        let Emitter { b, fill_order, callees, .. } = self;
        b.finish();
        Finished { fill_order, callees }
    }

    // Memory

    /// Offset `offset` of a runtime structure that never changes.
    pub fn runtime_field(&self, ty: Type, offset: i32) -> Memory {
        let flags = MemoryFlags::NO_TRAP | MemoryFlags::READ_ONLY;
        Memory { access: Access::Full(ty), offset, flags, alias: Alias::Runtime }
    }
    /// A pointer in the runtime's own structures that changes while code runs.
    pub fn changing_field(&self, offset: i32) -> Memory {
        Memory { flags: MemoryFlags::NO_TRAP, ..self.runtime_field(Type::Iptr, offset) }
    }
    /// A field of an object's header; faults if the object is null.
    pub fn header_field(&self, ty: Type, offset: i32) -> Memory {
        Memory { access: Access::Full(ty), offset, flags: MemoryFlags::READ_ONLY, alias: Alias::Header }
    }
    /// Length of a vector or string; faults if it is null.
    pub fn load_length(&mut self, array: Value) -> Value {
        let memory = self.header_field(Type::I32, self.abi.length());
        self.b.load(memory, array)
    }
    /// Method table of an object; faults if it is null.
    pub fn load_method_table(&mut self, object: Value) -> Value {
        let memory = self.header_field(Type::Iptr, self.abi.object_method_table());
        self.b.load(memory, object)
    }
    /// An access of a structure's place in the frame.
    pub fn frame_access(&self, access: Access, offset: i32) -> Memory {
        Memory { access, offset, flags: MemoryFlags::NO_TRAP, alias: Alias::Any }
    }
    /// A piece of a structure of type `storage` that is to be passed: it lies in the frame or where it was borrowed from, which need not be
    /// aligned for the piece if the structure is packed.
    fn piece_access(&self, ty: Type, offset: u32, storage: Storage) -> Memory {
        let mut memory = self.frame_access(Access::Full(ty), offset as i32);
        let packed = matches!(storage, Storage::Struct { align, .. } if align < ty.bytes(self.abi.pointer_bytes).min(4));
        memory.flags.set(MemoryFlags::UNALIGNED, packed);
        memory
    }
    /// A slot for a value that takes `size` bytes. It can be read in whole words.
    pub fn new_slot(&mut self, size: u32, align: u32) -> StackSlot {
        let word = self.abi.pointer_bytes.max(8);
        self.b.create_slot(align_up(size.max(1), word), align.clamp(word, 16))
    }
    /// A new slot for `ty`, and its address.
    pub fn struct_temporary(&mut self, size: u32, align: u32) -> Value {
        let slot = self.new_slot(size, align);
        self.b.stack_addr(slot, 0)
    }
    /// `value` as a pointer of type `ty`.
    pub fn as_pointer(&mut self, value: Value, ty: Type) -> Value {
        let from = self.b.function.value_type(value);
        if from == ty {
            return value;
        }
        if from.is_pointer_sized() {
            return self.b.bitcast(ty, value);
        }
        let wide = match from {
            Type::I64 => self.b.trunc(Type::Iptr, value),
            _ => self.b.sext(Type::Iptr, value),
        };
        if ty == Type::Iptr { wide } else { self.b.bitcast(ty, wide) }
    }

    // Late binding

    /// The symbol of what the environment answered.
    fn answer_symbol(&mut self, target: SymbolRef, request: CellRequest) -> Symbol {
        let env = self.env;
        let name = || if env.names_symbols() { request_name(env.types(), request) } else { String::new() };
        self.b.function.add_symbol(target, name)
    }
    /// The value of a request, through a lazily filled cell unless it is known.
    pub fn cell(&mut self, request: CellRequest, ty: Type) -> Value {
        match self.env.cell(request) {
            CellAnswer::Constant(value) => self.b.iconst(ty, value),
            CellAnswer::Cell(target) => {
                let symbol = self.answer_symbol(target, request);
                if self.env.is_jit() && is_never_empty(request) {
                    let address = self.b.symbol_addr(symbol);
                    let memory = Memory { flags: MemoryFlags::NO_TRAP, ..self.runtime_field(ty, 0) };
                    return self.b.load(memory, address);
                }
                self.b.cell(ty, symbol)
            }
        }
    }
    /// The address of the cell of a request.
    pub fn cell_address(&mut self, request: CellRequest) -> Value {
        match self.env.cell(request) {
            CellAnswer::Constant(value) => self.b.iconst(Type::Iptr, value),
            CellAnswer::Cell(target) => {
                let symbol = self.answer_symbol(target, request);
                self.b.symbol_addr(symbol)
            }
        }
    }

    // Calls

    /// Calls a helper that gives a value.
    pub fn helper_value(&mut self, helper: HelperId, args: &[Value]) -> Value {
        self.helper(helper, args)[0]
    }
    /// Calls a helper; after one that diverges the block is ended.
    pub fn helper(&mut self, helper: HelperId, args: &[Value]) -> SmallVec<[Value; 2]> {
        let info = helper.info();
        let convention = if info.native { CallConvention::Native } else { CallConvention::Leaf };
        let mut signature = Signature::new(convention);
        signature.params = info.params.iter().map(|&ty| Param::normal(ty)).collect();
        signature.results = info.result.into_iter().collect();
        let args: SmallVec<[Value; 4]> = args
            .iter()
            .zip(info.params)
            .map(|(&arg, &ty)| if ty.is_pointer_sized() { self.as_pointer(arg, ty) } else { arg })
            .collect();
        let signature = self.b.function.add_signature(signature);
        let env = self.env;
        let symbol = self.b.function.add_symbol(SymbolRef::Helper(helper as u16), || {
            if env.names_symbols() { info.name.to_string() } else { String::new() }
        });
        let results = self.b.call(signature, symbol, &args);
        if info.diverges {
            self.b.unreachable();
        }
        results
    }
    /// The symbol of the code of a canonical method.
    pub fn method_symbol(&mut self, method: MethodId) -> Symbol {
        let target = match self.env.direct_call(method) {
            DirectCall::Near(target) | DirectCall::ThroughCell(target) => target,
        };
        self.callees.insert(target, method);
        let env = self.env;
        let name = || if env.names_symbols() { env.types().method_full_name(method) } else { String::new() };
        self.b.function.add_symbol(target, name)
    }

    /// Appends the pieces of one argument. `value` is the scalar, or the address of the structure, which is readable in whole words;
    /// with `owned` the callee may change it.
    pub fn push_argument(&mut self, args: &mut SmallVec<[Value; 8]>, passed: &Passed, value: Value, owned: bool) {
        match &passed.passing {
            Passing::Nothing => {}
            Passing::Scalar(_) => args.push(value),
            Passing::Pieces(pieces) => {
                for &(ty, offset) in pieces {
                    let memory = self.piece_access(ty, offset, passed.storage);
                    let piece = self.b.load(memory, value);
                    args.push(piece);
                }
            }
            Passing::Stack => {
                let address = self.as_pointer(value, Type::Mptr);
                args.push(address);
            }
            Passing::Reference => {
                let address = if owned { value } else { self.copy_to_temporary(value, passed.storage) };
                let address = self.as_pointer(address, Type::Mptr);
                args.push(address);
            }
        }
    }
    /// A copy of a structure in a temporary of its own.
    pub fn copy_to_temporary(&mut self, source: Value, storage: Storage) -> Value {
        let Storage::Struct { size, align } = storage else { return source };
        let temporary = self.struct_temporary(size, align);
        self.b.copy_memory(temporary, source, size);
        temporary
    }
    /// The memory for a structure that a call returns by address, added to `args` where the signature wants it.
    pub fn push_result_address(&mut self, args: &mut SmallVec<[Value; 8]>, abi: &AbiSignature) -> Option<Value> {
        let Storage::Struct { size, align } = abi.result.storage else { return None };
        if abi.result.passing != Passing::Reference {
            return None;
        }
        let temporary = self.struct_temporary(size, align);
        let address = self.as_pointer(temporary, Type::Iptr);
        args.push(address);
        Some(temporary)
    }
    /// The result of a call as one value: the scalar, or the address of the structure. `None` for `void`.
    pub fn take_result(&mut self, abi: &AbiSignature, results: &[Value], result_address: Option<Value>) -> Option<Value> {
        match (&abi.result.passing, abi.result.storage) {
            (Passing::Scalar(_), _) => results.first().copied(),
            (_, Storage::Void) => None,
            (Passing::Pieces(pieces), Storage::Struct { size, align }) => {
                let temporary = self.struct_temporary(size, align);
                for (&(ty, offset), &value) in pieces.iter().zip(results) {
                    let memory = self.frame_access(Access::Full(ty), offset as i32);
                    self.b.store(memory, temporary, value);
                }
                Some(temporary)
            }
            (Passing::Nothing, Storage::Struct { size, align }) => {
                let temporary = self.struct_temporary(size, align);
                self.b.zero_memory(temporary, size);
                Some(temporary)
            }
            _ => result_address,
        }
    }
    /// Whether a call with this signature gets the result address now, before argument `index`.
    pub fn wants_result_address(&self, abi: &AbiSignature, index: usize) -> bool {
        let managed = abi.signature.convention == CallConvention::Managed;
        abi.result.passing == Passing::Reference && index == usize::from(abi.has_this && managed)
    }

    // Structures in the heap

    /// Copies a structure of type `ty`. `method_table` gives the type's, which is only asked for where a helper must do the copy.
    pub fn copy_struct(
        &mut self,
        destination: Destination,
        source: Value,
        ty: TypeId,
        size: u32,
        method_table: impl FnOnce(&mut Self) -> il::Result<Value>,
    ) -> il::Result<()> {
        if !self.types.class(ty)?.contains_references {
            self.b.copy_memory(destination.address(), source, size);
            return Ok(());
        }
        let fields = self.types.flattened_fields(ty)?;
        let packed: u32 = fields.iter().map(|(_, storage)| storage.size(self.types.layout())).sum();
        if fields.len() <= COPIED_BY_FIELD && packed <= size {
            let (object, address) = match destination {
                Destination::Object(object, address) => (object, address),
                other => (self.b.null(), other.address()),
            };
            let accesses: Vec<_> =
                fields.iter().filter_map(|&(offset, storage)| Some((offset as i32, storage_access(storage)?))).collect();
            // All loads come first: source and destination may be the same.
            let values: Vec<_> = accesses
                .iter()
                .map(|&(offset, access)| {
                    let memory = Memory { access, ..Memory::any(Type::I32) }.at(offset);
                    self.b.load(memory, source)
                })
                .collect();
            for (&(offset, access), value) in accesses.iter().zip(values) {
                let memory = Memory { access, ..Memory::any(Type::I32) }.at(offset);
                match access {
                    Access::Full(Type::Ref) => self.b.store_ref(memory, object, address, value),
                    _ => self.b.store(memory, address, value),
                }
            }
            return Ok(());
        }
        let method_table = method_table(self)?;
        self.helper(HelperId::CopyValue, &[method_table, destination.address(), source]);
        Ok(())
    }

    // Objects

    /// A new object of a class with known layout.
    pub fn allocate(&mut self, ty: TypeId, method_table: Value) -> il::Result<Value> {
        let class = self.types.class(ty)?;
        self.env.depend_on_layout(ty);
        let base_size = align_up(class.instance_size, self.abi.pointer_bytes);
        let fast = !class.has_finalizer && class.weak_offsets.is_empty() && base_size <= FAST_ALLOCATION_BYTES;
        let fast = fast
            && !self.types.may_begin_as_proxy(ty)
            && !class.header.is_abstract()
            && class.header.kind != il::types::ClassKind::Array;
        Ok(self.b.new_object(method_table, Allocation { base_size, element_size: 0, fast }))
    }

    /// `value` widened as a location of this access would give it back.
    pub fn narrow(&mut self, value: Value, access: Access) -> Value {
        if self.is_narrow(value, access) {
            return value;
        }
        match access {
            Access::I8 => self.b.sext8(value),
            Access::U8 => self.b.zext8(value),
            Access::I16 => self.b.sext16(value),
            Access::U16 => self.b.zext16(value),
            Access::Full(_) => value,
        }
    }
    /// Whether `value` certainly is what a load with this access could give.
    fn is_narrow(&self, value: Value, access: Access) -> bool {
        let Some(inst) = self.b.function.def_inst(value) else { return false };
        let instruction = &self.b.function.insts[inst];
        match (instruction.opcode, &instruction.aux) {
            (Opcode::Iconst, &Aux::Int(constant)) => match access {
                Access::I8 => i64::from(constant as i8) == constant,
                Access::U8 => i64::from(constant as u8) == constant,
                Access::I16 => i64::from(constant as i16) == constant,
                Access::U16 => i64::from(constant as u16) == constant,
                Access::Full(_) => true,
            },
            (Opcode::Load, Aux::Memory(memory)) => {
                memory.access == access || memory.access == Access::U8 && access == Access::U16
            }
            (Opcode::Icmp | Opcode::Fcmp, _) => true,
            (Opcode::Sext8, _) => matches!(access, Access::I8 | Access::I16),
            (Opcode::Zext8, _) => matches!(access, Access::U8 | Access::U16 | Access::I16),
            (Opcode::Sext16, _) => access == Access::I16,
            (Opcode::Zext16, _) => access == Access::U16,
            _ => false,
        }
    }

    /// Whether a reference or an address is null.
    pub fn is_null(&mut self, value: Value) -> Value {
        let ty = self.b.function.value_type(value);
        let zero = self.b.iconst(ty, 0);
        self.b.icmp(IntCompare::Eq, value, zero)
    }
    /// A block that collects one value.
    pub fn merge_block(&mut self, ty: Type) -> (Block, Value) {
        let block = self.new_block();
        let param = self.b.append_block_param(block, ty);
        (block, param)
    }
    /// Ends the function with its result, given as by [`Emitter::take_result`]; `result_address` is the address passed in.
    pub fn return_value(&mut self, abi: &AbiSignature, value: Option<Value>, result_address: Option<Value>) {
        let mut values: SmallVec<[Value; 2]> = smallvec![];
        match (&abi.result.passing, value) {
            (Passing::Scalar(access), Some(value)) => {
                let value = self.narrow(value, *access);
                values.push(value);
            }
            (Passing::Pieces(pieces), Some(address)) => {
                for &(ty, offset) in pieces {
                    let memory = self.piece_access(ty, offset, abi.result.storage);
                    let piece = self.b.load(memory, address);
                    values.push(piece);
                }
            }
            (Passing::Reference, Some(address)) => {
                if let (Some(destination), Storage::Struct { size, .. }) = (result_address, abi.result.storage) {
                    // The address is that of a temporary in a caller's frame.
                    self.b.copy_memory(destination, address, size);
                }
            }
            _ => {}
        }
        self.b.return_(&values);
    }
}

/// Requests whose cells are never zero, so that they can be read without a check.
fn is_never_empty(request: CellRequest) -> bool {
    matches!(request, CellRequest::MethodEntry(_) | CellRequest::InternalCall(_) | CellRequest::PlatformInvoke(_))
}

/// A name for dumps.
fn request_name(types: &TypeSystem, request: CellRequest) -> String {
    use CellRequest::*;
    match request {
        MethodTable(ty) => format!("mt {}", types.type_name(ty)),
        InitializedMethodTable(ty) => format!("initialized mt {}", types.type_name(ty)),
        Statics(ty) => format!("statics {}", types.type_name(ty)),
        ReferenceStatics(ty) => format!("reference statics {}", types.type_name(ty)),
        StaticsWithoutInitializer(ty) => format!("plain statics {}", types.type_name(ty)),
        ReferenceStaticsWithoutInitializer(ty) => format!("plain reference statics {}", types.type_name(ty)),
        String(_, offset) => format!("string {offset:#x}"),
        MethodEntry(method) => format!("entry {}", types.method_full_name(method)),
        FunctionPointer(method) => format!("pointer {}", types.method_full_name(method)),
        MethodHandle(method) => format!("handle {}", types.method_full_name(method)),
        InterfaceKey(method) => format!("key {}", types.method_full_name(method)),
        MethodDictionary(method) => format!("dictionary {}", types.method_full_name(method)),
        InternalCall(method) => format!("icall {}", types.method_full_name(method)),
        PlatformInvoke(method) => format!("pinvoke {}", types.method_full_name(method)),
        FieldHandle(field) => format!("field handle {}", types.field_name(field)),
        FieldData(field) => format!("field data {}", types.field_name(field)),
        TypeHandle(ty) => format!("type handle {}", types.type_name(ty)),
        TypeObject(ty) => format!("typeof {}", types.type_name(ty)),
        GenericLookup(number) => format!("lookup {number}"),
        DeferredError(number) => format!("error {number}"),
    }
}
