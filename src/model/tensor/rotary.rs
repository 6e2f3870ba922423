//! Rotary positions of packed queries or keys, with their backward pass: gradients are turned back.

use super::kernel;
use crate::model::kernels::Rotary;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// `x` `[total, d]` of sequences of these `lengths`, each turned by its positions.
pub fn turn(x: &Tensor, lengths: &Arc<[usize]>, rotary: &Arc<Rotary>) -> Result<Tensor> {
    if kernel::applies(x) {
        return x.contiguous()?.apply_op1(Turn { lengths: lengths.clone(), rotary: rotary.clone() });
    }
    let (total, d) = x.dims2()?;
    let angles = || lengths.iter().flat_map(|&n| rotary.angles().take(n));
    let half = rotary.head_size() / 2;
    let factors =
        |values: Vec<f32>| Tensor::from_vec(values, (total, 1, 1, half), x.device())?.to_dtype(x.dtype());
    let cosines = factors(angles().flat_map(|(cosines, _)| cosines.to_vec()).collect())?;
    let sines = factors(angles().flat_map(|(_, sines)| sines.to_vec()).collect())?;
    let halves = x.reshape((total, d / (2 * half), 2, half))?;
    let (a, b) = (halves.narrow(2, 0, 1)?, halves.narrow(2, 1, 1)?);
    let turned = [
        (a.broadcast_mul(&cosines)? - b.broadcast_mul(&sines)?)?,
        (b.broadcast_mul(&cosines)? + a.broadcast_mul(&sines)?)?,
    ];
    Tensor::cat(&turned, 2)?.reshape((total, d))
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
