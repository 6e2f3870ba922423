//! What does a job's work: the engine, seen from the queue.

use super::job::JobResult;
use super::request::JobRequest;
use crate::error::Result;
use crate::pipeline::{CancelToken, ProgressSink};
use std::sync::Arc;

/// Computes jobs. The worker thread alone calls it, one job after another.
pub trait Runner: Send + Sync {
    /// Makes ready what a job needs, such as a model; tried again from time to time until it succeeds.
    fn prepare(&self) -> Result<()>;

    /// Runs a job to its end. Blocks; gives up soon after `cancel` is set.
    fn run(
        &self,
        request: &JobRequest,
        progress: Arc<dyn ProgressSink>,
        cancel: CancelToken,
    ) -> Result<JobResult>;
}
