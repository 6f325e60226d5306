//! The small pieces of code that the runtime asks for: entries, exits, thunks and dispatchers.
//!
//! Each is a fixed sequence. What they have in common with compiled code is the convention (`convention`), the thread structure at
//! fs and the frame-pointer chain. A thunk pushes its token above the return address. eax, which carries nothing but the interface key, serves
//! as base for data wherever that key cannot matter any more.

use crate::convention::call_layout;
use crate::family::convention::Location;
use crate::family::encoding::Sink;
use crate::family::sequence::Sequence;
use crate::registers::DWARF_CALLEE_SAVED;
use dynasmrt::{DynasmApi, dynasm};
use ir::function::SymbolRef;
use ir::mach::{CallbackLayout, CodegenError, CodegenOptions, CompiledCode, FrameInfo, Resolvers, Stub, StubKind};
use ir::signature::Signature;

/// Frame of `Resolve`: three arguments and a word, the general argument registers from 16 on (key, context, ecx, edx), four vector registers from 32
/// on, a word, the token.
const RESOLVE_FRAME: i32 = 104;

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

/// The frame of a stub that pushes ebp and then the callee-saved registers in the order of `DWARF_CALLEE_SAVED`.
fn frame_with_saves(frame_size: u32) -> FrameInfo {
    let saved = DWARF_CALLEE_SAVED.iter().enumerate();
    FrameInfo {
        frame_size,
        saved_registers: saved.map(|(index, &register)| (register, -4 * (index as i32 + 1))).collect(),
        prologue: [1, 3, 6],
        ..FrameInfo::default()
    }
}

/// Sets eax to an address in the code, and gives its offset.
fn base(sequence: &mut Sequence) -> u32 {
    sequence.bytes.extend_from_slice(&[0xe8, 0, 0, 0, 0]); // call of what follows
    let anchor = sequence.offset();
    sequence.bytes.push(0x58); // pop eax
    anchor
}

/// Appends an instruction with the operand [eax + distance from `anchor` to `target`], or an immediate of that distance.
fn with_distance(sequence: &mut Sequence, instruction: &[u8], target: SymbolRef, anchor: u32) {
    sequence.bytes.extend_from_slice(instruction);
    sequence.bytes.extend_from_slice(&[0; 4]);
    sequence.reloc_from(target, anchor);
}

const JUMP_THROUGH_EAX: [u8; 2] = [0xff, 0xa0]; // jmp [eax + …]
const CALL_THROUGH_EAX: [u8; 2] = [0xff, 0x90]; // call [eax + …]
const LOAD_EAX: [u8; 2] = [0x8b, 0x80]; // mov eax, [eax + …]
const LOAD_EBX: [u8; 2] = [0x8b, 0x98]; // mov ebx, [eax + …]

/// Jumps through a cell, destroying eax.
fn jump_through(sequence: &mut Sequence, target: SymbolRef) {
    let anchor = base(sequence);
    with_distance(sequence, &JUMP_THROUGH_EAX, target, anchor);
}

/// Jumps through a cell, keeping all registers.
fn jump_through_keeping(sequence: &mut Sequence, target: SymbolRef) {
    sequence.bytes.push(0x50); // push eax
    let anchor = base(sequence);
    with_distance(sequence, &LOAD_EAX, target, anchor);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; xchg [esp], eax ; ret);
}

fn enter_managed(sequence: &mut Sequence, options: &CodegenOptions) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; push ebp
        ; mov ebp, esp
        ; push ebx
        ; push esi
        ; push edi
        ; fs push DWORD [last_managed_sp]
        // The stack arguments.
        ; mov ecx, [ebp + 28]
        ; mov esi, [ebp + 24]
        ; lea eax, [ecx * 4]
        ; sub esp, eax
        ; and esp, -16
        ; mov edi, esp
        ; rep movsd
        ; mov eax, [ebp + 20]
        ; movsd xmm0, [eax]
        ; movsd xmm1, [eax + 8]
        ; movsd xmm2, [eax + 16]
        ; movsd xmm3, [eax + 24]
        ; mov esi, [ebp + 16]
        ; mov ecx, [esi]
        ; mov edx, [esi + 4]
        ; mov ebx, [esi + 8]
        ; mov eax, [esi + 12]
        ; call DWORD [ebp + 8]
    );
    sequence.returns_here();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        // An exception that leaves managed code lands here too, with frame and stack pointer alone.
        ; mov ecx, [ebp + 32]
        ; mov [ecx], eax
        ; mov DWORD [ecx + 4], 0
        ; mov [ecx + 8], edx
        ; mov DWORD [ecx + 12], 0
        ; movsd [ecx + 16], xmm0
        ; movsd [ecx + 24], xmm1
        ; lea esp, [ebp - 16]
        ; fs pop DWORD [last_managed_sp]
        ; pop edi
        ; pop esi
        ; pop ebx
        ; pop ebp
        ; ret
    );
    frame_with_saves(16)
}

fn resolve(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    let (last_managed_sp, self_pointer) = (options.thread.last_managed_sp, options.thread.self_pointer);
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        // The saved frame pointer takes the token's place under the return address.
        ; xchg [esp], ebp
    );
    let pushed = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; push ebp ; lea ebp, [esp + 4]);
    let moved = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; sub esp, RESOLVE_FRAME - 4);
    let prologue = [pushed, moved, sequence.offset()];
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov [esp + 16], eax
        ; mov [esp + 20], ebx
        ; mov [esp + 24], ecx
        ; mov [esp + 28], edx
        ; movaps [esp + 32], xmm0
        ; movaps [esp + 48], xmm1
        ; movaps [esp + 64], xmm2
        ; movaps [esp + 80], xmm3
        ; fs mov eax, [self_pointer]
        ; mov [esp], eax
        ; mov eax, [ebp - 4]
        ; mov [esp + 4], eax
        ; lea eax, [esp + 16]
        ; mov [esp + 8], eax
        ; fs mov [last_managed_sp], esp
    );
    let anchor = base(sequence);
    with_distance(sequence, &CALL_THROUGH_EAX, SymbolRef::Helper(helper), anchor);
    sequence.returns_here();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        // The code is jumped to by a return, which also drops the frame pointer's place.
        ; mov [ebp - 4], eax
        ; mov eax, [esp + 16]
        ; mov ebx, [esp + 20]
        ; mov ecx, [esp + 24]
        ; mov edx, [esp + 28]
        ; movaps xmm0, [esp + 32]
        ; movaps xmm1, [esp + 48]
        ; movaps xmm2, [esp + 64]
        ; movaps xmm3, [esp + 80]
        ; lea esp, [ebp - 4]
        ; mov ebp, [ebp]
    );
    let epilogue = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; ret 4);
    FrameInfo { frame_size: RESOLVE_FRAME as u32, prologue, epilogues: vec![epilogue], ..FrameInfo::default() }
}

/// The area of a callback lies below the frame pointer: eax and edx, then a float result, then ecx as native code passed it. The arguments lie above
/// frame pointer and return address.
const CALLBACK_AREA: u32 = 24;
const CALLBACK_FLOAT: u32 = 8;
const CALLBACK_THIS: u32 = 16;
/// Bit of what the helper of a callback returns from which on the bytes of arguments stand that the callee pops; below are the bytes of a
/// float result.
const CALLBACK_POPS_SHIFT: u8 = 8;

/// Where a callback's stub keeps what `signature` passes.
pub fn callback_layout(signature: &Signature) -> Result<CallbackLayout, CodegenError> {
    let layout = call_layout(signature)?;
    let place = |location: &Location| match *location {
        Location::Stack(offset) | Location::StackCopy { offset, .. } => CALLBACK_AREA + 8 + offset,
        Location::General(_) => CALLBACK_THIS,
        // Only results.
        Location::Vector(_) | Location::X87 => 0,
    };
    let result = |location: &Location| match *location {
        Location::X87 => CALLBACK_FLOAT,
        Location::General(0) => 0,
        _ => 4,
    };
    let float_bytes = match (layout.results.first(), signature.results.first()) {
        (Some(Location::X87), Some(ty)) => ty.bytes(4),
        _ => 0,
    };
    Ok(CallbackLayout {
        params: layout.params.iter().map(place).collect(),
        results: layout.results.iter().map(result).collect(),
        struct_return: 0,
        ending: (float_bytes | layout.pops << CALLBACK_POPS_SHIFT) as usize,
    })
}

fn callback(sequence: &mut Sequence, helper: u16) -> FrameInfo {
    const FRAME: i32 = 48;
    const AREA: i32 = CALLBACK_AREA as i32;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        // The saved frame pointer takes the token's place under the return address.
        ; xchg [esp], ebp
    );
    let pushed = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; mov edx, ebp ; mov ebp, esp);
    let moved = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; sub esp, FRAME ; and esp, -16);
    let prologue = [pushed, moved, sequence.offset()];
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov [ebp - AREA + CALLBACK_THIS as i32], ecx
        ; mov [esp], edx
        ; lea eax, [ebp - AREA]
        ; mov [esp + 4], eax
    );
    let anchor = base(sequence);
    with_distance(sequence, &CALL_THROUGH_EAX, SymbolRef::Helper(helper), anchor);
    sequence.returns_here();
    const FLOAT: u8 = (CALLBACK_FLOAT as i32 - AREA) as u8;
    // Each comparison jumps over the load behind it.
    sequence.bytes.extend_from_slice(&[0x3c, 0x04, 0x75, 3]); // cmp al, 4; jne
    sequence.bytes.extend_from_slice(&[0xd9, 0x45, FLOAT]); // fld dword [ebp + FLOAT]
    sequence.bytes.extend_from_slice(&[0x3c, 0x08, 0x75, 3]); // cmp al, 8; jne
    sequence.bytes.extend_from_slice(&[0xdd, 0x45, FLOAT]); // fld qword [ebp + FLOAT]
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov ecx, eax
        ; shr ecx, CALLBACK_POPS_SHIFT as i8
        ; mov eax, [ebp - AREA]
        ; mov edx, [ebp - AREA + 4]
        ; leave
    );
    let epilogue = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        // Moves the return address over the arguments that go; the address of the operand counts from after the pop.
        ; pop DWORD [esp + ecx - 4]
        ; lea esp, [esp + ecx - 4]
        ; ret
    );
    FrameInfo { frame_size: FRAME as u32, prologue, epilogues: vec![epilogue], ..FrameInfo::default() }
}

fn land(sequence: &mut Sequence) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov ecx, [esp + 8]
        ; mov eax, [ecx + 12]
        ; mov ebp, [ecx + 4]
        ; mov esp, [ecx + 8]
        ; jmp DWORD [ecx]
    );
    FrameInfo::default()
}

fn run_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; push ebp
        ; mov ebp, esp
        ; push ebx
        ; push esi
        ; push edi
        ; fs push DWORD [filter_sp]
        ; fs mov [filter_sp], esp
        ; mov edx, [ebp + 12]
        ; mov eax, [edx + 12]
        ; mov ebp, [edx + 4]
        // The function's frame pointer lies above its outgoing arguments; what is above it keeps the alignment.
        ; sub esp, 24
        ; mov [esp], ebp
        ; sub esp, [edx + 8]
        // A filter does not return here but goes to `EndFilter`.
        ; jmp DWORD [edx]
    );
    frame_with_saves(16)
}

fn end_filter(sequence: &mut Sequence, filter_sp: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov eax, [esp + 4]
        ; fs mov esp, [filter_sp]
        ; fs pop DWORD [filter_sp]
        ; pop edi
        ; pop esi
        ; pop ebx
        ; pop ebp
        ; ret
    );
    FrameInfo::default()
}

fn with_context(sequence: &mut Sequence, context: SymbolRef, target: SymbolRef) -> FrameInfo {
    let anchor = base(sequence);
    with_distance(sequence, &LOAD_EBX, context, anchor);
    with_distance(sequence, &JUMP_THROUGH_EAX, target, anchor);
    FrameInfo::default()
}

fn unbox(sequence: &mut Sequence, payload: i32, context_from_object: bool, target: SymbolRef) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    if context_from_object {
        dynasm!(sink ; .arch x86 ; mov ebx, [ecx]);
    }
    dynasm!(sink ; .arch x86 ; add ecx, payload);
    jump_through(sequence, target);
    FrameInfo::default()
}

fn import(sequence: &mut Sequence, cell: SymbolRef, resolve: u16) -> FrameInfo {
    /// Bytes of `jmp [eax + cell]`.
    const JUMP_BYTES: u8 = 6;
    let anchor = base(sequence);
    // cmp dword [eax + cell], 0: the field is followed by the immediate.
    with_distance(sequence, &[0x83, 0xb8], cell, anchor);
    sequence.bytes.push(0);
    sequence.bytes.extend_from_slice(&[0x74, JUMP_BYTES]); // je past the jump
    with_distance(sequence, &JUMP_THROUGH_EAX, cell, anchor);
    // The cell's address as token: push eax; add dword [esp], cell - anchor
    with_distance(sequence, &[0x50, 0x81, 0x04, 0x24], cell, anchor);
    with_distance(sequence, &JUMP_THROUGH_EAX, SymbolRef::Helper(resolve), anchor);
    FrameInfo::default()
}

/// The return address lies just below the published stack pointer, as if the caller had called the helper itself.
fn publish(sequence: &mut Sequence, options: &CodegenOptions, helper: u16) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; lea eax, [esp + 4]
        ; fs mov [last_managed_sp], eax
    );
    jump_through(sequence, SymbolRef::Helper(helper));
    FrameInfo::default()
}

/// Bytes of an entry of the table that [`resolvers`] makes: a call.
const RESOLVER_BYTES: u32 = 5;
/// What divides by [`RESOLVER_BYTES`]: the high half of the product with this, shifted right.
const RESOLVER_INVERSE: (i32, i8) = (0xcccc_cccd_u32 as i32, 2);
/// Frame of a preserving call: an argument and padding, ecx and edx from 16 on, eight vector registers from 32 on, and padding.
const PRESERVING_FRAME: i32 = 168;

/// Publishes as [`publish`] does and calls the helper, which has no arguments; afterwards all registers but eax are as before.
pub fn preserver(helper: u16, options: &CodegenOptions) -> CompiledCode {
    let mut sequence = Sequence::new();
    let frame = preserving_call(&mut sequence, options, helper, false);
    sequence.finish(frame)
}

/// Entry `n` of the table calls what is behind the table, which knows cell `n` by the return address.
pub fn resolvers(count: u32, helper: u16, options: &CodegenOptions) -> Resolvers {
    let mut sequence = Sequence::new();
    for entry in 0..count {
        let distance = (count - entry - 1) * RESOLVER_BYTES;
        sequence.bytes.push(0xe8);
        sequence.bytes.extend_from_slice(&distance.to_le_bytes());
    }
    sequence.bytes.push(0x58); // pop eax
    let frame = preserving_call(&mut sequence, options, helper, true);
    Resolvers { code: sequence.finish(frame), entry_bytes: RESOLVER_BYTES }
}

/// With `for_cell`, eax is the return address of an entry of the table at the code's start, and the argument is the entry's cell.
#[allow(clippy::useless_conversion)] // dynasm converts the numbers of registers.
fn preserving_call(sequence: &mut Sequence, options: &CodegenOptions, helper: u16, for_cell: bool) -> FrameInfo {
    let last_managed_sp = options.thread.last_managed_sp;
    let start = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; push ebp ; mov ebp, esp ; sub esp, PRESERVING_FRAME);
    let prologue = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; mov [esp + 16], ecx ; mov [esp + 20], edx);
    for number in 0..8u8 {
        let place = 32 + 16 * i32::from(number);
        dynasm!(sink ; .arch x86 ; movaps [esp + place], Rx(number));
    }
    // The base is ecx here, since eax is taken.
    sequence.bytes.extend_from_slice(&[0xe8, 0, 0, 0, 0]);
    let anchor = sequence.offset();
    sequence.bytes.push(0x59);
    if for_cell {
        let (inverse, shift) = RESOLVER_INVERSE;
        // The return address is that of the next entry.
        let first = anchor as i32 - RESOLVER_BYTES as i32;
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink
            ; .arch x86
            ; sub eax, ecx
            ; add eax, first
            ; mov edx, inverse
            ; mul edx
            ; shr edx, shift
        );
        with_distance(sequence, &[0x8d, 0x84, 0x91], SymbolRef::Cell(0), anchor); // lea eax, [ecx + edx * 4 + …]
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x86 ; mov [esp], eax);
    }
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; lea edx, [ebp + 8] ; fs mov [last_managed_sp], edx);
    with_distance(sequence, &[0xff, 0x91], SymbolRef::Helper(helper), anchor); // call [ecx + …]
    sequence.returns_here();
    let mut sink = Sink(&mut sequence.bytes);
    for number in 0..8u8 {
        let place = 32 + 16 * i32::from(number);
        dynasm!(sink ; .arch x86 ; movaps Rx(number), [esp + place]);
    }
    dynasm!(sink ; .arch x86 ; mov ecx, [esp + 16] ; mov edx, [esp + 20] ; leave);
    let epilogue = sequence.offset();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; ret);
    FrameInfo {
        frame_size: PRESERVING_FRAME as u32,
        prologue: [start + 1, start + 3, prologue],
        epilogues: vec![epilogue],
        ..FrameInfo::default()
    }
}

fn invoke_closed(sequence: &mut Sequence, code: i32, target: i32) -> FrameInfo {
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink
        ; .arch x86
        ; mov eax, [ecx + code]
        ; mov ecx, [ecx + target]
        ; jmp eax
    );
    FrameInfo::default()
}

/// Pushes `token` and jumps through the cell. The interface key may be in eax.
pub fn thunk(token: u64, stub_cell: SymbolRef) -> CompiledCode {
    let mut sequence = Sequence::new();
    let mut sink = Sink(&mut sequence.bytes);
    dynasm!(sink ; .arch x86 ; push token as i32);
    jump_through_keeping(&mut sequence, stub_cell);
    sequence.finish(FrameInfo::default())
}

/// Compares the key register with each key.
pub fn dispatch(entries: &[(u64, SymbolRef)], miss: SymbolRef) -> CompiledCode {
    /// Bytes of what `jump_through` makes.
    const JUMP_BYTES: u8 = 12;
    let mut sequence = Sequence::new();
    for &(key, target) in entries {
        let mut sink = Sink(&mut sequence.bytes);
        dynasm!(sink ; .arch x86 ; cmp eax, key as i32);
        sequence.bytes.extend_from_slice(&[0x75, JUMP_BYTES]); // jne to the next entry
        jump_through(&mut sequence, target);
    }
    jump_through_keeping(&mut sequence, miss);
    sequence.finish(FrameInfo::default())
}
