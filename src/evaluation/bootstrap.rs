//! Intervals by drawing groups anew.

use crate::random::SplitMix;

/// Draws of the bootstrap. Its seed is fixed, so that the same numbers give the same interval.
const DRAWS: usize = 2000;
const SEED: u64 = 0;

/// The 95 % interval of a statistic of groups. It is asked for with as many groups as there are, drawn with replacement and
/// given by their places; what else it draws comes from the same generator.
pub fn bootstrap(groups: usize, mut statistic: impl FnMut(&[usize], &mut SplitMix) -> f64) -> (f64, f64) {
    let mut random = SplitMix::new(SEED);
    let mut drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let chosen: Vec<usize> = (0..groups).map(|_| random.below(groups)).collect();
            statistic(&chosen, &mut random)
        })
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    (drawn[DRAWS / 40], drawn[DRAWS - 1 - DRAWS / 40])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_about_two_standard_errors_on_either_side() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let mean = |chosen: &[usize]| chosen.iter().map(|at| values[*at]).sum::<f64>() / 400.0;
        let (low, high) = bootstrap(400, |chosen, _| mean(chosen));
        assert!((low - 0.451).abs() < 0.01 && (high - 0.549).abs() < 0.01, "{low} to {high}");
        assert_eq!(bootstrap(1, |chosen, _| chosen.len() as f64), (1.0, 1.0));
    }
}
