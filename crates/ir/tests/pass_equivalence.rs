//! Runs random functions through random passes and compares what the interpreter makes of them before and after.

mod common;

use common::add_helpers;
use ir::function::{StackSlotData, SymbolRef};
use ir::instruction::{Alias, Aux, BlockCall, Instruction, IntCompare, Memory, MemoryFlags, Opcode};
use ir::interpreter::{FlatHost, World, interpret};
use ir::legalize::LegalizeOptions;
use ir::pass_manager::{Pass, PassContext};
use ir::passes::{PASSES, PIPELINE};
use ir::signature::{CallConvention, Param, Signature};
use ir::types::{Access, Type};
use ir::verify::verify;
use ir::{Block, Function, SigRef, StackSlot, Symbol, Value};

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

const OBJECT_BYTES: u64 = 64;
const LOCALS: usize = 4;
/// Structures of four `i32`.
const STRUCTURES: usize = 3;
const BINARY: &[Opcode] = &[
    Opcode::Iadd,
    Opcode::Isub,
    Opcode::Imul,
    Opcode::Iand,
    Opcode::Ior,
    Opcode::Ixor,
    Opcode::Sdiv,
    Opcode::Udiv,
    Opcode::Srem,
    Opcode::Urem,
    Opcode::SaddOverflow,
    Opcode::UsubOverflow,
    Opcode::SmulHigh,
    Opcode::UmulHigh,
];
const SHIFTS: &[Opcode] = &[Opcode::Ishl, Opcode::Sshr, Opcode::Ushr, Opcode::Rotl];
const UNARY: &[Opcode] =
    &[Opcode::Ineg, Opcode::Inot, Opcode::Sext8, Opcode::Zext8, Opcode::Sext16, Opcode::Zext16, Opcode::Clz, Opcode::Popcnt];
const CONSTANTS: &[i64] =
    &[0, 1, -1, 2, 3, 4, 5, 7, 8, 10, 16, 31, 100, 255, 256, 1000, 65535, -2, -3, -8, i32::MAX as i64, i32::MIN as i64];

/// Builds a function `(ref object, ref or null, i32, i32) -> i32`, statement by statement; all variables are stack slots.
struct Builder {
    random: Random,
    function: Function,
    block: Block,
    params: Vec<Value>,
    locals: Vec<StackSlot>,
    structures: Vec<StackSlot>,
    call: (Symbol, SigRef),
}

impl Builder {
    fn new(seed: u64, pointer_bytes: u32) -> Builder {
        let mut signature = Signature::new(CallConvention::Managed);
        signature.params.extend([Type::Ref, Type::Ref, Type::I32, Type::I32].map(Param::normal));
        signature.results.push(Type::I32);
        let mut function = Function::new("random", pointer_bytes, signature);
        let mut callee = Signature::new(CallConvention::Managed);
        callee.params.push(Param::normal(Type::I32));
        callee.results.push(Type::I32);
        let call = (function.add_symbol(SymbolRef::Method(7), || "Callee".into()), function.add_signature(callee));
        let block = function.add_block();
        let params = [Type::Ref, Type::Ref, Type::I32, Type::I32].map(|ty| function.add_block_param(block, ty)).to_vec();
        let mut slot = |size| function.slots.push(StackSlotData { size, align: 8, in_handler: false });
        let locals = (0..LOCALS).map(|_| slot(8)).collect();
        let structures = (0..STRUCTURES).map(|_| slot(16)).collect();
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut builder = Builder { random, function, block, params, locals, structures, call };
        for index in 0..LOCALS + STRUCTURES {
            let (slot, bytes) =
                if index < LOCALS { (builder.locals[index], 8) } else { (builder.structures[index - LOCALS], 16) };
            let address = builder.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(slot, 0));
            builder.effect(Opcode::ZeroMemory, &[address], Aux::Int(bytes));
        }
        builder
    }
    fn emit(&mut self, opcode: Opcode, ty: Type, args: &[Value], aux: Aux) -> Value {
        let inst = self.function.append(self.block, Instruction::new(opcode, ty, args, aux));
        self.function.result(inst)
    }
    fn effect(&mut self, opcode: Opcode, args: &[Value], aux: Aux) {
        self.function.append(self.block, Instruction::new(opcode, Type::I32, args, aux));
    }
    fn constant(&mut self, value: i64) -> Value {
        self.emit(Opcode::Iconst, Type::I32, &[], Aux::Int(value))
    }
    /// An address with an access to it, for an `i32`.
    fn place(&mut self) -> (Value, Memory) {
        let narrow = [Access::I8, Access::U8, Access::I16, Access::U16, Access::Full(Type::I32), Access::Full(Type::I32)];
        match self.random.below(8) {
            0..=3 => {
                let slot = self.random.pick(&self.locals.clone());
                let address = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(slot, 0));
                (address, Memory { access: Access::Full(Type::I32), offset: 0, flags: MemoryFlags::NO_TRAP, alias: Alias::Stack })
            }
            4 | 5 => {
                let slot = self.random.pick(&self.structures.clone());
                let offset = self.random.below(4) as i32 * 4;
                let address = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(slot, offset));
                (address, Memory { access: Access::Full(Type::I32), offset: 0, flags: MemoryFlags::NO_TRAP, alias: Alias::Stack })
            }
            6 => {
                let field = self.random.below(4) as u32;
                let access = self.random.pick(&narrow);
                let object = self.params[usize::from(self.random.below(4) == 0)];
                (
                    object,
                    Memory { access, offset: 16 + field as i32 * 8, flags: MemoryFlags::empty(), alias: Alias::Field(field) },
                )
            }
            _ => {
                let added = self.emit(Opcode::Iconst, Type::Iptr, &[], Aux::Int(8));
                let object = self.params[0];
                let address = self.emit(Opcode::Iadd, Type::Mptr, &[object, added], Aux::None);
                (
                    address,
                    Memory { access: Access::Full(Type::I32), offset: 48, flags: MemoryFlags::NO_TRAP, alias: Alias::Field(9) },
                )
            }
        }
    }
    fn expression(&mut self, depth: u32) -> Value {
        match if depth == 0 { self.random.below(4) } else { self.random.below(12) } {
            0 => {
                let value = self.random.pick(CONSTANTS);
                self.constant(value)
            }
            1 => self.params[2 + self.random.below(2) as usize],
            2 | 3 => {
                let (address, memory) = self.place();
                self.emit(Opcode::Load, Type::I32, &[address], Aux::Memory(memory))
            }
            4..=6 => {
                let (a, b) = (self.expression(depth - 1), self.expression(depth - 1));
                let opcode = self.random.pick(BINARY);
                self.emit(opcode, Type::I32, &[a, b], Aux::None)
            }
            7 => {
                let (a, b) = (self.expression(depth - 1), self.expression(depth - 1));
                let opcode = self.random.pick(SHIFTS);
                self.emit(opcode, Type::I32, &[a, b], Aux::None)
            }
            8 => {
                let a = self.expression(depth - 1);
                let opcode = self.random.pick(UNARY);
                self.emit(opcode, Type::I32, &[a], Aux::None)
            }
            9 => self.condition(depth - 1),
            10 => {
                let (condition, a, b) = (self.condition(depth - 1), self.expression(depth - 1), self.expression(depth - 1));
                self.emit(Opcode::Select, Type::I32, &[condition, a, b], Aux::None)
            }
            _ => {
                let (a, b) = (self.wide(depth - 1), self.wide(depth - 1));
                if self.random.below(4) == 0 {
                    let compare = self.random.pick(&IntCompare::ALL);
                    return self.emit(Opcode::Icmp, Type::I32, &[a, b], Aux::IntCompare(compare));
                }
                let opcode = self.random.pick(BINARY);
                let wide = self.emit(opcode, Type::I64, &[a, b], Aux::None);
                let amount = self.random.pick(&[0, 1, 31, 32, 40]);
                let amount = self.constant(amount);
                let shifted = self.emit(Opcode::Ushr, Type::I64, &[wide, amount], Aux::None);
                self.emit(Opcode::Trunc, Type::I32, &[shifted], Aux::None)
            }
        }
    }
    /// An `i64`.
    fn wide(&mut self, depth: u32) -> Value {
        let narrow = self.expression(depth);
        let extend = self.random.pick(&[Opcode::Sext, Opcode::Zext]);
        let wide = self.emit(extend, Type::I64, &[narrow], Aux::None);
        if self.random.below(2) == 0 {
            return wide;
        }
        let opcode = self.random.pick(SHIFTS);
        let amount = self.expression(depth);
        self.emit(opcode, Type::I64, &[wide, amount], Aux::None)
    }
    fn condition(&mut self, depth: u32) -> Value {
        let (a, b) = (self.expression(depth), self.expression(depth));
        let compare = self.random.pick(&IntCompare::ALL);
        self.emit(Opcode::Icmp, Type::I32, &[a, b], Aux::IntCompare(compare))
    }
    fn jump(&mut self, target: Block) {
        self.effect(Opcode::Jump, &[], Aux::Targets(vec![BlockCall { block: target, args: Default::default() }]));
    }
    fn branch(&mut self, condition: Value, taken: Block, other: Block) {
        let targets = [taken, other].map(|block| BlockCall { block, args: Default::default() }).to_vec();
        self.effect(Opcode::Brif, &[condition], Aux::Targets(targets));
    }
    fn store(&mut self, value: Value) {
        let (address, memory) = self.place();
        self.effect(Opcode::Store, &[address, value], Aux::Memory(memory));
    }
    fn statement(&mut self, depth: u32) {
        match self.random.below(if depth == 0 { 8 } else { 11 }) {
            0..=3 => {
                let value = self.expression(2);
                self.store(value);
            }
            4 => {
                let (to, from) = (self.random.pick(&self.structures.clone()), self.random.pick(&self.structures.clone()));
                let to = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(to, 0));
                let from = match self.random.below(4) {
                    0 => self.params[0],
                    _ => self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(from, 0)),
                };
                let (to, from) =
                    if self.random.below(5) == 0 && from != self.params[0] { (self.params[0], from) } else { (to, from) };
                self.effect(Opcode::CopyMemory, &[to, from], Aux::Int(16));
            }
            5 => {
                let argument = self.expression(1);
                let (callee, signature) = self.call;
                let value = self.emit(Opcode::Call, Type::I32, &[argument], Aux::Call { signature, callee });
                self.store(value);
            }
            6 => {
                let index = self.expression(1);
                let length = self.constant(1000);
                self.effect(Opcode::BoundsCheck, &[index, length], Aux::None);
            }
            7 => {
                let object = self.params[self.random.below(2) as usize];
                self.effect(Opcode::NullCheck, &[object], Aux::None);
            }
            8 | 9 => {
                let condition = self.condition(1);
                let (taken, other, join) = (self.function.add_block(), self.function.add_block(), self.function.add_block());
                self.branch(condition, taken, other);
                for block in [taken, other] {
                    self.block = block;
                    for _ in 0..self.random.below(3) {
                        self.statement(depth - 1);
                    }
                    self.jump(join);
                }
                self.block = join;
            }
            _ => self.counted_loop(depth),
        }
    }
    fn counted_loop(&mut self, depth: u32) {
        let counter = self.function.slots.push(StackSlotData { size: 4, align: 4, in_handler: false });
        let memory =
            Aux::Memory(Memory { access: Access::Full(Type::I32), offset: 0, flags: MemoryFlags::NO_TRAP, alias: Alias::Stack });
        let (head, body, exit) = (self.function.add_block(), self.function.add_block(), self.function.add_block());
        let down = self.random.below(3) == 0;
        let first = self.random.below(3) as i64 + if down { 4 } else { -1 };
        let first = self.constant(first);
        let address = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(counter, 0));
        self.effect(Opcode::Store, &[address, first], memory.clone());
        self.jump(head);
        self.block = head;
        let address = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(counter, 0));
        let value = self.emit(Opcode::Load, Type::I32, &[address], memory.clone());
        let limit = self.constant(if down { 0 } else { 5 });
        let compare = if down { IntCompare::Sge } else { self.random.pick(&[IntCompare::Slt, IntCompare::Sle]) };
        let condition = self.emit(Opcode::Icmp, Type::I32, &[value, limit], Aux::IntCompare(compare));
        self.branch(condition, body, exit);
        self.block = body;
        if self.random.below(2) == 0 {
            let added = self.random.below(3) as i64 - 1;
            let added = self.constant(added);
            let index = self.emit(Opcode::Iadd, Type::I32, &[value, added], Aux::None);
            let length = self.random.below(4) as i64 + 3;
            let length = self.constant(length);
            self.effect(Opcode::BoundsCheck, &[index, length], Aux::None);
        }
        for _ in 0..1 + self.random.below(3) {
            self.statement(depth - 1);
        }
        let step = self.constant(if down { -1 } else { 1 });
        let address = self.emit(Opcode::StackAddr, Type::Mptr, &[], Aux::Slot(counter, 0));
        let value = self.emit(Opcode::Load, Type::I32, &[address], memory.clone());
        let value = self.emit(Opcode::Iadd, Type::I32, &[value, step], Aux::None);
        self.effect(Opcode::Store, &[address, value], memory);
        self.jump(head);
        self.block = exit;
    }
    fn build(mut self) -> Function {
        for _ in 0..3 + self.random.below(8) {
            self.statement(3);
        }
        let value = self.expression(2);
        self.effect(Opcode::Return, &[value], Aux::None);
        self.function
    }
}

/// Everything that can be seen of an execution.
fn observe(function: &Function, null: bool, numbers: [i64; 2]) -> String {
    let mut host = FlatHost::new();
    add_helpers(&mut host, &LegalizeOptions::for_tests());
    let object = host.allocate(OBJECT_BYTES).expect("the heap is empty");
    for offset in 0..OBJECT_BYTES {
        host.write(object + offset, &[offset as u8 ^ 0x95]);
    }
    let other = if null { 0 } else { object };
    let args = [object.into(), other.into(), numbers[0] as u64 as u128, numbers[1] as u64 as u128];
    let mut steps = 100_000;
    let result = interpret(function, &mut host, &args, &mut steps);
    let mut memory = [0; OBJECT_BYTES as usize];
    host.read(object, &mut memory);
    format!("{result:?}\n{memory:?}\n{:?}", host.calls)
}

fn check(seed: u64) {
    // With pointers of 4 bytes, legalisation is one of the passes that change something.
    let pointer_bytes = if seed % 3 == 0 { 4 } else { 8 };
    let legalize = LegalizeOptions::for_tests();
    let original = Builder::new(seed, pointer_bytes).build();
    verify(&original).unwrap_or_else(|errors| panic!("seed {seed}: {errors}\n{original}"));
    let mut random = Random(seed.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
    let passes: Vec<&Pass> = match seed % 4 {
        0 => PIPELINE.iter().copied().filter(|pass| pass.name != "expand").collect(),
        1 => vec![PASSES[random.below(PASSES.len() as u64) as usize]],
        _ => {
            let promoted = ["scalar-replacement", "copy-propagation"].map(|name| ir::pass_manager::find_pass(name).unwrap());
            let rest = (0..random.below(12)).map(|_| PASSES[random.below(PASSES.len() as u64) as usize]);
            promoted.into_iter().chain(rest).collect()
        }
    };
    let inputs: Vec<(bool, [i64; 2])> =
        (0..4).map(|index| (index == 3, [random.pick(CONSTANTS), random.pick(CONSTANTS)])).collect();
    let expected: Vec<String> = inputs.iter().map(|&(null, numbers)| observe(&original, null, numbers)).collect();
    let mut function = original.clone();
    let mut context = PassContext { legalize: Some(&legalize), ..PassContext::default() };
    for pass in &passes {
        let before = function.to_string();
        // As the pass manager does: what a pass says of itself must be true.
        if (pass.run)(&mut function, &mut context) {
            context.scratch.control_flow.invalidate();
        }
        verify(&function)
            .unwrap_or_else(|errors| panic!("seed {seed}, {}: {errors}\nbefore:\n{before}\nafter:\n{function}", pass.name));
        for (&(null, numbers), expected) in inputs.iter().zip(&expected) {
            let actual = observe(&function, null, numbers);
            assert!(
                actual == *expected,
                "seed {seed}, {}, {numbers:?}:\n{expected}\nbut\n{actual}\nbefore:\n{before}\nafter:\n{function}",
                pass.name
            );
        }
    }
}

#[test]
fn passes_keep_the_meaning() {
    let count = std::env::var("PASS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    (1..=count).for_each(check);
}

/// Prints what the pipeline costs: `cargo test --release -p ir --test pass_equivalence -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn pipeline_cost() {
    let functions: Vec<Function> = (1..=500).map(|seed| Builder::new(seed, 8).build()).collect();
    let size = |function: &Function| function.layout.iter().map(|&block| function.blocks[block].insts.len()).sum::<usize>();
    let instructions: usize = functions.iter().map(size).sum();
    let mut context = PassContext::default();
    let options = ir::pass_manager::PassOptions { verify: false, time_passes: true, ..Default::default() };
    let manager = ir::pass_manager::PassManager::new(options, Box::new(std::io::sink()));
    for mut function in functions {
        manager.run(&mut function, &mut context).expect("the pipeline keeps functions valid");
    }
    println!("{instructions} instructions\n{}", context.report);
}
