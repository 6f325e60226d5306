//! An image is a shared object that the system's own loader and checkers accept, and that comes back as it went in.

use aot_writer::debug_lines::{SourceLines, SourceRow, source_rows};
use aot_writer::image::{CodePiece, Dependency, ImageIdentity, MethodKey, ObjectImage};
use aot_writer::info::CodeInfo;
use aot_writer::tables::Field;
use aot_writer::{elf, reader};
use ir::Function;
use ir::entity::{Entity, Region};
use ir::function::SymbolRef;
use ir::inline_sites::{InlineSite, frames};
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::*;
use ir::signature::{CallConvention, Signature};
use std::path::Path;
use std::process::Command;

/// Enough of a back end to link with: its code is given as bytes.
struct Linker(Architecture);

const HOST_LIKE: Linker = Linker(Architecture::Amd64);
const ALL: [Linker; 3] = [Linker(Architecture::X86), HOST_LIKE, Linker(Architecture::Arm)];

impl Backend for Linker {
    fn architecture(&self) -> Architecture {
        self.0
    }
    fn compile(&self, _: &Function, _: &CodegenOptions) -> Result<CompiledCode, CodegenError> {
        unreachable!("the writer compiles nothing")
    }
    fn compile_verbose(&self, _: &Function, _: &CodegenOptions) -> Result<(CompiledCode, CompileDump), CodegenError> {
        unreachable!("the writer compiles nothing")
    }
    fn pass_struct(&self, _: &StructShape, _: CallConvention, _: StructUse) -> StructPassing {
        unreachable!("the writer knows no structures")
    }
    fn callback_layout(&self, _: &Signature) -> Result<CallbackLayout, CodegenError> {
        unreachable!("the writer makes no stubs")
    }
    fn stub(&self, _: StubKind, _: &CodegenOptions) -> Stub {
        unreachable!("the writer makes no stubs")
    }
    fn thunk(&self, _: u64, _: SymbolRef) -> CompiledCode {
        unreachable!("the writer makes no thunks")
    }
    fn dispatch(&self, _: &[(u64, SymbolRef)], _: SymbolRef) -> CompiledCode {
        unreachable!("the writer makes no dispatch stubs")
    }
    fn apply_reloc(&self, _: RelocKind, bytes: &mut [u8], field: u64, target: u64, addend: i32) -> Result<(), CodegenError> {
        let value = target.wrapping_sub(field).wrapping_add(addend as i64 as u64) as u32;
        bytes[..4].copy_from_slice(&value.to_le_bytes());
        Ok(())
    }
    fn disassemble(&self, _: &[u8], _: u64) -> String {
        String::new()
    }
    fn dwarf_registers(&self) -> DwarfRegisters {
        let [frame_pointer, stack_pointer, return_address] = match self.0 {
            Architecture::X86 => [5, 4, 8],
            Architecture::Amd64 => [6, 7, 16],
            Architecture::Arm => [11, 13, 14],
        };
        DwarfRegisters { frame_pointer, stack_pointer, return_address }
    }
    fn host_features(&self) -> u64 {
        0
    }
}

fn code(bytes: &[u8], relocs: Vec<Reloc>) -> CompiledCode {
    CompiledCode { bytes: bytes.to_vec(), align: 16, code_len: bytes.len() as u32, relocs, ..CompiledCode::default() }
}

fn reloc(offset: u32, target: SymbolRef) -> Reloc {
    Reloc { offset, kind: RelocKind::PcRelative32, target, addend: -4 }
}

/// A caller of `Method(20)`, with what its prologue ends.
fn caller(architecture: Architecture) -> CompiledCode {
    match architecture {
        // push ebp; mov ebp, esp; nop; call answer; pop ebp; ret
        Architecture::X86 => CompiledCode {
            frame: FrameInfo { prologue: [1, 3, 3], epilogues: vec![10], saved_registers: vec![(3, -4)], ..FrameInfo::default() },
            ..code(&[0x55, 0x89, 0xe5, 0x90, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3], vec![reloc(5, SymbolRef::Method(20))])
        },
        // push rbp; mov rbp, rsp; call answer; pop rbp; ret
        Architecture::Amd64 => CompiledCode {
            frame: FrameInfo { prologue: [1, 4, 4], epilogues: vec![10], saved_registers: vec![(3, -8)], ..FrameInfo::default() },
            ..code(&[0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3], vec![reloc(5, SymbolRef::Method(20))])
        },
        // push {fp, lr}; mov fp, sp; ldr r0, [pc, #8]; b behind the island; a constant; pop {fp, pc}; a constant: where the answer is
        Architecture::Arm => {
            let words = [0xe92d_4800u32, 0xe1a0_b00d, 0xe59f_0008, 0xea00_0000, 4242, 0xe8bd_8800, 0];
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            CompiledCode {
                code_len: 24,
                islands: vec![(16, 20)],
                frame: FrameInfo { prologue: [4, 8, 8], saved_registers: vec![(4, -4)], ..FrameInfo::default() },
                ..code(&bytes, vec![reloc(24, SymbolRef::Method(20))])
            }
        }
    }
}

fn sample(architecture: Architecture) -> ObjectImage {
    let mut caller = caller(architecture);
    caller.call_sites = vec![CallSite { return_offset: 9, region: Some(Region::from_index(0)) }];
    caller.traps = vec![TrapSite { offset: 4, code: TrapCode::NullReference, region: None }];
    caller.handlers = vec![HandlerSite { region: Region::from_index(0), index: 0, filter_offset: None, handler_offset: 9 }];
    caller.lines = vec![(0, SourceOffset(0)), (4, SourceOffset(7)), (8, SourceOffset(40)), (9, SourceOffset(3))];
    // mov eax, [rip + datum]; ret
    let answer = code(&[0x8b, 0x05, 0, 0, 0, 0, 0xc3], vec![reloc(2, SymbolRef::RoData(0))]);
    // mov rax, [rip + cell 1]; ret
    let cell = code(&[0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xc3], vec![reloc(3, SymbolRef::Cell(1))]);
    let piece = |symbol, name: &str, key, code, clauses: &[u8]| CodePiece {
        symbol,
        name: name.into(),
        key,
        code,
        clauses: clauses.to_vec(),
        inline_sites: Vec::new(),
    };
    let site = |callee, first, call| InlineSite { callee, first, call: SourceOffset(call) };
    let caller_sites = vec![site(0, 30, 1), site(1, 40, 2)];
    // Of the first two pieces the source is known.
    let rows = source_rows(&caller.lines, &[(0, 0, 31, 5), (7, 1, 208, 9)]);
    let lines = SourceLines {
        unit: "/library/sample.dll".into(),
        files: vec!["/source/main.cs".into(), "other.cs".into()],
        pieces: vec![rows, vec![SourceRow { code_offset: 0, file: 0, line: 47, column: 0 }], Vec::new()],
    };
    ObjectImage {
        identity: ImageIdentity {
            architecture,
            cpu_features: 1 << 40 | 3,
            abi: 0x1122_3344_5566_7788,
            assembly: 77,
            options: "all".into(),
            dependencies: vec![Dependency { name: "mscorlib, Version=4.0.0.0".into(), content: u128::MAX - 5 }],
        },
        name: "sample.dll.so".into(),
        code: vec![
            CodePiece {
                inline_sites: caller_sites,
                ..piece(10, "Sample:Caller ()", Some(MethodKey::Definition(3)), caller, b"clauses")
            },
            piece(20, "Sample:Answer ()", Some(MethodKey::Instance(b"answer<int>".to_vec())), answer, b""),
            piece(30, "cell_stub", None, cell, b""),
        ],
        inlined_methods: vec![b"nowhere needed".to_vec(), b"inlined".to_vec()],
        cells: vec![b"first".to_vec(), b"second".to_vec(), Vec::new()],
        read_only_data: vec![4242u32.to_le_bytes().to_vec(), vec![1; 33]],
        helper_count: 2,
        extra: b"extra".to_vec(),
        source_lines: Some(lines),
    }
}

#[test]
fn comes_back_as_it_went_in() {
    for linker in ALL {
        let image = sample(linker.0);
        let file = elf::write(&image, &linker).unwrap();
        assert_eq!(file, elf::write(&image, &linker).unwrap(), "the bytes depend on the image alone");
        let read = reader::open(&file).unwrap();
        assert_eq!((read.abi(), read.cpu_features()), (image.identity.abi, image.identity.cpu_features));
        assert_eq!(read.identity(), Some((77, "all", image.identity.dependencies.clone())));
        assert_eq!(read.cell(1), Some(&b"second"[..]));
        assert_eq!(read.cell(2), Some(&b""[..]));
        assert_eq!(read.cell(3), None);
        assert_eq!(read.extra(), b"extra");
        let caller = read.definition(3).unwrap();
        assert_eq!(read.definition(2), None);
        assert_eq!(read.definition(4), None);
        let CodeInfo { code: info, clauses, inline_sites } = read.info(caller).unwrap();
        assert_eq!(clauses, b"clauses");
        let original = &image.code[0].code;
        assert_eq!(info.code_len, original.code_len);
        assert_eq!(info.call_sites, original.call_sites);
        assert_eq!(info.traps, original.traps);
        assert_eq!(info.handlers, original.handlers);
        assert_eq!(info.lines, [(4, SourceOffset(7)), (8, SourceOffset(8))], "only positions that can raise are kept");
        assert_eq!(frames(&inline_sites, SourceOffset(8)).map(|frame| frame.1.0).collect::<Vec<_>>(), [0, 2]);
        let method = inline_sites.first().and_then(|site| read.inlined_method(site.callee));
        assert_eq!((method, read.inlined_method(1)), (Some(&b"inlined"[..]), None));
        assert_eq!(info.frame.saved_registers, original.frame.saved_registers);
        let answer = read.instance(b"answer<int>").unwrap();
        assert_eq!(read.instance(b"answer<long>"), None);
        assert_eq!(read.method_at(answer.code_offset + 3), Some(answer));
    }
}

#[test]
fn all_of_many_methods_are_found() {
    let body = |length: usize| CompiledCode {
        frame: FrameInfo { frame_size: length as u32 % 48, outgoing_size: 8, ..FrameInfo::default() },
        ..code(&vec![0xc3; length], Vec::new())
    };
    let pieces = (0..100u32).map(|number| CodePiece {
        symbol: number,
        name: format!("method {number}"),
        key: match number % 3 {
            0 => None,
            1 => Some(MethodKey::Definition(number * 2)),
            _ => Some(MethodKey::Instance(number.to_le_bytes().to_vec())),
        },
        code: body(1 + number as usize % 37),
        clauses: Vec::new(),
        inline_sites: Vec::new(),
    });
    let mut image = ObjectImage { code: pieces.collect(), source_lines: None, ..sample(Architecture::Amd64) };
    let file = elf::write(&image, &HOST_LIKE).unwrap();
    let read = reader::open(&file).unwrap();
    for number in 0..200u32 {
        let definition = (number < 100 && number % 3 == 1).then_some(number);
        assert_eq!(read.definition(number * 2).map(|method| method.index), definition, "row {}", number * 2);
        assert_eq!(read.definition(number * 2 + 1), None);
        let instance = (number < 100 && number % 3 == 2).then_some(number);
        assert_eq!(read.instance(&number.to_le_bytes()).map(|method| method.index), instance);
    }
    for number in 0..100u32 {
        let method = read.method(number).unwrap();
        let length = 1 + number % 37;
        assert_eq!((method.index, method.code_length, method.is_method), (number, length, number % 3 != 0));
        assert_eq!(read.method_at(method.code_offset), Some(method));
        assert_eq!(read.method_at(method.code_offset + length - 1), Some(method));
        assert_eq!(read.info(method).unwrap().code.frame, image.code[number as usize].code.frame);
    }
    assert_eq!(read.method(100), None);
    image.code.swap(1, 4);
    assert!(elf::write(&image, &HOST_LIKE).is_err(), "rows must rise");
}

fn run(command: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(command).args(arguments).arg(path).output().unwrap_or_else(|error| panic!("{command}: {error}"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn checkers_accept_it() {
    for linker in ALL {
        let path = std::env::temp_dir().join(format!("saki-checked-{:?}-{}.so", linker.0, std::process::id()));
        std::fs::write(&path, elf::write(&sample(linker.0), &linker).unwrap()).unwrap();
        assert_eq!(run("eu-elflint", &["--gnu-ld"], &path).trim(), "No errors");
        let headers = run("readelf", &["-a", "-W"], &path);
        assert!(!headers.contains("RWE") && !headers.contains("TEXTREL"), "{headers}");
        let expected: &[&str] = match linker.0 {
            Architecture::X86 => &["ELF32", "Intel 80386"],
            Architecture::Amd64 => &["ELF64", "X86-64"],
            Architecture::Arm => &["ELF32", "Version5 EABI, hard-float ABI", " $a", " $d"],
        };
        for text in expected {
            assert!(headers.contains(text), "{text} is missing: {headers}");
        }
        if linker.0 == Architecture::Arm {
            let mapping: Vec<&str> =
                headers.lines().filter_map(|line| line.split_whitespace().last()).filter(|name| name.starts_with('$')).collect();
            assert_eq!(mapping[..4], ["$a", "$d", "$a", "$d"], "{headers}");
        }
        let frames = run("readelf", &["--debug-dump=frames", "-W"], &path);
        let rule = match linker.0 {
            Architecture::X86 => "DW_CFA_def_cfa_register: r5",
            Architecture::Amd64 => "DW_CFA_def_cfa_register: r6",
            Architecture::Arm => "DW_CFA_def_cfa_register: r11",
        };
        assert!(frames.contains(rule), "{frames}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_systems_loader_accepts_it() {
    let folder = std::env::temp_dir().join(format!("saki-aot-writer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sample.dll.so");
    let file = elf::write(&sample(Architecture::Amd64), &HOST_LIKE).unwrap();
    std::fs::write(&path, &file).unwrap();
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the file was just written and holds only the code above.
    unsafe {
        let handle = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null(), "{:?}", std::ffi::CStr::from_ptr(libc::dlerror()));
        let section = libc::dlsym(handle, c"saki_image".as_ptr()) as usize;
        assert_ne!(section, 0);
        let read = reader::open(&file).unwrap();
        let base = section - read.field(Field::SectionAddress) as usize;
        let text = base + read.field(Field::TextAddress) as usize;
        let at = |offset: u32| std::mem::transmute::<usize, extern "C" fn() -> usize>(text + offset as usize);
        assert_eq!(at(read.definition(3).unwrap().code_offset)(), 4242);
        let cells = (base + read.field(Field::CellsAddress) as usize) as *mut usize;
        cells.add(2 + 1).write(99);
        assert_eq!(at(read.method(2).unwrap().code_offset)(), 99);
        libc::dlclose(handle);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn debuggers_find_methods_and_lines() {
    for linker in ALL {
        let path = std::env::temp_dir().join(format!("saki-debug-lines-{:?}-{}.so", linker.0, std::process::id()));
        let image = sample(linker.0);
        std::fs::write(&path, elf::write(&image, &linker).unwrap()).unwrap();
        let table = run("readelf", &["--debug-dump=decodedline", "-W"], &path);
        let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
        for row in [["main.cs", "31"], ["other.cs", "208"], ["main.cs", "47"]] {
            assert!(rows.contains(&row.to_vec()), "{table}");
        }
        let entries = run("readelf", &["--debug-dump=info", "-W"], &path);
        let pointer = format!("Pointer Size:  {}", image.pointer_bytes());
        for text in ["Sample:Caller ()", "Sample:Answer ()", "sample.dll", "DW_TAG_compile_unit", &pointer] {
            assert!(entries.contains(text), "{entries}");
        }
        assert!(!entries.contains("cell_stub"), "{entries}");
        // Another reader's opinion, where it is installed.
        if Command::new("llvm-dwarfdump").arg("--version").output().is_ok() {
            assert!(run("llvm-dwarfdump", &["--verify"], &path).contains("No errors."));
        }
        let without = elf::write(&ObjectImage { source_lines: None, ..image }, &linker).unwrap();
        assert!(!without.windows(6).any(|window| window == b".debug"));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn damage_is_refused() {
    let file = elf::write(&sample(Architecture::Amd64), &HOST_LIKE).unwrap();
    for length in 0..file.len() {
        assert!(reader::open(&file[..length]).is_err(), "cut to {length} bytes");
    }
    for index in 0..file.len() {
        let mut changed = file.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(reader::open(&changed).is_err(), "byte {index} changed");
    }
}
