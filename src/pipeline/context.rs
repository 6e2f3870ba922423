//! What a job runs in: storage, progress and cancellation.

use crate::error::{Error, Result};
use crate::storage::Storage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
    /// Tokens computed in this stage, each mask pass counted
    pub tokens: u64,
    /// Seconds since this stage began
    pub seconds: f64,
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

/// Set from a signal handler or a request; jobs look at it between batches.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<AtomicU8>);

const RUN: u8 = 0;
const SUSPEND: u8 = 1;
const CANCEL: u8 = 2;

impl CancelToken {
    /// The job is to give up and to leave nothing behind.
    pub fn cancel(&self) {
        self.0.fetch_max(CANCEL, Ordering::Relaxed);
    }

    /// The job is to give up for now: what is done is committed, so that it goes on from there.
    pub fn suspend(&self) {
        self.0.fetch_max(SUSPEND, Ordering::Relaxed);
    }

    /// Whether the job is to give up, for good or for now.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed) != RUN
    }

    /// Whether the job is to give up for now.
    pub fn is_suspended(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SUSPEND
    }

    /// An error with code `canceled` once canceled.
    pub fn check(&self) -> Result<()> {
        match self.0.load(Ordering::Relaxed) {
            RUN => Ok(()),
            SUSPEND => Err(Error::suspended()),
            _ => Err(Error::canceled()),
        }
    }
}

#[derive(Clone)]
pub struct Context {
    pub storage: Storage,
    pub progress: Arc<dyn ProgressSink>,
    pub cancel: CancelToken,
    /// How often finished scores are committed, so that a run that is killed goes on from there
    pub commit_every: Duration,
}

/// A minute of work is little to lose, and a part every minute little to write.
const COMMIT_EVERY: u64 = 60;

/// How often scores are committed while a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct CommitOptions {
    /// Commit the finished scores every so many seconds beside the output, so that a run that was killed goes on from
    /// there when it is repeated; 0 commits every batch
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
