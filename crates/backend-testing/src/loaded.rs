//! Compiled functions linked in executable memory of this process and entered by the stub that the runtime uses.

use ir::function::SymbolRef;
use ir::mach::{Backend, CodegenOptions, CompiledCode, StubKind};

/// Least number of cells.
const CELLS: usize = 16;
/// As many argument registers of each kind as any machine's stub reads.
const ARGUMENT_REGISTERS: usize = 8;
const WORD: usize = size_of::<usize>();

/// Functions in executable memory.
pub struct Loaded {
    base: usize,
    bytes: usize,
    starts: Vec<usize>,
    cells: usize,
}

/// The stub of [`StubKind::EnterManaged`].
type Enter = unsafe extern "C" fn(
    code: usize,
    thread: *mut usize,
    integers: *const usize,
    floats: *const u64,
    stack: *const usize,
    words: usize,
    results: *mut u64,
);

#[cfg(target_arch = "arm")]
unsafe extern "C" {
    /// The C library's: makes what was written visible to the fetch of instructions.
    fn __clear_cache(start: usize, end: usize);
}

impl Loaded {
    /// Method number n is `codes[n]`. Helper n is native code at `helpers[n - 1]`; helper 0 is `raise`, machine code. Cell n holds the address of
    /// method n until [`Loaded::set_cell`].
    ///
    /// # Panics
    /// If there is no memory, or a relocation does not reach or names another kind of symbol.
    pub fn link(
        backend: &dyn Backend,
        options: &CodegenOptions,
        mut codes: Vec<CompiledCode>,
        raise: &[u8],
        helpers: &[usize],
    ) -> Loaded {
        codes.push(backend.stub(StubKind::EnterManaged, options).code);
        let mut image = Vec::new();
        let raise = place(&mut image, raise);
        let starts: Vec<usize> = codes.iter().map(|code| place(&mut image, &code.bytes)).collect();
        let helper_cells = place(&mut image, &vec![0; WORD * (helpers.len() + 1)]);
        let cells = place(&mut image, &vec![0; WORD * codes.len().max(CELLS)]);
        let bytes = image.len();
        // SAFETY: new memory; it is filled before anything runs in it.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
            libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) as usize
        };
        assert!(base as isize != -1, "no memory");
        let mut fill = |at: usize, values: &mut dyn Iterator<Item = usize>| {
            for (field, value) in image[at..].chunks_exact_mut(WORD).zip(values) {
                field.copy_from_slice(&value.to_ne_bytes());
            }
        };
        fill(helper_cells, &mut [base + raise].into_iter().chain(helpers.iter().copied()));
        fill(cells, &mut starts.iter().map(|start| base + start));
        for (code, start) in codes.iter().zip(&starts) {
            for reloc in &code.relocs {
                let target = match reloc.target {
                    SymbolRef::Method(number) => starts[number as usize],
                    SymbolRef::Helper(number) => helper_cells + WORD * usize::from(number),
                    SymbolRef::Cell(number) => cells + WORD * number as usize,
                    other => panic!("no {other:?} in tests"),
                };
                let field = start + reloc.offset as usize;
                let (address, target) = ((base + field) as u64, (base + target) as u64);
                let applied = backend.apply_reloc(reloc.kind, &mut image[field..], address, target, reloc.addend);
                applied.unwrap_or_else(|error| panic!("{error:?}"));
            }
        }
        // SAFETY: the memory was mapped above and is as long as the image.
        unsafe {
            std::ptr::copy_nonoverlapping(image.as_ptr(), base as *mut u8, bytes);
            #[cfg(target_arch = "arm")]
            __clear_cache(base, base + bytes);
        }
        Loaded { base, bytes, starts, cells: base + cells }
    }

    /// Address of method `number`; the last is the stub that enters.
    pub fn address(&self, number: usize) -> usize {
        self.base + self.starts[number]
    }

    /// Lets a cell hold another value.
    pub fn set_cell(&self, number: usize, value: usize) {
        assert!(number < self.starts.len().max(CELLS));
        // SAFETY: the cell is in memory that `link` mapped, and no code runs now.
        unsafe { *(self.cells as *mut usize).add(number) = value };
    }

    /// Calls method 0: argument registers (with generic context and interface key), floats as bits, words on the stack. Gives two integer results
    /// and two floats.
    ///
    /// # Safety
    /// The code must be right, and `thread` as long as it thinks.
    pub unsafe fn enter(&self, thread: *mut usize, integers: &[usize], floats: &[u64], stack: &[usize]) -> [u64; 4] {
        let mut integer_args = [0; ARGUMENT_REGISTERS];
        integer_args[..integers.len()].copy_from_slice(integers);
        let mut float_args = [0; ARGUMENT_REGISTERS];
        float_args[..floats.len()].copy_from_slice(floats);
        let mut results = [0u64; 4];
        // SAFETY: the stub is the last code, and all arrays are as long as the stub reads.
        unsafe {
            let enter: Enter = std::mem::transmute(self.address(self.starts.len() - 1));
            let (integers, floats) = (integer_args.as_ptr(), float_args.as_ptr());
            enter(self.address(0), thread, integers, floats, stack.as_ptr(), stack.len(), results.as_mut_ptr());
        }
        results
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: nothing runs in it any more.
        unsafe { libc::munmap(self.base as *mut libc::c_void, self.bytes) };
    }
}

/// Appends, aligned; gives the offset.
fn place(image: &mut Vec<u8>, bytes: &[u8]) -> usize {
    image.resize(image.len().next_multiple_of(16), 0);
    let start = image.len();
    image.extend_from_slice(bytes);
    start
}
