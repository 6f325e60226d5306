//! A loaded image: its methods, what the unwinder must know of them, and its cells. All of it is decoded when it is first asked for.

use super::mapping;
use crate::code_map::{CodeKind, CodeRange, InlinedMethod};
use crate::domain::{self, Domain};
use crate::exceptions::{Exception, Result};
use crate::id_table::IdTable;
use crate::runtime;
use aot_writer::info::CodeInfo;
use aot_writer::reader::{EntryKey, Image, MethodEntry};
use aot_writer::tables::Field;
use compiler::ahead::clauses::{self, Clauses};
use compiler::description::{CellDescription, DescriptionReader, DescriptionWriter};
use compiler::env::CellRequest;
use il::types::{AssemblyId, MethodId, MethodKind};
use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// How many of the methods that addresses have led to an image remembers. A trace or an exception comes to the same calls again and again.
const RECENT: usize = 256;

/// An image in memory, for the life of the process.
pub struct LoadedImage {
    /// The assembly that it is for.
    pub assembly: AssemblyId,
    /// The number of the domain that it is for: another has another mapping, as the cells are part of it.
    pub domain: i32,
    /// Addresses of its code.
    pub text: Range<usize>,
    image: Image<'static>,
    /// Address of the first numbered cell.
    cells: usize,
    /// Assemblies by their number in descriptions.
    assemblies: Vec<AssemblyId>,
    /// Where the file is mapped.
    base: usize,
    /// The file, for mappings in other domains.
    file: Option<File>,
    /// What is decoded of each method.
    ranges: Box<[AtomicPtr<CodeRange>]>,
    /// Those that addresses have led to lately, by the low bits of the address.
    recent: [AtomicPtr<CodeRange>; RECENT],
    /// Number of methods that were found.
    used: AtomicU32,
}

impl LoadedImage {
    /// An image whose section `.saki` lies at an address, with everything checked. Fills the cells of the helpers.
    pub(super) fn new(
        assembly: AssemblyId,
        section: *const u8,
        assemblies: Vec<AssemblyId>,
        file: Option<File>,
    ) -> Option<&'static LoadedImage> {
        // SAFETY: the file passed its checks.
        let image = unsafe { at(section) }?;
        let base = section as usize - image.field(Field::SectionAddress) as usize;
        let text = base + image.field(Field::TextAddress) as usize;
        let helpers = base + image.field(Field::CellsAddress) as usize;
        let helper_count = image.field(Field::HelperCount);
        for helper in 0..helper_count as u16 {
            let value = runtime().code.helper_cell(helper).load(Ordering::Relaxed);
            place(helpers + usize::from(helper) * size_of::<usize>()).store(value, Ordering::Relaxed);
        }
        let ranges = std::iter::repeat_with(AtomicPtr::default).take(image.field(Field::MethodCount) as usize);
        Some(Box::leak(Box::new(LoadedImage {
            assembly,
            domain: domain::current().id,
            text: text..text + image.field(Field::TextLength) as usize,
            image,
            cells: helpers + helper_count as usize * size_of::<usize>(),
            assemblies,
            base,
            file,
            ranges: ranges.collect(),
            recent: [const { AtomicPtr::new(std::ptr::null_mut()) }; RECENT],
            used: AtomicU32::new(0),
        })))
    }

    /// The same image for another domain, with cells of its own.
    pub(super) fn map_again(&self, domain: &'static Domain) -> Option<&'static LoadedImage> {
        let file = self.file.as_ref()?;
        // SAFETY: the image passed its checks when it was mapped the first time, from this file.
        let base = unsafe { mapping::map_again(self.base as *const u8, file) }.ok()?;
        let section = base + self.image.field(Field::SectionAddress) as usize;
        domain::enter(domain, || LoadedImage::new(self.assembly, section as *const u8, self.assemblies.clone(), None))
    }

    /// Address of the code of a method, if the image has it.
    pub fn find(&self, method: MethodId) -> Option<usize> {
        let types = &runtime().types;
        let data = types.method(method);
        let is_instance = !data.method_args.is_empty() || !types.type_args(data.owner).is_empty();
        let entry = match data.kind {
            MethodKind::Definition { row } if !is_instance => self.image.definition(row)?,
            _ => self.image.instance(&self.describe(method)?)?,
        };
        self.used.fetch_add(1, Ordering::Relaxed);
        Some(self.text.start + entry.code_offset as usize)
    }

    /// Number of methods that were looked for and found. Calls inside of the image look for nothing.
    pub fn used_methods(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    /// Number of methods and stubs in the image.
    pub fn method_count(&self) -> usize {
        self.ranges.len()
    }

    /// A method's description in this image; `None` if it speaks of assemblies that the image does not know.
    fn describe(&self, method: MethodId) -> Option<Vec<u8>> {
        let mut is_known = true;
        let mut number = |id: AssemblyId| match self.assemblies.iter().position(|&known| known == id) {
            Some(number) => number as u32,
            None => {
                is_known = false;
                0
            }
        };
        let mut writer = DescriptionWriter::new(&runtime().types, &mut number);
        writer.method(method);
        let description = writer.take();
        is_known.then_some(description)
    }

    fn assembly_number(&self, number: u32) -> il::Result<AssemblyId> {
        let known = self.assemblies.get(number as usize).copied();
        known.ok_or_else(|| il::Error::bad_image("a description in the AOT image names an assembly that the image does not list"))
    }

    /// Whether the collector may stop a thread at an address in the text. Decodes nothing.
    pub fn is_interruptible(&self, address: usize) -> bool {
        let offset = (address - self.text.start) as u32;
        self.image.method_at(offset).is_some_and(|entry| self.image.is_interruptible(entry, offset))
    }

    /// The method or stub at an address in the text.
    pub fn range(&self, address: usize) -> Option<&CodeRange> {
        let recent = &self.recent[address % RECENT];
        // SAFETY: null or a decoded range, which is never freed.
        match unsafe { recent.load(Ordering::Acquire).as_ref() } {
            Some(range) if (range.start..range.end).contains(&address) => Some(range),
            _ => {
                let range = self.find_range(address)?;
                recent.store(std::ptr::from_ref(range).cast_mut(), Ordering::Release);
                Some(range)
            }
        }
    }

    fn find_range(&self, address: usize) -> Option<&CodeRange> {
        let entry = self.image.method_at((address - self.text.start) as u32)?;
        let decoded = self.ranges.get(entry.index as usize)?;
        let mut range = decoded.load(Ordering::Acquire);
        if range.is_null() {
            range = Box::into_raw(Box::new(self.decode(entry)?));
            if let Err(other) = decoded.compare_exchange(std::ptr::null_mut(), range, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: another thread was first; ours was never shared.
                drop(unsafe { Box::from_raw(range) });
                range = other;
            }
        }
        // SAFETY: made above, never freed.
        unsafe { range.as_ref() }
    }

    fn decode(&self, entry: MethodEntry) -> Option<CodeRange> {
        let types = &runtime().types;
        let assembly = |number| self.assembly_number(number);
        let kind = match self.image.key(entry) {
            None => CodeKind::Stub,
            Some(EntryKey::Definition(row)) => CodeKind::Method(types.method_definition(self.assembly, row).ok()?),
            Some(EntryKey::Instance(key)) => CodeKind::Method(DescriptionReader::new(types, &assembly, key).method().ok()?),
        };
        let CodeInfo { mut code, inline_sites, clauses } = self.image.info(entry)?;
        let Clauses { regions, catch_types, region_changes } =
            clauses::decode(&mut DescriptionReader::new(types, &assembly, clauses)).ok()?;
        code.region_changes = region_changes;
        let inline_sites = inline_sites.iter().map(|site| site.with_callee(InlinedMethod::InImage(site.callee))).collect();
        let start = self.text.start + entry.code_offset as usize;
        Some(CodeRange::new(start, kind, &code, regions, catch_types, inline_sites))
    }

    /// The method that inline sites name by this number.
    pub fn inlined_method(&self, number: u32) -> Option<MethodId> {
        let assembly = |number| self.assembly_number(number);
        DescriptionReader::new(&runtime().types, &assembly, self.image.inlined_method(number)?).method().ok()
    }

    /// Number of the cell at an address.
    fn cell_number(&self, address: usize) -> Option<u32> {
        let number = (address.checked_sub(self.cells)? / size_of::<usize>()) as u32;
        (number < self.image.field(Field::CellCount)).then_some(number)
    }

    /// What a cell asks for. Cells that only stand for an error keep the number that it has in this process; those for a
    /// lookup keep its answers.
    fn request(&self, number: u32, address: usize) -> Result<CellRequest> {
        let runtime = runtime();
        let bytes = self.image.cell(number).ok_or_else(|| Exception::engine("a cell of an image has no description"))?;
        let assembly = |number| self.assembly_number(number);
        let memory = place(address);
        let known = || (memory.load(Ordering::Acquire) as u32).checked_sub(1);
        Ok(match DescriptionReader::new(&runtime.types, &assembly, bytes).cell()? {
            CellDescription::Request(request) => request,
            CellDescription::Lookup(lookup) => CellRequest::GenericLookup(domain::current().cells.image_lookup(address, lookup)),
            CellDescription::Error(kind, message, name) => CellRequest::DeferredError(known().unwrap_or_else(|| {
                let error = il::Error::new(kind, message);
                let number = domain::current().cells.add_error(match name {
                    Some(name) => error.with_name(name),
                    None => error,
                });
                memory.store(number as usize + 1, Ordering::Release);
                number
            })),
        })
    }
}

/// The section `.saki` in memory.
///
/// # Safety
/// It is that of a file which passed its checks, so that it has a header and its length is that of the mapping, and it stays mapped while the
/// result is in use.
pub unsafe fn at(section: *const u8) -> Option<Image<'static>> {
    // SAFETY: as the caller promises.
    unsafe {
        let header = std::slice::from_raw_parts(section, aot_writer::tables::HEADER_BYTES);
        let length = Image::from_section(header).ok()?.field(Field::SectionLength);
        Image::from_section(std::slice::from_raw_parts(section, length as usize)).ok()
    }
}

/// A cell.
pub fn place(address: usize) -> &'static AtomicUsize {
    // SAFETY: only called for addresses of cells of the JIT or of loaded images, which are aligned, writable and never unmapped.
    unsafe { &*(address as *const AtomicUsize) }
}

/// All loaded images; read without a lock.
#[derive(Default)]
pub struct ImageList {
    images: IdTable<AtomicPtr<LoadedImage>>,
    count: AtomicU32,
}

impl ImageList {
    /// Adds an image. Calls come one at a time.
    pub fn add(&self, image: &'static LoadedImage) {
        let index = self.count.load(Ordering::Relaxed);
        self.images.entry(index).store(std::ptr::from_ref(image).cast_mut(), Ordering::Release);
        self.count.store(index + 1, Ordering::Release);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static LoadedImage> {
        let count = self.count.load(Ordering::Acquire);
        // SAFETY: images are never freed.
        (0..count).filter_map(|index| unsafe { self.images.get(index)?.load(Ordering::Acquire).as_ref() })
    }

    /// The image whose text contains an address, or ends with it.
    pub fn at(&self, address: usize) -> Option<&'static LoadedImage> {
        self.iter().find(|image| image.text.start <= address && address <= image.text.end)
    }

    /// What the cell at an address asks for, if it is one of an image.
    pub fn request(&self, address: usize) -> Option<Result<CellRequest>> {
        let (image, number) = self.iter().find_map(|image| Some((image, image.cell_number(address)?)))?;
        Some(image.request(number, address))
    }
}
