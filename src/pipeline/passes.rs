//! What a worker does with a batch in each of the two passes: add gradients to the curvature, and score.

use super::Counts;
use super::kept::{Keeper, Kept};
use super::partial_sum::{Added, SharedSum};
use super::reading::{Encoded, Place};
use super::workers::Worker;
use crate::batching::Example;
use crate::error::{Error, Result};
use crate::influence::{Accumulator, RecordGradient, RecordScorer, Score};
use crate::scores::ScoreRow;

pub(super) struct CurvatureWorker<'m> {
    pub accumulator: Accumulator<'m>,
    pub shared: &'m SharedSum,
    pub keeper: Keeper,
}

/// Records of the curvature sample.
pub(super) struct SampledBatch {
    /// The first one and the last one, which may be in the sum already
    pub span: (Place, Place),
    /// Those that are not in the sum
    pub records: Vec<(Place, Example)>,
    pub counts: Counts,
}

impl Worker for CurvatureWorker<'_> {
    type Batch = SampledBatch;
    type Output = Added;

    fn run(&mut self, batch: Self::Batch) -> Result<Self::Output> {
        let SampledBatch { span, records, counts } = batch;
        let (keys, examples): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        let keep = |index: usize, gradient: &RecordGradient| self.keeper.keep(keys[index], gradient);
        self.accumulator.run(&examples, keep)?;
        self.shared.add(span, &mut self.accumulator.sum)?;
        let tokens = examples.iter().map(|example| example.tokens() as u64).sum();
        Ok(Added { last: span.1, records: keys.len() as u64, tokens, counts })
    }
}

pub(super) struct ScoreWorker<'m, 'c> {
    pub scorer: RecordScorer<'m, 'c>,
    pub hidden_size: usize,
    pub kept: &'c Kept,
    /// Memory to read gradients into
    pub numbers: Vec<f32>,
}

/// The rows of a batch, the tokens they stand for, and what became of the records up to its last one.
pub(super) struct ScoredBatch {
    pub rows: Vec<ScoreRow>,
    pub tokens: u64,
    pub counts: Counts,
}

impl Worker for ScoreWorker<'_, '_> {
    type Batch = (Vec<(Encoded, Example)>, Counts);
    type Output = ScoredBatch;

    fn run(&mut self, (batch, counts): Self::Batch) -> Result<Self::Output> {
        let tokens = batch.iter().map(|(_, example)| example.tokens() as u64).sum();
        let mut rows = Vec::with_capacity(batch.len());
        // Records that go through the encoder, and which row each is
        let (mut examples, mut places) = (Vec::new(), Vec::new());
        for (record, example) in batch {
            let kept = self.kept.gradient(record.place(), self.hidden_size, &mut self.numbers)?;
            let score = kept.and_then(|gradient| self.scorer.of_gradient(&gradient));
            let tokens = example.record_tokens() as u32;
            if score.is_none() {
                places.push(rows.len());
                examples.push(example);
            }
            rows.push((record, tokens, score));
        }
        self.scorer.run(&examples, |index, score| rows[places[index]].2 = Some(score))?;
        let rows = rows.into_iter().map(|(record, tokens, score)| row(record, tokens, score));
        Ok(ScoredBatch { rows: rows.collect::<Result<_>>()?, tokens, counts })
    }
}

fn row(record: Encoded, tokens: u32, score: Option<Score>) -> Result<ScoreRow> {
    let score = score.ok_or_else(|| Error::internal("a record of a batch has no score"))?;
    if !(score.influence.is_finite() && score.loss.is_finite()) {
        return Err(Error::model(format!(
            "record `{}` scores {} with loss {}: the model's numbers have run away",
            record.id_text(),
            score.influence,
            score.loss
        )));
    }
    Ok(ScoreRow {
        source: record.source,
        position: record.position,
        id: record.id_text().into(),
        record_hash: record.hash,
        residues: record.residues,
        tokens,
        truncated: record.truncated,
        loss: score.loss,
        grad_norm: score.grad_norm,
        influence: score.influence,
    })
}
