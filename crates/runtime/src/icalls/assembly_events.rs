//! Loading assemblies by name as a program sees it: the folders of a domain, and the events `AssemblyResolve`,
//! `ReflectionOnlyAssemblyResolve`, `TypeResolve` and `AssemblyLoad` of its `AppDomain`.

use super::app_domains::{self, SETUP_BASE, SETUP_PRIVATE_PATH};
use super::reflection::{assembly_object, assembly_of_object};
use crate::emit::assemblies::is_reflection_only;
use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::object::{ObjectRef, StringRef};
use crate::{domain, runtime};
use il::types::{AssemblyId, LoadContext, LoadListener, MethodId};
use il::{AssemblyName, ErrorKind};
use std::path::PathBuf;

static RESOLVE: KnownField = KnownField::new("System", "AppDomain", "AssemblyResolve");
static REFLECTION_RESOLVE: KnownField = KnownField::new("System", "AppDomain", "ReflectionOnlyAssemblyResolve");
static TYPE_RESOLVE: KnownField = KnownField::new("System", "AppDomain", "TypeResolve");
static LOAD: KnownField = KnownField::new("System", "AppDomain", "AssemblyLoad");

/// The process's part in what the type system loads.
pub struct Events;

impl LoadListener for Events {
    fn resolve(&self, name: &AssemblyName, requesting: Option<AssemblyId>) -> Option<AssemblyId> {
        let context = requesting.map_or(LoadContext::Execution, |assembly| runtime().types.load_context(assembly));
        if let Some(found) = in_domain_folders(name, context).filter(|_| context == LoadContext::Execution) {
            return Some(found);
        }
        // A handler that throws has found nothing.
        ask(&name.to_string(), requesting, context).ok().flatten()
    }

    fn loaded(&self, assembly: AssemblyId) {
        // Whom a handler that throws could be told there is not.
        let _ = tell(assembly);
    }
}

/// What the class library means by its argument `refOnly`.
pub(super) fn context_of(reflection_only: u8) -> LoadContext {
    if reflection_only != 0 { LoadContext::Reflection } else { LoadContext::Execution }
}

/// The assembly of a display name, which handlers get as it was given; none if there is no file. Nobody is asked for one that is only to be
/// looked at.
pub(super) fn load(text: &str, requesting: Option<AssemblyId>, context: LoadContext) -> Result<Option<AssemblyId>> {
    let name = match AssemblyName::parse(text) {
        Ok(name) => name,
        // Handlers may know what it means.
        Err(_) if context == LoadContext::Execution => return ask(text, None, context),
        Err(_) => return Ok(None),
    };
    let error = match runtime().types.probe_by_name(context, &name, requesting) {
        Ok(found) => return Ok(Some(found)),
        Err(error) => error,
    };
    if let Some(found) = in_domain_folders(&name, context) {
        return Ok(Some(found));
    }
    let found = match context {
        LoadContext::Execution => ask(text, None, context)?,
        LoadContext::Reflection => None,
    };
    match error.kind() {
        _ if found.is_some() => Ok(found),
        ErrorKind::FileNotFound => Ok(None),
        _ => Err(error.with_name(text).into()),
    }
}

/// Looks in the folders of a domain that is not the first, whose folders are those of the type system.
fn in_domain_folders(name: &AssemblyName, context: LoadContext) -> Option<AssemblyId> {
    let domain = domain::current();
    if domain.is_root() {
        return None;
    }
    let setup = app_domains::setup_of(domain).ok()?;
    let text = |field: &KnownField| field.get::<ObjectRef>(setup).as_string().map(StringRef::text);
    let base = PathBuf::from(text(&SETUP_BASE)?);
    let private_paths = text(&SETUP_PRIVATE_PATH).unwrap_or_default();
    let types = &runtime().types;
    let mut resolver = types.resolver().clone();
    resolver.application_paths = vec![base.clone()];
    resolver.application_paths.extend(private_paths.split(';').filter(|path| !path.is_empty()).map(|path| base.join(path)));
    types.load_file_for(context, &resolver.resolve(name, None).ok()?).ok()
}

/// The current domain's `AppDomain` and its method, if anybody handles the event.
fn handled(event: &KnownField, method: &str) -> Result<Option<(ObjectRef, MethodId)>> {
    let Some(domain) = app_domains::seen_domain(domain::current())? else { return Ok(None) };
    if event.get::<ObjectRef>(domain).is_null() {
        return Ok(None);
    }
    let method = runtime().types.find_method(domain.type_id(), method, None)?;
    Ok(method.map(|method| (domain, method)))
}

/// Asks the handlers of `AssemblyResolve`, or of `ReflectionOnlyAssemblyResolve`.
fn ask(name: &str, requesting: Option<AssemblyId>, context: LoadContext) -> Result<Option<AssemblyId>> {
    let event = match context {
        LoadContext::Execution => &RESOLVE,
        LoadContext::Reflection => &REFLECTION_RESOLVE,
    };
    let Some((domain, method)) = handled(event, "DoAssemblyResolve")? else { return Ok(None) };
    let requesting = requesting.map_or(Ok(ObjectRef::NULL), assembly_object)?;
    let name = StringRef::new(name)?.object();
    let [domain, name, requesting] = [domain, name, requesting].map(Argument::reference);
    let for_reflection = Argument::integer(i64::from(context == LoadContext::Reflection));
    let found = invoke::call(method, &[domain, name, requesting, for_reflection])?;
    // SAFETY: the method gives a reference.
    let found = unsafe { ObjectRef::from_raw(found as *mut _) };
    match found.non_null() {
        // One that is made to be looked at cannot run.
        Some(found) if context == LoadContext::Execution && is_reflection_only(found)? => Ok(None),
        found => found.map(assembly_of_object).transpose(),
    }
}

/// Asks the handlers of `TypeResolve` for the assembly of a type.
pub(super) fn ask_for_type(name: &str) -> Result<Option<AssemblyId>> {
    let Some((domain, method)) = handled(&TYPE_RESOLVE, "DoTypeResolve")? else { return Ok(None) };
    let arguments = [domain, StringRef::new(name)?.object()].map(Argument::reference);
    let found = invoke::call(method, &arguments)?;
    // SAFETY: the method gives a reference.
    let found = unsafe { ObjectRef::from_raw(found as *mut _) };
    found.non_null().map(assembly_of_object).transpose()
}

/// Asks the handlers of `TypeResolve` to finish the type of a `TypeBuilder`.
pub fn ask_to_finish(builder: ObjectRef) -> Result<()> {
    if let Some((domain, method)) = handled(&TYPE_RESOLVE, "DoTypeBuilderResolve")? {
        invoke::call(method, &[domain, builder].map(Argument::reference))?;
    }
    Ok(())
}

/// Raises `AssemblyLoad`.
fn tell(assembly: AssemblyId) -> Result<()> {
    if let Some((domain, method)) = handled(&LOAD, "DoAssemblyLoad")? {
        invoke::call(method, &[Argument::reference(domain), Argument::reference(assembly_object(assembly)?)])?;
    }
    Ok(())
}
