//! Shifts, rotation, and operations on single bits and bytes.

use super::{Legalizer, Pair};
use crate::entity::Value;
use crate::instruction::{IntCompare, Opcode};

impl Legalizer<'_> {
    pub(super) fn bit_operation(&mut self, opcode: Opcode, a: Pair) -> Pair {
        match opcode {
            Opcode::Inot => Pair { low: self.unary(opcode, a.low), high: self.unary(opcode, a.high) },
            Opcode::Bswap => Pair { low: self.unary(opcode, a.high), high: self.unary(opcode, a.low) },
            Opcode::Popcnt => {
                let (low, high) = (self.unary(opcode, a.low), self.unary(opcode, a.high));
                let count = self.binary(Opcode::Iadd, low, high);
                self.zero_extended(count)
            }
            // Where the half that counts first is zero, the other one's count is added to 32.
            Opcode::Clz => self.count_zeros(opcode, a.high, a.low),
            _ => self.count_zeros(opcode, a.low, a.high),
        }
    }

    pub(super) fn zero_extended(&mut self, low: Value) -> Pair {
        Pair { low, high: self.constant(0) }
    }

    fn count_zeros(&mut self, opcode: Opcode, first: Value, second: Value) -> Pair {
        let (near, far) = (self.unary(opcode, first), self.unary(opcode, second));
        let width = self.constant(32);
        let far = self.binary(Opcode::Iadd, far, width);
        let zero = self.constant(0);
        let is_near = self.icmp(IntCompare::Ne, first, zero);
        let count = self.select(is_near, near, far);
        self.zero_extended(count)
    }

    /// Shifts and rotates; of `amount` the low 6 bits count.
    pub(super) fn shift_pair(&mut self, opcode: Opcode, a: Pair, amount: Value) -> Pair {
        match self.known(amount) {
            Some(amount) => self.shift_by_constant(opcode, a, amount & 63),
            None => self.shift_by_variable(opcode, a, amount),
        }
    }

    fn shift_by_constant(&mut self, opcode: Opcode, a: Pair, amount: i32) -> Pair {
        if (opcode, amount) == (Opcode::Sshr, 63) {
            let sign = self.shift(Opcode::Sshr, a.high, 31);
            return Pair { low: sign, high: sign };
        }
        // What a shift by 32 makes of it; the rest is a shift by less.
        let a = match (amount < 32, opcode) {
            (true, _) => a,
            (false, Opcode::Ishl) => Pair { low: self.constant(0), high: a.low },
            (false, Opcode::Ushr) => Pair { low: a.high, high: self.constant(0) },
            (false, Opcode::Sshr) => Pair { low: a.high, high: self.shift(Opcode::Sshr, a.high, 31) },
            (false, _) => Pair { low: a.high, high: a.low },
        };
        let rest = amount & 31;
        if rest == 0 {
            return a;
        }
        match (opcode, amount < 32) {
            (Opcode::Ishl, true) => {
                Pair { low: self.shift(Opcode::Ishl, a.low, rest), high: self.funnel_left(a.high, a.low, rest) }
            }
            (Opcode::Ishl, false) => Pair { low: a.low, high: self.shift(Opcode::Ishl, a.high, rest) },
            (Opcode::Ushr | Opcode::Sshr, true) => {
                Pair { low: self.funnel_left(a.high, a.low, 32 - rest), high: self.shift(opcode, a.high, rest) }
            }
            (Opcode::Ushr | Opcode::Sshr, false) => Pair { low: self.shift(opcode, a.low, rest), high: a.high },
            _ => Pair { low: self.funnel_left(a.low, a.high, rest), high: self.funnel_left(a.high, a.low, rest) },
        }
    }

    /// `a` shifted left by `amount` (1 to 31), with the top bits of `b` shifted in.
    fn funnel_left(&mut self, a: Value, b: Value, amount: i32) -> Value {
        let (upper, lower) = (self.shift(Opcode::Ishl, a, amount), self.shift(Opcode::Ushr, b, 32 - amount));
        self.binary(Opcode::Ior, upper, lower)
    }

    /// Without branches: a shift by the low 5 bits, then one by 32 if bit 5 is set. Shifts of 32 bits look at the low 5 bits of
    /// their amount, so the bits that go over to the other half are shifted by 1 and then by 31 - amount, which is the amount inverted.
    fn shift_by_variable(&mut self, opcode: Opcode, a: Pair, amount: Value) -> Pair {
        let bit = self.constant(32);
        let by_half = self.binary(Opcode::Iand, amount, bit);
        let inverted = self.unary(Opcode::Inot, amount);
        match opcode {
            Opcode::Ishl => {
                let low = self.binary(Opcode::Ishl, a.low, amount);
                let high = self.shift_left_over(a.high, a.low, amount, inverted);
                let zero = self.constant(0);
                Pair { low: self.select(by_half, zero, low), high: self.select(by_half, low, high) }
            }
            Opcode::Rotl => {
                let (low, high) = (self.select(by_half, a.high, a.low), self.select(by_half, a.low, a.high));
                Pair {
                    low: self.shift_left_over(low, high, amount, inverted),
                    high: self.shift_left_over(high, low, amount, inverted),
                }
            }
            _ => {
                let high = self.binary(opcode, a.high, amount);
                let own = self.binary(Opcode::Ushr, a.low, amount);
                let doubled = self.shift(Opcode::Ishl, a.high, 1);
                let over = self.binary(Opcode::Ishl, doubled, inverted);
                let low = self.binary(Opcode::Ior, own, over);
                let above = match opcode {
                    Opcode::Sshr => self.shift(Opcode::Sshr, a.high, 31),
                    _ => self.constant(0),
                };
                Pair { low: self.select(by_half, high, low), high: self.select(by_half, above, high) }
            }
        }
    }

    /// `a` shifted left by `amount` modulo 32, with the top bits of `b` shifted in.
    fn shift_left_over(&mut self, a: Value, b: Value, amount: Value, inverted: Value) -> Value {
        let own = self.binary(Opcode::Ishl, a, amount);
        let halved = self.shift(Opcode::Ushr, b, 1);
        let over = self.binary(Opcode::Ushr, halved, inverted);
        self.binary(Opcode::Ior, own, over)
    }
}
