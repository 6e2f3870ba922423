//! Attention of each sequence of a packed batch to itself, and its backward pass: both compute the weights anew, tile by
//! tile, so that none are ever in the GPU's memory.

use super::Argument::{Integer, Number, Values as At};
use super::{Argument, Kernel, Output, Places, Values, not_on_cpu};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaDevice, CudaStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::f32::consts::LOG2_E;
use std::sync::OnceLock;

/// Rows of a sequence that the threads of a block compute the attention of, one each
pub(super) const BLOCK_ROWS: usize = 64;

/// So many heads of rows `[rows, d]`.
#[derive(Clone, Copy)]
struct Heads {
    rows: usize,
    d: usize,
    count: usize,
    /// Blocks of rows that attend together
    blocks: usize,
}

impl Heads {
    fn new((rows, d): (usize, usize), count: usize, work: &Tensor) -> Result<Heads> {
        Ok(Heads { rows, d, count, blocks: work.dims2()?.0 })
    }

    fn values(self) -> usize {
        self.rows * self.d
    }

    fn width(self) -> usize {
        self.d / self.count
    }

    /// That of the logits.
    fn scale(self) -> f32 {
        (self.width() as f32).powf(-0.5)
    }

    /// Runs the kernel of that name for heads of this width.
    fn run(self, device: &CudaDevice, name: &str, arguments: &[Argument]) -> Result<()> {
        let Some(held) = [16, 32, 64, 128].into_iter().find(|held| self.width() <= *held) else {
            bail!("heads of {} values: a GPU trains those of up to 128", self.width());
        };
        let name = format!("{name}_{held}");
        let kernel =
            Kernel { name: &name, blocks: (self.blocks, self.count), threads: BLOCK_ROWS, shared: 0 };
        kernel.run(device, arguments)
    }
}

/// Of queries, keys and values `[rows, d]`, what the heads attend to, `[rows, d]`.
pub fn attention([q, k, v]: [&Tensor; 3], heads: usize, places: &Places) -> Result<Tensor> {
    let attention = Attention { heads, work: places.work.clone(), norms: OnceLock::new() };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, attention)
}

struct Attention {
    heads: usize,
    work: Tensor,
    /// Of each row and head, what the weights were divided by
    norms: OnceLock<Tensor>,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        not_on_cpu(self.name())
    }

    fn cuda_fwd(
        &self,
        q: &CudaStorage,
        q_layout: &Layout,
        k: &CudaStorage,
        k_layout: &Layout,
        v: &CudaStorage,
        v_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (device, heads) = (q.device(), Heads::new(q_layout.shape().dims2()?, self.heads, &self.work)?);
        let (out, norms) =
            (Output::new(device, heads.values())?, Output::new(device, heads.rows * heads.count)?);
        let arguments = [
            At(Values::of(q, q_layout)?),
            At(Values::of(k, k_layout)?),
            At(Values::of(v, v_layout)?),
            At(Values::of_tensor(&self.work)?),
            At(out.values()),
            At(norms.values()),
            Integer(heads.d),
            Integer(heads.width()),
            Number(heads.scale() * LOG2_E),
        ];
        heads.run(device, "attention_forward", &arguments)?;
        // an operation is applied once
        self.norms.set(norms.tensor((heads.rows, heads.count))).ok();
        Ok((out.storage(), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(norms) = self.norms.get() else { bail!("attention that was not computed has no slopes") };
        let (device, size) = (q.device().as_cuda_device()?, q.dims2()?);
        let heads = Heads::new(size, self.heads, &self.work)?;
        let grad = grad.contiguous()?;
        let at = |tensor: &Tensor| Values::of_tensor(tensor).map(At);
        let slopes = || Output::new(device, heads.values());
        let (dq, dk, dv) = (slopes()?, slopes()?, slopes()?);
        let means = Output::new(device, heads.rows * heads.count)?;
        let sizes = || {
            let scale = heads.scale();
            [Integer(heads.d), Integer(heads.width()), Number(scale * LOG2_E), Number(scale)]
        };
        let mut arguments = vec![at(q)?, at(k)?, at(v)?, at(&self.work)?, at(out)?, at(norms)?, at(&grad)?];
        arguments.extend([At(dq.values()), At(means.values())].into_iter().chain(sizes()));
        heads.run(device, "attention_back_queries", &arguments)?;
        let mut arguments = vec![at(q)?, at(k)?, at(v)?, at(&self.work)?, at(norms)?];
        arguments.extend(
            [At(means.values()), at(&grad)?, At(dk.values()), At(dv.values())].into_iter().chain(sizes()),
        );
        heads.run(device, "attention_back_keys", &arguments)?;
        let [dq, dk, dv] = [dq, dk, dv].map(|slopes| Some(slopes.tensor(size)));
        Ok((dq, dk, dv))
    }
}
