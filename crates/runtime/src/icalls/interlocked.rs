//! `Interlocked`, `Volatile`, `Thread.VolatileRead`/`VolatileWrite`, for calls that the compiler does not replace by instructions.
//! Addresses may lie in the heap, a frame or elsewhere; all are aligned, as ECMA-335 I.12.6.6 asks of atomic accesses.

use super::{InternalCall, icall, owner_of};
use crate::exceptions::{Exception, Result};
use crate::icalls::raising;
use crate::object::{ObjectRef, write_barrier};
use std::sync::atomic::{AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicPtr, Ordering, fence};

const ORDER: Ordering = Ordering::SeqCst;

fn checked<'a, A, T>(address: *mut T) -> Result<&'a A> {
    // SAFETY: compiled code passes null or the address of a variable of the atomic's size.
    unsafe { (address as *const A).as_ref() }.ok_or_else(Exception::null_reference)
}

extern "C" fn add_int(address: *mut i32, value: i32) -> i32 {
    raising(|| Ok(checked::<AtomicI32, _>(address)?.fetch_add(value, ORDER).wrapping_add(value)))
}

extern "C" fn add_long(address: *mut i64, value: i64) -> i64 {
    raising(|| Ok(checked::<AtomicI64, _>(address)?.fetch_add(value, ORDER).wrapping_add(value)))
}

extern "C" fn increment_int(address: *mut i32) -> i32 {
    add_int(address, 1)
}

extern "C" fn increment_long(address: *mut i64) -> i64 {
    add_long(address, 1)
}

extern "C" fn decrement_int(address: *mut i32) -> i32 {
    add_int(address, -1)
}

extern "C" fn decrement_long(address: *mut i64) -> i64 {
    add_long(address, -1)
}

extern "C" fn exchange_int(address: *mut i32, value: i32) -> i32 {
    raising(|| Ok(checked::<AtomicI32, _>(address)?.swap(value, ORDER)))
}

extern "C" fn exchange_long(address: *mut i64, value: i64) -> i64 {
    raising(|| Ok(checked::<AtomicI64, _>(address)?.swap(value, ORDER)))
}

extern "C" fn exchange_native(address: *mut isize, value: isize) -> isize {
    raising(|| Ok(checked::<AtomicIsize, _>(address)?.swap(value, ORDER)))
}

extern "C" fn exchange_single(address: *mut f32, value: f32) -> f32 {
    f32::from_bits(exchange_int(address.cast(), value.to_bits() as i32) as u32)
}

extern "C" fn exchange_double(address: *mut f64, value: f64) -> f64 {
    f64::from_bits(exchange_long(address.cast(), value.to_bits() as i64) as u64)
}

extern "C" fn compare_exchange_int(address: *mut i32, value: i32, comparand: i32) -> i32 {
    raising(|| {
        let result = checked::<AtomicI32, _>(address)?.compare_exchange(comparand, value, ORDER, ORDER);
        Ok(result.unwrap_or_else(|other| other))
    })
}

extern "C" fn compare_exchange_int_success(address: *mut i32, value: i32, comparand: i32, success: *mut bool) -> i32 {
    raising(|| {
        let result = checked::<AtomicI32, _>(address)?.compare_exchange(comparand, value, ORDER, ORDER);
        // SAFETY: the address of a variable of type `bool`.
        unsafe { success.write(result.is_ok()) };
        Ok(result.unwrap_or_else(|other| other))
    })
}

extern "C" fn compare_exchange_long(address: *mut i64, value: i64, comparand: i64) -> i64 {
    raising(|| {
        let result = checked::<AtomicI64, _>(address)?.compare_exchange(comparand, value, ORDER, ORDER);
        Ok(result.unwrap_or_else(|other| other))
    })
}

extern "C" fn compare_exchange_native(address: *mut isize, value: isize, comparand: isize) -> isize {
    raising(|| {
        let result = checked::<AtomicIsize, _>(address)?.compare_exchange(comparand, value, ORDER, ORDER);
        Ok(result.unwrap_or_else(|other| other))
    })
}

extern "C" fn compare_exchange_single(address: *mut f32, value: f32, comparand: f32) -> f32 {
    let bits = compare_exchange_int(address.cast(), value.to_bits() as i32, comparand.to_bits() as i32);
    f32::from_bits(bits as u32)
}

extern "C" fn compare_exchange_double(address: *mut f64, value: f64, comparand: f64) -> f64 {
    let bits = compare_exchange_long(address.cast(), value.to_bits() as i64, comparand.to_bits() as i64);
    f64::from_bits(bits as u64)
}

type Cell = AtomicPtr<crate::object::Object>;

/// The write barrier after a reference was stored at an address whose owner is not known. A null needs none.
fn stored(address: *mut ObjectRef, value: ObjectRef) {
    let owner = if value.is_null() { ObjectRef::NULL } else { owner_of(address as usize) };
    if !owner.is_null() {
        write_barrier(owner);
    }
}

/// Puts a reference where another was, atomically, and gives that one.
fn swap_references(address: *mut ObjectRef, value: ObjectRef) -> Result<ObjectRef> {
    let previous = checked::<Cell, _>(address)?.swap(value.raw(), ORDER);
    stored(address, value);
    // SAFETY: the variable held a reference.
    Ok(unsafe { ObjectRef::from_raw(previous) })
}

fn compare_exchange_references(address: *mut ObjectRef, value: ObjectRef, comparand: ObjectRef) -> Result<ObjectRef> {
    let cell = checked::<Cell, _>(address)?;
    match cell.compare_exchange(comparand.raw(), value.raw(), ORDER, ORDER) {
        Ok(_) => {
            stored(address, value);
            Ok(comparand)
        }
        // SAFETY: the variable holds a reference.
        Err(other) => Ok(unsafe { ObjectRef::from_raw(other) }),
    }
}

extern "C" fn exchange_object(address: *mut ObjectRef, value: ObjectRef) -> ObjectRef {
    raising(|| swap_references(address, value))
}

extern "C" fn compare_exchange_object(address: *mut ObjectRef, value: ObjectRef, comparand: ObjectRef) -> ObjectRef {
    raising(|| compare_exchange_references(address, value, comparand))
}

extern "C" fn exchange_object_by_ref(address: *mut ObjectRef, value: *mut ObjectRef, result: *mut ObjectRef) {
    raising(|| {
        // SAFETY: both are addresses of variables in the caller's frame.
        unsafe { result.write(swap_references(address, value.read())?) };
        Ok(())
    })
}

extern "C" fn compare_exchange_object_by_ref(
    address: *mut ObjectRef,
    value: *mut ObjectRef,
    comparand: *mut ObjectRef,
    result: *mut ObjectRef,
) {
    raising(|| {
        // SAFETY: all three are addresses of variables in the caller's frame.
        unsafe { result.write(compare_exchange_references(address, value.read(), comparand.read())?) };
        Ok(())
    })
}

extern "C" fn barrier() {
    fence(ORDER);
}

extern "C" fn read_8(address: *mut i8) -> i8 {
    raising(|| Ok(checked::<AtomicI8, _>(address)?.load(ORDER)))
}

extern "C" fn read_unsigned_8(address: *mut u8) -> u8 {
    read_8(address.cast()) as u8
}

extern "C" fn read_16(address: *mut i16) -> i16 {
    raising(|| Ok(checked::<AtomicI16, _>(address)?.load(ORDER)))
}

extern "C" fn read_unsigned_16(address: *mut u16) -> u16 {
    read_16(address.cast()) as u16
}

extern "C" fn read_32(address: *mut i32) -> i32 {
    raising(|| Ok(checked::<AtomicI32, _>(address)?.load(ORDER)))
}

extern "C" fn read_64(address: *mut i64) -> i64 {
    raising(|| Ok(checked::<AtomicI64, _>(address)?.load(ORDER)))
}

extern "C" fn read_native(address: *mut isize) -> isize {
    raising(|| Ok(checked::<AtomicIsize, _>(address)?.load(ORDER)))
}

extern "C" fn read_single(address: *mut f32) -> f32 {
    f32::from_bits(read_32(address.cast()) as u32)
}

extern "C" fn read_double(address: *mut f64) -> f64 {
    f64::from_bits(read_64(address.cast()) as u64)
}

extern "C" fn write_8(address: *mut i8, value: i8) {
    raising(|| {
        checked::<AtomicI8, _>(address)?.store(value, ORDER);
        Ok(())
    })
}

extern "C" fn write_16(address: *mut i16, value: i16) {
    raising(|| {
        checked::<AtomicI16, _>(address)?.store(value, ORDER);
        Ok(())
    })
}

extern "C" fn write_32(address: *mut i32, value: i32) {
    exchange_int(address, value);
}

extern "C" fn write_64(address: *mut i64, value: i64) {
    exchange_long(address, value);
}

extern "C" fn write_native(address: *mut isize, value: isize) {
    exchange_native(address, value);
}

extern "C" fn write_single(address: *mut f32, value: f32) {
    exchange_single(address, value);
}

extern "C" fn write_double(address: *mut f64, value: f64) {
    exchange_double(address, value);
}

extern "C" fn write_object(address: *mut ObjectRef, value: ObjectRef) {
    exchange_object(address, value);
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Threading.Interlocked:Add (int&,int)", add_int as *const ()),
    icall("System.Threading.Interlocked:Add (long&,long)", add_long as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (double&,double,double)", compare_exchange_double as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (int&,int,int)", compare_exchange_int as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (int&,int,int,bool&)", compare_exchange_int_success as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (intptr&,intptr,intptr)", compare_exchange_native as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (long&,long,long)", compare_exchange_long as *const ()),
    icall("System.Threading.Interlocked:CompareExchange (object&,object,object)", compare_exchange_object as *const ()),
    icall(
        "System.Threading.Interlocked:CompareExchange (object&,object&,object&,object&)",
        compare_exchange_object_by_ref as *const (),
    ),
    icall("System.Threading.Interlocked:CompareExchange (single&,single,single)", compare_exchange_single as *const ()),
    icall("System.Threading.Interlocked:Decrement (int&)", decrement_int as *const ()),
    icall("System.Threading.Interlocked:Decrement (long&)", decrement_long as *const ()),
    icall("System.Threading.Interlocked:Exchange (double&,double)", exchange_double as *const ()),
    icall("System.Threading.Interlocked:Exchange (int&,int)", exchange_int as *const ()),
    icall("System.Threading.Interlocked:Exchange (intptr&,intptr)", exchange_native as *const ()),
    icall("System.Threading.Interlocked:Exchange (long&,long)", exchange_long as *const ()),
    icall("System.Threading.Interlocked:Exchange (object&,object)", exchange_object as *const ()),
    icall("System.Threading.Interlocked:Exchange (object&,object&,object&)", exchange_object_by_ref as *const ()),
    icall("System.Threading.Interlocked:Exchange (single&,single)", exchange_single as *const ()),
    icall("System.Threading.Interlocked:Increment (int&)", increment_int as *const ()),
    icall("System.Threading.Interlocked:Increment (long&)", increment_long as *const ()),
    icall("System.Threading.Interlocked:MemoryBarrierProcessWide ()", barrier as *const ()),
    icall("System.Threading.Interlocked:Read (long&)", read_64 as *const ()),
    icall("System.Threading.Thread:MemoryBarrier ()", barrier as *const ()),
    icall("System.Threading.Thread:VolatileRead (byte&)", read_unsigned_8 as *const ()),
    icall("System.Threading.Thread:VolatileRead (double&)", read_double as *const ()),
    icall("System.Threading.Thread:VolatileRead (int&)", read_32 as *const ()),
    icall("System.Threading.Thread:VolatileRead (int16&)", read_16 as *const ()),
    icall("System.Threading.Thread:VolatileRead (intptr&)", read_native as *const ()),
    icall("System.Threading.Thread:VolatileRead (long&)", read_64 as *const ()),
    icall("System.Threading.Thread:VolatileRead (object&)", read_native as *const ()),
    icall("System.Threading.Thread:VolatileRead (sbyte&)", read_8 as *const ()),
    icall("System.Threading.Thread:VolatileRead (single&)", read_single as *const ()),
    icall("System.Threading.Thread:VolatileRead (uint&)", read_32 as *const ()),
    icall("System.Threading.Thread:VolatileRead (uint16&)", read_unsigned_16 as *const ()),
    icall("System.Threading.Thread:VolatileRead (uintptr&)", read_native as *const ()),
    icall("System.Threading.Thread:VolatileRead (ulong&)", read_64 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (byte&,byte)", write_8 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (double&,double)", write_double as *const ()),
    icall("System.Threading.Thread:VolatileWrite (int&,int)", write_32 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (int16&,int16)", write_16 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (intptr&,intptr)", write_native as *const ()),
    icall("System.Threading.Thread:VolatileWrite (long&,long)", write_64 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (object&,object)", write_object as *const ()),
    icall("System.Threading.Thread:VolatileWrite (sbyte&,sbyte)", write_8 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (single&,single)", write_single as *const ()),
    icall("System.Threading.Thread:VolatileWrite (uint&,uint)", write_32 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (uint16&,uint16)", write_16 as *const ()),
    icall("System.Threading.Thread:VolatileWrite (uintptr&,uintptr)", write_native as *const ()),
    icall("System.Threading.Thread:VolatileWrite (ulong&,ulong)", write_64 as *const ()),
    icall("System.Threading.Volatile:Read (double&)", read_double as *const ()),
    icall("System.Threading.Volatile:Read (long&)", read_64 as *const ()),
    icall("System.Threading.Volatile:Read (ulong&)", read_64 as *const ()),
    icall("System.Threading.Volatile:Write (double&,double)", write_double as *const ()),
    icall("System.Threading.Volatile:Write (long&,long)", write_64 as *const ()),
    icall("System.Threading.Volatile:Write (ulong&,ulong)", write_64 as *const ()),
];
