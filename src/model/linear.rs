//! Linear layers on the CPU, their weights in f32 or in bf16.

use super::Weights;
use super::kernels::{self, Epilogue, PackedMatrix, Pair, Strided};
use crate::error::Result;

/// What weights are held in, and inputs rounded to; sums and outputs are in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    F32,
    Bf16,
}

#[cfg(feature = "cuda")]
impl Numbers {
    pub fn bytes(self) -> usize {
        match self {
            Numbers::F32 => 4,
            Numbers::Bf16 => 2,
        }
    }

    /// As the kernels' names have it.
    pub fn name(self) -> &'static str {
        match self {
            Numbers::F32 => "float",
            Numbers::Bf16 => "bf16",
        }
    }
}

/// A linear layer `y = W x + b`; without biases b is zero.
pub struct Linear {
    weight: Weight,
    bias: Vec<f32>,
    inputs: usize,
}

enum Weight {
    F32(PackedMatrix),
    Bf16(PackedMatrix<Pair>),
}

impl Linear {
    /// Layers of `[outputs, inputs]` side by side as one, each with what its output is multiplied by.
    pub fn load(
        weights: &mut Weights,
        layers: &[(&str, f32)],
        shape: [usize; 2],
        biases: bool,
        numbers: Numbers,
    ) -> Result<Linear> {
        let mut bias = Vec::with_capacity(layers.len() * shape[0]);
        for (name, scale) in layers {
            match biases {
                true => weights.take_to(&mut bias, &format!("{name}.bias"), &shape[..1], *scale)?,
                false => bias.resize(bias.len() + shape[0], 0.0),
            }
        }
        let weight = match numbers {
            Numbers::F32 => Weight::F32(weights.pack(layers, shape)?),
            Numbers::Bf16 => Weight::Bf16(weights.pack_pairs(layers, shape)?),
        };
        Ok(Linear { weight, bias, inputs: shape[1] })
    }

    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `out = finish(W x)` for rows of x that are `stride` apart; `finish` is an epilogue of the bias. In bf16 the rows are
    /// rounded into `pairs` first.
    pub fn product<'s, E: Epilogue>(
        &'s self,
        (input, stride): (&[f32], usize),
        pairs: &mut Vec<Pair>,
        out: &mut [f32],
        finish: impl FnOnce(&'s [f32]) -> E,
    ) {
        let (rows, outputs, finish) = (input.len() / stride, self.outputs(), finish(&self.bias));
        match &self.weight {
            Weight::F32(matrix) => {
                kernels::matmul(rows, Strided::rows(input, stride), matrix, out, outputs, &finish);
            }
            Weight::Bf16(matrix) => {
                Pair::of_rows(input, stride, self.inputs, pairs);
                kernels::matmul_pairs(rows, pairs, matrix, out, outputs, &finish);
            }
        }
    }
}
