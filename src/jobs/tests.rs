//! The queue with an engine that does as the test says.

use super::*;
use crate::error::{Code, Error, Result};
use crate::pipeline::{CancelToken, Progress, ProgressSink, SelectSummary, Stage};
use crate::storage::ObjectInfo;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Longer than any step of a test takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const RETENTION: Duration = Duration::from_secs(3600);

/// Objects with the ETags that the test sets.
#[derive(Default)]
struct FakeObjects(Mutex<BTreeMap<String, String>>);

impl FakeObjects {
    fn put(&self, location: &str, etag: &str) {
        self.0.lock().insert(location.to_string(), etag.to_string());
    }
}

impl Objects for FakeObjects {
    fn list(&self, location: &str) -> Result<Vec<ObjectInfo>> {
        let etag = self.0.lock().get(location).cloned();
        let etag = etag.ok_or_else(|| Error::new(Code::InputNotFound, format!("{location}: not found")))?;
        Ok(vec![ObjectInfo { location: location.parse()?, size: 1, etag: Some(etag) }])
    }

    fn exists(&self, location: &str) -> Result<bool> {
        Ok(self.0.lock().contains_key(location))
    }
}

/// Does what the request's output says: `s3://b/panic/`, `…/fail/`, `…/wait/` (until canceled), else completes.
struct FakeRunner(Arc<FakeObjects>);

impl Runner for FakeRunner {
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, work: Work<'_>, progress: Arc<dyn ProgressSink>, cancel: CancelToken) -> Result<JobResult> {
        let JobRequest::Select(request) = work.request else { panic!("tests submit selections") };
        progress.update(&Progress {
            stage: Stage::Select,
            records: 5,
            total_records: Some(10),
            input_share: None,
            tokens: 0,
            seconds: 1.0,
            batch_fill: None,
        });
        match request.output.trim_start_matches("s3://b/") {
            "panic/" => panic!("a bug"),
            "busy/" if !self.0.exists("s3://b/released")? => {
                return Err(Error::new(Code::ServerBusy, "another service works on this output"));
            }
            "fail/" => return Err(Error::bad_input("s3://b/scores.parquet, record 3: no influence")),
            "wait/" => loop {
                cancel.check()?;
                std::thread::sleep(Duration::from_millis(5));
            },
            _ => self.0.put(&format!("{}manifest.json", request.output), "m"),
        }
        Ok(JobResult::Select(SelectSummary {
            output: request.output.clone(),
            pool: 10,
            pool_residues: 100,
            kept: 1,
            kept_residues: 10,
            warnings: Vec::new(),
            seconds: 0.0,
        }))
    }
}

struct Fixture {
    jobs: Jobs,
    objects: Arc<FakeObjects>,
}

fn open(directory: &Path, capacity: usize) -> Fixture {
    let objects = Arc::new(FakeObjects::default());
    objects.put("s3://b/scores.parquet", "1");
    let runner = Arc::new(FakeRunner(objects.clone()));
    Fixture { jobs: Jobs::open(directory, capacity, RETENTION, objects.clone(), runner).unwrap(), objects }
}

impl Fixture {
    fn submit(&self, output: &str) -> Result<Submitted> {
        self.jobs.submit(&request(output), None, &Origin::default())
    }

    fn wait_for(&self, id: &JobId, state: JobState) -> Job {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let job = self.jobs.get(id).unwrap();
            if job.state == state {
                return job;
            }
            assert!(std::time::Instant::now() < deadline, "job {id} is still {:?}", job.state);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the worker as an orderly shutdown does, and lets go of the directory.
    fn stop(self) {
        self.jobs.stop().unwrap();
        assert!(self.jobs.wait_stopped(PATIENCE));
    }
}

fn request(output: &str) -> JobRequest {
    let body =
        json!({"scores": ["s3://b/scores.parquet"], "output": format!("s3://b/{output}/"), "keep": "1%"});
    JobRequest::from_json(JobKind::Select, body).unwrap()
}

fn key(key: &str, body: &str) -> IdempotencyKey {
    IdempotencyKey { client: String::new(), key: key.to_string(), body: body.to_string() }
}

#[test]
fn a_job_runs_and_keeps_its_result() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let submitted = queue.submit("out").unwrap();
    assert!(submitted.queued);
    let job = queue.wait_for(&submitted.job.id, JobState::Complete);
    assert!(job.started.is_some() && job.finished.is_some() && job.progress.is_none());
    assert!(matches!(job.result, Some(JobResult::Select(_))));
    assert_eq!(job.outputs.last().unwrap(), "s3://b/out/manifest.json");
}

#[test]
fn the_same_request_finds_its_job_until_the_data_changes() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let first = queue.submit("out").unwrap().job;
    queue.wait_for(&first.id, JobState::Complete);
    let again = queue.submit("out").unwrap();
    assert_eq!((again.job.id, again.job.state, again.queued), (first.id.clone(), JobState::Complete, false));
    queue.objects.put("s3://b/scores.parquet", "2");
    assert_ne!(queue.submit("out").unwrap().job.id, first.id);
}

#[test]
fn a_complete_job_whose_results_are_gone_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let id = queue.submit("out").unwrap().job.id;
    queue.wait_for(&id, JobState::Complete);
    queue.objects.0.lock().remove("s3://b/out/manifest.json");
    assert!(queue.submit("out").unwrap().queued);
    queue.wait_for(&id, JobState::Complete);
}

#[test]
fn a_failed_job_says_why_and_runs_again_when_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let id = queue.submit("fail").unwrap().job.id;
    let problem = queue.wait_for(&id, JobState::Failed).error.unwrap();
    assert_eq!((problem.code.as_str(), problem.status), ("bad_input", 422));
    assert!(problem.detail.contains("record 3"), "{}", problem.detail);
    assert!(queue.submit("fail").unwrap().queued);
}

#[test]
fn a_panic_fails_its_job_and_not_the_worker() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let panicked = queue.submit("panic").unwrap().job.id;
    let next = queue.submit("out").unwrap().job.id;
    let problem = queue.wait_for(&panicked, JobState::Failed).error.unwrap();
    assert_eq!(problem.code, "internal");
    assert!(problem.detail.contains("a bug"), "{}", problem.detail);
    queue.wait_for(&next, JobState::Complete);
}

#[test]
fn canceling_ends_waiting_jobs_at_once_and_running_ones_when_the_engine_gives_up() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let running = queue.submit("wait").unwrap().job.id;
    queue.wait_for(&running, JobState::Running);
    let waiting = queue.submit("out").unwrap().job.id;
    assert_eq!(queue.jobs.cancel(&waiting).unwrap().state, JobState::Canceled);
    assert!(queue.jobs.cancel(&running).unwrap().cancel_requested);
    queue.wait_for(&running, JobState::Canceled);
    assert_eq!(queue.jobs.cancel(&running).unwrap_err().code, Code::JobState);
    assert!(queue.submit("out").unwrap().queued, "a canceled job runs again when asked again");
}

#[test]
fn a_full_queue_takes_no_more_and_the_running_job_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 1);
    let running = queue.submit("wait").unwrap().job.id;
    queue.wait_for(&running, JobState::Running);
    assert!(queue.submit("out").unwrap().queued);
    assert_eq!(queue.submit("more").unwrap_err().code, Code::QueueFull);
    assert!(!queue.submit("out").unwrap().queued, "a job that is there needs no room");
}

#[test]
fn an_orderly_stop_leaves_the_running_job_queued_and_a_start_runs_it() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let id = queue.submit("wait").unwrap().job.id;
    let behind = queue.submit("out").unwrap().job.id;
    queue.wait_for(&id, JobState::Running);
    queue.stop();
    // more often than a crash may begin a job again: stopping in order does not count
    for _ in 0..4 {
        let queue = open(directory.path(), 8);
        queue.wait_for(&id, JobState::Running);
        queue.stop();
    }
    let queue = open(directory.path(), 8);
    queue.wait_for(&id, JobState::Running);
    assert_eq!(queue.jobs.get(&behind).unwrap().state, JobState::Queued);
    queue.jobs.cancel(&id).unwrap();
    queue.wait_for(&behind, JobState::Complete);
}

#[test]
fn a_job_that_takes_the_service_down_again_and_again_fails() {
    let directory = tempfile::tempdir().unwrap();
    let id = {
        let queue = open(directory.path(), 8);
        let id = queue.submit("wait").unwrap().job.id;
        queue.wait_for(&id, JobState::Running);
        queue.jobs.stop().unwrap();
        assert!(queue.jobs.wait_stopped(PATIENCE));
        id
    };
    let store = store::Store::open(&directory.path().join("jobs.sqlite")).unwrap();
    (0..worker::MAX_STARTS).for_each(|_| store.mark_started(&id).unwrap());
    let queue = open(directory.path(), 8);
    assert_eq!(queue.wait_for(&id, JobState::Failed).error.unwrap().code, "internal");
}

#[test]
fn a_cancel_that_the_service_did_not_live_to_see_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let id = queue.submit("wait").unwrap().job.id;
    queue.wait_for(&id, JobState::Running);
    queue.stop();
    store::Store::open(&directory.path().join("jobs.sqlite")).unwrap().request_cancel(&id).unwrap();
    open(directory.path(), 8).wait_for(&id, JobState::Canceled);
}

#[test]
fn a_key_finds_its_job_and_refuses_another_body() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let first = queue.jobs.submit(&request("out"), Some(&key("k", "body")), &Origin::default()).unwrap();
    queue.objects.put("s3://b/scores.parquet", "2");
    let again = queue.jobs.submit(&request("out"), Some(&key("k", "body")), &Origin::default()).unwrap();
    assert_eq!((again.job.id, again.queued), (first.job.id, false));
    let error =
        queue.jobs.submit(&request("more"), Some(&key("k", "other")), &Origin::default()).unwrap_err();
    assert_eq!(error.code, Code::IdempotencyConflict);
}

#[test]
fn lists_are_paged_latest_first_and_filtered_by_state() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let running = queue.submit("wait").unwrap().job.id;
    queue.wait_for(&running, JobState::Running);
    let waiting: Vec<_> = ["a", "b", "c"].map(|out| queue.submit(out).unwrap().job.id).into();
    let list = |state, before, limit| queue.jobs.list(&Filter { state, before, limit }).unwrap();
    let ids = |page: &JobPage| page.jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>();
    let first = list(None, None, 3);
    assert_eq!(ids(&first), [waiting[2].clone(), waiting[1].clone(), waiting[0].clone()]);
    let last = list(None, Some(first.next.unwrap().parse().unwrap()), 3);
    assert_eq!((ids(&last), last.next), (vec![running.clone()], None));
    assert_eq!(ids(&list(Some(JobState::Running), None, 3)), [running]);
    assert_eq!(ids(&list(Some(JobState::Queued), None, 3)).len(), 3);
    assert!(list(Some(JobState::Failed), None, 3).jobs.is_empty());
    let counts: BTreeMap<_, _> =
        queue.jobs.counts().unwrap().into_iter().map(|(state, count)| (state.name(), count)).collect();
    assert_eq!(counts["running"], 1);
    assert_eq!(counts["queued"], 3);
}

#[test]
fn subscribers_see_progress_and_each_change_of_state() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let mut events = queue.jobs.subscribe();
    let id = queue.submit("out").unwrap().job.id;
    queue.wait_for(&id, JobState::Complete);
    queue.jobs.stop().unwrap();
    let mut seen = Vec::new();
    loop {
        match events.blocking_recv() {
            Ok(Change::State(job)) => seen.push(("state", job)),
            Ok(Change::Progress(job, progress)) => {
                assert_eq!(progress.eta_seconds, Some(1.0));
                seen.push(("progress", job));
            }
            Ok(Change::Stopping) => break,
            Err(broadcast::error::RecvError::Lagged(_)) => panic!("few events fit"),
            Err(broadcast::error::RecvError::Closed) => break,
        }
    }
    let kinds: Vec<_> = seen.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "state").count(),
        3,
        "queued, running, complete: {kinds:?}"
    );
    assert!(kinds.contains(&"progress") && seen.iter().all(|(_, job)| *job == id));
}

#[test]
fn two_services_do_not_share_a_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path(), 8);
    let objects = Arc::new(FakeObjects::default());
    let runner = Arc::new(FakeRunner(objects.clone()));
    let error = Jobs::open(directory.path(), 8, RETENTION, objects, runner).err().unwrap();
    assert!(error.message.contains("in use"), "{error}");
}

#[test]
fn inputs_that_are_not_there_are_found_when_a_job_is_submitted() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    queue.objects.0.lock().clear();
    assert_eq!(queue.submit("out").unwrap_err().code, Code::InputNotFound);
}

#[test]
fn a_job_that_commits_its_work_may_take_the_service_down_as_often_as_it_likes() {
    let directory = tempfile::tempdir().unwrap();
    let id = {
        let queue = open(directory.path(), 8);
        let id = queue.submit("wait").unwrap().job.id;
        queue.wait_for(&id, JobState::Running);
        queue.stop();
        id
    };
    {
        let store = store::Store::open(&directory.path().join("jobs.sqlite")).unwrap();
        (0..worker::MAX_STARTS).for_each(|_| store.mark_started(&id).unwrap());
        store.mark_progress(&id).unwrap();
    }
    open(directory.path(), 8).wait_for(&id, JobState::Running);
}

#[test]
fn an_output_that_another_service_works_on_waits_and_lets_others_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let queue = open(directory.path(), 8);
    let busy = queue.submit("busy").unwrap().job.id;
    let other = queue.submit("out").unwrap().job.id;
    queue.wait_for(&other, JobState::Complete);
    assert!(!queue.jobs.get(&busy).unwrap().state.is_final());
    queue.objects.put("s3://b/released", "1");
    queue.wait_for(&busy, JobState::Complete);
}

#[test]
fn jobs_that_ended_are_kept_for_their_time() {
    let directory = tempfile::tempdir().unwrap();
    let (done, waiting) = {
        let queue = open(directory.path(), 8);
        let done =
            queue.jobs.submit(&request("out"), Some(&key("k", "body")), &Origin::default()).unwrap().job.id;
        queue.wait_for(&done, JobState::Complete);
        let waiting = queue.submit("wait").unwrap().job.id;
        queue.stop();
        (done, waiting)
    };
    let store = store::Store::open(&directory.path().join("jobs.sqlite")).unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(store.forget_before(std::time::SystemTime::now() - hour).unwrap(), 0);
    assert_eq!(store.forget_before(std::time::SystemTime::now() + hour).unwrap(), 1);
    assert!(store.get(&done).unwrap().is_none() && store.get(&waiting).unwrap().is_some());
}
