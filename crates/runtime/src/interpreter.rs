//! `--interpreter`: no method is compiled; each gets a shell (see [`ir::interpreter::shell`]) around the function that the importer
//! made of it, which no pass has seen. The shell calls, allocates, raises and is unwound like any compiled method; all
//! else is computed here, in memory as it is.

use crate::thread::Thread;
use crate::{runtime, stack_guard, unhandled};
use compiler::abi::HelperId;
use il::types::MethodId;
use ir::Function;
use ir::function::SymbolRef;
use ir::interpreter::shell::{FrameHeader, FrameParts, PAUSE, Program, ShellOptions};
use ir::interpreter::{Bits, World};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Addresses below are null with an offset: the system maps nothing there.
const NULL_BYTES: u64 = 64 << 10;

const SHELL: ShellOptions = ShellOptions {
    interpret: HelperId::Interpret as u16,
    pause: HelperId::PauseInterpreter as u16,
    raise_trap: HelperId::RaiseTrap as u16,
};

/// What shells of methods that may be released interpret.
static RELEASED: LazyLock<Mutex<FxHashMap<MethodId, Box<Program>>>> = LazyLock::new(Mutex::default);

/// The shell that interprets a function; that lives as long as the code of the method `released`, if given, else as the process.
pub fn shell(function: Function, released: Option<MethodId>) -> Function {
    let program = Box::new(Program::new(function));
    let shell = program.shell(&SHELL, &raw const *program as isize as i64);
    match released {
        Some(method) => drop(RELEASED.lock().insert(method, program)),
        None => {
            Box::leak(program);
        }
    }
    shell
}

/// Drops what the shell of a method interpreted.
///
/// # Safety
/// Nobody runs the shell any more.
pub unsafe fn forget(method: MethodId) {
    RELEASED.lock().remove(&method);
}

/// Helper of shells. The frame is the shell's, as `program` describes it.
pub(crate) extern "C" fn interpret(frame: *mut u8, program: &'static Program) -> u32 {
    // Less than `pause` finds to be too little, so that it does not just come back.
    if !stack_guard::has_room_above(8 << 10) {
        return PAUSE;
    }
    // SAFETY: the shell was made from the program and has room for header, cells and slots, aligned to 16; nothing else uses
    // header and cells while this function runs.
    let parts = unsafe {
        FrameParts {
            header: &mut *frame.cast::<FrameHeader>(),
            values: std::slice::from_raw_parts_mut(frame.add(size_of::<FrameHeader>()).cast::<Bits>(), program.cell_count()),
            slots: frame.add(program.slots_offset()) as u64,
        }
    };
    let thread = Thread::current();
    let heap = thread.heap();
    let mut process = Process { thread: std::ptr::from_ref(thread) as u64 };
    match program.run(parts, &mut process, || heap.is_awaited()) {
        Ok(exit) => exit,
        Err(message) => unhandled::fatal(&format!("the interpreter cannot go on in {message}")),
    }
}

/// Helper of shells: the interpreter runs no code in which a thread may be stopped, so it stops by itself. Here an overflow of the stack is
/// raised, too, since the shell has published its frame.
pub extern "C" fn pause() {
    stack_guard::check();
    let heap = Thread::current().heap();
    heap.enter_native();
    heap.leave_native();
}

/// The running process as an interpreted function sees it.
struct Process {
    thread: u64,
}

/// Accesses of a machine's width at an aligned place are whole, and ordered as on the machines with the strictest order.
impl World for Process {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        if address < NULL_BYTES {
            return false;
        }
        let place = address as usize as *mut u8;
        let is_aligned = place.addr() % bytes.len().max(1) == 0;
        // SAFETY: interpreted code may access what compiled code may; where the place is not aligned, bytes are copied.
        unsafe {
            match bytes {
                [byte] => *byte = AtomicU8::from_ptr(place).load(Ordering::Acquire),
                [_, _] if is_aligned => {
                    bytes.copy_from_slice(&AtomicU16::from_ptr(place.cast()).load(Ordering::Acquire).to_ne_bytes());
                }
                [_, _, _, _] if is_aligned => {
                    bytes.copy_from_slice(&AtomicU32::from_ptr(place.cast()).load(Ordering::Acquire).to_ne_bytes());
                }
                [_, _, _, _, _, _, _, _] if is_aligned => {
                    bytes.copy_from_slice(&AtomicU64::from_ptr(place.cast()).load(Ordering::Acquire).to_ne_bytes());
                }
                _ => std::ptr::copy(place, bytes.as_mut_ptr(), bytes.len()),
            }
        }
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        if address < NULL_BYTES {
            return false;
        }
        let place = address as usize as *mut u8;
        let is_aligned = place.addr() % bytes.len().max(1) == 0;
        // SAFETY: as in `read`.
        unsafe {
            match *bytes {
                [byte] => AtomicU8::from_ptr(place).store(byte, Ordering::Release),
                [a, b] if is_aligned => {
                    AtomicU16::from_ptr(place.cast()).store(u16::from_ne_bytes([a, b]), Ordering::Release);
                }
                [a, b, c, d] if is_aligned => {
                    AtomicU32::from_ptr(place.cast()).store(u32::from_ne_bytes([a, b, c, d]), Ordering::Release);
                }
                [a, b, c, d, e, f, g, h] if is_aligned => {
                    AtomicU64::from_ptr(place.cast()).store(u64::from_ne_bytes([a, b, c, d, e, f, g, h]), Ordering::Release);
                }
                _ => std::ptr::copy(bytes.as_ptr(), place, bytes.len()),
            }
        }
        true
    }

    fn symbol_address(&mut self, symbol: SymbolRef) -> u64 {
        match runtime().code.symbol(symbol) {
            Some(address) => address as u64,
            None => unhandled::fatal(&format!("an interpreted function names {symbol:?}, which is not there")),
        }
    }

    fn thread(&mut self) -> u64 {
        self.thread
    }
}
