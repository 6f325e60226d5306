//! The helpers of legalisation as Rust functions, for the interpreter.

use ir::function::SymbolRef;
use ir::interpreter::{Bits, BitsList, FlatHost, Native, World};
use ir::legalize::LegalizeOptions;

/// A 64-bit integer as the two arguments or results that it is split into.
pub fn split(value: i64) -> [Bits; 2] {
    [value as i32, (value >> 32) as i32].map(|half| Bits::from(i64::from(half) as u64))
}

/// The 64-bit integer of two halves.
pub fn join(low: Bits, high: Bits) -> i64 {
    ((u64::from(high as u32) << 32) | u64::from(low as u32)) as i64
}

fn wide(args: &[Bits], index: usize) -> i64 {
    join(args[index], args[index + 1])
}
fn narrow(args: &[Bits], index: usize) -> i32 {
    args[index] as i32
}
fn one(value: i32) -> BitsList {
    BitsList::from_slice(&[Bits::from(i64::from(value) as u64)])
}
fn pair(value: i64) -> BitsList {
    BitsList::from_slice(&split(value))
}
fn single(value: f32) -> BitsList {
    BitsList::from_slice(&[Bits::from(value.to_bits())])
}
fn to_signed(value: f64) -> i64 {
    let limit = (1u64 << 63) as f64;
    if value >= -limit && value < limit { value as i64 } else { i64::MIN }
}
fn to_unsigned(value: f64) -> i64 {
    let limit = (1u64 << 63) as f64;
    if value < limit { to_signed(value) } else { to_signed(value - limit) ^ i64::MIN }
}

/// Changes the 64 bits at an address and gives what was there.
fn update(host: &mut FlatHost, args: &[Bits], change: impl FnOnce(i64) -> i64) -> BitsList {
    let address = u64::from(args[0] as u32);
    let mut bytes = [0; 8];
    assert!(host.read(address, &mut bytes), "a helper is called with a bad address");
    let old = i64::from_le_bytes(bytes);
    host.write(address, &change(old).to_le_bytes());
    pair(old)
}

/// Answers calls of the helpers that `options` names.
pub fn add_helpers(host: &mut FlatHost, options: &LegalizeOptions) {
    let [div_i32, div_u32, rem_i32, rem_u32] = options.divide_32;
    let [div_i64, div_u64, rem_i64, rem_u64] = options.divide_64;
    let natives: [(u16, Native); 19] = [
        (div_i32, |_, args| one(narrow(args, 0) / narrow(args, 1))),
        (div_u32, |_, args| one((narrow(args, 0) as u32 / narrow(args, 1) as u32) as i32)),
        (rem_i32, |_, args| one(narrow(args, 0) % narrow(args, 1))),
        (rem_u32, |_, args| one((narrow(args, 0) as u32 % narrow(args, 1) as u32) as i32)),
        (div_i64, |_, args| pair(wide(args, 0) / wide(args, 2))),
        (div_u64, |_, args| pair((wide(args, 0) as u64 / wide(args, 2) as u64) as i64)),
        (rem_i64, |_, args| pair(wide(args, 0) % wide(args, 2))),
        (rem_u64, |_, args| pair((wide(args, 0) as u64 % wide(args, 2) as u64) as i64)),
        (options.signed_high_product, |_, args| pair(((i128::from(wide(args, 0)) * i128::from(wide(args, 2))) >> 64) as i64)),
        (options.unsigned_high_product, |_, args| {
            pair(((u128::from(wide(args, 0) as u64) * u128::from(wide(args, 2) as u64)) >> 64) as i64)
        }),
        (options.signed_to_f32, |_, args| single(wide(args, 0) as f32)),
        (options.unsigned_to_f32, |_, args| single(wide(args, 0) as u64 as f32)),
        (options.f64_to_signed, |_, args| pair(to_signed(f64::from_bits(args[0] as u64)))),
        (options.f64_to_unsigned, |_, args| pair(to_unsigned(f64::from_bits(args[0] as u64)))),
        (options.atomic_load, |host, args| update(host, args, |old| old)),
        (options.atomic_store, |host, args| {
            update(host, args, |_| wide(args, 1));
            BitsList::new()
        }),
        (options.atomic_add, |host, args| update(host, args, |old| old.wrapping_add(wide(args, 1)))),
        (options.atomic_exchange, |host, args| update(host, args, |_| wide(args, 1))),
        (options.atomic_compare_exchange, |host, args| {
            update(host, args, |old| if old == wide(args, 1) { wide(args, 3) } else { old })
        }),
    ];
    host.natives.extend(natives.map(|(number, native)| (SymbolRef::Helper(number), native)));
}
