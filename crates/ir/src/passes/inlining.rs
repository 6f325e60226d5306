//! Inlining: calls of known small methods become their bodies.
//!
//! Which bodies there are says the [`InlineSource`](crate::pass_manager::InlineSource); what is too big, too deep or of
//! the wrong shape is decided here. The null check of `this` is an instruction of the caller and stays. Each inlined call is an
//! [`InlineSite`], so that traces show the frames as if there had been a call.

use super::rewrite::{apply_aliases, mark_cold};
use crate::entity::{Block, Entity, Inst, SideTable, StackSlot, Symbol, Value};
use crate::function::{Function, SymbolRef, ValueData, ValueDef};
use crate::inline_sites::InlineSite;
use crate::instruction::{Aux, BlockCall, Instruction, Opcode, SourceOffset};
use crate::pass_manager::{InlineBody, InlineBudget, Level, Pass, PassContext};
use crate::tail_calls::plain_call;
use crate::types::Type;
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass { name: "inlining", mono_aliases: &["inline"], default_level: Level::Default, run };

/// Runs the pass. True if anything changed.
fn run(function: &mut Function, context: &mut PassContext<'_>) -> bool {
    let Some(source) = context.inline.as_deref_mut() else { return false };
    let budget = source.budget();
    let is_call = |inst: &Inst| function.insts[*inst].opcode == Opcode::Call;
    if !function.layout.iter().any(|&block| function.blocks[block].insts.iter().any(is_call)) {
        return false;
    }
    // What leads to an exception only is not worth it.
    context.scratch.control_flow.ensure_edges(function);
    mark_cold(function, &context.scratch.control_flow);
    let mut size: usize = function.layout.iter().map(|&block| function.blocks[block].insts.len()).sum();
    let mut depths: SideTable<Inst, u8> = SideTable::new();
    let mut first_free = first_free_position(function);
    let mut inlined = 0;
    let mut next_block = 0;
    // Inlined blocks and rests of split blocks come at the end of the layout and are visited in their turn.
    while next_block < function.layout.len() {
        let block = function.layout[next_block];
        next_block += 1;
        let mut place = 0;
        while place < function.blocks[block].insts.len() {
            let inst = function.blocks[block].insts[place];
            place += 1;
            let (Opcode::Call, Aux::Call { callee, .. }) = (function.insts[inst].opcode, &function.insts[inst].aux) else {
                continue;
            };
            let callee = *callee;
            if u32::from(depths[inst]) >= budget.depth || size >= budget.caller as usize || function.blocks[block].cold {
                continue;
            }
            let Some(body) = source.body(function, callee) else { continue };
            let added = instruction_count(&body.function);
            if !is_wanted(&body, added, size, &budget) || !fits(function, inst, &body.function) {
                continue;
            }
            size += added;
            inlined += 1;
            let first = function.insts.len();
            let depth = depths[inst] + 1;
            splice(function, block, place - 1, &body.function, body.symbols.as_deref(), &mut first_free);
            for index in first..function.insts.len() {
                depths[Inst::from_index(index)] = depth;
            }
            // The same block again, from the place of the call on.
            place -= 1;
        }
    }
    if inlined > 0 {
        apply_aliases(function);
        context.count("inlined-calls", inlined);
    }
    inlined > 0
}

/// The first number that is no source position yet.
fn first_free_position(function: &Function) -> u32 {
    let known = function.insts.values().map(|instruction| instruction.source).filter(|&source| source != SourceOffset::UNKNOWN);
    let taken = known.map(|source| source.0).chain(function.inline_sites.last().map(|site| site.first)).max();
    taken.map_or(0, |taken| taken.saturating_add(1))
}

fn instruction_count(function: &Function) -> usize {
    function.layout.iter().map(|&block| function.blocks[block].insts.len()).sum()
}

fn is_wanted(body: &InlineBody, added: usize, size: usize, budget: &InlineBudget) -> bool {
    if size + added > budget.caller as usize {
        return false;
    }
    body.always || is_acceptable_to(&body.function, budget)
}

/// Whether a body is small and simple enough to be inlined without being asked for.
pub fn is_acceptable_to(body: &Function, budget: &InlineBudget) -> bool {
    instruction_count(body) <= budget.callee as usize && !has_loop(body)
}

/// Whether a branch goes back in the layout, which every loop needs.
fn has_loop(function: &Function) -> bool {
    let mut seen = vec![false; function.blocks.len()];
    function.layout.iter().any(|&block| {
        seen[block.index()] = true;
        function.insts[function.terminator(block)].targets().iter().any(|target| seen[target.block.index()])
    })
}

/// Whether the shape of `body` allows it to stand in place of the call `inst`.
fn fits(caller: &Function, inst: Inst, body: &Function) -> bool {
    let call = &caller.insts[inst];
    let Some(&entry) = body.layout.first() else { return false };
    let params = &body.blocks[entry].params;
    let results = &caller.results[inst];
    let same_params = params.len() == call.args.len()
        && params.iter().zip(&call.args).all(|(&param, &value)| {
            let (param, value) = (body.value_type(param), caller.value_type(value));
            param == value || (param.is_pointer_sized() && value.is_pointer_sized())
        });
    let same_results = body.signature().results.len() == results.len()
        && body.signature().results.iter().zip(results).all(|(&ty, &value)| ty == caller.value_type(value));
    let regions = body.regions.values().any(|region| !region.handlers.is_empty());
    // These mean the frame that they are executed in.
    let framed = || {
        body.layout
            .iter()
            .flat_map(|&block| &body.blocks[block].insts)
            .any(|&inst| matches!(body.insts[inst].opcode, Opcode::StackAlloc | Opcode::FrameAddr))
    };
    same_params && same_results && !regions && body.pointer_bytes == caller.pointer_bytes && !framed()
}

/// Puts `body` in place of the call number `place` of `block`. Its source positions begin at `first_free`, which becomes the number behind them.
fn splice(
    function: &mut Function,
    block: Block,
    place: usize,
    body: &Function,
    symbols: Option<&[SymbolRef]>,
    first_free: &mut u32,
) {
    let call = function.blocks[block].insts[place];
    let source = function.insts[call].source;
    let rest = function.blocks[block].insts.split_off(place + 1);
    function.blocks[block].insts.pop();
    let mut args: SmallVec<[Value; 6]> = SmallVec::new();
    for (index, &param) in body.blocks[body.entry()].params.iter().enumerate() {
        let value = function.resolve(function.insts[call].args[index]);
        args.push(adapt(function, block, value, body.value_type(param), source));
    }
    let mut copy = BodyCopy {
        values: vec![None; body.values.len()],
        blocks: vec![None; body.blocks.len()],
        first_slot: function.slots.len(),
        source,
        first: *first_free,
        behind: *first_free,
        symbols,
    };
    for slot in body.slots.values() {
        function.slots.push(*slot);
    }
    let returns_at_once = body.layout.len() == 1 && body.insts[body.terminator(body.entry())].opcode == Opcode::Return;
    if returns_at_once {
        copy.instructions(function, block, call, body, &args);
        function.blocks[block].insts.extend(rest);
    } else {
        copy.add_blocks(function, block, call, body, &args, rest);
    }
    // Where a body has no positions, all of it belongs to the call.
    if let (true, Aux::Call { callee, .. }) = (copy.behind > copy.first, &function.insts[call].aux) {
        function.inline_sites.push(InlineSite { callee: *callee, first: copy.first, call: source });
        *first_free = copy.behind;
    }
}

fn append_jump(function: &mut Function, block: Block, target: Block, args: &[Value], source: SourceOffset) {
    let aux = Aux::Targets(vec![BlockCall { block: target, args: SmallVec::from_slice(args) }]);
    let mut jump = Instruction::new(Opcode::Jump, Type::I32, &[], aux);
    jump.source = source;
    function.append(block, jump);
}

/// `value` as a `ty` of the same width.
fn adapt(function: &mut Function, block: Block, value: Value, ty: Type, source: SourceOffset) -> Value {
    if function.value_type(value) == ty {
        return value;
    }
    let mut cast = Instruction::new(Opcode::Bitcast, ty, &[value], Aux::None);
    cast.source = source;
    let inst = function.append(block, cast);
    function.result(inst)
}

/// What the entities of a body are in the caller.
struct BodyCopy<'a> {
    values: Vec<Option<Value>>,
    blocks: Vec<Option<Block>>,
    first_slot: usize,
    /// Position of the call.
    source: SourceOffset,
    /// The number for offset 0 of the body.
    first: u32,
    /// The number behind all that were given.
    behind: u32,
    symbols: Option<&'a [SymbolRef]>,
}

impl BodyCopy<'_> {
    /// The value in the caller. One that is used before its definition was copied (the layout need not follow the
    /// dominators) gets a name that its definition takes on later.
    fn value(&mut self, function: &mut Function, body: &Function, value: Value) -> Value {
        let value = body.resolve(value);
        *self.values[value.index()].get_or_insert_with(|| {
            function.values.push(ValueData { ty: body.value_type(value), def: ValueDef::Param(function.layout[0], u32::MAX) })
        })
    }

    fn name_results(&mut self, function: &mut Function, body: &Function, original: Inst, new: Inst) {
        for (index, &result) in body.results[original].iter().enumerate() {
            let value = function.results[new][index];
            match self.values[result.index()] {
                Some(forward) => function.alias(forward, value),
                None => self.values[result.index()] = Some(value),
            }
        }
    }

    /// Puts the instructions of a body of one block at the end of `block`.
    fn instructions(&mut self, function: &mut Function, block: Block, call: Inst, body: &Function, args: &[Value]) {
        let entry = &body.blocks[body.entry()];
        for (&param, &value) in entry.params.iter().zip(args) {
            self.values[param.index()] = Some(value);
        }
        let (&last, insts) = entry.insts.split_last().expect("a complete block has a terminator");
        for &inst in insts {
            let instruction = self.instruction(function, body, &body.insts[inst]);
            let new = function.append(block, instruction);
            self.name_results(function, body, inst, new);
        }
        for (index, &value) in body.insts[last].args.iter().enumerate() {
            let value = self.value(function, body, value);
            let result = function.results[call][index];
            function.alias(result, value);
        }
    }

    /// Adds the blocks of a body, with a jump to them from the end of `block`, and one for what follows the call.
    fn add_blocks(
        &mut self,
        function: &mut Function,
        block: Block,
        call: Inst,
        body: &Function,
        args: &[Value],
        rest: Vec<Inst>,
    ) {
        let (region, cold) = (function.blocks[block].region, function.blocks[block].cold);
        for &original in &body.layout {
            let new = function.add_block();
            function.blocks[new].region = region;
            function.blocks[new].cold = cold || body.blocks[original].cold;
            self.blocks[original.index()] = Some(new);
            for &param in &body.blocks[original].params {
                self.values[param.index()] = Some(function.add_block_param(new, body.value_type(param)));
            }
        }
        let after = function.add_block();
        function.blocks[after].region = region;
        function.blocks[after].cold = cold;
        function.blocks[after].insts = rest;
        for index in 0..function.results[call].len() {
            let result = function.results[call][index];
            let param = function.add_block_param(after, function.value_type(result));
            function.alias(result, param);
        }
        let entry = self.blocks[body.entry().index()].expect("the entry is in the layout");
        append_jump(function, block, entry, args, self.source);
        for &original in &body.layout {
            let new = self.blocks[original.index()].expect("made above");
            for &inst in &body.blocks[original].insts {
                if body.insts[inst].opcode == Opcode::Return {
                    let values: SmallVec<[Value; 6]> =
                        body.insts[inst].args.iter().map(|&value| self.value(function, body, value)).collect();
                    append_jump(function, new, after, &values, self.source);
                    continue;
                }
                let mut instruction = self.instruction(function, body, &body.insts[inst]);
                // The frame is the caller's now, which goes on.
                let plain = plain_call(instruction.opcode);
                instruction.opcode = plain.unwrap_or(instruction.opcode);
                let made = function.append(new, instruction);
                self.name_results(function, body, inst, made);
                if plain.is_some() {
                    let values = function.results[made].clone();
                    append_jump(function, new, after, &values, self.source);
                }
            }
        }
    }

    /// The position in the caller.
    fn position(&mut self, original: SourceOffset) -> SourceOffset {
        if original == SourceOffset::UNKNOWN {
            return self.source;
        }
        let position = self.first.saturating_add(original.0);
        self.behind = self.behind.max(position.saturating_add(1));
        SourceOffset(position)
    }

    fn instruction(&mut self, function: &mut Function, body: &Function, original: &Instruction) -> Instruction {
        let mut instruction = original.clone();
        instruction.source = self.position(original.source);
        for value in &mut instruction.args {
            *value = self.value(function, body, *value);
        }
        match &mut instruction.aux {
            Aux::Slot(slot, _) => *slot = StackSlot::from_index(self.first_slot + slot.index()),
            Aux::Symbol(symbol) => *symbol = self.symbol(function, body, *symbol),
            Aux::Call { signature, callee } => {
                *signature = function.add_signature(body.signatures[*signature].clone());
                *callee = self.symbol(function, body, *callee);
            }
            Aux::CallIndirect(signature) => *signature = function.add_signature(body.signatures[*signature].clone()),
            Aux::Targets(targets) => {
                for target in targets {
                    target.block = self.blocks[target.block.index()].expect("branches lead to blocks of the layout");
                    for value in &mut target.args {
                        *value = self.value(function, body, *value);
                    }
                }
            }
            _ => {}
        }
        instruction
    }

    fn symbol(&self, function: &mut Function, body: &Function, symbol: Symbol) -> Symbol {
        let data = &body.symbols[symbol];
        let target = self.symbols.map_or(data.target, |symbols| symbols[symbol.index()]);
        function.add_symbol(target, || data.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inline_sites::frames;
    use crate::parse::parse_function;
    use crate::pass_manager::InlineSource;
    use crate::verify::verify;
    use std::sync::Arc;

    struct Bodies(Vec<Arc<Function>>);

    impl InlineSource for Bodies {
        fn body(&mut self, caller: &Function, callee: Symbol) -> Option<InlineBody> {
            let name = &caller.symbols[callee].name;
            let function = self.0.iter().find(|body| body.name == *name)?.clone();
            Some(InlineBody { function, always: false, symbols: None })
        }
    }

    const CALLER: &str = "function \"Caller\" pointer 8 managed (i32) -> i32 {
    sig0 = managed (i32) -> i32
    sym0 = method 1 \"Absolute\"
    sym1 = method 2 \"Twice\"
block0(v0: i32):
    v1 = call sym0 sig0 v0 @3
    v2 = call sym1 sig0 v1 @4
    return v2
}
";
    const ABSOLUTE: &str = "function \"Absolute\" pointer 8 managed (i32) -> i32 {
block0(v0: i32):
    v1 = iconst.i32 0
    v2 = icmp.i32 slt v0, v1
    brif v2 block1, block2
block1:
    v3 = ineg.i32 v0 @9
    return v3
block2:
    return v0
}
";
    const TWICE: &str = "function \"Twice\" pointer 8 managed (i32) -> i32 {
    ss0 = slot 4 align 4
block0(v0: i32):
    v1 = stack_addr.mptr ss0
    store v1, v0 [i32 no_trap stack]
    v2 = load.i32 v1 [i32 no_trap stack]
    v3 = iadd.i32 v2, v0
    return v3
}
";

    #[test]
    fn bodies_take_the_place_of_calls() {
        let function = inlined(CALLER, &[ABSOLUTE, TWICE]);
        let opcodes: Vec<Opcode> = function
            .layout
            .iter()
            .flat_map(|&block| &function.blocks[block].insts)
            .map(|&inst| function.insts[inst].opcode)
            .collect();
        assert!(!opcodes.contains(&Opcode::Call));
        assert_eq!(function.slots.len(), 1);
    }

    fn inlined(caller: &str, bodies: &[&str]) -> Function {
        let mut function = parse_function(caller).unwrap();
        let mut bodies = Bodies(bodies.iter().map(|text| Arc::new(parse_function(text).unwrap())).collect());
        let mut context = PassContext { inline: Some(&mut bodies), ..PassContext::default() };
        assert!(run(&mut function, &mut context));
        verify(&function).unwrap();
        function
    }

    /// For the one instruction with an opcode: names of the methods whose code it is part of, and offsets in them.
    fn frames_of(function: &Function, opcode: Opcode) -> Vec<(&str, u32)> {
        let instruction = function.insts.values().find(|instruction| instruction.opcode == opcode).unwrap();
        let name = |site: usize| function.symbols[function.inline_sites[site].callee].name.as_str();
        frames(&function.inline_sites, instruction.source)
            .map(|(site, offset)| (site.map_or(function.name.as_str(), name), offset.0))
            .collect()
    }

    #[test]
    fn inlined_code_knows_its_calls() {
        let function = inlined(CALLER, &[ABSOLUTE, TWICE]);
        assert_eq!(frames_of(&function, Opcode::Ineg), [("Absolute", 9), ("Caller", 3)]);
        // Nothing in it has a position.
        assert_eq!(frames_of(&function, Opcode::Iadd), [("Caller", 4)]);
        let nested = ABSOLUTE
            .replace("ineg.i32 v0 @9", "call sym0 sig0 v0 @9")
            .replace("block0(", "sig0 = managed (i32) -> i32\nsym0 = method 3 \"Negate\"\nblock0(");
        let negate = "function \"Negate\" pointer 8 managed (i32) -> i32 {\nblock0(v0: i32):\nv1 = ineg.i32 v0 @2\nreturn v1\n}";
        let function = inlined(CALLER, &[&nested, TWICE, negate]);
        assert_eq!(frames_of(&function, Opcode::Ineg), [("Negate", 2), ("Absolute", 9), ("Caller", 3)]);
        assert_eq!(parse_function(&function.to_string()).unwrap().inline_sites, function.inline_sites);
    }
}
