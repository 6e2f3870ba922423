//! What a job runs in: storage, progress and cancellation.

use crate::error::{Error, Result};
use crate::storage::Storage;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
}

/// Nothing listens.
impl ProgressSink for () {
    fn update(&self, _: &Progress) {}
}

/// Set once, from a signal handler or a request; jobs look at it between batches.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error with code `canceled` once canceled.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() { Err(Error::canceled()) } else { Ok(()) }
    }
}

#[derive(Clone)]
pub struct Context {
    pub storage: Storage,
    pub progress: Arc<dyn ProgressSink>,
    pub cancel: CancelToken,
}
