//! The passes: one file each, which exports `PASS`, a row of the tables below.

use crate::pass_manager::Pass;
use crate::{expand, legalize};

pub mod block_layout;
pub mod bounds_check_removal;
pub mod branch_cleanup;
pub mod constant_folding;
pub mod constant_propagation;
pub mod copy_propagation;
pub mod dead_code;
mod division;
pub mod evaluate;
pub mod if_conversion;
pub mod inlining;
pub mod loop_invariant_motion;
pub mod loop_inversion;
pub mod null_check_removal;
mod rewrite;
pub(crate) use rewrite::{count_uses, ensure_reachable, mark_cold};
pub mod scalar_replacement;
mod stack_slots;
pub mod value_numbering;

/// All passes, by which `-O=` finds them (at most 64). A pass that is not in [`PIPELINE`] runs in file tests only.
pub static PASSES: &[&Pass] = &[
    &inlining::PASS,
    &copy_propagation::PASS,
    &constant_propagation::PASS,
    &constant_folding::PASS,
    &branch_cleanup::PASS,
    &scalar_replacement::PASS,
    &value_numbering::PASS,
    &null_check_removal::PASS,
    &bounds_check_removal::PASS,
    &if_conversion::PASS,
    &loop_inversion::PASS,
    &loop_invariant_motion::PASS,
    &dead_code::PASS,
    &block_layout::PASS,
    &expand::PASS,
    &legalize::PASS,
];

/// The passes in the order in which they run on every function; a pass may stand here more than once.
pub static PIPELINE: &[&Pass] = &[
    // Shape: calls become bodies, structures become values, copies and decided branches go.
    &inlining::PASS,
    &constant_folding::PASS,
    &scalar_replacement::PASS,
    &copy_propagation::PASS,
    &constant_propagation::PASS,
    &constant_folding::PASS,
    &branch_cleanup::PASS,
    // Redundancy: the loop passes want what is known already to be gone.
    &value_numbering::PASS,
    &null_check_removal::PASS,
    &bounds_check_removal::PASS,
    &if_conversion::PASS,
    &dead_code::PASS,
    &loop_inversion::PASS,
    &branch_cleanup::PASS,
    &loop_invariant_motion::PASS,
    &value_numbering::PASS,
    &dead_code::PASS,
    &expand::PASS,
    &legalize::PASS,
    // What these made is folded and merged once more.
    &constant_folding::PASS,
    &value_numbering::PASS,
    &dead_code::PASS,
    &branch_cleanup::PASS,
    &block_layout::PASS,
];
