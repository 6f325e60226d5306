//! Loading assemblies into a type system, and finding types by name, through forwarders.

use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::intern::{IdCell, Slot, id_cells};
use super::*;
use crate::assembly::{Assembly, AssemblyName, ExportTarget, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::resolve::{FRAMEWORK_TOKENS, probe_all, replacement};
use crate::tables::{
    AssemblyRefRow, CustomAttributeRow, FileRow, MemberRefRow, Metadata, TableId, Token, TypeDefRow, TypeRefRow,
};
use crate::writer::ImageWriter;

/// Longest chain of type forwarders; a cycle ends here.
const FORWARDER_LIMIT: u32 = 16;

/// An assembly with what its tokens were found to mean, by row.
pub(crate) struct LoadedAssembly {
    assembly: Arc<Assembly>,
    pub(crate) type_defs: Box<[IdCell]>,
    pub(crate) type_refs: Box<[IdCell]>,
    pub(crate) type_specs: Box<[IdCell]>,
    /// Twice the id, plus 1 for fields.
    pub(crate) member_refs: Box<[IdCell]>,
    pub(crate) method_specs: Box<[IdCell]>,
    references: Box<[IdCell]>,
    /// The type around the second row of TypeDef, if that is in another assembly of the type system.
    enclosing: Option<TypeId>,
    /// Of the image of a type that the program made: the assembly that it belongs to.
    whole: Option<AssemblyId>,
    /// One of the class libraries, whose types need no proof that they are complete.
    pub(crate) is_class_library: bool,
    context: LoadContext,
    /// Its references are not looked for in its own folder.
    stands_alone: bool,
    /// Of a module without a manifest: the assembly that it belongs to.
    manifest: OnceLock<AssemblyId>,
    /// It refers to the attribute for weak fields.
    names_weak_attribute: OnceLock<bool>,
}

/// What an assembly is loaded for. The same file loaded for both is two assemblies with types of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum LoadContext {
    /// To run its code.
    #[default]
    Execution,
    /// To look at only: its references are served by assemblies that were loaded likewise, and by the core library.
    Reflection,
}

/// What rows of an assembly that the program made mean, known without looking for it by name.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Rows of TypeRef.
    pub types: Vec<(u32, TypeId)>,
    /// Rows of MemberRef that are fields.
    pub fields: Vec<(u32, FieldId)>,
    /// Rows of MemberRef that are methods.
    pub methods: Vec<(u32, MethodId)>,
    /// Rows of MethodSpec.
    pub method_instances: Vec<(u32, MethodId)>,
    /// The type around the one in the second row of TypeDef.
    pub enclosing: Option<TypeId>,
    /// The assembly in which its types are found by name; itself for the one that stands for all.
    pub member_of: Option<AssemblyId>,
}

/// Which assemblies are loaded.
#[derive(Default)]
pub(crate) struct AssemblyIndex {
    by_path: FxHashMap<(PathBuf, LoadContext), AssemblyId>,
    by_name: FxHashMap<Box<str>, Vec<AssemblyId>>,
}

/// What is known of a type that is not finished.
#[derive(Clone, Copy, Default)]
struct Begun {
    namespace: &'static str,
    name: &'static str,
    /// Others have fields of it, which hold references.
    is_reference: bool,
}

/// An assembly, a namespace and a name in it.
type QualifiedName = (AssemblyId, Box<str>, Box<str>);

/// The assemblies of a type system.
#[derive(Default)]
pub(crate) struct Assemblies {
    pub(crate) loaded: boxcar::Vec<Slot<LoadedAssembly>>,
    /// What a reserved number shows until it is filled: an assembly without types.
    empty: OnceLock<LoadedAssembly>,
    /// Types that the program made, by the assembly in which they are found, namespace and name.
    made: RwLock<FxHashMap<QualifiedName, TypeId>>,
    /// Which types the program made within others.
    nested: RwLock<FxHashMap<TypeId, Vec<TypeId>>>,
    /// Types that the program has begun to make, by their assemblies.
    begun: RwLock<FxHashMap<AssemblyId, Begun>>,
    index: RwLock<AssemblyIndex>,
    /// Held while an assembly is added, so that none is added twice.
    adding: Mutex<()>,
}

/// Who takes part in the loading of assemblies. No lock is held when it is called, and it may load assemblies itself.
pub trait LoadListener: Send + Sync {
    /// Finds an assembly that was found nowhere; `requesting` is the one that refers to it.
    fn resolve(&self, name: &AssemblyName, requesting: Option<AssemblyId>) -> Option<AssemblyId>;
    /// An assembly was loaded.
    fn loaded(&self, assembly: AssemblyId);
}

impl LoadedAssembly {
    fn new(assembly: Arc<Assembly>, context: LoadContext) -> LoadedAssembly {
        let metadata = assembly.metadata();
        let cells = |table| id_cells(metadata.row_count(table) as usize + 1);
        LoadedAssembly {
            type_defs: cells(TableId::TypeDef),
            type_refs: cells(TableId::TypeRef),
            type_specs: cells(TableId::TypeSpec),
            member_refs: cells(TableId::MemberRef),
            method_specs: cells(TableId::MethodSpec),
            references: cells(TableId::AssemblyRef),
            enclosing: None,
            whole: None,
            names_weak_attribute: OnceLock::new(),
            is_class_library: assembly.name().token().is_some_and(|token| FRAMEWORK_TOKENS.contains(&token)),
            assembly,
            context,
            stands_alone: false,
            manifest: OnceLock::new(),
        }
    }

    fn bind(&mut self, bindings: &Bindings) {
        let set = |cells: &[IdCell], row: u32, id: u32| {
            if let Some(cell) = cells.get(row as usize) {
                cell.set(id);
            }
        };
        bindings.types.iter().for_each(|&(row, ty)| set(&self.type_refs, row, ty.0));
        bindings.fields.iter().for_each(|&(row, field)| set(&self.member_refs, row, field.0 << 1 | 1));
        bindings.methods.iter().for_each(|&(row, method)| set(&self.member_refs, row, method.0 << 1));
        bindings.method_instances.iter().for_each(|&(row, method)| set(&self.method_specs, row, method.0));
        self.enclosing = bindings.enclosing;
        self.whole = bindings.member_of;
    }
}

/// Row in TypeDef of the type that a reserved assembly is for; the first is that of the module.
pub const MADE_TYPE_ROW: u32 = 2;

/// `FileAttributes` (ECMA-335 II.23.1.6).
pub mod file_attributes {
    /// Holds no metadata: mere data.
    pub const NO_METADATA: u32 = 1;
}

impl TypeSystem {
    #[inline]
    pub(crate) fn loaded(&self, id: AssemblyId) -> &LoadedAssembly {
        match self.assemblies.loaded[id.index()].get() {
            Some(loaded) => loaded,
            None => self.pending(),
        }
    }

    #[cold]
    fn pending(&self) -> &LoadedAssembly {
        self.assemblies.empty.get_or_init(|| {
            let bytes = ImageWriter::new("").finish();
            let assembly = Assembly::from_bytes(bytes.into(), "unfinished").expect("an image without types is valid");
            LoadedAssembly::new(assembly, LoadContext::Execution)
        })
    }

    /// Reserves a number for an assembly that the program makes while it runs. Its types can be named at once, and used once
    /// [`TypeSystem::fill_assembly`] was called. Each type that the program makes has an assembly of its own, so that it can be
    /// finished while others are not.
    pub fn reserve_assembly(&self) -> AssemblyId {
        let _adding = self.assemblies.adding.lock();
        AssemblyId(self.assemblies.loaded.push(Slot::default()) as u32)
    }

    /// Says what the type that a number was reserved for is called, for as long as it is not finished. Such types stay for good, and so does the name.
    pub fn name_reserved(&self, id: AssemblyId, namespace: String, name: String) {
        let begun = Begun { namespace: namespace.leak(), name: name.leak(), is_reference: false };
        self.assemblies.begun.write().insert(id, begun);
    }

    /// Says that the type that a number was reserved for is no value type, so that others can have fields of it before it is finished. It must
    /// become none.
    pub fn promise_reference(&self, id: AssemblyId) {
        self.assemblies.begun.write().entry(id).or_default().is_reference = true;
    }

    /// Whether [`TypeSystem::promise_reference`] was called.
    pub fn is_promised_reference(&self, id: AssemblyId) -> bool {
        self.assemblies.begun.read().get(&id).is_some_and(|begun| begun.is_reference)
    }

    /// Namespace and name of a type that is not finished; empty if nobody said them.
    pub(crate) fn reserved_name(&self, id: AssemblyId) -> (&'static str, &'static str) {
        self.assemblies.begun.read().get(&id).map_or(("", ""), |begun| (begun.namespace, begun.name))
    }

    /// Gives a reserved number its assembly. The first one stays.
    pub fn fill_assembly(&self, id: AssemblyId, assembly: Arc<Assembly>, bindings: &Bindings) {
        let mut loaded = LoadedAssembly::new(assembly, LoadContext::Execution);
        loaded.bind(bindings);
        if !self.assemblies.loaded[id.index()].set(loaded) {
            return;
        }
        let made = self.type_definition(id, MADE_TYPE_ROW);
        match (bindings.enclosing, bindings.member_of) {
            (Some(outer), _) => self.assemblies.nested.write().entry(outer).or_default().push(made),
            (None, Some(whole)) if whole != id => {
                let (namespace, name) = self.simple_name(made);
                self.assemblies.made.write().entry((whole, namespace.into(), name.into())).or_insert(made);
            }
            // Nobody finds it by its name, as in Mono.
            (None, _) => {}
        }
    }

    /// Drops the assembly of a method that the program made, which is the only one of the assembly's only type. The numbers of all three
    /// stay and can be used again: [`TypeSystem::fill_assembly`] gives them another assembly of this form, whose method differs in nothing
    /// but name, signature and body.
    ///
    /// # Safety
    /// Nobody holds anything borrowed of the assembly or the method.
    pub unsafe fn empty_assembly(&self, id: AssemblyId, method: Option<MethodId>) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(method) = method {
                self.forget_signature(method);
            }
            self.assemblies.loaded[id.index()].clear();
        }
    }

    /// Whether a reserved number has its assembly; true of all others.
    pub fn is_filled(&self, id: AssemblyId) -> bool {
        self.assemblies.loaded[id.index()].get().is_some()
    }

    /// The assembly that the image of a type that the program made belongs to; `None` for all other assemblies.
    pub(crate) fn whole_of(&self, image: AssemblyId) -> Option<AssemblyId> {
        self.loaded(image).whole
    }

    /// The types directly within another.
    pub fn nested_types(&self, outer: TypeId) -> Vec<TypeId> {
        let Some((assembly, row)) = self.definition_of(outer) else { return Vec::new() };
        let rows = self.metadata(assembly).nested_types(row);
        let mut types: Vec<TypeId> = rows.map(|row| self.type_definition(assembly, row)).collect();
        types.extend(self.assemblies.nested.read().get(&outer).into_iter().flatten());
        types
    }

    /// A loaded assembly.
    #[inline]
    pub fn assembly(&self, id: AssemblyId) -> &Arc<Assembly> {
        &self.loaded(id).assembly
    }

    /// The metadata of a loaded assembly.
    #[inline]
    pub fn metadata(&self, id: AssemblyId) -> &Metadata {
        self.loaded(id).assembly.metadata()
    }

    /// Number of loaded assemblies; their ids are those below it.
    pub fn assembly_count(&self) -> u32 {
        self.assemblies.loaded.count() as u32
    }

    /// `mscorlib`.
    pub fn corlib(&self) -> AssemblyId {
        AssemblyId(0)
    }

    /// What an assembly is loaded for.
    pub fn load_context(&self, id: AssemblyId) -> LoadContext {
        self.loaded(id).context
    }

    /// Loads the assembly of a file, or finds it if it is loaded.
    pub fn load_file(&self, path: &Path) -> Result<AssemblyId> {
        self.load_file_for(LoadContext::Execution, path)
    }

    /// The same for a purpose.
    pub fn load_file_for(&self, context: LoadContext, path: &Path) -> Result<AssemblyId> {
        let id = self.load_path(path, context, false)?;
        require_manifest(self.assembly(id))?;
        Ok(id)
    }

    /// Loads the assembly of a file, or finds it if it is loaded. If it is loaded now, what it refers to is not looked for in its folder.
    pub fn load_file_alone(&self, path: &Path) -> Result<AssemblyId> {
        let id = self.load_path(path, LoadContext::Execution, true)?;
        require_manifest(self.assembly(id))?;
        Ok(id)
    }

    fn load_path(&self, path: &Path, context: LoadContext, stands_alone: bool) -> Result<AssemblyId> {
        let key = (path.canonicalize().unwrap_or_else(|_| path.to_owned()), context);
        if let Some(&id) = self.assemblies.index.read().by_path.get(&key) {
            return Ok(id);
        }
        let loaded = LoadedAssembly { stands_alone, ..LoadedAssembly::new(Assembly::open(&key.0)?, key.1) };
        let id = self.add_assembly(loaded);
        self.assemblies.index.write().by_path.insert(key, id);
        Ok(id)
    }

    /// Loads the assembly of a file, unless one of the same name is loaded already, or the policy prefers another: then that.
    pub fn load_from(&self, path: &Path) -> Result<AssemblyId> {
        let file = Assembly::open(path)?;
        require_manifest(&file)?;
        let name = file.name().clone();
        if let Some(redirected) = self.redirect(&name) {
            return self.load_by_name(&redirected, None);
        }
        // One without a file, such as a dynamic one, does not stand for a file.
        let same = |&id: &AssemblyId| {
            let loaded = self.loaded(id);
            loaded.context == LoadContext::Execution && loaded.assembly.path().is_some() && loaded.assembly.name() == &name
        };
        let known = self.assemblies.index.read().by_name.get(&key_of(&name)).and_then(|ids| ids.iter().copied().find(same));
        known.map_or_else(|| self.load_file(path), Ok)
    }

    /// The name that the policy wants in place of another, if it does.
    pub fn redirect(&self, name: &AssemblyName) -> Option<AssemblyName> {
        self.policy.get()?.redirect(name)
    }

    /// Loads an assembly from memory; `name` stands for its file in messages.
    pub fn load_bytes(&self, context: LoadContext, bytes: impl Into<Arc<[u8]>>, name: &str) -> Result<AssemblyId> {
        let assembly = Assembly::from_bytes(bytes.into(), name)?;
        require_manifest(&assembly)?;
        Ok(self.add_assembly(LoadedAssembly::new(assembly, context)))
    }

    /// Finds an assembly among the loaded ones, or else through the resolver, or else by asking the listener.
    pub fn load_by_name(&self, name: &AssemblyName, requesting: Option<AssemblyId>) -> Result<AssemblyId> {
        self.probe_by_name(LoadContext::Execution, name, requesting).or_else(|error| {
            let found = self.listener.get().and_then(|listener| listener.resolve(name, requesting));
            found.ok_or(error)
        })
    }

    /// Finds an assembly among the loaded ones, or else through the resolver.
    pub fn probe_by_name(&self, context: LoadContext, name: &AssemblyName, requesting: Option<AssemblyId>) -> Result<AssemblyId> {
        let redirected = self.redirect(name);
        let name = redirected.as_ref().unwrap_or(name);
        let replaced = replacement(name);
        let name = replaced.as_ref().unwrap_or(name);
        if let Some(id) = self.find_loaded(context, name) {
            return Ok(id);
        }
        if &*name.name == "mscorlib.dll" {
            return Ok(self.corlib());
        }
        let near = requesting.map(|id| self.loaded(id)).filter(|requesting| !requesting.stands_alone);
        let folder = near.and_then(|requesting| requesting.assembly.path()?.parent().map(Path::to_owned));
        let path = self.resolver.resolve(name, folder.as_deref()).or_else(|error| {
            let private_paths = self.policy.get().map_or(&[][..], |policy| &policy.private_paths);
            probe_all(private_paths, name).ok_or(error)
        })?;
        self.load_file_for(context, &path)
    }

    /// The loaded assembly of this name, if any: same simple name and culture, and no other publisher. The version of one that
    /// is wanted with its publisher counts, unless it is 0.0.0.0.
    pub fn find_loaded(&self, context: LoadContext, name: &AssemblyName) -> Option<AssemblyId> {
        let index = self.assemblies.index.read();
        let candidates = index.by_name.get(&key_of(name))?;
        candidates.iter().copied().find(|&id| {
            let loaded = self.loaded(id);
            let (found, is_core) = (loaded.assembly.name(), id == self.corlib());
            let fits = match (name.token(), found.token()) {
                (Some(wanted), Some(token)) => wanted == token && are_compatible(name.version, found.version),
                (Some(_), None) => are_compatible(name.version, found.version),
                _ => true,
            };
            // There is one core library, whatever it is wanted for.
            found.culture == name.culture && (is_core || fits && loaded.context == context)
        })
    }

    fn add_assembly(&self, loaded: LoadedAssembly) -> AssemblyId {
        let (id, is_new) = self.find_or_add(loaded);
        if let Some(listener) = self.listener.get().filter(|_| is_new) {
            listener.loaded(id);
        }
        id
    }

    /// The number of an assembly, and whether it was not loaded before.
    fn find_or_add(&self, loaded: LoadedAssembly) -> (AssemblyId, bool) {
        let _adding = self.assemblies.adding.lock();
        let name = key_of(loaded.assembly.name());
        let same = |&id: &AssemblyId| {
            let other = self.loaded(id);
            let fits = other.context == loaded.context || id == self.corlib();
            fits && other.assembly.mvid() == loaded.assembly.mvid() && other.assembly.name() == loaded.assembly.name()
        };
        if let Some(id) = self.assemblies.index.read().by_name.get(&name).and_then(|ids| ids.iter().copied().find(same)) {
            return (id, false);
        }
        let id = AssemblyId(self.assemblies.loaded.push(loaded.into()) as u32);
        self.assemblies.index.write().by_name.entry(name).or_default().push(id);
        (id, true)
    }

    /// The assembly that one which is only to be looked at refers to: it must have been loaded, or the listener knows it.
    fn find_preloaded(&self, name: &AssemblyName, requesting: AssemblyId) -> Result<AssemblyId> {
        if let Some(id) = self.find_loaded(LoadContext::Reflection, name) {
            return Ok(id);
        }
        let found = self.listener.get().and_then(|listener| listener.resolve(name, Some(requesting)));
        found.ok_or_else(|| Error::new(ErrorKind::NotPreloaded, NOT_PRELOADED).with_name(name.to_string()))
    }

    /// The assembly that a row of an assembly's AssemblyRef table names.
    pub fn resolve_reference(&self, assembly: AssemblyId, row: u32) -> Result<AssemblyId> {
        let loaded = self.loaded(assembly);
        let cell = loaded.references.get(row as usize);
        if let Some(id) = cell.and_then(IdCell::get) {
            return Ok(AssemblyId(id));
        }
        let name = loaded.assembly.reference(row)?;
        let id = match loaded.context {
            LoadContext::Execution => self.load_by_name(&name, Some(assembly))?,
            LoadContext::Reflection => self.find_preloaded(&name, assembly)?,
        };
        if let Some(cell) = cell {
            cell.set(id.0);
        }
        Ok(id)
    }

    /// Another module of an assembly, by its file's name.
    fn load_module(&self, assembly: AssemblyId, file: &str) -> Result<AssemblyId> {
        let folder = self.assembly(assembly).path().and_then(Path::parent);
        let is_plain = !file.contains(['/', '\0']) && file != "..";
        let Some(folder) = folder.filter(|_| is_plain) else {
            return Err(Error::new(ErrorKind::FileNotFound, "module not found").with_name(file));
        };
        let module = self.load_path(&folder.join(file), self.load_context(assembly), false);
        let module = module.map_err(|error| match error.kind() {
            ErrorKind::FileNotFound => error.with_name(file),
            _ => error,
        })?;
        // Its types belong to one assembly.
        let owner = *self.loaded(module).manifest.get_or_init(|| assembly);
        if owner != assembly {
            let (module, owner) = (self.assembly(module).file(), self.assembly(owner).file());
            return Err(Error::bad_image(format!(
                "Attempted to load module {module} which has already been loaded by assembly {owner}. This is not supported in Mono."
            )));
        }
        Ok(module)
    }

    /// The assembly that a module belongs to; an assembly is its own.
    pub fn manifest_of(&self, module: AssemblyId) -> AssemblyId {
        self.loaded(module).manifest.get().copied().unwrap_or(module)
    }

    /// The modules of an assembly, the one with the manifest first; those that are mere data are left out.
    pub fn modules_of(&self, assembly: AssemblyId) -> Result<Vec<AssemblyId>> {
        let metadata = self.metadata(assembly);
        let mut modules = vec![assembly];
        for (_, file) in metadata.rows::<FileRow>() {
            if file.flags & file_attributes::NO_METADATA == 0 {
                modules.push(self.load_module(assembly, metadata.string(file.name))?);
            }
        }
        Ok(modules)
    }

    /// The type of this name that is not nested, in an assembly or where it forwards it to.
    pub fn find_type(&self, assembly: AssemblyId, namespace: &str, name: &str) -> Result<Option<TypeId>> {
        self.find_forwarded(assembly, namespace, name, 0)
    }

    fn find_forwarded(&self, assembly: AssemblyId, namespace: &str, name: &str, level: u32) -> Result<Option<TypeId>> {
        let file = self.assembly(assembly);
        if let Some(row) = file.find_type(namespace, name) {
            return Ok(Some(self.type_definition(assembly, row)));
        }
        let Some(exported) = file.find_exported_type(namespace, name) else {
            let made = self.assemblies.made.read();
            return Ok(made.get(&(assembly, namespace.into(), name.into())).copied());
        };
        if level == FORWARDER_LIMIT {
            return Err(Error::type_load("type forwarders lead in a circle").with_name(join_name(namespace, name)));
        }
        let next = match file.export_target(exported)? {
            ExportTarget::Assembly(row) => self.resolve_reference(assembly, row)?,
            ExportTarget::File(row) => {
                let metadata = file.metadata();
                self.load_module(assembly, metadata.string(metadata.row::<FileRow>(row)?.name))?
            }
            ExportTarget::Nested(_) => return Ok(None),
        };
        self.find_forwarded(next, namespace, name, level + 1)
    }

    /// The type of this name that the program made in an assembly and that is not nested, whatever its case.
    pub fn find_made_ignoring_case(&self, assembly: AssemblyId, namespace: &str, name: &str) -> Option<TypeId> {
        let same = |text: &str, other: &str| text.to_lowercase() == other.to_lowercase();
        let made = self.assemblies.made.read();
        let mut found = made.iter().filter(|((whole, ..), _)| *whole == assembly);
        found.find(|((_, own_namespace, own), _)| same(own, name) && same(own_namespace, namespace)).map(|(_, &ty)| ty)
    }

    /// The type of this name directly within another.
    pub fn nested_type(&self, outer: TypeId, name: &str) -> Option<TypeId> {
        let (assembly, row) = self.definition_of(outer)?;
        if let Some(row) = self.assembly(assembly).find_nested_type(row, name) {
            return Some(self.type_definition(assembly, row));
        }
        let made = self.assemblies.nested.read();
        made.get(&outer)?.iter().copied().find(|&inner| self.simple_name(inner).1 == name)
    }

    /// The type around a nested one (the definition).
    pub fn declaring_type(&self, t: TypeId) -> Option<TypeId> {
        let (assembly, row) = self.definition_of(t)?;
        match self.metadata(assembly).enclosing_type(row) {
            Some(outer) => Some(self.type_definition(assembly, outer)),
            None => self.loaded(assembly).enclosing.filter(|_| row == MADE_TYPE_ROW),
        }
    }

    /// The type of a TypeRef row.
    pub(crate) fn resolve_type_ref(&self, assembly: AssemblyId, row: u32) -> Result<TypeId> {
        let cell = self.loaded(assembly).type_refs.get(row as usize);
        if let Some(id) = cell.and_then(IdCell::get) {
            return Ok(TypeId(id));
        }
        let found = self.find_type_ref(assembly, row, 0)?;
        if let Some(cell) = cell {
            cell.set(found.0);
        }
        Ok(found)
    }

    fn find_type_ref(&self, assembly: AssemblyId, row: u32, level: u32) -> Result<TypeId> {
        let metadata = self.metadata(assembly);
        let reference: TypeRefRow = metadata.row(row)?;
        let (namespace, name) = (metadata.string(reference.namespace), metadata.string(reference.name));
        let scope = reference.resolution_scope;
        let found = match scope.table() {
            Some(TableId::AssemblyRef) if !scope.is_null() => {
                self.find_type(self.resolve_reference(assembly, scope.row())?, namespace, name)?
            }
            Some(TableId::TypeRef) if !scope.is_null() => {
                if level > FORWARDER_LIMIT * 4 {
                    return Err(metadata.locate(Error::bad_image("type references nest in a circle")));
                }
                self.nested_type(self.find_type_ref(assembly, scope.row(), level + 1)?, name)
            }
            Some(TableId::ModuleRef) if !scope.is_null() => {
                let file = metadata.string(metadata.row::<crate::tables::ModuleRefRow>(scope.row())?.name);
                self.find_type(self.load_module(assembly, file)?, namespace, name)?
            }
            _ => self.find_type(assembly, namespace, name)?,
        };
        found.ok_or_else(|| {
            let library = match scope.row_in(TableId::AssemblyRef).map(|row| self.assembly(assembly).reference(row)) {
                Some(Ok(name)) => name.to_string(),
                _ => String::new(),
            };
            let token = Token::new(TableId::TypeRef, row).0;
            let class = join_name(namespace, name);
            let message = format!(
                "Could not resolve type with token {token:08x} from typeref (expected class '{class}' in assembly '{library}')"
            );
            let error = Error::type_load(message).with_name(self.assembly(assembly).type_ref_full_name(row));
            metadata.locate(error).with_token(Token::new(TableId::TypeRef, row))
        })
    }

    /// Whether a custom attribute of this type is on what `parent` names. Compares names only and loads nothing.
    pub fn has_custom_attribute(&self, assembly: AssemblyId, parent: Token, namespace: &str, name: &str) -> bool {
        self.custom_attribute(assembly, parent, namespace, name).is_some()
    }

    /// Whether a field is marked with `System.WeakAttribute`. As for Mono, it must be the core library's, or that of the library
    /// `Mono.Runtime.Testing`, since not every core library has it.
    pub(crate) fn is_weak_field(&self, assembly: AssemblyId, row: u32) -> bool {
        let loaded = self.loaded(assembly);
        !loaded.is_class_library
            && *loaded.names_weak_attribute.get_or_init(|| self.names_weak_attribute(assembly))
            && self.has_custom_attribute(assembly, Token::new(TableId::Field, row), "System", "WeakAttribute")
    }

    fn names_weak_attribute(&self, assembly: AssemblyId) -> bool {
        let metadata = self.metadata(assembly);
        metadata.rows::<TypeRefRow>().any(|(_, row)| {
            metadata.string(row.name) == "WeakAttribute"
                && metadata.string(row.namespace) == "System"
                && metadata.row_of::<AssemblyRefRow>(row.resolution_scope).is_ok_and(|library| {
                    let name = metadata.string(library.name);
                    name == &*self.assembly(self.corlib()).name().name || name.contains("Mono.Runtime.Testing")
                })
        })
    }

    /// The value of the first custom attribute of this type on what `parent` names. Compares names only and loads nothing.
    pub fn custom_attribute(&self, assembly: AssemblyId, parent: Token, namespace: &str, name: &str) -> Option<&[u8]> {
        let metadata = self.metadata(assembly);
        metadata.custom_attributes_of(parent).find_map(|row| {
            let attribute: CustomAttributeRow = metadata.row(row).ok()?;
            let owner = match attribute.constructor.table() {
                Some(TableId::MethodDef) => Token::new(TableId::TypeDef, metadata.owner_of_method(attribute.constructor.row())),
                _ => metadata.row_of::<MemberRefRow>(attribute.constructor).map_or(Token::NULL, |member| member.class),
            };
            let names = match owner.table() {
                Some(TableId::TypeDef) => metadata.row_of::<TypeDefRow>(owner).map(|row| (row.namespace, row.name)),
                _ => metadata.row_of::<TypeRefRow>(owner).map(|row| (row.namespace, row.name)),
            };
            let (found_namespace, found_name) = names.ok()?;
            let matches = metadata.string(found_namespace) == namespace && metadata.string(found_name) == name;
            if matches { metadata.blob(attribute.value).ok() } else { None }
        })
    }
}

/// What is said of an assembly that an assembly which is only looked at needs.
const NOT_PRELOADED: &str = "Cannot resolve dependency to assembly because it has not been preloaded. When using the ReflectionOnly \
    APIs, dependent assemblies must be pre-loaded or loaded on demand through the ReflectionOnlyAssemblyResolve event.";

/// Whether one version is as good as another: 0.0.0.0 is as good as any.
fn are_compatible(wanted: Version, found: Version) -> bool {
    wanted == found || wanted == Version::default() || found == Version::default()
}

/// A mere module is no assembly.
fn require_manifest(file: &Assembly) -> Result<()> {
    match file.has_manifest() {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::BadImage, "the file has no assembly manifest").with_name(&**file.file())),
    }
}

/// What an assembly is found by: its simple name, in which case does not count.
fn key_of(name: &AssemblyName) -> Box<str> {
    name.name.to_lowercase().into()
}

/// `Namespace.Name`.
pub(crate) fn join_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}
