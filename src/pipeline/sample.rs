//! The curvature sample: a random subset that depends on the seed and the records alone.

use super::{Context, Stage};
use crate::error::Result;
use crate::influence::Sample;
use crate::pipeline::tracker::Tracker;
use crate::sequence::{Dataset, Record};
use std::collections::BinaryHeap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Sets this draw apart from every other that is made of the same seed and record hash.
const DRAW: [u8; 8] = *b"bp-curve";

/// Which records the curvature is estimated on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Draw {
    All,
    /// Records whose priority is below.
    Below(u64),
    /// Records up to this key, itself included.
    UpTo(Key),
}

/// Priority, then place in the input: no two records of a dataset share one.
type Key = (u64, u32, u64);

impl Draw {
    /// Draws the sample. A number of records takes one pass over the whole dataset, in all shards alike, which counts its
    /// records as well.
    pub fn new(
        sample: Sample,
        seed: u64,
        dataset: &Dataset,
        context: &Context,
    ) -> Result<(Draw, Option<u64>)> {
        match sample {
            Sample::All => Ok((Draw::All, None)),
            // A product with 2^64 that reaches it saturates: all records.
            Sample::Share(share) if share >= 1.0 => Ok((Draw::All, None)),
            Sample::Share(share) => Ok((Draw::Below((share * 2f64.powi(64)) as u64), None)),
            Sample::Records(wanted) => {
                let mut tracker =
                    Tracker::new(context, Stage::Scan, None).through(dataset.extent(None), None);
                let (mut lowest, mut records) = (BinaryHeap::new(), 0);
                for record in dataset.records(None) {
                    let record = record?;
                    let key = key(&record, seed);
                    if (lowest.len() as u64) < wanted {
                        lowest.push(key);
                    } else if let Some(mut highest) = lowest.peek_mut()
                        && key < *highest
                    {
                        *highest = key;
                    }
                    tracker.advance_to(Some((record.source, record.position)), 1, 0)?;
                    records += 1;
                }
                tracker.finish();
                let all = (lowest.len() as u64) < wanted;
                let draw = lowest.peek().filter(|_| !all).map_or(Draw::All, |highest| Draw::UpTo(*highest));
                Ok((draw, Some(records)))
            }
        }
    }

    pub fn holds(&self, record: &Record, seed: u64) -> bool {
        match self {
            Draw::All => true,
            Draw::Below(bound) => key(record, seed).0 < *bound,
            Draw::UpTo(last) => key(record, seed) <= *last,
        }
    }
}

fn key(record: &Record, seed: u64) -> Key {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&record.hash().to_le_bytes());
    bytes[8..].copy_from_slice(&DRAW);
    (xxh3_64_with_seed(&bytes, seed), record.source, record.position)
}
