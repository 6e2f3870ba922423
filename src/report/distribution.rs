//! Distributions of a number over the pool and over the coreset, gathered record by record.

use super::axis;
use serde::{Deserialize, Serialize};

/// Bits of a single-precision number that a bucket ignores. 9 bits of the fraction stay: a bucket is at most 0.2 % wide,
/// whole numbers below 1024 have one each, and there are never more than some ten thousand of them.
const IGNORED_BITS: u32 = 14;

/// Bars of a histogram, at most; at least half as many.
const BARS: f64 = 80.0;

/// A histogram leaves long tails to its `below` and `above`, so that they do not squeeze all the rest into one bar: it
/// ends at the 0.5 % and 99.5 % quantiles, or nearer, at this many times the way from the median to the outer tenths.
const REACH: f64 = 4.0;
const TAIL: f64 = 0.005;

/// How often a number occurred, before it is known which range the plot will have. Takes any number of records in
/// little memory; the order in which they come does not matter.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// By magnitude, of numbers from 0 up and of those below
    buckets: [Vec<Both>; 2],
    sum: [f64; 2],
}

/// A count in the pool, and the part of it that was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Both {
    pub pool: u64,
    pub kept: u64,
}

impl Both {
    fn add(&mut self, other: Both) {
        self.pool += other.pool;
        self.kept += other.kept;
    }
}

/// Counts between edges: bar `i` holds the numbers from `edges[i]` up to, and without, `edges[i + 1]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One more than there are bars; empty where there is no record
    pub edges: Vec<f64>,
    pub pool: Vec<u64>,
    pub kept: Vec<u64>,
    /// Below the first edge
    pub below: Both,
    /// From the last edge on
    pub above: Both,
    pub pool_stats: Stats,
    pub kept_stats: Stats,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub count: u64,
    /// 0 where there is no record
    pub mean: f64,
    /// To three digits; 0 where there is no record
    pub median: f64,
}

impl Distribution {
    /// Counts one record of the pool; `kept` if it is in the coreset too. `value` is finite.
    pub fn add(&mut self, value: f32, kept: bool) {
        let (below, magnitude) = bucket(value);
        let buckets = &mut self.buckets[usize::from(below)];
        if magnitude >= buckets.len() {
            buckets.resize(magnitude + 1, Both::default());
        }
        buckets[magnitude].add(Both { pool: 1, kept: u64::from(kept) });
        self.sum[0] += f64::from(value);
        if kept {
            self.sum[1] += f64::from(value);
        }
    }

    /// The numbers that occurred, in ascending order.
    fn counts(&self) -> impl Iterator<Item = (f64, &Both)> {
        let [up, below] = &self.buckets;
        let below = below.iter().enumerate().rev().map(|(magnitude, count)| (-value(magnitude), count));
        let up = up.iter().enumerate().map(|(magnitude, count)| (value(magnitude), count));
        below.chain(up).filter(|(_, count)| count.pool > 0)
    }

    /// The histogram over all but the ends of the pool and the coreset, in bars with round edges that are at least
    /// `finest` wide.
    pub fn histogram(&self, finest: f64) -> Histogram {
        let mut total = Both::default();
        self.counts().for_each(|(_, count)| total.add(*count));
        if total.pool == 0 {
            return Histogram::default();
        }
        let (pool, kept) = (|count: &Both| count.pool, |count: &Both| count.kept);
        let (mut low, mut high) = self.range(pool);
        if total.kept > 0 {
            let (lower, higher) = self.range(kept);
            (low, high) = (low.min(lower), high.max(higher));
        }
        let edges = axis::edges(low, high, BARS, finest);
        let bars = edges.len() - 1;
        let mut histogram = Histogram {
            pool: vec![0; bars],
            kept: vec![0; bars],
            pool_stats: self.stats(total.pool, self.sum[0], pool),
            kept_stats: self.stats(total.kept, self.sum[1], kept),
            ..Histogram::default()
        };
        for (value, count) in self.counts() {
            if value < edges[0] {
                histogram.below.add(*count);
            } else if value >= edges[bars] {
                histogram.above.add(*count);
            } else {
                let bar = edges.partition_point(|edge| *edge <= value) - 1;
                histogram.pool[bar] += count.pool;
                histogram.kept[bar] += count.kept;
            }
        }
        histogram.edges = edges;
        histogram
    }

    fn stats(&self, count: u64, sum: f64, of: fn(&Both) -> u64) -> Stats {
        if count == 0 {
            return Stats::default();
        }
        Stats { count, mean: sum / count as f64, median: self.quantile(0.5, of) }
    }

    /// What of the records' range is drawn.
    fn range(&self, of: fn(&Both) -> u64) -> (f64, f64) {
        let [first, tenth, median, ninth, last] =
            [TAIL, 0.1, 0.5, 0.9, 1.0 - TAIL].map(|q| self.quantile(q, of));
        (first.max(median - REACH * (median - tenth)), last.min(median + REACH * (ninth - median)))
    }

    /// The number below which a share `q` of the records lies.
    fn quantile(&self, q: f64, of: fn(&Both) -> u64) -> f64 {
        let total: u64 = self.counts().map(|(_, count)| of(count)).sum();
        let rank = (q * total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (value, count) in self.counts() {
            seen += of(count);
            if seen >= rank {
                return value;
            }
        }
        0.0
    }
}

/// Whether the number is below 0, and the leading bits of its magnitude, which grow with it: below 2^17.
fn bucket(value: f32) -> (bool, usize) {
    (value < 0.0, (value.abs().to_bits() >> IGNORED_BITS) as usize)
}

/// The end of a bucket that is nearest to 0.
fn value(magnitude: usize) -> f64 {
    f64::from(f32::from_bits((magnitude as u32) << IGNORED_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f32], kept: impl Fn(f32) -> bool) -> Distribution {
        let mut distribution = Distribution::default();
        values.iter().for_each(|value| distribution.add(*value, kept(*value)));
        distribution
    }

    #[test]
    fn no_records_make_no_bars() {
        assert_eq!(Distribution::default().histogram(1.0), Histogram::default());
    }

    #[test]
    fn lengths_fall_into_whole_bars() {
        let lengths: Vec<f32> = (1..=100).map(|n| n as f32).collect();
        let histogram = of(&lengths, |length| length > 50.0).histogram(1.0);
        assert!(histogram.edges.iter().all(|edge| edge.fract() == 0.0), "{:?}", histogram.edges);
        assert_eq!(histogram.pool_stats, Stats { count: 100, mean: 50.5, median: 50.0 });
        assert_eq!(histogram.kept_stats, Stats { count: 50, mean: 75.5, median: 75.0 });
    }

    #[test]
    fn one_distinct_number_is_one_bar() {
        for number in [0.0, 7.0, -3.5e-9, 2.5e12] {
            let histogram = of(&[number; 20], |_| true).histogram(0.0);
            assert_eq!(histogram.pool.iter().sum::<u64>() + histogram.above.pool + histogram.below.pool, 20);
            assert_eq!(
                histogram.pool.iter().filter(|count| **count > 0).count(),
                1,
                "{number}: {histogram:?}"
            );
        }
    }

    #[test]
    fn the_range_of_the_coreset_is_drawn_even_where_it_is_the_tail_of_the_pool() {
        let values: Vec<f32> = (0..10_000).map(|n| (n as f32 / 10_000.0).powi(40)).collect();
        let histogram = of(&values, |value| value > 0.9).histogram(0.0);
        let drawn: u64 = histogram.kept.iter().sum();
        assert!(drawn * 100 >= histogram.kept_stats.count * 95, "{histogram:?}");
    }

    #[test]
    fn a_long_tail_stays_outside_and_is_counted() {
        let mut values: Vec<f32> = (0..10_000).map(|n| n as f32 / 10_000.0).collect();
        values.extend([1e6, 2e6]);
        let histogram = of(&values, |value| value < 0.5).histogram(0.0);
        assert!(*histogram.edges.last().unwrap() < 2.0);
        assert_eq!(histogram.above, Both { pool: 2, kept: 0 });
    }

    proptest! {
        #[test]
        fn every_record_is_counted_once(values in prop::collection::vec(-1e30f32..1e30, 1..300), finest in 0.0..2.0) {
            let histogram = of(&values, |value| value > 0.0).histogram(finest);
            let pool = histogram.pool.iter().sum::<u64>() + histogram.below.pool + histogram.above.pool;
            let kept = histogram.kept.iter().sum::<u64>() + histogram.below.kept + histogram.above.kept;
            prop_assert_eq!(pool, values.len() as u64);
            prop_assert_eq!(kept, values.iter().filter(|value| **value > 0.0).count() as u64);
            prop_assert!(histogram.edges.is_sorted_by(|a, b| a < b));
            prop_assert!(histogram.pool.len() + 1 == histogram.edges.len() && histogram.pool.len() <= 200);
        }

        #[test]
        fn a_bucket_is_near_its_numbers_and_keeps_their_order(a in -1e30f32..1e30, b in -1e30f32..1e30) {
            let signed = |number: f32| {
                let (below, magnitude) = bucket(number);
                if below { -value(magnitude) } else { value(magnitude) }
            };
            prop_assert!((signed(a) - f64::from(a)).abs() <= 0.002 * f64::from(a.abs()) + 1e-38);
            prop_assert!((a <= b) <= (signed(a) <= signed(b)));
        }
    }
}
