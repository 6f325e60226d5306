//! Execution on the host. Traps end in a stub that returns the code as `TRAP` + code from the raising function.

#![cfg(all(target_arch = "x86", target_os = "linux"))]

use crate::X86;
use backend_testing::{Call, cases, random};
use cases::EDGES;
use ir::Function;
use ir::function::SymbolRef;
use ir::mach::{Backend, CodegenOptions, CompiledCode, SavedArguments, StubKind};
use std::cell::Cell;

fn options(cpu_features: u64) -> CodegenOptions {
    backend_testing::options(&X86, cpu_features)
}

fn parse(signature: &str, body: &str) -> Function {
    backend_testing::parse(&X86, signature, body)
}

fn compile(function: &Function, cpu_features: u64) -> CompiledCode {
    backend_testing::compile(&X86, function, &options(cpu_features))
}

/// Code of the raise helper: result = `TRAP` + code, and out of the frame that raised.
const RAISE: [u8; 11] = [0x8b, 0x44, 0x24, 0x04, 0x05, 0x00, 0x00, 0x00, 0x10, 0xc9, 0xc3];

/// Functions in executable memory.
struct Loaded(backend_testing::Loaded);

/// What a function gives: integer results and float results.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Results {
    low: u32,
    high: u32,
    floats: [u64; 2],
}

/// Lets fs point to `thread`, in a descriptor that each thread of the test asks for once.
fn set_thread(thread: *mut usize) {
    #[repr(C)]
    struct Descriptor {
        entry: u32,
        base: u32,
        limit: u32,
        flags: u32,
    }
    /// 32 bits, limit in pages, usable.
    const FLAGS: u32 = 1 | 1 << 4 | 1 << 6;
    thread_local!(static ENTRY: Cell<u32> = const { Cell::new(u32::MAX) });
    let mut descriptor = Descriptor { entry: ENTRY.get(), base: thread as u32, limit: 0xf_ffff, flags: FLAGS };
    // SAFETY: the descriptor is as the call expects it, and nothing else on this system uses fs.
    unsafe {
        assert_eq!(libc::syscall(libc::SYS_set_thread_area, &raw mut descriptor), 0);
        std::arch::asm!("mov fs, {0:x}", in(reg) descriptor.entry << 3 | 3);
    }
    ENTRY.set(descriptor.entry);
}

impl Loaded {
    /// Method number n is `functions[n]`; helper n is native code at `helpers[n - 1]`, 0 raises. Behind the functions come `codes`.
    fn new(functions: &[Function], codes: Vec<CompiledCode>, features: u64, helpers: &[usize]) -> Loaded {
        let mut all: Vec<CompiledCode> = functions.iter().map(|function| compile(function, features)).collect();
        all.extend(codes);
        Loaded(backend_testing::Loaded::link(&X86, &options(features), all, &RAISE, helpers))
    }

    /// Calls function 0 with the argument registers (ecx, edx, context, key), floats and stack words.
    fn call_all(&self, integers: &[u32], floats: &[u64], stack: &[u32]) -> Results {
        let words = |list: &[u32]| list.iter().map(|&word| word as usize).collect::<Vec<_>>();
        let mut thread = [0; 16];
        thread[3] = thread.as_mut_ptr() as usize;
        set_thread(thread.as_mut_ptr());
        // SAFETY: the code obeys the convention, and the thread is as long as it reads.
        let results = unsafe { self.0.enter(thread.as_mut_ptr(), &words(integers), floats, &words(stack)) };
        Results { low: results[0] as u32, high: results[1] as u32, floats: [results[2], results[3]] }
    }

    /// The same with integers alone; gives the first integer result.
    fn call(&self, integers: &[u32]) -> u32 {
        let (registers, stack) = integers.split_at(integers.len().min(2));
        self.call_all(registers, &[], stack).low
    }
}

/// Floats go to registers, as few as cases have.
fn call_of(code: Loaded) -> Call {
    Box::new(move |integers, floats| {
        let words: Vec<u32> = integers.iter().map(|&integer| integer as u32).collect();
        let (registers, stack) = words.split_at(words.len().min(2));
        let results = code.call_all(registers, floats, stack);
        (results.low, results.floats[0])
    })
}

fn load(signature: &str, body: &str) -> Loaded {
    Loaded::new(&[parse(signature, body)], Vec::new(), X86.host_features(), &[])
}

/// On a processor with none of the features that are asked for, and on this one.
#[test]
fn cases_of_every_machine() {
    for features in [0, X86.host_features()] {
        let load: cases::Load = &|signature, body| call_of(Loaded::new(&[parse(signature, body)], Vec::new(), features, &[]));
        cases::integer_arithmetic(load);
        cases::divisions(load);
        cases::shifts_and_bit_counts(load);
        cases::integer_comparisons(load);
        cases::float_comparisons(load);
        cases::float_arithmetic_and_constants(load);
        cases::conversions(load);
        cases::switches(load);
        cases::swapping_loops(load);
        cases::many_values(load);
        cases::stack_memory(load, 16);
        cases::checks_raise(load);
    }
}

#[test]
fn random_functions() {
    random::functions(&X86, X86.host_features(), Some(|code| call_of(Loaded::new(&[], vec![code], 0, &[]))));
}

#[test]
fn conversions() {
    let unary = |from: &str, to: &str, name: &str| {
        load(&format!("managed ({from}) -> {to}"), &format!("block0(v0: {from}):\n v1 = {name}.{to} v0\n return v1"))
    };
    let (unsigned, signed) = (unary("i32", "f64", "uint_to_float"), unary("i32", "f64", "sint_to_float"));
    let unsigned32 = unary("i32", "f32", "uint_to_float");
    for a in EDGES {
        let result = |code: &Loaded| code.call_all(&[a as u32], &[], &[]).floats[0];
        assert_eq!(f64::from_bits(result(&unsigned)), f64::from(a as u32));
        assert_eq!(f64::from_bits(result(&signed)), f64::from(a));
        assert_eq!(f32::from_bits(result(&unsigned32) as u32), a as u32 as f32);
    }
    let (to_int, to_uint) = (unary("f64", "i32", "float_to_sint"), unary("f64", "i32", "float_to_uint"));
    for (a, expected) in [(1.9, 1), (-1.9, -1), (3e9, i32::MIN), (f64::NAN, i32::MIN)] {
        assert_eq!(to_int.call_all(&[], &[f64::to_bits(a)], &[]).low as i32, expected);
    }
    // The low half of the signed 64-bit conversion.
    let numbers = [0.0, 1.9, -1.9, 2147483648.0, 3e9, 4294967295.9, 4294967301.5, -2147483648.0, -3e9, 9e18, 1e19, f64::NAN];
    for a in numbers {
        let wide = if a.is_nan() || a >= 9.3e18 { i64::MIN } else { a as i64 };
        assert_eq!(to_uint.call_all(&[], &[f64::to_bits(a)], &[]).low, wide as u32, "{a}");
    }
    let narrow = unary("f32", "i32", "float_to_uint");
    assert_eq!(narrow.call_all(&[], &[u64::from(f32::to_bits(3e9))], &[]).low, 3_000_000_000);
}

#[test]
fn arguments_beyond_the_registers_and_two_results() {
    // Five integers and six floats: registers, then the stack in order. The caller passes them on in another order.
    let signature = "managed (i32, f64, i32, f32, i32, f64, i32, f64, i32, f64, f64) -> i32, f64";
    let params = "v0: i32, v1: f64, v2: i32, v3: f32, v4: i32, v5: f64, v6: i32, v7: f64, v8: i32, v9: f64, v10: f64";
    let callee = format!(
        "block0({params}):\n v20 = isub.i32 v0, v2\n v21 = isub.i32 v20, v4\n v22 = isub.i32 v21, v6\n v23 = isub.i32 v22, v8\n \
         v24 = fpromote.f64 v3\n v25 = fsub.f64 v1, v24\n v26 = fsub.f64 v25, v5\n v27 = fsub.f64 v26, v7\n \
         v28 = fsub.f64 v27, v9\n v29 = fsub.f64 v28, v10\n return v23, v29"
    );
    let caller = format!(
        " sig0 = {signature}\n sym0 = method 1 \"callee\"\nblock0({params}):\n \
         v20, v21 = call sym0 sig0 v8, v10, v6, v3, v4, v9, v2, v7, v0, v5, v1\n v22 = ineg.i32 v20\n return v22, v21"
    );
    let functions = [parse(signature, &caller), parse(signature, &callee)];
    let code = Loaded::new(&functions, Vec::new(), 0, &[]);
    let float = |number: f64| number.to_bits();
    let words = |number: f64| [number.to_bits() as u32, (number.to_bits() >> 32) as u32];
    let mut stack = vec![3, 4, 5];
    stack.extend(words(5.0));
    stack.extend(words(6.0));
    let floats = [float(1.0), u64::from(2f32.to_bits()), float(3.0), float(4.0)];
    let results = code.call_all(&[1, 2], &floats, &stack);
    assert_eq!(results.low as i32, -(5 - 4 - 3 - 2 - 1));
    assert_eq!(f64::from_bits(results.floats[0]), 6.0 - 2.0 - 5.0 - 4.0 - 3.0 - 1.0);
}

extern "C" fn helper(a: i32, b: f64, c: f32) -> f64 {
    f64::from(a) * 2.0 + b + f64::from(c)
}

#[repr(C)]
struct Triple {
    words: [i32; 3],
}

extern "C" fn structures(triple: Triple, by: i32) -> Triple {
    Triple { words: triple.words.map(|word| word * by) }
}

#[test]
fn native_helpers_follow_the_c_convention() {
    let function = parse(
        "managed (i32, f64, f32) -> f64",
        " sig0 = native (i32, f64, f32) -> f64\n sym0 = helper 1 \"helper\"\nblock0(v0: i32, v1: f64, v2: f32):\n \
         v3 = call sym0 sig0 v0, v1, v2\n v4 = fadd.f64 v3, v1\n return v4",
    );
    let code = Loaded::new(&[function], Vec::new(), 0, &[helper as *const () as usize]);
    let floats = [3.0f64.to_bits(), u64::from(0.5f32.to_bits())];
    assert_eq!(f64::from_bits(code.call_all(&[7], &floats, &[]).floats[0]), 20.5);

    // The hidden pointer comes first wherever it is listed, and the callee pops it: two calls in a row use the same area.
    let function = parse(
        "managed (mptr, mptr, i32) -> i32",
        " sig0 = native (byval(12, 4) mptr, i32, sret mptr)\n sym0 = helper 1 \"structures\"\nblock0(v0: mptr, v1: mptr, v2: i32):\n \
         call sym0 sig0 v1, v2, v0\n call sym0 sig0 v0, v2, v1\n v3 = load.i32 v1 [i32 +8 no_trap]\n return v3",
    );
    let code = Loaded::new(&[function], Vec::new(), 0, &[structures as *const () as usize]);
    let mut areas = [[0i32; 3], [1, 2, 3]];
    let [first, second] = &mut areas;
    assert_eq!(code.call(&[first.as_mut_ptr() as u32, second.as_mut_ptr() as u32, 5]), 75);
    assert_eq!(areas, [[5, 10, 15], [25, 50, 75]]);
}

#[test]
fn the_thread_structure_is_at_fs() {
    let code = load(
        "managed (i32) -> i32",
        "block0(v0: i32):\n v1 = thread.iptr\n store v1, v0 [i32 +20 no_trap]\n v2 = iconst.iptr 20\n v3 = iadd.iptr v1, v2\n \
         v4 = load.i32 v3 [i32 no_trap]\n v5 = load.iptr v1 [iptr +12 no_trap]\n v6 = load.i32 v5 [i32 +20 no_trap]\n \
         v7 = iadd.i32 v4, v6\n return v7",
    );
    assert_eq!(code.call(&[21]), 42);
}

/// What the resolver stub saw; and what it answers: the number that it got as token is the code's address.
extern "C" fn resolver(thread: *const u32, token: usize, saved: *const SavedArguments) -> usize {
    // SAFETY: the stub gives the thread structure and its frame.
    unsafe {
        assert_eq!(*thread.add(3), thread as u32);
        let saved = &*saved;
        assert_eq!((saved.key, saved.context, saved.this), (44, 33, 11));
    }
    token
}

#[test]
fn a_thunk_resolves_with_all_arguments_kept() {
    let signature = "managed (i32, i32, i32, f64, context iptr, key iptr) -> i32";
    let caller = format!(
        " sig0 = {signature}\nblock0(v0: iptr):\n v1 = iconst.i32 11\n v2 = iconst.i32 22\n v3 = iconst.i32 55\n v4 = fconst.f64 0x4050800000000000\n \
         v5 = iconst.iptr 33\n v6 = iconst.iptr 44\n v7 = call_indirect sig0 v0, v1, v2, v3, v4, v5, v6\n return v7"
    );
    let callee = "block0(v0: i32, v1: i32, v2: i32, v3: f64, v4: iptr, v5: iptr):\n v6 = iadd.i32 v0, v1\n v7 = iadd.i32 v6, v2\n \
                  v8 = float_to_sint.i32 v3\n v9 = iadd.i32 v7, v8\n v10 = trunc.i32 v4\n v11 = iadd.i32 v9, v10\n \
                  v12 = trunc.i32 v5\n v13 = iadd.i32 v11, v12\n return v13";
    let functions = [parse("managed (iptr) -> i32", &caller), parse(signature, callee)];
    let sum = 11 + 22 + 55 + 66 + 33 + 44;
    let direct = Loaded::new(&functions, Vec::new(), 0, &[]);
    let callee_address = |code: &Loaded| code.0.address(1);
    assert_eq!(direct.call(&[callee_address(&direct) as u32]), sum);
    // The token is the address of the callee in the first buffer. Code 2 is the thunk, code 3 the stub that its cell names.
    let token = callee_address(&direct) as u64;
    let resolve = X86.stub(StubKind::Resolve { helper: 1 }, &options(0)).code;
    let codes = vec![X86.thunk(token, SymbolRef::Cell(3)), resolve];
    let code = Loaded::new(&functions, codes, 0, &[resolver as *const () as usize]);
    assert_eq!(code.call(&[code.0.address(2) as u32]), sum);
}

#[test]
fn a_dispatch_stub_goes_by_the_key() {
    let signature = "managed (i32, key iptr) -> i32";
    let caller = format!(
        " sig0 = {signature}\nblock0(v0: iptr, v1: iptr):\n v2 = iconst.i32 5\n v3 = call_indirect sig0 v0, v2, v1\n return v3"
    );
    let returns = |number: i32| {
        let body = format!("block0(v0: i32, v1: iptr):\n v2 = iconst.i32 {number}\n v3 = iadd.i32 v0, v2\n return v3");
        parse(signature, &body)
    };
    let functions = [parse("managed (iptr, iptr) -> i32", &caller), returns(10), returns(20), returns(30)];
    let cell = SymbolRef::Cell;
    let dispatch = X86.dispatch(&[(7, cell(1)), (0xffff_fff0, cell(2))], cell(3));
    let code = Loaded::new(&functions, vec![dispatch], 0, &[]);
    let address = code.0.address(4) as u32;
    for (key, expected) in [(7, 15), (0xffff_fff0, 25), (8, 35)] {
        assert_eq!(code.call(&[address, key]), expected, "key {key}");
    }
}

/// Notes the cell that it is asked for in the cell itself.
extern "C" fn fill(cell: *mut usize) -> usize {
    // SAFETY: the table of cells is in the test's memory.
    unsafe { *cell }
}

#[test]
fn resolvers_find_their_cells_and_keep_registers() {
    // Code that calls entry n of the table behind it with ecx and edx known, and returns eax * ecx + edx.
    let functions = [parse(
        "managed (iptr, i32) -> i32",
        " sig0 = managed () -> i32\nblock0(v0: iptr, v1: i32):\n v2 = call_indirect sig0 v0\n return v2",
    )];
    let mut codegen = options(0);
    codegen.cell_resolver = Some(1);
    let table = X86.resolvers(3, &codegen).unwrap();
    assert_eq!(table.entry_bytes, 5);
    // Cell n holds the address of code n: function, table, stub.
    let code = Loaded::new(&functions, vec![table.code], 0, &[fill as *const () as usize]);
    for entry in 0..3 {
        let address = code.0.address(1) + 5 * entry;
        assert_eq!(code.call(&[address as u32, 9]) as usize, code.0.address(entry));
    }
}

#[test]
fn carries_join_words() {
    let add = " v4 = iadd.i32 v0, v2\n v5 = icmp.i32 ult v4, v0\n v6 = iadd.i32 v1, v3\n v7 = iadd.i32 v6, v5\n return v4, v7";
    let subtract =
        " v4 = isub.i32 v0, v2\n v5 = icmp.i32 ult v0, v2\n v6 = isub.i32 v1, v3\n v7 = isub.i32 v6, v5\n return v4, v7";
    let rows: [(&str, fn(u64, u64) -> u64); 2] = [(add, u64::wrapping_add), (subtract, u64::wrapping_sub)];
    for (body, expected) in rows {
        let body = format!("block0(v0: i32, v1: i32, v2: i32, v3: i32):\n{body}");
        let code = load("managed (low i32, i32, low i32, i32) -> i32, i32", &body);
        for a in EDGES.map(|edge| i64::from(edge) as u64) {
            for b in EDGES.map(|edge| (i64::from(edge) as u64).rotate_left(13)) {
                let results = code.call_all(&[a as u32, (a >> 32) as u32], &[], &[b as u32, (b >> 32) as u32]);
                assert_eq!(u64::from(results.high) << 32 | u64::from(results.low), expected(a, b), "{a:x} {b:x}");
            }
        }
    }
}

#[test]
fn allocation_takes_from_the_window() {
    let code = load(
        "managed (iptr, iptr, iptr) -> ref",
        "block0(v0: iptr, v1: iptr, v2: iptr):\n v3 = thread.iptr\n store v3, v1 [iptr +32 no_trap]\n store v3, v2 [iptr +36 no_trap]\n \
         v4 = iconst.iptr 24\n v5 = try_allocate.ref v0, v4, v0 [cursor 32 limit 36 method_table 0 length 8]\n return v5",
    );
    let mut memory = [0u32; 16];
    let start = memory.as_mut_ptr() as u32;
    assert_eq!(code.call(&[77, start, start + 24]), start);
    assert_eq!(memory[..4], [77, 0, 77, 0]);
    assert_eq!(code.call(&[77, start, start + 23]), 0);
}
