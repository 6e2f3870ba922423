//! LayerNorm over rows, forward and backward.

use super::math::sum;

/// A LayerNorm's weights.
pub struct LayerNorm {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl LayerNorm {
    /// Normalizes each row of `rows` (`[n, d]`) into `out`.
    pub fn forward(&self, rows: &[f32], out: &mut [f32]) {
        let d = self.weight.len();
        for (row, out) in rows.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            let (mean, inverse) = moments(row, self.epsilon);
            for (((out, x), weight), bias) in out.iter_mut().zip(row).zip(&self.weight).zip(&self.bias) {
                *out = ((x - mean) * inverse).mul_add(*weight, *bias);
            }
        }
    }

    /// Normalizes rows in place.
    pub fn forward_in_place(&self, rows: &mut [f32]) {
        let d = self.weight.len();
        for row in rows.chunks_exact_mut(d) {
            let (mean, inverse) = moments(row, self.epsilon);
            for ((x, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
                *x = ((*x - mean) * inverse).mul_add(*weight, *bias);
            }
        }
    }
}

/// Turns the gradient by a LayerNorm's output into the gradient by its input, in place, for one row.
///
/// With x̂ the normalized input and g = gradient ∘ weight: `(g - mean(g) - x̂ mean(g ∘ x̂)) / σ`.
pub fn layer_norm_backward(norm: &LayerNorm, input: &[f32], gradient: &mut [f32]) {
    let (mean, inverse) = moments(input, norm.epsilon);
    for (gradient, weight) in gradient.iter_mut().zip(&norm.weight) {
        *gradient *= weight;
    }
    let d = input.len() as f32;
    let mean_gradient = sum([gradient], |[g]| g) / d;
    let mean_product = sum([gradient, input], |[g, x]| g * ((x - mean) * inverse)) / d;
    for (gradient, x) in gradient.iter_mut().zip(input) {
        *gradient = inverse * (*gradient - mean_gradient - (x - mean) * inverse * mean_product);
    }
}

/// Mean and 1/sqrt(variance + epsilon) of a row, in two passes.
#[inline(always)]
pub fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let d = row.len() as f32;
    let mean = sum([row], |[x]| x) / d;
    let variance = sum([row], |[x]| (x - mean) * (x - mean)) / d;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm() -> LayerNorm {
        LayerNorm {
            weight: (0..20).map(|i| 0.5 + i as f32 * 0.1).collect(),
            bias: (0..20).map(|i| i as f32 * 0.01).collect(),
            epsilon: 1e-5,
        }
    }

    fn row() -> Vec<f32> {
        (0..20).map(|i| ((i * 7) % 11) as f32 * 0.3 - 1.0).collect()
    }

    #[test]
    fn a_normalized_row_has_mean_zero_and_variance_one_before_the_weights() {
        let plain = LayerNorm { weight: vec![1.0; 20], bias: vec![0.0; 20], epsilon: 1e-5 };
        let mut out = vec![0.0; 20];
        plain.forward(&row(), &mut out);
        let mean: f32 = out.iter().sum::<f32>() / 20.0;
        let variance: f32 = out.iter().map(|x| x * x).sum::<f32>() / 20.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-4);
        let mut in_place = row();
        plain.forward_in_place(&mut in_place);
        assert_eq!(in_place, out);
    }

    #[test]
    fn the_backward_pass_agrees_with_finite_differences() {
        let (norm, row) = (norm(), row());
        let upstream: Vec<f32> = (0..20).map(|i| ((i * 5) % 7) as f32 * 0.2 - 0.5).collect();
        let objective = |row: &[f32]| -> f64 {
            let mut out = vec![0.0; 20];
            norm.forward(row, &mut out);
            out.iter().zip(&upstream).map(|(o, u)| *o as f64 * *u as f64).sum()
        };
        let mut gradient = upstream.clone();
        layer_norm_backward(&norm, &row, &mut gradient);
        for i in 0..20 {
            let step = 1e-2;
            let (mut above, mut below) = (row.clone(), row.clone());
            above[i] += step;
            below[i] -= step;
            let difference = (objective(&above) - objective(&below)) / (2.0 * step as f64);
            assert!((difference - gradient[i] as f64).abs() < 2e-3, "{i}: {difference} {}", gradient[i]);
        }
    }
}
