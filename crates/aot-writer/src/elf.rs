//! Writes an image as an ELF shared object, without assembler or linker.
//!
//! Segments: read-only (headers, notes, dynamic symbols, `.saki`, call frames, read-only data), text, and writable (`.dynamic`, which
//! becomes read-only after loading, then the cells in `.bss`). No page is both writable and executable, and nothing is
//! relocated: cells are empty in the file. The build-id is a hash of the content.

use crate::call_frame::{self, CallFrames, FrameRules};
use crate::debug_lines::{self, DebugSection};
use crate::image::ObjectImage;
use crate::tables::{Placement, align, encode_section, lay_out_code, place_section, rows_rise};
use crate::veneers;
use ir::function::SymbolRef;
use ir::mach::{Architecture, Backend, CodegenError};
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, SectionIndex, Sym, Writer};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// Bytes of the build-id.
pub const BUILD_ID_BYTES: usize = 16;
/// The dynamic symbol at the start of the section `.saki`.
pub const SECTION_SYMBOL: &str = "saki_image";
const PAGE: u32 = 4096;
const PROGRAM_HEADERS: u32 = 8;
/// Bytes of the note with the build-id.
const NOTE_BYTES: usize = 16 + BUILD_ID_BYTES;
/// Right behind the note, outside of all sections: this, then offset and length of the section `.saki`. (A note of our own
/// would do, if `eu-elflint` did not refuse unknown owners.)
const LOCATOR: [u8; 4] = *b"Saki";
const LOCATOR_BYTES: usize = 12;

/// Where a file's head says that things are, as offsets in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notes {
    /// The build-id.
    pub build_id: usize,
    /// The section `.saki`.
    pub section: usize,
    /// Its length.
    pub section_length: usize,
}

/// Writes `image`; the result depends on nothing else.
///
/// # Errors
/// If a relocation does not reach, a symbol has no code, definitions are not in the order of their rows, or the image is larger than 2 GiB.
pub fn write(image: &ObjectImage, backend: &dyn Backend) -> Result<Vec<u8>, CodegenError> {
    let image = &*veneers::add(image, backend);
    let layout = Layout::new(image, backend)?;
    let text = link(image, backend, &layout)?;
    let mut file = write_file(image, &layout, &text)?;
    let notes = find_notes(&file).ok_or_else(|| error("the build-id is not where it belongs"))?;
    let id = xxh3_128(&file).to_le_bytes();
    file[notes.build_id..notes.build_id + BUILD_ID_BYTES].copy_from_slice(&id);
    Ok(file)
}

/// Finds build-id and section of a file that [`write()`] made: the note follows the program headers. `None` for any other file.
pub fn find_notes(file: &[u8]) -> Option<Notes> {
    let wide = match file.get(..5)? {
        [0x7f, b'E', b'L', b'F', 2] => true,
        [0x7f, b'E', b'L', b'F', 1] => false,
        _ => return None,
    };
    let start = note_offset(wide);
    let note = file.get(start..start + NOTE_BYTES + LOCATOR_BYTES)?;
    let word = |offset: usize| u32::from_le_bytes([note[offset], note[offset + 1], note[offset + 2], note[offset + 3]]);
    let fits = note[12..16] == *b"GNU\0" && note[NOTE_BYTES..NOTE_BYTES + 4] == LOCATOR;
    fits.then(|| Notes {
        build_id: start + 16,
        section: word(NOTE_BYTES + 4) as usize,
        section_length: word(NOTE_BYTES + 8) as usize,
    })
}

fn note_offset(wide: bool) -> usize {
    match wide {
        true => 64 + 56 * PROGRAM_HEADERS as usize,
        false => 52 + 32 * PROGRAM_HEADERS as usize,
    }
}

fn error(message: impl Into<String>) -> CodegenError {
    CodegenError { message: message.into() }
}

/// Addresses (and, up to the cells, file offsets) of everything.
struct Layout {
    wide: bool,
    gnu_hash: u32,
    dynsym: u32,
    dynstr: u32,
    section: u32,
    section_bytes: Vec<u8>,
    frame_header: u32,
    frames: u32,
    call_frames: CallFrames,
    read_only: u32,
    read_only_offsets: Vec<u32>,
    read_only_end: u32,
    text: u32,
    text_length: u32,
    code_offsets: Vec<u32>,
    dynamic: u32,
    dynamic_length: u32,
    cells: u32,
    cells_length: u32,
}

/// Entries of `.dynamic`, the closing one included.
const DYNAMIC_ENTRIES: u32 = 8;

impl Layout {
    fn new(image: &ObjectImage, backend: &dyn Backend) -> Result<Layout, CodegenError> {
        let wide = image.pointer_bytes() == 8;
        let (code_offsets, text_length) = lay_out_code(image);
        if !rows_rise(image) {
            return Err(error("methods are not in the order of their rows"));
        }
        let mut section_bytes = encode_section(image, &code_offsets, text_length);
        let section_length = section_bytes.len() as u32;
        let rules = frame_rules(image, backend);
        let pieces = || code_offsets.iter().copied().zip(image.code.iter().map(|piece| &piece.code));
        let sizes = call_frame::encode(pieces(), &rules, 0, 0, 0);

        let mut position = (note_offset(wide) + NOTE_BYTES + LOCATOR_BYTES) as u32;
        let mut place = |length: usize, alignment: u32| {
            let start = align(position, alignment);
            position = start + length as u32;
            start
        };
        let gnu_hash = place(gnu_hash_bytes(wide), 8);
        let dynsym = place(2 * if wide { 24 } else { 16 }, 8);
        let dynstr = place(1 + SECTION_SYMBOL.len() + 1 + image.name.len() + 1, 1);
        let section = place(section_length as usize, 16);
        let frame_header = place(sizes.header.len(), 4);
        let frames = place(sizes.frames.len(), 8);
        let mut read_only_offsets = Vec::with_capacity(image.read_only_data.len());
        let read_only = place(0, 16);
        for datum in &image.read_only_data {
            read_only_offsets.push(place(datum.len(), 16));
        }
        let read_only_end = place(0, 1);
        let text = place(text_length as usize, PAGE);
        let dynamic_length = DYNAMIC_ENTRIES * if wide { 16 } else { 8 };
        let dynamic = place(dynamic_length as usize, PAGE);
        let cells = place(0, PAGE);
        let cells_length = image.total_cells() * image.pointer_bytes();
        if i32::try_from(u64::from(cells) + u64::from(cells_length)).is_err() {
            return Err(error("the image is larger than 2 GiB"));
        }
        let call_frames = call_frame::encode(pieces(), &rules, text, frames, frame_header);
        place_section(&mut section_bytes, &Placement { section, text, cells });
        Ok(Layout {
            wide,
            gnu_hash,
            dynsym,
            dynstr,
            section,
            section_bytes,
            frame_header,
            frames,
            call_frames,
            read_only,
            read_only_offsets,
            read_only_end,
            text,
            text_length,
            code_offsets,
            dynamic,
            dynamic_length,
            cells,
            cells_length,
        })
    }
}

fn frame_rules(image: &ObjectImage, backend: &dyn Backend) -> FrameRules {
    FrameRules::new(image.identity.architecture, backend.dwarf_registers())
}

fn gnu_hash_bytes(wide: bool) -> usize {
    // header, one bloom word, one bucket, one chain entry
    16 + if wide { 8 } else { 4 } + 4 + 4
}

/// Lays the code out and resolves its references.
fn link(image: &ObjectImage, backend: &dyn Backend, layout: &Layout) -> Result<Vec<u8>, CodegenError> {
    let near: FxHashMap<u32, u32> =
        image.code.iter().zip(&layout.code_offsets).map(|(piece, &offset)| (piece.symbol, layout.text + offset)).collect();
    let mut text = vec![0; layout.text_length as usize];
    for (piece, &offset) in image.code.iter().zip(&layout.code_offsets) {
        let bytes = &mut text[offset as usize..offset as usize + piece.code.bytes.len()];
        bytes.copy_from_slice(&piece.code.bytes);
        for reloc in &piece.code.relocs {
            let target = match reloc.target {
                SymbolRef::Method(symbol) => near.get(&symbol).copied(),
                SymbolRef::RoData(datum) => layout.read_only_offsets.get(datum as usize).copied(),
                symbol => image
                    .cell_index(symbol)
                    .filter(|&index| index < image.total_cells())
                    .map(|index| layout.cells + index * image.pointer_bytes()),
            };
            let target = target.ok_or_else(|| error(format!("{}: {:?} is not in the image", piece.name, reloc.target)))?;
            let field = layout.text + offset + reloc.offset;
            backend.apply_reloc(reloc.kind, &mut bytes[reloc.offset as usize..], field.into(), target.into(), reloc.addend)?;
        }
    }
    Ok(text)
}

fn note_and_locator(layout: &Layout) -> Vec<u8> {
    let mut out = Vec::with_capacity(NOTE_BYTES + LOCATOR_BYTES);
    for number in [4, BUILD_ID_BYTES as u32, elf::NT_GNU_BUILD_ID.0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(b"GNU\0");
    out.extend_from_slice(&[0; BUILD_ID_BYTES]);
    out.extend_from_slice(&LOCATOR);
    out.extend_from_slice(&layout.section.to_le_bytes());
    out.extend_from_slice(&(layout.section_bytes.len() as u32).to_le_bytes());
    out
}

/// (type, flags, start, file length, memory length, alignment), in the order of the file.
fn program_headers(layout: &Layout) -> [(elf::ProgramType, elf::ProgramFlags, u32, u32, u32, u32); PROGRAM_HEADERS as usize] {
    let read = elf::PF_R;
    let note = note_offset(layout.wide) as u32;
    let frame_header = layout.call_frames.header.len() as u32;
    let dynamic_alignment = if layout.wide { 8 } else { 4 };
    let writable = layout.cells + layout.cells_length - layout.dynamic;
    [
        (elf::PT_LOAD, read, 0, layout.read_only_end, layout.read_only_end, PAGE),
        (elf::PT_LOAD, read | elf::PF_X, layout.text, layout.text_length, layout.text_length, PAGE),
        (elf::PT_LOAD, read | elf::PF_W, layout.dynamic, layout.dynamic_length, writable, PAGE),
        (elf::PT_DYNAMIC, read | elf::PF_W, layout.dynamic, layout.dynamic_length, layout.dynamic_length, dynamic_alignment),
        (elf::PT_NOTE, read, note, NOTE_BYTES as u32, NOTE_BYTES as u32, 4),
        (elf::PT_GNU_EH_FRAME, read, layout.frame_header, frame_header, frame_header, 4),
        (elf::PT_GNU_STACK, read | elf::PF_W, 0, 0, 0, 16),
        (elf::PT_GNU_RELRO, read, layout.dynamic, layout.dynamic_length, layout.cells - layout.dynamic, 1),
    ]
}

/// A local symbol in the text.
struct TextSymbol<'a> {
    name: &'a str,
    kind: elf::SymbolType,
    address: u32,
    size: u32,
}

/// The names of all pieces; on ARM also the mapping symbols, by which debuggers and disassemblers tell instructions from constants
/// (ELF for the Arm Architecture, section 5.5.5).
fn text_symbols<'a>(image: &'a ObjectImage, layout: &Layout) -> Vec<TextSymbol<'a>> {
    let has_mapping = image.identity.architecture == Architecture::Arm;
    let mut symbols = Vec::with_capacity(image.code.len());
    let mut in_code = false;
    for (piece, &offset) in image.code.iter().zip(&layout.code_offsets) {
        let (address, size) = (layout.text + offset, piece.code.code_len);
        let mapping = |name, address| TextSymbol { name, kind: elf::STT_NOTYPE, address, size: 0 };
        if has_mapping && !in_code {
            symbols.push(mapping("$a", address));
        }
        symbols.push(TextSymbol { name: &piece.name, kind: elf::STT_FUNC, address, size });
        if has_mapping {
            for &(start, end) in &piece.code.islands {
                symbols.push(mapping("$d", address + start));
                symbols.push(mapping("$a", address + end));
            }
        }
        in_code = piece.code.bytes.len() as u32 == size;
        if has_mapping && !in_code {
            symbols.push(mapping("$d", address + size));
        }
    }
    symbols
}

/// Section numbers, in the order of the headers.
#[derive(Clone, Copy)]
struct Sections {
    saki: SectionIndex,
    text: SectionIndex,
}

/// The machine in a file's header.
pub(crate) fn machine(architecture: Architecture) -> (elf::Machine, elf::FileFlags) {
    match architecture {
        Architecture::X86 => (elf::EM_386, elf::FileFlags(0)),
        Architecture::Amd64 => (elf::EM_X86_64, elf::FileFlags(0)),
        Architecture::Arm => (elf::EM_ARM, elf::FileFlags(elf::EF_ARM_EABI_VER5.0 | elf::EF_ARM_ABI_FLOAT_HARD)),
    }
}

/// Writes the file with an empty build-id.
fn write_file(image: &ObjectImage, layout: &Layout, text: &[u8]) -> Result<Vec<u8>, CodegenError> {
    let mut buffer = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, layout.wide, &mut buffer);
    let failed = |failure: object::write::Error| error(format!("writing ELF: {failure}"));

    // Numbers and file ranges first; the order is that of the addresses.
    writer.reserve_file_header();
    writer.reserve_program_headers(PROGRAM_HEADERS);
    writer.reserve_null_section_index();
    let mut names = Vec::new();
    let mut add = |writer: &mut Writer<'_>, name: &'static [u8]| {
        names.push(writer.add_section_name(name));
        writer.reserve_section_index()
    };
    add(&mut writer, b".note.gnu.build-id");
    writer.reserve_gnu_hash_section_index();
    writer.reserve_dynsym_section_index();
    writer.reserve_dynstr_section_index();
    let saki = add(&mut writer, b".saki");
    add(&mut writer, b".eh_frame_hdr");
    add(&mut writer, b".eh_frame");
    add(&mut writer, b".rodata");
    let text_section = add(&mut writer, b".text");
    writer.reserve_dynamic_section_index();
    add(&mut writer, b".bss");
    let debug = debug_lines::encode(image, layout.text, &layout.code_offsets)?;
    for section in &debug {
        add(&mut writer, section.name.as_bytes());
    }
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    let sections = Sections { saki, text: text_section };

    writer.reserve_null_dynamic_symbol_index();
    let section_symbol = writer.add_dynamic_string(SECTION_SYMBOL.as_bytes());
    let own_name = writer.add_dynamic_string(image.name.as_bytes());
    writer.reserve_dynamic_symbol_index();
    let symbols = text_symbols(image, layout);
    let symbol_names: Vec<_> = symbols.iter().map(|symbol| writer.add_string(symbol.name.as_bytes())).collect();
    writer.reserve_null_symbol_index();
    for _ in &symbols {
        writer.reserve_symbol_index(Some(sections.text));
    }
    writer.reserve_until((layout.gnu_hash).into());
    writer.reserve_gnu_hash(1, 1, 1);
    writer.reserve_until(layout.dynsym.into());
    writer.reserve_dynsym();
    writer.reserve_until(layout.dynstr.into());
    writer.reserve_dynstr().map_err(failed)?;
    writer.reserve_until(layout.dynamic.into());
    writer.reserve_dynamic(DYNAMIC_ENTRIES as usize);
    let debug_places: Vec<u64> = debug.iter().map(|section| writer.reserve(section.bytes.len() as u64, 1)).collect();
    writer.reserve_symtab();
    writer.reserve_strtab().map_err(failed)?;
    writer.reserve_shstrtab().map_err(failed)?;
    writer.reserve_section_headers();

    let (e_machine, e_flags) = machine(image.identity.architecture);
    writer.write_file_header(&FileHeader { e_type: elf::ET_DYN, e_machine, e_flags, ..FileHeader::default() }).map_err(failed)?;
    writer.write_align_program_headers();
    for (p_type, p_flags, start, file_length, memory_length, alignment) in program_headers(layout) {
        writer.write_program_header(&ProgramHeader {
            p_type,
            p_flags,
            p_offset: start.into(),
            p_vaddr: start.into(),
            p_paddr: start.into(),
            p_filesz: file_length.into(),
            p_memsz: memory_length.into(),
            p_align: alignment.into(),
        });
    }
    writer.write(&note_and_locator(layout));
    writer.pad_until(layout.gnu_hash.into());
    writer.write_gnu_hash(1, 6, 1, 1, 1, |_| elf::gnu_hash(SECTION_SYMBOL.as_bytes()));
    writer.pad_until(layout.dynsym.into());
    writer.write_null_dynamic_symbol();
    let section_symbol_name = writer.dynamic_string_offset(Some(section_symbol));
    writer.write_dynamic_symbol(&Sym {
        section: Some(sections.saki.0),
        st_name: section_symbol_name,
        st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_OBJECT),
        st_value: layout.section.into(),
        st_size: (layout.section_bytes.len() as u32).into(),
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SymbolSection(0),
    });
    writer.pad_until(layout.dynstr.into());
    writer.write_dynstr();
    let parts: [(u32, &[u8]); 3] = [
        (layout.section, &layout.section_bytes),
        (layout.frame_header, &layout.call_frames.header),
        (layout.frames, &layout.call_frames.frames),
    ];
    for (start, bytes) in parts {
        writer.pad_until(start.into());
        writer.write(bytes);
    }
    for (&start, datum) in layout.read_only_offsets.iter().zip(&image.read_only_data) {
        writer.pad_until(start.into());
        writer.write(datum);
    }
    writer.pad_until(layout.text.into());
    writer.write(text);
    writer.pad_until(layout.dynamic.into());
    let symbol_bytes = if layout.wide { 24 } else { 16 };
    writer.write_dynamic_string(elf::DT_SONAME, own_name).map_err(failed)?;
    let entries = [
        (elf::DT_GNU_HASH, u64::from(layout.gnu_hash)),
        (elf::DT_STRTAB, layout.dynstr.into()),
        (elf::DT_SYMTAB, layout.dynsym.into()),
        (elf::DT_STRSZ, writer.dynstr_len().into()),
        (elf::DT_SYMENT, symbol_bytes),
        (elf::DT_FLAGS, elf::DF_BIND_NOW.0),
        (elf::DT_NULL, 0),
    ];
    for (tag, value) in entries {
        writer.write_dynamic(tag, value).map_err(failed)?;
    }
    for section in &debug {
        writer.write(&section.bytes);
    }
    writer.write_null_symbol();
    for (symbol, name) in symbols.iter().zip(symbol_names) {
        let st_name = writer.string_offset(Some(name));
        writer.write_symbol(&Sym {
            section: Some(sections.text.0),
            st_name,
            st_info: elf::SymbolInfo::new(elf::STB_LOCAL, symbol.kind),
            st_value: symbol.address.into(),
            st_size: symbol.size.into(),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SymbolSection(0),
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    let debug: Vec<(u64, &DebugSection)> = debug_places.into_iter().zip(&debug).collect();
    write_section_headers(&mut writer, layout, &names, &debug, symbols.len() as u32 + 1);
    Ok(buffer)
}

fn write_section_headers(
    writer: &mut Writer<'_>,
    layout: &Layout,
    names: &[object::write::StringId],
    debug: &[(u64, &DebugSection)],
    local_symbols: u32,
) {
    let read_only = elf::SectionFlags(elf::SHF_ALLOC.0);
    let plain = |sh_type, sh_flags, start: u32, length: u32, alignment: u32| SectionHeader {
        sh_type,
        sh_flags,
        sh_addr: start.into(),
        sh_offset: start.into(),
        sh_size: length.into(),
        sh_addralign: alignment.into(),
        ..SectionHeader::default()
    };
    let mut names = names.iter();
    let mut write = |writer: &mut Writer<'_>, header: SectionHeader| {
        let sh_name = writer.section_name_offset(names.next().copied());
        writer.write_section_header(&SectionHeader { sh_name, ..header });
    };
    let executable = elf::SectionFlags(elf::SHF_ALLOC.0 | elf::SHF_EXECINSTR.0);
    let writable = elf::SectionFlags(elf::SHF_ALLOC.0 | elf::SHF_WRITE.0);
    writer.write_null_section_header();
    write(writer, plain(elf::SHT_NOTE, read_only, note_offset(layout.wide) as u32, NOTE_BYTES as u32, 4));
    writer.write_gnu_hash_section_header(layout.gnu_hash.into());
    writer.write_dynsym_section_header(layout.dynsym.into(), 1);
    writer.write_dynstr_section_header(layout.dynstr.into());
    write(writer, plain(elf::SHT_PROGBITS, read_only, layout.section, layout.section_bytes.len() as u32, 16));
    let frame_header = layout.call_frames.header.len() as u32;
    write(writer, plain(elf::SHT_PROGBITS, read_only, layout.frame_header, frame_header, 4));
    write(writer, plain(elf::SHT_PROGBITS, read_only, layout.frames, layout.call_frames.frames.len() as u32, 8));
    write(writer, plain(elf::SHT_PROGBITS, read_only, layout.read_only, layout.read_only_end - layout.read_only, 16));
    write(writer, plain(elf::SHT_PROGBITS, executable, layout.text, layout.text_length, 16));
    writer.write_dynamic_section_header(layout.dynamic.into());
    let bss = plain(elf::SHT_NOBITS, writable, layout.cells, layout.cells_length, PAGE);
    let file_end = u64::from(layout.dynamic + layout.dynamic_length);
    write(writer, SectionHeader { sh_offset: file_end, ..bss });
    for (place, section) in debug {
        let strings = elf::SectionFlags(elf::SHF_MERGE.0 | elf::SHF_STRINGS.0);
        let (sh_flags, sh_entsize) = if section.has_strings { (strings, 1) } else { (elf::SectionFlags(0), 0) };
        let header = plain(elf::SHT_PROGBITS, sh_flags, 0, section.bytes.len() as u32, 1);
        write(writer, SectionHeader { sh_offset: *place, sh_entsize, ..header });
    }
    writer.write_symtab_section_header(local_symbols);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
}
