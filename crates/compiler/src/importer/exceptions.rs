//! Protected regions, handlers, `leave` and the copies of finally bodies on its way (ECMA-335 III.3.34 ff., I.12.4.2).

use super::{Failure, Importer, Outcome, invalid};
use crate::abi::{HelperId, abort_states};
use crate::env::CellRequest;
use il::method_body::ClauseKind;
use ir::Type;
use ir::builder::Variable;
use ir::entity::{Block, Region, StackSlot, Value};
use ir::function::{Handler, HandlerKind, RegionData};
use ir::instruction::{BlockCall, IntCompare, Memory, MemoryFlags, SourceOffset};
use ir::types::Access;

/// A finally clause with more targets of `leave` than this gets one copy for all of them.
const MAX_FINALLY_CLONES: usize = 4;

/// A copy of a finally body, or the method itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct CloneId(pub u32);

/// The method itself.
pub(super) const BODY: CloneId = CloneId(0);

/// What a copy of a finally body stands for.
pub(super) struct Clone {
    /// The finally clause; `None` for the method itself.
    pub clause: Option<usize>,
    /// The copy that it is nested in.
    parent: CloneId,
    /// Where it goes on.
    exit: Exit,
}

impl Clone {
    pub const BODY: Clone = Clone { clause: None, parent: BODY, exit: Exit::Never };
}

/// What happens at a copy's `endfinally`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// There is none.
    Never,
    /// On to this target of the `leave`.
    To(u32),
    /// On to the target whose number is in this variable.
    Selected(Variable),
}

impl<'a> Importer<'a, '_> {
    /// The region of blocks at `offset` in `clone`, made on demand.
    pub(super) fn region_at(&mut self, clone: CloneId, offset: u32) -> Outcome<Option<Region>> {
        match self.scan.try_at(offset) {
            Some(range) => self.region(clone, range).map(Some),
            None => Ok(self.lock.map(|(_, region)| region)),
        }
    }

    fn region(&mut self, clone: CloneId, range: usize) -> Outcome<Region> {
        // A range around the copied finally body belongs to the copy's parent.
        let mut clone = clone;
        while let Some(clause) = self.clones[clone.0 as usize].clause {
            let data = &self.body.clauses[clause];
            let start = self.scan.tries[range].start;
            if (data.handler_start..data.handler_end).contains(&start) {
                break;
            }
            clone = self.clones[clone.0 as usize].parent;
        }
        if let Some(&region) = self.regions.get(&(clone, range)) {
            return Ok(region);
        }
        let parent = match self.scan.tries[range].parent {
            Some(parent) => Some(self.region(clone, parent)?),
            None => self.lock.map(|(_, region)| region),
        };
        let region = self.b.function.regions.push(RegionData { parent, handlers: Vec::new() });
        self.regions.insert((clone, range), region);
        for clause in self.scan.tries[range].clauses.clone() {
            if let Some(handler) = self.handler(clone, clause)? {
                self.b.function.regions[region].handlers.push(handler);
            }
        }
        Ok(region)
    }

    /// The entry of a handler; `None` if its type does not load, so that it never catches.
    fn handler(&mut self, clone: CloneId, clause: usize) -> Outcome<Option<Handler>> {
        let data = self.body.clauses[clause];
        let kind = match data.kind {
            ClauseKind::Catch(token) => {
                let caught = self.resolve_type_token(token).map_err(|failure| match failure {
                    Failure::Instruction(error) | Failure::Method(error) => Failure::Method(error),
                })?;
                if caught.open.is_some() {
                    let filter = self.type_filter(clone, caught)?;
                    HandlerKind::Filter(filter)
                } else {
                    let known = self.catch_types.iter().position(|&ty| ty == caught.ty);
                    let number = known.unwrap_or_else(|| {
                        self.catch_types.push(caught.ty);
                        self.catch_types.len() - 1
                    });
                    HandlerKind::Catch(number as u32)
                }
            }
            ClauseKind::Filter(start) => {
                let filter = self.handler_entry(clone, start, 2 * clause as u32 + 1, true)?;
                HandlerKind::Filter(filter)
            }
            ClauseKind::Finally => HandlerKind::Finally,
            ClauseKind::Fault => HandlerKind::Fault,
        };
        let has_exception = matches!(kind, HandlerKind::Catch(_) | HandlerKind::Filter(_));
        let entry = self.handler_entry(clone, data.handler_start, 2 * clause as u32, has_exception)?;
        Ok(Some(Handler { kind, entry }))
    }

    /// A block entered by the unwinder that restores what lives in memory and goes to the IL at `start`.
    fn handler_entry(&mut self, clone: CloneId, start: u32, id: u32, has_exception: bool) -> Outcome<Block> {
        let resume = self.b.current_block();
        let (region, saved_clone) = (self.code.region, self.clone);
        let saved_stack = std::mem::take(&mut self.stack);
        self.code.region = self.region_at(clone, start)?;
        self.clone = clone;
        let entry = self.new_block();
        let exception = has_exception.then(|| self.b.append_block_param(entry, Type::Ref));
        self.enter(entry);
        self.restore_in_handler();
        if let Some(exception) = exception {
            if self.scan.has_rethrow {
                // In memory: handlers within this one may lie between here and the `rethrow`.
                if let Some(slot) = self.back_up(exception)? {
                    self.exceptions.insert((clone, id), slot);
                }
            }
            self.push_scalar(exception);
        }
        self.branch_to(start)?;
        self.stack = saved_stack;
        self.code.region = region;
        self.clone = saved_clone;
        if let Some(block) = resume {
            self.b.switch_to_block(block);
        }
        Ok(entry)
    }

    /// A filter that stands for a catch of a type that only the generic context knows.
    fn type_filter(&mut self, clone: CloneId, caught: super::generics::TypeRef) -> Outcome<Block> {
        let resume = self.b.current_block();
        let (region, saved_clone) = (self.code.region, self.clone);
        self.code.region = None;
        self.clone = clone;
        let entry = self.new_block();
        let exception = self.b.append_block_param(entry, Type::Ref);
        self.enter(entry);
        self.restore_in_handler();
        self.generic.forget_block();
        let method_table = self.method_table(caught)?;
        let matching = self.helper_value(HelperId::IsInstance, &[method_table, exception]);
        let null = self.b.null();
        let verdict = self.b.icmp(IntCompare::Ne, matching, null);
        self.b.end_filter(verdict);
        self.generic.forget_block();
        self.code.region = region;
        self.clone = saved_clone;
        if let Some(block) = resume {
            self.b.switch_to_block(block);
        }
        Ok(entry)
    }

    /// Variables that a handler's code may read: those kept in memory beside the SSA value.
    fn restore_in_handler(&mut self) {
        let restored: Vec<_> = self.args.iter().filter_map(|arg| arg.backed_variable()).collect();
        let extra = self.generic.backed_context();
        for (variable, slot) in restored.into_iter().chain(extra) {
            let ty = self.b.variable_type(variable);
            let address = self.b.stack_addr(slot, 0);
            let memory = self.frame_access(Access::Full(ty), 0);
            let value = self.b.load(memory, address);
            self.b.def_variable(variable, value);
        }
        if let Some((variable, slot)) = self.result_address.zip(self.result_address_slot) {
            let address = self.b.stack_addr(slot, 0);
            let memory = self.frame_access(Access::Full(Type::Iptr), 0);
            let value = self.b.load(memory, address);
            self.b.def_variable(variable, value);
        }
    }

    pub(super) fn import_leave(&mut self, target: u32) -> Outcome {
        self.stack.clear();
        if let Some(clause) = self.caught_at(self.offset, target) {
            self.abort_point(clause, true);
        }
        let chain = self.scan.finally_chain(self.body, self.offset, target);
        let block = self.leave_through(self.clone, &chain, target)?;
        self.b.jump(block, &[]);
        if chain.is_empty() {
            self.note_filled(self.clone, [target]);
        }
        Ok(())
    }

    /// The block that runs the finally bodies of `chain` and goes on at `target`.
    fn leave_through(&mut self, parent: CloneId, chain: &[usize], target: u32) -> Outcome<Block> {
        let Some(&clause) = chain.first() else { return self.target(parent, target) };
        let data = self.body.clauses[clause];
        let targets = self.scan.leave_targets.get(&clause).cloned().unwrap_or_default();
        let size = data.handler_end - data.handler_start;
        let shared = targets.len() > MAX_FINALLY_CLONES || size > self.flags.finally_clone_bytes && targets.len() > 1;
        let find = |importer: &Self, target: u32| {
            let found = importer.clones.iter().position(|known| {
                let same_exit = match known.exit {
                    Exit::To(exit) => exit == target,
                    Exit::Selected(_) => true,
                    Exit::Never => false,
                };
                known.clause == Some(clause) && known.parent == parent && same_exit
            });
            found.map(|index| CloneId(index as u32))
        };
        let clone = match find(self, target) {
            Some(clone) => clone,
            None => {
                let exit = if shared { Exit::Selected(self.b.declare_variable(Type::I32)) } else { Exit::To(target) };
                self.clones.push(Clone { clause: Some(clause), parent, exit });
                CloneId(self.clones.len() as u32 - 1)
            }
        };
        let Exit::Selected(selector) = self.clones[clone.0 as usize].exit else {
            return self.target(clone, data.handler_start);
        };
        // A block that says which target is meant.
        let number = targets.iter().position(|&known| known == target).unwrap_or_default();
        let resume = self.b.current_block();
        let select = self.new_block();
        self.b.switch_to_block(select);
        let number = self.b.iconst(Type::I32, number as i64);
        self.b.def_variable(selector, number);
        let first = self.target(clone, data.handler_start)?;
        self.b.jump(first, &[]);
        if let Some(block) = resume {
            self.b.switch_to_block(block);
        }
        Ok(select)
    }

    pub(super) fn import_endfinally(&mut self) -> Outcome {
        self.stack.clear();
        let handler = super::scan::handler_at(self.body, self.offset);
        let Some(id) = handler.filter(|id| id % 2 == 0) else { return Err(invalid("endfinally outside of a handler")) };
        let clause = id as usize / 2;
        let (own, parent, exit) = {
            let clone = &self.clones[self.clone.0 as usize];
            (clone.clause, clone.parent, clone.exit)
        };
        if own != Some(clause) {
            self.b.end_finally();
            return Ok(());
        }
        let after = self.body.clauses[clause].try_start;
        if exit != Exit::Never {
            self.code.region = match self.scan.try_at(after).and_then(|range| self.scan.tries[range].parent) {
                Some(around) => Some(self.region(parent, around)?),
                None => self.lock.map(|(_, region)| region),
            };
            self.abort_point(clause, false);
        }
        match exit {
            Exit::Never => self.b.end_finally(),
            Exit::To(target) => {
                let chain = self.rest_of_chain(clause, after, target);
                let block = self.leave_through(parent, &chain, target)?;
                self.b.jump(block, &[]);
            }
            Exit::Selected(selector) => {
                let targets = self.scan.leave_targets.get(&clause).cloned().unwrap_or_default();
                let selected = self.b.use_variable(selector);
                let mut cases = Vec::new();
                for target in targets {
                    let chain = self.rest_of_chain(clause, after, target);
                    let block = self.leave_through(parent, &chain, target)?;
                    cases.push(BlockCall::new(block, &[]));
                }
                let Some(default) = cases.first().cloned() else { return Err(invalid("finally without leave")) };
                self.b.br_table(selected, default, cases);
            }
        }
        Ok(())
    }

    /// The catch clause whose handler a `leave` at `offset` to `target` leaves.
    fn caught_at(&self, offset: u32, target: u32) -> Option<usize> {
        let id = super::scan::handler_at(self.body, offset).filter(|id| id % 2 == 0)?;
        let data = &self.body.clauses[id as usize / 2];
        let catches = matches!(data.kind, ClauseKind::Catch(_) | ClauseKind::Filter(_));
        let leaves = !(data.handler_start..data.handler_end).contains(&target);
        (catches && leaves).then_some(id as usize / 2)
    }

    /// The end of a handler of `clause`, during which the thread could not be aborted, or which caught the abort: where it is raised.
    fn abort_point(&mut self, clause: usize, is_catch: bool) {
        let (point, due, done) = (self.new_block(), self.cold_block(), self.new_block());
        self.b.jump(point, &[]);
        self.enter(point);
        // Not within the handler any more, but still within what is around its clause.
        let outside = SourceOffset(self.body.clauses[clause].try_start);
        self.b.set_source(outside);
        let thread = self.b.thread();
        let field = self.runtime_field(Type::I32, self.abi.thread_abort_state());
        let memory = Memory { flags: MemoryFlags::NO_TRAP | MemoryFlags::VOLATILE, ..field };
        let state = self.b.load(memory, thread);
        let due_state = if is_catch { abort_states::NONE } else { abort_states::REQUESTED };
        let known = self.b.iconst(Type::I32, i64::from(due_state));
        let compare = if is_catch { IntCompare::Ne } else { IntCompare::Eq };
        let is_due = self.b.icmp(compare, state, known);
        self.b.brif(is_due, due, &[], done, &[]);
        self.enter(due);
        let is_catch = self.b.iconst(Type::I32, i64::from(is_catch));
        self.helper(HelperId::AbortPoint, &[is_catch]);
        self.b.jump(done, &[]);
        self.enter(done);
    }

    /// The finally clauses after `clause` on the way from its protected range to `target`.
    fn rest_of_chain(&self, clause: usize, from: u32, target: u32) -> Vec<usize> {
        let chain = self.scan.finally_chain(self.body, from, target);
        match chain.iter().position(|&other| other == clause) {
            Some(place) => chain[place + 1..].to_vec(),
            None => Vec::new(),
        }
    }

    /// Takes the lock of a synchronized method and makes the region that gives it back when an exception passes.
    pub(super) fn take_lock(&mut self) -> Outcome {
        let is_static = self.types.method(self.method).is_static();
        let owner = self.types.method(self.method).owner;
        if !is_static && self.types.is_value_type(owner) {
            let error = il::Error::type_load("a synchronized method of a value type");
            return Err(super::Failure::Method(error.with_name(self.types.method_full_name(self.method))));
        }
        let object = if is_static {
            let class = self.own_class();
            self.type_cell(class, CellRequest::TypeObject, Type::Ref)?
        } else {
            let this = self.args[0];
            self.load_local(this)?;
            self.pop_scalar(Type::Ref)?
        };
        let bytes = self.abi.pointer_bytes;
        let slot = self.new_slot(bytes, bytes);
        self.b.function.slots[slot].in_handler = true;
        let address = self.b.stack_addr(slot, 0);
        self.b.store(Memory::frame(Type::Ref), address, object);
        self.helper(HelperId::MonitorEnter, &[object]);
        let resume = self.b.current_block();
        let entry = self.new_block();
        self.enter(entry);
        self.release(slot);
        self.b.end_finally();
        let handlers = vec![Handler { kind: HandlerKind::Fault, entry }];
        let region = self.b.function.regions.push(RegionData { parent: None, handlers });
        self.lock = Some((slot, region));
        if let Some(block) = resume {
            self.b.switch_to_block(block);
        }
        Ok(())
    }

    fn release(&mut self, slot: StackSlot) {
        let address = self.b.stack_addr(slot, 0);
        let object = self.b.load(Memory::frame(Type::Ref), address);
        self.helper(HelperId::MonitorExit, &[object]);
    }

    /// Gives the lock back before a return.
    pub(super) fn release_lock(&mut self) {
        if let Some((slot, _)) = self.lock {
            // Not within the region: the lock must not be given back twice.
            self.code.region = None;
            let block = self.new_block();
            self.b.jump(block, &[]);
            self.enter(block);
            self.release(slot);
        }
    }

    pub(super) fn import_endfilter(&mut self) -> Outcome {
        let is_filter = super::scan::handler_at(self.body, self.offset).is_some_and(|handler| handler % 2 == 1);
        if !is_filter {
            return Err(invalid("endfilter outside of a filter"));
        }
        let verdict = self.pop_scalar(Type::I32)?;
        self.b.end_filter(verdict);
        Ok(())
    }

    pub(super) fn import_throw(&mut self) -> Outcome {
        let exception = self.pop_scalar(Type::Ref)?;
        self.helper(HelperId::Throw, &[exception]);
        Ok(())
    }

    pub(super) fn import_rethrow(&mut self) -> Outcome {
        let handler = super::scan::handler_at(self.body, self.offset);
        let handler = handler.ok_or_else(|| invalid("rethrow outside of a handler"))?;
        let mut clone = self.clone;
        loop {
            if let Some(&slot) = self.exceptions.get(&(clone, handler)) {
                let address = self.b.stack_addr(slot, 0);
                let exception = self.b.load(Memory::frame(Type::Ref), address);
                self.helper(HelperId::Rethrow, &[exception]);
                return Ok(());
            }
            if clone == BODY {
                return Err(invalid("rethrow outside of a catch handler"));
            }
            clone = self.clones[clone.0 as usize].parent;
        }
    }

    /// Reads the cell of a class whose initialiser must have run from here on.
    pub(super) fn touch_class(&mut self, class: super::generics::TypeRef) -> Outcome<Value> {
        self.type_cell(class, CellRequest::InitializedMethodTable, Type::Iptr)
    }
}
