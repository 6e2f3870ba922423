//! Which residues are masked: a share of a record's definite residues, drawn by hash of seed, epoch and record.

use super::random::{Stream, draw};
use crate::tokenizer::Tokenizer;

/// What training and measuring need to know of a tokenizer.
#[derive(Clone, Debug)]
pub(super) struct Residues {
    pub mask: u32,
    /// Tokens of the definite residues, ascending: what is masked and predicted
    pub tokens: Vec<u32>,
}

impl Residues {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let tokens = (0..tokenizer.vocabulary_size() as u32).filter(|&token| tokenizer.is_definite(token));
        Residues { mask: tokenizer.mask, tokens: tokens.collect() }
    }

    /// Number of a token among the definite residues.
    pub fn index(&self, token: u32) -> Option<usize> {
        self.tokens.binary_search(&token).ok()
    }
}

/// What happens to the residues that are to be predicted.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaskRule {
    /// Share of the definite residues that is predicted; at least one where there is any
    share: f64,
    /// Of these, the share that becomes `<mask>`
    masked: f64,
    /// And the share that becomes a random residue; the rest stays as it is
    random: f64,
}

impl MaskRule {
    /// BERT's rule, by which models are trained.
    pub const BERT: MaskRule = MaskRule { share: 0.15, masked: 0.8, random: 0.1 };
    /// Masks alone: a residue that is left in sight is no measure of a model.
    pub const HIDDEN: MaskRule = MaskRule { share: 0.15, masked: 1.0, random: 0.0 };
}

/// A record's input with its masks, and what is to be predicted where.
#[derive(Debug, PartialEq)]
pub(super) struct Masked {
    pub input: Vec<u32>,
    /// Positions in `input`, ascending
    pub positions: Vec<u32>,
    /// The true residue at each of `positions`
    pub targets: Vec<u32>,
}

impl Masked {
    pub fn new(tokens: &[u32], residues: &Residues, rule: MaskRule, of: (u64, u64, u64)) -> Self {
        let (seed, epoch, record) = of;
        let mut stream = Stream::new(draw(seed, &[epoch, record]));
        let definite = |&i: &u32| residues.index(tokens[i as usize]).is_some();
        let mut positions: Vec<u32> = (0..tokens.len() as u32).filter(definite).collect();
        let share = (positions.len() as f64 * rule.share).round() as usize;
        let count = share.max(1).min(positions.len());
        for i in 0..count {
            let other = i + stream.below(positions.len() - i);
            positions.swap(i, other);
        }
        positions.truncate(count);
        positions.sort_unstable();
        let targets = positions.iter().map(|&i| tokens[i as usize]).collect();
        let mut input = tokens.to_vec();
        for &position in &positions {
            let choice = stream.unit();
            if choice < rule.masked {
                input[position as usize] = residues.mask;
            } else if choice < rule.masked + rule.random {
                input[position as usize] = residues.tokens[stream.below(residues.tokens.len())];
            }
        }
        Masked { input, positions, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::rna_fm;

    fn tokens(sequence: &str) -> Vec<u32> {
        rna_fm().encode(sequence.as_bytes(), 1024).unwrap().ids
    }

    #[test]
    fn a_share_of_the_definite_residues_is_predicted_and_nothing_else() {
        let residues = Residues::of(&rna_fm());
        for (sequence, predicted) in
            [("", 0), ("NN-", 0), ("A", 1), ("ACGUNNRACG", 1), (&"ACGU".repeat(25), 15)]
        {
            let tokens = tokens(sequence);
            for rule in [MaskRule::BERT, MaskRule::HIDDEN] {
                let masked = Masked::new(&tokens, &residues, rule, (1, 2, 3));
                assert_eq!(masked.positions.len(), predicted, "{sequence}");
                for (i, (&shown, &token)) in masked.input.iter().zip(&tokens).enumerate() {
                    match masked.positions.binary_search(&(i as u32)) {
                        Ok(rank) => assert_eq!(masked.targets[rank], token),
                        Err(_) => assert_eq!(shown, token),
                    }
                }
            }
        }
    }

    #[test]
    fn masks_follow_from_seed_epoch_and_record_alone() {
        let residues = Residues::of(&rna_fm());
        let tokens = tokens(&"GACU".repeat(50));
        let masked = |of| Masked::new(&tokens, &residues, MaskRule::BERT, of);
        assert_eq!(masked((1, 2, 3)), masked((1, 2, 3)));
        for other in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(masked((1, 2, 3)).positions, masked(other).positions);
        }
    }

    #[test]
    fn training_masks_are_80_10_10() {
        let residues = Residues::of(&rna_fm());
        let tokens = tokens(&"GACU".repeat(200));
        let (mut masked, mut same, mut all) = (0, 0, 0);
        for record in 0..200 {
            let example = Masked::new(&tokens, &residues, MaskRule::BERT, (0, 0, record));
            for (&position, &target) in example.positions.iter().zip(&example.targets) {
                let shown = example.input[position as usize];
                masked += usize::from(shown == residues.mask);
                same += usize::from(shown == target);
                all += 1;
            }
        }
        // A random residue is the true one in a quarter of the cases.
        for (count, share) in [(masked, 0.8), (same, 0.125)] {
            assert!((count as f64 / all as f64 - share).abs() < 0.01, "{count} of {all}");
        }
    }
}
