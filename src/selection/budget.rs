//! How many records a budget comes to, and how they are shared out over the strata.

use super::allot::Allot;
use super::keys::Key;
use super::pool::Amount;
use super::search::{Cells, Keyed, Search, Window};
use crate::error::Result;

/// The strata of a pool; under a cap, once more, what the cap leaves out of each; then, as one more, the excluded
/// records. Each of these is taken only where what stands before it does not do.
pub(super) struct Strata<'a> {
    pub allot: &'a Allot,
    pub totals: &'a [Amount],
    /// Number of strata
    pub strata: usize,
}

impl Strata<'_> {
    pub fn records(&self) -> u64 {
        self.totals.iter().map(|total| total.records).sum()
    }

    /// Records to keep of each, for a budget of at most all records. Never falls anywhere as the budget grows.
    pub fn shares(&self, records: u64) -> Vec<u64> {
        let sizes: Vec<u64> = self.totals.iter().map(|total| total.records).collect();
        let (excluded, tiers) = sizes.split_last().unwrap_or((&0, &[]));
        let (mut shares, mut left) = (Vec::with_capacity(sizes.len()), records);
        for strata in tiers.chunks(self.strata) {
            let here = left.min(strata.iter().sum());
            shares.extend(self.allot.shares(strata, here));
            left -= here;
        }
        shares.push(left.min(*excluded));
        shares
    }

    /// For a selection of so many records: the key of each stratum below which records are kept, and what is kept.
    pub fn ends<K: Keyed>(
        &self,
        search: &Search<'_, K>,
        cells: &Cells,
        records: u64,
    ) -> Result<(Vec<Key>, Vec<Amount>)> {
        let shares = self.shares(records);
        let partly =
            |(class, share): &(u32, u64)| *share > 0 && *share < self.totals[*class as usize].records;
        let targets: Vec<(u32, u64)> = (0..).zip(shares.iter().copied()).filter(partly).collect();
        // Where nothing or everything is kept, no key needs to be found.
        let whole = |(share, total): (&u64, &Amount)| match share {
            0 => (0, Amount::default()),
            _ => (Key::MAX, *total),
        };
        let (mut ends, mut kept): (Vec<Key>, Vec<Amount>) = shares.iter().zip(self.totals).map(whole).unzip();
        for ((class, _), cell) in targets.iter().zip(search.keys_at(cells, &targets)?) {
            ends[*class as usize] = cell.first;
            kept[*class as usize] = cell.below;
        }
        Ok((ends, kept))
    }
}

/// The largest number of records whose selection has at most `residues`, with what is known of the keys at its ends.
/// It can be zero.
pub(super) fn records_within<K: Keyed>(
    search: &Search<'_, K>,
    strata: &Strata<'_>,
    mut cells: Cells,
    residues: u64,
) -> Result<(u64, Cells)> {
    // `fits` records fit; more than `at_most` do not.
    let (mut fits, mut at_most) = (0, strata.records());
    let mut open = at_most;
    loop {
        let bounds = |records| bounds(strata, &cells, records);
        fits = last_where(fits, at_most, |records| Ok(bounds(records)?.1 <= residues))?;
        at_most = last_where(fits, at_most, |records| Ok(bounds(records)?.0 <= residues))?;
        if fits == at_most {
            return Ok((fits, cells));
        }
        let windows = windows_between(strata, &cells, &strata.shares(fits), &strata.shares(at_most))?;
        let held = windows.iter().map(|(_, window)| window.within.records).sum();
        if search.collects(held) || held <= open / 2 {
            cells = search.look_into(windows)?;
            open = held;
        } else {
            // Lengths too uneven to close in on the answer from both sides: halve the numbers that are left.
            let middle = fits + (at_most - fits).div_ceil(2);
            match exact(search, strata, &cells, middle)? <= residues {
                true => fits = middle,
                false => at_most = middle - 1,
            }
        }
    }
}

/// The last number from `from`, for which `holds` is known, up to `to`.
fn last_where(from: u64, to: u64, holds: impl Fn(u64) -> Result<bool>) -> Result<u64> {
    let (mut yes, mut up_to) = (from, to);
    while yes < up_to {
        let middle = yes + (up_to - yes).div_ceil(2);
        if holds(middle)? { yes = middle } else { up_to = middle - 1 }
    }
    Ok(yes)
}

/// At least and at most how many residues the selection of so many records has.
fn bounds(strata: &Strata<'_>, cells: &Cells, records: u64) -> Result<(u64, u64)> {
    let (mut least, mut most) = (0, 0);
    for ((share, total), class) in strata.shares(records).into_iter().zip(strata.totals).zip(0..) {
        if share == total.records {
            (least, most) = (least + total.residues, most + total.residues);
        } else if share > 0 {
            let cell = cells.at(class, share)?;
            let partly = share > cell.below.records;
            least += cell.below.residues;
            most += cell.below.residues + if partly { cell.within.residues } else { 0 };
        }
    }
    Ok((least, most))
}

/// The keys in which the end of each stratum's share lies, be the share the low one, the high one or between.
fn windows_between(strata: &Strata<'_>, cells: &Cells, low: &[u64], high: &[u64]) -> Result<Vec<Window>> {
    let mut windows = Vec::new();
    for (((low, high), total), class) in low.iter().zip(high).zip(strata.totals).zip(0..) {
        if *high > 0 && *low < total.records {
            let last = cells.at(class, (*high).min(total.records - 1))?;
            windows.push((class, cells.at(class, *low)?.up_to(last)));
        }
    }
    Ok(windows)
}

/// How many residues the selection of so many records has.
fn exact<K: Keyed>(search: &Search<'_, K>, strata: &Strata<'_>, cells: &Cells, records: u64) -> Result<u64> {
    let (_, kept) = strata.ends(search, cells, records)?;
    Ok(kept.iter().map(|amount| amount.residues).sum())
}
