//! Progress of one stage: counted always, told a few times a second, and a place to notice a cancellation.

use super::reading::Place;
use super::{Context, Progress, Stage};
use crate::error::Result;
use crate::sequence::Extent;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(200);
/// Records between two looks at the clock.
const STRIDE: u64 = 256;

pub(super) struct Tracker<'a> {
    context: &'a Context,
    progress: Progress,
    started: Instant,
    told: Instant,
    unseen: u64,
    /// Tokens of a full batch; 0 where nothing goes in batches
    capacity: u64,
    batches: u64,
    input: Option<Input>,
}

/// What a stage reads, and how far it is.
struct Input {
    extent: Extent,
    /// The share that was done before
    begun: f64,
    place: Option<Place>,
}

impl<'a> Tracker<'a> {
    pub fn new(context: &'a Context, stage: Stage, total_records: Option<u64>) -> Self {
        let progress = Progress {
            stage,
            records: 0,
            total_records,
            input_share: None,
            tokens: 0,
            seconds: 0.0,
            batch_fill: None,
        };
        context.progress.update(&progress);
        let started = Instant::now();
        Tracker { context, progress, started, told: started, unseen: 0, capacity: 0, batches: 0, input: None }
    }

    /// Tells how far the stage is in what it reads too; it begins after the record at `last`.
    pub fn through(mut self, extent: Extent, last: Option<Place>) -> Self {
        let begun = last.map_or(0.0, |(source, position)| extent.before(source, position));
        self.input = Some(Input { extent, begun, place: None });
        self
    }

    /// Counts records, the last of which is at `place`; an error once the job is canceled.
    pub fn advance_to(&mut self, place: Option<Place>, records: u64, tokens: u64) -> Result<()> {
        if let Some(input) = &mut self.input {
            input.place = place.or(input.place);
        }
        self.advance(records, tokens)
    }

    /// Counts batches of so many tokens when they are full; each [`advance`](Self::advance) is one of them.
    pub fn in_batches(mut self, capacity: usize) -> Self {
        self.capacity = capacity as u64;
        self
    }

    /// Counts; an error once the job is canceled.
    pub fn advance(&mut self, records: u64, tokens: u64) -> Result<()> {
        self.progress.records += records;
        self.progress.tokens += tokens;
        self.unseen += records;
        self.batches += 1;
        if self.unseen >= STRIDE || tokens > 0 {
            self.unseen = 0;
            self.context.cancel.check()?;
            if self.told.elapsed() >= INTERVAL {
                self.tell();
            }
        }
        Ok(())
    }

    /// An error once the job is canceled.
    pub fn check(&self) -> Result<()> {
        self.context.cancel.check()
    }

    /// Sets the records to a share of their total, and the tokens, and tells them at once.
    pub fn set_share(&mut self, (done, of): (u64, u64), tokens: u64) {
        self.progress.records = self.progress.total_records.unwrap_or(0) * done / of.max(1);
        self.progress.tokens = tokens;
        self.tell();
    }

    /// Tells the last state; tokens and seconds of the whole stage.
    pub fn finish(mut self) -> (u64, f64) {
        self.tell();
        (self.progress.tokens, self.progress.seconds)
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        self.progress.seconds = self.started.elapsed().as_secs_f64();
        if self.capacity > 0 && self.batches > 0 {
            let full = (self.capacity * self.batches) as f64;
            self.progress.batch_fill = Some(self.progress.tokens as f64 / full);
        }
        if let Some(Input { extent, begun, place: Some((source, position)) }) = &self.input {
            let done = (extent.before(*source, *position) - begun) / (1.0 - begun);
            self.progress.input_share = Some(done).filter(|done| *done > 0.0);
        }
        self.context.progress.update(&self.progress);
    }
}
