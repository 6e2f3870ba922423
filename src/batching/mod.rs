//! Records into work: what the model is shown of each record, and packed batches without padding.

mod masks;

pub use masks::FOLDS;

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
    /// Where above 0, the last token is a `<pad>` that stands for this many: of the published procedure alone.
    pub pads: u32,
}

impl View {
    /// The number of tokens that each of `positions` stands for: 1, or [`View::pads`] for the last.
    pub fn counts(&self) -> impl Iterator<Item = u32> + '_ {
        let last = self.input.len() as u32 - 1;
        self.positions.iter().map(move |position| if *position == last { self.pads.max(1) } else { 1 })
    }
}

impl Example {
    /// The record as it is; every token counts.
    pub fn unmasked(targets: Vec<u32>) -> Self {
        let view = View { input: targets.clone(), positions: (0..targets.len() as u32).collect(), pads: 0 };
        Example { targets, views: vec![view] }
    }

    /// The record as it is, padded to `length` tokens that all count; one pad stands for all.
    ///
    /// Pads are embedded alike and see the same, so they share one state in every layer.
    pub fn padded(mut targets: Vec<u32>, tokenizer: &Tokenizer, length: usize) -> Self {
        let pads = length.saturating_sub(targets.len()) as u32;
        if pads > 0 {
            targets.push(tokenizer.pad);
        }
        let mut example = Example::unmasked(targets);
        example.views.iter_mut().for_each(|view| view.pads = pads);
        example
    }

    /// The first `passes` of the record's systematic masks, each shown with its fold's residues as `<mask>`.
    ///
    /// Folds without residues make no view.
    pub fn masked(targets: Vec<u32>, tokenizer: &Tokenizer, passes: u8, seed: u64) -> Self {
        let view = |positions: Vec<u32>| {
            let mut input = targets.clone();
            positions.iter().for_each(|position| input[*position as usize] = tokenizer.mask);
            View { input, positions, pads: 0 }
        };
        let folds = masks::deal(&targets, tokenizer, seed).into_iter().take(passes as usize);
        let views = folds.filter(|positions| !positions.is_empty()).map(view).collect();
        Example { targets, views }
    }

    /// Tokens of the record itself.
    pub fn record_tokens(&self) -> usize {
        self.targets.len() - usize::from(self.views.iter().any(|view| view.pads > 0))
    }

    /// Number of positions that count, over all views.
    pub fn scored(&self) -> usize {
        self.views.iter().map(|view| view.positions.len()).sum()
    }

    /// Tokens that the mean loss is over: the scored positions, each with its count.
    pub fn counted(&self) -> u64 {
        self.views.iter().flat_map(View::counts).map(u64::from).sum()
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
    /// Where each sequence ends in `ids`, and its [`View::pads`].
    ends: Vec<(usize, u32)>,
}

/// One of the packed sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedSequence {
    /// Its tokens.
    pub range: Range<usize>,
    /// As [`View::pads`].
    pub pads: u32,
}

impl PackedTokens {
    pub fn clear(&mut self) {
        self.ids.clear();
        self.ends.clear();
    }

    pub fn push(&mut self, view: &View) {
        self.ids.extend_from_slice(&view.input);
        self.ends.push((self.ids.len(), view.pads));
    }

    pub fn sequences(&self) -> impl Iterator<Item = PackedSequence> + '_ {
        self.ends.iter().scan(0, |start, (end, pads)| {
            let range = *start..*end;
            *start = *end;
            Some(PackedSequence { range, pads: *pads })
        })
    }
}
