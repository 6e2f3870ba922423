//! What a masked model must beat: residue frequencies, and frequencies given two neighbours.

use super::masking::{MaskRule, Masked, Residues};
use super::{EVALUATION_SEED, EncodedRecord, HeldOutLoss, RecordLoss};
use crate::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

/// Added to every count.
const SMOOTHING: f64 = 0.5;

/// Losses in nats on the residues that [`evaluate`](super::evaluate) masks. The trigrams see the true neighbours also
/// where the model sees a mask, which favours them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Frequencies of the residues
    pub unigram: HeldOutLoss,
    /// Frequencies given the left and the right neighbour
    pub trigram: HeldOutLoss,
    /// Frequencies given the two residues to the left
    pub causal_trigram: HeldOutLoss,
}

/// Fits on all residues of `training` and measures on `held_out`.
pub fn baselines(tokenizer: &Tokenizer, training: &[EncodedRecord], held_out: &[EncodedRecord]) -> Baselines {
    let residues = Residues::of(tokenizer);
    let loss = |neighbours: &[isize]| {
        let mut counts = Counts::new(&residues, neighbours);
        training.iter().for_each(|record| counts.add(&record.tokens));
        HeldOutLoss::of(held_out.iter().map(|record| {
            let of = (EVALUATION_SEED, 0, record.hash);
            let masked = Masked::new(&record.tokens, &residues, MaskRule::HIDDEN, of);
            let losses = masked.positions.iter().map(|&i| counts.surprise(&record.tokens, i as usize));
            RecordLoss {
                group: record.group,
                tokens: record.tokens.len(),
                loss: losses.sum(),
                residues: masked.positions.len(),
            }
        }))
    };
    Baselines { unigram: loss(&[]), trigram: loss(&[-1, 1]), causal_trigram: loss(&[-2, -1]) }
}

/// How often each residue was seen in each context: the residues at some offsets.
struct Counts<'a> {
    residues: &'a Residues,
    offsets: &'a [isize],
    /// `[contexts, residues]`
    counts: Vec<f64>,
}

impl<'a> Counts<'a> {
    fn new(residues: &'a Residues, offsets: &'a [isize]) -> Self {
        let n = residues.tokens.len();
        let contexts = (n + 1).pow(offsets.len() as u32);
        Counts { residues, offsets, counts: vec![SMOOTHING; contexts * n] }
    }

    fn add(&mut self, tokens: &[u32]) {
        for (i, &token) in tokens.iter().enumerate() {
            if let Some(residue) = self.residues.index(token) {
                let row = self.row(tokens, i);
                self.counts[row + residue] += 1.0;
            }
        }
    }

    fn surprise(&self, tokens: &[u32], position: usize) -> f64 {
        let row = &self.counts[self.row(tokens, position)..][..self.residues.tokens.len()];
        let seen = self.residues.index(tokens[position]).map_or(0.0, |residue| row[residue]);
        -(seen / row.iter().sum::<f64>()).ln()
    }

    /// Where the counts of a position's context begin. A neighbour that is no definite residue (an end, an ambiguity
    /// code) is one more kind of neighbour.
    fn row(&self, tokens: &[u32], position: usize) -> usize {
        let n = self.residues.tokens.len();
        let neighbour = |offset: isize| {
            let token = position.checked_add_signed(offset).and_then(|i| tokens.get(i));
            token.and_then(|&token| self.residues.index(token)).unwrap_or(n)
        };
        n * self.offsets.iter().fold(0, |context, &offset| context * (n + 1) + neighbour(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    fn records(sequence: &str) -> Vec<EncodedRecord> {
        let tokens = rna_fm().encode(sequence.as_bytes(), 1024).unwrap().ids;
        (0..20).map(|hash| EncodedRecord { hash, tokens: tokens.clone(), group: 0 }).collect()
    }

    #[test]
    fn each_baseline_knows_what_its_context_tells() {
        // Either neighbour pair settles a residue of a cycle; frequencies alone leave ln 4.
        let cycle = records(&"ACGU".repeat(100));
        let losses = baselines(&rna_fm(), &cycle, &cycle);
        assert!((losses.unigram.by_residue - 4f64.ln()).abs() < 1e-3, "{losses:?}");
        assert!(losses.trigram.by_residue < 0.02 && losses.causal_trigram.by_residue < 0.02, "{losses:?}");
        // The left and right neighbour of A and of G are the same here, the two to the left are not.
        let ambiguous = records(&"ACGCAUAC".replace("AUAC", "AC").repeat(50).replace("ACAC", "AC"));
        let losses = baselines(&rna_fm(), &ambiguous, &ambiguous);
        assert!(losses.trigram.by_residue > 0.2 && losses.causal_trigram.by_residue < 0.1, "{losses:?}");
    }
}
