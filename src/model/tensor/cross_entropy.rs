//! Cross entropy of each position, in nats, with its backward pass.

use super::kernel;
use crate::model::kernels::softmax;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};

/// `logits` `[n, vocabulary]` and a target for each row, to `[n]`.
pub fn cross_entropy(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    if kernel::on_cpu(logits) {
        return logits.contiguous()?.apply_op1(CrossEntropy { targets: targets.to_vec() });
    }
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let total = shifted.exp()?.sum(D::Minus1)?.log()?;
    let targets = Tensor::new(targets, logits.device())?.unsqueeze(1)?;
    total - shifted.gather(&targets, D::Minus1)?.squeeze(1)?
}

struct CrossEntropy {
    targets: Vec<u32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, vocabulary) = layout.shape().dims2()?;
        if n != self.targets.len() || self.targets.iter().any(|&t| t as usize >= vocabulary) {
            bail!("{} targets do not fit logits [{n}, {vocabulary}]", self.targets.len());
        }
        let logits = kernel::values(storage, layout)?;
        let mut row = vec![0.0; vocabulary];
        let losses = logits.chunks_exact(vocabulary).zip(&self.targets).map(|(logits, &target)| {
            row.copy_from_slice(logits);
            softmax(&mut row) - logits[target as usize]
        });
        Ok((CpuStorage::F32(losses.collect()), Shape::from(n)))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let vocabulary = logits.dim(1)?;
        let slopes = kernel::with_values([logits, grad], |[logits, grad]| {
            let mut slopes = logits.to_vec();
            for ((row, &target), grad) in slopes.chunks_exact_mut(vocabulary).zip(&self.targets).zip(grad) {
                softmax(row);
                row[target as usize] -= 1.0;
                row.iter_mut().for_each(|slope| *slope *= grad);
            }
            slopes
        })?;
        Ok(Some(Tensor::from_vec(slopes, logits.shape(), logits.device())?))
    }
}
