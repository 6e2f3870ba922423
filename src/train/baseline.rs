//! What a masked model must beat: residue frequencies, and frequencies given two neighbours.

use super::EncodedRecord;
use super::alphabet::RESIDUES;
use super::masking::{MaskRule, Masked};
use super::EVALUATION_SEED;
use serde::{Deserialize, Serialize};

/// Added to every count.
const SMOOTHING: f64 = 0.5;
/// A neighbour is one of the four residues, or anything else (ends, ambiguity codes).
const NEIGHBOURS: usize = 5;

/// Losses in nats over the masked positions of the evaluation rule. The trigrams see the true neighbours, also where
/// the masked model sees a mask: that favours them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Frequencies of the residues
    pub unigram: f64,
    /// Given the left and the right neighbour
    pub trigram: f64,
    /// Given the two residues to the left
    pub causal_trigram: f64,
}

#[derive(Default)]
struct Counts {
    unigram: [f64; 4],
    trigram: [[f64; 4]; NEIGHBOURS * NEIGHBOURS],
    causal_trigram: [[f64; 4]; NEIGHBOURS * NEIGHBOURS],
}

/// Fits on all residues of `training` and measures on the masked positions of `held_out`.
pub fn baselines(training: &[EncodedRecord], held_out: &[EncodedRecord]) -> Baselines {
    let mut counts = Counts::default();
    for tokens in training.iter().map(|record| &record.tokens) {
        for i in 0..tokens.len() {
            if let Some(residue) = residue(tokens, i as isize) {
                counts.unigram[residue] += 1.0;
                counts.trigram[context(tokens, i, [-1, 1])][residue] += 1.0;
                counts.causal_trigram[context(tokens, i, [-2, -1])][residue] += 1.0;
            }
        }
    }
    let (mut total, mut sums) = (0.0, Baselines::default());
    for record in held_out {
        let masked = Masked::new(&record.tokens, MaskRule::EVALUATION, EVALUATION_SEED, 0, record.hash);
        for position in masked.positions.iter().map(|&position| position as usize) {
            let Some(residue) = residue(&record.tokens, position as isize) else { continue };
            let surprise = |counts: &[f64; 4]| {
                let all = counts.iter().sum::<f64>() + 4.0 * SMOOTHING;
                -((counts[residue] + SMOOTHING) / all).ln()
            };
            total += 1.0;
            sums.unigram += surprise(&counts.unigram);
            sums.trigram += surprise(&counts.trigram[context(&record.tokens, position, [-1, 1])]);
            sums.causal_trigram +=
                surprise(&counts.causal_trigram[context(&record.tokens, position, [-2, -1])]);
        }
    }
    Baselines {
        unigram: sums.unigram / total,
        trigram: sums.trigram / total,
        causal_trigram: sums.causal_trigram / total,
    }
}

fn residue(tokens: &[u32], position: isize) -> Option<usize> {
    let token = *tokens.get(usize::try_from(position).ok()?)?;
    RESIDUES.contains(&token).then(|| (token - RESIDUES.start) as usize)
}

fn context(tokens: &[u32], position: usize, offsets: [isize; 2]) -> usize {
    let code = |offset| residue(tokens, position as isize + offset).unwrap_or(NEIGHBOURS - 1);
    code(offsets[0]) * NEIGHBOURS + code(offsets[1])
}
