//! The choices that define a selection: budget and strategy.

use crate::error::{Error, Result};
use crate::string_serde;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much is kept: `200000` records, `1%` of the records, or `50Mres` residues (k, M, G).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    Records(u64),
    /// A share of the records in (0, 1]; rounded to the nearest record, at least one.
    Share(f64),
    Residues(u64),
}

/// The named strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The highest influence
    TopK,
    /// Coverage-Centric Influence: leave out the top share, stratify the rest by influence, smallest stratum first
    Coverage,
    /// A control: a uniform draw
    Random,
    /// A control: a draw with the length distribution of another selection (--match)
    RandomMatched,
    /// Groups (--groups, else of near-duplicates) take turns (--cap-per-group), length strata with proportional budgets, the
    /// highest influence inside each
    Balanced,
}

/// What the records are stratified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StratifyBy {
    /// One stratum
    None,
    /// Ranges of influence (--strata, --equal-count)
    Influence,
    /// Ranges of length, 16 for each doubling
    Length,
    /// Each group is a stratum (--groups)
    Group,
}

/// How the budget is shared out over the strata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shares {
    /// Smallest stratum first, each an equal part of what is left: all others make up for one that is too small
    SmallestFirst,
    /// An equal part to each: the nearest strata make up for one that is too small
    Equal,
    /// In proportion to the records of each
    Proportional,
}

/// How many records of a group are taken before any more of it are: a number from 1, or `auto`, which is 1. Then groups take
/// turns, whatever the budget: each group's next record comes after one of every group. (In the study that was as good as a
/// wider cap at a budget of 30 %, and better at 10 % and 1 %.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(pub u32);

impl Default for Cap {
    fn default() -> Self {
        Cap(1)
    }
}

impl FromStr for Cap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Cap::default()),
            number => number.parse().ok().filter(|records| *records > 0).map(Cap).ok_or_else(|| {
                Error::usage(format!(
                    "cap_per_group {text:?}: allowed are a number of records from 1, or auto"
                ))
            }),
        }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_budget(text).ok_or_else(|| {
            Error::usage(format!(
                "keep {text:?}: allowed are a number of records (200000), a percentage (1%) or residues (50Mres, 300kres)"
            ))
        })
    }
}

fn parse_budget(text: &str) -> Option<Budget> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.parse().ok()?;
        return (percent > 0.0 && percent <= 100.0).then_some(Budget::Share(percent / 100.0));
    }
    let Some(residues) = text.strip_suffix("res") else {
        return text.parse().ok().filter(|n| *n > 0).map(Budget::Records);
    };
    let (number, unit) = match residues.chars().last()? {
        'k' => (&residues[..residues.len() - 1], 1e3),
        'M' => (&residues[..residues.len() - 1], 1e6),
        'G' => (&residues[..residues.len() - 1], 1e9),
        _ => (residues, 1.0),
    };
    let count = number.parse::<f64>().ok()? * unit;
    (1.0..=1e18).contains(&count).then_some(Budget::Residues(count as u64))
}

impl Budget {
    /// The most records, of so many, that it comes to: in residues that may be all.
    pub(super) fn records(self, all: u64) -> u64 {
        match self {
            Budget::Records(records) => records.min(all),
            Budget::Share(share) => ((share * all as f64).round() as u64).clamp(1, all.max(1)),
            Budget::Residues(_) => all,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::Records(n) => write!(f, "{n}"),
            Budget::Share(share) => write!(f, "{}%", share * 100.0),
            Budget::Residues(n) => write!(f, "{n}res"),
        }
    }
}

string_serde!(Budget, Cap);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_read_what_they_print() {
        for text in ["200000", "1%", "50Mres", "300kres", "77res", "12.5%"] {
            let budget: Budget = text.parse().unwrap();
            assert_eq!(budget.to_string().parse::<Budget>().unwrap(), budget);
        }
        for (text, cap) in [("auto", "1"), ("1", "1"), ("7", "7")] {
            assert_eq!(text.parse::<Cap>().unwrap().to_string(), cap);
        }
        assert_eq!("50Mres".parse::<Budget>().unwrap(), Budget::Residues(50_000_000));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for text in ["", "0", "-1", "0%", "100.1%", "1.5", "res", "Mres", "-5res", "nanres", "ten"] {
            assert!(text.parse::<Budget>().unwrap_err().message.contains("allowed"), "{text}");
        }
        for text in ["", "0", "-1", "1.5", "Auto", "4294967296"] {
            assert!(text.parse::<Cap>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }
}
