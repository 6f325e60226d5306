//! `System.AppDomain` and contexts.

use super::reflection::{assembly_object, assembly_of_object, calling_assembly};
use super::{InternalCall, assembly_events, icall, raising};
use crate::class_library::{core_class, declared_method};
use crate::domain::{self, Domain, DomainState};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::thread::{ROOT_CONTEXT, Thread};
use crate::{delegates, domain_copy, emit, gc, local_statics, roots, runtime};
use il::types::{AssemblyId, LoadContext, TypeId};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// There is one runtime in a process.
const RUNTIME_ID: i32 = 1;

static DOMAIN_POINTER: KnownField = KnownField::new("System", "AppDomain", "_mono_app_domain");
pub(super) static SETUP_BASE: KnownField = KnownField::new("System", "AppDomainSetup", "application_base");
static SETUP_NAME: KnownField = KnownField::new("System", "AppDomainSetup", "application_name");
static SETUP_CACHE: KnownField = KnownField::new("System", "AppDomainSetup", "cache_path");
static SETUP_DYNAMIC_BASE: KnownField = KnownField::new("System", "AppDomainSetup", "dynamic_base");
pub(super) static SETUP_PRIVATE_PATH: KnownField = KnownField::new("System", "AppDomainSetup", "private_bin_path");
static SETUP_PROBE_ONLY: KnownField = KnownField::new("System", "AppDomainSetup", "private_bin_path_probe");
static SETUP_SHADOW_COPY: KnownField = KnownField::new("System", "AppDomainSetup", "shadow_copy_directories");
static SETUP_CONFIGURATION: KnownField = KnownField::new("System", "AppDomainSetup", "configuration_file");
static CONTEXT_DOMAIN: KnownField = KnownField::new("System.Runtime.Remoting.Contexts", "Context", "domain_id");

/// An object that is made at the first use and kept for good.
#[derive(Default)]
struct Kept(AtomicUsize);

impl Kept {
    fn is_made(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    fn get(&self, make: impl FnOnce() -> Result<ObjectRef>) -> Result<ObjectRef> {
        let known = self.0.load(Ordering::Acquire);
        if known != 0 {
            // SAFETY: a slot of `roots::keep`.
            return Ok(unsafe { *(known as *const ObjectRef) });
        }
        let slot = roots::keep(make()?) as usize;
        let slot = self.0.compare_exchange(0, slot, Ordering::AcqRel, Ordering::Acquire).map_or_else(|other| other, |_| slot);
        // SAFETY: as above.
        Ok(unsafe { *(slot as *const ObjectRef) })
    }
}

/// What a domain's objects of the class library are.
#[derive(Default)]
pub struct DomainObjects {
    domain: Kept,
    setup: Kept,
    context: Kept,
    /// Data by name: handles of the values.
    data: Mutex<Vec<(String, usize)>>,
}

static PROCESS_GUID: Mutex<Option<String>> = Mutex::new(None);

/// What is raised at the use of a domain that is gone.
pub(super) fn unloaded() -> Exception {
    Exception::default_of("System", "AppDomainUnloadedException")
}

/// The domain with this number.
pub(super) fn domain_with(id: i32) -> Result<&'static Domain> {
    runtime().domains.find(id).ok_or_else(unloaded)
}

/// The domain that an `AppDomain` stands for.
fn domain_of(object: ObjectRef) -> Result<&'static Domain> {
    domain_with(DOMAIN_POINTER.get::<isize>(object.check()?) as i32)
}

fn instance_of(namespace: &'static str, name: &str) -> Result<ObjectRef> {
    object::allocate(method_table(core_class(namespace, name)?)?)
}

/// The `AppDomain` of a domain, an object of that domain.
pub(super) fn app_domain(domain: &'static Domain) -> Result<ObjectRef> {
    domain.objects.domain.get(|| {
        domain::enter(domain, || {
            let object = instance_of("System", "AppDomain")?;
            DOMAIN_POINTER.set(object, domain.id as isize);
            Ok(object)
        })
    })
}

/// The `AppDomain` of a domain if it was ever asked for: before, nobody can have subscribed to its events.
pub(super) fn seen_domain(domain: &'static Domain) -> Result<Option<ObjectRef>> {
    domain.objects.domain.is_made().then(|| app_domain(domain)).transpose()
}

/// The `AppDomain` of the current domain.
pub(super) fn domain() -> Result<ObjectRef> {
    app_domain(domain::current())
}

static PROCESS_EXIT: KnownField = KnownField::new("System", "AppDomain", "ProcessExit");
static UNHANDLED_EXCEPTION: KnownField = KnownField::new("System", "AppDomain", "UnhandledException");

/// Calls the handlers of an event of the domain, if there are any.
fn raise_event(event: &KnownField, arguments: impl FnOnce() -> Result<ObjectRef>) -> Result<bool> {
    // Nobody can have subscribed to a domain that nobody has seen.
    if !domain::current().objects.domain.is_made() {
        return Ok(false);
    }
    let domain = domain()?;
    let Some(handlers) = event.get::<ObjectRef>(domain).non_null() else { return Ok(false) };
    let arguments = [handlers, domain, arguments()?].map(Argument::reference);
    invoke::call(delegates::invoke_method(handlers.type_id())?, &arguments)?;
    Ok(true)
}

/// `AppDomain.ProcessExit` of all domains. What a handler throws ends only the calls of its domain's handlers, as in Mono.
pub fn raise_process_exit() {
    for domain in runtime().domains.iter() {
        let _ = domain::enter(domain, || raise_event(&PROCESS_EXIT, || Ok(ObjectRef::NULL)));
    }
}

/// `AppDomain.UnhandledException` for an exception that ends the process, in the first domain and in the current one. Says whether there was
/// a handler.
pub fn raise_unhandled_exception(exception: ObjectRef) -> bool {
    let (root, current) = (runtime().root_domain(), domain::current());
    let in_root = domain::enter(root, || {
        // It arrives there as what the class library's remoting makes of it.
        let copy = if current.is_root() { Ok(exception) } else { domain_copy::copy(exception, root) };
        copy.is_ok_and(ask_unhandled_handlers)
    });
    let in_current = !current.is_root() && ask_unhandled_handlers(exception);
    in_root || in_current
}

/// Calls the current domain's handlers. One that throws is reported in Mono's words, on standard output, and counts as one that ran.
fn ask_unhandled_handlers(exception: ObjectRef) -> bool {
    let raised = raise_event(&UNHANDLED_EXCEPTION, || {
        let arguments = instance_of("System", "UnhandledExceptionEventArgs")?;
        let constructor = declared_method(arguments.type_id(), ".ctor", Some(&[TypeId::OBJECT, TypeId::BOOLEAN]))?;
        let is_terminating = Argument::integer(1);
        invoke::call(constructor, &[Argument::reference(arguments), Argument::reference(exception), is_terminating])?;
        Ok(arguments)
    });
    raised.unwrap_or_else(|thrown| {
        let types = &runtime().types;
        let class = thrown.into_object().type_id();
        let file = types.definition_of(class).map_or("", |(assembly, _)| types.assembly(assembly).file());
        let name = types.simple_name(class).1;
        print!("exception inside UnhandledException handler: (null) assembly:{file} type:{name} member:(null)\n\n");
        true
    })
}

extern "C" fn current_domain() -> ObjectRef {
    raising(domain)
}

extern "C" fn root_domain() -> ObjectRef {
    raising(|| app_domain(runtime().root_domain()))
}

/// Says in which domain the next method called by reflection is to run; gives the current one.
fn set_next_domain(domain: &'static Domain) -> Result<ObjectRef> {
    let is_current = std::ptr::eq(domain, domain::current());
    Thread::current().next_domain = Some(domain).filter(|_| !is_current);
    self::domain()
}

extern "C" fn set_domain(domain: ObjectRef) -> ObjectRef {
    raising(|| set_next_domain(domain_of(domain)?))
}

extern "C" fn set_domain_by_id(id: i32) -> ObjectRef {
    raising(|| set_next_domain(domain_with(id)?))
}

extern "C" fn push_domain(domain: ObjectRef) {
    raising(|| domain_of(domain).map(|_| ()));
}

extern "C" fn push_domain_by_id(id: i32) {
    raising(|| domain_with(id).map(|_| ()));
}

fn program_file_name() -> String {
    let name = runtime().program().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_default()
}

extern "C" fn friendly_name(this: ObjectRef) -> StringRef {
    raising(|| {
        let domain = domain_of(this)?;
        let name = if domain.is_root() { program_file_name() } else { domain.name.read().clone() };
        StringRef::new(&name)
    })
}

/// The `AppDomainSetup` of a domain.
pub(super) fn setup_of(domain: &'static Domain) -> Result<ObjectRef> {
    domain.objects.setup.get(|| {
        let setup = instance_of("System", "AppDomainSetup")?;
        let program = runtime().program().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let base = format!("{}/", runtime().program_folder().to_string_lossy().trim_end_matches('/'));
        SETUP_BASE.set_ref(setup, StringRef::new(&base)?.object());
        SETUP_NAME.set_ref(setup, StringRef::new(&program_file_name())?.object());
        SETUP_CONFIGURATION.set_ref(setup, StringRef::new(&format!("{program}.config"))?.object());
        Ok(setup)
    })
}

extern "C" fn setup(this: ObjectRef) -> ObjectRef {
    raising(|| setup_of(domain_of(this)?))
}

/// What the library asks a domain for by name, beside the program's own data.
static KNOWN_DATA: &[(&str, &KnownField)] = &[
    ("APPBASE", &SETUP_BASE),
    ("APP_CONFIG_FILE", &SETUP_CONFIGURATION),
    ("APP_NAME", &SETUP_NAME),
    ("CACHE_BASE", &SETUP_CACHE),
    ("DYNAMIC_BASE", &SETUP_DYNAMIC_BASE),
    ("PRIVATE_BINPATH", &SETUP_PRIVATE_PATH),
    ("BINPATH_PROBE_ONLY", &SETUP_PROBE_ONLY),
    ("SHADOW_COPY_DIRS", &SETUP_SHADOW_COPY),
];

extern "C" fn get_data(this: ObjectRef, name: StringRef) -> ObjectRef {
    raising(|| {
        let domain = domain_of(this)?;
        let name = name.argument("name")?.text();
        if let Some((_, field)) = KNOWN_DATA.iter().find(|entry| entry.0 == name) {
            return Ok(field.get(setup_of(domain)?));
        }
        let data = domain.objects.data.lock();
        let handle = data.iter().find(|entry| entry.0 == name).map_or(0, |entry| entry.1);
        // SAFETY: null or the target of a handle.
        Ok(unsafe { ObjectRef::from_raw(gc::handle_target(handle).cast()) })
    })
}

extern "C" fn set_data(this: ObjectRef, name: StringRef, value: ObjectRef) {
    raising(|| {
        let domain = domain_of(this)?;
        let name = name.argument("name")?.text();
        let mut data = domain.objects.data.lock();
        match data.iter().find(|entry| entry.0 == name) {
            Some(entry) => gc::set_handle_target(entry.1, value.raw().cast()),
            None => data.push((name, gc::allocate_handle(value.raw().cast(), gc::HandleKind::Normal))),
        }
        Ok(())
    })
}

fn default_context() -> Result<ObjectRef> {
    let domain = domain::current();
    domain.objects.context.get(|| {
        let context = instance_of("System.Runtime.Remoting.Contexts", "Context")?;
        CONTEXT_DOMAIN.set(context, domain.id);
        Ok(context)
    })
}

/// The context that the thread is in.
pub fn current_context() -> Result<ObjectRef> {
    Thread::current().root(ROOT_CONTEXT).non_null().map_or_else(default_context, Ok)
}

extern "C" fn get_context() -> ObjectRef {
    raising(current_context)
}

extern "C" fn get_default_context() -> ObjectRef {
    raising(default_context)
}

/// Enters a context; gives the one before.
extern "C" fn set_context(context: ObjectRef) -> ObjectRef {
    raising(|| {
        let before = current_context()?;
        Thread::current().set_root(ROOT_CONTEXT, context);
        Ok(before)
    })
}

extern "C" fn process_guid(fresh: StringRef) -> StringRef {
    raising(|| {
        let mut guid = PROCESS_GUID.lock();
        let text = guid.get_or_insert_with(|| fresh.text()).clone();
        drop(guid);
        StringRef::new(&text)
    })
}

/// The assembly of this display name, loaded now if it is not yet; null if there is no file, for the class looks elsewhere then.
extern "C" fn load_assembly(
    _this: ObjectRef,
    name: StringRef,
    _evidence: ObjectRef,
    reflection_only: u8,
    _stack_mark: *mut i32,
) -> ObjectRef {
    raising(|| {
        let text = name.argument("assemblyRef")?.text();
        let found = assembly_events::load(&text, calling_assembly(), assembly_events::context_of(reflection_only))?;
        found.map_or(Ok(ObjectRef::NULL), assembly_object)
    })
}

extern "C" fn load_bytes(
    _this: ObjectRef,
    image: ArrayRef,
    _symbols: ArrayRef,
    _evidence: ObjectRef,
    reflection_only: u8,
) -> ObjectRef {
    raising(|| {
        // SAFETY: an array of bytes, copied before anything else runs.
        let bytes = unsafe { image.argument("rawAssembly")?.slice::<u8>() }.to_vec();
        let types = &runtime().types;
        let name = il::Assembly::from_bytes(bytes.as_slice().into(), "bytes")?.name().clone();
        let context = assembly_events::context_of(reflection_only);
        assembly_object(match types.redirect(&name).filter(|_| context == LoadContext::Execution) {
            Some(redirected) => types.load_by_name(&redirected, None)?,
            None => types.load_bytes(context, bytes, "bytes")?,
        })
    })
}

/// The assemblies of the current domain that were loaded for a purpose.
pub(super) fn shown_assemblies(context: LoadContext) -> Vec<AssemblyId> {
    let types = &runtime().types;
    // Of what the program makes while it runs only its assembly builders show.
    let is_shown = |&assembly: &AssemblyId| match emit::registry::owner_of(assembly) {
        _ if types.load_context(assembly) != context => false,
        Some(owner) => owner.main == assembly && owner.domain == domain::current().id,
        None => types.is_filled(assembly) && types.assembly(assembly).has_manifest(),
    };
    let domain = domain::current();
    let in_use: Vec<AssemblyId> = match domain.is_root() {
        true => (0..types.assembly_count()).map(AssemblyId).collect(),
        false => domain.assemblies.read().clone(),
    };
    in_use.into_iter().filter(is_shown).collect()
}

extern "C" fn loaded_assemblies(_this: ObjectRef, reflection_only: u8) -> ArrayRef {
    raising(|| {
        let class = core_class("System.Reflection", "Assembly")?;
        let shown = shown_assemblies(assembly_events::context_of(reflection_only));
        let array = ArrayRef::new(class, shown.len())?;
        for (index, &assembly) in shown.iter().enumerate() {
            array.set_ref(index, assembly_object(assembly)?);
        }
        Ok(array)
    })
}

/// Runs a loaded program in the current domain.
extern "C" fn execute_assembly(_this: ObjectRef, assembly: ObjectRef, arguments: ArrayRef) -> i32 {
    raising(|| {
        let arguments = if arguments.is_null() { ArrayRef::new(TypeId::STRING, 0)? } else { arguments };
        runtime().call_entry_point(assembly_of_object(assembly)?, arguments)
    })
}

extern "C" fn create_domain(name: StringRef, setup: ObjectRef) -> ObjectRef {
    raising(|| {
        let domain = runtime().domains.create(name.argument("friendlyName")?.text());
        let setup = domain_copy::copy(setup, domain)?;
        domain.objects.setup.get(|| Ok(setup))?;
        app_domain(domain)
    })
}

fn cannot_unload(reason: &str) -> Exception {
    Exception::new("System", "CannotUnloadAppDomainException", reason)
}

/// `AppDomain.DomainUnload`, in the domain itself.
fn raise_domain_unload(domain: &'static Domain) -> Result<()> {
    let object = app_domain(domain)?;
    let method = declared_method(object.type_id(), "DoDomainUnload", None)?;
    invoke::call(method, &[Argument::reference(object)]).map(|_| ())
}

/// `AppDomain.Unload`: handlers of the event, then the threads in the domain, then the finalisers of its objects.
extern "C" fn unload(id: i32) {
    raising(|| {
        let domain = domain_with(id)?;
        if domain.is_root() {
            return Err(cannot_unload("The default appdomain can not be unloaded."));
        }
        if domain.state() != DomainState::Live {
            return Err(cannot_unload("Appdomain is already being unloaded."));
        }
        let home = domain::current();
        if let Err(exception) = domain::enter(domain, || raise_domain_unload(domain).map_err(Exception::into_object)) {
            return Err(Exception::from_object(domain_copy::copy(exception, home)?));
        }
        if !domain.advance(DomainState::Unloading) {
            return Err(cannot_unload("Appdomain is already being unloaded."));
        }
        super::threads::abort_in_domain(domain)?;
        super::collector::finalize_domain(domain);
        domain.advance(DomainState::Unloaded);
        // A thread cannot go on in what it has unloaded itself.
        if std::ptr::eq(home, domain) { Err(crate::abort::exception()) } else { Ok(()) }
    })
}

extern "C" fn is_unloading(id: i32) -> bool {
    runtime().domains.find(id).is_none_or(|domain| domain.state() != DomainState::Live)
}

extern "C" fn nothing(_anything: usize) {}

extern "C" fn release_context(context: ObjectRef) {
    local_statics::release_context(context);
}

extern "C" fn unhandled(_this: ObjectRef, exception: ObjectRef) {
    crate::unhandled::report_and_exit(exception)
}

extern "C" fn runtime_id() -> i32 {
    RUNTIME_ID
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.AppDomain:DoUnhandledException (System.Exception)", unhandled as *const ()),
    icall("System.AppDomain:ExecuteAssembly (System.Reflection.Assembly,string[])", execute_assembly as *const ()),
    icall("System.AppDomain:GetAssemblies (bool)", loaded_assemblies as *const ()),
    icall("System.AppDomain:LoadAssembly", load_assembly as *const ()),
    icall("System.AppDomain:LoadAssemblyRaw", load_bytes as *const ()),
    icall("System.AppDomain:GetData (string)", get_data as *const ()),
    icall("System.AppDomain:InternalGetContext ()", get_context as *const ()),
    icall("System.AppDomain:InternalGetDefaultContext ()", get_default_context as *const ()),
    icall("System.AppDomain:InternalGetProcessGuid (string)", process_guid as *const ()),
    icall("System.AppDomain:InternalIsFinalizingForUnload (int)", is_unloading as *const ()),
    icall("System.AppDomain:InternalPopDomainRef ()", nothing as *const ()),
    icall("System.AppDomain:InternalPushDomainRef (System.AppDomain)", push_domain as *const ()),
    icall("System.AppDomain:InternalPushDomainRefByID (int)", push_domain_by_id as *const ()),
    icall("System.AppDomain:InternalSetContext", set_context as *const ()),
    icall("System.AppDomain:InternalSetDomain (System.AppDomain)", set_domain as *const ()),
    icall("System.AppDomain:InternalSetDomainByID (int)", set_domain_by_id as *const ()),
    icall("System.AppDomain:InternalUnload (int)", unload as *const ()),
    icall("System.AppDomain:SetData (string,object)", set_data as *const ()),
    icall("System.AppDomain:createDomain (string,System.AppDomainSetup)", create_domain as *const ()),
    icall("System.AppDomain:getCurDomain ()", current_domain as *const ()),
    icall("System.AppDomain:getFriendlyName ()", friendly_name as *const ()),
    icall("System.AppDomain:getRootDomain ()", root_domain as *const ()),
    icall("System.AppDomain:getSetup ()", setup as *const ()),
    icall("System.Runtime.Remoting.Contexts.Context:RegisterContext", nothing as *const ()),
    icall("System.Runtime.Remoting.Contexts.Context:ReleaseContext", release_context as *const ()),
    icall("System.Runtime.Versioning.VersioningHelper:GetRuntimeId ()", runtime_id as *const ()),
];
