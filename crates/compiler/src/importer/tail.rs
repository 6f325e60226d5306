//! Tail calls (ECMA-335 III.2.4): when one is possible, and how structures that travel by address outlive the frame.
//!
//! Where a tail call is not possible the prefix means nothing: inside protected regions, where the callee could get an address in
//! the frame that is given up, where it returns in another way, or where it takes a structure by address for which this method got no
//! memory itself. Whether there is room for arguments on the stack is seen after the passes (`ir::tail_calls`).

use super::Importer;
use super::calls::Arguments;
use super::exceptions::BODY;
use super::scan::Scan;
use crate::signature::{AbiSignature, Passed, Passing};
use il::instruction::{Decoder, Opcode as Il};
use il::types::Storage;
use ir::builder::Variable;
use ir::entity::Value;
use ir::function::ValueDef;
use ir::signature::CallConvention;
use ir::types::Access;
use ir::{Function, Opcode, Type};
use smallvec::SmallVec;

/// What importing must know for tail calls.
#[derive(Default)]
pub(super) struct TailState {
    /// The call at hand is to be one.
    pub wanted: bool,
    /// An address in the frame may be on the evaluation stack or in a variable.
    pub addresses_frame: bool,
    /// Structures that came by address. Their memory lies in a frame further out and belongs to this method until it returns.
    incoming: Vec<IncomingCopy>,
}

/// Memory of a structure that the caller passed by address.
#[derive(Clone, Copy)]
struct IncomingCopy {
    address: Variable,
    size: u32,
    align: u32,
}

/// For each argument of a tail call, where its structure goes if it is passed by address.
pub(super) type CopyPlan = SmallVec<[Option<Value>; 8]>;

impl TailState {
    pub fn new(scan: &Scan) -> TailState {
        let addressed = scan.args.iter().chain(&scan.locals).any(|usage| usage.address_taken);
        TailState { addresses_frame: addressed || scan.has_localloc, ..TailState::default() }
    }
    /// Whether the next call is to be a tail call. It is asked once.
    pub fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.wanted)
    }
}

impl<'a> Importer<'a, '_> {
    /// Makes a tail call of the next call, if it is possible.
    pub(crate) fn want_tail_call(&mut self) {
        self.tail.wanted = true;
    }

    /// Whether `ret` is the instruction at `offset`.
    pub(super) fn is_before_return(&self, offset: u32) -> bool {
        matches!(Decoder::at(self.body.il, offset).next(), Some(Ok(next)) if next.general().0 == Il::Ret)
    }

    /// Notes an argument that lives in memory of the caller's.
    pub(super) fn note_incoming_copy(&mut self, address: Variable, storage: Storage) {
        if let (Storage::Struct { size, align }, CallConvention::Managed) = (storage, self.abi_signature.signature.convention) {
            self.tail.incoming.push(IncomingCopy { address, size, align });
        }
    }

    /// Whether a call with this signature and these arguments (with whether the callee may change them) can take the place of this
    /// method, and where its structures go.
    pub(super) fn plan_tail_call(&mut self, abi: &AbiSignature, arguments: &[(Value, bool)]) -> Option<CopyPlan> {
        let keeps_frame = self.code.region.is_some() || self.lock.is_some() || self.clone != BODY;
        if keeps_frame || abi.signature.convention != CallConvention::Managed || !self.returns_alike(abi) {
            return None;
        }
        let mut pairs = abi.params.iter().zip(arguments);
        if self.tail.addresses_frame && pairs.any(|(param, &(value, _))| self.may_hold_address(param, value)) {
            return None;
        }
        let mut free: SmallVec<[(Value, u32, u32); 4]> = SmallVec::new();
        for copy in self.tail.incoming.clone() {
            free.push((self.b.use_variable(copy.address), copy.size, copy.align));
        }
        let mut plan: CopyPlan = SmallVec::from_elem(None, arguments.len());
        let by_address = || (0..arguments.len()).filter(|&index| abi.params[index].passing == Passing::Reference);
        // What is passed on needs no copy.
        for index in by_address() {
            if let Some(place) = free.iter().position(|place| place.0 == arguments[index].0) {
                plan[index] = Some(free.remove(place).0);
            }
        }
        for index in by_address() {
            let Storage::Struct { size, align } = abi.params[index].storage else { return None };
            if plan[index].is_none() {
                let fitting = free.iter().enumerate().filter(|(_, place)| place.1 >= size && place.2 >= align);
                let (place, _) = fitting.min_by_key(|(_, place)| place.1)?;
                plan[index] = Some(free.remove(place).0);
            }
        }
        Some(plan)
    }

    /// The arguments of a tail call, with its structures copied to their places.
    pub(super) fn tail_call_arguments(&mut self, abi: &AbiSignature, arguments: &[(Value, bool)], plan: &CopyPlan) -> Arguments {
        let mut args = Arguments::new();
        let mut copies: SmallVec<[(Value, Value, u32); 4]> = SmallVec::new();
        for (index, &(value, owned)) in arguments.iter().enumerate() {
            if self.wants_result_address(abi, index) {
                self.pass_result_address_on(&mut args);
            }
            let passed = &abi.params[index];
            match (plan[index], passed.storage) {
                (Some(place), Storage::Struct { size, .. }) => {
                    if place != value {
                        // What is not in this frame may lie in a place that another structure goes to.
                        let source = if owned { value } else { self.copy_to_temporary(value, passed.storage) };
                        copies.push((place, source, size));
                    }
                    let address = self.as_pointer(place, Type::Mptr);
                    args.push(address);
                }
                _ => self.push_argument(&mut args, passed, value, owned),
            }
        }
        if self.wants_result_address(abi, abi.params.len()) {
            self.pass_result_address_on(&mut args);
        }
        for (place, source, size) in copies {
            self.b.copy_memory(place, source, size);
        }
        args
    }

    /// The callee leaves its result where this method was to leave its own.
    fn pass_result_address_on(&mut self, args: &mut Arguments) {
        if let Some(variable) = self.result_address {
            args.push(self.b.use_variable(variable));
        }
    }

    /// Whether what the callee returns is what this method returns, as it is.
    fn returns_alike(&self, abi: &AbiSignature) -> bool {
        let (own, result) = (&self.abi_signature.result, &abi.result);
        match (&own.passing, &result.passing) {
            // The callee has narrowed it.
            (Passing::Scalar(Access::Full(own)), Passing::Scalar(result)) => *own == result.value_type(),
            (Passing::Reference, Passing::Reference) => own.storage == result.storage,
            (own, result) => own == result,
        }
    }

    /// Whether an argument can hold an address in the frame.
    fn may_hold_address(&self, passed: &Passed, value: Value) -> bool {
        let is_address = |storage| matches!(storage, Storage::ManagedPointer | Storage::NativeInt | Storage::NativeUInt);
        match passed.storage {
            Storage::Struct { .. } => match self.types.flattened_fields(passed.ty) {
                Ok(fields) => fields.into_iter().any(|(_, storage)| is_address(storage)),
                Err(_) => true,
            },
            storage => is_address(storage) && !is_foreign(self.b.function, value, FOLLOWED),
        }
    }
}

/// How many instructions back [`is_foreign`] looks.
const FOLLOWED: u32 = 8;

/// Whether `value` certainly is no address in the frame: made of parameters, constants and addresses of other memory alone.
fn is_foreign(function: &Function, value: Value, depth: u32) -> bool {
    let value = function.resolve(value);
    let inst = match function.values[value].def {
        ValueDef::Param(block, _) => return block == function.entry(),
        ValueDef::Result(inst, _) => &function.insts[inst],
        ValueDef::Alias(_) => return false,
    };
    use Opcode::*;
    let of_arguments = matches!(inst.opcode, Iadd | Isub | Imul | Iand | Bitcast | Trunc | Sext | Zext | Select);
    match inst.opcode {
        Iconst | SymbolAddr | Cell => true,
        _ => of_arguments && depth > 0 && inst.args.iter().all(|&arg| is_foreign(function, arg, depth - 1)),
    }
}
