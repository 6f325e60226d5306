//! Instructions on vector registers.

use super::{Anchor, Branch, Emitter, scalar_prefix, width};
use crate::family::Family;
use crate::family::encoding::{Opcode, Place, Width};
use crate::family::instructions::{Cond, Inst, Memory, Size, XmmOp};
use ir::types::Type;

impl<F: Family> Emitter<'_, F> {
    /// Emits an instruction that works on floats.
    pub(super) fn float_inst(&mut self, inst: &Inst) {
        match inst {
            Inst::Xmm { op, ty, dst, rhs, .. } => {
                let place = self.place(rhs);
                self.operand_fault(rhs);
                let opcode = xmm_opcode(*op, *ty);
                let predicate: &[u8] = match op {
                    XmmOp::CompareEqual => &[0],
                    XmmOp::CompareNotEqual => &[4],
                    _ => &[],
                };
                self.put(opcode, Width::Narrow, dst.number(), place, predicate);
            }
            Inst::XmmUnary { op, ty, dst, src } => {
                self.put_registers(xmm_opcode(*op, *ty), Width::Narrow, dst.number(), src.number());
            }
            Inst::XmmZero { dst } => self.put_registers(Opcode::two(0x57), Width::Narrow, dst.number(), dst.number()),
            Inst::FloatConvert { ty, dst, src } => {
                let from = if *ty == Type::F64 { Type::F32 } else { Type::F64 };
                self.put_registers(Opcode::sse(scalar_prefix(from), 0x5a), Width::Narrow, dst.number(), src.number());
            }
            Inst::IntToFloat { size, ty, dst, src } => {
                let place = self.place(src);
                // The conversion keeps the upper lanes: without this it would wait for them.
                self.put_registers(Opcode::two(0x57), Width::Narrow, dst.number(), dst.number());
                self.operand_fault(src);
                self.put(Opcode::sse(scalar_prefix(*ty), 0x2a), width(*size), dst.number(), place, &[]);
            }
            Inst::FloatToInt { size, ty, dst, src } => {
                self.put_registers(Opcode::sse(scalar_prefix(*ty), 0x2c), width(*size), dst.number(), src.number());
            }
            Inst::UintToFloat { ty, dst, src, temp1, temp2 } => {
                self.uint_to_float(*ty, dst.number(), src.number(), temp1.number(), temp2.number());
            }
            Inst::FloatToUint { ty, dst, src, limit, temp } => {
                self.float_to_uint(*ty, dst.number(), src.number(), limit.number(), temp.number());
            }
            Inst::FloatToUintX87 { ty, dst, src, memory } => self.float_to_uint_x87(*ty, dst.number(), src.number(), memory),
            Inst::StoreX87 { ty, memory } => self.x87(*ty, 3, memory),
            Inst::LoadX87 { ty, memory } => self.x87(*ty, 0, memory),
            Inst::MoveBits { to_xmm, size, dst, src } => {
                let (byte, xmm, general) =
                    if *to_xmm { (0x6e, dst.number(), src.number()) } else { (0x7e, src.number(), dst.number()) };
                self.put_registers(Opcode::sse(0x66, byte), width(*size), xmm, general);
            }
            Inst::CompareFloat { ty, lhs, rhs } => {
                let place = self.place(rhs);
                self.operand_fault(rhs);
                let prefix = if *ty == Type::F64 { 0x66 } else { 0 };
                self.put(Opcode::sse(prefix, 0x2e), Width::Narrow, lhs.number(), place, &[]);
            }
            _ => debug_assert!(false, "not an instruction on floats"),
        }
    }

    fn uint_to_float(&mut self, ty: Type, dst: u8, src: u8, temp1: u8, temp2: u8) {
        let convert = Opcode::sse(scalar_prefix(ty), 0x2a);
        let large = self.buffer.new_label();
        let done = self.buffer.new_label();
        self.put_registers(Opcode::two(0x57), Width::Narrow, dst, dst);
        self.put_registers(Opcode::one(0x85), Width::Wide, src, src);
        self.branch(Cond::S, large);
        self.put_registers(convert, Width::Wide, dst, src);
        self.buffer.branch(Branch::Jump, done);
        // Half of it, with the lowest bit kept sticky for rounding, and then twice that.
        self.buffer.bind(large);
        let half = (Place::Register(temp1), Anchor::None);
        self.put_registers(Opcode::one(0x89), Width::Wide, src, temp1);
        self.put(Opcode::one(0xd1), Width::Wide, 5, half, &[]);
        self.put_registers(Opcode::one(0x89), Width::Narrow, src, temp2);
        self.group1(4, Size::S32, (Place::Register(temp2), Anchor::None), 1);
        self.put_registers(Opcode::one(0x09), Width::Wide, temp2, temp1);
        self.put_registers(convert, Width::Wide, dst, temp1);
        self.put_registers(Opcode::sse(scalar_prefix(ty), 0x58), Width::Narrow, dst, dst);
        self.buffer.bind(done);
    }

    fn float_to_uint(&mut self, ty: Type, dst: u8, src: u8, limit: u8, temp: u8) {
        let convert = Opcode::sse(scalar_prefix(ty), 0x2c);
        let small = self.buffer.new_label();
        let done = self.buffer.new_label();
        let compare_prefix = if ty == Type::F64 { 0x66 } else { 0 };
        self.put_registers(Opcode::sse(compare_prefix, 0x2e), Width::Narrow, limit, src);
        self.branch(Cond::A, small);
        self.put_registers(Opcode::two(0x28), Width::Narrow, temp, src);
        self.put_registers(Opcode::sse(scalar_prefix(ty), 0x5c), Width::Narrow, temp, limit);
        self.put_registers(convert, Width::Wide, dst, temp);
        // btc: flips the top bit
        self.put(Opcode::two(0xba), Width::Wide, 7, (Place::Register(dst), Anchor::None), &[63]);
        self.buffer.branch(Branch::Jump, done);
        self.buffer.bind(small);
        self.put_registers(convert, Width::Wide, dst, src);
        self.buffer.bind(done);
    }

    /// `fld` (0) or `fstp` (3) of memory.
    fn x87(&mut self, ty: Type, operation: u8, memory: &Memory) {
        let place = self.address(&memory.address);
        let opcode = if ty == Type::F64 { 0xdd } else { 0xd9 };
        self.put(Opcode::one(opcode), Width::Narrow, operation, place, &[]);
    }

    /// The conversion to 32 bits tells by the minimum that it does not know; then the x87, told to truncate, converts to 64.
    fn float_to_uint_x87(&mut self, ty: Type, dst: u8, src: u8, memory: &Memory) {
        let done = self.buffer.new_label();
        self.put_registers(Opcode::sse(scalar_prefix(ty), 0x2c), Width::Narrow, dst, src);
        self.group1(7, Size::S32, (Place::Register(dst), Anchor::None), 1);
        self.branch(Cond::No, done);
        let at = |offset: i32| Memory::safe(memory.address.offset(offset));
        let (number, old_control, control) = (at(0), at(8), at(12));
        let word = |emitter: &mut Self, opcode: Opcode, register: u8, memory: &Memory, immediate: &[u8]| {
            let place = emitter.address(&memory.address);
            emitter.put(opcode, Width::Narrow, register, place, immediate);
        };
        word(self, Opcode::sse(scalar_prefix(ty), 0x11), src, &number, &[]);
        self.x87(ty, 0, &number);
        word(self, Opcode::one(0xd9), 7, &old_control, &[]); // fnstcw
        word(self, Opcode::two(0xb7), dst, &old_control, &[]); // movzx
        self.group1(1, Size::S32, (Place::Register(dst), Anchor::None), 0x0c00);
        word(self, Opcode::one(0x89), dst, &control, &[]);
        word(self, Opcode::one(0xd9), 5, &control, &[]); // fldcw
        word(self, Opcode::one(0xdf), 7, &number, &[]); // fistp, 64 bits
        word(self, Opcode::one(0xd9), 5, &old_control, &[]);
        word(self, Opcode::one(0x8b), dst, &number, &[]);
        self.buffer.bind(done);
    }
}

fn xmm_opcode(op: XmmOp, ty: Type) -> Opcode {
    let byte = match op {
        XmmOp::And => return Opcode::two(0x54),
        XmmOp::AndNot => return Opcode::two(0x55),
        XmmOp::Or => return Opcode::two(0x56),
        XmmOp::Xor => return Opcode::two(0x57),
        XmmOp::Sqrt => 0x51,
        XmmOp::Add => 0x58,
        XmmOp::Mul => 0x59,
        XmmOp::Sub => 0x5c,
        XmmOp::Div => 0x5e,
        XmmOp::CompareEqual | XmmOp::CompareNotEqual => 0xc2,
    };
    Opcode::sse(scalar_prefix(ty), byte)
}
