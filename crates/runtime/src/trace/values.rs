//! Arguments and results as text, as Mono's tracing writes them: C's `printf` formats, integers of less than 64 bits as signed numbers.
//!
//! Mono writes `XX` for instances of generic classes, stops at the first `ref` argument, and gives results of type `float` as 0; here all
//! of them show their value.

use crate::object::ObjectRef;
use crate::{handles, runtime};
use compiler::signature::{AbiSignature, Passed, Passing};
use il::types::{MethodId, Storage, TypeId, TypeKind};
use ir::signature::ParamKind;
use std::fmt::Write;

/// Bytes of a cell: enough for any SSA value.
pub const CELL_BYTES: u32 = 16;

/// SSA values in memory, one in each cell.
#[derive(Clone, Copy)]
pub struct Cells {
    next: *const u8,
}

impl Cells {
    /// The cells from an address on.
    ///
    /// # Safety
    /// There is a cell for each SSA value of the signature that the cells are read by, and they hold such values.
    pub unsafe fn new(address: *const u8) -> Cells {
        Cells { next: address }
    }

    fn take(&mut self) -> *const u8 {
        let cell = self.next;
        self.next = cell.wrapping_add(CELL_BYTES as usize);
        cell
    }

    fn skip(&mut self, count: usize) {
        self.next = self.next.wrapping_add(count * CELL_BYTES as usize);
    }

    /// The address in the next cell.
    fn take_address(&mut self) -> *const u8 {
        // SAFETY: the promise of `new`.
        unsafe { self.take().cast::<*const u8>().read() }
    }
}

/// A CIL value: its bytes as a location of its type holds them.
struct CilValue {
    ty: TypeId,
    storage: Storage,
    bytes: Vec<u8>,
}

/// Text for all arguments of a method, from the cells of its SSA parameters.
pub fn arguments(abi: &AbiSignature, method: MethodId, mut cells: Cells) -> String {
    let mut text = String::new();
    for (index, param) in abi.params.iter().enumerate() {
        if index == usize::from(abi.has_this) && abi.result.passing == Passing::Reference {
            cells.take();
        }
        if index > 0 {
            text.push_str(", ");
        }
        let value = CilValue::read(param, &mut cells);
        match index == 0 && abi.has_this {
            true => text.push_str(&this(method, &value)),
            false => text.push_str(&value.argument()),
        }
    }
    text
}

/// Text for a method's result. A structure returned through an address has it among the parameters.
pub fn result(abi: &AbiSignature, mut cells: Cells) -> String {
    let params = abi.signature.params.len();
    match abi.result.passing {
        Passing::Reference => {
            let hidden = abi.signature.params.iter().position(|param| param.kind == ParamKind::StructReturn);
            cells.skip(hidden.unwrap_or(params));
        }
        _ => cells.skip(params),
    }
    CilValue::read(&abi.result, &mut cells).result()
}

fn this(method: MethodId, value: &CilValue) -> String {
    if runtime().types.is_value_type(runtime().types.method(method).owner) {
        return format!("value:{}", pointer(value.word()));
    }
    let Some(object) = value.object().non_null() else { return "this:NULL".to_owned() };
    if let Some(text) = string(object) {
        return format!("this:{text}");
    }
    let program = runtime().program().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    format!("this:{}[{} {program}]", pointer(object.raw() as usize), class_name(object.type_id()))
}

impl CilValue {
    /// Takes the cells of a value.
    fn read(passed: &Passed, cells: &mut Cells) -> CilValue {
        let &Passed { ty, storage, ref passing } = passed;
        let size = storage.size(runtime().types.layout()) as usize;
        let mut bytes = vec![0; size];
        let mut copy = |from: *const u8, offset: usize, length: usize| {
            let length = length.min(size - offset.min(size));
            // SAFETY: the cells hold values of the signature, so that these bytes are there.
            unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr().add(offset), length) };
        };
        match passing {
            Passing::Nothing => {}
            Passing::Scalar(_) => copy(cells.take(), 0, size),
            Passing::Pieces(pieces) => {
                for &(ty, offset) in pieces {
                    copy(cells.take(), offset as usize, ty.bytes(size_of::<usize>() as u32) as usize);
                }
            }
            Passing::Reference | Passing::Stack => copy(cells.take_address(), 0, size),
        }
        CilValue { ty, storage, bytes }
    }

    /// The first `N` bytes.
    fn first<const N: usize>(&self) -> [u8; N] {
        let mut array = [0; N];
        let length = N.min(self.bytes.len());
        array[..length].copy_from_slice(&self.bytes[..length]);
        array
    }

    fn word(&self) -> usize {
        usize::from_ne_bytes(self.first())
    }

    fn object(&self) -> ObjectRef {
        // SAFETY: only for storage that holds a reference, which the cells keep alive.
        unsafe { ObjectRef::from_raw(self.word() as *mut _) }
    }

    /// An integer of less than 64 bits.
    fn small_integer(&self) -> Option<i32> {
        Some(match self.storage {
            Storage::I1 | Storage::U1 => i32::from(i8::from_ne_bytes(self.first())),
            Storage::U2 if self.ty == TypeId::CHAR => i32::from(u16::from_ne_bytes(self.first())),
            Storage::I2 | Storage::U2 => i32::from(i16::from_ne_bytes(self.first())),
            Storage::I4 | Storage::U4 => i32::from_ne_bytes(self.first()),
            _ => return None,
        })
    }

    fn float(&self) -> String {
        match self.storage {
            Storage::R4 => float(f64::from(f32::from_ne_bytes(self.first()))),
            _ => float(f64::from_ne_bytes(self.first())),
        }
    }

    fn structure(&self) -> String {
        let mut text = "[".to_owned();
        for byte in &self.bytes {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x},");
        }
        text + "]"
    }

    fn argument(&self) -> String {
        match self.storage {
            Storage::Void => String::new(),
            Storage::Struct { .. } => self.structure(),
            Storage::R4 | Storage::R8 => self.float(),
            Storage::I8 | Storage::U8 => format!("{:#018x}", u64::from_ne_bytes(self.first())),
            Storage::NativeInt | Storage::NativeUInt => pointer(self.word()),
            Storage::ManagedPointer => format!("[BYREF:{}]", pointer(self.word())),
            Storage::Ref => object_argument(self.object()),
            _ => self.small_integer().map_or_else(String::new, |number| number.to_string()),
        }
    }

    fn result(&self) -> String {
        match self.storage {
            Storage::Void => String::new(),
            Storage::Struct { .. } => self.structure(),
            Storage::R4 | Storage::R8 => format!("FP={}", self.float()),
            Storage::I8 | Storage::U8 => format!("lresult=0x{:>16x}", u64::from_ne_bytes(self.first())),
            Storage::NativeInt | Storage::NativeUInt | Storage::ManagedPointer => format!("result={}", pointer(self.word())),
            Storage::Ref => object_result(self.object()),
            _ => self.small_integer().map_or_else(String::new, |number| format!("result={number}")),
        }
    }
}

fn object_argument(object: ObjectRef) -> String {
    if object.is_null() {
        return "(nil)".to_owned();
    }
    let (ty, address) = (object.type_id(), pointer(object.raw() as usize));
    if let Some(text) = string(object) {
        return text;
    }
    if ty == TypeId::I4 {
        return boxed_int(object);
    }
    if class_name(ty) == "System.RuntimeType" {
        let reflected = handles::type_of(object).map_or_else(String::new, |ty| runtime().types.type_name(ty));
        return format!("[TYPE:{reflected}]");
    }
    match object.as_array() {
        Some(array) => format!("[{}:[{}]{address}]", class_name(ty), array.len()),
        None => format!("[{}:{address}]", class_name(ty)),
    }
}

fn object_result(object: ObjectRef) -> String {
    if object.is_null() {
        return "[OBJECT:(nil)]".to_owned();
    }
    let address = pointer(object.raw() as usize);
    // SAFETY: a boxed value of the type that is asked for.
    unsafe {
        match object.type_id() {
            TypeId::I4 => boxed_int(object),
            TypeId::I8 => format!("[INT64:{address}:{}]", object.payload::<i64>().read()),
            TypeId::BOOLEAN => format!("[BOOLEAN:{address}:{}]", object.payload::<u8>().read()),
            ty => string(object).unwrap_or_else(|| format!("[{}:{address}]", class_name(ty))),
        }
    }
}

fn boxed_int(object: ObjectRef) -> String {
    // SAFETY: the caller saw the type.
    format!("[INT32:{}:{}]", pointer(object.raw() as usize), unsafe { object.payload::<i32>().read() })
}

/// A string, as far as C's strings go.
fn string(object: ObjectRef) -> Option<String> {
    let text = object.as_string()?.text();
    let text = text.split('\0').next().unwrap_or_default();
    Some(format!("[STRING:{}:{text}]", pointer(object.raw() as usize)))
}

/// Namespace and name without the classes around it, and the brackets of arrays.
fn class_name(ty: TypeId) -> String {
    let types = &runtime().types;
    match types.kind(ty) {
        TypeKind::SzArray(element) => class_name(*element) + "[]",
        TypeKind::Array { element, rank } => {
            let (open, commas) = if *rank == 1 { ("[*", 0) } else { ("[", *rank as usize - 1) };
            format!("{}{open}{}]", class_name(*element), ",".repeat(commas))
        }
        _ => {
            let (namespace, name) = types.simple_name(ty);
            format!("{namespace}.{name}")
        }
    }
}

/// `%p`
fn pointer(address: usize) -> String {
    if address == 0 { "(nil)".to_owned() } else { format!("{address:#x}") }
}

/// `%f`
fn float(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() { format!("{sign}nan") } else { format!("{value:.6}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        let value = |ty, storage, bytes: &[u8]| CilValue { ty, storage, bytes: bytes.to_vec() };
        assert_eq!(value(TypeId::U1, Storage::U1, &[255]).argument(), "-1");
        assert_eq!(value(TypeId::CHAR, Storage::U2, &[255, 255]).argument(), "65535");
        assert_eq!(value(TypeId::I8, Storage::I8, &5i64.to_ne_bytes()).argument(), "0x0000000000000005");
        assert_eq!(value(TypeId::I8, Storage::I8, &5i64.to_ne_bytes()).result(), "lresult=0x               5");
        assert_eq!(value(TypeId::I, Storage::NativeInt, &[0; size_of::<usize>()]).result(), "result=(nil)");
        assert_eq!(value(TypeId::R4, Storage::R4, &1.5f32.to_ne_bytes()).result(), "FP=1.500000");
        assert_eq!([f64::INFINITY, -1e-7, -f64::NAN].map(float), ["inf", "-0.000000", "-nan"]);
    }
}
