//! A selection: found by [`select`], handed over in input order by [`Selection::stream`].

use super::budget::{Strata, records_within};
use super::classify::{Classifier, Division};
use super::keys::Key;
use super::options::Budget;
use super::pool::{Amount, Candidate, Candidates};
use super::rule::{By, Rule};
use super::search::{Limits, Search, pool_changed};
use crate::error::{Error, Result};
use std::fmt;

/// What is kept of a pool, as exact keys and totals; the records themselves are streamed.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Everything that was selected from
    pub pool: Amount,
    pub kept: Amount,
    /// Records of the pool that the strategy excludes as the highest influence
    pub excluded: Amount,
    /// Excluded records that were kept after all, because the rest was fewer than the budget
    pub refilled: Amount,
    /// Records of a group that were taken before any more of it, where the rule has a cap; `auto` is 1
    pub cap: Option<u32>,
    /// Records of the pool beyond the cap of their group
    pub beyond_cap: Amount,
    /// Those of them that were kept after all, because the records within the cap were fewer than the budget
    pub over_cap: Amount,
    /// What the strata are ranges of
    pub axis: Axis,
    /// From the lowest range to the highest, empty ones included; none where the strategy does not stratify, or by
    /// groups
    pub strata: Vec<Stratum>,
    classifier: Classifier,
    /// The key of each class below which its records are kept
    ends: Vec<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The strategy does not stratify, or by groups
    None,
    Influence,
    /// In residues
    Length,
}

/// A stratum and its share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stratum {
    /// Lower edge
    pub from: f64,
    /// Upper edge; inside in the highest stratum, and where strata are of equal counts or of lengths
    pub to: f64,
    pub pool: Amount,
    pub kept: Amount,
}

/// Why a record was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Among the highest influence of its stratum
    Highest,
    /// Drawn in its stratum
    Drawn,
    /// Beyond the cap of its group, taken because the records within it were fewer than the budget
    OverCap,
    /// Of the excluded, taken because the rest was fewer than the budget
    Refilled,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Highest => "highest",
            Reason::Drawn => "drawn",
            Reason::OverCap => "over-cap",
            Reason::Refilled => "refilled",
        })
    }
}

/// A kept record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    pub source: u32,
    pub position: u64,
    pub residues: u32,
    pub influence: f32,
    /// Index into [`Selection::strata`]; none for a refilled record, and where the strategy does not stratify
    pub stratum: Option<u32>,
    pub reason: Reason,
}

/// Finds the selection of a budget from a pool: 2 or more passes over it.
///
/// A budget in records or shares is met exactly, or by the whole pool where that is smaller. A budget in residues comes
/// to the largest number of records whose selection has at most so many residues; it is bad input if that is none.
pub fn select(pool: &dyn Candidates, rule: &Rule, budget: Budget, seed: u64) -> Result<Selection> {
    select_within(pool, rule, budget, seed, Limits::DEFAULT)
}

pub(super) fn select_within(
    pool: &dyn Candidates,
    rule: &Rule,
    budget: Budget,
    seed: u64,
    limits: Limits,
) -> Result<Selection> {
    let classifier = Classifier::fit(pool, rule, budget, seed, limits)?;
    let keyed =
        |ordinal, candidate: &Candidate| classifier.classify(ordinal, candidate, || pool.group(ordinal));
    let (search, cells) = Search::begin(pool, limits, &classifier.priority_bits(), keyed)?;
    let strata = Strata { allot: &rule.allot, totals: &search.totals, strata: classifier.strata() as usize };
    let all = strata.records();
    if all == 0 {
        return Err(Error::bad_input("the scores hold no records; at least one is needed to select from"));
    }
    let (records, cells) = match budget {
        Budget::Residues(residues) => records_within(&search, &strata, cells, residues)?,
        _ => (budget.records(all), cells),
    };
    if records == 0 {
        return Err(Error::bad_input(format!(
            "keep {budget}: even the first record that the strategy takes has more residues"
        )));
    }
    let (ends, kept) = strata.ends(&search, &cells, records)?;
    let totals = search.totals.clone();
    Ok(Selection::new(classifier, ends, &totals, &kept))
}

impl Selection {
    fn new(classifier: Classifier, ends: Vec<Key>, pool: &[Amount], kept: &[Amount]) -> Selection {
        let sum = |amounts: &[Amount]| {
            let mut sum = Amount::default();
            amounts.iter().for_each(|amount| sum += *amount);
            sum
        };
        let (excluded, refilled) = match (pool, kept) {
            ([.., excluded], [.., refilled]) => (*excluded, *refilled),
            _ => Default::default(),
        };
        // All of the groups' first turn is kept before any record beyond the cap is.
        let beyond = |of: Amount, excluded: Amount| {
            let first = classifier.turns.as_ref().map_or(of, |turns| turns.first);
            Amount {
                records: (of.records - excluded.records).saturating_sub(first.records),
                residues: (of.residues - excluded.residues).saturating_sub(first.residues),
            }
        };
        let axis = match classifier.division {
            Division::Whole | Division::Groups => Axis::None,
            Division::Length => Axis::Length,
            Division::Width { .. } | Division::Count { .. } => Axis::Influence,
        };
        let strata = (0..classifier.strata()).filter_map(|stratum| {
            let (from, to) = classifier.edges(stratum)?;
            let both_tiers = |amounts: &[Amount]| {
                let mut sum = Amount::default();
                let in_strata = &amounts[..amounts.len() - 1];
                let of = in_strata.iter().skip(stratum as usize).step_by(classifier.strata() as usize);
                of.for_each(|amount| sum += *amount);
                sum
            };
            Some(Stratum { from, to, pool: both_tiers(pool), kept: both_tiers(kept) })
        });
        let (all, all_kept) = (sum(pool), sum(kept));
        Selection {
            pool: all,
            kept: all_kept,
            excluded,
            refilled,
            cap: classifier.turns.as_ref().map(|turns| turns.cap),
            beyond_cap: beyond(all, excluded),
            over_cap: beyond(all_kept, refilled),
            axis,
            strata: strata.collect(),
            classifier,
            ends,
        }
    }

    /// Goes through the pool once more and hands over each record in input order, with its [`Pick`] if it is kept.
    /// `pool` must be the one that was selected from.
    pub fn stream(
        &self,
        pool: &dyn Candidates,
        visit: &mut dyn FnMut(&Candidate, Option<Pick>) -> Result<()>,
    ) -> Result<()> {
        let mut kept = Amount::default();
        let mut ordinal = 0;
        pool.scan(&mut |candidates| {
            for candidate in candidates {
                let pick = self.pick(ordinal, candidate, pool.group(ordinal));
                if pick.is_some() {
                    kept += Amount::one(candidate.residues);
                }
                visit(candidate, pick)?;
                ordinal += 1;
            }
            Ok(())
        })?;
        if kept == self.kept { Ok(()) } else { Err(pool_changed()) }
    }

    /// Whether a record of the pool is kept, and why. `ordinal` counts the records in input order.
    pub fn pick(&self, ordinal: u64, candidate: &Candidate, group: Option<u64>) -> Option<Pick> {
        let (class, key) = self.classifier.classify(ordinal, candidate, || group);
        if key >= self.ends[class as usize] {
            return None;
        }
        let stratum = self.classifier.stratum(class);
        let reason = match self.classifier.pick {
            _ if stratum.is_none() => Reason::Refilled,
            _ if self.classifier.is_beyond_cap(ordinal) => Reason::OverCap,
            By::Influence => Reason::Highest,
            By::Draw => Reason::Drawn,
        };
        let &Candidate { source, position, residues, influence, .. } = candidate;
        let stratum = stratum.filter(|_| self.axis != Axis::None);
        Some(Pick { source, position, residues, influence, stratum, reason })
    }
}
