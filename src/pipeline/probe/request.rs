//! What can be asked of a probe.

use super::super::ModelOptions;
use crate::groups::GroupOptions;
use crate::parse_share;
use crate::probe::{LabelOptions, Task};
use crate::sequence::InputOptions;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Measure what a linear model reads out of the frozen embeddings, from labels, beside what it reads out of the sequence itself.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    pub inputs: Vec<String>,

    /// Directory or prefix for the results
    #[arg(short, long)]
    pub output: String,

    /// What is told from the embeddings
    #[arg(long, value_enum)]
    pub task: Task,

    #[command(flatten)]
    #[serde(flatten)]
    pub labels: LabelOptions,

    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupOptions,

    /// Where the table has no splits: share of the records that is held out to measure on, in (0, 1), as whole groups (of
    /// --groups, else of near-duplicates)
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_share)]
    pub holdout: f64,

    /// What is done where splits of the table share a sequence or a group
    #[arg(long, value_enum, default_value = "refuse")]
    pub on_leak: OnLeak,

    /// Most vectors to fit on; of more residues or pairs than these a random sample is taken. Memory is about 4 bytes for each of
    /// their numbers
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    pub max_examples: u64,

    /// Of the split, where none is given, and of the sample
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// What becomes of splits that leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnLeak {
    /// Nothing is computed
    Refuse,
    /// What is trained on goes: records that share a sequence or a group with the test split leave train and valid, and those
    /// that share one with valid leave train
    Drop,
}
