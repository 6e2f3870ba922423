//! What a job runs in: storage, progress and cancellation.

use super::CommitTo;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::storage::Storage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The step that a job is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Reading the inputs through once, to count records and draw the curvature sample
    Scan,
    /// Fine-tuning the model on the curvature sample
    Adapt,
    /// Estimating the curvature
    Curvature,
    /// Scoring records
    Score,
    /// Selecting and writing the coreset
    Select,
    /// Writing hidden states of records
    Embed,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    pub stage: Stage,
    /// Records done in this stage
    pub records: u64,
    /// Records of this stage in all, where known
    pub total_records: Option<u64>,
    /// The share of the stage's input that is behind, by its bytes as stored, where known; where an earlier run had done a
    /// part, of what that left
    pub input_share: Option<f64>,
    /// Tokens done in this stage, each mask pass counted
    pub tokens: u64,
    /// Seconds since this stage began
    pub seconds: f64,
    /// How full the batches so far were: their mean share of the token budget
    pub batch_fill: Option<f64>,
}

impl Progress {
    /// Seconds until the stage is done at its speed so far, by its records where they are counted, else by its input.
    pub fn seconds_left(&self) -> Option<f64> {
        let by_records = self.total_records.map(|total| self.records as f64 / total.max(1) as f64);
        let done = by_records.or(self.input_share).filter(|done| *done > 0.0 && self.seconds > 0.0)?;
        Some((self.seconds * (1.0 - done) / done).max(0.0))
    }
}

/// Receives progress: a bar, log lines, a job's record. Called a few times a second at most, from any thread.
pub trait ProgressSink: Send + Sync {
    fn update(&self, progress: &Progress);

    /// What is done so far is committed: the same job, begun again, goes on from here.
    fn committed(&self) {}
}

/// Nothing listens.
impl ProgressSink for () {
    fn update(&self, _: &Progress) {}
}

#[derive(Clone)]
pub struct Context {
    pub storage: Storage,
    pub progress: Arc<dyn ProgressSink>,
    pub cancel: CancelToken,
    /// How often finished work is committed, so that a run that is killed goes on from there
    pub commit_every: Duration,
    /// Where it is committed, if not beside the outputs
    pub commit_to: Option<CommitTo>,
}

impl Context {
    /// What `cancel` ends does not wait for `storage` any more.
    pub fn new(
        storage: &Storage,
        progress: Arc<dyn ProgressSink>,
        cancel: CancelToken,
        commit_every: Duration,
    ) -> Context {
        let storage = storage.until(cancel.clone());
        Context { storage, progress, cancel, commit_every, commit_to: None }
    }

    /// Whether a job that ends with this error may go on later from what it committed.
    pub(super) fn may_go_on(&self, error: &Error) -> bool {
        match self.cancel.is_canceled() {
            true => self.cancel.is_suspended(),
            false => error.code.info().retryable,
        }
    }

    /// A job's outcome, once what it committed apart from its outputs is removed, unless it may go on from there.
    pub fn ended<T>(&self, outcome: Result<T>) -> Result<T> {
        let over = !outcome.as_ref().is_err_and(|error| self.may_go_on(error));
        if let Some(place) = self.commit_to.as_ref().filter(|_| over)
            && let Err(error) = place.clear(&self.storage.to_the_end())
        {
            log::warn!("what was committed of the job could not be removed: {error}");
        }
        outcome
    }
}

/// A minute of work is little to lose, and a part every minute little to write.
const COMMIT_EVERY: u64 = 60;

/// How often what is done is committed while a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct CommitOptions {
    /// Commit finished scores, and the curvature's sum, every so many seconds beside the output, so that a run that was
    /// killed goes on from there when it is repeated; 0 commits every batch
    #[arg(long, env = "BIOPRUNE_COMMIT_EVERY", value_name = "SECONDS", default_value_t = COMMIT_EVERY)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=86_400), help_heading = "Run")]
    pub commit_every: u64,
}

impl CommitOptions {
    pub fn interval(self) -> Duration {
        Duration::from_secs(self.commit_every)
    }
}

impl Default for CommitOptions {
    fn default() -> Self {
        CommitOptions { commit_every: COMMIT_EVERY }
    }
}
