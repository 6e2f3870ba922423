//! The jobs: each reads its inputs through `storage`, computes, and commits its outputs whole.
//!
//! Commands and endpoints call [`prune`], [`curvature`], [`score`], [`select`] and [`merge`] with a request and a
//! [`Context`]; they return a summary. These functions block: a service calls them from a thread of their own.

mod context;
mod request;
mod summary;

pub use context::{CancelToken, Context, Progress, ProgressSink, Stage};
pub(crate) use request::default_from_flags;
pub use request::{
    CurvatureRequest, ModelOptions, ObjectiveOptions, PruneRequest, SampleOptions, ScoreOptions, ScoreRequest,
    SelectRequest, StrategyOptions,
};
pub use summary::{Counts, CurvatureSummary, PruneSummary, ScoreSummary, SelectSummary};
