//! A job as it is told to the outside.

use super::id::JobId;
use super::problem::Problem;
use super::request::JobKind;
use crate::error::{Code, Error, Result};
use crate::pipeline::{CurvatureSummary, Progress, PruneSummary, ScoreSummary, SelectSummary, Stage};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, Ref, Schema};

/// Where a job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for its turn
    Queued,
    /// Is being computed
    Running,
    /// Done, its results are written
    Complete,
    /// Ended by an error; asking again queues it again
    Failed,
    /// Ended by a request; asking again queues it again
    Canceled,
}

impl JobState {
    pub const ALL: [JobState; 5] =
        [JobState::Queued, JobState::Running, JobState::Complete, JobState::Failed, JobState::Canceled];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Complete => "complete",
            JobState::Failed => "failed",
            JobState::Canceled => "canceled",
        }
    }

    /// Whether nothing more happens to a job in this state by itself.
    pub const fn is_final(self) -> bool {
        matches!(self, JobState::Complete | JobState::Failed | JobState::Canceled)
    }
}

impl FromStr for JobState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        JobState::ALL.into_iter().find(|state| state.name() == text).ok_or_else(|| {
            let known: Vec<_> = JobState::ALL.iter().map(|state| state.name()).collect();
            Error::new(Code::InvalidRequest, format!("state {text:?}: allowed are {}", known.join(", ")))
        })
    }
}

/// How far a running job is, and how fast
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// The step that the job is in
    pub stage: Stage,
    /// Records done in this stage
    #[schema(example = 1500)]
    pub records: u64,
    /// Records of this stage in all, where known
    #[schema(example = 6000)]
    pub total_records: Option<u64>,
    /// The share of the stage's input that is behind, by its bytes as stored, where known; where an earlier run had done a
    /// part, of what that left
    #[serde(default)]
    #[schema(example = 0.25)]
    pub input_share: Option<f64>,
    /// Tokens done in this stage, each mask pass counted
    #[schema(example = 1_260_000)]
    pub tokens: u64,
    /// Seconds since this stage began
    #[schema(example = 12.5)]
    pub seconds: f64,
    /// Records per second in this stage
    #[schema(example = 120.0)]
    pub records_per_second: f64,
    /// Tokens per second in this stage
    #[schema(example = 100_800.0)]
    pub tokens_per_second: f64,
    /// Seconds until this stage is done at its speed so far, by its records where they are counted, else by its input
    #[schema(example = 37.5)]
    pub eta_seconds: Option<f64>,
    /// How full the batches so far were: their mean share of `max_batch_tokens`
    #[schema(example = 1.02)]
    pub batch_fill: Option<f64>,
}

impl From<&Progress> for JobProgress {
    fn from(progress: &Progress) -> Self {
        let rate = |count: u64| if progress.seconds > 0.0 { count as f64 / progress.seconds } else { 0.0 };
        JobProgress {
            stage: progress.stage,
            records: progress.records,
            total_records: progress.total_records,
            input_share: progress.input_share,
            tokens: progress.tokens,
            seconds: progress.seconds,
            records_per_second: rate(progress.records),
            tokens_per_second: rate(progress.tokens),
            eta_seconds: progress.seconds_left(),
            batch_fill: progress.batch_fill,
        }
    }
}

impl From<&JobProgress> for Progress {
    fn from(progress: &JobProgress) -> Self {
        Progress {
            stage: progress.stage,
            records: progress.records,
            total_records: progress.total_records,
            input_share: progress.input_share,
            tokens: progress.tokens,
            seconds: progress.seconds,
            batch_fill: progress.batch_fill,
        }
    }
}

/// What a complete job reports: the summary of its kind
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum JobResult {
    Prune(PruneSummary),
    Score(ScoreSummary),
    Curvature(CurvatureSummary),
    Select(SelectSummary),
}

/// A job
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Derived from the request and the data that it reads: the same again is the same job
    #[schema(value_type = String, example = "prune-8c1f0a7be2d94c5a1b0f33e2")]
    pub id: JobId,
    /// What it computes
    pub kind: JobKind,
    /// Where it is in its life
    pub state: JobState,
    /// When it was first asked for (RFC 3339)
    #[schema(format = DateTime, example = "2026-11-24T09:30:00.000Z")]
    pub created: String,
    /// When it last began to run (RFC 3339)
    #[schema(format = DateTime, example = "2026-11-24T09:30:01.000Z")]
    pub started: Option<String>,
    /// When it ended (RFC 3339)
    #[schema(format = DateTime, example = "2026-11-24T09:34:20.000Z")]
    pub finished: Option<String>,
    /// Whether it was asked to stop
    pub cancel_requested: bool,
    /// While it runs: how far it is
    pub progress: Option<JobProgress>,
    /// The request, every default written out
    #[schema(schema_with = request_schema)]
    pub request: serde_json::Value,
    /// Once complete: URIs of the results
    #[schema(example = json!(["s3://bucket/out/coreset.fa.gz", "s3://bucket/out/manifest.json"]))]
    pub outputs: Vec<String>,
    /// Once complete: counts, rates and times
    pub result: Option<JobResult>,
    /// Once failed: why
    pub error: Option<Problem>,
}

fn request_schema() -> Schema {
    // a curvature's request may be read as one of scores, too
    let mut any_of = AnyOfBuilder::new().description(Some("The request, every default written out"));
    for name in ["PruneRequest", "CurvatureRequest", "ScoreRequest", "SelectRequest"] {
        any_of = any_of.item(Ref::from_schema_name(name));
    }
    Schema::AnyOf(any_of.build())
}

/// Some of the jobs, the latest first
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// The jobs of this page, the latest first
    pub jobs: Vec<Job>,
    /// The `cursor` of the next page; null at the end
    #[schema(example = "1041")]
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Counts;

    #[test]
    fn the_rest_of_a_stage_takes_as_long_as_its_speed_so_far_says() {
        let progress = Progress {
            stage: Stage::Score,
            records: 1500,
            total_records: Some(6000),
            input_share: Some(0.2),
            tokens: 1_260_000,
            seconds: 12.5,
            batch_fill: Some(0.9),
        };
        let told = JobProgress::from(&progress);
        assert_eq!((told.records_per_second, told.eta_seconds), (120.0, Some(37.5)));
        assert_eq!(Progress::from(&told), progress);
        let unknown = JobProgress::from(&Progress { total_records: None, ..progress.clone() });
        assert_eq!(unknown.eta_seconds, Some(50.0));
        let unread =
            JobProgress::from(&Progress { total_records: None, input_share: None, ..progress.clone() });
        assert_eq!(unread.eta_seconds, None);
        let begun = JobProgress::from(&Progress { records: 0, tokens: 0, seconds: 0.0, ..progress });
        assert_eq!((begun.tokens_per_second, begun.eta_seconds), (0.0, None));
    }

    #[test]
    fn each_kind_of_result_is_read_as_what_it_is() {
        let curvature = CurvatureSummary {
            curvature: "c.safetensors".to_string(),
            model: "rna-nano".to_string(),
            sampled: 5,
            mean: 0.5,
            counts: Counts::default(),
            reused: 0,
            seconds: 1.0,
        };
        let score = ScoreSummary {
            scores: "s.parquet".to_string(),
            model: "rna-nano".to_string(),
            counts: Counts::default(),
            reused: 0,
            tokens: 10,
            tokens_per_second: 10.0,
            confounds: None,
            seconds: 1.0,
        };
        let select = SelectSummary {
            output: "out/".to_string(),
            pool: 10,
            pool_residues: 100,
            kept: 1,
            kept_residues: 10,
            warnings: Vec::new(),
            seconds: 1.0,
        };
        let prune = PruneSummary {
            curvature: Some(curvature.clone()),
            score: score.clone(),
            select: select.clone(),
            seconds: 3.0,
        };
        for result in [
            JobResult::Prune(prune),
            JobResult::Score(score),
            JobResult::Curvature(curvature),
            JobResult::Select(select),
        ] {
            let json = serde_json::to_string(&result).unwrap();
            assert_eq!(serde_json::from_str::<JobResult>(&json).unwrap(), result);
        }
    }
}
