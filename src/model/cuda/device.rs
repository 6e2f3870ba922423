//! One GPU: its context, the one stream that all work goes through, and memory on it.

use super::failed;
use crate::error::Result;
use crate::model::Numbers;
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DriverError, PinnedHostSlice,
    result, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use half::bf16;
use parking_lot::{Mutex, MutexGuard};
use std::fmt;
use std::sync::Arc;

/// Where and how an encoder is to compute.
#[derive(Clone, Debug)]
pub struct CudaPlacement {
    pub gpu: Arc<Gpu>,
    pub numbers: Numbers,
    /// Tokens that go through the encoder together, where memory allows.
    pub batch_tokens: usize,
}

/// A GPU that a job computes on.
pub struct Gpu {
    pub context: Arc<CudaContext>,
    pub stream: Arc<CudaStream>,
    pub name: String,
    turn: Mutex<()>,
}

/// Bytes on a GPU.
pub struct Memory {
    /// Its address there.
    pub address: u64,
    bytes: CudaSlice<u8>,
}

impl Memory {
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Gpu {
    /// The GPU of that number, or why it does not answer.
    pub fn open(number: usize) -> std::result::Result<Gpu, String> {
        let open = || {
            let context = CudaContext::new(number)?;
            let stream = context.new_stream()?;
            // SAFETY: one stream does all work, in order; events between streams would order nothing more.
            unsafe { context.disable_event_tracking() };
            let name = context.name()?;
            Ok(Gpu { context, stream, name, turn: Mutex::new(()) })
        };
        open().map_err(|error: candle_core::cuda_backend::cudarc::driver::DriverError| {
            error.to_string().lines().next().unwrap_or_default().to_string()
        })
    }

    /// Kernels compiled by `build.rs`.
    pub fn kernels(&self, image: &[u8]) -> Result<Arc<CudaModule>> {
        self.context.load_module(Ptx::from_binary(image.to_vec())).map_err(failed)
    }

    pub fn kernel(&self, module: &Arc<CudaModule>, name: &str) -> Result<CudaFunction> {
        module.load_function(name).map_err(failed)
    }

    /// The right to enqueue a batch's work: buffers on the GPU are shared by all that do.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Memory that holds zeros.
    ///
    /// # Errors
    /// `out_of_memory`.
    pub fn zeros(&self, bytes: usize) -> Result<Memory> {
        let bytes = self.stream.alloc_zeros::<u8>(bytes.max(1)).map_err(failed)?;
        let address = bytes.device_ptr(&self.stream).0;
        Ok(Memory { address, bytes })
    }

    /// Copies numbers of any plain kind to the GPU, and returns once they are there.
    fn upload<T>(&self, values: &[T]) -> Result<Memory> {
        let memory = self.zeros(size_of_val(values))?;
        // SAFETY: the memory is as large as the values, which outlive the copy: the stream is waited for.
        unsafe { result::memcpy_htod_async(memory.address, values, self.stream.cu_stream()) }
            .map_err(failed)?;
        self.stream.synchronize().map_err(failed)?;
        Ok(memory)
    }

    pub fn upload_f32(&self, values: &[f32]) -> Result<Memory> {
        self.upload(values)
    }

    /// The values rounded to `numbers`.
    pub fn upload_as(&self, values: &[f32], numbers: Numbers) -> Result<Memory> {
        match numbers {
            Numbers::F32 => self.upload(values),
            Numbers::Bf16 => {
                let rounded: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
                self.upload(&rounded)
            }
        }
    }

    /// Enqueues a copy from the GPU.
    ///
    /// # Safety
    /// The memory behind `from` is as large as `to`, which is read or dropped only after the turn is [finished](Gpu::finish).
    pub unsafe fn download<T>(&self, from: u64, to: &mut [T]) -> Result<()> {
        // SAFETY: the caller's.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream.cu_stream()) }.map_err(failed)
    }

    /// Enqueues a copy to the GPU.
    ///
    /// # Safety
    /// `from` stays as it is until the turn is [finished](Gpu::finish).
    pub unsafe fn send(&self, from: &[u32], to: &Memory) -> Result<()> {
        assert!(size_of_val(from) <= to.bytes(), "a batch is larger than its memory");
        // SAFETY: the memory is large enough; the rest is the caller's.
        unsafe { result::memcpy_htod_async(to.address, from, self.stream.cu_stream()) }.map_err(failed)
    }

    pub fn clear(&self, memory: &Memory) -> Result<()> {
        let bytes = memory.bytes();
        // SAFETY: the memory is that large.
        unsafe { result::memset_d8_async(memory.address, 0, bytes, self.stream.cu_stream()) }.map_err(failed)
    }

    /// Host memory that copies need not be staged for.
    pub fn pinned<T>(&self, count: usize) -> Result<PinnedHostSlice<T>>
    where
        T: candle_core::cuda_backend::cudarc::driver::DeviceRepr
            + candle_core::cuda_backend::cudarc::driver::ValidAsZeroBits,
    {
        // SAFETY: zeros are written before anything reads it.
        let mut memory =
            unsafe { self.context.alloc_pinned_with_flags::<T>(count.max(1), 0) }.map_err(failed)?;
        let bytes = memory.num_bytes();
        let start = memory.as_mut_ptr().map_err(failed)?;
        // SAFETY: it was just allocated with that many bytes, and zeros are values of T.
        unsafe { std::ptr::write_bytes(start.cast::<u8>(), 0, bytes) };
        Ok(memory)
    }

    /// Ends a turn, and waits until all that was enqueued in it is done, whether or not the last of it failed: what the GPU
    /// reads and writes on the host may be touched again. A thread that waits sleeps.
    pub fn finish(&self, turn: MutexGuard<'_, ()>, enqueued: Result<()>) -> Result<()> {
        let recorded = self.context.new_event(Some(sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC));
        let recorded = recorded.and_then(|event| event.record(&self.stream).map(|()| event));
        drop(turn);
        let waited = match recorded {
            Ok(event) => event.synchronize(),
            Err(_) => self.stream.synchronize(),
        };
        enqueued.and(waited.map_err(failed))
    }

    /// Makes the calling thread one that may use this GPU.
    pub fn bind(&self) -> Result<()> {
        self.context.bind_to_thread().map_err(failed)
    }
}

/// While it lives, the memory that tensors of a GPU give back stays with the process. Else the driver takes it each time that
/// something is waited for, and to ask for it again takes longer than a step of a small model's training. The first of
/// several that ends gives it back for all.
#[derive(Debug)]
pub struct KeptMemory {
    pool: sys::CUmemoryPool,
}

// SAFETY: the driver allows a pool to be used from any thread.
unsafe impl Send for KeptMemory {}
unsafe impl Sync for KeptMemory {}

impl KeptMemory {
    /// That of the GPU of that number, which has a context.
    pub fn of(number: usize) -> Result<KeptMemory> {
        let pool = || {
            let device = result::device::get(number as i32)?;
            // SAFETY: the device was just gotten.
            unsafe { result::device::get_default_mem_pool(device) }
        };
        let kept = KeptMemory { pool: pool().map_err(failed)? };
        kept.keep(u64::MAX).map_err(failed)?;
        Ok(kept)
    }

    /// Has the pool keep so many bytes when it is waited for.
    fn keep(&self, mut bytes: u64) -> std::result::Result<(), DriverError> {
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the attribute is a number of 64 bits, and a device's own pool lives as long as the process.
        unsafe { sys::cuMemPoolSetAttribute(self.pool, attribute, (&raw mut bytes).cast()) }.result()
    }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        // SAFETY: as above.
        let given_back = self.keep(0).and_then(|()| unsafe { sys::cuMemPoolTrimTo(self.pool, 0) }.result());
        if let Err(error) = given_back {
            log::debug!("the GPU's memory stays with the process: {error}");
        }
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {} ({})", self.context.ordinal(), self.name)
    }
}
