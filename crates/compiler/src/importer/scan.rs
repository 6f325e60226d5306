//! The first look at a method's IL: where basic blocks begin, how variables are used, how protected regions nest, and where
//! `leave` goes.

use super::{Failure, invalid};
use il::instruction::{Decoder, Instruction, Opcode, Operand};
use il::method_body::{ClauseKind, MethodBody};
use rustc_hash::{FxHashMap, FxHashSet};

/// In which handlers a variable is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Place {
    /// Nowhere so far.
    #[default]
    Nowhere,
    /// In the method's body or in this one handler or filter only.
    Only(Option<u32>),
    /// In several.
    Several,
}

/// How a local variable or argument is used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Its address is taken.
    pub address_taken: bool,
    /// It is assigned.
    pub stored: bool,
    /// Where it is used.
    pub place: Place,
    /// Its value may be read after a handler has returned to the body.
    pub live_after_handler: bool,
}

impl Usage {
    fn note(&mut self, handler: Option<u32>) {
        self.place = match self.place {
            Place::Nowhere => Place::Only(handler),
            Place::Only(known) if known == handler => self.place,
            _ => Place::Several,
        };
    }
    /// Whether it must stay in memory because handlers share it. `defined_outside`: it has a value on entry.
    pub fn shared_with_handler(&self, defined_outside: bool) -> bool {
        self.live_after_handler
            || match self.place {
                Place::Nowhere | Place::Only(None) => false,
                Place::Only(Some(_)) => defined_outside,
                Place::Several => true,
            }
    }
}

/// A protected range with its clauses, in their order.
#[derive(Clone, Debug)]
pub(super) struct TryRange {
    pub start: u32,
    pub end: u32,
    pub clauses: Vec<usize>,
    /// The innermost range around it.
    pub parent: Option<usize>,
}

impl TryRange {
    pub fn contains(&self, offset: u32) -> bool {
        (self.start..self.end).contains(&offset)
    }
}

/// What the first look found.
#[derive(Default)]
pub(super) struct Scan {
    /// Begin of each block with the number of blocks that branch or fall into it; `LATE` if that is not known.
    pub blocks: FxHashMap<u32, u32>,
    pub locals: Vec<Usage>,
    pub args: Vec<Usage>,
    pub tries: Vec<TryRange>,
    /// For each finally clause the distinct targets of `leave` that pass through it.
    pub leave_targets: FxHashMap<usize, Vec<u32>>,
    /// Whether there is a `rethrow`.
    pub has_rethrow: bool,
    /// Whether the method allocates memory of its frame.
    pub has_localloc: bool,
    /// Offsets of all instructions.
    instructions: FxHashSet<u32>,
}

/// A number of predecessors that is never reached.
pub(super) const LATE: u32 = u32::MAX;

/// Handler or filter of `body` that an offset lies in, innermost: clause number × 2, plus 1 for filters.
pub(super) fn handler_at(body: &MethodBody<'_>, offset: u32) -> Option<u32> {
    let mut best: Option<(u32, u32)> = None;
    let mut consider = |start: u32, end: u32, id: u32| {
        if (start..end).contains(&offset) && best.is_none_or(|(length, _)| end - start < length) {
            best = Some((end - start, id));
        }
    };
    for (index, clause) in body.clauses.iter().enumerate() {
        consider(clause.handler_start, clause.handler_end, 2 * index as u32);
        if let ClauseKind::Filter(start) = clause.kind {
            consider(start, clause.handler_start, 2 * index as u32 + 1);
        }
    }
    best.map(|(_, id)| id)
}

impl Scan {
    pub fn new(body: &MethodBody<'_>, arg_count: usize, local_count: usize) -> Result<Scan, Failure> {
        let mut scan =
            Scan { locals: vec![Usage::default(); local_count], args: vec![Usage::default(); arg_count], ..Scan::default() };
        scan.find_tries(body);
        scan.find_leaders(body)?;
        scan.count_predecessors(body);
        if body.clauses.iter().any(|clause| matches!(clause.kind, ClauseKind::Catch(_) | ClauseKind::Filter(_))) {
            scan.find_live_after_handlers(body);
        }
        Ok(scan)
    }

    /// Whether an instruction begins at `offset`.
    pub fn is_instruction(&self, offset: u32) -> bool {
        self.instructions.contains(&offset)
    }

    /// The innermost protected range around `offset`.
    pub fn try_at(&self, offset: u32) -> Option<usize> {
        let around = self.tries.iter().enumerate().filter(|(_, range)| range.contains(offset));
        around.min_by_key(|(_, range)| range.end - range.start).map(|(index, _)| index)
    }

    /// Finally clauses that a jump from `from` to `to` leaves, innermost first.
    pub fn finally_chain(&self, body: &MethodBody<'_>, from: u32, to: u32) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut range = self.try_at(from);
        while let Some(index) = range {
            let data = &self.tries[index];
            if data.contains(to) {
                break;
            }
            chain.extend(data.clauses.iter().copied().filter(|&clause| body.clauses[clause].kind == ClauseKind::Finally));
            range = data.parent;
        }
        chain
    }

    /// An instruction's opcode and operand; `arglist` loads the last argument.
    fn operation<'a>(&self, instruction: &Instruction<'a>) -> (Opcode, Operand<'a>) {
        match instruction.general() {
            (Opcode::Arglist, _) => (Opcode::Ldarg, Operand::Variable(self.args.len().saturating_sub(1) as u16)),
            general => general,
        }
    }

    fn find_tries(&mut self, body: &MethodBody<'_>) {
        for (index, clause) in body.clauses.iter().enumerate() {
            let known = self.tries.iter_mut().find(|range| (range.start, range.end) == (clause.try_start, clause.try_end));
            match known {
                Some(range) => range.clauses.push(index),
                None => {
                    self.tries.push(TryRange { start: clause.try_start, end: clause.try_end, clauses: vec![index], parent: None })
                }
            }
        }
        for index in 0..self.tries.len() {
            let (start, end) = (self.tries[index].start, self.tries[index].end);
            let around = self.tries.iter().enumerate();
            let around = around.filter(|(other, range)| *other != index && range.start <= start && range.end >= end);
            self.tries[index].parent = around.min_by_key(|(_, range)| range.end - range.start).map(|(other, _)| other);
        }
    }

    fn find_leaders(&mut self, body: &MethodBody<'_>) -> Result<(), Failure> {
        self.blocks.insert(0, 0);
        let has_handlers = !body.clauses.is_empty();
        for instruction in Decoder::new(body.il) {
            let instruction = instruction.map_err(Failure::Method)?;
            self.instructions.insert(instruction.offset);
            let (opcode, operand) = self.operation(&instruction);
            self.has_rethrow |= opcode == Opcode::Rethrow;
            self.has_localloc |= opcode == Opcode::Localloc;
            match operand {
                Operand::Target(target) => {
                    self.blocks.insert(target, 0);
                    self.blocks.insert(instruction.next, 0);
                    if opcode == Opcode::Leave {
                        for clause in self.finally_chain(body, instruction.offset, target) {
                            let targets = self.leave_targets.entry(clause).or_default();
                            if !targets.contains(&target) {
                                targets.push(target);
                            }
                        }
                    }
                }
                Operand::Switch(targets) => {
                    self.blocks.extend(targets.iter().map(|target| (target, 0)));
                    self.blocks.insert(instruction.next, 0);
                }
                Operand::Variable(number) => {
                    let list = match opcode {
                        Opcode::Ldarg | Opcode::Ldarga | Opcode::Starg => &mut self.args,
                        _ => &mut self.locals,
                    };
                    // Refused where it is imported, if it is reached.
                    let Some(usage) = list.get_mut(usize::from(number)) else { continue };
                    usage.note(if has_handlers { handler_at(body, instruction.offset) } else { None });
                    usage.address_taken |= matches!(opcode, Opcode::Ldarga | Opcode::Ldloca);
                    usage.stored |= matches!(opcode, Opcode::Starg | Opcode::Stloc);
                }
                _ => {}
            }
            use il::instruction::ControlFlow::{Return, Throw};
            if matches!(opcode.info().flow, Return | Throw) || opcode == Opcode::Jmp {
                self.blocks.insert(instruction.next, 0);
            }
        }
        for clause in &body.clauses {
            let filter = match clause.kind {
                ClauseKind::Filter(start) => start,
                _ => clause.handler_start,
            };
            let bounds = [clause.try_start, clause.try_end, clause.handler_start, clause.handler_end, filter];
            self.blocks.extend(bounds.map(|bound| (bound, 0)));
        }
        let end = body.il.len() as u32;
        self.blocks.retain(|&offset, _| offset < end);
        if self.blocks.keys().any(|offset| !self.instructions.contains(offset)) {
            return Err(invalid("a branch goes into the middle of an instruction"));
        }
        Ok(())
    }

    fn count_predecessors(&mut self, body: &MethodBody<'_>) {
        // The jump from the function's entry.
        self.add_predecessors([0]);
        // The entries of handlers.
        for clause in &body.clauses {
            self.add_predecessors([clause.handler_start]);
            if let ClauseKind::Filter(start) = clause.kind {
                self.add_predecessors([start]);
            }
        }
        let mut last = None;
        for instruction in Decoder::new(body.il).flatten() {
            // Falls through from the instruction before.
            if self.blocks.contains_key(&instruction.offset) {
                if let Some(true) = last {
                    self.add_predecessors([instruction.offset]);
                }
            }
            let (opcode, operand) = instruction.general();
            use il::instruction::ControlFlow::{Branch, CondBranch, Return, Throw};
            let flow = opcode.info().flow;
            let mut falls_through = !matches!(flow, Branch | Return | Throw) && opcode != Opcode::Jmp;
            match operand {
                Operand::Target(target) if opcode == Opcode::Leave => {
                    if self.finally_chain(body, instruction.offset, target).is_empty() {
                        self.add_predecessors([target]);
                    } else {
                        self.blocks.insert(target, LATE);
                    }
                }
                Operand::Target(target) => {
                    let next = (flow == CondBranch).then_some(instruction.next).filter(|&next| next != target);
                    self.add_predecessors([target].into_iter().chain(next));
                    falls_through = false;
                }
                Operand::Switch(targets) => {
                    let mut all: Vec<u32> = targets.iter().chain([instruction.next]).collect();
                    all.sort_unstable();
                    all.dedup();
                    self.add_predecessors(all);
                    falls_through = false;
                }
                _ => {}
            }
            last = Some(falls_through);
        }
    }

    fn add_predecessors(&mut self, targets: impl IntoIterator<Item = u32>) {
        for target in targets {
            if let Some(count) = self.blocks.get_mut(&target) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Liveness of variables at the places where handlers return to the body: what is live there has to survive in memory.
    fn find_live_after_handlers(&mut self, body: &MethodBody<'_>) {
        let arg_count = self.args.len();
        let words = (arg_count + self.locals.len()).div_ceil(64);
        let mut starts: Vec<u32> = self.blocks.keys().copied().collect();
        starts.sort_unstable();
        let number: FxHashMap<u32, usize> = starts.iter().enumerate().map(|(index, &start)| (start, index)).collect();
        let mut reads = vec![0u64; words * starts.len()];
        let mut writes = vec![0u64; words * starts.len()];
        let mut successors: Vec<Vec<usize>> = vec![Vec::new(); starts.len()];
        let mut resumed = Vec::new();
        let mut block = 0;
        for instruction in Decoder::new(body.il).flatten() {
            block = number.get(&instruction.offset).copied().unwrap_or(block);
            let (opcode, operand) = self.operation(&instruction);
            match operand {
                Operand::Variable(variable) => {
                    let is_arg = matches!(opcode, Opcode::Ldarg | Opcode::Ldarga | Opcode::Starg);
                    if usize::from(variable) >= if is_arg { arg_count } else { self.locals.len() } {
                        continue;
                    }
                    let variable = usize::from(variable) + if is_arg { 0 } else { arg_count };
                    let (word, bit) = (block * words + variable / 64, 1 << (variable % 64));
                    if matches!(opcode, Opcode::Starg | Opcode::Stloc) {
                        writes[word] |= bit;
                    } else if writes[word] & bit == 0 {
                        reads[word] |= bit;
                    }
                }
                Operand::Target(target) => {
                    successors[block].push(number[&target]);
                    if opcode == Opcode::Leave && handler_at(body, instruction.offset).is_some() {
                        resumed.push(number[&target]);
                    }
                }
                Operand::Switch(targets) => successors[block].extend(targets.iter().map(|target| number[&target])),
                _ => {}
            }
            use il::instruction::ControlFlow::{Branch, Return, Throw};
            if let Some(&next) = number.get(&instruction.next) {
                if !matches!(opcode.info().flow, Branch | Return | Throw) {
                    successors[block].push(next);
                }
            }
        }
        let mut live = reads.clone();
        let mut changed = true;
        while changed {
            changed = false;
            for block in (0..starts.len()).rev() {
                for &successor in &successors[block] {
                    for word in 0..words {
                        let incoming = live[successor * words + word] & !writes[block * words + word];
                        let own = &mut live[block * words + word];
                        changed |= incoming & !*own != 0;
                        *own |= incoming;
                    }
                }
            }
        }
        for block in resumed {
            for (index, usage) in self.args.iter_mut().chain(&mut self.locals).enumerate() {
                usage.live_after_handler |= live[block * words + index / 64] & (1 << (index % 64)) != 0;
            }
        }
    }
}
