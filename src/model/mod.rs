//! Reference models: a registry of names, one file for each family, and the CPU engine's kernels.
//!
//! A model is a tokenizer, an [`Encoder`] and an [`MlmHead`]. The encoder turns packed tokens into hidden states;
//! the head holds the dense weight by which scores are derived. A family is one file: it knows its files, gives their
//! tensors fairseq's names and tells the [`Architecture`]; `family` lists them.

pub mod architecture;
mod bert;
mod candle;
mod card;
mod device;
pub mod esm2;
pub mod esmc;
pub mod family;
mod files;
mod head;
mod hugging_face;
pub mod kernels;
mod pickle;
mod registry;
pub mod rna_fm;
mod roberta;
mod shards;
mod source;
mod stored;
pub mod tensor;
mod tensor_file;
mod transformer;
mod weights;

pub use architecture::{Architecture, Dimensions};
pub use device::{DeviceChoice, Placement, PrecisionChoice};

pub use head::MlmHead;
pub use registry::{ModelInfo, ModelStatus, ModelSummary, bundled, describe, load, on_hub};
pub use source::open;
pub use weights::Weights;

use crate::batching::PackedTokens;
use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// The part of a model before the masked-LM head.
pub trait Encoder: Send + Sync {
    /// Hidden states `[total_tokens, d]` of packed sequences, as they enter the head, into `workspace.hidden`.
    ///
    /// On the CPU a sequence's states have the same bits whatever is packed beside it. Errors: a device that fails.
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()>;
}

/// Memory that an encoder works in, kept by each thread from batch to batch.
#[derive(Default)]
pub struct Workspace {
    /// The residual stream, and at the end the hidden states, `[total_tokens, d]`.
    pub hidden: Vec<f32>,
    /// Queries, keys and values, `[total_tokens, 3d]`.
    qkv: Vec<f32>,
    /// Attention's output, `[total_tokens, d]`.
    attended: Vec<f32>,
    /// Normalized rows of one block.
    normalized: Vec<f32>,
    /// Feed-forward activations of one block.
    expanded: Vec<f32>,
    attention: kernels::AttentionScratch,
}

/// A reference model, ready to score.
pub struct Model {
    pub info: ModelInfo,
    pub tokenizer: Tokenizer,
    pub encoder: Box<dyn Encoder>,
    pub head: MlmHead,
}
