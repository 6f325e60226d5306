//! Calls of methods on objects of other domains. The class library's messages into another domain name a method and the types of its
//! parameters, which a generic method may share with others; so these calls go to the very method, and what they pass is serialised here.

use super::app_domains::{domain_with, unloaded};
use super::reflection::fields::{self, Place};
use super::reflection::invocation;
use super::remoting::{out_parameters, pass_from_its_domain, store_outs, variable};
use super::threads;
use crate::class_library::{core_class, declared_method};
use crate::domain::{Domain, DomainState};
use crate::exceptions::{Exception, Result};
use crate::fields::KnownField;
use crate::invoke::{self, Argument};
use crate::object::{ArrayRef, ObjectRef};
use crate::{domain, domain_copy, methods, runtime};
use il::types::{MethodId, TypeId, TypeKind};

const REMOTING: &str = "System.Runtime.Remoting";
const PROXIES: &str = "System.Runtime.Remoting.Proxies";

static TARGET_DOMAIN: KnownField = KnownField::new(PROXIES, "RealProxy", "_targetDomainId");
static TARGET_URI: KnownField = KnownField::new(PROXIES, "RealProxy", "_targetUri");

/// `_targetDomainId` of proxies for objects that are not in another domain of the process.
const NO_DOMAIN: i32 = -1;

/// Elements of what comes back: the result, and the values of the arguments passed by reference or marked as `[Out]`.
const RESULT: usize = 0;
const OUTS: usize = 1;

/// Whether a `RealProxy` is for an object of another domain.
pub fn is_elsewhere(real_proxy: ObjectRef) -> bool {
    TARGET_DOMAIN.get::<i32>(real_proxy) != NO_DOMAIN
}

/// Runs `body` in another domain: gives an object of that, or the exception.
pub(in crate::icalls) fn run_in(
    target: &'static Domain,
    body: impl FnOnce() -> Result<ObjectRef>,
) -> Result<std::result::Result<ObjectRef, ObjectRef>> {
    let outcome = domain::enter(target, || body().map_err(Exception::into_object));
    // A thread that is aborted for the sake of its domain's end learns of that outside.
    if target.state() != DomainState::Live && threads::end_abort_of(target) {
        return Err(unloaded());
    }
    Ok(outcome)
}

/// Calls a method of the core library that gives a reference.
fn call_for_object(method: MethodId, argument: ObjectRef) -> Result<ObjectRef> {
    let result = invoke::call(method, &[Argument::reference(argument)])?;
    // SAFETY: such a method.
    Ok(unsafe { ObjectRef::from_raw(result as *mut _) })
}

/// Calls an exact method on the object behind a proxy, in that object's domain.
///
/// # Safety
/// The arguments and the variable at `result` are of the method's types.
pub unsafe fn call(real_proxy: ObjectRef, called: MethodId, arguments: *const usize, result: *mut u8) -> Result<()> {
    let services = core_class(REMOTING, "RemotingServices")?;
    let (serialize, deserialize) =
        (declared_method(services, "SerializeCallData", None)?, declared_method(services, "DeserializeCallData", None)?);
    let (home, target) = (domain::current(), domain_with(TARGET_DOMAIN.get(real_proxy))?);
    let signature = runtime().types.method_signature(called)?;
    let values = ArrayRef::new(TypeId::OBJECT, signature.params.len())?;
    for (index, &param) in signature.params.iter().enumerate() {
        // SAFETY: the caller's promise.
        let value = unsafe {
            let (address, ty) = variable(param, arguments.add(index).read());
            fields::load(ty, address as *const u8)?
        };
        values.set_ref(index, value);
    }
    let sent = call_for_object(serialize, values.object())?;
    let uri: ObjectRef = TARGET_URI.get(real_proxy);
    let answer = run_in(target, || {
        let server = server(domain_copy::copy(uri, target)?)?;
        let values = call_for_object(deserialize, domain_copy::copy(sent, target)?)?;
        let values = values.as_array().ok_or_else(Exception::null_reference)?;
        call_for_object(serialize, call_here(server, called, values)?.object())
    });
    let answer = match answer? {
        Ok(answer) => call_for_object(deserialize, domain_copy::copy(answer, home)?)?,
        Err(exception) => {
            let exception = pass_from_its_domain(exception)?;
            let fix = declared_method(runtime().types.well_known().exception, "FixRemotingException", None)?;
            return Err(Exception::from_object(call_for_object(fix, exception)?));
        }
    };
    let answer = answer.as_array().ok_or_else(Exception::null_reference)?;
    // SAFETY: the caller's promise.
    unsafe {
        store_outs(called, arguments, answer.get_ref(OUTS).as_array().unwrap_or(ArrayRef::NULL))?;
        if signature.ret == TypeId::VOID {
            return Ok(());
        }
        fields::store(signature.ret, Place { owner: ObjectRef::NULL, address: result }, answer.get_ref(RESULT))
    }
}

/// The object of the current domain that has this address there.
fn server(uri: ObjectRef) -> Result<ObjectRef> {
    let services = core_class(REMOTING, "RemotingServices")?;
    let identity = call_for_object(declared_method(services, "GetIdentityForUri", None)?, uri)?;
    let Some(identity) = identity.non_null() else {
        let uri = uri.as_string().map_or_else(String::new, |uri| uri.text());
        return Err(Exception::new(REMOTING, "RemotingException", format!("Server for uri '{uri}' not found")));
    };
    let get_server = declared_method(core_class(REMOTING, "ClientActivatedIdentity")?, "GetServerObject", None)?;
    call_for_object(get_server, identity)?.check()
}

/// Calls a method on an object of the current domain, and gathers what goes back.
fn call_here(server: ObjectRef, called: MethodId, values: ArrayRef) -> Result<ArrayRef> {
    let types = &runtime().types;
    let exact = match types.method(called).is_virtual() {
        true => methods::resolve_virtual(server.type_id(), called)?,
        false => called,
    };
    let result = invocation::call(exact, server, values)?;
    let params = &types.method_signature(called)?.params;
    let is_out = out_parameters(called, params.len());
    let goes_back = |index: &usize| matches!(types.kind(params[*index]), TypeKind::ByRef(_)) || is_out[*index];
    let indices: Vec<usize> = (0..params.len()).filter(goes_back).collect();
    let outs = ArrayRef::new(TypeId::OBJECT, indices.len())?;
    for (place, index) in indices.into_iter().enumerate() {
        outs.set_ref(place, values.get_ref(index));
    }
    let answer = ArrayRef::new(TypeId::OBJECT, OUTS + 1)?;
    answer.set_ref(RESULT, result);
    answer.set_ref(OUTS, outs.object());
    Ok(answer)
}
