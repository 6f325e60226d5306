//! An image is a shared object that the system's own loader and checkers accept, and that comes back as it went in.

use aot_writer::debug_lines::{SourceLines, SourceRow, source_rows};
use aot_writer::image::{CodePiece, Dependency, ImageIdentity, MethodKey, ObjectImage};
use aot_writer::tables::Field;
use aot_writer::{elf, reader};
use ir::entity::{Entity, Region};
use ir::function::SymbolRef;
use ir::instruction::{SourceOffset, TrapCode};
use ir::mach::*;
use ir::{Function, signature::CallConvention};
use std::process::Command;

/// Enough of a back end to link with: its code is given as bytes.
struct Linker;

impl Backend for Linker {
    fn architecture(&self) -> Architecture {
        Architecture::Amd64
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
        DwarfRegisters { frame_pointer: 6, stack_pointer: 7, return_address: 16 }
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

fn sample() -> ObjectImage {
    // push rbp; mov rbp, rsp; call answer; pop rbp; ret
    let mut caller = code(&[0x55, 0x48, 0x89, 0xe5, 0xe8, 0, 0, 0, 0, 0x5d, 0xc3], vec![reloc(5, SymbolRef::Method(20))]);
    caller.frame = FrameInfo { prologue: [1, 4, 4], epilogues: vec![10], saved_registers: vec![(3, -8)], ..FrameInfo::default() };
    caller.call_sites = vec![CallSite { return_offset: 9, region: Some(Region::from_index(0)) }];
    caller.traps = vec![TrapSite { offset: 4, code: TrapCode::NullReference, region: None }];
    caller.handlers = vec![HandlerSite { region: Region::from_index(0), index: 0, filter_offset: None, handler_offset: 9 }];
    caller.lines = vec![(0, SourceOffset(0)), (4, SourceOffset(7)), (9, SourceOffset(3))];
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
    };
    // Of the first two pieces the source is known.
    let rows = source_rows(&caller.lines, &[(0, 0, 31, 5), (7, 1, 208, 9)]);
    let lines = SourceLines {
        unit: "/library/sample.dll".into(),
        files: vec!["/source/main.cs".into(), "other.cs".into()],
        pieces: vec![rows, vec![SourceRow { code_offset: 0, file: 0, line: 47, column: 0 }], Vec::new()],
    };
    ObjectImage {
        identity: ImageIdentity {
            architecture: Architecture::Amd64,
            cpu_features: 1 << 40 | 3,
            abi: 0x1122_3344_5566_7788,
            assembly: 77,
            options: "all".into(),
            dependencies: vec![Dependency { name: "mscorlib, Version=4.0.0.0".into(), content: u128::MAX - 5 }],
        },
        name: "sample.dll.so".into(),
        code: vec![
            piece(10, "Sample:Caller ()", Some(MethodKey::Definition(3)), caller, b"clauses"),
            piece(20, "Sample:Answer ()", Some(MethodKey::Instance(b"answer<int>".to_vec())), answer, b""),
            piece(30, "cell_stub", None, cell, b""),
        ],
        cells: vec![b"first".to_vec(), b"second".to_vec(), Vec::new()],
        read_only_data: vec![4242u32.to_le_bytes().to_vec(), vec![1; 33]],
        helper_count: 2,
        extra: b"extra".to_vec(),
        source_lines: Some(lines),
    }
}

#[test]
fn comes_back_as_it_went_in() {
    let image = sample();
    let file = elf::write(&image, &Linker).unwrap();
    assert_eq!(file, elf::write(&image, &Linker).unwrap(), "the bytes depend on the image alone");
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
    let (info, clauses) = read.info(caller).unwrap();
    assert_eq!(clauses, b"clauses");
    let original = &image.code[0].code;
    assert_eq!(info.call_sites, original.call_sites);
    assert_eq!(info.traps, original.traps);
    assert_eq!(info.handlers, original.handlers);
    assert_eq!(info.lines, [(4, SourceOffset(7))], "only positions that can raise are kept");
    assert_eq!(info.frame.saved_registers, original.frame.saved_registers);
    let answer = read.instance(b"answer<int>").unwrap();
    assert_eq!(read.instance(b"answer<long>"), None);
    assert_eq!(read.method_at(answer.code_offset + 3), Some(answer));
}

#[test]
fn the_systems_loader_and_checkers_accept_it() {
    let folder = std::env::temp_dir().join(format!("saki-aot-writer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("sample.dll.so");
    let image = sample();
    let file = elf::write(&image, &Linker).unwrap();
    std::fs::write(&path, &file).unwrap();

    let lint = Command::new("eu-elflint").arg("--gnu-ld").arg(&path).output().expect("eu-elflint is installed (elfutils)");
    let said = String::from_utf8_lossy(&lint.stdout).into_owned() + &String::from_utf8_lossy(&lint.stderr);
    assert!(said.trim() == "No errors", "{said}");
    let readelf = Command::new("readelf").args(["-a", "-W"]).arg(&path).output().expect("readelf is installed (binutils)");
    assert!(readelf.status.success() && readelf.stderr.is_empty(), "{}", String::from_utf8_lossy(&readelf.stderr));
    let headers = String::from_utf8_lossy(&readelf.stdout).into_owned();
    assert!(!headers.contains("RWE") && !headers.contains("TEXTREL"), "{headers}");

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
    let path = std::env::temp_dir().join(format!("saki-debug-lines-{}.so", std::process::id()));
    std::fs::write(&path, elf::write(&sample(), &Linker).unwrap()).unwrap();
    let run = |command: &str, arguments: &[&str]| {
        let output = Command::new(command).args(arguments).arg(&path).output().ok()?;
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let table = run("readelf", &["--debug-dump=decodedline", "-W"]).expect("readelf is installed (binutils)");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    for row in [["main.cs", "31"], ["other.cs", "208"], ["main.cs", "47"]] {
        assert!(rows.contains(&row.to_vec()), "{table}");
    }
    let entries = run("readelf", &["--debug-dump=info", "-W"]).expect("readelf is installed (binutils)");
    for text in ["Sample:Caller ()", "Sample:Answer ()", "sample.dll", "DW_TAG_compile_unit"] {
        assert!(entries.contains(text), "{entries}");
    }
    assert!(!entries.contains("cell_stub"), "{entries}");
    // Another reader's opinion, where it is installed.
    if let Some(verdict) = run("llvm-dwarfdump", &["--verify"]) {
        assert!(verdict.contains("No errors."), "{verdict}");
    }
    let without = elf::write(&ObjectImage { source_lines: None, ..sample() }, &Linker).unwrap();
    assert!(!without.windows(6).any(|window| window == b".debug"));
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn damage_is_refused() {
    let file = elf::write(&sample(), &Linker).unwrap();
    for length in 0..file.len() {
        assert!(reader::open(&file[..length]).is_err(), "cut to {length} bytes");
    }
    for index in 0..file.len() {
        let mut changed = file.clone();
        changed[index] ^= 1 << (index % 8);
        assert!(reader::open(&changed).is_err(), "byte {index} changed");
    }
}
