//! Every family's encoder and language-model head as differentiable candle tensors: an [`Architecture`] over the
//! operations of this folder.
//!
//! Sequences are packed end to end, `[total, d]`, without padding. On the CPU in f32 the operations have forms of
//! their own, single-threaded and with their own backward pass (training runs several batches side by side);
//! elsewhere candle's operations do the same.

mod attention;
mod cross_entropy;
mod embedding;
mod gelu;
mod kernel;
mod layer_norm;
mod linear;
mod rotary;
#[cfg(test)]
mod tests;

pub use cross_entropy::cross_entropy;

use super::architecture::{Architecture, FeedForward, NormPlacement, Positions};
use super::kernels::Rotary;
use attention::attention;
use candle_core::{Result, Tensor, bail};
use embedding::embed;
use gelu::gelu;
use layer_norm::layer_norm;
use linear::linear;
use rotary::turn;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Share of tokens that upstream's training masks: `token_dropout` scales embeddings to this share.
const MASKED_IN_TRAINING: f32 = 0.15 * 0.8;

/// Sequences end to end, with what the embedding needs for each token.
#[derive(Debug)]
pub struct PackedBatch {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    scales: Vec<f32>,
    lengths: Arc<[usize]>,
}

impl PackedBatch {
    /// Packs sequences of token ids (special tokens included); `mask` is the id of `<mask>`.
    pub fn new<'a>(
        architecture: &Architecture,
        mask: u32,
        sequences: impl Iterator<Item = &'a [u32]>,
    ) -> Result<Self> {
        let max_tokens = architecture.dimensions.max_positions;
        let first = match architecture.positions {
            Positions::Learned { first } => first,
            Positions::Rotary => 0,
        };
        let (mut tokens, mut positions, mut scales, mut lengths) = (vec![], vec![], vec![], vec![]);
        for sequence in sequences {
            let n = sequence.len();
            if n == 0 || n > max_tokens {
                bail!("a sequence of {n} tokens: allowed are 1 to {max_tokens}");
            }
            let masked = sequence.iter().filter(|&&token| token == mask).count() as f32 / n as f32;
            let kept =
                if architecture.token_dropout { (1.0 - MASKED_IN_TRAINING) / (1.0 - masked) } else { 1.0 };
            for (i, &token) in sequence.iter().enumerate() {
                if token as usize >= architecture.vocabulary {
                    bail!("token {token}: the vocabulary has {}", architecture.vocabulary);
                }
                tokens.push(token);
                positions.push((i + first) as u32);
                scales.push(if token == mask && architecture.token_dropout { 0.0 } else { kept });
            }
            lengths.push(n);
        }
        Ok(PackedBatch { tokens, positions, scales, lengths: lengths.into() })
    }

    /// Tokens in all.
    pub fn total(&self) -> usize {
        self.tokens.len()
    }
}

/// The model over a set of tensors, which it shares and does not copy.
pub struct MaskedLm {
    architecture: Architecture,
    rotary: Option<Arc<Rotary>>,
    tensors: BTreeMap<String, Tensor>,
}

impl MaskedLm {
    /// Errors name the tensor that is missing or of another shape.
    pub fn new(architecture: &Architecture, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        MaskedLm::of(architecture, tensors, |_| true)
    }

    /// The encoder alone, without the head's tensors: [`logits`](MaskedLm::logits) would miss them.
    pub fn encoder(architecture: &Architecture, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        MaskedLm::of(architecture, tensors, |name| !name.starts_with("lm_head."))
    }

    fn of(
        architecture: &Architecture,
        tensors: BTreeMap<String, Tensor>,
        needed: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        for (name, shape) in architecture.tensor_shapes().into_iter().filter(|(name, _)| needed(name)) {
            match tensors.get(&name) {
                None => bail!("tensor {name} is missing"),
                Some(tensor) if tensor.dims() != shape => {
                    bail!("tensor {name} has shape {:?}: {shape:?} is needed", tensor.dims())
                }
                Some(_) => {}
            }
        }
        let rotary = match architecture.positions {
            Positions::Rotary => {
                Some(Arc::new(Rotary::new(architecture.dimensions.max_positions, architecture.head_size())))
            }
            Positions::Learned { .. } => None,
        };
        Ok(MaskedLm { architecture: architecture.clone(), rotary, tensors })
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Hidden states `[total, d]` that enter the head.
    pub fn hidden(&self, batch: &PackedBatch) -> Result<Tensor> {
        let mut x = self.embedding(batch)?;
        for layer in 0..self.architecture.dimensions.num_hidden_layers {
            let at = |name: &str| format!("layers.{layer}.{name}");
            let [attention_norm, feed_forward_norm] = [at("self_attn_layer_norm"), at("final_layer_norm")];
            match self.architecture.norm {
                NormPlacement::Before => {
                    let y = self.attention(layer, batch, &self.layer_norm(&attention_norm, &x)?)?;
                    x = self.add(&x, y)?;
                    let y = self.feed_forward(layer, &self.layer_norm(&feed_forward_norm, &x)?)?;
                    x = self.add(&x, y)?;
                }
                NormPlacement::After => {
                    let y = self.attention(layer, batch, &x)?;
                    x = self.layer_norm(&attention_norm, &self.add(&x, y)?)?;
                    let y = self.feed_forward(layer, &x)?;
                    x = self.layer_norm(&feed_forward_norm, &self.add(&x, y)?)?;
                }
            }
        }
        match self.architecture.norm {
            NormPlacement::Before => self.layer_norm("emb_layer_norm_after", &x),
            NormPlacement::After => Ok(x),
        }
    }

    fn embedding(&self, batch: &PackedBatch) -> Result<Tensor> {
        let mut x = embed(self.tensor("embed_tokens.weight")?, &batch.tokens, &batch.scales)?;
        if let Positions::Learned { .. } = self.architecture.positions {
            let ones = vec![1.0; batch.total()];
            x = (x + embed(self.tensor("embed_positions.weight")?, &batch.positions, &ones)?)?;
        }
        if self.architecture.token_types {
            x = x.broadcast_add(&self.tensor("embed_types.weight")?.narrow(0, 0, 1)?)?;
        }
        if self.architecture.embedding_norm { self.layer_norm("emb_layer_norm_before", &x) } else { Ok(x) }
    }

    fn attention(&self, layer: usize, batch: &PackedBatch, x: &Tensor) -> Result<Tensor> {
        let at = |name: &str| format!("layers.{layer}.self_attn.{name}");
        let turned = |part: &str| {
            let mut y = self.linear(&at(&format!("{part}_proj")), x)?;
            if self.architecture.query_key_norm {
                y = self.layer_norm(&at(&format!("{part}_norm")), &y)?;
            }
            match &self.rotary {
                Some(rotary) => turn(&y, &batch.lengths, rotary),
                None => Ok(y),
            }
        };
        let heads = self.architecture.dimensions.num_attention_heads;
        let v = self.linear(&at("v_proj"), x)?;
        self.linear(&at("out_proj"), &attention(&turned("q")?, &turned("k")?, &v, &batch.lengths, heads)?)
    }

    fn feed_forward(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        let y = self.linear(&format!("layers.{layer}.fc1"), x)?;
        let y = match self.architecture.feed_forward {
            FeedForward::Gelu => gelu(&y)?,
            FeedForward::SwiGlu => {
                let width = y.dim(1)? / 2;
                (y.narrow(1, 0, width)?.silu()? * y.narrow(1, width, width)?)?
            }
        };
        self.linear(&format!("layers.{layer}.fc2"), &y)
    }

    /// The residual sum.
    fn add(&self, x: &Tensor, y: Tensor) -> Result<Tensor> {
        match self.architecture.residual_scale {
            1.0 => x + y,
            scale => x + (y * f64::from(scale))?,
        }
    }

    /// Logits of hidden states `[n, d]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let x = gelu(&self.linear("lm_head.dense", hidden)?)?;
        let x = self.layer_norm("lm_head.layer_norm", &x)?;
        let decoder = if self.architecture.tied_decoder { "embed_tokens.weight" } else { "lm_head.weight" };
        linear(&x, self.tensor(decoder)?, self.tensor("lm_head.bias")?)
    }

    /// Cross entropy `[n]` at these positions of the packed batch.
    pub fn losses(&self, batch: &PackedBatch, positions: &[u32], targets: &[u32]) -> Result<Tensor> {
        let hidden = self.hidden(batch)?;
        let positions = Tensor::new(positions, hidden.device())?;
        cross_entropy(&self.logits(&hidden.index_select(&positions, 0)?)?, targets)
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| candle_core::Error::msg(format!("tensor {name} is missing")))
    }

    /// The bias of a part, zero where the architecture has none.
    fn bias(&self, name: &str, weight: &Tensor) -> Result<Tensor> {
        match self.tensors.get(&format!("{name}.bias")) {
            Some(bias) => Ok(bias.clone()),
            None => Tensor::zeros(weight.dim(0)?, weight.dtype(), weight.device()),
        }
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        linear(x, weight, &self.bias(name, weight)?)
    }

    fn layer_norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"))?;
        layer_norm(x, weight, &self.bias(name, weight)?, self.architecture.epsilon)
    }
}
