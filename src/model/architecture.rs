//! What an encoder and its head are made of: all that the forms of the engine need to know of a family.
//!
//! Tensors go by fairseq's names, whatever a file calls them: a family gives its tensors these names when it reads a
//! file, and every form of the engine is written once, over the choices below.

use crate::error::{Error, Result};
use crate::model::Weights;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sizes of a model, as configurations spell them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimensions {
    pub num_hidden_layers: usize,
    pub hidden_size: usize,
    pub num_attention_heads: usize,
    /// Width of the feed-forward part, after its gate if it has one.
    pub intermediate_size: usize,
    /// Longest input in tokens, the special ones included.
    pub max_positions: usize,
}

/// How a token learns where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A row of `embed_positions.weight` is added; the first token takes row `first`.
    Learned { first: usize },
    /// Queries and keys are turned by their position (base 10000, halves of a head paired); the first token is at 0.
    Rotary,
}

/// Where a block normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before each sub-layer, and once after all layers.
    Before,
    /// After each sub-layer's residual sum.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedForward {
    /// `fc2(gelu(fc1 x))`, exact GELU.
    Gelu,
    /// `fc2(silu(a) ∘ b)` with a and b the upper and the lower half of `fc1 x`.
    SwiGlu,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Registry name of the family, for example `rna-fm`.
    pub family: &'static str,
    pub dimensions: Dimensions,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Rows of the decoder; all of them count in the softmax.
    pub logits: usize,
    pub positions: Positions,
    /// `embed_types.weight` `[2, d]` is there, and its first row is added to every token.
    pub token_types: bool,
    /// A LayerNorm follows the embedding.
    pub embedding_norm: bool,
    /// Masked tokens are embedded as zero, and all tokens scaled by (1 - 0.12)/(1 - masked share).
    pub token_dropout: bool,
    /// The mask token's row of the embedding, and so of a tied decoder, is zero whatever the file holds.
    pub zero_mask_row: bool,
    pub norm: NormPlacement,
    pub feed_forward: FeedForward,
    /// Whether the linear layers of the blocks have biases.
    pub linear_biases: bool,
    /// LayerNorms without bias over whole queries and keys, before they are turned.
    pub query_key_norm: bool,
    /// Whether the LayerNorm after all layers has a bias.
    pub final_norm_bias: bool,
    /// What each sub-layer's output is multiplied by before it is added.
    pub residual_scale: f32,
    /// The decoder is the token embedding.
    pub tied_decoder: bool,
    /// Of every LayerNorm.
    pub epsilon: f32,
}

impl Architecture {
    /// Name and shape of every tensor, in the order of the names.
    pub fn tensor_shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let (d, f) = (self.dimensions.hidden_size, self.dimensions.intermediate_size);
        let mut shapes = BTreeMap::new();
        let mut insert = |name: &str, shape: &[usize]| {
            shapes.insert(name.to_string(), shape.to_vec());
        };
        insert("embed_tokens.weight", &[self.vocabulary, d]);
        if let Positions::Learned { first } = self.positions {
            insert("embed_positions.weight", &[self.dimensions.max_positions + first, d]);
        }
        if self.token_types {
            insert("embed_types.weight", &[2, d]);
        }
        // Name, shape of the weight, and whether there is a bias.
        let mut parts: Vec<(String, Vec<usize>, bool)> =
            vec![("lm_head.dense".into(), vec![d, d], true), ("lm_head.layer_norm".into(), vec![d], true)];
        if self.embedding_norm {
            parts.push(("emb_layer_norm_before".into(), vec![d], true));
        }
        if self.norm == NormPlacement::Before {
            parts.push(("emb_layer_norm_after".into(), vec![d], self.final_norm_bias));
        }
        let expanded = self.expanded_size();
        for layer in 0..self.dimensions.num_hidden_layers {
            let mut part = |name: &str, shape: &[usize], bias| {
                parts.push((format!("layers.{layer}.{name}"), shape.to_vec(), bias));
            };
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                part(&format!("self_attn.{name}"), &[d, d], self.linear_biases);
            }
            if self.query_key_norm {
                part("self_attn.q_norm", &[d], false);
                part("self_attn.k_norm", &[d], false);
            }
            part("self_attn_layer_norm", &[d], true);
            part("final_layer_norm", &[d], true);
            part("fc1", &[expanded, d], self.linear_biases);
            part("fc2", &[d, f], self.linear_biases);
        }
        for (name, shape, bias) in parts {
            insert(&format!("{name}.weight"), &shape);
            if bias {
                insert(&format!("{name}.bias"), &shape[..1]);
            }
        }
        insert("lm_head.bias", &[self.logits]);
        if !self.tied_decoder {
            insert("lm_head.weight", &[self.logits, d]);
        }
        shapes
    }

    /// Number of weights, a tied decoder counted once.
    pub fn parameters(&self) -> u64 {
        self.tensor_shapes().values().map(|shape| shape.iter().product::<usize>() as u64).sum()
    }

    pub fn head_size(&self) -> usize {
        self.dimensions.hidden_size / self.dimensions.num_attention_heads
    }

    /// Outputs of a block's `fc1`: the gate is in it.
    pub fn expanded_size(&self) -> usize {
        match self.feed_forward {
            FeedForward::Gelu => self.dimensions.intermediate_size,
            FeedForward::SwiGlu => 2 * self.dimensions.intermediate_size,
        }
    }

    /// Takes the token embedding `[vocabulary, d]`, with the mask token's row as this family has it.
    pub fn take_embedding(&self, weights: &mut Weights, mask: u32) -> Result<Vec<f32>> {
        let d = self.dimensions.hidden_size;
        let mut embedding = weights.take("embed_tokens.weight", &[self.vocabulary, d])?;
        if self.zero_mask_row {
            let row = mask as usize * d;
            embedding[row..row + d].fill(0.0);
        }
        Ok(embedding)
    }

    /// Takes the learned positions `[max_positions, d]`, the first token's row first, with token types added; `None`
    /// where positions are not learned.
    pub fn take_positions(&self, weights: &mut Weights) -> Result<Option<Vec<f32>>> {
        let Positions::Learned { first } = self.positions else { return Ok(None) };
        let d = self.dimensions.hidden_size;
        let rows = self.dimensions.max_positions + first;
        let mut positions = weights.take("embed_positions.weight", &[rows, d])?;
        positions.drain(..first * d);
        if self.token_types {
            let types = weights.take("embed_types.weight", &[2, d])?;
            for row in positions.chunks_exact_mut(d) {
                row.iter_mut().zip(&types).for_each(|(position, first_type)| *position += first_type);
            }
        }
        Ok(Some(positions))
    }
}

impl Dimensions {
    /// The sizes of a file whose tensors have fairseq's names, and the rows of its token embedding.
    ///
    /// What shapes cannot tell is the family's to say: the heads (`head_size` is the published one, a configuration
    /// may say otherwise) and the longest input.
    pub fn infer(
        weights: &Weights,
        family: &str,
        head_size: usize,
        max_positions: usize,
    ) -> Result<(Self, usize)> {
        let matrix = |name: &str| match weights.shape(name) {
            Some([rows, columns]) => Ok((*rows, *columns)),
            Some(other) => {
                Err(Error::model(format!("tensor {name} has shape {other:?}, expected is a matrix")))
            }
            None => {
                Err(Error::model(format!("tensor {name} is missing: this is no model of family {family}")))
            }
        };
        let (vocabulary, hidden_size) = matrix("embed_tokens.weight")?;
        let (_, intermediate_size) = matrix("layers.0.fc2.weight")?;
        let num_hidden_layers =
            (0..).take_while(|layer| weights.shape(&format!("layers.{layer}.fc2.weight")).is_some()).count();
        let num_attention_heads =
            weights.number(&["num_attention_heads", "attention_heads"]).unwrap_or(hidden_size / head_size);
        if num_attention_heads == 0 || !hidden_size.is_multiple_of(num_attention_heads) {
            return Err(Error::model(format!(
                "{num_attention_heads} attention heads do not divide the hidden size {hidden_size}; \
                 a config.json beside the file may say num_attention_heads"
            )));
        }
        if max_positions < 4 {
            return Err(Error::model(format!(
                "inputs of {max_positions} tokens at most are too short to score"
            )));
        }
        let dimensions = Dimensions {
            num_hidden_layers,
            hidden_size,
            num_attention_heads,
            intermediate_size,
            max_positions,
        };
        Ok((dimensions, vocabulary))
    }
}
