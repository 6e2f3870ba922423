//! Rows of an embedding table, each times its own factor, with the backward pass.

use super::kernel;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Row `rows[t]` of `table` `[n, d]`, times `scales[t]`, for each t: `[total, d]`.
pub fn embed(table: &Tensor, rows: &[u32], scales: &[f32]) -> Result<Tensor> {
    if kernel::applies(table) {
        return table.apply_op1(Embed { rows: rows.to_vec(), scales: scales.to_vec() });
    }
    let device = table.device();
    let scales = Tensor::new(scales, device)?.unsqueeze(1)?.to_dtype(table.dtype())?;
    table.index_select(&Tensor::new(rows, device)?, 0)?.broadcast_mul(&scales)
}

struct Embed {
    rows: Vec<u32>,
    scales: Vec<f32>,
}

impl CustomOp1 for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let d = layout.shape().dims2()?.1;
        let table = kernel::values(table, layout)?;
        let mut out = Vec::with_capacity(self.rows.len() * d);
        for (&row, &scale) in self.rows.iter().zip(&self.scales) {
            out.extend(table[row as usize * d..][..d].iter().map(|value| value * scale));
        }
        Ok((CpuStorage::F32(out), Shape::from((self.rows.len(), d))))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let d = table.dim(1)?;
        let slopes = kernel::with_values([grad], |[grad]| {
            let mut slopes = vec![0.0; table.elem_count()];
            for ((grad, &row), &scale) in grad.chunks_exact(d).zip(&self.rows).zip(&self.scales) {
                let row = &mut slopes[row as usize * d..][..d];
                row.iter_mut().zip(grad).for_each(|(slope, grad)| *slope += scale * grad);
            }
            slopes
        })?;
        Ok(Some(Tensor::from_vec(slopes, table.shape(), table.device())?))
    }
}
