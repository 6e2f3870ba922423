//! A model's masked-LM head on a GPU, and the sums over gradients of its dense weight.

use super::{Staged, Staging};
use crate::error::Result;
use crate::influence::Estimator;
use crate::launch;
use crate::model::cuda::{
    Choice, CudaEncoder, CudaFunction, Gpu, Memory, Norm, Orientation, Outputs, Product, row_blocks,
};
use crate::model::{MlmHead, Model, Numbers};

/// Rows that go through the head together.
const HEAD_ROWS: usize = 8192;
/// Records whose sums are made together.
const SUM_RECORDS: usize = 1024;
/// Rows and columns of G that a block computes.
const TILE: usize = 64;

/// A model's head on the GPU that holds its encoder.
pub struct CudaHead<'m> {
    pub encoder: &'m CudaEncoder,
    pub gpu: &'m Gpu,
    pub d: usize,
    vocabulary: usize,
    dense: Memory,
    dense_bias: Memory,
    norm: Norm,
    decoder: Memory,
    decoder_bias: Memory,
    products: Products,
    kernels: Kernels,
    /// delta and h of a batch's scored positions, `[capacity, d]` each, and their losses.
    delta: Memory,
    hidden: Memory,
    pub losses: Memory,
    /// Of a block of rows.
    u: Memory,
    y: Memory,
    z: Memory,
    /// Of a block of records.
    tile_sums: Memory,
    /// Of each record of a batch: sum of G∘G, of G∘G/(F + damping), and of Q/(F + damping), in f64.
    pub sums: Memory,
}

struct Products {
    dense: Product,
    decoder: Product,
    decoder_backward: Product,
}

struct Kernels {
    gather: CudaFunction,
    head_norm: CudaFunction,
    cross_entropy: CudaFunction,
    head_backward: CudaFunction,
    plain: CudaFunction,
    squares: CudaFunction,
    record_sums: CudaFunction,
    curvature: CudaFunction,
}

impl<'m> CudaHead<'m> {
    /// The head of a model whose encoder is on a GPU; `None` where it is not.
    pub fn load(model: &'m Model) -> Result<Option<Self>> {
        let Some(encoder) = model.encoder.on_gpu() else { return Ok(None) };
        let gpu = &*encoder.gpu;
        gpu.bind()?;
        let _turn = gpu.turn();
        let MlmHead { hidden_size: d, vocabulary, .. } = model.head;
        let rows = |columns: usize| gpu.zeros(4 * columns * HEAD_ROWS);
        let all = |columns: usize| gpu.zeros(4 * columns * encoder.capacity);
        // small beside the encoder's, and loaded anew for each job
        let product = |outputs, inputs, orientation, written| {
            let shape = (outputs, inputs);
            Product::new(&encoder.library, shape, Numbers::F32, orientation, written, Choice::First)
        };
        let module = gpu.kernels(include_bytes!(concat!(env!("OUT_DIR"), "/influence.fatbin")))?;
        let kernel = |name: &str| gpu.kernel(&module, name);
        let tiles = d.div_ceil(TILE).pow(2);
        Ok(Some(CudaHead {
            encoder,
            gpu,
            d,
            vocabulary,
            dense: gpu.upload_f32(&model.head.dense.unpacked())?,
            dense_bias: gpu.upload_f32(&model.head.dense_bias)?,
            norm: Norm::upload(gpu, &model.head.norm)?,
            decoder: gpu.upload_f32(&model.head.decoder_backward.unpacked())?,
            decoder_bias: gpu.upload_f32(&model.head.decoder_bias)?,
            products: Products {
                dense: product(d, d, Orientation::InputRows, Outputs::Biased)?,
                decoder: product(vocabulary, d, Orientation::OutputRows, Outputs::Biased)?,
                decoder_backward: product(d, vocabulary, Orientation::InputRows, Outputs::Plain)?,
            },
            kernels: Kernels {
                gather: kernel("gather")?,
                head_norm: kernel("head_norm")?,
                cross_entropy: kernel("cross_entropy")?,
                head_backward: kernel("head_backward")?,
                plain: kernel("tile_sums_plain")?,
                squares: kernel("tile_sums_squares")?,
                record_sums: kernel("record_sums")?,
                curvature: kernel("curvature")?,
            },
            delta: all(d)?,
            hidden: all(d)?,
            losses: all(1)?,
            u: rows(d)?,
            y: rows(d)?,
            z: rows(vocabulary)?,
            tile_sums: gpu.zeros(8 * 3 * tiles * SUM_RECORDS)?,
            sums: gpu.zeros(8 * 3 * encoder.capacity)?,
        }))
    }

    /// Enqueues the encoder and the head: fills `delta`, `hidden` and `losses`.
    pub fn enqueue(&self, staging: &Staging, staged: &Staged) -> Result<()> {
        let (gpu, d, vocabulary) = (self.gpu, self.d, self.vocabulary);
        // SAFETY: whoever staged the batch waits for the stream before the staging is written again.
        unsafe { gpu.send(staging.words()?, &self.encoder.staged)? };
        self.encoder.enqueue(&staged.encoder)?;
        let products = &self.products;
        for start in (0..staged.rows).step_by(HEAD_ROWS) {
            let rows = HEAD_ROWS.min(staged.rows - start);
            let (count, columns) = (rows as i32, d as i32);
            let of = |memory: &Memory, columns: usize| memory.address + (4 * start * columns) as u64;
            let word = |at: usize| self.word(at + start);
            let (delta, hidden) = (of(&self.delta, d), of(&self.hidden, d));
            // SAFETY: matrices of all rows have `capacity` rows, those of a block HEAD_ROWS; the rest are the head's weights.
            unsafe {
                launch!(
                    gpu,
                    self.kernels.gather,
                    row_blocks(rows),
                    128,
                    self.encoder.hidden.address,
                    word(staged.places),
                    hidden,
                    count,
                    columns,
                )?;
                let dense = (hidden, self.dense.address, Some(self.dense_bias.address));
                products.dense.run(rows, dense, self.u.address)?;
                launch!(
                    gpu,
                    self.kernels.head_norm,
                    row_blocks(rows),
                    128,
                    self.u.address,
                    self.norm.weight.address,
                    self.norm.bias.address,
                    self.norm.epsilon,
                    self.y.address,
                    count,
                    columns,
                )?;
                let decoder = (self.y.address, self.decoder.address, Some(self.decoder_bias.address));
                products.decoder.run(rows, decoder, self.z.address)?;
                launch!(
                    gpu,
                    self.kernels.cross_entropy,
                    row_blocks(rows),
                    128,
                    self.z.address,
                    word(staged.targets),
                    word(staged.scales),
                    of(&self.losses, 1),
                    count,
                    vocabulary as i32,
                )?;
                let backward = (self.z.address, self.decoder.address, None);
                products.decoder_backward.run(rows, backward, delta)?;
                launch!(
                    gpu,
                    self.kernels.head_backward,
                    row_blocks(rows),
                    128,
                    self.u.address,
                    self.norm.weight.address,
                    self.norm.epsilon,
                    delta,
                    count,
                    columns,
                )?;
            }
        }
        Ok(())
    }

    /// Enqueues the sums of so many records into `sums`.
    pub fn enqueue_sums(
        &self,
        staged: &Staged,
        records: usize,
        inverse: &Memory,
        estimator: Estimator,
    ) -> Result<()> {
        let across = self.d.div_ceil(TILE);
        let kernel = match estimator {
            Estimator::Plain => &self.kernels.plain,
            Estimator::Debiased => &self.kernels.squares,
        };
        for start in (0..records).step_by(SUM_RECORDS) {
            let count = SUM_RECORDS.min(records - start) as u32;
            let tiles = (across * across) as u32;
            // SAFETY: `tile_sums` holds SUM_RECORDS records, `sums` three numbers for each that a batch can have.
            unsafe {
                launch!(
                    self.gpu,
                    kernel,
                    (tiles, count, 1),
                    256,
                    self.delta.address,
                    self.hidden.address,
                    self.word(staged.ends + start),
                    inverse.address,
                    self.tile_sums.address,
                    self.d as i32,
                    across as i32,
                )?;
                launch!(
                    self.gpu,
                    self.kernels.record_sums,
                    (count, 1, 1),
                    32,
                    self.tile_sums.address,
                    self.sums.address + (24 * start) as u64,
                    tiles as i32,
                )?;
            }
        }
        Ok(())
    }

    /// Enqueues `Σ G∘G` over so many records into `sums`, `[d, d]` of 16 bytes; sets `bad` where an entry is none to sum.
    pub fn enqueue_curvature(
        &self,
        staged: &Staged,
        records: usize,
        sums: &Memory,
        bad: &Memory,
    ) -> Result<()> {
        let across = self.d.div_ceil(TILE);
        self.gpu.clear(bad)?;
        // SAFETY: an accumulator's `sums` has that size.
        unsafe {
            launch!(
                self.gpu,
                self.kernels.curvature,
                ((across * across) as u32, 1, 1),
                256,
                self.delta.address,
                self.hidden.address,
                self.word(staged.ends),
                records as i32,
                sums.address,
                bad.address,
                self.d as i32,
                across as i32,
            )
        }
    }

    /// The address of a staged word.
    fn word(&self, at: usize) -> u64 {
        self.encoder.staged.address + 4 * at as u64
    }
}
