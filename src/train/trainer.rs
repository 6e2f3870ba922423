//! The training loop.
//!
//! A step's micro-batches are independent: each runs forward and backward on one thread, and their gradients are
//! added in a fixed order. The weights that come out depend on the options and the records, not on the threads.

use super::masking::{MaskRule, Masked};
use super::model::{TrainedModel, engine, freeze_mask_row, values};
use super::optimizer::{Moments, clip, learning_rate};
use super::{EncodedRecord, Length, Progress, TrainOptions, alphabet, batches, evaluate::evaluate};
use crate::error::{Error, Result};
use crate::model::tensor::{PackedBatch, RnaFm};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What the trainer hands out while it runs.
pub enum Event<'a> {
    /// Every `report_every` steps, and after the last
    Progress(Progress),
    /// The model and the optimizer's state, every `checkpoint_every` steps
    Checkpoint(&'a Checkpoint),
}

/// A place in a training run: going on from here gives the weights that a run without a break gives.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub model: TrainedModel,
    /// Steps done
    pub step: u64,
    pub moments: BTreeMap<String, Moments>,
}

impl Checkpoint {
    /// The beginning of a run.
    pub fn start(model: TrainedModel) -> Self {
        let moments =
            model.tensors.iter().map(|(name, t)| (name.clone(), Moments::zeros(t.elem_count()))).collect();
        Checkpoint { model, step: 0, moments }
    }
}

/// Sums over one micro-batch or one step.
struct Gradient {
    /// By tensor, in the order of the names
    sums: Vec<Vec<f32>>,
    loss: f64,
    predicted: usize,
    tokens: usize,
}

pub struct Trainer {
    options: TrainOptions,
}

impl Trainer {
    pub fn new(options: TrainOptions) -> Result<Self> {
        options.check()?;
        Ok(Trainer { options })
    }

    /// Trains from `start` to the end of the schedule. `valid` may be empty: then no validation loss is reported.
    /// `on_event` may end the run by returning an error, as a cancelled job does.
    pub fn fit(
        &self,
        start: Checkpoint,
        records: &[EncodedRecord],
        valid: &[EncodedRecord],
        on_event: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<TrainedModel> {
        let options = &self.options;
        if records.iter().all(|record| !record.tokens.iter().any(|t| alphabet::RESIDUES.contains(t))) {
            return Err(Error::bad_input("there is no record to train on that holds an unambiguous residue"));
        }
        let Checkpoint { model: TrainedModel { config, tensors, notes }, step: done, mut moments } = start;
        let vars = tensors
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), Var::from_tensor(tensor)?)))
            .collect::<candle_core::Result<BTreeMap<String, Var>>>()
            .map_err(engine)?;
        let shared = || vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        let trained = || -> Result<TrainedModel> {
            let copy = |(name, var): (&String, &Var)| Ok((name.clone(), var.as_detached_tensor().copy()?));
            let tensors = vars.iter().map(copy).collect::<candle_core::Result<_>>().map_err(engine)?;
            Ok(TrainedModel { config: config.clone(), tensors, notes: notes.clone() })
        };
        let model = RnaFm::new(&config, shared()).map_err(engine)?;

        let steps = match options.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => {
                (0..epochs).map(|epoch| batches::epoch(records, options, epoch, 0).len() as u64).sum()
            }
        };
        let began = Instant::now();
        let (mut step, mut epoch, mut tokens) = (0u64, 0u64, 0u64);
        let (mut loss, mut predicted, mut last_norm) = (0.0, 0usize, 0.0);
        while step < steps {
            let focus = options.focus.filter(|focus| step < focus.steps);
            let until = focus.map_or(steps, |focus| focus.steps.min(steps));
            for micro_batches in batches::epoch(records, options, epoch, focus.map_or(0, |f| f.min_members)) {
                if step == until {
                    break;
                }
                step += 1;
                if step <= done {
                    continue;
                }
                let mut gradient = self.gradient(&model, &vars, records, &micro_batches, epoch)?;
                let scale = 1.0 / gradient.predicted.max(1) as f32;
                for ((name, _), sums) in vars.iter().zip(&mut gradient.sums) {
                    sums.iter_mut().for_each(|g| *g *= scale);
                    freeze_mask_row(name, sums, config.hidden_size);
                }
                last_norm = clip(&mut gradient.sums, options.clip);
                let rate = learning_rate(step, steps, options.warmup, options.peak_lr);
                for ((name, var), gradient) in vars.iter().zip(&gradient.sums) {
                    let mut weights = values(var)?;
                    let decay = if decays(name, var) { options.weight_decay } else { 0.0 };
                    let moments = moments.entry(name.clone()).or_default();
                    moments.update(&mut weights, gradient, rate, decay, step);
                    let updated = Tensor::from_vec(weights, var.shape(), var.device());
                    updated.and_then(|updated| var.set(&updated)).map_err(engine)?;
                }
                tokens += gradient.tokens as u64;
                loss += gradient.loss;
                predicted += gradient.predicted;
                let last = step == steps;
                if last || step.is_multiple_of(options.report_every) {
                    let validates = !valid.is_empty() && (last || step.is_multiple_of(options.validate_every));
                    let valid_loss = if validates {
                        Some(evaluate(&model, valid, options.batch_tokens, options.threads)?)
                    } else {
                        None
                    };
                    on_event(Event::Progress(Progress {
                        step,
                        steps,
                        epoch,
                        train_loss: loss / predicted.max(1) as f64,
                        valid_loss,
                        learning_rate: rate,
                        gradient_norm: last_norm,
                        tokens,
                        seconds: began.elapsed().as_secs_f64(),
                    }))?;
                    (loss, predicted) = (0.0, 0);
                }
                if options.checkpoint_every.is_some_and(|every| step.is_multiple_of(every)) && !last {
                    let checkpoint = Checkpoint { model: trained()?, step, moments: moments.clone() };
                    on_event(Event::Checkpoint(&checkpoint))?;
                }
            }
            epoch += 1;
        }
        trained()
    }

    /// The gradient of the summed loss of a step.
    fn gradient(
        &self,
        model: &RnaFm,
        vars: &BTreeMap<String, Var>,
        records: &[EncodedRecord],
        micro_batches: &[batches::MicroBatch],
        epoch: u64,
    ) -> Result<Gradient> {
        let parts = side_by_side(self.options.threads, micro_batches, |batch| {
            self.micro_batch_gradient(model, vars, records, batch, epoch)
        })?;
        let mut sum = Gradient {
            sums: vars.values().map(|var| vec![0.0; var.elem_count()]).collect(),
            loss: 0.0,
            predicted: 0,
            tokens: 0,
        };
        for part in parts {
            for (sum, part) in sum.sums.iter_mut().zip(&part.sums) {
                sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            sum.loss += part.loss;
            sum.predicted += part.predicted;
            sum.tokens += part.tokens;
        }
        Ok(sum)
    }

    fn micro_batch_gradient(
        &self,
        model: &RnaFm,
        vars: &BTreeMap<String, Var>,
        records: &[EncodedRecord],
        micro_batch: &[usize],
        epoch: u64,
    ) -> Result<Gradient> {
        let masked: Vec<Masked> = micro_batch
            .iter()
            .map(|&i| {
                Masked::new(&records[i].tokens, MaskRule::TRAINING, self.options.seed, epoch, records[i].hash)
            })
            .collect();
        let packed = Packed::new(model, &masked)?;
        let predicted = packed.targets.len();
        let mut sums: Vec<Vec<f32>> = vars.values().map(|var| vec![0.0; var.elem_count()]).collect();
        let mut loss = 0.0;
        if predicted > 0 {
            let total = packed.losses(model)?.sum_all().map_err(engine)?;
            loss = f64::from(total.to_scalar::<f32>().map_err(engine)?);
            let gradients = total.backward().map_err(engine)?;
            for (sums, var) in sums.iter_mut().zip(vars.values()) {
                if let Some(gradient) = gradients.get(var) {
                    *sums = values(gradient)?;
                }
            }
        }
        Ok(Gradient { sums, loss, predicted, tokens: packed.batch.total() })
    }
}

/// Masked records end to end.
pub(super) struct Packed {
    batch: Arc<PackedBatch>,
    positions: Vec<u32>,
    pub(super) targets: Vec<u32>,
}

impl Packed {
    pub(super) fn new(model: &RnaFm, masked: &[Masked]) -> Result<Self> {
        let sequences = masked.iter().map(|masked| &masked.input[..]);
        let batch = PackedBatch::new(model.config(), alphabet::MASK, sequences).map_err(engine)?;
        let (mut positions, mut targets, mut start) = (vec![], vec![], 0);
        for masked in masked {
            positions.extend(masked.positions.iter().map(|position| start + position));
            targets.extend(&masked.targets);
            start += masked.input.len() as u32;
        }
        Ok(Packed { batch: Arc::new(batch), positions, targets })
    }

    /// The loss of each target.
    pub(super) fn losses(&self, model: &RnaFm) -> Result<Tensor> {
        model.losses(&self.batch, &self.positions, &self.targets).map_err(engine)
    }
}

/// Weight decay is for matrices alone, and not for embeddings.
fn decays(name: &str, var: &Tensor) -> bool {
    var.rank() == 2 && !name.starts_with("embed_")
}

/// Does `work` for each item on up to `threads` threads; the results are in the order of the items.
pub(super) fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<R>)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        let run = || {
            while let Some((i, item)) = {
                let i = next.fetch_add(1, Ordering::Relaxed);
                items.get(i).map(|item| (i, item))
            } {
                let result = work(item);
                results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((i, result));
            }
        };
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    results.sort_unstable_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, result)| result).collect()
}
