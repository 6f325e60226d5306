//! `System.Math` and `System.MathF`: the C library's functions. Those that the compiler knows are never called from here.

use super::{InternalCall, icall};

unsafe extern "C" {
    fn fabs(x: f64) -> f64;
    fn acos(x: f64) -> f64;
    fn acosh(x: f64) -> f64;
    fn asin(x: f64) -> f64;
    fn asinh(x: f64) -> f64;
    fn atan(x: f64) -> f64;
    fn atan2(y: f64, x: f64) -> f64;
    fn atanh(x: f64) -> f64;
    fn cbrt(x: f64) -> f64;
    fn ceil(x: f64) -> f64;
    fn cos(x: f64) -> f64;
    fn cosh(x: f64) -> f64;
    fn exp(x: f64) -> f64;
    fn fmod(x: f64, y: f64) -> f64;
    fn floor(x: f64) -> f64;
    fn log(x: f64) -> f64;
    fn log10(x: f64) -> f64;
    fn modf(x: f64, whole: *mut f64) -> f64;
    fn pow(x: f64, y: f64) -> f64;
    fn rint(x: f64) -> f64;
    fn sin(x: f64) -> f64;
    fn sinh(x: f64) -> f64;
    fn sqrt(x: f64) -> f64;
    fn tan(x: f64) -> f64;
    fn tanh(x: f64) -> f64;
    fn fabsf(x: f32) -> f32;
    fn acosf(x: f32) -> f32;
    fn acoshf(x: f32) -> f32;
    fn asinf(x: f32) -> f32;
    fn asinhf(x: f32) -> f32;
    fn atanf(x: f32) -> f32;
    fn atan2f(y: f32, x: f32) -> f32;
    fn atanhf(x: f32) -> f32;
    fn cbrtf(x: f32) -> f32;
    fn ceilf(x: f32) -> f32;
    fn cosf(x: f32) -> f32;
    fn coshf(x: f32) -> f32;
    fn expf(x: f32) -> f32;
    fn fmodf(x: f32, y: f32) -> f32;
    fn floorf(x: f32) -> f32;
    fn logf(x: f32) -> f32;
    fn log10f(x: f32) -> f32;
    fn modff(x: f32, whole: *mut f32) -> f32;
    fn powf(x: f32, y: f32) -> f32;
    fn sinf(x: f32) -> f32;
    fn sinhf(x: f32) -> f32;
    fn sqrtf(x: f32) -> f32;
    fn tanf(x: f32) -> f32;
    fn tanhf(x: f32) -> f32;
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Math:Abs (double)", fabs as *const ()),
    icall("System.Math:Abs (single)", fabsf as *const ()),
    icall("System.Math:Acos (double)", acos as *const ()),
    icall("System.Math:Acosh (double)", acosh as *const ()),
    icall("System.Math:Asin (double)", asin as *const ()),
    icall("System.Math:Asinh (double)", asinh as *const ()),
    icall("System.Math:Atan (double)", atan as *const ()),
    icall("System.Math:Atan2 (double,double)", atan2 as *const ()),
    icall("System.Math:Atanh (double)", atanh as *const ()),
    icall("System.Math:Cbrt (double)", cbrt as *const ()),
    icall("System.Math:Ceiling (double)", ceil as *const ()),
    icall("System.Math:Cos (double)", cos as *const ()),
    icall("System.Math:Cosh (double)", cosh as *const ()),
    icall("System.Math:Exp (double)", exp as *const ()),
    icall("System.Math:FMod (double,double)", fmod as *const ()),
    icall("System.Math:Floor (double)", floor as *const ()),
    icall("System.Math:Log (double)", log as *const ()),
    icall("System.Math:Log10 (double)", log10 as *const ()),
    icall("System.Math:ModF (double,double*)", modf as *const ()),
    icall("System.Math:Pow (double,double)", pow as *const ()),
    icall("System.Math:Round (double)", rint as *const ()),
    icall("System.Math:Sin (double)", sin as *const ()),
    icall("System.Math:Sinh (double)", sinh as *const ()),
    icall("System.Math:Sqrt (double)", sqrt as *const ()),
    icall("System.Math:Tan (double)", tan as *const ()),
    icall("System.Math:Tanh (double)", tanh as *const ()),
    icall("System.MathF:Acos (single)", acosf as *const ()),
    icall("System.MathF:Acosh (single)", acoshf as *const ()),
    icall("System.MathF:Asin (single)", asinf as *const ()),
    icall("System.MathF:Asinh (single)", asinhf as *const ()),
    icall("System.MathF:Atan (single)", atanf as *const ()),
    icall("System.MathF:Atan2 (single,single)", atan2f as *const ()),
    icall("System.MathF:Atanh (single)", atanhf as *const ()),
    icall("System.MathF:Cbrt (single)", cbrtf as *const ()),
    icall("System.MathF:Ceiling (single)", ceilf as *const ()),
    icall("System.MathF:Cos (single)", cosf as *const ()),
    icall("System.MathF:Cosh (single)", coshf as *const ()),
    icall("System.MathF:Exp (single)", expf as *const ()),
    icall("System.MathF:FMod (single,single)", fmodf as *const ()),
    icall("System.MathF:Floor (single)", floorf as *const ()),
    icall("System.MathF:Log (single)", logf as *const ()),
    icall("System.MathF:Log10 (single)", log10f as *const ()),
    icall("System.MathF:ModF (single,single*)", modff as *const ()),
    icall("System.MathF:Pow (single,single)", powf as *const ()),
    icall("System.MathF:Sin (single)", sinf as *const ()),
    icall("System.MathF:Sinh (single)", sinhf as *const ()),
    icall("System.MathF:Sqrt (single)", sqrtf as *const ()),
    icall("System.MathF:Tan (single)", tanf as *const ()),
    icall("System.MathF:Tanh (single)", tanhf as *const ()),
];
