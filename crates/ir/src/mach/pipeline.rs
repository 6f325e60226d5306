//! One function from IR to code: lower, allocate, lay out the frame, emit. The way is the same for all machines; what differs
//! is behind [`Target`], [`TargetInst`] and [`Emit`].
//!
//! Nothing here knows an instruction set. Everything is generic, so that each back end gets code of its own without indirect calls.

use super::buffer::{Encoding, FinishedCode, Label, MachBuffer};
use super::frame::FrameNeeds;
use super::lower::{LowerBackend, Lowered, lower_function};
use super::registers::{Allocation, RegisterFile};
use super::vcode::{AllocationResult, Edit, MachBlock, MachInst};
use super::{CodegenError, CodegenOptions, CompileDump, CompiledCode, FrameInfo, HandlerSite, allocator, checker};
use crate::entity::Region;
use crate::function::{Function, HandlerKind};
use crate::instruction::SourceOffset;
use crate::signature::Signature;
use crate::tail_calls::{impossible_tail_calls, split_tail_call};
use std::borrow::Cow;

/// The parts of a back end that [`compile`] leads a function through.
pub trait Target {
    /// Its instructions.
    type Inst: TargetInst;
    /// Chooses instructions for one function.
    type Lowering<'a>: LowerBackend<Inst = Self::Inst>;
    /// Makes bytes of one function.
    type Emitter<'a>: Emit<Inst = Self::Inst>;

    /// The lowering of a function.
    fn lowering<'a>(&self, function: &'a Function, options: &'a CodegenOptions) -> Self::Lowering<'a>;
    /// What lowering found out about the frame that the function needs.
    fn body_needs(&self, lowering: &Self::Lowering<'_>) -> BodyNeeds;
    /// The registers as the allocator sees them.
    fn register_file(&self) -> RegisterFile;
    /// The emitter of a function of `block_count` machine blocks. Lays out the frame.
    fn emitter<'a>(
        &self,
        function: &'a Function,
        options: &'a CodegenOptions,
        needs: &FrameNeeds,
        block_count: usize,
    ) -> Self::Emitter<'a>;
    /// Bytes of the arguments that a call with this signature leaves on the stack.
    fn stack_argument_bytes(&self, signature: &Signature) -> Result<u32, CodegenError>;
    /// Disassembles for people, one instruction a line.
    fn disassemble(&self, bytes: &[u8], address: u64) -> String;
}

/// A machine instruction as emission sees it.
pub trait TargetInst: MachInst {
    /// Replaces the registers by what the allocator chose, given in the order of [`MachInst::operands`].
    fn assign(&mut self, allocations: &[Allocation]);
    /// Where it goes, if it is an unconditional jump without operands.
    fn jump_target(&self) -> Option<MachBlock>;
    /// Replaces each branch target. Called for terminators only.
    fn retarget(&mut self, target: &dyn Fn(MachBlock) -> MachBlock);
}

/// Emits one function, block after block.
pub trait Emit {
    /// Its instructions.
    type Inst;
    /// How its machine refers to labels.
    type Encoding: Encoding;

    /// Emits the prologue; the labels are those of [`FrameInfo::prologue`].
    fn prologue(&mut self) -> [Label; 3];
    /// The label of a block.
    fn block_label(&self, block: MachBlock) -> Label;
    /// Begins a block: binds its label, notes its region.
    fn begin_block(&mut self, block: MachBlock, region: Option<Region>);
    /// Sets the source position of what follows.
    fn set_source(&mut self, source: SourceOffset);
    /// Emits what the allocator inserted.
    fn edit(&mut self, edit: Edit);
    /// Emits an instruction with physical registers. `next` is the block that will lie behind the current one.
    fn inst(&mut self, inst: &Self::Inst, next: Option<MachBlock>);
    /// Emits what was left out of line.
    fn finish(&mut self);
    /// The code, what the unwinder must know of the frame (offsets in the code still empty) and the labels of
    /// [`FrameInfo::epilogues`].
    fn into_parts(self) -> (MachBuffer<Self::Encoding>, FrameInfo, Vec<Label>);
}

/// What lowering finds out about the frame.
#[derive(Clone, Copy, Default, Debug)]
pub struct BodyNeeds {
    /// Bytes of outgoing arguments.
    pub outgoing: u32,
    /// The stack pointer varies.
    pub dynamic_stack: bool,
    /// Whether anything is called, raising included: then the stack pointer must be aligned.
    pub calls: bool,
}

/// A function in machine instructions, with what its frame needs.
pub struct LoweredFunction<I> {
    /// The code.
    pub lowered: Lowered<I>,
    /// What its frame needs.
    pub needs: BodyNeeds,
}

/// Compiles, and describes the steps if `dump` is there.
pub fn compile<T: Target>(
    target: &T,
    function: &Function,
    options: &CodegenOptions,
    mut dump: Option<&mut CompileDump>,
) -> Result<CompiledCode, CodegenError> {
    let function = &*with_possible_tail_calls(target, function)?;
    let lowered = lower(target, function, options)?;
    if let Some(dump) = dump.as_deref_mut() {
        dump.lowered = lowered.lowered.code.print(None);
    }
    let allocation = allocate(target, &lowered, options)?;
    if let Some(dump) = dump.as_deref_mut() {
        dump.allocated = lowered.lowered.code.print(Some(&allocation));
    }
    let code = emit(target, function, options, &lowered, &allocation)?;
    if let Some(dump) = dump {
        dump.disassembly = target.disassemble(&code.bytes[..code.code_len as usize], 0);
    }
    Ok(code)
}

/// The function without tail calls that need more room for arguments than its own take. What is left there by the caller is all
/// that a callee in its place can have.
fn with_possible_tail_calls<'f, T: Target>(target: &T, function: &'f Function) -> Result<Cow<'f, Function>, CodegenError> {
    let room = target.stack_argument_bytes(function.signature())?;
    let possible = |signature: &Signature| target.stack_argument_bytes(signature).is_ok_and(|bytes| bytes <= room);
    let impossible = impossible_tail_calls(function, possible);
    if impossible.is_empty() {
        return Ok(Cow::Borrowed(function));
    }
    let mut function = function.clone();
    impossible.into_iter().for_each(|block| split_tail_call(&mut function, block));
    Ok(Cow::Owned(function))
}

/// First step: chooses instructions.
pub fn lower<T: Target>(
    target: &T,
    function: &Function,
    options: &CodegenOptions,
) -> Result<LoweredFunction<T::Inst>, CodegenError> {
    let lowering = target.lowering(function, options);
    let lowered = lower_function(function, &lowering)?;
    Ok(LoweredFunction { lowered, needs: target.body_needs(&lowering) })
}

/// Second step: assigns registers, and proves it if asked to.
pub fn allocate<T: Target>(
    target: &T,
    lowered: &LoweredFunction<T::Inst>,
    options: &CodegenOptions,
) -> Result<AllocationResult, CodegenError> {
    let code = &lowered.lowered.code;
    let file = target.register_file();
    let allocation = allocator::allocate(code, &file, options.optimize_allocation)?;
    if options.check_allocation {
        checker::check(code, &file, &allocation)?;
    }
    Ok(allocation)
}

/// Last step: lays out the frame and makes bytes.
pub fn emit<T: Target>(
    target: &T,
    function: &Function,
    options: &CodegenOptions,
    lowered: &LoweredFunction<T::Inst>,
    allocation: &AllocationResult,
) -> Result<CompiledCode, CodegenError> {
    let handlers = || function.regions.values().flat_map(|region| &region.handlers);
    let has_filter = handlers().any(|handler| matches!(handler.kind, HandlerKind::Filter(_)));
    let needs = FrameNeeds {
        written: allocation.written,
        spill_bytes: allocation.spill_bytes,
        outgoing: lowered.needs.outgoing,
        dynamic: lowered.needs.dynamic_stack || has_filter,
        handlers: handlers().next().is_some(),
        calls: lowered.needs.calls,
    };
    let mut emitter = target.emitter(function, options, &needs, lowered.lowered.code.blocks.len());
    let prologue = emitter.prologue();
    emit_blocks(&lowered.lowered, allocation, &mut emitter);
    emitter.finish();
    // By region and handler: the labels of its filter and of itself.
    let label = |block| Some(emitter.block_label(lowered.lowered.blocks[block]?));
    let handler_labels: Vec<_> = function
        .regions
        .iter()
        .flat_map(|(region, data)| data.handlers.iter().enumerate().map(move |(index, handler)| (region, index, *handler)))
        .filter_map(|(region, index, handler)| {
            let filter = match handler.kind {
                HandlerKind::Filter(block) => Some(label(block)?),
                _ => None,
            };
            Some((region, index as u32, filter, label(handler.entry)?))
        })
        .collect();
    let (buffer, mut frame, epilogues) = emitter.into_parts();
    let finished: FinishedCode = buffer.finish()?;
    let offset = |label| finished.label_offset(label);
    frame.prologue = prologue.map(offset);
    frame.epilogues = epilogues.into_iter().map(offset).collect();
    let handlers = handler_labels
        .into_iter()
        .map(|(region, index, filter, handler)| HandlerSite {
            region,
            index,
            filter_offset: filter.map(offset),
            handler_offset: offset(handler),
        })
        .collect();
    Ok(CompiledCode { frame, handlers, ..finished.code })
}

fn emit_blocks<I: TargetInst>(lowered: &Lowered<I>, allocation: &AllocationResult, emitter: &mut impl Emit<Inst = I>) {
    let code = &lowered.code;
    let mut edits = allocation.edits.iter().peekable();
    let forwarding = forwarding(lowered, allocation);
    let final_target = |block: MachBlock| forwarding[block.index()];
    let mut order = code.block_indices().filter(|&block| final_target(block) == block).peekable();
    while let Some(block) = order.next() {
        let info = &code.blocks[block.index()];
        emitter.begin_block(block, info.region);
        let next = order.peek().copied();
        for number in info.insts.clone() {
            emitter.set_source(code.sources[number as usize]);
            while let Some((_, edit)) = edits.next_if(|(point, _)| point.inst() == number && !point.is_after()) {
                emitter.edit(*edit);
            }
            let mut inst = code.insts[number as usize].clone();
            inst.assign(allocation.inst_allocations(number));
            if number + 1 == info.insts.end {
                inst.retarget(&final_target);
            }
            emitter.inst(&inst, next);
            while let Some((_, edit)) = edits.next_if(|(point, _)| point.inst() == number) {
                emitter.edit(*edit);
            }
        }
    }
}

/// By block: where a jump to it ends up. Blocks that do nothing but jump, as split edges often do, are passed over and not emitted.
fn forwarding<I: TargetInst>(lowered: &Lowered<I>, allocation: &AllocationResult) -> Vec<MachBlock> {
    let code = &lowered.code;
    let edited = |number: u32| allocation.edits.binary_search_by_key(&number, |(point, _)| point.inst()).is_ok();
    let next = |block: MachBlock| {
        let info = &code.blocks[block.index()];
        let target = code.insts[info.insts.start as usize].jump_target()?;
        (info.insts.len() == 1 && block.0 != 0 && !info.handler_entry && !edited(info.insts.start)).then_some(target)
    };
    code.block_indices()
        .map(|block| {
            let mut end = block;
            // An endless loop of jumps stays where it is.
            for _ in 0..code.blocks.len() {
                match next(end) {
                    Some(target) => end = target,
                    None => return end,
                }
            }
            block
        })
        .collect()
}
