//! A client of the service: the command line's `--server`, and an example of how to call the service well.
//!
//! The same request over the same data is the same job, so everything here may be repeated safely: a request that
//! meets a busy, restarting or unreachable service is sent again for a while, and then fails with `server_busy`,
//! which pipelines retry.

mod transport;

use crate::error::{Code, Error, Result};
use crate::jobs::{Job, JobId, JobPage, JobProgress, JobRequest, JobResult, JobState};
use crate::pipeline::{CancelToken, Progress, ProgressSink};
use std::time::Duration;
use transport::Transport;

/// A running job is looked at after so long at first, and ever less often up to the longest.
const FIRST_LOOK: Duration = Duration::from_millis(200);
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// How long a cancel may take to be noticed.
const CANCEL_CHECK: Duration = Duration::from_millis(50);
/// The most that the service gives at once.
const PAGE: usize = 500;

/// A connection to a service. Its calls block, so they must not be made from async code.
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client of the service at `server`: `http://host:port`, `https://host/prefix` or `unix:///path/of/socket`.
    /// Nothing is contacted yet.
    ///
    /// # Errors
    /// `usage` for an address of another kind, or a token that no header can hold.
    pub fn new(server: &str, token: Option<&str>) -> Result<Client> {
        Ok(Client { transport: Transport::new(server, token)? })
    }

    /// A client of the service that listens at `server` on this machine: its certificate is in another name, and is not
    /// looked at.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn on_this_machine(server: &str) -> Result<Client> {
        let builder = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        Ok(Client { transport: Transport::with(builder, server, None)? })
    }

    /// Asks once, for at most `patience`, whether the service lives.
    ///
    /// # Errors
    /// `server_busy` where it does not answer.
    pub fn check_health(&self, patience: Duration) -> Result<()> {
        self.transport.get_once("/healthz", patience)
    }

    /// Creates a job, or finds the one that there is. Local paths in the request are the server's: see
    /// [`JobRequest::with_absolute_paths`].
    ///
    /// # Errors
    /// The service's own, by their codes; `server_busy` where it cannot be reached, is not ready or its queue is full.
    pub fn submit(&self, request: &JobRequest) -> Result<Job> {
        self.transport.post(&format!("/v1/{}", request.kind().name()), Some(request))
    }

    /// Waits for a job to end, tells its progress, and gives its result. Once `cancel` is set the job is canceled.
    ///
    /// # Errors
    /// The job's own; `canceled`; `server_busy` where the service cannot be reached for long.
    pub fn follow(&self, id: &JobId, progress: &dyn ProgressSink, cancel: &CancelToken) -> Result<JobResult> {
        let mut pause = FIRST_LOOK;
        let mut told: Option<JobProgress> = None;
        loop {
            if cancel.is_canceled() {
                return Err(self.give_up(id));
            }
            let job = self.show(id)?;
            match (job.state, job.result, job.error) {
                (JobState::Complete, Some(result), _) => return Ok(result),
                (JobState::Complete, None, _) => {
                    return Err(Error::internal(format!("job {id} is complete, but without a result")));
                }
                (JobState::Failed, _, Some(problem)) => return Err(problem.into()),
                (JobState::Failed, _, None) => return Err(Error::internal(format!("job {id} failed"))),
                (JobState::Canceled, ..) => {
                    return Err(Error::new(Code::Canceled, format!("job {id} was canceled")));
                }
                (JobState::Queued | JobState::Running, ..) => {}
            }
            if job.progress.is_some() && job.progress != told {
                told = job.progress;
                told.iter().for_each(|told| progress.update(&Progress::from(told)));
            }
            wait(pause, cancel);
            pause = pause.mul_f64(1.5).min(LONGEST_LOOK);
        }
    }

    /// # Errors
    /// `job_not_found`.
    pub fn show(&self, id: &JobId) -> Result<Job> {
        self.transport.get(&format!("/v1/jobs/{id}"))
    }

    /// The latest jobs, at most `limit`, all or those in one state.
    pub fn list(&self, state: Option<JobState>, limit: usize) -> Result<Vec<Job>> {
        let state = state.map_or(String::new(), |state| format!("&state={}", state.name()));
        let (mut jobs, mut cursor) = (Vec::new(), String::new());
        while jobs.len() < limit {
            let wanted = (limit - jobs.len()).min(PAGE);
            let page: JobPage = self.transport.get(&format!("/v1/jobs?limit={wanted}{state}{cursor}"))?;
            jobs.extend(page.jobs);
            match page.next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(jobs)
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// `job_not_found`; `job_state` where the job has ended.
    pub fn cancel(&self, id: &JobId) -> Result<Job> {
        self.transport.post(&format!("/v1/jobs/{id}/cancel"), None::<&JobRequest>)
    }

    fn give_up(&self, id: &JobId) -> Error {
        match self.cancel(id) {
            Ok(_) => Error::canceled(),
            Err(error) if error.code == Code::JobState => Error::canceled(),
            Err(error) => {
                Error::new(Code::Canceled, format!("job {id} may still run: it could not be canceled"))
                    .caused_by(error)
            }
        }
    }
}

/// Waits for `pause`, or until canceled.
fn wait(pause: Duration, cancel: &CancelToken) {
    let deadline = std::time::Instant::now() + pause;
    while !cancel.is_canceled() {
        match deadline.checked_duration_since(std::time::Instant::now()) {
            Some(left) if !left.is_zero() => std::thread::sleep(left.min(CANCEL_CHECK)),
            _ => return,
        }
    }
}
