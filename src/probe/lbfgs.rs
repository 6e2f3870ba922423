//! Limited-memory BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.5) for smooth convex functions.
//!
//! Sixty lines of our own and no crate: the sums must come in one order on any number of threads, and a convex function needs
//! no more than a step that is halved until it descends.

/// Steps that are remembered.
const MEMORY: usize = 10;
/// The share of the descent that the slope promises which a step must achieve.
const SUFFICIENT: f64 = 1e-4;
/// A step that was halved so often does not descend for rounding: the minimum is reached.
const HALVINGS: usize = 30;

/// When a minimization ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// The largest partial derivative
    pub slope: f64,
    pub steps: usize,
}

/// Lowers a function from `x` on; `function` gives its value and writes its gradient.
pub(super) fn minimize(x: &mut [f64], until: Until, mut function: impl FnMut(&[f64], &mut [f64]) -> f64) {
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(x, &mut gradient);
    let (mut next, mut next_gradient) = (x.to_vec(), gradient.clone());
    // changes of x and of the gradient, the oldest first
    let mut memory: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for _ in 0..until.steps {
        if gradient.iter().all(|slope| slope.abs() <= until.slope) {
            return;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut step = 1.0;
        let mut descended = false;
        for _ in 0..HALVINGS {
            next.iter_mut().zip(x.iter()).zip(&direction).for_each(|((next, x), d)| *next = x + step * d);
            let reached = function(&next, &mut next_gradient);
            if reached <= value + SUFFICIENT * step * slope {
                value = reached;
                descended = true;
                break;
            }
            step /= 2.0;
        }
        if !descended {
            return;
        }
        let changes = |new: &[f64], old: &[f64]| new.iter().zip(old).map(|(new, old)| new - old).collect();
        let (moved, turned): (Vec<f64>, Vec<f64>) = (changes(&next, x), changes(&next_gradient, &gradient));
        if dot(&moved, &turned) > 1e-12 * dot(&turned, &turned) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((moved, turned));
        }
        x.copy_from_slice(&next);
        std::mem::swap(&mut gradient, &mut next_gradient);
    }
}

/// Minus the gradient times the approximate inverse of the Hessian.
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let Some((moved, turned)) = memory.last() else {
        // of length 1 at most: nothing is known of the curvature
        let length = dot(&direction, &direction).sqrt().max(1.0);
        direction.iter_mut().for_each(|value| *value /= length);
        return direction;
    };
    let scale = dot(moved, turned) / dot(turned, turned);
    let mut weights = Vec::with_capacity(memory.len());
    for (moved, turned) in memory.iter().rev() {
        let weight = dot(moved, &direction) / dot(moved, turned);
        direction.iter_mut().zip(turned).for_each(|(value, turned)| *value -= weight * turned);
        weights.push(weight);
    }
    direction.iter_mut().for_each(|value| *value *= scale);
    for ((moved, turned), weight) in memory.iter().zip(weights.iter().rev()) {
        let correction = weight - dot(turned, &direction) / dot(moved, turned);
        direction.iter_mut().zip(moved).for_each(|(value, moved)| *value += correction * moved);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_of_an_ill_conditioned_bowl_is_found() {
        let mut x = vec![3.0; 6];
        let until = Until { slope: 1e-8, steps: 200 };
        let mut evaluations = 0;
        minimize(&mut x, until, |x, gradient| {
            evaluations += 1;
            // curvatures from 1 to 1e5, and a quartic term
            let curvature = |i: usize| 10f64.powi(i as i32);
            let off = |i: usize| x[i] - i as f64;
            for (i, slope) in gradient.iter_mut().enumerate() {
                *slope = curvature(i) * off(i) + 4.0 * off(i).powi(3);
            }
            (0..x.len()).map(|i| curvature(i) * off(i).powi(2) / 2.0 + off(i).powi(4)).sum()
        });
        for (i, value) in x.iter().enumerate() {
            assert!((value - i as f64).abs() < 1e-6, "{x:?}");
        }
        assert!(evaluations < 150, "{evaluations}");
    }
}
