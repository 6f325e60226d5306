//! Method tables: what every object points to, and what compiled code reads of a class. Made from the type system's classes when
//! they are first needed, and never freed.

use crate::class_init::Initializer;
use crate::domain::{self, Domain};
use crate::exceptions::{Exception, Result};
use crate::gc::ReferenceMap;
use crate::object::{ABI, ObjectRef};
use crate::{emit, methods, roots, runtime, strings};
use compiler::abi::{INTERFACE_SLOTS, method_table_flags as flags};
use il::types::{ClassKind, FieldLocation, MethodId, TypeId, TypeKind};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// A method table. The fields are those that [`compiler::abi`] fixes; the virtual slots follow.
#[repr(C)]
pub struct MethodTable {
    /// Size of an instance; of arrays and strings the offset of the first element. Bytes.
    pub base_size: u32,
    /// Size of an element of an array or string, else 0.
    pub component_size: u32,
    flags: AtomicU32,
    /// Number of the type.
    pub type_id: u32,
    /// Number of virtual slots.
    pub slot_count: u32,
    /// Length of the display.
    pub depth: u16,
    /// Number of interfaces listed.
    pub interface_count: u16,
    /// Base class.
    pub parent: *const MethodTable,
    /// Element class of an array; underlying class of a nullable or enumeration.
    pub element: *const MethodTable,
    display: *const *const MethodTable,
    interfaces: *const *const MethodTable,
    /// Generic dictionary.
    pub dictionary: *const usize,
    reference_map: *const ReferenceMap,
    /// Area of static fields without references.
    pub statics: AtomicUsize,
    /// Area of static fields that are references.
    pub reference_statics: AtomicUsize,
    /// Address of the type object, or 0 until somebody asked for it.
    pub type_object: AtomicUsize,
    class: *const ClassRecord,
    /// Code by interface slot.
    pub interface_slots: [AtomicUsize; INTERFACE_SLOTS as usize],
}

const _: () = {
    assert!(std::mem::offset_of!(MethodTable, parent) == ABI.method_table_parent() as usize);
    assert!(std::mem::offset_of!(MethodTable, dictionary) == ABI.method_table_dictionary() as usize);
    assert!(std::mem::offset_of!(MethodTable, statics) == ABI.method_table_statics() as usize);
    assert!(std::mem::offset_of!(MethodTable, class) == ABI.method_table_class() as usize);
    assert!(std::mem::offset_of!(MethodTable, interface_slots) == ABI.method_table_interface_slots() as usize);
    assert!(size_of::<MethodTable>() == ABI.method_table_slots() as usize);
};

// SAFETY: immutable but for atomics; what it points to lives forever.
unsafe impl Sync for MethodTable {}
// SAFETY: likewise.
unsafe impl Send for MethodTable {}

/// What the runtime alone knows of a class.
pub struct ClassRecord {
    /// Its type.
    pub ty: TypeId,
    /// Value types: bytes of the payload.
    pub value_size: u32,
    /// Value types: offsets of references in the payload.
    pub value_references: Box<[u32]>,
    /// State of the class initialiser.
    pub initializer: Initializer,
    /// Which interface methods were resolved, by interface slot: (key, method).
    pub interface_users: Mutex<Vec<(u32, usize, MethodId)>>,
    /// The domain that the method table and all instances belong to.
    pub domain: &'static Domain,
    /// Transparent proxies: the interfaces that they have beside those of their class.
    pub proxied_interfaces: Box<[TypeId]>,
    /// The number of the constructor without parameters plus 1; 0: not looked for yet.
    pub default_constructor: AtomicU32,
}

impl MethodTable {
    /// Whether any of these flags is set.
    #[inline]
    pub fn has(&self, wanted: u32) -> bool {
        self.flags.load(Ordering::Relaxed) & wanted != 0
    }

    /// All flags.
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Sets flags.
    pub fn set(&self, added: u32) {
        self.flags.fetch_or(added, Ordering::Release);
    }

    /// Clears flags.
    pub fn clear(&self, removed: u32) {
        self.flags.fetch_and(!removed, Ordering::Release);
    }

    /// The type.
    pub fn ty(&self) -> TypeId {
        TypeId(self.type_id)
    }

    /// The runtime's record.
    #[inline]
    pub fn class(&self) -> &'static ClassRecord {
        // SAFETY: set when the table was made, never freed.
        unsafe { &*self.class }
    }

    /// Where the references in instances are.
    pub fn reference_map(&self) -> &'static ReferenceMap {
        // SAFETY: set when the table was made, never freed.
        unsafe { &*self.reference_map }
    }

    /// The base class.
    pub fn parent(&self) -> Option<&'static MethodTable> {
        // SAFETY: null or a method table.
        unsafe { self.parent.as_ref() }
    }

    /// The element class of an array; the underlying class of a nullable or enumeration.
    pub fn element(&self) -> Option<&'static MethodTable> {
        // SAFETY: null or a method table.
        unsafe { self.element.as_ref() }
    }

    /// The classes from `object` to this one.
    pub fn display(&self) -> &'static [*const MethodTable] {
        // SAFETY: `depth` entries, never freed.
        unsafe { std::slice::from_raw_parts(self.display, self.depth as usize) }
    }

    /// Code pointer of a virtual slot.
    pub fn slot(&self, index: u32) -> &AtomicUsize {
        assert!(index < self.slot_count);
        let base = std::ptr::from_ref(self).wrapping_add(1) as *const AtomicUsize;
        // SAFETY: `slot_count` pointers follow the table.
        unsafe { &*base.add(index as usize) }
    }
}

/// The method table of a type, made now if there is none yet.
#[inline]
pub fn method_table(ty: TypeId) -> Result<&'static MethodTable> {
    let entry = domain::current().method_tables.entry(ty.0);
    let known = entry.load(Ordering::Acquire);
    if known.is_null() {
        return make(ty, entry);
    }
    // SAFETY: method tables are never freed.
    Ok(unsafe { &*known })
}

/// The method table of a type, if it was made.
pub fn existing(ty: TypeId) -> Option<&'static MethodTable> {
    // SAFETY: method tables are never freed.
    domain::current().method_tables.get(ty.0).and_then(|entry| unsafe { entry.load(Ordering::Acquire).as_ref() })
}

/// Number of method tables made so far.
pub fn count() -> usize {
    (0..runtime().types.type_count()).filter(|&ty| existing(TypeId(ty)).is_some()).count()
}

struct Shape {
    base_size: u32,
    component_size: u32,
    flags: u32,
    value_size: u32,
    value_references: Box<[u32]>,
    map: ReferenceMap,
    parent: Option<TypeId>,
    element: Option<TypeId>,
    depth: u16,
    slots: Vec<MethodId>,
    has_initializer: bool,
}

/// Whether a value type is the core library's pair of key and value of which the key is not kept alive.
fn is_ephemeron(ty: TypeId) -> bool {
    let types = &runtime().types;
    types.definition_of(ty).is_some_and(|(assembly, _)| assembly == types.corlib())
        && types.simple_name(ty) == ("System.Runtime.CompilerServices", "Ephemeron")
}

fn shape_of(ty: TypeId) -> Result<Shape> {
    let types = &runtime().types;
    let pointer = ABI.pointer_bytes;
    if matches!(
        types.kind(ty),
        TypeKind::Pointer(_) | TypeKind::ByRef(_) | TypeKind::FunctionPointer(_) | TypeKind::Var(_) | TypeKind::MVar(_)
    ) {
        return Ok(Shape {
            base_size: 2 * pointer,
            component_size: 0,
            flags: flags::INITIALIZED,
            value_size: pointer,
            value_references: Box::default(),
            map: ReferenceMap::default(),
            parent: None,
            element: None,
            depth: 1,
            slots: Vec::new(),
            has_initializer: false,
        });
    }
    let header = types.header(ty)?;
    let class = types.class(ty)?;
    let mut shape = Shape {
        base_size: class.instance_size,
        component_size: 0,
        flags: 0,
        value_size: class.value_size,
        value_references: Box::default(),
        map: ReferenceMap::default(),
        parent: header.parent,
        element: None,
        depth: header.depth as u16,
        slots: types.vtable(ty)?.slots.to_vec(),
        has_initializer: types.class_initializer(ty)?.is_some(),
    };
    match header.kind {
        ClassKind::Class => shape.map.instance = class.reference_offsets.clone(),
        ClassKind::Delegate => {
            shape.map.instance = class.reference_offsets.clone();
            shape.flags |= flags::DELEGATE;
        }
        ClassKind::ValueType | ClassKind::Enum => {
            let payload = ABI.boxed_payload() as u32;
            shape.map.instance = class.reference_offsets.iter().map(|offset| offset + payload).collect();
            shape.value_references = class.reference_offsets.clone();
            shape.flags |= flags::VALUE_TYPE;
            if header.kind == ClassKind::Enum {
                shape.flags |= flags::ENUM;
                shape.element = Some(types.enum_underlying(ty)?);
            }
            if let Some(argument) = types.nullable_argument(ty) {
                shape.flags |= flags::NULLABLE;
                shape.element = Some(argument);
            }
        }
        ClassKind::Interface => shape.flags |= flags::INTERFACE,
        ClassKind::Array => {
            let element = types.element_type(ty).ok_or_else(|| Exception::engine("an array without element type"))?;
            shape.flags |= if matches!(types.kind(ty), TypeKind::SzArray(_)) { flags::VECTOR } else { flags::ARRAY };
            shape.component_size = types.element_size(ty)?;
            shape.element = Some(element);
            if types.is_value_type(element) {
                shape.map.element = types.class(element)?.reference_offsets.clone();
                if is_ephemeron(element) {
                    shape.flags |= flags::SPECIAL_SCAN;
                }
            } else if types.is_reference_type(element) {
                shape.map.element = Box::new([0]);
            }
        }
    }
    if ty == TypeId::STRING {
        shape.flags |= flags::STRING;
        shape.base_size = ABI.string_chars() as u32;
        shape.component_size = 2;
    }
    if !class.weak_offsets.is_empty() {
        shape.map.weak = class.weak_offsets.clone();
        shape.flags |= flags::WEAK_FIELDS;
    }
    if class.has_overlapped_references {
        shape.flags |= flags::OVERLAPPED_REFERENCES;
    }
    if types.begins_as_proxy(ty) {
        shape.flags |= flags::BEGINS_AS_PROXY;
    }
    if class.has_finalizer && header.kind != ClassKind::Interface {
        shape.flags |= flags::FINALIZER;
    }
    if !shape.map.instance.is_empty() || !shape.map.weak.is_empty() || !shape.map.element.is_empty() {
        shape.flags |= flags::HAS_REFERENCES;
    }
    if !shape.has_initializer {
        shape.flags |= flags::INITIALIZED;
    }
    Ok(shape)
}

#[cold]
fn make(ty: TypeId, entry: &AtomicPtr<MethodTable>) -> Result<&'static MethodTable> {
    runtime().types.check_implementations(ty)?;
    emit::types::check_fields(ty)?;
    let shape = shape_of(ty)?;
    let parent = shape.parent.map(method_table).transpose()?;
    let table = build(ty, shape, parent, Box::default())?;
    match entry.compare_exchange(std::ptr::null_mut(), std::ptr::from_ref(table).cast_mut(), Ordering::AcqRel, Ordering::Acquire)
    {
        Ok(_) => Ok(table),
        // SAFETY: method tables are never freed; ours was seen by nobody.
        Err(other) => Ok(unsafe { &*other }),
    }
}

/// A method table of transparent proxies for instances of a class: objects that are laid out as `TransparentProxy` and pass for
/// instances of the class, and of the interfaces given. All their methods are the code for proxies.
pub fn make_proxy(class: TypeId, interfaces: &[TypeId]) -> Result<&'static MethodTable> {
    let types = &runtime().types;
    let layout = shape_of(types.well_known().transparent_proxy)?;
    let own = method_table(class)?;
    let shape = Shape {
        flags: flags::PROXY | flags::INITIALIZED | layout.flags & flags::HAS_REFERENCES,
        depth: own.depth,
        slots: types.vtable(class)?.slots.to_vec(),
        has_initializer: false,
        ..layout
    };
    let table = build(class, shape, own.parent(), interfaces.into())?;
    Ok(table)
}

/// A fresh method table. Those of proxies have the display of the class itself.
fn build(
    ty: TypeId,
    shape: Shape,
    parent: Option<&'static MethodTable>,
    proxied_interfaces: Box<[TypeId]>,
) -> Result<&'static MethodTable> {
    let is_proxy = shape.flags & flags::PROXY != 0;
    if let Some((assembly, _)) = runtime().types.definition_of(ty) {
        domain::current().use_assembly(assembly);
    }
    let element = match shape.element {
        Some(element) if element != ty => Some(method_table(element)?),
        _ => None,
    };
    let bytes = size_of::<MethodTable>() + shape.slots.len() * size_of::<usize>();
    let memory: &'static mut [u64] = Vec::leak(vec![0u64; bytes.div_ceil(8)]);
    let table = memory.as_mut_ptr() as *mut MethodTable;
    let mut display: Vec<*const MethodTable> = parent.map_or_else(Vec::new, |parent| parent.display().to_vec());
    display.truncate(shape.depth as usize - 1);
    display.push(if is_proxy { method_table(ty)? } else { table });
    let record = ClassRecord {
        ty,
        value_size: shape.value_size,
        value_references: shape.value_references,
        initializer: Initializer::new(shape.has_initializer),
        interface_users: Mutex::new(Vec::new()),
        domain: domain::current(),
        proxied_interfaces,
        default_constructor: AtomicU32::new(0),
    };
    let is_generic = !runtime().types.type_args(ty).is_empty();
    let dictionary: *const usize = if is_generic { Vec::leak(vec![0usize, table as usize]).as_ptr() } else { std::ptr::null() };
    // SAFETY: fresh zeroed memory of the table's size; zero is a valid value of every field.
    unsafe {
        (*table).base_size = shape.base_size;
        (*table).component_size = shape.component_size;
        (*table).flags = AtomicU32::new(shape.flags);
        (*table).type_id = ty.0;
        (*table).slot_count = shape.slots.len() as u32;
        (*table).depth = display.len() as u16;
        (*table).parent = parent.map_or(std::ptr::null(), std::ptr::from_ref);
        (*table).element = element.map_or(std::ptr::null(), std::ptr::from_ref);
        (*table).display = Vec::leak(display).as_ptr();
        (*table).dictionary = dictionary;
        (*table).reference_map = Box::leak(Box::new(shape.map));
        (*table).class = Box::leak(Box::new(record));
    }
    // SAFETY: initialised above, never freed.
    let table: &'static MethodTable = unsafe { &*table };
    if shape.flags & flags::INTERFACE == 0 {
        for (index, slot) in table.interface_slots.iter().enumerate() {
            slot.store(methods::interface_thunk(index as u32), Ordering::Relaxed);
        }
        for (index, method) in shape.slots.iter().enumerate() {
            let inherits_from = parent.filter(|_| !is_proxy);
            table.slot(index as u32).store(methods::initial_slot(table, inherits_from, index as u32, *method), Ordering::Relaxed);
        }
    }
    Ok(table)
}

/// Lays out the static fields of a class, once.
pub fn ensure_statics(table: &'static MethodTable) -> Result<()> {
    if table.statics.load(Ordering::Acquire) != 0 {
        return Ok(());
    }
    let layout = runtime().types.statics(table.ty())?;
    let words = (layout.data_size as usize).div_ceil(8) + 1;
    let data = Vec::leak(vec![0u64; words]).as_ptr() as usize;
    let references = roots::allocate_area((layout.reference_size as usize).div_ceil(size_of::<usize>()));
    for &(offset, ty) in &layout.boxed {
        let object = crate::object::allocate(method_table(ty)?)?;
        // SAFETY: the layout's offsets lie in the area.
        unsafe { (references as *mut u8).add(offset as usize).cast::<ObjectRef>().write(object) };
    }
    if table.ty() == TypeId::STRING {
        fill_string_statics(references)?;
    }
    let _guard = domain::current().statics_lock.lock();
    if table.statics.load(Ordering::Acquire) == 0 {
        table.reference_statics.store(references as usize, Ordering::Release);
        table.statics.store(data, Ordering::Release);
    }
    Ok(())
}

/// `String.Empty` has no initialiser: the class library expects the runtime to set it.
fn fill_string_statics(references: *mut ObjectRef) -> Result<()> {
    let types = &runtime().types;
    if let Some(field) = types.find_field(TypeId::STRING, "Empty")? {
        if let FieldLocation::ReferenceStatic { offset } = types.field_location(field)? {
            let empty = strings::intern(&[])?;
            // SAFETY: the field's offset lies in the area.
            unsafe { references.byte_add(offset as usize).write(empty.object()) };
        }
    }
    Ok(())
}
