//! The masked-LM head: dense, exact GELU, LayerNorm, decoder.

use super::architecture::Architecture;
use super::kernels::{LayerNorm, PackedMatrix, Strided};
use super::{Weights, kernels};
use crate::error::Result;

/// Weights of the head in the forms that the forward and the backward pass need.
///
/// `u = W h + b`, `v = gelu(u)`, `y = LayerNorm(v)`, `z = E y + c` with W `[d, d]` and E `[vocabulary, d]`.
pub struct MlmHead {
    pub hidden_size: usize,
    /// Logits, of which a family may have more than tokens.
    pub vocabulary: usize,
    /// Wᵀ, `[d, d]`.
    pub dense: PackedMatrix,
    pub dense_bias: Vec<f32>,
    pub norm: LayerNorm,
    /// Eᵀ, `[d, vocabulary]`.
    pub decoder: PackedMatrix,
    pub decoder_bias: Vec<f32>,
    /// E, `[vocabulary, d]`, for the backward pass.
    pub decoder_backward: PackedMatrix,
}

impl MlmHead {
    /// Takes `lm_head.*`; `embedding` (`[vocabulary, d]`) is the decoder where the architecture ties it.
    pub fn load(architecture: &Architecture, embedding: &[f32], weights: &mut Weights) -> Result<Self> {
        let (d, vocabulary) = (architecture.dimensions.hidden_size, architecture.logits);
        let dense = weights.take("lm_head.dense.weight", &[d, d])?;
        let untied = match architecture.tied_decoder {
            true => None,
            false => Some(weights.take("lm_head.weight", &[vocabulary, d])?),
        };
        let decoder = untied.as_deref().unwrap_or(embedding);
        Ok(MlmHead {
            hidden_size: d,
            vocabulary,
            dense: PackedMatrix::new(d, d, Strided::transposed(&dense, d)),
            dense_bias: weights.take("lm_head.dense.bias", &[d])?,
            norm: weights.layer_norm("lm_head.layer_norm", d, architecture.epsilon, true)?,
            decoder: PackedMatrix::new(d, vocabulary, Strided::transposed(decoder, d)),
            decoder_bias: weights.take("lm_head.bias", &[vocabulary])?,
            decoder_backward: PackedMatrix::new(vocabulary, d, Strided::rows(decoder, d)),
        })
    }

    /// Forward pass over rows of hidden states `[n, d]`: fills u, y (`[n, d]`) and z (`[n, vocabulary]`).
    pub fn forward(&self, hidden: &[f32], u: &mut [f32], y: &mut [f32], z: &mut [f32]) {
        let (d, n) = (self.hidden_size, hidden.len() / self.hidden_size);
        kernels::matmul(n, Strided::rows(hidden, d), &self.dense, u, d, &kernels::Bias(&self.dense_bias));
        for (y, u) in y.iter_mut().zip(&*u) {
            *y = kernels::gelu(*u);
        }
        self.norm.forward_in_place(y);
        let bias = kernels::Bias(&self.decoder_bias);
        kernels::matmul(n, Strided::rows(y, d), &self.decoder, z, self.vocabulary, &bias);
    }
}
