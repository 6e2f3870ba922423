//! Where each record stands in its group, in the order that the group's records are picked in.

use super::keys::{Key, ordinal_of};
use super::options::Cap;
use super::pool::{Candidate, Candidates, each};
use crate::error::Result;
use crate::spill::{Column, ColumnWriter, Sorter};
use std::sync::Arc;

/// The largest cap that `auto` finds; so many ranks are counted.
const HIGHEST_AUTO: usize = 1 << 20;

/// `auto` leaves at least one in so many records.
const AUTO_LEAVES: u64 = 5;

/// The rank of each record in its group, and the group's size.
#[derive(Clone, Debug)]
pub(super) struct Places {
    column: Arc<Column>,
    /// Number of records by rank, up to [`HIGHEST_AUTO`]
    by_rank: Vec<u64>,
    records: u64,
}

/// The place of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From 0
    pub rank: u32,
    /// Records of the group
    pub size: u32,
}

impl Place {
    /// Of a record that is its own group.
    pub const ALONE: Place = Place { rank: 0, size: 1 };

    fn packed(self) -> u64 {
        u64::from(self.rank) << 32 | u64::from(self.size)
    }
}

impl Places {
    /// Sorts the pool by group and key; records without a key count for nothing. Ranks and sizes from 2^32 on are one.
    pub fn find(pool: &dyn Candidates, key: impl Fn(u64, &Candidate) -> Option<Key>) -> Result<Places> {
        let mut by_group = Sorter::default();
        let (mut alone, mut records, mut failed) = (0, 0, Ok(()));
        each(pool, |ordinal, candidate| {
            let Some(key) = key(ordinal, candidate) else { return };
            records += 1;
            match pool.group(ordinal) {
                None => alone += 1,
                Some(_) if failed.is_err() => {}
                Some(group) => failed = by_group.push([group, (key >> 64) as u64, key as u64]),
            }
        })?;
        failed?;
        let mut by_rank = vec![alone];
        let mut by_ordinal = Sorter::default();
        by_group.sort().by_run(
            |[group, ..]| *group,
            |[_, _, low], place, run| {
                let rank = place - run.start;
                if rank < HIGHEST_AUTO as u64 {
                    let rank = rank as usize;
                    by_rank.resize(by_rank.len().max(rank + 1), 0);
                    by_rank[rank] += 1;
                }
                let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let place = Place { rank: narrow(rank), size: narrow(run.end - run.start) };
                by_ordinal.push([ordinal_of(Key::from(*low)), place.packed()])
            },
        )?;
        let mut column = ColumnWriter::default();
        for row in by_ordinal.sort().rows()? {
            let [ordinal, place] = row?;
            while column.len() < ordinal {
                column.push(Place::ALONE.packed())?;
            }
            column.push(place)?;
        }
        Ok(Places { column: Arc::new(column.finish()?), by_rank, records })
    }

    #[inline]
    pub fn of(&self, ordinal: u64) -> Place {
        let place = self.column.get(ordinal).unwrap_or(Place::ALONE.packed());
        Place { rank: (place >> 32) as u32, size: place as u32 }
    }

    /// The cap in records of a group.
    pub fn cap(&self, cap: Cap) -> u32 {
        match cap {
            Cap::Records(records) => records,
            Cap::Auto => {
                let mut within = 0;
                let enough = self.by_rank.iter().position(|records| {
                    within += records;
                    within * AUTO_LEAVES >= self.records
                });
                enough.unwrap_or(HIGHEST_AUTO - 1) as u32 + 1
            }
        }
    }
}
