//! What can be asked of an evaluation.

use super::super::{ModelOptions, SampleOptions};
use crate::error::{Error, Result};
use crate::influence::{Damping, Estimator, Objective};
use crate::model::{Dimensions, esm2, rna_fm};
use crate::selection::{Budget, Strategy};
use crate::sequence::InputOptions;
use crate::tokenizer::{self, Alphabet, Tokenizer};
use crate::train::{Length, SplitOptions, TrainOptions, TrainedModel};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Train the same small model on the coreset and on its controls, and tell whether the coreset is better.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    pub inputs: Vec<String>,

    /// Directory or prefix for the results; an evaluation that was stopped goes on from what is there
    #[arg(short, long)]
    pub output: String,

    /// Budgets, separated by commas: records (200000), share of the records (1%) or residues (50Mres)
    #[arg(long, short = 'k', value_delimiter = ',', required = true)]
    pub keep: Vec<Budget>,

    /// Strategies to evaluate, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "top-k,coverage")]
    pub strategies: Vec<Strategy>,

    /// Coresets that are there already: folders of `prune` and `select`, or sequence files, made from the same inputs
    #[arg(long, value_name = "CORESET", num_args = 1..)]
    pub selection: Vec<String>,

    /// What the coresets are compared with, separated by commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "records,residues,lengths,ten-times,everything"
    )]
    pub controls: Vec<Control>,

    /// Trainings of each condition, each under a seed of its own; a verdict takes 3
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: u32,

    /// The first seed; also that of the split and of the scores
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Objectives to score by, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "masked-lm")]
    pub objectives: Vec<Objective>,

    /// Estimators to score by, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "debiased")]
    pub estimators: Vec<Estimator>,

    /// Mask passes of masked-lm, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "7", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub mask_passes: Vec<u8>,

    /// Added to the curvature: absolute (1e-8) or a multiple of its mean (0.1x)
    #[arg(long, default_value = "0.1x")]
    pub damping: Damping,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub sample: SampleOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub held_out: HeldOutOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub trainer: TrainerOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// What the trained models are measured on: groups that are in no condition.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Held-out records")]
pub struct HeldOutOptions {
    /// A record's group (its family) is its header up to this character
    #[arg(long, value_name = "CHAR")]
    pub group_separator: Option<char>,

    /// Table that tells each record's group instead: tab-separated, the id first, in any compression
    #[arg(long, value_name = "FILE", conflicts_with = "group_separator")]
    pub groups: Option<String>,

    /// Column of --groups by the name in its first line; without it the second column is taken
    #[arg(long, value_name = "NAME", requires = "groups")]
    pub group_column: Option<String>,

    /// Groups whose headers name the same KEY=VALUE stay together when groups are held out (`-` is no value)
    #[arg(long, value_name = "KEY", requires = "group_separator")]
    pub group_tag: Option<String>,

    /// Share of the groups that is held out whole, in (0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub holdout: f64,

    /// Share of the records of the other groups that is held out as well, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub holdout_records: f64,
}

impl HeldOutOptions {
    /// The split that is asked for.
    pub(super) fn split(&self) -> Result<SplitOptions> {
        let allowed = |name: &str, share: f64, allowed: bool| match allowed {
            true => Ok(share),
            false => Err(Error::usage(format!(
                "--{name} {share}: allowed are shares below 1 (and above 0 of groups)"
            ))),
        };
        if self.group_separator.is_none() && self.groups.is_none() {
            return Err(Error::usage(
                "whole groups are held out, never single near-duplicates: --group-separator or --groups tells the groups",
            ));
        }
        Ok(SplitOptions {
            group_separator: self.group_separator,
            groups: self.groups.clone(),
            group_column: self.group_column.clone(),
            group_tag: self.group_tag.clone(),
            holdout: allowed("holdout", self.holdout, self.holdout > 0.0 && self.holdout < 1.0)?,
            holdout_records: allowed(
                "holdout-records",
                self.holdout_records,
                (0.0..1.0).contains(&self.holdout_records),
            )?,
        })
    }
}

/// What a coreset is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// A random draw of as many records
    Records,
    /// A random draw of as many residues
    Residues,
    /// A random draw of as many records with the same lengths
    Lengths,
    /// A random draw of ten times as many records
    TenTimes,
    /// All records
    Everything,
}

/// How long the trainings are, and how large the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// For a first look: 2 layers of size 32, 0.4 M tokens
    Quick,
    /// 3 layers of size 64, 2.4 M tokens
    Standard,
}

/// The trainer, the same for every condition.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Trainer")]
pub struct TrainerOptions {
    /// Sizes of the model and of its training; the flags below change one each
    #[arg(long, value_enum, default_value = "standard")]
    pub preset: Protocol,

    /// Steps of a training
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..))]
    pub steps: Option<u64>,

    /// Tokens in a step
    #[arg(long, value_parser = clap::value_parser!(u32).range(64..))]
    pub step_tokens: Option<u32>,

    /// Learning rate at its peak
    #[arg(long, default_value_t = 3e-3)]
    pub learning_rate: f64,

    /// Number of layers
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub layers: Option<u32>,

    /// Size of a hidden state; the feed-forward layers have four times as much
    #[arg(long, value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub hidden_size: Option<u32>,

    /// Attention heads
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub heads: u32,

    /// Longest input in tokens, with the special ones
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub max_tokens: u32,
}

const MICRO_BATCHES: usize = 4;
/// Points of a learning curve.
pub(super) const CURVE_POINTS: u64 = 12;

impl TrainerOptions {
    /// Steps of a training and tokens of a step.
    fn steps(&self) -> (u64, u32) {
        let (steps, tokens) = match self.preset {
            Protocol::Quick => (400, 1024),
            Protocol::Standard => (1200, 2048),
        };
        (self.steps.unwrap_or(steps), self.step_tokens.unwrap_or(tokens))
    }

    /// How the training of one seed goes, on one thread.
    pub(super) fn options(&self, seed: u64, threads: usize) -> Result<TrainOptions> {
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::usage(format!(
                "--learning-rate {}: allowed is a positive number",
                self.learning_rate
            )));
        }
        let (steps, step_tokens) = self.steps();
        let every = steps.div_ceil(CURVE_POINTS);
        Ok(TrainOptions {
            seed,
            length: Length::Steps(steps),
            hairpin_steps: 0,
            crop: None,
            micro_batches: MICRO_BATCHES,
            batch_tokens: step_tokens as usize / MICRO_BATCHES,
            peak_lr: self.learning_rate,
            warmup: steps / 10,
            weight_decay: 0.01,
            clip: 1.0,
            balance: None,
            threads,
            report_every: every,
            measure_every: every,
            checkpoint_every: None,
        })
    }

    /// Random weights of one seed.
    pub(super) fn start(&self, alphabet: Alphabet, seed: u64) -> Result<TrainedModel> {
        let (layers, hidden) = match self.preset {
            Protocol::Quick => (2, 32),
            Protocol::Standard => (3, 64),
        };
        let hidden = self.hidden_size.unwrap_or(hidden);
        // rotary positions turn pairs
        if !hidden.is_multiple_of(2 * self.heads) {
            return Err(Error::usage(format!(
                "--hidden-size {hidden} --heads {}: allowed are sizes that are a multiple of {}",
                self.heads,
                2 * self.heads
            )));
        }
        let dimensions = Dimensions {
            num_hidden_layers: self.layers.unwrap_or(layers) as usize,
            hidden_size: hidden as usize,
            num_attention_heads: self.heads as usize,
            intermediate_size: 4 * hidden as usize,
            max_positions: self.max_tokens as usize,
        };
        let architecture = match alphabet {
            Alphabet::Nucleotides => rna_fm::architecture(dimensions),
            Alphabet::AminoAcids => esm2::architecture(dimensions),
        };
        TrainedModel::random(&architecture, seed)
    }

    /// The alphabet of the trained model.
    pub(super) fn tokenizer(alphabet: Alphabet) -> Tokenizer {
        match alphabet {
            Alphabet::Nucleotides => tokenizer::rna_fm(),
            Alphabet::AminoAcids => tokenizer::esm2(),
        }
    }
}
