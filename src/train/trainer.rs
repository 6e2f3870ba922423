//! The training loop.
//!
//! A step's micro-batches are independent: on a CPU each runs forward and backward on one thread, and their gradients are
//! added in a fixed order. The weights that come out depend on the options and the records, not on the threads. A GPU
//! takes a step's records in as few batches as its memory allows.

use super::batches::{self, Schedule, Step, window};
use super::evaluate::measure;
use super::masking::{MaskRule, Masked, Residues};
use super::optimizer::{Optimizer, Update, learning_rate};
use super::packed::Packed;
use super::{
    EncodedRecord, HeldOutLoss, Length, Observer, Progress, TrainOptions, TrainedModel, TrainingDevice,
    engine,
};
use crate::error::{Error, Result};
use crate::model::tensor::MaskedLm;
use crate::tokenizer::Tokenizer;
use candle_core::{DType, Device, Tensor, Var};
use std::borrow::Cow;
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
    pub fn fit(
        &self,
        start: TrainedModel,
        device: &TrainingDevice,
        observer: &mut dyn Observer,
    ) -> Result<TrainedModel> {
        let options = &self.options;
        let mut state = State::new(start, device)?;
        let steps = self.steps();
        let warmup = options.warmup.min(steps / 10);
        let mut schedule = Schedule::new(
            self.records,
            options,
            (&self.tokenizer, state.model.architecture().dimensions.max_positions),
        );
        let began = Instant::now();
        let (mut tokens, mut loss, mut predicted) = (0u64, 0.0, 0);
        for step in 1..=steps {
            observer.check()?;
            let gradient = self.gradient(&state, &schedule.next())?;
            let rate = learning_rate(step, steps, warmup, options.peak_lr);
            let norm = state.update(&gradient, options, rate, step)?;
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
        let losses = || measure(&state.measured()?, of, self.held_out, &state.device);
        (!self.held_out.is_empty()).then(|| Ok(HeldOutLoss::of(losses()?.into_iter())))
    }

    /// The gradient of the summed loss of a step.
    fn gradient(&self, state: &State, step: &Step) -> Result<Gradient> {
        let batches = match &state.device {
            TrainingDevice::Cpu { .. } => Cow::Borrowed(&step.micro_batches),
            device @ TrainingDevice::Batched { .. } => {
                let places = step.micro_batches.concat();
                let length = |&place: &usize| window(&step.records[place], &self.options, step.epoch).len();
                let lengths: Vec<usize> = places.iter().map(length).collect();
                let batches = device.batches(&lengths, state.model.architecture()).into_iter();
                Cow::Owned(batches.map(|batch| batch.into_iter().map(|i| places[i]).collect()).collect())
            }
        };
        let parts = state.device.each(&batches, |batch| self.batch_gradient(state, step, batch))?;
        let mut parts = parts.into_iter();
        let mut sum = parts.next().ok_or_else(|| Error::internal("a training step holds no records"))?;
        for part in parts {
            for (sum, part) in sum.by_tensor.iter_mut().zip(&part.by_tensor) {
                *sum = (&*sum + part).map_err(engine)?;
            }
            sum.loss += part.loss;
            sum.predicted += part.predicted;
            sum.tokens += part.tokens;
        }
        Ok(sum)
    }

    fn batch_gradient(&self, state: &State, step: &Step, batch: &[usize]) -> Result<Gradient> {
        let mask = |&i: &usize| {
            let record = &step.records[i];
            let of = (self.options.seed, step.epoch, record.hash);
            Masked::new(window(record, &self.options, step.epoch), &self.residues, MaskRule::BERT, of)
        };
        let masked: Vec<Masked> = batch.iter().map(mask).collect();
        let packed = Packed::new(&state.model, self.residues.mask, &masked)?;
        let differentiated = || {
            let loss = packed.loss(&state.model)?;
            let gradients = loss.backward().map_err(engine)?;
            let value = loss.to_dtype(DType::F32).and_then(|loss| loss.to_scalar::<f32>()).map_err(engine)?;
            Ok::<_, Error>((f64::from(value), gradients))
        };
        let (loss, gradients) = match packed.targets.len() {
            0 => (0.0, None),
            _ => differentiated().map(|(loss, gradients)| (loss, Some(gradients)))?,
        };
        let of = |var: &Var| match gradients.as_ref().and_then(|gradients| gradients.get(var)) {
            // or it would hold all that it was computed from, as long as there are moments of it
            Some(gradient) => Ok(gradient.detach()),
            None => var.zeros_like(),
        };
        Ok(Gradient {
            by_tensor: state.vars.values().map(of).collect::<candle_core::Result<_>>().map_err(engine)?,
            loss,
            predicted: packed.targets.len(),
            tokens: packed.batch.tokens(),
        })
    }
}

/// Sums over a batch or a step.
struct Gradient {
    /// In the order of the tensors' names
    by_tensor: Vec<Tensor>,
    loss: f64,
    predicted: usize,
    tokens: usize,
}

/// The weights as they are now, and what the optimizer remembers of each.
struct State {
    notes: BTreeMap<String, String>,
    vars: BTreeMap<String, Var>,
    optimizer: Optimizer,
    /// Over the same memory as `vars`
    model: MaskedLm,
    device: TrainingDevice,
}

impl State {
    fn new(start: TrainedModel, device: &TrainingDevice) -> Result<Self> {
        let var = |(name, tensor): (String, Tensor)| Ok((name, Var::from_tensor(&tensor)?));
        let vars = start.on(device)?.into_iter().map(var);
        let vars: BTreeMap<String, Var> = vars.collect::<candle_core::Result<_>>().map_err(engine)?;
        let shared = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let TrainedModel { architecture, notes, .. } = start;
        let model = MaskedLm::new(&architecture, shared).map_err(engine)?;
        let optimizer = Optimizer::new(&vars, &architecture, device)?;
        Ok(State { notes, vars, optimizer, model, device: device.clone() })
    }

    /// One step of the optimizer; returns the norm of the mean gradient before it was clipped.
    fn update(&mut self, gradient: &Gradient, options: &TrainOptions, rate: f64, step: u64) -> Result<f64> {
        let update = Update {
            scale: 1.0 / gradient.predicted.max(1) as f64,
            rate,
            clip: options.clip,
            decay: options.weight_decay,
            step,
        };
        self.optimizer.update((&self.vars, self.model.architecture()), &gradient.by_tensor, &update)
    }

    /// The model over the same memory, of which no gradient is wanted.
    fn measured(&self) -> Result<MaskedLm> {
        let detached = |(name, var): (&String, &Var)| (name.clone(), var.as_detached_tensor());
        MaskedLm::new(self.model.architecture(), self.vars.iter().map(detached).collect()).map_err(engine)
    }

    fn trained(&self) -> Result<TrainedModel> {
        let copy = |(name, var): (&String, &Var)| {
            Ok((
                name.clone(),
                var.as_detached_tensor().copy()?.to_device(&Device::Cpu)?.to_dtype(DType::F32)?,
            ))
        };
        let tensors = self.vars.iter().map(copy).collect::<candle_core::Result<_>>().map_err(engine)?;
        Ok(TrainedModel {
            architecture: self.model.architecture().clone(),
            tensors,
            notes: self.notes.clone(),
        })
    }
}
