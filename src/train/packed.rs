//! Masked records end to end, and work on several of them side by side.

use super::engine;
use super::masking::Masked;
use crate::error::Result;
use crate::model::tensor::{MaskedLm, PackedBatch};
use candle_core::Tensor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Masked records as one batch of a model.
pub(super) struct Packed {
    pub batch: Arc<PackedBatch>,
    /// Positions in the batch that are predicted
    positions: Vec<u32>,
    pub targets: Vec<u32>,
}

impl Packed {
    pub fn new(model: &MaskedLm, mask: u32, masked: &[Masked]) -> Result<Self> {
        let sequences = masked.iter().map(|masked| &masked.input[..]);
        let batch = PackedBatch::new(model.architecture(), mask, sequences).map_err(engine)?;
        let (mut positions, mut targets, mut start) = (vec![], vec![], 0);
        for masked in masked {
            positions.extend(masked.positions.iter().map(|position| start + position));
            targets.extend(&masked.targets);
            start += masked.input.len() as u32;
        }
        Ok(Packed { batch: Arc::new(batch), positions, targets })
    }

    /// The loss of each target, `[n]`.
    pub fn losses(&self, model: &MaskedLm) -> Result<Tensor> {
        model.losses(&self.batch, &self.positions, &self.targets).map_err(engine)
    }
}

/// Does `work` for each item on up to `threads` threads; the results are in the order of the items.
pub(super) fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { return };
            let result = work(item);
            results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_unstable_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
