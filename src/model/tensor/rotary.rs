//! Rotary positions of a batch's queries or keys, with their backward pass: gradients are turned back.

use super::attention::Sequences;
#[cfg(feature = "cuda")]
use super::gpu;
use super::kernel;
use crate::model::architecture::Architecture;
use crate::model::kernels::Rotary;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// The turn of every position.
pub struct Turns {
    rotary: Arc<Rotary>,
    /// Cosines and sines, `[positions, 1, head_size / 2]`, but for the CPU's form
    factors: Option<[Tensor; 2]>,
}

impl Turns {
    /// For activations such as `x`.
    pub fn new(architecture: &Architecture, x: &Tensor) -> Result<Self> {
        let (positions, head_size) = (architecture.dimensions.max_positions, architecture.head_size());
        let rotary = Arc::new(Rotary::new(positions, head_size));
        let factors = |values: Vec<f32>| {
            Tensor::from_vec(values, (positions, 1, head_size / 2), x.device())?.to_dtype(x.dtype())
        };
        let factors = match kernel::on_cpu(x) {
            true => None,
            false => Some([
                factors(rotary.angles().flat_map(|(cosines, _)| cosines.to_vec()).collect())?,
                factors(rotary.angles().flat_map(|(_, sines)| sines.to_vec()).collect())?,
            ]),
        };
        Ok(Turns { rotary, factors })
    }

    /// `x` `[rows, d]` of these sequences, each turned by its positions.
    pub fn apply(&self, x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
        let lengths = sequences.lengths();
        let Some(factors) = &self.factors else {
            let turn = Turn { lengths: lengths.clone(), rotary: self.rotary.clone() };
            return x.contiguous()?.apply_op1(turn);
        };
        #[cfg(feature = "cuda")]
        if let Some(places) = &sequences.places {
            return gpu::turn(x, places, factors);
        }
        let (rows, d) = x.dims2()?;
        let (n, half) = (rows / lengths.len(), self.rotary.head_size() / 2);
        let [cosines, sines] = factors;
        let (cosines, sines) = (cosines.narrow(0, 0, n)?, sines.narrow(0, 0, n)?);
        let halves = x.reshape((lengths.len(), n, d / (2 * half), 2, half))?;
        let (a, b) = (halves.narrow(3, 0, 1)?.squeeze(3)?, halves.narrow(3, 1, 1)?.squeeze(3)?);
        let turned = [
            (a.broadcast_mul(&cosines)? - b.broadcast_mul(&sines)?)?,
            (b.broadcast_mul(&cosines)? + a.broadcast_mul(&sines)?)?,
        ];
        Tensor::cat(&turned, 3)?.reshape((rows, d))
    }
}

struct Turn {
    lengths: Arc<[usize]>,
    rotary: Arc<Rotary>,
}

impl Turn {
    fn of(&self, values: &[f32], d: usize, turn: impl Fn(&Rotary, &mut [f32], usize)) -> Vec<f32> {
        let mut turned = values.to_vec();
        let mut rest = &mut turned[..];
        for &n in self.lengths.iter() {
            let (sequence, after) = rest.split_at_mut(n * d);
            turn(&self.rotary, sequence, d);
            rest = after;
        }
        turned
    }
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rotary-positions"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let d = layout.shape().dims2()?.1;
        let turned = self.of(kernel::values(x, layout)?, d, Rotary::turn_rows);
        Ok((CpuStorage::F32(turned), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let d = x.dim(1)?;
        let turned = kernel::with_values([grad], |[grad]| self.of(grad, d, Rotary::turn_rows_back))?;
        Ok(Some(Tensor::from_vec(turned, x.shape(), x.device())?))
    }
}
