//! A file in memory that tells a debugger how to unwind an area of generated code.
//!
//! In the middle of a call every frame has the same shape: saved frame pointer, return address above it. One entry for the
//! whole area says so; that is enough to get from a breakpoint in native code through compiled code to the program's start.

use crate::call_frame::FrameRules;
use crate::elf::machine;
use crate::varint::{write_signed_leb, write_unsigned};
use ir::mach::Architecture;
use object::elf;
use object::write::elf::{FileHeader, SectionHeader, Sym, Writer};

const DW_CFA_DEF_CFA: u8 = 0x0c;
const DW_CFA_OFFSET: u8 = 0x80;
/// Addresses are whole words.
const DW_EH_PE_ABSPTR: u8 = 0;

/// An area of generated code.
#[derive(Clone, Copy, Debug)]
pub struct CodeArea<'a> {
    /// The name that frames in it get.
    pub name: &'a str,
    /// First address.
    pub start: u64,
    /// Bytes.
    pub length: u64,
}

/// The ELF file for an area of code.
///
/// # Errors
/// If the ELF writer refuses a name.
pub fn describe(area: CodeArea<'_>, architecture: Architecture, rules: &FrameRules) -> object::write::Result<Vec<u8>> {
    let frames = encode_frames(area, rules);
    let mut buffer = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, rules.word == 8, &mut buffer);
    writer.reserve_file_header();
    writer.reserve_null_section_index();
    let text_name = writer.add_section_name(b".text");
    let text = writer.reserve_section_index();
    let frames_name = writer.add_section_name(b".eh_frame");
    writer.reserve_section_index();
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    let name = writer.add_string(area.name.as_bytes());
    writer.reserve_null_symbol_index();
    writer.reserve_symbol_index(Some(text));
    let frames_offset = writer.reserve(frames.len() as u64, 8);
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    let (e_machine, e_flags) = machine(architecture);
    writer.write_file_header(&FileHeader { e_type: elf::ET_EXEC, e_machine, e_flags, ..FileHeader::default() })?;
    writer.pad_until(frames_offset);
    writer.write(&frames);
    writer.write_null_symbol();
    let st_name = writer.string_offset(Some(name));
    writer.write_symbol(&Sym {
        section: Some(text.0),
        st_name,
        st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
        st_value: area.start,
        st_size: area.length,
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SymbolSection(0),
    });
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    let sh_name = writer.section_name_offset(Some(text_name));
    writer.write_section_header(&SectionHeader {
        sh_name,
        sh_type: elf::SHT_NOBITS,
        sh_flags: elf::SectionFlags(elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0),
        sh_addr: area.start,
        sh_size: area.length,
        sh_addralign: 16,
        ..SectionHeader::default()
    });
    let sh_name = writer.section_name_offset(Some(frames_name));
    writer.write_section_header(&SectionHeader {
        sh_name,
        sh_type: elf::SHT_PROGBITS,
        sh_flags: elf::SectionFlags(elf::SHF_ALLOC.0),
        // Never mapped: the debugger reads it from the file. Where it would lie does not matter, as long as nothing else lies there.
        sh_addr: area.start + area.length,
        sh_offset: frames_offset,
        sh_size: frames.len() as u64,
        sh_addralign: 8,
        ..SectionHeader::default()
    });
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(buffer)
}

/// `.eh_frame` with one rule for the whole area.
fn encode_frames(area: CodeArea<'_>, rules: &FrameRules) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    entry(&mut out, rules, |out| {
        out.extend_from_slice(&[0; 4]); // the id of a common entry
        out.push(1); // version
        out.extend_from_slice(b"zR\0");
        write_unsigned(out, rules.code_alignment.into());
        write_signed_leb(out, -i64::from(rules.word));
        write_unsigned(out, rules.registers.return_address.into());
        write_unsigned(out, 1);
        out.push(DW_EH_PE_ABSPTR);
        out.push(DW_CFA_DEF_CFA);
        write_unsigned(out, rules.registers.frame_pointer.into());
        write_unsigned(out, u64::from(2 * rules.word));
        for (register, words) in [(rules.registers.return_address, 1), (rules.registers.frame_pointer, 2)] {
            out.push(DW_CFA_OFFSET | register as u8);
            write_unsigned(out, words);
        }
    });
    entry(&mut out, rules, |out| {
        let to_common = out.len() as u32;
        out.extend_from_slice(&to_common.to_le_bytes());
        for number in [area.start, area.length] {
            out.extend_from_slice(&number.to_le_bytes()[..rules.word as usize]);
        }
        out.push(0); // no augmentation data
    });
    out.extend_from_slice(&[0; 4]);
    out
}

/// Writes an entry: its length, its content, and no-operations up to a whole number of words.
fn entry(out: &mut Vec<u8>, rules: &FrameRules, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    content(out);
    while (out.len() - start) % rules.word as usize != 0 {
        out.push(0);
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}
