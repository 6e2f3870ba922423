//! Vectors with their classes and groups, and their columns brought to one scale.

/// Rows of `columns` numbers. A row's group says what it must not be parted from.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    columns: usize,
    values: Vec<f32>,
    pub classes: Vec<u32>,
    pub groups: Vec<u32>,
}

impl Examples {
    pub fn new(columns: usize) -> Self {
        Examples { columns, ..Examples::default() }
    }

    /// # Panics
    /// Where the row is not of as many numbers as the others.
    pub fn push(&mut self, row: &[f32], class: u32, group: u32) {
        assert_eq!(row.len(), self.columns, "rows are of one length");
        self.values.extend_from_slice(row);
        self.classes.push(class);
        self.groups.push(group);
    }

    pub fn len(&self) -> usize {
        self.classes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    #[inline]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Gives each column the mean 0 and the variance 1, and tells how. Columns of one value become 0.
    pub fn standardize(&mut self) -> Scaling {
        let scaling = Scaling::of(self);
        scaling.apply(&mut self.values);
        scaling
    }

    /// Brings the columns to the scale of other examples.
    pub fn rescale(&mut self, scaling: &Scaling) {
        scaling.apply(&mut self.values);
    }
}

/// What a column's numbers are shifted and multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    pub means: Vec<f32>,
    /// 1 / standard deviation; 0 for a column of one value
    pub factors: Vec<f32>,
}

impl Scaling {
    fn of(examples: &Examples) -> Scaling {
        let n = examples.len().max(1) as f64;
        let mut sums = vec![0f64; examples.columns];
        let rows = || (0..examples.len()).map(|row| examples.row(row));
        for row in rows() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let means: Vec<f64> = sums.into_iter().map(|sum| sum / n).collect();
        let mut squares = vec![0f64; examples.columns];
        for row in rows() {
            for ((square, value), mean) in squares.iter_mut().zip(row).zip(&means) {
                *square += (f64::from(*value) - mean).powi(2);
            }
        }
        let factor = |(square, mean): (f64, &f64)| {
            let deviation = (square / n).sqrt();
            // what rounding leaves of a column of one value is no signal
            if deviation > 1e-6 * mean.abs().max(1e-6) { (1.0 / deviation) as f32 } else { 0.0 }
        };
        let factors = squares.into_iter().zip(&means).map(factor).collect();
        Scaling { means: means.into_iter().map(|mean| mean as f32).collect(), factors }
    }

    fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.means.len().max(1)) {
            for ((value, mean), factor) in row.iter_mut().zip(&self.means).zip(&self.factors) {
                *value = (*value - mean) * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_get_mean_zero_and_variance_one() {
        let mut examples = Examples::new(2);
        for (class, value) in [1.0, 2.0, 6.0].into_iter().enumerate() {
            examples.push(&[value, 0.1], class as u32, 0);
        }
        let scaling = examples.standardize();
        assert_eq!(scaling.factors[1], 0.0);
        let column: Vec<f32> = (0..3).map(|row| examples.row(row)[0]).collect();
        assert!(column.iter().sum::<f32>().abs() < 1e-6);
        assert!((column.iter().map(|value| value * value).sum::<f32>() - 3.0).abs() < 1e-5);
        assert!((0..3).all(|row| examples.row(row)[1] == 0.0));
    }
}
