//! The RNA-FM encoder and its language-model head as differentiable candle tensors.
//!
//! Sequences are packed end to end, `[total, d]`, without padding. On the CPU in f32 the operations have forms of
//! their own, single-threaded and with their own backward pass (training runs several batches side by side);
//! elsewhere candle's operations do the same. Upstream: the RNA-FM package, `rna_esm.py` and `modules.py`.

mod attention;
mod cross_entropy;
mod embedding;
mod gelu;
mod kernel;
mod layer_norm;
mod linear;
#[cfg(test)]
mod tests;

pub use cross_entropy::cross_entropy;

use super::architecture::{Architecture, Positions};
use attention::attention;
use candle_core::{Result, Tensor, bail};
use embedding::embed;
use gelu::gelu;
use layer_norm::layer_norm;
use linear::linear;
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
pub struct RnaFm {
    architecture: Architecture,
    tensors: BTreeMap<String, Tensor>,
}

impl RnaFm {
    /// Errors name the tensor that is missing or of another shape.
    pub fn new(architecture: &Architecture, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        for (name, shape) in architecture.tensor_shapes() {
            match tensors.get(&name) {
                None => bail!("tensor {name} is missing"),
                Some(tensor) if tensor.dims() != shape => {
                    bail!("tensor {name} has shape {:?}: {shape:?} is needed", tensor.dims())
                }
                Some(_) => {}
            }
        }
        Ok(RnaFm { architecture: architecture.clone(), tensors })
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Hidden states `[total, d]` that enter the head.
    pub fn hidden(&self, batch: &Arc<PackedBatch>) -> Result<Tensor> {
        let tokens = self.tensor("embed_tokens.weight")?;
        let mut x = embed(batch, tokens, self.tensor("embed_positions.weight")?)?;
        x = self.layer_norm("emb_layer_norm_before", &x)?;
        for layer in 0..self.architecture.dimensions.num_hidden_layers {
            let at = |name: &str| format!("layers.{layer}.{name}");
            let y = self.layer_norm(&at("self_attn_layer_norm"), &x)?;
            let [q, k, v] =
                ["q_proj", "k_proj", "v_proj"].map(|name| self.linear(&at(&format!("self_attn.{name}")), &y));
            let y =
                attention(&q?, &k?, &v?, &batch.lengths, self.architecture.dimensions.num_attention_heads)?;
            x = (x + self.linear(&at("self_attn.out_proj"), &y)?)?;
            let y = self.layer_norm(&at("final_layer_norm"), &x)?;
            let y = gelu(&self.linear(&at("fc1"), &y)?)?;
            x = (x + self.linear(&at("fc2"), &y)?)?;
        }
        self.layer_norm("emb_layer_norm_after", &x)
    }

    /// Logits `[n, vocabulary]` of hidden states `[n, d]`.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let x = gelu(&self.linear("lm_head.dense", hidden)?)?;
        let x = self.layer_norm("lm_head.layer_norm", &x)?;
        linear(&x, self.tensor("embed_tokens.weight")?, self.tensor("lm_head.bias")?)
    }

    /// Cross entropy `[n]` at these positions of the packed batch.
    pub fn losses(&self, batch: &Arc<PackedBatch>, positions: &[u32], targets: &[u32]) -> Result<Tensor> {
        let hidden = self.hidden(batch)?;
        let positions = Tensor::new(positions, hidden.device())?;
        cross_entropy(&self.logits(&hidden.index_select(&positions, 0)?)?, targets)
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| candle_core::Error::msg(format!("tensor {name} is missing")))
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        linear(x, self.tensor(&format!("{name}.weight"))?, self.tensor(&format!("{name}.bias"))?)
    }

    fn layer_norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, self.tensor(&format!("{name}.weight"))?, self.tensor(&format!("{name}.bias"))?)
    }
}
