//! Multinomial logistic regression with an L2 penalty.

use super::examples::{Examples, Scaling};
use super::lbfgs::{Until, minimize};

/// Rows that are summed up in single precision, before they go into a sum in double precision.
const BLOCK: usize = 64;
/// Parts of the rows, each summed up by one thread; their number is fixed so that sums have one order.
const PARTS: usize = 32;

/// A fitted probe. Takes vectors as they come, unscaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    columns: usize,
    /// `[classes, columns]`, the scaling folded in
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Probe {
    /// Writes the log-odds of every class, one constant aside.
    pub fn logits(&self, row: &[f32], logits: &mut Vec<f32>) {
        logits.clear();
        let weights = self.weights.chunks_exact(self.columns.max(1));
        logits.extend(weights.zip(&self.biases).map(|(weights, bias)| dot(row, weights) + bias));
    }

    /// The likeliest class; the first of several.
    pub fn class(&self, row: &[f32], logits: &mut Vec<f32>) -> u32 {
        self.logits(row, logits);
        let better = |best: usize, at: usize| if logits[at] > logits[best] { at } else { best };
        (0..logits.len()).fold(0, better) as u32
    }

    /// How much likelier the second class is than the first, as log-odds.
    pub fn log_odds(&self, row: &[f32], logits: &mut Vec<f32>) -> f32 {
        self.logits(row, logits);
        logits[1] - logits[0]
    }
}

/// Parameters on scaled examples: for each class its weights, and then its bias.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub classes: usize,
    values: Vec<f64>,
}

impl Parameters {
    pub fn zero(classes: usize, columns: usize) -> Self {
        Parameters { classes, values: vec![0.0; classes * (columns + 1)] }
    }

    fn probe(&self, scaling: &Scaling) -> Probe {
        let columns = scaling.means.len();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for class in self.values.chunks_exact(columns + 1) {
            let scaled = |(weight, factor): (&f64, &f32)| weight * f64::from(*factor);
            let folded: Vec<f64> = class.iter().zip(&scaling.factors).map(scaled).collect();
            let shift: f64 =
                folded.iter().zip(&scaling.means).map(|(weight, mean)| weight * f64::from(*mean)).sum();
            biases.push((class[columns] - shift) as f32);
            weights.extend(folded.into_iter().map(|weight| weight as f32));
        }
        Probe { columns, weights, biases }
    }

    /// Goes on to the minimum of the penalized mean loss of these rows.
    pub fn fit(&mut self, examples: &Examples, rows: &[u32], penalty: f64, until: Until, threads: usize) {
        let (classes, columns) = (self.classes, examples.columns());
        minimize(&mut self.values, until, |values, gradient| {
            let mut loss = mean_loss(examples, rows, (classes, values), Some(gradient), threads);
            let both = values.chunks_exact(columns + 1).zip(gradient.chunks_exact_mut(columns + 1));
            for (values, gradient) in both {
                // the bias goes free
                for (value, slope) in values.iter().zip(gradient).take(columns) {
                    loss += penalty / 2.0 * value * value;
                    *slope += penalty * value;
                }
            }
            loss
        });
    }

    /// Mean cross entropy of the rows, in nats.
    pub fn loss(&self, examples: &Examples, rows: &[u32], threads: usize) -> f64 {
        mean_loss(examples, rows, (self.classes, &self.values), None, threads)
    }
}

/// Ends once it changes no verdict: a probe's loss is known to a thousandth.
pub(super) const ROUGH: Until = Until { slope: 3e-4, steps: 100 };
const FINE: Until = Until { slope: 1e-5, steps: 500 };

/// Fits scaled examples under a penalty (half of it times the squared weights, beside the mean loss in nats).
pub fn fit(
    examples: &Examples,
    scaling: &Scaling,
    rows: &[u32],
    (classes, penalty): (usize, f64),
    threads: usize,
) -> Probe {
    let mut parameters = Parameters::zero(classes, examples.columns());
    parameters.fit(examples, rows, penalty, FINE, threads);
    parameters.probe(scaling)
}

/// Gives the mean loss of the rows, and writes its gradient. The same bits on any number of threads.
fn mean_loss(
    examples: &Examples,
    rows: &[u32],
    (classes, values): (usize, &[f64]),
    mut gradient: Option<&mut [f64]>,
    threads: usize,
) -> f64 {
    let columns = examples.columns();
    let weights: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let parts: Vec<&[u32]> = rows.chunks(rows.len().div_ceil(PARTS).max(1)).collect();
    let with_gradient = gradient.is_some();
    let part = |rows: &&[u32]| sums(examples, rows, (classes, &weights), with_gradient);
    let each = parts.len().div_ceil(threads.max(1)).max(1);
    let summed: Vec<(f64, Vec<f64>)> = if parts.len() <= each {
        parts.iter().map(part).collect()
    } else {
        std::thread::scope(|scope| {
            let spawned: Vec<_> = parts
                .chunks(each)
                .map(|parts| scope.spawn(|| parts.iter().map(part).collect::<Vec<_>>()))
                .collect();
            spawned
                .into_iter()
                .flat_map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).into_iter()
                })
                .collect()
        })
    };
    let n = rows.len().max(1) as f64;
    debug_assert_eq!(values.len(), classes * (columns + 1));
    if let Some(gradient) = &mut gradient {
        gradient.fill(0.0);
        for (_, part) in &summed {
            gradient.iter_mut().zip(part).for_each(|(slope, part)| *slope += part / n);
        }
    }
    summed.iter().map(|(loss, _)| loss).sum::<f64>() / n
}

/// Sums over some rows of the loss and, where wanted, of its gradient.
fn sums(
    examples: &Examples,
    rows: &[u32],
    (classes, weights): (usize, &[f32]),
    with_gradient: bool,
) -> (f64, Vec<f64>) {
    let columns = examples.columns();
    let mut loss = 0.0;
    let mut gradient = vec![0f64; if with_gradient { weights.len() } else { 0 }];
    let mut block = vec![0f32; gradient.len()];
    let mut logits = vec![0f32; classes];
    for rows in rows.chunks(BLOCK) {
        block.fill(0.0);
        for &row in rows {
            let x = examples.row(row as usize);
            let truth = examples.classes[row as usize] as usize;
            for (logit, weights) in logits.iter_mut().zip(weights.chunks_exact(columns + 1)) {
                *logit = dot(x, &weights[..columns]) + weights[columns];
            }
            let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let of_truth = logits[truth] - highest;
            logits.iter_mut().for_each(|logit| *logit = (*logit - highest).exp());
            let sum: f32 = logits.iter().sum();
            loss += f64::from(sum.ln() - of_truth);
            if !with_gradient {
                continue;
            }
            for (class, (share, slopes)) in logits.iter().zip(block.chunks_exact_mut(columns + 1)).enumerate()
            {
                let residual = share / sum - f32::from(u8::from(class == truth));
                let (of_weights, of_bias) = slopes.split_at_mut(columns);
                of_weights.iter_mut().zip(x).for_each(|(slope, value)| *slope += residual * value);
                of_bias[0] += residual;
            }
        }
        gradient.iter_mut().zip(&block).for_each(|(sum, block)| *sum += f64::from(*block));
    }
    (loss, gradient)
}

/// In lanes, which the compiler makes into vectors.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::random::SplitMix;

    /// Rows of `columns` random numbers; the class hangs on the first two, unless it is noise.
    pub fn drawn(rows: usize, columns: usize, noise: bool, seed: u64) -> Examples {
        let mut random = SplitMix::new(seed);
        let mut unit = || random.draw() as f32 / u64::MAX as f32 - 0.5;
        let mut examples = Examples::new(columns);
        for group in 0..rows {
            let row: Vec<f32> = (0..columns).map(|_| 7.0 + 3.0 * unit()).collect();
            let class = if noise { unit() + 0.5 } else { (row[0] - 7.0) / 6.0 - (row[1] - 7.0) / 6.0 + 0.5 };
            examples.push(&row, (class * 3.0).clamp(0.0, 2.0) as u32, group as u32);
        }
        examples
    }

    fn all(examples: &Examples) -> Vec<u32> {
        (0..examples.len() as u32).collect()
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let mut examples = drawn(70, 5, false, 1);
        examples.standardize();
        let rows = all(&examples);
        let values: Vec<f64> = (0..18).map(|i| f64::from(i % 5) / 5.0 - 0.4).collect();
        let mut gradient = vec![0.0; 18];
        mean_loss(&examples, &rows, (3, &values), Some(&mut gradient), 1);
        for i in 0..18 {
            let at = |by: f64| {
                let mut values = values.clone();
                values[i] += by;
                mean_loss(&examples, &rows, (3, &values), None, 1)
            };
            let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((gradient[i] - difference).abs() < 1e-4, "{i}: {} and {difference}", gradient[i]);
        }
    }

    #[test]
    fn a_fit_is_the_same_on_any_number_of_threads_and_reads_unscaled_rows() {
        let raw = drawn(900, 4, false, 2);
        let mut scaled = raw.clone();
        let scaling = scaled.standardize();
        let rows = all(&raw);
        let probe = fit(&scaled, &scaling, &rows, (3, 1e-4), 1);
        for threads in [2, 3, 64] {
            assert_eq!(fit(&scaled, &scaling, &rows, (3, 1e-4), threads), probe);
        }
        let mut logits = Vec::new();
        let right =
            (0..900).filter(|&row| probe.class(raw.row(row), &mut logits) == raw.classes[row]).count();
        assert!(right > 800, "{right} of 900");
    }

    #[test]
    fn at_the_minimum_predicted_and_observed_means_agree() {
        let mut examples = drawn(300, 3, true, 3);
        let scaling = examples.standardize();
        let probe = fit(&examples, &scaling, &all(&examples), (3, 1e-3), 1);
        // the bias is free: the mean probability of a class is its share
        let (mut means, mut logits) = ([0f64; 3], Vec::new());
        let raw = drawn(300, 3, true, 3);
        for row in 0..raw.len() {
            probe.logits(raw.row(row), &mut logits);
            let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            means.iter_mut().zip(&logits).for_each(|(mean, logit)| *mean += f64::from(*logit).exp() / sum);
        }
        for class in 0..3 {
            let observed = raw.classes.iter().filter(|of| **of == class).count() as f64;
            assert!((means[class as usize] - observed).abs() < 0.1, "{means:?}");
        }
    }
}
