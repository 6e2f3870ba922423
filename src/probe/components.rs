//! Principal components of residues' hidden states: few numbers for each residue, so that all products of two residues'
//! numbers are not too many to fit.

use crate::random::SplitMix;

/// Components that are kept: products of these many fill a pair's vector as the one-hot codes of two bases do.
const KEPT: usize = 8;
/// Products with the matrix of variances. A direction whose variance is 0.9 of the one before it is told apart to 1e-4.
const ITERATIONS: usize = 100;

/// A linear map onto the directions of the largest variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Components {
    /// `[r, d]`, orthonormal
    directions: Vec<f32>,
    d: usize,
    /// Numbers for each residue: 8, of smaller states as many as these have
    pub r: usize,
}

impl Components {
    /// Of states of `d` numbers each, taken about zero (states are to be centred within their records), by orthogonal
    /// iteration (Golub and Van Loan, Matrix Computations, 8.2.4).
    pub fn of(states: &[Vec<f32>], d: usize) -> Components {
        let r = KEPT.min(d);
        let variances = variances(states, d);
        let mut random = SplitMix::new(0);
        let mut directions: Vec<Vec<f64>> =
            (0..r).map(|_| (0..d).map(|_| random.draw() as f64 - (1u64 << 63) as f64).collect()).collect();
        orthonormalize(&mut directions);
        for _ in 0..ITERATIONS {
            for direction in &mut directions {
                *direction = variances.chunks_exact(d).map(|row| dot(row, direction)).collect();
            }
            orthonormalize(&mut directions);
        }
        Components { directions: directions.concat().into_iter().map(|number| number as f32).collect(), d, r }
    }

    /// States `[residues, d]` to `[residues, r]`.
    pub fn project(&self, states: &[f32]) -> Vec<f32> {
        let along = |state: &[f32], direction: &[f32]| state.iter().zip(direction).map(|(a, b)| a * b).sum();
        let each = |state| self.directions.chunks_exact(self.d).map(move |direction| along(state, direction));
        states.chunks_exact(self.d).flat_map(each).collect()
    }
}

/// Sums of products of two numbers of a state, `[d, d]`.
fn variances(states: &[Vec<f32>], d: usize) -> Vec<f64> {
    let mut sums = vec![0f64; d * d];
    for state in states {
        for (row, &a) in sums.chunks_exact_mut(d).zip(state) {
            row.iter_mut().zip(state).for_each(|(sum, &b)| *sum += f64::from(a) * f64::from(b));
        }
    }
    sums
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Gram and Schmidt's way, twice over for what rounding leaves. A vector that the others span becomes 0.
fn orthonormalize(vectors: &mut [Vec<f64>]) {
    for at in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(at);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        for other in before.iter().chain(before.iter()) {
            let along = dot(vector, other);
            vector.iter_mut().zip(other).for_each(|(number, other)| *number -= along * other);
        }
        let left = dot(vector, vector).sqrt();
        let scale = if left > 1e-9 * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|number| *number *= scale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directions_of_largest_variance_come_first() {
        // numbers of growing deviations; the last is never different
        let mut random = SplitMix::new(1);
        let mut unit = || (random.draw() >> 11) as f32 / (1u64 << 52) as f32 - 1.0;
        let states: Vec<Vec<f32>> = (0..3000)
            .map(|_| (0..12).map(|at| if at == 11 { 0.0 } else { (at as f32 + 1.0) * unit() }).collect())
            .collect();
        let components = Components::of(&states, 12);
        assert_eq!(components.r, 8);
        let projected = components.project(&states.concat());
        let mut last = f32::INFINITY;
        for place in 0..components.r {
            let variance: f32 = projected.iter().skip(place).step_by(8).map(|value| value * value).sum();
            assert!(variance < last, "component {place}");
            last = variance;
            let direction = &components.directions[place * 12..][..12];
            let number = 10 - place;
            assert!(direction[number].abs() > 0.95, "component {place} is number {number}: {direction:?}");
        }
    }

    #[test]
    fn states_that_vary_in_few_directions_have_no_more() {
        let states = vec![vec![3.0, 4.0, 0.0], vec![-3.0, -4.0, 0.0]];
        let components = Components::of(&states, 3);
        assert_eq!(components.r, 3);
        let projected = components.project(&states.concat());
        assert!((projected[0].abs() - 5.0).abs() < 1e-5 && projected[0] == -projected[3], "{projected:?}");
        assert_eq!((projected[1], projected[2]), (0.0, 0.0));
    }
}
