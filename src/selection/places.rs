//! Where each record stands in its group, in the order that the group's records are picked in.

use super::keys::{Key, ordinal_of};
use super::pool::{Candidate, Candidates, each};
use crate::error::Result;
use crate::spill::{Column, ColumnWriter, Sorter};
use std::sync::Arc;

/// The rank of each record in its group, and the group's size.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Column>);

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
        let mut failed = Ok(());
        each(pool, |ordinal, candidate| {
            let Some(key) = key(ordinal, candidate) else { return };
            if let Some(group) = pool.group(ordinal).filter(|_| failed.is_ok()) {
                failed = by_group.push([group, (key >> 64) as u64, key as u64]);
            }
        })?;
        failed?;
        let mut by_ordinal = Sorter::default();
        by_group.sort().by_run(
            |[group, ..]| *group,
            |[_, _, low], place, run| {
                let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
                let place = Place { rank: narrow(place - run.start), size: narrow(run.end - run.start) };
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
        Ok(Places(Arc::new(column.finish()?)))
    }

    #[inline]
    pub fn of(&self, ordinal: u64) -> Place {
        let place = self.0.get(ordinal).unwrap_or(Place::ALONE.packed());
        Place { rank: (place >> 32) as u32, size: place as u32 }
    }
}
