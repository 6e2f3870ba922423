//! Which stratum a record is in, and where it stands in the order that the stratum's records are picked in.

use super::allot::Allot;
use super::keys::{
    DRAW_BITS, INFLUENCE_BITS, Key, TURN_BITS, ascending, descending, draw, in_turn, influence_of, key,
    offset,
};
use super::lengths::{LENGTH_BINS, bin_lengths, length_bin};
use super::options::{Budget, Cap};
use super::places::{Place, Places};
use super::pool::{Amount, Candidate, Candidates, each_apart};
use super::rule::{By, Rule, Stratify};
use super::search::{Limits, Search};
use crate::error::Result;
use std::cmp::Ordering;

/// The rule, with the pool's own scores in the place of shares and counts.
#[derive(Clone, Debug)]
pub(super) struct Classifier {
    /// Records with a lower key, in the order of highest influence first, are excluded
    excluded: Key,
    /// Where records stand in their groups, for rules that use groups
    places: Option<Places>,
    /// The turns of the groups, for rules with a cap
    pub turns: Option<Turns>,
    pub division: Division,
    /// Over groups as strata: whether their budgets are proportional
    proportional: bool,
    pub pick: By,
    seed: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Division {
    Whole,
    /// Ranges of equal width from the least to the greatest influence that is neither excluded nor beyond the cap, both
    /// inside
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
    /// Each group is a stratum, and all are one where their records come in turn: memory does not grow with the groups
    Groups,
}

/// Under a cap groups take turns: so many records of each, then as many of what each has left, and so on. All records of the
/// turns before the one that the budget ends in are kept, none of those after it.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    /// Records of a group in one turn
    pub cap: u32,
    /// The turn that the budget ends in
    last: usize,
    /// Records of the first turn
    pub first: Amount,
}

impl Turns {
    /// Goes through the pool, whose excluded records have no turn.
    fn find(
        pool: &dyn Candidates,
        budget: Budget,
        cap: u32,
        rank: impl Fn(u64, &Candidate) -> Option<u32> + Sync,
    ) -> Result<Turns> {
        let counted =
            each_apart(pool, Default::default, |(turns, all): &mut (Vec<_>, u64), ordinal, candidate| {
                *all += 1;
                if let Some(rank) = rank(ordinal, candidate) {
                    let turn = turn_of(rank, cap);
                    turns.resize(turns.len().max(turn + 1), Amount::default());
                    turns[turn] += Amount::one(candidate.residues);
                }
            })?;
        let (mut turns, mut all) = (vec![Amount::default()], 0);
        for (of_thread, records) in counted {
            turns.resize(turns.len().max(of_thread.len()), Amount::default());
            turns.iter_mut().zip(of_thread).for_each(|(sum, some)| *sum += some);
            all += records;
        }
        let mut within = Amount::default();
        let ends = turns.iter().position(|turn| {
            within += *turn;
            match budget {
                Budget::Residues(residues) => within.residues > residues,
                _ => within.records >= budget.records(all),
            }
        });
        Ok(Turns { cap, last: ends.unwrap_or(turns.len() - 1), first: turns[0] })
    }

    fn of(&self, place: Place) -> usize {
        turn_of(place.rank, self.cap)
    }
}

fn turn_of(rank: u32, cap: u32) -> usize {
    ((rank / cap) as usize).min(MOST_TURNS - 1)
}

/// Turns that are told apart; later ones are one.
const MOST_TURNS: usize = 1 << 20;

/// Classes for each stratum under a cap: the turns before the last one, that, and those after it.
const PARTS: u32 = 3;

impl Classifier {
    /// Looks up in the pool what the rule needs of it.
    pub fn fit(
        pool: &dyn Candidates,
        rule: &Rule,
        budget: Budget,
        seed: u64,
        limits: Limits,
    ) -> Result<Classifier> {
        let proportional = matches!(rule.allot, Allot::Proportional);
        let mut fitted = Classifier {
            excluded: 0,
            places: None,
            turns: None,
            division: Division::Whole,
            proportional,
            pick: rule.pick,
            seed,
        };
        if !rule.uses_groups() {
            (fitted.excluded, fitted.division) =
                ranges(pool, limits, rule.exclude, rule.stratify, |_, _| true)?;
            return Ok(fitted);
        }
        (fitted.excluded, _) = ranges(pool, limits, rule.exclude, Stratify::Nothing, |_, _| true)?;
        let places = Places::find(pool, |ordinal, candidate| {
            (!fitted.excludes(ordinal, candidate)).then(|| fitted.pick_key(ordinal, candidate))
        })?;
        if let Some(Cap(cap)) = rule.cap {
            let rank = |ordinal, candidate: &Candidate| {
                (!fitted.excludes(ordinal, candidate)).then(|| places.of(ordinal).rank)
            };
            fitted.turns = Some(Turns::find(pool, budget, cap, rank)?);
        }
        fitted.places = Some(places);
        let within = |ordinal, candidate: &Candidate| {
            !fitted.excludes(ordinal, candidate) && !fitted.is_beyond_cap(ordinal)
        };
        (_, fitted.division) = ranges(pool, limits, 0.0, rule.stratify, within)?;
        Ok(fitted)
    }

    /// Number of strata.
    pub fn strata(&self) -> u32 {
        match &self.division {
            Division::Whole | Division::Groups => 1,
            Division::Width { strata, .. } => *strata,
            Division::Count { ends, .. } => ends.len() as u32 + 1,
            Division::Length => LENGTH_BINS,
        }
    }

    /// Number of classes of records that are not excluded: the strata, or under a cap each part of them.
    fn in_strata(&self) -> u32 {
        self.strata() * if self.turns.is_some() { PARTS } else { 1 }
    }

    /// The stratum of a class; none of the excluded records.
    pub fn stratum(&self, class: u32) -> Option<u32> {
        (class < self.in_strata()).then_some(class % self.strata())
    }

    /// The width of the priorities of each class.
    pub fn priority_bits(&self) -> Vec<u32> {
        let bits = match (&self.division, self.pick) {
            (Division::Groups, _) => TURN_BITS + DRAW_BITS,
            (_, By::Draw) => DRAW_BITS,
            (_, By::Influence) => INFLUENCE_BITS,
        };
        let mut widths = vec![bits; self.in_strata() as usize];
        widths.push(INFLUENCE_BITS);
        widths
    }

    fn excludes(&self, ordinal: u64, candidate: &Candidate) -> bool {
        key(descending(candidate.influence), ordinal) < self.excluded
    }

    fn pick_key(&self, ordinal: u64, candidate: &Candidate) -> Key {
        match self.pick {
            By::Influence => key(descending(candidate.influence), ordinal),
            By::Draw => key(draw(self.seed, candidate.record_hash), ordinal),
        }
    }

    fn place(&self, ordinal: u64) -> Place {
        self.places.as_ref().map_or(Place::ALONE, |places| places.of(ordinal))
    }

    /// Whether a record comes after its group's first turn.
    pub fn is_beyond_cap(&self, ordinal: u64) -> bool {
        self.turns.as_ref().is_some_and(|turns| turns.of(self.place(ordinal)) > 0)
    }

    /// The class of a record, and its key there. `group` is what the pool says.
    #[inline]
    pub fn classify(
        &self,
        ordinal: u64,
        candidate: &Candidate,
        group: impl FnOnce() -> Option<u64>,
    ) -> (u32, Key) {
        let by_influence = key(descending(candidate.influence), ordinal);
        if by_influence < self.excluded {
            return (self.in_strata(), key(ascending(candidate.influence), ordinal));
        }
        let stratum = match &self.division {
            Division::Whole | Division::Groups => 0,
            Division::Length => length_bin(candidate.residues),
            Division::Width { least, greatest, strata } => {
                width_stratum(candidate.influence, *least, *greatest, *strata)
            }
            Division::Count { ends, .. } => {
                (ends.len() - ends.partition_point(|end| *end <= by_influence)) as u32
            }
        };
        let place = self.place(ordinal);
        let part = match self.turns.as_ref().map(|turns| turns.of(place).cmp(&turns.last)) {
            None | Some(Ordering::Less) => 0,
            Some(Ordering::Equal) => 1,
            Some(Ordering::Greater) => 2,
        };
        let mut picked = self.pick_key(ordinal, candidate);
        if let Division::Groups = self.division {
            let group = group().unwrap_or(candidate.record_hash);
            picked = in_turn(self.turn(place, group), picked);
        }
        (part * self.strata() + stratum, picked)
    }

    /// When a record has its turn among those of all groups: with its group's first, second … record, or, where budgets
    /// are proportional, when that share of its group is reached. A random offset rounds shares of small groups
    /// fairly. Under a cap it is the place among what the groups have in one of their turns.
    fn turn(&self, place: Place, group: u64) -> u64 {
        let (rank, size) = match &self.turns {
            None => (place.rank, place.size),
            Some(turns) => {
                let begun = turns.of(place) as u32 * turns.cap;
                (place.rank - begun, (place.size - begun).min(turns.cap))
            }
        };
        if !self.proportional {
            return u64::from(rank);
        }
        let offset = u128::from(offset(self.seed, group));
        let reached = (u128::from(rank) << 64 | offset) / u128::from(size.max(1));
        (reached >> (64 - TURN_BITS)) as u64
    }

    /// From where to where a stratum reaches; none where there are no strata.
    pub fn edges(&self, stratum: u32) -> Option<(f64, f64)> {
        match &self.division {
            Division::Whole | Division::Groups => None,
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

/// The key below which the share of highest influence lies, and what divides the rest. Only records that `within`
/// accepts count; where that leaves none, nothing divides them.
fn ranges(
    pool: &dyn Candidates,
    limits: Limits,
    exclude: f64,
    stratify: Stratify,
    within: impl Fn(u64, &Candidate) -> bool + Sync,
) -> Result<(Key, Division)> {
    let (strata, equal_count) = match stratify {
        Stratify::Influence { strata, equal_count } => (strata, equal_count),
        _ if exclude > 0.0 => (1, false),
        Stratify::Nothing => return Ok((0, Division::Whole)),
        Stratify::Length => return Ok((0, Division::Length)),
        Stratify::Group => return Ok((0, Division::Groups)),
    };
    let by_influence = |ordinal, candidate: &Candidate| {
        (u32::from(!within(ordinal, candidate)), key(descending(candidate.influence), ordinal))
    };
    let (search, cells) = Search::begin(pool, limits, &[INFLUENCE_BITS; 2], by_influence)?;
    let records = search.totals[0].records;
    if records == 0 {
        return Ok((0, Division::Whole));
    }
    let excluded = share_of(exclude, records).min(records - 1);
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
    let division = match stratify {
        Stratify::Nothing => Division::Whole,
        Stratify::Length => Division::Length,
        Stratify::Group => Division::Groups,
        Stratify::Influence { .. } if equal_count => {
            let mut ends = found[2..].to_vec();
            ends.resize(strata as usize - 1, Key::MAX);
            Division::Count { ends, least, greatest }
        }
        Stratify::Influence { .. } => Division::Width { least, greatest, strata },
    };
    Ok((found[0], division))
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
