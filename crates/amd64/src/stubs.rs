//! The small pieces of code that the runtime asks for: entries, exits, thunks and dispatchers.
//!
//! Each is a fixed sequence. What they have in common with compiled code is the convention (`convention`), the pinned thread
//! register r15 and the frame-pointer chain.

use crate::convention::{INTEGER_ARGUMENTS, call_layout};
use crate::registers::DWARF_CALLEE_SAVED;
use dynasmrt::{DynasmApi, dynasm};
use ir::function::SymbolRef;
use ir::mach::{CallbackLayout, CodegenError, CodegenOptions, CompiledCode, FrameInfo, Resolvers, Stub, StubKind};
use ir::signature::Signature;
use x86::family::convention::Location;
use x86::family::encoding::Sink;
use x86::family::sequence::Sequence;

/// Numbers of r10 and r11, which carry the generic context and the interface key.
const CONTEXT: u8 = 10;
const KEY: u8 = 11;
/// Vector registers that carry arguments, and all of them.
const VECTOR_ARGUMENTS: u8 = 8;
const VECTOR_REGISTERS: u8 = 16;

/// General registers that carry arguments, as `Resolve` saves them: the beginning is a `SavedArguments`.
const ARGUMENT_WORDS: [u8; 8] = {
    let [a, b, c, d, e, f] = INTEGER_ARGUMENTS;
    [KEY, CONTEXT, a, b, c, d, e, f]
};
/// Where the vector registers lie behind them, and the bytes of all.
const ARGUMENT_VECTORS: i32 = 8 * ARGUMENT_WORDS.len() as i32;
const SAVED_ARGUMENTS: i32 = ARGUMENT_VECTORS + 16 * VECTOR_ARGUMENTS as i32;

/// Stores general registers in the words from the stack pointer on.
#[allow(clippy::useless_conversion)] // dynasm converts the numbers of registers.
fn save_words(sequence: &mut Sequence, registers: &[u8]) {
    for (place, &register) in (0..).step_by(8).zip(registers) {
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x64 ; mov [rsp + place], Rq(register));
    }
}

/// Loads what [`save_words`] stored.
#[allow(clippy::useless_conversion)] // dynasm converts the numbers of registers.
fn restore_words(sequence: &mut Sequence, registers: &[u8]) {
    for (place, &register) in (0..).step_by(8).zip(registers) {
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x64 ; mov Rq(register), [rsp + place]);
    }
}

/// Stores the first vector registers whole, `from` bytes behind the stack pointer, which must be aligned.
#[allow(clippy::useless_conversion)] // dynasm converts the numbers of registers.
fn save_vectors(sequence: &mut Sequence, count: u8, from: i32) {
    for (place, register) in (from..).step_by(16).zip(0..count) {
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x64 ; movaps [rsp + place], Rx(register));
    }
}

/// Loads what [`save_vectors`] stored.
#[allow(clippy::useless_conversion)] // dynasm converts the numbers of registers.
fn restore_vectors(sequence: &mut Sequence, count: u8, from: i32) {
    for (place, register) in (from..).step_by(16).zip(0..count) {
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x64 ; movaps Rx(register), [rsp + place]);
    }
}

/// Jumps through a cell.
fn jump_through(sequence: &mut Sequence, target: SymbolRef) {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; jmp QWORD [rip + 0]);
    sequence.reloc(target);
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
    let return_offset = sequence.return_offset;
    Stub { code: sequence.finish(frame), return_offset }
}

/// The frame of a stub that pushes rbp and then the callee-saved registers in the order of `DWARF_CALLEE_SAVED`.
fn frame_with_saves(frame_size: u32) -> FrameInfo {
    let saved = DWARF_CALLEE_SAVED.iter().enumerate();
    FrameInfo {
        frame_size,
        saved_registers: saved.map(|(index, &register)| (register, -8 * (index as i32 + 1))).collect(),
        prologue: [1, 4, 13],
        ..FrameInfo::default()
    }
}

fn enter_managed(sequence: &mut Sequence, options: &CodegenOptions) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; push rbp
        ; mov rbp, rsp
        ; push rbx
        ; push r12
        ; push r13
        ; push r14
        ; push r15
        ; push QWORD [rsi + last_managed_sp]
        ; mov r15, rsi
        ; mov rax, rdi
        ; mov r12, rdx
        ; mov r13, rcx
        ; mov rbx, [rbp + 16]
        // Room for the stack arguments, a multiple of 16 bytes. The six words pushed keep the alignment.
        ; lea rcx, [r9 * 8 + 15]
        ; and rcx, -16
        ; sub rsp, rcx
    );
    // Short loops have fixed distances, which the encoded lengths below give.
    let copy_word: [u8; 10] = [
        0x4f, 0x8b, 0x54, 0xc8, 0xf8, // mov r10, [r8 + r9*8 - 8]
        0x4e, 0x89, 0x54, 0xcc, 0xf8, // mov [rsp + r9*8 - 8], r10
    ];
    let step: [u8; 3] = [0x49, 0xff, 0xc9]; // dec r9
    let body = (copy_word.len() + step.len()) as i8;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; test r9, r9 ; .bytes [0x74, (body + 2) as u8]); // je past the loop
    sequence.bytes.extend_from_slice(&copy_word);
    sequence.bytes.extend_from_slice(&step);
    sequence.bytes.extend_from_slice(&[0x75, -(body + 2) as u8]); // jnz to its start
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; movsd xmm0, [r13]
        ; movsd xmm1, [r13 + 8]
        ; movsd xmm2, [r13 + 16]
        ; movsd xmm3, [r13 + 24]
        ; movsd xmm4, [r13 + 32]
        ; movsd xmm5, [r13 + 40]
        ; movsd xmm6, [r13 + 48]
        ; movsd xmm7, [r13 + 56]
        ; mov rdi, [r12]
        ; mov rsi, [r12 + 8]
        ; mov rdx, [r12 + 16]
        ; mov rcx, [r12 + 24]
        ; mov r8, [r12 + 32]
        ; mov r9, [r12 + 40]
        ; mov r10, [r12 + 48]
        ; mov r11, [r12 + 56]
        ; call rax
    );
    sequence.returns_here();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        // An exception that leaves managed code lands here too, with frame and stack pointer alone.
        ; mov rbx, [rbp + 16]
        ; mov [rbx], rax
        ; mov [rbx + 8], rdx
        ; movsd [rbx + 16], xmm0
        ; movsd [rbx + 24], xmm1
        ; lea rsp, [rbp - 48]
        ; pop QWORD [r15 + last_managed_sp]
        ; pop r15
        ; pop r14
        ; pop r13
        ; pop r12
        ; pop rbx
        ; pop rbp
        ; ret
    );
    frame_with_saves(48)
}

fn resolve(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; push rbp ; mov rbp, rsp ; sub rsp, SAVED_ARGUMENTS);
    let prologue = sequence.bytes.len() as u32;
    save_words(sequence, &ARGUMENT_WORDS);
    save_vectors(sequence, VECTOR_ARGUMENTS, ARGUMENT_VECTORS);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; mov rdi, r15
        ; mov rsi, rax
        ; mov rdx, rsp
        ; mov [r15 + last_managed_sp], rsp
        ; call QWORD [rip + 0]
    );
    sequence.reloc(SymbolRef::Helper(helper));
    sequence.returns_here();
    restore_words(sequence, &ARGUMENT_WORDS);
    restore_vectors(sequence, VECTOR_ARGUMENTS, ARGUMENT_VECTORS);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; leave);
    let epilogue = sequence.bytes.len() as u32;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; jmp rax);
    FrameInfo {
        frame_size: SAVED_ARGUMENTS as u32,
        prologue: [1, 4, prologue],
        epilogues: vec![epilogue],
        ..FrameInfo::default()
    }
}

/// The area of a callback: integer arguments, vector arguments, rax and rdx, xmm0 and xmm1 for the results.
const CALLBACK_VECTORS: u32 = 6 * 8;
const CALLBACK_RESULTS: u32 = CALLBACK_VECTORS + 8 * 8;
const CALLBACK_VECTOR_RESULTS: u32 = CALLBACK_RESULTS + 2 * 8;
const CALLBACK_AREA: u32 = CALLBACK_VECTOR_RESULTS + 2 * 8;

/// Where a callback's stub keeps what `signature` passes.
pub fn callback_layout(signature: &Signature) -> Result<CallbackLayout, CodegenError> {
    let layout = call_layout(signature)?;
    let place = |location: &Location| match *location {
        Location::General(register) => {
            8 * INTEGER_ARGUMENTS.iter().position(|&argument| argument == register).unwrap_or(0) as u32
        }
        Location::Vector(register) => CALLBACK_VECTORS + 8 * u32::from(register),
        // Above the area are the frame pointer and the return address.
        Location::Stack(offset) | Location::StackCopy { offset, .. } => CALLBACK_AREA + 16 + offset,
        Location::X87 => CALLBACK_RESULTS,
    };
    let result = |location: &Location| match *location {
        Location::Vector(register) => CALLBACK_VECTOR_RESULTS + 8 * u32::from(register),
        Location::General(0) => CALLBACK_RESULTS,
        _ => CALLBACK_RESULTS + 8,
    };
    Ok(CallbackLayout {
        params: layout.params.iter().map(place).collect(),
        results: layout.results.iter().map(result).collect(),
        struct_return: CALLBACK_RESULTS,
        ending: 0,
    })
}

fn callback(sequence: &mut Sequence, helper: u16) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; push rbp ; mov rbp, rsp ; sub rsp, CALLBACK_AREA as i32);
    let prologue = sequence.bytes.len() as u32;
    save_words(sequence, &INTEGER_ARGUMENTS);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; movsd [rsp + 48], xmm0
        ; movsd [rsp + 56], xmm1
        ; movsd [rsp + 64], xmm2
        ; movsd [rsp + 72], xmm3
        ; movsd [rsp + 80], xmm4
        ; movsd [rsp + 88], xmm5
        ; movsd [rsp + 96], xmm6
        ; movsd [rsp + 104], xmm7
        ; mov rdi, rax
        ; mov rsi, rsp
        ; call QWORD [rip + 0]
    );
    sequence.reloc(SymbolRef::Helper(helper));
    sequence.returns_here();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; mov rax, [rsp + CALLBACK_RESULTS as i32]
        ; mov rdx, [rsp + CALLBACK_RESULTS as i32 + 8]
        ; movsd xmm0, [rsp + CALLBACK_VECTOR_RESULTS as i32]
        ; movsd xmm1, [rsp + CALLBACK_VECTOR_RESULTS as i32 + 8]
        ; leave
    );
    let epilogue = sequence.bytes.len() as u32;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; ret);
    FrameInfo { frame_size: CALLBACK_AREA, prologue: [1, 4, prologue], epilogues: vec![epilogue], ..FrameInfo::default() }
}

fn land(sequence: &mut Sequence) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; mov r15, rdi
        ; mov rax, [rsi + 24]
        ; mov rbp, [rsi + 8]
        ; mov rsp, [rsi + 16]
        ; jmp QWORD [rsi]
    );
    FrameInfo::default()
}

fn run_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; push rbp
        ; mov rbp, rsp
        ; push rbx
        ; push r12
        ; push r13
        ; push r14
        ; push r15
        ; push QWORD [rdi + filter_sp]
        ; mov [rdi + filter_sp], rsp
        ; mov r15, rdi
        ; mov rax, [rsi + 24]
        ; mov rcx, [rsi + 16]
        ; mov rbp, [rsi + 8]
        // The function's frame pointer lies above its outgoing arguments, then a word for alignment.
        ; sub rsp, 16
        ; mov [rsp], rbp
        ; sub rsp, rcx
        // A filter does not return here but goes to `EndFilter`.
        ; jmp QWORD [rsi]
    );
    frame_with_saves(48)
}

fn end_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; mov eax, edi
        ; mov rsp, [r15 + filter_sp]
        ; pop QWORD [r15 + filter_sp]
        ; pop r15
        ; pop r14
        ; pop r13
        ; pop r12
        ; pop rbx
        ; pop rbp
        ; ret
    );
    FrameInfo::default()
}

fn with_context(sequence: &mut Sequence, context: SymbolRef, target: SymbolRef) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; mov r10, [rip + 0]);
    sequence.reloc(context);
    jump_through(sequence, target);
    FrameInfo::default()
}

fn unbox(sequence: &mut Sequence, payload: i32, context_from_object: bool, target: SymbolRef) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    if context_from_object {
        dynasm!(sink ; .arch x64 ; mov r10, [rdi]);
    }
    dynasm!(sink ; .arch x64 ; add rdi, payload);
    jump_through(sequence, target);
    FrameInfo::default()
}

fn import(sequence: &mut Sequence, cell: SymbolRef, resolve: u16) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; mov rax, [rip + 0]);
    sequence.reloc(cell);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; test rax, rax
        ; .bytes [0x74, 2] // je past the jump
        ; jmp rax
        ; lea rax, [rip + 0]
    );
    sequence.reloc(cell);
    jump_through(sequence, SymbolRef::Helper(resolve));
    FrameInfo::default()
}

/// The return address lies just below the published stack pointer, as if the caller had called the helper itself. rax carries no
/// argument of a helper.
fn publish(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; lea rax, [rsp + 8]
        ; mov [r15 + last_managed_sp], rax
    );
    jump_through(sequence, SymbolRef::Helper(helper));
    FrameInfo::default()
}

/// Bytes of an entry of the table that [`resolvers`] makes: a call.
const RESOLVER_BYTES: u32 = 5;
/// The inverse of [`RESOLVER_BYTES`], times a power of two, for numbers of 32 bits.
const RESOLVER_INVERSE: (i32, i8) = (0xcccc_cccd_u32 as i32, 34);
/// Bytes of a cell.
const CELL_BYTES: i32 = 8;
/// General registers that a preserving call keeps: not rax and r11, nor those that the helper keeps itself.
const PRESERVED_WORDS: [u8; 7] = {
    let [a, b, c, d, e, f] = INTEGER_ARGUMENTS;
    [a, b, c, d, e, f, CONTEXT]
};
/// Where the vector registers lie behind them and a word of padding, and the bytes of all.
const PRESERVED_VECTORS: i32 = 8 * (PRESERVED_WORDS.len() as i32 + 1);
const PRESERVED: i32 = PRESERVED_VECTORS + 16 * VECTOR_REGISTERS as i32;

/// Publishes as [`publish`] does and calls the helper with all registers as they are; afterwards all but rax and r11 are as before.
pub fn preserver(helper: u16, options: &CodegenOptions) -> CompiledCode {
    let mut sequence = Sequence::new();
    let frame = preserving_call(&mut sequence, options, helper, false);
    sequence.finish(frame)
}

/// Entry `n` of the table calls what is behind the table, which knows cell `n` by the return address.
pub fn resolvers(count: u32, helper: u16, options: &CodegenOptions) -> Resolvers {
    let mut sequence = Sequence::new();
    let shared = count * RESOLVER_BYTES;
    for entry in 0..count {
        let distance = shared - (entry + 1) * RESOLVER_BYTES;
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x64 ; .bytes [0xe8] ; .i32 distance as i32);
    }
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; pop rax ; lea r11, [rip + 0]);
    let offset = sequence.bytes.len() as u32 - 4;
    // Which is the first entry.
    let back = -(sequence.bytes.len() as i32);
    sequence.bytes[offset as usize..].copy_from_slice(&back.to_le_bytes());
    let (inverse, shift) = RESOLVER_INVERSE;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; sub rax, r11
        ; mov r11d, inverse
        ; imul rax, r11
        ; shr rax, shift
        // The return address is that of the next entry.
        ; lea r11, [rip + 0]
    );
    sequence.reloc_behind(SymbolRef::Cell(0), -CELL_BYTES);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; lea rax, [r11 + rax * 8]);
    let frame = preserving_call(&mut sequence, options, helper, true);
    Resolvers { code: sequence.finish(frame), entry_bytes: RESOLVER_BYTES }
}

fn preserving_call(sequence: &mut Sequence, options: &CodegenOptions, helper: u16, argument_in_rax: bool) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let start = sequence.bytes.len() as u32;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; push rbp ; mov rbp, rsp ; sub rsp, PRESERVED);
    let prologue = sequence.bytes.len() as u32;
    save_words(sequence, &PRESERVED_WORDS);
    save_vectors(sequence, VECTOR_REGISTERS, PRESERVED_VECTORS);
    let mut sink = Sink(&mut sequence.bytes);
    if argument_in_rax {
        dynasm!(sink ; .arch x64 ; mov rdi, rax);
    }
    dynasm!(sink
        ; .arch x64
        ; lea rax, [rbp + 16]
        ; mov [r15 + last_managed_sp], rax
        ; call QWORD [rip + 0]
    );
    sequence.reloc(SymbolRef::Helper(helper));
    sequence.returns_here();
    restore_words(sequence, &PRESERVED_WORDS);
    restore_vectors(sequence, VECTOR_REGISTERS, PRESERVED_VECTORS);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; leave);
    let epilogue = sequence.bytes.len() as u32;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x64 ; ret);
    FrameInfo {
        frame_size: PRESERVED as u32,
        prologue: [start + 1, start + 4, prologue],
        epilogues: vec![epilogue],
        ..FrameInfo::default()
    }
}

fn invoke_closed(sequence: &mut Sequence, code: i32, target: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x64
        ; mov rax, [rdi + code]
        ; mov rdi, [rdi + target]
        ; jmp rax
    );
    FrameInfo::default()
}

/// Leaves `token` in rax, which carries no argument, and jumps through the cell.
pub fn thunk(token: u64, stub_cell: SymbolRef) -> CompiledCode {
    let mut sequence = Sequence::new();
    let mut sink = Sink(&mut sequence.bytes);
    match u32::try_from(token) {
        Ok(token) => dynasm!(sink ; .arch x64 ; mov eax, token as i32),
        Err(_) => dynasm!(sink ; .arch x64 ; mov rax, QWORD token as i64),
    }
    jump_through(&mut sequence, stub_cell);
    sequence.finish(FrameInfo::default())
}

/// Compares the key register with each key.
pub fn dispatch(entries: &[(u64, SymbolRef)], miss: SymbolRef) -> CompiledCode {
    /// Bytes of `jmp [rip + cell]`.
    const JUMP_BYTES: u8 = 6;
    let mut sequence = Sequence::new();
    for &(key, target) in entries {
        let mut sink = Sink(&mut sequence.bytes);
        match i32::try_from(key as i64) {
            Ok(key) => dynasm!(sink ; .arch x64 ; cmp r11, key),
            Err(_) => dynasm!(sink ; .arch x64 ; mov rax, QWORD key as i64 ; cmp r11, rax),
        }
        sequence.bytes.extend_from_slice(&[0x75, JUMP_BYTES]); // jne to the next entry
        jump_through(&mut sequence, target);
    }
    jump_through(&mut sequence, miss);
    sequence.finish(FrameInfo::default())
}
