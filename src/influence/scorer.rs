//! Scores of records, given a curvature; and the curvature itself, summed over records.

use super::gradient::{Gradients, RecordGradient};
use super::{Curvature, CurvatureSum, Estimator};
use crate::batching::Example;
use crate::error::Result;
use crate::model::kernels::{self, PackedMatrix, Store, Strided};

/// What a record's gradient says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean cross entropy over the scored positions, nats.
    pub loss: f32,
    /// Euclidean norm of G.
    pub grad_norm: f32,
    /// Self-influence; larger is more influential. 0 where the estimator has too few positions.
    pub influence: f32,
    /// Scored positions.
    pub positions: u32,
}

/// Turns gradients into scores; each thread owns one.
pub struct Scorer<'c> {
    curvature: &'c Curvature,
    estimator: Estimator,
    /// `1/(F + damping)` as the right-hand side of a product, for the debiased estimator.
    packed_inverse: PackedMatrix,
    gradient: Vec<f32>,
    squares: Vec<f32>,
    products: Vec<f32>,
    pack: PackedMatrix,
}

impl<'c> Scorer<'c> {
    pub fn new(curvature: &'c Curvature, estimator: Estimator) -> Self {
        let d = curvature.hidden_size;
        let packed_inverse = PackedMatrix::new(d, d, Strided::rows(&curvature.inverse, d));
        let gradient = vec![0.0; d * d];
        let (squares, products, pack) = (Vec::new(), Vec::new(), PackedMatrix::default());
        Scorer { curvature, estimator, packed_inverse, gradient, squares, products, pack }
    }

    pub fn score(&mut self, record: &RecordGradient) -> Score {
        record.expand(&mut self.gradient, &mut self.pack);
        let squares = || self.gradient.iter().map(|g| g * g);
        let norm = sum(squares().map(f64::from)).sqrt();
        let plain = sum(squares().zip(&self.curvature.inverse).map(|(g, w)| (g * w) as f64));
        let n = record.positions();
        let influence = match self.estimator {
            Estimator::Plain => plain,
            Estimator::Debiased if n < 2 => 0.0,
            Estimator::Debiased => (n as f64 / (n as f64 - 1.0)) * (plain - self.same_position(record)),
        };
        Score {
            loss: record.loss as f32,
            grad_norm: norm as f32,
            influence: influence as f32,
            positions: n as u32,
        }
    }

    /// `Σ Q / (F + damping)`: what products of a position with itself add.
    ///
    /// With W = 1/(F + damping) this is `Σ_t (δ[t]∘δ[t])ᵀ W (h[t]∘h[t])`: Q itself is never formed.
    fn same_position(&mut self, record: &RecordGradient) -> f64 {
        let d = self.curvature.hidden_size;
        self.squares.clear();
        self.squares.extend(record.delta.iter().map(|x| x * x));
        self.products.resize(record.delta.len(), 0.0);
        let squares = Strided::rows(&self.squares, d);
        kernels::matmul(record.positions(), squares, &self.packed_inverse, &mut self.products, d, &Store);
        sum(self.products.iter().zip(record.hidden).map(|(p, h)| (p * (h * h)) as f64))
    }
}

/// Adds the gradients of `records` to a curvature sum.
pub fn accumulate(gradients: &mut Gradients, records: &[Example], sum: &mut CurvatureSum) -> Result<()> {
    accumulate_each(gradients, records, sum, |_, _| ())
}

/// The same; `each` is shown every record's gradient.
pub fn accumulate_each(
    gradients: &mut Gradients,
    records: &[Example],
    sum: &mut CurvatureSum,
    mut each: impl FnMut(usize, &RecordGradient),
) -> Result<()> {
    let d = sum.hidden_size();
    let (mut gradient, mut pack) = (vec![0.0; d * d], PackedMatrix::default());
    let mut outcome = Ok(());
    gradients.run(records, |index, record| {
        if outcome.is_ok() {
            record.expand(&mut gradient, &mut pack);
            outcome = sum.add(&gradient);
            each(index, &record);
        }
    })?;
    outcome
}

/// A sum in double precision in a fixed order: four lanes, then the lanes.
fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut lanes = [0f64; 4];
    for (index, value) in values.enumerate() {
        lanes[index % 4] += value;
    }
    (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])
}
