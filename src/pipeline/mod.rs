//! The jobs: each reads its inputs through `storage`, computes, and commits its outputs whole.
//!
//! Commands and endpoints call [`prune`], [`curvature`], [`score`], [`select`] and [`merge`] with a request and a
//! [`Context`]; they return a summary. These functions block: a service calls them from a thread of their own.

mod choose;
mod context;
mod coreset;
mod curvature;
mod embed;
mod estimate;
mod evaluate;
mod evidence;
mod finished;
mod groups;
mod kept;
mod memory;
mod merge;
mod partial_sum;
mod parts;
mod passes;
mod preset;
mod probe;
mod prune;
mod reading;
mod request;
mod rule;
mod sample;
mod score;
mod select;
mod session;
mod speed;
mod steps;
mod stored;
mod summary;
mod tracker;
mod train;
mod validate;
mod work_folder;
mod workers;

pub use crate::cancel::CancelToken;
pub use choose::AUTO;
pub use context::{CommitOptions, Context, Progress, ProgressSink, Stage};
pub use curvature::curvature;
pub use embed::{EmbedRequest, EmbedSummary, embed};
pub use evaluate::{
    Control, EvaluateRequest, EvaluateSummary, EvaluationProgress, HeldOutOptions, Protocol, TrainerOptions,
    evaluate,
};
pub use finished::{finished_prune, finished_select};
pub use merge::merge;
pub use preset::Preset;
pub use probe::{OnLeak, ProbeRequest, ProbeSummary, probe};
pub use prune::prune;
pub use request::{
    CurvatureRequest, MergeRequest, ModelOptions, ObjectiveOptions, PruneRequest, SampleOptions,
    ScoreOptions, ScoreRequest, SelectRequest, StrategyOptions,
};
pub use score::score;
pub use select::select;
pub use speed::{Speed, measure};
pub use summary::{
    Counts, CurvatureSummary, MergeSummary, PruneSummary, ScoreSummary, SelectSummary, TrainSummary,
};
pub use train::train;
pub use validate::InvalidField;
pub use work_folder::CommitTo;
