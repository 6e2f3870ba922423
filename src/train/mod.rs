//! Training of masked language models: from scratch, and fine-tuning.

pub mod alphabet;
mod baseline;
mod batches;
mod evaluate;
mod masking;
mod model;
mod optimizer;
mod random;
mod trainer;

pub use baseline::{Baselines, baselines};
pub use evaluate::{HeldOutLoss, evaluate};
pub use model::{Storage, TrainedModel};
pub use trainer::{Checkpoint, Event, Trainer};

use crate::error::{Error, Result};

/// Seed of the masks of every evaluation.
pub(crate) const EVALUATION_SEED: u64 = 0;

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
    Epochs(u64),
}

/// The first steps train on large groups alone. What their many members share is a strong signal, from which a small
/// model learns to attend by position and content; on all groups at once it stays at residue frequencies for tens of
/// millions of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Focus {
    pub steps: u64,
    pub min_members: u32,
}

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOptions {
    pub seed: u64,
    pub length: Length,
    /// Micro-batches in a step; the result depends on it, and not on the threads
    pub micro_batches: usize,
    /// Tokens in a micro-batch at most (a longer record is one of its own)
    pub batch_tokens: usize,
    pub peak_lr: f64,
    /// Steps until the peak
    pub warmup: u64,
    pub weight_decay: f64,
    /// Global norm that gradients are clipped to
    pub clip: f64,
    /// A group with more members is thinned in each epoch
    pub balance: Option<u32>,
    /// Begin with the large groups
    pub focus: Option<Focus>,
    pub threads: usize,
    pub report_every: u64,
    pub validate_every: u64,
    pub checkpoint_every: Option<u64>,
}

impl TrainOptions {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// How far the training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    pub step: u64,
    pub steps: u64,
    pub epoch: u64,
    /// Mean loss in nats since the last report, under training masks
    pub train_loss: f64,
    /// Mean loss in nats on the held-out records, where it was measured
    pub valid_loss: Option<HeldOutLoss>,
    pub learning_rate: f64,
    pub gradient_norm: f64,
    /// Tokens trained on
    pub tokens: u64,
    pub seconds: f64,
}
