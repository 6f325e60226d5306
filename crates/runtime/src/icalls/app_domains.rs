//! `System.AppDomain` and contexts: there is one domain with one context.

use super::reflection::{assembly_object, calling_assembly};
use super::{InternalCall, icall, raising};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::method_table::method_table;
use crate::object::{self, ArrayRef, ObjectRef, StringRef};
use crate::{delegates, emit, gc, roots, runtime};
use il::AssemblyName;
use il::types::{AssemblyId, TypeId};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const DOMAIN_ID: i32 = 1;

static DOMAIN_POINTER: KnownField = KnownField::new("System", "AppDomain", "_mono_app_domain");
static SETUP_BASE: KnownField = KnownField::new("System", "AppDomainSetup", "application_base");
static SETUP_NAME: KnownField = KnownField::new("System", "AppDomainSetup", "application_name");
static SETUP_CONFIGURATION: KnownField = KnownField::new("System", "AppDomainSetup", "configuration_file");
static CONTEXT_DOMAIN: KnownField = KnownField::new("System.Runtime.Remoting.Contexts", "Context", "domain_id");

/// An object that is made at the first use and kept for good.
struct Kept(AtomicUsize);

impl Kept {
    const fn new() -> Kept {
        Kept(AtomicUsize::new(0))
    }

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

static DOMAIN: Kept = Kept::new();
static SETUP: Kept = Kept::new();
static CONTEXT: Kept = Kept::new();
/// Data by name: handles of the values.
static DATA: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());
static PROCESS_GUID: Mutex<Option<String>> = Mutex::new(None);

fn instance_of(namespace: &'static str, name: &str) -> Result<ObjectRef> {
    let types = &runtime().types;
    let class: TypeId = types
        .find_type(types.corlib(), namespace, name)?
        .ok_or_else(|| Exception::engine(format!("the core library lacks {namespace}.{name}")))?;
    object::allocate(method_table(class)?)
}

/// The domain's object.
pub(super) fn domain() -> Result<ObjectRef> {
    DOMAIN.get(|| {
        let domain = instance_of("System", "AppDomain")?;
        // Any value but null: the class library takes null for an unloaded domain.
        DOMAIN_POINTER.set(domain, DOMAIN_ID as isize);
        Ok(domain)
    })
}

static PROCESS_EXIT: KnownField = KnownField::new("System", "AppDomain", "ProcessExit");
static UNHANDLED_EXCEPTION: KnownField = KnownField::new("System", "AppDomain", "UnhandledException");

/// Calls the handlers of an event of the domain, if there are any.
fn raise_event(event: &KnownField, arguments: impl FnOnce() -> Result<ObjectRef>) -> Result<bool> {
    // Nobody can have subscribed to a domain that nobody has seen.
    if !DOMAIN.is_made() {
        return Ok(false);
    }
    let domain = domain()?;
    let Some(handlers) = event.get::<ObjectRef>(domain).non_null() else { return Ok(false) };
    let arguments = [handlers, domain, arguments()?].map(Argument::reference);
    invoke::call(delegates::invoke_method(handlers.type_id())?, &arguments)?;
    Ok(true)
}

/// `AppDomain.ProcessExit`
pub fn raise_process_exit() -> Result<()> {
    raise_event(&PROCESS_EXIT, || Ok(ObjectRef::NULL)).map(|_| ())
}

/// `AppDomain.UnhandledException` for an exception that ends the process. Says whether there was a handler.
pub fn raise_unhandled_exception(exception: ObjectRef) -> Result<bool> {
    raise_event(&UNHANDLED_EXCEPTION, || {
        let arguments = instance_of("System", "UnhandledExceptionEventArgs")?;
        let constructor = runtime()
            .types
            .find_method(arguments.type_id(), ".ctor", Some(&[TypeId::OBJECT, TypeId::BOOLEAN]))?
            .ok_or_else(|| Exception::engine("UnhandledExceptionEventArgs lacks a constructor"))?;
        let is_terminating = Argument::integer(1);
        invoke::call(constructor, &[Argument::reference(arguments), Argument::reference(exception), is_terminating])?;
        Ok(arguments)
    })
}

extern "C" fn current_domain() -> ObjectRef {
    raising(domain)
}

extern "C" fn same_domain(_domain: ObjectRef) -> ObjectRef {
    raising(domain)
}

extern "C" fn domain_by_id(id: i32) -> ObjectRef {
    raising(|| if id == DOMAIN_ID { domain() } else { Ok(ObjectRef::NULL) })
}

fn program_file_name() -> String {
    let name = runtime().program().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_default()
}

extern "C" fn friendly_name(_this: ObjectRef) -> StringRef {
    raising(|| StringRef::new(&program_file_name()))
}

extern "C" fn setup(_this: ObjectRef) -> ObjectRef {
    raising(|| {
        SETUP.get(|| {
            let setup = instance_of("System", "AppDomainSetup")?;
            let program = runtime().program().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
            let base = format!("{}/", runtime().program_folder().to_string_lossy().trim_end_matches('/'));
            SETUP_BASE.set_ref(setup, StringRef::new(&base)?.object());
            SETUP_NAME.set_ref(setup, StringRef::new(&program_file_name())?.object());
            SETUP_CONFIGURATION.set_ref(setup, StringRef::new(&format!("{program}.config"))?.object());
            Ok(setup)
        })
    })
}

/// What the library asks the domain for by name, beside the program's own data.
fn known_data(name: &str) -> Option<String> {
    match name {
        "APPBASE" => Some(format!("{}/", runtime().program_folder().to_string_lossy().trim_end_matches('/'))),
        "APP_CONFIG_FILE" => Some(format!("{}.config", runtime().program()?.to_string_lossy())),
        "APP_NAME" => Some(program_file_name()),
        _ => None,
    }
}

extern "C" fn get_data(_this: ObjectRef, name: StringRef) -> ObjectRef {
    raising(|| {
        let name = name.argument("name")?.text();
        if let Some(text) = known_data(&name) {
            return Ok(StringRef::new(&text)?.object());
        }
        let data = DATA.lock();
        let handle = data.iter().find(|entry| entry.0 == name).map_or(0, |entry| entry.1);
        // SAFETY: null or the target of a handle.
        Ok(unsafe { ObjectRef::from_raw(gc::handle_target(handle).cast()) })
    })
}

extern "C" fn set_data(_this: ObjectRef, name: StringRef, value: ObjectRef) {
    raising(|| {
        let name = name.argument("name")?.text();
        let mut data = DATA.lock();
        match data.iter().find(|entry| entry.0 == name) {
            Some(entry) => gc::set_handle_target(entry.1, value.raw().cast()),
            None => data.push((name, gc::allocate_handle(value.raw().cast(), gc::HandleKind::Normal))),
        }
        Ok(())
    })
}

extern "C" fn default_context() -> ObjectRef {
    raising(|| {
        CONTEXT.get(|| {
            let context = instance_of("System.Runtime.Remoting.Contexts", "Context")?;
            CONTEXT_DOMAIN.set(context, DOMAIN_ID);
            Ok(context)
        })
    })
}

extern "C" fn set_context(_context: ObjectRef) -> ObjectRef {
    default_context()
}

extern "C" fn process_guid(fresh: StringRef) -> StringRef {
    raising(|| {
        let mut guid = PROCESS_GUID.lock();
        let text = guid.get_or_insert_with(|| fresh.text()).clone();
        drop(guid);
        StringRef::new(&text)
    })
}

/// The assembly of this display name, loaded now if it is not yet.
extern "C" fn load_assembly(
    _this: ObjectRef,
    name: StringRef,
    _evidence: ObjectRef,
    _reflection_only: u8,
    _stack_mark: *mut i32,
) -> ObjectRef {
    raising(|| {
        let name = AssemblyName::parse(&name.argument("assemblyRef")?.text())?;
        assembly_object(runtime().types.load_by_name(&name, calling_assembly())?)
    })
}

extern "C" fn load_bytes(
    _this: ObjectRef,
    image: ArrayRef,
    _symbols: ArrayRef,
    _evidence: ObjectRef,
    _reflection_only: u8,
) -> ObjectRef {
    raising(|| {
        // SAFETY: an array of bytes, copied before anything else runs.
        let bytes = unsafe { image.argument("rawAssembly")?.slice::<u8>() }.to_vec();
        assembly_object(runtime().types.load_bytes(bytes, "bytes")?)
    })
}

extern "C" fn loaded_assemblies(_this: ObjectRef, _reflection_only: u8) -> ArrayRef {
    raising(|| {
        let types = &runtime().types;
        let class = types
            .find_type(types.corlib(), "System.Reflection", "Assembly")?
            .ok_or_else(|| Exception::engine("the core library lacks System.Reflection.Assembly"))?;
        // Of what the program makes while it runs only its assembly builders show.
        let is_shown = |&assembly: &AssemblyId| match emit::registry::owner_of(assembly) {
            Some(owner) => owner.main == assembly,
            None => types.is_filled(assembly) && types.assembly(assembly).has_manifest(),
        };
        let shown: Vec<AssemblyId> = (0..types.assembly_count()).map(AssemblyId).filter(is_shown).collect();
        let array = ArrayRef::new(class, shown.len())?;
        for (index, &assembly) in shown.iter().enumerate() {
            array.set_ref(index, assembly_object(assembly)?);
        }
        Ok(array)
    })
}

extern "C" fn create_domain(_name: StringRef, _setup: ObjectRef) -> ObjectRef {
    raising(|| Err(Exception::not_supported("This runtime has no application domains but the first.")))
}

extern "C" fn unload(_id: i32) {
    raising(|| {
        Err(Exception::new("System", "CannotUnloadAppDomainException", "The default application domain can not be unloaded."))
    })
}

extern "C" fn is_unloading(_id: i32) -> bool {
    false
}

extern "C" fn nothing(_anything: usize) {}

extern "C" fn unhandled(_this: ObjectRef, exception: ObjectRef) {
    crate::unhandled::report_and_exit(exception)
}

extern "C" fn runtime_id() -> i32 {
    DOMAIN_ID
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.AppDomain:DoUnhandledException (System.Exception)", unhandled as *const ()),
    icall("System.AppDomain:GetAssemblies (bool)", loaded_assemblies as *const ()),
    icall("System.AppDomain:LoadAssembly", load_assembly as *const ()),
    icall("System.AppDomain:LoadAssemblyRaw", load_bytes as *const ()),
    icall("System.AppDomain:GetData (string)", get_data as *const ()),
    icall("System.AppDomain:InternalGetContext ()", default_context as *const ()),
    icall("System.AppDomain:InternalGetDefaultContext ()", default_context as *const ()),
    icall("System.AppDomain:InternalGetProcessGuid (string)", process_guid as *const ()),
    icall("System.AppDomain:InternalIsFinalizingForUnload (int)", is_unloading as *const ()),
    icall("System.AppDomain:InternalPopDomainRef ()", nothing as *const ()),
    icall("System.AppDomain:InternalPushDomainRef (System.AppDomain)", nothing as *const ()),
    icall("System.AppDomain:InternalPushDomainRefByID (int)", nothing as *const ()),
    icall("System.AppDomain:InternalSetContext", set_context as *const ()),
    icall("System.AppDomain:InternalSetDomain (System.AppDomain)", same_domain as *const ()),
    icall("System.AppDomain:InternalSetDomainByID (int)", domain_by_id as *const ()),
    icall("System.AppDomain:InternalUnload (int)", unload as *const ()),
    icall("System.AppDomain:SetData (string,object)", set_data as *const ()),
    icall("System.AppDomain:createDomain (string,System.AppDomainSetup)", create_domain as *const ()),
    icall("System.AppDomain:getCurDomain ()", current_domain as *const ()),
    icall("System.AppDomain:getFriendlyName ()", friendly_name as *const ()),
    icall("System.AppDomain:getRootDomain ()", current_domain as *const ()),
    icall("System.AppDomain:getSetup ()", setup as *const ()),
    icall("System.Runtime.Remoting.Contexts.Context:RegisterContext", nothing as *const ()),
    icall("System.Runtime.Remoting.Contexts.Context:ReleaseContext", nothing as *const ()),
    icall("System.Runtime.Versioning.VersioningHelper:GetRuntimeId ()", runtime_id as *const ()),
];
