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

use super::rna_fm::Config;
use attention::attention;
use candle_core::{Result, Tensor, bail};
use embedding::embed;
use gelu::gelu;
use layer_norm::layer_norm;
use linear::linear;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Row of the position embeddings that a sequence's first token takes; the rows before it are fairseq's padding.
const FIRST_POSITION: usize = 2;
/// Number of tokens in RNA-FM's vocabulary.
pub const VOCABULARY: usize = 25;
/// Share of tokens that upstream's training masks: `token_dropout` scales embeddings to this share.
const MASKED_IN_TRAINING: f32 = 0.15 * 0.8;

/// Name and shape of every tensor of a model, in the order of the names; the decoder's weight is
/// `embed_tokens.weight`.
pub fn tensor_shapes(config: &Config) -> BTreeMap<String, Vec<usize>> {
    let (d, ffn) = (config.hidden_size, config.intermediate_size);
    let mut shapes = BTreeMap::new();
    let mut insert = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
    insert("embed_tokens.weight".into(), &[VOCABULARY, d]);
    insert("embed_positions.weight".into(), &[config.max_positions + FIRST_POSITION, d]);
    insert("lm_head.bias".into(), &[VOCABULARY]);
    let mut dense = vec![("lm_head.dense".to_string(), d, d)];
    let mut norms: Vec<String> =
        ["emb_layer_norm_before", "emb_layer_norm_after", "lm_head.layer_norm"].map(String::from).into();
    for layer in 0..config.num_hidden_layers {
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            dense.push((format!("layers.{layer}.self_attn.{name}"), d, d));
        }
        dense.push((format!("layers.{layer}.fc1"), ffn, d));
        dense.push((format!("layers.{layer}.fc2"), d, ffn));
        norms.push(format!("layers.{layer}.self_attn_layer_norm"));
        norms.push(format!("layers.{layer}.final_layer_norm"));
    }
    for (name, out, width) in dense {
        insert(format!("{name}.weight"), &[out, width]);
        insert(format!("{name}.bias"), &[out]);
    }
    for name in norms {
        insert(format!("{name}.weight"), &[d]);
        insert(format!("{name}.bias"), &[d]);
    }
    shapes
}

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
    pub fn new<'a>(config: &Config, mask: u32, sequences: impl Iterator<Item = &'a [u32]>) -> Result<Self> {
        let (mut tokens, mut positions, mut scales, mut lengths) = (vec![], vec![], vec![], vec![]);
        for sequence in sequences {
            let n = sequence.len();
            if n == 0 || n > config.max_positions {
                bail!("a sequence of {n} tokens: allowed are 1 to {}", config.max_positions);
            }
            let masked = sequence.iter().filter(|&&token| token == mask).count() as f32 / n as f32;
            let kept = if config.token_dropout { (1.0 - MASKED_IN_TRAINING) / (1.0 - masked) } else { 1.0 };
            for (i, &token) in sequence.iter().enumerate() {
                if token as usize >= VOCABULARY {
                    bail!("token {token}: the vocabulary has {VOCABULARY}");
                }
                tokens.push(token);
                positions.push((i + FIRST_POSITION) as u32);
                scales.push(if token == mask && config.token_dropout { 0.0 } else { kept });
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
    config: Config,
    tensors: BTreeMap<String, Tensor>,
}

impl RnaFm {
    /// Errors name the tensor that is missing or of another shape.
    pub fn new(config: &Config, tensors: BTreeMap<String, Tensor>) -> Result<Self> {
        for (name, shape) in tensor_shapes(config) {
            match tensors.get(&name) {
                None => bail!("tensor {name} is missing"),
                Some(tensor) if tensor.dims() != shape => {
                    bail!("tensor {name} has shape {:?}: {shape:?} is needed", tensor.dims())
                }
                Some(_) => {}
            }
        }
        Ok(RnaFm { config: config.clone(), tensors })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Hidden states `[total, d]` that enter the head.
    pub fn hidden(&self, batch: &Arc<PackedBatch>) -> Result<Tensor> {
        let tokens = self.tensor("embed_tokens.weight")?;
        let mut x = embed(batch, tokens, self.tensor("embed_positions.weight")?)?;
        x = self.layer_norm("emb_layer_norm_before", &x)?;
        for layer in 0..self.config.num_hidden_layers {
            let at = |name: &str| format!("layers.{layer}.{name}");
            let y = self.layer_norm(&at("self_attn_layer_norm"), &x)?;
            let [q, k, v] =
                ["q_proj", "k_proj", "v_proj"].map(|name| self.linear(&at(&format!("self_attn.{name}")), &y));
            let y = attention(&q?, &k?, &v?, &batch.lengths, self.config.num_attention_heads)?;
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
