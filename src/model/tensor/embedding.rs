//! Rows of an embedding table, each times its own factor, with the backward pass.

use super::batch::{Batch, Form};
use super::kernel;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// The embeddings `[rows, d]` of a batch's tokens, of a `table` `[vocabulary, d]`.
pub fn tokens(table: &Tensor, batch: &Batch) -> Result<Tensor> {
    rows_of(table, &batch.tokens, &batch.scales)
}

/// `x` `[rows, d]` and the embeddings of its positions, of a `table` `[positions, d]`.
pub fn add_positions(x: Tensor, table: &Tensor, batch: &Batch) -> Result<Tensor> {
    match batch.form {
        Form::Packed => {
            let positions = batch.lengths.iter().flat_map(|&n| batch.first..batch.first + n);
            let rows: Vec<u32> = positions.map(|position| position as u32).collect();
            x + rows_of(table, &rows, &vec![1.0; batch.rows()])?
        }
        Form::Padded => {
            // every sequence has the same positions
            let n = batch.longest();
            let (rows, d) = x.dims2()?;
            x.reshape((rows / n, n, d))?.broadcast_add(&table.narrow(0, batch.first, n)?)?.reshape((rows, d))
        }
    }
}

/// These rows of the table, each times its scale.
fn rows_of(table: &Tensor, rows: &[u32], scales: &[f32]) -> Result<Tensor> {
    if kernel::on_cpu(table) {
        return table.apply_op1(Embed { rows: rows.to_vec(), scales: scales.to_vec() });
    }
    // a product with rows of the identity has a fast backward pass on a GPU
    let device = table.device();
    let (rows, scales) =
        (Tensor::new(rows, device)?.unsqueeze(1)?, Tensor::new(scales, device)?.unsqueeze(1)?);
    let all = Tensor::arange(0u32, table.dim(0)? as u32, device)?.unsqueeze(0)?;
    let picked = rows.broadcast_eq(&all)?.to_dtype(DType::F32)?.broadcast_mul(&scales)?;
    picked.to_dtype(table.dtype())?.matmul(table)
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
