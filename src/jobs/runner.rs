//! What does a job's work: the engine, seen from the queue.

use super::id::JobId;
use super::job::JobResult;
use super::request::JobRequest;
use crate::error::Result;
use crate::pipeline::{CancelToken, ProgressSink};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who asked for a job, as far as its run depends on it; kept with the job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What the job may touch, in the words of whoever runs it; absent: all that the runner may
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The `traceparent` (W3C) of the request that queued it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// A job to be run.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    pub id: &'a JobId,
    pub request: &'a JobRequest,
    pub origin: &'a Origin,
}

/// Computes jobs. The worker thread alone calls it, one job after another.
pub trait Runner: Send + Sync {
    /// Makes ready what a job needs, such as a model; tried again from time to time until it succeeds.
    fn prepare(&self) -> Result<()>;

    /// Runs a job to its end. Blocks; gives up soon after `cancel` is set.
    ///
    /// # Errors
    /// `server_busy` where another service works on the same output: the job stays queued and is tried again.
    fn run(&self, work: Work<'_>, progress: Arc<dyn ProgressSink>, cancel: CancelToken) -> Result<JobResult>;
}
