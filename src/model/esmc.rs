//! ESM-C (EvolutionaryScale, esm 3): protein models of 300 M and 600 M weights.
//!
//! Pre-LN blocks without linear biases, LayerNorms over whole queries and keys before they are turned, SwiGLU, each
//! sub-layer's output divided by sqrt(layers / 36), and an untied decoder of 64 logits of which 33 stand for tokens.

use super::Weights;
use super::architecture::{Architecture, Dimensions, FeedForward, NormPlacement, Positions};
use super::family::{Family, Read};
use crate::error::Result;
use crate::tokenizer;

pub const FAMILY: Family =
    Family { name: "esmc", owns: |weights| weights.shape("sequence_head.0.weight").is_some(), read };

/// Of both published models: 960 in 15 heads, 1152 in 18.
const HEAD_SIZE: usize = 64;
/// Rows of the embedding and of the decoder, of which 33 stand for tokens.
const LOGITS: usize = 64;
/// Tokens that the published models were trained on at most.
const MAX_TOKENS: usize = 2048;
/// The depth at which sub-layers' outputs are added as they are.
const UNSCALED_LAYERS: f32 = 36.0;

/// ESM-C in these sizes; published are 30 layers of 960 in 15 heads, and 36 of 1152 in 18.
pub fn architecture(dimensions: Dimensions) -> Architecture {
    let residual_scale = (UNSCALED_LAYERS / dimensions.num_hidden_layers as f32).sqrt();
    Architecture {
        family: FAMILY.name,
        dimensions,
        vocabulary: LOGITS,
        logits: LOGITS,
        positions: Positions::Rotary,
        token_types: false,
        embedding_norm: false,
        token_dropout: false,
        zero_mask_row: false,
        norm: NormPlacement::Before,
        feed_forward: FeedForward::SwiGlu,
        linear_biases: false,
        query_key_norm: true,
        final_norm_bias: false,
        residual_scale,
        tied_decoder: false,
        epsilon: 1e-5,
    }
}

fn read(weights: &mut Weights) -> Result<Read> {
    weights.rename(fairseq_name);
    for layer in 0.. {
        let at = |name: &str| format!("layers.{layer}.self_attn.{name}.weight");
        if !weights.split(&at("qkv"), &[at("q_proj"), at("k_proj"), at("v_proj")])? {
            break;
        }
    }
    let max_tokens = weights.number(&["max_positions", "max_position_embeddings"]).unwrap_or(MAX_TOKENS);
    let (dimensions, vocabulary) = Dimensions::infer(weights, FAMILY.name, HEAD_SIZE, max_tokens)?;
    let logits = weights.shape("lm_head.bias").map_or(vocabulary, |shape| shape[0]);
    let architecture = Architecture { vocabulary, logits, ..architecture(dimensions) };
    Ok(Read { architecture, tokenizer: tokenizer::esmc() })
}

/// Fairseq's name of one of the esm package's tensors; queries, keys and values are one tensor there.
fn fairseq_name(name: &str) -> Option<String> {
    let head = name.strip_prefix("sequence_head.").and_then(|rest| {
        let (index, kind) = rest.split_once('.')?;
        Some(match index {
            "0" => format!("lm_head.dense.{kind}"),
            "2" => format!("lm_head.layer_norm.{kind}"),
            "3" => format!("lm_head.{kind}"),
            _ => return None,
        })
    });
    let block = || {
        let (layer, rest) = name.strip_prefix("transformer.blocks.")?.split_once('.')?;
        let (part, kind) = rest.rsplit_once('.')?;
        let part = match part {
            "attn.layernorm_qkv.0" => "self_attn_layer_norm",
            "attn.layernorm_qkv.1" => "self_attn.qkv",
            "attn.q_ln" => "self_attn.q_norm",
            "attn.k_ln" => "self_attn.k_norm",
            "attn.out_proj" => "self_attn.out_proj",
            "ffn.0" => "final_layer_norm",
            "ffn.1" => "fc1",
            "ffn.3" => "fc2",
            _ => return None,
        };
        Some(format!("layers.{layer}.{part}.{kind}"))
    };
    match name {
        "embed.weight" => Some("embed_tokens.weight".into()),
        "transformer.norm.weight" => Some("emb_layer_norm_after.weight".into()),
        _ => head.or_else(block),
    }
}
