//! `manifest.json`: where a coreset came from, in full.

use crate::confounds::Confounds;
use crate::influence::{Damping, Estimator, Objective};
use crate::scores::{Counts, CurvatureRef, ModelRef, ScoresMetadata};
use crate::sequence::Source;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// The version of the fields below; one is never given another meaning under the same version.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that went into a selection and came out of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA_VERSION`] of the program that wrote it
    pub schema_version: u32,
    pub tool: Tool,
    /// `prune` or `select`
    pub command: String,
    /// The request, field by field as in the JSON body of the endpoint of that name
    pub parameters: serde_json::Value,
    pub model: ModelRef,
    pub scoring: Scoring,
    /// The seed of the draws
    pub seed: u64,
    pub inputs: Vec<InputFile>,
    /// The files that lie beside the manifest
    pub outputs: Vec<OutputFile>,
    pub counts: Counts,
    /// Records whose id an earlier record has too; absent where the pool is too large to count them
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated_ids: Option<u64>,
    pub selection: Selection,
    /// Absent without groups
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupFacts>,
    /// What explains the scores, and what became of groups and lengths
    pub confounds: Confounds,
    /// RFC 3339, UTC
    pub started: String,
    /// RFC 3339, UTC
    pub finished: String,
    pub seconds: f64,
    /// Compute threads
    pub threads: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    pub name: String,
    pub version: String,
}

impl Tool {
    /// This program.
    pub fn this() -> Self {
        Tool { name: env!("CARGO_PKG_NAME").to_string(), version: env!("CARGO_PKG_VERSION").to_string() }
    }
}

/// How the scores were made; a selection from a scores file did not choose it itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scoring {
    /// What computed the encoder: `cpu-f32`, `cpu-bf16` (AMX), `cpu-bf16-avx512`, `cuda-f32` or `cuda-bf16`
    pub engine: String,
    pub objective: Objective,
    pub mask_passes: u8,
    pub estimator: Estimator,
    pub damping: Damping,
    pub curvature: CurvatureRef,
    /// The seed of the masks and of the curvature sample
    pub seed: u64,
}

impl From<&ScoresMetadata> for Scoring {
    fn from(metadata: &ScoresMetadata) -> Self {
        Scoring {
            engine: metadata.engine.clone(),
            objective: metadata.objective,
            mask_passes: metadata.mask_passes,
            estimator: metadata.estimator,
            damping: metadata.damping,
            curvature: metadata.curvature.clone(),
            seed: metadata.seed,
        }
    }
}

/// A file that was read, pinned by its ETag or its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    pub uri: String,
    /// Bytes
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl From<&Source> for InputFile {
    fn from(source: &Source) -> Self {
        InputFile { uri: source.uri.to_string(), size: source.size, etag: source.etag.clone(), sha256: None }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    pub uri: String,
    /// Bytes
    pub size: u64,
    /// Of the whole file, in hexadecimal
    pub sha256: String,
}

/// How records were chosen, and how many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Name of the strategy, as `--strategy` takes it
    pub strategy: String,
    /// The budget, as `--keep` takes it
    pub keep: String,
    pub pool: SetSize,
    pub kept: SetSize,
    /// Records of a group that were taken before any more of it; absent without a cap
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
    /// Records of the pool beyond the cap of their group
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond_cap: Option<SetSize>,
    /// Those of them that were kept, because those within the cap were fewer than the budget
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_cap: Option<SetSize>,
    /// What the strata are ranges of: `influence` or `length`; absent without strata, and where groups are the strata
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strata_of: Option<String>,
    /// From the lowest range to the highest; empty for a strategy without strata
    pub strata: Vec<Stratum>,
}

/// How the groups that were asked for fit the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupFacts {
    /// As `--groups` takes it
    pub from: String,
    /// The table that they were read from, if it was one
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<InputFile>,
    /// Records that nothing gave a group: each is its own
    pub ungrouped: u64,
    /// Ids of the table that the pool does not have
    pub unknown: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSize {
    pub records: u64,
    pub residues: u64,
}

/// A part of the pool that had a budget of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// As in the `stratum` column of `selected.tsv`, or [`Stratum::EXCLUDED`]
    pub name: String,
    /// Where its range begins
    pub low: f64,
    /// Where its range ends
    pub high: f64,
    /// Records of the pool in it
    pub records: u64,
    /// Records kept of these
    pub kept: u64,
}

impl Stratum {
    /// The name of the share of highest influence that a strategy leaves out.
    pub const EXCLUDED: &'static str = "excluded";
}

/// A moment as RFC 3339 in UTC, to the second.
pub fn utc(moment: SystemTime) -> String {
    DateTime::<Utc>::from(moment).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_are_utc_to_the_second() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_millis(951_827_696_789);
        assert_eq!(utc(moment), "2000-02-29T12:34:56Z");
    }
}
