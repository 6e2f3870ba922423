//! What each step trains on: random hairpins first if there are to be any, then the records in a seeded order, packed
//! into micro-batches by a token budget.

use super::hairpins::hairpin;
use super::random::{draw, unit};
use super::{EncodedRecord, TrainOptions};
use crate::tokenizer::Tokenizer;
use std::borrow::Cow;
use std::collections::VecDeque;

/// Indices of the records of one micro-batch.
pub(super) type MicroBatch = Vec<usize>;

/// What one step trains on.
pub(super) struct Step<'a> {
    pub records: Cow<'a, [EncodedRecord]>,
    /// Indices into `records`
    pub micro_batches: Vec<MicroBatch>,
    pub epoch: u64,
}

/// The steps of a training, without an end.
pub(super) struct Schedule<'a> {
    records: &'a [EncodedRecord],
    options: &'a TrainOptions,
    /// With the longest record in tokens
    tokenizer: (&'a Tokenizer, usize),
    hairpin_steps: u64,
    /// Times that the records were gone through before
    pub epoch: u64,
    /// Steps that the epoch still has
    left: Option<VecDeque<Vec<MicroBatch>>>,
}

impl<'a> Schedule<'a> {
    pub fn new(
        records: &'a [EncodedRecord],
        options: &'a TrainOptions,
        tokenizer: (&'a Tokenizer, usize),
    ) -> Self {
        Schedule { records, options, tokenizer, hairpin_steps: 0, epoch: 0, left: None }
    }

    /// The next step; without records to train on it is empty.
    pub fn next(&mut self) -> Step<'a> {
        if self.hairpin_steps < self.options.hairpin_steps {
            self.hairpin_steps += 1;
            return self.hairpins();
        }
        let mut left =
            self.left.take().unwrap_or_else(|| epoch(self.records, self.options, self.epoch).into());
        if left.is_empty() {
            self.epoch += 1;
            left = epoch(self.records, self.options, self.epoch).into();
        }
        let micro_batches = left.pop_front().unwrap_or_default();
        self.left = Some(left);
        Step { records: self.records.into(), micro_batches, epoch: self.epoch }
    }

    fn hairpins(&self) -> Step<'a> {
        // From long stems alone to none, step by step.
        let easy = 1.0 - self.hairpin_steps as f64 / self.options.hairpin_steps as f64;
        let budget = self.options.micro_batches * self.options.batch_tokens;
        let numbers = (self.hairpin_steps << 32)..;
        let record = |number| hairpin(self.tokenizer, self.options.seed, number, easy);
        let mut tokens = 0;
        let fits = |record: &EncodedRecord| {
            tokens += record.tokens.len();
            tokens <= budget
        };
        let records: Vec<EncodedRecord> = numbers.map(record).take_while(fits).collect();
        let micro_batches = pack(0..records.len(), &records, self.options);
        Step { records: records.into(), micro_batches, epoch: 0 }
    }
}

/// Purposes of the draws, so that no two share their numbers.
const ORDER: u64 = 1;
const THIN: u64 = 2;
const CROP: u64 = 4;

/// The window of a record that an epoch trains on.
pub(super) fn window<'r>(record: &'r EncodedRecord, options: &TrainOptions, epoch: u64) -> &'r [u32] {
    let n = record.tokens.len();
    match options.crop {
        Some(crop) if n > crop => {
            let start = unit(draw(options.seed, &[CROP, epoch, record.hash])) * (n - crop + 1) as f64;
            &record.tokens[start as usize..][..crop]
        }
        _ => &record.tokens,
    }
}

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

    let micro_batches = pack(order.into_iter().map(|(_, i)| i), records, options);
    micro_batches.chunks(options.micro_batches.max(1)).map(<[_]>::to_vec).collect()
}

/// Records one after another into micro-batches, by what an epoch trains on of each.
fn pack(
    order: impl Iterator<Item = usize>,
    records: &[EncodedRecord],
    options: &TrainOptions,
) -> Vec<MicroBatch> {
    let length = |i: usize| records[i].tokens.len().min(options.crop.unwrap_or(usize::MAX));
    by_tokens(order.map(|i| (i, length(i))), options.batch_tokens)
}

/// Places with their tokens, one after another, in batches of so many tokens; a longer one is a batch of its own.
pub(super) fn by_tokens(places: impl Iterator<Item = (usize, usize)>, budget: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = vec![];
    let mut tokens = 0;
    for (place, n) in places {
        match batches.last_mut().filter(|_| tokens + n <= budget) {
            Some(batch) => {
                batch.push(place);
                tokens += n;
            }
            None => {
                batches.push(vec![place]);
                tokens = n;
            }
        }
    }
    batches
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
            hairpin_steps: 0,
            crop: None,
            micro_batches: 3,
            batch_tokens: 100,
            peak_lr: 1e-3,
            warmup: 0,
            weight_decay: 0.0,
            clip: 1.0,
            balance: None,
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
    fn longer_records_are_cropped_to_another_window_in_each_epoch() {
        let options = TrainOptions { crop: Some(50), ..options() };
        let long = EncodedRecord { hash: 3, tokens: (0..200).collect(), group: 0 };
        let windows: Vec<&[u32]> = (0..40).map(|epoch| window(&long, &options, epoch)).collect();
        assert!(windows.iter().all(|window| window.len() == 50 && window[49] == window[0] + 49));
        let starts: std::collections::BTreeSet<u32> = windows.iter().map(|window| window[0]).collect();
        assert!(starts.len() > 20 && starts.last() <= Some(&150), "{starts:?}");
        let short = EncodedRecord { tokens: vec![1; 50], ..long.clone() };
        assert_eq!(window(&short, &options, 0), short.tokens);
        let two_to_a_batch = epoch(&[long.clone(), long], &options, 0);
        assert_eq!(two_to_a_batch.concat().len(), 1);
    }

    #[test]
    fn hairpins_come_first_and_fill_their_steps() {
        let options = TrainOptions { hairpin_steps: 2, batch_tokens: 500, ..options() };
        let (tokenizer, records) = (crate::tokenizer::rna_fm(), records());
        let mut schedule = Schedule::new(&records, &options, (&tokenizer, 1024));
        let steps: Vec<Step> = (0..3).map(|_| schedule.next()).collect();
        for step in &steps[..2] {
            let tokens: usize = step.records.iter().map(|record| record.tokens.len()).sum();
            assert!((1000..=1500).contains(&tokens) && step.micro_batches.len() <= 4, "{tokens}");
        }
        assert_ne!(steps[0].records, steps[1].records);
        assert_eq!(&*steps[2].records, &records[..]);
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
