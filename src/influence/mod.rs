//! Scores: what they are made of.

mod options;
pub use options::{CurvatureForm, Damping, Estimator, Objective, Sample};
