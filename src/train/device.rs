//! Where a training computes.

use super::batches::by_tokens;
use super::engine;
use crate::error::Result;
use crate::model::architecture::Positions;
use crate::model::{Architecture, DeviceChoice};
use candle_core::{DType, Device};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where and how a training computes.
#[derive(Clone, Debug)]
pub enum TrainingDevice {
    /// By the CPU kernels, micro-batches side by side on so many threads
    Cpu { threads: usize },
    /// All of a step that memory holds at once: by a GPU's kernels in f32, in other numbers by candle's operations
    Batched {
        device: Device,
        /// Of weights, activations and moments
        dtype: DType,
        kept: Kept,
    },
}

/// Keeps a GPU's memory for its trainings.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    #[cfg(feature = "cuda")]
    _memory: Option<std::sync::Arc<crate::model::cuda::KeptMemory>>,
}

/// Tokens that one thread of a CPU measures at a time.
const CPU_TOKENS: usize = 4096;
/// What a batch may take of a GPU's memory, in bytes.
const GPU_MEMORY: usize = 8 << 30;
/// Trainings side by side on one GPU: the steps of a small model keep it busy for a part of the time only.
const TRAININGS_ON_A_GPU: usize = 4;

impl TrainingDevice {
    /// Settles the choice on this machine; the text says what was chosen and why.
    ///
    /// # Errors
    /// A GPU that was asked for and does not answer.
    pub fn settle(choice: DeviceChoice, threads: usize) -> Result<(TrainingDevice, String)> {
        Ok(match choice.settle(gpu)? {
            (Some((device, number)), why) => (device, format!("on GPU {number}: {why}")),
            (None, why) => (TrainingDevice::Cpu { threads }, format!("on the CPU: {why}")),
        })
    }

    /// What results that are computed elsewhere differ from in their last digits.
    pub fn kind(&self) -> &'static str {
        match self {
            TrainingDevice::Cpu { .. } => "cpu",
            TrainingDevice::Batched { .. } => "cuda",
        }
    }

    /// One for each of the trainings that it is best to run side by side, of so many in all.
    pub fn split(&self, trainings: usize) -> Result<Vec<TrainingDevice>> {
        match self {
            // a training's own threads are of use only where there are fewer trainings than threads
            TrainingDevice::Cpu { threads } => {
                let count = (*threads).clamp(1, trainings.max(1));
                Ok(vec![TrainingDevice::Cpu { threads: (threads / count).max(1) }; count])
            }
            TrainingDevice::Batched { device, dtype, kept } => {
                let (dtype, kept) = (*dtype, kept.clone());
                let other =
                    |_| Ok(TrainingDevice::Batched { device: another(device)?, dtype, kept: kept.clone() });
                (0..trainings.clamp(1, TRAININGS_ON_A_GPU)).map(other).collect()
            }
        }
    }

    /// Where the weights lie, and their type.
    pub(super) fn of_weights(&self) -> (Device, DType) {
        match self {
            TrainingDevice::Cpu { .. } => (Device::Cpu, DType::F32),
            TrainingDevice::Batched { device, dtype, .. } => (device.clone(), *dtype),
        }
    }

    /// Does `work` on each item; the results are in the order of the items.
    pub(super) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        match self {
            TrainingDevice::Cpu { threads } => side_by_side(*threads, items, work),
            TrainingDevice::Batched { .. } => items.iter().map(work).collect(),
        }
    }

    /// Sequences of so many tokens as batches to measure: lists of their places.
    pub(super) fn batches(&self, lengths: &[usize], architecture: &Architecture) -> Vec<Vec<usize>> {
        let tokens = match self {
            TrainingDevice::Cpu { .. } => CPU_TOKENS,
            TrainingDevice::Batched { .. } => GPU_MEMORY / token_memory(architecture),
        };
        by_tokens(lengths.iter().copied().enumerate(), tokens)
    }
}

/// Bytes that a token takes while a gradient is computed, about: what each operation of a layer keeps for its backward pass,
/// as long as the next layers are computed, and the rows of the identity that its embeddings are products with.
fn token_memory(architecture: &Architecture) -> usize {
    let dimensions = &architecture.dimensions;
    let of_layer =
        16 * dimensions.hidden_size + 2 * architecture.expanded_size() + dimensions.intermediate_size;
    let positions = match architecture.positions {
        Positions::Learned { .. } => dimensions.max_positions,
        Positions::Rotary => 0,
    };
    let embedded = 3 * (architecture.vocabulary + positions);
    size_of::<f32>() * (dimensions.num_hidden_layers * of_layer + embedded)
}

/// Does `work` for each item on up to `threads` threads; the results are in the order of the items.
fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    let run = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { return };
            let result = work(item);
            results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_unstable_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> std::result::Result<TrainingDevice, String> {
    Err(crate::model::WITHOUT_CUDA.into())
}

/// The GPU of that number, or why there is none.
#[cfg(feature = "cuda")]
fn gpu(number: usize) -> std::result::Result<TrainingDevice, String> {
    crate::model::cuda::Gpu::open(number).map_err(|error| format!("no GPU answers ({error})"))?;
    let device = on_own_stream(number).map_err(|error| error.to_string())?;
    let memory = crate::model::cuda::KeptMemory::of(number).map_err(|error| error.to_string())?;
    let kept = Kept { _memory: Some(std::sync::Arc::new(memory)) };
    Ok(TrainingDevice::Batched { device, dtype: DType::F32, kept })
}

#[cfg(feature = "cuda")]
fn on_own_stream(number: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    // SAFETY: all work of a training goes through this one stream, in order; events between streams would order nothing more.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}

/// The same device, for another training beside it.
fn another(device: &Device) -> Result<Device> {
    match device.location() {
        #[cfg(feature = "cuda")]
        candle_core::DeviceLocation::Cuda { gpu_id } => on_own_stream(gpu_id).map_err(engine),
        candle_core::DeviceLocation::Cpu => Ok(device.clone()),
        other => Err(engine(candle_core::Error::msg(format!("no training computes on {other:?}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpus_threads_are_shared_out_among_trainings() {
        let threads = |threads, trainings| -> Vec<usize> {
            let devices = TrainingDevice::Cpu { threads }.split(trainings).unwrap();
            let of = |device: &TrainingDevice| match device {
                TrainingDevice::Cpu { threads } => *threads,
                TrainingDevice::Batched { .. } => 0,
            };
            devices.iter().map(of).collect()
        };
        assert_eq!(threads(8, 3), [2, 2, 2]);
        assert_eq!(threads(2, 80), [1, 1]);
        assert_eq!((threads(4, 0), threads(0, 5)), (vec![4], vec![1]));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_a_gpu_is_refused_and_auto_says_why_it_takes_the_cpu() {
        let error = TrainingDevice::settle(DeviceChoice::Cuda(1), 2).unwrap_err();
        assert!(error.message.contains("cuda:1") && error.message.contains("feature cuda"), "{error}");
        let (device, told) = TrainingDevice::settle(DeviceChoice::Auto, 2).unwrap();
        assert!(device.kind() == "cpu" && told.contains("feature cuda"), "{told}");
    }
}
