//! Method bodies: header, IL and exception clauses (ECMA-335 II.25.4).

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::instruction::Decoder;
use crate::tables::{Metadata, MethodDefRow, TableId, Token};

/// The body of a method. Offsets are from the start of its IL.
#[derive(Clone, Debug)]
pub struct MethodBody<'a> {
    /// The most values on the evaluation stack.
    pub max_stack: u16,
    /// Local variables start out zero.
    pub init_locals: bool,
    /// StandAloneSig of the local variables; null for none.
    pub locals: Token,
    /// The instructions.
    pub il: &'a [u8],
    /// Protected regions, the inner ones first.
    pub clauses: Box<[ExceptionClause]>,
}

/// One protected region and its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExceptionClause {
    /// What sort of handler.
    pub kind: ClauseKind,
    /// First byte of the protected region.
    pub try_start: u32,
    /// The byte behind it.
    pub try_end: u32,
    /// First byte of the handler.
    pub handler_start: u32,
    /// The byte behind it.
    pub handler_end: u32,
}

/// The sorts of handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseKind {
    /// Runs for exceptions of a class: TypeDef, TypeRef or TypeSpec.
    Catch(Token),
    /// Runs if the filter at this offset says so. The filter ends where the handler starts.
    Filter(u32),
    /// Runs on every way out.
    Finally,
    /// Runs on the way out of an exception.
    Fault,
}

const FORMAT_MASK: u8 = 0x03;
const FORMAT_TINY: u8 = 0x02;
const FORMAT_FAT: u8 = 0x03;
const FLAG_MORE_SECTIONS: u16 = 0x08;
const FLAG_INIT_LOCALS: u16 = 0x10;
const SECTION_EXCEPTIONS: u8 = 0x01;
const SECTION_FAT: u8 = 0x40;
const SECTION_MORE: u8 = 0x80;
/// Evaluation stack of a method with a tiny header.
const TINY_MAX_STACK: u16 = 8;

impl<'a> MethodBody<'a> {
    /// Parses a body; `bytes` start with its header and may go on behind it.
    pub fn parse(bytes: &'a [u8]) -> Result<MethodBody<'a>> {
        parse(bytes).map_err(|error| match error.kind() {
            // What the cursor reports as a bad image is here a bad program.
            ErrorKind::BadImage => {
                Error::invalid_program(error.message()).with_offset(error.offset().unwrap_or_default() as usize)
            }
            _ => error,
        })
    }

    /// Iterates over the instructions.
    pub fn instructions(&self) -> Decoder<'a> {
        Decoder::new(self.il)
    }
}

fn parse(bytes: &[u8]) -> Result<MethodBody<'_>> {
    let mut cursor = Cursor::new(bytes);
    let first = cursor.u8()?;
    match first & FORMAT_MASK {
        FORMAT_TINY => Ok(MethodBody {
            max_stack: TINY_MAX_STACK,
            init_locals: false,
            locals: Token::NULL,
            il: cursor.take(usize::from(first >> 2))?,
            clauses: Box::default(),
        }),
        FORMAT_FAT => {
            let flags_and_size = u16::from_le_bytes([first, cursor.u8()?]);
            let header_size = usize::from(flags_and_size >> 12) * 4;
            if header_size < 12 {
                return Err(cursor.error("method header is too small"));
            }
            let max_stack = cursor.u16()?;
            let code_size = cursor.u32()? as usize;
            let locals = Token(cursor.u32()?);
            let mut cursor = Cursor::at(bytes, header_size);
            let il = cursor.take(code_size)?;
            let has_sections = flags_and_size & FLAG_MORE_SECTIONS != 0;
            let clauses = if has_sections { sections(bytes, cursor.position(), code_size as u32)? } else { Box::default() };
            Ok(MethodBody { max_stack, init_locals: flags_and_size & FLAG_INIT_LOCALS != 0, locals, il, clauses })
        }
        _ => Err(cursor.error("invalid method header")),
    }
}

/// Reads the sections behind the IL (II.25.4.5).
fn sections(bytes: &[u8], end_of_il: usize, code_size: u32) -> Result<Box<[ExceptionClause]>> {
    let mut clauses = Vec::new();
    let mut position = end_of_il;
    loop {
        // Sections are aligned in the file, where the header is aligned too.
        position = position.next_multiple_of(4);
        let mut cursor = Cursor::at(bytes, position);
        let kind = cursor.u8()?;
        let is_fat = kind & SECTION_FAT != 0;
        let size = match is_fat {
            true => cursor.take(3).map(|size| u32::from_le_bytes([size[0], size[1], size[2], 0]))?,
            false => {
                let size = u32::from(cursor.u8()?);
                cursor.skip(2)?;
                size
            }
        };
        if kind & SECTION_EXCEPTIONS != 0 {
            // Some compilers count the size without the section's four-byte header, hence the division.
            for _ in 0..size / if is_fat { 24 } else { 12 } {
                clauses.push(clause(&mut cursor, is_fat, code_size)?);
            }
        }
        if kind & SECTION_MORE == 0 {
            return Ok(clauses.into_boxed_slice());
        }
        // A section of no size would be read for ever.
        position += (size as usize).max(4);
    }
}

/// Reads one clause in its small or fat form (II.25.4.6).
fn clause(cursor: &mut Cursor<'_>, is_fat: bool, code_size: u32) -> Result<ExceptionClause> {
    let (flags, try_start, try_length, handler_start, handler_length);
    if is_fat {
        flags = cursor.u32()?;
        (try_start, try_length) = (cursor.u32()?, cursor.u32()?);
        (handler_start, handler_length) = (cursor.u32()?, cursor.u32()?);
    } else {
        flags = u32::from(cursor.u16()?);
        (try_start, try_length) = (u32::from(cursor.u16()?), u32::from(cursor.u8()?));
        (handler_start, handler_length) = (u32::from(cursor.u16()?), u32::from(cursor.u8()?));
    }
    let token_or_offset = cursor.u32()?;
    let end = |start: u32, length: u32| start.checked_add(length).filter(|end| *end <= code_size && length != 0);
    let (Some(try_end), Some(handler_end)) = (end(try_start, try_length), end(handler_start, handler_length)) else {
        return Err(cursor.error("exception clause exceeds the method"));
    };
    let kind = match flags {
        0 => ClauseKind::Catch(Token(token_or_offset)),
        1 if token_or_offset < handler_start => ClauseKind::Filter(token_or_offset),
        2 => ClauseKind::Finally,
        4 => ClauseKind::Fault,
        _ => return Err(cursor.error("invalid exception clause")),
    };
    Ok(ExceptionClause { kind, try_start, try_end, handler_start, handler_end })
}

impl Metadata {
    /// The body of a row in MethodDef, `None` when it has no address or its code is not IL.
    pub fn method_body(&self, method_def: u32) -> Result<Option<MethodBody<'_>>> {
        /// `MethodImplAttributes.CodeTypeMask`: IL is 0, native 1, OPTIL 2, runtime 3.
        const CODE_TYPE_MASK: u16 = 3;
        let token = Token::new(TableId::MethodDef, method_def);
        let row: MethodDefRow = self.row(method_def)?;
        if row.rva == 0 || row.impl_flags & CODE_TYPE_MASK != 0 {
            return Ok(None);
        }
        let bytes = self.image().at_rva(row.rva).map_err(|error| error.with_token(token))?;
        MethodBody::parse(bytes).map(Some).map_err(|error| self.locate(error).with_token(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiny_and_fat_bodies() {
        let tiny = MethodBody::parse(&[0x06, 0x2a, 0xff]).unwrap();
        assert_eq!((tiny.il, tiny.max_stack), (&[0x2a][..], 8));

        // nop; leave.s +1; endfinally; ret with a small finally clause.
        let mut fat = vec![0x1b, 0x30, 2, 0, 5, 0, 0, 0, 1, 0, 0, 0x11, 0x00, 0xde, 0x01, 0xdc, 0x2a, 0, 0, 0];
        fat.extend([0x01, 16, 0, 0, 2, 0, 0, 0, 3, 3, 0, 1, 0, 0, 0, 0]);
        let body = MethodBody::parse(&fat).unwrap();
        assert!(body.init_locals);
        assert_eq!(body.locals, Token::new(TableId::StandAloneSig, 1));
        let finally = ExceptionClause { kind: ClauseKind::Finally, try_start: 0, try_end: 3, handler_start: 3, handler_end: 4 };
        assert_eq!(*body.clauses, [finally]);

        for length in 0..fat.len() {
            if let Err(error) = MethodBody::parse(&fat[..length]) {
                assert_eq!(error.kind(), ErrorKind::InvalidProgram);
            }
        }
    }
}
