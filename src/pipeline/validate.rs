//! Which values a request's fields may have: one home for the rules, whether a request comes from flags or from JSON.

use super::request::{
    CurvatureRequest, ModelOptions, ObjectiveOptions, PruneRequest, ScoreOptions, ScoreRequest,
    SelectRequest, StrategyOptions,
};
use crate::error::{Code, Error};
use crate::groups::{GroupOptions, GroupSource};
use crate::influence::{Estimator, Objective};
use crate::selection::Strategy;
use crate::sequence::InputOptions;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

/// More threads than any machine has; a typing error would otherwise start them.
pub(super) const THREADS: RangeInclusive<u64> = 0..=1024;
/// The upper end is far beyond what helps (a batch of 4 GiB of activations for a model of 1024 wide).
pub(super) const MAX_BATCH_TOKENS: RangeInclusive<u64> = 1..=1_048_576;
/// Up to 1 PiB.
pub(super) const SCRATCH_MIB: RangeInclusive<u64> = 0..=1 << 30;
pub(super) const MASK_PASSES: RangeInclusive<i64> = 1..=7;
pub(super) const STRATA: RangeInclusive<i64> = 1..=100_000;
const EXCLUDE_TOP: Range<f64> = 0.0..1.0;

const SCORES_SUFFIXES: &[&str] = &[".parquet", ".tsv", ".tsv.gz"];
const CURVATURE_SUFFIXES: &[&str] = &[".safetensors"];

/// A field whose value is not allowed, and what is.
#[derive(Debug, PartialEq)]
pub struct InvalidField {
    /// The field's name in JSON; the flag is the same with hyphens
    pub field: &'static str,
    /// What is wrong with it, and what is allowed; does not repeat the field's name
    pub message: String,
}

impl From<InvalidField> for Error {
    fn from(invalid: InvalidField) -> Self {
        Error::new(Code::InvalidRequest, format!("{}: {}", invalid.field, invalid.message))
    }
}

type Checked = Result<(), InvalidField>;

fn invalid(field: &'static str, message: impl Into<String>) -> Checked {
    Err(InvalidField { field, message: message.into() })
}

fn within<T: PartialOrd + Display>(field: &'static str, value: T, range: &RangeInclusive<T>) -> Checked {
    if range.contains(&value) {
        return Ok(());
    }
    invalid(field, format!("{value} is not allowed; allowed are {} to {}", range.start(), range.end()))
}

fn named(field: &'static str, locations: &[String]) -> Checked {
    if locations.is_empty() {
        return invalid(field, "at least one location is needed");
    }
    locations.iter().try_for_each(|location| not_empty(field, location))
}

fn not_empty(field: &'static str, text: &str) -> Checked {
    if text.is_empty() { invalid(field, "an empty text is not allowed") } else { Ok(()) }
}

fn ends_in(field: &'static str, name: &str, suffixes: &[&str]) -> Checked {
    if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
        return Ok(());
    }
    invalid(field, format!("{name:?} is not allowed; allowed are names ending in {}", suffixes.join(", ")))
}

impl ModelOptions {
    fn validate(&self) -> Checked {
        not_empty("model", &self.model)?;
        within("threads", self.threads as u64, &THREADS)?;
        within("max_batch_tokens", self.max_batch_tokens as u64, &MAX_BATCH_TOKENS)?;
        within("scratch_mib", self.scratch_mib, &SCRATCH_MIB)
    }
}

impl ObjectiveOptions {
    fn validate(&self) -> Checked {
        within("mask_passes", i64::from(self.mask_passes), &MASK_PASSES)
    }
}

impl StrategyOptions {
    fn validate(&self, groups: &GroupOptions) -> Checked {
        within("strata", i64::from(self.strata), &STRATA)?;
        if let Some(share) = self.exclude_top.filter(|share| !EXCLUDE_TOP.contains(share)) {
            return invalid(
                "exclude_top",
                format!("{share} is not allowed; allowed is a share from 0 up to, and not including, 1"),
            );
        }
        if groups.groups_columns.is_some() && !matches!(groups.groups, Some(GroupSource::Table(_))) {
            return invalid("groups_columns", "allowed only with a table of groups");
        }
        self.check_matched()?;
        match (self.strategy, &self.match_selection) {
            (Strategy::RandomMatched, None) => {
                invalid("match", "the strategy random-matched needs the selection to match")
            }
            (Strategy::RandomMatched, Some(selection)) => not_empty("match", selection),
            (_, Some(_)) => invalid("match", "allowed only with the strategy random-matched"),
            (_, None) => Ok(()),
        }
    }
}

impl InputOptions {
    fn validate(&self) -> Checked {
        not_empty("id_column", &self.id_column)?;
        not_empty("sequence_column", &self.sequence_column)
    }
}

/// The published program counts a pad once for each token it stands for: products of different positions have no
/// meaning there.
pub(super) fn check_estimator(objective: &ObjectiveOptions, score: &ScoreOptions) -> Checked {
    if objective.objective == Objective::PaperCode && score.estimator != Estimator::Plain {
        return invalid(
            "estimator",
            "the objective paper-code allows the estimator plain alone (see the preset paper)",
        );
    }
    Ok(())
}

impl PruneRequest {
    /// Whether each field has an allowed value, and the fields go together.
    pub fn validate(&self) -> Result<(), InvalidField> {
        named("inputs", &self.inputs)?;
        not_empty("output", &self.output)?;
        let settled = self.settled()?;
        check_estimator(&settled.objective, &settled.score)?;
        self.model.validate()?;
        self.objective.validate()?;
        self.strategy.validate(&self.groups)?;
        self.input.validate()
    }
}

impl CurvatureRequest {
    /// Whether each field has an allowed value, and the fields go together.
    pub fn validate(&self) -> Result<(), InvalidField> {
        named("inputs", &self.inputs)?;
        ends_in("output", &self.output, CURVATURE_SUFFIXES)?;
        self.settled()?;
        self.model.validate()?;
        self.objective.validate()?;
        self.input.validate()
    }
}

impl ScoreRequest {
    /// Whether each field has an allowed value, and the fields go together.
    pub fn validate(&self) -> Result<(), InvalidField> {
        named("inputs", &self.inputs)?;
        ends_in("output", &self.output, SCORES_SUFFIXES)?;
        if let Some(curvature) = &self.curvature {
            not_empty("curvature", curvature)?;
            if self.adapt {
                return invalid(
                    "adapt",
                    "not allowed with a curvature, which was estimated without adapting",
                );
            }
        }
        let settled = self.settled()?;
        check_estimator(&settled.objective, &settled.score)?;
        self.model.validate()?;
        self.objective.validate()?;
        self.input.validate()
    }
}

impl SelectRequest {
    /// Whether each field has an allowed value, and the fields go together.
    pub fn validate(&self) -> Result<(), InvalidField> {
        named("scores", &self.scores)?;
        not_empty("output", &self.output)?;
        self.sequences.iter().try_for_each(|location| not_empty("sequences", location))?;
        self.strategy.validate(&self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn prune(field: &str, value: Value) -> PruneRequest {
        let mut body = json!({"inputs": ["s3://b/rna.fa"], "output": "s3://b/out/", "keep": "1%"});
        body[field] = value;
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_request_of_defaults_is_allowed() {
        assert_eq!(prune("keep", json!("1%")).validate(), Ok(()));
    }

    #[test]
    fn each_field_out_of_its_range_is_named_with_what_is_allowed() {
        for (field, value) in [
            ("inputs", json!([])),
            ("inputs", json!([""])),
            ("output", json!("")),
            ("model", json!("")),
            ("threads", json!(1025)),
            ("max_batch_tokens", json!(0)),
            ("max_batch_tokens", json!(1_048_577)),
            ("scratch_mib", json!((1u64 << 30) + 1)),
            ("mask_passes", json!(0)),
            ("mask_passes", json!(8)),
            ("strata", json!(0)),
            ("strata", json!(100_001)),
            ("exclude_top", json!(1.0)),
            ("exclude_top", json!(-0.1)),
            ("match", json!("s3://b/other/")),
            ("id_column", json!("")),
            ("groups_columns", json!("1,2")),
        ] {
            let invalid = prune(field, value.clone()).validate().unwrap_err();
            assert_eq!(invalid.field, field, "{value}");
            assert!(invalid.message.contains("allowed") || invalid.message.contains("needed"), "{invalid:?}");
        }
    }

    #[test]
    fn a_preset_and_another_value_of_what_it_sets_do_not_go_together() {
        assert_eq!(prune("preset", json!("paper")).validate(), Ok(()));
        for (field, value) in [("objective", "reconstruction"), ("sample", "7"), ("damping", "1")] {
            let mut request = prune("preset", json!("paper"));
            let with: PruneRequest = prune(field, json!(value));
            (request.objective, request.sample, request.score) = (with.objective, with.sample, with.score);
            assert_eq!(request.validate().unwrap_err().field, field);
        }
        assert_eq!(prune("objective", json!("paper-code")).validate().unwrap_err().field, "estimator");
    }

    #[test]
    fn a_matched_draw_needs_its_selection() {
        assert_eq!(prune("strategy", json!("random-matched")).validate().unwrap_err().field, "match");
    }

    #[test]
    fn outputs_of_one_file_are_told_by_their_ending() {
        let score = |output: &str| -> ScoreRequest {
            serde_json::from_value(json!({"inputs": ["a.fa"], "output": output})).unwrap()
        };
        assert_eq!(score("s3://b/scores.parquet").validate(), Ok(()));
        assert_eq!(score("scores.tsv.gz").validate(), Ok(()));
        assert_eq!(score("scores.csv").validate().unwrap_err().field, "output");
    }

    #[test]
    fn a_given_curvature_and_adapting_do_not_go_together() {
        let request: ScoreRequest = serde_json::from_value(
            json!({"inputs": ["a.fa"], "output": "s.tsv", "curvature": "c.safetensors", "adapt": true}),
        )
        .unwrap();
        assert_eq!(request.validate().unwrap_err().field, "adapt");
    }
}
