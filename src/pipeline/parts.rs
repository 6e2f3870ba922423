//! Finished scores, committed part by part, so that a run that was killed goes on from the last part.
//!
//! The parts of `scores.parquet` lie beside it in `_scores.parquet.parts/`, which no listing of inputs looks into, and
//! go once it is there. A part's name says after which record it begins, and its last row where it ends, so that a
//! chain of parts has no gap, whoever wrote them and wherever they were cut.

use super::select::open_own;
use super::{Context, Counts};
use crate::error::{Code, Error, Result};
use crate::scores::{ScoreRow, Scores, ScoresFormat, ScoresMetadata, ScoresWriter};
use crate::storage::{Location, Storage};
use std::time::Instant;

/// Rows held at most until they are committed: 64 MiB of short ids.
const MOST_ROWS: usize = 1 << 19;

/// How often a part is written that does not come to its end: another attempt at the same scores may end just then, and take
/// away the folder, or what is being written in it.
const LOCAL_TRIES: u32 = 5;

/// (source, position) of a record.
type Place = (u32, u64);

/// What an earlier run committed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub rows: u64,
    pub counts: Counts,
    /// The last record that was scored
    pub last: Option<Place>,
}

/// The parts of one scores file.
pub(super) struct Parts<'a> {
    context: &'a Context,
    storage: Storage,
    folder: Location,
    metadata: ScoresMetadata,
    /// Where the next part begins
    last: Option<Place>,
    rows: Vec<ScoreRow>,
    counts: Counts,
    committed: Instant,
}

impl<'a> Parts<'a> {
    /// The parts of the scores that will lie at `output` and have this metadata.
    pub fn of(output: &Location, metadata: &ScoresMetadata, context: &'a Context) -> Self {
        Parts {
            context,
            storage: context.storage.clone(),
            folder: folder(output),
            metadata: metadata.clone(),
            last: None,
            rows: Vec::new(),
            counts: Counts::default(),
            committed: Instant::now(),
        }
    }

    /// Hands over the rows of the parts that an earlier run of the same scoring left, from the first record on.
    pub fn replay(&mut self, mut visit: impl FnMut(&[ScoreRow]) -> Result<()>) -> Result<Found> {
        let mut found = Found::default();
        while let Some(part) = self.next_part()? {
            let before = self.last;
            let counts = part.read(&mut |rows| {
                self.last = rows.last().map(place).or(self.last);
                found.rows += rows.len() as u64;
                visit(rows)
            })?;
            if self.last <= before {
                return Err(Error::internal(format!("{}: a part holds no new row", self.folder)));
            }
            found.counts.add(&counts);
            self.context.cancel.check()?;
        }
        found.last = self.last;
        if found.rows > 0 {
            log::info!(
                "{} scores that an earlier run committed in {} are used again",
                found.rows,
                self.folder
            );
        }
        self.committed = Instant::now();
        Ok(found)
    }

    /// The part that begins after `last`, if it is there and of this scoring.
    fn next_part(&self) -> Result<Option<Scores>> {
        let location = self.folder.join(&name(self.last));
        match open_own(&location, self.context) {
            Ok(part) if part.is_of(&self.metadata) => Ok(Some(part)),
            Err(error) if error.code == Code::InputNotFound => Ok(None),
            Err(error) if error.code != Code::BadInput => Err(error),
            _ => {
                log::info!("{location} is of another run and is replaced");
                Ok(None)
            }
        }
    }

    /// Takes rows and what became of the records up to the last of them; commits them where it is time.
    pub fn add(&mut self, rows: &[ScoreRow], counts: &Counts) -> Result<()> {
        self.rows.extend_from_slice(rows);
        self.counts.add(counts);
        if self.committed.elapsed() >= self.context.commit_every || self.rows.len() >= MOST_ROWS {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let Some(last) = self.rows.last().map(place) else { return Ok(()) };
        let tries = if self.storage.local_path(&self.folder).is_some() { LOCAL_TRIES } else { 1 };
        (1..tries).fold(self.write_part(), |written, _| written.or_else(|_| self.write_part()))?;
        log::debug!("{} scores are committed in {}", self.rows.len(), self.folder);
        self.rows.clear();
        self.counts = Counts::default();
        self.last = Some(last);
        self.committed = Instant::now();
        self.context.progress.committed();
        Ok(())
    }

    fn write_part(&self) -> Result<()> {
        let sink = self.storage.create(&self.folder.join(&name(self.last)))?;
        let mut writer = ScoresWriter::create(sink, ScoresFormat::Parquet, self.metadata.clone())?;
        writer.write(&self.rows)?;
        writer.finish(&self.counts)?.commit()?;
        Ok(())
    }

    /// What a run that ends with this error leaves: all that is finished where the job may go on, else nothing.
    pub fn give_up(&mut self, error: &Error) {
        self.storage = self.context.storage.to_the_end();
        let goes_on = match self.context.cancel.is_canceled() {
            true => self.context.cancel.is_suspended(),
            false => error.code.info().retryable,
        };
        let left = if goes_on { self.commit() } else { self.clear() };
        if let Err(error) = left {
            log::warn!("the finished scores could not be kept or removed: {error}");
        }
    }

    /// Removes all parts: they are in the scores file, or not wanted.
    pub fn clear(&self) -> Result<()> {
        self.storage.clear(&self.folder)
    }
}

/// Removes the parts of a scores file that is whole, which a run that was killed right after it wrote it has left.
pub(super) fn clear_left(output: &Location, context: &Context) -> Result<()> {
    context.storage.clear(&folder(output))
}

fn folder(output: &Location) -> Location {
    output.beside(&format!("_{}.parts/", output.file_name()))
}

fn place(row: &ScoreRow) -> Place {
    (row.source, row.position)
}

fn name(last: Option<Place>) -> String {
    match last {
        None => "from-start.parquet".to_string(),
        Some((source, position)) => format!("after-{source}-{position}.parquet"),
    }
}
