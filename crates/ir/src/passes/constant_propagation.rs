//! Sparse conditional constant propagation (Wegman and Zadeck 1991) over block parameters and branches.
//!
//! Instead of use lists it sweeps the executable blocks in reverse post-order until nothing changes, which is two sweeps
//! for code without loops and rarely more than three with them.

use super::evaluate::evaluate;
use super::rewrite::{apply_aliases, compute_reachable, set_jump};
use crate::control_flow::ControlFlow;
use crate::entity::{Block, Entity, Value};
use crate::function::Function;
use crate::instruction::{Aux, BlockCall, Effects, Instruction, Opcode};
use crate::pass_manager::{Level, Pass, PassContext};
use crate::types::Type;
use smallvec::SmallVec;

/// The pass.
pub static PASS: Pass = Pass {
    name: "constant-propagation",
    mono_aliases: &["consprop"],
    default_level: Level::Default,
    run: |function, context: &mut PassContext<'_>| run(function, &mut context.scratch.control_flow),
};

/// What is known of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Knowledge {
    /// No executable definition seen yet.
    Unknown,
    /// Always this constant (floats by their bits).
    Constant(i64),
    /// Not a constant.
    Varying,
}
use Knowledge::{Constant, Unknown, Varying};

struct State {
    values: Vec<Knowledge>,
    executable: Vec<bool>,
    changed: bool,
}

impl State {
    fn join(&mut self, value: Value, other: Knowledge) {
        let known = &mut self.values[value.index()];
        let joined = match (*known, other) {
            (Unknown, other) => other,
            (known, Unknown) => known,
            (a, b) if a == b => a,
            _ => Varying,
        };
        if *known != joined {
            *known = joined;
            self.changed = true;
        }
    }
    fn reach(&mut self, function: &Function, target: &BlockCall) {
        if !std::mem::replace(&mut self.executable[target.block.index()], true) {
            self.changed = true;
        }
        for (&param, &argument) in function.blocks[target.block].params.iter().zip(&target.args) {
            self.join(param, self.get(function, argument));
        }
    }
    fn get(&self, function: &Function, value: Value) -> Knowledge {
        self.values[function.resolve(value).index()]
    }
}

/// Runs the pass. True if anything changed.
pub fn run(function: &mut Function, control_flow: &mut ControlFlow) -> bool {
    control_flow.ensure_edges(function);
    // Without parameters at joins and branches that are decided, folding finds all there is.
    let has_params = |block: &Block| !function.blocks[*block].params.is_empty() && !control_flow.roots().contains(block);
    let is_decided = |block: &Block| {
        let condition = function.insts[function.terminator(*block)].args.first();
        condition.is_some_and(|&condition| function.int_constant(condition).is_some())
    };
    if !function.layout.iter().any(|block| has_params(block) || is_decided(block)) {
        return false;
    }
    let mut state =
        State { values: vec![Unknown; function.values.len()], executable: vec![false; function.blocks.len()], changed: true };
    for &root in control_flow.roots() {
        state.executable[root.index()] = true;
        function.blocks[root].params.iter().for_each(|param| state.values[param.index()] = Varying);
    }
    while std::mem::replace(&mut state.changed, false) {
        for &block in control_flow.reverse_post_order() {
            if state.executable[block.index()] {
                visit(function, &mut state, block);
            }
        }
    }
    let changed = rewrite(function, control_flow, &state);
    if changed {
        apply_aliases(function);
        compute_reachable(function, control_flow);
    }
    changed
}

fn visit(function: &Function, state: &mut State, block: Block) {
    for &inst in &function.blocks[block].insts {
        let instruction = &function.insts[inst];
        if instruction.opcode.is_terminator() {
            match feasible_target(function, state, instruction) {
                Feasible::One(index) => state.reach(function, &instruction.targets()[index]),
                Feasible::None => {}
                Feasible::All => instruction.targets().iter().for_each(|target| state.reach(function, target)),
            }
            continue;
        }
        let results = &function.results[inst];
        if results.len() == 1 {
            let knowledge = compute(function, state, instruction);
            state.join(results[0], knowledge);
        } else {
            results.iter().for_each(|&result| state.join(result, Varying));
        }
    }
}

enum Feasible {
    None,
    One(usize),
    All,
}

fn feasible_target(function: &Function, state: &State, instruction: &Instruction) -> Feasible {
    match instruction.opcode {
        Opcode::Brif => match state.get(function, instruction.args[0]) {
            Constant(value) => Feasible::One(usize::from(value == 0)),
            Unknown => Feasible::None,
            Varying => Feasible::All,
        },
        Opcode::BrTable => match state.get(function, instruction.args[0]) {
            Constant(value) => {
                let cases = instruction.targets().len() - 1;
                let case = value as u32 as usize;
                Feasible::One(if case < cases { case + 1 } else { 0 })
            }
            Unknown => Feasible::None,
            Varying => Feasible::All,
        },
        _ => Feasible::All,
    }
}

fn compute(function: &Function, state: &State, instruction: &Instruction) -> Knowledge {
    let effects = instruction.opcode.info().effects;
    if effects.intersects(Effects::READ | Effects::WRITE | Effects::CALL) {
        return Varying;
    }
    if instruction.opcode == Opcode::Select {
        let arm = |index: usize| state.get(function, instruction.args[index]);
        return match (arm(0), arm(1), arm(2)) {
            (Unknown, ..) => Unknown,
            (Constant(condition), a, b) => {
                if condition != 0 {
                    a
                } else {
                    b
                }
            }
            (Varying, Unknown, other) | (Varying, other, Unknown) => other,
            (Varying, a, b) if a == b => a,
            _ => Varying,
        };
    }
    let mut constants: SmallVec<[i64; 3]> = SmallVec::new();
    let mut known = true;
    for &argument in &instruction.args {
        match state.get(function, argument) {
            Constant(value) => constants.push(value),
            Unknown => known = false,
            Varying => return Varying,
        }
    }
    if !known {
        return Unknown;
    }
    match evaluate(function, instruction, &constants) {
        Some(value) if instruction.ty != Type::V128 => Constant(value),
        _ => Varying,
    }
}

fn constant_instruction(ty: Type, value: i64) -> Instruction {
    let opcode = if ty.is_float() { Opcode::Fconst } else { Opcode::Iconst };
    Instruction::new(opcode, ty, &[], Aux::Int(value))
}

fn rewrite(function: &mut Function, control_flow: &ControlFlow, state: &State) -> bool {
    let mut changed = false;
    // Branches first: they ask for values that become aliases below.
    for &block in control_flow.reverse_post_order() {
        let terminator = &function.insts[function.terminator(block)];
        if state.executable[block.index()] && matches!(terminator.opcode, Opcode::Brif | Opcode::BrTable) {
            if let Feasible::One(index) = feasible_target(function, state, terminator) {
                let target = terminator.targets()[index].clone();
                set_jump(function, block, target);
                changed = true;
            }
        }
    }
    for &block in control_flow.reverse_post_order() {
        if !state.executable[block.index()] {
            continue;
        }
        let mut inserted = Vec::new();
        for index in 0..function.blocks[block].params.len() {
            let param = function.blocks[block].params[index];
            if let Constant(value) = state.values[param.index()] {
                let inst = function.make_inst(constant_instruction(function.value_type(param), value));
                let result = function.result(inst);
                function.alias(param, result);
                inserted.push(inst);
            }
        }
        if !inserted.is_empty() {
            // An alias is no parameter: a fresh value takes its place, until dead code elimination drops it.
            for index in 0..function.blocks[block].params.len() {
                let param = function.blocks[block].params[index];
                if let Constant(_) = state.values[param.index()] {
                    let data = crate::function::ValueData {
                        ty: function.value_type(param),
                        def: crate::function::ValueDef::Param(block, index as u32),
                    };
                    function.blocks[block].params[index] = function.values.push(data);
                }
            }
            function.blocks[block].insts.splice(0..0, inserted);
            changed = true;
        }
        for index in 0..function.blocks[block].insts.len() {
            let inst = function.blocks[block].insts[index];
            let [result] = function.results[inst][..] else { continue };
            let instruction = &mut function.insts[inst];
            if matches!(instruction.opcode, Opcode::Iconst | Opcode::Fconst) {
                continue;
            }
            if let Some(&Constant(value)) = state.values.get(result.index()) {
                let source = instruction.source;
                *instruction = constant_instruction(instruction.ty, value);
                instruction.source = source;
                changed = true;
            }
        }
    }
    changed
}
