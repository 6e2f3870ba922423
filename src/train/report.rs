//! What a training tells: a line while it runs, and its losses at the end.

use super::{Baselines, HeldOutLoss};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far the training is. Its `Display` is the line that a person follows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Steps done
    pub step: u64,
    pub steps: u64,
    /// Times that the records were gone through
    pub epoch: u64,
    /// Mean loss in nats since the last report, under training masks: a fifth of the residues is not hidden
    pub loss: f64,
    /// Loss on the held-out records, where it was measured
    pub held_out: Option<HeldOutLoss>,
    pub learning_rate: f64,
    /// Global norm of the last gradient before it was clipped
    pub gradient_norm: f64,
    /// Tokens trained on
    pub tokens: u64,
    pub seconds: f64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}/{}, epoch {}: loss {:.4}", self.step, self.steps, self.epoch + 1, self.loss)?;
        if let Some(held_out) = &self.held_out {
            write!(f, ", held out {:.4}", held_out.by_residue)?;
        }
        let rate = self.tokens as f64 / self.seconds.max(1e-3) / 1e3;
        write!(f, ", learning rate {:.1e}, gradient {:.2}", self.learning_rate, self.gradient_norm)?;
        write!(f, ", {rate:.1} k tokens/s")
    }
}

/// Losses on one kind of held-out records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    pub records: u64,
    pub model: HeldOutLoss,
    /// The model under BERT's masks, which leave a tenth of the scored residues in sight: not to be compared with the
    /// rest, but with what others publish
    pub model_as_bert: HeldOutLoss,
    pub baselines: Baselines,
}

/// What came of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Records trained on
    pub records: u64,
    /// Their tokens
    pub corpus_tokens: u64,
    pub steps: u64,
    /// Tokens computed in all steps
    pub tokens: u64,
    pub seconds: f64,
    /// On groups that were never trained on
    pub new_groups: Option<HeldOut>,
    /// On records of groups that were trained on
    pub seen_groups: Option<HeldOut>,
    /// On random hairpins, where the training began with some
    pub hairpins: Option<HeldOut>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_step_loss_and_speed() {
        let loss = HeldOutLoss { by_residue: 1.25, by_record: 1.0, by_group: 1.0 };
        let progress = Progress {
            step: 300,
            steps: 4500,
            epoch: 1,
            loss: 1.30214,
            held_out: Some(loss),
            learning_rate: 2.9e-3,
            gradient_norm: 0.123,
            tokens: 1_200_000,
            seconds: 60.0,
        };
        assert_eq!(
            progress.to_string(),
            "step 300/4500, epoch 2: loss 1.3021, held out 1.2500, learning rate 2.9e-3, gradient 0.12, 20.0 k tokens/s"
        );
    }
}
