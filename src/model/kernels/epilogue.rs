//! What a matrix product does with its sums before it stores them.

use super::packed::PANEL;

/// What happens to 16 finished sums of a row before they are stored.
pub trait Epilogue {
    /// `sums` belong to `columns` columns of `row` from `first` on; `target` is where they go.
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]);
}

/// Stores the sums as they are.
pub struct Store;

/// Adds a bias.
pub struct Bias<'a>(pub &'a [f32]);

/// Adds a bias and applies the exact (erf) GELU.
pub struct BiasGelu<'a>(pub &'a [f32]);

/// Adds a bias and adds the result to what is there: the residual connection.
pub struct AddTo<'a>(pub &'a [f32]);

impl Epilogue for Store {
    #[inline(always)]
    fn finish(&self, _: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for (target, sum) in target.iter_mut().zip(sums) {
            *target = *sum;
        }
    }
}

impl Epilogue for Bias<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target = sum + bias;
        }
    }
}

impl Epilogue for BiasGelu<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target = super::gelu(sum + bias);
        }
    }
}

impl Epilogue for AddTo<'_> {
    #[inline(always)]
    fn finish(&self, first: usize, sums: &[f32; PANEL], target: &mut [f32]) {
        for ((target, sum), bias) in target.iter_mut().zip(sums).zip(&self.0[first..]) {
            *target += sum + bias;
        }
    }
}
