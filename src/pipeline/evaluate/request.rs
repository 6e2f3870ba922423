//! What can be asked of an evaluation.

use super::super::{ModelOptions, SampleOptions};
use crate::error::{Error, Result};
use crate::groups::GroupSource;
use crate::influence::{Damping, Estimator, Objective};
use crate::model::{DeviceChoice, Dimensions, esm2, rna_fm};
use crate::parse_share;
use crate::selection::{Budget, Cap, Strategy};
use crate::sequence::InputOptions;
use crate::tokenizer::Alphabet;
use crate::train::{Length, Shares, SplitOptions, TrainOptions, TrainedModel};
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

    /// Budgets, separated by commas: records (200000), share of the records (1%) or residues (50Mres). Without any, nothing is
    /// scored: the coresets of --selection are evaluated alone
    #[arg(long, short = 'k', value_delimiter = ',', required_unless_present = "selection")]
    pub keep: Vec<Budget>,

    /// Strategies to evaluate, separated by commas, each with its own defaults
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        requires = "keep",
        default_value = "top-k,coverage,balanced"
    )]
    pub strategies: Vec<Strategy>,

    /// Coresets that are there already: folders of `prune` and `select`, or sequence files, made from the same inputs
    #[arg(long, value_name = "CORESET", num_args = 1..)]
    pub selection: Vec<String>,

    /// What the coresets are compared with, separated by commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "records,residues,lengths,composition,cap,ten-times,everything"
    )]
    pub controls: Vec<Control>,

    /// Trainings of each condition, each under a seed of its own; a verdict takes 3
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub seeds: u32,

    /// The first seed; also that of the split and of the scores
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Objectives to score by, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', requires = "keep", default_value = "masked-lm")]
    pub objectives: Vec<Objective>,

    /// Estimators to score by, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', requires = "keep", default_value = "debiased")]
    pub estimators: Vec<Estimator>,

    /// Mask passes of masked-lm, separated by commas
    #[arg(
        long,
        value_delimiter = ',',
        requires = "keep",
        default_value = "7",
        value_parser = clap::value_parser!(u8).range(1..=7)
    )]
    pub mask_passes: Vec<u8>,

    /// Added to the curvature: absolute (1e-8) or a multiple of its mean (0.1x)
    #[arg(long, default_value = "0.1x")]
    pub damping: Damping,

    /// Records of a group that `balanced` and the control `cap` take before any more of it: a number, or `auto`
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub cap_per_group: Cap,

    /// Draw the coresets of every strategy under that cap, not those of `balanced` alone
    #[arg(long)]
    #[serde(default)]
    pub cap_coresets: bool,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub sample: SampleOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub held_out: HeldOutOptions,
    /// Where the trainings compute: `cpu`, `cuda` or `cuda:N`, or `auto` (a GPU that answers, else the CPU)
    #[arg(long, default_value = "cpu", help_heading = "Trainer")]
    pub train_device: DeviceChoice,

    #[command(flatten)]
    #[serde(flatten)]
    pub trainer: TrainerOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

impl EvaluateRequest {
    /// The request with what was left to be chosen: without groups, those of near-duplicates, so that none is on two sides.
    pub(super) fn settled(&self) -> EvaluateRequest {
        let mut settled = self.clone();
        let groups = &mut settled.held_out.split.groups.groups;
        if groups.is_none() {
            log::warn!(
                "no groups were given: groups of near-duplicates are held out and capped (--groups near). Families or clusters, by \
                 --groups with a table or header:REGEX, are a harder test: near-duplicates leave out remote relatives"
            );
            *groups = Some(GroupSource::Near);
        }
        settled
    }
}

/// What the trained models are measured on: groups that are in no condition.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Held-out records")]
pub struct HeldOutOptions {
    #[command(flatten)]
    #[serde(flatten)]
    pub split: SplitOptions,

    /// Share of the groups that is held out whole, in (0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share)]
    pub holdout: f64,

    /// Share of the records of the other groups that is held out as well, in [0, 1)
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = parse_share)]
    pub holdout_records: f64,
}

impl HeldOutOptions {
    /// What is held out.
    ///
    /// # Errors
    /// `Usage` where no group is to be held out.
    pub(super) fn shares(&self) -> Result<Shares> {
        if self.holdout == 0.0 {
            return Err(Error::usage("--holdout 0: allowed is a share of the groups above 0 and below 1"));
        }
        Ok(Shares { groups: self.holdout, records: self.holdout_records })
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
    /// A random draw of as many records with the same lengths and the same share of G and C; of proteins, of hydrophobic and
    /// of charged residues
    Composition,
    /// A random draw of as many records under the cap of a group that `balanced` has
    Cap,
    /// A random draw of ten times as many records
    TenTimes,
    /// All records
    Everything,
}

/// How long the trainings are, and how large the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// For a first look: 2 layers of size 32, 1.2 M tokens
    Quick,
    /// 3 layers of size 64, 3 M tokens
    Standard,
}

/// The trainer, the same for every condition.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Trainer")]
pub struct TrainerOptions {
    /// Sizes of the model and of its training; the flags below change one each
    #[arg(long, value_enum, default_value = "standard")]
    pub preset: Protocol,

    /// Model that every training goes on from, whose shape then holds; without it each begins at random weights of its seed
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["layers", "hidden_size", "heads", "max_tokens"])]
    pub init: Option<String>,

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
const CURVE_POINTS: u64 = 12;

impl TrainerOptions {
    /// Steps of a training and tokens of a step.
    fn steps(&self) -> (u64, u32) {
        let (steps, tokens) = match self.preset {
            Protocol::Quick => (1200, 1024),
            Protocol::Standard => (1500, 2048),
        };
        (self.steps.unwrap_or(steps), self.step_tokens.unwrap_or(tokens))
    }

    /// How the training of one seed goes.
    pub(super) fn options(&self, seed: u64) -> Result<TrainOptions> {
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
            report_every: every,
            measure_every: every,
            checkpoint_every: None,
        })
    }

    /// Random weights of one seed.
    pub(super) fn random(&self, alphabet: Alphabet, seed: u64) -> Result<TrainedModel> {
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
}
