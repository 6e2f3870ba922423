//! Progress that is kept, to look at afterwards.

use bioprune::pipeline::{Progress, ProgressSink};
use std::sync::Mutex;

/// Keeps what it is told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<Progress>>);

impl ProgressSink for Told {
    fn update(&self, progress: &Progress) {
        self.0.lock().unwrap().push(progress.clone());
    }
}
