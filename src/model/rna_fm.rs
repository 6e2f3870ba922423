//! RNA-FM (Chen et al. 2022, arXiv 2204.00300): a BERT-like encoder over nucleotides.
//!
//! Pre-LN blocks with the exact GELU, all biases, learned positions whose first token takes row 2, LayerNorms before
//! and after the layers, a decoder tied to the token embedding. Quirks of the official package that scores depend on:
//! the embedding's `<mask>` row is zero; a decoder stored apart is tied again. The multimolecule form has another
//! vocabulary (28 tokens) and none of these quirks.

use super::architecture::{Architecture, Dimensions, FeedForward, NormPlacement, Positions};
use super::family::{Family, Read};
use super::{Weights, hugging_face};
use crate::error::Result;
use crate::tokenizer;

pub const FAMILY: Family = Family {
    name: "rna-fm",
    owns: |weights| {
        let official = weights.shape("emb_layer_norm_before.weight").is_some()
            && matches!(weights.shape("embed_tokens.weight"), Some([25, _]));
        official || is_multimolecule(weights)
    },
    read,
};

/// fairseq's positions start after the padding index 1.
const FIRST_POSITION: usize = 2;
/// Head size of the published model (640 in 20 heads).
const HEAD_SIZE: usize = 32;

/// RNA-FM in these sizes; as published: 12 layers, 640, 20 heads, 5120, 1024 tokens.
pub fn architecture(dimensions: Dimensions) -> Architecture {
    let vocabulary = tokenizer::rna_fm().vocabulary_size();
    Architecture {
        family: FAMILY.name,
        dimensions,
        vocabulary,
        logits: vocabulary,
        positions: Positions::Learned { first: FIRST_POSITION },
        token_types: false,
        embedding_norm: true,
        token_dropout: true,
        zero_mask_row: true,
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

fn is_multimolecule(weights: &Weights) -> bool {
    weights.text("model_type") == Some("rnafm")
}

fn read(weights: &mut Weights) -> Result<Read> {
    let multimolecule = is_multimolecule(weights);
    if multimolecule {
        weights.rename(hugging_face::fairseq_name);
    }
    let rows = weights.shape("embed_positions.weight").map_or(0, |shape| shape[0]);
    let (dimensions, vocabulary) =
        Dimensions::infer(weights, FAMILY.name, HEAD_SIZE, rows.saturating_sub(FIRST_POSITION))?;
    let tokenizer = if multimolecule { tokenizer::multimolecule_rna() } else { tokenizer::rna_fm() };
    let architecture = Architecture {
        vocabulary,
        logits: vocabulary,
        token_dropout: weights.flag("token_dropout").unwrap_or(!multimolecule),
        zero_mask_row: !multimolecule,
        ..architecture(dimensions)
    };
    Ok(Read { architecture, tokenizer })
}
