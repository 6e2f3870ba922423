//! The largest of any number of groups, and lengths in ranges.

use super::Part;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Groups that are told of, by their records in the pool, and as many by their kept records.
const LARGEST: usize = 10;

/// A group's number with its records in the pool and those kept.
type Group = (u64, u64, u64);

/// Keeps the largest groups of all that it is given.
#[derive(Default)]
pub(super) struct Largest {
    by_pool: BinaryHeap<Reverse<(u64, Group)>>,
    by_kept: BinaryHeap<Reverse<(u64, Group)>>,
}

impl Largest {
    pub fn add(&mut self, group: u64, pool: u64, kept: u64) {
        for (heap, size) in [(&mut self.by_pool, pool), (&mut self.by_kept, kept)] {
            if size > 0 {
                heap.push(Reverse((size, (group, pool, kept))));
            }
            if heap.len() > LARGEST {
                heap.pop();
            }
        }
    }

    /// By their kept records, then by those in the pool, the largest first.
    pub fn into_parts(self, name: impl Fn(u64) -> String) -> Vec<Part> {
        let groups: BTreeSet<Group> =
            self.by_pool.into_iter().chain(self.by_kept).map(|Reverse((_, group))| group).collect();
        let mut parts: Vec<Part> =
            groups.into_iter().map(|(group, pool, kept)| Part { name: name(group), pool, kept }).collect();
        parts.sort_by(|a, b| (b.kept, b.pool, &a.name).cmp(&(a.kept, a.pool, &b.name)));
        parts
    }
}

/// Ranges for each doubling of the length.
const PER_OCTAVE: u32 = 4;

/// The range of a length: one for each length below 4, and 4 for each doubling above.
pub(super) fn length_range(residues: u32) -> usize {
    if residues < PER_OCTAVE {
        return residues as usize;
    }
    let octave = residues.ilog2() - PER_OCTAVE.ilog2();
    (PER_OCTAVE * octave + (residues >> octave)) as usize
}

/// `from-to` in residues, both inside.
pub(super) fn range_name(range: usize) -> String {
    let range = range as u64;
    let per_octave = u64::from(PER_OCTAVE);
    if range < per_octave {
        return range.to_string();
    }
    let octave = range / per_octave - 1;
    let shortest = (per_octave + range % per_octave) << octave;
    let longest = shortest + (1 << octave) - 1;
    if shortest == longest { shortest.to_string() } else { format!("{shortest}-{longest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_its_range_and_ranges_touch() {
        let mut next = 0_u64;
        for range in 0..=length_range(u32::MAX) {
            let name = range_name(range);
            let (from, to) = name.split_once('-').unwrap_or((&name, &name));
            let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
            assert_eq!(from, next, "{name}");
            assert_eq!((length_range(from as u32), length_range(to as u32)), (range, range));
            next = to + 1;
        }
        assert_eq!(next, 1 << 32);
    }

    #[test]
    fn the_largest_of_either_set_are_found() {
        let mut largest = Largest::default();
        (1..=100).for_each(|group| largest.add(group, group, if group == 3 { 3 } else { 0 }));
        let parts = largest.into_parts(|group| group.to_string());
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["3", "100", "99", "98", "97", "96", "95", "94", "93", "92", "91"]);
        assert_eq!((parts[0].pool, parts[0].kept), (3, 3));
    }
}
