//! A service that nobody uses: when that may be said of it, and for how long it has been so.

use super::Service;
use crate::error::Result;
use crate::jobs::JobState;
use actix_web::web;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// When the service was asked for something last. Probes and metrics do not count: they come by themselves.
pub(super) struct Activity(Mutex<Instant>);

impl Default for Activity {
    fn default() -> Self {
        Activity(Mutex::new(Instant::now()))
    }
}

impl Activity {
    /// Notes a request for that route.
    pub fn note(&self, route: &str) {
        if route.starts_with("/v1/") {
            *self.0.lock() = Instant::now();
        }
    }

    fn since(&self) -> Duration {
        self.0.lock().elapsed()
    }
}

/// Ends once no job has waited or run, and nothing was asked for, for that long.
pub(super) async fn idle(service: web::Data<Service>, timeout: Duration) {
    let pause = (timeout / 4).clamp(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        tokio::time::sleep(pause).await;
        let looked_at = service.clone();
        let busy = web::block(move || busy(&looked_at)).await;
        match busy {
            Ok(Ok(false)) if service.activity.since() >= timeout => return,
            Ok(Ok(false)) => {}
            // a job's end begins the time anew; where the queue cannot be read, nothing is to be stopped
            _ => service.activity.note("/v1/"),
        }
    }
}

fn busy(service: &Service) -> Result<bool> {
    let counts = service.jobs.counts()?;
    let unfinished = |state| matches!(state, JobState::Queued | JobState::Running);
    Ok(counts.iter().any(|(state, jobs)| unfinished(*state) && *jobs > 0))
}
