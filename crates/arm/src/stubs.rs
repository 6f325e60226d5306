//! The small pieces of code that the runtime asks for: entries, exits, thunks and dispatchers.
//!
//! Each is a fixed sequence. What they have in common with compiled code is the convention (`convention`), the pinned thread
//! register r10 and the frame-pointer chain. Only ip is free in all of them, so a thunk's token travels on the stack.

use crate::convention::{Location, call_layout};
use crate::encoding::{
    Address, ArmEncoding, BlockMode, Condition, DataOp, FloatSize, Indexing, ModifiedImmediate, Offset, Operand2, Shift,
    Transfer, blx, bx, compare, constant, data, float_load_many, float_pop, float_push, float_store, jump_through_cell,
    load_cell, load_many, mov, pop, push, put_branch, symbol_address, transfer,
};
use crate::frame::add_constant;
use crate::registers::{CONTEXT, DWARF_D0, FP, IP, KEY, LR, PC, R0, R1, R2, R3, SP, THREAD};
use ir::function::SymbolRef;
use ir::mach::buffer::{Label, MachBuffer};
use ir::mach::registers::PReg;
use ir::mach::{CallbackLayout, CodegenError, CodegenOptions, CompiledCode, FrameInfo, Reloc, RelocKind, Stub, StubKind};
use ir::signature::Signature;

/// Registers that native code expects to be saved, with r3 for alignment: r3 to r10, below the pushed frame pointer.
const NATIVE_SAVED: u16 = 0x07f8;
/// Bytes that [`NATIVE_SAVED`] and d8 to d15 take.
const NATIVE_SAVED_BYTES: u32 = 8 * 4 + 8 * 8;
/// The prologue that saves them: after the push, the move, and two more pushes.
const NATIVE_PROLOGUE: [u32; 3] = [4, 8, 16];

/// r0 to r3.
const INTEGER_ARGUMENTS: u16 = 0x000f;
/// Integer argument registers in the array that `EnterManaged` reads; context and key follow.
const INTEGER_ARGUMENT_COUNT: i32 = 4;
/// Float argument registers.
const FLOAT_ARGUMENT_COUNT: u8 = 8;

/// A sequence under construction.
struct Sequence {
    buffer: MachBuffer<ArmEncoding>,
    returns: Option<Label>,
    epilogue: Option<Label>,
}

impl Sequence {
    fn new() -> Sequence {
        Sequence { buffer: MachBuffer::new(), returns: None, epilogue: None }
    }
    fn put(&mut self, word: u32) {
        self.buffer.put4(word);
    }
    fn load(&mut self, register: PReg, base: PReg, offset: i32) {
        self.put(transfer(Condition::Al, Transfer::Ldr, register.number(), Address::at(base.number(), offset)));
    }
    fn store(&mut self, register: PReg, base: PReg, offset: i32) {
        self.put(transfer(Condition::Al, Transfer::Str, register.number(), Address::at(base.number(), offset)));
    }
    fn copy(&mut self, destination: PReg, source: PReg) {
        self.put(mov(Condition::Al, destination.number(), Operand2::Register(source.number())));
    }
    fn add(&mut self, destination: PReg, source: PReg, value: i32) {
        add_constant(&mut self.buffer, destination.number(), source.number(), value);
    }
    fn push(&mut self, registers: u16) {
        self.put(push(Condition::Al, registers));
    }
    fn pop(&mut self, registers: u16) {
        self.put(pop(Condition::Al, registers));
    }
    /// Stores a register to a new place of `bytes` at the stack pointer.
    fn push_wide(&mut self, register: PReg, bytes: i32) {
        let address = Address { base: SP.number(), offset: Offset::Constant(-bytes), indexing: Indexing::Before };
        self.put(transfer(Condition::Al, Transfer::Str, register.number(), address));
    }
    /// Undoes it.
    fn pop_wide(&mut self, register: PReg, bytes: i32) {
        let address = Address { base: SP.number(), offset: Offset::Constant(bytes), indexing: Indexing::After };
        self.put(transfer(Condition::Al, Transfer::Ldr, register.number(), address));
    }
    fn jump_through(&mut self, target: SymbolRef) {
        jump_through_cell(&mut self.buffer, IP.number(), target);
    }
    /// Begins a frame that saves all that native code expects to be saved.
    fn save_native(&mut self) {
        self.push(bit(FP) | bit(LR));
        self.copy(FP, SP);
        self.push(NATIVE_SAVED);
        self.put(float_push(Condition::Al, FloatSize::F64, 8, 8));
    }
    /// Ends it and returns.
    fn restore_native(&mut self) {
        self.put(float_pop(Condition::Al, FloatSize::F64, 8, 8));
        self.pop(NATIVE_SAVED | bit(FP) | bit(PC));
    }
    /// The call that was just written is the one that the stack walker knows the stub by.
    fn returns_here(&mut self) {
        self.buffer.call_site();
        self.returns = Some(self.buffer.bind_new());
    }
    /// The code, and the offset by which the stack walker knows it.
    fn finish(self, mut frame: FrameInfo) -> (CompiledCode, u32) {
        // All labels are bound and all constants near: each sequence is fixed.
        let finished = self.buffer.finish();
        debug_assert!(finished.is_ok());
        let Ok(finished) = finished else { return Default::default() };
        let offset = |label: Option<Label>| label.map(|label| finished.label_offset(label));
        frame.epilogues.extend(offset(self.epilogue));
        let return_offset = offset(self.returns).unwrap_or(0);
        (CompiledCode { frame, ..finished.code }, return_offset)
    }
}

fn bit(register: PReg) -> u16 {
    1 << register.number()
}

/// Code of a stub.
pub fn stub(kind: StubKind, options: &CodegenOptions) -> Stub {
    let mut sequence = Sequence::new();
    let frame = match kind {
        StubKind::EnterManaged => enter_managed(&mut sequence, options),
        StubKind::Resolve { helper } => resolve(&mut sequence, options, helper),
        StubKind::Land => land(&mut sequence),
        StubKind::RunFilter { filter_sp } => run_filter(&mut sequence, filter_sp),
        StubKind::WithContext { context, target } => with_context(&mut sequence, context, target),
        StubKind::Unbox { payload, context_from_object, target } => unbox(&mut sequence, payload, context_from_object, target),
        StubKind::Import { cell, resolve } => import(&mut sequence, cell, resolve),
        StubKind::Publish { helper } => publish(&mut sequence, options, helper),
        StubKind::InvokeClosed { code, target } => invoke_closed(&mut sequence, code, target),
        StubKind::Callback { helper } => callback(&mut sequence, helper),
        StubKind::EndFilter { filter_sp } => end_filter(&mut sequence, filter_sp),
    };
    let (code, return_offset) = sequence.finish(frame);
    Stub { code, return_offset }
}

/// The frame of a stub that begins with [`Sequence::save_native`] and then takes `more` bytes.
fn frame_with_saves(more: u32) -> FrameInfo {
    let integers = (0..7).map(|index| (10 - index, -4 * (i32::from(index) + 1)));
    let floats = (0..8).map(|index| (DWARF_D0 + 8 + index, 8 * i32::from(index) - NATIVE_SAVED_BYTES as i32));
    FrameInfo {
        frame_size: NATIVE_SAVED_BYTES + more,
        saved_registers: integers.chain(floats).collect(),
        prologue: NATIVE_PROLOGUE,
        ..FrameInfo::default()
    }
}

fn enter_managed(sequence: &mut Sequence, options: &CodegenOptions) -> FrameInfo {
    /// Offsets of arguments from the frame pointer.
    const STACK_ARGUMENTS: i32 = 8;
    const STACK_WORDS: i32 = 12;
    const RESULTS: i32 = 16;
    let always = Condition::Al;
    let one = Operand2::Immediate(ModifiedImmediate::ONE);
    let [r4, r5, r6] = [4, 5, 6].map(PReg::int);
    sequence.save_native();
    sequence.load(IP, R1, options.thread.last_managed_sp);
    sequence.load(LR, R1, options.thread.last_managed_pc);
    sequence.push(bit(IP) | bit(LR));
    sequence.copy(THREAD, R1);

    // Copies the stack arguments, the last one first, to room of a multiple of 8 bytes.
    sequence.load(r4, FP, STACK_ARGUMENTS);
    sequence.load(r5, FP, STACK_WORDS);
    sequence.add(r6, r5, 1);
    sequence.put(data(always, DataOp::Bic, false, r6.number(), r6.number(), one));
    sequence.put(data(always, DataOp::Sub, false, SP.number(), SP.number(), Operand2::Shifted(r6.number(), Shift::Lsl, 2)));
    let copied = sequence.buffer.new_label();
    let next = sequence.buffer.bind_new();
    sequence.put(data(always, DataOp::Sub, true, r5.number(), r5.number(), one));
    put_branch(&mut sequence.buffer, Condition::Mi, copied);
    sequence.put(transfer(always, Transfer::Ldr, r6.number(), Address::indexed(r4.number(), r5.number(), 2)));
    sequence.put(transfer(always, Transfer::Str, r6.number(), Address::indexed(SP.number(), r5.number(), 2)));
    put_branch(&mut sequence.buffer, always, next);
    sequence.buffer.bind(copied);

    sequence.copy(IP, R0);
    let increment = BlockMode::IncrementAfter;
    sequence.put(float_load_many(always, increment, FloatSize::F64, R3.number(), false, 0, FLOAT_ARGUMENT_COUNT));
    sequence.load(CONTEXT, R2, 4 * INTEGER_ARGUMENT_COUNT);
    sequence.load(KEY, R2, 4 * INTEGER_ARGUMENT_COUNT + 4);
    sequence.put(load_many(always, increment, R2.number(), false, INTEGER_ARGUMENTS));
    sequence.put(blx(always, IP.number()));
    sequence.returns_here();

    // An exception that leaves managed code lands here too, with frame and stack pointer alone.
    sequence.load(r4, FP, RESULTS);
    sequence.put(constant(always, IP.number(), 0)[0]);
    sequence.store(R0, r4, 0);
    sequence.store(IP, r4, 4);
    sequence.store(R1, r4, 8);
    sequence.store(IP, r4, 12);
    sequence.put(float_store(always, FloatSize::F64, 0, r4.number(), 16));
    sequence.put(float_store(always, FloatSize::F64, 1, r4.number(), 24));
    sequence.add(SP, FP, -(NATIVE_SAVED_BYTES as i32 + 8));
    sequence.pop(bit(IP) | bit(LR));
    sequence.store(IP, THREAD, options.thread.last_managed_sp);
    sequence.store(LR, THREAD, options.thread.last_managed_pc);
    sequence.restore_native();
    frame_with_saves(8)
}

fn resolve(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    let always = Condition::Al;
    // The thunk pushed its token.
    sequence.pop(bit(IP));
    sequence.push(bit(FP) | bit(LR));
    sequence.copy(FP, SP);
    sequence.put(float_push(always, FloatSize::F64, 0, FLOAT_ARGUMENT_COUNT));
    // Key, context, r0: `SavedArguments`.
    sequence.push(INTEGER_ARGUMENTS);
    sequence.push(bit(KEY) | bit(CONTEXT));
    let prologue = sequence.buffer.raw_offset();
    sequence.copy(R0, THREAD);
    sequence.copy(R1, IP);
    sequence.copy(R2, SP);
    load_cell(&mut sequence.buffer, IP.number(), SymbolRef::Helper(helper), 0);
    sequence.store(SP, THREAD, options.thread.last_managed_sp);
    // pc reads as 8 bytes ahead, and the call ends 12 bytes after the start of this instruction.
    sequence.add(LR, PC, 4);
    sequence.store(LR, THREAD, options.thread.last_managed_pc);
    sequence.put(blx(always, IP.number()));
    sequence.returns_here();
    sequence.copy(IP, R0);
    sequence.pop(bit(KEY) | bit(CONTEXT));
    sequence.pop(INTEGER_ARGUMENTS);
    sequence.put(float_pop(always, FloatSize::F64, 0, FLOAT_ARGUMENT_COUNT));
    sequence.pop(bit(FP) | bit(LR));
    sequence.epilogue = Some(sequence.buffer.bind_new());
    sequence.put(bx(always, IP.number()));
    FrameInfo {
        frame_size: 2 * 4 + 4 * 4 + 8 * u32::from(FLOAT_ARGUMENT_COUNT),
        prologue: [8, 12, prologue],
        ..FrameInfo::default()
    }
}

/// The area of a callback: r0 to r3, d0 to d7, for arguments and then for results.
const CALLBACK_FLOATS: u32 = 4 * INTEGER_ARGUMENT_COUNT as u32;
const CALLBACK_AREA: u32 = CALLBACK_FLOATS + 8 * FLOAT_ARGUMENT_COUNT as u32;

/// Where a callback's stub keeps what `signature` passes.
pub fn callback_layout(signature: &Signature) -> Result<CallbackLayout, CodegenError> {
    let layout = call_layout(signature)?;
    let place = |location: &Location| match *location {
        Location::General(register) => 4 * u32::from(register),
        Location::Double(register) => CALLBACK_FLOATS + 8 * u32::from(register),
        Location::UpperSingle(register) => CALLBACK_FLOATS + 8 * u32::from(register) + 4,
        // Above the area are the frame pointer and the return address.
        Location::Stack(offset) => CALLBACK_AREA + 8 + offset,
    };
    Ok(CallbackLayout {
        params: layout.params.iter().map(place).collect(),
        results: layout.results.iter().map(place).collect(),
        struct_return: 0,
        ending: 0,
    })
}

fn callback(sequence: &mut Sequence, helper: u16) -> FrameInfo {
    let always = Condition::Al;
    // The thunk pushed its token.
    sequence.pop(bit(IP));
    sequence.push(bit(FP) | bit(LR));
    sequence.copy(FP, SP);
    sequence.put(float_push(always, FloatSize::F64, 0, FLOAT_ARGUMENT_COUNT));
    sequence.push(INTEGER_ARGUMENTS);
    let prologue = sequence.buffer.raw_offset();
    sequence.copy(R0, IP);
    sequence.copy(R1, SP);
    load_cell(&mut sequence.buffer, IP.number(), SymbolRef::Helper(helper), 0);
    sequence.put(blx(always, IP.number()));
    sequence.returns_here();
    sequence.pop(INTEGER_ARGUMENTS);
    sequence.put(float_pop(always, FloatSize::F64, 0, FLOAT_ARGUMENT_COUNT));
    sequence.pop(bit(FP) | bit(PC));
    FrameInfo { frame_size: CALLBACK_AREA, prologue: [8, 12, prologue], ..FrameInfo::default() }
}

/// Offsets in `LandingContext`.
const LANDING_PC: i32 = 0;
const LANDING_FP: i32 = 4;
const LANDING_SP: i32 = 8;
const LANDING_EXCEPTION: i32 = 12;

fn land(sequence: &mut Sequence) -> FrameInfo {
    sequence.copy(THREAD, R0);
    sequence.load(R0, R1, LANDING_EXCEPTION);
    sequence.load(FP, R1, LANDING_FP);
    sequence.load(SP, R1, LANDING_SP);
    sequence.load(PC, R1, LANDING_PC);
    FrameInfo::default()
}

fn run_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    sequence.save_native();
    sequence.copy(THREAD, R0);
    sequence.load(IP, THREAD, filter_sp);
    sequence.push_wide(IP, 8);
    sequence.store(SP, THREAD, filter_sp);
    sequence.load(R0, R1, LANDING_EXCEPTION);
    sequence.load(R2, R1, LANDING_SP);
    sequence.load(FP, R1, LANDING_FP);
    // The function's frame pointer lies above its outgoing arguments, then a word for alignment.
    sequence.push_wide(FP, 8);
    sequence.put(data(Condition::Al, DataOp::Sub, false, SP.number(), SP.number(), Operand2::Register(R2.number())));
    // A filter does not return here but goes to `EndFilter`.
    sequence.load(PC, R1, LANDING_PC);
    frame_with_saves(8)
}

/// The verdict stays in r0.
fn end_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    sequence.load(SP, THREAD, filter_sp);
    sequence.pop_wide(IP, 8);
    sequence.store(IP, THREAD, filter_sp);
    sequence.restore_native();
    FrameInfo::default()
}

fn with_context(sequence: &mut Sequence, context: SymbolRef, target: SymbolRef) -> FrameInfo {
    load_cell(&mut sequence.buffer, CONTEXT.number(), context, 0);
    sequence.jump_through(target);
    FrameInfo::default()
}

fn unbox(sequence: &mut Sequence, payload: i32, context_from_object: bool, target: SymbolRef) -> FrameInfo {
    if context_from_object {
        sequence.load(CONTEXT, R0, 0);
    }
    sequence.add(R0, R0, payload);
    sequence.jump_through(target);
    FrameInfo::default()
}

fn import(sequence: &mut Sequence, cell: SymbolRef, resolve: u16) -> FrameInfo {
    let zero = Operand2::Immediate(ModifiedImmediate::ZERO);
    load_cell(&mut sequence.buffer, IP.number(), cell, 0);
    sequence.put(compare(Condition::Al, DataOp::Cmp, IP.number(), zero));
    sequence.put(bx(Condition::Ne, IP.number()));
    symbol_address(&mut sequence.buffer, IP.number(), cell, 0);
    sequence.push(bit(IP));
    sequence.jump_through(SymbolRef::Helper(resolve));
    FrameInfo::default()
}

/// As if the caller had called the helper itself.
fn publish(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    sequence.store(SP, THREAD, options.thread.last_managed_sp);
    sequence.store(LR, THREAD, options.thread.last_managed_pc);
    sequence.jump_through(SymbolRef::Helper(helper));
    FrameInfo::default()
}

fn invoke_closed(sequence: &mut Sequence, code: i32, target: i32) -> FrameInfo {
    sequence.load(IP, R0, code);
    sequence.load(R0, R0, target);
    sequence.put(bx(Condition::Al, IP.number()));
    FrameInfo::default()
}

/// Pushes `token` and jumps through the cell.
pub fn thunk(token: u64, stub_cell: SymbolRef) -> CompiledCode {
    let mut sequence = Sequence::new();
    load_word(&mut sequence, IP, token);
    sequence.push(bit(IP));
    sequence.jump_through(stub_cell);
    sequence.finish(FrameInfo::default()).0
}

/// Jumps by a distance that lies behind the code.
pub fn veneer(target: SymbolRef) -> CompiledCode {
    /// From the distance's place to where pc points when it is added.
    const ANCHOR: i32 = 4;
    let always = Condition::Al;
    let code = [
        transfer(always, Transfer::Ldr, IP.number(), Address::at(PC.number(), 0)),
        data(always, DataOp::Add, false, PC.number(), PC.number(), Operand2::Register(IP.number())),
    ];
    let mut bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    let offset = bytes.len() as u32;
    bytes.extend_from_slice(&[0; 4]);
    let reloc = Reloc { offset, kind: RelocKind::ArmPoolRelative32, target, addend: -ANCHOR };
    CompiledCode { bytes, align: 4, code_len: offset, relocs: vec![reloc], ..CompiledCode::default() }
}

/// Compares the key register with each key.
pub fn dispatch(entries: &[(u64, SymbolRef)], miss: SymbolRef) -> CompiledCode {
    let mut sequence = Sequence::new();
    for &(key, target) in entries {
        let next = sequence.buffer.new_label();
        load_word(&mut sequence, IP, key);
        sequence.put(compare(Condition::Al, DataOp::Cmp, KEY.number(), Operand2::Register(IP.number())));
        put_branch(&mut sequence.buffer, Condition::Ne, next);
        sequence.jump_through(target);
        sequence.buffer.bind(next);
    }
    sequence.jump_through(miss);
    sequence.finish(FrameInfo::default()).0
}

/// Words of this machine have 32 bits; the upper half is zero or the sign.
fn load_word(sequence: &mut Sequence, register: PReg, value: u64) {
    for word in constant(Condition::Al, register.number(), value as u32) {
        sequence.put(word);
    }
}
