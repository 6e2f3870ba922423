//! LayerNorm over the last dimension, with its backward pass.

#[cfg(feature = "cuda")]
use super::gpu;
use super::kernel;
use crate::model::kernels::{self, moments, sum};
use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

/// `x` `[n, d]`, `weight` and `bias` `[d]`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f32) -> Result<Tensor> {
    if kernel::applies(x) {
        return x.contiguous()?.apply_op3(weight, bias, LayerNorm { epsilon });
    }
    if x.dtype() == DType::BF16 {
        // Moments are taken in f32: bf16 has too few bits for a sum of squares.
        let wide = |x: &Tensor| x.to_dtype(DType::F32);
        return layer_norm(&wide(x)?, &wide(weight)?, &wide(bias)?, epsilon)?.to_dtype(DType::BF16);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + f64::from(epsilon))?.sqrt()?;
    centred.broadcast_div(&deviation)?.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm {
    epsilon: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
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
        let x = kernel::values(x, x_layout)?;
        let norm = kernels::LayerNorm {
            weight: kernel::values(weight, weight_layout)?.to_vec(),
            bias: kernel::values(bias, bias_layout)?.to_vec(),
            epsilon: self.epsilon,
        };
        let mut y = vec![0.0; x.len()];
        norm.forward(x, &mut y);
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
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
        let values = [
            gpu::Values::of(x, x_layout)?,
            gpu::Values::of(weight, weight_layout)?,
            gpu::Values::of(bias, bias_layout)?,
        ];
        let y = gpu::layer_norm(x.device(), values, x_layout.shape().dims2()?, self.epsilon)?;
        Ok((y, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        #[cfg(feature = "cuda")]
        if kernel::on_gpu(x) {
            let [dx, dw, db] = gpu::layer_norm_slopes(x, weight, grad, self.epsilon)?;
            return Ok((Some(dx), Some(dw), Some(db)));
        }
        let width = weight.elem_count();
        let (dx, dw, db) = kernel::with_values([x, weight, grad], |[x, weight, grad]| {
            let mut dx = vec![0.0f32; x.len()];
            let (mut dw, mut db) = (vec![0.0f32; width], vec![0.0f32; width]);
            let mut normal = vec![0.0f32; width];
            for ((row, dy), dx) in
                x.chunks_exact(width).zip(grad.chunks_exact(width)).zip(dx.chunks_exact_mut(width))
            {
                let (mean, inverse) = moments(row, self.epsilon);
                for i in 0..width {
                    normal[i] = (row[i] - mean) * inverse;
                    dw[i] += dy[i] * normal[i];
                    db[i] += dy[i];
                    dx[i] = dy[i] * weight[i];
                }
                let mean = sum([dx], |[dx]| dx) / width as f32;
                let slope = sum([dx, &normal], |[dx, normal]| dx * normal) / width as f32;
                for (dx, normal) in dx.iter_mut().zip(&normal) {
                    *dx = inverse * (*dx - mean - normal * slope);
                }
            }
            (dx, dw, db)
        })?;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, width, device)?),
            Some(Tensor::from_vec(db, width, device)?),
        ))
    }
}
