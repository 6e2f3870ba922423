//! Self-influence: closed-form gradients of the head's dense weight, their curvature, and the scores they give.
//!
//! For a record with scored positions S, `G = Σ_t δ[t] h[t]ᵀ` is the gradient of its mean cross entropy by the
//! head's dense weight (`[d, d]`), `F` the mean of `G∘G` over a sample of records, and
//!
//! - plain: `Σ G∘G / (F + damping)`
//! - debiased: `n/(n-1) Σ (G∘G - Q) / (F + damping)` with `Q = Σ_t (δ[t]∘δ[t]) (h[t]∘h[t])ᵀ`, n = |S|
//!
//! Positive, larger is more influential. Wu et al., AAAI 2026, arXiv 2512.12932, equations of section 3; the debiased
//! form is bioprune's own: an unbiased estimate of the squared expected gradient. Nothing here knows of files.

#[cfg(feature = "cuda")]
mod cuda;
mod curvature;
mod engine;
#[cfg(test)]
mod fuzz;
mod gradient;
mod options;
mod scorer;

#[cfg(test)]
pub(crate) use curvature::tests::metadata;
pub use curvature::{Curvature, CurvatureMetadata, CurvatureSum, ModelReference};
pub use engine::{Accumulator, Engine, RecordScorer};
pub use gradient::{Gradients, RecordGradient};
pub use options::{CurvatureForm, Damping, Estimator, Objective, Sample};
pub use scorer::{Score, Scorer, accumulate, accumulate_each};

use crate::batching::Example;
use crate::tokenizer::Tokenizer;

/// Tokens that the published program pads every record to, and cuts it at.
pub const PAPER_TOKENS: usize = 1024;

/// What is scored: the objective, its mask passes and the seed of its masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    pub objective: Objective,
    /// 1 to 7; only `masked-lm` looks at it.
    pub mask_passes: u8,
    pub seed: u64,
}

impl Task {
    /// How often a record goes through the encoder.
    pub fn passes(&self) -> usize {
        if self.objective == Objective::MaskedLm { self.mask_passes as usize } else { 1 }
    }

    /// What the model is shown of a record's tokens.
    pub fn example(&self, tokens: Vec<u32>, tokenizer: &Tokenizer) -> Example {
        match self.objective {
            Objective::MaskedLm => Example::masked(tokens, tokenizer, self.mask_passes, self.seed),
            Objective::Reconstruction => Example::unmasked(tokens),
            Objective::PaperCode => Example::padded(tokens, tokenizer, PAPER_TOKENS),
        }
    }
}
