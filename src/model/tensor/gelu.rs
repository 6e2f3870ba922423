//! The exact (erf) GELU with its derivative: x Φ(x), Φ the normal distribution function.

use super::kernel;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if kernel::applies(x) { x.contiguous()?.apply_op1(Gelu) } else { x.gelu_erf() }
}

struct Gelu;

/// (Φ(x), φ(x)): distribution function and density. erfc by Abramowitz & Stegun 7.1.26, good to 1.5e-7.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const FRAC_1_SQRT_TAU: f32 = 0.398_942_3;
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let bell = kernel::exp(-z * z);
    let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
    let mut p = 1.061_405_4_f32;
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = p.mul_add(t, coefficient);
    }
    let tail = 0.5 * p * t * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, FRAC_1_SQRT_TAU * bell)
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu-erf"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = kernel::values(storage, layout)?;
        let y = x.iter().map(|&x| x * normal(x).0).collect();
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx: Vec<f32> = kernel::with_values([x, grad], |[x, grad]| {
            let slope = |(&x, &grad): (&f32, &f32)| {
                let (distribution, density) = normal(x);
                grad * x.mul_add(density, distribution)
            };
            x.iter().zip(grad).map(slope).collect()
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
