//! Confounds: what else than the records' worth explains their scores and a selection from them.
//!
//! [`Observer`] is given every scored record, in input order, and gives the [`Confounds`]: rank correlations of the
//! influence, shares of its variance, and what pool and coreset are made of. Everything is exact, in memory that grows
//! with the number of files and of different lengths alone.
//!
//! Variance is that of the influence's *rank*: influence has a heavy tail, in which a few records would decide
//! everything, and selections go by ranks.

mod observer;
mod shares;
mod table;
mod variance;
mod warnings;

pub use observer::{Observation, Observer};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What explains the scores, and what became of groups and lengths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Confounds {
    /// Spearman's rank correlations of the influence
    pub rank_correlation: RankCorrelation,
    /// How much of the variance of the influence's rank lies between classes of records
    pub variance: Vec<Explained>,
    /// The records that were scored
    pub pool: Composition,
    /// Absent where nothing was selected
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Composition>,
    /// The groups that are the largest in the pool or in the coreset; empty without groups
    pub largest_groups: Vec<Part>,
    /// Ranges of length in residues, four for each doubling, that hold a record
    pub length_ranges: Vec<Part>,
    /// What stands out, in words
    pub warnings: Vec<String>,
}

/// From -1 to 1; absent where one of the two is the same for all records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RankCorrelation {
    /// With the length in residues
    pub length: Option<f64>,
    /// With the loss
    pub loss: Option<f64>,
}

/// A division of the records into classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// What was told to belong together
    Group,
    /// The file that a record is in
    Source,
    /// Twenty equal parts of the records in input order
    Position,
    /// Ranges of length, four for each doubling
    Length,
}

/// How much of the variance lies between the classes of a division.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// The division
    pub by: By,
    /// Classes that hold a record
    pub classes: u64,
    /// The share of the variance between classes, from 0 to 1: grows with the number of classes by chance alone.
    /// Absent where all influence is one value
    pub eta_squared: Option<f64>,
    /// The same less what chance explains (epsilon squared); absent also where each class has one record
    pub adjusted: Option<f64>,
}

/// What a set of records is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Composition {
    /// Records in the set
    pub records: u64,
    /// Residues of its records
    pub residues: u64,
    /// Mean length of its records, in residues
    pub mean_length: f64,
    /// Groups that have a record in the set; absent without groups
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u64>,
    /// Records that share their group with another record of the set
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundant: Option<u64>,
}

/// A part of the pool, and of what was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// The group, or the range of lengths
    pub name: String,
    /// Records of the pool
    pub pool: u64,
    /// Records kept
    pub kept: u64,
}
