//! Products of activations with weights, by cuBLASLt.
//!
//! The algorithm of a product is [chosen](super::trial) once, for a full batch, without splitting the inputs among blocks,
//! and then used for any number of rows: an output is summed in the same order whatever the rows beside it.

use super::device::{Gpu, Memory};
use super::trial;
use crate::error::{Code, Error, Result};
use crate::model::Numbers;
use candle_core::cuda_backend::cudarc::cublaslt::result::CublasError;
use candle_core::cuda_backend::cudarc::cublaslt::{result, sys};
use parking_lot::Mutex;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::from_ref;
use std::sync::Arc;

/// What cuBLASLt may work in.
const WORKSPACE: usize = 32 << 20;

/// Products are computed for multiples of so many rows: those beyond the ones asked for are in the same memory, and mean
/// nothing.
pub const ROWS: usize = 256;

/// The number of rows that algorithms are chosen for, whatever a batch has: what they are used for changes no bits.
pub(super) const PLANNED_ROWS: usize = 32_768;
/// Algorithms that are tried.
const CANDIDATES: usize = 16;

pub(super) type Algorithm = sys::cublasLtMatmulAlgo_t;
type Description = sys::cublasLtMatmulDescAttributes_t;

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// `[outputs, inputs]`
    OutputRows,
    /// `[inputs, outputs]`
    InputRows,
}

/// What becomes of the sums of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// They are written, in the numbers of the product.
    Plain,
    /// So are they, with a bias in those numbers.
    Biased,
    /// They and a bias in f32 are added to what is there, in f32.
    Added,
}

impl Outputs {
    /// What a product of `numbers` writes.
    pub(super) fn numbers(self, numbers: Numbers) -> Numbers {
        if self == Outputs::Added { Numbers::F32 } else { numbers }
    }
}

/// How the algorithm of a product is chosen; both give the same bits.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// The library's first choice
    First,
    /// The fastest on this card, found by timing. Whoever asks has the GPU's turn
    Fastest,
}

/// cuBLASLt on one GPU.
pub struct Library {
    pub(super) gpu: Arc<Gpu>,
    pub(super) trial: trial::Kernels,
    handle: sys::cublasLtHandle_t,
    workspace: Memory,
}

// SAFETY: the library allows its handle to be used from any thread.
unsafe impl Send for Library {}
unsafe impl Sync for Library {}

impl Library {
    pub fn open(gpu: &Arc<Gpu>) -> Result<Arc<Library>> {
        let (trial, workspace) = (trial::Kernels::load(gpu)?, gpu.zeros(WORKSPACE)?);
        let handle = result::create_handle().map_err(failed)?;
        Ok(Arc::new(Library { gpu: gpu.clone(), trial, handle, workspace }))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: nothing else has the handle; a library that fails to end has nothing left to lose.
        let _ended = unsafe { result::destroy_handle(self.handle) };
    }
}

/// `y [rows, outputs] = x [rows, inputs] W`, or what [`Outputs`] says in place of that; sums are in f32.
pub struct Product {
    library: Arc<Library>,
    plan: Mutex<Plan>,
    algorithm: Algorithm,
}

/// A product as the library knows it.
pub(super) struct Plan {
    pub(super) shape: Shape,
    operation: sys::cublasLtMatmulDesc_t,
    weight: sys::cublasLtMatrixLayout_t,
    input: sys::cublasLtMatrixLayout_t,
    output: sys::cublasLtMatrixLayout_t,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) numbers: Numbers,
    pub(super) written: Outputs,
}

/// Where the matrices of a product are on the GPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) input: u64,
    pub(super) weight: u64,
    /// Used where the product has a bias.
    pub(super) bias: u64,
    pub(super) output: u64,
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
        written: Outputs,
        choice: Choice,
    ) -> Result<Product> {
        let plan = Plan::new(Shape { outputs, inputs, numbers, written }, orientation)?;
        let candidates = plan.candidates(library)?;
        let algorithm = match choice {
            Choice::First => candidates[0],
            Choice::Fastest => match trial::fastest(library, &plan, &candidates) {
                Err(error) if error.code == Code::OutOfMemory => {
                    log::debug!("no memory to try algorithms of products in: {error}");
                    candidates[0]
                }
                found => found?,
            },
        };
        Ok(Product { library: library.clone(), plan: Mutex::new(plan), algorithm })
    }

    /// Enqueues it for `rows` rows, rounded up to a multiple of `ROWS`; `bias` `[outputs]` where it has one.
    ///
    /// # Safety
    /// The matrices behind the addresses are as large as the product takes them to be, and live until the stream has
    /// done the work.
    pub unsafe fn run(
        &self,
        rows: usize,
        (input, weight, bias): (u64, u64, Option<u64>),
        output: u64,
    ) -> Result<()> {
        let plan = self.plan.lock();
        let bias = match (plan.shape.written, bias) {
            (Outputs::Plain, _) => 0,
            (_, bias) => bias.ok_or_else(|| Error::internal("a product lacks its bias"))?,
        };
        let rows = rows.next_multiple_of(ROWS);
        // SAFETY: the caller's.
        let enqueued = unsafe {
            plan.enqueue(&self.library, &self.algorithm, rows, Addresses { input, weight, bias, output })
        };
        enqueued.map_err(|error| {
            let Shape { outputs, inputs, .. } = plan.shape;
            let product = format!("[{rows}, {inputs}] by [{inputs}, {outputs}]");
            Error::model(format!("the GPU cannot multiply {product} for the model")).caused_by(error)
        })
    }
}

impl Plan {
    fn new(shape: Shape, orientation: Orientation) -> Result<Plan> {
        let Shape { outputs, inputs, numbers, written } = shape;
        let kind = |numbers| match numbers {
            Numbers::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Numbers::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
        };
        let (read, write) = (kind(numbers), kind(written.numbers(numbers)));
        // cuBLAS counts by columns: a matrix of rows here is its transpose there, so that yT = W xT.
        let operation = result::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        )
        .map_err(failed)?;
        let (weight, transposed) = match orientation {
            Orientation::OutputRows => (layout(read, inputs, outputs)?, true),
            Orientation::InputRows => (layout(read, outputs, inputs)?, false),
        };
        let (input, output) = (layout(read, inputs, PLANNED_ROWS)?, layout(write, outputs, PLANNED_ROWS)?);
        let plan = Plan { shape, operation, weight, input, output };
        plan.describe(Description::CUBLASLT_MATMUL_DESC_TRANSA, i32::from(transposed)).map_err(failed)?;
        if written != Outputs::Plain {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as i32;
            plan.describe(Description::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue).map_err(failed)?;
        }
        Ok(plan)
    }

    /// Sets a number of the operation's, of the size that the attribute has.
    fn describe<T>(&self, attribute: Description, value: T) -> std::result::Result<(), CublasError> {
        // SAFETY: the library reads so many bytes of the value, and checks their number.
        unsafe {
            let value = from_ref(&value).cast();
            result::set_matmul_desc_attribute(self.operation, attribute, value, size_of::<T>())
        }
    }

    /// Enqueues the product for `rows` rows.
    ///
    /// # Safety
    /// As for [`Product::run`].
    pub(super) unsafe fn enqueue(
        &self,
        library: &Library,
        algorithm: &Algorithm,
        rows: usize,
        addresses: Addresses,
    ) -> std::result::Result<(), CublasError> {
        let written = self.shape.written;
        let (product, before) = (1f32, if written == Outputs::Added { 1f32 } else { 0f32 });
        let columns = sys::cublasLtMatrixLayoutAttribute_t::CUBLASLT_MATRIX_LAYOUT_COLS;
        let rows = rows as u64;
        // SAFETY: the attribute is a number of 64 bits; the layouts describe the memory that the caller hands over.
        unsafe {
            for layout in [self.input, self.output] {
                result::set_matrix_layout_attribute(layout, columns, from_ref(&rows).cast(), 8)?;
            }
            if written != Outputs::Plain {
                self.describe(Description::CUBLASLT_MATMUL_DESC_BIAS_POINTER, addresses.bias)?;
            }
            result::matmul(
                library.handle,
                self.operation,
                from_ref(&product).cast(),
                from_ref(&before).cast(),
                addresses.weight as *const c_void,
                self.weight,
                addresses.input as *const c_void,
                self.input,
                addresses.output as *const c_void,
                self.output,
                addresses.output as *mut c_void,
                self.output,
                algorithm,
                library.workspace.address as *mut c_void,
                WORKSPACE,
                library.gpu.stream.cu_stream().cast(),
            )
        }
    }

    /// Algorithms that do not divide a sum among blocks, what the library takes to be the fastest first; at least one.
    fn candidates(&self, library: &Library) -> Result<Vec<Algorithm>> {
        type Attribute = sys::cublasLtMatmulPreferenceAttributes_t;
        let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
        let preference = result::create_matmul_pref().map_err(failed)?;
        let mut found = [const { MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit() }; CANDIDATES];
        let mut count = 0;
        // SAFETY: the attributes are of these sizes, and the descriptors are alive; the library fills in as many results
        // as it counts.
        let found = unsafe {
            let scheme = Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK;
            let workspace = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            let set = |attribute, value: *const c_void, bytes| {
                result::set_matmul_pref_attribute(preference, attribute, value, bytes)
            };
            let asked = set(scheme, from_ref(&none).cast(), size_of::<u32>())
                .and_then(|()| set(workspace, from_ref(&WORKSPACE).cast(), size_of::<usize>()))
                .and_then(|()| {
                    sys::cublasLtMatmulAlgoGetHeuristic(
                        library.handle,
                        self.operation,
                        self.weight,
                        self.input,
                        self.output,
                        self.output,
                        preference,
                        CANDIDATES as i32,
                        found.as_mut_ptr().cast(),
                        &mut count,
                    )
                    .result()
                });
            result::destroy_matmul_pref(preference).and(asked).map_err(failed)?;
            found[..count as usize].iter().map(|result| result.assume_init_ref())
        };
        let usable = found.filter(|result| result.state == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS);
        let usable: Vec<_> = usable.map(|result| result.algo).collect();
        match usable.is_empty() {
            true => Err(failed(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED))),
            false => Ok(usable),
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

pub(super) fn failed(error: CublasError) -> Error {
    Error::model("the GPU cannot multiply for the model").caused_by(error)
}
