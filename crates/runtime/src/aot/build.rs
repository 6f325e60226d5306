//! What code in images and this runtime agree on, for whoever compiles images.

use crate::compile;
use aot_writer::tables::FORMAT_VERSION;
use compiler::abi::{Abi, HelperId};
use ir::mach::{Architecture, CodegenOptions, LinkModel};
use std::fmt::Write;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// Hash by which an image is bound to the content of an assembly file.
pub fn content_hash(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// [`content_hash`] of a file.
pub fn content_hash_of_file(path: &Path) -> std::io::Result<u128> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    let mut hash = Xxh3::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.digest128()),
            Ok(count) => hash.update(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Settings of code generation for images: for any machine of the architecture.
pub fn image_codegen_options(architecture: Architecture, optimize_allocation: bool) -> CodegenOptions {
    CodegenOptions {
        link: LinkModel::Pic,
        thread: Abi::of(architecture).thread_layout(),
        optimize_allocation,
        check_allocation: cfg!(debug_assertions),
        cpu_features: 0,
        raise_trap: HelperId::RaiseTrap as u16,
        resume_unwind: HelperId::ResumeUnwind as u16,
        end_filter: HelperId::EndFilter as u16,
        cell_resolver: Some(HelperId::ResolveCell as u16),
    }
}

/// Offsets that compiled code relies on.
const OFFSETS: &[fn(Abi) -> i32] = &[
    Abi::object_method_table,
    Abi::object_sync,
    Abi::object_fields,
    Abi::boxed_payload,
    Abi::length,
    Abi::string_chars,
    Abi::argument_list_entries,
    Abi::vector_data,
    Abi::array_bounds,
    Abi::method_table_base_size,
    Abi::method_table_component_size,
    Abi::method_table_flags,
    Abi::method_table_type,
    Abi::method_table_depth,
    Abi::method_table_parent,
    Abi::method_table_element,
    Abi::method_table_display,
    Abi::method_table_interfaces,
    Abi::method_table_statics,
    Abi::method_table_reference_statics,
    Abi::method_table_type_object,
    Abi::method_table_interface_slots,
    Abi::method_table_slots,
    Abi::thread_statics,
    Abi::thread_filter_sp,
];

/// Fingerprint of everything that code in an image takes for granted: helpers, layouts, sequences, the format, and the sources of all that
/// decides about them. An image with another one is refused.
pub fn abi_fingerprint(architecture: Architecture) -> u64 {
    let abi = Abi::of(architecture);
    let mut text = format!("{} {FORMAT_VERSION} {abi:?}\n", env!("SAKI_SOURCE_FINGERPRINT"));
    // Writing to a string does not fail.
    for helper in HelperId::ALL {
        let _ = writeln!(text, "{:?}", helper.info());
    }
    for offset in OFFSETS {
        let _ = write!(text, "{} ", offset(abi));
    }
    let _ = write!(text, "{:?} {:?}", compile::expand_options(abi), abi.thread_layout());
    xxh3_64(text.as_bytes())
}
