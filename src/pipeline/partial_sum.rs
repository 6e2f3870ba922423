//! A curvature that is being summed, committed now and then, so that a run that was killed goes on from there.
//!
//! One file holds the exact sum of some records: all sampled ones up to one of them, in input order, and spans of later ones,
//! since workers finish batches in any order.

use super::reading::Place;
use super::work_folder::WorkFolder;
use super::{Context, Counts, curvature};
use crate::error::{Code, Error, Result};
use crate::influence::{CurvatureMetadata, CurvatureSum};
use crate::storage::{Location, io_error};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::{Mutex, MutexGuard};

const FILE: &str = "curvature.safetensors";

/// From a record to another one, both inside.
type Span = (Place, Place);

pub(super) struct PartialSum<'a> {
    folder: WorkFolder<'a>,
    metadata: CurvatureMetadata,
    shared: &'a SharedSum,
    /// Records of the sum that an earlier run committed
    pub reused: u64,
    /// What became of the sampled records up to `last`
    pub counts: Counts,
    /// All sampled records up to this one are in the sum
    pub last: Option<Place>,
}

/// The sum that all workers add to.
pub(super) struct SharedSum(Mutex<Summed>);

struct Summed {
    sum: CurvatureSum,
    /// What is in the sum beyond the last record of the [`PartialSum`]
    ahead: Vec<Span>,
}

/// What the file says beside the sum. The curvature's metadata have a field of their own, so that nobody takes it for a whole
/// curvature.
#[derive(Serialize, Deserialize)]
struct Metadata {
    curvature: CurvatureMetadata,
    counts: Counts,
    last: Place,
    ahead: Vec<Span>,
}

impl AsRef<CurvatureMetadata> for Metadata {
    fn as_ref(&self) -> &CurvatureMetadata {
        &self.curvature
    }
}

/// A batch that a worker added.
pub(super) struct Added {
    pub last: Place,
    pub records: u64,
    pub tokens: u64,
    /// What became of the records since the batch before
    pub counts: Counts,
}

impl<'a> PartialSum<'a> {
    /// What an earlier run left of the curvature that has this metadata and is for `output`, if anything. `shared` must be a
    /// sum of nothing.
    pub fn resume(
        metadata: CurvatureMetadata,
        output: &Location,
        context: &'a Context,
        shared: &'a SharedSum,
    ) -> Result<Self> {
        let folder = WorkFolder::of(output, &metadata.of_any_copy(), context)?;
        let mut partial =
            PartialSum { folder, metadata, shared, reused: 0, counts: Counts::default(), last: None };
        let location = partial.folder.location.join(FILE);
        let mut summed = shared.locked()?;
        match curvature::read::<Metadata>(&location, &context.storage) {
            Ok((sum, found))
                if found.curvature.of_any_copy() == partial.metadata.of_any_copy()
                    && sum.hidden_size() == summed.sum.hidden_size() =>
            {
                log::info!(
                    "{} records that an earlier run committed in {location} are not added again",
                    sum.count
                );
                partial.reused = sum.count;
                *summed = Summed { sum, ahead: found.ahead };
                (partial.counts, partial.last) = (found.counts, Some(found.last));
            }
            Err(error) if error.code == Code::InputNotFound => {}
            Err(error) if error.code != Code::BadInput => return Err(error),
            _ => log::info!("{location} is of another run and is replaced"),
        }
        drop(summed);
        partial.folder.begin();
        Ok(partial)
    }

    /// Takes note of the next batch in input order; commits where it is time.
    pub fn pass(&mut self, batch: &Added) -> Result<()> {
        self.counts.add(&batch.counts);
        self.last = Some(batch.last);
        self.shared.locked()?.ahead.retain(|(_, end)| *end > batch.last);
        if self.folder.is_due() { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<()> {
        let Some(last) = self.last else { return Ok(()) };
        let summed = self.shared.locked()?;
        let (curvature, counts, ahead) = (self.metadata.clone(), self.counts.clone(), summed.ahead.clone());
        let bytes = summed.sum.to_bytes(&Metadata { curvature, counts, last, ahead })?;
        let records = summed.sum.count;
        drop(summed);
        let location = &self.folder.location.join(FILE);
        self.folder.commit(FILE, |mut sink| {
            sink.write_all(&bytes).map_err(|error| io_error(location, error))?;
            sink.commit().map(drop)
        })?;
        log::debug!("the sum over {records} records is committed in {location}");
        Ok(())
    }

    /// What a run that ends with this error leaves: all that is added where the job may go on, else nothing.
    pub fn give_up(&mut self, error: &Error) {
        let left = if self.folder.may_go_on(error) { self.commit() } else { self.folder.clear() };
        if let Err(error) = left {
            log::warn!("the curvature's sum could not be kept or removed: {error}");
        }
    }
}

impl SharedSum {
    pub fn new(hidden_size: usize) -> Self {
        SharedSum(Mutex::new(Summed { sum: CurvatureSum::new(hidden_size), ahead: Vec::new() }))
    }

    /// Adds what a worker has summed of the records of a span, and leaves it with nothing.
    pub fn add(&self, span: Span, sum: &mut CurvatureSum) -> Result<()> {
        let mut summed = self.locked()?;
        summed.sum.merge(sum)?;
        summed.ahead.push(span);
        sum.clear();
        Ok(())
    }

    /// Records in the sum.
    pub fn records(&self) -> Result<u64> {
        Ok(self.locked()?.sum.count)
    }

    /// What is in the sum beyond the last record.
    pub fn ahead(&self) -> Result<Vec<Span>> {
        Ok(self.locked()?.ahead.clone())
    }

    pub fn into_sum(self) -> Result<CurvatureSum> {
        Ok(self.0.into_inner().map_err(|_| half_added())?.sum)
    }

    fn locked(&self) -> Result<MutexGuard<'_, Summed>> {
        self.0.lock().map_err(|_| half_added())
    }
}

/// Whether a record is in one of the spans.
pub(super) fn within(spans: &[Span], place: &Place) -> bool {
    spans.iter().any(|(first, last)| (first..=last).contains(&place))
}

/// A sum that a panic interrupted is not to be used.
fn half_added() -> Error {
    Error::internal("a worker panicked while it added to the curvature")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::influence::metadata;
    use crate::pipeline::CancelToken;
    use crate::storage::Storage;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn what_workers_finished_early_is_in_the_sum_once_however_the_batches_lie_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let output: Location = folder.path().join("c.safetensors").to_str().unwrap().parse().unwrap();
        let context =
            Context::new(&Storage::from_env().unwrap(), Arc::new(()), CancelToken::default(), Duration::ZERO);
        let gradient = |position: u64| [position as f32 / 64.0; 4];
        let sum_of = |positions: &mut dyn Iterator<Item = u64>| {
            let mut sum = CurvatureSum::new(2);
            positions.for_each(|position| sum.add(&gradient(position)).unwrap());
            sum
        };
        let passed = |positions: std::ops::Range<u64>| Added {
            last: (0, positions.end - 1),
            records: positions.end - positions.start,
            tokens: 0,
            counts: Counts { scored: positions.end - positions.start, ..Counts::default() },
        };
        let span = |positions: std::ops::Range<u64>| ((0, positions.start), (0, positions.end - 1));

        // Of five batches the first, the third and the fifth are done when it is stopped.
        let shared = SharedSum::new(2);
        let mut partial = PartialSum::resume(metadata(), &output, &context, &shared).unwrap();
        for positions in [20..30, 0..10, 40..50] {
            shared.add(span(positions.clone()), &mut sum_of(&mut positions.clone())).unwrap();
        }
        partial.pass(&passed(0..10)).unwrap();

        // Batches of other sizes then, of which the second begins within what is done, and the fourth ends within it.
        let shared = SharedSum::new(2);
        let mut partial = PartialSum::resume(metadata(), &output, &context, &shared).unwrap();
        assert_eq!((partial.reused, partial.last, partial.counts.scored), (30, Some((0, 9)), 10));
        let ahead = shared.ahead().unwrap();
        assert_eq!(ahead, [span(20..30), span(40..50)]);
        let is_new = |position: &u64| !within(&ahead, &(0, *position));
        for positions in [10..17, 17..27, 27..38, 38..44] {
            let mut sum = sum_of(&mut positions.clone().filter(is_new));
            shared.add(span(positions.clone()), &mut sum).unwrap();
            assert_eq!(sum, CurvatureSum::new(2), "a worker begins anew");
            partial.pass(&passed(positions)).unwrap();
        }
        assert_eq!(shared.ahead().unwrap(), [span(40..50)]);

        let shared = SharedSum::new(2);
        let partial = PartialSum::resume(metadata(), &output, &context, &shared).unwrap();
        assert_eq!((partial.last, partial.counts.scored), (Some((0, 43)), 44));
        assert_eq!(shared.into_sum().unwrap(), sum_of(&mut (0..50)));
    }
}
