//! What can be asked for. One struct for each command serves as its flags, its JSON body and its OpenAPI schema:
//! a request's fields are the long flags in snake case.

use super::Preset;
use super::choose::AUTO;
use super::validate::{MASK_PASSES, MAX_BATCH_TOKENS, SCRATCH_MIB, STRATA, THREADS};
use crate::groups::GroupOptions;
use crate::influence::{CurvatureForm, Damping, Estimator, Objective, Sample};
use crate::model::{DeviceChoice, PrecisionChoice};
use crate::selection::{Budget, By, Cap, Shares, Strategy, StratifyBy};
use crate::sequence::{InputOptions, Shard};
use crate::{default_from_flags, parse_share};
use clap::Args;
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

/// Which model scores, and with what resources.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModelOptions {
    /// Reference model: a registry name (see `bioprune models list`); a directory or file, local or in object storage;
    /// or owner/name or owner/name@revision on the Hugging Face Hub. `auto` takes rna-nano or protein-nano, by the letters of the first records
    #[arg(long, env = "BIOPRUNE_MODEL", default_value = AUTO)]
    pub model: String,

    /// Where the model computes: `auto` (a GPU that answers, else the CPU), `cpu`, `cuda` or `cuda:N`
    #[arg(long, env = "BIOPRUNE_DEVICE", default_value = "auto")]
    #[schema(value_type = String, example = "auto", pattern = r"^(auto|cpu|cuda(:[0-9]+)?)$")]
    pub device: DeviceChoice,

    /// Precision of the encoder; the head, all sums and the scores are in f32 and wider
    #[arg(long, env = "BIOPRUNE_PRECISION", value_enum, default_value = "auto")]
    pub precision: PrecisionChoice,

    /// Compute threads; 0 takes what the machine or its cgroup grants
    #[arg(long, env = "BIOPRUNE_THREADS", default_value_t = 0, value_parser = in_range(THREADS))]
    #[schema(minimum = 0, maximum = 1024)]
    pub threads: usize,

    /// Tokens that are computed together by one thread, eight times as many (mask passes counted) on a GPU; bounds memory,
    /// never changes a score
    #[arg(long, env = "BIOPRUNE_MAX_BATCH_TOKENS", default_value_t = 4096, value_parser = in_range(MAX_BATCH_TOKENS))]
    #[schema(minimum = 1, maximum = 1_048_576)]
    pub max_batch_tokens: usize,

    /// MiB of a temporary file (in TMPDIR) for the gradients of the curvature sample, which are then not computed
    /// again for the scores; at most a quarter of what is free there; never changes a score
    #[arg(long, env = "BIOPRUNE_SCRATCH_MIB", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(SCRATCH_MIB))]
    #[schema(minimum = 0, maximum = 1_073_741_824)]
    pub scratch_mib: u64,
}

/// What is scored: masks, positions and the seed of every random choice.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ObjectiveOptions {
    /// What is masked, and which positions count
    #[arg(long, value_enum, default_value = "masked-lm")]
    pub objective: Objective,

    /// Mask passes of masked-lm, 1 to 7: with all 7 every residue is masked once; fewer are faster and noisier
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(MASK_PASSES))]
    #[schema(minimum = 1, maximum = 7)]
    pub mask_passes: u8,

    /// Seed of every random choice: masks, curvature sample and draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// How the curvature is estimated.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SampleOptions {
    /// Records that the curvature is estimated on: a number, a percentage, or `all`
    #[arg(long, default_value = "5000")]
    #[schema(value_type = String, example = "5000", pattern = r"^(all|[0-9]+|[0-9.]+%)$")]
    pub sample: Sample,

    /// The form of the curvature
    #[arg(long = "curvature-form", value_enum, default_value = "diagonal")]
    pub curvature_form: CurvatureForm,
}

/// How a score is computed from a gradient and the curvature.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ScoreOptions {
    /// How the squared gradient is estimated
    #[arg(long, value_enum, default_value = "debiased")]
    pub estimator: Estimator,

    /// Added to the curvature: absolute (1e-8) or a multiple of its mean (0.1x)
    #[arg(long, default_value = "0.1x")]
    #[schema(value_type = String, example = "0.1x", pattern = r"^[0-9.]+([eE][+-]?[0-9]+)?x?$")]
    pub damping: Damping,
}

/// Which records are kept: a named strategy, and what is to be other than it says.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StrategyOptions {
    /// How records are chosen
    #[arg(long, value_enum, default_value = "balanced")]
    pub strategy: Strategy,

    /// Share of the highest influence that is left out, in [0, 1); 0.1 for `coverage`, else 0
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    #[schema(minimum = 0.0, exclusive_maximum = 1.0)]
    pub exclude_top: Option<f64>,

    /// Records of a group (--groups) that are taken before any more of it are: a number, or `auto`, which is 1. Where that
    /// leaves fewer than the budget, groups take another turn of as many, and so on. `auto` for `balanced`, else no cap
    #[arg(long, value_name = "N|auto")]
    #[schema(value_type = Option<String>, example = "auto", pattern = r"^(auto|[1-9][0-9]*)$")]
    pub cap_per_group: Option<Cap>,

    /// What the records are stratified by; `influence` for `coverage`, `length` for `balanced` and `random-matched`,
    /// else `none`
    #[arg(long, value_enum)]
    pub stratify: Option<StratifyBy>,

    /// How the budget is shared out over the strata; `proportional` for `balanced`, else `smallest-first`
    #[arg(long, value_enum)]
    pub budget: Option<Shares>,

    /// Which records of a stratum are picked; `highest` for `top-k` and `balanced`, else `random`
    #[arg(long, value_enum)]
    pub pick: Option<By>,

    /// Number of strata by influence
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(STRATA))]
    #[schema(minimum = 1, maximum = 100_000)]
    pub strata: u32,

    /// Strata by influence of equal record counts instead of equal score width
    #[arg(long)]
    pub equal_count: bool,

    /// For `random-matched`: the selection (folder or selected.tsv) whose length distribution is matched
    #[arg(long = "match", value_name = "SELECTION")]
    #[serde(rename = "match")]
    pub match_selection: Option<String>,
}

fn in_range(range: RangeInclusive<u64>) -> impl TypedValueParser<Value = usize> {
    // within `THREADS` and `MAX_BATCH_TOKENS` no value is cut on a 32-bit machine
    RangedU64ValueParser::<u64>::new().range(range).map(|value| value as usize)
}

/// The whole job: curvature, scores, selection and the coreset.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
pub struct PruneRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    #[schema(min_items = 1)]
    pub inputs: Vec<String>,

    /// Directory or prefix for the results
    #[arg(short, long)]
    pub output: String,

    /// Budget: records (200000), share of records (1%) or residues (50Mres)
    #[arg(long, short = 'k')]
    #[schema(value_type = String, example = "10%", pattern = r"^([0-9]+|[0-9.]+%|[0-9.]+[kMG]?res)$")]
    pub keep: Budget,

    /// Fine-tune the reference model for one epoch on the curvature sample first (the paper's assumption 1)
    #[arg(long)]
    #[serde(default)]
    pub adapt: bool,

    /// Options of a publication: sets those that define a score
    #[arg(long, value_enum, conflicts_with_all = ["objective", "mask_passes", "sample", "estimator", "damping"])]
    #[serde(default)]
    pub preset: Option<Preset>,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub objective: ObjectiveOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub sample: SampleOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub score: ScoreOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub strategy: StrategyOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// Estimate the curvature on a random sample of the records.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
pub struct CurvatureRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    #[schema(min_items = 1)]
    pub inputs: Vec<String>,

    /// Curvature file to write (.safetensors)
    #[arg(short, long)]
    pub output: String,

    /// Only this part of the records: I/N, counted from 1; `bioprune merge` adds the parts up
    #[arg(long)]
    #[schema(value_type = Option<String>, example = "1/8", pattern = r"^[0-9]+/[0-9]+$")]
    #[serde(default)]
    pub shard: Option<Shard>,

    /// Options of a publication: sets those that define a score
    #[arg(long, value_enum, conflicts_with_all = ["objective", "mask_passes", "sample"])]
    #[serde(default)]
    pub preset: Option<Preset>,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub objective: ObjectiveOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub sample: SampleOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// Score every record by its self-influence.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
pub struct ScoreRequest {
    /// Sequence files, directories, globs or prefixes, local or in object storage
    #[arg(required = true)]
    #[schema(min_items = 1)]
    pub inputs: Vec<String>,

    /// Scores file to write (.parquet, .tsv or .tsv.gz)
    #[arg(short, long)]
    pub output: String,

    /// Curvature file of `bioprune curvature`; without it the curvature is estimated on --sample records first
    #[arg(long, conflicts_with_all = ["sample", "curvature_form"])]
    #[serde(default)]
    pub curvature: Option<String>,

    /// Only this part of the records: I/N, counted from 1; `bioprune merge` puts the parts together
    #[arg(long)]
    #[schema(value_type = Option<String>, example = "1/8", pattern = r"^[0-9]+/[0-9]+$")]
    #[serde(default)]
    pub shard: Option<Shard>,

    /// Fine-tune the reference model for one epoch on the curvature sample first (the paper's assumption 1)
    #[arg(long, conflicts_with = "curvature")]
    #[serde(default)]
    pub adapt: bool,

    /// Options of a publication: sets those that define a score
    #[arg(long, value_enum, conflicts_with_all = ["objective", "mask_passes", "sample", "estimator", "damping"])]
    #[serde(default)]
    pub preset: Option<Preset>,

    #[command(flatten)]
    #[serde(flatten)]
    pub model: ModelOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub objective: ObjectiveOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub sample: SampleOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub score: ScoreOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub input: InputOptions,
}

/// Select a coreset of a given budget from scores.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
pub struct SelectRequest {
    /// Scores files (.parquet, .tsv, .tsv.gz), all of one scoring
    #[arg(required = true)]
    #[schema(min_items = 1)]
    pub scores: Vec<String>,

    /// Directory or prefix for the results
    #[arg(short, long)]
    pub output: String,

    /// Budget: records (200000), share of records (1%) or residues (50Mres)
    #[arg(long, short = 'k')]
    #[schema(value_type = String, example = "10%", pattern = r"^([0-9]+|[0-9.]+%|[0-9.]+[kMG]?res)$")]
    pub keep: Budget,

    /// Where the sequences are now; without it the sources that the scores name are read
    #[arg(long, num_args = 1..)]
    #[serde(default)]
    pub sequences: Vec<String>,

    /// Seed of the draws; without it the seed of the scores
    #[arg(long)]
    #[serde(default)]
    pub seed: Option<u64>,

    #[command(flatten)]
    #[serde(flatten)]
    pub strategy: StrategyOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub groups: GroupOptions,
}

default_from_flags!(ModelOptions, ObjectiveOptions, SampleOptions, ScoreOptions, StrategyOptions);

/// Put parts together: curvature files add up, scores files are joined in input order.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize, ToSchema)]
pub struct MergeRequest {
    /// All parts of one curvature (.safetensors) or of one scoring (.parquet, .tsv, .tsv.gz)
    #[arg(required = true)]
    #[schema(min_items = 1)]
    pub files: Vec<String>,

    /// File to write; byte for byte the one that an unsharded run writes
    #[arg(short, long)]
    pub output: String,
}
