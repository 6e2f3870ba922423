//! Probes: how much of what people label a linear model reads out of frozen embeddings.
//!
//! [`Labels`] is a table of labels, [`Targets`] what a label asks of a record: a class, a class for each residue, or the
//! partners of paired bases. Vectors go into [`Examples`], a sample of bounded size ([`Sample`]); [`choose`] finds the strength of
//! the regularization on whole groups that were left out, [`fit`] the multinomial logistic regression under it. What it
//! says of test records is counted group by group ([`Outcomes`]) and measured with bootstrap intervals. The same is done with
//! one-hot features in place of the embeddings, and with the commonest class alone: the baselines.
//!
//! Everything here is deterministic, whatever the number of threads.

mod components;
mod cross_validation;
mod examples;
mod features;
mod labels;
mod lbfgs;
mod logistic;
mod outcomes;
mod pairs;
mod sample;
mod structure;
mod targets;

pub use components::Components;
pub use cross_validation::{Chosen, FOLDS, choose, fold_of_groups};
pub use examples::{Examples, Scaling};
pub use features::{Codes, pooled, window};
pub use labels::{Label, LabelOptions, Labels, Split};
pub use logistic::{Probe, fit};
pub use outcomes::{Difference, Finding, Interval, Metric, Outcomes, PerClass, difference};
pub use pairs::{NEAREST, Pairing, distance_features, matched, pair_of_bases, pair_of_states};
pub use sample::Sample;
pub use targets::{PAIRED, Targets, Task};
