//! Bytes of method bodies (ECMA-335 II.25.4), always with a fat header.

use super::{push_u16s, push_u32s};
use crate::method_body::{ClauseKind, ExceptionClause};
use crate::tables::Token;

/// What a method body is made of.
#[derive(Clone, Debug, Default)]
pub struct MethodCode {
    /// The instructions.
    pub il: Vec<u8>,
    /// The most values on the evaluation stack.
    pub max_stack: u16,
    /// Local variables start out zero.
    pub init_locals: bool,
    /// StandAloneSig of the local variables; null for none.
    pub locals: Token,
    /// Protected regions, the inner ones first.
    pub clauses: Vec<ExceptionClause>,
}

impl MethodCode {
    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        const FAT: u16 = 0x3003;
        const MORE_SECTIONS: u16 = 0x08;
        const INIT_LOCALS: u16 = 0x10;
        const FAT_EXCEPTIONS: u32 = 0x41;
        let sections = if self.clauses.is_empty() { 0 } else { MORE_SECTIONS };
        let mut bytes = Vec::new();
        push_u16s(&mut bytes, &[FAT | sections | if self.init_locals { INIT_LOCALS } else { 0 }, self.max_stack]);
        push_u32s(&mut bytes, &[self.il.len() as u32, self.locals.0]);
        bytes.extend(&self.il);
        if sections != 0 {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            push_u32s(&mut bytes, &[FAT_EXCEPTIONS | (4 + 24 * self.clauses.len() as u32) << 8]);
            for clause in &self.clauses {
                let (flags, extra) = match clause.kind {
                    ClauseKind::Catch(token) => (0, token.0),
                    ClauseKind::Filter(offset) => (1, offset),
                    ClauseKind::Finally => (2, 0),
                    ClauseKind::Fault => (4, 0),
                };
                push_u32s(&mut bytes, &[flags, clause.try_start, clause.try_end - clause.try_start]);
                push_u32s(&mut bytes, &[clause.handler_start, clause.handler_end - clause.handler_start, extra]);
            }
        }
        bytes
    }
}
