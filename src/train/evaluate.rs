//! The masked loss on held-out records, under masks that never change.

use super::masking::{MaskRule, Masked, Residues};
use super::packed::{Packed, side_by_side};
use super::{EVALUATION_SEED, EncodedRecord, TrainedModel, engine};
use crate::error::Result;
use crate::model::tensor::MaskedLm;
use crate::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tokens that a thread computes at a time.
const BATCH_TOKENS: usize = 4096;

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

impl HeldOutLoss {
    /// From each record's group, summed loss and number of masked residues.
    pub(super) fn of(records: impl Iterator<Item = (u32, f64, usize)>) -> Self {
        let (mut sum, mut residues, mut means, mut count) = (0.0, 0usize, 0.0, 0usize);
        let mut groups: BTreeMap<u32, (f64, usize)> = BTreeMap::new();
        for (group, loss, n) in records.filter(|(_, _, n)| *n > 0) {
            let mean = loss / n as f64;
            sum += loss;
            residues += n;
            means += mean;
            count += 1;
            let entry = groups.entry(group).or_default();
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
    threads: usize,
) -> Result<HeldOutLoss> {
    of_trained(model, tokenizer, MaskRule::HIDDEN, records, threads)
}

/// Measures a model under BERT's masks, which leave a tenth of the scored residues in sight and replace another tenth:
/// what others publish as masked loss.
pub fn evaluate_as_bert(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    records: &[EncodedRecord],
    threads: usize,
) -> Result<HeldOutLoss> {
    of_trained(model, tokenizer, MaskRule::BERT, records, threads)
}

fn of_trained(
    model: &TrainedModel,
    tokenizer: &Tokenizer,
    rule: MaskRule,
    records: &[EncodedRecord],
    threads: usize,
) -> Result<HeldOutLoss> {
    let model = MaskedLm::new(&model.architecture, model.tensors.clone()).map_err(engine)?;
    measure(&model, (&Residues::of(tokenizer), rule), records, threads)
}

pub(super) fn measure(
    model: &MaskedLm,
    (residues, rule): (&Residues, MaskRule),
    records: &[EncodedRecord],
    threads: usize,
) -> Result<HeldOutLoss> {
    let mut batches: Vec<&[EncodedRecord]> = vec![];
    let mut rest = records;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = rest.iter().take_while(|record| {
            tokens += record.tokens.len();
            tokens <= BATCH_TOKENS
        });
        let (batch, after) = rest.split_at(fits.count().max(1));
        batches.push(batch);
        rest = after;
    }
    let losses = side_by_side(threads, &batches, |batch| {
        let mask = |record: &EncodedRecord| {
            let of = (EVALUATION_SEED, 0, record.hash);
            Masked::new(&record.tokens, residues, rule, of)
        };
        let masked: Vec<Masked> = batch.iter().map(mask).collect();
        let packed = Packed::new(model, residues.mask, &masked)?;
        let losses: Vec<f32> = match packed.targets.len() {
            0 => vec![],
            _ => packed.losses(model)?.detach().to_vec1().map_err(engine)?,
        };
        let mut losses = losses.into_iter().map(f64::from);
        let of_record = |(record, masked): (&EncodedRecord, &Masked)| {
            let n = masked.targets.len();
            (record.group, losses.by_ref().take(n).sum::<f64>(), n)
        };
        Ok(batch.iter().zip(&masked).map(of_record).collect::<Vec<_>>())
    })?;
    Ok(HeldOutLoss::of(losses.into_iter().flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_means_weigh_residues_records_and_groups() {
        let records = [(0, 6.0, 3), (0, 4.0, 1), (1, 0.0, 0), (2, 1.0, 1)];
        let loss = HeldOutLoss::of(records.into_iter());
        assert_eq!(loss.by_residue, 11.0 / 5.0);
        assert_eq!(loss.by_record, (2.0 + 4.0 + 1.0) / 3.0);
        assert_eq!(loss.by_group, (3.0 + 1.0) / 2.0);
    }
}
