//! Scores that no model made, for benches of what comes after the models.

use bioprune::influence::{CurvatureForm, Damping, Estimator, Objective};
use bioprune::scores::{CurvatureRef, ModelRef, SCHEMA_VERSION, ScoresMetadata};
use bioprune::sequence::{InputOptions, Source};

/// Pareto's tail, a quarter of it negative, out of a random number.
pub fn influence(hash: u64) -> f32 {
    let magnitude = f32::from_bits((120 + hash.trailing_zeros()) << 23 | (hash >> 41) as u32);
    if hash >> 39 & 3 == 0 { -magnitude } else { magnitude }
}

pub fn metadata(sources: Vec<Source>) -> ScoresMetadata {
    ScoresMetadata {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_string(),
        model: ModelRef { name: "synthetic".to_string(), digest: String::new() },
        engine: "cpu-f32".to_string(),
        objective: Objective::MaskedLm,
        mask_passes: 7,
        estimator: Estimator::Debiased,
        damping: Damping::Relative(0.1),
        seed: 0,
        curvature: CurvatureRef {
            form: CurvatureForm::Identity,
            digest: String::new(),
            records: 0,
            mean: 1.0,
        },
        input: InputOptions::default(),
        sources,
        shard: None,
    }
}
