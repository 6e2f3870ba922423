//! An encoder in candle's form, on a GPU, under the same trait as the CPU engine's.
//!
//! The head stays on the CPU: its gradient is a hundredth of the encoder's work, runs on all threads beside the GPU, and
//! is in f32 either way.

use super::architecture::Architecture;
use super::tensor::{MaskedLm, PackedBatch};
use super::{Encoder, Weights, Workspace};
use crate::batching::PackedTokens;
use crate::error::{Code, Error, Result};
use crate::tokenizer::Tokenizer;
use candle_core::{DType, Device, Tensor};
use parking_lot::Mutex;
use std::collections::BTreeMap;

pub struct CandleEncoder {
    mask: u32,
    /// One batch at a time: threads that wait for the GPU do so here, and work on their heads meanwhile.
    model: Mutex<MaskedLm>,
}

impl CandleEncoder {
    /// Takes the encoder's tensors onto the device; gives it, and the token embedding `[vocabulary, d]`, to which a
    /// decoder may be tied.
    pub fn load(
        architecture: &Architecture,
        tokenizer: &Tokenizer,
        weights: &mut Weights,
        device: &Device,
        dtype: DType,
    ) -> Result<(Self, Vec<f32>)> {
        let d = architecture.dimensions.hidden_size;
        let mut embedding = Vec::new();
        let shapes = architecture.tensor_shapes().into_iter();
        let mut tensors = BTreeMap::new();
        for (name, shape) in shapes.filter(|(name, _)| !name.starts_with("lm_head.")) {
            let mut values = weights.take(&name, &shape)?;
            if name == "embed_tokens.weight" {
                if architecture.zero_mask_row {
                    let row = tokenizer.mask as usize * d;
                    values[row..row + d].fill(0.0);
                }
                embedding.clone_from(&values);
            }
            let tensor = Tensor::from_vec(values, shape, device).and_then(|tensor| tensor.to_dtype(dtype));
            tensors.insert(name, tensor.map_err(failed)?);
        }
        let model = MaskedLm::encoder(architecture, tensors).map_err(failed)?;
        Ok((CandleEncoder { mask: tokenizer.mask, model: Mutex::new(model) }, embedding))
    }
}

impl Encoder for CandleEncoder {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        if tokens.sequences().any(|sequence| sequence.pads > 0) {
            return Err(Error::usage("objective paper-code is computed on the CPU: --device cpu"));
        }
        let model = self.model.lock();
        let sequences = tokens.sequences().map(|sequence| &tokens.ids[sequence.range]);
        let batch = PackedBatch::new(model.architecture(), self.mask, sequences).map_err(failed)?;
        let hidden =
            model.hidden(&batch).and_then(|hidden| hidden.to_dtype(DType::F32)?.flatten_all()?.to_vec1());
        workspace.hidden = hidden.map_err(failed)?;
        Ok(())
    }
}

fn failed(error: candle_core::Error) -> Error {
    match is_out_of_memory(&error.to_string()) {
        true => Error::new(Code::OutOfMemory, "the device has no memory for a batch").caused_by(error),
        false => Error::model("the device cannot compute the model").caused_by(error),
    }
}

/// The driver's errors come as text through several layers.
fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["out_of_memory", "out of memory", "alloc_failed"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_out_of_memory_is_told_from_one_that_fails() {
        for (message, code) in [
            ("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", Code::OutOfMemory),
            ("CublasError(CUBLAS_STATUS_ALLOC_FAILED)", Code::OutOfMemory),
            ("DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access\")", Code::ModelUnavailable),
        ] {
            assert_eq!(failed(candle_core::Error::Msg(message.to_string())).code, code, "{message}");
        }
    }
}
