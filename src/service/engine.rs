//! The service's engine: runs jobs through the pipeline, each under a lease where its output is in an object store.

use super::scope::{Scope, Within};
use crate::error::{Code, Result};
use crate::jobs::{JobRequest, JobResult, Lease, Leases, Origin, Runner, Work};
use crate::model;
use crate::pipeline::{self, CancelToken, Context, ModelOptions, ProgressSink};
use crate::storage::{Location, Policy, Storage};
use std::sync::Arc;
use std::time::Duration;

/// Runs jobs on this machine.
pub(super) struct Engine {
    /// Restricted to what the operator allows
    pub storage: Storage,
    pub allow: Arc<dyn Policy>,
    /// The model of requests that name none, and what it computes on
    pub model: ModelOptions,
    pub commit_every: Duration,
    pub leases: Leases,
}

impl Runner for Engine {
    fn prepare(&self) -> Result<()> {
        // touches the device, so that a service whose GPU is gone is not ready
        let (placement, _) =
            model::Placement::settle(self.model.device, self.model.precision, self.model.max_batch_tokens)?;
        match &self.model.model[..] {
            pipeline::AUTO => model::bundled().map(|_| ()),
            name => model::load(name, &self.storage, &placement).map(|_| ()),
        }
    }

    fn run(&self, work: Work<'_>, progress: Arc<dyn ProgressSink>, cancel: CancelToken) -> Result<JobResult> {
        let request = work.request;
        let _lease = self.lease(request, &cancel)?;
        let storage = self.storage(work.origin)?.remembering();
        let context = Context::new(&storage, progress, cancel, self.commit_every);
        if let Some(result) = finished(request, &context)? {
            log::info!("all of it was complete already: an earlier run ended before it was noted");
            return Ok(result);
        }
        let done = run(request, &context);
        if done.is_err() && context.cancel.is_canceled() && !context.cancel.is_suspended() {
            storage.remove_written()?;
        }
        done
    }
}

impl Engine {
    /// The storage within what the job's submitter may touch.
    fn storage(&self, origin: &Origin) -> Result<Storage> {
        let storage = self.storage.clone();
        let Some(scope) = &origin.scope else { return Ok(storage) };
        let grant = Scope::from_json(scope)?.grant()?;
        Ok(storage.restricted(Arc::new(Within { policy: self.allow.clone(), grant })))
    }

    /// The lease of the job's output; none is needed where it is on this machine.
    fn lease(&self, request: &JobRequest, cancel: &CancelToken) -> Result<Option<Lease>> {
        let location: Location = request.lease().parse()?;
        if location.is_local() {
            return Ok(None);
        }
        match self.leases.take(&location, cancel) {
            Err(error) if error.code != Code::ServerBusy => {
                // not every store knows conditional writes; what is wrong with it otherwise the job will meet
                log::warn!("no lease is held, so no other service may work on this output: {error}");
                Ok(None)
            }
            taken => taken.map(Some),
        }
    }
}

fn run(request: &JobRequest, context: &Context) -> Result<JobResult> {
    Ok(match request {
        JobRequest::Prune(request) => JobResult::Prune(pipeline::prune(request, context)?),
        JobRequest::Curvature(request) => JobResult::Curvature(pipeline::curvature(request, context)?),
        JobRequest::Score(request) => JobResult::Score(pipeline::score(request, context)?),
        JobRequest::Select(request) => JobResult::Select(pipeline::select(request, context)?),
    })
}

/// The result of a job that was completed by a run which did not live to tell, here or in another service.
fn finished(request: &JobRequest, context: &Context) -> Result<Option<JobResult>> {
    let found = match request {
        JobRequest::Prune(request) => pipeline::finished_prune(request, context)?.map(JobResult::Prune),
        JobRequest::Select(request) => pipeline::finished_select(request, context)?.map(JobResult::Select),
        // what they write last is all that they write: they are run again
        JobRequest::Curvature(_) | JobRequest::Score(_) => None,
    };
    Ok(found)
}
