//! The rules written out plainly, in memory and by sorting; what [`select`](super::select) streams is tested against it.

use super::allot::Allot;
use super::classify::share_of;
use super::keys::{draw, offset};
use super::lengths::{LENGTH_BINS, length_bin};
use super::options::{Budget, Cap};
use super::pool::Candidate;
use super::rule::{By, Rule, Stratify};
use std::collections::HashMap;

/// The ordinals of the kept records, in input order; none where a budget in residues is too small for any.
pub(super) fn plain(
    pool: &[Candidate],
    groups: &[Option<u64>],
    rule: &Rule,
    budget: Budget,
    seed: u64,
) -> Option<Vec<usize>> {
    let n = pool.len();
    let order = Order::of(pool, groups, rule, seed);
    let k = match budget {
        Budget::Records(records) => n.min(records as usize),
        Budget::Share(share) => ((share * n as f64).round() as usize).clamp(1, n),
        Budget::Residues(residues) => {
            let total = |k| order.first(k).iter().map(|i| u64::from(pool[*i].residues)).sum::<u64>();
            (1..=n).rev().find(|k| total(*k) <= residues)?
        }
    };
    let mut kept = order.first(k);
    kept.sort();
    Some(kept)
}

/// The records of each stratum in the order that they are picked in, turn by turn of the groups, and the excluded ones.
struct Order {
    turns: Vec<Vec<Vec<usize>>>,
    excluded: Vec<usize>,
    allot: Allot,
}

impl Order {
    fn of(pool: &[Candidate], groups: &[Option<u64>], rule: &Rule, seed: u64) -> Order {
        let n = pool.len();
        let influence = |i: usize| pool[i].influence;
        let mut highest_first: Vec<usize> = (0..n).collect();
        highest_first.sort_by(|a, b| influence(*b).partial_cmp(&influence(*a)).unwrap());
        let mut excluded: Vec<usize> =
            highest_first.drain(..(share_of(rule.exclude, n as u64) as usize)).collect();
        excluded.sort_by(|a, b| influence(*a).partial_cmp(&influence(*b)).unwrap().then(a.cmp(b)));

        let mut in_pick_order = highest_first.clone();
        if rule.pick == By::Draw {
            in_pick_order.sort_by_key(|i| (draw(seed, pool[*i].record_hash), *i));
        }
        // A record without a group is one of its own; its number here is that of no group.
        let group = |i: usize| groups.get(i).copied().flatten();
        let key = |i: usize| group(i).ok_or(i);
        let (mut sizes, mut ranks) = (HashMap::new(), HashMap::new());
        for i in &in_pick_order {
            let size = sizes.entry(key(*i)).or_insert(0);
            ranks.insert(*i, *size);
            *size += 1;
        }
        let cap = rule.cap.map_or(usize::MAX, |Cap(records)| records as usize);

        let rest: Vec<usize> = highest_first.iter().copied().filter(|i| ranks[i] < cap).collect();
        let (greatest, least) = (f64::from(influence(rest[0])), f64::from(influence(rest[rest.len() - 1])));
        let stratum_of = |below: usize, i: usize| match rule.stratify {
            Stratify::Nothing | Stratify::Group => 0,
            Stratify::Length => length_bin(pool[i].residues) as usize,
            Stratify::Influence { strata, equal_count: false } => {
                let place = (f64::from(influence(i)) - least) / (greatest - least) * f64::from(strata);
                (place.floor().max(0.0) as usize).min(strata as usize - 1)
            }
            Stratify::Influence { strata, equal_count: true } => {
                (0..strata as usize).rfind(|s| s * rest.len() / strata as usize <= below).unwrap()
            }
        };
        let count = match rule.stratify {
            Stratify::Nothing | Stratify::Group => 1,
            Stratify::Length => LENGTH_BINS as usize,
            Stratify::Influence { strata, .. } => strata as usize,
        };
        // When a record of a group that is a stratum has its turn.
        let turn = |i: usize| {
            let begun = ranks[&i] / cap * cap;
            let rank = (ranks[&i] - begun) as u128;
            match rule.allot {
                Allot::Proportional => {
                    let size = (sizes[&key(i)] - begun).min(cap) as u128;
                    let begin = u128::from(offset(seed, group(i).unwrap_or(pool[i].record_hash)));
                    (((rank << 64) + begin) / size) >> 41
                }
                _ => rank,
            }
        };
        let last = ranks.values().map(|rank| rank / cap).max().unwrap_or(0);
        let mut turns = vec![vec![Vec::new(); count]; last + 1];
        for i in &in_pick_order {
            // Counted among the records within the cap, as strata of equal counts are.
            let is_above =
                |j: usize| influence(j) > influence(*i) || influence(j) == influence(*i) && j <= *i;
            let below = rest.len() - rest.partition_point(|j| is_above(*j));
            turns[ranks[i] / cap][stratum_of(below, *i)].push(*i);
        }
        if rule.stratify == Stratify::Group {
            turns.iter_mut().for_each(|strata| strata[0].sort_by_key(|i| turn(*i)));
        }
        Order { turns, excluded, allot: rule.allot.clone() }
    }

    fn first(&self, k: usize) -> Vec<usize> {
        let mut kept = Vec::new();
        for strata in &self.turns {
            let sizes: Vec<u64> = strata.iter().map(|stratum| stratum.len() as u64).collect();
            let here = (k - kept.len()).min(sizes.iter().sum::<u64>() as usize);
            let shares = self.allot.shares(&sizes, here as u64);
            let taken = strata.iter().zip(shares).flat_map(|(stratum, share)| &stratum[..share as usize]);
            kept.extend(taken.copied());
        }
        kept.extend(&self.excluded[..k - kept.len()]);
        kept
    }
}
