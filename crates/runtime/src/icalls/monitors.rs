//! `System.Threading.Monitor`, on the runtime's monitors.

use super::{InternalCall, icall, raising};
use crate::monitor;
use crate::object::ObjectRef;
use std::time::Duration;

fn timeout_of(milliseconds: i32) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

extern "C" fn enter(object: ObjectRef) {
    raising(|| monitor::enter(object.argument("obj")?))
}

extern "C" fn exit(object: ObjectRef) {
    raising(|| monitor::exit(object.argument("obj")?))
}

extern "C" fn try_enter(object: ObjectRef, milliseconds: i32, taken: *mut bool) {
    raising(|| {
        let entered = monitor::try_enter(object.argument("obj")?, timeout_of(milliseconds))?;
        // SAFETY: the address of the caller's variable.
        unsafe { taken.write(entered) };
        Ok(())
    })
}

extern "C" fn is_owner(object: ObjectRef) -> bool {
    raising(|| Ok(monitor::is_entered(object.argument("obj")?)))
}

extern "C" fn wait(object: ObjectRef, milliseconds: i32) -> bool {
    raising(|| monitor::wait(object.argument("obj")?, timeout_of(milliseconds)))
}

extern "C" fn pulse(object: ObjectRef) {
    raising(|| monitor::pulse(object.argument("obj")?, false))
}

extern "C" fn pulse_all(object: ObjectRef) {
    raising(|| monitor::pulse(object.argument("obj")?, true))
}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Threading.Monitor:Enter (object)", enter as *const ()),
    icall("System.Threading.Monitor:Exit (object)", exit as *const ()),
    icall("System.Threading.Monitor:Monitor_pulse (object)", pulse as *const ()),
    icall("System.Threading.Monitor:Monitor_pulse_all (object)", pulse_all as *const ()),
    icall("System.Threading.Monitor:Monitor_test_owner (object)", is_owner as *const ()),
    icall("System.Threading.Monitor:Monitor_test_synchronised (object)", is_owner as *const ()),
    icall("System.Threading.Monitor:Monitor_wait (object,int)", wait as *const ()),
    icall("System.Threading.Monitor:try_enter_with_atomic_var (object,int,bool&)", try_enter as *const ()),
];
