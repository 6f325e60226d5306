//! Decoding of IL byte streams (ECMA-335 III).

mod opcodes;

use std::fmt;

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::tables::Token;

pub use opcodes::Opcode;

/// What follows an opcode in the byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperandKind {
    /// Nothing.
    None,
    /// A signed byte that is a number.
    I8,
    /// An unsigned byte that is a mask (`unaligned.`, `no.`).
    U8,
    /// A four-byte integer.
    I32,
    /// An eight-byte integer.
    I64,
    /// A four-byte float.
    R4,
    /// An eight-byte float.
    R8,
    /// A metadata token.
    Token,
    /// A token of a user string.
    String,
    /// A one-byte branch distance.
    ShortBranch,
    /// A four-byte branch distance.
    Branch,
    /// A table of four-byte branch distances.
    Switch,
    /// A one-byte number of a local variable or argument.
    ShortVariable,
    /// A two-byte number of a local variable or argument.
    Variable,
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlFlow {
    /// To the next instruction.
    Next,
    /// To the target.
    Branch,
    /// To the target or to the next instruction.
    CondBranch,
    /// Into a method and back.
    Call,
    /// Out of the method, the filter or the finally block.
    Return,
    /// To a handler.
    Throw,
    /// It is a prefix of the next instruction.
    Prefix,
    /// To the debugger and back.
    Break,
}

/// The static facts of one opcode.
#[derive(Debug)]
pub struct OpcodeInfo {
    /// The assembler's name.
    pub name: &'static str,
    /// The code: one byte, or `0xfe` and a second byte as `0xfe00 | second`.
    pub code: u16,
    /// What follows it.
    pub operand: OperandKind,
    /// Values taken from the stack; `None` if that depends on the operand or the method.
    pub pops: Option<u8>,
    /// Values put on the stack; `None` if that depends on the operand.
    pub pushes: Option<u8>,
    /// Where control goes.
    pub flow: ControlFlow,
}

/// An instruction's operand. Offsets are from the start of the method's IL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand<'a> {
    /// There is none.
    None,
    /// An integer of one byte (sign-extended, but of the `U8` kind zero-extended) or four bytes.
    I32(i32),
    /// An integer of eight bytes.
    I64(i64),
    /// A float.
    R4(f32),
    /// A double.
    R8(f64),
    /// A metadata token.
    Token(Token),
    /// Offset in the user string heap.
    String(u32),
    /// Offset of the instruction branched to.
    Target(u32),
    /// Targets of a `switch`.
    Switch(SwitchTargets<'a>),
    /// Number of a local variable or argument.
    Variable(u16),
}

/// The targets of a `switch`, read from the IL when asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwitchTargets<'a> {
    distances: &'a [u8],
    base: u32,
}

impl<'a> SwitchTargets<'a> {
    /// Number of targets.
    pub fn len(&self) -> usize {
        self.distances.len() / 4
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.distances.is_empty()
    }

    /// The absolute offsets of the targets.
    pub fn iter(&self) -> impl Iterator<Item = u32> + 'a {
        let base = self.base;
        self.distances
            .chunks_exact(4)
            .map(move |bytes| base.wrapping_add(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
    }
}

/// One instruction (a prefix is an instruction of its own).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction<'a> {
    /// Its offset in the method's IL.
    pub offset: u32,
    /// Offset of the instruction after it.
    pub next: u32,
    /// What it does.
    pub opcode: Opcode,
    /// Its operand.
    pub operand: Operand<'a>,
}

impl<'a> Instruction<'a> {
    /// The same operation in its general form, with the operand the short form implies: `ldarg.1` becomes
    /// `ldarg` with variable 1, `ldc.i4.m1` becomes `ldc.i4` with -1, `beq.s` becomes `beq`.
    ///
    /// What consumes instructions needs to know only the general forms.
    pub fn general(&self) -> (Opcode, Operand<'a>) {
        use Opcode::*;
        let number = |first: Opcode| self.opcode as u16 - first as u16;
        let variable = |general: Opcode, first: Opcode| (general, Operand::Variable(number(first)));
        match self.opcode {
            Ldarg0 | Ldarg1 | Ldarg2 | Ldarg3 => variable(Ldarg, Ldarg0),
            Ldloc0 | Ldloc1 | Ldloc2 | Ldloc3 => variable(Ldloc, Ldloc0),
            Stloc0 | Stloc1 | Stloc2 | Stloc3 => variable(Stloc, Stloc0),
            LdcI4M1 | LdcI40 | LdcI41 | LdcI42 | LdcI43 | LdcI44 | LdcI45 | LdcI46 | LdcI47 | LdcI48 => {
                (LdcI4, Operand::I32(i32::from(number(LdcI4M1)) - 1))
            }
            LdargS => (Ldarg, self.operand),
            LdargaS => (Ldarga, self.operand),
            StargS => (Starg, self.operand),
            LdlocS => (Ldloc, self.operand),
            LdlocaS => (Ldloca, self.operand),
            StlocS => (Stloc, self.operand),
            LdcI4S => (LdcI4, self.operand),
            BrS => (Br, self.operand),
            BrfalseS => (Brfalse, self.operand),
            BrtrueS => (Brtrue, self.operand),
            BeqS => (Beq, self.operand),
            BgeS => (Bge, self.operand),
            BgtS => (Bgt, self.operand),
            BleS => (Ble, self.operand),
            BltS => (Blt, self.operand),
            BneUnS => (BneUn, self.operand),
            BgeUnS => (BgeUn, self.operand),
            BgtUnS => (BgtUn, self.operand),
            BleUnS => (BleUn, self.operand),
            BltUnS => (BltUn, self.operand),
            LeaveS => (Leave, self.operand),
            opcode => (opcode, self.operand),
        }
    }
}

impl fmt::Display for Instruction<'_> {
    /// As Mono's disassembler writes it, with tokens as numbers.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IL_{:04x}: {:<10}", self.offset, self.opcode.info().name)?;
        match self.operand {
            Operand::None => Ok(()),
            Operand::I32(value) => write!(formatter, "{value}"),
            Operand::I64(value) => write!(formatter, "{value}"),
            Operand::R4(value) => write!(formatter, "{value}"),
            Operand::R8(value) => write!(formatter, "{value}"),
            Operand::Token(token) => write!(formatter, "{token}"),
            Operand::String(offset) => write!(formatter, "0x{:08x}", 0x7000_0000 | offset),
            Operand::Target(target) => write!(formatter, "IL_{target:04x}"),
            Operand::Switch(targets) => {
                let targets: Vec<String> = targets.iter().map(|target| format!("IL_{target:04x}")).collect();
                write!(formatter, "({})", targets.join(", "))
            }
            Operand::Variable(number) => write!(formatter, "{number}"),
        }
    }
}

/// Iterates over the instructions of a method's IL. After an error it ends.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    il: &'a [u8],
    offset: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `il`.
    pub fn new(il: &'a [u8]) -> Decoder<'a> {
        Decoder { il, offset: 0 }
    }

    /// A decoder at an offset, which must be that of an instruction.
    pub fn at(il: &'a [u8], offset: u32) -> Decoder<'a> {
        Decoder { il, offset: offset as usize }
    }

    /// Offset of the next instruction.
    pub fn offset(&self) -> u32 {
        self.offset as u32
    }

    fn decode(&self) -> Result<Instruction<'a>> {
        let mut cursor = Cursor::at(self.il, self.offset);
        let first = cursor.u8()?;
        let opcode = if first == 0xfe { Opcode::from_second_byte(cursor.u8()?) } else { Opcode::from_byte(first) };
        let Some(opcode) = opcode else {
            return Err(cursor.error(format!("invalid opcode {first:#04x}")));
        };
        let operand = match opcode.info().operand {
            OperandKind::None => Operand::None,
            OperandKind::I8 => Operand::I32(i32::from(cursor.u8()? as i8)),
            OperandKind::U8 => Operand::I32(i32::from(cursor.u8()?)),
            OperandKind::I32 => Operand::I32(cursor.u32()? as i32),
            OperandKind::I64 => Operand::I64(cursor.u64()? as i64),
            OperandKind::R4 => Operand::R4(f32::from_bits(cursor.u32()?)),
            OperandKind::R8 => Operand::R8(f64::from_bits(cursor.u64()?)),
            OperandKind::Token => Operand::Token(Token(cursor.u32()?)),
            OperandKind::String => Operand::String(Token(cursor.u32()?).row()),
            OperandKind::ShortVariable => Operand::Variable(u16::from(cursor.u8()?)),
            OperandKind::Variable => Operand::Variable(cursor.u16()?),
            OperandKind::ShortBranch => {
                let distance = i32::from(cursor.u8()? as i8);
                Operand::Target(self.target(&cursor, distance)?)
            }
            OperandKind::Branch => {
                let distance = cursor.u32()? as i32;
                Operand::Target(self.target(&cursor, distance)?)
            }
            OperandKind::Switch => {
                let count = cursor.u32()? as usize;
                let length = count.checked_mul(4).ok_or_else(|| cursor.error("switch table too long"))?;
                let targets = SwitchTargets { distances: cursor.take(length)?, base: cursor.position() as u32 };
                if targets.iter().any(|target| target as usize >= self.il.len()) {
                    return Err(cursor.error("branch target outside the method"));
                }
                Operand::Switch(targets)
            }
        };
        Ok(Instruction { offset: self.offset as u32, next: cursor.position() as u32, opcode, operand })
    }

    fn target(&self, cursor: &Cursor<'_>, distance: i32) -> Result<u32> {
        let target = (cursor.position() as u32).wrapping_add_signed(distance);
        if (target as usize) < self.il.len() { Ok(target) } else { Err(cursor.error("branch target outside the method")) }
    }
}

impl<'a> Iterator for Decoder<'a> {
    type Item = Result<Instruction<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.il.len() {
            return None;
        }
        let result = self.decode();
        self.offset = match &result {
            Ok(instruction) => instruction.next as usize,
            Err(_) => self.il.len(),
        };
        Some(result.map_err(invalid_program))
    }
}

/// In IL what the cursor reports is an invalid program, not a bad file.
fn invalid_program(error: Error) -> Error {
    let located = Error::new(ErrorKind::InvalidProgram, error.message());
    match error.offset() {
        Some(offset) => located.with_offset(offset as usize),
        None => located,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_operands_and_general_forms() {
        // 0: ldarg.1; 1: switch(1: +0); 10: beq.s -11 (to 1); 12: ldc.i4.m1; 13: ceq; 15: ret
        let il = [0x03, 0x45, 1, 0, 0, 0, 0, 0, 0, 0, 0x2e, 0xf5, 0x15, 0xfe, 0x01, 0x2a];
        let list: Vec<_> = Decoder::new(&il).collect::<Result<_>>().unwrap();
        assert_eq!(list[0].general(), (Opcode::Ldarg, Operand::Variable(1)));
        assert!(matches!(list[1].operand, Operand::Switch(targets) if targets.iter().eq([10])));
        assert_eq!(list[2].general(), (Opcode::Beq, Operand::Target(1)));
        assert_eq!(list[3].general(), (Opcode::LdcI4, Operand::I32(-1)));
        assert_eq!((list[4].opcode, list[4].offset, list[4].next), (Opcode::Ceq, 13, 15));
        assert_eq!(list[5].opcode.info().flow, ControlFlow::Return);
    }

    #[test]
    fn garbage_ends_with_one_error() {
        for il in [&[0x24_u8][..], &[0xfe], &[0xfe, 0xff], &[0x2b, 0x7f], &[0x45, 0xff, 0xff, 0xff, 0xff], &[0x20, 1]] {
            let list: Vec<_> = Decoder::new(il).collect();
            assert_eq!(list.len(), 1);
            assert_eq!(list[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidProgram);
        }
    }
}
