//! What the queue knows: the store, and what is known in memory only.

use super::id::JobId;
use super::job::{Job, JobProgress, JobState};
use super::queue::{IdempotencyKey, Readiness};
use super::store::{Store, Stored};
use crate::error::{Code, Error, Result};
use crate::pipeline::{CancelToken, Progress};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks for jobs that are to be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(600);

pub(super) struct State {
    pub store: Store,
    pub running: Option<Running>,
    pub readiness: Readiness,
    pub stopping: bool,
    pub worker_ended: bool,
    /// Jobs whose output another service works on, until when they are left alone
    pub deferred: HashMap<JobId, Instant>,
    /// How long ended jobs are kept, and when that was looked at last
    pub retention: Duration,
    pub forgot: Instant,
}

/// What is known of the running job in memory only.
pub(super) struct Running {
    pub id: JobId,
    pub cancel: CancelToken,
    pub progress: Arc<Mutex<Option<Progress>>>,
}

impl State {
    pub fn job(&self, id: &JobId) -> Result<Job> {
        match self.store.get(id)? {
            Some(stored) => self.tell(stored),
            None => Err(Error::new(Code::JobNotFound, format!("there is no job {id}"))),
        }
    }

    /// A stored job together with what only memory knows.
    pub fn tell(&self, stored: Stored) -> Result<Job> {
        let running = self.running.as_ref().filter(|running| running.id == stored.id);
        let state = if running.is_some() { JobState::Running } else { stored.state };
        let outputs = if state == JobState::Complete { stored.request.outputs() } else { Vec::new() };
        let request = serde_json::to_value(&stored.request)
            .map_err(|error| Error::internal("a request does not fit into JSON").caused_by(error))?;
        Ok(Job {
            id: stored.id,
            kind: stored.request.kind(),
            state,
            created: stored.created,
            started: stored.started,
            finished: stored.finished,
            cancel_requested: stored.cancel_requested,
            progress: running.and_then(|running| running.progress.lock().as_ref().map(JobProgress::from)),
            request,
            outputs,
            result: stored.result,
            error: stored.error,
        })
    }

    /// How far a running job is, as it goes on.
    pub fn progress(&self, id: &JobId) -> Option<Arc<Mutex<Option<Progress>>>> {
        self.running.as_ref().filter(|running| running.id == *id).map(|running| running.progress.clone())
    }

    /// Forgets jobs that ended too long ago, and tells whether there were any; looks from time to time only.
    pub fn forget_old(&mut self) -> Result<bool> {
        if self.forgot.elapsed() < FORGET_EVERY { Ok(false) } else { self.forget() }
    }

    pub fn forget(&mut self) -> Result<bool> {
        self.forgot = Instant::now();
        let Some(time) = SystemTime::now().checked_sub(self.retention) else { return Ok(false) };
        let forgotten = self.store.forget_before(time)?;
        if forgotten > 0 {
            log::info!("{forgotten} jobs that ended too long ago are forgotten");
        }
        Ok(forgotten > 0)
    }

    pub fn recall(&self, key: Option<&IdempotencyKey>) -> Result<Option<Job>> {
        let Some(key) = key else { return Ok(None) };
        match self.store.recall(key)? {
            Some((id, true)) => self.job(&id).map(Some),
            Some((_, false)) => Err(Error::new(
                Code::IdempotencyConflict,
                format!("the Idempotency-Key {:?} was used with another body", key.key),
            )),
            None => Ok(None),
        }
    }

    /// Whether one more job may wait.
    pub fn admit(&self, capacity: usize) -> Result<()> {
        if self.stopping {
            return Err(Error::new(Code::NotReady, "the service is stopping"));
        }
        let waiting = self.store.count(JobState::Queued)? - u64::from(self.running.is_some());
        if waiting >= capacity as u64 {
            return Err(Error::new(Code::QueueFull, format!("{waiting} jobs wait; allowed are {capacity}")));
        }
        Ok(())
    }
}
