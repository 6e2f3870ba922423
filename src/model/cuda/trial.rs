//! Which of cuBLASLt's algorithms for a product is the fastest on this card.
//!
//! Only those are taken whose results have the bits of the library's first choice, so that no score follows from what was
//! measured. Sums in another order would show: among tens of millions of outputs of random numbers some round otherwise.

use super::device::{Gpu, Memory};
use super::failed;
use super::product::{self, Addresses, Algorithm, Library, PLANNED_ROWS, Plan};
use crate::error::Result;
use crate::launch;
use crate::model::Numbers;
use candle_core::cuda_backend::cudarc::cublaslt::result::CublasError;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, sys};

/// How often each is measured, in turns: the card's clock may only be rising. The shortest time of each counts.
const ROUNDS: usize = 4;
/// Blocks of a kernel whose threads go on until all is done.
const BLOCKS: (u32, u32, u32) = (1024, 1, 1);

pub struct Kernels {
    noise: [CudaFunction; 2],
    compare: CudaFunction,
}

impl Kernels {
    pub fn load(gpu: &Gpu) -> Result<Kernels> {
        let module = gpu.kernels(include_bytes!(concat!(env!("OUT_DIR"), "/trial.fatbin")))?;
        let noise = |numbers: Numbers| gpu.kernel(&module, &format!("noise_{}", numbers.name()));
        Ok(Kernels {
            noise: [noise(Numbers::F32)?, noise(Numbers::Bf16)?],
            compare: gpu.kernel(&module, "compare")?,
        })
    }
}

/// A product of random numbers, and room for two results.
struct Trial<'l> {
    library: &'l Library,
    plan: &'l Plan,
    input: Memory,
    weight: Memory,
    bias: Memory,
    results: [Memory; 2],
    differ: Memory,
}

/// The fastest of the candidates whose results have the bits of the first one's. The caller has the GPU's turn.
///
/// # Errors
/// `out_of_memory` where the GPU has none for the trial.
pub(super) fn fastest(library: &Library, plan: &Plan, candidates: &[Algorithm]) -> Result<Algorithm> {
    let trial = Trial::new(library, plan)?;
    let mut fits = vec![];
    for (index, algorithm) in candidates.iter().enumerate() {
        // the first result stays, for the others to be held against
        let result = &trial.results[index.min(1)];
        trial.noise(result, plan.shape.written.numbers(plan.shape.numbers), 4)?;
        let enqueued = trial.multiply(algorithm, result);
        if index == 0 {
            enqueued.map_err(product::failed)?;
        } else if enqueued.is_err() || !trial.same()? {
            continue;
        }
        fits.push((f32::INFINITY, algorithm));
    }
    for _ in 0..ROUNDS {
        for (shortest, algorithm) in &mut fits {
            *shortest = shortest.min(trial.milliseconds(algorithm)?);
        }
    }
    let first = fits[0];
    let fastest = fits.iter().fold(first, |fastest, fit| if fit.0 < fastest.0 { *fit } else { fastest });
    log::debug!(
        "a product of {:?}: {:.3} ms for {PLANNED_ROWS} rows, {:.3} by the library's first choice; {} of {} algorithms give the same bits",
        plan.shape,
        fastest.0,
        first.0,
        fits.len(),
        candidates.len(),
    );
    Ok(*fastest.1)
}

impl<'l> Trial<'l> {
    fn new(library: &'l Library, plan: &'l Plan) -> Result<Self> {
        let (gpu, shape) = (&library.gpu, plan.shape);
        let written = shape.written.numbers(shape.numbers);
        let room = |count: usize, numbers: Numbers| gpu.zeros(count * numbers.bytes());
        let result = || room(PLANNED_ROWS * shape.outputs, written);
        let trial = Trial {
            library,
            plan,
            input: room(PLANNED_ROWS * shape.inputs, shape.numbers)?,
            weight: room(shape.outputs * shape.inputs, shape.numbers)?,
            bias: room(shape.outputs, written)?,
            results: [result()?, result()?],
            differ: gpu.zeros(4)?,
        };
        for (seed, memory) in [&trial.input, &trial.weight].into_iter().enumerate() {
            trial.noise(memory, shape.numbers, seed as u32)?;
        }
        trial.noise(&trial.bias, written, 3)?;
        Ok(trial)
    }

    /// Fills memory with random numbers.
    fn noise(&self, memory: &Memory, numbers: Numbers, seed: u32) -> Result<()> {
        let [float, bf16] = &self.library.trial.noise;
        let kernel = if numbers == Numbers::F32 { float } else { bf16 };
        let count = (memory.bytes() / numbers.bytes()) as u64;
        // SAFETY: the memory holds so many numbers.
        unsafe { launch!(self.library.gpu, kernel, BLOCKS, 256, memory.address, count, seed) }
    }

    fn multiply(&self, algorithm: &Algorithm, result: &Memory) -> std::result::Result<(), CublasError> {
        let addresses = Addresses {
            input: self.input.address,
            weight: self.weight.address,
            bias: self.bias.address,
            output: result.address,
        };
        // SAFETY: the matrices were made for so many rows, and live until their memory is returned to the stream.
        unsafe { self.plan.enqueue(self.library, algorithm, PLANNED_ROWS, addresses) }
    }

    /// Whether the two results have the same bits.
    fn same(&self) -> Result<bool> {
        let (gpu, [one, other]) = (&*self.library.gpu, &self.results);
        gpu.clear(&self.differ)?;
        let words = (one.bytes() / 4) as u64;
        let mut differ = [0u32];
        // SAFETY: both results have so many words; `differ` outlives the wait.
        unsafe {
            let (one, other, differs) = (one.address, other.address, self.differ.address);
            launch!(gpu, self.library.trial.compare, BLOCKS, 256, one, other, words, differs)?;
            gpu.download(self.differ.address, &mut differ)?;
        }
        gpu.stream.synchronize().map_err(failed)?;
        Ok(differ == [0])
    }

    fn milliseconds(&self, algorithm: &Algorithm) -> Result<f32> {
        let event = || self.library.gpu.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT));
        let start = event().map_err(failed)?;
        self.multiply(algorithm, &self.results[1]).map_err(product::failed)?;
        start.elapsed_ms(&event().map_err(failed)?).map_err(failed)
    }
}
