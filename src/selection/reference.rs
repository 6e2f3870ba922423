//! The rules written out plainly, in memory and by sorting; what [`select`](super::select) streams is tested against it.

use super::allot::Allot;
use super::classify::share_of;
use super::keys::draw;
use super::lengths::{LENGTH_BINS, length_bin};
use super::options::Budget;
use super::pool::Candidate;
use super::rule::{By, Rule, Stratify};

/// The ordinals of the kept records, in input order; none where a budget in residues is too small for any.
pub(super) fn plain(pool: &[Candidate], rule: &Rule, budget: Budget, seed: u64) -> Option<Vec<usize>> {
    let n = pool.len();
    let order = Order::of(pool, rule, seed);
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

/// The records of each stratum in the order that they are picked in, and the excluded ones in theirs.
struct Order {
    strata: Vec<Vec<usize>>,
    excluded: Vec<usize>,
    allot: Allot,
}

impl Order {
    fn of(pool: &[Candidate], rule: &Rule, seed: u64) -> Order {
        let n = pool.len();
        let influence = |i: usize| pool[i].influence;
        let mut highest_first: Vec<usize> = (0..n).collect();
        highest_first.sort_by(|a, b| influence(*b).partial_cmp(&influence(*a)).unwrap());
        let mut excluded: Vec<usize> =
            highest_first.drain(..(share_of(rule.exclude, n as u64) as usize)).collect();
        excluded.sort_by(|a, b| influence(*a).partial_cmp(&influence(*b)).unwrap().then(a.cmp(b)));

        let rest = highest_first;
        let (greatest, least) = (f64::from(influence(rest[0])), f64::from(influence(rest[rest.len() - 1])));
        let stratum_of = |rank: usize, i: usize| match rule.stratify {
            Stratify::Nothing => 0,
            Stratify::Length => length_bin(pool[i].residues) as usize,
            Stratify::Influence { equal_count: false, .. } if greatest == least => 0,
            Stratify::Influence { strata, equal_count: false } => {
                let place = (f64::from(influence(i)) - least) / (greatest - least) * f64::from(strata);
                (place.floor() as usize).min(strata as usize - 1)
            }
            Stratify::Influence { strata, equal_count: true } => {
                let from_below = rest.len() - 1 - rank;
                (0..strata as usize).rfind(|s| s * rest.len() / strata as usize <= from_below).unwrap()
            }
        };
        let count = match rule.stratify {
            Stratify::Nothing => 1,
            Stratify::Length => LENGTH_BINS as usize,
            Stratify::Influence { strata, .. } => strata as usize,
        };
        let mut strata = vec![Vec::new(); count];
        for (rank, i) in rest.iter().enumerate() {
            strata[stratum_of(rank, *i)].push(*i);
        }
        if rule.pick == By::Draw {
            for stratum in &mut strata {
                stratum.sort_by_key(|i| (draw(seed, pool[*i].record_hash), *i));
            }
        }
        Order { strata, excluded, allot: rule.allot.clone() }
    }

    fn first(&self, k: usize) -> Vec<usize> {
        let sizes: Vec<u64> = self.strata.iter().map(|stratum| stratum.len() as u64).collect();
        let in_strata = k.min(sizes.iter().sum::<u64>() as usize);
        let shares = self.allot.shares(&sizes, in_strata as u64);
        let mut kept: Vec<usize> = self
            .strata
            .iter()
            .zip(shares)
            .flat_map(|(stratum, share)| &stratum[..share as usize])
            .copied()
            .collect();
        kept.extend(&self.excluded[..k - in_strata]);
        kept
    }
}
