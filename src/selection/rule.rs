//! A strategy as a combination of small choices: what is excluded, how many of a group are taken, how the rest is
//! stratified, how the budget is shared out over the strata, and how records are picked inside one.

use super::allot::Allot;
use super::lengths::LengthHistogram;
use super::options::{Cap, Shares};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What is selected, the budget and the seed aside.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Share of the highest influence that is left out, in [0, 1)
    pub(super) exclude: f64,
    /// How many records of a group are taken before any more of it are
    pub(super) cap: Option<Cap>,
    pub(super) stratify: Stratify,
    pub(super) allot: Allot,
    pub(super) pick: By,
}

/// What divides the records into strata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stratify {
    Nothing,
    /// Ranges of influence, of equal width or of equal counts
    Influence {
        strata: u32,
        equal_count: bool,
    },
    /// Ranges of length, 16 for each doubling
    Length,
    /// Each group is a stratum
    Group,
}

/// The order that records of a stratum are picked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
// the document has one name for each type, and `By` is that of a division of the records
#[schema(as = PickBy)]
pub enum By {
    /// Highest influence first
    #[value(name = "highest")]
    #[serde(rename = "highest")]
    Influence,
    /// A random order, by hash of (seed, record hash)
    #[value(name = "random")]
    #[serde(rename = "random")]
    Draw,
}

impl Rule {
    /// The highest influence; ties in input order.
    pub fn top_k() -> Rule {
        Rule::plain(By::Influence)
    }

    /// Coverage-Centric Influence. `exclude_top` of the records, in [0, 1), rounded down, are left out: those of the
    /// highest influence. The range of influence of the rest is divided into `strata`; the budget goes to the smallest
    /// stratum first, and records are drawn inside a stratum. Where the budget asks for more than the rest holds,
    /// excluded records fill it up, lowest influence first.
    pub fn coverage(exclude_top: f64, strata: u32, equal_count: bool) -> Result<Rule> {
        Rule::random().excluding(exclude_top)?.stratified(Stratify::Influence { strata, equal_count })
    }

    /// A uniform draw.
    pub fn random() -> Rule {
        Rule::plain(By::Draw)
    }

    /// Groups that take turns, length strata with proportional budgets, the highest influence inside each.
    pub fn balanced() -> Rule {
        let allot = Allot::Proportional;
        Rule { cap: Some(Cap::default()), stratify: Stratify::Length, allot, ..Rule::plain(By::Influence) }
    }

    /// A draw with the length distribution of another selection. Where the pool has too few records of a length, those
    /// of the nearest lengths stand in.
    pub fn random_matched(lengths: &LengthHistogram) -> Result<Rule> {
        if lengths.records() == 0 {
            return Err(Error::bad_input("the selection to match holds no records; at least one is needed"));
        }
        let allot = Allot::Like(lengths.counts().to_vec());
        Ok(Rule { stratify: Stratify::Length, allot, ..Rule::plain(By::Draw) })
    }

    fn plain(pick: By) -> Rule {
        Rule { exclude: 0.0, cap: None, stratify: Stratify::Nothing, allot: Allot::SmallestFirst, pick }
    }

    /// The same rule, with this share of the highest influence left out, in [0, 1).
    pub fn excluding(self, share: f64) -> Result<Rule> {
        if !(0.0..1.0).contains(&share) {
            return Err(Error::usage(format!(
                "exclude_top {share}: allowed is a share from 0 up to, and not including, 1"
            )));
        }
        Ok(Rule { exclude: share, ..self })
    }

    /// The same rule, with so many records of a group at a time: where the budget asks for more than that leaves, groups take
    /// another turn of as many by the same strata, and so on.
    pub fn capped(self, cap: Cap) -> Rule {
        Rule { cap: Some(cap), ..self }
    }

    /// The same rule over other strata.
    pub fn stratified(self, stratify: Stratify) -> Result<Rule> {
        if matches!(stratify, Stratify::Influence { strata: 0, .. }) {
            return Err(Error::usage("strata 0: allowed is 1 or more"));
        }
        Ok(Rule { stratify, ..self })
    }

    /// The same rule with another budget over the strata.
    pub fn shared(self, shares: Shares) -> Rule {
        let allot = match shares {
            Shares::SmallestFirst => Allot::SmallestFirst,
            Shares::Equal => Allot::Equal,
            Shares::Proportional => Allot::Proportional,
        };
        Rule { allot, ..self }
    }

    /// The same rule, picking in another order.
    pub fn picking(self, pick: By) -> Rule {
        Rule { pick, ..self }
    }

    /// Whether the groups of the records matter.
    pub fn uses_groups(&self) -> bool {
        self.cap.is_some() || self.stratify == Stratify::Group
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
