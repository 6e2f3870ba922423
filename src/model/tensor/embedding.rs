//! Token and position embeddings of packed sequences: `tokens[t] * scale[t] + positions[t]`.

use super::PackedBatch;
use super::kernel;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// `tokens` `[vocabulary, d]`, `positions` `[rows, d]` to `[total, d]`.
pub fn embed(batch: &Arc<PackedBatch>, tokens: &Tensor, positions: &Tensor) -> Result<Tensor> {
    if kernel::applies(tokens) {
        return tokens.apply_op2(positions, Embed(batch.clone()));
    }
    let device = tokens.device();
    let index = |rows: &[u32]| Tensor::new(rows, device);
    let scale = Tensor::new(&batch.scales[..], device)?.unsqueeze(1)?.to_dtype(tokens.dtype())?;
    let embedded = tokens.index_select(&index(&batch.tokens)?, 0)?.broadcast_mul(&scale)?;
    embedded + positions.index_select(&index(&batch.positions)?, 0)?
}

struct Embed(Arc<PackedBatch>);

impl CustomOp2 for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(
        &self,
        tokens: &CpuStorage,
        tokens_layout: &Layout,
        positions: &CpuStorage,
        positions_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let batch = &self.0;
        let d = tokens_layout.shape().dims2()?.1;
        let tokens = kernel::values(tokens, tokens_layout)?;
        let positions = kernel::values(positions, positions_layout)?;
        let mut out = Vec::with_capacity(batch.total() * d);
        for ((&token, &position), &scale) in batch.tokens.iter().zip(&batch.positions).zip(&batch.scales) {
            let (token, position) = (row(tokens, token, d), row(positions, position, d));
            out.extend(token.iter().zip(position).map(|(token, position)| token.mul_add(scale, *position)));
        }
        Ok((CpuStorage::F32(out), Shape::from((batch.total(), d))))
    }

    fn bwd(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let batch = &self.0;
        let d = tokens.dim(1)?;
        let (dt, dp) = kernel::with_values([grad], |[grad]| {
            let mut dt = vec![0.0; tokens.elem_count()];
            let mut dp = vec![0.0; positions.elem_count()];
            for (t, grad) in grad.chunks_exact(d).enumerate() {
                let scale = batch.scales[t];
                let (dt, dp) =
                    (row_mut(&mut dt, batch.tokens[t], d), row_mut(&mut dp, batch.positions[t], d));
                for ((dt, dp), grad) in dt.iter_mut().zip(dp).zip(grad) {
                    *dt += scale * grad;
                    *dp += grad;
                }
            }
            (dt, dp)
        })?;
        let device = tokens.device();
        Ok((
            Some(Tensor::from_vec(dt, tokens.shape(), device)?),
            Some(Tensor::from_vec(dp, positions.shape(), device)?),
        ))
    }
}

fn row(table: &[f32], index: u32, d: usize) -> &[f32] {
    &table[index as usize * d..][..d]
}

fn row_mut(table: &mut [f32], index: u32, d: usize) -> &mut [f32] {
    &mut table[index as usize * d..][..d]
}
