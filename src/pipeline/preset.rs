//! Options of a publication under one name.

use super::request::{
    CurvatureRequest, ObjectiveOptions, PruneRequest, SampleOptions, ScoreOptions, ScoreRequest,
};
use super::validate::InvalidField;
use crate::influence::{Damping, Estimator, Objective, Sample};
use serde::{Deserialize, Serialize};

/// Sets the options that define a score; none of them may be given another value beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// As published (Wu et al. 2026) and computed by its program: objective paper-code, estimator plain, damping 1e-8,
    /// curvature over all records
    Paper,
}

impl Preset {
    fn objective(self, options: &mut ObjectiveOptions) -> Result<(), InvalidField> {
        let default = ObjectiveOptions::default();
        set("objective", &mut options.objective, default.objective, Objective::PaperCode)
    }

    fn sample(self, options: &mut SampleOptions) -> Result<(), InvalidField> {
        set("sample", &mut options.sample, SampleOptions::default().sample, Sample::All)
    }

    fn score(self, options: &mut ScoreOptions) -> Result<(), InvalidField> {
        let default = ScoreOptions::default();
        set("estimator", &mut options.estimator, default.estimator, Estimator::Plain)?;
        set("damping", &mut options.damping, default.damping, Damping::Absolute(1e-8))
    }
}

/// A field that still has its default takes the preset's value; one that was given another is refused.
fn set<T: PartialEq>(field: &'static str, value: &mut T, default: T, preset: T) -> Result<(), InvalidField> {
    if *value != preset && *value != default {
        return Err(InvalidField { field, message: "the preset sets it; allowed is to leave it out".into() });
    }
    *value = preset;
    Ok(())
}

impl PruneRequest {
    /// The request with its preset's values filled in.
    pub(super) fn settled(&self) -> Result<Self, InvalidField> {
        let mut request = self.clone();
        if let Some(preset) = self.preset {
            preset.objective(&mut request.objective)?;
            preset.sample(&mut request.sample)?;
            preset.score(&mut request.score)?;
        }
        Ok(request)
    }
}

impl CurvatureRequest {
    /// The request with its preset's values filled in.
    pub(super) fn settled(&self) -> Result<Self, InvalidField> {
        let mut request = self.clone();
        if let Some(preset) = self.preset {
            preset.objective(&mut request.objective)?;
            preset.sample(&mut request.sample)?;
        }
        Ok(request)
    }
}

impl ScoreRequest {
    /// The request with its preset's values filled in.
    pub(super) fn settled(&self) -> Result<Self, InvalidField> {
        let mut request = self.clone();
        if let Some(preset) = self.preset {
            preset.objective(&mut request.objective)?;
            preset.sample(&mut request.sample)?;
            preset.score(&mut request.score)?;
        }
        Ok(request)
    }
}
