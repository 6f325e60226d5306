//! Text, verifier, builder, interpreter and pass manager, seen from outside.

use ir::expand::{Barrier, BumpAllocation, ExpandOptions, MetadataBase, SideBit};
use ir::function::{Handler, HandlerKind, RegionData, SymbolRef};
use ir::instruction::{IntCompare, TrapCode};
use ir::interpreter::{Abrupt, Bits, FlatHost, World, interpret};
use ir::parse::parse_function;
use ir::pass_manager::{Level, OptimizationFlags, Pass, PassContext, PassManager, PassOptions};
use ir::signature::{CallConvention, Param};
use ir::verify::verify;
use ir::{Function, FunctionBuilder, Opcode, Signature, Type};
use std::io::Write;
use std::sync::{Arc, Mutex};

fn run(function: &Function, args: &[i64]) -> Result<Vec<i64>, Abrupt> {
    let args: Vec<Bits> = args.iter().map(|&arg| Bits::from(arg as u64)).collect();
    let results = interpret(function, &mut FlatHost::new(), &args, &mut 100_000)?;
    Ok(results.into_iter().map(|bits| bits as u64 as i64).collect())
}

/// A function of `i32`s.
fn function(name: &str, params: usize) -> Function {
    let mut signature = Signature::new(CallConvention::Managed);
    signature.params.extend(std::iter::repeat_n(Param::normal(Type::I32), params));
    signature.results.push(Type::I32);
    Function::new(name, 8, signature)
}

#[test]
fn every_opcode_is_printed_as_it_was_read() {
    let text = include_str!("text/every_opcode.sir");
    let function = parse_function(text).unwrap();
    assert_eq!(function.to_string(), text);
    verify(&function).unwrap();
    for opcode in Opcode::ALL {
        let used = function.insts.values().any(|instruction| instruction.opcode == *opcode);
        assert!(used, "{} is not in the text", opcode.name());
    }
}

#[test]
fn parse_errors_name_line_and_column() {
    let head = "function \"f\" pointer 8 managed () {\nblock0:\n";
    let cases = [
        ("    jmp block0\n}", "3:5: expected an opcode"),
        ("    return v1\n}", "4:2: v1 is used but not defined"),
        ("    jump block7\n}", "4:2: block7 is branched to but not there"),
        ("    v0 = iconst.i9 1\n}", "3:17: expected a type"),
        ("    v0 = cell.iptr sym3\n}", "3:20: there is no sym3"),
        ("    return", "3:1: the function does not end"),
        ("    return ~\n}", "3:12: unexpected `~`"),
    ];
    for (body, message) in cases {
        let error = parse_function(&format!("{head}{body}")).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn the_verifier_rejects_broken_functions() {
    let head = "function \"f\" pointer 8 managed (i32, f64) -> i32 {\n sig0 = managed (i32)\n sig1 = native (i32) -> i32\n eh0 = region catch(0) block9\nblock0(v0: i32, v1: f64):\n";
    let cases = [
        (" v2 = iadd.i32 v0, v1\n return v2\n}", "argument 1 (v1) may not be f64 here"),
        (" return v1\n}", "result 0 (v1) is f64, not i32"),
        (" v2 = iconst.i32 1\n}", "no terminator"),
        (" brif v0 block1, block2\nblock1:\n v2 = iconst.i32 1\n jump block2\nblock2:\n return v2\n}", "does not reach"),
        (" v3 = iadd.i32 v2, v0\n v2 = iconst.i32 1\n return v3\n}", "does not reach"),
        (" jump block1\nblock1(v2: i32):\n return v2\n}", "0 block arguments, not 1"),
        (" jump block0(v0, v1)\n}", "branch to the entry"),
        (
            " jump block1\nblock1 region eh0:\n return v0\nblock9(v4: ref):\n return v0\n}",
            "v0 is used where its definition does not reach",
        ),
        (" jump block1\nblock1 region eh0:\n return v0\nblock9:\n return v0\n}", "the parameters of this handler"),
        (" v2 = sext.i32 v0\n return v2\n}", "the result is i32, not"),
        (" v2 = iconst.i32 4294967295\n return v2\n}", "not sign-extended"),
        (" v2 = iconst.iptr 8\n tail_call_indirect sig0 v2, v0\n}", "other results"),
        (" v2 = iconst.iptr 8\n tail_call_indirect sig1 v2, v0\n}", "another convention"),
    ];
    for (body, message) in cases {
        let function = parse_function(&format!("{head}{body}")).unwrap();
        let errors = verify(&function).expect_err(message).to_string();
        assert!(errors.contains(message) && errors.starts_with("f"), "{errors}\nshould say: {message}");
    }
}

#[test]
fn builder_makes_parameters_only_where_needed() {
    let mut sum = function("sum", 1);
    let mut builder = FunctionBuilder::new(&mut sum);
    let (entry, head, body, exit) =
        (builder.create_block(), builder.create_block(), builder.create_block(), builder.create_block());
    let params = builder.append_function_params(entry);
    builder.switch_to_block(entry);
    let (limit, index, total) =
        (builder.declare_variable(Type::I32), builder.declare_variable(Type::I32), builder.declare_variable(Type::I32));
    builder.def_variable(limit, params[0]);
    let zero = builder.iconst(Type::I32, 0);
    builder.def_variable(index, zero);
    builder.jump(head, &[]);
    builder.switch_to_block(head);
    let (a, b) = (builder.use_variable(index), builder.use_variable(limit));
    let more = builder.icmp(IntCompare::Slt, a, b);
    builder.brif(more, body, &[], exit, &[]);
    builder.switch_to_block(body);
    let (a, b) = (builder.use_variable(total), builder.use_variable(index));
    let new = builder.iadd(a, b);
    builder.def_variable(total, new);
    let one = builder.iconst(Type::I32, 1);
    let new = builder.iadd(b, one);
    builder.def_variable(index, new);
    builder.jump(head, &[]);
    builder.switch_to_block(exit);
    let result = builder.use_variable(total);
    builder.return_(&[result]);
    builder.finish();
    verify(&sum).unwrap();
    assert_eq!(sum.blocks[head].params.len(), 2, "{sum}");
    assert_eq!(run(&sum, &[5]), Ok(vec![10]));
    let again = parse_function(&sum.to_string()).unwrap();
    assert_eq!(again.to_string(), sum.to_string());
}

#[test]
fn unreachable_blocks_and_their_edges_go() {
    let mut function = function("f", 1);
    let mut builder = FunctionBuilder::new(&mut function);
    let (entry, dead, exit) = (builder.create_block(), builder.create_block(), builder.create_block());
    let params = builder.append_function_params(entry);
    let variable = builder.declare_variable(Type::I32);
    builder.switch_to_block(entry);
    builder.def_variable(variable, params[0]);
    builder.jump(exit, &[]);
    builder.switch_to_block(dead);
    let value = builder.use_variable(variable);
    builder.def_variable(variable, value);
    builder.brif(value, dead, &[], exit, &[]);
    builder.switch_to_block(exit);
    let value = builder.use_variable(variable);
    builder.return_(&[value]);
    builder.finish();
    verify(&function).unwrap();
    assert_eq!(function.layout, [entry, exit]);
    assert!(function.blocks[exit].params.is_empty());
}

#[test]
fn variables_are_zero_in_handlers() {
    let mut function = function("f", 1);
    let mut builder = FunctionBuilder::new(&mut function);
    let (entry, handler) = (builder.create_block(), builder.create_block());
    let handlers = vec![Handler { kind: HandlerKind::Finally, entry: handler }];
    let region = builder.function.regions.push(RegionData { parent: None, handlers });
    builder.function.blocks[entry].region = Some(region);
    let params = builder.append_function_params(entry);
    let variable = builder.declare_variable(Type::I32);
    builder.switch_to_block(entry);
    builder.def_variable(variable, params[0]);
    builder.trap(TrapCode::Overflow);
    builder.switch_to_block(handler);
    let value = builder.use_variable(variable);
    builder.trap_if(value, TrapCode::Overflow);
    builder.end_finally();
    builder.finish();
    verify(&function).unwrap();
    assert!(function.blocks[handler].params.is_empty(), "{function}");
}

#[test]
fn expansion_runs() {
    let text = "function \"f\" pointer 8 managed (ref) -> ref {\n sym0 = cell 3 \"c\"\nblock0(v0: ref):\n \
        v1 = cell.iptr sym0\n v2 = iconst.iptr 5\n v3 = new_array.ref v1, v2 [base 16 element 4 fast]\n \
        store_ref v3, v3, v3 [ref +16]\n v4 = load.iptr v3 [iptr +8]\n v5 = bitcast.ref v4\n return v5\n}";
    let mut function = parse_function(text).unwrap();
    let mut host = FlatHost::new();
    let thread = host.thread();
    let memory = host.allocate(0x1000).unwrap();
    let bits = SideBit { base: MetadataBase::Thread(8), byte_shift: 12, bit_shift: 3 };
    let options = ExpandOptions {
        alloc: Some(BumpAllocation { cursor_offset: 16, limit_offset: 24, max_fast_size: 64, alignment: 8 }),
        barrier: Barrier::ObjectRemembering { unlogged: bits, slow_helper: 5 },
        ..ExpandOptions::for_tests()
    };
    let cell = host.symbol_address(SymbolRef::Cell(3));
    let object_bit = memory + ((memory + 64) >> 12);
    let words = [
        (cell, 0x77),
        (thread + 8, memory),
        (thread + 16, memory + 64),
        (thread + 24, memory + 128),
        (object_bit, 1 << (((memory + 64) >> 3) & 7)),
    ];
    for (address, value) in words {
        assert!(host.write(address, &value.to_le_bytes()));
    }
    let mut context = PassContext { expand: Some(&options), ..PassContext::default() };
    assert!((ir::expand::PASS.run)(&mut function, &mut context));
    verify(&function).unwrap();
    assert_eq!(interpret(&function, &mut host, &[0], &mut 1000).unwrap().as_slice(), [5]);
    // The barrier's bit of the object is set, so its helper was called, and nothing else.
    assert_eq!(host.calls.len(), 1);
    let array = Bits::from(memory + 64);
    assert_eq!(host.calls[0].1, [array, array]);
    let mut cursor = [0; 8];
    assert!(host.read(thread + 16, &mut cursor));
    assert_eq!(u64::from_le_bytes(cursor), memory + 64 + 40);
}

#[test]
fn arithmetic_traps_as_in_cil() {
    let binary = |opcode: &str, a: i64, b: i64| {
        let text = format!(
            "function \"f\" pointer 8 managed (i32, i32) -> i32 {{\nblock0(v0: i32, v1: i32):\n v2 = {opcode}.i32 v0, v1\n \
             return v2\n}}"
        );
        run(&parse_function(&text).unwrap(), &[a, b])
    };
    let min = i64::from(i32::MIN);
    assert_eq!(binary("sdiv", -7, 2), Ok(vec![-3]));
    assert_eq!(binary("srem", -7, 2), Ok(vec![-1]));
    assert_eq!(binary("udiv", -1, 2), Ok(vec![0x7fff_ffff]));
    assert_eq!(binary("sdiv", min, -1), Err(Abrupt::Trap(TrapCode::Overflow)));
    assert_eq!(binary("srem", 1, 0), Err(Abrupt::Trap(TrapCode::DivideByZero)));
    assert_eq!(binary("iadd", 0x7fff_ffff, 1), Ok(vec![min]));
    assert_eq!(binary("sadd_ovf", 0x7fff_ffff, 1), Err(Abrupt::Trap(TrapCode::Overflow)));
    assert_eq!(binary("uadd_ovf", 0x7fff_ffff, 1), Ok(vec![min]));
    assert_eq!(binary("umul_high", -1, -1), Ok(vec![-2]));
    assert_eq!(binary("ushr", -1, 33), Ok(vec![0x7fff_ffff]));
    assert_eq!(binary("rotl", min + 1, 1), Ok(vec![3]));
}

/// Values measured with Mono 6.8 on amd64.
#[test]
fn conversions_from_floats_out_of_range() {
    let convert = |opcode: &str, ty: &str, value: f64| {
        let text = format!(
            "function \"f\" pointer 8 managed (f64) -> {ty} {{\nblock0(v0: f64):\n v1 = {opcode}.{ty} v0\n return v1\n}}"
        );
        run(&parse_function(&text).unwrap(), &[value.to_bits() as i64]).unwrap()[0]
    };
    let cases = [
        (-1.5, -1_i64, -1, -1, -1),
        (-5e9, 0xd5fa_0e00, -5_000_000_000, i32::MIN, -5_000_000_000),
        (3e9, 0xb2d0_5e00, 3_000_000_000, i32::MIN, 3_000_000_000),
        (1e19, 0, 0x8ac7_2304_89e8_0000_u64 as i64, i32::MIN, i64::MIN),
        (2e19, 0, 0, i32::MIN, i64::MIN),
        (-1e30, 0, i64::MIN, i32::MIN, i64::MIN),
        (f64::NAN, 0, 0, i32::MIN, i64::MIN),
    ];
    for (value, u4, u8, i4, i8) in cases {
        assert_eq!(convert("float_to_uint", "i32", value), i64::from(u4 as i32), "u4 of {value}");
        assert_eq!(convert("float_to_uint", "i64", value), u8, "u8 of {value}");
        assert_eq!(convert("float_to_sint", "i32", value), i64::from(i4), "i4 of {value}");
        assert_eq!(convert("float_to_sint", "i64", value), i8, "i8 of {value}");
    }
}

#[test]
fn exceptions_reach_handlers() {
    let text = "function \"f\" pointer 8 managed (ref) -> i32 {\n ss0 = slot 4 align 4 in_handler\n \
        eh0 = region catch(0) block3\n eh1 = region in eh0 finally block2\n\
        block0(v0: ref):\n v1 = stack_addr.mptr ss0\n v2 = iconst.i32 1\n store v1, v2 [i32]\n jump block1\n\
        block1 region eh1:\n v3 = load.i32 v0 [i32]\n return v3\n\
        block2 region eh0:\n v4 = stack_addr.mptr ss0\n v5 = load.i32 v4 [i32]\n v6 = iadd.i32 v5, v5\n \
        store v4, v6 [i32]\n end_finally\n\
        block3(v7: ref):\n v8 = stack_addr.mptr ss0\n v9 = load.i32 v8 [i32]\n return v9\n}";
    let function = parse_function(text).unwrap();
    verify(&function).unwrap();
    assert_eq!(run(&function, &[0]), Ok(vec![2]));
}

#[test]
fn calls_go_to_functions_of_the_host() {
    let text = |callee: u32| {
        format!(
            "function \"fac\" pointer 8 managed (i32) -> i32 {{\n sig0 = managed (i32) -> i32\n sym0 = method {callee} \"fac\"\n\
             block0(v0: i32):\n v1 = iconst.i32 1\n brif v0 block1, block2\nblock1:\n v2 = isub.i32 v0, v1\n \
             v3 = call sym0 sig0 v2\n v4 = imul.i32 v0, v3\n return v4\nblock2:\n return v1\n}}"
        )
    };
    let function = Arc::new(parse_function(&text(9)).unwrap());
    let mut host = FlatHost::new();
    host.functions.insert(SymbolRef::Method(9), function.clone());
    assert_eq!(interpret(&function, &mut host, &[6], &mut 1000).unwrap().as_slice(), [720]);
    let stranger = parse_function(&text(8)).unwrap();
    interpret(&stranger, &mut host, &[6], &mut 1000).unwrap();
    assert_eq!(host.calls.len(), 1);
}

#[test]
fn optimization_names() {
    let mut flags = OptimizationFlags::default();
    flags.apply("all,-inline,loop,-loop,gshared").unwrap();
    assert!(!flags.mono("inline") && !flags.mono("loop") && flags.mono("gshared") && flags.mono("cfold"));
    flags.apply("-all").unwrap();
    assert_eq!(flags, OptimizationFlags::none());
    assert!(flags.pass("expand"), "a required pass stays");
    let message = flags.apply("no-such-thing").unwrap_err();
    assert!(message.contains("`no-such-thing'") && message.contains("alias-analysis") && message.contains("expand"));
}

/// A sink that can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn observers_around_passes() {
    static BREAK: Pass = Pass {
        name: "break",
        mono_aliases: &[],
        default_level: Level::Required,
        run: |function, _| {
            let entry = function.entry();
            function.blocks[entry].insts.clear();
            true
        },
    };
    let sink = Shared::default();
    let options = PassOptions { verify: true, print_after: vec!["break".into()], ..PassOptions::default() };
    let manager = PassManager::new(options, Box::new(sink.clone()));
    let mut function = parse_function("function \"f\" pointer 8 managed () {\nblock0:\n return\n}").unwrap();
    let mut context = PassContext::default();
    let error = manager.run_passes(&[&BREAK], &mut function, &mut context).unwrap_err();
    assert_eq!(error.to_string(), "after pass break: f, block0: no terminator");
    assert!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap().starts_with("; f after break\nfunction \"f\""));
    assert_eq!(context.report.passes["break"].runs, 1);
}

#[test]
fn bisection_counts_passes_that_are_not_required() {
    static KEPT: Pass = Pass { name: "expand", mono_aliases: &[], default_level: Level::Default, run: |_, _| true };
    let sink = Shared::default();
    let options = PassOptions { opt_bisect_limit: Some(1), ..PassOptions::default() };
    let manager = PassManager::new(options, Box::new(sink.clone()));
    let mut function = parse_function("function \"f\" pointer 8 managed () {\nblock0:\n return\n}").unwrap();
    let mut context = PassContext::default();
    manager.run_passes(&[&KEPT, &KEPT], &mut function, &mut context).unwrap();
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text, "BISECT: running pass (1) expand on f\nBISECT: NOT running pass (2) expand on f\n");
    assert_eq!(context.report.passes["expand"].runs, 1);
}

#[test]
fn damaged_text_is_an_error_and_no_panic() {
    let text = include_str!("text/every_opcode.sir").as_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    for _ in 0..3000 {
        let mut damaged = text.to_vec();
        for _ in 0..1 + random(3) {
            let (at, from) = (random(damaged.len()), random(text.len() - 8));
            match random(3) {
                0 => damaged[at] = text[from],
                1 => drop(damaged.splice(at..at, text[from..from + 1 + random(8)].to_vec())),
                _ => drop(damaged.drain(at..(at + 1 + random(12)).min(text.len() - 100).max(at))),
            }
        }
        if let Ok(function) = parse_function(&String::from_utf8_lossy(&damaged)) {
            let _ = verify(&function);
            assert_eq!(parse_function(&function.to_string()).map(|again| again.to_string()), Ok(function.to_string()));
        }
    }
}
