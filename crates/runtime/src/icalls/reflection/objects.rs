//! Reflection objects: one of each kind for a member and the type it was asked of, kept for good so that identity holds.

use crate::class_library::{KnownClass, core_class};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::method_table::method_table;
use crate::named_fields::Fields;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{domain, emit, handles, roots, runtime};
use il::types::{AssemblyId, FieldId, MethodId, TypeId, method_attributes};
use il::{TableId, Token};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use std::path::Path;

const REFLECTION: &str = "System.Reflection";

/// What an object stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Method,
    /// The array of the parameters of a method.
    Parameters,
    Field,
    Property,
    Event,
    Assembly,
    Module,
}

/// Kind, member and the type it was asked of.
type Key = (Kind, u32, u32);

/// The objects of a domain: slots of [`roots::keep`].
#[derive(Default)]
pub struct ReflectionObjects(Mutex<FxHashMap<Key, usize>>);

impl ReflectionObjects {
    /// Forgets the objects of these methods.
    pub fn forget(&self, methods: &FxHashSet<MethodId>) {
        self.0.lock().retain(|&(kind, member, _), &mut slot| {
            let is_kept = !matches!(kind, Kind::Method | Kind::Parameters) || !methods.contains(&MethodId(member));
            if !is_kept {
                // SAFETY: a slot of `roots::keep`, which no other table knows.
                unsafe { roots::free_area(slot as *mut ObjectRef, 1) };
            }
            is_kept
        });
    }
}

/// The object for a member, made by `make` at the first time.
pub(super) fn cached(kind: Kind, member: u32, reflected: u32, make: impl FnOnce() -> Result<ObjectRef>) -> Result<ObjectRef> {
    let key = (kind, member, reflected);
    // SAFETY: the slots live as long as the process.
    let read = |slot: usize| unsafe { (slot as *const ObjectRef).read() };
    let objects = &domain::current().reflection.0;
    if let Some(&slot) = objects.lock().get(&key) {
        return Ok(read(slot));
    }
    let object = make()?;
    let slot = roots::keep(object) as usize;
    let kept = *objects.lock().entry(key).or_insert(slot);
    Ok(read(kept))
}

/// A zeroed object of a class of `System.Reflection`.
pub(super) fn allocate(name: &str) -> Result<ObjectRef> {
    object::allocate(method_table(core_class(REFLECTION, name)?)?)
}

pub(super) static METHOD_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimeMethodInfo");
pub(super) static CONSTRUCTOR_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimeConstructorInfo");
pub(super) static FIELD_INFO: KnownClass = KnownClass::new(REFLECTION, "RuntimeFieldInfo");
pub(super) static ASSEMBLY: KnownClass = KnownClass::new(REFLECTION, "RuntimeAssembly");
pub(super) static MODULE: KnownClass = KnownClass::new(REFLECTION, "RuntimeModule");

static METHOD_HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeMethodInfo", "mhandle");
static METHOD_REFLECTED: KnownField = KnownField::new(REFLECTION, "RuntimeMethodInfo", "reftype");
static CONSTRUCTOR_HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeConstructorInfo", "mhandle");
static CONSTRUCTOR_REFLECTED: KnownField = KnownField::new(REFLECTION, "RuntimeConstructorInfo", "reftype");
static DYNAMIC_HANDLE: KnownField = KnownField::new("System.Reflection.Emit", "DynamicMethod", "mhandle");

/// Whether a method is an instance constructor or class initialiser.
pub(super) fn is_constructor(method: MethodId) -> bool {
    let types = &runtime().types;
    let special = types.method(method).attributes & method_attributes::RT_SPECIAL_NAME != 0;
    special && matches!(types.method_name(method), ".ctor" | ".cctor")
}

/// The `MethodInfo` or `ConstructorInfo` of a method; `reflected` is the type it was asked of, its own if not given.
pub fn method_object(method: MethodId, reflected: Option<TypeId>) -> Result<ObjectRef> {
    let reflected = reflected.unwrap_or(runtime().types.method(method).owner);
    cached(Kind::Method, method.0, reflected.0, || {
        let (class, handle, reflected_field) = match is_constructor(method) {
            true => ("RuntimeConstructorInfo", &CONSTRUCTOR_HANDLE, &CONSTRUCTOR_REFLECTED),
            false => ("RuntimeMethodInfo", &METHOD_HANDLE, &METHOD_REFLECTED),
        };
        let ty = handles::type_object(reflected)?;
        let object = allocate(class)?;
        handle.set(object, handles::from_method(method));
        reflected_field.set_ref(object, ty);
        Ok(object)
    })
}

/// The method of a `RuntimeMethodInfo` or `RuntimeConstructorInfo`, of a `DynamicMethod` that was created, or of a builder whose type
/// was.
pub fn method_of(object: ObjectRef) -> Result<MethodId> {
    let object = object.check()?;
    let handle = match CONSTRUCTOR_INFO.is_class_of(object) {
        true => &CONSTRUCTOR_HANDLE,
        false if METHOD_INFO.is_class_of(object) => &METHOD_HANDLE,
        false if emit::objects::class_name(object) == "DynamicMethod" => &DYNAMIC_HANDLE,
        false => match emit::objects::class_name(object) {
            "MethodBuilder" | "ConstructorBuilder" => return emit::references::finished_method(object),
            _ => return Err(Exception::argument("method", "Argument must be a runtime method object.")),
        },
    };
    handles::to_method(handle.get(object)).ok_or_else(|| Exception::engine("a method object without a method"))
}

/// The type that a method was asked of, if `object` is the `MethodInfo` or `ConstructorInfo` that is kept for that.
pub(super) fn kept_method_object(object: ObjectRef, method: MethodId) -> Option<TypeId> {
    let object = object.non_null().filter(|&object| METHOD_INFO.is_class_of(object) || CONSTRUCTOR_INFO.is_class_of(object))?;
    let reflected = reflected_type_of_method(object)?;
    let key = (Kind::Method, method.0, reflected.0);
    let slot = *domain::current().reflection.0.lock().get(&key)?;
    // SAFETY: the slots live as long as the process.
    (unsafe { (slot as *const ObjectRef).read() } == object).then_some(reflected)
}

/// The type that a `RuntimeMethodInfo` was asked of.
pub(super) fn reflected_type_of_method(object: ObjectRef) -> Option<TypeId> {
    let field = if CONSTRUCTOR_INFO.is_class_of(object) { &CONSTRUCTOR_REFLECTED } else { &METHOD_REFLECTED };
    handles::type_of(field.get(object))
}

static FIELD_CLASS: KnownField = KnownField::new(REFLECTION, "RuntimeFieldInfo", "klass");
static FIELD_HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeFieldInfo", "fhandle");
static FIELD_NAME: KnownField = KnownField::new(REFLECTION, "RuntimeFieldInfo", "name");
static FIELD_ATTRIBUTES: KnownField = KnownField::new(REFLECTION, "RuntimeFieldInfo", "attrs");

/// The `FieldInfo` of a field; `reflected` is the type it was asked of, its own if not given.
pub fn field_object(field: FieldId, reflected: Option<TypeId>) -> Result<ObjectRef> {
    let types = &runtime().types;
    let reflected = reflected.unwrap_or(types.field(field).owner);
    cached(Kind::Field, field.0, reflected.0, || {
        let name = StringRef::new(types.field_name(field))?;
        let object = allocate("RuntimeFieldInfo")?;
        FIELD_CLASS.set(object, handles::from_type(reflected));
        FIELD_HANDLE.set(object, handles::from_field(field));
        FIELD_NAME.set_ref(object, name.object());
        FIELD_ATTRIBUTES.set(object, i32::from(types.field(field).attributes));
        Ok(object)
    })
}

/// The field of a `RuntimeFieldInfo`.
pub fn field_of(object: ObjectRef) -> Result<FieldId> {
    let object = object.check()?;
    if !FIELD_INFO.is_class_of(object) {
        return Err(Exception::argument("field", "Argument must be a runtime field object."));
    }
    handles::to_field(FIELD_HANDLE.get(object)).ok_or_else(|| Exception::engine("a field object without a field"))
}

/// The type that a `RuntimeFieldInfo` was asked of.
pub(super) fn reflected_type_of_field(object: ObjectRef) -> Option<TypeId> {
    handles::to_type(FIELD_CLASS.get(object))
}

static ASSEMBLY_HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeAssembly", "_mono_assembly");

/// The `Assembly` of a loaded assembly, or of the one that a module belongs to.
pub fn assembly_object(assembly: AssemblyId) -> Result<ObjectRef> {
    let assembly = runtime().types.manifest_of(assembly);
    if let Some(owner) = emit::registry::owner_of(assembly) {
        return Ok(owner.assembly.get());
    }
    cached(Kind::Assembly, assembly.0, 0, || {
        let object = allocate("RuntimeAssembly")?;
        ASSEMBLY_HANDLE.set(object, assembly_handle(assembly));
        Ok(object)
    })
}

/// Value of an assembly's or module's handle: its number plus 1.
pub(super) fn assembly_handle(assembly: AssemblyId) -> usize {
    assembly.index() + 1
}

/// Assembly of a handle's value.
pub(super) fn assembly_of_handle(handle: usize) -> Result<AssemblyId> {
    let known = runtime().types.assembly_count() as usize;
    match handle.checked_sub(1).filter(|&number| number < known) {
        Some(number) => Ok(AssemblyId(number as u32)),
        None => Err(Exception::argument("assembly", "The handle is invalid.")),
    }
}

/// The loaded assembly of a `RuntimeAssembly`.
pub fn assembly_of_object(object: ObjectRef) -> Result<AssemblyId> {
    let object = object.check()?;
    if !ASSEMBLY.is_class_of(object) {
        if emit::objects::class_name(object) == "AssemblyBuilder" {
            return emit::registry::module_assembly(Fields::of(object)?);
        }
        return Err(Exception::argument("assembly", "Argument must be a runtime assembly object."));
    }
    assembly_of_handle(ASSEMBLY_HANDLE.get(object))
}

static MODULE_HANDLE: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "_impl");
static MODULE_ASSEMBLY: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "assembly");
static MODULE_PATH: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "fqname");
static MODULE_NAME: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "name");
static MODULE_SCOPE_NAME: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "scopename");
static MODULE_IS_RESOURCE: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "is_resource");
static MODULE_TOKEN: KnownField = KnownField::new(REFLECTION, "RuntimeModule", "token");

/// The `Module` of a loaded assembly's file.
pub fn module_object(assembly: AssemblyId) -> Result<ObjectRef> {
    if let Some(owner) = emit::registry::owner_of(assembly) {
        return match owner.module {
            Some(module) => Ok(module.get()),
            None => emit::assemblies::manifest_module(owner),
        };
    }
    cached(Kind::Module, assembly.0, 0, || {
        let file = runtime().types.assembly(assembly);
        let path = StringRef::new(file.file())?;
        let file_name = file.path().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
        let name = StringRef::new(file_name.as_deref().unwrap_or(file.file()))?;
        let scope_name = StringRef::new(file.module_name())?;
        let owner = assembly_object(assembly)?;
        let object = allocate("RuntimeModule")?;
        MODULE_HANDLE.set(object, assembly_handle(assembly));
        MODULE_ASSEMBLY.set_ref(object, owner);
        MODULE_PATH.set_ref(object, path.object());
        MODULE_NAME.set_ref(object, name.object());
        MODULE_SCOPE_NAME.set_ref(object, scope_name.object());
        MODULE_TOKEN.set(object, 1i32);
        Ok(object)
    })
}

/// The `Module` of a file of an assembly that is mere data, by its row.
pub(super) fn resource_module_object(assembly: AssemblyId, row: u32, name: &str) -> Result<ObjectRef> {
    let folder = runtime().types.assembly(assembly).path().and_then(Path::parent).unwrap_or(Path::new(""));
    let path = StringRef::new(&folder.join(name).to_string_lossy())?;
    let name = StringRef::new(name)?;
    let owner = assembly_object(assembly)?;
    let object = allocate("RuntimeModule")?;
    MODULE_ASSEMBLY.set_ref(object, owner);
    MODULE_PATH.set_ref(object, path.object());
    MODULE_NAME.set_ref(object, name.object());
    MODULE_SCOPE_NAME.set_ref(object, name.object());
    MODULE_IS_RESOURCE.set(object, 1u8);
    MODULE_TOKEN.set(object, Token::new(TableId::File, row).0);
    Ok(object)
}

/// The assembly whose file a `RuntimeModule` is.
pub(super) fn assembly_of_module(object: ObjectRef) -> Result<AssemblyId> {
    assembly_of_handle(MODULE_HANDLE.get(object.check()?))
}

/// The type of a `RuntimeType` object that must not be null.
pub fn type_of(object: ObjectRef) -> Result<TypeId> {
    handles::type_of(object.check()?).ok_or_else(Exception::null_reference)
}

/// The types of an array of `RuntimeType` objects.
pub(super) fn types_of(array: ArrayRef) -> Result<Vec<TypeId>> {
    array.object().check()?;
    (0..array.len()).map(|index| type_of(array.get_ref(index))).collect()
}

/// An array of the type objects of `members`, with elements of class `element`.
pub(super) fn type_array(element: TypeId, members: &[TypeId]) -> Result<ArrayRef> {
    object_array(element, members.len(), |index| handles::type_object(members[index]))
}

/// An array of `count` objects, with elements of class `element`.
pub(super) fn object_array(element: TypeId, count: usize, object: impl Fn(usize) -> Result<ObjectRef>) -> Result<ArrayRef> {
    let array = ArrayRef::new(element, count)?;
    for index in 0..count {
        array.set_ref(index, object(index)?);
    }
    Ok(array)
}
