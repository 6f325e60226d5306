//! The state of the process as a JSON text, in the format of Mono's crash reports: what the runtime is, and what threads are doing or where an
//! exception came from. What Saki does not know, such as the frames of native code or how long collections took, the text leaves out.

use crate::emit::tokens;
use crate::icalls::threads::ThreadTrace;
use crate::stack_trace::TracedFrame;
use crate::{gc, runtime};
use il::types::MethodId;
use il::{TableId, Token};
use std::fmt::Write;

/// Version of the format.
const PROTOCOL: &str = "0.0.5";
/// Mono's version, which the class library belongs to, and Saki's.
pub const RUNTIME_VERSION: &str = concat!("6.8.0.105 (Saki ", env!("CARGO_PKG_VERSION"), ")");

/// Sums over the frames of a stack by which equal ones are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackHashes {
    /// Of assemblies and methods: the same in all processes.
    pub portable: u64,
    /// The same with the offsets in the methods.
    pub exact: u64,
}

impl StackHashes {
    /// The sums over frames.
    pub fn of<'a>(frames: impl IntoIterator<Item = &'a TracedFrame>) -> StackHashes {
        let mut hashes = StackHashes::default();
        for frame in frames {
            let assembly = runtime().types.method(frame.method).assembly;
            let name = &runtime().types.assembly(assembly).name().name;
            let method = u64::from(text_hash(name)).wrapping_add(u64::from(token(frame.method)));
            hashes.portable = hashes.portable.wrapping_add(method);
            // What is not known counts as -1.
            let offset = frame.il_offset.map_or(-1, i64::from);
            hashes.exact = hashes.exact.wrapping_add(method).wrapping_add_signed(offset);
        }
        hashes
    }
}

/// Mono's hash of names in metadata.
fn text_hash(text: &str) -> u32 {
    text.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add_signed(i32::from(byte as i8)))
}

/// The token of a method's definition; 0 for one without.
fn token(method: MethodId) -> u32 {
    let declaration = runtime().types.method(method);
    let shown = |row| tokens::shown(declaration.assembly, Token::new(TableId::MethodDef, row)).0;
    declaration.row().map_or(0, shown)
}

/// An exception in a dump.
pub struct DumpedException {
    /// Its class.
    pub class: String,
    /// Where it was thrown and came through.
    pub frames: Vec<TracedFrame>,
}

/// The state with threads, of which that of the caller counts as the one that the dump is about.
pub fn of_threads(threads: &[ThreadTrace]) -> String {
    let threads = threads.iter().map(|thread| {
        let mut fields = head(true, StackHashes::of(&thread.frames), thread.is_current(), thread.addresses);
        if !thread.name.is_empty() {
            fields.push(("thread_name", quoted(&thread.name)));
        }
        fields.push(("managed_frames", list(thread.frames.iter().map(frame))));
        object(fields)
    });
    whole(threads)
}

/// The state with an exception and those within it, the outermost first.
pub fn of_exceptions(exceptions: &[DumpedException], hashes: StackHashes) -> String {
    let mut fields = head(false, hashes, true, (0, 0));
    if !exceptions.is_empty() {
        let exceptions = exceptions.iter().map(|exception| {
            object([("type", quoted(&exception.class)), ("managed_frames", list(exception.frames.iter().map(frame)))])
        });
        fields.push(("exceptions", list(exceptions)));
    }
    whole(std::iter::once(object(fields)))
}

/// What the text says of each thread, or of the place of one.
fn head(is_managed: bool, hashes: StackHashes, is_subject: bool, addresses: (usize, usize)) -> Vec<(&'static str, String)> {
    vec![
        ("is_managed", is_managed.to_string()),
        ("offset_free_hash", hexadecimal(hashes.portable)),
        ("offset_rich_hash", hexadecimal(hashes.exact)),
        ("crashed", is_subject.to_string()),
        ("native_thread_id", hexadecimal(addresses.1 as u64)),
        ("thread_info_addr", hexadecimal(addresses.0 as u64)),
    ]
}

fn whole(threads: impl Iterator<Item = String>) -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    };
    let [young, all] = gc::collection_counts();
    let text = object([
        ("protocol_version", quoted(PROTOCOL)),
        (
            "configuration",
            object([
                ("version", quoted(RUNTIME_VERSION)),
                ("tlc", quoted("__thread")),
                ("sigsgev", quoted("altstack")),
                ("notifications", quoted("epoll")),
                ("architecture", quoted(architecture)),
                ("disabled_features", quoted("none")),
                ("smallconfig", quoted("disabled")),
                ("bigarrays", quoted("disabled")),
                ("softdebug", quoted("enabled")),
                ("interpreter", quoted("enabled")),
                ("llvm_support", quoted("disabled")),
                ("suspend", quoted("hybrid")),
            ]),
        ),
        ("memory", object([("minor_gc_count", quoted(&young.to_string())), ("major_gc_count", quoted(&all.to_string()))])),
        ("threads", list(threads)),
    ]);
    indented(&text)
}

fn frame(frame: &TracedFrame) -> String {
    let types = &runtime().types;
    let assembly = types.assembly(types.method(frame.method).assembly);
    object([
        ("is_managed", quoted("true")),
        ("guid", quoted(&guid(assembly.mvid()))),
        ("token", quoted(&format!("{:#07x}", token(frame.method)))),
        ("native_offset", hexadecimal(u64::from(frame.native_offset))),
        ("filename", quoted(assembly.module_name())),
        ("sizeofimage", hexadecimal(u64::from(assembly.image().memory_size()))),
        ("timestamp", hexadecimal(u64::from(assembly.image().time_stamp()))),
        ("il_offset", quoted(&format!("{:#07x}", frame.il_offset.unwrap_or(u32::MAX)))),
    ])
}

/// An identity as it is written, in capitals.
fn guid(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let (first, second, third) = (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
    let mut text = format!("{first:08X}-{second:04X}-{third:04X}-");
    for (index, byte) in rest.iter().enumerate() {
        let separator = if index == 2 { "-" } else { "" };
        let _ = write!(text, "{separator}{byte:02X}");
    }
    text
}

fn hexadecimal(number: u64) -> String {
    format!("\"{number:#x}\"")
}

/// A text as JSON writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if u32::from(control) < 0x20 => drop(write!(quoted, "\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

fn object(fields: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
    format!("{{\n{}\n}}", fields.join(",\n"))
}

fn list(elements: impl Iterator<Item = String>) -> String {
    format!("[\n{}\n]", elements.collect::<Vec<_>>().join(",\n"))
}

/// The lines of a text, indented by how deep in braces and brackets they are.
fn indented(text: &str) -> String {
    let mut depth = 0usize;
    let mut indented = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        depth -= usize::from(line.starts_with(['}', ']']));
        let _ = writeln!(indented, "{:width$}{line}", "", width = 2 * depth);
        depth += usize::from(line.ends_with(['{', '[']));
    }
    indented.pop();
    indented
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_json() {
        assert_eq!(quoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
        let text = object([("a", list(std::iter::empty())), ("b", list([object([("c", quoted("{"))])].into_iter()))]);
        assert_eq!(indented(&text), "{\n  \"a\" : [\n  ],\n  \"b\" : [\n    {\n      \"c\" : \"{\"\n    }\n  ]\n}");
    }

    #[test]
    fn hashes_and_identities_are_those_of_mono() {
        assert_eq!(text_hash("dump"), 3_095_028);
        let bytes = [0xcd, 0x2f, 0x0a, 0xf9, 0x18, 0x1c, 0x61, 0x47, 0x99, 0xe0, 0x28, 0x3b, 0x6f, 0xc3, 0x29, 0x6a];
        assert_eq!(guid(bytes), "F90A2FCD-1C18-4761-99E0-283B6FC3296A");
    }
}
