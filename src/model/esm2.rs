//! ESM-2 (Lin et al. 2023) and ESM-1b (Rives et al. 2021): protein models of fair-esm and of Hugging Face.
//!
//! Pre-LN blocks with the exact GELU, all biases, a tied decoder, `token_dropout`. ESM-2 turns queries and keys by
//! their position and has no LayerNorm after the embedding; ESM-1b has learned positions and that LayerNorm.

use super::architecture::{Architecture, Dimensions, FeedForward, NormPlacement, Positions};
use super::family::{Family, Read};
use super::{Weights, hugging_face};
use crate::error::{Error, Result};
use crate::tokenizer;

pub const FAMILY: Family = Family {
    name: "esm-2",
    owns: |weights| {
        weights.text("model_type") == Some("esm")
            || matches!(weights.shape("embed_tokens.weight"), Some([33, _]))
                && weights.shape("layers.0.self_attn.q_proj.weight").is_some()
    },
    read,
};

const ESM_1B: &str = "esm-1b";
/// fairseq's learned positions start after the padding index 1.
const FIRST_POSITION: usize = 2;
/// Tokens that the published models were trained on at most.
const MAX_TOKENS: usize = 1024;

/// ESM-2 in these sizes.
pub fn architecture(dimensions: Dimensions) -> Architecture {
    let vocabulary = tokenizer::esm2().vocabulary_size();
    Architecture {
        family: FAMILY.name,
        dimensions,
        vocabulary,
        logits: vocabulary,
        positions: Positions::Rotary,
        token_types: false,
        embedding_norm: false,
        token_dropout: true,
        zero_mask_row: false,
        norm: NormPlacement::Before,
        feed_forward: FeedForward::Gelu,
        linear_biases: true,
        query_key_norm: false,
        final_norm_bias: true,
        residual_scale: 1.0,
        tied_decoder: true,
        epsilon: 1e-5,
    }
}

fn read(weights: &mut Weights) -> Result<Read> {
    weights.rename(hugging_face::fairseq_name);
    let rows = weights.shape("embed_positions.weight").map(|shape| shape[0]);
    // A Hugging Face configuration counts the two rows before the first position.
    let configured = weights
        .number(&["max_positions"])
        .or_else(|| Some(weights.number(&["max_position_embeddings"])?.saturating_sub(FIRST_POSITION)));
    let max_tokens = match rows {
        Some(rows) => rows.saturating_sub(FIRST_POSITION),
        None => configured.unwrap_or(MAX_TOKENS),
    };
    let published_head_size = head_size(weights);
    let (dimensions, vocabulary) = Dimensions::infer(weights, FAMILY.name, published_head_size, max_tokens)?;
    if vocabulary != tokenizer::esm2().vocabulary_size() {
        return Err(Error::model(format!(
            "embed_tokens.weight has {vocabulary} rows, the vocabulary of ESM-2 has {}",
            tokenizer::esm2().vocabulary_size()
        )));
    }
    let learned = rows.is_some();
    let architecture = Architecture {
        family: if learned { ESM_1B } else { FAMILY.name },
        positions: if learned { Positions::Learned { first: FIRST_POSITION } } else { Positions::Rotary },
        embedding_norm: weights.shape("emb_layer_norm_before.weight").is_some(),
        token_dropout: weights.flag("token_dropout").unwrap_or(true),
        ..architecture(dimensions)
    };
    Ok(Read { architecture, tokenizer: tokenizer::esm2() })
}

/// All published sizes have 20 heads, but for the 15B model's 40 (hidden size 5120).
fn head_size(weights: &Weights) -> usize {
    match weights.shape("embed_tokens.weight") {
        Some([_, 5120]) => 5120 / 40,
        Some([_, d]) if *d >= 20 => d / 20,
        _ => 1,
    }
}
