//! A batch on its way to a GPU: one block of pinned memory, copied at once.

use super::device::Gpu;
use super::failed;
use crate::error::Result;
use crate::model::transformer::embedding_scale;
use candle_core::cuda_backend::cudarc::driver::PinnedHostSlice;

/// Queries that one block of the attention kernel takes.
const QUERIES: usize = 64;
/// Of a token that is embedded as zero.
const NO_POSITION: u32 = u32::MAX;
/// What a token takes at most: itself, its position and scale, a piece of attention, and what is scored of it.
const WORDS_PER_TOKEN: usize = 12;
/// Sections begin where quadruples may.
const ALIGNMENT: usize = 4;

/// Words for the GPU, section by section.
pub struct Staging {
    pinned: PinnedHostSlice<u32>,
    used: usize,
}

/// Where the sections of a batch of sequences begin, in words, and how large they are.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub tokens: usize,
    pub ids: usize,
    pub positions: usize,
    pub scales: usize,
    pub work: usize,
    /// Blocks of attention for each head.
    pub blocks: usize,
}

/// Words that a batch of so many tokens takes at most.
pub fn words(tokens: usize) -> usize {
    WORDS_PER_TOKEN * tokens + 64
}

impl Staging {
    pub fn new(gpu: &Gpu, tokens: usize) -> Result<Staging> {
        Ok(Staging { pinned: gpu.pinned(words(tokens))?, used: 0 })
    }

    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Adds a section; gives where it begins.
    pub fn section(&mut self, values: impl Iterator<Item = u32>) -> Result<usize> {
        let start = self.used;
        let free = &mut self.pinned.as_mut_slice().map_err(failed)?[start..];
        let mut count = 0;
        for value in values {
            free[count] = value;
            count += 1;
        }
        self.used = (start + count).next_multiple_of(ALIGNMENT);
        Ok(start)
    }

    /// All sections.
    pub fn words(&self) -> Result<&[u32]> {
        Ok(&self.pinned.as_slice().map_err(failed)?[..self.used])
    }

    /// Adds sequences, each its tokens and the pads that its last one stands for; the `dropped` token is embedded as zero.
    pub fn sequences<'v>(
        &mut self,
        views: impl Iterator<Item = (&'v [u32], u32)> + Clone,
        dropped: Option<u32>,
    ) -> Result<Placed> {
        let tokens = views.clone().map(|(input, _)| input.len()).sum();
        let ids = self.section(views.clone().flat_map(|(input, _)| input.iter().copied()))?;
        let positions = self.section(views.clone().flat_map(|(input, pads)| {
            let padded = (pads > 0).then(|| input.len() - 1);
            (0..input.len()).map(move |at| if Some(at) == padded { NO_POSITION } else { at as u32 })
        }))?;
        let scales = self.section(views.clone().flat_map(|(input, _)| {
            let scale = embedding_scale(input, dropped);
            input.iter().map(move |id| if dropped == Some(*id) { 0.0 } else { scale }.to_bits())
        }))?;
        let (mut first, mut blocks) = (0, 0);
        let work = self.section(views.flat_map(|(input, pads)| {
            let sequence = first;
            first += input.len();
            blocks += input.len().div_ceil(QUERIES);
            (0..input.len())
                .step_by(QUERIES)
                .flat_map(move |query| [sequence as u32, input.len() as u32, query as u32, pads])
        }))?;
        Ok(Placed { tokens, ids, positions, scales, work, blocks })
    }
}
