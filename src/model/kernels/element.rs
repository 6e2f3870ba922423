//! What matrices are made of: f32, or pairs of bf16, as matrix units of CPUs take them.

use super::packed::PANEL;
use half::bf16;

/// Rows of a tile of a matrix unit, and the pairs in each.
pub(super) const TILE: usize = 16;

/// A number, or neighbouring numbers, of the dimension that a product sums over.
pub trait Element: Copy + Default {
    /// Adds the products of `self` with 16 columns to their sums.
    fn add_products(self, columns: &[Self; PANEL], sums: &mut [f32; PANEL]);
}

impl Element for f32 {
    #[inline(always)]
    fn add_products(self, columns: &[f32; PANEL], sums: &mut [f32; PANEL]) {
        for column in 0..PANEL {
            sums[column] = self.mul_add(columns[column], sums[column]);
        }
    }
}

/// Two neighbouring numbers in bf16, the first in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(pub(super) u32);

impl Pair {
    /// Pairs in a row of so many numbers: a multiple of what a tile of a matrix unit takes.
    pub fn in_row(numbers: usize) -> usize {
        numbers.div_ceil(2).next_multiple_of(TILE)
    }

    /// The first `columns` numbers of rows that are `stride` apart, rounded to nearest, as rows of [`in_row`](Pair::in_row)
    /// pairs; what is missing is zero, whole rows up to a multiple of two tiles among it.
    pub fn of_rows(rows: &[f32], stride: usize, columns: usize, pairs: &mut Vec<Pair>) {
        let width = Pair::in_row(columns);
        let count = (rows.len() / stride).next_multiple_of(2 * TILE);
        pairs.resize(count * width, Pair(0));
        let mut out = pairs.chunks_exact_mut(width.max(1));
        for (row, out) in rows.chunks_exact(stride).zip(&mut out) {
            let (whole, rest) = row[..columns].as_chunks::<2>();
            for (out, [low, high]) in out.iter_mut().zip(whole) {
                *out = Pair(rounded(*low) | rounded(*high) << 16);
            }
            out[whole.len()..].fill(Pair(0));
            if let [last] = rest {
                out[whole.len()] = Pair(rounded(*last));
            }
        }
        out.for_each(|row| row.fill(Pair(0)));
    }

    fn numbers(self) -> [f32; 2] {
        [f32::from_bits(self.0 << 16), f32::from_bits(self.0 & 0xffff_0000)]
    }
}

/// The bits of a number in bf16; a NaN stays one.
#[inline(always)]
fn rounded(number: f32) -> u32 {
    let bits = number.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    if number.is_nan() { u32::from(bf16::NAN.to_bits()) } else { nearest }
}

impl Element for Pair {
    #[inline(always)]
    fn add_products(self, columns: &[Pair; PANEL], sums: &mut [f32; PANEL]) {
        let [low, high] = self.numbers();
        for column in 0..PANEL {
            let [a, b] = columns[column].numbers();
            sums[column] = high.mul_add(b, low.mul_add(a, sums[column]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_as_the_half_crate_rounds_them() {
        for number in [
            0.0,
            -0.0,
            1.0,
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
            -3.7e-5,
            3.4e38,
            f32::INFINITY,
            1e-40,
            f32::NAN,
        ] {
            assert_eq!(rounded(number), u32::from(bf16::from_f32(number).to_bits()), "{number}");
        }
        let mut pairs = vec![Pair(7); 3000];
        Pair::of_rows(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], 3, 3, &mut pairs);
        assert_eq!(pairs.len(), 32 * 16);
        let numbers: Vec<_> = pairs.iter().map(|pair| pair.numbers()).collect();
        assert_eq!(numbers[..3], [[1.0, 2.0], [3.0, 0.0], [0.0, 0.0]]);
        assert_eq!(numbers[16..19], [[-4.0, 5.0], [6.0, 0.0], [0.0, 0.0]]);
        assert!(pairs[19..].iter().all(|pair| *pair == Pair(0)));
    }
}
