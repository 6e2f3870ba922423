//! Per-record gradients of the head's dense weight, in closed form: no autograd, no backward pass of the encoder.

use crate::batching::{Example, PackedTokens};
use crate::cancel::CancelToken;
use crate::error::{Code, Result};
use crate::model::kernels::{self, PackedMatrix, Store, Strided};
use crate::model::{MlmHead, Model, Workspace, sized};
use std::ops::Range;

/// Rows that go through the head together: their logits and gradients stay in cache.
const ROW_BLOCK: usize = 128;

/// Computes gradients batch by batch; each thread owns one.
pub struct Gradients<'m> {
    model: &'m Model,
    workspace: Workspace,
    packed: PackedTokens,
    head: HeadRows,
    /// Tokens of records that memory held at once, where more did not fit
    most: Option<usize>,
    /// Tokens that went through the encoder so far, each pass counted.
    pub tokens: u64,
}

/// The scored positions of one record, as two factors of its gradient.
pub struct RecordGradient<'a> {
    /// Mean cross entropy over the scored positions, nats; 0 where there are none.
    pub loss: f64,
    /// δ, `[n, d]`; the 1/n of the mean is inside.
    pub delta: &'a [f32],
    /// h, `[n, d]`.
    pub hidden: &'a [f32],
    d: usize,
}

impl<'a> RecordGradient<'a> {
    /// Of factors that are there already, `[n, d]` each.
    pub fn new(loss: f64, delta: &'a [f32], hidden: &'a [f32], d: usize) -> Self {
        RecordGradient { loss, delta, hidden, d }
    }

    /// Number of scored positions n.
    pub fn positions(&self) -> usize {
        self.delta.len() / self.d
    }

    /// `G = δᵀ h`, row by row into `gradient` (`[d, d]`); `scratch` is memory to work in.
    pub fn expand(&self, gradient: &mut [f32], scratch: &mut PackedMatrix) {
        scratch.pack(self.positions(), self.d, Strided::rows(self.hidden, self.d));
        kernels::matmul(self.d, Strided::transposed(self.delta, self.d), scratch, gradient, self.d, &Store);
    }
}

/// Where one record's scored positions lie among the batch's rows.
struct Plan {
    rows: Range<usize>,
    /// Rows filled so far.
    filled: usize,
    /// Tokens that the mean loss is over.
    counted: u64,
    /// Sum of cross entropies so far.
    loss: f64,
}

impl<'m> Gradients<'m> {
    pub fn new(model: &'m Model) -> Self {
        let (workspace, packed) = (Workspace::default(), PackedTokens::default());
        Gradients { model, workspace, packed, head: HeadRows::default(), most: None, tokens: 0 }
    }

    /// A batch that is being computed ends with an error soon after `cancel` is set.
    pub fn ended_by(mut self, cancel: CancelToken) -> Self {
        self.workspace.cancel = cancel;
        self
    }

    /// Hands `each` the gradient of every record, in the order given.
    ///
    /// A record's gradient has the same bits whatever records share the batch: where memory does not suffice for all at
    /// once, parts of half the size are computed one after another, in this batch and in those that follow.
    ///
    /// # Errors
    /// `out_of_memory` where a single record does not fit; `canceled`; a device that fails.
    pub fn run(&mut self, records: &[Example], mut each: impl FnMut(usize, RecordGradient)) -> Result<()> {
        let mut start = 0;
        while start < records.len() {
            let part = &records[start..start + self.fitting(&records[start..])];
            match self.part(part, |index, gradient| each(start + index, gradient)) {
                Err(error) if error.code == Code::OutOfMemory && part.len() > 1 => {
                    let most = part.iter().map(Example::tokens).sum::<usize>() / 2;
                    log::warn!("{error}; from now on batches have at most {most} tokens");
                    self.most = Some(most);
                    self.workspace = Workspace::new(self.workspace.cancel.clone());
                }
                computed => {
                    computed?;
                    start += part.len();
                }
            }
        }
        Ok(())
    }

    /// How many of the first records memory holds at once, at least one.
    fn fitting(&self, records: &[Example]) -> usize {
        let Some(most) = self.most else { return records.len() };
        let mut tokens = 0;
        let fits = records.iter().take_while(|record| {
            tokens += record.tokens();
            tokens <= most
        });
        fits.count().max(1)
    }

    /// The same for records that go through the encoder together; `each` is called once all of them have.
    fn part(&mut self, records: &[Example], mut each: impl FnMut(usize, RecordGradient)) -> Result<()> {
        let d = self.model.head.hidden_size;
        let mut rows = 0;
        let mut plans: Vec<Plan> = records
            .iter()
            .map(|record| {
                let start = rows;
                rows += record.scored();
                Plan { rows: start..rows, filled: start, counted: record.counted(), loss: 0.0 }
            })
            .collect();
        let (mut delta, mut hidden) = (Vec::new(), Vec::new());
        sized(&mut delta, rows * d)?;
        sized(&mut hidden, rows * d)?;
        let passes = records.iter().map(|record| record.views.len()).max().unwrap_or(0);
        for pass in 0..passes {
            self.pass(pass, records, &mut plans, &mut delta, &mut hidden)?;
        }
        for (index, plan) in plans.iter().enumerate() {
            let part = plan.rows.start * d..plan.rows.end * d;
            let loss = plan.loss / plan.counted.max(1) as f64;
            each(index, RecordGradient::new(loss, &delta[part.clone()], &hidden[part], d));
        }
        Ok(())
    }

    /// One forward pass over the records' views of that number; fills the records' next rows.
    fn pass(
        &mut self,
        pass: usize,
        records: &[Example],
        plans: &mut [Plan],
        delta: &mut [f32],
        hidden: &mut [f32],
    ) -> Result<()> {
        let d = self.model.head.hidden_size;
        self.packed.clear();
        records.iter().filter_map(|record| record.views.get(pass)).for_each(|view| self.packed.push(view));
        self.model.encoder.encode(&self.packed, &mut self.workspace)?;
        self.tokens += self.packed.ids.len() as u64;
        let mut start = 0;
        for (record, plan) in records.iter().zip(plans) {
            let Some(view) = record.views.get(pass) else { continue };
            let first = plan.filled;
            for position in &view.positions {
                let state = &self.workspace.hidden[(start + *position as usize) * d..][..d];
                hidden[plan.filled * d..][..d].copy_from_slice(state);
                plan.filled += 1;
            }
            start += view.input.len();
            let targets = view.positions.iter().map(|position| record.targets[*position as usize]);
            let part = first * d..plan.filled * d;
            let scored = Scored { targets: targets.zip(view.counts()), counted: plan.counted as f32 };
            plan.loss += self.head.delta(&self.model.head, &hidden[part.clone()], scored, &mut delta[part]);
        }
        Ok(())
    }
}

/// What is predicted in each row, how many tokens the row stands for, and how many there are in the record.
struct Scored<I> {
    targets: I,
    counted: f32,
}

/// Memory of the head's forward and backward pass over a block of rows.
#[derive(Default)]
struct HeadRows {
    u: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
}

impl HeadRows {
    /// δ of each row, and the sum of the rows' cross entropies in nats.
    ///
    /// `r = (softmax(z) - onehot(target)) * count / counted`, `δ = gelu'(u) ∘ LayerNormBackward(Eᵀ r)`.
    fn delta(
        &mut self,
        head: &MlmHead,
        hidden: &[f32],
        mut scored: Scored<impl Iterator<Item = (u32, u32)>>,
        delta: &mut [f32],
    ) -> f64 {
        let (d, vocabulary) = (head.hidden_size, head.vocabulary);
        let mut loss = 0.0;
        for (hidden, delta) in hidden.chunks(ROW_BLOCK * d).zip(delta.chunks_mut(ROW_BLOCK * d)) {
            let rows = hidden.len() / d;
            self.u.resize(rows * d, 0.0);
            self.y.resize(rows * d, 0.0);
            self.z.resize(rows * vocabulary, 0.0);
            head.forward(hidden, &mut self.u, &mut self.y, &mut self.z);
            for (z, (target, count)) in self.z.chunks_exact_mut(vocabulary).zip(&mut scored.targets) {
                let target_logit = z[target as usize];
                loss += (kernels::softmax(z) - target_logit) as f64 * f64::from(count);
                let scale = count as f32 / scored.counted;
                z[target as usize] -= 1.0;
                z.iter_mut().for_each(|r| *r *= scale);
            }
            kernels::matmul(
                rows,
                Strided::rows(&self.z, vocabulary),
                &head.decoder_backward,
                delta,
                d,
                &Store,
            );
            // The LayerNorm's input v = gelu(u) was normalized in place: compute it again.
            for (v, u) in self.y.iter_mut().zip(&self.u) {
                *v = kernels::gelu(*u);
            }
            for (v, delta) in self.y.chunks_exact(d).zip(delta.chunks_exact_mut(d)) {
                kernels::layer_norm_backward(&head.norm, v, delta);
            }
            for (delta, u) in delta.iter_mut().zip(&self.u) {
                *delta *= kernels::gelu_derivative(*u);
            }
        }
        loss
    }
}
