//! A strategy as a combination of small choices: what is excluded, how the rest is stratified, how the budget is
//! shared out over the strata, and how records are picked inside one.

use super::allot::Allot;
use super::lengths::LengthHistogram;
use crate::error::{Error, Result};

/// What is selected, the budget and the seed aside.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Share of the highest influence that is left out, in [0, 1)
    pub(super) exclude: f64,
    pub(super) stratify: Stratify,
    pub(super) allot: Allot,
    pub(super) pick: By,
}

/// What divides the records into strata.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stratify {
    Nothing,
    /// Ranges of influence, of equal width or of equal counts
    Influence {
        strata: u32,
        equal_count: bool,
    },
    Length,
}

/// The order that records of a stratum are picked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Highest influence first
    Influence,
    /// A random order, by hash of (seed, record hash)
    Draw,
}

impl Rule {
    /// The highest influence; ties in input order.
    pub fn top_k() -> Rule {
        Rule { exclude: 0.0, stratify: Stratify::Nothing, allot: Allot::SmallestFirst, pick: By::Influence }
    }

    /// Coverage-Centric Influence. `exclude_top` of the records, in [0, 1), rounded down, are left out: those of the
    /// highest influence. The range of influence of the rest is divided into `strata`; the budget goes to the smallest
    /// stratum first, and records are drawn inside a stratum. Where the budget asks for more than the rest holds,
    /// excluded records fill it up, lowest influence first.
    pub fn coverage(exclude_top: f64, strata: u32, equal_count: bool) -> Result<Rule> {
        if !(0.0..1.0).contains(&exclude_top) {
            return Err(Error::usage(format!(
                "exclude_top {exclude_top}: allowed is a share from 0 up to, and not including, 1"
            )));
        }
        if strata == 0 {
            return Err(Error::usage("strata 0: allowed is 1 or more"));
        }
        let stratify = Stratify::Influence { strata, equal_count };
        Ok(Rule { exclude: exclude_top, stratify, allot: Allot::SmallestFirst, pick: By::Draw })
    }

    /// A uniform draw.
    pub fn random() -> Rule {
        Rule { exclude: 0.0, stratify: Stratify::Nothing, allot: Allot::SmallestFirst, pick: By::Draw }
    }

    /// A draw with the length distribution of another selection. Where the pool has too few records of a length, those
    /// of the nearest lengths stand in.
    pub fn random_matched(lengths: &LengthHistogram) -> Result<Rule> {
        if lengths.records() == 0 {
            return Err(Error::bad_input("the selection to match holds no records; at least one is needed"));
        }
        let allot = Allot::Like(lengths.counts().to_vec());
        Ok(Rule { exclude: 0.0, stratify: Stratify::Length, allot, pick: By::Draw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for share in [-0.1, 1.0, f64::NAN] {
            assert!(Rule::coverage(share, 50, false).unwrap_err().message.contains("allowed"));
        }
        assert!(Rule::coverage(0.1, 0, false).unwrap_err().message.contains("allowed"));
        assert!(Rule::random_matched(&LengthHistogram::default()).is_err());
    }
}
