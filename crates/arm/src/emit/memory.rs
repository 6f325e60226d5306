//! Addresses, loads and stores, atomics, loops over memory, allocation, the dynamic stack.

use super::{AL, Emitter, immediate, operand};
use crate::encoding::{
    Address, Condition, DataOp, ExclusiveSize, ExtendOp, FloatSize, Operand2, Shift, Transfer, compare, constant, data, dmb_ish,
    extend, float_load, float_store, load_exclusive, mov, store_exclusive, transfer,
};
use crate::frame::{INCOMING_ARGUMENTS, add_constant};
use crate::instructions::{Amode, AtomicOp, Base, Memory, Source};
use crate::registers::{FP, IP, LR, Reg, SP, THREAD};
use ir::entity::Entity;
use ir::instruction::{TrapCode, Window};
use ir::types::{Access, Type};

/// Bytes that `stack_alloc` is aligned to.
const STACK_ALIGN: u32 = 16;
const PAGE: u32 = 4096;

impl Emitter<'_> {
    /// Base register and displacement of an address without index.
    fn base(&self, address: &Amode) -> (u8, i32) {
        let (register, offset) = match address.base {
            Base::Register(register) => (register.number(), 0),
            Base::Slot(slot) => (FP.number(), self.frame.slots[slot.index()]),
            Base::Outgoing => (SP.number(), 0),
            Base::Incoming => (FP.number(), INCOMING_ARGUMENTS),
            Base::Thread => (THREAD.number(), 0),
            Base::Frame => (FP.number(), 0),
        };
        (register, address.displacement.wrapping_add(offset))
    }

    /// The same with a displacement in reach: `mask` is the largest one. Makes a nearer base in lr if need be.
    fn near(&mut self, base: u8, displacement: i32, mask: u32) -> (u8, i32) {
        let size = displacement.unsigned_abs();
        if size & !mask == 0 {
            return (base, displacement);
        }
        // A displacement that is no multiple of what the mask leaves out goes to the base whole.
        let unaligned = size & (mask & mask.wrapping_neg()).wrapping_sub(1) != 0;
        let near = if unaligned { 0 } else { (size & mask) as i32 * displacement.signum() };
        add_constant(&mut self.buffer, LR.number(), base, displacement.wrapping_sub(near));
        (LR.number(), near)
    }

    /// dst = address
    pub(super) fn address(&mut self, dst: u8, address: &Amode) {
        let (base, displacement) = self.base(address);
        match address.index {
            Some(index) => {
                let index = Operand2::Shifted(index.register.number(), Shift::Lsl, index.shift);
                self.put(data(AL, DataOp::Add, false, dst, base, index));
            }
            None => add_constant(&mut self.buffer, dst, base, displacement),
        }
    }

    fn fault_site(&mut self, faults: bool) {
        if faults {
            self.buffer.trap(TrapCode::NullReference);
        }
    }

    /// Loads or stores a general register at any displacement.
    pub(super) fn transfer(&mut self, op: Transfer, register: u8, base: u8, displacement: i32) {
        let (base, displacement) = self.near(base, displacement, op.reach() as u32);
        self.put(transfer(AL, op, register, Address::at(base, displacement)));
    }

    fn transfer_memory(&mut self, op: Transfer, register: u8, memory: &Memory) {
        let (base, displacement) = self.base(&memory.address);
        let place = match memory.address.index {
            Some(index) => Address::indexed(base, index.register.number(), index.shift),
            None => {
                let (base, displacement) = self.near(base, displacement, op.reach() as u32);
                Address::at(base, displacement)
            }
        };
        self.fault_site(memory.faults);
        self.put(transfer(AL, op, register, place));
    }

    fn transfer_float(&mut self, load: bool, size: FloatSize, register: u8, memory: &Memory) {
        let (base, displacement) = self.base(&memory.address);
        let (base, displacement) = self.near(base, displacement, 1020);
        self.fault_site(memory.faults);
        let encode = if load { float_load } else { float_store };
        self.put(encode(AL, size, size.register(register), base, displacement));
    }

    pub(super) fn load(&mut self, access: Access, dst: u8, memory: &Memory) {
        let op = match access {
            Access::I8 => Transfer::Ldrsb,
            Access::U8 => Transfer::Ldrb,
            Access::I16 => Transfer::Ldrsh,
            Access::U16 => Transfer::Ldrh,
            Access::Full(Type::F32) => return self.transfer_float(true, FloatSize::F32, dst, memory),
            Access::Full(Type::F64) => return self.transfer_float(true, FloatSize::F64, dst, memory),
            Access::Full(_) => Transfer::Ldr,
        };
        self.transfer_memory(op, dst, memory);
    }

    pub(super) fn store(&mut self, access: Access, memory: &Memory, source: u8) {
        let op = match access {
            Access::I8 | Access::U8 => Transfer::Strb,
            Access::I16 | Access::U16 => Transfer::Strh,
            Access::Full(Type::F32) => return self.transfer_float(false, FloatSize::F32, source, memory),
            Access::Full(Type::F64) => return self.transfer_float(false, FloatSize::F64, source, memory),
            Access::Full(_) => Transfer::Str,
        };
        self.transfer_memory(op, source, memory);
    }

    /// Moves a register from or to the frame.
    pub(super) fn move_slot(&mut self, load: bool, ty: Type, register: u8, offset: i32) {
        let memory = Memory::safe(Amode::new(Base::Frame, offset));
        if load {
            self.load(Access::Full(ty), register, &memory);
        } else {
            self.store(Access::Full(ty), &memory, register);
        }
    }

    /// Widens the value of a narrow access whose upper bits are clear.
    fn widen(&mut self, access: Access, register: u8) {
        match access {
            Access::I8 => self.put(extend(AL, ExtendOp::Sxtb, register, register)),
            Access::I16 => self.put(extend(AL, ExtendOp::Sxth, register, register)),
            Access::U8 | Access::U16 | Access::Full(_) => {}
        }
    }

    pub(super) fn atomic_update(&mut self, op: AtomicOp, access: Access, [dst, operand, address, temp]: [u8; 4], faults: bool) {
        let size = exclusive_size(access);
        self.put(dmb_ish());
        let again = self.buffer.bind_new();
        self.fault_site(faults);
        self.put(load_exclusive(AL, size, dst, address));
        let new = match op {
            AtomicOp::Add => {
                self.put(data(AL, DataOp::Add, false, temp, dst, Operand2::Register(operand)));
                temp
            }
            AtomicOp::Exchange => operand,
        };
        self.store_exclusive(size, new, address);
        self.branch(Condition::Ne, again);
        self.put(dmb_ish());
        self.widen(access, dst);
    }

    pub(super) fn atomic_compare_exchange(
        &mut self,
        access: Access,
        [dst, expected, replacement, address]: [u8; 4],
        faults: bool,
    ) {
        let size = exclusive_size(access);
        let done = self.buffer.new_label();
        self.put(dmb_ish());
        let again = self.buffer.bind_new();
        self.fault_site(faults);
        self.put(load_exclusive(AL, size, dst, address));
        self.put(compare(AL, DataOp::Cmp, dst, Operand2::Register(expected)));
        self.branch(Condition::Ne, done);
        self.store_exclusive(size, replacement, address);
        self.branch(Condition::Ne, again);
        self.buffer.bind(done);
        self.put(dmb_ish());
        self.widen(access, dst);
    }

    /// Stores if nobody else did since the exclusive load; the flags say "equal" then.
    fn store_exclusive(&mut self, size: ExclusiveSize, register: u8, address: u8) {
        self.put(store_exclusive(AL, size, IP.number(), register, address));
        self.put(compare(AL, DataOp::Cmp, IP.number(), immediate(0)));
    }

    /// Word by word from the end: copies from `source` by way of `word`, or stores what is in `word`.
    pub(super) fn repeat(&mut self, destination: u8, source: Option<u8>, bytes: u32, offset: u8, word: u8) {
        self.put_all(constant(AL, offset, bytes));
        let again = self.buffer.bind_new();
        self.put(data(AL, DataOp::Sub, true, offset, offset, immediate(4)));
        if let Some(source) = source {
            self.fault_site(true);
            self.put(transfer(AL, Transfer::Ldr, word, Address::indexed(source, offset, 0)));
        }
        self.fault_site(true);
        self.put(transfer(AL, Transfer::Str, word, Address::indexed(destination, offset, 0)));
        self.branch(Condition::Ne, again);
    }

    /// Takes `size` bytes from the window, or gives null.
    ///
    /// The collector takes the window away from a stopped thread, and finds the objects in it by walking from one to the next. So the
    /// thread may not be stopped while it holds the cursor in a register, and the cursor moves last.
    pub(super) fn try_allocate(
        &mut self,
        window: &Window,
        [dst, end]: [Reg; 2],
        method_table: Reg,
        size: &Source,
        length: Option<Reg>,
    ) {
        let (dst, end, enough) = (dst.number(), end.number(), Condition::Ls);
        let store = |emitter: &mut Self, register: u8, base: u8, offset: i32| {
            debug_assert!(offset.abs() <= Transfer::Str.reach());
            emitter.put(transfer(enough, Transfer::Str, register, Address::at(base, offset)));
        };
        self.transfer(Transfer::Ldr, dst, THREAD.number(), window.cursor);
        self.buffer.begin_uninterruptible();
        self.transfer(Transfer::Ldr, IP.number(), THREAD.number(), window.limit);
        self.put(data(AL, DataOp::Add, false, end, dst, operand(size)));
        self.put(compare(AL, DataOp::Cmp, end, Operand2::Register(IP.number())));
        store(self, method_table.number(), dst, window.method_table);
        if let Some(length) = length {
            store(self, length.number(), dst, window.length);
        }
        store(self, end, THREAD.number(), window.cursor);
        self.buffer.end_uninterruptible();
        self.put(mov(enough.inverted(), dst, immediate(0)));
    }

    pub(super) fn stack_alloc(&mut self, dst: u8, size: u8) {
        let (sp, left, page) = (SP.number(), IP.number(), LR.number());
        let add = |destination: u8, source: u8, operand: Operand2| data(AL, DataOp::Add, false, destination, source, operand);
        let subtract =
            |destination: u8, source: u8, operand: Operand2| data(AL, DataOp::Sub, false, destination, source, operand);
        let (again, rest) = (self.buffer.new_label(), self.buffer.new_label());
        self.put(add(left, size, immediate(STACK_ALIGN - 1)));
        // Every page is touched in order, so that the guard page is not skipped.
        self.buffer.bind(again);
        self.put(compare(AL, DataOp::Cmp, left, immediate(PAGE)));
        self.branch(Condition::Lo, rest);
        self.put(subtract(sp, sp, immediate(PAGE)));
        self.put(transfer(AL, Transfer::Ldr, page, Address::at(sp, 0)));
        self.put(subtract(left, left, immediate(PAGE)));
        self.branch(AL, again);
        self.buffer.bind(rest);
        self.put(subtract(left, sp, Operand2::Register(left)));
        self.put(data(AL, DataOp::Bic, false, left, left, immediate(STACK_ALIGN - 1)));
        self.put(mov(AL, sp, Operand2::Register(left)));
        // Above the outgoing arguments lies the frame pointer, then words for alignment.
        let outgoing = self.frame.outgoing as i32;
        let saved_sp = self.frame.saved_sp.unwrap_or(0);
        self.transfer(Transfer::Str, sp, FP.number(), saved_sp);
        self.transfer(Transfer::Str, FP.number(), sp, outgoing);
        add_constant(&mut self.buffer, dst, sp, outgoing + STACK_ALIGN as i32);
    }
}

fn exclusive_size(access: Access) -> ExclusiveSize {
    match access {
        Access::I8 | Access::U8 => ExclusiveSize::Byte,
        Access::I16 | Access::U16 => ExclusiveSize::Half,
        Access::Full(_) => ExclusiveSize::Word,
    }
}
