//! y = x Wᵀ + b, with its backward pass.

#[cfg(feature = "cuda")]
use super::gpu;
use super::kernel::{self, Matrix, product};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

/// `x` `[n, in]`, `weight` `[out, in]`, `bias` `[out]` to `[n, out]`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    if kernel::applies(x) {
        x.contiguous()?.apply_op3(weight, bias, Linear)
    } else {
        x.matmul(&weight.t()?)?.broadcast_add(bias)
    }
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, width_in) = x_layout.shape().dims2()?;
        let width_out = weight_layout.shape().dims2()?.0;
        let (x, weight) = (kernel::values(x, x_layout)?, kernel::values(weight, weight_layout)?);
        let mut y = kernel::values(bias, bias_layout)?.repeat(n);
        let (x, weight) = (Matrix::new(x, width_in), Matrix::new(weight, width_in).transposed());
        product((n, width_out, width_in), &mut y, width_out, 1.0, 1.0, x, weight);
        Ok((CpuStorage::F32(y), Shape::from((n, width_out))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weight: &CudaStorage,
        weight_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (n, width_in) = x_layout.shape().dims2()?;
        let width_out = weight_layout.shape().dims2()?.0;
        let shape = Shape::from((n, width_out));
        let transposed = weight_layout.transpose(0, 1)?;
        let product = x.matmul(weight, (1, n, width_out, width_in), x_layout, &transposed)?;
        let product = gpu::Values::of(&product, &Layout::contiguous(&shape))?;
        let y = gpu::add_bias(x.device(), product, gpu::Values::of(bias, bias_layout)?, (n, width_out))?;
        Ok((y, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if kernel::on_gpu(x) {
            let (x, weight) = (x.detach(), weight.detach());
            let (dx, dw) = (grad.matmul(&weight)?, grad.t()?.matmul(&x)?);
            return Ok((Some(dx), Some(dw), Some(gpu::column_sums(grad)?)));
        }
        let ((n, width_in), width_out) = (x.dims2()?, weight.dim(0)?);
        let (dx, dw, db) = kernel::with_values([x, weight, grad], |[x, weight, grad]| {
            let (x, weight, dy) =
                (Matrix::new(x, width_in), Matrix::new(weight, width_in), Matrix::new(grad, width_out));
            let mut dx = vec![0.0; n * width_in];
            product((n, width_in, width_out), &mut dx, width_in, 0.0, 1.0, dy, weight);
            let mut dw = vec![0.0; width_out * width_in];
            product((width_out, width_in, n), &mut dw, width_in, 0.0, 1.0, dy.transposed(), x);
            let mut db = vec![0.0f32; width_out];
            for row in grad.chunks_exact(width_out) {
                db.iter_mut().zip(row).for_each(|(db, dy)| *db += dy);
            }
            (dx, dw, db)
        })?;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, weight.shape(), device)?),
            Some(Tensor::from_vec(db, bias.shape(), device)?),
        ))
    }
}
