//! Which residues are masked: a share of a record's unambiguous residues, drawn by hash of seed, epoch and record.

use super::alphabet::{MASK, RESIDUES};
use super::random::{Stream, draw};

/// What happens to the residues that are to be predicted.
#[derive(Clone, Copy, Debug)]
pub struct MaskRule {
    /// Share of the unambiguous residues that is predicted; at least one where there is any
    pub share: f64,
    /// Of these, the share that becomes `<mask>`
    pub masked: f64,
    /// And the share that becomes a random residue; the rest stays as it is
    pub random: f64,
}

impl MaskRule {
    /// BERT's rule.
    pub const TRAINING: MaskRule = MaskRule { share: 0.15, masked: 0.8, random: 0.1 };
    /// Nothing but masks, for losses that can be compared.
    pub const EVALUATION: MaskRule = MaskRule { share: 0.15, masked: 1.0, random: 0.0 };
}

/// A record's input with its masks, and what is to be predicted where.
pub struct Masked {
    pub input: Vec<u32>,
    /// Positions in `input`, ascending
    pub positions: Vec<u32>,
    /// The true residue at each of `positions`
    pub targets: Vec<u32>,
}

impl Masked {
    pub fn new(tokens: &[u32], rule: MaskRule, seed: u64, epoch: u64, record: u64) -> Self {
        let mut stream = Stream::new(draw(seed, &[epoch, record]));
        let mut residues: Vec<u32> =
            (0..tokens.len() as u32).filter(|&i| RESIDUES.contains(&tokens[i as usize])).collect();
        let count = ((residues.len() as f64 * rule.share).round() as usize).max(1).min(residues.len());
        for i in 0..count {
            let other = i + stream.below(residues.len() - i);
            residues.swap(i, other);
        }
        residues.truncate(count);
        residues.sort_unstable();
        let targets = residues.iter().map(|&i| tokens[i as usize]).collect();
        let mut input = tokens.to_vec();
        for &position in &residues {
            let choice = stream.unit();
            if choice < rule.masked {
                input[position as usize] = MASK;
            } else if choice < rule.masked + rule.random {
                input[position as usize] = RESIDUES.start + stream.below(RESIDUES.len()) as u32;
            }
        }
        Masked { input, positions: residues, targets }
    }
}
