//! The encoder on an NVIDIA GPU: cuBLASLt's products, and kernels of its own between them.
//!
//! All work of a job goes through one stream, in order. A batch is enqueued whole before anything waits for it, so that
//! the host prepares the next one while it is computed.

mod batch;
mod device;
mod encoder;
mod layer;
mod product;
mod trial;

pub use batch::{Placed, Staging};
pub use device::{CudaPlacement, Gpu, KeptMemory, Memory};
pub use encoder::CudaEncoder;
pub use layer::Norm;
pub use product::{Choice, Orientation, Outputs, Product};

pub use candle_core::cuda_backend::cudarc::driver::{CudaFunction, LaunchConfig, PushKernelArg};

/// Enqueues a kernel: a function, its blocks and threads, and its arguments as the kernel declares them, pointers as
/// device addresses.
///
/// # Safety
/// The memory behind each address is as large as the kernel takes it to be, and lives until the stream has done the work.
#[macro_export]
macro_rules! launch {
    ($gpu:expr, $function:expr, $grid:expr, $threads:expr, $($argument:expr),+ $(,)?) => {{
        use $crate::model::cuda::{LaunchConfig, PushKernelArg};
        let mut launch = $gpu.stream.launch_builder(&$function);
        $(
            let argument = $argument;
            launch.arg(&argument);
        )+
        let shape = LaunchConfig { grid_dim: $grid, block_dim: ($threads, 1, 1), shared_mem_bytes: 0 };
        launch.launch(shape).map(|_| ()).map_err($crate::model::cuda::failed)
    }};
}

use crate::error::{Code, Error};
use candle_core::cuda_backend::cudarc::driver::{DriverError, sys};

/// An error of the driver.
pub fn failed(error: DriverError) -> Error {
    match error.0 {
        sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY => {
            Error::new(Code::OutOfMemory, "the GPU has no memory for this").caused_by(error)
        }
        _ => Error::model("the GPU cannot compute the model").caused_by(error),
    }
}

/// Blocks for so many rows, four to a block of 128 threads.
pub fn row_blocks(rows: usize) -> (u32, u32, u32) {
    (rows.div_ceil(4).max(1) as u32, 1, 1)
}
