//! Internal calls of `System.Diagnostics.StackTrace` and `StackFrame`.

use super::{InternalCall, icall, raising, store_out};
use crate::exceptions::Result;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::stack_trace::{self, TracedFrame};
use crate::stack_walk::{Step, Walk};
use crate::thread::Thread;
use crate::{delegates, exact_frames, handles, runtime};
use il::types::MethodId;

extern "C" fn get_trace(exception: ObjectRef, skip: i32, need_file_info: u8) -> ArrayRef {
    raising(|| stack_trace::managed_frames(exception, skip.max(0) as usize, need_file_info != 0))
}

/// Frame number `skip`, counted from the internal call's own, and its method as far as it is known.
fn calling_frame(skip: i32) -> Option<(TracedFrame, MethodId)> {
    let steps = Walk::from_runtime(Thread::current()).map(|step| match step {
        Step::Frame(frame) => {
            let frames = stack_trace::frames_at(frame.trace_address());
            frames.filter(|frame| !stack_trace::is_hidden(frame.method)).map(Some).collect()
        }
        Step::Entry { .. } => vec![None],
    });
    let mut frames = steps.flatten();
    let frame = frames.by_ref().flatten().nth(skip.max(0) as usize)?;
    Some((frame, exact_frames::exact_method(frame.method, frames).unwrap_or(frame.method)))
}

extern "C" fn get_frame_info(
    skip: i32,
    need_file_info: u8,
    method: *mut ObjectRef,
    il_offset: *mut i32,
    native_offset: *mut i32,
    file: *mut ObjectRef,
    line: *mut i32,
    column: *mut i32,
) -> bool {
    raising(|| -> Result<bool> {
        let Some((frame, exact)) = calling_frame(skip) else { return Ok(false) };
        store_out(method, super::reflection::method_object(exact, None)?);
        // SAFETY: compiled code passes the addresses of variables.
        unsafe {
            // Without symbols Mono does not say where in the method it is.
            *il_offset = match runtime().symbols.position(frame.method, frame.il_offset.unwrap_or(0)) {
                Some(_) => frame.il_offset.map_or(-1, |offset| offset as i32),
                None => 0,
            };
            *native_offset = frame.native_offset as i32;
        }
        // What was not asked for stays: a constructor passes its parameters, which say it already.
        if need_file_info != 0 {
            let position = frame.position();
            let file_name = position.as_ref().map_or(Ok(StringRef::NULL), |position| StringRef::new(&position.file))?;
            store_out(file, file_name.object());
            // SAFETY: as above.
            unsafe {
                *line = position.as_ref().map_or(0, |position| position.line as i32);
                *column = position.as_ref().map_or(0, |position| position.column as i32);
            }
        }
        Ok(true)
    })
}

extern "C" fn virtual_method(delegate: ObjectRef) -> ObjectRef {
    raising(|| {
        let handle: usize = delegates::METHOD.get(delegate.check()?);
        let target: ObjectRef = delegates::TARGET.get(delegate);
        let Some(method) = handles::to_method(handle) else { return Ok(ObjectRef::NULL) };
        let method = match target.non_null() {
            Some(target) => crate::methods::resolve_virtual(target.type_id(), method)?,
            None => method,
        };
        super::reflection::method_object(method, None)
    })
}

/// There is no debugger of Windows that would show it.
extern "C" fn write_debug_string(_message: *const u16) {}

pub(super) const TABLE: &[InternalCall] = &[
    icall("System.Diagnostics.DefaultTraceListener:WriteWindowsDebugString (char*)", write_debug_string as *const ()),
    icall("System.Diagnostics.StackTrace:get_trace", get_trace as *const ()),
    icall("System.Diagnostics.StackFrame:get_frame_info", get_frame_info as *const ()),
    icall("System.Delegate:GetVirtualMethod_internal", virtual_method as *const ()),
];
