//! exp, erf, GELU and softmax as polynomials in fused multiply-adds: the same bits on every CPU, and vectorized
//! by the compiler since nothing here branches.

use super::dispatch::{Kernel, widest};

/// e^x to 2 units in the last place; 0 below -87.3, where f32 runs out.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first with few bits, so that n * LN2_HIGH is exact (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // 1.5 * 2^23: a small number added to it is rounded to an integer, which then stands in the lowest bits. A cast
    // to i32 would do the same, but not as vectors: it must treat NaN apart.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.336_54, 88.376_26);
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    // Taylor terms to r^6, |r| <= ln 2 / 2; the error is below 1e-8.
    let mut p = 1.0 / 720.0;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = r.mul_add(p, coefficient);
    }
    // Scaled by 2^n through the exponent bits; n lies in [-126, 127].
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// The error function, to 4e-7.
///
/// A ratio of polynomials in x² on [-4, 4], beyond which erf is ±1 in f32 (the fit that Eigen and XLA use).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    const NUMERATOR: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const DENOMINATOR: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let mut p = NUMERATOR[0];
    for coefficient in &NUMERATOR[1..] {
        p = p.mul_add(square, *coefficient);
    }
    let mut q = DENOMINATOR[0];
    for coefficient in &DENOMINATOR[1..] {
        q = q.mul_add(square, *coefficient);
    }
    x * p / q
}

/// The exact (erf) GELU: `x/2 (1 + erf(x/√2))`.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Its derivative: `(1 + erf(x/√2))/2 + x φ(x)`, φ being the standard normal density.
#[inline(always)]
pub fn gelu_derivative(x: f32) -> f32 {
    const INVERSE_SQRT_TWO_PI: f32 = 0.398_942_3;
    let density = INVERSE_SQRT_TWO_PI * exp(-0.5 * x * x);
    x.mul_add(density, 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)))
}

/// `silu(a) ∘ b` of a row's two halves a and b, into the lower half; silu(x) = x / (1 + e^-x).
pub fn swiglu(row: &mut [f32]) {
    let (gate, value) = row.split_at_mut(row.len() / 2);
    for (gate, value) in gate.iter_mut().zip(value) {
        *gate = *gate / (1.0 + exp(-*gate)) * *value;
    }
}

/// Turns a row of logits into probabilities; returns `log(sum(exp(row)))` of the row as it was.
pub fn softmax(row: &mut [f32]) -> f32 {
    let (highest, sum) = exponentiate(row);
    let scale = 1.0 / sum;
    for value in row {
        *value *= scale;
    }
    highest + sum.ln()
}

/// Replaces each value by `exp(value - highest)`; returns the highest value and the sum of the exponentials.
fn exponentiate(row: &mut [f32]) -> (f32, f32) {
    widest(Exponentiate(row))
}

struct Exponentiate<'a>(&'a mut [f32]);

impl Kernel for Exponentiate<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn run<const WIDE: bool>(self) -> (f32, f32) {
        let row = self.0;
        let highest = max(row);
        let mut sums = [0f32; LANES];
        let (chunks, tail) = row.as_chunks_mut::<{ 2 * LANES }>();
        for chunk in chunks {
            for value in chunk.iter_mut() {
                *value = exp(*value - highest);
            }
            chunk.as_chunks().0.iter().for_each(|values| add(&mut sums, values));
        }
        for value in tail.iter_mut() {
            *value = exp(*value - highest);
        }
        let (last, tail) = tail.as_chunks();
        last.iter().for_each(|values| add(&mut sums, values));
        sums.iter_mut().zip(tail).for_each(|(sum, value)| *sum += value);
        (highest, fold(sums))
    }
}

#[inline(always)]
fn add(sums: &mut [f32; LANES], values: &[f32; LANES]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// Partial sums of a reduction: each lane adds every eighth element, then the lanes are folded as a tree.
pub(super) const LANES: usize = 8;

#[inline(always)]
pub(super) fn fold(sums: [f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// A sum in the fixed order of lanes.
#[inline(always)]
pub fn sum<const N: usize>(inputs: [&[f32]; N], term: impl Fn([f32; N]) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let chunks = inputs.map(|input| input.as_chunks::<LANES>());
    for index in 0..chunks[0].0.len() {
        for lane in 0..LANES {
            sums[lane] += term(chunks.map(|(chunks, _)| chunks[index][lane]));
        }
    }
    for (lane, sum) in sums.iter_mut().enumerate().take(chunks[0].1.len()) {
        *sum += term(chunks.map(|(_, tail)| tail[lane]));
    }
    fold(sums)
}

/// The higher of two numbers, of which `b` is one.
#[inline(always)]
pub(super) fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Any order gives the same: more lanes than a sum has, folded as a tree.
#[inline(always)]
fn max(row: &[f32]) -> f32 {
    const WIDTH: usize = 2 * LANES;
    let mut highest = [f32::NEG_INFINITY; WIDTH];
    let (chunks, tail) = row.as_chunks::<WIDTH>();
    for chunk in chunks {
        for lane in 0..WIDTH {
            highest[lane] = higher(chunk[lane], highest[lane]);
        }
    }
    for (highest, value) in highest.iter_mut().zip(tail) {
        *highest = higher(*value, *highest);
    }
    let mut width = WIDTH;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            highest[lane] = higher(highest[lane + width], highest[lane]);
        }
    }
    highest[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series, or 1 minus a continued fraction, in double precision.
    fn exact_erf(x: f64) -> f64 {
        let a = x.abs();
        let value = if a < 3.0 {
            let (mut term, mut sum, mut n) = (a, a, 0.0);
            while term.abs() > 1e-18 {
                n += 1.0;
                term *= -a * a / n;
                sum += term / (2.0 * n + 1.0);
            }
            sum * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let mut fraction = 0.0;
            for n in (1..60).rev() {
                fraction = n as f64 / 2.0 / (a + fraction);
            }
            1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * (a + fraction))
        };
        value.copysign(x)
    }

    #[test]
    fn functions_agree_with_double_precision() {
        for step in -20_000..=20_000 {
            let x = step as f32 * 0.0005;
            let wide = x as f64;
            let normal = 0.5 * (1.0 + exact_erf(wide / 2f64.sqrt()));
            let density = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((erf(x) as f64 - exact_erf(wide)).abs() < 4e-7, "erf {x}");
            assert!((gelu(x) as f64 - wide * normal).abs() < 1e-6 * (1.0 + wide.abs()), "gelu {x}");
            assert!((gelu_derivative(x) as f64 - (normal + wide * density)).abs() < 1e-6, "gelu' {x}");
            assert!((exp(x) as f64 / wide.exp() - 1.0).abs() < 3e-7, "exp {x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1000.0) < 1e-37);
    }

    #[test]
    fn softmax_sums_to_one_and_returns_the_log_of_the_sum() {
        for length in [1, 7, 8, 25, 100] {
            let logits: Vec<f32> = (0..length).map(|i| ((i * 37) % 19) as f32 - 9.0).collect();
            let exact: f64 = logits.iter().map(|z| (*z as f64).exp()).sum();
            let mut row = logits.clone();
            let log_sum = softmax(&mut row);
            assert!((log_sum as f64 - exact.ln()).abs() < 1e-5);
            for (p, z) in row.iter().zip(&logits) {
                assert!((*p as f64 - (*z as f64).exp() / exact).abs() < 1e-6);
            }
        }
    }
}
