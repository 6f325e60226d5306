//! `System.ArgIterator` over the argument lists that calls with variable arguments make in their frames (`compiler::abi`), and
//! `System.TypedReference`, of which these lists consist.

use super::reflection::fields::load;
use super::reflection::type_of;
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::object::{ArrayRef, ObjectRef};
use crate::{handles, runtime};
use il::types::{FieldLocation, TypeId};

const fn iterator(field: &'static str) -> KnownField {
    KnownField::new("System", "ArgIterator", field)
}

const fn reference(field: &'static str) -> KnownField {
    KnownField::new("System", "TypedReference", field)
}

static LIST: KnownField = iterator("sig");
static POSITION: KnownField = iterator("args");
static NEXT: KnownField = iterator("next_arg");
static COUNT: KnownField = iterator("num_args");

static TYPE: KnownField = reference("type");
static ADDRESS: KnownField = reference("Value");
static CLASS: KnownField = reference("Type");

/// Words of a typed reference.
const REFERENCE_WORDS: usize = 3;

/// An `ArgIterator` or `TypedReference`, whose address compiled code passed.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Structure(*mut u8);

impl Structure {
    fn get<T: Copy>(self, field: &KnownField) -> T {
        // SAFETY: the structure has the field; `T` is its type.
        unsafe { self.0.add(field.offset() as usize).cast::<T>().read() }
    }
    fn set<T: Copy>(self, field: &KnownField, value: T) {
        // SAFETY: likewise; no field is a reference.
        unsafe { self.0.add(field.offset() as usize).cast::<T>().write(value) }
    }
}

/// The variable that a typed reference refers to.
pub(super) fn referent(reference: *mut u8) -> *mut u8 {
    Structure(reference).get(&ADDRESS)
}

/// The list of a method with variable arguments that is called without a call site, as reflection does.
pub(crate) fn empty_list() -> *const usize {
    static EMPTY: usize = 0;
    &raw const EMPTY
}

extern "C" fn set_up(iterator: Structure, list: *mut usize, start: *mut usize) {
    // SAFETY: a handle holds the address of a list, which begins with the number of its entries.
    let (count, first) = unsafe { (list.read(), list.add(1)) };
    iterator.set(&LIST, list);
    iterator.set(&POSITION, if start.is_null() { first } else { start });
    iterator.set(&NEXT, 0);
    iterator.set(&COUNT, count as i32);
}

/// The entry that the iterator is at.
fn current(iterator: Structure) -> *mut usize {
    iterator.get(&POSITION)
}

/// Copies the current entry to `result` and goes on to the next.
fn advance(iterator: Structure, result: Structure) {
    let entry = current(iterator);
    // SAFETY: the class library asks for no more entries than there are.
    unsafe { std::ptr::copy_nonoverlapping(entry, result.0.cast(), REFERENCE_WORDS) };
    iterator.set(&POSITION, entry.wrapping_add(REFERENCE_WORDS));
    iterator.set(&NEXT, iterator.get::<i32>(&NEXT) + 1);
}

extern "C" fn next(iterator: Structure, result: Structure) {
    advance(iterator, result);
}

/// The next argument as a value of the type that the caller expects.
extern "C" fn next_of_type(iterator: Structure, result: Structure, handle: usize) {
    raising(|| {
        let table = method_table(referenced_type(handle)?)?;
        advance(iterator, result);
        result.set(&TYPE, handle);
        result.set(&CLASS, table);
        Ok(())
    });
}

extern "C" fn next_type(iterator: Structure) -> usize {
    Structure(current(iterator).cast()).get(&TYPE)
}

fn referenced_type(handle: usize) -> Result<TypeId> {
    handles::to_type(handle).ok_or_else(|| Exception::argument("rth", "The handle is of no type."))
}

extern "C" fn to_object(reference: Structure) -> ObjectRef {
    raising(|| {
        let ty = referenced_type(reference.get(&TYPE))?;
        // SAFETY: a typed reference refers to a variable of its type.
        unsafe { load(ty, reference.get(&ADDRESS)) }
    })
}

/// A typed reference to a field within a field and so on of `target`, the last of which is of the class `ty`.
extern "C" fn make(result: Structure, target: ObjectRef, path: ArrayRef, ty: ObjectRef) {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(ty)?;
        let mut address = target.argument("target")?.at::<u8>(0);
        let path = path.argument("flds")?;
        // SAFETY: a vector of `IntPtr` that the class library has just made.
        for &handle in unsafe { path.slice::<usize>() } {
            let field = handles::to_field(handle).ok_or_else(|| Exception::argument("flds", "The handle is of no field."))?;
            let FieldLocation::Instance { offset } = types.field_location(field)? else {
                return Err(Exception::argument("flds", "The field is not of an instance."));
            };
            address = address.wrapping_add(offset as usize);
        }
        result.set(&TYPE, handles::from_type(ty));
        result.set(&ADDRESS, address);
        result.set(&CLASS, method_table(ty)?);
        Ok(())
    });
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.ArgIterator:Setup", set_up as *const ()),
    icall("System.ArgIterator:IntGetNextArg", next as *const ()),
    icall("System.ArgIterator:IntGetNextArgWithType", next_of_type as *const ()),
    icall("System.ArgIterator:IntGetNextArgType", next_type as *const ()),
    icall("typedbyref:InternalMakeTypedReference", make as *const ()),
    icall("typedbyref:InternalToObject", to_object as *const ()),
];
