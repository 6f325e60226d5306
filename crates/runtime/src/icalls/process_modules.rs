//! `Process.Modules`: the files that a process has mapped, its program first, and after them the assemblies of the current domain if it is this
//! process.

use super::app_domains::shown_assemblies;
use super::{InternalCall, icall, processes, raising};
use crate::class_library::class_in;
use crate::exceptions::{Exception, Result};
use crate::method_table::method_table;
use crate::named_fields::Fields;
use crate::object::{self, ArrayRef, ObjectRef};
use crate::runtime;
use il::types::{AssemblyId, LoadContext, TypeId};
use std::fs;
use std::path::Path;

/// A mapped file.
struct MappedFile {
    path: String,
    start: usize,
    end: usize,
    offset: usize,
}

/// The first mapping of each file of a process, in the order of their addresses but for the program's, which comes first.
fn mapped_files(process: i32) -> Vec<MappedFile> {
    let program = fs::read_link(format!("/proc/{process}/exe")).ok();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    let mut files: Vec<MappedFile> = Vec::new();
    for file in maps.lines().filter_map(mapped_file) {
        if !files.iter().any(|known| known.path == file.path) {
            files.push(file);
        }
    }
    files.sort_by_key(|file| program.as_deref() != Some(Path::new(&file.path)));
    files
}

/// A line of `/proc/PID/maps` that is about a file: addresses, permissions, offset, device, number of the file, path.
fn mapped_file(line: &str) -> Option<MappedFile> {
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let offset = words.nth(1)?;
    let path = line.get(line.find('/')?..)?;
    Some(MappedFile { path: path.to_owned(), start: number(start)?, end: number(end)?, offset: number(offset)? })
}

/// The classes of what is made here.
struct Classes {
    module: TypeId,
    version_info: TypeId,
}

impl Classes {
    /// Those beside the class of the `Process`.
    fn of(process: ObjectRef) -> Result<Classes> {
        let types = &runtime().types;
        let (assembly, _) = types.definition_of(process.check()?.type_id()).ok_or_else(Exception::null_reference)?;
        let find = |name: &str| class_in(assembly, "System.Diagnostics", name);
        Ok(Classes { module: find("ProcessModule")?, version_info: find("FileVersionInfo")? })
    }

    /// A `ProcessModule` of this name; its version is yet to be filled in.
    fn module(&self, file: &str, name: &str, memory: (usize, usize)) -> Result<(Fields, Fields)> {
        let module = Fields::of(object::allocate(method_table(self.module)?)?)?;
        let version = Fields::of(object::allocate(method_table(self.version_info)?)?)?;
        module.set_reference("version_info", version.object())?;
        module.set_text("filename", file)?;
        module.set_text("modulename", name)?;
        module.set_word("baseaddr", memory.0)?;
        module.set_int("memory_size", memory.1 as i32)?;
        version.set_text("filename", file)?;
        Ok((module, version))
    }

    fn of_file(&self, file: &MappedFile) -> Result<ObjectRef> {
        let name = Path::new(&file.path).file_name().unwrap_or_default().to_string_lossy();
        let (module, _) = self.module(&file.path, &name, (file.start, file.end - file.start))?;
        module.set_word("entryaddr", file.offset)?;
        Ok(module.object())
    }

    fn of_assembly(&self, assembly: AssemblyId) -> Result<ObjectRef> {
        let loaded = runtime().types.assembly(assembly);
        let (name, bytes) = (loaded.name(), loaded.image().bytes());
        let file = format!("[In Memory] {}", name.name);
        let (module, version) = self.module(&file, &name.name, (bytes.as_ptr().addr(), bytes.len()))?;
        let parts = [name.version.major, name.version.minor, name.version.build, name.version.revision];
        for (field, part) in ["filemajorpart", "fileminorpart", "filebuildpart", "fileprivatepart"].into_iter().zip(parts) {
            version.set_int(field, i32::from(part))?;
        }
        Ok(module.object())
    }
}

extern "C" fn modules(this: ObjectRef, handle: isize) -> ArrayRef {
    raising(|| {
        let classes = Classes::of(this)?;
        let process = processes::number_of(handle);
        let files = process.map_or_else(Vec::new, mapped_files);
        let is_own = process.and_then(|process| u32::try_from(process).ok()) == Some(std::process::id());
        let assemblies = if is_own { shown_assemblies(LoadContext::Execution) } else { Vec::new() };
        let array = ArrayRef::new(classes.module, files.len() + assemblies.len())?;
        for (index, file) in files.iter().enumerate() {
            array.set_ref(index, classes.of_file(file)?);
        }
        for (index, &assembly) in assemblies.iter().enumerate() {
            array.set_ref(files.len() + index, classes.of_assembly(assembly)?);
        }
        Ok(array)
    })
}

pub(super) const TABLE: &[InternalCall] = &[icall("System.Diagnostics.Process:GetModules_icall (intptr)", modules as *const ())];
