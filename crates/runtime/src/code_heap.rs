//! Memory for compiled code and for the cells it reads. No page is ever writable and executable: the code area is mapped twice,
//! once to run and once to write; the cells lie behind it, within reach of relative addressing.
//!
//! Nothing in the code area is patched after it was published. Code that may be freed, that of dynamic methods, lies at the end of the area in whole
//! [`GRANULE_BYTES`], which are used again; all other code is put one behind the other from the start.

use crate::exceptions::{Exception, Result};
use ir::function::SymbolRef;
use ir::mach::{Backend, CompiledCode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const CODE_BYTES: usize = if size_of::<usize>() == 8 { 512 << 20 } else { 32 << 20 };
const CELL_BYTES: usize = if size_of::<usize>() == 8 { 128 << 20 } else { 8 << 20 };
const PAGE_BYTES: usize = 4096;
/// Cells that hold the addresses of helpers, before the numbered ones.
const HELPER_CELLS: u32 = 256;

/// What code that may be freed takes is a multiple of this.
pub const GRANULE_BYTES: usize = 128;

/// Which parts of the code area are taken, as offsets.
struct Space {
    /// End of the code that stays.
    used: usize,
    /// Start of the code that may be freed.
    granules: usize,
    /// Free areas behind that, by start, with their lengths; no two of them touch.
    free: BTreeMap<usize, usize>,
}

impl Space {
    /// Takes whole granules.
    fn take_granules(&mut self, bytes: usize) -> Option<usize> {
        let found = self.free.iter().find(|&(_, &length)| length >= bytes).map(|(&start, &length)| (start, length));
        if let Some((start, length)) = found {
            self.free.remove(&start);
            if length > bytes {
                self.free.insert(start + bytes, length - bytes);
            }
            return Some(start);
        }
        let start = self.granules.checked_sub(bytes).filter(|&start| start >= self.used)?;
        self.granules = start;
        Some(start)
    }

    fn give_back(&mut self, mut start: usize, mut bytes: usize) {
        if let Some(behind) = self.free.remove(&(start + bytes)) {
            bytes += behind;
        }
        if let Some((&before, &length)) =
            self.free.range(..start).next_back().filter(|(before, length)| *before + *length == start)
        {
            start = before;
            bytes += length;
        }
        self.free.insert(start, bytes);
    }
}

/// Granules that code of this length takes. A return address behind its last instruction lies in them, too.
fn granule_bytes(length: usize) -> usize {
    (length + 1).next_multiple_of(GRANULE_BYTES)
}

/// How long code stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeLife {
    /// As long as the process.
    Process,
    /// Until [`CodeHeap::free`].
    Freed,
}

/// The code heap.
pub struct CodeHeap {
    /// Start of the view that runs.
    code: usize,
    /// Start of the view that is written.
    writable: usize,
    /// What both show.
    file: OwnedFd,
    cells: usize,
    space: Mutex<Space>,
    cell_count: AtomicU32,
    free_cells: Mutex<Vec<u32>>,
}

impl CodeHeap {
    /// Reserves the areas; memory is taken as it is used.
    pub fn new() -> std::io::Result<CodeHeap> {
        let failed = || Err(std::io::Error::last_os_error());
        // SAFETY: plain system calls; the mappings are fresh and stay for the life of the process.
        unsafe {
            let file = libc::memfd_create(c"saki-code".as_ptr(), libc::MFD_CLOEXEC);
            if file < 0 {
                return failed();
            }
            let file = OwnedFd::from_raw_fd(file);
            if libc::ftruncate(file.as_raw_fd(), CODE_BYTES as libc::off_t) != 0 {
                return failed();
            }
            let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let area = libc::mmap(std::ptr::null_mut(), CODE_BYTES + CELL_BYTES, libc::PROT_NONE, private, -1, 0);
            if area == libc::MAP_FAILED {
                return failed();
            }
            let code = area as usize;
            let run = libc::PROT_READ | libc::PROT_EXEC;
            let write = libc::PROT_READ | libc::PROT_WRITE;
            let cells = code + CODE_BYTES;
            let mapped = [
                libc::mmap(area, CODE_BYTES, run, libc::MAP_SHARED | libc::MAP_FIXED, file.as_raw_fd(), 0),
                libc::mmap(cells as *mut _, CELL_BYTES, write, private | libc::MAP_FIXED, -1, 0),
                libc::mmap(std::ptr::null_mut(), CODE_BYTES, write, libc::MAP_SHARED, file.as_raw_fd(), 0),
            ];
            if mapped.contains(&libc::MAP_FAILED) {
                return failed();
            }
            let writable = mapped[2] as usize;
            let space = Mutex::new(Space { used: 0, granules: CODE_BYTES, free: BTreeMap::new() });
            Ok(CodeHeap { code, writable, file, cells, space, cell_count: AtomicU32::new(0), free_cells: Mutex::default() })
        }
    }

    /// The code area: start and bytes.
    pub fn area(&self) -> (usize, usize) {
        (self.code, CODE_BYTES)
    }

    /// Whether an address lies in the code area.
    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.code) < CODE_BYTES
    }

    /// A new numbered cell, zero.
    pub fn new_cell(&self) -> u32 {
        if let Some(number) = self.free_cells.lock().pop() {
            return number;
        }
        let number = self.cell_count.fetch_add(1, Ordering::Relaxed);
        assert!((number + HELPER_CELLS) as usize * size_of::<usize>() < CELL_BYTES, "the cell area is used up");
        number
    }

    /// Gives numbered cells back.
    ///
    /// # Safety
    /// No code reads them any more.
    pub unsafe fn free_cells(&self, numbers: &[u32]) {
        numbers.iter().for_each(|&number| self.cell(number).store(0, Ordering::Release));
        self.free_cells.lock().extend(numbers);
    }

    /// A numbered cell.
    #[inline]
    pub fn cell(&self, number: u32) -> &AtomicUsize {
        self.place(HELPER_CELLS + number)
    }

    /// The cell of a helper.
    pub fn helper_cell(&self, helper: u16) -> &AtomicUsize {
        assert!((helper as u32) < HELPER_CELLS);
        self.place(helper as u32)
    }

    fn place(&self, index: u32) -> &AtomicUsize {
        // SAFETY: in the cell area (`new_cell` checks), aligned, zeroed by the system, never unmapped.
        unsafe { &*(self.cells as *const AtomicUsize).add(index as usize) }
    }

    /// The number of the cell at an address.
    pub fn cell_number(&self, address: usize) -> Option<u32> {
        let index = (address.checked_sub(self.cells)? / size_of::<usize>()) as u32;
        index.checked_sub(HELPER_CELLS).filter(|&number| number < self.cell_count.load(Ordering::Relaxed))
    }

    /// Puts code where it can run, and calls `registered` with its address before anybody else can know it. Calls of `registered` come
    /// one at a time; for code that stays in rising order of addresses.
    pub fn publish(
        &self,
        backend: &dyn Backend,
        code: &CompiledCode,
        life: CodeLife,
        registered: impl FnOnce(usize),
    ) -> Result<usize> {
        let mut space = self.space.lock();
        let align = (code.align.max(16)) as usize;
        let start = space.used.next_multiple_of(align);
        let end = start + code.bytes.len();
        let offset = match life {
            CodeLife::Process => Some(start).filter(|_| end <= space.granules),
            CodeLife::Freed if align > GRANULE_BYTES => None,
            CodeLife::Freed => space.take_granules(granule_bytes(code.bytes.len())),
        };
        let offset = offset.ok_or_else(Exception::out_of_memory)?;
        let address = self.code + offset;
        let mut bytes = code.bytes.clone();
        for reloc in &code.relocs {
            let target = self.symbol(reloc.target).ok_or_else(|| {
                Exception::engine(format!("code refers to {:?}, which the code heap does not hold", reloc.target))
            })?;
            let field = reloc.offset as usize;
            let place = bytes.get_mut(field..).ok_or_else(|| Exception::engine("a relocation lies outside of its code"))?;
            backend
                .apply_reloc(reloc.kind, place, (address + field) as u64, target as u64, reloc.addend)
                .map_err(|error| Exception::engine(error.message))?;
        }
        // SAFETY: the range was not handed out before, lies in the writable view, and nobody runs it yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), (self.writable + offset) as *mut u8, bytes.len()) };
        make_runnable(address, bytes.len());
        if life == CodeLife::Process {
            space.used = end;
        }
        registered(address);
        Ok(address)
    }

    /// Gives back code that was published to be freed, by its address and the number of its bytes.
    ///
    /// # Safety
    /// Nobody runs it or goes back to it, and nobody can call it any more.
    pub unsafe fn free(&self, address: usize, bytes: usize) {
        self.map_again(address, bytes);
        self.space.lock().give_back(address - self.code, granule_bytes(bytes));
    }

    /// Maps the pages of some code anew, which changes nothing for those who run other code there. Emulators (`qemu-arm`) keep what they translated of
    /// code until then, and would run it in the place of what comes there next: they take no notice of writes through the other view, nor of
    /// flushed caches.
    fn map_again(&self, address: usize, bytes: usize) {
        let start = (address - self.code) & !(PAGE_BYTES - 1);
        let end = (address - self.code + bytes).next_multiple_of(PAGE_BYTES);
        let (place, run) = ((self.code + start) as *mut _, libc::PROT_READ | libc::PROT_EXEC);
        // SAFETY: replaces pages of the code area by the same ones in one step. Where the system refuses, they stay.
        unsafe {
            libc::mmap(place, end - start, run, libc::MAP_SHARED | libc::MAP_FIXED, self.file.as_raw_fd(), start as libc::off_t)
        };
    }

    /// Address of a symbol, if it is one of the code heap's.
    pub fn symbol(&self, symbol: SymbolRef) -> Option<usize> {
        match symbol {
            SymbolRef::Helper(helper) => Some(std::ptr::from_ref(self.helper_cell(helper)) as usize),
            SymbolRef::Cell(number) => Some(std::ptr::from_ref(self.cell(number)) as usize),
            SymbolRef::Method(_)
            | SymbolRef::RoData(_)
            | SymbolRef::Publisher(_)
            | SymbolRef::Preserver(_)
            | SymbolRef::Resolver(_) => None,
        }
    }
}

/// Makes instruction fetches see what was written. Here they always do.
#[cfg(not(target_arch = "arm"))]
fn make_runnable(_address: usize, _bytes: usize) {}

/// Makes instruction fetches see what was written: cleans the data cache and invalidates the instruction cache, on all processors.
#[cfg(target_arch = "arm")]
fn make_runnable(address: usize, bytes: usize) {
    /// The kernel's own system call for it, `__ARM_NR_cacheflush`.
    const CACHE_FLUSH: libc::c_long = 0x000f_0002;
    // SAFETY: only affects caches; the range is mapped.
    let status = unsafe { libc::syscall(CACHE_FLUSH, address, address + bytes, 0) };
    assert!(status == 0, "the kernel cannot flush caches: {}", std::io::Error::last_os_error());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_granules_grow_together_and_are_taken_again() {
        let mut space = Space { used: 1000, granules: 100 * GRANULE_BYTES, free: BTreeMap::new() };
        let places: Vec<usize> = (0..4).filter_map(|_| space.take_granules(2 * GRANULE_BYTES)).collect();
        assert_eq!(places, [98, 96, 94, 92].map(|granule| granule * GRANULE_BYTES));
        for place in [places[2], places[0], places[1]] {
            space.give_back(place, 2 * GRANULE_BYTES);
        }
        assert_eq!(space.free, BTreeMap::from([(places[2], 6 * GRANULE_BYTES)]));
        assert_eq!(space.take_granules(5 * GRANULE_BYTES), Some(places[2]));
        assert_eq!(space.take_granules(2 * GRANULE_BYTES), Some(90 * GRANULE_BYTES));
        assert_eq!(space.take_granules(90 * GRANULE_BYTES), None);
        assert_eq!([0, 127, 128].map(granule_bytes), [128, 128, 256]);
    }
}
