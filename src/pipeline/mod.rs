//! The jobs: each reads its inputs through `storage`, computes, and commits its outputs whole.
//!
//! Commands and endpoints call [`prune`], [`curvature`], [`score`], [`select`] and [`merge`] with a request and a
//! [`Context`]; they return a summary. These functions block: a service calls them from a thread of their own.

mod context;
mod request;
mod summary;
mod validate;

pub use context::{CancelToken, Context, Progress, ProgressSink, Stage};
pub(crate) use request::default_from_flags;
pub use request::{
    CurvatureRequest, MergeRequest, ModelOptions, ObjectiveOptions, PruneRequest, SampleOptions,
    ScoreOptions, ScoreRequest, SelectRequest, StrategyOptions,
};
pub use summary::{Counts, CurvatureSummary, MergeSummary, PruneSummary, ScoreSummary, SelectSummary};
pub use validate::InvalidField;

use crate::error::{Error, Result};

pub fn prune(_request: &PruneRequest, _context: &Context) -> Result<PruneSummary> {
    Err(Error::internal("prune is being written"))
}

pub fn curvature(_request: &CurvatureRequest, _context: &Context) -> Result<CurvatureSummary> {
    Err(Error::internal("curvature is being written"))
}

pub fn score(_request: &ScoreRequest, _context: &Context) -> Result<ScoreSummary> {
    Err(Error::internal("score is being written"))
}

pub fn select(_request: &SelectRequest, _context: &Context) -> Result<SelectSummary> {
    Err(Error::internal("select is being written"))
}

pub fn merge(_request: &MergeRequest, _context: &Context) -> Result<MergeSummary> {
    Err(Error::internal("merge is being written"))
}
