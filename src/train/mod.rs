//! Training of masked language models: from scratch, on from a model, and the paper's
//! adaptation of a reference model by one epoch.
//!
//! [`train`] is the whole job on a [`Corpus`]; [`adapt`] is the one epoch; [`Trainer`] is under both. All of it is a
//! function of the records, the options and the seed: on a kind of CPU the same weights to the bit on any number of
//! threads. A [`TrainingDevice`] says where it is computed.

mod baseline;
mod batches;
mod corpus;
mod device;
mod evaluate;
mod hairpins;
mod masking;
mod model;
mod optimizer;
mod packed;
mod pairing;
mod random;
mod report;
mod request;
#[cfg(test)]
mod tests;
mod trainer;

pub use baseline::{Baselines, baselines};
pub use corpus::{Corpus, Dealt, Part, Shares, SplitOptions, Splitter};
pub use device::{Kept, TrainingDevice};
pub use evaluate::{HeldOutLoss, RecordLoss, evaluate, evaluate_as_bert, record_losses};
pub use model::{Precision, TrainedModel};
pub use report::{HeldOut, Progress, TrainReport};
pub use request::{ArchitectureName, TrainRequest, train};
pub use trainer::Trainer;

use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Seed of the masks of every evaluation: losses of different trainings are over the same residues.
const EVALUATION_SEED: u64 = 0;

/// A record as the trainer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedRecord {
    /// Stable hash of the record: its masks and its place in an epoch follow from it
    pub hash: u64,
    /// Token ids with the special tokens
    pub tokens: Vec<u32>,
    /// Number of the group (family) that it belongs to, counted from 0
    pub group: u32,
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Steps(u64),
    /// Times that the records are gone through
    Epochs(u64),
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    pub seed: u64,
    pub length: Length,
    /// Steps on random hairpins before those on the records
    pub hairpin_steps: u64,
    /// Of a longer record, train on a window of this many tokens
    pub crop: Option<usize>,
    /// Micro-batches in a step, each computed by one thread of a CPU; the result depends on it, and not on the threads
    pub micro_batches: usize,
    /// Tokens in a micro-batch at most (a longer record is one of its own)
    pub batch_tokens: usize,
    pub peak_lr: f64,
    /// Steps until the peak, a tenth of all steps at most
    pub warmup: u64,
    pub weight_decay: f64,
    /// Global norm that gradients are clipped to
    pub clip: f64,
    /// An epoch takes of a group of n members above this many the geometric mean of both
    pub balance: Option<u32>,
    /// Steps between reports of progress
    pub report_every: u64,
    /// Steps between measurements on held-out records
    pub measure_every: u64,
    /// Steps between checkpoints
    pub checkpoint_every: Option<u64>,
}

/// Follows a training. `()` follows nothing.
pub trait Observer {
    /// Asked before each step; an error ends the training.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn progress(&mut self, _progress: &Progress) {}

    /// The model as it is now.
    fn checkpoint(&mut self, _model: &TrainedModel) -> Result<()> {
        Ok(())
    }
}

impl Observer for () {}

/// Fine-tunes a model by one epoch over `records` (the paper's assumption 1: the reference model sits at an optimum of
/// the curvature sample), at a low learning rate.
pub fn adapt(
    model: TrainedModel,
    tokenizer: &Tokenizer,
    records: &[EncodedRecord],
    seed: u64,
    device: &TrainingDevice,
    observer: &mut dyn Observer,
) -> Result<TrainedModel> {
    let options = TrainOptions {
        seed,
        length: Length::Epochs(1),
        hairpin_steps: 0,
        crop: None,
        micro_batches: 4,
        batch_tokens: 2048,
        peak_lr: 1e-4,
        warmup: 100,
        weight_decay: 0.01,
        clip: 1.0,
        balance: None,
        report_every: 10,
        measure_every: u64::MAX,
        checkpoint_every: None,
    };
    Trainer::new(options, tokenizer, records, &[])?.fit(model, device, observer)
}

fn engine(error: candle_core::Error) -> Error {
    Error::model("the model cannot be computed").caused_by(error)
}
