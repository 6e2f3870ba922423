//! AdamW with warm-up and cosine decay.

use super::model::{freeze_mask_row, values};
use super::{TrainingDevice, engine};
use crate::error::{Error, Result};
use crate::model::Architecture;
use candle_core::{DType, Tensor, Var};
use std::collections::BTreeMap;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.98;
const EPSILON: f64 = 1e-8;

/// What one step does.
pub(super) struct Update {
    /// Of gradients, before anything else
    pub scale: f64,
    pub rate: f64,
    /// Global norm that gradients are clipped to
    pub clip: f64,
    /// Decay of the matrices' weights
    pub decay: f64,
    /// Counted from 1
    pub step: u64,
}

impl Update {
    /// Factor of the mean gradient, and divisor of the root of the mean square: both make up for moments that began at zero.
    fn corrections(&self) -> (f64, f64) {
        let corrected = |beta: f64| 1.0 - beta.powi(self.step.min(i32::MAX as u64) as i32);
        (self.rate / corrected(BETA_1), corrected(BETA_2).sqrt())
    }

    /// The factor that brings gradients of that norm within the limit.
    fn clipping(&self, norm: f64) -> Result<f64> {
        if !norm.is_finite() {
            return Err(Error::model(format!(
                "step {}: the loss has run away; a lower --learning-rate may hold it",
                self.step
            )));
        }
        Ok(if norm > self.clip { self.clip / norm } else { 1.0 })
    }
}

/// What is remembered of the gradients.
pub(super) enum Optimizer {
    /// Of each tensor, in the order of their names: a CPU goes through each once in a step
    ByTensor(Vec<Moments>),
    /// Of all tensors end to end: a GPU takes as long for one operation on them all as on one of them
    EndToEnd(Joined),
}

impl Optimizer {
    pub fn new(
        vars: &BTreeMap<String, Var>,
        architecture: &Architecture,
        device: &TrainingDevice,
    ) -> Result<Self> {
        match device {
            TrainingDevice::Cpu { .. } => {
                let moments = vars.values().map(|var| Moments::zeros(var.elem_count())).collect();
                Ok(Optimizer::ByTensor(moments))
            }
            TrainingDevice::Batched { .. } => Joined::new(vars, architecture).map(Optimizer::EndToEnd),
        }
    }

    /// One step with gradients in the order of the names; returns their global norm, scaled and before it was clipped.
    pub fn update(
        &mut self,
        (vars, architecture): (&BTreeMap<String, Var>, &Architecture),
        gradients: &[Tensor],
        update: &Update,
    ) -> Result<f64> {
        match self {
            Optimizer::ByTensor(moments) => {
                let mut gradients = gradients.iter().map(values).collect::<Result<Vec<_>>>()?;
                for (name, gradient) in vars.keys().zip(&mut gradients) {
                    gradient.iter_mut().for_each(|g| *g *= update.scale as f32);
                    freeze_mask_row(name, gradient, architecture);
                }
                let norm = norm(&gradients);
                let factor = update.clipping(norm)? as f32;
                if factor < 1.0 {
                    gradients.iter_mut().flatten().for_each(|g| *g *= factor);
                }
                for (((name, var), moments), gradient) in vars.iter().zip(moments).zip(&gradients) {
                    let mut weights = values(var)?;
                    let decay = if decays(name, var) { update.decay } else { 0.0 };
                    moments.update(&mut weights, gradient, update, decay);
                    let updated = Tensor::from_vec(weights, var.shape(), var.device());
                    updated.and_then(|updated| var.set(&updated)).map_err(engine)?;
                }
                Ok(norm)
            }
            Optimizer::EndToEnd(joined) => {
                let gradient = joined.scaled(gradients, update.scale).map_err(engine)?;
                let norm = joined.norm(&gradient).map_err(engine)?;
                let factor = update.clipping(norm)?;
                joined.update(vars, (gradient, factor), update).map_err(engine)?;
                Ok(norm)
            }
        }
    }
}

/// The moments of one tensor's gradients.
pub(super) struct Moments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Moments {
    fn zeros(n: usize) -> Self {
        Moments { mean: vec![0.0; n], square: vec![0.0; n] }
    }

    /// One update of `weights`.
    fn update(&mut self, weights: &mut [f32], gradient: &[f32], update: &Update, decay: f64) {
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        let (size, root) = update.corrections();
        let (size, root) = (size as f32, root as f32);
        let keep = (1.0 - update.rate * decay) as f32;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for (((mean, square), weight), &g) in moments.zip(weights).zip(gradient) {
            *mean = b1 * *mean + (1.0 - b1) * g;
            *square = b2 * *square + (1.0 - b2) * g * g;
            *weight = keep * *weight - size * *mean / (square.sqrt() / root + EPSILON as f32);
        }
    }
}

/// The same for all tensors as one.
pub(super) struct Joined {
    mean: Tensor,
    square: Tensor,
    /// 1 for a weight that decays, else 0
    decaying: Tensor,
    /// 0 for a weight that stays as it is, else 1
    free: Tensor,
}

impl Joined {
    fn new(vars: &BTreeMap<String, Var>, architecture: &Architecture) -> Result<Self> {
        let (mut decaying, mut free) = (Vec::new(), Vec::new());
        for (name, var) in vars {
            decaying.resize(decaying.len() + var.elem_count(), if decays(name, var) { 1f32 } else { 0.0 });
            let mut of_var = vec![1f32; var.elem_count()];
            freeze_mask_row(name, &mut of_var, architecture);
            free.extend(of_var);
        }
        let on_device = || {
            let var =
                vars.values().next().ok_or_else(|| candle_core::Error::msg("a model without weights"))?;
            let place = |values: Vec<f32>| Tensor::new(values, var.device())?.to_dtype(var.dtype());
            let (decaying, free) = (place(decaying)?, place(free)?);
            Ok(Joined { mean: free.zeros_like()?, square: free.zeros_like()?, decaying, free })
        };
        on_device().map_err(engine)
    }

    fn scaled(&self, gradients: &[Tensor], scale: f64) -> candle_core::Result<Tensor> {
        (end_to_end(gradients.iter())? * &self.free)? * scale
    }

    fn norm(&self, gradient: &Tensor) -> candle_core::Result<f64> {
        gradient.sqr()?.sum_all()?.sqrt()?.to_dtype(DType::F64)?.to_scalar()
    }

    fn update(
        &mut self,
        vars: &BTreeMap<String, Var>,
        (gradient, factor): (Tensor, f64),
        update: &Update,
    ) -> candle_core::Result<()> {
        let gradient = (gradient * factor)?;
        self.mean = ((&self.mean * BETA_1)? + (&gradient * (1.0 - BETA_1))?)?;
        self.square = ((&self.square * BETA_2)? + (gradient.sqr()? * (1.0 - BETA_2))?)?;
        let (size, root) = update.corrections();
        let change = (&self.mean / ((self.square.sqrt()? / root)? + EPSILON)?)?;
        let keep = self.decaying.affine(-update.rate * update.decay, 1.0)?;
        let weights = end_to_end(vars.values().map(Var::as_tensor))?.detach();
        let weights = ((weights * keep)? - (change * size)?)?;
        let mut start = 0;
        for var in vars.values() {
            let n = var.elem_count();
            var.set(&weights.narrow(0, start, n)?.reshape(var.shape())?)?;
            start += n;
        }
        Ok(())
    }
}

fn end_to_end<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> candle_core::Result<Tensor> {
    let flat = tensors.map(|tensor| tensor.flatten_all()).collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::cat(&flat, 0)
}

/// Weight decay is for matrices alone, and not for embeddings.
fn decays(name: &str, var: &Tensor) -> bool {
    var.rank() == 2 && !name.starts_with("embed_")
}

/// Learning rate at a step counted from 1: linear to `peak` over `warmup` steps, then a cosine down to a hundredth.
pub(super) fn learning_rate(step: u64, steps: u64, warmup: u64, peak: f64) -> f64 {
    const FLOOR: f64 = 0.01;
    if step <= warmup {
        return peak * step as f64 / warmup as f64;
    }
    let way = (step - warmup) as f64 / (steps.saturating_sub(warmup)).max(1) as f64;
    let cosine = 0.5 * (1.0 + (std::f64::consts::PI * way.min(1.0)).cos());
    peak * (FLOOR + (1.0 - FLOOR) * cosine)
}

/// The global norm of gradients.
fn norm(gradients: &[Vec<f32>]) -> f64 {
    gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_its_peak_and_falls_to_a_hundredth() {
        let rate = |step| learning_rate(step, 1000, 100, 2.0);
        assert!((rate(50) - 1.0).abs() < 1e-12 && (rate(100) - 2.0).abs() < 1e-12);
        assert!((101..1000).all(|step| rate(step + 1) < rate(step)));
        assert!((rate(1000) - 0.02).abs() < 1e-12);
        assert!(learning_rate(1, 1, 0, 2.0).is_finite());
    }

    fn update(rate: f64, decay: f64, step: u64) -> Update {
        Update { scale: 1.0, rate, clip: 5.0, decay, step }
    }

    #[test]
    fn clipping_brings_a_norm_to_its_limit_and_refuses_what_is_none() {
        let update = update(1e-3, 0.0, 3);
        assert_eq!(norm(&[vec![3.0, 0.0], vec![4.0]]), 5.0);
        assert_eq!((update.clipping(5.0).unwrap(), update.clipping(20.0).unwrap()), (1.0, 0.25));
        for norm in [f64::NAN, f64::INFINITY] {
            assert!(update.clipping(norm).unwrap_err().message.contains("step 3"));
        }
    }

    #[test]
    fn updates_reach_the_minimum_of_a_parabola_and_decay_pulls_to_zero() {
        let minimise = |decay| {
            let (mut moments, mut weights) = (Moments::zeros(1), vec![0.0f32]);
            for step in 1..=3000 {
                let gradient = [weights[0] - 1.0];
                let update = update(learning_rate(step, 3000, 10, 1e-2), decay, step);
                moments.update(&mut weights, &gradient, &update, decay);
            }
            weights[0]
        };
        assert!((minimise(0.0) - 1.0).abs() < 1e-3);
        assert!(minimise(10.0) < 0.9 * minimise(0.0));
    }
}
