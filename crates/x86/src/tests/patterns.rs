//! What lowering chooses for typical code, as disassembly. `BLESS=1 cargo test -p x86` rewrites the expectations.

use crate::X86;
use backend_testing::options;
use backend_testing::patterns::{Pattern, compare};
use ir::function::SymbolRef;
use ir::mach::{Backend, StubKind};

const PATTERNS: &[Pattern] = &[
    (
        "tail calls",
        "managed (ref, i32, i32, i32, i32, i32) -> i32",
        " sig0 = managed (ref, i32, i32, i32, i32, i32) -> i32\n sig1 = managed (ref) -> i32\n sym0 = method 1 \"callee\"\n\
         block0(v0: ref, v1: i32, v2: i32, v3: i32, v4: i32, v5: i32):\n v19 = icmp.i32 eq v1, v2\n brif v19 block1, block2\n\
         block1:\n tail_call sym0 sig0 v0, v5, v4, v3, v2, v1\n\
         block2:\n v20 = load.iptr v0 [iptr +0]\n v21 = load.iptr v20 [iptr +48 no_trap]\n tail_call_indirect sig1 v21, v0",
    ),
    (
        "array element",
        "managed (ref, i32) -> i32",
        "block0(v0: ref, v1: i32):\n v2 = load.i32 v0 [i32 +8]\n bounds_check v1, v2\n v3 = zext.iptr v1\n \
         v4 = iconst.i32 2\n v5 = ishl.iptr v3, v4\n v6 = iadd.mptr v0, v5\n v7 = load.i32 v6 [i32 +16 no_trap]\n return v7",
    ),
    (
        "field increment",
        "managed (ref)",
        "block0(v0: ref):\n v1 = load.i32 v0 [i32 +8]\n v2 = iconst.i32 1\n v3 = iadd.i32 v1, v2\n \
         store v0, v3 [i32 +8]\n return",
    ),
    (
        "interface call",
        "managed (ref, i32) -> i32",
        " sig0 = managed (ref, i32, key iptr) -> i32\nblock0(v0: ref, v1: i32):\n v2 = iconst.iptr 77\n \
         v3 = load.iptr v0 [iptr +0]\n v4 = load.iptr v3 [iptr +96 no_trap]\n v5 = call_indirect sig0 v4, v0, v1, v2\n return v5",
    ),
    (
        "byte registers",
        "managed (ref, i32, i32)",
        "block0(v0: ref, v1: i32, v2: i32):\n v3 = icmp.i32 slt v1, v2\n store v0, v3 [u8 +8]\n store v0, v2 [u8 +9]\n return",
    ),
    (
        "float with constants",
        "managed (f64, mptr) -> f64",
        "block0(v0: f64, v1: mptr):\n v2 = fconst.f64 0x3ff8000000000000\n v3 = fmul.f64 v0, v2\n \
         v4 = load.f64 v1 [f64 +8]\n v5 = fadd.f64 v3, v4\n v6 = fneg.f64 v5\n return v6",
    ),
    (
        "thread structure",
        "managed () -> i32",
        "block0:\n v0 = thread.iptr\n v1 = load.i32 v0 [i32 +20 no_trap]\n v2 = iconst.i32 1\n v3 = iadd.i32 v1, v2\n \
         store v0, v3 [i32 +20 no_trap]\n v4 = trunc.i32 v0\n return v4",
    ),
    (
        "native call",
        "managed (i32, f64) -> f64",
        " sig0 = native (i32, f64) -> f64\n sym0 = helper 7 \"helper\"\nblock0(v0: i32, v1: f64):\n v2 = call sym0 sig0 v0, v1\n \
         return v2",
    ),
    (
        "structure from native code",
        "managed (mptr, i32)",
        " sig0 = native (sret mptr, i32)\nblock0(v0: mptr, v1: i32):\n v2 = zext.iptr v1\n call_indirect sig0 v2, v0, v1\n return",
    ),
    (
        "switch",
        "managed (i32) -> i32",
        "block0(v0: i32):\n br_table v0 block3, block1, block2\nblock1:\n v1 = iconst.i32 11\n return v1\n\
         block2:\n v2 = iconst.i32 12\n return v2\nblock3:\n v3 = iconst.i32 13\n return v3",
    ),
];

#[test]
fn patterns_have_the_expected_code() {
    let (cell, options) = (SymbolRef::Cell, options(&X86, 0));
    let stubs = [
        ("thunk", X86.thunk(0x1234, cell(1))),
        ("dispatch", X86.dispatch(&[(5, cell(1)), (0xffff_0000, cell(2))], cell(3))),
        ("Resolve", X86.stub(StubKind::Resolve { helper: 1 }, &options).code),
        ("Import", X86.stub(StubKind::Import { cell: cell(1), resolve: 2 }, &options).code),
        ("Publish", X86.stub(StubKind::Publish { helper: 1 }, &options).code),
    ];
    compare(&X86, 0, PATTERNS, &stubs, env!("CARGO_MANIFEST_DIR"));
}
