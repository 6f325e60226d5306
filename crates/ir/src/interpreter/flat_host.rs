//! A small world for tests: one flat memory.

use super::{Abrupt, Bits, BitsList, Callee, Host, World, interpret, stop};
use crate::function::{Function, SymbolRef};
use crate::instruction::{Allocation, TrapCode};
use crate::signature::Signature;
use rustc_hash::FxHashMap;

/// A function outside the IR, for [`FlatHost::natives`]: arguments in, results out.
pub type Native = fn(&mut FlatHost, &[Bits]) -> BitsList;

/// A small world for tests: one flat memory, functions by symbol, and a record of what else was called.
pub struct FlatHost {
    memory: Vec<u8>,
    stack_top: u64,
    heap_top: u64,
    /// Bodies of callees; indirect calls find them by [`Host::symbol_address`].
    pub functions: FxHashMap<SymbolRef, std::sync::Arc<Function>>,
    /// What answers calls of symbols that are no functions of the IR.
    pub natives: FxHashMap<SymbolRef, Native>,
    /// Calls of symbols without a body, which give zeros.
    pub calls: Vec<(Callee, Vec<Bits>)>,
    /// Instructions that may still be executed in callees.
    pub steps: u64,
    symbols: Vec<SymbolRef>,
    depth: u32,
}

impl FlatHost {
    /// Lowest address that is there.
    pub const BASE: u64 = 0x1_0000;
    /// Bytes of stack, which come first; then symbols and the heap.
    const STACK: u64 = 0x4_0000;
    const SYMBOLS: u64 = Self::BASE + Self::STACK;
    /// Bytes for each symbol.
    const SYMBOL_SIZE: u64 = 64;
    const HEAP: u64 = Self::SYMBOLS + 0x1_0000;
    const END: u64 = Self::HEAP + 0x10_0000;
    /// Exception objects of traps: this plus the code.
    pub const EXCEPTIONS: u64 = 0x100;

    /// A world of zeros.
    pub fn new() -> FlatHost {
        FlatHost {
            memory: vec![0; (Self::END - Self::BASE) as usize],
            stack_top: Self::BASE,
            heap_top: Self::HEAP,
            functions: FxHashMap::default(),
            natives: FxHashMap::default(),
            calls: Vec::new(),
            steps: 1_000_000,
            symbols: Vec::new(),
            depth: 0,
        }
    }
    fn range(&self, address: u64, len: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(address.checked_sub(Self::BASE)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.memory.len()).then_some(start..end)
    }
    /// Zeroed memory of the heap.
    pub fn allocate(&mut self, size: u64) -> Result<u64, Abrupt> {
        let address = self.heap_top;
        match address.checked_add(size).and_then(|end| end.checked_next_multiple_of(8)) {
            Some(end) if end <= Self::END => {
                self.heap_top = end;
                Ok(address)
            }
            _ => stop("the heap is full"),
        }
    }
}

impl Default for FlatHost {
    fn default() -> Self {
        FlatHost::new()
    }
}

impl World for FlatHost {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        let range = self.range(address, bytes.len());
        range.map(|range| bytes.copy_from_slice(&self.memory[range])).is_some()
    }
    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let range = self.range(address, bytes.len());
        range.map(|range| self.memory[range].copy_from_slice(bytes)).is_some()
    }
    fn symbol_address(&mut self, symbol: SymbolRef) -> u64 {
        let index = self.symbols.iter().position(|&known| known == symbol).unwrap_or_else(|| {
            self.symbols.push(symbol);
            self.symbols.len() - 1
        });
        Self::SYMBOLS + index as u64 * Self::SYMBOL_SIZE
    }
    fn thread(&mut self) -> u64 {
        Self::HEAP - Self::SYMBOL_SIZE * 8
    }
}

impl Host for FlatHost {
    fn allocate_stack(&mut self, size: u64, align: u64) -> Result<u64, Abrupt> {
        let start = self.stack_top.next_multiple_of(align.max(1));
        match start.checked_add(size) {
            Some(end) if end <= Self::SYMBOLS => {
                self.stack_top = end;
                // Not zero, so that reading what was never written shows.
                let range = self.range(start, size as usize).unwrap_or_default();
                self.memory[range].fill(0xa5);
                Ok(start)
            }
            _ => Err(Abrupt::Trap(TrapCode::StackOverflow)),
        }
    }
    fn stack_mark(&self) -> u64 {
        self.stack_top
    }
    fn release_stack(&mut self, mark: u64) {
        self.stack_top = mark;
    }
    fn cell(&mut self, symbol: SymbolRef) -> Result<u64, Abrupt> {
        Ok(self.symbol_address(symbol))
    }
    fn call(&mut self, callee: Callee, signature: &Signature, args: &[Bits]) -> Result<BitsList, Abrupt> {
        let symbol = match callee {
            Callee::Symbol(symbol) => Some(symbol),
            Callee::Address(0) => return Err(Abrupt::Trap(TrapCode::NullReference)),
            Callee::Address(address) => {
                let index = address.checked_sub(Self::SYMBOLS).map(|offset| (offset / Self::SYMBOL_SIZE) as usize);
                index.and_then(|index| self.symbols.get(index).copied())
            }
        };
        if let Some(&native) = symbol.and_then(|symbol| self.natives.get(&symbol)) {
            return Ok(native(self, args));
        }
        let Some(function) = symbol.and_then(|symbol| self.functions.get(&symbol).cloned()) else {
            self.calls.push((callee, args.to_vec()));
            return Ok(signature.results.iter().map(|_| 0).collect());
        };
        // The interpreter recurses on the host's own stack.
        if self.depth >= 200 {
            return Err(Abrupt::Trap(TrapCode::StackOverflow));
        }
        self.depth += 1;
        let mut steps = self.steps;
        let result = interpret(&function, self, args, &mut steps);
        self.steps = steps.min(self.steps);
        self.depth -= 1;
        result
    }
    fn new_object(&mut self, method_table: u64, allocation: &Allocation) -> Result<u64, Abrupt> {
        let object = self.allocate(u64::from(allocation.base_size))?;
        self.write(object, &method_table.to_le_bytes());
        Ok(object)
    }
    fn new_array(&mut self, method_table: u64, length: i64, allocation: &Allocation) -> Result<u64, Abrupt> {
        let bytes = u64::try_from(length).ok().and_then(|length| length.checked_mul(u64::from(allocation.element_size)));
        let Some(bytes) = bytes.and_then(|bytes| bytes.checked_add(u64::from(allocation.base_size))) else {
            return Err(Abrupt::Trap(TrapCode::Overflow));
        };
        let array = self.allocate(bytes)?;
        self.write(array, &method_table.to_le_bytes());
        self.write(array + 8, &length.to_le_bytes());
        Ok(array)
    }
    fn exception(&mut self, code: TrapCode) -> u64 {
        Self::EXCEPTIONS + code as u64
    }
    fn catches(&mut self, _clause: u32, _exception: u64) -> bool {
        true
    }
}
