//! The jobs that are looked at most, in memory as they are now: a look at one of them waits for no disk.

use super::id::JobId;
use super::job::{Job, JobProgress};
use crate::pipeline::Progress;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Jobs held at most; all others are read from the store.
const MOST: usize = 1024;

/// Written while the queue's state is held, so that it is never behind the store; read without it.
#[derive(Default)]
pub(super) struct Board(Mutex<HashMap<JobId, Shown>>);

#[derive(Clone)]
struct Shown {
    job: Arc<Job>,
    /// Of a running job, as it goes on
    progress: Option<Arc<Mutex<Option<Progress>>>>,
}

impl Board {
    pub fn put(&self, job: Job, progress: Option<Arc<Mutex<Option<Progress>>>>) {
        let mut shown = self.0.lock();
        if shown.len() >= MOST {
            shown.retain(|_, shown| !shown.job.state.is_final());
        }
        if shown.len() >= MOST {
            shown.clear();
        }
        shown.insert(job.id.clone(), Shown { job: Arc::new(job), progress });
    }

    pub fn look(&self, id: &JobId) -> Option<Job> {
        let Shown { job, progress } = self.0.lock().get(id)?.clone();
        let progress = progress.and_then(|progress| progress.lock().as_ref().map(JobProgress::from));
        Some(Job { progress, ..Job::clone(&job) })
    }

    /// What is to be read from the store again.
    pub fn remove(&self, id: &JobId) {
        self.0.lock().remove(id);
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }
}
