//! Multi-head self-attention over the sequences of a batch: each attends to itself alone.
//!
//! The backward pass of our own forms computes the attention weights anew instead of keeping them: they grow with the
//! square of the length, the rest of the graph does not.

use super::batch::{Batch, Form};
#[cfg(feature = "cuda")]
use super::gpu;
use super::kernel::{self, Matrix, product};
use crate::model::kernels::{self, sum};
use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// Which rows are of which sequence.
pub struct Sequences<'a> {
    batch: &'a Batch,
    /// Of a padded batch, what is added to the logits of its keys
    key_mask: Option<Tensor>,
    /// Of a packed batch on a GPU
    #[cfg(feature = "cuda")]
    pub places: Option<gpu::Places>,
}

impl<'a> Sequences<'a> {
    /// Those of a batch, for activations such as `x`.
    pub fn new(batch: &'a Batch, x: &Tensor) -> Result<Self> {
        let key_mask = match batch.form {
            Form::Packed => None,
            Form::Padded => Some(batch.key_mask(x.device())?.to_dtype(mask_type(x.dtype()))?),
        };
        Ok(Sequences {
            batch,
            key_mask,
            #[cfg(feature = "cuda")]
            places: if kernel::on_gpu(x) { Some(gpu::Places::new(batch, x.device())?) } else { None },
        })
    }

    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.batch.lengths
    }
}

/// `q`, `k`, `v` `[rows, heads * width]` of a batch; scale width^-0.5.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, sequences: &Sequences, heads: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(places) = &sequences.places {
        return gpu::attention([q, k, v], heads, places);
    }
    let Some(key_mask) = &sequences.key_mask else {
        let attention = Attention { lengths: sequences.lengths().clone(), heads };
        return q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, attention);
    };
    let (rows, d) = q.dims2()?;
    let (n, width) = (sequences.batch.longest(), d / heads);
    let by_head = |x: &Tensor| x.reshape((rows / n, n, heads, width))?.transpose(1, 2)?.contiguous();
    let logits = by_head(q)?.matmul(&by_head(k)?.t()?)?;
    let weights = softmax(&logits, key_mask, (width as f64).powf(-0.5))?;
    weights.matmul(&by_head(v)?)?.transpose(1, 2)?.reshape((rows, d))
}

/// The type of a mask for activations of this one: a softmax is in f32 at least.
fn mask_type(dtype: DType) -> DType {
    if dtype == DType::BF16 { DType::F32 } else { dtype }
}

/// The softmax of `logits` `[sequences, heads, n, n]`, times `scale`, and what `mask` `[sequences, 1, 1, n]` adds.
fn softmax(logits: &Tensor, mask: &Tensor, scale: f64) -> Result<Tensor> {
    let dtype = logits.dtype();
    let logits = (logits.to_dtype(mask.dtype())? * scale)?.broadcast_add(mask)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?.to_dtype(dtype)
}

struct Attention {
    lengths: Arc<[usize]>,
    heads: usize,
}

/// One head of one sequence: where its values begin in a packed `[total, d]` slice, and its shape.
struct Head {
    start: usize,
    n: usize,
    width: usize,
    stride: usize,
}

impl Head {
    fn of<'a>(&self, packed: &'a [f32]) -> Matrix<'a> {
        Matrix::new(&packed[self.start..], self.stride)
    }

    /// The attention weights `[n, n]`, rows over keys.
    fn weights(&self, q: &[f32], k: &[f32], weights: &mut [f32]) {
        let n = self.n;
        product((n, n, self.width), weights, n, 0.0, self.scale(), self.of(q), self.of(k).transposed());
        for row in weights.chunks_exact_mut(n) {
            kernels::softmax(row);
        }
    }

    fn scale(&self) -> f32 {
        (self.width as f32).powf(-0.5)
    }
}

impl Attention {
    fn heads(&self, d: usize) -> impl Iterator<Item = Head> {
        let width = d / self.heads;
        let starts = self.lengths.iter().scan(0, |end, &n| {
            let start = *end;
            *end += n;
            Some((start, n))
        });
        starts.flat_map(move |(start, n)| {
            (0..self.heads).map(move |h| Head { start: start * d + h * width, n, width, stride: d })
        })
    }

    fn longest_squared(&self) -> usize {
        self.lengths.iter().max().map_or(0, |n| n * n)
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let d = q_layout.shape().dims2()?.1;
        let [q, k, v] =
            [kernel::values(q, q_layout)?, kernel::values(k, k_layout)?, kernel::values(v, v_layout)?];
        let mut out = vec![0.0; q.len()];
        let mut scratch = vec![0.0; self.longest_squared()];
        for head in self.heads(d) {
            let (n, width) = (head.n, head.width);
            let weights = &mut scratch[..n * n];
            head.weights(q, k, weights);
            let target = &mut out[head.start..];
            product((n, width, n), target, d, 0.0, 1.0, Matrix::new(weights, n), head.of(v));
        }
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let d = q.dim(1)?;
        let [dq, dk, dv] = kernel::with_values([q, k, v, grad], |[q, k, v, grad]| {
            let [mut dq, mut dk, mut dv] = std::array::from_fn(|_| vec![0.0; q.len()]);
            let mut weights = vec![0.0; self.longest_squared()];
            let mut slopes = vec![0.0; self.longest_squared()];
            for head in self.heads(d) {
                let (n, width, start) = (head.n, head.width, head.start);
                let (weights, slopes) = (&mut weights[..n * n], &mut slopes[..n * n]);
                head.weights(q, k, weights);
                let dy = head.of(grad);
                let by_query = (n, width, n);
                product(by_query, &mut dv[start..], d, 0.0, 1.0, Matrix::new(weights, n).transposed(), dy);
                product((n, n, width), slopes, n, 0.0, 1.0, dy, head.of(v).transposed());
                for (slopes, weights) in slopes.chunks_exact_mut(n).zip(weights.chunks_exact(n)) {
                    let mean = sum([slopes, weights], |[slope, weight]| slope * weight);
                    for (slope, weight) in slopes.iter_mut().zip(weights) {
                        *slope = weight * (*slope - mean);
                    }
                }
                let slopes = Matrix::new(slopes, n);
                product(by_query, &mut dq[start..], d, 0.0, head.scale(), slopes, head.of(k));
                product(by_query, &mut dk[start..], d, 0.0, head.scale(), slopes.transposed(), head.of(q));
            }
            [dq, dk, dv]
        })?;
        let tensor = |values| Tensor::from_vec(values, q.shape(), q.device());
        Ok((Some(tensor(dq)?), Some(tensor(dk)?), Some(tensor(dv)?)))
    }
}
