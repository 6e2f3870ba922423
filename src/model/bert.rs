//! BERT as a masked LM (Devlin et al. 2019) over letters or overlapping k-mers: ProtBert, AntiBERTy, DNABERT's form.
//!
//! Post-LN blocks with the exact GELU, all biases, learned positions from row 0, two token types of which the first
//! is every token's, a tied decoder. The vocabulary is the `vocab.txt` beside the weights.

use super::architecture::{Architecture, Dimensions, FeedForward, NormPlacement, Positions};
use super::family::{Family, Read};
use super::{Weights, hugging_face};
use crate::error::{Error, Result};
use crate::tokenizer;

pub const FAMILY: Family = Family {
    name: "bert",
    owns: |weights| {
        weights.text("model_type") == Some("bert")
            || weights.shape("bert.embeddings.word_embeddings.weight").is_some()
    },
    read,
};

/// Of the published BERT, ProtBert and AntiBERTy.
const HEAD_SIZE: usize = 64;
const EPSILON: f64 = 1e-12;

fn read(weights: &mut Weights) -> Result<Read> {
    weights.rename(hugging_face::fairseq_name);
    match weights.text("hidden_act") {
        None | Some("gelu") => {}
        Some(other) => {
            return Err(Error::model(format!("activation {other:?}: allowed is the exact GELU, \"gelu\"")));
        }
    }
    let rows = weights.shape("embed_positions.weight").map_or(0, |shape| shape[0]);
    let (dimensions, vocabulary) = Dimensions::infer(weights, FAMILY.name, HEAD_SIZE, rows)?;
    let Some(words) = weights.text("vocab") else {
        return Err(Error::model("a BERT model needs its vocab.txt beside the weights"));
    };
    let tokenizer = tokenizer::bert(words)?;
    let architecture = Architecture {
        family: FAMILY.name,
        dimensions,
        vocabulary,
        logits: vocabulary,
        positions: Positions::Learned { first: 0 },
        token_types: true,
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
        epsilon: weights.real("layer_norm_eps").unwrap_or(EPSILON) as f32,
    };
    Ok(Read { architecture, tokenizer })
}
