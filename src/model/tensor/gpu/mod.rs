//! Kernels of our own for what computes on a GPU in f32 and trains there, and their launch.

mod attention;
mod rows;

pub use attention::attention;
pub use rows::{add_bias, column_sums, gelu, gelu_slopes, layer_norm, layer_norm_slopes, turn};

use super::batch::Batch;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, DType, Device, Layout, Result, Shape, Storage, Tensor, bail,
};

const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/tensor.ptx"));
/// Threads of a block where each has a value, or each warp a row.
const THREADS: usize = 128;

/// Where the sequences of a packed batch are in its rows.
pub struct Places {
    /// Of each [block of rows](attention::BLOCK_ROWS) its sequence's first row and length, and its first row in that: `[blocks, 3]`
    work: Tensor,
    /// The position of each row in its sequence
    positions: Tensor,
}

impl Places {
    pub fn new(batch: &Batch, device: &Device) -> Result<Places> {
        let (mut work, mut positions) = (vec![], vec![]);
        for rows in batch.sequences() {
            let (start, tokens) = (rows.start as u32, rows.len() as u32);
            let blocks = (0..tokens).step_by(attention::BLOCK_ROWS);
            work.extend(blocks.flat_map(|first| [start, tokens, first]));
            positions.extend(0..tokens);
        }
        let blocks = work.len() / 3;
        Ok(Places {
            work: Tensor::from_vec(work, (blocks, 3), device)?,
            positions: Tensor::new(positions, device)?,
        })
    }
}

/// The values of a contiguous tensor on a GPU, which outlive the work that is enqueued on them: its stream frees in order.
#[derive(Clone, Copy)]
pub struct Values(u64);

impl Values {
    pub fn of(storage: &CudaStorage, layout: &Layout) -> Result<Values> {
        let Some((start, _)) = layout.contiguous_offsets() else {
            bail!("a contiguous tensor is needed here");
        };
        let stream = storage.device().cuda_stream();
        let first = match storage.dtype() {
            DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
            DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
            other => bail!("a tensor of f32 or u32 is needed here, not {other:?}"),
        };
        // both have 4 bytes
        Ok(Values(first + 4 * start as u64))
    }

    pub fn of_tensor(tensor: &Tensor) -> Result<Values> {
        let (storage, layout) = tensor.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Values::of(storage, layout),
            _ => bail!("a tensor on a GPU is needed here"),
        }
    }
}

/// What a kernel fills.
struct Output {
    values: CudaSlice<f32>,
    device: CudaDevice,
}

impl Output {
    fn new(device: &CudaDevice, count: usize) -> Result<Output> {
        // SAFETY: the kernels write all of their outputs.
        Ok(Output { values: unsafe { device.alloc::<f32>(count)? }, device: device.clone() })
    }

    fn values(&self) -> Values {
        Values(self.values.device_ptr(&self.device.cuda_stream()).0)
    }

    fn storage(self) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(self.values, self.device)
    }

    fn tensor(self, shape: impl Into<Shape>) -> Tensor {
        Tensor::from_storage(Storage::Cuda(self.storage()), shape, BackpropOp::none(), false)
    }
}

enum Argument {
    Values(Values),
    Integer(usize),
    Number(f32),
}

/// A kernel with its shape.
struct Kernel<'a> {
    name: &'a str,
    blocks: (usize, usize),
    threads: usize,
    /// Bytes
    shared: usize,
}

impl<'a> Kernel<'a> {
    /// One that gives each row to a warp.
    fn by_row(name: &'a str, rows: usize) -> Self {
        Kernel { name, blocks: (rows.div_ceil(THREADS / 32), 1), threads: THREADS, shared: 0 }
    }

    /// One that gives each of so many values to a thread.
    fn by_value(name: &'a str, count: usize) -> Self {
        Kernel { name, blocks: (count.div_ceil(THREADS), 1), threads: THREADS, shared: 0 }
    }

    /// Enqueues it with its arguments as it declares them, which are of the sizes it works on.
    fn run(&self, device: &CudaDevice, arguments: &[Argument]) -> Result<()> {
        let function = device.get_or_load_custom_func(self.name, "bioprune-training", KERNELS)?;
        let narrow = |value: usize| i32::try_from(value).map_err(candle_core::Error::wrap);
        let integers = arguments.iter().map(|argument| match argument {
            Argument::Integer(value) => narrow(*value),
            Argument::Values(_) | Argument::Number(_) => Ok(0),
        });
        let integers = integers.collect::<Result<Vec<i32>>>()?;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&function);
        for (argument, integer) in arguments.iter().zip(&integers) {
            match argument {
                Argument::Values(Values(address)) => launch.arg(address),
                Argument::Integer(_) => launch.arg(integer),
                Argument::Number(number) => launch.arg(number),
            };
        }
        let shape = LaunchConfig {
            grid_dim: (narrow(self.blocks.0.max(1))? as u32, narrow(self.blocks.1.max(1))? as u32, 1),
            block_dim: (self.threads as u32, 1, 1),
            shared_mem_bytes: self.shared as u32,
        };
        // SAFETY: its callers, the operations of this folder, hand each kernel what it declares, of the sizes it works on.
        unsafe { launch.launch(shape) }.w()?;
        Ok(())
    }
}

/// What an operation of the GPU alone answers on the CPU.
fn not_on_cpu(name: &str) -> Result<(CpuStorage, Shape)> {
    bail!("{name} has no form for the CPU")
}
