//! What lowering chooses for typical code, as disassembly. `BLESS=1 cargo test -p amd64` rewrites the expectations.

use crate::Amd64;
use backend_testing::patterns::{Pattern, compare};

const PATTERNS: &[Pattern] = &[
    (
        "array element",
        "managed (ref, i32) -> i32",
        "block0(v0: ref, v1: i32):\n v2 = load.i32 v0 [i32 +8]\n bounds_check v1, v2\n v3 = zext.iptr v1\n \
         v4 = iconst.i32 2\n v5 = ishl.iptr v3, v4\n v6 = iadd.mptr v0, v5\n v7 = load.i32 v6 [i32 +16 no_trap]\n return v7",
    ),
    (
        "variadic calls",
        "managed (iptr, i32, f64)",
        " sig0 = variadic (i32, f64, f64)\n sig1 = variadic (i32)\nblock0(v0: iptr, v1: i32, v2: f64):\n \
         call_indirect sig0 v0, v1, v2, v2\n call_indirect sig1 v0, v1\n return",
    ),
    (
        "field increment",
        "managed (ref)",
        "block0(v0: ref):\n v1 = load.i32 v0 [i32 +8]\n v2 = iconst.i32 1\n v3 = iadd.i32 v1, v2\n \
         store v0, v3 [i32 +8]\n return",
    ),
    (
        "tail calls",
        "managed (ref, i64, i64, i64, i64, i64, i64, i64, i64) -> i32",
        " sig0 = managed (ref, i64, i64, i64, i64, i64, i64, i64, i64) -> i32\n sig1 = managed (ref) -> i32\n sym0 = method 1 \"callee\"\n\
         block0(v0: ref, v1: i64, v2: i64, v3: i64, v4: i64, v5: i64, v6: i64, v7: i64, v8: i64):\n v19 = icmp.i32 eq v1, v2\n brif v19 block1, block2\n\
         block1:\n tail_call sym0 sig0 v0, v8, v7, v6, v5, v4, v3, v2, v1\n\
         block2:\n v20 = load.iptr v0 [iptr +0]\n v21 = load.iptr v20 [iptr +96 no_trap]\n tail_call_indirect sig1 v21, v0",
    ),
    (
        "virtual call",
        "managed (ref) -> i32",
        " sig0 = managed (ref) -> i32\nblock0(v0: ref):\n v1 = load.iptr v0 [iptr +0]\n v2 = load.iptr v1 [iptr +96 no_trap]\n \
         v3 = call_indirect sig0 v2, v0\n return v3",
    ),
    (
        "test of a bit",
        "managed (i32) -> i32",
        "block0(v0: i32):\n v1 = iconst.i32 8\n v2 = iand.i32 v0, v1\n brif v2 block1, block2\nblock1:\n v3 = iconst.i32 1\n \
         return v3\nblock2:\n v4 = iconst.i32 0\n return v4",
    ),
    (
        "float with constant",
        "managed (f64, mptr) -> f64",
        "block0(v0: f64, v1: mptr):\n v2 = fconst.f64 0x3ff8000000000000\n v3 = fmul.f64 v0, v2\n \
         v4 = load.f64 v1 [f64 +8]\n v5 = fadd.f64 v3, v4\n return v5",
    ),
    (
        "sum with scale",
        "managed (i64, i64) -> i64",
        "block0(v0: i64, v1: i64):\n v2 = iconst.i32 3\n v3 = ishl.i64 v1, v2\n v4 = iadd.i64 v0, v3\n v5 = iconst.i64 40\n \
         v6 = iadd.i64 v4, v5\n return v6",
    ),
    (
        "allocation",
        "managed (iptr, iptr, iptr) -> ref",
        "block0(v0: iptr, v1: iptr, v2: iptr):\n v3 = try_allocate.ref v0, v1, v2 [cursor 24 limit 32 method_table 0 length 8]\n \
         v4 = iconst.ref 0\n v5 = icmp.i32 ne v3, v4\n brif v5 block1(v3), block2\nblock1(v6: ref):\n return v6\n\
         block2 cold:\n v7 = iconst.iptr 24\n v8 = try_allocate.ref v0, v7 [cursor 24 limit 32 method_table 0 length 0]\n \
         jump block1(v8)",
    ),
    (
        "loop",
        "managed (ref, i32) -> i32",
        "block0(v0: ref, v1: i32):\n v2 = iconst.i32 0\n jump block1(v2, v2)\nblock1(v3: i32, v4: i32):\n \
         v5 = zext.iptr v3\n v6 = iconst.iptr 4\n v7 = imul.iptr v5, v6\n v8 = iadd.mptr v0, v7\n \
         v9 = load.i32 v8 [i32 +16 no_trap]\n v10 = iadd.i32 v4, v9\n v11 = iconst.i32 1\n v12 = iadd.i32 v3, v11\n \
         v13 = icmp.i32 slt v12, v1\n brif v13 block1(v12, v10), block2\nblock2:\n return v10",
    ),
];

#[test]
fn patterns_have_the_expected_code() {
    compare(&Amd64, 0, PATTERNS, &[], env!("CARGO_MANIFEST_DIR"));
}
