//! The table of all opcodes (ECMA-335 III.1.2.1, VI.C.2).

use super::{ControlFlow, OpcodeInfo, OperandKind};

/// From one list: the opcodes as an enum, and the table of their facts in the same order.
macro_rules! opcodes {
    ($($variant:ident, $name:literal, $code:literal, $operand:ident, $pops:expr, $pushes:expr, $flow:ident;)*) => {
        /// An operation of the virtual machine. The variants are named after the assembler's names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        #[allow(missing_docs)]
        pub enum Opcode {
            $($variant,)*
        }

        static OPCODES: &[(Opcode, OpcodeInfo)] = &[
            $((Opcode::$variant, OpcodeInfo {
                name: $name,
                code: $code,
                operand: OperandKind::$operand,
                pops: $pops,
                pushes: $pushes,
                flow: ControlFlow::$flow,
            }),)*
        ];
    };
}

// Variant, name, code, operand, values popped, values pushed, control flow.
opcodes! {
    Nop, "nop", 0x00, None, Some(0), Some(0), Next;
    Break, "break", 0x01, None, Some(0), Some(0), Break;
    Ldarg0, "ldarg.0", 0x02, None, Some(0), Some(1), Next;
    Ldarg1, "ldarg.1", 0x03, None, Some(0), Some(1), Next;
    Ldarg2, "ldarg.2", 0x04, None, Some(0), Some(1), Next;
    Ldarg3, "ldarg.3", 0x05, None, Some(0), Some(1), Next;
    Ldloc0, "ldloc.0", 0x06, None, Some(0), Some(1), Next;
    Ldloc1, "ldloc.1", 0x07, None, Some(0), Some(1), Next;
    Ldloc2, "ldloc.2", 0x08, None, Some(0), Some(1), Next;
    Ldloc3, "ldloc.3", 0x09, None, Some(0), Some(1), Next;
    Stloc0, "stloc.0", 0x0a, None, Some(1), Some(0), Next;
    Stloc1, "stloc.1", 0x0b, None, Some(1), Some(0), Next;
    Stloc2, "stloc.2", 0x0c, None, Some(1), Some(0), Next;
    Stloc3, "stloc.3", 0x0d, None, Some(1), Some(0), Next;
    LdargS, "ldarg.s", 0x0e, ShortVariable, Some(0), Some(1), Next;
    LdargaS, "ldarga.s", 0x0f, ShortVariable, Some(0), Some(1), Next;
    StargS, "starg.s", 0x10, ShortVariable, Some(1), Some(0), Next;
    LdlocS, "ldloc.s", 0x11, ShortVariable, Some(0), Some(1), Next;
    LdlocaS, "ldloca.s", 0x12, ShortVariable, Some(0), Some(1), Next;
    StlocS, "stloc.s", 0x13, ShortVariable, Some(1), Some(0), Next;
    Ldnull, "ldnull", 0x14, None, Some(0), Some(1), Next;
    LdcI4M1, "ldc.i4.m1", 0x15, None, Some(0), Some(1), Next;
    LdcI40, "ldc.i4.0", 0x16, None, Some(0), Some(1), Next;
    LdcI41, "ldc.i4.1", 0x17, None, Some(0), Some(1), Next;
    LdcI42, "ldc.i4.2", 0x18, None, Some(0), Some(1), Next;
    LdcI43, "ldc.i4.3", 0x19, None, Some(0), Some(1), Next;
    LdcI44, "ldc.i4.4", 0x1a, None, Some(0), Some(1), Next;
    LdcI45, "ldc.i4.5", 0x1b, None, Some(0), Some(1), Next;
    LdcI46, "ldc.i4.6", 0x1c, None, Some(0), Some(1), Next;
    LdcI47, "ldc.i4.7", 0x1d, None, Some(0), Some(1), Next;
    LdcI48, "ldc.i4.8", 0x1e, None, Some(0), Some(1), Next;
    LdcI4S, "ldc.i4.s", 0x1f, I8, Some(0), Some(1), Next;
    LdcI4, "ldc.i4", 0x20, I32, Some(0), Some(1), Next;
    LdcI8, "ldc.i8", 0x21, I64, Some(0), Some(1), Next;
    LdcR4, "ldc.r4", 0x22, R4, Some(0), Some(1), Next;
    LdcR8, "ldc.r8", 0x23, R8, Some(0), Some(1), Next;
    Dup, "dup", 0x25, None, Some(1), Some(2), Next;
    Pop, "pop", 0x26, None, Some(1), Some(0), Next;
    Jmp, "jmp", 0x27, Token, Some(0), Some(0), Call;
    Call, "call", 0x28, Token, None, None, Call;
    Calli, "calli", 0x29, Token, None, None, Call;
    Ret, "ret", 0x2a, None, None, Some(0), Return;
    BrS, "br.s", 0x2b, ShortBranch, Some(0), Some(0), Branch;
    BrfalseS, "brfalse.s", 0x2c, ShortBranch, Some(1), Some(0), CondBranch;
    BrtrueS, "brtrue.s", 0x2d, ShortBranch, Some(1), Some(0), CondBranch;
    BeqS, "beq.s", 0x2e, ShortBranch, Some(2), Some(0), CondBranch;
    BgeS, "bge.s", 0x2f, ShortBranch, Some(2), Some(0), CondBranch;
    BgtS, "bgt.s", 0x30, ShortBranch, Some(2), Some(0), CondBranch;
    BleS, "ble.s", 0x31, ShortBranch, Some(2), Some(0), CondBranch;
    BltS, "blt.s", 0x32, ShortBranch, Some(2), Some(0), CondBranch;
    BneUnS, "bne.un.s", 0x33, ShortBranch, Some(2), Some(0), CondBranch;
    BgeUnS, "bge.un.s", 0x34, ShortBranch, Some(2), Some(0), CondBranch;
    BgtUnS, "bgt.un.s", 0x35, ShortBranch, Some(2), Some(0), CondBranch;
    BleUnS, "ble.un.s", 0x36, ShortBranch, Some(2), Some(0), CondBranch;
    BltUnS, "blt.un.s", 0x37, ShortBranch, Some(2), Some(0), CondBranch;
    Br, "br", 0x38, Branch, Some(0), Some(0), Branch;
    Brfalse, "brfalse", 0x39, Branch, Some(1), Some(0), CondBranch;
    Brtrue, "brtrue", 0x3a, Branch, Some(1), Some(0), CondBranch;
    Beq, "beq", 0x3b, Branch, Some(2), Some(0), CondBranch;
    Bge, "bge", 0x3c, Branch, Some(2), Some(0), CondBranch;
    Bgt, "bgt", 0x3d, Branch, Some(2), Some(0), CondBranch;
    Ble, "ble", 0x3e, Branch, Some(2), Some(0), CondBranch;
    Blt, "blt", 0x3f, Branch, Some(2), Some(0), CondBranch;
    BneUn, "bne.un", 0x40, Branch, Some(2), Some(0), CondBranch;
    BgeUn, "bge.un", 0x41, Branch, Some(2), Some(0), CondBranch;
    BgtUn, "bgt.un", 0x42, Branch, Some(2), Some(0), CondBranch;
    BleUn, "ble.un", 0x43, Branch, Some(2), Some(0), CondBranch;
    BltUn, "blt.un", 0x44, Branch, Some(2), Some(0), CondBranch;
    Switch, "switch", 0x45, Switch, Some(1), Some(0), CondBranch;
    LdindI1, "ldind.i1", 0x46, None, Some(1), Some(1), Next;
    LdindU1, "ldind.u1", 0x47, None, Some(1), Some(1), Next;
    LdindI2, "ldind.i2", 0x48, None, Some(1), Some(1), Next;
    LdindU2, "ldind.u2", 0x49, None, Some(1), Some(1), Next;
    LdindI4, "ldind.i4", 0x4a, None, Some(1), Some(1), Next;
    LdindU4, "ldind.u4", 0x4b, None, Some(1), Some(1), Next;
    LdindI8, "ldind.i8", 0x4c, None, Some(1), Some(1), Next;
    LdindI, "ldind.i", 0x4d, None, Some(1), Some(1), Next;
    LdindR4, "ldind.r4", 0x4e, None, Some(1), Some(1), Next;
    LdindR8, "ldind.r8", 0x4f, None, Some(1), Some(1), Next;
    LdindRef, "ldind.ref", 0x50, None, Some(1), Some(1), Next;
    StindRef, "stind.ref", 0x51, None, Some(2), Some(0), Next;
    StindI1, "stind.i1", 0x52, None, Some(2), Some(0), Next;
    StindI2, "stind.i2", 0x53, None, Some(2), Some(0), Next;
    StindI4, "stind.i4", 0x54, None, Some(2), Some(0), Next;
    StindI8, "stind.i8", 0x55, None, Some(2), Some(0), Next;
    StindR4, "stind.r4", 0x56, None, Some(2), Some(0), Next;
    StindR8, "stind.r8", 0x57, None, Some(2), Some(0), Next;
    Add, "add", 0x58, None, Some(2), Some(1), Next;
    Sub, "sub", 0x59, None, Some(2), Some(1), Next;
    Mul, "mul", 0x5a, None, Some(2), Some(1), Next;
    Div, "div", 0x5b, None, Some(2), Some(1), Next;
    DivUn, "div.un", 0x5c, None, Some(2), Some(1), Next;
    Rem, "rem", 0x5d, None, Some(2), Some(1), Next;
    RemUn, "rem.un", 0x5e, None, Some(2), Some(1), Next;
    And, "and", 0x5f, None, Some(2), Some(1), Next;
    Or, "or", 0x60, None, Some(2), Some(1), Next;
    Xor, "xor", 0x61, None, Some(2), Some(1), Next;
    Shl, "shl", 0x62, None, Some(2), Some(1), Next;
    Shr, "shr", 0x63, None, Some(2), Some(1), Next;
    ShrUn, "shr.un", 0x64, None, Some(2), Some(1), Next;
    Neg, "neg", 0x65, None, Some(1), Some(1), Next;
    Not, "not", 0x66, None, Some(1), Some(1), Next;
    ConvI1, "conv.i1", 0x67, None, Some(1), Some(1), Next;
    ConvI2, "conv.i2", 0x68, None, Some(1), Some(1), Next;
    ConvI4, "conv.i4", 0x69, None, Some(1), Some(1), Next;
    ConvI8, "conv.i8", 0x6a, None, Some(1), Some(1), Next;
    ConvR4, "conv.r4", 0x6b, None, Some(1), Some(1), Next;
    ConvR8, "conv.r8", 0x6c, None, Some(1), Some(1), Next;
    ConvU4, "conv.u4", 0x6d, None, Some(1), Some(1), Next;
    ConvU8, "conv.u8", 0x6e, None, Some(1), Some(1), Next;
    Callvirt, "callvirt", 0x6f, Token, None, None, Call;
    Cpobj, "cpobj", 0x70, Token, Some(2), Some(0), Next;
    Ldobj, "ldobj", 0x71, Token, Some(1), Some(1), Next;
    Ldstr, "ldstr", 0x72, String, Some(0), Some(1), Next;
    Newobj, "newobj", 0x73, Token, None, Some(1), Call;
    Castclass, "castclass", 0x74, Token, Some(1), Some(1), Next;
    Isinst, "isinst", 0x75, Token, Some(1), Some(1), Next;
    ConvRUn, "conv.r.un", 0x76, None, Some(1), Some(1), Next;
    Unbox, "unbox", 0x79, Token, Some(1), Some(1), Next;
    Throw, "throw", 0x7a, None, Some(1), Some(0), Throw;
    Ldfld, "ldfld", 0x7b, Token, Some(1), Some(1), Next;
    Ldflda, "ldflda", 0x7c, Token, Some(1), Some(1), Next;
    Stfld, "stfld", 0x7d, Token, Some(2), Some(0), Next;
    Ldsfld, "ldsfld", 0x7e, Token, Some(0), Some(1), Next;
    Ldsflda, "ldsflda", 0x7f, Token, Some(0), Some(1), Next;
    Stsfld, "stsfld", 0x80, Token, Some(1), Some(0), Next;
    Stobj, "stobj", 0x81, Token, Some(2), Some(0), Next;
    ConvOvfI1Un, "conv.ovf.i1.un", 0x82, None, Some(1), Some(1), Next;
    ConvOvfI2Un, "conv.ovf.i2.un", 0x83, None, Some(1), Some(1), Next;
    ConvOvfI4Un, "conv.ovf.i4.un", 0x84, None, Some(1), Some(1), Next;
    ConvOvfI8Un, "conv.ovf.i8.un", 0x85, None, Some(1), Some(1), Next;
    ConvOvfU1Un, "conv.ovf.u1.un", 0x86, None, Some(1), Some(1), Next;
    ConvOvfU2Un, "conv.ovf.u2.un", 0x87, None, Some(1), Some(1), Next;
    ConvOvfU4Un, "conv.ovf.u4.un", 0x88, None, Some(1), Some(1), Next;
    ConvOvfU8Un, "conv.ovf.u8.un", 0x89, None, Some(1), Some(1), Next;
    ConvOvfIUn, "conv.ovf.i.un", 0x8a, None, Some(1), Some(1), Next;
    ConvOvfUUn, "conv.ovf.u.un", 0x8b, None, Some(1), Some(1), Next;
    Box, "box", 0x8c, Token, Some(1), Some(1), Next;
    Newarr, "newarr", 0x8d, Token, Some(1), Some(1), Next;
    Ldlen, "ldlen", 0x8e, None, Some(1), Some(1), Next;
    Ldelema, "ldelema", 0x8f, Token, Some(2), Some(1), Next;
    LdelemI1, "ldelem.i1", 0x90, None, Some(2), Some(1), Next;
    LdelemU1, "ldelem.u1", 0x91, None, Some(2), Some(1), Next;
    LdelemI2, "ldelem.i2", 0x92, None, Some(2), Some(1), Next;
    LdelemU2, "ldelem.u2", 0x93, None, Some(2), Some(1), Next;
    LdelemI4, "ldelem.i4", 0x94, None, Some(2), Some(1), Next;
    LdelemU4, "ldelem.u4", 0x95, None, Some(2), Some(1), Next;
    LdelemI8, "ldelem.i8", 0x96, None, Some(2), Some(1), Next;
    LdelemI, "ldelem.i", 0x97, None, Some(2), Some(1), Next;
    LdelemR4, "ldelem.r4", 0x98, None, Some(2), Some(1), Next;
    LdelemR8, "ldelem.r8", 0x99, None, Some(2), Some(1), Next;
    LdelemRef, "ldelem.ref", 0x9a, None, Some(2), Some(1), Next;
    StelemI, "stelem.i", 0x9b, None, Some(3), Some(0), Next;
    StelemI1, "stelem.i1", 0x9c, None, Some(3), Some(0), Next;
    StelemI2, "stelem.i2", 0x9d, None, Some(3), Some(0), Next;
    StelemI4, "stelem.i4", 0x9e, None, Some(3), Some(0), Next;
    StelemI8, "stelem.i8", 0x9f, None, Some(3), Some(0), Next;
    StelemR4, "stelem.r4", 0xa0, None, Some(3), Some(0), Next;
    StelemR8, "stelem.r8", 0xa1, None, Some(3), Some(0), Next;
    StelemRef, "stelem.ref", 0xa2, None, Some(3), Some(0), Next;
    Ldelem, "ldelem", 0xa3, Token, Some(2), Some(1), Next;
    Stelem, "stelem", 0xa4, Token, Some(3), Some(0), Next;
    UnboxAny, "unbox.any", 0xa5, Token, Some(1), Some(1), Next;
    ConvOvfI1, "conv.ovf.i1", 0xb3, None, Some(1), Some(1), Next;
    ConvOvfU1, "conv.ovf.u1", 0xb4, None, Some(1), Some(1), Next;
    ConvOvfI2, "conv.ovf.i2", 0xb5, None, Some(1), Some(1), Next;
    ConvOvfU2, "conv.ovf.u2", 0xb6, None, Some(1), Some(1), Next;
    ConvOvfI4, "conv.ovf.i4", 0xb7, None, Some(1), Some(1), Next;
    ConvOvfU4, "conv.ovf.u4", 0xb8, None, Some(1), Some(1), Next;
    ConvOvfI8, "conv.ovf.i8", 0xb9, None, Some(1), Some(1), Next;
    ConvOvfU8, "conv.ovf.u8", 0xba, None, Some(1), Some(1), Next;
    Refanyval, "refanyval", 0xc2, Token, Some(1), Some(1), Next;
    Ckfinite, "ckfinite", 0xc3, None, Some(1), Some(1), Next;
    Mkrefany, "mkrefany", 0xc6, Token, Some(1), Some(1), Next;
    Ldtoken, "ldtoken", 0xd0, Token, Some(0), Some(1), Next;
    ConvU2, "conv.u2", 0xd1, None, Some(1), Some(1), Next;
    ConvU1, "conv.u1", 0xd2, None, Some(1), Some(1), Next;
    ConvI, "conv.i", 0xd3, None, Some(1), Some(1), Next;
    ConvOvfI, "conv.ovf.i", 0xd4, None, Some(1), Some(1), Next;
    ConvOvfU, "conv.ovf.u", 0xd5, None, Some(1), Some(1), Next;
    AddOvf, "add.ovf", 0xd6, None, Some(2), Some(1), Next;
    AddOvfUn, "add.ovf.un", 0xd7, None, Some(2), Some(1), Next;
    MulOvf, "mul.ovf", 0xd8, None, Some(2), Some(1), Next;
    MulOvfUn, "mul.ovf.un", 0xd9, None, Some(2), Some(1), Next;
    SubOvf, "sub.ovf", 0xda, None, Some(2), Some(1), Next;
    SubOvfUn, "sub.ovf.un", 0xdb, None, Some(2), Some(1), Next;
    Endfinally, "endfinally", 0xdc, None, Some(0), Some(0), Return;
    Leave, "leave", 0xdd, Branch, None, Some(0), Branch;
    LeaveS, "leave.s", 0xde, ShortBranch, None, Some(0), Branch;
    StindI, "stind.i", 0xdf, None, Some(2), Some(0), Next;
    ConvU, "conv.u", 0xe0, None, Some(1), Some(1), Next;
    Arglist, "arglist", 0xfe00, None, Some(0), Some(1), Next;
    Ceq, "ceq", 0xfe01, None, Some(2), Some(1), Next;
    Cgt, "cgt", 0xfe02, None, Some(2), Some(1), Next;
    CgtUn, "cgt.un", 0xfe03, None, Some(2), Some(1), Next;
    Clt, "clt", 0xfe04, None, Some(2), Some(1), Next;
    CltUn, "clt.un", 0xfe05, None, Some(2), Some(1), Next;
    Ldftn, "ldftn", 0xfe06, Token, Some(0), Some(1), Next;
    Ldvirtftn, "ldvirtftn", 0xfe07, Token, Some(1), Some(1), Next;
    Ldarg, "ldarg", 0xfe09, Variable, Some(0), Some(1), Next;
    Ldarga, "ldarga", 0xfe0a, Variable, Some(0), Some(1), Next;
    Starg, "starg", 0xfe0b, Variable, Some(1), Some(0), Next;
    Ldloc, "ldloc", 0xfe0c, Variable, Some(0), Some(1), Next;
    Ldloca, "ldloca", 0xfe0d, Variable, Some(0), Some(1), Next;
    Stloc, "stloc", 0xfe0e, Variable, Some(1), Some(0), Next;
    Localloc, "localloc", 0xfe0f, None, Some(1), Some(1), Next;
    Endfilter, "endfilter", 0xfe11, None, Some(1), Some(0), Return;
    Unaligned, "unaligned.", 0xfe12, U8, Some(0), Some(0), Prefix;
    Volatile, "volatile.", 0xfe13, None, Some(0), Some(0), Prefix;
    Tail, "tail.", 0xfe14, None, Some(0), Some(0), Prefix;
    Initobj, "initobj", 0xfe15, Token, Some(1), Some(0), Next;
    Constrained, "constrained.", 0xfe16, Token, Some(0), Some(0), Prefix;
    Cpblk, "cpblk", 0xfe17, None, Some(3), Some(0), Next;
    Initblk, "initblk", 0xfe18, None, Some(3), Some(0), Next;
    No, "no.", 0xfe19, U8, Some(0), Some(0), Prefix;
    Rethrow, "rethrow", 0xfe1a, None, Some(0), Some(0), Throw;
    Sizeof, "sizeof", 0xfe1c, Token, Some(0), Some(1), Next;
    Refanytype, "refanytype", 0xfe1d, None, Some(1), Some(1), Next;
    Readonly, "readonly.", 0xfe1e, None, Some(0), Some(0), Prefix;
}

/// Opcode by (second) byte: codes of one byte in the first row, those behind `0xfe` in the second.
static BY_CODE: [[Option<Opcode>; 256]; 2] = {
    let mut by_code = [[None; 256]; 2];
    let mut index = 0;
    while index < OPCODES.len() {
        let (opcode, info) = &OPCODES[index];
        by_code[(info.code >= 0xfe00) as usize][(info.code & 0xff) as usize] = Some(*opcode);
        index += 1;
    }
    by_code
};

impl Opcode {
    /// The opcode of one byte.
    pub fn from_byte(code: u8) -> Option<Opcode> {
        BY_CODE[0][usize::from(code)]
    }

    /// The opcode whose first byte is `0xfe`.
    pub fn from_second_byte(code: u8) -> Option<Opcode> {
        BY_CODE[1][usize::from(code)]
    }

    /// All opcodes in the order of their codes.
    pub fn all() -> impl Iterator<Item = Opcode> {
        OPCODES.iter().map(|(opcode, _)| *opcode)
    }

    /// Its static facts.
    #[inline]
    pub fn info(self) -> &'static OpcodeInfo {
        &OPCODES[self as usize].1
    }

    /// The assembler's name.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_complete_and_in_order() {
        // The standard defines 219 opcodes, of which `no.` is one.
        assert_eq!(OPCODES.len(), 219);
        for (index, (opcode, info)) in OPCODES.iter().enumerate() {
            assert_eq!(*opcode as usize, index);
            let decode = if info.code >= 0xfe00 { Opcode::from_second_byte } else { Opcode::from_byte };
            assert_eq!(decode(info.code as u8), Some(*opcode));
        }
        assert!(OPCODES.windows(2).all(|pair| pair[0].1.code < pair[1].1.code));
    }
}
