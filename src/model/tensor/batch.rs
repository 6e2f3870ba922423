//! Sequences as one batch of the encoder: packed end to end for the kernels of our own, each filled up to the longest
//! where candle's operations compute, which attend to a whole batch at once that way.

use crate::model::architecture::{Architecture, Positions};
use candle_core::{Device, Result, Tensor, bail};
use std::ops::Range;
use std::sync::Arc;

/// Share of tokens that upstream's training masks: `token_dropout` scales embeddings to this share.
const MASKED_IN_TRAINING: f32 = 0.15 * 0.8;

/// A batch, with what the embedding needs for each of its rows. A sequence has a row for each token, and as many more as
/// its form fills it up with.
#[derive(Debug)]
pub struct Batch {
    pub(super) tokens: Vec<u32>,
    pub(super) scales: Vec<f32>,
    /// Position of a sequence's first token in the embedding's table, where positions are learned
    pub(super) first: usize,
    /// Tokens of each sequence
    pub(super) lengths: Arc<[usize]>,
    pub(super) form: Form,
}

/// How the sequences of a batch lie in its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// End to end
    Packed,
    /// Each in as many rows as the longest has tokens
    Padded,
}

impl Batch {
    /// Sequences of token ids (special tokens included); `mask` is the id of `<mask>`.
    pub(super) fn new<'a>(
        architecture: &Architecture,
        mask: u32,
        sequences: impl Iterator<Item = &'a [u32]>,
        form: Form,
    ) -> Result<Self> {
        let sequences: Vec<&[u32]> = sequences.collect();
        let Some(longest) = sequences.iter().map(|sequence| sequence.len()).max() else {
            bail!("a batch without a sequence");
        };
        let max_tokens = architecture.dimensions.max_positions;
        let first = match architecture.positions {
            Positions::Learned { first } => first,
            Positions::Rotary => 0,
        };
        let (mut tokens, mut scales) = (vec![], vec![]);
        for sequence in &sequences {
            let n = sequence.len();
            if n == 0 || n > max_tokens {
                bail!("a sequence of {n} tokens: allowed are 1 to {max_tokens}");
            }
            let masked = sequence.iter().filter(|&&token| token == mask).count() as f32 / n as f32;
            let kept =
                if architecture.token_dropout { (1.0 - MASKED_IN_TRAINING) / (1.0 - masked) } else { 1.0 };
            for &token in *sequence {
                if token as usize >= architecture.vocabulary {
                    bail!("token {token}: the vocabulary has {}", architecture.vocabulary);
                }
                tokens.push(token);
                scales.push(if token == mask && architecture.token_dropout { 0.0 } else { kept });
            }
            let padding = if form == Form::Padded { longest - n } else { 0 };
            tokens.resize(tokens.len() + padding, 0);
            scales.resize(scales.len() + padding, 0.0);
        }
        let lengths = sequences.iter().map(|sequence| sequence.len()).collect();
        Ok(Batch { tokens, scales, first, lengths, form })
    }

    /// Tokens in all.
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// The rows of each sequence's tokens.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = self.lengths.iter().scan(0, |next, &n| {
            let start = *next;
            *next += if self.form == Form::Padded { self.longest() } else { n };
            Some(start)
        });
        starts.zip(self.lengths.iter()).map(|(start, &n)| start..start + n)
    }

    pub(super) fn longest(&self) -> usize {
        self.lengths.iter().max().copied().unwrap_or(0)
    }

    /// What is added to the logits of a padded batch's keys, `[sequences, 1, 1, rows]`, so that none attends to a row
    /// without a token.
    pub(super) fn key_mask(&self, device: &Device) -> Result<Tensor> {
        let longest = self.longest();
        let of_key = |n: usize| move |i: usize| if i < n { 0.0 } else { f32::NEG_INFINITY };
        let mask: Vec<f32> = self.lengths.iter().flat_map(|&n| (0..longest).map(of_key(n))).collect();
        Tensor::from_vec(mask, (self.lengths.len(), 1, 1, longest), device)
    }
}
