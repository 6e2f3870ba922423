//! AdamW with warm-up and cosine decay, over all weights as flat vectors.

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.98;
const EPSILON: f64 = 1e-8;

/// The moments of one tensor's gradients.
pub(super) struct Moments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Moments {
    pub fn zeros(n: usize) -> Self {
        Moments { mean: vec![0.0; n], square: vec![0.0; n] }
    }

    /// One update of `weights`; `step` counts from 1.
    pub fn update(&mut self, weights: &mut [f32], gradient: &[f32], rate: f64, decay: f64, step: u64) {
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        let corrected = |beta: f64| 1.0 - beta.powi(step.min(i32::MAX as u64) as i32);
        let size = (rate / corrected(BETA_1)) as f32;
        let root = corrected(BETA_2).sqrt() as f32;
        let keep = (1.0 - rate * decay) as f32;
        let moments = self.mean.iter_mut().zip(&mut self.square);
        for (((mean, square), weight), &g) in moments.zip(weights).zip(gradient) {
            *mean = b1 * *mean + (1.0 - b1) * g;
            *square = b2 * *square + (1.0 - b2) * g * g;
            *weight = keep * *weight - size * *mean / (square.sqrt() / root + EPSILON as f32);
        }
    }
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

/// Scales all gradients down to a global norm of `limit` where they exceed it; returns the norm before.
pub(super) fn clip(gradients: &mut [Vec<f32>], limit: f64) -> f64 {
    let square: f64 = gradients.iter().flatten().map(|&g| f64::from(g) * f64::from(g)).sum();
    let norm = square.sqrt();
    if norm > limit {
        let factor = (limit / norm) as f32;
        gradients.iter_mut().flatten().for_each(|g| *g *= factor);
    }
    norm
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

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradients = vec![vec![3.0, 0.0], vec![4.0]];
        assert_eq!(clip(&mut gradients, 10.0), 5.0);
        assert_eq!(gradients, [vec![3.0, 0.0], vec![4.0]]);
        assert_eq!(clip(&mut gradients, 1.0), 5.0);
        assert!((gradients[0][0] - 0.6).abs() < 1e-6 && (gradients[1][0] - 0.8).abs() < 1e-6);
    }

    #[test]
    fn updates_reach_the_minimum_of_a_parabola_and_decay_pulls_to_zero() {
        let minimise = |decay| {
            let (mut moments, mut weights) = (Moments::zeros(1), vec![0.0f32]);
            for step in 1..=3000 {
                let gradient = [weights[0] - 1.0];
                moments.update(&mut weights, &gradient, learning_rate(step, 3000, 10, 1e-2), decay, step);
            }
            weights[0]
        };
        assert!((minimise(0.0) - 1.0).abs() < 1e-3);
        assert!(minimise(10.0) < 0.9 * minimise(0.0));
    }
}
