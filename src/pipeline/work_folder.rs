//! The folder where finished work on an output is committed, so that a run that was killed goes on from there.
//!
//! It lies beside the output, that of `scores.parquet` in `_scores.parquet.parts/`, which no listing of inputs looks into,
//! and goes once the output is there. Where each attempt at a job has another place to work in, it lies in a place that the
//! attempts share ([`CommitTo`]), under a name that says what the work is, and goes once the job is done.

use super::Context;
use crate::error::{Error, Result};
use crate::storage::{Location, ObjectWriter, Storage};
use serde::Serialize;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

/// How often a file is written that does not come to its end: another attempt at the same output may end just then, and take
/// away the folder, or what is being written in it.
const LOCAL_TRIES: u32 = 5;

/// A place for the work folders of a job apart from its outputs.
#[derive(Clone)]
pub struct CommitTo {
    below: Location,
    folders: Arc<Mutex<HashSet<Location>>>,
}

impl CommitTo {
    pub fn new(below: Location) -> Self {
        CommitTo { below, folders: Arc::default() }
    }

    fn folder(&self, name: &str) -> Location {
        let folder = self.below.join(name);
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone());
        folder
    }

    /// Removes the folders of the job.
    pub(super) fn clear(&self, storage: &Storage) -> Result<()> {
        let folders = std::mem::take(&mut *self.folders.lock().unwrap_or_else(PoisonError::into_inner));
        folders.iter().try_for_each(|folder| storage.clear(folder))
    }
}

pub(super) struct WorkFolder<'a> {
    pub location: Location,
    context: &'a Context,
    storage: Storage,
    committed: Instant,
}

impl<'a> WorkFolder<'a> {
    /// For an output; `work` tells it from all other work.
    pub fn of(output: &Location, work: &impl Serialize, context: &'a Context) -> Result<Self> {
        let location = match &context.commit_to {
            None => beside(output),
            Some(place) => {
                let failed = |error| Error::internal("what a job does cannot be written").caused_by(error);
                let work = xxh3_128(&serde_json::to_vec(work).map_err(failed)?);
                place.folder(&format!("{}-{work:032x}/", output.file_name()))
            }
        };
        Ok(WorkFolder { location, context, storage: context.storage.clone(), committed: Instant::now() })
    }

    /// Whether the work since the last commit is as long as may be lost.
    pub fn is_due(&self) -> bool {
        self.committed.elapsed() >= self.context.commit_every
    }

    /// Work begins now: nothing that came before is lost with it.
    pub fn begin(&mut self) {
        self.committed = Instant::now();
    }

    /// Has `write` write and commit a file of the folder, which replaces one of that name.
    pub fn commit(&mut self, name: &str, write: impl Fn(ObjectWriter) -> Result<()>) -> Result<()> {
        let once = || write(self.storage.create(&self.location.join(name))?);
        let tries = if self.storage.local_path(&self.location).is_some() { LOCAL_TRIES } else { 1 };
        (1..tries).fold(once(), |written, _| written.or_else(|_| once()))?;
        self.committed = Instant::now();
        self.context.progress.committed();
        Ok(())
    }

    /// Whether the job that ends with this error may go on later. What is written from here on does not heed that it was
    /// canceled.
    pub fn may_go_on(&mut self, error: &Error) -> bool {
        self.storage = self.context.storage.to_the_end();
        self.context.may_go_on(error)
    }

    /// Removes all of it: it is in the output, or not wanted. One that lies apart stays until the job ends.
    pub fn clear(&self) -> Result<()> {
        if self.context.commit_to.is_some() { Ok(()) } else { self.storage.clear(&self.location) }
    }
}

/// Removes the folder beside an output that is there.
pub(super) fn clear_beside(output: &Location, context: &Context) -> Result<()> {
    context.storage.clear(&beside(output))
}

fn beside(output: &Location) -> Location {
    output.beside(&format!("_{}.parts/", output.file_name()))
}
