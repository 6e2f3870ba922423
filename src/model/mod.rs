//! Reference models: a registry of names, one file for each family, and the CPU engine's kernels.
//!
//! A model is a tokenizer, an [`Encoder`] and an [`MlmHead`]. The encoder turns packed tokens into hidden states;
//! the head holds the dense weight by which scores are derived. A family is one file: it knows its files, gives their
//! tensors fairseq's names and tells the [`Architecture`]; `family` lists them.

pub mod architecture;
mod bert;
mod candle;
mod card;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
pub mod esm2;
pub mod esmc;
pub mod family;
mod files;
mod head;
mod hugging_face;
pub mod kernels;
mod linear;
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
#[cfg(not(feature = "cuda"))]
pub use device::WITHOUT_CUDA;
pub use device::{DeviceChoice, Placement, PrecisionChoice};

pub use head::MlmHead;
pub use linear::Numbers;
pub use registry::{ModelInfo, ModelStatus, ModelSummary, bundled, describe, load, on_hub};
pub use source::open;
pub use weights::Weights;

use crate::batching::PackedTokens;
use crate::cancel::CancelToken;
use crate::error::{Code, Error, Result};
use crate::tokenizer::Tokenizer;

/// The part of a model before the masked-LM head.
pub trait Encoder: Send + Sync {
    /// Hidden states `[total_tokens, d]` of packed sequences, as they enter the head, into `workspace.hidden`.
    ///
    /// On the CPU a sequence's states have the same bits whatever is packed beside it.
    ///
    /// # Errors
    /// `out_of_memory` where fewer tokens at once may do; `canceled` soon after the workspace's token is set; a device
    /// that fails.
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()>;

    /// Tokens that it had best be given at once, where that is not for the caller to say: on a GPU.
    fn batch_tokens(&self) -> Option<usize> {
        None
    }

    /// The encoder's own form on a GPU, where it is on one: gradients and scores are then computed there too.
    #[cfg(feature = "cuda")]
    fn on_gpu(&self) -> Option<&cuda::CudaEncoder> {
        None
    }
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
    /// Rows of one block in bf16.
    pairs: Vec<kernels::Pair>,
    attention: kernels::AttentionScratch,
    /// Ends the encoding of a batch early
    pub cancel: CancelToken,
}

impl Workspace {
    /// Memory that grows with the first batches; whoever sets `cancel` ends the encoding.
    pub fn new(cancel: CancelToken) -> Workspace {
        Workspace { cancel, ..Workspace::default() }
    }
}

/// Makes `buffer` hold `length` numbers, which are arbitrary.
///
/// # Errors
/// `out_of_memory` where the system does not grant it.
pub fn sized(buffer: &mut Vec<f32>, length: usize) -> Result<()> {
    buffer.try_reserve_exact(length.saturating_sub(buffer.len())).map_err(|error| {
        let bytes = length.saturating_mul(size_of::<f32>());
        Error::new(Code::OutOfMemory, format!("{bytes} bytes for a batch cannot be had")).caused_by(error)
    })?;
    buffer.resize(length, 0.0);
    Ok(())
}

/// A reference model, ready to score.
pub struct Model {
    pub info: ModelInfo,
    pub tokenizer: Tokenizer,
    pub encoder: Box<dyn Encoder>,
    pub head: MlmHead,
}
