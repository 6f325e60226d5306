//! A shell does what its function does: both run in the interpreter, the shell's helpers with it.

use ir::Function;
use ir::function::SymbolRef;
use ir::interpreter::shell::{FrameHeader, FrameParts, Program, ShellOptions};
use ir::interpreter::{Abrupt, Bits, BitsList, FlatHost, World, interpret};
use ir::parse::parse_function;
use ir::verify::verify;
use std::sync::{Arc, OnceLock};

/// Divides 100 by each number from the argument down to -1, adds the quotients in a slot, with a call for each; division by zero counts
/// as 1000, by way of a handler.
const FUNCTION: &str = "
function \"f\" pointer 8 managed (i32) -> i32 {
    sig0 = managed (i32) -> i32
    sym0 = method 1 \"twice\"
    ss0 = slot 4 align 4 in_handler
    ss1 = slot 4 align 4 in_handler
    eh0 = region catch(0) block4
block0(v0: i32):
    v1 = stack_addr.iptr ss0
    v2 = iconst.i32 0
    store v1, v2 [i32 no_trap]
    v3 = stack_addr.iptr ss1
    store v3, v0 [i32 no_trap]
    jump block1

block1:
    v4 = stack_addr.iptr ss1
    v5 = load.i32 v4 [i32 no_trap]
    v6 = iconst.i32 -1
    v7 = icmp.i32 slt v5, v6
    brif v7 block3, block2(v5)

block2(v8: i32) region eh0:
    v9 = iconst.i32 100
    v10 = sdiv.i32 v9, v8
    v11 = call sym0 sig0 v10
    jump block5(v11)

block3:
    v12 = stack_addr.iptr ss0
    v13 = load.i32 v12 [i32 no_trap]
    return v13

block4(v14: ref):
    v15 = iconst.i32 1000
    jump block5(v15)

block5(v16: i32):
    v17 = stack_addr.iptr ss0
    v18 = load.i32 v17 [i32 no_trap]
    v19 = iadd.i32 v18, v16
    store v17, v19 [i32 no_trap]
    v20 = stack_addr.iptr ss1
    v21 = load.i32 v20 [i32 no_trap]
    v22 = iconst.i32 1
    v23 = isub.i32 v21, v22
    store v20, v23 [i32 no_trap]
    jump block1
}";

const TWICE: &str = "function \"twice\" pointer 8 managed (i32) -> i32 {\nblock0(v0: i32):\n v1 = iadd.i32 v0, v0\n return v1\n}";
const RAISE: &str = "function \"raise\" pointer 8 native (i32) {\nblock0(v0: i32):\n trap divide_by_zero\n}";
const OPTIONS: ShellOptions = ShellOptions { interpret: 1, pause: 2, raise_trap: 3 };

fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| Program::new(parse_function(FUNCTION).expect("a good function")))
}

/// The helper: header and cells are copied out of the host's memory and back.
fn run_program(host: &mut FlatHost, args: &[Bits]) -> BitsList {
    const HEADER: usize = size_of::<FrameHeader>();
    let (frame, program) = (args[0] as u64, program());
    let mut bytes = vec![0; HEADER + program.cell_count() * size_of::<Bits>()];
    assert!(host.read(frame, &mut bytes));
    // SAFETY: a header is plain numbers, and there are as many bytes.
    let mut header: FrameHeader = unsafe { bytes.as_ptr().cast::<FrameHeader>().read_unaligned() };
    let cells = bytes[HEADER..].chunks_exact(size_of::<Bits>());
    let mut values: Vec<Bits> = cells.map(|cell| Bits::from_le_bytes(cell.try_into().expect("whole cells"))).collect();
    let parts = FrameParts { header: &mut header, values: &mut values, slots: frame + program.slots_offset() as u64 };
    // Every second branch pauses.
    let branches = std::cell::Cell::new(0);
    let must_pause = || branches.replace(branches.get() + 1) % 2 == 1;
    let exit = program.run(parts, host, must_pause).expect("a function that runs");
    // SAFETY: as above.
    let header: [u8; HEADER] = unsafe { std::mem::transmute(header) };
    let cells: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert!(host.write(frame, &[&header[..], &cells].concat()));
    BitsList::from_slice(&[Bits::from(exit)])
}

fn host() -> FlatHost {
    let mut host = FlatHost::new();
    let mut add = |symbol, text| host.functions.insert(symbol, Arc::new(parse_function(text).expect("a good function")));
    add(SymbolRef::Method(1), TWICE);
    add(SymbolRef::Helper(OPTIONS.raise_trap), RAISE);
    host.natives.insert(SymbolRef::Helper(OPTIONS.interpret), run_program);
    host
}

fn run(function: &Function, argument: i32) -> Result<i32, Abrupt> {
    let mut steps = 100_000;
    interpret(function, &mut host(), &[Bits::from(i64::from(argument) as u64)], &mut steps).map(|results| results[0] as i32)
}

#[test]
fn a_shell_does_what_its_function_does() {
    let function = parse_function(FUNCTION).expect("a good function");
    let shell = program().shell(&OPTIONS, 0x77);
    verify(&shell).unwrap_or_else(|errors| panic!("{errors}\n{shell}"));
    assert_eq!(run(&function, 2), Ok(100 + 200 + 1000 - 200));
    for argument in [-2, -1, 0, 1, 7] {
        assert_eq!(run(&shell, argument), run(&function, argument), "{argument}");
    }
}
