//! The queue: submitting, looking at and canceling jobs, from any thread.

use super::board::Board;
use super::directory::lock;
use super::id::JobId;
use super::job::{Job, JobPage, JobProgress, JobState};
use super::objects::Objects;
use super::request::{JobRequest, Role};
use super::runner::{Origin, Runner};
use super::state::State;
use super::store::{Filter, Outcome, Store};
use super::worker;
use crate::error::{Code, Error, Result};
use crate::storage::ObjectInfo;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// Events that a slow subscriber may fall behind before it loses some.
const EVENTS_KEPT: usize = 256;

/// A client's own name for a request, and the request's body.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// Whose it is: clients do not share keys
    pub client: String,
    pub key: String,
    pub body: String,
}

impl IdempotencyKey {
    pub(super) fn stored(&self) -> String {
        format!("{}\n{}", self.client, self.key)
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Submitted {
    pub job: Job,
    /// Whether it was put into the queue now, and had not been there before
    pub queued: bool,
}

/// Something happened to a job.
#[derive(Clone, Debug)]
pub enum Change {
    /// The running job came further
    Progress(JobId, JobProgress),
    /// A job has another state
    State(JobId),
    /// The queue is closing; no more events follow
    Stopping,
}

/// How the work goes; zero where nothing waits or runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Since the job that is next in turn was asked for
    pub waiting: Duration,
    /// Of the running job, in its stage
    pub tokens_per_second: f64,
    /// [`JobProgress::batch_fill`] of the running job
    pub batch_fill: f64,
}

/// Whether jobs can be run.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// [`Runner::prepare`] has not returned yet
    Preparing,
    Ready,
    /// [`Runner::prepare`] failed; it is tried again
    Failed(String),
}

/// The queue and its worker thread.
pub struct Jobs {
    pub(super) shared: Arc<Shared>,
    /// Held as long as the queue lives, so that no second service works on the same data directory
    _lock: File,
}

pub(super) struct Shared {
    pub state: Mutex<State>,
    pub board: Board,
    /// A job was queued, the queue is stopping, or the worker has ended
    pub changed: Condvar,
    pub objects: Arc<dyn Objects>,
    pub capacity: usize,
    pub events: broadcast::Sender<Change>,
}

impl Jobs {
    /// Opens the queue of `directory`, made if need be, and starts the worker; at most `capacity` jobs wait in it, and
    /// jobs that have ended are kept for `retention`.
    ///
    /// # Errors
    /// `storage_failed` where the directory cannot be written, or another process has it open.
    pub fn open(
        directory: &Path,
        capacity: usize,
        retention: Duration,
        objects: Arc<dyn Objects>,
        runner: Arc<dyn Runner>,
    ) -> Result<Jobs> {
        let lock = lock(directory)?;
        let mut state = State {
            store: Store::open(&directory.join("jobs.sqlite"))?,
            running: None,
            readiness: Readiness::Preparing,
            stopping: false,
            worker_ended: false,
            deferred: HashMap::new(),
            retention,
            forgot: Instant::now(),
        };
        state.forget()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            board: Board::default(),
            changed: Condvar::new(),
            objects,
            capacity,
            events: broadcast::Sender::new(EVENTS_KEPT),
        });
        worker::start(shared.clone(), runner)?;
        Ok(Jobs { shared, _lock: lock })
    }

    /// Stores a request and returns its job: the one that there is, or a new one at the end of the queue. A failed or
    /// canceled job is queued again, and so is a complete one whose results are gone.
    ///
    /// # Errors
    /// `input_not_found`, `forbidden` or `storage_failed` for what the job reads; `queue_full`; `not_ready` while
    /// stopping; `idempotency_conflict` where the key was used with another body.
    pub fn submit(
        &self,
        request: &JobRequest,
        key: Option<&IdempotencyKey>,
        origin: &Origin,
    ) -> Result<Submitted> {
        if let Some(job) = self.shared.state.lock().recall(key)? {
            return Ok(Submitted { job, queued: false });
        }
        let id = JobId::derive(request, &self.read_inputs(request)?)?;
        let results_gone = self.results_gone(&id, request)?;
        let state = self.shared.state.lock();
        // the same key may have come in between
        if let Some(job) = state.recall(key)? {
            return Ok(Submitted { job, queued: false });
        }
        let present = state.store.get(&id)?.is_some_and(|job| match job.state {
            JobState::Complete => !results_gone,
            state => !state.is_final(),
        });
        if !present {
            state.admit(self.shared.capacity)?;
            state.store.enqueue(&id, request, origin)?;
            log::info!("job {id} queued");
        }
        if let Some(key) = key {
            state.store.remember(key, &id)?;
        }
        let job = state.job(&id)?;
        if !present {
            self.shared.tell(&state, &id);
            self.shared.changed.notify_all();
        }
        Ok(Submitted { job, queued: !present })
    }

    /// # Errors
    /// `job_not_found`.
    pub fn get(&self, id: &JobId) -> Result<Job> {
        self.look(id).map_or_else(|| self.shared.state.lock().job(id), Ok)
    }

    /// The same where it is held in memory, as those are that wait, run or have just ended. Does not block.
    pub fn look(&self, id: &JobId) -> Option<Job> {
        self.shared.board.look(id)
    }

    /// Jobs, the latest first.
    pub fn list(&self, filter: &Filter) -> Result<JobPage> {
        let state = self.shared.state.lock();
        let more = Filter { limit: filter.limit + 1, ..filter.clone() };
        let mut stored = state.store.list(&more, state.running.as_ref().map(|running| &running.id))?;
        let has_more = stored.len() > filter.limit;
        stored.truncate(filter.limit);
        let next = stored.last().filter(|_| has_more).map(|job| job.seq.to_string());
        let jobs = stored.into_iter().map(|job| state.tell(job)).collect::<Result<_>>()?;
        Ok(JobPage { jobs, next })
    }

    /// Cancels a job: at once where it waits, else as soon as the engine gives up, which it is asked to.
    ///
    /// # Errors
    /// `job_not_found`; `job_state` where the job has ended.
    pub fn cancel(&self, id: &JobId) -> Result<Job> {
        let state = self.shared.state.lock();
        let job = state.job(id)?;
        if job.state.is_final() {
            return Err(Error::new(
                Code::JobState,
                format!("job {id} is {}; only a queued or running job can be canceled", job.state.name()),
            ));
        }
        state.store.request_cancel(id)?;
        match &state.running {
            Some(running) if running.id == *id => running.cancel.cancel(),
            _ => state.store.finish(id, &Outcome::Canceled)?,
        }
        let job = state.job(id)?;
        self.shared.tell(&state, id);
        log::info!("job {id} is to be canceled");
        Ok(job)
    }

    /// Everything that happens from now on. A subscriber that falls behind loses events and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.shared.events.subscribe()
    }

    /// How many jobs there are in each state.
    pub fn counts(&self) -> Result<[(JobState, u64); 5]> {
        let state = self.shared.state.lock();
        let running = u64::from(state.running.is_some());
        let mut counts = JobState::ALL.map(|state| (state, 0));
        for (job_state, count) in &mut counts {
            *count = match job_state {
                JobState::Running => running,
                JobState::Queued => state.store.count(JobState::Queued)?.saturating_sub(running),
                stored => state.store.count(*stored)?,
            };
        }
        Ok(counts)
    }

    /// How long the next job waits, and how the running one computes.
    pub fn pace(&self) -> Result<Pace> {
        let state = self.shared.state.lock();
        let running = state.running.as_ref();
        let mut next = state.store.queued_after(0)?;
        if let Some(job) = next.as_ref().filter(|job| running.is_some_and(|running| running.id == job.id)) {
            next = state.store.queued_after(job.seq)?;
        }
        let progress = running.and_then(|running| running.progress.lock().as_ref().map(JobProgress::from));
        Ok(Pace {
            waiting: next.map(|job| job.age()).unwrap_or_default(),
            tokens_per_second: progress.as_ref().map_or(0.0, |progress| progress.tokens_per_second),
            batch_fill: progress.and_then(|progress| progress.batch_fill).unwrap_or(0.0),
        })
    }

    pub fn readiness(&self) -> Readiness {
        self.shared.state.lock().readiness.clone()
    }

    pub fn is_stopping(&self) -> bool {
        self.shared.state.lock().stopping
    }

    /// Takes no more jobs and asks the running one to give up; it stays queued, and so a later start runs it again.
    pub fn stop(&self) -> Result<()> {
        let mut state = self.shared.state.lock();
        if std::mem::replace(&mut state.stopping, true) {
            return Ok(());
        }
        let unmarked = match &state.running {
            Some(running) => {
                running.cancel.suspend();
                state.store.unmark_started(&running.id)
            }
            None => Ok(()),
        };
        self.shared.announce(Change::Stopping);
        self.shared.changed.notify_all();
        unmarked
    }

    /// Waits until the worker has ended after [`Jobs::stop`]; false if it did not within `patience`.
    pub fn wait_stopped(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.state.lock();
        while !state.worker_ended {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                return state.worker_ended;
            }
        }
        true
    }

    fn read_inputs(&self, request: &JobRequest) -> Result<Vec<ObjectInfo>> {
        let mut inputs = Vec::new();
        for (_, _, location) in request.locations().iter().filter(|(_, role, _)| *role == Role::Input) {
            inputs.append(&mut self.shared.objects.list(location)?);
        }
        Ok(inputs)
    }

    /// Whether a job is complete, but what was written last is there no more.
    fn results_gone(&self, id: &JobId, request: &JobRequest) -> Result<bool> {
        let stored = self.shared.state.lock().store.get(id)?;
        match (stored, request.outputs().last()) {
            (Some(job), Some(last)) if job.state == JobState::Complete => {
                Ok(!self.shared.objects.exists(last)?)
            }
            _ => Ok(false),
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            log::error!("{error}");
        }
    }
}

impl Shared {
    /// Tells how a job is now, while the state is held, so that changes are told in their order.
    pub fn tell(&self, state: &State, id: &JobId) {
        match state.job(id) {
            Ok(job) => self.board.put(job, state.progress(id)),
            // whoever looks is told what is wrong
            Err(_) => self.board.remove(id),
        }
        self.announce(Change::State(id.clone()));
    }

    /// Does not block.
    pub fn announce(&self, change: Change) {
        // fails only where nobody listens
        let _ = self.events.send(change);
    }
}
