//! What a probe leaves: `probe.json` with every number, a table for other programs, and its findings in words.

use super::Tool;
use crate::probe::{Difference, Interval, Metric, PerClass, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

/// All that a probe found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeResult {
    pub tool: Tool,
    /// What was asked for
    pub parameters: Value,
    pub model: String,
    pub model_digest: String,
    pub task: Task,
    /// Whether the splits were made here, by whole groups
    pub split_made: bool,
    /// How groups were told; absent where each record was its own
    pub groups: Option<String>,
    pub train: SplitFacts,
    pub valid: Option<SplitFacts>,
    pub test: SplitFacts,
    pub left_out: LeftOut,
    pub classes: Vec<ClassFacts>,
    pub predictors: Vec<Predictor>,
    /// The embedding's probe against each baseline, by each metric
    pub comparisons: Vec<ProbeComparison>,
    pub started: String,
    pub finished: String,
    pub seconds: f64,
}

/// A split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitFacts {
    pub records: u64,
    pub groups: u64,
    /// Sequences, residues or pairs of bases in it; of pairs to test, those that there are
    pub examples: u64,
    /// Examples of these that were fitted on or measured on
    pub used: u64,
}

/// What was not used, by reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Labels of ids that no record has
    pub labels_of_unknown_ids: u64,
    pub records_without_label: u64,
    /// Records whose sequence or group a later split has too
    pub leaks: u64,
    /// Records that the model cannot read, by reason
    pub skipped: BTreeMap<String, u64>,
    /// Records of which the model sees the first residues alone
    pub truncated: u64,
    /// Test examples of classes that no training label names: none says them, and they count as wrong
    pub of_unseen_classes: u64,
}

/// A class, and how well it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFacts {
    pub name: String,
    pub train: u64,
    pub test: u64,
    /// Absent without test examples
    pub embedding: Option<PerClass>,
    pub one_hot: Option<PerClass>,
}

/// What tells the classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    /// `embedding`, `one-hot` or `majority`
    pub name: String,
    pub metrics: Vec<Measured>,
    /// Of a probe
    pub fit: Option<Fit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub metric: Metric,
    #[serde(flatten)]
    pub interval: Interval,
}

/// How a probe was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Numbers in a vector
    pub features: u64,
    /// The L2 penalty that was chosen
    pub penalty: f64,
    /// Each penalty that was tried, with its held-out loss in nats
    pub losses: Vec<(f64, f64)>,
    /// Of pairs: the log-odds from which on a pair is made; absent where none is
    pub threshold: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbeComparison {
    pub condition: String,
    pub control: String,
    #[serde(flatten)]
    pub difference: Difference,
}

impl ProbeResult {
    /// One sentence for each comparison.
    pub fn findings(&self) -> Vec<String> {
        let sentence =
            |one: &ProbeComparison| format!("{} against {}: {}", one.condition, one.control, one.difference);
        self.comparisons.iter().map(sentence).collect()
    }
}

/// One line for each predictor and metric, and then for each comparison.
pub fn metrics_tsv(result: &ProbeResult) -> String {
    let mut tsv = "predictor\tcontrol\tmetric\tvalue\tlow\thigh\tfinding\n".to_string();
    let mut line = |name: &str, control: &str, metric: Metric, interval: &Interval, finding: &str| {
        let Interval { value, low, high } = interval;
        // writing to a String cannot fail
        let _ =
            writeln!(tsv, "{name}\t{control}\t{}\t{value:.6}\t{low:.6}\t{high:.6}\t{finding}", metric.name());
    };
    for predictor in &result.predictors {
        for one in &predictor.metrics {
            line(&predictor.name, "", one.metric, &one.interval, "");
        }
    }
    for one in &result.comparisons {
        let Difference { metric, interval, finding } = &one.difference;
        line(&one.condition, &one.control, *metric, interval, finding.name());
    }
    tsv
}
