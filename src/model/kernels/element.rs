//! What matrices are made of: f32, or pairs of bf16, as matrix units of CPUs take them.

use super::matmul::matmul;
use super::packed::{PANEL, PackedMatrix, Strided};
use super::{Epilogue, amx};
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

/// `out[m x n] = finish(a[m x k] · b[k x n])` of pairs as [`Pair::of_rows`] gives them: on a matrix unit where the CPU has one.
pub fn matmul_pairs(
    m: usize,
    a: &[Pair],
    b: &PackedMatrix<Pair>,
    out: &mut [f32],
    out_stride: usize,
    epilogue: &impl Epilogue,
) {
    match amx::unit() {
        Some(unit) if b.rows() > 0 => unit.matmul(m, a, b, out, out_stride, epilogue),
        _ => matmul(m, Strided::rows(a, b.rows()), b, out, out_stride, epilogue),
    }
}

/// Whether this CPU has a matrix unit that multiplies pairs.
pub fn has_matrix_unit() -> bool {
    amx::unit().is_some()
}

/// Two neighbouring numbers in bf16, the first in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(u32);

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
    use super::super::Bias;
    use super::*;

    /// Numbers that bf16 holds.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + seed * 101) % 255) as f32 / 64.0 - 2.0).collect()
    }

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

    /// On a CPU with a matrix unit this is a test of it and of the portable form, on others of the latter.
    #[test]
    fn products_of_pairs_agree_with_double_precision_for_any_shape() {
        println!("this CPU has a matrix unit: {}", amx::unit().is_some());
        for (m, k, n) in [(1, 1, 1), (6, 64, 16), (7, 41, 40), (61, 80, 25), (109, 1300, 40), (97, 640, 33)] {
            let (a, b, bias) = (numbers(m * k, 1), numbers(n * k, 2), numbers(n, 3));
            let (mut left, mut right) = (Vec::new(), Vec::new());
            Pair::of_rows(&a, k, k, &mut left);
            Pair::of_rows(&b, k, k, &mut right);
            let width = Pair::in_row(k);
            let packed = PackedMatrix::new(width, n, Strided::transposed(&right, width));
            let [mut out, mut portable] = [(); 2].map(|()| vec![f32::NAN; m * n]);
            matmul_pairs(m, &left, &packed, &mut out, n, &Bias(&bias));
            matmul(m, Strided::rows(&left, width), &packed, &mut portable, n, &Bias(&bias));
            for row in 0..m {
                for column in 0..n {
                    let products = (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[column * k + i]));
                    let exact = products.sum::<f64>() + f64::from(bias[column]);
                    for found in [out[row * n + column], portable[row * n + column]] {
                        assert!((f64::from(found) - exact).abs() < 1e-5 * (k as f64 + 1.0), "{m} {k} {n}");
                    }
                }
                let mut alone = vec![0.0; n];
                Pair::of_rows(&a[row * k..(row + 1) * k], k, k, &mut left);
                matmul_pairs(1, &left, &packed, &mut alone, n, &Bias(&bias));
                assert_eq!(alone, out[row * n..(row + 1) * n], "a row has the same bits alone");
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_left_side_that_is_too_short_is_caught() {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        Pair::of_rows(&[1.0; 4], 2, 2, &mut left);
        Pair::of_rows(&[1.0; 4], 2, 2, &mut right);
        let packed = PackedMatrix::new(16, 2, Strided::transposed(&right, 16));
        matmul_pairs(33, &left, &packed, &mut [0.0; 66], 2, &Bias(&[0.0; 2]));
    }
}
