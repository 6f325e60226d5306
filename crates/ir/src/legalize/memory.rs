//! Loads, stores and atomic accesses.
//!
//! A plain access becomes two, low half first; if the address is bad, the first one raises. Volatile and atomic ones must be one
//! access (`Volatile.Read`, `Interlocked`), which takes a helper. A fault in a helper would be no
//! `NullReferenceException`, so a load before the call tries the address.

use super::{HelperArg, Legalizer, Pair};
use crate::entity::Value;
use crate::instruction::{Aux, Instruction, Memory, MemoryFlags, Opcode};
use crate::types::{Access, Type};

/// The accesses to the halves.
fn halves(memory: Memory) -> [Memory; 2] {
    let low = Memory { access: Access::Full(Type::I32), ..memory };
    [low, Memory { offset: memory.offset.wrapping_add(4), flags: memory.flags | MemoryFlags::NO_TRAP, ..low }]
}

/// Whether the access must be atomic. A misaligned one never is.
fn is_atomic(memory: &Memory) -> bool {
    memory.flags.contains(MemoryFlags::VOLATILE) && !memory.flags.contains(MemoryFlags::UNALIGNED)
}

impl Legalizer<'_> {
    pub(super) fn load(&mut self, address: Value, memory: Memory) -> Pair {
        if is_atomic(&memory) {
            let address = self.tried_address(address, memory);
            return self.call_wide_helper(self.options.atomic_load, "atomic_load", &[HelperArg::One(address)]);
        }
        let [low, high] = halves(memory).map(|half| self.emit(Opcode::Load, Type::I32, &[address], Aux::Memory(half)));
        Pair { low, high }
    }

    pub(super) fn store(&mut self, address: Value, memory: Memory, value: Pair) {
        if is_atomic(&memory) {
            let address = self.tried_address(address, memory);
            let args = [HelperArg::One(address), HelperArg::Pair(value)];
            self.call_helper(self.options.atomic_store, "atomic_store", &args, &[]);
            return;
        }
        for (half, value) in halves(memory).into_iter().zip([value.low, value.high]) {
            self.append(Opcode::Store, Type::I32, &[address, value], Aux::Memory(half));
        }
    }

    /// `atomic_add`, `atomic_exchange` or `atomic_compare_exchange`.
    pub(super) fn atomic(&mut self, instruction: &Instruction, memory: Memory) -> Pair {
        let (helper, name) = match instruction.opcode {
            Opcode::AtomicAdd => (self.options.atomic_add, "atomic_add"),
            Opcode::AtomicExchange => (self.options.atomic_exchange, "atomic_exchange"),
            _ => (self.options.atomic_compare_exchange, "atomic_compare_exchange"),
        };
        let mut args = vec![HelperArg::One(self.tried_address(instruction.args[0], memory))];
        args.extend(instruction.args[1..].iter().map(|&arg| HelperArg::Pair(self.pair(arg))));
        self.call_wide_helper(helper, name, &args)
    }

    /// The address with its offset, after an access that raises if it is bad.
    fn tried_address(&mut self, address: Value, memory: Memory) -> Value {
        if !memory.flags.contains(MemoryFlags::NO_TRAP) {
            let [low, _] = halves(memory);
            self.emit(Opcode::Load, Type::I32, &[address], Aux::Memory(low));
        }
        let offset = self.emit(Opcode::Iconst, Type::Iptr, &[], Aux::Int(i64::from(memory.offset)));
        self.emit(Opcode::Iadd, Type::Mptr, &[address, offset], Aux::None)
    }
}
