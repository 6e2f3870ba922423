//! RoBERTa as fairseq trains it (Liu et al. 2019): Sapiens, the antibody models of Prihoda et al. 2022.
//!
//! Post-LN blocks with the exact GELU, all biases, learned positions whose first token takes row 2, a LayerNorm after
//! the embedding, a tied decoder.

use super::Weights;
use super::architecture::{Architecture, Dimensions, FeedForward, NormPlacement, Positions};
use super::family::{Family, Read};
use crate::error::Result;
use crate::tokenizer;

pub const FAMILY: Family = Family {
    name: "roberta",
    owns: |weights| {
        weights.shape("emb_layer_norm.weight").is_some()
            || weights.shape("layernorm_embedding.weight").is_some()
    },
    read,
};

/// fairseq's positions start after the padding index 1.
const FIRST_POSITION: usize = 2;
/// Of Sapiens: 128 in 8 heads.
const HEAD_SIZE: usize = 16;

fn read(weights: &mut Weights) -> Result<Read> {
    weights.rename(|name| {
        let (part, kind) = name.rsplit_once('.')?;
        matches!(part, "emb_layer_norm" | "layernorm_embedding")
            .then(|| format!("emb_layer_norm_before.{kind}"))
    });
    let rows = weights.shape("embed_positions.weight").map_or(0, |shape| shape[0]);
    let (dimensions, vocabulary) =
        Dimensions::infer(weights, FAMILY.name, HEAD_SIZE, rows.saturating_sub(FIRST_POSITION))?;
    let tokenizer = tokenizer::roberta(weights.text("vocab"))?;
    let architecture = Architecture {
        family: FAMILY.name,
        dimensions,
        vocabulary,
        logits: vocabulary,
        positions: Positions::Learned { first: FIRST_POSITION },
        token_types: false,
        embedding_norm: true,
        token_dropout: false,
        zero_mask_row: false,
        norm: NormPlacement::After,
        feed_forward: FeedForward::Gelu,
        linear_biases: true,
        query_key_norm: false,
        final_norm_bias: true,
        residual_scale: 1.0,
        tied_decoder: true,
        epsilon: 1e-5,
    };
    Ok(Read { architecture, tokenizer })
}
