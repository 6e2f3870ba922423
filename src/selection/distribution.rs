//! Distributions of influence and length in fixed memory, for reports.

use super::keys::ascending;
use super::lengths::{LengthHistogram, rank_of};
use super::pool::Candidate;

/// Upper bits of the ordered influence that make a bin: sign, exponent and 7 bits of the mantissa, so that a bin is
/// at most 1/128 wide.
const BIN_BITS: u32 = 16;

/// An influence distribution, to one part in 128.
#[derive(Clone, Debug)]
pub struct InfluenceHistogram {
    counts: Vec<u64>,
    sum: f64,
    least: f32,
    greatest: f32,
}

/// Records between two influences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    pub from: f64,
    pub to: f64,
    pub records: u64,
}

impl Default for InfluenceHistogram {
    fn default() -> Self {
        let counts = vec![0; 1 << BIN_BITS];
        InfluenceHistogram { counts, sum: 0.0, least: f32::INFINITY, greatest: f32::NEG_INFINITY }
    }
}

impl InfluenceHistogram {
    /// Adds a finite influence.
    pub fn add(&mut self, influence: f32) {
        self.counts[ascending(influence) as usize >> (32 - BIN_BITS)] += 1;
        self.sum += f64::from(influence);
        self.least = self.least.min(influence);
        self.greatest = self.greatest.max(influence);
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// None without records.
    pub fn mean(&self) -> Option<f64> {
        let records = self.records();
        (records > 0).then(|| self.sum / records as f64)
    }

    /// The influence at a quantile (0 to 1), the ends exactly; none without records.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = rank_of(share, self.records())?;
        if share <= 0.0 {
            return Some(f64::from(self.least));
        }
        if share >= 1.0 {
            return Some(f64::from(self.greatest));
        }
        let mut below = 0;
        self.bins().find_map(|(influence, count)| {
            below += count;
            (rank < below).then_some(influence)
        })
    }

    /// Bars of equal width between two influences; records beyond them are in the first and the last.
    pub fn bars(&self, from: f64, to: f64, bars: usize) -> Vec<Bar> {
        let width = (to - from) / bars as f64;
        let edge = |i: usize| from + width * i as f64;
        let mut found: Vec<Bar> =
            (0..bars).map(|i| Bar { from: edge(i), to: edge(i + 1), records: 0 }).collect();
        for (influence, count) in self.bins() {
            // A cast of NaN (no width) or of a negative gives 0.
            let bar = ((influence - from) / width) as usize;
            if let Some(bar) = found.get_mut(bar.min(bars.saturating_sub(1))) {
                bar.records += count;
            }
        }
        found
    }

    /// The middle of each bin that holds records, and how many.
    fn bins(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.counts.iter().zip(0_u32..).filter(|(count, _)| **count > 0).map(|(count, bin)| {
            let ordered = bin << (32 - BIN_BITS) | 1 << (31 - BIN_BITS);
            let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
            (f64::from(f32::from_bits(bits).clamp(self.least, self.greatest)), *count)
        })
    }
}

/// Influence and lengths of a set of records.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    pub influence: InfluenceHistogram,
    pub lengths: LengthHistogram,
}

impl Distribution {
    pub fn add(&mut self, candidate: &Candidate) {
        self.influence.add(candidate.influence);
        self.lengths.add(candidate.residues);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_values_to_one_part_in_128() {
        let mut histogram = InfluenceHistogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.mean()), (None, None));
        (-500..=1500).for_each(|i| histogram.add(i as f32 / 10.0));
        assert_eq!(histogram.records(), 2001);
        assert!((histogram.mean().unwrap() - 50.0).abs() < 1e-4);
        for (share, exact) in [(0.0, -50.0), (0.1, -30.0), (0.5, 50.0), (0.99, 148.0), (1.0, 150.0)] {
            let found = histogram.quantile(share).unwrap();
            assert!((found - exact).abs() <= exact.abs() / 128.0, "{share}: {found}");
        }
    }

    #[test]
    fn bars_hold_every_record_once() {
        let mut histogram = InfluenceHistogram::default();
        (0..1000).for_each(|i| histogram.add(i as f32));
        let bars = histogram.bars(0.0, 500.0, 5);
        assert_eq!(bars.len(), 5);
        assert_eq!((bars[1].from, bars[1].to), (100.0, 200.0));
        assert_eq!(bars.iter().map(|bar| bar.records).sum::<u64>(), 1000);
        assert!((98..=102).contains(&bars[1].records) && bars[4].records >= 598, "{bars:?}");
    }

    #[test]
    fn one_value_is_one_bar() {
        let mut histogram = InfluenceHistogram::default();
        (0..3).for_each(|_| histogram.add(-7.0));
        assert_eq!(
            histogram.bars(-7.0, -7.0, 4).iter().map(|bar| bar.records).collect::<Vec<_>>(),
            [3, 0, 0, 0]
        );
        assert_eq!(histogram.quantile(0.3), Some(-7.0));
    }
}
