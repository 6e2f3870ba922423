//! Gradients and scores of whole batches on a GPU: what leaves it are three sums for each record.
//!
//! The same closed form as on the CPU. The head, the gradients and the sums are in f32 and wider whatever the encoder
//! computes in.

mod head;

pub use head::CudaHead;

use super::{Curvature, CurvatureSum, Estimator, Score};
use crate::batching::{Example, View};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::model::cuda::{Memory, Placed, Staging, failed};
use candle_core::cuda_backend::cudarc::driver::PinnedHostSlice;

/// One worker's memory, on the host.
pub struct Batches<'h> {
    head: &'h CudaHead<'h>,
    cancel: CancelToken,
    staging: Staging,
    losses: PinnedHostSlice<f32>,
}

/// Adds gradients to a curvature.
pub struct CudaAccumulator<'h> {
    batches: Batches<'h>,
    sums: Memory,
    bad: Memory,
    /// Low and high halves of each sum.
    words: PinnedHostSlice<u64>,
    was_bad: PinnedHostSlice<u32>,
}

/// Scores records.
pub struct CudaScorer<'h> {
    batches: Batches<'h>,
    estimator: Estimator,
    inverse: Memory,
    sums: PinnedHostSlice<f64>,
}

/// A batch in pinned memory.
pub struct Staged {
    encoder: Placed,
    rows: usize,
    places: usize,
    targets: usize,
    scales: usize,
    /// Where each record's rows begin, and where the last one's end.
    ends: usize,
}

impl<'h> Batches<'h> {
    fn new(head: &'h CudaHead<'h>, cancel: CancelToken) -> Result<Self> {
        head.gpu.bind()?;
        let staging = Staging::new(head.gpu, head.encoder.capacity)?;
        let losses = head.gpu.pinned(head.encoder.capacity)?;
        Ok(Batches { head, cancel, staging, losses })
    }

    /// The first of `records` that one batch holds, and the batch.
    fn stage<'r>(&mut self, records: &'r [Example]) -> Result<(&'r [Example], Staged)> {
        self.cancel.check()?;
        self.head.gpu.bind()?;
        let mut tokens = 0;
        let fitting = records.iter().take_while(|record| {
            // one without tokens takes room too
            tokens += record.tokens().max(1);
            tokens <= self.head.encoder.capacity
        });
        let part = &records[..fitting.count()];
        if part.is_empty() {
            return Err(Error::internal("a record is larger than a batch on the GPU"));
        }
        let views = || part.iter().flat_map(|record| &record.views);
        self.staging.clear();
        let encoder = self
            .head
            .encoder
            .stage(&mut self.staging, views().map(|view: &View| (&view.input[..], view.pads)))?;
        let mut first = 0;
        let places = self.staging.section(views().flat_map(|view| {
            let start = first;
            first += view.input.len() as u32;
            view.positions.iter().map(move |position| start + position)
        }))?;
        let targets = self.staging.section(part.iter().flat_map(|record| {
            let positions = record.views.iter().flat_map(|view| &view.positions);
            positions.map(|position| record.targets[*position as usize])
        }))?;
        let scales = self.staging.section(part.iter().flat_map(|record| {
            let counted = record.counted() as f32;
            record.views.iter().flat_map(View::counts).map(move |count| (count as f32 / counted).to_bits())
        }))?;
        let mut rows = 0;
        let ends = self.staging.section(std::iter::once(0).chain(part.iter().map(|record| {
            rows += record.scored();
            rows as u32
        })))?;
        Ok((part, Staged { encoder, rows, places, targets, scales, ends }))
    }
}

impl<'h> CudaAccumulator<'h> {
    pub fn new(head: &'h CudaHead<'h>, cancel: CancelToken) -> Result<Self> {
        let batches = Batches::new(head, cancel)?;
        let entries = head.d * head.d;
        let (sums, bad) = (head.gpu.zeros(16 * entries)?, head.gpu.zeros(4)?);
        let (words, was_bad) = (head.gpu.pinned(2 * entries)?, head.gpu.pinned(1)?);
        Ok(CudaAccumulator { batches, sums, bad, words, was_bad })
    }

    /// Adds the gradients of `records` to `sum`.
    pub fn run(&mut self, mut records: &[Example], sum: &mut CurvatureSum) -> Result<()> {
        while !records.is_empty() {
            let (part, staged) = self.batches.stage(records)?;
            records = &records[part.len()..];
            let head = self.batches.head;
            let words = self.words.as_mut_slice().map_err(failed)?;
            let was_bad = self.was_bad.as_mut_slice().map_err(failed)?;
            let turn = head.gpu.turn();
            let enqueued = head
                .enqueue(&self.batches.staging, &staged)
                .and_then(|()| head.enqueue_curvature(&staged, part.len(), &self.sums, &self.bad))
                // SAFETY: both are read after the turn.
                .and_then(|()| unsafe {
                    head.gpu.download(self.sums.address, &mut *words)?;
                    head.gpu.download(self.bad.address, &mut *was_bad)
                });
            head.gpu.finish(turn, enqueued)?;
            if was_bad[0] != 0 {
                return Err(Error::model(
                    "a gradient entry is no number or above 256; the model's numbers have run away",
                ));
            }
            let entries = words.as_chunks::<2>().0.iter();
            let added = entries.map(|[low, high]| (i128::from(*high) << 64) | i128::from(*low));
            sum.merge(&CurvatureSum { hidden_size: head.d, sum: added.collect(), count: part.len() as u64 })?;
        }
        Ok(())
    }
}

impl<'h> CudaScorer<'h> {
    pub fn new(
        head: &'h CudaHead<'h>,
        curvature: &Curvature,
        estimator: Estimator,
        cancel: CancelToken,
    ) -> Result<Self> {
        let batches = Batches::new(head, cancel)?;
        let inverse = head.gpu.upload_f32(&curvature.inverse)?;
        let sums = head.gpu.pinned(3 * head.encoder.capacity)?;
        Ok(CudaScorer { batches, estimator, inverse, sums })
    }

    /// Hands `each` the score of every record, in the order given.
    pub fn run(&mut self, records: &[Example], mut each: impl FnMut(usize, Score)) -> Result<()> {
        let mut done = 0;
        while done < records.len() {
            let (part, staged) = self.batches.stage(&records[done..])?;
            let head = self.batches.head;
            let sums = &mut self.sums.as_mut_slice().map_err(failed)?[..3 * part.len()];
            let losses = &mut self.batches.losses.as_mut_slice().map_err(failed)?[..staged.rows];
            let turn = head.gpu.turn();
            let enqueued = head
                .enqueue(&self.batches.staging, &staged)
                .and_then(|()| head.enqueue_sums(&staged, part.len(), &self.inverse, self.estimator))
                // SAFETY: both are read after the turn.
                .and_then(|()| unsafe {
                    head.gpu.download(head.sums.address, &mut *sums)?;
                    head.gpu.download(head.losses.address, &mut *losses)
                });
            head.gpu.finish(turn, enqueued)?;
            let mut losses = &*losses;
            for (record, sums) in part.iter().zip(sums.as_chunks::<3>().0) {
                let of_record = losses.split_off(..record.scored()).unwrap_or_default();
                each(done, score(record, of_record, sums, self.estimator));
                done += 1;
            }
        }
        Ok(())
    }
}

fn score(record: &Example, losses: &[f32], [squares, plain, same]: &[f64; 3], estimator: Estimator) -> Score {
    let counts = record.views.iter().flat_map(View::counts);
    let loss: f64 = counts.zip(losses).map(|(count, loss)| f64::from(count) * f64::from(*loss)).sum();
    let n = losses.len() as f64;
    let influence = match estimator {
        Estimator::Plain => *plain,
        Estimator::Debiased if losses.len() < 2 => 0.0,
        Estimator::Debiased => n / (n - 1.0) * (plain - same),
    };
    Score {
        loss: (loss / record.counted().max(1) as f64) as f32,
        grad_norm: squares.sqrt() as f32,
        influence: influence as f32,
        positions: losses.len() as u32,
    }
}
