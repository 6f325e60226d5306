//! Traces: the addresses that an exception keeps, and their text.

use crate::class_library::core_class;
use crate::emit::releasing;
use crate::exceptions::Result;
use crate::fields::KnownField;
use crate::icalls::reflection;
use crate::object::{ArrayRef, ObjectRef, StringRef};
use crate::stack_walk::{Activation, Frame};
use crate::symbols::SourcePosition;
use crate::{exact_frames, exceptions, metadata, method_table, object, runtime};
use il::types::{MethodId, TypeId};

static TRACE: KnownField = KnownField::new("System", "Exception", "native_trace_ips");
static STACK_TRACE: KnownField = KnownField::new("System", "Exception", "_stackTrace");
static REMOTE_TRACE: KnownField = KnownField::new("System", "Exception", "_stackTraceString");

/// Frames that a trace keeps.
const MAX_TRACE: usize = 999;
/// The address this far into a method's code stands for the wrapper in which native code has called it. No call returns to it, for it lies
/// within the prologue.
const ENTRY_OFFSET: u32 = 1;

/// Behind an address: its outermost frame is left out, and only those that were inlined into it count. No code lies here.
const WITHOUT_OUTERMOST: usize = 1;
/// Likewise: the innermost of the frames of the address before it is left out.
const WITHOUT_INNERMOST: usize = 2;

/// Where the trace of an exception begins that is thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceStart {
    /// At the innermost frame: what trace there was is dropped.
    Fresh,
    /// The same, but without the innermost frame, unless that one catches the exception: its method could not have run under Mono.
    InCaller,
    /// The trace goes on; the innermost frame stands in it already, and gets its position now.
    InLastFrame,
    /// The trace goes on with the innermost frame.
    AfterLastFrame,
}

/// Gathers a trace while an exception is on its way.
pub struct Recorder {
    exception: ObjectRef,
    addresses: Vec<usize>,
    /// Methods of it that may be released.
    dynamic: Vec<MethodId>,
    /// The only frame so far goes when the next one comes.
    drops_first: bool,
    /// The innermost of the next frames is left out.
    hides_innermost: bool,
    /// The first frame takes the place of the last one in the trace if it is the same method's.
    replaces: bool,
    changed: bool,
}

impl Recorder {
    /// For an exception that is thrown now.
    pub fn new(exception: ObjectRef, start: TraceStart) -> Recorder {
        let mut recorder = Recorder {
            exception,
            addresses: Vec::new(),
            dynamic: Vec::new(),
            drops_first: false,
            hides_innermost: start == TraceStart::InCaller,
            replaces: false,
            changed: false,
        };
        if !exceptions::is_exception(exception) {
            recorder.exception = ObjectRef::NULL;
        } else if matches!(start, TraceStart::Fresh | TraceStart::InCaller) {
            REMOTE_TRACE.set_ref(exception, ObjectRef::NULL);
        } else {
            recorder.addresses = addresses(exception);
            recorder.replaces = start == TraceStart::InLastFrame;
        }
        recorder
    }

    /// Adds a frame.
    pub fn push(&mut self, frame: &Frame) {
        if frame.method().is_none_or(is_hidden) {
            return;
        }
        let is_same_code = |&address: &usize| (frame.code.start + 1..=frame.code.end).contains(&address);
        if std::mem::take(&mut self.drops_first) {
            self.addresses.clear();
        }
        let replaces = std::mem::take(&mut self.replaces);
        let last = self.addresses.iter().rfind(|&&entry| !matches!(entry, WITHOUT_OUTERMOST | WITHOUT_INNERMOST)).copied();
        if let Some(last) = last.filter(|last| replaces && is_same_code(last)) {
            if frame.code.frames(last).nth(1).is_some() {
                self.push_address(WITHOUT_OUTERMOST);
            } else {
                self.addresses.pop();
            }
        }
        self.dynamic.extend(frame.method().filter(|&method| releasing::may_be_released(method)));
        self.push_address(frame.trace_address());
        if std::mem::take(&mut self.hides_innermost) {
            let is_inlined = frame.code.frames(frame.trace_address()).nth(1).is_some();
            if is_inlined {
                self.push_address(WITHOUT_INNERMOST);
            }
            self.drops_first = !is_inlined;
        }
    }

    /// Adds the wrapper of the method that native code has called, if that is how the managed frames end.
    pub fn push_entry(&mut self, activation: &Activation) {
        if std::mem::take(&mut self.drops_first) {
            self.addresses.clear();
        }
        let outermost = self.addresses.last().and_then(|&address| runtime().code_map.find_call(address));
        if let Some(code) = outermost.filter(|_| activation.from_native) {
            self.push_address(code.start + ENTRY_OFFSET as usize);
        }
    }

    fn push_address(&mut self, address: usize) {
        if self.addresses.len() < MAX_TRACE {
            self.addresses.push(address);
            self.changed = true;
        }
    }

    /// Puts the trace into the exception. Without memory for it there is none.
    pub fn store(&mut self) {
        if self.exception.is_null() || !std::mem::take(&mut self.changed) {
            return;
        }
        if let Ok(array) = ArrayRef::new(TypeId::I, self.addresses.len()) {
            // SAFETY: a fresh array of native integers.
            unsafe { array.slice_mut::<usize>() }.copy_from_slice(&self.addresses);
            TRACE.set_ref(self.exception, array.object());
            STACK_TRACE.set_ref(self.exception, array.object());
        }
        if !self.dynamic.is_empty() {
            // Without memory for them the trace may lose their frames.
            let _ = releasing::keep_by_exception(self.exception, &std::mem::take(&mut self.dynamic));
        }
    }
}

/// Whether traces leave a method out: what the runtime provides, such as `Invoke` of delegates, has no place in a program's text.
pub fn is_hidden(method: MethodId) -> bool {
    runtime().types.method(method).is_runtime()
}

/// The trace in an exception as it is kept there.
fn addresses(exception: ObjectRef) -> Vec<usize> {
    let Some(array) = TRACE.get::<ObjectRef>(exception).as_array() else { return Vec::new() };
    // SAFETY: the field is an array of native integers.
    unsafe { array.slice::<usize>() }.to_vec()
}

/// The frames of an exception's trace.
pub fn frames(exception: ObjectRef) -> Vec<TracedFrame> {
    let addresses = addresses(exception);
    let mut frames = Vec::with_capacity(addresses.len());
    // Where those of the last address begin.
    let mut begin = 0;
    for address in addresses {
        match address {
            WITHOUT_OUTERMOST if frames.len() > begin => drop(frames.pop()),
            WITHOUT_INNERMOST if frames.len() > begin => drop(frames.remove(begin)),
            address => {
                begin = frames.len();
                frames.extend(frames_at(address));
            }
        }
    }
    frames
}

/// A traced frame.
#[derive(Clone, Copy, Debug)]
pub struct TracedFrame {
    /// The method.
    pub method: MethodId,
    /// Offset in its IL, if known.
    pub il_offset: Option<u32>,
    /// Offset in its code.
    pub native_offset: u32,
}

impl TracedFrame {
    /// Where in the source it is, if that is wanted and known.
    pub fn position(&self) -> Option<SourcePosition> {
        runtime().symbols.position(self.method, self.il_offset?)
    }
}

/// The frames of an address in a trace: that of the method whose code it is in, and before it those of the methods that were inlined there.
pub fn frames_at(address: usize) -> impl Iterator<Item = TracedFrame> {
    let code = runtime().code_map.find_call(address);
    code.into_iter().flat_map(move |code| {
        let native_offset = (address - code.start) as u32;
        let is_entry = native_offset == ENTRY_OFFSET;
        let entry = code.method().filter(|_| is_entry).map(|method| (method, code.il_offset(address)));
        let frames = (!is_entry).then(|| code.frames(address)).into_iter().flatten();
        let frame = move |(method, il_offset)| TracedFrame { method, il_offset, native_offset };
        entry.into_iter().chain(frames).map(frame)
    })
}

/// A line of a trace as Mono writes it, without the `at`.
pub fn line(frame: &TracedFrame) -> String {
    if let Some(kind) = wrapper_kind(frame) {
        return wrapper_text(kind, frame.method);
    }
    let types = &runtime().types;
    let offset = frame.il_offset.unwrap_or(0);
    let place = match frame.position() {
        Some(position) => format!("{}:{}", position.file, position.line),
        None => format!("<{}>:0", mvid_text(&types.assembly(types.method(frame.method).assembly).mvid())),
    };
    format!("{} [0x{offset:05x}] in {place} ", method_text(frame.method))
}

fn mvid_text(mvid: &[u8; 16]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    order.iter().map(|&index: &usize| format!("{:02x}", mvid[index])).collect()
}

/// `Namespace.Type.Method[T] (System.Int32 x)`
pub fn method_text(method: MethodId) -> String {
    let types = &runtime().types;
    let data = types.method(method);
    let definition = types.generic_definition(method);
    let type_name = |ty: TypeId| types.trace_name(ty, definition);
    let mut text = format!("{}.{}{}", type_name(data.owner), types.method_name(method), types.trace_type_params(definition));
    let names = metadata::parameter_names(method);
    let params: Vec<String> = match types.method_signature(definition) {
        Ok(signature) => signature
            .params
            .iter()
            .enumerate()
            .map(|(index, &ty)| match names.get(index) {
                Some(name) if !name.is_empty() => format!("{} {name}", type_name(ty)),
                _ => type_name(ty),
            })
            .collect(),
        Err(_) => Vec::new(),
    };
    text.push_str(&format!(" ({})", params.join(", ")));
    text
}

/// The kind of the wrapper whose frame it is, as Mono calls it: of what is native code itself, or of what native code has called.
fn wrapper_kind(frame: &TracedFrame) -> Option<&'static str> {
    let method = runtime().types.method(frame.method);
    if frame.native_offset == ENTRY_OFFSET {
        return Some("native-to-managed");
    }
    (method.is_internal_call() || method.is_pinvoke()).then_some("managed-to-native")
}

/// `(wrapper managed-to-native) Namespace.Type.Method(Namespace.Type,int)`: the name of a wrapper; one of native code takes `this` first.
fn wrapper_text(kind: &str, method: MethodId) -> String {
    let types = &runtime().types;
    let data = types.method(method);
    let mut params = Vec::new();
    if let Ok(signature) = types.method_signature(method) {
        params.extend((signature.has_this && kind == "managed-to-native").then_some(data.owner));
        params.extend(&signature.params);
    }
    let params: Vec<String> = params.into_iter().map(|param| types.type_name(param)).collect();
    let owner = types.trace_name(data.owner, method);
    format!("(wrapper {kind}) {owner}.{}({})", types.method_name(method), params.join(","))
}

static NATIVE_OFFSET: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "nativeOffset");
static IL_OFFSET: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "ilOffset");
static METHOD: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "methodBase");
static FILE: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "fileName");
static LINE: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "lineNumber");
static COLUMN: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "columnNumber");
static NAME: KnownField = KnownField::new("System.Diagnostics", "StackFrame", "internalMethodName");

/// `System.Diagnostics.StackTrace.get_trace`: the frames of an exception from `skip` on, or null without a trace.
/// `with_source`: and where in the source they are.
pub fn managed_frames(exception: ObjectRef, skip: usize, with_source: bool) -> Result<ArrayRef> {
    frame_objects(&frames(exception.argument("e")?), skip, with_source)
}

/// An array of `StackFrame`s for the frames of a trace from `skip` on; `with_source`: and where in the source they are.
pub fn frame_objects(all: &[TracedFrame], skip: usize, with_source: bool) -> Result<ArrayRef> {
    let class = core_class("System.Diagnostics", "StackFrame")?;
    let exact = exact_frames::exact_methods(all);
    let frames = all.iter().zip(exact).skip(skip);
    let array = ArrayRef::new(class, frames.len())?;
    for (index, (traced, exact)) in frames.enumerate() {
        let frame = object::allocate(method_table::method_table(class)?)?;
        array.set_ref(index, frame);
        IL_OFFSET.set(frame, traced.il_offset.map_or(-1, |offset| offset as i32));
        NATIVE_OFFSET.set(frame, traced.native_offset as i32);
        if let Some(position) = with_source.then(|| traced.position()).flatten() {
            FILE.set_ref(frame, StringRef::new(&position.file)?.object());
            LINE.set(frame, position.line as i32);
            COLUMN.set(frame, position.column as i32);
        }
        // The class library writes a frame with a method as Mono does; the name serves where reflection cannot show the method, and for wrappers.
        let shown = match wrapper_kind(traced) {
            Some(_) => None,
            None => reflection::method_object(exact.unwrap_or(traced.method), None).ok(),
        };
        match shown {
            Some(method) => METHOD.set_ref(frame, method),
            None => NAME.set_ref(frame, StringRef::new(&line(traced))?.object()),
        }
    }
    Ok(array)
}
