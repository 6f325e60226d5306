//! Execution on the host. Traps end in a stub that returns the code as `TRAP` + code from the raising function.

#![cfg(all(target_arch = "arm", target_os = "linux"))]

use crate::encoding::{Condition, DataOp, ModifiedImmediate, Operand2, data, mov, pop};
use crate::{Arm, FEATURE_DIVIDE};
use backend_testing::{Call, TRAP, cases, random};
use ir::Function;
use ir::function::SymbolRef;
use ir::mach::{Backend, CodegenOptions, CompiledCode, StubKind};

fn options(cpu_features: u64) -> CodegenOptions {
    backend_testing::options(&Arm, cpu_features)
}

fn parse(signature: &str, body: &str) -> Function {
    backend_testing::parse(&Arm, signature, body)
}

fn compile(function: &Function, cpu_features: u64) -> CompiledCode {
    backend_testing::compile(&Arm, function, &options(cpu_features))
}

/// Code of the raise helper: result = `TRAP` + code, and out of the frame that raised.
fn raise_helper() -> Vec<u8> {
    let always = Condition::Al;
    let trap = Operand2::Immediate(ModifiedImmediate::new(TRAP).unwrap());
    [data(always, DataOp::Add, false, 0, 0, trap), mov(always, 13, Operand2::Register(11)), pop(always, 1 << 11 | 1 << 15)]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// Functions in executable memory.
struct Loaded(backend_testing::Loaded);

impl Loaded {
    /// Method number n is `codes[n]`; helper n is native code at `helpers[n - 1]`, 0 raises.
    fn link(codes: Vec<CompiledCode>, helpers: &[usize]) -> Loaded {
        Loaded(backend_testing::Loaded::link(&Arm, &options(0), codes, &raise_helper(), helpers))
    }

    fn new(functions: &[Function], features: u64, helpers: &[usize]) -> Loaded {
        Loaded::link(functions.iter().map(|function| compile(function, features)).collect(), helpers)
    }

    /// Address of method `number`.
    fn address(&self, number: usize) -> usize {
        self.0.address(number)
    }

    /// Calls function 0; gives the four results.
    fn call_with(&self, thread: &mut [u32; 16], integers: &[u32], floats: &[u64], stack: &[u32]) -> [u64; 4] {
        let words = |list: &[u32]| list.iter().map(|&word| word as usize).collect::<Vec<_>>();
        // SAFETY: the code obeys the convention, and the thread is as long as it reads.
        unsafe { self.0.enter(thread.as_mut_ptr().cast(), &words(integers), floats, &words(stack)) }
    }

    /// The same; gives integer and float result.
    fn call(&self, integers: &[u32], floats: &[u64], stack: &[u32]) -> (u32, u64) {
        let results = self.call_with(&mut [0; 16], integers, floats, stack);
        (results[0] as u32, results[2])
    }
}

fn call_of(code: Loaded) -> Call {
    Box::new(move |integers, floats| {
        let words: Vec<u32> = integers.iter().map(|&integer| integer as u32).collect();
        code.call(&words, floats, &[])
    })
}

fn load(signature: &str, body: &str) -> Loaded {
    Loaded::new(&[parse(signature, body)], Arm.host_features(), &[])
}

#[test]
fn cases_of_every_machine() {
    assert_eq!(Arm.host_features() & FEATURE_DIVIDE, FEATURE_DIVIDE);
    let load: cases::Load = &|signature, body| call_of(load(signature, body));
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
    cases::stack_memory(load, 8);
    cases::checks_raise(load);
}

#[test]
fn random_functions() {
    random::functions(&Arm, FEATURE_DIVIDE, Some(|code| call_of(Loaded::link(vec![code], &[]))));
}

#[test]
fn calls_pass_many_arguments() {
    let params: Vec<String> =
        (0..9).map(|index| format!("v{index}: i32")).chain((9..21).map(|index| format!("v{index}: f64"))).collect();
    let types = format!("{}, {}", ["i32"; 9].join(", "), ["f64"; 12].join(", "));
    let mut callee = format!("block0({}):\n v30 = iconst.i32 0\n", params.join(", "));
    let mut sum = 30;
    for index in 0..21 {
        let value = if index < 9 {
            format!("v{index}")
        } else {
            callee += &format!(" v{} = float_to_sint.i32 v{index}\n", 40 + index);
            format!("v{}", 40 + index)
        };
        callee +=
            &format!(" v{} = iconst.i32 {}\n v{} = imul.i32 {value}, v{}\n", 100 + index, index + 1, 140 + index, 100 + index);
        callee += &format!(" v{} = iadd.i32 v{sum}, v{}\n", 180 + index, 140 + index);
        sum = 180 + index;
    }
    callee += &format!(" return v{sum}");
    let mut caller = format!(" sig0 = managed ({types}) -> i32\n sym0 = method 1 \"callee\"\nblock0(v0: i32):\n");
    let mut args = Vec::new();
    for index in 0..21 {
        caller += &format!(" v{} = iconst.i32 {index}\n v{} = iadd.i32 v0, v{}\n", 10 + index, 40 + index, 10 + index);
        if index < 9 {
            args.push(format!("v{}", 40 + index));
        } else {
            caller += &format!(" v{} = sint_to_float.f64 v{}\n", 70 + index, 40 + index);
            args.push(format!("v{}", 70 + index));
        }
    }
    caller += &format!(" v130 = call sym0 sig0 {}\n v131 = iadd.i32 v130, v0\n return v131", args.join(", "));
    let functions = [parse("managed (i32) -> i32", &caller), parse(&format!("managed ({types}) -> i32"), &callee)];
    let code = Loaded::new(&functions, 0, &[]);
    let x = 1000;
    let expected: u32 = (0..21).map(|i| (x + i) * (i + 1)).sum::<u32>() + x;
    assert_eq!(code.call(&[x], &[], &[]).0, expected);
}

#[test]
fn entry_copies_stack_arguments_and_the_special_registers() {
    let function = parse(
        "managed (i32, i32, i32, i32, i32, i32, i32, context iptr, key iptr) -> i32",
        "block0(v0: i32, v1: i32, v2: i32, v3: i32, v4: i32, v5: i32, v6: i32, v7: iptr, v8: iptr):\n v9 = iconst.i32 10\n \
         v10 = imul.i32 v4, v9\n v11 = iadd.i32 v10, v5\n v12 = imul.i32 v11, v9\n v13 = iadd.i32 v12, v6\n \
         v14 = imul.i32 v13, v9\n v15 = trunc.i32 v7\n v16 = iadd.i32 v14, v15\n v17 = imul.i32 v16, v9\n v18 = trunc.i32 v8\n \
         v19 = iadd.i32 v17, v18\n return v19",
    );
    let code = Loaded::new(&[function], 0, &[]);
    assert_eq!(code.call(&[0, 0, 0, 0, 4, 5], &[], &[1, 2, 3]).0, 12345);
}

extern "C" fn helper(a: i32, b: f64, c: i32, d: f32) -> i32 {
    a * 2 + b as i32 + c * 100 + d as i32 * 1000
}

#[test]
fn native_helpers_are_called_through_their_cells() {
    let function = parse(
        "managed (i32, f64, f32) -> i32",
        " sig0 = native (i32, f64, i32, f32) -> i32\n sym0 = helper 1 \"helper\"\nblock0(v0: i32, v1: f64, v2: f32):\n \
         v3 = iconst.i32 5\n v4 = call sym0 sig0 v0, v1, v3, v2\n v5 = iadd.i32 v4, v0\n return v5",
    );
    let code = Loaded::new(&[function], 0, &[helper as *const () as usize]);
    let floats = [3.0f64.to_bits(), u64::from(9.0f32.to_bits())];
    assert_eq!(code.call(&[7], &floats, &[]).0, 7 * 2 + 3 + 500 + 9000 + 7);
}

#[test]
fn large_frames_reach_all_of_their_places() {
    for size in [5000u32, 40_000, 300_000] {
        let code = load(
            "managed (i32, i32) -> i32",
            &format!(
                " ss0 = slot 8 align 8\n ss1 = slot {size} align 8\n ss2 = slot 8 align 8\nblock0(v0: i32, v1: i32):\n \
                 v2 = stack_addr.mptr ss0\n v3 = stack_addr.mptr ss1\n v4 = stack_addr.mptr ss2\n store v2, v0 [i32 no_trap]\n \
                 store v4, v1 [i32 no_trap]\n store v3, v1 [i32 +{} no_trap]\n v5 = load.i32 v2 [i32 no_trap]\n \
                 v6 = load.i32 v4 [i32 no_trap]\n v7 = load.i32 v3 [i32 +{} no_trap]\n v8 = iadd.i32 v5, v6\n \
                 v9 = iadd.i32 v8, v7\n return v9",
                size - 4,
                size - 4
            ),
        );
        assert_eq!(code.call(&[5, 9], &[], &[]).0, 23, "{size}");
    }
}

#[test]
fn large_functions_keep_their_constants_in_reach() {
    // Over 64 KB of code with some thousand different constants of eight bytes, and a branch over all of it.
    let mut body = String::from(
        "block0(v0: f64, v1: i32):\n v2 = iconst.i32 0\n v3 = icmp.i32 eq v1, v2\n brif v3 block1, block2\n\
         block1:\n return v0\nblock2:\n v10 = fadd.f64 v0, v0\n",
    );
    let (mut expected, mut value) = (3.0f64 + 3.0, 10);
    for index in 0..6000 {
        let constant = f64::from(index) * 0.1;
        expected += constant;
        body += &format!(" v{} = fconst.f64 {:#x}\n", value + 1, constant.to_bits());
        body += &format!(" v{} = fadd.f64 v{value}, v{}\n", value + 2, value + 1);
        value += 2;
    }
    body += &format!(" return v{value}");
    let function = parse("managed (f64, i32) -> f64", &body);
    let compiled = compile(&function, 0);
    assert!(compiled.bytes.len() > 64 << 10);
    let code = Loaded::link(vec![compiled], &[]);
    assert_eq!(f64::from_bits(code.call(&[1], &[3.0f64.to_bits()], &[]).1), expected);
    assert_eq!(f64::from_bits(code.call(&[0], &[3.0f64.to_bits()], &[]).1), 3.0);
}

#[test]
fn thunks_resolve_to_their_code_with_all_arguments_in_place() {
    const TOKEN: u64 = 0xdead_bee4;
    extern "C" fn resolve(thread: *mut u32, token: usize, saved: *const [usize; 3]) -> usize {
        // SAFETY: the stub hands over its thread and the saved registers; the test's thread is 16 words long.
        unsafe {
            let [key, context, this] = *saved;
            assert_eq!((token as u64, key, context, this), (TOKEN, 66, 55, 1));
            // What is published: a stack pointer in the stub's frame and the address after the call.
            assert_eq!(*thread as usize, saved as usize);
            let back = *thread.add(1) as usize;
            assert_eq!(back, *thread.add(5) as usize);
            *thread.add(4) as usize
        }
    }
    let target = parse(
        "managed (i32, i32, i32, i32, f64, context iptr, key iptr) -> i32",
        "block0(v0: i32, v1: i32, v2: i32, v3: i32, v4: f64, v5: iptr, v6: iptr):\n v7 = float_to_sint.i32 v4\n \
         v8 = iadd.i32 v0, v1\n v9 = iadd.i32 v8, v2\n v10 = iadd.i32 v9, v3\n v11 = iadd.i32 v10, v7\n v12 = trunc.i32 v5\n \
         v13 = iadd.i32 v11, v12\n v14 = trunc.i32 v6\n v15 = iadd.i32 v13, v14\n return v15",
    );
    let stub = Arm.stub(StubKind::Resolve { helper: 1 }, &options(0));
    let codes = vec![Arm.thunk(TOKEN, SymbolRef::Cell(0)), stub.code, compile(&target, 0)];
    let code = Loaded::link(codes, &[resolve as *const () as usize]);
    let mut thread = [0; 16];
    thread[4] = code.address(2) as u32;
    thread[5] = code.address(1) as u32 + stub.return_offset;
    code.0.set_cell(0, code.address(1));
    let results = code.call_with(&mut thread, &[1, 2, 3, 4, 55, 66], &[1000.0f64.to_bits()], &[]);
    assert_eq!(results[0], 1 + 2 + 3 + 4 + 1000 + 55 + 66);
    // The entry restores what was published before.
    assert_eq!(thread[..2], [0, 0]);
}

#[test]
fn small_stubs_jump_where_they_say() {
    let identity = |body: &str| compile(&parse("managed (iptr, i32, context iptr, key iptr) -> iptr", body), 0);
    let header = "block0(v0: iptr, v1: i32, v2: iptr, v3: iptr):\n";
    let this = || identity(&format!("{header} return v0"));
    let context = || identity(&format!("{header} return v2"));
    let run = |stub: CompiledCode, targets: Vec<CompiledCode>, cells: &[u32], integers: [u32; 6], helpers: &[usize]| {
        let mut codes = vec![stub];
        codes.extend(targets);
        let code = Loaded::link(codes, helpers);
        for (index, &cell) in cells.iter().enumerate() {
            let value = cell as usize;
            code.0.set_cell(index, if value < 16 { code.address(value) } else { value });
        }
        code.call_with(&mut [0; 16], &integers, &[], &[])[0]
    };
    let with_context = StubKind::WithContext { context: SymbolRef::Cell(0), target: SymbolRef::Cell(1) };
    let stub = Arm.stub(with_context, &options(0)).code;
    assert_eq!(run(stub, vec![context()], &[777, 1], [1, 2, 3, 4, 5, 6], &[]), 777);

    for payload in [8, 4096 + 8] {
        let unbox = StubKind::Unbox { payload, context_from_object: false, target: SymbolRef::Cell(0) };
        let stub = Arm.stub(unbox, &options(0)).code;
        assert_eq!(run(stub, vec![this()], &[1], [1000, 2, 3, 4, 5, 6], &[]), 1000 + payload as u64);
    }
    let object = [0x1234u32, 0];
    let unbox = StubKind::Unbox { payload: 8, context_from_object: true, target: SymbolRef::Cell(0) };
    let integers = [object.as_ptr() as u32, 2, 3, 4, 5, 6];
    assert_eq!(run(Arm.stub(unbox, &options(0)).code, vec![context()], &[1], integers, &[]), 0x1234);

    let entries = [(16, SymbolRef::Cell(0)), (0x7654_3210, SymbolRef::Cell(1))];
    let miss = || identity(&format!("{header} v4 = iconst.iptr 99\n return v4"));
    for (key, expected) in [(16, 1), (0x7654_3210, 5), (17, 99)] {
        let stub = Arm.dispatch(&entries, SymbolRef::Cell(2));
        assert_eq!(run(stub, vec![this(), context(), miss()], &[1, 2, 3], [1, 2, 3, 4, 5, key], &[]), expected);
    }

    let import = StubKind::Import { cell: SymbolRef::Cell(0), resolve: 1 };
    let stub = || Arm.stub(import, &options(0)).code;
    assert_eq!(run(stub(), vec![this()], &[1], [42, 2, 3, 4, 5, 6], &[]), 42);
}

#[test]
fn closed_delegates_get_their_target() {
    let target = compile(&parse("managed (iptr, i32) -> iptr", "block0(v0: iptr, v1: i32):\n return v0"), 0);
    let stub = Arm.stub(StubKind::InvokeClosed { code: 8, target: 4 }, &options(0)).code;
    let code = Loaded::link(vec![stub, target], &[]);
    let delegate = [0, 4321, code.address(1) as u32];
    assert_eq!(code.call(&[delegate.as_ptr() as u32, 2], &[], &[]).0, 4321);
}

/// A filter runs on top of its function's frame and gives its verdict; the stack is as before afterwards.
#[test]
fn filters_run_and_return() {
    #[repr(C)]
    struct Context {
        pc: usize,
        fp: usize,
        sp: usize,
        exception: usize,
    }
    const FILTER_SP: i32 = 40;
    // A "filter" that gives its exception plus what lies at its frame pointer as verdict.
    let always = Condition::Al;
    use crate::encoding::{Address, Transfer, branch, transfer};
    let filter = [
        transfer(always, Transfer::Ldr, 1, Address::at(11, 0)),
        transfer(always, Transfer::Ldr, 2, Address::at(13, 32)),
        transfer(always, Transfer::Str, 2, Address::at(11, 4)),
        data(always, DataOp::Add, false, 0, 0, Operand2::Register(1)),
        branch(always, 0),
    ];
    let mut bytes: Vec<u8> = filter.iter().flat_map(|word| word.to_le_bytes()).collect();
    let end = Arm.stub(StubKind::EndFilter { filter_sp: FILTER_SP }, &options(0)).code;
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&end.bytes);
    let filter = CompiledCode { code_len: bytes.len() as u32, bytes, align: 4, ..CompiledCode::default() };
    let run = Arm.stub(StubKind::RunFilter { filter_sp: FILTER_SP }, &options(0)).code;
    let code = Loaded::link(vec![filter, run], &[]);
    let mut frame = [700u32, 0];
    let mut thread = [0u32; 16];
    thread[FILTER_SP as usize / 4] = 4711;
    let context = Context { pc: code.address(0), fp: frame.as_mut_ptr() as usize, sp: 32, exception: 7 };
    // SAFETY: the stub is what its type says, and the filter touches the frame only.
    let verdict = unsafe {
        let run: unsafe extern "C" fn(*mut u32, *const Context) -> i32 = std::mem::transmute(code.address(1));
        run(thread.as_mut_ptr(), &context)
    };
    assert_eq!(verdict, 707);
    // The function's frame pointer lay above the outgoing arguments.
    assert_eq!(frame[1], context.fp as u32);
    assert_eq!(thread[FILTER_SP as usize / 4], 4711);
}

/// A helper that raises: lands behind the entry's call, with the frame that it finds by what was published and `FrameInfo`.
#[test]
fn landing_leaves_managed_code() {
    type Land = unsafe extern "C" fn(thread: *mut u32, context: *const [usize; 4]) -> !;
    extern "C" fn raise(thread: *mut u32) {
        // SAFETY: the test fills these words of the thread; the frame lies where `FrameInfo` says.
        unsafe {
            let (sp, frame_size) = (*thread as usize, *thread.add(6) as usize);
            let managed_fp = sp + frame_size;
            let saved_fp = *(managed_fp as *const usize);
            assert_eq!(*(managed_fp as *const usize).add(1), *thread.add(5) as usize);
            let context = [*thread.add(5) as usize, saved_fp, managed_fp + 8, 99];
            let land: Land = std::mem::transmute(*thread.add(4) as usize);
            land(thread, &context)
        }
    }
    let body = "block0(v0: i32):\n v1 = thread.iptr\n call sym0 sig0 v1\n return v0";
    let function = parse("managed (i32) -> i32", &format!(" sig0 = native (iptr)\n sym0 = helper 1 \"raise\"\n{body}"));
    let compiled = compile(&function, 0);
    let frame_size = compiled.frame.frame_size;
    let land = Arm.stub(StubKind::Land, &options(0)).code;
    let code = Loaded::link(vec![compiled, land], &[raise as *const () as usize]);
    let enter = Arm.stub(StubKind::EnterManaged, &options(0));
    let mut thread = [0u32; 16];
    thread[4] = code.address(1) as u32;
    thread[5] = code.address(2) as u32 + enter.return_offset;
    thread[6] = frame_size;
    assert_eq!(code.call_with(&mut thread, &[1, 0, 0, 0, 0, 0], &[], &[])[0], 99);
}
