//! What each step trains on: records in a seeded order, packed into micro-batches by a token budget.

use super::random::{draw, unit};
use super::{EncodedRecord, TrainOptions};

/// Indices of the records of one micro-batch.
pub(super) type MicroBatch = Vec<usize>;

/// Purposes of the draws, so that no two share their numbers.
const ORDER: u64 = 1;
const THIN: u64 = 2;

/// The steps of an epoch: each a list of up to `micro_batches` micro-batches.
pub(super) fn epoch(records: &[EncodedRecord], options: &TrainOptions, epoch: u64) -> Vec<Vec<MicroBatch>> {
    let group_sizes = group_sizes(records);
    let mut order: Vec<(u64, usize)> = (0..records.len())
        .filter(|&i| {
            let size = group_sizes[records[i].group as usize];
            let kept = share_kept(size, options.balance);
            unit(draw(options.seed, &[THIN, epoch, records[i].hash, i as u64])) < kept
        })
        .map(|i| (draw(options.seed, &[ORDER, epoch, records[i].hash, i as u64]), i))
        .collect();
    order.sort_unstable();

    let mut micro_batches: Vec<MicroBatch> = vec![];
    let mut tokens = 0;
    for (_, i) in order {
        let n = records[i].tokens.len();
        match micro_batches.last_mut().filter(|_| tokens + n <= options.batch_tokens) {
            Some(batch) => {
                batch.push(i);
                tokens += n;
            }
            None => {
                micro_batches.push(vec![i]);
                tokens = n;
            }
        }
    }
    micro_batches.chunks(options.micro_batches.max(1)).map(<[_]>::to_vec).collect()
}

/// Share of a group's records that an epoch trains on: a group above `balance` members counts as the geometric mean
/// of its size and `balance`, so that no family rules and none is lost.
fn share_kept(size: usize, balance: Option<u32>) -> f64 {
    balance.map_or(1.0, |balance| (f64::from(balance) / size as f64).sqrt().min(1.0))
}

fn group_sizes(records: &[EncodedRecord]) -> Vec<usize> {
    let groups = records.iter().map(|record| record.group as usize + 1).max().unwrap_or(0);
    let mut sizes = vec![0; groups];
    for record in records {
        sizes[record.group as usize] += 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Length;

    fn options() -> TrainOptions {
        TrainOptions {
            seed: 1,
            length: Length::Epochs(1),
            micro_batches: 3,
            batch_tokens: 100,
            peak_lr: 1e-3,
            warmup: 0,
            weight_decay: 0.0,
            clip: 1.0,
            balance: None,
            threads: 1,
            report_every: 1,
            measure_every: 1,
            checkpoint_every: None,
        }
    }

    /// One group of 400 records and 20 groups of one.
    fn records() -> Vec<EncodedRecord> {
        let record = |i: u64| EncodedRecord {
            hash: i,
            tokens: vec![4; if i == 7 { 300 } else { 10 + (i % 20) as usize }],
            group: i.saturating_sub(399) as u32,
        };
        (0..420).map(record).collect()
    }

    #[test]
    fn an_epoch_holds_every_record_once_within_the_token_budget() {
        let records = records();
        let steps = epoch(&records, &options(), 0);
        assert!(steps.iter().rev().skip(1).all(|step| step.len() == 3));
        for batch in steps.iter().flatten() {
            let tokens: usize = batch.iter().map(|&i| records[i].tokens.len()).sum();
            assert!(tokens <= 100 || batch.len() == 1, "{tokens}");
        }
        let mut all = steps.concat().concat();
        assert_ne!(all, epoch(&records, &options(), 1).concat().concat());
        all.sort_unstable();
        assert_eq!(all, (0..records.len()).collect::<Vec<_>>());
    }

    #[test]
    fn balance_thins_a_large_group_to_the_geometric_mean_and_no_other() {
        let records = records();
        let options = TrainOptions { balance: Some(4), ..options() };
        let all = epoch(&records, &options, 0).concat().concat();
        let large = all.iter().filter(|&&i| records[i].group == 0).count();
        // sqrt(4 * 400) = 40 of the large group on average.
        assert!((25..55).contains(&large), "{large}");
        assert_eq!(all.len() - large, 20);
    }
}
