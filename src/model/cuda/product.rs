//! Products of activations with weights, by cuBLASLt.
//!
//! The algorithm of a product is chosen once, for a full batch, without splitting the inputs among blocks, and then used
//! for any number of rows: an output is summed in the same order whatever the rows beside it.

use super::Gpu;
use super::device::Memory;
use crate::error::{Error, Result};
use crate::model::Numbers;
use candle_core::cuda_backend::cudarc::cublaslt::result::CublasError;
use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use parking_lot::Mutex;
use std::ffi::c_void;
use std::ptr::from_ref;
use std::sync::Arc;

/// What cuBLASLt may work in.
const WORKSPACE: usize = 32 << 20;

/// Products are computed for multiples of so many rows: those beyond the ones asked for are in the same memory, and mean
/// nothing.
pub const ROWS: usize = 256;

/// The number of rows that algorithms are chosen for, whatever a batch has: what they are used for changes no bits.
const PLANNED_ROWS: usize = 32_768;

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// `[outputs, inputs]`
    OutputRows,
    /// `[inputs, outputs]`
    InputRows,
}

/// cuBLASLt on one GPU.
pub struct Library {
    handle: sys::cublasLtHandle_t,
    workspace: Memory,
}

// SAFETY: the library allows its handle to be used from any thread.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl Library {
    pub fn open(gpu: &Gpu) -> Result<Arc<Library>> {
        let workspace = gpu.zeros(WORKSPACE)?;
        Ok(Arc::new(Library { handle: result::create_handle().map_err(failed)?, workspace }))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: nothing else has the handle; a library that fails to end has nothing left to lose.
        let _ended = unsafe { result::destroy_handle(self.handle) };
    }
}

/// `y [rows, outputs] = x [rows, inputs] W`, plus a bias where there is one; sums are in f32.
pub struct Product {
    library: Arc<Library>,
    plan: Mutex<Plan>,
    /// Outputs and inputs.
    shape: [usize; 2],
}

struct Plan {
    operation: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    input: sys::cublasLtMatrixLayout_t,
    output: sys::cublasLtMatrixLayout_t,
    algorithm: sys::cublasLtMatmulAlgo_t,
    biased: bool,
}

// SAFETY: descriptors are plain memory of the library, used by one thread at a time.
unsafe impl Send for Plan {}

impl Product {
    /// A product with a weight of so many outputs and inputs.
    pub fn new(
        library: &Arc<Library>,
        (outputs, inputs): (usize, usize),
        numbers: Numbers,
        orientation: Orientation,
        biased: bool,
    ) -> Result<Product> {
        let kind = match numbers {
            Numbers::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Numbers::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        };
        // cuBLAS counts by columns: a matrix of rows here is its transpose there, so that yT = W xT.
        let operation = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )
        .map_err(failed)?;
        let (weight, transposed) = match orientation {
            Orientation::OutputRows => (layout(kind, inputs, outputs)?, true),
            Orientation::InputRows => (layout(kind, outputs, inputs)?, false),
        };
        let input = layout(kind, inputs, PLANNED_ROWS)?;
        let output = layout(kind, outputs, PLANNED_ROWS)?;
        let describe = |attribute, value: i32| {
            // SAFETY: these attributes are 32-bit numbers.
            unsafe { result::set_matmul_desc_attribute(operation, attribute, from_ref(&value).cast(), 4) }
                .map_err(failed)
        };
        describe(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, i32::from(transposed))?;
        if biased {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as i32;
            describe(sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
        }
        let algorithm = choose(library, operation, [weight, input, output])?;
        let plan = Plan { operation, weight, input, output, algorithm, biased };
        Ok(Product { library: library.clone(), plan: Mutex::new(plan), shape: [outputs, inputs] })
    }

    /// Enqueues it for `rows` rows, rounded up to a multiple of [`ROWS`]; `bias` `[outputs]`, in the numbers of the product, where it has one.
    ///
    /// # Safety
    /// The matrices behind the addresses are as large as the product takes them to be, and live until the stream has
    /// done the work.
    pub unsafe fn run(
        &self,
        gpu: &Gpu,
        rows: usize,
        (input, weight, bias): (u64, u64, Option<u64>),
        output: u64,
    ) -> Result<()> {
        let plan = self.plan.lock();
        let (one, zero) = (1f32, 0f32);
        let rows = rows.next_multiple_of(ROWS) as u64;
        // SAFETY: the attributes are numbers of 64 bits; the layouts describe the memory that the caller hands over.
        unsafe {
            for layout in [plan.input, plan.output] {
                let columns = sys::cublasLtMatrixLayoutAttribute_t::CUBLASLT_MATRIX_LAYOUT_COLS;
                result::set_matrix_layout_attribute(layout, columns, from_ref(&rows).cast(), 8)
                    .map_err(failed)?;
            }
            if plan.biased {
                let address = bias.ok_or_else(|| Error::internal("a product lacks its bias"))?;
                let attribute = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
                result::set_matmul_desc_attribute(plan.operation, attribute, from_ref(&address).cast(), 8)
                    .map_err(failed)?;
            }
            result::matmul(
                self.library.handle,
                plan.operation,
                from_ref(&one).cast(),
                from_ref(&zero).cast(),
                weight as *const c_void,
                plan.weight,
                input as *const c_void,
                plan.input,
                output as *const c_void,
                plan.output,
                output as *mut c_void,
                plan.output,
                &plan.algorithm,
                self.library.workspace.address as *mut c_void,
                WORKSPACE,
                gpu.stream.cu_stream().cast(),
            )
            .map_err(|error| {
                let [outputs, inputs] = self.shape;
                let product = format!("[{rows}, {inputs}] by [{inputs}, {outputs}]");
                Error::model(format!("the GPU cannot multiply {product} for the model")).caused_by(error)
            })
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: they were created with the plan and nothing else has them.
        let _ended = unsafe {
            (
                result::destroy_matmul_desc(self.operation),
                [self.weight, self.input, self.output].map(|layout| result::destroy_matrix_layout(layout)),
            )
        };
    }
}

fn layout(kind: sys::cudaDataType_t, rows: usize, columns: usize) -> Result<sys::cublasLtMatrixLayout_t> {
    result::create_matrix_layout(kind, rows as u64, columns as u64, rows as i64).map_err(failed)
}

/// The library's first choice among algorithms that do not divide a sum among blocks.
fn choose(
    library: &Library,
    operation: sys::cublasLtMatmulDesc_t,
    [weight, input, output]: [sys::cublasLtMatrixLayout_t; 3],
) -> Result<sys::cublasLtMatmulAlgo_t> {
    let preference = result::create_matmul_pref().map_err(failed)?;
    let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
    let bytes = WORKSPACE;
    type Attribute = sys::cublasLtMatmulPreferenceAttributes_t;
    // SAFETY: the attributes are of these sizes, and the descriptors are alive.
    unsafe {
        let scheme = Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK;
        let workspace = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let set =
            result::set_matmul_pref_attribute(preference, scheme, from_ref(&none).cast(), 4).and_then(|()| {
                result::set_matmul_pref_attribute(
                    preference,
                    workspace,
                    from_ref(&bytes).cast(),
                    size_of::<usize>(),
                )
            });
        let chosen = set.and_then(|()| {
            result::get_matmul_algo_heuristic(
                library.handle,
                operation,
                weight,
                input,
                output,
                output,
                preference,
            )
        });
        result::destroy_matmul_pref(preference).map_err(failed)?;
        chosen.map(|chosen| chosen.algo).map_err(failed)
    }
}

fn failed(error: CublasError) -> Error {
    Error::model("the GPU cannot multiply for the model").caused_by(error)
}
