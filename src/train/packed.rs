//! Masked records as a batch.

use super::engine;
use super::masking::Masked;
use crate::error::Result;
use crate::model::tensor::{Batch, MaskedLm};
use candle_core::Tensor;

/// Masked records as one batch of a model.
pub(super) struct Packed {
    pub batch: Batch,
    /// Rows of the batch that are predicted
    positions: Vec<u32>,
    pub targets: Vec<u32>,
}

impl Packed {
    pub fn new(model: &MaskedLm, mask: u32, masked: &[Masked]) -> Result<Self> {
        let batch = model.batch(mask, masked.iter().map(|masked| &masked.input[..])).map_err(engine)?;
        let (mut positions, mut targets) = (vec![], vec![]);
        for (masked, rows) in masked.iter().zip(batch.sequences()) {
            positions.extend(masked.positions.iter().map(|position| rows.start as u32 + position));
            targets.extend(&masked.targets);
        }
        Ok(Packed { batch, positions, targets })
    }

    /// The loss of each target, `[n]`.
    pub fn losses(&self, model: &MaskedLm) -> Result<Tensor> {
        model.losses(&self.batch, &self.positions, &self.targets).map_err(engine)
    }

    /// Their sum.
    pub fn loss(&self, model: &MaskedLm) -> Result<Tensor> {
        model.loss(&self.batch, &self.positions, &self.targets).map_err(engine)
    }
}
