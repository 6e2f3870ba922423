//! The pass over the curvature sample.

use super::kept::{Keeper, Kept};
use super::partial_sum::{PartialSum, SharedSum, within};
use super::passes::{CurvatureWorker, SampledBatch};
use super::reading::Encoded;
use super::sample::Draw;
use super::session::Session;
use super::workers::in_order;
use super::{Counts, CurvatureSummary, SampleOptions, Stage};
use crate::error::{Error, Result};
use crate::influence::{CurvatureMetadata, CurvatureSum, Engine, Sample};
use crate::sequence::Shard;
use crate::storage::Location;

/// What the pass gives.
pub(super) struct Estimate {
    pub sum: CurvatureSum,
    pub metadata: CurvatureMetadata,
    /// Gradients for the pass that scores
    pub kept: Kept,
    /// What became of the sampled records
    counts: Counts,
    /// Records whose gradients an earlier run had added
    reused: u64,
}

impl Session<'_> {
    /// The curvature over the sampled records of a shard, for a file at `output`. Their gradients are kept if they are
    /// `scored_next`.
    pub fn estimate(
        &self,
        sample: &SampleOptions,
        shard: Option<Shard>,
        output: &Location,
        scored_next: bool,
    ) -> Result<Estimate> {
        let metadata = self.curvature_metadata(sample, shard);
        let shared = SharedSum::new(self.model.head.hidden_size);
        let mut partial = PartialSum::resume(metadata.clone(), output, self.context, &shared)?;
        let kept = self
            .add_sampled(&metadata, &shared, &mut partial, scored_next)
            .inspect_err(|error| partial.give_up(error))?;
        let PartialSum { counts, reused, .. } = partial;
        let sum = shared.into_sum()?;
        if scored_next && self.scratch > 0 && (kept.len() as u64) < sum.count {
            log::info!("gradients of {} of {} records are kept for their scores", kept.len(), sum.count);
        }
        Ok(Estimate { sum, metadata, kept, counts, reused })
    }

    /// Adds the sampled records that are not in the sum yet.
    fn add_sampled(
        &self,
        &CurvatureMetadata { seed, sample, shard, .. }: &CurvatureMetadata,
        shared: &SharedSum,
        partial: &mut PartialSum,
        scored_next: bool,
    ) -> Result<Kept> {
        let draw = self.draw(sample)?;
        let mut reading = self.reading_after(shard, partial.last);
        let ahead = shared.ahead()?;
        let engine = Engine::new(&self.model)?;
        let keepers = Keeper::for_workers(self.threads, if scored_next { self.scratch } else { 0 });
        let worker = |keeper| {
            let accumulator = engine.accumulator(self.context.cancel.clone())?;
            Ok(CurvatureWorker { accumulator, shared, keeper })
        };
        let workers = keepers.map(worker).collect::<Result<_>>()?;
        let sampled = match sample {
            Sample::Records(wanted) => self.records.get().map(|all| wanted.min(*all)),
            Sample::All | Sample::Share(_) => None,
        };
        let left = sampled.map(|sampled| sampled.saturating_sub(partial.counts.records));
        let left = left.filter(|_| shard.is_none());
        let mut tracker = self.tracker(Stage::Curvature, left, shard, partial.last);
        let keyed = |encoded: Encoded, example| (encoded.place(), example);
        let next = || {
            let records = self.batch(&mut reading, |record| draw.holds(record, seed), keyed)?;
            let mut records = records.unwrap_or_default();
            let Some(((first, _), (last, _))) = records.first().zip(records.last()) else {
                return Ok(None);
            };
            let span = (*first, *last);
            records.retain(|(key, _)| !within(&ahead, key));
            Ok(Some(SampledBatch { span, records, counts: reading.take_counts() }))
        };
        let workers = in_order(workers, &self.context.cancel, next, |batch| {
            partial.pass(&batch)?;
            tracker.advance_to(Some(batch.last), batch.records, batch.tokens)
        })?;
        partial.counts.add(&reading.into_counts());
        let (added, sampled) = (shared.records()?, partial.counts.scored);
        if added != sampled {
            return Err(Error::internal(format!(
                "the curvature holds {added} records of {sampled} that were sampled"
            )));
        }
        let (_, seconds) = tracker.finish();
        let mut kept: Kept = workers.into_iter().map(|worker| worker.keeper).collect();
        if kept.len() > 0 {
            kept.seconds = seconds;
        }
        if draw == Draw::All && shard.is_none() {
            self.records.get_or_init(|| partial.counts.records);
        }
        Ok(kept)
    }
}

impl Estimate {
    pub fn summary(&self, session: &Session, output: &Location, seconds: f64) -> CurvatureSummary {
        CurvatureSummary {
            curvature: output.to_string(),
            model: session.model.info.name.clone(),
            sampled: self.sum.count,
            mean: self.sum.mean(),
            counts: self.counts.clone(),
            reused: self.reused,
            seconds,
        }
    }
}
