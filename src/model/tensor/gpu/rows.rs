//! What computes each row or value by itself, and its backward pass.

use super::Argument::{Integer, Number, Values as At};
use super::{Kernel, Output, Places, Values, not_on_cpu};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaDevice, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Bytes of shared memory that every card grants a block.
const SHARED: usize = 48 << 10;
/// Warps that go through the rows where each keeps sums of its own.
const SUMMING_WARPS: usize = 512;

pub fn gelu(device: &CudaDevice, x: Values, count: usize) -> Result<CudaStorage> {
    let y = Output::new(device, count)?;
    Kernel::by_value("gelu_forward", count).run(device, &[At(x), At(y.values()), Integer(count)])?;
    Ok(y.storage())
}

/// Of `x` and the slopes of the outputs, the slopes of `x`.
pub fn gelu_slopes(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let (device, count) = (x.device().as_cuda_device()?, x.elem_count());
    let (x_at, grad) = (Values::of_tensor(x)?, grad.contiguous()?);
    let dx = Output::new(device, count)?;
    let arguments = [At(x_at), At(Values::of_tensor(&grad)?), At(dx.values()), Integer(count)];
    Kernel::by_value("gelu_back", count).run(device, &arguments)?;
    Ok(dx.tensor(x.shape()))
}

/// `x` `[rows, width]` and a bias `[width]`.
pub fn add_bias(
    device: &CudaDevice,
    x: Values,
    bias: Values,
    (rows, width): (usize, usize),
) -> Result<CudaStorage> {
    let count = rows * width;
    let y = Output::new(device, count)?;
    let arguments = [At(x), At(bias), At(y.values()), Integer(count), Integer(width)];
    Kernel::by_value("add_bias", count).run(device, &arguments)?;
    Ok(y.storage())
}

/// `x` `[rows, d]`, weight and bias `[d]`.
pub fn layer_norm(
    device: &CudaDevice,
    [x, weight, bias]: [Values; 3],
    (rows, d): (usize, usize),
    epsilon: f32,
) -> Result<CudaStorage> {
    let y = Output::new(device, rows * d)?;
    let arguments = [At(x), At(weight), At(bias), At(y.values()), Integer(rows), Integer(d), Number(epsilon)];
    Kernel::by_row("layer_norm", rows).run(device, &arguments)?;
    Ok(y.storage())
}

/// The slopes of `x`, weight and bias.
pub fn layer_norm_slopes(x: &Tensor, weight: &Tensor, grad: &Tensor, epsilon: f32) -> Result<[Tensor; 3]> {
    let (device, (rows, d)) = (x.device().as_cuda_device()?, x.dims2()?);
    let grad = grad.contiguous()?;
    let bytes = 2 * d * size_of::<f32>();
    let warps = (SHARED / bytes.max(1)).clamp(1, 4);
    let kernel = Kernel {
        name: "layer_norm_back",
        blocks: (SUMMING_WARPS / warps, 1),
        threads: 32 * warps,
        shared: warps * bytes,
    };
    let parts = kernel.blocks.0 * warps;
    let (dx, of_both) = (Output::new(device, rows * d)?, Output::new(device, parts * 2 * d)?);
    let arguments = [
        At(Values::of_tensor(x)?),
        At(Values::of_tensor(weight)?),
        At(Values::of_tensor(&grad)?),
        At(dx.values()),
        At(of_both.values()),
        Integer(rows),
        Integer(d),
        Number(epsilon),
    ];
    kernel.run(device, &arguments)?;
    let of_both = column_sums(&of_both.tensor((parts, 2 * d)))?;
    Ok([dx.tensor((rows, d)), of_both.narrow(0, 0, d)?, of_both.narrow(0, d, d)?])
}

/// Sums of the columns of `matrix` `[n, width]`, `[width]`: a product is the fastest sum over rows that a GPU has.
pub fn column_sums(matrix: &Tensor) -> Result<Tensor> {
    let (n, width) = matrix.dims2()?;
    Tensor::ones((1, n), matrix.dtype(), matrix.device())?.matmul(matrix)?.reshape(width)
}

/// `x` `[rows, d]` turned by the angles of its rows' positions; cosines and sines `[positions, 1, half a head]`.
pub fn turn(x: &Tensor, places: &Places, [cosines, sines]: &[Tensor; 2]) -> Result<Tensor> {
    let [positions, cosines, sines] = [&places.positions, cosines, sines].map(Tensor::clone);
    x.contiguous()?.apply_op1(Turn { positions, cosines, sines })
}

struct Turn {
    positions: Tensor,
    cosines: Tensor,
    sines: Tensor,
}

impl Turn {
    /// Forth by a sign of 1, back by -1.
    fn turned(&self, device: &CudaDevice, x: Values, (rows, d): (usize, usize), sign: f32) -> Result<Output> {
        let (pairs, half) = (rows * d / 2, self.cosines.dims3()?.2);
        let y = Output::new(device, rows * d)?;
        let arguments = [
            At(x),
            At(Values::of_tensor(&self.positions)?),
            At(Values::of_tensor(&self.cosines)?),
            At(Values::of_tensor(&self.sines)?),
            At(y.values()),
            Integer(pairs),
            Integer(d),
            Integer(half),
            Number(sign),
        ];
        Kernel::by_value("turn", pairs).run(device, &arguments)?;
        Ok(y)
    }
}

impl CustomOp1 for Turn {
    fn name(&self) -> &'static str {
        "rotary-positions"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        not_on_cpu(self.name())
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let size = layout.shape().dims2()?;
        let turned = self.turned(x.device(), Values::of(x, layout)?, size, 1.0)?;
        Ok((turned.storage(), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let turned =
            self.turned(x.device().as_cuda_device()?, Values::of_tensor(&grad)?, x.dims2()?, -1.0)?;
        Ok(Some(turned.tensor(x.shape())))
    }
}
