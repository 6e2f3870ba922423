//! Ranks without gaps for ties, their correlation, and the share of their variance between classes.

use super::{By, Explained};

/// A record's rank about the mean rank, doubled: a whole number however many records share a value.
pub(super) fn centered(run: &std::ops::Range<u64>, records: u64) -> i64 {
    // The places of a run count from 0; its mean rank from 1 is (start + 1 + end) / 2.
    (run.start + run.end) as i64 - records as i64
}

/// Spearman's correlation of a number with another, of which the centered ranks are known.
pub(super) struct Spearman {
    records: u64,
    seen: u64,
    product: i128,
    squares: i128,
}

impl Spearman {
    pub fn of(records: u64) -> Self {
        Spearman { records, seen: 0, product: 0, squares: 0 }
    }

    /// The next larger value of the number: how many records have it, and the sum of their ranks by the other.
    pub fn add(&mut self, records: u64, ranks: i128) {
        let value = i128::from(centered(&(self.seen..self.seen + records), self.records));
        self.seen += records;
        self.product += value * ranks;
        self.squares += i128::from(records) * value * value;
    }

    /// `squares` is the sum of all squared ranks by the other. None where either has no variance.
    pub fn correlation(self, squares: i128) -> Option<f64> {
        let scale = (self.squares as f64).sqrt() * (squares as f64).sqrt();
        (scale > 0.0).then(|| (self.product as f64 / scale).clamp(-1.0, 1.0))
    }
}

/// The variance between classes, summed up class by class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between {
    classes: u64,
    sum: f64,
}

impl Between {
    /// A class by the number of its records and the sum of their centered ranks.
    pub fn add(&mut self, records: u64, ranks: i128) {
        if records > 0 {
            self.classes += 1;
            self.sum += ranks as f64 * (ranks as f64 / records as f64);
        }
    }

    /// `total` is the sum of all squared centered ranks.
    pub fn explained(self, by: By, records: u64, total: f64) -> Explained {
        let eta_squared = (total > 0.0).then(|| (self.sum / total).clamp(0.0, 1.0));
        let adjusted = eta_squared.filter(|_| records > self.classes).map(|eta| {
            let freedom = (records - 1) as f64 / (records - self.classes) as f64;
            (1.0 - (1.0 - eta) * freedom).max(0.0)
        });
        Explained { by, classes: self.classes, eta_squared, adjusted }
    }
}

/// Classes that are few enough to be held.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes(Vec<(u64, i128)>);

impl Classes {
    pub fn add(&mut self, class: usize, rank: i64) {
        if class >= self.0.len() {
            self.0.resize(class + 1, (0, 0));
        }
        self.0[class].0 += 1;
        self.0[class].1 += i128::from(rank);
    }

    pub fn between(&self) -> Between {
        let mut between = Between::default();
        self.0.iter().for_each(|(records, ranks)| between.add(*records, *ranks));
        between
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Spearman's correlation of small whole numbers.
    fn spearman(pairs: &[(u64, u64)]) -> Option<f64> {
        let rank = |second: u64| {
            let below = pairs.iter().filter(|pair| pair.1 < second).count() as u64;
            let up_to = pairs.iter().filter(|pair| pair.1 <= second).count() as u64;
            i128::from(centered(&(below..up_to), pairs.len() as u64))
        };
        let mut by_first: BTreeMap<u64, (u64, i128)> = BTreeMap::new();
        for &(first, second) in pairs {
            let class = by_first.entry(first).or_default();
            *class = (class.0 + 1, class.1 + rank(second));
        }
        let mut spearman = Spearman::of(pairs.len() as u64);
        by_first.into_values().for_each(|(records, ranks)| spearman.add(records, ranks));
        spearman.correlation(pairs.iter().map(|pair| rank(pair.1).pow(2)).sum())
    }

    #[test]
    fn correlations_take_mean_ranks_for_ties() {
        let close = |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-12);
        close(spearman(&[(1, 10), (2, 20), (3, 30)]), 1.0);
        close(spearman(&[(1, 9), (2, 4), (3, 1), (4, 0)]), -1.0);
        // By hand, with mean ranks for ties: 0.75 of the root of 16.5 times 17. (scipy's spearmanr gives the same.)
        close(spearman(&[(1, 4), (2, 1), (2, 3), (3, 3), (5, 9), (5, 2)]), 0.75 / 280.5_f64.sqrt());
        assert_eq!(spearman(&[(1, 4), (1, 2), (1, 3)]), None);
    }

    #[test]
    fn variance_between_classes_is_all_or_nothing_at_the_ends() {
        let explained = |classes: &[&[i64]]| {
            let mut sums = Classes::default();
            classes
                .iter()
                .enumerate()
                .for_each(|(class, ranks)| ranks.iter().for_each(|rank| sums.add(class, *rank)));
            let ranks = classes.concat();
            let total = ranks.iter().map(|rank| (rank * rank) as f64).sum();
            sums.between().explained(By::Source, ranks.len() as u64, total)
        };
        let all = explained(&[&[-2, -2], &[], &[2, 2]]);
        assert_eq!((all.classes, all.eta_squared, all.adjusted), (2, Some(1.0), Some(1.0)));
        let nothing = explained(&[&[-3, 3], &[-1, 1]]);
        assert_eq!((nothing.eta_squared, nothing.adjusted), (Some(0.0), Some(0.0)));
        // Each record a class: all is explained, and it means nothing.
        let alone = explained(&[&[-3], &[-1], &[1], &[3]]);
        assert_eq!((alone.eta_squared, alone.adjusted), (Some(1.0), None));
        // Sums -4 and 4 of two each: 16 of 20.
        let some = explained(&[&[-3, -1], &[1, 3]]);
        assert!((some.eta_squared.unwrap() - 0.8).abs() < 1e-12);
        assert!((some.adjusted.unwrap() - (1.0 - 0.2 * 1.5)).abs() < 1e-12);
        assert_eq!(explained(&[&[0, 0]]).eta_squared, None);
    }
}
