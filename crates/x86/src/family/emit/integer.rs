//! Integer arithmetic, comparison, constants, loads and stores.

use super::{Anchor, Emitter, Operand, prefixed, scalar_prefix, type_width, width, word};
use crate::family::Family;
use crate::family::encoding::{Opcode, Place, Width};
use crate::family::instructions::{AluOp, Amode, Base, CompareOp, Cond, Extension, Memory, Size, Source};
use crate::family::registers::Reg;
use ir::instruction::TrapCode;
use ir::types::{Access, Type};

impl<F: Family> Emitter<'_, F> {
    /// An address computed onto one of its own parts is a plain addition. Lowering puts no address between a comparison and what
    /// looks at its flags.
    pub(super) fn add_in_place(&mut self, size: Size, dst: Reg, address: &Amode) -> bool {
        let Base::Register(base) = address.base else { return false };
        match address.index {
            None if base == dst => self.group1(0, size, (Place::Register(dst.number()), Anchor::None), address.displacement),
            Some(index) if index.shift == 0 && address.displacement == 0 && (base == dst || index.register == dst) => {
                let other = if base == dst { index.register } else { base };
                self.put_registers(Opcode::one(0x03), width(size), dst.number(), other.number());
            }
            _ => return false,
        }
        true
    }

    pub(super) fn alu(&mut self, op: AluOp, size: Size, dst: u8, rhs: &Source) {
        match rhs {
            Source::Imm(value) => self.group1(op as u8, size, (Place::Register(dst), Anchor::None), *value),
            Source::Reg(register) => {
                let place = self.register_place(*register);
                self.put(Opcode::one((op as u8) << 3 | 3), width(size), dst, (place, Anchor::None), &[]);
            }
            Source::Mem(memory) => {
                let place = self.address(&memory.address);
                self.fault_site(memory);
                self.put(Opcode::one((op as u8) << 3 | 3), width(size), dst, place, &[]);
            }
        }
    }

    /// The instructions of group 1 with an immediate: `extension` 7 is `cmp`.
    pub(super) fn group1(&mut self, extension: u8, size: Size, place: Operand, value: i32) {
        match (size, i8::try_from(value)) {
            (Size::S8, _) => self.put(Opcode::one(0x80), Width::Byte(false, true), extension, place, &[value as u8]),
            (_, Ok(short)) => self.put(prefixed(0x83, size), width(size), extension, place, &[short as u8]),
            (Size::S16, _) => {
                let immediate = (value as i16).to_le_bytes();
                match i8::try_from(value as i16) {
                    Ok(short) => self.put(prefixed(0x83, size), width(size), extension, place, &[short as u8]),
                    Err(_) => self.put(prefixed(0x81, size), width(size), extension, place, &immediate),
                }
            }
            // The accumulator has a form without ModRM.
            (Size::S32, _) if place.0 == Place::Register(0) => {
                self.buffer.put1(extension << 3 | 5);
                self.buffer.put4(value as u32);
            }
            _ => self.put(Opcode::one(0x81), width(size), extension, place, &value.to_le_bytes()),
        }
    }

    pub(super) fn alu_memory(&mut self, op: AluOp, size: Size, memory: &Memory, source: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match source {
            Source::Imm(value) => self.group1(op as u8, size, place, *value),
            Source::Reg(register) => match size {
                Size::S8 => self.put(Opcode::one((op as u8) << 3), Width::Byte(true, false), register.number(), place, &[]),
                _ => self.put(prefixed((op as u8) << 3 | 1, size), width(size), register.number(), place, &[]),
            },
            Source::Mem(_) => debug_assert!(false, "two memory operands"),
        }
    }

    pub(super) fn compare(&mut self, op: CompareOp, size: Size, lhs: u8, rhs: &Source) {
        let place = (Place::Register(lhs), Anchor::None);
        match (op, rhs) {
            (CompareOp::Cmp, Source::Imm(0)) => self.put_registers(Opcode::one(0x85), width(size), lhs, lhs),
            (CompareOp::Cmp, Source::Imm(value)) => self.group1(7, size, place, *value),
            (CompareOp::Test, Source::Imm(value)) => self.test_immediate(size, place, *value),
            (_, Source::Reg(register)) => {
                let other = (self.register_place(*register), Anchor::None);
                let byte = if op == CompareOp::Cmp { 0x3b } else { 0x85 };
                self.put(Opcode::one(byte), width(size), lhs, other, &[]);
            }
            (_, Source::Mem(memory)) => {
                let other = self.address(&memory.address);
                self.fault_site(memory);
                let byte = if op == CompareOp::Cmp { 0x3b } else { 0x85 };
                self.put(Opcode::one(byte), width(size), lhs, other, &[]);
            }
        }
    }

    pub(super) fn test_immediate(&mut self, size: Size, place: Operand, value: i32) {
        match (size, place.0) {
            // Low bytes of registers can be tested alone where the sign is not asked for.
            (Size::S32 | Size::S64, Place::Register(register)) if (0..128).contains(&value) && register < F::BYTE_REGISTERS => {
                self.put(Opcode::one(0xf6), Width::Byte(false, true), 0, place, &[value as u8]);
            }
            (Size::S8, _) => self.put(Opcode::one(0xf6), Width::Byte(false, true), 0, place, &[value as u8]),
            (Size::S16, _) => self.put(prefixed(0xf7, size), width(size), 0, place, &(value as u16).to_le_bytes()),
            _ => self.put(Opcode::one(0xf7), width(size), 0, place, &value.to_le_bytes()),
        }
    }

    pub(super) fn compare_memory(&mut self, op: CompareOp, size: Size, memory: &Memory, rhs: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match (op, rhs) {
            (CompareOp::Cmp, Source::Imm(value)) => self.group1(7, size, place, *value),
            (CompareOp::Test, Source::Imm(value)) => self.test_immediate(size, place, *value),
            (_, Source::Reg(register)) => {
                let wide = if op == CompareOp::Cmp { 0x39 } else { 0x85 };
                match size {
                    Size::S8 => self.put(Opcode::one(wide - 1), Width::Byte(true, false), register.number(), place, &[]),
                    _ => self.put(prefixed(wide, size), width(size), register.number(), place, &[]),
                }
            }
            (_, Source::Mem(_)) => debug_assert!(false, "two memory operands"),
        }
    }

    pub(super) fn constant(&mut self, size: Size, dst: u8, value: i64) {
        let value = if size == Size::S64 { value } else { i64::from(value as u32) };
        if value == 0 {
            return self.put_registers(Opcode::one(0x33), Width::Narrow, dst, dst);
        }
        if let Ok(value) = u32::try_from(value) {
            if dst >= 8 {
                self.buffer.put1(0x41);
            }
            self.buffer.put1(0xb8 | dst & 7);
            self.buffer.put4(value);
        } else if let Ok(value) = i32::try_from(value) {
            self.put(Opcode::one(0xc7), Width::Wide, 0, (Place::Register(dst), Anchor::None), &value.to_le_bytes());
        } else {
            self.buffer.put_bytes(&[0x48 | dst >> 3, 0xb8 | dst & 7]);
            self.buffer.put8(value as u64);
        }
    }

    pub(super) fn load(&mut self, access: Access, extend_to_64: bool, dst: u8, memory: &Memory) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        let wide = if extend_to_64 { Width::Wide } else { Width::Narrow };
        let (opcode, width) = match access {
            Access::I8 => (Opcode::two(0xbe), wide),
            Access::U8 => (Opcode::two(0xb6), Width::Narrow),
            Access::I16 => (Opcode::two(0xbf), wide),
            Access::U16 => (Opcode::two(0xb7), Width::Narrow),
            Access::Full(Type::I32) if extend_to_64 => (Opcode::one(0x63), Width::Wide),
            Access::Full(Type::I32) => (Opcode::one(0x8b), Width::Narrow),
            Access::Full(ty @ (Type::F32 | Type::F64)) => (Opcode::sse(scalar_prefix(ty), 0x10), Width::Narrow),
            Access::Full(Type::V128) => (Opcode::two(0x10), Width::Narrow),
            Access::Full(_) => (Opcode::one(0x8b), word::<F>()),
        };
        self.put(opcode, width, dst, place, &[]);
    }

    pub(super) fn store(&mut self, access: Access, memory: &Memory, source: &Source) {
        let place = self.address(&memory.address);
        self.fault_site(memory);
        match source {
            Source::Imm(value) => match access {
                Access::I8 | Access::U8 => self.put(Opcode::one(0xc6), Width::Narrow, 0, place, &[*value as u8]),
                Access::I16 | Access::U16 => {
                    let opcode = Opcode::one(0xc7).with_prefix(0x66);
                    self.put(opcode, Width::Narrow, 0, place, &(*value as u16).to_le_bytes());
                }
                Access::Full(ty) => {
                    let width = type_width::<F>(ty);
                    self.put(Opcode::one(0xc7), width, 0, place, &value.to_le_bytes());
                }
            },
            Source::Reg(register) => match access {
                Access::Full(ty @ (Type::F32 | Type::F64)) => {
                    self.put(Opcode::sse(scalar_prefix(ty), 0x11), Width::Narrow, register.number(), place, &[]);
                }
                Access::Full(Type::V128) => self.put(Opcode::two(0x11), Width::Narrow, register.number(), place, &[]),
                access => self.put_sized(0x89, access, register.number(), place),
            },
            Source::Mem(_) => debug_assert!(false, "two memory operands"),
        }
    }

    /// A one-byte opcode whose byte form is one less, at the width of an integer access.
    pub(super) fn put_sized(&mut self, byte: u8, access: Access, register: u8, place: Operand) {
        match access {
            Access::I8 | Access::U8 => self.put(Opcode::one(byte - 1), Width::Byte(true, false), register, place, &[]),
            Access::I16 | Access::U16 => {
                self.put(Opcode::one(byte).with_prefix(0x66), Width::Narrow, register, place, &[]);
            }
            Access::Full(ty) => {
                let width = type_width::<F>(ty);
                self.put(Opcode::one(byte), width, register, place, &[]);
            }
        }
    }

    /// The same after `0F`.
    pub(super) fn put_sized_two(&mut self, byte: u8, access: Access, register: u8, place: Operand) {
        match access {
            Access::I8 | Access::U8 => self.put(Opcode::two(byte - 1), Width::Byte(true, false), register, place, &[]),
            Access::I16 | Access::U16 => {
                self.put(Opcode::two(byte).with_prefix(0x66), Width::Narrow, register, place, &[]);
            }
            Access::Full(ty) => {
                let width = type_width::<F>(ty);
                self.put(Opcode::two(byte), width, register, place, &[]);
            }
        }
    }

    /// Widens what an instruction left in the low part of a register.
    pub(super) fn widen(&mut self, access: Access, register: u8) {
        match access {
            Access::I8 => self.extend(Extension::Signed8, register, register),
            Access::U8 => self.extend(Extension::Unsigned8, register, register),
            Access::I16 => self.extend(Extension::Signed16, register, register),
            Access::U16 => self.extend(Extension::Unsigned16, register, register),
            Access::Full(_) => {}
        }
    }

    pub(super) fn extend(&mut self, kind: Extension, dst: u8, src: u8) {
        let (opcode, width) = match kind {
            Extension::Signed8 => (Opcode::two(0xbe), Width::Byte(false, true)),
            Extension::Unsigned8 => (Opcode::two(0xb6), Width::Byte(false, true)),
            Extension::Signed16 => (Opcode::two(0xbf), Width::Narrow),
            Extension::Unsigned16 => (Opcode::two(0xb7), Width::Narrow),
            Extension::Signed32 => (Opcode::one(0x63), Width::Wide),
            Extension::Unsigned32 => (Opcode::one(0x8b), Width::Narrow),
        };
        self.put_registers(opcode, width, dst, src);
    }

    pub(super) fn divide(&mut self, size: Size, signed: bool, rhs: u8, check_overflow: bool, check_zero: bool) {
        if signed && check_overflow {
            // Only for -1 the dividend matters: subtracting 1 overflows for the minimum alone.
            let good = self.buffer.new_label();
            let overflow = self.trap_label(TrapCode::Overflow);
            self.group1(7, size, (Place::Register(rhs), Anchor::None), -1);
            self.branch(Cond::Ne, good);
            self.group1(7, size, (Place::Register(0), Anchor::None), 1);
            self.branch(Cond::O, overflow);
            self.buffer.bind(good);
        }
        match (signed, size) {
            (true, Size::S64) => self.buffer.put_bytes(&[0x48, 0x99]), // cqo
            (true, _) => self.buffer.put1(0x99),                       // cdq
            (false, _) => self.put_registers(Opcode::one(0x31), Width::Narrow, 2, 2),
        }
        if check_zero {
            self.buffer.trap(TrapCode::DivideByZero);
        }
        self.put_registers(Opcode::one(0xf7), width(size), if signed { 7 } else { 6 }, rhs);
    }
}
