//! Where the operations of this folder have forms of their own, and what those of the CPU share: slices out of tensors,
//! and matrix products.
//!
//! Everything here runs on the calling thread, and adds up in an order that depends on the shapes alone.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};

/// Whether kernels of our own apply to this tensor; elsewhere candle's operations do the work.
pub fn applies(tensor: &Tensor) -> bool {
    on_cpu(tensor) || on_gpu(tensor)
}

/// Whether those of the CPU do.
pub fn on_cpu(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Whether those of the GPU do.
pub fn on_gpu(tensor: &Tensor) -> bool {
    cfg!(feature = "cuda") && tensor.device().is_cuda() && tensor.dtype() == DType::F32
}

/// The values of a contiguous f32 storage.
pub fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a contiguous f32 tensor is needed here"),
    }
}

/// Runs `work` on the values of each tensor, in row-major order.
pub fn with_values<const N: usize, R>(
    tensors: [&Tensor; N],
    work: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    let contiguous = tensors.iter().map(|t| t.contiguous()).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = contiguous.iter().map(|t| t.storage_and_layout()).collect();
    let mut slices = [&[] as &[f32]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        match &**storage {
            Storage::Cpu(storage) => *slice = values(storage, layout)?,
            _ => bail!("a tensor on the CPU is needed here"),
        }
    }
    Ok(work(slices))
}

/// A matrix inside a slice: element (i, j) is `data[i * rows + j * cols]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
}

impl<'a> Matrix<'a> {
    /// Row-major, with `stride` values from one row to the next.
    pub fn new(data: &'a [f32], stride: usize) -> Self {
        Matrix { data, rows: stride, cols: 1 }
    }

    pub fn transposed(self) -> Self {
        Matrix { rows: self.cols, cols: self.rows, ..self }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.rows + (cols - 1) * self.cols < self.data.len()
    }
}

/// `out = keep * out + scale * a b`, with `out` row-major `[m, n]`, `a` `[m, k]` and `b` `[k, n]`.
/// A `keep` of 0 overwrites whatever `out` held.
pub fn product(
    (m, n, k): (usize, usize, usize),
    out: &mut [f32],
    out_stride: usize,
    keep: f32,
    scale: f32,
    a: Matrix,
    b: Matrix,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * out_stride + n <= out.len() && out_stride >= n, "the product does not fit its target");
    assert!(a.holds(m, k) && b.holds(k, n), "a factor is smaller than the product's shape");
    // SAFETY: the assertions above bound every element that the strides reach, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            keep != 0.0,
            a.data.as_ptr(),
            a.cols as isize,
            a.rows as isize,
            b.data.as_ptr(),
            b.cols as isize,
            b.rows as isize,
            keep,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
