//! Which stratum a record is in, and where it stands in the order that the stratum's records are picked in.

use super::keys::{DRAW_BITS, INFLUENCE_BITS, Key, ascending, descending, draw, influence_of, key};
use super::lengths::{LENGTH_BINS, bin_lengths, length_bin};
use super::pool::{Candidate, Candidates};
use super::rule::{By, Rule, Stratify};
use super::search::{Limits, Search};
use crate::error::Result;

/// The rule, with the pool's own scores in the place of shares and counts.
#[derive(Clone, Debug)]
pub(super) struct Classifier {
    /// Records with a lower key, in the order of highest influence first, are excluded
    excluded: Key,
    pub division: Division,
    pub pick: By,
    seed: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Division {
    Whole,
    /// Ranges of equal width from the least to the greatest influence that is not excluded, both inside
    Width {
        least: f64,
        greatest: f64,
        strata: u32,
    },
    /// Ranges of equal counts; records below the first key of these, in the order of highest influence first, are in
    /// the highest stratum
    Count {
        ends: Vec<Key>,
        least: f64,
        greatest: f64,
    },
    Length,
}

impl Classifier {
    /// Looks up in the pool what the rule needs of it.
    pub fn fit(pool: &dyn Candidates, rule: &Rule, seed: u64, limits: Limits) -> Result<Classifier> {
        let (strata, equal_count) = match rule.stratify {
            Stratify::Influence { strata, equal_count } => (strata, equal_count),
            Stratify::Nothing | Stratify::Length if rule.exclude > 0.0 => (1, false),
            Stratify::Nothing => return Ok(Classifier::all_of(Division::Whole, rule, seed)),
            Stratify::Length => return Ok(Classifier::all_of(Division::Length, rule, seed)),
        };
        let by_influence =
            |ordinal, candidate: &Candidate| (0, key(descending(candidate.influence), ordinal));
        let (search, cells) = Search::begin(pool, limits, &[INFLUENCE_BITS], by_influence)?;
        let records = search.totals[0].records;
        if records == 0 {
            return Ok(Classifier::all_of(Division::Whole, rule, seed));
        }
        let excluded = share_of(rule.exclude, records).min(records - 1);
        let rest = records - excluded;
        // Counted from the highest influence: the first record of the rest, the last one, and the first record below
        // each stratum of equal count.
        let mut ranks = vec![excluded, records - 1];
        if equal_count {
            let below = |stratum: u32| (u128::from(rest) * u128::from(stratum) / u128::from(strata)) as u64;
            ranks.extend((1..strata).map(|stratum| excluded + rest - below(stratum)).rev());
        }
        // A stratum that nothing lies below ends with the pool.
        let targets: Vec<(u32, u64)> =
            ranks.iter().filter(|rank| **rank < records).map(|rank| (0, *rank)).collect();
        let found: Vec<Key> = search.keys_at(&cells, &targets)?.iter().map(|cell| cell.first).collect();
        let (greatest, least) = (f64::from(influence_of(found[0])), f64::from(influence_of(found[1])));
        let division = match rule.stratify {
            Stratify::Nothing => Division::Whole,
            Stratify::Length => Division::Length,
            Stratify::Influence { .. } if equal_count => {
                let mut ends = found[2..].to_vec();
                ends.resize(strata as usize - 1, Key::MAX);
                Division::Count { ends, least, greatest }
            }
            Stratify::Influence { .. } => Division::Width { least, greatest, strata },
        };
        Ok(Classifier { excluded: found[0], division, pick: rule.pick, seed })
    }

    fn all_of(division: Division, rule: &Rule, seed: u64) -> Classifier {
        Classifier { excluded: 0, division, pick: rule.pick, seed }
    }

    /// Number of strata; the class of that number is that of the excluded records.
    pub fn strata(&self) -> u32 {
        match &self.division {
            Division::Whole => 1,
            Division::Width { strata, .. } => *strata,
            Division::Count { ends, .. } => ends.len() as u32 + 1,
            Division::Length => LENGTH_BINS,
        }
    }

    /// The width of the priorities of each class.
    pub fn priority_bits(&self) -> Vec<u32> {
        let bits = if self.pick == By::Draw { DRAW_BITS } else { INFLUENCE_BITS };
        let mut widths = vec![bits; self.strata() as usize];
        widths.push(INFLUENCE_BITS);
        widths
    }

    /// The class of a record, and its key there.
    #[inline]
    pub fn classify(&self, ordinal: u64, candidate: &Candidate) -> (u32, Key) {
        let by_influence = key(descending(candidate.influence), ordinal);
        if by_influence < self.excluded {
            return (self.strata(), key(ascending(candidate.influence), ordinal));
        }
        let stratum = match &self.division {
            Division::Whole => 0,
            Division::Length => length_bin(candidate.residues),
            Division::Width { least, greatest, strata } => {
                width_stratum(candidate.influence, *least, *greatest, *strata)
            }
            Division::Count { ends, .. } => {
                (ends.len() - ends.partition_point(|end| *end <= by_influence)) as u32
            }
        };
        match self.pick {
            By::Influence => (stratum, by_influence),
            By::Draw => (stratum, key(draw(self.seed, candidate.record_hash), ordinal)),
        }
    }

    /// From where to where a stratum reaches; none where there are no strata, and for the excluded.
    pub fn edges(&self, stratum: u32) -> Option<(f64, f64)> {
        if stratum >= self.strata() {
            return None;
        }
        match &self.division {
            Division::Whole => None,
            Division::Length => {
                let (shortest, longest) = bin_lengths(stratum);
                Some((f64::from(shortest), f64::from(longest)))
            }
            Division::Width { least, greatest, strata } => {
                let edge = |i| least + (greatest - least) * f64::from(i) / f64::from(*strata);
                Some((edge(stratum), if stratum + 1 == *strata { *greatest } else { edge(stratum + 1) }))
            }
            Division::Count { ends, least, greatest } => {
                // Ends run from the highest stratum down, and the record at one is the highest of the stratum below.
                let highest_of = |stratum: usize| match ends.len().checked_sub(stratum + 1) {
                    None => *greatest,
                    Some(i) if ends[i] == Key::MAX => *least,
                    Some(i) => f64::from(influence_of(ends[i])),
                };
                let lower = (stratum as usize).checked_sub(1).map_or(*least, highest_of);
                Some((lower, highest_of(stratum as usize)))
            }
        }
    }
}

/// The share of so many records, rounded down; a decimal share means what it says (0.29 of 100 is 29), though binary
/// fractions fall a little short of it.
pub(super) fn share_of(share: f64, records: u64) -> u64 {
    let exact = share * records as f64;
    let nearest = exact.round();
    if (exact - nearest).abs() <= nearest * 1e-12 { nearest as u64 } else { exact as u64 }
}

/// The stratum of an influence among `strata` of equal width.
pub(super) fn width_stratum(influence: f32, least: f64, greatest: f64, strata: u32) -> u32 {
    let place = (f64::from(influence) - least) / (greatest - least) * f64::from(strata);
    // A cast of NaN, where all influences are one value, gives 0.
    (place as u32).min(strata - 1)
}
