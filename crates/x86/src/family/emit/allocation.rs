//! Allocation from the thread's window.

use super::{Anchor, Branch, Emitter, word};
use crate::family::Family;
use crate::family::encoding::{Opcode, Place, Width};
use crate::family::instructions::{Amode, Base, CompareOp, Cond, Memory, Source};
use crate::family::registers::Reg;
use ir::instruction::Window;
use ir::mach::buffer::Label;
use ir::types::{Access, Type};

/// An allocation that found too little room, out of line: its result becomes null.
pub(super) struct FailedAllocation {
    label: Label,
    back: Label,
    dst: u8,
}

impl<F: Family> Emitter<'_, F> {
    /// `dst` = `size` bytes from the window, or null. `end` is a temporary register.
    ///
    /// The collector takes the window away from a stopped thread, and finds the objects in it by walking from one to the next. So the thread
    /// may not be stopped while it holds the cursor in a register, and the cursor moves last.
    pub(super) fn try_allocate(
        &mut self,
        window: &Window,
        [dst, end]: [Reg; 2],
        method_table: Reg,
        size: &Source,
        length: Option<&(Access, Source)>,
    ) {
        let pointer = Access::Full(Type::Iptr);
        let thread = |offset: i32| Memory::safe(Amode::new(Base::Thread, offset));
        let object = |offset: i32| Memory::safe(Amode::register(dst, offset));
        self.load(pointer, false, dst.number(), &thread(window.cursor));
        self.buffer.begin_uninterruptible();
        let (index, displacement) = match size {
            Source::Reg(size) => (Some((size.number(), 0)), 0),
            Source::Imm(size) => (None, *size),
            Source::Mem(_) => return debug_assert!(false, "a size in memory"),
        };
        let place = Place::Memory { base: dst.number(), index, displacement };
        self.put(Opcode::one(0x8d), word::<F>(), end.number(), (place, Anchor::None), &[]);
        let limit = Source::Mem(thread(window.limit));
        self.compare(CompareOp::Cmp, F::WORD, end.number(), &limit);
        let failed = self.buffer.new_label();
        self.branch(Cond::A, failed);
        self.store(pointer, &object(window.method_table), &Source::Reg(method_table));
        if let Some((access, length)) = length {
            self.store(*access, &object(window.length), length);
        }
        self.store(pointer, &thread(window.cursor), &Source::Reg(end));
        self.buffer.end_uninterruptible();
        let back = self.buffer.bind_new();
        self.failed_allocations.push(FailedAllocation { label: failed, back, dst: dst.number() });
    }

    /// Emits what [`Emitter::try_allocate`] left out of line.
    pub(super) fn finish_allocations(&mut self) {
        for FailedAllocation { label, back, dst } in std::mem::take(&mut self.failed_allocations) {
            self.buffer.bind(label);
            self.put_registers(Opcode::one(0x33), Width::Narrow, dst, dst);
            self.buffer.branch(Branch::Jump, back);
        }
    }
}
