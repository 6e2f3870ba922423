//! The strength of the regularization: on a validation split where there is one, else on whole groups left out in turn.

use super::examples::Examples;
use super::logistic::{Parameters, ROUGH};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Parts that the groups are dealt into.
pub const FOLDS: usize = 5;
/// The penalties that are tried, the strongest first: each fit goes on from the last.
const PENALTIES: [f64; 8] = [10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
/// Weaker penalties are not tried any more once so many made it worse.
const WORSE: usize = 2;

/// The penalty of the least held-out loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    pub penalty: f64,
    /// Mean held-out loss in nats of each penalty that was tried
    pub losses: Vec<(f64, f64)>,
}

/// The fold of each group: groups in a random but fixed order, each to the fold that has the fewest examples so far.
pub fn fold_of_groups(groups: &[u32]) -> BTreeMap<u32, usize> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    groups.iter().for_each(|group| *sizes.entry(*group).or_default() += 1);
    let mut order: Vec<(u32, usize)> = sizes.into_iter().collect();
    order.sort_by_key(|(group, _)| xxh3_64(&group.to_le_bytes()));
    let mut loads = [0; FOLDS];
    let mut folds = BTreeMap::new();
    for (group, size) in order {
        let fold = (0..FOLDS).min_by_key(|fold| loads[*fold]).unwrap_or_default();
        loads[fold] += size;
        folds.insert(group, fold);
    }
    folds
}

/// Chooses for scaled examples; `valid` is on the same scale.
pub fn choose(examples: &Examples, valid: Option<&Examples>, classes: usize, threads: usize) -> Chosen {
    let all: Vec<u32> = (0..examples.len() as u32).collect();
    // rows to fit on and rows to measure on, for each fit
    let divided: Vec<(Vec<u32>, Vec<u32>)> = match valid {
        Some(_) => vec![(all, Vec::new())],
        None => {
            let folds = fold_of_groups(&examples.groups);
            let of = |row: &u32| folds[&examples.groups[*row as usize]];
            (0..FOLDS)
                .map(|fold| all.iter().partition(|row| of(row) != fold))
                .filter(|(fitted, left_out): &(Vec<u32>, Vec<u32>)| {
                    !fitted.is_empty() && !left_out.is_empty()
                })
                .collect()
        }
    };
    let mut fits: Vec<Parameters> =
        divided.iter().map(|_| Parameters::zero(classes, examples.columns())).collect();
    let mut losses: Vec<(f64, f64)> = Vec::new();
    let (mut best, mut worse) = ((PENALTIES[0], f64::INFINITY), 0);
    for penalty in PENALTIES {
        let (mut sum, mut measured) = (0.0, 0.0);
        for (parameters, (fitted, left_out)) in fits.iter_mut().zip(&divided) {
            parameters.fit(examples, fitted, penalty, ROUGH, threads);
            let (on, rows) = match valid {
                Some(valid) => (valid, (0..valid.len() as u32).collect()),
                None => (examples, left_out.clone()),
            };
            sum += parameters.loss(on, &rows, threads) * rows.len() as f64;
            measured += rows.len() as f64;
        }
        let loss = sum / f64::max(measured, 1.0);
        losses.push((penalty, loss));
        if loss < best.1 {
            (best, worse) = ((penalty, loss), 0);
        } else {
            worse += 1;
        }
        if worse == WORSE {
            break;
        }
    }
    Chosen { penalty: best.0, losses }
}

#[cfg(test)]
mod tests {
    use super::super::logistic::tests::drawn;
    use super::*;

    #[test]
    fn noise_takes_the_strongest_penalty_and_a_signal_a_weak_one() {
        let chosen = |noise: bool, threads: usize| {
            let mut examples = drawn(400, 30, noise, 5);
            examples.standardize();
            choose(&examples, None, 3, threads)
        };
        let (noise, signal) = (chosen(true, 1), chosen(false, 1));
        assert!(noise.penalty >= 1.0, "{noise:?}");
        assert!(signal.penalty <= 0.01, "{signal:?}");
        assert_eq!(chosen(false, 3), signal);
        assert!(noise.losses.len() < PENALTIES.len());
    }

    #[test]
    fn a_validation_split_is_what_the_penalty_is_chosen_on() {
        let mut examples = drawn(400, 30, false, 6);
        let mut valid = drawn(200, 30, true, 7);
        let scaling = examples.standardize();
        valid.rescale(&scaling);
        // what holds in the training rows holds in none of these
        assert!(choose(&examples, Some(&valid), 3, 1).penalty >= 1.0);
    }

    #[test]
    fn a_group_is_in_one_fold_and_folds_are_about_even() {
        let groups: Vec<u32> = (0..1000).map(|i| i % 70).collect();
        let folds = fold_of_groups(&groups);
        assert_eq!(folds.len(), 70);
        for fold in 0..FOLDS {
            let size = groups.iter().filter(|group| folds[group] == fold).count();
            assert!((180..=220).contains(&size), "{size}");
        }
    }
}
