//! The training loop.
//!
//! A step's micro-batches are independent: each runs forward and backward on one thread, and their gradients are
//! added in a fixed order. The weights that come out depend on the options and the records, not on the threads.

use super::batches::{self, Schedule, Step, window};
use super::evaluate::measure;
use super::masking::{MaskRule, Masked, Residues};
use super::model::{freeze_mask_row, values};
use super::optimizer::{Moments, clip, learning_rate};
use super::packed::{Packed, side_by_side};
use super::{EncodedRecord, HeldOutLoss, Length, Observer, Progress, TrainOptions, TrainedModel, engine};
use crate::error::{Error, Result};
use crate::model::Architecture;
use crate::model::tensor::MaskedLm;
use crate::tokenizer::Tokenizer;
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use std::time::Instant;

/// Trains on records that are held in memory.
pub struct Trainer<'a> {
    options: TrainOptions,
    tokenizer: Tokenizer,
    residues: Residues,
    records: &'a [EncodedRecord],
    /// Progress measures the loss on these; may be empty
    held_out: &'a [EncodedRecord],
}

impl<'a> Trainer<'a> {
    /// Errors: records without a definite residue, from which there is nothing to learn.
    pub fn new(
        options: TrainOptions,
        tokenizer: &Tokenizer,
        records: &'a [EncodedRecord],
        held_out: &'a [EncodedRecord],
    ) -> Result<Self> {
        let residues = Residues::of(tokenizer);
        let trainable = |record: &EncodedRecord| record.tokens.iter().any(|&t| residues.index(t).is_some());
        if !records.iter().any(trainable) {
            return Err(Error::bad_input("there is nothing to train on: no record holds a definite residue"));
        }
        Ok(Trainer { options, tokenizer: tokenizer.clone(), residues, records, held_out })
    }

    /// Trains from `start` to the end of the schedule.
    pub fn fit(&self, start: TrainedModel, observer: &mut dyn Observer) -> Result<TrainedModel> {
        let options = &self.options;
        let mut state = State::new(start)?;
        let steps = self.steps();
        let warmup = options.warmup.min(steps / 10);
        let mut schedule = Schedule::new(
            self.records,
            options,
            (&self.tokenizer, state.architecture.dimensions.max_positions),
        );
        let began = Instant::now();
        let (mut tokens, mut loss, mut predicted) = (0u64, 0.0, 0);
        for step in 1..=steps {
            observer.check()?;
            let mut gradient = self.gradient(&state, &schedule.next())?;
            let rate = learning_rate(step, steps, warmup, options.peak_lr);
            let norm = state.update(&mut gradient, options, rate, step)?;
            tokens += gradient.tokens as u64;
            loss += gradient.loss;
            predicted += gradient.predicted;
            let last = step == steps;
            if last || step.is_multiple_of(options.report_every) {
                let measured = last || step.is_multiple_of(options.measure_every);
                let held_out = self.measure(&state).filter(|_| measured).transpose()?;
                observer.progress(&Progress {
                    step,
                    steps,
                    epoch: schedule.epoch,
                    loss: loss / predicted.max(1) as f64,
                    held_out,
                    learning_rate: rate,
                    gradient_norm: norm,
                    tokens,
                    seconds: began.elapsed().as_secs_f64(),
                });
                (loss, predicted) = (0.0, 0);
            }
            if !last && options.checkpoint_every.is_some_and(|every| step.is_multiple_of(every)) {
                observer.checkpoint(&state.trained()?)?;
            }
        }
        state.trained()
    }

    fn steps(&self) -> u64 {
        let on_records = match self.options.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => {
                let steps = |epoch| batches::epoch(self.records, &self.options, epoch).len() as u64;
                (0..epochs).map(steps).sum()
            }
        };
        self.options.hairpin_steps + on_records
    }

    fn measure(&self, state: &State) -> Option<Result<HeldOutLoss>> {
        let of = (&self.residues, MaskRule::HIDDEN);
        let losses = || measure(&state.model, of, self.held_out, self.options.threads);
        (!self.held_out.is_empty()).then(|| Ok(HeldOutLoss::of(losses()?.into_iter())))
    }

    /// The gradient of the summed loss of a step.
    fn gradient(&self, state: &State, step: &Step) -> Result<Gradient> {
        let parts = side_by_side(self.options.threads, &step.micro_batches, |micro_batch| {
            self.micro_batch_gradient(state, step, micro_batch)
        })?;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().ok_or_else(|| Error::internal("a training step holds no records"))?;
        for part in parts {
            for (sum, part) in sum.by_tensor.iter_mut().zip(&part.by_tensor) {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            sum.loss += part.loss;
            sum.predicted += part.predicted;
            sum.tokens += part.tokens;
        }
        Ok(sum)
    }

    fn micro_batch_gradient(&self, state: &State, step: &Step, micro_batch: &[usize]) -> Result<Gradient> {
        let mask = |&i: &usize| {
            let record = &step.records[i];
            let of = (self.options.seed, step.epoch, record.hash);
            Masked::new(window(record, &self.options, step.epoch), &self.residues, MaskRule::BERT, of)
        };
        let masked: Vec<Masked> = micro_batch.iter().map(mask).collect();
        let packed = Packed::new(&state.model, self.residues.mask, &masked)?;
        let zeros = |var: &Var| vec![0.0; var.elem_count()];
        let mut gradient = Gradient {
            by_tensor: state.vars.values().map(zeros).collect(),
            loss: 0.0,
            predicted: packed.targets.len(),
            tokens: packed.batch.total(),
        };
        if gradient.predicted > 0 {
            let loss = packed.losses(&state.model)?.sum_all().map_err(engine)?;
            gradient.loss = f64::from(loss.to_scalar::<f32>().map_err(engine)?);
            let gradients = loss.backward().map_err(engine)?;
            for (sum, var) in gradient.by_tensor.iter_mut().zip(state.vars.values()) {
                if let Some(part) = gradients.get(var) {
                    *sum = values(part)?;
                }
            }
        }
        Ok(gradient)
    }
}

/// Sums over a micro-batch or a step.
struct Gradient {
    /// In the order of the tensors' names
    by_tensor: Vec<Vec<f32>>,
    loss: f64,
    predicted: usize,
    tokens: usize,
}

/// The weights as they are now, and what the optimizer remembers of each.
struct State {
    architecture: Architecture,
    notes: BTreeMap<String, String>,
    vars: BTreeMap<String, Var>,
    moments: Vec<Moments>,
    /// Over the same memory as `vars`
    model: MaskedLm,
}

impl State {
    fn new(start: TrainedModel) -> Result<Self> {
        let TrainedModel { architecture, tensors, notes } = start;
        let var = |(name, tensor): (String, Tensor)| Ok((name, Var::from_tensor(&tensor)?));
        let vars: BTreeMap<String, Var> =
            tensors.into_iter().map(var).collect::<candle_core::Result<_>>().map_err(engine)?;
        let shared = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let model = MaskedLm::new(&architecture, shared).map_err(engine)?;
        let moments = vars.values().map(|var| Moments::zeros(var.elem_count())).collect();
        Ok(State { architecture, notes, vars, moments, model })
    }

    /// One step of the optimizer; returns the norm of the mean gradient before it was clipped.
    fn update(
        &mut self,
        gradient: &mut Gradient,
        options: &TrainOptions,
        rate: f64,
        step: u64,
    ) -> Result<f64> {
        let scale = 1.0 / gradient.predicted.max(1) as f32;
        for (name, sums) in self.vars.keys().zip(&mut gradient.by_tensor) {
            sums.iter_mut().for_each(|g| *g *= scale);
            freeze_mask_row(name, sums, &self.architecture);
        }
        let norm = clip(&mut gradient.by_tensor, options.clip);
        if !norm.is_finite() {
            return Err(Error::model(format!(
                "step {step}: the loss has run away; a lower --learning-rate may hold it"
            )));
        }
        for (((name, var), moments), gradient) in
            self.vars.iter().zip(&mut self.moments).zip(&gradient.by_tensor)
        {
            let mut weights = values(var)?;
            let decay = if decays(name, var) { options.weight_decay } else { 0.0 };
            moments.update(&mut weights, gradient, rate, decay, step);
            let updated = Tensor::from_vec(weights, var.shape(), var.device());
            updated.and_then(|updated| var.set(&updated)).map_err(engine)?;
        }
        Ok(norm)
    }

    fn trained(&self) -> Result<TrainedModel> {
        let copy = |(name, var): (&String, &Var)| Ok((name.clone(), var.as_detached_tensor().copy()?));
        let tensors = self.vars.iter().map(copy).collect::<candle_core::Result<_>>().map_err(engine)?;
        Ok(TrainedModel { architecture: self.architecture.clone(), tensors, notes: self.notes.clone() })
    }
}

/// Weight decay is for matrices alone, and not for embeddings.
fn decays(name: &str, var: &Tensor) -> bool {
    var.rank() == 2 && !name.starts_with("embed_")
}
