//! The encoder of every family on a GPU: an [`Architecture`] over kernels and products.

use super::batch::{Placed, Staging, words};
use super::device::{CudaPlacement, Gpu, Memory};
use super::layer::{Kernels, Layer, Norm, Products};
use super::product::{Library, ROWS};
use super::row_blocks;
use crate::batching::PackedTokens;
use crate::error::{Code, Error, Result};
use crate::launch;
use crate::model::architecture::{Architecture, FeedForward, NormPlacement, Positions};
use crate::model::kernels::Rotary;
use crate::model::{Encoder, Numbers, Weights, Workspace, sized};
use crate::tokenizer::Tokenizer;
use std::sync::Arc;

/// What a head takes beside its rows, about.
const HEAD_BYTES: usize = 256 << 20;
/// Mask passes of a record that must go together.
const PASSES: usize = 7;

pub struct CudaEncoder {
    pub gpu: Arc<Gpu>,
    pub library: Arc<Library>,
    /// Tokens that a batch holds at most.
    pub capacity: usize,
    /// Tokens that a batch had best hold: with one more record it still fits.
    pub batch_tokens: usize,
    /// Where the batch's words are, and the hidden states after it `[tokens, d]`, in f32.
    pub staged: Memory,
    pub hidden: Memory,
    d: usize,
    heads: usize,
    inner: usize,
    numbers: Numbers,
    /// Set where masked tokens are embedded as zero and the others scaled: the mask's id.
    dropped: Option<u32>,
    tokens: Memory,
    learned_positions: Option<Memory>,
    rotary: Option<[Memory; 2]>,
    embedding_norm: Option<Norm>,
    norm: NormPlacement,
    feed_forward: FeedForward,
    epsilon: f32,
    layers: Vec<Layer>,
    final_norm: Option<Norm>,
    kernels: Kernels,
    products: Products,
    activations: Activations,
}

/// What a batch's layers work in.
struct Activations {
    normalized: Memory,
    qkv: Memory,
    attended: Memory,
    expanded: Memory,
    gated: Memory,
}

impl CudaEncoder {
    /// Takes the encoder's tensors onto the GPU; gives it, and the token embedding `[vocabulary, d]`, to which a decoder
    /// may be tied.
    pub fn load(
        architecture: &Architecture,
        tokenizer: &Tokenizer,
        weights: &mut Weights,
        placement: &CudaPlacement,
    ) -> Result<(Self, Vec<f32>)> {
        let CudaPlacement { gpu, numbers, batch_tokens } = placement;
        let numbers = *numbers;
        let dimensions = &architecture.dimensions;
        let (d, epsilon) = (dimensions.hidden_size, architecture.epsilon);
        check(architecture)?;
        gpu.bind()?;
        let _turn = gpu.turn();
        let embedding = architecture.take_embedding(weights, tokenizer.mask)?;
        let learned_positions = architecture.take_positions(weights)?;
        let rotary = match architecture.positions {
            Positions::Rotary => {
                let (mut cosines, mut sines) = (Vec::new(), Vec::new());
                for (cosine, sine) in Rotary::new(dimensions.max_positions, architecture.head_size()).angles()
                {
                    cosines.extend_from_slice(cosine);
                    sines.extend_from_slice(sine);
                }
                Some([gpu.upload_f32(&cosines)?, gpu.upload_f32(&sines)?])
            }
            Positions::Learned { .. } => None,
        };
        let norm = |weights: &mut Weights, name: &str, bias| {
            Norm::upload(gpu, &weights.layer_norm(name, d, epsilon, bias)?)
        };
        let embedding_norm = match architecture.embedding_norm {
            true => Some(norm(weights, "emb_layer_norm_before", true)?),
            false => None,
        };
        let layers = (0..dimensions.num_hidden_layers)
            .map(|index| Layer::load(weights, index, architecture, gpu, numbers))
            .collect::<Result<Vec<_>>>()?;
        let final_norm = match architecture.norm {
            NormPlacement::Before => {
                Some(norm(weights, "emb_layer_norm_after", architecture.final_norm_bias)?)
            }
            NormPlacement::After => None,
        };
        let more = PASSES * dimensions.max_positions;
        let (batch_tokens, (staged, hidden, activations)) = as_large_as_fits(*batch_tokens, |tokens| {
            let tokens = (tokens + more).next_multiple_of(ROWS);
            // what the head takes later is to be free then
            let _for_the_head = gpu.zeros(2 * 4 * tokens * d + HEAD_BYTES)?;
            let staged = gpu.zeros(4 * words(tokens))?;
            let hidden = gpu.zeros(4 * tokens * d)?;
            Ok((staged, hidden, Activations::new(gpu, architecture, tokens, numbers)?))
        })?;
        let library = Library::open(gpu)?;
        let encoder = CudaEncoder {
            gpu: gpu.clone(),
            capacity: (batch_tokens + more).next_multiple_of(ROWS),
            batch_tokens,
            staged,
            hidden,
            d,
            heads: dimensions.num_attention_heads,
            inner: dimensions.intermediate_size,
            numbers,
            dropped: architecture.token_dropout.then_some(tokenizer.mask),
            tokens: gpu.upload_f32(&embedding)?,
            learned_positions: learned_positions.map(|positions| gpu.upload_f32(&positions)).transpose()?,
            rotary,
            embedding_norm,
            norm: architecture.norm,
            feed_forward: architecture.feed_forward,
            epsilon,
            layers,
            final_norm,
            kernels: Kernels::load(gpu, architecture, numbers)?,
            products: Products::new(&library, architecture, numbers)?,
            library,
            activations,
        };
        Ok((encoder, embedding))
    }

    /// Adds the sequences of a batch to what is sent to the GPU.
    pub fn stage<'v>(
        &self,
        staging: &mut Staging,
        views: impl Iterator<Item = (&'v [u32], u32)> + Clone,
    ) -> Result<Placed> {
        staging.sequences(views, self.dropped)
    }

    /// Enqueues the encoding of a batch whose words are on the GPU: fills `hidden`. The caller has the GPU's turn.
    pub fn enqueue(&self, placed: &Placed) -> Result<()> {
        assert!(placed.tokens <= self.capacity, "a batch is larger than its memory");
        let (gpu, rows, d) = (&*self.gpu, placed.tokens, self.d as i32);
        let count = rows as i32;
        let word = |at: usize| self.staged.address + 4 * at as u64;
        let a = &self.activations;
        let before = self.norm == NormPlacement::Before;
        let (embed_weight, embed_bias) = addresses(self.embedding_norm.as_ref());
        // SAFETY (here and below): every matrix has `capacity` rows of what its kernel takes, and no row beyond `rows` is
        // touched; weights have the shapes that the architecture gave them, and live as long as `self`.
        unsafe {
            launch!(
                gpu,
                self.kernels.embed,
                row_blocks(rows),
                128,
                word(placed.ids),
                word(placed.positions),
                word(placed.scales),
                self.tokens.address,
                self.learned_positions.as_ref().map_or(0, |positions| positions.address),
                embed_weight,
                embed_bias,
                self.epsilon,
                self.hidden.address,
                if before { 0 } else { a.normalized.address },
                count,
                d,
            )?;
        }
        if before {
            self.normalize(rows, self.layers.first().map(|layer| &layer.attention_norm))?;
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.block(layer, self.layers.get(index + 1), placed)?;
        }
        Ok(())
    }

    fn block(&self, layer: &Layer, next: Option<&Layer>, placed: &Placed) -> Result<()> {
        let (gpu, rows, d) = (&*self.gpu, placed.tokens, self.d as i32);
        let head_size = (self.d / self.heads) as i32;
        let word = |at: usize| self.staged.address + 4 * at as u64;
        let (a, products) = (&self.activations, &self.products);
        let before = self.norm == NormPlacement::Before;
        unsafe {
            let weight = (a.normalized.address, layer.qkv.weight.address, Some(layer.qkv.bias.address));
            products.qkv.run(rows, weight, a.qkv.address)?;
            if let Some([cosines, sines]) = &self.rotary {
                let [query, key] = match &layer.query_key_norm {
                    Some(norms) => norms.each_ref().map(|norm| norm.address),
                    None => [0, 0],
                };
                launch!(
                    gpu,
                    self.kernels.turn,
                    row_blocks(rows),
                    128,
                    a.qkv.address,
                    word(placed.positions),
                    cosines.address,
                    sines.address,
                    query,
                    key,
                    self.epsilon,
                    rows as i32,
                    d,
                    head_size,
                )?;
            }
            launch!(
                gpu,
                self.kernels.attention,
                (placed.blocks.max(1) as u32, self.heads as u32, 1),
                self.kernels.attention_threads(self.numbers),
                a.qkv.address,
                a.attended.address,
                word(placed.work),
                d,
                head_size,
            )?;
            let weight = (a.attended.address, layer.output.weight.address, Some(layer.output.bias.address));
            products.output.run(rows, weight, self.hidden.address)?;
            let norm = if before { &layer.feed_forward_norm } else { &layer.attention_norm };
            self.normalize(rows, Some(norm))?;

            let weight = (a.normalized.address, layer.expand.weight.address, None);
            products.expand.run(rows, weight, a.expanded.address)?;
            let (count, width) = (rows as i32, self.inner as i32);
            let sweep = (rows.div_ceil(4).max(1) as u32, self.inner.div_ceil(8 * 128) as u32, 1);
            let bias = layer.expand.bias.address;
            let expanded = match self.feed_forward {
                FeedForward::Gelu => {
                    launch!(gpu, self.kernels.activate, sweep, 128, a.expanded.address, bias, count, width)?;
                    &a.expanded
                }
                FeedForward::SwiGlu => {
                    let (from, to) = (a.expanded.address, a.gated.address);
                    launch!(gpu, self.kernels.gate, sweep, 128, from, bias, to, count, width)?;
                    &a.gated
                }
            };
            let weight = (expanded.address, layer.contract.weight.address, Some(layer.contract.bias.address));
            products.contract.run(rows, weight, self.hidden.address)?;
        }
        let norm = match (before, next) {
            (true, Some(next)) => Some(&next.attention_norm),
            (true, None) => None,
            (false, _) => Some(&layer.feed_forward_norm),
        };
        self.normalize(rows, norm)
    }

    /// Normalizes the residual stream for what comes next: by the norm after all layers where none is named.
    fn normalize(&self, rows: usize, norm: Option<&Norm>) -> Result<()> {
        let a = &self.activations;
        let last = norm.is_none();
        let Some(norm) = norm.or(self.final_norm.as_ref()) else {
            return Err(Error::internal("an encoder lacks a norm"));
        };
        // a norm after a sub-layer is of the stream itself
        let in_place = last || self.norm == NormPlacement::After;
        // SAFETY: as in `enqueue`.
        unsafe {
            launch!(
                self.gpu,
                self.kernels.norm,
                row_blocks(rows),
                128,
                self.hidden.address,
                norm.weight.address,
                norm.bias.address,
                norm.epsilon,
                if last { 0 } else { a.normalized.address },
                if in_place { self.hidden.address } else { 0 },
                rows as i32,
                self.d as i32,
            )
        }
    }
}

impl Encoder for CudaEncoder {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        workspace.cancel.check()?;
        self.gpu.bind()?;
        if tokens.ids.len() > self.capacity {
            let held = format!("the GPU's memory holds {} tokens of a batch", self.capacity);
            return Err(Error::new(Code::OutOfMemory, held));
        }
        sized(&mut workspace.hidden, tokens.ids.len() * self.d)?;
        let sequences: Vec<(&[u32], u32)> =
            tokens.sequences().map(|sequence| (&tokens.ids[sequence.range], sequence.pads)).collect();
        let mut staging = Staging::new(&self.gpu, tokens.ids.len())?;
        let placed = self.stage(&mut staging, sequences.iter().copied())?;
        let turn = self.gpu.turn();
        let hidden = &mut workspace.hidden[..tokens.ids.len() * self.d];
        // SAFETY: `staging` and `hidden` outlive the wait below, which nothing here returns before.
        let enqueued = unsafe {
            self.gpu
                .send(staging.words()?, &self.staged)
                .and_then(|()| self.enqueue(&placed))
                .and_then(|()| self.gpu.download(self.hidden.address, hidden))
        };
        self.gpu.finish(turn, enqueued)
    }

    fn batch_tokens(&self) -> Option<usize> {
        Some(self.batch_tokens)
    }

    fn on_gpu(&self) -> Option<&CudaEncoder> {
        Some(self)
    }
}

impl Activations {
    fn new(gpu: &Gpu, architecture: &Architecture, tokens: usize, numbers: Numbers) -> Result<Activations> {
        let (d, inner) = (architecture.dimensions.hidden_size, architecture.dimensions.intermediate_size);
        let matrix = |columns: usize| gpu.zeros(tokens * columns * numbers.bytes());
        Ok(Activations {
            normalized: matrix(d)?,
            qkv: matrix(3 * d)?,
            attended: matrix(d)?,
            expanded: matrix(architecture.expanded_size())?,
            gated: matrix(if architecture.feed_forward == FeedForward::SwiGlu { inner } else { 0 })?,
        })
    }
}

/// What the kernels hold.
fn check(architecture: &Architecture) -> Result<()> {
    let (d, head_size) = (architecture.dimensions.hidden_size, architecture.head_size());
    let inner = architecture.dimensions.intermediate_size;
    let fits = d.is_multiple_of(8) && d <= 5120 && head_size.is_multiple_of(2) && head_size <= 128;
    match fits && inner.is_multiple_of(8) {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "a GPU computes models of hidden and intermediate sizes that 8 divides, up to 5120, and of even head sizes up to 128; this one has {d}, {inner} and {head_size}: --device cpu"
        ))),
    }
}

fn addresses(norm: Option<&Norm>) -> (u64, u64) {
    norm.map_or((0, 0), |norm| (norm.weight.address, norm.bias.address))
}

/// Memory for batches of so many tokens, or of half as many until it is to be had.
fn as_large_as_fits<T>(mut tokens: usize, allocate: impl Fn(usize) -> Result<T>) -> Result<(usize, T)> {
    loop {
        match allocate(tokens) {
            Err(error) if error.code == Code::OutOfMemory && tokens > 256 => {
                tokens /= 2;
                log::warn!("{error}; batches have {tokens} tokens");
            }
            allocated => return allocated.map(|allocated| (tokens, allocated)),
        }
    }
}
