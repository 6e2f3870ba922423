//! What a job reports when it is done: for a person, for `--json`, and as a job's result.

use crate::confounds::Confounds;
pub use crate::scores::Counts;
use crate::train::TrainReport;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an estimate of the curvature reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CurvatureSummary {
    /// URI of the curvature file
    pub curvature: String,
    /// Name or location of the model
    pub model: String,
    /// Records that the curvature was estimated on
    pub sampled: u64,
    /// Mean of F over its entries
    pub mean: f64,
    /// What became of the records
    pub counts: Counts,
    /// Records of the sample that an earlier run had added and committed before it was killed or stopped
    #[serde(default)]
    pub reused: u64,
    /// Seconds that it took
    pub seconds: f64,
}

/// What a scoring reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoreSummary {
    /// URI of the scores file
    pub scores: String,
    /// Name or location of the model
    pub model: String,
    /// What became of the records
    pub counts: Counts,
    /// Scores of these that an earlier run had committed before it was killed or stopped, and that were used again
    #[serde(default)]
    pub reused: u64,
    /// Tokens of the records scored, each mask pass counted; without those of `reused`
    pub tokens: u64,
    /// The same per second of the scoring: more than are computed where gradients were kept from the curvature
    pub tokens_per_second: f64,
    /// What explains the scores, of a part of the records if it is one; absent where `prune` tells it of the selection
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confounds: Option<Confounds>,
    /// Seconds that it took
    pub seconds: f64,
}

/// What a selection reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SelectSummary {
    /// URI of the folder that holds selected.tsv, coreset.fa.gz, manifest.json and report.html
    pub output: String,
    /// Records in the pool
    pub pool: u64,
    /// Residues in the pool
    pub pool_residues: u64,
    /// Records kept
    pub kept: u64,
    /// Residues kept
    pub kept_residues: u64,
    /// What stands out in the coreset, in words; manifest.json has the numbers
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Seconds that it took
    pub seconds: f64,
}

/// What the whole job reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PruneSummary {
    /// Absent where an earlier run's curvature was used again
    pub curvature: Option<CurvatureSummary>,
    /// How the records were scored
    pub score: ScoreSummary,
    /// What was kept of them
    pub select: SelectSummary,
    /// Seconds that it took
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MergeSummary {
    /// URI of the merged file
    pub output: String,
    /// Files merged
    pub parts: u64,
    /// Records in the merged scores, or records that the merged curvature is estimated on
    pub records: u64,
}

/// What a training made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSummary {
    /// URI of the model file
    pub model: String,
    pub report: TrainReport,
}
