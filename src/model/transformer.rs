//! The encoder of every family on the CPU: an [`Architecture`] over the kernels.

use super::architecture::{Architecture, FeedForward, NormPlacement, Positions};
use super::kernels::{self, AddTo, Bias, BiasGelu, LayerNorm, Rotary};
use super::linear::{Linear, Numbers};
use super::{Encoder, Weights, Workspace, sized};
use crate::batching::PackedTokens;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// The share of tokens that the published training masked and showed as `<mask>`: 15 % x 80 %.
const MASK_RATIO_TRAIN: f32 = 0.15 * 0.8;
/// Rows that go through the feed-forward part together: their activations stay in cache.
const ROW_BLOCK: usize = 96;

/// An encoder, its weights packed for the kernels.
pub struct Transformer {
    hidden_size: usize,
    heads: usize,
    /// Set where masked tokens are embedded as zero and the others scaled: the mask's id.
    dropped: Option<u32>,
    /// `[vocabulary, d]`
    tokens: Vec<f32>,
    /// `[max_tokens, d]`, the first token's row first; token types are added already.
    learned_positions: Option<Vec<f32>>,
    rotary: Option<Rotary>,
    embedding_norm: Option<LayerNorm>,
    norm: NormPlacement,
    layers: Vec<Layer>,
    final_norm: Option<LayerNorm>,
}

struct Layer {
    attention_norm: LayerNorm,
    /// Queries (scaled by head_size^-0.5), keys and values side by side, `[d, 3d]`.
    qkv: Linear,
    /// Of whole queries (the scale inside) and keys.
    query_key_norm: Option<[LayerNorm; 2]>,
    output: Linear,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
    expand: Linear,
    contract: Linear,
}

impl Transformer {
    /// Takes the encoder's tensors.
    pub fn load(
        architecture: &Architecture,
        tokenizer: &Tokenizer,
        weights: &mut Weights,
        numbers: Numbers,
    ) -> Result<Self> {
        let dimensions = &architecture.dimensions;
        let d = dimensions.hidden_size;
        let epsilon = architecture.epsilon;
        let tokens = architecture.take_embedding(weights, tokenizer.mask)?;
        let learned_positions = architecture.take_positions(weights)?;
        let rotary = (architecture.positions == Positions::Rotary)
            .then(|| Rotary::new(dimensions.max_positions, architecture.head_size()));
        let embedding_norm = match architecture.embedding_norm {
            true => Some(weights.layer_norm("emb_layer_norm_before", d, epsilon, true)?),
            false => None,
        };
        let layers = (0..dimensions.num_hidden_layers)
            .map(|index| Layer::load(weights, index, architecture, numbers))
            .collect::<Result<Vec<_>>>()?;
        let final_norm = match architecture.norm {
            NormPlacement::Before => {
                Some(weights.layer_norm("emb_layer_norm_after", d, epsilon, architecture.final_norm_bias)?)
            }
            NormPlacement::After => None,
        };
        Ok(Transformer {
            hidden_size: d,
            heads: dimensions.num_attention_heads,
            dropped: architecture.token_dropout.then_some(tokenizer.mask),
            tokens,
            learned_positions,
            rotary,
            embedding_norm,
            norm: architecture.norm,
            layers,
            final_norm,
        })
    }

    /// The token embedding `[vocabulary, d]`, to which a decoder may be tied.
    pub fn decoder_rows(&self) -> &[f32] {
        &self.tokens
    }

    fn embed(&self, tokens: &PackedTokens, hidden: &mut [f32]) {
        let d = self.hidden_size;
        for sequence in tokens.sequences() {
            let ids = &tokens.ids[sequence.range.clone()];
            let dropped = |id: u32| self.dropped == Some(id);
            let scale = embedding_scale(ids, self.dropped);
            let rows = &mut hidden[sequence.range.start * d..sequence.range.end * d];
            for (index, (id, out)) in ids.iter().zip(rows.chunks_exact_mut(d)).enumerate() {
                let scale = if dropped(*id) { 0.0 } else { scale };
                let token = &self.tokens[*id as usize * d..][..d];
                match &self.learned_positions {
                    Some(positions) => {
                        for ((out, token), position) in out.iter_mut().zip(token).zip(&positions[index * d..])
                        {
                            *out = token * scale + position;
                        }
                    }
                    None => out.iter_mut().zip(token).for_each(|(out, token)| *out = token * scale),
                }
            }
        }
        if let Some(norm) = &self.embedding_norm {
            norm.forward_in_place(hidden);
        }
        for sequence in tokens.sequences().filter(|sequence| sequence.pads > 0) {
            hidden[(sequence.range.end - 1) * d..sequence.range.end * d].fill(0.0);
        }
    }

    /// One block: attention and feed-forward, each added to the residual stream `workspace.hidden`.
    fn block(&self, layer: &Layer, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        let d = self.hidden_size;
        let Workspace { hidden, qkv, attended, normalized, expanded, pairs, attention, cancel } = workspace;
        let width = layer.expand.outputs();
        sized(qkv, 3 * hidden.len())?;
        sized(attended, hidden.len())?;
        sized(normalized, ROW_BLOCK * d)?;
        sized(expanded, ROW_BLOCK * width)?;
        let before = self.norm == NormPlacement::Before;
        for (rows, qkv) in hidden.chunks(ROW_BLOCK * d).zip(qkv.chunks_mut(ROW_BLOCK * 3 * d)) {
            cancel.check()?;
            let input = if before {
                layer.attention_norm.forward(rows, normalized);
                &normalized[..]
            } else {
                rows
            };
            layer.qkv.product((&input[..rows.len()], d), pairs, qkv, Bias);
        }
        for sequence in tokens.sequences() {
            cancel.check()?;
            let part = |width: usize| sequence.range.start * width..sequence.range.end * width;
            let qkv = &mut qkv[part(3 * d)];
            if let Some([query_norm, key_norm]) = &layer.query_key_norm {
                for row in qkv.chunks_exact_mut(3 * d) {
                    query_norm.forward_in_place(&mut row[..d]);
                    key_norm.forward_in_place(&mut row[d..2 * d]);
                }
            }
            if let Some(rotary) = &self.rotary {
                rotary.turn(qkv, d);
            }
            // A pad that stands for n others weighs as n keys do.
            let last_key_bias = if sequence.pads > 0 { (sequence.pads as f32).ln() } else { 0.0 };
            kernels::attention(qkv, d, self.heads, last_key_bias, &mut attended[part(d)], attention);
        }
        for (rows, attended) in hidden.chunks_mut(ROW_BLOCK * d).zip(attended.chunks(ROW_BLOCK * d)) {
            cancel.check()?;
            let count = rows.len() / d;
            layer.output.product((attended, d), pairs, rows, AddTo);
            let input = if before {
                layer.feed_forward_norm.forward(rows, normalized);
                &normalized[..]
            } else {
                layer.attention_norm.forward_in_place(rows);
                &*rows
            };
            let input = (&input[..count * d], d);
            match layer.feed_forward {
                FeedForward::Gelu => {
                    layer.expand.product(input, pairs, expanded, BiasGelu);
                }
                FeedForward::SwiGlu => {
                    layer.expand.product(input, pairs, expanded, Bias);
                    expanded[..count * width].chunks_exact_mut(width).for_each(kernels::swiglu);
                }
            }
            let input = (&expanded[..count * width], width);
            layer.contract.product(input, pairs, rows, AddTo);
            if !before {
                layer.feed_forward_norm.forward_in_place(rows);
            }
        }
        Ok(())
    }
}

/// What the embeddings of a sequence's tokens are multiplied by, those of the `dropped` one left out.
pub(super) fn embedding_scale(ids: &[u32], dropped: Option<u32>) -> f32 {
    let Some(dropped) = dropped else { return 1.0 };
    let masked = ids.iter().filter(|id| **id == dropped).count() as f32 / ids.len() as f32;
    (1.0 - MASK_RATIO_TRAIN) / (1.0 - masked)
}

impl Encoder for Transformer {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        sized(&mut workspace.hidden, tokens.ids.len() * self.hidden_size)?;
        self.embed(tokens, &mut workspace.hidden);
        for layer in &self.layers {
            self.block(layer, tokens, workspace)?;
        }
        if let Some(norm) = &self.final_norm {
            norm.forward_in_place(&mut workspace.hidden);
        }
        Ok(())
    }
}

impl Layer {
    fn load(
        weights: &mut Weights,
        index: usize,
        architecture: &Architecture,
        numbers: Numbers,
    ) -> Result<Layer> {
        let (d, epsilon) = (architecture.dimensions.hidden_size, architecture.epsilon);
        let biases = architecture.linear_biases;
        let name = |part: &str| format!("layers.{index}.{part}");
        let query_scale = 1.0 / (architecture.head_size() as f32).sqrt();
        // A norm that follows would undo the scale: it goes into that norm instead.
        let product_scale = if architecture.query_key_norm { 1.0 } else { query_scale };
        let [query, key, value] =
            ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}")));
        let qkv = [(&*query, product_scale), (&*key, 1.0), (&*value, 1.0)];
        let qkv = Linear::load(weights, &qkv, [d, d], biases, numbers)?;
        let query_key_norm = match architecture.query_key_norm {
            true => {
                let mut query = weights.layer_norm(&name("self_attn.q_norm"), d, epsilon, false)?;
                query.weight.iter_mut().for_each(|weight| *weight *= query_scale);
                Some([query, weights.layer_norm(&name("self_attn.k_norm"), d, epsilon, false)?])
            }
            false => None,
        };
        let inner = architecture.dimensions.intermediate_size;
        let expanded = architecture.expanded_size();
        let scale = architecture.residual_scale;
        let mut linear = |part: &str, shape, scale| {
            Linear::load(weights, &[(&*name(part), scale)], shape, biases, numbers)
        };
        let output = linear("self_attn.out_proj", [d, d], scale)?;
        let expand = linear("fc1", [expanded, d], 1.0)?;
        let contract = linear("fc2", [d, inner], scale)?;
        Ok(Layer {
            attention_norm: weights.layer_norm(&name("self_attn_layer_norm"), d, epsilon, true)?,
            qkv,
            query_key_norm,
            output,
            feed_forward_norm: weights.layer_norm(&name("final_layer_norm"), d, epsilon, true)?,
            feed_forward: architecture.feed_forward,
            expand,
            contract,
        })
    }
}
