//! The worker: one thread that takes jobs from the queue and runs them, one after another.

use super::current;
use super::id::JobId;
use super::job::JobProgress;
use super::problem::Problem;
use super::queue::{Change, Readiness, Shared};
use super::request::JobRequest;
use super::runner::{Origin, Runner, Work};
use super::state::{Running, State};
use super::store::{Outcome, Stored};
use crate::error::{Code, Error, Result};
use crate::pipeline::{CancelToken, Progress, ProgressSink};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job that took the process down with it so often, and committed nothing, is not begun again. More than an unlucky
/// machine does to a job that is all right.
pub(super) const MAX_STARTS: u32 = 8;
/// How long until a job is tried again whose output another service works on.
const DEFER: Duration = Duration::from_secs(1);
/// How long until a failed [`Runner::prepare`], or a failed store, is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Of the threads that compute; see setpriority(2).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;
/// Between two events of progress of one stage.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

pub(super) fn start(shared: Arc<Shared>, runner: Arc<dyn Runner>) -> Result<()> {
    std::thread::Builder::new()
        .name("worker".to_string())
        .spawn(move || {
            step_back();
            work(&shared, runner.as_ref());
            shared.state.lock().worker_ended = true;
            shared.changed.notify_all();
        })
        .map_err(|error| Error::internal("cannot start the worker thread").caused_by(error))?;
    Ok(())
}

/// Has this thread, and those that it starts, leave the processor to whoever answers requests. Linux keeps this for each
/// thread; elsewhere it would be the whole process.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        log::debug!("jobs compute at the priority of all else: {error}");
    }
}

fn work(shared: &Arc<Shared>, runner: &dyn Runner) {
    prepare(shared, runner);
    loop {
        match shared.claim() {
            Ok(Next::Run(claim)) => {
                let outcome = claim.run(shared, runner);
                if let Err(error) = shared.finish(&claim.id, outcome) {
                    log::error!("job {} runs again: {error}", claim.id);
                }
            }
            Ok(Next::Prepare) => prepare(shared, runner),
            Ok(Next::Stop) => return,
            Err(error) => {
                log::error!("{error}");
                std::thread::sleep(RETRY);
            }
        }
    }
}

fn prepare(shared: &Shared, runner: &dyn Runner) {
    let prepared = guarded(|| runner.prepare());
    let readiness = match prepared {
        Ok(()) => Readiness::Ready,
        Err(error) => {
            log::warn!("not ready: {error}");
            Readiness::Failed(error.to_string())
        }
    };
    shared.state.lock().readiness = readiness;
}

/// What the worker does next.
enum Next {
    Run(Claim),
    Prepare,
    Stop,
}

/// A job taken from the queue.
struct Claim {
    id: JobId,
    request: JobRequest,
    origin: Origin,
    cancel: CancelToken,
    progress: Arc<Mutex<Option<Progress>>>,
}

impl Claim {
    fn run(&self, shared: &Arc<Shared>, runner: &dyn Runner) -> Outcome {
        let sink = Arc::new(Sink {
            shared: shared.clone(),
            job: self.id.clone(),
            progress: self.progress.clone(),
            told: Mutex::new(None),
        });
        let work = Work { id: &self.id, request: &self.request, origin: &self.origin };
        let _told = current::begin(&self.id, self.origin.trace.as_deref());
        match guarded(|| runner.run(work, sink, self.cancel.clone())) {
            Ok(result) => Outcome::Complete(result),
            Err(_) if self.cancel.is_suspended() => Outcome::Suspended,
            Err(_) if self.cancel.is_canceled() => Outcome::Canceled,
            Err(error) if error.code == Code::ServerBusy => Outcome::Deferred(error),
            Err(error) => {
                if error.code == Code::Internal {
                    log::error!("job {}: {error}", self.id);
                }
                Outcome::Failed(Problem::from(error))
            }
        }
    }
}

/// Calls the engine; a panic in it is the job's error and not the service's end.
fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("of unknown kind");
        Err(Error::internal(format!("the computation panicked: {message}")))
    })
}

impl Shared {
    /// Waits for a job and takes it.
    fn claim(&self) -> Result<Next> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return Ok(Next::Stop);
            }
            match state.next()? {
                // the service ended after the request to cancel and before the job did
                Some(job) if job.cancel_requested => {
                    state.store.finish(&job.id, &Outcome::Canceled)?;
                    self.tell(&state, &job.id);
                }
                Some(job) if job.starts >= MAX_STARTS => {
                    let detail = format!("the service ended {MAX_STARTS} times while this job ran");
                    let problem = Problem::new(Code::Internal, detail);
                    log::error!("job {} failed: {}", job.id, problem.detail);
                    state.store.finish(&job.id, &Outcome::Failed(problem))?;
                    self.tell(&state, &job.id);
                }
                Some(job) => {
                    state.store.mark_started(&job.id)?;
                    let claim = Claim {
                        id: job.id,
                        request: job.request,
                        origin: job.origin,
                        cancel: CancelToken::default(),
                        progress: Arc::default(),
                    };
                    state.running = Some(Running {
                        id: claim.id.clone(),
                        cancel: claim.cancel.clone(),
                        progress: claim.progress.clone(),
                    });
                    self.tell(&state, &claim.id);
                    log::info!("job {} started", claim.id);
                    return Ok(Next::Run(claim));
                }
                None => {
                    let patience = if state.deferred.is_empty() { RETRY } else { DEFER };
                    let timed_out = self.changed.wait_for(&mut state, patience).timed_out();
                    if timed_out && state.readiness != Readiness::Ready {
                        return Ok(Next::Prepare);
                    }
                    if state.forget_old()? {
                        self.board.clear();
                    }
                }
            }
        }
    }

    /// Stores what came of the running job.
    fn finish(&self, id: &JobId, outcome: Outcome) -> Result<()> {
        let mut state = self.state.lock();
        state.running = None;
        let stored = match &outcome {
            // what was asked in between is asked for still
            Outcome::Suspended => Ok(()),
            Outcome::Deferred(_) => {
                state.deferred.insert(id.clone(), Instant::now() + DEFER);
                state.store.unmark_started(id)
            }
            ended => state.store.finish(id, ended),
        };
        self.tell(&state, id);
        stored?;
        match &outcome {
            Outcome::Suspended => log::info!("job {id} stays in the queue"),
            Outcome::Deferred(error) => log::debug!("job {id} waits: {error}"),
            Outcome::Complete(_) => log::info!("job {id} complete"),
            Outcome::Failed(problem) => log::warn!("job {id} failed: {}: {}", problem.code, problem.detail),
            Outcome::Canceled => log::info!("job {id} canceled"),
        }
        Ok(())
    }
}

impl State {
    /// The job that is next in turn, of those that need not wait for another service.
    fn next(&mut self) -> Result<Option<Stored>> {
        let now = Instant::now();
        self.deferred.retain(|_, until| *until > now);
        let mut place = 0;
        while let Some(job) = self.store.queued_after(place)? {
            if !self.deferred.contains_key(&job.id) || job.cancel_requested {
                return Ok(Some(job));
            }
            place = job.seq;
        }
        Ok(None)
    }
}

/// Keeps a job's progress and tells it to those who listen.
struct Sink {
    shared: Arc<Shared>,
    job: JobId,
    progress: Arc<Mutex<Option<Progress>>>,
    /// When the last event was sent, and of which stage
    told: Mutex<Option<(Instant, crate::pipeline::Stage)>>,
}

impl ProgressSink for Sink {
    fn update(&self, progress: &Progress) {
        *self.progress.lock() = Some(progress.clone());
        let mut told = self.told.lock();
        let due =
            told.is_none_or(|(when, stage)| stage != progress.stage || when.elapsed() >= PROGRESS_INTERVAL);
        if due {
            *told = Some((Instant::now(), progress.stage));
            self.shared.announce(Change::Progress(self.job.clone(), JobProgress::from(progress)));
        }
    }

    fn committed(&self) {
        if let Err(error) = self.shared.state.lock().store.mark_progress(&self.job) {
            log::warn!("job {}: {error}", self.job);
        }
    }
}
