//! The service's engine: runs jobs through the pipeline.

use super::allow::AllowList;
use super::metrics::Metrics;
use crate::error::Result;
use crate::jobs::{JobRequest, JobResult, Runner};
use crate::model;
use crate::pipeline::{self, CancelToken, Context, ProgressSink};
use crate::storage::Storage;
use std::sync::Arc;

/// Runs jobs on this machine.
pub(super) struct Engine {
    pub storage: Storage,
    pub allow: AllowList,
    pub metrics: Metrics,
    /// The model of requests that name none
    pub model: String,
}

impl Runner for Engine {
    fn prepare(&self) -> Result<()> {
        model::describe(&self.model, &self.storage).map(|_| ())
    }

    fn run(
        &self,
        request: &JobRequest,
        progress: Arc<dyn ProgressSink>,
        cancel: CancelToken,
    ) -> Result<JobResult> {
        // a job may have been queued before the service was started anew with another list
        for (_, _, location) in request.locations() {
            self.allow.check(&location)?;
        }
        let context =
            Context { storage: self.storage.clone(), progress: self.metrics.metered(progress), cancel };
        Ok(match request {
            JobRequest::Prune(request) => JobResult::Prune(pipeline::prune(request, &context)?),
            JobRequest::Curvature(request) => JobResult::Curvature(pipeline::curvature(request, &context)?),
            JobRequest::Score(request) => JobResult::Score(pipeline::score(request, &context)?),
            JobRequest::Select(request) => JobResult::Select(pipeline::select(request, &context)?),
        })
    }
}
