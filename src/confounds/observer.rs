//! The records of a pool, one after the other, into what explains their scores.

use super::shares::{Largest, length_range, range_name};
use super::variance::{Between, Classes, Spearman, centered};
use super::warnings::warnings;
use super::{By, Composition, Confounds, Part, RankCorrelation};
use crate::error::Result;
use crate::spill::Sorter;
use std::collections::HashMap;

/// Parts of the records in input order.
const POSITIONS: u128 = 20;

/// A scored record.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Index of its source
    pub source: u32,
    pub residues: u32,
    pub loss: f32,
    pub influence: f32,
    /// None where it is its own group, or there are no groups
    pub group: Option<u64>,
    pub kept: bool,
}

/// Is given every record of a pool in input order.
#[derive(Default)]
pub struct Observer {
    /// Influence and length; loss and source; group; ordinal and whether it is kept
    records: Sorter<4>,
    count: u64,
}

/// What stands for a record without a group.
const NO_GROUP: u64 = 0;

impl Observer {
    /// For about so many records.
    pub fn expecting(records: u64) -> Self {
        Observer { records: Sorter::expecting(records), count: 0 }
    }

    pub fn add(&mut self, record: &Observation) -> Result<()> {
        self.records.push([
            u64::from(ordered(record.influence)) << 32 | u64::from(record.residues),
            u64::from(ordered(record.loss)) << 32 | u64::from(record.source),
            record.group.unwrap_or(NO_GROUP),
            self.count << 1 | u64::from(record.kept),
        ])?;
        self.count += 1;
        Ok(())
    }

    /// `name` tells what a group is called, where there are groups; `selected` whether records were selected at all.
    pub fn finish(self, name: Option<&dyn Fn(u64) -> String>, selected: bool) -> Result<Confounds> {
        let records = self.count;
        let (mut losses, mut groups) = (Sorter::expecting(records), Sorter::default());
        // As many entries as there are lengths, which are few: L of them have L²/2 residues at least.
        let mut lengths: HashMap<u32, (u64, i128)> = HashMap::new();
        let (mut by_source, mut by_position, mut by_length) =
            (Classes::default(), Classes::default(), Classes::default());
        let (mut by_group, mut squares) = (Between::default(), 0_i128);
        let (mut pool, mut kept) = (Set::default(), Set::default());
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        self.records.sort().by_run(
            |[influence, ..]| influence >> 32,
            |[influence, loss, group, place], _, run| {
                let rank = centered(run, records);
                let (residues, source) = (*influence as u32, *loss as u32);
                let (ordinal, is_kept) = (place >> 1, place & 1);
                squares += i128::from(rank).pow(2);
                let of_length = lengths.entry(residues).or_default();
                *of_length = (of_length.0 + 1, of_length.1 + i128::from(rank));
                losses.push([loss >> 32, rank.cast_unsigned()])?;
                by_source.add(source as usize, rank);
                by_position.add((u128::from(ordinal) * POSITIONS / u128::from(records)) as usize, rank);
                let range = length_range(residues);
                by_length.add(range, rank);
                ranges.resize(ranges.len().max(range + 1), (0, 0));
                ranges[range].0 += 1;
                ranges[range].1 += is_kept;
                for (set, holds) in [(&mut pool, true), (&mut kept, is_kept == 1)] {
                    set.add(holds, residues, name.is_some() && *group == NO_GROUP);
                }
                match *group {
                    _ if name.is_none() => Ok(()),
                    NO_GROUP => {
                        by_group.add(1, i128::from(rank));
                        Ok(())
                    }
                    group => groups.push([group, is_kept, rank.cast_unsigned()]),
                }
            },
        )?;
        let mut largest = Largest::default();
        let (mut of_pool, mut of_kept, mut ranks) = (0, 0, 0_i128);
        groups.sort().by_run(
            |[group, ..]| *group,
            |[group, is_kept, rank], place, run| {
                of_pool += 1;
                of_kept += is_kept;
                ranks += i128::from(rank.cast_signed());
                if place + 1 == run.end {
                    by_group.add(of_pool, ranks);
                    largest.add(*group, of_pool, of_kept);
                    pool.add_group(of_pool);
                    kept.add_group(of_kept);
                    (of_pool, of_kept, ranks) = (0, 0, 0);
                }
                Ok(())
            },
        )?;
        let mut lengths: Vec<_> = lengths.into_iter().collect();
        lengths.sort_unstable();
        let (mut by_residues, mut by_loss) = (Spearman::of(records), Spearman::of(records));
        lengths.into_iter().for_each(|(_, (records, ranks))| by_residues.add(records, ranks));
        let mut ranks = 0_i128;
        losses.sort().by_run(
            |[loss, _]| *loss,
            |[_, rank], place, run| {
                ranks += i128::from(rank.cast_signed());
                if place + 1 == run.end {
                    by_loss.add(run.end - run.start, std::mem::take(&mut ranks));
                }
                Ok(())
            },
        )?;
        let rank_correlation =
            RankCorrelation { length: by_residues.correlation(squares), loss: by_loss.correlation(squares) };
        let total = squares as f64;
        let mut variance = vec![
            by_source.between().explained(By::Source, records, total),
            by_position.between().explained(By::Position, records, total),
            by_length.between().explained(By::Length, records, total),
        ];
        if name.is_some() {
            variance.insert(0, by_group.explained(By::Group, records, total));
        }
        let length_ranges = ranges.iter().enumerate().filter(|(_, (pool, _))| *pool > 0);
        let part = |(range, (pool, kept)): (usize, &(u64, u64))| Part {
            name: range_name(range),
            pool: *pool,
            kept: *kept,
        };
        let mut confounds = Confounds {
            rank_correlation,
            variance,
            pool: pool.composition(name.is_some()),
            kept: selected.then(|| kept.composition(name.is_some())),
            largest_groups: name.map(|name| largest.into_parts(name)).unwrap_or_default(),
            length_ranges: length_ranges.map(part).collect(),
            warnings: Vec::new(),
        };
        confounds.warnings = warnings(&confounds);
        Ok(confounds)
    }
}

/// The pool, or what was kept of it.
#[derive(Default)]
struct Set {
    records: u64,
    residues: u64,
    groups: u64,
    redundant: u64,
}

impl Set {
    fn add(&mut self, holds: bool, residues: u32, own_group: bool) {
        self.records += u64::from(holds);
        self.residues += u64::from(residues) * u64::from(holds);
        self.groups += u64::from(holds && own_group);
    }

    fn add_group(&mut self, records: u64) {
        self.groups += u64::from(records > 0);
        self.redundant += if records > 1 { records } else { 0 };
    }

    fn composition(&self, grouped: bool) -> Composition {
        Composition {
            records: self.records,
            residues: self.residues,
            mean_length: self.residues as f64 / self.records.max(1) as f64,
            groups: grouped.then_some(self.groups),
            redundant: grouped.then_some(self.redundant),
        }
    }
}

/// A number of the same order; both zeros are one.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confounds(records: impl Iterator<Item = Observation>, grouped: bool) -> Confounds {
        let mut observer = Observer::default();
        records.for_each(|record| observer.add(&record).unwrap());
        let name = |group: u64| format!("F{group}");
        observer.finish(grouped.then_some(&name), true).unwrap()
    }

    fn record(i: u64) -> Observation {
        Observation {
            source: (i / 500) as u32,
            residues: 50 + (i * 37 % 100) as u32,
            loss: (i * 61 % 1000) as f32,
            influence: (i * 389 % 1000) as f32,
            group: None,
            kept: i.is_multiple_of(10),
        }
    }

    #[test]
    fn influence_that_is_made_of_the_length_is_found_out() {
        let of_length =
            (0..1000).map(|i| Observation { influence: -(record(i).residues as f32), ..record(i) });
        let found = confounds(of_length, false);
        assert!((found.rank_correlation.length.unwrap() + 1.0).abs() < 1e-12);
        assert!(found.rank_correlation.loss.unwrap().abs() < 0.2, "{found:?}");
        let by = |by| found.variance.iter().find(|explained| explained.by == by).unwrap();
        assert!(by(By::Length).adjusted.unwrap() > 0.95);
        assert!(by(By::Source).adjusted.unwrap() < 0.05 && by(By::Position).classes == 20);
        assert!(found.warnings.iter().any(|warning| warning.contains("falls with length")), "{found:?}");
    }

    #[test]
    fn influence_by_file_and_by_group_is_found_out() {
        let by_file =
            confounds((0..1000).map(|i| Observation { influence: (i / 500) as f32, ..record(i) }), false);
        let source = by_file.variance.iter().find(|explained| explained.by == By::Source).unwrap();
        assert_eq!((source.classes, source.eta_squared), (2, Some(1.0)));

        let group = |i: u64| Some(1 + i % 7);
        let grouped = |i: u64| Observation { influence: (i % 7) as f32, group: group(i), ..record(i) };
        let found = confounds((0..1000).map(grouped), true);
        assert_eq!((found.variance[0].by, found.variance[0].classes), (By::Group, 7));
        assert_eq!(found.variance[0].eta_squared, Some(1.0));
    }

    #[test]
    fn groups_are_counted_before_and_after() {
        // Group 1 has half of the records, and all kept ones but two; the rest are pairs, and ten have none.
        let grouped = |i: u64| {
            let group = if i < 500 {
                Some(1)
            } else if i < 990 {
                Some(1 + i / 2)
            } else {
                None
            };
            Observation { group, kept: i < 98 || i == 600 || i == 995, ..record(i) }
        };
        let found = confounds((0..1000).map(grouped), true);
        assert_eq!((found.pool.groups, found.pool.redundant), (Some(1 + 245 + 10), Some(990)));
        let kept = found.kept.unwrap();
        assert_eq!((kept.records, kept.groups, kept.redundant), (100, Some(3), Some(98)));
        assert_eq!(found.largest_groups[0], Part { name: "F1".into(), pool: 500, kept: 98 });
        assert!(
            found.warnings[0].contains("F1") && found.warnings[0].contains("98%"),
            "{:?}",
            found.warnings
        );
    }

    #[test]
    fn a_large_group_is_told_unless_a_cap_bounds_it() {
        let warnings = |kept: fn(u64) -> bool| {
            let group = |i: u64| Some(if i < 200 { 1 } else { i });
            let grouped = |i: u64| Observation { group: group(i), kept: kept(i), ..record(i) };
            confounds((0..1000).map(grouped), true).warnings
        };
        assert!(warnings(|i| i % 10 == 0)[0].starts_with("Group F1 has 20% of the kept records"));
        assert_eq!(warnings(|i| i % 10 == 0 && i > 150), Vec::<String>::new());
    }

    #[test]
    fn plain_records_give_no_warning() {
        let found = confounds((0..1000).map(record), false);
        assert_eq!(found.warnings, Vec::<String>::new());
        assert_eq!(found.length_ranges.iter().map(|part| part.pool).sum::<u64>(), 1000);
        assert_eq!((found.pool.groups, found.largest_groups.len()), (None, 0));
    }

    #[test]
    fn one_record_and_none_are_no_trouble() {
        let found = confounds([record(3)].into_iter(), true);
        assert_eq!((found.rank_correlation.length, found.variance[0].eta_squared), (None, None));
        assert_eq!(confounds(std::iter::empty(), true).pool.records, 0);
    }
}
