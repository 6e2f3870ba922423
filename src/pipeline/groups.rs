//! The groups of scored records, and records found again by their place.

use super::Context;
use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::groups::{GroupOptions, GroupSource, Grouper, Groups, NEAR_BYTES};
use crate::scores::Scores;
use crate::selection::{Candidate, Candidates, Visitor};
use crate::sequence::{Dataset, Record, Records};
use crate::spill::warn_of_little_room;

/// The scored records with their groups, as selections see them.
pub(super) struct Pool<'a> {
    pub scores: &'a Scores,
    pub groups: Option<&'a Groups>,
    /// Ends whatever goes through the records
    pub cancel: &'a CancelToken,
}

impl Candidates for Pool<'_> {
    fn scan(&self, visit: &mut dyn FnMut(&[Candidate]) -> Result<()>) -> Result<()> {
        self.scores.scan(&mut |candidates| {
            self.cancel.check()?;
            visit(candidates)
        })
    }

    fn visitors(&self) -> usize {
        self.scores.visitors()
    }

    fn scan_apart(&self, visitors: &mut [Visitor<'_>]) -> Result<()> {
        let until_canceled = |visit| -> Visitor<'_> {
            let visit: &mut Visitor = visit;
            Box::new(move |first, candidates| {
                self.cancel.check()?;
                visit(first, candidates)
            })
        };
        self.scores.scan_apart(&mut visitors.iter_mut().map(until_canceled).collect::<Vec<_>>())
    }

    fn group(&self, ordinal: u64) -> Option<u64> {
        self.groups?.of(ordinal)
    }
}

/// Reads the groups that were asked for, if any. The sequences are read only where they or their headers tell.
pub(super) fn read(
    options: &GroupOptions,
    scores: &Scores,
    dataset: &Dataset,
    context: &Context,
) -> Result<Option<Groups>> {
    let Some(mut grouper) = Grouper::open(options, &context.storage, dataset.sources())? else {
        return Ok(None);
    };
    if matches!(options.groups, Some(GroupSource::Near)) {
        warn_of_little_room("groups near", scores.counts()?.scored.saturating_mul(NEAR_BYTES));
    }
    let mut scored = grouper.reads_records().then(|| Scored::new(dataset));
    scores.read(&mut |rows| {
        context.cancel.check()?;
        rows.iter().try_for_each(|row| match &mut scored {
            None => grouper.add(row.source, row.id.as_bytes(), &[]),
            Some(scored) => {
                let record = scored.find(row.source, row.position, row.record_hash)?;
                grouper.add(row.source, record.header(), record.sequence())
            }
        })
    })?;
    grouper.finish(&context.cancel).map(Some)
}

/// Records of a dataset, found by their places in input order.
pub(super) struct Scored<'a> {
    dataset: &'a Dataset,
    records: Records,
}

impl<'a> Scored<'a> {
    pub fn new(dataset: &'a Dataset) -> Self {
        Scored { dataset, records: dataset.records(None) }
    }

    /// Reads on up to the record of that place, which must be the one that was scored.
    pub fn find(&mut self, source: u32, position: u64, hash: u64) -> Result<Record> {
        let found = self.records.next_from(source, position).transpose()?;
        let is_it =
            |record: &Record| (record.source, record.position) == (source, position) && record.hash() == hash;
        if let Some(record) = found.filter(is_it) {
            return Ok(record);
        }
        let uri = self.dataset.sources().get(source as usize).map(|source| source.uri.to_string());
        Err(Error::new(
            Code::SourceChanged,
            format!(
                "{} does not have the scored record at position {position}: it is not what was scored",
                uri.as_deref().unwrap_or("the dataset"),
            ),
        ))
    }
}
