//! One function from IR to code: lower, allocate, lay out the frame, emit.

use crate::disassemble::disassemble;
use crate::emit::Emitter;
use crate::frame::{Frame, FrameNeeds};
use crate::instructions::Inst;
use crate::lower::Lowering;
use crate::registers::{Reg, register_file};
use ir::Function;
use ir::function::HandlerKind;
use ir::mach::buffer::FinishedCode;
use ir::mach::lower::{Lowered, lower_function};
use ir::mach::registers::Allocation;
use ir::mach::vcode::{AllocationResult, MachBlock};
use ir::mach::{CodegenError, CodegenOptions, CompileDump, CompiledCode, HandlerSite, allocator, checker};

/// Compiles, and describes the steps if `dump` is there.
pub fn compile(
    function: &Function,
    options: &CodegenOptions,
    mut dump: Option<&mut CompileDump>,
) -> Result<CompiledCode, CodegenError> {
    let lowered = lower(function, options)?;
    if let Some(dump) = dump.as_deref_mut() {
        dump.lowered = lowered.lowered.code.print(None);
    }
    let allocation = allocate(&lowered, options)?;
    if let Some(dump) = dump.as_deref_mut() {
        dump.allocated = lowered.lowered.code.print(Some(&allocation));
    }
    let code = emit(function, options, &lowered, &allocation)?;
    if let Some(dump) = dump {
        dump.disassembly = disassemble(&code.bytes[..code.code_len as usize], 0);
    }
    Ok(code)
}

/// A function in machine instructions, with what its frame needs.
pub struct LoweredFunction {
    /// The code.
    pub lowered: Lowered<Inst>,
    /// Bytes of outgoing arguments.
    outgoing: u32,
    /// The stack pointer varies.
    dynamic_stack: bool,
}

/// First step: chooses instructions.
pub fn lower(function: &Function, options: &CodegenOptions) -> Result<LoweredFunction, CodegenError> {
    let lowering = Lowering::new(options);
    let lowered = lower_function(function, &lowering)?;
    Ok(LoweredFunction { lowered, outgoing: lowering.outgoing.get(), dynamic_stack: lowering.dynamic_stack.get() })
}

/// Second step: assigns registers, and proves it if asked to.
pub fn allocate(lowered: &LoweredFunction, options: &CodegenOptions) -> Result<AllocationResult, CodegenError> {
    let code = &lowered.lowered.code;
    let file = register_file();
    let allocation = allocator::allocate(code, &file, options.optimize_allocation)?;
    if options.check_allocation {
        checker::check(code, &file, &allocation)?;
    }
    Ok(allocation)
}

/// Last step: lays out the frame and makes bytes.
pub fn emit(
    function: &Function,
    options: &CodegenOptions,
    lowered: &LoweredFunction,
    allocation: &AllocationResult,
) -> Result<CompiledCode, CodegenError> {
    let handlers = || function.regions.values().flat_map(|region| &region.handlers);
    let has_filter = handlers().any(|handler| matches!(handler.kind, HandlerKind::Filter(_)));
    let frame = Frame::new(
        function,
        &FrameNeeds {
            written: allocation.written,
            spill_bytes: allocation.spill_bytes,
            outgoing: lowered.outgoing,
            dynamic: lowered.dynamic_stack || has_filter,
            handlers: handlers().next().is_some(),
        },
    );
    emit_blocks(function, options, &lowered.lowered, allocation, &frame)
}

fn emit_blocks(
    function: &Function,
    options: &CodegenOptions,
    lowered: &Lowered<Inst>,
    allocation: &AllocationResult,
    frame: &Frame,
) -> Result<CompiledCode, CodegenError> {
    let code = &lowered.code;
    let mut emitter = Emitter::new(function, options, frame, code.blocks.len());
    let prologue = frame.prologue(&mut emitter.buffer);
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
            let inst = allocated(&code.insts[number as usize], allocation.inst_allocations(number));
            match inst {
                Inst::JumpIf { test, taken, otherwise } => {
                    emitter.jump_if(test, final_target(taken), final_target(otherwise), next);
                }
                Inst::Jump { target } => emitter.inst(&Inst::Jump { target: final_target(target) }),
                Inst::JumpTable { entry, table, targets } => {
                    let targets = targets.iter().copied().map(final_target).collect();
                    emitter.inst(&Inst::JumpTable { entry, table, targets });
                }
                inst => emitter.inst(&inst),
            }
            while let Some((_, edit)) = edits.next_if(|(point, _)| point.inst() == number) {
                emitter.edit(*edit);
            }
        }
    }
    emitter.finish();
    let labels = |block: MachBlock| emitter.block_label(block);
    let handler_labels: Vec<_> = function
        .regions
        .iter()
        .flat_map(|(region, data)| data.handlers.iter().enumerate().map(move |(index, handler)| (region, index, *handler)))
        .filter_map(|(region, index, handler)| {
            let filter = match handler.kind {
                HandlerKind::Filter(block) => Some(lowered.blocks[block].map(labels)?),
                _ => None,
            };
            Some((region, index as u32, filter, lowered.blocks[handler.entry].map(labels)?))
        })
        .collect();
    let epilogues = std::mem::take(&mut emitter.epilogues);
    let finished: FinishedCode = emitter.buffer.finish()?;
    let offset = |label| finished.label_offset(label);
    let mut frame_info = frame.info();
    frame_info.prologue = prologue.map(offset);
    frame_info.epilogues = epilogues.into_iter().map(offset).collect();
    let handlers = handler_labels
        .into_iter()
        .map(|(region, index, filter, handler)| HandlerSite {
            region,
            index,
            filter_offset: filter.map(offset),
            handler_offset: offset(handler),
        })
        .collect();
    Ok(CompiledCode { frame: frame_info, handlers, ..finished.code })
}

/// By block: where a jump to it ends up. Blocks that do nothing but jump, as split edges often do, are passed over and not emitted.
fn forwarding(lowered: &Lowered<Inst>, allocation: &AllocationResult) -> Vec<MachBlock> {
    let code = &lowered.code;
    let edited = |number: u32| allocation.edits.binary_search_by_key(&number, |(point, _)| point.inst()).is_ok();
    let next = |block: MachBlock| {
        let info = &code.blocks[block.index()];
        match code.insts[info.insts.start as usize] {
            Inst::Jump { target }
                if info.insts.len() == 1 && block.0 != 0 && !info.handler_entry && !edited(info.insts.start) =>
            {
                Some(target)
            }
            _ => None,
        }
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

/// The instruction with the registers that the allocator chose.
fn allocated(inst: &Inst, allocations: &[Allocation]) -> Inst {
    let mut inst = inst.clone();
    let mut next = allocations.iter();
    inst.visit_registers(&mut |register, _| {
        *register = match next.next() {
            Some(Allocation::Reg(physical)) => Reg::Physical(*physical),
            Some(Allocation::Stack(slot)) => Reg::Spill(*slot),
            _ => *register,
        };
    });
    inst
}
