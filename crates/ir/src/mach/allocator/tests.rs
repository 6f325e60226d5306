//! Random programs of a toy machine through the allocator and the checker; parallel moves exhaustively.

use super::allocate;
use super::loops::compute_loop_depths;
use super::parallel_moves::{ParallelMove, resolve};
use crate::instruction::SourceOffset;
use crate::mach::checker::check;
use crate::mach::registers::*;
use crate::mach::vcode::*;
use crate::types::Type;

#[derive(Clone, Debug)]
struct ToyInst {
    operands: Vec<Operand>,
    clobbers: PRegSet,
    copy: bool,
    terminator: bool,
}

impl MachInst for ToyInst {
    fn operands(&self, collect: &mut dyn FnMut(Operand)) {
        self.operands.iter().for_each(|&operand| collect(operand));
    }
    fn clobbers(&self) -> PRegSet {
        self.clobbers
    }
    fn as_move(&self) -> Option<(VReg, VReg)> {
        self.copy.then(|| (self.operands[0].vreg, self.operands[1].vreg))
    }
    fn is_terminator(&self) -> bool {
        self.terminator
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit as u64) as usize
    }
}

struct Generator {
    random: Random,
    code: VCode<ToyInst>,
    /// Vregs that may be used here.
    scope: Vec<VReg>,
    blocks: Vec<Vec<ToyInst>>,
    current: usize,
}

const CALLER_SAVED: [u8; 4] = [0, 1, 2, 3];

impl Generator {
    fn vreg(&mut self) -> VReg {
        let ty = if self.random.below(4) == 0 { Type::F64 } else { Type::I32 };
        self.vreg_of(ty)
    }
    fn vreg_of(&mut self, ty: Type) -> VReg {
        self.code.vreg_types.push(ty);
        VReg::new(self.code.vreg_types.len() - 1, class_of(ty))
    }
    fn block(&mut self) -> usize {
        self.blocks.push(Vec::new());
        self.code.blocks.push(BlockInfo {
            insts: 0..0,
            params: Vec::new(),
            successors: Vec::new(),
            predecessors: Vec::new(),
            cold: self.random.below(6) == 0,
            loop_depth: 0,
            handler_entry: false,
            region: None,
            origin: None,
        });
        self.blocks.len() - 1
    }
    fn pick(&mut self, class: RegClass) -> VReg {
        let fitting: Vec<VReg> = self.scope.iter().copied().filter(|vreg| vreg.class() == class).collect();
        fitting[self.random.below(fitting.len())]
    }
    fn push(&mut self, operands: Vec<Operand>, clobbers: PRegSet, copy: bool) {
        self.blocks[self.current].push(ToyInst { operands, clobbers, copy, terminator: false });
    }
    fn define(&mut self, ty: Type) {
        let vreg = self.vreg_of(ty);
        self.push(vec![Operand::reg_def(vreg)], PRegSet::EMPTY, false);
        self.scope.push(vreg);
    }
    fn operation(&mut self) {
        let result = self.vreg();
        let class = result.class();
        let (a, b) = (self.pick(class), self.pick(class));
        let register = |number: u8| PReg::new(class, number);
        match self.random.below(11) {
            0 => self.push(vec![Operand::reg_def(result), Operand::reg_use(a), Operand::any_use(b)], PRegSet::EMPTY, false),
            1 => self.push(vec![Operand::reuse_def(result, 1), Operand::reg_use(a), Operand::reg_use(b)], PRegSet::EMPTY, false),
            2 => {
                let operands = vec![Operand::reuse_def(result, 1), Operand::reg_use(a), Operand::fixed_use(b, register(1))];
                self.push(operands, PRegSet::EMPTY, false);
            }
            3 => {
                let clobbers = CALLER_SAVED.iter().flat_map(|&number| [PReg::int(number), PReg::float(number)]).collect();
                let int = self.pick(RegClass::Int);
                let operands = vec![
                    Operand::fixed_use(a, register(0)),
                    Operand::fixed_use(b, register(2)),
                    Operand::reg_use(int),
                    Operand::fixed_def(result, register(0)),
                ];
                self.push(operands, clobbers, false);
            }
            4 => self.push(vec![Operand::reg_def(result), Operand::reg_use(a)], PRegSet::EMPTY, true),
            5 => {
                let operands = vec![Operand::reg_def_early(result), Operand::reg_use(a), Operand::reg_use_late(b)];
                self.push(operands, PRegSet::EMPTY, false);
            }
            6 => {
                // Division as on x86.
                let rest = self.vreg_of(self.code.vreg_type(result));
                let operands = vec![
                    Operand::fixed_use(a, register(0)),
                    Operand::any_use(b),
                    Operand::fixed_def(result, register(0)),
                    Operand::fixed_def(rest, register(2)),
                ];
                self.push(operands, PRegSet::EMPTY, false);
            }
            // Byte registers of 32-bit x86.
            8 if class == RegClass::Int => {
                let operands = vec![
                    Operand::reuse_def(result, 1),
                    Operand::new_use(a, Constraint::Narrow),
                    Operand::reg_use(b),
                    Operand::reg_use(self.pick(class)),
                ];
                self.push(operands, PRegSet::EMPTY, false);
            }
            9 if class == RegClass::Int => {
                let operands = vec![
                    Operand::reg_use(b),
                    Operand::new_use(a, Constraint::Narrow),
                    Operand::fixed_use(b, register(0)),
                    Operand::new_def(result, Constraint::Narrow),
                ];
                self.push(operands, PRegSet::EMPTY, false);
            }
            7 => self.push(vec![Operand::any_def(result), Operand::any_use(a)], PRegSet::EMPTY, false),
            _ => {
                let operands =
                    vec![Operand::fixed_use(a, register(3)), Operand::fixed_use(a, register(4)), Operand::reg_def(result)];
                self.push(operands, PRegSet::EMPTY, false);
            }
        }
        self.scope.push(result);
    }
    fn branch(&mut self, targets: Vec<(usize, Vec<VReg>)>) {
        let condition = (targets.len() > 1).then(|| Operand::reg_use(self.pick(RegClass::Int)));
        let inst = ToyInst { operands: condition.into_iter().collect(), clobbers: PRegSet::EMPTY, copy: false, terminator: true };
        self.blocks[self.current].push(inst);
        let edges = targets.into_iter().map(|(block, args)| Edge { block: MachBlock(block as u32), args });
        self.code.blocks[self.current].successors = edges.collect();
    }
    fn args(&mut self, params: &[VReg]) -> Vec<VReg> {
        params.iter().map(|param| self.pick(param.class())).collect()
    }
    fn body(&mut self, depth: usize) {
        for _ in 0..self.random.below(5) + 1 {
            match self.random.below(if depth == 0 { 6 } else { 9 }) {
                0..=5 => {
                    for _ in 0..self.random.below(6) {
                        self.operation();
                    }
                }
                6 | 7 => {
                    let (then, other, join) = (self.block(), self.block(), self.block());
                    let params: Vec<VReg> = (0..self.random.below(4)).map(|_| self.vreg()).collect();
                    self.branch(vec![(then, vec![]), (other, vec![])]);
                    let outer = self.scope.len();
                    for side in [then, other] {
                        self.current = side;
                        self.body(depth - 1);
                        let args = self.args(&params);
                        self.branch(vec![(join, args)]);
                        self.scope.truncate(outer);
                    }
                    self.current = join;
                    self.code.blocks[join].params = params.clone();
                    self.scope.extend(params);
                }
                _ => {
                    let (header, body, exit) = (self.block(), self.block(), self.block());
                    let params: Vec<VReg> = (0..self.random.below(5)).map(|_| self.vreg()).collect();
                    let args = self.args(&params);
                    self.branch(vec![(header, args)]);
                    self.current = header;
                    self.code.blocks[header].params = params.clone();
                    self.scope.extend(&params);
                    self.branch(vec![(body, vec![]), (exit, vec![])]);
                    let outer = self.scope.len();
                    self.current = body;
                    self.body(depth - 1);
                    let args = self.args(&params);
                    self.branch(vec![(header, args)]);
                    self.scope.truncate(outer);
                    self.current = exit;
                }
            }
        }
    }
}

fn generate(seed: u64, depth: usize) -> VCode<ToyInst> {
    let code = VCode { insts: vec![], sources: vec![], blocks: vec![], vreg_types: vec![] };
    let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut generator = Generator { random, code, scope: vec![], blocks: vec![], current: 0 };
    generator.block();
    for ty in [Type::I32, Type::F64, Type::I32, Type::F64, Type::I32] {
        generator.define(ty);
    }
    generator.body(depth);
    let last = generator.args(&generator.scope.clone());
    generator.push(last.into_iter().map(Operand::any_use).collect(), PRegSet::EMPTY, false);
    generator.branch(vec![]);
    let mut code = generator.code;
    for (index, insts) in generator.blocks.into_iter().enumerate() {
        let start = code.insts.len() as u32;
        code.insts.extend(insts);
        code.blocks[index].insts = start..code.insts.len() as u32;
    }
    code.sources = vec![SourceOffset::UNKNOWN; code.insts.len()];
    code.compute_predecessors();
    compute_loop_depths(&mut code);
    code
}

fn file(count: u8, scratch: bool) -> RegisterFile {
    RegisterFile {
        allocatable: [(0..count).map(PReg::int).collect(), (0..count).map(PReg::float).collect()],
        callee_saved: PRegSet::of(&[PReg::int(5), PReg::int(6)]),
        narrow: (0..4).map(PReg::int).collect(),
        scratch: if scratch { [Some(PReg::int(15)), Some(PReg::float(15))] } else { [None, None] },
        pointer_bytes: 8,
    }
}

#[test]
fn random_programs_pass_the_checker() {
    for seed in 1..3000 {
        let code = generate(seed, 3);
        let file = file(6 + (seed % 3) as u8 * 3, seed % 2 == 0);
        let result = allocate(&code, &file, seed % 4 < 2).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        check(&code, &file, &result).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", code.print(Some(&result))));
    }
}

#[test]
fn parallel_moves_do_what_they_say() {
    // All maps from 4 places to 4 sources, with and without a scratch register.
    let places = [
        Allocation::Reg(PReg::int(0)),
        Allocation::Reg(PReg::int(1)),
        Allocation::Stack(SpillSlot(0)),
        Allocation::Stack(SpillSlot(8)),
    ];
    for scratch in [false, true] {
        let file = file(4, scratch);
        for code in 0..256usize {
            let source = |index: usize| places[code >> (2 * index) & 3];
            let mut moves: Vec<ParallelMove> =
                (0..4).map(|index| ParallelMove { from: source(index), to: places[index], ty: Type::I64 }).collect();
            let mut machine: std::collections::HashMap<Allocation, Allocation> =
                places.iter().map(|&place| (place, place)).collect();
            resolve(&mut moves, &file, SpillSlot(64), &mut |edit| match edit {
                Edit::Move { from, to, .. } => {
                    let value = machine[&from];
                    machine.insert(to, value);
                }
                Edit::Swap(a, b) => {
                    let (a, b) = (Allocation::Reg(a), Allocation::Reg(b));
                    let (of_a, of_b) = (machine[&a], machine[&b]);
                    machine.insert(a, of_b);
                    machine.insert(b, of_a);
                }
            });
            for index in 0..4 {
                assert_eq!(machine[&places[index]], source(index), "map {code:08b}");
            }
        }
    }
}

#[test]
fn checker_finds_missing_moves() {
    let mut missed = 0;
    let mut tried = 0;
    for seed in 1..100 {
        let code = generate(seed, 2);
        let file = file(6, true);
        let result = allocate(&code, &file, false).expect("allocation");
        for index in (0..result.edits.len()).step_by(7) {
            let mut broken = result.clone();
            broken.edits.remove(index);
            tried += 1;
            missed += usize::from(check(&code, &file, &broken).is_ok());
        }
    }
    // Some moves bring what nobody reads: a parameter without uses, a store of a definition that is reloaded on no path.
    assert!(tried > 100 && missed * 2 < tried, "{missed} of {tried}");
}

#[test]
fn large_functions_stay_fast() {
    let mut code = generate(7, 7);
    for seed in 8..60 {
        let other = generate(seed, 7);
        if other.insts.len() > code.insts.len() {
            code = other;
        }
    }
    let start = std::time::Instant::now();
    let file = file(12, true);
    let result = allocate(&code, &file, true).expect("allocation");
    assert_eq!(result.operand_start.len(), code.insts.len() + 1);
    let micros = start.elapsed().as_micros();
    assert!(micros < 1000 * 100 + 100 * code.insts.len() as u128, "{micros} µs for {} instructions", code.insts.len());
}
