//! Finished scores, committed part by part, so that a run that was killed goes on from the last part.
//!
//! A part's name says after which record it begins, and its last row where it ends, so that a chain of parts has no gap,
//! whoever wrote them and wherever they were cut.

use super::reading::Place;
use super::select::open_own;
use super::work_folder::WorkFolder;
use super::{Context, Counts};
use crate::error::{Code, Error, Result};
use crate::scores::{ScoreRow, Scores, ScoresFormat, ScoresMetadata, ScoresWriter};
use crate::storage::Location;

/// Rows held at most until they are committed: 64 MiB of short ids.
const MOST_ROWS: usize = 1 << 19;

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
    folder: WorkFolder<'a>,
    metadata: ScoresMetadata,
    /// Where the next part begins
    last: Option<Place>,
    rows: Vec<ScoreRow>,
    counts: Counts,
}

impl<'a> Parts<'a> {
    /// The parts of the scores that will lie at `output` and have this metadata.
    pub fn of(output: &Location, metadata: &ScoresMetadata, context: &'a Context) -> Result<Self> {
        Ok(Parts {
            context,
            folder: WorkFolder::of(output, &metadata.of_any_copy(), context)?,
            metadata: metadata.clone(),
            last: None,
            rows: Vec::new(),
            counts: Counts::default(),
        })
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
                return Err(Error::internal(format!("{}: a part holds no new row", self.folder.location)));
            }
            found.counts.add(&counts);
            self.context.cancel.check()?;
        }
        found.last = self.last;
        if found.rows > 0 {
            log::info!(
                "{} scores that an earlier run committed in {} are used again",
                found.rows,
                self.folder.location
            );
        }
        self.folder.begin();
        Ok(found)
    }

    /// The part that begins after `last`, if it is there and of this scoring.
    fn next_part(&self) -> Result<Option<Scores>> {
        let location = self.folder.location.join(&name(self.last));
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
        if self.folder.is_due() || self.rows.len() >= MOST_ROWS {
            self.commit()?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let Some(last) = self.rows.last().map(place) else { return Ok(()) };
        let Parts { metadata, rows, counts, .. } = self;
        self.folder.commit(&name(self.last), |sink| {
            let mut writer = ScoresWriter::create(sink, ScoresFormat::Parquet, metadata.clone())?;
            writer.write(rows)?;
            writer.finish(counts)?.commit().map(drop)
        })?;
        log::debug!("{} scores are committed in {}", self.rows.len(), self.folder.location);
        self.rows.clear();
        self.counts = Counts::default();
        self.last = Some(last);
        Ok(())
    }

    /// What a run that ends with this error leaves: all that is finished where the job may go on, else nothing.
    pub fn give_up(&mut self, error: &Error) {
        let left = if self.folder.may_go_on(error) { self.commit() } else { self.clear() };
        if let Err(error) = left {
            log::warn!("the finished scores could not be kept or removed: {error}");
        }
    }

    /// Removes all parts: they are in the scores file, or not wanted.
    pub fn clear(&self) -> Result<()> {
        self.folder.clear()
    }
}

pub(super) fn place(row: &ScoreRow) -> Place {
    (row.source, row.position)
}

fn name(last: Option<Place>) -> String {
    match last {
        None => "from-start.parquet".to_string(),
        Some((source, position)) => format!("after-{source}-{position}.parquet"),
    }
}
