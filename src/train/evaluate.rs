//! The masked loss on held-out records, under masks that never change.

use super::masking::{MaskRule, Masked, Residues};
use super::packed::Packed;
use super::{EVALUATION_SEED, EncodedRecord, TrainedModel, TrainingDevice, engine};
use crate::error::Result;
use crate::model::tensor::MaskedLm;
use crate::tokenizer::Tokenizer;
use candle_core::DType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Losses in nats over the masked residues of held-out records; records without a definite residue are left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOutLoss {
    /// Mean over all masked residues
    pub by_residue: f64,
    /// Mean over records of each record's mean
    pub by_record: f64,
    /// Mean over groups (families) of the mean of their records
    pub by_group: f64,
}

/// What one held-out record lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordLoss {
    pub group: u32,
    /// Tokens that the model read of it, the special ones as well
    pub tokens: usize,
    /// In nats, summed over the masked residues
    pub loss: f64,
    /// Masked residues; 0 for a record without a definite residue
    pub residues: usize,
}

impl HeldOutLoss {
    pub(super) fn of(records: impl Iterator<Item = RecordLoss>) -> Self {
        let (mut sum, mut residues, mut means, mut count) = (0.0, 0usize, 0.0, 0usize);
        let mut groups: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
        for record in records.filter(|record| record.residues > 0) {
            let mean = record.loss / record.residues as f64;
            sum += record.loss;
            residues += record.residues;
            means += mean;
            count += 1;
            let entry = groups.entry(record.group).or_default();
            entry.0 += mean;
            entry.1 += 1;
        }
        HeldOutLoss {
            by_residue: sum / residues as f64,
            by_record: means / count as f64,
            by_group: groups.values().map(|(sum, n)| sum / *n as f64).sum::<f64>() / groups.len() as f64,
        }
    }
}

/// Measures a model with every scored residue hidden.
pub fn evaluate(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    records: &[EncodedRecord],
    device: &TrainingDevice,
) -> Result<HeldOutLoss> {
    Ok(HeldOutLoss::of(record_losses(model, tokenizer, records, device)?.into_iter()))
}

/// The same, record by record in their order.
pub fn record_losses(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    records: &[EncodedRecord],
    device: &TrainingDevice,
) -> Result<Vec<RecordLoss>> {
    of_trained(model, tokenizer, MaskRule::HIDDEN, records, device)
}

/// Measures a model under BERT's masks, which leave a tenth of the scored residues in sight and replace another tenth:
/// what others publish as masked loss.
pub fn evaluate_as_bert(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    records: &[EncodedRecord],
    device: &TrainingDevice,
) -> Result<HeldOutLoss> {
    Ok(HeldOutLoss::of(of_trained(model, tokenizer, MaskRule::BERT, records, device)?.into_iter()))
}

fn of_trained(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    rule: MaskRule,
    records: &[EncodedRecord],
    device: &TrainingDevice,
) -> Result<Vec<RecordLoss>> {
    let model = MaskedLm::new(&model.architecture, model.on(device)?).map_err(engine)?;
    measure(&model, (&Residues::of(tokenizer), rule), records, device)
}

pub(super) fn measure(
    model: &MaskedLm,
    (residues, rule): (&Residues, MaskRule),
    records: &[EncodedRecord],
    device: &TrainingDevice,
) -> Result<Vec<RecordLoss>> {
    let lengths: Vec<usize> = records.iter().map(|record| record.tokens.len()).collect();
    let batches = device.batches(&lengths, model.architecture());
    let losses = device.each(&batches, |batch| {
        let mask = |&place: &usize| {
            let record = &records[place];
            Masked::new(&record.tokens, residues, rule, (EVALUATION_SEED, 0, record.hash))
        };
        let masked: Vec<Masked> = batch.iter().map(mask).collect();
        let packed = Packed::new(model, residues.mask, &masked)?;
        let losses: Vec<f32> = match packed.targets.len() {
            0 => vec![],
            _ => packed
                .losses(model)?
                .to_dtype(DType::F32)
                .and_then(|losses| losses.to_vec1())
                .map_err(engine)?,
        };
        let mut losses = losses.into_iter().map(f64::from);
        let of_record = |(&place, masked): (&usize, &Masked)| {
            let n = masked.targets.len();
            let loss = losses.by_ref().take(n).sum();
            let EncodedRecord { group, ref tokens, .. } = records[place];
            (place, RecordLoss { group, tokens: tokens.len(), loss, residues: n })
        };
        Ok(batch.iter().zip(&masked).map(of_record).collect::<Vec<_>>())
    })?;
    let mut losses: Vec<(usize, RecordLoss)> = losses.into_iter().flatten().collect();
    losses.sort_unstable_by_key(|(place, _)| *place);
    Ok(losses.into_iter().map(|(_, loss)| loss).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_means_weigh_residues_records_and_groups() {
        let records = [(0, 6.0, 3), (0, 4.0, 1), (1, 0.0, 0), (2, 1.0, 1)];
        let of = |(group, loss, residues)| RecordLoss { group, tokens: 9, loss, residues };
        let loss = HeldOutLoss::of(records.into_iter().map(of));
        assert_eq!(loss.by_residue, 11.0 / 5.0);
        assert_eq!(loss.by_record, (2.0 + 4.0 + 1.0) / 3.0);
        assert_eq!(loss.by_group, (3.0 + 1.0) / 2.0);
    }
}
