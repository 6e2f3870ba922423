//! What a finished job leaves for its reader: `manifest.json`, every fact for a program, and `report.html`, the facts
//! and plots for a person.
//!
//! A job fills in one [`Manifest`] and, record by record, a [`Distribution`] of the influence and one of the lengths;
//! [`render`] makes the page out of them. An [`Evaluation`] is what comparing coresets leaves, a [`ProbeResult`] what probing
//! embeddings does. A page is one file without scripts or anything to load.

mod axis;
mod confounds;
mod distribution;
mod evaluation;
mod evaluation_page;
mod findings;
#[cfg(test)]
mod fixture;
mod forest;
mod manifest;
mod page;
mod plot;
mod probe;
mod probe_page;
pub mod quantity;
mod tables;

pub use distribution::{Both, Distribution, Histogram, Stats};
pub use evaluation::{
    ConditionResult, Evaluation, HeldOutSet, Pair, TrainingResult, comparisons_tsv, losses_tsv,
};
pub use evaluation_page::render_evaluation;
pub use findings::findings;
pub use manifest::{
    GroupFacts, InputFile, Manifest, OutputFile, SCHEMA_VERSION, Scoring, Selection, SetSize, Stratum, Tool,
    utc,
};
pub use page::render;
pub use probe::{
    ClassFacts, Fit, LeftOut, Measured, Predictor, ProbeComparison, ProbeResult, SplitFacts, metrics_tsv,
};
pub use probe_page::render_probe;

use serde::{Deserialize, Serialize};

/// All that the page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The facts; its `outputs` are those that were written before the page
    pub manifest: Manifest,
    /// Influence of the records in the pool, and of those kept
    pub influence: Histogram,
    /// Lengths in residues, likewise
    pub length: Histogram,
}
