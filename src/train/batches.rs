//! What each step trains on: records in a seeded order, packed into micro-batches by a token budget.

use super::random::{draw, unit};
use super::{EncodedRecord, TrainOptions};

/// Indices of the records of one micro-batch.
pub(super) type MicroBatch = Vec<usize>;

/// Purposes of the draws, so that no two share their numbers.
const ORDER: u64 = 1;
const THIN: u64 = 2;

/// The steps of an epoch over groups of at least `min_members`: each a list of up to `micro_batches` micro-batches.
pub(super) fn epoch(
    records: &[EncodedRecord],
    options: &TrainOptions,
    epoch: u64,
    min_members: u32,
) -> Vec<Vec<MicroBatch>> {
    let group_sizes = group_sizes(records);
    let mut order: Vec<(u64, usize)> = (0..records.len())
        .filter(|&i| {
            let size = group_sizes[records[i].group as usize];
            if size < min_members as usize {
                return false;
            }
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
