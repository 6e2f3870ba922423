//! Records into work: what the model is shown of each record, and packed batches without padding.

mod masks;
mod random;

pub use masks::FOLDS;
pub use random::SplitMix;

use crate::tokenizer::Tokenizer;
use std::ops::Range;

/// One record as the model is shown it: once, or once for each mask pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The record's tokens.
    pub targets: Vec<u32>,
    pub views: Vec<View>,
}

/// One input made of a record, and the positions whose targets count in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// As many tokens as the record has.
    pub input: Vec<u32>,
    pub positions: Vec<u32>,
}

impl Example {
    /// The record as it is; every token counts.
    pub fn unmasked(targets: Vec<u32>) -> Self {
        let view = View { input: targets.clone(), positions: (0..targets.len() as u32).collect() };
        Example { targets, views: vec![view] }
    }

    /// The first `passes` of the record's systematic masks, each shown with its fold's residues as `<mask>`.
    ///
    /// Folds without residues make no view.
    pub fn masked(targets: Vec<u32>, tokenizer: &Tokenizer, passes: u8, seed: u64) -> Self {
        let view = |positions: Vec<u32>| {
            let mut input = targets.clone();
            positions.iter().for_each(|position| input[*position as usize] = tokenizer.mask);
            View { input, positions }
        };
        let folds = masks::deal(&targets, tokenizer, seed).into_iter().take(passes as usize);
        let views = folds.filter(|positions| !positions.is_empty()).map(view).collect();
        Example { targets, views }
    }

    /// Number of positions that count, over all views.
    pub fn scored(&self) -> usize {
        self.views.iter().map(|view| view.positions.len()).sum()
    }

    /// Tokens that go through the encoder, over all views.
    pub fn tokens(&self) -> usize {
        self.views.iter().map(|view| view.input.len()).sum()
    }
}

/// Sequences end to end: no padding.
#[derive(Clone, Debug, Default)]
pub struct PackedTokens {
    /// Token ids of all sequences, `[total_tokens]`.
    pub ids: Vec<u32>,
    /// Where each sequence ends in `ids`.
    ends: Vec<usize>,
}

impl PackedTokens {
    pub fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
    }

    pub fn push(&mut self, ids: &[u32]) {
        self.ids.extend_from_slice(ids);
        self.ends.push(self.ids.len());
    }

    /// Each sequence's range of tokens.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ends.iter().scan(0, |start, end| {
            let range = *start..*end;
            *start = *end;
            Some(range)
        })
    }
}
