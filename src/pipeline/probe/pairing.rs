//! Pairs of bases: from which log-odds on a pair is made, and what is made of a record.

use super::embedded::{Embedded, Features, Passes, Site};
use crate::error::Result;
use crate::probe::{
    Chosen, Examples, FOLDS, Outcomes, Pairing, Probe, Scaling, Split, fit, fold_of_groups, matched,
};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Records that the threshold is found on: thousands of pairs, in seconds.
const CALIBRATED_ON: usize = 300;

/// The pairs that a probe makes of a record, the likeliest first.
fn made(record: &Embedded, features: Features, probe: &Probe) -> Vec<Pairing> {
    let (mut vector, mut logits) = (Vec::new(), Vec::new());
    let log_odds = |i, j| {
        record.vector(features, Site::Pair(i, j), &mut vector);
        probe.log_odds(&vector, &mut logits)
    };
    matched(record.residues(), log_odds, |i, j| record.is_pair(i, j))
}

/// Counts what a probe says of a record's pairs from a threshold on: right ones, wrong ones, and missed ones.
pub(super) fn count(
    record: &Embedded,
    features: Features,
    (probe, threshold): (&Probe, f32),
    outcomes: &mut Outcomes,
) {
    let group = record.dealt.group;
    let said: Vec<Pairing> =
        made(record, features, probe).into_iter().take_while(|pair| pair.log_odds >= threshold).collect();
    let right = said.iter().filter(|pair| pair.right).count() as u64;
    outcomes.add(group, 1, 1, right);
    outcomes.add(group, 0, 1, said.len() as u64 - right);
    outcomes.add(group, 1, 0, record.pairs() - right);
}

/// The threshold of the highest F1 for each kind of features, on records that the probe was not fitted on: of the split
/// valid where there is one; else of one fold of the training groups, by a probe that is fitted on the others.
pub(super) fn thresholds(
    passes: &Passes,
    train: [(&Examples, &Scaling, &Chosen); 2],
    probes: [&Probe; 2],
    threads: usize,
) -> Result<[f32; 2]> {
    let deal = passes.deal;
    let valid = deal.of(Split::Valid).next().is_some();
    let folds: BTreeMap<u32, usize> =
        if valid { BTreeMap::new() } else { fold_of_groups(&train[0].0.groups) };
    // fewer groups than folds leave the last ones empty
    let fold = folds.values().copied().max().unwrap_or(0).min(FOLDS - 1);
    let probes: [Probe; 2] = if valid {
        probes.map(Clone::clone)
    } else {
        train.map(|(examples, scaling, chosen)| {
            let rows: Vec<u32> = (0..examples.len() as u32)
                .filter(|row| folds[&examples.groups[*row as usize]] != fold)
                .collect();
            fit(examples, scaling, &rows, (2, chosen.penalty), threads)
        })
    };
    let left_out = |split, group| match valid {
        true => split == Split::Valid,
        false => split == Split::Train && folds.get(&group) == Some(&fold),
    };
    let order = |hash: u64| xxh3_64_with_seed(&hash.to_le_bytes(), passes.seed);
    let mut hashes: Vec<u64> = deal
        .all()
        .filter(|dealt| left_out(dealt.split, dealt.group))
        .map(|dealt| order(dealt.hash))
        .collect();
    hashes.sort_unstable();
    let last = hashes.get(CALIBRATED_ON - 1).copied().unwrap_or(u64::MAX);

    let mut pairings: [Vec<Pairing>; 2] = [Vec::new(), Vec::new()];
    let mut pairs = 0;
    passes.each(
        |dealt| left_out(dealt.split, dealt.group) && order(dealt.hash) <= last,
        |record| {
            pairs += record.pairs();
            for ((features, probe), pairings) in Features::ALL.into_iter().zip(&probes).zip(&mut pairings) {
                pairings.extend(made(&record, features, probe));
            }
            Ok(())
        },
    )?;
    Ok(pairings.map(|pairings| threshold(pairings, pairs)))
}

/// The log-odds from which on pairs are to be made for the highest F1; above all where none is right.
fn threshold(mut pairings: Vec<Pairing>, pairs: u64) -> f32 {
    pairings.sort_by(|a, b| b.log_odds.total_cmp(&a.log_odds));
    let (mut right, mut best, mut threshold) = (0u64, 0.0, f32::INFINITY);
    for (pairing, made) in pairings.iter().zip(1u64..) {
        right += u64::from(pairing.right);
        let f1 = 2.0 * right as f64 / (made + pairs) as f64;
        if f1 > best {
            (best, threshold) = (f1, pairing.log_odds);
        }
    }
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_where_f1_is_highest() {
        let of = |list: &[(f32, bool)]| {
            threshold(list.iter().map(|&(log_odds, right)| Pairing { log_odds, right }).collect(), 3)
        };
        // F1 of 1, 2, 3, 4 and 5 made: 2/4, 2/5, 4/6, 4/7, 6/8
        assert_eq!(of(&[(5.0, true), (1.0, true), (4.0, false), (3.0, true), (2.0, false)]), 1.0);
        assert_eq!(of(&[(5.0, true), (4.0, false), (3.0, false), (2.0, false)]), 5.0);
        assert_eq!(of(&[(5.0, false)]), f32::INFINITY);
    }
}
