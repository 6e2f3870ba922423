//! The choices that define a score: objective, estimator, curvature, damping and the curvature sample.

use crate::error::{Error, Result};
use crate::string_serde;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What is masked, and which positions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Systematic masks: every residue is masked once in 7 passes, and the masked residues count
    MaskedLm,
    /// Nothing is masked and every real token counts
    Reconstruction,
    /// As the published program computes it, for RNA-FM: inputs padded to 1024 tokens, the padding attended to and
    /// counted; needs the plain estimator (see --preset paper)
    PaperCode,
}

/// How the squared gradient is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// The paper's: sum of G∘G/(F+damping); holds a noise term of about 1/n for n scored positions
    Plain,
    /// Products of different positions only: free of that noise; may be negative
    Debiased,
}

/// The form of the curvature F.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CurvatureForm {
    /// The empirical diagonal Fisher: the mean of G∘G over the sample
    Diagonal,
    /// F = 1 everywhere: no curvature
    Identity,
}

/// What is added to the curvature before dividing by it: `1e-8` (absolute) or `0.1x` (times the mean of F).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damping {
    Absolute(f64),
    Relative(f64),
}

/// How many records the curvature is estimated on: `5000`, `10%` or `all`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample {
    Records(u64),
    /// A share in (0, 1].
    Share(f64),
    All,
}

impl FromStr for Damping {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, relative) = match text.strip_suffix('x') {
            Some(number) => (number, true),
            None => (text, false),
        };
        match number.parse::<f64>() {
            Ok(value) if value.is_finite() && value > 0.0 => {
                Ok(if relative { Damping::Relative(value) } else { Damping::Absolute(value) })
            }
            _ => Err(Error::usage(format!(
                "damping {text:?}: allowed are a positive number (1e-8) or a multiple of the mean curvature (0.1x)"
            ))),
        }
    }
}

impl fmt::Display for Damping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damping::Absolute(value) => write!(f, "{value}"),
            Damping::Relative(value) => write!(f, "{value}x"),
        }
    }
}

impl FromStr for Sample {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = if text == "all" {
            Some(Sample::All)
        } else if let Some(percent) = text.strip_suffix('%') {
            percent.parse().ok().filter(|p| *p > 0.0 && *p <= 100.0).map(|p: f64| Sample::Share(p / 100.0))
        } else {
            text.parse().ok().filter(|n| *n > 0).map(Sample::Records)
        };
        parsed.ok_or_else(|| {
            Error::usage(format!(
                "sample {text:?}: allowed are a number of records (5000), a percentage (10%) or `all`"
            ))
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sample::Records(n) => write!(f, "{n}"),
            Sample::Share(share) => write!(f, "{}%", share * 100.0),
            Sample::All => f.write_str("all"),
        }
    }
}

string_serde!(Damping, Sample);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_read_what_they_print() {
        for text in ["1e-8", "0.1x"] {
            let damping: Damping = text.parse().unwrap();
            assert_eq!(damping.to_string().parse::<Damping>().unwrap(), damping);
        }
        for text in ["5000", "10%", "all"] {
            assert_eq!(text.parse::<Sample>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for text in ["", "0", "-1", "x", "nan", "0x", "inf"] {
            assert!(text.parse::<Damping>().unwrap_err().message.contains("allowed"), "{text}");
        }
        for text in ["", "0", "0%", "101%", "-5", "some"] {
            assert!(text.parse::<Sample>().unwrap_err().message.contains("allowed"), "{text}");
        }
    }
}
