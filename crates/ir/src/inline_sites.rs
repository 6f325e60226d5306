//! Which call each inlined instruction came in by.
//!
//! Source positions are numbers. Below the first site's they are offsets into the function's own IL; above lie those of the bodies that stand in
//! place of calls, one body after another, each with as many numbers as its offsets need. So an instruction carries one number however deep it was
//! inlined, and a function without inlined calls has nothing but offsets.

use crate::entity::Symbol;
use crate::instruction::SourceOffset;

/// A call in whose place the callee's body stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InlineSite<Callee = Symbol> {
    /// Whose body it is.
    pub callee: Callee,
    /// The number that stands for offset 0 of the body. Numbers of later sites are larger.
    pub first: u32,
    /// Position of the call; that of a nested call is in an earlier site.
    pub call: SourceOffset,
}

impl<Callee> InlineSite<Callee> {
    /// The same site with another callee.
    pub fn with_callee<Other>(&self, callee: Other) -> InlineSite<Other> {
        InlineSite { callee, first: self.first, call: self.call }
    }
}

/// Number of the site that a position is in; `None` if it is in the function's own IL or unknown.
pub fn site_at<Callee>(sites: &[InlineSite<Callee>], position: SourceOffset) -> Option<usize> {
    if position == SourceOffset::UNKNOWN {
        return None;
    }
    sites.partition_point(|site| site.first <= position.0).checked_sub(1)
}

/// A position, then that of the call that its body stands for, and so on out to the function itself: the number of each one's site, and the offset in
/// the IL of the site's callee. The last one has no site, and an offset in the function's own IL.
pub fn frames<Callee>(
    sites: &[InlineSite<Callee>],
    position: SourceOffset,
) -> impl Iterator<Item = (Option<usize>, SourceOffset)> + Clone + '_ {
    let mut next = Some(position);
    std::iter::from_fn(move || {
        let position = next.take()?;
        let Some(number) = site_at(sites, position) else { return Some((None, position)) };
        let site = &sites[number];
        // Calls come before what stands in their place, so this ends.
        let is_before = site.call == SourceOffset::UNKNOWN || site.call.0 < site.first;
        next = Some(if is_before { site.call } else { SourceOffset::UNKNOWN });
        Some((Some(number), SourceOffset(position.0 - site.first)))
    })
}

/// The offset in the function's own IL that a position belongs to.
pub fn outermost<Callee>(sites: &[InlineSite<Callee>], position: SourceOffset) -> SourceOffset {
    frames(sites, position).last().map_or(position, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: [InlineSite<u32>; 3] = [
        InlineSite { callee: 10, first: 100, call: SourceOffset(7) },
        InlineSite { callee: 11, first: 120, call: SourceOffset(103) },
        InlineSite { callee: 12, first: 125, call: SourceOffset::UNKNOWN },
    ];

    #[test]
    fn positions_lead_out_to_the_function() {
        let all = |position| frames(&SITES, SourceOffset(position)).map(|(site, offset)| (site, offset.0)).collect::<Vec<_>>();
        assert_eq!(all(99), [(None, 99)]);
        assert_eq!(all(100), [(Some(0), 0), (None, 7)]);
        assert_eq!(all(124), [(Some(1), 4), (Some(0), 3), (None, 7)]);
        assert_eq!(all(126), [(Some(2), 1), (None, u32::MAX)]);
        assert_eq!(all(u32::MAX), [(None, u32::MAX)]);
        assert_eq!(outermost(&SITES, SourceOffset(124)), SourceOffset(7));
        assert_eq!(outermost::<u32>(&[], SourceOffset(124)), SourceOffset(124));
    }

    #[test]
    fn calls_behind_their_bodies_lead_nowhere() {
        let sites = [InlineSite { callee: 0, first: 10, call: SourceOffset(12) }];
        assert_eq!(outermost(&sites, SourceOffset(11)), SourceOffset::UNKNOWN);
    }
}
