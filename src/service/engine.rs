//! The service's engine: runs jobs through the pipeline.

use crate::error::Result;
use crate::jobs::{JobRequest, JobResult, Runner};
use crate::model;
use crate::pipeline::{self, CancelToken, Context, ProgressSink};
use crate::storage::Storage;
use std::sync::Arc;

/// Runs jobs on this machine.
pub(super) struct Engine {
    /// Restricted to what the operator allows
    pub storage: Storage,
    /// The model of requests that name none
    pub model: String,
}

impl Runner for Engine {
    fn prepare(&self) -> Result<()> {
        match &self.model[..] {
            pipeline::AUTO => model::bundled().map(|_| ()),
            name => model::load(name, &self.storage, &model::Placement::Cpu).map(|_| ()),
        }
    }

    fn run(
        &self,
        request: &JobRequest,
        progress: Arc<dyn ProgressSink>,
        cancel: CancelToken,
    ) -> Result<JobResult> {
        let context = Context { storage: self.storage.clone(), progress, cancel };
        Ok(match request {
            JobRequest::Prune(request) => JobResult::Prune(pipeline::prune(request, &context)?),
            JobRequest::Curvature(request) => JobResult::Curvature(pipeline::curvature(request, &context)?),
            JobRequest::Score(request) => JobResult::Score(pipeline::score(request, &context)?),
            JobRequest::Select(request) => JobResult::Select(pipeline::select(request, &context)?),
        })
    }
}
