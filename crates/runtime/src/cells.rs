//! Cells: what compiled code asked for, and the values. Serves the JIT's numbered cells and, later, the import cells of images.

use crate::class_init::ensure_initialized;
use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::handles;
use crate::id_table::IdTable;
use crate::method_table::{ensure_statics, method_table};
use crate::{aot, icalls, metadata, methods, pinvoke, runtime, strings};
use compiler::env::{CellRequest, GenericLookup};
use il::types::{AssemblyId, MethodId, TypeId};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::atomic::Ordering;

pub use crate::metadata::field_data;

/// What is known of the JIT's cells.
#[derive(Default)]
pub struct Cells {
    requests: IdTable<Mutex<Option<CellRequest>>>,
    numbers: Mutex<FxHashMap<CellRequest, u32>>,
    lookups: Mutex<Vec<GenericLookup>>,
    /// Numbers of the lookups that cells of images stand for, by address.
    image_lookups: Mutex<FxHashMap<usize, u32>>,
    errors: Mutex<Vec<il::Error>>,
}

/// A cell's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CellValue {
    /// The value, not 0.
    pub value: usize,
    /// Whether it stays: a class initialiser that still runs must be asked for again by other threads.
    pub stays: bool,
}

impl Cells {
    /// The number of the cell for a request; a new one is empty, unless its kind is never empty.
    pub fn number(&self, request: CellRequest) -> u32 {
        let runtime = runtime();
        if let CellRequest::MethodEntry(method) = request {
            return methods::entry_cell(method);
        }
        if let Some(&number) = self.numbers.lock().get(&request) {
            return number;
        }
        let first_value = match request {
            CellRequest::InternalCall(method) => {
                let name = runtime.types.method_full_name(method);
                icalls::find(&name).unwrap_or(icalls::missing as *const () as usize)
            }
            CellRequest::PlatformInvoke(method) => pinvoke::code(method),
            _ => 0,
        };
        let mut numbers = self.numbers.lock();
        *numbers.entry(request).or_insert_with(|| {
            let number = runtime.code.new_cell();
            *self.requests.entry(number).lock() = Some(request);
            runtime.code.cell(number).store(first_value, Ordering::Release);
            number
        })
    }

    /// The request that a cell stands for.
    pub fn request(&self, number: u32) -> Option<CellRequest> {
        *self.requests.get(number)?.lock()
    }

    /// Forgets the cells for what the given assemblies hold and for the given methods.
    ///
    /// # Safety
    /// No code reads these cells any more.
    pub unsafe fn forget(&self, assemblies: &FxHashSet<AssemblyId>, methods: &FxHashSet<MethodId>) {
        let mut unused = Vec::new();
        self.numbers.lock().retain(|request, &mut number| {
            let is_forgotten = match request {
                CellRequest::String(assembly, _) => assemblies.contains(assembly),
                CellRequest::FunctionPointer(method)
                | CellRequest::MethodHandle(method)
                | CellRequest::MethodDictionary(method)
                | CellRequest::InterfaceKey(method) => methods.contains(method),
                _ => false,
            };
            if is_forgotten {
                *self.requests.entry(number).lock() = None;
                unused.push(number);
            }
            !is_forgotten
        });
        // SAFETY: the caller's promise.
        unsafe { runtime().code.free_cells(&unused) };
    }

    /// Numbers a lookup in a generic context.
    pub fn add_lookup(&self, lookup: GenericLookup) -> u32 {
        let mut lookups = self.lookups.lock();
        if let Some(known) = lookups.iter().position(|known| *known == lookup) {
            return known as u32;
        }
        lookups.push(lookup);
        lookups.len() as u32 - 1
    }

    /// Numbers the lookup that the cell of an image at an address stands for.
    pub fn image_lookup(&self, address: usize, lookup: GenericLookup) -> u32 {
        *self.image_lookups.lock().entry(address).or_insert_with(|| self.add_lookup(lookup))
    }

    /// The lookup with this number.
    pub fn lookup(&self, number: u32) -> Option<GenericLookup> {
        self.lookups.lock().get(number as usize).copied()
    }

    /// Numbers an error to be raised later.
    pub fn add_error(&self, error: il::Error) -> u32 {
        let mut errors = self.errors.lock();
        errors.push(error);
        errors.len() as u32 - 1
    }

    /// The error with this number.
    pub fn error(&self, number: u32) -> Option<il::Error> {
        self.errors.lock().get(number as usize).cloned()
    }
}

/// The value for a request.
pub fn resolve(request: CellRequest) -> Result<CellValue> {
    let fixed = |value: usize| Ok(CellValue { value, stays: true });
    match request {
        CellRequest::MethodTable(ty) => fixed(std::ptr::from_ref(method_table(ty)?) as usize),
        CellRequest::InitializedMethodTable(ty) => {
            let table = method_table(ty)?;
            ensure_statics(table)?;
            let stays = ensure_initialized(table)?;
            Ok(CellValue { value: std::ptr::from_ref(table) as usize, stays })
        }
        CellRequest::Statics(ty) => statics(ty, true, false),
        CellRequest::ReferenceStatics(ty) => statics(ty, true, true),
        CellRequest::StaticsWithoutInitializer(ty) => statics(ty, false, false),
        CellRequest::ReferenceStaticsWithoutInitializer(ty) => statics(ty, false, true),
        CellRequest::String(assembly, token) => fixed(literal(assembly, token)?),
        CellRequest::MethodEntry(method) => fixed(methods::jump_entry(method)?),
        CellRequest::FunctionPointer(method) => fixed(methods::function_pointer(method)?),
        CellRequest::MethodHandle(method) => fixed(handles::from_method(method)),
        CellRequest::FieldHandle(field) => fixed(handles::from_field(field)),
        CellRequest::TypeHandle(ty) => fixed(handles::from_type(ty)),
        CellRequest::TypeObject(ty) => fixed(handles::type_object(ty)?.raw() as usize),
        CellRequest::InterfaceKey(method) => fixed(methods::interface_key(method)),
        CellRequest::MethodDictionary(method) => fixed(methods::dictionary(method)),
        CellRequest::FieldData(field) => fixed(field_data(field)?),
        CellRequest::InternalCall(_) | CellRequest::PlatformInvoke(_) => {
            let number = domain::current().cells.number(request);
            fixed(runtime().code.cell(number).load(Ordering::Acquire))
        }
        CellRequest::GenericLookup(_) | CellRequest::DeferredError(_) => {
            Err(Exception::engine("a cell without a value of its own was read"))
        }
    }
}

fn statics(ty: TypeId, initialize: bool, references: bool) -> Result<CellValue> {
    let table = method_table(ty)?;
    ensure_statics(table)?;
    let stays = !initialize || ensure_initialized(table)?;
    let area = if references { &table.reference_statics } else { &table.statics };
    Ok(CellValue { value: area.load(Ordering::Acquire), stays })
}

fn literal(assembly: AssemblyId, token: u32) -> Result<usize> {
    let units = metadata::user_string(assembly, token)?;
    Ok(strings::intern(&units)?.object().raw() as usize)
}

/// What the cell at an address asks for, in the JIT's area or in an image.
pub fn request_at(address: usize) -> Result<CellRequest> {
    let runtime = runtime();
    match runtime.code.cell_number(address) {
        Some(number) => {
            domain::current().cells.request(number).ok_or_else(|| Exception::engine("a cell without a request was read"))
        }
        None => {
            let request = runtime.code_map.images.request(address);
            request.unwrap_or_else(|| Err(Exception::engine("an unknown cell was read")))
        }
    }
}

/// Fills the cell at an address and gives its value: the helper behind `cell` instructions.
pub fn resolve_cell_at(address: usize) -> Result<usize> {
    let resolved = resolve(request_at(address)?).map_err(Exception::in_caller)?;
    if resolved.stays {
        aot::place(address).store(resolved.value, Ordering::Release);
    }
    Ok(resolved.value)
}
