//! The exact (erf) GELU with its derivative.

#[cfg(feature = "cuda")]
use super::gpu;
use super::kernel;
use crate::model::kernels;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if kernel::applies(x) { x.contiguous()?.apply_op1(Gelu) } else { x.gelu_erf() }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu-erf"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = kernel::values(storage, layout)?;
        let y = x.iter().map(|&x| kernels::gelu(x)).collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let y = gpu::gelu(x.device(), gpu::Values::of(x, layout)?, layout.shape().elem_count())?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        #[cfg(feature = "cuda")]
        if kernel::on_gpu(x) {
            return gpu::gelu_slopes(x, grad).map(Some);
        }
        let dx: Vec<f32> = kernel::with_values([x, grad], |[x, grad]| {
            x.iter().zip(grad).map(|(&x, &grad)| grad * kernels::gelu_derivative(x)).collect()
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn values_and_slopes_match_the_f64_form() {
        let xs: Vec<f32> = (-12_000..=12_000).map(|i| i as f32 * 1e-3).collect();
        let x = Var::from_vec(xs.clone(), xs.len(), &Device::Cpu).unwrap();
        let exact = Var::from_tensor(&x.to_dtype(DType::F64).unwrap()).unwrap();
        let (fast, slow) = (gelu(&x).unwrap(), exact.gelu_erf().unwrap());
        let distance = |a: &Tensor, b: &Tensor| {
            let difference = (a.to_dtype(DType::F64).unwrap() - b).unwrap().abs().unwrap();
            difference.max(0).unwrap().to_scalar::<f64>().unwrap()
        };
        assert!(distance(&fast, &slow) < 1e-6);
        let (fast, slow) = (fast.backward().unwrap(), slow.backward().unwrap());
        assert!(distance(fast.get(&x).unwrap(), slow.get(&exact).unwrap()) < 2e-6);
    }
}
