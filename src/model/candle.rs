//! The form of an encoder that trains, under the same trait as the engines that score: so both are held to the same
//! numbers, in f64 if need be.

use super::architecture::Architecture;
use super::tensor::MaskedLm;
use super::{Encoder, Weights, Workspace};
use crate::batching::PackedTokens;
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;

pub struct CandleEncoder {
    mask: u32,
    model: MaskedLm,
}

impl CandleEncoder {
    /// Takes the encoder's tensors; gives it, and the token embedding `[vocabulary, d]`, to which a decoder may be tied.
    pub fn load(
        architecture: &Architecture,
        tokenizer: &Tokenizer,
        weights: &mut Weights,
        dtype: DType,
    ) -> Result<(Self, Vec<f32>)> {
        let embedding = architecture.take_embedding(weights, tokenizer.mask)?;
        let shapes = architecture.tensor_shapes().into_iter();
        let mut tensors = BTreeMap::new();
        for (name, shape) in shapes.filter(|(name, _)| !name.starts_with("lm_head.")) {
            let values = match &*name {
                "embed_tokens.weight" => embedding.clone(),
                _ => weights.take(&name, &shape)?,
            };
            let tensor =
                Tensor::from_vec(values, shape, &Device::Cpu).and_then(|tensor| tensor.to_dtype(dtype));
            tensors.insert(name, tensor.map_err(failed)?);
        }
        let model = MaskedLm::encoder(architecture, tensors).map_err(failed)?;
        Ok((CandleEncoder { mask: tokenizer.mask, model }, embedding))
    }
}

impl Encoder for CandleEncoder {
    fn encode(&self, tokens: &PackedTokens, workspace: &mut Workspace) -> Result<()> {
        if tokens.sequences().any(|sequence| sequence.pads > 0) {
            return Err(Error::usage("objective paper-code has no form that trains"));
        }
        let model = &self.model;
        let sequences = tokens.sequences().map(|sequence| &tokens.ids[sequence.range]);
        let batch = model.batch(self.mask, sequences).map_err(failed)?;
        let hidden = model.hidden(&batch).and_then(|hidden| hidden.to_dtype(DType::F32)?.to_vec2::<f32>());
        let hidden = hidden.map_err(failed)?;
        workspace.hidden = batch.sequences().flat_map(|rows| hidden[rows].concat()).collect();
        Ok(())
    }
}

fn failed(error: candle_core::Error) -> Error {
    Error::model("candle cannot compute the model").caused_by(error)
}
