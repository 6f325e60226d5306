//! Internal calls of assemblies: `Assembly`, `RuntimeAssembly`, `AssemblyName`.

use super::assembly_names::{self, NativeAssemblyName};
use super::methods::frames;
use super::native::{free, pointer_array, text_at};
use super::objects::{
    allocate, assembly_object, assembly_of_handle, assembly_of_object, method_object, module_object, object_array,
    resource_module_object,
};
use super::type_names::{Lookup, Meaning, find_type, meaning_of};
use super::{Handle, names};
use crate::class_library::{core_class, declared_method};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::icalls::{InternalCall, assembly_events, icall, raising, store_out};
use crate::invoke::{self, Argument};
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::{handles, runtime};
use il::assembly::Resource;
use il::tables::{FileRow, TypeDefRow};
use il::types::{AssemblyId, GenericContext, LoadContext, MethodId, TypeId, file_attributes, type_attributes};
use il::{AssemblyName, DisplayName, TableId, Token};
use std::ffi::c_char;
use std::path::Path;

const REFLECTION: &str = "System.Reflection";

/// The innermost managed frame outside of `System.Reflection`: the method that asks.
fn executing_method() -> Option<MethodId> {
    let types = &runtime().types;
    frames().find(|&method| types.simple_name(types.method(method).owner).0 != REFLECTION)
}

/// The assembly of the method that called the one that asks, through reflection or not.
pub fn calling_assembly() -> Option<AssemblyId> {
    let types = &runtime().types;
    let own = executing_method()?;
    let is_reflection = |&method: &MethodId| {
        let owner = types.method(method).owner;
        let in_core = types.definition_of(owner).is_some_and(|(assembly, _)| assembly == types.corlib());
        in_core && types.simple_name(owner).0 == REFLECTION
    };
    let mut outwards = frames().skip_while(|&method| method != own).skip(1);
    Some(types.method(outwards.find(|method| !is_reflection(method)).unwrap_or(own)).assembly)
}

/// The assembly of the innermost method outside of the core library's `System` and `System.Reflection`.
pub(super) fn assembly_outside_of_system() -> Option<AssemblyId> {
    let types = &runtime().types;
    let is_outside = |owner: TypeId| {
        let in_core = types.definition_of(owner).is_some_and(|(assembly, _)| assembly == types.corlib());
        !in_core || !matches!(types.simple_name(owner).0, "System" | "System.Reflection")
    };
    frames().map(|method| types.method(method)).find(|method| is_outside(method.owner)).map(|method| method.assembly)
}

extern "C" fn executing() -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        assembly_object(executing_method().map_or(types.corlib(), |method| types.method(method).assembly))
    })
}

extern "C" fn calling() -> ObjectRef {
    raising(|| assembly_object(calling_assembly().unwrap_or(runtime().types.corlib())))
}

extern "C" fn entry() -> ObjectRef {
    raising(|| {
        let runtime = runtime();
        match runtime.program() {
            Some(path) => assembly_object(runtime.types.load_file(path)?),
            None => Ok(ObjectRef::NULL),
        }
    })
}

/// The file that a program means by a path or by a `file:` URI, in which Mono knows no escape sequences.
fn file_of(path: &str) -> &Path {
    Path::new(path.strip_prefix("file://").filter(|address| address.starts_with('/')).unwrap_or(path))
}

/// An exception for a file that is no assembly, with its path.
fn invalid_image(namespace: &'static str, class: &'static str, path: &str) -> Exception {
    Exception::with_arguments(namespace, class, vec![Some("Invalid Image".to_owned()), Some(path.to_owned())])
}

/// Loads an assembly by its path as a program gave it.
fn load(path: &str, load: impl FnOnce(&Path) -> il::Result<AssemblyId>) -> Result<ObjectRef> {
    let file = file_of(path);
    if !file.exists() {
        return Err(invalid_image("System.IO", "FileNotFoundException", path));
    }
    if file.is_dir() {
        return Err(invalid_image("System", "BadImageFormatException", path));
    }
    let loaded = load(file).map_err(|error| match error.kind() {
        il::ErrorKind::BadImage => invalid_image("System", "BadImageFormatException", path),
        _ => error.into(),
    })?;
    assembly_object(loaded)
}

extern "C" fn load_from(path: StringRef, reflection_only: u8, _stack_mark: *mut i32) -> ObjectRef {
    let types = &runtime().types;
    raising(|| {
        let path = path.argument("assemblyFile")?.text();
        load(&path, |path| match assembly_events::context_of(reflection_only) {
            LoadContext::Execution => types.load_from(path),
            LoadContext::Reflection => types.load_file_for(LoadContext::Reflection, path),
        })
    })
}

extern "C" fn load_file(path: StringRef, _stack_mark: *mut i32) -> ObjectRef {
    let types = &runtime().types;
    raising(|| {
        let path = path.argument("assemblyFile")?.text();
        if !Path::new(&path).is_absolute() {
            return Err(Exception::argument("assemblyFile", "Absolute path information is required."));
        }
        load(&path, |path| match types.redirect(il::Assembly::open(path)?.name()) {
            Some(redirected) => types.load_by_name(&redirected, None),
            None => types.load_file_alone(path),
        })
    })
}

extern "C" fn load_by_partial_name(name: StringRef, _evidence: ObjectRef) -> ObjectRef {
    raising(|| match assembly_events::load(&name.argument("partialName")?.text(), None, LoadContext::Execution) {
        Ok(Some(assembly)) => assembly_object(assembly),
        Ok(None) | Err(_) => Ok(ObjectRef::NULL),
    })
}

extern "C" fn type_by_name(
    this: ObjectRef,
    _module: ObjectRef,
    name: StringRef,
    throw_on_error: u8,
    ignore_case: u8,
) -> ObjectRef {
    raising(|| {
        let assembly = assembly_of_object(this)?;
        let name = name.argument("name")?.text();
        let refused = |error: Exception| if throw_on_error != 0 { Err(error) } else { Ok(ObjectRef::NULL) };
        match meaning_of(&name) {
            Meaning::Broken(_) => return refused(Exception::argument("typeName", "failed to parse the type")),
            Meaning::Type(_, Some(_)) => {
                let message = "Type names passed to Assembly.GetType() must not specify an assembly.";
                return refused(Exception::new("System", "ArgumentException", message));
            }
            Meaning::Type(_, None) => {}
        }
        let types = &runtime().types;
        let lookup = Lookup {
            assemblies: &[assembly],
            ignore_case: ignore_case != 0,
            context: types.load_context(assembly),
            asks: false,
            allows_missing: true,
        };
        match find_type(&name, &lookup)? {
            Some(ty) => handles::type_object(ty),
            None => {
                let own = names::assembly_name(types.assembly(assembly).name());
                let message = format!("Could not load type '{name}' from assembly '{own}'.");
                refused(Exception::new("System", "TypeLoadException", message))
            }
        }
    })
}

/// The types of an assembly in metadata order, but for the one of global members; exported ones are visible outside.
pub(super) fn types_in(assembly: AssemblyId, exported_only: bool) -> Result<Vec<TypeId>> {
    const PUBLIC: u32 = 1;
    const NESTED_PUBLIC: u32 = 2;
    let types = &runtime().types;
    let metadata = types.metadata(assembly);
    let is_visible = |row: u32| {
        let mut current = Some(row);
        while let Some(row) = current {
            let flags = metadata.row::<TypeDefRow>(row).map_or(0, |columns| columns.flags);
            if !matches!(flags & type_attributes::VISIBILITY, PUBLIC | NESTED_PUBLIC) {
                return false;
            }
            current = metadata.enclosing_type(row);
        }
        true
    };
    let rows = metadata.row_numbers(TableId::TypeDef).filter(|&row| row > 1 && (!exported_only || is_visible(row)));
    Ok(rows.map(|row| types.type_definition(assembly, row)).collect())
}

extern "C" fn all_types(this: ObjectRef, exported_only: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let mut found = Vec::new();
        for module in types.modules_of(assembly_of_object(this)?)? {
            found.extend(types_in(module, exported_only != 0)?);
        }
        let (mut loaded, mut failures) = (Vec::new(), Vec::new());
        for ty in found {
            let outcome = types.header(ty).and_then(|_| types.declared_interfaces(ty));
            loaded.push(Some(ty).filter(|_| outcome.is_ok()));
            failures.extend(outcome.err());
        }
        let object = |ty: Option<TypeId>| ty.map_or(Ok(ObjectRef::NULL), handles::type_object);
        let array = object_array(types.well_known().type_, loaded.len(), |index| object(loaded[index]))?;
        if failures.is_empty() { Ok(array) } else { Err(not_all_loaded(array, failures)?) }
    })
}

/// `ReflectionTypeLoadException` with the types of an assembly, null for those that could not be loaded, and why these could not.
fn not_all_loaded(loaded: ArrayRef, failures: Vec<il::Error>) -> Result<Exception> {
    let types = &runtime().types;
    let well_known = types.well_known();
    let reasons = ArrayRef::new(well_known.exception, failures.len())?;
    for (index, failure) in failures.into_iter().enumerate() {
        reasons.set_ref(index, Exception::from(failure).into_object());
    }
    let object = allocate("ReflectionTypeLoadException")?;
    let parameters = [types.sz_array(well_known.type_), types.sz_array(well_known.exception)];
    let constructor = declared_method(object.type_id(), ".ctor", Some(&parameters))?;
    invoke::call(constructor, &[object, loaded.object(), reasons.object()].map(Argument::reference))?;
    Ok(Exception::from_object(object))
}

extern "C" fn full_name(this: ObjectRef) -> StringRef {
    raising(|| StringRef::new(&names::assembly_name(runtime().types.assembly(assembly_of_object(this)?).name())))
}

extern "C" fn location(this: ObjectRef) -> StringRef {
    raising(|| {
        let path = runtime().types.assembly(assembly_of_object(this)?).path();
        StringRef::new(&path.map_or_else(String::new, |path| path.to_string_lossy().into_owned()))
    })
}

extern "C" fn code_base(this: ObjectRef, escaped: u8) -> StringRef {
    raising(|| {
        let types = &runtime().types;
        let Some(path) = types.assembly(assembly_of_object(this)?).path() else { return Ok(StringRef::NULL) };
        let path = path.to_string_lossy();
        if escaped == 0 {
            return StringRef::new(&format!("file://{path}"));
        }
        let mut url = String::from("file://");
        for byte in path.bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'$' | b'&' | b'+' | b',' | b':'
                | b'@' | b'=' => url.push(byte as char),
                _ if byte.is_ascii_alphanumeric() => url.push(byte as char),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        StringRef::new(&url)
    })
}

extern "C" fn entry_point(this: ObjectRef) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let assembly = assembly_of_object(this)?;
        match types.assembly(assembly).entry_point() {
            Some(row) => {
                let token = Token::new(TableId::MethodDef, row);
                method_object(types.resolve_method(assembly, token, &GenericContext::EMPTY)?, None)
            }
            None => Ok(ObjectRef::NULL),
        }
    })
}

extern "C" fn runtime_version(this: ObjectRef) -> StringRef {
    raising(|| StringRef::new(runtime().types.assembly(assembly_of_object(this)?).image().runtime_version()))
}

extern "C" fn is_in_global_cache(this: ObjectRef) -> bool {
    raising(|| {
        let types = &runtime().types;
        let path = types.assembly(assembly_of_object(this)?).path();
        Ok(path.is_some_and(|path| path.components().any(|part| part.as_os_str() == "gac")))
    })
}

extern "C" fn is_reflection_only(this: ObjectRef) -> bool {
    raising(|| Ok(runtime().types.load_context(assembly_of_object(this)?) == LoadContext::Reflection))
}

extern "C" fn aot_id(_id: ArrayRef) -> bool {
    false
}

extern "C" fn load_permissions(
    _assembly: ObjectRef,
    _minimum: *mut isize,
    _minimum_length: *mut i32,
    _optional: *mut isize,
    _optional_length: *mut i32,
    _refused: *mut isize,
    _refused_length: *mut i32,
) -> bool {
    false
}

extern "C" fn manifest_module(this: ObjectRef) -> ObjectRef {
    raising(|| module_object(assembly_of_object(this)?))
}

extern "C" fn modules(this: ObjectRef) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let assembly = assembly_of_object(this)?;
        let metadata = types.metadata(assembly);
        let files: Vec<(u32, FileRow)> = metadata.rows::<FileRow>().collect();
        let mut modules = types.modules_of(assembly)?.into_iter();
        let array = ArrayRef::new(core_class("System.Reflection", "Module")?, files.len() + 1)?;
        array.set_ref(0, module_object(modules.next().unwrap_or(assembly))?);
        for (index, (row, columns)) in files.into_iter().enumerate() {
            let module = match columns.flags & file_attributes::NO_METADATA {
                0 => module_object(modules.next().unwrap_or(assembly))?,
                _ => resource_module_object(assembly, row, metadata.string(columns.name))?,
            };
            array.set_ref(index + 1, module);
        }
        Ok(array)
    })
}

/// `GetFilesInternal`: the path of one file of an assembly, or null if it has none of this name; without a name, the paths of all
/// but the one with the manifest.
extern "C" fn files(this: ObjectRef, name: StringRef, resource_modules: u8) -> ObjectRef {
    raising(|| {
        let types = &runtime().types;
        let assembly = assembly_of_object(this)?;
        let folder = types.assembly(assembly).path().and_then(Path::parent).unwrap_or(Path::new(""));
        let metadata = types.metadata(assembly);
        let path = |row: &FileRow| StringRef::new(&folder.join(metadata.string(row.name)).to_string_lossy());
        let rows: Vec<FileRow> = metadata.rows::<FileRow>().map(|(_, row)| row).collect();
        if let Some(name) = name.object().non_null() {
            let wanted = name.as_string().map_or_else(String::new, StringRef::text);
            let found = rows.iter().find(|row| metadata.string(row.name) == wanted);
            return found.map_or(Ok(ObjectRef::NULL), |row| Ok(path(row)?.object()));
        }
        let rows: Vec<&FileRow> =
            rows.iter().filter(|row| resource_modules != 0 || row.flags & file_attributes::NO_METADATA == 0).collect();
        Ok(object_array(TypeId::STRING, rows.len(), |index| Ok(path(rows[index])?.object()))?.object())
    })
}

extern "C" fn references(this: ObjectRef) -> isize {
    raising(|| {
        let types = &runtime().types;
        let mut found = Vec::new();
        for (_, reference) in types.assembly(assembly_of_object(this)?).references() {
            found.push(assembly_names::allocate(&reference?)? as usize);
        }
        pointer_array(&found)
    })
}

extern "C" fn resource_names(this: ObjectRef) -> ArrayRef {
    raising(|| {
        let file = runtime().types.assembly(assembly_of_object(this)?);
        let found: Vec<&str> = file.resources().map(|(_, name)| name).collect();
        object_array(TypeId::STRING, found.len(), |index| Ok(StringRef::new(found[index])?.object()))
    })
}

extern "C" fn resource(this: ObjectRef, name: StringRef, size: *mut i32, module: *mut ObjectRef) -> usize {
    raising(|| {
        let assembly = assembly_of_object(this)?;
        let file = runtime().types.assembly(assembly);
        let Some(row) = file.find_resource(&name.argument("name")?.text()) else { return Ok(0) };
        let Resource::Embedded(bytes) = file.resource(row)? else { return Ok(0) };
        // SAFETY: an `out` parameter.
        unsafe { size.write(bytes.len() as i32) };
        store_out(module, module_object(assembly)?);
        Ok(bytes.as_ptr() as usize)
    })
}

static RESOURCE_ASSEMBLY: KnownField =
    KnownField::new("System.Reflection", "ManifestResourceInfo", "<ReferencedAssembly>k__BackingField");
static RESOURCE_FILE: KnownField = KnownField::new("System.Reflection", "ManifestResourceInfo", "<FileName>k__BackingField");
static RESOURCE_LOCATION: KnownField =
    KnownField::new("System.Reflection", "ManifestResourceInfo", "<ResourceLocation>k__BackingField");

extern "C" fn resource_info(this: ObjectRef, name: StringRef, info: ObjectRef) -> bool {
    /// `ResourceLocation`
    const EMBEDDED: i32 = 1;
    const ANOTHER_ASSEMBLY: i32 = 2;
    const MANIFEST: i32 = 4;
    raising(|| {
        let types = &runtime().types;
        let assembly = assembly_of_object(this)?;
        let file = types.assembly(assembly);
        let Some(row) = file.find_resource(&name.argument("resourceName")?.text()) else { return Ok(false) };
        let info = info.check()?;
        match file.resource(row)? {
            Resource::Embedded(_) => RESOURCE_LOCATION.set(info, EMBEDDED | MANIFEST),
            Resource::File(name) => {
                RESOURCE_FILE.set_ref(info, StringRef::new(name)?.object());
                RESOURCE_LOCATION.set(info, 0i32);
            }
            Resource::Assembly(row) => {
                let other = types.resolve_reference(assembly, row)?;
                RESOURCE_ASSEMBLY.set_ref(info, assembly_object(other)?);
                RESOURCE_LOCATION.set(info, ANOTHER_ASSEMBLY);
            }
        }
        Ok(true)
    })
}

extern "C" fn native_name(assembly: Handle) -> *mut NativeAssemblyName {
    raising(|| assembly_names::name_of_loaded(assembly_of_handle(assembly)?))
}

extern "C" fn parse_name(text: *const c_char, name: *mut NativeAssemblyName, has_version: *mut u8, has_token: *mut u8) -> bool {
    raising(|| {
        let text = text_at(text).unwrap_or_default();
        let Ok(parsed) = DisplayName::parse(&text) else { return Ok(false) };
        // SAFETY: `out` parameters.
        unsafe {
            name.write(NativeAssemblyName::of_display(&parsed)?);
            has_version.write(u8::from(parsed.has_version));
            has_token.write(u8::from(parsed.has_token));
        }
        Ok(true)
    })
}

extern "C" fn free_name(name: *mut NativeAssemblyName, free_structure: u8) {
    if name.is_null() {
        return;
    }
    // SAFETY: the class library passes what one of the functions here filled.
    unsafe { (*name).clear() };
    if free_structure != 0 {
        free(name);
    }
}

extern "C" fn name_of_file(path: StringRef, name: *mut NativeAssemblyName, code_base: *mut ObjectRef) {
    raising(|| {
        let path = path.argument("assemblyFile")?.text();
        if Path::new(&path).is_dir() {
            return Err(invalid_image("System", "BadImageFormatException", &path));
        }
        let file = il::Assembly::open(Path::new(&path)).map_err(|error| match error.kind() {
            il::ErrorKind::BadImage => invalid_image("System", "BadImageFormatException", &path),
            _ => error.into(),
        })?;
        if !file.has_manifest() {
            return Err(Exception::argument("assemblyFile", "The file does not contain a manifest"));
        }
        let absolute = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone().into());
        // SAFETY: an `out` parameter.
        unsafe { name.write(NativeAssemblyName::of_file(&file)?) };
        store_out(code_base, StringRef::new(&format!("file://{}", absolute.display()))?.object());
        Ok(())
    })
}

extern "C" fn public_token(token: *mut u8, key: *const u8, length: i32) {
    // SAFETY: the class library passes a key of this length and room for 8 bytes.
    let key = unsafe { std::slice::from_raw_parts(key, length.max(0) as usize) };
    let name = AssemblyName { public_key: key.into(), ..AssemblyName::default() };
    let computed = name.token().unwrap_or_default();
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(computed.as_ptr(), token, computed.len()) };
}

/// Whether a PE file has a certificate table (Authenticode): data directory 4 of its optional header.
fn has_certificates(file: &[u8]) -> bool {
    const PE_OFFSET: usize = 0x3c;
    const OPTIONAL_HEADER: usize = 24;
    const PE32_PLUS: u16 = 0x20b;
    const SIZE_OF_CERTIFICATES: usize = 4 * 8 + 4;
    let word = |offset: usize| Some(u32::from_le_bytes(file.get(offset..offset + 4)?.try_into().ok()?));
    let size = || {
        let header = word(PE_OFFSET)? as usize + OPTIONAL_HEADER;
        let directories = if word(header)? as u16 == PE32_PLUS { 112 } else { 96 };
        word(header + directories + SIZE_OF_CERTIFICATES)
    };
    size().is_some_and(|size| size != 0)
}

extern "C" fn is_authenticode_present(assembly: ObjectRef) -> bool {
    raising(|| Ok(has_certificates(runtime().types.assembly(assembly_of_object(assembly)?).image().bytes())))
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall(
        "System.Security.Policy.Evidence:IsAuthenticodePresent (System.Reflection.Assembly)",
        is_authenticode_present as *const (),
    ),
    icall("System.Reflection.Assembly:GetExecutingAssembly", executing as *const ()),
    icall("System.Reflection.Assembly:GetCallingAssembly", calling as *const ()),
    icall("System.Reflection.Assembly:GetEntryAssembly", entry as *const ()),
    icall("System.Reflection.Assembly:LoadFrom (string,bool,System.Threading.StackCrawlMark&)", load_from as *const ()),
    icall("System.Reflection.Assembly:LoadFile_internal", load_file as *const ()),
    icall("System.Reflection.Assembly:load_with_partial_name", load_by_partial_name as *const ()),
    icall("System.Reflection.Assembly:InternalGetType", type_by_name as *const ()),
    icall("System.Reflection.Assembly:GetTypes (bool)", all_types as *const ()),
    icall("System.Reflection.Assembly:InternalGetReferencedAssemblies", references as *const ()),
    icall("System.Reflection.Assembly:InternalGetAssemblyName", name_of_file as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_fullname", full_name as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_location", location as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_code_base", code_base as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_EntryPoint", entry_point as *const ()),
    icall("System.Reflection.RuntimeAssembly:InternalImageRuntimeVersion", runtime_version as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_global_assembly_cache", is_in_global_cache as *const ()),
    icall("System.Reflection.RuntimeAssembly:get_ReflectionOnly", is_reflection_only as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetAotIdInternal", aot_id as *const ()),
    icall("System.Reflection.RuntimeAssembly:LoadPermissions", load_permissions as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetManifestModuleInternal", manifest_module as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetModulesInternal", modules as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetFilesInternal", files as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetManifestResourceNames", resource_names as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetManifestResourceInternal", resource as *const ()),
    icall("System.Reflection.RuntimeAssembly:GetManifestResourceInfoInternal", resource_info as *const ()),
    icall("System.Reflection.AssemblyName:GetNativeName", native_name as *const ()),
    icall("System.Reflection.AssemblyName:ParseAssemblyName", parse_name as *const ()),
    icall("System.Reflection.AssemblyName:get_public_token", public_token as *const ()),
    icall("Mono.RuntimeMarshal:FreeAssemblyName", free_name as *const ()),
];
