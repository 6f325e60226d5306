//! What lowering chooses for typical code, as disassembly. `BLESS=1 cargo test -p arm` rewrites the expectations.

use crate::{Arm, FEATURE_DIVIDE};
use backend_testing::patterns::{Pattern, compare};

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
        "index as part of the address",
        "managed (mptr, i32) -> i32",
        "block0(v0: mptr, v1: i32):\n v2 = iconst.i32 2\n v3 = ishl.iptr v1, v2\n v4 = iadd.mptr v0, v3\n \
         v5 = load.i32 v4 [i32]\n v6 = iadd.mptr v0, v1\n v7 = load.i32 v6 [i16]\n v8 = iadd.i32 v5, v7\n return v8",
    ),
    (
        "displacements that fit and that do not",
        "managed (ref) -> i32",
        "block0(v0: ref):\n v1 = load.i32 v0 [i32 +4095]\n v2 = load.i32 v0 [i32 +5000 no_trap]\n v3 = load.i32 v0 [i16 +300]\n \
         v4 = iadd.i32 v1, v2\n v5 = iadd.i32 v4, v3\n store v0, v5 [u8 -4000]\n return v5",
    ),
    (
        "immediates",
        "managed (i32) -> i32",
        "block0(v0: i32):\n v1 = iconst.i32 -255\n v2 = iadd.i32 v0, v1\n v3 = iconst.i32 -256\n v4 = iand.i32 v2, v3\n \
         v5 = iconst.i32 4095\n v6 = iand.i32 v4, v5\n v7 = iconst.i32 305419896\n v8 = ixor.i32 v6, v7\n v9 = iconst.i32 100\n \
         v10 = isub.i32 v9, v8\n return v10",
    ),
    (
        "products",
        "managed (i32, i32, i32) -> i32",
        "block0(v0: i32, v1: i32, v2: i32):\n v3 = imul.i32 v0, v1\n v4 = iadd.i32 v3, v2\n v5 = iconst.i32 9\n \
         v6 = imul.i32 v4, v5\n v7 = umul_high.i32 v6, v0\n v8 = srem.i32 v7, v1\n return v8",
    ),
    (
        "shifts",
        "managed (i32, i32) -> i32",
        "block0(v0: i32, v1: i32):\n v2 = ishl.i32 v0, v1\n v3 = iconst.i32 31\n v4 = iand.i32 v1, v3\n v5 = sshr.i32 v2, v4\n \
         v6 = rotl.i32 v5, v1\n v7 = iconst.i32 5\n v8 = rotl.i32 v6, v7\n return v8",
    ),
    (
        "overflow",
        "managed (i32, i32) -> i32",
        "block0(v0: i32, v1: i32):\n v2 = sadd_ovf.i32 v0, v1\n v3 = usub_ovf.i32 v2, v1\n v4 = smul_ovf.i32 v3, v0\n return v4",
    ),
    (
        "64 bits in halves",
        "managed (i32, i32, i32, i32) -> i32, i32",
        "block0(v0: i32, v1: i32, v2: i32, v3: i32):\n v4 = iadd.i32 v0, v2\n v5 = iadd.i32 v1, v3\n v6 = icmp.i32 ult v4, v0\n \
         v7 = iadd.i32 v5, v6\n v8 = iconst.i32 0\n v9 = isub.i32 v8, v4\n v10 = isub.i32 v8, v7\n v11 = icmp.i32 ult v8, v4\n \
         v12 = isub.i32 v10, v11\n return v9, v12",
    ),
    (
        "virtual call",
        "managed (ref) -> i32",
        " sig0 = managed (ref) -> i32\nblock0(v0: ref):\n v1 = load.iptr v0 [iptr +0]\n v2 = load.iptr v1 [iptr +48 no_trap]\n \
         v3 = call_indirect sig0 v2, v0\n return v3",
    ),
    (
        "native call of a helper with a pair and singles",
        "managed (i32, i32, i32, f32, f32) -> f64",
        " sig0 = native (i32, low i32, i32, f32, f32) -> f64\n sym0 = helper 3 \"helper\"\n\
         block0(v0: i32, v1: i32, v2: i32, v3: f32, v4: f32):\n v5 = call sym0 sig0 v0, v1, v2, v3, v4\n return v5",
    ),
    (
        "stack arguments",
        "managed (f64, i32, i32, i32, i32, i32, f64) -> f64",
        " sig0 = managed (i32, i32, i32, i32, f64, i32) -> f64\n sym0 = method 1 \"callee\"\n\
         block0(v0: f64, v1: i32, v2: i32, v3: i32, v4: i32, v5: i32, v6: f64):\n \
         v7 = call sym0 sig0 v5, v1, v2, v3, v6, v4\n v8 = fadd.f64 v7, v0\n return v8",
    ),
    (
        "test of a bit",
        "managed (i32) -> i32",
        "block0(v0: i32):\n v1 = iconst.i32 8\n v2 = iand.i32 v0, v1\n brif v2 block1, block2\nblock1:\n v3 = iconst.i32 1\n \
         return v3\nblock2:\n v4 = iconst.i32 0\n return v4",
    ),
    (
        "selection",
        "managed (i32, i32, f64, f64) -> f64",
        "block0(v0: i32, v1: i32, v2: f64, v3: f64):\n v4 = icmp.i32 slt v0, v1\n v5 = iconst.i32 7\n v6 = select.i32 v4, v0, v5\n \
         v7 = fcmp.i32 ueq v2, v3\n v8 = select.f64 v7, v2, v3\n v9 = sint_to_float.f64 v6\n v10 = fadd.f64 v8, v9\n return v10",
    ),
    (
        "comparisons as values",
        "managed (i32, i32, f64) -> i32",
        "block0(v0: i32, v1: i32, v2: f64):\n v3 = icmp.i32 ult v0, v1\n v4 = iconst.i32 0\n v5 = icmp.i32 eq v0, v4\n \
         v6 = fconst.f64 0x0\n v7 = fcmp.i32 oge v2, v6\n v8 = iadd.i32 v3, v5\n v9 = iadd.i32 v8, v7\n return v9",
    ),
    (
        "float with constants",
        "managed (f64, mptr) -> f64",
        "block0(v0: f64, v1: mptr):\n v2 = fconst.f64 0x3ff8000000000000\n v3 = fmul.f64 v0, v2\n \
         v4 = load.f64 v1 [f64 +8]\n v5 = fadd.f64 v3, v4\n v6 = fconst.f64 0x3fb999999999999a\n v7 = fsub.f64 v5, v6\n \
         v8 = load.f64 v1 [f64 +16 unaligned]\n v9 = fdiv.f64 v7, v8\n return v9",
    ),
    (
        "conversions",
        "managed (f64, f32) -> i32",
        "block0(v0: f64, v1: f32):\n v2 = float_to_sint.i32 v0\n v3 = fpromote.f64 v1\n v4 = float_to_uint.i32 v3\n \
         v5 = iadd.i32 v2, v4\n return v5",
    ),
    (
        "loop",
        "managed (ref, i32) -> i32",
        "block0(v0: ref, v1: i32):\n v2 = iconst.i32 0\n jump block1(v2, v2)\nblock1(v3: i32, v4: i32):\n \
         v5 = zext.iptr v3\n v6 = iconst.iptr 4\n v7 = imul.iptr v5, v6\n v8 = iadd.mptr v0, v7\n \
         v9 = load.i32 v8 [i32 +16 no_trap]\n v10 = iadd.i32 v4, v9\n v11 = iconst.i32 1\n v12 = iadd.i32 v3, v11\n \
         v13 = icmp.i32 slt v12, v1\n brif v13 block1(v12, v10), block2\nblock2:\n return v10",
    ),
    (
        "switch",
        "managed (i32) -> i32",
        "block0(v0: i32):\n br_table v0 block1, block2, block3\nblock1:\n v1 = iconst.i32 1\n return v1\nblock2:\n \
         v2 = iconst.i32 2\n return v2\nblock3:\n v3 = iconst.i32 3\n return v3",
    ),
    (
        "structures",
        "managed (mptr)",
        " ss0 = slot 104 align 8\nblock0(v0: mptr):\n v1 = stack_addr.mptr ss0\n zero_memory 24 v1\n copy_memory 23 v0, v1\n \
         copy_memory 100 v1, v0\n return",
    ),
    (
        "volatile and atomic",
        "managed (mptr, i32) -> i32",
        "block0(v0: mptr, v1: i32):\n v2 = load.i32 v0 [i32 volatile]\n store v0, v1 [i32 +4 volatile]\n \
         v3 = atomic_add.i32 v0, v2 [i32 +8]\n v4 = atomic_compare_exchange.i32 v0, v3, v1 [i16]\n return v4",
    ),
];

#[test]
fn patterns_have_the_expected_code() {
    compare(&Arm, FEATURE_DIVIDE, PATTERNS, &[], env!("CARGO_MANIFEST_DIR"));
}
