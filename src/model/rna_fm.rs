//! RNA-FM (Chen et al. 2022, arXiv 2204.00300): a BERT-like encoder over nucleotides.
//!
//! Pre-LN blocks with the exact GELU, all biases, learned positions whose first token takes row 2, LayerNorms before
//! and after the layers, a decoder tied to the token embedding. Quirks of the official package that scores depend on:
//! the embedding's `<mask>` row is zero; with `token_dropout` embeddings are scaled by (1 - 0.12)/(1 - masked share).

use super::kernels::{self, AddTo, Bias, BiasGelu, LayerNorm, PackedMatrix, Strided};
use super::{Encoder, MlmHead, ModelInfo, ModelStatus, Weights, Workspace};
use crate::batching::PackedTokens;
use crate::error::{Error, Result};
use crate::tokenizer::{self, Tokenizer};
use serde::{Deserialize, Serialize};

const LAYER_NORM_EPSILON: f32 = 1e-5;
/// fairseq's positions start after the padding index 1.
const FIRST_POSITION: usize = 2;
/// The share of tokens that the published training masked and showed as `<mask>`: 15 % x 80 %.
const MASK_RATIO_TRAIN: f32 = 0.15 * 0.8;
/// Head size of the published model, for files that do not say how many heads they have.
const PUBLISHED_HEAD_SIZE: usize = 32;
/// Rows that go through the feed-forward part together: their activations stay in cache.
const ROW_BLOCK: usize = 96;

/// The dimensions of a model; RNA-FM as published: 12 layers, 640, 20 heads, 5120, 1024 positions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub num_hidden_layers: usize,
    pub hidden_size: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    /// Longest input in tokens; the position embedding has two rows more.
    pub max_positions: usize,
    pub token_dropout: bool,
}

impl Config {
    /// Reads the dimensions off the tensors' shapes, and what they cannot tell off the configuration.
    pub fn infer(weights: &Weights) -> Result<Self> {
        let shape = |name: &str| match weights.shape(name) {
            Some([rows, columns]) => Ok((*rows, *columns)),
            Some(other) => {
                Err(Error::model(format!("tensor {name} has shape {other:?}, expected is a matrix")))
            }
            None => Err(Error::model(format!("tensor {name} is missing: this is no RNA-FM model"))),
        };
        let (_, hidden_size) = shape("embed_tokens.weight")?;
        let (positions, _) = shape("embed_positions.weight")?;
        let (intermediate_size, _) = shape("layers.0.fc1.weight")?;
        let num_hidden_layers =
            (0..).take_while(|layer| weights.shape(&format!("layers.{layer}.fc1.weight")).is_some()).count();
        let num_attention_heads = weights
            .number(&["num_attention_heads", "attention_heads"])
            .unwrap_or(hidden_size / PUBLISHED_HEAD_SIZE);
        if num_attention_heads == 0 || !hidden_size.is_multiple_of(num_attention_heads) {
            return Err(Error::model(format!(
                "{num_attention_heads} attention heads do not divide the hidden size {hidden_size}; \
                 a config.json beside the file may say num_attention_heads"
            )));
        }
        if positions <= FIRST_POSITION + 2 {
            return Err(Error::model(format!("embed_positions.weight has {positions} rows: too few")));
        }
        Ok(Config {
            num_hidden_layers,
            hidden_size,
            num_attention_heads,
            intermediate_size,
            max_positions: positions - FIRST_POSITION,
            token_dropout: weights.flag("token_dropout").unwrap_or(true),
        })
    }
}

struct Layer {
    attention_norm: LayerNorm,
    /// Query (scaled by head_size^-0.5), key and value side by side, `[d, 3d]`.
    qkv: PackedMatrix,
    qkv_bias: Vec<f32>,
    output: PackedMatrix,
    output_bias: Vec<f32>,
    feed_forward_norm: LayerNorm,
    expand: PackedMatrix,
    expand_bias: Vec<f32>,
    contract: PackedMatrix,
    contract_bias: Vec<f32>,
}

/// The encoder of RNA-FM.
pub struct RnaFm {
    config: Config,
    mask: u32,
    /// `[vocabulary, d]`
    tokens: Vec<f32>,
    /// `[max_positions + 2, d]`
    positions: Vec<f32>,
    norm_before: LayerNorm,
    layers: Vec<Layer>,
    norm_after: LayerNorm,
}

impl RnaFm {
    /// Loads the encoder and its head.
    pub fn load(mut weights: Weights, tokenizer: &Tokenizer) -> Result<(Config, RnaFm, MlmHead)> {
        let config = Config::infer(&weights)?;
        let d = config.hidden_size;
        if let Some([rows, _]) = weights.shape("embed_tokens.weight") {
            tokenizer.check_vocabulary(*rows)?;
        }
        let mut tokens = weights.take("embed_tokens.weight", &[tokenizer.vocabulary_size(), d])?;
        let mask_row = tokenizer.mask as usize * d;
        tokens[mask_row..mask_row + d].fill(0.0);
        let positions =
            weights.take("embed_positions.weight", &[config.max_positions + FIRST_POSITION, d])?;
        let norm_before = weights.layer_norm("emb_layer_norm_before", d, LAYER_NORM_EPSILON)?;
        let norm_after = weights.layer_norm("emb_layer_norm_after", d, LAYER_NORM_EPSILON)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&mut weights, index, &config))
            .collect::<Result<Vec<_>>>()?;
        let head = MlmHead::tied(&mut weights, &tokens, d, LAYER_NORM_EPSILON)?;
        // The decoder is tied, also where a copy of it is stored; the contact head has no part in the language model.
        weights.finish(|name| {
            name == "lm_head.weight" || name.starts_with("contact_head.") || name.ends_with("._float_tensor")
        })?;
        let mask = tokenizer.mask;
        let encoder =
            RnaFm { config: config.clone(), mask, tokens, positions, norm_before, layers, norm_after };
        Ok((config, encoder, head))
    }

    fn embed(&self, tokens: &PackedTokens, hidden: &mut Vec<f32>) {
        let d = self.config.hidden_size;
        hidden.resize(tokens.ids.len() * d, 0.0);
        for range in tokens.sequences() {
            let ids = &tokens.ids[range.clone()];
            let masked = ids.iter().filter(|id| **id == self.mask).count() as f32 / ids.len() as f32;
            let scale = match self.config.token_dropout {
                true => (1.0 - MASK_RATIO_TRAIN) / (1.0 - masked),
                false => 1.0,
            };
            for (index, (id, out)) in
                ids.iter().zip(hidden[range.start * d..range.end * d].chunks_exact_mut(d)).enumerate()
            {
                let token = &self.tokens[*id as usize * d..][..d];
                let position = &self.positions[(index + FIRST_POSITION) * d..][..d];
                for ((out, token), position) in out.iter_mut().zip(token).zip(position) {
                    *out = token * scale + position;
                }
            }
        }
        self.norm_before.forward_in_place(hidden);
    }
}

impl Layer {
    fn load(weights: &mut Weights, index: usize, config: &Config) -> Result<Layer> {
        let (d, expanded) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("layers.{index}.{part}");
        let scale = 1.0 / ((d / config.num_attention_heads) as f32).sqrt();
        let (mut rows, mut qkv_bias) = (Vec::with_capacity(3 * d * d), Vec::with_capacity(3 * d));
        for (part, scale) in [("q_proj", scale), ("k_proj", 1.0), ("v_proj", 1.0)] {
            let weight = weights.take(&name(&format!("self_attn.{part}.weight")), &[d, d])?;
            rows.extend(weight.iter().map(|w| w * scale));
            let bias = weights.take(&name(&format!("self_attn.{part}.bias")), &[d])?;
            qkv_bias.extend(bias.iter().map(|b| b * scale));
        }
        let packed = |weights: &mut Weights, part: &str, outputs: usize, inputs: usize| {
            let weight = weights.take(&name(part), &[outputs, inputs])?;
            Ok::<_, Error>(PackedMatrix::new(inputs, outputs, Strided::transposed(&weight, inputs)))
        };
        Ok(Layer {
            attention_norm: weights.layer_norm(&name("self_attn_layer_norm"), d, LAYER_NORM_EPSILON)?,
            qkv: PackedMatrix::new(d, 3 * d, Strided::transposed(&rows, d)),
            qkv_bias,
            output: packed(weights, "self_attn.out_proj.weight", d, d)?,
            output_bias: weights.take(&name("self_attn.out_proj.bias"), &[d])?,
            feed_forward_norm: weights.layer_norm(&name("final_layer_norm"), d, LAYER_NORM_EPSILON)?,
            expand: packed(weights, "fc1.weight", expanded, d)?,
            expand_bias: weights.take(&name("fc1.bias"), &[expanded])?,
            contract: packed(weights, "fc2.weight", d, expanded)?,
            contract_bias: weights.take(&name("fc2.bias"), &[d])?,
        })
    }

    /// One block: attention and feed-forward, each added to the residual stream `workspace.hidden`.
    fn forward(&self, tokens: &PackedTokens, heads: usize, workspace: &mut Workspace) {
        let d = self.attention_norm.weight.len();
        let Workspace { hidden, qkv, attended, normalized, expanded, attention } = workspace;
        qkv.resize(3 * hidden.len(), 0.0);
        attended.resize(hidden.len(), 0.0);
        normalized.resize(ROW_BLOCK * d, 0.0);
        expanded.resize(ROW_BLOCK * self.expand.columns(), 0.0);
        for (rows, qkv) in hidden.chunks(ROW_BLOCK * d).zip(qkv.chunks_mut(ROW_BLOCK * 3 * d)) {
            self.attention_norm.forward(rows, normalized);
            let input = Strided::rows(normalized, d);
            kernels::matmul(rows.len() / d, input, &self.qkv, qkv, 3 * d, &Bias(&self.qkv_bias));
        }
        for range in tokens.sequences() {
            let (qkv, out) =
                (&qkv[range.start * 3 * d..range.end * 3 * d], &mut attended[range.start * d..range.end * d]);
            kernels::attention(qkv, d, heads, out, attention);
        }
        for (rows, attended) in hidden.chunks_mut(ROW_BLOCK * d).zip(attended.chunks(ROW_BLOCK * d)) {
            let count = rows.len() / d;
            let width = self.expand.columns();
            kernels::matmul(
                count,
                Strided::rows(attended, d),
                &self.output,
                rows,
                d,
                &AddTo(&self.output_bias),
            );
            self.feed_forward_norm.forward(rows, normalized);
            let input = Strided::rows(normalized, d);
            kernels::matmul(count, input, &self.expand, expanded, width, &BiasGelu(&self.expand_bias));
            let input = Strided::rows(expanded, width);
            kernels::matmul(count, input, &self.contract, rows, d, &AddTo(&self.contract_bias));
        }
    }
}

impl Encoder for RnaFm {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) {
        self.embed(tokens, &mut workspace.hidden);
        for layer in &self.layers {
            layer.forward(tokens, self.config.num_attention_heads, workspace);
        }
        self.norm_after.forward_in_place(&mut workspace.hidden);
    }
}

/// Loads a model of this family from a file's weights.
pub fn load(name: &str, status: ModelStatus, weights: Weights) -> Result<super::Model> {
    let tokenizer = tokenizer::rna_fm();
    let digest = weights.digest.clone();
    let text = |key: &str| weights.text(key).unwrap_or("not stated").to_string();
    let (description, licence) = (text("description"), text("licence"));
    let (config, encoder, head) = RnaFm::load(weights, &tokenizer)?;
    let info = ModelInfo {
        name: name.to_string(),
        family: tokenizer.family.to_string(),
        status,
        description,
        licence,
        parameters: config.parameters(&tokenizer),
        layers: config.num_hidden_layers as u32,
        hidden_size: config.hidden_size as u32,
        attention_heads: config.num_attention_heads as u32,
        vocabulary: tokenizer.vocabulary_size() as u32,
        max_tokens: config.max_positions as u32,
        digest,
    };
    Ok(super::Model { info, tokenizer, encoder: Box::new(encoder), head })
}

impl Config {
    /// Number of weights, the tied decoder counted once.
    fn parameters(&self, tokenizer: &Tokenizer) -> u64 {
        let (d, f, v) = (self.hidden_size, self.intermediate_size, tokenizer.vocabulary_size());
        let layer = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 4 * d;
        let head = d * d + d + 2 * d + v;
        (v * d + (self.max_positions + FIRST_POSITION) * d + 4 * d + self.num_hidden_layers * layer + head)
            as u64
    }
}
