//! Code compiled ahead of time: finding images, and methods in them.
//!
//! An image is looked for when the first method of its assembly is needed. Everything about a single method is decoded when it is first
//! asked for; until then an image costs its checks and a mapping.

mod build;
mod image;
mod log;
mod mapping;
mod probe;

pub use build::{abi_fingerprint, content_hash, image_codegen_options};
pub use image::{ImageList, LoadedImage, place};

use crate::domain;
use crate::exceptions::{Exception, Result};
use crate::id_table::IdTable;
use crate::{cells, methods, runtime};
use compiler::env::CellRequest;
use il::types::{AssemblyId, MethodId, MethodKind, TypeId};
use log::Level;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// What the command line says about images.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AotOptions {
    /// Use them.
    pub enabled: bool,
    /// More folders to look in.
    pub paths: Vec<PathBuf>,
}

impl Default for AotOptions {
    fn default() -> AotOptions {
        AotOptions { enabled: true, paths: Vec::new() }
    }
}

/// The images of the process by assembly.
#[derive(Default)]
pub struct Images {
    by_assembly: IdTable<OnceLock<Option<&'static LoadedImage>>>,
    /// Held while an image is added to the list.
    adding: Mutex<()>,
    /// Hashes of assembly files.
    hashes: Mutex<FxHashMap<AssemblyId, u128>>,
}

impl Images {
    /// The image of an assembly, loaded if there is one.
    fn of(&self, assembly: AssemblyId) -> Option<&'static LoadedImage> {
        *self.by_assembly.entry(assembly.0).get_or_init(|| {
            let (domain, root) = (domain::current(), runtime().root_domain());
            let image = match domain.is_root() {
                true => probe::load(assembly)?,
                false => domain::enter(root, || root.images.of(assembly))?.map_again(domain)?,
            };
            let _adding = root.images.adding.lock();
            runtime().code_map.images.add(image);
            Some(image)
        })
    }
}

/// The code of a canonical method in an image.
pub fn find(method: MethodId) -> Option<usize> {
    let runtime = runtime();
    if !runtime.options.aot.enabled {
        return None;
    }
    let found = search(method);
    if log::level() >= Level::Debug {
        let name = runtime.types.method_full_name(method);
        match found {
            Some(address) => {
                let range = runtime.code_map.find(address);
                let end = range.map_or(address, |range| range.end);
                log::write(Level::Debug, format_args!(": FOUND method {name} [{address:#x} - {end:#x}]"));
            }
            None => log::write(Level::Debug, format_args!(" NOT FOUND: {name}.")),
        }
    }
    found
}

fn search(method: MethodId) -> Option<usize> {
    let runtime = runtime();
    let domain = domain::current();
    let types = &runtime.types;
    let data = types.method(method);
    if let MethodKind::Array(_) = data.kind {
        return None;
    }
    if let Some(code) = domain.images.of(data.assembly).and_then(|image| image.find(method)) {
        return Some(code);
    }
    // Instances lie with whoever needed them.
    let args = types.type_args(data.owner).iter().chain(&data.method_args);
    let assemblies: Vec<AssemblyId> = args.filter_map(|&arg| assembly_of(arg)).collect();
    if assemblies.is_empty() && data.method_args.is_empty() && types.type_args(data.owner).is_empty() {
        return None;
    }
    for assembly in assemblies {
        if let Some(code) = domain.images.of(assembly).and_then(|image| image.find(method)) {
            return Some(code);
        }
    }
    runtime.code_map.images.iter().filter(|image| image.domain == domain.id).find_map(|image| image.find(method))
}

/// The assembly of a type or its elements.
fn assembly_of(mut ty: TypeId) -> Option<AssemblyId> {
    let types = &runtime().types;
    while let Some(element) = types.element_type(ty) {
        ty = element;
    }
    types.definition_of(ty).map(|(assembly, _)| assembly)
}

/// Helper behind import stubs: the code of the method that the cell at an address names, which from now on is in the cell.
pub fn resolve_import(address: usize) -> Result<usize> {
    let CellRequest::MethodEntry(method) = cells::request_at(address)? else {
        return Err(Exception::engine("an import stub of an image without a method"));
    };
    let code = methods::code(method)?;
    place(address).store(code, Ordering::Release);
    Ok(code)
}
