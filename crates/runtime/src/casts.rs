//! Type tests on objects.

use crate::exceptions::{Exception, Result};
use crate::method_table::MethodTable;
use crate::object::ObjectRef;
use crate::{proxies, runtime};
use compiler::abi::method_table_flags as flags;
use il::types::TypeId;
use std::sync::atomic::{AtomicU64, Ordering};

const CACHE_SIZE: usize = 2048;

/// Answers by (from, to): from in the high 32 bits, to and the answer below.
static CACHE: [AtomicU64; CACHE_SIZE] = [const { AtomicU64::new(0) }; CACHE_SIZE];

/// Whether an instance of `from` may be in a location of type `to` (ECMA-335 I.8.7.1), boxed values by their class.
pub fn is_assignable(from: TypeId, to: TypeId) -> bool {
    if from == to || to == TypeId::OBJECT {
        return true;
    }
    let key = (u64::from(from.0) << 32) | (u64::from(to.0) << 1) | 1 << 31;
    let place = &CACHE[(from.0.wrapping_mul(31) ^ to.0.wrapping_mul(0x9e37_79b1) >> 7) as usize % CACHE_SIZE];
    let cached = place.load(Ordering::Relaxed);
    if cached & !1 == key {
        return cached & 1 != 0;
    }
    let answer = runtime().types.is_assignable(from, to).unwrap_or(false);
    if to.0 < 1 << 30 {
        place.store(key | u64::from(answer), Ordering::Relaxed);
    }
    answer
}

/// Whether `object`, which is not null, is an instance of the class, interface or array type of `table`. The code of a proxy may be asked, and raise.
pub fn is_instance(table: &MethodTable, object: ObjectRef) -> Result<bool> {
    let own = object.method_table();
    if std::ptr::eq(own, table) {
        return Ok(true);
    }
    if !table.has(flags::INTERFACE | flags::VECTOR | flags::ARRAY | flags::DELEGATE | flags::NULLABLE) {
        let display = own.display();
        if display.get(table.depth as usize - 1).is_some_and(|&class| std::ptr::eq(class, table)) {
            return Ok(true);
        }
    }
    if table.has(flags::NULLABLE) {
        return Ok(table.element().is_some_and(|element| std::ptr::eq(element, own)));
    }
    if is_assignable(own.ty(), table.ty()) {
        return Ok(true);
    }
    if own.has(flags::PROXY) { proxies::can_cast(table.ty(), object) } else { Ok(false) }
}

/// `castclass`: the object, or the exception to raise.
pub fn cast_class(table: &MethodTable, object: ObjectRef) -> Result<ObjectRef> {
    if object.is_null() || is_instance(table, object)? { Ok(object) } else { Err(Exception::invalid_cast()) }
}

/// `stelem.ref`'s check: whether `value` may be an element of `array`.
pub fn can_store(array: ObjectRef, value: ObjectRef) -> Result<bool> {
    match array.method_table().element() {
        Some(element) if !value.is_null() => is_instance(element, value),
        _ => Ok(value.is_null()),
    }
}

/// `unbox`: whether the boxed `object` is a value of the class `table`, enumerations counting as their underlying type.
pub fn can_unbox(table: &MethodTable, object: ObjectRef) -> bool {
    let own = object.method_table();
    if std::ptr::eq(own, table) {
        return true;
    }
    let reduced = |table: &MethodTable| {
        if table.has(flags::ENUM) { table.element().map(|element| element.type_id) } else { Some(table.type_id) }
    };
    own.has(flags::VALUE_TYPE) && (own.has(flags::ENUM) || table.has(flags::ENUM)) && reduced(own) == reduced(table)
}
